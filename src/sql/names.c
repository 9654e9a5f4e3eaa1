/* Names as they were written. The grammar folds unquoted names to lower case and forgets quotes;
 * Leat gives every name its declared spelling where it leaves, so this file scans the text once
 * more and looks names up in the tokens, by the byte positions that the tree carries. Aliases carry
 * none: they are found from the place of what they stand behind. */
#include "sql/tree.h"
#include <ctype.h>
#include <pg_query.h>
#include <stdlib.h>

enum { NAME_MOST_BYTES = 63 }; /* PostgreSQL cuts longer ones; here nothing is cut silently */

static bool is_comment(PgQuery__Token kind) {
    return kind == PG_QUERY__TOKEN__SQL_COMMENT || kind == PG_QUERY__TOKEN__C_COMMENT;
}

static Status take_tokens(Trees *trees, const PgQueryProtobuf *from, Error *error) {
    PgQuery__ScanResult *scan =
        pg_query__scan_result__unpack(NULL, from->len, (const uint8_t *)from->data);
    if (!scan) return fail(error, "the scanner's answer cannot be read");
    trees->tokens = xcalloc(scan->n_tokens + 1, sizeof *trees->tokens);
    for (size_t i = 0; i < scan->n_tokens; i++) {
        const PgQuery__ScanToken *t = scan->tokens[i];
        if (!is_comment(t->token))
            trees->tokens[trees->token_count++] =
                (Token){t->start, t->end, t->token, t->keyword_kind};
    }
    int end = (int)strlen(trees->text);
    trees->tokens[trees->token_count] =
        (Token){end, end, PG_QUERY__TOKEN__NUL, PG_QUERY__KEYWORD_KIND__NO_KEYWORD};
    pg_query__scan_result__free_unpacked(scan, NULL);
    return OK;
}

/* On failure error->column is the character of the whole text, counted from 1. */
Status tokens_read(Trees *trees, Error *error) {
    PgQueryScanResult scan = pg_query_scan(trees->text);
    Status status;
    if (scan.error) {
        status = fail(error, "%s", scan.error->message);
        error->column = scan.error->cursorpos;
    } else {
        status = take_tokens(trees, &scan.pbuf, error);
    }
    pg_query_free_scan_result(scan);
    for (int i = 0; status == OK && i < trees->token_count; i++) {
        const Token *t = &trees->tokens[i];
        bool is_name = t->kind == PG_QUERY__TOKEN__IDENT || t->kind == PG_QUERY__TOKEN__UIDENT;
        if (is_name && t->end - t->start > NAME_MOST_BYTES + 2)
            status = fail(error, "a name of more than %d bytes is too long", NAME_MOST_BYTES);
        else if (t->kind == PG_QUERY__TOKEN__UIDENT)
            status = fail(error, "names as U&\"…\" are not supported; write the characters "
                                 "themselves in double quotes");
        if (status != OK)
            for (int k = error->column = 0; k <= t->start; k++)
                error->column += ((uint8_t)trees->text[k] & 0xc0) != 0x80;
    }
    return status;
}

int token_at(const Trees *trees, int location) {
    int low = 0, high = trees->token_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (trees->tokens[middle].start < location) low = middle + 1;
        else high = middle;
    }
    return low;
}

Str token_text(const Trees *trees, int token) {
    if (token < 0 || token >= trees->token_count) return (Str){"", 0};
    const Token *t = &trees->tokens[token];
    return (Str){trees->text + t->start, (size_t)(t->end - t->start)};
}

bool token_is(const Trees *trees, int token, const char *word) {
    return token >= 0 && token < trees->token_count &&
           str_equal_nocase(token_text(trees, token), str_from(word));
}

bool token_is_name(const Trees *trees, int token) {
    if (token < 0 || token >= trees->token_count) return false;
    const Token *t = &trees->tokens[token];
    return t->kind == PG_QUERY__TOKEN__IDENT || t->keyword != PG_QUERY__KEYWORD_KIND__NO_KEYWORD;
}

const char *token_name(Catalog *c, int token, bool *quoted) {
    Str text = token_text(trees_of(c), token);
    bool in_quotes = text.size >= 2 && text.data[0] == '"';
    if (quoted) *quoted = in_quotes;
    if (!in_quotes) return arena_text(c->arena, text);
    char *name = arena_alloc(c->arena, text.size);
    size_t size = 0;
    for (size_t i = 1; i + 1 < text.size; i++) {
        name[size++] = text.data[i];
        if (text.data[i] == '"') i++; /* doubled */
    }
    name[size] = 0;
    return name;
}

/* Whether the token spells a name that the parser folded to `folded`. */
static bool spells(Catalog *c, int token, const char *folded) {
    const Trees *trees = trees_of(c);
    if (!token_is_name(trees, token)) return false;
    Str text = token_text(trees, token);
    if (text.data[0] == '"') return strcmp(token_name(c, token, NULL), folded) == 0;
    return str_equal_nocase(text, str_from(folded));
}

const char *spelling_of(Catalog *c, int location, const char *folded, bool *quoted) {
    const Trees *trees = trees_of(c);
    for (int i = token_at(trees, location); i < trees->token_count && !token_is(trees, i, ";"); i++)
        if (spells(c, i, folded)) return token_name(c, i, quoted);
    if (quoted) *quoted = false;
    return folded;
}

