/* The stages, one after the other. */
#include "check/internal.h"

static uint64_t content_bytes(const struct check *c)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < c->inventory.capacity; i++) {
                const struct object *object = &c->inventory.items[i];

                if (object->used && (object->kind == OBJECT_PACK || object->kind == OBJECT_BLOB))
                        bytes += object->size;
        }
        return bytes;
}

static enum hif_err run(struct check *c)
{
        bool go_on;
        enum hif_err err = format_check(c, &go_on);

        if (err != HIF_OK || !go_on)
                return err;
        err = inventory_take(c);
        if (err != HIF_OK)
                return err;
        subset_settle(c, content_bytes(c));
        err = history_check(c);
        if (err == HIF_OK)
                err = open_sessions_check(c);
        if (err == HIF_OK)
                err = proposals_check(c);
        if (err == HIF_OK)
                err = contents_check(c);
        if (err == HIF_OK)
                err = derived_check(c);
        if (err == HIF_OK)
                err = leftovers_check(c);
        if (err == HIF_OK && c->options->repair)
                err = repair_all(c);
        return err;
}

static void tell_uncounted(struct check *c)
{
        char detail[96];
        struct check_finding finding = {.kind = CHECK_NOT_CHECKED, .detail = detail};

        if (c->not_checked_count <= NOT_CHECKED_MAX)
                return;
        finding.count = c->not_checked_count - NOT_CHECKED_MAX;
        (void)snprintf(detail, sizeof(detail), "and %llu more, which are not listed",
                       (unsigned long long)finding.count);
        found(c, &finding);
}

static void check_free(struct check *c)
{
        nodes_free(c->nodes);
        body_codec_free(c->codec);
        free(c->inventory.items);
        free(c->ranges);
        free(c->broken);
        map_free(&c->broken_map);
        arena_free(&c->broken_arena);
        buf_free(&c->damaged_bytes);
        map_free(&c->sessions);
        map_free(&c->landings);
        map_free(&c->refused);
        map_free(&c->locations);
        map_free(&c->wrong_locations);
        free(c->others);
        free(c->due);
        free(c->open_sessions.items);
        free(c->proposals.items);
        free(c);
}

enum hif_err check_run(struct env *env, struct store *store, const char *name,
                       const struct check_options *options, struct check_hooks *hooks,
                       struct check_report *report, struct hif_why *why)
{
        struct check *c = calloc(1, sizeof(*c));
        enum hif_err err;

        *report = (struct check_report){0};
        if (!c)
                return why_set(why, HIF_ENOMEM, "out of memory");
        c->project = (struct project){.env = env, .store = store};
        c->env = env;
        c->options = options;
        c->subset = options->subset;
        c->hooks = hooks;
        c->report = report;
        c->why = why;
        err = layout_init(&c->project.layout, name, why);
        if (err == HIF_OK) {
                c->codec = body_codec_new(3);
                err = c->codec ? nodes_new(c, &c->nodes) : HIF_ENOMEM;
        }
        if (err == HIF_OK)
                err = run(c);
        if (err == HIF_OK)
                tell_uncounted(c);
        check_free(c);
        return err == HIF_ENOMEM ? why_set(why, err, "out of memory") : err;
}
