/* The sinks of the simulation: files by length, and topics, by outbox, by position and at least
 * once. A topic's side is what a broker does; the connector's side does what connector/kafka does
 * with it, word for word: a producer fences those before it, then reads the marker; after any
 * trouble there is a new one; what stands there already is not sent again; a marker of another run
 * ends the one that finds it. */
#include "simulate/stores.h"
#include "simulate/disk.h"
#include "simulate/outside.h"
#include "simulate/plant.h"
#include "simulate/schedule.h"
#include "simulate/trace.h"
#include <inttypes.h>
#include <stdlib.h>

static const int64_t renew_us = INT64_C(86400) * 1000000;

typedef struct Writing {
    Sink sink;
    OutSink *of;
    int query;
    SinkContext context;
    int source_of[MOST_SOURCES]; /* of the scenario, by the context's index */
    uint64_t run;
    /* exactly once */
    int producer;
    bool begun;  /* the producer may begin transactions */
    bool unsure; /* something may stand outside that the marker does not say */
    bool absent, ours;
    int64_t marked_at_us;
    bool looked; /* the marker was read; as it stood then: */
    SinkMarker first;
    uint64_t first_run;
    SinkMarker marker, next;
    Buffer staged; /* sent, not committed */
    int64_t positions[MOST_SOURCES][MOST_PARTITIONS], next_positions[MOST_SOURCES][MOST_PARTITIONS];
} Writing;

static Writing *writing(Sink *sink) { return (Writing *)(void *)sink; }

SinkWay store_way(const Options *options) {
    const char *topic = option_text(options, "topic", "length");
    return strcmp(topic, "length") == 0 ? SINK_BY_LENGTH
           : strcmp(topic, "once") == 0 ? SINK_AT_ONCE
                                        : SINK_BY_OUTBOX;
}

bool store_keeps_positions(const Options *sink, const Options *source) {
    (void)source;
    return strcmp(option_text(sink, "topic", ""), "position") == 0;
}

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    (void)error;
    Writing *w = xcalloc(1, sizeof *w);
    SinkWay way = context->by_position ? SINK_BY_POSITION : store_way(context->options);
    w->sink = (Sink){.type = &store_type, .way = way};
    w->query = context->table[1] - '0';
    w->of = &outside.sinks[w->query];
    w->context = *context;
    for (int i = 0; i < context->source_count; i++)
        w->source_of[i] = context->sources[i].table[1] - '0';
    w->unsure = context->owed;
    context->env->random_bytes(context->env, &w->run, sizeof w->run);
    *out = &w->sink;
    return OK;
}

static void encode_row(Sink *sink, const Batch *batch, int row, Buffer *out) {
    if (batch->ops && batch->ops[row] == ROW_DELETE) buffer_add_char(out, '-');
    json_row(writing(sink)->context.schema, batch, row, out);
    buffer_add_char(out, '\n');
}
static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    for (int row = 0; row < batch->rows; row++) encode_row(sink, batch, row, out);
}

static Status away(const Writing *w, Error *error) {
    (void)fail(error, "sink %s is away", w->context.table);
    return AGAIN;
}

/* A request. False: it did not come through. */
static bool ask(void) {
    outside_wait(outside.round->slow_sink_us);
    return !outside_draw(outside.round->sink_away_of);
}

/* ---- files by length, at least once ---- */

static OutSink *file_of(const Writing *w) {
    bool copied = w->sink.way == SINK_BY_LENGTH && schedule_zombie();
    return copied ? &outside.lost[w->query] : w->of;
}

static Status check(Sink *sink, Error *error) {
    return writing(sink)->of->bytes.size ? fail(error, "it is there already") : OK;
}

static Status recover(Sink *sink, bool known, int64_t length, Error *error) {
    (void)known;
    OutSink *of = writing(sink)->of;
    if (of->bytes.size < (size_t)length) {
        outside.broken = "the home counts on more of a file than was synced";
        return fail(error, "%s is shorter than the home says", writing(sink)->context.table);
    }
    of->bytes.size = of->synced = (size_t)length;
    return OK;
}

