/* The sink against librdkafka's made-up cluster: rows that it refuses, a marker that is gone or
 * grows old, positions. That cluster forgets no row of a transaction that was thrown away, and
 * keeps no offset that was sent in one, so here the marker is always gone;
 * tests/test_kafka_delivery.py looks at a real broker. */
#include "connector/kafka/kafka.h"
#include "data/batch.h"
#include <inttypes.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka wants the headers above first
#include <cmocka.h>

enum { PRODUCE = 0, END_TRANSACTION = 26, PARTITIONS = 4 };

static const int64_t day_us = INT64_C(86400) * 1000000;

static rd_kafka_t *helper; /* it runs the cluster */
static rd_kafka_mock_cluster_t *cluster;
static OptionValue values[4], source_values[4];
static Options options = {.values = values}, source_options = {.values = source_values};
static FakeEnv env;
static Buffer refused; /* what the sink told: record and reason, a line each */
static SinkContext context;
extern const Connector kafka_connector;

static Options options_for(OptionValue *to, const char *topic) {
    to[0] = (OptionValue){.name = "topic", .text = topic, .given = true};
    to[1] = (OptionValue){.name = "bootstrap.servers",
                          .text = rd_kafka_mock_cluster_bootstraps(cluster),
                          .given = true};
    to[0].option = kafka_connector.options;
    return (Options){.count = 2, .values = to};
}

static void refuse(void *to, Str record, const char *reason) {
    buffer_add_format(to, "%.*s: %s\n", (int)(record.size < 40 ? record.size : 40), record.data,
                      reason);
}

static int set_up(void **state) {
    (void)state;
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", why, sizeof why);
    helper = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(helper);
    cluster = rd_kafka_handle_mock_cluster(helper);
    rd_kafka_mock_topic_create(cluster, "t", PARTITIONS, 1);
    rd_kafka_mock_topic_create(cluster, "one", 1, 1);
    rd_kafka_mock_topic_create(cluster, "in", 2, 1);
    options = options_for(values, "t");
    source_options = options_for(source_values, "in");
    fake_env_init(&env, INT64_C(1577836800000000), 1);
    refused.size = 0;
    context = (SinkContext){.env = &env.env,
                            .table = "out",
                            .pipeline = "p",
                            .home_id = "home",
                            .generation = 1,
                            .exactly_once = true,
                            .options = &options,
                            .refuse = refuse,
                            .refuse_to = &refused};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rd_kafka_destroy(helper);
    buffer_free(&refused);
    return 0;
}

static void must(Status status, const Error *error) {
    if (status != OK) fail_msg("%d: %s", status, error->text);
}

static void says(const char *text, const char *words) {
    if (!strstr(text, words)) fail_msg("'%s' is not in: %s", words, text);
}

static Sink *open_sink(void) {
    Sink *sink = NULL;
    Error error = {0};
    must(kafka_sink.open(&context, &sink, &error), &error);
    return sink;
}

static void records(Sink *sink, int from, int count, Buffer *out) {
    char text[64];
    out->size = 0;
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "{\"n\":%d}", from + i);
        kafka_sink.encode_record(sink, str_from(text), out);
    }
}

static int rows_in(const char *topic, int partitions) {
    int64_t rows = 0, low, high;
    for (int i = 0; i < partitions; i++)
        if (!rd_kafka_query_watermark_offsets(helper, topic, i, &low, &high, 5000))
            rows += high - low;
    return (int)rows;
}

static Status send_rows(Sink *sink, const Delivery *d, Error *error) {
    Status status = AGAIN;
    for (int i = 0; i < 10 && status == AGAIN; i++) {
        refused.size = 0;
        status = kafka_sink.send(sink, d, error);
    }
    return status;
}

/* As the engine does. */
static void deliver(Sink *sink, int64_t epoch, const Buffer *rows) {
    Error error = {0};
    const Delivery d = {.epoch = epoch, .rows = buffer_str(rows)};
    Status status = AGAIN;
    for (int i = 0; i < 10 && status == AGAIN; i++) {
        status = send_rows(sink, &d, &error);
        if (status == END) return;
        if (status == OK) status = kafka_sink.commit(sink, &error);
    }
    must(status, &error);
}

/* ---- rows that are refused ---- */

static void a_row_that_is_too_large_is_left_out(void **state) {
    (void)state;
    Buffer rows = {0};
    char *large = xcalloc(1, 2000000);
    memset(large, 'x', 2000000);
    for (int once = 1; once >= 0; once--) {
        Error error = {0};
        int64_t length;
        int before = rows_in("t", PARTITIONS);
        context.exactly_once = once;
        refused.size = 0;
        Sink *sink = open_sink();
        records(sink, 0, 10, &rows);
        kafka_sink.encode_record(sink, (Str){large, 2000000}, &rows);
        kafka_sink.encode_record(sink, str_from("last"), &rows);
        if (once) {
            deliver(sink, 1, &rows);
        } else {
            must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
            must(kafka_sink.sync(sink, &length, &error), &error);
        }
        assert_int_equal(rows_in("t", PARTITIONS) - before, 11);
        buffer_add_char(&refused, 0);
        says(refused.data, "xxxx: a row of 2000000 bytes is larger than topic 't' takes; raise "
                           "\"message.max.bytes\" of the table");
        assert_int_equal(strchr(refused.data, '\n')[1], 0);
        kafka_sink.close(sink);
    }
    free(large);
    buffer_free(&rows);
}

