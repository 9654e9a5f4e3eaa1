/* The real outside, and one for tests in which time stands still and chance comes from a seed. */
#include "base/env.h"
#include "base/fault.h"
#include "base/random.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_now_us(Env *env) {
    (void)env;
    return clock_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(Env *env) {
    (void)env;
    return clock_us(CLOCK_MONOTONIC);
}

static void system_random_bytes(Env *env, void *to, size_t size) {
    (void)env;
    char *at = to;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            perror("getrandom");
            abort();
        }
        at += got;
        size -= (size_t)got;
    }
}

static bool system_fault(Env *env, const char *point) {
    (void)env;
    return fault_pass(point);
}

static bool no_fault(Env *env, const char *point) {
    (void)env, (void)point;
    return true;
}

Env *env_system(void) {
    static Env env = {.now_us = system_now_us,
                      .monotonic_us = system_monotonic_us,
                      .random_bytes = system_random_bytes,
                      .fault = system_fault};
    return &env;
}

static int64_t fake_now_us(Env *env) { return ((FakeEnv *)env)->clock_us; }

static void fake_random_bytes(Env *env, void *to, size_t size) {
    FakeEnv *fake = (FakeEnv *)env;
    char *at = to;
    while (size > 0) {
        Random random;
        random_seed(&random, fake->seed++);
        uint64_t bits = random_next(&random);
        size_t part = size < 8 ? size : 8;
        memcpy(at, &bits, part);
        at += part;
        size -= part;
    }
}

void fake_env_init(FakeEnv *fake, int64_t clock, uint64_t seed) {
    *fake = (FakeEnv){.env = {.now_us = fake_now_us,
                              .monotonic_us = fake_now_us,
                              .random_bytes = fake_random_bytes,
                              .fault = no_fault},
                      .clock_us = clock,
                      .seed = seed};
}
