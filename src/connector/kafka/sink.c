/* A topic as a sink. Exactly once: each epoch's rows go out in one transaction together with a marker, the committed offset
 * of partition 0 in a group of the sink's own that nobody joins, whose metadata says generation and epoch. After any
 * trouble a new producer fences the old one, reads the marker and sends again only what is not there. At least once:
 * rows are produced at once and acknowledged before the epoch that counts them. */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 20000, SLICE_MS = 1000 };

typedef struct KafkaSink {
    Sink sink;
    SinkContext context;
    const char *topic;
    char *group;             /* leat.HOME_ID.SINK: of the marker; also the transactional id */
    rd_kafka_t *producer;    /* NULL: to be made */
    int64_t marker_epoch, marker_generation;
    _Atomic bool stopping;
    _Atomic int failed_code; /* of a delivery report: rd_kafka_resp_err_t */
    Buffer scratch;
} KafkaSink;

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *context) {
    (void)client;
    if (message->err) atomic_store(&((KafkaSink *)context)->failed_code, (int)message->err);
}

static void drop_producer(KafkaSink *k) {
    if (!k->producer) return;
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(k->producer);
    k->producer = NULL;
}

static Status make_producer(KafkaSink *k, Error *error) {
    const KafkaSetting defaults[] = {{"client.id", "leat"}, {"linger.ms", "5"}, {"compression.codec", "lz4"}, {"message.timeout.ms", "60000"},
                                     {"transaction.timeout.ms", "60000"}, {0}};
    const KafkaSetting once[] = {{"transactional.id", k->group}, {"enable.idempotence", "true"}, {0}};
    const KafkaSetting least[] = {{"enable.idempotence", "true"}, {0}};
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, defaults, k->context.exactly_once ? once : least, error);
    if (!conf) return FAIL;
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    char why[512];
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (k->producer) return OK;
    rd_kafka_conf_destroy(conf);
    return fail(error, "sink %s: %s", k->context.table, why);
}

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    KafkaSink *k = xcalloc(1, sizeof *k);
    k->sink.type = &kafka_sink;
    k->sink.way = context->exactly_once ? SINK_BY_OUTBOX : SINK_AT_ONCE;
    k->context = *context;
    k->topic = option_text(context->options, "topic", "");
    Buffer group = {0};
    buffer_add_format(&group, "leat.%s.%s", context->home_id, context->table);
    buffer_add_char(&group, 0);
    k->group = group.data;
    /* A first look at the properties, so that a wrong one is told at the start. */
    rd_kafka_conf_t *conf = kafka_conf(context->options, NULL, NULL, error);
    if (!conf) {
        free(k->group);
        free(k);
        return FAIL;
    }
    rd_kafka_conf_destroy(conf);
    *out = &k->sink;
    return OK;
}

/* ---- rows to bytes: varint size + 1 (0: null) of the key, the key, the same for the value ---- */

static void add_key(KafkaSink *k, const Batch *batch, int row, Buffer *out) {
    if (!k->context.key_count) {
        buffer_add_varint(out, 0);
        return;
    }
    k->scratch.size = 0;
    if (k->context.key_count == 1) {
        Value value = column_value(&batch->columns[k->context.keys[0]], row);
        if (value.null) {
            buffer_add_varint(out, 0);
            return;
        }
        value_text(value, &k->scratch);
    } else {
        for (int i = 0; i < k->context.key_count; i++) {
            buffer_add_char(&k->scratch, i ? ',' : '[');
            value_json(column_value(&batch->columns[k->context.keys[i]], row), &k->scratch);
        }
        buffer_add_char(&k->scratch, ']');
    }
    buffer_add_varint(out, k->scratch.size + 1);
    buffer_add_str(out, buffer_str(&k->scratch));
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    for (int row = 0; row < batch->rows; row++) {
        add_key(k, batch, row, out);
        if (batch->ops && batch->ops[row] == ROW_DELETE) {
            buffer_add_varint(out, 0);
            continue;
        }
        k->scratch.size = 0;
        json_row(k->context.schema, batch, row, &k->scratch);
        buffer_add_varint(out, k->scratch.size + 1);
        buffer_add_str(out, buffer_str(&k->scratch));
    }
}

