/* Rows into JSON: one object a row, keys as they are spelled, in the schema's order, without
 * blanks. */
#include "data/value.h"
#include "format/format.h"

void json_columns_row(const Schema *schema, const Column *columns, int row, Buffer *out) {
    for (int i = 0; i < schema->count; i++) {
        buffer_add_char(out, i ? ',' : '{');
        json_string(str_from(schema->fields[i].name), out);
        buffer_add_char(out, ':');
        value_json(column_value(&columns[i], row), out);
    }
    if (schema->count == 0) buffer_add_char(out, '{');
    buffer_add_char(out, '}');
}

void json_row(const Schema *schema, const Batch *batch, int row, Buffer *out) {
    json_columns_row(schema, batch->columns, row, out);
}
