/* The source against librdkafka's own made-up cluster, which fails as it is told: what passes by
 * itself is gone through, what never will is told, nothing is lost. */
#include "connector/kafka/test_cluster.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka wants the headers above first
#include <cmocka.h>

enum { LOOKS = 400 };

static char facts[2][256]; /* of the names `start` and `lost` */
static FakeEnv env;

static int set_up(void **state) {
    (void)state;
    cluster_open(1);
    fake_env_init(&env, INT64_C(1577836800000000), 1);
    facts[0][0] = facts[1][0] = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cluster_close();
    return 0;
}

/* ---- the source ---- */

static const char *get_fact(void *home, const char *name) {
    (void)home;
    const char *fact = facts[strcmp(name, "start") != 0];
    return *fact ? fact : NULL;
}

static Status set_fact(void *home, const char *name, const char *value, Error *error) {
    (void)home, (void)error;
    snprintf(facts[strcmp(name, "start") != 0], sizeof facts[0], "%s", value);
    return OK;
}

static Source *open_source(void) {
    const SourceContext context = {.env = &env.env,
                                   .table = "events",
                                   .pipeline = "p",
                                   .options = &options,
                                   .chunk_bytes = 1 << 20,
                                   .get = get_fact,
                                   .set = set_fact};
    Source *source = NULL;
    Error error = {0};
    must(kafka_source.open(&context, &source, &error), &error);
    return source;
}

static Status list(Source *source, int *count, Error *error) {
    Status status = AGAIN;
    for (int i = 0; i < 5 && status == AGAIN; i++)
        status = kafka_source.partitions(source, count, error);
    return status;
}

static Source *open_all(int64_t position) {
    Source *source = open_source();
    Error error = {0};
    int count = 0;
    must(list(source, &count, &error), &error);
    assert_int_equal(count, PARTITIONS);
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_string_equal(kafka_source.partition_name(source, i), name);
        must(kafka_source.seek(source, i, position, &error), &error);
    }
    return source;
}

