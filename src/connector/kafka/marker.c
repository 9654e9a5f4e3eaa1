/* What stands outside of a Kafka sink, exactly once: the marker, the committed offset of partition
 * 0 in a group of the sink's own that nobody joins; its metadata says generation, epoch and which
 * run wrote it. By position, the same group also holds how far the sources were read.
 *
 * After any trouble the producer is thrown away; a new one first ends what the old one left open,
 * then reads the marker, and sends again only what is not there: whatever became of a commit
 * without an answer, the marker tells. That holds for a fence, too: a run that was stopped for
 * longer than the transaction's time is fenced by the broker itself and goes on. But two runs on
 * copies of one home would fence each other for ever; the run in the marker tells them that they
 * are two: the one that finds the other's words, where its own or those that it began with should
 * stand, stops. */
#include "base/log.h"
#include "connector/kafka/sink.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    METADATA_BYTES = 160, /* of a marker */
    LEAST_ASKED = 64,     /* partitions of a source, whatever a broker says */
};

/* ---- trouble ---- */

/* After an error of a transaction the producer is gone. All but what can never work is tried again.
 */
Status kafka_transaction_failed(KafkaSink *k, rd_kafka_error_t *failed, const char *verb,
                                Error *error) {
    rd_kafka_resp_err_t code = rd_kafka_error_code(failed);
    rd_kafka_poll(k->client.handle, 0);
    if (k->spoiled && code == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER) {
        (void)fail(error, "topic '%s' at %s: %s", k->topic, k->client.servers,
                   rd_kafka_error_string(failed));
        rd_kafka_error_destroy(failed);
        k->gap = true;
        return AGAIN;
    }
    Status status = kafka_check_reports(k, error) == FAIL ? FAIL : AGAIN;
    if (status == AGAIN && kafka_never(code)) {
        bool none = code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION ||
                    code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
        status =
            fail(error, "%s: cannot %s at %s: %s%s", k->what, verb, k->client.servers,
                 rd_kafka_error_string(failed),
                 none ? "; a cluster without transactions needs delivery = 'at_least_once'" : "");
    } else if (status == AGAIN && k->client.down) {
        (void)kafka_away(&k->client, rd_kafka_error_string(failed), error);
    } else if (status == AGAIN) {
        (void)fail(error, "cannot %s to topic '%s' at %s: %s", verb, k->topic, k->client.servers,
                   rd_kafka_error_string(failed));
    }
    rd_kafka_error_destroy(failed);
    kafka_drop_producer(k);
    return status;
}

/* Waits for a call that goes on where it was when it is made again. */
rd_kafka_error_t *kafka_insist(KafkaSink *k, rd_kafka_error_t *(*call)(rd_kafka_t *, int),
                               int most_ms) {
    for (int waited_ms = 0;; waited_ms += SLICE_MS) {
        rd_kafka_error_t *failed = call(k->client.handle, SLICE_MS);
        if (!failed || !rd_kafka_error_is_retriable(failed) || k->stopping || waited_ms > most_ms)
            return failed;
        rd_kafka_error_destroy(failed);
    }
}

/* ---- the marker ---- */

