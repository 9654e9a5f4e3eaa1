/* Files as a source. Each file is a partition, or all are one (order = 'name'); a position is the
 * byte where the next record begins. With order = 'name' it is also the number of its file (the
 * upper bits). Either way the home is told which file has which number: files that come later can
 * not move what was read. */
#include "base/log.h"
#include "connector/file/follow.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BYTE_BITS = 44,  /* of a position with order = 'name': files of up to 16 TB */
    OPEN_MOST = 100, /* more files than that are open only while one is read from */
    CHUNKS_MOST_BYTES = 16 << 20,
    CHUNK_LEAST_BYTES = 16 << 10,
    CLAIM_PART = 16, /* order = 'name': 1/16 more of the files are numbered at a time */
};

typedef struct FileSource {
    Source source;
    FileReader reader;
    const char *path;
    bool one_partition;
    char **files;
    int file_count;
    int kept_count;  /* order = 'name': files that the home knows */
    int64_t *behind; /* order = 'name': bytes in the files behind each */
    bool *gone;      /* [file_count], or NULL: read in an earlier run and taken away since */
    Part *parts;
    int part_count;
} FileSource;

static FileSource *file_source_of(Source *source) { return (FileSource *)(void *)source; }

/* ---- names in the home ---- */

/* One line a name; the two bytes that would be mistaken are written as %25 and %0A. */
static void add_line(Buffer *list, const char *name) {
    for (; *name; name++) {
        if (*name == '%') buffer_add_text(list, "%25");
        else if (*name == '\n') buffer_add_text(list, "%0A");
        else buffer_add_char(list, *name);
    }
    buffer_add_char(list, '\n');
}

static char *take_line(const char **at, Arena *arena) {
    size_t size = strcspn(*at, "\n"), out = 0;
    char *name = arena_alloc(arena, size + 1);
    for (size_t i = 0; i < size; i++) {
        name[out++] = (*at)[i];
        if ((*at)[i] != '%' || i + 2 >= size) continue;
        name[out - 1] = (*at)[i + 1] == '2' ? '%' : '\n';
        i += 2;
    }
    name[out] = 0;
    *at += size + ((*at)[size] == '\n');
    return name;
}

static int lines(const char *list) {
    int count = 0;
    for (; *list; list++) count += *list == '\n';
    return count;
}

/* ---- order = 'name' ---- */

/* The fact named by a number holds the names from that number on, one or more. */
static const char *kept_file(const FileSource *f, int index, char name[32]) {
    snprintf(name, 32, "file.%d", index);
    return f->reader.context.get ? f->reader.context.get(f->reader.context.home, name) : NULL;
}

/* Files that were begun in earlier runs keep their numbers, the others follow. */
static void order_files(FileSource *f) {
    char name[32];
    int kept_count = 0;
    for (const char *kept; (kept = kept_file(f, kept_count, name)); kept_count += lines(kept)) {}
    char **ordered = arena_new_array(f->reader.arena, char *, kept_count + f->file_count);
    int count = 0;
    for (const char *kept; (kept = kept_file(f, count, name));)
        while (*kept) ordered[count++] = take_line(&kept, f->reader.arena);
    f->kept_count = count;
    for (int i = 0; i < f->file_count; i++) {
        bool known = false;
        for (int k = 0; k < f->kept_count && !known; k++)
            known = strcmp(f->files[i], ordered[k]) == 0;
        if (known) continue;
        if (f->kept_count && strcmp(f->files[i], ordered[f->kept_count - 1]) < 0)
            log_warning("source %s: '%s' came after files that follow it by name were read; it is "
                        "read behind them",
                        f->reader.context.table, f->files[i]);
        ordered[count++] = f->files[i];
    }
    f->files = ordered;
    f->file_count = count;
}

/* ---- each file a partition ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Rows of views are known by partition and position, so a file keeps its number for ever, gone or
 * not; what is new follows by name. */
static Status number_files(FileSource *f, Error *error) {
    SourceContext *context = &f->reader.context;
    bool alone = f->file_count == 1 && strcmp(f->files[0], f->path) == 0;
    const char *kept = context->get && !alone ? context->get(context->home, "files") : NULL;
    if (!context->get || alone) return OK;
    int most = f->file_count + (kept ? lines(kept) : 0), count = 0;
    char **ordered = arena_new_array(f->reader.arena, char *, most);
    bool *known = arena_new_array(f->reader.arena, bool, f->file_count);
    f->gone = arena_new_array(f->reader.arena, bool, most);
    while (kept && *kept) {
        char *name = take_line(&kept, f->reader.arena);
        char **found = bsearch(&name, f->files, (size_t)f->file_count, sizeof *f->files, by_name);
        if (found) known[found - f->files] = true;
        f->gone[count] = !found;
        ordered[count++] = name;
    }
    int before = count;
    for (int i = 0; i < f->file_count; i++)
        if (!known[i]) ordered[count++] = f->files[i];
    f->files = ordered;
    f->file_count = count;
    if (count == before) return OK;
    Buffer list = {0};
    for (int i = 0; i < count; i++) add_line(&list, ordered[i]);
    buffer_add_char(&list, 0);
    Status status = context->set(context->home, "files", list.data, error);
    buffer_free(&list);
    return status;
}

