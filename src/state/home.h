/* The home: where a pipeline's truth is committed, an epoch at a time. begin, put, commit, read;
 * only sqlite_home.c knows that it is SQLite. One thread at a time may use a Home; a HomeBatch
 * belongs to who fills it; readers are independent and may live in any thread. */
#pragma once
#include "base/env.h"
#include "data/schema.h"
#include "data/value.h"

typedef struct Home Home;

typedef struct HomeInfo {
    char id[33];        /* 32 hex digits, random, for ever */
    int64_t generation; /* raised at each start */
    int64_t epoch;      /* the last one committed, 0: none */
    bool made_now;      /* there was no home file */
    bool finished;
} HomeInfo;

/* Opens or makes the home, takes its lock (FILE.lock), raises the generation. FAIL with a remedy:
 * in use, made by another pipeline, newer version, older than its lock file says, read-only,
 * damaged, a lock file of another home. An older version is brought up to date. `fresh`: the old
 * one is set aside first as FILE.1 (or the next free number), its name written to *aside
 * (arena-free, may be NULL when there was none). */
CHECKED Status home_open(const char *path, const char *pipeline, bool fresh, Env *, Home **out,
                         char **aside, Error *);
void home_close(Home **);
const HomeInfo *home_info(const Home *);
const char *home_path(const Home *);

/* The last epoch that a run of that generation can have made of this home; INT64_MAX: not known. A
 * later one by its hand was made of a copy. */
int64_t home_generation_end(Home *, int64_t generation);

/* Small facts, committed at once by set. */
const char *home_get(Home *, const char *name); /* valid until home_close; NULL: not there */
CHECKED Status home_set(Home *, const char *name, const char *value, Error *);

/* ---- what is read at start ---- */
typedef struct HomeQuery {
    const char *name, *plan;
    uint64_t hash;
    bool finished; /* its pipeline was finished with it */
} HomeQuery;
/* Queries that this home knows; in `arena`. */
CHECKED Status home_queries(Home *, HomeQuery **out, int *count, Arena *, Error *);
CHECKED Status home_put_query(Home *, const char *name, uint64_t hash, const char *plan,
                              Error *); /* commits */
/* Forgets the state, the views' rows and marks of a query (leat run --reset), in one transaction.
 * Operators whose names begin with "QUERY." are its own. */
CHECKED Status home_forget_query(Home *, const char *query, const char *view, const char *sink,
                                 Error *);

typedef struct HomePosition {
    const char *source, *partition;
    int64_t position, max_time; /* max_time: the partition's highest event time, NO_TIME: none */
    int64_t records;            /* taken from it in all */
} HomePosition;
CHECKED Status home_positions(Home *, HomePosition **out, int *count, Arena *, Error *);
/* What a sink by position has acknowledged of its sources: lower bounds, the far side knows best.
 * max_time is NO_TIME, records 0. With source and partition "": the number of its last transaction.
 */
CHECKED Status home_acked(Home *, const char *sink, HomePosition **out, int *count, Arena *,
                          Error *);
/* The watermark that was reached over a source's partitions; NO_TIME: none. */
CHECKED Status home_mark(Home *, const char *source, int64_t *mark, Error *);

/* State of one operator, oldest first: calls snapshot for each shard, then delta and segment. */
typedef struct HomeStateReader {
    void *context;
    Status (*snapshot)(void *context, int shard, int64_t epoch, Str blob, Error *);
    Status (*delta)(void *context, int64_t epoch, Str blob, Error *);
    Status (*segment)(void *context, int64_t bucket, Str blob, Error *);
} HomeStateReader;
CHECKED Status home_read_state(Home *, const char *operator_name, const HomeStateReader *, Error *);

typedef struct HomeCount {
    const char *query, *source, *kind; /* query "" : the source itself */
    int64_t count;
} HomeCount;
CHECKED Status home_counts(Home *, HomeCount **out, int *count, Arena *, Error *);

typedef struct HomeSink {
    bool known;        /* this sink was written from this home before */
    int64_t length;    /* by length: bytes that are committed */
    int64_t delivered; /* by outbox: the last epoch known as delivered */
} HomeSink;
CHECKED Status home_sink(Home *, const char *sink, HomeSink *out, Error *);
/* Undelivered epochs of a sink, oldest first, one at a time: the next after `after`. END: no more.
 */
CHECKED Status home_outbox_next(Home *, const char *sink, int64_t after, int64_t *epoch,
                                Buffer *blob, Error *);
/* How large those epochs are together, as they were put. */
CHECKED Status home_outbox_bytes(Home *, const char *sink, int64_t after, int64_t *bytes, Error *);

/* Makes the table and the view for a materialized view, or checks that they are as before. */
CHECKED Status home_open_view(Home *, const char *view, const Schema *, Error *);

/* ---- an epoch ---- */
typedef struct HomeBatch HomeBatch;
HomeBatch *home_begin(void);
void home_batch_free(HomeBatch **);
size_t home_batch_bytes(const HomeBatch *); /* what it owes so far */
void home_put_position(HomeBatch *, const char *source, const char *partition, int64_t position,
                       int64_t max_time, int64_t records);
