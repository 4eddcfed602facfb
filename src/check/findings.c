/* What can be found, in words. Names are promised: programs look for them. */
#include "check/internal.h"

#include <assert.h>

#define FROM_A_COPY "put it back from a copy of the store: hif fsck --repair --source COPY"

static const struct check_kind_info kinds[CHECK_KIND_COUNT] = {
    [CHECK_FORMAT_MISSING] = {"format-missing", CHECK_FATAL,
                              "the project's format object is not there, so nothing can be read",
                              "put the object back from a copy of the store"},
    [CHECK_FORMAT_DAMAGED] = {"format-damaged", CHECK_FATAL,
                              "the project's format object is changed, so nothing can be read",
                              "put the object back from a copy of the store"},
    [CHECK_FORMAT_UNSUPPORTED] = {"format-unsupported", CHECK_FATAL,
                                  "a newer hif wrote the project in a way that this one cannot "
                                  "read",
                                  "use a newer hif"},
    [CHECK_SLOT_MISSING] = {"slot-missing", CHECK_ERROR,
                            "there are later positions, but not this one: it cannot be mounted or "
                            "shown, and what landed there is known from its neighbours' trees only",
                            FROM_A_COPY},
    [CHECK_SLOT_DAMAGED] = {"slot-damaged", CHECK_ERROR,
                            "the record of a position cannot be read; slots are never replaced. "
                            "What landed there is in the tree of the next position",
                            "read its neighbours; who landed what is lost unless a copy has it"},
    [CHECK_SLOT_UNSUPPORTED] = {"slot-unsupported", CHECK_ERROR,
                                "a newer hif wrote the position in a way that this one cannot read",
                                "use a newer hif"},
    [CHECK_CHAIN_BROKEN] = {"chain-broken", CHECK_ERROR,
                            "a slot names another predecessor than the one that is there: one of "
                            "the two was replaced, or comes from another store",
                            "compare both with a copy of the store"},
    [CHECK_CLOCK_BACKWARDS] = {"clock-backwards", CHECK_WARNING,
                               "a slot's clock is not after that of the slot before; it is for "
                               "display only",
                               "nothing; see to the clocks of the machines that land"},
    [CHECK_LANDING_TWICE] = {"landing-twice", CHECK_ERROR,
                             "two slots have one landing id, which is random",
                             "compare the two with hif log -v"},
    [CHECK_SESSION_TWICE] = {"session-twice", CHECK_ERROR,
                             "one session landed at two positions, where it may at one",
                             "compare the two with hif log -v; what differs may be undone twice"},
    [CHECK_SESSION_REFUSED] = {"session-refused", CHECK_ERROR,
                               "a session landed after a slot had refused it for good: whoever was "
                               "told so has landed the same under another id, perhaps",
                               "compare the two with hif log -v"},
    [CHECK_LIST_MISSING] = {"list-missing", CHECK_ERROR,
                            "a slot's list of paths or objects is not there: histories of paths "
                            "have a hole, and a collector could not tell what is alive",
                            FROM_A_COPY},
    [CHECK_LIST_DAMAGED] = {"list-damaged", CHECK_ERROR,
                            "a slot's list of paths or objects cannot be read, or is not as long "
                            "as the slot says",
                            FROM_A_COPY},
    [CHECK_BLOOM_WRONG] = {"bloom-wrong", CHECK_WARNING,
                           "a slot's filter says no to one of its own paths: histories of that "
                           "path can miss the landing. Conflicts are decided without it",
                           "nothing; slots are never replaced"},
    [CHECK_HEAD_MISSING] = {"head-missing", CHECK_WARNING,
                            "the hint to the newest position is not there; finding it takes longer",
                            "hif fsck --repair writes it"},
    [CHECK_HEAD_BEHIND] = {"head-behind", CHECK_INFO,
                           "the hint to the newest position is older than the newest position; it "
                           "is a hint, and the next landing moves it",
                           "nothing, or hif fsck --repair"},
    [CHECK_HEAD_AHEAD] = {"head-ahead", CHECK_WARNING,
                          "the hint names a position that is not there: either it is false, or the "
                          "newest positions were lost",
                          "if the store was put back from a copy, look for a newer one; "
                          "hif fsck --repair writes the hint anew"},
    [CHECK_HEAD_WRONG] = {"head-wrong", CHECK_WARNING,
                          "the hint to the newest position cannot be read, or does not have the "
                          "tree of the position that it names",
                          "hif fsck --repair writes it anew"},
    [CHECK_SESSION_MISSING] = {"session-missing", CHECK_ERROR,
                               "the record of a session that landed is not there: its goal and "
                               "operations are lost, no file is",
                               FROM_A_COPY},
    [CHECK_SESSION_DAMAGED] = {"session-damaged", CHECK_ERROR,
                               "the record of a session that landed is changed: its goal and "
                               "operations are lost, no file is",
                               FROM_A_COPY},
    [CHECK_OPEN_SESSION_DAMAGED] = {"open-session-damaged", CHECK_ERROR,
                                    "what is known of an open session is changed, or stands on a "
                                    "position that is not there: it cannot be continued on another "
                                    "machine. Where it is mounted it is whole",
                                    "publish it again where it is mounted, or abandon it"},
    [CHECK_NODE_MISSING] = {"tree-node-missing", CHECK_ERROR,
                            "a piece of a tree is not there: the paths in it cannot be read at "
                            "these positions",
                            FROM_A_COPY},
    [CHECK_NODE_DAMAGED] = {"tree-node-damaged", CHECK_ERROR,
                            "a piece of a tree is changed: the paths in it cannot be read at these "
                            "positions",
                            FROM_A_COPY},
    [CHECK_TREE_WRONG] = {"tree-wrong", CHECK_ERROR,
                          "a piece of a tree is what its name says, but breaks a rule of trees: it "
                          "was written so",
                          "a bug, or someone else's program: please report it with this line"},
    [CHECK_ENTRIES_WRONG] = {"entries-wrong", CHECK_ERROR,
                             "a slot says that its tree has another number of entries than it has",
                             "a bug, or someone else's program: please report it with this line"},
    [CHECK_PATH_UNLISTED] =
        {"path-unlisted", CHECK_WARNING,
         "a landing changed paths that its slot does not list: hif log --path "
         "does not find it. Conflicts are decided by the trees, which are right",
         "nothing; slots are never replaced"},
    [CHECK_TAG_WRONG] = {"tag-wrong", CHECK_WARNING,
                         "a changed entry does not carry the tag of the landing that changed it: "
                         "conflicts and histories name the wrong landing, or none",
                         "nothing; landing the path again heals it"},
    [CHECK_OBJECT_UNLISTED] =
        {"object-unlisted", CHECK_ERROR,
         "a tree has objects that no slot up to it lists: a garbage collector "
         "would take them away, and with them the contents",
         "do not collect garbage; please report it with this line"},
    [CHECK_OBJECT_SURPLUS] = {"object-surplus", CHECK_INFO,
                              "slots list objects that are not new at their position; that does no "
                              "harm",
                              "nothing"},
    [CHECK_PACK_MISSING] = {"pack-missing", CHECK_ERROR,
                            "a pack is not there: the files in it cannot be read, unless they have "
                            "blobs of their own",
                            "hif fsck --repair, with --source for a copy or the files themselves"},
    [CHECK_PACK_DAMAGED] = {"pack-damaged", CHECK_ERROR,
                            "a pack is changed: files in it cannot be read; others in it may be "
                            "fine",
                            "hif fsck --repair, with --source for a copy or the files themselves"},
    [CHECK_PACK_REPLACED] = {"pack-replaced", CHECK_INFO,
                             "a pack is not there or is changed, but all that trees need of it is "
                             "in blobs of their own: everything can be read",
                             "nothing"},
    [CHECK_LOCATION_WRONG] = {"location-wrong", CHECK_WARNING,
                              "an entry says that its content lies in a pack where it does not; "
                              "the content's own name is asked then",
                              "hif fsck --repair"},
    [CHECK_BLOB_MISSING] = {"blob-missing", CHECK_ERROR,
                            "the content of a file, or of a part of one, is not there: the file "
                            "cannot be read",
                            "hif fsck --repair, with --source for a copy or the files themselves"},
    [CHECK_BLOB_DAMAGED] = {"blob-damaged", CHECK_ERROR,
                            "the content of a file, or of a part of one, is changed: the file "
                            "cannot be read",
                            "hif fsck --repair, with --source for a copy or the files themselves"},
    [CHECK_CHUNKS_MISSING] = {"chunks-missing", CHECK_ERROR,
                              "the list of a large file's chunks is not there: the file cannot be "
                              "read",
                              FROM_A_COPY},
    [CHECK_CHUNKS_DAMAGED] = {"chunks-damaged", CHECK_ERROR,
                              "the list of a large file's chunks is changed: the file cannot be "
                              "read",
                              FROM_A_COPY},
    [CHECK_CHUNKS_WRONG] =
        {"chunks-wrong", CHECK_ERROR,
         "the list of a large file's chunks is not of the file's size, or deeper "
         "than lists are: the file cannot be read",
         "a bug, or someone else's program: please report it with this line"},
    [CHECK_DERIVED_WRONG] = {"derived-wrong", CHECK_WARNING,
                             "a summary of slots is damaged or does not say what the slots say; "
                             "readers go to the slots instead, which takes longer",
                             "hif maintain builds it again, or hif fsck --repair"},
    [CHECK_UNREFERENCED] = {"unreferenced", CHECK_INFO,
                            "objects that no position names: of landings that are under way, were "
                            "given up, or never came to their slot. They only take room",
                            "nothing"},
    [CHECK_UNKNOWN_KEY] =
        {"unknown-key", CHECK_INFO,
         "objects of the project whose names hif does not know: a newer version's, "
         "or put there by something else",
         "nothing, unless you know that they do not belong there"},
    [CHECK_NOT_CHECKED] = {"not-checked", CHECK_WARNING,
                           "the store did not give what was to be checked, or it is more than this "
                           "check holds in memory: nothing is said about it",
                           "see to the reason, and run hif fsck again"},
};

