/* Runs a script of rows and times through a chain of operators in several ways: batches whole, a
 * row a batch, and killed and read back from what the epochs wrote after every row. All must give
 * the same rows.
 *
 * A row is written "time seen : value, value, …" (`-`: no watermark yet; values as SQL text, or
 * null). A result is read as "value|value @event time"; a late or dead row as "late: value|value",
 * "idle: …", "dead: …". */
#pragma once
#include "base/env.h"
#include "operator/reference.h"
#include "operator/specs.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef enum StepKind { PUSH, ADVANCE, EPOCH } StepKind;
typedef struct Step {
    StepKind kind;
    int input;
    const char *rows; /* lines */
    Watermark mark;
} Step;
#define ROWS(...)                                                                                  \
    {                                                                                              \
        PUSH, 0, __VA_ARGS__, { 0, 0 }                                                             \
    }
#define ROWS_OF(n, ...)                                                                            \
    {                                                                                              \
        PUSH, n, __VA_ARGS__, { 0, 0 }                                                             \
    }
#define TIME(t)                                                                                    \
    {                                                                                              \
        ADVANCE, 0, NULL, { t, t }                                                                 \
    }
#define TIME_OF(n, t)                                                                              \
    {                                                                                              \
        ADVANCE, n, NULL, { t, t }                                                                 \
    }
#define THE_END                                                                                    \
    {                                                                                              \
        ADVANCE, 0, NULL, { END_OF_TIME, END_OF_TIME }                                             \
    }
#define THE_END_OF(n)                                                                              \
    {                                                                                              \
        ADVANCE, n, NULL, { END_OF_TIME, END_OF_TIME }                                             \
    }
#define CLOSE_EPOCH                                                                                \
    {                                                                                              \
        EPOCH, 0, NULL, { 0, 0 }                                                                   \
    }

typedef struct Link {
    const OperatorType *type;
    const void *spec;
} Link;

typedef struct Scene {
    Schema inputs[2];
    Link links[4];
    int link_count;
    const Step *steps;
    int step_count;
    bool folded;       /* results are compared as the view that upserts and deletes leave */
    int64_t unit;      /* of times in rows, marks and results, in microseconds; 0: 1 */
    bool results_only; /* input rows are results: no seen, no positions, keys made of all values */
    ReferenceTable *reference;
    int64_t ended_at; /* what the host tells at the end */
} Scene;

typedef struct Lines {
    char **items;
    int count;
} Lines;

static inline void lines_add(Lines *lines, char *line) {
    lines->items = xrealloc(lines->items, sizeof *lines->items * (size_t)(lines->count + 1));
    lines->items[lines->count++] = line;
}

static inline void lines_free(Lines *lines) {
    for (int i = 0; i < lines->count; i++) free(lines->items[i]);
    free(lines->items);
    *lines = (Lines){0};
}

static inline int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- the sink and the host ---- */

typedef struct Stage {
    OperatorHost host; /* first: reject finds the stage by it */
    FakeEnv env;
    const Scene *scene;
    Operator *ops[4], *sink;
    Lines results, view_keys, view_rows;
    int growth_rows;
    int64_t position;
    struct TestHome *homes[4];
    int64_t epoch;
} Stage;

typedef struct Collector {
    Operator op;
    Stage *stage;
} Collector;

static inline int64_t unit_of(const Stage *stage) {
    return stage->scene->unit ? stage->scene->unit : 1;
}

static inline char *row_line(const Stage *stage, const Batch *batch, int row, const char *before) {
    Buffer line = {0};
    buffer_add_text(&line, before);
    for (int c = 0; c < batch->column_count; c++) {
        if (c) buffer_add_char(&line, '|');
        Value value = column_value(&batch->columns[c], row);
        if (!column_ok(&batch->columns[c], row)) buffer_add_text(&line, "null");
        else if (value.type.kind == TYPE_BOOL) buffer_add_char(&line, value.boolean ? 't' : 'f');
        else value_text(value, &line);
    }
    if (*before == '\0' && batch->event_times)
        buffer_add_format(&line, " @%lld", (long long)(batch->event_times[row] / unit_of(stage)));
    buffer_add_char(&line, '\0');
    return line.data;
}

