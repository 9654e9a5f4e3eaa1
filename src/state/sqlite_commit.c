/* An epoch: its writes are collected as compact records in one buffer, which the committing thread
 * plays into SQLite in one transaction. Collecting is cheap and never blocks; playing can be
 * repeated when it failed. */
#include "state/sqlite_home.h"
#include "data/time.h"
#include "data/utf8.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum Put {
    PUT_POSITION,
    PUT_MARK,
    PUT_DELTA,
    PUT_SNAPSHOT,
    PUT_SEGMENT,
    DROP_SEGMENT,
    PUT_ROW,
    DELETE_ROW,
    EXPIRE_ROWS,
    PUT_OUTBOX,
    PUT_DELIVERED,
    DROP_OUTBOX,
    SETTLE_REFUSED,
    PUT_LENGTH,
    PUT_COUNT,
    PUT_LATE,
    PUT_DEAD,
    PUT_FINISHED,
    FINISH_QUERIES,
    DROP_DELTAS,
    TRIM_LATE,
    TRIM_DEAD,
    FORGET_REFUSED,
    UNCOUNT_REFUSED,
    FORGET_COUNTED,
    COUNT_REFUSED,
    REMEMBER_REFUSED,
    PUT_KINDS
} Put;

static const char *const SQL[PUT_KINDS] = {
    [PUT_POSITION] = "INSERT OR REPLACE INTO leat_positions VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                     "leat_check('leat_positions', ?1, ?2, ?3, ?4, ?5, ?6))",
    [PUT_MARK] =
        "INSERT OR REPLACE INTO leat_marks VALUES (?1, ?2, leat_check('leat_marks', ?1, ?2))",
    [PUT_DELTA] = "INSERT OR REPLACE INTO leat_deltas VALUES (?1, ?2, leat_check('leat_deltas', "
                  "?1, ?2, ?3), ?3)",
    [PUT_SNAPSHOT] = "INSERT OR REPLACE INTO leat_snapshots VALUES (?1, ?2, ?3, "
                     "leat_check('leat_snapshots', ?1, ?2, ?3, ?4), ?4)",
    [PUT_SEGMENT] = "INSERT OR REPLACE INTO leat_segments VALUES (?1, ?2, ?3, "
                    "leat_check('leat_segments', ?1, ?2, ?3, ?4), ?4)",
    [DROP_SEGMENT] = "DELETE FROM leat_segments WHERE operator = ? AND bucket = ?",
    [PUT_OUTBOX] = "INSERT OR REPLACE INTO leat_outbox VALUES (?1, ?2, leat_check('leat_outbox', "
                   "?1, ?2, ?3), ?3)",
    [PUT_DELIVERED] =
        "INSERT INTO leat_sinks VALUES (?1, NULL, ?2, leat_check('leat_sinks', ?1, NULL, ?2)) ON "
        "CONFLICT (sink) DO UPDATE SET delivered = max(coalesce(delivered, 0), ?2), \"check\" = "
        "leat_check('leat_sinks', sink, length, max(coalesce(delivered, 0), ?2))",
    [DROP_OUTBOX] = "DELETE FROM leat_outbox WHERE sink = ?1 AND epoch <= ?2",
    [SETTLE_REFUSED] = "DELETE FROM leat_refused WHERE sink = ?1 AND epoch <= ?2",
    [PUT_LENGTH] =
        "INSERT INTO leat_sinks VALUES (?1, ?2, NULL, leat_check('leat_sinks', ?1, ?2, NULL)) ON "
        "CONFLICT (sink) DO UPDATE SET length = ?2, \"check\" = leat_check('leat_sinks', sink, ?2, "
        "delivered)",
    [PUT_COUNT] = "INSERT OR REPLACE INTO leat_counts VALUES (?1, ?2, ?3, ?4, "
                  "leat_check('leat_counts', ?1, ?2, ?3, ?4))",
    [PUT_LATE] = "INSERT INTO leat_late_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                 "leat_check('leat_late_rows', ?1, ?2, ?3, ?4, ?5, ?6, ?7))",
    [PUT_DEAD] = "INSERT INTO leat_dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                 "leat_check('leat_dead_letters', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9))",
    [PUT_FINISHED] = "INSERT OR REPLACE INTO leat_meta VALUES ('finished', CAST(?1 AS TEXT), "
                     "leat_check('leat_meta', 'finished', CAST(?1 AS TEXT)))",
    [FINISH_QUERIES] = "UPDATE leat_queries SET finished = ?1, \"check\" = "
                       "leat_check('leat_queries', name, hash, plan, ?1)",
    /* Deltas that every shard's snapshot has overtaken: all 64 snapshots exist and are at least as
       new. */
    [DROP_DELTAS] = "DELETE FROM leat_deltas WHERE operator = ?1 AND epoch <= (SELECT CASE WHEN "
                    "count(*) = 64 THEN min(epoch) ELSE -1 END"
                    " FROM leat_snapshots WHERE operator = ?1)",
    [TRIM_LATE] =
        "DELETE FROM leat_late_rows WHERE rowid <= (SELECT max(rowid) FROM leat_late_rows) - ?",
    [TRIM_DEAD] = "DELETE FROM leat_dead_letters WHERE rowid <= (SELECT max(rowid) FROM "
                  "leat_dead_letters) - ?",
    [FORGET_REFUSED] = "DELETE FROM leat_dead_letters WHERE sink = ?1 AND epoch = ?2",
    [UNCOUNT_REFUSED] =
        "UPDATE leat_counts AS c SET count = c.count - r.count, \"check\" = "
        "leat_check('leat_counts', c.query, c.source, c.kind, c.count - r.count) FROM leat_refused "
        "r WHERE r.sink = ?1 AND r.epoch = ?2 AND c.query = r.query AND c.source = r.source AND "
        "c.kind = 'refused'",
    [FORGET_COUNTED] = "DELETE FROM leat_refused WHERE sink = ?1 AND epoch = ?2",
    [COUNT_REFUSED] =
        "INSERT INTO leat_counts VALUES (?1, ?2, 'refused', 1, leat_check('leat_counts', ?1, ?2, "
        "'refused', 1)) ON CONFLICT (query, source, kind) DO UPDATE SET count = count + 1, "
        "\"check\" = leat_check('leat_counts', query, source, kind, count + 1)",
    [REMEMBER_REFUSED] =
        "INSERT INTO leat_refused VALUES (?1, ?2, ?3, ?4, 1, leat_check('leat_refused', ?1, ?2, "
        "?3, ?4, 1)) ON CONFLICT (sink, epoch, query, source) DO UPDATE SET count = count + 1, "
        "\"check\" = leat_check('leat_refused', sink, epoch, query, source, count + 1)",
};

