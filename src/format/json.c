/* JSON records into batches. The columns and paths that are read form a tree of names; each
 * record's index is walked once beside it. Records of one stream mostly have the same keys in the
 * same order, so every object of the tree remembers what stood at each place in the record before
 * and looks a key up by name only where it differs. A byte stream is indexed a window of many
 * records at a time; when one of them is broken that window is indexed record by record, which
 * gives the same answers: a string that is not closed would have to hold the newline, and is found
 * by that. */
#include "data/jsonb.h"
#include "format/index.h"
#include "format/json_array.h"
#include "format/json_value.h"
#include "format/json_walk.h"
#include <stdlib.h>

enum {
    GUESSES = 64,            /* places remembered an object */
    GUESS_BYTES = 48,        /* of a key */
    WINDOW_BYTES = 128 << 10 /* its index fits the second-level cache */
};

typedef struct Node Node;

typedef struct Guess { /* what stood at this place in the record before */
    uint32_t size;
    char key[GUESS_BYTES];
    Node *node; /* NULL: nobody reads it */
} Guess;

struct Node { /* a name that is read, or leads to one */
    Str name;
    bool escaped; /* the name can not stand in JSON as it is */
    int *slots;   /* that take the whole value; */
    int slot_count;
    bool deep;      /* one of them takes containers too */
    Node *children; /* names inside of the value */
    int child_count;
    int step;       /* how many steps of a path lead to here */
    uint64_t stamp; /* of the record that it was last met in */
    Guess *guesses;
    int guess_count;
};

/* What is wrong with an array's structure there. OPEN: it ends without its bracket; CUT: so, right
 * behind an element, which says nothing more if that is broken itself. */
typedef enum LineProblem { LINE_FINE, LINE_MISSING, LINE_OPEN, LINE_CUT, LINE_OUTSIDE } LineProblem;

typedef struct Line { /* from byte to byte of the chunk */
    uint32_t begin, end;
    LineProblem problem;
} Line;

struct Decoder {
    Rows rows;
    JsonIndex *index;
    Arena *arena; /* the tree */
    Node root;
    Str **steps; /* of each path column */
    Line *lines;
    int line_count, line_capacity;
    bool arrays; /* json_array */
    bool fine;   /* the line before became a row */
};

/* ---- the tree ---- */

static bool needs_escape(Str name) {
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '\\' || name.data[i] == '"' || (unsigned char)name.data[i] < 0x20)
            return true;
    return false;
}

static Node *child_of(Arena *arena, Node *parent, const char *name, int step) {
    Str key = str_from(name);
    for (int i = 0; i < parent->child_count; i++)
        if (str_equal(parent->children[i].name, key)) return &parent->children[i];
    if ((parent->child_count & (parent->child_count + 1)) == 0) { /* room for 1, 3, 7 … */
        Node *wider = arena_new_array(arena, Node, 2 * parent->child_count + 1);
        if (parent->child_count)
            memcpy(wider, parent->children, (size_t)parent->child_count * sizeof *wider);
        parent->children = wider;
    }
    Node *child = &parent->children[parent->child_count++];
    *child = (Node){.name = key, .escaped = needs_escape(key), .step = step};
    return child;
}

static void add_slot(Arena *arena, Node *node, int slot, bool deep) {
    int *wider = arena_new_array(arena, int, node->slot_count + 1);
    if (node->slot_count) memcpy(wider, node->slots, (size_t)node->slot_count * sizeof *wider);
    wider[node->slot_count++] = slot;
    node->slots = wider;
    node->deep |= deep;
}

static void add_guesses(Arena *arena, Node *node) {
    if (node->child_count) node->guesses = arena_new_array(arena, Guess, GUESSES);
    for (int i = 0; i < node->child_count; i++) add_guesses(arena, &node->children[i]);
}

static void build_tree(Decoder *d, const DecodeSpec *spec) {
    d->steps = arena_new_array(d->arena, Str *, spec->column_count);
    for (int i = 0; i < spec->column_count; i++) {
        const DecodeColumn *column = &spec->columns[i];
        if (column->kind != DECODE_FIELD && column->kind != DECODE_PATH) continue;
        Node *node = child_of(d->arena, &d->root, column->name, 0);
        int steps = column->kind == DECODE_PATH ? column->path_count : 0;
        d->steps[i] = arena_new_array(d->arena, Str, steps);
        for (int step = 0; step < steps; step++) {
            d->steps[i][step] = str_from(column->path[step]);
            node = child_of(d->arena, node, column->path[step], step + 1);
        }
        bool containers =
            column->type.kind == TYPE_JSONB || (spec->any_text && column->type.kind == TYPE_TEXT);
        add_slot(d->arena, node, i, column->kind == DECODE_PATH || containers);
    }
    add_guesses(d->arena, &d->root);
}

