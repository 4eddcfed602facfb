/* A directory store in which something else lies where an object belongs. Reading it must not hang,
 * and must not lead anywhere else. And what is odd, but legal: served as it is. */
#include "base/cleanup.h"
#include "tests/hostile/evil.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- in place of an object --- */

static void make(const char *path, const struct kind *kind)
{
        int fd;

        switch (kind->number) {
        case S_IFIFO:
                evil_check(mkfifo(path, 0644) == 0, path);
                break;
        case S_IFDIR:
                evil_check(mkdir(path, 0755) == 0, path);
                break;
        case S_IFLNK:
                evil_check(symlink((const char *)kind->arg.data, path) == 0, path);
                break;
        case S_IFSOCK:
                evil_check(mknod(path, S_IFSOCK | 0644, 0) == 0, path);
                break;
        default: /* a file with a hole of this size */
                fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
                evil_check(fd >= 0 && ftruncate(fd, kind->number) == 0, path);
                close(fd);
                break;
        }
}

static void in_place(struct evil *evil, const struct kind *kind, struct layout_key key)
{
        AUTO_FREE char *path = evil_path(evil, key);

        unlink(path);
        make(path, kind);
}

static void a_node(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct hif_hash hash;

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        hash = leaf_end(&leaf);
        evil_land(evil, hash, 2);
        in_place(evil, kind, layout_node(&evil->layout, &hash));
        evil_says_hash(evil, &hash);
}

static void a_blob(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct entry entry = a_stored_file(evil, evil_text(evil));

        leaf_add(&leaf, "file", entry);
        evil_land_leaf(evil, &leaf);
        in_place(evil, kind, layout_blob(&evil->layout, &entry.hash));
        evil_says_hash(evil, &entry.hash);
}

static void a_pack(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct entry entry = a_file(evil_text(evil));

        entry.loc = evil_pack(evil, evil_text(evil));
        leaf_add(&leaf, "file", entry);
        evil_land_leaf(evil, &leaf);
        in_place(evil, kind, layout_pack(&evil->layout, &entry.loc.pack));
        evil_says_hash(evil, &entry.hash);
        evil_says_also(evil, &entry.loc.pack);
}

static void land_evil(struct evil *evil)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "EVIL", a_stored_file(evil, evil_text(evil)));
        evil_land_leaf(evil, &leaf);
}

static void a_slot_file(struct evil *evil, const struct kind *kind)
{
        land_evil(evil);
        in_place(evil, kind, layout_slot(&evil->layout, 1));
        evil_says(evil, "landing-log/000000000001");
}

static void a_format_file(struct evil *evil, const struct kind *kind)
{
        land_evil(evil);
        in_place(evil, kind, layout_format(&evil->layout));
        evil_says(evil, "evil/");
}

static void a_head_file(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "good", a_stored_file(evil, good_text(evil)));
        evil_land_leaf(evil, &leaf);
        in_place(evil, kind, layout_head(&evil->layout));
}

const struct kind kinds_of_files[] = {
    {"file-node-fifo", REFUSED, a_node, BYTES(""), S_IFIFO},
    {"file-node-directory", REFUSED, a_node, BYTES(""), S_IFDIR},
    {"file-node-socket", REFUSED, a_node, BYTES(""), S_IFSOCK},
    {"file-node-link-to-itself", REFUSED, a_node, BYTES("EVIL/../EVIL"), S_IFLNK},
    {"file-node-link-to-passwd", REFUSED, a_node, BYTES("/etc/passwd"), S_IFLNK},
    {"file-node-link-to-zero", REFUSED, a_node, BYTES("/dev/zero"), S_IFLNK},
    {"file-node-1-tib", REFUSED, a_node, BYTES(""), 1ll << 40},
    {"file-blob-fifo", REFUSED, a_blob, BYTES(""), S_IFIFO},
    {"file-blob-directory", REFUSED, a_blob, BYTES(""), S_IFDIR},
    {"file-blob-link-to-passwd", REFUSED, a_blob, BYTES("/etc/passwd"), S_IFLNK},
    {"file-blob-link-to-random", REFUSED, a_blob, BYTES("/dev/urandom"), S_IFLNK},
    {"file-blob-1-tib", REFUSED, a_blob, BYTES(""), 1ll << 40},
    {"file-pack-fifo", REFUSED, a_pack, BYTES(""), S_IFIFO},
    {"file-pack-1-tib", REFUSED, a_pack, BYTES(""), 1ll << 40},
    {"file-slot-1-tib", REFUSED, a_slot_file, BYTES(""), 1ll << 40},
    {"file-format-fifo", REFUSED, a_format_file, BYTES(""), S_IFIFO},
    {"file-format-1-tib", REFUSED, a_format_file, BYTES(""), 1ll << 40},
    {"file-format-link-to-passwd", REFUSED, a_format_file, BYTES("/etc/passwd"), S_IFLNK},
    {"file-head-fifo", IGNORED, a_head_file, BYTES(""), S_IFIFO},
    {"file-head-1-tib", IGNORED, a_head_file, BYTES(""), 1ll << 40},
    {0},
};