struct HomeBatch {
    Buffer records; /* kind, then its fields */
    bool late, dead;
};

HomeBatch *home_begin(void) { return xcalloc(1, sizeof(HomeBatch)); }

void home_batch_free(HomeBatch **batch) {
    if (!*batch) return;
    buffer_free(&(*batch)->records);
    free(*batch);
    *batch = NULL;
}

size_t home_batch_bytes(const HomeBatch *b) { return b->records.size; }
static Buffer *put(HomeBatch *b, Put kind) {
    buffer_add_u8(&b->records, (uint8_t)kind);
    return &b->records;
}
static void add_text(Buffer *b, const char *text) { buffer_add_sized(b, str_from(text)); }

void home_put_position(HomeBatch *b, const char *source, const char *partition, int64_t position,
                       int64_t max_time, int64_t records) {
    Buffer *to = put(b, PUT_POSITION);
    add_text(to, "");
    add_text(to, source);
    add_text(to, partition);
    buffer_add_i64(to, position);
    buffer_add_i64(to, max_time);
    buffer_add_i64(to, records);
}
void home_put_acked(HomeBatch *b, const char *sink, const char *source, const char *partition,
                    int64_t position) {
    Buffer *to = put(b, PUT_POSITION);
    add_text(to, sink);
    add_text(to, source);
    add_text(to, partition);
    buffer_add_i64(to, position);
    buffer_add_i64(to, NO_TIME);
    buffer_add_i64(to, 0);
}
void home_put_mark(HomeBatch *b, const char *source, int64_t mark) {
    Buffer *to = put(b, PUT_MARK);
    add_text(to, source);
    buffer_add_i64(to, mark);
}
void home_put_delta(HomeBatch *b, const char *name, Str blob) {
    Buffer *to = put(b, PUT_DELTA);
    add_text(to, name);
    buffer_add_sized(to, blob);
}
void home_put_snapshot(HomeBatch *b, const char *name, int shard, Str blob) {
    Buffer *to = put(b, PUT_SNAPSHOT);
    add_text(to, name);
    buffer_add_u8(to, (uint8_t)shard);
    buffer_add_sized(to, blob);
}
void home_put_segment(HomeBatch *b, const char *name, int64_t bucket, Str blob) {
    Buffer *to = put(b, PUT_SEGMENT);
    add_text(to, name);
    buffer_add_i64(to, bucket);
    buffer_add_sized(to, blob);
}
void home_drop_segment(HomeBatch *b, const char *name, int64_t bucket) {
    Buffer *to = put(b, DROP_SEGMENT);
    add_text(to, name);
    buffer_add_i64(to, bucket);
}
void home_put_row(HomeBatch *b, int view, Str key, int64_t time, Str values) {
    Buffer *to = put(b, PUT_ROW);
    buffer_add_u32(to, (uint32_t)view);
    buffer_add_sized(to, key);
    buffer_add_i64(to, time);
    buffer_add_sized(to, values);
}
void home_delete_row(HomeBatch *b, int view, Str key) {
    Buffer *to = put(b, DELETE_ROW);
    buffer_add_u32(to, (uint32_t)view);
    buffer_add_sized(to, key);
}
void home_expire_rows(HomeBatch *b, int view, int64_t before_time) {
    Buffer *to = put(b, EXPIRE_ROWS);
    buffer_add_u32(to, (uint32_t)view);
    buffer_add_i64(to, before_time);
}
void home_put_outbox(HomeBatch *b, const char *sink, Str blob) {
    Buffer *to = put(b, PUT_OUTBOX);
    add_text(to, sink);
    buffer_add_sized(to, blob);
}
static void put_sink(HomeBatch *b, Put kind, const char *sink, int64_t number) {
    Buffer *to = put(b, kind);
    add_text(to, sink);
    buffer_add_i64(to, number);
}
void home_put_delivered(HomeBatch *b, const char *sink, int64_t epoch) {
    put_sink(b, PUT_DELIVERED, sink, epoch);
    put_sink(b, DROP_OUTBOX, sink, epoch);
    put_sink(b, SETTLE_REFUSED, sink, epoch);
}
void home_put_length(HomeBatch *b, const char *sink, int64_t length) {
    put_sink(b, PUT_LENGTH, sink, length);
}
void home_put_count(HomeBatch *b, const char *query, const char *source, const char *kind,
                    int64_t total) {
    Buffer *to = put(b, PUT_COUNT);
    add_text(to, query);
    add_text(to, source);
    add_text(to, kind);
    buffer_add_i64(to, total);
}
void home_put_reject(HomeBatch *b, const HomeReject *r) {
    Buffer *to = put(b, r->late ? PUT_LATE : PUT_DEAD);
    *(r->late ? &b->late : &b->dead) = true;
    buffer_add_u8(to, r->query != NULL);
    add_text(to, r->query);
    buffer_add_u8(to, r->source != NULL);
    add_text(to, r->source);
    buffer_add_i64(to, r->partition);
    buffer_add_i64(to, r->position);
    buffer_add_i64(to, r->time_us);
    add_text(to, r->reason);
    buffer_add_sized(to, r->record);
}
void home_put_finished(HomeBatch *b, bool finished) {
    buffer_add_i64(put(b, PUT_FINISHED), finished);
    buffer_add_i64(put(b, FINISH_QUERIES), finished);
}

