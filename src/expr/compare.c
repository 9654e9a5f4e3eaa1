/* Comparisons: = <> < <= > >= for every type that has an order, IS [NOT] DISTINCT FROM, IS TRUE and
 * kin, greatest, least, nullif. NaN is equal to itself and greater than all other numbers, text is
 * compared bytewise, as PostgreSQL does with collation C. Two arguments of different types have
 * been cast to one before they come here (or are integers, which lie in memory alike). */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "expr/kernel.h"
#include <math.h>

#define COMPARE_KERNEL(name, type, field, value)                                                   \
    KERNEL_2(name, type, field, uint8_t, column_bools, (uint8_t)(value), false, "")
#define SIX_KERNELS(suffix, type, field, equal, less, greater)                                     \
    COMPARE_KERNEL(equal_##suffix, type, field, equal)                                             \
    COMPARE_KERNEL(unequal_##suffix, type, field, !(equal))                                        \
    COMPARE_KERNEL(less_##suffix, type, field, less)                                               \
    COMPARE_KERNEL(less_equal_##suffix, type, field, !(greater))                                   \
    COMPARE_KERNEL(greater_##suffix, type, field, greater)                                         \
    COMPARE_KERNEL(greater_equal_##suffix, type, field, !(less))
#define SIX_BY_ORDER(suffix, type, field, order)                                                   \
    SIX_KERNELS(suffix, type, field, ((order) == 0), ((order) < 0), ((order) > 0))

SIX_KERNELS(bool, uint8_t, bools, (x == y), (x < y), (x > y))
SIX_KERNELS(int, int64_t, ints, (x == y), (x < y), (x > y))
SIX_KERNELS(float, double, floats, ((x == y) | ((x != x) & (y != y))),
            ((x < y) | ((y != y) & (x == x))), ((x > y) | ((x != x) & (y == y))))
SIX_KERNELS(bytes, Str, strs, str_equal(x, y), (str_compare(x, y) < 0), (str_compare(x, y) > 0))
SIX_BY_ORDER(numeric, Str, strs, numeric_compare(x, y))
SIX_BY_ORDER(jsonb, Str, strs, jsonb_compare(x, y))
SIX_BY_ORDER(interval, Interval, intervals, interval_compare(x, y))

/* ---- NULL as a value ---- */

static Kernel equal_kernel(TypeKind kind) {
    switch (type_physical(kind)) {
    case PHYSICAL_BOOL: return equal_bool;
    case PHYSICAL_INT: return equal_int;
    case PHYSICAL_FLOAT: return equal_float;
    case PHYSICAL_INTERVAL: return equal_interval;
    case PHYSICAL_STR: break;
    }
    if (kind == TYPE_NUMERIC) return equal_numeric;
    return kind == TYPE_JSONB ? equal_jsonb : equal_bytes;
}

/* Equality of the rows where both sides are values; elsewhere the states tell. */
static Column equality(Call *call, int rows, const Column *const *args) {
    Column equal = column_new(type_of(TYPE_BOOL), rows, true, call->arena);
    for (int i = 0; i < rows; i++)
        column_states(&equal)[i] =
            column_ok(args[0], i) && column_ok(args[1], i) ? VALUE_OK : VALUE_NULL;
    equal_kernel(args[0]->type.kind)(call, rows, args, &equal);
    return equal;
}

static void distinct(Call *call, int rows, const Column *const *args, Column *out,
                     bool when_distinct) {
    Column equal = equality(call, rows, args);
    uint8_t *to = column_bools(out);
    for (int i = 0; i < rows; i++) {
        bool same;
        if (column_ok(&equal, i)) same = equal.bools[i];
        else same = column_state(args[0], i) == column_state(args[1], i);
        to[i] = same != when_distinct;
    }
}

static void is_distinct(Call *call, int rows, const Column *const *args, Column *out) {
    distinct(call, rows, args, out, true);
}

static void is_not_distinct(Call *call, int rows, const Column *const *args, Column *out) {
    distinct(call, rows, args, out, false);
}

static void copy_row(Column *out, const Column *from, int row) {
    switch (type_physical(out->type.kind)) {
    case PHYSICAL_BOOL: column_bools(out)[row] = from->bools[row]; break;
    case PHYSICAL_INT: column_ints(out)[row] = from->ints[row]; break;
    case PHYSICAL_FLOAT: column_floats(out)[row] = from->floats[row]; break;
    case PHYSICAL_STR: column_strs(out)[row] = from->strs[row]; break;
    case PHYSICAL_INTERVAL: column_intervals(out)[row] = from->intervals[row]; break;
    }
}

static void null_if(Call *call, int rows, const Column *const *args, Column *out) {
    Column equal = equality(call, rows, args);
    for (int i = 0; i < rows; i++) {
        if (!column_ok(args[0], i) || (column_ok(&equal, i) && equal.bools[i]))
            column_null(call, out, i);
        else copy_row(out, args[0], i);
    }
}

/* The first of the greatest (least) that are not NULL. */
static void extreme(Call *call, int rows, const Column *const *args, Column *out, int sign) {
    for (int i = 0; i < rows; i++) {
        int best = -1;
        for (int a = 0; a < call->arg_count; a++) {
            if (!column_ok(args[a], i)) continue;
            if (best < 0 ||
                value_compare(column_value(args[a], i), column_value(args[best], i)) * sign > 0)
                best = a;
        }
        if (best < 0) column_null(call, out, i);
        else copy_row(out, args[best], i);
    }
}

static void greatest(Call *call, int rows, const Column *const *args, Column *out) {
    extreme(call, rows, args, out, 1);
}

static void least(Call *call, int rows, const Column *const *args, Column *out) {
    extreme(call, rows, args, out, -1);
}

/* ---- tests of booleans ---- */

#define BOOLEAN_TEST(name, value)                                                                  \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        (void)call;                                                                                \
        uint8_t *to = column_bools(out);                                                           \
        for (int i = 0; i < rows; i++) {                                                           \
            bool known = column_ok(args[0], i), x = args[0]->bools[i] != 0;                        \
            (void)known, (void)x;                                                                  \
            to[i] = value;                                                                         \
        }                                                                                          \
    }
BOOLEAN_TEST(is_true, known &&x)
BOOLEAN_TEST(is_not_true, !(known && x))
BOOLEAN_TEST(is_false, known && !x)
BOOLEAN_TEST(is_not_false, !(known && !x))
BOOLEAN_TEST(is_unknown, !known)
BOOLEAN_TEST(is_not_unknown, known)

/* ---- the table ---- */

#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define ONE_OP(op, kernel, left, right, help)                                                      \
    { op, TYPE_BOOL, 2, {left, right}, OP, kernel, NULL, help }
#define SIX(suffix, left, right)                                                                   \
    ONE_OP("=", equal_##suffix, left, right, NULL),                                                \
        ONE_OP("<>", unequal_##suffix, left, right, NULL),                                         \
        ONE_OP("<", less_##suffix, left, right, NULL),                                             \
        ONE_OP("<=", less_equal_##suffix, left, right, NULL),                                      \
        ONE_OP(">", greater_##suffix, left, right, NULL),                                          \
        ONE_OP(">=", greater_equal_##suffix, left, right, NULL)
#define ANY FUNCTION_ANY_FIRST

const Function compare_functions[] = {
    ONE_OP("=", equal_int, TYPE_INT8, TYPE_INT8, "equal"),
    ONE_OP("<>", unequal_int, TYPE_INT8, TYPE_INT8, "not equal; also written !="),
    ONE_OP("<", less_int, TYPE_INT8, TYPE_INT8, "less"),
    ONE_OP("<=", less_equal_int, TYPE_INT8, TYPE_INT8, "less or equal"),
    ONE_OP(">", greater_int, TYPE_INT8, TYPE_INT8, "greater"),
    ONE_OP(">=", greater_equal_int, TYPE_INT8, TYPE_INT8, "greater or equal"),
    SIX(int, TYPE_INT2, TYPE_INT2),
    SIX(int, TYPE_INT2, TYPE_INT4),
    SIX(int, TYPE_INT2, TYPE_INT8),
    SIX(int, TYPE_INT4, TYPE_INT2),
    SIX(int, TYPE_INT4, TYPE_INT4),
    SIX(int, TYPE_INT4, TYPE_INT8),
    SIX(int, TYPE_INT8, TYPE_INT2),
    SIX(int, TYPE_INT8, TYPE_INT4),
    SIX(float, TYPE_FLOAT4, TYPE_FLOAT4),
    SIX(float, TYPE_FLOAT4, TYPE_FLOAT8),
    SIX(float, TYPE_FLOAT8, TYPE_FLOAT4),
    SIX(float, TYPE_FLOAT8, TYPE_FLOAT8),
    SIX(numeric, TYPE_NUMERIC, TYPE_NUMERIC),
    SIX(bool, TYPE_BOOL, TYPE_BOOL),
    SIX(bytes, TYPE_TEXT, TYPE_TEXT),
    SIX(bytes, TYPE_UUID, TYPE_UUID),
    SIX(bytes, TYPE_BYTEA, TYPE_BYTEA),
    SIX(int, TYPE_DATE, TYPE_DATE),
    SIX(int, TYPE_TIMESTAMP, TYPE_TIMESTAMP),
    SIX(int, TYPE_TIMESTAMPTZ, TYPE_TIMESTAMPTZ),
    SIX(interval, TYPE_INTERVAL, TYPE_INTERVAL),
    SIX(jsonb, TYPE_JSONB, TYPE_JSONB),
    {"is distinct from",
     TYPE_BOOL,
     2,
     {TYPE_UNKNOWN, TYPE_UNKNOWN},
     FUNCTION_OPERATOR | ANY,
     is_distinct,
     NULL,
     "not equal, where NULL is a value like others"},
    {"is not distinct from",
     TYPE_BOOL,
     2,
     {TYPE_UNKNOWN, TYPE_UNKNOWN},
     FUNCTION_OPERATOR | ANY,
     is_not_distinct,
     NULL,
     "equal, where NULL is a value like others"},
    {"greatest",
     TYPE_UNKNOWN,
     2,
     {TYPE_UNKNOWN, TYPE_UNKNOWN},
     FUNCTION_VARIADIC | ANY,
     greatest,
     NULL,
     "the greatest argument that is not NULL"},
    {"least",
     TYPE_UNKNOWN,
     2,
     {TYPE_UNKNOWN, TYPE_UNKNOWN},
     FUNCTION_VARIADIC | ANY,
     least,
     NULL,
     "the least argument that is not NULL"},
    {"nullif",
     TYPE_UNKNOWN,
     2,
     {TYPE_UNKNOWN, TYPE_UNKNOWN},
     ANY,
     null_if,
     NULL,
     "NULL if both arguments are equal, else the first one"},
    {"is true",
     TYPE_BOOL,
     1,
     {TYPE_BOOL},
     FUNCTION_OPERATOR,
     is_true,
     NULL,
     "true, and neither false nor NULL"},
    {"is not true",
     TYPE_BOOL,
     1,
     {TYPE_BOOL},
     FUNCTION_OPERATOR,
     is_not_true,
     NULL,
     "false or NULL"},
    {"is false",
     TYPE_BOOL,
     1,
     {TYPE_BOOL},
     FUNCTION_OPERATOR,
     is_false,
     NULL,
     "false, and neither true nor NULL"},
    {"is not false",
     TYPE_BOOL,
     1,
     {TYPE_BOOL},
     FUNCTION_OPERATOR,
     is_not_false,
     NULL,
     "true or NULL"},
    {"is unknown", TYPE_BOOL, 1, {TYPE_BOOL}, FUNCTION_OPERATOR, is_unknown, NULL, "NULL"},
    {"is not unknown",
     TYPE_BOOL,
     1,
     {TYPE_BOOL},
     FUNCTION_OPERATOR,
     is_not_unknown,
     NULL,
     "not NULL"},
    {0},
};
