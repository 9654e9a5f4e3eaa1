/* leat explain: the plan for people. Sources first, with what is read of them and the options that
 * hold, also those that nobody gave; then each query as a tree from its end to where its rows come
 * from, each operator with what its state grows with, and each sink with how rows get there and
 * what that promises. Secrets are never shown. */
#include "sql/plan.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Explain {
    const Plan *plan;
    Buffer *out;
    Arena *arena;
} Explain;

static void line(Explain *x, int depth, const char *format, ...) PRINTF(3, 4);

static void line(Explain *x, int depth, const char *format, ...) {
    for (int i = 0; i < depth; i++) buffer_add_text(x->out, "  ");
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size >= 0) buffer_add(x->out, text, (size_t)size);
    free(text);
    buffer_add_char(x->out, '\n');
}

static const char *duration(Explain *x, int64_t us) {
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {{86400000000, "day"},
                 {3600000000, "hour"},
                 {60000000, "minute"},
                 {1000000, "second"},
                 {1000, "millisecond"}};
    if (us == 0) return "0 seconds";
    if (us == INT64_MAX) return "ever";
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (us % units[i].us == 0)
            return arena_format(x->arena, "%" PRId64 " %s%s", us / units[i].us, units[i].name,
                                us == units[i].us ? "" : "s");
    return arena_format(x->arena, "%" PRId64 " microseconds", us);
}

static const char *text_of(Explain *x, Buffer *text) {
    const char *copy = arena_text(x->arena, buffer_str(text));
    buffer_free(text);
    return copy;
}

void expr_words(const Expr *e, const Schema *schema, Buffer *out) {
    Buffer text = {0};
    expr_text(e, schema, &text);
    bool literal = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\'') literal = !literal;
        if (c != '"' || literal) {
            buffer_add_char(out, c);
            continue;
        }
        for (i++; i < text.size &&
                  !(text.data[i] == '"' && (i + 1 == text.size || text.data[i + 1] != '"'));
             i++) {
            if (text.data[i] == '"') i++; /* a doubled one */
            buffer_add_char(out, text.data[i]);
        }
    }
    buffer_free(&text);
}

static const char *words_of(Explain *x, const Expr *e, const Schema *schema) {
    Buffer text = {0};
    expr_words(e, schema, &text);
    return text_of(x, &text);
}

static const char *names_of(Explain *x, const Schema *schema, const int *columns, int count) {
    Buffer text = {0};
    for (int i = 0; i < count; i++)
        buffer_add_format(&text, "%s%s", i ? ", " : "", schema->fields[columns[i]].name);
    return text_of(x, &text);
}

static const char *schema_words(Explain *x, const Schema *schema) {
    Buffer text = {0};
    for (int i = 0; i < schema->count; i++)
        buffer_add_format(&text, "%s%s %s", i ? ", " : "", schema->fields[i].name,
                          type_name(schema->fields[i].type, x->arena));
    return text_of(x, &text);
}

/* ---- tables ---- */

static bool is_secret(const OptionValue *value) {
    if (value->option) return value->option->flags & OPTION_SECRET;
    static const char *const words[] = {"password", "secret",  "token",
                                        "jaas",     "key.pem", "oauthbearer"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(value->name, words[i])) return true;
    return false;
}

/* Options that say nothing for this table. */
static bool is_idle(const Table *t, const char *name) {
    if (strcmp(name, "connector") == 0) return true;
    bool time = strcmp(name, "watermark_delay") == 0 || strcmp(name, "idle_timeout") == 0 ||
                strcmp(name, "max_future") == 0;
    if (time &&
        (t->event_time < 0 || (strcmp(name, "max_future") == 0 && t->max_future_us == INT64_MAX)))
        return true;
    bool csv = strcmp(name, "header") == 0 || strcmp(name, "delimiter") == 0;
    return csv && (!t->format || strcmp(t->format->name, "csv") != 0);
}

