/* Which files stand at a followed path, and which of them are known already. A file is known by
 * device, inode and, where the file system tells it, by the time of its birth, so a new file that
 * got the inode of a deleted one is not taken for it; where it does not tell, the first bytes
 * decide. The path is listed again and again rather than watched: that works on every file system,
 * and since a listing may take only a small share of the time, 10,000 quiet files cost next to
 * nothing. */
#include "base/hash.h"
#include "base/log.h"
#include "connector/file/follow.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* ---- knowing files ---- */

static bool file_statx(const char *path, struct statx *st) {
    return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, st) == 0;
}

static FileId file_id(const struct statx *st) {
    FileId id = {.device = makedev(st->stx_dev_major, st->stx_dev_minor), .inode = st->stx_ino};
    if (st->stx_mask & STATX_BTIME)
        id.birth_ns = st->stx_btime.tv_sec * INT64_C(1000000000) + st->stx_btime.tv_nsec;
    return id;
}

bool file_print(int fd, int64_t most, bool lines, uint64_t *print, int *bytes) {
    char first[PRINT_MOST];
    size_t wanted = most < PRINT_MOST ? (size_t)most : PRINT_MOST;
    ssize_t got = wanted ? pread(fd, first, wanted, 0) : 0;
    if (got < 0) return false;
    while (lines && got && first[got - 1] != '\n') got--;
    *bytes = (int)got;
    *print = hash_bytes((Str){first, (size_t)got});
    return true;
}

static bool same_file(const FileId *a, const FileId *b) {
    return a->inode == b->inode && a->device == b->device &&
           (!a->birth_ns || !b->birth_ns || a->birth_ns == b->birth_ns);
}

static int *bucket(const Follow *f, uint64_t inode) {
    uint64_t hash = inode * UINT64_C(0x9E3779B97F4A7C15);
    return &f->index[hash >> 32 & (uint64_t)(f->index_size - 1)];
}

void index_add(Follow *f, int number) {
    if (number >= f->index_size) {
        f->index_size = f->index_size ? 2 * f->index_size : 256;
        free(f->index);
        f->index = xcalloc((size_t)f->index_size, sizeof *f->index);
        for (int i = 0; i < number; i++) index_add(f, i);
    }
    Lane *lane = f->lanes[number];
    int *first = bucket(f, lane->id.inode);
    lane->next = *first;
    *first = number + 1;
}

void index_remove(Follow *f, int number) {
    int *at = bucket(f, f->lanes[number]->id.inode);
    while (*at && *at != number + 1) at = &f->lanes[*at - 1]->next;
    if (*at) *at = f->lanes[number]->next;
}

static Lane *find_lane(const Follow *f, const FileId *id) {
    Lane *other = NULL;
    for (int at = *bucket(f, id->inode); at; at = f->lanes[at - 1]->next) {
        Lane *lane = f->lanes[at - 1];
        if (lane->over && lane->deleted) continue; /* its inode is another's now */
        if (same_file(&lane->id, id)) return lane;
        /* After a start a disk may have another device number. */
        if (lane->unread && lane->id.inode == id->inode && id->birth_ns &&
            lane->id.birth_ns == id->birth_ns)
            other = lane;
    }
    return other;
}

/* ---- a listing ---- */

typedef struct Arrival {
    char *path;
    FileId id;
} Arrival;

typedef struct Listing {
    Follow *f;
    Arrival *items;
    int count, capacity;
    bool names; /* files that are known by their name's inode are not looked at */
    bool found; /* the path stands for something, if only an empty folder */
} Listing;

/* A file that was given up and stands at the path again goes on where it was left. */
static void revive(Follow *f, Lane *lane) {
    if (lane->resting) lane->anew = f->source.news = true;
    lane->over = lane->resting = lane->part.ending = lane->part.eof = false;
    lane->lost = true;
}

