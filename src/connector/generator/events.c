/* The events of Azure's streaming-at-scale sample, as its generator writes them: 0.<31-bit number>,
 * which is why small first digits are frequent. Each event draws from a sequence of its own,
 * SplitMix64 seeded by seed and number. An event's id is a UUID of version 4 in which its number is
 * hidden: 64 bits are the number through a bijection that the seed chooses, 58 bits a check; so an
 * id leads back to its event, and one that nobody sent is told at once. Broken records come evenly,
 * one somewhere in each 1/bad events, so that they take turns without anyone counting them. */
#include "connector/generator/events.h"
#include "data/time.h"
#include <stdlib.h>

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

/* SplitMix64's last step, and back. */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t unmix(uint64_t z) {
    z = (z ^ (z >> 31) ^ (z >> 62)) * UINT64_C(0x319642B2D24D8EC3);
    z = (z ^ (z >> 27) ^ (z >> 54)) * UINT64_C(0x96DE1B173F119089);
    return z ^ (z >> 30) ^ (z >> 60);
}

/* Draw number `draw` of event `number`. */
enum { DRAW_VALUE, DRAW_TIME, DRAW_CHANCE, DRAW_BROKEN, DRAW_CUT, DRAW_FIELDS };

static uint64_t sequence_of(const EventSpec *spec, int64_t number) {
    return mix(spec->seed ^ mix((uint64_t)number * GOLDEN + 1));
}
static uint64_t draw_of(uint64_t sequence, int draw) {
    return mix(sequence + GOLDEN * (uint64_t)(draw + 1));
}
static double chance(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }
static uint32_t
below_2g(uint32_t bits) { /* 0 … 2147483646, as the sample's int.MaxValue is exclusive */
    return (uint32_t)(((uint64_t)bits * INT32_MAX) >> 32);
}

int64_t segment_time(const EventSpec *spec, Segment segment, int64_t number) {
    double rate = spec->rate > 0 ? spec->rate : EVENT_RATE;
    return segment.time_us + (int64_t)((double)(number - segment.first) * 1e6 / rate);
}

/* ---- ids ---- */

static const uint64_t broken_bit = UINT64_C(1) << 62;

static void hex(uint64_t bits, int digits, char *to) {
    for (int i = digits - 1; i >= 0; i--, bits >>= 4) to[i] = "0123456789abcdef"[bits & 15];
}

static uint64_t hide(uint64_t seed, uint64_t number) {
    return mix(mix(number + seed) ^ seed * GOLDEN);
}
static uint64_t reveal(uint64_t seed, uint64_t hidden) {
    return unmix(unmix(hidden) ^ seed * GOLDEN) - seed;
}
static uint64_t check_bits(uint64_t seed, uint64_t hidden) {
    return mix(hidden ^ mix(seed + GOLDEN)) >> 6;
} /* 58 */

static void write_id(uint64_t seed, uint64_t number, char to[36]) {
    uint64_t hidden = hide(seed, number);
    uint64_t high = hidden >> 4; /* 60 bits: 48, the version, 12 */
    uint64_t low = UINT64_C(2) << 62 | (hidden & 15) << 58 | check_bits(seed, hidden);
    hex(high >> 28, 8, to);
    to[8] = '-';
    hex(high >> 12 & 0xFFFF, 4, to + 9);
    to[13] = '-';
    to[14] = '4';
    hex(high & 0xFFF, 3, to + 15);
    to[18] = '-';
    hex(low >> 48, 4, to + 19);
    to[23] = '-';
    hex(low & UINT64_C(0xFFFFFFFFFFFF), 12, to + 24);
}

bool event_of_id(const EventSpec *spec, Str id, int64_t *number, bool *broken) {
    uint64_t bits[2] = {0, 0};
    int digits = 0;
    if (id.size != 36) return false;
    for (size_t i = 0; i < 36; i++) {
        char c = id.data[i];
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') return false;
            continue;
        }
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) return false;
        bits[digits / 16] = bits[digits / 16] << 4 | (uint64_t)digit;
        digits++;
    }
    if ((bits[0] >> 12 & 15) != 4 || bits[1] >> 62 != 2) return false;
    uint64_t high = bits[0] >> 16 << 12 | (bits[0] & 0xFFF);
    uint64_t hidden = high << 4 | (bits[1] >> 58 & 15);
    if ((bits[1] & ((UINT64_C(1) << 58) - 1)) != check_bits(spec->seed, hidden)) return false;
    uint64_t revealed = reveal(spec->seed, hidden);
    *broken = revealed & broken_bit;
    *number = (int64_t)(revealed & ~broken_bit);
    return *number >= 0 && *number < EVENTS_MOST;
}

