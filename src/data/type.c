/* Names of types: one table from PostgreSQL's names and aliases, those that users write and those
 * that libpg_query puts in their place. */
#include "data/type.h"
#include <assert.h>

typedef struct TypeRow {
    const char *name;
    Physical physical;
} TypeRow;

static const TypeRow rows[TYPE_KINDS] = {
    [TYPE_UNKNOWN] = {"unknown", PHYSICAL_STR},
    [TYPE_BOOL] = {"boolean", PHYSICAL_BOOL},
    [TYPE_INT2] = {"smallint", PHYSICAL_INT},
    [TYPE_INT4] = {"integer", PHYSICAL_INT},
    [TYPE_INT8] = {"bigint", PHYSICAL_INT},
    [TYPE_FLOAT4] = {"real", PHYSICAL_FLOAT},
    [TYPE_FLOAT8] = {"double precision", PHYSICAL_FLOAT},
    [TYPE_NUMERIC] = {"numeric", PHYSICAL_STR},
    [TYPE_TEXT] = {"text", PHYSICAL_STR},
    [TYPE_VARCHAR] = {"character varying", PHYSICAL_STR},
    [TYPE_UUID] = {"uuid", PHYSICAL_STR},
    [TYPE_DATE] = {"date", PHYSICAL_INT},
    [TYPE_TIMESTAMP] = {"timestamp without time zone", PHYSICAL_INT},
    [TYPE_TIMESTAMPTZ] = {"timestamp with time zone", PHYSICAL_INT},
    [TYPE_INTERVAL] = {"interval", PHYSICAL_INTERVAL},
    [TYPE_JSONB] = {"jsonb", PHYSICAL_STR},
    [TYPE_BYTEA] = {"bytea", PHYSICAL_STR},
    [TYPE_TEXT_ARRAY] = {"text[]", PHYSICAL_STR},
};

static const struct {
    const char *name;
    TypeKind kind;
} names[] = {
    {"boolean", TYPE_BOOL},
    {"bool", TYPE_BOOL},
    {"smallint", TYPE_INT2},
    {"int2", TYPE_INT2},
    {"integer", TYPE_INT4},
    {"int", TYPE_INT4},
    {"int4", TYPE_INT4},
    {"bigint", TYPE_INT8},
    {"int8", TYPE_INT8},
    {"real", TYPE_FLOAT4},
    {"float4", TYPE_FLOAT4},
    {"double precision", TYPE_FLOAT8},
    {"float", TYPE_FLOAT8},
    {"float8", TYPE_FLOAT8},
    {"numeric", TYPE_NUMERIC},
    {"decimal", TYPE_NUMERIC},
    {"dec", TYPE_NUMERIC},
    {"text", TYPE_TEXT},
    {"varchar", TYPE_VARCHAR},
    {"character varying", TYPE_VARCHAR},
    {"char varying", TYPE_VARCHAR},
    {"uuid", TYPE_UUID},
    {"date", TYPE_DATE},
    {"timestamp", TYPE_TIMESTAMP},
    {"timestamp without time zone", TYPE_TIMESTAMP},
    {"timestamptz", TYPE_TIMESTAMPTZ},
    {"timestamp with time zone", TYPE_TIMESTAMPTZ},
    {"interval", TYPE_INTERVAL},
    {"jsonb", TYPE_JSONB},
    {"bytea", TYPE_BYTEA},
    {"text[]", TYPE_TEXT_ARRAY},
    {"_text", TYPE_TEXT_ARRAY},
};

static_assert(sizeof(Interval) == 16, "an interval has no padding");

Physical type_physical(TypeKind kind) { return rows[kind].physical; }

size_t physical_size(Physical physical) {
    switch (physical) {
    case PHYSICAL_BOOL: return sizeof(uint8_t);
    case PHYSICAL_INT: return sizeof(int64_t);
    case PHYSICAL_FLOAT: return sizeof(double);
    case PHYSICAL_STR: return sizeof(Str);
    case PHYSICAL_INTERVAL: return sizeof(Interval);
    }
    return 0;
}

const char *type_name(Type type, Arena *arena) {
    if (type.modifier >= 0 && type.kind == TYPE_NUMERIC)
        return arena_format(arena, "numeric(%d,%d)", type.modifier >> 16,
                            (int16_t)(type.modifier & 0xFFFF));
    if (type.modifier >= 0 && type.kind == TYPE_VARCHAR)
        return arena_format(arena, "character varying(%d)", type.modifier);
    return rows[type.kind].name;
}

TypeKind type_from_name(Str name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_equal(str_from(names[i].name), name)) return names[i].kind;
    return TYPE_UNKNOWN;
}

bool type_is_number(TypeKind kind) { return kind >= TYPE_INT2 && kind <= TYPE_NUMERIC; }

bool type_is_integer(TypeKind kind) { return kind >= TYPE_INT2 && kind <= TYPE_INT8; }

bool type_is_text(TypeKind kind) { return kind == TYPE_TEXT || kind == TYPE_VARCHAR; }