static void found(Follow *f, Lane *lane, const char *path, const struct statx *st) {
    if (lane->over) revive(f, lane);
    if (lane->listing == f->listing) return; /* it has two names */
    if (strcmp(lane->path, path) != 0) {
        free(lane->path);
        lane->path = xstrdup(path);
    }
    if (lane->id.device != file_id(st).device) kept_change(f, lane->part.partition, true);
    lane->id = file_id(st);
    lane->listing = f->listing;
    bool differs =
        lane_differs(lane, (int64_t)st->stx_size, st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec);
    if (differs || lane->lost || lane->unread) lane->pending = true;
    if (differs) lane->changed_us = follow_now(f);
    lane->lost = lane->unread = lane->away = lane->deleted = lane->part.ending = false;
    atomic_store(&lane->end, lane->part.base + (int64_t)st->stx_size);
}

static void met(Listing *l, const char *path) {
    Follow *f = l->f;
    struct statx st;
    if (!file_statx(path, &st) || !S_ISREG(st.stx_mode)) return;
    FileId id = file_id(&st);
    Lane *lane = f->index ? find_lane(f, &id) : NULL;
    if (lane) {
        found(f, lane, path, &st);
        return;
    }
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->items = xrealloc(l->items, (size_t)l->capacity * sizeof *l->items);
    }
    l->items[l->count++] = (Arrival){xstrdup(path), id};
}

/* A known file under its name. Whether it has grown, a whole listing tells. */
static bool met_name(Listing *l, const struct dirent *entry) {
    Follow *f = l->f;
    if (!l->names || !f->index) return false;
    for (int at = *bucket(f, entry->d_ino); at; at = f->lanes[at - 1]->next) {
        Lane *lane = f->lanes[at - 1];
        const char *slash = strrchr(lane->path, '/'), *name = slash ? slash + 1 : lane->path;
        if (lane->id.inode != entry->d_ino || lane->over || lane->away || lane->lost ||
            strcmp(name, entry->d_name) != 0)
            continue;
        lane->listing = f->listing;
        return true;
    }
    return false;
}

static Status list_folder(Listing *l, const char *path, Error *error) {
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT) return OK;
    if (!folder) {
        (void)fail(error, "cannot read the folder '%s': %s", path, strerror(errno));
        return AGAIN;
    }
    l->found = true;
    size_t size = strlen(path);
    Buffer name = {0};
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.' || met_name(l, entry)) continue;
        name.size = 0;
        buffer_add_format(&name, "%s%s%s", path, path[size - 1] == '/' ? "" : "/", entry->d_name);
        buffer_add_char(&name, 0);
        met(l, name.data);
    }
    buffer_free(&name);
    closedir(folder);
    return OK;
}

static Status list_path(Listing *l, Error *error) {
    const char *path = l->f->path;
    struct stat st;
    if (stat(path, &st) == 0) {
        l->found = true;
        if (S_ISDIR(st.st_mode)) return list_folder(l, path, error);
        if (!S_ISREG(st.st_mode))
            return fail(error,
                        "source %s: '%s' is not a regular file and cannot be followed; leave "
                        "follow out, a pipe is read until its writer closes it",
                        l->f->reader.context.table, path);
        met(l, path);
    } else if (strpbrk(path, "*?[")) {
        glob_t names;
        if (glob(path, GLOB_NOSORT, NULL, &names) != 0) return OK;
        for (size_t i = 0; i < names.gl_pathc; i++) met(l, names.gl_pathv[i]);
        l->found = names.gl_pathc > 0;
        globfree(&names);
    } else if (errno == EACCES) {
        (void)fail(error, "cannot read '%s': %s", path, strerror(errno));
        return AGAIN;
    }
    return OK;
}

/* ---- new files ---- */

static int by_path(const void *a, const void *b) {
    return strcmp(((const Arrival *)a)->path, ((const Arrival *)b)->path);
}

