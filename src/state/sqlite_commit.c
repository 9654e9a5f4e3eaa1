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
    PUT_LENGTH,
    PUT_COUNT,
    PUT_LATE,
    PUT_DEAD,
    PUT_FINISHED,
    FINISH_QUERIES,
    DROP_DELTAS,
    TRIM_LATE,
    TRIM_DEAD,
    PUT_EPOCH,
    PUT_KINDS
} Put;

static const char *const SQL[PUT_KINDS] = {
    [PUT_POSITION] = "INSERT OR REPLACE INTO leat_positions VALUES (?, ?, ?, ?, ?, ?)",
    [PUT_MARK] = "INSERT OR REPLACE INTO leat_marks VALUES (?, ?)",
    [PUT_DELTA] = "INSERT OR REPLACE INTO leat_deltas VALUES (?, ?, ?, ?)",
    [PUT_SNAPSHOT] = "INSERT OR REPLACE INTO leat_snapshots VALUES (?, ?, ?, ?, ?)",
    [PUT_SEGMENT] = "INSERT OR REPLACE INTO leat_segments VALUES (?, ?, ?, ?, ?)",
    [DROP_SEGMENT] = "DELETE FROM leat_segments WHERE operator = ? AND bucket = ?",
    [PUT_OUTBOX] = "INSERT OR REPLACE INTO leat_outbox VALUES (?, ?, ?, ?)",
    [PUT_DELIVERED] = "INSERT INTO leat_sinks VALUES (?1, NULL, ?2) ON CONFLICT (sink) DO UPDATE "
                      "SET delivered = max(coalesce(delivered, 0), ?2)",
    [DROP_OUTBOX] = "DELETE FROM leat_outbox WHERE sink = ?1 AND epoch <= ?2",
    [PUT_LENGTH] =
        "INSERT INTO leat_sinks VALUES (?1, ?2, NULL) ON CONFLICT (sink) DO UPDATE SET length = ?2",
    [PUT_COUNT] = "INSERT OR REPLACE INTO leat_counts VALUES (?, ?, ?, ?)",
    [PUT_LATE] = "INSERT INTO late_rows VALUES (?, ?, ?, ?, ?, ?, ?)",
    [PUT_DEAD] = "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?)",
    [PUT_FINISHED] = "INSERT OR REPLACE INTO leat_meta VALUES ('finished', CAST(? AS TEXT))",
    [FINISH_QUERIES] = "UPDATE leat_queries SET finished = ?",
    /* Deltas that every shard's snapshot has overtaken: all 64 snapshots exist and are at least as
       new. */
    [DROP_DELTAS] = "DELETE FROM leat_deltas WHERE operator = ?1 AND epoch <= (SELECT CASE WHEN "
                    "count(*) = 64 THEN min(epoch) ELSE -1 END"
                    " FROM leat_snapshots WHERE operator = ?1)",
    [TRIM_LATE] = "DELETE FROM late_rows WHERE rowid <= (SELECT max(rowid) FROM late_rows) - ?",
    [TRIM_DEAD] =
        "DELETE FROM dead_letters WHERE rowid <= (SELECT max(rowid) FROM dead_letters) - ?",
    [PUT_EPOCH] = "INSERT OR REPLACE INTO leat_meta VALUES ('epoch', CAST(? AS TEXT))",
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
bool home_batch_empty(const HomeBatch *b) { return b->records.size == 0; }

static Buffer *put(HomeBatch *b, Put kind) {
    buffer_add_u8(&b->records, (uint8_t)kind);
    return &b->records;
}
static void add_text(Buffer *b, const char *text) { buffer_add_sized(b, str_from(text)); }

void home_put_position(HomeBatch *b, const char *source, const char *partition, int64_t position,
                       int64_t max_time, int64_t records) {
    Buffer *to = put(b, PUT_POSITION);
    add_text(to, source);
    add_text(to, partition);
    buffer_add_i64(to, position);
    buffer_add_i64(to, max_time);
    buffer_add_i64(to, records);
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

/* A real stands in the home as the double of its shortest digits: 0.1, not 0.10000000149011612. */
double home_real(Value value, Buffer *scratch) {
    double out = value.real;
    if (value.type.kind != TYPE_FLOAT4) return out;
    scratch->size = 0;
    float4_text(value.real, scratch);
    return double_parse(buffer_str(scratch), &out) == OK ? out : value.real;
}

/* As the contract has it: integers INTEGER, doubles REAL, booleans 0/1, bytea BLOB, all else TEXT
 * as in JSON. */
static void bind_value(sqlite3_stmt *s, int at, Value value, Buffer *scratch) {
    if (value.null) {
        sqlite3_bind_null(s, at);
        return;
    }
    switch (value.type.kind) {
    case TYPE_BOOL: sqlite3_bind_int(s, at, value.boolean); return;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: sqlite3_bind_int64(s, at, value.integer); return;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        if (value.real - value.real == 0) {
            sqlite3_bind_double(s, at, home_real(value, scratch));
            return;
        }
        break;
    case TYPE_BYTEA: bind_blob(s, at, value.str); return;
    case TYPE_TEXT:
    case TYPE_VARCHAR:
    case TYPE_JSONB: bind_str(s, at, value.str); return;
    default: break;
    }
    scratch->size = 0;
    value_json(value, scratch);
    Str text = buffer_str(scratch);
    if (text.size >= 2 && text.data[0] == '"') text = (Str){text.data + 1, text.size - 2};
    sqlite3_bind_text64(s, at, text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static Status play_row(Home *home, Reader *r, Arena *arena, Buffer *scratch, Error *error) {
    uint32_t view = read_u32(r);
    Str key = read_sized(r);
    int64_t time = read_i64(r);
    Reader values = reader_of(read_sized(r));
    HomeView *v = &home->views[view];
    sqlite3_reset(v->put);
    bind_blob(v->put, 1, key);
    if (time == NO_TIME) sqlite3_bind_null(v->put, 2);
    else sqlite3_bind_int64(v->put, 2, time);
    for (int i = 0; i < v->columns; i++)
        bind_value(v->put, 3 + i, value_decode(v->schema.fields[i].type, &values, arena), scratch);
    arena_reset(arena);
    return step(home, v->put, error);
}

static bool is_text(Str s) {
    for (size_t at = 0; at < s.size;) {
        size_t length = s.data[at] ? utf8_length(s.data + at, s.size - at) : 0;
        if (!length) return false;
        at += length;
    }
    return true;
}

static Status play_reject(Home *home, Put kind, Reader *r, Error *error) {
    sqlite3_stmt *s;
    Status status = statement(home, kind, &s, error);
    bool has_query = read_u8(r);
    Str query = read_sized(r);
    bool has_source = read_u8(r);
    Str source = read_sized(r);
    int64_t partition = read_i64(r), position = read_i64(r), time = read_i64(r);
    Str reason = read_sized(r), record = read_sized(r);
    if (status != OK) return status;
    if (has_query) bind_str(s, 1, query);
    if (has_source) bind_str(s, 2, source);
    if (partition >= 0) sqlite3_bind_int64(s, 3, partition);
    if (position != NO_TIME) sqlite3_bind_int64(s, 4, position);
    Buffer text = {0};
    timestamp_rfc3339(time, true, &text);
    sqlite3_bind_text64(s, 5, text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
    buffer_free(&text);
    bind_str(s, 6, reason);
    /* The bytes as they came: text where they are text, so that every tool shows them. */
    if (is_text(record)) bind_str(s, 7, record);
    else bind_blob(s, 7, record);
    return step(home, s, error);
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
    bind_blob(s, at++, buffer_str(packed));
    sqlite3_bind_int64(s, at, home_check(buffer_str(packed)));
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
    Str source = read_sized(r), partition = read_sized(r);
    int64_t position = read_i64(r), max_time = read_i64(r), records = read_i64(r);
    if (status != OK) return status;
    char *source_text = xcalloc(1, source.size + 1),
         *partition_text = xcalloc(1, partition.size + 1);
    memcpy(source_text, source.data, source.size);
    memcpy(partition_text, partition.data, partition.size);
    bind_str(s, 1, source);
    bind_str(s, 2, partition);
    sqlite3_bind_int64(s, 3, position);
    sqlite3_bind_int64(s, 4, max_time);
    sqlite3_bind_int64(s, 5, records);
    sqlite3_bind_int64(
        s, 6, home_position_check(source_text, partition_text, position, max_time, records));
    free(source_text);
    free(partition_text);
    return step(home, s, error);
}

static Status play_view(Home *home, Put kind, Reader *r, Error *error) {
    HomeView *v = &home->views[read_u32(r)];
    if (kind == DELETE_ROW) {
        sqlite3_reset(v->remove);
        bind_blob(v->remove, 1, read_sized(r));
        return step(home, v->remove, error);
    }
    sqlite3_reset(v->expire);
    sqlite3_bind_int64(v->expire, 1, read_i64(r));
    return step(home, v->expire, error);
}

/* The rest: up to three texts, then at most one number. */
static Status play_plain(Home *home, Put kind, Reader *r, Error *error) {
    static const int texts[PUT_KINDS] = {[PUT_MARK] = 1,    [DROP_SEGMENT] = 1, [PUT_DELIVERED] = 1,
                                         [DROP_OUTBOX] = 1, [PUT_LENGTH] = 1,   [PUT_COUNT] = 3};
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
        case PUT_ROW: status = play_row(home, &r, arena, &scratch, error); break;
        case DELETE_ROW:
        case EXPIRE_ROWS: status = play_view(home, kind, &r, error); break;
        case PUT_LATE:
        case PUT_DEAD: status = play_reject(home, kind, &r, error); break;
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
    if (sqlite3_exec(home->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return home_sqlite_error(home->db, AGAIN, "cannot commit", error);
    Status status = home_guard(home, error);
    if (status == OK) status = play(home, batch, epoch, error);
    if (status == OK && batch->late) status = put_number(home, TRIM_LATE, keep_rejects, error);
    if (status == OK && batch->dead) status = put_number(home, TRIM_DEAD, keep_rejects, error);
    if (status == OK) status = put_number(home, PUT_EPOCH, epoch, error);
    if (status == OK) fault_at(home->env, "home.write");
    if (status == OK && sqlite3_exec(home->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = home_sqlite_error(home->db, AGAIN, "cannot commit", error);
    if (status != OK) {
        sqlite3_exec(home->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    fault_at(home->env, "home.committed");
    home->info.epoch = epoch;
    return home_write_lock(home, epoch, error);
}

/* ---- views ---- */

static const char *sqlite_type(TypeKind kind) {
    switch (kind) {
    case TYPE_BOOL:
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: return "INTEGER";
    case TYPE_FLOAT4:
    case TYPE_FLOAT8: return "REAL";
    case TYPE_BYTEA: return "BLOB";
    default: return "TEXT";
    }
}

Status home_open_view(Home *home, const char *view, const Schema *schema, Error *error) {
    home->views = xrealloc(home->views, sizeof *home->views * (size_t)(home->view_count + 1));
    HomeView *v = &home->views[home->view_count++];
    *v = (HomeView){.name = xstrdup(view), .columns = schema->count};
    v->schema.count = schema->count;
    v->schema.fields = xcalloc((size_t)schema->count + 1, sizeof(Field));
    char *storage = sqlite3_mprintf("leat_view_%s", view);
    v->table = home_quote(storage);
    char *quoted = home_quote(view);
    char *index_name = sqlite3_mprintf("%s_time", storage);
    char *index = home_quote(index_name);
    sqlite3_free(index_name);
    Buffer make = {0}, put_sql = {0};
    buffer_add_format(&make,
                      "CREATE TABLE IF NOT EXISTS %s (leat_key BLOB PRIMARY KEY, leat_time INTEGER",
                      v->table);
    buffer_add_format(&put_sql, "INSERT OR REPLACE INTO %s VALUES (?, ?", v->table);
    for (int i = 0; i < schema->count; i++) {
        v->schema.fields[i] = schema->fields[i];
        v->schema.fields[i].name = xstrdup(schema->fields[i].name);
        buffer_add_format(&make, ", c%d %s", i, sqlite_type(schema->fields[i].type.kind));
        buffer_add_text(&put_sql, ", ?");
    }
    buffer_add_format(&make,
                      ") WITHOUT ROWID; CREATE INDEX IF NOT EXISTS %s ON %s (leat_time) WHERE "
                      "leat_time IS NOT NULL;",
                      index, v->table);
    buffer_add_format(&make, "CREATE VIEW IF NOT EXISTS %s AS SELECT ", quoted);
    for (int i = 0; i < schema->count; i++) {
        char *column = home_quote(schema->fields[i].name);
        buffer_add_format(&make, "%sc%d AS %s", i ? ", " : "", i, column);
        free(column);
    }
    buffer_add_format(&make, " FROM %s;", v->table);
    buffer_add_char(&make, 0);
    buffer_add_text(&put_sql, ")");
    buffer_add_char(&put_sql, 0);
    char *remove = sqlite3_mprintf("DELETE FROM %s WHERE leat_key = ?", v->table);
    char *expire = sqlite3_mprintf("DELETE FROM %s WHERE leat_time < ?", v->table);
    Status status = home_exec(home->db, make.data, error);
    if (status == OK) status = home_prepare(home->db, put_sql.data, &v->put, error);
    if (status == OK) status = home_prepare(home->db, remove, &v->remove, error);
    if (status == OK) status = home_prepare(home->db, expire, &v->expire, error);
    sqlite3_free(remove);
    sqlite3_free(expire);
    sqlite3_free(storage);
    free(quoted);
    free(index);
    buffer_free(&make);
    buffer_free(&put_sql);
    return status;
}

void home_views_free(Home *home) {
    for (int i = 0; i < home->view_count; i++) {
        HomeView *v = &home->views[i];
        sqlite3_finalize(v->put);
        sqlite3_finalize(v->remove);
        sqlite3_finalize(v->expire);
        for (int c = 0; c < v->columns; c++) free((char *)(uintptr_t)v->schema.fields[c].name);
        free(v->schema.fields);
        free(v->name);
        free(v->table);
    }
    free(home->views);
    home->views = NULL;
    home->view_count = 0;
}
