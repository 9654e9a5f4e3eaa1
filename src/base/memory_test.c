/* Arenas and the map. */
#include "base/hash.h"
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void arena_gives_aligned_memory_and_keeps_its_largest_block(void **state) {
    (void)state;
    Arena *arena = arena_new();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3000; i++) {
            char *at = arena_alloc(arena, i % 97);
            assert_int_equal((uintptr_t)at % 16, 0);
            memset(at, 1, i % 97);
        }
        char *big = arena_zero(arena, 3 << 20);
        assert_int_equal(big[(3 << 20) - 1], 0);
        arena_reset(arena);
        assert_int_equal(arena_bytes(arena), 3 << 20);
    }
    Str copy = arena_str(arena, STR("abc"));
    assert_string_equal(copy.data, "abc");
    assert_string_equal(arena_format(arena, "%d-%s", 7, "x"), "7-x");
    assert_string_equal(arena_text(arena, (Str){NULL, 0}), "");
    arena_free(&arena);
    assert_null(arena);
}

static void map_finds_what_was_set(void **state) {
    (void)state;
    Map *map = map_new();
    static int values[1000];
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        map_set(map, str_from(key), &values[i]);
    }
    map_set(map, STR(""), &values[5]);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_ptr_equal(map_get(map, str_from(key)), &values[i]);
    }
    assert_ptr_equal(map_get(map, STR("")), &values[5]);
    assert_null(map_get(map, STR("key1000")));
    map_set(map, STR("key3"), NULL);
    assert_null(map_get(map, STR("key3")));
    map_free(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_aligned_memory_and_keeps_its_largest_block),
        cmocka_unit_test(map_finds_what_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
