/* The probe: stores that keep their promises pass, those that do not are found out. */
#include "tstore.h"

#include "store/probe/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a store that lies --- */

enum lie {
        HONEST,
        IGNORES_NEW,    /* creates over what is there */
        IGNORES_MATCH,  /* replaces whatever is there */
        IGNORES_ABSENT, /* "replaces" what is not there */
        ONLY_FIRST,     /* compares the tag's first byte alone */
        NOT_ATOMIC,     /* looks first, and writes then */
        CLAIMS_NEW,     /* creates once, and tells everyone that they did */
        SWALLOWS,       /* tells success, and does nothing */
        REFUSES_RIGHT,  /* replaces nothing, ever */
        NO_RANGE,       /* the start of the object, whichever part is asked for */
        NO_LIST,        /* an empty listing */
        NO_DELETE,      /* tells success, and deletes nothing */
        WRONG_SIZE,     /* HEAD tells another size */
};

struct liar {
        struct store store;
        struct store *inner;
        enum lie lie;
};

static void forward(struct liar *liar, struct store_req *req, enum store_op op,
                    struct store_tag match)
{
        struct store_req inner = {.op = op,
                                  .key = req->key,
                                  .prefix = req->prefix,
                                  .list_max = req->list_max,
                                  .range_start = req->range_start,
                                  .range_size = req->range_size,
                                  .body = req->body,
                                  .match = match};

        if (liar->lie == NO_RANGE)
                inner.range_start = 0;
        store_run(liar->inner, &inner, 1);
        req->data = inner.data;
        req->list = inner.list;
        req->size = inner.size;
        req->tag = inner.tag;
        if (liar->lie == NO_LIST)
                store_list_free(&req->list);
        if (liar->lie == WRONG_SIZE && op == STORE_HEAD)
                req->size++;
        store_done(&liar->store, req, inner.result);
}

/* As if it had worked. */
static void pretend(struct liar *liar, struct store_req *req)
{
        if (req->op != STORE_DELETE)
                snprintf(req->tag.text, sizeof(req->tag.text), "1");
        store_done(&liar->store, req, HIF_OK);
}

static void liar_submit(struct store *store, struct store_req *req)
{
        struct liar *liar = (struct liar *)store;
        bool new = req->op == STORE_PUT_NEW, match = req->op == STORE_PUT_MATCH;
        struct store_tag tag = {0};
        bool there = t_head(liar->inner, req->key ? req->key : "x", NULL, &tag) == HIF_OK;

        switch (liar->lie) {
        case IGNORES_NEW:
                forward(liar, req, new ? STORE_PUT : req->op, req->match);
                return;
        case IGNORES_MATCH:
                forward(liar, req, match && there ? STORE_PUT : req->op, req->match);
                return;
        case IGNORES_ABSENT:
                forward(liar, req, match && !there ? STORE_PUT : req->op, req->match);
                return;
        case ONLY_FIRST:
                forward(liar, req, req->op,
                        match && tag.text[0] == req->match.text[0] ? tag : req->match);
                return;
        case CLAIMS_NEW:
                if (new &&there)
                        pretend(liar, req);
                else
                        forward(liar, req, req->op, req->match);
                return;
        case SWALLOWS:
                if (new || match)
                        pretend(liar, req);
                else
                        forward(liar, req, req->op, req->match);
                return;
        case REFUSES_RIGHT:
                if (match)
                        store_done(store, req, HIF_ELOST);
                else
                        forward(liar, req, req->op, req->match);
                return;
        case NO_DELETE:
                if (req->op == STORE_DELETE)
                        pretend(liar, req);
                else
                        forward(liar, req, req->op, req->match);
                return;
        default:
                forward(liar, req, req->op, req->match);
        }
}

/* All of them look, then all of them write. */
static void liar_batch(struct store *store, struct store_req *reqs, size_t count)
{
        struct liar *liar = (struct liar *)store;
        bool *there = calloc(count, sizeof(*there));

        for (size_t i = 0; i < count; i++)
                there[i] = liar->lie == NOT_ATOMIC && reqs[i].op == STORE_PUT_NEW &&
                           t_head(liar->inner, reqs[i].key, NULL, NULL) == HIF_OK;
        for (size_t i = 0; i < count; i++) {
                if (liar->lie != NOT_ATOMIC || reqs[i].op != STORE_PUT_NEW)
                        liar_submit(store, &reqs[i]);
                else if (there[i])
                        store_done(store, &reqs[i], HIF_ELOST);
                else
                        forward(liar, &reqs[i], STORE_PUT, reqs[i].match);
        }
        free(there);
}

static void liar_close(struct store *store)
{
        free(store);
}

static const char *liar_url(struct store *store)
{
        (void)store;
        return "liar://here";
}

/* --- the fixture --- */

struct fixture {
        struct env env;
        struct store *mem, *faults;
        struct liar *liar;
        struct probe_report report;
        struct hif_why why;
};

