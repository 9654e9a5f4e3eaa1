/* The planted faults. Each is what a mistake in the engine would do, made by standing between two
 * of its files: a change that never reaches the home, a watermark that is not read back, a position
 * one record too low, the first row's `seen` for all of its batch, a segment of keys dropped, what
 * was counted before counted again, or not read again for the sink that lacks it. Those of sinks
 * (marker before the rows, a length that was not synced, a marker read one too low, an offset one
 * record too far, markers of other runs that are overlooked) are in stores.c, that of sources (a
 * new partition is read from its present end) in outside.c. */
#include "simulate/plant.h"
#include "engine/internal.h"

Plant planted;
const char *const PLANT_NAMES[PLANTS] = {
    [PLANT_NONE] = "none",
    [PLANT_LOST_DELTA] = "lost-delta",
    [PLANT_MARKER_EARLY] = "marker-too-early",
    [PLANT_WATERMARK] = "watermark-not-restored",
    [PLANT_COUNTED_TWICE] = "row-counted-twice",
    [PLANT_LATE_BY_BATCH] = "late-by-batch",
    [PLANT_UNSYNCED] = "committed-before-synced",
    [PLANT_TWICE] = "delivered-twice",
    [PLANT_DEDUP_FORGETS] = "dedup-forgets",
    [PLANT_OFFSET_FAR] = "offset-too-far",
    [PLANT_REPLAY_COUNTS] = "replay-counts",
    [PLANT_NO_REPLAY] = "no-replay",
    [PLANT_ZOMBIE] = "zombie-not-told",
    [PLANT_LATE_PARTITION] = "new-partition-from-now",
    [PLANT_RESET] = "reset-keeps-state",
};

void __real_home_put_delta(HomeBatch *, const char *, Str);
void __wrap_home_put_delta(HomeBatch *, const char *, Str);
void __wrap_home_put_delta(HomeBatch *batch, const char *name, Str blob) {
    static int nth;
    if (plant(PLANT_LOST_DELTA) && ++nth % 3 == 0) return;
    __real_home_put_delta(batch, name, blob);
}

void __real_home_put_segment(HomeBatch *, const char *, int64_t, Str);
void __wrap_home_put_segment(HomeBatch *, const char *, int64_t, Str);
void __wrap_home_put_segment(HomeBatch *batch, const char *name, int64_t bucket, Str blob) {
    static int nth;
    if (plant(PLANT_DEDUP_FORGETS) && ++nth % 3 == 0) home_drop_segment(batch, name, bucket);
    else __real_home_put_segment(batch, name, bucket, blob);
}

Status __real_home_positions(Home *, HomePosition **, int *, Arena *, Error *);
Status __wrap_home_positions(Home *, HomePosition **, int *, Arena *, Error *);
Status __wrap_home_positions(Home *home, HomePosition **out, int *count, Arena *arena,
                             Error *error) {
    Status status = __real_home_positions(home, out, count, arena, error);
    for (int i = 0; status == OK && i < *count; i++) {
        if (plant(PLANT_WATERMARK)) (*out)[i].max_time = NO_TIME;
        if (plant(PLANT_COUNTED_TWICE) && (*out)[i].position > 0) (*out)[i].position--;
    }
    return status;
}

Status __real_home_mark(Home *, const char *, int64_t *, Error *);
Status __wrap_home_mark(Home *, const char *, int64_t *, Error *);
Status __wrap_home_mark(Home *home, const char *source, int64_t *mark, Error *error) {
    Status status = __real_home_mark(home, source, mark, error);
    if (plant(PLANT_WATERMARK)) *mark = NO_TIME;
    return status;
}

void __real_batch_see(Partition *, Batch *, Arena *);
void __wrap_batch_see(Partition *, Batch *, Arena *);
void __wrap_batch_see(Partition *partition, Batch *batch, Arena *arena) {
    __real_batch_see(partition, batch, arena);
    if (!plant(PLANT_LATE_BY_BATCH) || !batch->seen) return;
    for (int i = 0; i < batch->rows; i++) ((int64_t *)(uintptr_t)batch->seen)[i] = batch->seen[0];
}

Status __real_replay_batch(Engine *, Partition *, Batch *, Error *);
Status __wrap_replay_batch(Engine *, Partition *, Batch *, Error *);
Status __wrap_replay_batch(Engine *e, Partition *p, Batch *batch, Error *error) {
    if (!plant(PLANT_REPLAY_COUNTS)) return __real_replay_batch(e, p, batch, error);
    return operator_push(p->source->op, 0, batch, error);
}

int64_t __real_positions_resume(const SourceRun *, const Partition *);
int64_t __wrap_positions_resume(const SourceRun *, const Partition *);
int64_t __wrap_positions_resume(const SourceRun *source, const Partition *p) {
    return plant(PLANT_NO_REPLAY) ? p->position : __real_positions_resume(source, p);
}

Status __real_home_forget_query(Home *, const char *, const char *, const char *, Error *);
Status __wrap_home_forget_query(Home *, const char *, const char *, const char *, Error *);
Status __wrap_home_forget_query(Home *home, const char *query, const char *view, const char *sink,
                                Error *error) {
    if (!plant(PLANT_RESET)) return __real_home_forget_query(home, query, view, sink, error);
    return OK;
}
