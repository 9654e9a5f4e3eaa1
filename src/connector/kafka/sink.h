/* What the files of the Kafka sink share: sink.c (the verbs, rows as bytes, at least once),
 * producer.c (the producer, rows on their way, reports), marker.c (what stands outside, trouble),
 * transaction.c (exactly once: transactions, rows that are refused) and tail.c (a marker that is
 * gone). */
#pragma once
#include "connector/kafka/kafka.h"

enum {
    SLICE_MS = 500,      /* between two looks at `stopping` */
    PATIENCE_MS = 10000, /* then the sink says what it waits for */
    COMMIT_MS = 30000,   /* then a commit without an answer is given up, and the marker asked */
};

/* Of each row, as text its epoch; of some, as tail.c needs them, the sink's group. */
#define EPOCH_HEADER "leat-epoch"
#define SINK_HEADER "leat-sink"

/* Rows that a broker gave back, each by where it stands in the bytes that it came from. */
typedef struct BadRow {
    size_t at;
    rd_kafka_resp_err_t code;
} BadRow;
typedef struct BadRows {
    BadRow *rows;
    size_t count, room;
} BadRows;

/* Rows that came back, to be sent again together. */
typedef struct BackGroup {
    Buffer rows;
    size_t done; /* bytes that are sent again */
} BackGroup;

typedef struct KafkaSink {
    Sink sink;
    SinkContext context;
    KafkaClient client;
    const char *topic;
    char *what;  /* "sink NAME", for messages */
    char *group; /* leat.HOME_ID.SINK: of the marker; also the transactional id */
    char run[17];
    char *known;              /* the marker's words as this run first found them; NULL: not yet */
    bool looked;              /* the topic was seen there */
    bool client_looked;       /* by this producer */
    int64_t missing_since_us; /* it was not there; 0: not known */
    int batch_bytes;          /* most of a batch; 0: the client's own limit */
    int batch_rows;           /* likewise */
    BadRows bad;              /* of reports since it was emptied */
    Buffer back;              /* at least once: the rows of `bad` themselves */
    Buffer scratch;           /* the engine's, for encode() */
    _Atomic bool stopping;

    /* exactly once */
    bool begun;           /* the producer may begin transactions */
    bool open;            /* one is begun */
    bool spoiled, gap;    /* rows came back in the last one; the broker misses their numbers */
    bool unsure;          /* something may stand outside that marker_* do not say */
    bool absent;          /* there was no marker when it was read */
    bool ours;            /* the marker is of this run */
    int64_t marked_at_us; /* monotonic; when this run wrote it last */
    SinkMarker marker;    /* as it stands outside */
    SinkMarker next;      /* of what was sent and is to be committed */
    rd_kafka_topic_partition_list_t *positions; /* by position: those that stand outside */
    rd_kafka_topic_partition_list_t *next_positions;
    SinkMarker refused_of;
    int refused_run;    /* rows refused one after the other while they are looked for */
    size_t taken_bytes; /* of the largest group that was taken while refused rows were looked for */
    BadRows refused;    /* of the rows that are being sent; in their order */
    char epoch_text[24];
    int epoch_size;
    uint64_t named; /* rows of this transaction that were produced */
    bool last;      /* the one that is produced now is the last of those that are to be sent */
    SinkSource *sources;

    /* at least once */
    Buffer lost; /* rows that were given up for a reason that may pass */
    rd_kafka_resp_err_t lost_code;
    size_t written;    /* of the bytes that write() is called with until it says OK */
    BackGroup *groups; /* the last one first */
    int group_count, group_room;
    bool dropping;     /* the producer is thrown away, and its rows with it */
    bool split, alone; /* since all was settled: rows came back together; one came back alone */
} KafkaSink;

/* ---- producer.c ---- */
CHECKED Status kafka_make_producer(KafkaSink *, Error *);
void kafka_drop_producer(KafkaSink *); /* when it returns nothing looks at the rows any more */
/* Once a producer: the topic must be there; and rows need not wait for a first look of the client's
 * own, which takes a second. */
CHECKED Status kafka_look_at_topic(KafkaSink *, Error *);
/* Errors that stay whatever is tried: of one row alone; of all. */
bool kafka_refuses_row(rd_kafka_resp_err_t);
bool kafka_never(rd_kafka_resp_err_t);
/* A row as write() and deliver() get it. False: the bytes are damaged or over. */
bool kafka_next_row(Reader *, Str *key, Str *value);
/* One row into the producer's queue. Exactly once its bytes stay where they are until it is
 * acknowledged, and `at` says where that is. AGAIN: no room for long, or stopping; REJECT: it is
 * larger than a row may be. */
CHECKED Status kafka_produce_row(KafkaSink *, Str key, Str value, size_t at, Error *);
/* Rows came back that are taken in smaller batches, such as one of taken_bytes (0: not known): a
 * new producer is to be made. */
void kafka_smaller_batches(KafkaSink *, int taken_bytes);
void kafka_bad_add(BadRows *, size_t at, rd_kafka_resp_err_t);
/* The row becomes a dead letter. FAIL: nobody keeps them. */
CHECKED Status kafka_refuse(KafkaSink *, Str key, Str value, rd_kafka_resp_err_t, Error *);
/* What reports said of all rows but those in k->bad: OK, AGAIN, FAIL. */
CHECKED Status kafka_check_reports(KafkaSink *, Error *);

/* ---- marker.c ---- */
/* Where there is no producer: makes one, ends what an earlier one left open, reads the marker. */
CHECKED Status kafka_begin(KafkaSink *, Error *);
/* After an error of a transaction: the producer is gone; AGAIN, or FAIL for what never can work.
 * With k->gap it is still there, and the same is to be tried again. */
CHECKED Status kafka_transaction_failed(KafkaSink *, rd_kafka_error_t *, const char *verb, Error *);
/* Waits for a call that goes on where it was when it is made again. */
rd_kafka_error_t *kafka_insist(KafkaSink *, rd_kafka_error_t *(*call)(rd_kafka_t *, int),
                               int most_ms);
void kafka_add_offset(rd_kafka_topic_partition_list_t *, const char *topic, int partition,
                      int64_t offset, const char *metadata);
Status kafka_sink_marker(Sink *, int64_t *epoch, int64_t *generation, Error *);
Status kafka_sink_positions(Sink *, SinkMarker *, SinkPosition **, int *count, Error *);

/* ---- transaction.c ---- */
Status kafka_sink_send(Sink *, const Delivery *, Error *);
Status kafka_sink_commit(Sink *, Error *);
Status kafka_sink_idle(Sink *, int64_t *next_us, Error *);
void kafka_transaction_close(KafkaSink *);

/* ---- tail.c ---- */
/* The last epoch of this sink of which a row stands in its topic; 0: none. */
CHECKED Status kafka_read_back(KafkaSink *, int64_t *epoch, Error *);