/* ---- playing it ---- */

static Status statement(Home *home, Put kind, sqlite3_stmt **out, Error *error) {
    if (!home->statements) home->statements = xcalloc(PUT_KINDS, sizeof *home->statements);
    if (!home->statements[kind]) {
        Status status = home_prepare(home->db, SQL[kind], &home->statements[kind], error);
        if (status != OK) return status;
    }
    *out = home->statements[kind];
    sqlite3_reset(*out);
    sqlite3_clear_bindings(*out);
    return OK;
}

void home_statements_free(Home *home) {
    for (int i = 0; home->statements && i < PUT_KINDS; i++) sqlite3_finalize(home->statements[i]);
    free(home->statements);
    home->statements = NULL;
}

static void bind_str(sqlite3_stmt *s, int at, Str text) {
    sqlite3_bind_text64(s, at, text.data ? text.data : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
}
static void bind_blob(sqlite3_stmt *s, int at, Str blob) {
    sqlite3_bind_blob64(s, at, blob.data ? blob.data : "", blob.size, SQLITE_STATIC);
}

static Status step(Home *home, sqlite3_stmt *s, Error *error) {
    int code = sqlite3_step(s);
    Status status =
        code == SQLITE_DONE ? OK : home_sqlite_error(home->db, AGAIN, "cannot commit", error);
    sqlite3_reset(s);
    return status;
}

static bool is_text(Str s) {
    for (size_t at = 0; at < s.size;) {
        size_t length = s.data[at] ? utf8_length(s.data + at, s.size - at) : 0;
        if (!length) return false;
        at += length;
    }
    return true;
}

static Status put_reject(Home *home, const HomeReject *r, const char *sink, int64_t epoch,
                         Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, r->late ? PUT_LATE : PUT_DEAD, &s, error);
    if (status != OK) return status;
    if (r->query) sqlite3_bind_text(s, 1, r->query, -1, SQLITE_STATIC);
    if (r->source) sqlite3_bind_text(s, 2, r->source, -1, SQLITE_STATIC);
    if (r->partition >= 0) sqlite3_bind_int64(s, 3, r->partition);
    if (r->position != NO_TIME) sqlite3_bind_int64(s, 4, r->position);
    Buffer text = {0};
    timestamp_rfc3339(r->time_us, true, &text);
    sqlite3_bind_text64(s, 5, text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
    buffer_free(&text);
    sqlite3_bind_text(s, 6, r->reason, -1, SQLITE_STATIC);
    /* The bytes as they came: text where they are text, so that every tool shows them. */
    if (is_text(r->record)) bind_str(s, 7, r->record);
    else bind_blob(s, 7, r->record);
    if (sink) {
        sqlite3_bind_text(s, 8, sink, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 9, epoch);
    }
    return step(home, s, error);
}

static Status play_reject(Home *home, Put kind, Reader *r, Arena *arena, Error *error) {
    bool has_query = read_u8(r);
    const char *query = arena_text(arena, read_sized(r));
    bool has_source = read_u8(r);
    const char *source = arena_text(arena, read_sized(r));
    int64_t partition = read_i64(r), position = read_i64(r), time = read_i64(r);
    HomeReject reject = {.late = kind == PUT_LATE,
                         .query = has_query ? query : NULL,
                         .source = has_source ? source : NULL,
                         .partition = partition,
                         .position = position,
                         .time_us = time,
                         .reason = arena_text(arena, read_sized(r)),
                         .record = read_sized(r)};
    Status status = put_reject(home, &reject, NULL, 0, error);
    arena_reset(arena);
    return status;
}

/* One statement with up to three texts and a number. */
static Status put_texts(Home *home, Put kind, const char *a, int64_t number, const char *b,
                        const char *c, Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, kind, &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, a, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, number);
    if (b) sqlite3_bind_text(s, 3, b, -1, SQLITE_STATIC);
    if (c) sqlite3_bind_text(s, 4, c, -1, SQLITE_STATIC);
    return step(home, s, error);
}

