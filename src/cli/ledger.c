/* A ledger is a text of names and values, a line each; later lines of the same name win, so that it
 * only grows, and what a killed run leaves is still true. */
#include "cli/ledger.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char title[] = "leat ledger 1";

static Status failed(const char *path, const char *what, Error *error) {
    return fail(error, "cannot %s the ledger '%s': %s", what, path, strerror(errno));
}

Status ledger_create(const char *path, const Ledger *ledger, FILE **out, Error *error) {
    FILE *file = fopen(path, "we");
    if (!file) return failed(path, "write", error);
    const EventSpec *s = &ledger->spec;
    fprintf(file,
            "%s\nseed %" PRIu64 "\nrate %.17g\ndevices %" PRId64
            "\nfields %d\nduplicates %.17g\nbad %.17g\nlate %.17g\n",
            title, s->seed, s->rate, s->devices, s->fields, s->duplicates, s->bad, s->late);
    fprintf(file, "disorder_us %" PRId64 "\nstart_us %" PRId64 "\nsent 0\n", s->disorder_us,
            ledger->segment.time_us);
    if (fflush(file) != 0) {
        Status status = failed(path, "write", error);
        fclose(file);
        return status;
    }
    *out = file;
    return OK;
}

Status ledger_advance(FILE *file, const char *path, int64_t sent, bool ended, Error *error) {
    fprintf(file, "sent %" PRId64 "\n%s", sent, ended ? "end\n" : "");
    return fflush(file) == 0 ? OK : failed(path, "write", error);
}

static bool read_line(const char *line, Ledger *l) {
    EventSpec *s = &l->spec;
    return sscanf(line, "seed %" SCNu64, &s->seed) == 1 ||
           sscanf(line, "rate %lf", &s->rate) == 1 ||
           sscanf(line, "devices %" SCNd64, &s->devices) == 1 ||
           sscanf(line, "fields %d", &s->fields) == 1 ||
           sscanf(line, "duplicates %lf", &s->duplicates) == 1 ||
           sscanf(line, "bad %lf", &s->bad) == 1 || sscanf(line, "late %lf", &s->late) == 1 ||
           sscanf(line, "disorder_us %" SCNd64, &s->disorder_us) == 1 ||
           sscanf(line, "start_us %" SCNd64, &l->segment.time_us) == 1 ||
           sscanf(line, "sent %" SCNd64, &l->sent) == 1;
}

Status ledger_read(const char *path, Ledger *ledger, Error *error) {
    *ledger = (Ledger){.sent = -1};
    FILE *file = fopen(path, "re");
    if (!file) return failed(path, "read", error);
    char line[256];
    bool fine = fgets(line, sizeof line, file) && strncmp(line, title, sizeof title - 1) == 0;
    while (fine && fgets(line, sizeof line, file)) {
        if (!strchr(line, '\n')) break; /* torn by a kill */
        if (strcmp(line, "end\n") == 0) ledger->ended = true;
        else fine = read_line(line, ledger);
    }
    fclose(file);
    const EventSpec *s = &ledger->spec;
    fine = fine && s->devices > 0 && s->fields >= 0 && s->fields <= EVENT_FIELDS_MOST &&
           ledger->sent >= 0;
    return fine ? OK : fail(error, "'%s' is not a ledger of leat generate", path);
}
