/* What the Kafka source and sink share: a client's configuration out of the table's options, and
 * what is known of the brokers' side. */
#pragma once
#include "connector/connector.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

enum { KAFKA_LOOK_MS = 2000 }; /* how long one look at a topic may take */

typedef struct KafkaSetting {
    const char *name, *value;
} KafkaSetting;

/* A client and what it told by itself. Its address is the opaque of the configuration. */
typedef struct KafkaClient {
    rd_kafka_t *handle;  /* NULL: not made */
    const char *servers; /* bootstrap.servers, for messages */
    _Atomic bool down;   /* no broker can be reached */
    _Atomic bool quiet;  /* its errors are looked for, not worth a warning */
    _Atomic int failed;  /* of a delivery report: rd_kafka_resp_err_t; 0: none */
    pthread_mutex_t lock;
    char why[256]; /* the last error that was told; under lock */
} KafkaClient;

void kafka_client_open(KafkaClient *, const Options *);
void kafka_client_close(KafkaClient *); /* its handle is gone before */

/* A configuration: `defaults` first (those that this librdkafka does not know are left out), then
 * the user's properties, then `fixed`, which users may not change. NULL: FAIL with librdkafka's
 * words. */
rd_kafka_conf_t *kafka_conf(const Options *, const KafkaSetting *defaults,
                            const KafkaSetting *fixed, Error *error);
/* The client of that configuration, which is used up. FAIL: `what` ("source events") is named. */
CHECKED Status kafka_client_new(KafkaClient *, rd_kafka_type_t, rd_kafka_conf_t *, const char *what,
                                Error *);
/* Asks a broker about a topic. OK: *out is to be destroyed; AGAIN: nobody answers; REJECT: there is
 * no such topic; FAIL: it may not be used. */
CHECKED Status kafka_look(KafkaClient *, const char *topic, const struct rd_kafka_metadata **out,
                          Error *);
/* "no broker answers at …: the reason" */
Status kafka_away(KafkaClient *, const char *reason, Error *); /* AGAIN */
void kafka_back(KafkaClient *);                                /* a broker has answered */
/* Errors that pass by themselves: the broker is away, a leader moves. */
bool kafka_passing(rd_kafka_resp_err_t);

extern const KafkaSetting kafka_source_fixed[], kafka_sink_fixed[], kafka_sink_fixed_once[];
extern const SourceType kafka_source;
extern const SinkType kafka_sink;
