/* xoshiro256**, seeded by SplitMix64, both by Blackman and Vigna (public domain,
 * https://prng.di.unimi.it/): the generator and the tests promise the same numbers for the same
 * seed for ever, so it is spelled out here. */
#include "base/random.h"

void random_seed(Random *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        r->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t random_next(Random *r) {
    uint64_t *s = r->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire's method: multiply, and throw away the few numbers that would make some results more
 * frequent. */
uint64_t random_below(Random *r, uint64_t limit) {
    unsigned __int128 product = (unsigned __int128)random_next(r) * limit;
    if ((uint64_t)product < limit) {
        uint64_t least = -limit % limit;
        while ((uint64_t)product < least) product = (unsigned __int128)random_next(r) * limit;
    }
    return (uint64_t)(product >> 64);
}
