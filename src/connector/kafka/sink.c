/* A topic as a sink: opening, rows as bytes, and at least once: rows are produced at once and
 * acknowledged before the epoch that counts them. What comes back as refused is sent again by
 * halves until each refused row stands alone; that becomes a dead letter. Exactly once is
 * transaction.c's. */
#include "connector/kafka/sink.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    POLL_EVERY = 1024, /* rows */
};

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    /* A first look at the properties, so that a wrong one is told at the start. */
    rd_kafka_conf_t *conf =
        kafka_conf(context->options, NULL,
                   context->exactly_once ? kafka_sink_fixed_once : kafka_sink_fixed, error);
    if (!conf) return FAIL;
    rd_kafka_conf_destroy(conf);
    KafkaSink *k = xcalloc(1, sizeof *k);
    Buffer text = {0};
    uint64_t run;
    k->sink.type = &kafka_sink;
    k->sink.way = context->by_position    ? SINK_BY_POSITION
                  : context->exactly_once ? SINK_BY_OUTBOX
                                          : SINK_AT_ONCE;
    k->context = *context;
    k->unsure = context->owed;
    size_t sources = (size_t)context->source_count;
    k->sources = xcalloc(sources + 1, sizeof *k->sources);
    if (sources) memcpy(k->sources, context->sources, sources * sizeof *k->sources);
    k->topic = option_text(context->options, "topic", "");
    kafka_client_open(&k->client, context->options);
    buffer_add_format(&text, "leat.%s.%s", context->home_id, context->table);
    buffer_add_char(&text, 0);
    k->group = text.data;
    text = (Buffer){0};
    buffer_add_format(&text, "sink %s", context->table);
    buffer_add_char(&text, 0);
    k->what = text.data;
    context->env->random_bytes(context->env, &run, sizeof run);
    snprintf(k->run, sizeof k->run, "%016" PRIx64, run);
    *out = &k->sink;
    return OK;
}

/* ---- rows to bytes: of the key its size + 1 (0: null) as varint, then itself; the value likewise
 * ---- */

static void add_part(Buffer *out, Str part) {
    buffer_add_varint(out, part.size + 1);
    buffer_add_str(out, part);
}

static void add_key(KafkaSink *k, const Batch *batch, int row, Buffer *out) {
    const SinkContext *context = &k->context;
    k->scratch.size = 0;
    if (context->key_count == 1) {
        Value value = column_value(&batch->columns[context->keys[0]], row);
        if (!value.null) value_text(value, &k->scratch);
        if (value.null) buffer_add_varint(out, 0);
        else add_part(out, buffer_str(&k->scratch));
        return;
    }
    if (!context->key_count) {
        buffer_add_varint(out, 0);
        return;
    }
    for (int i = 0; i < context->key_count; i++) {
        buffer_add_char(&k->scratch, i ? ',' : '[');
        value_json(column_value(&batch->columns[context->keys[i]], row), &k->scratch);
    }
    buffer_add_char(&k->scratch, ']');
    add_part(out, buffer_str(&k->scratch));
}

static void encode_row(Sink *sink, const Batch *batch, int row, Buffer *out) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    add_key(k, batch, row, out);
    if (batch->ops && batch->ops[row] == ROW_DELETE) {
        buffer_add_varint(out, 0);
        return;
    }
    k->scratch.size = 0;
    json_row(k->context.schema, batch, row, &k->scratch);
    add_part(out, buffer_str(&k->scratch));
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    for (int row = 0; row < batch->rows; row++) encode_row(sink, batch, row, out);
}

static void encode_record(Sink *sink, Str record, Buffer *out) {
    (void)sink;
    buffer_add_varint(out, 0);
    add_part(out, record);
}

/* ---- at least once ---- */

/* Every row from *done on, which says how far it came. */
static Status produce(KafkaSink *k, Str rows, size_t *done, Error *error) {
    Reader r = reader_of((Str){rows.data + *done, rows.size - *done});
    Str key, value;
    for (int count = 1; kafka_next_row(&r, &key, &value); count++) {
        Status status = kafka_produce_row(k, key, value, 0, error);
        if (status == REJECT)
            status = kafka_refuse(k, key, value, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, error);
        if (status != OK) return status;
        *done = (size_t)(r.at - rows.data);
        if (count % POLL_EVERY == 0) rd_kafka_poll(k->client.handle, 0);
    }
    return r.bad ? fail(error, "%s: a damaged row", k->what) : OK;
}

/* With numbers of its own ("enable.idempotence") a producer that lost count is of no use any more.
 */
static bool is_dead(const KafkaSink *k) {
    char why[512];
    return k->client.handle && rd_kafka_fatal_error(k->client.handle, why, sizeof why);
}

/* All that it had came back, and is for the next one. */
static Status make_anew(KafkaSink *k, Error *error) {
    buffer_add_str(&k->lost, buffer_str(&k->back));
    if (!k->lost_code) k->lost_code = RD_KAFKA_RESP_ERR__FATAL;
    kafka_drop_producer(k);
    return kafka_make_producer(k, error);
}

