/* The threads of sinks, which may block while the engine goes on. One writes what comes through a
 * queue: files by length, and what leaves at once. The other delivers the epochs of the outbox, in
 * order, each with its marker. What a sink at once did not acknowledge in time was put into the
 * outbox, too, so that no commit waits for it; after a crash that is written first. */
#include "engine/internal.h"
#include <inttypes.h>
#include <stdio.h>

static bool closing(Engine *e) {
    mutex_lock(&e->lock);
    bool yes = e->closing;
    mutex_unlock(&e->lock);
    return yes;
}

void sink_tell_state(SinkRun *run, const char *text) {
    Env *env = run->engine->env;
    if (!report_tell_state(&run->engine->report, run->report->state, &run->report->away_since_us,
                           text, env->now_us(env)))
        return;
    if (*text) log_warning("sink %s: %s; trying again", run->plan->table->name, text);
    else log_info("sink %s: back again", run->plan->table->name);
}

void sink_back_off(Engine *e, int64_t *wait_us) {
    *wait_us =
        *wait_us ? (*wait_us * 2 > 5 * US_PER_SECOND ? 5 * US_PER_SECOND : *wait_us * 2) : 50000;
    int64_t until = engine_now(e) + *wait_us, now;
    mutex_lock(&e->lock);
    while (!e->closing && (now = engine_now(e)) < until) engine_wait(e, &e->room, until - now);
    mutex_unlock(&e->lock);
}

/* ---- by length, at once ---- */

/* Writes these bytes, or, for a token, syncs. A file that cannot be written to is tried again for a
 * minute, as the home is; another sink until it is there again. AGAIN: the run is over. */
static Status put_out(SinkRun *run, Str bytes, bool token, Error *error) {
    Engine *e = run->engine;
    const SinkType *type = run->sink->type;
    int64_t wait_us = 0, length = 0, began = engine_now(e);
    for (;;) {
        fault_at(e->env, token ? "sink.sync" : "sink.write");
        Status status =
            token ? type->sync(run->sink, &length, error) : type->write(run->sink, bytes, error);
        if (status == FAIL) return FAIL;
        if (status == OK) {
            sink_tell_state(run, "");
            fault_at(e->env, token ? "sink.synced" : "sink.written");
            mutex_lock(&e->lock);
            if (token) run->length = length;
            mutex_unlock(&e->lock);
            return OK;
        }
        sink_tell_state(run, error->text);
        if (run->way == SINK_BY_LENGTH && engine_now(e) - began > SINK_PATIENCE_US) {
            Error reason = *error;
            return fail(error, "sink %s: %s and start again: nothing is lost",
                        run->plan->table->name, reason.text);
        }
        sink_back_off(e, &wait_us);
        if (closing(e)) return AGAIN;
    }
}

static void tell_synced(SinkRun *run, int64_t epoch) {
    Engine *e = run->engine;
    mutex_lock(&e->lock);
    run->synced_epoch = epoch;
    refusals_move(&run->settled_refused, &run->refused);
    if (run->way == SINK_AT_ONCE && run->owed_until > run->delivered_epoch) {
        run->delivered_epoch = epoch; /* of the outbox */
        if (epoch >= run->owed_until) run->owed_bytes = 0;
        e->dirty = true;
    }
    cond_broadcast(&e->room);
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    atomic_store(&run->report->epoch, epoch);
}

/* What earlier runs owed. */
static Status write_backlog(SinkRun *run, Error *error) {
    Engine *e = run->engine;
    Buffer blob = {0};
    int64_t epoch = 0;
    Status status = OK;
    while (status == OK && !closing(e)) {
        mutex_lock(&e->home_lock);
        status = home_outbox_next(e->home, run->plan->table->name, run->delivered_epoch, &epoch,
                                  &blob, error);
        mutex_unlock(&e->home_lock);
        if (status == END || (status == OK && epoch > e->first_epoch)) {
            tell_synced(run, e->first_epoch);
            status = END;
        }
        if (status == OK) status = put_out(run, buffer_str(&blob), false, error);
        if (status == OK) status = put_out(run, (Str){0}, true, error);
        if (status == OK) tell_synced(run, epoch);
    }
    buffer_free(&blob);
    return status == END ? OK : status;
}