static void put(int partition, const char *body, const char *key) {
    rd_kafka_producev(helper, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(partition),
                      RD_KAFKA_V_VALUE((void *)(uintptr_t)body, body ? strlen(body) : 0),
                      RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}

static void put_numbers(int from, int to) {
    for (int i = from; i < to; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        put(i % PARTITIONS, body, NULL);
    }
    assert_int_equal(rd_kafka_flush(helper, 10000), 0);
}

/* Reads until every partition stands at its end; the records' positions must have no holes. */
static int read_all(Source *source, int64_t positions[PARTITIONS]) {
    int rows = 0, ended = 0;
    for (int look = 0; look < LOOKS && ended < PARTITIONS; look++) {
        ended = 0;
        bool got = false;
        int count;
        Error reason;
        /* As the engine looks once a second: a broker that was away is trusted again. */
        if (look % 50 == 49 && kafka_source.partitions(source, &count, &reason) == FAIL)
            fail_msg("%s", reason.text);
        for (int i = 0; i < PARTITIONS; i++) {
            Chunk *chunk = NULL;
            bool at_end = false;
            Error error = {0};
            Status status = kafka_source.next(source, i, &chunk, &at_end, &error);
            if (status == FAIL) fail_msg("%s", error.text);
            ended += status == AGAIN && at_end;
            if (status != OK) continue;
            got = true;
            assert_int_equal(chunk->begin, chunk->records[0].position);
            for (int r = 0; r < chunk->record_count; r++) {
                assert_int_equal(chunk->records[r].position, positions[i]++);
                assert_null(chunk->records[r].key.data);
            }
            assert_int_equal(chunk->end, positions[i]);
            rows += chunk->record_count;
            chunk->release(chunk);
        }
        if (!got) kafka_source.wait(source, 20000);
    }
    assert_int_equal(ended, PARTITIONS);
    return rows;
}

static void partitions_are_read_side_by_side(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {0};
    put_numbers(0, 1000);
    Source *source = open_all(NO_POSITION);
    assert_int_equal(read_all(source, positions), 1000);
    put_numbers(1000, 1010);
    int rows = 0;
    for (int i = 0; i < LOOKS && rows < 10; i++) rows += read_all(source, positions);
    assert_int_equal(rows, 10);
    assert_int_equal(kafka_source.lag(source, 0, positions[0] - 2), 2);
    assert_int_equal(kafka_source.lag(source, 0, positions[0]), 0);
    kafka_source.close(source);
    /* Resumed in the middle. */
    source = open_all(100);
    for (int i = 0; i < PARTITIONS; i++) positions[i] = 100;
    assert_int_equal(read_all(source, positions), 1010 - 400);
    kafka_source.close(source);
}

static void the_lag_grows_while_nobody_asks(void **state) {
    (void)state;
    set_option(&options, "queued.max.messages.kbytes", "1");
    set_option(&options, "queued.min.messages", "1");
    put_numbers(0, 400 * PARTITIONS);
    Source *source = open_all(NO_POSITION);
    Chunk *chunk = NULL;
    bool at_end;
    Error error = {0};
    Status status = AGAIN;
    for (int look = 0; look < LOOKS && status == AGAIN; look++) {
        status = kafka_source.next(source, 0, &chunk, &at_end, &error);
        if (status == AGAIN) kafka_source.wait(source, 20000);
    }
    must(status, &error);
    int64_t end = chunk->end;
    chunk->release(chunk);
    put_numbers(0, 4000 * PARTITIONS);
    int count;
    for (int i = 0; i < 8; i++) must(list(source, &count, &error), &error);
    assert_int_equal(kafka_source.lag(source, 0, end), 4400 - end);
    kafka_source.close(source);
}

static void bodies_keys_and_headers_arrive_as_they_were(void **state) {
    (void)state;
    rd_kafka_producev(helper, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0),
                      RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_KEY("key", 3),
                      RD_KAFKA_V_HEADER("a\"", "b\n", 2), RD_KAFKA_V_HEADER("null", NULL, 0),
                      RD_KAFKA_V_TIMESTAMP(1577836800005), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_END);
    put(0, NULL, "tombstone");
    put(0, "", NULL);
    assert_int_equal(rd_kafka_flush(helper, 10000), 0);
    Source *source = open_all(NO_POSITION);
    Record got[3];
    Buffer headers = {0};
    int count = 0;
    for (int look = 0; look < LOOKS && count < 3; look++) {
        Chunk *chunk = NULL;
        bool at_end;
        Error error = {0};
        if (kafka_source.next(source, 0, &chunk, &at_end, &error) != OK) {
            kafka_source.wait(source, 20000);
            continue;
        }
        for (int i = 0; i < chunk->record_count && count < 3; i++) got[count++] = chunk->records[i];
        if (count == chunk->record_count) chunk->headers(&got[0], &headers);
        if (count == chunk->record_count) assert_memory_equal(got[0].key.data, "key", 3);
        assert_string_equal(chunk->topic, "t");
        chunk->release(chunk);
    }
    assert_int_equal(count, 3);
    assert_int_equal(got[0].timestamp_us, INT64_C(1577836800005000));
    buffer_add_char(&headers, 0);
    assert_string_equal(headers.data, "{\"a\\\"\":\"b\\n\",\"null\":null}");
    assert_null(got[1].body.data);
    assert_int_equal(got[2].body.size, 0);
    buffer_free(&headers);
    kafka_source.close(source);
}

