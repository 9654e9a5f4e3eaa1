/* leat sql: one SELECT over files or standard input, as a Unix filter. No home; reads to the end;
 * nothing is late. Without ORDER BY rows leave as they come; with it they are held and sorted at
 * the end. */
#include "cli/cli.h"
#include "cli/sql_input.h"
#include "cli/sql_output.h"
#include "engine/engine.h"
#include "base/log.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char HELP[] =
    "usage: leat sql [options] \"SELECT … FROM input …\" [FILE…]\n\n"
    "Queries files, or standard input, as the table `input`. Its columns are those of the first "
    "1,000 records:\n"
    "integers are bigint, other numbers double precision, objects jsonb, all else text.\n"
    "Reads NDJSON; a file that ends in .csv is CSV with a header line.\n\n"
    "  --format F        json (one object a line; default), csv, or table (default on a terminal)\n"
    "  --input-format F  json, csv or json_array (one array a file), whatever the file is called\n"
    "  -h                this help\n\n"
    "Bad records are counted on standard error; then the exit status is 1.\n";

typedef struct AdHoc {
    Plan *plan;
    Engine *engine;
    Output *output;
    Arena *arena;
    Value **rows; /* held for sorting */
    size_t row_count, row_capacity;
    int64_t seen, shown;
    int64_t bad;
    char first_bad[512];
} AdHoc;

static Engine *running;
static volatile sig_atomic_t stopped;
static void on_signal(int number) {
    (void)number;
    stopped = 1;
    if (running) engine_stop(running);
}

static void collect(void *context, const Batch *batch) {
    AdHoc *q = context;
    int columns = batch->column_count;
    for (int row = 0; row < batch->rows; row++) {
        if (!q->plan->order_count) {
            if (q->seen++ < q->plan->offset) continue;
            if (q->plan->limit >= 0 && q->shown >= q->plan->limit) {
                engine_stop(q->engine);
                return;
            }
            Value *values = arena_alloc(batch->arena, sizeof *values * (size_t)(columns + 1));
            for (int c = 0; c < columns; c++) values[c] = column_value(&batch->columns[c], row);
            output_row(q->output, values);
            q->shown++;
            continue;
        }
        if (q->row_count == q->row_capacity) {
            q->row_capacity = q->row_capacity ? q->row_capacity * 2 : 1024;
            q->rows = xrealloc(q->rows, sizeof *q->rows * q->row_capacity);
        }
        Value *values = arena_alloc(q->arena, sizeof *values * (size_t)(columns + 1));
        for (int c = 0; c < columns; c++)
            values[c] = value_copy(column_value(&batch->columns[c], row), q->arena);
        q->rows[q->row_count++] = values;
    }
}

static void rejected(void *context, const char *reason) {
    AdHoc *q = context;
    if (q->bad++ == 0) snprintf(q->first_bad, sizeof q->first_bad, "%s", reason);
}

static int compare_rows(const void *a, const void *b, void *context) {
    const AdHoc *q = context;
    const Value *left = *(Value *const *)a, *right = *(Value *const *)b;
    for (int i = 0; i < q->plan->order_count; i++) {
        const PlanOrder *order = &q->plan->order[i];
        const Value *x = &left[order->column], *y = &right[order->column];
        if (x->null || y->null) {
            if (x->null == y->null) continue;
            return x->null == order->nulls_first ? -1 : 1;
        }
        int result = value_compare(*x, *y);
        if (result) return order->descending ? -result : result;
    }
    return 0;
}

static void print_sorted(AdHoc *q) {
    if (q->row_count) qsort_r(q->rows, q->row_count, sizeof *q->rows, compare_rows, q);
    for (size_t i = 0; i < q->row_count; i++) {
        if ((int64_t)i < q->plan->offset) continue;
        if (q->plan->limit >= 0 && q->shown >= q->plan->limit) break;
        output_row(q->output, q->rows[i]);
        q->shown++;
    }
}

typedef struct Arguments {
    const char *query;
    const char **files;
    int file_count;
    OutputFormat format;
    const Format *input; /* NULL: by the file's name */
} Arguments;

