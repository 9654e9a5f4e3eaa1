/* A pipeline file: any text is read, planned and explained, or refused with a message and a place
 * in the text. */
#include "sql/plan.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 14) return 0;
    Str text = {(const char *)data, size};
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error = {0};
    Buffer out = {0};
    Status status = catalog_parse("fuzz.sql", text, &catalog, &error);
    if (status == OK) status = plan_new(catalog, &plan, &error);
    if (status == OK) {
        plan_explain(plan, &out);
    } else {
        if (strlen(error.text) < 5) abort();
        catalog_error_text("fuzz.sql", text, &error, &out);
    }
    buffer_free(&out);
    if (plan) plan_free(&plan);
    if (catalog) catalog_free(&catalog);
    return 0;
}
