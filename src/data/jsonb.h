/* jsonb: in a column it is its JSON text as it came. Nothing here builds a tree: walkers step over
 * the text, and only comparing and printing bring it into PostgreSQL's normal form. Of equal keys
 * the first counts (PostgreSQL: the last). Every function takes any bytes; text that is not JSON
 * reads as "not there" or as false. Nesting deeper than JSONB_DEPTH is not JSON. All results that
 * are a Str are views into the text that was given. */
#pragma once
#include "base/memory.h"

enum { JSONB_DEPTH = 1000 };

typedef enum JsonbKind {
    JSONB_BAD, /* not a JSON value */
    JSONB_NULL,
    JSONB_STRING,
    JSONB_NUMBER,
    JSONB_FALSE,
    JSONB_TRUE,
    JSONB_ARRAY,
    JSONB_OBJECT,
} JsonbKind;

/* The whole text is one JSON value with nothing but blanks around it, by every rule of PostgreSQL's
 * jsonb input: UTF-8, numbers, literals, escapes (no \u0000, no lone surrogate), depth. */
bool jsonb_valid(Str json);
/* Looks at the first byte alone. */
JsonbKind jsonb_kind(Str json);
/* PostgreSQL's names: object, array, string, number, boolean, null; NULL for JSONB_BAD. */
const char *jsonb_typeof(Str json);
Str jsonb_trim(Str json); /* without the blanks around it */

/* The value under a key of an object; key is plain text, not escaped. false: no object, no such
 * key. */
bool jsonb_get_key(Str json, Str key, Str *value);
/* The item of an array, negative from the end; a scalar counts as an array of one. false: an
 * object, outside. */
bool jsonb_get_index(Str json, int64_t index, Str *value);
/* Steps as `#>` takes them: a key in an object; in an array a whole number. With no steps: the
 * value itself. */
bool jsonb_get_path(Str json, const Str *steps, int count, Str *value);
int64_t jsonb_array_length(Str json); /* -1: no array */

/* Visits an array's items or an object's members in the order of the text. */
typedef struct JsonbIterator {
    const char *at, *end;
    JsonbKind kind;
    bool first, bad; /* bad: the text ended or broke off; what came before was still right */
} JsonbIterator;
bool jsonb_iterate(JsonbIterator *, Str json); /* false: neither array nor object */
/* `key` (may be NULL) is the raw string literal with its quotes, empty for arrays;
 * jsonb_string_text unescapes it. Repeated keys are all visited. false: no more. */
bool jsonb_next(JsonbIterator *, Str *key, Str *value);

/* A string literal (with its quotes) as text. false: not a string, or it holds \u0000 or a lone
 * surrogate (what was added is taken back). */
bool jsonb_string_text(Str literal, Buffer *out);
/* The same without a copy where nothing is escaped; else the text is put into the arena. */
bool jsonb_string_view(Str literal, Str *text, Arena *);
/* What ->> and #>> give: strings unescaped, all else in normal form. AGAIN-free: OK; END for a JSON
 * null (SQL NULL); REJECT when it is not valid JSON. */
CHECKED Status jsonb_as_text(Str json, Buffer *out, Error *);
/* PostgreSQL's output of a jsonb: keys sorted by length, then bytes, once each; numbers as numeric
 * prints them; ", " and
 * ": ". false: not valid JSON (what was added is taken back). */
bool jsonb_normalize(Str json, Buffer *out);
/* PostgreSQL's btree order of jsonb: Object > Array > Boolean > Number > String > Null; and so on.
 * Equal means the same normal form, numbers by value. Text that is not JSON comes before all, in
 * bytewise order. */
int jsonb_compare(Str a, Str b);
/* Normal form for keys: as jsonb_normalize, numbers without trailing zeros behind the point, so
 * that equal values have equal bytes. Text that is not JSON is taken as its bytes. */
void jsonb_key(Str json, Buffer *out);
/* a @> b */
bool jsonb_contains(Str a, Str b);
/* a ? key: a key of an object, a string of an array, or the string itself. */
bool jsonb_exists(Str json, Str key);
