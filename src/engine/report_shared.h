/* What report.c and report_metrics.c share: careful reads of a Report. */
#pragma once
#include "engine/report.h"

typedef struct QuerySums { /* in = passed + filtered + deduplicated + late + dead */
    int64_t in, passed, filtered, deduplicated, late, late_idle /* part of late */, dead;
} QuerySums;

int64_t report_number(const Number *);
void report_text(Report *, const char *text, char *copy,
                 size_t size); /* of a text under the report's lock */
bool report_query_reads(const Report *, int query,
                        int source); /* rows of the source reach the query, as rows */
QuerySums report_sums(const QueryReport *, int source);
int64_t report_resident_bytes(void);
