/* leat check-home: looks at every byte of a home that means something, in one read transaction,
 * and tells all that it finds rather than the first. SQLite's own check finds what is wrong with
 * pages and indexes; the checksums find what changed inside of a row; the sum of the checksums
 * finds rows that are gone; blobs are unpacked and read as far as that goes without the pipeline.
 * Nothing is written, so it may run beside the pipeline. */
#include "state/sqlite_home.h"
#include "state/state.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { TELL_AT_MOST = 10, STEPS_A_TICK = 100000 };

typedef struct Check {
    sqlite3 *db;
    const char *path;
    const HomeCheck *to;
    HomeSummary *summary;
    const char *stage;
    int64_t rows;
    int told; /* of this table */
    uint64_t sum;
} Check;

static void damage(Check *c, HomeDamage kind, const char *format, ...) PRINTF(3, 4);
static void damage(Check *c, HomeDamage kind, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    home_plain_text(text);
    c->summary->damaged[kind]++;
    if (++c->told <= TELL_AT_MOST) c->to->damage(c->to->context, kind, text);
    if (c->told == TELL_AT_MOST + 1)
        c->to->damage(c->to->context, kind, "more of the same is not listed");
}

static void begin_stage(Check *c, const char *stage) {
    c->stage = stage;
    c->told = 0;
}

static int tick(void *context) {
    Check *c = context;
    if (c->to->progress) c->to->progress(c->to->context, c->stage, c->rows);
    return 0;
}

/* A statement that cannot even be prepared or stepped is damage too. */
static void cannot_read(Check *c, HomeDamage kind, const char *what) {
    damage(c, kind, "%s: %s", what, sqlite3_errmsg(c->db));
}

static void check_pages(Check *c) {
    begin_stage(c, "pages");
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check(100)", -1, &s, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        if ((code = sqlite3_step(s)) != SQLITE_ROW) break;
        const char *text = (const char *)sqlite3_column_text(s, 0);
        if (text && strcmp(text, "ok") != 0) {
            /* one text, a line for each thing found */
            for (const char *line = text; *line;) {
                size_t size = strcspn(line, "\n");
                damage(c, DAMAGE_PAGES, "%.*s", (int)(size < 400 ? size : 400), line);
                line += size + (line[size] != 0);
            }
        }
    }
    if (code != SQLITE_DONE) cannot_read(c, DAMAGE_PAGES, "pages");
    sqlite3_finalize(s);
}

static Str column_bytes(sqlite3_stmt *s, int column) {
    const void *data = sqlite3_column_blob(s, column);
    return (Str){data, (size_t)sqlite3_column_bytes(s, column)};
}

/* The row's first columns, as people would name it. */
static void row_name(sqlite3_stmt *s, int columns, char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < columns && i < 3 && used < size - 1; i++) {
        const unsigned char *text = sqlite3_column_text(s, i);
        int more = snprintf(out + used, size - used, "%s%.60s", i ? ", " : "",
                            text ? (const char *)text : "NULL");
        used += more > 0 ? (size_t)more : 0;
    }
}

/* Blobs are state or what a sink is owed; the latter only the sink can read. */
static void check_blob(Check *c, const char *table, sqlite3_stmt *s, int columns,
                       const char *name) {
    Buffer blob = {0};
    Error why = {0};
    Str stored = column_bytes(s, columns - 1);
    bool outbox = strcmp(table, "leat_outbox") == 0;
    *(outbox ? &c->summary->owed_bytes : &c->summary->state_bytes) += (int64_t)stored.size;
    Status status = home_unpack(stored, &blob, &why);
    if (status == OK && !outbox) {
        StateBlob kind = strcmp(table, "leat_deltas") == 0      ? STATE_DELTA
                         : strcmp(table, "leat_snapshots") == 0 ? STATE_SNAPSHOT
                                                                : STATE_SEGMENT;
        status = state_check_blob(kind, sqlite3_column_int(s, 1), buffer_str(&blob), &why);
    }
    if (status != OK) damage(c, DAMAGE_HOME, "%s (%s): %s", table, name, why.text);
    buffer_free(&blob);
}

