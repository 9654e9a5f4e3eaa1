/* What parses and means something else than people of other systems think: found by one walk over a
 * query's tree before names are looked at. */
#include "sql/tree.h"

typedef struct Walk {
    Catalog *catalog;
    Error *error;
    Status status;
} Walk;

/* SELECT INTERVAL '10' MINUTES: ten seconds under the name "minutes". */
static Status check_target(Walk *w, const PgQuery__ResTarget *target) {
    static const char *const units[] = {"microseconds", "milliseconds", "seconds", "minutes",
                                        "hours",        "days",         "weeks",   "months",
                                        "years",        "week"};
    const PgQuery__Node *value = target->val;
    if (!target->name || !*target->name || !value ||
        value->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
        return OK;
    const PgQuery__TypeCast *cast = value->type_cast;
    const PgQuery__TypeName *type = cast->type_name;
    const char *name = type->n_names > 0 ? string_of(type->names[type->n_names - 1]) : NULL;
    if (!name || strcmp(name, "interval") != 0 || !cast->arg ||
        cast->arg->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return OK;
    const PgQuery__AConst *k = cast->arg->a_const;
    if (k->val_case != PG_QUERY__A__CONST__VAL_SVAL) return OK;
    bool quoted;
    (void)target_alias(w->catalog, target, &quoted);
    for (size_t i = 0; i < sizeof units / sizeof *units && !quoted; i++)
        if (strcmp(target->name, units[i]) == 0)
            return error_at(w->catalog, target->location, w->error,
                            "INTERVAL '%s' %s is an interval of %s seconds in a column named "
                            "\"%s\"; write INTERVAL '%s %s'",
                            k->sval->sval, target->name, k->sval->sval, target->name, k->sval->sval,
                            target->name);
    return OK;
}

/* Words of other dialects that PostgreSQL takes as an alias: FROM bid EMIT CHANGES. */
#define NO_EMIT "there is no EMIT: take CREATE MATERIALIZED VIEW v WITH (emit = 'final') AS …"
#define WINDOWS "windows are functions: FROM tumble(t, time, INTERVAL '1 minute')"
static const struct {
    const char *word, *remedy;
} aliases[] = {
    {"emit", NO_EMIT},
    {"changes", NO_EMIT},
    {"watermark", "write event_time and watermark_delay among the table's options"},
    {"tumble", WINDOWS},
    {"hop", WINDOWS},
    {"session", WINDOWS},
    {"tumbling", WINDOWS},
    {"hopping", WINDOWS},
    {"asof", "join a reference table by its PRIMARY KEY: JOIN ref r ON r.key = t.key"},
    {"qualify", "filter in an outer SELECT"},
};

static Status check_table(Walk *w, const PgQuery__RangeVar *r) {
    if (!r->inh) return refuse(w->catalog, r->location, w->error, "ONLY", "leave it out");
    if (!r->alias || !r->alias->aliasname) return OK;
    const Trees *trees = trees_of(w->catalog);
    int token = token_at(trees, r->location) + 1;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (!token_is(trees, token, aliases[i].word)) continue;
        Str word = token_text(trees, token);
        return error_at(w->catalog, trees->tokens[token].start, w->error,
                        "%.*s here is a new name for %s; %s, or write AS %.*s if the name is meant",
                        STR_ARG(word), r->relname, aliases[i].remedy, STR_ARG(word));
    }
    return OK;
}

static Status check_select(Walk *w, const PgQuery__SelectStmt *s) {
    int at = tree_begin(&s->base);
    Catalog *c = w->catalog;
    if (s->into_clause)
        return refuse(c, at, w->error, "SELECT INTO", "write INSERT INTO table SELECT …");
    if (s->n_locking_clause > 0)
        return refuse(c, at, w->error, "FOR UPDATE or FOR SHARE", "leave it out");
    if (s->n_values_lists > 0)
        return refuse(c, at, w->error, "VALUES",
                      "use a reference table: a file joined by its PRIMARY KEY");
    if (s->n_window_clause > 0)
        return refuse(c, at, w->error, "the WINDOW clause", "OVER comes with a later version");
    if (s->group_distinct)
        return refuse(c, at, w->error, "GROUP BY DISTINCT", "leave DISTINCT out");
    return OK;
}

static bool visit(const ProtobufCMessage *message, void *context) {
    Walk *w = context;
    const ProtobufCMessageDescriptor *type = message->descriptor;
    if (type == &pg_query__res_target__descriptor)
        w->status = check_target(w, (const PgQuery__ResTarget *)message);
    else if (type == &pg_query__range_var__descriptor)
        w->status = check_table(w, (const PgQuery__RangeVar *)message);
    else if (type == &pg_query__select_stmt__descriptor)
        w->status = check_select(w, (const PgQuery__SelectStmt *)message);
    return w->status == OK && each_child(message, visit, w);
}

Status check_query_text(Catalog *c, const NodeTree *query, Error *error) {
    Walk w = {c, error, OK};
    visit(&query->base, &w);
    return w.status;
}
