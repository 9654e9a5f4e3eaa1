/* What is taken from simdjson and from C++'s standard library, for the files of this folder. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct JsonIndex JsonIndex;

JsonIndex *json_index_new(void);
void json_index_free(JsonIndex **);
/* Finds the offsets of all brackets, colons, commas, and of the first byte of each string and each
 * other scalar, outside of strings. Reads nothing behind the text. NULL: done; else why the text
 * can not be JSON: not UTF-8, a string that is not closed or that holds a control character.
 * `offsets` is valid until the next call and is followed by `size`. */
const char *json_index_run(JsonIndex *, const char *text, size_t size, const uint32_t **offsets,
                           size_t *count);
void json_index_shrink(JsonIndex *); /* gives back what one very long text has asked for */

bool utf8_ok(const char *text, size_t size);
/* A number by JSON's grammar, all of the text. false: out of range, or too small to be told from
 * zero. */
bool double_from_json(const char *text, size_t size, double *out);
bool float_from_json(const char *text, size_t size, double *out);

#ifdef __cplusplus
}
#endif
