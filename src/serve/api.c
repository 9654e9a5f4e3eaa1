/* What each address answers. Numbers come from the report, rows from the home by readers of its
 * own, committed epochs only; the engine is never asked. Every error is JSON with a sentence that
 * says what to do. */
#include "serve/server.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 10000, STUCK_SECONDS = 30 };

static const char JSON_TYPE[] = "application/json; charset=utf-8";

void answer_error(Answer *a, unsigned status, const char *format, ...) {
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_free(&a->body);
    a->status = status;
    a->type = JSON_TYPE;
    buffer_add_text(&a->body, "{\"error\":");
    json_string(str_from(text), &a->body);
    buffer_add_text(&a->body, "}\n");
}

/* ---- readers of the home: few, kept open, each used by one request at a time ---- */

static HomeReader *take_reader(Server *server, Error *error) {
    HomeReader *reader = NULL;
    pthread_mutex_lock(&server->lock);
    if (server->reader_count) reader = server->readers[--server->reader_count];
    pthread_mutex_unlock(&server->lock);
    if (!reader && home_reader_open(server->report->home, &reader, error) != OK) return NULL;
    return reader;
}

static void give_reader(Server *server, HomeReader **reader) {
    pthread_mutex_lock(&server->lock);
    if (server->reader_count < READERS_MOST) {
        server->readers[server->reader_count++] = *reader;
        *reader = NULL;
    }
    pthread_mutex_unlock(&server->lock);
    home_reader_close(reader);
}

/* ---- addresses ---- */

static bool limit_of(const Target *target, Answer *a, int64_t *limit) {
    const char *text = target_param(target, "limit");
    Error error = {0};
    *limit = LIMIT_DEFAULT;
    if (!text || limit_parse(text, LIMIT_MOST, limit, &error) == OK) return true;
    answer_error(a, MHD_HTTP_BAD_REQUEST, "%s", error.text);
    return false;
}

static void get_view(Server *server, Str name, const Target *target, Answer *a) {
    Report *r = server->report;
    const ViewReport *view = NULL;
    Buffer names = {0};
    for (int i = 0; i < r->plan->view_count; i++) {
        if (str_equal(str_from(r->views[i].name), name)) view = &r->views[i];
        if (names.size < 600)
            buffer_add_format(&names, "%s%.100s", i ? ", " : "", r->views[i].name);
    }
    if (!view) {
        if (!names.size) buffer_add_text(&names, "none");
        answer_error(a, MHD_HTTP_NOT_FOUND, "there is no view '%.*s'; there are: %.*s",
                     (int)(name.size < 100 ? name.size : 100), name.data, STR_ARG(names));
    }
    buffer_free(&names);
    int64_t limit;
    if (!view || !limit_of(target, a, &limit)) return;
    HomeFilter filters[REQUEST_PARAMS];
    int count = 0;
    for (int i = 0; i < target->param_count; i++)
        if (strcmp(target->params[i].name, "limit") != 0)
            filters[count++] = (HomeFilter){target->params[i].name, target->params[i].value};
    Error error = {0};
    HomeReader *reader = take_reader(server, &error);
    if (!reader) {
        answer_error(a, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error.text);
        return;
    }
    bool more = false;
    buffer_add_text(&a->body, "{\"view\":");
    json_string(name, &a->body);
    buffer_add_text(&a->body, ",\"rows\":");
    Status status = home_read_view(reader, view->name, view->schema, filters, count, limit,
                                   &a->body, &more, &error);
    give_reader(server, &reader);
    if (status == OK) buffer_add_format(&a->body, ",\"more\":%s}\n", more ? "true" : "false");
    else
        answer_error(a, status == REJECT ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE,
                     "%s", error.text);
}

static void get_views(Server *server, Answer *a) {
    buffer_add_text(&a->body, "{\"views\":[");
    for (int i = 0; i < server->report->plan->view_count; i++)
        report_view_json(&server->report->views[i], &a->body);
    buffer_add_text(&a->body, "]}\n");
}

