/* A JSON array: any bytes are rows or rejects, the same ones whole, piece by piece, and read on
 * from every record, as after a crash. */
#include "format/json_array.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES_MOST = 4096, RESUMED_MOST = 64 };

typedef struct Told { /* what came out: "@position row" or "@position !" */
    Buffer text;
    size_t begins[ENTRIES_MOST];
    int64_t positions[ENTRIES_MOST];
    int count;
} Told;

static void tell(Told *told, int64_t position, Str row) {
    if (told->count == ENTRIES_MOST) return;
    told->begins[told->count] = told->text.size;
    told->positions[told->count++] = position;
    buffer_add_format(&told->text, "@%lld %.*s\n", (long long)position, STR_ARG(row));
}

static void decode_into(const DecodeSpec *spec, Str all, size_t at, size_t size, Told *told) {
    Error error;
    Decoder *decoder;
    ArrayMark mark = {0};
    if (at) array_mark(&mark, (Str){all.data, at}, true);
    if (json_array_format.decoder_new(spec, &decoder, &error) != OK) abort();
    char *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, all.data + at, size);
    Chunk chunk = {.bytes = {copy, size},
                   .begin = (int64_t)at,
                   .end = (int64_t)(at + size),
                   .place = array_place(&mark),
                   .last = at + size == all.size};
    Decoded out;
    json_array_format.decode(decoder, &chunk, (Str){0}, &out);
    Field fields[2] = {{spec->columns[0].name, spec->columns[0].type, false},
                       {spec->columns[1].name, spec->columns[1].type, false}};
    Schema schema = {2, fields};
    Buffer row = {0};
    int done = 0, reject = 0;
    for (int b = 0; b <= out.batch_count; b++)
        for (int r = 0; r < (b < out.batch_count ? out.batches[b]->rows : 1); r++, done++) {
            for (; reject < out.reject_count &&
                   (b == out.batch_count || out.rejects[reject].row_before <= done);
                 reject++)
                tell(told, out.rejects[reject].position, STR("!"));
            if (b == out.batch_count) break;
            row.size = 0;
            json_row(&schema, out.batches[b], r, &row);
            tell(told, out.batches[b]->positions[r], buffer_str(&row));
        }
    buffer_free(&row);
    decoded_free(&out);
    json_array_format.decoder_free(&decoder);
    free(copy);
}

static void compare(Str whole, Str other, const char *what) {
    if (str_equal(whole, other)) return;
    fprintf(stderr, "whole:\n%.*s\n%s:\n%.*s\n", STR_ARG(whole), what, STR_ARG(other));
    abort();
}

/* In chunks of one record, as a source would cut them that reads `step` bytes at a time. */
static void read_in_pieces(const DecodeSpec *spec, Str all, size_t step, Told *told) {
    size_t at = 0, seen = 0;
    ArrayMark mark = {0};
    while (at < all.size) {
        seen = seen + step < all.size ? seen + step : all.size;
        Str bytes = {all.data + at, seen - at};
        bool last = seen == all.size;
        size_t size = step > 8 ? array_split(bytes, array_place(&mark), last)
                               : array_first(bytes, array_place(&mark), last);
        if (size > bytes.size || (last && size == 0)) abort();
        if (!size) continue;
        decode_into(spec, all, at, size, told);
        array_mark(&mark, (Str){bytes.data, size}, at == 0);
        at += size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    DecodeColumn columns[] = {{.kind = DECODE_FIELD, .name = "a", .type = type_of(TYPE_INT4)},
                              {.kind = DECODE_FIELD, .name = "d", .type = type_of(TYPE_JSONB)}};
    DecodeSpec spec = {.table = "t",
                       .columns = columns,
                       .column_count = 2,
                       .event_time = -1,
                       .max_future_us = INT64_MAX};
    static Told whole, other;
    Str all = {(const char *)data, size};
    whole.text.size = 0;
    whole.count = 0;
    decode_into(&spec, all, 0, size, &whole);
    static const size_t steps[] = {1, 3, 9, 64, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        other.text.size = 0;
        other.count = 0;
        read_in_pieces(&spec, all, steps[i], &other);
        compare(buffer_str(&whole.text), buffer_str(&other.text), "in pieces");
    }
    for (int i = 0; i < whole.count && i < RESUMED_MOST; i++) {
        if (i && whole.positions[i] == whole.positions[i - 1]) continue;
        other.text.size = 0;
        other.count = 0;
        decode_into(&spec, all, (size_t)whole.positions[i], size - (size_t)whole.positions[i],
                    &other);
        Str rest = {whole.text.data + whole.begins[i], whole.text.size - whole.begins[i]};
        if (whole.count < ENTRIES_MOST) compare(rest, buffer_str(&other.text), "read on");
    }
    return 0;
}