static inline Status collector_open(Operator *op, const void *spec, Error *error) {
    (void)error;
    ((Collector *)op)->stage = (Stage *)(uintptr_t)spec;
    return OK;
}

static inline void fold(Stage *stage, const Batch *batch, int row) {
    Buffer key = {0};
    assert_non_null(batch->keys);
    for (size_t i = 0; i < batch->keys[row].size; i++)
        buffer_add_format(&key, "%02x", (unsigned char)batch->keys[row].data[i]);
    buffer_add_format(&key, "/%d", batch->branch);
    buffer_add_char(&key, '\0');
    int at = 0;
    while (at < stage->view_keys.count && strcmp(stage->view_keys.items[at], key.data) != 0) at++;
    if (at < stage->view_keys.count) {
        free(stage->view_rows.items[at]);
        free(stage->view_keys.items[at]);
        stage->view_rows.items[at] = stage->view_rows.items[--stage->view_rows.count];
        stage->view_keys.items[at] = stage->view_keys.items[--stage->view_keys.count];
    }
    if (batch->ops && batch->ops[row] == ROW_DELETE) {
        buffer_free(&key);
        return;
    }
    lines_add(&stage->view_keys, key.data);
    lines_add(&stage->view_rows, row_line(stage, batch, row, ""));
}

static inline Status collector_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input, (void)error;
    Stage *stage = ((Collector *)op)->stage;
    assert_true(batch->rows <= BATCH_ROWS);
    for (int row = 0; row < batch->rows; row++) {
        stage->growth_rows += batch->growth;
        if (stage->scene->folded) fold(stage, batch, row);
        else
            lines_add(&stage->results,
                      row_line(stage, batch, row,
                               batch->ops && batch->ops[row] == ROW_DELETE ? "gone: " : ""));
    }
    return OK;
}

static inline void collector_close(Operator *op) { (void)op; }

static const OperatorType collector = {.name = "collector",
                                       .size = sizeof(Collector),
                                       .open = collector_open,
                                       .push = collector_push,
                                       .close = collector_close};

static inline void test_reject(OperatorHost *host, Operator *op, RejectKind kind,
                               const Batch *batch, int row, const char *reason) {
    static const char *const names[] = {"late: ", "idle: ", "dead: "};
    assert_non_null(reason);
    assert_true(strlen(reason) > 3);
    if (kind == REJECT_LATE) op->counters.late++;
    if (kind == REJECT_LATE_IDLE) op->counters.late_idle++;
    if (kind == REJECT_DEAD) op->counters.dead++;
    lines_add(&((Stage *)host)->results, row_line((Stage *)host, batch, row, names[kind]));
}

static inline const ReferenceTable *test_reference(OperatorHost *host, int index) {
    (void)index;
    return ((Stage *)host)->scene->reference;
}

static inline int64_t test_ended_at(OperatorHost *host, const Operator *op) {
    (void)op;
    return ((Stage *)host)->scene->ended_at * unit_of((Stage *)host);
}

/* ---- what epochs write ---- */

typedef struct TestHome {
    StateWriter writer;
    struct {
        char kind;
        int64_t epoch, id;
        Str blob;
    } * records;
    int count;
    int64_t epoch, snapshots[STATE_SHARDS];
} TestHome;

static inline void home_keep(TestHome *h, char kind, int64_t id, Str blob) {
    h->records = xrealloc(h->records, sizeof *h->records * (size_t)(h->count + 1));
    char *copy = memcpy(xmalloc(blob.size), blob.data, blob.size);
    h->records[h->count].kind = kind;
    h->records[h->count].epoch = h->epoch;
    h->records[h->count].id = id;
    h->records[h->count++].blob = (Str){copy, blob.size};
}
static inline void home_void(TestHome *h, char kind, int64_t id) {
    for (int i = 0; i < h->count; i++)
        if (h->records[i].kind == kind && h->records[i].id == id) h->records[i].kind = 0;
}
static inline void home_delta(StateWriter *w, Str blob) { home_keep((TestHome *)w, 'd', 0, blob); }
static inline void home_snapshot(StateWriter *w, int shard, Str blob) {
    TestHome *h = (TestHome *)w;
    home_void(h, 's', shard);
    h->snapshots[shard] = h->epoch;
    home_keep(h, 's', shard, blob);
}
static inline void home_segment(StateWriter *w, int64_t bucket, Str blob) {
    home_keep((TestHome *)w, 'g', bucket, blob);
}
static inline void home_drop(StateWriter *w, int64_t bucket) {
    home_void((TestHome *)w, 'g', bucket);
}

