/* The made-up outside. A source hands over records that a test has put there; a sink by length
 * keeps its bytes and cuts them back at recovery, one by outbox keeps them together with its
 * marker. A run that fails is the crash: nothing but the world and the home's file is left of it.
 */
#include "engine/fakes.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static FakeWorld *world; /* of the test that runs */

/* ---- sources ---- */

typedef struct Reading {
    Source source;
    FakeSource *of;
    int at[FAKE_PARTITIONS];
} Reading;

static const SourceType source_type, endless_type;

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    (void)error;
    Reading *reading = xcalloc(1, sizeof *reading);
    for (int i = 0; i < world->source_count; i++)
        if (strcmp(world->sources[i].table, context->table) == 0) reading->of = &world->sources[i];
    reading->source = (Source){.type = reading->of->bounded ? &source_type : &endless_type,
                               .bounded = reading->of->bounded};
    atomic_store(&reading->of->given, 0);
    *out = &reading->source;
    return OK;
}

static Status partitions(Source *source, int *count, Error *error) {
    Reading *reading = (Reading *)(void *)source;
    if (reading->of->away) {
        (void)fail(error, "the made-up source is away");
        return AGAIN;
    }
    *count = reading->of->partitions;
    return OK;
}

static const char *partition_name(Source *source, int partition) {
    static const char *const names[FAKE_PARTITIONS] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    (void)source;
    return names[partition];
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    (void)error;
    ((Reading *)(void *)source)->at[partition] = position == NO_POSITION ? 0 : (int)position;
    return OK;
}

typedef struct FakeChunk {
    Chunk chunk;
    Record records[];
} FakeChunk;

static void release(Chunk *chunk) { free(chunk); }

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    Reading *reading = (Reading *)(void *)source;
    FakeSource *of = reading->of;
    int at = reading->at[partition], there = of->there[partition];
    if (of->away) return AGAIN;
    if (at >= there) {
        *at_end = true;
        return of->bounded && at >= of->counts[partition] ? END : AGAIN;
    }
    int count = of->chunk_rows && there - at > of->chunk_rows ? of->chunk_rows : there - at;
    if (of->fail_at >= 0 && of->given + count > of->fail_at)
        return fail(error, "the made-up source fails");
    FakeChunk *c = xcalloc(1, sizeof *c + sizeof(Record) * (size_t)count);
    c->chunk = (Chunk){.partition = partition,
                       .records = c->records,
                       .record_count = count,
                       .begin = at,
                       .end = at + count,
                       .taken_us = world->env.clock_us,
                       .release = release};
    for (int i = 0; i < count; i++)
        c->records[i] = (Record){.body = str_from(of->records[partition][at + i]),
                                 .position = at + i,
                                 .timestamp_us = NO_TIME};
    reading->at[partition] += count;
    atomic_fetch_add(&of->given, count);
    *out = &c->chunk;
    return OK;
}

static void wait_moment(Source *source, int64_t timeout_us) {
    (void)source, (void)timeout_us;
    struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
}

static void committed(Source *source, int partition, int64_t position) {
    atomic_store(&((Reading *)(void *)source)->of->committed[partition], position);
}

static void close_source(Source *source) { free(source); }

#define SOURCE_TYPE(ends)                                                                          \
    {                                                                                              \
        .bounded_possible = ends, .open = open_source, .partitions = partitions,                   \
        .partition_name = partition_name, .seek = seek, .next = next, .wait = wait_moment,         \
        .committed = committed, .close = close_source                                              \
    }
static const SourceType source_type = SOURCE_TYPE(true), endless_type = SOURCE_TYPE(false);

/* ---- sinks ---- */

typedef struct Writing {
    Sink sink;
    FakeSink *of;
    SinkContext context;
} Writing;

static const char *way_name(const Options *options) {
    return option_text(options, "path", option_text(options, "topic", "length"));
}

static SinkWay sink_way(const Options *options) {
    const char *way = way_name(options);
    return strcmp(way, "once") == 0     ? SINK_AT_ONCE
           : strcmp(way, "length") == 0 ? SINK_BY_LENGTH
                                        : SINK_BY_OUTBOX;
}

static bool keeps_positions(const Options *sink, const Options *source) {
    (void)source;
    return strcmp(way_name(sink), "position") == 0;
}

