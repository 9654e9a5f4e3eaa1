/* The normal form of jsonb: what PostgreSQL prints, how it compares. An object's members are sorted
 * for each use; nothing is kept, since most jsonb passes through without ever being compared. */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/value.h"
#include <stdlib.h>

typedef struct Member {
    Str key; /* unescaped */
    Str value;
    int order; /* in the text: of equal keys the first counts */
} Member;

typedef struct Items {
    Member *members; /* of an array: keys are empty */
    int count;
} Items;

static int compare_keys(const void *a, const void *b) { /* by length first */
    const Member *x = a, *y = b;
    if (x->key.size != y->key.size) return x->key.size < y->key.size ? -1 : 1;
    return x->key.size ? memcmp(x->key.data, y->key.data, x->key.size) : 0;
}

static int compare_members(const void *a, const void *b) {
    int order = compare_keys(a, b);
    return order ? order : ((const Member *)a)->order - ((const Member *)b)->order;
}

static Items read_items(Str json, Arena *arena) {
    Items items = {0};
    int capacity = 0;
    JsonbIterator it;
    if (!jsonb_iterate(&it, json)) return items;
    Str key, value;
    while (jsonb_next(&it, &key, &value)) {
        if (items.count == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            Member *more = arena_alloc(arena, sizeof *more * (size_t)capacity);
            if (items.count) memcpy(more, items.members, sizeof *more * (size_t)items.count);
            items.members = more;
        }
        Member *member = &items.members[items.count];
        *member = (Member){.value = value, .order = items.count};
        if (it.kind == JSONB_OBJECT && !jsonb_string_view(key, &member->key, arena)) continue;
        items.count++;
    }
    if (it.kind == JSONB_ARRAY || items.count < 2) return items;
    qsort(items.members, (size_t)items.count, sizeof *items.members, compare_members);
    int kept = 1;
    for (int i = 1; i < items.count; i++)
        if (!str_equal(items.members[i].key, items.members[kept - 1].key))
            items.members[kept++] = items.members[i];
    items.count = kept;
    return items;
}

typedef struct Printer {
    Buffer *out;
    Arena *arena; /* made when an object or array comes: most values are neither */
    bool strip_zeros;
} Printer;

static void print_number(Printer *p, Str number) {
    bool plain = !p->strip_zeros && number.data[0] != '-';
    for (size_t i = 0; i < number.size && plain; i++) plain = (number.data[i] | 32) != 'e';
    if (plain) { /* it is printed as it is written */
        buffer_add_str(p->out, number);
        return;
    }
    if (!p->arena) p->arena = arena_new();
    Str numeric;
    if (numeric_parse(number, &numeric, p->arena, NULL) != OK)
        return; /* cannot be: the text is valid */
    numeric_text(p->strip_zeros ? numeric_normalize(numeric, p->arena) : numeric, p->out);
}

static void print_string(Printer *p, Str literal) {
    if (!memchr(literal.data, '\\', literal.size)) {
        buffer_add_str(p->out, literal);
        return;
    }
    if (!p->arena) p->arena = arena_new();
    Str text;
    if (jsonb_string_view(literal, &text, p->arena)) json_string(text, p->out);
}

static void print_value(Printer *p, Str value) {
    switch (jsonb_kind(value)) {
    case JSONB_NUMBER: print_number(p, value); return;
    case JSONB_STRING: print_string(p, value); return;
    case JSONB_ARRAY:
    case JSONB_OBJECT: break;
    default: buffer_add_str(p->out, value); return;
    }
    bool object = jsonb_kind(value) == JSONB_OBJECT;
    if (!p->arena) p->arena = arena_new();
    Items items = read_items(value, p->arena);
    buffer_add_char(p->out, object ? '{' : '[');
    for (int i = 0; i < items.count; i++) {
        if (i) buffer_add_text(p->out, ", ");
        if (object) {
            json_string(items.members[i].key, p->out);
            buffer_add_text(p->out, ": ");
        }
        print_value(p, items.members[i].value);
    }
    buffer_add_char(p->out, object ? '}' : ']');
}

static void print(Str value, bool strip_zeros, Buffer *out) {
    Printer p = {.out = out, .strip_zeros = strip_zeros};
    print_value(&p, value);
    arena_free(&p.arena);
}

bool jsonb_normalize(Str json, Buffer *out) {
    if (!jsonb_valid(json)) return false;
    print(jsonb_trim(json), false, out);
    return true;
}

void jsonb_key(Str json, Buffer *out) {
    if (jsonb_valid(json)) print(jsonb_trim(json), true, out);
    else buffer_add_str(out, json);
}

Status jsonb_as_text(Str json, Buffer *out, Error *error) {
    Str value = jsonb_trim(json);
    JsonbKind kind = jsonb_kind(value);
    bool good = kind == JSONB_STRING ? jsonb_string_text(value, out) : jsonb_valid(value);
    if (!good) return reject(error, "invalid input syntax for type json");
    if (kind == JSONB_NULL) return END;
    if (kind != JSONB_STRING) print(value, false, out);
    return OK;
}

/* ---- order ---- */

static int rank_of(Str value) { /* PostgreSQL's order of kinds */
    static const int ranks[] = {
        [JSONB_BAD] = -1,  [JSONB_NULL] = 0, [JSONB_STRING] = 1, [JSONB_NUMBER] = 2,
        [JSONB_FALSE] = 3, [JSONB_TRUE] = 3, [JSONB_ARRAY] = 4,  [JSONB_OBJECT] = 5};
    return ranks[jsonb_kind(value)];
}

