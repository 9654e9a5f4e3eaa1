/* Sinks by position: rows that are made of one source record alone leave at once, and each
 * transaction of the sink also holds how far its sources were read for it. So a restart asks the
 * far side where to go on, and nothing waits for an epoch.
 *
 * Three positions of a partition: the home's (what everything else has counted), the sink's outside
 * (what stands there), and what the home knows as acknowledged, which is never ahead of the sink's.
 * Reading begins at the least of home and acknowledged, without a question to the far side.
 *   Sink ahead of the home: records between the two are read again for all; their rows are dropped
 *   here, since they stand outside.
 *   Sink behind the home: records up to the home's position are read again for this sink alone
 *   (replay_batch); they were counted, moved time and were rejected before.
 * Until the far side has been asked, rows wait here, each with its position. */
#include "engine/internal.h"
#include <inttypes.h>
#include <stdio.h>

enum {
    TRANSACTION_BYTES = 1 << 20, /* goes out at once; less waits while another is under way */
    GATHER_US = 20000,           /* less waits so long for more */
};
/* Transactions are counted from here on, so that none is taken for an epoch of the outbox. */
static const int64_t FIRST_NUMBER = INT64_C(1) << 32;

/* A partition, for one sink. */
typedef struct Track {
    int64_t from;   /* rows of records before it stand outside */
    int64_t known;  /* what the home knew as acknowledged when this run began */
    int64_t handed; /* to the sink's thread */
    int64_t acked;  /* the far side has it */
    int64_t put;    /* the home knows */
    bool stale;     /* what stands outside is of an earlier time by position */
} Track;

typedef struct Feeding {
    SourceRun *run;
    Track *tracks;
    int count;
} Feeding;

/* A row of `pending` that may stand outside already. */
typedef struct Unsure {
    size_t at;
    int feeding, partition;
    int64_t position;
} Unsure;

struct Positions {
    Feeding *feedings;
    int feeding_count;
    SinkSource *sources;
    HomePosition *acked; /* in the home when the run began, by source and partition */
    int acked_count;
    bool known; /* the far side has been asked, and `from` is what it said */
    bool anew;  /* the last marker there is by outbox: no transaction by position came after it */
    Unsure *unsure;
    int unsure_count, unsure_capacity;
    int64_t since_us;  /* of the oldest pending row; 0: none */
    SinkPosition *far; /* what the far side said; its thread's until `told` */
    int far_count;
    int64_t number;                   /* of the last transaction; its thread's */
    int64_t put_number, heard_number; /* of the last that the home knows; that is in `acks` */
    /* under Engine.lock */
    bool told;
    Buffer acks; /* of SinkPosition */
    int64_t acked_number;
    int64_t items, done;
};

/* ---- opening ---- */

int home_position_order(const void *a, const void *b) {
    const HomePosition *x = a, *y = b;
    int order = strcmp(x->source, y->source);
    return order ? order : strcmp(x->partition, y->partition);
}

const HomePosition *home_position_find(const HomePosition *list, int count, const char *source,
                                       const char *partition) {
    HomePosition key = {.source = source, .partition = partition};
    return count ? bsearch(&key, list, (size_t)count, sizeof key, home_position_order) : NULL;
}

static bool feeds(const Engine *e, const SinkRun *run, const SourceRun *source) {
    return e->feeds[source->plan->node * e->plan->sink_count + run->index];
}

Status positions_open(SinkRun *run, SinkContext *context, Error *error) {
    Engine *e = run->engine;
    Positions *p = run->positions = xcalloc(1, sizeof *p);
    size_t sources = (size_t)e->plan->source_count;
    p->feedings = xcalloc(sources + 1, sizeof *p->feedings);
    p->sources = xcalloc(sources + 1, sizeof *p->sources);
    for (int s = 0; s < e->plan->source_count; s++) {
        SourceRun *source = &e->sources[s];
        if (!feeds(e, run, source)) continue;
        p->feedings[p->feeding_count] = (Feeding){.run = source};
        p->sources[p->feeding_count++] =
            (SinkSource){source->plan->table->name, &source->plan->table->options};
    }
    context->by_position = true;
    context->sources = p->sources;
    context->source_count = p->feeding_count;
    Status status =
        home_acked(e->home, run->plan->table->name, &p->acked, &p->acked_count, e->arena, error);
    if (status == OK && p->acked_count)
        qsort(p->acked, (size_t)p->acked_count, sizeof *p->acked, home_position_order);
    const HomePosition *number = home_position_find(p->acked, p->acked_count, "", "");
    p->number = p->put_number = p->heard_number = number ? number->position : FIRST_NUMBER;
    return status;
}

