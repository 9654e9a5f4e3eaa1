/* Programs: the trees of one operator compiled to one flat list of steps, each of which fills one
 * column. A step is made once for equal parts of all trees, so `avg(x / 60), max(x / 60)` divides
 * once; parts that give other values at each call (random()) are never shared. A step runs over the
 * whole batch before the next one starts: loops over columns, nothing allocated per row, no masks.
 * Steps whose arguments are the same in every row are computed for one row and spread.
 *
 * Errors are values and may be dropped on the way (CASE, AND); a row's reason is therefore looked
 * up at the end, from the results that are still errors back to the step where it began. */
#include "expr/expr.h"
#include "base/hash.h"
#include "expr/forms.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct Step {
    const Expr *expr;
    Kernel kernel; /* NULL: constant, input column or hidden column */
    void *state;
    int *arg_steps;
    const Column **args; /* into Program.columns */
    uint64_t hash;
    StatesBefore states;
    bool constant;                /* the same in every row of a batch */
    int first_error, error_count; /* of this run, in Program.errors */
} Step;

struct Program {
    Arena *arena;
    struct Env *env;
    Step *steps;
    Column *columns; /* of each step */
    int step_count, capacity;
    int *outputs; /* step of each expression */
    int output_count;
    int constant_rows; /* so many rows of each constant are filled in */
    RowErrors errors;  /* of all steps of this run, in the run's arena */
};

/* ---- compiling ---- */

