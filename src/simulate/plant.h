/* Faults planted on purpose, one at a time, to see that they are found. They stand in front of the
 * engine's own functions by the linker's --wrap, in the simulator alone. */
#pragma once
#include <stdbool.h>

typedef enum Plant {
    PLANT_NONE,
    PLANT_LOST_DELTA,
    PLANT_MARKER_EARLY,
    PLANT_WATERMARK,
    PLANT_COUNTED_TWICE,
    PLANT_LATE_BY_BATCH,
    PLANT_UNSYNCED,
    PLANT_TWICE,
    PLANT_DEDUP_FORGETS,
    PLANT_OFFSET_FAR,
    PLANT_REPLAY_COUNTS,
    PLANT_NO_REPLAY,
    PLANT_ZOMBIE,
    PLANT_LATE_PARTITION,
    PLANT_RESET,
    PLANTS
} Plant;

extern Plant planted;
static inline bool plant(Plant p) { return planted == p; }
extern const char *const PLANT_NAMES[PLANTS];
