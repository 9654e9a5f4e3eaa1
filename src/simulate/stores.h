/* What sinks of the simulation write to. A file keeps what was synced and perhaps some of the rest.
 * A topic takes rows, marker and positions of one transaction together or not at all; who began
 * last fences all others; what nobody joins for a week it forgets. */
#pragma once
#include "simulate/scenario.h"
#include "sql/plan.h"

/* Rows that may have left twice: those of records between the two. */
typedef struct Twice {
    int64_t from[MOST_SOURCES][MOST_PARTITIONS], to[MOST_SOURCES][MOST_PARTITIONS];
} Twice;

typedef struct OutSink {
    Buffer bytes;
    size_t synced; /* by length */
    /* exactly once */
    SinkMarker marker;                                /* generation 0: there is none */
    uint64_t run;                                     /* that wrote it */
    int64_t last_epoch;                               /* of a row that stands there */
    int64_t positions[MOST_SOURCES][MOST_PARTITIONS]; /* NO_POSITION: none */
    int64_t begun_at[MOST_SOURCES][MOST_PARTITIONS]; /* where it went on when they were forgotten */
    int producer;                                    /* the last that began; others are fenced */
    bool open;                                       /* it has a transaction */
    Twice twice[MOST_ROUNDS];
    int twice_count;
} OutSink;

extern const SinkType store_type;
SinkWay store_way(const Options *);
bool store_keeps_positions(const Options *sink, const Options *source);
/* How far that sink has the rows of a partition. */
int64_t store_reached(const OutSink *, int source, int partition);
/* Nothing has written for a week: markers and positions are gone. `home`: where the home stands. */
void stores_forget(const char *home);
void stores_time_out(void); /* transactions that are open were so for too long */
