/* The home as one SQLite file: opening, locking, identity, facts and queries. WAL with
 * synchronous=FULL makes every commit durable; a lock file beside it keeps a second process out and
 * remembers the last epoch, so that an old copy put back in its place is noticed. Every write
 * transaction checks that the generation is still this process's. */
#include "state/sqlite_home.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

static const char SCHEMA[] =
    "CREATE TABLE leat_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE leat_facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE leat_queries (name TEXT PRIMARY KEY, hash INTEGER, plan TEXT, finished INTEGER) "
    "WITHOUT ROWID;"
    "CREATE TABLE leat_positions (source TEXT, partition TEXT, position INTEGER, max_time INTEGER, "
    "records INTEGER,"
    " \"check\" INTEGER, PRIMARY KEY (source, partition)) WITHOUT ROWID;"
    "CREATE TABLE leat_marks (source TEXT PRIMARY KEY, mark INTEGER) WITHOUT ROWID;"
    "CREATE TABLE leat_deltas (operator TEXT, epoch INTEGER, data BLOB, \"check\" INTEGER, PRIMARY "
    "KEY (operator, epoch));"
    "CREATE TABLE leat_snapshots (operator TEXT, shard INTEGER, epoch INTEGER, data BLOB, "
    "\"check\" INTEGER,"
    " PRIMARY KEY (operator, shard));"
    "CREATE TABLE leat_segments (operator TEXT, bucket INTEGER, epoch INTEGER, data BLOB, "
    "\"check\" INTEGER,"
    " PRIMARY KEY (operator, bucket, epoch));"
    "CREATE TABLE leat_outbox (sink TEXT, epoch INTEGER, data BLOB, \"check\" INTEGER, PRIMARY KEY "
    "(sink, epoch));"
    "CREATE TABLE leat_sinks (sink TEXT PRIMARY KEY, length INTEGER, delivered INTEGER) WITHOUT "
    "ROWID;"
    "CREATE TABLE leat_counts (query TEXT, source TEXT, kind TEXT, count INTEGER, PRIMARY KEY "
    "(query, source, kind)) WITHOUT ROWID;"
    "CREATE TABLE late_rows (query TEXT, source TEXT, partition INTEGER, position INTEGER, time "
    "TEXT, reason TEXT, record BLOB);"
    "CREATE TABLE dead_letters (query TEXT, source TEXT, partition INTEGER, position INTEGER, time "
    "TEXT, reason TEXT, record BLOB);";

Status home_sqlite_error(sqlite3 *db, Status status, const char *what, Error *error) {
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    const char *text = db ? sqlite3_errmsg(db) : "out of memory";
    const char *remedy =
        code == SQLITE_FULL       ? "; free some disk space"
        : code == SQLITE_IOERR    ? "; is the disk full or failing, or the size of files limited?"
        : code == SQLITE_READONLY ? "; make the file and its folder writable"
        : code == SQLITE_CORRUPT || code == SQLITE_NOTADB
            ? "; the home is damaged: put back a good copy, or start over with leat run --fresh"
            : "";
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    const char *name = path && strrchr(path, '/') ? strrchr(path, '/') + 1 : "";
    bool named = strstr(what, name) != NULL; /* "" is everywhere */
    (void)fail(error, "home%s%s: %s: %s%s", named ? "" : " ", named ? "" : name, what, text,
               remedy);
    if (status == AGAIN && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)) return FAIL;
    return status;
}

Status home_exec(sqlite3 *db, const char *sql, Error *error) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return OK;
    return home_sqlite_error(db, FAIL, "cannot write", error);
}

Status home_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, Error *error) {
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
        return OK;
    return home_sqlite_error(db, FAIL, "cannot read", error);
}

char *home_quote(const char *name) {
    char *sqlite = sqlite3_mprintf("\"%w\"", name);
    char *copy = xstrdup(sqlite ? sqlite : "");
    sqlite3_free(sqlite);
    return copy;
}