static void option_line(Explain *x, int depth, const Table *t, const Option *option, int uses) {
    enum { all = OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE };
    if (option->flags & OPTION_LATER || (option->flags & all && !(option->flags & uses))) return;
    const OptionValue *value = option_find(&t->options, option->name);
    bool is_given = value && value->given;
    if (!is_given && is_idle(t, option->name)) return;
    const char *text = is_given ? value->raw ? value->raw : value->text : option->default_text;
    if (!text) return;
    bool hidden = option->flags & OPTION_SECRET;
    bool unit = !is_given && option->unit;
    line(x, depth, "%s = %s%s%s%s", option->name, hidden ? "(hidden)" : text, unit ? " " : "",
         unit ? option->unit : "", is_given ? "" : " (default)");
}

static void option_lines(Explain *x, int depth, const Table *t) {
    line(x, depth++, "options");
    int uses = (t->is_source ? OPTION_SOURCE : 0) | (t->is_sink ? OPTION_SINK : 0) |
               (t->is_reference ? OPTION_REFERENCE : 0);
    for (const Option *o = t->connector->options; o && o->name; o++)
        option_line(x, depth, t, o, uses);
    for (const Option *o = common_options; o->name; o++)
        if (strcmp(o->name, "connector") != 0) option_line(x, depth, t, o, uses);
    for (int i = 0; i < t->options.count; i++) {
        const OptionValue *value = &t->options.values[i];
        if (!value->option && value->given)
            line(x, depth, "\"%s\" = %s", value->name,
                 is_secret(value) ? "(hidden)"
                 : value->raw     ? value->raw
                                  : value->text);
    }
}

static const char *decode_words(Explain *x, const DecodeSpec *spec) {
    static const char *const kinds[] = {
        [DECODE_TOPIC] = "metadata topic",       [DECODE_PARTITION] = "metadata partition",
        [DECODE_OFFSET] = "metadata offset",     [DECODE_TIMESTAMP] = "metadata timestamp",
        [DECODE_KEY] = "metadata key",           [DECODE_HEADERS] = "metadata headers",
        [DECODE_FILENAME] = "metadata filename",
    };
    Buffer text = {0};
    for (int i = 0; i < spec->column_count; i++) {
        const DecodeColumn *c = &spec->columns[i];
        buffer_add_text(&text, i ? ", " : "");
        switch (c->kind) {
        case DECODE_FIELD:
            buffer_add_format(&text, "%s %s", c->name, type_name(c->type, x->arena));
            break;
        case DECODE_PATH:
            buffer_add_text(&text, c->name);
            for (int k = 0; k < c->path_count; k++) buffer_add_format(&text, ".%s", c->path[k]);
            buffer_add_format(&text, " %s", type_name(c->type, x->arena));
            break;
        case DECODE_COMPUTED: buffer_add_format(&text, "%s computed", c->name); break;
        default: buffer_add_text(&text, kinds[c->kind]); break;
        }
        if (c->not_null) buffer_add_text(&text, " not null");
    }
    if (spec->column_count == 0) buffer_add_text(&text, "no column: records are only counted");
    return text_of(x, &text);
}

static const char *error_words(OnError on_error) {
    switch (on_error) {
    case ON_ERROR_DEAD_LETTER: return "become dead letters";
    case ON_ERROR_NULL:
        return "lose their bad fields, which become NULL (without a time: dead letters)";
    case ON_ERROR_SKIP: return "are skipped and counted";
    case ON_ERROR_FAIL: return "end the run";
    }
    return "";
}

static bool ends(const Plan *plan, int source) {
    for (int q = 0; q < plan->query_count; q++)
        for (int i = 0; i < plan->queries[q].source_count; i++)
            if (plan->queries[q].sources[i] == source && plan->queries[q].bounded) return true;
    return false;
}

static void source_lines(Explain *x, int number) {
    const PlanSource *s = &x->plan->sources[number];
    const Table *t = s->table;
    line(x, 0, "source %s: %s, %s", t->name, t->connector->name,
         ends(x->plan, number) ? "read to its end" : "read as long as the pipeline runs");
    line(x, 1, "reads: %s", decode_words(x, &s->decode));
    line(x, 1, "bad records %s", error_words(t->on_error));
    if (s->decode.event_time >= 0) {
        line(x, 1,
             "event time %s; each partition's watermark is its highest time less %s; idle after %s",
             s->decode.columns[s->decode.event_time].name, duration(x, t->watermark_delay_us),
             duration(x, t->idle_timeout_us));
        if (t->max_future_us != INT64_MAX)
            line(x, 1, "times more than %s ahead of the clock become dead letters",
                 duration(x, t->max_future_us));
    } else {
        line(x, 1, "no event_time: order is arrival; no windows, nothing is late");
    }
    option_lines(x, 1, t);
    buffer_add_char(x->out, '\n');
}