static inline TestHome *test_home_new(void) {
    TestHome *h = xcalloc(1, sizeof *h);
    h->writer = (StateWriter){home_delta, home_snapshot, home_segment, home_drop};
    return h;
}
static inline void test_home_free(TestHome *h) {
    for (int i = 0; i < h->count; i++) free((void *)(uintptr_t)h->records[i].blob.data);
    free(h->records);
    free(h);
}
static inline void test_home_read(const TestHome *h, State *state) {
    Error error;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < h->count; i++) {
            Str blob = h->records[i].blob;
            Status status = OK;
            if (pass == 0 && h->records[i].kind == 's')
                status = state_read_snapshot(state, (int)h->records[i].id, blob, &error);
            if (pass == 1 && h->records[i].kind == 'd')
                status = state_read_delta(state, h->records[i].epoch, h->snapshots, blob, &error);
            if (pass == 1 && h->records[i].kind == 'g')
                status = state_read_segment(state, h->records[i].id, blob, &error);
            if (status != OK) fail_msg("%s", error.text);
        }
    state_read_done(state);
}

/* ---- running ---- */

static inline void stage_make(Stage *stage) {
    const Scene *scene = stage->scene;
    Error error = {0};
    stage->sink = operator_new(&collector, "sink", 0, &stage->host, 1);
    assert_int_equal(collector.open(stage->sink, stage, &error), OK);
    for (int i = scene->link_count - 1; i >= 0; i--) {
        stage->ops[i] = operator_new(scene->links[i].type, scene->links[i].type->name, 0,
                                     &stage->host, i == 0 ? 2 : 1);
        stage->ops[i]->inputs = i == 0 && scene->inputs[1].count ? 2 : 1;
        if (scene->links[i].type->open(stage->ops[i], scene->links[i].spec, &error) != OK)
            fail_msg("%s", error.text);
        operator_connect(stage->ops[i], i + 1 < scene->link_count ? stage->ops[i + 1] : stage->sink,
                         0, true);
    }
}

static inline void stage_drop(Stage *stage) {
    for (int i = 0; i < stage->scene->link_count; i++) operator_free(&stage->ops[i]);
    operator_free(&stage->sink);
}

static inline void tell_changes(Stage *stage) {
    Error error;
    for (int i = 0; i < stage->scene->link_count; i++) {
        Status status = OK;
        while (stage->ops[i]->type->changes &&
               (status = stage->ops[i]->type->changes(stage->ops[i], &error)) == AGAIN) {}
        assert_int_equal(status, OK);
    }
}

static inline void close_epoch(Stage *stage) {
    tell_changes(stage);
    stage->epoch++;
    for (int i = 0; i < stage->scene->link_count; i++) {
        if (!stage->ops[i]->state) continue;
        stage->homes[i]->epoch = stage->epoch;
        state_write(stage->ops[i]->state, (int)(stage->epoch % STATE_SHARDS),
                    &stage->homes[i]->writer);
    }
}

/* The process dies and a new one goes on from the home; the engine keeps the marks there. */
static inline void kill_and_restore(Stage *stage) {
    close_epoch(stage);
    Watermark marks[4][3];
    for (int i = 0; i < stage->scene->link_count; i++) {
        for (int k = 0; k < stage->ops[i]->inputs; k++) marks[i][k] = stage->ops[i]->input_marks[k];
        marks[i][2] = stage->ops[i]->output_mark;
    }
    stage_drop(stage);
    stage_make(stage);
    for (int i = 0; i < stage->scene->link_count; i++) {
        for (int k = 0; k < stage->ops[i]->inputs; k++) stage->ops[i]->input_marks[k] = marks[i][k];
        stage->ops[i]->output_mark = marks[i][2];
        if (stage->ops[i]->state) test_home_read(stage->homes[i], stage->ops[i]->state);
    }
}

