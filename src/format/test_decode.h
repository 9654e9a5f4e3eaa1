/* For the tests of this folder: decode a text and look at what came out. */
#pragma once
#include "data/value.h"
#include "format/format.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Test {
    const Format *format;
    DecodeColumn columns[16];
    DecodeSpec spec;
    Chunk chunk;
    Decoder *decoder;
    Decoded out;
    char *copy; /* exactly as long as the text, so that a sanitizer sees what is read behind it */
    Str header;
} Test;

static inline Test test_new(const Format *format) {
    return (Test){.format = format,
                  .spec = {.table = "t",
                           .event_time = -1,
                           .max_future_us = INT64_MAX,
                           .csv_header = true,
                           .csv_delimiter = ','}};
}

static inline DecodeColumn *test_column(Test *t, const char *name, TypeKind kind) {
    DecodeColumn *column = &t->columns[t->spec.column_count++];
    *column = (DecodeColumn){.kind = DECODE_FIELD, .name = name, .type = type_of(kind)};
    t->spec.columns = t->columns;
    return column;
}

static inline DecodeColumn *test_path(Test *t, const char *name, TypeKind kind, const char **path,
                                      int count) {
    DecodeColumn *column = test_column(t, name, kind);
    column->kind = DECODE_PATH;
    column->path = path;
    column->path_count = count;
    return column;
}

static inline void test_clear(Test *t) {
    if (t->out.arena) decoded_free(&t->out);
    free(t->copy);
    t->copy = NULL;
}

static inline void test_decode_str(Test *t, Str text) {
    Error error;
    test_clear(t);
    t->spec.columns = t->columns; /* the test itself may have been moved */
    if (!t->decoder) assert_int_equal(t->format->decoder_new(&t->spec, &t->decoder, &error), OK);
    t->copy = malloc(text.size ? text.size : 1);
    if (text.size) memcpy(t->copy, text.data, text.size);
    t->chunk.bytes = (Str){t->copy, text.size};
    t->chunk.end = t->chunk.begin + (int64_t)text.size;
    t->format->decode(t->decoder, &t->chunk, t->header, &t->out);
}

static inline void test_decode(Test *t, const char *text) { test_decode_str(t, str_from(text)); }

static inline int test_rows(const Test *t) {
    int rows = 0;
    for (int i = 0; i < t->out.batch_count; i++) rows += t->out.batches[i]->rows;
    return rows;
}

static inline void test_end(Test *t) {
    test_clear(t);
    t->format->decoder_free(&t->decoder);
}

/* All rows as JSON, a line each, and behind them the rejects' reasons. Valid until the next call.
 */
static inline const char *test_text(const Test *t) {
    static Buffer text;
    text.size = 0;
    Field fields[16];
    for (int i = 0; i < t->spec.column_count; i++)
        fields[i] = (Field){t->columns[i].name, t->columns[i].type, false};
    Schema schema = {t->spec.column_count, fields};
    for (int i = 0; i < t->out.batch_count; i++)
        for (int row = 0; row < t->out.batches[i]->rows; row++) {
            json_row(&schema, t->out.batches[i], row, &text);
            buffer_add_char(&text, '\n');
        }
    for (int i = 0; i < t->out.reject_count; i++)
        buffer_add_format(&text, "! %s\n", t->out.rejects[i].reason);
    buffer_add_char(&text, '\0');
    return text.data;
}

#define assert_decodes(t, text, result)                                                            \
    do {                                                                                           \
        test_decode((t), (text));                                                                  \
        assert_string_equal(test_text(t), (result));                                               \
    } while (0)
