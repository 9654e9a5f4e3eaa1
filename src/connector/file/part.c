/* Reading one file, or a pipe. Bytes are read in large chunks, cut where the format says that whole
 * records end; the rest waits for the next chunk. A record longer than RECORD_MOST_BYTES is handed
 * on as its beginning, so memory stays bounded whatever a file holds. A pipe cannot be asked again,
 * so after a restart the bytes that were counted are read and dropped. */
#include "connector/file/part.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_MOST = 1 << 20,
    LONG_RECORD_KEPT = 64 << 10, /* of a record that is too long */
    POOL_CHUNKS = 8,
};

typedef struct FileChunk FileChunk;

struct Pool {
    pthread_mutex_t lock;
    FileChunk *free[POOL_CHUNKS];
    int free_count, users;
    size_t usual; /* larger ones are given back to the system */
};

struct FileChunk {
    Chunk chunk;
    Pool *pool;
    Record record; /* of a record that is too long */
    char *header;  /* owned; of a followed file, whose header may change */
    size_t capacity;
    char bytes[];
};

/* ---- chunks ---- */

Pool *pool_new(size_t usual) {
    Pool *pool = xcalloc(1, sizeof *pool);
    pool->users = 1;
    pool->usual = usual;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void pool_leave(Pool *pool) {
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
    free(c->header);
    pthread_mutex_lock(&pool->lock);
    if (pool->free_count < POOL_CHUNKS && c->capacity <= pool->usual) {
        pool->free[pool->free_count++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    free(c);
    pool_leave(pool);
}

static FileChunk *chunk_take(FileReader *r, size_t capacity) {
    Pool *pool = r->pool;
    FileChunk *c = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->users++;
    if (pool->free_count) c = pool->free[--pool->free_count];
    pthread_mutex_unlock(&pool->lock);
    if (c && c->capacity < capacity) {
        free(c);
        c = NULL;
    }
    if (!c) {
        c = xmalloc(sizeof *c + capacity);
        c->capacity = capacity;
    }
    c->pool = pool;
    c->header = NULL;
    return c;
}

/* What splitting needs to know besides the bytes. */
static char context_of(const FileReader *r, const Part *part) {
    return r->arrays ? array_place(&part->mark) : r->delimiter;
}

static void mark_bytes(const FileReader *r, Part *part, Str bytes) {
    if (r->arrays) array_mark(&part->mark, bytes, part->position == 0);
}

static void chunk_fill(FileReader *r, Part *part, FileChunk *c, int64_t size) {
    c->chunk = (Chunk){.partition = part->partition,
                       .bytes = {c->bytes, (size_t)size},
                       .begin = part->base + part->position,
                       .end = part->base + part->position + size,
                       .offset_base = part->base,
                       .header = part->header,
                       .taken_us = r->context.env->now_us(r->context.env),
                       .filename = part->path,
                       .place = r->arrays ? array_place(&part->mark) : 0,
                       .last = part->eof && !part->carry.size,
                       .release = release,
                       .owner = r->pool};
    if (part->follow && part->header.size) {
        c->header = xmalloc(part->header.size);
        memcpy(c->header, part->header.data, part->header.size);
        c->chunk.header.data = c->header;
    }
    if (!part->long_bytes) mark_bytes(r, part, c->chunk.bytes);
    part->position += size;
}

/* ---- reading ---- */

static Status read_failed(FileReader *r, const Part *part, Error *error) {
    return fail(error, "source %s: cannot read '%s': %s%s", r->context.table, part->path,
                strerror(errno), file_remedy(errno, false));
}

/* OK: *got bytes; END: the file is over; AGAIN: a pipe or a followed file has nothing now. */
static Status read_some(FileReader *r, Part *part, char *to, size_t room, size_t *got,
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
    if (size < 0) return errno == EAGAIN ? AGAIN : read_failed(r, part, error);
    if (size == 0 && part->follow && !part->ending) return AGAIN;
    part->eof = size == 0;
    *got = (size_t)size;
    return size ? OK : END;
}

void part_begin(const FileReader *r, Part *part) {
    part->skip_to = part->position;
    part->position = 0;
    part->eof = false;
    part->header_read = !r->csv_header;
    part->mark = (ArrayMark){0};
}

static Status open_part(FileReader *r, Part *part, Error *error) {
    if (part->fd >= 0) return OK;
    if (is_standard_stream(part->path)) {
        part->fd = STDIN_FILENO;
        part->stream = true;
    } else {
        /* A named pipe may wait for its writer; whoever reads is not to wait in open(). */
        part->fd = open(part->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat st;
        if (part->fd < 0 || fstat(part->fd, &st) != 0) return read_failed(r, part, error);
        part->stream = !S_ISREG(st.st_mode);
        if (!part->stream && st.st_size < part->position)
            return fail(error,
                        "source %s: '%s' has %" PRId64 " bytes, but %" PRId64
                        " were read before: it is not the same file; "
                        "put it back, or start over with leat run --fresh",
                        r->context.table, part->path, (int64_t)st.st_size, part->position);
        (void)posix_fadvise(part->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    part_begin(r, part);
    return OK;
}

void part_close(Part *part) {
    if (part->fd > STDERR_FILENO) close(part->fd);
    part->fd = -1;
    part->carry.size = 0;
}

void part_rest(Part *part) {
    if (part->stream || part->long_bytes) return;
    part_close(part);
    buffer_free(&part->carry);
}

static void drop_carry(Part *part, size_t size) {
    if (size == 0) return;
    memmove(part->carry.data, part->carry.data + size, part->carry.size - size);
    part->carry.size -= size;
}

/* The header line, kept for as long as the source lives, since chunks point to it. */
static void keep_header(FileReader *r, Part *part, Str line) {
    if (part->follow) { /* chunks have copies */
        free((char *)(uintptr_t)part->header.data);
        part->header = (Str){line.size ? xmalloc(line.size) : NULL, line.size};
        if (line.size) memcpy((char *)(uintptr_t)part->header.data, line.data, line.size);
    } else if (!part->header.data) {
        part->header = arena_str(r->arena, line);
    }
    part->header_read = true;
}

/* json_array: the first byte of all and the last one before `skip_to`, blanks left out. */
static bool look_back(Part *part) {
    char block[4096];
    int64_t at = 0;
    part->mark = (ArrayMark){0};
    while (!part->mark.first && at < part->skip_to) {
        size_t wanted = (size_t)(part->skip_to - at < 4096 ? part->skip_to - at : 4096);
        ssize_t got = pread(part->fd, block, wanted, at);
        if (got <= 0) return false;
        array_mark(&part->mark, (Str){block, (size_t)got}, at == 0);
        at += got;
    }
    ArrayMark end = {0};
    for (at = part->skip_to; !end.first && at > 0;) {
        size_t wanted = (size_t)(at < 4096 ? at : 4096);
        at -= (int64_t)wanted;
        if (pread(part->fd, block, wanted, at) != (ssize_t)wanted) return false;
        array_mark(&end, (Str){block, wanted}, at == 0);
    }
    part->mark.last = end.last;
    return true;
}

/* Reads the header and goes to where the run before has come. OK; AGAIN; END. */
static Status begin_part(FileReader *r, Part *part, Error *error) {
    Status status = OK;
    while (!part->header_read) {
        Str bytes = buffer_str(&part->carry);
        size_t size = r->context.format->first(bytes, context_of(r, part), part->eof);
        if (size || part->eof) {
            keep_header(r, part, (Str){bytes.data, size});
            part->position = (int64_t)size;
            drop_carry(part, size);
            break;
        }
        if (bytes.size >= HEADER_MOST)
            return fail(error, "source %s: the header of '%s' is longer than 1 MB; is it csv?",
                        r->context.table, part->path);
        size_t got;
        char *to = buffer_reserve(&part->carry, 64 << 10);
        status = read_some(r, part, to, 64 << 10, &got, error);
        part->carry.size += got;
        if (status == AGAIN || status == FAIL) return status;
    }
    if (part->skip_to <= part->position) return OK;
    if (!part->stream) {
        if ((r->arrays && !look_back(part)) || lseek(part->fd, part->skip_to, SEEK_SET) < 0)
            return read_failed(r, part, error);
        part->position = part->skip_to;
        part->carry.size = 0;
        part->eof = false;
        return OK;
    }
    while (part->position < part->skip_to) {
        if (!part->carry.size) {
            size_t got;
            status =
                read_some(r, part, buffer_reserve(&part->carry, 64 << 10), 64 << 10, &got, error);
            part->carry.size = got;
            if (status == END)
                return fail(error,
                            "source %s: '%s' ended after %" PRId64 " bytes, but %" PRId64
                            " were read before; after a restart "
                            "the same bytes must be piped in",
                            r->context.table, part->path, part->position, part->skip_to);
            if (status != OK) return status;
        }
        int64_t left = part->skip_to - part->position;
        size_t drop = left < (int64_t)part->carry.size ? (size_t)left : part->carry.size;
        mark_bytes(r, part, (Str){part->carry.data, drop});
        drop_carry(part, drop);
        part->position += (int64_t)drop;
    }
    return OK;
}

/* Where a record that is too long ends in the block, its end included; 0: not there. */
static size_t long_end(const FileReader *r, Part *part, Str block) {
    if (!r->arrays) {
        const char *newline = memchr(block.data, '\n', block.size);
        return newline ? (size_t)(newline + 1 - block.data) : 0;
    }
    size_t size = 0;
    if (part->scan) size = array_scan(part->scan, block);
    size = part->scan && size < block.size ? size + 1 : 0;
    mark_bytes(r, part, size ? (Str){block.data, size} : block);
    return size;
}

/* The beginning of a record that is too long, all that was read of it. */
static void begin_long(const FileReader *r, Part *part, Str bytes) {
    part->long_bytes = (int64_t)bytes.size;
    if (!r->arrays) return;
    ArrayPiece piece;
    (void)array_piece(bytes, array_place(&part->mark), part->position == 0, &piece);
    free(part->scan);
    part->scan = NULL; /* outside of the array all is one record */
    if (piece.place == ARRAY_INSIDE) {
        part->scan = xcalloc(1, sizeof *part->scan);
        Str text = {piece.text.data, (size_t)(bytes.data + bytes.size - piece.text.data)};
        (void)array_scan(part->scan, text);
    }
    mark_bytes(r, part, bytes);
}

/* The rest of a record that is too long, up to its end; then one record that says so. */
static Status next_long(FileReader *r, Part *part, Chunk **out, Error *error) {
    char *block = xmalloc(64 << 10);
    size_t got = 0, end = 0;
    Status status = OK;
    while (!end && (status = read_some(r, part, block, 64 << 10, &got, error)) == OK) {
        end = long_end(r, part, (Str){block, got});
        part->long_bytes += end ? (int64_t)end : (int64_t)got;
    }
    if (end || status == END) {
        FileChunk *c = chunk_take(r, LONG_RECORD_KEPT);
        memcpy(c->bytes, part->carry.data, LONG_RECORD_KEPT);
        c->record = (Record){.body = {c->bytes, LONG_RECORD_KEPT},
                             .position = part->base + part->position,
                             .timestamp_us = NO_TIME,
                             .whole_bytes = part->long_bytes};
        chunk_fill(r, part, c, part->long_bytes);
        c->chunk.bytes = (Str){0};
        c->chunk.records = &c->record;
        c->chunk.record_count = 1;
        part->long_bytes = 0;
        part->carry.size = 0;
        if (end) buffer_add(&part->carry, block + end, got - end);
        *out = &c->chunk;
        status = OK;
    }
    free(block);
    return status;
}

/* At most chunk_rows records of them. */
static size_t limit_rows(const FileReader *r, const Part *part, Str bytes, size_t whole) {
    if (!r->context.chunk_rows) return whole;
    size_t size = 0;
    ArrayMark mark = part->mark;
    for (int i = 0; i < r->context.chunk_rows && size < whole; i++) {
        Str rest = {bytes.data + size, whole - size};
        char context = r->arrays ? array_place(&mark) : r->delimiter;
        size_t first = r->context.format->first(rest, context, part->eof);
        if (!first) first = rest.size; /* the rest is whole */
        array_mark(&mark, (Str){rest.data, first}, part->position == 0 && size == 0);
        size += first;
    }
    return size;
}

/* Reads into the chunk until it holds a whole record; makes it larger while it does not. */
static Status fill_chunk(FileReader *r, Part *part, FileChunk **chunk, size_t *size, size_t *whole,
                         Error *error) {
    for (;;) {
        FileChunk *c = *chunk;
        Status status = OK;
        size_t got;
        while (*size < c->capacity && (status = read_some(r, part, c->bytes + *size,
                                                          c->capacity - *size, &got, error)) == OK)
            *size += got;
        if (status == FAIL) return FAIL;
        *whole = r->context.format->split((Str){c->bytes, *size}, context_of(r, part), part->eof);
        if (*whole) return OK;
        if (status != OK) return status;
        if (*size >= RECORD_MOST_BYTES) return REJECT;
        FileChunk *wider = chunk_take(r, 2 * c->capacity < RECORD_MOST_BYTES ? 2 * c->capacity
                                                                             : RECORD_MOST_BYTES);
        memcpy(wider->bytes, c->bytes, *size);
        release(&c->chunk);
        *chunk = wider;
    }
}

Status part_next(FileReader *r, Part *part, Chunk **out, Error *error) {
    Status status = open_part(r, part, error);
    if (status == OK && (!part->header_read || part->position < part->skip_to))
        status = begin_part(r, part, error);
    if (status != OK) return status;
    if (part->long_bytes) return next_long(r, part, out, error);
    size_t wanted = r->context.chunk_bytes > 4096 ? r->context.chunk_bytes : 4096;
    struct stat st;
    if (!part->stream && fstat(part->fd, &st) == 0) { /* small files need small chunks */
        int64_t left = st.st_size - part->position + 1;
        if (left < (int64_t)wanted) wanted = left > 4096 ? (size_t)left : 4096;
    }
    FileChunk *c = chunk_take(r, part->carry.size > wanted ? part->carry.size : wanted);
    size_t size = part->carry.size, whole = 0;
    if (size) memcpy(c->bytes, part->carry.data, size);
    status = fill_chunk(r, part, &c, &size, &whole, error);
    if (status == OK) whole = limit_rows(r, part, (Str){c->bytes, size}, whole);
    part->carry.size = 0;
    if (size > whole)
        buffer_add(&part->carry, c->bytes + whole,
                   status == REJECT ? LONG_RECORD_KEPT : size - whole);
    if (status == OK) {
        chunk_fill(r, part, c, (int64_t)whole);
        *out = &c->chunk;
        return OK;
    }
    if (status == REJECT) begin_long(r, part, (Str){c->bytes, size});
    release(&c->chunk);
    if (status != REJECT) return status;
    return next_long(r, part, out, error);
}
