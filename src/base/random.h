/* Seeded pseudo-random numbers: SplitMix64 seeds xoshiro256** (Blackman and Vigna,
 * https://prng.di.unimi.it/). Same seed, same numbers on every machine. Not for secrets. */
#pragma once
#include <stdint.h>

typedef struct Random {
    uint64_t s[4];
} Random;

void random_seed(Random *, uint64_t seed);
uint64_t random_next(Random *);
uint64_t random_below(Random *, uint64_t limit); /* 0 … limit-1, unbiased; limit > 0 */
