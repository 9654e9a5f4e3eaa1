/* Where verify finds its rows: files, folders and patterns, standard input, and tables of a
 * pipeline file, each read through its connector from the begin to where it ends now; and tables of
 * SQLite files, which a pipeline's views are. What has no types, CSV and SQLite, is told to the
 * judge, who then takes a number or an object that stands in a text. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/table_name.h"
#include "cli/sql_input.h"
#include "cli/verify.h"
#include "data/jsonb.h"
#include "format/json_array.h"
#include "state/sqlite_file.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERRUPTED "interrupted; nothing was judged"
enum { CHUNK_BYTES = 1 << 20, WAIT_US = 200000, AWAY_MOST_US = 60 * 1000000 };

typedef struct Reading { /* one source */
    Verify *verify;
    Source *source;
    const Format *format;
    CsvRows *csv; /* NULL: JSON */
    Str header;   /* names of CSV without a header line */
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

static void judge_bytes(Verdict *verdict, const Format *format, const Chunk *chunk, int place) {
    char where = chunk->place;
    for (Str rest = chunk->bytes; rest.size;) {
        ArrayPiece piece;
        size_t size;
        if (format == &json_array_format) {
            size = array_piece(rest, where, rest.data == chunk->bytes.data, &piece);
            where = piece.next;
        } else {
            size = format->first(rest, ',', true);
            piece.text = jsonb_trim((Str){rest.data, size});
        }
        if (piece.text.size) judge_row(verdict, piece.text, place, NO_TIME);
        if (size == 0) break;
        rest = (Str){rest.data + size, rest.size - size};
    }
}

static Status judge_chunk(Reading *r, int partition, const Chunk *chunk, Error *error) {
    Verdict *verdict = &r->verify->verdict;
    int place = r->verify->partitions + partition;
    progress(r);
    if (r->csv) {
        const SourceType *type = r->source->type;
        Str header = r->header.size                        ? r->header
                     : chunk->header.size || !type->header ? chunk->header
                                                           : type->header(r->source, partition);
        return csv_rows_judge(r->csv, verdict, chunk, header, place, error);
    }
    for (int i = 0; i < chunk->record_count; i++)
        judge_row(verdict, chunk->records[i].body, place, chunk->records[i].timestamp_us);
    if (!chunk->records) judge_bytes(verdict, r->format, chunk, place);
    return OK;
}

/* OK: a chunk was judged; AGAIN: nothing now; END: the partition is over. */
static Status read_partition(Reading *r, int partition, Error *error) {
    const SourceType *type = r->source->type;
    Chunk *chunk = NULL;
    bool at_end = false;
    Status status = type->next(r->source, partition, &chunk, &at_end, error);
    if (status == AGAIN) return at_end ? END : AGAIN;
    if (status != OK) return status;
    status = judge_chunk(r, partition, chunk, error);
    int64_t end = chunk->end;
    chunk->release(chunk);
    if (status != OK) return status;
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
        if (verify_stopped()) return fail(error, INTERRUPTED);
        if (!got && left && type->wait) type->wait(r->source, WAIT_US);
    }
    return OK;
}

static Status read_source(Reading *r, const Connector *connector, const SourceContext *context,
                          Error *error) {
    if (connector->source->open(context, &r->source, error) != OK) return FAIL;
    Status status;
    Env *env = env_system();
    int64_t since = r->told_us = env->monotonic_us(env);
    while ((status = connector->source->partitions(r->source, &r->count, error)) == AGAIN) {
        if (env->monotonic_us(env) - since > AWAY_MOST_US || verify_stopped()) break;
        log_warning("%s; trying again", error->text);
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
    }
    if (status == OK) {
        r->over = xcalloc((size_t)r->count + 1, sizeof *r->over);
        r->ends = xcalloc((size_t)r->count + 1, sizeof *r->ends);
        status = read_partitions(r, error);
        r->verify->partitions += r->count;
        free(r->over);
        free(r->ends);
    }
    connector->source->close(r->source);
    return status;
}

/* Through a table's or file's connector. */
static Status read_through(Verify *v, const Connector *connector, const SourceContext *context,
                           Str header, Error *error) {
    const char *delimiter = option_text(context->options, "delimiter", ",");
    Reading r = {.verify = v, .format = context->format, .header = header};
    v->verdict.texts = context->format == &csv_format;
    if (v->verdict.texts) r.csv = csv_rows_new(*delimiter ? *delimiter : ',');
    Status status = read_source(&r, connector, context, error);
    csv_rows_free(&r.csv);
    v->verdict.texts = false;
    return status;
}

static Status read_sqlite(Verify *v, const char *path, const char *table, Error *error) {
    SqliteFile *file = NULL;
    Buffer row = {0};
    Reading r = {.verify = v, .told_us = env_system()->monotonic_us(env_system())};
    Status status = sqlite_file_open(path, &file, error);
    if (status == OK) status = sqlite_file_table(file, table, error);
    v->verdict.texts = true;
    while (status == OK && (status = sqlite_file_next(file, error)) == OK) {
        row.size = 0;
        sqlite_file_json(file, &row);
        judge_row(&v->verdict, buffer_str(&row), -1, NO_TIME);
        progress(&r);
        if (verify_stopped()) status = fail(error, INTERRUPTED);
    }
    v->verdict.texts = false;
    buffer_free(&row);
    sqlite_file_close(&file);
    return status == END ? OK : status;
}

/* ---- what --in names ---- */

/* The columns of a table whose CSV has no header line. */
static Str declared_names(const Table *table, Arena *arena) {
    Buffer names = {0};
    const char *delimiter = option_text(&table->options, "delimiter", ",");
    for (int i = 0; i < table->column_count; i++)
        buffer_add_format(&names, "%s\"%s\"", i ? delimiter : "", table->columns[i].name);
    Str kept = arena_str(arena, buffer_str(&names));
    buffer_free(&names);
    return kept;
}