static int setup(void **state)
{
        static const struct store_ops ops = {.submit = liar_submit,
                                             .submit_batch = liar_batch,
                                             .close = liar_close,
                                             .url = liar_url};
        struct fixture *f = calloc(1, sizeof(*f));

        f->env = env_system(NULL);
        assert_int_equal(store_mem_new(&f->env, &f->mem), HIF_OK);
        assert_int_equal(store_fault_new(&f->env, f->mem, &f->faults), HIF_OK);
        f->liar = calloc(1, sizeof(*f->liar));
        store_init(&f->liar->store, &ops, &f->env);
        f->liar->inner = f->mem;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        store_close(&f->liar->store);
        store_close(f->faults);
        store_close(f->mem);
        free(f);
        return 0;
}

static enum hif_err probe(struct fixture *f, struct store *store)
{
        f->why = (struct hif_why){0};
        return store_probe(store, &f->report, &f->why);
}

static void fault(struct fixture *f, int op, const char *key, uint64_t skip, uint64_t count,
                  enum store_fault what, enum hif_err err)
{
        struct store_fault_rule rule = {
            .op = op, .key_contains = key, .skip = skip, .count = count, .fault = what, .err = err};

        assert_int_equal(store_fault_add(f->faults, &rule), HIF_OK);
}

static void expect_all_good(struct fixture *f)
{
        for (int i = 0; i < PROBE_CHECKS; i++)
                if (f->report.findings[i].state != PROBE_GOOD)
                        fail_msg("%s is %s: %s", probe_check_name((enum probe_check)i),
                                 probe_state_name(f->report.findings[i].state),
                                 f->report.findings[i].text);
}

/* Exactly these are broken, the rest is good. */
static void expect_broken(struct fixture *f, enum lie lie, unsigned broken)
{
        f->liar->lie = lie;
        assert_int_equal(probe(f, &f->liar->store), HIF_ENOTSUP);
        for (int i = 0; i < PROBE_CHECKS; i++) {
                enum probe_state want = broken >> i & 1 ? PROBE_BROKEN : PROBE_GOOD;

                if (f->report.findings[i].state != want)
                        fail_msg("lie %d: %s is %s: %s", lie, probe_check_name((enum probe_check)i),
                                 probe_state_name(f->report.findings[i].state),
                                 f->report.findings[i].text);
        }
}

/* --- honest stores --- */

/* It passes, says how long requests took, and leaves nothing behind. */
static void good_store_passes(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(probe(f, f->mem), HIF_OK);
        expect_all_good(f);
        assert_int_equal(store_mem_count(f->mem), 0);
        assert_true(f->report.put_ns > 0 && f->report.get_ns > 0 && f->report.list_ns > 0 &&
                    f->report.delete_ns > 0);
        assert_true(f->report.requests > 2 * PROBE_ROUNDS * PROBE_WRITERS);
        assert_string_equal(f->why.text, "");
}

static void good_directory_passes(void **state)
{
        struct fixture *f = *state;
        char *dir = t_temp_dir();
        struct store *store;

        assert_int_equal(store_dir_open(&f->env, dir, true, 4, &store, NULL), HIF_OK);
        assert_int_equal(probe(f, store), HIF_OK);
        expect_all_good(f);
        t_expect_list(store, "", NULL, 0, "");
        store_close(store);
        t_remove_tree(dir);
}

/* Answers that are lost, and success that is told as a lost race, are what networks do. */
static void lost_answers_are_no_lies(void **state)
{
        struct fixture *f = *state;

        fault(f, STORE_PUT_NEW, NULL, 2, 4, STORE_FAULT_LOST, HIF_OK);
        fault(f, STORE_PUT_NEW, "race", 1, 12, STORE_FAULT_LOST, HIF_OK);
        fault(f, STORE_PUT_MATCH, NULL, 0, 5, STORE_FAULT_LOST, HIF_OK);
        assert_int_equal(probe(f, f->faults), HIF_OK);
        expect_all_good(f);
        store_fault_clear(f->faults);
        fault(f, STORE_PUT_NEW, NULL, 0, 100, STORE_FAULT_FALSE_LOST, HIF_OK);
        fault(f, STORE_PUT_MATCH, NULL, 0, 100, STORE_FAULT_FALSE_LOST, HIF_OK);
        assert_int_equal(probe(f, f->faults), HIF_OK);
        expect_all_good(f);
}

/* Errors that pass are waited out. */
static void passing_errors_are_repeated(void **state)
{
        struct fixture *f = *state;

        fault(f, STORE_PUT_NEW, "race", 3, 1, STORE_FAULT_FAIL, HIF_EIO);
        fault(f, STORE_GET, NULL, 0, 1, STORE_FAULT_FAIL, HIF_EIO);
        assert_int_equal(probe(f, f->faults), HIF_OK);
        expect_all_good(f);
}

/* --- what cannot be told --- */

/* Credentials that cannot write: that is said, and nothing about the store. */
static void denied_is_not_broken(void **state)
{
        struct fixture *f = *state;

        fault(f, STORE_PUT_NEW, NULL, 0, 1000, STORE_FAULT_FAIL, HIF_EDENIED);
        assert_int_equal(probe(f, f->faults), HIF_EDENIED);
        assert_non_null(strstr(f->why.text, "does not let these credentials write"));
        assert_int_equal(f->report.findings[PROBE_READ].state, PROBE_FAILED);
        assert_int_equal(f->report.findings[PROBE_CREATE_RACE].state, PROBE_NOT_RUN);
}