static Status admit(Follow *f, const Arrival *arrival, Error *error) {
    Lane *lane = lane_new(f, error);
    if (!lane) return FAIL;
    lane->name = xstrdup(arrival->path);
    lane->path = xstrdup(arrival->path);
    lane->part.path = lane->part.name = lane->name;
    lane->id = arrival->id;
    lane->size = -1;
    lane->pending = true;
    lane->listing = f->listing;
    lane->changed_us = follow_now(f);
    int fd = open(lane->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) (void)file_print(fd, PRINT_MOST, true, &lane->print, &lane->print_bytes);
    if (fd >= 0) close(fd);
    index_add(f, lane->part.partition);
    kept_change(f, lane->part.partition, true);
    f->source.news = true;
    return OK;
}

/* ---- files that are gone ---- */

static int by_inode(const void *a, const void *b) {
    const Lane *x = *(Lane *const *)a, *y = *(Lane *const *)b;
    return (x->id.inode > y->id.inode) - (x->id.inode < y->id.inode);
}

static bool in_folder(const Lane *lane, const char *folder, size_t size) {
    const char *slash = strrchr(lane->path, '/');
    return slash ? (size_t)(slash - lane->path) == size && memcmp(lane->path, folder, size) == 0
                 : size == 0;
}

/* Looks in one folder for files that were renamed there; `lanes` by inode. */
static void search_folder(Follow *f, const char *folder, size_t size, Lane **lanes, int count) {
    Buffer name = {0};
    buffer_add(&name, folder, size);
    buffer_add_text(&name, size ? "/" : "./");
    buffer_add_char(&name, 0);
    DIR *open = opendir(name.data);
    for (struct dirent *entry; open && (entry = readdir(open));) {
        Lane key = {.id.inode = entry->d_ino}, *key_at = &key;
        Lane **hit = bsearch(&key_at, lanes, (size_t)count, sizeof *lanes, by_inode);
        struct statx st;
        if (!hit) continue;
        name.size = size ? size + 1 : 0;
        buffer_add_text(&name, entry->d_name);
        buffer_add_char(&name, 0);
        if (!file_statx(name.data, &st)) continue;
        FileId id = file_id(&st);
        Lane *lane = find_lane(f, &id);
        if (!lane || !lane->lost || lane->over) continue;
        free(lane->path);
        lane->path = xstrdup(name.data);
        lane->id = id;
        lane->lost = lane->unread = false;
        lane->pending = true;
    }
    if (open) closedir(open);
    buffer_free(&name);
}

/* Which stand under another name beside the old one; the others are over. */
static void search(Follow *f, Lane **lanes, int count) {
    qsort(lanes, (size_t)count, sizeof *lanes, by_inode);
    for (int i = 0; i < count; i++) {
        if (!lanes[i]->lost || lanes[i]->over) continue;
        char *folder = xstrdup(lanes[i]->path);
        char *slash = strrchr(folder, '/');
        size_t size = slash ? (size_t)(slash - folder) : 0;
        search_folder(f, folder, size, lanes, count);
        for (int k = i; k < count; k++)
            if (lanes[k]->lost && !lanes[k]->over && in_folder(lanes[k], folder, size))
                lane_over(f, lanes[k]);
        free(folder);
    }
}

