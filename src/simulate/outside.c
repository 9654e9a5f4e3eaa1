/* The outside of the simulation: Env, the sources, which hand over records from memory, and the
 * pipeline with made-up connectors. What fails and how long it takes is drawn from the round's
 * stream of random numbers. What the real ones promise, these do and no more. */
#include "simulate/outside.h"
#include "simulate/disk.h"
#include "simulate/plant.h"
#include "simulate/schedule.h"
#include "simulate/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

Outside outside;

bool outside_draw(uint32_t of) {
    return of && schedule_running() && random_below(&outside.draws, of) == 0;
}

bool outside_fails(uint32_t of) {
    if (!outside_draw(of)) return false;
    outside.failures++;
    return true;
}

void outside_wait(int64_t most_us) {
    if (most_us && schedule_running())
        thread_sleep((int64_t)random_below(&outside.draws, (uint64_t)most_us + 1));
}

void outside_pass(const char *point) {
    if (!schedule_running() || schedule_zombie() || !outside.round->crash_point) return;
    if (strcmp(outside.round->crash_point, point) != 0) return;
    if (++outside.passes != outside.round->crash_pass) return;
    trace_line("crash at %s", point);
    schedule_crash();
}

/* ---- Env ---- */

static int64_t env_monotonic(Env *env) {
    (void)env;
    return 1000000 + schedule_now_us();
}
static int64_t env_now(Env *env) {
    (void)env;
    return SIM_EPOCH_US + 86400 * INT64_C(1000000) + schedule_now_us();
}
static void env_random(Env *env, void *to, size_t size) {
    (void)env;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)to)[i] = (unsigned char)random_next(&outside.env_draws);
}
static bool env_fault(Env *env, const char *point) {
    (void)env;
    if (strcmp(point, "query.forgotten") == 0) outside.query_forgotten = true;
    outside_pass(point);
    if (strcmp(point, "home.commit") != 0 || !outside_fails(outside.round->commit_fails_of))
        return true;
    trace_line("the commit fails");
    return false;
}

/* ---- sources ---- */

typedef struct OutSource {
    Source source;
    int index;
    int at[MOST_PARTITIONS];
} OutSource;

static const SourceType bounded_type, endless_type, reference_type;

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    (void)error;
    OutSource *s = xcalloc(1, sizeof *s);
    s->source = (Source){.type = outside.scenario->bounded ? &bounded_type : &endless_type,
                         .bounded = outside.scenario->bounded};
    if (strcmp(context->table, "r") == 0)
        s->source = (Source){.type = &reference_type, .bounded = true};
    else s->index = context->table[1] - '0';
    *out = &s->source;
    return OK;
}

static Status partitions(Source *source, int *count, Error *error) {
    OutSource *s = (OutSource *)(void *)source;
    outside_wait(outside.round->slow_list_us);
    if (outside_draw(outside.round->source_away_of)) {
        (void)fail(error, "the source is away");
        return AGAIN;
    }
    const SimTable *table = &outside.scenario->tables[s->index];
    *count = 0;
    while (*count < table->partitions && table->begins_us[*count] <= schedule_now_us()) ++*count;
    return OK;
}

static const char *partition_name(Source *source, int partition) {
    static const char *const names[] = {"0", "1", "2", "3"};
    (void)source;
    return names[partition];
}

/* How many records of a partition have come by now. */
static int there_by_now(const OutSource *s, int partition) {
    const Scenario *scenario = outside.scenario;
    int there = 0, count = scenario->counts[s->index][partition];
    while (there < count &&
           scenario->of[s->index][partition][there]->arrives_us <= schedule_now_us())
        there++;
    return there;
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    OutSource *s = (OutSource *)(void *)source;
    s->at[partition] = position == NO_POSITION ? 0 : (int)position;
    const SimTable *table = &outside.scenario->tables[s->index];
    if (plant(PLANT_LATE_PARTITION) && position == NO_POSITION && table->begins_us[partition])
        s->at[partition] = there_by_now(s, partition);
    if (!schedule_zombie()) outside.taken[s->index][partition] = s->at[partition];
    if (s->at[partition] > outside.scenario->counts[s->index][partition] || s->at[partition] < 0)
        return fail(error, "sought behind the end");
    return OK;
}

typedef struct OutChunk {
    Chunk chunk;
    size_t size;
    Record *records;
    char bytes[];
} OutChunk;

