/* What session.c and session_index.c share. */
#pragma once
#include "operator/row_keys.h"
#include "operator/times.h"

enum { PARTITIONS = 0, GROUPS = 1 }; /* buckets */

typedef struct SessionGroup {
    struct SessionGroup *next; /* of its session; made anew when read back */
    char *looks;
    char block[];
} SessionGroup;

typedef struct Span { /* a session */
    int64_t birth, first, last;
    SessionGroup *groups;
} Span;

typedef struct Partition {
    Span *spans; /* owned; in order of time */
    int count, capacity;
    int heap_at; /* its place in the heap, from 1 */
    int unused;
    int64_t due; /* in the heap: not after the end of its first session */
} Partition;

typedef struct Due {
    SessionGroup *group;
    int64_t first, last;
} Due;

typedef struct Sessions {
    Operator base;
    const SessionSpec *spec;
    bool shows;
    int *checked; /* columns that must not hold errors */
    int checked_count;
    int *others; /* key columns without the window */
    int other_count;
    RowKeys partition_keys, other_keys;
    char **blocks; /* of the rows of the batch */
    int pending;   /* rows before it are in their groups */
    Buffer scratch;
    Arena *arena;
    Due *due;
    int64_t taken_us;
    bool indexed;
    Partition **heap;
    int heap_count, heap_capacity;
    int64_t oldest_start, next_look; /* see oldest_session */
} Sessions;

/* Makes heap and lists after state was read back; cheap once done. FAIL: the state is damaged. */
CHECKED Status sessions_index(Sessions *, Error *);
/* The partition is due at `due`, or earlier if it was before. */
void heap_bring(Sessions *, Partition *, int64_t due);
/* Takes groups of sessions that end before `reached` into s->due, at most so many; their sessions
 * and partitions go when nothing is left of them. */
int take_due(Sessions *, int64_t reached, int most);
/* No session that will still be emitted starts before this. */
int64_t oldest_session(Sessions *, int64_t reached);
