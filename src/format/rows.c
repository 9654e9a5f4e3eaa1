/* Rows under construction. The decoders know how records look; this file knows what a table wants
 * of a row: NOT NULL, an event time that is not too far ahead, metadata, computed columns,
 * on_error, and batches of a bounded size. Columns are filled in place, in arrays as long as the
 * batch can get; a record that turns out bad is simply overwritten by the next. Computed columns
 * are run over whole batches, so rows that they make bad are taken back afterwards. */
#include "format/rows.h"
#include "base/random.h"
#include "data/value.h"
#include "format/index.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct Removal {
    int64_t row; /* among all accepted ones of the chunk */
    DecodeReject reject;
};

Status rows_open(Rows *rows, const DecodeSpec *spec, Error *error) {
    *rows = (Rows){.spec = spec};
    rows->slots = xcalloc((size_t)spec->column_count, sizeof *rows->slots);
    if (spec->event_time >= 0) {
        TypeKind kind = spec->columns[spec->event_time].type.kind;
        if (kind != TYPE_TIMESTAMPTZ && kind != TYPE_TIMESTAMP)
            return fail(error,
                        "event_time column '%s' of table '%s' must be a timestamptz or a timestamp",
                        spec->columns[spec->event_time].name, spec->table);
    }
    for (int i = 0; i < spec->column_count; i++) {
        Slot *slot = &rows->slots[i];
        slot->spec = &spec->columns[i];
        slot->kind = slot->spec->type.kind;
        slot->physical = type_physical(slot->kind);
        DecodeKind kind = slot->spec->kind;
        if (kind == DECODE_FIELD || kind == DECODE_PATH) {
            rows->field_count++;
        } else if (kind == DECODE_COMPUTED) {
            rows->any_computed = true;
            Expr *expr = slot->spec->expr;
            if (program_new(&expr, 1, spec->env, &slot->computed, error) != OK) return FAIL;
        } else {
            rows->metadata = true;
        }
    }
    if (spec->random_rows) {
        rows->random = xmalloc(sizeof *rows->random);
        random_seed(rows->random, spec->random_rows);
    }
    return OK;
}

void rows_close(Rows *rows) {
    for (int i = 0; rows->slots && i < rows->spec->column_count; i++)
        program_free(&rows->slots[i].computed);
    free(rows->slots);
    free(rows->random);
    free(rows->removals);
    buffer_free(&rows->reason);
    *rows = (Rows){0};
}

void rows_begin_chunk(Rows *rows, const Chunk *chunk, Decoded *out, int64_t expected) {
    *out = (Decoded){.arena = arena_new()};
    rows->chunk = chunk;
    rows->out = out;
    rows->arena = out->arena;
    rows->expected = expected;
    rows->batch_capacity = rows->reject_capacity = 0;
    rows->accepted = 0;
    rows->removal_count = 0;
    rows->row = rows->capacity = 0;
    rows->many_elements = false;
}

static void open_batch(Rows *rows) {
    int most = rows->spec->batch_rows > 0 ? rows->spec->batch_rows : BATCH_ROWS;
    if (rows->random) most = 1 + (int)random_below(rows->random, (uint64_t)most);
    if (rows->expected < most) most = rows->expected > 0 ? (int)rows->expected : 1;
    rows->capacity = most;
    rows->row = 0;
    size_t count = (size_t)most;
    for (int i = 0; i < rows->spec->column_count; i++) {
        Slot *slot = &rows->slots[i];
        slot->states = NULL;
        slot->values =
            slot->computed ? NULL : arena_alloc(rows->arena, count * physical_size(slot->physical));
    }
    rows->positions = arena_alloc(rows->arena, count * sizeof *rows->positions);
    rows->records = arena_alloc(rows->arena, count * sizeof *rows->records);
    rows->elements = NULL;
    if (rows->many_elements)
        rows->elements = arena_alloc(rows->arena, count * sizeof *rows->elements);
    rows->timestamps = NULL;
    if (rows->chunk->log_append_time && rows->any_computed)
        rows->timestamps = arena_alloc(rows->arena, count * sizeof *rows->timestamps);
    rows->errors = (RowErrors){.arena = rows->arena};
}

