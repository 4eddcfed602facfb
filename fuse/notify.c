/* notify.c - a thread that tells the kernel what has changed, and unmounts: both may wait for
 * requests that the loop has to answer, so the loop can not do them. */
#include "fuse/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* One thing to tell. */
struct notice {
        struct notice *next;
        enum { NOTICE_NODE, NOTICE_NAME, NOTICE_TOLD } kind;
        uint64_t id; /* the node, or the directory of the name */
        struct fuse_told *told;
        size_t name_size;
        char name[];
};

struct notifier {
        struct fuse_session *session;
        struct loop *loop;
        const struct fuse_mounter *mounter;
        const char *mount_point;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t news;
        struct notice *first, *last;
        size_t count;
        bool finish, unmount;
        atomic_bool finished;
        int finished_fd; /* readable from then on */
};

static void told(struct loop_msg *msg)
{
        struct fuse_told *told_ = (void *)((char *)msg - offsetof(struct fuse_told, msg));

        told_->done(told_);
}

/* Errors tell that the kernel has nothing of it. */
static void tell(struct notifier *notifier, const struct notice *notice)
{
        switch (notice->kind) {
        case NOTICE_NODE:
                (void)fuse_lowlevel_notify_inval_inode(notifier->session, notice->id, 0, 0);
                break;
        case NOTICE_NAME:
                (void)fuse_lowlevel_notify_inval_entry(notifier->session, notice->id, notice->name,
                                                       notice->name_size);
                break;
        case NOTICE_TOLD:
                notice->told->msg.run = told;
                loop_post(notifier->loop, &notice->told->msg);
                break;
        }
}

/* Taken out of the queue, or NULL when it is time to end. */
static struct notice *next_notice(struct notifier *notifier)
{
        struct notice *notice = NULL;

        pthread_mutex_lock(&notifier->lock);
        while (notifier->first == NULL && !notifier->finish)
                pthread_cond_wait(&notifier->news, &notifier->lock);
        if (!notifier->finish) {
                notice = notifier->first;
                notifier->first = notice->next;
                if (notice->next == NULL)
                        notifier->last = NULL;
                notifier->count--;
        }
        pthread_mutex_unlock(&notifier->lock);
        return notice;
}

/* What programs have mapped and written would be lost with the connection. */
static void write_back(const char *mount_point)
{
        int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        (void)syncfs(fd);
        close(fd);
}

static void *run(void *arg)
{
        struct notifier *notifier = arg;
        struct notice *notice;

        while ((notice = next_notice(notifier)) != NULL) {
                tell(notifier, notice);
                free(notice);
        }
        if (notifier->unmount && !mount_undo(notifier->mounter, notifier->mount_point))
                write_back(notifier->mount_point);
        atomic_store(&notifier->finished, true);
        (void)!eventfd_write(notifier->finished_fd, 1); /* it is 0 before, and can take it */
        return NULL;
}

enum hif_err notifier_new(struct fuse_session *session, struct loop *loop,
                          const struct fuse_mounter *mounter, const char *mount_point,
                          struct notifier **out)
{
        struct notifier *notifier = calloc(1, sizeof(*notifier));
        sigset_t all, before;
        int rc;

        if (notifier == NULL)
                return HIF_ENOMEM;
        notifier->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (notifier->finished_fd < 0) {
                enum hif_err err = hif_err_from_errno(errno);

                free(notifier);
                return err;
        }
        notifier->session = session;
        notifier->loop = loop;
        notifier->mounter = mounter;
        notifier->mount_point = mount_point;
        pthread_mutex_init(&notifier->lock, NULL);
        pthread_cond_init(&notifier->news, NULL);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&notifier->thread, NULL, run, notifier);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (rc != 0) {
                close(notifier->finished_fd);
                free(notifier);
                return hif_err_from_errno(rc);
        }
        *out = notifier;
        return HIF_OK;
}

void notifier_finish(struct notifier *notifier, bool unmount)
{
        pthread_mutex_lock(&notifier->lock);
        notifier->finish = true;
        notifier->unmount = unmount;
        pthread_cond_signal(&notifier->news);
        pthread_mutex_unlock(&notifier->lock);
}

bool notifier_finished(struct notifier *notifier)
{
        return atomic_load(&notifier->finished);
}

int notifier_fd(const struct notifier *notifier)
{
        return notifier->finished_fd;
}

void notifier_free(struct notifier *notifier)
{
        if (notifier == NULL)
                return;
        pthread_join(notifier->thread, NULL);
        while (notifier->first != NULL) {
                struct notice *notice = notifier->first;

                notifier->first = notice->next;
                if (notice->kind == NOTICE_TOLD)
                        notice->told->done(notice->told);
                free(notice);
        }
        pthread_cond_destroy(&notifier->news);
        pthread_mutex_destroy(&notifier->lock);
        close(notifier->finished_fd);
        free(notifier);
}

/* --- the queue: from the loop --- */

static enum hif_err queue(struct notifier *notifier, const struct notice *what, const void *name)
{
        struct notice *notice = malloc(sizeof(*notice) + what->name_size + 1);
        enum hif_err err = HIF_OK;

        if (notice == NULL)
                return HIF_ENOMEM;
        *notice = *what;
        notice->next = NULL;
        if (what->name_size > 0)
                memcpy(notice->name, name, what->name_size);
        notice->name[what->name_size] = '\0';
        pthread_mutex_lock(&notifier->lock);
        if (notifier->count >= FUSE_NOTICES_MAX) {
                err = HIF_ELIMIT;
        } else {
                if (notifier->last != NULL)
                        notifier->last->next = notice;
                else
                        notifier->first = notice;
                notifier->last = notice;
                notifier->count++;
                pthread_cond_signal(&notifier->news);
        }
        pthread_mutex_unlock(&notifier->lock);
        if (err != HIF_OK)
                free(notice);
        return err;
}

bool notifier_ids(struct notifier *notifier, const uint64_t *ids, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct notice notice = {.kind = NOTICE_NODE, .id = ids[i]};

                if (queue(notifier, &notice, NULL) != HIF_OK)
                        return false;
        }
        return true;
}

bool notifier_names(struct notifier *notifier, const struct fuse_name *names, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct notice notice = {
                    .kind = NOTICE_NAME, .id = names[i].dir, .name_size = names[i].name.size};

                if (queue(notifier, &notice, names[i].name.data) != HIF_OK)
                        return false;
        }
        return true;
}

enum hif_err notifier_told(struct notifier *notifier, struct fuse_told *told_)
{
        struct notice notice = {.kind = NOTICE_TOLD, .told = told_};

        return queue(notifier, &notice, NULL);
}
