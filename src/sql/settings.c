/* SET name = value: the pipeline's settings, in one table of rows like those of tables' options,
 * which docs/options.md is made of too. */
#include "data/time.h"
#include "sql/tree.h"
#include <stdlib.h>

const Option setting_options[] = {
    {"pipeline", OPTION_TEXT, NULL, NULL, NULL,
     "the pipeline's name; default: the file's without .sql", 0},
    {"home", OPTION_TEXT, NULL, NULL, NULL,
     "where epochs are committed: 'sqlite:FILE'; default: sqlite:PIPELINE.leat", 0},
    {"checkpoint_interval", OPTION_INTERVAL, "1 second", NULL, NULL,
     "how often an epoch is committed; at least 1 ms", 0},
    {"workers", OPTION_INT, NULL, NULL, NULL, "decoder threads, 1 to 256; default: one a core", 0},
    {"http", OPTION_TEXT, NULL, NULL, NULL,
     "'off' or 'address:port'; default: 127.0.0.1:8080 or the next free port", 0},
    {"memory_limit", OPTION_SIZE, NULL, NULL, NULL,
     "the run ends with a message past this much, at least 1 MB; default: half of the machine or "
     "container",
     0},
    {"keep_rejects", OPTION_INT, "100000", NULL, "rows",
     "how many late rows and dead letters each are kept", 0},
    {"outbox_limit", OPTION_SIZE, "1 GB", NULL, NULL,
     "how much may wait for a sink that is away; at least 1 MB", 0},
    {0},
};
enum { SETTINGS = sizeof setting_options / sizeof *setting_options - 1 };

Status parse_duration(const char *text, int64_t *us, Error *error) {
    Interval interval;
    Status status = interval_parse(str_from(text), &interval, error);
    if (status == OK) status = interval_to_us(interval, us, error);
    return status;
}