void rows_begin(Rows *rows, Str record, int64_t position, const Record *source) {
    if (!rows->capacity) open_batch(rows);
    rows->stamp++;
    rows->set = 0;
    rows->row_errors = rows->errors.count;
    rows->reason.size = 0;
    rows->record = record;
    rows->position = position;
    rows->source = source;
    rows->out->records++;
    rows->expected--;
}

/* ---- what is wrong ---- */

Str reason_part(Str text) {
    enum { MOST = 60 };
    if (text.size <= MOST) return text;
    size_t size = MOST;
    while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80) size--;
    return (Str){text.data, size};
}

/* "complexData.moreData4" of a path, else the column's name. */
static const char *slot_name(Rows *rows, const Slot *slot) {
    const DecodeColumn *column = slot->spec;
    if (!column->name) return "of the metadata";
    if (column->kind != DECODE_PATH) return column->name;
    Buffer name = {0};
    buffer_add_text(&name, column->name);
    for (int i = 0; i < column->path_count; i++) {
        buffer_add_char(&name, '.');
        buffer_add_text(&name, column->path[i]);
    }
    const char *text = arena_text(rows->arena, buffer_str(&name));
    buffer_free(&name);
    return text;
}

static void add_reason(Rows *rows, const char *field, const char *format, va_list args) {
    if (rows->reason.size) return;
    buffer_add_format(&rows->reason, "%s[%d]@%lld: ", rows->spec->table, rows->chunk->partition,
                      (long long)rows->position);
    if (field) buffer_add_format(&rows->reason, "field %s: ", field);
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    buffer_add_text(&rows->reason, text);
}

bool rows_bad_record(Rows *rows, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_reason(rows, NULL, format, args);
    va_end(args);
    return false;
}

static bool may_be_null(const Rows *rows, const Slot *slot) {
    return !slot->spec->not_null && slot - rows->slots != rows->spec->event_time;
}

static void set_state(Rows *rows, Slot *slot, ValueState state) {
    if (!slot->states) {
        slot->states = arena_zero(rows->arena, (size_t)rows->capacity);
        static_assert(VALUE_OK == 0, "zeroed states are OK");
    }
    int row = slot_set(rows, slot);
    slot->states[row] = (uint8_t)state;
    size_t size = physical_size(slot->physical);
    memset((char *)slot->values + (size_t)row * size, 0, size);
}

bool rows_bad_field(Rows *rows, Slot *slot, const char *format, ...) {
    if (rows->spec->on_error == ON_ERROR_NULL && may_be_null(rows, slot)) {
        set_state(rows, slot, VALUE_NULL);
        return true;
    }
    va_list args;
    va_start(args, format);
    add_reason(rows, slot_name(rows, slot), format, args);
    va_end(args);
    return false;
}

bool rows_null(Rows *rows, Slot *slot) {
    if (may_be_null(rows, slot)) {
        set_state(rows, slot, VALUE_NULL);
        return true;
    }
    return rows_bad_record(rows, "field %s: missing or null, and it %s", slot_name(rows, slot),
                           slot->spec->not_null ? "is NOT NULL" : "is the event time");
}

void rows_value_error(Rows *rows, Slot *slot, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_state(rows, slot, VALUE_ERROR);
    row_error(&rows->errors, rows->row, "%s", text);
}

