/* Rows against events. A row names its event by eventId, which leads to the event's number; the
 * event is made again and compared with the row column by column, as JSON values: order, blanks and
 * the spelling of numbers do not matter, a time is an instant. A row may hold more than the event,
 * or only some of it; then what it holds is compared. For each event one byte counts its rows, so
 * ten million events need ten megabytes. Which column a key names is remembered by its place in the
 * row, since one row is like the next. */
#include "cli/verify.h"
#include "data/batch.h"
#include "data/jsonb.h"
#include "data/time.h"
#include "data/value.h"
#include <inttypes.h>
#include <stdlib.h>

const char *const wrong_names[WRONGS] = {"missing",   "unexpected",     "duplicated",
                                         "changed",   "missing_copies", "out_of_order",
                                         "backwards", "unaccounted"};
const char *const column_names[COLUMN_OTHER] = {
    "eventId",   "value",       "deviceId",   "deviceSequenceNumber", "type",
    "createdAt", "complexData", "enqueuedAt", "processedAt",          "storedAt"};
const char *const stage_names[STAGES] = {"sent", "created", "enqueued", "processed", "stored"};

typedef struct RowTimes {
    int64_t us[STAGES]; /* NO_TIME: none */
} RowTimes;

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

static Str string_of(Str value, Arena *arena) {
    Str text;
    return jsonb_kind(value) == JSONB_STRING && jsonb_string_view(value, &text, arena) ? text
                                                                                       : (Str){0};
}

/* "0.<digits>", as the simulator writes its numbers. */
static Str fraction_text(uint32_t digits, char to[16]) {
    int at = 16;
    do to[--at] = (char)('0' + digits % 10);
    while (digits /= 10);
    to[--at] = '.';
    to[--at] = '0';
    return (Str){to + at, (size_t)(16 - at)};
}

static bool same_number(Verdict *v, Str value, Str expected) {
    double a, b;
    if (str_equal(value, expected)) return true;
    bool text = v->texts && jsonb_kind(value) == JSONB_STRING;
    if (text) value = string_of(value, v->arena);
    return (text || jsonb_kind(value) == JSONB_NUMBER) && double_parse(value, &a) == OK &&
           double_parse(expected, &b) == OK && a == b;
}

/* An instant: a text as PostgreSQL takes it, or a number since 1970 in seconds, milli-, micro- or
 * nanoseconds, whichever gives a year of ours. `finer`: it has a part below the microsecond. */
static bool time_of(Str value, Arena *arena, int64_t *us, bool *finer) {
    Error error;
    double number;
    *finer = false;
    if (jsonb_kind(value) == JSONB_NUMBER) {
        if (double_parse(value, &number) != OK || number < 0 || number > 9e18) return false;
        double factor = number < 1e11 ? 1e6 : number < 1e14 ? 1e3 : number < 1e17 ? 1 : 1e-3;
        *us = (int64_t)(number * factor + 0.5);
        return true;
    }
    Str text = string_of(value, arena);
    if (!text.size) return false;
    const char *point = memchr(text.data, '.', text.size), *end = text.data + text.size;
    for (const char *at = point ? point + 1 : end; at < end && *at >= '0' && *at <= '9'; at++)
        *finer |= at - point > 6 && *at != '0';
    return (rfc3339_parse(text, us) == OK || timestamp_parse(text, true, us, &error) == OK) &&
           *us >= FIRST_INPUT_US && *us <= LAST_INPUT_US;
}

/* ---- columns ---- */

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

static int find_column(const Verdict *v, Str name) {
    for (int i = 0; i < COLUMN_OTHER; i++)
        if (str_equal_nocase(name, str_from(v->columns[i]))) return i;
    int field = field_of(name);
    return field < 0 ? COLUMN_OTHER : COLUMN_FIELDS + field;
}

/* Which column the row's key number `place` names; `key` is its literal. */
static int column_of(Verdict *v, int place, Str key) {
    bool known = place < KEYS_KNOWN && key.size < 256;
    if (known && str_equal(key, buffer_str(&v->keys[place]))) return v->key_columns[place];
    Str name;
    int column = jsonb_string_view(key, &name, v->arena) ? find_column(v, name) : COLUMN_OTHER;
    if (known) {
        v->keys[place].size = 0;
        buffer_add_str(&v->keys[place], key);
        v->key_columns[place] = column;
    }
    return column;
}

/* ---- comparing ---- */

static bool same_field(Verdict *v, int field, int fields, Str value) {
    char text[16];
    return field < fields && same_number(v, value, fraction_text(v->event->fields[field], text));
}