static Status refuse_one(Home *home, const char *sink, int64_t epoch, const HomeReject *row,
                         Error *error) {
    const char *query = row->query ? row->query : "", *source = row->source ? row->source : "";
    Status status = put_reject(home, row, sink, epoch, error);
    if (status == OK) status = put_texts(home, REMEMBER_REFUSED, sink, epoch, query, source, error);
    sqlite3_stmt *s;
    if (status == OK) status = statement(home, COUNT_REFUSED, &s, error);
    if (status != OK) return status;
    sqlite3_bind_text(s, 1, query, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, source, -1, SQLITE_STATIC);
    return step(home, s, error);
}

/* A sink by position never tells what is settled for good; deliveries come in order, so what lies
 * this far behind does not come again. */
enum { MAY_COME_AGAIN = 1000 };

Status home_refuse(Home *home, const char *sink, int64_t epoch, const HomeReject *rows, int count,
                   Error *error) {
    Status status = home_transaction(home, AGAIN, error);
    if (status != OK) return status;
    static const Put clear[] = {FORGET_REFUSED, UNCOUNT_REFUSED, FORGET_COUNTED};
    for (int i = 0; i < 3 && status == OK; i++)
        status = put_texts(home, clear[i], sink, epoch, NULL, NULL, error);
    if (status == OK)
        status = put_texts(home, SETTLE_REFUSED, sink, epoch - MAY_COME_AGAIN, NULL, NULL, error);
    for (int i = 0; i < count && status == OK; i++)
        status = refuse_one(home, sink, epoch, &rows[i], error);
    status = home_end(home, status, AGAIN, error);
    if (status != OK) return status;
    if (count) home->refused = true;
    return home_write_lock(home, error);
}