static bool add_reject(Rows *rows, DecodeReject reject) {
    Decoded *out = rows->out;
    if (rows->spec->on_error == ON_ERROR_SKIP) {
        out->skipped++;
        return true;
    }
    if (rows->spec->on_error == ON_ERROR_FAIL) {
        out->failed = true;
        Status status = fail(&out->error, "%s (the table says on_error = 'fail')", reject.reason);
        (void)status;
        return false;
    }
    if (out->reject_count == rows->reject_capacity) {
        rows->reject_capacity = rows->reject_capacity ? 2 * rows->reject_capacity : 16;
        DecodeReject *wider = arena_new_array(rows->arena, DecodeReject, rows->reject_capacity);
        if (out->reject_count)
            memcpy(wider, out->rejects, (size_t)out->reject_count * sizeof *wider);
        out->rejects = wider;
    }
    out->rejects[out->reject_count++] = reject;
    return true;
}

bool rows_reject(Rows *rows) {
    rows->errors.count = rows->row_errors;
    if (rows->spec->on_error == ON_ERROR_SKIP) {
        rows->out->skipped++;
        return true;
    }
    if (!rows->reason.size) rows_bad_record(rows, "bad record");
    return add_reject(rows,
                      (DecodeReject){.position = rows->position,
                                     .reason = arena_text(rows->arena, buffer_str(&rows->reason)),
                                     .record = rows->record,
                                     .row_before = (int)rows->accepted});
}

/* ---- a whole row ---- */

static bool too_far_ahead(const Rows *rows, int64_t event_time, int64_t timestamp) {
    int64_t limit =
        rows->chunk->log_append_time && timestamp != NO_TIME ? timestamp : rows->chunk->taken_us;
    if (rows->spec->max_future_us == INT64_MAX) return false;
    return !__builtin_add_overflow(limit, rows->spec->max_future_us, &limit) && event_time > limit;
}

static const char too_far_reason[] =
    "field %s: the time is further ahead of the clock than max_future allows";

static Str headers_json(const Rows *rows) {
    Buffer json = {0};
    if (rows->chunk->headers && rows->source) rows->chunk->headers(rows->source, &json);
    Str text = json.size ? arena_str(rows->arena, buffer_str(&json)) : (Str){0};
    buffer_free(&json);
    return text;
}

static bool text_or_null(Rows *rows, Slot *slot, Str text) {
    if (!text.data) return rows_null(rows, slot);
    if (!utf8_ok(text.data, text.size)) return rows_bad_field(rows, slot, "not UTF-8");
    if (text.size && memchr(text.data, 0, text.size))
        return rows_bad_field(rows, slot, "holds a zero byte");
    slot->strs[slot_set(rows, slot)] = text;
    return true;
}

static bool set_metadata(Rows *rows) {
    const Chunk *chunk = rows->chunk;
    const Record *source = rows->source;
    for (int i = 0; i < rows->spec->column_count; i++) {
        Slot *slot = &rows->slots[i];
        bool fine = true;
        switch (slot->spec->kind) {
        case DECODE_FIELD:
        case DECODE_PATH:
        case DECODE_COMPUTED: break;
        case DECODE_TOPIC: fine = text_or_null(rows, slot, str_from(chunk->topic)); break;
        case DECODE_FILENAME: fine = text_or_null(rows, slot, str_from(chunk->filename)); break;
        case DECODE_KEY: fine = text_or_null(rows, slot, source ? source->key : (Str){0}); break;
        case DECODE_HEADERS: fine = text_or_null(rows, slot, headers_json(rows)); break;
        case DECODE_PARTITION: slot->ints[slot_set(rows, slot)] = chunk->partition; break;
        case DECODE_OFFSET:
            slot->ints[slot_set(rows, slot)] = rows->position - chunk->offset_base;
            break;
        case DECODE_TIMESTAMP:
            if (!source || source->timestamp_us == NO_TIME) fine = rows_null(rows, slot);
            else slot->ints[slot_set(rows, slot)] = source->timestamp_us;
            break;
        }
        if (!fine) return false;
    }
    return true;
}

