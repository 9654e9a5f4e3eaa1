/* The generator's options, for the source and for `leat generate`. */
#pragma once
#include "connector/connector.h"
#include "connector/generator/events.h"

extern const Option generator_options[]; /* empty-row ended */
/* Checks ranges and fills all but the seed. */
CHECKED Status generator_spec(const Options *, EventSpec *, Error *);

extern const SourceType generator_source;