static bool same_complex(Verdict *v, Str value, int fields) {
    JsonbIterator iterator;
    Str key, member, name;
    if (v->texts && jsonb_kind(value) == JSONB_STRING)
        value = jsonb_trim(string_of(value, v->arena));
    if (jsonb_kind(value) != JSONB_OBJECT || !jsonb_iterate(&iterator, value)) return false;
    int count = 0;
    while (jsonb_next(&iterator, &key, &member)) {
        int field = jsonb_string_view(key, &name, v->arena) ? field_of(name) : -1;
        if (field < 0 || !same_field(v, field, fields, member)) return false;
        count++;
    }
    return count == fields && !iterator.bad;
}

static bool same_column(Verdict *v, const Ledger *ledger, int column, Str value) {
    const Event *e = v->event;
    int64_t us;
    bool finer;
    char text[16];
    switch (column) {
    case COLUMN_VALUE: return same_number(v, value, fraction_text(e->value, text));
    case COLUMN_DEVICE:
        return str_equal(string_of(value, v->arena),
                         text_of(v, "contoso-device-id-%06" PRId64, e->device));
    case COLUMN_SEQUENCE: return same_number(v, value, text_of(v, "%" PRId64, e->sequence));
    case COLUMN_TYPE:
        return str_equal(string_of(value, v->arena), str_from(e->co2 ? "CO2" : "TEMP"));
    case COLUMN_CREATED:
        return time_of(value, v->arena, &us, &finer) && us == e->created_us && !finer;
    case COLUMN_COMPLEX: return same_complex(v, value, ledger->spec.fields);
    default: return true;
    }
}

/* What --whole asks for: every column of the event, and no others. */
static const char *not_whole(uint32_t had, int fields_had, int fields) {
    for (int i = 0; i < EVENT_COLUMNS; i++) {
        bool there = had & (1U << i) || (i == COLUMN_COMPLEX && fields_had == fields);
        if (!there) return column_names[i];
    }
    return NULL;
}

/* Compares each column; of those that differ the first is told. */
static void compare(Verdict *v, const Ledger *ledger, Str row, Str id) {
    JsonbIterator iterator;
    Str key, value;
    uint32_t had = 0;
    int fields_had = 0;
    char detail[120] = "";
    if (!jsonb_iterate(&iterator, row)) return;
    for (int place = 0; jsonb_next(&iterator, &key, &value); place++) {
        int column = column_of(v, place, key), field = column - COLUMN_FIELDS;
        bool stands_alone = field >= 0 && field < ledger->spec.fields, same;
        if (field >= 0 && !stands_alone) column = COLUMN_OTHER;
        if (stands_alone) same = same_field(v, field, ledger->spec.fields, value);
        else same = same_column(v, ledger, column, value);
        if (column == COLUMN_OTHER && v->whole) same = false;
        v->row_compared[stands_alone ? COLUMN_COMPLEX : column] = true;
        if (column < COLUMN_OTHER) had |= 1U << column;
        fields_had += stands_alone;
        if (same || *detail) continue;
        snprintf(detail, sizeof detail, "%.*s is %.*s", (int)(key.size < 40 ? key.size : 40),
                 key.data, (int)(value.size < 50 ? value.size : 50), value.data);
    }
    const char *lacks = v->whole ? not_whole(had, fields_had, ledger->spec.fields) : NULL;
    if (lacks && !*detail) snprintf(detail, sizeof detail, "%s is not there", lacks);
    if (*detail) wrong(v, WRONG_CHANGED, id, detail);
}

/* ---- times ---- */

/* A clock that tells milliseconds, or seconds, is not behind one that tells more. */
static bool goes_back(int64_t from, int64_t to) {
    int64_t grain = to % US_PER_SECOND == 0 ? US_PER_SECOND : to % 1000 == 0 ? 1000 : 1;
    return from / grain > to / grain;
}

static void judge_times(Verdict *v, const Sent *sent, const RowTimes *times, Str id, bool first) {
    const int64_t *us = times->us;
    const EventSpec *spec = &sent->ledger.spec;
    int before = STAGE_CREATED, legs = 0;
    bool back = false;
    char detail[60] = "";
    for (int s = STAGE_ENQUEUED; s < STAGES; s++) {
        if (us[s] == NO_TIME) continue;
        latency_add(&v->legs[before][s], us[s] - us[before]);
        if (goes_back(us[before], us[s]) && !back) {
            back = true;
            snprintf(detail, sizeof detail, "%s before %s", stage_names[s], stage_names[before]);
        }
        before = s;
        legs++;
        if (v->stage_rows[s]++ == 0 || us[s] < v->first_us[s]) v->first_us[s] = us[s];
        if (v->stage_rows[s] == 1 || us[s] > v->last_us[s]) v->last_us[s] = us[s];
    }
    if (legs == 0) return;
    int64_t sent_us = us[STAGE_SENT];
    if (v->stage_rows[STAGE_SENT]++ == 0 || sent_us > v->last_us[STAGE_SENT])
        v->last_us[STAGE_SENT] = sent_us;
    if ((Stage)before > v->last_stage) v->last_stage = (Stage)before;
    if (legs > 1) latency_add(&v->legs[STAGE_CREATED][before], us[before] - us[STAGE_CREATED]);
    if (spec->disorder_us > 0 || spec->late > 0)
        latency_add(&v->legs[STAGE_SENT][before], us[before] - us[STAGE_SENT]);
    if (back) wrong(v, WRONG_BACKWARDS, id, detail);
    if (first) rate_add(&v->arrivals, us[before], 1);
}