static void go_to_file(FileSource *f, Part *part, int index, int64_t position) {
    part_close(part);
    part->index = index;
    part->base = (int64_t)index << BYTE_BITS;
    part->path = f->files[index];
    part->position = position;
}

/* The file that is begun gets its number for ever, and with it the more that follow the more have
 * one: each time is a transaction of the home. */
static Status number_next(FileSource *f, Error *error) {
    SourceContext *context = &f->reader.context;
    int last = f->kept_count + f->kept_count / CLAIM_PART;
    if (last >= f->file_count) last = f->file_count - 1;
    Buffer list = {0};
    for (int i = f->kept_count; i <= last; i++) add_line(&list, f->files[i]);
    buffer_add_char(&list, 0);
    char name[32];
    (void)kept_file(f, f->kept_count, name);
    Status status = context->set ? context->set(context->home, name, list.data, error) : OK;
    buffer_free(&list);
    if (status == OK) f->kept_count = last + 1;
    return status;
}

static Status next_in_order(FileSource *f, Part *part, Chunk **out, Error *error) {
    for (;;) {
        if (part->index >= f->kept_count && number_next(f, error) != OK) return FAIL;
        Status status = part_next(&f->reader, part, out, error);
        if (status != END || part->index + 1 >= f->file_count) return status;
        go_to_file(f, part, part->index + 1, 0);
    }
}

/* ---- the source ---- */

static void close_source(Source *source) {
    FileSource *f = file_source_of(source);
    for (int i = 0; i < f->part_count; i++) {
        part_close(&f->parts[i]);
        buffer_free(&f->parts[i].carry);
        free(f->parts[i].scan);
    }
    free(f->parts);
    arena_free(&f->reader.arena);
    if (f->reader.pool) pool_leave(f->reader.pool);
    free(f);
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    if (option_bool(context->options, "follow", false)) return follow_open(context, out, error);
    FileSource *f = xcalloc(1, sizeof *f);
    f->source = (Source){.type = &file_source, .bounded = true};
    f->reader.context = *context;
    f->path = option_text(context->options, "path", "");
    f->one_partition = option_find(context->options, "order") != NULL;
    f->reader.delimiter = *option_text(context->options, "delimiter", ",");
    f->reader.csv_header =
        context->format == &csv_format && option_bool(context->options, "header", true);
    f->reader.arrays = context->format == &json_array_format;
    f->reader.arena = arena_new();
    if (file_list(f->path, context->table, f->reader.arena, &f->files, &f->file_count, error) !=
        OK) {
        close_source(&f->source);
        return FAIL;
    }
    if (f->one_partition) {
        order_files(f);
    } else if (number_files(f, error) != OK) {
        close_source(&f->source);
        return FAIL;
    }
    f->part_count = f->one_partition ? 1 : f->file_count;
    /* Of files that are read side by side, each may have a chunk in memory. */
    size_t share = f->part_count ? CHUNKS_MOST_BYTES / (size_t)f->part_count : CHUNKS_MOST_BYTES;
    if (share < CHUNK_LEAST_BYTES) share = CHUNK_LEAST_BYTES;
    if (share < f->reader.context.chunk_bytes) f->reader.context.chunk_bytes = share;
    share = f->reader.context.chunk_bytes;
    f->reader.pool = pool_new(share > 4096 ? share : 4096);
    f->parts = xcalloc((size_t)f->part_count, sizeof *f->parts);
    for (int i = 0; i < f->part_count; i++)
        f->parts[i] = (Part){.partition = i,
                             .name = f->one_partition ? f->path : f->files[i],
                             .path = f->files[i],
                             .fd = -1};
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
                    f->reader.context.table, f->path);
    if (f->one_partition) {
        go_to_file(f, part, (int)index, byte);
    } else {
        part_close(part);
        part->position = byte;
    }
    part->long_bytes = 0;
    return OK;
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    FileSource *f = file_source_of(source);
    *at_end = false;
    Part *part = &f->parts[partition];
    if (f->gone && f->gone[partition]) return END;
    if (f->one_partition) return next_in_order(f, part, out, error);
    Status status = part_next(&f->reader, part, out, error);
    if (status == END) part_close(part);
    if (status == OK && f->part_count > OPEN_MOST) part_rest(part);
    return status;
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

/* Bytes that are left; -1: a pipe, nobody knows. With order = 'name' the files behind are looked at
 * once. */
static int64_t lag(Source *source, int partition, int64_t position) {
    FileSource *f = file_source_of(source);
    int index = f->one_partition ? (int)(position >> BYTE_BITS) : partition;
    int64_t byte = f->one_partition ? position & ((INT64_C(1) << BYTE_BITS) - 1) : position;
    struct stat st;
    if (f->one_partition && !f->behind) {
        f->behind = arena_new_array(f->reader.arena, int64_t, f->file_count + 1);
        for (int i = f->file_count - 1; i > 0; i--)
            f->behind[i - 1] = f->behind[i] + (stat(f->files[i], &st) == 0 ? st.st_size : 0);
    }
    if (stat(f->files[index], &st) != 0 || !S_ISREG(st.st_mode)) return -1;
    int64_t left = st.st_size - byte + (f->behind ? f->behind[index] : 0);
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
