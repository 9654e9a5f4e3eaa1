/* leat verify: what arrived, read from files or from a table of a pipeline file, against what leat
 * generate's ledgers say was sent; a table for people or JSON for machines, and exit status 1 when
 * a limit is broken. */
#include "cli/verify.h"
#include "cli/cli.h"
#include "cli/table_name.h"
#include <signal.h>
#include <stdlib.h>

static volatile sig_atomic_t stopped;
static void on_signal(int number) {
    (void)number;
    if (stopped) _exit(EXIT_FAILED);
    stopped = 1;
}
bool verify_stopped(void) { return stopped; }

static int read_ledger(Verify *v, const char *word, Ledger *ledger, Error *error) {
    char *file;
    const char *table;
    if (!is_table_name(word, &file, &table))
        return ledger_read(word, ledger, &v->offered, error) == OK ? EXIT_DONE : EXIT_FAILED;
    int exit_status = ledger_of_table(file, table, ledger, error);
    free(file);
    return exit_status;
}

static int read_ledgers(Verify *v) {
    for (int i = 0; i < v->verdict.sent_count; i++) {
        Error error = {0};
        Sent *sent = &v->verdict.sents[i];
        int exit_status = read_ledger(v, v->ledgers[i], &sent->ledger, &error);
        if (*error.text) fprintf(stderr, "leat verify: %s\n", error.text);
        if (exit_status != EXIT_DONE) return exit_status;
        const EventSpec *spec = &sent->ledger.spec;
        for (int k = 0; k < i; k++)
            if (v->verdict.sents[k].ledger.spec.seed == spec->seed)
                return usage_error("verify",
                                   "%s and %s are of the same seed, so their events have the same "
                                   "ids and cannot be told apart",
                                   v->ledgers[k], v->ledgers[i]);
        int64_t most = sent->ledger.sent + (sent->ledger.ended ? 0 : 1000000);
        sent->device_count = spec->devices < most ? spec->devices : most;
        v->offered_rate += spec->rate;
    }
    return EXIT_DONE;
}

/* Limits that are a share of what was sent become numbers. */
static void settle_limits(Verify *v) {
    for (int i = 0; i < WRONGS; i++)
        if (v->percents[i] >= 0)
            v->limits[i] = (int64_t)(v->percents[i] / 100 * (double)v->verdict.events);
    if (v->least_rate_percent) v->least_rate *= v->offered_rate / 100;
    v->minutes = rate_minutes(&v->verdict.arrivals, v->warm_up_us);
    v->offered_minutes = rate_minutes(&v->offered, 0);
}

static int verify(Verify *v) {
    struct sigaction action = {.sa_handler = on_signal};
    int exit_status = read_ledgers(v);
    if (exit_status != EXIT_DONE) return exit_status;
    if (v->least_rate_percent && v->offered_rate <= 0)
        return usage_error("verify", "--min-rate as a share needs a ledger of a run with --rate");
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    v->verdict.event = xcalloc(1, sizeof *v->verdict.event);
    exit_status = verify_read(v);
    if (exit_status == EXIT_DONE && v->account.of) exit_status = account_read(v);
    if (exit_status != EXIT_DONE) return exit_status;
    judge_end(&v->verdict);
    if (v->account.of) account_settle(v);
    settle_limits(v);
    if (v->json) tell_machines(v);
    else tell_people(v);
    return verify_ok(v) ? EXIT_DONE : EXIT_FAILED;
}

int verify_main(int argc, char **argv) {
    Verify *v = xcalloc(1, sizeof *v);
    Status status = verify_arguments(argc, argv, v);
    int exit_status = status == OK ? verify(v) : status == END ? EXIT_DONE : EXIT_USAGE;
    judge_free(&v->verdict);
    rate_free(&v->offered);
    free(v);
    return exit_status;
}