/* ---- order ---- */

static void judge_order(Verdict *v, Sent *sent, int partition, Str id) {
    const Event *e = v->event;
    if (e->device >= sent->device_count || partition < 0) return;
    v->ordered++;
    if (partition >= sent->partition_count) {
        int count = partition + 1;
        sent->newest = xrealloc(sent->newest, (size_t)count * sizeof *sent->newest);
        for (int i = sent->partition_count; i < count; i++) sent->newest[i] = NULL;
        sent->partition_count = count;
    }
    uint32_t **newest = &sent->newest[partition];
    if (!*newest) *newest = xcalloc((size_t)sent->device_count, sizeof **newest);
    uint32_t came = (uint32_t)e->sequence + 1, *most = &(*newest)[e->device];
    if (came >= *most) {
        *most = came;
        return;
    }
    char detail[80];
    snprintf(detail, sizeof detail, "number %" PRId64 " of its device came after %" PRIu32,
             e->sequence, *most - 1);
    wrong(v, WRONG_ORDER, id, detail);
}

static int64_t spread_devices(const Sent *sent) {
    int64_t spread = 0;
    for (int64_t d = 0; d < sent->device_count && sent->partition_count > 1; d++) {
        int partitions = 0;
        for (int p = 0; p < sent->partition_count; p++)
            partitions += sent->newest[p] && sent->newest[p][d];
        spread += partitions > 1;
    }
    return spread;
}

/* ---- rows ---- */

/* Counts the row of that event; false: it was never sent. */
static bool count_row(Sent *sent, int64_t number) {
    if (number >= sent->ledger.sent && sent->ledger.ended) return false;
    const int64_t most_beyond =
        INT64_C(100) * 1000 * 1000; /* more than a run sends between two entries of its ledger */
    if (number >= sent->ledger.sent + most_beyond) return false;
    if (number >= sent->capacity) {
        int64_t capacity = number + number / 2 + 1024;
        if (sent->ledger.ended && capacity > sent->ledger.sent) capacity = sent->ledger.sent;
        sent->seen = xrealloc(sent->seen, (size_t)capacity);
        memset(sent->seen + sent->capacity, 0, (size_t)(capacity - sent->capacity));
        sent->capacity = capacity;
    }
    if (number >= sent->ledger.sent) sent->beyond++;
    if (sent->seen[number] < UINT8_MAX) sent->seen[number]++;
    else sent->uncounted++;
    return true;
}

/* The row's eventId, and the times that stand in it. */
static Str look_over(Verdict *v, Str row, RowTimes *times) {
    JsonbIterator iterator;
    Str key, value, id = {0};
    for (int s = 0; s < STAGES; s++) times->us[s] = NO_TIME;
    if (!jsonb_iterate(&iterator, row)) return id;
    for (int place = 0; jsonb_next(&iterator, &key, &value); place++) {
        int column = column_of(v, place, key);
        bool finer;
        if (column == COLUMN_ID && !id.data) id = string_of(value, v->arena);
        if (column < COLUMN_ENQUEUED || column > COLUMN_STORED) continue;
        int64_t *us = &times->us[STAGE_ENQUEUED + (column - COLUMN_ENQUEUED)];
        if (!time_of(value, v->arena, us, &finer)) *us = NO_TIME;
    }
    return id;
}

static bool judge_known(Verdict *v, Sent *sent, Str row, Str id, int partition, RowTimes *times) {
    const Ledger *ledger = &sent->ledger;
    int64_t number;
    bool broken;
    if (!event_of_id(&ledger->spec, id, &number, &broken)) return false;
    int64_t due_us = ledger_event(ledger, number, v->event);
    if (broken) {
        bool known = v->event->broken && (number < ledger->sent || !ledger->ended);
        v->broken_rows += known;
        return known;
    }
    if (!count_row(sent, number)) return false;
    event_fields(&ledger->spec, v->event);
    times->us[STAGE_CREATED] = v->event->created_us;
    times->us[STAGE_SENT] = due_us;
    compare(v, ledger, row, id);
    judge_order(v, sent, partition, id);
    judge_times(v, sent, times, id, sent->seen[number] == 1);
    return true;
}

