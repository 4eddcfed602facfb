/* sim_duplicates_model.c - what has to be there: names, links and modes. */
#include "sim_duplicates.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t dup_pick(struct dup *d, uint64_t below)
{
        d->random ^= d->random << 13;
        d->random ^= d->random >> 7;
        d->random ^= d->random << 17;
        return d->random % below;
}

void dup_require(struct dup *d, bool holds, const struct op *op, const char *what)
{
        if (holds)
                return;
        if (d->mutation) {
                printf("sim_duplicates: the mistake was noticed after %llu operations: %s\n",
                       d->done, what);
                exit(0);
        }
        fprintf(stderr, "sim_duplicates: seed %llu, operation %llu: %s", d->seed, d->done, what);
        if (op != NULL)
                fprintf(stderr, " (procedure %d, xid %u)", (int)op->proc, op->xid);
        fputc('\n', stderr);
        exit(1);
}

const char *dup_name_of(const struct dup *d, const struct slot *slot, char *out, size_t size)
{
        snprintf(out, size, "n%zu", (size_t)(slot - &d->slots[0][0]) % NAMES);
        return out;
}

uint64_t dup_dir_of(const struct dup *d, const struct slot *slot)
{
        return d->dirs[(size_t)(slot - &d->slots[0][0]) / NAMES];
}

static struct node *new_node(struct dup *d, enum onode_kind kind, uint64_t id, uint32_t mode)
{
        for (size_t i = 0; i < NODES_MAX; i++)
                if (d->nodes[i].links == 0) {
                        d->nodes[i] =
                            (struct node){.id = id, .kind = kind, .mode = mode, .links = 1};
                        return &d->nodes[i];
                }
        abort();
}

struct slot *dup_choose(struct dup *d, bool taken)
{
        for (int tries = 0; tries < 200; tries++) {
                struct slot *slot = &d->slots[dup_pick(d, DIRS)][dup_pick(d, NAMES)];

                if (slot->busy || (slot->node != NULL) != taken || (taken && slot->node->busy))
                        continue;
                slot->busy = true;
                if (taken)
                        slot->node->busy = true;
                return slot;
        }
        return NULL;
}

static void unlink_node(struct slot *slot)
{
        slot->node->links--;
        slot->node = NULL;
}

void dup_apply(struct dup *d, const struct op *op)
{
        static const enum onode_kind kinds[] = {
            [NFS_CREATE] = ONODE_FILE, [NFS_MKDIR] = ONODE_DIR, [NFS_SYMLINK] = ONODE_SYMLINK};
        struct reader rd = rd_open(buf_span(&op->answer));

        switch (op->proc) {
        case NFS_CREATE:
        case NFS_MKDIR:
        case NFS_SYMLINK:
                rd_u64(&rd), rd_u32(&rd), rd_u64(&rd), rd_u32(&rd),
                    rd_u32(&rd); /* header, status */
                dup_require(d, rd_u32(&rd) == 1, op, "no handle");
                op->slot->node = new_node(d, kinds[op->proc], get_handle(&rd), op->mode);
                break;
        case NFS_REMOVE:
        case NFS_RMDIR:
                unlink_node(op->slot);
                break;
        case NFS_RENAME:
                if (op->to->node != NULL)
                        unlink_node(op->to);
                op->to->node = op->slot->node;
                op->slot->node = NULL;
                break;
        case NFS_LINK:
                op->to->node = op->slot->node;
                op->to->node->links++;
                break;
        case NFS_SETATTR:
                op->node->mode = op->mode;
                break;
        default:
                abort();
        }
}

void dup_audit(struct dup *d)
{
        for (size_t i = 0; i < (size_t)DIRS * NAMES; i++) {
                const struct slot *slot = &d->slots[0][0] + i;
                char path[64], name[32];
                struct vfs_attr attr;

                snprintf(path, sizeof(path), "d%zu/%s", i / NAMES,
                         dup_name_of(d, slot, name, sizeof(name)));
                if (slot->node == NULL) {
                        dup_require(d, tmount_id(d->m, path) == NODEID_NONE, NULL,
                                    "a name too many");
                        continue;
                }
                dup_require(d, tmount_id(d->m, path) == slot->node->id, NULL,
                            "a name is missing, or another node's");
                attr = tmount_attr(d->m, path);
                dup_require(d, attr.kind == slot->node->kind, NULL, "another kind");
                dup_require(d, attr.kind == ONODE_SYMLINK || attr.mode == slot->node->mode, NULL,
                            "another mode");
                dup_require(d, attr.kind == ONODE_DIR || attr.nlink == slot->node->links, NULL,
                            "another link count");
        }
}
