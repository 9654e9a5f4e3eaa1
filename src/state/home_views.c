/* Materialized views in the home: a table leat_view_NAME of rows by key, and a view NAME that shows
 * the columns of its SELECT alone. Each row carries a checksum that leat check-home compares; a
 * start does not read it. */
#include "data/time.h"
#include "state/sqlite_home.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A real stands in the home as the double of its shortest digits: 0.1, not 0.10000000149011612. */
double home_real(Value value, Buffer *scratch) {
    double out = value.real;
    if (value.type.kind != TYPE_FLOAT4) return out;
    scratch->size = 0;
    float4_text(value.real, scratch);
    return double_parse(buffer_str(scratch), &out) == OK ? out : value.real;
}

/* A row on its way into its view's statement, and its checksum so far. */
typedef struct Row {
    sqlite3_stmt *s;
    int at;
    uint64_t check;
} Row;

static void put_null(Row *row) {
    sqlite3_bind_null(row->s, row->at++);
    row->check = home_check_null(row->check);
}
static void put_integer(Row *row, int64_t value) {
    sqlite3_bind_int64(row->s, row->at++, value);
    row->check = home_check_integer(row->check, value);
}
static void put_text(Row *row, Str text, sqlite3_destructor_type copy) {
    sqlite3_bind_text64(row->s, row->at++, text.data ? text.data : "", text.size, copy,
                        SQLITE_UTF8);
    row->check = home_check_text(row->check, text);
}
static void put_blob(Row *row, Str blob) {
    sqlite3_bind_blob64(row->s, row->at++, blob.data ? blob.data : "", blob.size, SQLITE_STATIC);
    row->check = home_check_blob(row->check, blob);
}

/* As the contract has it: integers INTEGER, doubles REAL, booleans 0/1, bytea BLOB, all else TEXT
 * as in JSON. */
static void put_value(Row *row, Value value, Buffer *scratch) {
    if (value.null) {
        put_null(row);
        return;
    }
    switch (value.type.kind) {
    case TYPE_BOOL: put_integer(row, value.boolean); return;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: put_integer(row, value.integer); return;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        if (value.real - value.real == 0) {
            double real = home_real(value, scratch);
            sqlite3_bind_double(row->s, row->at++, real);
            row->check = home_check_real(row->check, real);
            return;
        }
        break;
    case TYPE_BYTEA: put_blob(row, value.str); return;
    case TYPE_TEXT:
    case TYPE_VARCHAR:
    case TYPE_JSONB: put_text(row, value.str, SQLITE_STATIC); return;
    default: break;
    }
    scratch->size = 0;
    value_json(value, scratch);
    Str text = buffer_str(scratch);
    if (text.size >= 2 && text.data[0] == '"') text = (Str){text.data + 1, text.size - 2};
    put_text(row, text, SQLITE_TRANSIENT);
}

static Status step(Home *home, sqlite3_stmt *s, Error *error) {
    int code = sqlite3_step(s);
    Status status =
        code == SQLITE_DONE ? OK : home_sqlite_error(home->db, AGAIN, "cannot commit", error);
    sqlite3_reset(s);
    return status;
}

static Status play_row(Home *home, HomeView *v, Reader *r, Arena *arena, Buffer *scratch,
                       Error *error) {
    Row row = {v->put, 1, v->seed};
    sqlite3_reset(v->put);
    put_blob(&row, read_sized(r));
    int64_t time = read_i64(r);
    if (time == NO_TIME) put_null(&row);
    else put_integer(&row, time);
    Reader values = reader_of(read_sized(r));
    for (int i = 0; i < v->columns; i++)
        put_value(&row, value_decode(v->schema.fields[i].type, &values, arena), scratch);
    sqlite3_bind_int64(v->put, row.at, (int64_t)row.check);
    arena_reset(arena);
    return step(home, v->put, error);
}

Status home_play_view(Home *home, int kind, Reader *r, Arena *arena, Buffer *scratch,
                      Error *error) {
    HomeView *v = &home->views[read_u32(r)];
    if (kind == HOME_PUT_ROW) return play_row(home, v, r, arena, scratch, error);
    sqlite3_stmt *s = kind == HOME_DELETE_ROW ? v->remove : v->expire;
    sqlite3_reset(s);
    if (kind == HOME_DELETE_ROW) {
        Str key = read_sized(r);
        sqlite3_bind_blob64(s, 1, key.data ? key.data : "", key.size, SQLITE_STATIC);
    } else {
        sqlite3_bind_int64(s, 1, read_i64(r));
    }
    return step(home, s, error);
}

static const char *sqlite_type(TypeKind kind) {
    switch (kind) {
    case TYPE_BOOL:
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: return "INTEGER";
    case TYPE_FLOAT4:
    case TYPE_FLOAT8: return "REAL";
    case TYPE_BYTEA: return "BLOB";
    default: return "TEXT";
    }
}

/* The three objects of a view, each as text. A statement that SQLite keeps is the one it was given,
 * so an object that stands already can be compared. */
