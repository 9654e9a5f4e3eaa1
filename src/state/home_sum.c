/* The checksums by which a start knows that nothing in its home was changed by anybody else.
 *
 * Every row carries "check": the XXH3 of its table's name and of its values, type by type. Besides,
 * leat_meta keeps the sum of the checks of all rows that a start trusts, so that a row that is gone
 * or came back is found as well as one that changed. Temporary triggers keep that sum while the
 * home is written, whatever statement writes it. Rows of views and rejects carry a check but are
 * not summed: leat check-home looks at them, a start does not. */
#include "state/sqlite_home.h"

/* ---- of a row ---- */

/* For a given `h` no two values give the same: a change of one number is always found. */
static uint64_t mix(uint64_t h, uint64_t value) {
    h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

uint64_t home_check_seed(const char *table) { return hash_bytes(str_from(table)); }
uint64_t home_check_null(uint64_t h) { return mix(h, SQLITE_NULL); }
uint64_t home_check_integer(uint64_t h, int64_t value) {
    return mix(mix(h, SQLITE_INTEGER), (uint64_t)value);
}
uint64_t home_check_real(uint64_t h, double value) {
    uint64_t bits = 0;
    if (value != 0) memcpy(&bits, &value, 8); /* SQLite keeps no sign of zero */
    return mix(mix(h, SQLITE_FLOAT), bits);
}
uint64_t home_check_text(uint64_t h, Str text) {
    return mix(mix(h, SQLITE_TEXT), text.size ? hash_bytes(text) : 0);
}
uint64_t home_check_blob(uint64_t h, Str blob) {
    return mix(mix(h, SQLITE_BLOB), blob.size ? hash_bytes(blob) : 0);
}

static uint64_t check_value(uint64_t h, sqlite3_value *v) {
    switch (sqlite3_value_type(v)) {
    case SQLITE_NULL: return home_check_null(h);
    case SQLITE_INTEGER: return home_check_integer(h, sqlite3_value_int64(v));
    case SQLITE_FLOAT: return home_check_real(h, sqlite3_value_double(v));
    case SQLITE_TEXT: {
        const void *text = sqlite3_value_text(v);
        return home_check_text(h, (Str){text, (size_t)sqlite3_value_bytes(v)});
    }
    default: {
        const void *blob = sqlite3_value_blob(v);
        return home_check_blob(h, (Str){blob, (size_t)sqlite3_value_bytes(v)});
    }
    }
}

uint64_t home_check_column(uint64_t h, sqlite3_stmt *s, int column) {
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_NULL: return home_check_null(h);
    case SQLITE_INTEGER: return home_check_integer(h, sqlite3_column_int64(s, column));
    case SQLITE_FLOAT: return home_check_real(h, sqlite3_column_double(s, column));
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(s, column);
        return home_check_text(h, (Str){text, (size_t)sqlite3_column_bytes(s, column)});
    }
    default: {
        const void *blob = sqlite3_column_blob(s, column);
        return home_check_blob(h, (Str){blob, (size_t)sqlite3_column_bytes(s, column)});
    }
    }
}

static void sql_check(sqlite3_context *context, int count, sqlite3_value **values) {
    uint64_t h;
    if (sqlite3_value_type(values[0]) == SQLITE_TEXT) {
        const void *name = sqlite3_value_text(values[0]);
        h = hash_bytes((Str){name, (size_t)sqlite3_value_bytes(values[0])});
    } else {
        h = (uint64_t)sqlite3_value_int64(values[0]); /* goes on from another */
    }
    for (int i = 1; i < count; i++) h = check_value(h, values[i]);
    sqlite3_result_int64(context, (int64_t)h);
}

/* ---- of all rows ---- */

static void sql_sum(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    Home *home = sqlite3_user_data(context);
    home->sum += (uint64_t)sqlite3_value_int64(values[0]);
    home->sum -= (uint64_t)sqlite3_value_int64(values[1]);
}

Status home_functions(sqlite3 *db, Home *home, Error *error) {
    int code = sqlite3_create_function(db, "leat_check", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                       NULL, sql_check, NULL, NULL);
    if (code == SQLITE_OK && home)
        code = sqlite3_create_function(db, "leat_sum", 2, SQLITE_UTF8, home, sql_sum, NULL, NULL);
    return code == SQLITE_OK ? OK : home_sqlite_error(db, FAIL, "cannot open", error);
}

Status home_watch(Home *home, Error *error) {
    Status status = OK;
    for (int i = 0; status == OK && i < HOME_TABLE_COUNT; i++) {
        const char *name = HOME_TABLES[i].name;
        if (!HOME_TABLES[i].summed) continue;
        bool meta = i == 0; /* the row that holds the sum is not of it */
        const char *if_new = meta ? " WHEN new.name <> 'sum'" : "",
                   *if_old = meta ? " WHEN old.name <> 'sum'" : "";
        char *sql = sqlite3_mprintf(
            "CREATE TEMP TRIGGER %s_i AFTER INSERT ON main.%s%s BEGIN SELECT leat_sum(new.\"check\""
            ", 0); END;"
            "CREATE TEMP TRIGGER %s_d AFTER DELETE ON main.%s%s BEGIN SELECT leat_sum(0, "
            "old.\"check\"); END;"
            "CREATE TEMP TRIGGER %s_u AFTER UPDATE ON main.%s%s BEGIN SELECT leat_sum(new.\"check\""
            ", old.\"check\"); END;",
            name, name, if_new, name, name, if_old, name, name, if_new);
        status = home_exec(home->db, sql, error);
        sqlite3_free(sql);
    }
    return status;
}

Status home_sum_rows(sqlite3 *db, uint64_t *sum, Error *error) {
    *sum = 0;
    for (int i = 0; i < HOME_TABLE_COUNT; i++) {
        if (!HOME_TABLES[i].summed) continue;
        char *sql = sqlite3_mprintf("SELECT \"check\" FROM %s%s", HOME_TABLES[i].name,
                                    i == 0 ? " WHERE name <> 'sum'" : "");
        sqlite3_stmt *s = NULL;
        Status status = home_prepare(db, sql, &s, error);
        sqlite3_free(sql);
        int code = SQLITE_DONE;
        while (status == OK && (code = sqlite3_step(s)) == SQLITE_ROW)
            *sum += (uint64_t)sqlite3_column_int64(s, 0);
        if (status == OK && code != SQLITE_DONE)
            status = home_sqlite_error(db, FAIL, "cannot read", error);
        sqlite3_finalize(s);
        if (status != OK) return status;
    }
    return OK;
}
