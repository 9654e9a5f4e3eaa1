/* Server-sent events: /v1/pipeline's JSON about once a second; and what the last minutes were like,
 * for a page that opens now. The text is made once for all who listen and shared by counting. A
 * connection with nothing to send is suspended, so it costs no thread and no time; the ticking
 * thread wakes it. A slow client gets the newest text when it has taken the one before, so it holds
 * at most one. */
#include "serve/server.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LISTENERS_MOST = 64, HISTORY_SECONDS = 600 };

typedef struct Sample {
    int64_t time_us, rows, lag /* -1: unknown */, behind_us /* NO_TIME: unknown */, commit_us;
    int64_t owed; /* bytes that sinks lack */
    int64_t lost, refused;
} Sample;

typedef struct Event {
    int references; /* under Events.lock */
    int64_t number;
    size_t size;
    char text[];
} Event;

typedef struct Listener {
    Events *events;
    struct MHD_Connection *connection;
    struct Listener *next;
    Event *current; /* being sent; NULL: none */
    size_t sent;    /* of current */
    int64_t last;   /* number of the last event that was taken */
    bool suspended;
} Listener;

struct Events {
    Report *report;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the ticking thread: time to end; who ends: a listener has gone */
    pthread_t thread;
    Listener *listeners;
    int listener_count;
    Event *newest;
    Sample history[HISTORY_SECONDS]; /* a ring */
    int64_t sample_count;            /* ever taken */
    bool ending;
};

/* Makes an event of what the report says now. Takes no lock: the report is read by itself. */
static Event *event_new(Report *report) {
    Buffer text = {0};
    buffer_add_text(&text, "data: ");
    report_json(report, &text);
    buffer_add_text(&text, "\n\n");
    Event *event = xmalloc(sizeof *event + text.size);
    event->references = 1;
    event->number = 0;
    event->size = text.size;
    memcpy(event->text, text.data, text.size);
    buffer_free(&text);
    return event;
}

static void event_drop(Event *event) { /* under lock */
    if (event && --event->references == 0) free(event);
}

/* Puts a fresh event in place and wakes all who wait. Under lock. */
static void publish(Events *e, Event *event) {
    event->number = e->newest ? e->newest->number + 1 : 1;
    event_drop(e->newest);
    e->newest = event;
    for (Listener *l = e->listeners; l; l = l->next) {
        if (!l->suspended) continue;
        l->suspended = false;
        MHD_resume_connection(l->connection);
    }
}

static Sample sample_now(Report *r) {
    Sample now = {.time_us = env_system()->now_us(env_system()),
                  .lag = -1,
                  .behind_us = NO_TIME,
                  .commit_us = atomic_load(&r->epoch_commit_us)};
    for (int i = 0; i < r->plan->source_count; i++) {
        SourceReport *source = &r->sources[i];
        int64_t lag = report_lag(source), mark = atomic_load(&source->watermark_us);
        now.rows += atomic_load(&source->rows);
        now.lost += atomic_load(&source->lost);
        if (lag >= 0) now.lag = (now.lag < 0 ? 0 : now.lag) + lag;
        bool tells = !atomic_load(&source->ended) && mark != NO_TIME && mark != END_OF_TIME;
        if (tells && now.time_us - mark > now.behind_us) now.behind_us = now.time_us - mark;
    }
    for (int i = 0; i < r->plan->sink_count; i++) {
        now.owed += atomic_load(&r->sinks[i].owed_bytes);
        now.refused += atomic_load(&r->sinks[i].refused);
    }
    return now;
}

void events_history(Events *e, Buffer *out) {
    buffer_add_text(out, "{\"samples\":[");
    pthread_mutex_lock(&e->lock);
    int64_t first = e->sample_count > HISTORY_SECONDS ? e->sample_count - HISTORY_SECONDS : 0;
    for (int64_t i = first; i < e->sample_count; i++) {
        const Sample *s = &e->history[i % HISTORY_SECONDS];
        buffer_add_format(out, "%s{\"t\":%" PRId64 ",\"rows\":%" PRId64 ",\"lag\":",
                          i > first ? ",\n" : "", s->time_us / 1000, s->rows);
        if (s->lag >= 0) buffer_add_format(out, "%" PRId64 ",\"behind\":", s->lag);
        else buffer_add_text(out, "null,\"behind\":");
        if (s->behind_us != NO_TIME) buffer_add_format(out, "%.3f", (double)s->behind_us / 1e6);
        else buffer_add_text(out, "null");
        buffer_add_format(out,
                          ",\"commit\":%.3f,\"owed\":%" PRId64 ",\"lost\":%" PRId64
                          ",\"refused\":%" PRId64 "}",
                          (double)s->commit_us / 1e3, s->owed, s->lost, s->refused);
    }
    pthread_mutex_unlock(&e->lock);
    buffer_add_text(out, "]}\n");
}