static bool set_missing(Rows *rows) {
    for (int i = 0; i < rows->spec->column_count; i++) {
        Slot *slot = &rows->slots[i];
        bool field = slot->spec->kind == DECODE_FIELD || slot->spec->kind == DECODE_PATH;
        if (field && slot->stamp != rows->stamp && !rows_null(rows, slot)) return false;
    }
    return true;
}

static bool finish_batch(Rows *rows);

bool rows_accept(Rows *rows) {
    if (rows->set < rows->field_count && !set_missing(rows)) return rows_reject(rows);
    if (rows->metadata && !set_metadata(rows)) return rows_reject(rows);
    int time = rows->spec->event_time;
    if (time >= 0 && !rows->slots[time].computed &&
        too_far_ahead(rows, rows->slots[time].ints[rows->row],
                      rows->source ? rows->source->timestamp_us : NO_TIME)) {
        rows_bad_record(rows, too_far_reason, rows->spec->columns[time].name);
        return rows_reject(rows);
    }
    rows->positions[rows->row] = rows->position;
    rows->records[rows->row] = rows->record;
    if (rows->elements) rows->elements[rows->row] = rows->element;
    if (rows->timestamps)
        rows->timestamps[rows->row] = rows->source ? rows->source->timestamp_us : NO_TIME;
    rows->row++;
    rows->accepted++;
    return rows->row < rows->capacity || finish_batch(rows);
}

/* ---- a whole batch ---- */

static void add_batch(Rows *rows, Batch *batch) {
    Decoded *out = rows->out;
    if (batch->rows == 0) return;
    if (out->batch_count == rows->batch_capacity) {
        rows->batch_capacity = rows->batch_capacity ? 2 * rows->batch_capacity : 8;
        Batch **wider = arena_new_array(rows->arena, Batch *, rows->batch_capacity);
        if (out->batch_count) memcpy(wider, out->batches, (size_t)out->batch_count * sizeof *wider);
        out->batches = wider;
    }
    out->batches[out->batch_count++] = batch;
}

static Batch *batch_of(Rows *rows) {
    Batch *batch = arena_zero(rows->arena, sizeof *batch);
    *batch = (Batch){.rows = rows->row,
                     .column_count = rows->spec->column_count,
                     .columns = arena_new_array(rows->arena, Column, rows->spec->column_count),
                     .arena = rows->arena,
                     .partition = rows->chunk->partition,
                     .positions = rows->positions,
                     .elements = rows->elements,
                     .records = rows->records,
                     .taken_us = rows->chunk->taken_us};
    for (int i = 0; i < batch->column_count; i++) {
        const Slot *slot = &rows->slots[i];
        batch->columns[i] =
            (Column){.type = slot->spec->type, .states = slot->states, .values = slot->values};
    }
    return batch;
}

/* Why the row is bad after its computed columns are known; NULL: it is good. */
static const char *computed_reason(Rows *rows, const Batch *batch, int row) {
    for (int i = 0; i < batch->column_count; i++) {
        const Slot *slot = &rows->slots[i];
        if (!slot->computed) continue;
        const Column *column = &batch->columns[i];
        ValueState state = column_state(column, row);
        if (i == rows->spec->event_time && state == VALUE_OK) {
            if (!too_far_ahead(rows, column->ints[row],
                               rows->timestamps ? rows->timestamps[row] : NO_TIME))
                continue;
            return arena_format(rows->arena, too_far_reason, slot->spec->name);
        }
        if (state == VALUE_OK || may_be_null(rows, slot)) continue;
        if (state == VALUE_ERROR)
            return arena_format(rows->arena, "field %s: %s", slot->spec->name,
                                row_error_text(&rows->errors, row));
        return arena_format(rows->arena, "field %s: null, and it is %s", slot->spec->name,
                            slot->spec->not_null ? "NOT NULL" : "the event time");
    }
    return NULL;
}

