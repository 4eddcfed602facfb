/* What an open session's record names: the tree of base with its edits, and its own object. */
#include "core/layout.h"
#include "land/internal.h"
#include "land/session_store.h"

#include <stdlib.h>

/* --- the object --- */

static enum hif_err encode(const struct session *session, struct buf *out, struct hif_hash *object,
                           struct hif_why *why)
{
        enum hif_err err = session_put(out, session);

        if (err == HIF_OK && buf_failed(out))
                err = HIF_ENOMEM;
        if (err != HIF_OK)
                return why_set(why, err, "the session's record cannot be encoded: %s",
                               hif_strerror(err));
        *object = hash_of(HASH_SESSION, buf_span(out));
        return HIF_OK;
}

enum hif_err project_put_session(const struct project *project, const struct session *session,
                                 struct hif_hash *object, struct hif_why *why)
{
        struct puts *puts = calloc(1, sizeof(*puts));
        struct buf body = {0};
        struct layout_key key;
        enum hif_err err =
            puts ? encode(session, &body, object, why) : why_set(why, HIF_ENOMEM, "out of memory");

        if (err == HIF_OK) {
                puts->project = project;
                key = layout_session(&project->layout, &session->id, object);
                err = puts_add(puts, &key, object, &body, NULL, why);
        }
        if (err == HIF_OK)
                err = puts_flush(puts, why);
        buf_free(&body);
        if (puts)
                puts_free(puts);
        free(puts);
        return err;
}

enum hif_err project_get_session(const struct project *project, const struct session_id *id,
                                 const struct hif_hash *object, struct buf *stored,
                                 struct arena *arena, struct session *out, struct hif_why *why)
{
        struct layout_key key = layout_session(&project->layout, id, object);
        struct hif_hash got;
        enum hif_err err = object_get(project, key.text, SESSION_SIZE_MAX, stored, why);

        if (err != HIF_OK)
                return err;
        got = hash_of(HASH_SESSION, buf_span(stored));
        err = hash_eq(&got, object) ? session_get(buf_span(stored), arena, out) : HIF_ECORRUPT;
        if (err == HIF_OK && !session_id_eq(&out->id, id))
                err = HIF_ECORRUPT;
        return err == HIF_OK ? HIF_OK : object_why(project, err, "read", key.text, why);
}

/* --- the tree --- */

struct node_sink {
        struct tree_sink sink;
        struct land *land;
        struct puts *puts;
        struct hif_why *why;
};

static enum hif_err node_sink_put(struct tree_sink *base, const struct hif_hash *hash,
                                  struct span bytes)
{
        struct node_sink *sink = (struct node_sink *)base;
        struct layout_key key = layout_node(&sink->land->project->layout, hash);
        struct buf body = {0};
        enum hif_err err = body_put(sink->land->codec, BODY_NODE, bytes, &body);

        if (err != HIF_OK) {
                buf_free(&body);
                return err;
        }
        return puts_add(sink->puts, &key, hash, &body, NULL, sink->why);
}

/* Base with the changes over it: a merge with nobody. */
static enum hif_err put_tree(struct land *land, struct puts *puts,
                             const struct land_change *changes, size_t count, struct hif_hash *tree,
                             struct hif_why *why)
{
        struct node_sink sink = {.sink.put = node_sink_put, .land = land, .puts = puts, .why = why};
        const struct session *session = land->session;
        uint64_t ms = hlc_ms(session->updated);
        struct merge *merge = &land->merge;
        struct tree_stats stats = {0};
        struct merge_edits edits;
        enum hif_err err;

        merge_free(merge);
        merge_init(merge, land->reader, &land->base_tree, &land->base_tree, land->mix);
        merge->tag = (struct landing_tag){.position = session->base_position + 1,
                                          .id = be64_get(session->id.bytes)};
        merge->now =
            (struct hif_time){.sec = (int64_t)(ms / 1000), .nsec = (uint32_t)(ms % 1000) * 1000000};
        err = merge_gather(merge, changes, count, why);
        if (err == HIF_OK)
                err = merge_decide(merge);
        if (err == HIF_OK)
                err = merge_entries(merge, why);
        if (err != HIF_OK)
                return err;
        merge_edits_init(&edits, merge);
        return tree_apply(node_reader_source(land->reader), &sink.sink, &land->project->format.tree,
                          &land->base_tree, &edits.edits, tree, &stats);
}

static enum hif_err store_all(struct land *land, struct puts *puts,
                              const struct land_change *changes, size_t count,
                              struct land_stored *out, struct hif_why *why)
{
        struct buf body = {0};
        struct layout_key key;
        enum hif_err err = HIF_OK;

        out->tree = land->base_tree;
        if (count > 0)
                err = put_tree(land, puts, changes, count, &out->tree, why);
        out->changed = !hash_eq(&out->tree, &land->base_tree);
        if (err == HIF_OK)
                err = encode(land->session, &body, &out->object, why);
        if (err == HIF_OK) {
                key = layout_session(&land->project->layout, &land->session->id, &out->object);
                err = puts_add(puts, &key, &out->object, &body, NULL, why);
        }
        buf_free(&body);
        return err == HIF_OK ? puts_flush(puts, why) : err;
}

enum hif_err land_session_store(struct land *land, const struct land_change *changes, size_t count,
                                struct land_stored *out, struct hif_why *why)
{
        enum hif_err err = land_load_base(land, why);
        struct land_stored stored = {0};
        struct puts *puts;

        if (err != HIF_OK)
                return err;
        puts = calloc(1, sizeof(*puts));
        if (!puts)
                return why_set(why, HIF_ENOMEM, "out of memory");
        puts->project = land->project;
        puts->hooks = land->hooks;
        err = land_settle(land, why);
        if (err == HIF_OK)
                err = land_share(land); /* whoever takes the session over names those packs, too */
        if (err == HIF_OK)
                err = store_all(land, puts, changes, count, &stored, why);
        land->progress.objects_put += puts->objects_put;
        land->progress.bytes_put += puts->bytes_put;
        puts_free(puts);
        free(puts);
        if (err == HIF_OK)
                *out = stored;
        else if (why->text[0] == '\0')
                (void)why_set(why, err, "the session's tree cannot be stored in %s: %s",
                              store_url(land->project->store), hif_strerror(err));
        return err;
}
