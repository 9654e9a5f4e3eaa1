/* Rows against events. A row names its event by eventId, which leads to the event's number; the
 * event is made again and compared with the row member by member, as JSON values: order, blanks and
 * the spelling of numbers do not matter, a time is an instant. A row may hold more than the event,
 * or only some of it; then what it holds is compared. For each event one byte counts its rows, so
 * ten million events need ten megabytes. */
#include "cli/verify.h"
#include "data/jsonb.h"
#include "data/time.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdlib.h>

const char *const wrong_names[WRONGS] = {"missing", "unexpected", "duplicated", "changed"};
const char *const member_names[MEMBER_OTHER] = {
    "eventId", "value", "deviceId", "deviceSequenceNumber", "type", "createdAt", "complexData"};

static void wrong(Verdict *v, Wrong what, Str id, const char *detail) {
    if (v->wrong[what] < EXAMPLES)
        snprintf(v->examples[what][v->wrong[what]], sizeof v->examples[what][0], "%.*s%s%s",
                 id.size < 80 ? (int)id.size : 80, id.data, *detail ? ": " : "", detail);
    v->wrong[what]++;
}

static Str text_of(Verdict *v, const char *format, ...) {
    v->text.size = 0;
    va_list args;
    va_start(args, format);
    char *to = buffer_reserve(&v->text, 128);
    int size = vsnprintf(to, 128, format, args);
    va_end(args);
    return (Str){to, size > 0 ? (size_t)size : 0};
}

static bool same_number(Str value, Str expected) {
    double a, b;
    if (str_equal(value, expected)) return true;
    return jsonb_kind(value) == JSONB_NUMBER && double_parse(value, &a) == OK &&
           double_parse(expected, &b) == OK && a == b;
}

static Str string_of(Str value, Arena *arena) {
    Str text;
    return jsonb_kind(value) == JSONB_STRING && jsonb_string_view(value, &text, arena) ? text
                                                                                       : (Str){0};
}

/* moreDataN from 0; -1: another name. */
static int field_of(Str key) {
    const Str stem = STR("moreData");
    if (key.size <= stem.size || key.size > stem.size + 4 ||
        !str_equal_nocase((Str){key.data, stem.size}, stem))
        return -1;
    int number = 0;
    for (size_t i = stem.size; i < key.size; i++) {
        if (key.data[i] < '0' || key.data[i] > '9') return -1;
        number = number * 10 + (key.data[i] - '0');
    }
    return number - 1;
}

static bool same_complex(Verdict *v, Str value, int fields, Arena *arena) {
    JsonbIterator iterator;
    Str key, member, name;
    if (jsonb_kind(value) != JSONB_OBJECT || !jsonb_iterate(&iterator, value)) return false;
    int count = 0;
    while (jsonb_next(&iterator, &key, &member)) {
        int field = jsonb_string_view(key, &name, arena) ? field_of(name) : -1;
        if (field < 0 || field >= fields ||
            !same_number(member, text_of(v, "0.%" PRIu32, v->event->fields[field])))
            return false;
        count++;
    }
    return count == fields;
}

static EventMember member_of(Str key) {
    for (int i = 0; i < MEMBER_OTHER; i++)
        if (str_equal_nocase(key, str_from(member_names[i]))) return (EventMember)i;
    return MEMBER_OTHER;
}

static bool same_member(Verdict *v, const Ledger *ledger, EventMember member, Str value,
                        Arena *arena) {
    const Event *e = v->event;
    int64_t us;
    switch (member) {
    case MEMBER_ID:
    case MEMBER_OTHER: return true;
    case MEMBER_VALUE: return same_number(value, text_of(v, "0.%" PRIu32, e->value));
    case MEMBER_DEVICE:
        return str_equal(string_of(value, arena),
                         text_of(v, "contoso-device-id-%06" PRId64, e->device));
    case MEMBER_SEQUENCE: return same_number(value, text_of(v, "%" PRId64, e->sequence));
    case MEMBER_TYPE: return str_equal(string_of(value, arena), str_from(e->co2 ? "CO2" : "TEMP"));
    case MEMBER_CREATED:
        return rfc3339_parse(string_of(value, arena), &us) == OK && us == e->created_us;
    case MEMBER_COMPLEX: break;
    }
    return same_complex(v, value, ledger->spec.fields, arena);
}