static void remember_removal(Rows *rows, int64_t accepted, DecodeReject reject) {
    if (rows->removal_count == rows->removal_capacity) {
        rows->removal_capacity = rows->removal_capacity ? 2 * rows->removal_capacity : 16;
        rows->removals =
            xrealloc(rows->removals, (size_t)rows->removal_capacity * sizeof *rows->removals);
    }
    rows->removals[rows->removal_count++] = (Removal){accepted, reject};
}

static void attach_errors(Rows *rows, Batch *batch) {
    if (!rows->errors.count) return;
    batch->errors = arena_alloc(rows->arena, sizeof *batch->errors);
    *batch->errors = rows->errors;
}

/* Runs the computed columns and takes back the rows that they make bad. false: the run has failed.
 */
static bool compute(Rows *rows, Batch **batch) {
    for (int i = 0; i < (*batch)->column_count; i++) {
        const Slot *slot = &rows->slots[i];
        if (!slot->computed) continue;
        Column column;
        program_run(slot->computed, *batch, rows->arena, &rows->errors, &column);
        (*batch)->columns[i] = column;
    }
    uint8_t *keep = NULL;
    bool failed = false;
    int64_t first = rows->accepted - rows->row;
    for (int row = 0; row < (*batch)->rows; row++) {
        const char *reason = failed ? "" : computed_reason(rows, *batch, row);
        if (!reason) continue;
        if (!keep) {
            keep = arena_alloc(rows->arena, (size_t)(*batch)->rows);
            memset(keep, 1, (size_t)(*batch)->rows);
        }
        keep[row] = 0;
        if (failed) continue;
        int64_t position = rows->positions[row];
        reason = arena_format(rows->arena, "%s[%d]@%lld: %s", rows->spec->table,
                              rows->chunk->partition, (long long)position, reason);
        if (rows->spec->on_error == ON_ERROR_SKIP || rows->spec->on_error == ON_ERROR_FAIL)
            failed = !add_reject(rows, (DecodeReject){.reason = reason});
        else
            remember_removal(rows, first + row,
                             (DecodeReject){.position = position,
                                            .reason = reason,
                                            .record = rows->records[row]});
    }
    attach_errors(rows, *batch);
    if (keep) *batch = batch_select(*batch, keep, rows->arena);
    return !failed;
}

static bool finish_batch(Rows *rows) {
    Batch *batch = batch_of(rows);
    bool fine = true;
    if (rows->any_computed) fine = compute(rows, &batch);
    else attach_errors(rows, batch);
    int time = rows->spec->event_time;
    if (time >= 0) batch->event_times = batch->columns[time].ints;
    add_batch(rows, batch);
    rows->row = rows->capacity = 0;
    return fine;
}

/* Puts the rows that were taken back among the other rejects, by their place, and counts the good
 * rows before each. */
static void merge_removals(Rows *rows) {
    Decoded *out = rows->out;
    int count = out->reject_count + rows->removal_count;
    DecodeReject *all = arena_new_array(rows->arena, DecodeReject, count);
    for (int n = 0, from = 0, removed = 0; n < count; n++) {
        bool other = from < out->reject_count &&
                     (removed == rows->removal_count ||
                      out->rejects[from].row_before <= rows->removals[removed].row);
        if (other) {
            all[n] = out->rejects[from++];
            all[n].row_before -= removed;
        } else {
            all[n] = rows->removals[removed].reject;
            all[n].row_before = (int)(rows->removals[removed].row - removed);
            removed++;
        }
    }
    out->rejects = all;
    out->reject_count = count;
}

void rows_end_chunk(Rows *rows) {
    if (rows->capacity && rows->row > 0 && !finish_batch(rows)) rows->out->failed = true;
    rows->capacity = 0;
    if (rows->removal_count) merge_removals(rows);
}

void decoded_free(Decoded *decoded) {
    arena_free(&decoded->arena);
    *decoded = (Decoded){0};
}