/* ---- events ---- */

/* Whether the broken record of stratum `stratum`, of 1/bad events, goes beside this event. */
static bool broken_here(const EventSpec *spec, int64_t stratum, int64_t number) {
    double at =
        ((double)stratum + chance(draw_of(sequence_of(spec, stratum), DRAW_BROKEN))) / spec->bad;
    return (int64_t)at == number;
}

void event_of(const EventSpec *spec, Segment segment, int64_t number, Event *out) {
    uint64_t sequence = sequence_of(spec, number);
    uint64_t value = draw_of(sequence, DRAW_VALUE), luck = draw_of(sequence, DRAW_CHANCE);
    out->number = number;
    out->value = below_2g((uint32_t)value);
    out->co2 = value >> 32 & 1;
    out->device = number % spec->devices;
    out->sequence = number / spec->devices;
    out->copied = chance(luck) < spec->duplicates;
    out->late = chance(mix(luck + GOLDEN)) < spec->late;
    out->created_us = segment_time(spec, segment, number);
    if (number == segment.first) out->late = false; /* it sets the time from which all is counted */
    if (out->late) out->created_us -= EVENT_LATE_US;
    else if (spec->disorder_us > 0 && number > segment.first)
        out->created_us -=
            (int64_t)(chance(draw_of(sequence, DRAW_TIME)) * (double)spec->disorder_us);
    out->broken = false;
    if (spec->bad > 0) {
        int64_t stratum = (int64_t)((double)number * spec->bad),
                next = (int64_t)((double)(number + 1) * spec->bad);
        for (; stratum <= next && !out->broken; stratum++) {
            out->broken = broken_here(spec, stratum, number);
            out->broken_how = (Broken)(stratum % BROKEN_KINDS);
        }
    }
    write_id(spec->seed, (uint64_t)number, out->id);
}

void event_fields(const EventSpec *spec, Event *event) {
    uint64_t sequence = sequence_of(spec, event->number);
    for (int i = 0; i < spec->fields; i += 2) {
        uint64_t bits = draw_of(sequence, DRAW_FIELDS + i / 2);
        event->fields[i] = below_2g((uint32_t)bits);
        if (i + 1 < EVENT_FIELDS_MOST) event->fields[i + 1] = below_2g((uint32_t)(bits >> 32));
    }
}

/* ---- text ---- */

typedef struct Piece { /* copied as a whole, which is faster than its exact size */
    char text[31];
    uint8_t size;
} Piece;

struct EventWriter {
    EventSpec spec;
    Piece *names; /* `"moreDataN": 0.` with what stands before */
    int64_t day;  /* whose date is in `date` */
    char date[16];
    size_t most;
};

EventWriter *event_writer_new(const EventSpec *spec) {
    EventWriter *w = xcalloc(1, sizeof *w);
    w->spec = *spec;
    w->names = xcalloc((size_t)spec->fields + 1, sizeof *w->names);
    for (int i = 0; i < spec->fields; i++) {
        Buffer name = {0};
        buffer_add_format(&name, "%s\"moreData%d\": 0.", i ? ", " : "", i + 1);
        w->names[i].size = (uint8_t)name.size;
        memcpy(w->names[i].text, name.data, name.size);
        buffer_free(&name);
    }
    w->day = INT64_MIN;
    w->most = 400 + 32 * ((size_t)spec->fields + 1);
    return w;
}

void event_writer_free(EventWriter **writer) {
    if (!*writer) return;
    free((*writer)->names);
    free(*writer);
    *writer = NULL;
}

size_t event_bytes_most(const EventWriter *w) { return w->most; }

static const char pairs[201] = "0001020304050607080910111213141516171819202122232425262728293031323"
                               "334353637383940414243444546474849"
                               "5051525354555657585960616263646566676869707172737475767778798081828"
                               "384858687888990919293949596979899";

static char *two(char *to, uint32_t value) {
    memcpy(to, pairs + 2 * (value % 100), 2);
    return to + 2;
}

static char *decimal(char *to, uint64_t value) {
    char digits[20];
    int at = 20;
    for (; value >= 100; value /= 100) memcpy(digits + (at -= 2), pairs + 2 * (value % 100), 2);
    if (value >= 10) memcpy(digits + (at -= 2), pairs + 2 * value, 2);
    else digits[--at] = (char)('0' + value);
    memcpy(to, digits + at, (size_t)(20 - at));
    return to + (20 - at);
}

