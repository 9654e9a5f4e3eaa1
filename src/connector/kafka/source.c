/* A topic as a source. Partitions are assigned by hand, each with a queue of its own, so that the
 * engine can ask the one that is furthest behind; positions live in the home, offsets are committed
 * to the group for monitoring only. Messages stay where librdkafka put them until their rows are
 * through. Only committed data is read.
 *
 * Threads: partitions(), partition_name(), seek(), next() and wait() are called by the source's
 * reader alone, and only they look at `partitions`; committed() is called by the committing thread,
 * lag() by the engine's, too: they touch the client, which any thread may, and `told` and `ends`,
 * which have a lock.
 */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    CHUNK_MESSAGES = 2000,
    QUEUED_MOST_KB = 24 << 10, /* of all partitions; librdkafka takes a size for each */
    QUEUED_LEAST_KB = 64,
    QUEUED_MOST_MESSAGES = 80000, /* of all: what one takes beside its bytes is not in the above */
    PARTITIONS_PLANNED = 4,       /* for these the first client is made */
    LAST_COMMIT_MS = 500,
    BROKER_LOOK_MS = 200,
    QUIET_LOOKS = 3,           /* at the partitions, once a second */
    UNKNOWN_MOST_US = 3000000, /* a broker that has just started may not know of a topic that has
                                  just been made, or not of all of its partitions */
    BEYOND_MOST_US = 10000000, /* how long a leader may think that it still leads */
};

typedef struct KafkaPartition {
    rd_kafka_queue_t *queue; /* NULL: not assigned yet */
    char name[16];
    int64_t position; /* where the next record is looked for; NO_POSITION: at its start */
    int64_t told;     /* the same as the engine knows it: the end of the last chunk */
    bool at_end;
    bool away;   /* it has no leader now, or its leader does not answer */
    bool astray; /* its position is not in the topic: partitions() finds out why */
    int64_t beyond_since_us, beyond_end; /* it is behind the end, which was there; 0: no */
    size_t average;                      /* size of a message */
} KafkaPartition;

typedef struct KafkaSource {
    Source source;
    SourceContext context;
    KafkaClient client;
    const char *topic;
    char *what; /* "source NAME", for messages */
    KafkaPartition **partitions;
    int count;
    int planned;              /* partitions for which the client's queues are sized */
    int64_t unknown_since_us; /* the topic is missing, or had more partitions before; 0: no */
    bool skips_gaps;          /* on_gap = 'skip' */
    KafkaBegins begins;
    KafkaGaps gaps;
    rd_kafka_queue_t *answers; /* to commits */
    bool committing;           /* an answer is awaited */
    rd_kafka_message_t *taken[CHUNK_MESSAGES];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool something; /* a queue went from empty to not empty; under lock */
    int64_t *told;  /* what committed() said, by partition; NO_POSITION: nothing new; under lock */
    int told_count;
    bool asked;    /* for records, since the last look at the partitions */
    int quiet;     /* looks since then */
    int64_t *ends; /* of partitions, when nobody asked for records; under lock */
    int end_count;
} KafkaSource;

/* What the table may set otherwise. fetch.wait.max.ms: a partition's end is told by an empty
 * answer, which waits so long. */
const KafkaSetting kafka_source_defaults[] = {{"group.id", "leat"},
                                              {"client.id", "leat"},
                                              {"fetch.wait.max.ms", "100"},
                                              {"fetch.queue.backoff.ms", "20"},
                                              {"reconnect.backoff.max.ms", "1000"},
                                              {"topic.metadata.refresh.interval.ms", "10000"},
                                              {0}};
