/* What a seed plays: a pipeline, the records that come, what goes wrong, and when. */
#pragma once
#include "base/random.h"
#include "base/str.h"

enum {
    MOST_SOURCES = 2,
    MOST_PARTITIONS = 3,
    MOST_QUERIES = 6,
    MOST_EVENTS = 400,
    MOST_ROUNDS = 6,
};

typedef enum EventKind { EVENT_GOOD, EVENT_CUT, EVENT_WRONG_TYPE, EVENT_TIMELESS } EventKind;

typedef struct Event {
    EventKind kind;
    int source, partition, id, k, v;
    bool v_null;
    int64_t t;
    int64_t arrives_us; /* of the simulation's time */
    int number;         /* in the scenario, for --keep */
    int position;       /* in its partition */
    char text[120];
} Event;

typedef struct SimTable {
    bool read; /* by some query */
    int partitions;
    int64_t begins_us[MOST_PARTITIONS]; /* a partition is there from then on */
    int64_t delay_us, horizon_us;       /* horizon: of the DISTINCT ON over it */
} SimTable;

typedef enum Shape {
    SHAPE_PLAIN,
    SHAPE_FIRSTS, /* DISTINCT ON (id, window_start) of a tumble */
    SHAPE_TUMBLE,
    SHAPE_HOP,
    SHAPE_CUMULATE,
    SHAPE_SESSION,
    SHAPE_GROUPS,       /* GROUP BY without a window */
    SHAPE_OUTER_SAME,   /* of a windowed view, by its window_end */
    SHAPE_OUTER_TUMBLE, /* of a windowed view, by a wider window */
    SHAPE_JOIN,         /* of two windowed views */
    SHAPE_COPY,         /* the rows of a view */
} Shape;

typedef enum Way { WAY_VIEW, WAY_LENGTH, WAY_OUTBOX, WAY_ONCE, WAY_POSITION } Way;

typedef struct SimQuery {
    Shape shape;
    Way way;
    int sources[MOST_SOURCES], source_count; /* two: UNION ALL */
    int reads;                               /* OUTER, JOIN, COPY: the query whose view it reads */
    int right;                               /* JOIN: the other one */
    bool left;                               /* LEFT JOIN */
    bool dedup, by_key, divides, emit_final, keyed;
    enum { JOINS_NOT, JOINS_INNER, JOINS_LEFT } joins; /* PLAIN: with the reference table */
    bool refuses;                                      /* the sink takes some rows never */
    int inner_m, inner_r;                 /* WHERE v % m <> r before the window; 0: none */
    int outer_m, outer_r;                 /* behind it */
    int having;                           /* count(*) > having; 0: none */
    int64_t size_us, slide_us, offset_us; /* session: size is the gap */
    int64_t ttl_us;                       /* of groups; 0: none */
    bool out;                             /* left out by the shrinker */
} SimQuery;

typedef enum Fault {
    FAULT_CRASHES = 1,
    FAULT_DISK = 2,
    FAULT_COMMITS = 4,
    FAULT_SOURCES = 8,
    FAULT_SINKS = 16,
    FAULT_STOPS = 32,
    FAULT_SLOW = 64, /* nothing fails; things take time */
    FAULT_BATCHES = 128,
    FAULT_FORGETS = 256,  /* markers of sinks */
    FAULT_PAUSES = 512,   /* the process stands still for long */
    FAULT_ZOMBIES = 1024, /* it stands still on a copy of its disk while the next one runs */
    FAULT_RESETS = 2048,  /* of one query */
    FAULTS = 12,
    FAULT_ALL = (1 << FAULTS) - 1
} Fault;

/* One run of the engine, until it crashes, is stopped or is through. */
typedef struct Round {
    int batch_rows, workers;
    uint64_t random_rows, schedule_seed;
    int64_t epoch_rows;
    uint32_t switch_every;
    int64_t creep_us;
    int64_t crash_step;             /* at that point of the schedule; 0: no */
    const char *crash_point;        /* at that fault point; NULL: no */
    int crash_pass;                 /* when it is passed for the n-th time */
    int64_t stop_us;                /* told to stop after so long; 0: no */
    bool power;                     /* the crash is one of the machine */
    int reset;                      /* that query; -1: none */
    bool forgotten;                 /* before it begins nothing ran for a week */
    int64_t freeze_step, thaw_step; /* 0: no */
    int64_t pause_step;             /* the process stands still at that point, for minutes; 0: no */
    uint32_t disk_write_fails_of, disk_sync_fails_of, disk_full_of;
    int disk_failures;
    int64_t slow_sync_us;
    uint32_t commit_fails_of;
    uint32_t source_away_of, sink_away_of, sink_lost_of, sink_breaks_of;
    int64_t slow_sink_us, slow_list_us; /* to ask which partitions there are */
} Round;

/* What the shrinker may take away. */
typedef struct Limits {
    unsigned faults;  /* Fault bits that may happen */
    unsigned queries; /* bit set */
    int rounds;       /* with faults */
    const char *keep; /* [MOST_EVENTS] 1: this event is there; NULL: all */
} Limits;

typedef struct Scenario {
    uint64_t seed;
    bool bounded;
    bool grows;      /* partitions come while it runs; idles, too */
    bool idles;      /* partitions fall idle and come back: who is late, the clock decides */
    bool keys_split; /* each k is of one partition */
    SimTable tables[MOST_SOURCES];
    int table_count;
    SimQuery queries[MOST_QUERIES];
    int query_count;
    Event events[MOST_EVENTS]; /* in the order of their arrival in each partition */
    int event_count;
    Event *of[MOST_SOURCES][MOST_PARTITIONS][MOST_EVENTS];
    int counts[MOST_SOURCES][MOST_PARTITIONS];
    Round rounds[MOST_ROUNDS];
    int round_count; /* the last one is without faults */
    /* Found while it is played: a query that was reset has only the records from there on. */
    int64_t begins[MOST_QUERIES][MOST_SOURCES][MOST_PARTITIONS];
    int64_t refresh_us; /* of the reference table; 0: never */
    int64_t checkpoint_us, idle_us, outbox_limit, last_arrival_us, longest_us;
    Buffer sql;
} Scenario;

#define SIM_EPOCH_US INT64_C(1577836800000000) /* 2020-01-01: the events' first day */

void scenario_make(Scenario *, uint64_t seed, const Limits *);
void scenario_print(const Scenario *);
/* A query's name in the home: v3, o3. */
/* The reference table: of each key the rows that it holds, of which the last counts. */
enum { MOST_REFERENCE_ROWS = 64 };
int reference_row(int number, int *key); /* its w */
bool reference_of(int key, int *w);
const char *query_name(const Scenario *, int query);
bool query_refuses(const Scenario *, int query, Str row); /* the sink will never take it */
bool query_windowed(const Scenario *, int query);         /* rows come when a window closes */
bool query_dedups(const Scenario *, int source); /* some query reads this source's DISTINCT ON */
