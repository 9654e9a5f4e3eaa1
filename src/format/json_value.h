/* One JSON value as text -> a column. */
#pragma once
#include "format/rows.h"

/* By JSON's grammar: value = digits * 10^exponent. */
typedef struct JsonNumber {
    uint64_t digits;
    int64_t exponent;
    bool negative;
    bool rounded; /* digits beyond the 19th, not all zero, were left out */
} JsonNumber;

bool json_number_scan(Str token, JsonNumber *out);
CHECKED bool json_number_double(Str token, const JsonNumber *,
                                double *out); /* false: out of range */

/* Without its quotes. NULL: done; else what is wrong. What holds no escape is given back as it is.
 */
const char *json_string_decode(Str inside, Str *out, Arena *);

/* What a scalar (null, true, a number, a string literal) has wrong; NULL: it is right, by every
 * rule of jsonb. */
const char *json_scalar_problem(Str token);
const char *json_kind_name(Str value); /* "string", …; what is no JSON: "nonsense" */

/* A whole value, without blanks around it. Containers must have been checked before. false: the
 * record is bad. */
CHECKED bool json_set_field(Rows *, Slot *, Str value);
void json_set_path(Rows *, Slot *, Str value);

/* The text of a csv cell or of a JSON string as a value of the slot's type. */
CHECKED bool set_from_text(Rows *, Slot *, Str text);
