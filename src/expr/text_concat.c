/* Functions that put texts together: ||, concat, format and the quoting of literals and
 * identifiers. Arguments of any type are printed as their type's output function prints them,
 * straight into the result. */
#include "expr/library.h"
#include <ctype.h>
#include <stdlib.h>

static void join_kernel(Call *call, int rows, const Column *const *args,
                        Column *out) { /* text || text, bytea || bytea */
    EACH_OK_ROW(row) {
        Str a = args[0]->strs[row], b = args[1]->strs[row];
        char *to = make_text(call, out, row, a.size + b.size);
        if (!to) continue;
        if (a.size) memcpy(to, a.data, a.size);
        if (b.size) memcpy(to + a.size, b.data, b.size);
        column_strs(out)[row] = (Str){to, a.size + b.size};
    }
}

static void join_any_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        add_output_text(args[0], row, true, &made);
        add_output_text(args[1], row, true, &made);
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

static void concat_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        for (int i = 0; i < call->arg_count && made.size <= TEXT_MOST; i++)
            if (column_ok(args[i], row)) add_output_text(args[i], row, false, &made);
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

static void concat_ws_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        if (!column_ok(args[0], row)) {
            column_null(call, out, row);
            continue;
        }
        made.size = 0;
        bool first = true;
        for (int i = 1; i < call->arg_count && made.size <= TEXT_MOST; i++) {
            if (!column_ok(args[i], row)) continue;
            if (!first) buffer_add_str(&made, args[0]->strs[row]);
            first = false;
            add_output_text(args[i], row, false, &made);
        }
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

/* PostgreSQL's words that may not stand as a plain identifier everywhere, each between blanks. */
static const char quoted_words[] =
    " all analyse analyze and any array as asc asymmetric authorization between bigint binary "
    "bit boolean both case cast char character check coalesce collate collation column "
    "concurrently constraint create cross current_catalog current_date current_role "
    "current_schema current_time current_timestamp current_user dec decimal default "
    "deferrable desc distinct do else end except exists extract false fetch float for foreign "
    "freeze from full grant greatest group grouping having ilike in initially inner inout int "
    "integer intersect interval into is isnull join lateral leading least left like limit "
    "localtime localtimestamp national natural nchar none normalize not notnull null nullif "
    "numeric offset on only or order out outer overlaps overlay placing position precision "
    "primary real references returning right row select session_user setof similar smallint "
    "some substring symmetric table tablesample then time timestamp to trailing treat trim "
    "true union unique user using values varchar variadic verbose when where window with "
    "xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi "
    "xmlroot xmlserialize xmltable ";

static bool is_quoted_word(Str word) {
    char between[24] = " ";
    if (word.size > sizeof between - 3) return false;
    memcpy(between + 1, word.data, word.size);
    between[word.size + 1] = ' ';
    return strstr(quoted_words, between) != NULL;
}

static void add_identifier(Str s, Buffer *out) {
    bool plain = s.size > 0 && !(s.data[0] >= '0' && s.data[0] <= '9');
    for (size_t i = 0; i < s.size && plain; i++) {
        char c = s.data[i];
        plain = (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9');
    }
    if (plain && !is_quoted_word(s)) {
        buffer_add_str(out, s);
        return;
    }
    buffer_add_char(out, '"');
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"') buffer_add_char(out, '"');
        buffer_add_char(out, s.data[i]);
    }
    buffer_add_char(out, '"');
}

static void add_literal(Str s, Buffer *out) {
    if (s.size && memchr(s.data, '\\', s.size)) buffer_add_char(out, 'E');
    buffer_add_char(out, '\'');
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '\'' || s.data[i] == '\\') buffer_add_char(out, s.data[i]);
        buffer_add_char(out, s.data[i]);
    }
    buffer_add_char(out, '\'');
}

static void quote_rows(Call *call, int rows, const Column *const *args, Column *out,
                       void (*add)(Str, Buffer *)) {
    Buffer text = {0}, made = {0};
    EACH_OK_ROW(row) {
        text.size = made.size = 0;
        if (!column_ok(args[0], row))
            buffer_add_text(&made, "NULL"); /* quote_nullable alone sees NULL */
        else {
            add_output_text(args[0], row, true, &text);
            add(buffer_str(&text), &made);
        }
        set_text(call, out, row, &made);
    }
    buffer_free(&text);
    buffer_free(&made);
}

