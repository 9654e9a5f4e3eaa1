/* The producer of a sink: how it is set up, rows into its queue, and what its reports say of them.
 * An error of a row is one of three kinds: the row alone will never be taken, nothing ever will, or
 * it passes. All is called by the sink's own thread, reports too. */
#include "base/log.h"
#include "connector/kafka/sink.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FULL_MS = 5,               /* between two tries while the queue is full */
    NAME_EVERY = 64,           /* rows */
    MISSING_MOST_US = 3000000, /* a broker may make a topic that is asked for, or not know yet of
                                  one that was just made */
    BATCH_BYTES = 1000000,     /* the client's own limit */
    BATCH_LEAST_BYTES = 4096,  /* below, rows go one by one */
};

/* partitioner: as Kafka's own clients, so that topics can be joined by partition. At least once
 * rows wait for ever, since a broker that is away is no reason to lose them, and go out one request
 * at a time, so that what is sent again keeps its order on clusters without producers' numbers,
 * too. */
#define DEFAULTS                                                                                   \
    {"client.id", "leat"}, {"linger.ms", "5"}, {"compression.codec", "lz4"},                       \
        {"partitioner", "murmur2_random"}, {"reconnect.backoff.max.ms", "1000"}, {                 \
        "queue.buffering.max.kbytes", "16384"                                                      \
    }

const KafkaSetting kafka_sink_defaults_once[] = {DEFAULTS,
                                                 {"transaction.timeout.ms", "60000"},
                                                 {"max.in.flight.requests.per.connection", "5"},
                                                 {0}};
const KafkaSetting kafka_sink_defaults[] = {
    DEFAULTS, {"message.timeout.ms", "0"}, {"max.in.flight.requests.per.connection", "1"}, {0}};
const KafkaSetting kafka_sink_fixed_once[] = {
    {"enable.idempotence", "true"}, {"delivery.report.only.error", "true"}, {0}};
const KafkaSetting kafka_sink_fixed[] = {{"delivery.report.only.error", "true"}, {0}};

/* ---- errors ---- */

bool kafka_refuses_row(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return true;
    default: return false;
    }
}

bool kafka_never(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT: return true;
    default: return false;
    }
}

/* Why a row is refused, for people. */
static void kafka_reason(const KafkaSink *k, rd_kafka_resp_err_t code, size_t bytes, Error *error) {
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        (void)fail(error,
                   "a row of %zu bytes is larger than topic '%s' takes; raise "
                   "\"message.max.bytes\" of the table and max.message.bytes of the topic",
                   bytes, k->topic);
    else
        (void)fail(error, "topic '%s' at %s did not take the row: %s", k->topic, k->client.servers,
                   rd_kafka_err2str(code));
}

Status kafka_refuse(KafkaSink *k, Str key, Str value, rd_kafka_resp_err_t code, Error *error) {
    Error reason;
    kafka_reason(k, code, key.size + value.size, &reason);
    if (!k->context.refuse) return fail(error, "%s: %s", k->what, reason.text);
    k->context.refuse(k->context.refuse_to, value.data ? value : key, reason.text);
    return OK;
}

/* ---- reports ---- */

void kafka_bad_add(BadRows *bad, size_t at, rd_kafka_resp_err_t code) {
    if (bad->count == bad->room) {
        bad->room = bad->room ? bad->room * 2 : 16;
        bad->rows = xrealloc(bad->rows, bad->room * sizeof *bad->rows);
    }
    bad->rows[bad->count++] = (BadRow){at, code};
}

static void add_part(Buffer *out, const void *data, size_t size) {
    buffer_add_varint(out, data ? size + 1 : 0);
    buffer_add_str(out, (Str){data, data ? size : 0});
}