static void what_passes_is_gone_through(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {0};
    rd_kafka_mock_push_request_errors(cluster, FETCH, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                                      RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    put_numbers(0, 100);
    Source *source = open_all(NO_POSITION);
    assert_int_equal(read_all(source, positions), 100);
    kafka_source.close(source);
}

static void a_broker_that_is_away_is_named_and_waited_for(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {0};
    int count = 0;
    Error error = {0};
    put_numbers(0, 100);
    Source *source = open_all(NO_POSITION);
    assert_int_equal(read_all(source, positions), 100);
    rd_kafka_mock_broker_set_down(cluster, 1);
    Status status = OK;
    for (int i = 0; i < 20 && status == OK; i++)
        status = kafka_source.partitions(source, &count, &error);
    assert_int_equal(status, AGAIN);
    says(error.text, rd_kafka_mock_cluster_bootstraps(cluster));
    Chunk *chunk = NULL;
    bool at_end = true;
    assert_int_equal(kafka_source.next(source, 0, &chunk, &at_end, &error), AGAIN);
    assert_false(at_end); /* it is not asked, so it is not idle */
    rd_kafka_mock_broker_set_up(cluster, 1);
    must(list(source, &count, &error), &error);
    put_numbers(100, 200);
    int rows = 0;
    for (int i = 0; i < LOOKS && rows < 100; i++) rows += read_all(source, positions);
    assert_int_equal(rows, 100);
    kafka_source.close(source);
}

static void a_topic_that_is_missing_is_told(void **state) {
    (void)state;
    Error error = {0};
    int count = 0;
    rd_kafka_mock_topic_set_error(cluster, "t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    Source *source = open_source();
    Status status = AGAIN;
    for (int look = 0; look < LOOKS && status == AGAIN; look++) {
        status = kafka_source.partitions(source, &count, &error);
        env.clock_us += 100000;
    }
    assert_int_equal(status, FAIL);
    says(error.text, "source events: topic 't' does not exist at 127.0.0.1:");
    kafka_source.close(source);
}

/* Looks at its partitions until that is told: in made-up time, a second a look. */
static Status looks(Source *source, Status until, Error *error) {
    Status status = until == OK ? AGAIN : OK;
    for (int look = 0; look < LOOKS && status != until; look++) {
        Chunk *chunk = NULL;
        int count;
        bool at_end = true;
        assert_int_equal(kafka_source.next(source, 0, &chunk, &at_end, error), AGAIN);
        assert_false(at_end);
        kafka_source.wait(source, 20000);
        status = kafka_source.partitions(source, &count, error);
        if (status == AGAIN) env.clock_us += 1000000;
    }
    return status;
}

static void a_position_that_is_gone_is_told(void **state) {
    (void)state;
    static const char gone[] = "ends at offset 25, but the pipeline has read up to 30";
    Error error = {0};
    put_numbers(0, 100);
    Source *source = open_all(30);
    int64_t began = env.clock_us;
    assert_int_equal(looks(source, FAIL, &error), FAIL);
    says(error.text, gone);
    assert_in_range(env.clock_us - began, 9000000, 11000000);
    kafka_source.close(source);
    /* It grows, so it is no leader of old that knows no better. */
    source = open_all(30);
    assert_int_equal(looks(source, AGAIN, &error), AGAIN);
    put_numbers(100, 104);
    assert_int_equal(looks(source, FAIL, &error), FAIL);
    says(error.text, "ends at offset 26, but the pipeline has read up to 30");
    kafka_source.close(source);
}

/* One that had hung tells its own end until it knows that another one leads. */
static void a_leader_that_knows_no_better_is_asked_again(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {30, 30, 30, 30};
    Error error = {0};
    put_numbers(0, 100);
    Source *source = open_all(30);
    assert_int_equal(looks(source, AGAIN, &error), AGAIN);
    says(error.text, "ends at offset 25, but the pipeline has read up to 30");
    put_numbers(100, 160);
    int rows = 0;
    for (int i = 0; i < LOOKS && rows < 40; i++) rows += read_all(source, positions);
    assert_int_equal(rows, 40);
    kafka_source.close(source);
}

static void latest_is_settled_once(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {25, 25, 25, 25};
    set_option(&options, "start", "latest");
    put_numbers(0, 100);
    Source *source = open_all(NO_POSITION);
    assert_string_equal(facts[0], "t\tlatest\t25 25 25 25");
    kafka_source.close(source);
    put_numbers(100, 110); /* while nobody reads */
    source = open_all(NO_POSITION);
    assert_int_equal(read_all(source, positions), 10);
    kafka_source.close(source);
    /* Partitions that came after the first start begin at theirs. */
    strcpy(facts[0], "t\tlatest\t25 25");
    source = open_all(NO_POSITION);
    positions[0] = positions[1] = 25;
    positions[2] = positions[3] = 0;
    assert_string_equal(facts[0], "t\tlatest\t25 25 -2 -2");
    assert_int_equal(read_all(source, positions), 60);
    kafka_source.close(source);
}

static Status starts_at(const char *text, KafkaStart *start, Error *error) {
    OptionValue value = {.name = "start", .text = text, .line = 3, .place = 7};
    const Options one = {1, &value};
    return kafka_start_read(&one, start, error);
}

static void a_start_is_a_word_or_a_time(void **state) {
    (void)state;
    KafkaStart start;
    Error error = {0};
    static const struct {
        const char *text;
        int kind;
        int64_t ms;
    } good[] = {{"earliest", KAFKA_EARLIEST, 0},
                {"latest", KAFKA_LATEST, 0},
                {"group", KAFKA_GROUP, 0},
                {"2020-01-01T00:00:00Z", KAFKA_TIME, 1577836800000},
                {"2020-01-01 01:00:00.000001+01", KAFKA_TIME, 1577836800001},
                {"2020-01-01", KAFKA_TIME, 1577836800000},
                {"epoch", KAFKA_TIME, 0},
                {"1969-12-31T23:59:59.5Z", KAFKA_TIME, 0},
                {"-infinity", KAFKA_TIME, 0},
                {"infinity", KAFKA_TIME, INT64_MAX / 1000 + 1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        must(starts_at(good[i].text, &start, &error), &error);
        assert_int_equal(start.kind, good[i].kind);
        assert_int_equal(start.time_ms, good[i].ms);
    }
    static const char *const bad[] = {"Earliest", "groups", "2020-13-01", "12", "lastest", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(starts_at(bad[i], &start, &error), FAIL);
        says(error.text, bad[i]);
        assert_int_equal(error.line, 3);
        assert_int_equal(error.column, 7);
    }
}

static void what_the_home_knows_is_looked_at(void **state) {
    (void)state;
    Error error = {0};
    int count;
    Source *source = open_source();
    strcpy(facts[0], "other\tearliest\t-2 -2");
    assert_int_equal(list(source, &count, &error), FAIL);
    says(error.text, "positions of topic 'other', which say nothing of topic 't'");
    strcpy(facts[0], "damaged");
    assert_int_equal(list(source, &count, &error), FAIL);
    says(error.text, "--fresh");
    strcpy(facts[0], "t\tearliest\t-2 -2 -2 -2 -2");
    assert_int_equal(list(source, &count, &error), AGAIN);
    Status status = AGAIN;
    for (int look = 0; look < LOOKS && status == AGAIN; look++) {
        status = kafka_source.partitions(source, &count, &error);
        env.clock_us += 100000;
    }
    assert_int_equal(status, FAIL);
    says(error.text, "has 4 partitions, before it had 5");
    kafka_source.close(source);
}

static void lost_offsets_are_counted_once(void **state) {
    (void)state;
    const SourceContext context = {.get = get_fact, .set = set_fact};
    KafkaGaps gaps = {0};
    Error error = {0};
    must(kafka_gaps_add(&gaps, &context, 3, 10, 20, &error), &error);
    must(kafka_gaps_add(&gaps, &context, 3, 10, 25, &error), &error); /* met again, it has grown */
    must(kafka_gaps_add(&gaps, &context, 0, 0, 5, &error), &error);
    must(kafka_gaps_add(&gaps, &context, 3, 30, 31, &error), &error);
    assert_int_equal(gaps.lost, 15 + 5 + 1);
    assert_string_equal(facts[1], "3 15 30 31 0 0 0 5");
    kafka_gaps_free(&gaps);
    kafka_gaps_recall(&gaps, &context);
    assert_int_equal(gaps.lost, 21);
    must(kafka_gaps_add(&gaps, &context, 3, 30, 31, &error), &error);
    assert_int_equal(gaps.lost, 21);
    kafka_gaps_free(&gaps);
}

static void trouble_names_its_remedy(void **state) {
    (void)state;
    static const struct {
        int code, certificate;
        const char *reason, *told;
    } cases[] = {
        {RD_KAFKA_RESP_ERR__TRANSPORT, 0,
         "10.0.0.1:9092/3: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in "
         "state CONNECT, 1 identical error(s) suppressed)",
         "10.0.0.1:9092/3: Connection refused"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, 0,
         "10.0.0.1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused",
         "Connection refused"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, 0,
         "broker:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused",
         "Connect to ipv4#10.0.0.1:9092 failed: Connection refused"},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, 0,
         "sasl_ssl://a:1/bootstrap: SASL authentication error: no (after 3ms in state AUTH_REQ)",
         "SASL authentication error: no; correct \"sasl.username\", \"sasl.password\" or "
         "\"sasl.mechanisms\""},
        {RD_KAFKA_RESP_ERR__SSL, 10, "ssl://a:1/bootstrap: SSL: certificate verify failed: x",
         "the broker's certificate has expired or is not valid yet; renew it, or correct this "
         "machine's clock"},
        {RD_KAFKA_RESP_ERR__SSL, 0, "no colon", "no colon"},
        {RD_KAFKA_RESP_ERR__SSL, 0, "", ""}};
    KafkaClient client = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char told[512];
        client.certificate = cases[i].certificate;
        kafka_trouble(&client, cases[i].code, cases[i].reason, told, sizeof told);
        assert_string_equal(told, cases[i].told);
    }
}

/* The marker of a group: committed offset of partition 0, and its metadata. */
static void committed_of(const char *group, int64_t *offset, char text[128]) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", values[1].text, why, sizeof why);
    rd_kafka_conf_set(conf, "group.id", group, why, sizeof why);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, "t", 0);
    assert_int_equal(rd_kafka_committed(reader, one, 10000), 0);
    *offset = one->elems[0].offset;
    snprintf(text, 128, "%.*s", (int)one->elems[0].metadata_size, (char *)one->elems[0].metadata);
    rd_kafka_topic_partition_list_destroy(one);
    rd_kafka_destroy(reader);
}

