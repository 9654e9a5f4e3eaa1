/* A topic as a sink. Exactly once: each epoch's rows go out in one transaction together with a
 * marker, the committed offset of partition 0 in a group of the sink's own that nobody joins; its
 * metadata says generation, epoch and which run wrote it. After any trouble the producer is thrown
 * away; a new one first ends what the old one left open, then reads the marker, and sends again
 * only what is not there: whatever became of a commit without an answer, the marker tells. At least
 * once: rows are produced at once and acknowledged before the epoch that counts them.
 *
 * Two runs on copies of one home would fence each other for ever; the run in the marker tells them
 * that they are two, and the second one stops. */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SLICE_MS = 500,      /* between two looks at `stopping` */
    PATIENCE_MS = 10000, /* then the sink says what it waits for */
    COMMIT_MS = 30000,   /* then a commit without an answer is given up, and the marker asked */
    MISSING_LOOKS = 5,   /* a broker may make a topic that is asked for */
    POLL_EVERY = 1024,   /* rows */
};

typedef struct KafkaSink {
    Sink sink;
    SinkContext context;
    KafkaClient client;
    const char *topic;
    char *what;  /* "sink NAME", for messages */
    char *group; /* leat.HOME_ID.SINK: of the marker; also the transactional id */
    char run[17];
    bool begun;        /* the producer may begin transactions */
    bool looked;       /* the topic was seen there */
    int missing_looks; /* since it was not */
    int64_t marker_epoch, marker_generation;
    size_t written; /* of the bytes that write() is called with until it says OK */
    _Atomic bool stopping;
    Buffer scratch; /* the engine's, for encode() */
} KafkaSink;

const KafkaSetting kafka_sink_fixed[] = {{"delivery.report.only.error", "true"}, {0}};
const KafkaSetting kafka_sink_fixed_once[] = {{"enable.idempotence", "true"},
                                              {"delivery.report.only.error", "true"},
                                              {"transactional.id", NULL}, /* the sink's own */
                                              {0}};

/* ---- the producer ---- */

static void on_report(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context) {
    (void)handle;
    if (message->err) atomic_store(&((KafkaClient *)context)->failed, (int)message->err);
}

/* When this returns, nothing looks at the rows any more. */
static void drop_producer(KafkaSink *k) {
    k->begun = false;
    if (!k->client.handle) return;
    rd_kafka_purge(k->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                         RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(k->client.handle);
    k->client.handle = NULL;
    atomic_store(&k->client.failed, 0);
}

/* partitioner: as Kafka's own clients, so that topics can be joined by partition. At least once rows
 * wait for ever, since a broker that is away is no reason to lose them, and go out one request at a
 * time, so that what is sent again keeps its order on clusters without producers' numbers, too. */
static Status make_producer(KafkaSink *k, Error *error) {
    const bool once = k->context.exactly_once;
    const KafkaSetting order = {"max.in.flight.requests.per.connection", once ? "5" : "1"};
    const KafkaSetting defaults[] = {order,
                                     {"client.id", "leat"},
                                     {"linger.ms", "5"},
                                     {"compression.codec", "lz4"},
                                     {"partitioner", "murmur2_random"},
                                     {"reconnect.backoff.max.ms", "1000"},
                                     {"queue.buffering.max.kbytes", "16384"},
                                     {"message.timeout.ms", once ? "60000" : "0"},
                                     {"transaction.timeout.ms", "60000"},
                                     {0}};
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, defaults,
                                       once ? kafka_sink_fixed_once : kafka_sink_fixed, error);
    if (!conf) return FAIL;
    char why[512];
    if (once && rd_kafka_conf_set(conf, "transactional.id", k->group, why, sizeof why)) {
        rd_kafka_conf_destroy(conf);
        return fail(error, "%s: %s", k->what, why);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    return kafka_client_new(&k->client, RD_KAFKA_PRODUCER, conf, k->what, error);
}

/* A first look at the topic: it must be there. */
static Status look(KafkaSink *k, Error *error) {
    const struct rd_kafka_metadata *metadata;
    if (k->looked) return OK;
    Status status = kafka_look(&k->client, k->topic, &metadata, error);
    if (status == AGAIN) rd_kafka_poll(k->client.handle, 0);
    if (status == REJECT && ++k->missing_looks < MISSING_LOOKS) return AGAIN;
    if (status == REJECT || status == FAIL) {
        Error reason = *error;
        return fail(error, "%s: %s", k->what, reason.text);
    }
    if (status != OK) return status;
    rd_kafka_metadata_destroy(metadata);
    k->looked = true;
    return OK;
}

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
    k->sink.way = context->exactly_once ? SINK_BY_OUTBOX : SINK_AT_ONCE;
    k->context = *context;
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

/* ---- producing ---- */

static bool never(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT: return true;
    default: return false;
    }
}

