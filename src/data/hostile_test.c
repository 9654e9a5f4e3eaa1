/* Any bytes of any length go through every reader without harm: good texts, cut and damaged at
 * random from a fixed seed, each in a block of exactly its size so that the sanitizers see one byte
 * too far. What is read must print and read back. */
#include "base/random.h"
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "data/value.h"
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

static const char *const seeds[] = {
    "2021-07-11T17:16:40.1234567Z",
    "2020-01-01 00:00:00.5 Europe/Berlin",
    "January 8, 1999 04:05:06 PM PST",
    "1 year 2 mons -3 days 04:05:06.7 ago",
    "P1Y2M3W4DT5H6M7.8S",
    "-123456789.0123456789e-12",
    "340282366920938463463374607431768211456.5",
    "NaN",
    "-infinity",
    "0x1.8p3",
    "true",
    "{\"a\":[1,-2.5e3,\"x\\u00e4\\ud83d\\ude00\",null,{\"b\":true}],\"c\":{}}",
    "\\xdeadbeef",
    "a\\\\\\377",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "9223372036854775807",
};

static Random chance;

static Str damaged(void) {
    const char *seed = seeds[random_below(&chance, sizeof seeds / sizeof *seeds)];
    size_t size = strlen(seed);
    if (random_below(&chance, 3) == 0) size = random_below(&chance, size + 1);
    char *text = malloc(size ? size : 1);
    memcpy(text, seed, size);
    for (uint64_t i = random_below(&chance, 4); i > 0 && size > 0; i--) {
        static const char likely[] = "0123456789.-+:eE\"\\{}[], TZPx/\x00\x80\xff\xed";
        uint64_t at = random_below(&chance, size);
        if (random_below(&chance, 2)) text[at] = likely[random_below(&chance, sizeof likely)];
        else text[at] = (char)random_next(&chance);
    }
    return (Str){text, size};
}

static void read_as_every_type(Str text, Arena *arena, Buffer *out) {
    for (TypeKind kind = TYPE_BOOL; kind < TYPE_TEXT_ARRAY; kind++) {
        Value value, again;
        Error error;
        if (value_parse(type_of(kind), text, &value, arena, &error) != OK) continue;
        out->size = 0;
        value_text(value, out);
        Str printed = arena_str(arena, buffer_str(out));
        if (value_parse(type_of(kind), printed, &again, arena, &error) != OK)
            fail_msg("%.*s printed as %.*s: %s", STR_ARG(text), STR_ARG(printed), error.text);
        assert_int_equal(value_compare(value, again), 0);
        out->size = 0;
        value_json(value, out);
        assert_true(memchr(text.data, '\0', text.size) || jsonb_valid(buffer_str(out)));
        out->size = 0;
        value_encode(value, out);
        Reader reader = reader_of(buffer_str(out));
        assert_int_equal(value_compare(value, value_decode(type_of(kind), &reader, arena)), 0);
    }
}

static void walk(Str text, Arena *arena, Buffer *out) {
    Str found;
    Error error;
    const Str path[] = {STR("a"), STR("2")};
    jsonb_get_key(text, STR("c"), &found);
    jsonb_get_index(text, -1, &found);
    if (jsonb_get_path(text, path, 2, &found)) {
        out->size = 0;
        if (jsonb_as_text(found, out, &error) == REJECT) assert_int_equal(out->size, 0);
    }
    jsonb_string_view(text, &found, arena);
    jsonb_compare(text, STR("{}"));
    jsonb_contains(text, STR("[1]"));
    out->size = 0;
    jsonb_key(text, out);
}

static void decode(Str bytes, Arena *arena) {
    for (TypeKind kind = TYPE_BOOL; kind < TYPE_KINDS; kind++) {
        Reader reader = reader_of(bytes);
        Value value = value_decode(type_of(kind), &reader, arena);
        Buffer out = {0};
        if (kind != TYPE_JSONB) value_text(value, &out);
        buffer_free(&out);
        reader = reader_of(bytes);
        key_decode(type_of(kind), &reader, arena);
    }
    Reader reader = reader_of(bytes);
    NumericSum sum;
    numeric_sum_decode(&sum, &reader);
    numeric_sum_total(&sum, arena);
    numeric_sum_free(&sum);
}

static void any_bytes_are_harmless(void **state) {
    (void)state;
    random_seed(&chance, 2024);
    Arena *arena = arena_new();
    Buffer out = {0};
    for (int i = 0; i < 20000; i++) {
        Str text = damaged();
        int64_t us;
        if (rfc3339_parse(text, &us) == OK)
            assert_in_range(us - FIRST_INPUT_US, 0, LAST_INPUT_US - FIRST_INPUT_US);
        read_as_every_type(text, arena, &out);
        walk(text, arena, &out);
        decode(text, arena);
        out.size = 0;
        json_string(text, &out);
        assert_true(memchr(text.data, '\0', text.size) || jsonb_valid(buffer_str(&out)));
        free((char *)(uintptr_t)text.data);
        arena_reset(arena);
    }
    buffer_free(&out);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_bytes_are_harmless)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
