/* For the tests of sources: a table's options, a home that is a list of facts, and reading to the
 * end. */
#pragma once
#include "base/hash.h"
#include "connector/connector.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct TestSource {
    OptionValue values[16];
    Options options;
    FakeEnv env;
    SourceContext context;
    Map *facts;
    Source *source;
    Arena *arena;
    Error error;
} TestSource;

static inline const char *test_get(void *home, const char *name) {
    return map_get(((TestSource *)home)->facts, str_from(name));
}

static inline Status test_set(void *home, const char *name, const char *value, Error *error) {
    (void)error;
    TestSource *t = home;
    map_set(t->facts, str_from(name), arena_text(t->arena, str_from(value)));
    return OK;
}

static inline void test_init(TestSource *t, const Format *format) {
    *t = (TestSource){.facts = map_new(), .arena = arena_new()};
    fake_env_init(&t->env, INT64_C(1767225600000000), 1);
    t->context = (SourceContext){.env = &t->env.env,
                                 .table = "t",
                                 .pipeline = "p",
                                 .format = format,
                                 .options = &t->options,
                                 .chunk_bytes = 4096,
                                 .get = test_get,
                                 .set = test_set,
                                 .home = t};
    t->options.values = t->values;
}

static inline void test_option(TestSource *t, const Option *rows, const char *name,
                               const char *text) {
    OptionValue *value = &t->values[t->options.count++];
    for (const Option *row = rows; row && row->name; row++)
        if (strcmp(row->name, name) == 0) {
            assert_int_equal(option_parse(row, text, value, &t->error), OK);
            return;
        }
    fail_msg("no option %s", name);
}

static inline Status test_open(TestSource *t, const SourceType *type) {
    return type->open(&t->context, &t->source, &t->error);
}

static inline void test_close(TestSource *t) {
    if (t->source) t->source->type->close(t->source);
    t->source = NULL;
}

static inline void test_done(TestSource *t) {
    test_close(t);
    map_free(&t->facts);
    arena_free(&t->arena);
}

/* The next chunk's text (records with a newline each) into `out`; its end into *position. */
static inline Status test_next(TestSource *t, int partition, Buffer *out, int64_t *position) {
    Chunk *chunk;
    bool at_end;
    Status status = t->source->type->next(t->source, partition, &chunk, &at_end, &t->error);
    if (status != OK) return status;
    assert_int_equal(chunk->partition, partition);
    if (chunk->records) {
        for (int i = 0; i < chunk->record_count; i++) {
            buffer_add_str(out, chunk->records[i].body);
            buffer_add_char(out, '\n');
        }
    } else {
        assert_int_equal(chunk->end - chunk->begin, chunk->bytes.size);
        buffer_add_str(out, chunk->bytes);
    }
    if (position) {
        if (*position != NO_POSITION) assert_int_equal(chunk->begin, *position);
        *position = chunk->end;
    }
    chunk->release(chunk);
    return OK;
}