/* A row that the topic will never take. */
static Status refused(KafkaSink *k, rd_kafka_resp_err_t code, size_t size, Error *error) {
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && size)
        return fail(error,
                    "%s: a row of %zu bytes is larger than topic '%s' takes; raise "
                    "\"message.max.bytes\" of the table and max.message.bytes of the topic",
                    k->what, size, k->topic);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return fail(error, "%s: a row is larger than topic '%s' takes; raise its max.message.bytes",
                    k->what, k->topic);
    return fail(error, "%s: topic '%s' did not take a row: %s", k->what, k->topic,
                rd_kafka_err2str(code));
}

/* One row into the producer's queue. AGAIN: no room for long, or stopping. */
static Status produce_row(KafkaSink *k, Str key, Str value, bool lent, Error *error) {
    for (int waited_ms = 0;; waited_ms += SLICE_MS) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            k->client.handle, RD_KAFKA_V_TOPIC(k->topic),
            RD_KAFKA_V_MSGFLAGS(lent ? 0 : RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data, key.size),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_END);
        if (!code) return OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            if (never(code)) return refused(k, code, value.size, error);
            (void)fail(error, "topic '%s': %s", k->topic, rd_kafka_err2str(code));
            return AGAIN;
        }
        if (waited_ms > PATIENCE_MS || k->stopping)
            return kafka_away(&k->client, "rows are not acknowledged", error);
        rd_kafka_poll(k->client.handle, SLICE_MS);
    }
}

/* Every row from *done on, which says how far it came. `lent`: the bytes stay where they are until
 * all is acknowledged. */
static Status produce(KafkaSink *k, Str rows, bool lent, size_t *done, Error *error) {
    Reader r = reader_of((Str){rows.data + *done, rows.size - *done});
    for (int count = 1; r.at < r.end; count++) {
        Str key = read_part(&r), value = read_part(&r);
        if (r.bad)
            return fail(error, "%s: a damaged row is owed to it; leat run --fresh starts over",
                        k->what);
        Status status = produce_row(k, key, value, lent, error);
        if (status != OK) return status;
        *done = (size_t)(r.at - rows.data);
        if (count % POLL_EVERY == 0) rd_kafka_poll(k->client.handle, 0);
    }
    return OK;
}

/* ---- exactly once ---- */

/* After an error of a transaction the producer is gone. All but what can never work is tried again.
 */
static Status trouble(KafkaSink *k, rd_kafka_error_t *failed, const char *verb, Error *error) {
    rd_kafka_resp_err_t code = rd_kafka_error_code(failed);
    rd_kafka_poll(k->client.handle, 0);
    rd_kafka_resp_err_t row = (rd_kafka_resp_err_t)atomic_load(&k->client.failed);
    Status status = AGAIN;
    if (never(row)) {
        status = refused(k, row, 0, error);
    } else if (never(code)) {
        bool none = code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION ||
                    code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
        status =
            fail(error, "%s: cannot %s at %s: %s%s", k->what, verb, k->client.servers,
                 rd_kafka_error_string(failed),
                 none ? "; a cluster without transactions needs delivery = 'at_least_once'" : "");
    } else if (k->client.down) {
        (void)kafka_away(&k->client, rd_kafka_error_string(failed), error);
    } else {
        (void)fail(error, "cannot %s at %s: %s", verb, k->client.servers,
                   rd_kafka_error_string(failed));
    }
    rd_kafka_error_destroy(failed);
    drop_producer(k);
    return status;
}