const KafkaSetting kafka_source_fixed[] = {
    {"enable.auto.commit", "false"},  {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"}, {"isolation.level", "read_committed"},
    {"auto.offset.reset", "error"},   {0}};

static void on_message(rd_kafka_t *handle, void *context) {
    KafkaSource *k = context;
    (void)handle;
    pthread_mutex_lock(&k->lock);
    k->something = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
}

/* What is fetched ahead is divided among the partitions. */
static Status make_client(KafkaSource *k, int partitions, Error *error) {
    char kbytes[32], messages[32];
    int share = QUEUED_MOST_KB / partitions;
    snprintf(kbytes, sizeof kbytes, "%d", share > QUEUED_LEAST_KB ? share : QUEUED_LEAST_KB);
    snprintf(messages, sizeof messages, "%d", QUEUED_MOST_MESSAGES / partitions + 100);
    KafkaSetting defaults[16] = {{0}};
    int count = 0;
    while (kafka_source_defaults[count].name) {
        defaults[count] = kafka_source_defaults[count];
        count++;
    }
    defaults[count++] = (KafkaSetting){"group.id", k->context.pipeline};
    defaults[count++] = (KafkaSetting){"queued.max.messages.kbytes", kbytes};
    defaults[count] = (KafkaSetting){"queued.min.messages", messages};
    rd_kafka_conf_t *conf = kafka_conf(k->context.options, defaults, kafka_source_fixed, error);
    if (!conf) return FAIL;
    k->planned = partitions;
    Status status = kafka_client_new(&k->client, RD_KAFKA_CONSUMER, conf, k->what, error);
    if (status != OK) return status;
    rd_kafka_poll_set_consumer(k->client.handle);
    k->answers = rd_kafka_queue_new(k->client.handle);
    return OK;
}

static Status open_source(const SourceContext *context, Source **out, Error *error) {
    KafkaSource *k = xcalloc(1, sizeof *k);
    Buffer what = {0};
    buffer_add_format(&what, "source %s", context->table);
    buffer_add_char(&what, 0);
    k->what = what.data;
    k->source.type = &kafka_source;
    k->context = *context;
    k->topic = option_text(context->options, "topic", "");
    k->skips_gaps = strcmp(option_text(context->options, "on_gap", "fail"), "skip") == 0;
    kafka_gaps_recall(&k->gaps, context);
    kafka_client_open(&k->client, context->options);
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = &k->source;
    Status status = make_client(k, PARTITIONS_PLANNED, error);
    if (status == OK) return OK;
    kafka_source.close(&k->source);
    *out = NULL;
    return FAIL;
}

/* ---- committed offsets, for monitoring ---- */

static void committed(Source *source, int partition, int64_t position) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    pthread_mutex_lock(&k->lock);
    if (partition >= k->told_count) {
        k->told = xrealloc(k->told, sizeof *k->told * (size_t)(partition + 1));
        while (k->told_count <= partition) k->told[k->told_count++] = NO_POSITION;
    }
    k->told[partition] = position;
    pthread_mutex_unlock(&k->lock);
}

static void take_answer(KafkaSource *k, int wait_ms) {
    rd_kafka_event_t *answer = rd_kafka_queue_poll(k->answers, wait_ms);
    if (!answer) return;
    k->committing = false;
    rd_kafka_event_destroy(answer);
}

/* One request for all partitions, and one at a time; if it fails, nothing depends on it. */
static void commit_told(KafkaSource *k) {
    take_answer(k, 0);
    if (k->committing) return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&k->lock);
    for (int i = 0; i < k->told_count; i++) {
        if (k->told[i] == NO_POSITION) continue;
        rd_kafka_topic_partition_list_add(list, k->topic, i)->offset = k->told[i];
        k->told[i] = NO_POSITION;
    }
    pthread_mutex_unlock(&k->lock);
    if (list->cnt)
        k->committing = !rd_kafka_commit_queue(k->client.handle, list, k->answers, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Not a member of its group, the client leaves without a farewell. Its end would wait for the
 * answer to a commit for as long as the group's coordinator is away: then it is left to the end of
 * the process. */
static void drop_client(KafkaSource *k) {
    if (!k->client.handle) return;
    rd_kafka_queue_destroy(k->answers);
    if (!k->committing)
        rd_kafka_destroy_flags(k->client.handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    k->client.handle = NULL;
}

static void last_commit(KafkaSource *k) {
    if (k->committing) take_answer(k, LAST_COMMIT_MS);
    if (k->committing || k->client.down) return;
    commit_told(k);
    if (k->committing) take_answer(k, LAST_COMMIT_MS);
}

static void close_source(Source *source) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    if (k->client.handle) last_commit(k);
    for (int i = 0; i < k->count; i++) {
        if (k->partitions[i]->queue) {
            rd_kafka_queue_cb_event_enable(k->partitions[i]->queue, NULL, NULL);
            rd_kafka_queue_destroy(k->partitions[i]->queue);
        }
        free(k->partitions[i]);
    }
    drop_client(k);
    kafka_begins_free(&k->begins);
    kafka_gaps_free(&k->gaps);
    kafka_client_close(&k->client);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->wake);
    free(k->partitions);
    free(k->told);
    free(k->ends);
    free(k->what);
    free(k);
}