static void get_rejects(Server *server, const Target *target, Answer *a) {
    const char *kind = target_param(target, "kind");
    int64_t limit;
    if (!limit_of(target, a, &limit)) return;
    if (kind && strcmp(kind, "late") != 0 && strcmp(kind, "dead") != 0) {
        answer_error(a, MHD_HTTP_BAD_REQUEST, "kind is 'late' or 'dead', not '%.40s'", kind);
        return;
    }
    for (int i = 0; i < target->param_count; i++) {
        const char *name = target->params[i].name;
        if (strcmp(name, "kind") == 0 || strcmp(name, "limit") == 0) continue;
        answer_error(a, MHD_HTTP_BAD_REQUEST, "unknown parameter '%.40s'; there are kind and limit",
                     name);
        return;
    }
    Error error = {0};
    HomeReader *reader = take_reader(server, &error);
    Status status = FAIL;
    if (reader) {
        buffer_add_text(&a->body, "{\"rows\":");
        status = home_read_rejects(reader, kind, limit, &a->body, &error);
        buffer_add_text(&a->body, "}\n");
        give_reader(server, &reader);
    }
    if (status != OK) answer_error(a, MHD_HTTP_SERVICE_UNAVAILABLE, "%s", error.text);
}

/* Alive: the engine takes steps. Before it is ready it opens what is outside, which may take its
 * time. */
static void get_health(Server *server, Answer *a) {
    Report *r = server->report;
    int64_t last = atomic_load(&r->now_us), now = env_system()->now_us(env_system());
    int64_t seconds = last ? (now - last) / 1000000 : 0;
    if (atomic_load(&r->ready) && !atomic_load(&r->finished) && seconds > STUCK_SECONDS)
        answer_error(a, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the engine took its last step %" PRId64 " s ago", seconds);
    else buffer_add_text(&a->body, "{\"alive\":true}\n");
}

static void get_ready(Server *server, Answer *a) {
    if (atomic_load(&server->report->ready)) buffer_add_text(&a->body, "{\"ready\":true}\n");
    else answer_error(a, MHD_HTTP_SERVICE_UNAVAILABLE, "the pipeline is starting");
}

void answer_get(Server *server, const Target *target, struct MHD_Connection *connection,
                Answer *a) {
    static const char views[] = "/v1/views/";
    Str path = target->path;
    *a = (Answer){.status = MHD_HTTP_OK, .type = JSON_TYPE};
    if (str_equal(path, STR("/")) || str_equal(path, STR("/index.html"))) {
        a->type = "text/html; charset=utf-8";
        a->page = true;
    } else if (str_equal(path, STR("/metrics"))) {
        a->type = "text/plain; version=0.0.4; charset=utf-8";
        report_metrics(server->report, &a->body);
    } else if (str_equal(path, STR("/healthz"))) {
        get_health(server, a);
    } else if (str_equal(path, STR("/readyz"))) {
        get_ready(server, a);
    } else if (str_equal(path, STR("/v1/pipeline"))) {
        report_json(server->report, &a->body);
        buffer_add_char(&a->body, '\n');
    } else if (str_equal(path, STR("/v1/views"))) {
        get_views(server, a);
    } else if (path.size >= sizeof views - 1 && memcmp(path.data, views, sizeof views - 1) == 0) {
        get_view(server, (Str){path.data + sizeof views - 1, path.size - sizeof views + 1}, target,
                 a);
    } else if (str_equal(path, STR("/v1/rejects"))) {
        get_rejects(server, target, a);
    } else if (str_equal(path, STR("/v1/history"))) {
        events_history(server->events, &a->body);
    } else if (str_equal(path, STR("/v1/events"))) {
        a->type = "text/event-stream; charset=utf-8";
        a->response = events_listen(server->events, connection);
        if (!a->response)
            answer_error(a, MHD_HTTP_SERVICE_UNAVAILABLE,
                         "too many dashboards are open; close one");
    } else {
        answer_error(a, MHD_HTTP_NOT_FOUND,
                     "there is nothing at '%.*s'; there are /, /metrics, /healthz, /readyz, "
                     "/v1/pipeline, /v1/views, /v1/views/NAME, "
                     "/v1/rejects, /v1/history and /v1/events",
                     (int)(path.size < 100 ? path.size : 100), path.data);
    }
}