/* Waits for a call that goes on where it was when it is made again. */
static rd_kafka_error_t *insist(KafkaSink *k, rd_kafka_error_t *(*call)(rd_kafka_t *, int),
                                int most_ms) {
    for (int waited_ms = 0;; waited_ms += SLICE_MS) {
        rd_kafka_error_t *failed = call(k->client.handle, SLICE_MS);
        if (!failed || !rd_kafka_error_is_retriable(failed) || k->stopping || waited_ms > most_ms)
            return failed;
        rd_kafka_error_destroy(failed);
    }
}

/* The marker as it was read against what this run knows. */
static Status judge_marker(KafkaSink *k, const char *text, Error *error) {
    int64_t generation = 0, epoch = 0;
    char run[17] = "";
    if (*text && sscanf(text, "%" SCNd64 " %" SCNd64 " %16s", &generation, &epoch, run) < 2)
        return fail(error, "%s: the marker in group %s was not written by Leat", k->what, k->group);
    bool other = generation == k->context.generation && strcmp(run, k->run) != 0;
    if (generation > k->context.generation || other)
        return fail(error,
                    "%s: %s of this home (generation %" PRId64 ", ours %" PRId64
                    ") delivers to it now; one of the two is a copy: end it",
                    k->what, other ? "another run" : "a later run", generation,
                    k->context.generation);
    if (*text && epoch < k->marker_epoch)
        return fail(error,
                    "%s: topic '%s' went back: epoch %" PRId64 " was delivered, now %" PRId64
                    " stands there; what came between is lost there",
                    k->what, k->topic, k->marker_epoch, epoch);
    k->marker_generation = generation;
    k->marker_epoch = epoch;
    return OK;
}

/* The committed offset of the marker's group. */
static Status read_marker(KafkaSink *k, Error *error) {
    const KafkaSetting own[] = {{"group.id", k->group},
                                {"enable.auto.commit", "false"},
                                {"isolation.level", "read_committed"},
                                {0}};
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, NULL, NULL, error);
    if (!conf) return FAIL;
    KafkaClient client = {0};
    char ignored[512];
    for (int i = 0; own[i].name; i++)
        (void)rd_kafka_conf_set(conf, own[i].name, own[i].value, ignored, sizeof ignored);
    kafka_client_open(&client, k->context.options);
    Status status = kafka_client_new(&client, RD_KAFKA_CONSUMER, conf, k->what, error);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(one, k->topic, 0);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int waited_ms = 0; status == OK && kafka_passing(code); waited_ms += SLICE_MS) {
        code = rd_kafka_committed(client.handle, one, SLICE_MS);
        if (!code) code = p->err;
        if (k->stopping || waited_ms > PATIENCE_MS) break;
    }
    if (status == OK && code) {
        (void)fail(error, "%s%scannot read the marker at %s: %s", never(code) ? k->what : "",
                   never(code) ? ": " : "", client.servers, rd_kafka_err2str(code));
        status = never(code) ? FAIL : AGAIN;
    } else if (status == OK) {
        char text[128] = "";
        size_t size = p->metadata_size < sizeof text ? p->metadata_size : sizeof text - 1;
        if (size) memcpy(text, p->metadata, size);
        status = judge_marker(k, text, error);
    }
    rd_kafka_topic_partition_list_destroy(one);
    if (client.handle) rd_kafka_destroy_flags(client.handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_client_close(&client);
    return status;
}

/* Ends what an earlier producer left open, then reads the marker: in this order nothing can slip
 * between. */
