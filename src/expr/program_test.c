/* Programs: sharing, states through the forms, reasons of errors, folding, constants beyond one
 * batch, texts of trees. */
#include "expr/expr_test.h"

static Arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static Expr *constant(const char *type, const char *value) {
    return expr_constant(arena, test_value((Argument){type, value}, arena));
}

static Expr *call(const char *name, Expr *a, Expr *b) {
    Value values[2] = {{.type = a->type}, {.type = b ? b->type : a->type}};
    const Function *f = test_function(name, !is_word(name), values, b ? 2 : 1);
    Expr **args = arena_new_array(arena, Expr *, 2);
    args[0] = a;
    args[1] = b;
    return expr_call(arena, f, type_of(f->result == TYPE_UNKNOWN ? a->type.kind : f->result), args,
                     b ? 2 : 1);
}

static Expr *form(ExprKind kind, Type type, int count, Expr *const *args) {
    Expr **copy = arena_new_array(arena, Expr *, count);
    memcpy(copy, args, sizeof *copy * (size_t)count);
    return expr_of(arena, kind, type, copy, count);
}
#define FORM(kind, type, ...)                                                                      \
    form(kind, type_of(type), (int)(sizeof((Expr *[]){__VA_ARGS__}) / sizeof(Expr *)),             \
         (Expr *[]){__VA_ARGS__})

static Column bool_column(const char *letters) { /* t, f, n, e */
    int rows = (int)strlen(letters);
    Column column = column_new(type_of(TYPE_BOOL), rows, true, arena);
    for (int i = 0; i < rows; i++) {
        column_bools(&column)[i] = letters[i] == 't';
        column_states(&column)[i] = letters[i] == 'n'   ? VALUE_NULL
                                    : letters[i] == 'e' ? VALUE_ERROR
                                                        : VALUE_OK;
    }
    return column;
}

static void assert_bools(Expr *e, const Batch *batch, const char *letters) {
    Program *program;
    Error error;
    FakeEnv env;
    fake_env_init(&env, 0, 1);
    assert_int_equal(program_new(&e, 1, &env.env, &program, &error), OK);
    RowErrors errors = {.arena = arena};
    Column out;
    program_run(program, batch, arena, &errors, &out);
    char *got = arena_zero(arena, (size_t)batch->rows + 1);
    for (int i = 0; i < batch->rows; i++) {
        ValueState state = column_state(&out, i);
        got[i] = state == VALUE_ERROR ? 'e' : state == VALUE_NULL ? 'n' : out.bools[i] ? 't' : 'f';
    }
    assert_string_equal(got, letters);
    program_free(&program);
}

static void and_or_decide_from_left_to_right(void **state) {
    (void)state;
    Column columns[2] = {bool_column("ttttffffnnnneeee"), bool_column("tfnetfnetfnetfne")};
    Batch batch = {.rows = 16, .column_count = 2, .columns = columns, .arena = arena};
    Expr *a = expr_column(arena, 0, type_of(TYPE_BOOL)),
         *b = expr_column(arena, 1, type_of(TYPE_BOOL));
    assert_bools(FORM(EXPR_AND, TYPE_BOOL, a, b), &batch, "tfneffffnfneeeee");
    assert_bools(FORM(EXPR_OR, TYPE_BOOL, a, b), &batch, "tttttfnetnneeeee");
    assert_bools(FORM(EXPR_NOT, TYPE_BOOL, a), &batch, "ffffttttnnnneeee");
    assert_bools(FORM(EXPR_IS_NULL, TYPE_BOOL, a), &batch, "fffffffftttteeee");
    assert_bools(FORM(EXPR_IS_NOT_NULL, TYPE_BOOL, b), &batch, "ttfettfettfettfe");
    assert_bools(FORM(EXPR_COALESCE, TYPE_BOOL, a, b), &batch, "ttttfffftfneeeee");
    assert_bools(FORM(EXPR_CASE, TYPE_BOOL, a, b), &batch, "tfnennnnnnnneeee");
    assert_bools(FORM(EXPR_CASE, TYPE_BOOL, a, a, b), &batch, "tttttfnetfneeeee");
    assert_bools(call("is true", a, NULL), &batch, "ttttffffffffeeee");
    assert_bools(call("is not true", a, NULL), &batch, "fffftttttttteeee");
    assert_bools(call("is unknown", a, NULL), &batch, "fffffffftttteeee");
    assert_bools(call("is distinct from", a, b), &batch, "fttetftettfeeeee");
    assert_bools(call("is not distinct from", a, b), &batch, "tffeftfeffteeeee");
}

