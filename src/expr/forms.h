/* The forms that are not functions (AND, OR, NOT, CASE, COALESCE, IS NULL, IN) as kernels, for
 * program.c alone. */
#pragma once
#include "expr/expr.h"

Kernel form_kernel(ExprKind); /* NULL: this kind is no form */
/* Which states a form wants set before it runs. */
typedef enum StatesBefore {
    STATES_STRICT, /* NULL and errors of any argument */
    STATES_ERRORS, /* errors of any argument */
    STATES_OWN,    /* none: it decides by itself */
} StatesBefore;
StatesBefore form_states(ExprKind);
/* The list of an IN, sorted, as its kernel's state. */
CHECKED Status form_prepare_in(const Expr *, void **state, Arena *, Error *);
/* The argument that decides this row of a CASE: a condition that is an error, or a result; -1: no
 * condition holds. */
int form_case_pick(const Column *const *args, int arg_count, int row);

bool constant_equal(Value, Value); /* the same value to the last bit, of the same type */