static Status begin(KafkaSink *k, Error *error) {
    if (k->begun) return OK;
    Status status = k->client.handle ? OK : make_producer(k, error);
    if (status == OK) status = look(k, error);
    if (status != OK) return status;
    rd_kafka_error_t *failed = insist(k, rd_kafka_init_transactions, PATIENCE_MS);
    if (failed) return trouble(k, failed, "begin transactions", error);
    if ((status = read_marker(k, error)) == OK) k->begun = true;
    else drop_producer(k);
    return status;
}

static Status marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = begin(k, error);
    *epoch = k->marker_epoch;
    *generation = k->marker_generation;
    return status;
}

static rd_kafka_error_t *send_marker(KafkaSink *k, int64_t epoch) {
    char text[128];
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %s", k->context.generation, epoch, k->run);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(one, k->topic, 0);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(k->group);
    p->offset = epoch;
    p->metadata = strdup(text); /* the list's to free */
    p->metadata_size = strlen(text);
    rd_kafka_error_t *failed = NULL;
    for (int waited_ms = 0;; waited_ms += SLICE_MS) {
        failed = rd_kafka_send_offsets_to_transaction(k->client.handle, one, group, SLICE_MS);
        if (!failed || !rd_kafka_error_is_retriable(failed) || k->stopping ||
            waited_ms > PATIENCE_MS)
            break;
        rd_kafka_error_destroy(failed);
    }
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(one);
    return failed;
}

static Status deliver(Sink *sink, int64_t epoch, Str blob, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    size_t done = 0;
    Status status = begin(k, error);
    if (status != OK) return status;
    if (k->marker_epoch >= epoch) return OK; /* a commit whose answer was lost */
    rd_kafka_error_t *failed = rd_kafka_begin_transaction(k->client.handle);
    if (failed) return trouble(k, failed, "begin a transaction", error);
    if ((status = produce(k, blob, true, &done, error)) != OK) {
        drop_producer(k);
        return status;
    }
    if ((failed = send_marker(k, epoch))) return trouble(k, failed, "write the marker", error);
    failed = insist(k, rd_kafka_commit_transaction, COMMIT_MS);
    if (failed) return trouble(k, failed, "commit a transaction", error);
    k->marker_epoch = epoch;
    k->marker_generation = k->context.generation;
    kafka_back(&k->client);
    return OK;
}

/* ---- at least once ---- */

static Status check_reports(KafkaSink *k, Error *error) {
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&k->client.failed);
    if (code) return refused(k, code, 0, error);
    char why[512];
    code = rd_kafka_fatal_error(k->client.handle, why, sizeof why);
    return code ? fail(error, "%s: topic '%s': %s", k->what, k->topic, why) : OK;
}

static Status write_rows(Sink *sink, Str bytes, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = k->client.handle ? OK : make_producer(k, error);
    if (status == OK) status = look(k, error);
    if (status == OK) status = produce(k, bytes, false, &k->written, error);
    if (status == OK) k->written = 0;
    Status reports = k->client.handle && status != FAIL ? check_reports(k, error) : OK;
    return reports == OK ? status : reports;
}

static Status sync_rows(Sink *sink, int64_t *length, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    *length = 0;
    if (!k->client.handle) return OK;
    int left = rd_kafka_outq_len(k->client.handle);
    for (int waited_ms = 0; rd_kafka_flush(k->client.handle, SLICE_MS); waited_ms += SLICE_MS) {
        int now = rd_kafka_outq_len(k->client.handle);
        if (now < left) waited_ms = 0;
        left = now;
        if (waited_ms > PATIENCE_MS || k->stopping || k->client.down)
            return kafka_away(&k->client, "rows are not acknowledged", error);
    }
    kafka_back(&k->client);
    return check_reports(k, error);
}

static void stop_sink(Sink *sink) { atomic_store(&((KafkaSink *)(void *)sink)->stopping, true); }

static void close_sink(Sink *sink) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    drop_producer(k);
    kafka_client_close(&k->client);
    buffer_free(&k->scratch);
    free(k->group);
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
    .marker = marker,
    .deliver = deliver,
    .stop = stop_sink,
    .close = close_sink,
};