/* What was lent is no longer there. */
static void release(Chunk *chunk) {
    OutChunk *c = (OutChunk *)(void *)chunk;
    free(c->records);
    memset(c->bytes, 0xDD, c->size);
    free(c);
}

static Chunk *chunk_of(int partition, const char *const *texts, int begin, int rows) {
    size_t size = 0;
    for (int i = 0; i < rows; i++) size += strlen(texts[i]);
    OutChunk *c = xcalloc(1, sizeof *c + size + 1);
    c->size = size;
    c->records = xcalloc((size_t)rows, sizeof *c->records);
    c->chunk = (Chunk){.partition = partition,
                       .records = c->records,
                       .record_count = rows,
                       .begin = begin,
                       .end = begin + rows,
                       .taken_us = env_now(NULL),
                       .release = release};
    char *to = c->bytes;
    for (int i = 0; i < rows; i++) {
        size_t part = strlen(texts[i]);
        memcpy(to, texts[i], part);
        c->records[i] =
            (Record){.body = {to, part}, .position = begin + i, .timestamp_us = INT64_MIN};
        to += part;
    }
    return &c->chunk;
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    (void)error;
    OutSource *s = (OutSource *)(void *)source;
    const Scenario *scenario = outside.scenario;
    int at = s->at[partition], count = scenario->counts[s->index][partition];
    *at_end = false;
    if (outside_draw(outside.round->source_away_of)) return AGAIN;
    int there = there_by_now(s, partition);
    if (at >= there) {
        *at_end = true;
        return at == count && scenario->bounded ? END : AGAIN;
    }
    const char *texts[12];
    int most = 1 + (int)random_below(&outside.draws, 12);
    int rows = there - at < most ? there - at : most;
    for (int i = 0; i < rows; i++) texts[i] = scenario->of[s->index][partition][at + i]->text;
    *out = chunk_of(partition, texts, at, rows);
    s->at[partition] += rows;
    if (!schedule_zombie()) outside.taken[s->index][partition] = s->at[partition];
    trace_line("s%d[%d] gives %d..%d", s->index, partition, at, at + rows - 1);
    trace_number((uint64_t)(at * 100 + rows));
    return OK;
}

static void wait_moment(Source *source, int64_t timeout_us) {
    (void)source;
    thread_sleep(1 + (int64_t)random_below(&outside.draws, (uint64_t)timeout_us));
}

static void committed(Source *source, int partition, int64_t position) {
    OutSource *s = (OutSource *)(void *)source;
    if (!schedule_zombie()) outside.committed[s->index][partition] = position;
}

static void close_source(Source *source) { free(source); }

#define SOURCE_TYPE(ends)                                                                          \
    {                                                                                              \
        .bounded_possible = ends, .open = open_source, .partitions = partitions,                   \
        .partition_name = partition_name, .seek = seek, .next = next, .wait = wait_moment,         \
        .committed = committed, .close = close_source                                              \
    }
static const SourceType bounded_type = SOURCE_TYPE(true), endless_type = SOURCE_TYPE(false);

static const Option no_options[] = {{0}};
#define CONNECTOR(type)                                                                            \
    {                                                                                              \
        .name = "simulated", .options = no_options, .reference = true, .source = &type,            \
        .sink = &store_type, .sink_way = store_way, .keeps_positions = store_keeps_positions       \
    }
static const Connector bounded_connector = CONNECTOR(bounded_type),
                       endless_connector = CONNECTOR(endless_type);

/* ---- the reference table ---- */

static Status one_partition(Source *source, int *count, Error *error) {
    (void)source;
    outside_wait(outside.round->slow_list_us);
    *count = 1;
    return outside_fails(outside.round->source_away_of)
               ? fail(error, "reference table r breaks off")
               : OK;
}

static Status seek_begin(Source *source, int partition, int64_t position, Error *error) {
    (void)error, (void)position;
    ((OutSource *)(void *)source)->at[partition] = 0;
    return OK;
}

/* All that is there, in several chunks; in the middle it may break off. */
static Status next_rows(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    OutSource *s = (OutSource *)(void *)source;
    char bytes[20][40];
    const char *texts[20];
    int rows = 0;
    *at_end = s->at[0] == MOST_REFERENCE_ROWS;
    if (*at_end) return END;
    if (outside_fails(outside.round->source_away_of))
        return fail(error, "reference table r breaks off");
    for (; rows < 20 && s->at[0] + rows < MOST_REFERENCE_ROWS; rows++) {
        int key, w = reference_row(s->at[0] + rows, &key);
        snprintf(bytes[rows], sizeof bytes[rows], "{\"k\":%d,\"w\":%d}", key, w);
        texts[rows] = bytes[rows];
    }
    *out = chunk_of(partition, texts, s->at[0], rows);
    s->at[0] += rows;
    return OK;
}

