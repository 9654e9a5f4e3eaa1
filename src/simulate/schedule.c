/* The scheduler of the simulation. One OS thread; each thread of the engine is a coroutine with a
 * stack of its own. A mutex is a flag, a condition variable its address. Who goes on is drawn from
 * the seed, so that one seed is one interleaving, and thousands of seeds are thousands of them.
 * Time creeps a little with every switch, as computing takes time, and jumps to the next timeout
 * when everybody waits. A crash leaves all coroutines where they stand, for ever. The coroutines of
 * a run are its crew; one crew may be frozen and go on beside the next one's. */
#include "simulate/schedule.h"
#include "base/memory.h"
#include "simulate/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

enum { MOST_COROUTINES = 128, STACK_BYTES = 1 << 20 };

typedef enum State { READY, LOCKING, WAITING, SLEEPING, JOINING, OVER } State;
static const char *const STATES[] = {"ready", "locking", "waiting", "sleeping", "joining", "over"};

typedef struct Coroutine {
    ucontext_t context;
    void *stack;
    void *(*body)(void *);
    void *argument;
    State state;
    int crew;
    bool first;       /* of its crew */
    const void *what; /* the mutex, condition or coroutine that it waits for */
    int64_t until_us; /* WAITING, SLEEPING: -1 for ever */
    bool signalled;
    void *fake_stack; /* of the address sanitizer */
} Coroutine;

static Coroutine coroutines[MOST_COROUTINES];
static int count, current = -1;
static ucontext_t outside;
static const void *outside_bottom;
static size_t outside_size;
static ScheduleOptions options;
static Random draws;
static int64_t now_us, points;
static RunEnd end;
static int crew, frozen_crew; /* of this run; of an earlier one, 0: none */
static bool may_freeze, thawed;

int64_t schedule_now_us(void) { return now_us; }
int64_t schedule_points(void) { return points; }
bool schedule_running(void) { return current >= 0; }
void schedule_may_freeze(bool may) {
    if (!schedule_zombie()) may_freeze = may;
}
bool schedule_zombies(void) { return frozen_crew > 0; }
bool schedule_zombie(void) {
    return current >= 0 && frozen_crew && coroutines[current].crew == frozen_crew;
}

#if defined(__SANITIZE_ADDRESS__)
static void leave(void **fake, const void *bottom, size_t size) {
    __sanitizer_start_switch_fiber(fake, bottom, size);
}
static void arrive(void *fake) { __sanitizer_finish_switch_fiber(fake, NULL, NULL); }
#else
static void leave(void **fake, const void *bottom, size_t size) {
    (void)fake, (void)bottom, (void)size;
}
static void arrive(void *fake) { (void)fake; }
#endif

void schedule_dump(void) {
    for (int i = 0; i < count; i++) {
        const Coroutine *c = &coroutines[i];
        if (c->state == OVER) continue;
        printf("  thread %d is %s", i, STATES[c->state]);
        if (c->state == LOCKING || c->state == WAITING) printf(" at %p", c->what);
        if ((c->state == WAITING || c->state == SLEEPING) && c->until_us >= 0)
            printf(", until %lld us", (long long)c->until_us);
        putchar('\n');
    }
}

/* ---- switching ---- */

/* Only one that is frozen comes back. */
static void go_outside(RunEnd how) {
    end = how;
    Coroutine *from = &coroutines[current];
    current = -1;
    leave(&from->fake_stack, outside_bottom, outside_size);
    swapcontext(&from->context, &outside);
    arrive(from->fake_stack);
}

void schedule_crash(void) {
    trace_line("crash");
    go_outside(RUN_CRASHED);
    abort();
}

static bool moves(const Coroutine *c) {
    return c->crew == crew || (thawed && c->crew == frozen_crew);
}

static void end_crew(int which) {
    for (int i = 0; i < count; i++)
        if (coroutines[i].crew == which) coroutines[i].state = OVER, coroutines[i].crew = 0;
}

void schedule_bury(void) {
    if (frozen_crew) end_crew(frozen_crew);
    frozen_crew = 0;
}

static void go_to(int next) {
    if (next == current) return;
    Coroutine *from = &coroutines[current], *to = &coroutines[next];
    current = next;
    leave(from->state == OVER ? NULL : &from->fake_stack, to->stack, STACK_BYTES);
    swapcontext(&from->context, &to->context);
    arrive(from->fake_stack);
}

static void look_at_time(void) {
    for (int i = 0; i < count; i++) {
        Coroutine *c = &coroutines[i];
        if (!moves(c)) continue;
        if ((c->state == WAITING || c->state == SLEEPING) && c->until_us >= 0 &&
            c->until_us <= now_us)
            c->state = READY;
    }
}

static bool jump_in_time(void) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < count; i++) {
        const Coroutine *c = &coroutines[i];
        if (!moves(c)) continue;
        if ((c->state == WAITING || c->state == SLEEPING) && c->until_us >= 0 && c->until_us < next)
            next = c->until_us;
    }
    if (next == INT64_MAX) return false;
    if (next > now_us) now_us = next;
    look_at_time();
    return true;
}

static int draw_ready(void) {
    int ready[MOST_COROUTINES], found = 0;
    for (int i = 0; i < count; i++)
        if (coroutines[i].state == READY && moves(&coroutines[i])) ready[found++] = i;
    return found ? ready[random_below(&draws, (uint64_t)found)] : -1;
}

