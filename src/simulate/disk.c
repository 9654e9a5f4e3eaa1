/* The disk of the simulation, as a VFS of SQLite: files are bytes in memory, each with the bytes
 * that were there at its last sync. A crash of the machine draws for every sector that was written
 * since whether it is the old one, the new one or torn between them, and for the file whether it
 * is as long as it was; a file that was never synced may be gone, or another of its name be back
 * whose deletion was not synced. Writes and syncs fail by draw, and syncs take time, in which
 * others go on. One connection at a time is all that a home has, so locks are always free. */
#include "simulate/disk.h"
#include "base/memory.h"
#include "simulate/schedule.h"
#include "simulate/trace.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_FILES = 32, SECTOR = 512, MOST_REGIONS = 64 };

typedef struct DiskFile {
    char name[160];
    bool exists, synced_exists;
    bool apart; /* of those who were split off */
    Buffer data, synced;
    /* A file of this name was deleted, and the disk may not know it yet. */
    bool ghost_exists;
    Buffer ghost;
    char *shared[MOST_REGIONS]; /* the WAL's index */
    int region_bytes;
    bool kept_exists, kept_synced_exists, kept_ghost_exists;
    Buffer kept, kept_synced, kept_ghost;
} DiskFile;

typedef struct OpenFile {
    sqlite3_file base;
    DiskFile *file;
    bool temporary;
    Buffer own; /* of one without a name */
} OpenFile;

static DiskFile files[MOST_FILES];
static int file_count;
static Random draws;
static DiskFaults faults;
static int64_t failures;

DiskFaults *disk_faults(void) { return &faults; }
int64_t disk_failures(void) { return failures; }

static bool draw_failure(uint32_t of) {
    if (!of || faults.left <= 0 || !schedule_running()) return false;
    if (random_below(&draws, of) != 0) return false;
    faults.left--;
    failures++;
    return true;
}

static DiskFile *find(const char *name) {
    for (int i = 0; i < file_count; i++)
        if (!files[i].apart && strcmp(files[i].name, name) == 0) return &files[i];
    return NULL;
}

static Buffer *bytes_of(OpenFile *o) { return o->temporary ? &o->own : &o->file->data; }

static void resize(Buffer *b, size_t size) {
    if (size > b->size) {
        memset(buffer_reserve(b, size - b->size), 0, size - b->size);
    }
    b->size = size;
}

static void copy(Buffer *to, const Buffer *from) {
    to->size = 0;
    if (from->size) buffer_add(to, from->data, from->size);
}

static const char *short_name(const OpenFile *o) {
    const char *slash = o->temporary ? NULL : strrchr(o->file->name, '/');
    return o->temporary ? "temporary" : slash ? slash + 1 : o->file->name;
}

/* ---- files, as SQLite sees them ---- */

