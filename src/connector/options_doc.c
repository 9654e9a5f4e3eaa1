/* docs/options.md out of the option tables. With a file's name: is the file still what the tables
 * say? That is a test, so that the page cannot fall behind. */
#include "connector/connector.h"
#include <stdio.h>

static void add_choices(const Option *option, Buffer *out) {
    for (int i = 0; option->choices && option->choices[i]; i++)
        if (*option->choices[i] != '-')
            buffer_add_format(out, "%s`%s`", i ? ", " : "", option->choices[i]);
}

static void add_row(const Option *option, Buffer *out) {
    static const char *const types[] = {"text",     "whole number", "number", "true or false",
                                        "interval", "size",         "",       "time"};
    buffer_add_format(out, "| `%s` | ", option->name);
    if (option->type == OPTION_ENUM) add_choices(option, out);
    else buffer_add_text(out, types[option->type]);
    buffer_add_text(out, " | ");
    if (option->default_text) buffer_add_format(out, "`%s`", option->default_text);
    else buffer_add_text(out, option->flags & OPTION_REQUIRED ? "required" : "");
    buffer_add_text(out, " | ");
    const char *between = "";
    static const struct {
        int flag;
        const char *name;
    } uses[] = {{OPTION_SOURCE, "source"}, {OPTION_SINK, "sink"}, {OPTION_REFERENCE, "reference"}};
    for (int i = 0; i < 3; i++)
        if (option->flags & uses[i].flag) {
            buffer_add_format(out, "%s%s", between, uses[i].name);
            between = ", ";
        }
    buffer_add_format(out, " | %s%s |\n", option->help,
                      option->flags & OPTION_LATER ? " (comes with a later version)" : "");
}

static void add_table(const char *title, const char *text, const Option *options, Buffer *out) {
    buffer_add_format(out, "\n## %s\n%s\n\n", title, text);
    buffer_add_text(out, "| option | value | default | for | |\n| --- | --- | --- | --- | --- |\n");
    for (const Option *o = options; o && o->name; o++) add_row(o, out);
}

static int compare(const char *path, const Buffer *wanted) {
    FILE *file = fopen(path, "rb");
    Buffer found = {0};
    for (size_t got = 1; file && got > 0; found.size += got)
        got = fread(buffer_reserve(&found, 65536), 1, 65536, file);
    if (file) fclose(file);
    bool same = str_equal(buffer_str(&found), buffer_str(wanted));
    buffer_free(&found);
    if (!same)
        fprintf(stderr,
                "%s is not what the option tables say; write it anew with "
                "build/src/connector/options_doc > docs/options.md\n",
                path);
    return same ? 0 : 1;
}

int main(int argc, char **argv) {
    Buffer out = {0};
    buffer_add_text(
        &out, "# Options of tables\n\nWhat stands in `CREATE TABLE … WITH (…)`. Written from the "
              "program's own tables by `build/src/connector/options_doc`.\nAn option that does "
              "not exist, or makes no sense where it stands, is an error.\n");
    add_table("All connectors", "", common_options, &out);
    for (int i = 0; connector_at(i); i++) {
        const Connector *c = connector_at(i);
        Buffer title = {0};
        buffer_add_format(&title, "connector = '%s'", c->name);
        buffer_add_char(&title, 0);
        add_table(title.data, c->help, c->options, &out);
        if (c->properties)
            buffer_add_text(
                &out, "\nAny property of the client library may be given under its own name in "
                      "double quotes: `\"bootstrap.servers\"`. One that says nothing where it "
                      "stands (`\"group.id\"` of a sink), that Leat has settled otherwise "
                      "(`\"isolation.level\"`), or that goes against the others (`\"acks\" = "
                      "'1'` without `delivery = 'at_least_once'`) is refused by name, by "
                      "`leat check` already. For what only does nothing (`\"session.timeout.ms\"`) "
                      "there is a warning.\n");
        buffer_free(&title);
    }
    int status = 0;
    if (argc > 1) status = compare(argv[1], &out);
    else fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
    return status;
}
