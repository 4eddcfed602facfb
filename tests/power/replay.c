#include "replay.h"

#include "base/map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bool replay_load(struct replay *replay, const char *path)
{
        FILE *file = fopen(path, "rb");
        long size;

        if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0) {
                fprintf(stderr, "power_replay: no trace in %s\n", path);
                return false;
        }
        rewind(file);
        replay->bytes = malloc((size_t)size);
        if (replay->bytes == NULL || fread(replay->bytes, 1, (size_t)size, file) != (size_t)size)
                abort();
        fclose(file);
        for (size_t at = 0; at + sizeof(struct trace_event) <= (size_t)size;) {
                struct trace_event head;

                memcpy(&head, replay->bytes + at, sizeof(head));
                if (replay->count % 4096 == 0)
                        replay->events = realloc(replay->events,
                                                 (replay->count + 4096) * sizeof(*replay->events));
                /* Payloads leave the next one where it may not be read in place. */
                replay->events[replay->count] = malloc(sizeof(head) + head.size + 1);
                memcpy(replay->events[replay->count], replay->bytes + at, sizeof(head) + head.size);
                ((uint8_t *)(replay->events[replay->count] + 1))[head.size] = 0;
                replay->count++;
                at += sizeof(head) + head.size;
        }
        replay->sync_end = calloc(replay->count + 1, sizeof(*replay->sync_end));
        replay->ops = calloc(replay->count + 1, sizeof(struct pop *));
        for (size_t i = 0; i < replay->count; i++) {
                const struct trace_event *event = replay->events[i];

                if (event->kind == TRACE_OP_BEGIN) {
                        replay->ops[event->a] = (struct pop *)(replay->events[i] + 1);
                        replay->op_count = event->a + 1;
                }
                for (size_t back = i; event->kind == TRACE_SYNC_END && back > 0; back--)
                        if (replay->events[back - 1]->kind == TRACE_SYNC_BEGIN &&
                            replay->events[back - 1]->c == event->c) {
                                replay->sync_end[back - 1] = i;
                                break;
                        }
        }
        return true;
}

void replay_free(struct replay *replay)
{
        for (size_t i = 0; i < replay->count; i++)
                free(replay->events[i]);
        free(replay->events);
        free(replay->sync_end);
        free(replay->ops);
        free(replay->bytes);
}

/* --- one event --- */

struct player {
        const struct replay *replay;
        struct simenv *sim;
        struct env *env;
        struct map fds; /* inode -> descriptor + 1 */
        size_t end;     /* events from here on are after the cut */
};

static void must(enum hif_err err, const struct trace_event *event)
{
        if (err == HIF_OK)
                return;
        fprintf(stderr, "power_replay: an event of kind %u cannot be replayed: %s (%s)\n",
                event->kind, hif_strerror(err), event->size > 0 ? event_text(event) : "");
        abort();
}

/* Directories that were there before the recording began, on the disk. */
static void make_parent(struct player *player, const char *path)
{
        char at[4096];
        struct stat st;

        for (size_t i = 1; path[i] != '\0'; i++) {
                if (path[i] != '/')
                        continue;
                snprintf(at, sizeof(at), "%.*s", (int)i, path);
                if (player->env->ops->stat(player->env, at, &st) == HIF_OK)
                        continue;
                if (player->env->ops->mkdir(player->env, at, 0755) != HIF_OK)
                        abort();
                *strrchr(at, '/') = '\0';
                if (env_sync_dir(player->env, at[0] == '\0' ? "/" : at) != HIF_OK)
                        abort();
        }
}

