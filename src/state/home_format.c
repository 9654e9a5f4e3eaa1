/* The home's format, version 3: its tables, what leat_meta says, and whether a file is a home that
 * a start may trust. */
#include "state/sqlite_home.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REJECT_COLUMNS "query, source, partition, position, time, reason, record"
#define REJECT_TYPES                                                                               \
    "query TEXT, source TEXT, partition INTEGER, position INTEGER, time TEXT, reason TEXT, "       \
    "record BLOB"

const HomeTable HOME_TABLES[HOME_TABLE_COUNT] = {
    {"leat_meta", "name, value", "(name TEXT PRIMARY KEY, value, \"check\" INTEGER) WITHOUT ROWID",
     true, false},
    {"leat_facts", "name, value",
     "(name TEXT PRIMARY KEY, value TEXT, \"check\" INTEGER) WITHOUT ROWID", true, false},
    {"leat_queries", "name, hash, plan, finished",
     "(name TEXT PRIMARY KEY, hash INTEGER, plan TEXT, finished INTEGER, \"check\" INTEGER) "
     "WITHOUT ROWID",
     true, false},
    /* query "": the source's own; else what that sink has acknowledged */
    {"leat_positions", "query, source, partition, position, max_time, records",
     "(query TEXT, source TEXT, partition TEXT, position INTEGER, max_time INTEGER, records "
     "INTEGER, \"check\" INTEGER, PRIMARY KEY (query, source, partition)) WITHOUT ROWID",
     true, false},
    {"leat_marks", "source, mark",
     "(source TEXT PRIMARY KEY, mark INTEGER, \"check\" INTEGER) WITHOUT ROWID", true, false},
    {"leat_deltas", "operator, epoch, data",
     "(operator TEXT, epoch INTEGER, \"check\" INTEGER, data BLOB, PRIMARY KEY (operator, epoch))",
     true, true},
    {"leat_snapshots", "operator, shard, epoch, data",
     "(operator TEXT, shard INTEGER, epoch INTEGER, \"check\" INTEGER, data BLOB, PRIMARY KEY "
     "(operator, shard))",
     true, true},
    {"leat_segments", "operator, bucket, epoch, data",
     "(operator TEXT, bucket INTEGER, epoch INTEGER, \"check\" INTEGER, data BLOB, PRIMARY KEY "
     "(operator, bucket, epoch))",
     true, true},
    {"leat_outbox", "sink, epoch, data",
     "(sink TEXT, epoch INTEGER, \"check\" INTEGER, data BLOB, PRIMARY KEY (sink, epoch))", true,
     true},
    {"leat_sinks", "sink, length, delivered",
     "(sink TEXT PRIMARY KEY, length INTEGER, delivered INTEGER, \"check\" INTEGER) WITHOUT ROWID",
     true, false},
    {"leat_counts", "query, source, kind, count",
     "(query TEXT, source TEXT, kind TEXT, count INTEGER, \"check\" INTEGER, PRIMARY KEY (query, "
     "source, kind)) WITHOUT ROWID",
     true, false},
    /* how many rows of an epoch that may come again a sink has refused */
    {"leat_refused", "sink, epoch, query, source, count",
     "(sink TEXT, epoch INTEGER, query TEXT, source TEXT, count INTEGER, \"check\" INTEGER, "
     "PRIMARY KEY (sink, epoch, query, source)) WITHOUT ROWID",
     true, false},
    {"leat_late_rows", REJECT_COLUMNS, "(" REJECT_TYPES ", \"check\" INTEGER)", false, false},
    /* sink, epoch: of a row that a sink refused */
    {"leat_dead_letters", REJECT_COLUMNS ", sink, epoch",
     "(" REJECT_TYPES ", sink TEXT, epoch INTEGER, \"check\" INTEGER)", false, false},
};

typedef struct Object {
    const char *name, *make;
} Object;
static const Object OTHERS[HOME_OBJECT_COUNT - HOME_TABLE_COUNT] = {
    {"late_rows", "CREATE VIEW late_rows AS SELECT " REJECT_COLUMNS " FROM leat_late_rows"},
    {"dead_letters",
     "CREATE VIEW dead_letters AS SELECT " REJECT_COLUMNS " FROM leat_dead_letters"},
};
static const char REFUSED_INDEX[] =
    "CREATE INDEX leat_dead_letters_sink ON leat_dead_letters (sink, epoch) WHERE sink IS NOT NULL";

