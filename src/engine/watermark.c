/* Time of partitions and sources (LANGUAGE.md 6). A partition's watermark is its highest event time
 * less the delay; a source's is the least over partitions that are neither idle nor ended. Which
 * rows are late follows from `seen` alone, so nothing here may look at batch borders. */
#include "engine/internal.h"

int64_t partition_watermark(const Partition *p) {
    return p->max_time == NO_TIME ? NO_TIME
                                  : p->max_time - p->source->plan->table->watermark_delay_us;
}

void batch_see(Partition *p, Batch *batch, Arena *arena) {
    if (!batch->event_times) return;
    int64_t *seen = arena_alloc(arena, sizeof *seen * (size_t)batch->rows);
    int64_t delay = p->source->plan->table->watermark_delay_us, highest = p->max_time;
    for (int i = 0; i < batch->rows; i++) {
        seen[i] = highest == NO_TIME ? NO_TIME : highest - delay;
        if (batch->event_times[i] > highest) highest = batch->event_times[i];
    }
    p->max_time = highest;
    batch->seen = seen;
}

/* Idle: asked, at its end, and nothing came for idle_timeout. Bounded sources are never idle. */
static void judge_idle(SourceRun *run, int64_t now) {
    Engine *e = run->engine;
    if (run->source->bounded) return;
    mutex_lock(&e->lock);
    for (int i = 0; i < run->partition_count; i++) {
        Partition *p = run->partitions[i];
        /* What came since it was asked last is not known: the reader may be busy elsewhere. */
        int64_t known = p->at_end_asked_us < now ? p->at_end_asked_us : now;
        p->idle = !p->ended && !p->first && p->at_end_since_us &&
                  known - p->at_end_since_us >= run->plan->table->idle_timeout_us;
    }
    mutex_unlock(&e->lock);
}

void source_watermark(SourceRun *run, int64_t now) {
    if (!run->listed) return;
    judge_idle(run, now);
    int64_t least = END_OF_TIME, greatest = NO_TIME;
    int active = 0, idle = 0, count = run->partition_count;
    for (int i = 0; i < count; i++) {
        Partition *p = run->partitions[i];
        int64_t mark = partition_watermark(p);
        if (mark > greatest) greatest = mark;
        if (i < REPORT_PARTITIONS) {
            atomic_store_explicit(&run->report->partitions[i].idle, p->idle, memory_order_relaxed);
            atomic_store_explicit(&run->report->partitions[i].ended, p->ended,
                                  memory_order_relaxed);
        }
        if (p->ended) continue;
        if (p->idle) {
            idle++;
            continue;
        }
        active++;
        if (mark < least) least = mark;
    }
    if (greatest > run->high) run->high = greatest;
    int64_t mark = NO_TIME;
    if (active) {
        mark = least;
        run->all_idle_since_us = 0;
    } else if (idle || (count && !run->source->bounded)) {
        /* Files that were followed may be over, all of them: the silence begins then. */
        if (!run->all_idle_since_us) {
            run->all_idle_since_us = idle ? now : now + run->plan->table->idle_timeout_us;
            run->idle_base = run->high;
        }
        int64_t passed = now - run->all_idle_since_us;
        if (run->idle_base != NO_TIME) mark = run->idle_base + (passed > 0 ? passed : 0);
    } else if (run->source->bounded) {
        mark = END_OF_TIME;
        run->ended = true;
        if (greatest > run->saved_mark) run->saved_mark = greatest;
    }
    if (mark > run->mark) run->mark = mark;
    if (mark != END_OF_TIME && run->mark > run->saved_mark) run->saved_mark = run->mark;
    atomic_store(&run->report->watermark_us, run->mark);
    atomic_store(&run->report->ended, run->ended);
}
