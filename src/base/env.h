/* Env is all of the outside that the engine may see: clock, random numbers, faults. Tests put their
 * own in place; nothing below main() calls the system's clock or random source directly. */
#pragma once
#include "base/status.h"

typedef struct Env Env;
struct Env {
    int64_t (*now_us)(Env *);       /* wall clock, microseconds since 1970-01-01 UTC */
    int64_t (*monotonic_us)(Env *); /* for durations */
    void (*random_bytes)(Env *, void *to, size_t size);
    /* Called at each named fault point; a test may end the process or make it return false there,
     * which the caller takes as a failure of the thing it was about to do. */
    bool (*fault)(Env *, const char *point);
    void *context;
};

Env *env_system(void); /* the real one, static */

/* A clock that stands still until set, and numbers from a seed: for tests and `leat test`. */
typedef struct FakeEnv {
    Env env;
    int64_t clock_us;
    uint64_t seed;
} FakeEnv;
void fake_env_init(FakeEnv *, int64_t clock_us, uint64_t seed);
