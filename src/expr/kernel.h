/* Loops for kernels of strict functions. With no states among the arguments the first loop runs
 * over all rows without a branch, so that the compiler can use vectors, and only notes whether any
 * row went wrong; the second one, which looks at each row by itself, runs only then or where states
 * have to be respected. */
#pragma once
#include "expr/expr.h"

/* `value` in terms of x, y; `wrong` (bool) in terms of x, y and the result r; `message` a C string
 */
#define KERNEL_2(name, in_type, in_field, out_type, out_field, value, wrong, message)              \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        const in_type *a = args[0]->in_field, *b = args[1]->in_field;                              \
        out_type *to = out_field(out);                                                             \
        if (!out->states) {                                                                        \
            bool bad = false;                                                                      \
            for (int i = 0; i < rows; i++) {                                                       \
                in_type x = a[i], y = b[i];                                                        \
                (void)x, (void)y;                                                                  \
                out_type r = value;                                                                \
                to[i] = r;                                                                         \
                bad |= wrong;                                                                      \
            }                                                                                      \
            if (!bad) return;                                                                      \
        }                                                                                          \
        for (int i = 0; i < rows; i++) {                                                           \
            if (!column_ok(out, i)) continue;                                                      \
            in_type x = a[i], y = b[i];                                                            \
            (void)x, (void)y;                                                                      \
            out_type r = value;                                                                    \
            to[i] = r;                                                                             \
            if (wrong) column_fail(call, out, i, "%s", message);                                   \
        }                                                                                          \
    }

#define KERNEL_1(name, in_type, in_field, out_type, out_field, value, wrong, message)              \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        const in_type *a = args[0]->in_field;                                                      \
        out_type *to = out_field(out);                                                             \
        if (!out->states) {                                                                        \
            bool bad = false;                                                                      \
            for (int i = 0; i < rows; i++) {                                                       \
                in_type x = a[i];                                                                  \
                out_type r = value;                                                                \
                to[i] = r;                                                                         \
                bad |= wrong;                                                                      \
            }                                                                                      \
            if (!bad) return;                                                                      \
        }                                                                                          \
        for (int i = 0; i < rows; i++) {                                                           \
            if (!column_ok(out, i)) continue;                                                      \
            in_type x = a[i];                                                                      \
            out_type r = value;                                                                    \
            to[i] = r;                                                                             \
            if (wrong) column_fail(call, out, i, "%s", message);                                   \
        }                                                                                          \
    }

/* For functions that give a Status: `expression` uses i, args, to and error. */
#define KERNEL_STATUS(name, out_type, out_field, expression)                                       \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        out_type *to = out_field(out);                                                             \
        for (int i = 0; i < rows; i++) {                                                           \
            if (!column_ok(out, i)) continue;                                                      \
            Error error;                                                                           \
            if ((expression) != OK) column_fail(call, out, i, "%s", error.text);                   \
        }                                                                                          \
    }

/* For functions that cannot fail: `expression` uses i and args. */
#define KERNEL_VALUE(name, out_field, expression)                                                  \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        (void)call;                                                                                \
        for (int i = 0; i < rows; i++)                                                             \
            if (column_ok(out, i)) out_field(out)[i] = expression;                                 \
    }

static inline bool fits_int2(int64_t v) { return v == (int16_t)v; }
static inline bool fits_int4(int64_t v) { return v == (int32_t)v; }

#define OUT_OF_RANGE_2 "smallint out of range"
#define OUT_OF_RANGE_4 "integer out of range"
#define OUT_OF_RANGE_8 "bigint out of range"
#define FLOAT_OVERFLOW "value out of range: overflow"
#define FLOAT_UNDERFLOW "value out of range: underflow"
