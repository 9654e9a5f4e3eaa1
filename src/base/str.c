/* Comparing slices of bytes, and finding the name that a user probably meant. */
#include "base/str.h"
#include <stdlib.h>

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool str_equal_nocase(Str a, Str b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i])) return false;
    return true;
}

int str_compare(Str a, Str b) {
    size_t least = a.size < b.size ? a.size : b.size;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    if (order) return order;
    return (a.size > b.size) - (a.size < b.size);
}

enum { NAME_MOST = 64 }; /* longer names are not guessed at */

/* Edit distance where a swap of neighbours counts as one edit; case does not count. */
static int distance(const char *a, int a_size, const char *b, int b_size) {
    int rows[3][NAME_MOST + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= b_size; j++) last[j] = j;
    for (int i = 1; i <= a_size; i++) {
        now[0] = i;
        for (int j = 1; j <= b_size; j++) {
            int same = lower(a[i - 1]) == lower(b[j - 1]);
            int best = last[j - 1] + !same;
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_size];
}

const char *closest_name(const char *word, const char *const *names, int count) {
    size_t size = strlen(word);
    if (size == 0 || size > NAME_MOST) return NULL;
    int limit = (int)size / 3 > 2 ? (int)size / 3 : 2;
    if (limit >= (int)size) limit = (int)size - 1; /* a short word must share at least one letter */
    const char *best = NULL;
    for (int i = 0; i < count; i++) {
        size_t name_size = strlen(names[i]);
        if (name_size > NAME_MOST || abs((int)name_size - (int)size) > limit) continue;
        int edits = distance(word, (int)size, names[i], (int)name_size);
        if (edits > limit) continue;
        best = names[i];
        limit = edits - 1;
        if (limit < 0) break;
    }
    return best;
}