static int file_close(sqlite3_file *f) {
    OpenFile *o = (OpenFile *)f;
    buffer_free(&o->own);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *to, int size, sqlite3_int64 at) {
    const Buffer *b = bytes_of((OpenFile *)f);
    size_t there = (size_t)at < b->size ? b->size - (size_t)at : 0;
    size_t got = there < (size_t)size ? there : (size_t)size;
    if (got) memcpy(to, b->data + at, got);
    if (got == (size_t)size) return SQLITE_OK;
    memset((char *)to + got, 0, (size_t)size - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *from, int size, sqlite3_int64 at) {
    OpenFile *o = (OpenFile *)f;
    Buffer *b = bytes_of(o);
    if (draw_failure(faults.full_of)) {
        trace_line("disk: %s is full", short_name(o));
        return SQLITE_FULL;
    }
    bool fails = draw_failure(faults.write_fails_of);
    if (fails) size = size / 2; /* a part of it is there */
    if ((size_t)at + (size_t)size > b->size) resize(b, (size_t)at + (size_t)size);
    memcpy(b->data + at, from, (size_t)size);
    trace_number((uint64_t)at);
    trace_bytes((Str){from, (size_t)size});
    if (fails) trace_line("disk: a write to %s fails", short_name(o));
    return fails ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size) {
    resize(bytes_of((OpenFile *)f), (size_t)size);
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *f, int flags) {
    (void)flags;
    OpenFile *o = (OpenFile *)f;
    if (o->temporary) return SQLITE_OK;
    if (faults.slow_sync_us && schedule_running())
        thread_sleep((int64_t)random_below(&draws, (uint64_t)faults.slow_sync_us + 1));
    if (draw_failure(faults.sync_fails_of)) {
        trace_line("disk: a sync of %s fails", short_name(o));
        return SQLITE_IOERR_FSYNC;
    }
    copy(&o->file->synced, &o->file->data);
    for (int i = 0; i < file_count; i++) { /* their folder is synced too */
        if (files[i].apart != o->file->apart) continue;
        files[i].synced_exists = files[i].exists;
        files[i].ghost_exists = false;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size) {
    *size = (sqlite3_int64)bytes_of((OpenFile *)f)->size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int level) {
    (void)f, (void)level;
    return SQLITE_OK;
}
static int file_locked(sqlite3_file *f, int *out) {
    (void)f;
    *out = 0;
    return SQLITE_OK;
}
static int file_control(sqlite3_file *f, int what, void *argument) {
    (void)f, (void)what, (void)argument;
    return SQLITE_NOTFOUND;
}
static int file_sector(sqlite3_file *f) {
    (void)f;
    return 4096;
}
static int file_kind(sqlite3_file *f) {
    (void)f;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int shared_map(sqlite3_file *f, int region, int size, int extend, void volatile **out) {
    DiskFile *file = ((OpenFile *)f)->file;
    if (region >= MOST_REGIONS) return SQLITE_IOERR_SHMMAP;
    if (!file->shared[region] && extend) file->shared[region] = xcalloc(1, (size_t)size);
    file->region_bytes = size;
    *out = file->shared[region];
    return SQLITE_OK;
}
static int shared_lock(sqlite3_file *f, int at, int n, int flags) {
    (void)f, (void)at, (void)n, (void)flags;
    return SQLITE_OK;
}
static void shared_barrier(sqlite3_file *f) { (void)f; }

static void forget_shared(DiskFile *file) {
    for (int i = 0; i < MOST_REGIONS; i++) {
        free(file->shared[i]);
        file->shared[i] = NULL;
    }
}

static int shared_unmap(sqlite3_file *f, int remove) {
    if (remove) forget_shared(((OpenFile *)f)->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = file_close,
                                           .xRead = file_read,
                                           .xWrite = file_write,
                                           .xTruncate = file_truncate,
                                           .xSync = file_sync,
                                           .xFileSize = file_size,
                                           .xLock = file_lock,
                                           .xUnlock = file_lock,
                                           .xCheckReservedLock = file_locked,
                                           .xFileControl = file_control,
                                           .xSectorSize = file_sector,
                                           .xDeviceCharacteristics = file_kind,
                                           .xShmMap = shared_map,
                                           .xShmLock = shared_lock,
                                           .xShmBarrier = shared_barrier,
                                           .xShmUnmap = shared_unmap};

/* ---- the disk, as SQLite sees it ---- */

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out) {
    (void)vfs;
    OpenFile *o = (OpenFile *)f;
    *o = (OpenFile){0};
    if (!name) {
        o->temporary = true;
    } else if (!(o->file = find(name))) {
        if (!(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
        if (file_count == MOST_FILES || strlen(name) >= sizeof o->file->name)
            return SQLITE_CANTOPEN;
        o->file = &files[file_count++];
        snprintf(o->file->name, sizeof o->file->name, "%s", name);
    }
    if (o->file && !o->file->exists) {
        if (!(flags & SQLITE_OPEN_CREATE)) return SQLITE_CANTOPEN;
        o->file->exists = true;
        o->file->data.size = 0;
    }
    o->base.pMethods = &methods;
    if (out) *out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
    (void)vfs;
    DiskFile *file = find(name);
    if (!file || !file->exists) return SQLITE_IOERR_DELETE_NOENT;
    if (file->synced_exists && !sync) {
        file->ghost_exists = true;
        copy(&file->ghost, &file->synced);
    } else if (sync) {
        file->ghost_exists = false;
    }
    file->exists = file->synced_exists = false;
    file->data.size = file->synced.size = 0;
    return SQLITE_OK;
}

/* As on a real disk, where an empty file does not count. */
static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
    (void)vfs, (void)flags;
    const DiskFile *file = find(name);
    *out = file && file->exists && file->data.size > 0;
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int size, char *out) {
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out) {
    (void)vfs;
    for (int i = 0; i < size; i++) out[i] = (char)random_next(&draws);
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
    (void)vfs;
    if (schedule_running()) thread_sleep(us);
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *out) {
    (void)vfs;
    *out = 2458849.5 + (double)schedule_now_us() / 86400e6;
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int size, char *out) {
    (void)vfs, (void)size, (void)out;
    return 0;
}

void disk_open(uint64_t seed) {
    static sqlite3_vfs vfs = {.iVersion = 1,
                              .szOsFile = sizeof(OpenFile),
                              .mxPathname = 150,
                              .zName = "leat-simulated",
                              .xOpen = vfs_open,
                              .xDelete = vfs_delete,
                              .xAccess = vfs_access,
                              .xFullPathname = vfs_full_name,
                              .xRandomness = vfs_random,
                              .xSleep = vfs_sleep,
                              .xCurrentTime = vfs_time,
                              .xGetLastError = vfs_error};
    random_seed(&draws, seed);
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD); /* there is only one */
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) abort();
}

/* ---- the crash ---- */

static void tear(DiskFile *file, uint32_t lost_of_8) {
    Buffer *now = &file->data;
    const Buffer *was = &file->synced;
    size_t was_size = file->synced_exists ? was->size : 0;
    size_t size = now->size;
    if (size != was_size && random_below(&draws, 2) == 0) {
        size_t low = size < was_size ? size : was_size, high = size < was_size ? was_size : size;
        size = low + (size_t)random_below(&draws, high - low + 1);
    }
    size_t written = now->size;
    resize(now, size);
    for (size_t at = 0; at < size; at += SECTOR) {
        size_t part = size - at < SECTOR ? size - at : SECTOR;
        char old[SECTOR] = {0};
        size_t had = at < was_size ? was_size - at : 0;
        if (had) memcpy(old, was->data + at, had < part ? had : part);
        if (at < written && at + part <= was_size && memcmp(old, now->data + at, part) == 0)
            continue;
        uint64_t draw = random_below(&draws, 8);
        if (draw < lost_of_8) memcpy(now->data + at, old, part);
        else if (draw == 7 && lost_of_8) /* torn in the middle */
            memcpy(now->data + at, old, (size_t)random_below(&draws, part));
    }
}

void disk_crash(bool power) {
    uint32_t lost = (uint32_t)random_below(&draws, 9);
    for (int i = 0; i < file_count; i++) {
        DiskFile *file = &files[i];
        if (file->apart) continue;
        forget_shared(file);
        if (!power) continue;
        bool certain = file->synced_exists == file->exists && !file->ghost_exists;
        if (file->exists && (certain || random_below(&draws, 2) == 0)) {
            tear(file, lost);
        } else if (file->ghost_exists && random_below(&draws, 2) == 0) {
            file->exists = true;
            copy(&file->data, &file->ghost);
        } else {
            file->exists = false;
            file->data.size = 0;
        }
    }
    for (int i = 0; i < file_count; i++) {
        if (files[i].apart) continue;
        copy(&files[i].synced, &files[i].data);
        files[i].synced_exists = files[i].exists;
        files[i].ghost_exists = false;
    }
}

void disk_split(void) {
    int before = file_count;
    for (int i = 0; i < before; i++) {
        DiskFile *from = &files[i];
        if (from->apart) continue;
        if (file_count == MOST_FILES) abort();
        DiskFile *to = &files[file_count++];
        *to = (DiskFile){.exists = from->exists,
                         .synced_exists = from->synced_exists,
                         .ghost_exists = from->ghost_exists};
        memcpy(to->name, from->name, sizeof to->name);
        copy(&to->data, &from->data);
        copy(&to->synced, &from->synced);
        copy(&to->ghost, &from->ghost);
        from->apart = true;
    }
}

void disk_keep(void) {
    for (int i = 0; i < file_count; i++) {
        DiskFile *f = &files[i];
        if (f->apart) continue;
        forget_shared(f); /* nobody has it open: the next one reads the WAL itself */
        copy(&f->kept, &f->data);
        copy(&f->kept_synced, &f->synced);
        copy(&f->kept_ghost, &f->ghost);
        f->kept_exists = f->exists;
        f->kept_ghost_exists = f->ghost_exists;
        f->kept_synced_exists = f->synced_exists;
    }
}

void disk_put_back(void) {
    for (int i = 0; i < file_count; i++) {
        DiskFile *f = &files[i];
        if (f->apart) continue;
        forget_shared(f);
        copy(&f->data, &f->kept);
        copy(&f->synced, &f->kept_synced);
        copy(&f->ghost, &f->kept_ghost);
        f->exists = f->kept_exists;
        f->ghost_exists = f->kept_ghost_exists;
        f->synced_exists = f->kept_synced_exists;
    }
}

bool disk_query(const char *path, const char *sql, void (*row)(void *context, const char **columns),
                void *context, Error *error) {
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *columns[32];
        for (int i = 0; i < sqlite3_column_count(s) && i < 32; i++) {
            const unsigned char *text = sqlite3_column_text(s, i);
            columns[i] = text ? (const char *)text : "-";
        }
        row(context, columns);
        code = SQLITE_OK;
    }
    if (code != SQLITE_DONE) (void)fail(error, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close_v2(db);
    return code == SQLITE_DONE;
}
