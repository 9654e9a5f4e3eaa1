/* Text functions that cut, find, replace and fill: positions count characters from 1, as SQL's do.
 * Searching is bytewise (right for valid UTF-8, where no character is part of another); only the
 * position that is told or given is counted in characters. Everything that may grow is bounded by
 * TEXT_MOST. */
#include "expr/library.h"

static const char *find(Str in, Str what) {
    if (what.size == 0) return in.data;
    return in.size < what.size ? NULL : memmem(in.data, in.size, what.data, what.size);
}

static void position_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], what = args[1]->strs[row];
        const char *at = find(s, what);
        column_ints(out)[row] = what.size == 0 ? 1
                                : at           ? character_count(str_slice(s.data, at)) + 1
                                               : 0;
    }
}

/* Characters from `start` (1-based, may be below 1) up to but without `stop`. */
static Str substring(Str s, int64_t start, int64_t stop) {
    if (start < 1) start = 1;
    if (stop <= start || s.size == 0) return (Str){s.data, 0};
    const char *end = s.data + s.size;
    const char *from = utf8_skip(s.data, end, start - 1);
    if (stop - start >= end - from) return str_slice(from, end);
    return str_slice(from, utf8_skip(from, end, stop - start));
}

static Str byte_substring(Str s, int64_t start, int64_t stop) {
    if (start < 1) start = 1;
    if (stop > (int64_t)s.size + 1) stop = (int64_t)s.size + 1;
    return stop <= start ? (Str){s.data, 0} : (Str){s.data + start - 1, (size_t)(stop - start)};
}

static void substring_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    bool bytes = args[0]->type.kind == TYPE_BYTEA;
    EACH_OK_ROW(row) {
        int64_t start = args[1]->ints[row], stop = INT64_MAX;
        if (call->arg_count > 2) {
            int64_t length = args[2]->ints[row];
            stop = start + length;
            if (length < 0) {
                column_fail(call, out, row, "negative substring length not allowed");
                continue;
            }
        }
        Str s = args[0]->strs[row];
        column_strs(out)[row] = bytes ? byte_substring(s, start, stop) : substring(s, start, stop);
    }
}

static void left_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        int64_t count = args[1]->ints[row];
        if (count < 0) count += character_count(s);
        column_strs(out)[row] = count <= 0 ? (Str){s.data, 0} : substring(s, 1, count + 1);
    }
}

static void right_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        int64_t count = args[1]->ints[row], length = character_count(s);
        int64_t skip = count < 0 ? -count : length - count;
        column_strs(out)[row] =
            skip >= length ? (Str){s.data, 0} : substring(s, skip + 1, INT64_MAX);
    }
}

static void overlay_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    bool bytes = args[0]->type.kind == TYPE_BYTEA;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], with = args[1]->strs[row];
        int64_t start = args[2]->ints[row];
        int64_t length = call->arg_count > 3 ? args[3]->ints[row]
                         : bytes             ? (int64_t)with.size
                                             : character_count(with);
        if (start <= 0) {
            column_fail(call, out, row, "negative substring length not allowed");
            continue;
        }
        if (start + length > INT32_MAX || start + length < INT32_MIN) {
            column_fail(call, out, row, "integer out of range");
            continue;
        }
        Str head = bytes ? byte_substring(s, 1, start) : substring(s, 1, start);
        Str tail = bytes ? byte_substring(s, start + length, INT64_MAX)
                         : substring(s, start + length, INT64_MAX);
        size_t size = head.size + with.size + tail.size;
        char *to = make_text(call, out, row, size);
        if (!to) continue;
        memcpy(to, head.data ? head.data : "", head.size);
        memcpy(to + head.size, with.data ? with.data : "", with.size);
        memcpy(to + head.size + with.size, tail.data ? tail.data : "", tail.size);
        column_strs(out)[row] = (Str){to, size};
    }
}

