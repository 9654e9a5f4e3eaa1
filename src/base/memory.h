/* Memory: an arena frees all at once; xmalloc and kin end the process with a message when memory is
 * gone (there is no sensible way to go on, and the home makes the next start safe). */
#pragma once
#include "base/str.h"

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena **);
void arena_reset(Arena *); /* forgets everything, keeps the largest block for the next use */
void *arena_alloc(Arena *, size_t size); /* 16-byte aligned, not zeroed */
void *arena_zero(Arena *, size_t size);  /* zeroed */
Str arena_str(Arena *, Str);             /* a copy, zero-terminated behind its end */
char *arena_text(Arena *, Str);          /* the same as a C string */
char *arena_format(Arena *, const char *format, ...) PRINTF(2, 3);
size_t arena_bytes(const Arena *); /* reserved from the system */

#define arena_new_array(arena, type, count)                                                        \
    ((type *)arena_zero((arena), sizeof(type) * (size_t)(count)))

void *xmalloc(size_t);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *, size_t);
char *xstrdup(const char *);