/* A topic is read from its begin, wherever the pipeline starts, and a file to its end as it is. */
static Options settled_options(const Table *table, Arena *arena) {
    Options all = {0, arena_new_array(arena, OptionValue, table->options.count + 1)};
    for (int i = 0; i < table->options.count; i++) {
        const char *name = table->options.values[i].name;
        if (strcmp(name, "start") != 0 && strcmp(name, "follow") != 0)
            all.values[all.count++] = table->options.values[i];
    }
    return all;
}

static int read_table(Verify *v, const char *file, const char *name, Error *error) {
    Catalog *catalog;
    const Table *table = open_table(file, name, false, &catalog);
    if (!table) return EXIT_USAGE;
    const char *format = option_text(&table->options, "format", "json");
    Options options = settled_options(table, catalog->arena);
    SourceContext context = {.env = env_system(),
                             .table = table->name,
                             .pipeline = catalog->settings.pipeline,
                             .format = format_find(format),
                             .options = &options,
                             .chunk_bytes = CHUNK_BYTES};
    Str header = {0};
    Status status = OK;
    if (strcmp(table->connector->name, "generator") == 0)
        status = fail(error, "table \"%s\" is a generator: what it sends does not arrive there",
                      table->name);
    else if (!context.format) status = fail(error, "format '%s' cannot be read", format);
    else if (context.format == &csv_format && !option_bool(&table->options, "header", true))
        header = declared_names(table, catalog->arena);
    int wrong = status == OK ? EXIT_FAILED : EXIT_USAGE;
    if (status == OK) status = read_through(v, table->connector, &context, header, error);
    catalog_free(&catalog);
    return status == OK ? EXIT_DONE : wrong;
}

/* A materialized view of that name: its rows stand in the pipeline's home. NULL: there is none, or
 * the file cannot be read; who then looks for a table tells that. */
static char *home_of_view(const char *file, const char *name) {
    Catalog *catalog = NULL;
    Error error;
    View *view = NULL;
    Table *table = NULL;
    char *home = NULL;
    if (catalog_read(file, &catalog, &error) == OK &&
        catalog_find_table(catalog, name, false, &table, &error) == OK && !table &&
        catalog_find_view(catalog, name, false, &view, &error) == OK && view && view->materialized)
        home = xstrdup(catalog->settings.home);
    if (catalog) catalog_free(&catalog);
    return home;
}

/* Files of one folder are alike, so the first that is met tells. */
static bool is_folder_of_csv(const char *path) {
    DIR *folder = opendir(path);
    bool csv = false;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (*entry->d_name == '.') continue;
        csv = size > 4 && strcmp(entry->d_name + size - 4, ".csv") == 0;
        break;
    }
    if (folder) closedir(folder);
    return csv;
}

/* What has no rows of its own would be read as very many bad ones. */
static Status check_file(const char *in, Error *error) {
    char begin[16] = "";
    size_t size = strlen(in);
    if (size > 4 && strcmp(in + size - 4, ".sql") == 0)
        return fail(error, "'%s' is a pipeline file; which table or view of it? %s:NAME", in, in);
    struct stat st;
    if (stat(in, &st) != 0 || !S_ISREG(st.st_mode)) return OK;
    FILE *file = fopen(in, "re");
    size_t got = file ? fread(begin, 1, sizeof begin, file) : 0;
    if (file) fclose(file);
    if (got == sizeof begin && memcmp(begin, "SQLite format 3", 16) == 0)
        return fail(error, "'%s' is a SQLite file; which table of it? sqlite:%s:TABLE", in, in);
    const char *tool = packer_of((Str){begin, got});
    return tool ? fail(error, "'%s' is compressed; unpack it: %s %s | leat verify --in - …", in,
                       tool, in)
                : OK;
}

static Status read_files(Verify *v, const char *in, Error *error) {
    OptionValue path = {.name = "path", .text = in, .given = true};
    Options options = {1, &path};
    size_t size = strlen(in);
    bool csv = (size > 4 && strcmp(in + size - 4, ".csv") == 0) || is_folder_of_csv(in);
    SourceContext context = {.env = env_system(),
                             .table = "--in",
                             .pipeline = "verify",
                             .format = csv ? &csv_format : &json_format,
                             .options = &options,
                             .chunk_bytes = CHUNK_BYTES};
    return read_through(v, connector_find("file"), &context, (Str){0}, error);
}

static int read_input(Verify *v, const char *in, Error *error) {
    char *file;
    const char *table, *sqlite = "sqlite:";
    if (strncmp(in, sqlite, strlen(sqlite)) == 0) {
        file = xstrdup(in + strlen(sqlite));
        char *colon = strrchr(file, ':');
        int exit_status = EXIT_USAGE;
        if (colon && colon[1]) {
            *colon = 0;
            exit_status = read_sqlite(v, file, colon + 1, error) == OK ? EXIT_DONE : EXIT_FAILED;
        } else {
            (void)fail(error, "--in sqlite: expects sqlite:FILE:TABLE, got '%s'", in);
        }
        free(file);
        return exit_status;
    }
    if (!is_table_name(in, &file, &table)) {
        if (check_file(in, error) != OK) return EXIT_USAGE;
        return read_files(v, in, error) == OK ? EXIT_DONE : EXIT_FAILED;
    }
    char *home = home_of_view(file, table);
    int exit_status = home ? read_sqlite(v, home, table, error) == OK ? EXIT_DONE : EXIT_FAILED
                           : read_table(v, file, table, error);
    free(home);
    free(file);
    return exit_status;
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
