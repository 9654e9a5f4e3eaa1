/* CSV by RFC 4180 into batches: a quote opens a field only at its begin, "" inside is a quote, a
 * quoted field may hold newlines and the delimiter. A record that breaks these rules is one dead
 * letter and ends at its newline. Cells become values by PostgreSQL's text input; an empty cell is
 * NULL unless it is quoted. One scan serves for finding where records end and for their cells, so
 * the two can not disagree. */
#include "data/jsonb.h"
#include "data/value.h"
#include "format/index.h"
#include "format/json_value.h"
#include <stdlib.h>

typedef struct Cell {
    Str text;             /* without the quotes */
    bool quoted, doubled; /* doubled: holds "" */
} Cell;

typedef struct CsvRecord {
    Cell *cells; /* NULL: only the size is asked for */
    int count, capacity;
    size_t size;         /* with its newline */
    const char *problem; /* NULL: by the rules */
    bool ended;          /* by a newline */
} CsvRecord;

struct Decoder {
    Rows rows;
    char delimiter;
    CsvRecord record;
    Str **steps;
    /* where each column stands: by the header that was last seen, or by the declared order */
    int *places;
    int width; /* cells of a record */
    Buffer header;
    bool header_known;
};

static void add_cell(CsvRecord *r, Cell cell) {
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 16;
        r->cells = xrealloc(r->cells, (size_t)r->capacity * sizeof *r->cells);
    }
    r->cells[r->count++] = cell;
}

/* Behind an opening quote; returns what follows the closing one, NULL when there is none. */
static const char *scan_quoted(const char *p, const char *end, Cell *cell) {
    const char *begin = p;
    cell->quoted = true;
    for (;;) {
        p = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
        if (!p) return NULL;
        if (p + 1 == end || p[1] != '"') break;
        cell->doubled = true;
        p += 2;
    }
    cell->text = (Str){begin, (size_t)(p - begin)};
    return p + 1;
}

static const char *scan_plain(const char *p, const char *end, char delimiter, CsvRecord *r,
                              Cell *cell) {
    const char *begin = p;
    for (; p < end && *p != delimiter && *p != '\n'; p++)
        if (*p == '"') r->problem = "a quote inside of a field that is not quoted";
    cell->text = (Str){begin, (size_t)(p - begin)};
    return p;
}

/* The first record of the bytes, which are not empty. A byte order mark in front of it is no part
 * of its first cell. */
static void scan_record(Str bytes, char delimiter, bool want_cells, CsvRecord *r) {
    const char *p = bytes.data, *end = p + bytes.size;
    r->count = 0;
    r->problem = NULL;
    r->ended = false;
    if (bytes.size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) p += 3;
    for (;;) {
        Cell cell = {0};
        if (p < end && *p == '"') {
            p = scan_quoted(p + 1, end, &cell);
            if (!p) {
                r->problem = "a quoted field is not closed";
                r->size = bytes.size;
                return;
            }
            bool carriage = p < end && *p == '\r' && (p + 1 == end || p[1] == '\n');
            if (carriage) p++;
            if (p < end && *p != delimiter && *p != '\n') {
                Cell rest;
                p = scan_plain(p, end, delimiter, r, &rest);
                r->problem = "a quoted field is followed by something";
            }
        } else {
            p = scan_plain(p, end, delimiter, r, &cell);
            bool last = p == end || *p == '\n';
            if (last && cell.text.size && p[-1] == '\r') cell.text.size--;
        }
        if (want_cells) add_cell(r, cell);
        if (p == end || *p == '\n') break;
        p++;
    }
    r->ended = p < end;
    r->size = (size_t)(p - bytes.data) + r->ended;
}

static size_t csv_first(Str bytes, char delimiter, bool last) {
    if (bytes.size == 0) return 0;
    CsvRecord r = {0};
    scan_record(bytes, delimiter, false, &r);
    return r.ended || last ? r.size : 0;
}

static size_t csv_split(Str bytes, char delimiter, bool last) {
    if (last || bytes.size == 0) return bytes.size;
    if (!memchr(bytes.data, '"', bytes.size)) { /* no quote hides a newline */
        const char *newline = memrchr(bytes.data, '\n', bytes.size);
        return newline ? (size_t)(newline - bytes.data) + 1 : 0;
    }
    size_t whole = 0;
    while (whole < bytes.size) {
        size_t size = csv_first((Str){bytes.data + whole, bytes.size - whole}, delimiter, false);
        if (!size) break;
        whole += size;
    }
    return whole;
}