static void offsets_are_committed_for_monitoring(void **state) {
    (void)state;
    int64_t positions[PARTITIONS] = {0}, offset;
    char text[128];
    put_numbers(0, 100);
    Source *source = open_all(NO_POSITION);
    assert_int_equal(read_all(source, positions), 100);
    for (int i = 0; i < PARTITIONS; i++) kafka_source.committed(source, i, 10 + i);
    kafka_source.close(source);
    committed_of("p", &offset, text);
    assert_int_equal(offset, 10);
}

/* ---- options ---- */

static void refuses(bool as_sink, const char *name, const char *value, const char *words) {
    Error error = {0};
    int count = options.count;
    set_option(&options, name, value);
    values[count].line = 7;
    assert_int_equal(kafka_connector.check(&options, !as_sink, as_sink, false, &error), FAIL);
    says(error.text, words);
    assert_int_equal(error.line, 7);
    options.count = count;
}

static void allows(bool as_sink, const char *name, const char *value) {
    Error error = {0};
    int count = options.count;
    set_option(&options, name, value);
    must(kafka_connector.check(&options, !as_sink, as_sink, false, &error), &error);
    options.count = count;
}

static void properties_are_checked(void **state) {
    (void)state;
    Error error = {0};
    must(kafka_connector.check(&options, true, true, false, &error), &error);
    refuses(false, "enable.auto.commmit", "true", "did you mean \"enable.auto.commit\"?");
    refuses(false, "bootstrap.server", "x:1", "did you mean \"bootstrap.servers\"?");
    refuses(true, "toppic", "x", "did you mean 'topic'?");
    refuses(true, "linger.ms", "soon", "property \"linger.ms\" of connector 'kafka':");
    refuses(true, "metadata.broker.list", "x:1", "\"bootstrap.servers\" says it");
}

