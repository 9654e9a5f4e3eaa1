/* leat generate: the simulator's events to a file, to standard output, or into a table of a
 * pipeline file. What is sent depends on seed and start alone; the ledger remembers them and how
 * far it came. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table_name.h"
#include "connector/generator/generator.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "usage: leat generate [options]\n\n"
    "Makes the events of a fleet of devices, about 850 bytes of JSON each, one a line.\n\n"
    "  --events N        how many; default: until Ctrl-C\n"
    "  --rate N          events a second; default 0: as fast as possible (event time: 1000 a "
    "second)\n"
    "  --devices N       devices that take turns; default 1000\n"
    "  --fields N        members of complexData; default 23\n"
    "  --duplicates P    probability that an event is sent again, same bytes; default 0.001\n"
    "  --disorder T      how far events are out of order, like '2 seconds'; default 0\n"
    "  --bad P           probability of a broken record beside the event; default 0\n"
    "  --late P          probability that an event is sent 30 s after its time; default 0\n"
    "  --start TIME      event time of the first; default: now, or 2026-01-01T00:00:00Z when a "
    "seed is given\n"
    "  --seed N          same seed, same bytes; default: by chance\n"
    "  --to WHERE        a file (written anew), - for standard output (default), or "
    "FILE.sql:TABLE, a table of\n"
    "                    a pipeline file: its records then have no key\n"
    "  --ledger FILE     remember what was sent, for leat verify\n"
    "  -h                this help\n";

enum { FLUSH_BYTES = 256 << 10, PAUSE_US = 10000, GIVE_UP_US = 60 * 1000000 };

static volatile sig_atomic_t stopped;
static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

typedef struct Generate {
    Options options; /* of the simulator */
    const char *to, *ledger_path;
    Ledger ledger;
    int64_t events; /* -1: until stopped */
    FILE *ledger_file;
    Buffer pending;
    int fd;
    Sink *sink; /* NULL: to fd */
    Catalog *catalog;
    int64_t records, bytes;
    int64_t started_us, synced_us;
} Generate;

/* ---- arguments ---- */

