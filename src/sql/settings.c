/* SET name = value: the pipeline's settings, in one table. */
#include "data/time.h"
#include "sql/tree.h"
#include <errno.h>
#include <stdlib.h>

typedef struct Setting {
    const char *name;
    OptionType type;
    size_t offset; /* of its field in Settings */
    int64_t least;
    const char *expected;
} Setting;

#define FIELD(name) offsetof(Settings, name)
static const Setting settings[] = {
    {"pipeline", OPTION_TEXT, FIELD(pipeline), 0, "a name"},
    {"home", OPTION_TEXT, FIELD(home), 0, "'sqlite:FILE'"},
    {"checkpoint_interval", OPTION_INTERVAL, FIELD(checkpoint_interval_us), 1000, "an interval of at least a millisecond: '1 second'"},
    {"workers", OPTION_INT, FIELD(workers), 1, "a number of threads from 1 to 256"},
    {"http", OPTION_TEXT, FIELD(http), 0, "'off' or 'address:port'"},
    {"memory_limit", OPTION_SIZE, FIELD(memory_limit), 1 << 20, "a size of at least 1 MB: '512 MB'"},
    {"keep_rejects", OPTION_INT, FIELD(keep_rejects), 0, "a number of rows"},
    {"outbox_limit", OPTION_SIZE, FIELD(outbox_limit), 1 << 20, "a size of at least 1 MB: '1 GB'"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static Status parse_size(const char *text, int64_t *bytes) {
    static const struct { const char *unit; int shift; } units[] = {
        {"", 0}, {"b", 0}, {"kb", 10}, {"mb", 20}, {"gb", 30}, {"tb", 40}, {"kib", 10}, {"mib", 20}, {"gib", 30}, {"tib", 40}};
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (end == text || errno || number < 0) return REJECT;
    while (*end == ' ') end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!str_equal_nocase(str_from(end), str_from(units[i].unit))) continue;
        double value = number * (double)(INT64_C(1) << units[i].shift);
        if (!(value < 9e18)) return REJECT;
        *bytes = (int64_t)value;
        return OK;
    }
    return REJECT;
}

static Status parse_whole(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno || end == text || *end ? REJECT : OK;
}

Status parse_duration(const char *text, int64_t *us, Error *error) {
    Interval interval;
    Status status = interval_parse(str_from(text), &interval, error);
    if (status == OK) status = interval_to_us(interval, us, error);
    return status;
}

static Status argument_text(Catalog *c, const PgQuery__VariableSetStmt *s, int location, const char **text, Error *error) {
    const PgQuery__Node *arg = s->n_args == 1 ? s->args[0] : NULL;
    if (arg && arg->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) arg = NULL; /* SET TIME ZONE INTERVAL … */
    if (!arg || arg->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return error_at(c, location, error, "SET %s takes one value", s->name);
    const PgQuery__AConst *k = arg->a_const;
    switch (k->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL: *text = arena_format(c->arena, "%d", k->ival->ival); return OK;
    case PG_QUERY__A__CONST__VAL_FVAL: *text = k->fval->fval; return OK;
    case PG_QUERY__A__CONST__VAL_BOOLVAL: *text = k->boolval->boolval ? "true" : "false"; return OK;
    case PG_QUERY__A__CONST__VAL_SVAL: return replace_variables(c, k->location >= 0 ? k->location : location, k->sval->sval, text, error);
    default: return error_at(c, location, error, "SET %s takes one value", s->name);
    }
}

static Status check_home(Catalog *c, int location, const char **text, Error *error) {
    if (strncmp(*text, "kafka", 5) == 0)
        return error_at(c, location, error, "home = 'kafka' comes with a later version; write 'sqlite:FILE'");
    if (strncmp(*text, "sqlite:", 7) != 0 || !(*text)[7])
        return error_at(c, location, error, "home expects 'sqlite:FILE', not '%s'", *text);
    *text += 7;
    return OK;
}

static Status check_http(Catalog *c, int location, const char *text, Error *error) {
    if (strcmp(text, "off") == 0) return OK;
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || colon == text || parse_whole(colon + 1, &port) != OK || port < 0 || port > 65535)
        return error_at(c, location, error, "http expects 'off' or 'address:port', not '%s'", text);
    return OK;
}

static Status check_pipeline(Catalog *c, int location, const char *text, Error *error) {
    if (!*text || strchr(text, '/') || strlen(text) > 200)
        return error_at(c, location, error, "pipeline expects a name of 1 to 200 bytes without '/'");
    return OK;
}

static Status set_text(Catalog *c, const Setting *s, int location, const char *text, Error *error) {
    Status status = strcmp(s->name, "home") == 0   ? check_home(c, location, &text, error)
                    : strcmp(s->name, "http") == 0 ? check_http(c, location, text, error)
                                                   : check_pipeline(c, location, text, error);
    if (status == OK) *(const char **)((char *)&c->settings + s->offset) = arena_text(c->arena, str_from(text));
    return status;
}

static Status set_number(Catalog *c, const Setting *s, int location, const char *text, Error *error) {
    int64_t value = 0;
    Error inner = {0};
    Status status = s->type == OPTION_INT    ? parse_whole(text, &value)
                    : s->type == OPTION_SIZE ? parse_size(text, &value)
                                             : parse_duration(text, &value, &inner);
    bool is_workers = strcmp(s->name, "workers") == 0;
    if (status != OK || value < s->least || (is_workers && value > 256))
        return error_at(c, location, error, "%s expects %s, not '%s'", s->name, s->expected, text);
    if (is_workers) c->settings.workers = (int)value;
    else *(int64_t *)(void *)((char *)&c->settings + s->offset) = value;
    return OK;
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
            return error_at(c, location, error, "%s is set twice", name);
    }
    return OK;
}

Status read_set(Catalog *c, const PgQuery__VariableSetStmt *s, int location, Error *error) {
    if (s->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE)
        return refuse(c, location, error, s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT ? "SET … TO DEFAULT" : "this form of SET",
                      "write SET name = value, or leave it out");
    if (s->is_local) return refuse(c, location, error, "SET LOCAL", "write SET name = value");
    const char *names[SETTINGS];
    const Setting *setting = NULL;
    for (int i = 0; i < SETTINGS; i++) {
        names[i] = settings[i].name;
        if (strcmp(s->name, settings[i].name) == 0) setting = &settings[i];
    }
    if (!setting) {
        const char *closest = closest_name(s->name, names, SETTINGS);
        if (strcmp(s->name, "timezone") == 0)
            return refuse(c, location, error, "SET TIME ZONE", "times are UTC; convert with AT TIME ZONE");
        if (closest) return error_at(c, location, error, "unknown setting '%s'; did you mean '%s'?", s->name, closest);
        return error_at(c, location, error, "unknown setting '%s'; there are pipeline, home, checkpoint_interval, workers, http, "
                        "memory_limit, keep_rejects, outbox_limit", s->name);
    }
    const char *text;
    Status status = check_once(c, s->name, location, error);
    if (status == OK) status = argument_text(c, s, location, &text, error);
    if (status != OK) return status;
    return setting->type == OPTION_TEXT ? set_text(c, setting, location, text, error)
                                        : set_number(c, setting, location, text, error);
}