static void quote_literal_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    quote_rows(call, rows, args, out, add_literal);
}
static void quote_ident_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    quote_rows(call, rows, args, out, add_identifier);
}

/* ---- format() ---- */

typedef struct Format {
    Call *call;
    const Column *const *args;
    int row, next; /* the argument that a plain % takes */
    const char *at, *end;
    Buffer *out, *text;
    const char *error; /* why it stopped */
    Str bad;           /* the character it is about */
} Format;

static bool stop(Format *f, const char *error) {
    if (!f->error) f->error = error;
    return false;
}

/* A number at f->at; -1: none. */
static int64_t format_number(Format *f) {
    if (f->at >= f->end || *f->at < '0' || *f->at > '9') return -1;
    int64_t n = 0;
    for (; f->at < f->end && *f->at >= '0' && *f->at <= '9'; f->at++) {
        n = n * 10 + (*f->at - '0');
        if (n > INT32_MAX) {
            stop(f, "number is out of range");
            return 0;
        }
    }
    if (f->at >= f->end) stop(f, "unterminated format() type specifier");
    return n;
}

/* The column of argument `n` (from 1), or the next one where n < 0. */
static const Column *format_argument(Format *f, int64_t n) {
    if (f->error) return NULL;
    if (n < 0) n = f->next++;
    else if (n == 0) stop(f, "format specifies argument 0, but arguments are numbered from 1");
    else f->next = (int)(n + 1 < INT32_MAX ? n + 1 : INT32_MAX);
    if (!f->error && n >= f->call->arg_count) stop(f, "too few arguments for format()");
    return f->error ? NULL : f->args[n];
}

/* What stands between % and the letter: n$, flags, width or *width. */
static bool format_head(Format *f, int64_t *argument, int64_t *width, bool *left) {
    *argument = -1, *width = 0, *left = false;
    int64_t n = format_number(f);
    if (f->error) return false;
    if (n >= 0 && *f->at != '$') {
        *width = n;
        return true;
    }
    if (n >= 0) {
        *argument = n, f->at++;
        if (n == 0)
            return stop(f, "format specifies argument 0, but arguments are numbered from 1");
    }
    while (f->at < f->end && *f->at == '-') *left = true, f->at++;
    if (f->at < f->end && *f->at == '*') {
        f->at++;
        n = format_number(f);
        if (f->error) return false;
        if (n >= 0 && *f->at != '$')
            return stop(f, "width argument position must be ended by \"$\"");
        if (n >= 0) f->at++;
        const Column *column = format_argument(f, n);
        if (!column) return false;
        if (type_is_integer(column->type.kind) && column_ok(column, f->row))
            *width = column->ints[f->row];
        else if (column_ok(column, f->row)) {
            Value value = {0};
            Error error;
            f->text->size = 0;
            add_output_text(column, f->row, false, f->text);
            if (value_parse(type_of(TYPE_INT4), buffer_str(f->text), &value, f->call->arena,
                            &error) != OK)
                return stop(f, arena_format(f->call->arena, "%s", error.text));
            *width = value.integer;
        }
        if (*width < -(int64_t)INT32_MAX || *width > INT32_MAX)
            return stop(f, "number is out of range");
        if (*width < 0) *width = -*width, *left = true;
    } else {
        n = format_number(f);
        if (n >= 0) *width = n;
    }
    if (!f->error && f->at >= f->end) stop(f, "unterminated format() type specifier");
    return !f->error;
}