static void check_table(Check *c, const HomeTable *table) {
    begin_stage(c, table->name);
    HomeDamage kind = table->summed ? DAMAGE_HOME : DAMAGE_REJECT;
    char *sql = sqlite3_mprintf("SELECT %s, \"check\" FROM %s", table->columns, table->name);
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    sqlite3_free(sql);
    int columns = s ? sqlite3_column_count(s) - 1 : 0;
    if (code == SQLITE_OK) {
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
            uint64_t check = home_check_seed(table->name);
            char name[256];
            c->rows++;
            for (int i = 0; i < columns; i++) check = home_check_column(check, s, i);
            bool same = sqlite3_column_type(s, columns) == SQLITE_INTEGER &&
                        check == (uint64_t)sqlite3_column_int64(s, columns);
            row_name(s, columns - 1, name, sizeof name);
            if (!same) damage(c, kind, "%s (%s): the checksum does not match", table->name, name);
            else if (table->blob) check_blob(c, table->name, s, columns, name);
            bool is_sum = strcmp(table->name, "leat_meta") == 0 && strcmp(name, "sum") == 0;
            if (table->summed && !is_sum) c->sum += (uint64_t)sqlite3_column_int64(s, columns);
            if (!table->summed) c->summary->rejects++;
        }
    }
    if (code != SQLITE_DONE) cannot_read(c, kind, table->name);
    sqlite3_finalize(s);
}

static bool type_fits(const char *declared, int type) {
    if (type == SQLITE_NULL) return true;
    if (strcmp(declared, "INTEGER") == 0) return type == SQLITE_INTEGER;
    if (strcmp(declared, "BLOB") == 0) return type == SQLITE_BLOB;
    if (strcmp(declared, "REAL") == 0)
        return type == SQLITE_FLOAT || type == SQLITE_TEXT; /* 'NaN' */
    return type == SQLITE_TEXT;
}

static void check_view_row(Check *c, sqlite3_stmt *s, const char *view, uint64_t seed,
                           int64_t number) {
    int columns = sqlite3_column_count(s) - 1;
    uint64_t check = seed;
    bool fits = true;
    for (int i = 0; i < columns; i++) {
        const char *declared = sqlite3_column_decltype(s, i);
        check = home_check_column(check, s, i);
        fits &= type_fits(declared ? declared : "", sqlite3_column_type(s, i));
    }
    if (check != (uint64_t)sqlite3_column_int64(s, columns))
        damage(c, DAMAGE_VIEW, "view %s, row %" PRId64 " by its key: the checksum does not match",
               view, number);
    else if (!fits)
        damage(c, DAMAGE_VIEW,
               "view %s, row %" PRId64 " by its key: a value is not of its column's type", view,
               number);
}

static void check_view(Check *c, const char *storage) {
    const char *view = storage + strlen("leat_view_");
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", storage);
    sqlite3_stmt *s = NULL;
    begin_stage(c, storage);
    int code = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);
    sqlite3_free(sql);
    uint64_t seed = home_check_seed(storage);
    int64_t number = 0;
    if (code == SQLITE_OK) {
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
            c->rows++;
            check_view_row(c, s, view, seed, ++number);
        }
    }
    if (code != SQLITE_DONE) cannot_read(c, DAMAGE_VIEW, storage);
    sqlite3_finalize(s);
    c->summary->views++;
    c->summary->view_rows += number;
    sql = sqlite3_mprintf("SELECT * FROM \"%w\" LIMIT 1", view);
    s = NULL;
    if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) != SQLITE_OK)
        cannot_read(c, DAMAGE_VIEW, view);
    sqlite3_free(sql);
    sqlite3_finalize(s);
}

static void check_views(Check *c) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(c->db,
                                  "SELECT name FROM sqlite_master WHERE type = 'table' AND "
                                  "substr(name, 1, 10) = 'leat_view_' ORDER BY name",
                                  -1, &s, NULL);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(s)) == SQLITE_ROW)
            check_view(c, (const char *)sqlite3_column_text(s, 0));
    if (code != SQLITE_DONE) cannot_read(c, DAMAGE_HOME, "the list of tables");
    sqlite3_finalize(s);
}

