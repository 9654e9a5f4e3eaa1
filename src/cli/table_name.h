/* FILE.sql:TABLE on the command line: a table of a pipeline file. */
#pragma once
#include "sql/catalog.h"

/* Whether the word names a table; `file` gets its part before the colon (to be freed). */
bool is_table_name(const char *word, char **file, const char **table);
/* Finds it. NULL: what is wrong was told on standard error. The catalog is to be freed after use.
 */
Table *open_table(const char *file, const char *table, bool as_sink, Catalog **);
