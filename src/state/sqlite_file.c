/* Reading an SQLite file as one that it does not belong to. The file is opened for reading alone;
 * one query at a time, which sees the file as it was when it began. */
#include "state/sqlite_file.h"
#include "data/value.h"
#include "state/sqlite_home.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct SqliteFile {
    sqlite3 *db;
    sqlite3_stmt *rows;
    char *path;
};

enum { BUSY_MS = 10000 };

static Status failed(SqliteFile *f, Error *error) {
    return fail(error, "cannot read '%s': %s", f->path,
                f->db ? sqlite3_errmsg(f->db) : "out of memory");
}

Status sqlite_file_open(const char *path, SqliteFile **out, Error *error) {
    SqliteFile *f = xcalloc(1, sizeof *f);
    f->path = xstrdup(path);
    Status status = OK;
    if (sqlite3_open_v2(path, &f->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        status = failed(f, error);
    if (status == OK) sqlite3_busy_timeout(f->db, BUSY_MS);
    if (status == OK) status = sqlite_file_query(f, "SELECT count(*) FROM sqlite_schema", error);
    if (status == OK) {
        *out = f;
        return OK;
    }
    sqlite_file_close(&f);
    return FAIL;
}

void sqlite_file_close(SqliteFile **file) {
    SqliteFile *f = *file;
    if (!f) return;
    sqlite3_finalize(f->rows);
    sqlite3_close(f->db);
    free(f->path);
    free(f);
    *file = NULL;
}

Status sqlite_file_query(SqliteFile *f, const char *sql, Error *error) {
    sqlite3_finalize(f->rows);
    f->rows = NULL;
    return sqlite3_prepare_v2(f->db, sql, -1, &f->rows, NULL) == SQLITE_OK ? OK : failed(f, error);
}

static Status no_table(SqliteFile *f, const char *name, Error *error) {
    Status status = sqlite_file_query(f,
                                      "SELECT name FROM sqlite_schema WHERE type IN ('table', "
                                      "'view') AND name NOT LIKE 'leat\\_%' ESCAPE '\\' ORDER BY 1",
                                      error);
    if (status != OK) return FAIL;
    Buffer names = {0};
    while (sqlite_file_next(f, error) == OK && names.size < 200) {
        Str one = sqlite_file_text(f, 0);
        buffer_add_format(&names, "%s%.*s", names.size ? ", " : "", STR_ARG(one));
    }
    (void)fail(error, "'%s' has no table or view '%s'; it has %.*s", f->path, name,
               names.size ? (int)names.size : 4, names.size ? names.data : "none");
    buffer_free(&names);
    return FAIL;
}

Status sqlite_file_table(SqliteFile *f, const char *name, Error *error) {
    char *quoted = home_quote(name);
    Buffer sql = {0};
    buffer_add_format(&sql, "SELECT * FROM %s", quoted);
    buffer_add_char(&sql, 0);
    free(quoted);
    Status status = sqlite_file_query(f, sql.data, error);
    buffer_free(&sql);
    if (status == OK) return OK;
    sqlite3_stmt *known = NULL;
    sqlite3_prepare_v2(f->db, "SELECT 1 FROM sqlite_schema WHERE lower(name) = lower(?)", -1,
                       &known, NULL);
    sqlite3_bind_text(known, 1, name, -1, SQLITE_STATIC);
    bool there = sqlite3_step(known) == SQLITE_ROW;
    sqlite3_finalize(known);
    return there ? FAIL : no_table(f, name, error);
}

Status sqlite_file_next(SqliteFile *f, Error *error) {
    int code = sqlite3_step(f->rows);
    return code == SQLITE_ROW ? OK : code == SQLITE_DONE ? END : failed(f, error);
}

Str sqlite_file_text(SqliteFile *f, int column) {
    const char *data = sqlite3_column_blob(f->rows, column);
    return (Str){data, (size_t)sqlite3_column_bytes(f->rows, column)};
}

int64_t sqlite_file_integer(SqliteFile *f, int column) {
    return sqlite3_column_int64(f->rows, column);
}

bool sqlite_file_null(SqliteFile *f, int column) {
    return sqlite3_column_type(f->rows, column) == SQLITE_NULL;
}

static void add_cell(SqliteFile *f, int column, Buffer *out) {
    double real;
    switch (sqlite3_column_type(f->rows, column)) {
    case SQLITE_NULL: buffer_add_text(out, "null"); return;
    case SQLITE_INTEGER:
        buffer_add_format(out, "%" PRId64, (int64_t)sqlite3_column_int64(f->rows, column));
        return;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(f->rows, column);
        if (isfinite(real)) {
            double_text(real, out);
            return;
        }
        break;
    default: break;
    }
    json_string(sqlite_file_text(f, column), out);
}

void sqlite_file_json(SqliteFile *f, Buffer *out) {
    int count = sqlite3_data_count(f->rows);
    buffer_add_char(out, '{');
    for (int i = 0; i < count; i++) {
        if (i) buffer_add_char(out, ',');
        json_string(str_from(sqlite3_column_name(f->rows, i)), out);
        buffer_add_char(out, ':');
        add_cell(f, i, out);
    }
    buffer_add_char(out, '}');
}
