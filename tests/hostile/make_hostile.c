/* make_hostile DIR - fill a directory store with projects that no hif would make (evil.h), and print
 * one line for each:
 *
 *      NAME <tab> refused|unseen|found|ignored|served <tab> what an error must name
 */
#include "tests/hostile/evil.h"

#include <stdio.h>
#include <sys/stat.h>

static void make_all(const char *store, const struct kind *kinds)
{
        static const char *const fates[] = {"refused", "unseen", "found", "ignored", "served"};

        for (; kinds->name != NULL; kinds++) {
                struct evil evil;

                evil_begin(&evil, store, kinds->name);
                kinds->make(&evil, kinds);
                printf("%s\t%s\t%.*s\n", kinds->name, fates[kinds->fate], (int)evil.said.size,
                       evil.said.size > 0 ? (const char *)evil.said.data : "");
                evil_end(&evil);
        }
}

int main(int argc, char **argv)
{
        const struct kind *const tables[] = {
            kinds_of_names,  kinds_of_nodes, kinds_of_entries, kinds_of_trees, kinds_of_frames,
            kinds_of_bodies, kinds_of_slots, kinds_of_records, kinds_of_files, kinds_of_oddities,
        };

        if (argc != 2) {
                fprintf(stderr, "usage: %s DIR\n", argv[0]);
                return 2;
        }
        evil_check(mkdir(argv[1], 0755) == 0, argv[1]);
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                make_all(argv[1], tables[i]);
        return 0;
}
