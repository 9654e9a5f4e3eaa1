/* The verifier's result: tables for people, one JSON object for machines. */
#include "cli/verify.h"
#include "data/time.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what is kept ---- */

static const char *const meanings[WRONGS] = {
    "events of which nothing arrived", "rows of events that were never sent",
    "rows beyond what was sent",       "rows that differ from their event",
    "copies that did not arrive",      "rows behind a later one of their device",
    "rows whose times run backwards",  "records that nothing accounts for"};

static bool count_ok(const Verify *v, int wrong) {
    if (wrong == WRONG_ORDER && v->limits[wrong] >= 0 && v->verdict.ordered == 0) return false;
    return v->limits[wrong] < 0 || v->verdict.wrong[wrong] <= v->limits[wrong];
}

static Stage way_from(const Verify *v) {
    const Verdict *r = &v->verdict;
    return r->legs[STAGE_SENT][r->last_stage].count ? STAGE_SENT : STAGE_CREATED;
}

/* The leg from the event's sending to the last moment that rows tell; NULL: there is none. */
static const Latency *whole_way(const Verify *v) {
    const Latency *l = &v->verdict.legs[way_from(v)][v->verdict.last_stage];
    return l->count ? l : NULL;
}

static bool latency_ok(const Verify *v, Percentile p) {
    if (v->latency_us[p] < 0) return true;
    Latency *l = (Latency *)(uintptr_t)whole_way(v);
    return l && latency_at(l, percentile_shares[p]) <= v->latency_us[p];
}

static bool rate_ok(const Verify *v) {
    return v->least_rate < 0 ||
           (v->minutes.count && (double)v->minutes.worst / 60 >= v->least_rate);
}

/* Where no ledger tells of anything sent, what arrived was compared with nothing. */
static bool any_judged(const Verify *v) {
    bool sent = false, beyond = false;
    for (int i = 0; i < v->verdict.sent_count; i++) {
        sent |= v->verdict.sents[i].ledger.sent > 0;
        beyond |= v->verdict.sents[i].beyond > 0;
    }
    return sent || !beyond;
}

bool verify_ok(const Verify *v) {
    bool ok = rate_ok(v) && any_judged(v);
    for (int i = 0; i < WRONGS; i++) ok &= count_ok(v, i);
    for (int i = 0; i < PERCENTILES; i++) ok &= latency_ok(v, (Percentile)i);
    return ok;
}

/* ---- for people ---- */

static const char *thousands(int64_t value, char to[32]) {
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRId64, value), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) to[at++] = ',';
        to[at++] = digits[i];
    }
    to[at] = 0;
    return to;
}

static const char *seconds(int64_t us, char to[32]) {
    const char *unit = us < 1000 ? "us" : us < US_PER_SECOND ? "ms" : "s";
    double value = (double)us / (us < 1000 ? 1 : us < US_PER_SECOND ? 1e3 : 1e6);
    snprintf(to, 32, value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, unit);
    return to;
}

/* Ends a line with a limit and whether it is kept. */
static void tell_limit(bool given, const char *limit, bool ok) {
    if (!given) {
        printf("no limit\n");
        return;
    }
    bool color = !ok && isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    printf("limit %-8s %s%s%s\n", limit, color ? "\033[31m" : "", ok ? "ok" : "BROKEN",
           color ? "\033[0m" : "");
}

static void tell_wrongs(const Verify *v) {
    const Verdict *r = &v->verdict;
    char a[32], b[32];
    for (int i = 0; i < WRONGS; i++) {
        if (i >= WRONG_COPIES && r->wrong[i] == 0 && v->limits[i] < 0) continue;
        char name[20];
        snprintf(name, sizeof name, "%s", wrong_names[i]);
        for (char *c = name; *c; c++)
            if (*c == '_') *c = ' ';
        char meaning[64];
        double share = r->ordered ? 100 * (double)r->wrong[i] / (double)r->ordered : 0;
        snprintf(meaning, sizeof meaning, "%s", meanings[i]);
        if (i == WRONG_ORDER && r->wrong[i])
            snprintf(meaning, sizeof meaning, "rows behind a later of their device, %.2g%%", share);
        printf("%-14s %9s  %-39s ", name, thousands(r->wrong[i], a), meaning);
        tell_limit(v->limits[i] >= 0, thousands(v->limits[i], b), count_ok(v, i));
        for (int k = 0;
             v->limits[i] >= 0 && k < EXAMPLES && k < r->wrong[i] && r->examples[i][k][0]; k++)
            printf("              %s\n", r->examples[i][k]);
    }
}

