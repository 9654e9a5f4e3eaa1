/* ${NAME}, ${NAME:-default} and ${file:PATH} in texts of a pipeline file. */
#pragma once
#include "base/str.h"

/* Appends `text` with its variables replaced; `$${` stands for `${`, any other dollar sign is
 * itself. FAIL: one is missing or cannot be read; what was appended is to be thrown away. */
CHECKED Status variables_replace(const char *text, Buffer *out, Error *);