static bool container(Str value) { return rank_of(value) >= 4; }

static int sign(int64_t difference) { return (difference > 0) - (difference < 0); }

static int compare_scalars(Str a, Str b, Arena *arena) {
    int order = rank_of(a) - rank_of(b);
    if (order) return order;
    switch (jsonb_kind(a)) {
    case JSONB_STRING: {
        Str x, y;
        if (!jsonb_string_view(a, &x, arena) || !jsonb_string_view(b, &y, arena))
            return str_compare(a, b);
        return str_compare(x, y);
    }
    case JSONB_NUMBER: {
        Str x, y;
        if (numeric_parse(a, &x, arena, NULL) != OK || numeric_parse(b, &y, arena, NULL) != OK)
            return str_compare(a, b);
        return numeric_compare(x, y);
    }
    case JSONB_FALSE:
    case JSONB_TRUE: return (jsonb_kind(a) == JSONB_TRUE) - (jsonb_kind(b) == JSONB_TRUE);
    default: return 0;
    }
}

static int compare_values(Str a, Str b, Arena *arena) {
    if (!container(a) || !container(b)) return compare_scalars(a, b, arena);
    int order = rank_of(a) - rank_of(b);
    if (order) return order;
    Items x = read_items(a, arena), y = read_items(b, arena);
    if (x.count != y.count) return x.count < y.count ? -1 : 1;
    for (int i = 0; i < x.count && order == 0; i++) {
        order = str_compare(x.members[i].key, y.members[i].key);
        if (order == 0) order = compare_values(x.members[i].value, y.members[i].value, arena);
    }
    return order;
}

/* At the top a scalar counts as an array of one, a little less than a true array of one: so an
 * empty array comes before every scalar. PostgreSQL calls this historical and keeps it. */
static int compare_top(Str a, Str b, Arena *arena) {
    bool a_array = jsonb_kind(a) == JSONB_ARRAY, b_array = jsonb_kind(b) == JSONB_ARRAY;
    if (a_array && !container(b)) {
        int64_t length = jsonb_array_length(a);
        return length == 1 ? 1 : sign(length - 1);
    }
    if (b_array && !container(a)) {
        int64_t length = jsonb_array_length(b);
        return length == 1 ? -1 : sign(1 - length);
    }
    return compare_values(a, b, arena);
}

int jsonb_compare(Str a, Str b) {
    a = jsonb_trim(a);
    b = jsonb_trim(b);
    if (str_equal(a, b)) return 0;
    bool a_good = jsonb_valid(a), b_good = jsonb_valid(b);
    if (!a_good || !b_good) return a_good != b_good ? a_good - b_good : str_compare(a, b);
    Arena *arena = arena_new();
    int order = compare_top(a, b, arena);
    arena_free(&arena);
    return sign(order);
}

/* ---- containment ---- */

static bool contains(Str a, Str b, Arena *arena);

static bool array_contains_item(const Items *a, Str item, Arena *arena) {
    for (int i = 0; i < a->count; i++) {
        Str own = a->members[i].value;
        if (container(item) ? container(own) && contains(own, item, arena)
                            : !container(own) && compare_scalars(own, item, arena) == 0)
            return true;
    }
    return false;
}

static bool contains(Str a, Str b, Arena *arena) {
    if (rank_of(a) != rank_of(b)) return false;
    if (!container(a)) return compare_scalars(a, b, arena) == 0;
    Items x = read_items(a, arena), y = read_items(b, arena);
    bool object = jsonb_kind(a) == JSONB_OBJECT;
    if (object && x.count < y.count) return false;
    for (int i = 0; i < y.count; i++) {
        if (!object) {
            if (!array_contains_item(&x, y.members[i].value, arena)) return false;
            continue;
        }
        Member *own =
            bsearch(&y.members[i], x.members, (size_t)x.count, sizeof *x.members, compare_keys);
        if (!own || !contains(own->value, y.members[i].value, arena)) return false;
    }
    return true;
}

bool jsonb_contains(Str a, Str b) {
    if (!jsonb_valid(a) || !jsonb_valid(b)) return false;
    a = jsonb_trim(a);
    b = jsonb_trim(b);
    Arena *arena = arena_new();
    bool result;
    if (jsonb_kind(a) == JSONB_ARRAY &&
        !container(b)) { /* an array contains its scalars, at the top only */
        Items items = read_items(a, arena);
        result = array_contains_item(&items, b, arena);
    } else {
        result = contains(a, b, arena);
    }
    arena_free(&arena);
    return result;
}

bool jsonb_exists(Str json, Str key) {
    Str value = jsonb_trim(json), item;
    bool found = false;
    if (jsonb_kind(value) == JSONB_OBJECT) return jsonb_get_key(value, key, &item);
    Arena *arena = arena_new();
    Str text;
    if (jsonb_kind(value) == JSONB_STRING)
        found = jsonb_string_view(value, &text, arena) && str_equal(text, key);
    JsonbIterator it;
    if (jsonb_iterate(&it, value))
        while (!found && jsonb_next(&it, NULL, &item))
            found = jsonb_kind(item) == JSONB_STRING && jsonb_string_view(item, &text, arena) &&
                    str_equal(text, key);
    arena_free(&arena);
    return found;
}
