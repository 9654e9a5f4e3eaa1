/* The verifier's parts: judge.c compares rows with events, verify.c reads rows and tells the
 * result. */
#pragma once
#include "cli/ledger.h"

enum { LEDGERS_MOST = 16, EXAMPLES = 5 };

typedef enum Wrong {
    WRONG_MISSING,
    WRONG_UNEXPECTED,
    WRONG_DUPLICATED,
    WRONG_CHANGED,
    WRONGS
} Wrong;
extern const char *const wrong_names[WRONGS];

/* What an event has; MEMBER_OTHER: names that no event has. */
typedef enum EventMember {
    MEMBER_ID,
    MEMBER_VALUE,
    MEMBER_DEVICE,
    MEMBER_SEQUENCE,
    MEMBER_TYPE,
    MEMBER_CREATED,
    MEMBER_COMPLEX,
    MEMBER_OTHER
} EventMember;
extern const char *const member_names[MEMBER_OTHER];

typedef struct Sent { /* one run of leat generate */
    Ledger ledger;
    uint8_t *seen; /* per event: rows that arrived, up to 255 */
    int64_t capacity,
        beyond; /* beyond: events behind the ledger's end that arrived (of a killed run) */
} Sent;

typedef struct Verdict {
    Sent sents[LEDGERS_MOST];
    int sent_count;
    bool deduplicated;                    /* a copy that was sent may not arrive */
    bool row_compared[MEMBER_OTHER + 1];  /* it stood in some row */
    int64_t events, copies, broken, late; /* sent */
    int64_t rows, broken_rows, missing_late, missing_copies; /* arrived, or not */
    int64_t cut, unreadable; /* sent cut short; arrived, and no JSON */
    int64_t wrong[WRONGS];
    char examples[WRONGS][EXAMPLES][160];
    Event *event;
    Buffer text;
    Arena *arena; /* for one row */
} Verdict;

void judge_row(Verdict *, Str row);
/* After all rows: what is missing, and what came more often than it was sent. */
void judge_end(Verdict *);
