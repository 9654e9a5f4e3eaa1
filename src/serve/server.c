/* The web server: libmicrohttpd with a few threads of its own. It takes its port itself, so that
 * "the next free one" and "taken" are decided before anything runs. All it lends to strangers is
 * bounded: connections, header bytes, idle time, body bytes. */
#include "serve/server.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FIRST_PORT = 8080,
    PORTS_TRIED = 100,
    THREADS = 3,
    CONNECTIONS_MOST = 192,
    IDLE_SECONDS = 8,
    HEAD_BYTES = 32 << 10,
    BODY_MOST = 1 << 20
};

typedef struct Request {
    char *raw; /* the target as it came */
    bool begun;
    size_t taken; /* of a body that nobody wants */
} Request;

/* ---- the port ---- */

static int listen_at(const char *host, const char *port, Error *error) {
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        (void)fail(error, "http: there is no address '%s': %s", host, gai_strerror(code));
        return -1;
    }
    int on = 1, fd = -1;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 128) == 0) break;
        code = errno;
        close(fd);
        fd = -1;
        errno = code;
    }
    code = errno;
    freeaddrinfo(found);
    if (fd < 0)
        (void)fail(error, "http: port %s of %s is not to be had: %s; SET http to another, or 'off'",
                   port, host, strerror(code));
    errno = code;
    return fd;
}

static int listen_at_next(Error *error) {
    char port[8];
    for (int i = 0; i < PORTS_TRIED; i++) {
        snprintf(port, sizeof port, "%d", FIRST_PORT + i);
        int fd = listen_at("127.0.0.1", port, error);
        if (fd >= 0 || errno != EADDRINUSE) return fd;
    }
    return listen_at("127.0.0.1", "0", error);
}

static void url_of(int fd, char *url, size_t size) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[NI_MAXHOST] = "127.0.0.1", port[NI_MAXSERV] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        (void)getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    bool brackets = strchr(host, ':') != NULL;
    snprintf(url, size, "http://%s%.200s%s:%s/", brackets ? "[" : "", host, brackets ? "]" : "",
             port);
}

/* ---- a request ---- */

static void *begin(void *server, const char *target, struct MHD_Connection *connection) {
    (void)server, (void)connection;
    Request *request = xcalloc(1, sizeof *request);
    request->raw = xstrdup(target);
    return request;
}

static void over(void *server, struct MHD_Connection *connection, void **context,
                 enum MHD_RequestTerminationCode why) {
    (void)server, (void)connection, (void)why;
    Request *request = *context;
    if (!request) return;
    free(request->raw);
    free(request);
    *context = NULL;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, Answer *a) {
    struct MHD_Response *response = a->response;
    if (!response && a->page)
        response = MHD_create_response_from_buffer(page_size, (void *)(uintptr_t)page_bytes,
                                                   MHD_RESPMEM_PERSISTENT);
    else if (!response)
        response =
            MHD_create_response_from_buffer(a->body.size, a->body.data, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        buffer_free(&a->body);
        return MHD_NO;
    }
    const struct {
        const char *name, *value;
    } headers[] = {
        {"Content-Type", a->type},
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy",
         a->page ? page_policy : "default-src 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, a->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *decoded,
                              const char *method, const char *version, const char *body,
                              size_t *body_size, void **request_at) {
    (void)decoded, (void)version, (void)body;
    Server *server = context;
    Request *request = *request_at;
    if (!request) return MHD_NO;
    if (!request->begun) { /* the head is here; an answer may be given once the body has come */
        request->begun = true;
        return MHD_YES;
    }
    if (*body_size) { /* nothing here wants one: it is thrown away, and too much of it ends the
                         connection */
        request->taken += *body_size;
        *body_size = 0;
        return request->taken > BODY_MOST ? MHD_NO : MHD_YES;
    }
    Answer answer = {0};
    bool head = strcmp(method, "HEAD") == 0;
    if (!head && strcmp(method, "GET") != 0) {
        answer_error(&answer, MHD_HTTP_METHOD_NOT_ALLOWED,
                     "%.20s is not allowed: this API only reads; use GET", method);
        return send_answer(connection, &answer);
    }
    Arena *arena = arena_new();
    Target target;
    Error error = {0};
    if (target_parse(request->raw, arena, &target, &error) != OK)
        answer_error(&answer, MHD_HTTP_BAD_REQUEST, "%s", error.text);
    else if (head && str_equal(target.path, STR("/v1/events")))
        answer = (Answer){.status = MHD_HTTP_OK, .type = "text/event-stream"};
    else answer_get(server, &target, connection, &answer);
    arena_free(&arena);
    return send_answer(connection, &answer);
}

/* Leaves the target as it is: request.c decodes it. */
static size_t leave(void *context, struct MHD_Connection *connection, char *text) {
    (void)context, (void)connection;
    return strlen(text);
}

/* ---- the server ---- */

Status server_open(const char *address, Report *report, Server **out, Error *error) {
    char host[200], port[8];
    int fd;
    if (address) {
        if (address_parse(address, host, sizeof host, port, sizeof port, error) != OK) return FAIL;
        fd = listen_at(host, port, error);
    } else {
        fd = listen_at_next(error);
    }
    if (fd < 0) return FAIL;
    Server *server = xcalloc(1, sizeof *server);
    server->report = report;
    pthread_mutex_init(&server->lock, NULL);
    url_of(fd, server->url, sizeof server->url);
    if (events_open(report, &server->events, error) != OK) {
        close(fd);
        server_close(&server);
        return FAIL;
    }
    server->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        handle, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEAD_BYTES, MHD_OPTION_URI_LOG_CALLBACK, begin, server,
        MHD_OPTION_UNESCAPE_CALLBACK, leave, server, MHD_OPTION_NOTIFY_COMPLETED, over, server,
        MHD_OPTION_END);
    if (!server->daemon) {
        close(fd);
        server_close(&server);
        return fail(error,
                    "http: the web server does not start; SET http = 'off' to run without it");
    }
    *out = server;
    return OK;
}

const char *server_url(const Server *server) { return server->url; }

void server_close(Server **server_at) {
    Server *server = *server_at;
    if (!server) return;
    if (server->events) events_end(server->events);
    if (server->daemon) MHD_stop_daemon(server->daemon);
    events_close(&server->events);
    while (server->reader_count) home_reader_close(&server->readers[--server->reader_count]);
    pthread_mutex_destroy(&server->lock);
    free(server);
    *server_at = NULL;
}
