/* Batches: choosing, gathering and slicing rows with everything that hangs on them. */
#include "data/value.h"
#include <setjmp.h>
#include <cmocka.h>

static Arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

enum { ROWS = 5 };

static Batch *example(void) {
    static const int64_t positions[ROWS] = {10, 20, 30, 40, 50};
    static const int32_t ordinals[ROWS] = {0, 1, 2, 3, 4};
    static const uint8_t ops[ROWS] = {0, 1, 2, 0, 1};
    Batch like = {
        .source = 3, .partition = 2, .positions = positions, .ordinals = ordinals, .ops = ops};
    Batch *batch = batch_like(&like, 3, arena);
    batch->rows = ROWS;
    static const TypeKind kinds[] = {TYPE_INT8, TYPE_TEXT, TYPE_BOOL};
    static const char *const texts[] = {"a", "b", "c", "d", "e"};
    for (int c = 0; c < 3; c++) {
        batch->columns[c] = column_new(type_of(kinds[c]), ROWS, false, arena);
        for (int row = 0; row < ROWS; row++) {
            Value value = {.type = type_of(kinds[c]), .null = c == 0 && row == 1};
            if (c == 0) value.integer = row * 100;
            if (c == 1) value.str = str_from(texts[row]);
            if (c == 2) value.boolean = row % 2 == 1;
            column_set(&batch->columns[c], row, value, arena);
        }
    }
    RowErrors *errors = arena_zero(arena, sizeof *errors);
    errors->arena = arena;
    row_error(errors, 3, "value %d is bad", 3);
    row_error(errors, 3, "later");
    batch->errors = errors;
    return batch;
}

static void select_keeps_rows_with_all_that_belongs_to_them(void **state) {
    (void)state;
    Batch *batch = example();
    assert_null(batch->columns[1].states);
    Batch *kept = batch_select(batch, (const uint8_t[]){0, 1, 0, 1, 0}, arena);
    assert_int_equal(kept->rows, 2);
    assert_true(column_value(&kept->columns[0], 0).null);
    assert_int_equal(column_value(&kept->columns[0], 1).integer, 300);
    assert_true(str_equal(kept->columns[1].strs[1], STR("d")));
    assert_int_equal(kept->columns[2].bools[0], 1);
    assert_int_equal(kept->positions[1], 40);
    assert_int_equal(kept->ordinals[0], 1);
    assert_int_equal(kept->ops[0], ROW_UPSERT);
    assert_null(kept->records);
    assert_int_equal(kept->source, 3);
    assert_string_equal(row_error_text(kept->errors, 1), "value 3 is bad");
    assert_string_equal(row_error_text(kept->errors, 0), "unknown error");
    Batch *all = batch_select(batch, (const uint8_t[]){1, 1, 2, 1, 1}, arena);
    assert_int_equal(all->rows, ROWS);
    assert_ptr_equal(all->positions, batch->positions);
    assert_int_equal(batch_select(batch, (const uint8_t[ROWS]){0}, arena)->rows, 0);
}

static void gather_repeats_and_leaves_holes(void **state) {
    (void)state;
    Batch *batch = example();
    const int32_t indexes[] = {3, 3, 0};
    Batch *out = batch_gather(batch, indexes, 3, arena);
    assert_int_equal(out->positions[1], 40);
    assert_string_equal(row_error_text(out->errors, 0), "value 3 is bad");
    assert_string_equal(row_error_text(out->errors, 1), "value 3 is bad");
    const int32_t holes[] = {-1, 4, 1};
    Column column = column_gather(&batch->columns[0], holes, 3, arena);
    assert_int_equal(column_state(&column, 0), VALUE_NULL);
    assert_int_equal(column.ints[1], 400);
    assert_int_equal(column_state(&column, 1), VALUE_OK);
    assert_int_equal(column_state(&column, 2), VALUE_NULL);
}

static void slice_is_a_view(void **state) {
    (void)state;
    Batch *batch = example();
    Batch *slice = batch_slice(batch, 2, 2, arena);
    assert_int_equal(slice->rows, 2);
    assert_ptr_equal(slice->columns[0].ints, batch->columns[0].ints + 2);
    assert_int_equal(slice->positions[0], 30);
    assert_true(column_ok(&slice->columns[0], 0));
    assert_string_equal(row_error_text(slice->errors, 1), "value 3 is bad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_keeps_rows_with_all_that_belongs_to_them),
        cmocka_unit_test(gather_repeats_and_leaves_holes),
        cmocka_unit_test(slice_is_a_view),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
