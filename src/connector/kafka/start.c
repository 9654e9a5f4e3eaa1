/* Where the partitions of a topic begin of which the home has no position. That is settled once, at
 * the first look, for all partitions that are there, and kept in the home as offsets: what comes
 * while Leat is down after its first start is not missed, a restart before the first epoch begins
 * at the same records, and partitions that appear later are known by not being in the list: they
 * begin at their start, whatever `start` says.
 *
 * The fact `start` is TOPIC, tab, START as it was written, tab, an offset a partition, with blanks
 * between: what is there was settled for that topic alone. */
#include "base/log.h"
#include "connector/kafka/kafka.h"
#include "data/time.h"
#include <inttypes.h>
#include <stdlib.h>

/* A record's timestamp is in milliseconds; the first that is not less has at least this one.
 * '-infinity' and what is before 1970 is before every record, 'infinity' behind. */
static int64_t first_ms(int64_t us) {
    if (us <= 0) return 0;
    return us / 1000 + (us % 1000 != 0);
}

Status kafka_start_read(const Options *given, KafkaStart *out, Error *error) {
    static const char *const words[] = {"earliest", "latest", "group"};
    static const KafkaStart starts[] = {{KAFKA_EARLIEST, 0}, {KAFKA_LATEST, 0}, {KAFKA_GROUP, 0}};
    const OptionValue *value = option_find(given, "start");
    const char *text = value && value->text ? value->text : "earliest";
    for (int i = 0; i < 3; i++)
        if (strcmp(words[i], text) == 0) {
            *out = starts[i];
            return OK;
        }
    int64_t us;
    Error ignored;
    if (timestamp_parse(str_from(text), true, &us, &ignored) == OK) {
        *out = (KafkaStart){KAFKA_TIME, first_ms(us)};
        return OK;
    }
    const char *closest = closest_name(text, words, 3);
    if (closest)
        return fail_at(error, value->line, value->place,
                       "option 'start' has no value '%s'; did you mean '%s'?", text, closest);
    return fail_at(error, value->line, value->place,
                   "option 'start' expects 'earliest', 'latest', 'group' or a time like "
                   "'2026-01-01T00:00:00Z', got '%s'",
                   text);
}

/* ---- asking the brokers ---- */

typedef struct Asking {
    KafkaClient *client;
    const SourceContext *context;
    const char *topic;
} Asking;

static Status refused(const Asking *a, const char *what, rd_kafka_resp_err_t code, Error *error) {
    if (kafka_passing(code)) return kafka_away(a->client, rd_kafka_err2str(code), error);
    return fail(error, "source %s: topic '%s': %s: %s", a->context->table, a->topic, what,
                rd_kafka_err2str(code));
}

static Status first_error(const Asking *a, const char *what,
                          const rd_kafka_topic_partition_list_t *list, Error *error) {
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err) return refused(a, what, list->elems[i].err, error);
    return OK;
}

rd_kafka_resp_err_t kafka_offsets(KafkaClient *client, const char *topic, int first, int count,
                                  int64_t time, int64_t *offsets, int most_ms) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, first + i)->offset = time;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->handle, list, most_ms);
    for (int i = 0; i < list->cnt; i++) {
        offsets[list->elems[i].partition - first] = list->elems[i].offset;
        if (!code) code = list->elems[i].err;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static Status ask_times(const Asking *a, int64_t time, int count, int64_t *offsets, Error *error) {
    rd_kafka_resp_err_t code =
        kafka_offsets(a->client, a->topic, 0, count, time, offsets, 2 * KAFKA_LOOK_MS);
    return code ? refused(a, "offsets cannot be asked for", code, error) : OK;
}

/* The ends are asked for first: what comes between the two questions is behind them. */
static Status ask_time(const Asking *a, int64_t time_ms, int count, int64_t *offsets,
                       Error *error) {
    int64_t *found = xcalloc((size_t)count, sizeof *found);
    Status status = ask_times(a, RD_KAFKA_OFFSET_END, count, offsets, error);
    if (status == OK) status = ask_times(a, time_ms, count, found, error);
    for (int i = 0; i < count && status == OK; i++)
        if (found[i] >= 0) offsets[i] = found[i];
    free(found);
    return status;
}

static Status ask_group(const Asking *a, int count, int64_t *offsets, Error *error) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++) rd_kafka_topic_partition_list_add(list, a->topic, i);
    rd_kafka_resp_err_t code = rd_kafka_committed(a->client->handle, list, 2 * KAFKA_LOOK_MS);
    const char *what = "the offsets of its group cannot be read";
    Status status = code ? refused(a, what, code, error) : first_error(a, what, list, error);
    int without = 0;
    for (int i = 0; i < list->cnt && status == OK; i++) {
        int64_t offset = list->elems[i].offset;
        offsets[list->elems[i].partition] = offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : offset;
        without += offset < 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (status == OK && without)
        log_warning("source %s: group '%s' has no offset of %d of %d partitions of topic '%s': "
                    "they begin at their start",
                    a->context->table,
                    option_text(a->context->options, "group.id", a->context->pipeline), without,
                    count, a->topic);
    return status;
}

