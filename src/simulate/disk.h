/* A disk in memory that SQLite writes to, which knows what is synced and what is not. */
#pragma once
#include "base/random.h"
#include "base/str.h"

typedef struct DiskFaults {
    uint32_t write_fails_of, sync_fails_of; /* one of so many, 0: never */
    uint32_t full_of;                       /* one write of so many meets a full disk */
    int64_t slow_sync_us;                   /* a sync takes up to so long */
    int left;                               /* at most so many failures */
} DiskFaults;

void disk_open(uint64_t seed); /* SQLite's files are here from now on */
DiskFaults *disk_faults(void);
int64_t disk_failures(void); /* so many writes and syncs have failed */
/* The machine goes down. `power`: unsynced sectors are lost, kept or torn; else only the process
 * is gone and all that was written stays. */
void disk_crash(bool power);
/* Those who have files open keep them, as a copy that nobody else sees; the others see what stood
 * there at this moment. */
void disk_split(void);
/* What stands there can be looked at without leaving a trace. */
void disk_keep(void);
void disk_put_back(void);

/* Rows of a query over the database of that name, each column a text (NULL: "-"). False: the
 * query fails, *error says why. */
bool disk_query(const char *path, const char *sql, void (*row)(void *context, const char **columns),
                void *context, Error *error);
