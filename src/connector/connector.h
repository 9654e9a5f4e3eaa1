/* Connectors: what is outside. A folder exports one Connector; registry.c lists them; an option row
 * drives parsing, errors, explain's defaults and docs/options.md. */
#pragma once
#include "base/env.h"
#include "data/schema.h"
#include "format/format.h"

typedef enum OptionType {
    OPTION_TEXT,
    OPTION_INT,
    OPTION_NUMBER,
    OPTION_BOOL,
    OPTION_INTERVAL, /* microseconds */
    OPTION_SIZE,     /* bytes: '64 MB', '1 GB', plain number */
    OPTION_ENUM,
    OPTION_TIME, /* microseconds since 1970 */
} OptionType;

/* Option.flags */
enum {
    OPTION_REQUIRED = 1,
    OPTION_ANSWER = 2, /* changes answers: part of a query's hash */
    OPTION_SECRET = 4, /* never shown */
    OPTION_SOURCE = 8,
    OPTION_SINK = 16,
    OPTION_REFERENCE = 32, /* where it makes sense; elsewhere refused */
    OPTION_LATER = 64,     /* known, refused by name: comes with a later version */
};

typedef struct Option {
    const char *name;
    OptionType type;
    const char *default_text;   /* NULL: none */
    const char *const *choices; /* OPTION_ENUM, NULL-ended; one behind a '-' is known and refused:
                                   it comes with a later version */
    const char *unit, *help;
    int flags;
} Option;

typedef struct OptionValue {
    const Option *option; /* NULL: a property handed through under its own name (Kafka) */
    const char *name;
    const char *text; /* after ${} */
    const char *raw;  /* as written, for showing */
    bool given;
    union {
        int64_t integer; /* INT, BOOL, INTERVAL, SIZE, TIME, ENUM (index into choices) */
        double number;
    };
    int line, place;
} OptionValue;

typedef struct Options {
    int count;
    OptionValue *values;
} Options;

const OptionValue *option_find(const Options *,
                               const char *name); /* NULL: neither given nor default */
int64_t option_int(const Options *, const char *name, int64_t otherwise);
bool option_bool(const Options *, const char *name, bool otherwise);
const char *option_text(const Options *, const char *name, const char *otherwise);
double option_number(const Options *, const char *name, double otherwise);
/* Parses one value by its row: REJECT with a message that names what was expected. */
CHECKED Status option_parse(const Option *, const char *text, OptionValue *out, Error *);
/* The options of LANGUAGE.md 4 "Common" and sinks' common ones, empty-row ended. */
extern const Option common_options[];

/* ---- sources ---- */

typedef struct SourceContext {
    Env *env;
    const char *table;    /* its name, for messages */
    const char *pipeline; /* default group.id */
    const Format *format;
    const Options *options;
    size_t chunk_bytes; /* about how large chunks should be */
    int chunk_rows;     /* most records a chunk (tests), 0: no limit */
    /* Small facts that a source keeps in the home (generator: start, seed, segments). get: NULL
     * when not there. set is committed before the events that depend on it. May be NULL (ad hoc
     * runs). */
    const char *(*get)(void *home, const char *name);
    Status (*set)(void *home, const char *name, const char *value, Error *);
    void *home;
} SourceContext;

typedef struct Source Source; /* each connector's own struct begins with this */
typedef struct SourceType {
    bool bounded_possible; /* its partitions can end */
    CHECKED Status (*open)(const SourceContext *, Source **out, Error *);
    /* How many partitions are known now (may grow; looked at again by the reading thread about once
     * a second). Contacts the outside: AGAIN with *error filled when it is away (will be tried
     * again), FAIL when it is wrong (no such topic). */
    CHECKED Status (*partitions)(Source *, int *count, Error *);
    /* A stable name of a partition for the home: "3" for Kafka, the file's path for files. */
    const char *(*partition_name)(Source *, int partition);
    /* What people call it; NULL: by its name. */
    const char *(*partition_title)(Source *, int partition);
    /* Asked after `partitions` of each that has ended, and of each just after its first seek:
     * whether it stands for something new (a followed file in the place of one that is gone), whose
     * time begins anew; says so once. May be NULL. */
    bool (*anew)(Source *, int partition);
    /* Begin partition at `position` (what `end` of the last committed chunk was), or at its start
     * when NO_POSITION. */
    CHECKED Status (*seek)(Source *, int partition, int64_t position, Error *);
    /* The next chunk of that partition, without waiting. OK and *out; AGAIN: nothing now, *at_end
     * says whether it stood at its end (false: broker away or not asked yet); END: it is over;
     * FAIL. */
    CHECKED Status (*next)(Source *, int partition, Chunk **out, bool *at_end, Error *);
    /* Waits until something may have come, at most timeout_us. NULL: the source never waits
     * (files). */
    void (*wait)(Source *, int64_t timeout_us);
    /* The csv header line of a partition's file, or empty. NULL: formats have no headers here. */
    Str (*header)(Source *, int partition);
    /* For monitoring only: positions up to which the home has committed. May be NULL. */
    void (*committed)(Source *, int partition, int64_t position);
    /* Records (Kafka) or bytes (file) between `position` and the partition's end; -1: unknown. May
     * be NULL. */
    int64_t (*lag)(Source *, int partition, int64_t position);
    /* Records that were deleted outside before they were read, over all runs. May be NULL. */
    int64_t (*lost)(Source *);
    void (*close)(Source *);
} SourceType;
#define NO_POSITION INT64_MIN

