/* The home as one SQLite file: opening, locking, identity, facts and queries. WAL with
 * synchronous=FULL makes every commit durable; a lock file beside it keeps a second process out and
 * remembers the last epoch, so that an old copy put back in its place is noticed. Every write
 * transaction checks that the generation is still this process's. */
#include "data/utf8.h"
#include "state/sqlite_home.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What comes from a damaged file may hold anything; a terminal must not. */
void home_plain_text(char *text) {
    size_t size = strlen(text);
    for (size_t at = 0; at < size;) {
        size_t length = (unsigned char)text[at] < ' ' ? 0 : utf8_length(text + at, size - at);
        if (!length) text[at] = '?';
        at += length ? length : 1;
    }
}

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
    if (error) home_plain_text(error->text);
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

static bool file_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

/* FILE -> FILE.1 or the next free number, with what SQLite keeps beside it. The -wal file goes
 * first: a home without it is refused, where a -wal file without its home would be thrown away. A
 * second try brings the two together again. */
static Status set_aside(Home *home, char **aside, Error *error) {
    for (int n = 1;; n++) {
        char *to = sqlite3_mprintf("%s.%d", home->path, n);
        if (file_exists(to)) {
            sqlite3_free(to);
            continue;
        }
        static const char *const beside[] = {"-wal", "-shm", ""};
        for (int i = 0; i < 3; i++) {
            if (i == 2) fault_at(home->env, "home.aside");
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

static Status guard(Home *home, Error *error) {
    char text[32];
    Status status = home_read_meta(home, "generation", text, sizeof text, error);
    if (status != OK) return status;
    if (strtoll(text, NULL, 10) != home->info.generation)
        return fail(error,
                    "home %s was taken over by another process (generation %s, ours %" PRId64 ")",
                    home->path, text, home->info.generation);
    return OK;
}

Status home_transaction(Home *home, Status failure, Error *error) {
    home->sum_then = home->sum;
    if (sqlite3_exec(home->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return home_sqlite_error(home->db, failure, "cannot commit", error);
    Status status = guard(home, error);
    if (status != OK) sqlite3_exec(home->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

Status home_end(Home *home, Status status, Status failure, Error *error) {
    home->serial++;
    if (status == OK && home_write_sum(home, error) != OK) status = failure;
    if (status == OK && sqlite3_exec(home->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = home_sqlite_error(home->db, failure, "cannot commit", error);
    if (status == OK) return OK;
    sqlite3_exec(home->db, "ROLLBACK", NULL, NULL, NULL);
    home->serial--;
    home->sum = home->sum_then;
    return status;
}

/* Facts and queries: what is committed at once. */
static Status finish(Home *home, Status status, Error *error) {
    status = home_end(home, status, FAIL, error);
    return status == OK ? home_write_lock(home, error) : status;
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

/* ---- generations ---- */

/* "GENERATION:EPOCH …", of the last starts, each with the epoch where it found the home. */
static const char STARTS[] = "starts";
enum { STARTS_MOST = 32 };

static Status put_fact(Home *home, const char *name, const char *value, Error *error) {
    return run_text(home,
                    "INSERT OR REPLACE INTO leat_facts VALUES (?1, ?2, leat_check('leat_facts', "
                    "?1, ?2))",
                    2, (const char *[]){name, value}, error);
}

static Status note_start(Home *home, Error *error) {
    const char *before = home_get(home, STARTS);
    int count = 0;
    for (const char *at = before; at && *at; at++) count += *at == ':';
    for (; before && count >= STARTS_MOST; count--)
        before = strchr(before, ' ') ? strchr(before, ' ') + 1 : NULL;
    Buffer text = {0};
    if (before) buffer_add_format(&text, "%s ", before);
    buffer_add_format(&text, "%" PRId64 ":%" PRId64, home->info.generation, home->info.epoch);
    buffer_add_char(&text, 0);
    Status status = put_fact(home, STARTS, text.data, error);
    buffer_free(&text);
    return status;
}

int64_t home_generation_end(Home *home, int64_t generation) {
    const char *starts = home_get(home, STARTS);
    for (const char *at = starts; at && *at;) {
        char *end;
        int64_t begun = strtoll(at, &end, 10), epoch = *end == ':' ? strtoll(end + 1, &end, 10) : 0;
        if (begun == generation + 1) return epoch;
        if (end == at) break;
        at = *end == ' ' ? end + 1 : end;
    }
    return INT64_MAX;
}

static Status raise_generation(Home *home, Error *error) {
    Status status = home_transaction(home, FAIL, error);
    if (status != OK) return status;
    home->info.generation++;
    status = home_write_number(home, "generation", home->info.generation, error);
    if (status == OK) status = note_start(home, error);
    status = home_end(home, status, FAIL, error);
    if (status != OK) return status;
    fault_at(home->env, "home.raised");
    return home_write_lock(home, error);
}

static int take_count(void *count, int columns, char **values, char **names) {
    (void)columns, (void)names;
    *(bool *)count = strcmp(values[0], "0") == 0;
    return 0;
}

/* Told apart before anything is written: no SQLite file at all, or one that cannot be read. *empty:
 * nothing is in it yet, as when the start that made it was killed. */
Status home_check_file(sqlite3 *db, const char *path, bool known, bool *empty, Error *error) {
    if (sqlite3_exec(db, "SELECT count(*) FROM sqlite_master", take_count, empty, NULL) ==
        SQLITE_OK)
        return OK;
    int code = sqlite3_errcode(db) & 0xff;
    if (code == SQLITE_ERROR) return home_damaged(path, sqlite3_errmsg(db), error);
    if (code != SQLITE_NOTADB) return home_sqlite_error(db, FAIL, path, error);
    if (known) return home_damaged(path, "it is no SQLite file any more", error);
    return fail(error, "%s is no home of Leat (not a SQLite file); SET home to another file", path);
}

/* A header that asks for a newer SQLite would be read, but not written. Before SQLite has the file
 * open: closing it here would take SQLite's locks away. */
Status home_check_header(const char *path, Error *error) {
    unsigned char header[20] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = file < 0 ? 0 : pread(file, header, sizeof header, 0);
    if (file >= 0) close(file);
    bool ours = got == sizeof header && memcmp(header, "SQLite format 3", 16) == 0;
    if (ours && (header[18] > 2 || header[19] > 2))
        return home_damaged(path, "its header is not as it was made", error);
    return OK;
}

/* What stands at the path: a file, or nothing yet. */
static Status check_kind(const char *path, bool *exists, Error *error) {
    struct stat s;
    bool there = stat(path, &s) == 0;
    if (!there && errno != ENOENT)
        return fail(error, "home %s: %s; SET home to another file", path, strerror(errno));
    /* The simulation's files stand in memory: SQLite's disk alone knows them. */
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    int known = 0;
    if (!there && vfs) (void)vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &known);
    *exists = there || known;
    if (there && !S_ISREG(s.st_mode))
        return fail(error, "home %s is %s; SET home to a file", path,
                    S_ISDIR(s.st_mode)    ? "a folder"
                    : S_ISFIFO(s.st_mode) ? "a pipe"
                                          : "not a file");
    return OK;
}

static Status open_database(Home *home, Error *error) {
    if (sqlite3_open_v2(home->path, &home->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return home_sqlite_error(home->db, FAIL, home->path, error);
    sqlite3_busy_timeout(home->db, 5000);
    Status status = home_functions(home->db, home, error);
    if (status == OK)
        status = home_exec(home->db,
                           "PRAGMA recursive_triggers = ON; PRAGMA temp_store = MEMORY; "
                           "PRAGMA trusted_schema = OFF",
                           error);
    return status;
}

/* Only a home of ours, or one that is to be made, is written to. Keys come in no order, so pages
 * that are kept save as much as a third of a run's time. */
static Status begin_writing(Home *home, Error *error) {
    return home_exec(
        home->db,
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
        "wal_autocheckpoint=2000; PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-16000;",
        error);
}

/* The lock file forgets the home before, so that a start that is killed in here leaves nothing that
 * the next one could not explain. */
static Status make(Home *home, const char *pipeline, const HomeMemory *memory, bool exists,
                   Error *error) {
    if (exists && memory->epoch)
        return fail(error,
                    "home %s is empty but its lock file says that epoch %" PRId64
                    " was committed; put back a good copy, or start over with leat run --fresh",
                    home->path, memory->epoch);
    if (ftruncate(home->lock_fd, 0) != 0)
        return fail(error, "home %s: cannot write its lock file: %s", home->path, strerror(errno));
    Status status = begin_writing(home, error);
    if (status == OK) status = home_make(home, pipeline, error);
    home->info.made_now = true;
    return status;
}

static Status open_in(Home *home, const char *pipeline, bool fresh, char **aside, Error *error) {
    HomeMemory memory;
    bool exists = false, empty = false;
    Status status = check_kind(home->path, &exists, error);
    if (status == OK) status = home_take_lock(home, &memory, fresh, error);
    if (status == OK && fresh && exists) {
        status = set_aside(home, aside, error);
        exists = false;
    }
    if (status == OK && exists) status = home_check_header(home->path, error);
    if (status == OK) status = open_database(home, error);
    if (status == OK && exists)
        status = home_check_file(home->db, home->path, memory.id[0] != 0, &empty, error);
    if (status != OK) return status;
    if (exists && !empty) {
        status = home_accept(home, pipeline, &memory, error);
        if (status == OK) status = begin_writing(home, error);
    } else {
        status = make(home, pipeline, &memory, exists, error);
    }
    if (status == OK) status = raise_generation(home, error);
    return status;
}

Status home_open(const char *path, const char *pipeline, bool fresh, Env *env, Home **out,
                 char **aside, Error *error) {
    Home *home = xcalloc(1, sizeof *home);
    home->env = env;
    home->path = home_real_path(path);
    home->lock_fd = -1;
    home->facts = arena_new();
    if (aside) *aside = NULL;
    if (open_in(home, pipeline, fresh, aside, error) != OK) {
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
    sqlite3_finalize(home->put_meta);
    sqlite3_finalize(home->read_meta);
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

Status home_set(Home *home, const char *name, const char *value, Error *error) {
    Status status = home_transaction(home, FAIL, error);
    if (status != OK) return status;
    return finish(home, put_fact(home, name, value, error), error);
}

Status home_put_query(Home *home, const char *name, uint64_t hash, const char *plan, Error *error) {
    Status status = home_transaction(home, FAIL, error);
    if (status != OK) return status;
    char number[32];
    snprintf(number, sizeof number, "%" PRId64, (int64_t)hash);
    status = run_text(home,
                      "INSERT OR REPLACE INTO leat_queries VALUES (?1, CAST(?2 AS INTEGER), ?3, 0, "
                      "leat_check('leat_queries', ?1, CAST(?2 AS INTEGER), ?3, 0))",
                      3, (const char *[]){name, number, plan}, error);
    return finish(home, status, error);
}

Status home_forget_query(Home *home, const char *query, const char *view, const char *sink,
                         Error *error) {
    Status status = home_transaction(home, FAIL, error);
    if (status != OK) return status;
    static const char *const by_operator[] = {
        "DELETE FROM leat_deltas WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_snapshots WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_segments WHERE substr(operator, 1, length(?1) + 1) = ?1 || '.'",
        "DELETE FROM leat_counts WHERE query = ?1",
        "DELETE FROM leat_refused WHERE query = ?1",
        "DELETE FROM leat_queries WHERE name = ?1"};
    for (size_t i = 0; status == OK && i < sizeof by_operator / sizeof *by_operator; i++)
        status = run_text(home, by_operator[i], 1, &query, error);
    if (status == OK && sink)
        status = run_text(home, "DELETE FROM leat_outbox WHERE sink = ?1", 1, &sink, error);
    if (status == OK) status = home_write_number(home, "finished", 0, error);
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