static inline Str trimmed(Str s) {
    while (s.size && *s.data == ' ') s.data++, s.size--;
    while (s.size && s.data[s.size - 1] == ' ') s.size--;
    return s;
}

static inline Str cut(Str *rest, char at) {
    const char *end = memchr(rest->data, at, rest->size);
    Str part = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
    size_t used = part.size + (end ? 1 : 0);
    rest->data += used;
    rest->size -= used;
    return trimmed(part);
}

static inline int64_t parse_time(const Stage *stage, Str text) {
    char copy[32] = "";
    if (str_equal(text, STR("-"))) return NO_TIME;
    memcpy(copy, text.data, text.size < 31 ? text.size : 31);
    return strtoll(copy, NULL, 10) * unit_of(stage);
}

/* The lines from `first` on, at most `most`, as a batch; its memory is the arena's alone. */
static inline Batch *parse_rows(Stage *stage, int input, const char *text, int first, int most,
                                Arena *arena) {
    const Schema *schema = &stage->scene->inputs[input];
    Str rest = str_from(text), lines[256];
    int count = 0, all = 0;
    while (rest.size) {
        Str line = cut(&rest, '\n');
        if (line.size && all++ >= first && count < most) lines[count++] = line;
    }
    if (count == 0) return NULL;
    Batch *b = arena_zero(arena, sizeof *b);
    *b = (Batch){.rows = count, .column_count = schema->count, .arena = arena, .taken_us = 1000};
    b->columns = arena_new_array(arena, Column, schema->count);
    for (int c = 0; c < schema->count; c++)
        b->columns[c] = column_new(schema->fields[c].type, count, true, arena);
    int64_t *times = arena_new_array(arena, int64_t, count),
            *seen = arena_new_array(arena, int64_t, count);
    int64_t *positions = arena_new_array(arena, int64_t, count);
    Str *keys = arena_new_array(arena, Str, count);
    for (int row = 0; row < count; row++) {
        Str line = lines[row], hidden = cut(&line, ':');
        times[row] = parse_time(stage, cut(&hidden, ' '));
        seen[row] = parse_time(stage, trimmed(hidden));
        positions[row] = stage->position++;
        Buffer key = {0};
        for (int c = 0; c < schema->count; c++) {
            Str word = cut(&line, ',');
            Value value = {.type = schema->fields[c].type, .null = true};
            Error error;
            if (str_equal(word, STR("error"))) {
                column_states(&b->columns[c])[row] = VALUE_ERROR;
                continue;
            }
            if (!str_equal(word, STR("null")) &&
                value_parse(value.type, arena_str(arena, word), &value, arena, &error) != OK)
                fail_msg("%s", error.text);
            column_set(&b->columns[c], row, value, arena);
            key_encode(&b->columns[c], row, &key);
        }
        keys[row] = arena_str(arena, buffer_str(&key));
        buffer_free(&key);
    }
    b->event_times = times;
    if (stage->scene->results_only) {
        b->source = b->partition = -1;
        b->keys = keys;
    } else {
        b->seen = seen;
        b->positions = positions;
    }
    return b;
}

typedef enum Way { WHOLE, SINGLE, KILLED, WAYS } Way;

static inline void run_advance(Stage *stage, const Step *step, Way way) {
    Error error;
again:;
    Watermark mark = step->mark;
    if (mark.time != END_OF_TIME && mark.time != NO_TIME)
        mark.time *= unit_of(stage), mark.window_start *= unit_of(stage);
    int input = step->input;
    for (int i = 0; i < stage->scene->link_count; i++) {
        Operator *op = stage->ops[i];
        if (op->type->advance) {
            Status status;
            while ((status = op->type->advance(op, input, mark, &error)) == AGAIN) {
                if (way != KILLED) continue;
                kill_and_restore(stage);
                goto again;
            }
            if (status != OK) fail_msg("%s", error.text);
            op->input_marks[input] = mark;
        } else {
            op->input_marks[input] = mark;
            op->output_mark = op->input_marks[0];
            for (int k = 1; k < op->inputs; k++)
                op->output_mark = watermark_min(op->output_mark, op->input_marks[k]);
        }
        mark = op->output_mark;
        input = 0;
    }
}

