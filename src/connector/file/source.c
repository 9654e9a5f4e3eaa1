/* Files as a source. Each file is a partition, or all are one (order = 'name'); a position is the
 * byte where the next record begins. Bytes are read in large chunks, cut where the format says that
 * whole records end; the rest waits for the next chunk. A record longer than RECORD_MOST_BYTES is
 * handed on as its beginning, so memory stays bounded whatever a file holds. With order = 'name' a
 * position is also the number of its file (the upper bits), and the home is told which file has
 * which number when it is begun: files that come later can not move what was read. Standard input
 * cannot be asked again, so after a restart the bytes that were counted are read and dropped. */
#include "base/log.h"
#include "connector/file/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BYTE_BITS = 44, /* of a position with order = 'name': files of up to 16 TB */
    HEADER_MOST = 1 << 20,
    LONG_RECORD_KEPT = 64 << 10, /* of a record that is too long */
    POOL_CHUNKS = 8,
};

typedef struct FileChunk FileChunk;

/* Chunks that are free again: large blocks of memory are dear to get and to give back. Outlives the
 * source if a chunk does. */
typedef struct Pool {
    pthread_mutex_t lock;
    FileChunk *free[POOL_CHUNKS];
    int free_count, users;
} Pool;

struct FileChunk {
    Chunk chunk;
    Pool *pool;
    Record record; /* of a record that is too long */
    size_t capacity;
    char bytes[];
};

typedef struct Part { /* a partition; with order = 'name' the file of it that is being read */
    const char *name; /* for the home */
    const char *path;
    int index;        /* order = 'name': of the file */
    int fd;           /* -1: not open */
    int64_t position; /* the byte behind the last record that was handed on */
    int64_t skip_to;  /* bytes before it were counted in an earlier run */
    Buffer carry;     /* read, but behind the last whole record */
    bool stream;      /* a pipe or the like: can neither go back nor be waited for by read() */
    bool eof, header_read;
    Str header;         /* in the source's arena */
    int64_t long_bytes; /* of a record that is too long, as far as it was read; its beginning is in
                           `carry` */
} Part;

typedef struct FileSource {
    Source source;
    SourceContext context;
    const char *path;
    bool one_partition, csv_header;
    char delimiter;
    char **files;
    int file_count;
    int kept_count; /* order = 'name': files that the home knows */
    Part *parts;
    int part_count;
    Pool *pool;
    Arena *arena;
} FileSource;

static FileSource *file_source_of(Source *source) { return (FileSource *)(void *)source; }

/* ---- chunks ---- */