Status home_create_tables(sqlite3 *db, Error *error) {
    Status status = OK;
    for (int i = 0; status == OK && i < HOME_TABLE_COUNT; i++) {
        char *sql = sqlite3_mprintf("CREATE TABLE %s %s", HOME_TABLES[i].name, HOME_TABLES[i].rest);
        status = home_exec(db, sql, error);
        sqlite3_free(sql);
    }
    for (int i = 0; status == OK && i < HOME_OBJECT_COUNT - HOME_TABLE_COUNT; i++)
        status = home_exec(db, OTHERS[i].make, error);
    if (status == OK) status = home_exec(db, REFUSED_INDEX, error);
    /* "Leat": so that file(1) and a start tell it from other files of SQLite. */
    if (status == OK) status = home_exec(db, "PRAGMA application_id = 0x4c656174", error);
    return status;
}

Status home_damaged(const char *path, const char *what, Error *error) {
    return fail(error,
                "home %s is damaged: %s; put back a good copy, or start over with leat run --fresh",
                path, what);
}

/* ---- leat_meta ---- */

Status home_read_meta(Home *home, const char *name, char *out, size_t size, Error *error) {
    if (!home->read_meta) {
        Status status =
            home_prepare(home->db,
                         "SELECT value, leat_check('leat_meta', name, value) IS \"check\" FROM "
                         "leat_meta WHERE name = ?",
                         &home->read_meta, error);
        if (status != OK) return status;
    }
    sqlite3_stmt *s = home->read_meta;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(s);
    Status status = OK;
    char what[128];
    out[0] = 0;
    if (step == SQLITE_ROW && sqlite3_column_int(s, 1)) {
        const unsigned char *text = sqlite3_column_text(s, 0);
        snprintf(out, size, "%s", text ? (const char *)text : "");
    } else if (step == SQLITE_ROW || step == SQLITE_DONE) {
        snprintf(what, sizeof what,
                 step == SQLITE_ROW ? "the checksum of its '%s' does not match"
                                    : "its '%s' is missing",
                 name);
        status = home_damaged(home->path, what, error);
    } else {
        status = home_sqlite_error(home->db, FAIL, home->path, error);
    }
    sqlite3_reset(s);
    return status;
}

static Status home_write_meta(Home *home, const char *name, const char *value, Error *error) {
    if (!home->put_meta) {
        Status status = home_prepare(home->db,
                                     "INSERT OR REPLACE INTO leat_meta VALUES (?1, ?2, "
                                     "leat_check('leat_meta', ?1, ?2))",
                                     &home->put_meta, error);
        if (status != OK) return status;
    }
    sqlite3_stmt *s = home->put_meta;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
    Status status = OK;
    if (sqlite3_step(s) != SQLITE_DONE)
        status = home_sqlite_error(home->db, FAIL, "cannot write", error);
    sqlite3_reset(s);
    return status;
}

Status home_write_number(Home *home, const char *name, int64_t value, Error *error) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return home_write_meta(home, name, text, error);
}

Status home_write_sum(Home *home, Error *error) {
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 " %016" PRIx64, home->serial, home->sum);
    return home_write_meta(home, "sum", text, error);
}

Status home_make(Home *home, const char *pipeline, Error *error) {
    unsigned char random[16];
    fault_at(home->env, "home.make");
    home->env->random_bytes(home->env, random, sizeof random);
    for (int i = 0; i < 16; i++) snprintf(home->info.id + 2 * i, 3, "%02x", random[i]);
    Status status = home_exec(home->db, "BEGIN IMMEDIATE", error);
    if (status == OK) status = home_create_tables(home->db, error);
    if (status == OK) status = home_watch(home, error);
    if (status == OK) status = home_write_meta(home, "id", home->info.id, error);
    if (status == OK) status = home_write_number(home, "version", HOME_VERSION, error);
    if (status == OK) status = home_write_meta(home, "pipeline", pipeline, error);
    if (status == OK) status = home_write_number(home, "generation", 0, error);
    if (status == OK) status = home_write_number(home, "epoch", 0, error);
    if (status == OK) status = home_write_number(home, "finished", 0, error);
    if (status == OK) status = home_write_sum(home, error);
    if (status == OK) status = home_exec(home->db, "COMMIT", error);
    if (status == OK) fault_at(home->env, "home.made");
    return status;
}

/* ---- is this home to be trusted? ---- */

/* The version stands where every version keeps it. *checked: its row carries a checksum, as from
 * version 3 on. OK with *version 0: this is no home of Leat. */
