/* Targets and addresses as strangers send them, the shapes of JSON and metrics, and a real server
 * asked over a socket, all on a made-up report: no engine runs. */
#include "engine/report.h"
#include "serve/request.h"
#include "serve/serve.h"
#include "sql/plan.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- a report of one source, two queries, a view and a sink ---- */

typedef struct Made {
    Plan plan;
    PlanNode nodes[6];
    int inputs[6];
    Field fields[2];
    Schema schema;
    PartitionReport partitions[2];
    SourceReport sources[1];
    QueryReport queries[2];
    Number counts[12];
    OperatorReport operators[6];
    OperatorCounters counters[6];
    SinkReport sinks[1];
    ViewReport views[1];
    Report report;
} Made;

static Made *make(void) {
    Made *m = xcalloc(1, sizeof *m);
    static const NodeKind kinds[] = {NODE_SOURCE, NODE_OPERATOR, NODE_OPERATOR,
                                     NODE_VIEW,   NODE_OPERATOR, NODE_SINK};
    static const int queries[] = {-1, 0, 0, 0, 1, 1}, inputs[] = {-1, 0, 1, 2, 0, 4};
    static const OperatorType *const types[] = {NULL, &filter_operator, &aggregate_operator,
                                                NULL, &filter_operator, NULL};
    for (int i = 0; i < 6; i++) {
        m->inputs[i] = inputs[i];
        m->nodes[i] = (PlanNode){.kind = kinds[i],
                                 .name = "n",
                                 .query = queries[i],
                                 .type = types[i],
                                 .inputs = &m->inputs[i],
                                 .input_count = i > 0};
        m->operators[i] = (OperatorReport){.name = "a\\\"b\n",
                                           .type = "filter",
                                           .query = queries[i],
                                           .inputs = &m->inputs[i],
                                           .input_count = i > 0,
                                           .counters = i ? &m->counters[i] : NULL};
    }
    m->plan = (Plan){.nodes = m->nodes,
                     .node_count = 6,
                     .source_count = 1,
                     .query_count = 2,
                     .view_count = 1,
                     .sink_count = 1};
    m->fields[0] = (Field){"Site \"name\"", {TYPE_TEXT, -1}, false};
    m->fields[1] = (Field){"window_start", {TYPE_TIMESTAMPTZ, -1}, false};
    m->schema = (Schema){2, m->fields};
    snprintf(m->partitions[0].name, sizeof m->partitions[0].name, "0");
    snprintf(m->partitions[1].name, sizeof m->partitions[1].name, "1");
    m->partitions[0].watermark_us = INT64_C(1767225600000001);
    m->partitions[0].lag = 5;
    m->partitions[1].watermark_us = NO_TIME;
    m->partitions[1].lag = -1;
    m->sources[0] =
        (SourceReport){.name = "events", .connector = "kafka", .partitions = m->partitions};
    m->sources[0].partition_count = 2;
    m->sources[0].rows = 100;
    m->sources[0].watermark_us = END_OF_TIME;
    snprintf(m->sources[0].state, sizeof m->sources[0].state, "broker away: \"x\"");
    for (int q = 0; q < 2; q++) {
        Number *c = &m->counts[q * 6];
        m->queries[q] = (QueryReport){.name = q ? "out" : "v",
                                      .kind = q ? QUERY_SINK : QUERY_VIEW,
                                      .in = c,
                                      .filtered = c + 1,
                                      .deduplicated = c + 2,
                                      .late = c + 3,
                                      .late_idle = c + 4,
                                      .dead = c + 5};
        m->queries[q].watermark_us = NO_TIME;
        for (int k = 0; k < 6; k++) c[k] = k ? k : 100;
    }
    m->sinks[0] = (SinkReport){.name = "out", .connector = "file", .way = "by length"};
    m->views[0] =
        (ViewReport){.name = "v", .schema = &m->schema, .window_start = 1, .window_end = -1};
    Report *r = &m->report;
    mutex_init(&r->lock);
    r->pipeline = "p";
    r->file = "p.sql";
    r->home = "/nowhere/p.leat";
    r->started_us = INT64_C(1767225600000000);
    r->plan = &m->plan;
    r->sources = m->sources;
    r->queries = m->queries;
    r->operators = m->operators;
    r->sinks = m->sinks;
    r->views = m->views;
    r->ready = 1;
    r->epoch_commit_us = 12345;
    return m;
}