static void reference_lines(Explain *x, const PlanReference *r) {
    line(x, 0, "reference table %s: %s, loaded whole before the first event%s", r->table->name,
         r->table->connector->name,
         r->refresh_us ? arena_format(x->arena, " and again every %s", duration(x, r->refresh_us))
                       : "");
    line(x, 1, "reads: %s", decode_words(x, &r->decode));
    line(x, 1, "found by %s; its rows are held in memory",
         names_of(x, &r->schema, r->keys, r->key_count));
    option_lines(x, 1, r->table);
    buffer_add_char(x->out, '\n');
}

/* ---- operators ---- */

static const Schema *input_schema(Explain *x, const PlanNode *node, int input) {
    return &x->plan->nodes[node->inputs[input]].schema;
}

/* "count(DISTINCT k) FILTER (WHERE hot) AS n" for each call. */
static const char *calls_words(Explain *x, const Schema *input, const Schema *output, int keys,
                               const AggregateCall *calls, int count) {
    Buffer text = {0};
    for (int i = 0; i < count; i++) {
        const AggregateCall *call = &calls[i];
        Buffer one = {0};
        buffer_add_format(&one, "%s(%s%s)", call->aggregate->name,
                          call->distinct ? "DISTINCT " : "",
                          call->arg >= 0 ? input->fields[call->arg].name : "*");
        if (call->filter >= 0)
            buffer_add_format(&one, " FILTER (WHERE %s)", input->fields[call->filter].name);
        const char *name = output->fields[keys + i].name;
        buffer_add_format(&text, "%s%.*s", i ? ", " : "", STR_ARG(buffer_str(&one)));
        if (!str_equal(buffer_str(&one), str_from(name))) buffer_add_format(&text, " AS %s", name);
        buffer_free(&one);
    }
    if (count == 0) buffer_add_text(&text, "no aggregates");
    return text_of(x, &text);
}

static const char *keys_words(Explain *x, const Schema *input, const Schema *output,
                              const int *keys, int count) {
    Buffer text = {0};
    for (int i = 0; i < count; i++) {
        const char *name = output->fields[i].name,
                   *from = keys[i] >= 0 ? input->fields[keys[i]].name : name;
        buffer_add_format(&text, "%s%s", i ? ", " : "", from);
        if (strcmp(from, name) != 0) buffer_add_format(&text, " AS %s", name);
    }
    return text_of(x, &text);
}

static bool keeps_values(const AggregateCall *calls, int count) {
    for (int i = 0; i < count; i++)
        if (calls[i].distinct) return true;
    return false;
}

static void ttl_lines(Explain *x, int depth, const AggregateSpec *spec) {
    const char *ttl = duration(x, spec->ttl_us);
    line(x, depth, "a group to which nothing came for %s of event time (state_ttl) is forgotten",
         ttl);
    line(x, depth, "state: the groups of the last %s of event time and the watermark delay", ttl);
}