/* The first member that is not the event's; NULL: all are. */
static void compare(Verdict *v, const Ledger *ledger, Str row, Str id, Arena *arena) {
    JsonbIterator iterator;
    Str key, value, name;
    bool fine = jsonb_iterate(&iterator, row);
    while (fine && jsonb_next(&iterator, &key, &value)) {
        if (!jsonb_string_view(key, &name, arena)) continue;
        EventMember member = member_of(name);
        int field = member == MEMBER_OTHER ? field_of(name) : -1;
        bool same = field >= 0 && field < ledger->spec.fields
                        ? same_number(value, text_of(v, "0.%" PRIu32, v->event->fields[field]))
                        : same_member(v, ledger, member, value, arena);
        v->row_compared[member] = true;
        if (same) continue;
        char detail[100];
        snprintf(detail, sizeof detail, "%.*s is %.*s", (int)(name.size < 30 ? name.size : 30),
                 name.data, (int)(value.size < 50 ? value.size : 50), value.data);
        wrong(v, WRONG_CHANGED, id, detail);
        return;
    }
}

static Str id_of(Str row, Arena *arena) {
    JsonbIterator iterator;
    Str key, value, name;
    if (jsonb_kind(row) != JSONB_OBJECT || !jsonb_iterate(&iterator, row)) return (Str){0};
    while (jsonb_next(&iterator, &key, &value))
        if (jsonb_string_view(key, &name, arena) && member_of(name) == MEMBER_ID)
            return string_of(value, arena);
    return (Str){0};
}

/* Counts the row of that event; false: it was never sent. */
static bool count_row(Sent *sent, int64_t number) {
    if (number >= sent->ledger.sent && sent->ledger.ended) return false;
    const int64_t most_beyond =
        INT64_C(100) * 1000 * 1000; /* more than a run sends between two entries of its ledger */
    if (number >= sent->ledger.sent + most_beyond) return false;
    if (number >= sent->capacity) {
        int64_t capacity = number + number / 2 + 1024;
        sent->seen = xrealloc(sent->seen, (size_t)capacity);
        memset(sent->seen + sent->capacity, 0, (size_t)(capacity - sent->capacity));
        sent->capacity = capacity;
    }
    if (number >= sent->ledger.sent) sent->beyond++;
    if (sent->seen[number] < UINT8_MAX) sent->seen[number]++;
    return true;
}

void judge_row(Verdict *v, Str row) {
    if (!v->arena) v->arena = arena_new();
    Arena *arena = v->arena;
    arena_reset(arena);
    v->rows++;
    bool valid = jsonb_valid(row);
    Str id = valid ? id_of(jsonb_trim(row), arena) : (Str){0};
    bool known = false, broken = false;
    for (int i = 0; i < v->sent_count && !known; i++) {
        Sent *sent = &v->sents[i];
        const Ledger *ledger = &sent->ledger;
        int64_t number;
        if (!event_of_id(&ledger->spec, id, &number, &broken)) continue;
        event_of(&ledger->spec, ledger->segment, number, v->event);
        if (broken) {
            known = v->event->broken && (number < ledger->sent || !ledger->ended);
            v->broken_rows += known;
        } else if ((known = count_row(sent, number))) {
            event_fields(&ledger->spec, v->event);
            compare(v, ledger, row, id, arena);
        }
    }
    if (!valid) v->unreadable++;
    else if (!known) wrong(v, WRONG_UNEXPECTED, id.data ? id : STR("a row without eventId"), "");
}

static void judge_event(Verdict *v, Sent *sent, int64_t number) {
    Event *e = v->event;
    const Ledger *ledger = &sent->ledger;
    event_of(&ledger->spec, ledger->segment, number, e);
    int rows = number < sent->capacity ? sent->seen[number] : 0,
        allowed = e->copied && !v->deduplicated ? 2 : 1;
    v->events++;
    v->copies += e->copied;
    v->broken += e->broken;
    v->cut += e->broken && e->broken_how == BROKEN_CUT;
    v->late += e->late;
    if (rows == 0) {
        wrong(v, WRONG_MISSING, (Str){e->id, sizeof e->id}, e->late ? "was sent late" : "");
        v->missing_late += e->late;
    } else if (rows > allowed) {
        char detail[40];
        snprintf(detail, sizeof detail, "%d rows instead of %d", rows, allowed);
        wrong(v, WRONG_DUPLICATED, (Str){e->id, sizeof e->id}, detail);
        v->wrong[WRONG_DUPLICATED] += rows - allowed - 1;
    } else if (rows < allowed) {
        v->missing_copies++;
    }
}

void judge_end(Verdict *v) {
    for (int i = 0; i < v->sent_count; i++)
        for (int64_t n = 0; n < v->sents[i].ledger.sent; n++) judge_event(v, &v->sents[i], n);
    /* What is no JSON can only be a record that was sent cut short. */
    int64_t cut = v->unreadable < v->cut ? v->unreadable : v->cut;
    v->broken_rows += cut;
    for (; v->unreadable > cut; v->unreadable--)
        wrong(v, WRONG_UNEXPECTED, STR("a row that is not JSON"), "");
}
