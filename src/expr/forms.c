/* AND, OR, NOT, CASE, COALESCE, IS NULL and IN. All arguments are already evaluated for every row;
 * what PostgreSQL decides by not evaluating, these decide by picking states: an error counts only
 * where PostgreSQL would have come to it. */
#include "expr/forms.h"
#include <stdlib.h>

/* One argument after the other is folded into what is known so far: a decided row (`stop` or an
 * error) stays. */
static void and_or(Call *call, int rows, const Column *const *args, Column *out, uint8_t stop) {
    uint8_t *to = column_bools(out);
    bool with_states = false;
    for (int a = 0; a < call->arg_count; a++) with_states |= args[a]->states != NULL;
    if (!with_states) {
        memcpy(to, args[0]->bools, (size_t)rows);
        for (int a = 1; a < call->arg_count; a++) {
            const uint8_t *from = args[a]->bools;
            if (stop)
                for (int i = 0; i < rows; i++) to[i] |= from[i];
            else
                for (int i = 0; i < rows; i++) to[i] &= from[i];
        }
        return;
    }
    uint8_t *states = arena_zero(call->arena, (size_t)rows);
    out->states = states;
    memset(to, !stop, (size_t)rows);
    for (int a = 0; a < call->arg_count; a++) {
        for (int i = 0; i < rows; i++) {
            if (states[i] == VALUE_ERROR || (states[i] == VALUE_OK && to[i] == stop)) continue;
            ValueState state = column_state(args[a], i);
            if (state != VALUE_OK) {
                states[i] = (uint8_t)state;
            } else if (args[a]->bools[i] == stop) {
                states[i] = VALUE_OK;
                to[i] = stop;
            }
        }
    }
}

static void and_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    and_or(call, rows, args, out, 0);
}

static void or_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    and_or(call, rows, args, out, 1);
}

static void not_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    uint8_t *to = column_bools(out);
    for (int i = 0; i < rows; i++) to[i] = args[0]->bools[i] ^ 1;
}

static void is_null_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    uint8_t *to = column_bools(out);
    if (!args[0]->states) memset(to, 0, (size_t)rows);
    else
        for (int i = 0; i < rows; i++) to[i] = args[0]->states[i] == VALUE_NULL;
}

static void is_not_null_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    uint8_t *to = column_bools(out);
    if (!args[0]->states) memset(to, 1, (size_t)rows);
    else
        for (int i = 0; i < rows; i++) to[i] = args[0]->states[i] == VALUE_OK;
}

int form_case_pick(const Column *const *args, int arg_count, int row) {
    int i = 0;
    for (; i + 1 < arg_count; i += 2) {
        ValueState state = column_state(args[i], row);
        if (state == VALUE_ERROR) return i;
        if (state == VALUE_OK && args[i]->bools[row]) return i + 1;
    }
    return i < arg_count ? i : -1;
}

static int coalesce_pick(const Column *const *args, int arg_count, int row) {
    for (int i = 0; i < arg_count; i++)
        if (column_state(args[i], row) != VALUE_NULL) return i;
    return -1;
}

/* Each row takes value and state from the argument that was picked for it. */
#define PICK_VALUES(field, writable)                                                               \
    for (int i = 0; i < rows; i++)                                                                 \
        if (states[i] == VALUE_OK) writable(out)[i] = args[picks[i]]->field[i];                    \
    break

static void pick_values(Call *call, int rows, const Column *const *args, Column *out,
                        const int *picks) {
    uint8_t *states = arena_alloc(call->arena, (size_t)rows);
    bool all_ok = true;
    for (int i = 0; i < rows; i++) {
        states[i] = (uint8_t)(picks[i] < 0 ? VALUE_NULL : column_state(args[picks[i]], i));
        all_ok &= states[i] == VALUE_OK;
    }
    switch (type_physical(out->type.kind)) {
    case PHYSICAL_BOOL: PICK_VALUES(bools, column_bools);
    case PHYSICAL_INT: PICK_VALUES(ints, column_ints);
    case PHYSICAL_FLOAT: PICK_VALUES(floats, column_floats);
    case PHYSICAL_STR: PICK_VALUES(strs, column_strs);
    case PHYSICAL_INTERVAL: PICK_VALUES(intervals, column_intervals);
    }
    out->states = all_ok ? NULL : states;
}