static const Option *find_option(const char *name) {
    for (const Option *o = generator_options; o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

static int unknown_option(const char *word) {
    const char *names[32];
    int count = 0;
    for (const Option *o = generator_options; o->name; o++) names[count++] = o->name;
    names[count++] = "to";
    names[count++] = "ledger";
    const char *closest =
        word[0] == '-' && word[1] == '-' ? closest_name(word + 2, names, count) : NULL;
    if (closest)
        return usage_error("generate", "unknown option '%s'; did you mean '--%s'?", word, closest);
    return usage_error("generate", "unknown argument '%s'", word);
}

/* OK; END: help was shown; FAIL: a usage error was told. */
static Status read_arguments(int argc, char **argv, Generate *g) {
    g->options.values = xcalloc((size_t)argc + 16, sizeof *g->options.values);
    for (int i = 1; i < argc; i++) {
        char *word = argv[i], *equals = strchr(word, '=');
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        size_t size = equals ? (size_t)(equals - word) : strlen(word);
        char name[32] = "";
        if (size > 2 && size < sizeof name + 2 && strncmp(word, "--", 2) == 0)
            memcpy(name, word + 2, size - 2);
        const Option *option = find_option(name);
        bool to = strcmp(name, "to") == 0, ledger = strcmp(name, "ledger") == 0;
        if (!option && !to && !ledger) return unknown_option(word), FAIL;
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value) return usage_error("generate", "--%s needs a value", name), FAIL;
        if (to) g->to = value;
        if (ledger) g->ledger_path = value;
        if (!option) continue;
        Error error;
        OptionValue parsed;
        if (option_parse(option, value, &parsed, &error) != OK)
            return usage_error("generate", "%s", error.text), FAIL;
        OptionValue *slot = (OptionValue *)(uintptr_t)option_find(&g->options, name);
        if (!slot) slot = &g->options.values[g->options.count++];
        *slot = parsed;
    }
    return OK;
}

static Status settle(Generate *g) {
    Error error;
    Env *env = env_system();
    EventSpec *spec = &g->ledger.spec;
    if (generator_spec(&g->options, spec, &error) != OK)
        return usage_error("generate", "%s", error.text), FAIL;
    const OptionValue *seed = option_find(&g->options, "seed"),
                      *start = option_find(&g->options, "start");
    if (seed) spec->seed = (uint64_t)seed->integer;
    else env->random_bytes(env, &spec->seed, sizeof spec->seed);
    const int64_t fixed_us =
        INT64_C(1767225600000000); /* 2026-01-01: so that a seed alone gives the same bytes */
    g->ledger.segments[0].time_us = start ? start->integer : seed ? fixed_us : env->now_us(env);
    g->events = option_int(&g->options, "events", -1);
    return OK;
}

/* ---- where it goes ---- */

static int open_sink(Generate *g, const char *file, const char *name) {
    Table *table = open_table(file, name, true, &g->catalog);
    if (!table) return EXIT_USAGE;
    Field *fields = arena_new_array(g->catalog->arena, Field, table->column_count);
    for (int i = 0; i < table->column_count; i++)
        fields[i] = (Field){table->columns[i].name, table->columns[i].type, false};
    Schema *schema = arena_new_array(g->catalog->arena, Schema, 1);
    *schema = (Schema){table->column_count, fields};
    SinkContext context = {.env = env_system(),
                           .table = table->name,
                           .pipeline = g->catalog->settings.pipeline,
                           .home_id = "",
                           .schema = schema,
                           .options = &table->options};
    const SinkType *type = table->connector->sink;
    Error error = {0};
    bool json = strcmp(option_text(&table->options, "format", "json"), "json") == 0;
    Status status = type->encode_record && json
                        ? OK
                        : fail(&error,
                               "table %s takes no JSON records as they are; name one of a file or "
                               "a topic, with format = 'json'",
                               table->name);
    int wrong = status == OK ? EXIT_FAILED : EXIT_USAGE;
    if (status == OK) status = type->open(&context, &g->sink, &error);
    if (status == OK && g->sink->way == SINK_BY_LENGTH) {
        status = type->check(g->sink, &error);
        if (status == OK) status = type->recover(g->sink, false, 0, &error);
    }
    if (status == OK) return EXIT_DONE;
    fprintf(stderr, "leat generate: %s\n", error.text);
    return wrong;
}

static int open_output(Generate *g) {
    char *file;
    const char *table;
    if (is_table_name(g->to, &file, &table)) {
        int status = open_sink(g, file, table);
        free(file);
        return status;
    }
    g->fd = STDOUT_FILENO;
    if (strcmp(g->to, "-") == 0) return EXIT_DONE;
    g->fd = open(g->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (g->fd >= 0) return EXIT_DONE;
    fprintf(stderr, "leat generate: cannot write '%s': %s\n", g->to, strerror(errno));
    return EXIT_FAILED;
}

static Status write_all(Generate *g, Error *error) {
    const char *at = g->pending.data;
    size_t left = g->pending.size;
    while (left) {
        ssize_t size = write(g->fd, at, left);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EPIPE) {
            stopped = 1; /* the reader has enough, as head(1) does */
            break;
        }
        if (size < 0) return fail(error, "cannot write '%s': %s", g->to, strerror(errno));
        at += size;
        left -= (size_t)size;
    }
    return OK;
}

/* A sink may be away for a while; it is tried again until it has taken all, or for a minute. */
static Status to_sink(Generate *g, bool sync, Error *error) {
    int64_t length, since = env_system()->monotonic_us(env_system());
    for (bool told = false;; told = true) {
        Status status = sync ? g->sink->type->sync(g->sink, &length, error)
                             : g->sink->type->write(g->sink, buffer_str(&g->pending), error);
        if (status != AGAIN) return status;
        if (!told) log_warning("%s; trying again", error->text);
        if (env_system()->monotonic_us(env_system()) - since > GIVE_UP_US) return FAIL;
        struct timespec pause = {.tv_nsec = 100000000};
        if (!sync) nanosleep(&pause, NULL);
    }
}

static Status flush(Generate *g, bool sync, Error *error) {
    Status status = OK;
    if (g->pending.size) status = g->sink ? to_sink(g, false, error) : write_all(g, error);
    g->bytes += (int64_t)g->pending.size;
    g->pending.size = 0;
    if (status != OK || !sync) return status;
    if (g->sink) status = to_sink(g, true, error);
    if (status == OK && g->ledger_file)
        status = ledger_advance(g->ledger_file, g->ledger_path, g->ledger.sent,
                                env_system()->now_us(env_system()), false, error);
    return status;
}

/* ---- events ---- */

static void add_record(Generate *g, EventWriter *writer, const Event *event, EventKind kind,
                       char *scratch) {
    Str record = {scratch, event_write(writer, event, kind, scratch)};
    g->records++;
    if (g->sink) {
        g->sink->type->encode_record(g->sink, record, &g->pending);
        return;
    }
    buffer_add_str(&g->pending, record);
    buffer_add_char(&g->pending, '\n');
}

static void progress(const Generate *g, int64_t now, bool last) {
    double seconds = (double)(now - g->started_us) / 1e6;
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r%" PRId64 " events, %" PRId64 " records, %.0f events/s%s", g->ledger.sent,
            g->records, seconds > 0 ? (double)g->ledger.sent / seconds : 0.0, last ? "\n" : "");
}

