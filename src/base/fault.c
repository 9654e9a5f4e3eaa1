/* The list of fault points, and the one that is armed. A test that kills the program at random
 * moments seldom hits the few instructions between two steps that must not be torn apart; these
 * points stand exactly there. The simulation visits the same ones through its own Env. */
#include "base/fault.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const FaultPoint fault_points[] = {
    {"home.make", "a new home: nothing is in its file yet"},
    {"home.made", "a new home is made; its generation is still 0"},
    {"home.raised", "the home's generation is raised, its lock file still tells the old epoch"},
    {"home.aside", "--fresh: of the old home its -wal file is set aside, the home itself is not"},
    {"home.upgrade", "a home of an older format is wholly rewritten, and not committed"},
    {"query.forget", "--reset: before a query's state is forgotten"},
    {"query.forgotten", "--reset: it is forgotten, and not known anew yet"},
    {"epoch.close", "an epoch is to be closed: nothing is gathered yet"},
    {"epoch.closed", "all that changed is gathered; the committing thread has not taken it"},
    {"state.snapshot", "one shard of an operator's state is being written whole"},
    {"home.commit", "before an epoch's transaction begins in the home"},
    {"home.write", "all of the epoch is written, its transaction is not committed"},
    {"home.committed", "the transaction is committed, the lock file still tells the old epoch"},
    {"epoch.committed", "sources and sinks do not know yet that the epoch is committed"},
    {"source.chunk", "a chunk was read from a source"},
    {"source.fact", "a source is to keep a fact in the home (a generator's segment, files' names)"},
    {"source.kept", "that fact is in the home; no event that depends on it is"},
    {"sink.recover", "a file sink is to be cut back to the length that the home knows"},
    {"sink.write", "before bytes are written (file, at once)"},
    {"sink.written", "bytes are written, not synced"},
    {"sink.sync", "before written bytes are synced"},
    {"sink.synced", "they are synced, the home does not know"},
    {"deliver.begin", "an epoch of the outbox is to be delivered; by position: a transaction"},
    {"deliver.sent", "its rows are sent; no reader sees them yet"},
    {"deliver.refused", "the rows that the sink refused are in the home"},
    {"deliver.committed", "the far side has committed; nobody here knows"},
    {"deliver.noted", "the delivery is noted in the epoch that is being filled"},
    {"folder.written", "a folder's file is whole and synced, under a name of its own"},
    {"folder.marked", "the folder's marker tells of it"},
    {"folder.named", "it has its name; its folder is not synced"},
    {0},
};

static const char *armed; /* NULL: none */
static _Atomic int64_t left;

static const FaultPoint *find(const char *name, size_t size) {
    for (const FaultPoint *p = fault_points; p->name; p++)
        if (strlen(p->name) == size && memcmp(p->name, name, size) == 0) return p;
    return NULL;
}

Status fault_arm(const char *text, Error *error) {
    if (!text || !*text) return OK;
    const char *colon = strchr(text, ':');
    const FaultPoint *point = find(text, colon ? (size_t)(colon - text) : strlen(text));
    char *end = NULL;
    int64_t passes = colon ? strtoll(colon + 1, &end, 10) : 1;
    if (!point || (colon && (*end || end == colon + 1)) || passes < 1) {
        (void)fail(error, "LEAT_FAULT expects POINT:N, N from 1 on, or list; got '%s'", text);
        return REJECT;
    }
    atomic_store(&left, passes);
    armed = point->name;
    return OK;
}

void fault_list(Buffer *out) {
    for (const FaultPoint *p = fault_points; p->name; p++)
        buffer_add_format(out, "%-18s %s\n", p->name, p->help);
}

bool fault_pass(const char *point) {
    if (!armed || strcmp(armed, point) != 0) return true;
    if (atomic_fetch_sub(&left, 1) == 1) kill(getpid(), SIGKILL);
    return true;
}
