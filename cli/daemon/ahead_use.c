#include "cli/daemon/ahead_use.h"

#include "cli/daemon/ahead_impl.h"

void ahead_pause(struct ahead *ahead)
{
        bool own;

        if (ahead == NULL)
                return;
        own = pthread_equal(pthread_self(), ahead->thread) != 0; /* it publishes */
        pthread_mutex_lock(&ahead->lock);
        ahead->paused++;
        atomic_store(&ahead->cancel, true);
        pthread_cond_broadcast(&ahead->wake);
        while (ahead->running && !own)
                pthread_cond_wait(&ahead->idle, &ahead->lock);
        /* Whoever pauses may write the journal now. */
        land_free(ahead->land);
        ahead->land = NULL;
        pthread_mutex_unlock(&ahead->lock);
}

void ahead_resume(struct ahead *ahead)
{
        if (ahead == NULL)
                return;
        pthread_mutex_lock(&ahead->lock);
        if (--ahead->paused == 0)
                atomic_store(&ahead->cancel, false);
        ahead->left = true;
        pthread_cond_broadcast(&ahead->wake);
        pthread_mutex_unlock(&ahead->lock);
}

static bool find_locked(const struct ahead *ahead, const struct vfs_base *base, uint64_t node,
                        const struct vfs_content *content, struct ahead_item *out)
{
        const struct ahead_item *item = ahead_memory_find(&ahead->memory, node);

        if (item == NULL || item->what != AHEAD_STORED ||
            !hash_eq(&base->slot, &ahead->base.slot) ||
            !session_id_eq(&ahead->workspace->session, &ahead->of) ||
            ahead->torn != overlay_torn(ahead->workspace->overlay) ||
            item->data_seq != content->data_seq || item->size != content->size)
                return false;
        *out = *item;
        return true;
}

bool ahead_stored(struct ahead *ahead, const struct vfs_base *base, uint64_t node,
                  const struct vfs_content *content, struct hif_hash *hash, struct pack_loc *loc)
{
        struct ahead_item item;
        bool found;

        if (ahead == NULL)
                return false;
        pthread_mutex_lock(&ahead->lock);
        found = find_locked(ahead, base, node, content, &item);
        pthread_mutex_unlock(&ahead->lock);
        if (found) {
                *hash = item.hash;
                *loc = item.loc;
        }
        return found;
}

json_t *ahead_status(struct ahead *ahead, const struct vfs_snapshot *snapshot)
{
        static const char *const states[] = {"resting", "storing", "waiting"};
        json_int_t files[2] = {0}, bytes[2] = {0};
        json_t *status;

        if (ahead == NULL)
                return json_pack("{s:b}", "on", false);
        pthread_mutex_lock(&ahead->lock);
        for (size_t i = 0; i < snapshot->change_count; i++) {
                const struct vfs_change *change = &snapshot->changes[i];
                struct ahead_item item;
                bool stored;

                if (change->kind == VFS_DELETED || !change->content_changed || change->size == 0)
                        continue;
                stored = find_locked(ahead, &snapshot->base, change->node, &change->content, &item);
                files[stored]++;
                bytes[stored] += (json_int_t)change->size;
        }
        status = json_pack("{s:b, s:s, s:I, s:I, s:I, s:I}", "on", true, "state",
                           states[ahead->state], "files_stored", files[1], "bytes_stored", bytes[1],
                           "files_left", files[0], "bytes_left", bytes[0]);
        if (status != NULL && ahead->state == AHEAD_WAITING &&
            json_object_set_new(status, "reason", json_string(ahead->why.text)) != 0) {
                json_decref(status);
                status = NULL;
        }
        pthread_mutex_unlock(&ahead->lock);
        return status;
}
