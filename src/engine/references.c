/* Reference tables: loaded whole before the first event, and again every `refresh` in a thread of
 * their own; the engine puts a new one in place between two steps. A refresh that fails keeps the
 * old rows. */
#include "engine/internal.h"

/* Whether more may come; false as well when the run ends. */
static bool wait_for(Engine *e, Source *source) {
    if (!source->type->wait) return false;
    source->type->wait(source, 100000);
    mutex_lock(&e->lock);
    bool over = e->closing;
    mutex_unlock(&e->lock);
    return !over;
}

/* Reads everything that stands behind the table now. */
static Status load(Engine *e, const PlanReference *plan, ReferenceTable **out, Error *error) {
    Table *table = plan->table;
    SourceContext context = {.env = e->env,
                             .table = table->name,
                             .pipeline = e->plan->catalog->settings.pipeline,
                             .format = table->format,
                             .options = &table->options,
                             .chunk_bytes = CHUNK_BYTES};
    Source *source = NULL;
    Decoder *decoder = NULL;
    if (table->connector->source->open(&context, &source, error) != OK) return FAIL;
    Status status = table->format->decoder_new(&plan->decode, &decoder, error);
    int partitions = 0;
    if (status == OK) status = source->type->partitions(source, &partitions, error);
    ReferenceTable *rows = reference_new(&plan->schema, plan->keys, plan->key_count);
    for (int p = 0; status == OK && p < partitions; p++) {
        if ((status = source->type->seek(source, p, NO_POSITION, error)) != OK) break;
        for (;;) {
            Chunk *chunk = NULL;
            bool at_end;
            Status next = source->type->next(source, p, &chunk, &at_end, error);
            if (next == AGAIN && wait_for(e, source)) continue; /* a pipe */
            if (next == END || next == AGAIN) break;
            if (next != OK) {
                status = next;
                break;
            }
            Decoded decoded = {0};
            table->format->decode(decoder, chunk,
                                  source->type->header ? source->type->header(source, p) : (Str){0},
                                  &decoded);
            if (decoded.failed) {
                status = FAIL;
                if (error) *error = decoded.error;
            } else if (decoded.reject_count) {
                status = fail(error, "reference table %s has a bad record: %s", table->name,
                              decoded.rejects[0].reason);
            }
            for (int b = 0; status == OK && b < decoded.batch_count; b++)
                reference_add(rows, decoded.batches[b]);
            decoded_free(&decoded);
            chunk->release(chunk);
            if (status != OK) break;
        }
    }
    if (decoder) table->format->decoder_free(&decoder);
    source->type->close(source);
    if (status != OK) {
        reference_free(&rows);
        return FAIL;
    }
    *out = rows;
    return OK;
}

Status references_open(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->reference_count; i++) {
        ReferenceRun *run = &e->references[i];
        run->engine = e;
        run->plan = &e->plan->references[i];
        e->plan->references[i].decode.env = e->env;
        if (load(e, run->plan, &run->table, error) != OK) return FAIL;
        log_info("reference table %s: %lld rows", run->plan->table->name,
                 (long long)reference_rows(run->table));
    }
    return OK;
}

static void *refresh_thread(void *context) {
    ReferenceRun *run = context;
    Engine *e = run->engine;
    for (;;) {
        int64_t until = engine_now(e) + run->plan->refresh_us, now;
        mutex_lock(&e->lock);
        while (!e->closing && (now = engine_now(e)) < until) engine_wait(e, &e->room, until - now);
        bool over = e->closing;
        mutex_unlock(&e->lock);
        if (over) return NULL;
        ReferenceTable *fresh = NULL;
        Error error = {0};
        if (load(e, run->plan, &fresh, &error) != OK) {
            log_warning("reference table %s keeps its old rows: %s", run->plan->table->name,
                        error.text);
            continue;
        }
        mutex_lock(&e->lock);
        ReferenceTable *unused = run->fresh;
        run->fresh = fresh;
        mutex_unlock(&e->lock);
        if (unused) reference_free(&unused);
    }
}

Status references_start(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->reference_count; i++) {
        ReferenceRun *run = &e->references[i];
        if (run->plan->refresh_us <= 0) continue;
        Status status = thread_start(&run->thread, refresh_thread, run, error);
        if (status != OK) return status;
        run->thread_started = true;
    }
    return OK;
}

void references_swap(Engine *e) {
    for (int i = 0; i < e->plan->reference_count; i++) {
        ReferenceRun *run = &e->references[i];
        if (!run->thread_started) continue;
        mutex_lock(&e->lock);
        ReferenceTable *fresh = run->fresh;
        run->fresh = NULL;
        mutex_unlock(&e->lock);
        if (!fresh) continue;
        reference_free(&run->table);
        run->table = fresh;
    }
}

void references_close(Engine *e) {
    for (int i = 0; e->references && i < e->plan->reference_count; i++) {
        ReferenceRun *run = &e->references[i];
        if (run->thread_started) thread_join(&run->thread);
        if (run->table) reference_free(&run->table);
        if (run->fresh) reference_free(&run->fresh);
    }
}
