/* A ring of pointers under one mutex. Items are whole chunks or batches, so a lock for each costs
 * nothing next to what is in them, and a mutex is easy to be sure of. */
#include "base/queue.h"
#include "base/env.h"
#include "base/memory.h"
#include "base/thread.h"
#include <stdlib.h>

typedef struct Item {
    void *pointer;
    size_t bytes;
} Item;

struct Queue {
    Mutex lock;
    Cond not_empty, not_full;
    Item *ring;
    size_t capacity, first, items, bytes, most_bytes;
    bool closed;
};

Queue *queue_new(size_t most_items, size_t most_bytes) {
    Queue *queue = xcalloc(1, sizeof *queue);
    queue->capacity = most_items ? most_items : 1;
    queue->most_bytes = most_bytes;
    queue->ring = xcalloc(queue->capacity, sizeof *queue->ring);
    cond_init(&queue->not_empty);
    cond_init(&queue->not_full);
    mutex_init(&queue->lock);
    return queue;
}

void queue_free(Queue **queue) {
    if (!*queue) return;
    cond_destroy(&(*queue)->not_empty);
    cond_destroy(&(*queue)->not_full);
    mutex_destroy(&(*queue)->lock);
    free((*queue)->ring);
    free(*queue);
    *queue = NULL;
}

static int64_t now_us(void) {
    Env *env = env_system();
    return env->monotonic_us(env);
}

/* false: the time is over. */
static bool wait_for(Queue *queue, Cond *condition, int64_t timeout_us, int64_t until_us) {
    if (timeout_us == 0) return false;
    if (timeout_us < 0) {
        cond_wait(condition, &queue->lock);
        return true;
    }
    return cond_wait_for(condition, &queue->lock, until_us - now_us());
}

static bool has_room(const Queue *queue, size_t bytes) {
    if (queue->items == 0) return true;
    return queue->items < queue->capacity && queue->bytes < queue->most_bytes &&
           bytes <= queue->most_bytes - queue->bytes;
}

Status queue_push(Queue *queue, void *item, size_t bytes, int64_t timeout_us) {
    int64_t until_us = timeout_us > 0 ? now_us() + timeout_us : 0;
    mutex_lock(&queue->lock);
    bool in_time = true;
    while (!queue->closed && !has_room(queue, bytes) && in_time)
        in_time = wait_for(queue, &queue->not_full, timeout_us, until_us);
    Status status = AGAIN;
    if (queue->closed) {
        status = END;
    } else if (has_room(queue, bytes)) {
        queue->ring[(queue->first + queue->items) % queue->capacity] = (Item){item, bytes};
        queue->items++;
        queue->bytes += bytes;
        cond_signal(&queue->not_empty);
        status = OK;
    }
    mutex_unlock(&queue->lock);
    return status;
}

Status queue_pop(Queue *queue, void **item, int64_t timeout_us) {
    int64_t until_us = timeout_us > 0 ? now_us() + timeout_us : 0;
    mutex_lock(&queue->lock);
    bool in_time = true;
    while (!queue->closed && queue->items == 0 && in_time)
        in_time = wait_for(queue, &queue->not_empty, timeout_us, until_us);
    Status status = queue->closed ? END : AGAIN;
    if (queue->items > 0) {
        Item *first = &queue->ring[queue->first];
        *item = first->pointer;
        queue->first = (queue->first + 1) % queue->capacity;
        queue->items--;
        queue->bytes -= first->bytes;
        /* Waiters want different sizes: the one that is woken may not fit, another may. */
        cond_broadcast(&queue->not_full);
        status = OK;
    }
    mutex_unlock(&queue->lock);
    return status;
}

void queue_close(Queue *queue) {
    mutex_lock(&queue->lock);
    queue->closed = true;
    cond_broadcast(&queue->not_empty);
    cond_broadcast(&queue->not_full);
    mutex_unlock(&queue->lock);
}

size_t queue_items(Queue *queue) {
    mutex_lock(&queue->lock);
    size_t items = queue->items;
    mutex_unlock(&queue->lock);
    return items;
}

double queue_fill(Queue *queue) {
    mutex_lock(&queue->lock);
    double items = (double)queue->items / (double)queue->capacity;
    double bytes = queue->most_bytes ? (double)queue->bytes / (double)queue->most_bytes : items;
    mutex_unlock(&queue->lock);
    double fill = items > bytes ? items : bytes;
    return fill < 1 ? fill : 1;
}
