/* What happened, as a hash that must be the same whenever the same seed is played, and as text for
 * people when asked for. */
#pragma once
#include "base/str.h"

extern bool trace_on;
void trace_reset(void);
void trace_number(uint64_t);
void trace_bytes(Str);
void trace_line(const char *format, ...) PRINTF(1, 2);
uint64_t trace_hash(void);
