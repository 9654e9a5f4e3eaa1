/* leat-simulate: plays seeds, each in a process of its own, so that a crash of the engine's code is
 * a finding like any other and what abandoned engines leave goes with the process. A seed that
 * fails is made small and printed with the command that plays it again. */
#include "simulate/play.h"
#include "simulate/plant.h"
#include "simulate/shrink.h"
#include "simulate/trace.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: ./dev simulate [--seeds N | --seed S] [option ...]\n"
    "\n"
    "Plays the engine in a made-up world: one seed is one pipeline, its records, one order of all\n"
    "threads, and what fails, stalls and crashes. What comes out is compared with a naive "
    "executor.\n"
    "\n"
    "  --seeds N      play N seeds (default 1000)\n"
    "  --from S       beginning at seed S (default 1)\n"
    "  --seed S       play one seed\n"
    "  --trace        ... and print what happens\n"
    "  --twice        play every seed twice: both must take the same way\n"
    "  --plant NAME   with a fault planted in the engine; '--plant list' names them\n"
    "  --plants       every planted fault must be found, each within N seeds\n"
    "  --jobs N       processes at once (default 1)\n"
    "  --no-shrink    print a failing seed as it is\n"
    "  --faults N --queries N --runs N --keep 0,3,5   a scenario made smaller, as it was printed\n";

typedef struct Settings {
    uint64_t from, seeds, seed;
    bool one, twice, shrink, plants;
    int jobs;
    Limits limits;
    const char *keep;
} Settings;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t number_of(const char *text) {
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*end || end == text) {
        fprintf(stderr, "leat-simulate: '%s' is no number\n", text);
        exit(2);
    }
    return n;
}

static bool find_plant(const char *name) {
    for (int i = 0; i < PLANTS; i++) {
        if (strcmp(name, "list") == 0 && i) puts(PLANT_NAMES[i]);
        if (strcmp(name, PLANT_NAMES[i]) == 0) {
            planted = (Plant)i;
            return true;
        }
    }
    if (strcmp(name, "list") == 0) exit(0);
    return false;
}

static char *kept_of(const char *list) {
    char *keep = calloc(MOST_EVENTS, 1);
    if (!keep) abort();
    for (const char *at = list; *at;) {
        char *end;
        long n = strtol(at, &end, 10);
        if (end == at || n < 0 || n >= MOST_EVENTS) {
            fprintf(stderr, "leat-simulate: --keep wants event numbers, as in 0,3,5\n");
            exit(2);
        }
        keep[n] = 1;
        at = *end == ',' ? end + 1 : end;
    }
    return keep;
}

