/* One line is one write(2): lines of several threads never mix, and nothing is lost when the
 * process dies. Control characters in the text (it may quote a record) are written as '?', so that
 * no input can forge a line. */
#include "base/log.h"
#include "base/env.h"
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic int most_level = LOG_INFO;

void log_set_level(LogLevel most) { atomic_store(&most_level, (int)most); }

void log_line(LogLevel level, const char *format, ...) {
    if ((int)level > atomic_load(&most_level)) return;
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[4096];
    Env *env = env_system();
    time_t seconds = (time_t)(env->now_us(env) / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t size = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &utc);
    size += (size_t)snprintf(line + size, sizeof line - size, "%s: ", names[level]);
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + size, sizeof line - size - 1, format, args);
    va_end(args);
    size_t from = size;
    if (text > 0) size += (size_t)text;
    if (size > sizeof line - 2) size = sizeof line - 2;
    for (size_t i = from; i < size; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) line[i] = '?';
    line[size++] = '\n';
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(STDERR_FILENO, line + done, size - done);
        if (wrote <= 0) break; /* there is nowhere left to say it */
        done += (size_t)wrote;
    }
}