/* Only rows that were not taken are reported. */
static void on_report(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context) {
    (void)handle;
    KafkaClient *client = context;
    KafkaSink *k = (KafkaSink *)(void *)((char *)client - offsetof(KafkaSink, client));
    rd_kafka_resp_err_t code = message->err;
    bool purged =
        code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    /* A producer that died throws away what it had, which is sent again; else we did. */
    if (!code || (purged && (k->context.exactly_once || k->dropping))) return;
    if (!kafka_refuses_row(code) && !k->context.exactly_once && !kafka_never(code)) {
        k->lost_code = code;
        add_part(&k->lost, message->key, message->key_len);
        add_part(&k->lost, message->payload, message->len);
        return;
    }
    if (!kafka_refuses_row(code)) {
        rd_kafka_resp_err_t known = (rd_kafka_resp_err_t)atomic_load(&client->failed);
        if (!kafka_never(known)) atomic_store(&client->failed, (int)code);
        return;
    }
    size_t at = (size_t)(uintptr_t)message->_private;
    if (!k->context.exactly_once) {
        at = k->back.size;
        add_part(&k->back, message->key, message->key_len);
        add_part(&k->back, message->payload, message->len);
    }
    kafka_bad_add(&k->bad, at, code);
}

Status kafka_check_reports(KafkaSink *k, Error *error) {
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&k->client.failed);
    char why[512];
    if (kafka_never(code))
        return fail(error, "%s: topic '%s' at %s did not take a row: %s", k->what, k->topic,
                    k->client.servers, rd_kafka_err2str(code));
    if (code) {
        (void)fail(error, "topic '%s' at %s: %s", k->topic, k->client.servers,
                   rd_kafka_err2str(code));
        return AGAIN;
    }
    code = rd_kafka_fatal_error(k->client.handle, why, sizeof why);
    if (!code) return OK;
    (void)fail(error, "topic '%s' at %s: %s", k->topic, k->client.servers, why);
    return AGAIN;
}

/* ---- the producer ---- */

