#include "cli/daemon/unresumed.h"

#include "core/key.h"

bool daemon_unresumed(struct daemon *daemon, const char *path, struct hif_why *why)
{
        const char *at;
        json_t *text;
        bool found = false;

        pthread_mutex_lock(&daemon->lock);
        json_object_foreach(daemon->unresumed, at, text)
        {
                if (!path_within(span_str(path), span_str(at)))
                        continue;
                why_set(why, HIF_ENOENT, "'%s' was mounted and could not be brought back: %s", at,
                        json_string_value(text));
                found = true;
        }
        pthread_mutex_unlock(&daemon->lock);
        return found;
}

bool daemon_unresumed_any(struct daemon *daemon)
{
        bool any;

        pthread_mutex_lock(&daemon->lock);
        any = json_object_size(daemon->unresumed) > 0;
        pthread_mutex_unlock(&daemon->lock);
        return any;
}