static void aggregate_lines(Explain *x, int depth, const PlanNode *node) {
    const AggregateSpec *spec = node->spec;
    const Schema *input = input_schema(x, node, 0);
    const char *keys = keys_words(x, input, &spec->output, spec->keys, spec->key_count);
    line(x, depth, "GROUP BY %s: %s", spec->key_count ? keys : "nothing",
         calls_words(x, input, &spec->output, spec->key_count, spec->calls, spec->call_count));
    if (spec->close != CLOSE_NEVER) {
        line(x, depth + 1, "each group comes once, when the watermark reaches %s%s",
             spec->close == CLOSE_TIME
                 ? "its window_end"
                 : "a time after which no window of its window_start can come",
             spec->growth ? "; the view also shows it as it grows" : "");
        line(x, depth + 1,
             "state: the groups of open windows; bounded by the window and the watermark delay");
    } else if (spec->bounded) {
        line(x, depth + 1, "each group comes once, when the sources have ended%s",
             spec->growth ? "; the view also shows it as it grows" : "");
        if (spec->ttl_us) ttl_lines(x, depth + 1, spec);
        else if (spec->key_count)
            line(x, depth + 1, "state: grows with the number of distinct (%s), until the end",
                 keys);
        else line(x, depth + 1, "state: one row");
    } else {
        line(x, depth + 1, "changed groups are written at each checkpoint");
        if (spec->ttl_us) ttl_lines(x, depth + 1, spec);
        else if (spec->key_count)
            line(x, depth + 1,
                 "state: grows with the number of distinct (%s) for as long as the pipeline runs; "
                 "memory_limit ends "
                 "the run. Group by a window or by a time as well, or say state_ttl, to bound it",
                 keys);
        else line(x, depth + 1, "state: one row");
    }
    if (keeps_values(spec->calls, spec->call_count))
        line(x, depth + 1,
             "state: and every distinct value of each group, for count(DISTINCT …) and its kin");
}

static void session_lines(Explain *x, int depth, const PlanNode *node) {
    const SessionSpec *spec = node->spec;
    const Schema *input = input_schema(x, node, 0);
    line(x, depth, "sessions, gap %s, %s%s", duration(x, spec->gap_us),
         spec->partition_count ? "for each " : "one for all rows",
         names_of(x, input, spec->partition, spec->partition_count));
    line(x, depth + 1, "GROUP BY %s: %s",
         keys_words(x, input, &spec->output, spec->keys, spec->key_count),
         calls_words(x, input, &spec->output, spec->key_count, spec->calls, spec->call_count));
    if (spec->filter >= 0)
        line(x, depth + 1, "WHERE %s decides what is counted; all rows make the session last",
             input->fields[spec->filter].name);
    line(x, depth + 1,
         "each session comes once, when the watermark passes its window_end (last event + gap)");
    line(x, depth + 1,
         "state: open sessions; bounded by the gap and the watermark delay after the last event of "
         "each");
}

static const char *time_words(Explain *x, TimeKind kind, int time, const Schema *schema) {
    switch (kind) {
    case TIME_EVENT: return "event time";
    case TIME_ANY:
        return arena_format(x->arena, "%s; nothing is late, windows close at the end",
                            schema->fields[time].name);
    default: return schema->fields[time].name;
    }
}

static void window_lines(Explain *x, int depth, const PlanNode *node) {
    const WindowSpec *spec = node->spec;
    const char *time = time_words(x, spec->time_kind, spec->time, input_schema(x, node, 0));
    const char *offset =
        spec->offset_us ? arena_format(x->arena, ", offset %s", duration(x, spec->offset_us)) : "";
    if (spec->kind == WINDOW_TUMBLE)
        line(x, depth, "tumbling windows of %s%s by %s", duration(x, spec->size_us), offset, time);
    else if (spec->kind == WINDOW_CUMULATE)
        line(x, depth, "windows that begin every %s and end after each %s of it, by %s",
             duration(x, spec->size_us), duration(x, spec->slide_us), time);
    else
        line(x, depth, "hopping windows of %s every %s%s by %s", duration(x, spec->size_us),
             duration(x, spec->slide_us), offset, time);
    if (spec->time_kind == TIME_EVENT)
        line(x, depth + 1,
             "a row whose windows all ended at or before its partition's watermark is a late row");
}

static void dedup_lines(Explain *x, int depth, const PlanNode *node) {
    const DedupSpec *spec = node->spec;
    line(x, depth, "DISTINCT ON (%s): the first row of each passes",
         names_of(x, &node->schema, spec->keys, spec->key_count));
    if (spec->window_end >= 0)
        line(x, depth + 1,
             "state: the keys of open windows; bounded by the window and the watermark delay");
    else if (spec->horizon_us == END_OF_TIME) line(x, depth + 1, "state: every key, until the end");
    else
        line(x, depth + 1,
             "state: the keys of the last %s of event time (horizon) and the watermark delay; "
             "older rows are late",
             duration(x, spec->horizon_us));
}

