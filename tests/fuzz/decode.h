/* What the fuzz targets of formats share. A chunk decoded whole and the same chunk decoded a record
 * at a time must become the same rows and the same rejects; the formats' fast path over many
 * records is judged by its slow one. */
#pragma once
#include "format/format.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_COLUMNS = 16 };

typedef struct Told { /* rows as JSON and rejects with their positions, in the order of the records
                       */
    Buffer text;
    long rows, rejects;
} Told;

static inline void decode_into(const Format *format, const DecodeSpec *spec, Str bytes,
                               int64_t begin, Str header, Told *told) {
    Error error;
    Decoder *decoder;
    if (format->decoder_new(spec, &decoder, &error) != OK) abort();
    char *copy = malloc(bytes.size ? bytes.size : 1);
    if (bytes.size) memcpy(copy, bytes.data, bytes.size);
    Chunk chunk = {.bytes = {copy, bytes.size},
                   .begin = begin,
                   .end = begin + (int64_t)bytes.size,
                   .header = header};
    Decoded out;
    format->decode(decoder, &chunk, header, &out);
    Field fields[FUZZ_COLUMNS];
    for (int i = 0; i < spec->column_count; i++)
        fields[i] = (Field){spec->columns[i].name, spec->columns[i].type, false};
    Schema schema = {spec->column_count, fields};
    int row = 0, reject = 0;
    for (int b = 0; b < out.batch_count; b++)
        for (int r = 0; r < out.batches[b]->rows; r++, row++) {
            for (; reject < out.reject_count && out.rejects[reject].row_before <= row; reject++)
                buffer_add_format(&told->text, "! %lld\n", (long long)out.rejects[reject].position);
            json_row(&schema, out.batches[b], r, &told->text);
            buffer_add_char(&told->text, '\n');
        }
    for (; reject < out.reject_count; reject++)
        buffer_add_format(&told->text, "! %lld\n", (long long)out.rejects[reject].position);
    told->rows += row;
    told->rejects += out.reject_count;
    decoded_free(&out);
    format->decoder_free(&decoder);
    free(copy);
}

static inline void compare_whole_and_single(const Format *format, const DecodeSpec *spec, Str bytes,
                                            Str header) {
    Told whole = {0}, single = {0};
    if (format->split(bytes, spec->csv_delimiter, true) != bytes.size) abort();
    decode_into(format, spec, bytes, 0, header, &whole);
    size_t at = 0;
    while (at < bytes.size) {
        Str rest = {bytes.data + at, bytes.size - at};
        size_t size = format->first(rest, spec->csv_delimiter, true);
        if (size == 0 || size > rest.size) abort();
        decode_into(format, spec, (Str){rest.data, size}, (int64_t)at, header, &single);
        at += size;
    }
    if (whole.text.size != single.text.size ||
        (whole.text.size > 0 && memcmp(whole.text.data, single.text.data, whole.text.size) != 0)) {
        fprintf(stderr, "whole:\n%.*s\none by one:\n%.*s\n", (int)whole.text.size, whole.text.data,
                (int)single.text.size, single.text.data);
        abort();
    }
    buffer_free(&whole.text);
    buffer_free(&single.text);
}
