/* The simulator: same seed, same events, from any place; ids that lead back; chances as promised;
 * the source's pace, restarts and segments. */
#include "connector/generator/generator.h"
#include "connector/test_source.h"
#include "data/jsonb.h"

static const int64_t start_us = INT64_C(1767225600000000);

static EventSpec sample(void) {
    return (EventSpec){.seed = 7,
                       .devices = 1000,
                       .fields = 23,
                       .duplicates = 0.01,
                       .bad = 0.003,
                       .late = 0.01,
                       .disorder_us = 2000000};
}

static void test_layout(void **state) {
    (void)state;
    EventSpec spec = sample();
    EventWriter *writer = event_writer_new(&spec);
    char *text = malloc(event_bytes_most(writer));
    Event *e = malloc(sizeof *e);
    Segment segment = {0, start_us};
    size_t bytes = 0;
    for (int64_t n = 0; n < 20000; n++) {
        event_of(&spec, segment, n, e);
        event_fields(&spec, e);
        assert_int_equal(e->device, n % 1000);
        assert_int_equal(e->sequence, n / 1000);
        Str record = {text, event_write(writer, e, EVENT_ITSELF, text)};
        assert_true(record.size <= event_bytes_most(writer));
        assert_true(jsonb_valid(record));
        bytes += record.size;
        int64_t behind = segment_time(&spec, segment, n) - e->created_us;
        assert_true(e->late ? behind == EVENT_LATE_US : behind >= 0 && behind <= spec.disorder_us);
    }
    assert_in_range(bytes / 20000, 820, 880);
    event_of(&spec, segment, 0, e);
    event_fields(&spec, e);
    Str first = {text, event_write(writer, e, EVENT_ITSELF, text)};
    static const char begin[] = "{ \"eventId\": \"36741d93-371a-4b45-b84c-708ce4f203cd\", "
                                "\"value\": 0.1228152407, \"deviceId\": "
                                "\"contoso-device-id-000000\", \"deviceSequenceNumber\": 0, "
                                "\"type\": \"CO2\", \"createdAt\": "
                                "\"2026-01-01T00:00:00.0000000Z\", \"complexData\": { "
                                "\"moreData1\": 0.502029502, \"moreData2\": ";
    assert_true(first.size > sizeof begin &&
                memcmp(first.data, begin, sizeof begin - 1) == 0); /* the same for ever */
    free(e);
    free(text);
    event_writer_free(&writer);
}

static void test_ids(void **state) {
    (void)state;
    EventSpec spec = sample(), other = sample();
    other.seed = 8;
    Event *e = malloc(sizeof *e);
    for (int64_t n = 0; n < 5000; n++) {
        int64_t number, at = n < 2500 ? n : INT64_C(1) << (n % 49);
        bool broken;
        event_of(&spec, (Segment){0}, at, e);
        Str id = {e->id, sizeof e->id};
        assert_true(event_of_id(&spec, id, &number, &broken));
        assert_int_equal(number, at);
        assert_false(broken);
        assert_false(event_of_id(&other, id, &number, &broken));
        e->id[n % 36] = e->id[n % 36] == '0' ? '1' : '0';
        assert_false(event_of_id(&spec, id, &number, &broken));
    }
    int64_t number;
    bool broken;
    assert_false(event_of_id(&spec, STR(""), &number, &broken));
    assert_false(event_of_id(&spec, STR("00000000-0000-4000-8000-000000000000"), &number, &broken));
    free(e);
}

static void test_chances(void **state) {
    (void)state;
    EventSpec spec = sample();
    Event *e = malloc(sizeof *e);
    int copies = 0, late = 0, broken = 0, kinds[BROKEN_KINDS] = {0};
    for (int64_t n = 0; n < 100000; n++) {
        event_of(&spec, (Segment){0}, n, e);
        copies += e->copied;
        late += e->late;
        if (!e->broken) continue;
        assert_int_equal(e->broken_how, broken % BROKEN_KINDS); /* in turn */
        kinds[e->broken_how]++;
        broken++;
    }
    assert_in_range(copies, 850, 1150);
    assert_in_range(late, 850, 1150);
    assert_in_range(broken, 299, 301);
    assert_int_equal(kinds[BROKEN_CUT], 100);
    spec.bad = spec.duplicates = 1;
    for (int64_t n = 0; n < 1000; n++) {
        event_of(&spec, (Segment){0}, n, e);
        assert_true(e->broken && e->copied);
    }
    spec.bad = spec.duplicates = spec.late = 0;
    event_of(&spec, (Segment){0}, 5, e);
    assert_false(e->broken || e->copied || e->late);
    free(e);
}

