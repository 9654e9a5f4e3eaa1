/* The made-up cluster of the Kafka tests. It forgets no row of a transaction that was thrown away
 * and keeps no offset that was sent in one: tests/test_kafka*.py look at those on real brokers. */
#include "connector/kafka/test_cluster.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka wants the headers above first
#include <cmocka.h>

rd_kafka_t *helper;
rd_kafka_mock_cluster_t *cluster;
OptionValue values[8];
Options options;

void set_option(Options *to, const char *name, const char *text) {
    int i = 0;
    while (i < to->count && strcmp(to->values[i].name, name) != 0) i++;
    if (i == to->count) to->count++;
    to->values[i] = (OptionValue){.name = name, .text = text, .raw = text, .given = true};
    for (const Option *o = kafka_connector.options; o->name; o++)
        if (strcmp(o->name, name) == 0) to->values[i].option = o;
}

void cluster_open(int brokers) {
    char why[256], number[16];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(number, sizeof number, "%d", brokers);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", number, why, sizeof why);
    helper = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(helper);
    cluster = rd_kafka_handle_mock_cluster(helper);
    rd_kafka_mock_topic_create(cluster, "t", PARTITIONS, 1);
    options = (Options){.values = values};
    set_option(&options, "topic", "t");
    set_option(&options, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
}

void cluster_close(void) { rd_kafka_destroy(helper); }

void must(Status status, const Error *error) {
    if (status != OK) fail_msg("%d: %s", status, error->text);
}

void says(const char *text, const char *words) {
    if (!strstr(text, words)) fail_msg("'%s' is not in: %s", words, text);
}

int rows_in(const char *topic, int partitions) {
    int64_t rows = 0, low, high;
    for (int i = 0; i < partitions; i++)
        if (!rd_kafka_query_watermark_offsets(helper, topic, i, &low, &high, 5000))
            rows += high - low;
    return (int)rows;
}

void mark(const char *topic, int partition, int64_t offset, const char *text) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), why,
                      sizeof why);
    rd_kafka_conf_set(conf, "group.id", "leat.home.out", why, sizeof why);
    rd_kafka_t *writer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(one, topic, partition);
    p->offset = offset;
    p->metadata = strdup(text);
    p->metadata_size = strlen(text);
    assert_int_equal(rd_kafka_commit(writer, one, 0), 0);
    rd_kafka_topic_partition_list_destroy(one);
    rd_kafka_destroy(writer);
}
