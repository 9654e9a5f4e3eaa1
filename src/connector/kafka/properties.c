/* Properties of librdkafka, which a table gives under their own names in double quotes. Each is
 * honoured, told to do nothing, or refused: one that says nothing in a source or in a sink, one
 * that Leat has settled otherwise, and values that contradict one another. Which client a property
 * is for, the library tells itself, and it is asked for its verdict on the whole by a client
 * without a broker, so that `leat check` finds what would end the start. */
#include "base/memory.h"
#include "connector/kafka/kafka.h"
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE = 1, ONCE = 2, AT_LEAST_ONCE = 4, SINK = ONCE | AT_LEAST_ONCE, BOTH = SOURCE | SINK };

static const char no_member[] = "Leat reads each partition by itself, in no group's membership";
static const char positions[] = "positions live in the home; the offsets that are committed every "
                                "second are for monitoring";
static const char no_events[] = "Leat takes nothing of the client but records, errors and its log";

static const struct Rule {
    const char *name;
    int in;
    const char *only; /* the value that it has anyway; NULL: none is of use */
    const char *why;
} rules[] = {
    {"metadata.broker.list", BOTH, NULL, "\"bootstrap.servers\" says it"},
    {"enabled_events", BOTH, "0", no_events},
    {"log.queue", BOTH, "false", no_events},
    {"auto.offset.reset", SOURCE, "error",
     "option start says where to begin, on_gap what happens where records are gone"},
    {"isolation.level", SOURCE, "read_committed",
     "what a transaction takes back must not be counted"},
    {"enable.partition.eof", SOURCE, "true", "the end of a partition is known by it"},
    {"enable.auto.commit", SOURCE, "false", positions},
    {"enable.auto.offset.store", SOURCE, "false", positions},
    {"auto.commit.enable", SOURCE, NULL, positions},
    {"offset.store.method", SOURCE, NULL, positions},
    {"delivery.report.only.error", SINK, "true", "rows that are taken need no report"},
    {"transactional.id", ONCE, NULL, "each sink has its own, leat.HOME_ID.TABLE"},
    {"transactional.id", AT_LEAST_ONCE, NULL, "delivery = 'at_least_once' has no transactions"},
    {"transaction.timeout.ms", AT_LEAST_ONCE, NULL,
     "delivery = 'at_least_once' has no transactions"},
    {"enable.idempotence", ONCE, "true", "its transactions need that"},
};

/* What configurations of other programs often hold. */
static const struct {
    const char *name, *why;
} idle[] = {
    {"session.timeout.ms", no_member},
    {"heartbeat.interval.ms", no_member},
    {"max.poll.interval.ms", no_member},
    {"partition.assignment.strategy", no_member},
    {"group.instance.id", no_member},
    {"group.protocol.type", no_member},
    {"auto.commit.interval.ms", positions},
    {"statistics.interval.ms", no_events},
    {"consume.callback.max.messages", no_events},
};

bool kafka_exactly_once(const Options *given) {
    return strcmp(option_text(given, "delivery", "exactly_once"), "at_least_once") != 0;
}

/* ---- the library's own table ---- */

typedef struct Property {
    bool known, of_consumers, of_producers;
    bool unused; /* an old name that is still taken */
} Property;

/* Lines "name | C/P | range | … | description": C is for consumers, P for producers, * for both. A
 * topic's properties come in a second table. The caller frees it. */
static char *library_table(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file) return NULL;
    rd_kafka_conf_properties_show(file);
    fclose(file);
    return text;
}

/* The next line of it, cut into its name and what follows; NULL: no more. */
static char *next_property(char **rest, char **use) {
    while (*rest && **rest) {
        char *line = *rest, *end = line + strcspn(line, "\n");
        *rest = end + (*end != 0);
        *end = 0;
        size_t name = strcspn(line, " ");
        *use = line + name + strspn(line + name, " |");
        if (!name || !**use || !memchr("CP*", **use, 3) || (*use)[1] != ' ') continue;
        line[name] = 0;
        return line;
    }
    return NULL;
}