static Status read_version(sqlite3 *db, const char *path, int64_t *version, bool *checked,
                           Error *error) {
    sqlite3_stmt *s = NULL;
    *version = 0;
    *checked = sqlite3_prepare_v2(db, "SELECT \"check\", value FROM leat_meta", -1, &s, NULL) ==
                   SQLITE_OK &&
               strcmp(sqlite3_column_name(s, 0), "check") == 0;
    sqlite3_finalize(s);
    s = NULL;
    if (sqlite3_prepare_v2(db, "SELECT value FROM leat_meta WHERE name = 'version'", -1, &s,
                           NULL) != SQLITE_OK) {
        int code = sqlite3_errcode(db) & 0xff;
        return code == SQLITE_ERROR ? OK : home_sqlite_error(db, FAIL, path, error);
    }
    int code = sqlite3_step(s);
    Status status = OK;
    if (code == SQLITE_ROW) *version = sqlite3_column_int64(s, 0);
    else if (code != SQLITE_DONE) status = home_sqlite_error(db, FAIL, path, error);
    sqlite3_finalize(s);
    return status;
}

static int take_number(void *to, int columns, char **values, char **names) {
    (void)columns, (void)names;
    *(int64_t *)to = values[0] ? strtoll(values[0], NULL, 10) : 0;
    return 0;
}

static Status no_home(sqlite3 *db, const char *path, Error *error) {
    int64_t application = 0;
    sqlite3_exec(db, "PRAGMA application_id", take_number, &application, NULL);
    if (application == 0x4c656174) return home_damaged(path, "its version cannot be read", error);
    return fail(error, "%s is a SQLite file but not a home of Leat; SET home to another file",
                path);
}

Status home_recognize(sqlite3 *db, const char *path, int64_t *version, Error *error) {
    bool checked;
    Status status = read_version(db, path, version, &checked, error);
    if (status != OK) return status;
    if (!*version) return no_home(db, path, error);
    if (*version > HOME_VERSION)
        return fail(error,
                    "home %s has format version %" PRId64 ", this program knows versions up to %d; "
                    "use the program that wrote it or a newer one, or start over with leat run "
                    "--fresh",
                    path, *version, HOME_VERSION);
    if (*version == 1)
        return fail(error,
                    "home %s has format version 1, this program knows versions from 2 on; start "
                    "over with leat run --fresh",
                    path);
    if (*version < 2 || checked != (*version == HOME_VERSION))
        return home_damaged(path, "its version does not go with its tables", error);
    return OK;
}

/* Else a value might be read as something else. */
Status home_check_schema(sqlite3 *db, const char *path, Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(db, "SELECT sql FROM sqlite_master WHERE name = ?", &s, error);
    for (int i = 0; status == OK && i < HOME_OBJECT_COUNT; i++) {
        const char *name =
            i < HOME_TABLE_COUNT ? HOME_TABLES[i].name : OTHERS[i - HOME_TABLE_COUNT].name;
        char *wanted = i < HOME_TABLE_COUNT
                           ? sqlite3_mprintf("CREATE TABLE %s %s", name, HOME_TABLES[i].rest)
                           : sqlite3_mprintf("%s", OTHERS[i - HOME_TABLE_COUNT].make);
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
        int code = sqlite3_step(s);
        const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
        if (!text || strcmp(text, wanted) != 0) {
            char what[128];
            snprintf(what, sizeof what, "its table %s is not as it was made", name);
            status = code == SQLITE_ROW || code == SQLITE_DONE
                         ? home_damaged(path, what, error)
                         : home_sqlite_error(db, FAIL, path, error);
        }
        sqlite3_free(wanted);
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    return status;
}

/* Every row that a start trusts; blobs are compared when they are read. */
static Status check_rows(Home *home, Error *error) {
    for (int i = 0; i < HOME_TABLE_COUNT; i++) {
        const HomeTable *table = &HOME_TABLES[i];
        if (!table->summed || table->blob) continue;
        char *sql =
            sqlite3_mprintf("SELECT count(*) FROM %s WHERE \"check\" IS NOT leat_check('%s', %s)",
                            table->name, table->name, table->columns);
        int64_t bad = 0;
        int code = sqlite3_exec(home->db, sql, take_number, &bad, NULL);
        sqlite3_free(sql);
        if (code != SQLITE_OK) return home_sqlite_error(home->db, FAIL, home->path, error);
        if (bad) {
            char what[128];
            snprintf(what, sizeof what, "the checksum of a row of %s does not match", table->name);
            return home_damaged(home->path, what, error);
        }
    }
    return OK;
}

/* The sum of what a table's key and rowid hash to, by its rows or by its index. */
static Status sum_keys(Home *home, const HomeTable *table, bool by_index, uint64_t *sum,
                       Error *error) {
    char *how = by_index ? sqlite3_mprintf("INDEXED BY sqlite_autoindex_%s_1", table->name)
                         : sqlite3_mprintf("NOT INDEXED");
    size_t keys = strlen(table->columns) - strlen(", data");
    char *sql = sqlite3_mprintf("SELECT leat_check('', %.*s, rowid) FROM %s %s", (int)keys,
                                table->columns, table->name, how);
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db, sql, &s, error);
    sqlite3_free(how);
    sqlite3_free(sql);
    int code = SQLITE_DONE;
    *sum = 0;
    while (status == OK && (code = sqlite3_step(s)) == SQLITE_ROW)
        *sum += (uint64_t)sqlite3_column_int64(s, 0);
    if (code != SQLITE_DONE) status = home_sqlite_error(home->db, FAIL, home->path, error);
    sqlite3_finalize(s);
    return status;
}

