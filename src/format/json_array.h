/* Where the elements of one long JSON array begin and end, chunk by chunk. */
#pragma once
#include "format/format.h"
#include "format/json_walk.h"

/* Where bytes begin, the `context` of split and first. */
enum { ARRAY_START = 0, ARRAY_INSIDE = ',', ARRAY_OUTSIDE = ']' };

/* What stood before some byte; all zero: nothing. */
typedef struct ArrayMark {
    char first, last; /* bytes that are no blanks; 0: there was none */
} ArrayMark;

/* Adds bytes; `begin`: they are the first of all, where a byte order mark may stand. */
void array_mark(ArrayMark *, Str bytes, bool begin);
char array_place(const ArrayMark *);

/* An element that is being stepped over; all zero: at its begin. */
typedef struct ArrayScan {
    uint64_t objects[JSON_DEPTH / 64 + 1]; /* bit: this level is an object */
    int depth;
    bool in_string, escaped;
} ArrayScan;
/* The offset of the comma or bracket that ends the element; the size: it is not there. */
size_t array_scan(ArrayScan *, Str bytes);

typedef struct ArrayPiece {
    Str text;        /* without blanks around it; empty: nothing stands there */
    char terminator; /* , or ] or 0: the bytes are over */
    char place;      /* where it stands */
    char next;       /* where what follows stands */
    bool opened;     /* it follows the opening bracket */
} ArrayPiece;
/* The size of the first piece of the bytes, its terminator included. */
size_t array_piece(Str bytes, char place, bool begin, ArrayPiece *);

size_t array_split(Str bytes, char place, bool last);
size_t array_first(Str bytes, char place, bool last);
