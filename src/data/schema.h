/* A schema: names and types of columns. */
#pragma once
#include "data/type.h"

typedef struct Field {
    const char *name; /* as spelled by its declaration or alias: what leaves in JSON, CSV headers, the API */
    Type type;
    bool not_null;
} Field;

typedef struct Schema {
    int count;
    Field *fields;
} Schema;
