/* What fits nowhere else: random identifiers, counting NULLs. */
#include "base/env.h"
#include "expr/library.h"

static void uuid_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)args;
    if (rows <= 0) return;
    uint8_t *bytes = arena_alloc(call->arena, (size_t)rows * 16);
    call->env->random_bytes(call->env, bytes, (size_t)rows * 16);
    for (int row = 0; row < rows; row++, bytes += 16) {
        bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4, RFC 4122 */
        bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
        column_strs(out)[row] = (Str){(const char *)bytes, 16};
    }
}

static void count_rows(Call *call, int rows, const Column *const *args, Column *out, bool nulls) {
    EACH_OK_ROW(row) {
        int64_t count = 0;
        for (int i = 0; i < call->arg_count; i++)
            count += (column_state(args[i], row) == VALUE_NULL) == nulls;
        column_ints(out)[row] = count;
    }
}

static void nulls_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    count_rows(call, rows, args, out, true);
}
static void non_nulls_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    count_rows(call, rows, args, out, false);
}

#define VAR (FUNCTION_VARIADIC | FUNCTION_ANY_FIRST)
const Function misc_functions[] = {
    {"gen_random_uuid",
     TYPE_UUID,
     0,
     {0},
     FUNCTION_VOLATILE,
     uuid_kernel,
     NULL,
     "a random UUID (version 4)"},
    {"num_nulls",
     TYPE_INT4,
     1,
     {TYPE_UNKNOWN},
     VAR,
     nulls_kernel,
     NULL,
     "how many of the values are NULL"},
    {"num_nonnulls",
     TYPE_INT4,
     1,
     {TYPE_UNKNOWN},
     VAR,
     non_nulls_kernel,
     NULL,
     "how many of the values are not NULL"},
    {0},
};