static const SinkType sink_type, two_steps_type;

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    (void)error;
    Writing *writing = xcalloc(1, sizeof *writing);
    const char *way = way_name(context->options);
    for (int i = 0; i < world->sink_count; i++)
        if (strcmp(world->sinks[i].table, context->table) == 0) writing->of = &world->sinks[i];
    bool two_steps = strcmp(way, "twice") == 0 || strcmp(way, "position") == 0;
    writing->sink =
        (Sink){.type = two_steps ? &two_steps_type : &sink_type,
               .way = context->by_position ? SINK_BY_POSITION : sink_way(context->options)};
    writing->context = *context;
    *out = &writing->sink;
    return OK;
}

static void encode_row(Sink *sink, const Batch *batch, int row, Buffer *out) {
    json_row(((Writing *)(void *)sink)->context.schema, batch, row, out);
    buffer_add_char(out, '\n');
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    for (int row = 0; row < batch->rows; row++) encode_row(sink, batch, row, out);
}

static Status check(Sink *sink, Error *error) {
    return ((Writing *)(void *)sink)->of->bytes.size ? fail(error, "it is there already") : OK;
}

static Status recover(Sink *sink, bool known, int64_t length, Error *error) {
    (void)known;
    FakeSink *of = ((Writing *)(void *)sink)->of;
    if (of->bytes.size < (size_t)length) return fail(error, "it is shorter than the home says");
    of->bytes.size = of->synced = (size_t)length;
    return OK;
}

static int64_t count_rows(Str bytes) {
    int64_t rows = 0;
    for (size_t i = 0; i < bytes.size; i++) rows += bytes.data[i] == '\n';
    return rows;
}

/* Whether it takes so many rows now. */
static Status make_room(FakeSink *of, int64_t rows, Error *error) {
    atomic_fetch_add(&of->calls, 1);
    if (of->room < rows) {
        (void)fail(error, "the made-up sink is full");
        return AGAIN;
    }
    if (of->room != INT64_MAX) atomic_fetch_sub(&of->room, rows);
    return OK;
}

/* The rows that it takes; the others are told. */
static void keep_rows(Writing *writing, Str bytes, Buffer *to) {
    while (bytes.size) {
        size_t size = (size_t)((char *)memchr(bytes.data, '\n', bytes.size) - bytes.data) + 1;
        Str row = {bytes.data, size};
        const char *refused = writing->of->refuses;
        if (refused && memmem(row.data, row.size, refused, strlen(refused)))
            writing->context.refuse(writing->context.refuse_to, (Str){row.data, size - 1},
                                    "the made-up sink refuses it");
        else buffer_add_str(to, row);
        bytes = (Str){bytes.data + size, bytes.size - size};
    }
}

static Status take(Writing *writing, Str bytes, Error *error) {
    FakeSink *of = writing->of;
    size_t before = of->bytes.size;
    Status status = make_room(of, count_rows(bytes), error);
    if (status != OK) return status;
    keep_rows(writing, bytes, &of->bytes);
    atomic_fetch_add(&of->rows,
                     count_rows((Str){of->bytes.data + before, of->bytes.size - before}));
    return OK;
}

static Status write_bytes(Sink *sink, Str bytes, Error *error) {
    return take((Writing *)(void *)sink, bytes, error);
}

static Status sync_bytes(Sink *sink, int64_t *length, Error *error) {
    (void)error;
    FakeSink *of = ((Writing *)(void *)sink)->of;
    of->synced = of->bytes.size;
    *length = (int64_t)of->synced;
    return OK;
}

static Status marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    Status status = make_room(((Writing *)(void *)sink)->of, 0, error);
    if (status != OK) return status;
    *epoch = ((Writing *)(void *)sink)->of->epoch;
    *generation = ((Writing *)(void *)sink)->of->generation;
    return OK;
}

static Status deliver(Sink *sink, int64_t epoch, Str blob, Error *error) {
    Writing *writing = (Writing *)(void *)sink;
    FakeSink *of = writing->of;
    if (of->epoch >= epoch) return OK;
    Status status = take(writing, blob, error);
    if (status != OK) return status;
    of->epoch = epoch;
    of->generation = writing->context.generation;
    if (of->lost_answers <= 0) return OK;
    of->lost_answers--;
    (void)fail(error, "the answer is lost");
    return AGAIN;
}

/* ---- sinks in two steps ---- */

