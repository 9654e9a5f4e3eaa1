/* From the outside to decoded batches. A reader thread a source asks its partitions for chunks and
 * puts each into a slot of its partition; decoder threads turn slots into batches side by side; the
 * engine takes a partition's slots in order. What is held is bounded: HELD_MOST_BYTES a source, but
 * a partition that the engine waits for is always read. */
#include "engine/internal.h"
#include <stdio.h>
#include <unistd.h>

typedef struct Worker {
    Engine *engine;
    Decoder **decoders; /* [sources] */
} Worker;

static void slot_free(Slot **slot_at) {
    Slot *slot = *slot_at;
    if (!slot) return;
    if (slot->decoded.arena) decoded_free(&slot->decoded);
    if (slot->chunk) slot->chunk->release(slot->chunk);
    free(slot);
    *slot_at = NULL;
}

static void *decode_thread(void *context) {
    Worker *worker = context;
    Engine *e = worker->engine;
    void *item;
    while (queue_pop(e->decode, &item, -1) == OK) {
        Slot *slot = item;
        Decoder *decoder = worker->decoders[slot->source->index];
        slot->source->plan->table->format->decode(decoder, slot->chunk, slot->header,
                                                  &slot->decoded);
        mutex_lock(&e->lock);
        slot->done = true;
        e->news++;
        cond_signal(&e->wake);
        mutex_unlock(&e->lock);
    }
    for (int i = 0; i < e->plan->source_count; i++)
        e->sources[i].plan->table->format->decoder_free(&worker->decoders[i]);
    free(worker->decoders);
    free(worker);
    return NULL;
}

static const HomePosition *home_position(Engine *e, const char *source, const char *partition) {
    return home_position_find(e->positions, e->position_count, source, partition);
}

static void tell_state(SourceRun *run, const char *text) {
    Env *env = run->engine->env;
    if (!report_tell_state(&run->engine->report, run->report->state, &run->report->away_since_us,
                           text, env->now_us(env)))
        return;
    if (*text) log_warning("source %s: %s; trying again", run->plan->table->name, text);
    else log_info("source %s: back again", run->plan->table->name);
}

static void report_name(SourceRun *run, const Partition *p) {
    if (p->number >= REPORT_PARTITIONS) return;
    const SourceType *type = run->source->type;
    mutex_lock(&run->engine->report.lock);
    snprintf(run->report->partitions[p->number].name, sizeof run->report->partitions[0].name, "%s",
             type->partition_title ? type->partition_title(run->source, p->number) : p->name);
    mutex_unlock(&run->engine->report.lock);
}

/* Partitions that had ended and stand for something new. */
static void begin_anew(SourceRun *run) {
    Engine *e = run->engine;
    for (int i = 0; i < run->partition_count; i++) {
        Partition *p = run->partitions[i];
        mutex_lock(&e->lock);
        bool ended = p->read_ended && !p->anew;
        mutex_unlock(&e->lock);
        if (!ended || !run->source->type->anew(run->source, i)) continue;
        report_name(run, p);
        mutex_lock(&e->lock);
        p->anew = true;
        e->news++;
        cond_signal(&e->wake);
        mutex_unlock(&e->lock);
    }
}

