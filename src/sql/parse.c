/* From text to libpg_query's tree. The parser, and protobuf's unpacking behind it, recurse once for
 * each level of nesting, and `1+1+1…` nests as deep as it is long; so they run on a thread of their
 * own with a large stack, statements are limited in tokens, and what is nested deeper than
 * TREE_MOST_DEPTH is refused there. Everything behind this file can walk the tree on an ordinary
 * stack. */
#include "sql/tree.h"
#include <pg_query.h>
#include <pthread.h>
#include <stdlib.h>

enum { PARSER_STACK_BYTES = 256 << 20 };

typedef struct Parsing {
    Trees *trees;
    char *message; /* PostgreSQL's, owned */
    int cursor;    /* character where it stumbled, from 1; 0: nowhere */
    bool too_deep;
    int deep_at; /* byte */
} Parsing;

typedef struct Depth {
    int left; /* in messages; an expression costs two a level (Node and its kind) */
    int at;   /* the deepest place known */
} Depth;

static bool go_down(const ProtobufCMessage *message, void *context) {
    Depth *depth = context;
    int own = own_location(message);
    if (own >= 0) depth->at = own;
    if (--depth->left < 0) return false;
    bool whole = each_child(message, go_down, depth);
    depth->left++;
    return whole;
}

static void *parse_on_large_stack(void *context) {
    Parsing *p = context;
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(p->trees->text);
    if (result.error) {
        p->message = xstrdup(result.error->message);
        p->cursor = result.error->cursorpos;
    } else {
        p->trees->result = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                                          (const uint8_t *)result.parse_tree.data);
        if (!p->trees->result) p->message = xstrdup("the parser's answer cannot be read");
        Depth depth = {2 * TREE_MOST_DEPTH, -1};
        if (p->trees->result && !go_down(&p->trees->result->base, &depth)) {
            p->too_deep = true;
            p->deep_at = depth.at;
            pg_query__parse_result__free_unpacked(p->trees->result, NULL);
            p->trees->result = NULL;
        }
    }
    pg_query_free_protobuf_parse_result(result);
    return NULL;
}

static Status run_parser(Parsing *p, Error *error) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PARSER_STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, parse_on_large_stack, p);
    pthread_attr_destroy(&attributes);
    if (failed) return fail(error, "cannot start the parser: %s", strerror(failed));
    pthread_join(thread, NULL);
    return OK;
}

static int byte_of_character(const char *text, int character) {
    int at = 0;
    for (int seen = 1; text[at]; at++) {
        if (((uint8_t)text[at] & 0xc0) == 0x80) continue;
        if (seen++ == character) break;
    }
    return at;
}

static Status check_statement_sizes(Catalog *c, const Trees *trees, Error *error) {
    int begin = 0;
    for (int i = 0; i < trees->token_count; i++) {
        if (token_is(trees, i, ";")) begin = i + 1;
        else if (i - begin > STATEMENT_MOST_TOKENS)
            return error_at(c, trees->tokens[begin].start, error,
                            "a statement of more than %d words and signs is too long; split it",
                            STATEMENT_MOST_TOKENS);
    }
    return OK;
}

static Status syntax_error(Catalog *c, const Trees *trees, const Parsing *p, Error *error) {
    int location = p->cursor > 0 ? byte_of_character(trees->text, p->cursor) : (int)c->text.size;
    bool stumbled = strncmp(p->message, "syntax error", 12) == 0; /* others say what is wrong */
    const char *remedy = syntax_remedy(trees, token_at(trees, location), stumbled, c->arena);
    if (strncmp(p->message, "memory exhausted", 16) == 0)
        return error_at(c, location, error, "nested too deeply; split it with WITH or a view");
    if (!remedy) return error_at(c, location, error, "%s", p->message);
    return error_at(c, location, error, "%s; %s", p->message, remedy);
}

Status tree_parse(Catalog *c, Error *error) {
    Trees *trees = xcalloc(1, sizeof *trees);
    c->trees = trees;
    trees->text = arena_text(c->arena, c->text);
    places_read(trees, c->arena, (int)c->text.size);
    if (tokens_read(trees, error) != OK) {
        int location = error->column > 0 ? byte_of_character(trees->text, error->column) : -1;
        Error copy = *error;
        bool open = strncmp(copy.text, "unterminated", 12) == 0;
        return error_at(c, location, error, "%s%s", copy.text,
                        open ? "; its closing quote is missing" : "");
    }
    Status status = check_statement_sizes(c, trees, error);
    if (status != OK) return status;
    Parsing p = {.trees = trees, .deep_at = -1};
    status = run_parser(&p, error);
    if (status == OK && p.message) status = syntax_error(c, trees, &p, error);
    if (status == OK && p.too_deep)
        status = error_at(c, p.deep_at, error,
                          "nested more than %d levels deep; split it with WITH or a view",
                          TREE_MOST_DEPTH);
    free(p.message);
    return status;
}

void trees_free(Trees **trees) {
    if (!*trees) return;
    if ((*trees)->result) pg_query__parse_result__free_unpacked((*trees)->result, NULL);
    free((*trees)->tokens);
    free(*trees);
    *trees = NULL;
}