void *sink_write_thread(void *context) {
    SinkRun *run = context;
    Engine *e = run->engine;
    void *got;
    Error error = {0};
    Status status = run->owed_bytes ? write_backlog(run, &error) : OK;
    while (status == OK && queue_pop(run->queue, &got, -1) == OK) {
        SinkItem *item = got;
        status = put_out(run, (Str){item->bytes, item->size}, item->epoch > 0, &error);
        if (status == OK && item->epoch) tell_synced(run, item->epoch);
        free(item);
        mutex_lock(&e->lock);
        cond_signal(&e->wake);
        mutex_unlock(&e->lock);
    }
    if (status == FAIL) engine_fail(e, &error);
    return NULL;
}

/* ---- by outbox ---- */

/* An earlier run delivered up to there without the home's knowing: that is not owed any more. */
static Status take_over(SinkRun *run, int64_t known, int64_t epoch, Error *error) {
    Engine *e = run->engine;
    const char *name = run->plan->table->name;
    int64_t owed = 0, left = 0;
    mutex_lock(&e->home_lock);
    Status status = home_outbox_bytes(e->home, name, known, &owed, error);
    if (status == OK) status = home_outbox_bytes(e->home, name, epoch, &left, error);
    mutex_unlock(&e->home_lock);
    if (status != OK) return FAIL;
    mutex_lock(&e->lock);
    run->delivered_epoch = epoch;
    run->owed_bytes -= owed - left;
    mutex_unlock(&e->lock);
    atomic_store(&run->report->epoch, epoch);
    return OK;
}

/* What stands outside against what the home knows. */
static Status compare_marker(SinkRun *run, Error *error) {
    Engine *e = run->engine;
    int64_t epoch = 0, generation = 0, wait_us = 0;
    Status status;
    while ((status = run->sink->type->marker(run->sink, &epoch, &generation, error)) == AGAIN) {
        sink_tell_state(run, error->text);
        sink_back_off(e, &wait_us);
        if (closing(e)) return AGAIN;
    }
    if (status != OK) return status;
    sink_tell_state(run, "");
    mutex_lock(&e->lock);
    int64_t committed = e->committed_epoch, known = run->delivered_epoch;
    mutex_unlock(&e->lock);
    mutex_lock(&e->home_lock);
    int64_t last = home_generation_end(e->home, generation);
    mutex_unlock(&e->home_lock);
    bool reset = e->options.reset && strcmp(e->options.reset, run->plan->table->name) == 0;
    if (generation && epoch > last && epoch <= committed && !reset)
        return fail(error,
                    "sink %s: epoch %" PRId64 " was delivered by a run of generation %" PRId64
                    ", which made epochs up to %" PRId64
                    " of this home: a process went on with a copy of it. End that one; what it "
                    "delivered may be there twice, or stand for rows that are missing; leat run "
                    "--reset %s goes on all the same",
                    run->plan->table->name, epoch, generation, last, run->plan->table->name);
    if (epoch > committed)
        return fail(
            error,
            "sink %s: epoch %" PRId64 " was delivered, but the home stands at %" PRId64
            ": it is an old copy; put back the newest home, or start over with leat run --fresh",
            run->plan->table->name, epoch, committed);
    if (epoch && epoch < known)
        return fail(error,
                    "sink %s went back: the home delivered epoch %" PRId64
                    ", outside stands %" PRId64 "; epochs %" PRId64 " to %" PRId64
                    " are lost there; restore it, or start over with leat run --fresh",
                    run->plan->table->name, known, epoch, epoch + 1, known);
    return epoch > known ? take_over(run, known, epoch, error) : OK;
}

/* One try. What the sink refuses is in the home before the far side commits. */
static Status try_delivery(SinkRun *run, const Delivery *delivery, Error *error) {
    Engine *e = run->engine;
    const SinkType *type = run->sink->type;
    refusals_clear(&run->refused);
    fault_at(e->env, "deliver.begin");
    if (!type->send) return type->deliver(run->sink, delivery->epoch, delivery->rows, error);
    Status status = type->send(run->sink, delivery, error);
    if (status == END) return OK; /* it stands there, and so does what was refused in the home */
    if (status != OK) return status;
    fault_at(e->env, "deliver.sent");
    status = refusals_keep(run, delivery->number ? delivery->number : delivery->epoch, error);
    return status == OK ? type->commit(run->sink, error) : status;
}

