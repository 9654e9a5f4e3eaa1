/* A Kafka sink, exactly once: rows go out in one transaction together with the marker (marker.c),
 * by position also with how far the sources were read.
 *
 * A row that the topic will never take spoils its transaction. So nothing is committed before all
 * rows are acknowledged; of a batch that came back, the rows are tried in smaller groups, in
 * transactions that are thrown away, until each of the refused rows was seen to be refused alone.
 */
#include "base/log.h"
#include "connector/kafka/sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FLUSH_MS = 10,        /* between two looks at what came back */
    STATE_MS = 500,       /* between two looks at the transaction's state while nothing moves */
    METADATA_BYTES = 160, /* of a marker */
    ABORT_MS = 30,        /* about what the broker needs to end a transaction */
    CHUNKS = 32,          /* of rows among which refused ones are looked for */
};

static const int64_t renew_us = INT64_C(86400) * 1000000;

/* ---- one transaction ---- */

/* A new transaction; one that is open is thrown away with its rows. When rows came back the broker
 * misses their numbers. The client learns it from the failure of the next one that would be taken,
 * and then needs half a second to count anew; a new producer is there in less, if it waits until
 * the broker is through with the old one's. But after row upon row that is refused, the next one
 * probably is, too, and needs neither. */
static Status begin_anew(KafkaSink *k, Error *error) {
    k->spoiled = k->bad.count > 0 || k->gap;
    k->gap = false;
    if (k->open) {
        rd_kafka_error_t *failed = kafka_insist(k, rd_kafka_abort_transaction, PATIENCE_MS);
        if (failed) {
            rd_kafka_error_destroy(failed);
            kafka_drop_producer(k);
        }
        k->open = false;
    }
    if (k->spoiled && k->refused_run < 2) {
        if (k->client.handle) rd_kafka_poll(k->client.handle, ABORT_MS);
        kafka_drop_producer(k);
    }
    k->bad.count = 0;
    Status status = kafka_begin(k, error);
    if (status != OK) return status;
    atomic_store(&k->client.failed, 0);
    rd_kafka_error_t *failed = rd_kafka_begin_transaction(k->client.handle);
    if (failed) return kafka_transaction_failed(k, failed, "begin a transaction", error);
    k->open = true;
    return OK;
}