void positions_free(Positions **at) {
    Positions *p = *at;
    if (!p) return;
    for (int i = 0; i < p->feeding_count; i++) free(p->feedings[i].tracks);
    free(p->feedings);
    free(p->sources);
    free(p->unsure);
    free(p->far);
    buffer_free(&p->acks);
    free(p);
    *at = NULL;
}

/* Where a sink goes on by what the home knows; NO_POSITION: where the home stands. */
static int64_t acknowledged(const SinkRun *run, const char *source, const char *partition) {
    const Positions *p = run->positions;
    const HomePosition *found = home_position_find(p->acked, p->acked_count, source, partition);
    return found ? found->position : NO_POSITION;
}

int64_t positions_resume(const SourceRun *source, const Partition *partition) {
    const Engine *e = source->engine;
    int64_t least = partition->position;
    for (int i = 0; least != NO_POSITION && i < e->plan->sink_count && !e->options.collect; i++) {
        const SinkRun *run = &e->sinks[i];
        if (!run->positions || !feeds(e, run, source)) continue;
        int64_t acked = acknowledged(run, source->plan->table->name, partition->name);
        if (acked != NO_POSITION && acked < least) least = acked;
    }
    return least;
}

/* ---- the engine's side ---- */

static Feeding *feeding_of(Positions *p, int source) {
    for (int i = 0; i < p->feeding_count; i++)
        if (p->feedings[i].run->index == source) return &p->feedings[i];
    return NULL;
}

/* What the far side said, once it did. It must not be behind what it acknowledged. */
static void apply_far(SinkRun *run, Feeding *feeding, int partition) {
    Positions *p = run->positions;
    Track *t = &feeding->tracks[partition];
    int64_t far = NO_POSITION;
    for (int i = 0; i < p->far_count; i++)
        if (p->far[i].source == feeding - p->feedings && p->far[i].partition == partition)
            far = p->far[i].position;
    if (far != NO_POSITION && t->known != NO_POSITION && far < t->known) {
        Error error = {0};
        (void)fail(&error,
                   "sink %s went back: rows of source %s partition %s up to position %" PRId64
                   " were delivered, outside it stands at %" PRId64 "; those of positions %" PRId64
                   " to %" PRId64
                   " are lost there; restore it, or start over with leat run --fresh",
                   run->plan->table->name, feeding->run->plan->table->name,
                   feeding->run->partitions[partition]->name, t->known, far, far, t->known - 1);
        engine_fail(run->engine, &error);
    }
    if (far > t->from) t->from = far;
    t->handed = t->acked = t->from;
    t->stale = p->anew;
}

static Track *track_of(SinkRun *run, Feeding *feeding, int partition) {
    Positions *p = run->positions;
    for (; feeding->count <= partition; feeding->count++) {
        if (feeding->count % 64 == 0)
            feeding->tracks =
                xrealloc(feeding->tracks, sizeof(Track) * (size_t)(feeding->count + 64));
        const char *source = feeding->run->plan->table->name,
                   *name = feeding->run->partitions[feeding->count]->name;
        Track *t = &feeding->tracks[feeding->count];
        t->known = acknowledged(run, source, name);
        t->from = t->known;
        if (t->from == NO_POSITION) {
            const HomePosition *home = home_position_find(
                run->engine->positions, run->engine->position_count, source, name);
            if (home) t->from = home->position;
        }
        t->handed = t->acked = t->from;
        t->put = NO_POSITION;
        t->stale = false;
        if (p->known) apply_far(run, feeding, feeding->count);
    }
    return &feeding->tracks[partition];
}

/* Rows that waited, without those that stand outside. */
static void sort_out(SinkRun *run) {
    Positions *p = run->positions;
    Buffer rows = {0};
    for (int i = 0; i < p->unsure_count; i++) {
        const Unsure *u = &p->unsure[i];
        size_t end = i + 1 < p->unsure_count ? u[1].at : run->pending.size;
        if (u->position >= p->feedings[u->feeding].tracks[u->partition].from)
            buffer_add(&rows, run->pending.data + u->at, end - u->at);
    }
    buffer_free(&run->pending);
    run->pending = rows;
    free(p->unsure);
    p->unsure = NULL;
    p->unsure_count = p->unsure_capacity = 0;
}

/* What its thread has learned. */
static void listen(SinkRun *run) {
    Positions *p = run->positions;
    Buffer acks = {0};
    mutex_lock(&run->engine->lock);
    bool told = p->told;
    if (p->acks.size) {
        acks = p->acks;
        p->acks = (Buffer){0};
    }
    if (p->acked_number) p->heard_number = p->acked_number;
    mutex_unlock(&run->engine->lock);
    if (told && !p->known) {
        p->known = true;
        for (int f = 0; f < p->feeding_count; f++)
            for (int i = 0; i < p->feedings[f].count; i++) apply_far(run, &p->feedings[f], i);
        sort_out(run);
    }
    const SinkPosition *acked = (const SinkPosition *)(const void *)acks.data;
    for (size_t i = 0; i < acks.size / sizeof *acked; i++)
        p->feedings[acked[i].source].tracks[acked[i].partition].acked = acked[i].position;
    buffer_free(&acks);
}