static Status write_bytes(Sink *sink, Str bytes, Error *error) {
    Writing *w = writing(sink);
    if (!ask()) return away(w, error);
    OutSink *of = file_of(w); /* now: it may have been frozen */
    if (outside_fails(outside.round->sink_breaks_of)) {
        size_t part = (size_t)random_below(&outside.draws, bytes.size + 1);
        if (w->sink.way == SINK_AT_ONCE) /* messages are whole */
            while (part && bytes.data[part - 1] != '\n') part--;
        buffer_add(&of->bytes, bytes.data, part);
        trace_line("%s breaks", w->context.table);
        return fail(error, "sink %s breaks", w->context.table);
    }
    buffer_add_str(&of->bytes, bytes);
    trace_bytes(bytes);
    trace_line("%s: %zu bytes written", w->context.table, bytes.size);
    return OK;
}

static Status sync_bytes(Sink *sink, int64_t *length, Error *error) {
    Writing *w = writing(sink);
    outside_wait(outside.round->slow_sink_us);
    OutSink *of = file_of(w);
    if (outside_fails(outside.round->sink_breaks_of))
        return fail(error, "sink %s breaks", w->context.table);
    if (!plant(PLANT_UNSYNCED)) of->synced = of->bytes.size;
    *length = (int64_t)of->bytes.size;
    trace_line("%s: synced at %lld", w->context.table, (long long)*length);
    return OK;
}

/* ---- exactly once: the marker ---- */

static bool same(const SinkMarker *a, const SinkMarker *b) {
    return a->generation == b->generation && a->epoch == b->epoch && a->number == b->number;
}

static Status judge_marker(Writing *w, Error *error) {
    const OutSink *of = w->of;
    const SinkMarker *found = &of->marker;
    int64_t ours = w->context.generation;
    bool theirs = found->generation && of->run != w->run;
    bool back = found->epoch < w->marker.epoch ||
                (found->epoch == w->marker.epoch && found->number < w->marker.number);
    bool news = w->looked && (of->run != w->first_run || !same(found, &w->first));
    if (found->generation > ours && !plant(PLANT_ZOMBIE))
        return fail(error, "sink %s: a later run has delivered to it", w->context.table);
    if (theirs && (found->generation == ours || (news && !back)) && !plant(PLANT_ZOMBIE))
        return fail(error, "sink %s: another run of this home delivers to it", w->context.table);
    if (!w->looked) {
        w->first = *found;
        w->first_run = of->run;
        w->looked = true;
    }
    w->absent = !found->generation;
    w->ours = !w->absent && found->generation == ours;
    if (w->absent) {
        int64_t known = w->unsure && !w->context.by_position ? of->last_epoch : 0;
        if (known < w->context.delivered) known = w->context.delivered;
        if (w->marker.epoch < known) w->marker.epoch = known;
        w->unsure = false;
        return OK;
    }
    if (back) return fail(error, "sink %s went back", w->context.table);
    w->marker = *found;
    w->unsure = false;
    return OK;
}

/* Fences all others, which ends what they left open, then reads the marker. */
static Status begin(Writing *w, Error *error) {
    OutSink *of = w->of;
    if (w->begun) return OK;
    if (!ask()) return away(w, error);
    w->producer = ++of->producer;
    of->open = false;
    if (!ask()) return away(w, error);
    Status status = judge_marker(w, error);
    trace_line("%s: producer %d, the marker is %lld %lld %lld", w->context.table, w->producer,
               (long long)of->marker.generation, (long long)of->marker.epoch,
               (long long)of->marker.number);
    w->begun = status == OK;
    return status;
}

/* Any trouble of a transaction: the next try begins anew. */
static Status trouble(Writing *w, const char *what, Error *error) {
    w->begun = false;
    trace_line("%s: %s", w->context.table, what);
    (void)fail(error, "sink %s: %s", w->context.table, what);
    return AGAIN;
}