static Status argument_text(Catalog *c, const PgQuery__VariableSetStmt *s, int location,
                            const char **text, Error *error) {
    const PgQuery__Node *arg = s->n_args == 1 ? s->args[0] : NULL;
    if (arg && arg->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        arg = NULL; /* SET TIME ZONE INTERVAL … */
    if (!arg || arg->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return error_at(c, location, error, "SET %s takes one value", s->name);
    const PgQuery__AConst *k = arg->a_const;
    switch (k->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        *text = arena_format(c->arena, "%d", k->ival->ival);
        return OK;
    case PG_QUERY__A__CONST__VAL_FVAL: *text = k->fval->fval; return OK;
    case PG_QUERY__A__CONST__VAL_BOOLVAL: *text = k->boolval->boolval ? "true" : "false"; return OK;
    case PG_QUERY__A__CONST__VAL_SVAL:
        return replace_variables(c, k->location >= 0 ? k->location : location, k->sval->sval, text,
                                 error);
    default: return error_at(c, location, error, "SET %s takes one value", s->name);
    }
}

static Status check_home(Catalog *c, int location, const char **text, Error *error) {
    if (strncmp(*text, "kafka", 5) == 0)
        return error_at(c, location, error,
                        "home = 'kafka' comes with a later version; write 'sqlite:FILE'");
    if (strncmp(*text, "sqlite:", 7) != 0 || !(*text)[7])
        return error_at(c, location, error, "home expects 'sqlite:FILE', not '%s'", *text);
    *text += 7;
    return OK;
}

static Status check_http(Catalog *c, int location, const char *text, Error *error) {
    if (strcmp(text, "off") == 0) return OK;
    const char *colon = strrchr(text, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    bool is_port =
        digits > 0 && digits < 6 && colon[1 + digits] == 0 && strtol(colon + 1, NULL, 10) <= 65535;
    if (!is_port || colon == text)
        return error_at(c, location, error, "http expects 'off' or 'address:port', not '%s'", text);
    return OK;
}

static Status check_pipeline(Catalog *c, int location, const char *text, Error *error) {
    if (!*text || strchr(text, '/') || strlen(text) > 200)
        return error_at(c, location, error,
                        "pipeline expects a name of 1 to 200 bytes without '/'");
    return OK;
}

static Status set_text(Catalog *c, const Option *row, int location, const char *text,
                       Error *error) {
    const char **to = &c->settings.pipeline;
    Status status;
    if (strcmp(row->name, "home") == 0) {
        to = &c->settings.home;
        status = check_home(c, location, &text, error);
    } else if (strcmp(row->name, "http") == 0) {
        to = &c->settings.http;
        status = check_http(c, location, text, error);
    } else {
        status = check_pipeline(c, location, text, error);
    }
    if (status == OK) *to = arena_text(c->arena, str_from(text));
    return status;
}

static Status set_number(Catalog *c, const Option *row, int location, const char *text,
                         Error *error) {
    Settings *s = &c->settings;
    OptionValue value = {0};
    Error inner = {0};
    if (option_parse(row, text, &value, &inner) != OK)
        return error_at(c, location, error, "%s", inner.text);
    int64_t least = 0, most = INT64_MAX;
    if (strcmp(row->name, "workers") == 0) least = 1, most = 256, s->workers = (int)value.integer;
    else if (strcmp(row->name, "keep_rejects") == 0) s->keep_rejects = value.integer;
    else if (strcmp(row->name, "checkpoint_interval") == 0)
        least = 1000, s->checkpoint_interval_us = value.integer;
    else if (strcmp(row->name, "memory_limit") == 0)
        least = 1 << 20, s->memory_limit = value.integer;
    else least = 1 << 20, s->outbox_limit = value.integer;
    if (value.integer >= least && value.integer <= most) return OK;
    return error_at(c, location, error, "%s = '%s' is out of bounds: %s", row->name, text,
                    row->help);
}

/* Each setting once: which one holds should not depend on the order of lines. */
static Status check_once(Catalog *c, const char *name, int location, Error *error) {
    const PgQuery__ParseResult *result = trees_of(c)->result;
    for (size_t i = 0; i < result->n_stmts; i++) {
        const PgQuery__Node *other = result->stmts[i]->stmt;
        if (other->node_case != PG_QUERY__NODE__NODE_VARIABLE_SET_STMT) continue;
        const Trees *trees = trees_of(c);
        int begin = trees->tokens[token_at(trees, result->stmts[i]->stmt_location)].start;
        if (begin < location && strcmp(other->variable_set_stmt->name, name) == 0)
            return error_at(c, location, error, "%s is set twice; leave one of them out", name);
    }
    return OK;
}

Status read_set(Catalog *c, const PgQuery__VariableSetStmt *s, int location, Error *error) {
    if (s->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE)
        return refuse(c, location, error,
                      s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT ? "SET … TO DEFAULT"
                                                                              : "this form of SET",
                      "write SET name = value, or leave it out");
    if (s->is_local) return refuse(c, location, error, "SET LOCAL", "write SET name = value");
    const char *names[SETTINGS];
    const Option *setting = NULL;
    for (int i = 0; i < SETTINGS; i++) {
        names[i] = setting_options[i].name;
        if (strcmp(s->name, names[i]) == 0) setting = &setting_options[i];
    }
    if (!setting) {
        const char *closest = closest_name(s->name, names, SETTINGS);
        if (strcmp(s->name, "timezone") == 0)
            return refuse(c, location, error, "SET TIME ZONE",
                          "times are UTC; convert with AT TIME ZONE");
        if (closest)
            return error_at(c, location, error, "unknown setting '%s'; did you mean '%s'?", s->name,
                            closest);
        return error_at(c, location, error,
                        "unknown setting '%s'; there are pipeline, home, checkpoint_interval, "
                        "workers, http, memory_limit, keep_rejects, outbox_limit",
                        s->name);
    }
    const char *text;
    Status status = check_once(c, s->name, location, error);
    if (status == OK) status = argument_text(c, s, location, &text, error);
    if (status != OK) return status;
    return setting->type == OPTION_TEXT ? set_text(c, setting, location, text, error)
                                        : set_number(c, setting, location, text, error);
}
