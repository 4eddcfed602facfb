/* links.c - the names of files that have several.
 *
 * A node's row knows one name. When that one goes, another has to be found among all rows of names; one
 * look through them notes every name of every such file, so that the next thousand need none. What is
 * noted is where to look, not what is there: it may be out of date, and is checked. */
#include "vfs/internal.h"

#include <stdlib.h>

#define FIRST_ROOM 4u

struct noted_name {
        uint64_t dir, hash60;
};

/* Of one node. */
struct noted_names {
        uint32_t count, room;
        struct noted_name names[];
};

void links_free(struct vfs *vfs)
{
        uint64_t id;
        void *names;

        for (size_t i = 0; map_next(&vfs->links, &i, &id, &names);)
                free(names);
        map_free(&vfs->links);
}

/* Out of memory: it is not noted, and will be looked for. */
static void note(struct vfs *vfs, uint64_t id, uint64_t dir, uint64_t hash60)
{
        struct noted_names *names = map_get(&vfs->links, id), *grown;
        uint32_t room = names == NULL ? FIRST_ROOM : names->room * 2;

        if (names == NULL || names->count == names->room) {
                grown = realloc(names, sizeof(*names) + room * sizeof(names->names[0]));
                if (grown == NULL)
                        return;
                if (names == NULL)
                        grown->count = 0;
                grown->room = room;
                if (map_put(&vfs->links, id, grown) != HIF_OK) {
                        free(grown); /* a new one: an old one would only be replaced */
                        return;
                }
                names = grown;
        }
        names->names[names->count++] = (struct noted_name){.dir = dir, .hash60 = hash60};
}

void links_note(struct vfs *vfs, const struct onode *node, uint64_t dir, struct span name)
{
        if (!vfs->links_known || node->kind == ONODE_DIR || node->nlink < 2)
                return;
        /* Its first name was not worth noting before. */
        if (map_get(&vfs->links, node->id) == NULL && (node->flags & ONODE_PLACED) != 0)
                note(vfs, node->id, node->parent, name_hash60(node->name));
        note(vfs, node->id, dir, name_hash60(name));
}

/* The row of a noted name; NULL: it is another node's now, or the one that goes. */
static const struct odirent *look_at(const struct vfs *vfs, uint64_t id,
                                     const struct noted_name *noted, uint64_t not_dir,
                                     struct span not_name)
{
        const struct overlay *overlay = vfs->config.overlay;
        const struct odirent *row =
            overlay_dirent_seek(overlay, noted->dir, noted->hash60, (struct span){0});

        for (; row != NULL && row->hash60 == noted->hash60; row = overlay_dirent_next(overlay, row))
                if (row->child == id && (row->dir != not_dir || !span_eq(row->name, not_name)))
                        return row;
        return NULL;
}

static const struct odirent *find_noted(const struct vfs *vfs, uint64_t id, uint64_t not_dir,
                                        struct span not_name)
{
        struct noted_names *names = map_get(&vfs->links, id);

        for (uint32_t i = names == NULL ? 0 : names->count; i > 0; i--) {
                const struct odirent *row =
                    look_at(vfs, id, &names->names[i - 1], not_dir, not_name);

                if (row != NULL)
                        return row;
                names->names[i - 1] = names->names[--names->count];
        }
        return NULL;
}

struct looking {
        struct vfs *vfs;
        uint64_t id, not_dir;
        struct span not_name;
        const struct odirent *found;
};

static bool note_row(void *arg, const struct odirent *row)
{
        struct looking *looking = arg;
        const struct onode *node;

        if (row->child == NODEID_NONE)
                return true;
        node = overlay_node(looking->vfs->config.overlay, row->child);
        if (node == NULL || node->kind == ONODE_DIR || node->nlink < 2)
                return true;
        note(looking->vfs, row->child, row->dir, row->hash60);
        if (row->child == looking->id &&
            (row->dir != looking->not_dir || !span_eq(row->name, looking->not_name)))
                looking->found = row;
        return true;
}

const struct odirent *links_other(struct vfs *vfs, uint64_t id, uint64_t not_dir,
                                  struct span not_name)
{
        struct looking looking = {.vfs = vfs, .id = id, .not_dir = not_dir, .not_name = not_name};
        const struct odirent *row = find_noted(vfs, id, not_dir, not_name);

        if (row != NULL)
                return row;
        links_free(vfs);
        overlay_each_dirent(vfs->config.overlay, note_row, &looking);
        vfs->links_known = true;
        return looking.found;
}