static void errors_that_nobody_asks_for_are_no_errors(void **state) {
    (void)state;
    Value values[1] = {test_value((Argument){"integer", "0"}, arena)};
    Batch batch = test_batch(values, 1, false, arena);
    Expr *x = expr_column(arena, 0, type_of(TYPE_INT4)), *zero = constant("integer", "0");
    Expr *quotient = call("/", constant("integer", "10"), x);
    Expr *is_zero = call("=", x, zero);
    assert_string_equal(test_run(quotient, &batch, 0, arena), "error: division by zero");
    assert_string_equal(
        test_run(FORM(EXPR_CASE, TYPE_INT4, is_zero, x, quotient), &batch, 0, arena), "0");
    /* the reason that is told is that of the error that is left, not the first one that came up */
    Expr *far =
        call("+", call("+", x, constant("integer", "2147483647")), constant("integer", "1"));
    Expr *sum = call("+", FORM(EXPR_CASE, TYPE_INT4, is_zero, x, quotient), far);
    assert_string_equal(test_run(sum, &batch, 2, arena), "error: integer out of range");
    Expr *or_else = FORM(EXPR_OR, TYPE_BOOL, is_zero, call("=", quotient, zero));
    assert_string_equal(test_run(or_else, &batch, 0, arena), "true");
    Expr *or_first = FORM(EXPR_OR, TYPE_BOOL, call("=", quotient, zero), is_zero);
    assert_string_equal(test_run(or_first, &batch, 1, arena), "error: division by zero");
    /* a constant that fails is each row's own error */
    Expr *always = call("/", constant("integer", "1"), zero);
    assert_int_equal(always->kind, EXPR_CALL);
    assert_string_equal(test_run(always, &batch, 2, arena), "error: division by zero");
}

static void constants_are_folded(void **state) {
    (void)state;
    Expr *seven = call("+", constant("integer", "3"),
                       call("*", constant("integer", "2"), constant("integer", "2")));
    assert_int_equal(seven->kind, EXPR_CONSTANT);
    assert_int_equal(seven->value.integer, 7);
    assert_int_equal(seven->type.kind, TYPE_INT4);
    Expr *nothing = call("+", constant("integer", NULL), constant("integer", "1"));
    assert_int_equal(nothing->kind, EXPR_CONSTANT);
    assert_true(nothing->value.null);
    Expr *text = FORM(EXPR_CASE, TYPE_TEXT, constant("boolean", "f"), constant("text", "no"),
                      constant("text", "yes"));
    assert_int_equal(text->kind, EXPR_CONSTANT);
    assert_true(str_equal(text->value.str, STR("yes")));
    const Function *f;
    assert_int_equal(functions_named(STR("RANDOM"), false, &f, 1), 1);
    Expr *random = expr_call(arena, f, type_of(TYPE_FLOAT8), NULL, 0);
    assert_int_equal(random->kind, EXPR_CALL);
    assert_int_equal(expr_flags(call("+", random, random)), FUNCTION_VOLATILE);
}