/* ---- the source ---- */

static void open_generator(TestSource *t) {
    test_init(t, &json_format);
    t->context.chunk_bytes = 20000;
}

static void option(TestSource *t, const char *name, const char *text) {
    test_option(t, generator_options, name, text);
}

static void test_resume_anywhere(void **state) {
    (void)state;
    TestSource t;
    open_generator(&t);
    option(&t, "events", "300");
    option(&t, "seed", "7");
    option(&t, "start", "2026-01-01T00:00:00Z");
    option(&t, "duplicates", "0.1");
    option(&t, "bad", "0.1");
    Buffer whole = {0}, got = {0};
    assert_int_equal(test_open(&t, &generator_source), OK);
    assert_true(t.source->bounded);
    int64_t position = NO_POSITION, ends[400];
    size_t sizes[400];
    int chunks = 0;
    assert_int_equal(generator_source.seek(t.source, 0, position, &t.error), OK);
    while (test_next(&t, 0, &whole, &position) == OK) {
        ends[chunks] = position;
        sizes[chunks++] = whole.size;
    }
    assert_true(chunks > 5);
    assert_int_equal(position, 300 * 4);
    for (int i = 0; i < chunks; i++) {
        test_close(&t);
        t.env.clock_us += 1000000000; /* a given start does not care for the clock */
        assert_int_equal(test_open(&t, &generator_source), OK);
        assert_int_equal(generator_source.seek(t.source, 0, ends[i], &t.error), OK);
        got.size = 0;
        while (test_next(&t, 0, &got, NULL) == OK) {}
        assert_true(
            str_equal(buffer_str(&got), (Str){whole.data + sizes[i], whole.size - sizes[i]}));
    }
    buffer_free(&whole);
    buffer_free(&got);
    test_done(&t);
}

static void test_pace_and_segments(void **state) {
    (void)state;
    TestSource t;
    open_generator(&t);
    option(&t, "rate", "100");
    option(&t, "duplicates", "0");
    assert_int_equal(test_open(&t, &generator_source), OK);
    assert_false(t.source->bounded);
    Buffer got = {0};
    int64_t position = NO_POSITION;
    assert_int_equal(generator_source.seek(t.source, 0, position, &t.error), OK);
    assert_int_equal(test_next(&t, 0, &got, &position), AGAIN);
    t.env.clock_us += 100000;
    assert_int_equal(test_next(&t, 0, &got, &position), OK);
    assert_int_equal(position, 11 * 4); /* event 0 is due at once */
    assert_non_null(strstr((buffer_add_char(&got, 0), got.data), "2026-01-01T00:00:00.1000000Z"));
    test_close(&t);
    t.env.clock_us += 3600000000; /* an hour later it goes on by the clock */
    got.size = 0;
    assert_int_equal(test_open(&t, &generator_source), OK);
    assert_int_equal(generator_source.seek(t.source, 0, position, &t.error), OK);
    t.env.clock_us += 20000;
    assert_int_equal(test_next(&t, 0, &got, &position), OK);
    assert_int_equal(position, 14 * 4);
    assert_non_null(strstr((buffer_add_char(&got, 0), got.data), "2026-01-01T01:00:00.1000000Z"));
    assert_string_equal(test_get(&t, "segments"), "0:1767225600000000,11:1767229200100000");
    /* killed before that was committed: the seed stays, the segment is opened anew */
    test_close(&t);
    t.env.clock_us += 1000000;
    assert_int_equal(test_open(&t, &generator_source), OK);
    assert_int_equal(generator_source.seek(t.source, 0, 11 * 4, &t.error), OK);
    assert_string_equal(test_get(&t, "segments"), "0:1767225600000000,11:1767229201120000");
    buffer_free(&got);
    test_done(&t);
}

static void test_many_restarts(void **state) {
    (void)state;
    TestSource t;
    open_generator(&t);
    option(&t, "rate", "1000");
    for (int64_t n = 0; n < 300; n++) {
        assert_int_equal(test_open(&t, &generator_source), OK);
        assert_int_equal(generator_source.seek(t.source, 0, n * 4, &t.error), OK);
        test_close(&t);
        t.env.clock_us += 1000000;
    }
    assert_true(strlen(test_get(&t, "segments")) < 2000);
    test_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout),
                                       cmocka_unit_test(test_ids),
                                       cmocka_unit_test(test_chances),
                                       cmocka_unit_test(test_resume_anywhere),
                                       cmocka_unit_test(test_pace_and_segments),
                                       cmocka_unit_test(test_many_restarts)};
    return cmocka_run_group_tests_name("connector/generator", tests, NULL, NULL);
}
