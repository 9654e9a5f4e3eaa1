/* CSV records: any bytes are rows or rejects, the same ones whole and record by record. */
#include "decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    DecodeColumn columns[] = {
        {.kind = DECODE_FIELD, .name = "id", .type = type_of(TYPE_INT8)},
        {.kind = DECODE_FIELD, .name = "s", .type = type_of(TYPE_TEXT)},
        {.kind = DECODE_FIELD, .name = "v", .type = type_of(TYPE_FLOAT8)},
        {.kind = DECODE_FIELD, .name = "day", .type = type_of(TYPE_DATE)},
    };
    char *names[] = {"id", "s", "v", "day"};
    DecodeSpec spec = {.table = "t",
                       .columns = columns,
                       .column_count = 4,
                       .event_time = -1,
                       .on_error = ON_ERROR_DEAD_LETTER,
                       .max_future_us = INT64_MAX,
                       .csv_header = false,
                       .csv_delimiter = ',',
                       .csv_columns = names,
                       .csv_column_count = 4};
    compare_whole_and_single(&csv_format, &spec, (Str){(const char *)data, size}, (Str){0});
    return 0;
}