struct Source {
    const SourceType *type;
    bool bounded;    /* its partitions end */
    bool news;       /* there are new partitions: the reader lists them at once */
    int64_t wait_us; /* how long the reader may wait for news; 0: 20 ms */
};

/* ---- sinks ---- */

/* A source whose positions a sink by position keeps beside its rows. */
typedef struct SinkSource {
    const char *table;
    const Options *options;
} SinkSource;

typedef enum SinkWay {
    SINK_BY_LENGTH, /* a file: written at once, synced at the epoch's close, cut back at recovery */
    SINK_BY_OUTBOX, /* blobs kept in the home, delivered after the commit with a marker */
    SINK_AT_ONCE,   /* at least once: standard output, delivery = 'at_least_once' */
    SINK_BY_POSITION, /* written at once, in transactions that hold how far the sources were read */
} SinkWay;

typedef struct SinkContext {
    Env *env;
    const char *table, *pipeline;
    const char *home_id; /* of the home; "" for ad hoc runs */
    int64_t generation;
    const Schema *schema; /* the rows' names and types */
    const int *keys;
    int key_count; /* columns of the PRIMARY KEY or `key` option; none: 0 */
    bool exactly_once;
    const Options *options;
    /* BY_POSITION instead of what the options alone say; then the sources that feed it. */
    bool by_position;
    const SinkSource *sources;
    int source_count;
    /* BY_OUTBOX, at open: the last epoch that the home knows as delivered (0: none), and whether
     * the outbox holds epochs of earlier runs, which may have been delivered without the home's
     * knowing. A sink whose marker is gone looks among its rows for it then. */
    int64_t delivered;
    bool owed;
    int64_t renew_us; /* how often a marker is renewed; 0: daily (tests) */
    /* Within write, sync or send: the far side will never take this row. `record` is the row as
     * people should see it. It becomes a dead letter, and the sink goes on without it: what was
     * told in a send is in the home before commit is called (and forgotten when send says AGAIN).
     * NULL: nobody keeps them, so it is an error. */
    void (*refuse)(void *refuse_to, Str record, const char *reason);
    void *refuse_to;
} SinkContext;

/* How far a source's partition was read: every row of records before `position` stands outside. */
typedef struct SinkPosition {
    int source;    /* index in SinkContext.sources */
    int partition; /* as the source counts them */
    int64_t position;
} SinkPosition;

/* What goes out in one transaction, with its marker. */
typedef struct Delivery {
    int64_t
        epoch; /* BY_OUTBOX: of the rows; BY_POSITION: the last one that the home had committed */
    int64_t number;                /* BY_POSITION: of the transaction, from 1 on; else 0 */
    Str rows;                      /* as encode made them; may be empty by position */
    const SinkPosition *positions; /* BY_POSITION: those that moved */
    int position_count;
} Delivery;

typedef struct SinkMarker {
    int64_t generation, epoch, number; /* of the last Delivery that was committed; all 0: none */
} SinkMarker;

typedef struct Sink Sink;
/* All calls come from the sink's own thread and may block, but for stop(). Bytes are what `encode`
 * made. */
