/* loop_nfs.c - a client's session with the server of a workspace, while something fails once.
 *
 * Whatever fails, a call is answered with a status that says so and has changed nothing, or the
 * connection closes and the same call is sent again on a new one. In the end every call has gone
 * through, the tree is what the calls made of it, also after the process died and came back, and
 * nothing that was allocated is left. */
#include "loop.h"
#include "quiet_env.h"

#include "tclient.h"

#include <stdio.h>

#define TURNS     8  /* that a call may take with faults */
#define TRIES_MAX 40 /* of one call: a workspace that mends its log is read-only for seconds */
#define BIG       (2u << 20)

struct rig {
        struct loop_run *run;
        struct tmount *m;
        struct tclient c;
        struct treply reply;
        uint64_t file; /* the one that the script is about */
};

struct step {
        enum nfs_proc proc;
        const char *dir, *name; /* place; or a file: its path is `name`, dir NULL */
        const char *to_dir, *text;
        uint64_t number; /* offset, size, cookie ... */
};

/* Told in order. Every change is to be there in the end. */
static const struct step script[] = {
    {NFS_LOOKUP, "", "dir", NULL, NULL, 0},
    {NFS_GETATTR, NULL, "file", NULL, NULL, 0},
    {NFS_ACCESS, NULL, "file", NULL, NULL, 0},
    {NFS_CREATE, "", "new", NULL, NULL, 0},
    {NFS_WRITE, NULL, "new", NULL, "hello", 0},
    {NFS_WRITE, NULL, "new", NULL, "far", 200000},
    {NFS_COMMIT, NULL, "new", NULL, NULL, 0},
    {NFS_MKDIR, "", "d", NULL, NULL, 0},
    {NFS_CREATE, "d", "x", NULL, NULL, 0},
    {NFS_WRITE, NULL, "d/x", NULL, "in x", 0},
    {NFS_SYMLINK, "d", "s", NULL, "to/where", 0},
    {NFS_READLINK, NULL, "d/s", NULL, NULL, 0},
    {NFS_READLINK, NULL, "link", NULL, NULL, 0},
    {NFS_LINK, NULL, "new", "d", "hard", 0},
    {NFS_RENAME, "", "new", "d", "moved", 0},
    {NFS_RENAME, "", "d", "", "e", 0},
    {NFS_RENAME, "e", "x", "", "run.sh", 0},
    {NFS_REMOVE, "", "file", NULL, NULL, 0},
    {NFS_REMOVE, "e", "hard", NULL, NULL, 0},
    {NFS_SETATTR, NULL, "dir/a", NULL, NULL, 0},
    {NFS_WRITE, NULL, "big", NULL, "inside", 1000000},
    {NFS_READ, NULL, "big", NULL, NULL, 900000},
    {NFS_READ, NULL, "dir/sub/b", NULL, NULL, 0},
    {NFS_MKNOD, "e", "fifo", NULL, NULL, 0},
    {NFS_MKDIR, "e", "gone", NULL, NULL, 0},
    {NFS_RMDIR, "e", "gone", NULL, NULL, 0},
    {NFS_READDIR, NULL, "", NULL, NULL, 0},
    {NFS_READDIRPLUS, NULL, "e", NULL, NULL, 0},
    {NFS_FSSTAT, NULL, "", NULL, NULL, 0},
    {NFS_FSINFO, NULL, "", NULL, NULL, 0},
    {NFS_PATHCONF, NULL, "", NULL, NULL, 0},
    {NFS_COMMIT, NULL, "big", NULL, NULL, 0},
};
#define STEPS (sizeof(script) / sizeof(script[0]))

static bool may_fail_with(enum nfsstat3 status)
{
        return status == NFS3ERR_JUKEBOX || status == NFS3ERR_IO || status == NFS3ERR_NOSPC ||
               status == NFS3ERR_ROFS;
}

