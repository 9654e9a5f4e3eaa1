/* A topic as a source. Partitions are assigned by hand, each with a queue of its own, so that the engine can ask the one that is
 * furthest behind; positions live in the home, offsets are committed to the group for monitoring only. Messages stay
 * where librdkafka put them until their rows are through. Only committed data is read. */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "data/value.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CHUNK_MESSAGES = 2000, TIMEOUT_MS = 2000 };

typedef struct KafkaPartition {
    rd_kafka_queue_t *queue; /* NULL: not assigned yet */
    char name[16];
    bool at_end;
} KafkaPartition;

typedef struct KafkaSource {
    Source source;
    SourceContext context;
    const char *topic;
    rd_kafka_t *client;
    rd_kafka_topic_partition_list_t *assigned;
    KafkaPartition *partitions;
    int count;
    _Atomic bool down; /* no broker can be reached */
    char why[256];     /* the last error */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool something; /* a queue went from empty to not empty; under lock */
} KafkaSource;

static void on_error(rd_kafka_t *client, int code, const char *reason, void *context) {
    KafkaSource *k = context;
    (void)client;
    pthread_mutex_lock(&k->lock);
    snprintf(k->why, sizeof k->why, "%s", reason);
    pthread_mutex_unlock(&k->lock);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) atomic_store(&k->down, true);
}

static void on_message(rd_kafka_t *client, void *context) {
    KafkaSource *k = context;
    (void)client;
    pthread_mutex_lock(&k->lock);
    k->something = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
}

static void close_source(Source *source) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    for (int i = 0; i < k->count; i++)
        if (k->partitions[i].queue) {
            rd_kafka_queue_cb_event_enable(k->partitions[i].queue, NULL, NULL);
            rd_kafka_queue_destroy(k->partitions[i].queue);
        }
    free(k->partitions);
    if (k->assigned) rd_kafka_topic_partition_list_destroy(k->assigned);
    if (k->client) {
        rd_kafka_assign(k->client, NULL);
        rd_kafka_consumer_close(k->client);
        rd_kafka_destroy(k->client);
    }
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->wake);
    free(k);
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    const KafkaSetting defaults[] = {{"group.id", context->pipeline},
                                     {"client.id", "leat"},
                                     {"queued.max.messages.kbytes", "8192"},
                                     {"fetch.queue.backoff.ms", "20"},
                                     {"topic.metadata.refresh.interval.ms", "10000"},
                                     {0}};
    static const KafkaSetting fixed[] = {{"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
                                         {"enable.partition.eof", "true"},      {"isolation.level", "read_committed"},
                                         {"auto.offset.reset", "error"},        {0}};
    rd_kafka_conf_t *conf = kafka_conf(context->options, defaults, fixed, error);
    if (!conf) return FAIL;
    KafkaSource *k = xcalloc(1, sizeof *k);
    k->source.type = &kafka_source;
    k->context = *context;
    k->topic = option_text(context->options, "topic", "");
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, NULL);
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char why[512];
    k->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!k->client) {
        rd_kafka_conf_destroy(conf);
        close_source(&k->source);
        return fail(error, "source %s: %s", context->table, why);
    }
    rd_kafka_poll_set_consumer(k->client);
    k->assigned = rd_kafka_topic_partition_list_new(4);
    *out = &k->source;
    return OK;
}

static void serve(KafkaSource *k) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(k->client, 0);
    if (message) rd_kafka_message_destroy(message);
}

