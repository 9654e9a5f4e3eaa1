/* Options of tables: one row each says name, type, default and where it makes sense; everything
 * that reads, checks, explains or documents options goes by these rows. Values are read once, here,
 * so that every connector says the same of a wrong one: what was expected, what was got. */
#include "base/memory.h"
#include "connector/connector.h"
#include "data/time.h"
#include "data/value.h"
#include <stdlib.h>

/* Those behind a '-' come with a later version. */
static const char *const formats[] = {"json", "csv", "json_array", "-avro", NULL};
static const char *const on_errors[] = {"dead_letter", "null", "skip", "fail", NULL};
static const char *const deliveries[] = {"exactly_once", "at_least_once", NULL};
static const char *const modes[] = {"-lookup", NULL};

enum { EVERYWHERE = OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE };

const Option common_options[] = {
    {"connector", OPTION_TEXT, NULL, NULL, NULL, "what is outside: file, kafka, generator",
     OPTION_REQUIRED | OPTION_ANSWER | EVERYWHERE},
    {"format", OPTION_ENUM, "json", formats, NULL,
     "how records look; json: one object a record; json_array: a file or message is one array, "
     "each element a record",
     OPTION_ANSWER | EVERYWHERE},
    {"event_time", OPTION_TEXT, NULL, NULL, NULL, "the column that says when a row happened",
     OPTION_ANSWER | OPTION_SOURCE},
    {"watermark_delay", OPTION_INTERVAL, "0 seconds", NULL, NULL,
     "how far out of order events may be", OPTION_ANSWER | OPTION_SOURCE},
    {"idle_timeout", OPTION_INTERVAL, "10 seconds", NULL, NULL,
     "after so long without rows a partition no longer holds the others back",
     OPTION_ANSWER | OPTION_SOURCE},
    {"max_future", OPTION_INTERVAL, "5 minutes", NULL, NULL,
     "an event stamped further ahead of the clock is a dead letter; off for file and generator "
     "unless given",
     OPTION_ANSWER | OPTION_SOURCE},
    {"on_error", OPTION_ENUM, "dead_letter", on_errors, NULL,
     "what a bad record becomes; null: its bad field becomes NULL",
     OPTION_ANSWER | OPTION_SOURCE | OPTION_REFERENCE},
    {"delivery", OPTION_ENUM, "exactly_once", deliveries, NULL,
     "at_least_once: sent at once, may repeat after a crash", OPTION_SINK},
    {"version", OPTION_TEXT, NULL, NULL, NULL,
     "the store keeps the row with the greater value of this column", OPTION_SINK | OPTION_LATER},
    {"refresh", OPTION_INTERVAL, NULL, NULL, NULL,
     "reference data is read again so often; default: never", OPTION_REFERENCE},
    {"mode", OPTION_ENUM, NULL, modes, NULL, "lookup: ask row by row instead of loading the table",
     OPTION_REFERENCE | OPTION_LATER},
    {0},
};

const OptionValue *option_find(const Options *options, const char *name) {
    for (int i = 0; i < options->count; i++)
        if (strcmp(options->values[i].name, name) == 0) return &options->values[i];
    return NULL;
}

int64_t option_int(const Options *options, const char *name, int64_t otherwise) {
    const OptionValue *value = option_find(options, name);
    return value ? value->integer : otherwise;
}

bool option_bool(const Options *options, const char *name, bool otherwise) {
    const OptionValue *value = option_find(options, name);
    return value ? value->integer != 0 : otherwise;
}

const char *option_text(const Options *options, const char *name, const char *otherwise) {
    const OptionValue *value = option_find(options, name);
    return value && value->text ? value->text : otherwise;
}

double option_number(const Options *options, const char *name, double otherwise) {
    const OptionValue *value = option_find(options, name);
    return value ? value->number : otherwise;
}

/* ---- values from text ---- */

static Status expected(const Option *option, const char *what, const char *text, Error *error) {
    return reject(error, "option '%s' expects %s, got '%s'", option->name, what, text);
}

