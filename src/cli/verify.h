/* The verifier's parts: verify.c is the verb, verify_options.c reads what is wanted, verify_rows.c
 * and verify_csv.c read what arrived, judge.c compares rows with
 * events, verify_account.c looks for the rest, verify_tell.c tells the
 * result. */
#pragma once
#include "cli/ledger.h"
#include "cli/measure.h"
#include "format/format.h"

enum { LEDGERS_MOST = 16, INPUTS_MOST = 64, EXAMPLES = 5 };

/* What can be wrong, and is counted. */
typedef enum Wrong {
    WRONG_MISSING,
    WRONG_UNEXPECTED,
    WRONG_DUPLICATED,
    WRONG_CHANGED,
    WRONG_COPIES,
    WRONG_ORDER,
    WRONG_BACKWARDS,
    WRONG_UNACCOUNTED,
    WRONGS
} Wrong;
extern const char *const wrong_names[WRONGS];

/* Columns of a row: what an event has, then the times that were added on its way; COLUMN_OTHER:
 * neither; from COLUMN_FIELDS on: members of complexData that stand on their own. */
typedef enum EventColumn {
    COLUMN_ID,
    COLUMN_VALUE,
    COLUMN_DEVICE,
    COLUMN_SEQUENCE,
    COLUMN_TYPE,
    COLUMN_CREATED,
    COLUMN_COMPLEX,
    EVENT_COLUMNS,
    COLUMN_ENQUEUED = EVENT_COLUMNS,
    COLUMN_PROCESSED,
    COLUMN_STORED,
    COLUMN_OTHER,
    COLUMN_FIELDS
} EventColumn;
extern const char *const column_names[COLUMN_OTHER];

/* Moments of an event's way; STAGE_SENT is what the ledger plans, which is createdAt but for
 * disorder and lateness that the simulator made on purpose. */
typedef enum Stage {
    STAGE_SENT,
    STAGE_CREATED,
    STAGE_ENQUEUED,
    STAGE_PROCESSED,
    STAGE_STORED,
    STAGES
} Stage;
extern const char *const stage_names[STAGES];

/* Why an event need not arrive. */
typedef enum Explained { EXPLAINED_NOT, EXPLAINED_LATE, EXPLAINED_DEAD, EXPLANATIONS } Explained;

typedef struct Sent { /* one run of leat generate */
    Ledger ledger;
    uint8_t *seen; /* per event: rows that arrived, up to 255 */
    int64_t capacity,
        beyond;         /* beyond: events behind the ledger's end that arrived (of a killed run) */
    int64_t uncounted;  /* rows of events of which 255 had come */
    uint8_t *explained; /* per event an Explained; NULL: none is */
    uint32_t **newest;  /* per partition and device: greatest sequence number that came, plus 1 */
    int partition_count;
    int64_t device_count; /* that can have come */
} Sent;

enum { KEYS_KNOWN = 64 };

typedef struct Verdict {
    Sent sents[LEDGERS_MOST];
    int sent_count;
    const char *columns[COLUMN_OTHER];    /* how the rows call them */
    bool deduplicated;                    /* a copy that was sent may not arrive */
    bool whole;                           /* a row has all of its event and nothing else */
    bool texts;                           /* the rows at hand have numbers and objects as texts */
    bool row_compared[COLUMN_OTHER + 1];  /* it stood in some row */
    int64_t events, copies, broken, late; /* sent */
    int64_t rows, broken_rows, missing_late, missing_copies; /* arrived, or not */
    int64_t cut, unreadable; /* sent cut short; arrived, and no JSON */
    int64_t ordered;         /* rows whose order is known */
    int64_t wrong[WRONGS];
    char examples[WRONGS][EXAMPLES][160];
    Rate arrivals;
    Latency legs[STAGES][STAGES];              /* from, to */
    int64_t first_us[STAGES], last_us[STAGES]; /* of the rows */
    int64_t stage_rows[STAGES];
    Stage last_stage;
    int64_t explained[EXPLANATIONS]; /* events of which nothing arrived, and why */
    char explained_ids[EXPLANATIONS][EXAMPLES][37];
    int64_t devices_spread; /* devices whose events came in several partitions */
    Event *event;
    Buffer text;
    Arena *arena;            /* for one row */
    Buffer keys[KEYS_KNOWN]; /* as the last row had them, in order, and which columns they are */
    int key_columns[KEYS_KNOWN];
} Verdict;

/* A row of that partition, -1: its place says nothing of when it came; timestamp_us: of the record
 * that it came in, or NO_TIME. */
void judge_row(Verdict *, Str row, int partition, int64_t timestamp_us);
/* After all rows: what is missing, and what came more often than it was sent. */
void judge_end(Verdict *);
void judge_free(Verdict *);

typedef enum Percentile { P50, P95, P99, P100, PERCENTILES } Percentile;
extern const char *const percentile_names[PERCENTILES];
extern const double percentile_shares[PERCENTILES];

typedef enum AccountKind {
    ACCOUNT_FILTERED,
    ACCOUNT_DEDUPLICATED,
    ACCOUNT_LATE,
    ACCOUNT_DEAD,
    ACCOUNT_KINDS
} AccountKind;

typedef struct Account {
    const char *of;    /* FILE.sql:QUERY; NULL: none is asked for */
    const char *query; /* a part of `of` */
    int64_t taken;     /* records that its sources took in */
    int64_t counts[ACCOUNT_KINDS];
    int64_t not_kept; /* late rows and dead letters that the home does not hold any more */
    int64_t excused;  /* events that are missing and may be filtered or among those */
} Account;

typedef struct Verify {
    const char *inputs[INPUTS_MOST];
    int input_count;
    const char *ledgers[LEDGERS_MOST];
    int64_t limits[WRONGS];          /* -1: none */
    double percents[WRONGS];         /* the limit as a share of what was sent; -1: none */
    int64_t latency_us[PERCENTILES]; /* limits, -1: none */
    double least_rate;               /* events a second, -1: none */
    bool least_rate_percent;         /* of what was offered */
    int64_t warm_up_us;
    bool json;
    Rate offered;
    Minutes minutes, offered_minutes;
    double offered_rate; /* by plan; 0: as fast as possible */
    int partitions;      /* of the inputs read so far */
    Account account;
    Verdict verdict;
} Verify;

/* OK; END: help was shown; FAIL: a usage error was told. */
CHECKED Status verify_arguments(int argc, char **argv, Verify *);
/* Rows of CSV, whose cells are all texts. */
typedef struct CsvRows CsvRows;
CsvRows *csv_rows_new(char delimiter);
void csv_rows_free(CsvRows **);
/* Judges the rows of a chunk; `header`: the line that names its columns. */
CHECKED Status csv_rows_judge(CsvRows *, Verdict *, const Chunk *, Str header, int partition,
                              Error *);
/* Judges the rows of all inputs. Returns an exit status; says itself what is wrong. */
int verify_read(Verify *);
/* Reads what the home says of the query. Returns an exit status; says itself what is wrong. */
int account_read(Verify *);
/* After judge_end: what is missing or does not add up in the end. */
void account_settle(Verify *);
/* Asked to stop by Ctrl-C. */
bool verify_stopped(void);

/* What is judged: all limits are kept. */
bool verify_ok(const Verify *);
void tell_people(Verify *);
void tell_machines(Verify *);