static void nobody_keeps_them(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    context.refuse = NULL;
    options = options_for(values, "one");
    for (int once = 1; once >= 0; once--) {
        int64_t length;
        context.exactly_once = once;
        Sink *sink = open_sink();
        records(sink, 0, 1, &rows);
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
        const Delivery d = {.epoch = 1, .rows = buffer_str(&rows)};
        if (once) {
            assert_int_equal(send_rows(sink, &d, &error), FAIL);
        } else {
            must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
            assert_int_equal(kafka_sink.sync(sink, &length, &error), FAIL);
        }
        says(error.text, "sink out: topic 'one' at 127.0.0.1:");
        says(error.text, "did not take the row: Broker: ");
        kafka_sink.close(sink);
    }
    buffer_free(&rows);
}

/* The broker refuses the batch of all, then, at least once, that of the first half, then its first
 * row. */
static void a_refused_row_is_found(void **state) {
    (void)state;
    Buffer rows = {0};
    options = options_for(values, "one");
    for (int once = 1; once >= 0; once--) {
        Error error = {0};
        int64_t length;
        int before = rows_in("one", 1);
        context.exactly_once = once;
        refused.size = 0;
        Sink *sink = open_sink();
        records(sink, 0, 4, &rows);
        for (int i = 0; i < (once ? 2 : 3); i++)
            rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                              RD_KAFKA_RESP_ERR_INVALID_RECORD);
        if (once) {
            deliver(sink, 1, &rows);
        } else {
            must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
            must(kafka_sink.sync(sink, &length, &error), &error);
            assert_int_equal(rows_in("one", 1) - before, 3);
        }
        buffer_add_char(&refused, 0);
        says(refused.data, "{\"n\":0}: topic 'one' at 127.0.0.1:");
        assert_int_equal(strchr(refused.data, '\n')[1], 0);
        kafka_sink.close(sink);
    }
    buffer_free(&rows);
}

/* A batch is refused whose halves are taken. */
static void smaller_batches_are_tried(void **state) {
    (void)state;
    Buffer rows = {0};
    options = options_for(values, "one");
    for (int once = 1; once >= 0; once--) {
        Error error = {0};
        int64_t length;
        int before = rows_in("one", 1);
        context.exactly_once = once;
        Sink *sink = open_sink();
        records(sink, 0, 100, &rows);
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                          RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        if (once) {
            deliver(sink, 1, &rows);
        } else {
            must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
            must(kafka_sink.sync(sink, &length, &error), &error);
            must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
            must(kafka_sink.sync(sink, &length, &error), &error);
        }
        if (!once) assert_int_equal(rows_in("one", 1) - before, 200);
        assert_int_equal(refused.size, 0);
        kafka_sink.close(sink);
    }
    buffer_free(&rows);
}

