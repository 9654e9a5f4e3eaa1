/* leat test: a trial is a folder with a pipeline, a file of rows for each source, and the rows that
 * are expected. trial.c runs the pipeline over them, expect.c compares, shuffle.c disorders. */
#pragma once
#include "sql/plan.h"

typedef struct Trial {
    Arena *arena;
    const char *name;   /* for people */
    const char *folder; /* whose files are the data; the current directory while it runs */
    const char *file;   /* the pipeline, within the folder */
    Catalog *catalog;
    Plan *plan;
    const char **inputs; /* [plan->source_count]: the file that stands for the source; NULL: its own
                            path does */
    const char *work;    /* a folder of its own for the home and the sinks */
    int64_t clock_us;    /* what now() says: the data's latest event time */
    int64_t records;     /* taken in the first run */
    bool clocked;        /* the pipeline asks for the time */
} Trial;

typedef struct Way {
    bool kill;        /* end by SIGKILL after each epoch, and go on */
    uint64_t shuffle; /* seed of another order of arrival; 0: as written */
} Way;

/* Reads and plans the pipeline with files in place of what is outside. What is wrong was told. */
CHECKED Status trial_open(const char *folder, const char *file, Trial **out);
void trial_close(Trial **);
/* Runs it to its end in processes of its own; what it left is in trial->work. FAIL: *error says
 * why; the log is in WORK/log. */
CHECKED Status trial_run(Trial *, const Way *, Error *);

/* The sinks of a trial write there: a connector has no context of its own. */
extern const char *trial_sink_folder;
extern const Connector trial_sink_connector;

CHECKED Status read_file(const char *path, Buffer *out, Error *); /* all of it */

/* ---- what came out ---- */

typedef enum ResultKind { RESULT_VIEW, RESULT_SINK, RESULT_LATE, RESULT_DEAD } ResultKind;

/* Rows as JSON objects, one a line. */
typedef struct Result {
    ResultKind kind;
    const char *name;  /* of the view, the sink; late_rows, dead_letters */
    const char *other; /* a second name that expected/ may use: of a file sink, its file's; NULL */
    const Schema *schema; /* NULL: rejects */
    Buffer rows;
} Result;

/* Reads all results of the last run; *count of them, to be freed by results_free. */
CHECKED Status trial_results(Trial *, Result **out, int *count, Error *);
void results_free(Result **, int count);

typedef struct Expectation {
    bool update; /* write what came as what is expected */
    bool colours;
    bool other_order; /* of shuffled rows: positions and reasons may differ */
} Expectation;

/* Compares with expected/NAME.ndjson; adds to *out, in lines for people, what differs. *compared:
 * how many results were. OK; REJECT: something differs; FAIL: a file that cannot be used. */
CHECKED Status expect(Trial *, Result *, int count, const Expectation *, int *compared, Buffer *out,
                      Error *);

/* Another order of the file's records in which the same rows are late: written to `to`. Files whose
 * source has no event time stay as they are. */
CHECKED Status shuffle_file(const Trial *, int source, uint64_t seed, const char *to, Error *);