/* The same for what fits 32 bits, without a detour: the digits are counted first. */
static char *decimal_32(char *to, uint32_t value) {
    int count = value < 100000 ? (value < 100     ? (value < 10 ? 1 : 2)
                                  : value < 1000  ? 3
                                  : value < 10000 ? 4
                                                  : 5)
                               : (value < 10000000     ? (value < 1000000 ? 6 : 7)
                                  : value < 100000000  ? 8
                                  : value < 1000000000 ? 9
                                                       : 10);
    char *at = to + count;
    for (; value >= 100; value /= 100) memcpy(at -= 2, pairs + 2 * (value % 100), 2);
    if (value >= 10) memcpy(to, pairs + 2 * value, 2);
    else *to = (char)('0' + value);
    return to + count;
}

static char *put(char *to, const char *text, size_t size) {
    memcpy(to, text, size);
    return to + size;
}
#define PUT(to, literal) put((to), literal, sizeof(literal) - 1)

static char *write_time(EventWriter *w, char *to, int64_t us) {
    int64_t day = us / US_PER_DAY - (us % US_PER_DAY < 0);
    if (day != w->day) {
        Calendar c;
        calendar_from_us(day * US_PER_DAY, &c);
        char *date = two(two(w->date, (uint32_t)c.year / 100), (uint32_t)c.year % 100);
        *date++ = '-';
        date = two(date, (uint32_t)c.month);
        *date++ = '-';
        date = two(date, (uint32_t)c.day);
        *date = 'T';
        w->day = day;
    }
    int64_t rest = us - day * US_PER_DAY;
    uint32_t seconds = (uint32_t)(rest / US_PER_SECOND),
             fraction = (uint32_t)(rest % US_PER_SECOND);
    to = put(to, w->date, 11);
    to = two(to, seconds / 3600);
    *to++ = ':';
    to = two(to, seconds / 60 % 60);
    *to++ = ':';
    to = two(to, seconds % 60);
    *to++ = '.';
    to = two(two(two(to, fraction / 10000), fraction / 100 % 100), fraction % 100);
    return PUT(to, "0Z");
}

static char *write_device(char *to, int64_t device) {
    to = PUT(to, "contoso-device-id-");
    if (device >= 1000000) return decimal(to, (uint64_t)device);
    return two(two(two(to, (uint32_t)device / 10000), (uint32_t)device / 100 % 100),
               (uint32_t)device % 100);
}

static char *write_fields(const EventWriter *w, const Event *e, char *to) {
    for (int i = 0; i < w->spec.fields; i++) {
        memcpy(to, w->names[i].text, sizeof w->names[i].text);
        to = decimal_32(to + w->names[i].size, e->fields[i]);
    }
    return to;
}

size_t event_write(EventWriter *w, const Event *e, EventKind kind, char *start) {
    bool wrong_type = kind == EVENT_BROKEN && e->broken_how == BROKEN_TYPE;
    bool wrong_time = kind == EVENT_BROKEN && e->broken_how == BROKEN_TIME;
    char id[36];
    if (kind == EVENT_BROKEN) write_id(w->spec.seed, (uint64_t)e->number | broken_bit, id);
    char *to = PUT(start, "{ \"eventId\": \"");
    to = put(to, kind == EVENT_BROKEN ? id : e->id, 36);
    to = PUT(to, "\", \"value\": ");
    to = wrong_type ? PUT(to, "\"high\"") : decimal_32(PUT(to, "0."), e->value);
    to = write_device(PUT(to, ", \"deviceId\": \""), e->device);
    to = decimal(PUT(to, "\", \"deviceSequenceNumber\": "), (uint64_t)e->sequence);
    to = e->co2 ? PUT(to, ", \"type\": \"CO2\", \"createdAt\": \"")
                : PUT(to, ", \"type\": \"TEMP\", \"createdAt\": \"");
    to = wrong_time ? PUT(to, "yesterday") : write_time(w, to, e->created_us);
    to = PUT(to, "\", \"complexData\": { ");
    if (w->spec.fields) to = write_fields(w, e, to);
    to = w->spec.fields ? PUT(to, " } }") : PUT(to, "} }");
    size_t size = (size_t)(to - start);
    if (kind == EVENT_BROKEN && e->broken_how == BROKEN_CUT)
        size = 2 + (size_t)(chance(draw_of(sequence_of(&w->spec, e->number), DRAW_CUT)) *
                            (double)(size - 4));
    return size;
}