static Property look_up(const char *name) {
    Property found = {0};
    char *text = library_table(), *rest = text, *use, *line;
    while ((line = next_property(&rest, &use))) {
        if (strcmp(line, name) != 0) continue;
        found.known = true;
        found.of_consumers = found.of_consumers || *use != 'P';
        found.of_producers = found.of_producers || *use != 'C';
        found.unused = strstr(use, "No longer used") != NULL;
    }
    free(text);
    return found;
}

int kafka_property_uses(const char *name) {
    Property found = look_up(name);
    if (!found.known) return OPTION_SOURCE | OPTION_SINK; /* kafka_check tells */
    return (found.of_consumers ? OPTION_SOURCE : 0) | (found.of_producers ? OPTION_SINK : 0);
}

const char *kafka_property_idle(const char *name) {
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (strcmp(idle[i].name, name) == 0) return idle[i].why;
    return look_up(name).unused ? "librdkafka takes the old name and no longer uses it" : NULL;
}

/* "did you mean …" for a name in double quotes: a property's, or an option of the table's. */
static Status unknown(const char *name, Error *error) {
    enum { NAMES_MOST = 1000 };
    const char *names[NAMES_MOST];
    int known = 0;
    char *text = library_table(), *rest = text, *use, *line;
    while (known < NAMES_MOST && (line = next_property(&rest, &use))) names[known++] = line;
    for (const Option *o = kafka_options; o->name && known < NAMES_MOST; o++)
        names[known++] = o->name;
    for (const Option *o = common_options; o->name && known < NAMES_MOST; o++)
        names[known++] = o->name;
    const char *closest = closest_name(name, names, known);
    const char *quote = closest && strchr(closest, '.') ? "\"" : "'";
    Status status =
        closest
            ? fail(error, "unknown property \"%s\" of connector 'kafka'; did you mean %s%s%s?",
                   name, quote, closest, quote)
            : fail(error, "unknown property \"%s\" of connector 'kafka'; librdkafka's are known",
                   name);
    free(text);
    return status;
}

/* ---- a configuration ---- */

static Status set(rd_kafka_conf_t *conf, const char *name, const char *value, bool must_exist,
                  Error *error) {
    char why[512];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (result == RD_KAFKA_CONF_INVALID)
        return fail(error, "property \"%s\" of connector 'kafka': %s", name, why);
    return result == RD_KAFKA_CONF_OK || !must_exist ? OK : unknown(name, error);
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
        char *fresh = kafka_text_now(value);
        status = set(conf, value->name, fresh ? fresh : value->text, true, error);
        free(fresh);
        if (status != OK && error) {
            error->line = value->line;
            error->column = value->place;
        }
    }
    for (int i = 0; fixed && fixed[i].name && status == OK; i++)
        status = set(conf, fixed[i].name, fixed[i].value, true, error);
    if (status == OK) return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* ---- what contradicts ---- */

/* In the library's spelling: "1" is "true" for some. */
static bool has_value(const rd_kafka_conf_t *conf, const char *name, const char *value) {
    char found[512];
    size_t size = sizeof found;
    return rd_kafka_conf_get(conf, name, found, &size) == RD_KAFKA_CONF_OK &&
           strcmp(found, value) == 0;
}

static Status check_rules(const Options *given, const rd_kafka_conf_t *conf, int as, Error *error) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct Rule *rule = &rules[i];
        const OptionValue *value = option_find(given, rule->name);
        if (!value || !(rule->in & as) || (rule->only && has_value(conf, rule->name, rule->only)))
            continue;
        return fail_at(error, value->line, value->place,
                       "property \"%s\" of connector 'kafka' %s%s%s: %s; leave it out%s",
                       rule->name, rule->only ? "is always '" : "cannot be set",
                       rule->only ? rule->only : "", rule->only ? "'" : "", rule->why,
                       rule->only && rule->in == ONCE ? ", or say delivery = 'at_least_once'" : "");
    }
    return OK;
}