static void tell_leg(const Verdict *r, int from, int to) {
    Latency *l = (Latency *)(uintptr_t)&r->legs[from][to];
    char leg[40], text[32];
    if (!l->count) return;
    snprintf(leg, sizeof leg, "%s to %s", stage_names[from], stage_names[to]);
    printf("%-24s", leg);
    for (int p = 0; p < PERCENTILES; p++)
        printf(" %10s", seconds(latency_at(l, percentile_shares[p]), text));
    printf("\n");
}

/* How long after the last event was sent the last row came to its end. */
static int64_t drain_us(const Verdict *r) {
    return r->last_us[r->last_stage] - r->last_us[STAGE_SENT];
}

static void tell_latencies(Verify *v) {
    Verdict *r = &v->verdict;
    char text[32];
    Latency *whole = (Latency *)(uintptr_t)whole_way(v);
    if (whole) printf("\n%-24s %10s %10s %10s %10s\n", "latency", "p50", "p95", "p99", "max");
    for (int from = 0; from < STAGES && whole;
         from++) /* in the order of time, the whole way last */
        for (int to = 0; to < STAGES; to++)
            if (&r->legs[from][to] != whole) tell_leg(r, from, to);
    if (whole) tell_leg(r, way_from(v), r->last_stage);
    if (whole && drain_us(r) >= 0)
        printf("drained %s after the last event was sent\n", seconds(drain_us(r), text));
    for (int p = 0; p < PERCENTILES; p++) {
        if (v->latency_us[p] < 0) continue;
        char name[40];
        snprintf(name, sizeof name, "%s to %s, %s", stage_names[way_from(v)],
                 stage_names[r->last_stage], percentile_names[p]);
        printf("%-24s %10s  ", whole ? name : "latency",
               whole ? seconds(latency_at(whole, percentile_shares[p]), text) : "none");
        tell_limit(true, seconds(v->latency_us[p], text), latency_ok(v, (Percentile)p));
    }
    if (!whole &&
        !latency_ok(v, P50) + !latency_ok(v, P95) + !latency_ok(v, P99) + !latency_ok(v, P100))
        printf("No row has a time: name its column by --column storedAt=COLUMN.\n");
    for (int s = STAGE_ENQUEUED; s < STAGES; s++)
        if (r->stage_rows[s] > 1 && r->first_us[s] == r->last_us[s])
            printf("The time %s is the same in all %s rows.\n", stage_names[s],
                   thousands(r->stage_rows[s], text));
}

static void tell_rate(const Verify *v) {
    const Verdict *r = &v->verdict;
    const Minutes *m = &v->minutes;
    char text[32], limit[32];
    if (r->arrivals.count == 0 && v->least_rate < 0) return;
    if (m->count) {
        Buffer at = {0};
        timestamp_rfc3339(m->worst_at_us, true, &at);
        buffer_add_char(&at, 0);
        printf("\n%s full minutes by the time %s: %.1f events/s on average; ",
               thousands(m->count, text), stage_names[r->last_stage],
               (double)m->events / 60 / (double)m->count);
        if (v->offered_rate > 0) printf("offered: %.1f events/s\n", v->offered_rate);
        else printf("offered: as fast as possible\n");
        printf("worst minute   %9.1f  events/s, from %-25s ", (double)m->worst / 60, at.data);
        buffer_free(&at);
    } else {
        printf("\n%-63s ", r->arrivals.count ? "worst minute: no full minute of the clock"
                                             : "worst minute: no row has a time");
    }
    snprintf(limit, sizeof limit, "%.1f", v->least_rate);
    tell_limit(v->least_rate >= 0, limit, rate_ok(v));
    if (r->arrivals.outside)
        printf("%s rows are not in it: their times are weeks away from the first row's.\n",
               thousands(r->arrivals.outside, text));
}

static const char *const account_names[ACCOUNT_KINDS] = {"filtered", "deduplicated", "late",
                                                         "dead"};

static void tell_account(const Verify *v) {
    const Account *a = &v->account;
    const Verdict *r = &v->verdict;
    char text[32];
    printf("\ntaken in       %9s  records by the sources of %s\n", thousands(a->taken, text),
           a->query);
    printf("stored         %9s  rows\n", thousands(r->rows, text));
    for (int i = 0; i < ACCOUNT_KINDS; i++) {
        printf("%-14s %9s", i == ACCOUNT_DEAD ? "dead letters" : account_names[i],
               thousands(a->counts[i], text));
        if (i == ACCOUNT_LATE || i == ACCOUNT_DEAD)
            printf(
                "  of them %s events of which nothing arrived",
                thousands(r->explained[i == ACCOUNT_LATE ? EXPLAINED_LATE : EXPLAINED_DEAD], text));
        printf("\n");
    }
    if (a->excused)
        printf(
            "%s events of which nothing arrived were filtered, or their rejects are not kept any "
            "more.\n",
            thousands(a->excused, text));
}