static Node *find_by_name(Node *node, Str key) {
    for (int i = 0; i < node->child_count; i++)
        if (!node->children[i].escaped && str_equal(node->children[i].name, key))
            return &node->children[i];
    if (key.size == 0 || !memchr(key.data, '\\', key.size)) return NULL;
    Arena *arena = arena_new(); /* escapes in keys are rare */
    Str text;
    Node *found = NULL;
    if (!json_string_decode(key, &text, arena))
        for (int i = 0; i < node->child_count && !found; i++)
            if (str_equal(node->children[i].name, text)) found = &node->children[i];
    arena_free(&arena);
    return found;
}

static Node *find_child(Node *node, int place, Str key) {
    Guess *guess = place < GUESSES ? &node->guesses[place] : NULL;
    if (guess && place < node->guess_count && guess->size == key.size &&
        memcmp(guess->key, key.data, key.size) == 0)
        return guess->node;
    Node *found = find_by_name(node, key);
    if (guess && place <= node->guess_count) {
        bool fits = key.size <= GUESS_BYTES;
        guess->size = fits ? (uint32_t)key.size : UINT32_MAX; /* which no key has */
        if (fits) memcpy(guess->key, key.data, key.size);
        guess->node = found;
        if (place == node->guess_count) node->guess_count++;
    }
    return found;
}

/* ---- a record ---- */

/* Every column at the node and inside of it. false: the record is bad. */
static bool bad_value(Decoder *d, const Node *node, const char *problem, Str value) {
    for (int i = 0; i < node->slot_count; i++)
        if (!rows_bad_field(&d->rows, &d->rows.slots[node->slots[i]], "%s: %.*s", problem,
                            STR_ARG(reason_part(value))))
            return false;
    for (int i = 0; i < node->child_count; i++)
        if (!bad_value(d, &node->children[i], problem, value)) return false;
    return true;
}

/* Paths into an array, whose text has been checked; `steps` lead to the array. */
static void take_from_array(Decoder *d, Str array, const Node *node, int steps) {
    for (int i = 0; i < node->slot_count; i++) {
        int slot = node->slots[i];
        Str value;
        if (jsonb_get_path(array, d->steps[slot] + steps,
                           d->rows.slots[slot].spec->path_count - steps, &value))
            json_set_path(&d->rows, &d->rows.slots[slot], jsonb_trim(value));
    }
    for (int i = 0; i < node->child_count; i++)
        take_from_array(d, array, &node->children[i], steps);
}

static bool walk_object(Decoder *d, JsonWalk *w, Node *node);

/* The value as a whole into the columns at the node. */
static bool take_whole(Decoder *d, JsonWalk *w, const Node *node) {
    char c = walk_byte(w);
    Str value = {w->text + *w->at, 1};
    if (c != '{' && c != '[') {
        if (w->at[1] >= w->limit) return walk_skip(w); /* says what is wrong */
        value = walk_scalar(w);
        const char *problem = node->step ? json_scalar_problem(value) : NULL;
        if (!walk_skip(w)) return false;
        if (problem) return bad_value(d, node, problem, value);
    } else if (!node->deep) {
        if (!walk_skip(w)) return false;
    } else {
        JsonWalk look = *w;
        bool fine = walk_check(&look, &value);
        if (!fine && !walk_skip(w)) return false;
        if (!fine) return bad_value(d, node, look.problem, value);
        w->at = look.at;
    }
    for (int i = 0; i < node->slot_count; i++) {
        Slot *slot = &d->rows.slots[node->slots[i]];
        if (slot->spec->kind == DECODE_PATH) json_set_path(&d->rows, slot, value);
        else if (!json_set_field(&d->rows, slot, value)) return false;
    }
    return true;
}

