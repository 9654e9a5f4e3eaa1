/* A ring of pointers under one mutex. Items are whole chunks or batches, so a lock for each costs
 * nothing next to what is in them, and a mutex is easy to be sure of. */
#include "base/queue.h"
#include "base/memory.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef struct Item {
    void *pointer;
    size_t bytes;
} Item;

struct Queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    Item *ring;
    size_t capacity, first, items, bytes, most_bytes;
    bool closed;
};

Queue *queue_new(size_t most_items, size_t most_bytes) {
    Queue *queue = xcalloc(1, sizeof *queue);
    queue->capacity = most_items ? most_items : 1;
    queue->most_bytes = most_bytes;
    queue->ring = xcalloc(queue->capacity, sizeof *queue->ring);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a set clock must not hang a wait */
    pthread_cond_init(&queue->not_empty, &attributes);
    pthread_cond_init(&queue->not_full, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&queue->lock, NULL);
    return queue;
}

void queue_free(Queue **queue) {
    if (!*queue) return;
    pthread_cond_destroy(&(*queue)->not_empty);
    pthread_cond_destroy(&(*queue)->not_full);
    pthread_mutex_destroy(&(*queue)->lock);
    free((*queue)->ring);
    free(*queue);
    *queue = NULL;
}

static struct timespec deadline_of(int64_t timeout_us) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    if (timeout_us > INT64_C(1000000) * 86400 * 365) timeout_us = INT64_C(1000000) * 86400 * 365;
    int64_t ns = at.tv_nsec + timeout_us % 1000000 * 1000;
    at.tv_sec += (time_t)(timeout_us / 1000000 + ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

/* false: the time is over. */
static bool wait_for(Queue *queue, pthread_cond_t *condition, int64_t timeout_us,
                     const struct timespec *deadline) {
    if (timeout_us == 0) return false;
    if (timeout_us < 0) return pthread_cond_wait(condition, &queue->lock) == 0;
    return pthread_cond_timedwait(condition, &queue->lock, deadline) != ETIMEDOUT;
}

static bool has_room(const Queue *queue, size_t bytes) {
    if (queue->items == 0) return true;
    return queue->items < queue->capacity && queue->bytes < queue->most_bytes &&
           bytes <= queue->most_bytes - queue->bytes;
}

Status queue_push(Queue *queue, void *item, size_t bytes, int64_t timeout_us) {
    struct timespec deadline = {0};
    if (timeout_us > 0) deadline = deadline_of(timeout_us);
    pthread_mutex_lock(&queue->lock);
    bool in_time = true;
    while (!queue->closed && !has_room(queue, bytes) && in_time)
        in_time = wait_for(queue, &queue->not_full, timeout_us, &deadline);
    Status status = AGAIN;
    if (queue->closed) {
        status = END;
    } else if (has_room(queue, bytes)) {
        queue->ring[(queue->first + queue->items) % queue->capacity] = (Item){item, bytes};
        queue->items++;
        queue->bytes += bytes;
        pthread_cond_signal(&queue->not_empty);
        status = OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return status;
}

Status queue_pop(Queue *queue, void **item, int64_t timeout_us) {
    struct timespec deadline = {0};
    if (timeout_us > 0) deadline = deadline_of(timeout_us);
    pthread_mutex_lock(&queue->lock);
    bool in_time = true;
    while (!queue->closed && queue->items == 0 && in_time)
        in_time = wait_for(queue, &queue->not_empty, timeout_us, &deadline);
    Status status = queue->closed ? END : AGAIN;
    if (queue->items > 0) {
        Item *first = &queue->ring[queue->first];
        *item = first->pointer;
        queue->first = (queue->first + 1) % queue->capacity;
        queue->items--;
        queue->bytes -= first->bytes;
        /* Waiters want different sizes: the one that is woken may not fit, another may. */
        pthread_cond_broadcast(&queue->not_full);
        status = OK;
    }
    pthread_mutex_unlock(&queue->lock);
    return status;
}

void queue_close(Queue *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
}

size_t queue_items(Queue *queue) {
    pthread_mutex_lock(&queue->lock);
    size_t items = queue->items;
    pthread_mutex_unlock(&queue->lock);
    return items;
}

size_t queue_bytes(Queue *queue) {
    pthread_mutex_lock(&queue->lock);
    size_t bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}

double queue_fill(Queue *queue) {
    pthread_mutex_lock(&queue->lock);
    double items = (double)queue->items / (double)queue->capacity;
    double bytes = queue->most_bytes ? (double)queue->bytes / (double)queue->most_bytes : items;
    pthread_mutex_unlock(&queue->lock);
    double fill = items > bytes ? items : bytes;
    return fill < 1 ? fill : 1;
}