void tell_people(Verify *v) {
    const Verdict *r = &v->verdict;
    char a[32], b[32], c[32], d[32];
    printf("sent        %12s events, %s of them late; beside them %s copies, %s broken records\n",
           thousands(r->events, a), thousands(r->late, b), thousands(r->copies, c),
           thousands(r->broken, d));
    printf("arrived     %12s rows, %s of them broken records; %s copies did not arrive\n\n",
           thousands(r->rows, a), thousands(r->broken_rows, b),
           thousands(r->wrong[WRONG_COPIES], c));
    tell_wrongs(v);
    if (r->missing_late)
        printf("\n%s of the missing events were sent late.\n", thousands(r->missing_late, a));
    if (v->account.of) tell_account(v);
    if (r->devices_spread)
        printf(
            "\n%s devices came in several partitions or files: between those no order is known.\n",
            thousands(r->devices_spread, a));
    if (v->limits[WRONG_ORDER] >= 0 && r->ordered == 0)
        printf("\nThe order in which the rows came is not known: a table of SQLite has none.\n");
    tell_latencies(v);
    tell_rate(v);
    for (int i = 0; i < r->sent_count; i++)
        if (!r->sents[i].ledger.ended && r->sents[i].beyond)
            printf("\nThe run of '%s' has no end: what it sent behind its last entry is not judged "
                   "(%s rows).\n",
                   v->ledgers[i], thousands(r->sents[i].beyond, a));
    printf("\ncompared:");
    for (int i = 0; i < EVENT_COLUMNS; i++)
        if (r->row_compared[i]) printf(" %s", column_names[i]);
    printf("%s\n%s\n", r->row_compared[COLUMN_OTHER] ? "; the rows have other columns too" : "",
           verify_ok(v) ? "verified" : "NOT verified");
}

/* ---- for machines ---- */

static void add_count(Buffer *out, const char *name, int64_t value) {
    buffer_add_format(out, ",\"%s\":%" PRId64, name, value);
}

static void add_seconds(Buffer *out, const char *name, int64_t us) {
    int64_t size = us < 0 ? -us : us;
    buffer_add_format(out, "\"%s\":%s%" PRId64 ".%06d", name, us < 0 ? "-" : "",
                      size / US_PER_SECOND, (int)(size % US_PER_SECOND));
}

static void add_latencies(Verify *v, Buffer *out) {
    Verdict *r = &v->verdict;
    int count = 0;
    buffer_add_text(out, ",\"latency_seconds\":{");
    for (int from = 0; from < STAGES; from++)
        for (int to = 0; to < STAGES; to++) {
            Latency *l = &r->legs[from][to];
            if (!l->count) continue;
            buffer_add_format(out, "%s\"%s_%s\":{\"rows\":%" PRId64, count++ ? "," : "",
                              stage_names[from], stage_names[to], l->count);
            for (int p = 0; p < PERCENTILES; p++) {
                buffer_add_char(out, ',');
                add_seconds(out, percentile_names[p], latency_at(l, percentile_shares[p]));
            }
            buffer_add_char(out, '}');
        }
    buffer_add_text(out, "}");
    if (!whole_way(v)) return;
    buffer_add_char(out, ',');
    add_seconds(out, "drain_seconds", drain_us(r));
}

static void add_rate(const Verify *v, Buffer *out) {
    const Minutes *m = &v->minutes;
    buffer_add_format(out, ",\"rate\":{\"offered\":%.17g,\"full_minutes\":%" PRId64,
                      v->offered_rate, m->count);
    add_count(out, "outside", v->verdict.arrivals.outside);
    if (m->count) {
        buffer_add_format(out, ",\"by\":\"%s\",\"worst\":%.3f,\"mean\":%.3f,\"worst_at\":\"",
                          stage_names[v->verdict.last_stage], (double)m->worst / 60,
                          (double)m->events / 60 / (double)m->count);
        timestamp_rfc3339(m->worst_at_us, true, out);
        buffer_add_char(out, '"');
    }
    if (v->offered_minutes.count)
        buffer_add_format(out, ",\"offered_worst\":%.3f", (double)v->offered_minutes.worst / 60);
    buffer_add_char(out, '}');
}