/* Learns of new partitions and puts each where the home stands. */
static Status list_partitions(SourceRun *run, Error *error) {
    Engine *e = run->engine;
    int count = 0;
    Status status = run->source->type->partitions(run->source, &count, error);
    if (run->source->type->lost)
        atomic_store(&run->report->lost, run->source->type->lost(run->source));
    if (status != OK) return status;
    if (count > PARTITIONS_MOST)
        return fail(error, "source %s has %d partitions; at most %d are possible",
                    run->plan->table->name, count, PARTITIONS_MOST);
    if (run->source->type->anew) begin_anew(run);
    for (int i = run->partition_count; i < count; i++) {
        Partition *p = xcalloc(1, sizeof *p);
        p->source = run;
        p->number = i;
        p->name = xstrdup(run->source->type->partition_name(run->source, i));
        p->max_time = NO_TIME;
        p->position = p->closed_position = p->begun = p->replay_until = NO_POSITION;
        const HomePosition *home = home_position(e, run->plan->table->name, p->name);
        if (home) {
            p->position = home->position;
            p->max_time = home->max_time;
            p->records = home->records;
        }
        p->reached = positions_resume(run, p);
        if (p->reached < p->position) p->replay_until = p->position;
        if ((status = run->source->type->seek(run->source, i, p->reached, error)) != OK) {
            free(p->name);
            free(p);
            return status;
        }
        if (run->source->type->anew && run->source->type->anew(run->source, i))
            p->max_time = NO_TIME;
        report_name(run, p);
        if (i < REPORT_PARTITIONS) {
            PartitionReport *r = &run->report->partitions[i];
            atomic_store(&r->rows, p->records);
            atomic_store(&r->position, p->position == NO_POSITION ? -1 : p->position);
            atomic_store(&r->watermark_us, partition_watermark(p));
            atomic_store(&r->lag, -1);
            atomic_store(&run->report->partition_count, i + 1);
        }
        run->partitions[i] = p;
        atomic_store(&run->partition_count, i + 1);
    }
    mutex_lock(&e->lock);
    atomic_store(&run->listed, true);
    e->news++;
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    return OK;
}

static void add_slot(SourceRun *run, Partition *p, Chunk *chunk, bool replay) {
    Engine *e = run->engine;
    Slot *slot = xcalloc(1, sizeof *slot);
    slot->source = run;
    slot->chunk = chunk;
    slot->replay = replay;
    slot->header =
        run->source->type->header ? run->source->type->header(run->source, p->number) : (Str){0};
    slot->bytes = chunk->bytes.size + sizeof(Record) * (size_t)chunk->record_count;
    for (int i = 0; i < chunk->record_count; i++) slot->bytes += chunk->records[i].body.size;
    mutex_lock(&e->lock);
    p->at_end_since_us = 0;
    if (p->last) p->last->next = slot;
    else p->first = slot;
    p->last = slot;
    p->slots++;
    p->wanted = false; /* one at a time, or every partition would hold one beyond the limit */
    run->held_bytes += slot->bytes + SLOT_BYTES;
    mutex_unlock(&e->lock);
    if (queue_push(e->decode, slot, 0, -1) != OK) {
        /* Closed: the engine is ending and frees what stands in the partition's list. */
    }
}

/* What the home has counted before goes into slots of its own. */
static void add_chunk(SourceRun *run, Partition *p, Chunk *chunk) {
    Chunk *behind = NULL;
    fault_at(run->engine->env, "source.chunk");
    if (chunk->begin >= p->replay_until) p->replay_until = NO_POSITION;
    bool replay = p->replay_until != NO_POSITION;
    if (replay && chunk->end > p->replay_until)
        chunk = chunk_split(chunk, p->replay_until, &behind);
    add_slot(run, p, chunk, replay);
    if (behind) add_slot(run, p, behind, false);
}

/* One question to one partition. *got: something came. */
static Status ask(SourceRun *run, Partition *p, bool *got, Error *error) {
    Engine *e = run->engine;
    Chunk *chunk = NULL;
    bool at_end = false;
    Status status = run->source->type->next(run->source, p->number, &chunk, &at_end, error);
    if (status == FAIL) return FAIL;
    if (status == OK) {
        *got = true;
        add_chunk(run, p, chunk);
        return OK;
    }
    int64_t now = engine_now(e);
    mutex_lock(&e->lock);
    if (status == AGAIN && at_end && !p->slots && p->number < REPORT_PARTITIONS)
        atomic_store(&run->report->partitions[p->number].lag, 0);
    if (status == END) {
        p->read_ended = true;
        e->news++;
        cond_signal(&e->wake);
    } else if (!at_end) {
        p->at_end_since_us = 0;
    } else {
        if (!p->at_end_since_us) p->at_end_since_us = now;
        p->at_end_asked_us = now;
    }
    mutex_unlock(&e->lock);
    return OK;
}

