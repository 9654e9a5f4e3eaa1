/* Durations are kept as they are up to a million of them; beyond that they are counted in steps
 * whose width is a thousandth of the duration or less, so that any number of events needs half a
 * megabyte and a percentile is off by 0.1 % at most. Arrivals are counted by the second and put
 * together to minutes at the end, when the first and the last are known: a minute counts only if
 * it is full, and one in which nothing came counts with nothing. */
#include "cli/measure.h"
#include "data/time.h"
#include <stdlib.h>

enum {
    EXACT_MOST = 1000000,
    STEP_BITS = 10, /* steps of one power of two: 2^10, each under a thousandth */
    STEPS_MOST = (64 - STEP_BITS) << STEP_BITS,
    SECONDS_MOST = 4000000, /* 46 days */
    SECONDS_AHEAD = 3600,   /* room for what comes next */
};

/* ---- durations ---- */

static int step_of(int64_t us) {
    uint64_t value = (uint64_t)us;
    if (value < (UINT64_C(2) << STEP_BITS)) return (int)value;
    int shift = 63 - STEP_BITS - __builtin_clzll(value);
    return (shift << STEP_BITS) + (int)(value >> shift);
}

static int64_t step_end(int step) { /* the greatest duration of that step */
    if (step < 2 << STEP_BITS) return step;
    int shift = (step >> STEP_BITS) - 1;
    uint64_t mantissa = (uint64_t)(step - (shift << STEP_BITS));
    return (int64_t)(((mantissa + 1) << shift) - 1);
}

static void fold(Latency *l) {
    l->steps = xcalloc(STEPS_MOST, sizeof *l->steps);
    for (int64_t i = 0; i < l->count; i++) l->steps[step_of(l->values[i])]++;
    free(l->values);
    l->values = NULL;
}

void latency_add(Latency *l, int64_t us) {
    if (us < 0) us = 0;
    if (us > l->most_us) l->most_us = us;
    if (l->count == EXACT_MOST && l->values) fold(l);
    if (l->steps) {
        l->steps[step_of(us)]++;
    } else {
        int64_t n = l->count;
        if (n == 0 || (n >= 64 && (n & (n - 1)) == 0))
            l->values = xrealloc(l->values, (size_t)(n ? 2 * n : 64) * sizeof *l->values);
        l->values[n] = us;
        l->sorted = false;
    }
    l->count++;
}

static int by_duration(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

int64_t latency_at(Latency *l, double share) {
    int64_t rank = (int64_t)(share * (double)l->count + 1 - 1e-9);
    if (rank < 1) rank = 1;
    if (rank > l->count) rank = l->count;
    if (l->count == 0) return 0;
    if (l->values) {
        if (!l->sorted) qsort(l->values, (size_t)l->count, sizeof *l->values, by_duration);
        l->sorted = true;
        return l->values[rank - 1];
    }
    int step = 0;
    for (int64_t sum = l->steps[0]; sum < rank;) sum += l->steps[++step];
    int64_t end = step_end(step);
    return end < l->most_us ? end : l->most_us;
}

void latency_free(Latency *l) {
    free(l->values);
    free(l->steps);
    *l = (Latency){0};
}

/* ---- arrivals ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Makes room for a second; false: the times would then be too far apart. */
static bool make_room(Rate *r, int64_t second) {
    if (r->counts && second >= r->first_second && second < r->first_second + r->seconds)
        return true;
    int64_t begin = second, end = second + 1, kept = r->counts ? r->seconds : 0;
    if (kept && r->first_second < begin) begin = r->first_second;
    if (kept && r->first_second + kept > end) end = r->first_second + kept;
    if (end - begin > SECONDS_MOST) return false;
    if (!kept || second < r->first_second) begin -= SECONDS_AHEAD;
    if (!kept || second >= r->first_second + kept) end += SECONDS_AHEAD;
    uint32_t *counts = xcalloc((size_t)(end - begin), sizeof *counts);
    if (kept) memcpy(counts + (r->first_second - begin), r->counts, (size_t)kept * sizeof *counts);
    free(r->counts);
    *r = (Rate){.counts = counts,
                .first_second = begin,
                .seconds = end - begin,
                .least_us = r->least_us,
                .most_us = r->most_us,
                .count = r->count,
                .outside = r->outside};
    return true;
}

void rate_add(Rate *r, int64_t us, int64_t events) {
    int64_t second = floor_div(us, US_PER_SECOND);
    if (!make_room(r, second)) {
        r->outside += events;
        return;
    }
    if (r->count == 0 || us < r->least_us) r->least_us = us;
    if (r->count == 0 || us > r->most_us) r->most_us = us;
    r->counts[second - r->first_second] += (uint32_t)events;
    r->count += events;
}

Minutes rate_minutes(const Rate *r, int64_t warm_up_us) {
    const int64_t minute_us = 60 * US_PER_SECOND;
    Minutes m = {0};
    if (r->count == 0) return m;
    int64_t from = -floor_div(-(r->least_us + warm_up_us), minute_us),
            to = floor_div(r->most_us + 1, minute_us);
    for (int64_t minute = from; minute < to; minute++) {
        int64_t events = 0;
        for (int64_t second = minute * 60; second < minute * 60 + 60; second++)
            events += r->counts[second - r->first_second];
        if (m.count == 0 || events < m.worst) {
            m.worst = events;
            m.worst_at_us = minute * minute_us;
        }
        m.count++;
        m.events += events;
    }
    return m;
}

void rate_free(Rate *r) {
    free(r->counts);
    *r = (Rate){0};
}
