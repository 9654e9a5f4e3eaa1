/* Random rows, out of order and late, through windows, sessions and DISTINCT ON, against a few
 * lines each that say what must come out by LANGUAGE.md's words. Every script is played whole, a
 * row a batch, and killed after every row. */
#include "base/random.h"
#include "operator/operator_test.h"

enum { ROWS_EACH = 120, KEYS = 4, SEEDS = 12, STEPS_MOST = 64 };

typedef struct Event {
    int64_t time, seen;
    int key;
    bool late;
} Event;

typedef struct Story {
    Event events[ROWS_EACH];
    Buffer rows[STEPS_MOST];
    Step steps[STEPS_MOST];
    int step_count;
} Story;

static Field fields[] = {FIELD("id", TYPE_TEXT), FIELD("n", TYPE_INT4)};

/* Time goes on in small steps and jumps; a third of the rows are older, some by more than the
 * delay. */
static void story_make(Story *s, uint64_t seed, int64_t delay, int64_t jump) {
    Random random;
    random_seed(&random, seed);
    *s = (Story){0};
    int64_t highest = 0;
    bool any = false;
    for (int i = 0; i < ROWS_EACH; i++) {
        Event *e = &s->events[i];
        e->key = (int)random_below(&random, KEYS);
        e->seen = any ? highest - delay : NO_TIME;
        e->time = highest + (int64_t)random_below(
                                &random, random_below(&random, 12) == 0 ? (uint64_t)jump : 5);
        if (random_below(&random, 3) == 0)
            e->time -= (int64_t)random_below(&random, (uint64_t)delay * 2);
        any = true;
        if (e->time > highest) highest = e->time;
        Buffer *rows = &s->rows[s->step_count];
        if (e->seen == NO_TIME)
            buffer_add_format(rows, "%lld - : k%d, %d\n", (long long)e->time, e->key, i);
        else
            buffer_add_format(rows, "%lld %lld : k%d, %d\n", (long long)e->time, (long long)e->seen,
                              e->key, i);
        if (random_below(&random, 5) == 0 && s->step_count < STEPS_MOST - 4) {
            buffer_add_char(rows, '\0');
            s->steps[s->step_count++] = (Step)ROWS(rows->data);
            s->steps[s->step_count++] = (Step)TIME(highest - delay);
        }
    }
    buffer_add_char(&s->rows[s->step_count], '\0');
    s->steps[s->step_count] = (Step)ROWS(s->rows[s->step_count].data);
    s->steps[++s->step_count] = (Step)THE_END;
    s->step_count++;
}

static void story_end(Story *s) {
    for (int i = 0; i < STEPS_MOST; i++) buffer_free(&s->rows[i]);
}

static void play_story(Story *s, Scene scene, Buffer *expected) {
    buffer_add_char(expected, '\0');
    scene.steps = s->steps;
    scene.step_count = s->step_count;
    play(&scene, expected->data);
    buffer_free(expected);
    story_end(s);
}

static void expect_late(Buffer *expected, const Event *e, int n) {
    buffer_add_format(expected, "late: k%d|%d\n", e->key, n);
}

static AggregateCall calls[2];

static size_t make_calls(void) {
    calls[0] = (AggregateCall){.aggregate = aggregate_find(STR("count"), 0, TYPE_UNKNOWN),
                               .arg = -1,
                               .filter = -1,
                               .result = {TYPE_INT8, -1}};
    calls[1] = (AggregateCall){.aggregate = aggregate_find(STR("sum"), 1, TYPE_INT4),
                               .arg = 1,
                               .filter = -1,
                               .arg_type = {TYPE_INT4, -1},
                               .result = {TYPE_INT8, -1}};
    return aggregates_layout(calls, 2);
}

static Field window_out[] = {FIELD("end", TYPE_INT8), FIELD("id", TYPE_TEXT),
                             FIELD("count", TYPE_INT8), FIELD("sum", TYPE_INT8)};