/* ---- partitions ---- */

static void add_partitions(KafkaSource *k, int count) {
    if (count <= k->count) return;
    k->partitions = xrealloc(k->partitions, sizeof *k->partitions * (size_t)count);
    for (; k->count < count; k->count++) {
        KafkaPartition *p = k->partitions[k->count] = xcalloc(1, sizeof *p);
        snprintf(p->name, sizeof p->name, "%d", k->count);
        p->average = 1024;
        p->position = p->told = NO_POSITION;
    }
}

static Status watermarks(KafkaSource *k, int partition, int64_t *low, int64_t *high, Error *error) {
    rd_kafka_resp_err_t code = kafka_offsets(&k->client, k->topic, partition, 1,
                                             RD_KAFKA_OFFSET_BEGINNING, low, KAFKA_LOOK_MS);
    if (!code)
        code = kafka_offsets(&k->client, k->topic, partition, 1, RD_KAFKA_OFFSET_END, high,
                             KAFKA_LOOK_MS);
    if (!code) return OK;
    if (kafka_passing(code)) return kafka_away(&k->client, rd_kafka_err2str(code), error);
    return fail(error, "%s: topic '%s' partition %d: %s", k->what, k->topic, partition,
                rd_kafka_err2str(code));
}

/* A partition whose leader does not answer does not stand at its end, although nothing comes: until
 * another leads, the cluster's word for who leads it is of no use. Brokers that errors spoke of are
 * asked for something that they lead. */
static void mark_away(KafkaSource *k, const struct rd_kafka_metadata_topic *topic) {
    int suspects[KAFKA_SUSPECTS_MOST];
    int count = kafka_suspects(&k->client, suspects);
    bool silent[KAFKA_SUSPECTS_MOST];
    for (int s = 0; s < count; s++) {
        int64_t end;
        silent[s] = false;
        for (int i = 0; i < topic->partition_cnt; i++) {
            if (topic->partitions[i].leader != suspects[s]) continue;
            silent[s] = kafka_offsets(&k->client, k->topic, topic->partitions[i].id, 1,
                                      RD_KAFKA_OFFSET_END, &end, BROKER_LOOK_MS) != 0;
            break;
        }
        if (!silent[s]) kafka_trust(&k->client, suspects[s]);
    }
    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
        bool away = p->leader < 0;
        for (int s = 0; s < count; s++) away = away || (silent[s] && suspects[s] == p->leader);
        if (p->id >= 0 && p->id < k->count) k->partitions[p->id]->away = away;
    }
}

static Status assign(KafkaSource *k, int partition, int64_t position, bool anew, Error *error) {
    KafkaPartition *p = k->partitions[partition];
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, k->topic, partition)->offset =
        position < 0 ? RD_KAFKA_OFFSET_BEGINNING : position;
    rd_kafka_error_t *failed = anew ? rd_kafka_incremental_unassign(k->client.handle, one) : NULL;
    if (!failed) failed = rd_kafka_incremental_assign(k->client.handle, one);
    rd_kafka_topic_partition_list_destroy(one);
    p->position = position < 0 ? NO_POSITION : position;
    p->at_end = p->astray = false;
    if (!failed) return OK;
    (void)fail(error, "%s: topic '%s' partition %d: %s", k->what, k->topic, partition,
               rd_kafka_error_string(failed));
    rd_kafka_error_destroy(failed);
    return FAIL;
}