static Status marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    Writing *w = writing(sink);
    Status status = begin(w, error);
    if (plant(PLANT_TWICE) && status == OK && w->marker.epoch) w->marker.epoch--;
    *epoch = w->marker.epoch;
    *generation = w->marker.generation;
    return status;
}

static Status positions(Sink *sink, SinkMarker *out_marker, SinkPosition **out, int *count,
                        Error *error) {
    Writing *w = writing(sink);
    Status status = begin(w, error);
    if (status != OK) return status;
    if (!ask()) return away(w, error);
    *out_marker = w->marker;
    *out = xcalloc(MOST_SOURCES * MOST_PARTITIONS, sizeof **out);
    *count = 0;
    memcpy(w->positions, w->of->positions, sizeof w->positions);
    for (int i = 0; i < w->context.source_count; i++)
        for (int p = 0; p < MOST_PARTITIONS; p++) {
            int64_t position = w->positions[w->source_of[i]][p];
            if (position != NO_POSITION) (*out)[(*count)++] = (SinkPosition){i, p, position};
        }
    return OK;
}

/* ---- exactly once: transactions ---- */

static Status begin_transaction(Writing *w, Error *error) {
    if (w->producer != w->of->producer) return trouble(w, "fenced", error);
    w->staged.size = 0;
    w->of->open = true;
    return OK;
}

static Status stage(Writing *w, Str rows, Error *error) {
    const char *at = rows.data, *end = at + rows.size, *breaks = end;
    if (outside_draw(outside.round->sink_away_of))
        breaks = at + random_below(&outside.draws, rows.size + 1);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        Str row = {at, (size_t)(newline - at)};
        if (query_refuses(outside.scenario, w->query, row))
            w->context.refuse(w->context.refuse_to, row, "this store never takes it");
        else buffer_add(&w->staged, at, row.size + 1);
        at = newline + 1;
        if (at > breaks) return trouble(w, "breaks off", error); /* some were told as refused */
    }
    return OK;
}

static Status send(Sink *sink, const Delivery *d, Error *error) {
    Writing *w = writing(sink);
    Status status = begin(w, error);
    if (status != OK) return status;
    w->next = (SinkMarker){w->context.generation, d->epoch, d->number};
    memcpy(w->next_positions, w->positions, sizeof w->positions);
    for (int i = 0; i < d->position_count; i++)
        w->next_positions[w->source_of[d->positions[i].source]][d->positions[i].partition] =
            d->positions[i].position + plant(PLANT_OFFSET_FAR);
    bool stands = w->context.by_position ? w->ours && w->marker.number >= d->number
                                         : w->marker.epoch >= d->epoch;
    if (stands) {
        memcpy(w->positions, w->next_positions, sizeof w->positions);
        return END;
    }
    if ((status = begin_transaction(w, error)) != OK) return status;
    if (!ask()) return trouble(w, "away", error);
    if (w->producer != w->of->producer) return trouble(w, "fenced", error);
    return stage(w, d->rows, error);
}

/* All of it at once, or nothing. */
static void apply(Writing *w) {
    OutSink *of = w->of;
    buffer_add_str(&of->bytes, buffer_str(&w->staged));
    if (schedule_zombie()) outside.copy_delivered = true;
    if (w->staged.size) of->last_epoch = w->next.epoch;
    of->marker = w->next;
    of->run = w->run;
    of->open = false;
    if (w->context.by_position) memcpy(of->positions, w->next_positions, sizeof of->positions);
    trace_bytes(buffer_str(&w->staged));
    trace_line("%s: epoch %lld number %lld delivered, %zu bytes", w->context.table,
               (long long)w->next.epoch, (long long)w->next.number, w->staged.size);
}

static Status commit(Sink *sink, Error *error) {
    Writing *w = writing(sink);
    OutSink *of = w->of;
    bool there = ask();
    if (w->producer != of->producer) return trouble(w, "fenced", error);
    w->unsure = true;
    if (plant(PLANT_MARKER_EARLY)) {
        of->marker = w->next;
        of->run = w->run;
        outside_pass("outside.marker");
    }
    if (there) apply(w);
    outside_pass("outside.delivered");
    if (!there || outside_draw(outside.round->sink_lost_of))
        return trouble(w, "the answer is lost", error);
    w->marker = w->next;
    memcpy(w->positions, w->next_positions, sizeof w->positions);
    w->ours = true;
    w->absent = w->unsure = false;
    w->marked_at_us = w->context.env->monotonic_us(w->context.env);
    return OK;
}

