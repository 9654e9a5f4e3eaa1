/* The trace of a seed. Every decision of the scheduler and every write to the disk or to a sink
 * goes into one hash; lines are formatted only when somebody reads them. */
#include "simulate/trace.h"
#include "base/hash.h"
#include "simulate/schedule.h"
#include <stdio.h>

bool trace_on;
static uint64_t hash;

void trace_reset(void) { hash = 0; }
void trace_number(uint64_t number) {
    hash = (hash ^ number) * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= hash >> 29;
}
void trace_bytes(Str bytes) { trace_number(bytes.size ? hash_bytes(bytes) : 0); }
uint64_t trace_hash(void) { return hash; }

void trace_line(const char *format, ...) {
    if (!trace_on) return;
    va_list arguments;
    va_start(arguments, format);
    int64_t now = schedule_now_us();
    printf("%6lld.%06lld  ", (long long)(now / 1000000), (long long)(now % 1000000));
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}
