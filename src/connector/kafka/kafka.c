/* Kafka, and Azure Event Hubs, which speaks its protocol: options, and what source and sink share.
 * Every librdkafka property may be given under its own name in double quotes; only those that
 * Leat's promises rest on are fixed. */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "data/time.h"
#include <stdio.h>
#include <stdlib.h>

static const Option options[] = {
    {.name = "topic",
     .type = OPTION_TEXT,
     .help = "the topic to read or to write",
     .flags = OPTION_REQUIRED | OPTION_ANSWER | OPTION_SOURCE | OPTION_SINK},
    {.name = "key",
     .type = OPTION_TEXT,
     .help = "columns of the record's key: one: its text; several: a JSON array; "
             "default: the PRIMARY KEY, else no key",
     .flags = OPTION_ANSWER | OPTION_SINK},
    {.name = "start",
     .type = OPTION_TEXT,
     .default_text = "earliest",
     .help = "where to begin while the home has no position yet: 'earliest' or 'latest'",
     .flags = OPTION_SOURCE},
    {0},
};

/* ---- configuration ---- */

/* The property whose name is closest, or NULL. */
static const char *closest_property(const char *name, char *found, size_t size) {
    rd_kafka_conf_t *all = rd_kafka_conf_new();
    size_t count;
    const char **pairs = rd_kafka_conf_dump(all, &count);
    const char **names = xcalloc(count / 2 + 1, sizeof *names);
    for (size_t i = 0; i < count; i += 2) names[i / 2] = pairs[i];
    const char *closest = closest_name(name, names, (int)(count / 2));
    if (closest) snprintf(found, size, "%s", closest);
    free(names);
    rd_kafka_conf_dump_free(pairs, count);
    rd_kafka_conf_destroy(all);
    return closest ? found : NULL;
}

static Status set(rd_kafka_conf_t *conf, const char *name, const char *value, bool must_exist,
                  Error *error) {
    char why[512], closest[128];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (result == RD_KAFKA_CONF_OK) return OK;
    if (result == RD_KAFKA_CONF_INVALID)
        return fail(error, "property \"%s\" of connector 'kafka': %s", name, why);
    if (!must_exist) return OK;
    if (closest_property(name, closest, sizeof closest))
        return fail(error, "unknown property \"%s\" of connector 'kafka'; did you mean \"%s\"?",
                    name, closest);
    return fail(error, "unknown property \"%s\" of connector 'kafka'; librdkafka's are known",
                name);
}

rd_kafka_conf_t *kafka_conf(const Options *from, const KafkaSetting *defaults,
                            const KafkaSetting *fixed, Error *error) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    Status status = OK;
    for (int i = 0; defaults && defaults[i].name && status == OK; i++)
        status = set(conf, defaults[i].name, defaults[i].value, false, error);
    for (int i = 0; i < from->count && status == OK; i++) {
        const OptionValue *value = &from->values[i];
        if (value->option || !value->given) continue;
        status = set(conf, value->name, value->text, true, error);
        for (int f = 0; fixed && fixed[f].name && status == OK; f++)
            if (strcmp(fixed[f].name, value->name) == 0)
                status = fail(error,
                              "property \"%s\" of connector 'kafka' cannot be set: what Leat "
                              "promises rests on it being '%s'; leave it out",
                              value->name, fixed[f].value ? fixed[f].value : "Leat's own");
        if (status != OK && error) {
            error->line = value->line;
            error->column = value->place;
        }
    }
    for (int i = 0; fixed && fixed[i].name && status == OK; i++)
        if (fixed[i].value) status = set(conf, fixed[i].name, fixed[i].value, true, error);
    if (status == OK) return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static bool exactly_once(const Options *given) {
    return strcmp(option_text(given, "delivery", "exactly_once"), "at_least_once") != 0;
}

/* 'group' and a time are of the language, and come with a later version. */
static Status check_start(const Options *given, Error *error) {
    static const char *const starts[] = {"earliest", "latest"};
    const OptionValue *value = option_find(given, "start");
    if (!value || !value->text) return OK;
    for (int i = 0; i < 2; i++)
        if (strcmp(starts[i], value->text) == 0) return OK;
    int64_t time;
    Error ignored;
    bool is_time = timestamp_parse(str_from(value->text), true, &time, &ignored) == OK;
    const char *closest = closest_name(value->text, starts, 2);
    if (is_time || strcmp(value->text, "group") == 0)
        return fail_at(error, value->line, value->place,
                       "start %s'%s' comes with a later version; now it is one of 'earliest', "
                       "'latest'",
                       is_time ? "as a timestamp: " : "", value->text);
    if (closest)
        return fail_at(error, value->line, value->place,
                       "option 'start' has no value '%s'; did you mean '%s'?", value->text,
                       closest);
    return fail_at(error, value->line, value->place,
                   "option 'start' expects one of 'earliest', 'latest', got '%s'", value->text);
}

