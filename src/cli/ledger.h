/* What `leat generate` sent, for `leat verify`. Any event can be made again from its number
 * (connector/generator/events.h), so a ledger holds the simulator's settings and how far it came,
 * and is a few hundred bytes for any number of events. */
#pragma once
#include "connector/generator/events.h"
#include <stdio.h>

typedef struct Ledger {
    EventSpec spec;
    Segment segment;
    int64_t sent; /* events 0 … sent-1, with what goes beside them */
    bool ended;   /* the run came to its end; else it was killed, and events beyond `sent` may have
                     been sent too */
} Ledger;

CHECKED Status ledger_create(const char *path, const Ledger *, FILE **out, Error *);
/* Events before `sent` are where they should be. */
CHECKED Status ledger_advance(FILE *, const char *path, int64_t sent, bool ended, Error *);
CHECKED Status ledger_read(const char *path, Ledger *, Error *);
