/* What a trial gave against what is expected: rows as a multiset, each brought into one form by its
 * columns' types, doubles to twelve digits. Of rejects only the columns that the expectation names
 * are compared. */
#include "cli/trial.h"
#include "data/jsonb.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SHOWN = 20,
    SHORT_BYTES = 120, /* two values beside one another */
};

typedef struct Row {
    Str form; /* in the set's arena */
    Str text;
} Row;

typedef struct Rows {
    Row *items;
    int count, capacity;
} Rows;

static int by_form(const void *a, const void *b) {
    return str_compare(((const Row *)a)->form, ((const Row *)b)->form);
}

static void add_row(Rows *rows, Row row) {
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->items = xrealloc(rows->items, (size_t)rows->capacity * sizeof *rows->items);
    }
    rows->items[rows->count++] = row;
}

/* ---- one form for equal rows ---- */

/* A home keeps jsonb and numeric as text and booleans as 0 and 1; who writes rows down from there
 * means the same. The text within a string as long as it is itself such a value. */
static Str unwrapped(TypeKind kind, Str json, Buffer *text) {
    for (int depth = 0; depth < 4 && jsonb_kind(json) == JSONB_STRING; depth++) {
        Buffer inner = {0};
        bool fine = jsonb_string_text(json, &inner) && jsonb_valid(buffer_str(&inner)) &&
                    (kind == TYPE_JSONB || jsonb_kind(buffer_str(&inner)) == JSONB_NUMBER);
        if (fine) {
            buffer_free(text);
            *text = inner;
            json = jsonb_trim(buffer_str(text));
        } else {
            buffer_free(&inner);
            break;
        }
    }
    return json;
}

static void add_value(const Type *type, Str json, Buffer *out) {
    if (type && (type->kind == TYPE_JSONB || type->kind == TYPE_NUMERIC)) {
        Buffer text = {0};
        json = unwrapped(type->kind, json, &text);
        if (!jsonb_normalize(json, out)) buffer_add_str(out, json);
        buffer_free(&text);
        return;
    }
    if (type && type->kind == TYPE_BOOL && jsonb_kind(json) == JSONB_NUMBER) {
        buffer_add_text(out, str_equal(json, STR("1"))   ? "true"
                             : str_equal(json, STR("0")) ? "false"
                                                         : "neither");
        return;
    }
    bool real = type && (type->kind == TYPE_FLOAT8 || type->kind == TYPE_FLOAT4);
    if (real && jsonb_kind(json) == JSONB_NUMBER) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)(json.size < 63 ? json.size : 63), json.data);
        buffer_add_format(out, "%.12g", strtod(text, NULL) + 0.0);
        return;
    }
    bool whole =
        type && (type->kind == TYPE_INT2 || type->kind == TYPE_INT4 || type->kind == TYPE_INT8);
    if (whole && jsonb_kind(json) == JSONB_NUMBER) { /* 1.0 is 1 */
        Buffer normal = {0};
        if (!jsonb_normalize(json, &normal)) buffer_add_str(&normal, json);
        if (memchr(normal.data, '.', normal.size)) {
            size_t size = normal.size;
            while (normal.data[size - 1] == '0') size--;
            if (normal.data[size - 1] == '.') normal.size = size - 1;
        }
        buffer_add_str(out, buffer_str(&normal));
        buffer_free(&normal);
        return;
    }
    Error ignored;
    if (type || jsonb_kind(json) == JSONB_NULL) {
        if (!jsonb_normalize(json, out)) buffer_add_str(out, json);
    } else if (jsonb_as_text(json, out, &ignored) != OK) { /* of rejects: 7 and "7" are the same */
        buffer_add_str(out, json);
    }
}

static void add_member(const char *name, const Type *type, Str json, Buffer *out) {
    buffer_add_text(out, out->size ? ", " : "");
    buffer_add_text(out, name);
    buffer_add_text(out, ": ");
    add_value(type, json, out);
}

