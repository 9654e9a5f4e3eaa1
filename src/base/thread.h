/* Threads, locks and waiting, as the engine uses them: POSIX threads, or one that is made up. A
 * simulation (engine/simulate) puts hooks in place; then every thread is a coroutine, time is a
 * number, and which of them goes on at a lock or a wait is drawn from a seed. */
#pragma once
#include "base/status.h"
#include <pthread.h>

typedef struct Mutex {
    pthread_mutex_t real;
    bool held; /* simulated */
} Mutex;
typedef struct Cond {
    pthread_cond_t real; /* simulated: its address is enough */
} Cond;
typedef struct Thread {
    pthread_t real;
    void *simulated;
} Thread;

void mutex_init(Mutex *);
void mutex_destroy(Mutex *);
void mutex_lock(Mutex *);
void mutex_unlock(Mutex *);

void cond_init(Cond *);
void cond_destroy(Cond *);
void cond_wait(Cond *, Mutex *);
/* At most `us` microseconds by the monotonic clock; false: they have passed. */
bool cond_wait_for(Cond *, Mutex *, int64_t us);
void cond_signal(Cond *);
void cond_broadcast(Cond *);

CHECKED Status thread_start(Thread *, void *(*body)(void *), void *context, Error *);
void thread_join(Thread *);
void thread_sleep(int64_t us);

/* The made-up kind. One OS thread runs all; set before any of the above is used, NULL: the real
 * ones. */
typedef struct ThreadHooks {
    void (*lock)(Mutex *);
    void (*unlock)(Mutex *);
    bool (*wait)(Cond *, Mutex *, int64_t us); /* us < 0: for ever */
    void (*wake)(Cond *, bool all);
    void *(*start)(void *(*body)(void *), void *context);
    void (*join)(void *thread);
    void (*sleep)(int64_t us);
} ThreadHooks;
void thread_simulate(const ThreadHooks *);
