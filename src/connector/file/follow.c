/* Files that grow, as a source that never ends. Each file is a partition, in a lane of its own;
 * when a file is over (deleted or renamed away, read to its end, and the home knows) another file
 * may take its lane, at positions behind the old ones, so that rows stay known by partition and
 * position and neither memory nor home grows with the number of files that ever came.
 *
 * A file is read through a descriptor, so it can be renamed or deleted while it is read. At most
 * OPEN_FILES_MOST stay open; these are looked at ten times a second, the others when the path is
 * listed. */
#include "connector/file/follow.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static Follow *follow_of(Source *source) { return (Follow *)(void *)source; }

/* ---- lanes ---- */

static void free_texts(Lane *lane) {
    free(lane->name);
    free(lane->path);
    free((char *)(uintptr_t)lane->part.header.data);
    buffer_free(&lane->part.carry);
    free(lane->part.scan);
}

/* A lane whose file is over, everything of it committed; NULL: there is none. */
static Lane *resting_lane(Follow *f) {
    while (f->rest_begin < f->rest_count) {
        Lane *lane = f->lanes[f->rest[f->rest_begin]];
        if (lane->resting && atomic_load(&lane->committed) < lane->handed) return NULL;
        f->rest_begin++;
        if (lane->resting) return lane;
    }
    f->rest_begin = f->rest_count = 0;
    return NULL;
}

Lane *lane_new(Follow *f, Error *error) {
    Lane *lane = resting_lane(f);
    if (!lane && f->count == LANES_MOST) {
        (void)fail(error,
                   "source %s: more than %d files stand at '%s', the most that can be followed; "
                   "delete or move away those that were read",
                   f->reader.context.table, LANES_MOST, f->path);
        return NULL;
    }
    int number = lane ? lane->part.partition : f->count;
    int64_t base = 0;
    if (lane) {
        index_remove(f, number);
        base = lane->part.base + part_at(&lane->part);
        free_texts(lane);
        lane->pending = lane->lost = lane->away = lane->deleted = lane->over = lane->resting =
            false;
        lane->unread = lane->forbidden = false;
        lane->anew = true;
        lane->handed = base;
    } else {
        lane = f->lanes[f->count++] = xcalloc(1, sizeof *lane);
    }
    lane->part = (Part){.partition = number, .fd = -1, .base = base, .follow = true};
    lane->first_base = base;
    lane->size = -1;
    lane->print_bytes = 0;
    return lane;
}

static void lane_close(Follow *f, Lane *lane) {
    if (lane->part.fd < 0) return;
    lane->part.position = part_at(&lane->part);
    lane->part.skip_to = 0;
    lane->part.long_bytes = 0;
    part_close(&lane->part);
    buffer_free(&lane->part.carry);
    for (int i = 0; i < f->open_count; i++)
        if (f->open[i] == lane->part.partition) f->open[i--] = f->open[--f->open_count];
}

void lane_over(Follow *f, Lane *lane) {
    const char *table = f->reader.context.table;
    int64_t unread = lane->size - part_at(&lane->part);
    if (lane->unread)
        log_info(
            "source %s: '%s' is gone; what was written to it since the run before was not read",
            table, lane->name);
    else if (lane->size < 0)
        log_warning("source %s: '%s' is gone before it was read", table, lane->name);
    else if (unread > 0 && !lane->part.ending)
        log_warning("source %s: '%s' is gone; its last %" PRId64 " bytes are no whole record",
                    table, lane->name, unread);
    lane_close(f, lane);
    lane->over = true;
    lane->pending = lane->lost = lane->unread = false;
}

/* The engine knows that it ended: the lane may be given to another file. */
static void rest(Follow *f, Lane *lane) {
    if (lane->resting) return;
    lane->resting = true;
    if (f->rest_count == f->rest_capacity) {
        if (f->rest_begin) {
            memmove(f->rest, f->rest + f->rest_begin,
                    (size_t)(f->rest_count - f->rest_begin) * sizeof *f->rest);
            f->rest_count -= f->rest_begin;
            f->rest_begin = 0;
        } else {
            f->rest_capacity = f->rest_capacity ? 2 * f->rest_capacity : 64;
            f->rest = xrealloc(f->rest, (size_t)f->rest_capacity * sizeof *f->rest);
        }
    }
    f->rest[f->rest_count++] = lane->part.partition;
}

/* ---- descriptors ---- */

/* Closes the open file that has been quiet for longest, one that can be opened again if possible.
 */
static void make_room(Follow *f) {
    Lane *quiet = NULL;
    for (int i = 0; i < f->open_count; i++) {
        Lane *lane = f->lanes[f->open[i]];
        if (f->open_count < 2 * OPEN_FILES_MOST && (lane->away || lane->part.long_bytes)) continue;
        if (!quiet || (quiet->pending && !lane->pending) ||
            (quiet->pending == lane->pending && lane->changed_us < quiet->changed_us))
            quiet = lane;
    }
    if (quiet) lane_close(f, quiet);
}

