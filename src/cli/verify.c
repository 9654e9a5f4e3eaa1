/* leat verify: what arrived, read from files or from a table of a pipeline file, against what leat
 * generate's ledgers say was sent; a table for people or JSON for machines, and exit status 1 when
 * a limit is broken. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/table_name.h"
#include "cli/verify.h"
#include "data/jsonb.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

static const char HELP[] =
    "usage: leat verify --ledger FILE --in WHERE [options]\n\n"
    "Compares what arrived with what leat generate sent, event by event, as JSON values: the order "
    "of keys, blanks and\n"
    "the spelling of numbers do not matter, times are compared as instants. Rows may have more "
    "columns than the event, or\n"
    "fewer: then those are compared that a row has. Every row needs eventId.\n\n"
    "  --ledger FILE        what was sent; may be given several times\n"
    "  --in WHERE           a file, folder or pattern of JSON lines, - for standard input, or "
    "FILE.sql:TABLE\n"
    "  --deduplicated       a copy that was sent may not arrive\n"
    "  --max-missing N      events of which nothing arrived; default 0\n"
    "  --max-unexpected N   rows of events that were never sent; default 0\n"
    "  --max-duplicated N   rows beyond what was sent; default 0\n"
    "  --max-changed N      rows that differ from their event; default 0\n"
    "  --json               the result as JSON\n"
    "  -h                   this help\n\n"
    "Exit status: 0 within the limits, 1 not, 2 wrong usage.\n";

enum { CHUNK_BYTES = 1 << 20, WAIT_US = 200000, AWAY_MOST_US = 60 * 1000000 };

typedef struct Verify {
    const char *in;
    const char *ledgers[LEDGERS_MOST];
    int64_t limits[WRONGS];
    bool json;
    Verdict verdict;
} Verify;

/* ---- arguments ---- */

static Status read_limit(const char *name, const char *text, int64_t *out) {
    char *end;
    *out = strtoll(text, &end, 10);
    if (*text && !*end && *out >= 0) return OK;
    usage_error("verify", "%s expects a whole number, got '%s'", name, text);
    return FAIL;
}

static int limit_of(const char *name) {
    if (strncmp(name, "--max-", 6) != 0) return -1;
    for (int i = 0; i < WRONGS; i++)
        if (strcmp(name + 6, wrong_names[i]) == 0) return i;
    return -1;
}

static Status unknown_argument(const char *word) {
    static const char *const names[] = {
        "ledger",         "in",          "deduplicated", "max-missing", "max-unexpected",
        "max-duplicated", "max-changed", "json"};
    const char *closest = strncmp(word, "--", 2) == 0 ? closest_name(word + 2, names, 8) : NULL;
    if (closest) usage_error("verify", "unknown option '%s'; did you mean '--%s'?", word, closest);
    else usage_error("verify", "unknown argument '%s'", word);
    return FAIL;
}

/* OK; END: help was shown; FAIL: a usage error was told. */
static Status read_arguments(int argc, char **argv, Verify *v) {
    Verdict *verdict = &v->verdict;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i], *value = strchr(word, '=');
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        if (strcmp(word, "--json") == 0 || strcmp(word, "--deduplicated") == 0) {
            *(word[2] == 'j' ? &v->json : &verdict->deduplicated) = true;
            continue;
        }
        if (value) *value++ = 0;
        int limit = limit_of(word);
        bool ledger = strcmp(word, "--ledger") == 0, in = strcmp(word, "--in") == 0;
        if (limit < 0 && !ledger && !in) return unknown_argument(word);
        if (!value && i + 1 < argc) value = argv[++i];
        if (!value) return usage_error("verify", "%s needs a value", word), FAIL;
        if (limit >= 0 && read_limit(word, value, &v->limits[limit]) != OK) return FAIL;
        if (in) v->in = value;
        if (!ledger) continue;
        if (verdict->sent_count == LEDGERS_MOST)
            return usage_error("verify", "at most %d ledgers are possible", LEDGERS_MOST), FAIL;
        v->ledgers[verdict->sent_count++] = value;
    }
    if (!verdict->sent_count)
        return usage_error("verify", "--ledger FILE is missing: what leat generate --ledger wrote"),
               FAIL;
    if (!v->in) return usage_error("verify", "--in is missing: a file, - or FILE.sql:TABLE"), FAIL;
    return OK;
}

