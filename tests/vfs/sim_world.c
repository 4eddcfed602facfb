/* sim_world.c - the machine, the store, and the workspace on them: opened, closed and killed. */
#include "sim.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

#define DIR              "/home/agent/overlay"
#define TURNS_MAX        100000
#define MACHINE_START_NS 5000000000ull

static bool dump_node(void *arg, const struct onode *node)
{
        (void)arg;
        printf("   node %llx kind %d flags %x nlink %u size %llu base %d, at %llx '%.*s', seq %llu "
               "data %llu\n",
               (unsigned long long)node->id, node->kind, node->flags, node->nlink,
               (unsigned long long)node->size, node->base.kind, (unsigned long long)node->parent,
               (int)node->name.size, (const char *)node->name.data, (unsigned long long)node->seq,
               (unsigned long long)node->data_seq);
        return true;
}

static bool dump_dirent(void *arg, const struct odirent *row)
{
        (void)arg;
        printf("   %llx '%.*s' -> %llx, base %llx (%d), seq %llu\n", (unsigned long long)row->dir,
               (int)row->name.size, (const char *)row->name.data, (unsigned long long)row->child,
               (unsigned long long)row->base_child, row->base.kind, (unsigned long long)row->seq);
        return true;
}

void sim_fail(struct sim *sim, const char *format, ...)
{
        va_list args;

        fprintf(stderr, "sim_vfs: seed %llu, step %u, %s: ", (unsigned long long)sim->seed,
                sim->steps, sim->doing);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        if (sim->trace && sim->overlay != NULL) {
                overlay_each_node(sim->overlay, dump_node, NULL);
                overlay_each_dirent(sim->overlay, dump_dirent, NULL);
                fflush(stdout);
        }
        fprintf(stderr, "\nrun again: sim_vfs --seeds %llu:%llu -t\n",
                (unsigned long long)sim->seed, (unsigned long long)sim->seed);
        abort();
}

void sim_trace(struct sim *sim, const char *format, ...)
{
        va_list args;

        if (!sim->trace)
                return;
        printf("%u: ", sim->steps);
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
        fflush(stdout);
}

uint64_t pick(struct sim *sim, uint64_t below)
{
        return simenv_rand(sim->machine) % below;
}

bool chance(struct sim *sim, unsigned percent)
{
        return pick(sim, 100) < percent;
}

/* --- the workspace ------------------------------------------------------------------------------
 */

static void boot(struct sim *sim)
{
        uint64_t id = env_random_u64(sim->env);
        int fd;

        must(sim, env_mkdirs(sim->env, "/proc/sys/kernel/random", 0755));
        must(sim, sim->env->ops->open(sim->env, "/proc/sys/kernel/random/boot_id",
                                      O_RDWR | O_CREAT | O_TRUNC, 0644, &fd));
        must(sim, env_write_all(sim->env, fd, &id, sizeof(id), 0));
        sim->env->ops->close(sim->env, fd);
}

void world_open(struct sim *sim)
{
        struct fetch_config fetch = {.ram_max = sim->ram_max, .no_timer = true};
        uint32_t log = 16384u << pick(sim, 4), data = 16384u << pick(sim, 4);
        struct overlay_config overlay = {
            .serial = true, .log_segment_bytes = log, .data_segment_bytes = data};
        struct vfs_config config = {.env = sim->env, .dir = DIR, .uid = UID, .gid = UID};
        struct hif_why why = {""};
        bool fresh;

        must(sim, pool_new(0, "sim", &sim->pool));
        must(sim, loop_new(sim->env, &sim->loop));
        must_why(sim, fetch_new(sim->env, sim->pool, &fetch, &sim->fetch, &why), why);
        must(sim, fetch_origin_new(sim->fetch, sim->store, &sim->project.layout, &sim->origin));
        must_why(sim, overlay_open(sim->env, sim->pool, DIR, &overlay, &sim->overlay, &why), why);
        fresh = overlay_value(sim->overlay, "vfs.epochs").size == 0;
        config.loop = sim->loop;
        config.overlay = sim->overlay;
        config.fetch = sim->fetch;
        config.origin = sim->origin;
        must_why(sim, vfs_open(&config, fresh ? &sim->base_at : NULL, &sim->vfs, &why), why);
        expect(sim, vfs_base(sim->vfs).position == sim->base_at.position,
               "opened at @%llu instead of @%llu", (unsigned long long)vfs_base(sim->vfs).position,
               (unsigned long long)sim->base_at.position);
}

static void close_all(struct sim *sim)
{
        vfs_close(sim->vfs);
        sim->vfs = NULL;
        overlay_close(sim->overlay);
        sim->overlay = NULL;
        fetch_origin_free(sim->origin);
        fetch_free(sim->fetch);
        sim->fetch = NULL;
        pool_free(sim->pool);
        loop_free(sim->loop);
}

void world_close(struct sim *sim)
{
        for (int i = 0; i < 4; i++)
                world_turn(sim);
        close_all(sim);
}

void world_kill(struct sim *sim)
{
        for (int i = 0; i < 4; i++)
                world_turn(sim);
        /* Every file call fails from here on: closing frees memory and changes nothing. */
        simenv_crash_at(sim->machine, 1);
        close_all(sim);
        simenv_process_kill(sim->machine);
        sim->kills++;
        world_open(sim);
}

void world_turn(struct sim *sim)
{
        pool_drain(sim->pool);
        fetch_tick(sim->fetch);
        loop_turn(sim->loop, 0);
}