static Status read_arguments(int argc, char **argv, Arguments *a, Arena *arena) {
    a->files = arena_new_array(arena, const char *, argc + 1);
    a->format = isatty(STDOUT_FILENO) ? OUTPUT_TABLE : OUTPUT_JSON;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        bool format = strncmp(word, "--format", 8) == 0,
             input = strncmp(word, "--input-format", 14) == 0;
        if (format || input) {
            size_t size = format ? 8 : 14;
            const char *value = word[size] == '='                 ? word + size + 1
                                : word[size] == 0 && i + 1 < argc ? argv[++i]
                                                                  : "";
            bool json = strcmp(value, "json") == 0 || strcmp(value, "ndjson") == 0,
                 csv = strcmp(value, "csv") == 0;
            bool table = format && strcmp(value, "table") == 0,
                 array = input && strcmp(value, "json_array") == 0;
            if (!json && !csv && !table && !array) {
                usage_error("sql", "%.*s wants json%s or csv, not '%s'", (int)size, word,
                            format ? ", table" : ", json_array", value);
                return FAIL;
            }
            if (format) a->format = json ? OUTPUT_JSON : csv ? OUTPUT_CSV : OUTPUT_TABLE;
            else a->input = json ? &json_format : csv ? &csv_format : &json_array_format;
        } else if (word[0] == '-' && word[1]) {
            usage_error("sql", "unknown option %s", word);
            return FAIL;
        } else if (!a->query) {
            a->query = word;
        } else {
            a->files[a->file_count++] = word;
        }
    }
    if (!a->query) {
        usage_error("sql", "which query? give it in quotes");
        return FAIL;
    }
    if (!a->file_count) a->files[a->file_count++] = "-";
    bool given = a->input != NULL;
    for (int i = 0; i < a->file_count && !given; i++) {
        size_t size = strlen(a->files[i]);
        bool csv = size > 4 && strcmp(a->files[i] + size - 4, ".csv") == 0;
        if (i && csv != (a->input == &csv_format)) {
            usage_error("sql", "%s is %s, %s is not; query one kind of files at a time",
                        a->files[csv ? i : 0], "CSV", a->files[csv ? 0 : i]);
            return FAIL;
        }
        a->input = csv ? &csv_format : &json_format;
    }
    return OK;
}

/* The catalog of the query: the table `input` over the files, with the columns that they show. */
static Status make_catalog(const Arguments *a, Arena *arena, Catalog **catalog, Error *error) {
    Buffer head = {0}, paths = {0};
    Status status = OK;
    Schema schema = {0};
    Inference *columns = inference_new(arena);
    size_t least = a->input == &json_array_format ? 4 << 20 : 0; /* it may have few lines */
    bool more = true;
    for (int i = 0; i < a->file_count && status == OK && more; i++) {
        head.size = 0;
        status = strcmp(a->files[i], "-") == 0
                     ? read_stdin_head(least, &head, error)
                     : read_head(&a->files[i], least, &head, arena, error);
        const char *tool = status == OK ? packer_of(buffer_str(&head)) : NULL;
        if (tool)
            status =
                fail(error, "%s is compressed; unpack it: %s FILE | leat sql …", a->files[i], tool);
        if (status == OK) more = inference_look(columns, buffer_str(&head), a->input, ',');
    }
    if (status == OK) status = inference_schema(columns, &schema, error);
    inference_free(&columns);
    for (int i = 0; i < a->file_count; i++)
        buffer_add_format(&paths, "%s%s", i ? "\n" : "", a->files[i]);
    OptionValue *values = arena_new_array(arena, OptionValue, 2); /* the catalog keeps them */
    values[0] =
        (OptionValue){.name = "path", .given = true, .text = arena_text(arena, buffer_str(&paths))};
    values[1] = (OptionValue){.name = "format", .given = true, .text = a->input->name};
    Options options = {2, values};
    if (status == OK) status = catalog_adhoc(str_from(a->query), &schema, &options, catalog, error);
    buffer_free(&head);
    buffer_free(&paths);
    return status;
}

static int run_query(AdHoc *q, const Arguments *a, Error *error) {
    EngineOptions options = {
        .env = env_system(), .collect = collect, .rejected = rejected, .context = q};
    if (engine_open(q->plan, &options, &q->engine, error) != OK) return EXIT_FAILED;
    q->output = output_new(a->format, &q->plan->sinks[0].schema, q->plan->visible);
    running = q->engine;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    Status status = engine_run(q->engine, error);
    running = NULL;
    if (status == OK) print_sorted(q);
    output_close(&q->output);
    engine_close(&q->engine);
    if (status != OK) return EXIT_FAILED;
    if (ferror(stdout)) {
        fputs("leat sql: standard output could not be written; make room there\n", stderr);
        return EXIT_FAILED;
    }
    if (stopped)
        fputs("leat sql: stopped before the end of its input; groups would come there\n", stderr);
    if (q->bad) {
        fprintf(stderr, "leat sql: %" PRId64 " bad record%s, the first: %s\n", q->bad,
                q->bad == 1 ? "" : "s", q->first_bad);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

int sql_main(int argc, char **argv) {
    Arena *arena = arena_new();
    Arguments a = {0};
    Status status = read_arguments(argc, argv, &a, arena);
    if (status != OK) {
        arena_free(&arena);
        return status == END ? EXIT_DONE : EXIT_USAGE;
    }
    log_set_level(LOG_WARNING);
    AdHoc q = {.arena = arena};
    Catalog *catalog = NULL;
    Error error = {0};
    int result = EXIT_USAGE;
    status = make_catalog(&a, arena, &catalog, &error);
    if (status == OK) status = plan_new(catalog, &q.plan, &error);
    if (status == OK) result = run_query(&q, &a, &error);
    if (error.text[0] && result != EXIT_DONE && (status != OK || !q.bad)) {
        Buffer text = {0};
        if (error.line) catalog_error_text("query", str_from(a.query), &error, &text);
        else buffer_add_format(&text, "leat sql: %s\n", error.text);
        fwrite(text.data, 1, text.size, stderr);
        buffer_free(&text);
    }
    free(q.rows);
    plan_free(&q.plan);
    catalog_free(&catalog);
    arena_free(&arena);
    return result;
}
