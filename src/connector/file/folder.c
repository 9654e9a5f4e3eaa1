/* A folder as a sink: each epoch becomes one file, which appears whole. By outbox, with a marker
 * beside the files, since who reads such a folder may take its files away and their names can prove
 * nothing:
 *
 *   1. the epoch's rows go to `.epoch-N.tmp`, on disk
 *   2. the marker `.leat` says home, sink, generation and N, on disk
 *   3. the file is renamed to `epoch-N.ndjson` (or .csv)
 *
 * A crash before 2 leaves a file that the next start removes; one between 2 and 3 is made good by
 * renaming what still stands there; after 3 there is nothing to do. So no epoch comes twice, and
 * none is left out. */
#include "base/fault.h"
#include "connector/file/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct FolderSink {
    Sink sink;
    Env *env;
    const char *table, *path;
    char *home_id;
    int64_t generation;
    Lines lines;
    int folder;                       /* its descriptor */
    int64_t epoch, marker_generation; /* as the marker says */
    bool read;                        /* the marker was read in this run */
} FolderSink;

static const SinkType folder_sink;

static Status failed(const FolderSink *f, const char *what, const char *name, Error *error) {
    bool passing = errno == ENOSPC || errno == EDQUOT || errno == EIO;
    const char *why = strerror(errno);
    if (passing) { /* who tries again names the sink */
        (void)fail(error, "cannot %s '%s%s': %s%s", what, f->path, name, why,
                   errno == EIO ? "" : "; make room");
        return AGAIN;
    }
    return fail(error, "sink %s: cannot %s '%s%s': %s%s", f->table, what, f->path, name, why,
                file_remedy(errno, true));
}

/* ---- names ---- */

static const char *extension(const FolderSink *f) { return f->lines.csv ? "csv" : "ndjson"; }

static void file_name(const FolderSink *f, int64_t epoch, char name[64]) {
    snprintf(name, 64, "epoch-%012" PRId64 ".%s", epoch, extension(f));
}
static void temporary_name(int64_t epoch, char name[64]) {
    snprintf(name, 64, ".epoch-%012" PRId64 ".tmp", epoch);
}

/* "epoch-" and digits; what follows the digits must be one of the endings. */
static bool is_named(const char *name, const char *before, const char *const *endings) {
    size_t size = strlen(before);
    if (strncmp(name, before, size) != 0) return false;
    size_t digits = strspn(name + size, "0123456789");
    if (digits < 12) return false;
    for (; *endings; endings++)
        if (strcmp(name + size + digits, *endings) == 0) return true;
    return false;
}
static bool is_finished(const char *name) {
    return is_named(name, "epoch-", (const char *const[]){".ndjson", ".csv", NULL});
}
static bool is_temporary(const char *name) {
    return is_named(name, ".epoch-", (const char *const[]){".tmp", NULL});
}

/* ---- files ---- */

static Status write_whole(FolderSink *f, const char *name, Str first, Str second, Error *error) {
    int fd = openat(f->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return failed(f, "make", name, error);
    Status status = OK;
    const Str parts[] = {first, second};
    for (int i = 0; i < 2 && status == OK; i++)
        for (size_t at = 0; at < parts[i].size && status == OK;) {
            ssize_t size = write(fd, parts[i].data + at, parts[i].size - at);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) status = failed(f, "write", name, error);
            else at += (size_t)size;
        }
    if (status == OK && fsync(fd) != 0) status = failed(f, "sync", name, error);
    if (close(fd) != 0 && status == OK) status = failed(f, "write", name, error);
    return status;
}

static Status sync_folder(FolderSink *f, Error *error) {
    return fsync(f->folder) == 0 || errno == EINVAL ? OK : failed(f, "sync", "", error);
}

static Status write_marker(FolderSink *f, int64_t epoch, Error *error) {
    char text[512];
    int size =
        snprintf(text, sizeof text,
                 "leat sink 1\nhome %s\nsink %s\ngeneration %" PRId64 "\nepoch %" PRId64 "\n",
                 f->home_id, f->table, f->generation, epoch);
    Status status = write_whole(f, ".leat.tmp", (Str){text, (size_t)size}, (Str){0}, error);
    if (status != OK) return status;
    if (renameat(f->folder, ".leat.tmp", f->folder, ".leat") != 0)
        return failed(f, "rename", ".leat.tmp", error);
    return sync_folder(f, error);
}

static Status other_home(const FolderSink *f, Error *error) {
    return fail(error,
                "sink %s: the folder '%s' holds files that this pipeline did not write; move them "
                "away, or say overwrite = true",
                f->table, f->path);
}