/* --- from nothing -------------------------------------------------------------------------------
 */

static void first_tree(struct sim *sim, struct mtree *out)
{
        static const char *const paths[] = {"lib",        "lib/a",     "lib/main.c", "lib/deep",
                                            "lib/deep/b", "main.c",    "a",          "c",
                                            "c/x.txt",    "lib/deep/c"};

        out->count = 0;
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
                const char *path = paths[i];
                const char *last = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
                struct ment entry = {.kind = ENTRY_FILE};
                char text[160];
                int size = snprintf(text, sizeof(text), "first content of %s %*llu", path,
                                    (int)pick(sim, 80), (unsigned long long)sim->seed);

                strcpy(entry.path, path);
                if (strcmp(last, "lib") == 0 || strcmp(last, "deep") == 0 || strcmp(path, "c") == 0)
                        entry.kind = ENTRY_DIR;
                else if (strcmp(path, "lib/deep/c") == 0)
                        entry.kind = ENTRY_SYMLINK;
                else if (chance(sim, 30))
                        entry.kind = ENTRY_EXEC;
                entry.data = entry.kind == ENTRY_DIR ? (struct span){0}
                                                     : keep_bytes(sim, text, (size_t)size);
                tree_put(out, &entry);
        }
        tree_sort(out);
}

void world_start(struct sim *sim)
{
        static const uint64_t ram[] = {1, 6000, 12000, 30000, 0};
        struct slot_read slot;
        struct hif_why why = {""};
        struct mtree empty = {.count = 0};

        sim->machine = simenv_new(sim->seed);
        if (sim->machine == NULL)
                abort();
        sim->env = simenv_env(sim->machine);
        simenv_advance(sim->machine, MACHINE_START_NS);
        sim->caller = (struct vfs_caller){.uid = UID, .gid = UID};
        sim->nodes = calloc(NODES_MAX, sizeof(*sim->nodes));
        expect(sim, sim->nodes != NULL, "out of memory");
        sim->node_count = NODE_ROOT;
        node_new(sim, ONODE_DIR, 0755);
        sim->nodes[NODE_ROOT].mtime_known = false;
        boot(sim);
        sim->ram_max = ram[pick(sim, sizeof(ram) / sizeof(ram[0]))];
        simenv_set_nowait_misses(sim->machine, chance(sim, 50) ? 0 : (unsigned)pick(sim, 60));
        must(sim, store_mem_new(sim->env, &sim->store));
        must_why(sim,
                 project_create(sim->env, sim->store, "org/name", "A <a@b>", &sim->project, &why),
                 why);
        must_why(sim, project_slot(&sim->project, 0, false, &slot, &why), why);
        sim->tail_at = (struct vfs_base){0, slot.hash, slot.slot.tree};
        slot_read_free(&slot);
        first_tree(sim, &sim->tail);
        sim->tail_at = land_tree(sim, &empty, &sim->tail_at, &sim->tail);
        sim->base = sim->tail;
        sim->base_at = sim->tail_at;
        env_random(sim->env, sim->session.bytes, SESSION_ID_SIZE);
        sim->session_origin = sim->base_at.position;
        world_open(sim);
        model_from_tree(sim, &sim->base);
        sim->nodes[NODE_ROOT].id = NODEID_ROOT;
}

void world_stop(struct sim *sim)
{
        world_close(sim);
        store_close(sim->store);
        for (int i = 0; i < sim->node_count; i++)
                buf_free(&sim->nodes[i].data);
        free(sim->nodes);
        map_free(&sim->ids);
        arena_free(&sim->arena);
        simenv_free(sim->machine);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void resumed(struct vfs_parked *parked, enum hif_err err)
{
        struct run *run = (struct run *)((char *)parked - offsetof(struct run, parked));

        run->resumed = err;
        run->state = 2;
}

static void note_state(struct sim *sim, struct run *run)
{
        run->seq = overlay_seq(sim->overlay);
        run->stats = overlay_stats(sim->overlay);
}

/* A fault has changed nothing (I1). */
static void check_fault(struct sim *sim, const struct run *run)
{
        struct overlay_stats stats = overlay_stats(sim->overlay);

        sim->faults++;
        expect(sim, overlay_seq(sim->overlay) == run->seq, "a fault has committed");
        expect(sim,
               stats.nodes == run->stats.nodes && stats.dirents == run->stats.dirents &&
                   stats.data_bytes == run->stats.data_bytes,
               "a fault has changed rows");
}

bool run_again(struct sim *sim, struct run *run, enum hif_err *err)
{
        if (run->state == 0) {
                vfs_call_begin(&run->call, &sim->caller);
                run->state = 1;
                note_state(sim, run);
                return true;
        }
        if (*err != HIF_EMISS)
                return false;
        check_fault(sim, run);
        run->parked = (struct vfs_parked){.resume = resumed};
        vfs_park(sim->vfs, &run->call, &run->parked);
        for (int turns = 1; run->state != 2 && turns < TURNS_MAX; turns++) {
                world_turn(sim);
                if (turns % 16 == 0) /* what holds pins may be what waits: fetch waits a moment */
                        simenv_advance(sim->machine, 110000000);
        }
        expect(sim, run->state == 2, "a parked call was never resumed");
        run->state = 1;
        note_state(sim, run);
        if (run->resumed == HIF_OK)
                return true;
        *err = run->resumed;
        return false;
}
