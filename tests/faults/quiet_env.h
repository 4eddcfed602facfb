/* quiet_env.h - a simulated machine whose own allocations do not fail: it stands for a kernel. */
#ifndef HIF_TESTS_FAULTS_QUIET_ENV_H
#define HIF_TESTS_FAULTS_QUIET_ENV_H

#include "base/env.h"

/* From now on, faults pause in every call of this env. */
void quiet_env(struct env *env);

#endif
