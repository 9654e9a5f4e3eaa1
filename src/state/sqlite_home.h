/* Shared by the files that know SQLite; nobody else includes it. */
#pragma once
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "state/home.h"
#include <sqlite3.h>

enum { HOME_VERSION = 3 };

typedef struct HomeView {
    char *name, *table; /* table: quoted, "leat_view_NAME" */
    uint64_t seed;      /* of its rows' checksums */
    int columns;
    Schema schema; /* names and types copied */
    sqlite3_stmt *put, *remove, *expire;
} HomeView;

/* What the lock file remembers. */
typedef struct HomeMemory {
    char id[33]; /* "": nothing */
    int64_t epoch, serial;
} HomeMemory;

struct Home {
    sqlite3 *db;
    Env *env;
    char *path;
    int lock_fd;
    HomeInfo info;
    int64_t serial;         /* transactions in all */
    uint64_t sum, sum_then; /* of the checksums of all rows that are trusted: now, and when the
                               transaction began */
    bool refused;           /* dead letters came outside of an epoch: the next one trims them */
    Arena *facts;           /* what home_get gave */
    HomeView *views;
    int view_count;
    sqlite3_stmt **statements; /* of the commit, by kind */
    sqlite3_stmt *put_meta, *read_meta;
};

/* ---- sqlite_home.c ---- */
void home_plain_text(char *text); /* control characters and what is no UTF-8 become '?' */
Status home_sqlite_error(sqlite3 *, Status, const char *what, Error *);
CHECKED Status home_exec(sqlite3 *, const char *sql, Error *);
CHECKED Status home_prepare(sqlite3 *, const char *sql, sqlite3_stmt **, Error *);
CHECKED Status home_check_header(const char *path, Error *);
/* known: its lock file says that it was a home. */
CHECKED Status home_check_file(sqlite3 *, const char *path, bool known, bool *empty, Error *);
char *home_quote(const char *name); /* "na""me", owned by the caller */

/* A transaction that writes: begin checks that the generation is still ours; end raises the serial
 * number, writes the sum, and commits or, when `status` is not OK or the commit fails, rolls back.
 * `status` is what a failure of SQLite means to the caller: AGAIN or FAIL. */
CHECKED Status home_transaction(Home *, Status failure, Error *);
CHECKED Status home_end(Home *, Status status, Status failure, Error *);

/* ---- home_lock.c ---- */
/* fresh: what it remembers is of no interest. */
char *home_real_path(const char *path); /* for the caller to free */
CHECKED Status home_take_lock(Home *, HomeMemory *, bool fresh, Error *);
CHECKED Status home_write_lock(Home *, Error *);
CHECKED Status home_read_lock(const char *path, HomeMemory *, Error *); /* without taking it */

/* ---- home_format.c ---- */
typedef struct HomeTable {
    const char *name, *columns; /* but for "check" */
    const char *rest;           /* of CREATE TABLE, behind the name */
    bool summed;                /* its rows are trusted at start */
    bool blob;                  /* the last column, compared when it is read */
} HomeTable;
extern const HomeTable HOME_TABLES[];
enum { HOME_TABLE_COUNT = 14, HOME_OBJECT_COUNT = 16 };

/* FAIL: no home of Leat, or one of a newer version. */
CHECKED Status home_recognize(sqlite3 *, const char *path, int64_t *version, Error *);
/* Every table is made as we make it. */
CHECKED Status home_check_schema(sqlite3 *, const char *path, Error *);
CHECKED Status home_make(Home *, const char *pipeline, Error *);
/* An existing home: made by this pipeline, of a version that is known (an older one is brought up
 * to date), whole, and not older than the lock file remembers. */
CHECKED Status home_accept(Home *, const char *pipeline, const HomeMemory *, Error *);
CHECKED Status home_check_owner(Home *, const char *owner, const char *pipeline, Error *);
CHECKED Status home_check_memory(Home *, const HomeMemory *, Error *);
CHECKED Status home_upgrade(Home *, const char *pipeline, const HomeMemory *,
                            Error *); /* home_upgrade.c: from version 2 */
CHECKED Status home_create_tables(sqlite3 *, Error *);
CHECKED Status home_read_meta(Home *, const char *name, char *out, size_t size, Error *);
CHECKED Status home_write_number(Home *, const char *name, int64_t value, Error *);
CHECKED Status home_write_sum(Home *, Error *);
Status home_damaged(const char *path, const char *what, Error *);

/* ---- home_sum.c ---- */
CHECKED Status home_sum_rows(sqlite3 *, uint64_t *sum, Error *);
/* Watches every change of a trusted row, to keep `sum`. */
CHECKED Status home_watch(Home *, Error *);
/* SQL's leat_check(seed, values …) and, where `home` is not NULL, leat_sum. */
CHECKED Status home_functions(sqlite3 *, Home *home, Error *);

/* A row's checksum: the table's name, then each value in turn. */
uint64_t home_check_seed(const char *table);
uint64_t home_check_null(uint64_t);
uint64_t home_check_integer(uint64_t, int64_t);
uint64_t home_check_real(uint64_t, double);
uint64_t home_check_text(uint64_t, Str);
uint64_t home_check_blob(uint64_t, Str);
uint64_t home_check_column(uint64_t, sqlite3_stmt *, int column);

/* ---- home_blob.c ---- */
/* A stored blob: one byte (0 raw, 1 zstd with its size as varint), then the bytes. */
void home_pack(Str, Buffer *out);
CHECKED Status home_unpack(Str, Buffer *out, Error *);
/* How large a blob will be, unpacked, by its first bytes (all of them or HOME_BLOB_BEGIN). */
enum { HOME_BLOB_BEGIN = 11 };
int64_t home_unpacked_size(Str begin, int64_t packed);

/* ---- sqlite_commit.c, home_views.c ---- */
double home_real(Value, Buffer *scratch);
void home_statements_free(Home *);
void home_views_free(Home *);
CHECKED Status home_play_view(Home *, int kind, Reader *, Arena *, Buffer *scratch, Error *);
enum { HOME_PUT_ROW, HOME_DELETE_ROW, HOME_EXPIRE_ROWS };