static void drop(Made *m) {
    mutex_destroy(&m->report.lock);
    free(m);
}

static void assert_has(const Buffer *text, const char *part) {
    if (!text->size || !memmem(text->data, text->size, part, strlen(part)))
        fail_msg("%s is not in:\n%.*s", part, (int)text->size, text->data);
}

static void json_shape(void **state) {
    (void)state;
    Made *m = make();
    Buffer out = {0};
    report_json(&m->report, &out);
    assert_has(&out, "{\"pipeline\":\"p\",\"file\":\"p.sql\"");
    assert_has(&out, "\"state\":\"running\"");
    assert_has(&out, "\"lag\":5,\"queue\":0.00");
    assert_has(&out, "\"state\":\"broker away: \\\"x\\\"\"");
    assert_has(&out, "\"watermark\":\"2026-01-01T00:00:00.000001Z\",\"lag\":5");
    assert_has(&out, "\"watermark\":null,\"lag\":null");
    /* late holds late_idle, and 100 = 85 + 1 + 2 + 7 + 5 */
    assert_has(&out, "\"in\":100,\"passed\":85,\"filtered\":1,\"deduplicated\":2,\"late\":7,\"late_"
                     "idle\":4,\"dead\":5");
    assert_has(&out, "{\"name\":\"Site \\\"name\\\"\",\"type\":\"text\"}");
    assert_has(&out, "\"window_start\":\"window_start\",\"window_end\":null");
    assert_has(&out, "\"commit_ms\":12.345");
    assert_has(&out, "\"name\":\"a\\\\\\\"b\\n\"");
    assert_null(memchr(out.data, '\n', out.size)); /* one line: it is an event's data */
    buffer_free(&out);
    drop(m);
}

static void metrics_shape(void **state) {
    (void)state;
    Made *m = make();
    Buffer out = {0};
    report_metrics(&m->report, &out);
    assert_has(
        &out,
        "# TYPE leat_source_rows_total counter\nleat_source_rows_total{source=\"events\"} 100\n");
    assert_has(&out, "leat_rows_total{query=\"v\",source=\"events\",kind=\"passed\"} 85\n");
    assert_has(&out,
               "leat_watermark_seconds{source=\"events\",partition=\"0\"} 1767225600.000001\n");
    assert_has(&out, "leat_source_watermark_seconds{source=\"events\"} +Inf\n");
    assert_has(&out, "leat_operator_rows_in_total{operator=\"a\\\\\\\"b\\n\",query=\"v\"} 0\n");
    assert_has(&out, "leat_epoch_commit_seconds 0.012345\n");
    assert_has(&out, "leat_source_away{source=\"events\"} 1\n");
    assert_null(
        memmem(out.data, out.size, "partition=\"1\"} -", 16)); /* what is not known is left out */
    buffer_free(&out);
    drop(m);
}

