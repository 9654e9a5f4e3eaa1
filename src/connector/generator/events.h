/* The simulator's events (LANGUAGE.md 8): what event number n looks like depends on the seed, n and
 * its segment alone, so any event can be made at any time: a source resumes in the middle, the
 * verifier knows what was sent without a copy. */
#pragma once
#include "base/memory.h"

enum {
    EVENT_FIELDS_MOST = 1000,
    EVENT_RATE = 1000, /* events a second of event time where no rate is given */
    EVENT_LATE_US = 30 * 1000000,
};

#define EVENTS_MOST INT64_C(1000000000000000)

typedef struct EventSpec {
    uint64_t seed;
    double rate; /* 0: as fast as possible; event time then goes by EVENT_RATE */
    int64_t devices;
    int fields;
    double duplicates, bad, late; /* probabilities */
    int64_t disorder_us;
} EventSpec;

/* From event number `first` on, event time goes on from `time_us`: each restart opens one. */
typedef struct Segment {
    int64_t first, time_us;
} Segment;

int64_t segment_time(const EventSpec *, Segment,
                     int64_t number); /* when it is due, in event time */

/* Beside an event may be sent: the same bytes again, and a broken record. */
typedef enum EventKind { EVENT_ITSELF, EVENT_COPY, EVENT_BROKEN, EVENT_KINDS } EventKind;
typedef enum Broken { BROKEN_CUT, BROKEN_TYPE, BROKEN_TIME, BROKEN_KINDS } Broken;

typedef struct Event {
    int64_t number;
    char id[36];
    uint32_t value; /* stands behind "0." */
    int64_t device, sequence;
    bool co2; /* else TEMP */
    bool late;
    bool copied;
    bool broken; /* a broken record goes beside it */
    Broken broken_how;
    int64_t created_us;
    uint32_t fields[EVENT_FIELDS_MOST];
} Event;

/* Everything but the fields; event_fields fills those. */
void event_of(const EventSpec *, Segment, int64_t number, Event *out);
void event_fields(const EventSpec *, Event *);
/* Whose id this is: true and *number, and whether it is the broken record's. */
bool event_of_id(const EventSpec *, Str id, int64_t *number, bool *broken);

/* Writes events as text. Not for several threads at once. */
typedef struct EventWriter EventWriter;
EventWriter *event_writer_new(const EventSpec *);
void event_writer_free(EventWriter **);
size_t event_bytes_most(const EventWriter *); /* of one record */
/* The event's record without newline; returns its size. `to` has room for event_bytes_most(). */
size_t event_write(EventWriter *, const Event *, EventKind, char *to);
