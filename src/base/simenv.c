#include "base/simenv.h"

#include "base/simmachine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define START_MONO_NS ((uint64_t)1000000000)

static uint64_t op_wall_ns(struct env *env)
{
        SIM(env);

        return sim_wall_ns(sim);
}

static uint64_t op_mono_ns(struct env *env)
{
        SIM(env);

        return START_MONO_NS + sim->elapsed_ns;
}

static void op_random(struct env *env, void *out, size_t size)
{
        uint8_t *next = out;
        SIM(env);

        while (size > 0) {
                uint64_t word = sim_rng_next(&sim->random);
                size_t part = size < sizeof(word) ? size : sizeof(word);

                memcpy(next, &word, part);
                next += part;
                size -= part;
        }
}

struct simenv *simenv_new(uint64_t seed)
{
        struct sim_rng rng = {.state = seed};
        struct simenv *sim = calloc(1, sizeof(*sim));

        if (!sim)
                return NULL;
        if (disk_init(&sim->disk)) {
                free(sim);
                return NULL;
        }
        pthread_mutex_init(&sim->mutex, NULL);
        sim->ops =
            (struct env_ops){.wall_ns = op_wall_ns, .mono_ns = op_mono_ns, .random = op_random};
        sim_file_ops(&sim->ops);
        sim_path_ops(&sim->ops);
        sim->env = (struct env){.ops = &sim->ops, .state = sim};
        sim->fd_last = sim->fd_stale = SIM_FD_FIRST;
        sim->random.state = sim_rng_next(&rng);
        sim->fate.state = sim_rng_next(&rng);
        sim->test.state = sim_rng_next(&rng);
        return sim;
}

static void close_all(struct simenv *sim)
{
        uint64_t fd;
        void *value;

        for (size_t i = 0; map_next(&sim->files, &i, &fd, &value);) {
                struct sim_open *file = value;

                inode_unref(&sim->disk, file->inode);
                free(file);
        }
        map_free(&sim->files);
        sim->fd_stale = sim->fd_last;
}

void simenv_free(struct simenv *sim)
{
        if (!sim)
                return;
        disk_drop_mappings(&sim->disk);
        close_all(sim);
        disk_fini(&sim->disk);
        pthread_mutex_destroy(&sim->mutex);
        free(sim);
}

struct env *simenv_env(struct simenv *sim)
{
        return &sim->env;
}

void simenv_advance(struct simenv *sim, uint64_t ns)
{
        pthread_mutex_lock(&sim->mutex);
        sim->elapsed_ns += ns;
        pthread_mutex_unlock(&sim->mutex);
}

uint64_t simenv_rand(struct simenv *machine)
{
        SIM(&machine->env);

        return sim_rng_next(&sim->test);
}

uint64_t simenv_calls(struct simenv *machine)
{
        SIM(&machine->env);

        return sim->calls;
}

void simenv_fail_at(struct simenv *sim, uint64_t nth, enum hif_err err)
{
        assert(nth == 0 || err != HIF_OK);
        pthread_mutex_lock(&sim->mutex);
        sim->fail_at = nth ? sim->calls + nth : 0;
        sim->fail_err = err;
        pthread_mutex_unlock(&sim->mutex);
}

void simenv_crash_at(struct simenv *sim, uint64_t nth)
{
        pthread_mutex_lock(&sim->mutex);
        sim->crash_at = nth ? sim->calls + nth : 0;
        pthread_mutex_unlock(&sim->mutex);
}

bool simenv_crashed(struct simenv *machine)
{
        SIM(&machine->env);

        return sim->crashed;
}

uint64_t simenv_syncs(struct simenv *sim)
{
        uint64_t syncs;

        pthread_mutex_lock(&sim->mutex);
        syncs = sim->syncs;
        pthread_mutex_unlock(&sim->mutex);
        return syncs;
}

void simenv_set_capacity(struct simenv *sim, uint64_t bytes)
{
        pthread_mutex_lock(&sim->mutex);
        sim->disk.capacity = bytes;
        sim->disk.full = HIF_ENOSPC;
        pthread_mutex_unlock(&sim->mutex);
}

void simenv_set_quota(struct simenv *sim, uint64_t bytes)
{
        pthread_mutex_lock(&sim->mutex);
        sim->disk.capacity = bytes;
        sim->disk.full = HIF_EDQUOT;
        pthread_mutex_unlock(&sim->mutex);
}

void simenv_set_nowait_misses(struct simenv *sim, unsigned percent)
{
        pthread_mutex_lock(&sim->mutex);
        sim->nowait_misses = percent;
        pthread_mutex_unlock(&sim->mutex);
}

/* The mutex is held. */
static void end_process(struct simenv *sim)
{
        disk_drop_mappings(&sim->disk);
        close_all(sim);
        sim->crashed = false;
        sim->crash_at = sim->fail_at = 0;
}

void simenv_process_kill(struct simenv *sim)
{
        pthread_mutex_lock(&sim->mutex);
        end_process(sim);
        pthread_mutex_unlock(&sim->mutex);
}

void simenv_write_back(struct simenv *sim)
{
        pthread_mutex_lock(&sim->mutex);
        disk_write_back(&sim->disk, &sim->fate);
        pthread_mutex_unlock(&sim->mutex);
}

void simenv_power_cut(struct simenv *sim)
{
        pthread_mutex_lock(&sim->mutex);
        end_process(sim);
        disk_power_cut(&sim->disk, &sim->fate);
        pthread_mutex_unlock(&sim->mutex);
}