static void put_args(struct rig *rig, const struct step *step, struct buf *args)
{
        uint64_t at = tmount_id(rig->m, step->dir != NULL ? step->dir : step->name);

        loop_check(at != NODEID_NONE);
        put_handle(args, at);
        if (step->dir != NULL)
                put_string(args, step->name);
        switch (step->proc) {
        case NFS_ACCESS:
                buf_put_u32(args, 0x3f);
                break;
        case NFS_CREATE:
                buf_put_u32(args, 1); /* GUARDED */
                put_sattr(args, 0644, -1);
                break;
        case NFS_MKDIR:
                put_sattr(args, 0755, -1);
                break;
        case NFS_MKNOD:
                buf_put_u32(args, NF3FIFO);
                put_sattr(args, 0644, -1);
                break;
        case NFS_SYMLINK:
                put_sattr(args, 0777, -1);
                put_string(args, step->text);
                break;
        case NFS_SETATTR:
                put_sattr(args, 0600, (int64_t)step->number);
                buf_put_u32(args, 0);
                break;
        case NFS_WRITE:
                buf_put_u64(args, step->number);
                buf_put_u32(args, (uint32_t)strlen(step->text));
                buf_put_u32(args, step->number == 0 ? NFS_FILE_SYNC : NFS_UNSTABLE);
                put_string(args, step->text);
                break;
        case NFS_COMMIT:
        case NFS_READ:
                buf_put_u64(args, step->number);
                buf_put_u32(args, step->proc == NFS_READ ? 300000 : 0);
                break;
        case NFS_LINK:
        case NFS_RENAME:
                put_place(args, tmount_id(rig->m, step->to_dir), step->text);
                break;
        case NFS_READDIR:
        case NFS_READDIRPLUS:
                buf_put_u64(args, 0);
                buf_put_u64(args, 0);
                buf_put_u32(args, 4096);
                if (step->proc == NFS_READDIRPLUS)
                        buf_put_u32(args, 32768);
                break;
        default:
                break;
        }
}

static void connect_again(struct rig *rig)
{
        uint32_t xid = rig->c.xid;

        tclient_close(&rig->c);
        tclient_open(&rig->c, rig->m);
        rig->c.xid = xid;
}

static void with_faults(struct rig *rig, unsigned turns)
{
        fault_resume();
        for (unsigned i = 0; i < turns; i++)
                tmount_turn(rig->m);
        fault_pause();
}

/* One call to its answer, over as many connections as it takes. */
static enum nfsstat3 call(struct rig *rig, const struct step *step, const struct buf *args)
{
        struct treply *reply = &rig->reply;

        for (uint64_t sent = 0; sent < rig->run->burst + 4; sent++) {
                treply_free(reply);
                tclient_start(&rig->c, step->proc, args);
                with_faults(rig, TURNS);
                tclient_receive(&rig->c, reply);
                if (!reply->closed && !reply->none) {
                        loop_check(reply->xid == rig->c.xid && reply->reply_stat == 0);
                        loop_check(reply->stat == RPC_SUCCESS);
                        return (enum nfsstat3)rd_u32(&reply->rd);
                }
                loop_check(reply->closed); /* silence would hang the client */
                rig->run->errors++;
                connect_again(rig);
                rig->c.xid--; /* the same call again */
        }
        loop_wrong(__FILE__, __LINE__, "the connection closes for ever");
}

static void check_read(struct rig *rig, const struct step *step)
{
        struct reader *rd = &rig->reply.rd;
        struct span data;

        (void)get_post_op(rd);
        (void)rd_u64(rd); /* count, eof */
        data = get_opaque(rd);
        loop_check(rd_done(rd) && data.size > 0);
        if (step->number > 0)
                loop_check(memcmp(data.data + (1000000 - step->number), "inside", 6) == 0);
        else
                loop_check(span_eq(data, span_str("b")));
}

static void go_through(struct rig *rig, const struct step *step)
{
        AUTO_BUF struct buf args = {0};
        enum nfsstat3 status;
        bool unsynced = false;

        put_args(rig, step, &args);
        for (int tries = 0; tries < TRIES_MAX; tries++) {
                status = call(rig, step, &args);
                if (rig->run->trace)
                        fprintf(stderr, "proc %d %s/%s: %d\n", step->proc,
                                step->dir ? step->dir : "", step->name, status);
                if (status == NFS3_OK) {
                        if (step->proc == NFS_READ)
                                check_read(rig, step);
                        return;
                }
                /* An answer that waited for a sync which failed: what it was about has happened, and
                 * is in the log that is written anew. */
                if (unsynced && (status == NFS3ERR_NOENT || status == NFS3ERR_EXIST))
                        return;
                loop_check(may_fail_with(status));
                unsynced |= rig->run->kind == LOOP_FROM_ENV && status == NFS3ERR_IO;
                rig->run->errors++;
                tmount_advance(rig->m, 1000000000);
                with_faults(rig, 2);
        }
        loop_wrong(__FILE__, __LINE__, "a call fails for ever");
}

