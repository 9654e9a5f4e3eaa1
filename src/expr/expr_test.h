/* For the tests of this folder: one function over values written as text, evaluated folded, in a
 * batch of several rows and next to NULLs; all must agree. Expected texts are PostgreSQL 15's; an
 * error reads "error: …". */
#pragma once
#include "base/env.h"
#include "expr/expr.h"
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

typedef struct Argument {
    const char *type, *value; /* value NULL: NULL */
} Argument;

static inline Type test_type(const char *name) {
    TypeKind kind = type_from_name(str_from(name));
    if (kind == TYPE_UNKNOWN) fail_msg("no type %s", name);
    return type_of(kind);
}

static inline Value test_value(Argument argument, Arena *arena) {
    Type type = test_type(argument.type);
    Value value = {.type = type, .null = true};
    Error error;
    if (argument.value && value_parse(type, str_from(argument.value), &value, arena, &error) != OK)
        fail_msg("%s", error.text);
    return value;
}

static inline const Function *test_function(const char *name, bool is_operator, const Value *values,
                                            int count) {
    const Function *found[100];
    int candidates = functions_named(str_from(name), is_operator, found, 100);
    for (int c = 0; c < candidates; c++) {
        const Function *f = found[c];
        bool fits =
            f->flags & FUNCTION_VARIADIC ? count >= f->arg_count - 1 : f->arg_count == count;
        for (int i = 0; i < count && fits; i++) {
            TypeKind want = f->args[i < f->arg_count ? i : f->arg_count - 1];
            fits = want == TYPE_UNKNOWN || want == values[i].type.kind;
        }
        if (fits) return f;
    }
    fail_msg("no %s for these types", name);
    return NULL;
}

static inline const char *test_text(Value value, Arena *arena) {
    if (value.null) return "NULL";
    Buffer text = {0};
    value_text(value, &text);
    const char *copy = arena_text(arena, buffer_str(&text));
    buffer_free(&text);
    return copy;
}

/* Row `row` of what `e` gives over `batch`. */
static inline const char *test_run(Expr *e, const Batch *batch, int row, Arena *arena) {
    FakeEnv env;
    fake_env_init(&env, 0, 1);
    Program *program;
    Error error;
    if (program_new(&e, 1, &env.env, &program, &error) != OK)
        return arena_format(arena, "error: %s", error.text);
    RowErrors errors = {.arena = arena};
    Column out;
    program_run(program, batch, arena, &errors, &out);
    const char *text = column_state(&out, row) == VALUE_ERROR
                           ? arena_format(arena, "error: %s", row_error_text(&errors, row))
                           : test_text(column_value(&out, row), arena);
    program_free(&program);
    return text;
}

enum { TEST_ROWS = 3 }; /* the middle one is NULL where `with_nulls` */

static inline Batch test_batch(const Value *values, int count, bool with_nulls, Arena *arena) {
    Batch batch = {
        .rows = TEST_ROWS, .column_count = count, .arena = arena, .source = -1, .partition = -1};
    batch.columns = arena_new_array(arena, Column, count + 1);
    for (int i = 0; i < count; i++) {
        bool states = with_nulls || values[i].null;
        batch.columns[i] = column_new(values[i].type, TEST_ROWS, states, arena);
        for (int row = 0; row < TEST_ROWS; row++) {
            Value value = values[i];
            if (with_nulls && row == 1) value.null = true;
            column_set(&batch.columns[i], row, value, arena);
        }
    }
    return batch;
}

static inline const char *test_call(const Function *f, Type result, const Value *values, int count,
                                    Arena *arena) {
    Expr **constants = arena_new_array(arena, Expr *, count + 1),
         **columns = arena_new_array(arena, Expr *, count + 1);
    for (int i = 0; i < count; i++) {
        constants[i] = expr_constant(arena, values[i]);
        columns[i] = expr_column(arena, i, values[i].type);
    }
    Batch batch = test_batch(values, count, false, arena),
          nulls = test_batch(values, count, true, arena);
    const char *folded = test_run(expr_call(arena, f, result, constants, count), &batch, 0, arena);
    Expr *call = expr_call(arena, f, result, columns, count);
    if (count > 0) {
        assert_string_equal(test_run(call, &batch, TEST_ROWS - 1, arena), folded);
        assert_string_equal(test_run(call, &nulls, TEST_ROWS - 1, arena), folded);
        if (f->flags & FUNCTION_STRICT)
            assert_string_equal(test_run(call, &nulls, 1, arena), "NULL");
    }
    return folded;
}

static inline bool is_word(const char *name) {
    return *name >= 'a' && *name <= 'z' && strncmp(name, "is ", 3) != 0;
}

/* One line of a table of examples. */
typedef struct Example {
    const char *name;
    Argument args[4];
    const char *expected;
} Example;

static inline void check_examples(const Example *examples, size_t count) {
    for (size_t e = 0; e < count; e++) {
        Arena *arena = arena_new();
        Value values[4];
        int arg_count = 0;
        while (arg_count < 4 && examples[e].args[arg_count].type) {
            values[arg_count] = test_value(examples[e].args[arg_count], arena);
            arg_count++;
        }
        const char *name = examples[e].name;
        bool is_operator = !is_word(name);
        const Function *f = test_function(name, is_operator, values, arg_count);
        Type result = type_of(f->result == TYPE_UNKNOWN ? values[0].type.kind : f->result);
        const char *text = test_call(f, result, values, arg_count, arena);
        if (strcmp(text, examples[e].expected) != 0) {
            print_error("%s of %s, %s\n", name, examples[e].args[0].value,
                        examples[e].args[1].value);
            assert_string_equal(text, examples[e].expected);
        }
        arena_free(&arena);
    }
}