/* Until every row is acknowledged, or came back. */
static Status flush(KafkaSink *k, Error *error) {
    int left = rd_kafka_outq_len(k->client.handle);
    for (int waited_ms = 0; rd_kafka_flush(k->client.handle, SLICE_MS); waited_ms += SLICE_MS) {
        int now = rd_kafka_outq_len(k->client.handle);
        if (now < left) waited_ms = 0;
        left = now;
        if (waited_ms > PATIENCE_MS || k->stopping || k->client.down)
            return kafka_away(&k->client, "rows are not acknowledged", error);
    }
    kafka_back(&k->client);
    return is_dead(k) ? make_anew(k, error) : kafka_check_reports(k, error);
}

static void add_group(KafkaSink *k, Str rows) {
    if (k->group_count == k->group_room) {
        k->group_room = k->group_room ? k->group_room * 2 : 8;
        k->groups = xrealloc(k->groups, (size_t)k->group_room * sizeof *k->groups);
    }
    k->groups[k->group_count] = (BackGroup){0};
    buffer_add_str(&k->groups[k->group_count++].rows, rows);
}

/* What came back becomes two groups, or a dead letter when it is one row alone. */
static Status split_back(KafkaSink *k, Error *error) {
    Status status = OK;
    if (k->bad.count == 1) {
        k->alone = true;
        Reader r = reader_of(buffer_str(&k->back));
        Str key, value;
        if (kafka_next_row(&r, &key, &value))
            status = kafka_refuse(k, key, value, k->bad.rows[0].code, error);
    } else {
        k->split = true;
        size_t half = k->bad.rows[k->bad.count / 2].at;
        add_group(k, (Str){k->back.data + half, k->back.size - half});
        add_group(k, (Str){k->back.data, half});
    }
    k->bad.count = k->back.size = 0;
    return status;
}

/* Rows that were given up are sent again later. */
static Status send_later(KafkaSink *k, Error *error) {
    add_group(k, buffer_str(&k->lost));
    k->lost.size = 0;
    (void)fail(error, "topic '%s' at %s: %s", k->topic, k->client.servers,
               rd_kafka_err2str(k->lost_code));
    return AGAIN;
}

/* Everything that was produced is taken, or refused for good. */
static Status settle(KafkaSink *k, Error *error) {
    for (;;) {
        Status status = flush(k, error);
        if (status != OK) return status;
        if (k->lost.size) return send_later(k, error);
        if (k->bad.count && (status = split_back(k, error)) != OK) return status;
        if (!k->group_count) break;
        BackGroup *group = &k->groups[k->group_count - 1];
        status = produce(k, buffer_str(&group->rows), &group->done, error);
        if (status != OK) return status;
        buffer_free(&group->rows);
        k->group_count--;
    }
    if (k->split && !k->alone) kafka_smaller_batches(k, 0);
    k->split = k->alone = false;
    return OK;
}

static Status write_rows(Sink *sink, Str bytes, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = k->client.handle ? OK : kafka_make_producer(k, error);
    if (status == OK) status = kafka_look_at_topic(k, error);
    bool left = k->bad.count || k->group_count || k->lost.size || is_dead(k);
    if (status == OK && left) status = settle(k, error);
    if (status == OK && !k->client.handle) status = kafka_make_producer(k, error);
    if (status == OK) status = produce(k, bytes, &k->written, error);
    if (status == OK) k->written = 0;
    Status reports = k->client.handle && status != FAIL ? kafka_check_reports(k, error) : OK;
    return reports == OK ? status : reports;
}

static Status sync_rows(Sink *sink, int64_t *length, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    *length = 0;
    return k->client.handle ? settle(k, error) : OK;
}

static void stop_sink(Sink *sink) { atomic_store(&((KafkaSink *)(void *)sink)->stopping, true); }

static void close_sink(Sink *sink) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    kafka_drop_producer(k);
    kafka_transaction_close(k);
    kafka_client_close(&k->client);
    while (k->group_count) buffer_free(&k->groups[--k->group_count].rows);
    free(k->groups);
    buffer_free(&k->scratch);
    buffer_free(&k->back);
    buffer_free(&k->lost);
    free(k->bad.rows);
    free(k->sources);
    free(k->group);
    free(k->known);
    free(k->what);
    free(k);
}

const SinkType kafka_sink = {
    .open = open_sink,
    .encode = encode,
    .encode_row = encode_row,
    .encode_record = encode_record,
    .write = write_rows,
    .sync = sync_rows,
    .marker = kafka_sink_marker,
    .send = kafka_sink_send,
    .commit = kafka_sink_commit,
    .positions = kafka_sink_positions,
    .idle = kafka_sink_idle,
    .stop = stop_sink,
    .close = close_sink,
};