static Status parse_int(const Option *option, const char *text, int64_t *out, Error *error) {
    Value value;
    Arena *arena = arena_new();
    Status status = value_parse(type_of(TYPE_INT8), str_from(text), &value, arena, NULL);
    arena_free(&arena);
    if (status != OK) return expected(option, "a whole number", text, error);
    *out = value.integer;
    return OK;
}

static Status parse_bool(const Option *option, const char *text, int64_t *out, Error *error) {
    static const char *const words[] = {"false", "true", "off", "on", "no", "yes", "0", "1"};
    for (int i = 0; i < 8; i++)
        if (str_equal_nocase(str_from(text), str_from(words[i]))) {
            *out = i % 2;
            return OK;
        }
    return expected(option, "true or false", text, error);
}

static Status parse_interval(const Option *option, const char *text, int64_t *out, Error *error) {
    Interval interval;
    Error ignored;
    if (interval_parse(str_from(text), &interval, &ignored) != OK)
        return expected(option, "an interval like '10 seconds'", text, error);
    if (interval_to_us(interval, out, &ignored) != OK)
        return expected(option, "an interval of a fixed length, without months or years", text,
                        error);
    return OK;
}

static Status parse_size(const Option *option, const char *text, int64_t *out, Error *error) {
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"", 1},         {"B", 1},        {"kB", 1 << 10},
                 {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", INT64_C(1) << 40}};
    char *end;
    long long count = strtoll(text, &end, 10);
    bool digits = end != text && *text >= '0' && *text <= '9';
    while (*end == ' ') end++;
    for (size_t i = 0; digits && i < sizeof units / sizeof *units; i++)
        if (str_equal_nocase(str_from(end), str_from(units[i].unit)) &&
            !__builtin_mul_overflow((int64_t)count, units[i].bytes, out))
            return OK;
    return expected(option, "a size like '64 MB' (B, kB, MB, GB, TB)", text, error);
}

static Status parse_time(const Option *option, const char *text, int64_t *out, Error *error) {
    Error ignored;
    if (timestamp_parse(str_from(text), true, out, &ignored) == OK) return OK;
    return expected(option, "a time like '2026-01-01T00:00:00Z'", text, error);
}

static Status parse_choice(const Option *option, const char *text, int64_t *out, Error *error) {
    Buffer list = {0};
    const char *words[32];
    int count = 0;
    Status status = FAIL;
    for (int i = 0; option->choices && option->choices[i] && i < 32; i++) {
        const char *choice = option->choices[i];
        bool later = *choice == '-';
        if (strcmp(choice + later, text) == 0) {
            *out = i;
            status = later ? REJECT : OK;
        }
        if (later) continue;
        buffer_add_format(&list, "%s'%s'", list.size ? ", " : "", choice);
        words[count++] = choice;
    }
    buffer_add_char(&list, 0);
    if (status == REJECT) {
        status = reject(error, "%s '%s' comes with a later version; now it is one of %s",
                        option->name, text, list.data);
    } else if (status == FAIL) {
        const char *closest = closest_name(text, words, count);
        if (closest)
            status = reject(error, "option '%s' has no value '%s'; did you mean '%s'?",
                            option->name, text, closest);
        else
            status = reject(error, "option '%s' expects one of %s, got '%s'", option->name,
                            list.data, text);
    }
    buffer_free(&list);
    return status;
}

Status option_parse(const Option *option, const char *text, OptionValue *out, Error *error) {
    *out = (OptionValue){.option = option, .name = option->name, .text = text, .given = true};
    switch (option->type) {
    case OPTION_TEXT: return *text ? OK : expected(option, "a text that is not empty", text, error);
    case OPTION_INT: return parse_int(option, text, &out->integer, error);
    case OPTION_NUMBER:
        if (double_parse(str_from(text), &out->number) == OK && out->number - out->number == 0)
            return OK;
        return expected(option, "a number", text, error);
    case OPTION_BOOL: return parse_bool(option, text, &out->integer, error);
    case OPTION_INTERVAL: return parse_interval(option, text, &out->integer, error);
    case OPTION_SIZE: return parse_size(option, text, &out->integer, error);
    case OPTION_ENUM: return parse_choice(option, text, &out->integer, error);
    case OPTION_TIME: return parse_time(option, text, &out->integer, error);
    }
    return expected(option, "another type", text, error);
}
