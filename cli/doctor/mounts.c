/* mounts.c - mounts of ours: does each answer, and does the daemon know of it? */
#include "cli/mounts.h"
#include "cli/bounded.h"
#include "cli/commands/unmount.h"
#include "cli/doctor/doctor.h"
#include "cli/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOUCH_TIMEOUT_MS 2000
#define TOUCH_HUNG_MS    500 /* it will not answer, most likely */
#define RPC_TIMEOUT_MS   6000
#define MOUNTS_MAX       256
#define AT_ONCE_MAX      16 /* children */

struct one {
        char *path;
        bool nfs, asked, own;
        struct doctor_export export_;
        struct bounded touch, ask;
};

struct list {
        struct one *items;
        size_t count;
        bool more;
};

/* The value of a number among a mount's options. */
static unsigned long option_of(struct span options, const char *name)
{
        size_t size = strlen(name);

        for (size_t i = 0; i + size < options.size; i++)
                if ((i == 0 || options.data[i - 1] == ',') &&
                    memcmp(options.data + i, name, size) == 0)
                        return strtoul((const char *)options.data + i + size, NULL, 10);
        return 0;
}

static bool add(void *arg, const struct mount *mount)
{
        struct list *list = arg;
        struct one *one = &list->items[list->count];
        const uint8_t *colon = memchr(mount->source.data, ':', mount->source.size);

        if (!mount->ours)
                return true;
        if (list->count == MOUNTS_MAX) {
                list->more = true;
                return false;
        }
        *one =
            (struct one){.path = strdup(mount->path),
                         .nfs = mount->type.size >= 3 && memcmp(mount->type.data, "nfs", 3) == 0};
        if (one->path == NULL)
                return false;
        one->export_.port = (unsigned short)option_of(mount->options, "port=");
        if (colon != NULL)
                snprintf(one->export_.path, sizeof(one->export_.path), "%.*s",
                         (int)(mount->source.data + mount->source.size - colon - 1), colon + 1);
        list->count++;
        return true;
}

static bool is_served(const struct doctor *doctor, const char *path)
{
        json_t *item;
        size_t index;

        json_array_foreach(doctor->served, index, item)
        {
                const char *at = json_string_value(json_object_get(item, "mount_point"));

                if (at != NULL && strcmp(at, path) == 0)
                        return true;
        }
        return false;
}

/* A session of this user's says that it is mounted there. */
static bool is_own(const json_t *sessions, const char *path)
{
        json_t *session;
        size_t index;

        json_array_foreach((json_t *)(uintptr_t)sessions, index, session)
        {
                if (strcmp(json_text(session, "mount_point"), path) == 0)
                        return true;
        }
        return false;
}

static enum hif_err touch(void *path, int out)
{

        (void)out;
        /* Not from the kernel's cache: the server is to be heard. */
        if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &(struct statx){0}) == 0)
                return HIF_OK;
        return errno == ENOTCONN || errno == ECONNABORTED ? HIF_EUNREACHABLE
                                                          : hif_err_from_errno(errno);
}

/* No server will ever answer there. */
static void take_away(struct doctor *doctor, const char *path, const char *reason)
{
        struct hif_why why = {0};

        if (!doctor->fix)
                doctor_say(doctor, "mount", DOCTOR_ERROR,
                           "`hif unmount --force` it, or `hif doctor --fix`; mount it again after "
                           "that: its session keeps its edits",
                           "'%s' %s", path, reason);
        else if (unmount_alone(doctor->cli, path, &why) == HIF_OK)
                doctor_fixed(doctor, "mount", "'%s' %s; it was detached", path, reason);
        else
                doctor_say(doctor, "mount", DOCTOR_ERROR, NULL,
                           "'%s' %s, and could not be detached: %s", path, reason, why.text);
}

/* Does it listen in the daemon's network namespace (cli/daemon/netns.h)? A server that cannot be asked
 * that, for it hangs or is gone, is taken to. */
static bool is_isolated(const struct doctor *doctor, const char *path, const char *netns)
{
        json_t *item;
        size_t index;

        if (geteuid() != 0 || access(netns, F_OK) != 0)
                return false;
        json_array_foreach(doctor->served, index, item)
        {
                const char *at = json_string_value(json_object_get(item, "mount_point"));

                if (at != NULL && strcmp(at, path) == 0)
                        return json_is_true(json_object_get(item, "isolated"));
        }
        return doctor->served == NULL;
}

/* The server as someone else's client sees it: tells a server that is wrong from a kernel's client
 * that waits. Of one that hangs all is said already. */
static void begin(const struct doctor *doctor, struct one *one)
{
        bounded_begin(&one->touch, doctor->hung ? TOUCH_HUNG_MS : TOUCH_TIMEOUT_MS, touch,
                      one->path);
        one->asked = one->nfs && one->export_.port != 0 && !doctor->hung;
        if (!one->asked)
                return;
        if (snprintf(one->export_.netns, sizeof(one->export_.netns), "%s/netns",
                     doctor->cli->paths.state_dir) >= (int)sizeof(one->export_.netns) ||
            !is_isolated(doctor, one->path, one->export_.netns))
                one->export_.netns[0] = '\0';
        bounded_begin(&one->ask, RPC_TIMEOUT_MS, doctor_ask_nfs, &one->export_);
}

