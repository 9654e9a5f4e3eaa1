/* What the Kafka source and sink share: a client's configuration out of the table's options, and
 * what is known of the brokers' side. */
#pragma once
#include "connector/connector.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    KAFKA_LOOK_MS = 2000, /* how long one look at a topic may take */
    KAFKA_SUSPECTS_MOST = 16,
};

typedef struct KafkaSetting {
    const char *name, *value;
} KafkaSetting;

/* A client and what it told by itself. Its address is the opaque of the configuration. */
typedef struct KafkaClient {
    rd_kafka_t *handle;   /* NULL: not made */
    const Options *given; /* what it is made from */
    const char *servers;  /* bootstrap.servers, for messages */
    char *user, *secret;  /* what sasl.username and sasl.password were when they were last read;
                             NULL: neither is in a file */
    _Atomic bool down;    /* no broker can be reached */
    _Atomic bool quiet;   /* failed transactions are no news any more */
    _Atomic int failed;   /* of a delivery report: rd_kafka_resp_err_t; 0: none */
    pthread_mutex_t lock;
    _Atomic int certificate; /* why the last one was refused: OpenSSL's number */
    char why[512];           /* the last error that was told; under lock */
    int suspects[KAFKA_SUSPECTS_MOST], suspect_count; /* brokers that errors spoke of; under lock */
} KafkaClient;

void kafka_client_open(KafkaClient *, const Options *);
void kafka_client_close(KafkaClient *); /* its handle is gone before */

/* A configuration: `defaults` first (those that this librdkafka does not know are left out), then
 * the user's properties, then `fixed`, which users may not change. NULL: FAIL with librdkafka's
 * words. */
rd_kafka_conf_t *kafka_conf(const Options *, const KafkaSetting *defaults,
                            const KafkaSetting *fixed, Error *error);
/* properties.c: Connector.property_uses, .property_idle and .check. */
int kafka_property_uses(const char *name);
const char *kafka_property_idle(const char *name);
CHECKED Status kafka_check(const Options *, bool as_source, bool as_sink, bool has_key, Error *);
bool kafka_exactly_once(const Options *);
/* The client of that configuration, which is used up. FAIL: `what` ("source events") is named. */
CHECKED Status kafka_client_new(KafkaClient *, rd_kafka_type_t, rd_kafka_conf_t *, const char *what,
                                Error *);
/* Asks a broker about a topic. OK: *out is to be destroyed; AGAIN: nobody answers; REJECT: there is
 * no such topic; FAIL: it may not be used. */
CHECKED Status kafka_look(KafkaClient *, const char *topic, const struct rd_kafka_metadata **out,
                          Error *);
/* The text of a property whose secret file is read again; NULL: it holds none, or cannot be read
 * now. The caller frees it. */
char *kafka_text_now(const OptionValue *);
/* trouble.c: the words for an error of a callback, with its remedy. */
void kafka_trouble(const KafkaClient *, int code, const char *reason, char *out, size_t size);
void kafka_watch_certificates(rd_kafka_conf_t *);
/* Errors that the client tells by callback. */
void kafka_serve(KafkaClient *);
/* "no broker answers at …: the reason" */
Status kafka_away(KafkaClient *, const char *reason, Error *); /* AGAIN */
void kafka_back(KafkaClient *);                                /* a broker has answered */
/* Brokers that may not answer: errors spoke of them since they were last trusted. How many. */
int kafka_suspects(KafkaClient *, int numbers[KAFKA_SUSPECTS_MOST]);
void kafka_trust(KafkaClient *, int number);
/* Errors that pass by themselves: the broker is away, a leader moves. */
bool kafka_passing(rd_kafka_resp_err_t);

/* ---- the source's places (start.c, gap.c) ---- */

typedef struct KafkaStart {
    enum { KAFKA_EARLIEST, KAFKA_LATEST, KAFKA_GROUP, KAFKA_TIME } kind;
    int64_t time_ms;
} KafkaStart;
CHECKED Status kafka_start_read(const Options *, KafkaStart *, Error *); /* FAIL has its place */

/* Of partitions from `first` on the first offset at or behind a time in milliseconds; a partition
 * without: RD_KAFKA_OFFSET_END. The time may be RD_KAFKA_OFFSET_BEGINNING or _END, for these
 * themselves. (rd_kafka_query_watermark_offsets waits for a broker that is down for a minute,
 * whatever it is told.) */
rd_kafka_resp_err_t kafka_offsets(KafkaClient *, const char *topic, int first, int count,
                                  int64_t time, int64_t *offsets, int most_ms);

/* Where partitions begin that the home has no position of. */
typedef struct KafkaBegins {
    int64_t *offsets; /* RD_KAFKA_OFFSET_BEGINNING: at their start */
    int count;        /* how many partitions were ever there */
    char *start;      /* by which `start` it was settled; NULL: not yet */
} KafkaBegins;
/* Makes it cover `count` partitions, of the home's knowledge or by asking. AGAIN: a broker is away.
 */
CHECKED Status kafka_begins(KafkaBegins *, KafkaClient *, const SourceContext *, const char *topic,
                            int count, Error *);
void kafka_begins_free(KafkaBegins *);

typedef struct KafkaGap {
    int partition;
    int64_t before;     /* offsets of its earlier gaps */
    int64_t begin, end; /* the last one */
} KafkaGap;
typedef struct KafkaGaps {
    KafkaGap *of;
    int count;
    _Atomic int64_t lost; /* of all partitions */
} KafkaGaps;
void kafka_gaps_recall(KafkaGaps *, const SourceContext *);
CHECKED Status kafka_gaps_add(KafkaGaps *, const SourceContext *, int partition, int64_t begin,
                              int64_t end, Error *);
void kafka_gaps_free(KafkaGaps *);
/* FAIL: why the run ends where `position` is before the topic's first offset, or behind its end. */
Status kafka_gap_refused(const SourceContext *, const char *topic, int partition, int64_t position,
                         int64_t low, Error *);
Status kafka_end_refused(const SourceContext *, const char *topic, int partition, int64_t position,
                         int64_t high, Error *);

extern const Option kafka_options[];
extern const KafkaSetting kafka_source_defaults[], kafka_source_fixed[];
/* Of exactly-once sinks, and of the others. */
extern const KafkaSetting kafka_sink_defaults_once[], kafka_sink_fixed_once[];
extern const KafkaSetting kafka_sink_defaults[], kafka_sink_fixed[];
extern const SourceType kafka_source;
extern const SinkType kafka_sink;