static bool format_item(Format *f) { /* f->at is behind the % */
    int64_t argument, width;
    bool left;
    if (f->at >= f->end) return stop(f, "unterminated format() type specifier");
    if (*f->at == '%') {
        buffer_add_char(f->out, '%');
        f->at++;
        return true;
    }
    if (!format_head(f, &argument, &width, &left)) return false;
    char letter = *f->at++;
    if (letter != 's' && letter != 'I' && letter != 'L') {
        f->bad = (Str){f->at - 1, utf8_step(f->at - 1, f->end)};
        return stop(f, "unrecognized format() type specifier");
    }
    const Column *column = format_argument(f, argument);
    if (!column) return false;
    Buffer *text = f->text;
    text->size = 0;
    size_t before = f->out->size;
    if (!column_ok(column, f->row)) {
        if (letter == 'I') return stop(f, "null values cannot be formatted as an SQL identifier");
        if (letter == 'L') buffer_add_text(text, "NULL");
    } else add_output_text(column, f->row, false, text);
    if (width > TEXT_MOST) return stop(f, "requested length too large");
    if (letter == 's' || !column_ok(column, f->row)) buffer_add_str(f->out, buffer_str(text));
    else if (letter == 'I') add_identifier(buffer_str(text), f->out);
    else add_literal(buffer_str(text), f->out);
    int64_t fill = width - character_count((Str){f->out->data + before, f->out->size - before});
    if (fill > 0) {
        size_t size = f->out->size - before;
        memset(buffer_reserve(f->out, (size_t)fill), ' ', (size_t)fill);
        char *begin = f->out->data + before;
        if (!left && size) {
            memmove(begin + fill, begin, size);
            memset(begin, ' ', (size_t)fill);
        }
        f->out->size += (size_t)fill;
    }
    return true;
}

static void format_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, text = {0};
    EACH_OK_ROW(row) {
        if (!column_ok(args[0], row)) {
            column_null(call, out, row);
            continue;
        }
        Str pattern = args[0]->strs[row];
        made.size = 0;
        Format f = {call,  args,  row,  1,  pattern.data, pattern.data + pattern.size,
                    &made, &text, NULL, {0}};
        while (f.at < f.end && !f.error) {
            if (*f.at++ != '%') buffer_add_char(&made, f.at[-1]);
            else if (format_item(&f) && made.size > TEXT_MOST)
                stop(&f, "requested length too large");
        }
        if (f.error && f.bad.size)
            column_fail(call, out, row, "%s \"%.*s\"", f.error, STR_ARG(f.bad));
        else if (f.error) column_fail(call, out, row, "%s", f.error);
        else set_text(call, out, row, &made);
    }
    buffer_free(&made);
    buffer_free(&text);
}

#define S FUNCTION_STRICT
#define ANY TYPE_UNKNOWN
#define VAR (FUNCTION_VARIADIC | FUNCTION_ANY_FIRST)
const Function text_concat_functions[] = {
    {"||",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S | FUNCTION_OPERATOR,
     join_kernel,
     NULL,
     "both texts, one after the other"},
    {"||",
     TYPE_BYTEA,
     2,
     {TYPE_BYTEA, TYPE_BYTEA},
     S | FUNCTION_OPERATOR,
     join_kernel,
     NULL,
     "both, one after the other"},
    {"||",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, ANY},
     S | FUNCTION_OPERATOR | FUNCTION_ANY_FIRST,
     join_any_kernel,
     NULL,
     "the text and the value as text"},
    {"||",
     TYPE_TEXT,
     2,
     {ANY, TYPE_TEXT},
     S | FUNCTION_OPERATOR | FUNCTION_ANY_FIRST,
     join_any_kernel,
     NULL,
     "the value as text and the text"},
    {"concat",
     TYPE_TEXT,
     1,
     {ANY},
     VAR,
     concat_kernel,
     NULL,
     "all values as text, one after the other; NULL adds nothing"},
    {"concat_ws",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, ANY},
     VAR,
     concat_ws_kernel,
     NULL,
     "concat_ws(separator, …): the values that are not NULL, with the separator between them"},
    {"format",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, ANY},
     VAR,
     format_kernel,
     NULL,
     "format(text, …): %s a value, %I an identifier, %L a literal, %% a percent sign; n$, - and a "
     "width as in PostgreSQL"},
    {"quote_literal",
     TYPE_TEXT,
     1,
     {ANY},
     S | FUNCTION_ANY_FIRST,
     quote_literal_kernel,
     NULL,
     "as an SQL string literal"},
    {"quote_nullable",
     TYPE_TEXT,
     1,
     {ANY},
     FUNCTION_ANY_FIRST,
     quote_literal_kernel,
     NULL,
     "as an SQL string literal; NULL gives NULL the word"},
    {"quote_ident",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     quote_ident_kernel,
     NULL,
     "as an SQL identifier, quoted where it must be"},
    {0},
};
