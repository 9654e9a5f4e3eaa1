/* Where the sinks of a trial write: a file by length, as the file connector has it. Rows of a table
 * with a PRIMARY KEY are told as what happens to a key ("U", the key, the row; "D" and the key),
 * from which trial_results.c makes what a store would hold at the end. */
#include "cli/trial.h"
#include "connector/file/file.h"
#include <stdlib.h>

typedef struct TrialSink {
    Sink sink;
    Sink *file;
    const Schema *schema;
    const int *keys;
    int key_count;
    OptionValue path;
    Options options;
} TrialSink;

const char *trial_sink_folder;
static const SinkType trial_sink;

static TrialSink *trial_sink_of(Sink *sink) { return (TrialSink *)(void *)sink; }

static Status open_sink(const SinkContext *context, Sink **out, Error *error) {
    TrialSink *t = xcalloc(1, sizeof *t);
    Buffer path = {0};
    buffer_add_format(&path, "%s/%s.rows", trial_sink_folder, context->table);
    buffer_add_char(&path, 0);
    t->path = (OptionValue){.name = "path", .text = path.data, .given = true};
    t->options = (Options){1, &t->path};
    t->schema = context->schema;
    t->keys = context->keys;
    t->key_count = context->key_count;
    SinkContext own = *context;
    own.options = &t->options;
    Status status = file_sink.open(&own, &t->file, error);
    t->sink = (Sink){.type = &trial_sink, .way = SINK_BY_LENGTH};
    *out = &t->sink;
    return status;
}

static void encode(Sink *sink, const Batch *batch, Buffer *out) {
    for (int row = 0; row < batch->rows; row++) {
        json_row(trial_sink_of(sink)->schema, batch, row, out);
        buffer_add_char(out, '\n');
    }
}

static void encode_row(Sink *sink, const Batch *batch, int row, Buffer *out) {
    TrialSink *t = trial_sink_of(sink);
    bool gone = batch->ops && batch->ops[row] == ROW_DELETE;
    buffer_add_text(out, gone ? "D\t" : "U\t");
    for (int i = 0; i < t->key_count; i++) {
        buffer_add_char(out, i ? ',' : '[');
        value_json(column_value(&batch->columns[t->keys[i]], row), out);
    }
    buffer_add_text(out, "]\t");
    if (!gone) json_row(t->schema, batch, row, out);
    buffer_add_char(out, '\n');
}

static Status check_sink(Sink *sink, Error *error) {
    return file_sink.check(trial_sink_of(sink)->file, error);
}
static Status recover(Sink *sink, bool known, int64_t length, Error *error) {
    return file_sink.recover(trial_sink_of(sink)->file, known, length, error);
}
static Status write_sink(Sink *sink, Str bytes, Error *error) {
    return file_sink.write(trial_sink_of(sink)->file, bytes, error);
}
static Status sync_sink(Sink *sink, int64_t *length, Error *error) {
    return file_sink.sync(trial_sink_of(sink)->file, length, error);
}
static void close_sink(Sink *sink) {
    TrialSink *t = trial_sink_of(sink);
    if (t->file) file_sink.close(t->file);
    free((char *)(uintptr_t)t->path.text);
    free(t);
}
static const SinkType trial_sink = {.open = open_sink,
                                    .encode = encode,
                                    .encode_row = encode_row,
                                    .check = check_sink,
                                    .recover = recover,
                                    .write = write_sink,
                                    .sync = sync_sink,
                                    .close = close_sink};

static SinkWay sink_way(const Options *options) {
    (void)options;
    return SINK_BY_LENGTH;
}

const Connector trial_sink_connector = {.name = "file", .sink = &trial_sink, .sink_way = sink_way};
