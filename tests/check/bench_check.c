/* bench_check [LANDINGS] [SLOTS]: what a check costs. A project in memory with a tree of 20,000 files,
 * LANDINGS (5,000) that change one file each, and then SLOTS (0) more that change nothing: so time
 * is this program's alone, and requests are what a store far away would have to answer. */
#include "check/check.h"
#include "tests/land/synth.h"
#include "tests/land/tland.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>

#define FILES_A_LANDING (TSESSION_CHANGES - 1)
#define FILES           20000u

static void ignore(struct check_hooks *hooks, const struct check_finding *finding)
{
        if (finding->severity >= CHECK_WARNING && finding->kind != CHECK_SESSION_MISSING &&
            finding->kind != CHECK_TAG_WRONG)
                printf("%s %s %s\n", check_kind_info(finding->kind)->name, finding->key,
                       finding->detail);
        (void)hooks;
}

static void fill(struct tproject *tp)
{
        static char names[FILES_A_LANDING][24];

        for (unsigned done = 0; done < FILES;) {
                struct tsession *ts = calloc(1, sizeof(*ts));

                assert_non_null(ts);
                tsession_open(ts, tp, tproject_tail(tp));
                for (unsigned i = 0; i < FILES_A_LANDING && done < FILES; i++, done++) {
                        (void)snprintf(names[i], sizeof(names[i]), "file-%06u", done);
                        tsession_put(ts, names[i], names[i]);
                }
                assert_int_equal(tsession_land(ts), HIF_OK);
                tsession_close(ts);
                free(ts);
        }
}

/* Of this process, whatever else runs. */
static double cpu_seconds(void)
{
        return (double)clock() / CLOCKS_PER_SEC;
}

static void measure(struct tproject *tp, enum check_subset_kind kind)
{
        struct check_options options = {.subset.kind = kind};
        struct check_hooks hooks = {.found = ignore};
        struct check_report report;
        struct hif_why why;
        struct rusage usage;
        double start = cpu_seconds();
        double took;

        assert_int_equal(
            check_run(&tp->env, tp->store, "org/name", &options, &hooks, &report, &why), HIF_OK);
        took = cpu_seconds() - start;
        (void)getrusage(RUSAGE_SELF, &usage);
        printf("%s: %" PRIu64 " slots, %" PRIu64 " nodes, %" PRIu64
               " objects: %.2f s of CPU, %.0f slots/s, "
               "%" PRIu64 " requests (%.2f a slot) in %" PRIu64
               " trips, %.1f MB read, %.0f MiB RSS (the store in it)\n",
               kind == CHECK_SUBSET_NONE ? "without contents" : "with all contents", report.slots,
               report.nodes, report.objects, took, (double)report.slots / took, report.requests,
               (double)report.requests / (double)report.slots, report.trips,
               (double)report.bytes_got / 1e6, (double)usage.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
        uint64_t landings = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000;
        uint64_t slots = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
        static struct tproject tp;
        struct slot_read tail;
        struct hif_why why;
        char name[32];

        tproject_open(&tp, NULL, 0);
        fill(&tp);
        for (uint64_t i = 0; i < landings; i++) {
                (void)snprintf(name, sizeof(name), "file-%06u", (unsigned)(i * 7919 % FILES));
                tproject_land_put(&tp, name, i % 2 ? "odd" : "even");
        }
        if (slots > 0) {
                assert_int_equal(project_tail(&tp.project, 0, &tail, &why), HIF_OK);
                assert_int_equal(
                    synth_append(&tp.project, &tail, tail.slot.position + slots, false, &why),
                    HIF_OK);
        }
        measure(&tp, CHECK_SUBSET_NONE);
        measure(&tp, CHECK_SUBSET_ALL);
        tproject_close(&tp);
        return 0;
}
