/* A ceiling for queries over Kafka: a bare librdkafka consumer that reads a topic from its start to
 * its present end, touches every byte, and does nothing else. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 10000 };

static void die(const char *what, const char *why) {
    fprintf(stderr, "consumer: %s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        die(name, error);
}

static unsigned long touch(const void *bytes, size_t size) {
    unsigned long sum = 0, word;
    const char *at = bytes;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        sum ^= word;
    }
    return sum;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: consumer HOST:PORT TOPIC PARTITIONS\n");
        return 2;
    }
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "group.id", "ceiling");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (!client) die("client", error);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
    int partitions = atoi(argv[3]), ended = 0;
    for (int p = 0; p < partitions; p++)
        if (rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue) != 0)
            die("partition", rd_kafka_err2str(rd_kafka_last_error()));
    static rd_kafka_message_t *messages[BATCH];
    unsigned long rows = 0, bytes = 0, sum = 0;
    while (ended < partitions) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 1000, messages, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_t *m = messages[i];
            if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                ended++;
            } else if (m->err) {
                die("message", rd_kafka_message_errstr(m));
            } else {
                sum ^= touch(m->payload, m->len);
                bytes += m->len;
                rows++;
            }
            rd_kafka_message_destroy(m);
        }
    }
    printf("%lu rows, %lu bytes, %lx\n", rows, bytes, sum);
    for (int p = 0; p < partitions; p++) rd_kafka_consume_stop(topic, p);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}
