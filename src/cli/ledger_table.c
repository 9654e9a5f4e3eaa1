/* The ledger of a generator table: its options stand in the pipeline file, seed, segments and how
 * far it came in the home, so nothing needs to be written beside it. */
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table_name.h"
#include "connector/generator/generator.h"
#include "state/sqlite_file.h"
#include <inttypes.h>
#include <stdlib.h>

enum { POSITIONS = EVENT_KINDS + 1 }; /* of an event, as the source counts */

enum { VALUE_MOST = 8192 };

/* The first cell of `sql` with the table's name in the place of ?: OK, or END: there is none. */
static Status one_value(SqliteFile *home, const char *sql, const char *table, char *value,
                        Error *error) {
    Buffer text = {0};
    for (const char *at = sql; *at; at++) {
        if (*at != '?') buffer_add_char(&text, *at);
        for (const char *c = table; *at == '?' && *c; c++)
            buffer_add_format(&text, "%s%c", *c == '\'' ? "'" : "", *c);
    }
    buffer_add_char(&text, 0);
    Status status = sqlite_file_query(home, text.data, error);
    if (status == OK) status = sqlite_file_next(home, error);
    if (status == OK) {
        Str cell = sqlite_file_text(home, 0);
        snprintf(value, VALUE_MOST, "%.*s", STR_ARG(cell));
    }
    buffer_free(&text);
    return status;
}

static Status read_segments(Ledger *l, const char *text, Error *error) {
    l->segment_count = 0;
    while (*text && l->segment_count < LEDGER_SEGMENTS) {
        char *end;
        Segment segment = {.first = strtoll(text, &end, 10)};
        if (*end != ':') break;
        segment.time_us = strtoll(end + 1, &end, 10);
        l->segments[l->segment_count++] = segment;
        text = *end == ',' ? end + 1 : end;
    }
    if (l->segment_count == 0)
        return fail(error, "the home's segments of the generator are damaged");
    if (l->segments[0].first > 0)
        return fail(error,
                    "the generator was started too often: the home knows the times of its events "
                    "from number %" PRId64 " on only; give the table a 'start'",
                    l->segments[0].first);
    return OK;
}

static Status read_home(const char *path, const char *table, Ledger *l, Error *error) {
    SqliteFile *home = NULL;
    char value[VALUE_MOST];
    Status status = sqlite_file_open(path, &home, error);
    if (status == OK)
        status = one_value(home, "SELECT value FROM leat_facts WHERE name = '?.seed'", table, value,
                           error);
    if (status == OK) l->spec.seed = strtoull(value, NULL, 10);
    if (status == OK)
        status = one_value(home, "SELECT value FROM leat_facts WHERE name = '?.segments'", table,
                           value, error);
    if (status == OK) status = read_segments(l, value, error);
    if (status == OK)
        status = one_value(home, "SELECT position FROM leat_positions WHERE source = '?'", table,
                           value, error);
    if (status == OK) l->sent = strtoll(value, NULL, 10) / POSITIONS;
    sqlite_file_close(&home);
    if (status == END)
        return fail(error, "'%s' does not say how far the generator \"%s\" came", path, table);
    return status;
}

int ledger_of_table(const char *file, const char *name, Ledger *l, Error *error) {
    Catalog *catalog;
    const Table *table = open_table(file, name, false, &catalog);
    if (!table) return EXIT_USAGE;
    *l = (Ledger){0};
    Status status = OK;
    if (table->connector->source != &generator_source)
        status = fail(error,
                      "--ledger: table \"%s\" is no generator, only what generators sent is "
                      "known",
                      table->name);
    int wrong = status == OK ? EXIT_FAILED : EXIT_USAGE;
    if (status == OK) status = generator_spec(&table->options, &l->spec, error);
    if (status == OK) status = read_home(catalog->settings.home, table->name, l, error);
    catalog_free(&catalog);
    return status == OK ? EXIT_DONE : wrong;
}