static bool ends(const char *text, const char *end)
{
        return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Is it a sync of the kind that is left out? */
static bool left_out(const struct replay *replay, const char *path)
{
        const char *kind = replay->without;

        if (kind == NULL)
                return false;
        if (strcmp(kind, "data") == 0)
                return strstr(path, "/data/") != NULL;
        if (strcmp(kind, "log") == 0)
                return ends(path, ".log") && strstr(path, "/log/") != NULL;
        if (strcmp(kind, "log-names") == 0)
                return ends(path, "/log");
        if (strcmp(kind, "data-names") == 0)
                return ends(path, "/data");
        if (strcmp(kind, "rows") == 0)
                return strstr(path, "/rows.db") != NULL;
        if (strcmp(kind, "slots") == 0)
                return strstr(path, "/landing-log") != NULL;
        if (strcmp(kind, "objects") == 0)
                return strstr(path, "/store/") != NULL && strstr(path, "/landing-log") == NULL;
        fprintf(stderr, "power_replay: no kind of sync is called '%s'\n", kind);
        exit(2);
}

static void play_sync(struct player *player, size_t at)
{
        const struct replay *replay = player->replay;
        const struct trace_event *event = replay->events[at];
        uint64_t end = replay->sync_end[at];
        void *fd = map_get(&player->fds, event->a);

        if (left_out(replay, event_text(event)))
                return;
        /* One that had not come back may have done its work, or not. */
        if ((end == 0 || end >= player->end) && simenv_rand(player->sim) % 2 == 0)
                return;
        if (event->b == 0 && fd != NULL)
                must(player->env->ops->fsync(player->env, (int)((intptr_t)fd - 1)), event);
        else if (event->b != 0)
                must(env_sync_dir(player->env, event_text(event)), event);
}

static void play_create(struct player *player, const struct trace_event *event)
{
        void *old = map_get(&player->fds, event->a);
        int fd;

        if (old != NULL)
                player->env->ops->close(player->env, (int)((intptr_t)old - 1));
        make_parent(player, event_text(event));
        must(player->env->ops->open(player->env, event_text(event), O_RDWR | O_CREAT | O_TRUNC,
                                    0600, &fd),
             event);
        if (map_put(&player->fds, event->a, (void *)((intptr_t)fd + 1)) != HIF_OK)
                abort();
}

static void play_file(struct player *player, const struct trace_event *event)
{
        const struct env_ops *ops = player->env->ops;
        void *found = map_get(&player->fds, event->a);
        int fd = (int)((intptr_t)found - 1);

        if (found == NULL)
                return; /* one that was there before, and is none of ours: a log of the daemon's */
        switch ((enum trace_kind)event->kind) {
        case TRACE_WRITE:
                must(env_write_all(player->env, fd, event_text(event), event->size, event->b),
                     event);
                break;
        case TRACE_TRUNCATE:
                must(ops->ftruncate(player->env, fd, event->b), event);
                break;
        case TRACE_ALLOCATE:
                must(ops->fallocate(player->env, fd, event->b, event->c), event);
                break;
        case TRACE_PUNCH:
                must(ops->punch(player->env, fd, event->b, event->c), event);
                break;
        default:
                break;
        }
}

static void play(struct player *player, size_t at)
{
        const struct trace_event *event = player->replay->events[at];
        const char *path = event_text(event), *to = path + strlen(path) + 1;
        struct env *env = player->env;

        switch ((enum trace_kind)event->kind) {
        case TRACE_CREATE:
                play_create(player, event);
                break;
        case TRACE_WRITE:
        case TRACE_TRUNCATE:
        case TRACE_ALLOCATE:
        case TRACE_PUNCH:
                play_file(player, event);
                break;
        case TRACE_SYNC_BEGIN:
                play_sync(player, at);
                break;
        case TRACE_MKDIR:
                make_parent(player, path);
                must(env->ops->mkdir(env, path, 0700), event);
                break;
        case TRACE_RMDIR:
                must(env->ops->rmdir(env, path), event);
                break;
        case TRACE_UNLINK:
                /* The daemon's socket and log are made by other calls. */
                (void)!env->ops->unlink(env, path);
                break;
        case TRACE_LINK:
                must(env->ops->link(env, path, to), event);
                break;
        case TRACE_RENAME:
                must(env->ops->rename(env, path, to), event);
                break;
        default:
                break;
        }
}

static void close_all(struct player *player)
{
        uint64_t inode;
        void *fd;

        for (size_t i = 0; map_next(&player->fds, &i, &inode, &fd);)
                player->env->ops->close(player->env, (int)((intptr_t)fd - 1));
        map_free(&player->fds);
}

void replay_cut(struct replay *replay, struct cut *cut)
{
        struct player player = {.replay = replay, .sim = simenv_new(cut->seed)};

        if (player.sim == NULL)
                abort();
        player.env = simenv_env(player.sim);
        player.end = cut->at = 1 + simenv_rand(player.sim) % replay->count;
        for (size_t i = 0; i < player.end; i++) {
                play(&player, i);
                if (simenv_rand(player.sim) % 64 == 0)
                        simenv_write_back(player.sim);
        }
        close_all(&player);
        simenv_power_cut(player.sim);
        verify(replay, player.sim, cut);
        simenv_free(player.sim);
}