void home_pack(Str data, Buffer *out) {
    out->size = 0;
    if (data.size >= 256) {
        size_t bound = ZSTD_compressBound(data.size);
        buffer_add_u8(out, 1);
        buffer_add_varint(out, data.size);
        char *to = buffer_reserve(out, bound);
        size_t packed = ZSTD_compress(to, bound, data.data, data.size, 1);
        if (!ZSTD_isError(packed) && packed < data.size) {
            out->size += packed;
            return;
        }
        out->size = 0;
    }
    buffer_add_u8(out, 0);
    buffer_add_str(out, data);
}

Status home_unpack(Str data, Buffer *out, Error *error) {
    out->size = 0;
    Reader reader = reader_of(data);
    uint8_t kind = read_u8(&reader);
    if (kind == 0 && !reader.bad) {
        buffer_add(out, reader.at, (size_t)(reader.end - reader.at));
        return OK;
    }
    uint64_t size = read_varint(&reader);
    if (kind != 1 || reader.bad || size > (UINT64_C(1) << 32))
        return fail(error, "home: damaged blob");
    char *to = buffer_reserve(out, size + 1);
    size_t got = ZSTD_decompress(to, size, reader.at, (size_t)(reader.end - reader.at));
    if (ZSTD_isError(got) || got != size) return fail(error, "home: damaged blob");
    out->size += size;
    return OK;
}

int64_t home_position_check(const char *source, const char *partition, int64_t position,
                            int64_t max_time, int64_t records) {
    Buffer b = {0};
    buffer_add_sized(&b, str_from(source));
    buffer_add_sized(&b, str_from(partition));
    buffer_add_i64(&b, position);
    buffer_add_i64(&b, max_time);
    buffer_add_i64(&b, records);
    int64_t check = home_check(buffer_str(&b));
    buffer_free(&b);
    return check;
}

/* ---- the lock file: "ID EPOCH\n" ---- */

/* A process that was killed a moment ago may still be on its way out: two seconds of patience. */
static bool lock_file(int fd) {
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK || tries == 100) return false;
        usleep(20000);
    }
    return true;
}

