/* Remedies for syntax errors. PostgreSQL's parser says where it stumbled; this table of small rules
 * looks at the words around that place and says what to write instead where people come from other
 * systems' dialects or miss a quote. */
#include "sql/tree.h"

typedef struct Rule {
    const char
        *before; /* words before the place, '|' between choices, blank between tokens; NULL: any */
    const char *at; /* the word at the place; NULL: any */
    const char *remedy;
} Rule;

/* The first that fits is told. */
static const Rule rules[] = {
    {"create", "stream|source|sink|external|connection|changefeed|topic|pipeline",
     "write CREATE TABLE name (columns) WITH (connector = '…', …): it is a source where it is "
     "read, a sink where it is written"},
    {"create or replace", "materialized|table",
     "leave OR REPLACE out: a changed query is met by leat run --reset NAME"},
    {NULL, "emit",
     "there is no EMIT: a materialized view shows groups as they grow unless CREATE MATERIALIZED "
     "VIEW v WITH (emit = 'final') AS …"},
    {"emit", NULL,
     "there is no EMIT: a materialized view shows groups as they grow unless CREATE MATERIALIZED "
     "VIEW v WITH (emit = 'final') AS …"},
    {"watermark", "for",
     "write WITH (event_time = 'column', watermark_delay = '3 seconds') behind the columns"},
    {"for", "system_time",
     "join a reference table by its PRIMARY KEY: FROM events e JOIN ref r ON r.key = e.key"},
    {NULL, "system_time",
     "join a reference table by its PRIMARY KEY: FROM events e JOIN ref r ON r.key = e.key"},
    {"window tumbling|hopping|session|sliding", "(",
     "windows are functions in FROM: tumble(t, time, INTERVAL '1 minute'), hop(…), session(…)"},
    {"timestamp", "by", "write event_time = 'column' among the table's options"},
    {"(", "table|descriptor", "give the table's name alone: tumble(t, time, INTERVAL '1 minute')"},
    {"table", "(", "windows are functions in FROM: FROM tumble(t, time, INTERVAL '1 minute')"},
    {NULL, "qualify", "filter in an outer SELECT"},
    {"qualify", NULL, "filter in an outer SELECT"},
    {NULL, "match_recognize", "pattern matching is not supported"},
    {"as", "struct|array|map", "a nested object is a jsonb column"},
    {NULL, "unsigned", "there are no unsigned types: take bigint or numeric"},
    {"primary key", "not", "leave NOT ENFORCED out"},
    {"not", "enforced", "leave NOT ENFORCED out"},
    {NULL, "describe|desc", "leat explain FILE.sql shows the plan"},
    {"show", NULL, "leat explain FILE.sql shows the plan"},
    {",", ")|from|where|group|order|having|;", "a comma too many?"},
    {NULL, "select|create|insert|set", "is a ; missing before it?"},
};

static bool one_of(const Trees *trees, int token, const char *choices) {
    char word[64];
    for (const char *at = choices; *at;) {
        size_t size = strcspn(at, "|");
        if (size < sizeof word) {
            memcpy(word, at, size);
            word[size] = 0;
            if (token_is(trees, token, word)) return true;
        }
        at += size + (at[size] == '|');
    }
    return false;
}

/* The tokens just before `at` are the words, the last one of them directly. */
static bool preceded_by(const Trees *trees, int at, const char *words) {
    char copy[128];
    size_t end = strlen(words);
    while (end > 0) {
        size_t begin = end;
        while (begin > 0 && words[begin - 1] != ' ') begin--;
        if (end - begin >= sizeof copy) return false;
        memcpy(copy, words + begin, end - begin);
        copy[end - begin] = 0;
        if (!one_of(trees, --at, copy)) return false;
        end = begin > 0 ? begin - 1 : 0;
    }
    return true;
}

static bool is_kind(const Trees *trees, int token, PgQuery__Token kind) {
    return token >= 0 && token < trees->token_count && trees->tokens[token].kind == kind;
}

static int statement_begin(const Trees *trees, int at) {
    int begin = at < trees->token_count ? at : trees->token_count;
    while (begin > 0 && !token_is(trees, begin - 1, ";")) begin--;
    return begin;
}

/* `time => t`: some words that are names elsewhere are none before an arrow. */
static bool names_argument(const Trees *trees, int at) {
    return token_is(trees, at + 1, "=>") || token_is(trees, at + 1, ":=");
}