static void in_knows_null(void **state) {
    (void)state;
    Value values[2] = {test_value((Argument){"bigint", "7"}, arena),
                       test_value((Argument){"text", "b"}, arena)};
    Batch batch = test_batch(values, 2, true, arena);
    Expr *x = expr_column(arena, 0, type_of(TYPE_INT8)),
         *s = expr_column(arena, 1, type_of(TYPE_TEXT));
    Expr *three = constant("bigint", "3"), *seven = constant("bigint", "7"),
         *null = constant("bigint", NULL);
    assert_bools(FORM(EXPR_IN, TYPE_BOOL, x, seven, three), &batch, "tnt");
    assert_bools(FORM(EXPR_IN, TYPE_BOOL, x, three), &batch, "fnf");
    assert_bools(FORM(EXPR_IN, TYPE_BOOL, x, three, null), &batch, "nnn");
    assert_bools(FORM(EXPR_IN, TYPE_BOOL, x, null, seven), &batch, "tnt");
    assert_bools(FORM(EXPR_IN, TYPE_BOOL, s, constant("text", "c"), constant("text", "b"),
                      constant("text", "a")),
                 &batch, "tnt");
    /* lists are told apart when parts are shared */
    Expr *first = FORM(EXPR_IN, TYPE_BOOL, x, three), *second = FORM(EXPR_IN, TYPE_BOOL, x, seven);
    assert_bools(FORM(EXPR_OR, TYPE_BOOL, first, second), &batch, "tnt");
    Expr *doubles = FORM(EXPR_IN, TYPE_BOOL, constant("double precision", "NaN"),
                         constant("double precision", "1"), constant("double precision", "NaN"));
    assert_int_equal(doubles->kind, EXPR_CONSTANT);
    assert_true(doubles->value.boolean);
}

static void equal_parts_are_computed_once_and_random_ones_are_not(void **state) {
    (void)state;
    Value values[1] = {test_value((Argument){"bigint", "7"}, arena)};
    Batch batch = test_batch(values, 1, false, arena);
    Expr *x = expr_column(arena, 0, type_of(TYPE_INT8)),
         *again = expr_column(arena, 0, type_of(TYPE_INT8));
    Expr *exprs[4] = {call("*", x, x), call("*", again, x), NULL, NULL};
    const Function *f;
    assert_int_equal(functions_named(STR("random"), false, &f, 1), 1);
    exprs[2] = expr_call(arena, f, type_of(TYPE_FLOAT8), NULL, 0);
    exprs[3] = expr_call(arena, f, type_of(TYPE_FLOAT8), NULL, 0);
    FakeEnv env;
    fake_env_init(&env, 0, 1);
    Program *program;
    Error error;
    assert_int_equal(program_new(exprs, 4, &env.env, &program, &error), OK);
    RowErrors errors = {.arena = arena};
    Column out[4];
    program_run(program, &batch, arena, &errors, out);
    assert_ptr_equal(out[0].ints, out[1].ints);
    assert_int_equal(out[0].ints[2], 49);
    assert_true(out[2].floats[0] != out[3].floats[0]);
    assert_true(out[2].floats[0] != out[2].floats[1]);
    program_free(&program);
}

static void any_number_of_rows(void **state) {
    (void)state;
    Expr *now = arena_zero(arena, sizeof *now);
    *now = (Expr){.kind = EXPR_HIDDEN, .type = type_of(TYPE_TIMESTAMPTZ), .hidden = HIDDEN_NOW};
    Expr *time = arena_zero(arena, sizeof *time);
    *time =
        (Expr){.kind = EXPR_HIDDEN, .type = type_of(TYPE_TIMESTAMPTZ), .hidden = HIDDEN_EVENT_TIME};
    Expr *exprs[3] = {constant("text", "abc"), call("<", time, now), call("=", now, now)};
    FakeEnv env;
    fake_env_init(&env, 0, 1);
    Program *program;
    Error error;
    assert_int_equal(program_new(exprs, 3, &env.env, &program, &error), OK);
    for (int rows = 0; rows <= 3 * BATCH_ROWS; rows += BATCH_ROWS - 1) {
        int64_t *times = arena_new_array(arena, int64_t, rows + 1);
        for (int i = 0; i < rows; i++) times[i] = i;
        Batch batch = {.rows = rows, .arena = arena, .event_times = times, .taken_us = 10};
        RowErrors errors = {.arena = arena};
        Column out[3];
        program_run(program, &batch, arena, &errors, out);
        for (int i = 0; i < rows; i++) {
            assert_true(str_equal(out[0].strs[i], STR("abc")));
            assert_int_equal(out[1].bools[i], i < 10);
            assert_int_equal(out[2].bools[i], 1);
        }
        assert_true(out[0].constant || rows == 0);
        batch.event_times = NULL;
        program_run(program, &batch, arena, &errors, out);
        for (int i = 0; i < rows; i++) assert_int_equal(column_state(&out[1], i), VALUE_NULL);
    }
    program_free(&program);
}

