/* Which sessions are over: a binary heap of partitions by the time at which the first of their
 * sessions may end. A session that grows does not move its partition; when the partition comes up,
 * it is put where it belongs by then. So a row costs no heap work unless it begins a session. */
#include "operator/session.h"
#include "base/hash.h"
#include <stdlib.h>

static void heap_set(Sessions *s, int at, Partition *p) {
    s->heap[at] = p;
    p->heap_at = at + 1;
}

static void heap_up(Sessions *s, int at) {
    Partition *p = s->heap[at];
    for (; at > 0 && s->heap[(at - 1) / 2]->due > p->due; at = (at - 1) / 2)
        heap_set(s, at, s->heap[(at - 1) / 2]);
    heap_set(s, at, p);
}

static void heap_down(Sessions *s, int at) {
    Partition *p = s->heap[at];
    for (int child; (child = 2 * at + 1) < s->heap_count; at = child) {
        if (child + 1 < s->heap_count && s->heap[child + 1]->due < s->heap[child]->due) child++;
        if (s->heap[child]->due >= p->due) break;
        heap_set(s, at, s->heap[child]);
    }
    heap_set(s, at, p);
}

void heap_bring(Sessions *s, Partition *p, int64_t due) {
    if (p->heap_at && p->due <= due) return;
    p->due = due;
    if (!p->heap_at) {
        if (s->heap_count == s->heap_capacity) {
            s->heap_capacity = s->heap_capacity ? s->heap_capacity * 2 : 64;
            s->heap = xrealloc(s->heap, sizeof *s->heap * (size_t)s->heap_capacity);
        }
        heap_set(s, s->heap_count++, p);
    }
    heap_up(s, p->heap_at - 1);
}

static void heap_pop(Sessions *s) {
    s->heap[0]->heap_at = 0;
    Partition *last = s->heap[--s->heap_count];
    if (s->heap_count == 0) return;
    heap_set(s, 0, last);
    heap_down(s, 0);
}

/* The end of the partition's first session. Sessions of a partition end in the order in which they
 * start. */
static int64_t first_end(const Sessions *s, const Partition *p) {
    return p->spans[0].last + s->spec->gap_us;
}

static CHECKED Status link_group(Sessions *s, SessionGroup *g) {
    Reader r = reader_of(value_key(g));
    Str key = read_sized(&r);
    int64_t birth = read_i64(&r);
    Bucket *partitions = state_bucket_find(s->base.state, PARTITIONS);
    Partition *p = r.bad || !partitions ? NULL : state_find(partitions, hash_bytes(key), key);
    for (int i = 0; p && i < p->count; i++) {
        if (p->spans[i].birth != birth) continue;
        g->next = p->spans[i].groups;
        p->spans[i].groups = g;
        return OK;
    }
    return FAIL;
}

Status sessions_index(Sessions *s, Error *error) {
    if (s->indexed) return OK;
    s->indexed = true;
    State *state = s->base.state;
    Bucket *partitions = state_bucket_find(state, PARTITIONS),
           *groups = state_bucket_find(state, GROUPS);
    size_t cursor = 0;
    for (Partition *p; partitions && (p = bucket_next(partitions, &cursor));)
        if (p->count) heap_bring(s, p, first_end(s, p));
    cursor = 0;
    for (SessionGroup *g; groups && (g = bucket_next(groups, &cursor));)
        if (link_group(s, g) != OK)
            return fail(error,
                        "%s: the state is damaged: a group without its session; restore the home "
                        "from a copy, or start over with --fresh",
                        s->base.name);
    return OK;
}

static void drop_first(Sessions *s, Partition *p) {
    memmove(p->spans, p->spans + 1, sizeof *p->spans * (size_t)(p->count - 1));
    p->count--;
    if (p->count) {
        state_touch(s->base.state, p);
        return;
    }
    heap_pop(s);
    state_forget(s->base.state, p);
}

int take_due(Sessions *s, int64_t reached, int most) {
    int count = 0;
    while (s->heap_count && count < most) {
        Partition *p = s->heap[0];
        int64_t end = first_end(s, p);
        if (p->due >= reached && reached != END_OF_TIME) break;
        if (end >= reached && reached != END_OF_TIME) { /* it has grown since */
            p->due = end;
            heap_down(s, 0);
            continue;
        }
        Span *span = &p->spans[0];
        while (span->groups && count < most) {
            s->due[count++] = (Due){span->groups, span->first, span->last};
            span->groups = span->groups->next;
        }
        if (!span->groups) drop_first(s, p);
    }
    return count;
}

/* Looking at all sessions is dear, so it is done once in a quarter of a gap; in between the answer
 * is the last one, which stays true: what comes is not older than the time that was reached then.
 */
int64_t oldest_session(Sessions *s, int64_t reached) {
    if (reached == NO_TIME || reached == END_OF_TIME) return reached;
    if (s->heap_count && reached < s->next_look) return s->oldest_start;
    int64_t oldest = reached;
    for (int i = 0; i < s->heap_count; i++)
        if (s->heap[i]->spans[0].first < oldest) oldest = s->heap[i]->spans[0].first;
    s->next_look = reached + s->spec->gap_us / 4;
    if (oldest > s->oldest_start) s->oldest_start = oldest;
    return s->oldest_start;
}