static void judge_object(Verdict *v, Str row, int partition, int64_t timestamp_us) {
    RowTimes times;
    v->rows++;
    Str id = look_over(v, row, &times);
    if (times.us[STAGE_STORED] == NO_TIME) times.us[STAGE_STORED] = timestamp_us;
    bool known = false;
    for (int i = 0; i < v->sent_count && !known && id.data; i++)
        known = judge_known(v, &v->sents[i], row, id, partition, &times);
    if (!known) wrong(v, WRONG_UNEXPECTED, id.data ? id : STR("a row without eventId"), "");
}

/* What is left of a record that was sent cut short begins as every record does. */
static bool may_be_cut(Str row) {
    const Str begin = STR("{ \"eventId\": \"");
    size_t size = row.size < begin.size ? row.size : begin.size;
    return size && memcmp(row.data, begin.data, size) == 0;
}

void judge_row(Verdict *v, Str row, int partition, int64_t timestamp_us) {
    JsonbIterator iterator;
    Str item;
    if (!v->arena) v->arena = arena_new();
    arena_reset(v->arena);
    if (!jsonb_valid(row)) {
        v->rows++;
        if (may_be_cut(row)) v->unreadable++;
        else wrong(v, WRONG_UNEXPECTED, STR("a row that is not JSON"), "");
        return;
    }
    row = jsonb_trim(row);
    if (jsonb_kind(row) != JSONB_ARRAY) {
        judge_object(v, row, partition, timestamp_us);
        return;
    }
    if (!jsonb_iterate(&iterator, row)) return;
    while (jsonb_next(&iterator, NULL, &item)) {
        arena_reset(v->arena);
        judge_object(v, item, partition, timestamp_us);
    }
}

static void judge_event(Verdict *v, Sent *sent, int64_t number) {
    Event *e = v->event;
    (void)ledger_event(&sent->ledger, number, e);
    int rows = number < sent->capacity ? sent->seen[number] : 0,
        allowed = e->copied && !v->deduplicated ? 2 : 1;
    Str id = {e->id, sizeof e->id};
    v->events++;
    v->copies += e->copied;
    v->broken += e->broken;
    v->cut += e->broken && e->broken_how == BROKEN_CUT;
    v->late += e->late;
    Explained why = sent->explained ? (Explained)sent->explained[number] : EXPLAINED_NOT;
    if (rows == 0 && why != EXPLAINED_NOT) {
        if (v->explained[why] < EXAMPLES)
            memcpy(v->explained_ids[why][v->explained[why]], e->id, sizeof e->id);
        v->explained[why]++;
    } else if (rows == 0) {
        wrong(v, WRONG_MISSING, id, e->late ? "was sent late" : "");
        v->missing_late += e->late;
    } else if (rows > allowed) {
        char detail[40];
        snprintf(detail, sizeof detail, "%d rows instead of %d", rows, allowed);
        wrong(v, WRONG_DUPLICATED, id, detail);
        v->wrong[WRONG_DUPLICATED] += rows - allowed - 1;
    } else if (rows < allowed) {
        wrong(v, WRONG_COPIES, id, "");
    }
}

void judge_end(Verdict *v) {
    for (int i = 0; i < v->sent_count; i++) {
        for (int64_t n = 0; n < v->sents[i].ledger.sent; n++) judge_event(v, &v->sents[i], n);
        v->wrong[WRONG_DUPLICATED] += v->sents[i].uncounted;
        v->devices_spread += spread_devices(&v->sents[i]);
    }
    /* What is no JSON can only be a record that was sent cut short. */
    int64_t cut = v->unreadable < v->cut ? v->unreadable : v->cut;
    v->broken_rows += cut;
    for (; v->unreadable > cut; v->unreadable--)
        wrong(v, WRONG_UNEXPECTED, STR("a row that is not JSON"), "");
    bool ended = true;
    for (int i = 0; i < v->sent_count; i++) ended = ended && v->sents[i].ledger.ended;
    if (ended && v->broken_rows > v->broken) {
        wrong(v, WRONG_DUPLICATED, STR("broken records"), "more arrived than were sent");
        v->wrong[WRONG_DUPLICATED] += v->broken_rows - v->broken - 1;
    }
}

void judge_free(Verdict *v) {
    for (int i = 0; i < v->sent_count; i++) {
        Sent *sent = &v->sents[i];
        for (int p = 0; p < sent->partition_count; p++) free(sent->newest[p]);
        free(sent->newest);
        free(sent->seen);
        free(sent->explained);
    }
    for (int from = 0; from < STAGES; from++)
        for (int to = 0; to < STAGES; to++) latency_free(&v->legs[from][to]);
    for (int i = 0; i < KEYS_KNOWN; i++) buffer_free(&v->keys[i]);
    rate_free(&v->arrivals);
    free(v->event);
    buffer_free(&v->text);
    arena_free(&v->arena);
}
