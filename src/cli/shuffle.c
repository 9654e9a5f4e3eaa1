/* Another order of arrival for `leat test --shuffle`, in which the same rows are late. A row that
 * is older than what its partition's watermark was before it, and a record that cannot be read,
 * stay where they are; the rows between two such places are sorted by event time plus a random part
 * of the watermark delay. So whatever comes before a row is less than the delay ahead of it, and
 * who was in time still is; and before each row that stays the same rows have come as before. */
#include "base/random.h"
#include "cli/trial.h"
#include "data/time.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Line {
    Str text;
    int64_t time_us, key;
    bool stays;
} Line;

typedef struct Lines {
    Line *items;
    int count, capacity;
} Lines;

static void add_line(Lines *lines, Line line) {
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity ? 2 * lines->capacity : 256;
        lines->items = xrealloc(lines->items, (size_t)lines->capacity * sizeof *lines->items);
    }
    lines->items[lines->count++] = line;
}

static int by_key(const void *a, const void *b) {
    const Line *left = a, *right = b;
    if (left->key != right->key) return left->key < right->key ? -1 : 1;
    return left->text.data < right->text.data ? -1 : left->text.data > right->text.data;
}

/* The file's records with their event times, in their order. */
static void collect(const Decoded *decoded, Lines *lines) {
    int reject = 0, rows = 0;
    for (int b = 0; b <= decoded->batch_count; b++) {
        const Batch *batch = b < decoded->batch_count ? decoded->batches[b] : NULL;
        for (int row = 0; row < (batch ? batch->rows : 1); row++) {
            while (reject < decoded->reject_count &&
                   (!batch || decoded->rejects[reject].row_before <= rows))
                add_line(lines, (Line){.text = decoded->rejects[reject++].record, .stays = true});
            if (!batch) return;
            add_line(lines,
                     (Line){.text = batch->records[row], .time_us = batch->event_times[row]});
            rows++;
        }
    }
}

static void disorder(Lines *lines, int64_t delay_us, uint64_t seed) {
    Random random;
    random_seed(&random, seed);
    int64_t latest = NO_TIME;
    for (int i = 0; i < lines->count; i++) {
        Line *line = &lines->items[i];
        if (line->stays) continue;
        if (latest != NO_TIME && line->time_us < latest - delay_us) line->stays = true;
        else if (latest == NO_TIME || line->time_us > latest) latest = line->time_us;
        uint64_t part = delay_us > 0 ? random_next(&random) % (uint64_t)delay_us : 0;
        line->key = line->time_us + (int64_t)part;
    }
    for (int from = 0, to; from < lines->count; from = to + 1) {
        for (to = from; to < lines->count && !lines->items[to].stays;) to++;
        if (to > from) qsort(&lines->items[from], (size_t)(to - from), sizeof(Line), by_key);
    }
}

static Status write_lines(const Lines *lines, Str header, bool array, const char *path,
                          Error *error) {
    FILE *file = fopen(path, "we");
    if (!file) return fail(error, "cannot write '%s': %s", path, strerror(errno));
    if (header.size) fwrite(header.data, 1, header.size, file);
    if (array) fputs("[\n", file);
    for (int i = 0; i < lines->count; i++) {
        Str text = lines->items[i].text;
        if (text.size) fwrite(text.data, 1, text.size, file);
        fputs(array && i + 1 < lines->count ? ",\n" : "\n", file);
    }
    if (array) fputs("]\n", file);
    return fclose(file) == 0 ? OK : fail(error, "cannot write '%s': %s", path, strerror(errno));
}

Status shuffle_file(const Trial *t, int source, uint64_t seed, const char *to, Error *error) {
    const PlanSource *plan = &t->plan->sources[source];
    const Format *format = plan->table->format;
    DecodeSpec spec = plan->decode;
    spec.env = env_system();
    Buffer text = {0};
    Lines lines = {0};
    Decoder *decoder = NULL;
    Status status = read_file(t->inputs[source], &text, error);
    if (status == OK) status = format->decoder_new(&spec, &decoder, error);
    if (status == OK) {
        Str bytes = buffer_str(&text), header = {0};
        if (strcmp(format->name, "csv") == 0 && plan->decode.csv_header) {
            header = (Str){bytes.data, format->first(bytes, plan->decode.csv_delimiter, true)};
            bytes = (Str){bytes.data + header.size, bytes.size - header.size};
        }
        Chunk chunk = {.bytes = bytes, .end = (int64_t)bytes.size, .header = header, .last = true};
        Decoded decoded;
        format->decode(decoder, &chunk, header, &decoded);
        if (decoded.failed) {
            status = fail(error, "%s", decoded.error.text);
        } else {
            collect(&decoded, &lines);
            disorder(&lines, plan->table->watermark_delay_us, seed);
            status = write_lines(&lines, header, format == &json_array_format, to, error);
        }
        decoded_free(&decoded);
    }
    if (decoder) format->decoder_free(&decoder);
    free(lines.items);
    buffer_free(&text);
    return status;
}