static void windows_count_what_is_in_time(void **state) {
    (void)state;
    static int keys[] = {3, 0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static const WindowSpec kinds[] = {
            {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 7, 20, 3},
            {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, 20, 20, 3},
            {WINDOW_CUMULATE, TIME_EVENT, -1, {TYPE_INT8, -1}, 5, 20, 0},
        };
        WindowSpec window = kinds[seed % 3];
        AggregateSpec spec = {keys,       2, calls, 2,     make_calls(),
                              CLOSE_TIME, 0, false, false, {4, window_out}};
        Story s;
        story_make(&s, seed, 25, 60);
        Buffer expected = {0};
        for (int i = 0; i < ROWS_EACH; i++) s.events[i].late = true;
        for (int64_t end = -2000; end < 4000; end++) {
            int64_t start = end - window.size_us;
            if (window.kind == WINDOW_CUMULATE) start = (end - 1 + 2000) / 20 * 20 - 2000;
            if (((end - window.size_us - window.offset_us) % window.slide_us + window.slide_us) %
                window.slide_us)
                continue;
            for (int key = 0; key < KEYS; key++) {
                int64_t count = 0, sum = 0;
                for (int i = 0; i < ROWS_EACH; i++) {
                    Event *e = &s.events[i];
                    if (e->time >= end || e->time < start || end <= e->seen) continue;
                    e->late = false;
                    if (e->key == key) count++, sum += i;
                }
                if (count)
                    buffer_add_format(&expected, "%lld|k%d|%lld|%lld @%lld\n", (long long)end, key,
                                      (long long)count, (long long)sum, (long long)end);
            }
        }
        for (int i = 0; i < ROWS_EACH; i++)
            if (s.events[i].late) expect_late(&expected, &s.events[i], i);
        Scene scene = {.inputs = {{2, fields}},
                       .links = {{&window_operator, &window}, {&aggregate_operator, &spec}},
                       .link_count = 2};
        play_story(&s, scene, &expected);
    }
}

static Field session_out[] = {FIELD("id", TYPE_TEXT), FIELD("start", TYPE_INT8),
                              FIELD("end", TYPE_INT8), FIELD("count", TYPE_INT8),
                              FIELD("sum", TYPE_INT8)};

static void sessions_are_runs_of_events_within_the_gap(void **state) {
    (void)state;
    static int partition[] = {0}, keys[] = {0, SESSION_START, SESSION_END};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        int64_t gap = 12;
        SessionSpec spec = {TIME_EVENT, -1, gap,          partition,       1, keys, 3, -1,
                            calls,      2,  make_calls(), {5, session_out}};
        Story s;
        story_make(&s, seed + 100, 40, 50);
        Buffer expected = {0};
        for (int i = 0; i < ROWS_EACH; i++) {
            s.events[i].late = s.events[i].time < s.events[i].seen;
            if (s.events[i].late) expect_late(&expected, &s.events[i], i);
        }
        for (int key = 0; key < KEYS; key++) {
            int64_t first = 0, last = NO_TIME, count = 0, sum = 0;
            for (int64_t time = -2000; time < 6000; time++) {
                if (count && time > last + gap) {
                    buffer_add_format(&expected, "k%d|%lld|%lld|%lld|%lld @%lld\n", key,
                                      (long long)first, (long long)(last + gap), (long long)count,
                                      (long long)sum, (long long)(last + gap));
                    count = sum = 0;
                }
                for (int i = 0; i < ROWS_EACH; i++) {
                    const Event *e = &s.events[i];
                    if (e->time != time || e->key != key || e->late) continue;
                    if (count == 0) first = time;
                    last = time;
                    count++;
                    sum += i;
                }
            }
        }
        Scene scene = {
            .inputs = {{2, fields}}, .links = {{&session_operator, &spec}}, .link_count = 1};
        play_story(&s, scene, &expected);
    }
}