static uint64_t mix(uint64_t hash, uint64_t word) {
    return (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
}

static uint64_t step_hash(const Expr *e, const int *arg_steps) {
    uint64_t hash = mix(mix((uint64_t)e->kind, (uint64_t)e->type.kind), (uint32_t)e->type.modifier);
    hash =
        mix(hash, e->kind == EXPR_COLUMN ? (uint64_t)e->column : (uint64_t)(uintptr_t)e->function);
    if (e->kind == EXPR_CONSTANT && !e->value.null && type_physical(e->type.kind) == PHYSICAL_STR)
        hash = mix(hash, hash_bytes(e->value.str));
    for (int i = 0; i < e->arg_count; i++) hash = mix(hash, (uint64_t)arg_steps[i]);
    return hash;
}

static bool step_is(const Step *step, const Expr *e, const int *arg_steps) {
    const Expr *s = step->expr;
    if (s->kind != e->kind || s->type.kind != e->type.kind || s->type.modifier != e->type.modifier)
        return false;
    if (s->arg_count != e->arg_count || s->function != e->function) return false;
    if (e->kind == EXPR_COLUMN && s->column != e->column) return false;
    if (e->kind == EXPR_HIDDEN && s->hidden != e->hidden) return false;
    if (e->kind == EXPR_CONSTANT && !constant_equal(s->value, e->value)) return false;
    if (e->arg_count == 0) return true;
    if (memcmp(step->arg_steps, arg_steps, sizeof(int) * (size_t)e->arg_count) != 0) return false;
    /* the list of an IN is not among the steps */
    for (int i = 1; e->kind == EXPR_IN && i < e->arg_count; i++)
        if (!expr_equal(s->args[i], e->args[i])) return false;
    return true;
}

static Status prepare_call(Program *program, Step *step, Error *error) {
    const Expr *e = step->expr;
    if (!e->function->prepare) return OK;
    const Value **constants = arena_new_array(program->arena, const Value *, e->arg_count + 1);
    for (int i = 0; i < e->arg_count; i++)
        if (e->args[i]->kind == EXPR_CONSTANT) constants[i] = &e->args[i]->value;
    Error reason = {0};
    Status status = e->function->prepare(&step->state, constants, e->type, program->arena, &reason);
    if (status == OK) return OK;
    return fail_at(error, e->line, e->place, "%s", reason.text);
}

static Status prepare_step(Program *program, Step *step, Error *error) {
    const Expr *e = step->expr;
    if (e->kind == EXPR_CALL) {
        step->kernel = e->function->kernel;
        step->states = e->function->flags & FUNCTION_STRICT ? STATES_STRICT : STATES_ERRORS;
        return prepare_call(program, step, error);
    }
    step->kernel = form_kernel(e->kind);
    step->states = form_states(e->kind);
    return e->kind == EXPR_IN ? form_prepare_in(e, &step->state, program->arena, error) : OK;
}

static bool step_constant(const Program *program, const Step *step) {
    const Expr *e = step->expr;
    if (e->kind == EXPR_COLUMN) return false;
    if (e->kind == EXPR_HIDDEN) return e->hidden == HIDDEN_NOW || e->hidden == HIDDEN_PARTITION;
    if (e->kind == EXPR_CALL && e->function->flags & FUNCTION_VOLATILE) return false;
    for (int i = 0; i < e->arg_count; i++)
        if (!program->steps[step->arg_steps[i]].constant) return false;
    return true;
}

/* The step that computes `e`: an equal one or a new one behind those of its arguments. */
static Status compile(Program *program, const Expr *e, int *out, Error *error) {
    int *arg_steps = arena_new_array(program->arena, int, e->arg_count + 1);
    int needed = e->kind == EXPR_IN ? 1 : e->arg_count; /* the list of IN is in its state */
    for (int i = 0; i < needed; i++) {
        Status status = compile(program, e->args[i], &arg_steps[i], error);
        if (status != OK) return status;
    }
    bool is_volatile = e->kind == EXPR_CALL && e->function->flags & FUNCTION_VOLATILE;
    uint64_t hash = step_hash(e, arg_steps);
    for (int i = 0; i < program->step_count && !is_volatile; i++) {
        if (program->steps[i].hash == hash && step_is(&program->steps[i], e, arg_steps)) {
            *out = i;
            return OK;
        }
    }
    if (program->step_count == program->capacity) {
        program->capacity = program->capacity ? program->capacity * 2 : 16;
        program->steps = xrealloc(program->steps, sizeof(Step) * (size_t)program->capacity);
    }
    Step *step = &program->steps[program->step_count];
    *step = (Step){.expr = e, .arg_steps = arg_steps, .hash = hash};
    Status status = prepare_step(program, step, error);
    if (status != OK) return status;
    if (e->kind == EXPR_IN) step->constant = program->steps[arg_steps[0]].constant;
    else step->constant = step_constant(program, step);
    *out = program->step_count++;
    return OK;
}

static void fill_constants(Program *program, int rows) {
    for (int s = 0; s < program->step_count; s++) {
        const Expr *e = program->steps[s].expr;
        if (e->kind != EXPR_CONSTANT) continue;
        Value value = value_copy(e->value, program->arena);
        value.type = e->type;
        Column column = column_new(e->type, rows, value.null, program->arena);
        column.constant = true;
        if (value.null) {
            memset(column_states(&column), VALUE_NULL, (size_t)rows);
            memset((void *)(uintptr_t)column.values, 0,
                   physical_size(type_physical(e->type.kind)) * (size_t)rows);
        } else {
            for (int i = 0; i < rows; i++) column_set(&column, i, value, program->arena);
        }
        program->columns[s] = column;
    }
    program->constant_rows = rows;
}

Status program_new(Expr *const *exprs, int count, struct Env *env, Program **out, Error *error) {
    Program *program = xcalloc(1, sizeof *program);
    program->arena = arena_new();
    program->env = env;
    program->outputs = arena_new_array(program->arena, int, count + 1);
    program->output_count = count;
    for (int i = 0; i < count; i++) {
        Status status = compile(program, exprs[i], &program->outputs[i], error);
        if (status != OK) {
            program_free(&program);
            return status;
        }
    }
    program->columns = arena_new_array(program->arena, Column, program->step_count + 1);
    for (int s = 0; s < program->step_count; s++) {
        Step *step = &program->steps[s];
        step->args = arena_new_array(program->arena, const Column *, step->expr->arg_count + 1);
        for (int i = 0; i < step->expr->arg_count; i++)
            step->args[i] = &program->columns[step->arg_steps[i]];
    }
    /* env is NULL when constants are folded: a single row */
    fill_constants(program, env ? BATCH_ROWS : 1);
    *out = program;
    return OK;
}

void program_free(Program **program) {
    if (!*program) return;
    arena_free(&(*program)->arena);
    free((*program)->steps);
    free(*program);
    *program = NULL;
}

/* ---- running ---- */

void column_fail(Call *call, Column *out, int row, const char *format, ...) {
    if (!out->states) out->states = arena_zero(call->arena, (size_t)call->rows);
    uint8_t *state = &column_states(out)[row];
    if (*state == VALUE_ERROR) return;
    *state = VALUE_ERROR;
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    row_error(call->errors, row, "%s", text);
}

void column_null(Call *call, Column *out, int row) {
    if (!out->states) out->states = arena_zero(call->arena, (size_t)call->rows);
    uint8_t *state = &column_states(out)[row];
    if (*state != VALUE_ERROR) *state = VALUE_NULL;
}

/* The states that the arguments alone give: errors over NULL over values. */
static const uint8_t *argument_states(const Step *step, int rows, Arena *arena) {
    uint8_t *states = NULL;
    if (step->states == STATES_OWN) return NULL;
    int count = step->expr->kind == EXPR_IN ? 1 : step->expr->arg_count;
    for (int a = 0; a < count; a++) {
        const uint8_t *from = step->args[a]->states;
        if (!from) continue;
        if (!states) states = arena_zero(arena, (size_t)rows);
        if (step->states == STATES_STRICT)
            for (int i = 0; i < rows; i++) states[i] = from[i] > states[i] ? from[i] : states[i];
        else
            for (int i = 0; i < rows; i++)
                states[i] = from[i] == VALUE_ERROR ? VALUE_ERROR : states[i];
    }
    return states;
}

/* A column whose first row is computed, filled with it. `room` holds all rows; a kernel may have
 * left it for values of its own, or of its argument. */
static void spread(Column *column, void *room, int rows, Arena *arena) {
    size_t size = physical_size(type_physical(column->type.kind));
    char *values = room;
    if (column->values != room) memcpy(values, column->values, size);
    for (int done = 1; done < rows; done *= 2)
        memcpy(values + (size_t)done * size, values,
               (size_t)(rows - done < done ? rows - done : done) * size);
    column->values = room;
    column->constant = true;
    if (!column->states) return;
    uint8_t *states = arena_alloc(arena, (size_t)rows);
    memset(states, column->states[0], (size_t)rows);
    column->states = states;
}

static Column ints_column(Type type, const int64_t *values, int rows, Arena *arena) {
    if (values) return (Column){.type = type, .ints = values};
    Column column = column_new(type, rows, true, arena);
    memset(column_states(&column), VALUE_NULL, (size_t)rows);
    return column;
}

static Column hidden_column(const Expr *e, const Batch *batch, Arena *arena) {
    if (e->hidden == HIDDEN_EVENT_TIME)
        return ints_column(e->type, batch->event_times, batch->rows, arena);
    if (e->hidden == HIDDEN_POSITION)
        return ints_column(e->type, batch->positions, batch->rows, arena);
    bool now = e->hidden == HIDDEN_NOW;
    bool null = !now && batch->partition < 0;
    Column column = column_new(e->type, batch->rows, null, arena);
    if (batch->rows == 0) return column;
    column_ints(&column)[0] = now ? batch->taken_us : batch->partition;
    if (null) column_states(&column)[0] = VALUE_NULL;
    spread(&column, column_ints(&column), batch->rows, arena);
    return column;
}

static void run_step(Program *program, Step *step, Column *out, const Batch *batch, Arena *arena) {
    const Expr *e = step->expr;
    int rows = step->constant ? 1 : batch->rows;
    Call call = {
        .arena = arena,
        .errors = &program->errors,
        .batch = batch,
        .state = step->state,
        .result = e->type,
        .arg_count = e->arg_count,
        .rows = rows,
        .taken_us = batch->taken_us,
        .env = program->env,
    };
    *out = column_new(e->type, batch->rows, false, arena);
    out->states = argument_states(step, rows, arena);
    void *room = column_ints(out); /* whatever its type */
    step->kernel(&call, rows, step->args, out);
    if (step->constant) spread(out, room, batch->rows, arena);
}

/* Why this row of a step's column is an error: NULL when nobody said. */
static const char *reason_of(const Program *program, int s, int row, const Batch *batch) {
    for (;;) {
        const Step *step = &program->steps[s];
        int at = step->constant ? 0 : row;
        for (int i = 0; i < step->error_count; i++) {
            const RowError *error = &program->errors.items[step->first_error + i];
            if (error->row == at) return error->text;
        }
        const Expr *e = step->expr;
        if (!step->kernel) return batch->errors ? row_error_text(batch->errors, row) : NULL;
        int next = -1;
        int count = e->kind == EXPR_IN ? 1 : e->arg_count;
        if (e->kind == EXPR_CASE) next = form_case_pick(step->args, e->arg_count, row);
        for (int i = 0; i < count && next < 0; i++)
            if (column_state(step->args[i], row) == VALUE_ERROR) next = i;
        if (next < 0) return NULL;
        s = step->arg_steps[next];
    }
}

static void tell_reasons(const Program *program, const Batch *batch, Arena *arena,
                         RowErrors *errors, const Column *outputs) {
    uint8_t *told = NULL;
    for (int o = 0; o < program->output_count; o++) {
        const uint8_t *states = outputs[o].states;
        if (!states) continue;
        for (int row = 0; row < batch->rows; row++) {
            if (states[row] != VALUE_ERROR) continue;
            if (!told) told = arena_zero(arena, (size_t)batch->rows);
            if (told[row]) continue;
            told[row] = 1;
            const char *reason = reason_of(program, program->outputs[o], row, batch);
            row_error(errors, row, "%s", reason ? reason : "unknown error");
        }
    }
}

void program_run(Program *program, const Batch *batch, Arena *arena, RowErrors *errors,
                 Column *outputs) {
    if (batch->rows > program->constant_rows) fill_constants(program, batch->rows);
    program->errors = (RowErrors){.arena = arena};
    if (batch->rows == 0) {
        for (int o = 0; o < program->output_count; o++)
            outputs[o] =
                column_new(program->steps[program->outputs[o]].expr->type, 0, false, arena);
        return;
    }
    for (int s = 0; s < program->step_count; s++) {
        Step *step = &program->steps[s];
        step->first_error = program->errors.count;
        if (step->kernel) run_step(program, step, &program->columns[s], batch, arena);
        else if (step->expr->kind == EXPR_COLUMN)
            program->columns[s] = batch->columns[step->expr->column];
        else if (step->expr->kind == EXPR_HIDDEN)
            program->columns[s] = hidden_column(step->expr, batch, arena);
        step->error_count = program->errors.count - step->first_error;
    }
    for (int o = 0; o < program->output_count; o++)
        outputs[o] = program->columns[program->outputs[o]];
    tell_reasons(program, batch, arena, errors, outputs);
}
