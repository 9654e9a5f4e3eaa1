/* Places and refusals. Whatever the grammar takes and Leat does not is refused by name, at its
 * place, with what to write instead; so that every such message reads alike they are all made here.
 */
#include "sql/tree.h"
#include <stdio.h>

/* Moves line and column over the bytes from `from` to `to`. */
static void step_place(const char *text, int from, int to, Place *place) {
    for (int i = from; i < to; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte == '\n') place->line++, place->column = 1;
        else if ((byte & 0xc0) != 0x80) place->column++;
    }
}

void places_read(Trees *trees, Arena *arena, int size) {
    trees->places = arena_new_array(arena, Place, size / PLACE_EVERY + 1);
    Place place = {1, 1};
    for (int i = 0; i <= size / PLACE_EVERY; i++) {
        trees->places[i] = place;
        int from = i * PLACE_EVERY, to = from + PLACE_EVERY < size ? from + PLACE_EVERY : size;
        step_place(trees->text, from, to, &place);
    }
}

void place_of(Catalog *c, int location, int *line, int *column) {
    *line = *column = 0;
    if (location < 0 || (size_t)location > c->text.size) return;
    const Trees *trees = c->trees;
    bool known = trees && trees->places;
    Place place = known ? trees->places[location / PLACE_EVERY] : (Place){1, 1};
    step_place(c->text.data, known ? location / PLACE_EVERY * PLACE_EVERY : 0, location, &place);
    *line = place.line;
    *column = place.column;
}

Status error_at(Catalog *c, int location, Error *error, const char *format, ...) {
    char text[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int line, column;
    place_of(c, location, &line, &column);
    return fail_at(error, line, column, "%s", text);
}

Status refuse(Catalog *c, int location, Error *error, const char *what, const char *remedy) {
    if (!remedy) return error_at(c, location, error, "%s is not supported", what);
    return error_at(c, location, error, "%s is not supported; %s", what, remedy);
}

void warn_at(Catalog *c, int location, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int line, column;
    place_of(c, location, &line, &column);
    warn(c, line, column, text);
}

void warn(Catalog *c, int line, int column, const char *text) {
    if (c->warning_count >= WARNINGS_MOST) return;
    char *warning = arena_format(c->arena, "%s:%d:%d: warning: %s", c->file, line, column, text);
    for (int i = 0; i < c->warning_count; i++)
        if (strcmp(c->warnings[i], warning) == 0)
            return; /* a view is bound once for each of its readers */
    char **warnings = arena_new_array(c->arena, char *, c->warning_count + 1);
    if (c->warning_count > 0)
        memcpy(warnings, c->warnings, sizeof *warnings * (size_t)c->warning_count);
    warnings[c->warning_count++] = warning;
    c->warnings = warnings;
}

bool name_matches(const char *wanted, bool quoted, const char *name) {
    return quoted ? strcmp(wanted, name) == 0 : str_equal_nocase(str_from(wanted), str_from(name));
}

const char *node_kind_name(const NodeTree *node) {
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SUB_LINK: return "a sub-query in an expression";
    case PG_QUERY__NODE__NODE_ROW_EXPR: return "a row of values";
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return "an array";
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return "COLLATE";
    case PG_QUERY__NODE__NODE_PARAM_REF: return "a parameter ($1)";
    case PG_QUERY__NODE__NODE_GROUPING_FUNC: return "GROUPING";
    case PG_QUERY__NODE__NODE_GROUPING_SET: return "GROUPING SETS, ROLLUP or CUBE";
    case PG_QUERY__NODE__NODE_XML_EXPR: return "XML";
    case PG_QUERY__NODE__NODE_XML_SERIALIZE: return "XML";
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR: return "CURRENT OF";
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT: return "DEFAULT";
    case PG_QUERY__NODE__NODE_NAMED_ARG_EXPR: return "a named argument";
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE: return "TABLESAMPLE";
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC: return "XMLTABLE";
    default: return "this construct";
    }
}
