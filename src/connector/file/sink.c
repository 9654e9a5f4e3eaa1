/* One file as a sink, delivered by length: rows are appended at once, synced when an epoch closes,
 * and the length that the home then knows is the file's truth; recovery cuts off what came later.
 * Standard output is written at once and cannot be cut, so there a crash may repeat rows. */
#include "connector/file/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READER_PATIENCE_MS = 5000 }; /* then it is told that nobody reads */

typedef struct FileSink {
    Sink sink;
    const char *table, *path;
    Lines lines;
    bool headed; /* standard output: the header is out */
    bool overwrite;
    bool pipe; /* standard output that is no file */
    int fd;
    int64_t length;
    size_t done; /* of the bytes that write() is called with until it says OK */
    _Atomic bool stopping;
} FileSink;

static FileSink *file_sink_of(Sink *sink) { return (FileSink *)(void *)sink; }

static Status failed(const FileSink *f, const char *what, Error *error) {
    return fail(error, "sink %s: cannot %s '%s': %s%s", f->table, what, f->path, strerror(errno),
                file_remedy(errno, true));
}

Lines lines_of(const SinkContext *context) {
    const Options *options = context->options;
    bool csv = strcmp(option_text(options, "format", "json"), "csv") == 0;
    return (Lines){.schema = context->schema,
                   .csv = csv,
                   .header = csv && option_bool(options, "header", true),
                   .delimiter = *option_text(options, "delimiter", ",")};
}

void lines_header(const Lines *lines, Buffer *out) {
    if (!lines->header) return;
    csv_header(lines->schema, lines->schema->count, lines->delimiter, out);
    buffer_add_char(out, '\n');
}

void lines_add(const Lines *lines, const Batch *batch, Buffer *out) {
    for (int row = 0; row < batch->rows; row++) {
        if (lines->csv) csv_row(lines->schema, batch, row, lines->delimiter, out);
        else json_row(lines->schema, batch, row, out);
        buffer_add_char(out, '\n');
    }
}

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    const char *path = option_text(context->options, "path", "");
    if (is_folder_path(path)) return folder_sink_open(context, out, error);
    FileSink *f = xcalloc(1, sizeof *f);
    f->table = context->table;
    f->path = path;
    f->overwrite = option_bool(context->options, "overwrite", false);
    f->lines = lines_of(context);
    f->fd = -1;
    f->sink = (Sink){.type = &file_sink,
                     .way = is_standard_stream(f->path) ? SINK_AT_ONCE : SINK_BY_LENGTH};
    if (f->sink.way == SINK_AT_ONCE) {
        struct stat st;
        f->fd = STDOUT_FILENO;
        f->pipe = fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode);
        signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write() */
    }
    *out = &f->sink;
    return OK;
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    lines_add(&file_sink_of(sink)->lines, batch, out);
}

static void encode_record(Sink *sink, Str record, Buffer *out) {
    (void)sink;
    buffer_add_str(out, record);
    buffer_add_char(out, '\n');
}

static Status check(Sink *sink, Error *error) {
    FileSink *f = file_sink_of(sink);
    struct stat st;
    if (stat(f->path, &st) != 0) return errno == ENOENT ? OK : failed(f, "look at", error);
    if (!S_ISREG(st.st_mode))
        return fail(
            error, "sink %s: '%s' is not an ordinary file; name another path%s", f->table, f->path,
            S_ISDIR(st.st_mode) ? ", or let it end in / to get one file an epoch there" : "");
    if (f->overwrite) return OK;
    return fail(error,
                "sink %s: '%s' exists already and was not written by this pipeline; move it away, "
                "or say overwrite = true",
                f->table, f->path);
}

