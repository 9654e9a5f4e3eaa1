/* Files as a source. Each file is a partition, or all are one (order = 'name'); a position is the
 * byte where the next record begins. With order = 'name' it is also the number of its file (the
 * upper bits). Either way the home is told which file has which number: files that come later can
 * not move what was read. */
#include "base/log.h"
#include "connector/file/part.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTE_BITS = 44 /* of a position with order = 'name': files of up to 16 TB */ };

typedef struct FileSource {
    Source source;
    FileReader reader;
    const char *path;
    bool one_partition;
    char **files;
    int file_count;
    int kept_count; /* order = 'name': files that the home knows */
    bool *gone;     /* [file_count], or NULL: read in an earlier run and taken away since */
    Part *parts;
    int part_count;
} FileSource;

static FileSource *file_source_of(Source *source) { return (FileSource *)(void *)source; }

/* ---- order = 'name' ---- */

static const char *kept_file(const FileSource *f, int index, char name[32]) {
    snprintf(name, 32, "file.%d", index);
    return f->reader.context.get ? f->reader.context.get(f->reader.context.home, name) : NULL;
}

/* Files that were begun in earlier runs keep their numbers, the others follow. */
static void order_files(FileSource *f) {
    char name[32];
    int most = f->file_count;
    for (int i = 0; kept_file(f, i, name); i++) most++;
    char **ordered = arena_new_array(f->reader.arena, char *, most);
    int count = 0;
    for (const char *kept; (kept = kept_file(f, count, name));)
        ordered[count++] = arena_text(f->reader.arena, str_from(kept));
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

/* Rows of views are known by partition and position, so a file keeps its number for ever, gone or
 * not; what is new follows by name. */
static Status number_files(FileSource *f, Error *error) {
    SourceContext *context = &f->reader.context;
    bool alone = f->file_count == 1 && strcmp(f->files[0], f->path) == 0;
    const char *kept = context->get && !alone ? context->get(context->home, "files") : NULL;
    if (!context->get || alone) return OK;
    int most = f->file_count, count = 0;
    for (const char *c = kept; c && *c; c++) most += *c == '\n';
    char **ordered = arena_new_array(f->reader.arena, char *, most);
    bool *known = arena_new_array(f->reader.arena, bool, f->file_count);
    f->gone = arena_new_array(f->reader.arena, bool, most);
    while (kept && *kept) {
        char *name = take_line(&kept, f->reader.arena);
        char **found =
            bsearch(&name, f->files, (size_t)f->file_count, sizeof *f->files, by_name);
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

static Status next_in_order(FileSource *f, Part *part, Chunk **out, Error *error) {
    for (;;) {
        if (part->index >= f->kept_count) {
            char name[32];
            (void)kept_file(f, part->index, name);
            if (f->reader.context.set &&
                f->reader.context.set(f->reader.context.home, name, part->path, error) != OK)
                return FAIL;
            f->kept_count = part->index + 1;
        }
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
    }
    free(f->parts);
    arena_free(&f->reader.arena);
    pool_leave(f->reader.pool);
    free(f);
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    FileSource *f = xcalloc(1, sizeof *f);
    f->source = (Source){.type = &file_source, .bounded = true};
    f->reader.context = *context;
    f->path = option_text(context->options, "path", "");
    f->one_partition = option_find(context->options, "order") != NULL;
    f->reader.delimiter = *option_text(context->options, "delimiter", ",");
    f->reader.csv_header =
        context->format == &csv_format && option_bool(context->options, "header", true);
    f->reader.arena = arena_new();
    f->reader.pool = pool_new(context->chunk_bytes > 4096 ? context->chunk_bytes : 4096);
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
    f->parts = xcalloc((size_t)f->part_count, sizeof *f->parts);
    for (int i = 0; i < f->part_count; i++)
        f->parts[i] =
            (Part){.partition = i,
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
    return f->one_partition ? next_in_order(f, part, out, error)
                            : part_next(&f->reader, part, out, error);
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