static void properties_that_leat_settles_are_refused(void **state) {
    (void)state;
    refuses(false, "enable.auto.commit", "true", "is always 'false': positions live in the home");
    refuses(false, "auto.offset.reset", "earliest", "option start says where to begin");
    refuses(false, "isolation.level", "read_uncommitted", "is always 'read_committed'");
    refuses(false, "log.queue", "true", "takes nothing of the client but");
    refuses(true, "transactional.id", "mine", "each sink has its own");
    refuses(true, "delivery.report.only.error", "false", "is always 'true'");
    allows(false, "enable.auto.commit", "0");
    allows(false, "isolation.level", "read_committed");
    allows(true, "enable.idempotence", "true");
    allows(false, "session.timeout.ms", "30000");
    assert_non_null(strstr(kafka_connector.property_idle("session.timeout.ms"), "no group's"));
    assert_non_null(strstr(kafka_connector.property_idle("socket.blocking.max.ms"), "no longer"));
    assert_null(kafka_connector.property_idle("fetch.min.bytes"));
    assert_int_equal(kafka_connector.property_uses("group.id"), OPTION_SOURCE);
    assert_int_equal(kafka_connector.property_uses("acks"), OPTION_SINK);
    assert_int_equal(kafka_connector.property_uses("client.id"), OPTION_SOURCE | OPTION_SINK);
    assert_int_equal(kafka_connector.property_uses("no.such"), OPTION_SOURCE | OPTION_SINK);
}

