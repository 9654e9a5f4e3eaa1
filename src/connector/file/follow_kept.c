/* What the home keeps of followed files: for each lane its file, and where the file's byte 0 stands
 * among the lane's positions. It is written before the first record of a file is handed on, many
 * lanes in one fact, since each write is a transaction. Positions themselves are the engine's. */
#include "connector/file/follow.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT_LANES = 256, SLACK_US = 5000000 };

static void add_lane(Buffer *text, const Lane *lane) {
    buffer_add_format(text,
                      "%" PRId64 " %" PRId64 " %" PRIx64 " %" PRIu64 " %" PRId64 " %d %" PRIx64 " ",
                      lane->first_base, lane->part.base, lane->id.device, lane->id.inode,
                      lane->id.birth_ns, lane->print_bytes, lane->print);
    for (const char *c = lane->name; *c; c++) { /* one line a lane */
        if (*c == '%') buffer_add_text(text, "%25");
        else if (*c == '\n') buffer_add_text(text, "%0A");
        else buffer_add_char(text, *c);
    }
    buffer_add_char(text, '\n');
}

void kept_change(Follow *f, int lane, bool urgent) {
    if (!f->reader.context.set) return;
    f->unkept[lane / KEPT_LANES] = true;
    if (urgent) f->urgent = true;
    else f->slack = true;
}

Status kept_write(Follow *f, Error *error) {
    const SourceContext *context = &f->reader.context;
    int64_t now = follow_now(f);
    if (!f->urgent && !(f->slack && now - f->kept_us > SLACK_US)) return OK;
    Buffer text = {0};
    Status status = OK;
    for (int block = 0; block * KEPT_LANES < f->count && status == OK; block++) {
        if (!f->unkept[block]) continue;
        text.size = 0;
        for (int i = block * KEPT_LANES; i < f->count && i < (block + 1) * KEPT_LANES; i++)
            add_lane(&text, f->lanes[i]);
        buffer_add_char(&text, 0);
        char name[32];
        snprintf(name, sizeof name, "follow.%d", block);
        status = context->set(context->home, name, text.data, error);
        if (status == OK) f->unkept[block] = false;
    }
    buffer_free(&text);
    if (status != OK) return status;
    f->urgent = f->slack = false;
    f->kept_us = now;
    return OK;
}

static char *take_name(const char *from, size_t size) {
    char *name = xmalloc(size + 1);
    size_t out = 0;
    for (size_t i = 0; i < size; i++) {
        name[out++] = from[i];
        if (from[i] != '%' || i + 2 >= size) continue;
        name[out - 1] = from[i + 1] == '2' ? '%' : '\n';
        i += 2;
    }
    name[out] = 0;
    return name;
}

static bool take_lane(Lane *lane, const char *line, size_t size) {
    int at = 0;
    if (sscanf(line, "%" SCNd64 " %" SCNd64 " %" SCNx64 " %" SCNu64 " %" SCNd64 " %d %" SCNx64 "%n",
               &lane->first_base, &lane->part.base, &lane->id.device, &lane->id.inode,
               &lane->id.birth_ns, &lane->print_bytes, &lane->print, &at) != 7 ||
        (size_t)at + 1 >= size || lane->print_bytes < 0 || lane->print_bytes > PRINT_MOST)
        return false;
    lane->name = take_name(line + at + 1, size - (size_t)at - 1);
    lane->path = xstrdup(lane->name);
    lane->part.path = lane->part.name = lane->name;
    return true;
}

Status kept_load(Follow *f, Error *error) {
    const SourceContext *context = &f->reader.context;
    for (int block = 0; context->get && block * KEPT_LANES == f->count; block++) {
        char name[32];
        snprintf(name, sizeof name, "follow.%d", block);
        const char *text = context->get(context->home, name);
        while (text && *text) {
            size_t size = strcspn(text, "\n");
            Lane *lane = lane_new(f, error);
            if (!lane) return FAIL;
            if (!take_lane(lane, text, size))
                return fail(error,
                            "source %s: what the home says about followed files (%s) cannot be "
                            "read; put a whole copy of the home back, or start over with leat run "
                            "--fresh",
                            context->table, name);
            lane->unread = true;
            index_add(f, lane->part.partition);
            text += size + (text[size] == '\n');
        }
    }
    return OK;
}