static void pool_leave(Pool *pool) {
    pthread_mutex_lock(&pool->lock);
    bool last = --pool->users == 0;
    pthread_mutex_unlock(&pool->lock);
    if (!last) return;
    for (int i = 0; i < pool->free_count; i++) free(pool->free[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void release(Chunk *chunk) {
    FileChunk *c = (FileChunk *)(void *)chunk;
    Pool *pool = c->pool;
    pthread_mutex_lock(&pool->lock);
    if (pool->free_count < POOL_CHUNKS) {
        pool->free[pool->free_count++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    free(c);
    pool_leave(pool);
}

static FileChunk *chunk_take(FileSource *f, size_t capacity) {
    Pool *pool = f->pool;
    FileChunk *c = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->users++;
    if (pool->free_count) c = pool->free[--pool->free_count];
    pthread_mutex_unlock(&pool->lock);
    if (c && (c->capacity < capacity || c->capacity > 4 * capacity)) {
        free(c);
        c = NULL;
    }
    if (!c) {
        c = xmalloc(sizeof *c + capacity);
        c->capacity = capacity;
    }
    c->pool = pool;
    return c;
}

static int64_t part_base(const FileSource *f, const Part *part) {
    return f->one_partition ? (int64_t)part->index << BYTE_BITS : 0;
}

static void chunk_fill(FileSource *f, Part *part, FileChunk *c, int64_t size) {
    int64_t base = part_base(f, part);
    c->chunk = (Chunk){.partition = (int)(part - f->parts),
                       .bytes = {c->bytes, (size_t)size},
                       .begin = base + part->position,
                       .end = base + part->position + size,
                       .offset_base = base,
                       .header = part->header,
                       .taken_us = f->context.env->now_us(f->context.env),
                       .filename = part->path,
                       .release = release,
                       .owner = f};
    part->position += size;
}

/* ---- reading ---- */

static Status read_failed(FileSource *f, const Part *part, Error *error) {
    return fail(error, "source %s: cannot read '%s': %s", f->context.table, part->path,
                strerror(errno));
}

/* OK: *got bytes; END: the file is over; AGAIN: a pipe has nothing now. */
static Status read_some(FileSource *f, Part *part, char *to, size_t room, size_t *got,
                        Error *error) {
    *got = 0;
    if (part->eof) return END;
    if (part->stream) {
        struct pollfd ready = {.fd = part->fd, .events = POLLIN};
        if (poll(&ready, 1, 0) == 0) return AGAIN;
    }
    ssize_t size;
    do size = read(part->fd, to, room);
    while (size < 0 && errno == EINTR);
    if (size < 0) return errno == EAGAIN ? AGAIN : read_failed(f, part, error);
    part->eof = size == 0;
    *got = (size_t)size;
    return size ? OK : END;
}

static Status open_part(FileSource *f, Part *part, Error *error) {
    if (part->fd >= 0) return OK;
    if (is_standard_stream(part->path)) {
        part->fd = STDIN_FILENO;
        part->stream = true;
    } else {
        part->fd = open(part->path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (part->fd < 0 || fstat(part->fd, &st) != 0) return read_failed(f, part, error);
        part->stream = !S_ISREG(st.st_mode);
        if (!part->stream && st.st_size < part->position)
            return fail(error,
                        "source %s: '%s' has %" PRId64 " bytes, but %" PRId64
                        " were read before: it is not the same file; "
                        "put it back, or start over with leat run --fresh",
                        f->context.table, part->path, (int64_t)st.st_size, part->position);
        (void)posix_fadvise(part->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    part->skip_to = part->position;
    part->position = 0;
    part->eof = false;
    part->header_read = !f->csv_header;
    return OK;
}

static void close_part(Part *part) {
    if (part->fd > STDERR_FILENO) close(part->fd);
    part->fd = -1;
    part->carry.size = 0;
}

static void drop_carry(Part *part, size_t size) {
    if (size == 0) return;
    memmove(part->carry.data, part->carry.data + size, part->carry.size - size);
    part->carry.size -= size;
}

/* The header line, kept for as long as the source lives, since chunks point to it. */
static void keep_header(FileSource *f, Part *part, Str line) {
    part->header = arena_str(f->arena, line);
    part->header_read = true;
}

/* Reads the header and goes to where the run before has come. OK; AGAIN; END. */
static Status begin_part(FileSource *f, Part *part, Error *error) {
    Status status = OK;
    while (!part->header_read) {
        Str bytes = buffer_str(&part->carry);
        size_t size = f->context.format->first(bytes, f->delimiter, part->eof);
        if (size || part->eof) {
            keep_header(f, part, (Str){bytes.data, size});
            part->position = (int64_t)size;
            drop_carry(part, size);
            break;
        }
        if (bytes.size >= HEADER_MOST)
            return fail(error, "source %s: the header of '%s' is longer than 1 MB; is it csv?",
                        f->context.table, part->path);
        size_t got;
        char *to = buffer_reserve(&part->carry, 64 << 10);
        status = read_some(f, part, to, 64 << 10, &got, error);
        part->carry.size += got;
        if (status == AGAIN || status == FAIL) return status;
    }
    if (part->skip_to <= part->position) return OK;
    if (!part->stream) {
        if (lseek(part->fd, part->skip_to, SEEK_SET) < 0) return read_failed(f, part, error);
        part->position = part->skip_to;
        part->carry.size = 0;
        part->eof = false;
        return OK;
    }
    while (part->position < part->skip_to) {
        if (!part->carry.size) {
            size_t got;
            status =
                read_some(f, part, buffer_reserve(&part->carry, 64 << 10), 64 << 10, &got, error);
            part->carry.size = got;
            if (status == END)
                return fail(error,
                            "source %s: '%s' ended after %" PRId64 " bytes, but %" PRId64
                            " were read before; after a restart "
                            "the same bytes must be piped in",
                            f->context.table, part->path, part->position, part->skip_to);
            if (status != OK) return status;
        }
        int64_t left = part->skip_to - part->position;
        size_t drop = left < (int64_t)part->carry.size ? (size_t)left : part->carry.size;
        drop_carry(part, drop);
        part->position += (int64_t)drop;
    }
    return OK;
}

/* The rest of a record that is too long, up to its newline; then one record that says so. */
static Status next_long(FileSource *f, Part *part, Chunk **out, Error *error) {
    char *block = xmalloc(64 << 10);
    const char *newline = NULL;
    size_t got = 0;
    Status status = OK;
    while (!newline && (status = read_some(f, part, block, 64 << 10, &got, error)) == OK) {
        newline = memchr(block, '\n', got);
        part->long_bytes += newline ? newline + 1 - block : (int64_t)got;
    }
    if (newline || status == END) {
        FileChunk *c = chunk_take(f, LONG_RECORD_KEPT);
        memcpy(c->bytes, part->carry.data, LONG_RECORD_KEPT);
        c->record = (Record){.body = {c->bytes, LONG_RECORD_KEPT},
                             .position = part_base(f, part) + part->position,
                             .timestamp_us = NO_TIME,
                             .whole_bytes = part->long_bytes};
        chunk_fill(f, part, c, part->long_bytes);
        c->chunk.bytes = (Str){0};
        c->chunk.records = &c->record;
        c->chunk.record_count = 1;
        part->long_bytes = 0;
        part->carry.size = 0;
        if (newline) buffer_add(&part->carry, newline + 1, got - (size_t)(newline + 1 - block));
        *out = &c->chunk;
        status = OK;
    }
    free(block);
    return status;
}

/* At most chunk_rows records of them. */
static size_t limit_rows(const FileSource *f, Str bytes, size_t whole, bool eof) {
    if (!f->context.chunk_rows) return whole;
    size_t size = 0;
    for (int i = 0; i < f->context.chunk_rows && size < whole; i++)
        size += f->context.format->first((Str){bytes.data + size, whole - size}, f->delimiter, eof);
    return size;
}

/* Reads into the chunk until it holds a whole record; makes it larger while it does not. */
static Status fill_chunk(FileSource *f, Part *part, FileChunk **chunk, size_t *size, size_t *whole,
                         Error *error) {
    for (;;) {
        FileChunk *c = *chunk;
        Status status = OK;
        size_t got;
        while (*size < c->capacity && (status = read_some(f, part, c->bytes + *size,
                                                          c->capacity - *size, &got, error)) == OK)
            *size += got;
        if (status == FAIL) return FAIL;
        *whole = f->context.format->split((Str){c->bytes, *size}, f->delimiter, part->eof);
        if (*whole) return OK;
        if (status != OK) return status;
        if (*size >= RECORD_MOST_BYTES) return REJECT;
        FileChunk *wider = chunk_take(f, 2 * c->capacity < RECORD_MOST_BYTES ? 2 * c->capacity
                                                                             : RECORD_MOST_BYTES);
        memcpy(wider->bytes, c->bytes, *size);
        release(&c->chunk);
        *chunk = wider;
    }
}

static Status next_of_part(FileSource *f, Part *part, Chunk **out, Error *error) {
    Status status = open_part(f, part, error);
    if (status == OK && (!part->header_read || part->position < part->skip_to))
        status = begin_part(f, part, error);
    if (status != OK) return status;
    if (part->long_bytes) return next_long(f, part, out, error);
    size_t wanted = f->context.chunk_bytes > 4096 ? f->context.chunk_bytes : 4096;
    FileChunk *c = chunk_take(f, part->carry.size > wanted ? part->carry.size : wanted);
    size_t size = part->carry.size, whole = 0;
    if (size) memcpy(c->bytes, part->carry.data, size);
    status = fill_chunk(f, part, &c, &size, &whole, error);
    if (status == OK) whole = limit_rows(f, (Str){c->bytes, size}, whole, part->eof);
    part->carry.size = 0;
    if (size > whole)
        buffer_add(&part->carry, c->bytes + whole,
                   status == REJECT ? LONG_RECORD_KEPT : size - whole);
    if (status == OK) {
        chunk_fill(f, part, c, (int64_t)whole);
        *out = &c->chunk;
        return OK;
    }
    release(&c->chunk);
    if (status != REJECT) return status;
    part->long_bytes = (int64_t)size;
    return next_long(f, part, out, error);
}

/* ---- order = 'name' ---- */

static const char *kept_file(const FileSource *f, int index, char name[32]) {
    snprintf(name, 32, "file.%d", index);
    return f->context.get ? f->context.get(f->context.home, name) : NULL;
}

/* Files that were begun in earlier runs keep their numbers, the others follow. */
static void order_files(FileSource *f) {
    char name[32];
    int most = f->file_count;
    for (int i = 0; kept_file(f, i, name); i++) most++;
    char **ordered = arena_new_array(f->arena, char *, most);
    int count = 0;
    for (const char *kept; (kept = kept_file(f, count, name));)
        ordered[count++] = arena_text(f->arena, str_from(kept));
    f->kept_count = count;
    for (int i = 0; i < f->file_count; i++) {
        bool known = false;
        for (int k = 0; k < f->kept_count && !known; k++)
            known = strcmp(f->files[i], ordered[k]) == 0;
        if (known) continue;
        if (f->kept_count && strcmp(f->files[i], ordered[f->kept_count - 1]) < 0)
            log_warning("source %s: '%s' came after files that follow it by name were read; it is "
                        "read behind them",
                        f->context.table, f->files[i]);
        ordered[count++] = f->files[i];
    }
    f->files = ordered;
    f->file_count = count;
}

static void go_to_file(FileSource *f, Part *part, int index, int64_t position) {
    close_part(part);
    part->index = index;
    part->path = f->files[index];
    part->position = position;
}

static Status next_in_order(FileSource *f, Part *part, Chunk **out, Error *error) {
    for (;;) {
        if (part->index >= f->kept_count) {
            char name[32];
            (void)kept_file(f, part->index, name);
            if (f->context.set && f->context.set(f->context.home, name, part->path, error) != OK)
                return FAIL;
            f->kept_count = part->index + 1;
        }
        Status status = next_of_part(f, part, out, error);
        if (status != END || part->index + 1 >= f->file_count) return status;
        go_to_file(f, part, part->index + 1, 0);
    }
}

/* ---- the source ---- */

static void close_source(Source *source) {
    FileSource *f = file_source_of(source);
    for (int i = 0; i < f->part_count; i++) {
        close_part(&f->parts[i]);
        buffer_free(&f->parts[i].carry);
    }
    free(f->parts);
    arena_free(&f->arena);
    pool_leave(f->pool);
    free(f);
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    FileSource *f = xcalloc(1, sizeof *f);
    f->source = (Source){.type = &file_source, .bounded = true};
    f->context = *context;
    f->path = option_text(context->options, "path", "");
    f->one_partition = option_find(context->options, "order") != NULL;
    f->delimiter = *option_text(context->options, "delimiter", ",");
    f->csv_header = context->format == &csv_format && option_bool(context->options, "header", true);
    f->arena = arena_new();
    f->pool = xcalloc(1, sizeof *f->pool);
    f->pool->users = 1;
    pthread_mutex_init(&f->pool->lock, NULL);
    if (file_list(f->path, context->table, f->arena, &f->files, &f->file_count, error) != OK) {
        close_source(&f->source);
        return FAIL;
    }
    if (f->one_partition) order_files(f);
    f->part_count = f->one_partition ? 1 : f->file_count;
    f->parts = xcalloc((size_t)f->part_count, sizeof *f->parts);
    for (int i = 0; i < f->part_count; i++)
        f->parts[i] =
            (Part){.name = f->one_partition ? f->path : f->files[i], .path = f->files[i], .fd = -1};
    *out = &f->source;
    return OK;
}

static Status partitions(Source *source, int *count, Error *error) {
    (void)error;
    *count = file_source_of(source)->part_count;
    return OK;
}

static const char *partition_name(Source *source, int partition) {
    return file_source_of(source)->parts[partition].name;
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    FileSource *f = file_source_of(source);
    Part *part = &f->parts[partition];
    int64_t index = 0, byte = position == NO_POSITION ? 0 : position;
    if (f->one_partition) {
        index = byte >> BYTE_BITS;
        byte &= (INT64_C(1) << BYTE_BITS) - 1;
    }
    if (byte < 0 || index >= f->file_count)
        return fail(error,
                    "source %s: the files of '%s' that were read before are gone; put them back, "
                    "or start over with leat "
                    "run --fresh",
                    f->context.table, f->path);
    if (f->one_partition) {
        go_to_file(f, part, (int)index, byte);
    } else {
        close_part(part);
        part->position = byte;
    }
    part->long_bytes = 0;
    return OK;
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    FileSource *f = file_source_of(source);
    *at_end = false;
    Part *part = &f->parts[partition];
    return f->one_partition ? next_in_order(f, part, out, error)
                            : next_of_part(f, part, out, error);
}

/* Files never say AGAIN, pipes do. */
static void wait_for_input(Source *source, int64_t timeout_us) {
    enum { MOST = 64 };
    FileSource *f = file_source_of(source);
    struct pollfd ready[MOST];
    nfds_t count = 0;
    for (int i = 0; i < f->part_count && count < MOST; i++)
        if (f->parts[i].fd >= 0 && f->parts[i].stream && !f->parts[i].eof)
            ready[count++] = (struct pollfd){.fd = f->parts[i].fd, .events = POLLIN};
    if (count) (void)poll(ready, count, (int)(timeout_us / 1000));
}

static Str header(Source *source, int partition) {
    return file_source_of(source)->parts[partition].header;
}

static int64_t lag(Source *source, int partition, int64_t position) {
    FileSource *f = file_source_of(source);
    int first = 0, last = 0;
    int64_t byte = position;
    if (f->one_partition) {
        first = (int)(position >> BYTE_BITS);
        last = f->file_count - 1;
        byte &= (INT64_C(1) << BYTE_BITS) - 1;
    }
    int64_t left = -byte;
    for (int i = first; i <= last; i++) {
        struct stat st;
        if (stat(f->one_partition ? f->files[i] : f->parts[partition].path, &st) != 0 ||
            !S_ISREG(st.st_mode))
            return -1;
        left += st.st_size;
    }
    return left > 0 ? left : 0;
}

const SourceType file_source = {.bounded_possible = true,
                                .open = open_source,
                                .partitions = partitions,
                                .partition_name = partition_name,
                                .seek = seek,
                                .next = next,
                                .wait = wait_for_input,
                                .header = header,
                                .lag = lag,
                                .close = close_source};