int column_ref_parts(Catalog *c, const PgQuery__ColumnRef *ref, NamePart parts[NAME_PARTS_MOST]) {
    int token = token_at(trees_of(c), ref->location), count = 0;
    for (size_t i = 0; i < ref->n_fields && count < NAME_PARTS_MOST; i++) {
        const char *folded = string_of(ref->fields[i]);
        NamePart *part = &parts[count++];
        *part = (NamePart){folded, false};
        if (folded && spells(c, token, folded)) part->name = token_name(c, token, &part->quoted);
        token += 2; /* over the name and its dot */
    }
    return count;
}

/* ---- aliases ---- */

static int step_depth(const Trees *trees, int token) {
    if (token_is(trees, token, "(") || token_is(trees, token, "[")) return 1;
    return token_is(trees, token, ")") || token_is(trees, token, "]") ? -1 : 0;
}

/* Whether this token ends a SELECT list. FROM also stands in IS DISTINCT FROM, WITH in "with time
 * zone", GROUP in WITHIN GROUP. */
static bool ends_target(const Trees *trees, int token) {
    static const char *const words[] = {",",      ";",         "from",   "into",   "where",
                                        "group",  "having",    "window", "union",  "intersect",
                                        "except", "order",     "limit",  "offset", "fetch",
                                        "for",    "returning", "on",     "with"};
    Str text = token_text(trees, token);
    if (text.size > 0 && text.data[0] == '"') return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!token_is(trees, token, words[i])) continue;
        if (token_is(trees, token - 1, "as") || token_is(trees, token - 1, ".")) return false;
        if (token_is(trees, token, "from")) return !token_is(trees, token - 1, "distinct");
        if (token_is(trees, token, "with")) return !token_is(trees, token + 1, "time");
        if (token_is(trees, token, "group")) return !token_is(trees, token - 1, "within");
        return true;
    }
    return false;
}

const char *target_alias(Catalog *c, const PgQuery__ResTarget *target, bool *quoted) {
    *quoted = false;
    if (!target->name || !*target->name) return NULL;
    const Trees *trees = trees_of(c);
    int found = -1, depth = 0;
    for (int i = token_at(trees, target->location); i < trees->token_count; i++) {
        if (depth == 0 && ends_target(trees, i)) break;
        depth += step_depth(trees, i);
        if (depth < 0) break;
        if (depth == 0 && spells(c, i, target->name)) found = i;
    }
    return found < 0 ? target->name : token_name(c, found, quoted);
}

const char **names_in_parentheses(Catalog *c, int token, int count, bool **quoted) {
    const Trees *trees = trees_of(c);
    const char **names = arena_new_array(c->arena, const char *, count + 1);
    if (quoted) *quoted = arena_new_array(c->arena, bool, count + 1);
    while (token < trees->token_count && !token_is(trees, token, "(")) token++;
    for (int i = 0; i < count; i++)
        names[i] = token_name(c, token + 1 + 2 * i, quoted ? &(*quoted)[i] : NULL);
    return names;
}

static const PgQuery__Alias *alias_node(const NodeTree *item) {
    switch (item->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: return item->range_var->alias;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: return item->range_subselect->alias;
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION: return item->range_function->alias;
    case PG_QUERY__NODE__NODE_JOIN_EXPR: return item->join_expr->alias;
    default: return NULL;
    }
}

/* The alias stands behind the item: behind a table's name (which may be spelled alike), a
 * parenthesis or AS. */
static int alias_token(Catalog *c, NodeTree *item, const char *folded) {
    const Trees *trees = trees_of(c);
    int begin = item->node_case == PG_QUERY__NODE__NODE_RANGE_VAR ? item->range_var->location
                                                                  : tree_begin(&item->base);
    int i = token_at(trees, begin);
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
        i++;
        while (token_is(trees, i, ".")) i += 2;
        while (i < trees->token_count && (token_is(trees, i, "*") || token_is(trees, i, "as"))) i++;
        return spells(c, i, folded) ? i : -1;
    }
    for (; i < trees->token_count && !token_is(trees, i, ";"); i++) {
        bool behind = token_is(trees, i - 1, ")") ||
                      (token_is(trees, i - 1, "as") && token_is(trees, i - 2, ")"));
        if (behind && spells(c, i, folded)) return i;
    }
    return -1;
}

AliasSpelling from_alias(Catalog *c, NodeTree *item) {
    AliasSpelling out = {0};
    const PgQuery__Alias *alias = alias_node(item);
    if (!alias || !alias->aliasname || !*alias->aliasname) return out;
    int token = alias_token(c, item, alias->aliasname);
    out.name = token < 0 ? alias->aliasname : token_name(c, token, &out.quoted);
    out.column_count = (int)alias->n_colnames;
    if (out.column_count == 0) return out;
    if (token >= 0) {
        out.columns = names_in_parentheses(c, token, out.column_count, NULL);
        return out;
    }
    out.columns = arena_new_array(c->arena, const char *, out.column_count);
    for (int i = 0; i < out.column_count; i++) out.columns[i] = string_of(alias->colnames[i]);
    return out;
}