static Status send_rows(Sink *sink, const Delivery *delivery, Error *error) {
    Writing *writing = (Writing *)(void *)sink;
    FakeSink *of = writing->of;
    bool there = delivery->number ? of->number >= delivery->number : of->epoch >= delivery->epoch;
    if (there) return END;
    of->sent.size = 0;
    Status status = make_room(of, count_rows(delivery->rows), error);
    if (status != OK) return status;
    keep_rows(writing, delivery->rows, &of->sent);
    size_t size = sizeof(SinkPosition) * (size_t)delivery->position_count;
    of->open = *delivery;
    of->opened = xrealloc(of->opened, size + 1);
    if (size) memcpy(of->opened, delivery->positions, size);
    return OK;
}

static Status commit_rows(Sink *sink, Error *error) {
    Writing *writing = (Writing *)(void *)sink;
    FakeSink *of = writing->of;
    if (of->uncommitting) {
        (void)fail(error, "the made-up sink commits nothing");
        atomic_fetch_add(&of->calls, 1);
        return AGAIN;
    }
    buffer_add_str(&of->bytes, buffer_str(&of->sent));
    atomic_fetch_add(&of->rows, count_rows(buffer_str(&of->sent)));
    of->sent.size = 0;
    for (int i = 0; i < of->open.position_count; i++)
        of->positions[of->opened[i].source][of->opened[i].partition] = of->opened[i].position;
    of->epoch = of->open.epoch;
    of->number = of->open.number;
    of->generation = writing->context.generation;
    if (of->lost_answers <= 0) return OK;
    of->lost_answers--;
    (void)fail(error, "the answer is lost");
    return AGAIN;
}

static Status positions(Sink *sink, SinkMarker *marker_out, SinkPosition **out, int *count,
                        Error *error) {
    FakeSink *of = ((Writing *)(void *)sink)->of;
    Status status = make_room(of, 0, error);
    if (status != OK) return status;
    *marker_out = (SinkMarker){of->generation, of->epoch, of->number};
    *out = xcalloc(FAKE_TABLES * FAKE_PARTITIONS, sizeof **out);
    *count = 0;
    for (int s = 0; s < FAKE_TABLES; s++)
        for (int p = 0; p < FAKE_PARTITIONS; p++)
            if (of->positions[s][p]) (*out)[(*count)++] = (SinkPosition){s, p, of->positions[s][p]};
    return OK;
}

static void close_sink(Sink *sink) { free(sink); }

static const SinkType sink_type = {.open = open_sink,
                                   .encode = encode,
                                   .encode_row = encode_row,
                                   .check = check,
                                   .recover = recover,
                                   .write = write_bytes,
                                   .sync = sync_bytes,
                                   .marker = marker,
                                   .deliver = deliver,
                                   .close = close_sink};

static const SinkType two_steps_type = {.open = open_sink,
                                        .encode = encode,
                                        .encode_row = encode_row,
                                        .marker = marker,
                                        .send = send_rows,
                                        .commit = commit_rows,
                                        .positions = positions,
                                        .close = close_sink};

static const Option no_options[] = {{0}};
#define CONNECTOR(type)                                                                            \
    {                                                                                              \
        .name = "fake", .options = no_options, .source = &type, .sink = &sink_type,                \
        .sink_way = sink_way, .keeps_positions = keeps_positions                                   \
    }
static const Connector bounded_connector = CONNECTOR(source_type),
                       endless_connector = CONNECTOR(endless_type);

/* ---- the world ---- */

static int64_t real_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t monotonic_us(Env *env) {
    return ((FakeEnv *)env)->clock_us + world->speed * (real_us() - world->since_us);
}

static bool fault(Env *env, const char *point) {
    if (strcmp(point, "home.commit") != 0 || !world->failing_commits) return true;
    if (world->failing_commits > 0) atomic_fetch_sub(&world->failing_commits, 1);
    ((FakeEnv *)env)->clock_us += world->commit_takes_us;
    return false;
}

void fake_world_open(FakeWorld *w) {
    memset(w, 0, sizeof *w);
    fake_env_init(&w->env, INT64_C(1577836800000000), 1); /* 2020-01-01 */
    w->env.env.fault = fault;
    w->env.env.monotonic_us = monotonic_us;
    w->since_us = real_us();
    strcpy(w->folder, "/tmp/leat-engine-XXXXXX");
    if (!mkdtemp(w->folder)) abort();
    snprintf(w->home, sizeof w->home, "%s/p.leat", w->folder);
    world = w;
}

