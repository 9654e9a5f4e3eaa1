/* Percentiles beside sorted values, on both sides of the million; minutes beside counting by hand.
 */
#include "cli/measure.h"
#include "data/time.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Durations of every size, a few of them negative, which count as none. */
static int64_t duration(uint64_t seed, int64_t i) {
    uint64_t bits = (uint64_t)(i + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ seed;
    bits = (bits ^ (bits >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (int64_t)((bits >> 8) >> (bits % 56)) - 3;
}

static void check_latency(int64_t count, double off) {
    Latency l = {0};
    int64_t *sorted = xmalloc((size_t)count * sizeof *sorted);
    for (int64_t i = 0; i < count; i++) {
        int64_t us = duration(7, i);
        latency_add(&l, us);
        sorted[i] = us < 0 ? 0 : us;
    }
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    static const double shares[] = {0, 0.01, 0.5, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        int64_t rank = (int64_t)(shares[i] * (double)count + 1 - 1e-9);
        if (rank < 1) rank = 1;
        if (rank > count) rank = count;
        int64_t expected = sorted[rank - 1], got = latency_at(&l, shares[i]);
        assert_true(got >= expected);
        assert_true((double)(got - expected) <= (double)expected * off);
    }
    assert_int_equal(latency_at(&l, 1), sorted[count - 1]);
    assert_int_equal(l.count, count);
    free(sorted);
    latency_free(&l);
}

static void durations_up_to_a_million_are_exact(void **state) {
    (void)state;
    check_latency(1, 0);
    check_latency(2, 0);
    check_latency(1000, 0);
    check_latency(1000000, 0);
}

static void more_of_them_are_off_by_a_thousandth(void **state) {
    (void)state;
    check_latency(1000001, 0.001);
    check_latency(2500000, 0.001);
}

static void the_greatest_durations_fit(void **state) {
    (void)state;
    Latency l = {0};
    for (int i = 0; i < 1000002; i++) latency_add(&l, i % 2 ? INT64_MAX : INT64_MIN);
    assert_int_equal(latency_at(&l, 0.5), 0);
    assert_int_equal(latency_at(&l, 1), INT64_MAX);
    latency_free(&l);
}

static void nothing_has_no_minutes(void **state) {
    (void)state;
    Rate r = {0};
    Latency l = {0};
    assert_int_equal(rate_minutes(&r, 0).count, 0);
    assert_int_equal(latency_at(&l, 0.5), 0);
    rate_add(&r, 5, 1);
    assert_int_equal(rate_minutes(&r, 0).count, 0);
    rate_free(&r);
}

static void minutes_are_full(void **state) {
    (void)state;
    Rate r = {0};
    const int64_t base = 1767225600 * US_PER_SECOND; /* a full minute */
    for (int s = 359; s >= -30; s--) rate_add(&r, base + s * US_PER_SECOND, 1 + (s / 60 == 2));
    Minutes m = rate_minutes(&r, 0);
    assert_int_equal(m.count,
                     5); /* the last one lacks all but the first instant of its last second */
    assert_int_equal(m.worst, 60);
    assert_int_equal(m.events, 5 * 60 + 60);
    assert_int_equal(m.worst_at_us, base);
    assert_int_equal(rate_minutes(&r, 31 * US_PER_SECOND).count, 4);
    assert_int_equal(rate_minutes(&r, 600 * US_PER_SECOND).count, 0);
    rate_free(&r);
    rate_add(&r, base, 5);
    rate_add(&r, base + 4 * 60 * US_PER_SECOND - 1, 5); /* minutes in which nothing came */
    m = rate_minutes(&r, 0);
    assert_int_equal(m.count, 4);
    assert_int_equal(m.worst, 0);
    assert_int_equal(m.worst_at_us, base + 60 * US_PER_SECOND);
    rate_free(&r);
}

static void times_far_apart_need_no_memory(void **state) {
    (void)state;
    Rate r = {0};
    rate_add(&r, -90 * US_PER_SECOND, 1); /* before 1970 */
    rate_add(&r, 0, 1);
    rate_add(&r, LAST_INPUT_US, 3);
    rate_add(&r, FIRST_INPUT_US, 3);
    assert_int_equal(r.outside, 6);
    assert_int_equal(r.count, 2);
    assert_true(r.seconds < 10000);
    assert_int_equal(rate_minutes(&r, 0).count, 1);
    rate_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(durations_up_to_a_million_are_exact),
                                       cmocka_unit_test(more_of_them_are_off_by_a_thousandth),
                                       cmocka_unit_test(the_greatest_durations_fit),
                                       cmocka_unit_test(nothing_has_no_minutes),
                                       cmocka_unit_test(minutes_are_full),
                                       cmocka_unit_test(times_far_apart_need_no_memory)};
    return cmocka_run_group_tests_name("cli/measure", tests, NULL, NULL);
}