/* The row by its schema. REJECT: a column is missing, or is none of the result's. */
static Status form_of(const Schema *schema, Str row, Buffer *out, Error *error) {
    int found = 0, members = 0;
    for (int i = 0; i < schema->count; i++) {
        Str value, name = str_from(schema->fields[i].name);
        if (!jsonb_get_key(row, name, &value))
            return reject(error, "there is no column %s", schema->fields[i].name);
        add_member(schema->fields[i].name, &schema->fields[i].type, value, out);
        found++;
    }
    JsonbIterator it;
    Str key, value;
    if (jsonb_iterate(&it, row))
        while (jsonb_next(&it, &key, &value)) {
            members++;
            bool known = false;
            for (int i = 0; i < schema->count && !known; i++)
                known = key.size == strlen(schema->fields[i].name) + 2 &&
                        memcmp(key.data + 1, schema->fields[i].name, key.size - 2) == 0;
            if (!known && members > found)
                return reject(error, "%.*s is no column of the result", STR_ARG(key));
        }
    return OK;
}

/* A reject by the columns of the first expected row. */
static void reject_form(Str columns, Str row, bool other_order, Buffer *out) {
    JsonbIterator it;
    Str key, ignored, value;
    if (!jsonb_iterate(&it, columns)) return;
    while (jsonb_next(&it, &key, &ignored)) {
        Buffer name = {0};
        (void)jsonb_string_text(key, &name);
        buffer_add_char(&name, 0);
        bool moves = strcmp(name.data, "position") == 0 || strcmp(name.data, "reason") == 0 ||
                     strcmp(name.data, "time") == 0;
        if (!(moves && other_order)) {
            if (!jsonb_get_key(row, str_from(name.data), &value)) value = STR("null");
            add_member(name.data, NULL, value, out);
        }
        buffer_free(&name);
    }
}

/* ---- files ---- */

static const char *expected_path(Arena *arena, const Result *result) {
    const char *names[] = {result->name, result->other}, *first = NULL;
    for (int i = 0; i < 2; i++) {
        if (!names[i]) continue;
        Buffer path = {0};
        buffer_add_format(&path, "expected/%s.ndjson", names[i]);
        const char *text = arena_text(arena, buffer_str(&path));
        buffer_free(&path);
        if (access(text, F_OK) == 0) return text;
        if (!first) first = text;
    }
    return first;
}

/* The lines of a text that are not blank. false: none is left. */
static bool next_line(Str *rest, Str *line, int *number) {
    while (rest->size) {
        const char *over = memchr(rest->data, '\n', rest->size);
        size_t size = over ? (size_t)(over - rest->data) : rest->size;
        *line = jsonb_trim((Str){rest->data, size});
        size += over != NULL;
        *rest = (Str){rest->data + size, rest->size - size};
        ++*number;
        if (line->size) return true;
    }
    return false;
}

static Status read_rows(Arena *arena, const Result *result, Str text, const char *file, Str columns,
                        const Expectation *how, Rows *rows, Error *error) {
    Str line;
    int number = 0;
    while (next_line(&text, &line, &number)) {
        Buffer form = {0};
        Error why = {0};
        Status status = OK;
        if (file && (!jsonb_valid(line) || jsonb_kind(line) != JSONB_OBJECT))
            status = reject(&why, "it is not a JSON object");
        else if (result->schema) status = form_of(result->schema, line, &form, &why);
        else reject_form(columns, line, how->other_order, &form);
        if (status == OK) add_row(rows, (Row){arena_str(arena, buffer_str(&form)), line});
        buffer_free(&form);
        if (status != OK)
            return fail(error, "%s:%d: %s", file ? file : result->name, number, why.text);
    }
    if (rows->count) qsort(rows->items, (size_t)rows->count, sizeof(Row), by_form);
    return OK;
}