static bool has_growth(Lane *lane, int64_t now) {
    struct stat st;
    struct statx sx;
    bool differs = false;
    if (lane->part.fd >= 0) {
        lane->lost = fstat(lane->part.fd, &st) != 0;
        lane->deleted = !lane->lost && st.st_nlink == 0;
        differs =
            !lane->lost && lane_differs(lane, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    } else {
        FileId id = {0};
        lane->lost = !file_statx(lane->path, &sx);
        if (!lane->lost) id = file_id(&sx);
        lane->lost = !same_file(&lane->id, &id);
        differs = !lane->lost && lane_differs(lane, (int64_t)sx.stx_size, sx.stx_mtime.tv_sec,
                                              sx.stx_mtime.tv_nsec);
    }
    if (!differs) return false;
    lane->pending = true;
    lane->changed_us = now;
    return true;
}

/* Files that this listing has not met. */
static void settle_missing(Follow *f) {
    int64_t now = follow_now(f);
    Lane **lost = NULL;
    int lost_count = 0;
    for (int i = 0; i < f->count; i++) {
        Lane *lane = f->lanes[i];
        if (lane->over || lane->listing == f->listing) continue;
        /* A listing may miss a file that is renamed at that moment. */
        if (!lane->unread && !lane->lost && lane->listing == f->listing - 1) continue;
        if (!lane->away) {
            lane->away = lane->pending = true;
            lane->changed_us = now;
            if (lane->unread) lane->lost = true;
        }
        if (!lane->lost && !has_growth(lane, now) && !lane->pending && !lane->part.ending &&
            now - lane->changed_us > (lane->deleted ? GONE_SILENCE_US : AWAY_SILENCE_US))
            lane->part.ending = lane->pending = true;
        if (!lane->lost || lane->part.fd >= 0) continue;
        lost = xrealloc(lost, (size_t)(lost_count + 1) * sizeof(Lane *));
        lost[lost_count++] = lane;
    }
    if (lost_count) search(f, lost, lost_count);
    free(lost);
}

static void tell(Follow *f, const Listing *l) {
    const char *table = f->reader.context.table;
    if (!f->count && !f->told_waiting) {
        log_info(l->found ? "source %s: '%s' holds no file yet; waiting for one"
                          : "source %s: nothing stands at '%s' yet; waiting for it",
                 table, f->path);
        f->told_waiting = true;
    }
    if (f->count > LANES_WARN && !f->told_many) {
        log_warning("source %s: %d files stand at '%s', at most %d are possible; delete or move "
                    "away those that were read",
                    table, f->count, f->path, LANES_MOST);
        f->told_many = true;
    }
}

/* What the thread has worked, so that a busy machine does not make listings rare. */
static int64_t worked_us(void) {
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0
               ? t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000
               : 0;
}

static int64_t later(int64_t now, int64_t worked, int64_t share) {
    int64_t wait = worked * share;
    return now + (wait < LIST_US ? LIST_US : wait > LIST_SELDOM_US ? LIST_SELDOM_US : wait);
}

/* When the folder's names changed last; 0: too near to be told from a change that follows at once;
 * -1: the path is no folder. */
static int64_t folder_changed_ns(const Follow *f) {
    struct stat st;
    if (stat(f->path, &st) != 0 || !S_ISDIR(st.st_mode)) return -1;
    int64_t ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    Env *env = f->reader.context.env;
    return env->now_us(env) - ns / 1000 > LIST_US / 2 ? ns : 0;
}

static Status list(Follow *f, bool names, int64_t folder_ns, Error *error) {
    Listing l = {.f = f, .names = names};
    int64_t began = worked_us();
    f->listing++;
    Status status = list_path(&l, error);
    int64_t now = follow_now(f), worked = worked_us() - began;
    f->folder_ns = status == OK ? folder_ns : 0;
    f->names_after_us = later(now, worked, NAMES_SHARE);
    if (!names) f->list_after_us = later(now, worked, LIST_SHARE);
    if (status == OK && l.count) qsort(l.items, (size_t)l.count, sizeof *l.items, by_path);
    for (int i = 0; i < l.count && status == OK; i++)
        if (!f->index || !find_lane(f, &l.items[i].id)) /* it may have two names */
            status = admit(f, &l.items[i], error);
    for (int i = 0; i < l.count; i++) free(l.items[i].path);
    free(l.items);
    if (status == OK) settle_missing(f);
    if (status == OK) status = kept_write(f, error);
    if (status == OK) tell(f, &l);
    return status;
}

Status follow_list(Follow *f, Error *error) {
    int64_t now = follow_now(f);
    bool whole = now >= f->list_after_us;
    if (!whole && now < f->names_after_us) return OK;
    int64_t changed = folder_changed_ns(f);
    if (!whole && (changed < 0 || (changed && changed == f->folder_ns))) return OK;
    return list(f, !whole, changed, error);
}
