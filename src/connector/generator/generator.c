/* The simulator as a table: its options. */
#include "connector/generator/generator.h"

#define SOURCE OPTION_SOURCE
const Option generator_options[] = {
    {"events", OPTION_INT, NULL, NULL, NULL, "how many; default: without end", SOURCE},
    {"rate", OPTION_NUMBER, "0", NULL, NULL,
     "events a second; 0: as fast as possible, in event time 1000 a second", SOURCE},
    {"devices", OPTION_INT, "1000", NULL, NULL, "devices that take turns", SOURCE},
    {"fields", OPTION_INT, "23", NULL, NULL, "members of complexData", SOURCE},
    {"duplicates", OPTION_NUMBER, "0.001", NULL, NULL,
     "probability that an event is sent again, with the same bytes", SOURCE},
    {"disorder", OPTION_INTERVAL, "0 seconds", NULL, NULL,
     "how far events are out of order at most", SOURCE},
    {"start", OPTION_TIME, NULL, NULL, NULL,
     "event time of the first; default: the first run's clock, kept in the home", SOURCE},
    {"seed", OPTION_INT, NULL, NULL, NULL,
     "same seed, same events; default: by chance, kept in the home", SOURCE},
    {"bad", OPTION_NUMBER, "0", NULL, NULL,
     "probability of a broken record beside the event: cut short, wrong type, bad time in turn",
     SOURCE},
    {"late", OPTION_NUMBER, "0", NULL, NULL,
     "probability that an event is sent 30 seconds after its time", SOURCE},
    {0},
};
#undef SOURCE

static Status in_range(const Options *options, const char *name, double value, double least,
                       double most, Error *error) {
    if (value >= least && value <= most) return OK;
    const OptionValue *given = option_find(options, name);
    return fail(error, "option '%s' must be between %g and %g, got '%s'", name, least, most,
                given ? given->text : "");
}

Status generator_spec(const Options *o, EventSpec *out, Error *error) {
    int64_t devices = option_int(o, "devices", 1000), fields = option_int(o, "fields", 23);
    *out = (EventSpec){.rate = option_number(o, "rate", 0),
                       .devices = devices,
                       .fields = (int)fields,
                       .duplicates = option_number(o, "duplicates", 0.001),
                       .bad = option_number(o, "bad", 0),
                       .late = option_number(o, "late", 0),
                       .disorder_us = option_int(o, "disorder", 0)};
    Status status = in_range(o, "devices", (double)devices, 1, 1e9, error);
    if (status == OK) status = in_range(o, "fields", (double)fields, 0, EVENT_FIELDS_MOST, error);
    if (status == OK) status = in_range(o, "rate", out->rate, 0, 1e9, error);
    if (status == OK) status = in_range(o, "duplicates", out->duplicates, 0, 1, error);
    if (status == OK) status = in_range(o, "bad", out->bad, 0, 1, error);
    if (status == OK) status = in_range(o, "late", out->late, 0, 1, error);
    if (status == OK)
        status = in_range(o, "events", (double)option_int(o, "events", 0), 0, (double)EVENTS_MOST,
                          error);
    if (status == OK && out->disorder_us < 0)
        status = fail(error, "option 'disorder' must not be negative");
    return status;
}

static Status check(const Options *options, bool as_source, bool as_sink, bool has_key,
                    Error *error) {
    (void)as_source, (void)has_key;
    EventSpec spec;
    if (as_sink) return fail(error, "a generator cannot be written to");
    if (strcmp(option_text(options, "format", "json"), "json") != 0)
        return fail(error, "the generator makes json; leave format out");
    return generator_spec(options, &spec, error);
}

const Connector generator_connector = {
    .name = "generator",
    .help = "the simulator: telemetry of devices, as many events a second as one likes",
    .options = generator_options,
    .source = &generator_source,
    .check = check};