static void *tick(void *context) {
    Events *e = context;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&e->lock);
    while (!e->ending) {
        until.tv_sec++;
        while (!e->ending && pthread_cond_timedwait(&e->wake, &e->lock, &until) != ETIMEDOUT) {}
        if (e->ending) continue;
        if (atomic_load(&e->report->ready)) /* counts of earlier runs are known */
            e->history[e->sample_count++ % HISTORY_SECONDS] = sample_now(e->report);
        if (!e->listeners) continue;
        pthread_mutex_unlock(&e->lock);
        Event *event = event_new(e->report);
        pthread_mutex_lock(&e->lock);
        publish(e, event);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* libmicrohttpd asks for the next bytes. */
static ssize_t next_bytes(void *context, uint64_t position, char *to, size_t room) {
    (void)position;
    Listener *l = context;
    Events *e = l->events;
    pthread_mutex_lock(&e->lock);
    if (!l->current && e->newest && e->newest->number != l->last) {
        l->current = e->newest;
        l->current->references++;
        l->last = l->current->number;
        l->sent = 0;
    }
    ssize_t given = 0;
    if (l->current) {
        size_t size = l->current->size - l->sent;
        if (size > room) size = room;
        memcpy(to, l->current->text + l->sent, size);
        l->sent += size;
        given = (ssize_t)size;
        if (l->sent == l->current->size) {
            event_drop(l->current);
            l->current = NULL;
        }
    } else if (e->ending) {
        given = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        l->suspended = true;
        MHD_suspend_connection(l->connection);
    }
    pthread_mutex_unlock(&e->lock);
    return given;
}

static void listener_free(void *context) {
    Listener *l = context;
    Events *e = l->events;
    pthread_mutex_lock(&e->lock);
    Listener **at = &e->listeners;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    e->listener_count--;
    event_drop(l->current);
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    free(l);
}

struct MHD_Response *events_listen(Events *e, struct MHD_Connection *connection) {
    Event *first = event_new(e->report);
    Listener *l = xcalloc(1, sizeof *l);
    l->events = e;
    l->connection = connection;
    pthread_mutex_lock(&e->lock);
    bool room = e->listener_count < LISTENERS_MOST && !e->ending;
    if (room) {
        l->current = first;
        l->last = e->newest ? e->newest->number : 0;
        l->next = e->listeners;
        e->listeners = l;
        e->listener_count++;
    }
    pthread_mutex_unlock(&e->lock);
    struct MHD_Response *response =
        room ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, next_bytes, l,
                                                 listener_free)
             : NULL;
    if (!room) {
        free(first);
        free(l);
    } else if (!response) {
        listener_free(l);
    }
    return response;
}

Status events_open(Report *report, Events **out, Error *error) {
    Events *e = xcalloc(1, sizeof *e);
    e->report = report;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&e->thread, NULL, tick, e) != 0) {
        free(e);
        return fail(error, "no thread for the web side: %s", strerror(errno));
    }
    *out = e;
    return OK;
}

void events_end(Events *e) {
    Event *last = event_new(e->report);
    pthread_mutex_lock(&e->lock);
    e->ending = true;
    publish(e, last);
    pthread_cond_broadcast(&e->wake);
    /* Those who listen get the last numbers, unless they are too slow for it. */
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (e->listeners && pthread_cond_timedwait(&e->wake, &e->lock, &until) != ETIMEDOUT) {}
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
}

void events_close(Events **events) {
    Events *e = *events;
    if (!e) return;
    event_drop(e->newest);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    free(e);
    *events = NULL;
}