/* ---- rows ---- */

static void judge_chunk(Verdict *verdict, const Chunk *chunk) {
    for (int i = 0; i < chunk->record_count; i++) judge_row(verdict, chunk->records[i].body);
    for (Str rest = chunk->bytes; !chunk->records && rest.size;) {
        size_t size = json_format.first(rest, ',', true);
        Str row = jsonb_trim((Str){rest.data, size});
        if (row.size) judge_row(verdict, row);
        rest = (Str){rest.data + size, rest.size - size};
    }
}

/* A source without an end is read as far as it goes now. */
static Status read_partitions(Verify *v, Source *source, int count, Error *error) {
    const SourceType *type = source->type;
    bool *over = xcalloc((size_t)count, sizeof *over);
    Status status = OK;
    for (int i = 0; i < count && status == OK; i++) {
        (void)type->partition_name(source, i);
        status = type->seek(source, i, NO_POSITION, error);
    }
    for (int left = count; left > 0 && status == OK;) {
        bool got = false;
        for (int i = 0; i < count && status == OK; i++) {
            Chunk *chunk = NULL;
            bool at_end = false;
            if (over[i]) continue;
            Status next = type->next(source, i, &chunk, &at_end, error);
            if (next == FAIL) status = FAIL;
            if (next == OK) {
                got = true;
                judge_chunk(&v->verdict, chunk);
                chunk->release(chunk);
            } else if (next == END || (next == AGAIN && at_end)) {
                over[i] = true;
                left--;
            }
        }
        if (!got && left && status == OK && type->wait) type->wait(source, WAIT_US);
    }
    free(over);
    return status;
}

static Status read_source(Verify *v, const Connector *connector, const SourceContext *context,
                          Error *error) {
    Source *source = NULL;
    if (connector->source->open(context, &source, error) != OK) return FAIL;
    int count = 0;
    Status status;
    Env *env = env_system();
    int64_t since = env->monotonic_us(env);
    while ((status = connector->source->partitions(source, &count, error)) == AGAIN) {
        if (env->monotonic_us(env) - since > AWAY_MOST_US) break;
        log_warning("%s; trying again", error->text);
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
    }
    if (status == OK) status = read_partitions(v, source, count, error);
    connector->source->close(source);
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

static int read_rows(Verify *v, Error *error) {
    char *file;
    const char *table;
    if (is_table_name(v->in, &file, &table)) {
        int exit_status = read_table(v, file, table, error);
        free(file);
        return exit_status;
    }
    OptionValue path = {.name = "path", .text = v->in, .given = true};
    Options options = {1, &path};
    SourceContext context = {.env = env_system(),
                             .table = "--in",
                             .pipeline = "verify",
                             .format = &json_format,
                             .options = &options,
                             .chunk_bytes = CHUNK_BYTES};
    return read_source(v, connector_find("file"), &context, error) == OK ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the result ---- */

static const char *thousands(int64_t value, char to[32]) {
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRId64, value), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at] = 0;
    return to;
}

static bool within_limits(const Verify *v) {
    for (int i = 0; i < WRONGS; i++)
        if (v->verdict.wrong[i] > v->limits[i]) return false;
    return true;
}