static Status partitions(Source *source, int *count, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    serve(k);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(k->client, k->topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(k->client, 0, topic, &metadata, TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    int found = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        found = metadata->topics[0].partition_cnt;
    }
    if (metadata) rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && found > 0) {
        atomic_store(&k->down, false);
        *count = found > k->count ? found : k->count;
        return OK;
    }
    const char *servers = option_text(k->context.options, "bootstrap.servers", "");
    bool missing = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || (!code && !found);
    if (missing && k->count == 0)
        return fail(error, "source %s: topic '%s' does not exist at %s; create it, or correct the option topic", k->context.table, k->topic, servers);
    if (!missing && !kafka_passing(code))
        return fail(error, "source %s: topic '%s' at %s: %s", k->context.table, k->topic, servers, rd_kafka_err2str(code));
    atomic_store(&k->down, true);
    pthread_mutex_lock(&k->lock);
    (void)fail(error, "broker away at %s: %s", servers, *k->why ? k->why : rd_kafka_err2str(code));
    pthread_mutex_unlock(&k->lock);
    return AGAIN;
}

static const char *partition_name(Source *source, int partition) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    if (partition >= k->count) {
        k->partitions = xrealloc(k->partitions, sizeof *k->partitions * (size_t)(partition + 1));
        for (int i = k->count; i <= partition; i++) {
            k->partitions[i] = (KafkaPartition){0};
            snprintf(k->partitions[i].name, sizeof k->partitions[i].name, "%d", i);
        }
        k->count = partition + 1;
    }
    return k->partitions[partition].name;
}

/* 'latest' is settled once, and kept, so that what comes while Leat is down after its first start is not missed. */
static Status first_offset(KafkaSource *k, int partition, int64_t *offset, Error *error) {
    char name[32];
    snprintf(name, sizeof name, "start.%d", partition);
    const char *kept = k->context.get ? k->context.get(k->context.home, name) : NULL;
    if (kept) {
        *offset = strtoll(kept, NULL, 10);
        return OK;
    }
    if (strcmp(option_text(k->context.options, "start", "earliest"), "latest") != 0) {
        *offset = RD_KAFKA_OFFSET_BEGINNING;
        return OK;
    }
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(k->client, k->topic, partition, &low, &high, TIMEOUT_MS);
    if (code) {
        (void)fail(error, "topic '%s' partition %d: %s", k->topic, partition, rd_kafka_err2str(code));
        return kafka_passing(code) ? AGAIN : FAIL;
    }
    *offset = high;
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, high);
    return k->context.set ? k->context.set(k->context.home, name, text, error) : OK;
}

static Status seek(Source *source, int partition, int64_t position, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    int64_t offset = position;
    if (position == NO_POSITION) {
        Status status = first_offset(k, partition, &offset, error);
        if (status != OK) return status;
    }
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, k->topic, partition)->offset = offset;
    rd_kafka_error_t *failed = rd_kafka_incremental_assign(k->client, one);
    rd_kafka_topic_partition_list_destroy(one);
    if (failed) {
        (void)fail(error, "topic '%s' partition %d: %s", k->topic, partition, rd_kafka_error_string(failed));
        rd_kafka_error_destroy(failed);
        return FAIL;
    }
    KafkaPartition *p = &k->partitions[partition];
    p->queue = rd_kafka_queue_get_partition(k->client, k->topic, partition);
    rd_kafka_queue_forward(p->queue, NULL);
    rd_kafka_queue_cb_event_enable(p->queue, on_message, k);
    return OK;
}

/* ---- chunks ---- */

typedef struct KafkaChunk {
    Chunk chunk;
    rd_kafka_message_t **messages;
    ssize_t message_count;
    Record records[];
} KafkaChunk;

static void release(Chunk *chunk) {
    KafkaChunk *c = (KafkaChunk *)(void *)chunk;
    for (ssize_t i = 0; i < c->message_count; i++) rd_kafka_message_destroy(c->messages[i]);
    free(c->messages);
    free(c);
}

static void headers_json(const Record *record, Buffer *out) {
    rd_kafka_headers_t *headers;
    buffer_add_char(out, '{');
    if (rd_kafka_message_headers(record->handle, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *name;
        const void *value;
        size_t size;
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            if (i) buffer_add_char(out, ',');
            json_string(str_from(name), out);
            buffer_add_char(out, ':');
            if (value) json_string((Str){value, size}, out);
            else buffer_add_text(out, "null");
        }
    }
    buffer_add_char(out, '}');
}

