/* leat check-home: whether a home is whole, and what to do when it is not. The report goes to
 * standard output; how far it has come to standard error, when somebody watches. */
#include "cli/cli.h"
#include "state/home.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "usage: leat check-home HOME|FILE.sql\n\n"
    "Looks through a pipeline's home for damage: SQLite's pages and indexes, the checksum of "
    "every\n"
    "row, rows that are missing, state and what sinks are owed, and whether it is the newest "
    "copy.\n"
    "It changes nothing and may run beside the pipeline.\n\n"
    "  -h   this help\n\n"
    "Exit status: 0 the home is whole, 1 it is damaged or cannot be read, 2 wrong usage.\n";

typedef struct Watch {
    time_t told;
    bool watched, line;
} Watch;

static void clear_line(Watch *w) {
    if (w->line) fputs("\r\033[K", stderr);
    w->line = false;
}

static void tell_damage(void *context, HomeDamage kind, const char *what) {
    static const char *const kinds[DAMAGE_KINDS] = {
        [DAMAGE_PAGES] = "pages", [DAMAGE_HOME] = "home",       [DAMAGE_OLD] = "old copy",
        [DAMAGE_VIEW] = "view",   [DAMAGE_REJECT] = "bad rows",
    };
    clear_line(context);
    printf("damaged: %s: %s\n", kinds[kind], what);
}

static void tell_progress(void *context, const char *stage, int64_t rows) {
    Watch *w = context;
    time_t now = time(NULL);
    if (!w->watched || now == w->told) return;
    w->told = now;
    w->line = true;
    fprintf(stderr, "\r\033[Kchecking %s, %" PRId64 " rows so far", stage, rows);
}

static void tell_summary(const char *path, const HomeSummary *s) {
    int64_t damaged = 0;
    for (int i = 0; i < DAMAGE_KINDS; i++) damaged += s->damaged[i];
    printf("%s: %s of pipeline %s, epoch %" PRId64 ": %d view%s with %" PRId64 " row%s, %" PRId64
           " KB of state, %" PRId64 " KB owed to sinks, %" PRId64 " late and bad rows\n",
           path, s->finished ? "finished home" : "home", s->pipeline, s->epoch, s->views,
           s->views == 1 ? "" : "s", s->view_rows, s->view_rows == 1 ? "" : "s",
           (s->state_bytes + 1023) >> 10, (s->owed_bytes + 1023) >> 10, s->rejects);
    if (!damaged) {
        printf("%s is whole\n", path);
        return;
    }
    printf("%s is damaged in %" PRId64 " place%s\n", path, damaged, damaged == 1 ? "" : "s");
    if (s->damaged[DAMAGE_PAGES] || s->damaged[DAMAGE_HOME])
        puts("what to do: put back a good copy (docs/operations.md, Backup), or start over with "
             "leat run --fresh");
    else if (s->damaged[DAMAGE_OLD])
        puts("what to do: put the newest copy back with its -wal file; if this is the one to go on "
             "from, remove its .lock file");
    else if (s->damaged[DAMAGE_VIEW])
        puts("what to do: state and sinks are whole, rows of a view are not: put back a good copy, "
             "or make the view anew with leat run --reset NAME");
    else puts("what to do: nothing; only rows kept for people to look at are damaged");
}

static bool is_pipeline(const char *name) {
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".sql") == 0;
}

static int check(const char *path) {
    Watch watch = {.watched = isatty(STDERR_FILENO), .told = time(NULL)};
    HomeCheck to = {.context = &watch, .damage = tell_damage, .progress = tell_progress};
    HomeSummary summary;
    Error error = {0};
    Status status = home_check(path, &to, &summary, &error);
    clear_line(&watch);
    if (status != OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILED;
    }
    tell_summary(path, &summary);
    for (int i = 0; i < DAMAGE_KINDS; i++)
        if (summary.damaged[i]) return EXIT_FAILED;
    return EXIT_DONE;
}

int check_home_main(int argc, char **argv) {
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            fputs(HELP, stdout);
            return EXIT_DONE;
        }
        if (argv[i][0] == '-' && argv[i][1])
            return usage_error("check-home", "unknown option %s", argv[i]);
        if (file) return usage_error("check-home", "one home at a time: %s or %s", file, argv[i]);
        file = argv[i];
    }
    if (!file) return usage_error("check-home", "which home? name its file or its FILE.sql");
    if (!is_pipeline(file)) return check(file);
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    if (pipeline_plan(file, &catalog, &plan) != OK) return EXIT_USAGE;
    int result = check(catalog->settings.home);
    plan_free(&plan);
    catalog_free(&catalog);
    return result;
}