/* No answer is no approval. */
static void unreachable_is_not_approved(void **state)
{
        struct fixture *f = *state;

        fault(f, -1, NULL, 0, 1000, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(probe(f, f->faults), HIF_EUNREACHABLE);
        assert_non_null(strstr(f->why.text, "does not answer"));
        assert_int_equal(f->report.requests, 1); /* one that says nothing is not asked to write */
        store_fault_clear(f->faults);
        fault(f, STORE_PUT_MATCH, NULL, 0, 1000, STORE_FAULT_FAIL, HIF_EUNREACHABLE);
        assert_int_equal(probe(f, f->faults), HIF_EUNREACHABLE);
        assert_int_equal(f->report.findings[PROBE_CREATE_RACE].state, PROBE_GOOD);
        assert_int_equal(f->report.findings[PROBE_MATCH_RACE].state, PROBE_FAILED);
        assert_int_equal(store_mem_count(f->mem), 0);
}

/* Who may not delete can land all the same. */
static void delete_may_be_denied(void **state)
{
        struct fixture *f = *state;

        fault(f, STORE_DELETE, NULL, 0, 1000, STORE_FAULT_FAIL, HIF_EDENIED);
        assert_int_equal(probe(f, f->faults), HIF_OK);
        assert_int_equal(f->report.findings[PROBE_DELETE].state, PROBE_FAILED);
        assert_int_equal(f->report.findings[PROBE_CREATE_RACE].state, PROBE_GOOD);
}

/* --- lies --- */

#define BIT(check) (1u << PROBE_##check)

static void ignored_create_only_is_found(void **state)
{
        struct fixture *f = *state;

        expect_broken(f, IGNORES_NEW, BIT(CREATE_RACE) | BIT(CREATE_EXISTING));
        assert_non_null(strstr(f->why.text, "the store liar://here ignores conditions"));
        assert_non_null(strstr(f->why.text, "Two landings could take the same position, and one "
                                            "of them would be silently gone"));
        expect_broken(f, CLAIMS_NEW, BIT(CREATE_RACE) | BIT(CREATE_EXISTING));
}

static void ignored_match_is_found(void **state)
{
        struct fixture *f = *state;

        expect_broken(f, IGNORES_MATCH, BIT(MATCH_STALE) | BIT(MATCH_FOREIGN) | BIT(MATCH_RACE));
        expect_broken(f, IGNORES_ABSENT, BIT(MATCH_ABSENT));
        f->liar->lie = REFUSES_RIGHT;
        assert_int_equal(probe(f, &f->liar->store), HIF_ENOTSUP);
        assert_int_equal(f->report.findings[PROBE_MATCH_RIGHT].state, PROBE_BROKEN);
}

/* Each condition is looked at, and yet two get through at the same time. */
static void check_then_act_is_found(void **state)
{
        expect_broken(*state, NOT_ATOMIC, BIT(CREATE_RACE));
}

static void comparing_a_part_of_the_tag_is_found(void **state)
{
        struct fixture *f = *state;

        f->liar->lie = ONLY_FIRST;
        assert_int_equal(probe(f, &f->liar->store), HIF_ENOTSUP);
        assert_int_equal(f->report.findings[PROBE_MATCH_STALE].state, PROBE_BROKEN);
}

static void lost_writes_are_found(void **state)
{
        struct fixture *f = *state;

        f->liar->lie = SWALLOWS;
        assert_int_equal(probe(f, &f->liar->store), HIF_ENOTSUP);
        assert_int_equal(f->report.findings[PROBE_READ].state, PROBE_BROKEN);
}

static void wrong_answers_are_found(void **state)
{
        struct fixture *f = *state;

        expect_broken(f, NO_RANGE, BIT(RANGE));
        expect_broken(f, WRONG_SIZE, BIT(READ));
}

/* What landing does not need is told, and is no reason to refuse. */
static void missing_conveniences_are_told(void **state)
{
        struct fixture *f = *state;

        f->liar->lie = NO_LIST;
        assert_int_equal(probe(f, &f->liar->store), HIF_OK);
        assert_int_equal(f->report.findings[PROBE_LIST].state, PROBE_BROKEN);
        f->liar->lie = NO_DELETE;
        assert_int_equal(probe(f, &f->liar->store), HIF_OK);
        assert_int_equal(f->report.findings[PROBE_DELETE].state, PROBE_BROKEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(good_store_passes),
            TEST(good_directory_passes),
            TEST(lost_answers_are_no_lies),
            TEST(passing_errors_are_repeated),
            TEST(denied_is_not_broken),
            TEST(unreachable_is_not_approved),
            TEST(delete_may_be_denied),
            TEST(ignored_create_only_is_found),
            TEST(ignored_match_is_found),
            TEST(check_then_act_is_found),
            TEST(comparing_a_part_of_the_tag_is_found),
            TEST(lost_writes_are_found),
            TEST(wrong_answers_are_found),
            TEST(missing_conveniences_are_told),
        };

        return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
