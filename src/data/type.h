/* The SQL types and how their values lie in memory. There are only five physical forms, so that
 * operators and kernels stay few. */
#pragma once
#include "base/memory.h"

typedef enum TypeKind {
    TYPE_UNKNOWN, /* an untyped NULL or string literal before it is resolved; never in a batch */
    TYPE_BOOL,
    TYPE_INT2,
    TYPE_INT4,
    TYPE_INT8,
    TYPE_FLOAT4,
    TYPE_FLOAT8,
    TYPE_NUMERIC,
    TYPE_TEXT,
    TYPE_VARCHAR,
    TYPE_UUID,
    TYPE_DATE,        /* days since 1970-01-01 */
    TYPE_TIMESTAMP,   /* microseconds since 1970-01-01 00:00 without zone */
    TYPE_TIMESTAMPTZ, /* microseconds since 1970-01-01 00:00 UTC */
    TYPE_INTERVAL,
    TYPE_JSONB,
    TYPE_BYTEA,
    TYPE_TEXT_ARRAY, /* only as the result of regexp_match */
    TYPE_KINDS
} TypeKind;

typedef struct Type {
    TypeKind kind;
    /* varchar(n): n; numeric(p,s): p << 16 | s (s as 16 bits, two's complement); else -1. */
    int32_t modifier;
} Type;

typedef enum Physical {
    PHYSICAL_BOOL,  /* uint8_t 0 or 1 */
    PHYSICAL_INT,   /* int64_t: the integers, date, timestamp, timestamptz */
    PHYSICAL_FLOAT, /* double: float4 (already rounded to float) and float8 */
    /* Str: text, varchar, jsonb (its text), bytea (raw), uuid (16 raw bytes), numeric (see
     * data/numeric.h), text[] (see data/value.h) */
    PHYSICAL_STR,
    PHYSICAL_INTERVAL, /* Interval */
} Physical;

typedef struct Interval {
    int32_t months, days;
    int64_t us;
} Interval;

static inline Type type_of(TypeKind kind) { return (Type){kind, -1}; }
Physical type_physical(TypeKind);
size_t physical_size(Physical); /* bytes of one value in a column */
/* PostgreSQL's name for messages and `leat explain`: "double precision", "numeric(10,2)",
 * "character varying(5)". */
const char *type_name(Type, Arena *);
/* A name or alias as users write it, lower case, without modifier ("int8", "float", "decimal",
 * "timestamp with time zone", "bool", "character varying" …). TYPE_UNKNOWN: there is no such type.
 * libpg_query gives the pg_catalog names ("int4", "float8", "timestamptz", "bpchar"). */
TypeKind type_from_name(Str name);
bool type_is_number(TypeKind);
bool type_is_integer(TypeKind);
bool type_is_text(TypeKind); /* text, varchar */
