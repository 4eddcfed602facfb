/* fuzz_journal.c - any bytes as what an interrupted landing has left of its journal, as they are
 * and with checks that match: it opens, takes records, and opens again with those. */
#include "base/simenv.h"
#include "land/internal.h"
#include "tests/core/fuzz_target.h"

#include <fcntl.h>

#define JOURNAL     "/journal"
#define HEADER_SIZE 40u
#define RECORD_SIZE 88u

static const struct session_id session = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void write_file(struct env *env, struct span bytes)
{
        int fd;

        FUZZ_CHECK(env->ops->open(env, JOURNAL, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd) == HIF_OK);
        FUZZ_CHECK(env_write_all(env, fd, bytes.data, bytes.size, 0) == HIF_OK);
        env->ops->close(env, fd);
}

static void open_twice(struct env *env, struct span bytes)
{
        struct project project = {0};
        struct known_set set = {0};
        struct journal journal;
        struct known known = {.kind = KNOWN_BLOB};

        write_file(env, bytes);
        FUZZ_CHECK(journal_open(env, JOURNAL, &project, &session, &set, &journal) == HIF_OK);
        journal_add(&journal, &known);
        FUZZ_CHECK(journal_flush(&journal) == HIF_OK);
        journal_close(&journal);
        known_free(&set);
        set = (struct known_set){0};
        FUZZ_CHECK(journal_open(env, JOURNAL, &project, &session, &set, &journal) == HIF_OK);
        FUZZ_CHECK(known_find(&set, KNOWN_BLOB, &known.hash) != NULL);
        journal_close(&journal);
        known_free(&set);
}

static void seal(uint8_t *bytes, size_t size)
{
        struct sipkey key = {be64_get(session.bytes), be64_get(session.bytes + 8)};

        for (size_t at = HEADER_SIZE; at + RECORD_SIZE <= size; at += RECORD_SIZE)
                be64_put(bytes + at + RECORD_SIZE - 8, siphash(key, bytes + at, RECORD_SIZE - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct simenv *sim;
        AUTO_BUF struct buf sealed = {0};

        if (sim == NULL)
                sim = simenv_new(1);
        open_twice(simenv_env(sim), span_of(data, size));
        buf_put(&sealed, "HIFJ\0\0\0\2", 8);
        buf_put_zero(&sealed, 16);
        buf_put(&sealed, session.bytes, sizeof(session.bytes));
        buf_put(&sealed, data, size);
        seal(sealed.data, sealed.size);
        open_twice(simenv_env(sim), buf_span(&sealed));
        return 0;
}