static Status take_lock(Home *home, char *id, int64_t *epoch, Error *error) {
    char *path = sqlite3_mprintf("%s.lock", home->path);
    home->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    Status status = OK;
    if (home->lock_fd < 0)
        status = fail(
            error, "home %s: cannot open its lock file: %s; make the folder writable or SET home",
            home->path, strerror(errno));
    else if (!lock_file(home->lock_fd))
        status = fail(error,
                      "home %s is in use by another process; stop that one first, or SET home to "
                      "another file",
                      home->path);
    sqlite3_free(path);
    if (status != OK) return status;
    char text[128] = "";
    ssize_t got = pread(home->lock_fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    id[0] = 0;
    *epoch = 0;
    char read_id[33];
    int64_t read_epoch;
    if (sscanf(text, "%32[0-9a-f] %" SCNd64, read_id, &read_epoch) == 2 && strlen(read_id) == 32) {
        memcpy(id, read_id, 33);
        *epoch = read_epoch;
    }
    return OK;
}

Status home_write_lock(Home *home, int64_t epoch, Error *error) {
    char text[80];
    int size = snprintf(text, sizeof text, "%s %019" PRId64 "\n", home->info.id, epoch);
    if (pwrite(home->lock_fd, text, (size_t)size, 0) != size)
        return fail(error, "home %s: cannot write its lock file: %s", home->path, strerror(errno));
    return OK;
}

static bool file_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

/* FILE -> FILE.1 or the next free number, with what SQLite keeps beside it. */
static Status set_aside(Home *home, char **aside, Error *error) {
    for (int n = 1;; n++) {
        char *to = sqlite3_mprintf("%s.%d", home->path, n);
        if (file_exists(to)) {
            sqlite3_free(to);
            continue;
        }
        static const char *const beside[] = {"", "-wal", "-shm"};
        for (int i = 0; i < 3; i++) {
            char *from = sqlite3_mprintf("%s%s", home->path, beside[i]);
            char *dest = sqlite3_mprintf("%s%s", to, beside[i]);
            bool ok = !file_exists(from) || rename(from, dest) == 0;
            int why = errno;
            sqlite3_free(from);
            sqlite3_free(dest);
            if (!ok) {
                sqlite3_free(to);
                return fail(error, "home %s: cannot set it aside: %s", home->path, strerror(why));
            }
        }
        if (aside) *aside = xstrdup(to);
        sqlite3_free(to);
        return OK;
    }
}

static Status read_meta(Home *home, const char *name, char *out, size_t size, Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db, "SELECT value FROM leat_meta WHERE name = ?", &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(s);
    out[0] = 0;
    if (step == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(s, 0);
        snprintf(out, size, "%s", text ? (const char *)text : "");
    } else if (step != SQLITE_DONE) {
        status = home_sqlite_error(home->db, FAIL, home->path, error);
    }
    sqlite3_finalize(s);
    return status;
}

static Status write_meta(Home *home, const char *name, const char *value, Error *error) {
    sqlite3_stmt *s = NULL;
    Status status =
        home_prepare(home->db, "INSERT OR REPLACE INTO leat_meta VALUES (?, ?)", &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
    if (sqlite3_step(s) != SQLITE_DONE)
        status = home_sqlite_error(home->db, FAIL, "cannot write", error);
    sqlite3_finalize(s);
    return status;
}

static Status write_number(Home *home, const char *name, int64_t value, Error *error) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return write_meta(home, name, text, error);
}

Status home_guard(Home *home, Error *error) {
    char text[32];
    Status status = read_meta(home, "generation", text, sizeof text, error);
    if (status != OK) return status;
    if (strtoll(text, NULL, 10) != home->info.generation)
        return fail(error,
                    "home %s was taken over by another process (generation %s, ours %" PRId64 ")",
                    home->path, text, home->info.generation);
    return OK;
}

static Status make_home(Home *home, const char *pipeline, Error *error) {
    unsigned char random[16];
    fault_at(home->env, "home.make");
    home->env->random_bytes(home->env, random, sizeof random);
    for (int i = 0; i < 16; i++) snprintf(home->info.id + 2 * i, 3, "%02x", random[i]);
    Status status = home_exec(home->db, "BEGIN IMMEDIATE", error);
    if (status == OK) status = home_exec(home->db, SCHEMA, error);
    if (status == OK) status = write_meta(home, "id", home->info.id, error);
    if (status == OK) status = write_number(home, "version", HOME_VERSION, error);
    if (status == OK) status = write_meta(home, "pipeline", pipeline, error);
    if (status == OK) status = write_number(home, "generation", 0, error);
    if (status == OK) status = write_number(home, "epoch", 0, error);
    if (status == OK) status = write_number(home, "finished", 0, error);
    if (status == OK) status = home_exec(home->db, "COMMIT", error);
    if (status == OK) fault_at(home->env, "home.made");
    return status;
}

/* What stands in the file must be ours, of a version we know, and not older than the lock file
 * remembers. */
static Status check_home(Home *home, const char *pipeline, const char *lock_id, int64_t lock_epoch,
                         Error *error) {
    char text[64], owner[512];
    Status status = read_meta(home, "version", text, sizeof text, error);
    if (status != OK) {
        sqlite3_stmt *s = NULL;
        bool any = sqlite3_prepare_v2(home->db, "SELECT count(*) FROM sqlite_master", -1, &s,
                                      NULL) == SQLITE_OK &&
                   sqlite3_step(s) == SQLITE_ROW;
        sqlite3_finalize(s);
        if (any)
            return fail(error,
                        "%s is a SQLite file but not a home of Leat; SET home to another file",
                        home->path);
        return status;
    }
    if (strtol(text, NULL, 10) != HOME_VERSION)
        return fail(error,
                    "home %s has format version %s, this program knows version %d; use a newer "
                    "program or leat run --fresh",
                    home->path, text, HOME_VERSION);
    if ((status = read_meta(home, "pipeline", owner, sizeof owner, error)) != OK) return status;
    if (strcmp(owner, pipeline) != 0)
        return fail(error,
                    "home %s was made by pipeline '%s', this is '%s'; SET home or SET pipeline, or "
                    "start over with leat run --fresh",
                    home->path, owner, pipeline);
    if ((status = read_meta(home, "id", text, sizeof text, error)) != OK) return status;
    snprintf(home->info.id, sizeof home->info.id, "%.32s", text);
    if ((status = read_meta(home, "epoch", text, sizeof text, error)) != OK) return status;
    home->info.epoch = strtoll(text, NULL, 10);
    if ((status = read_meta(home, "generation", text, sizeof text, error)) != OK) return status;
    home->info.generation = strtoll(text, NULL, 10);
    if ((status = read_meta(home, "finished", text, sizeof text, error)) != OK) return status;
    home->info.finished = strcmp(text, "1") == 0;
    if (strcmp(lock_id, home->info.id) == 0 && home->info.epoch < lock_epoch)
        return fail(error,
                    "home %s stands at epoch %" PRId64 " but its lock file says that epoch %" PRId64
                    " was committed: it is an old copy, or its -wal file was lost; put the newest "
                    "copy back with its -wal file, or start over with leat run --fresh",
                    home->path, home->info.epoch, lock_epoch);
    return OK;
}

static Status raise_generation(Home *home, Error *error) {
    Status status = home_exec(home->db, "BEGIN IMMEDIATE", error);
    if (status != OK) return status;
    home->info.generation++;
    status = write_number(home, "generation", home->info.generation, error);
    if (status == OK) status = home_exec(home->db, "COMMIT", error);
    return status;
}

static int take_count(void *count, int columns, char **values, char **names) {
    (void)columns, (void)names;
    *(bool *)count = strcmp(values[0], "0") == 0;
    return 0;
}

/* Told apart before anything is written: no SQLite file at all, or one that cannot be read. *empty:
 * nothing is in it yet, as when the start that made it was killed. */
static Status check_file(Home *home, bool *empty, Error *error) {
    if (sqlite3_exec(home->db, "SELECT count(*) FROM sqlite_master", take_count, empty, NULL) ==
        SQLITE_OK)
        return OK;
    if ((sqlite3_errcode(home->db) & 0xff) == SQLITE_NOTADB)
        return fail(error, "%s is no home of Leat (not a SQLite file); SET home to another file",
                    home->path);
    return home_sqlite_error(home->db, FAIL, home->path, error);
}

Status home_open(const char *path, const char *pipeline, bool fresh, Env *env, Home **out,
                 char **aside, Error *error) {
    Home *home = xcalloc(1, sizeof *home);
    home->env = env;
    home->path = xstrdup(path);
    home->lock_fd = -1;
    home->facts = arena_new();
    if (aside) *aside = NULL;
    char lock_id[33];
    int64_t lock_epoch;
    Status status = take_lock(home, lock_id, &lock_epoch, error);
    bool exists = file_exists(path);
    if (status == OK && fresh && exists) {
        status = set_aside(home, aside, error);
        exists = false;
    }
    if (status == OK &&
        sqlite3_open_v2(path, &home->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        status = home_sqlite_error(home->db, FAIL, path, error);
    if (status == OK) {
        sqlite3_busy_timeout(home->db, 5000);
        bool empty = false;
        if (exists) status = check_file(home, &empty, error);
        if (empty) exists = false;
    }
    if (status == OK) {
        status = home_exec(
            home->db,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=2000;",
            error);
    }
    if (status == OK) {
        home->info.made_now = !exists;
        status = exists ? check_home(home, pipeline, lock_id, lock_epoch, error)
                        : make_home(home, pipeline, error);
    }
    if (status == OK) status = raise_generation(home, error);
    if (status == OK) fault_at(home->env, "home.raised");
    if (status == OK) status = home_write_lock(home, home->info.epoch, error);
    if (status != OK) {
        home_close(&home);
        return FAIL;
    }
    *out = home;
    return OK;
}

void home_close(Home **home_at) {
    Home *home = *home_at;
    if (!home) return;
    home_statements_free(home);
    home_views_free(home);
    sqlite3_close_v2(home->db);
    if (home->lock_fd >= 0) close(home->lock_fd);
    arena_free(&home->facts);
    free(home->path);
    free(home);
    *home_at = NULL;
}

const HomeInfo *home_info(const Home *home) { return &home->info; }
const char *home_path(const Home *home) { return home->path; }

const char *home_get(Home *home, const char *name) {
    sqlite3_stmt *s = NULL;
    if (home_prepare(home->db, "SELECT value FROM leat_facts WHERE name = ?", &s, NULL) != OK)
        return NULL;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    const char *value = NULL;
    if (sqlite3_step(s) == SQLITE_ROW)
        value = arena_text(home->facts, str_from((const char *)sqlite3_column_text(s, 0)));
    sqlite3_finalize(s);
    return value;
}

static Status guarded(Home *home, Error *error) {
    Status status = home_exec(home->db, "BEGIN IMMEDIATE", error);
    if (status == OK && (status = home_guard(home, error)) != OK)
        sqlite3_exec(home->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static Status finish(Home *home, Status status, Error *error) {
    if (status == OK) status = home_exec(home->db, "COMMIT", error);
    if (status != OK) sqlite3_exec(home->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* One statement with text arguments. */
static Status run_text(Home *home, const char *sql, int count, const char *const *args,
                       Error *error) {
    sqlite3_stmt *s = NULL;
    Status status = home_prepare(home->db, sql, &s, error);
    if (status != OK) return status;
    for (int i = 0; i < count; i++) sqlite3_bind_text(s, i + 1, args[i], -1, SQLITE_STATIC);
    if (sqlite3_step(s) != SQLITE_DONE)
        status = home_sqlite_error(home->db, FAIL, "cannot write", error);
    sqlite3_finalize(s);
    return status;
}

Status home_set(Home *home, const char *name, const char *value, Error *error) {
    Status status = guarded(home, error);
    if (status != OK) return status;
    status = run_text(home, "INSERT OR REPLACE INTO leat_facts VALUES (?, ?)", 2,
                      (const char *[]){name, value}, error);
    return finish(home, status, error);
}

Status home_put_query(Home *home, const char *name, uint64_t hash, const char *plan, Error *error) {
    Status status = guarded(home, error);
    if (status != OK) return status;
    char number[32];
    snprintf(number, sizeof number, "%" PRId64, (int64_t)hash);
    status = run_text(home,
                      "INSERT OR REPLACE INTO leat_queries VALUES (?1, CAST(?2 AS INTEGER), ?3, 0)",
                      3, (const char *[]){name, number, plan}, error);
    return finish(home, status, error);
}

Status home_forget_query(Home *home, const char *query, const char *view, const char *sink,
                         Error *error) {
    Status status = guarded(home, error);
    if (status != OK) return status;
    static const char *const by_operator[] = {
        "DELETE FROM leat_deltas WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_snapshots WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_segments WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_counts WHERE query = ?1", "DELETE FROM leat_queries WHERE name = ?1"};
    for (int i = 0; status == OK && i < 5; i++)
        status = run_text(home, by_operator[i], 1, &query, error);
    if (status == OK && sink)
        status = run_text(home, "DELETE FROM leat_outbox WHERE sink = ?1", 1, &sink, error);
    if (status == OK) status = write_number(home, "finished", 0, error);
    if (status == OK && view) {
        char *name = sqlite3_mprintf("leat_view_%s", view);
        char *drop =
            sqlite3_mprintf("DROP VIEW IF EXISTS \"%w\"; DROP TABLE IF EXISTS \"%w\";", view, name);
        status = home_exec(home->db, drop, error);
        sqlite3_free(drop);
        sqlite3_free(name);
    }
    status = finish(home, status, error);
    if (status == OK) home->info.finished = false;
    return status;
}
