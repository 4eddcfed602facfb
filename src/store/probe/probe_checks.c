/* The checks, each a few requests; what they find is decided by what is in the store afterwards. */
#include "store/probe/probe_impl.h"

/* --- races --- */

struct writer {
        char body[PROBE_BODY_SIZE];
        bool claims; /* it was told that it succeeded */
};

/* Who wrote what is there now: an index, or -1 with the reason. */
static int find_winner(struct probe *probe, const char *key, const struct writer *writers,
                       enum hif_err *err)
{
        struct store_req req = {.op = STORE_GET, .key = key};
        int winner = -1;

        *err = probe_run_one(probe, &req, &probe->get);
        for (int i = 0; *err == HIF_OK && i < PROBE_WRITERS; i++)
                if (span_eq(buf_span(&req.data), span_str(writers[i].body)))
                        winner = i;
        store_req_free(&req);
        return winner;
}

static void judge_race(struct probe *probe, enum probe_check check, const char *key,
                       const struct writer *writers, enum hif_err failure)
{
        unsigned claims = 0;
        enum hif_err err;
        int winner = find_winner(probe, key, writers, &err);

        for (int i = 0; i < PROBE_WRITERS; i++)
                claims += writers[i].claims;
        if (claims > 1)
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK,
                          "%u of %d simultaneous writers were told that they succeeded", claims,
                          PROBE_WRITERS);
        else if (claims == 0 && failure != HIF_OK)
                probe_bad(probe, check, PROBE_FAILED, failure, "%s", hif_strerror(failure));
        else if (err != HIF_OK && err != HIF_ENOENT)
                probe_bad(probe, check, PROBE_FAILED, err, "reading back: %s", hif_strerror(err));
        else if (winner < 0)
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK,
                          "after %d simultaneous writes none of them is there", PROBE_WRITERS);
        else if (claims == 1 && !writers[winner].claims)
                probe_bad(
                    probe, check, PROBE_BROKEN, HIF_OK,
                    "one writer was told that it succeeded, and the bytes of another are there");
        else
                probe_good(probe, check);
}

/* Simultaneous writes under one key; tag: what they replace, NULL: nothing. */
static void race(struct probe *probe, enum probe_check check, const char *key,
                 const struct store_tag *tag)
{
        struct writer writers[PROBE_WRITERS] = {0};
        struct store_req reqs[PROBE_WRITERS] = {0};
        enum hif_err failure = HIF_OK;

        for (size_t i = 0; i < PROBE_WRITERS; i++) {
                reqs[i] = (struct store_req){.op = tag ? STORE_PUT_MATCH : STORE_PUT_NEW,
                                             .key = key,
                                             .body = probe_new_body(probe, writers[i].body)};
                if (tag)
                        reqs[i].match = *tag;
        }
        probe_run(probe, reqs, PROBE_WRITERS);
        for (size_t i = 0; i < PROBE_WRITERS; i++) {
                writers[i].claims = reqs[i].result == HIF_OK;
                if (reqs[i].result != HIF_OK && reqs[i].result != HIF_ELOST)
                        failure = reqs[i].result;
        }
        judge_race(probe, check, key, writers, failure);
}

static void check_create_race(struct probe *probe)
{
        for (int i = 0; i < PROBE_ROUNDS; i++)
                race(probe, PROBE_CREATE_RACE, probe_new_key(probe, "create-race"), NULL);
}

static void check_match_race(struct probe *probe)
{
        for (int i = 0; i < PROBE_ROUNDS; i++) {
                const char *key = probe_new_key(probe, "match-race");
                char body[PROBE_BODY_SIZE];
                struct store_tag tag;
                enum hif_err err =
                    probe_put_alone(probe, STORE_PUT_NEW, key, probe_new_body(probe, body), &tag);

                if (err == HIF_OK)
                        race(probe, PROBE_MATCH_RACE, key, &tag);
                else
                        probe_bad(probe, PROBE_MATCH_RACE, PROBE_FAILED, err, "%s",
                                  hif_strerror(err));
        }
}

/* --- one writer --- */

/* A write that has to fail, and to leave `there` (empty: nothing). */
static void must_fail(struct probe *probe, enum probe_check check, enum hif_err err,
                      const char *key, struct span there)
{
        enum hif_err seen = probe_look(probe, key, there);

        if (err == HIF_OK)
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK, "the store says that it succeeded");
        else if (err != HIF_ELOST && err != HIF_ENOENT)
                probe_bad(probe, check, PROBE_FAILED, err, "%s", hif_strerror(err));
        else if (seen == HIF_ELOST || (seen == HIF_ENOENT) != (there.size == 0))
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK,
                          "the store says that it failed, and yet it took effect");
        else if (seen != HIF_OK && seen != HIF_ENOENT)
                probe_bad(probe, check, PROBE_FAILED, seen, "reading back: %s", hif_strerror(seen));
        else
                probe_good(probe, check);
}