/* A row that its index does not know is there, but would not be found. */
static Status check_indexes(Home *home, Error *error) {
    for (int i = 0; i < HOME_TABLE_COUNT; i++) {
        uint64_t rows, index;
        if (!HOME_TABLES[i].blob) continue;
        Status status = sum_keys(home, &HOME_TABLES[i], false, &rows, error);
        if (status == OK) status = sum_keys(home, &HOME_TABLES[i], true, &index, error);
        if (status != OK) return status;
        if (rows == index) continue;
        char what[128];
        snprintf(what, sizeof what, "the index of %s does not match its rows", HOME_TABLES[i].name);
        return home_damaged(home->path, what, error);
    }
    return OK;
}

static Status check_sum(Home *home, Error *error) {
    char text[64];
    Status status = home_read_meta(home, "sum", text, sizeof text, error);
    uint64_t sum = 0, written = 0;
    if (status == OK) status = home_sum_rows(home->db, &sum, error);
    if (status != OK) return status;
    if (sscanf(text, "%" SCNd64 " %16" SCNx64, &home->serial, &written) != 2 || sum != written)
        return home_damaged(home->path, "rows are missing, or came back that were gone", error);
    home->sum = sum;
    return OK;
}

Status home_check_owner(Home *home, const char *owner, const char *pipeline, Error *error) {
    if (strcmp(owner, pipeline) == 0) return OK;
    return fail(error,
                "home %s was made by pipeline '%s', this is '%s'; SET home or SET pipeline, or "
                "start over with leat run --fresh",
                home->path, owner, pipeline);
}

static Status read_info(Home *home, const char *pipeline, Error *error) {
    char text[64] = "", owner[512];
    HomeInfo *info = &home->info;
    Status status = home_read_meta(home, "pipeline", owner, sizeof owner, error);
    if (status == OK) status = home_check_owner(home, owner, pipeline, error);
    if (status == OK) status = home_read_meta(home, "id", info->id, sizeof info->id, error);
    if (status == OK) status = home_read_meta(home, "epoch", text, sizeof text, error);
    info->epoch = strtoll(text, NULL, 10);
    if (status == OK) status = home_read_meta(home, "generation", text, sizeof text, error);
    info->generation = strtoll(text, NULL, 10);
    if (status == OK) status = home_read_meta(home, "finished", text, sizeof text, error);
    info->finished = strcmp(text, "1") == 0;
    return status;
}

Status home_check_memory(Home *home, const HomeMemory *memory, Error *error) {
    if (!memory->id[0]) {
        if (home->info.epoch)
            log_info("home %s: there is no lock file beside it, so it is taken for the newest copy",
                     home->path);
        return OK;
    }
    if (strcmp(memory->id, home->info.id) != 0)
        return fail(error,
                    "home %s is not the one that stood here: its lock file knows another; put that "
                    "one back, or remove %s.lock if this one is meant",
                    home->path, home->path);
    if (home->info.epoch < memory->epoch)
        return fail(error,
                    "home %s stands at epoch %" PRId64 " but its lock file says that epoch %" PRId64
                    " was committed: it is an old copy, or its -wal file was lost; put the newest "
                    "copy back with its -wal file, or start over with leat run --fresh",
                    home->path, home->info.epoch, memory->epoch);
    if (home->serial < memory->serial)
        return fail(error,
                    "home %s stands at epoch %" PRId64 " as its lock file says, but what was "
                    "written after it is missing: it is an old copy, or its -wal file was lost; "
                    "put the newest copy back with its -wal file, or start over with leat run "
                    "--fresh",
                    home->path, home->info.epoch);
    return OK;
}

Status home_accept(Home *home, const char *pipeline, const HomeMemory *memory, Error *error) {
    int64_t version;
    Status status = home_recognize(home->db, home->path, &version, error);
    if (status == OK && version < HOME_VERSION)
        status = home_upgrade(home, pipeline, memory, error);
    if (status == OK) status = home_check_schema(home->db, home->path, error);
    if (status == OK) status = read_info(home, pipeline, error);
    if (status == OK) status = check_rows(home, error);
    if (status == OK) status = check_sum(home, error);
    if (status == OK) status = check_indexes(home, error);
    if (status == OK) status = home_check_memory(home, memory, error);
    if (status == OK) status = home_watch(home, error);
    return status;
}