/* The marker as it was read against what this run knows. */
static Status judge_marker(KafkaSink *k, const char *text, Error *error) {
    SinkMarker found = {0};
    char run[17] = "";
    if (*text && sscanf(text, "%" SCNd64 " %" SCNd64 " %16s %" SCNd64, &found.generation,
                        &found.epoch, run, &found.number) < 2)
        return fail(error, "%s: the marker in group %s at %s was not written by Leat", k->what,
                    k->group, k->client.servers);
    bool theirs = *text && strcmp(run, k->run) != 0;
    bool same = found.generation == k->context.generation;
    bool back = found.epoch < k->marker.epoch ||
                (k->context.by_position && found.epoch == k->marker.epoch &&
                 found.number < k->marker.number);
    if (found.generation > k->context.generation)
        return fail(error,
                    "%s: a later run of this home (generation %" PRId64 ", ours %" PRId64
                    ") has delivered to it: this home is an old copy, or another process runs on a "
                    "copy of it; put back the newest home, or end the other process",
                    k->what, found.generation, k->context.generation);
    if (theirs && (same || (k->known && !back && strcmp(text, k->known) != 0)))
        return fail(error,
                    "%s: another run of this home (generation %" PRId64 ", ours %" PRId64
                    ") delivers to it now; one of the two is a copy: end it",
                    k->what, found.generation, k->context.generation);
    k->absent = !*text;
    k->ours = *text && same;
    if (k->absent && k->marker.epoch < k->context.delivered) k->marker.epoch = k->context.delivered;
    if (k->absent) return OK;
    if (back && found.epoch == k->marker.epoch)
        return fail(error,
                    "%s: topic '%s' went back: transaction %" PRId64 " was delivered, now %" PRId64
                    " stands there; what came between is lost there",
                    k->what, k->topic, k->marker.number, found.number);
    if (back)
        return fail(error,
                    "%s: topic '%s' went back: epoch %" PRId64 " was delivered, now %" PRId64
                    " stands there; what came between is lost there",
                    k->what, k->topic, k->marker.epoch, found.epoch);
    k->marker = found;
    k->unsure = false;
    return OK;
}

/* What this run found when it read the marker first, so that another's hand shows later. */
static void remember(KafkaSink *k, const char *text) {
    if (!k->known) k->known = xstrdup(text);
}

/* Committed offsets of the sink's group. From `certain` on partitions need not exist. */
static Status read_offsets(KafkaSink *k, rd_kafka_topic_partition_list_t *list, int certain,
                           Error *error) {
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
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int waited_ms = 0; status == OK && kafka_passing(code); waited_ms += SLICE_MS) {
        code = rd_kafka_committed(client.handle, list, SLICE_MS);
        for (int i = 0; i < list->cnt && !code; i++)
            if (i < certain || list->elems[i].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
                code = list->elems[i].err;
        if (k->stopping || waited_ms > PATIENCE_MS) break;
    }
    if (status == OK && code) {
        bool never = kafka_never(code);
        (void)fail(error, "%s%scannot read the marker in group %s at %s: %s", never ? k->what : "",
                   never ? ": " : "", k->group, client.servers, rd_kafka_err2str(code));
        status = never ? FAIL : AGAIN;
    }
    if (client.handle) rd_kafka_destroy_flags(client.handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kafka_client_close(&client);
    return status;
}

void kafka_add_offset(rd_kafka_topic_partition_list_t *list, const char *topic, int partition,
                      int64_t offset, const char *text) {
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, topic, partition);
    p->offset = offset;
    p->metadata = text ? strdup(text) : NULL; /* the list's to free */
    p->metadata_size = text ? strlen(text) : 0;
}

static Status read_marker(KafkaSink *k, Error *error) {
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    kafka_add_offset(one, k->topic, 0, RD_KAFKA_OFFSET_INVALID, NULL);
    Status status = read_offsets(k, one, 1, error);
    if (status == OK) {
        const rd_kafka_topic_partition_t *p = &one->elems[0];
        char text[METADATA_BYTES] = "";
        size_t size = p->metadata_size < sizeof text ? p->metadata_size : sizeof text - 1;
        if (size) memcpy(text, p->metadata, size);
        if (!size && p->offset >= 0) snprintf(text, sizeof text, "without metadata");
        status = judge_marker(k, text, error);
        if (status == OK) remember(k, text);
    }
    rd_kafka_topic_partition_list_destroy(one);
    return status;
}

/* The marker is gone, and something may stand outside that it would have told. */
static Status without_marker(KafkaSink *k, Error *error) {
    int64_t epoch = 0;
    if (k->context.by_position) {
        log_warning("%s: the positions in group %s are gone; rows of the last moments may come "
                    "twice",
                    k->what, k->group);
        k->unsure = false;
        return OK;
    }
    Status status = kafka_read_back(k, &epoch, error);
    if (status != OK) return status;
    if (epoch > k->marker.epoch) k->marker.epoch = epoch;
    k->unsure = false;
    return OK;
}

