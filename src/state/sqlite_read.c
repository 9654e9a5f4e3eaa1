/* Reading the home: what the engine needs at start, with every checksum compared, and the readers
 * of committed views that the web side uses from its own threads. */
#include "state/sqlite_home.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static Str column_bytes(sqlite3_stmt *s, int column) {
    const void *data = sqlite3_column_blob(s, column);
    return (Str){data, (size_t)sqlite3_column_bytes(s, column)};
}
static const char *arena_column(Arena *arena, sqlite3_stmt *s, int column) {
    return arena_text(arena, column_bytes(s, column));
}

static Status damaged(Home *home, const char *whose, Error *error) {
    char what[500];
    snprintf(what, sizeof what, "the checksum of %s does not match", whose);
    return home_damaged(home->path, what, error);
}

/* Calls `row` for each row of a query with up to one text argument. */
static Status each(Home *home, const char *sql, const char *arg,
                   Status (*row)(Home *, sqlite3_stmt *, void *, Error *), void *context,
                   Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db, sql, &s, error);
    if (status != OK) return status;
    if (arg) sqlite3_bind_text(s, 1, arg, -1, SQLITE_STATIC);
    int code;
    while (status == OK && (code = sqlite3_step(s)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? row(home, s, context, error)
                                    : home_sqlite_error(home->db, FAIL, home->path, error);
    sqlite3_finalize(s);
    return status;
}

typedef struct List {
    Arena *arena;
    char *items;
    int count, capacity;
    size_t size;
} List;

static void *list_add(List *list) {
    if (list->count == list->capacity) {
        int capacity = list->capacity ? list->capacity * 2 : 16;
        char *items = arena_zero(list->arena, list->size * (size_t)capacity);
        if (list->count) memcpy(items, list->items, list->size * (size_t)list->count);
        list->items = items;
        list->capacity = capacity;
    }
    return list->items + list->size * (size_t)list->count++;
}

static Status add_query(Home *home, sqlite3_stmt *s, void *list, Error *error) {
    (void)home, (void)error;
    *(HomeQuery *)list_add(list) = (HomeQuery){
        arena_column(((List *)list)->arena, s, 0), arena_column(((List *)list)->arena, s, 2),
        (uint64_t)sqlite3_column_int64(s, 1), sqlite3_column_int(s, 3) != 0};
    return OK;
}

Status home_queries(Home *home, HomeQuery **out, int *count, Arena *arena, Error *error) {
    List list = {.arena = arena, .size = sizeof(HomeQuery)};
    Status status = each(home, "SELECT name, hash, plan, finished FROM leat_queries ORDER BY name",
                         NULL, add_query, &list, error);
    *out = (HomeQuery *)(void *)list.items;
    *count = list.count;
    return status;
}

static Status add_position(Home *home, sqlite3_stmt *s, void *context, Error *error) {
    (void)home, (void)error;
    List *list = context;
    HomePosition p = {arena_column(list->arena, s, 0), arena_column(list->arena, s, 1),
                      sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3),
                      sqlite3_column_int64(s, 4)};
    *(HomePosition *)list_add(list) = p;
    return OK;
}

static Status positions_of(Home *home, const char *query, HomePosition **out, int *count,
                           Arena *arena, Error *error) {
    List list = {.arena = arena, .size = sizeof(HomePosition)};
    Status status = each(home,
                         "SELECT source, partition, position, max_time, records FROM "
                         "leat_positions WHERE query = ?",
                         query, add_position, &list, error);
    *out = (HomePosition *)(void *)list.items;
    *count = list.count;
    return status;
}

Status home_positions(Home *home, HomePosition **out, int *count, Arena *arena, Error *error) {
    return positions_of(home, "", out, count, arena, error);
}

Status home_acked(Home *home, const char *sink, HomePosition **out, int *count, Arena *arena,
                  Error *error) {
    return positions_of(home, sink, out, count, arena, error);
}

static Status take_number(Home *home, sqlite3_stmt *s, void *number, Error *error) {
    (void)home, (void)error;
    *(int64_t *)number = sqlite3_column_int64(s, 0);
    return OK;
}

Status home_mark(Home *home, const char *source, int64_t *mark, Error *error) {
    *mark = NO_TIME;
    return each(home, "SELECT mark FROM leat_marks WHERE source = ?", source, take_number, mark,
                error);
}

typedef struct StateRead {
    const HomeStateReader *reader;
    Buffer blob;
    int kind; /* 0 snapshot, 1 delta, 2 segment */
    const char *name;
} StateRead;