static void encode_record(Sink *sink, Str record, Buffer *out) {
    (void)sink;
    buffer_add_varint(out, 0);
    buffer_add_varint(out, record.size + 1);
    buffer_add_str(out, record);
}

static Str read_part(Reader *r) {
    uint64_t size = read_varint(r);
    if (!size || r->bad || size - 1 > (uint64_t)(r->end - r->at)) return (Str){0};
    Str part = {r->at, (size_t)size - 1};
    r->at += size - 1;
    return part;
}

/* Hands every row of a blob to the producer; epoch 0: without the header. */
static Status produce(KafkaSink *k, Str blob, int64_t epoch, Error *error) {
    Reader r = reader_of(blob);
    char text[32];
    int size = snprintf(text, sizeof text, "%" PRId64, epoch);
    while (r.at < r.end) {
        Str key = read_part(&r), value = read_part(&r);
        if (r.bad) return fail(error, "sink %s: a damaged row in the outbox; leat run --fresh starts over", k->context.table);
        for (;;) {
            rd_kafka_resp_err_t code =
                epoch ? rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(k->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data, key.size),
                                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_HEADER("leat-epoch", text, size), RD_KAFKA_V_END)
                      : rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(k->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data, key.size),
                                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_END);
            if (!code) break;
            if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                rd_kafka_poll(k->producer, 100);
                if (k->stopping) return AGAIN;
                continue;
            }
            (void)fail(error, "topic '%s': %s", k->topic, rd_kafka_err2str(code));
            return AGAIN;
        }
        rd_kafka_poll(k->producer, 0);
    }
    return OK;
}

/* What to do after a transactional error: all but what can never work is tried again with a new producer. */
static Status judge(KafkaSink *k, rd_kafka_error_t *failed, const char *what, Error *error) {
    if (!failed) return OK;
    rd_kafka_resp_err_t code = rd_kafka_error_code(failed);
    bool never = code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION || code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
                 code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                 code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT;
    if (never)
        (void)fail(error, "sink %s: cannot %s: %s; a cluster without transactions needs delivery = 'at_least_once'", k->context.table, what, rd_kafka_error_string(failed));
    else
        (void)fail(error, "cannot %s at %s: %s", what, option_text(k->context.options, "bootstrap.servers", ""), rd_kafka_error_string(failed));
    bool again_with_same = rd_kafka_error_is_retriable(failed) && strcmp(what, "begin transactions") == 0;
    rd_kafka_error_destroy(failed);
    if (!again_with_same) drop_producer(k);
    return never ? FAIL : AGAIN;
}

/* The committed offset of the marker's group. */
static Status read_marker(KafkaSink *k, Error *error) {
    const KafkaSetting fixed[] = {{"group.id", k->group}, {"enable.auto.commit", "false"}, {0}};
    /* Properties of a producer alone are warned about, not refused, by a consumer. */
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, NULL, NULL, error);
    if (!conf) return FAIL;
    char why[512];
    for (int i = 0; fixed[i].name; i++) rd_kafka_conf_set(conf, fixed[i].name, fixed[i].value, why, sizeof why);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!reader) {
        rd_kafka_conf_destroy(conf);
        return fail(error, "sink %s: %s", k->context.table, why);
    }
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, k->topic, 0);
    rd_kafka_resp_err_t code = rd_kafka_committed(reader, one, TIMEOUT_MS);
    k->marker_epoch = k->marker_generation = 0;
    Status status = OK;
    if (code) {
        (void)fail(error, "cannot read the marker of sink %s: %s", k->context.table, rd_kafka_err2str(code));
        status = AGAIN;
    } else if (one->elems[0].metadata_size) {
        char text[64] = "";
        size_t size = one->elems[0].metadata_size < sizeof text - 1 ? one->elems[0].metadata_size : sizeof text - 1;
        memcpy(text, one->elems[0].metadata, size);
        if (sscanf(text, "%" SCNd64 " %" SCNd64, &k->marker_generation, &k->marker_epoch) != 2)
            status = fail(error, "sink %s: the marker in group %s was not written by Leat", k->context.table, k->group);
    }
    rd_kafka_topic_partition_list_destroy(one);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    if (status == OK && k->marker_generation > k->context.generation)
        return fail(error, "sink %s: a later run of this home (generation %" PRId64 ", ours %" PRId64 ") delivers to it now", k->context.table,
                    k->marker_generation, k->context.generation);
    return status;
}

