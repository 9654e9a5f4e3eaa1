/* The catalog: what a pipeline file says, before its queries are planned. This file reads the text,
 * hands each statement to the file that knows it, and finds names afterwards. Statements may come
 * in any order but for SET, which holds for the whole file wherever it stands. */
#include "sql/tree.h"
#include <stdio.h>

enum { STATEMENTS_MOST = 10000 };

static Status check_encoding(Catalog *c, Error *error) {
    const char *at = c->text.data, *end = at + c->text.size;
    for (; at < end; at++) {
        uint8_t lead = (uint8_t)*at;
        if (lead == 0)
            return error_at(c, (int)(at - c->text.data), error,
                            "the file holds a zero byte; it should be text");
        if (lead < 0x80) continue;
        int more = lead >= 0xf0 && lead < 0xf5 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
        bool good = more > 0 && lead < 0xf5 && end - at > more;
        for (int i = 1; good && i <= more; i++) good = ((uint8_t)at[i] & 0xc0) == 0x80;
        if (!good) return error_at(c, (int)(at - c->text.data), error, "the file is not UTF-8");
        at += more;
    }
    return OK;
}

static const char *pipeline_name(Arena *arena, const char *file) {
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    size_t size = strlen(base);
    if (size > 4 && strcmp(base + size - 4, ".sql") == 0) size -= 4;
    return arena_text(arena, (Str){base, size});
}

static Catalog *catalog_new(const char *file, Str text) {
    Arena *arena = arena_new();
    Catalog *c = arena_zero(arena, sizeof *c);
    c->arena = arena;
    c->file = arena_text(arena, str_from(file));
    char *copy = arena_text(arena, text);
    if (text.size >= 3 && memcmp(copy, "\xef\xbb\xbf", 3) == 0)
        memset(copy, ' ', 3); /* a byte order mark */
    c->text = (Str){copy, text.size};
    c->settings = (Settings){
        .pipeline = pipeline_name(arena, c->file),
        .checkpoint_interval_us = 1000000,
        .keep_rejects = 100000,
        .outbox_limit = INT64_C(1) << 30,
    };
    return c;
}

static Status read_statement(Catalog *c, const NodeTree *node, int location, Error *error) {
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT: return read_create_table(c, node->create_stmt, error);
    case PG_QUERY__NODE__NODE_VIEW_STMT: return read_view(c, node->view_stmt, location, error);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        return read_materialized_view(c, node->create_table_as_stmt, location, error);
    case PG_QUERY__NODE__NODE_INSERT_STMT:
        return read_insert(c, node->insert_stmt, location, error);
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        return read_set(c, node->variable_set_stmt, location, error);
    default: return refuse_statement(c, node, location, error);
    }
}

/* Where a statement begins: its first token, not the blanks and comments before it. */
static int statement_begin(const Catalog *c, const PgQuery__RawStmt *statement) {
    const Trees *trees = trees_of(c);
    return trees->tokens[token_at(trees, statement->stmt_location)].start;
}

static Status make_room(Catalog *c, Error *error) {
    const PgQuery__ParseResult *result = trees_of(c)->result;
    if (result->n_stmts > STATEMENTS_MOST)
        return fail(error, "more than %d statements", STATEMENTS_MOST);
    int n = (int)result->n_stmts + 1;
    c->tables = arena_new_array(c->arena, Table, n);
    c->views = arena_new_array(c->arena, View, n);
    c->inserts = arena_new_array(c->arena, Insert, n);
    return OK;
}

static Status read_text(Catalog *c, Error *error) {
    if (c->text.size > TEXT_MOST_BYTES)
        return fail(error, "%s has more than %d bytes", c->file, TEXT_MOST_BYTES);
    Status status = check_encoding(c, error);
    if (status == OK) status = tree_parse(c, error);
    if (status == OK) status = make_room(c, error);
    return status;
}

Status catalog_parse(const char *file, Str text, Catalog **out, Error *error) {
    *error = (Error){0};
    Catalog *c = catalog_new(file, text);
    Status status = read_text(c, error);
    for (size_t i = 0; status == OK && i < trees_of(c)->result->n_stmts; i++) {
        const PgQuery__RawStmt *statement = trees_of(c)->result->stmts[i];
        status = read_statement(c, statement->stmt, statement_begin(c, statement), error);
    }
    if (status != OK) {
        catalog_free(&c);
        return status;
    }
    if (!c->settings.home)
        c->settings.home = arena_format(c->arena, "%s.leat", c->settings.pipeline);
    /* ":memory:" and "file:…" are no files to SQLite, and what is in memory is not kept. */
    const char *home = c->settings.home;
    if (*home == ':' || strncmp(home, "file:", 5) == 0)
        c->settings.home = arena_format(c->arena, "./%s", home);
    *out = c;
    return OK;
}

Status catalog_read(const char *file, Catalog **out, Error *error) {
    *error = (Error){0};
    FILE *stream = fopen(file, "re");
    if (!stream) return fail(error, "cannot read %s: %m", file);
    Buffer text = {0};
    size_t got = 1;
    while (got > 0 && text.size <= TEXT_MOST_BYTES) {
        char *to = buffer_reserve(&text, 65536);
        got = fread(to, 1, 65536, stream);
        text.size += got;
    }
    bool failed = ferror(stream) != 0;
    Status status = failed ? fail(error, "cannot read %s: %m", file) : OK;
    fclose(stream);
    if (status == OK) status = catalog_parse(file, buffer_str(&text), out, error);
    buffer_free(&text);
    return status;
}