/* Columns: number (shard, epoch or bucket), epoch, data, whether its checksum matches. */
static Status read_blob(Home *home, sqlite3_stmt *s, void *context, Error *error) {
    StateRead *read = context;
    Str stored = column_bytes(s, 2);
    char what[400];
    snprintf(what, sizeof what, "the state of %s, epoch %" PRId64, read->name,
             (int64_t)sqlite3_column_int64(s, 1));
    if (!sqlite3_column_int(s, 3)) return damaged(home, what, error);
    if (home_unpack(stored, &read->blob, NULL) != OK) return damaged(home, what, error);
    int64_t number = sqlite3_column_int64(s, 0), epoch = sqlite3_column_int64(s, 1);
    Str blob = buffer_str(&read->blob);
    void *to = read->reader->context;
    if (read->kind == 0) return read->reader->snapshot(to, (int)number, epoch, blob, error);
    if (read->kind == 1) return read->reader->delta(to, epoch, blob, error);
    return read->reader->segment(to, number, blob, error);
}

Status home_read_state(Home *home, const char *operator_name, const HomeStateReader *reader,
                       Error *error) {
    static const char *const sql[] = {
        "SELECT shard, epoch, data, \"check\" IS leat_check('leat_snapshots', operator, shard, "
        "epoch, data) FROM leat_snapshots WHERE operator = ? ORDER BY shard",
        "SELECT epoch, epoch, data, \"check\" IS leat_check('leat_deltas', operator, epoch, data) "
        "FROM leat_deltas WHERE operator = ? ORDER BY epoch",
        "SELECT bucket, epoch, data, \"check\" IS leat_check('leat_segments', operator, bucket, "
        "epoch, data) FROM leat_segments WHERE operator = ? ORDER BY epoch, bucket",
    };
    StateRead read = {.reader = reader, .name = operator_name};
    Status status = OK;
    for (int i = 0; status == OK && i < 3; i++) {
        read.kind = i;
        status = each(home, sql[i], operator_name, read_blob, &read, error);
    }
    buffer_free(&read.blob);
    return status;
}

static Status add_count(Home *home, sqlite3_stmt *s, void *context, Error *error) {
    (void)home, (void)error;
    List *list = context;
    *(HomeCount *)list_add(list) =
        (HomeCount){arena_column(list->arena, s, 0), arena_column(list->arena, s, 1),
                    arena_column(list->arena, s, 2), sqlite3_column_int64(s, 3)};
    return OK;
}

Status home_counts(Home *home, HomeCount **out, int *count, Arena *arena, Error *error) {
    List list = {.arena = arena, .size = sizeof(HomeCount)};
    Status status = each(home, "SELECT query, source, kind, count FROM leat_counts", NULL,
                         add_count, &list, error);
    *out = (HomeCount *)(void *)list.items;
    *count = list.count;
    return status;
}

static Status take_sink(Home *home, sqlite3_stmt *s, void *context, Error *error) {
    (void)home, (void)error;
    *(HomeSink *)context = (HomeSink){true, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    return OK;
}

Status home_sink(Home *home, const char *sink, HomeSink *out, Error *error) {
    *out = (HomeSink){0};
    return each(home, "SELECT length, delivered FROM leat_sinks WHERE sink = ?", sink, take_sink,
                out, error);
}

/* The size of a blob as it was put; of the blob itself only the first page is read. */
static Status add_unpacked(Home *home, sqlite3_int64 row, int64_t packed, sqlite3_blob **blob,
                           int64_t *bytes, Error *error) {
    char begin[HOME_BLOB_BEGIN];
    int size = packed < HOME_BLOB_BEGIN ? (int)packed : HOME_BLOB_BEGIN;
    int code = *blob ? sqlite3_blob_reopen(*blob, row)
                     : sqlite3_blob_open(home->db, "main", "leat_outbox", "data", row, 0, blob);
    if (code == SQLITE_OK) code = sqlite3_blob_read(*blob, begin, size, 0);
    if (code != SQLITE_OK) return home_sqlite_error(home->db, FAIL, home->path, error);
    *bytes += home_unpacked_size((Str){begin, (size_t)size}, packed);
    return OK;
}

Status home_outbox_bytes(Home *home, const char *sink, int64_t after, int64_t *bytes,
                         Error *error) {
    sqlite3_stmt *s = NULL;
    sqlite3_blob *blob = NULL;
    int code;
    *bytes = 0;
    Status status = home_prepare(
        home->db, "SELECT rowid, length(data) FROM leat_outbox WHERE sink = ? AND epoch > ?", &s,
        error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, sink, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, after);
    while (status == OK && (code = sqlite3_step(s)) != SQLITE_DONE)
        status = code == SQLITE_ROW ? add_unpacked(home, sqlite3_column_int64(s, 0),
                                                   sqlite3_column_int64(s, 1), &blob, bytes, error)
                                    : home_sqlite_error(home->db, FAIL, home->path, error);
    sqlite3_blob_close(blob);
    sqlite3_finalize(s);
    return status;
}

Status home_outbox_next(Home *home, const char *sink, int64_t after, int64_t *epoch, Buffer *blob,
                        Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db,
                                 "SELECT epoch, data, \"check\" IS leat_check('leat_outbox', sink, "
                                 "epoch, data) FROM leat_outbox WHERE sink = ? AND epoch > ? ORDER "
                                 "BY epoch LIMIT 1",
                                 &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, sink, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, after);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        *epoch = sqlite3_column_int64(s, 0);
        Str stored = column_bytes(s, 1);
        if (!sqlite3_column_int(s, 2) || home_unpack(stored, blob, NULL) != OK) {
            char what[400];
            snprintf(what, sizeof what, "what is owed to %s, epoch %" PRId64, sink, *epoch);
            status = damaged(home, what, error);
        }
    } else {
        status = code == SQLITE_DONE ? END : home_sqlite_error(home->db, FAIL, home->path, error);
    }
    sqlite3_finalize(s);
    return status;
}

