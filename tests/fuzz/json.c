/* JSON records: any bytes are rows or rejects, the same ones whole and record by record. */
#include "decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *deep[] = {"a", "b"}, *item[] = {"l", "1"};
    DecodeColumn columns[] = {
        {.kind = DECODE_FIELD, .name = "id", .type = type_of(TYPE_INT4)},
        {.kind = DECODE_FIELD, .name = "v", .type = type_of(TYPE_FLOAT8)},
        {.kind = DECODE_FIELD, .name = "n", .type = type_of(TYPE_NUMERIC)},
        {.kind = DECODE_FIELD, .name = "s", .type = type_of(TYPE_TEXT)},
        {.kind = DECODE_FIELD, .name = "t", .type = type_of(TYPE_TIMESTAMPTZ)},
        {.kind = DECODE_FIELD, .name = "ok", .type = type_of(TYPE_BOOL)},
        {.kind = DECODE_FIELD, .name = "d", .type = type_of(TYPE_JSONB)},
        {.kind = DECODE_FIELD, .name = "u", .type = type_of(TYPE_UUID)},
        {.kind = DECODE_FIELD, .name = "i", .type = type_of(TYPE_INTERVAL)},
        {.kind = DECODE_PATH,
         .name = "d",
         .type = type_of(TYPE_TEXT),
         .path = deep,
         .path_count = 2},
        {.kind = DECODE_PATH,
         .name = "d",
         .type = type_of(TYPE_FLOAT8),
         .path = deep,
         .path_count = 1},
        {.kind = DECODE_PATH,
         .name = "d",
         .type = type_of(TYPE_JSONB),
         .path = item,
         .path_count = 2},
    };
    DecodeSpec spec = {.table = "t",
                       .columns = columns,
                       .column_count = sizeof columns / sizeof *columns,
                       .event_time = -1,
                       .on_error = ON_ERROR_DEAD_LETTER,
                       .max_future_us = INT64_MAX};
    compare_whole_and_single(&json_format, &spec, (Str){(const char *)data, size}, (Str){0});
    spec.on_error = ON_ERROR_NULL;
    compare_whole_and_single(&json_format, &spec, (Str){(const char *)data, size}, (Str){0});
    return 0;
}