/* Fences what an earlier producer left open, then reads the marker: in this order nothing can slip between. */
static Status ready(KafkaSink *k, Error *error) {
    if (!k->producer) {
        Status status = make_producer(k, error);
        if (status != OK) return status;
        rd_kafka_error_t *failed = NULL;
        for (int waited = 0; waited < TIMEOUT_MS && !k->stopping; waited += SLICE_MS) {
            failed = rd_kafka_init_transactions(k->producer, SLICE_MS);
            if (!failed || !rd_kafka_error_is_retriable(failed)) break;
            if (waited + SLICE_MS < TIMEOUT_MS) rd_kafka_error_destroy(failed), failed = NULL;
        }
        if (k->stopping) {
            if (failed) rd_kafka_error_destroy(failed);
            drop_producer(k);
            return AGAIN;
        }
        if ((status = judge(k, failed, "begin transactions", error)) != OK) {
            drop_producer(k);
            return status;
        }
        if ((status = read_marker(k, error)) != OK) {
            drop_producer(k);
            return status;
        }
    }
    return OK;
}

static Status marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = ready(k, error);
    *epoch = k->marker_epoch;
    *generation = k->marker_generation;
    return status;
}

static Status deliver(Sink *sink, int64_t epoch, Str blob, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = ready(k, error);
    if (status != OK) return status;
    if (k->marker_epoch >= epoch) return OK;
    if ((status = judge(k, rd_kafka_begin_transaction(k->producer), "begin a transaction", error)) != OK) return status;
    if ((status = produce(k, blob, epoch, error)) != OK) {
        drop_producer(k);
        return status;
    }
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64, k->context.generation, epoch);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(one, k->topic, 0);
    p->offset = epoch;
    p->metadata = strdup(text);
    p->metadata_size = strlen(text);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(k->group);
    rd_kafka_error_t *failed = rd_kafka_send_offsets_to_transaction(k->producer, one, group, TIMEOUT_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(one);
    if ((status = judge(k, failed, "write the marker", error)) != OK) return status;
    do {
        failed = rd_kafka_commit_transaction(k->producer, TIMEOUT_MS);
        if (!failed || !rd_kafka_error_is_retriable(failed) || k->stopping) break;
        rd_kafka_error_destroy(failed);
    } while (true);
    if ((status = judge(k, failed, "commit a transaction", error)) != OK) return status;
    k->marker_epoch = epoch;
    k->marker_generation = k->context.generation;
    return OK;
}

/* ---- at least once ---- */

static Status write_rows(Sink *sink, Str bytes, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    if (!k->producer && make_producer(k, error) != OK) return FAIL;
    return produce(k, bytes, 0, error);
}

static Status sync_rows(Sink *sink, int64_t *length, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    *length = 0;
    if (!k->producer) return OK;
    rd_kafka_resp_err_t code = rd_kafka_flush(k->producer, SLICE_MS);
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
        (void)fail(error, "broker away at %s: %d rows wait", option_text(k->context.options, "bootstrap.servers", ""), rd_kafka_outq_len(k->producer));
        return AGAIN;
    }
    int lost = atomic_exchange(&k->failed_code, 0);
    if (lost)
        return fail(error, "sink %s: topic '%s' did not take a row: %s; rows since the last epoch are sent again at the next start", k->context.table, k->topic,
                    rd_kafka_err2str((rd_kafka_resp_err_t)lost));
    return OK;
}

static void stop_sink(Sink *sink) { atomic_store(&((KafkaSink *)(void *)sink)->stopping, true); }

static void close_sink(Sink *sink) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    drop_producer(k);
    buffer_free(&k->scratch);
    free(k->group);
    free(k);
}

const SinkType kafka_sink = {
    .open = open_sink, .encode = encode, .encode_record = encode_record, .write = write_rows, .sync = sync_rows, .marker = marker, .deliver = deliver, .stop = stop_sink, .close = close_sink,
};