/* What waits outside grows while a full sink keeps the engine from taking any. */
static void tell_lags(SourceRun *run) {
    const SourceType *type = run->source->type;
    if (!type->lag || run->source->bounded) return;
    for (int i = 0; i < run->partition_count && i < REPORT_PARTITIONS; i++) {
        PartitionReport *r = &run->report->partitions[i];
        int64_t position = atomic_load(&r->position);
        if (position >= 0) atomic_store(&r->lag, type->lag(run->source, i, position));
    }
}

/* Whether a partition may be read now; under lock. */
static bool has_room(const SourceRun *run, const Partition *p) {
    if (p->read_ended || p->slots >= SLOTS_MOST) return false;
    return (p->wanted && p->slots == 0) || run->held_bytes < HELD_MOST_BYTES;
}

static Status read_round(SourceRun *run, bool *got, bool *any_room, bool *all_ended, Error *error) {
    Engine *e = run->engine;
    *got = *any_room = false;
    *all_ended = true;
    int count = run->partition_count, first = run->turn;
    for (int i = 0; i < count; i++) {
        Partition *p = run->partitions[(first + i) % count];
        mutex_lock(&e->lock);
        bool room = has_room(run, p), ended = p->read_ended;
        if (!ended && !room && p->slots == 0) p->at_end_since_us = 0; /* not asked: no idleness */
        mutex_unlock(&e->lock);
        if (!ended) *all_ended = false;
        if (!room) continue;
        *any_room = true;
        run->turn =
            (p->number + 1) % count; /* who was asked last waits longest, so that none starves */
        Status status = ask(run, p, got, error);
        if (status != OK) return status;
    }
    return OK;
}

static bool closing(Engine *e) {
    mutex_lock(&e->lock);
    bool yes = e->closing;
    mutex_unlock(&e->lock);
    return yes;
}

static void wait_room(SourceRun *run, int64_t us) {
    Engine *e = run->engine;
    mutex_lock(&e->lock);
    if (!e->closing && !run->asked_for) engine_wait(e, &e->room, us);
    run->asked_for = false;
    mutex_unlock(&e->lock);
}

static void *read_thread(void *context) {
    SourceRun *run = context;
    Engine *e = run->engine;
    int64_t listed_at = 0;
    Error error = {0};
    while (!closing(e)) {
        Status status = OK;
        int64_t now = engine_now(e);
        if (!run->listed ||
            (!run->source->bounded && (run->source->news || now - listed_at > US_PER_SECOND))) {
            status = list_partitions(run, &error);
            listed_at = now;
            if (status == OK) {
                tell_state(run, "");
                tell_lags(run);
            }
            if (status == AGAIN) tell_state(run, error.text);
        }
        bool got = false, any_room = false, all_ended = false;
        if (status != FAIL && run->listed)
            status = read_round(run, &got, &any_room, &all_ended, &error);
        if (status == FAIL) {
            engine_fail(e, &error);
            break;
        }
        if (all_ended && run->listed && run->source->bounded) break;
        if (!got && any_room && run->source->type->wait)
            run->source->type->wait(run->source,
                                    run->source->wait_us ? run->source->wait_us : 20000);
        else if (!got) wait_room(run, 20000);
    }
    return NULL;
}

void intake_taken(Engine *e, Partition *p, Slot *slot) {
    mutex_lock(&e->lock);
    p->first = slot->next;
    if (!p->first) p->last = NULL;
    p->slots--;
    p->source->held_bytes -= slot->bytes + SLOT_BYTES;
    p->source->asked_for = true;
    cond_broadcast(&e->room);
    mutex_unlock(&e->lock);
    slot_free(&slot);
}

static const char *fact_get(void *context, const char *name) {
    SourceRun *run = context;
    Engine *e = run->engine;
    Buffer key = {0};
    buffer_add_format(&key, "%s.%s", run->plan->table->name, name);
    buffer_add_char(&key, 0);
    mutex_lock(&e->home_lock);
    const char *value = home_get(e->home, key.data);
    mutex_unlock(&e->home_lock);
    buffer_free(&key);
    return value;
}

