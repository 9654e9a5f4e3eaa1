/* The command line of leat verify. */
#include "cli/cli.h"
#include "cli/verify.h"
#include "data/time.h"
#include <stdlib.h>

static const char HELP[] =
    "usage: leat verify --ledger FILE --in WHERE [options]\n\n"
    "Compares what arrived with what leat generate sent, event by event, as JSON values: the order "
    "of keys, blanks and\n"
    "the spelling of numbers do not matter, times are compared as instants. Rows may have more "
    "columns than the event, or\n"
    "fewer: then those are compared that a row has. Every row needs eventId. Rows may come from "
    "any system.\n\n"
    "  --ledger FILE            what was sent: a ledger, or FILE.sql:TABLE, a generator table of a "
    "pipeline that has run;\n"
    "                           may be given several times\n"
    "  --in WHERE               a file, folder or pattern of JSON lines or (*.csv) CSV, - for "
    "standard input,\n"
    "                           FILE.sql:NAME, a table or materialized view of a pipeline file,\n"
    "                           or sqlite:FILE:TABLE; may be given several times\n"
    "  --column NAME=COLUMN     the rows call NAME (eventId, value, …, or one of the times below) "
    "COLUMN\n"
    "  --account FILE.sql:QUERY what that query says of the rest: filtered, deduplicated, late, "
    "dead "
    "letters; then sent\n"
    "                           and stored must add up, and what is late or dead is not missing\n"
    "  --deduplicated           a copy that was sent may not arrive\n"
    "  --whole                  every row has all columns of its event, and no others but times\n"
    "  --warm-up T              full minutes (of the clock) count from T after the first row on; "
    "default\n                           '0 seconds'\n"
    "  --json                   the result as JSON\n"
    "  -h                       this help\n\n"
    "Times that are looked for in the rows: enqueuedAt, processedAt, storedAt; without storedAt "
    "the time of a Kafka\n"
    "record. Latencies are told between them and createdAt, the rate by the last of them.\n\n"
    "Limits; N is a number, or a share of the events sent, like 0.1%:\n"
    "  --max-missing N          events of which nothing arrived; default 0\n"
    "  --max-unexpected N       rows of events that were never sent; default 0\n"
    "  --max-duplicated N       rows beyond what was sent; default 0\n"
    "  --max-changed N          rows that differ from their event; default 0\n"
    "  --max-missing-copies N   copies that were sent and did not arrive; default: no limit\n"
    "  --max-out-of-order N     rows behind a later one of their device, within a file or "
    "partition; default: no limit\n"
    "  --max-unaccounted N      records that --account does not account for; default 0\n"
    "  --max-backwards N        rows whose times run backwards; default: no limit\n"
    "  --max-latency-p50 T      of the way from sending to the last time of a row; also p95, p99 "
    "and max\n"
    "  --min-rate N             events a second in the worst full minute; 99% is a share of the "
    "rate of leat generate\n\n"
    "Exit status: 0 within the limits, 1 not, 2 wrong usage.\n";

const char *const percentile_names[PERCENTILES] = {"p50", "p95", "p99", "max"};
const double percentile_shares[PERCENTILES] = {0.5, 0.95, 0.99, 1};

/* Names with '-' on the command line, with '_' in JSON. */
static bool same_name(const char *option, const char *name) {
    while (*option && (*option == *name || (*option == '-' && *name == '_'))) option++, name++;
    return !*option && !*name;
}

static int limit_of(const char *name) {
    if (strncmp(name, "--max-", 6) != 0) return -1;
    for (int i = 0; i < WRONGS; i++)
        if (same_name(name + 6, wrong_names[i])) return i;
    return -1;
}

static int percentile_of(const char *name) {
    if (strncmp(name, "--max-latency-", 14) != 0) return -1;
    for (int i = 0; i < PERCENTILES; i++)
        if (strcmp(name + 14, percentile_names[i]) == 0) return i;
    return -1;
}

/* A number, or a share with '%' behind it. */
static Status read_number(const char *name, const char *text, bool whole, double *out,
                          bool *percent) {
    char *end;
    *out = strtod(text, &end);
    *percent = *text && *end == '%';
    if (*percent) end++;
    bool fine = *text && !*end && *text >= '0' && *text <= '9' && *out < 1e15;
    if (fine && *percent && *out > 100) {
        usage_error("verify", "%s expects a share from 0%% to 100%%, got '%s'", name, text);
        return FAIL;
    }
    if (fine && (*percent || !whole || *out == (double)(int64_t)*out)) return OK;
    usage_error("verify", "%s expects %s or a share like 0.1%%, got '%s'", name,
                whole ? "a whole number" : "a number", text);
    return FAIL;
}

static Status read_limit(Verify *v, int limit, const char *name, const char *text) {
    double number;
    bool percent;
    if (read_number(name, text, true, &number, &percent) != OK) return FAIL;
    v->limits[limit] = percent ? 0 : (int64_t)number;
    v->percents[limit] = percent ? number : -1;
    return OK;
}