typedef struct ViewSql {
    char *name[3], *make[3];
} ViewSql;

static ViewSql view_sql(const HomeView *v) {
    char *storage = sqlite3_mprintf("leat_view_%s", v->name);
    char *shown = home_quote(v->name), *index = sqlite3_mprintf("%s_time", storage);
    Buffer table = {0}, view = {0};
    buffer_add_format(&table, "CREATE TABLE %s (leat_key BLOB PRIMARY KEY, leat_time INTEGER",
                      v->table);
    buffer_add_format(&view, "CREATE VIEW %s AS SELECT ", shown);
    for (int i = 0; i < v->columns; i++) {
        char *column = home_quote(v->schema.fields[i].name);
        buffer_add_format(&table, ", c%d %s", i, sqlite_type(v->schema.fields[i].type.kind));
        buffer_add_format(&view, "%sc%d AS %s", i ? ", " : "", i, column);
        free(column);
    }
    buffer_add_text(&table, ", leat_check INTEGER) WITHOUT ROWID");
    buffer_add_format(&view, " FROM %s", v->table);
    buffer_add_char(&table, 0);
    buffer_add_char(&view, 0);
    ViewSql sql = {.name = {storage, index, sqlite3_mprintf("%s", v->name)}};
    sql.make[0] = sqlite3_mprintf("%s", table.data);
    sql.make[1] = sqlite3_mprintf(
        "CREATE INDEX \"%w\" ON %s (leat_time) WHERE leat_time IS NOT NULL", index, v->table);
    sql.make[2] = sqlite3_mprintf("%s", view.data);
    buffer_free(&table);
    buffer_free(&view);
    free(shown);
    return sql;
}

static Status make_object(Home *home, const char *view, const char *name, const char *make,
                          Error *error) {
    sqlite3_stmt *s = NULL;
    Status status =
        home_prepare(home->db, "SELECT sql FROM sqlite_master WHERE name = ?", &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int code = sqlite3_step(s);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    bool same = text && strcmp(text, make) == 0;
    sqlite3_finalize(s);
    if (code == SQLITE_DONE) return home_exec(home->db, make, error);
    if (code != SQLITE_ROW) return home_sqlite_error(home->db, FAIL, home->path, error);
    if (same) return OK;
    char what[400];
    snprintf(what, sizeof what, "the table of view %s is not as it was made", view);
    return home_damaged(home->path, what, error);
}

Status home_open_view(Home *home, const char *view, const Schema *schema, Error *error) {
    home->views = xrealloc(home->views, sizeof *home->views * (size_t)(home->view_count + 1));
    HomeView *v = &home->views[home->view_count++];
    *v = (HomeView){.name = xstrdup(view), .columns = schema->count};
    v->schema.count = schema->count;
    v->schema.fields = xcalloc((size_t)schema->count + 1, sizeof(Field));
    Buffer put_sql = {0};
    char *storage = sqlite3_mprintf("leat_view_%s", view);
    v->table = home_quote(storage);
    v->seed = home_check_seed(storage);
    sqlite3_free(storage);
    buffer_add_format(&put_sql, "INSERT OR REPLACE INTO %s VALUES (?, ?, ?", v->table);
    for (int i = 0; i < schema->count; i++) {
        v->schema.fields[i] = schema->fields[i];
        v->schema.fields[i].name = xstrdup(schema->fields[i].name);
        buffer_add_text(&put_sql, ", ?");
    }
    buffer_add_text(&put_sql, ")");
    buffer_add_char(&put_sql, 0);
    ViewSql sql = view_sql(v);
    Status status = OK;
    for (int i = 0; i < 3; i++) {
        if (status == OK) status = make_object(home, view, sql.name[i], sql.make[i], error);
        sqlite3_free(sql.name[i]);
        sqlite3_free(sql.make[i]);
    }
    char *remove = sqlite3_mprintf("DELETE FROM %s WHERE leat_key = ?", v->table);
    char *expire = sqlite3_mprintf("DELETE FROM %s WHERE leat_time < ?", v->table);
    if (status == OK) status = home_prepare(home->db, put_sql.data, &v->put, error);
    if (status == OK) status = home_prepare(home->db, remove, &v->remove, error);
    if (status == OK) status = home_prepare(home->db, expire, &v->expire, error);
    sqlite3_free(remove);
    sqlite3_free(expire);
    buffer_free(&put_sql);
    return status;
}

void home_views_free(Home *home) {
    for (int i = 0; i < home->view_count; i++) {
        HomeView *v = &home->views[i];
        sqlite3_finalize(v->put);
        sqlite3_finalize(v->remove);
        sqlite3_finalize(v->expire);
        for (int c = 0; c < v->columns; c++) free((char *)(uintptr_t)v->schema.fields[c].name);
        free(v->schema.fields);
        free(v->name);
        free(v->table);
    }
    free(home->views);
    home->views = NULL;
    home->view_count = 0;
}