/* The topic ends before the position. A leader that hung and does not know yet that another one
 * leads tells its own end, for some seconds, and that one stands still: then it is asked again. */
static Status judge_end(KafkaSource *k, int partition, int64_t high, Error *error) {
    KafkaPartition *p = k->partitions[partition];
    int64_t now_us = k->context.env->monotonic_us(k->context.env);
    (void)kafka_end_refused(&k->context, k->topic, partition, p->position, high, error);
    if (!p->beyond_since_us) {
        p->beyond_since_us = now_us;
        p->beyond_end = high;
    }
    return high == p->beyond_end && now_us - p->beyond_since_us < BEYOND_MOST_US ? AGAIN : FAIL;
}

/* The broker does not have the position where a partition was to be read: why, and where to go on.
 */
static Status find_place(KafkaSource *k, int partition, Error *error) {
    int64_t low = 0, high = 0, position = k->partitions[partition]->position;
    Status status = watermarks(k, partition, &low, &high, error);
    if (status != OK) return status;
    if (position == NO_POSITION || position <= high) k->partitions[partition]->beyond_since_us = 0;
    if (position == NO_POSITION || (position >= low && position <= high))
        return assign(k, partition, position, true, error);
    if (position > high) return judge_end(k, partition, high, error);
    if (!k->skips_gaps)
        return kafka_gap_refused(&k->context, k->topic, partition, position, low, error);
    status = kafka_gaps_add(&k->gaps, &k->context, partition, position, low, error);
    if (status != OK) return FAIL;
    log_warning("%s: topic '%s' partition %d no longer has offsets %" PRId64 " to %" PRId64
                ": they are lost; on_gap = 'skip' goes on at %" PRId64,
                k->what, k->topic, partition, position, low - 1, low);
    return assign(k, partition, low, true, error);
}

/* Whether what a broker does not know of may only be new to it. */
static bool may_pass(KafkaSource *k) {
    int64_t now_us = k->context.env->monotonic_us(k->context.env);
    if (!k->unknown_since_us) k->unknown_since_us = now_us;
    return now_us - k->unknown_since_us < UNKNOWN_MOST_US;
}

/* Partitions never get fewer: a topic with fewer is another one of the same name. */
static Status check_fewer(KafkaSource *k, int found, Error *error) {
    if (found >= k->begins.count) {
        k->unknown_since_us = 0;
        return OK;
    }
    (void)fail(error,
               "%s: topic '%s' has %d partitions, before it had %d: it was made anew; leat run "
               "--fresh starts over",
               k->what, k->topic, found, k->begins.count);
    return may_pass(k) ? AGAIN : FAIL;
}

static Status look(KafkaSource *k, const struct rd_kafka_metadata **metadata, Error *error) {
    Status status = kafka_look(&k->client, k->topic, metadata, error);
    if (status == REJECT && (k->count || may_pass(k))) return AGAIN;
    if (status != REJECT && status != FAIL) return status;
    Error reason = *error;
    return fail(error, "%s: %s", k->what, reason.text);
}

/* While nobody asks for records (a full sink), the client fills its queues and then hears no more
 * of where the partitions end, just when the lag is what people want to know. */
static void look_ahead(KafkaSource *k) {
    k->quiet = k->asked ? 0 : k->quiet + 1;
    k->asked = false;
    if (!k->count || !k->quiet || k->quiet % QUIET_LOOKS) return;
    int64_t *ends = xcalloc((size_t)k->count, sizeof *ends);
    if (kafka_offsets(&k->client, k->topic, 0, k->count, RD_KAFKA_OFFSET_END, ends,
                      BROKER_LOOK_MS) == 0) {
        pthread_mutex_lock(&k->lock);
        int64_t *before = k->ends;
        k->ends = ends;
        k->end_count = k->count;
        pthread_mutex_unlock(&k->lock);
        ends = before;
    }
    free(ends);
}