/* What is inside of the value into the columns below the node. */
static bool take_inside(Decoder *d, JsonWalk *w, Node *node) {
    char c = walk_byte(w);
    Str value = {w->text + *w->at, 1};
    JsonWalk look = *w;
    const char *problem = NULL;
    if (c == '{') {
        look.problem = NULL;
        if (walk_object(d, &look, node)) w->at = look.at;
        else if (!look.problem) return false;
        else problem = look.problem;
    } else if (c == '[') {
        if (walk_check(&look, &value)) take_from_array(d, value, node, node->step);
        else problem = look.problem;
        if (!problem) w->at = look.at;
    } else {
        if (w->at[1] >= w->limit) return walk_skip(w);
        value = walk_scalar(w);
        problem = json_scalar_problem(value);
        if (!problem) return walk_skip(w);
    }
    if (!problem) return true;
    /* Where the brackets are right it is this value alone that is bad. */
    return walk_skip(w) && bad_value(d, node, problem, value);
}

static bool take_value(Decoder *d, JsonWalk *w, Node *node) {
    const uint32_t *begin = w->at;
    node->stamp = d->rows.stamp;
    if (node->slot_count && !take_whole(d, w, node)) return false;
    if (node->child_count == 0) return true;
    w->at = begin;
    return take_inside(d, w, node);
}

/* false: w->problem says what is wrong with the object, or the row knows already. */
static bool walk_object(Decoder *d, JsonWalk *w, Node *node) {
    w->problem = NULL;
    w->at++;
    if (!walk_ended(w) && walk_byte(w) == '}') {
        w->at++;
        return true;
    }
    bool more = true;
    for (int place = 0; more; place++) {
        Str key;
        if (!walk_key(w, &key)) return false;
        Node *child = find_child(node, place, key);
        if (child && child->stamp != d->rows.stamp) { /* of equal keys the first counts */
            if (!take_value(d, w, child)) return false;
        } else if (!walk_skip(w)) {
            return false;
        }
        if (!walk_member_end(w, &more)) return false;
    }
    return true;
}

static bool no_object(Rows *rows, Str record) {
    Str value = jsonb_trim(record);
    const char *kind = json_kind_name(value);
    if (strcmp(kind, "nonsense") == 0)
        return rows_bad_record(rows, "not JSON: %.*s", STR_ARG(reason_part(value)));
    return rows_bad_record(rows, "expected one JSON object, got %s", kind);
}

/* One record whose index begins at w->at. false: stop. */
static bool take_record(Decoder *d, JsonWalk *w, Str record, int64_t position,
                        const Record *source) {
    Rows *rows = &d->rows;
    rows_begin(rows, record, position, source);
    bool fine = false;
    if (walk_ended(w)) {
        rows_bad_record(rows, "the record is empty");
    } else if (walk_byte(w) != '{') {
        no_object(rows, record);
    } else if (!walk_object(d, w, &d->root)) {
        if (w->problem) rows_bad_record(rows, "not JSON: %s", w->problem);
    } else if (!walk_ended(w)) {
        rows_bad_record(rows, d->arrays ? "not JSON: a comma is missing behind the object"
                                        : "not JSON: something follows the object");
    } else {
        fine = true;
    }
    return fine ? rows_accept(rows) : rows_reject(rows);
}

static bool take_alone(Decoder *d, Str record, int64_t position, const Record *source) {
    JsonWalk w = {.text = record.data, .limit = (uint32_t)record.size};
    size_t count;
    const char *problem = json_index_run(d->index, record.data, record.size, &w.at, &count);
    static const uint32_t nothing[2] = {UINT32_MAX, UINT32_MAX};
    if (!count) w.at = nothing;
    if (!problem) return take_record(d, &w, record, position, source);
    rows_begin(&d->rows, record, position, source);
    rows_bad_record(&d->rows, "%s%s",
                    strcmp(problem, "not UTF-8") == 0 ? "" : "not JSON: ", problem);
    return rows_reject(&d->rows);
}

/* ---- chunks ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static void push_line(Decoder *d, const char *begin, const char *end, const char *base,
                      LineProblem problem) {
    if (d->line_count == d->line_capacity) {
        d->line_capacity = d->line_capacity ? 2 * d->line_capacity : 1024;
        d->lines = xrealloc(d->lines, (size_t)d->line_capacity * sizeof *d->lines);
    }
    d->lines[d->line_count++] = (Line){(uint32_t)(begin - base), (uint32_t)(end - base), problem};
}

static void add_line(Decoder *d, const char *begin, const char *end, const char *base) {
    const char *p = begin;
    while (p < end && is_blank(*p)) p++;
    if (p == end) return; /* an empty line is no record */
    if (end[-1] == '\r') end--;
    push_line(d, begin, end, base, LINE_FINE);
}

/* The elements of an array, and what is wrong with its structure, in place. `last`: behind the
 * bytes there is nothing. */
