/* Kafka, and Azure Event Hubs, which speaks its protocol: options, and what source and sink share.
 * Their configuration is properties.c's. */
#include "connector/kafka/kafka.h"
#include "base/log.h"
#include "base/variables.h"
#include <stdio.h>
#include <stdlib.h>

static const char *const on_gaps[] = {"fail", "skip", NULL};

const Option kafka_options[] = {
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
     .help = "where to begin while the home has no position yet: 'earliest', 'latest', a time "
             "like '2026-01-01T00:00:00Z' (the first record whose timestamp is not less), or "
             "'group' (the offsets committed to \"group.id\")",
     .flags = OPTION_SOURCE},
    {.name = "on_gap",
     .type = OPTION_ENUM,
     .default_text = "fail",
     .choices = on_gaps,
     .help = "what happens when records were deleted before they were read; skip: go on with the "
             "first that is there, and count what is lost",
     .flags = OPTION_SOURCE},
    {0},
};

static SinkWay sink_way(const Options *given) {
    return kafka_exactly_once(given) ? SINK_BY_OUTBOX : SINK_AT_ONCE;
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
    static const char *const told[] = {"FAIL", "ERROR", "SSLCERTVRFY"};
    const KafkaClient *client = rd_kafka_opaque(handle);
    bool quiet = client && atomic_load(&client->quiet) && strcmp(facility, "TXNERR") == 0;
    for (int i = 0; i < 3; i++) quiet = quiet || strcmp(facility, told[i]) == 0;
    if (!quiet && level <= 3) log_warning("kafka: %s", text);
    else log_debug("kafka: %s: %s", facility, text);
}

/* "host:port/3: what happened" speaks of broker 3; of one whose number is not known yet: -1. */
static int broker_of(const char *reason) {
    const char *end = strstr(reason, ": "), *digit = end;
    while (digit && digit > reason && digit[-1] >= '0' && digit[-1] <= '9') digit--;
    return digit && digit != end && digit > reason && digit[-1] == '/' ? atoi(digit) : -1;
}

static void suspect(KafkaClient *client, int number) {
    for (int i = 0; i < client->suspect_count; i++)
        if (client->suspects[i] == number) return;
    if (number >= 0 && client->suspect_count < KAFKA_SUSPECTS_MOST)
        client->suspects[client->suspect_count++] = number;
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *context) {
    KafkaClient *client = context;
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        atomic_store(&client->down, true);
        return; /* the reason came before */
    }
    pthread_mutex_lock(&client->lock);
    kafka_trouble(client, code, reason, client->why, sizeof client->why);
    suspect(client, broker_of(reason));
    pthread_mutex_unlock(&client->lock);
}

int kafka_suspects(KafkaClient *client, int numbers[KAFKA_SUSPECTS_MOST]) {
    pthread_mutex_lock(&client->lock);
    int count = client->suspect_count;
    memcpy(numbers, client->suspects, sizeof client->suspects);
    pthread_mutex_unlock(&client->lock);
    return count;
}

void kafka_trust(KafkaClient *client, int number) {
    pthread_mutex_lock(&client->lock);
    for (int i = 0; i < client->suspect_count; i++)
        if (client->suspects[i] == number)
            client->suspects[i--] = client->suspects[--client->suspect_count];
    pthread_mutex_unlock(&client->lock);
}

void kafka_client_open(KafkaClient *client, const Options *given) {
    client->given = given;
    client->servers = option_text(given, "bootstrap.servers", "");
    pthread_mutex_init(&client->lock, NULL);
}

void kafka_client_close(KafkaClient *client) {
    pthread_mutex_destroy(&client->lock);
    free(client->user);
    free(client->secret);
    client->user = client->secret = NULL;
}

/* ---- secrets ---- */

/* The text of a property whose secret file is read again; NULL: it holds none, or cannot be read
 * now. The caller frees it. */
char *kafka_text_now(const OptionValue *value) {
    if (!value || !value->raw || !strstr(value->raw, "${file:")) return NULL;
    Buffer text = {0};
    Error ignored;
    if (variables_replace(value->raw, &text, &ignored) == OK) {
        buffer_add_char(&text, 0);
        return text.data;
    }
    buffer_free(&text);
    return NULL;
}

static char *secret_of(const Options *given, const char *name) {
    const OptionValue *value = option_find(given, name);
    char *text = kafka_text_now(value);
    return text ? text : xstrdup(value && value->text ? value->text : "");
}

static bool in_file(const Options *given, const char *name) {
    const OptionValue *value = option_find(given, name);
    return value && value->raw && strstr(value->raw, "${file:");
}

/* librdkafka takes another user and password while it runs, for all connections that are made from
 * then on; of its other properties only a new client takes new ones. */
static void kafka_read_secrets(KafkaClient *client) {
    const Options *given = client->given;
    if (!in_file(given, "sasl.username") && !in_file(given, "sasl.password")) return;
    char *user = secret_of(given, "sasl.username"), *secret = secret_of(given, "sasl.password");
    bool changed = client->user && (strcmp(user, client->user) || strcmp(secret, client->secret));
    if (changed) {
        rd_kafka_error_t *failed = rd_kafka_sasl_set_credentials(client->handle, user, secret);
        if (failed) rd_kafka_error_destroy(failed);
        else
            log_info("kafka: %s: sasl.username and sasl.password were read again", client->servers);
    }
    free(client->user);
    free(client->secret);
    client->user = user;
    client->secret = secret;
}

Status kafka_client_new(KafkaClient *client, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                        const char *what, Error *error) {
    char why[512];
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, client);
    rd_kafka_conf_set_error_cb(conf, on_error);
    kafka_watch_certificates(conf);
    client->handle = rd_kafka_new(type, conf, why, sizeof why);
    if (client->handle) kafka_read_secrets(client);
    if (client->handle) return OK;
    rd_kafka_conf_destroy(conf);
    return fail(error, "%s: %s", what, why);
}

void kafka_serve(KafkaClient *client) {
    rd_kafka_poll(client->handle, 0);
    if (rd_kafka_type(client->handle) != RD_KAFKA_CONSUMER) return;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(client->handle, 0);
    if (message) rd_kafka_message_destroy(message);
}

Status kafka_away(KafkaClient *client, const char *reason, Error *error) {
    if (client->handle) {
        kafka_read_secrets(client);
        kafka_serve(client);
    }
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
    kafka_read_secrets(client);
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
    .options = kafka_options,
    .properties = true,
    .source = &kafka_source,
    .sink = &kafka_sink,
    .sink_way = sink_way,
    .keeps_positions = keeps_positions,
    .property_uses = kafka_property_uses,
    .property_idle = kafka_property_idle,
    .check = kafka_check,
};
