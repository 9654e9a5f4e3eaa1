/* Any SQLite file read from outside, a home or another one: rows of a query, one after the other.
 * Nothing is written or locked for long, so a run may go on with it. */
#pragma once
#include "base/memory.h"

typedef struct SqliteFile SqliteFile;

/* FAIL: there is no such file, or it is none of SQLite's. */
CHECKED Status sqlite_file_open(const char *path, SqliteFile **out, Error *);
void sqlite_file_close(SqliteFile **);
/* Begins to read; what was read before is over. */
CHECKED Status sqlite_file_query(SqliteFile *, const char *sql, Error *);
/* The same for all of a table or view. FAIL names those that there are. */
CHECKED Status sqlite_file_table(SqliteFile *, const char *name, Error *);
/* OK: a row; END; FAIL. */
CHECKED Status sqlite_file_next(SqliteFile *, Error *);
/* A cell of the row as text, empty for NULL; until the next row. */
Str sqlite_file_text(SqliteFile *, int column);
int64_t sqlite_file_integer(SqliteFile *, int column);
bool sqlite_file_null(SqliteFile *, int column);
/* The row as a JSON object: integers and reals are numbers, all else strings. */
void sqlite_file_json(SqliteFile *, Buffer *out);