static Status check(const Options *given, bool as_source, bool as_sink, bool has_key,
                    Error *error) {
    (void)has_key;
    if (!option_text(given, "bootstrap.servers", NULL))
        return fail(error, "connector 'kafka' needs \"bootstrap.servers\" = 'host:port' (with the "
                           "double quotes)");
    if (check_start(given, error) != OK) return FAIL;
    const KafkaSetting *fixed[] = {
        as_source ? kafka_source_fixed : NULL,
        as_sink ? exactly_once(given) ? kafka_sink_fixed_once : kafka_sink_fixed : NULL};
    for (int i = 0; i < 2; i++) {
        if (i && !fixed[i]) continue;
        rd_kafka_conf_t *conf = kafka_conf(given, NULL, fixed[i], error);
        if (!conf) return FAIL;
        rd_kafka_conf_destroy(conf);
    }
    return OK;
}

static SinkWay sink_way(const Options *given) {
    return exactly_once(given) ? SINK_BY_OUTBOX : SINK_AT_ONCE;
}

/* A transaction may hold the offsets of any topic of its own cluster; that of the sink's own topic
 * is the marker's place. */
static bool keeps_positions(const Options *sink, const Options *source) {
    return strcmp(option_text(sink, "bootstrap.servers", ""),
                  option_text(source, "bootstrap.servers", "")) == 0 &&
           strcmp(option_text(sink, "topic", ""), option_text(source, "topic", "")) != 0;
}

/* ---- clients ---- */

/* librdkafka's own lines: what it repeats at every attempt to connect is told once by the source's
 * or sink's state. */
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text) {
    const KafkaClient *client = rd_kafka_opaque(handle);
    bool quiet = client && atomic_load(&client->quiet);
    if (!quiet && level <= 3 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0)
        log_warning("kafka: %s", text);
    else log_debug("kafka: %s: %s", facility, text);
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *context) {
    KafkaClient *client = context;
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        atomic_store(&client->down, true);
        return; /* the reason came before */
    }
    pthread_mutex_lock(&client->lock);
    snprintf(client->why, sizeof client->why, "%s", reason);
    pthread_mutex_unlock(&client->lock);
}

void kafka_client_open(KafkaClient *client, const Options *given) {
    client->servers = option_text(given, "bootstrap.servers", "");
    pthread_mutex_init(&client->lock, NULL);
}

void kafka_client_close(KafkaClient *client) { pthread_mutex_destroy(&client->lock); }

Status kafka_client_new(KafkaClient *client, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                        const char *what, Error *error) {
    char why[512];
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_error_cb(conf, on_error);
    client->handle = rd_kafka_new(type, conf, why, sizeof why);
    if (client->handle) return OK;
    rd_kafka_conf_destroy(conf);
    return fail(error, "%s: %s", what, why);
}

Status kafka_away(KafkaClient *client, const char *reason, Error *error) {
    pthread_mutex_lock(&client->lock);
    (void)fail(error, "no broker answers at %s: %s", client->servers,
               *client->why ? client->why : reason);
    pthread_mutex_unlock(&client->lock);
    return AGAIN;
}

void kafka_back(KafkaClient *client) {
    pthread_mutex_lock(&client->lock);
    client->why[0] = 0;
    pthread_mutex_unlock(&client->lock);
    atomic_store(&client->down, false);
}

static Status looked(KafkaClient *client, const char *topic, rd_kafka_resp_err_t code, int count,
                     Error *error) {
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || (!code && !count)) {
        (void)fail(error, "topic '%s' does not exist at %s; create it, or correct the option topic",
                   topic, client->servers);
        return REJECT;
    }
    if (!code) return OK;
    if (kafka_passing(code)) return kafka_away(client, rd_kafka_err2str(code), error);
    return fail(error, "topic '%s' at %s: %s", topic, client->servers, rd_kafka_err2str(code));
}

Status kafka_look(KafkaClient *client, const char *topic, const struct rd_kafka_metadata **out,
                  Error *error) {
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client->handle, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    if (!handle)
        return fail(error, "topic '%s': %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(client->handle, 0, handle, &metadata, KAFKA_LOOK_MS);
    rd_kafka_topic_destroy(handle);
    int count = 0;
    if (!code && metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        count = metadata->topics[0].partition_cnt;
    }
    Status status = looked(client, topic, code, count, error);
    if (status == AGAIN) atomic_store(&client->down, true);
    else kafka_back(client);
    if (status == OK) *out = metadata;
    else if (metadata) rd_kafka_metadata_destroy(metadata);
    return status;
}

bool kafka_passing(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION: /* a secret may be put right outside */
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE: return true;
    default: return false;
    }
}

const Connector kafka_connector = {
    .name = "kafka",
    .help = "Apache Kafka and Azure Event Hubs: topics as sources and as sinks",
    .options = options,
    .properties = true,
    .source = &kafka_source,
    .sink = &kafka_sink,
    .sink_way = sink_way,
    .keeps_positions = keeps_positions,
    .check = check,
};