static void tell_server(struct doctor *doctor, struct one *one)
{
        AUTO_BUF struct buf said = {0};

        if (!one->asked)
                return;
        if (bounded_end(&one->ask, &said) == HIF_OK)
                doctor_say(doctor, "nfs-server", DOCTOR_OK, NULL,
                           "the server of '%s' answers NULL, MNT and GETATTR on port %u", one->path,
                           one->export_.port);
        else
                doctor_say(
                    doctor, "nfs-server",
                    is_served(doctor, one->path) ? DOCTOR_WARNING : DOCTOR_NOTE,
                    is_served(doctor, one->path)
                        ? "the daemon's log may say why; `hif daemon restart` starts another "
                          "server, and the mount stays"
                        : "it is of a daemon that hangs, or of another one, whose network "
                          "this is not",
                    "the server of '%s' could not be asked on port %u: %.*s", one->path,
                    one->export_.port, (int)(said.size > 0 ? said.size : 10),
                    said.size > 0 ? (const char *)said.data : "no answer.");
}

static void tell(struct doctor *doctor, struct one *one)
{
        bool served = is_served(doctor, one->path);
        enum hif_err err = bounded_end(&one->touch, NULL);

        if (err == HIF_OK && (served || doctor->served == NULL)) {
                doctor_say(doctor, "mount", DOCTOR_OK, NULL, "'%s' answers", one->path);
        } else if (err == HIF_OK) {
                doctor_say(doctor, "mount", DOCTOR_NOTE, NULL,
                           "'%s' answers, and belongs to another daemon, or is just being mounted",
                           one->path);
        } else if (!served && !one->own) {
                /* Its daemon may be busy, and bring it back: it is not ours to take away. */
                doctor_say(doctor, "mount", DOCTOR_NOTE,
                           "`hif doctor` of whose it is says more; `hif unmount --force` takes it "
                           "away",
                           "'%s' does not answer (%s), and belongs to no session that is here",
                           one->path, hif_strerror(err));
        } else if (err == HIF_EACCES) {
                doctor_say(doctor, "mount", DOCTOR_NOTE, NULL, "'%s' belongs to another user",
                           one->path);
        } else if (err == HIF_EUNREACHABLE) {
                take_away(doctor, one->path, "has lost its server");
        } else if (err == HIF_ETIMEDOUT && doctor->hung) {
                doctor_say(doctor, "mount", DOCTOR_ERROR,
                           "`hif daemon restart` starts another server, and programs in the mount "
                           "go on; `hif unmount --force` detaches it",
                           "'%s' does not answer, as the daemon hangs", one->path);
        } else if (err == HIF_ETIMEDOUT && doctor->served == NULL) {
                take_away(doctor, one->path, "waits for a daemon, and none runs");
        } else if (err == HIF_ETIMEDOUT && served) {
                doctor_say(doctor, "mount", DOCTOR_ERROR,
                           "is the store far away, or down? Else `hif daemon restart`, or `hif "
                           "unmount --force`",
                           "'%s' does not answer, though the daemon serves it", one->path);
        } else if (err == HIF_ETIMEDOUT) {
                take_away(doctor, one->path, "does not answer, and the daemon does not know it");
        } else {
                doctor_say(doctor, "mount", DOCTOR_ERROR, "`hif unmount --force` detaches it",
                           "'%s' cannot be looked at: %s", one->path, hif_strerror(err));
        }
        tell_server(doctor, one);
}

void doctor_mounts(struct doctor *doctor)
{
        struct list list = {.items = calloc(MOUNTS_MAX, sizeof(struct one))};
        json_t *sessions = NULL;
        enum hif_err err =
            list.items != NULL ? mounts_each(&doctor->cli->env, add, &list) : HIF_ENOMEM;

        if (err != HIF_OK)
                doctor_say(doctor, "mount", DOCTOR_ERROR, NULL,
                           "the kernel's list of mounts could not be read: %s", hif_strerror(err));
        if (sessions_here(doctor->cli, &sessions) != HIF_OK)
                doctor_say(doctor, "mount", DOCTOR_NOTE, NULL,
                           "which mounts belong to sessions that are here could not be read");
        for (size_t i = 0; i < list.count; i++)
                list.items[i].own = is_own(sessions, list.items[i].path);
        json_decref(sessions);
        /* Several hang together, and not one after the other. */
        for (size_t i = 0, end; i < list.count; i = end) {
                end = list.count - i > AT_ONCE_MAX ? i + AT_ONCE_MAX : list.count;
                for (size_t j = i; j < end; j++)
                        begin(doctor, &list.items[j]);
                for (size_t j = i; j < end; j++)
                        tell(doctor, &list.items[j]);
        }
        for (size_t i = 0; i < list.count; i++)
                free(list.items[i].path);
        if (list.more)
                doctor_say(doctor, "mount", DOCTOR_NOTE, NULL,
                           "only the first %d mounts were asked", MOUNTS_MAX);
        free(list.items);
}
