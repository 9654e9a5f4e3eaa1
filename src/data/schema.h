/* A schema: names and types of columns. */
#pragma once
#include "data/type.h"

typedef struct Field {
    /* As spelled by its declaration or alias: what leaves in JSON, CSV headers, the API. */
    const char *name;
    Type type;
    bool not_null;
} Field;

typedef struct Schema {
    int count;
    Field *fields;
} Schema;
