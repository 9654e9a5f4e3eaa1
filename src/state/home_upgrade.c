/* A home of format version 2 becomes one of version 3, in place and in one transaction: either it
 * is wholly of the new version or it was not touched. What version 2 had checksums for is compared
 * on the way. */
#include "state/sqlite_home.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Version 2 kept the hash of the stored blob, and one of a position's fields written one after the
 * other. */
static void old_blob_check(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    const void *blob = sqlite3_value_blob(values[0]);
    Str bytes = {blob, (size_t)sqlite3_value_bytes(values[0])};
    sqlite3_result_int64(context, (int64_t)hash_bytes(bytes));
}

static void old_position_check(sqlite3_context *context, int count, sqlite3_value **values) {
    Buffer b = {0};
    for (int i = 0; i < count; i++) {
        if (i >= 2) {
            buffer_add_i64(&b, sqlite3_value_int64(values[i]));
            continue;
        }
        const void *text = sqlite3_value_text(values[i]);
        buffer_add_sized(&b, (Str){text, (size_t)sqlite3_value_bytes(values[i])});
    }
    sqlite3_result_int64(context, (int64_t)hash_bytes(buffer_str(&b)));
    buffer_free(&b);
}

static Status read_text(Home *home, const char *sql, Buffer *out, Error *error) {
    sqlite3_stmt *s = NULL;
    out->size = 0;
    Status status = home_prepare(home->db, sql, &s, error);
    if (status != OK) return status;
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(s, 0);
        buffer_add_text(out, text ? (const char *)text : "");
    } else if (code != SQLITE_DONE) {
        status = home_sqlite_error(home->db, FAIL, home->path, error);
    }
    buffer_add_char(out, 0);
    sqlite3_finalize(s);
    return status;
}

/* Before anything is written: it is this pipeline's, and not an old copy. */
static Status check_before(Home *home, const char *pipeline, const HomeMemory *memory,
                           Error *error) {
    Buffer text = {0};
    Status status =
        read_text(home, "SELECT value FROM leat_meta WHERE name = 'pipeline'", &text, error);
    if (status == OK) status = home_check_owner(home, text.data, pipeline, error);
    if (status == OK)
        status = read_text(home, "SELECT value FROM leat_meta WHERE name = 'id'", &text, error);
    if (status == OK) snprintf(home->info.id, sizeof home->info.id, "%.32s", text.data);
    if (status == OK)
        status = read_text(home, "SELECT value FROM leat_meta WHERE name = 'epoch'", &text, error);
    if (status == OK) {
        home->info.epoch = strtoll(text.data, NULL, 10);
        status = home_check_memory(home, memory, error);
    }
    buffer_free(&text);
    return status;
}

static Status check_old_rows(Home *home, Error *error) {
    static const char *const sql[] = {
        "SELECT 'the state of ' || operator || ', epoch ' || epoch FROM leat_deltas WHERE "
        "\"check\" IS NOT leat_old_blob(data)",
        "SELECT 'the state of ' || operator || ', epoch ' || epoch FROM leat_snapshots WHERE "
        "\"check\" IS NOT leat_old_blob(data)",
        "SELECT 'the state of ' || operator || ', epoch ' || epoch FROM leat_segments WHERE "
        "\"check\" IS NOT leat_old_blob(data)",
        "SELECT 'what is owed to ' || sink || ', epoch ' || epoch FROM leat_outbox WHERE "
        "\"check\" IS NOT leat_old_blob(data)",
        "SELECT 'the position of ' || source || '[' || partition || ']' FROM leat_positions WHERE "
        "\"check\" IS NOT leat_old_position(source, partition, position, max_time, records)",
    };
    Buffer whose = {0};
    Status status = OK;
    for (int i = 0; status == OK && i < 5; i++) {
        status = read_text(home, sql[i], &whose, error);
        if (status == OK && whose.size > 1) {
            char what[500];
            snprintf(what, sizeof what, "the checksum of %s does not match", whose.data);
            status = home_damaged(home->path, what, error);
        }
    }
    buffer_free(&whose);
    return status;
}