static Status ask(const Asking *a, int count, int64_t *offsets, Error *error) {
    KafkaStart start;
    Status status = kafka_start_read(a->context->options, &start, error);
    if (status != OK) return status;
    for (int i = 0; i < count; i++) offsets[i] = RD_KAFKA_OFFSET_BEGINNING;
    switch (start.kind) {
    case KAFKA_EARLIEST: return OK;
    case KAFKA_LATEST: return ask_times(a, RD_KAFKA_OFFSET_END, count, offsets, error);
    case KAFKA_TIME: return ask_time(a, start.time_ms, count, offsets, error);
    case KAFKA_GROUP: return ask_group(a, count, offsets, error);
    }
    return OK;
}

/* ---- keeping ---- */

static const char *start_text(const SourceContext *context) {
    return option_text(context->options, "start", "earliest");
}

static Status keep(const KafkaBegins *begins, const SourceContext *context, const char *topic,
                   const char *start, Error *error) {
    if (!context->set) return OK;
    Buffer fact = {0};
    buffer_add_format(&fact, "%s\t%s\t", topic, start);
    for (int i = 0; i < begins->count; i++)
        buffer_add_format(&fact, "%s%" PRId64, i ? " " : "", begins->offsets[i]);
    buffer_add_char(&fact, 0);
    Status status = context->set(context->home, "start", fact.data, error);
    buffer_free(&fact);
    return status;
}

static void add(KafkaBegins *begins, int64_t offset) {
    begins->offsets =
        xrealloc(begins->offsets, sizeof *begins->offsets * (size_t)(begins->count + 1));
    begins->offsets[begins->count++] = offset;
}

/* What the home knows. Positions of another topic cannot be gone on from in this one. */
static Status recall(KafkaBegins *begins, const SourceContext *context, const char *topic,
                     const char *fact, Error *error) {
    const char *start = strchr(fact, '\t'), *at = start ? strchr(start + 1, '\t') : NULL;
    if (!at)
        return fail(error,
                    "source %s: the home does not say where topic '%s' begins; leat run "
                    "--fresh starts over",
                    context->table, topic);
    Str of = {fact, (size_t)(start - fact)}, was = {start + 1, (size_t)(at - start - 1)};
    if (!str_equal(of, str_from(topic)))
        return fail(error,
                    "source %s: the home has positions of topic '%.*s', which say nothing of "
                    "topic '%s'; undo the change, give the table another name, or start over with "
                    "leat run --fresh",
                    context->table, STR_ARG(of), topic);
    if (!str_equal(was, str_from(start_text(context))))
        log_info("source %s: start = '%s' is not used: where it begins was settled at its first "
                 "start by '%.*s'; leat run --fresh starts over",
                 context->table, start_text(context), STR_ARG(was));
    at++;
    for (char *end; *at; at = end) {
        int64_t offset = strtoll(at, &end, 10);
        if (end == at) break;
        add(begins, offset);
    }
    begins->start = xmalloc(was.size + 1);
    memcpy(begins->start, was.data, was.size);
    begins->start[was.size] = 0;
    return OK;
}

static Status settle(KafkaBegins *begins, const Asking *a, int count, Error *error) {
    int64_t *offsets = xcalloc((size_t)count + 1, sizeof *offsets);
    Status status = ask(a, count, offsets, error);
    for (int i = 0; i < count && status == OK; i++) add(begins, offsets[i]);
    free(offsets);
    if (status == OK) status = keep(begins, a->context, a->topic, start_text(a->context), error);
    if (status == OK) begins->start = xstrdup(start_text(a->context));
    else begins->count = 0;
    return status;
}

Status kafka_begins(KafkaBegins *begins, KafkaClient *client, const SourceContext *context,
                    const char *topic, int count, Error *error) {
    if (!begins->start) {
        const Asking asking = {client, context, topic};
        const char *fact = context->get ? context->get(context->home, "start") : NULL;
        Status status = fact ? recall(begins, context, topic, fact, error)
                             : settle(begins, &asking, count, error);
        if (status != OK) return status;
    }
    if (begins->count >= count) return OK;
    int before = begins->count;
    while (begins->count < count) add(begins, RD_KAFKA_OFFSET_BEGINNING);
    Status status = keep(begins, context, topic, begins->start, error);
    if (status != OK) begins->count = before;
    else
        log_info("source %s: topic '%s' has %d partitions, before %d: the new ones are read from "
                 "their start",
                 context->table, topic, count, before);
    return status;
}

void kafka_begins_free(KafkaBegins *begins) {
    free(begins->offsets);
    free(begins->start);
    *begins = (KafkaBegins){0};
}
