/* Type names: from the grammar's TypeName to a Type, with its modifier. Types of PostgreSQL that
 * Leat does not have are refused with the one to take instead. */
#include "sql/tree.h"

typedef struct Instead {
    const char *names; /* '|' between them */
    const char *remedy;
} Instead;

static const Instead instead[] = {
    {"json", "use jsonb"},
    {"bpchar|char|character|name|citext", "use text or varchar(n)"},
    {"string|str|nvarchar|varchar2|clob|longtext", "use text"},
    {"time|timetz", "use timestamp, timestamptz or interval"},
    {"datetime|datetime2|timestamp_ltz|timestamp_ntz", "use timestamptz or timestamp"},
    {"money", "use numeric"},
    {"serial|serial4|smallserial|serial2", "use int"},
    {"bigserial|serial8|long|int64|uint32|hugeint|oid", "use bigint"},
    {"tinyint|int8_t|byte|uint8", "use smallint"},
    {"uint64|number", "use numeric"},
    {"double|float64", "use double precision"},
    {"float32", "use real"},
    {"blob|binary|varbinary|bytes", "use bytea"},
    {"struct|map|row|record|hstore|variant|object", "a nested object is a jsonb column"},
    {"xml|inet|cidr|macaddr|bit|varbit|tsvector|tsquery|point|box", "use text"},
};

static const char *remedy_for_type(const char *name) {
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++) {
        for (const char *at = instead[i].names; *at;) {
            size_t size = strcspn(at, "|");
            if (str_equal((Str){at, size}, str_from(name))) return instead[i].remedy;
            at += size + (at[size] == '|');
        }
    }
    return NULL;
}

/* text, varchar … as users write them in "did you mean". */
static const char *const known_types[] = {
    "boolean",  "smallint", "int",     "integer", "bigint", "real",      "double precision",
    "numeric",  "text",     "varchar", "uuid",    "date",   "timestamp", "timestamptz",
    "interval", "jsonb",    "bytea",   "decimal", "float"};

static Status no_type(Catalog *c, const PgQuery__TypeName *node, const char *name, Error *error) {
    const char *remedy = remedy_for_type(name);
    if (remedy)
        return error_at(c, node->location, error, "type \"%s\" is not supported; %s", name, remedy);
    const char *closest = closest_name(name, known_types, sizeof known_types / sizeof *known_types);
    if (closest)
        return error_at(c, node->location, error, "type \"%s\" does not exist; did you mean %s?",
                        name, closest);
    return error_at(c, node->location, error,
                    "type \"%s\" does not exist; there are boolean, smallint, int, bigint, real, "
                    "double precision, numeric(p,s), text, varchar(n), uuid, date, timestamp, "
                    "timestamptz, interval, jsonb, bytea",
                    name);
}

static Status modifier_number(Catalog *c, const PgQuery__TypeName *node, size_t index, int64_t *out,
                              Error *error) {
    const PgQuery__Node *item = node->typmods[index];
    if (item->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        item->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL)
        return error_at(c, node->location, error, "type modifiers must be whole numbers");
    *out = item->a_const->ival->ival;
    return OK;
}

static Status numeric_modifier(Catalog *c, const PgQuery__TypeName *node, Type *out, Error *error) {
    int64_t precision = 0, scale = 0;
    if (node->n_typmods > 2)
        return error_at(c, node->location, error, "invalid NUMERIC type modifier");
    Status status = modifier_number(c, node, 0, &precision, error);
    if (status == OK && node->n_typmods == 2) status = modifier_number(c, node, 1, &scale, error);
    if (status != OK) return status;
    if (precision < 1 || precision > 1000)
        return error_at(c, node->location, error, "NUMERIC precision %d must be between 1 and 1000",
                        (int)precision);
    if (scale < -1000 || scale > 1000)
        return error_at(c, node->location, error, "NUMERIC scale %d must be between -1000 and 1000",
                        (int)scale);
    out->modifier = (int32_t)((uint32_t)precision << 16 | (uint16_t)scale);
    return OK;
}

static Status read_modifiers(Catalog *c, const PgQuery__TypeName *node, const char *name, Type *out,
                             Error *error) {
    if (node->n_typmods == 0) return OK;
    if (out->kind == TYPE_NUMERIC) return numeric_modifier(c, node, out, error);
    if (out->kind == TYPE_VARCHAR) {
        int64_t length = 0;
        if (node->n_typmods != 1)
            return error_at(c, node->location, error, "invalid type modifier");
        Status status = modifier_number(c, node, 0, &length, error);
        if (status != OK) return status;
        if (length < 1)
            return error_at(c, node->location, error, "length for type varchar must be at least 1");
        if (length > 10485760)
            return error_at(c, node->location, error,
                            "length for type varchar cannot exceed 10485760");
        out->modifier = (int32_t)length;
        return OK;
    }
    if (out->kind == TYPE_TIMESTAMP || out->kind == TYPE_TIMESTAMPTZ) {
        int64_t digits = 0;
        Status status = modifier_number(c, node, 0, &digits, error);
        if (status != OK || digits == 6) return status;
        return refuse(c, node->location, error, "a precision of times other than 6",
                      "leave it out, or round with date_trunc");
    }
    if (out->kind == TYPE_INTERVAL)
        return refuse(c, node->location, error, "an interval with fields or a precision",
                      "write INTERVAL '10 minutes'");
    return error_at(c, node->location, error, "type modifier is not allowed for type \"%s\"", name);
}

Status bind_type_name(Catalog *c, const PgQuery__TypeName *node, Type *out, Error *error) {
    if (node->setof) return refuse(c, node->location, error, "SETOF", "leave it out");
    if (node->pct_type) return refuse(c, node->location, error, "%TYPE", "write the type itself");
    if (node->n_names == 0 || node->n_names > 2)
        return refuse(c, node->location, error, "a type in a schema", "leave the schema out");
    const char *name = string_of(node->names[node->n_names - 1]);
    if (!name) return refuse(c, node->location, error, "this type", NULL);
    if (node->n_names == 2 && strcmp(string_of(node->names[0]), "pg_catalog") != 0)
        return refuse(c, node->location, error, "a type in a schema", "leave the schema out");
    if (node->n_array_bounds > 0)
        return refuse(c, node->location, error, "an array type", "keep arrays in a jsonb column");
    *out = type_of(type_from_name(str_from(name)));
    /* bpchar is char(n) to the grammar */
    if (out->kind == TYPE_UNKNOWN || out->kind == TYPE_TEXT_ARRAY || remedy_for_type(name))
        return no_type(c, node, strcmp(name, "bpchar") == 0 ? "char" : name, error);
    return read_modifiers(c, node, name, out, error);
}
