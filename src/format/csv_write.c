/* Rows into CSV, as RFC 4180 and PostgreSQL's COPY have it: NULL is an empty field, the empty
 * string is "", and a value is quoted only when it must be. Values are written as in JSON, without
 * the quotes around strings. */
#include "data/value.h"
#include "format/format.h"

static void add_plain(Value value, Buffer *out) {
    TypeKind kind = value.type.kind;
    if (kind == TYPE_TEXT || kind == TYPE_VARCHAR || kind == TYPE_JSONB) {
        buffer_add_str(out, value.str);
        return;
    }
    if (kind == TYPE_BYTEA) { /* JSON would escape the backslash of \x */
        value_text(value, out);
        return;
    }
    size_t start = out->size;
    value_json(value, out);
    if (out->size - start >= 2 && out->data[start] == '"') {
        memmove(out->data + start, out->data + start + 1, out->size - start - 2);
        out->size -= 2;
    }
}

void csv_plain(Value value, Buffer *out) {
    if (!value.null) add_plain(value, out);
}

static bool must_quote(Str text, char delimiter) {
    if (text.size == 0) return true;
    if (str_equal(text, str_from("\\."))) return true; /* alone on a line: the end, to COPY */
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == delimiter || text.data[i] == '"' || text.data[i] == '\r' ||
            text.data[i] == '\n')
            return true;
    return false;
}

static void quote(Buffer *out, size_t start) {
    Str text = {out->data + start, out->size - start};
    Buffer copy = {0};
    buffer_add_str(&copy, text);
    out->size = start;
    buffer_add_char(out, '"');
    for (size_t i = 0; i < copy.size; i++) {
        if (copy.data[i] == '"') buffer_add_char(out, '"');
        buffer_add_char(out, copy.data[i]);
    }
    buffer_add_char(out, '"');
    buffer_free(&copy);
}

void csv_cell(Value value, char delimiter, Buffer *out) {
    if (value.null) return;
    size_t start = out->size;
    add_plain(value, out);
    if (must_quote((Str){out->data + start, out->size - start}, delimiter)) quote(out, start);
}

void csv_row(const Schema *schema, const Batch *batch, int row, char delimiter, Buffer *out) {
    for (int i = 0; i < schema->count; i++) {
        if (i) buffer_add_char(out, delimiter);
        csv_cell(column_value(&batch->columns[i], row), delimiter, out);
    }
}

void csv_header(const Schema *schema, int columns, char delimiter, Buffer *out) {
    for (int i = 0; i < columns; i++) {
        if (i) buffer_add_char(out, delimiter);
        size_t start = out->size;
        buffer_add_text(out, schema->fields[i].name);
        if (must_quote((Str){out->data + start, out->size - start}, delimiter)) quote(out, start);
    }
}
