/* witness.c - see witness.h. */
#include "overlay/witness.h"

#include "base/buf.h"
#include "overlay/oplog.h"

#define WITNESS_SIZE 40u
#define FLAG_NAMED   1u
#define FLAG_FAILED  2u

void witness_init(struct witness *witness, struct env *env)
{
        *witness = (struct witness){.env = env, .fd = -1};
        pthread_mutex_init(&witness->lock, NULL);
}

void witness_free(struct witness *witness)
{
        pthread_mutex_destroy(&witness->lock);
}

enum hif_err witness_open(struct witness *witness, int fd)
{
        uint8_t bytes[WITNESS_SIZE] = {0};
        size_t count = 0;
        enum hif_err err =
            witness->env->ops->pread(witness->env, fd, bytes, sizeof(bytes), 0, &count);

        witness->fd = fd;
        if (err != HIF_OK || count != sizeof(bytes) || memcmp(bytes, "HIFOLOK1", 8) != 0 ||
            be64_get(bytes + 32) != sum64(0, bytes, 32))
                return err;
        witness->named = (be32_get(bytes + 8) & FLAG_NAMED) != 0;
        witness->failed = (be32_get(bytes + 8) & FLAG_FAILED) != 0;
        witness->generation = be32_get(bytes + 12);
        witness->number = be64_get(bytes + 16);
        witness->folded = be64_get(bytes + 24);
        return HIF_OK;
}

/* Called with the lock. */
static enum hif_err store(struct witness *witness)
{
        uint8_t bytes[WITNESS_SIZE];

        memcpy(bytes, "HIFOLOK1", 8);
        be32_put(bytes + 8,
                 (witness->named ? FLAG_NAMED : 0) | (witness->failed ? FLAG_FAILED : 0));
        be32_put(bytes + 12, witness->generation);
        be64_put(bytes + 16, witness->number);
        be64_put(bytes + 24, witness->folded);
        be64_put(bytes + 32, sum64(0, bytes, 32));
        return env_write_all(witness->env, witness->fd, bytes, sizeof(bytes), 0);
}

void witness_segment(struct witness *witness, uint32_t generation, uint64_t number)
{
        pthread_mutex_lock(&witness->lock);
        if (!witness->named || number > witness->number) {
                witness->named = true;
                witness->generation = generation;
                witness->number = number;
                /* What is not written down is only not missed. */
                (void)!store(witness);
        }
        pthread_mutex_unlock(&witness->lock);
}

enum hif_err witness_failed(struct witness *witness, bool failed)
{
        enum hif_err err;

        pthread_mutex_lock(&witness->lock);
        witness->failed = failed;
        err = store(witness);
        pthread_mutex_unlock(&witness->lock);
        return err;
}

enum hif_err witness_removing(struct witness *witness, uint64_t number, uint64_t folded)
{
        enum hif_err err;

        pthread_mutex_lock(&witness->lock);
        if (witness->named && witness->number <= number)
                witness->named = false;
        if (folded > witness->folded)
                witness->folded = folded;
        err = store(witness);
        pthread_mutex_unlock(&witness->lock);
        return err == HIF_OK ? witness->env->ops->fdatasync(witness->env, witness->fd) : err;
}