static Status update(const Result *result, const Rows *rows, const char *path, Error *error) {
    bool rejects = !result->schema;
    if (rejects && !rows->count) {
        if (unlink(path) != 0 && errno != ENOENT)
            return fail(error, "cannot remove '%s': %s", path, strerror(errno));
        return OK;
    }
    if (mkdir("expected", 0777) != 0 && errno != EEXIST)
        return fail(error, "cannot make 'expected': %s", strerror(errno));
    FILE *file = fopen(path, "we");
    if (!file) return fail(error, "cannot write '%s': %s", path, strerror(errno));
    static const char *const columns[] = {"query", "source", "reason", "record"};
    for (int i = 0; i < rows->count; i++) {
        Str text = rows->items[i].text, value;
        for (int c = 0; c < 4 && rejects; c++) {
            if (!jsonb_get_key(text, str_from(columns[c]), &value)) value = STR("null");
            fprintf(file, "%s\"%s\":%.*s", c ? "," : "{", columns[c], STR_ARG(value));
        }
        if (rejects) fputs("}\n", file);
        else fprintf(file, "%.*s\n", STR_ARG(text));
    }
    return fclose(file) == 0 ? OK : fail(error, "cannot write '%s': %s", path, strerror(errno));
}

/* ---- the difference ---- */

static void show(const Expectation *how, char sign, Str text, Buffer *out) {
    const char *colour = !how->colours ? "" : sign == '-' ? "\033[31m" : "\033[32m";
    buffer_add_format(out, "      %s%c %.*s%s\n", colour, sign, STR_ARG(text),
                      how->colours ? "\033[0m" : "");
}

static const Type *column_type(const Result *result, Str name) {
    for (int i = 0; result->schema && i < result->schema->count; i++)
        if (str_equal(name, str_from(result->schema->fields[i].name)))
            return &result->schema->fields[i].type;
    return NULL;
}

/* How alike two rows are: equal columns count, the first ones most, since they tell what a row is
 * about; 0: in less than half. *differs: the other columns. */
static int likeness(const Result *result, Str expected, Str came, Buffer *differs) {
    JsonbIterator it;
    Str key, value, other;
    int columns = 0, equal = 0, score = 0;
    if (!jsonb_iterate(&it, expected)) return 0;
    while (jsonb_next(&it, &key, &value)) {
        Buffer name = {0}, forms[2] = {0};
        (void)jsonb_string_text(key, &name);
        if (!jsonb_get_key(came, buffer_str(&name), &other)) other = STR("null");
        const Type *type = column_type(result, buffer_str(&name));
        add_value(type, value, &forms[0]);
        add_value(type, other, &forms[1]);
        bool same = str_equal(buffer_str(&forms[0]), buffer_str(&forms[1]));
        score += same ? 64 - (columns < 63 ? columns : 63) : 0;
        equal += same;
        columns++;
        const char *separator = differs->size ? "; " : "";
        if (!same && value.size + other.size > SHORT_BYTES)
            buffer_add_format(differs, "%s%.*s differs", separator, STR_ARG(buffer_str(&name)));
        else if (!same)
            buffer_add_format(differs, "%s%.*s: %.*s came, not %.*s", separator,
                              STR_ARG(buffer_str(&name)), STR_ARG(other), STR_ARG(value));
        buffer_free(&name);
        for (int i = 0; i < 2; i++) buffer_free(&forms[i]);
    }
    return 2 * equal >= columns ? score : 0;
}

/* Rows that differ, as far as they are shown; a row that came instead of a missing one stands under
 * it, with the columns that differ. */
typedef struct Differences {
    const Row *missing[SHOWN], *unexpected[SHOWN];
    int missing_count, unexpected_count; /* all of them */
} Differences;

static void show_differences(const Result *result, Differences *d, const Expectation *how,
                             Buffer *out) {
    int missing = d->missing_count < SHOWN ? d->missing_count : SHOWN;
    int unexpected = d->unexpected_count < SHOWN ? d->unexpected_count : SHOWN;
    for (int m = 0; m < missing; m++) {
        Buffer differs = {0};
        int best = -1, most = 0;
        for (int u = 0; u < unexpected; u++) {
            Buffer ignored = {0};
            int score = d->unexpected[u] ? likeness(result, d->missing[m]->text,
                                                    d->unexpected[u]->text, &ignored)
                                         : 0;
            if (score > most) most = score, best = u;
            buffer_free(&ignored);
        }
        show(how, '-', d->missing[m]->text, out);
        if (best < 0) continue;
        show(how, '+', d->unexpected[best]->text, out);
        (void)likeness(result, d->missing[m]->text, d->unexpected[best]->text, &differs);
        buffer_add_format(out, "          %.*s\n", STR_ARG(buffer_str(&differs)));
        buffer_free(&differs);
        d->unexpected[best] = NULL;
    }
    for (int u = 0; u < unexpected; u++)
        if (d->unexpected[u]) show(how, '+', d->unexpected[u]->text, out);
    int hidden = d->missing_count - missing + d->unexpected_count - unexpected;
    if (hidden) buffer_add_format(out, "      … and %d more\n", hidden);
}