static const SourceType reference_type = {.bounded_possible = true,
                                          .open = open_source,
                                          .partitions = one_partition,
                                          .partition_name = partition_name,
                                          .seek = seek_begin,
                                          .next = next_rows,
                                          .close = close_source};

/* ---- the whole ---- */

void outside_open(Scenario *scenario, const char *home) {
    outside = (Outside){.scenario = scenario};
    outside.env = (Env){.now_us = env_now,
                        .monotonic_us = env_monotonic,
                        .random_bytes = env_random,
                        .fault = env_fault};
    snprintf(outside.home, sizeof outside.home, "%s", home);
    random_seed(&outside.env_draws, scenario->seed * 7 + 5);
    for (int s = 0; s < MOST_SOURCES; s++)
        for (int p = 0; p < MOST_PARTITIONS; p++) {
            outside.committed[s][p] = -1;
            for (int q = 0; q < MOST_QUERIES; q++) outside.sinks[q].positions[s][p] = NO_POSITION;
        }
}

void outside_round(const Round *round, uint64_t seed) {
    outside.round = round;
    outside.passes = 0;
    memset(outside.taken, -1, sizeof outside.taken); /* until it is sought */
    outside.failures = 0;
    outside.query_forgotten = false;
    random_seed(&outside.draws, seed);
    *disk_faults() = (DiskFaults){.write_fails_of = round->disk_write_fails_of,
                                  .sync_fails_of = round->disk_sync_fails_of,
                                  .full_of = round->disk_full_of,
                                  .slow_sync_us = round->slow_sync_us,
                                  .left = round->disk_failures};
}

/* Of a file that was not synced to its end, some is there, some is not, and some is something
 * else. */
void outside_crash(bool power) {
    disk_crash(power);
    for (int i = 0; i < outside.scenario->query_count && power; i++) {
        OutSink *sink = &outside.sinks[i];
        if (outside.scenario->queries[i].way != WAY_LENGTH || sink->bytes.size <= sink->synced)
            continue;
        size_t tail = sink->bytes.size - sink->synced;
        sink->bytes.size = sink->synced + (size_t)random_below(&outside.draws, tail + 1);
        for (size_t at = sink->synced; at < sink->bytes.size; at++)
            if (random_below(&outside.draws, 16) == 0) sink->bytes.data[at] = 0;
    }
}

/* The lock file stays with those who hold it; the copy beside the other home is nobody's. */
static void split_lock(void) {
    char path[160], other[176], text[256];
    snprintf(path, sizeof path, "%s.lock", outside.home);
    snprintf(other, sizeof other, "%s.frozen", path);
    if (rename(path, other) != 0) abort();
    FILE *from = fopen(other, "re"), *to = fopen(path, "we");
    if (!from || !to) abort();
    fwrite(text, 1, fread(text, 1, sizeof text, from), to);
    fclose(from);
    fclose(to);
    unlink(other);
}

void outside_freeze(void) {
    disk_split();
    split_lock();
    for (int i = 0; i < MOST_QUERIES; i++) {
        outside.lost[i] = (OutSink){.synced = outside.sinks[i].synced};
        buffer_add_str(&outside.lost[i].bytes, buffer_str(&outside.sinks[i].bytes));
    }
}

Status outside_plan(Catalog **catalog, Plan **plan, Error *error) {
    if (catalog_parse("p.sql", buffer_str(&outside.scenario->sql), catalog, error) != OK)
        return FAIL;
    (*catalog)->settings.home = outside.home;
    if (outside.scenario->outbox_limit)
        (*catalog)->settings.outbox_limit = outside.scenario->outbox_limit;
    for (int i = 0; i < (*catalog)->table_count; i++) {
        Table *table = &(*catalog)->tables[i];
        bool endless = strcmp(table->connector->name, "kafka") == 0;
        table->connector = endless ? &endless_connector : &bounded_connector;
    }
    return plan_new(*catalog, plan, error);
}

bool outside_exhausted(void) {
    const Scenario *s = outside.scenario;
    for (int i = 0; i < s->table_count; i++)
        for (int p = 0; p < s->tables[i].partitions && s->tables[i].read; p++)
            if (outside.taken[i][p] < s->counts[i][p]) return false;
    return true;
}
