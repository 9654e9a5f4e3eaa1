/* What the files of a followed source share: follow.c reads, follow_list.c finds files and knows
 * them again, follow_kept.c keeps what the next start has to know. */
#pragma once
#include "connector/file/part.h"
#include <stdatomic.h>
#include <sys/stat.h>

enum {
    LANES_MOST = 65536,         /* files at once; the engine's limit of partitions */
    LANES_WARN = 49152,         /* from here on a warning says what to do */
    OPEN_FILES_MOST = 128,      /* descriptors; others are opened again when their file grows */
    PRINT_MOST = 256,           /* bytes of a file's beginning by which it is known again */
    POLL_US = 100000,           /* how often open files are looked at */
    LIST_US = 200000,           /* how often the path is listed, at most; */
    LIST_SHARE = 50,            /* and not more often than this many times as long as it takes; */
    LIST_SELDOM_US = 5000000,   /* but at least so often */
    NAMES_SHARE = 20,           /* the same of a look at names alone, if the folder has changed */
    GONE_SILENCE_US = 1000000,  /* a deleted file is over when nothing came for so long; */
    AWAY_SILENCE_US = 60000000, /* one that was renamed out of the path, for so long */
};

/* What a file is known by, whatever its name. */
typedef struct FileId {
    uint64_t device, inode;
    int64_t birth_ns; /* 0: the file system does not tell */
} FileId;

/* A partition: it carries one file, and when that is over, another. Positions only grow: `base` is
 * where the file's byte 0 stands. */
typedef struct Lane {
    Part part;
    FileId id;
    char *name;         /* where the file was found first: metadata('filename') */
    char *path;         /* where it stands now */
    int64_t first_base; /* `base` when the file was new; truncating raises base */
    uint64_t print;     /* hash of its first bytes, */
    int print_bytes;    /* so many */
    int64_t size;       /* read to there; -1: not looked at yet */
    int64_t written_ns; /* when the file was written last, as of then */
    int64_t handed;     /* position behind what was handed on */
    int64_t changed_us, listing;
    int next;                       /* in the index: the lane number + 1, 0: none */
    _Atomic int64_t committed, end; /* positions: known to the home; of the file's end */
    bool pending;                   /* there may be something to read */
    bool lost;                      /* not where it was: the next listing tells */
    bool away;                      /* no longer at the source's path */
    bool deleted;                   /* under no name at all */
    bool over;                      /* away, and read to its end */
    bool resting;                   /* in `rest`: another file may take its place */
    bool anew;                      /* another file has taken the place */
    bool unread;                    /* known from an earlier run and not found yet in this one */
    bool forbidden;                 /* may not be opened; told once */
} Lane;

typedef struct Follow {
    Source source;
    FileReader reader;
    const char *path;
    Lane **lanes; /* [LANES_MOST] */
    int count;
    int *index; /* by inode: lane number + 1; [index_size], a power of two */
    int index_size;
    int open[2 * OPEN_FILES_MOST], open_count;
    int *rest, rest_count, rest_capacity, rest_begin; /* over, first to last */
    bool *unkept;       /* [LANES_MOST / KEPT_LANES]: blocks of facts that changed */
    bool urgent, slack; /* to be kept before anything is read; when there is time */
    int64_t kept_us;
    int64_t listing, list_after_us, names_after_us, polled_us;
    int64_t folder_ns; /* when the folder had changed last, as of the last listing; 0: look again */
    int last_asked;
    bool told_waiting, told_many;
} Follow;

extern const SourceType follow_source;

static inline int64_t follow_now(const Follow *f) {
    return f->reader.context.env->monotonic_us(f->reader.context.env);
}

/* Whether a file looks otherwise than when its end was met. */
static inline bool lane_differs(const Lane *lane, int64_t size, int64_t seconds, int64_t ns) {
    return size != lane->size || seconds * INT64_C(1000000000) + ns != lane->written_ns;
}

/* ---- follow.c ---- */
/* As SourceType.open. */
CHECKED Status follow_open(const SourceContext *, Source **out, Error *);
void lane_over(Follow *, Lane *);
Lane *lane_new(Follow *, Error *); /* NULL: there are too many */

/* ---- follow_list.c ---- */
/* Lists the path if it is time to. */
CHECKED Status follow_list(Follow *, Error *);
/* The hash of a file's first bytes, at most `most` of them; `lines`: whole ones, which nobody takes
 * back, unlike the beginning of a last line. */
bool file_print(int fd, int64_t most, bool lines, uint64_t *print, int *bytes);
void index_add(Follow *, int lane);
void index_remove(Follow *, int lane);

/* ---- follow_kept.c ---- */
CHECKED Status kept_load(Follow *, Error *);
void kept_change(Follow *, int lane, bool urgent);
CHECKED Status kept_write(Follow *, Error *);
