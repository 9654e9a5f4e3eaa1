/* Rows to standard output. JSON and CSV leave at once; a table is held back until its columns'
 * widths are known. */
#include "cli/sql_output.h"
#include "format/format.h"
#include <stdio.h>
#include <stdlib.h>

struct Output {
    OutputFormat format;
    const Schema *schema;
    int visible;
    Buffer out;
    Arena *arena;
    Str *cells; /* table: rows * visible */
    size_t rows, capacity;
};

Output *output_new(OutputFormat format, const Schema *schema, int visible) {
    Output *o = xcalloc(1, sizeof *o);
    *o = (Output){.format = format, .schema = schema, .visible = visible, .arena = arena_new()};
    if (format == OUTPUT_CSV) {
        csv_header(schema, visible, ',', &o->out);
        buffer_add_char(&o->out, '\n');
    }
    return o;
}

static void table_cell(Output *o, Value value, Str *cell) {
    Buffer text = {0};
    if (value.null) buffer_add_text(&text, "null");
    else csv_plain(value, &text);
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ') text.data[i] = ' ';
    *cell = arena_str(o->arena, buffer_str(&text));
    buffer_free(&text);
}

static void output_flush(Output *o) {
    if (o->out.size) fwrite(o->out.data, 1, o->out.size, stdout);
    o->out.size = 0;
    fflush(stdout);
}

void output_row(Output *o, const Value *values) {
    if (o->format == OUTPUT_TABLE) {
        if (o->rows == o->capacity) {
            o->capacity = o->capacity ? o->capacity * 2 : 64;
            o->cells = xrealloc(o->cells, sizeof *o->cells * o->capacity *
                                              (size_t)(o->visible ? o->visible : 1));
        }
        for (int i = 0; i < o->visible; i++)
            table_cell(o, values[i], &o->cells[o->rows * (size_t)o->visible + (size_t)i]);
        o->rows++;
        return;
    }
    for (int i = 0; i < o->visible; i++) {
        if (o->format == OUTPUT_CSV) {
            if (i) buffer_add_char(&o->out, ',');
            csv_cell(values[i], ',', &o->out);
            continue;
        }
        buffer_add_char(&o->out, i ? ',' : '{');
        json_string(str_from(o->schema->fields[i].name), &o->out);
        buffer_add_char(&o->out, ':');
        value_json(values[i], &o->out);
    }
    buffer_add_text(&o->out, o->format == OUTPUT_CSV ? "\n" : o->visible ? "}\n" : "{}\n");
    if (o->out.size > 65536) output_flush(o);
}

static size_t width(Str text) { /* code points */
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

static void pad(Buffer *out, size_t count, const char *with) {
    while (count-- > 0) buffer_add_text(out, with);
}

static void table_line(Output *o, const Str *cells, const size_t *widths) {
    for (int i = 0; i < o->visible; i++) {
        size_t gap = widths[i] - width(cells[i]);
        bool right = type_is_number(o->schema->fields[i].type.kind);
        buffer_add_text(&o->out, i ? "  " : " ");
        if (right) pad(&o->out, gap, " ");
        buffer_add_str(&o->out, cells[i]);
        if (!right && i + 1 < o->visible) pad(&o->out, gap, " ");
    }
    buffer_add_char(&o->out, '\n');
}

static void print_table(Output *o) {
    size_t *widths = xcalloc((size_t)o->visible + 1, sizeof *widths);
    Str *names = xcalloc((size_t)o->visible + 1, sizeof *names);
    for (int i = 0; i < o->visible; i++) {
        names[i] = str_from(o->schema->fields[i].name);
        widths[i] = width(names[i]);
        for (size_t r = 0; r < o->rows; r++) {
            size_t w = width(o->cells[r * (size_t)o->visible + (size_t)i]);
            if (w > widths[i]) widths[i] = w;
        }
    }
    table_line(o, names, widths);
    for (int i = 0; i < o->visible; i++) {
        buffer_add_text(&o->out, i ? "──" : "─");
        pad(&o->out, widths[i], "─");
    }
    buffer_add_char(&o->out, '\n');
    for (size_t r = 0; r < o->rows; r++) {
        table_line(o, o->cells + r * (size_t)o->visible, widths);
        if (o->out.size > 65536) output_flush(o);
    }
    buffer_add_format(&o->out, "(%zu row%s)\n", o->rows, o->rows == 1 ? "" : "s");
    free(widths);
    free(names);
}

void output_close(Output **output) {
    Output *o = *output;
    if (o->format == OUTPUT_TABLE) print_table(o);
    output_flush(o);
    buffer_free(&o->out);
    arena_free(&o->arena);
    free(o->cells);
    free(o);
    *output = NULL;
}