static Status read_duration(const char *name, const char *text, int64_t *us) {
    Error error;
    Interval interval;
    if (interval_parse(str_from(text), &interval, &error) == OK &&
        interval_to_us(interval, us, &error) == OK && *us >= 0 && *us <= LAST_INPUT_US)
        return OK;
    usage_error("verify", "%s expects a duration like '2 seconds', got '%s'", name, text);
    return FAIL;
}

static Status read_column(Verify *v, const char *text) {
    const char *equals = strchr(text, '=');
    for (int i = 0; i < COLUMN_OTHER && equals && equals[1]; i++) {
        if (!str_equal_nocase((Str){text, (size_t)(equals - text)}, str_from(column_names[i])))
            continue;
        v->verdict.columns[i] = equals + 1;
        return OK;
    }
    usage_error("verify",
                "--column expects NAME=COLUMN, where NAME is eventId, value, deviceId, "
                "deviceSequenceNumber, type, createdAt, complexData, enqueuedAt, processedAt or "
                "storedAt; got '%s'",
                text);
    return FAIL;
}

static const char *const names[] = {"ledger",
                                    "in",
                                    "account",
                                    "column",
                                    "deduplicated",
                                    "whole",
                                    "warm-up",
                                    "json",
                                    "max-missing",
                                    "max-unexpected",
                                    "max-duplicated",
                                    "max-changed",
                                    "max-missing-copies",
                                    "max-out-of-order",
                                    "max-backwards",
                                    "max-unaccounted",
                                    "max-latency-p50",
                                    "max-latency-p95",
                                    "max-latency-p99",
                                    "max-latency-max",
                                    "min-rate"};
enum { NAMES = sizeof names / sizeof *names };

static Status unknown_argument(const char *word) {
    const char *closest = strncmp(word, "--", 2) == 0 ? closest_name(word + 2, names, NAMES) : NULL;
    if (closest) usage_error("verify", "unknown option '%s'; did you mean '--%s'?", word, closest);
    else usage_error("verify", "unknown argument '%s'", word);
    return FAIL;
}

static bool is_known(const char *word) {
    for (int i = 0; i < NAMES; i++)
        if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, names[i]) == 0) return true;
    return false;
}

static Status one_more(const char **list, int *count, int most, const char *value,
                       const char *what) {
    if (*count == most)
        return usage_error("verify", "at most %d %s are possible", most, what), FAIL;
    list[(*count)++] = value;
    return OK;
}

static Status read_option(Verify *v, const char *word, const char *value) {
    int limit = limit_of(word), percentile = percentile_of(word);
    if (limit >= 0) return read_limit(v, limit, word, value);
    if (percentile >= 0) return read_duration(word, value, &v->latency_us[percentile]);
    if (strcmp(word, "--min-rate") == 0)
        return read_number(word, value, false, &v->least_rate, &v->least_rate_percent);
    if (strcmp(word, "--warm-up") == 0) return read_duration(word, value, &v->warm_up_us);
    if (strcmp(word, "--column") == 0) return read_column(v, value);
    if (strcmp(word, "--account") == 0) {
        v->account.of = value;
        if (v->limits[WRONG_UNACCOUNTED] < 0) v->limits[WRONG_UNACCOUNTED] = 0;
        return OK;
    }
    if (strcmp(word, "--in") == 0)
        return one_more(v->inputs, &v->input_count, INPUTS_MOST, value, "inputs");
    return one_more(v->ledgers, &v->verdict.sent_count, LEDGERS_MOST, value, "ledgers");
}

static void defaults(Verify *v) {
    for (int i = 0; i < WRONGS; i++) {
        v->limits[i] = i <= WRONG_CHANGED ? 0 : -1;
        v->percents[i] = -1;
    }
    for (int i = 0; i < PERCENTILES; i++) v->latency_us[i] = -1;
    v->least_rate = -1;
    for (int i = 0; i < COLUMN_OTHER; i++) v->verdict.columns[i] = column_names[i];
}

Status verify_arguments(int argc, char **argv, Verify *v) {
    Verdict *verdict = &v->verdict;
    defaults(v);
    for (int i = 1; i < argc; i++) {
        char *word = argv[i], *value = strchr(word, '=');
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        bool *flag = strcmp(word, "--json") == 0           ? &v->json
                     : strcmp(word, "--whole") == 0        ? &verdict->whole
                     : strcmp(word, "--deduplicated") == 0 ? &verdict->deduplicated
                                                           : NULL;
        if (flag) {
            *flag = true;
            continue;
        }
        if (value) *value++ = 0;
        if (!is_known(word)) return unknown_argument(word);
        if (!value && i + 1 < argc) value = argv[++i];
        if (!value) return usage_error("verify", "%s needs a value", word), FAIL;
        if (read_option(v, word, value) != OK) return FAIL;
    }
    if (!verdict->sent_count)
        return usage_error("verify", "--ledger FILE is missing: what leat generate --ledger wrote"),
               FAIL;
    if (v->limits[WRONG_UNACCOUNTED] >= 0 && !v->account.of)
        return usage_error("verify", "--max-unaccounted needs --account FILE.sql:QUERY"), FAIL;
    if (!v->input_count)
        return usage_error("verify", "--in is missing: a file, - or FILE.sql:TABLE"), FAIL;
    return OK;
}