/* Somebody goes on, perhaps the same. */
static void switch_over(void) {
    if (options.creep_us) {
        now_us += (int64_t)random_below(&draws, (uint64_t)options.creep_us + 1);
        look_at_time();
    }
    int next;
    while ((next = draw_ready()) < 0)
        if (!jump_in_time()) {
            trace_line("nobody can go on");
            go_outside(RUN_STUCK);
        }
    trace_number((uint64_t)next);
    go_to(next);
}

static void point(void) {
    if (++points == options.crash_at) {
        trace_line("crash");
        go_outside(RUN_CRASHED);
    }
    if (points == options.thaw_at && frozen_crew) {
        trace_line("those who were frozen go on");
        thawed = true;
        look_at_time();
    }
    if (may_freeze && options.freeze_at && points >= options.freeze_at && !frozen_crew) {
        trace_line("all of them are frozen");
        frozen_crew = crew;
        go_outside(RUN_FROZEN);
    }
    if (points == options.pause_at) {
        now_us += options.pause_us;
        trace_line("stood still for %lld s", (long long)(options.pause_us / 1000000));
        options.paused();
        look_at_time();
    }
    if (points > options.most_points) {
        trace_line("no end is in sight");
        go_outside(RUN_STUCK);
    }
}

static void maybe_switch(void) {
    point();
    if (random_next(&draws) % options.switch_every == 0) switch_over();
}

static void block(State state, const void *what, int64_t until) {
    Coroutine *me = &coroutines[current];
    me->state = state;
    me->what = what;
    me->until_us = until;
    point();
    switch_over();
}

static void wake_those(State state, const void *what) {
    for (int i = 0; i < count; i++)
        if (coroutines[i].state == state && coroutines[i].what == what) coroutines[i].state = READY;
}

/* ---- the hooks ---- */

static void take(Mutex *m) {
    while (m->held) block(LOCKING, m, -1);
    m->held = true;
}

static void hook_lock(Mutex *m) {
    if (current < 0) return;
    maybe_switch();
    take(m);
}

static void hook_unlock(Mutex *m) {
    if (current < 0) return;
    m->held = false;
    wake_those(LOCKING, m);
    maybe_switch();
}

/* Now and then somebody wakes for no reason, as POSIX allows. */
static bool hook_wait(Cond *c, Mutex *m, int64_t us) {
    m->held = false;
    wake_those(LOCKING, m);
    Coroutine *me = &coroutines[current];
    me->signalled = false;
    bool idly = random_next(&draws) % 64 == 0;
    int64_t until = us < 0 ? -1 : now_us + us;
    if (idly) {
        switch_over();
        me->signalled = true;
    } else {
        block(WAITING, c, until);
    }
    take(m);
    return me->signalled;
}

static void hook_wake(Cond *c, bool all) {
    if (current < 0) return;
    int waiting[MOST_COROUTINES], found = 0;
    for (int i = 0; i < count; i++)
        if (coroutines[i].state == WAITING && coroutines[i].what == c) waiting[found++] = i;
    if (found && !all) {
        waiting[0] = waiting[random_below(&draws, (uint64_t)found)];
        found = 1;
    }
    for (int i = 0; i < found; i++) {
        coroutines[waiting[i]].state = READY;
        coroutines[waiting[i]].signalled = true;
    }
    maybe_switch();
}

static void begin(void) {
    Coroutine *me = &coroutines[current];
    arrive(NULL);
    (void)me->body(me->argument);
    if (me->first && !schedule_zombie()) go_outside(RUN_DONE);
    me->state = OVER;
    wake_those(JOINING, me);
    if (me->first) schedule_bury();
    switch_over();
    abort();
}

static Coroutine *free_one(void) {
    for (int i = 0; i < count; i++)
        if (!coroutines[i].crew) return &coroutines[i];
    if (count == MOST_COROUTINES) abort();
    return &coroutines[count++];
}

static void give_stack(Coroutine *c) {
    if (!c->stack)
        c->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->stack == MAP_FAILED) abort();
}

static void prepare(Coroutine *c) {
    getcontext(&c->context);
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&c->context, begin, 0);
}

static Coroutine *make(void *(*body)(void *), void *argument, int of_crew) {
    Coroutine *c = free_one();
    give_stack(c);
    *c = (Coroutine){
        .stack = c->stack, .body = body, .argument = argument, .state = READY, .crew = of_crew};
    prepare(c);
    return c;
}

static void *hook_start(void *(*body)(void *), void *argument) {
    Coroutine *made = make(body, argument, coroutines[current].crew);
    maybe_switch();
    return made;
}

static void hook_join(void *thread) {
    const Coroutine *of = thread;
    while (of->state != OVER) block(JOINING, of, -1);
}

static void hook_sleep(int64_t us) { block(SLEEPING, NULL, now_us + (us > 0 ? us : 0)); }

RunEnd schedule_run(const ScheduleOptions *given, void *(*body)(void *), void *context) {
    static const ThreadHooks hooks = {.lock = hook_lock,
                                      .unlock = hook_unlock,
                                      .wait = hook_wait,
                                      .wake = hook_wake,
                                      .start = hook_start,
                                      .join = hook_join,
                                      .sleep = hook_sleep};
    thread_simulate(&hooks);
    options = *given;
    random_seed(&draws, options.seed);
    points = 0;
    if (crew && crew != frozen_crew) end_crew(crew);
    crew++;
    may_freeze = false;
    Coroutine *first = make(body, context, crew);
    first->first = true;
    current = (int)(first - coroutines);
    void *fake = NULL;
    leave(&fake, first->stack, STACK_BYTES);
    swapcontext(&outside, &first->context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    return end;
}
