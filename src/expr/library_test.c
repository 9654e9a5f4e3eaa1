/* The function library against PostgreSQL: library_cases.tsv holds calls with the answers that
 * PostgreSQL 15 gave (TimeZone UTC, C.UTF-8): name, type:value for each argument, and "= answer" or
 * "! message", apart by tabs, escaped as COPY does. Every call is made with constants (prepared or
 * folded) and with columns that have a NULL between; both must say the same. Messages may add a
 * remedy to PostgreSQL's. */
#include "expr/expr_test.h"
#include "data/jsonb.h"
#include <stdlib.h>

enum { ARGS_MOST = 8 };

static const char *cases_path;

/* COPY's escapes undone, in place. NULL for \N. */
static char *unescape(char *text) {
    if (strcmp(text, "\\N") == 0) return NULL;
    char *to = text;
    for (char *at = text; *at; at++) {
        if (*at == '\\' && at[1]) {
            at++;
            *to++ = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at == 'r' ? '\r' : *at;
        } else *to++ = *at;
    }
    *to = 0;
    return text;
}

/* PostgreSQL's array literal without escapes: {a,NULL,"b c"}. */
static Value text_array(char *literal, Arena *arena) {
    Buffer items = {0}, array = {0};
    int count = 0;
    literal[strlen(literal) - 1] = 0;
    for (char *rest = literal + 1, *item; (item = strsep(&rest, ",")); count++) {
        size_t size = strlen(item);
        bool quoted = *item == '"';
        text_array_add(&items, strcmp(item, "NULL") == 0,
                       quoted ? (Str){item + 1, size - 2} : (Str){item, size});
    }
    text_array_begin(&array, count);
    buffer_add_str(&array, buffer_str(&items));
    Value value = {.type = type_of(TYPE_TEXT_ARRAY), .str = arena_str(arena, buffer_str(&array))};
    buffer_free(&items);
    buffer_free(&array);
    return value;
}

static const char *shown(Value value, Arena *arena) {
    if (value.null) return "\\N";
    if (value.type.kind == TYPE_BOOL) return value.boolean ? "true" : "false";
    Buffer text = {0};
    if (value.type.kind == TYPE_TEXT_ARRAY) value_json(value, &text);
    else if (value.type.kind != TYPE_JSONB || !jsonb_normalize(value.str, &text))
        value_text(value, &text);
    const char *copy = arena_text(arena, buffer_str(&text));
    buffer_free(&text);
    return copy;
}

static const char *run(Expr *e, const Batch *batch, int row, Arena *arena) {
    FakeEnv env;
    fake_env_init(&env, 0, 1);
    Program *program;
    Error error;
    if (program_new(&e, 1, &env.env, &program, &error) != OK)
        return arena_format(arena, "! %s", error.text);
    RowErrors errors = {.arena = arena};
    Column out;
    program_run(program, batch, arena, &errors, &out);
    const char *text = column_state(&out, row) == VALUE_ERROR
                           ? arena_format(arena, "! %s", row_error_text(&errors, row))
                           : arena_format(arena, "= %s", shown(column_value(&out, row), arena));
    program_free(&program);
    return text;
}

static bool agrees(const char *got, const char *wanted) {
    if (*wanted == '!') return strncmp(got, wanted, strlen(wanted)) == 0;
    return strcmp(got, wanted) == 0;
}

/* Number of wrong answers. */
static int check_case(const char *name, char **fields, int count, const char *wanted, int line) {
    Arena *arena = arena_new();
    Value values[ARGS_MOST];
    Expr **constants = arena_new_array(arena, Expr *, ARGS_MOST),
         **columns = arena_new_array(arena, Expr *, ARGS_MOST);
    for (int i = 0; i < count; i++) {
        char *colon = strchr(fields[i], ':');
        *colon = 0;
        values[i] = strcmp(fields[i], "text[]") == 0
                        ? text_array(unescape(colon + 1), arena)
                        : test_value((Argument){fields[i], unescape(colon + 1)}, arena);
        constants[i] = expr_constant(arena, values[i]);
        columns[i] = expr_column(arena, i, values[i].type);
    }
    const Function *f = test_function(name, !is_word(name), values, count);
    Batch batch = test_batch(values, count, true, arena);
    Type result = type_of(f->result);
    const char *got[2] = {
        run(expr_call(arena, f, result, constants, count), &batch, 0, arena),
        run(expr_call(arena, f, result, columns, count), &batch, TEST_ROWS - 1, arena)};
    int wrong = 0;
    for (int way = 0; way < 2; way++) {
        if (agrees(got[way], wanted)) continue;
        print_error("line %d: %s by %s: got %s, wanted %s\n", line, name,
                    way ? "columns" : "constants", got[way], wanted);
        wrong++;
    }
    arena_free(&arena);
    return wrong;
}