void fake_world_close(FakeWorld *w) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", w->home, endings[i]);
        unlink(path);
    }
    rmdir(w->folder);
    for (int s = 0; s < w->source_count; s++)
        for (int p = 0; p < FAKE_PARTITIONS; p++) {
            for (int i = 0; i < w->sources[s].counts[p]; i++) free(w->sources[s].records[p][i]);
            free(w->sources[s].records[p]);
        }
    for (int i = 0; i < w->sink_count; i++) {
        buffer_free(&w->sinks[i].bytes);
        buffer_free(&w->sinks[i].sent);
        free(w->sinks[i].opened);
    }
    world = NULL;
}

FakeSource *fake_source(FakeWorld *w, const char *table, int count, bool bounded) {
    FakeSource *source = &w->sources[w->source_count++];
    source->table = table;
    source->partitions = count;
    source->bounded = bounded;
    source->fail_at = -1;
    return source;
}

FakeSink *fake_sink(FakeWorld *w, const char *table) {
    FakeSink *sink = &w->sinks[w->sink_count++];
    sink->table = table;
    atomic_store(&sink->room, INT64_MAX);
    return sink;
}

void fake_record(FakeSource *source, int partition, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) abort();
    va_end(arguments);
    int n = source->counts[partition]++;
    source->records[partition] =
        xrealloc(source->records[partition], sizeof(char *) * (size_t)(n + 1));
    source->records[partition][n] = text;
    atomic_fetch_add(&source->there[partition], 1);
}

Status fake_open(FakeWorld *w, const char *sql, const EngineOptions *given, FakeRun *run,
                 Error *error) {
    *run = (FakeRun){0};
    if (catalog_parse("p.sql", str_from(sql), &run->catalog, error) != OK) return FAIL;
    run->catalog->settings.home = w->home;
    for (int i = 0; i < run->catalog->table_count; i++) {
        Table *table = &run->catalog->tables[i];
        bool endless = strcmp(table->connector->name, "kafka") == 0;
        table->connector = endless ? &endless_connector : &bounded_connector;
    }
    if (plan_new(run->catalog, &run->plan, error) != OK) return FAIL;
    EngineOptions options = given ? *given : (EngineOptions){0};
    options.env = &w->env.env;
    return engine_open(run->plan, &options, &run->engine, error);
}

void fake_close(FakeRun *run) {
    if (run->engine) engine_close(&run->engine);
    if (run->plan) plan_free(&run->plan);
    if (run->catalog) catalog_free(&run->catalog);
}

Status fake_run(FakeWorld *w, const char *sql, const EngineOptions *options, Buffer *view,
                Error *error) {
    FakeRun run;
    Status status = fake_open(w, sql, options, &run, error);
    if (status == OK) status = engine_run(run.engine, error);
    if (view) fake_view(w, &run, view);
    fake_close(&run);
    return status;
}

void fake_view(FakeWorld *w, const FakeRun *run, Buffer *json) {
    HomeReader *reader = NULL;
    Error error = {0};
    bool more;
    json->size = 0;
    if (!run->plan || !run->plan->view_count) return;
    const PlanView *view = &run->plan->views[0];
    if (home_reader_open(w->home, &reader, &error) != OK ||
        home_read_view(reader, view->name, &view->schema, NULL, 0, 1000000, json, &more, &error) !=
            OK)
        buffer_add_text(json, error.text);
    home_reader_close(&reader);
}

static void *run_thread(void *context) {
    FakeRunning *running = context;
    running->status = engine_run(running->run.engine, &running->error);
    return NULL;
}

void fake_start(FakeWorld *w, FakeRunning *running, const char *sql, const EngineOptions *options) {
    memset(running, 0, sizeof *running);
    if (fake_open(w, sql, options, &running->run, &running->error) != OK ||
        pthread_create(&running->thread, NULL, run_thread, running) != 0) {
        fprintf(stderr, "%s\n", running->error.text);
        abort();
    }
}

Status fake_wait(FakeRunning *running) {
    pthread_join(running->thread, NULL);
    return running->status;
}

Status fake_stop(FakeRunning *running) {
    engine_stop(running->run.engine);
    return fake_wait(running);
}

bool fake_until(bool (*holds)(void *), void *context) {
    struct timespec moment = {.tv_nsec = 2000000};
    for (int i = 0; i < 10000; i++) {
        if (holds(context)) return true;
        nanosleep(&moment, NULL);
    }
    return false;
}
