/* Slices, buffers, binary records, errors, and the seeded numbers. */
#include "base/env.h"
#include "base/memory.h"
#include "base/random.h"
#include <setjmp.h>
#include <cmocka.h>

static void slices_compare_bytewise(void **state) {
    (void)state;
    assert_true(str_compare(STR("a"), STR("b")) < 0);
    assert_true(str_compare(STR("a"), STR("ab")) < 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_compare(STR(""), (Str){NULL, 0}), 0);
    assert_true(str_equal(STR(""), (Str){NULL, 0}));
    assert_true(str_equal_nocase(STR("AbC"), STR("aBc")));
    assert_false(str_equal_nocase(STR("AbC"), STR("aBd")));
}

static void closest_name_guesses_what_was_meant(void **state) {
    (void)state;
    static const char *const names[] = {"connector", "topic", "format", "start", "stat"};
    assert_string_equal(closest_name("toppic", names, 5), "topic");
    assert_string_equal(closest_name("fromat", names, 5), "format");
    assert_string_equal(closest_name("conector", names, 5), "connector");
    assert_string_equal(closest_name("START", names, 5), "start");
    assert_null(closest_name("zzz", names, 5));
    assert_null(closest_name("", names, 5));
}

static void records_read_back(void **state) {
    (void)state;
    Buffer b = {0};
    buffer_add_u8(&b, 200);
    buffer_add_u32(&b, 4000000000u);
    buffer_add_i64(&b, -5);
    buffer_add_f64(&b, -0.1);
    buffer_add_varint(&b, 127);
    buffer_add_varint(&b, UINT64_MAX);
    buffer_add_sized(&b, STR("text"));
    Reader r = reader_of(buffer_str(&b));
    assert_int_equal(read_u8(&r), 200);
    assert_int_equal(read_u32(&r), 4000000000u);
    assert_int_equal(read_i64(&r), -5);
    assert_true(read_f64(&r) == -0.1);
    assert_int_equal(read_varint(&r), 127);
    assert_true(read_varint(&r) == UINT64_MAX);
    assert_true(str_equal(read_sized(&r), STR("text")));
    assert_false(r.bad);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.bad);
    for (size_t cut = 0; cut < b.size; cut++) { /* every torn record is noticed */
        Reader torn = reader_of((Str){b.data, cut});
        read_u8(&torn), read_u32(&torn), read_i64(&torn), read_f64(&torn);
        read_varint(&torn), read_varint(&torn), read_sized(&torn);
        assert_true(torn.bad);
    }
    Reader endless = reader_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_int_equal(read_varint(&endless), 0);
    assert_true(endless.bad);
    Reader huge = reader_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"));
    assert_int_equal(read_sized(&huge).size, 0);
    assert_true(huge.bad);
    buffer_free(&b);
    buffer_add_format(&b, "%s %d", "a", 1);
    buffer_add_text(&b, "!");
    assert_true(str_equal(buffer_str(&b), STR("a 1!")));
    buffer_add_format(&b, "%*d", 1000, 7);
    assert_int_equal(b.size, 1004);
    assert_int_equal(b.data[1003], '7');
    buffer_free(&b);
}

static void errors_are_cut_at_a_whole_character(void **state) {
    (void)state;
    char text[3000];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA4", 2);
    text[sizeof text - 2] = '\0';
    Error error = {0};
    assert_int_equal((fail)(&error, "%s", text), FAIL); /* cmocka has a macro of that name */
    size_t size = strlen(error.text);
    assert_true(size < sizeof error.text);
    assert_string_equal(error.text + size - 3, "...");
    assert_int_equal((unsigned char)error.text[size - 4], 0xA4);
    assert_int_equal(fail_at(&error, 3, 4, "x %d", 5), FAIL);
    assert_int_equal(error.line, 3);
    assert_int_equal(error.column, 4);
    assert_string_equal(error.text, "x 5");
    assert_int_equal(reject(NULL, "x"), REJECT);
}

static void seeds_give_the_same_numbers_for_ever(void **state) {
    (void)state;
    Random r;
    random_seed(&r, 42);
    assert_true(random_next(&r) == UINT64_C(1546998764402558742));
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) seen[random_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 800, 1200);
    FakeEnv fake;
    fake_env_init(&fake, 17, 1);
    assert_int_equal(fake.env.now_us(&fake.env), 17);
    char a[20], b[20];
    fake.env.random_bytes(&fake.env, a, sizeof a);
    fake_env_init(&fake, 17, 1);
    fake.env.random_bytes(&fake.env, b, sizeof b);
    assert_memory_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_bytewise),
        cmocka_unit_test(closest_name_guesses_what_was_meant),
        cmocka_unit_test(records_read_back),
        cmocka_unit_test(errors_are_cut_at_a_whole_character),
        cmocka_unit_test(seeds_give_the_same_numbers_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
