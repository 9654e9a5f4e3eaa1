/* What `leat generate` sent, for `leat verify`. Any event can be made again from its number
 * (connector/generator/events.h), so a ledger holds the simulator's settings and how far it came,
 * and is a few hundred bytes for any number of events. */
#pragma once
#include "cli/measure.h"
#include "connector/generator/events.h"
#include <stdio.h>

enum { LEDGER_SEGMENTS = 64 };

typedef struct Ledger {
    EventSpec spec;
    Segment segments[LEDGER_SEGMENTS]; /* one, but for a generator table that was restarted */
    int segment_count;
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
/* The same for a generator table of a pipeline file, as far as its home has committed. Returns an
 * exit status; a message stands in *error unless it was told. */
int ledger_of_table(const char *file, const char *table, Ledger *, Error *);
/* The event of that number, without its fields; returns when it is due. */
int64_t ledger_event(const Ledger *, int64_t number, Event *out);
