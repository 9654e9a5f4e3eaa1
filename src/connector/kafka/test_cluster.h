/* What the tests of source and sink share: librdkafka's made-up cluster, which fails as it is told,
 * and a table's options for it. */
#pragma once
#include "connector/kafka/kafka.h"
#include <librdkafka/rdkafka_mock.h>

/* Kinds of requests. */
enum {
    PRODUCE = 0,
    FETCH = 1,
    INIT_PRODUCER = 22,
    ADD_PARTITIONS = 24,
    ADD_OFFSETS = 25,
    END_TRANSACTION = 26,
    COMMIT_OFFSETS = 28
};
enum { PARTITIONS = 4 }; /* of topic "t" */

extern const Connector kafka_connector;
extern rd_kafka_t *helper; /* it runs the cluster, and writes what sources read */
extern rd_kafka_mock_cluster_t *cluster;
extern OptionValue values[8];
extern Options options; /* of a table over topic "t" */

void cluster_open(int brokers); /* with topic "t" and its options */
void cluster_close(void);
/* One more option, or another value of one that is there. */
void set_option(Options *, const char *name, const char *text);
void must(Status, const Error *);               /* fails unless it is OK */
void says(const char *text, const char *words); /* fails unless they are in it */
int rows_in(const char *topic, int partitions); /* those of transactions that were aborted too */
/* Commits an offset with its words to the group of the sink `out` of the home `home`. */
void mark(const char *topic, int partition, int64_t offset, const char *text);