static Status compare(const Result *result, const Rows *expected, const Rows *came,
                      const Expectation *how, Buffer *out) {
    Differences d = {0};
    for (int e = 0, c = 0; e < expected->count || c < came->count;) {
        int order = e == expected->count ? 1
                    : c == came->count   ? -1
                                         : by_form(&expected->items[e], &came->items[c]);
        if (order == 0) {
            e++, c++;
        } else if (order < 0) {
            if (d.missing_count < SHOWN) d.missing[d.missing_count] = &expected->items[e];
            d.missing_count++, e++;
        } else {
            if (d.unexpected_count < SHOWN) d.unexpected[d.unexpected_count] = &came->items[c];
            d.unexpected_count++, c++;
        }
    }
    if (!d.missing_count && !d.unexpected_count) return OK;
    buffer_add_format(out,
                      "    %s: %d row%s expected, %d came; %d missing (-), %d unexpected (+)\n",
                      result->name, expected->count, expected->count == 1 ? "" : "s", came->count,
                      d.missing_count, d.unexpected_count);
    show_differences(result, &d, how, out);
    return REJECT;
}

static Str first_line(Str text) {
    Str line;
    int number = 0;
    return next_line(&text, &line, &number) ? line : STR("{\"query\":0,\"source\":0,\"record\":0}");
}

static Status expect_one(Trial *t, Result *result, const Expectation *how, int *compared,
                         Buffer *out, Error *error) {
    const char *path = expected_path(t->arena, result);
    bool there = access(path, F_OK) == 0, wanted = there || !result->schema;
    if (!there && !how->update && result->schema) return OK;
    Buffer text = {0};
    Rows expected = {0}, came = {0};
    Status status = there && !how->update ? read_file(path, &text, error) : OK;
    Str columns = first_line(buffer_str(&text));
    if (status == OK && wanted)
        status =
            read_rows(t->arena, result, buffer_str(&text), path, columns, how, &expected, error);
    if (status == OK)
        status = read_rows(t->arena, result, buffer_str(&result->rows), NULL, columns, how, &came,
                           error);
    if (status == OK && how->update) status = update(result, &came, path, error);
    else if (status == OK) status = compare(result, &expected, &came, how, out);
    *compared += how->update ? result->schema || came.count : there;
    free(expected.items);
    free(came.items);
    buffer_free(&text);
    return status;
}

/* A misspelled expectation must not pass for want of a result. */
static Status check_names(const Result *results, int count, Error *error) {
    DIR *folder = opendir("expected");
    if (!folder && errno != ENOENT)
        return fail(error, "cannot read the folder 'expected': %s", strerror(errno));
    Status status = OK;
    for (struct dirent *entry; folder && status == OK && (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || size < 7) continue;
        Str name = {entry->d_name, size - 7};
        if (strcmp(entry->d_name + name.size, ".ndjson") != 0) continue;
        bool known = false;
        for (int i = 0; i < count && !known; i++)
            known = str_equal(name, str_from(results[i].name)) ||
                    (results[i].other && str_equal(name, str_from(results[i].other)));
        if (!known)
            status = fail(error, "expected/%s: the pipeline has no view or sink of that name",
                          entry->d_name);
    }
    if (folder) closedir(folder);
    return status;
}

Status expect(Trial *t, Result *results, int count, const Expectation *how, int *compared,
              Buffer *out, Error *error) {
    Status worst = OK;
    if (check_names(results, count, error) != OK) return FAIL;
    for (int i = 0; i < count; i++) {
        Status status = expect_one(t, &results[i], how, compared, out, error);
        if (status == FAIL) return FAIL;
        if (status == REJECT) worst = REJECT;
    }
    return worst;
}