void kafka_drop_producer(KafkaSink *k) {
    k->begun = k->open = k->spoiled = k->gap = k->client_looked = false;
    k->bad.count = k->back.size = 0;
    if (!k->client.handle) return;
    k->dropping = true;
    rd_kafka_purge(k->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                         RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(k->client.handle);
    k->client.handle = NULL;
    k->dropping = false;
    k->bad.count = k->back.size = 0;
    atomic_store(&k->client.failed, 0);
}

/* A topic that takes smaller batches than the client makes. */
static Status limit_batches(const KafkaSink *k, rd_kafka_conf_t *conf, Error *error) {
    char number[24], why[512];
    snprintf(number, sizeof number, "%d", k->batch_bytes);
    if (k->batch_bytes && rd_kafka_conf_set(conf, "batch.size", number, why, sizeof why))
        return fail(error, "%s: %s", k->what, why);
    snprintf(number, sizeof number, "%d", k->batch_rows);
    if (k->batch_rows && rd_kafka_conf_set(conf, "batch.num.messages", number, why, sizeof why))
        return fail(error, "%s: %s", k->what, why);
    return OK;
}

void kafka_smaller_batches(KafkaSink *k, int taken_bytes) {
    int half = (k->batch_bytes ? k->batch_bytes : BATCH_BYTES) / 2;
    k->batch_bytes = taken_bytes && taken_bytes < half ? taken_bytes : half;
    if (k->batch_bytes < BATCH_LEAST_BYTES) {
        k->batch_bytes = 0;
        k->batch_rows = 1;
    }
    log_info("%s: topic '%s' takes no batches so large; from now on %s", k->what, k->topic,
             k->batch_rows ? "rows go one by one" : "they are smaller");
    kafka_drop_producer(k);
}

Status kafka_make_producer(KafkaSink *k, Error *error) {
    const bool once = k->context.exactly_once;
    rd_kafka_conf_t *conf =
        kafka_conf(k->context.options, once ? kafka_sink_defaults_once : kafka_sink_defaults,
                   once ? kafka_sink_fixed_once : kafka_sink_fixed, error);
    if (!conf) return FAIL;
    char why[512];
    Status status = limit_batches(k, conf, error);
    if (status == OK && once &&
        rd_kafka_conf_set(conf, "transactional.id", k->group, why, sizeof why))
        status = fail(error, "%s: %s", k->what, why);
    if (status != OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    return kafka_client_new(&k->client, RD_KAFKA_PRODUCER, conf, k->what, error);
}

Status kafka_look_at_topic(KafkaSink *k, Error *error) {
    const struct rd_kafka_metadata *metadata;
    if (k->looked && k->client_looked) return OK;
    Status status = kafka_look(&k->client, k->topic, &metadata, error);
    if (status == OK) {
        rd_kafka_metadata_destroy(metadata);
        k->looked = k->client_looked = true;
        return OK;
    }
    if (status == AGAIN) rd_kafka_poll(k->client.handle, 0);
    if (k->looked || status == AGAIN) return AGAIN;
    int64_t now_us = k->context.env->monotonic_us(k->context.env);
    if (!k->missing_since_us) k->missing_since_us = now_us;
    if (status == REJECT && now_us - k->missing_since_us < MISSING_MOST_US) return AGAIN;
    Error reason = *error;
    return fail(error, "%s: %s", k->what, reason.text);
}

/* ---- rows ---- */

static Str read_part(Reader *r) {
    uint64_t size = read_varint(r);
    if (!size) return (Str){0};
    if (r->bad || size - 1 > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return (Str){0};
    }
    Str part = {r->at, (size_t)size - 1};
    r->at += size - 1;
    return part;
}

bool kafka_next_row(Reader *r, Str *key, Str *value) {
    if (r->at >= r->end) return false;
    *key = read_part(r);
    *value = read_part(r);
    return !r->bad;
}

/* Every row says its epoch; the first one, the last one and now and then another also whose it is:
 * enough for tail.c, and each header costs as much as the rest of a row. (The last one, since
 * compaction keeps it.) */
static rd_kafka_headers_t *headers_of(const KafkaSink *k, bool named) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(named ? 2 : 1);
    rd_kafka_header_add(headers, EPOCH_HEADER, sizeof EPOCH_HEADER - 1, k->epoch_text,
                        k->epoch_size);
    if (named)
        rd_kafka_header_add(headers, SINK_HEADER, sizeof SINK_HEADER - 1, k->group,
                            (ssize_t)strlen(k->group));
    return headers;
}

static rd_kafka_resp_err_t produce(KafkaSink *k, Str key, Str value, size_t at) {
    void *bytes = (void *)(uintptr_t)value.data, *opaque = (void *)(uintptr_t)at;
    if (!k->context.exactly_once)
        return rd_kafka_producev(k->client.handle, RD_KAFKA_V_TOPIC(k->topic),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(key.data, key.size),
                                 RD_KAFKA_V_VALUE(bytes, value.size), RD_KAFKA_V_END);
    rd_kafka_headers_t *headers = headers_of(k, k->last || k->named % NAME_EVERY == 0);
    rd_kafka_resp_err_t code =
        rd_kafka_producev(k->client.handle, RD_KAFKA_V_TOPIC(k->topic), RD_KAFKA_V_MSGFLAGS(0),
                          RD_KAFKA_V_KEY(key.data, key.size), RD_KAFKA_V_VALUE(bytes, value.size),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code) rd_kafka_headers_destroy(headers); /* else they are the client's */
    else k->named++;
    return code;
}

Status kafka_produce_row(KafkaSink *k, Str key, Str value, size_t at, Error *error) {
    for (int waited_ms = 0;; waited_ms += FULL_MS) {
        rd_kafka_resp_err_t code = produce(k, key, value, at);
        if (!code) return OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) return REJECT;
            (void)fail(error, "topic '%s' at %s: %s", k->topic, k->client.servers,
                       rd_kafka_err2str(code));
            return AGAIN;
        }
        if (waited_ms > PATIENCE_MS || k->stopping)
            return kafka_away(&k->client, "rows are not acknowledged", error);
        rd_kafka_poll(k->client.handle, FULL_MS);                  /* what is taken wakes nobody */
        if (k->context.exactly_once && k->bad.count) return AGAIN; /* nothing moves any more */
    }
}