/* An empty transaction writes the marker again. */
static Status idle(Sink *sink, int64_t *next_us, Error *error) {
    Writing *w = writing(sink);
    Status status = begin(w, error);
    if (status != OK) return status;
    int64_t now = w->context.env->monotonic_us(w->context.env);
    *next_us = renew_us;
    if (w->ours && w->marked_at_us && now - w->marked_at_us < renew_us) {
        *next_us = w->marked_at_us + renew_us - now;
        return OK;
    }
    w->next = w->marker;
    w->next.generation = w->context.generation;
    memcpy(w->next_positions, w->positions, sizeof w->positions);
    status = begin_transaction(w, error);
    return status == OK ? commit(sink, error) : status;
}

static void close_sink(Sink *sink) {
    buffer_free(&writing(sink)->staged);
    free(sink);
}

const SinkType store_type = {.open = open_sink,
                             .encode = encode,
                             .encode_row = encode_row,
                             .check = check,
                             .recover = recover,
                             .write = write_bytes,
                             .sync = sync_bytes,
                             .marker = marker,
                             .send = send,
                             .commit = commit,
                             .positions = positions,
                             .idle = idle,
                             .close = close_sink};

/* ---- time ---- */

int64_t store_reached(const OutSink *of, int source, int partition) {
    int64_t position = of->positions[source][partition];
    return position == NO_POSITION ? of->begun_at[source][partition] : position;
}

void stores_time_out(void) {
    outside.failures++; /* who was patient for a minute may have given up */
    for (int i = 0; i < MOST_QUERIES; i++)
        if (outside.sinks[i].open) {
            outside.sinks[i].producer++;
            outside.sinks[i].open = false;
        }
}

typedef struct Known {
    const char *sink;
    int64_t (*at)[MOST_PARTITIONS];
} Known;

static void take_known(void *context, const char **columns) {
    const Known *known = context;
    bool own = strcmp(columns[0], known->sink) == 0;
    int source = columns[1][1] - '0', partition = atoi(columns[2]);
    if (own || (!*columns[0] && known->at[source][partition] == NO_POSITION))
        known->at[source][partition] = atoll(columns[3]);
}

void stores_forget(const char *home) {
    const Scenario *s = outside.scenario;
    Error none = {0};
    int64_t nowhere[MOST_SOURCES][MOST_PARTITIONS];
    for (int k = 0; k < MOST_SOURCES; k++)
        for (int p = 0; p < MOST_PARTITIONS; p++) nowhere[k][p] = NO_POSITION;
    for (int i = 0; i < s->query_count; i++) {
        OutSink *of = &outside.sinks[i];
        of->marker = (SinkMarker){0};
        if (s->queries[i].way != WAY_POSITION || s->queries[i].out) continue;
        Twice *twice = &of->twice[of->twice_count++];
        int64_t goes_on[MOST_SOURCES][MOST_PARTITIONS];
        memcpy(goes_on, nowhere, sizeof goes_on);
        Known known = {query_name(s, i), goes_on};
        /* It fails where no home was made yet: then nothing is known. */
        (void)disk_query(
            home,
            "SELECT query, source, partition, position FROM leat_positions WHERE source <> ''",
            take_known, &known, &none);
        for (int k = 0; k < MOST_SOURCES; k++)
            for (int p = 0; p < MOST_PARTITIONS; p++) {
                int64_t from = goes_on[k][p] == NO_POSITION ? 0 : goes_on[k][p];
                twice->from[k][p] = from;
                twice->to[k][p] = store_reached(of, k, p);
                of->begun_at[k][p] = from;
                of->positions[k][p] = NO_POSITION;
            }
    }
}