/* ---- readers ---- */

struct HomeReader {
    sqlite3 *db;
};

Status home_reader_open(const char *path, HomeReader **out, Error *error) {
    HomeReader *reader = xcalloc(1, sizeof *reader);
    if (sqlite3_open_v2(path, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        (void)home_sqlite_error(reader->db, FAIL, path, error);
        home_reader_close(&reader);
        return FAIL;
    }
    sqlite3_busy_timeout(reader->db, 1000);
    *out = reader;
    return OK;
}

void home_reader_close(HomeReader **reader) {
    if (!*reader) return;
    sqlite3_close_v2((*reader)->db);
    free(*reader);
    *reader = NULL;
}

static void json_cell(sqlite3_stmt *s, int column, Type type, Buffer *out) {
    Str text;
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_NULL: buffer_add_text(out, "null"); return;
    case SQLITE_INTEGER:
        if (type.kind == TYPE_BOOL)
            buffer_add_text(out, sqlite3_column_int(s, column) ? "true" : "false");
        else buffer_add_format(out, "%" PRId64, (int64_t)sqlite3_column_int64(s, column));
        return;
    case SQLITE_FLOAT:
        value_json((Value){.type = type, .real = sqlite3_column_double(s, column)}, out);
        return;
    case SQLITE_BLOB:
        value_json((Value){.type = type_of(TYPE_BYTEA), .str = column_bytes(s, column)}, out);
        return;
    default:
        text = (Str){(const char *)sqlite3_column_text(s, column),
                     (size_t)sqlite3_column_bytes(s, column)};
        bool bare = type.kind == TYPE_JSONB || type.kind == TYPE_TEXT_ARRAY ||
                    (type.kind == TYPE_NUMERIC && text.size && text.data[0] != 'N' &&
                     text.data[0] != 'I' && text.data[text.size - 1] != 'y');
        if (bare) buffer_add_str(out, text);
        else json_string(text, out);
    }
}

static Status bind_filter(sqlite3_stmt *s, int at, Type type, const char *text, const char *column,
                          Error *error) {
    Arena *arena = arena_new();
    Value value;
    Error why = {0};
    Status status = value_parse(type, str_from(text), &value, arena, &why);
    if (status != OK) {
        status = REJECT;
        (void)fail(error, "column %s: %s", column, why.text);
    } else if (type.kind == TYPE_BOOL) {
        sqlite3_bind_int(s, at, value.boolean);
    } else if (type_is_integer(type.kind)) {
        sqlite3_bind_int64(s, at, value.integer);
    } else if (type.kind == TYPE_FLOAT4 || type.kind == TYPE_FLOAT8) {
        Buffer digits = {0};
        sqlite3_bind_double(s, at, home_real(value, &digits));
        buffer_free(&digits);
    } else if (type.kind == TYPE_BYTEA) {
        sqlite3_bind_blob64(s, at, value.str.data, value.str.size, SQLITE_TRANSIENT);
    } else {
        Buffer json = {0};
        if (type.kind == TYPE_TEXT || type.kind == TYPE_VARCHAR || type.kind == TYPE_JSONB)
            buffer_add_text(&json, text);
        else value_json(value, &json);
        Str shown = buffer_str(&json);
        bool quoted = type_physical(type.kind) != PHYSICAL_STR || type.kind == TYPE_UUID ||
                      type.kind == TYPE_NUMERIC;
        if (quoted && shown.size >= 2 && shown.data[0] == '"')
            shown = (Str){shown.data + 1, shown.size - 2};
        sqlite3_bind_text64(s, at, shown.data, shown.size, SQLITE_TRANSIENT, SQLITE_UTF8);
        buffer_free(&json);
    }
    arena_free(&arena);
    return status;
}

