/* Formats turn the bytes of records into batches and rows into bytes. A decoder belongs to one
 * thread. */
#pragma once
#include "data/batch.h"
#include "data/schema.h"
#include "expr/expr.h"

/* One record as a source hands it over. */
typedef struct Record {
    Str body;             /* body.data NULL: a null message (Kafka tombstone) */
    int64_t position;     /* offset; byte where it begins; event number */
    int64_t timestamp_us; /* broker's or file's; NO_TIME: none */
    Str key;              /* data NULL: none */
    void *handle;         /* the connector's own, for headers */
    int64_t whole_bytes;  /* > 0: longer than RECORD_MOST_BYTES; so long it was, and `body` is its
                             beginning: a dead letter */
} Record;

/* Raw records of one partition and the position after them. Either `records`, or `bytes` that the
 * format splits. Decoders read nothing behind a record, so that neither needs padding. */
typedef struct Chunk Chunk;
struct Chunk {
    int partition;
    Str bytes;       /* whole records of a byte stream, beginning at `begin` */
    Record *records; /* or NULL */
    int record_count;
    int64_t begin, end;  /* positions: of the first byte or record, and after the last */
    int64_t offset_base; /* metadata('offset') is the position less this (files read one after the
                            other); else 0 */
    Str header; /* csv: the header line of the file that `bytes` are of; `bytes` never hold it.
                   Empty: none */
    int64_t taken_us;     /* the clock when it was taken in */
    const char *topic;    /* metadata('topic'); NULL: none */
    const char *filename; /* metadata('filename'); NULL: none */
    /* JSON text of a record's headers into `out`; NULL: there are none. */
    void (*headers)(const Record *, Buffer *out);
    void (*release)(Chunk *); /* frees the chunk and its bytes */
    void *owner;              /* the connector's own */
    char place; /* json_array: where `bytes` begin: 0 at the start, ',' inside, ']' outside */
    bool last;  /* nothing comes behind the bytes */
    bool log_append_time; /* Kafka: the record timestamps are the broker's clock: max_future is
                             judged by them */
};

typedef enum DecodeKind {
    DECODE_FIELD, /* top-level key (json) or named column (csv) `name` */
    DECODE_PATH,  /* inside the object `name`: steps; as `(name #>> path)` for text, `#>` for jsonb,
                     `(#>>)::float8` for float8 */
    DECODE_TOPIC,
    DECODE_PARTITION,
    DECODE_OFFSET,
    DECODE_TIMESTAMP,
    DECODE_KEY,
    DECODE_HEADERS,
    DECODE_FILENAME,
    DECODE_COMPUTED, /* GENERATED ALWAYS AS: `expr` over the columns before it */
} DecodeKind;

typedef struct DecodeColumn {
    DecodeKind kind;
    const char *name; /* the declared spelling: the JSON key or csv header */
    Type type; /* PATH: text, jsonb or float8; a value that does not cast is VALUE_ERROR there, not
                  a bad record */
    bool not_null;     /* missing or null makes a dead letter */
    const char **path; /* PATH: steps as spelled, digits also index arrays */
    int path_count;
    Expr *expr; /* COMPUTED; column numbers are indexes into DecodeSpec.columns */
} DecodeColumn;

typedef enum OnError { ON_ERROR_DEAD_LETTER, ON_ERROR_NULL, ON_ERROR_SKIP, ON_ERROR_FAIL } OnError;

typedef struct DecodeSpec {
    const char
        *table; /* for reasons: `telemetry[3]@1021: field value: expected number, got string` */
    DecodeColumn *columns; /* all that is decoded, in the order of the batch's visible columns */
    int column_count;
    int event_time; /* index into columns, -1: none. Rows whose event time is NULL are dead letters
                     */
    OnError on_error;
    bool any_text;         /* text columns take any JSON value as its text (ad hoc queries) */
    int64_t max_future_us; /* INT64_MAX: off */
    bool csv_header;
    char csv_delimiter;
    char **csv_columns; /* declared columns in order, for files without header */
    int csv_column_count;
    int batch_rows; /* most rows a batch; 0: BATCH_ROWS. >0 with random_rows: 1…batch_rows by the
                       seed */
    uint64_t random_rows; /* 0: off */
    struct Env *env;      /* for volatile functions in computed columns */
} DecodeSpec;

typedef struct DecodeReject {
    int64_t position;
    const char *reason; /* in the decoded arena */
    Str record;         /* a view into the chunk */
    int row_before;     /* how many good rows of the chunk came before it (for order) */
} DecodeReject;

/* What one chunk became. Owns its arena; the chunk's bytes are viewed by the batches. */
typedef struct Decoded {
    Arena *arena;
    Batch **batches; /* hidden columns filled but `seen` (the engine's) */
    int batch_count;
    DecodeReject *rejects;
    int reject_count;
    int64_t records; /* all: rows + rejects + skipped */
    int64_t skipped; /* bad records under on_error = 'skip' */
    bool failed;     /* a bad record under on_error = 'fail': reason in `error` */
    Error error;
} Decoded;

typedef struct Decoder Decoder;
typedef struct Format Format;
struct Format {
    const char *name, *help;
    /* How many of the bytes are whole records: the rest is kept for the next chunk. `last`: no more
     * bytes will come, so an unended last record is a record. A csv record may hold newlines in
     * quotes. Bytes begin at a record's begin. `context`: csv: the delimiter; json_array: as
     * Chunk.place; others: any. */
    size_t (*split)(Str bytes, char context, bool last);
    /* The size of the first record with its newline; 0: it is not whole. */
    size_t (*first)(Str bytes, char context, bool last);
    /* The spec is lent for the decoder's life. */
    CHECKED Status (*decoder_new)(const DecodeSpec *, Decoder **, Error *);
    /* `header`: as Chunk.header, which is taken when this is empty. *out need not be initialised;
     * the chunk must live as long as what came out. */
    void (*decode)(Decoder *, const Chunk *, Str header, Decoded *out);
    void (*decoder_free)(Decoder **);
};
extern const Format json_format, csv_format, json_array_format;
const Format *format_find(const char *name);
const Format *format_at(int index);
void decoded_free(Decoded *);

/* Encoders: a row as one JSON object with the schema's names (no newline). */
void json_row(const Schema *, const Batch *, int row, Buffer *out);
void json_columns_row(const Schema *, const Column *columns, int row, Buffer *out);

/* As CSV (no newline). csv_plain: a value as JSON has it, without the quotes around a string; NULL
 * is nothing. */
void csv_plain(Value, Buffer *out);
void csv_cell(Value, char delimiter, Buffer *out);
void csv_row(const Schema *, const Batch *, int row, char delimiter, Buffer *out);
void csv_header(const Schema *, int columns, char delimiter, Buffer *out);

enum { RECORD_MOST_BYTES = 64 << 20 }; /* a longer record is a dead letter, its bytes cut */
