/* A ledger is a text of names and values, a line each; later lines of the same name win, so that it
 * only grows, and what a killed run leaves is still true. Its first line names its version: 2 has
 * the clock behind each `sent`, 1 had not. */
#include "cli/ledger.h"
#include "data/time.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char title[] = "leat ledger ";
enum { VERSION = 2 };

static Status failed(const char *path, const char *what, Error *error) {
    return fail(error, "cannot %s the ledger '%s': %s", what, path, strerror(errno));
}

Status ledger_create(const char *path, const Ledger *ledger, FILE **out, Error *error) {
    FILE *file = fopen(path, "we");
    if (!file) return failed(path, "write", error);
    const EventSpec *s = &ledger->spec;
    fprintf(file,
            "%s%d\nseed %" PRIu64 "\nrate %.17g\ndevices %" PRId64
            "\nfields %d\nduplicates %.17g\nbad %.17g\nlate %.17g\n",
            title, VERSION, s->seed, s->rate, s->devices, s->fields, s->duplicates, s->bad,
            s->late);
    fprintf(file, "disorder_us %" PRId64 "\nstart_us %" PRId64 "\nsent 0\n", s->disorder_us,
            ledger->segments[0].time_us);
    if (fflush(file) != 0) {
        Status status = failed(path, "write", error);
        fclose(file);
        return status;
    }
    *out = file;
    return OK;
}

Status ledger_advance(FILE *file, const char *path, int64_t sent, int64_t now_us, bool ended,
                      Error *error) {
    fprintf(file, "sent %" PRId64 " %" PRId64 "\n%s", sent, now_us, ended ? "end\n" : "");
    return fflush(file) == 0 ? OK : failed(path, "write", error);
}

/* What was sent since the entry before it is taken as spread evenly over the time between. */
static void spread(Rate *offered, int64_t events, int64_t from_us, int64_t to_us) {
    enum { PARTS = 10 };
    for (int i = 0; i < PARTS; i++)
        rate_add(offered, from_us + (to_us - from_us) / PARTS * i + (to_us - from_us) / PARTS / 2,
                 events * (i + 1) / PARTS - events * i / PARTS);
}

static bool read_sent(const char *line, Ledger *l, Rate *offered) {
    int64_t sent, us;
    int count = sscanf(line, "sent %" SCNd64 " %" SCNd64, &sent, &us);
    if (count < 1 || sent < 0 || sent > EVENTS_MOST) return false;
    if (count == 2 && (us < 0 || us > LAST_INPUT_US)) return false;
    if (count == 2 && sent > l->sent)
        spread(offered, sent - l->sent, l->told_us ? l->told_us : us, us);
    l->sent = sent;
    if (count == 2) l->told_us = us;
    return true;
}

static bool read_line(const char *line, Ledger *l, Rate *offered) {
    EventSpec *s = &l->spec;
    return sscanf(line, "seed %" SCNu64, &s->seed) == 1 ||
           sscanf(line, "rate %lf", &s->rate) == 1 ||
           sscanf(line, "devices %" SCNd64, &s->devices) == 1 ||
           sscanf(line, "fields %d", &s->fields) == 1 ||
           sscanf(line, "duplicates %lf", &s->duplicates) == 1 ||
           sscanf(line, "bad %lf", &s->bad) == 1 || sscanf(line, "late %lf", &s->late) == 1 ||
           sscanf(line, "disorder_us %" SCNd64, &s->disorder_us) == 1 ||
           sscanf(line, "start_us %" SCNd64, &l->segments[0].time_us) == 1 ||
           read_sent(line, l, offered);
}

static Status wrong_ledger(const char *path, FILE *file, const Ledger *l, int version, int bad_line,
                           Error *error) {
    bool empty = ftell(file) == 0;
    fclose(file);
    if (version > VERSION)
        return fail(
            error,
            "'%s' is a ledger of version %d, this program knows up to %d; use the leat that "
            "wrote it, or a newer one",
            path, version, VERSION);
    if (empty) return fail(error, "'%s' is empty; was leat generate killed as it began?", path);
    if (bad_line) return fail(error, "the ledger '%s' is damaged in line %d", path, bad_line);
    if (version > 0 && l->sent < 0)
        return fail(error, "the ledger '%s' is cut off before it says how much was sent", path);
    return fail(error, "'%s' is not a ledger of leat generate", path);
}

static bool is_share(double p) { return p >= 0 && p <= 1; }

/* As leat generate takes its options. */
static bool in_range(const Ledger *l) {
    const EventSpec *s = &l->spec;
    int64_t start_us = l->segments[0].time_us;
    return s->devices > 0 && s->devices <= 1000000000 && s->fields >= 0 &&
           s->fields <= EVENT_FIELDS_MOST && l->sent >= 0 && s->rate >= 0 && s->rate <= 1e9 &&
           is_share(s->duplicates) && is_share(s->bad) && is_share(s->late) &&
           s->disorder_us >= 0 && s->disorder_us <= LAST_INPUT_US && start_us >= FIRST_INPUT_US &&
           start_us <= LAST_INPUT_US;
}

Status ledger_read(const char *path, Ledger *ledger, Rate *offered, Error *error) {
    *ledger = (Ledger){.sent = -1, .segment_count = 1};
    FILE *file = fopen(path, "re");
    if (!file) return failed(path, "read", error);
    char line[256];
    int version = 0;
    if (fgets(line, sizeof line, file) && strncmp(line, title, sizeof title - 1) == 0)
        version = atoi(line + sizeof title - 1);
    bool fine = version > 0 && version <= VERSION;
    int number = 1, bad_line = 0;
    while (fine && fgets(line, sizeof line, file)) {
        number++;
        if (!strchr(line, '\n')) break; /* torn by a kill */
        if (strcmp(line, "end\n") == 0) ledger->ended = true;
        else fine = read_line(line, ledger, offered);
        if (!fine) bad_line = number;
    }
    fine = fine && in_range(ledger);
    if (!fine) return wrong_ledger(path, file, ledger, version, bad_line, error);
    fclose(file);
    return OK;
}

int64_t ledger_event(const Ledger *l, int64_t number, Event *out) {
    int i = l->segment_count - 1;
    while (i > 0 && l->segments[i].first > number) i--;
    event_of(&l->spec, l->segments[i], number, out);
    return segment_time(&l->spec, l->segments[i], number);
}
