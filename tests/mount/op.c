/* op.c - what is drawn how often, and its text. */
#include "op.h"

#include <assert.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>

#define KIB 1024ull
#define MIB (1024 * KIB)

static const struct {
        const char *name;
        unsigned weight;
} kinds[OP_KINDS] = {
    [OP_OPEN] = {"open", 90},
    [OP_CLOSE] = {"close", 20},
    [OP_READ] = {"read", 110},
    [OP_WRITE] = {"write", 140},
    [OP_COPY] = {"copy", 8},
    [OP_MAP_READ] = {"mapread", 30},
    [OP_MAP_WRITE] = {"mapwrite", 40},
    [OP_TRUNCATE] = {"truncate", 15},
    [OP_FTRUNCATE] = {"ftruncate", 25},
    [OP_ALLOCATE] = {"allocate", 8},
    [OP_SYNC] = {"sync", 15},
    [OP_FORGET] = {"forget", 25},
    [OP_UNLINK] = {"unlink", 25},
    [OP_RENAME] = {"rename", 40},
    [OP_LINK] = {"link", 15},
    [OP_SYMLINK] = {"symlink", 8},
    [OP_READLINK] = {"readlink", 8},
    [OP_MKDIR] = {"mkdir", 15},
    [OP_RMDIR] = {"rmdir", 8},
    [OP_CHMOD] = {"chmod", 15},
    [OP_TIMES] = {"times", 10},
    [OP_STAT] = {"stat", 50},
    [OP_FSTAT] = {"fstat", 30},
    [OP_LIST] = {"list", 20},
    [OP_CHECK] = {"check", 0},
    [OP_RUN] = {"run", 0},
};

const char *op_name(unsigned index)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
        static const char *const names[OP_NAMES] = {
            "a.txt", "\xff\xfe raw", NULL, "-b\nc", ".hidden~", "Dir", "dir", "d\xc3\xbc r",
        };
        static char longest[256];

        assert(index < OP_NAMES);
        if (names[index] != NULL)
                return names[index];
        for (size_t i = 0; longest[0] == '\0' || i < 255; i++)
                longest[i] = letters[i % 26];
        return longest;
}

unsigned op_mode(unsigned index)
{
        static const unsigned modes[] = {0644, 0755, 0600, 0444, 0700, 0664, 0644, 0644};

        return modes[index % (sizeof(modes) / sizeof(modes[0]))];
}

uint64_t op_mix(uint64_t a, uint64_t b)
{
        uint64_t x = a * 0x9e3779b97f4a7c15 + b * 0xd1342543de82ef95 + 0x632be59bd9b4e019;

        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
}

/* --- drawing --- */

struct dice {
        uint64_t seed, number, rolls;
};

static uint64_t roll(struct dice *dice, uint64_t below)
{
        return op_mix(op_mix(dice->seed, dice->number), dice->rolls++) % below;
}

/* The last three names are directories' most of the time, the others files'. */
static struct op_path path_of(struct dice *dice, bool directory)
{
        struct op_path path = {1 + (unsigned)(roll(dice, 10) > 5) + (unsigned)(roll(dice, 10) > 7),
                               {0}};
        bool odd = roll(dice, 12) == 0;

        for (unsigned i = 0; i + 1 < path.depth; i++)
                path.name[i] = (unsigned char)(5 + roll(dice, 3));
        path.name[path.depth - 1] = (unsigned char)(odd         ? roll(dice, 8)
                                                    : directory ? 5 + roll(dice, 3)
                                                                : roll(dice, 5));
        return path;
}

/* Small, around 64 KiB (where content moves to a file of its own) and seldom around 4 MiB (where a content is stored in
 * chunks); now and then at a page or block boundary. */
static uint64_t place_of(struct dice *dice)
{
        uint64_t r = roll(dice, 100);
        uint64_t limit = r < 40 ? 10 * KIB : r < 70 ? 70 * KIB : r < 98 ? 300 * KIB : 5 * MIB;
        uint64_t at = roll(dice, limit);

        switch (roll(dice, 6)) {
        case 0:
                return at & ~4095ull;
        case 1:
                return (at & ~4095ull) + 4095;
        default:
                return at;
        }
}

static uint64_t length_of(struct dice *dice)
{
        uint64_t r = roll(dice, 100);

        return 1 + roll(dice, r < 40 ? 300 : r < 75 ? 9000 : r < 97 ? 70000 : 400000);
}

static unsigned opening_of(struct dice *dice)
{
        unsigned how = (unsigned)roll(dice, 8) * OPEN_MODE;

        if (roll(dice, 5) != 0)
                how |= OPEN_CREATE;
        if (roll(dice, 6) == 0)
                how |= OPEN_EXCLUSIVE | OPEN_CREATE;
        if (roll(dice, 8) == 0)
                how |= OPEN_TRUNCATE;
        if (roll(dice, 6) == 0)
                how |= OPEN_APPEND;
        if (roll(dice, 8) == 0) /* NFS' client refuses the two together */
                how = (how & ~(unsigned)OPEN_APPEND) | OPEN_DIRECT;
        if (roll(dice, 16) == 0)
                how |= OPEN_SYNC;
        if (roll(dice, 8) == 0)
                how = OPEN_READ_ONLY | (how & OPEN_DIRECT);
        return how;
}

static unsigned allocation_of(struct dice *dice)
{
        static const unsigned ways[] = {0, FALLOC_FL_KEEP_SIZE,
                                        FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
                                        FALLOC_FL_ZERO_RANGE};

        return ways[roll(dice, 4)];
}

static enum op_kind kind_of(struct dice *dice)
{
        unsigned sum = 0;
        uint64_t at;

