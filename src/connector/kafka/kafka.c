/* Kafka, and Azure Event Hubs, which speaks its protocol: options, and what source and sink share. Every librdkafka
 * property may be given under its own name in double quotes; only those that Leat's promises rest on are fixed. */
#include "connector/kafka/kafka.h"
#include "base/log.h"

static const char *const starts[] = {"earliest", "latest", NULL};

static const Option options[] = {
    {.name = "topic", .type = OPTION_TEXT, .help = "the topic to read or to write", .flags = OPTION_REQUIRED | OPTION_ANSWER | OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE},
    {.name = "key", .type = OPTION_TEXT, .help = "columns of the record's key: one: its text; several: a JSON array; default: the PRIMARY KEY, else no key", .flags = OPTION_ANSWER | OPTION_SINK},
    {.name = "start", .type = OPTION_ENUM, .default_text = "earliest", .choices = starts, .help = "where to begin while the home has no position yet", .flags = OPTION_SOURCE},
    {0},
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value, Status *status, Error *error) {
    char why[512];
    if (*status == OK && rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        *status = fail(error, "property \"%s\" of connector 'kafka': %s", name, why);
}

rd_kafka_conf_t *kafka_conf(const Options *from, const KafkaSetting *defaults, const KafkaSetting *fixed, Error *error) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    Status status = OK;
    for (int i = 0; defaults && defaults[i].name; i++) set(conf, defaults[i].name, defaults[i].value, &status, error);
    for (int i = 0; i < from->count && status == OK; i++) {
        const OptionValue *value = &from->values[i];
        if (value->option || !value->given) continue;
        for (int f = 0; fixed && fixed[f].name; f++)
            if (strcmp(fixed[f].name, value->name) == 0)
                status = fail(error, "property \"%s\" of connector 'kafka' cannot be set: exactly-once delivery rests on it being '%s'; leave it out", value->name, fixed[f].value);
        set(conf, value->name, value->text, &status, error);
        if (status != OK && error) {
            error->line = value->line;
            error->column = value->place;
        }
    }
    for (int i = 0; fixed && fixed[i].name; i++) set(conf, fixed[i].name, fixed[i].value, &status, error);
    if (status == OK) {
        rd_kafka_conf_set_log_cb(conf, kafka_log);
        return conf;
    }
    rd_kafka_conf_destroy(conf);
    return NULL;
}

Status kafka_check(const Options *given, bool as_source, bool as_sink, bool has_key, Error *error) {
    (void)as_source, (void)as_sink, (void)has_key;
    if (!option_text(given, "bootstrap.servers", NULL))
        return fail(error, "connector 'kafka' needs \"bootstrap.servers\" = 'host:port' (with the double quotes)");
    rd_kafka_conf_t *conf = kafka_conf(given, NULL, NULL, error);
    if (!conf) return FAIL;
    rd_kafka_conf_destroy(conf);
    return OK;
}

bool kafka_passing(rd_kafka_resp_err_t code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS: return true;
    default: return false;
    }
}

/* librdkafka's own lines: what it repeats at every attempt to connect is told once by the source's or sink's state. */
void kafka_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    (void)client;
    if (level <= 3 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0) log_warning("kafka: %s", text);
    else log_debug("kafka: %s: %s", facility, text);
}

static SinkWay sink_way(const Options *given) {
    return strcmp(option_text(given, "delivery", "exactly_once"), "at_least_once") == 0 ? SINK_AT_ONCE : SINK_BY_OUTBOX;
}

const Connector kafka_connector = {
    .name = "kafka",
    .help = "Apache Kafka and Azure Event Hubs: topics as sources and as sinks",
    .options = options,
    .properties = true,
    .source = &kafka_source,
    .sink = &kafka_sink,
    .sink_way = sink_way,
    .check = kafka_check,
};