static inline void run_step(Stage *stage, const Step *step, Way way) {
    if (step->kind == ADVANCE) run_advance(stage, step, way);
    if (step->kind == EPOCH) close_epoch(stage);
    for (int first = 0; step->kind == PUSH;) {
        Arena *arena = arena_new();
        Batch *batch =
            parse_rows(stage, step->input, step->rows, first, way == WHOLE ? 256 : 1, arena);
        if (batch) {
            Error error;
            first += batch->rows;
            if (operator_push(stage->ops[0], step->input, batch, &error) != OK)
                fail_msg("%s", error.text);
        }
        arena_free(&arena);
        if (!batch) break;
        if (way == KILLED) kill_and_restore(stage);
    }
    if (way == KILLED) kill_and_restore(stage);
}

static inline void stage_begin(Stage *stage, const Scene *scene) {
    *stage = (Stage){.scene = scene};
    fake_env_init(&stage->env, 5000000, 1);
    stage->host = (OperatorHost){&stage->env.env, test_reject, test_reference, test_ended_at};
    for (int i = 0; i < 4; i++) stage->homes[i] = test_home_new();
    stage_make(stage);
}

static inline void stage_end(Stage *stage) {
    stage_drop(stage);
    for (int i = 0; i < 4; i++) test_home_free(stage->homes[i]);
    lines_free(&stage->results);
    lines_free(&stage->view_keys);
    lines_free(&stage->view_rows);
}

/* expected: lines, in any order. */
static inline void assert_lines(Stage *stage, const char *expected, Way way) {
    static const char *const names[] = {"whole", "a row a batch", "killed"};
    Lines want = {0};
    Str rest = str_from(expected);
    while (rest.size) {
        Str line = cut(&rest, '\n');
        if (line.size) {
            Buffer b = {0};
            buffer_add_str(&b, line);
            buffer_add_char(&b, '\0');
            lines_add(&want, b.data);
        }
    }
    for (int i = 0; i < stage->view_rows.count; i++)
        lines_add(&stage->results, xstrdup(stage->view_rows.items[i]));
    if (want.count) qsort(want.items, (size_t)want.count, sizeof *want.items, compare_lines);
    if (stage->results.count)
        qsort(stage->results.items, (size_t)stage->results.count, sizeof *want.items,
              compare_lines);
    for (int i = 0; i < want.count || i < stage->results.count; i++) {
        const char *is = i < stage->results.count ? stage->results.items[i] : "(nothing)";
        const char *should = i < want.count ? want.items[i] : "(nothing)";
        if (strcmp(is, should) != 0) {
            for (int k = 0; k < stage->results.count; k++)
                print_error("  %s\n", stage->results.items[k]);
            fail_msg("%s: is \"%s\", should be \"%s\"", names[way], is, should);
        }
    }
    lines_free(&want);
}

static inline void play(const Scene *scene, const char *expected) {
    for (Way way = WHOLE; way < WAYS; way++) {
        Stage stage;
        stage_begin(&stage, scene);
        for (int i = 0; i < scene->step_count; i++) run_step(&stage, &scene->steps[i], way);
        assert_lines(&stage, expected, way);
        stage_end(&stage);
    }
}
#define PLAY(scene_value, expected, ...)                                                           \
    do {                                                                                           \
        static const Step script[] = {__VA_ARGS__};                                                \
        Scene played = (scene_value);                                                              \
        played.steps = script;                                                                     \
        played.step_count = (int)(sizeof script / sizeof *script);                                 \
        play(&played, expected);                                                                   \
    } while (0)

#define FIELD(name, kind)                                                                          \
    { name, {kind, -1}, false }
