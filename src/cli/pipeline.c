/* From a file's name to its plan, for every verb that takes a pipeline: what is wrong goes to
 * standard error as FILE.sql:LINE:COLUMN with the line and a caret, warnings too. */
#include "cli/cli.h"
#include <stdio.h>

/* A file that does not parse has no catalog to hold its text. */
static void read_text(const char *file, Buffer *text) {
    FILE *stream = fopen(file, "re");
    size_t got = 1;
    while (stream && got > 0 && text->size < 4 << 20) {
        char *to = buffer_reserve(text, 65536);
        got = fread(to, 1, 65536, stream);
        text->size += got;
    }
    if (stream) fclose(stream);
}

void pipeline_error(const char *file, const Catalog *catalog, const Error *error) {
    pipeline_error_as(file, file, catalog, error);
}

void pipeline_error_as(const char *told, const char *file, const Catalog *catalog,
                       const Error *error) {
    Buffer text = {0}, message = {0};
    if (!catalog && error->line > 0) read_text(file, &text);
    catalog_error_text(told, catalog ? catalog->text : buffer_str(&text), error, &message);
    fwrite(message.data, 1, message.size, stderr);
    buffer_free(&text);
    buffer_free(&message);
}

Status pipeline_plan(const char *file, Catalog **catalog, Plan **plan) {
    Error error = {0};
    Status status = catalog_read(file, catalog, &error);
    if (status == OK) status = plan_new(*catalog, plan, &error);
    for (int i = 0; *catalog && i < (*catalog)->warning_count; i++)
        fprintf(stderr, "%s\n", (*catalog)->warnings[i]);
    if (status == OK) return OK;
    pipeline_error(file, *catalog, &error);
    if (*catalog) catalog_free(catalog);
    return FAIL;
}
