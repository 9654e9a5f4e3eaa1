/* The simulator as a source of one partition. Event n may bring up to three records: itself, its
 * copy, a broken one; a record's position is POSITIONS * n and which of them it is, and a chunk
 * never ends between them. Start, seed and segments are kept in the home: a restart opens a segment
 * from which event time goes on by the clock, so the time that it was down is not caught up on.
 * With a given start, or as fast as possible, event time has nothing to do with the clock and just
 * goes on. */
#include "connector/generator/generator.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    POSITIONS = 4,      /* of an event */
    PAUSE_US = 20000,   /* paced: a chunk so often, or when it is full */
    SEGMENTS_MOST = 64, /* kept; older ones are behind every position that a home can hold */
};

typedef struct GeneratorSource {
    Source source;
    SourceContext context;
    EventSpec spec;
    EventWriter *writer;
    Event *event;
    int64_t most;     /* events, -1: without end */
    int64_t next;     /* event */
    bool start_given; /* event time does not follow the clock */
    Segment segments[SEGMENTS_MOST];
    int segment_count;
    int64_t paced_from,
        paced_at_us; /* event number and monotonic clock from which the rate is counted */
    int64_t last_chunk_us;
} GeneratorSource;

typedef struct EventChunk {
    Chunk chunk;
    Record *records;
    char *bytes;
} EventChunk;

static GeneratorSource *generator_of(Source *source) { return (GeneratorSource *)(void *)source; }

static int64_t monotonic(const GeneratorSource *g) {
    return g->context.env->monotonic_us(g->context.env);
}

static const char *kept(const GeneratorSource *g, const char *name) {
    return g->context.get ? g->context.get(g->context.home, name) : NULL;
}

static Status keep(const GeneratorSource *g, const char *name, const char *value, Error *error) {
    return g->context.set ? g->context.set(g->context.home, name, value, error) : OK;
}

static void close_source(Source *source) {
    GeneratorSource *g = generator_of(source);
    event_writer_free(&g->writer);
    free(g->event);
    free(g);
}

/* The given seed, else the one of the first run, else one by chance. */
static Status find_seed(GeneratorSource *g, Error *error) {
    const OptionValue *given = option_find(g->context.options, "seed");
    const char *known = kept(g, "seed");
    if (given) {
        g->spec.seed = (uint64_t)given->integer;
    } else if (known) {
        g->spec.seed = strtoull(known, NULL, 10);
        return OK;
    } else {
        g->context.env->random_bytes(g->context.env, &g->spec.seed, sizeof g->spec.seed);
    }
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, g->spec.seed);
    return known && strcmp(known, text) == 0 ? OK : keep(g, "seed", text, error);
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    GeneratorSource *g = xcalloc(1, sizeof *g);
    const OptionValue *events = option_find(context->options, "events");
    g->context = *context;
    g->most = events ? events->integer : -1;
    g->source = (Source){.type = &generator_source, .bounded = events != NULL};
    g->start_given = option_find(context->options, "start") != NULL;
    g->event = xmalloc(sizeof *g->event);
    if (generator_spec(context->options, &g->spec, error) != OK || find_seed(g, error) != OK) {
        close_source(&g->source);
        return FAIL;
    }
    g->writer = event_writer_new(&g->spec);
    *out = &g->source;
    return OK;
}

static Status partitions(Source *source, int *count, Error *error) {
    (void)source, (void)error;
    *count = 1;
    return OK;
}

static const char *partition_name(Source *source, int partition) {
    (void)source, (void)partition;
    return "0";
}

/* ---- segments: "first:time,first:time" in the home ---- */

static void read_segments(GeneratorSource *g) {
    const char *at = kept(g, "segments");
    g->segment_count = 0;
    while (at && *at && g->segment_count < SEGMENTS_MOST) {
        char *end;
        Segment segment = {.first = strtoll(at, &end, 10)};
        if (*end != ':') break;
        segment.time_us = strtoll(end + 1, &end, 10);
        g->segments[g->segment_count++] = segment;
        at = *end == ',' ? end + 1 : end;
    }
}

static Segment segment_of(const GeneratorSource *g, int64_t number) {
    int i = g->segment_count - 1;
    while (i > 0 && g->segments[i].first > number) i--;
    return g->segments[i];
}

