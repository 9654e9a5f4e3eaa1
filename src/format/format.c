/* The formats there are. A new one is a file beside json.c and a line here. */
#include "format/format.h"

static const Format *const formats[] = {&json_format, &csv_format, &json_array_format};

const Format *format_at(int index) {
    return index >= 0 && index < (int)(sizeof formats / sizeof *formats) ? formats[index] : NULL;
}

const Format *format_find(const char *name) {
    for (int i = 0; format_at(i); i++)
        if (strcmp(format_at(i)->name, name) == 0) return format_at(i);
    return NULL;
}
