/* Str is a borrowed slice of bytes; Buffer is a growing, owned one. */
#pragma once
#include "base/status.h"
#include <string.h>

typedef struct Str {
    const char *data; /* not zero-terminated, may be NULL when size is 0 */
    size_t size;      /* bytes */
} Str;

#define STR(literal) ((Str){literal, sizeof(literal) - 1})
#define STR_ARG(s) (int)(s).size, (s).data /* for "%.*s" */

static inline Str str_from(const char *text) { return (Str){text, text ? strlen(text) : 0}; }
static inline bool str_equal(Str a, Str b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
bool str_equal_nocase(Str a, Str b); /* ASCII letters only */
int str_compare(Str a, Str b);       /* bytewise, as collation C: <0, 0, >0 */
/* The one of `count` names that is closest to `word` by edit distance (at most 2, or a third of the
 * length), or NULL: for "did you mean". */
const char *closest_name(const char *word, const char *const *names, int count);

typedef struct Buffer {
    char *data; /* owned; zero-initialise to start */
    size_t size, capacity;
} Buffer;

char *buffer_reserve(Buffer *, size_t more); /* room for `more` bytes at the end; returns the end */
void buffer_add(Buffer *, const void *data, size_t size);
void buffer_add_str(Buffer *, Str);
void buffer_add_text(Buffer *, const char *text);
void buffer_add_char(Buffer *, char);
void buffer_add_format(Buffer *, const char *format, ...) PRINTF(2, 3);
void buffer_free(Buffer *); /* empties it; may be used again */
static inline Str buffer_str(const Buffer *b) { return (Str){b->data, b->size}; }

/* Binary records (state, positions, outbox): little-endian integers, varint lengths. */
void buffer_add_u8(Buffer *, uint8_t);
void buffer_add_u32(Buffer *, uint32_t);
void buffer_add_i64(Buffer *, int64_t);
void buffer_add_f64(Buffer *, double);
void buffer_add_varint(Buffer *, uint64_t);
void buffer_add_sized(Buffer *, Str); /* varint length, then the bytes */

typedef struct Reader { /* reads what the functions above wrote; never past the end */
    const char *at, *end;
    bool bad; /* set once something did not fit; all later reads give 0 */
} Reader;

static inline Reader reader_of(Str s) { return (Reader){s.data, s.data + s.size, false}; }
uint8_t read_u8(Reader *);
uint32_t read_u32(Reader *);
int64_t read_i64(Reader *);
double read_f64(Reader *);
uint64_t read_varint(Reader *);
Str read_sized(Reader *); /* a view into the reader's bytes */
