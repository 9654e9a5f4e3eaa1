/* The verbs of the command line, one file each. Each gets its own name as argv[0] and returns the
 * exit status: 0 done, 1 the pipeline or the verification failed, 2 wrong usage or a pipeline that
 * does not check. */
#pragma once
#include "sql/plan.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int run_main(int argc, char **argv);
int check_main(int argc, char **argv);
int check_home_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int sql_main(int argc, char **argv);
int generate_main(int argc, char **argv);
int test_main(int argc, char **argv);
int verify_main(int argc, char **argv);

/* An error of the command line: says it and how to get help; returns EXIT_USAGE. */
int usage_error(const char *verb, const char *format, ...) PRINTF(2, 3);

/* Reads and plans a pipeline file; tells warnings and what is wrong on standard error. FAIL: exit
 * with EXIT_USAGE. */
CHECKED Status pipeline_plan(const char *file, Catalog **, Plan **);
/* FILE.sql:LINE:COLUMN: error: … on standard error; `catalog` may be NULL. */
void pipeline_error(const char *file, const Catalog *, const Error *);
/* The same for a file that stands at another path than the one to be told. */
void pipeline_error_as(const char *told, const char *file, const Catalog *, const Error *);
