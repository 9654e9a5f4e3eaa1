/* SELECT: computes the columns of the output, hidden columns stay. A plain column is handed on as
 * it is, nothing is copied. */
#include "operator/specs.h"

typedef struct Project {
    Operator base;
    const ProjectSpec *spec;
    Program *program;
} Project;

static Status project_open(Operator *op, const void *spec, Error *error) {
    Project *p = (Project *)op;
    p->spec = spec;
    return program_new(p->spec->exprs, p->spec->count, op->host->env, &p->program, error);
}

/* NULL where none may be is an error like any other. */
static void require(const ProjectSpec *spec, Batch *out, RowErrors *errors) {
    for (int c = 0; spec->required && c < spec->count; c++) {
        Column *column = &out->columns[c];
        if (!spec->required[c] || !column->states ||
            !memchr(column->states, VALUE_NULL, (size_t)out->rows))
            continue;
        uint8_t *states =
            memcpy(arena_alloc(out->arena, (size_t)out->rows), column->states, (size_t)out->rows);
        for (int row = 0; row < out->rows; row++) {
            if (states[row] != VALUE_NULL) continue;
            states[row] = VALUE_ERROR;
            row_error(errors, row, "%s", spec->required[c]);
        }
        column->states = states;
    }
}

static Status project_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    Project *p = (Project *)op;
    Batch *out = batch_like(batch, p->spec->count, batch->arena);
    RowErrors errors = {.arena = batch->arena};
    program_run(p->program, batch, batch->arena, &errors, out->columns);
    require(p->spec, out, &errors);
    out->errors = NULL;
    uint8_t *keep = NULL;
    reject_errors(op, batch, out->columns, out->column_count, &errors, batch->arena, &keep,
                  &out->ops);
    return emit(op, keep ? batch_select(out, keep, batch->arena) : out, error);
}

static void project_close(Operator *op) { program_free(&((Project *)op)->program); }

const OperatorType project_operator = {
    .name = "project",
    .size = sizeof(Project),
    .open = project_open,
    .push = project_push,
    .close = project_close,
};