static int64_t read_to(const Lane *lane) {
    off_t at = lseek(lane->part.fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (int64_t)at;
}

/* OK; AGAIN: it is not there, or may not be read. */
static Status open_lane(Follow *f, Lane *lane, Error *error) {
    if (lane->part.fd >= 0) return OK;
    if (f->open_count >= OPEN_FILES_MOST) make_room(f);
    struct stat st;
    int fd = open(lane->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT && errno != EACCES && errno != ENOTDIR && errno != EPERM)
        return fail(error, "source %s: cannot open '%s': %s", f->reader.context.table, lane->path,
                    strerror(errno));
    bool there = fd >= 0 || errno == EACCES || errno == EPERM;
    if (fd < 0 && there && !lane->forbidden)
        log_warning("source %s: cannot open '%s': %s; trying again", f->reader.context.table,
                    lane->path, strerror(errno));
    lane->forbidden = fd < 0 && there;
    bool same = fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == lane->id.inode &&
                st.st_dev == lane->id.device;
    if (!same) {
        if (fd >= 0) close(fd);
        lane->lost = true;
        lane->pending = false;
        return AGAIN;
    }
    lane->part.fd = fd;
    f->open[f->open_count++] = lane->part.partition;
    part_begin(&f->reader, &lane->part);
    return OK;
}

/* ---- reading ---- */

/* What stood in the file is no longer there: reads on from byte 0. */
static Status start_over(Follow *f, Lane *lane, const char *what, Error *error) {
    Part *part = &lane->part;
    log_warning("source %s: '%s' %s after it was read to byte %" PRId64
                "; reading it from its beginning",
                f->reader.context.table, lane->path, what, part_at(part));
    part->base += part_at(part);
    part->position = part->skip_to = 0;
    part->carry.size = 0;
    part->long_bytes = 0;
    if (lseek(part->fd, 0, SEEK_SET) < 0)
        return fail(error, "source %s: cannot read '%s': %s", f->reader.context.table, lane->path,
                    strerror(errno));
    part_begin(&f->reader, part);
    lane->print_bytes = 0;
    (void)file_print(part->fd, PRINT_MOST, true, &lane->print, &lane->print_bytes);
    kept_change(f, part->partition, true);
    return kept_write(f, error);
}

/* Whether it is still the file that was read, only longer. */
static Status look_at(Follow *f, Lane *lane, Error *error) {
    struct stat st;
    uint64_t print;
    int bytes;
    Part *part = &lane->part;
    if (fstat(part->fd, &st) != 0 ||
        !file_print(part->fd, lane->print_bytes, false, &print, &bytes))
        return fail(error, "source %s: cannot read '%s': %s", f->reader.context.table, lane->path,
                    strerror(errno));
    Status status = OK;
    if (st.st_size < part_at(part)) {
        status = start_over(f, lane, "was truncated", error);
    } else if (bytes < lane->print_bytes || (bytes && print != lane->print)) {
        if (part_at(part) > 0) status = start_over(f, lane, "was written anew", error);
        else lane->print_bytes = 0;
    }
    atomic_store(&lane->end, part->base + (int64_t)st.st_size);
    lane->written_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    return status;
}

/* Nothing more is in the file now. The beginning of a last line is forgotten: it is read again when
 * there is more, since it may have been taken back by then. */
static Status stand_at_end(Follow *f, Lane *lane, Error *error) {
    Part *part = &lane->part;
    lane->size = read_to(lane);
    lane->pending = false;
    if (lane->print_bytes < PRINT_MOST && part_at(part) > lane->print_bytes &&
        file_print(part->fd, part_at(part), false, &lane->print, &lane->print_bytes))
        kept_change(f, part->partition, false);
    if (!part->carry.size || part->long_bytes) return OK;
    buffer_free(&part->carry);
    if (lseek(part->fd, part->position, SEEK_SET) >= 0) return OK;
    return fail(error, "source %s: cannot read '%s': %s", f->reader.context.table, lane->path,
                strerror(errno));
}

static Status read_lane(Follow *f, Lane *lane, Chunk **out, bool *at_end, Error *error) {
    Status status = open_lane(f, lane, error);
    if (status == OK) status = look_at(f, lane, error);
    if (status != OK) return status;
    status = part_next(&f->reader, &lane->part, out, error);
    if (status == OK) {
        lane->handed = (*out)->end;
        bool all = lane->part.base + read_to(lane) >= atomic_load(&lane->end);
        if (all && !(*out)->records && !f->reader.context.chunk_rows && !lane->part.ending)
            return stand_at_end(f, lane, error);
    }
    if (status == AGAIN) {
        *at_end = true;
        return stand_at_end(f, lane, error) == OK ? AGAIN : FAIL;
    }
    if (status != END) return status;
    lane_over(f, lane);
    rest(f, lane);
    return END;
}

/* Files that are open, ten times a second; the path, now and then. */
static Status look_around(Follow *f, Error *error) {
    int64_t now = follow_now(f);
    if (now - f->polled_us >= POLL_US) {
        f->polled_us = now;
        for (int i = 0; i < f->open_count; i++) {
            Lane *lane = f->lanes[f->open[i]];
            struct stat st;
            if (lane->pending || fstat(lane->part.fd, &st) != 0 ||
                !lane_differs(lane, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec))
                continue;
            lane->pending = true;
            lane->changed_us = now;
        }
    }
    return follow_list(f, error);
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    Follow *f = follow_of(source);
    *at_end = false;
    if (partition <= f->last_asked) { /* a round is over */
        Status status = look_around(f, error);
        if (status == FAIL) return FAIL;
    }
    f->last_asked = partition;
    Lane *lane = f->lanes[partition];
    if (lane->over) {
        rest(f, lane);
        return END;
    }
    if (lane->pending) return read_lane(f, lane, out, at_end, error);
    *at_end = !lane->lost;
    return AGAIN;
}

/* ---- the source ---- */

static void close_source(Source *source) {
    Follow *f = follow_of(source);
    Error error;
    f->urgent |= f->slack;
    if (kept_write(f, &error) != OK) log_warning("%s", error.text);
    for (int i = 0; i < f->count; i++) {
        part_close(&f->lanes[i]->part);
        free_texts(f->lanes[i]);
        free(f->lanes[i]);
    }
    free(f->lanes);
    free(f->unkept);
    free(f->index);
    free(f->rest);
    pool_leave(f->reader.pool);
    free(f);
}

Status follow_open(const SourceContext *context, Source **out, Error *error) {
    Follow *f = xcalloc(1, sizeof *f);
    f->source = (Source){.type = &follow_source, .bounded = false, .wait_us = POLL_US};
    f->reader =
        (FileReader){.context = *context,
                     .delimiter = *option_text(context->options, "delimiter", ","),
                     .csv_header = context->format == &csv_format &&
                                   option_bool(context->options, "header", true),
                     .pool = pool_new(context->chunk_bytes > 4096 ? context->chunk_bytes : 4096)};
    f->reader.arrays = context->format == &json_array_format;
    f->path = option_text(context->options, "path", "");
    f->lanes = xcalloc(LANES_MOST, sizeof(Lane *));
    f->unkept = xcalloc(LANES_MOST, sizeof *f->unkept);
    f->polled_us = f->list_after_us = INT64_MIN / 2;
    if (kept_load(f, error) != OK) {
        close_source(&f->source);
        return FAIL;
    }
    *out = &f->source;
    return OK;
}

static Status partitions(Source *source, int *count, Error *error) {
    Follow *f = follow_of(source);
    f->source.news = false;
    Status status = follow_list(f, error);
    f->source.news = false;
    *count = f->count;
    return status;
}

static const char *partition_name(Source *source, int partition) {
    static _Thread_local char name[16];
    (void)source;
    snprintf(name, sizeof name, "%d", partition);
    return name;
}

static const char *partition_title(Source *source, int partition) {
    static _Thread_local char title[240];
    snprintf(title, sizeof title, "%s#%d", follow_of(source)->lanes[partition]->name, partition);
    return title;
}

static bool anew(Source *source, int partition) {
    Lane *lane = follow_of(source)->lanes[partition];
    bool yes = lane->anew;
    lane->anew = false;
    return yes;
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    (void)error;
    Follow *f = follow_of(source);
    Lane *lane = f->lanes[partition];
    Part *part = &lane->part;
    lane_close(f, lane);
    if (position == NO_POSITION) position = lane->first_base;
    lane->anew = lane->first_base > 0 && position <= lane->first_base;
    part->position = position > part->base ? position - part->base : 0;
    part->skip_to = 0;
    lane->handed = part->base + part->position;
    atomic_store(&lane->committed, lane->handed);
    return OK;
}

static void wait_for_growth(Source *source, int64_t timeout_us) {
    (void)source;
    (void)poll(NULL, 0, (int)(timeout_us / 1000));
}

static void committed(Source *source, int partition, int64_t position) {
    atomic_store(&follow_of(source)->lanes[partition]->committed, position);
}

static int64_t lag(Source *source, int partition, int64_t position) {
    int64_t left = atomic_load(&follow_of(source)->lanes[partition]->end) - position;
    return left > 0 ? left : 0;
}

const SourceType follow_source = {.bounded_possible = false,
                                  .open = follow_open,
                                  .partitions = partitions,
                                  .partition_name = partition_name,
                                  .partition_title = partition_title,
                                  .anew = anew,
                                  .seek = seek,
                                  .next = next,
                                  .wait = wait_for_growth,
                                  .committed = committed,
                                  .lag = lag,
                                  .close = close_source};
