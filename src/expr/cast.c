/* Casts, with PostgreSQL's contexts: implicit ones the binder may add anywhere, assignment ones at
 * an INSERT, all others where the user writes them. A cast to varchar(n) cuts, an assignment to it
 * refuses; that is why such pairs have a second row, named "assign". Text becomes any type through
 * value_parse and any type text through value_text, so that a cast and an input field mean the
 * same. */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "expr/kernel.h"
#include <math.h>

static void same(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call, (void)rows;
    out->values = args[0]->values;
}

/* ---- numbers ---- */

KERNEL_1(int_to_int2, int64_t, ints, int64_t, column_ints, x, !fits_int2(r), OUT_OF_RANGE_2)
KERNEL_1(int_to_int4, int64_t, ints, int64_t, column_ints, x, !fits_int4(r), OUT_OF_RANGE_4)
KERNEL_1(int_to_float8, int64_t, ints, double, column_floats, (double)x, false, "")
KERNEL_1(int_to_float4, int64_t, ints, double, column_floats, (double)(float)x, false, "")
KERNEL_1(int_to_bool, int64_t, ints, uint8_t, column_bools, x != 0, false, "")
KERNEL_1(bool_to_int, uint8_t, bools, int64_t, column_ints, x, false, "")

static inline bool outside(double x, double least, double beyond) {
    return !(rint(x) >= least && rint(x) < beyond);
}
#define FLOAT_TO_INT(name, beyond, message)                                                        \
    KERNEL_1(name, double, floats, int64_t, column_ints,                                           \
             outside(x, -(beyond), beyond) ? 0 : (int64_t)rint(x),                                 \
             (r = r, outside(x, -(beyond), beyond)), message)
FLOAT_TO_INT(float_to_int2, 0x1p15, OUT_OF_RANGE_2)
FLOAT_TO_INT(float_to_int4, 0x1p31, OUT_OF_RANGE_4)
FLOAT_TO_INT(float_to_int8, 0x1p63, OUT_OF_RANGE_8)

KERNEL_1(float8_to_float4, double, floats, double, column_floats, (double)(float)x,
         ((isinf(r) && !isinf(x)) | (r == 0 && x != 0)),
         isinf(r) ? FLOAT_OVERFLOW : FLOAT_UNDERFLOW)

static Status with_modifier(const Call *call, Status status, Str *value, Error *error) {
    if (status != OK || call->result.modifier == -1) return status;
    return numeric_apply_modifier(*value, call->result.modifier, value, call->arena, error);
}

KERNEL_STATUS(int_to_numeric, Str, column_strs,
              (to[i] = numeric_from_int64(args[0]->ints[i], call->arena),
               with_modifier(call, OK, &to[i], &error)))
KERNEL_STATUS(float8_to_numeric, Str, column_strs,
              with_modifier(call,
                            numeric_from_double(args[0]->floats[i], &to[i], call->arena, &error),
                            &to[i], &error))
KERNEL_STATUS(float4_to_numeric, Str, column_strs,
              with_modifier(call,
                            numeric_from_float4(args[0]->floats[i], &to[i], call->arena, &error),
                            &to[i], &error))
KERNEL_STATUS(numeric_to_numeric, Str, column_strs,
              (to[i] = args[0]->strs[i], with_modifier(call, OK, &to[i], &error)))

static bool is_infinite(Str x) { return !numeric_is_finite(x) && !numeric_is_nan(x); }

/* A numeric as an integer type: messages name that type. */
static Status numeric_to_int(Str x, TypeKind kind, int64_t *out, Error *error) {
    const char *name = kind == TYPE_INT2 ? "smallint" : kind == TYPE_INT4 ? "integer" : "bigint";
    if (numeric_is_nan(x)) return reject(error, "cannot convert NaN to %s", name);
    if (is_infinite(x)) return reject(error, "cannot convert infinity to %s", name);
    if (numeric_to_int64(x, out, NULL) == OK &&
        (kind == TYPE_INT8 || (kind == TYPE_INT4 ? fits_int4(*out) : fits_int2(*out))))
        return OK;
    return reject(error, "%s out of range", name);
}

static Status numeric_to_float(Str x, TypeKind kind, double *out, Error *error) {
    *out = numeric_to_double(x);
    if (kind == TYPE_FLOAT4) *out = (double)(float)*out;
    bool overflow = isinf(*out) && !is_infinite(x);
    if (!overflow && !(*out == 0 && numeric_sign(x) != 0)) return OK;
    Buffer text = {0};
    numeric_text(x, &text);
    reject(error, "\"%.*s\" is out of range for type %s", STR_ARG(buffer_str(&text)),
           kind == TYPE_FLOAT4 ? "real" : "double precision");
    buffer_free(&text);
    return REJECT;
}

