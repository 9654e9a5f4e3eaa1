/* Two reference pages out of the program's own tables, so that they cannot say what the program
 * does not do: docs/sql-functions.md (functions, operators, casts, aggregates) and docs/settings.md
 * (SET name = value).
 * `./dev docs` writes them; tests/test_docs.py fails when they are out of date. The rows are taken
 * by family, one exported table a file of src/expr; a row that no family has is an error here, so a
 * new file is not forgotten. */
#include "expr/aggregate.h"
#include "sql/catalog.h"
#include <stdio.h>

extern const Function arithmetic_functions[], cast_functions[], compare_functions[],
    encoding_functions[], from_char_functions[], json_build_functions[], json_functions[],
    like_functions[], math_functions[], misc_functions[], regex_functions[], text_functions[],
    text_concat_functions[], text_part_functions[], time_functions[], time_field_functions[],
    time_make_functions[], to_char_functions[], to_char_number_functions[];

typedef struct Family {
    const char *title, *text;
    const Function *tables[6];
} Family;

static const Family families[] = {
    {"Comparing",
     "Also `BETWEEN`, `IN (…)`, `IS [NOT] NULL`, `AND`, `OR`, `NOT`, with PostgreSQL's logic of "
     "NULL.",
     {compare_functions}},
    {"Numbers", "", {arithmetic_functions, math_functions, to_char_number_functions}},
    {"Text", "", {text_functions, text_concat_functions, text_part_functions}},
    {"Patterns",
     "Regular expressions are PCRE2's. [limits.md](limits.md#regular-expressions) says where they "
     "differ from PostgreSQL's.",
     {like_functions, regex_functions}},
    {"Dates and times",
     "The zone is UTC unless one is given.",
     {time_functions, time_field_functions, time_make_functions, to_char_functions,
      from_char_functions}},
    {"JSON",
     "A path `d.a.b` reads into a jsonb column too: [sql.md](sql.md#nested-values).",
     {json_functions, json_build_functions}},
    {"Bytes and encodings", "", {encoding_functions}},
    {"Other",
     "Also `CASE`, `coalesce(a, b, …)`, and `metadata(…)` in computed columns.",
     {misc_functions}},
};
enum { FAMILIES = sizeof families / sizeof *families, MOST_ROWS = 64 };

/* A line of a page: the rows of one name that share their help. */
typedef struct Line {
    const Function *rows[MOST_ROWS];
    int count;
    const char *help;
} Line;

static Arena *arena;
static Buffer out;
static int rows_told;

/* The short names that people write. */
static const char *name_of(TypeKind kind) {
    switch (kind) {
    case TYPE_UNKNOWN: return "any";
    case TYPE_TIMESTAMP: return "timestamp";
    case TYPE_TIMESTAMPTZ: return "timestamptz";
    case TYPE_VARCHAR: return "varchar";
    default: return type_name(type_of(kind), arena);
    }
}

/* In a table of Markdown a bar ends the cell, in code too. */
static void add_cell(const char *text) {
    for (; *text; text++) {
        if (*text == '|') buffer_add_char(&out, '\\');
        buffer_add_char(&out, *text);
    }
}

static void add_format_cell(const char *format, ...) PRINTF(1, 2);
static void add_format_cell(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_cell(text);
}

/* "is true" stands among the operators by its flag; so do signs. */
static void add_call(const Function *f) {
    if (!(f->flags & FUNCTION_OPERATOR)) {
        add_format_cell("`%s`", f->name);
        return;
    }
    char upper[64];
    size_t i = 0;
    for (; f->name[i] && i + 1 < sizeof upper; i++)
        upper[i] =
            (char)(f->name[i] >= 'a' && f->name[i] <= 'z' ? f->name[i] + 'A' - 'a' : f->name[i]);
    upper[i] = 0;
    bool word = upper[0] >= 'A' && upper[0] <= 'Z';
    if (f->arg_count == 2) add_format_cell("`a %s b`", upper);
    else if (word) add_format_cell("`a %s`", upper);
    else add_format_cell("`%s a`", upper);
}

static void add_signature(const Function *f) {
    for (int a = 0; a < f->arg_count; a++)
        add_format_cell("%s%s", a ? ", " : "", name_of(f->args[a]));
    if (f->flags & FUNCTION_VARIADIC) add_cell(", …");
    add_format_cell("%s→ %s", f->arg_count ? " " : "", name_of(f->result));
}