static Status view_statement(HomeReader *reader, const char *view, const Schema *schema,
                             const HomeFilter *filters, int filter_count, sqlite3_stmt **s,
                             Error *error) {
    char *storage = sqlite3_mprintf("leat_view_%s", view);
    char *table = home_quote(storage);
    sqlite3_free(storage);
    Buffer sql = {0};
    buffer_add_text(&sql, "SELECT ");
    for (int i = 0; i < schema->count; i++) buffer_add_format(&sql, "%sc%d", i ? ", " : "", i);
    buffer_add_format(&sql, " FROM %s WHERE 1", table);
    free(table);
    Status status = OK;
    int columns[64], count = 0;
    for (int f = 0; f < filter_count && status == OK; f++) {
        int found = -1;
        for (int i = 0; i < schema->count; i++)
            if (strcmp(schema->fields[i].name, filters[f].column) == 0) found = i;
        for (int i = 0; found < 0 && i < schema->count; i++)
            if (str_equal_nocase(str_from(schema->fields[i].name), str_from(filters[f].column)))
                found = i;
        if (found < 0 || count == 64) {
            (void)fail(error, "view %s has no column %s", view, filters[f].column);
            status = REJECT;
        } else {
            buffer_add_format(&sql, " AND c%d = ?", found);
            columns[count++] = found;
        }
    }
    buffer_add_text(&sql, " ORDER BY leat_time DESC, leat_key LIMIT ?");
    buffer_add_char(&sql, 0);
    if (status == OK) status = home_prepare(reader->db, sql.data, s, error);
    for (int f = 0; f < count && status == OK; f++)
        status = bind_filter(*s, f + 1, schema->fields[columns[f]].type, filters[f].value,
                             filters[f].column, error);
    buffer_free(&sql);
    return status;
}

Status home_read_view(HomeReader *reader, const char *view, const Schema *schema,
                      const HomeFilter *filters, int filter_count, int64_t limit, Buffer *json,
                      bool *more, Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = view_statement(reader, view, schema, filters, filter_count, &s, error);
    *more = false;
    if (status == OK) {
        sqlite3_bind_int64(s, filter_count + 1, limit + 1);
        buffer_add_char(json, '[');
        int code;
        int64_t rows = 0;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
            if (rows == limit) {
                *more = true;
                code = SQLITE_DONE;
                break;
            }
            buffer_add_text(json, rows++ ? ",\n{" : "{");
            for (int i = 0; i < schema->count; i++) {
                if (i) buffer_add_char(json, ',');
                json_string(str_from(schema->fields[i].name), json);
                buffer_add_char(json, ':');
                json_cell(s, i, schema->fields[i].type, json);
            }
            buffer_add_char(json, '}');
        }
        buffer_add_char(json, ']');
        if (code != SQLITE_DONE) status = home_sqlite_error(reader->db, FAIL, view, error);
    }
    sqlite3_finalize(s);
    return status;
}

static Status add_rejects(HomeReader *reader, const char *table, const char *kind, int64_t limit,
                          Buffer *json, bool *any, Error *error) {
    char *sql = sqlite3_mprintf("SELECT query, source, partition, position, time, reason, record "
                                "FROM %s ORDER BY rowid DESC LIMIT ?",
                                table);
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(reader->db, sql, &s, error);
    sqlite3_free(sql);
    if (status != OK) return status;
    sqlite3_bind_int64(s, 1, limit);
    static const char *const names[] = {"query", "source", "partition", "position",
                                        "time",  "reason", "record"};
    while (sqlite3_step(s) == SQLITE_ROW) {
        buffer_add_format(json, "%s{\"kind\":\"%s\"", *any ? ",\n" : "", kind);
        *any = true;
        for (int i = 0; i < 7; i++) {
            buffer_add_format(json, ",\"%s\":", names[i]);
            json_cell(s, i, type_of(TYPE_TEXT), json);
        }
        buffer_add_char(json, '}');
    }
    sqlite3_finalize(s);
    return OK;
}

Status home_read_rejects(HomeReader *reader, const char *kind, int64_t limit, Buffer *json,
                         Error *error) {
    bool any = false;
    Status status = OK;
    buffer_add_char(json, '[');
    if (!kind || strcmp(kind, "dead") == 0)
        status = add_rejects(reader, "leat_dead_letters", "dead", limit, json, &any, error);
    if (status == OK && (!kind || strcmp(kind, "late") == 0))
        status = add_rejects(reader, "leat_late_rows", "late", limit, json, &any, error);
    buffer_add_char(json, ']');
    return status;
}