/* What a new table takes from the old one of the same name; NULL: it is new. */
static const char *from_old(const char *table) {
    static const char *const of[][2] = {
        {"leat_meta", "name, value"},
        {"leat_facts", "name, value"},
        {"leat_queries", "name, hash, plan, finished"},
        {"leat_positions", "'', source, partition, position, max_time, records"},
        {"leat_marks", "source, mark"},
        {"leat_deltas", "operator, epoch, data"},
        {"leat_snapshots", "operator, shard, epoch, data"},
        {"leat_segments", "operator, bucket, epoch, data"},
        {"leat_outbox", "sink, epoch, data"},
        {"leat_sinks", "sink, length, delivered"},
        {"leat_counts", "query, source, kind, count"},
        {"leat_late_rows", "query, source, partition, position, time, reason, record"},
        {"leat_dead_letters",
         "query, source, partition, position, time, reason, record, NULL, NULL"},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (strcmp(of[i][0], table) == 0) return of[i][1];
    return NULL;
}

static const char *old_name(const char *table) {
    return strcmp(table, "leat_late_rows") == 0      ? "late_rows"
           : strcmp(table, "leat_dead_letters") == 0 ? "dead_letters"
                                                     : table;
}

static Status run(Home *home, char *sql, Error *error) {
    Status status = home_exec(home->db, sql, error);
    sqlite3_free(sql);
    return status;
}

static Status move_tables(Home *home, Error *error) {
    Status status = OK;
    for (int i = 0; status == OK && i < HOME_TABLE_COUNT; i++) {
        const char *name = HOME_TABLES[i].name;
        if (from_old(name))
            status =
                run(home, sqlite3_mprintf("ALTER TABLE %s RENAME TO old_%s", old_name(name), name),
                    error);
    }
    if (status == OK) status = home_create_tables(home->db, error);
    for (int i = 0; status == OK && i < HOME_TABLE_COUNT; i++) {
        const char *name = HOME_TABLES[i].name, *columns = HOME_TABLES[i].columns,
                   *taken = from_old(name);
        if (!taken) continue;
        status = run(home,
                     sqlite3_mprintf("INSERT INTO %s (%s, \"check\") SELECT %s, leat_check('%s', "
                                     "%s) FROM old_%s",
                                     name, columns, taken, name, taken, name),
                     error);
    }
    return status;
}

/* leat_check over all columns but the last one; SQLite's functions take a hundred arguments, so the
 * sum so far is passed on. */
static Status check_expression(Home *home, const char *storage, Buffer *out, Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db, "SELECT name FROM pragma_table_info(?)", &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, storage, -1, SQLITE_STATIC);
    Buffer names = {0};
    char *seed = sqlite3_mprintf("%Q", storage);
    buffer_add_text(out, seed);
    sqlite3_free(seed);
    enum { AT_ONCE = 90 };
    int columns = 0, code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        if (strcmp(name, "leat_check") == 0) continue;
        if (columns++ % AT_ONCE == 0) {
            if (columns > 1) buffer_add_char(out, ')');
            names.size = 0;
            buffer_add_text(&names, "leat_check(");
            buffer_add_str(&names, buffer_str(out));
            out->size = 0;
            buffer_add_str(out, buffer_str(&names));
        }
        buffer_add_format(out, ", %s", name);
    }
    buffer_add_char(out, ')');
    buffer_add_char(out, 0);
    if (code != SQLITE_DONE) status = home_sqlite_error(home->db, FAIL, home->path, error);
    buffer_free(&names);
    sqlite3_finalize(s);
    return status;
}

static Status upgrade_view(Home *home, const char *storage, Error *error) {
    Status status = run(
        home, sqlite3_mprintf("ALTER TABLE \"%w\" ADD COLUMN leat_check INTEGER", storage), error);
    Buffer check = {0};
    if (status == OK) status = check_expression(home, storage, &check, error);
    if (status == OK)
        status = run(
            home, sqlite3_mprintf("UPDATE \"%w\" SET leat_check = %s", storage, check.data), error);
    buffer_free(&check);
    return status;
}

static Status upgrade_views(Home *home, Error *error) {
    for (;;) {
        Buffer storage = {0};
        Status status = read_text(home,
                                  "SELECT name FROM sqlite_master m WHERE type = 'table' AND "
                                  "substr(name, 1, 10) = 'leat_view_' AND NOT EXISTS (SELECT 1 "
                                  "FROM pragma_table_info(m.name) WHERE name = 'leat_check')",
                                  &storage, error);
        bool any = status == OK && storage.size > 1;
        if (any) status = upgrade_view(home, storage.data, error);
        buffer_free(&storage);
        if (!any || status != OK) return status;
    }
}

static Status drop_old(Home *home, Error *error) {
    Status status = OK;
    for (int i = 0; status == OK && i < HOME_TABLE_COUNT; i++)
        if (from_old(HOME_TABLES[i].name))
            status = run(home, sqlite3_mprintf("DROP TABLE old_%s", HOME_TABLES[i].name), error);
    return status;
}

Status home_upgrade(Home *home, const char *pipeline, const HomeMemory *memory, Error *error) {
    sqlite3 *db = home->db;
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    if (sqlite3_create_function(db, "leat_old_blob", 1, flags, NULL, old_blob_check, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_create_function(db, "leat_old_position", 5, flags, NULL, old_position_check, NULL,
                                NULL) != SQLITE_OK)
        return home_sqlite_error(db, FAIL, "cannot open", error);
    Status status = home_exec(db, "BEGIN IMMEDIATE", error);
    if (status == OK) status = check_before(home, pipeline, memory, error);
    if (status == OK) status = check_old_rows(home, error);
    if (status == OK)
        log_info("home %s: bringing it from format version 2 to %d", home->path, HOME_VERSION);
    if (status == OK) status = move_tables(home, error);
    if (status == OK) status = drop_old(home, error);
    if (status == OK) status = upgrade_views(home, error);
    if (status == OK) status = home_write_number(home, "version", HOME_VERSION, error);
    if (status == OK) status = home_sum_rows(db, &home->sum, error);
    if (status == OK) status = home_write_sum(home, error);
    if (status == OK) fault_at(home->env, "home.upgrade");
    if (status == OK) status = home_exec(db, "COMMIT", error);
    if (status != OK) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
