/* leat verify: what arrived, read from files or from a table of a pipeline file, against what leat
 * generate's ledgers say was sent; a table for people or JSON for machines, and exit status 1 when
 * a limit is broken. */
#include "cli/verify.h"
#include "cli/cli.h"
#include <signal.h>
#include <stdlib.h>

static volatile sig_atomic_t stopped;
static void on_signal(int number) {
    (void)number;
    if (stopped) _exit(EXIT_FAILED);
    stopped = 1;
}
bool verify_stopped(void) { return stopped; }

static Status read_ledgers(Verify *v, Error *error) {
    for (int i = 0; i < v->verdict.sent_count; i++) {
        Sent *sent = &v->verdict.sents[i];
        if (ledger_read(v->ledgers[i], &sent->ledger, &v->offered, error) != OK) return FAIL;
        const EventSpec *spec = &sent->ledger.spec;
        int64_t most = sent->ledger.sent + (sent->ledger.ended ? 0 : 1000000);
        sent->device_count = spec->devices < most ? spec->devices : most;
        v->offered_rate += spec->rate;
    }
    return OK;
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
    Error error = {0};
    struct sigaction action = {.sa_handler = on_signal};
    if (read_ledgers(v, &error) != OK) {
        fprintf(stderr, "leat verify: %s\n", error.text);
        return EXIT_FAILED;
    }
    if (v->least_rate_percent && v->offered_rate <= 0)
        return usage_error("verify", "--min-rate as a share needs a ledger of a run with --rate");
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    v->verdict.event = xcalloc(1, sizeof *v->verdict.event);
    int exit_status = verify_read(v);
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