/* The property that the library's words speak of, as `acks`. */
static const OptionValue *spoken_of(const Options *given, const char *why) {
    char word[128];
    for (const char *at = strchr(why, '`'); at; at = strchr(at, '`')) {
        size_t size = strcspn(++at, "`");
        if (size && size < sizeof word) {
            snprintf(word, sizeof word, "%.*s", (int)size, at);
            for (int i = 0; i < given->count; i++)
                if (!given->values[i].option && strstr(given->values[i].name, word))
                    return &given->values[i];
        }
        at += size + (at[size] != 0);
    }
    return NULL;
}

/* A client that knows no broker, and needs none of what stands in files. False: why not. */
static bool can_be(const Options *given, const KafkaSetting *defaults, const KafkaSetting *fixed,
                   const char *transaction, bool consumer, char *why, size_t size) {
    static const char *const silent[] = {"bootstrap.servers", "security.protocol",
                                         "sasl.mechanisms", "debug", "plugin.library.paths"};
    rd_kafka_conf_t *conf = kafka_conf(given, defaults, fixed, NULL);
    if (!conf) return true; /* told before */
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        (void)rd_kafka_conf_set(conf, silent[i], NULL, why, size);
    (void)rd_kafka_conf_set(conf, "log_level", "0", why, size);
    if (transaction) (void)rd_kafka_conf_set(conf, "transactional.id", transaction, why, size);
    rd_kafka_t *client =
        rd_kafka_new(consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, why, size);
    if (client) rd_kafka_destroy(client);
    else rd_kafka_conf_destroy(conf);
    return client != NULL;
}

static Status check_whole(const Options *given, int as, Error *error) {
    char why[512], ignored[512];
    bool possible =
        as == SOURCE
            ? can_be(given, kafka_source_defaults, kafka_source_fixed, NULL, true, why, sizeof why)
        : as == ONCE
            ? can_be(given, kafka_sink_defaults_once, kafka_sink_fixed_once, "check", false, why,
                     sizeof why)
            : can_be(given, kafka_sink_defaults, kafka_sink_fixed, NULL, false, why, sizeof why);
    if (possible) return OK;
    bool allowed = as == ONCE && can_be(given, kafka_sink_defaults, kafka_sink_fixed, NULL, false,
                                        ignored, sizeof ignored);
    const OptionValue *value = spoken_of(given, why);
    return fail_at(error, value ? value->line : 0, value ? value->place : 0,
                   "properties of connector 'kafka': %s%s", why,
                   allowed ? ", as in every exactly-once sink; leave it out, or say "
                             "delivery = 'at_least_once', which allows it"
                           : "");
}

static Status check_as(const Options *given, int as, Error *error) {
    rd_kafka_conf_t *conf = kafka_conf(given, NULL, NULL, error);
    if (!conf) return FAIL;
    Status status = check_rules(given, conf, as, error);
    if (status == OK && as == AT_LEAST_ONCE && has_value(conf, "acks", "0")) {
        const OptionValue *acks = option_find(given, "acks");
        if (!acks) acks = option_find(given, "request.required.acks");
        status =
            fail_at(error, acks ? acks->line : 0, acks ? acks->place : 0,
                    "\"acks\" = '0' of connector 'kafka': a row that no broker acknowledges is "
                    "not delivered at least once; say '1' or 'all'");
    }
    rd_kafka_conf_destroy(conf);
    return status == OK && as ? check_whole(given, as, error) : status;
}

Status kafka_check(const Options *given, bool as_source, bool as_sink, bool has_key, Error *error) {
    (void)has_key;
    int sink = kafka_exactly_once(given) ? ONCE : AT_LEAST_ONCE;
    Status status = check_as(given, 0, error);
    if (status != OK) return status;
    if (!option_text(given, "bootstrap.servers", NULL))
        return fail(error, "connector 'kafka' needs \"bootstrap.servers\" = 'host:port' (with the "
                           "double quotes)");
    if (as_sink && strcmp(option_text(given, "format", "json"), "json") != 0)
        return fail(error, "a Kafka sink writes json, not '%s'; leave format out",
                    option_text(given, "format", "json"));
    KafkaStart start;
    status = kafka_start_read(given, &start, error);
    if (status == OK && as_source) status = check_as(given, SOURCE, error);
    if (status == OK && as_sink) status = check_as(given, sink, error);
    return status;
}