/* Years before 1 and after 9999 can be written by nobody. */
static Status check_time(const Event *event, Error *error) {
    const int64_t first_us = INT64_C(-62135596800000000), end_us = INT64_C(253402300800000000);
    if (event->created_us >= first_us && event->created_us < end_us) return OK;
    return fail(error,
                "event %" PRId64 " would be outside the years 1 to 9999; choose another --start",
                event->number);
}

static Status send_events(Generate *g, Error *error) {
    Env *env = env_system();
    EventWriter *writer = event_writer_new(&g->ledger.spec);
    Event *event = xmalloc(sizeof *event);
    char *scratch = xmalloc(event_bytes_most(writer));
    Status status = OK;
    g->started_us = g->synced_us = env->monotonic_us(env);
    double rate = g->ledger.spec.rate;
    while (!stopped && status == OK && (g->events < 0 || g->ledger.sent < g->events)) {
        int64_t now = env->monotonic_us(env), due = INT64_MAX;
        if (rate > 0) due = (int64_t)((double)(now - g->started_us) * rate / 1e6) + 1;
        if (g->events >= 0 && due > g->events) due = g->events;
        while (g->ledger.sent < due && g->pending.size < FLUSH_BYTES && !stopped) {
            event_of(&g->ledger.spec, g->ledger.segments[0], g->ledger.sent, event);
            if ((status = check_time(event, error)) != OK) break;
            g->ledger.sent++;
            event_fields(&g->ledger.spec, event);
            add_record(g, writer, event, EVENT_ITSELF, scratch);
            if (event->copied) add_record(g, writer, event, EVENT_COPY, scratch);
            if (event->broken) add_record(g, writer, event, EVENT_BROKEN, scratch);
        }
        bool idle = g->pending.size < FLUSH_BYTES, second = now - g->synced_us >= 1000000;
        if (status == OK) status = flush(g, second, error);
        if (second) {
            g->synced_us = now;
            progress(g, now, false);
        }
        struct timespec pause = {.tv_nsec = PAUSE_US * 1000};
        if (idle && rate > 0 && !stopped && g->ledger.sent != g->events) nanosleep(&pause, NULL);
    }
    Error ignored;
    if (status == OK) status = flush(g, true, error);
    else if (!g->sink) (void)!flush(g, false, &ignored); /* what came before */
    progress(g, env->monotonic_us(env), true);
    free(scratch);
    free(event);
    event_writer_free(&writer);
    return status;
}

/* Two names of one file: events and ledger would be written over one another. */
static bool is_one_file(const char *a, const char *b) {
    struct stat first, second;
    if (strcmp(a, b) == 0) return true;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && S_ISREG(first.st_mode) &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static int generate(Generate *g) {
    if (g->ledger_path && is_one_file(g->ledger_path, g->to))
        return usage_error("generate",
                           "--ledger and --to both name '%s'; the ledger needs a file of "
                           "its own",
                           g->to);
    int exit_status = open_output(g);
    if (exit_status != EXIT_DONE) return exit_status;
    Error error = {0};
    Status status = OK;
    if (g->ledger_path) status = ledger_create(g->ledger_path, &g->ledger, &g->ledger_file, &error);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (status == OK) status = send_events(g, &error);
    if (status == OK && g->fd > STDERR_FILENO && close(g->fd) != 0)
        status = fail(&error, "cannot write '%s': %s", g->to, strerror(errno));
    if (status == OK && g->ledger_file)
        status = ledger_advance(g->ledger_file, g->ledger_path, g->ledger.sent,
                                env_system()->now_us(env_system()), true, &error);
    if (g->ledger_file && fclose(g->ledger_file) != 0 && status == OK)
        status = fail(&error, "cannot write the ledger '%s': %s", g->ledger_path, strerror(errno));
    if (status == OK) return EXIT_DONE;
    fprintf(stderr, "leat generate: %s\n", error.text);
    return EXIT_FAILED;
}

int generate_main(int argc, char **argv) {
    Generate g = {.to = "-", .fd = -1};
    Status status = read_arguments(argc, argv, &g);
    if (status == OK) status = settle(&g);
    int exit_status = status == OK ? generate(&g) : status == END ? EXIT_DONE : EXIT_USAGE;
    if (g.sink) g.sink->type->close(g.sink);
    if (g.catalog) catalog_free(&g.catalog);
    free(g.options.values);
    buffer_free(&g.pending);
    return exit_status;
}