/* Rows with their positions, until it is known which of them stand outside. */
static void push_unsure(SinkRun *run, const Feeding *feeding, const Batch *batch, int64_t from) {
    Positions *p = run->positions;
    for (int row = 0; row < batch->rows; row++) {
        if (batch->positions[row] < from) continue;
        if (p->unsure_count == p->unsure_capacity) {
            p->unsure_capacity = p->unsure_capacity ? p->unsure_capacity * 2 : 1024;
            p->unsure = xrealloc(p->unsure, sizeof *p->unsure * (size_t)p->unsure_capacity);
        }
        p->unsure[p->unsure_count++] = (Unsure){run->pending.size, (int)(feeding - p->feedings),
                                                batch->partition, batch->positions[row]};
        run->sink->type->encode_row(run->sink, batch, row, &run->pending);
    }
}

void positions_push(SinkRun *run, const Batch *batch) {
    Positions *p = run->positions;
    Feeding *feeding = feeding_of(p, batch->source);
    int64_t from = track_of(run, feeding, batch->partition)->from;
    if (!p->since_us) p->since_us = engine_now(run->engine);
    if (!p->known) {
        push_unsure(run, feeding, batch, from);
        return;
    }
    int standing = 0;
    while (standing < batch->rows && batch->positions[standing] < from) standing++;
    if (standing == batch->rows) return;
    if (standing) batch = batch_slice(batch, standing, batch->rows - standing, batch->arena);
    run->sink->type->encode(run->sink, batch, &run->pending);
}

/* Positions that moved since the last item, or are to be written anew; whether there are any. */
static bool gather(SinkRun *run, Buffer *moved) {
    Positions *p = run->positions;
    for (int f = 0; f < p->feeding_count; f++) {
        Feeding *feeding = &p->feedings[f];
        for (int i = 0; i < feeding->run->partition_count; i++) {
            const Track *t = track_of(run, feeding, i);
            int64_t reached = feeding->run->partitions[i]->reached;
            if (reached == NO_POSITION) continue;
            if (!t->stale && (reached <= t->handed || reached <= t->from)) continue;
            /* What the home knows as acknowledged is not taken back while it is read again. */
            SinkPosition at = {f, i, reached < t->from ? t->from : reached};
            buffer_add(moved, (const char *)&at, sizeof at);
        }
    }
    return moved->size > 0;
}

/* What is pending becomes one transaction, if the queue has room. */
static void hand_on(SinkRun *run) {
    Engine *e = run->engine;
    Positions *p = run->positions;
    Buffer moved = {0};
    if (gather(run, &moved) || run->pending.size) {
        size_t size = moved.size + run->pending.size;
        SinkItem *item = xmalloc(sizeof *item + size);
        mutex_lock(&e->lock);
        *item = (SinkItem){.epoch = e->committed_epoch, .size = size, .positions_size = moved.size};
        mutex_unlock(&e->lock);
        if (moved.size) memcpy(item->bytes, moved.data, moved.size);
        if (run->pending.size)
            memcpy(item->bytes + moved.size, run->pending.data, run->pending.size);
        if (queue_push(run->queue, item, size, 0) == OK) {
            const SinkPosition *at = (const SinkPosition *)(const void *)moved.data;
            for (size_t i = 0; i < moved.size / sizeof *at; i++) {
                Track *t = &p->feedings[at[i].source].tracks[at[i].partition];
                t->handed = at[i].position;
                t->stale = false;
            }
            run->pending.size = 0;
            p->since_us = 0;
            mutex_lock(&e->lock);
            p->items++;
            mutex_unlock(&e->lock);
        } else {
            free(item);
        }
    }
    buffer_free(&moved);
}

void positions_flush(SinkRun *run) {
    Positions *p = run->positions;
    listen(run);
    for (int f = 0; f < p->feeding_count; f++) {
        int count = p->feedings[f].run->partition_count;
        if (p->feedings[f].count < count) (void)track_of(run, &p->feedings[f], count - 1);
    }
    if (!p->known || !run->pending.size) return;
    bool large = run->pending.size >= TRANSACTION_BYTES;
    bool alone = queue_items(run->queue) == 0;
    bool waited = engine_now(run->engine) - p->since_us >= GATHER_US;
    if (large || (alone && waited)) hand_on(run);
}

