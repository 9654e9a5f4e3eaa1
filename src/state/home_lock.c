/* FILE.lock: keeps a second process out, and remembers how far the home has come, so that an old
 * copy put back in its place, or one whose -wal file was lost, is noticed.
 *
 *   ID(32 hex) EPOCH(19 digits) SERIAL(19 digits) CHECK(16 hex)\n
 *
 * Homes of version 2 wrote the first two alone. It is written after each commit and not synced: it
 * may lag behind the home, never run ahead of it. */
#include "base/memory.h"
#include "base/thread.h"
#include "state/sqlite_home.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { OLD_SIZE = 32 + 1 + 19 + 1, SIZE = OLD_SIZE + 19 + 1 + 16 + 1 };

/* A process that was killed a moment ago may still be on its way out: two seconds of patience. */
static bool lock_file(int fd) {
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK || tries == 100) return false;
        thread_sleep(20000);
    }
    return true;
}

static void write_text(const HomeMemory *memory, char text[SIZE + 1]) {
    snprintf(text, SIZE + 1, "%.32s %019" PRId64 " %019" PRId64 " ", memory->id, memory->epoch,
             memory->serial);
    uint64_t sum = hash_bytes((Str){text, SIZE - 17});
    snprintf(text + SIZE - 17, 18, "%016" PRIx64 "\n", sum);
}

/* What would not be written this way was not written by us. */
static bool read_text(const char *text, size_t size, HomeMemory *memory) {
    char again[SIZE + 1];
    HomeMemory read = {.serial = 0};
    int count =
        sscanf(text, "%32[0-9a-f] %" SCNd64 " %" SCNd64, read.id, &read.epoch, &read.serial);
    if (count < 2 || strlen(read.id) != 32 || read.epoch < 0 || read.serial < 0) return false;
    write_text(&read, again);
    if (size == OLD_SIZE) again[OLD_SIZE - 1] = '\n';
    if ((size != OLD_SIZE && size != SIZE) || memcmp(text, again, size) != 0) return false;
    *memory = read;
    return true;
}

static Status read_file(int fd, const char *home, HomeMemory *memory, Error *error) {
    char text[SIZE + 2] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got == 0 || (got > 0 && read_text(text, (size_t)got, memory))) return OK;
    return fail(error,
                "home %s: its lock file is damaged, so nobody knows whether the home is the newest "
                "one; if it is, remove %s.lock",
                home, home);
}

/* Where the file itself stands if `path` is a link to it: there are SQLite's files, and one lock
 * for all of its names. */
char *home_real_path(const char *path) {
    char *real = xstrdup(path), target[PATH_MAX];
    for (int links = 0; links < 40; links++) {
        ssize_t size = readlink(real, target, sizeof target - 1);
        if (size <= 0) break;
        target[size] = 0;
        Buffer next = {0};
        const char *slash = strrchr(real, '/');
        if (*target != '/' && slash) buffer_add(&next, real, (size_t)(slash - real) + 1);
        buffer_add_text(&next, target);
        buffer_add_char(&next, 0);
        free(real);
        real = xstrdup(next.data);
        buffer_free(&next);
    }
    return real;
}

Status home_take_lock(Home *home, HomeMemory *memory, bool fresh, Error *error) {
    *memory = (HomeMemory){0};
    char *path = sqlite3_mprintf("%s.lock", home->path);
    home->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    Status status = OK;
    if (home->lock_fd < 0)
        status =
            fail(error, "home %s: cannot open its lock file: %s; %s", home->path, strerror(errno),
                 errno == ENOENT ? "make the folder, or SET home to another file"
                                 : "make the folder writable or SET home to another file");
    else if (!lock_file(home->lock_fd))
        status = fail(error,
                      "home %s is in use by another process; stop that one first, or SET home to "
                      "another file",
                      home->path);
    sqlite3_free(path);
    if (status != OK || fresh) return status;
    return read_file(home->lock_fd, home->path, memory, error);
}

Status home_read_lock(const char *path, HomeMemory *memory, Error *error) {
    *memory = (HomeMemory){0};
    char *real = home_real_path(path), *name = sqlite3_mprintf("%s.lock", real);
    free(real);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    sqlite3_free(name);
    if (fd < 0) return OK;
    Status status = read_file(fd, path, memory, error);
    close(fd);
    return status;
}

Status home_write_lock(Home *home, Error *error) {
    char text[SIZE + 1];
    HomeMemory memory = {.epoch = home->info.epoch, .serial = home->serial};
    memcpy(memory.id, home->info.id, sizeof memory.id);
    write_text(&memory, text);
    if (pwrite(home->lock_fd, text, SIZE, 0) != SIZE)
        return fail(error, "home %s: cannot write its lock file: %s", home->path, strerror(errno));
    return OK;
}
