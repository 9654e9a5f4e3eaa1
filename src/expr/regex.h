/* PostgreSQL's regular expressions (AREs) by PCRE2: translated pattern, compiled once, matched
 * within limits. */
#pragma once
#include "base/memory.h"

typedef struct Regex Regex;
typedef struct Matcher Matcher;

enum {                         /* what PostgreSQL's flag letters ask for */
       REGEX_FOLD = 1,         /* i */
       REGEX_GLOBAL = 2,       /* g */
       REGEX_DOT_STOPS = 4,    /* p, n: . and [^…] do not match a newline */
       REGEX_LINE_ANCHORS = 8, /* w, n: ^ and $ match at lines */
       REGEX_EXPANDED = 16,    /* x */
       REGEX_LITERAL = 32,     /* q */
};

/* Adds the flags that the letters stand for to *options. */
CHECKED Status regex_options(Str letters, int *options, Error *);
/* In `arena`, compiled to machine code where that is possible; without an arena for a few uses, to
 * be freed. */
CHECKED Status regex_new(Str pattern, int options, Regex **, Arena *, Error *);
void regex_free(Regex **); /* of one made without an arena */
int regex_groups(const Regex *);

Matcher *matcher_new(void); /* the scratch memory of matching: one for each kernel call */
void matcher_free(Matcher **);
/* Searches from byte `start` on: OK: found; END: not found; REJECT: gave up, or the text is not
 * UTF-8. */
CHECKED Status regex_match(const Regex *, Matcher *, Str text, size_t start, Error *);
/* After OK: where group `index` (0: all) matched; false: it took no part. */
bool matcher_group(const Matcher *, int index, size_t *begin, size_t *end);