static void tell_people(const Verify *v) {
    const Verdict *r = &v->verdict;
    static const char *const meanings[WRONGS] = {
        "events of which nothing arrived", "rows of events that were never sent",
        "rows beyond what was sent", "rows that differ from their event"};
    char a[32], b[32], c[32], d[32];
    printf("sent        %12s events, %s of them late; beside them %s copies, %s broken records\n",
           thousands(r->events, a), thousands(r->late, b), thousands(r->copies, c),
           thousands(r->broken, d));
    printf("arrived     %12s rows, %s of them broken records; %s copies did not arrive\n\n",
           thousands(r->rows, a), thousands(r->broken_rows, b), thousands(r->missing_copies, c));
    for (int i = 0; i < WRONGS; i++) {
        printf("%-11s %12s  %-36s limit %-8s %s\n", wrong_names[i], thousands(r->wrong[i], a),
               meanings[i], thousands(v->limits[i], b),
               r->wrong[i] > v->limits[i] ? "BROKEN" : "ok");
        for (int k = 0; k < EXAMPLES && k < r->wrong[i] && r->examples[i][k][0]; k++)
            printf("              %s\n", r->examples[i][k]);
    }
    if (r->missing_late)
        printf("\n%s of the missing events were sent late.\n", thousands(r->missing_late, a));
    for (int i = 0; i < r->sent_count; i++)
        if (!r->sents[i].ledger.ended)
            printf("\nThe run of '%s' was killed: what it sent behind its last entry is not judged "
                   "(%s rows).\n",
                   v->ledgers[i], thousands(r->sents[i].beyond, a));
    printf("\ncompared:");
    for (int i = 0; i < MEMBER_OTHER; i++)
        if (r->row_compared[i]) printf(" %s", member_names[i]);
    printf("%s\n%s\n", r->row_compared[MEMBER_OTHER] ? "; the rows have other columns too" : "",
           within_limits(v) ? "verified" : "NOT verified");
}

static void tell_machines(const Verify *v) {
    const Verdict *r = &v->verdict;
    Buffer out = {0};
    buffer_add_format(&out,
                      "{\"ok\":%s,\"sent\":%" PRId64 ",\"late\":%" PRId64 ",\"copies\":%" PRId64
                      ",\"broken\":%" PRId64,
                      within_limits(v) ? "true" : "false", r->events, r->late, r->copies,
                      r->broken);
    buffer_add_format(&out,
                      ",\"arrived\":%" PRId64 ",\"arrived_broken\":%" PRId64
                      ",\"missing_copies\":%" PRId64 ",\"missing_late\":%" PRId64,
                      r->rows, r->broken_rows, r->missing_copies, r->missing_late);
    for (int i = 0; i < WRONGS; i++)
        buffer_add_format(&out, ",\"%s\":%" PRId64, wrong_names[i], r->wrong[i]);
    for (int i = 0; i < WRONGS; i++)
        buffer_add_format(&out, "%s\"%s\":%" PRId64, i ? "," : ",\"limits\":{", wrong_names[i],
                          v->limits[i]);
    buffer_add_text(&out, "},\"compared\":[");
    for (int i = 0, n = 0; i < MEMBER_OTHER; i++)
        if (r->row_compared[i])
            buffer_add_format(&out, "%s\"%s\"", n++ ? "," : "", member_names[i]);
    buffer_add_text(&out, "],\"examples\":{");
    for (int i = 0; i < WRONGS; i++) {
        buffer_add_format(&out, "%s\"%s\":[", i ? "," : "", wrong_names[i]);
        for (int k = 0; k < EXAMPLES && k < r->wrong[i] && r->examples[i][k][0]; k++) {
            if (k) buffer_add_char(&out, ',');
            json_string(str_from(r->examples[i][k]), &out);
        }
        buffer_add_char(&out, ']');
    }
    buffer_add_text(&out, "}}\n");
    fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
}

static int verify(Verify *v) {
    Error error = {0};
    Verdict *verdict = &v->verdict;
    for (int i = 0; i < verdict->sent_count; i++)
        if (ledger_read(v->ledgers[i], &verdict->sents[i].ledger, &error) != OK) {
            fprintf(stderr, "leat verify: %s\n", error.text);
            return EXIT_FAILED;
        }
    verdict->event = xcalloc(1, sizeof *verdict->event);
    int exit_status = read_rows(v, &error);
    if (exit_status != EXIT_DONE) {
        if (*error.text) fprintf(stderr, "leat verify: %s\n", error.text);
        return exit_status;
    }
    judge_end(verdict);
    if (v->json) tell_machines(v);
    else tell_people(v);
    return within_limits(v) ? EXIT_DONE : EXIT_FAILED;
}

int verify_main(int argc, char **argv) {
    Verify v = {0};
    Status status = read_arguments(argc, argv, &v);
    int exit_status = status == OK ? verify(&v) : status == END ? EXIT_DONE : EXIT_USAGE;
    for (int i = 0; i < v.verdict.sent_count; i++) free(v.verdict.sents[i].seen);
    free(v.verdict.event);
    buffer_free(&v.verdict.text);
    arena_free(&v.verdict.arena);
    return exit_status;
}