typedef struct SinkType {
    CHECKED Status (*open)(const SinkContext *, Sink **out, Error *);
    /* Appends a batch's rows to an epoch's blob (called by the engine thread; no I/O). */
    void (*encode)(Sink *, const Batch *, Buffer *out);
    /* The same for one row: tables with a PRIMARY KEY, of which one write a key and epoch leaves.
     * NULL: such tables are not possible, or every row is to be kept. */
    void (*encode_row)(Sink *, const Batch *, int row, Buffer *out);
    /* Appends one record as it is, whatever it holds (`leat generate`: a broken record must arrive
     * broken). NULL: not possible. */
    void (*encode_record)(Sink *, Str record, Buffer *out);
    /* BY_LENGTH, first start only, before the home claims the thing outside: FAIL when it exists
     * already and is not to be overwritten. Changes nothing. */
    CHECKED Status (*check)(Sink *, Error *);
    /* BY_LENGTH: make the thing outside be exactly `length` long; `known`: this home has written it
     * before (else it is made anew, check has passed). Missing with length 0 is made. FAIL: shorter
     * than that; names the remedy. */
    CHECKED Status (*recover)(Sink *, bool known, int64_t length, Error *);
    /* BY_LENGTH, AT_ONCE: write these bytes now. AGAIN: away, try again later. FAIL. */
    CHECKED Status (*write)(Sink *, Str bytes, Error *);
    /* BY_LENGTH: everything written is on disk; *length is its size. AT_ONCE: everything is
     * acknowledged. */
    CHECKED Status (*sync)(Sink *, int64_t *length, Error *);
    /* BY_OUTBOX: the last epoch whose marker stands outside for our home (0: none), and its
     * generation. */
    CHECKED Status (*marker)(Sink *, int64_t *epoch, int64_t *generation, Error *);
    /* BY_OUTBOX: deliver one epoch's blob together with its marker. OK; AGAIN: away, try again;
     * FAIL: stop (fenced by another). */
    CHECKED Status (*deliver)(Sink *, int64_t epoch, Str blob, Error *);
    /* BY_OUTBOX instead of deliver when rows may be refused, and BY_POSITION: the same in two
     * steps. send: every row is outside and known to be taken or refused, but no reader sees it
     * yet. END: this delivery stands there already, marker and all. AGAIN: begin it anew. commit:
     * shows what was sent last, together with the marker (generation, epoch, number) and the
     * positions. AGAIN: perhaps it is there, perhaps not; send the same again, which finds out.
     * FAIL as in deliver. */
    CHECKED Status (*send)(Sink *, const Delivery *, Error *);
    CHECKED Status (*commit)(Sink *, Error *);
    /* BY_POSITION, before the first send: ends what an earlier process left open, then tells what
     * stands outside: the marker, and the positions, an array for the caller to free. */
    CHECKED Status (*positions)(Sink *, SinkMarker *, SinkPosition **, int *count, Error *);
    /* BY_OUTBOX, BY_POSITION: nothing is to be sent now: called when the marker has been compared,
     * then whenever *next_us have passed without a commit. Renews the marker, which the far side
     * forgets when it is not written for days. *next_us is set by OK alone. AGAIN: away, try again;
     * FAIL as in deliver. NULL: nothing is forgotten there. */
    CHECKED Status (*idle)(Sink *, int64_t *next_us, Error *);
    void (*stop)(Sink *); /* from another thread: make a blocking call return soon with AGAIN */
    void (*close)(Sink *);
} SinkType;

struct Sink {
    const SinkType *type;
    SinkWay way;
};

typedef struct Connector {
    const char *name, *help;
    const Option *options; /* its own, beside common_options; empty-row ended */
    bool properties;       /* other names in double quotes are handed through (Kafka) */
    /* Of such a property: OPTION_SOURCE, OPTION_SINK or both. Needed with `properties`. */
    int (*property_uses)(const char *name);
    /* Why such a property does nothing here, though it harms nobody; NULL: it does something. */
    const char *(*property_idle)(const char *name);
    const SourceType *source; /* NULL: not possible */
    const SinkType *sink;
    bool reference; /* may be joined as a reference table: read whole through `source` */
    /* Which way a sink with these options would be served; for explain. */
    SinkWay (*sink_way)(const Options *);
    /* Whether what a sink writes and what another table of this connector reads (`written`: writes)
     * is the same thing under two names; looks outside, changes nothing. NULL: never. */
    bool (*shares)(const Options *sink, const Options *other, bool written);
    /* Of a sink by outbox: whether a transaction of it can keep the positions of that source (of
     * the same connector), so that it may be served by position. NULL: never. */
    bool (*keeps_positions)(const Options *sink, const Options *source);
    /* Checks options against one another without contacting anything. May be NULL. Error
     * line/column may stay 0. */
    CHECKED Status (*check)(const Options *, bool as_source, bool as_sink, bool has_key, Error *);
} Connector;

const Connector *connector_find(const char *name);
const Connector *connector_at(int index); /* NULL past the end */
/* Names that exist in the plan for later versions, for "comes later" errors: postgres, cassandra,
 * redis, http, mqtt, amqp, blob. */
bool connector_is_later(const char *name);
