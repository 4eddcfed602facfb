#include "nfs/drc.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS (DRC_ENTRIES * 2)

struct drc {
        uint32_t buckets[BUCKETS]; /* index + 1 of the first entry, 0 = none */
        uint32_t hand;             /* the oldest entry */
        struct drc_entry entries[DRC_ENTRIES];
};

struct drc *drc_new(void)
{
        /* Zeroed by the kernel: pages of entries that were never used take no memory. */
        return calloc(1, sizeof(struct drc));
}

void drc_free(struct drc *drc)
{
        free(drc);
}

/* Hashed: uid u32, gid u32, xid u32, proc u32, size of the arguments u64, SipHash of them u64. */
uint64_t drc_key(struct sipkey key, const struct rpc_call *call)
{
        size_t counted = call->args.size < DRC_KEY_BYTES ? call->args.size : DRC_KEY_BYTES;
        uint8_t input[32];

        be32_put(input, call->caller.uid);
        be32_put(input + 4, call->caller.gid);
        be32_put(input + 8, call->xid);
        be32_put(input + 12, call->proc);
        be64_put(input + 16, call->args.size);
        be64_put(input + 24, siphash(key, call->args.data, counted));
        return siphash(key, input, sizeof(input));
}

static uint32_t *bucket_of(struct drc *drc, uint64_t key)
{
        return &drc->buckets[key % BUCKETS];
}

struct drc_entry *drc_find_key(struct drc *drc, uint64_t key, uint32_t xid, uint32_t proc)
{
        uint32_t index = *bucket_of(drc, key);

        while (index != 0) {
                struct drc_entry *entry = &drc->entries[index - 1];

                if (entry->key == key && entry->xid == xid && entry->proc == proc)
                        return entry;
                index = entry->next;
        }
        return NULL;
}

struct drc_entry *drc_find(struct drc *drc, uint64_t key, const struct rpc_call *call)
{
        return drc_find_key(drc, key, call->xid, call->proc);
}

static void forget(struct drc *drc, struct drc_entry *entry)
{
        uint32_t self = (uint32_t)(entry - drc->entries) + 1;
        uint32_t *link = bucket_of(drc, entry->key);

        while (*link != self)
                link = &drc->entries[*link - 1].next;
        *link = entry->next;
        entry->state = DRC_FREE;
}

struct drc_entry *drc_begin(struct drc *drc, uint64_t key, const struct rpc_call *call)
{
        struct drc_entry *entry = NULL;
        uint32_t *bucket = bucket_of(drc, key);

        for (uint32_t tries = 0; tries < DRC_ENTRIES; tries++) {
                entry = &drc->entries[drc->hand];
                drc->hand = (drc->hand + 1) % DRC_ENTRIES;
                if (entry->users == 0)
                        break;
        }
        if (entry->users > 0)
                return NULL;
        if (entry->state != DRC_FREE)
                forget(drc, entry);
        entry->key = key;
        entry->xid = call->xid;
        entry->proc = call->proc;
        entry->state = DRC_RUNNING;
        entry->users = 1;
        entry->next = *bucket;
        *bucket = (uint32_t)(entry - drc->entries) + 1;
        return entry;
}

void drc_join(struct drc_entry *entry)
{
        assert(entry->state != DRC_FREE);
        entry->users++;
}

void drc_finish(struct drc_entry *entry, struct span reply, uint64_t stable_seq)
{
        assert(entry->state != DRC_FREE && reply.size <= DRC_REPLY_MAX);
        memcpy(entry->reply, reply.data, reply.size);
        entry->size = reply.size;
        entry->stable_seq = stable_seq;
        entry->state = DRC_DONE;
}

void drc_leave(struct drc *drc, struct drc_entry *entry)
{
        assert(entry->users > 0);
        entry->users--;
        if (entry->users == 0 && entry->state == DRC_RUNNING)
                forget(drc, entry);
}
