/* Compares what stands in the home and outside with what the naive executor says. */
#pragma once
#include "simulate/scenario.h"
#include "sql/plan.h"

/* `finished`: all is in, everything must be there. Else the home stands at some epoch, and must
 * say what follows from the records before its positions. FAIL: *error tells the difference. */
CHECKED Status judge(const Scenario *, const Plan *, bool finished, Error *);