KERNEL_STATUS(numeric_to_ints, int64_t, column_ints,
              numeric_to_int(args[0]->strs[i], call->result.kind, &to[i], &error))
KERNEL_STATUS(numeric_to_floats, double, column_floats,
              numeric_to_float(args[0]->strs[i], call->result.kind, &to[i], &error))

/* ---- text ---- */

/* Any value as its output function prints it; all rows' texts lie behind one another in one piece
 * of the arena. */
static void to_text(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer text = {0};
    size_t *ends = arena_alloc(call->arena, sizeof *ends * (size_t)(rows + 1));
    for (int i = 0; i < rows; i++) {
        if (column_ok(out, i)) value_text(column_value(args[0], i), &text);
        ends[i] = text.size;
    }
    const char *base = arena_str(call->arena, buffer_str(&text)).data;
    size_t begin = 0;
    for (int i = 0; i < rows; i++) {
        column_strs(out)[i] = (Str){base + begin, ends[i] - begin};
        begin = ends[i];
    }
    buffer_free(&text);
}

static void bool_to_text(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    for (int i = 0; i < rows; i++)
        if (column_ok(out, i)) column_strs(out)[i] = args[0]->bools[i] ? STR("true") : STR("false");
}

/* What value_parse would give, for the plain cases that make up nearly all rows. */
static bool quick_int(Str text, int64_t *out) {
    size_t digit = text.size > 0 && text.data[0] == '-';
    if (text.size == digit || text.size > digit + 18) return false;
    int64_t value = 0;
    for (size_t i = digit; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = digit ? -value : value;
    return true;
}

static Status parse_into(Call *call, Type type, Str text, Column *out, int row, Error *error) {
    int64_t whole;
    if (type_is_integer(type.kind) && quick_int(text, &whole) &&
        (type.kind == TYPE_INT8 ||
         (type.kind == TYPE_INT4 ? fits_int4(whole) : fits_int2(whole)))) {
        column_ints(out)[row] = whole;
        return OK;
    }
    Value value;
    Status status = value_parse(type, text, &value, call->arena, error);
    if (status == OK) column_set(out, row, value, call->arena);
    return status;
}

static void from_text(Call *call, int rows, const Column *const *args, Column *out) {
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        Error error;
        if (parse_into(call, call->result, args[0]->strs[i], out, i, &error) != OK)
            column_fail(call, out, i, "%s", error.text);
    }
}

/* Bytes of the first `count` characters. */
static size_t characters_size(Str text, int32_t count) {
    size_t at = 0;
    for (; at < text.size; at++)
        if (((uint8_t)text.data[at] & 0xC0) != 0x80 && count-- == 0) break;
    return at;
}

static void fit(Call *call, int rows, Column *out, bool cut) {
    int32_t most = call->result.modifier;
    if (most < 0) return;
    /* the values may be those of the argument: they are not written to */
    const Str *from = out->strs;
    Str *to = arena_alloc(call->arena, sizeof *to * (size_t)rows);
    out->strs = to;
    for (int i = 0; i < rows; i++) {
        to[i] = from[i];
        if (!column_ok(out, i) || from[i].size <= (size_t)most) continue;
        to[i].size = characters_size(from[i], most);
        for (size_t b = to[i].size; !cut && b < from[i].size; b++) {
            if (from[i].data[b] == ' ') continue;
            column_fail(call, out, i, "value too long for type character varying(%d)", most);
            break;
        }
    }
}

#define VARCHAR_KERNELS(name, kernel)                                                              \
    static void name##_varchar(Call *call, int rows, const Column *const *args, Column *out) {     \
        kernel(call, rows, args, out);                                                             \
        fit(call, rows, out, true);                                                                \
    }                                                                                              \
    static void name##_varchar_assign(Call *call, int rows, const Column *const *args,             \
                                      Column *out) {                                               \
        kernel(call, rows, args, out);                                                             \
        fit(call, rows, out, false);                                                               \
    }
VARCHAR_KERNELS(text, same)
VARCHAR_KERNELS(bool, bool_to_text)
VARCHAR_KERNELS(any, to_text)

/* ---- dates and times: all zones are UTC ---- */

static inline bool endless(int64_t x) { return x == INT64_MAX || x == INT64_MIN; }
static inline int64_t floor_days(int64_t us) { return us / US_PER_DAY - (us % US_PER_DAY < 0); }
static inline bool beyond_timestamps(int64_t days) {
    return !endless(days) &&
           (days < FIRST_TIMESTAMP_US / US_PER_DAY || days > LAST_TIMESTAMP_US / US_PER_DAY);
}
KERNEL_1(timestamp_to_date, int64_t, ints, int64_t, column_ints, endless(x) ? x : floor_days(x),
         false, "")