/* ---- cells to values ---- */

static Str cell_text(const Cell *cell, Arena *arena) {
    if (!cell->doubled) return cell->text;
    char *to = arena_alloc(arena, cell->text.size);
    size_t size = 0;
    for (size_t i = 0; i < cell->text.size; i++) {
        to[size++] = cell->text.data[i];
        if (cell->text.data[i] == '"') i++;
    }
    return (Str){to, size};
}

static bool take_cell(Decoder *d, Slot *slot, Str text, int index) {
    Rows *rows = &d->rows;
    if (slot->spec->kind == DECODE_PATH) {
        Str value;
        if (!jsonb_valid(text))
            return rows_bad_field(rows, slot, "not JSON: %.*s", STR_ARG(reason_part(text)));
        if (jsonb_get_path(text, d->steps[index], slot->spec->path_count, &value))
            json_set_path(rows, slot, jsonb_trim(value));
        return true;
    }
    if (text.size && memchr(text.data, 0, text.size))
        return rows_bad_field(rows, slot, "holds a zero byte");
    if (slot->kind == TYPE_JSONB) {
        if (!jsonb_valid(text))
            return rows_bad_field(rows, slot, "not JSON: %.*s", STR_ARG(reason_part(text)));
        slot->strs[slot_set(rows, slot)] = jsonb_trim(text);
        return true;
    }
    JsonNumber number;
    double real;
    if (slot->kind == TYPE_FLOAT8 && json_number_scan(text, &number) &&
        json_number_double(text, &number, &real)) {
        slot->floats[slot_set(rows, slot)] = real;
        return true;
    }
    return set_from_text(rows, slot, text);
}

static bool take_cells(Decoder *d) {
    Rows *rows = &d->rows;
    const CsvRecord *r = &d->record;
    if (r->problem) return rows_bad_record(rows, "not CSV: %s", r->problem);
    if (r->count != d->width)
        return rows_bad_record(rows, "expected %d fields, got %d", d->width, r->count);
    for (int i = 0; i < rows->spec->column_count; i++) {
        Slot *slot = &rows->slots[i];
        if (slot->spec->kind != DECODE_FIELD && slot->spec->kind != DECODE_PATH) continue;
        if (d->places[i] < 0)
            return rows_bad_record(rows, "%s has no column \"%s\"",
                                   d->header_known ? "the header" : "the table", slot->spec->name);
        const Cell *cell = &r->cells[d->places[i]];
        bool null = !cell->quoted && cell->text.size == 0;
        if (null ? !rows_null(rows, slot) : !take_cell(d, slot, cell_text(cell, rows->arena), i))
            return false;
    }
    return true;
}

/* false: stop. */
static bool take_record(Decoder *d, Str record, int64_t position, const Record *source) {
    rows_begin(&d->rows, record, position, source);
    bool fine = true;
    if (!utf8_ok(record.data, record.size)) fine = rows_bad_record(&d->rows, "not UTF-8");
    return fine && take_cells(d) ? rows_accept(&d->rows) : rows_reject(&d->rows);
}

/* ---- where columns stand ---- */

static void places_by_order(Decoder *d) {
    const DecodeSpec *spec = d->rows.spec;
    d->header_known = false;
    d->width = spec->csv_column_count;
    for (int i = 0; i < spec->column_count; i++) {
        d->places[i] = -1;
        for (int c = 0; c < spec->csv_column_count; c++)
            if (strcmp(spec->columns[i].name, spec->csv_columns[c]) == 0) d->places[i] = c;
    }
}

static void places_by_header(Decoder *d, Str header) {
    if (d->header_known && str_equal(buffer_str(&d->header), header)) return;
    d->header.size = 0;
    buffer_add_str(&d->header, header);
    d->header_known = true;
    scan_record(buffer_str(&d->header), d->delimiter, true, &d->record);
    d->width = d->record.count;
    Arena *arena = arena_new();
    for (int i = 0; i < d->rows.spec->column_count; i++) {
        d->places[i] = -1;
        Str name = str_from(d->rows.spec->columns[i].name);
        for (int c = 0; c < d->width && d->places[i] < 0; c++)
            if (str_equal(name, cell_text(&d->record.cells[c], arena))) d->places[i] = c;
    }
    arena_free(&arena);
}