/* Rules that look at the shape of tokens, not at words. */
static const char *remedy_by_shape(const Trees *trees, int at, Arena *arena) {
    for (int i = at - 2; i <= at; i++) {
        Str text = token_text(trees, i);
        if (memchr(text.data, '`', text.size))
            return "names are quoted with double quotes: \"name\"";
    }
    for (int i = at - 1; i <= at; i++)
        if (i >= 0 && names_argument(trees, i))
            return arena_format(arena, "write that argument's name in double quotes: \"%.*s\"",
                                STR_ARG(token_text(trees, i)));
    if (token_is(trees, at, "["))
        return "names are quoted with double quotes: \"name\"; a nested value is read by d.a.b or "
               "d -> 'a'";
    if (is_kind(trees, at, PG_QUERY__TOKEN__SCONST) &&
        (token_is(trees, at - 1, "(") || token_is(trees, at - 1, ",")) &&
        token_is(trees, at + 1, "="))
        return "option names are written without single quotes: connector = '…'";
    if (token_is(trees, at, ".") && token_is_name(trees, at - 1))
        return "an option name with dots is written in double quotes: \"bootstrap.servers\" = '…'";
    if (token_is(trees, at, "=") && token_is_name(trees, at - 1) && token_is(trees, at - 2, "."))
        return "an option name with dots is written in double quotes: \"bootstrap.servers\" = '…'";
    if (token_is(trees, at - 2, "interval") && is_kind(trees, at - 1, PG_QUERY__TOKEN__SCONST))
        return arena_format(arena, "write the unit inside the quotes: INTERVAL '%.*s %.*s'",
                            (int)token_text(trees, at - 1).size - 2,
                            token_text(trees, at - 1).data + 1, STR_ARG(token_text(trees, at)));
    if (token_is(trees, at - 1, "interval") && is_kind(trees, at, PG_QUERY__TOKEN__ICONST))
        return arena_format(arena, "write the number and its unit in quotes: INTERVAL '%.*s %.*s'",
                            STR_ARG(token_text(trees, at)), STR_ARG(token_text(trees, at + 1)));
    if (token_is(trees, at, "<") && one_of(trees, at - 1, "struct|array|map|row"))
        return "a nested object is a jsonb column";
    if (token_is(trees, at, "table") && token_is(trees, at + 1, "("))
        return "windows are functions in FROM: FROM tumble(t, time, INTERVAL '1 minute')";
    if (token_is(trees, at, "for") && token_is(trees, at + 1, "system_time"))
        return "join a reference table by its PRIMARY KEY: JOIN ref r ON r.key = e.key";
    int begin = statement_begin(trees, at);
    if (token_is(trees, begin, "create") && token_is(trees, begin + 1, "table") &&
        token_is(trees, begin + 3, "with"))
        return "a table needs its columns: CREATE TABLE name (column type, …) WITH (…)";
    for (int i = at; i > begin && i > at - 20; i--)
        if (one_of(trees, i, "try_cast|safe_cast") && token_is(trees, i + 1, "("))
            return "a value that does not cast makes its row a dead letter; write CASE WHEN x ~ "
                   "'^[0-9]+$' THEN x::int END";
    return NULL;
}

static bool is_reserved(const Trees *trees, int token) {
    return token >= 0 && token < trees->token_count &&
           (trees->tokens[token].keyword == PG_QUERY__KEYWORD_KIND__RESERVED_KEYWORD ||
            trees->tokens[token].keyword == PG_QUERY__KEYWORD_KIND__TYPE_FUNC_NAME_KEYWORD);
}

/* A reserved word where a name is wanted: right behind a comma, parenthesis, dot or SELECT, or
 * before one of their like. */
static const char *remedy_for_reserved(const Trees *trees, int at, Arena *arena) {
    int word = is_reserved(trees, at) ? at : is_reserved(trees, at - 1) ? at - 1 : -1;
    if (word < 0 || one_of(trees, word,
                           "select|from|where|group|having|union|create|with|order|on|join|and|or|"
                           "not|case|when|then|else|as|distinct|using|into|null|is|in|like"))
        return NULL;
    return arena_format(arena, "if %.*s is meant as a name, write it in double quotes: \"%.*s\"",
                        STR_ARG(token_text(trees, word)), STR_ARG(token_text(trees, word)));
}

/* SELEC: a word that is none, close to one that is. */
static const char *remedy_for_typo(const Trees *trees, int at, Arena *arena) {
    static const char *const words[] = {
        "select", "from",         "where",   "group",  "having",  "create",   "table",
        "view",   "materialized", "insert",  "into",   "with",    "distinct", "join",
        "left",   "union",        "primary", "values", "between", "interval", "generated",
        "always", "stored",       "order",   "limit"};
    for (int i = at; i >= at - 1 && i >= 0; i--) {
        if (!is_kind(trees, i, PG_QUERY__TOKEN__IDENT) || token_text(trees, i).data[0] == '"')
            continue;
        const char *word = arena_text(arena, token_text(trees, i));
        char lower[64];
        size_t size = strlen(word);
        if (size < 4 || size >= sizeof lower) continue;
        for (size_t k = 0; k <= size; k++)
            lower[k] = (char)(word[k] >= 'A' && word[k] <= 'Z' ? word[k] + 'a' - 'A' : word[k]);
        const char *closest = closest_name(lower, words, sizeof words / sizeof *words);
        if (closest) return arena_format(arena, "did you mean %s instead of %s?", closest, word);
    }
    return NULL;
}

/* What can be said of any text: parentheses, or where it broke off. */
static const char *remedy_of_last_resort(const Trees *trees, int at, Arena *arena) {
    int depth = 0;
    for (int i = statement_begin(trees, at); i < at && i < trees->token_count; i++)
        depth += token_is(trees, i, "(") - token_is(trees, i, ")");
    if (token_is(trees, at, ")") && depth == 0) return "there is no ( for this )";
    bool at_end = at >= trees->token_count || token_is(trees, at, ";");
    if (at_end && depth > 0) return "a ) is missing before it";
    if (at_end) return "the statement is not finished";
    if (at > 0)
        return arena_format(arena, "look at what stands before it: %.*s",
                            STR_ARG(token_text(trees, at - 1)));
    return "a statement begins with CREATE, INSERT or SET";
}

const char *syntax_remedy(const Trees *trees, int at, bool stumbled, Arena *arena) {
    if (at > 0 && token_is(trees, at, "(") && preceded_by(trees, at, "from|join|,"))
        return "give the sub-select a name: (SELECT …) AS q";
    const char *remedy = remedy_by_shape(trees, at, arena);
    if (remedy) return remedy;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const Rule *r = &rules[i];
        if (r->before && !preceded_by(trees, at, r->before)) continue;
        if (r->at && !one_of(trees, at, r->at)) continue;
        return r->remedy;
    }
    remedy = remedy_for_reserved(trees, at, arena);
    if (!remedy) remedy = remedy_for_typo(trees, at, arena);
    return remedy || !stumbled ? remedy : remedy_of_last_resort(trees, at, arena);
}