void home_put_acked(HomeBatch *, const char *sink, const char *source, const char *partition,
                    int64_t position);
void home_put_mark(HomeBatch *, const char *source, int64_t mark);
void home_put_delta(HomeBatch *, const char *operator_name, Str blob);
void home_put_snapshot(HomeBatch *, const char *operator_name, int shard, Str blob);
void home_put_segment(HomeBatch *, const char *operator_name, int64_t bucket, Str blob);
void home_drop_segment(HomeBatch *, const char *operator_name, int64_t bucket);
/* Upsert of one view row (values as value_encode made them, in the schema's order), or its removal.
 * time NO_TIME: never expires. */
void home_put_row(HomeBatch *, int view, Str key, int64_t time, Str values);
void home_delete_row(HomeBatch *, int view, Str key);
void home_expire_rows(HomeBatch *, int view, int64_t before_time); /* rows with a time before it */
void home_put_outbox(HomeBatch *, const char *sink, Str blob);
void home_put_delivered(HomeBatch *, const char *sink,
                        int64_t epoch); /* drops the outbox up to there */
void home_put_length(HomeBatch *, const char *sink, int64_t length);
void home_put_count(HomeBatch *, const char *query, const char *source, const char *kind,
                    int64_t total);
typedef struct HomeReject {
    bool late;                   /* late_rows; else dead_letters */
    const char *query, *source;  /* NULL: none */
    int64_t partition, position; /* partition -1, position NO_TIME: NULL */
    int64_t time_us;             /* of intake */
    const char *reason;
    Str record;
} HomeReject;
void home_put_reject(HomeBatch *, const HomeReject *);
void home_put_finished(HomeBatch *, bool finished);
/* Rows of an epoch that a sink refused, as dead letters, in one transaction of its own, before the
 * far side commits. It first forgets what was written for (sink, epoch) before, so an epoch that is
 * delivered again counts once; no rows: it only forgets. home_counts tells them as kind "refused"
 * of the rows' query and source; an epoch that is known as delivered (home_put_delivered), or lies
 * a thousand behind, is not forgotten any more. Not for several threads at once, as all that takes
 * a Home. AGAIN: may succeed later; FAIL: never. */
CHECKED Status home_refuse(Home *, const char *sink, int64_t epoch, const HomeReject *rows,
                           int count, Error *);
/* Commits the batch as `epoch` (the home's last + 1), synchronously; the batch stays the caller's,
 * to try again or free. Views are those opened, by index in the order of home_open_view. AGAIN: may
 * succeed later (disk full, busy): *error says why; FAIL: never (generation lost, damaged). */
CHECKED Status home_commit(Home *, HomeBatch *, int64_t epoch, int64_t keep_rejects, Error *);

/* ---- readers: committed data, from any thread ---- */
typedef struct HomeReader HomeReader;
CHECKED Status home_reader_open(const char *path, HomeReader **out, Error *);
void home_reader_close(HomeReader **);
typedef struct HomeFilter {
    const char *column; /* as in the schema */
    const char *value;  /* text form; compared by the column's type */
} HomeFilter;
/* Rows of a view as a JSON array of objects, newest first; *more: the limit cut it. REJECT: a
 * filter value that is none of the column's type. */
CHECKED Status home_read_view(HomeReader *, const char *view, const Schema *, const HomeFilter *,
                              int filter_count, int64_t limit, Buffer *json, bool *more, Error *);
/* The newest rejects, as a JSON array: kind "late" or "dead" or NULL for both. */
CHECKED Status home_read_rejects(HomeReader *, const char *kind, int64_t limit, Buffer *json,
                                 Error *);

/* ---- leat check-home ---- */
typedef enum HomeDamage {
    DAMAGE_PAGES,  /* SQLite's own structures */
    DAMAGE_HOME,   /* what a start trusts */
    DAMAGE_OLD,    /* not the newest copy, or another home's */
    DAMAGE_VIEW,   /* rows of a materialized view */
    DAMAGE_REJECT, /* rows of late_rows or dead_letters */
    DAMAGE_KINDS
} HomeDamage;
typedef struct HomeCheck {
    void *context;
    void (*damage)(void *context, HomeDamage, const char *what);
    void (*progress)(void *context, const char *stage, int64_t rows); /* now and then; or NULL */
} HomeCheck;
typedef struct HomeSummary {
    char pipeline[512];
    int64_t version, epoch, file_bytes, state_bytes, owed_bytes, rejects, view_rows;
    int views;
    bool finished;
    int64_t damaged[DAMAGE_KINDS];
} HomeSummary;
/* Looks through all of a home, which may be in use, and changes nothing. FAIL: it is no home, of
 * another version, or cannot be opened; OK: everything was told, `damaged` counts it. */
CHECKED Status home_check(const char *path, const HomeCheck *, HomeSummary *, Error *);