static void find_elements(Decoder *d, Str bytes, char place, bool begin, bool last) {
    const char *base = bytes.data, *end = base + bytes.size, *solid = end;
    d->line_count = 0;
    while (solid > base && is_blank(solid[-1])) solid--;
    ArrayPiece piece = {.next = place};
    for (bool first = begin; bytes.size; first = false) {
        size_t size = array_piece(bytes, piece.next, first, &piece);
        const char *text = piece.text.data, *text_end = text + piece.text.size;
        bytes = (Str){bytes.data + size, bytes.size - size};
        if (piece.text.size)
            push_line(d, text, text_end, base,
                      piece.place == ARRAY_OUTSIDE ? LINE_OUTSIDE : LINE_FINE);
        else if (piece.terminator && !(piece.opened && piece.terminator == ']'))
            push_line(d, bytes.data - 1, bytes.data, base, LINE_MISSING);
    }
    if (last && piece.next == ARRAY_INSIDE && solid > base)
        push_line(d, solid - 1, solid, base, piece.text.size ? LINE_CUT : LINE_OPEN);
}

static void find_lines(Decoder *d, const Chunk *chunk) {
    const char *base = chunk->bytes.data, *p = base, *end = base + chunk->bytes.size;
    d->line_count = 0;
    if (chunk->begin == chunk->offset_base && end - p >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3; /* byte order mark */
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (!newline) newline = end;
        add_line(d, p, newline, base);
        p = newline + 1;
    }
}

static Str line_text(const char *base, Line line) {
    return (Str){base + line.begin, line.end - line.begin};
}

static bool take_problem(Decoder *d, Str text, LineProblem problem, int64_t position,
                         const Record *source) {
    if (problem == LINE_CUT && !d->fine) return true;
    Rows *rows = &d->rows;
    rows_begin(rows, text, position, source);
    if (problem == LINE_MISSING)
        rows_bad_record(rows, "not JSON: an element of the array is missing before '%c'",
                        *text.data);
    else if (problem == LINE_OUTSIDE)
        rows_bad_record(rows, "expected one JSON array of objects, got %s outside of it",
                        json_kind_name(text));
    else rows_bad_record(rows, "not JSON: the array ends without ]");
    return rows_reject(rows);
}

/* The text that `lines` are of. */
typedef struct Text {
    const char *base;
    int64_t position; /* of its first byte; with a record: of all of it */
    const Record *record;
} Text;

/* `w`: stands on the line's index; NULL: the line is indexed by itself. */
static bool take_line(Decoder *d, const Text *from, Line line, JsonWalk *w) {
    Str text = line_text(from->base, line);
    int64_t position = from->record ? from->position : from->position + line.begin;
    int64_t accepted = d->rows.accepted;
    bool go_on;
    if (line.problem != LINE_FINE)
        go_on = take_problem(d, text, line.problem, position, from->record);
    else if (w) go_on = take_record(d, w, text, position, from->record);
    else go_on = take_alone(d, text, position, from->record);
    d->fine = d->rows.accepted > accepted;
    return go_on;
}

/* false: the window holds something broken and nothing of it was taken. */
static bool take_window(Decoder *d, const Text *from, int first, int end, bool *go_on) {
    uint32_t begin = d->lines[first].begin;
    JsonWalk w = {.text = from->base + begin};
    size_t count;
    if (json_index_run(d->index, w.text, d->lines[end - 1].end - begin, &w.at, &count) || !count)
        return false;
    for (int i = first; i < end && *go_on; i++) {
        while (*w.at < d->lines[i].begin - begin) w.at++; /* an array's commas */
        w.limit = d->lines[i].end - begin;
        d->rows.element = i;
        *go_on = take_line(d, from, d->lines[i], &w);
        while (!walk_ended(&w)) w.at++;
    }
    return true;
}

static bool take_lines(Decoder *d, const Text *from) {
    bool go_on = true;
    d->fine = true;
    for (int first = 0, end; first < d->line_count && go_on; first = end) {
        for (end = first + 1; end < d->line_count; end++)
            if (d->lines[end].end - d->lines[first].begin > WINDOW_BYTES) break;
        if (take_window(d, from, first, end, &go_on)) continue;
        for (int i = first; i < end && go_on; i++) {
            d->rows.element = i;
            go_on = take_line(d, from, d->lines[i], NULL);
        }
    }
    return go_on;
}

