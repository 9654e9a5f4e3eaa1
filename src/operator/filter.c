/* WHERE and HAVING. Rows stay or go; where nothing goes the batch itself is handed on. Behind a
 * GROUP BY the readers may have seen the group before, so one that no longer meets the condition
 * leaves as a delete. Of groups without a window over input that does not end, which change for as
 * long as the pipeline runs, those that pass are remembered: of a million that never did, readers
 * should not get a million deletes. */
#include "base/hash.h"
#include "operator/specs.h"

typedef struct Filter {
    Operator base;
    const FilterSpec *spec;
    Program *program;
    Buffer key; /* branch and key of a row */
} Filter;

static void nothing_encode(void *context, const void *value, Buffer *out) {
    (void)context, (void)value, (void)out;
}

static Status nothing_decode(void *context, void *value, Reader *r) {
    (void)context, (void)value;
    return r->bad ? FAIL : OK;
}

static Status filter_open(Operator *op, const void *spec, Error *error) {
    Filter *f = (Filter *)op;
    f->spec = spec;
    if (f->spec->remembers)
        op->state = state_new(&(StateSpec){
            .value_size = 16, .encode = nothing_encode, .decode = nothing_decode, .context = f});
    Expr *condition[] = {f->spec->condition};
    return program_new(condition, 1, op->host->env, &f->program, error);
}

/* Rows that do not meet the condition; those with an error are judged later. */
static bool judge(const Batch *batch, const Column *condition, uint8_t *keep) {
    bool all = true;
    for (int row = 0; row < batch->rows; row++) {
        keep[row] = condition->bools[row] != 0;
        if (condition->states) {
            if (condition->states[row] == VALUE_NULL) keep[row] = 0;
            if (condition->states[row] == VALUE_ERROR) keep[row] = 1;
        }
        all &= keep[row];
    }
    return all;
}

/* Deletes go through whatever their values are; a group that was perhaps seen leaves as a delete.
 */
static const uint8_t *keep_deletes(const Batch *batch, uint8_t *keep) {
    uint8_t *ops = arena_alloc(batch->arena, (size_t)batch->rows);
    for (int row = 0; row < batch->rows; row++) {
        ops[row] = batch->ops[row];
        if (keep[row] || ops[row] == ROW_INSERT) continue;
        ops[row] = ROW_DELETE;
        keep[row] = 1;
    }
    return ops;
}

/* Deletes of groups that readers do not have go no further. */
static void remember(Filter *f, const Batch *batch, const uint8_t *ops, uint8_t *keep) {
    State *state = f->base.state;
    Bucket *bucket = state_bucket(state, 0);
    for (int row = 0; row < batch->rows; row++) {
        if (!keep[row] || ops[row] == ROW_INSERT) continue;
        f->key.size = 0;
        buffer_add_varint(&f->key, (uint64_t)batch->branch);
        buffer_add_str(&f->key, batch->keys[row]);
        Str key = buffer_str(&f->key);
        uint64_t hash = hash_bytes(key);
        if (ops[row] == ROW_UPSERT) {
            bool made;
            void *known = state_put(state, bucket, hash, key, &made);
            if (made) state_touch(state, known);
            continue;
        }
        void *known = state_find(bucket, hash, key);
        if (known) state_forget(state, known);
        else keep[row] = f->spec->tells_all;
    }
    count_state(&f->base);
}

static Status filter_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    Filter *f = (Filter *)op;
    Column condition;
    RowErrors errors = {.arena = batch->arena};
    program_run(f->program, batch, batch->arena, &errors, &condition);
    uint8_t *keep = arena_alloc(batch->arena, (size_t)batch->rows + 1);
    bool all = judge(batch, &condition, keep);
    const uint8_t *ops = batch->ops;
    if (ops && f->spec->changes) ops = keep_deletes(batch, keep);
    if (!all) op->counters.filtered += records_dropped(batch, keep);
    reject_errors(op, batch, &condition, 1, &errors, batch->arena, &keep, &ops);
    if (ops && op->state) remember(f, batch, ops, keep);
    else if (all && errors.count == 0 && ops == batch->ops) return emit(op, batch, error);
    Batch *judged = batch_like(batch, 0, batch->arena);
    judged->column_count = batch->column_count;
    judged->columns = batch->columns;
    judged->ops = ops;
    return emit(op, batch_select(judged, keep, batch->arena), error);
}

static void filter_close(Operator *op) {
    Filter *f = (Filter *)op;
    program_free(&f->program);
    buffer_free(&f->key);
}

const OperatorType filter_operator = {
    .name = "filter",
    .size = sizeof(Filter),
    .open = filter_open,
    .push = filter_push,
    .close = filter_close,
};
