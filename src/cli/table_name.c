/* A table of a pipeline file, for verbs that read or write it without running the pipeline. */
#include "cli/table_name.h"
#include "cli/cli.h"
#include <stdio.h>

bool is_table_name(const char *word, char **file, const char **table) {
    const char *colon = strstr(word, ".sql:");
    if (!colon) return false;
    colon += 4;
    *file = xstrdup(word);
    (*file)[colon - word] = 0;
    *table = colon + 1;
    return true;
}

static Status find(Catalog *catalog, const char *file, const char *name, bool as_sink, Table **out,
                   Error *error) {
    Status status = catalog_find_table(catalog, name, false, out, error);
    if (status != OK) return FAIL;
    if (!*out) {
        Buffer names = {0};
        for (int i = 0; i < catalog->table_count; i++)
            buffer_add_format(&names, "%s%s", i ? ", " : "", catalog->tables[i].name);
        for (int i = 0; i < catalog->view_count && !as_sink; i++)
            if (catalog->views[i].materialized)
                buffer_add_format(&names, "%s%s", names.size ? ", " : "", catalog->views[i].name);
        status = fail(error, "%s has no table '%s'; there are %.*s", file, name,
                      STR_ARG(buffer_str(&names)));
        buffer_free(&names);
        return status;
    }
    const Table *table = *out;
    if (as_sink ? !table->connector->sink : !table->connector->source)
        return fail(error, "table \"%s\" of %s has connector '%s', which cannot be %s", table->name,
                    file, table->connector->name, as_sink ? "written to" : "read");
    if (!table->connector->check) return OK;
    status =
        table->connector->check(&table->options, !as_sink, as_sink, table->key_count > 0, error);
    if (status != OK && error->line == 0) {
        error->line = table->line;
        error->column = table->place;
    }
    return status;
}

Table *open_table(const char *file, const char *name, bool as_sink, Catalog **catalog) {
    Error error = {0};
    Table *table = NULL;
    *catalog = NULL;
    Status status = catalog_read(file, catalog, &error);
    if (status == OK) status = find(*catalog, file, name, as_sink, &table, &error);
    if (status == OK) return table;
    if (error.line > 0 || !*catalog) pipeline_error(file, *catalog, &error);
    else fprintf(stderr, "leat: %s\n", error.text);
    if (*catalog) catalog_free(catalog);
    return NULL;
}
