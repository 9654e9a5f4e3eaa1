/* What a trial left: the views and rejects of its home, the rows of its sinks; all as JSON lines.
 */
#include "base/hash.h"
#include "cli/trial.h"
#include "data/jsonb.h"
#include "state/home.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

Status read_file(const char *path, Buffer *out, Error *error) {
    FILE *file = fopen(path, "re");
    if (!file) return fail(error, "cannot read '%s': %s", path, strerror(errno));
    for (size_t got = 1; got > 0;) {
        got = fread(buffer_reserve(out, 65536), 1, 65536, file);
        out->size += got;
    }
    bool bad = ferror(file);
    fclose(file);
    return bad ? fail(error, "cannot read '%s'", path) : OK;
}

/* The rows of a JSON array, one a line. */
static void add_rows(Str array, Buffer *out) {
    JsonbIterator rows;
    Str value;
    if (!jsonb_iterate(&rows, array)) return;
    while (jsonb_next(&rows, NULL, &value)) {
        buffer_add_str(out, value);
        buffer_add_char(out, '\n');
    }
}

/* What a keyed table holds after all of its writes: each key's last row. */
static void apply_writes(Str text, Buffer *out) {
    Map *last = map_new();
    size_t count = 0, capacity = 0;
    Str *rows = NULL;
    for (const char *at = text.data, *end = text.data + text.size; at < end;) {
        const char *over = memchr(at, '\n', (size_t)(end - at));
        if (!over) over = end;
        const char *tab = over - at > 2 ? memchr(at + 2, '\t', (size_t)(over - at - 2)) : NULL;
        Str key = {at + 2, tab ? (size_t)(tab - at - 2) : 0};
        size_t row = tab ? (size_t)(uintptr_t)map_get(last, key) : 1;
        if (!row) {
            if (count == capacity) {
                capacity = capacity ? 2 * capacity : 64;
                rows = xrealloc(rows, capacity * sizeof *rows);
            }
            row = ++count;
            map_set(last, key, (void *)(uintptr_t)row);
        }
        if (tab) rows[row - 1] = (Str){tab + 1, (size_t)(over - tab - 1)};
        at = over + 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].size) continue;
        buffer_add_str(out, rows[i]);
        buffer_add_char(out, '\n');
    }
    free(rows);
    map_free(&last);
}

/* ---- reading ---- */

static Status read_view(HomeReader *home, const PlanView *view, Result *result, Error *error) {
    Buffer json = {0};
    bool more;
    *result = (Result){.kind = RESULT_VIEW, .name = view->name, .schema = &view->schema};
    Status status =
        home_read_view(home, view->name, &view->schema, NULL, 0, INT32_MAX, &json, &more, error);
    if (status == OK) add_rows(buffer_str(&json), &result->rows);
    buffer_free(&json);
    return status;
}

static Status read_sink(Trial *t, const PlanSink *sink, Result *result, Error *error) {
    const char *name = sink->table->name, *path = option_text(&sink->table->options, "path", "");
    const char *slash = strrchr(path, '/');
    *result = (Result){.kind = RESULT_SINK, .name = name, .schema = &sink->schema};
    size_t size = strcspn(slash ? slash + 1 : path, ".");
    if (*path) result->other = arena_text(t->arena, (Str){slash ? slash + 1 : path, size});
    Buffer file = {0}, text = {0};
    buffer_add_format(&file, "%s/%s.rows", t->work, name);
    buffer_add_char(&file, 0);
    Status status = read_file(file.data, &text, error);
    if (status == OK && sink->table->key_count) apply_writes(buffer_str(&text), &result->rows);
    else if (status == OK) buffer_add_str(&result->rows, buffer_str(&text));
    buffer_free(&file);
    buffer_free(&text);
    return status;
}

static Status read_rejects(HomeReader *home, bool late, Result *result, Error *error) {
    Buffer json = {0};
    *result = (Result){.kind = late ? RESULT_LATE : RESULT_DEAD,
                       .name = late ? "late_rows" : "dead_letters"};
    Status status = home_read_rejects(home, late ? "late" : "dead", INT32_MAX, &json, error);
    if (status == OK) add_rows(buffer_str(&json), &result->rows);
    buffer_free(&json);
    return status;
}

Status trial_results(Trial *t, Result **out, int *count, Error *error) {
    const Plan *plan = t->plan;
    Result *results = *out =
        xcalloc((size_t)(plan->view_count + plan->sink_count + 2), sizeof *results);
    *count = 0;
    HomeReader *home = NULL;
    Status status = home_reader_open(t->catalog->settings.home, &home, error);
    for (int i = 0; status == OK && i < plan->view_count; i++)
        status = read_view(home, &plan->views[i], &results[(*count)++], error);
    for (int i = 0; status == OK && i < plan->sink_count; i++)
        status = read_sink(t, &plan->sinks[i], &results[(*count)++], error);
    for (int late = 1; status == OK && late >= 0; late--)
        status = read_rejects(home, late, &results[(*count)++], error);
    if (home) home_reader_close(&home);
    return status;
}

void results_free(Result **results, int count) {
    for (int i = 0; *results && i < count; i++) buffer_free(&(*results)[i].rows);
    free(*results);
    *results = NULL;
}