/* END: there is none. REJECT: it is another home's or sink's. */
static Status read_marker(FolderSink *f, Error *error) {
    char text[512], home[64] = "", sink[256] = "";
    int fd = openat(f->folder, ".leat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? END : failed(f, "read", ".leat", error);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size < 0) return failed(f, "read", ".leat", error);
    text[size] = 0;
    if (sscanf(text,
               "leat sink 1\nhome %63[^\n]\nsink %255[^\n]\ngeneration %" SCNd64 "\nepoch %" SCNd64,
               home, sink, &f->marker_generation, &f->epoch) != 4)
        return fail(error,
                    "sink %s: the marker '%s.leat' is damaged: what was delivered cannot be told; "
                    "move the folder away, and leat run --fresh starts over",
                    f->table, f->path);
    return strcmp(home, f->home_id) == 0 && strcmp(sink, f->table) == 0 ? OK : REJECT;
}

/* Calls `each` with the names in the folder. */
static Status each_name(FolderSink *f, Status (*each)(FolderSink *, const char *, void *, Error *),
                        void *context, Error *error) {
    int fd = dup(f->folder);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return failed(f, "read", "", error);
    }
    rewinddir(folder);
    Status status = OK;
    for (struct dirent *entry; status == OK && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = each(f, entry->d_name, context, error);
    closedir(folder);
    return status;
}

static Status remove_file(FolderSink *f, const char *name, Error *error) {
    return unlinkat(f->folder, name, 0) == 0 || errno == ENOENT ? OK
                                                                : failed(f, "remove", name, error);
}

static Status look(FolderSink *f, const char *name, void *context, Error *error) {
    (void)f, (void)error;
    if (name[0] != '.') *(bool *)context = true;
    return OK;
}
static Status remove_ours(FolderSink *f, const char *name, void *context, Error *error) {
    (void)context;
    return is_finished(name) || is_temporary(name) ? remove_file(f, name, error) : OK;
}
static Status remove_temporary(FolderSink *f, const char *name, void *context, Error *error) {
    (void)context;
    return is_temporary(name) ? remove_file(f, name, error) : OK;
}

/* ---- the verbs ---- */

/* The first start of this home: the folder is empty, or may be emptied of a sink's files. */
static Status claim(FolderSink *f, bool overwrite, bool marked, Error *error) {
    bool others = marked;
    Status status = each_name(f, look, &others, error);
    if (status == OK && others && !overwrite) return other_home(f, error);
    if (status == OK) status = each_name(f, remove_ours, NULL, error);
    return status == OK ? write_marker(f, 0, error) : status;
}

static void close_sink(Sink *sink) {
    FolderSink *f = (FolderSink *)(void *)sink;
    if (f->folder >= 0) close(f->folder);
    free(f->home_id);
    free(f);
}

Status folder_sink_open(const SinkContext *context, Sink **out, Error *error) {
    if (!*context->home_id)
        return fail(error, "table %s: a folder gets a file an epoch; name a file", context->table);
    FolderSink *f = xcalloc(1, sizeof *f);
    f->sink = (Sink){.type = &folder_sink, .way = SINK_BY_OUTBOX};
    f->env = context->env;
    f->table = context->table;
    f->path = option_text(context->options, "path", "");
    f->home_id = xstrdup(context->home_id);
    f->generation = context->generation;
    f->lines = lines_of(context);
    Status status = OK;
    if (mkdir(f->path, 0777) == 0) {
        if (sync_parent(f->path) != OK) status = failed(f, "sync the folder of", "", error);
    } else if (errno != EEXIST) {
        status = failed(f, "make", "", error);
    }
    f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (status == OK && f->folder < 0) status = failed(f, "open", "", error);
    if (status == OK) status = read_marker(f, error);
    if (status == END || status == REJECT)
        status =
            claim(f, option_bool(context->options, "overwrite", false), status == REJECT, error);
    if (status != OK) {
        close_sink(&f->sink);
        return FAIL;
    }
    *out = &f->sink;
    return OK;
}

/* What the marker says was delivered stands there under its name, now at the latest. */
static Status finish(FolderSink *f, int64_t epoch, Error *error) {
    char from[64], to[64];
    temporary_name(epoch, from);
    file_name(f, epoch, to);
    if (renameat(f->folder, from, f->folder, to) != 0)
        return errno == ENOENT ? OK : failed(f, "rename", from, error);
    fault_at(f->env, "folder.named");
    return sync_folder(f, error);
}

static Status marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    FolderSink *f = (FolderSink *)(void *)sink;
    Status status = read_marker(f, error);
    if (status == END || status == REJECT) return other_home(f, error);
    if (status == OK) status = finish(f, f->epoch, error);
    if (status == OK) status = each_name(f, remove_temporary, NULL, error);
    f->read = status == OK;
    *epoch = f->epoch;
    *generation = f->marker_generation;
    return status;
}

static Status deliver(Sink *sink, int64_t epoch, Str blob, Error *error) {
    FolderSink *f = (FolderSink *)(void *)sink;
    int64_t generation;
    Status status = f->read ? OK : marker(sink, &f->epoch, &generation, error);
    if (status != OK) return status;
    if (f->marker_generation > f->generation)
        return fail(error,
                    "sink %s: a later run of this home writes to '%s'; one of the two is a "
                    "copy: end it",
                    f->table, f->path);
    if (f->epoch >= epoch) return OK;
    char name[64];
    Buffer header = {0};
    temporary_name(epoch, name);
    lines_header(&f->lines, &header);
    status = write_whole(f, name, buffer_str(&header), blob, error);
    buffer_free(&header);
    if (status == OK) status = sync_folder(f, error);
    if (status == OK) fault_at(f->env, "folder.written");
    if (status == OK) status = write_marker(f, epoch, error);
    if (status == OK) fault_at(f->env, "folder.marked");
    if (status == OK) {
        f->epoch = epoch;
        f->marker_generation = f->generation;
        status = finish(f, epoch, error);
    }
    f->read = status == OK; /* else the marker tells how far it came */
    return status;
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    lines_add(&((FolderSink *)(void *)sink)->lines, batch, out);
}

static const SinkType folder_sink = {.open = folder_sink_open,
                                     .encode = encode,
                                     .marker = marker,
                                     .deliver = deliver,
                                     .close = close_sink};