static void take_bytes(Decoder *d, const Chunk *chunk, Decoded *out) {
    if (d->arrays)
        find_elements(d, chunk->bytes, chunk->place, chunk->begin == chunk->offset_base,
                      chunk->last);
    else find_lines(d, chunk);
    rows_begin_chunk(&d->rows, chunk, out, d->line_count);
    (void)take_lines(d, &(Text){chunk->bytes.data, chunk->begin, NULL});
}

/* The elements of an array, all at the record's position. An empty array is no row. */
static bool take_array(Decoder *d, const Record *record) {
    find_elements(d, record->body, ARRAY_START, true, true);
    if (d->line_count) return take_lines(d, &(Text){record->body.data, record->position, record});
    if (memchr(record->body.data, '[', record->body.size)) return true;
    rows_begin(&d->rows, record->body, record->position, record);
    rows_bad_record(&d->rows, "the record is empty");
    return rows_reject(&d->rows);
}

static void take_records(Decoder *d, const Chunk *chunk, Decoded *out) {
    int64_t expected = chunk->record_count;
    for (int i = 0; d->arrays && i < chunk->record_count; i++)
        expected += (int64_t)chunk->records[i].body.size / 8; /* about */
    rows_begin_chunk(&d->rows, chunk, out, expected);
    d->rows.many_elements = d->arrays;
    bool go_on = true;
    for (int i = 0; i < chunk->record_count && go_on; i++) {
        const Record *record = &chunk->records[i];
        d->rows.element = 0;
        if (record->body.size && !record->whole_bytes && record->body.size <= RECORD_MOST_BYTES) {
            go_on = d->arrays ? take_array(d, record)
                              : take_alone(d, record->body, record->position, record);
            continue;
        }
        rows_begin(&d->rows, record->body, record->position, record);
        if (record->body.size)
            rows_bad_record(&d->rows, "longer than %d MB", RECORD_MOST_BYTES >> 20);
        else
            rows_bad_record(&d->rows,
                            record->body.data ? "the record is empty" : "the record is null");
        go_on = rows_reject(&d->rows);
    }
}

static void json_decode(Decoder *d, const Chunk *chunk, Str header, Decoded *out) {
    (void)header;
    if (chunk->records) take_records(d, chunk, out);
    else take_bytes(d, chunk, out);
    rows_end_chunk(&d->rows);
    json_index_shrink(d->index);
}

static void json_decoder_free(Decoder **decoder) {
    Decoder *d = *decoder;
    if (!d) return;
    rows_close(&d->rows);
    json_index_free(&d->index);
    arena_free(&d->arena);
    free(d->lines);
    free(d);
    *decoder = NULL;
}

static Status json_decoder_new(const DecodeSpec *spec, Decoder **out, Error *error) {
    Decoder *d = xcalloc(1, sizeof *d);
    d->index = json_index_new();
    d->arena = arena_new();
    if (rows_open(&d->rows, spec, error) != OK) {
        json_decoder_free(&d);
        return FAIL;
    }
    build_tree(d, spec);
    *out = d;
    return OK;
}

static size_t json_split(Str bytes, char delimiter, bool last) {
    (void)delimiter;
    if (last || bytes.size == 0) return bytes.size;
    const char *newline = memrchr(bytes.data, '\n', bytes.size);
    return newline ? (size_t)(newline - bytes.data) + 1 : 0;
}

static size_t json_first(Str bytes, char delimiter, bool last) {
    (void)delimiter;
    const char *newline = bytes.size ? memchr(bytes.data, '\n', bytes.size) : NULL;
    if (newline) return (size_t)(newline - bytes.data) + 1;
    return last ? bytes.size : 0;
}

const Format json_format = {.name = "json",
                            .help = "one JSON object a record; in files, one a line",
                            .split = json_split,
                            .first = json_first,
                            .decoder_new = json_decoder_new,
                            .decode = json_decode,
                            .decoder_free = json_decoder_free};

/* ---- arrays ---- */

static Status json_array_decoder_new(const DecodeSpec *spec, Decoder **out, Error *error) {
    Status status = json_decoder_new(spec, out, error);
    if (status == OK) (*out)->arrays = true;
    return status;
}

const Format json_array_format = {.name = "json_array",
                                  .help = "one JSON array of objects, each a record: a whole file, "
                                          "or a message",
                                  .split = array_split,
                                  .first = array_first,
                                  .decoder_new = json_array_decoder_new,
                                  .decode = json_decode,
                                  .decoder_free = json_decoder_free};
