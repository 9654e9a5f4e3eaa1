/* What was deleted before it was read. With on_gap = 'skip' a partition goes on behind it; how much
 * is counted in the home, exactly: a gap is known by where it begins, so that one which is met
 * again after a crash is not counted twice.
 *
 * The fact `lost` is, a partition that has any: its number, the offsets of all gaps but the last,
 * and the last one's begin and end. */
#include "base/log.h"
#include "connector/kafka/kafka.h"
#include <inttypes.h>
#include <stdlib.h>

static KafkaGap *gap_of(KafkaGaps *gaps, int partition) {
    for (int i = 0; i < gaps->count; i++)
        if (gaps->of[i].partition == partition) return &gaps->of[i];
    gaps->of = xrealloc(gaps->of, sizeof *gaps->of * (size_t)(gaps->count + 1));
    gaps->of[gaps->count] = (KafkaGap){.partition = partition};
    return &gaps->of[gaps->count++];
}

static void sum(KafkaGaps *gaps) {
    int64_t lost = 0;
    for (int i = 0; i < gaps->count; i++)
        lost += gaps->of[i].before + gaps->of[i].end - gaps->of[i].begin;
    atomic_store(&gaps->lost, lost);
}

void kafka_gaps_recall(KafkaGaps *gaps, const SourceContext *context) {
    const char *at = context->get ? context->get(context->home, "lost") : NULL;
    int64_t numbers[4];
    while (at && *at) {
        char *end;
        int found = 0;
        for (; found < 4; found++, at = end) {
            numbers[found] = strtoll(at, &end, 10);
            if (end == at) break;
        }
        if (found < 4) break;
        KafkaGap *gap = gap_of(gaps, (int)numbers[0]);
        gap->before = numbers[1];
        gap->begin = numbers[2];
        gap->end = numbers[3];
    }
    sum(gaps);
}

Status kafka_gaps_add(KafkaGaps *gaps, const SourceContext *context, int partition, int64_t begin,
                      int64_t end, Error *error) {
    KafkaGap *gap = gap_of(gaps, partition);
    if (gap->begin != begin || gap->end == gap->begin) {
        gap->before += gap->end - gap->begin;
        gap->begin = begin;
    }
    gap->end = end;
    sum(gaps);
    if (!context->set) return OK;
    Buffer fact = {0};
    for (int i = 0; i < gaps->count; i++)
        buffer_add_format(&fact, "%s%d %" PRId64 " %" PRId64 " %" PRId64, i ? " " : "",
                          gaps->of[i].partition, gaps->of[i].before, gaps->of[i].begin,
                          gaps->of[i].end);
    buffer_add_char(&fact, 0);
    Status status = context->set(context->home, "lost", fact.data, error);
    buffer_free(&fact);
    return status;
}

void kafka_gaps_free(KafkaGaps *gaps) {
    free(gaps->of);
    gaps->of = NULL;
    gaps->count = 0;
}

Status kafka_gap_refused(const SourceContext *context, const char *topic, int partition,
                         int64_t position, int64_t low, Error *error) {
    return fail(error,
                "source %s: topic '%s' partition %d no longer has offsets %" PRId64 " to %" PRId64
                ": they were deleted (retention) before they were read, and the first one there is "
                "%" PRId64 "; on_gap = 'skip' goes on from it without them, leat run --fresh "
                "starts over",
                context->table, topic, partition, position, low - 1, low);
}

/* Neither the beginning (all would count twice) nor the end (what is there would be lost) is right,
 * so on_gap = 'skip' does not help here. */
Status kafka_end_refused(const SourceContext *context, const char *topic, int partition,
                         int64_t position, int64_t high, Error *error) {
    return fail(error,
                "source %s: topic '%s' partition %d ends at offset %" PRId64
                ", but the pipeline has read up to %" PRId64
                ": the topic was made anew, or its end was lost (an unclean leader election); "
                "where to go on is not known, whatever on_gap says; leat run --fresh starts over",
                context->table, topic, partition, high, position);
}
