/* A binary heap. Times mostly grow, so that a new value stays where it is put, at the end. */
#include "operator/aging.h"
#include <stdlib.h>
#include <string.h>

typedef struct Item {
    int64_t due;
    char *value;
} Item;

struct Aging {
    size_t place; /* in a value */
    Item *items;
    uint32_t count, capacity;
};

Aging *aging_new(size_t place) {
    Aging *a = xcalloc(1, sizeof *a);
    a->place = place;
    return a;
}

void aging_free(Aging **a) {
    if (!*a) return;
    free((*a)->items);
    free(*a);
    *a = NULL;
}

static uint32_t place_of(const Aging *a, const char *value) {
    uint32_t place;
    memcpy(&place, value + a->place, sizeof place);
    return place;
}

static void set_place(const Aging *a, char *value, uint32_t place) {
    memcpy(value + a->place, &place, sizeof place);
}

static void set(Aging *a, uint32_t at, Item item) {
    a->items[at] = item;
    set_place(a, item.value, at + 1);
}

static void rise(Aging *a, uint32_t at) {
    Item item = a->items[at];
    for (; at > 0 && a->items[(at - 1) / 2].due > item.due; at = (at - 1) / 2)
        set(a, at, a->items[(at - 1) / 2]);
    set(a, at, item);
}

static void sink(Aging *a, uint32_t at) {
    Item item = a->items[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= a->count) break;
        if (child + 1 < a->count && a->items[child + 1].due < a->items[child].due) child++;
        if (a->items[child].due >= item.due) break;
        set(a, at, a->items[child]);
        at = child;
    }
    set(a, at, item);
}

static void settle(Aging *a, uint32_t at) {
    if (at > 0 && a->items[(at - 1) / 2].due > a->items[at].due) rise(a, at);
    else sink(a, at);
}

void aging_put(Aging *a, void *value, int64_t due) {
    uint32_t place = place_of(a, value);
    if (place) {
        a->items[place - 1].due = due;
        settle(a, place - 1);
        return;
    }
    if (a->count == a->capacity) {
        a->capacity = a->capacity ? a->capacity * 2 : 64;
        a->items = xrealloc(a->items, sizeof *a->items * a->capacity);
    }
    a->items[a->count] = (Item){due, value};
    rise(a, a->count++);
}

void aging_remove(Aging *a, void *value) {
    uint32_t place = place_of(a, value);
    if (!place) return;
    set_place(a, value, 0);
    Item last = a->items[--a->count];
    if (place - 1 == a->count) return;
    a->items[place - 1] = last;
    settle(a, place - 1);
}

void *aging_first(const Aging *a, int64_t *due) {
    if (a->count == 0) return NULL;
    *due = a->items[0].due;
    return a->items[0].value;
}