static void must_work(struct probe *probe, enum probe_check check, enum hif_err err,
                      const char *key, struct span there)
{
        enum hif_err seen = err == HIF_OK ? probe_look(probe, key, there) : HIF_OK;

        if (err == HIF_ELOST || err == HIF_ENOENT)
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK, "the store refuses it");
        else if (err != HIF_OK)
                probe_bad(probe, check, PROBE_FAILED, err, "%s", hif_strerror(err));
        else if (seen == HIF_ELOST || seen == HIF_ENOENT)
                probe_bad(probe, check, PROBE_BROKEN, HIF_OK, "reading back gives %s",
                          seen == HIF_ENOENT ? "nothing" : "other bytes");
        else if (seen != HIF_OK)
                probe_bad(probe, check, PROBE_FAILED, seen, "reading back: %s", hif_strerror(seen));
        else
                probe_good(probe, check);
}

/* A tag that looks like this one, and is none. */
static struct store_tag foreign_tag(struct store_tag tag)
{
        for (char *c = tag.text; *c; c++)
                if (*c >= '0' && *c <= '9')
                        *c = (char)('0' + ('9' - *c));
                else if (*c >= 'a' && *c <= 'f')
                        *c = (char)('a' + ('f' - *c));
        return tag;
}

/* An object to try a condition on: another for each, so that one broken promise does not look like
 * several. False when it could not be made, which PROBE_READ has told. */
static bool make_object(struct probe *probe, const char *name, char body[PROBE_BODY_SIZE],
                        const char **key, struct store_tag *tag)
{
        struct span bytes = probe_new_body(probe, body);
        enum hif_err err;

        *key = probe_new_key(probe, name);
        err = probe_put_alone(probe, STORE_PUT_NEW, *key, bytes, tag);
        must_work(probe, PROBE_READ, err, *key, bytes);
        return err == HIF_OK;
}

static void check_existing(struct probe *probe)
{
        char body[PROBE_BODY_SIZE], other[PROBE_BODY_SIZE];
        struct store_tag tag = {0};
        const char *key;
        enum hif_err err;

        if (!make_object(probe, "existing", body, &key, &tag))
                return;
        err = probe_put(probe, STORE_PUT_NEW, key, probe_new_body(probe, other), NULL);
        must_fail(probe, PROBE_CREATE_EXISTING, err, key, span_str(body));
}

static void check_match(struct probe *probe)
{
        char body[PROBE_BODY_SIZE], second[PROBE_BODY_SIZE], other[PROBE_BODY_SIZE];
        struct store_tag old = {0}, now;
        const char *key;
        enum hif_err err;

        if (!make_object(probe, "match", body, &key, &old))
                return;
        now = old;
        err = probe_put_alone(probe, STORE_PUT_MATCH, key, probe_new_body(probe, second), &now);
        must_work(probe, PROBE_MATCH_RIGHT, err, key, span_str(second));
        if (err != HIF_OK)
                return;
        err = probe_put(probe, STORE_PUT_MATCH, key, probe_new_body(probe, other), &old);
        must_fail(probe, PROBE_MATCH_STALE, err, key, span_str(second));
}

static void check_foreign(struct probe *probe)
{
        char body[PROBE_BODY_SIZE], other[PROBE_BODY_SIZE];
        const char *key, *absent = probe_new_key(probe, "absent");
        struct store_tag tag = {0}, foreign;
        enum hif_err err;

        if (!make_object(probe, "foreign", body, &key, &tag))
                return;
        foreign = foreign_tag(tag);
        err = probe_put(probe, STORE_PUT_MATCH, key, probe_new_body(probe, other), &foreign);
        must_fail(probe, PROBE_MATCH_FOREIGN, err, key, span_str(body));
        err = probe_put(probe, STORE_PUT_MATCH, absent, probe_new_body(probe, other), &tag);
        must_fail(probe, PROBE_MATCH_ABSENT, err, absent, span_of(NULL, 0));
}

static void check_head(struct probe *probe, const char *key, uint64_t size,
                       const struct store_tag *tag)
{
        struct store_req req = {.op = STORE_HEAD, .key = key};
        enum hif_err err = probe_run_one(probe, &req, &probe->get);

        if (err != HIF_OK && err != HIF_ENOENT)
                probe_bad(probe, PROBE_READ, PROBE_FAILED, err, "%s", hif_strerror(err));
        else if (err == HIF_ENOENT || req.size != size || strcmp(req.tag.text, tag->text) != 0)
                probe_bad(probe, PROBE_READ, PROBE_BROKEN, HIF_OK,
                          "right after writing, the object's %s told otherwise",
                          err == HIF_ENOENT ? "existence is" : "size or tag is");
        else
                probe_good(probe, PROBE_READ);
        store_req_free(&req);
}