static void assert_text(Expr *e, const Schema *schema, const char *expected) {
    Buffer text = {0};
    expr_text(e, schema, &text);
    buffer_add_char(&text, 0);
    assert_string_equal(text.data, expected);
    buffer_free(&text);
}

static void texts_tell_trees_apart(void **state) {
    (void)state;
    Field fields[] = {{.name = "value"}, {.name = "device id"}, {.name = "x"}, {.name = "x"}};
    Schema schema = {4, fields};
    Expr *value = expr_column(arena, 0, type_of(TYPE_INT8)),
         *device = expr_column(arena, 1, type_of(TYPE_TEXT));
    assert_text(call("+", value, constant("bigint", "1")), &schema, "(value + '1'::bigint)");
    assert_text(call("=", device, constant("text", "it's")), &schema, "(\"device id\" = 'it''s')");
    assert_text(call("-", expr_column(arena, 2, type_of(TYPE_INT4)), NULL), &schema, "(- x#3)");
    assert_text(call("abs", value, NULL), NULL, "abs($1)");
    assert_text(FORM(EXPR_CASE, TYPE_INT8, call("<", value, constant("integer", "5")), value),
                &schema, "CASE WHEN (value < 5) THEN value END");
    Expr **args = arena_new_array(arena, Expr *, 1);
    args[0] = value;
    Expr *cast =
        expr_call(arena, cast_between(TYPE_INT8, TYPE_VARCHAR), (Type){TYPE_VARCHAR, 5}, args, 1);
    assert_text(cast, &schema, "(value)::character varying(5)");
    assert_true(expr_equal(call("abs", value, NULL),
                           call("abs", expr_column(arena, 0, type_of(TYPE_INT8)), NULL)));
    assert_false(expr_equal(constant("numeric", "1.0"), constant("numeric", "1.00")));
    assert_false(expr_equal(value, device));
}

static void the_table_is_sound(void **state) {
    (void)state;
    const Function *f;
    int count = 0;
    for (; (f = function_at(count)); count++) {
        assert_non_null(f->kernel);
        assert_true(f->arg_count <= FUNCTION_ARGS);
        if (f->flags & FUNCTION_CAST) {
            assert_true(cast_between(f->args[0], f->result) == f || strcmp(f->name, "assign") == 0);
            continue;
        }
        const Function *found[200];
        int named = functions_named(str_from(f->name), f->flags & FUNCTION_OPERATOR, found, 200);
        int equal = 0;
        for (int i = 0; i < named; i++)
            equal += found[i]->arg_count == f->arg_count &&
                     memcmp(found[i]->args, f->args, sizeof f->args) == 0;
        if (equal != 1) fail_msg("%s: %d rows for the same types", f->name, equal);
    }
    assert_true(count > 300);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(and_or_decide_from_left_to_right),
        TEST(errors_that_nobody_asks_for_are_no_errors),
        TEST(constants_are_folded),
        TEST(in_knows_null),
        TEST(equal_parts_are_computed_once_and_random_ones_are_not),
        TEST(any_number_of_rows),
        TEST(texts_tell_trees_apart),
        TEST(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