/* A set of types in PostgreSQL's order; all six number types have a short name together. */
static void add_set(uint64_t set) {
    static const uint64_t numbers = 1 << TYPE_INT2 | 1 << TYPE_INT4 | 1 << TYPE_INT8 |
                                    1 << TYPE_FLOAT4 | 1 << TYPE_FLOAT8 | 1 << TYPE_NUMERIC;
    const char *between = "";
    if ((set & numbers) == numbers) {
        add_cell("any number");
        between = ", ";
        set &= ~numbers;
    }
    for (int kind = 0; kind < TYPE_KINDS; kind++) {
        if (!(set >> kind & 1)) continue;
        add_format_cell("%s%s", between, name_of((TypeKind)kind));
        between = ", ";
    }
}

/* Many rows for as many types: the types of each argument once, and what comes out of them. */
static void add_types(const Line *line) {
    const Function *last = line->rows[line->count - 1];
    uint64_t sets[FUNCTION_ARGS] = {0}, results = 0;
    bool one_shape = true;
    for (int i = 0; i < line->count; i++) {
        const Function *f = line->rows[i];
        one_shape &= f->arg_count == last->arg_count;
        results |= UINT64_C(1) << f->result;
        for (int a = 0; a < f->arg_count; a++) sets[a] |= UINT64_C(1) << f->args[a];
    }
    if (!one_shape) { /* each row has an argument more than the one before */
        add_signature(last);
        return;
    }
    bool twins = last->arg_count == 2 && sets[0] == sets[1];
    for (int a = 0; a < last->arg_count - twins; a++) {
        if (a) add_cell("; ");
        add_set(sets[a]);
    }
    add_cell(" → ");
    if (results == sets[0] && results & 1 << TYPE_INT8)
        add_cell(twins ? "the type that holds both" : "the same type");
    else add_set(results);
}

static void add_line(const Line *line) {
    buffer_add_text(&out, "| ");
    add_call(line->rows[0]);
    buffer_add_text(&out, " | ");
    if (line->count > 4) {
        add_types(line);
    } else {
        for (int i = 0; i < line->count; i++) {
            if (i) buffer_add_text(&out, "<br>");
            add_signature(line->rows[i]);
        }
    }
    buffer_add_text(&out, " | ");
    add_cell(line->help ? line->help : "");
    buffer_add_text(&out, " |\n");
}

static bool is_in(const Family *family, const Function *f) {
    for (const Function *const *table = family->tables; *table; table++)
        for (const Function *row = *table; row->name; row++)
            if (row == f) return true;
    return false;
}

/* function_at goes by name, so a name's rows stand together. A row without help is a twin of the
 * one before it, or, where none is, of the one that follows. */
static void add_family(const Family *family) {
    buffer_add_format(&out, "\n## %s\n", family->title);
    if (*family->text) buffer_add_format(&out, "%s\n", family->text);
    buffer_add_text(&out, "\n| | types | |\n| --- | --- | --- |\n");
    Line line = {0};
    for (int i = 0;; i++) {
        const Function *f = function_at(i);
        if (f && (f->flags & FUNCTION_CAST || !is_in(family, f))) continue;
        bool other_name = !f || (line.count && strcmp(line.rows[0]->name, f->name) != 0);
        bool other_help = f && f->help && line.help && strcmp(f->help, line.help) != 0;
        bool other_form =
            f && line.count && line.help && f->arg_count != line.rows[0]->arg_count && f->help;
        if (line.count && (other_name || other_help || other_form)) {
            add_line(&line);
            line = (Line){0};
        }
        if (!f) break;
        rows_told++;
        if (line.count < MOST_ROWS) line.rows[line.count++] = f;
        if (f->help) line.help = f->help;
    }
}

/* ---- casts ---- */

static void add_targets(TypeKind from, int with, int without) {
    const char *between = "";
    for (int to = 1; to < TYPE_KINDS; to++) {
        const Function *f = (TypeKind)to == from ? NULL : cast_between(from, (TypeKind)to);
        if (!f || (f->flags & with) != with || f->flags & without) continue;
        add_format_cell("%s%s", between, name_of((TypeKind)to));
        between = ", ";
    }
}

static void add_casts(void) {
    buffer_add_text(&out, "\n## Casts\n`CAST(x AS type)`, `x::type`, `type '…'`. A value that does "
                          "not cast is an error of its "
                          "row.\n\n| from | by itself | also in INSERT | also by a cast |\n| --- | "
                          "--- | --- | --- |\n");
    for (int from = 1; from < TYPE_KINDS; from++) {
        buffer_add_format(&out, "| %s | ", name_of((TypeKind)from));
        add_targets((TypeKind)from, FUNCTION_IMPLICIT, 0);
        buffer_add_text(&out, " | ");
        add_targets((TypeKind)from, FUNCTION_ASSIGNMENT, FUNCTION_IMPLICIT);
        buffer_add_text(&out, " | ");
        add_targets((TypeKind)from, 0, FUNCTION_IMPLICIT | FUNCTION_ASSIGNMENT);
        buffer_add_text(&out, " |\n");
    }
}