        for (int i = 0; i < OP_KINDS; i++)
                sum += kinds[i].weight;
        at = roll(dice, sum);
        for (int i = 0; i < OP_KINDS; i++) {
                if (at < kinds[i].weight)
                        return (enum op_kind)i;
                at -= kinds[i].weight;
        }
        return OP_STAT;
}

static void draw_paths(struct dice *dice, struct op *op)
{
        bool directory = roll(dice, 5) == 0;

        switch (op->kind) {
        case OP_MKDIR:
        case OP_RMDIR:
                op->a = path_of(dice, true);
                break;
        case OP_RENAME:
                op->a = path_of(dice, directory);
                op->b = path_of(dice, directory);
                break;
        case OP_LINK:
                op->a = path_of(dice, false);
                op->b = path_of(dice, false);
                break;
        case OP_LIST:
                op->a = path_of(dice, true);
                if (roll(dice, 3) == 0)
                        op->a.depth = 0;
                break;
        case OP_TRUNCATE:
        case OP_UNLINK:
        case OP_OPEN:
        case OP_SYMLINK:
        case OP_READLINK:
                op->a = path_of(dice, false);
                break;
        case OP_STAT:
        case OP_CHMOD:
        case OP_TIMES:
                op->a = path_of(dice, directory);
                break;
        default:
                break;
        }
}

static void draw_numbers(struct dice *dice, struct op *op)
{
        switch (op->kind) {
        case OP_OPEN:
                op->how = opening_of(dice);
                break;
        case OP_READ:
        case OP_WRITE:
        case OP_MAP_READ:
        case OP_MAP_WRITE:
                op->offset = place_of(dice);
                op->size = length_of(dice);
                op->how = (unsigned)roll(dice, 2);
                break;
        case OP_COPY:
                op->fd2 = (unsigned)roll(dice, OP_FDS);
                op->offset = place_of(dice);
                op->offset2 = place_of(dice);
                op->size = length_of(dice);
                break;
        case OP_TRUNCATE:
        case OP_FTRUNCATE:
                op->size = roll(dice, 5) == 0 ? 0 : place_of(dice);
                break;
        case OP_ALLOCATE:
                op->offset = place_of(dice);
                op->size = length_of(dice);
                op->how = allocation_of(dice);
                break;
        case OP_SYNC:
                op->how = (unsigned)roll(dice, 2);
                break;
        case OP_CHMOD:
                op->size = op_mode((unsigned)roll(dice, 8));
                break;
        case OP_TIMES:
                op->size = roll(dice, 1ull << 31);
                op->offset = roll(dice, 1000000000);
                break;
        default:
                break;
        }
}

struct op op_draw(uint64_t seed, uint32_t number, uint32_t run_every)
{
        struct dice dice = {seed, number, 0};
        struct op op = {.kind = kind_of(&dice), .tag = number};

        if (run_every != 0 && number % run_every == 0)
                return (struct op){.kind = OP_RUN, .how = number / run_every - 1, .tag = number};
        op.fd = (unsigned)roll(&dice, OP_FDS);
        draw_paths(&dice, &op);
        draw_numbers(&dice, &op);
        return op;
}

/* --- text: KIND A B FD FD2 HOW OFFSET OFFSET2 SIZE TAG; a path is "5/6/0", and "." without names --- */

static void format_path(const struct op_path *path, char out[2 * OP_DEPTH_MAX + 1])
{
        strcpy(out, ".");
        for (unsigned i = 0; i < path->depth; i++) {
                out[2 * i] = (char)('0' + path->name[i]);
                out[2 * i + 1] = i + 1 < path->depth ? '/' : '\0';
        }
}

static bool parse_path(const char *text, struct op_path *path)
{
        size_t length = strlen(text);

        *path = (struct op_path){0};
        if (strcmp(text, ".") == 0)
                return true;
        if (length % 2 == 0 || length / 2 >= OP_DEPTH_MAX)
                return false;
        for (size_t i = 0; i < length; i++) {
                if (i % 2 == 1 ? text[i] != '/' : text[i] < '0' || text[i] >= '0' + OP_NAMES)
                        return false;
                if (i % 2 == 0)
                        path->name[path->depth++] = (unsigned char)(text[i] - '0');
        }
        return true;
}

void op_format(const struct op *op, char out[OP_LINE_MAX])
{
        char a[2 * OP_DEPTH_MAX + 1], b[2 * OP_DEPTH_MAX + 1];

        format_path(&op->a, a);
        format_path(&op->b, b);
        snprintf(out, OP_LINE_MAX, "%s %s %s %u %u %u %llu %llu %llu %u", kinds[op->kind].name, a,
                 b, op->fd, op->fd2, op->how, (unsigned long long)op->offset,
                 (unsigned long long)op->offset2, (unsigned long long)op->size, op->tag);
}

bool op_parse(const char *line, struct op *op)
{
        char kind[16], a[8], b[8];
        unsigned long long offset, offset2, size;

        *op = (struct op){.kind = OP_KINDS};
        if (sscanf(line, "%15s %7s %7s %u %u %u %llu %llu %llu %u", kind, a, b, &op->fd, &op->fd2,
                   &op->how, &offset, &offset2, &size, &op->tag) != 10)
                return false;
        for (int i = 0; i < OP_KINDS; i++)
                if (strcmp(kind, kinds[i].name) == 0)
                        op->kind = (enum op_kind)i;
        op->offset = offset;
        op->offset2 = offset2;
        op->size = size;
        return op->kind != OP_KINDS && op->fd < OP_FDS && op->fd2 < OP_FDS &&
               parse_path(a, &op->a) && parse_path(b, &op->b);
}