/* The state of a transaction is told by its calls alone; this one does nothing. */
static rd_kafka_error_t *transaction_error(KafkaSink *k) {
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(k->group);
    rd_kafka_error_t *failed =
        rd_kafka_send_offsets_to_transaction(k->client.handle, none, group, SLICE_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(none);
    return failed;
}

/* Whether a transaction failed since rows came back; then their reports are there. */
static bool came_back(KafkaSink *k, const rd_kafka_error_t *failed) {
    if (kafka_refuses_row(rd_kafka_error_code(failed)))
        for (int i = 0; i < 200 && !k->bad.count; i++) rd_kafka_poll(k->client.handle, FLUSH_MS);
    return k->bad.count > 0;
}

/* Waits until every row is acknowledged. AGAIN with k->bad: some were refused. */
static Status settle(KafkaSink *k, Error *error) {
    int left = rd_kafka_outq_len(k->client.handle);
    for (int still_ms = 0; rd_kafka_flush(k->client.handle, FLUSH_MS); still_ms += FLUSH_MS) {
        if (k->bad.count) return AGAIN;
        if (atomic_load(&k->client.failed)) break;
        int now = rd_kafka_outq_len(k->client.handle);
        if (now < left) still_ms = 0;
        left = now;
        if (k->stopping || still_ms > PATIENCE_MS) {
            (void)kafka_away(&k->client, "rows are not acknowledged", error);
            kafka_drop_producer(k);
            return AGAIN;
        }
        rd_kafka_error_t *failed = still_ms % STATE_MS ? NULL : transaction_error(k);
        if (failed && !came_back(k, failed) && !rd_kafka_error_is_retriable(failed))
            return kafka_transaction_failed(k, failed, "send rows", error);
        if (failed) rd_kafka_error_destroy(failed);
    }
    if (k->bad.count) return AGAIN;
    rd_kafka_error_t *failed = k->spoiled ? transaction_error(k) : NULL;
    if (failed)
        return came_back(k, failed) ? AGAIN
                                    : kafka_transaction_failed(k, failed, "send rows", error);
    Status status = kafka_check_reports(k, error);
    if (status != OK) kafka_drop_producer(k);
    return status;
}

/* What became of a row that could not be queued: reports say why. */
static Status produce_failed(KafkaSink *k, Error *error) {
    rd_kafka_poll(k->client.handle, 0);
    if (k->bad.count) return AGAIN;
    rd_kafka_error_t *failed = transaction_error(k);
    if (failed && !came_back(k, failed))
        return kafka_transaction_failed(k, failed, "send rows", error);
    if (failed) rd_kafka_error_destroy(failed);
    if (k->bad.count) return AGAIN;
    if (kafka_check_reports(k, error) == FAIL) return FAIL;
    kafka_drop_producer(k);
    return AGAIN;
}

static Status send_row(KafkaSink *k, Str rows, size_t at, size_t *next, Error *error) {
    Str key, value;
    Reader r = reader_of((Str){rows.data + at, rows.size - at});
    if (!kafka_next_row(&r, &key, &value))
        return fail(error, "%s: a damaged row is owed to it; leat run --fresh starts over",
                    k->what);
    *next = (size_t)(r.at - rows.data);
    k->last = *next == rows.size;
    Status status = kafka_produce_row(k, key, value, at, error);
    if (status == REJECT) kafka_bad_add(&k->refused, at, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    if (status == AGAIN) return produce_failed(k, error);
    return status == REJECT ? OK : status;
}

static int by_place(const void *a, const void *b) {
    const BadRow *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* All rows but those known as refused. */
static Status try_all_once(KafkaSink *k, Str rows, Error *error) {
    Status status = begin_anew(k, error);
    size_t known = 0, count = k->refused.count;
    int sent = 0;
    k->named = 0;
    if (count) qsort(k->refused.rows, count, sizeof *k->refused.rows, by_place);
    for (size_t at = 0, next; at < rows.size && status == OK; at = next) {
        if (known < count && k->refused.rows[known].at == at) {
            Str key, value;
            Reader r = reader_of((Str){rows.data + at, rows.size - at});
            known++;
            (void)kafka_next_row(&r, &key, &value);
            next = (size_t)(r.at - rows.data);
            continue;
        }
        status = send_row(k, rows, at, &next, error);
        if (++sent % 1024 == 0) rd_kafka_poll(k->client.handle, 0);
        if (k->bad.count) status = AGAIN;
    }
    return status == OK ? settle(k, error) : status;
}

static Status try_all(KafkaSink *k, Str rows, Error *error) {
    Status status = try_all_once(k, rows, error);
    return status == AGAIN && k->gap ? try_all_once(k, rows, error) : status;
}

/* ---- rows that are refused ---- */

/* Rows from *from on, `size` at a time, in a transaction that will be thrown away. OK: all are
 * taken; AGAIN with k->bad: those from *from on are not. */
static Status try_chunks(KafkaSink *k, Str rows, const BadRow *some, size_t count, size_t size,
                         size_t *from, Error *error) {
    Status status = begin_anew(k, error);
    while (status == OK && *from < count) {
        size_t next, bytes = 0, end = count - *from < size ? count : *from + size;
        for (size_t i = *from; i < end && status == OK; i++) {
            status = send_row(k, rows, some[i].at, &next, error);
            bytes += status == OK ? next - some[i].at : 0;
        }
        if (status == OK) status = settle(k, error);
        if (status != OK) break;
        *from = end;
        k->refused_run = 0;
        if (bytes > k->taken_bytes) k->taken_bytes = bytes;
    }
    return status;
}

/* Of rows that were not taken together each that is not taken alone is refused. A failure costs
 * much more than a row that is taken, so chunks go out until one fails, then that one in smaller
 * ones. */
static Status find_refused(KafkaSink *k, Str rows, const BadRow *some, size_t count, Error *error) {
    size_t size = (count + CHUNKS - 1) / CHUNKS;
    for (size_t from = 0; from < count;) {
        if (k->stopping) return kafka_away(&k->client, "stopped", error);
        bool again = k->gap;
        Status status = try_chunks(k, rows, some, count, size, &from, error);
        if (status == OK) break;
        if (status == AGAIN && k->gap && !again) continue;
        if (status == FAIL || !k->bad.count) return status;
        size_t part = count - from < size ? count - from : size;
        k->refused_run = part == 1 ? k->refused_run + 1 : 0;
        if (part == 1) kafka_bad_add(&k->refused, some[from].at, k->bad.rows[0].code);
        else status = find_refused(k, rows, some + from, part, error);
        if (part > 1 && status != OK) return status;
        from += part;
    }
    return OK;
}

/* Rows came back: finds those that are to be left out. */
static Status sort_out(KafkaSink *k, Str rows, Error *error) {
    size_t before = k->refused.count, count = k->bad.count;
    BadRow *some = xmalloc(count * sizeof *some);
    memcpy(some, k->bad.rows, count * sizeof *some);
    qsort(some, count, sizeof *some, by_place);
    Status status = OK;
    if (count == 1 || k->batch_rows == 1) {
        for (size_t i = 0; i < count; i++) kafka_bad_add(&k->refused, some[i].at, some[i].code);
    } else {
        k->taken_bytes = 0;
        k->refused_run = 0;
        status = find_refused(k, rows, some, count, error);
        if (status == OK && k->refused.count == before)
            kafka_smaller_batches(k, k->taken_bytes > INT32_MAX ? INT32_MAX : (int)k->taken_bytes);
    }
    free(some);
    return status;
}

static Status tell_refused(KafkaSink *k, Str rows, Error *error) {
    Status status = OK;
    if (k->refused.count) qsort(k->refused.rows, k->refused.count, sizeof(BadRow), by_place);
    for (size_t i = 0; i < k->refused.count && status == OK; i++) {
        const BadRow *row = &k->refused.rows[i];
        Str key, value;
        Reader r = reader_of((Str){rows.data + row->at, rows.size - row->at});
        if (kafka_next_row(&r, &key, &value))
            status = kafka_refuse(k, key, value, row->code, error);
    }
    if (status != OK) kafka_drop_producer(k);
    return status;
}

/* ---- sending ---- */

/* The source partitions' offsets as they will stand. */
static void next_positions(KafkaSink *k, const Delivery *d) {
    if (k->next_positions) rd_kafka_topic_partition_list_destroy(k->next_positions);
    k->next_positions = rd_kafka_topic_partition_list_new(d->position_count + 1);
    for (int i = 0; i < d->position_count; i++) {
        const SinkPosition *p = &d->positions[i];
        kafka_add_offset(k->next_positions, option_text(k->sources[p->source].options, "topic", ""),
                         p->partition, p->position, NULL);
    }
}

static bool stands(const KafkaSink *k, const Delivery *d) {
    if (k->context.by_position) return k->ours && k->marker.number >= d->number;
    return k->marker.epoch >= d->epoch;
}

/* What was sent stands outside. */
static void take_over(KafkaSink *k) {
    k->marker = k->next;
    k->absent = k->unsure = k->open = false;
    k->ours = true;
    k->marked_at_us = k->context.env->monotonic_us(k->context.env);
    for (int i = 0; k->next_positions && i < k->next_positions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &k->next_positions->elems[i];
        if (!k->positions) k->positions = rd_kafka_topic_partition_list_new(8);
        rd_kafka_topic_partition_t *known =
            rd_kafka_topic_partition_list_find(k->positions, p->topic, p->partition);
        if (!known) known = rd_kafka_topic_partition_list_add(k->positions, p->topic, p->partition);
        known->offset = p->offset;
    }
}

Status kafka_sink_send(Sink *sink, const Delivery *d, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = kafka_begin(k, error);
    if (status != OK) return status;
    if (k->context.by_position) next_positions(k, d);
    k->next = (SinkMarker){k->context.generation, d->epoch, d->number};
    if (stands(k, d)) { /* a commit whose answer was lost, or an earlier run's */
        if (k->context.by_position) take_over(k);
        return END;
    }
    k->epoch_size = snprintf(k->epoch_text, sizeof k->epoch_text, "%" PRId64, d->epoch);
    if (k->refused_of.epoch != d->epoch || k->refused_of.number != d->number) k->refused.count = 0;
    k->refused_of = k->next; /* what is found is not looked for again */
    while ((status = try_all(k, d->rows, error)) == AGAIN && k->bad.count) {
        atomic_store(&k->client.quiet, true);
        status = sort_out(k, d->rows, error);
        if (status != OK) break;
    }
    return status == OK ? tell_refused(k, d->rows, error) : status;
}

/* The offsets into the open transaction, the marker among them. */
static rd_kafka_error_t *send_offsets(KafkaSink *k, const SinkMarker *marker,
                                      const rd_kafka_topic_partition_list_t *positions) {
    char text[METADATA_BYTES];
    int size = snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %s", marker->generation,
                        marker->epoch, k->run);
    if (marker->number)
        snprintf(text + size, sizeof text - (size_t)size, " %" PRId64, marker->number);
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(positions ? positions->cnt + 1 : 1);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(k->group);
    kafka_add_offset(list, k->topic, 0, marker->epoch, text);
    for (int i = 0; positions && i < positions->cnt; i++)
        kafka_add_offset(list, positions->elems[i].topic, positions->elems[i].partition,
                         positions->elems[i].offset, text);
    rd_kafka_error_t *failed = NULL;
    for (int waited_ms = 0;; waited_ms += SLICE_MS) {
        failed = rd_kafka_send_offsets_to_transaction(k->client.handle, list, group, SLICE_MS);
        if (!failed || !rd_kafka_error_is_retriable(failed) || k->stopping ||
            waited_ms > PATIENCE_MS)
            break;
        rd_kafka_error_destroy(failed);
    }
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    return failed;
}

static Status commit_with(KafkaSink *k, const rd_kafka_topic_partition_list_t *positions,
                          Error *error) {
    rd_kafka_error_t *failed = send_offsets(k, &k->next, positions);
    if (failed) return kafka_transaction_failed(k, failed, "write the marker", error);
    k->unsure = true;
    failed = kafka_insist(k, rd_kafka_commit_transaction, COMMIT_MS);
    if (failed) return kafka_transaction_failed(k, failed, "commit a transaction", error);
    take_over(k);
    kafka_back(&k->client);
    return OK;
}

Status kafka_sink_commit(Sink *sink, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    if (k->open) return commit_with(k, k->next_positions, error);
    (void)fail(error, "topic '%s': there is no transaction to commit", k->topic);
    return AGAIN;
}

/* An empty transaction writes the marker again: Kafka forgets offsets of a group that nobody joins
 * when they are not written for days, and the producer's own numbers with them. At a start also
 * where there is none yet, so that an older run on a copy of the home finds it. */
Status kafka_sink_idle(Sink *sink, int64_t *next_us, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    int64_t every = k->context.renew_us ? k->context.renew_us : renew_us;
    Status status = kafka_begin(k, error);
    if (status != OK) return status;
    int64_t now = k->context.env->monotonic_us(k->context.env);
    *next_us = every;
    if (k->ours && k->marked_at_us && now - k->marked_at_us < every) {
        *next_us = k->marked_at_us + every - now;
        return OK;
    }
    k->next = k->marker;
    k->next.generation = k->context.generation;
    if (!k->context.by_position) k->next.number = 0; /* that of an earlier time says nothing now */
    if (k->next_positions) rd_kafka_topic_partition_list_destroy(k->next_positions);
    k->next_positions = NULL;
    if ((status = begin_anew(k, error)) != OK) return status;
    return commit_with(k, k->positions, error);
}

void kafka_transaction_close(KafkaSink *k) {
    if (k->positions) rd_kafka_topic_partition_list_destroy(k->positions);
    if (k->next_positions) rd_kafka_topic_partition_list_destroy(k->next_positions);
    free(k->refused.rows);
}
