/* Shared by the Kafka source and sink: a client's configuration out of the table's options. */
#pragma once
#include "connector/connector.h"
#include <librdkafka/rdkafka.h>

typedef struct KafkaSetting {
    const char *name, *value;
} KafkaSetting;

/* A configuration: `defaults` first, then the user's properties, then `fixed` (which users may not change). NULL: FAIL with librdkafka's own words. */
rd_kafka_conf_t *kafka_conf(const Options *, const KafkaSetting *defaults, const KafkaSetting *fixed, Error *);
/* Checks names and values of properties; contacts nothing. */
CHECKED Status kafka_check(const Options *, bool as_source, bool as_sink, bool has_key, Error *);
/* Errors that pass by themselves: the broker is away, a leader moves. */
bool kafka_passing(rd_kafka_resp_err_t);
void kafka_log(const rd_kafka_t *, int level, const char *facility, const char *text);

extern const SourceType kafka_source;
extern const SinkType kafka_sink;
