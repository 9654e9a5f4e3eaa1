/* A marker that is gone: Kafka forgets the offsets of a group that nobody joins. Then the end of
 * the topic is read back, partition by partition, for the last record that carries this sink's
 * name; its epoch is the last one that was delivered. A transaction is whole, so one row of an
 * epoch tells all of it; rows that retention or compaction took away are not missed. The reading
 * goes backwards in growing steps, all partitions at a time, to such a record or to the beginning,
 * with bounded memory. Only committed rows count, so what another producer of the topic holds open
 * is waited for: behind it ours could stand unseen. */
#include "base/log.h"
#include "connector/kafka/sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STEP = 1000,         /* offsets; the first step back */
    STEP_MOST = 1000000, /* no step is longer */
    POLL_MS = 100,
    STILL_MS = 30000, /* without anything new, then it is tried again later */
};

typedef struct Tail {
    int64_t low, high; /* the partition when it was looked at */
    int64_t from, to;  /* this step */
    bool over, passed; /* all is known; the step was read */
} Tail;

typedef struct Reading {
    KafkaSink *k;
    rd_kafka_t *handle;
    Tail *tails;
    int count;
    int64_t step, epoch, records;
} Reading;

static rd_kafka_t *reader_new(KafkaSink *k, KafkaClient *client, const char *isolation,
                              Error *error) {
    const KafkaSetting own[] = {{"group.id", k->group},
                                {"enable.auto.commit", "false"},
                                {"isolation.level", isolation},
                                {"enable.partition.eof", "true"},
                                {"auto.offset.reset", "earliest"},
                                {"queued.max.messages.kbytes", "8192"},
                                {"fetch.wait.max.ms", "100"},
                                {0}};
    char ignored[512];
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, NULL, NULL, error);
    for (int i = 0; conf && own[i].name; i++)
        (void)rd_kafka_conf_set(conf, own[i].name, own[i].value, ignored, sizeof ignored);
    if (!conf || kafka_client_new(client, RD_KAFKA_CONSUMER, conf, k->what, error) != OK)
        return NULL;
    return client->handle;
}

static Status failed(Reading *r, rd_kafka_resp_err_t code, Error *error) {
    bool never = kafka_never(code);
    (void)fail(error, "%s%scannot read back the end of topic '%s' at %s: %s%s",
               never ? r->k->what : "", never ? ": " : "", r->k->topic, r->k->client.servers,
               rd_kafka_err2str(code),
               never ? "; its marker is gone, so it has to read its own rows this once" : "");
    return never ? FAIL : AGAIN;
}

/* Where each partition begins and ends, whatever is still open there. */
static Status find_ends(Reading *r, KafkaClient *uncommitted, Error *error) {
    const struct rd_kafka_metadata *metadata;
    Status status = kafka_look(&r->k->client, r->k->topic, &metadata, error);
    if (status != OK) return status == FAIL ? FAIL : AGAIN;
    r->count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    r->tails = xcalloc((size_t)r->count, sizeof *r->tails);
    int64_t *ends = xcalloc((size_t)r->count * 2, sizeof *ends);
    rd_kafka_resp_err_t code = kafka_offsets(uncommitted, r->k->topic, 0, r->count,
                                             RD_KAFKA_OFFSET_BEGINNING, ends, 2 * KAFKA_LOOK_MS);
    if (!code)
        code = kafka_offsets(uncommitted, r->k->topic, 0, r->count, RD_KAFKA_OFFSET_END,
                             ends + r->count, 2 * KAFKA_LOOK_MS);
    for (int i = 0; i < r->count; i++) {
        Tail *t = &r->tails[i];
        t->low = ends[i];
        t->high = t->to = ends[r->count + i];
        t->over = t->low >= t->high;
    }
    free(ends);
    return code ? failed(r, code, error) : OK;
}