static const char *const severities[] = {"info", "warning", "error", "fatal"};

static const char *const stages[CHECK_STAGE_COUNT] = {"format",   "inventory", "history",
                                                      "contents", "derived",   "leftovers"};

const struct check_kind_info *check_kind_info(enum check_kind kind)
{
        assert(kind < CHECK_KIND_COUNT);
        return &kinds[kind];
}

const char *check_severity_name(enum check_severity severity)
{
        assert(severity <= CHECK_FATAL);
        return severities[severity];
}

const char *check_stage_name(enum check_stage stage)
{
        assert(stage < CHECK_STAGE_COUNT);
        return stages[stage];
}

void found(struct check *c, const struct check_finding *finding)
{
        struct check_finding full = *finding;

        full.severity = kinds[finding->kind].severity;
        if (!full.key)
                full.key = "";
        if (!full.detail)
                full.detail = "";
        if (finding->kind == CHECK_NOT_CHECKED)
                c->report->not_checked++;
        else
                c->report->counts[full.severity]++;
        c->hooks->found(c->hooks, &full);
}

void found_at(struct check *c, enum check_kind kind, uint64_t position, const char *key,
              const char *detail)
{
        struct check_finding finding = {.kind = kind,
                                        .key = key,
                                        .detail = detail,
                                        .at = true,
                                        .first = position,
                                        .last = position};

        found(c, &finding);
}

void not_checked(struct check *c, enum hif_err err, const char *key, const char *what)
{
        char detail[256];
        struct check_finding finding = {
            .kind = CHECK_NOT_CHECKED, .key = key, .detail = detail, .count = 1};

        if (c->report->not_checked_err == HIF_OK)
                c->report->not_checked_err = err;
        if (++c->not_checked_count > NOT_CHECKED_MAX)
                return; /* the rest is counted, and told in the end */
        (void)snprintf(detail, sizeof(detail), "%s: %s", what, hif_strerror(err));
        found(c, &finding);
}

void report_progress(struct check *c, enum check_stage stage, uint64_t done, uint64_t total)
{
        if (c->hooks->progress)
                c->hooks->progress(c->hooks, stage, done, total, c->report->bytes_got);
}