/* The epoch closes: what the home is to know of its sinks by position. A sink that has nothing to
 * do takes positions alone, so that a restart need not read what gave no rows. */
void positions_close(SinkRun *run) {
    Engine *e = run->engine;
    Positions *p = run->positions;
    listen(run);
    if (p->heard_number != p->put_number)
        home_put_acked(e->batch, run->plan->table->name, "", "", p->heard_number);
    p->put_number = p->heard_number;
    if (p->known && queue_items(run->queue) == 0) hand_on(run);
    for (int f = 0; f < p->feeding_count; f++) {
        SourceRun *source = p->feedings[f].run;
        for (int i = 0; i < source->partition_count; i++) {
            const Partition *partition = source->partitions[i];
            Track *t = track_of(run, &p->feedings[f], i);
            /* Where the home has a position, it also has this one, or a restart would take the
             * home's, past what is not outside yet. */
            if (t->acked == NO_POSITION && partition->position != NO_POSITION)
                t->acked = partition->begun;
            if (t->acked == NO_POSITION || t->acked == t->put) continue;
            home_put_acked(e->batch, run->plan->table->name, source->plan->table->name,
                           partition->name, t->acked);
            t->put = t->acked;
        }
    }
}

bool positions_full(SinkRun *run) {
    Positions *p = run->positions;
    if (!p->known) return run->pending.size >= SINK_QUEUE_BYTES;
    return run->pending.size >= TRANSACTION_BYTES && queue_fill(run->queue) >= 0.9;
}

bool positions_paid(SinkRun *run) {
    const Positions *p = run->positions;
    return p->items == p->done && !run->pending.size;
}

/* ---- its thread ---- */

static Status ask_far(SinkRun *run, Error *error) {
    Engine *e = run->engine;
    Positions *p = run->positions;
    SinkMarker marker = {0};
    int64_t wait_us = 0;
    Status status;
    while ((status = run->sink->type->positions(run->sink, &marker, &p->far, &p->far_count,
                                                error)) == AGAIN) {
        sink_tell_state(run, error->text);
        sink_back_off(e, &wait_us);
        mutex_lock(&e->lock);
        bool over = e->closing;
        mutex_unlock(&e->lock);
        if (over) return AGAIN;
    }
    if (status != OK) return status;
    sink_tell_state(run, "");
    if (marker.epoch > e->first_epoch)
        return fail(error,
                    "sink %s: when it was written to last, the home stood at epoch %" PRId64
                    ", now it stands at %" PRId64
                    ": it is an old copy; put back the newest home, or start over with "
                    "leat run --fresh",
                    run->plan->table->name, marker.epoch, e->first_epoch);
    /* Without one the home's counts: what was refused in a transaction that perhaps was never
     * committed is replaced by what is refused when its rows leave again. */
    if (marker.number) p->number = marker.number;
    /* Served by outbox last, and by position before that: positions of that time mean nothing, and
     * the first transaction writes all of them anew. */
    p->anew = marker.generation && !marker.number;
    if (p->anew) p->far_count = 0;
    mutex_lock(&e->lock);
    p->acked_number = p->number; /* of what it says that it has */
    p->told = true;
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    return OK;
}

static Status deliver_item(SinkRun *run, const SinkItem *item, Error *error) {
    Engine *e = run->engine;
    Positions *p = run->positions;
    Delivery delivery = {
        .epoch = item->epoch,
        .number = p->number + 1,
        .rows = {item->bytes + item->positions_size, item->size - item->positions_size},
        .positions = (const SinkPosition *)(const void *)item->bytes,
        .position_count = (int)(item->positions_size / sizeof(SinkPosition))};
    Status status = sink_deliver(run, &delivery, error);
    if (status != OK) return status;
    p->number++;
    mutex_lock(&e->lock);
    buffer_add(&p->acks, item->bytes, item->positions_size);
    p->acked_number = p->number;
    p->done++;
    e->dirty = true;
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    atomic_store(&run->report->epoch, item->epoch);
    return OK;
}

void *sink_position_thread(void *context) {
    SinkRun *run = context;
    Engine *e = run->engine;
    Error error = {0};
    void *got;
    Status status = ask_far(run, &error);
    run->again = true;
    if (status == OK) status = sink_renew(run, &error);
    while (status == OK) {
        int64_t left = run->renew_at_us == INT64_MAX ? -1 : run->renew_at_us - engine_now(e);
        Status popped =
            queue_pop(run->queue, &got, run->renew_at_us != INT64_MAX && left < 0 ? 0 : left);
        if (popped == END) break;
        if (popped == AGAIN) {
            status = sink_renew(run, &error);
            continue;
        }
        status = deliver_item(run, got, &error);
        free(got);
    }
    if (status == FAIL) engine_fail(e, &error);
    return NULL;
}