static Status partitions(Source *source, int *count, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    const struct rd_kafka_metadata *metadata;
    kafka_serve(&k->client);
    commit_told(k);
    Status status = look(k, &metadata, error);
    if (status != OK) return status;
    int found = metadata->topics[0].partition_cnt;
    if (!k->count && found > k->planned) {
        drop_client(k);
        status = make_client(k, found, error);
    }
    if (status == OK)
        status = kafka_begins(&k->begins, &k->client, &k->context, k->topic, found, error);
    if (status == OK) status = check_fewer(k, found, error);
    if (status == OK) {
        add_partitions(k, found);
        mark_away(k, &metadata->topics[0]);
    }
    rd_kafka_metadata_destroy(metadata);
    for (int i = 0; i < k->count && status == OK; i++)
        if (k->partitions[i]->astray) status = find_place(k, i, error);
    if (status == OK) look_ahead(k);
    *count = k->count;
    return status;
}

static const char *partition_name(Source *source, int partition) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    add_partitions(k, partition + 1);
    return k->partitions[partition]->name;
}

/* Its queue is taken out of the common one before it is assigned, so that no message goes there. */
static Status seek(Source *source, int partition, int64_t position, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    KafkaPartition *p = k->partitions[partition];
    if (position == NO_POSITION && partition < k->begins.count)
        position = k->begins.offsets[partition];
    p->queue = rd_kafka_queue_get_partition(k->client.handle, k->topic, partition);
    if (!p->queue)
        return fail(error, "%s: topic '%s' has no partition %d", k->what, k->topic, partition);
    rd_kafka_queue_forward(p->queue, NULL);
    rd_kafka_queue_cb_event_enable(p->queue, on_message, k);
    Status status = assign(k, partition, position, false, error);
    p->told = p->position;
    return status;
}

/* ---- chunks ---- */

typedef struct KafkaChunk {
    Chunk chunk;
    Record records[]; /* the handle of each is its message */
} KafkaChunk;

static void release(Chunk *chunk) {
    for (int i = 0; i < chunk->record_count; i++)
        rd_kafka_message_destroy(chunk->records[i].handle);
    free(chunk);
}

static void headers_json(const Record *record, Buffer *out) {
    rd_kafka_headers_t *headers;
    buffer_add_char(out, '{');
    if (rd_kafka_message_headers(record->handle, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *name;
        const void *value;
        size_t size;
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
            if (i) buffer_add_char(out, ',');
            json_string(str_from(name), out);
            buffer_add_char(out, ':');
            if (value) json_string((Str){value, size}, out);
            else buffer_add_text(out, "null");
        }
    }
    buffer_add_char(out, '}');
}

/* The size of what was added. */
static size_t add_record(KafkaChunk *c, rd_kafka_message_t *message) {
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    c->records[c->chunk.record_count++] = (Record){.body = {message->payload, message->len},
                                                   .position = message->offset,
                                                   .timestamp_us = ms < 0 ? NO_TIME : ms * 1000,
                                                   .key = {message->key, message->key_len},
                                                   .handle = message};
    if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME) c->chunk.log_append_time = true;
    return message->len + message->key_len;
}

static Status message_error(KafkaSource *k, int partition, const rd_kafka_message_t *message,
                            Error *error) {
    rd_kafka_resp_err_t code = message->err;
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        k->partitions[partition]->astray = true;
        return AGAIN;
    }
    /* A topic that is unknown for a moment is partitions()' business. */
    if (kafka_passing(code) || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return AGAIN;
    return fail(error, "%s: topic '%s' partition %d: %s", k->what, k->topic, partition,
                rd_kafka_message_errstr(message));
}