void catalog_free(Catalog **catalog) {
    if (!*catalog) return;
    Trees *trees = (*catalog)->trees;
    trees_free(&trees);
    Arena *arena = (*catalog)->arena;
    *catalog = NULL;
    arena_free(&arena);
}

/* ---- names ---- */

static Status two_match(Error *error, const char *first, const char *second) {
    return fail(
        error,
        "\"%s\" and \"%s\" differ in case alone; write the one that is meant in double quotes",
        first, second);
}

Status catalog_find_table(Catalog *c, const char *name, bool quoted, Table **out, Error *error) {
    *out = NULL;
    for (int i = 0; i < c->table_count; i++) {
        if (!name_matches(name, quoted, c->tables[i].name)) continue;
        if (*out) return two_match(error, (*out)->name, c->tables[i].name);
        *out = &c->tables[i];
    }
    return OK;
}

Status catalog_find_view(Catalog *c, const char *name, bool quoted, View **out, Error *error) {
    *out = NULL;
    for (int i = 0; i < c->view_count; i++) {
        if (!name_matches(name, quoted, c->views[i].name)) continue;
        if (*out) return two_match(error, (*out)->name, c->views[i].name);
        *out = &c->views[i];
    }
    return OK;
}

/* ---- ad hoc ---- */

static Table *input_table(Catalog *c, const Schema *input, const Options *options) {
    Table *t = &c->tables[c->table_count++];
    *t = (Table){.name = "input",
                 .event_time = -1,
                 .idle_timeout_us = 10000000,
                 .max_future_us = INT64_MAX,
                 .column_count = input->count,
                 .options = *options,
                 .connector = connector_find("file")};
    t->format = format_find(option_text(options, "format", "json"));
    t->columns = arena_new_array(c->arena, TableColumn, input->count + 1);
    for (int i = 0; i < input->count; i++)
        t->columns[i] = (TableColumn){.name = arena_text(c->arena, str_from(input->fields[i].name)),
                                      .quoted = true,
                                      .type = input->fields[i].type,
                                      .not_null = input->fields[i].not_null};
    return t;
}

Status catalog_adhoc(Str select, const Schema *input, const Options *options, Catalog **out,
                     Error *error) {
    *error = (Error){0};
    Catalog *c = catalog_new("query", select);
    Status status = read_text(c, error);
    const PgQuery__ParseResult *result = status == OK ? trees_of(c)->result : NULL;
    if (status == OK && result->n_stmts != 1)
        status =
            fail_at(error, 1, 1, "one SELECT is expected, not %d statements", (int)result->n_stmts);
    if (status == OK && result->stmts[0]->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        status = fail_at(error, 1, 1,
                         "a SELECT is expected here; other statements stand in a pipeline file");
    if (status == OK) status = check_query_text(c, result->stmts[0]->stmt, error);
    if (status != OK) {
        catalog_free(&c);
        return status;
    }
    c->adhoc = result->stmts[0]->stmt->select_stmt;
    input_table(c, input, options);
    *out = c;
    return OK;
}

/* ---- messages ---- */

static void add_line_with_caret(Str text, const Error *error, Buffer *out) {
    const char *begin = text.data, *end = text.data + text.size;
    for (int line = 1; line < error->line; line++) {
        const char *newline = memchr(begin, '\n', (size_t)(end - begin));
        if (!newline) return;
        begin = newline + 1;
    }
    const char *stop = memchr(begin, '\n', (size_t)(end - begin));
    if (!stop) stop = end;
    if (stop > begin && stop[-1] == '\r') stop--;
    /* A long line is shown from some way before the place. */
    const char *from = begin, *at = begin;
    for (int column = 1; column < error->column && at < stop;) {
        at++;
        if (at == stop || ((uint8_t)*at & 0xc0) != 0x80) column++;
    }
    if (at - begin > 100) {
        from = at - 80;
        while (from < at && ((uint8_t)*from & 0xc0) == 0x80) from++;
    }
    const char *to = stop;
    if (to - from > 160) {
        to = from + 160;
        while (to < stop && ((uint8_t)*to & 0xc0) == 0x80) to++;
    }
    buffer_add_format(out, "\n  %s%.*s\n  %s", from > begin ? "…" : "", (int)(to - from), from,
                      from > begin ? " " : "");
    for (; from < at; from++)
        if (((uint8_t)*from & 0xc0) != 0x80) buffer_add_char(out, *from == '\t' ? '\t' : ' ');
    buffer_add_char(out, '^');
}

void catalog_error_text(const char *file, Str text, const Error *error, Buffer *out) {
    if (error->line > 0)
        buffer_add_format(out, "%s:%d:%d: error: %s", file, error->line, error->column,
                          error->text);
    else buffer_add_format(out, "%s: error: %s", file, error->text);
    if (error->line > 0 && text.size > 0) add_line_with_caret(text, error, out);
    buffer_add_char(out, '\n');
}
