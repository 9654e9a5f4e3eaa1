/* Kernels that an operator and a named function share: arithmetic.c has the operators, math.c the
 * functions. */
#pragma once
#include "expr/expr.h"

void modulo_int(Call *, int rows, const Column *const *args, Column *out);
void power_float(Call *, int rows, const Column *const *args, Column *out);
void power_numeric(Call *, int rows, const Column *const *args, Column *out);
void square_root_float(Call *, int rows, const Column *const *args, Column *out);
void cube_root_float(Call *, int rows, const Column *const *args, Column *out);
