/* Threads as coroutines of one OS thread. At every lock, unlock, wait and wake a seeded draw may
 * let another one go on; time is a number that advances when all of them wait. */
#pragma once
#include "base/random.h"
#include "base/thread.h"

typedef enum RunEnd {
    RUN_DONE,    /* the first coroutine returned */
    RUN_CRASHED, /* schedule_crash was called: all coroutines are abandoned where they stood */
    RUN_FROZEN,  /* all of them stand still, and may go on beside the next run */
    RUN_STUCK,   /* nobody can go on and nobody waits for time: a deadlock; or no end is in sight */
} RunEnd;

typedef struct ScheduleOptions {
    uint64_t seed;
    uint32_t switch_every; /* at about every so many points somebody else goes on */
    int64_t creep_us;      /* time passes by up to so much at a switch */
    int64_t crash_at;      /* at that switch or point; 0: never */
    int64_t most_points;   /* more are no run that ends */
    int64_t pause_at;      /* all stand still at that point, for so long; 0: never */
    int64_t pause_us;
    void (*paused)(void);
    int64_t freeze_at; /* RUN_FROZEN at that point, or later, when schedule_may_freeze */
    int64_t thaw_at;   /* at that point those that were frozen in an earlier run go on */
} ScheduleOptions;

/* Hooks into base/thread.h and runs `body` as the first coroutine. */
RunEnd schedule_run(const ScheduleOptions *, void *(*body)(void *), void *context);
void schedule_may_freeze(bool);
bool schedule_zombie(void);    /* inside of one that was frozen in an earlier run */
bool schedule_zombies(void);   /* there are such */
void schedule_bury(void);      /* they never go on */
void schedule_crash(void);     /* from a coroutine; does not return */
bool schedule_running(void);   /* inside of one */
int64_t schedule_now_us(void); /* since the simulation began; goes on over crashes */
int64_t schedule_points(void); /* of this run */
void schedule_dump(void);      /* who waits where, into the trace */