static void take_bytes(Decoder *d, const Chunk *chunk, Decoded *out) {
    int64_t newlines = 1;
    for (size_t i = 0; i < chunk->bytes.size; i++) newlines += chunk->bytes.data[i] == '\n';
    rows_begin_chunk(&d->rows, chunk, out, newlines);
    Str rest = chunk->bytes;
    for (bool go_on = true; go_on && rest.size;) {
        scan_record(rest, d->delimiter, true, &d->record);
        size_t size = d->record.size;
        Str record = {rest.data, size - d->record.ended};
        if (d->record.ended && record.size && record.data[record.size - 1] == '\r') record.size--;
        if (record.size)
            go_on = take_record(d, record, chunk->begin + (rest.data - chunk->bytes.data), NULL);
        rest.data += size;
        rest.size -= size;
    }
}

static void take_records(Decoder *d, const Chunk *chunk, Decoded *out) {
    rows_begin_chunk(&d->rows, chunk, out, chunk->record_count);
    bool go_on = true;
    for (int i = 0; i < chunk->record_count && go_on; i++) {
        const Record *record = &chunk->records[i];
        if (record->body.size && !record->whole_bytes && record->body.size <= RECORD_MOST_BYTES) {
            scan_record(record->body, d->delimiter, true, &d->record);
            if (!d->record.problem && d->record.size < record->body.size)
                d->record.problem = "more than one record";
            go_on = take_record(d, record->body, record->position, record);
            continue;
        }
        rows_begin(&d->rows, record->body, record->position, record);
        if (record->body.size)
            rows_bad_record(&d->rows, "longer than %d MB", RECORD_MOST_BYTES >> 20);
        else
            rows_bad_record(&d->rows,
                            record->body.data ? "the record is empty" : "the record is null");
        go_on = rows_reject(&d->rows);
    }
}

static void csv_decode(Decoder *d, const Chunk *chunk, Str header, Decoded *out) {
    if (!header.size) header = chunk->header;
    if (header.size && d->rows.spec->csv_header) places_by_header(d, header);
    else places_by_order(d);
    if (chunk->records) take_records(d, chunk, out);
    else take_bytes(d, chunk, out);
    rows_end_chunk(&d->rows);
}

static void csv_decoder_free(Decoder **decoder) {
    Decoder *d = *decoder;
    if (!d) return;
    for (int i = 0; d->steps && i < d->rows.spec->column_count; i++) free(d->steps[i]);
    free(d->steps);
    free(d->places);
    free(d->record.cells);
    buffer_free(&d->header);
    if (d->rows.spec) rows_close(&d->rows);
    free(d);
    *decoder = NULL;
}

static Status csv_decoder_new(const DecodeSpec *spec, Decoder **out, Error *error) {
    Decoder *d = xcalloc(1, sizeof *d);
    d->delimiter = spec->csv_delimiter ? spec->csv_delimiter : ',';
    d->places = xcalloc((size_t)spec->column_count, sizeof *d->places);
    d->steps = xcalloc((size_t)spec->column_count, sizeof *d->steps);
    if (rows_open(&d->rows, spec, error) != OK) {
        csv_decoder_free(&d);
        return FAIL;
    }
    for (int i = 0; i < spec->column_count; i++) {
        const DecodeColumn *column = &spec->columns[i];
        if (column->kind != DECODE_PATH) continue;
        d->steps[i] = xcalloc((size_t)column->path_count, sizeof **d->steps);
        for (int step = 0; step < column->path_count; step++)
            d->steps[i][step] = str_from(column->path[step]);
    }
    *out = d;
    return OK;
}

const Format csv_format = {.name = "csv",
                           .help = "RFC 4180, with a header unless header = false",
                           .split = csv_split,
                           .first = csv_first,
                           .decoder_new = csv_decoder_new,
                           .decode = csv_decode,
                           .decoder_free = csv_decoder_free};