/* ---- aggregates ---- */

/* `count` rows from `first` on are of one name and number of arguments. */
static void add_aggregate(int first, int count) {
    const Aggregate *a = aggregate_at(first);
    bool same = true, one = true;
    uint64_t set = 0;
    for (int i = 0; i < count; i++) {
        const Aggregate *row = aggregate_at(first + i);
        set |= UINT64_C(1) << row->arg;
        same &= row->arg == row->result || (row->arg == TYPE_VARCHAR && row->result == TYPE_TEXT);
        one &= row->result == a->result;
    }
    buffer_add_format(&out, "| `%s%s` | ", a->name, a->arg_count ? "" : "(*)");
    if (!a->arg_count) add_format_cell("→ %s", name_of(a->result));
    else if (same || one)
        add_set(set), add_format_cell(" → %s", one ? name_of(a->result) : "the same type");
    for (int i = 0; i < count && a->arg_count && !same && !one; i++)
        add_format_cell("%s%s → %s", i ? "; " : "", name_of(aggregate_at(first + i)->arg),
                        name_of(aggregate_at(first + i)->result));
    buffer_add_text(&out, " | ");
    add_cell(a->help ? a->help : "");
    buffer_add_text(&out, " |\n");
}

static void add_aggregates(void) {
    buffer_add_text(&out, "\n## Aggregates\nEach takes `FILTER (WHERE …)` and, but for `count(*)`, "
                          "`DISTINCT`. Rows whose argument is "
                          "NULL do not count, but for first_value and last_value.\n\n| | types | "
                          "|\n| --- | --- | --- |\n");
    for (int first = 0, end; aggregate_at(first); first = end) {
        const Aggregate *a = aggregate_at(first), *b;
        for (end = first; (b = aggregate_at(end)); end++)
            if (strcmp(b->name, a->name) != 0 || b->arg_count != a->arg_count) break;
        add_aggregate(first, end - first);
    }
}

/* ---- pages ---- */

static int functions_page(void) {
    buffer_add_text(&out, "# SQL functions\n\nWritten from the program's own tables by `./dev "
                          "docs`. Names and meaning are PostgreSQL 15's; "
                          "where something differs, the last column says so.\nAn error in a "
                          "function (division by zero, a value out "
                          "of range) makes that row a dead letter of the query; it never stops the "
                          "run, unless the table says "
                          "`on_error = 'fail'`.\n");
    for (int i = 0; i < FAMILIES; i++) add_family(&families[i]);
    add_aggregates();
    add_casts();
    int total = 0;
    for (int i = 0; function_at(i); i++) total += !(function_at(i)->flags & FUNCTION_CAST);
    if (rows_told == total) return 0;
    fprintf(stderr,
            "docs/tables.c: %d of %d functions are in a family; name the new table in families[]\n",
            rows_told, total);
    return 1;
}

static int settings_page(void) {
    static const char *const types[] = {"text",     "whole number", "number", "true or false",
                                        "interval", "size",         "",       "time"};
    buffer_add_text(
        &out,
        "# Settings\n\n`SET name = value` in a pipeline file, each at most once. Written from the "
        "program's own "
        "table by `./dev docs`.\n\n| setting | value | default | |\n| --- | --- | --- | --- |\n");
    for (const Option *o = setting_options; o->name; o++) {
        buffer_add_format(&out, "| `%s` | %s | ", o->name, types[o->type]);
        if (o->default_text)
            buffer_add_format(&out, "`%s`%s%s", o->default_text, o->unit ? " " : "",
                              o->unit ? o->unit : "");
        buffer_add_text(&out, " | ");
        add_cell(o->help);
        buffer_add_text(&out, " |\n");
    }
    buffer_add_text(&out, "\nA size is a number with `kB`, `MB`, `GB` or `TB` (powers of 1024). An "
                          "interval is PostgreSQL's, without "
                          "months and years.\n");
    return 0;
}

int main(int argc, char **argv) {
    const char *page = argc == 2 ? argv[1] : "";
    arena = arena_new();
    int status = 2;
    if (strcmp(page, "functions") == 0) status = functions_page();
    else if (strcmp(page, "settings") == 0) status = settings_page();
    else fprintf(stderr, "usage: tables functions|settings\n");
    if (status == 0) fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
    arena_free(&arena);
    return status;
}