Status sync_parent(const char *path) {
    char *copy = xstrdup(path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    bool fine = folder >= 0 && (fsync(folder) == 0 || errno == EINVAL);
    int code = errno;
    if (folder >= 0) close(folder);
    errno = code;
    return fine ? OK : FAIL;
}

/* A pipe takes 4096 bytes without blocking once poll says that it takes any. */
static Status wait_writable(FileSink *f) {
    for (int waited_ms = 0; waited_ms < READER_PATIENCE_MS; waited_ms += 100) {
        struct pollfd ready = {.fd = f->fd, .events = POLLOUT};
        if (atomic_load(&f->stopping)) break;
        if (poll(&ready, 1, 100) > 0) return OK;
    }
    return AGAIN;
}

/* AGAIN: no room now; f->done says how much of these bytes is out. */
static Status write_out(FileSink *f, Str bytes, Error *error) {
    while (f->done < bytes.size) {
        size_t left = bytes.size - f->done;
        if (f->pipe && wait_writable(f) != OK) {
            (void)fail(error, "standard output is not read");
            return AGAIN;
        }
        ssize_t size = write(f->fd, bytes.data + f->done, f->pipe && left > 4096 ? 4096 : left);
        if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (size < 0) {
            if (errno != ENOSPC && errno != EDQUOT) return failed(f, "write to", error);
            (void)fail(error, "cannot write to '%s': %s; make room", f->path, strerror(errno));
            return AGAIN;
        }
        f->done += (size_t)size;
        f->length += size;
    }
    f->done = 0;
    return OK;
}

/* A csv file begins with its columns' names. Until an epoch has told the home of a length, a file
 * is begun anew at each start, header included. */
static Status write_header(FileSink *f, Error *error) {
    Buffer header = {0};
    lines_header(&f->lines, &header);
    Status status = write_out(f, buffer_str(&header), error);
    buffer_free(&header);
    if (status == OK) f->headed = true;
    return status;
}

static Status write_bytes(Sink *sink, Str bytes, Error *error) {
    FileSink *f = file_sink_of(sink);
    Status status = f->headed || sink->way != SINK_AT_ONCE ? OK : write_header(f, error);
    return status == OK ? write_out(f, bytes, error) : status;
}

static Status recover(Sink *sink, bool known, int64_t length, Error *error) {
    FileSink *f = file_sink_of(sink);
    if (f->fd >= 0) close(f->fd);
    int make = length == 0 ? O_CREAT : 0; /* what was delivered does not come back by itself */
    f->fd = open(f->path, O_WRONLY | make | O_CLOEXEC | (known ? 0 : O_TRUNC), 0666);
    struct stat st;
    if (f->fd < 0 && errno == ENOENT && length)
        return fail(error,
                    "sink %s: '%s' is gone, but %" PRId64 " bytes were delivered to it; put it "
                    "back, or start over with leat run --fresh",
                    f->table, f->path, length);
    if (f->fd < 0 || fstat(f->fd, &st) != 0) return failed(f, "open", error);
    if (!S_ISREG(st.st_mode))
        return fail(error, "sink %s: '%s' is not an ordinary file; name another path", f->table,
                    f->path);
    if (st.st_size < length)
        return fail(error,
                    "sink %s: '%s' has %" PRId64 " bytes, but %" PRId64
                    " were delivered to it: it was cut or replaced; put it "
                    "back, or start over with leat run --fresh",
                    f->table, f->path, (int64_t)st.st_size, length);
    if (st.st_size > length && ftruncate(f->fd, length) != 0) return failed(f, "cut back", error);
    if (lseek(f->fd, length, SEEK_SET) < 0) return failed(f, "write to", error);
    f->length = length;
    if (length == 0 && write_header(f, error) != OK) return FAIL;
    return sync_parent(f->path) == OK ? OK : failed(f, "sync the folder of", error);
}

static Status sync_file(Sink *sink, int64_t *length, Error *error) {
    FileSink *f = file_sink_of(sink);
    *length = f->length;
    if (sink->way == SINK_AT_ONCE || fdatasync(f->fd) == 0) return OK;
    return failed(f, "sync", error);
}

static void stop(Sink *sink) { atomic_store(&file_sink_of(sink)->stopping, true); }

static void close_sink(Sink *sink) {
    FileSink *f = file_sink_of(sink);
    if (f->fd > STDERR_FILENO) close(f->fd);
    free(f);
}

const SinkType file_sink = {.open = open_sink,
                            .encode = encode,
                            .encode_record = encode_record,
                            .check = check,
                            .recover = recover,
                            .write = write_bytes,
                            .sync = sync_file,
                            .stop = stop,
                            .close = close_sink};
