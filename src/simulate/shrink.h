/* Seeds in processes of their own, and making a failing one small. */
#pragma once
#include "simulate/play.h"
#include <sys/types.h>

typedef struct Playing {
    uint64_t seed;
    pid_t process;
    Verdict *shared;
} Playing;

bool player_open(void); /* makes the folder for lock files */
void player_close(void);
void player_start(Playing *, uint64_t seed, const Limits *);
void player_wait(Playing *, Verdict *);

/* Takes away what the failure does not need, prints what is left and how to play it. */
void shrink(uint64_t seed, const Limits *, const Verdict *);