static void targets(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Target t;
    Error error = {0};
    assert_int_equal(
        target_parse("/v1/views/a%20b?x=1%2B1&y+z=%C3%A9&&flag#end", arena, &t, &error), OK);
    assert_string_equal(t.path.data, "/v1/views/a b");
    assert_int_equal(t.param_count, 3);
    assert_string_equal(target_param(&t, "x"), "1+1");
    assert_string_equal(target_param(&t, "y z"), "\xc3\xa9");
    assert_string_equal(target_param(&t, "flag"), "");
    assert_null(target_param(&t, "X"));
    assert_int_equal(target_parse("/a%00b", arena, &t, &error), OK);
    assert_int_equal(t.path.size, 4);
    static const char *const bad[] = {"",     "*",       "http://x/", "/%",
                                      "/%4",  "/%zz",    "/a?b=%",    "/a?b=%0",
                                      "/%ff", "/?a=%C3", "/?a=%00",   "/?%00=a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(target_parse(bad[i], arena, &t, &error), REJECT);
    char many[REQUEST_PARAMS * 4 + 10] = "/?a=1";
    for (int i = 1; i < REQUEST_PARAMS; i++) strcat(many, "&b=2");
    assert_int_equal(target_parse(many, arena, &t, &error), OK);
    strcat(many, "&c");
    assert_int_equal(target_parse(many, arena, &t, &error), REJECT);
    arena_free(&arena);
}

static void limits(void **state) {
    (void)state;
    Error error = {0};
    int64_t n;
    assert_int_equal(limit_parse("0", 100, &n, &error), OK);
    assert_int_equal(n, 0);
    assert_int_equal(limit_parse("99999999999999999999999999", 100, &n, &error), OK);
    assert_int_equal(n, 100);
    static const char *const bad[] = {"", "-1", "x", "1x", " 1", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(limit_parse(bad[i], 100, &n, &error), REJECT);
}

static void addresses(void **state) {
    (void)state;
    Error error = {0};
    char host[20], port[8];
    assert_int_equal(address_parse("127.0.0.1:80", host, sizeof host, port, sizeof port, &error),
                     OK);
    assert_string_equal(host, "127.0.0.1");
    assert_string_equal(port, "80");
    assert_int_equal(address_parse("[::1]:8080", host, sizeof host, port, sizeof port, &error), OK);
    assert_string_equal(host, "::1");
    static const char *const bad[] = {"",   ":",   "8080",     ":8080",
                                      "h:", "h:x", "h:123456", "a-name-that-is-longer-than-20:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(address_parse(bad[i], host, sizeof host, port, sizeof port, &error),
                         REJECT);
}

/* ---- a real server ---- */

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval deadline = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    return fd;
}

/* The whole answer, until the server closes or `until` was seen. */
static Buffer ask(int port, const char *request, const char *until) {
    int fd = dial(port);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    Buffer answer = {0};
    ssize_t n;
    while ((n = recv(fd, buffer_reserve(&answer, 4096), 4096, 0)) > 0) {
        answer.size += (size_t)n;
        if (until && memmem(answer.data, answer.size, until, strlen(until))) break;
    }
    close(fd);
    return answer;
}

static void expect(int port, const char *request, const char *const *parts) {
    Buffer answer = ask(port, request, NULL);
    for (; *parts; parts++) assert_has(&answer, *parts);
    buffer_free(&answer);
}
#define EXPECT(port, request, ...) expect(port, request, (const char *const[]){__VA_ARGS__, NULL})
#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static Server *start(Made *m, int *port) {
    Server *server = NULL;
    Error error = {0};
    if (server_open("127.0.0.1:0", &m->report, &server, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(sscanf(server_url(server), "http://127.0.0.1:%d/", port), 1);
    return server;
}

static void server_answers(void **state) {
    (void)state;
    Made *m = make();
    int port;
    Server *server = start(m, &port);
    EXPECT(port, GET("/"), "200 OK", "text/html",
           "Content-Security-Policy: default-src 'none'; script-src 'sha256-", "nosniff",
           "<!doctype html>");
    EXPECT(port, GET("/healthz"), "200 OK", "{\"alive\":true}");
    EXPECT(port, GET("/readyz"), "200 OK", "{\"ready\":true}");
    EXPECT(port, GET("/v1/pipeline"), "200 OK", "application/json", "\"pipeline\":\"p\"");
    EXPECT(port, GET("/v1/views"), "200 OK", "{\"views\":[{\"name\":\"v\"");
    EXPECT(port, GET("/v1/history"), "200 OK", "{\"samples\":[");
    EXPECT(port, GET("/metrics"), "200 OK", "text/plain", "leat_ready 1");
    EXPECT(port, GET("/v1/views/w"), "404 Not Found", "there is no view 'w'; there are: v");
    EXPECT(port, GET("/v1/views/v%00"), "404 Not Found");
    EXPECT(port, GET("/v1/views/v?limit=x"), "400 Bad Request", "limit wants a whole number");
    EXPECT(port, GET("/v1/views/v"), "503 Service Unavailable",
           "{\"error\":"); /* there is no home */
    EXPECT(port, GET("/v1/rejects?kind=all"), "400 Bad Request", "kind is 'late' or 'dead'");
    EXPECT(port, GET("/%zz"), "400 Bad Request", "bad escape");
    EXPECT(port,
           "POST /v1/pipeline HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: "
           "close\r\n\r\nabc",
           "405 Method Not Allowed", "Allow: GET, HEAD");
    m->report.ready = 0;
    EXPECT(port, GET("/readyz"), "503 Service Unavailable", "starting");
    m->report.ready = 1;
    m->report.now_us = 1; /* the last step was long ago */
    EXPECT(port, GET("/healthz"), "503 Service Unavailable", "last step");
    server_close(&server);
    assert_null(server);
    drop(m);
}

static void server_streams(void **state) {
    (void)state;
    Made *m = make();
    int port;
    Server *server = start(m, &port);
    /* The first event comes at once, later ones with new numbers. */
    int fd = dial(port);
    assert_true(send(fd, GET("/v1/events"), strlen(GET("/v1/events")), MSG_NOSIGNAL) > 0);
    Buffer seen = {0};
    ssize_t n;
    while (!(seen.size && memmem(seen.data, seen.size, "\"rows\":777", 10))) {
        n = recv(fd, buffer_reserve(&seen, 4096), 4096, 0);
        assert_true(n > 0);
        seen.size += (size_t)n;
        m->sources[0].rows = 777;
    }
    assert_has(&seen, "text/event-stream");
    assert_has(&seen, "data: {\"pipeline\":\"p\"");
    /* One that never reads does not keep the server from ending, and the last numbers come before
     * the end. */
    int lazy = dial(port);
    assert_true(send(lazy, GET("/v1/events"), strlen(GET("/v1/events")), MSG_NOSIGNAL) > 0);
    m->sources[0].rows = 888;
    server_close(&server);
    while ((n = recv(fd, buffer_reserve(&seen, 4096), 4096, 0)) > 0) seen.size += (size_t)n;
    assert_has(&seen, "\"rows\":888");
    close(fd);
    close(lazy);
    buffer_free(&seen);
    drop(m);
}

static void server_bounds(void **state) {
    (void)state;
    Made *m = make();
    int port;
    Server *server = start(m, &port);
    /* More listeners than are allowed, and connections that say nothing: others are still answered.
     */
    int fds[100];
    for (int i = 0; i < 80; i++) {
        fds[i] = dial(port);
        assert_true(send(fds[i], GET("/v1/events"), strlen(GET("/v1/events")), MSG_NOSIGNAL) > 0);
    }
    for (int i = 80; i < 100; i++) fds[i] = dial(port);
    int refused = 0;
    for (int i = 0; i < 80; i++) {
        char text[16];
        assert_int_equal(recv(fds[i], text, 12, MSG_WAITALL), 12);
        refused += memcmp(text, "HTTP/1.1 503", 12) == 0;
    }
    assert_int_equal(refused, 16);
    EXPECT(port, GET("/healthz"), "200 OK");
    for (int i = 0; i < 100; i++) close(fds[i]);
    /* Requests that stop half way leave nothing behind (as the sanitizer sees). */
    static const char *const halves[] = {
        "GE", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: x\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nx"};
    for (int i = 0; i < 5; i++) {
        int fd = dial(port);
        assert_true(send(fd, halves[i], strlen(halves[i]), MSG_NOSIGNAL) > 0);
        close(fd);
    }
    /* A port that is taken is an error when it was asked for. */
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    Server *second = NULL;
    Error error = {0};
    assert_int_equal(server_open(address, &m->report, &second, &error), FAIL);
    assert_non_null(strstr(error.text, "SET http"));
    assert_null(second);
    /* Without an address the next free one is taken. */
    Server *first = NULL;
    assert_int_equal(server_open(NULL, &m->report, &first, &error), OK);
    assert_int_equal(server_open(NULL, &m->report, &second, &error), OK);
    assert_string_not_equal(server_url(first), server_url(second));
    server_close(&first);
    server_close(&second);
    server_close(&server);
    drop(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_shape),     cmocka_unit_test(metrics_shape),
        cmocka_unit_test(targets),        cmocka_unit_test(limits),
        cmocka_unit_test(addresses),      cmocka_unit_test(server_answers),
        cmocka_unit_test(server_streams), cmocka_unit_test(server_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