static bool holds_far(struct tmount *m)
{
        size_t size;
        AUTO_FREE uint8_t *content = tmount_read(m, "e/moved", &size);

        return content != NULL && size == 200003 && memcmp(content, "hello", 5) == 0 &&
               content[5] == 0 && content[199999] == 0 && memcmp(content + 200000, "far", 3) == 0;
}

static bool holds_big(struct tmount *m)
{
        size_t size;
        AUTO_FREE uint8_t *content = tmount_read(m, "big", &size);
        AUTO_FREE uint8_t *wanted = tmount_bytes(3, BIG);

        memcpy(wanted + 1000000, "inside", 6);
        return content != NULL && size == BIG && memcmp(content, wanted, BIG) == 0;
}

static void check_tree(struct tmount *m)
{
        loop_check(tmount_id(m, "new") == NODEID_NONE && tmount_id(m, "d") == NODEID_NONE);
        loop_check(tmount_id(m, "file") == NODEID_NONE && tmount_id(m, "e/x") == NODEID_NONE);
        loop_check(tmount_id(m, "e/hard") == NODEID_NONE && tmount_id(m, "e/gone") == NODEID_NONE);
        loop_check(tmount_holds(m, "run.sh", "in x") && tmount_holds(m, "dir/a", ""));
        loop_check(tmount_holds(m, "dir/sub/b", "b") && holds_far(m) && holds_big(m));
        loop_check(tmount_attr(m, "e/s").kind == ONODE_SYMLINK);
        loop_check(tmount_attr(m, "e/fifo").kind == ONODE_FIFO);
        loop_check(tmount_attr(m, "e/moved").nlink == 1);
        loop_check(tmount_attr(m, "dir/a").mode == 0600);
}

static struct tmount *new_mount(enum overlay_durability durability, bool ssd)
{
        struct tmount_options options = {.nfs = true,
                                         .seed = 1,
                                         .overlay.log_segment_bytes = 8192,
                                         .overlay.data_segment_bytes = 16384,
                                         .overlay.durability = durability};
        struct tmount *m = tmount_new(&options);
        AUTO_FREE uint8_t *big = tmount_bytes(3, BIG);

        if (ssd) {
                m->options.fetch.ssd_max = 64u << 20;
                m->options.fetch.ssd_dir = "/home/agent/cache";
                m->options.fetch.ssd_for_local = true;
        }
        quiet_env(m->env);
        tmount_add_text(m, "file", "content\n");
        tmount_add_file(m, "run.sh", "#!/bin/sh\n", 10, true);
        tmount_add_link(m, "link", "dir/a");
        tmount_add_text(m, "dir/a", "a");
        tmount_add_text(m, "dir/sub/b", "b");
        tmount_add_file(m, "big", big, BIG, false);
        tmount_open(m);
        if (ssd) { /* some of it is there then, and some is not */
                loop_check(tmount_holds(m, "dir/sub/b", "b") && tmount_holds(m, "dir/a", "a"));
                tmount_restart(m);
        }
        return m;
}

static void session(struct loop_run *run, enum overlay_durability durability, bool ssd)
{
        struct rig rig = {.run = run, .m = new_mount(durability, ssd)};

        tclient_open(&rig.c, rig.m);
        loop_arm(run, rig.m->sim);
        for (size_t i = 0; i < STEPS; i++)
                go_through(&rig, &script[i]);
        with_faults(&rig, TURNS);
        loop_disarm(run);
        treply_free(&rig.reply);
        tclient_close(&rig.c);
        check_tree(rig.m);
        tmount_kill(rig.m);
        check_tree(rig.m);
        tmount_restart(rig.m);
        check_tree(rig.m);
        tmount_free(rig.m);
}

static void session_process(struct loop_run *run)
{
        session(run, OVERLAY_PROCESS, false);
}

static void session_power(struct loop_run *run)
{
        session(run, OVERLAY_POWER, false);
}

/* What the base holds comes through the SSD tier. */
static void session_ssd(struct loop_run *run)
{
        session(run, OVERLAY_PROCESS, true);
}

#define KINDS (1u << FAULT_MALLOC | 1u << FAULT_CALL | 1u << FAULT_SHORT | 1u << LOOP_FROM_ENV)

int main(int argc, char **argv)
{
        static const struct loop_scenario scenarios[] = {
            {"session", KINDS, session_process, NULL},
            {"session-power", KINDS, session_power, NULL},
            {"session-ssd", KINDS, session_ssd, NULL},
            {NULL, 0, NULL, NULL},
        };

        return loop_main(argc, argv, scenarios);
}