static void add_limits(const Verify *v, Buffer *out) {
    buffer_add_text(out, ",\"limits\":{");
    int count = 0;
    for (int i = 0; i < WRONGS; i++)
        if (v->limits[i] >= 0)
            buffer_add_format(out, "%s\"%s\":%" PRId64, count++ ? "," : "", wrong_names[i],
                              v->limits[i]);
    for (int p = 0; p < PERCENTILES; p++) {
        if (v->latency_us[p] < 0) continue;
        buffer_add_format(out, "%s\"latency_%s\":%.6f", count++ ? "," : "", percentile_names[p],
                          (double)v->latency_us[p] / 1e6);
    }
    if (v->least_rate >= 0)
        buffer_add_format(out, "%s\"rate\":%.17g", count++ ? "," : "", v->least_rate);
    buffer_add_text(out, "},\"broken_limits\":[");
    count = 0;
    for (int i = 0; i < WRONGS; i++)
        if (!count_ok(v, i)) buffer_add_format(out, "%s\"%s\"", count++ ? "," : "", wrong_names[i]);
    for (int p = 0; p < PERCENTILES; p++)
        if (!latency_ok(v, (Percentile)p))
            buffer_add_format(out, "%s\"latency_%s\"", count++ ? "," : "", percentile_names[p]);
    if (!rate_ok(v)) buffer_add_format(out, "%s\"rate\"", count++ ? "," : "");
    buffer_add_char(out, ']');
}

static void add_examples(const Verdict *r, Buffer *out) {
    buffer_add_text(out, ",\"examples\":{");
    for (int i = 0; i < WRONGS; i++) {
        buffer_add_format(out, "%s\"%s\":[", i ? "," : "", wrong_names[i]);
        for (int k = 0; k < EXAMPLES && k < r->wrong[i] && r->examples[i][k][0]; k++) {
            if (k) buffer_add_char(out, ',');
            json_string(str_from(r->examples[i][k]), out);
        }
        buffer_add_char(out, ']');
    }
    buffer_add_char(out, '}');
}

static void add_account(const Verify *v, Buffer *out) {
    const Account *a = &v->account;
    buffer_add_format(out, ",\"account\":{\"taken\":%" PRId64 ",\"stored\":%" PRId64, a->taken,
                      v->verdict.rows);
    for (int i = 0; i < ACCOUNT_KINDS; i++) add_count(out, account_names[i], a->counts[i]);
    add_count(out, "missing_late", v->verdict.explained[EXPLAINED_LATE]);
    add_count(out, "missing_dead", v->verdict.explained[EXPLAINED_DEAD]);
    add_count(out, "missing_excused", a->excused);
    for (int why = EXPLAINED_LATE; why < EXPLANATIONS; why++) {
        buffer_add_format(out, ",\"%s_events\":[", why == EXPLAINED_LATE ? "late" : "dead");
        for (int k = 0; k < EXAMPLES && v->verdict.explained_ids[why][k][0]; k++)
            buffer_add_format(out, "%s\"%s\"", k ? "," : "", v->verdict.explained_ids[why][k]);
        buffer_add_char(out, ']');
    }
    buffer_add_char(out, '}');
}

void tell_machines(Verify *v) {
    const Verdict *r = &v->verdict;
    Buffer out = {0};
    buffer_add_format(&out, "{\"ok\":%s", verify_ok(v) ? "true" : "false");
    add_count(&out, "sent", r->events);
    add_count(&out, "late", r->late);
    add_count(&out, "copies", r->copies);
    add_count(&out, "broken", r->broken);
    add_count(&out, "arrived", r->rows);
    add_count(&out, "arrived_broken", r->broken_rows);
    add_count(&out, "missing_late", r->missing_late);
    for (int i = 0; i < WRONGS; i++) add_count(&out, wrong_names[i], r->wrong[i]);
    add_count(&out, "devices_spread", r->devices_spread);
    if (v->account.of) add_account(v, &out);
    add_latencies(v, &out);
    add_rate(v, &out);
    add_limits(v, &out);
    buffer_add_text(&out, ",\"compared\":[");
    for (int i = 0, n = 0; i < EVENT_COLUMNS; i++)
        if (r->row_compared[i])
            buffer_add_format(&out, "%s\"%s\"", n++ ? "," : "", column_names[i]);
    buffer_add_char(&out, ']');
    add_examples(r, &out);
    buffer_add_text(&out, "}\n");
    fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
}
