/* POSIX threads behind names of our own, so that a simulation can take their place: with its hooks
 * set the same engine runs as coroutines of one thread, in an order that a seed decides. Waits go
 * by the monotonic clock, which nobody sets. */
#include "base/thread.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static const ThreadHooks *hooks;

void thread_simulate(const ThreadHooks *made_up) { hooks = made_up; }

void mutex_init(Mutex *m) {
    m->held = false;
    pthread_mutex_init(&m->real, NULL);
}
void mutex_destroy(Mutex *m) { pthread_mutex_destroy(&m->real); }

void mutex_lock(Mutex *m) {
    if (hooks) hooks->lock(m);
    else pthread_mutex_lock(&m->real);
}

void mutex_unlock(Mutex *m) {
    if (hooks) hooks->unlock(m);
    else pthread_mutex_unlock(&m->real);
}

void cond_init(Cond *c) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a set clock must not hang a wait */
    pthread_cond_init(&c->real, &attributes);
    pthread_condattr_destroy(&attributes);
}
void cond_destroy(Cond *c) { pthread_cond_destroy(&c->real); }

void cond_wait(Cond *c, Mutex *m) {
    if (hooks) (void)hooks->wait(c, m, -1);
    else pthread_cond_wait(&c->real, &m->real);
}

bool cond_wait_for(Cond *c, Mutex *m, int64_t us) {
    if (hooks) return hooks->wait(c, m, us < 0 ? 0 : us);
    const int64_t year_us = INT64_C(365) * 86400 * 1000000;
    if (us < 0) us = 0;
    if (us > year_us) us = year_us;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + us % 1000000 * 1000;
    until.tv_sec += (time_t)(us / 1000000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return pthread_cond_timedwait(&c->real, &m->real, &until) != ETIMEDOUT;
}

void cond_signal(Cond *c) {
    if (hooks) hooks->wake(c, false);
    else pthread_cond_signal(&c->real);
}
void cond_broadcast(Cond *c) {
    if (hooks) hooks->wake(c, true);
    else pthread_cond_broadcast(&c->real);
}

Status thread_start(Thread *thread, void *(*body)(void *), void *context, Error *error) {
    if (hooks) {
        thread->simulated = hooks->start(body, context);
        return OK;
    }
    int code = pthread_create(&thread->real, NULL, body, context);
    return code ? fail(error, "cannot start a thread: %s", strerror(code)) : OK;
}

void thread_join(Thread *thread) {
    if (hooks) hooks->join(thread->simulated);
    else pthread_join(thread->real, NULL);
}

void thread_sleep(int64_t us) {
    if (hooks) {
        hooks->sleep(us);
        return;
    }
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {}
}