KERNEL_1(date_to_timestamp, int64_t, ints, int64_t, column_ints,
         endless(x) ? x : (int64_t)((uint64_t)x *(uint64_t)US_PER_DAY),
         (r = r, beyond_timestamps(x)), "date out of range for timestamp")

/* ---- jsonb ---- */

static const char *kind_name(Str json) {
    switch (jsonb_kind(json)) {
    case JSONB_NULL: return "null";
    case JSONB_STRING: return "string";
    case JSONB_NUMBER: return "numeric";
    case JSONB_FALSE:
    case JSONB_TRUE: return "boolean";
    case JSONB_ARRAY: return "array";
    case JSONB_OBJECT: return "object";
    case JSONB_BAD: break;
    }
    return "value";
}

static const char *target_name(TypeKind kind) {
    switch (kind) {
    case TYPE_BOOL: return "boolean";
    case TYPE_INT2: return "smallint";
    case TYPE_INT4: return "integer";
    case TYPE_INT8: return "bigint";
    case TYPE_FLOAT4: return "real";
    case TYPE_FLOAT8: return "double precision";
    default: return "numeric";
    }
}

static void jsonb_to_bool(Call *call, int rows, const Column *const *args, Column *out) {
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        Str json = jsonb_trim(args[0]->strs[i]);
        JsonbKind kind = jsonb_kind(json);
        column_bools(out)[i] = kind == JSONB_TRUE;
        if (kind != JSONB_TRUE && kind != JSONB_FALSE)
            column_fail(call, out, i, "cannot cast jsonb %s to type boolean", kind_name(json));
    }
}

static void jsonb_to_number(Call *call, int rows, const Column *const *args, Column *out) {
    TypeKind kind = call->result.kind;
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        Str json = jsonb_trim(args[0]->strs[i]);
        if (jsonb_kind(json) != JSONB_NUMBER) {
            column_fail(call, out, i, "cannot cast jsonb %s to type %s", kind_name(json),
                        target_name(kind));
            continue;
        }
        Str number;
        Error error;
        Status status = numeric_parse(json, &number, call->arena, &error);
        if (status == OK && kind == TYPE_NUMERIC) {
            status = with_modifier(call, OK, &number, &error);
            column_strs(out)[i] = number;
        } else if (status == OK && type_is_integer(kind)) {
            status = numeric_to_int(number, kind, &column_ints(out)[i], &error);
        } else if (status == OK) {
            status = numeric_to_float(number, kind, &column_floats(out)[i], &error);
        }
        if (status != OK) column_fail(call, out, i, "%s", error.text);
    }
}

/* ---- the table ---- */