static void distinct_on_passes_the_first_within_the_horizon(void **state) {
    (void)state;
    static int by_id[] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        int64_t horizon = 15;
        DedupSpec spec = {by_id, 1, horizon * 1000000, -1};
        Story s;
        story_make(&s, seed + 200, 10, 40);
        Buffer expected = {0};
        int64_t passed[KEYS];
        bool any[KEYS] = {false};
        for (int i = 0; i < ROWS_EACH; i++) {
            Event *e = &s.events[i];
            bool none = e->seen == NO_TIME;
            if (!none && e->time < e->seen - horizon) {
                expect_late(&expected, e, i);
                continue;
            }
            if (any[e->key] && (none || passed[e->key] >= e->seen - horizon)) continue;
            any[e->key] = true;
            passed[e->key] = e->time;
            buffer_add_format(&expected, "k%d|%d @%lld\n", e->key, i, (long long)e->time);
        }
        Scene scene = {.inputs = {{2, fields}},
                       .links = {{&dedup_operator, &spec}},
                       .link_count = 1,
                       .unit = 1000000};
        play_story(&s, scene, &expected);
    }
}

/* A group that got nothing for the ttl begins anew; at the end the old ones are gone. */
static void groups_are_forgotten(bool bounded, bool growth) {
    static int keys[] = {0};
    static Field out[] = {FIELD("id", TYPE_TEXT), FIELD("count", TYPE_INT8),
                          FIELD("sum", TYPE_INT8)};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        enum { DELAY = 6, TTL = 9 };
        AggregateSpec spec = {.keys = keys,
                              .key_count = 1,
                              .calls = calls,
                              .call_count = 2,
                              .block_size = make_calls(),
                              .close = CLOSE_NEVER,
                              .bucket = -1,
                              .bounded = bounded,
                              .growth = growth,
                              .output = {3, out},
                              .ttl_us = TTL};
        Story s;
        story_make(&s, seed + 300, DELAY, 30);
        Buffer expected = {0};
        int64_t last[KEYS], count[KEYS] = {0}, sum[KEYS] = {0}, highest = NO_TIME;
        for (int i = 0; i < ROWS_EACH; i++) {
            const Event *e = &s.events[i];
            int k = e->key;
            if (count[k] && e->seen != NO_TIME && last[k] + TTL <= e->seen) count[k] = sum[k] = 0;
            if (!count[k] || e->time > last[k]) last[k] = e->time;
            count[k]++;
            sum[k] += i;
            if (e->time > highest) highest = e->time;
        }
        for (int k = 0; k < KEYS; k++)
            if (count[k] && last[k] + TTL > highest - DELAY)
                buffer_add_format(&expected, "k%d|%lld|%lld\n", k, (long long)count[k],
                                  (long long)sum[k]);
        if (!bounded) {
            s.steps[s.step_count - 1] = (Step)TIME(highest - DELAY);
            s.steps[s.step_count++] = (Step)CLOSE_EPOCH;
        }
        Scene scene = {.inputs = {{2, fields}},
                       .links = {{&aggregate_operator, &spec}},
                       .link_count = 1,
                       .folded = !bounded || growth,
                       .ended_at = highest - DELAY};
        play_story(&s, scene, &expected);
    }
}

static void endless_groups_are_forgotten(void **state) {
    (void)state;
    groups_are_forgotten(false, false);
}

static void growing_groups_are_forgotten(void **state) {
    (void)state;
    groups_are_forgotten(true, true);
}

static void ended_groups_are_forgotten(void **state) {
    (void)state;
    groups_are_forgotten(true, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_count_what_is_in_time),
        cmocka_unit_test(sessions_are_runs_of_events_within_the_gap),
        cmocka_unit_test(distinct_on_passes_the_first_within_the_horizon),
        cmocka_unit_test(endless_groups_are_forgotten),
        cmocka_unit_test(growing_groups_are_forgotten),
        cmocka_unit_test(ended_groups_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
