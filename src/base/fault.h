/* Fault points: the places where a crash tests what survives it. LEAT_FAULT=POINT:N ends the
 * process by SIGKILL when it comes to that point for the N-th time; LEAT_FAULT=list tells them. */
#pragma once
#include "base/env.h"
#include "base/str.h"

typedef struct FaultPoint {
    const char *name, *help;
} FaultPoint;

extern const FaultPoint fault_points[]; /* empty-row ended */

/* Reads LEAT_FAULT's value (NULL: not set) once, before threads run. REJECT: no such point. */
CHECKED Status fault_arm(const char *text, Error *);
void fault_list(Buffer *out);

/* What env_system() answers at a point. */
bool fault_pass(const char *point);

/* Where nothing could be made to fail, only to end. */
static inline void fault_at(Env *env, const char *point) { (void)env->fault(env, point); }