/* Each would end the start of an exactly-once sink; the other kind takes them, but for acks = 0. */
static void contradictions_are_found_without_a_broker(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"acks", "1"},
        {"request.required.acks", "1"},
        {"enable.idempotence", "false"},
        {"max.in.flight", "6"},
        {"max.in.flight.requests.per.connection", "6"},
        {"retries", "0"},
        {"message.timeout.ms", "90000"},
        {"queuing.strategy", "lifo"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        refuses(true, pairs[i][0], pairs[i][1], "or say delivery = 'at_least_once'");
    refuses(false, "fetch.max.bytes", "500", "must be >=");
    allows(true, "acks", "all");
    allows(true, "transaction.timeout.ms", "5000");
    set_option(&options, "delivery", "at_least_once");
    values[options.count - 1].option = common_options;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        allows(true, pairs[i][0], pairs[i][1]);
    refuses(true, "acks", "0", "no broker acknowledges");
    refuses(true, "request.required.acks", "0", "no broker acknowledges");
    refuses(true, "transaction.timeout.ms", "5000", "has no transactions");
    refuses(true, "transactional.id", "mine", "has no transactions");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(partitions_are_read_side_by_side),
        TEST(the_lag_grows_while_nobody_asks),
        TEST(bodies_keys_and_headers_arrive_as_they_were),
        TEST(what_passes_is_gone_through),
        TEST(a_broker_that_is_away_is_named_and_waited_for),
        TEST(a_topic_that_is_missing_is_told),
        TEST(a_position_that_is_gone_is_told),
        TEST(a_leader_that_knows_no_better_is_asked_again),
        TEST(latest_is_settled_once),
        TEST(a_start_is_a_word_or_a_time),
        TEST(what_the_home_knows_is_looked_at),
        TEST(lost_offsets_are_counted_once),
        TEST(trouble_names_its_remedy),
        TEST(offsets_are_committed_for_monitoring),
        TEST(properties_are_checked),
        TEST(properties_that_leat_settles_are_refused),
        TEST(contradictions_are_found_without_a_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