static Status open_segment(GeneratorSource *g, int64_t number, Error *error) {
    read_segments(g);
    const OptionValue *start = option_find(g->context.options, "start");
    int64_t now = g->context.env->now_us(g->context.env);
    int count = 0; /* of those that begin before it, the last few */
    while (count < g->segment_count && g->segments[count].first < number) count++;
    if (count > 0) {
        Segment last = g->segments[count - 1];
        Segment next = {number, segment_time(&g->spec, last, number)};
        if (g->start_given || g->spec.rate <= 0)
            next = last; /* goes on as if nothing had happened */
        else if (now > next.time_us) next.time_us = now;
        int drop = count < SEGMENTS_MOST / 2 ? 0 : count - SEGMENTS_MOST / 2;
        memmove(g->segments, g->segments + drop, (size_t)(count - drop) * sizeof *g->segments);
        count -= drop;
        if (next.first == number) g->segments[count++] = next;
    } else {
        g->segments[count++] = (Segment){number, start ? start->integer : now};
    }
    g->segment_count = count;
    Buffer text = {0};
    for (int i = 0; i < count; i++)
        buffer_add_format(&text, "%s%" PRId64 ":%" PRId64, i ? "," : "", g->segments[i].first,
                          g->segments[i].time_us);
    buffer_add_char(&text, 0);
    Status status = keep(g, "segments", text.data, error);
    buffer_free(&text);
    return status;
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    (void)partition;
    GeneratorSource *g = generator_of(source);
    g->next = position == NO_POSITION ? 0 : position / POSITIONS;
    g->paced_from = g->next;
    g->paced_at_us = g->last_chunk_us = monotonic(g);
    return open_segment(g, g->next, error);
}

/* ---- chunks ---- */

static void release(Chunk *chunk) {
    EventChunk *c = (EventChunk *)(void *)chunk;
    free(c->records);
    free(c->bytes);
    free(c);
}

/* The first event that is not due yet. */
static int64_t due_before(const GeneratorSource *g, int64_t now) {
    int64_t due = INT64_MAX;
    if (g->spec.rate > 0)
        due = g->paced_from + (int64_t)((double)(now - g->paced_at_us) * g->spec.rate / 1e6) + 1;
    return g->most >= 0 && g->most < due ? g->most : due;
}

static void add_record(GeneratorSource *g, EventChunk *c, EventKind kind, size_t *used) {
    char *to = c->bytes + *used;
    size_t size = event_write(g->writer, g->event, kind, to);
    c->records[c->chunk.record_count++] =
        (Record){.body = {to, size},
                 .position = g->event->number * POSITIONS + (int)kind,
                 .timestamp_us = NO_TIME};
    *used += size;
}

static EventChunk *make_chunk(GeneratorSource *g, int64_t due) {
    size_t room = g->context.chunk_bytes > 4096 ? g->context.chunk_bytes : 4096,
           most = EVENT_KINDS * event_bytes_most(g->writer);
    int rows = g->context.chunk_rows ? g->context.chunk_rows : INT32_MAX, capacity = 0;
    EventChunk *c = xcalloc(1, sizeof *c);
    int64_t now = g->context.env->now_us(g->context.env);
    c->chunk =
        (Chunk){.begin = g->next * POSITIONS, .taken_us = now, .release = release, .owner = g};
    if (due - g->next < (int64_t)(room / most)) room = (size_t)(due - g->next) * most;
    c->bytes = xmalloc(room + most);
    for (size_t used = 0; g->next < due && used <= room && c->chunk.record_count < rows;
         g->next++) {
        if (c->chunk.record_count + EVENT_KINDS > capacity) {
            capacity = capacity ? 2 * capacity : 256;
            c->records = xrealloc(c->records, (size_t)capacity * sizeof *c->records);
        }
        event_of(&g->spec, segment_of(g, g->next), g->next, g->event);
        event_fields(&g->spec, g->event);
        add_record(g, c, EVENT_ITSELF, &used);
        if (g->event->copied) add_record(g, c, EVENT_COPY, &used);
        if (g->event->broken) add_record(g, c, EVENT_BROKEN, &used);
    }
    c->chunk.records = c->records;
    c->chunk.end = g->next * POSITIONS;
    return c;
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    (void)partition, (void)error;
    GeneratorSource *g = generator_of(source);
    *at_end = false;
    if (g->most >= 0 && g->next >= g->most) return END;
    int64_t now = monotonic(g), due = due_before(g, now);
    bool full = (double)(due - g->next) * 850 >= (double)g->context.chunk_bytes;
    bool last = g->most >= 0 && due >= g->most;
    if (due <= g->next ||
        (g->spec.rate > 0 && !full && !last && now - g->last_chunk_us < PAUSE_US)) {
        *at_end = true;
        return AGAIN;
    }
    g->last_chunk_us = now;
    *out = &make_chunk(g, due)->chunk;
    return OK;
}

static void wait_for_event(Source *source, int64_t timeout_us) {
    GeneratorSource *g = generator_of(source);
    if (g->spec.rate <= 0) return;
    int64_t due =
        g->paced_at_us + (int64_t)((double)(g->next - g->paced_from) * 1e6 / g->spec.rate);
    if (due < g->last_chunk_us + PAUSE_US) due = g->last_chunk_us + PAUSE_US;
    int64_t us = due - monotonic(g);
    if (us > timeout_us) us = timeout_us;
    if (us <= 0) return;
    struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

const SourceType generator_source = {.bounded_possible = true,
                                     .open = open_source,
                                     .partitions = partitions,
                                     .partition_name = partition_name,
                                     .seek = seek,
                                     .next = next,
                                     .wait = wait_for_event,
                                     .close = close_source};