/* --- odd, but legal --- */

/* arg: where the link leads. The client's kernel follows it, the daemon never does. */
static void a_link_to(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);

        leaf_add(&leaf, "link", a_link(kind->arg));
        evil_land_leaf(evil, &leaf);
}

static void a_long_link(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf target = {0};
        struct leaf leaf = leaf_begin(evil);

        while (target.size < (size_t)kind->number)
                buf_put(&target, "../", target.size + 3 <= (size_t)kind->number ? 3 : 1);
        leaf_add(&leaf, "link", a_link(buf_span(&target)));
        evil_land_leaf(evil, &leaf);
}

/* arg: a name that some program takes for something else. */
static void a_name(struct evil *evil, const struct kind *kind)
{
        AUTO_BUF struct buf key = {0};
        struct leaf leaf = leaf_begin(evil);

        put_key(&key, span_str(""), kind->arg);
        leaf_add_key(&leaf, buf_span(&key), a_stored_file(evil, good_text(evil)));
        evil_touched(evil, kind->arg);
        evil_land_leaf(evil, &leaf);
}

/* Names that differ in case, or in how Unicode writes them: three files here. */
static void same_names(struct evil *evil, const struct kind *kind)
{
        const char *names[] = {"Name", "NAME", "name"};
        const char *forms[] = {"\xc3\xa9", "e\xcc\x81", "\xe2\x84\xab"};
        const char **list = kind->number ? forms : names;
        struct leaf leaf = leaf_begin(evil);

        for (size_t done = 0; done < 3; done++) {
                size_t least = 0;

                for (size_t i = 1; i < 3; i++)
                        if (list[least] == NULL ||
                            (list[i] != NULL &&
                             name_hash60(span_str(list[i])) < name_hash60(span_str(list[least]))))
                                least = i;
                leaf_add(&leaf, list[least], a_stored_file(evil, good_text(evil)));
                list[least] = NULL;
        }
        evil_land_leaf(evil, &leaf);
}

static void a_time(struct evil *evil, const struct kind *kind)
{
        struct leaf leaf = leaf_begin(evil);
        struct entry entry = a_stored_file(evil, good_text(evil));

        entry.mtime.sec = kind->number;
        leaf_add(&leaf, "good", entry);
        evil_land_leaf(evil, &leaf);
}

const struct kind kinds_of_oddities[] = {
    {"link-absolute", SERVED, a_link_to, BYTES("/etc/passwd"), 0},
    {"link-dot-dot", SERVED, a_link_to, BYTES("../../../../../../../../etc/passwd"), 0},
    {"link-to-itself", SERVED, a_link_to, BYTES("link"), 0},
    {"link-to-proc", SERVED, a_link_to, BYTES("/proc/self/root"), 0},
    {"link-of-control-bytes", SERVED, a_link_to, BYTES("\33]0;title\7\n"), 0},
    {"link-of-4095-bytes", SERVED, a_long_link, BYTES(""), SYMLINK_SIZE_MAX},
    {"name-git", SERVED, a_name, BYTES(".git"), 0},
    {"name-hif", SERVED, a_name, BYTES(".hif"), 0},
    {"name-nfs", SERVED, a_name, BYTES(".nfs000000000000000100000001"), 0},
    {"name-newline", SERVED, a_name, BYTES("a\nb"), 0},
    {"name-escape", SERVED, a_name, BYTES("\33[2J"), 0},
    {"name-not-utf8", SERVED, a_name, BYTES("\377\376"), 0},
    {"name-option", SERVED, a_name, BYTES("-rf"), 0},
    {"name-backslash", SERVED, a_name, BYTES("..\\..\\good"), 0},
    {"name-three-dots", SERVED, a_name, BYTES("..."), 0},
    {"name-device", SERVED, a_name, BYTES("CON"), 0},
    {"names-by-case", SERVED, same_names, BYTES(""), 0},
    {"names-by-form", SERVED, same_names, BYTES(""), 1},
    {"time-before-1970", SERVED, a_time, BYTES(""), -1},
    {"time-2-63", SERVED, a_time, BYTES(""), INT64_MAX},
    {"time-minus-2-63", SERVED, a_time, BYTES(""), INT64_MIN},
    {0},
};
