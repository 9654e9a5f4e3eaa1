/* UNION ALL: hands on the rows of each input. Rows are told apart by their branch; a branch of a
 * branch is a number of its own. Time is as far as the slowest input. */
#include "operator/specs.h"

static Status union_open(Operator *op, const void *spec, Error *error) {
    const UnionSpec *s = spec;
    if (s->inputs != op->inputs)
        return fail(error, "a union of %d inputs was given %d", s->inputs, op->inputs);
    return OK;
}

static Status union_push(Operator *op, int input, const Batch *batch, Error *error) {
    Batch out = *batch;
    out.branch = batch->branch * op->inputs + input;
    return emit(op, &out, error);
}

static Status union_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)error;
    for (int i = 0; i < op->inputs; i++)
        if (i != input) mark = watermark_min(mark, op->input_marks[i]);
    op->output_mark = mark;
    return OK;
}

const OperatorType union_operator = {
    .name = "union",
    .size = sizeof(Operator),
    .open = union_open,
    .push = union_push,
    .advance = union_advance,
};
