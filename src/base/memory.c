/* Arenas are lists of blocks that double in size, so that one which is reset again and again soon
 * has a single block that holds everything. Under AddressSanitizer unused bytes are poisoned: a
 * pointer kept beyond its arena's reset is then caught in the tests. Memory that is gone ends the
 * process: there is no sensible way to go on, and the home makes the next start safe. */
#include "base/memory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum { ALIGN = 16, FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20 };

typedef struct Block Block;
struct Block {
    Block *next;
    size_t size; /* of the bytes behind this header */
};

struct Arena {
    Block *blocks; /* the newest first */
    char *at, *end;
    size_t bytes;
    size_t next_size;
};

static_assert(sizeof(Block) % ALIGN == 0, "blocks keep the alignment");

static _Noreturn void out_of_memory(size_t size) {
    fprintf(stderr, "out of memory: %zu bytes were asked for\n", size);
    abort();
}

Arena *arena_new(void) {
    Arena *arena = xcalloc(1, sizeof *arena);
    arena->next_size = FIRST_BLOCK;
    return arena;
}

static void blocks_free(Block *block) {
    while (block) {
        Block *next = block->next;
        ASAN_UNPOISON_MEMORY_REGION(block + 1, block->size);
        free(block);
        block = next;
    }
}

void arena_free(Arena **arena) {
    if (!*arena) return;
    blocks_free((*arena)->blocks);
    free(*arena);
    *arena = NULL;
}

void arena_reset(Arena *arena) {
    Block *keep = NULL;
    for (Block *b = arena->blocks; b; b = b->next)
        if (!keep || b->size > keep->size) keep = b;
    if (!keep) return;
    for (Block **at = &arena->blocks; *at; at = &(*at)->next) {
        if (*at != keep) continue;
        *at = keep->next;
        break;
    }
    blocks_free(arena->blocks);
    keep->next = NULL;
    arena->blocks = keep;
    arena->bytes = keep->size;
    arena->at = (char *)(keep + 1);
    arena->end = arena->at + keep->size;
    ASAN_POISON_MEMORY_REGION(arena->at, keep->size);
}

static void *alloc_in_new_block(Arena *arena, size_t size) {
    size_t block_size = arena->next_size;
    if (arena->next_size < LAST_BLOCK) arena->next_size *= 2;
    if (block_size < size) {
        if (size > SIZE_MAX / 2) out_of_memory(size);
        block_size = size;
        /* The next reset keeps this one; what follows should still double towards it. */
        while (arena->next_size < block_size && arena->next_size < LAST_BLOCK)
            arena->next_size *= 2;
    }
    Block *block = xmalloc(sizeof *block + block_size);
    block->size = block_size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->bytes += block_size;
    char *start = (char *)(block + 1);
    ASAN_POISON_MEMORY_REGION(start, block_size);
    ASAN_UNPOISON_MEMORY_REGION(start, size);
    arena->at = start + size;
    arena->end = start + block_size;
    return start;
}

void *arena_alloc(Arena *arena, size_t size) {
    size_t rounded = (size + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
    if (rounded < size) out_of_memory(size);
    if (rounded == 0) rounded = ALIGN;
    if ((size_t)(arena->end - arena->at) < rounded) return alloc_in_new_block(arena, rounded);
    char *at = arena->at;
    arena->at += rounded;
    ASAN_UNPOISON_MEMORY_REGION(at, size);
    return at;
}

void *arena_zero(Arena *arena, size_t size) {
    void *at = arena_alloc(arena, size);
    memset(at, 0, size);
    return at;
}

char *arena_text(Arena *arena, Str s) {
    char *copy = arena_alloc(arena, s.size + 1);
    if (s.size) memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

Str arena_str(Arena *arena, Str s) { return (Str){arena_text(arena, s), s.size}; }

char *arena_format(Arena *arena, const char *format, ...) {
    char room[256];
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(room, sizeof room, format, args);
    char *text;
    if (size < 0 || (size_t)size < sizeof room) {
        text = arena_text(arena, (Str){room, size < 0 ? 0 : (size_t)size});
    } else {
        text = arena_alloc(arena, (size_t)size + 1);
        vsnprintf(text, (size_t)size + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return text;
}

size_t arena_bytes(const Arena *arena) { return arena->bytes; }

void *xmalloc(size_t size) {
    void *at = malloc(size ? size : 1);
    if (!at) out_of_memory(size);
    return at;
}

void *xcalloc(size_t count, size_t size) {
    void *at = calloc(count ? count : 1, size ? size : 1);
    if (!at) out_of_memory(count * size);
    return at;
}

void *xrealloc(void *old, size_t size) {
    void *at = realloc(old, size ? size : 1);
    if (!at) out_of_memory(size);
    return at;
}

char *xstrdup(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}