static Status fact_set(void *context, const char *name, const char *value, Error *error) {
    SourceRun *run = context;
    Engine *e = run->engine;
    Buffer key = {0};
    buffer_add_format(&key, "%s.%s", run->plan->table->name, name);
    buffer_add_char(&key, 0);
    mutex_lock(&e->home_lock);
    fault_at(e->env, "source.fact");
    Status status = home_set(e->home, key.data, value, error);
    if (status == OK) fault_at(e->env, "source.kept");
    mutex_unlock(&e->home_lock);
    buffer_free(&key);
    return status;
}

Status intake_open(Engine *e, Error *error) {
    e->decode = queue_new(1024, SIZE_MAX);
    if (e->position_count)
        qsort(e->positions, (size_t)e->position_count, sizeof *e->positions, home_position_order);
    for (int i = 0; i < e->plan->source_count; i++) {
        SourceRun *run = &e->sources[i];
        Table *table = run->plan->table;
        PlanSource *plan = &e->plan->sources[i];
        plan->decode.env = e->env;
        plan->decode.batch_rows = e->options.batch_rows;
        plan->decode.random_rows = e->options.random_rows;
        run->context = (SourceContext){.env = e->env,
                                       .table = table->name,
                                       .pipeline = e->plan->catalog->settings.pipeline,
                                       .format = table->format,
                                       .options = &table->options,
                                       .chunk_bytes = CHUNK_BYTES};
        if (e->options.batch_rows) run->context.chunk_bytes = 64 << 10;
        if (e->home) {
            run->context.get = fact_get;
            run->context.set = fact_set;
            run->context.home = run;
        }
        run->partitions = xcalloc(PARTITIONS_MOST, sizeof *run->partitions);
        Status status = table->connector->source->open(&run->context, &run->source, error);
        if (status != OK) return FAIL;
        run->report->bounded = run->source->bounded;
    }
    return OK;
}

static int cores(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 16 ? 16 : (int)n;
}

Status intake_start(Engine *e, Error *error) {
    int wanted = e->options.workers ? e->options.workers : e->plan->catalog->settings.workers;
    e->worker_count = wanted > 0 ? wanted : cores();
    e->workers = xcalloc((size_t)e->worker_count, sizeof *e->workers);
    for (int i = 0; i < e->worker_count; i++) {
        Worker *worker = xcalloc(1, sizeof *worker);
        worker->engine = e;
        worker->decoders = xcalloc((size_t)e->plan->source_count + 1, sizeof *worker->decoders);
        for (int s = 0; s < e->plan->source_count; s++)
            if (e->plan->sources[s].table->format->decoder_new(&e->plan->sources[s].decode,
                                                               &worker->decoders[s], error) != OK)
                return FAIL;
        Status status = thread_start(&e->workers[i], decode_thread, worker, error);
        if (status != OK) return status;
        e->workers_started++;
    }
    for (int i = 0; i < e->plan->source_count; i++) {
        Status status = thread_start(&e->sources[i].reader, read_thread, &e->sources[i], error);
        if (status != OK) return status;
        e->sources[i].reader_started = true;
    }
    return OK;
}

void intake_close(Engine *e) {
    for (int i = 0; i < e->plan->source_count && e->sources; i++)
        if (e->sources[i].reader_started) thread_join(&e->sources[i].reader);
    if (e->decode) queue_close(e->decode);
    for (int i = 0; i < e->workers_started; i++) thread_join(&e->workers[i]);
    free(e->workers);
    for (int i = 0; i < e->plan->source_count && e->sources; i++) {
        SourceRun *run = &e->sources[i];
        for (int p = 0; p < run->partition_count; p++) {
            Slot *slot = run->partitions[p]->first;
            while (slot) {
                Slot *next = slot->next;
                slot_free(&slot);
                slot = next;
            }
            free(run->partitions[p]->name);
            free(run->partitions[p]);
        }
        free(run->partitions);
        if (run->source) run->source->type->close(run->source);
    }
    if (e->decode) queue_free(&e->decode);
}