static void add_record(KafkaChunk *c, rd_kafka_message_t *message) {
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    Record *r = &c->records[c->chunk.record_count++];
    *r = (Record){.body = {message->payload, message->len}, .position = message->offset, .timestamp_us = ms < 0 ? NO_TIME : ms * 1000,
                  .key = {message->key, message->key_len}, .handle = message};
    if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME) c->chunk.log_append_time = true;
}

static Status message_error(KafkaSource *k, int partition, const rd_kafka_message_t *message, Error *error) {
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        int64_t low = -1, high = -1;
        rd_kafka_query_watermark_offsets(k->client, k->topic, partition, &low, &high, TIMEOUT_MS);
        return fail(error,
                    "source %s: topic '%s' partition %d no longer has the position where the pipeline stands (it holds offsets %" PRId64 " to %" PRId64
                    "): data was deleted before it was read, or the topic was made anew; leat run --fresh starts over",
                    k->context.table, k->topic, partition, low, high);
    }
    if (kafka_passing(message->err)) return AGAIN;
    return fail(error, "source %s: topic '%s' partition %d: %s", k->context.table, k->topic, partition, rd_kafka_message_errstr(message));
}

static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    KafkaPartition *p = &k->partitions[partition];
    int most = k->context.chunk_rows ? k->context.chunk_rows : CHUNK_MESSAGES;
    rd_kafka_message_t **messages = xmalloc(sizeof *messages * (size_t)most);
    ssize_t count = rd_kafka_consume_batch_queue(p->queue, 0, messages, (size_t)most);
    if (count <= 0) {
        free(messages);
        *at_end = p->at_end && !k->down;
        return AGAIN;
    }
    KafkaChunk *c = xcalloc(1, sizeof *c + sizeof(Record) * (size_t)count);
    c->messages = messages;
    c->message_count = count;
    c->chunk = (Chunk){.partition = partition, .records = c->records, .topic = k->topic, .headers = headers_json, .release = release, .owner = k,
                       .taken_us = k->context.env->now_us(k->context.env)};
    Status status = OK;
    for (ssize_t i = 0; i < count && status != FAIL; i++) {
        if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            p->at_end = true;
        } else if (messages[i]->err) {
            status = message_error(k, partition, messages[i], error);
        } else {
            p->at_end = false;
            add_record(c, messages[i]);
        }
    }
    if (status == FAIL || c->chunk.record_count == 0) {
        release(&c->chunk);
        *at_end = p->at_end && !k->down;
        return status == FAIL ? FAIL : AGAIN;
    }
    atomic_store(&k->down, false);
    c->chunk.begin = c->records[0].position;
    c->chunk.end = c->records[c->chunk.record_count - 1].position + 1;
    *out = &c->chunk;
    return OK;
}

static void wait_message(Source *source, int64_t timeout_us) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    serve(k);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + timeout_us * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&k->lock);
    while (!k->something && pthread_cond_timedwait(&k->wake, &k->lock, &until) == 0) {}
    k->something = false;
    pthread_mutex_unlock(&k->lock);
}

static void committed(Source *source, int partition, int64_t position) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, k->topic, partition)->offset = position;
    rd_kafka_commit(k->client, one, 1); /* for monitoring: if it fails, nothing depends on it */
    rd_kafka_topic_partition_list_destroy(one);
}

static int64_t lag(Source *source, int partition, int64_t position) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    int64_t low = 0, high = 0;
    if (rd_kafka_get_watermark_offsets(k->client, k->topic, partition, &low, &high) || high < 0) return -1;
    return high > position ? high - position : 0;
}

const SourceType kafka_source = {
    .open = open_source, .partitions = partitions, .partition_name = partition_name, .seek = seek, .next = next,
    .wait = wait_message, .committed = committed, .lag = lag, .close = close_source,
};