static void reference_join_lines(Explain *x, int depth, const PlanNode *node) {
    const ReferenceJoinSpec *spec = node->spec;
    const PlanReference *r = &x->plan->references[spec->reference];
    const Schema *input = input_schema(x, node, 0);
    line(x, depth, "%sJOIN reference table %s ON (%s) = (%s)%s%s", spec->left ? "LEFT " : "",
         r->table->name, names_of(x, &r->schema, r->keys, r->key_count),
         names_of(x, input, spec->keys, spec->key_count), spec->residual ? " AND " : "",
         spec->residual ? words_of(x, spec->residual, &node->schema) : "");
    line(x, depth + 1, "state: none; the table is held in memory, %" PRId64 " columns wide",
         (int64_t)r->schema.count);
}

static void window_join_lines(Explain *x, int depth, const PlanNode *node) {
    const WindowJoinSpec *spec = node->spec;
    line(x, depth, "%sJOIN of windows, equal %s%s%s%s%s", spec->left ? "LEFT " : "",
         spec->sides[0].fields[spec->bucket[0]].name, spec->key_count ? ", " : "",
         names_of(x, &spec->sides[0], spec->keys[0], spec->key_count),
         spec->residual ? " AND " : "",
         spec->residual ? words_of(x, spec->residual, &node->schema) : "");
    line(x, depth + 1, "each pair comes once, when its window is closed on both sides");
    line(x, depth + 1,
         "state: results of windows that are open on either side; bounded by the windows and the "
         "watermark delays");
}

static void project_lines(Explain *x, int depth, const PlanNode *node) {
    const ProjectSpec *spec = node->spec;
    const Schema *input = input_schema(x, node, 0);
    Buffer text = {0};
    for (int i = 0; i < spec->count; i++) {
        buffer_add_text(&text, i ? ", " : "");
        Buffer expr = {0};
        expr_words(spec->exprs[i], input, &expr);
        const char *name = node->schema.fields[i].name;
        buffer_add_str(&text, buffer_str(&expr));
        if (!str_equal(buffer_str(&expr), str_from(name))) buffer_add_format(&text, " AS %s", name);
        buffer_free(&expr);
    }
    line(x, depth, "compute %s", text_of(x, &text));
    for (int i = 0; spec->required && i < spec->count; i++)
        if (spec->required[i])
            line(x, depth + 1, "NULL in %s makes a dead letter", node->schema.fields[i].name);
}

static void operator_lines(Explain *x, int depth, const PlanNode *node) {
    if (node->type == &filter_operator) {
        const FilterSpec *spec = node->spec;
        line(x, depth, "keep rows where %s",
             words_of(x, spec->condition, input_schema(x, node, 0)));
        if (spec->remembers)
            line(x, depth + 1,
                 "state: which groups pass now; those that no longer do are deleted, others %s",
                 spec->tells_all
                     ? "too, since a sink that is written at once may have them from before a crash"
                     : "not told");
    } else if (node->type == &project_operator) project_lines(x, depth, node);
    else if (node->type == &window_operator) window_lines(x, depth, node);
    else if (node->type == &dedup_operator) dedup_lines(x, depth, node);
    else if (node->type == &aggregate_operator) aggregate_lines(x, depth, node);
    else if (node->type == &session_operator) session_lines(x, depth, node);
    else if (node->type == &reference_join_operator) reference_join_lines(x, depth, node);
    else if (node->type == &window_join_operator) window_join_lines(x, depth, node);
    else line(x, depth, "UNION ALL of %d branches", node->input_count);
}

/* ---- queries ---- */

static const char *way_words(const PlanSink *sink) {
    switch (sink->way) {
    case SINK_BY_LENGTH:
        return "by length: written at once, synced at each checkpoint; after a crash the file is "
               "cut back to what the home "
               "committed, so that every row is there exactly once";
    case SINK_BY_OUTBOX:
        return "by outbox: kept in the home with the checkpoint, then delivered with a marker in "
               "one transaction, so that every "
               "row arrives exactly once";
    case SINK_BY_POSITION:
        return "by position: each transaction holds rows and how far the sources were read for "
               "them, so that every row arrives exactly once";
    case SINK_AT_ONCE:
        return "at once: rows of the last checkpoint may come again after a crash (at least once)";
    }
    return "";
}