/* At least once, rows that the client gave up are sent again. */
static void rows_that_were_given_up_are_sent_again(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t length;
    Status status = AGAIN;
    options = options_for(values, "one");
    context.exactly_once = false;
    Sink *sink = open_sink();
    records(sink, 0, 100, &rows);
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    assert_int_equal(kafka_sink.sync(sink, &length, &error), AGAIN);
    says(error.text, "topic 'one' at 127.0.0.1:");
    while (status == AGAIN) status = kafka_sink.write(sink, buffer_str(&rows), &error);
    must(status, &error);
    must(kafka_sink.sync(sink, &length, &error), &error);
    assert_int_equal(rows_in("one", 1), 200);
    assert_int_equal(refused.size, 0);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

/* ---- the marker ---- */

static void a_marker_that_is_gone_is_read_back(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t epoch, generation;
    context.table = "other";
    Sink *sink = open_sink(), *other = sink;
    context.table = "out";
    sink = open_sink();
    records(sink, 0, 500, &rows);
    deliver(sink, 3, &rows);
    deliver(sink, 5, &rows);
    records(sink, 0, 6000, &rows);
    deliver(other, 9, &rows);
    kafka_sink.close(sink);
    kafka_sink.close(other);
    /* Nothing is owed: nothing is read. */
    context.generation = 2;
    context.delivered = 3;
    sink = open_sink();
    must(kafka_sink.marker(sink, &epoch, &generation, &error), &error);
    assert_int_equal(epoch, 3);
    kafka_sink.close(sink);
    context.owed = true;
    sink = open_sink();
    must(kafka_sink.marker(sink, &epoch, &generation, &error), &error);
    assert_int_equal(epoch, 5);
    assert_int_equal(generation, 0);
    int before = rows_in("t", PARTITIONS);
    deliver(sink, 5, &rows);
    assert_int_equal(rows_in("t", PARTITIONS), before);
    deliver(sink, 6, &rows);
    assert_int_equal(rows_in("t", PARTITIONS), before + 6000);
    kafka_sink.close(sink);
    /* None of its rows stands there. */
    context.home_id = "another";
    context.delivered = 0;
    sink = open_sink();
    must(kafka_sink.marker(sink, &epoch, &generation, &error), &error);
    assert_int_equal(epoch, 0);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

/* The answer of a commit is lost, and the marker is gone, too. */
static void a_lost_answer_without_a_marker(void **state) {
    (void)state;
    Buffer rows = {0};
    Sink *sink = open_sink();
    records(sink, 0, 10, &rows);
    deliver(sink, 1, &rows);
    int before = rows_in("t", PARTITIONS);
    rd_kafka_mock_push_request_errors(cluster, END_TRANSACTION, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    deliver(sink, 2, &rows); /* here an aborted row is as good as another */
    assert_int_equal(rows_in("t", PARTITIONS), before + 10);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

static void a_marker_is_renewed(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t next = 0;
    Sink *sink = open_sink();
    must(kafka_sink.idle(sink, &next, &error), &error); /* there is none */
    assert_int_equal(next, day_us);
    records(sink, 0, 10, &rows);
    deliver(sink, 1, &rows);
    env.clock_us += day_us / 4;
    must(kafka_sink.idle(sink, &next, &error), &error);
    assert_int_equal(next, day_us * 3 / 4);
    env.clock_us += next;
    rd_kafka_mock_push_request_errors(cluster, END_TRANSACTION, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(kafka_sink.idle(sink, &next, &error), AGAIN);
    must(kafka_sink.idle(sink, &next, &error), &error);
    assert_int_equal(next, day_us);
    assert_int_equal(rows_in("t", PARTITIONS), 10);
    kafka_sink.close(sink);
    /* What the home remembers is written at the first rest of a run. */
    context.generation = 2;
    context.delivered = 1;
    sink = open_sink();
    rd_kafka_mock_push_request_errors(cluster, END_TRANSACTION, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(kafka_sink.idle(sink, &next, &error), AGAIN);
    must(kafka_sink.idle(sink, &next, &error), &error);
    assert_int_equal(next, day_us);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

/* ---- by position ---- */

static void mark(const char *topic, int partition, int64_t offset, const char *text) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", values[1].text, why, sizeof why);
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

static void positions_stand_beside_the_marker(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    const SinkSource source = {"events", &source_options};
    SinkMarker marker;
    SinkPosition *positions = NULL;
    int count = 0;
    int64_t next;
    context.by_position = true;
    context.sources = &source;
    context.source_count = 1;
    context.generation = 4;
    assert_true(kafka_connector.keeps_positions(&options, &source_options));
    assert_false(kafka_connector.keeps_positions(&source_options, &source_options));
    mark("t", 0, 8, "3 8 0123456789abcdef 17");
    mark("in", 1, 1234, "3 8 0123456789abcdef 17");
    Sink *sink = open_sink();
    assert_int_equal(sink->way, SINK_BY_POSITION);
    must(kafka_sink.positions(sink, &marker, &positions, &count, &error), &error);
    assert_int_equal(marker.generation, 3);
    assert_int_equal(marker.epoch, 8);
    assert_int_equal(marker.number, 17);
    assert_int_equal(count, 1);
    assert_int_equal(positions[0].source, 0);
    assert_int_equal(positions[0].partition, 1);
    assert_int_equal(positions[0].position, 1234);
    free(positions);
    records(sink, 0, 10, &rows);
    const SinkPosition moved[] = {{0, 0, 5}, {0, 1, 1300}};
    const Delivery first = {9, 1, buffer_str(&rows), moved, 2}, second = {9, 2, {0}, moved, 1};
    assert_int_equal(send_rows(sink, &first, &error), OK);
    must(kafka_sink.commit(sink, &error), &error);
    assert_int_equal(send_rows(sink, &first, &error), END); /* it is there */
    assert_int_equal(send_rows(sink, &second, &error), OK);
    must(kafka_sink.commit(sink, &error), &error);
    assert_int_equal(rows_in("t", PARTITIONS), 10);
    env.clock_us += day_us;
    must(kafka_sink.idle(sink, &next, &error), &error);
    assert_int_equal(next, day_us);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_row_that_is_too_large_is_left_out),
        TEST(nobody_keeps_them),
        TEST(a_refused_row_is_found),
        TEST(smaller_batches_are_tried),
        TEST(rows_that_were_given_up_are_sent_again),
        TEST(a_marker_that_is_gone_is_read_back),
        TEST(a_lost_answer_without_a_marker),
        TEST(a_marker_is_renewed),
        TEST(positions_stand_beside_the_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
