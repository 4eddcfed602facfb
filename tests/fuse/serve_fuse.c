/* serve_fuse.c - mount an empty workspace through FUSE until SIGTERM or SIGINT, for tools to be run
 * on it by hand: serve_fuse [OVERLAY_DIR]. Prints the mount point. */
#include "tfuse.h"

#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        struct tfuse *t;
        sigset_t set;
        int sig;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        t = tfuse_new();
        if (argc > 1)
                t->m->options.dir = argv[1];
        if (argc > 1)
                snprintf(t->m->dir, sizeof(t->m->dir), "%s", argv[1]);
        tmount_add_text(t->m, "hello.txt", "hello\n");
        tmount_add_text(t->m, "src/main.c", "int main(void) { return 0; }\n");
        tmount_add_link(t->m, "link", "src/main.c");
        tfuse_mount(t);
        puts(t->root);
        fflush(stdout);
        sigwait(&set, &sig);
        fprintf(stderr, "calls %ju, faults %ju, loop turns %ju, slow %ju, slowest %ju us\n",
                (uintmax_t)vfs_stats(t->m->vfs).calls, (uintmax_t)vfs_stats(t->m->vfs).faults,
                (uintmax_t)loop_stats(t->m->loop).turns,
                (uintmax_t)loop_stats(t->m->loop).slow_turns,
                (uintmax_t)(loop_stats(t->m->loop).slowest_ns / 1000));
        tfuse_free(t);
        return 0;
}
