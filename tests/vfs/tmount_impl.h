/* tmount_impl.h - what the fixture's files share. */
#ifndef HIF_TESTS_VFS_TMOUNT_IMPL_H
#define HIF_TESTS_VFS_TMOUNT_IMPL_H

#include "tmount.h"

struct tmount_entry {
        char *path;
        struct entry entry; /* target is owned */
        struct buf key;
};

void tmount_forget_entries(struct tmount *m);

#define check_ok(call) check_why(call, NULL)
#define check_why(call, why)                                                                       \
        do {                                                                                       \
                enum hif_err err_ = (call);                                                        \
                const struct hif_why *why_ = (why);                                                \
                                                                                                   \
                if (err_ != HIF_OK) {                                                              \
                        fprintf(stderr, "%s: %s\n", hif_err_name(err_),                            \
                                why_ != NULL ? why_->text : "");                                   \
                        tmount_fail(__FILE__, __LINE__, #call);                                    \
                }                                                                                  \
        } while (0)

#endif
