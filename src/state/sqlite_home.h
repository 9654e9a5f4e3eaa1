/* Shared by the three files that know SQLite; nobody else includes it. */
#pragma once
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "state/home.h"
#include <sqlite3.h>

enum { HOME_VERSION = 2 };

typedef struct HomeView {
    char *name, *table; /* table: quoted, "leat_view_NAME" */
    int columns;
    Schema schema; /* names and types copied */
    sqlite3_stmt *put, *remove, *expire;
} HomeView;

struct Home {
    sqlite3 *db;
    Env *env;
    char *path;
    int lock_fd;
    HomeInfo info;
    Arena *facts; /* what home_get gave */
    HomeView *views;
    int view_count;
    sqlite3_stmt **statements; /* of the commit, by kind */
};

Status home_sqlite_error(sqlite3 *, Status, const char *what, Error *);
CHECKED Status home_exec(sqlite3 *, const char *sql, Error *);
CHECKED Status home_prepare(sqlite3 *, const char *sql, sqlite3_stmt **, Error *);
CHECKED Status home_guard(Home *, Error *); /* inside a transaction: the generation is still ours */
char *home_quote(const char *name);         /* "na""me", owned by the caller */
/* A stored blob: one byte (0 raw, 1 zstd with its size as varint), then the bytes. */
void home_pack(Str, Buffer *out);
CHECKED Status home_unpack(Str, Buffer *out, Error *);
static inline int64_t home_check(Str s) { return (int64_t)hash_bytes(s); }
double home_real(Value, Buffer *scratch);
int64_t home_position_check(const char *source, const char *partition, int64_t position,
                            int64_t max_time, int64_t records);
void home_statements_free(Home *);
void home_views_free(Home *);
CHECKED Status home_write_lock(Home *, int64_t epoch, Error *);
