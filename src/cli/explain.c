/* leat explain and leat check: read a pipeline file and plan it, contacting nothing; the one prints
 * the plan, the other says that it is well. What is wrong goes to standard error as
 * FILE.sql:LINE:COLUMN, with the line and a caret. */
#include "cli/cli.h"
#include "sql/plan.h"
#include <stdio.h>

static const char EXPLAIN_HELP[] =
    "usage: leat explain FILE.sql\n\n"
    "Shows the plan: what is read of each source, the options that hold with their defaults, each "
    "query's\n"
    "operators with what bounds their state, and how each sink is delivered. Contacts nothing.\n";

static const char CHECK_HELP[] = "usage: leat check FILE.sql\n\n"
                                 "Checks names, types and options of a pipeline file. Contacts "
                                 "nothing. Exit status 0 when all is well, else 2.\n";

/* OK: plan it; END: help was shown; FAIL: a usage error was told. */
static Status read_arguments(int argc, char **argv, const char *help, const char **file) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return END;
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            usage_error(argv[0], "unknown option %s", argv[i]);
            return FAIL;
        }
        if (*file) {
            usage_error(argv[0], "one pipeline file at a time: %s or %s", *file, argv[i]);
            return FAIL;
        }
        *file = argv[i];
    }
    if (*file) return OK;
    usage_error(argv[0], "which pipeline? name its FILE.sql");
    return FAIL;
}

static int plan_file(int argc, char **argv, const char *help, bool explain) {
    const char *file = NULL;
    Status status = read_arguments(argc, argv, help, &file);
    if (status != OK) return status == END ? EXIT_DONE : EXIT_USAGE;
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    if (pipeline_plan(file, &catalog, &plan) != OK) return EXIT_USAGE;
    if (explain) {
        Buffer text = {0};
        plan_explain(plan, &text);
        fwrite(text.data, 1, text.size, stdout);
        buffer_free(&text);
    } else {
        fprintf(stderr, "%s: all is well: %d quer%s over %d source%s\n", file, plan->query_count,
                plan->query_count == 1 ? "y" : "ies", plan->source_count,
                plan->source_count == 1 ? "" : "s");
    }
    plan_free(&plan);
    catalog_free(&catalog);
    return EXIT_DONE;
}

int explain_main(int argc, char **argv) { return plan_file(argc, argv, EXPLAIN_HELP, true); }

int check_main(int argc, char **argv) { return plan_file(argc, argv, CHECK_HELP, false); }
