/* A failing seed is made small: fewer runs, fewer kinds of faults, fewer queries, fewer records,
 * each taken away as long as it fails in the same way (the words before the first colon). */
#include "simulate/shrink.h"
#include "simulate/plant.h"
#include "simulate/trace.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_TRIES = 1500, MOST_SECONDS = 60 };

static char folder[64];

bool player_open(void) {
    snprintf(folder, sizeof folder, "%s/leat-simulate-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder)) return true;
    perror("leat-simulate: cannot make a folder");
    return false;
}

void player_close(void) { rmdir(folder); }

static void home_of(char *out, size_t size, pid_t process) {
    snprintf(out, size, "%s/%d", folder, (int)process);
}

void player_start(Playing *p, uint64_t seed, const Limits *limits) {
    p->seed = seed;
    p->shared =
        mmap(NULL, sizeof *p->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->shared == MAP_FAILED) abort();
    fflush(stdout);
    p->process = fork();
    if (p->process < 0) abort();
    if (p->process) return;
    alarm(MOST_SECONDS);
    char home[96];
    home_of(home, sizeof home, getpid());
    play(seed, limits, home, p->shared);
    fflush(stdout);
    _exit(0);
}

void player_wait(Playing *p, Verdict *v) {
    int how = 0;
    while (waitpid(p->process, &how, 0) < 0) {}
    *v = *p->shared;
    munmap(p->shared, sizeof *p->shared);
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return;
    v->ok = false;
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM)
        snprintf(v->text, sizeof v->text, "no end: not through after %d s", MOST_SECONDS);
    else if (WIFSIGNALED(how))
        snprintf(v->text, sizeof v->text, "killed: signal %d (%s)", WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
    else snprintf(v->text, sizeof v->text, "exited: status %d", WEXITSTATUS(how));
    char path[112];
    home_of(path, sizeof path - 8, p->process);
    strcat(path, ".lock");
    unlink(path);
}

static bool same_kind(const char *a, const char *b) {
    size_t size = strcspn(a, ":");
    return strncmp(a, b, size) == 0;
}

typedef struct Shrinking {
    uint64_t seed;
    Verdict verdict;
    int tries;
} Shrinking;

static bool still_fails(Shrinking *s, const Limits *limits) {
    if (s->tries++ >= MOST_TRIES) return false;
    Playing playing;
    Verdict v;
    player_start(&playing, s->seed, limits);
    player_wait(&playing, &v);
    if (v.ok || !same_kind(s->verdict.text, v.text)) return false;
    s->verdict = v;
    return true;
}

static bool fewer_bits(Shrinking *s, Limits *limits, unsigned *bits, int count) {
    bool fewer = false;
    for (int i = 0; i < count; i++) {
        unsigned before = *bits;
        if (!(before >> i & 1)) continue;
        *bits &= ~(1u << i);
        if (still_fails(s, limits)) fewer = true;
        else *bits = before;
    }
    return fewer;
}

/* Halves, then quarters, … then one by one. */
static bool fewer_events(Shrinking *s, Limits *limits, char *keep) {
    bool fewer = false;
    limits->keep = keep;
    for (int size = MOST_EVENTS / 2; size; size /= 2)
        for (int at = 0; at < MOST_EVENTS; at += size) {
            char before[MOST_EVENTS];
            memcpy(before, keep, MOST_EVENTS);
            int end = at + size < MOST_EVENTS ? at + size : MOST_EVENTS;
            memset(keep + at, 0, (size_t)(end - at));
            if (memcmp(before, keep, MOST_EVENTS) == 0) continue;
            if (still_fails(s, limits)) fewer = true;
            else memcpy(keep, before, MOST_EVENTS);
        }
    return fewer;
}

void shrink(uint64_t seed, const Limits *given, const Verdict *verdict) {
    Shrinking s = {.seed = seed, .verdict = *verdict};
    Limits limits = *given;
    static char keep[MOST_EVENTS];
    static Scenario scenario;
    if (given->keep) memcpy(keep, given->keep, MOST_EVENTS);
    else memset(keep, 1, MOST_EVENTS);
    limits.queries &= (1u << MOST_QUERIES) - 1;
    scenario_make(&scenario, seed, &limits);
    for (int i = scenario.event_count; i < MOST_EVENTS && !given->keep; i++) keep[i] = 0;
    bool fewer = true;
    while (fewer && s.tries < MOST_TRIES) {
        fewer = false;
        while (limits.rounds > 0 && (limits.rounds--, true)) {
            if (still_fails(&s, &limits)) {
                fewer = true;
                continue;
            }
            limits.rounds++;
            break;
        }
        fewer |= fewer_bits(&s, &limits, &limits.faults, FAULTS);
        fewer |= fewer_bits(&s, &limits, &limits.queries, MOST_QUERIES);
        fewer |= fewer_events(&s, &limits, keep);
    }
    scenario_make(&scenario, seed, &limits);
    printf("\nmade smaller, it fails so: %s\n", s.verdict.text);
    scenario_print(&scenario);
    printf("--- to play it again ---\n./dev simulate --seed %llu --trace --faults %u --queries %u "
           "--runs %d%s%s --keep ",
           (unsigned long long)seed, limits.faults, limits.queries, limits.rounds,
           planted ? " --plant " : "", planted ? PLANT_NAMES[planted] : "");
    const char *comma = "";
    for (int i = 0; i < MOST_EVENTS; i++)
        if (keep[i]) printf("%s%d", comma, i), comma = ",";
    printf("\nwhole: ./dev simulate --seed %llu --trace%s%s\n", (unsigned long long)seed,
           planted ? " --plant " : "", planted ? PLANT_NAMES[planted] : "");
}
