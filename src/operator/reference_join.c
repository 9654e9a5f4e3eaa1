/* JOIN with a reference table by its primary key: at most one partner a row, so rows are never
 * multiplied and keep their positions. Further conditions of ON are asked only of rows that have a
 * partner. */
#include "operator/reference.h"
#include "operator/specs.h"

typedef struct ReferenceJoin {
    Operator base;
    const ReferenceJoinSpec *spec;
    Program *residual; /* NULL: none */
} ReferenceJoin;

static Status join_open(Operator *op, const void *spec, Error *error) {
    ReferenceJoin *j = (ReferenceJoin *)op;
    j->spec = spec;
    Expr *residual[] = {j->spec->residual};
    return residual[0] ? program_new(residual, 1, op->host->env, &j->residual, error) : OK;
}

static Batch *with_partners(ReferenceJoin *j, const ReferenceTable *table, const Batch *batch,
                            const int32_t *found) {
    int columns = batch->column_count, more = j->spec->table.count;
    Batch *out = batch_like(batch, columns + more, batch->arena);
    if (columns) memcpy(out->columns, batch->columns, sizeof *out->columns * (size_t)columns);
    for (int c = 0; c < more; c++)
        out->columns[columns + c] = reference_column(table, c, found, batch->rows, batch->arena);
    return out;
}

/* Rows whose condition is not true lose their partner; those with an error go: keep[row] = 0. */
static void ask_residual(ReferenceJoin *j, const ReferenceTable *table, const Batch *batch,
                         int32_t *found, uint8_t *keep) {
    Arena *arena = batch->arena;
    int32_t *rows = arena_alloc(arena, sizeof *rows * (size_t)batch->rows),
            *partners = arena_alloc(arena, sizeof *rows * (size_t)batch->rows);
    int count = 0;
    for (int row = 0; row < batch->rows; row++) {
        if (found[row] < 0) continue;
        rows[count] = row;
        partners[count++] = found[row];
    }
    if (count == 0) return;
    Batch *pairs = with_partners(j, table, batch_gather(batch, rows, count, arena), partners);
    RowErrors errors = {.arena = arena};
    Column holds;
    program_run(j->residual, pairs, arena, &errors, &holds);
    for (int i = 0; i < count; i++)
        if (!column_ok(&holds, i) || !holds.bools[i]) found[rows[i]] = -1;
    uint8_t *judged = NULL;
    const uint8_t *ops = pairs->ops;
    reject_errors(&j->base, pairs, &holds, 1, &errors, arena, &judged, &ops);
    for (int i = 0; judged && i < count; i++) keep[rows[i]] = judged[i];
}

static Status join_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    ReferenceJoin *j = (ReferenceJoin *)op;
    const ReferenceJoinSpec *s = j->spec;
    const ReferenceTable *table = op->host->reference(op->host, s->reference);
    batch = without_errors(op, batch, s->keys, s->key_count);
    size_t rows = (size_t)batch->rows;
    Column *keys = arena_new_array(batch->arena, Column, s->key_count);
    for (int k = 0; k < s->key_count; k++) keys[k] = batch->columns[s->keys[k]];
    int32_t *found = arena_alloc(batch->arena, sizeof *found * (rows + 1));
    reference_find(table, keys, s->key_count, batch->rows, found);
    uint8_t *keep = memset(arena_alloc(batch->arena, rows + 1), 1, rows + 1);
    if (j->residual) ask_residual(j, table, batch, found, keep);
    uint8_t *ops =
        batch->ops ? memcpy(arena_alloc(batch->arena, rows + 1), batch->ops, rows) : NULL;
    uint8_t *partnered = memset(arena_alloc(batch->arena, rows + 1), 1, rows + 1);
    for (int row = 0; !s->left && row < batch->rows; row++) {
        if (found[row] >= 0 || !keep[row]) continue;
        if (ops && ops[row] != ROW_INSERT)
            ops[row] = ROW_DELETE; /* it was perhaps seen with a partner */
        else keep[row] = partnered[row] = 0;
    }
    op->counters.filtered += records_dropped(batch, partnered);
    int32_t kept = 0;
    for (int row = 0; row < batch->rows; row++)
        if (keep[row]) found[kept++] = found[row];
    if (ops) {
        Batch *changed = batch_slice(batch, 0, batch->rows, batch->arena);
        changed->ops = ops;
        batch = changed;
    }
    return emit(op, with_partners(j, table, batch_select(batch, keep, batch->arena), found), error);
}

static void join_close(Operator *op) { program_free(&((ReferenceJoin *)op)->residual); }

const OperatorType reference_join_operator = {
    .name = "reference join",
    .size = sizeof(ReferenceJoin),
    .open = join_open,
    .push = join_push,
    .close = join_close,
};
