/* Looking at an input before it is queried. Columns are the keys of the first 1,000 records in the
 * order in which they are met; integers are bigint, other numbers double precision, objects jsonb,
 * all else text. A pipe that was looked at is put together again: a thread feeds what was read and
 * what follows through a new pipe that takes its place. */
#include "cli/sql_input.h"
#include "base/hash.h"
#include "data/jsonb.h"
#include "data/value.h"
#include "format/json_array.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Seen {
    Str name;
    bool integers, numbers, objects, other; /* kinds met */
} Seen;

struct Inference {
    Arena *arena;
    Seen *columns;
    int count, capacity;
    int records;  /* looked at, the broken ones too */
    bool array;   /* the first line begins with [ */
    Map *by_name; /* index + 1 */
};

static Seen *seen_column(Inference *in, Str name) {
    size_t index = (size_t)(uintptr_t)map_get(in->by_name, name);
    if (index) return &in->columns[index - 1];
    if (in->count == in->capacity) {
        int capacity = in->capacity ? in->capacity * 2 : 64;
        Seen *grown = arena_new_array(in->arena, Seen, capacity);
        if (in->count) memcpy(grown, in->columns, sizeof *grown * (size_t)in->count);
        in->columns = grown;
        in->capacity = capacity;
    }
    Seen *column = &in->columns[in->count++];
    column->name = arena_str(in->arena, name);
    map_set(in->by_name, name, (void *)(uintptr_t)in->count);
    return column;
}

static bool is_integer(Str text) {
    Arena *arena = arena_new();
    Value value;
    bool yes = value_parse(type_of(TYPE_INT8), text, &value, arena, NULL) == OK;
    arena_free(&arena);
    return yes;
}

static void see_value(Seen *column, JsonbKind kind, Str text) {
    if (kind == JSONB_NULL || kind == JSONB_BAD) return;
    if (kind == JSONB_NUMBER && is_integer(text)) column->integers = true;
    else if (kind == JSONB_NUMBER) column->numbers = true;
    else if (kind == JSONB_OBJECT) column->objects = true;
    else column->other = true;
}

static void infer_record(Inference *in, Str record) {
    in->records++;
    JsonbIterator members;
    if (jsonb_kind(record) != JSONB_OBJECT || !jsonb_iterate(&members, record)) return;
    Str key, value, name;
    while (jsonb_next(&members, &key, &value))
        if (jsonb_string_view(key, &name, in->arena))
            see_value(seen_column(in, name), jsonb_kind(value), jsonb_trim(value));
}

static void infer_json(Inference *in, Str head) {
    const char *at = head.data, *end = at + head.size;
    while (at < end && in->records < INFER_RECORDS) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end) line_end = end;
        Str line = {at, (size_t)(line_end - at)};
        at = line_end + 1;
        in->array |= in->records == 0 && jsonb_trim(line).size && *jsonb_trim(line).data == '[';
        if (jsonb_trim(line).size) infer_record(in, line);
    }
}

static void infer_array(Inference *in, Str head) {
    ArrayPiece piece = {.next = ARRAY_START};
    for (bool begin = true; head.size && in->records < INFER_RECORDS; begin = false) {
        size_t size = array_piece(head, piece.next, begin, &piece);
        head = (Str){head.data + size, head.size - size};
        if (piece.text.size) infer_record(in, piece.text);
    }
}

/* Fields of one CSV record; quotes are taken off. Returns the end of the record. */
static const char *csv_record(const char *at, const char *end, char delimiter, Arena *arena,
                              Str *fields, int most, int *count) {
    *count = 0;
    for (;;) {
        Buffer text = {0};
        if (at < end && *at == '"') {
            for (at++; at < end; at++) {
                if (*at == '"' && at + 1 < end && at[1] == '"') at++;
                else if (*at == '"') break;
                buffer_add_char(&text, *at);
            }
            if (at < end) at++;
        }
        while (at < end && *at != delimiter && *at != '\n') {
            if (*at != '\r') buffer_add_char(&text, *at);
            at++;
        }
        if (*count < most) fields[(*count)++] = arena_str(arena, buffer_str(&text));
        buffer_free(&text);
        if (at >= end || *at == '\n') return at < end ? at + 1 : end;
        at++;
    }
}

static bool is_double(Str text) {
    double number;
    return double_parse(text, &number) == OK;
}

static void infer_csv(Inference *in, Str head, char delimiter) {
    enum { MOST = 4096 };
    Str *names = arena_new_array(in->arena, Str, MOST),
        *fields = arena_new_array(in->arena, Str, MOST);
    int name_count, count;
    const char *end = head.data + head.size,
               *at = csv_record(head.data, end, delimiter, in->arena, names, MOST, &name_count);
    for (int i = 0; i < name_count; i++) seen_column(in, names[i]);
    for (; at < end && in->records < INFER_RECORDS; in->records++) {
        at = csv_record(at, end, delimiter, in->arena, fields, MOST, &count);
        for (int i = 0; i < count && i < name_count; i++) {
            if (!fields[i].size) continue;
            Seen *column = seen_column(in, names[i]);
            if (is_integer(fields[i])) column->integers = true;
            else if (is_double(fields[i])) column->numbers = true;
            else column->other = true;
        }
    }
}

int csv_names(Str header, char delimiter, Arena *arena, Str *names, int most) {
    int count;
    (void)csv_record(header.data, header.data + header.size, delimiter, arena, names, most, &count);
    return count;
}

Inference *inference_new(Arena *arena) {
    Inference *in = arena_new_array(arena, Inference, 1);
    in->arena = arena;
    in->by_name = map_new();
    return in;
}