static void read_meta(Check *c, const char *name, char *out, size_t size) {
    sqlite3_stmt *s = NULL;
    snprintf(out, size, "%s", "");
    if (sqlite3_prepare_v2(c->db, "SELECT value FROM leat_meta WHERE name = ?", -1, &s, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
        const unsigned char *text =
            sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
        if (text) snprintf(out, size, "%s", (const char *)text);
        else damage(c, DAMAGE_HOME, "leat_meta: '%s' is missing", name);
    }
    sqlite3_finalize(s);
}

/* The sum over all rows, and what the lock file remembers. */
static void check_whole(Check *c, const HomeMemory *memory) {
    char text[64], id[40];
    int64_t serial = 0;
    uint64_t written = 0;
    begin_stage(c, "sums");
    read_meta(c, "sum", text, sizeof text);
    if (sscanf(text, "%" SCNd64 " %16" SCNx64, &serial, &written) != 2 || written != c->sum)
        damage(c, DAMAGE_HOME, "rows are missing, or came back that were gone");
    read_meta(c, "id", id, sizeof id);
    read_meta(c, "pipeline", c->summary->pipeline, sizeof c->summary->pipeline);
    read_meta(c, "epoch", text, sizeof text);
    c->summary->epoch = strtoll(text, NULL, 10);
    read_meta(c, "finished", text, sizeof text);
    c->summary->finished = strcmp(text, "1") == 0;
    if (!memory->id[0]) return;
    if (strcmp(memory->id, id) != 0)
        damage(c, DAMAGE_OLD, "the lock file beside it belongs to another home");
    else if (c->summary->epoch < memory->epoch || serial < memory->serial)
        damage(c, DAMAGE_OLD,
               "it stands at epoch %" PRId64 ", but its lock file remembers epoch %" PRId64
               " and what came after: an old copy, or its -wal file was lost",
               c->summary->epoch, memory->epoch);
}

static Status open_file(Check *c, bool known, Error *error) {
    bool empty = false;
    struct stat file;
    if (stat(c->path, &file) != 0) return fail(error, "home %s: there is no such file", c->path);
    if (!S_ISREG(file.st_mode)) return fail(error, "home %s is not a file", c->path);
    if (home_check_header(c->path, error) != OK) return FAIL;
    if (sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return home_sqlite_error(c->db, FAIL, c->path, error);
    sqlite3_busy_timeout(c->db, 5000);
    c->summary->file_bytes = file.st_size;
    Status status = home_check_file(c->db, c->path, known, &empty, error);
    if (status == OK && empty) status = home_damaged(c->path, "it is empty", error);
    if (status == OK) status = home_exec(c->db, "PRAGMA cache_size = -16000; BEGIN", error);
    if (status == OK) status = home_recognize(c->db, c->path, &c->summary->version, error);
    if (status == OK && c->summary->version != HOME_VERSION)
        status =
            fail(error,
                 "home %s has format version %" PRId64 "; leat run looks through it and brings "
                 "it to version %d, then it can be checked",
                 c->path, c->summary->version, HOME_VERSION);
    return status;
}

Status home_check(const char *path, const HomeCheck *to, HomeSummary *summary, Error *error) {
    *summary = (HomeSummary){0};
    Check c = {.path = path, .to = to, .summary = summary, .stage = "opening"};
    HomeMemory memory;
    Error lock = {0};
    Status locked = home_read_lock(path, &memory, &lock); /* first: it may only lag behind */
    Status status = open_file(&c, memory.id[0] != 0, error);
    if (status == OK) {
        if (locked != OK) damage(&c, DAMAGE_OLD, "its lock file is damaged");
        sqlite3_progress_handler(c.db, STEPS_A_TICK, tick, &c);
        Error schema = {0};
        if (home_check_schema(c.db, path, &schema) != OK)
            damage(&c, DAMAGE_HOME, "%s", schema.text);
        check_pages(&c);
        for (int i = 0; i < HOME_TABLE_COUNT; i++) check_table(&c, &HOME_TABLES[i]);
        check_whole(&c, &memory);
        check_views(&c);
    }
    sqlite3_close_v2(c.db);
    return status;
}
