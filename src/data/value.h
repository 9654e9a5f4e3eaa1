/* One value by itself, and the ways every value is read from text, written as text, JSON or SQLite
 * value, compared and encoded as a key. This is the only place that knows how values look from
 * outside. */
#pragma once
#include "data/batch.h"

typedef struct Value {
    Type type;
    bool null;
    union {
        bool boolean;
        int64_t integer;
        double real;
        Str str;
        Interval interval;
    };
} Value;

Value column_value(const Column *, int row); /* a view; VALUE_ERROR reads as NULL */
/* For columns just made by column_new; copies nothing. */
void column_set(Column *, int row, Value, Arena *);
Value value_copy(Value, Arena *); /* strings copied */

/* Text input as PostgreSQL's input functions take it ('1e3'::float8, ' 42 '::int, 't'::bool,
 * timestamps in RFC 3339 and PostgreSQL's own forms, '2 seconds'::interval …). Checks the modifier
 * (varchar length: cast truncates only blanks, as assignment; numeric rounds to scale). REJECT with
 * PostgreSQL's own message. */
CHECKED Status value_parse(Type, Str text, Value *out, Arena *, Error *);
/* Text output as PostgreSQL's output functions with TimeZone UTC, DateStyle ISO, IntervalStyle
 * postgres: what ::text gives. */
void value_text(Value, Buffer *out);
/* As LANGUAGE.md wants it in JSON: numbers in the shortest form that reads back the same,
 * timestamptz as RFC 3339 with Z, NULL as null, jsonb as its bytes, non-finite doubles, interval,
 * bytea, uuid … as strings. */
void value_json(Value, Buffer *out);
void json_string(Str, Buffer *out); /* quoted and escaped; bytes that are not UTF-8 become U+FFFD */
/* PostgreSQL's shortest form: 0.1, 1e+20, NaN, Infinity. */
void double_text(double, Buffer *out);
void float4_text(double, Buffer *out);         /* the same for real */
CHECKED Status double_parse(Str, double *out); /* all of the text must be a number; REJECT */

/* <0, 0, >0 as PostgreSQL's btree order of that type (NaN greatest, numeric by value, jsonb by
 * PostgreSQL's jsonb order, text bytewise, interval with 30-day months). Neither is NULL. */
int value_compare(Value, Value);

/* The encoding of a group key or join key: equal values (SQL's "not distinct") give equal bytes,
 * NULL included, -0 = 0, numeric 1.0 = 1.00, jsonb by normal form. Self-delimiting, so keys of
 * several columns are simply concatenated. key_decode gives the value back (numeric in its shortest
 * scale unless the type's modifier says a scale; jsonb in normal form). */
void key_encode(const Column *, int row, Buffer *out);
Value key_decode(Type, Reader *, Arena *);
/* Values as stored in state, outbox, views: exact, with NULL. */
void value_encode(Value, Buffer *out);
Value value_decode(Type, Reader *, Arena *); /* strings are views into the reader's bytes */

/* text[]: count, then each item as (null flag, sized bytes). */
void text_array_begin(Buffer *out, int count);
void text_array_add(Buffer *out, bool null, Str item);
int text_array_count(Str array);
bool text_array_get(Str array, int index, Str *item); /* 0-based; false: NULL or outside */