static void renew_later(SinkRun *run) {
    run->renew_at_us =
        run->renew_us == INT64_MAX ? INT64_MAX : engine_now(run->engine) + run->renew_us;
}

Status sink_deliver(SinkRun *run, const Delivery *delivery, Error *error) {
    int64_t wait_us = 0;
    Status status;
    while ((status = try_delivery(run, delivery, error)) == AGAIN) {
        run->again = true;
        if (wait_us) sink_tell_state(run, error->text); /* what the next try mends is no news */
        sink_back_off(run->engine, &wait_us);
        if (closing(run->engine)) return AGAIN;
    }
    if (status != OK) return status;
    run->again = false;
    fault_at(run->engine->env, "deliver.committed");
    sink_tell_state(run, "");
    if (run->renew_at_us) renew_later(run);
    return OK;
}

static Status deliver_one(SinkRun *run, Buffer *blob, bool *idle, Error *error) {
    Engine *e = run->engine;
    int64_t epoch = 0;
    *idle = false;
    mutex_lock(&e->home_lock);
    Status status = home_outbox_next(e->home, run->plan->table->name, run->delivered_epoch, &epoch,
                                     blob, error);
    mutex_unlock(&e->home_lock);
    if (status == END) {
        *idle = true;
        return OK;
    }
    if (status != OK) return FAIL;
    const Delivery delivery = {.epoch = epoch, .rows = buffer_str(blob)};
    status = sink_deliver(run, &delivery, error);
    if (status != OK) return status;
    mutex_lock(&e->lock);
    run->delivered_epoch = epoch;
    run->owed_bytes -= (int64_t)blob->size;
    if (run->owed_bytes < 0) run->owed_bytes = 0;
    e->dirty = true;
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    atomic_store(&run->report->epoch, epoch);
    return OK;
}

Status sink_renew(SinkRun *run, Error *error) {
    int64_t wait_us = 0;
    Status status = OK;
    run->renew_us = INT64_MAX;
    while (run->sink->type->idle &&
           (status = run->sink->type->idle(run->sink, &run->renew_us, error)) == AGAIN) {
        sink_tell_state(run, error->text);
        sink_back_off(run->engine, &wait_us);
        if (closing(run->engine)) return AGAIN;
    }
    if (status == OK) sink_tell_state(run, "");
    renew_later(run);
    return status;
}

/* Nothing is owed. Waits for the next commit, or until the marker is to be renewed. */
static Status rest(SinkRun *run, int64_t committed, Error *error) {
    Engine *e = run->engine;
    int64_t now = engine_now(e);
    mutex_lock(&e->lock);
    if (committed >= run->owed_until) {
        run->settled = true;
        run->owed_bytes = 0; /* epochs that an earlier run had delivered were counted too */
    }
    cond_signal(&e->wake);
    while (!e->closing && e->committed_epoch == committed && now < run->renew_at_us) {
        if (run->renew_at_us == INT64_MAX) cond_wait(&e->room, &e->lock);
        else engine_wait(e, &e->room, run->renew_at_us - now);
        now = engine_now(e);
    }
    bool due = !e->closing && now >= run->renew_at_us;
    mutex_unlock(&e->lock);
    return due ? sink_renew(run, error) : OK;
}

void *sink_outbox_thread(void *context) {
    SinkRun *run = context;
    Engine *e = run->engine;
    Buffer blob = {0};
    Error error = {0};
    Status status = compare_marker(run, &error);
    run->again = true; /* what the home holds of the first delivery may be of an earlier try */
    while (status == OK) {
        bool idle;
        mutex_lock(&e->lock);
        int64_t committed = e->committed_epoch;
        mutex_unlock(&e->lock);
        status = deliver_one(run, &blob, &idle, &error);
        if (status == OK && idle) status = rest(run, committed, &error);
        if (closing(e)) break;
    }
    if (status == FAIL) engine_fail(e, &error);
    buffer_free(&blob);
    return NULL;
}
