/* The sink against librdkafka's made-up cluster: errors of every step, rows that it refuses, a
 * marker that is gone, went back or is another's, positions. That cluster forgets no row of a
 * transaction that was thrown away and keeps no offset that was sent in one, so here the marker is
 * gone but for what a test wrote; tests/test_kafka_delivery.py looks at a real broker. */
#include "connector/kafka/sink.h"
#include "connector/kafka/test_cluster.h"
#include "data/batch.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka wants the headers above first
#include <cmocka.h>

static const int64_t day_us = INT64_C(86400) * 1000000;

static OptionValue source_values[2];
static Options source_options;
static FakeEnv env;
static Buffer refused; /* what the sink told: record and reason, a line each */
static SinkContext context;
static Field fields[] = {{.name = "k"}, {.name = "n"}};
static Schema schema = {2, fields};
static int keys[] = {0, 1};

static void refuse(void *to, Str record, const char *reason) {
    buffer_add_format(to, "%.*s: %s\n", (int)(record.size < 40 ? record.size : 40), record.data,
                      reason);
}

static int set_up(void **state) {
    (void)state;
    cluster_open(1);
    rd_kafka_mock_topic_create(cluster, "one", 1, 1);
    rd_kafka_mock_topic_create(cluster, "in", 2, 1);
    source_options = (Options){.values = source_values};
    set_option(&source_options, "topic", "in");
    set_option(&source_options, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
    fields[0].type = fields[1].type = type_of(TYPE_INT8);
    fake_env_init(&env, INT64_C(1577836800000000), 1);
    refused.size = 0;
    context = (SinkContext){.env = &env.env,
                            .table = "out",
                            .pipeline = "p",
                            .home_id = "home",
                            .generation = 1,
                            .schema = &schema,
                            .exactly_once = true,
                            .options = &options,
                            .refuse = refuse,
                            .refuse_to = &refused};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cluster_close();
    buffer_free(&refused);
    return 0;
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

static void encode(Sink *sink, int from, int count, Buffer *out) {
    int64_t *ints = xcalloc((size_t)count, sizeof *ints);
    for (int i = 0; i < count; i++) ints[i] = from + i;
    Column columns[] = {{.type = type_of(TYPE_INT8), .ints = ints},
                        {.type = type_of(TYPE_INT8), .ints = ints}};
    const Batch batch = {.rows = count, .column_count = 2, .columns = columns};
    out->size = 0;
    kafka_sink.encode(sink, &batch, out);
    free(ints);
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
static Status try_to_deliver(Sink *sink, int64_t epoch, const Buffer *rows, Error *error) {
    const Delivery d = {.epoch = epoch, .rows = buffer_str(rows)};
    Status status = AGAIN;
    for (int i = 0; i < 10 && status == AGAIN; i++) {
        status = send_rows(sink, &d, error);
        if (status == END) return OK;
        if (status == OK) status = kafka_sink.commit(sink, error);
    }
    return status;
}

static void deliver(Sink *sink, int64_t epoch, const Buffer *rows) {
    Error error = {0};
    must(try_to_deliver(sink, epoch, rows, &error), &error);
}

/* ---- rows and errors ---- */

static void keys_are_text_or_an_array(void **state) {
    (void)state;
    Buffer rows = {0};
    static const char *const wanted[] = {"\0\x0e{\"k\":7,\"n\":7}",
                                         "\x02"
                                         "7\x0e{\"k\":7,\"n\":7}",
                                         "\x06[7,7]\x0e{\"k\":7,\"n\":7}"};
    static const size_t sizes[] = {15, 16, 20};
    for (int count = 0; count < 3; count++) {
        context.keys = keys;
        context.key_count = count;
        Sink *sink = open_sink();
        encode(sink, 7, 1, &rows);
        assert_int_equal(rows.size, sizes[count]);
        assert_memory_equal(rows.data, wanted[count], rows.size);
        kafka_sink.close(sink);
    }
    buffer_free(&rows);
}

static void an_epoch_is_delivered_once(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t epoch = 7, generation = 7;
    context.generation = 3;
    Sink *sink = open_sink();
    must(kafka_sink.marker(sink, &epoch, &generation, &error), &error);
    assert_int_equal(epoch, 0);
    encode(sink, 0, 5000, &rows);
    deliver(sink, 11, &rows);
    assert_int_equal(rows_in("t", PARTITIONS), 5000);
    deliver(sink, 11, &rows); /* it is there */
    assert_int_equal(rows_in("t", PARTITIONS), 5000);
    must(kafka_sink.marker(sink, &epoch, &generation, &error), &error);
    assert_int_equal(epoch, 11);
    assert_int_equal(generation, 3);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

/* Every step of a transaction fails in every way that passes. */
static void transactions_get_through_errors(void **state) {
    (void)state;
    static const int steps[] = {INIT_PRODUCER, ADD_PARTITIONS, PRODUCE,
                                ADD_OFFSETS,   COMMIT_OFFSETS, END_TRANSACTION};
    static const rd_kafka_resp_err_t errors[] = {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                                 RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                                                 RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
                                                 RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
                                                 RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                                                 RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
                                                 RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
                                                 RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING};
    enum { STEPS = sizeof steps / sizeof *steps, ERRORS = sizeof errors / sizeof *errors };
    Buffer rows = {0};
    Sink *sink = open_sink();
    int64_t epoch = 0;
    encode(sink, 0, 10, &rows);
    for (int s = 0; s < STEPS; s++)
        for (int e = 0; e < ERRORS; e++) {
            rd_kafka_mock_push_request_errors(cluster, (int16_t)steps[s], 1, errors[e]);
            deliver(sink, ++epoch, &rows);
            rd_kafka_mock_clear_request_errors(cluster, (int16_t)steps[s]);
        }
    assert_true(rows_in("t", PARTITIONS) >= 10 * STEPS * ERRORS);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

static void rows_that_never_fit_are_told(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    context.refuse = NULL;
    Sink *sink = open_sink();
    char *large = xcalloc(1, 2000000);
    memset(large, 'x', 2000000);
    kafka_sink.encode_record(sink, (Str){large, 2000000}, &rows);
    assert_int_equal(try_to_deliver(sink, 1, &rows, &error), FAIL);
    says(error.text,
         "a row of 2000000 bytes is larger than topic 't' takes; raise \"message.max.bytes\"");
    kafka_sink.close(sink);
    context.exactly_once = false;
    encode(sink = open_sink(), 0, 10, &rows);
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    int64_t length;
    assert_int_equal(kafka_sink.sync(sink, &length, &error), FAIL);
    says(error.text, "did not take a row: Broker: Topic authorization failed");
    kafka_sink.close(sink);
    free(large);
    buffer_free(&rows);
}

static void a_sink_whose_topic_is_missing_is_told(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    rd_kafka_mock_topic_set_error(cluster, "t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    for (int once = 0; once < 2; once++) {
        context.exactly_once = once;
        Sink *sink = open_sink();
        encode(sink, 0, 1, &rows);
        const Delivery d = {.epoch = 1, .rows = buffer_str(&rows)};
        Status status = AGAIN;
        while (status == AGAIN) { /* some seconds, in which one that was just made becomes known */
            status =
                once ? kafka_sink.send(sink, &d, &error) : kafka_sink.write(sink, d.rows, &error);
            env.clock_us += 1000000;
        }
        assert_int_equal(status, FAIL);
        says(error.text, "sink out: topic 't' does not exist at 127.0.0.1:");
        kafka_sink.close(sink);
    }
    buffer_free(&rows);
}

static void at_least_once_waits_for_its_broker(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t length;
    context.exactly_once = false;
    Sink *sink = open_sink();
    encode(sink, 0, 1000, &rows);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    must(kafka_sink.sync(sink, &length, &error), &error);
    assert_int_equal(rows_in("t", PARTITIONS), 1000);
    rd_kafka_mock_broker_set_down(cluster, 1);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    assert_int_equal(kafka_sink.sync(sink, &length, &error), AGAIN);
    says(error.text, rd_kafka_mock_cluster_bootstraps(cluster));
    rd_kafka_mock_broker_set_up(cluster, 1);
    Status status = AGAIN;
    for (int i = 0; i < 40 && status == AGAIN; i++) status = kafka_sink.sync(sink, &length, &error);
    must(status, &error);
    assert_int_equal(rows_in("t", PARTITIONS), 2000);
    /* Told to stop, a call that would wait comes back. */
    rd_kafka_mock_broker_set_down(cluster, 1);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    kafka_sink.stop(sink);
    assert_int_equal(kafka_sink.sync(sink, &length, &error), AGAIN);
    kafka_sink.close(sink);
    buffer_free(&rows);
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
    set_option(&options, "topic", "one");
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
    set_option(&options, "topic", "one");
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
    set_option(&options, "topic", "one");
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
    set_option(&options, "topic", "one");
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

/* With numbers of its own a producer may be dead for good. */
static void a_dead_producer_is_made_anew(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t length;
    Status status = AGAIN;
    set_option(&options, "topic", "one");
    set_option(&options, "enable.idempotence", "true");
    context.exactly_once = false;
    Sink *sink = open_sink();
    records(sink, 0, 100, &rows);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    must(kafka_sink.sync(sink, &length, &error), &error);
    rd_kafka_mock_broker_set_rtt(cluster, 1, 300);
    must(kafka_sink.write(sink, buffer_str(&rows), &error), &error);
    rd_kafka_test_fatal_error(((KafkaSink *)(void *)sink)->client.handle,
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "made up");
    rd_kafka_mock_broker_set_rtt(cluster, 1, 0);
    for (int i = 0; i < 10 && status == AGAIN; i++)
        status = kafka_sink.write(sink, buffer_str(&rows), &error);
    must(status, &error);
    status = AGAIN;
    for (int i = 0; i < 10 && status == AGAIN; i++) status = kafka_sink.sync(sink, &length, &error);
    must(status, &error);
    assert_in_range(rows_in("one", 1), 300, 400); /* on the way they may have arrived */
    kafka_sink.close(sink);
    buffer_free(&rows);
}

/* ---- the marker ---- */

/* What the marker says against what this run knows, after it had to begin anew. */
static void refused_after(const char *marker_text, const char *words) {
    Buffer rows = {0};
    Error error = {0};
    context.generation = 5;
    Sink *sink = open_sink();
    encode(sink, 0, 10, &rows);
    deliver(sink, 8, &rows);
    mark("t", 0, 3, marker_text);
    rd_kafka_mock_push_request_errors(cluster, END_TRANSACTION, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(try_to_deliver(sink, 9, &rows, &error), FAIL);
    says(error.text, words);
    kafka_sink.close(sink);
    buffer_free(&rows);
}

static void a_marker_that_changed_behind_its_back_is_found(void **state) {
    (void)state;
    refused_after("5 8 0123456789abcdef", "another run of this home (generation 5, ours 5)");
}

/* A process on a copy of the home that was started earlier wakes up and delivers again. */
static void an_older_run_that_delivers_again_is_found(void **state) {
    (void)state;
    mark("t", 0, 7, "4 7 0123456789abcdef");
    refused_after("4 9 0123456789abcdef", "another run of this home (generation 4, ours 5)");
}

static void a_marker_that_went_back_is_found(void **state) {
    (void)state;
    refused_after("4 3 0123456789abcdef", "went back: epoch 8 was delivered, now 3 stands there");
}

static void two_runs_of_one_home_are_found_out(void **state) {
    (void)state;
    int64_t epoch, generation;
    Error error = {0};
    context.generation = 5;
    mark("t", 0, 8, "6 8 0123456789abcdef");
    Sink *sink = open_sink();
    assert_int_equal(kafka_sink.marker(sink, &epoch, &generation, &error), FAIL);
    says(error.text, "a later run of this home (generation 6, ours 5)");
    kafka_sink.close(sink);
    mark("t", 0, 8, "5 8 0123456789abcdef");
    sink = open_sink();
    assert_int_equal(kafka_sink.marker(sink, &epoch, &generation, &error), FAIL);
    says(error.text, "another run of this home");
    kafka_sink.close(sink);
    mark("t", 0, 8, "what");
    sink = open_sink();
    assert_int_equal(kafka_sink.marker(sink, &epoch, &generation, &error), FAIL);
    says(error.text, "was not written by Leat");
    kafka_sink.close(sink);
}

static bool has_header(const rd_kafka_message_t *message, const char *name, const char *wanted) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers) ||
        rd_kafka_header_get_last(headers, name, &value, &size))
        return false;
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(value, wanted, size);
    return true;
}

/* The name costs as much as a row, so some carry it: the first, the last and one of 64. */
static void rows_say_their_epoch_and_some_whose_they_are(void **state) {
    (void)state;
    char why[256];
    Buffer rows = {0};
    set_option(&options, "topic", "one");
    Sink *sink = open_sink();
    records(sink, 0, 200, &rows);
    deliver(sink, 77, &rows);
    kafka_sink.close(sink);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", values[1].text, why, sizeof why);
    rd_kafka_conf_set(conf, "group.id", "reader", why, sizeof why);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, "one", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(reader, one), 0);
    for (int row = 0; row < 200; row++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 10000);
        assert_non_null(message);
        assert_int_equal(message->err, 0);
        assert_true(has_header(message, "leat-epoch", "77"));
        assert_int_equal(has_header(message, "leat-sink", "leat.home.out"),
                         row % 64 == 0 || row == 199);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(one);
    rd_kafka_destroy(reader);
    buffer_free(&rows);
}

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

/* The leader of some partitions is down: that is told soon, and found is what is found later. */
static void reading_back_does_not_hang(void **state) {
    (void)state;
    Buffer rows = {0};
    Error error = {0};
    int64_t epoch, generation;
    cluster_close();
    cluster_open(2);
    rd_kafka_mock_coordinator_set(cluster, "transaction", "leat.home.out", 1);
    rd_kafka_mock_coordinator_set(cluster, "group", "leat.home.out", 1);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_mock_partition_set_leader(cluster, "t", i, 1 + i % 2);
    Sink *sink = open_sink();
    records(sink, 0, 100, &rows);
    deliver(sink, 5, &rows);
    kafka_sink.close(sink);
    rd_kafka_mock_broker_set_down(cluster, 2);
    context.generation = 2;
    context.owed = true;
    sink = open_sink();
    int64_t began = env_system()->monotonic_us(env_system());
    assert_int_equal(kafka_sink.marker(sink, &epoch, &generation, &error), AGAIN);
    says(error.text, "cannot read back the end of topic 't' at ");
    assert_in_range(env_system()->monotonic_us(env_system()) - began, 0, 20000000);
    rd_kafka_mock_broker_set_up(cluster, 2);
    Status status = AGAIN;
    for (int i = 0; i < 10 && status == AGAIN; i++)
        status = kafka_sink.marker(sink, &epoch, &generation, &error);
    must(status, &error);
    assert_int_equal(epoch, 5);
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

/* By outbox, what an earlier time by position left is not written on. */
static void a_renewed_marker_is_by_outbox(void **state) {
    (void)state;
    Error error = {0};
    int64_t next;
    mark("t", 0, 8, "1 8 0123456789abcdef 4294967300");
    context.generation = 2;
    Sink *sink = open_sink();
    must(kafka_sink.idle(sink, &next, &error), &error);
    const SinkMarker *marker = &((KafkaSink *)(void *)sink)->marker;
    assert_int_equal(marker->generation, 2);
    assert_int_equal(marker->epoch, 8);
    assert_int_equal(marker->number, 0);
    kafka_sink.close(sink);
}

/* ---- by position ---- */

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
    /* A broker that does not know the topic yet does not mean that there are none. */
    rd_kafka_mock_topic_set_error(cluster, "in", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(kafka_sink.positions(sink, &marker, &positions, &count, &error), AGAIN);
    says(error.text, "topic 'in' does not exist");
    assert_null(positions);
    rd_kafka_mock_topic_set_error(cluster, "in", 0);
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
        TEST(keys_are_text_or_an_array),
        TEST(an_epoch_is_delivered_once),
        TEST(transactions_get_through_errors),
        TEST(rows_that_never_fit_are_told),
        TEST(a_sink_whose_topic_is_missing_is_told),
        TEST(at_least_once_waits_for_its_broker),
        TEST(a_row_that_is_too_large_is_left_out),
        TEST(nobody_keeps_them),
        TEST(a_refused_row_is_found),
        TEST(smaller_batches_are_tried),
        TEST(rows_that_were_given_up_are_sent_again),
        TEST(a_dead_producer_is_made_anew),
        TEST(a_marker_that_changed_behind_its_back_is_found),
        TEST(an_older_run_that_delivers_again_is_found),
        TEST(a_marker_that_went_back_is_found),
        TEST(two_runs_of_one_home_are_found_out),
        TEST(rows_say_their_epoch_and_some_whose_they_are),
        TEST(a_marker_that_is_gone_is_read_back),
        TEST(reading_back_does_not_hang),
        TEST(a_lost_answer_without_a_marker),
        TEST(a_marker_is_renewed),
        TEST(a_renewed_marker_is_by_outbox),
        TEST(positions_stand_beside_the_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