static void case_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    int *picks = arena_alloc(call->arena, sizeof(int) * (size_t)rows);
    for (int i = 0; i < rows; i++) picks[i] = form_case_pick(args, call->arg_count, i);
    pick_values(call, rows, args, out, picks);
}

static void coalesce_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    if (!args[0]->states) { /* nothing to replace: the column itself */
        out->values = args[0]->values;
        return;
    }
    int *picks = arena_alloc(call->arena, sizeof(int) * (size_t)rows);
    for (int i = 0; i < rows; i++) picks[i] = coalesce_pick(args, call->arg_count, i);
    pick_values(call, rows, args, out, picks);
}

/* ---- IN ---- */

typedef struct InList {
    Value *values; /* sorted by value_compare, no NULL */
    int count;
    bool has_null;
} InList;

static int compare_values(const void *a, const void *b) {
    return value_compare(*(const Value *)a, *(const Value *)b);
}

Status form_prepare_in(const Expr *e, void **state, Arena *arena, Error *error) {
    InList *list = arena_zero(arena, sizeof *list);
    list->values = arena_new_array(arena, Value, e->arg_count > 1 ? e->arg_count - 1 : 1);
    for (int i = 1; i < e->arg_count; i++) {
        const Expr *arg = e->args[i];
        if (arg->kind != EXPR_CONSTANT)
            return fail_at(error, arg->line, arg->place,
                           "IN takes constants only; write the others as = with OR");
        if (arg->value.null) list->has_null = true;
        else list->values[list->count++] = value_copy(arg->value, arena);
    }
    qsort(list->values, (size_t)list->count, sizeof *list->values, compare_values);
    *state = list;
    return OK;
}

static bool in_ints(const InList *list, int64_t value) {
    int low = 0, high = list->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (list->values[middle].integer == value) return true;
        if (list->values[middle].integer < value) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool in_strs(const InList *list, Str value) {
    int low = 0, high = list->count;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = str_compare(list->values[middle].str, value);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool in_values(const InList *list, Value value) {
    return list->count > 0 &&
           bsearch(&value, list->values, (size_t)list->count, sizeof value, compare_values) != NULL;
}

static void in_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    const InList *list = call->state;
    const Column *arg = args[0];
    uint8_t *to = column_bools(out);
    bool ints = type_physical(arg->type.kind) == PHYSICAL_INT;
    bool bytes =
        type_is_text(arg->type.kind) || arg->type.kind == TYPE_UUID || arg->type.kind == TYPE_BYTEA;
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        if (ints) to[i] = in_ints(list, arg->ints[i]);
        else if (bytes) to[i] = in_strs(list, arg->strs[i]);
        else to[i] = in_values(list, column_value(arg, i));
        if (!to[i] && list->has_null) column_null(call, out, i);
    }
}

Kernel form_kernel(ExprKind kind) {
    switch (kind) {
    case EXPR_AND: return and_kernel;
    case EXPR_OR: return or_kernel;
    case EXPR_NOT: return not_kernel;
    case EXPR_CASE: return case_kernel;
    case EXPR_COALESCE: return coalesce_kernel;
    case EXPR_IS_NULL: return is_null_kernel;
    case EXPR_IS_NOT_NULL: return is_not_null_kernel;
    case EXPR_IN: return in_kernel;
    case EXPR_CONSTANT:
    case EXPR_COLUMN:
    case EXPR_HIDDEN:
    case EXPR_CALL: break;
    }
    return NULL;
}

StatesBefore form_states(ExprKind kind) {
    switch (kind) {
    case EXPR_NOT:
    case EXPR_IN: return STATES_STRICT;
    case EXPR_IS_NULL:
    case EXPR_IS_NOT_NULL: return STATES_ERRORS;
    default: return STATES_OWN;
    }
}