/* The n-th field from the left (n > 0), as a view. */
static Str field_at(Str s, Str delimiter, int64_t n) {
    const char *end = s.data + s.size;
    for (;; n--) {
        const char *at = find(str_slice(s.data, end), delimiter);
        if (n == 1) return str_slice(s.data, at ? at : end);
        if (!at) return (Str){end, 0};
        s.data = at + delimiter.size;
    }
}

static void split_part_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], delimiter = args[1]->strs[row];
        int64_t n = args[2]->ints[row];
        Str *to = &column_strs(out)[row];
        *to = (Str){s.data, 0};
        if (n == 0) column_fail(call, out, row, "field position must not be zero");
        else if (s.size == 0) continue;
        else if (delimiter.size == 0) *to = n == 1 || n == -1 ? s : *to;
        else {
            if (n < 0) { /* fields are cut from the left, whichever end they are counted from */
                int64_t fields = 1;
                const char *end = s.data + s.size;
                for (const char *at = s.data; (at = find(str_slice(at, end), delimiter));
                     at += delimiter.size)
                    fields++;
                n += fields + 1;
            }
            if (n > 0) *to = field_at(s, delimiter, n);
        }
    }
}

static void replace_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], from = args[1]->strs[row], to = args[2]->strs[row];
        const char *at = from.size == 0 ? NULL : find(s, from), *end = s.data + s.size;
        if (!at) {
            column_strs(out)[row] = s;
            continue;
        }
        made.size = 0;
        for (; at && made.size <= TEXT_MOST; at = find(str_slice(s.data, end), from)) {
            buffer_add(&made, s.data, (size_t)(at - s.data));
            buffer_add_str(&made, to);
            s.data = at + from.size;
        }
        buffer_add(&made, s.data, (size_t)(end - s.data));
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

static void translate_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], from = args[1]->strs[row], to = args[2]->strs[row];
        const char *end = s.data + s.size, *from_end = from.data + from.size,
                   *to_end = to.data + to.size;
        made.size = 0;
        for (const char *at = s.data; at < end && made.size <= TEXT_MOST;) {
            size_t step = utf8_step(at, end);
            const char *put = to.data;
            size_t put_step = to.data < to_end ? utf8_step(put, to_end) : 0;
            const char *f = from.data;
            for (; f < from_end; f += utf8_step(f, from_end)) {
                if (utf8_step(f, from_end) == step && memcmp(f, at, step) == 0) break;
                put += put_step;
                put_step = put < to_end ? utf8_step(put, to_end) : 0;
            }
            if (f >= from_end) buffer_add(&made, at, step);
            else if (put_step) buffer_add(&made, put, put_step);
            at += step;
        }
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

static void repeat_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        int64_t count = args[1]->ints[row];
        if (count <= 0 || s.size == 0) {
            column_strs(out)[row] = (Str){s.data, 0};
            continue;
        }
        bool fits = s.size <= TEXT_MOST && count <= (int64_t)(TEXT_MOST / s.size);
        size_t size = fits ? s.size * (size_t)count : SIZE_MAX;
        char *to = make_text(call, out, row, size);
        if (!to) continue;
        for (size_t at = 0; at < size; at += s.size) memcpy(to + at, s.data, s.size);
        column_strs(out)[row] = (Str){to, size};
    }
}

static void pad_rows(Call *call, int rows, const Column *const *args, Column *out, bool left) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], fill = call->arg_count > 2 ? args[2]->strs[row] : STR(" ");
        int64_t wanted = args[1]->ints[row], length = character_count(s);
        if (wanted <= length || fill.size == 0) {
            column_strs(out)[row] = wanted <= 0 ? (Str){s.data, 0} : substring(s, 1, wanted + 1);
            continue;
        }
        if (wanted > TEXT_MOST) {
            column_fail(call, out, row, "requested length too large");
            continue;
        }
        made.size = 0;
        if (!left) buffer_add_str(&made, s);
        const char *at = fill.data, *end = fill.data + fill.size;
        for (int64_t i = length; i < wanted && made.size <= TEXT_MOST; i++) {
            size_t step = utf8_step(at, end);
            buffer_add(&made, at, step);
            at = at + step < end ? at + step : fill.data;
        }
        if (left) buffer_add_str(&made, s);
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

