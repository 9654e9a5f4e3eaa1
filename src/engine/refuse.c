/* Rows that a sink will never take: each becomes a dead letter, and the sink goes on without it. By
 * outbox they are in the home before the far side commits, as (sink, delivery, row): a delivery
 * that is made again replaces them. At once they go with the epoch that counts their rows. */
#include "engine/internal.h"
#include <stdio.h>

void refuse_row(void *context, Str record, const char *reason) {
    SinkRun *run = context;
    buffer_add_sized(&run->refused.rows, record.size > 65536 ? (Str){record.data, 65536} : record);
    buffer_add_sized(&run->refused.rows, str_from(reason));
    run->refused.count++;
    if (run->refusal_told) return;
    run->refusal_told = true;
    log_warning("sink %s refuses a row, which becomes a dead letter: %s", run->plan->table->name,
                reason);
}

void refusals_clear(Refusals *r) {
    r->rows.size = 0;
    r->count = 0;
}

void refusals_move(Refusals *to, Refusals *from) {
    buffer_add_str(&to->rows, buffer_str(&from->rows));
    to->count += from->count;
    refusals_clear(from);
}

static void refusals_count(SinkRun *run, int64_t count) {
    atomic_fetch_add(&run->report->refused, count);
}

void refusals_put(SinkRun *run, Refusals *r, HomeBatch *batch) {
    if (!r->count) return;
    Reader reader = reader_of(buffer_str(&r->rows));
    Engine *e = run->engine;
    while (reader.at < reader.end) {
        Str record = read_sized(&reader), reason = read_sized(&reader);
        char text[1024];
        snprintf(text, sizeof text, "%.*s", STR_ARG(reason));
        home_put_reject(batch, &(HomeReject){.query = run->plan->table->name,
                                             .partition = -1,
                                             .position = NO_TIME,
                                             .time_us = e->env->now_us(e->env),
                                             .reason = text,
                                             .record = record});
    }
    refusals_count(run, r->count);
    home_put_count(batch, run->plan->table->name, "", "refused",
                   atomic_load(&run->report->refused));
    refusals_clear(r);
}

static int64_t refused_in_home(SinkRun *run) {
    Engine *e = run->engine;
    HomeCount *counts;
    int count = 0;
    int64_t total = -1;
    Arena *arena = arena_new();
    if (home_counts(e->home, &counts, &count, arena, NULL) != OK) count = 0;
    else total = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(counts[i].kind, "refused") == 0 && !*counts[i].source &&
            strcmp(counts[i].query, run->plan->table->name) == 0)
            total = counts[i].count;
    arena_free(&arena);
    return total;
}

Status refusals_keep(SinkRun *run, int64_t delivery, Error *error) {
    Engine *e = run->engine;
    Refusals *r = &run->refused;
    if (!r->count && !run->again) return OK;
    Arena *arena = arena_new();
    HomeReject *rows = arena_new_array(arena, HomeReject, r->count + 1);
    Reader reader = reader_of(buffer_str(&r->rows));
    for (int64_t i = 0; i < r->count; i++) {
        Str record = read_sized(&reader), reason = read_sized(&reader);
        rows[i] = (HomeReject){.query = run->plan->table->name,
                               .partition = -1,
                               .position = NO_TIME,
                               .time_us = e->env->now_us(e->env),
                               .reason = arena_text(arena, reason),
                               .record = record};
    }
    mutex_lock(&e->home_lock);
    Status status =
        home_refuse(e->home, run->plan->table->name, delivery, rows, (int)r->count, error);
    int64_t total = status == OK ? refused_in_home(run) : -1;
    mutex_unlock(&e->home_lock);
    arena_free(&arena);
    if (total >= 0) atomic_store(&run->report->refused, total);
    if (status != OK) return status;
    fault_at(e->env, "deliver.refused");
    refusals_clear(r);
    return OK;
}