static Status play_blob(Home *home, Put kind, Reader *r, int64_t epoch, Buffer *packed,
                        Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, kind, &s, error);
    Str name = read_sized(r);
    int at = 2;
    int64_t which = kind == PUT_SNAPSHOT ? read_u8(r) : kind == PUT_SEGMENT ? read_i64(r) : 0;
    Str blob = read_sized(r);
    if (status != OK) return status;
    home_pack(blob, packed);
    bind_str(s, 1, name);
    if (kind == PUT_SNAPSHOT || kind == PUT_SEGMENT) sqlite3_bind_int64(s, at++, which);
    sqlite3_bind_int64(s, at++, epoch);
    bind_blob(s, at, buffer_str(packed));
    status = step(home, s, error);
    if (status == OK && kind == PUT_SNAPSHOT) {
        if ((status = statement(home, DROP_DELTAS, &s, error)) != OK) return status;
        bind_str(s, 1, name);
        status = step(home, s, error);
    }
    return status;
}

static Status play_position(Home *home, Reader *r, Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, PUT_POSITION, &s, error);
    Str query = read_sized(r);
    Str source = read_sized(r), partition = read_sized(r);
    int64_t position = read_i64(r), max_time = read_i64(r), records = read_i64(r);
    if (status != OK) return status;
    bind_str(s, 1, query);
    bind_str(s, 2, source);
    bind_str(s, 3, partition);
    sqlite3_bind_int64(s, 4, position);
    sqlite3_bind_int64(s, 5, max_time);
    sqlite3_bind_int64(s, 6, records);
    return step(home, s, error);
}

/* The rest: up to three texts, then at most one number. */
static Status play_plain(Home *home, Put kind, Reader *r, Error *error) {
    static const int texts[PUT_KINDS] = {
        [PUT_MARK] = 1,       [DROP_SEGMENT] = 1, [PUT_DELIVERED] = 1, [DROP_OUTBOX] = 1,
        [SETTLE_REFUSED] = 1, [PUT_LENGTH] = 1,   [PUT_COUNT] = 3};
    sqlite3_stmt *s;
    Status status = statement(home, kind, &s, error);
    int at = 1;
    for (int i = 0; i < texts[kind]; i++) {
        Str text = read_sized(r);
        if (status == OK) bind_str(s, at++, text);
    }
    int64_t number = read_i64(r);
    if (status != OK) return status;
    sqlite3_bind_int64(s, at, number);
    return step(home, s, error);
}

static Status play(Home *home, HomeBatch *batch, int64_t epoch, Error *error) {
    Reader r = reader_of(buffer_str(&batch->records));
    Arena *arena = arena_new();
    Buffer scratch = {0};
    Status status = OK;
    while (status == OK && r.at < r.end) {
        Put kind = (Put)read_u8(&r);
        switch (kind) {
        case PUT_POSITION: status = play_position(home, &r, error); break;
        case PUT_DELTA:
        case PUT_SNAPSHOT:
        case PUT_SEGMENT:
        case PUT_OUTBOX: status = play_blob(home, kind, &r, epoch, &scratch, error); break;
        case PUT_ROW:
        case DELETE_ROW:
        case EXPIRE_ROWS:
            status =
                home_play_view(home, kind - PUT_ROW + HOME_PUT_ROW, &r, arena, &scratch, error);
            break;
        case PUT_LATE:
        case PUT_DEAD: status = play_reject(home, kind, &r, arena, error); break;
        default: status = play_plain(home, kind, &r, error); break;
        }
    }
    buffer_free(&scratch);
    arena_free(&arena);
    return status;
}

static Status put_number(Home *home, Put kind, int64_t number, Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, kind, &s, error);
    if (status != OK) return status;
    sqlite3_bind_int64(s, 1, number);
    return step(home, s, error);
}

Status home_commit(Home *home, HomeBatch *batch, int64_t epoch, int64_t keep_rejects,
                   Error *error) {
    if (!home->env->fault(home->env, "home.commit")) {
        (void)fail(error, "home: cannot commit: fault injected");
        return AGAIN;
    }
    Status status = home_transaction(home, AGAIN, error);
    if (status != OK) return status;
    status = play(home, batch, epoch, error);
    if (status == OK && batch->late) status = put_number(home, TRIM_LATE, keep_rejects, error);
    if (status == OK && (batch->dead || home->refused))
        status = put_number(home, TRIM_DEAD, keep_rejects, error);
    if (status == OK && home_write_number(home, "epoch", epoch, error) != OK) status = AGAIN;
    if (status == OK) fault_at(home->env, "home.write");
    status = home_end(home, status, AGAIN, error);
    if (status != OK) return status;
    fault_at(home->env, "home.committed");
    home->info.epoch = epoch;
    home->refused = false;
    return home_write_lock(home, error);
}
