/* A bounded queue of pointers between threads, limited by count and by bytes. One item is always
 * let in when the queue is empty, however large: a single large item must not block for ever. */
#pragma once
#include "base/status.h"

typedef struct Queue Queue;

Queue *queue_new(size_t most_items, size_t most_bytes);
void queue_free(Queue **); /* items left inside are the caller's to take out first */
/* Waits until there is room or `timeout_us` has passed (<0: for ever, 0: do not wait).
 * OK; AGAIN: no room in time; END: closed. */
CHECKED Status queue_push(Queue *, void *item, size_t bytes, int64_t timeout_us);
/* OK and *item; AGAIN: nothing in time; END: closed and empty. */
CHECKED Status queue_pop(Queue *, void **item, int64_t timeout_us);
void queue_close(Queue *); /* wakes all; what is inside can still be popped */
size_t queue_items(Queue *);
double queue_fill(Queue *); /* 0 … 1, the fuller of the two limits */