static void lpad_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    pad_rows(call, rows, args, out, true);
}
static void rpad_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    pad_rows(call, rows, args, out, false);
}

#define S FUNCTION_STRICT
const Function text_part_functions[] = {
    {"position",
     TYPE_INT4,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     position_kernel,
     NULL,
     "position(part in text): where the part first stands, from 1; 0 if nowhere"},
    {"strpos",
     TYPE_INT4,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     position_kernel,
     NULL,
     "strpos(text, part): where the part first stands, from 1; 0 if nowhere"},
    {"substring",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "substring(text from start): from that character on"},
    {"substring",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_INT4, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "substring(text from start for count)"},
    {"substring",
     TYPE_BYTEA,
     2,
     {TYPE_BYTEA, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "bytes from that one on"},
    {"substring",
     TYPE_BYTEA,
     3,
     {TYPE_BYTEA, TYPE_INT4, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "that many bytes"},
    {"substr",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "substr(text, start)"},
    {"substr",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_INT4, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "substr(text, start, count)"},
    {"substr",
     TYPE_BYTEA,
     2,
     {TYPE_BYTEA, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "bytes from that one on"},
    {"substr",
     TYPE_BYTEA,
     3,
     {TYPE_BYTEA, TYPE_INT4, TYPE_INT4},
     S,
     substring_kernel,
     NULL,
     "that many bytes"},
    {"left",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     left_kernel,
     NULL,
     "the first n characters; n < 0: all but the last -n"},
    {"right",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     right_kernel,
     NULL,
     "the last n characters; n < 0: all but the first -n"},
    {"overlay",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_TEXT, TYPE_INT4},
     S,
     overlay_kernel,
     NULL,
     "overlay(text placing new from start)"},
    {"overlay",
     TYPE_TEXT,
     4,
     {TYPE_TEXT, TYPE_TEXT, TYPE_INT4, TYPE_INT4},
     S,
     overlay_kernel,
     NULL,
     "overlay(text placing new from start for count)"},
    {"overlay", TYPE_BYTEA, 3, {TYPE_BYTEA, TYPE_BYTEA, TYPE_INT4}, S, overlay_kernel, NULL, NULL},
    {"overlay",
     TYPE_BYTEA,
     4,
     {TYPE_BYTEA, TYPE_BYTEA, TYPE_INT4, TYPE_INT4},
     S,
     overlay_kernel,
     NULL,
     NULL},
    {"split_part",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_TEXT, TYPE_INT4},
     S,
     split_part_kernel,
     NULL,
     "split_part(text, delimiter, n): the n-th field; n < 0 counts from the end"},
    {"replace",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_TEXT, TYPE_TEXT},
     S,
     replace_kernel,
     NULL,
     "replace(text, from, to): every occurrence; at most 64 MB"},
    {"translate",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_TEXT, TYPE_TEXT},
     S,
     translate_kernel,
     NULL,
     "translate(text, from, to): character by character; those without a partner are dropped"},
    {"repeat",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     repeat_kernel,
     NULL,
     "repeat(text, n); an error beyond 64 MB (PostgreSQL: 1 GB)"},
    {"lpad",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     lpad_kernel,
     NULL,
     "filled with blanks on the left, or cut on the right, to n characters; at most 64 MB"},
    {"lpad",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_INT4, TYPE_TEXT},
     S,
     lpad_kernel,
     NULL,
     "lpad(text, n, fill)"},
    {"rpad",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_INT4},
     S,
     rpad_kernel,
     NULL,
     "filled with blanks on the right, or cut, to n characters; at most 64 MB"},
    {"rpad",
     TYPE_TEXT,
     3,
     {TYPE_TEXT, TYPE_INT4, TYPE_TEXT},
     S,
     rpad_kernel,
     NULL,
     "rpad(text, n, fill)"},
    {0},
};
