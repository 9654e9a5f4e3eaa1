/* What `leat generate` sent, for `leat verify`. Any event can be made again from its number
 * (connector/generator/events.h), so a ledger holds the simulator's settings and how far it came,
 * and is a few hundred bytes for any number of events. */
#pragma once
#include "cli/measure.h"
#include "connector/generator/events.h"
#include <stdio.h>

typedef struct Ledger {
    EventSpec spec;
    Segment segment;
    int64_t sent;    /* events 0 … sent-1, with what goes beside them */
    int64_t told_us; /* when the last entry was written, 0: not known */
    bool ended; /* the run came to its end; else it was killed, and events beyond `sent` may have
                   been sent too */
} Ledger;

CHECKED Status ledger_create(const char *path, const Ledger *, FILE **out, Error *);
/* Events before `sent` are where they should be, as of now_us. */
CHECKED Status ledger_advance(FILE *, const char *path, int64_t sent, int64_t now_us, bool ended,
                              Error *);
/* `offered`: when they were sent, by the clock of the run. */
CHECKED Status ledger_read(const char *path, Ledger *, Rate *offered, Error *);