static void check_range(struct probe *probe, const char *key, struct span body)
{
        struct store_req req = {.op = STORE_GET, .key = key, .range_start = 3, .range_size = 7};
        enum hif_err err = probe_run_one(probe, &req, &probe->get);

        if (err != HIF_OK)
                probe_bad(probe, PROBE_RANGE, PROBE_FAILED, err, "%s", hif_strerror(err));
        else if (req.size != body.size || !span_eq(buf_span(&req.data), span_of(body.data + 3, 7)))
                probe_bad(probe, PROBE_RANGE, PROBE_BROKEN, HIF_OK, "other bytes, or another size");
        else
                probe_good(probe, PROBE_RANGE);
        store_req_free(&req);
}

static void check_list(struct probe *probe, const char *key, uint64_t size)
{
        struct store_req req = {.op = STORE_LIST, .prefix = key};
        enum hif_err err = probe_run_one(probe, &req, &probe->list);

        if (err != HIF_OK)
                probe_bad(probe, PROBE_LIST, PROBE_FAILED, err, "%s", hif_strerror(err));
        else if (req.list.count != 1 || strcmp(req.list.items[0].key, key) != 0 ||
                 req.list.items[0].size != size)
                probe_bad(probe, PROBE_LIST, PROBE_BROKEN, HIF_OK,
                          "right after writing, %zu objects are listed instead of that one",
                          req.list.count);
        else
                probe_good(probe, PROBE_LIST);
        store_req_free(&req);
}

static void check_reading(struct probe *probe)
{
        char text[PROBE_BODY_SIZE];
        struct store_tag tag = {0};
        struct span body;
        const char *key;

        if (!make_object(probe, "reading", text, &key, &tag))
                return;
        body = span_str(text);
        check_head(probe, key, body.size, &tag);
        check_range(probe, key, body);
        check_list(probe, key, body.size);
}

/* Also cleans up: whatever may be there goes. */
static void check_delete(struct probe *probe)
{
        for (size_t i = 0; i < probe->key_count; i++) {
                struct store_req req = {.op = STORE_DELETE, .key = probe->keys[i]};
                enum hif_err err = probe_run_one(probe, &req, &probe->remove), seen;

                if (err != HIF_OK) {
                        probe_bad(probe, PROBE_DELETE, PROBE_FAILED, err, "%s", hif_strerror(err));
                        continue;
                }
                if (i > 0)
                        continue;
                seen = probe_look(probe, probe->keys[i], span_of(NULL, 0));
                if (seen == HIF_OK || seen == HIF_ELOST)
                        probe_bad(probe, PROBE_DELETE, PROBE_BROKEN, HIF_OK, "it is there still");
                else if (seen != HIF_ENOENT)
                        probe_bad(probe, PROBE_DELETE, PROBE_FAILED, seen, "reading back: %s",
                                  hif_strerror(seen));
        }
        probe_good(probe, PROBE_DELETE);
}

/* A first write that certainly had no effect: nothing more can be learnt, and nothing is there. */
static bool cannot_write(const struct probe *probe)
{
        const struct probe_finding *first = &probe->report->findings[PROBE_READ];

        return first->state == PROBE_FAILED &&
               (first->err == HIF_EDENIED || first->err == HIF_EROFS ||
                first->err == HIF_EUNREACHABLE);
}

/* Of one that says nothing, a write would leave open whether it had an effect. */
static bool answers(struct probe *probe)
{
        struct store_req req = {.op = STORE_GET, .key = PROBE_PREFIX "answers"};
        enum hif_err err = probe_run_one(probe, &req, &(struct probe_times){0});

        store_req_free(&req);
        if (err == HIF_EUNREACHABLE)
                probe_bad(probe, PROBE_READ, PROBE_FAILED, err, "%s", hif_strerror(err));
        return err != HIF_EUNREACHABLE;
}

void probe_check_all(struct probe *probe)
{
        if (!answers(probe))
                return;
        check_reading(probe);
        if (cannot_write(probe))
                return;
        if (probe->report->findings[PROBE_READ].state != PROBE_FAILED) {
                check_existing(probe);
                check_match(probe);
                check_foreign(probe);
                check_create_race(probe);
                check_match_race(probe);
        }
        check_delete(probe);
}
