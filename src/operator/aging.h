/* Values in the order in which they are due, so that what was not touched for long is found without
 * a look at the rest: a heap that knows each value's place and can move it. */
#pragma once
#include "base/memory.h"

typedef struct Aging Aging;

/* `place`: where in a value it may keep 4 bytes, which are 0 while the value is not in. */
Aging *aging_new(size_t place);
void aging_free(Aging **);                         /* not the values */
void aging_put(Aging *, void *value, int64_t due); /* puts it in, or moves it */
void aging_remove(Aging *, void *value);           /* if it is in */
/* The one that is due first; NULL: none. */
void *aging_first(const Aging *, int64_t *due);
enum { AGING_BYTES = 16 }; /* for each value */
