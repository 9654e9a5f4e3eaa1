/* Errors are sentences in a fixed buffer: making one never allocates and so never fails. A sentence
 * that is too long is cut, at a whole UTF-8 character. */
#include "base/status.h"
#include <stdio.h>
#include <string.h>

static void fill(Error *error, int line, int column, const char *format, va_list args) {
    if (!error) return;
    int size = vsnprintf(error->text, sizeof error->text, format, args);
    error->line = line;
    error->column = column;
    if (size < (int)sizeof error->text) return;
    size_t end = sizeof error->text - 4;
    while (end > 0 && ((unsigned char)error->text[end] & 0xC0) == 0x80) end--;
    memcpy(error->text + end, "...", 4);
}

Status fail(Error *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(error, 0, 0, format, args);
    va_end(args);
    return FAIL;
}

Status fail_at(Error *error, int line, int column, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(error, line, column, format, args);
    va_end(args);
    return FAIL;
}

Status reject(Error *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fill(error, 0, 0, format, args);
    va_end(args);
    return REJECT;
}
