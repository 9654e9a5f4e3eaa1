/* One JSON array of any length as a stream of records. An element ends at the comma or bracket
 * behind it, so that is part of its piece; the next chunk begins with an element. What state a
 * piece is read in follows from the first byte of all and from the last one before the piece,
 * blanks left out, and from nothing else: reading may go on at any record, after a restart too, and
 * judges what follows as before. So what stands behind the closing bracket is one bad record,
 * whatever it holds.
 *
 * Brackets that do not match are closed as far as that makes sense: `{"a":[1}` ends with its `}`.
 * A string or a bracket that is not closed takes what follows with it. */
#include "format/json_array.h"

enum { BLANKS_MOST = 1 << 20 }; /* more of them are handed on rather than held */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static size_t blanks(Str bytes) {
    size_t size = 0;
    while (size < bytes.size && is_blank(bytes.data[size])) size++;
    return size;
}

static Str behind(Str bytes, size_t size) { return (Str){bytes.data + size, bytes.size - size}; }

static size_t order_mark(Str bytes) {
    return bytes.size >= 3 && memcmp(bytes.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

void array_mark(ArrayMark *mark, Str bytes, bool begin) {
    if (begin) bytes = behind(bytes, order_mark(bytes));
    if (!mark->first) {
        size_t skip = blanks(bytes);
        if (skip == bytes.size) return;
        mark->first = bytes.data[skip];
    }
    size_t end = bytes.size;
    while (end > 0 && is_blank(bytes.data[end - 1])) end--;
    if (end) mark->last = bytes.data[end - 1];
}

char array_place(const ArrayMark *mark) {
    if (!mark->first) return ARRAY_START;
    bool inside = mark->first == '[' && (mark->last == '[' || mark->last == ',');
    return inside ? ARRAY_INSIDE : ARRAY_OUTSIDE;
}

static void open_level(ArrayScan *s, bool object) {
    if (s->depth < JSON_DEPTH) {
        uint64_t bit = UINT64_C(1) << (s->depth % 64), *word = &s->objects[s->depth / 64];
        *word = object ? *word | bit : *word & ~bit;
    }
    s->depth++;
}

/* false: no such bracket is open. */
static bool close_level(ArrayScan *s, bool object) {
    int depth = s->depth;
    if (depth > JSON_DEPTH) {
        s->depth--;
        return true;
    }
    while (depth > 0 && (s->objects[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != object) depth--;
    if (depth > 0) s->depth = depth - 1;
    return depth > 0;
}

/* Bytes that matter outside of strings (1) and inside (2). */
static const uint8_t matters[256] = {
    ['"'] = 3, ['\\'] = 3, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1, [','] = 1,
};

static const char *skip_plain(const char *p, const char *end, uint8_t where) {
    while (end - p >= 4) {
        if (matters[(uint8_t)p[0]] & where) return p;
        if (matters[(uint8_t)p[1]] & where) return p + 1;
        if (matters[(uint8_t)p[2]] & where) return p + 2;
        if (matters[(uint8_t)p[3]] & where) return p + 3;
        p += 4;
    }
    while (p < end && !(matters[(uint8_t)*p] & where)) p++;
    return p;
}

size_t array_scan(ArrayScan *s, Str bytes) {
    const char *p = bytes.data, *end = p + bytes.size;
    for (; p < end; p++) {
        if (s->escaped) {
            s->escaped = false;
            continue;
        }
        p = skip_plain(p, end, s->in_string ? 2 : 1);
        if (p == end) break;
        if (*p == '\\') {
            s->escaped = true;
        } else if (*p == '"') {
            s->in_string = !s->in_string;
        } else if (*p == ',') {
            if (s->depth == 0) break;
        } else if (*p == '{' || *p == '[') {
            open_level(s, *p == '{');
        } else if (*p == '}') {
            (void)close_level(s, true);
        } else if (!close_level(s, false)) {
            break;
        }
    }
    return (size_t)(p - bytes.data);
}

size_t array_piece(Str bytes, char place, bool begin, ArrayPiece *piece) {
    *piece = (ArrayPiece){.place = place};
    size_t at = place == ARRAY_START && begin ? order_mark(bytes) : 0;
    at += blanks(behind(bytes, at));
    if (place == ARRAY_START && at < bytes.size) {
        piece->opened = bytes.data[at] == '[';
        piece->place = piece->opened ? ARRAY_INSIDE : ARRAY_OUTSIDE;
        at += piece->opened;
        at += blanks(behind(bytes, at));
    }
    Str rest = behind(bytes, at);
    size_t size = rest.size;
    if (piece->place == ARRAY_INSIDE) {
        ArrayScan scan = {0};
        size = array_scan(&scan, rest);
    }
    piece->text = (Str){rest.data, size};
    while (piece->text.size && is_blank(rest.data[piece->text.size - 1])) piece->text.size--;
    if (size < rest.size) piece->terminator = rest.data[size];
    piece->next = piece->terminator == ']' ? ARRAY_OUTSIDE : piece->place;
    return at + size + (piece->terminator != 0);
}

/* How many bytes are whole records, at most `most` of them. An element behind a comma must have
 * begun, so that the end of the bytes is told from the end of the array. */
static size_t whole_pieces(Str bytes, char place, bool last, int most) {
    size_t at = 0, whole = 0;
    for (int i = 0; i < most && at < bytes.size; i++) {
        ArrayPiece piece;
        Str rest = behind(bytes, at);
        size_t size = array_piece(rest, place, at == 0, &piece);
        if (!piece.terminator) {
            if (last || (!piece.text.size && rest.size > BLANKS_MOST)) whole = bytes.size;
            break;
        }
        at += size;
        place = piece.next;
        if (place == ARRAY_OUTSIDE) {
            whole = at;
            continue;
        }
        size_t more = blanks(behind(bytes, at));
        if (at + more < bytes.size || more > BLANKS_MOST) whole = at + more;
        else if (last) whole = bytes.size;
        at += more;
    }
    return whole;
}

size_t array_split(Str bytes, char place, bool last) {
    return last ? bytes.size : whole_pieces(bytes, place, false, INT32_MAX);
}

size_t array_first(Str bytes, char place, bool last) {
    return bytes.size ? whole_pieces(bytes, place, last, 1) : 0;
}