/* The epoch of a record of this sink; 0: it is another's. */
static int64_t epoch_of(const KafkaSink *k, const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    char text[24];
    if (rd_kafka_message_headers(message, &headers)) return 0;
    if (rd_kafka_header_get_last(headers, SINK_HEADER, &value, &size) || size != strlen(k->group) ||
        memcmp(value, k->group, size) != 0)
        return 0;
    if (rd_kafka_header_get_last(headers, EPOCH_HEADER, &value, &size) || size >= sizeof text)
        return 0;
    memcpy(text, value, size);
    text[size] = 0;
    return strtoll(text, NULL, 10);
}

static Status take(Reading *r, const rd_kafka_message_t *message, Error *error) {
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return failed(r, message->err, error);
    if (message->partition < 0 || message->partition >= r->count) return OK;
    Tail *t = &r->tails[message->partition];
    if (message->err && message->offset < t->high) return OK; /* something is open there */
    if (message->err || message->offset >= t->to) {
        t->passed = true;
        return OK;
    }
    r->records++;
    int64_t epoch = epoch_of(r->k, message);
    if (epoch) t->over = true;
    if (epoch > r->epoch) r->epoch = epoch;
    return OK;
}

/* One step further back in every partition of which not all is known. END: of none. */
static Status assign(Reading *r, Error *error) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(r->count);
    for (int i = 0; i < r->count; i++) {
        Tail *t = &r->tails[i];
        t->passed = t->over;
        if (t->over) continue;
        t->from = t->to - r->step > t->low ? t->to - r->step : t->low;
        rd_kafka_topic_partition_list_add(list, r->k->topic, i)->offset = t->from;
    }
    int count = list->cnt;
    rd_kafka_resp_err_t code = count ? rd_kafka_assign(r->handle, list) : 0;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? failed(r, code, error) : count ? OK : END;
}

static bool all_passed(const Reading *r) {
    for (int i = 0; i < r->count; i++)
        if (!r->tails[i].passed) return false;
    return true;
}

static Status read_step(Reading *r, Error *error) {
    Status status = assign(r, error);
    for (int still_ms = 0; status == OK && !all_passed(r); still_ms += POLL_MS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(r->handle, POLL_MS);
        if (message && !message->err) still_ms = -POLL_MS;
        if (message) status = take(r, message, error);
        if (message) rd_kafka_message_destroy(message);
        if (status == OK && (r->k->stopping || still_ms > STILL_MS)) {
            (void)fail(error,
                       "the end of topic '%s' at %s cannot be read back yet: a broker is away, or "
                       "another producer's transaction is open there",
                       r->k->topic, r->k->client.servers);
            status = AGAIN;
        }
    }
    for (int i = 0; i < r->count && status == OK; i++) {
        Tail *t = &r->tails[i];
        t->to = t->from;
        if (t->to <= t->low) t->over = true;
    }
    r->step = r->step * 4 > STEP_MOST ? STEP_MOST : r->step * 4;
    return status;
}

Status kafka_read_back(KafkaSink *k, int64_t *epoch, Error *error) {
    KafkaClient clients[2] = {0};
    for (int i = 0; i < 2; i++) kafka_client_open(&clients[i], k->context.options);
    log_info("%s: the marker in group %s is gone; reading back the end of topic '%s'", k->what,
             k->group, k->topic);
    Reading r = {.k = k, .step = STEP};
    Status status = AGAIN;
    const rd_kafka_t *uncommitted = reader_new(k, &clients[0], "read_uncommitted", error);
    r.handle = uncommitted ? reader_new(k, &clients[1], "read_committed", error) : NULL;
    if (!r.handle) status = FAIL;
    else status = find_ends(&r, &clients[0], error);
    while (status == OK) status = read_step(&r, error);
    if (status == END) {
        status = OK;
        *epoch = r.epoch;
        if (r.epoch)
            log_info("%s: the last of its rows there is of epoch %" PRId64 " (%" PRId64
                     " records read)",
                     k->what, r.epoch, r.records);
        else
            log_info("%s: none of its rows stands there (%" PRId64 " records read)", k->what,
                     r.records);
    }
    for (int i = 0; i < 2; i++) {
        if (clients[i].handle)
            rd_kafka_destroy_flags(clients[i].handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        kafka_client_close(&clients[i]);
    }
    free(r.tails);
    return status;
}
