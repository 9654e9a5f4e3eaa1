/* Where verify finds its rows: files, folders and patterns, standard input, and tables of a
 * pipeline file, each read through its connector from the begin to where it ends now. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/table_name.h"
#include "cli/verify.h"
#include "data/jsonb.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20, WAIT_US = 200000, AWAY_MOST_US = 60 * 1000000 };

typedef struct Reading { /* one source */
    Verify *verify;
    Source *source;
    int count;
    bool *over;    /* per partition */
    int64_t *ends; /* per partition: where it ended when reading began; -1: not known */
    int64_t told_us;
} Reading;

static void progress(Reading *r) {
    Env *env = env_system();
    int64_t now = env->monotonic_us(env);
    if (now - r->told_us < 1000000 || !isatty(STDERR_FILENO)) return;
    r->told_us = now;
    fprintf(stderr, "\r%" PRId64 " rows", r->verify->verdict.rows);
}

static void judge_chunk(Reading *r, int partition, const Chunk *chunk) {
    Verdict *verdict = &r->verify->verdict;
    int place = r->verify->partitions + partition;
    for (int i = 0; i < chunk->record_count; i++)
        judge_row(verdict, chunk->records[i].body, place, chunk->records[i].timestamp_us);
    for (Str rest = chunk->bytes; !chunk->records && rest.size;) {
        size_t size = json_format.first(rest, ',', true);
        Str row = jsonb_trim((Str){rest.data, size});
        if (row.size) judge_row(verdict, row, place, INT64_MIN);
        rest = (Str){rest.data + size, rest.size - size};
    }
    progress(r);
}

/* OK: a chunk was judged; AGAIN: nothing now; END: the partition is over. */
static Status read_partition(Reading *r, int partition, Error *error) {
    const SourceType *type = r->source->type;
    Chunk *chunk = NULL;
    bool at_end = false;
    Status status = type->next(r->source, partition, &chunk, &at_end, error);
    if (status == AGAIN) return at_end ? END : AGAIN;
    if (status != OK) return status;
    judge_chunk(r, partition, chunk);
    int64_t end = chunk->end;
    chunk->release(chunk);
    if (r->source->bounded || !type->lag) return OK;
    if (r->ends[partition] < 0) {
        int64_t left = type->lag(r->source, partition, end);
        if (left >= 0) r->ends[partition] = end + left;
    }
    return r->ends[partition] >= 0 && end >= r->ends[partition] ? END : OK;
}

static Status read_partitions(Reading *r, Error *error) {
    const SourceType *type = r->source->type;
    for (int i = 0; i < r->count; i++) {
        r->ends[i] = -1;
        (void)type->partition_name(r->source, i);
        if (type->seek(r->source, i, NO_POSITION, error) != OK) return FAIL;
    }
    for (int left = r->count; left > 0;) {
        bool got = false;
        for (int i = 0; i < r->count; i++) {
            if (r->over[i]) continue;
            Status status = read_partition(r, i, error);
            if (status == FAIL || status == REJECT) return FAIL;
            if (status == OK) got = true;
            if (status != END) continue;
            r->over[i] = true;
            left--;
        }
        if (verify_stopped()) return fail(error, "interrupted; nothing was judged");
        if (!got && left && type->wait) type->wait(r->source, WAIT_US);
    }
    return OK;
}

static Status read_source(Verify *v, const Connector *connector, const SourceContext *context,
                          Error *error) {
    Reading r = {.verify = v};
    if (connector->source->open(context, &r.source, error) != OK) return FAIL;
    Status status;
    Env *env = env_system();
    int64_t since = r.told_us = env->monotonic_us(env);
    while ((status = connector->source->partitions(r.source, &r.count, error)) == AGAIN) {
        if (env->monotonic_us(env) - since > AWAY_MOST_US || verify_stopped()) break;
        log_warning("%s; trying again", error->text);
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
    }
    if (status == OK) {
        r.over = xcalloc((size_t)r.count + 1, sizeof *r.over);
        r.ends = xcalloc((size_t)r.count + 1, sizeof *r.ends);
        status = read_partitions(&r, error);
        v->partitions += r.count;
        free(r.over);
        free(r.ends);
    }
    connector->source->close(r.source);
    return status;
}

static int read_table(Verify *v, const char *file, const char *name, Error *error) {
    Catalog *catalog;
    const Table *table = open_table(file, name, false, &catalog);
    if (!table) return EXIT_USAGE;
    SourceContext context = {.env = env_system(),
                             .table = table->name,
                             .pipeline = catalog->settings.pipeline,
                             .format = table->format,
                             .options = &table->options,
                             .chunk_bytes = CHUNK_BYTES};
    Status status = OK;
    if (table->format != &json_format)
        status = fail(error, "table \"%s\" is not json; the simulator's events are", table->name);
    if (status == OK) status = read_source(v, table->connector, &context, error);
    catalog_free(&catalog);
    return status == OK ? EXIT_DONE : EXIT_FAILED;
}

static int read_input(Verify *v, const char *in, Error *error) {
    char *file;
    const char *table;
    if (is_table_name(in, &file, &table)) {
        int exit_status = read_table(v, file, table, error);
        free(file);
        return exit_status;
    }
    OptionValue path = {.name = "path", .text = in, .given = true};
    Options options = {1, &path};
    SourceContext context = {.env = env_system(),
                             .table = "--in",
                             .pipeline = "verify",
                             .format = &json_format,
                             .options = &options,
                             .chunk_bytes = CHUNK_BYTES};
    return read_source(v, connector_find("file"), &context, error) == OK ? EXIT_DONE : EXIT_FAILED;
}

int verify_read(Verify *v) {
    int exit_status = EXIT_DONE;
    for (int i = 0; i < v->input_count && exit_status == EXIT_DONE; i++) {
        Error error = {0};
        exit_status = read_input(v, v->inputs[i], &error);
        if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
        if (exit_status != EXIT_DONE && *error.text)
            fprintf(stderr, "leat verify: %s\n", error.text);
    }
    return exit_status;
}