/* As many messages as make a chunk of the wanted size. */
static int most_messages(const KafkaSource *k, const KafkaPartition *p) {
    size_t most =
        k->context.chunk_bytes ? k->context.chunk_bytes / (p->average + 1) : CHUNK_MESSAGES;
    if (k->context.chunk_rows && most > (size_t)k->context.chunk_rows)
        most = (size_t)k->context.chunk_rows;
    return most < 1 ? 1 : most > CHUNK_MESSAGES ? CHUNK_MESSAGES : (int)most;
}

static KafkaChunk *new_chunk(KafkaSource *k, int partition, int64_t begin, ssize_t most) {
    KafkaChunk *c = xmalloc(sizeof *c + sizeof(Record) * (size_t)most);
    c->chunk = (Chunk){.partition = partition,
                       .records = c->records,
                       .begin = begin,
                       .topic = k->topic,
                       .headers = headers_json,
                       .release = release,
                       .owner = k,
                       .taken_us = k->context.env->now_us(k->context.env)};
    return c;
}

/* Offsets have holes: compacted records, records of aborted transactions, the ends of transactions.
 * A record's own offset tells of those before it. Those at the partition's end are told by
 * PARTITION_EOF, which stands behind them; they are a chunk without records, or the position would
 * stay before them for ever and what deletes them later would look like a loss. A gap that was
 * skipped is told in the same way. */
static Status next(Source *source, int partition, Chunk **out, bool *at_end, Error *error) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    KafkaPartition *p = k->partitions[partition];
    k->asked = true;
    ssize_t count =
        rd_kafka_consume_batch_queue(p->queue, 0, k->taken, (size_t)most_messages(k, p));
    KafkaChunk *c = NULL;
    size_t bytes = 0;
    int64_t end = p->position;
    Status status = OK;
    for (ssize_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = k->taken[i];
        if (!message->err && status != FAIL) {
            if (!c) c = new_chunk(k, partition, message->offset, count - i);
            bytes += add_record(c, message);
            end = message->offset + 1;
            p->at_end = false;
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            p->at_end = true;
            if (end != NO_POSITION && message->offset > end) end = message->offset;
        } else if (message->err && status != FAIL) {
            status = message_error(k, partition, message, error);
        }
        rd_kafka_message_destroy(message);
    }
    *at_end = p->at_end && !p->away && !p->astray && !k->client.down;
    if (status == FAIL && c) release(&c->chunk);
    if (status == FAIL) return FAIL;
    if (!c && end != p->told) c = new_chunk(k, partition, p->told, 0);
    if (!c) return AGAIN;
    if (k->client.down) kafka_back(&k->client);
    if (c->chunk.record_count)
        p->average = (p->average + bytes / (size_t)c->chunk.record_count) / 2;
    p->position = p->told = c->chunk.end = end;
    *out = &c->chunk;
    return OK;
}

static void wait_message(Source *source, int64_t timeout_us) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    kafka_serve(&k->client);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + timeout_us * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&k->lock);
    while (!k->something && pthread_cond_timedwait(&k->wake, &k->lock, &until) == 0) {}
    k->something = false;
    pthread_mutex_unlock(&k->lock);
}

static int64_t lag(Source *source, int partition, int64_t position) {
    KafkaSource *k = (KafkaSource *)(void *)source;
    int64_t low = 0, high = 0;
    if (rd_kafka_get_watermark_offsets(k->client.handle, k->topic, partition, &low, &high) ||
        high < 0)
        return -1;
    pthread_mutex_lock(&k->lock);
    if (partition < k->end_count && k->ends[partition] > high) high = k->ends[partition];
    pthread_mutex_unlock(&k->lock);
    return high > position ? high - position : 0;
}

static int64_t lost(Source *source) {
    return atomic_load(&((KafkaSource *)(void *)source)->gaps.lost);
}

const SourceType kafka_source = {
    .open = open_source,
    .partitions = partitions,
    .partition_name = partition_name,
    .seek = seek,
    .next = next,
    .wait = wait_message,
    .committed = committed,
    .lag = lag,
    .lost = lost,
    .close = close_source,
};