void inference_free(Inference **in) {
    if (*in) map_free(&(*in)->by_name);
    *in = NULL;
}

bool inference_look(Inference *in, Str head, const Format *format, char delimiter) {
    static const char mark[] = "\xef\xbb\xbf"; /* of a file's beginning: no part of its record */
    if (head.size >= 3 && memcmp(head.data, mark, 3) == 0)
        head = (Str){head.data + 3, head.size - 3};
    if (format == &csv_format && head.size) infer_csv(in, head, delimiter);
    else if (format == &json_array_format) infer_array(in, head);
    else infer_json(in, head);
    return in->records < INFER_RECORDS;
}

const char *packer_of(Str head) {
    static const struct {
        const char *begin, *tool;
    } packers[] = {{"\x1f\x8b", "zcat"},
                   {"\x28\xb5\x2f\xfd", "zstdcat"},
                   {"\xfd"
                    "7zXZ",
                    "xzcat"}};
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        size_t size = strlen(packers[i].begin);
        if (head.size >= size && memcmp(head.data, packers[i].begin, size) == 0)
            return packers[i].tool;
    }
    return NULL;
}

Status inference_schema(const Inference *in, Schema *out, Error *error) {
    if (!in->count && in->records)
        return fail(
            error,
            "the input has no columns: none of its first records is a JSON object with a key%s",
            in->array ? "; one array of objects is read with --input-format json_array" : "");
    out->count = in->count;
    out->fields = arena_new_array(in->arena, Field, in->count + 1);
    for (int i = 0; i < in->count; i++) {
        const Seen *s = &in->columns[i];
        TypeKind kind = TYPE_TEXT;
        if (!s->other && !s->objects && s->numbers) kind = TYPE_FLOAT8;
        else if (!s->other && !s->objects && s->integers) kind = TYPE_INT8;
        else if (s->objects && !s->other && !s->numbers && !s->integers) kind = TYPE_JSONB;
        out->fields[i] = (Field){.name = s->name.data, .type = type_of(kind)};
    }
    return OK;
}

static Status read_lines(int fd, const char *name, size_t least, Buffer *head, Error *error) {
    int lines = 0;
    while ((lines <= INFER_RECORDS || head->size < least) && head->size < INFER_MOST_BYTES) {
        char *to = buffer_reserve(head, 65536);
        ssize_t got = read(fd, to, 65536);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(error, "cannot read %s: %s", name, strerror(errno));
        if (got == 0) break;
        for (ssize_t i = 0; i < got; i++) lines += to[i] == '\n';
        head->size += (size_t)got;
    }
    return OK;
}

typedef struct Feed {
    int from, to;
    size_t size;
    char head[];
} Feed;

static bool write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        data += put;
        size -= (size_t)put;
    }
    return true;
}

static void *feed_thread(void *context) {
    Feed *feed = context;
    char *buffer = xmalloc(65536);
    bool open_still = write_all(feed->to, feed->head, feed->size);
    ssize_t got;
    while (open_still && (got = read(feed->from, buffer, 65536)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        open_still = got > 0 && write_all(feed->to, buffer, (size_t)got);
    }
    close(feed->to);
    close(feed->from);
    free(buffer);
    free(feed);
    return NULL;
}

/* A new pipe that brings what was read of `from`, and then what it has yet. */
static Status hand_on(int from, const Buffer *head, int *out, Error *error) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail(error, "cannot make a pipe: %s", strerror(errno));
    Feed *feed = xmalloc(sizeof *feed + head->size);
    feed->from = from;
    feed->to = ends[1];
    feed->size = head->size;
    if (head->size) memcpy(feed->head, head->data, head->size);
    pthread_t thread;
    if (pthread_create(&thread, NULL, feed_thread, feed) != 0) {
        close(ends[0]);
        close(ends[1]);
        free(feed);
        return fail(error, "cannot start a thread");
    }
    pthread_detach(thread);
    *out = ends[0];
    return OK;
}

Status read_head(const char **path, size_t least, Buffer *head, Arena *arena, Error *error) {
    struct stat st;
    int fd = open(*path, O_RDONLY | O_CLOEXEC), pipe_end = -1;
    if (fd < 0 || fstat(fd, &st) != 0)
        return fail(error, "cannot open %s: %s", *path, strerror(errno));
    Status status = read_lines(fd, *path, least, head, error);
    if (status == OK && !S_ISREG(st.st_mode)) status = hand_on(dup(fd), head, &pipe_end, error);
    if (pipe_end >= 0) {
        char name[32]; /* it stays open, or who writes into it would have no reader */
        snprintf(name, sizeof name, "/dev/fd/%d", pipe_end);
        *path = arena_text(arena, str_from(name));
    }
    close(fd);
    return status;
}

Status read_stdin_head(size_t least, Buffer *head, Error *error) {
    off_t start = lseek(STDIN_FILENO, 0, SEEK_CUR);
    Status status = read_lines(STDIN_FILENO, "standard input", least, head, error);
    if (status != OK) return status;
    if (start >= 0)
        return lseek(STDIN_FILENO, start, SEEK_SET) == start
                   ? OK
                   : fail(error, "cannot seek in standard input: %s", strerror(errno));
    int from = dup(STDIN_FILENO), to = -1;
    if (from < 0) return fail(error, "cannot read standard input: %s", strerror(errno));
    if (hand_on(from, head, &to, error) != OK) return FAIL;
    status = dup2(to, STDIN_FILENO) < 0
                 ? fail(error, "cannot hand standard input on: %s", strerror(errno))
                 : OK;
    close(to);
    return status;
}
