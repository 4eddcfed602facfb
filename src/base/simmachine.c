/* What each call of a simulated machine begins with. */
#include "base/simmachine.h"

#define START_WALL_NS ((uint64_t)1767225600 * 1000000000) /* 2026-01-01T00:00:00Z */

struct simenv *sim_lock(struct env *env)
{
        struct simenv *sim = env->state;

        pthread_mutex_lock(&sim->mutex);
        return sim;
}

void sim_unlock(struct simenv **sim)
{
        pthread_mutex_unlock(&(*sim)->mutex);
}

uint64_t sim_wall_ns(const struct simenv *sim)
{
        return START_WALL_NS + sim->elapsed_ns;
}

enum hif_err sim_call(struct simenv *sim)
{
        sim->calls++;
        if (sim->crashed)
                return HIF_ECANCELED;
        if (sim->calls == sim->crash_at) {
                sim->crashed = true;
                disk_freeze_mappings(&sim->disk);
                return HIF_ECANCELED;
        }
        return sim->calls == sim->fail_at ? sim->fail_err : HIF_OK;
}
