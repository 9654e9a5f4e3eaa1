/* libpg_query's tree and the text it came from: what the files of this folder share. The tree folds
 * names and forgets how they were spelled; names.c finds the spelling in the scanner's tokens by
 * byte position. Nothing outside of sql/ includes this. */
#pragma once
#include "sql/bind.h"
#include <pg_query/pg_query.pb-c.h>

typedef struct Token {
    int start, end; /* bytes of the text */
    PgQuery__Token kind;
    PgQuery__KeywordKind keyword;
} Token;

typedef struct Place {
    int line, column;
} Place;

typedef struct Trees {
    PgQuery__ParseResult *result;
    char *text;    /* zero-terminated, as long as Catalog.text */
    Token *tokens; /* comments left out; ends with one of kind NUL at the end of the text */
    int token_count;
    Place *places; /* of every PLACE_EVERY-th byte: each node asks for its place */
} Trees;

enum {
    TEXT_MOST_BYTES = 4 << 20,     /* of a pipeline file */
    STATEMENT_MOST_TOKENS = 50000, /* bounds the parser's stack */
    TREE_MOST_DEPTH = 500,         /* nested expressions; bounds the stack of what is behind it */
    PLACE_EVERY = 256,
    WARNINGS_MOST = 100,
};

/* Scans and parses catalog->text into catalog->trees. */
CHECKED Status tree_parse(Catalog *, Error *);
void trees_free(Trees **);
void places_read(Trees *, Arena *, int size);
/* The remedy for the parser's error, or NULL: in `arena`. `at`: index of the token that it is
 * about; stumbled: the parser knows no more than that it did not go on there. */
const char *syntax_remedy(const Trees *, int at, bool stumbled, Arena *arena);

static inline const Trees *trees_of(const Catalog *c) { return c->trees; }

/* ---- tokens and spelling (names.c) ---- */

CHECKED Status tokens_read(Trees *, Error *);
int token_at(const Trees *, int location); /* the first token that starts at or behind this byte */
Str token_text(const Trees *, int token);
/* Whether it is this word or sign, without regard to case; false outside of the text. */
bool token_is(const Trees *, int token, const char *word);
bool token_is_name(const Trees *, int token);
/* The name that the token spells: quotes taken off. */
const char *token_name(Catalog *, int token, bool *quoted);
/* The spelling of a name that was folded to `folded`: the first such token at or behind `location`.
 * Without one (the tree was not made from the text there) the folded form. */
const char *spelling_of(Catalog *, int location, const char *folded, bool *quoted);
/* A column reference's parts as spelled, `*` as NULL name; returns how many. */
typedef struct NamePart {
    const char *name;
    bool quoted;
} NamePart;
enum { NAME_PARTS_MOST = 32 };
int column_ref_parts(Catalog *, const PgQuery__ColumnRef *, NamePart parts[NAME_PARTS_MOST]);
/* Alias of an item of a SELECT list; NULL when it has none. */
const char *target_alias(Catalog *, const PgQuery__ResTarget *, bool *quoted);
/* Alias of an item of FROM, and its column aliases (NULL when there are none). `name` is NULL
 * without an alias. */
typedef struct AliasSpelling {
    const char *name;
    bool quoted;
    const char **columns;
    int column_count;
} AliasSpelling;
AliasSpelling from_alias(Catalog *, NodeTree *from_item);
/* `count` names in parentheses, the first "(" at or behind `token`: CREATE VIEW v (a, b), PRIMARY
 * KEY (a, b). */
const char **names_in_parentheses(Catalog *, int token, int count, bool **quoted);

/* ---- places and refusals (walk.c, refuse.c) ---- */

/* Where a node begins in the text for messages (PostgreSQL's place: of a binary operator the
 * operator), -1: nowhere. */
int node_location(const NodeTree *);
int own_location(const ProtobufCMessage *); /* its own field, -1: none */
int tree_begin(const ProtobufCMessage *);   /* the least location anywhere in it, -1: none */
CHECKED Status error_at(Catalog *, int location, Error *, const char *format, ...) PRINTF(4, 5);
/* "NAME is not supported; REMEDY" at that place. remedy may be NULL. */
CHECKED Status refuse(Catalog *, int location, Error *, const char *what, const char *remedy);
void warn(Catalog *, int line, int column, const char *text);
void warn_at(Catalog *, int location, const char *format, ...) PRINTF(3, 4);
/* Visits the messages directly inside; ends early, giving false, when a visit gives false. */
bool each_child(const ProtobufCMessage *, bool (*visit)(const ProtobufCMessage *, void *),
                void *context);
const char *node_kind_name(const NodeTree *); /* "a sub-query", "an array", … for refusals */
/* Same name by LANGUAGE.md 1: a quoted one exactly, others without regard to case. */
bool name_matches(const char *wanted, bool quoted, const char *name);

/* ---- pieces of statements ---- */

CHECKED Status bind_type_name(Catalog *, const PgQuery__TypeName *, Type *out, Error *);
/* The name of a table or view to be made: checked to be new and plain. */
CHECKED Status new_relation(Catalog *, const PgQuery__RangeVar *, const char **name, bool *quoted,
                            Error *);
/* A column that an option names in its text. */
CHECKED Status table_find_column(Catalog *, const Table *, const char *name, int location, int *out,
                                 Error *);
CHECKED Status read_create_table(Catalog *, const PgQuery__CreateStmt *, Error *);
CHECKED Status read_table_options(Catalog *, Table *, PgQuery__Node **options, size_t count,
                                  Error *);
CHECKED Status read_set(Catalog *, const PgQuery__VariableSetStmt *, int location, Error *);
CHECKED Status read_view(Catalog *, const PgQuery__ViewStmt *, int location, Error *);
CHECKED Status read_materialized_view(Catalog *, const PgQuery__CreateTableAsStmt *, int location,
                                      Error *);
CHECKED Status read_insert(Catalog *, const PgQuery__InsertStmt *, int location, Error *);
CHECKED Status refuse_statement(Catalog *, const NodeTree *, int location, Error *);
/* A query's own checks that need no names: locking, INTO, VALUES … and the traps. */
CHECKED Status check_query_text(Catalog *, const NodeTree *query, Error *);
/* The text of an option's or setting's value, ${} not yet replaced. NULL and error when it is no
 * single value. */
CHECKED Status definition_text(Catalog *, const PgQuery__DefElem *, const char **text, Error *);
int definition_value_location(Catalog *, const PgQuery__DefElem *);
/* Replaces ${NAME}, ${NAME:-default}, ${file:PATH}; $${ stands for ${. */
CHECKED Status replace_variables(Catalog *, int location, const char *text, const char **out,
                                 Error *);
/* An interval as options and settings take it: '1 second', '500ms', '1 day'. */
CHECKED Status parse_duration(const char *text, int64_t *us, Error *);

static inline const char *string_of(const PgQuery__Node *node) {
    return node && node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval : NULL;
}
