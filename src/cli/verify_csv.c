/* Rows of CSV for the judge: each becomes a JSON object of texts. The decoder of the format does
 * the reading, with all columns that the header names as texts; it is made anew when the header is
 * another one, since each file may have its own. */
#include "base/env.h"
#include "cli/sql_input.h"
#include "cli/verify.h"
#include <stdlib.h>

enum { COLUMNS_MOST = 1600 };

struct CsvRows {
    Arena *arena; /* of the decoder's columns */
    DecodeSpec spec;
    Schema schema;
    Decoder *decoder;
    Buffer header, row;
};

CsvRows *csv_rows_new(char delimiter) {
    CsvRows *c = xcalloc(1, sizeof *c);
    c->arena = arena_new();
    c->spec.csv_delimiter = delimiter;
    return c;
}

void csv_rows_free(CsvRows **rows) {
    CsvRows *c = *rows;
    if (!c) return;
    if (c->decoder) csv_format.decoder_free(&c->decoder);
    arena_free(&c->arena);
    buffer_free(&c->header);
    buffer_free(&c->row);
    free(c);
    *rows = NULL;
}

static Status begin(CsvRows *c, Str header, Error *error) {
    if (c->decoder) csv_format.decoder_free(&c->decoder);
    arena_reset(c->arena);
    c->header.size = 0;
    buffer_add_str(&c->header, header);
    Str *names = arena_new_array(c->arena, Str, COLUMNS_MOST);
    int count = csv_names(header, c->spec.csv_delimiter, c->arena, names, COLUMNS_MOST);
    DecodeColumn *columns = arena_new_array(c->arena, DecodeColumn, count);
    Field *fields = arena_new_array(c->arena, Field, count);
    char **declared = arena_new_array(c->arena, char *, count);
    for (int i = 0; i < count; i++) {
        declared[i] = arena_text(c->arena, names[i]);
        columns[i] = (DecodeColumn){.name = declared[i], .type = type_of(TYPE_TEXT)};
        fields[i] = (Field){.name = declared[i], .type = type_of(TYPE_TEXT)};
    }
    c->spec = (DecodeSpec){.table = "--in",
                           .columns = columns,
                           .column_count = count,
                           .event_time = -1,
                           .max_future_us = INT64_MAX,
                           .csv_delimiter = c->spec.csv_delimiter,
                           .csv_header = true,
                           .csv_columns = declared,
                           .csv_column_count = count,
                           .env = env_system()};
    c->schema = (Schema){count, fields};
    return csv_format.decoder_new(&c->spec, &c->decoder, error);
}

Status csv_rows_judge(CsvRows *c, Verdict *v, const Chunk *chunk, Str header, int partition,
                      Error *error) {
    if (!header.size) return fail(error, "the CSV has no header line that names its columns");
    if (!c->decoder || !str_equal(header, buffer_str(&c->header)))
        if (begin(c, header, error) != OK) return FAIL;
    Decoded decoded = {0};
    csv_format.decode(c->decoder, chunk, header, &decoded);
    for (int b = 0; b < decoded.batch_count; b++)
        for (int row = 0; row < decoded.batches[b]->rows; row++) {
            c->row.size = 0;
            json_columns_row(&c->schema, decoded.batches[b]->columns, row, &c->row);
            judge_row(v, buffer_str(&c->row), partition, NO_TIME);
        }
    for (int i = 0; i < decoded.reject_count; i++)
        judge_row(v, STR("a row that is no CSV"), partition, NO_TIME);
    decoded_free(&decoded);
    return OK;
}
