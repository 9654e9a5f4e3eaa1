/* leat: the verbs. Data goes to standard output, everything else to standard error. */
#include "base/fault.h"
#include "base/str.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Verb {
    const char *name, *arguments, *help;
    int (*run)(int, char **);
} Verb;

static int version_main(int argc, char **argv) {
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        puts("usage: leat version\n\nPrints the program's version.");
        return EXIT_DONE;
    }
    if (argc > 1) return usage_error("version", "takes no arguments");
    printf("leat %s\n", LEAT_VERSION);
    return EXIT_DONE;
}

static const Verb verbs[] = {
    {"run", "FILE.sql", "run a pipeline until its sources end, or for ever", run_main},
    {"check", "FILE.sql", "check names, types and options; contacts nothing", check_main},
    {"check-home", "HOME|FILE.sql", "look through a home for damage; changes nothing",
     check_home_main},
    {"explain", "FILE.sql", "show the plan, what bounds its state, how sinks are delivered",
     explain_main},
    {"test", "FILE.sql|FOLDER…", "run pipelines over given rows and compare their results",
     test_main},
    {"sql", "\"SELECT …\" [FILE…]", "query files or standard input (table: input)", sql_main},
    {"generate", "", "make the events of an IoT telemetry fleet", generate_main},
    {"verify", "", "compare what arrived with what was sent", verify_main},
    {"version", "", "print the version", version_main},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static void help(FILE *to) {
    fputs("leat: PostgreSQL's SQL over event streams, in one small binary\n\nusage: leat VERB …    "
          "  leat VERB -h tells more\n\n",
          to);
    for (int i = 0; i < VERBS; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", verbs[i].name, verbs[i].arguments);
        fprintf(to, "  %-*s %s\n",
                26 + (strstr(call, "…") ? 2 : 0) + (strstr(call, "[FILE…") ? 2 : 0), call,
                verbs[i].help);
    }
    fputs("\nExit status: 0 done, 1 the pipeline or the verification failed, 2 wrong usage or a "
          "pipeline that does not check.\n",
          to);
}

int usage_error(const char *verb, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "leat %s: ", verb);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; leat %s -h tells more\n", verb);
    return EXIT_USAGE;
}

/* LEAT_FAULT, for tests. OK: go on; END: the points were told; REJECT: there is no such point. */
static Status read_fault(void) {
    const char *wanted = getenv("LEAT_FAULT");
    Error error = {0};
    Status status = wanted && strcmp(wanted, "list") == 0 ? END : fault_arm(wanted, &error);
    if (status == OK) return OK;
    Buffer list = {0};
    if (status == REJECT) buffer_add_format(&list, "leat: %s\n", error.text);
    fault_list(&list);
    fwrite(list.data, 1, list.size, status == END ? stdout : stderr);
    buffer_free(&list);
    return status;
}

/* Who starts leat with a standard stream closed (`>&-`) must not find its rows in a home, or its
 * log in a lock file, which would get that number. Reading and writing there stay errors. */
static void keep_standard_numbers(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd)
            exit(EXIT_FAILED);
}

/* What could not be told was not done. */
static int told(int exit_status) {
    if (exit_status != EXIT_DONE || (fflush(stdout) == 0 && !ferror(stdout))) return exit_status;
    fputs("leat: standard output could not be written; make room there\n", stderr);
    return EXIT_FAILED;
}

int main(int argc, char **argv) {
    keep_standard_numbers();
    signal(SIGXFSZ,
           SIG_IGN); /* a limit on the size of files is an error of write(), as a full disk is */
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    Status fault = read_fault();
    if (fault != OK) return fault == END ? EXIT_DONE : EXIT_USAGE;
    const char *word = argv[1];
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        help(stdout);
        return told(EXIT_DONE);
    }
    if (strcmp(word, "--version") == 0) word = "version";
    const char *names[VERBS];
    for (int i = 0; i < VERBS; i++) {
        names[i] = verbs[i].name;
        if (strcmp(word, verbs[i].name) == 0) return told(verbs[i].run(argc - 1, argv + 1));
    }
    const char *close = closest_name(word, names, VERBS);
    fprintf(stderr, "leat: there is no verb '%s'", word);
    if (close) fprintf(stderr, "; did you mean '%s'?", close);
    fputs(close ? "\n" : "; leat -h lists them\n", stderr);
    return EXIT_USAGE;
}