static void sink_lines(Explain *x, const PlanNode *node) {
    const PlanSink *sink = &x->plan->sinks[node->index];
    if (!sink->table) {
        line(x, 1, "to the caller: %s", schema_words(x, &sink->schema));
        return;
    }
    line(x, 1, "into %s (%s): %s", sink->table->name, sink->table->connector->name,
         schema_words(x, &sink->schema));
    if (sink->table->key_count)
        line(x, 2, "upsert by %s", names_of(x, &sink->schema, sink->keys, sink->key_count));
    else if (sink->key_count)
        line(x, 2, "keyed by %s", names_of(x, &sink->schema, sink->keys, sink->key_count));
    line(x, 2, "delivered %s", way_words(sink));
    option_lines(x, 2, sink->table);
}

/* Its rows are groups that are forgotten some time. */
static bool shows_ttl(const Plan *plan, int number) {
    const PlanNode *node = &plan->nodes[number];
    if (node->type == &aggregate_operator) return ((const AggregateSpec *)node->spec)->ttl_us > 0;
    bool through = node->kind == NODE_VIEW || node->type == &filter_operator ||
                   node->type == &project_operator || node->type == &union_operator;
    for (int i = 0; through && i < node->input_count; i++)
        if (shows_ttl(plan, node->inputs[i])) return true;
    return false;
}

static void view_lines(Explain *x, const PlanNode *node) {
    const PlanView *v = &x->plan->views[node->index];
    line(x, 1, "materialized view: %s", schema_words(x, &v->schema));
    line(x, 2,
         "delivered in the home, in the transaction of the checkpoint: every row is there exactly "
         "once");
    if (v->retention_us)
        line(x, 2, "rows are deleted when older than the watermark less %s",
             duration(x, v->retention_us));
    else if (shows_ttl(x->plan, v->node)) line(x, 2, "rows are deleted with their groups");
    else line(x, 2, "rows are kept for ever");
}

static void node_lines(Explain *x, int number, int query, int depth) {
    const PlanNode *node = &x->plan->nodes[number];
    if (node->kind == NODE_SOURCE) {
        line(x, depth, "from source %s", node->name);
        return;
    }
    if (node->query != query) {
        line(x, depth, "from %s", x->plan->queries[node->query].name);
        return;
    }
    if (node->kind == NODE_VIEW) view_lines(x, node);
    else if (node->kind == NODE_SINK) sink_lines(x, node);
    else operator_lines(x, depth, node);
    for (int i = 0; i < node->input_count; i++)
        node_lines(x, node->inputs[i], query, node->input_count > 1 ? depth + 1 : depth);
}

static int end_of_query(const Plan *plan, int query) {
    int end = -1;
    for (int i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].query == query) end = i;
    return end;
}

static void query_lines(Explain *x, int number) {
    const PlanQuery *q = &x->plan->queries[number];
    line(x, 0, "query %s%s, plan %016" PRIx64, q->name,
         q->kind == QUERY_SHARED ? ": a view that remembers, run once for its readers" : "",
         q->hash);
    int end = end_of_query(x->plan, number);
    if (end >= 0) node_lines(x, end, number, 1);
    buffer_add_char(x->out, '\n');
}

void plan_explain(const Plan *plan, Buffer *out) {
    Arena *arena = arena_new();
    Explain x = {plan, out, arena};
    const Settings *s = &plan->catalog->settings;
    if (!plan->catalog->adhoc)
        line(&x, 0, "pipeline %s: home sqlite:%s, a checkpoint every %s\n",
             s->pipeline ? s->pipeline : "", s->home ? s->home : "",
             duration(&x, s->checkpoint_interval_us));
    for (int i = 0; i < plan->source_count; i++) source_lines(&x, i);
    for (int i = 0; i < plan->reference_count; i++) reference_lines(&x, &plan->references[i]);
    for (int i = 0; i < plan->query_count; i++) query_lines(&x, i);
    arena_free(&arena);
}