/* Ends what an earlier producer left open, then reads the marker: in this order nothing can slip
 * between. */
Status kafka_begin(KafkaSink *k, Error *error) {
    if (k->begun) return OK;
    Status status = k->client.handle ? OK : kafka_make_producer(k, error);
    if (status == OK) status = kafka_look_at_topic(k, error);
    if (status != OK) return status;
    rd_kafka_error_t *failed = kafka_insist(k, rd_kafka_init_transactions, PATIENCE_MS);
    if (failed) return kafka_transaction_failed(k, failed, "begin transactions", error);
    status = read_marker(k, error);
    if (status == OK && k->absent && k->unsure) status = without_marker(k, error);
    if (status == OK) k->begun = true;
    else kafka_drop_producer(k);
    return status;
}

Status kafka_sink_marker(Sink *sink, int64_t *epoch, int64_t *generation, Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = kafka_begin(k, error);
    *epoch = k->marker.epoch;
    *generation = k->marker.generation;
    return status;
}

/* ---- what stands outside ---- */

/* A broker that has just started may know of too few partitions, and what is not asked for would
 * come twice; so more of them are asked for than it says. */
static int generously(int count) { return count < LEAST_ASKED / 2 ? LEAST_ASKED : count * 2; }

/* The offsets of a source's partitions, with partitions to spare: if one of these has any, more. */
static Status read_source(KafkaSink *k, const char *topic, rd_kafka_topic_partition_list_t **out,
                          Error *error) {
    const struct rd_kafka_metadata *metadata;
    Status status = kafka_look(&k->client, topic, &metadata, error);
    if (status == REJECT) return AGAIN; /* if it stays so, the source ends the run */
    if (status != OK) return status;
    int known = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    for (bool more = true; more && status == OK;) {
        int count = generously(known);
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
        for (int i = 0; i < count; i++)
            kafka_add_offset(list, topic, i, RD_KAFKA_OFFSET_INVALID, NULL);
        status = read_offsets(k, list, known, error);
        more = false;
        for (int i = known; i < count && status == OK; i++)
            if (list->elems[i].offset >= 0) {
                known = list->elems[i].partition + 1;
                more = true;
            }
        if (*out) rd_kafka_topic_partition_list_destroy(*out);
        *out = list;
    }
    return status;
}

Status kafka_sink_positions(Sink *sink, SinkMarker *marker, SinkPosition **out, int *count,
                            Error *error) {
    KafkaSink *k = (KafkaSink *)(void *)sink;
    Status status = kafka_begin(k, error);
    int room = 0;
    if (status != OK) return status;
    if (k->positions) rd_kafka_topic_partition_list_destroy(k->positions);
    k->positions = rd_kafka_topic_partition_list_new(8);
    *marker = k->marker;
    *out = NULL;
    *count = 0;
    for (int s = 0; s < k->context.source_count && status == OK; s++) {
        const char *topic = option_text(k->sources[s].options, "topic", "");
        rd_kafka_topic_partition_list_t *list = NULL;
        status = read_source(k, topic, &list, error);
        for (int i = 0; list && i < list->cnt && status == OK; i++) {
            const rd_kafka_topic_partition_t *p = &list->elems[i];
            if (p->offset < 0) continue;
            if (!rd_kafka_topic_partition_list_find(k->positions, topic, p->partition))
                kafka_add_offset(k->positions, topic, p->partition, p->offset, NULL);
            if (*count == room) *out = xrealloc(*out, sizeof **out * (size_t)(room = room * 2 + 8));
            (*out)[(*count)++] = (SinkPosition){s, p->partition, p->offset};
        }
        if (list) rd_kafka_topic_partition_list_destroy(list);
    }
    if (status != OK) {
        free(*out);
        *out = NULL;
        *count = 0;
    }
    return status;
}
