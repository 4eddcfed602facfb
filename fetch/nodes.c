/* nodes.c - objects as a source of tree nodes, and waiting for them on a thread. */
#include "fetch/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

static void nodes_put(struct tree_source *source, struct tree_node *node)
{
        (void)source;
        fetch_unref(node->pin);
        node->pin = NULL;
}

static void open_ref(struct fetch_ref *ref, struct tree_node *out)
{
        tree_node_open(fetch_ref_bytes(ref), out);
        out->pin = ref;
}

static void record_miss(struct fetch_nodes *nodes, const struct hif_hash *hash)
{
        for (size_t i = 0; i < nodes->want_count; i++)
                if (hash_eq(&nodes->wants[i].hash, hash))
                        return;
        if (nodes->want_count < FETCH_WANTS_MAX)
                nodes->wants[nodes->want_count++] =
                    (struct fetch_want){.kind = FETCH_NODE, .hash = *hash};
}

static enum hif_err open_or_miss(struct fetch_nodes *nodes, const struct hif_hash *hash,
                                 struct fetch_ref *ref, struct tree_node *out)
{
        if (!ref) {
                record_miss(nodes, hash);
                return HIF_EMISS;
        }
        open_ref(ref, out);
        return HIF_OK;
}

/* As in log_failure: whoever reads gets EIO, and the reason is in the log. */
static void log_misfit(struct fetch *fetch, const struct hif_hash *hash)
{
        char hex[HIF_HASH_HEX_SIZE];

        hash_to_hex(hash, hex);
        log_line(fetch->env->log, LOG_WARN, "fetch",
                 "the tree node %s does not fit where its tree has it: %s; `hif fsck` says more",
                 hex, hif_strerror(HIF_ECORRUPT));
}

static void nodes_misfit(struct tree_source *source, const struct hif_hash *hash)
{
        log_misfit(((struct fetch_nodes *)source)->fetch, hash);
}

static enum hif_err nodes_get(struct tree_source *source, const struct hif_hash *hash,
                              struct tree_node *out)
{
        struct fetch_nodes *nodes = (struct fetch_nodes *)source;

        return open_or_miss(nodes, hash, cache_peek(nodes->fetch->cache, FETCH_NODE, hash), out);
}

static enum hif_err nodes_get_unused(struct tree_source *source, const struct hif_hash *hash,
                                     struct tree_node *out)
{
        struct fetch_nodes *nodes = (struct fetch_nodes *)source;

        return open_or_miss(nodes, hash, cache_pin(nodes->fetch->cache, FETCH_NODE, hash), out);
}

void fetch_nodes_init(struct fetch_nodes *nodes, struct fetch *fetch)
{
        nodes->source.get = nodes_get;
        nodes->source.put = nodes_put;
        nodes->source.misfit = nodes_misfit;
        nodes->fetch = fetch;
        nodes->want_count = 0;
}

void nodes_init_unused(struct fetch_nodes *nodes, struct fetch *fetch)
{
        fetch_nodes_init(nodes, fetch);
        nodes->source.get = nodes_get_unused;
}

static enum hif_err blocking_get(struct tree_source *source, const struct hif_hash *hash,
                                 struct tree_node *out)
{
        struct fetch_nodes_blocking *nodes = (struct fetch_nodes_blocking *)source;
        struct fetch_want want = {.kind = FETCH_NODE, .hash = *hash};
        struct fetch_ref *ref;
        enum hif_err err = fetch_get_blocking(nodes->origin, &want, &ref);

        if (!err)
                open_ref(ref, out);
        return err;
}

static void blocking_misfit(struct tree_source *source, const struct hif_hash *hash)
{
        log_misfit(((struct fetch_nodes_blocking *)source)->origin->fetch, hash);
}

void fetch_nodes_blocking_init(struct fetch_nodes_blocking *nodes, struct fetch_origin *origin)
{
        nodes->source.get = blocking_get;
        nodes->source.put = nodes_put;
        nodes->source.misfit = blocking_misfit;
        nodes->origin = origin;
}

/* --- made here --- */

static enum hif_err made_put(struct tree_sink *sink, const struct hif_hash *hash, struct span bytes)
{
        struct fetch_origin *origin = ((struct fetch_nodes_made *)sink)->origin;
        struct fetch *fetch = origin->fetch;
        struct fetch_want want = {.kind = FETCH_NODE, .hash = *hash};
        AUTO_BUF struct buf copy = {0};
        struct fetch_ref *ref = NULL;

        buf_put_span(&copy, bytes);
        if (buf_failed(&copy))
                return HIF_OK;
        pthread_mutex_lock(&fetch->lock);
        if (!cache_has(fetch->cache, FETCH_NODE, hash) && !flight_find(fetch, &want) &&
            cache_insert(fetch->cache, FETCH_NODE, hash, &copy, false, false, &ref) != HIF_OK)
                ref = NULL;
        pthread_mutex_unlock(&fetch->lock);
        if (ref && origin->lane->use_ssd)
                ssd_put(fetch->ssd, FETCH_NODE, hash, bytes);
        fetch_unref(ref);
        return HIF_OK;
}

void fetch_nodes_made_init(struct fetch_nodes_made *made, struct fetch_origin *origin)
{
        made->sink.put = made_put;
        made->origin = origin;
}

/* --- on a thread --- */

struct blocked {
        struct fetch_waiter waiter; /* first */
        struct fetch *fetch;
        bool done;
        enum hif_err err;
};

static void blocked_done(struct fetch_waiter *waiter, enum hif_err err)
{
        struct blocked *blocked = (struct blocked *)waiter;
        struct fetch *fetch = blocked->fetch;

        pthread_mutex_lock(&fetch->lock);
        blocked->err = err;
        blocked->done = true;
        pthread_cond_broadcast(&fetch->changed);
        pthread_mutex_unlock(&fetch->lock);
}

static bool is_done(void *arg)
{
        return ((const struct blocked *)arg)->done;
}

enum hif_err fetch_get_blocking(struct fetch_origin *origin, const struct fetch_want *want,
                                struct fetch_ref **out)
{
        struct blocked blocked = {.waiter.done = blocked_done, .fetch = origin->fetch};
        struct fetch_ref *ref = cache_peek(origin->fetch->cache, want->kind, &want->hash);

        if (ref) {
                *out = ref;
                return HIF_OK;
        }
        fetch_want(origin, want, 1, &blocked.waiter);
        help_until(origin->fetch, is_done, &blocked);
        if (blocked.err)
                return blocked.err;
        *out = fetch_ref_get(blocked.waiter.refs[0]);
        fetch_waiter_release(&blocked.waiter);
        return HIF_OK;
}
