/* Doubles to digits and back: the shortest digits that read back the same, from C++'s standard
 * library. Inside of data/ only; others use double_text and double_parse of value.h. */
#pragma once
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* "d.ddde±xx" into `to` (at least 32 bytes); returns the end. Finite values only. */
char *double_digits(double value, char *to);
char *float_digits(float value, char *to);

typedef enum NumberScan { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE } NumberScan;
/* The whole of the text must be digits with optional sign, point and exponent (no blanks, no '+' in
 * front, no names). */
NumberScan double_scan(const char *text, size_t size, double *out);
NumberScan float_scan(const char *text, size_t size, float *out);

#ifdef __cplusplus
}
#endif