#define EXPLICIT (FUNCTION_STRICT | FUNCTION_CAST)
#define ASSIGN (EXPLICIT | FUNCTION_ASSIGNMENT)
#define IMPLICIT (ASSIGN | FUNCTION_IMPLICIT)
#define CAST(from, to, flags, kernel)                                                              \
    { "cast", TYPE_##to, 1, {TYPE_##from}, flags, kernel, NULL, NULL }
#define ASSIGNED(from, to, flags, kernel)                                                          \
    { "assign", TYPE_##to, 1, {TYPE_##from}, flags, kernel, NULL, NULL }
#define TO_TEXT(from)                                                                              \
    CAST(from, TEXT, ASSIGN, to_text), CAST(from, VARCHAR, ASSIGN, any_varchar),                   \
        ASSIGNED(from, VARCHAR, ASSIGN, any_varchar_assign)
#define FROM_TEXT(to) CAST(TEXT, to, EXPLICIT, from_text), CAST(VARCHAR, to, EXPLICIT, from_text)

const Function cast_functions[] = {
    CAST(INT2, INT4, IMPLICIT, same),
    CAST(INT2, INT8, IMPLICIT, same),
    CAST(INT2, FLOAT4, IMPLICIT, int_to_float4),
    CAST(INT2, FLOAT8, IMPLICIT, int_to_float8),
    CAST(INT2, NUMERIC, IMPLICIT, int_to_numeric),
    CAST(INT4, INT2, ASSIGN, int_to_int2),
    CAST(INT4, INT8, IMPLICIT, same),
    CAST(INT4, FLOAT4, IMPLICIT, int_to_float4),
    CAST(INT4, FLOAT8, IMPLICIT, int_to_float8),
    CAST(INT4, NUMERIC, IMPLICIT, int_to_numeric),
    CAST(INT4, BOOL, EXPLICIT, int_to_bool),
    CAST(INT8, INT2, ASSIGN, int_to_int2),
    CAST(INT8, INT4, ASSIGN, int_to_int4),
    CAST(INT8, FLOAT4, IMPLICIT, int_to_float4),
    CAST(INT8, FLOAT8, IMPLICIT, int_to_float8),
    CAST(INT8, NUMERIC, IMPLICIT, int_to_numeric),
    CAST(FLOAT4, INT2, ASSIGN, float_to_int2),
    CAST(FLOAT4, INT4, ASSIGN, float_to_int4),
    CAST(FLOAT4, INT8, ASSIGN, float_to_int8),
    CAST(FLOAT4, FLOAT8, IMPLICIT, same),
    CAST(FLOAT4, NUMERIC, ASSIGN, float4_to_numeric),
    CAST(FLOAT8, INT2, ASSIGN, float_to_int2),
    CAST(FLOAT8, INT4, ASSIGN, float_to_int4),
    CAST(FLOAT8, INT8, ASSIGN, float_to_int8),
    CAST(FLOAT8, FLOAT4, ASSIGN, float8_to_float4),
    CAST(FLOAT8, NUMERIC, ASSIGN, float8_to_numeric),
    CAST(NUMERIC, INT2, ASSIGN, numeric_to_ints),
    CAST(NUMERIC, INT4, ASSIGN, numeric_to_ints),
    CAST(NUMERIC, INT8, ASSIGN, numeric_to_ints),
    CAST(NUMERIC, FLOAT4, IMPLICIT, numeric_to_floats),
    CAST(NUMERIC, FLOAT8, IMPLICIT, numeric_to_floats),
    CAST(NUMERIC, NUMERIC, IMPLICIT, numeric_to_numeric),
    CAST(BOOL, INT4, EXPLICIT, bool_to_int),
    CAST(DATE, TIMESTAMP, IMPLICIT, date_to_timestamp),
    CAST(DATE, TIMESTAMPTZ, IMPLICIT, date_to_timestamp),
    CAST(TIMESTAMP, DATE, ASSIGN, timestamp_to_date),
    CAST(TIMESTAMP, TIMESTAMPTZ, IMPLICIT, same),
    CAST(TIMESTAMPTZ, DATE, ASSIGN, timestamp_to_date),
    CAST(TIMESTAMPTZ, TIMESTAMP, ASSIGN, same),
    CAST(JSONB, BOOL, EXPLICIT, jsonb_to_bool),
    CAST(JSONB, INT2, EXPLICIT, jsonb_to_number),
    CAST(JSONB, INT4, EXPLICIT, jsonb_to_number),
    CAST(JSONB, INT8, EXPLICIT, jsonb_to_number),
    CAST(JSONB, FLOAT4, EXPLICIT, jsonb_to_number),
    CAST(JSONB, FLOAT8, EXPLICIT, jsonb_to_number),
    CAST(JSONB, NUMERIC, EXPLICIT, jsonb_to_number),
    CAST(TEXT, VARCHAR, IMPLICIT, text_varchar),
    CAST(VARCHAR, TEXT, IMPLICIT, same),
    CAST(VARCHAR, VARCHAR, IMPLICIT, text_varchar),
    ASSIGNED(TEXT, VARCHAR, IMPLICIT, text_varchar_assign),
    ASSIGNED(VARCHAR, VARCHAR, IMPLICIT, text_varchar_assign),
    CAST(BOOL, TEXT, ASSIGN, bool_to_text),
    CAST(BOOL, VARCHAR, ASSIGN, bool_varchar),
    ASSIGNED(BOOL, VARCHAR, ASSIGN, bool_varchar_assign),
    TO_TEXT(INT2),
    TO_TEXT(INT4),
    TO_TEXT(INT8),
    TO_TEXT(FLOAT4),
    TO_TEXT(FLOAT8),
    TO_TEXT(NUMERIC),
    TO_TEXT(UUID),
    TO_TEXT(DATE),
    TO_TEXT(TIMESTAMP),
    TO_TEXT(TIMESTAMPTZ),
    TO_TEXT(INTERVAL),
    TO_TEXT(JSONB),
    TO_TEXT(BYTEA),
    TO_TEXT(TEXT_ARRAY),
    FROM_TEXT(BOOL),
    FROM_TEXT(INT2),
    FROM_TEXT(INT4),
    FROM_TEXT(INT8),
    FROM_TEXT(FLOAT4),
    FROM_TEXT(FLOAT8),
    FROM_TEXT(NUMERIC),
    FROM_TEXT(UUID),
    FROM_TEXT(DATE),
    FROM_TEXT(TIMESTAMP),
    FROM_TEXT(TIMESTAMPTZ),
    FROM_TEXT(INTERVAL),
    FROM_TEXT(JSONB),
    FROM_TEXT(BYTEA),
    {0},
};