static void test_cases(void **state) {
    (void)state;
    FILE *file = fopen(cases_path, "r");
    assert_non_null(file);
    char *text = NULL;
    size_t size = 0;
    int line = 0, wrong = 0;
    for (ssize_t length; (length = getline(&text, &size, file)) > 0;) {
        line++;
        if (text[length - 1] == '\n') text[length - 1] = 0;
        if (*text == '#' || !*text) continue;
        char *fields[ARGS_MOST + 2], *rest = text;
        int count = 0;
        while (rest && count < ARGS_MOST + 2) fields[count++] = strsep(&rest, "\t");
        char *wanted = fields[count - 1];
        if (strcmp(wanted, "= \\N") != 0) unescape(wanted);
        wrong += check_case(fields[0], fields + 1, count - 2, wanted, line);
    }
    free(text);
    fclose(file);
    assert_true(line > 0);
    assert_int_equal(wrong, 0);
}

static void assert_call(const char *name, const char *wanted, Argument a, Argument b) {
    Arena *arena = arena_new();
    Value values[2] = {test_value(a, arena), test_value(b, arena)};
    const Function *f = test_function(name, !is_word(name), values, 2);
    assert_string_equal(test_call(f, type_of(f->result), values, 2, arena), wanted);
    arena_free(&arena);
}

/* A bad row costs its error and no more: neither the machine's memory nor minutes. */
static void test_limits(void **state) {
    (void)state;
    assert_call("repeat", "error: requested length too large", (Argument){"text", "ab"},
                (Argument){"int", "33554433"});
    assert_call("lpad", "error: requested length too large", (Argument){"text", "ab"},
                (Argument){"int", "2000000000"});
    assert_call("~", "error: regular expression failed: match limit exceeded",
                (Argument){"text", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
                (Argument){"text", "^(a+)+$"});
    assert_call("~", "error: invalid regular expression: regular expression is too large",
                (Argument){"text", "a"}, (Argument){"text", "((((a{255}){255}){255}){255})"});
}

/* The clock and random numbers come from the call and the Env alone. */
static void test_outside(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Batch batch = {.rows = TEST_ROWS, .arena = arena, .taken_us = INT64_C(1600000000000001)};
    const Function *f = test_function("now", false, NULL, 0);
    Expr *e = expr_call(arena, f, type_of(f->result), NULL, 0);
    assert_string_equal(test_run(e, &batch, 1, arena), "2020-09-13 12:26:40.000001+00");
    f = test_function("current_date", false, NULL, 0);
    e = expr_call(arena, f, type_of(f->result), NULL, 0);
    assert_string_equal(test_run(e, &batch, 1, arena), "2020-09-13");
    Value birth = test_value((Argument){"timestamp", "1999-12-31 12:00"}, arena);
    f = test_function("age", false, &birth, 1);
    Expr *arg = expr_constant(arena, birth);
    e = expr_call(arena, f, type_of(f->result), &arg, 1);
    assert_string_equal(test_run(e, &batch, 1, arena), "20 years 8 mons 12 days 12:00:00");
    f = test_function("gen_random_uuid", false, NULL, 0);
    e = expr_call(arena, f, type_of(f->result), NULL, 0);
    const char *first = test_run(e, &batch, 0, arena), *second = test_run(e, &batch, 1, arena);
    assert_int_equal(strlen(first), 36);
    assert_int_equal(first[14], '4');
    assert_non_null(strchr("89ab", first[19]));
    assert_string_not_equal(first, second);
    assert_string_equal(first, test_run(e, &batch, 0, arena)); /* the same seed */
    arena_free(&arena);
}

int main(int argc, char **argv) {
    cases_path = argc > 1 ? argv[1] : "library_cases.tsv";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_outside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