static void read_arguments(int count, char **arguments, Settings *s) {
    static const struct option known[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"twice", no_argument, NULL, '2'},
                                          {"plant", required_argument, NULL, 'p'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"no-shrink", no_argument, NULL, 'x'},
                                          {"faults", required_argument, NULL, 'F'},
                                          {"queries", required_argument, NULL, 'Q'},
                                          {"runs", required_argument, NULL, 'R'},
                                          {"keep", required_argument, NULL, 'K'},
                                          {"plants", no_argument, NULL, 'P'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int got;
    while ((got = getopt_long(count, arguments, "h", known, NULL)) != -1) {
        switch (got) {
        case 'n': s->seeds = number_of(optarg); break;
        case 'f': s->from = number_of(optarg); break;
        case 's': s->seed = number_of(optarg), s->one = true; break;
        case 't': trace_on = true; break;
        case '2': s->twice = true; break;
        case 'p':
            if (find_plant(optarg)) break;
            fprintf(stderr, "leat-simulate: no plant '%s'; --plant list names them\n", optarg);
            exit(2);
        case 'P': s->plants = true; break;
        case 'j': s->jobs = (int)number_of(optarg); break;
        case 'x': s->shrink = false; break;
        case 'F': s->limits.faults = (unsigned)number_of(optarg); break;
        case 'Q': s->limits.queries = (unsigned)number_of(optarg); break;
        case 'R': s->limits.rounds = (int)number_of(optarg); break;
        case 'K': s->limits.keep = kept_of(optarg); break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: fputs(USAGE, stderr); exit(2);
        }
    }
    if (optind < count || s->jobs < 1 || s->jobs > 64) {
        fputs(USAGE, stderr);
        exit(2);
    }
}

typedef struct Totals {
    int64_t seeds, runs, crashes, stops, failures, zombies, told, points, events;
} Totals;

static void add_up(Totals *t, const Verdict *v) {
    t->seeds++;
    t->runs += v->runs;
    t->crashes += v->crashes;
    t->stops += v->stops;
    t->failures += v->failures;
    t->zombies += v->zombies;
    t->told += v->told;
    t->points += v->points;
    t->events += v->events;
}

static void tell(const Totals *t, double since) {
    double took = seconds() - since;
    printf(
        "%lld seeds in %.1f s (%.1f ms each): %lld runs of the engine, %lld crashes, %lld stops, "
        "%lld failed, %lld frozen (%lld copies refused), %lld records, %lld steps\n",
        (long long)t->seeds, took, 1000 * took / (double)(t->seeds ? t->seeds : 1),
        (long long)t->runs, (long long)t->crashes, (long long)t->stops, (long long)t->failures,
        (long long)t->zombies, (long long)t->told, (long long)t->events, (long long)t->points);
}

/* Plays seeds, `jobs` at once, until one fails. *failed: which. */
static bool play_all(const Settings *s, Verdict *verdict, uint64_t *failed) {
    Totals totals = {0};
    double began = seconds(), told = began;
    Playing playing[64];
    uint64_t next = s->from, end = s->from + s->seeds;
    int running = 0;
    bool ok = true;
    while (running || (ok && next < end)) {
        while (ok && running < s->jobs && next < end)
            player_start(&playing[running++], next++, &s->limits);
        Playing first = playing[0]; /* in order, so that the least failing seed is told */
        memmove(playing, playing + 1, sizeof *playing * (size_t)--running);
        Verdict v;
        player_wait(&first, &v);
        if (v.ok && s->twice) {
            Verdict again;
            player_start(&first, first.seed, &s->limits);
            player_wait(&first, &again);
            if (again.hash != v.hash || again.points != v.points) {
                v.ok = false;
                snprintf(v.text, sizeof v.text,
                         "not deterministic: played twice, it went two ways");
            }
        }
        add_up(&totals, &v);
        if (!v.ok && ok) {
            ok = false;
            *verdict = v;
            *failed = first.seed;
        }
        if (seconds() - told > (isatty(2) ? 1 : 60)) {
            told = seconds();
            fprintf(stderr, isatty(2) ? "\r%lld of %llu seeds" : "%lld of %llu seeds\n",
                    (long long)totals.seeds, (unsigned long long)s->seeds);
        }
    }
    if (isatty(2)) fputs("\r", stderr);
    tell(&totals, began);
    return ok;
}

static int play_plants(const Settings *s) {
    int missed = 0;
    for (int i = PLANT_NONE + 1; i < PLANTS; i++) {
        Verdict verdict = {0};
        uint64_t failed = 0;
        planted = (Plant)i;
        printf("%s: ", PLANT_NAMES[i]);
        if (play_all(s, &verdict, &failed)) {
            printf("%s: NOT FOUND\n", PLANT_NAMES[i]);
            missed++;
        } else {
            printf("%s: found by seed %llu: %s\n", PLANT_NAMES[i], (unsigned long long)failed,
                   verdict.text);
        }
    }
    return missed ? 1 : 0;
}

int main(int count, char **arguments) {
    Settings s = {.from = 1,
                  .seeds = 1000,
                  .jobs = 1,
                  .shrink = true,
                  .limits = {.faults = FAULT_ALL, .queries = ~0u, .rounds = MOST_ROUNDS}};
    read_arguments(count, arguments, &s);
    if (s.one) s.from = s.seed, s.seeds = 1;
    if (!player_open()) return 1;
    if (s.plants) {
        int missed = play_plants(&s);
        player_close();
        return missed;
    }
    Verdict verdict = {0};
    uint64_t failed = 0;
    bool ok = play_all(&s, &verdict, &failed);
    if (!ok) {
        printf("seed %llu: %s\n", (unsigned long long)failed, verdict.text);
        if (s.shrink && !trace_on) shrink(failed, &s.limits, &verdict);
    }
    player_close();
    return ok ? 0 : 1;
}
