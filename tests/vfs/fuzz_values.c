/* fuzz_values.c - an overlay whose named values hold any bytes: vfs opens, or says why not. The
 * input is the two values of vfs, each behind its size u16. */
#include "vfs/internal.h"
#include "vfs/tmount.h"

#include <stdio.h>

#define DIR "/home/agent/overlay"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_value(struct otx *tx, const char *name, struct reader *rd)
{
        size_t size = rd_u16(rd);

        otx_value(tx, name, rd_span(rd, size < rd_left(rd) ? size : rd_left(rd)));
}

static void store(struct tmount *m, struct overlay *overlay, struct span input)
{
        struct reader rd = rd_open(input);
        struct otx *tx = otx_begin(overlay);
        uint64_t seq;

        (void)m;
        put_value(tx, VALUE_EPOCHS, &rd);
        put_value(tx, VALUE_RUNS, &rd);
        tmount_check(otx_commit(tx, &seq) == HIF_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct tmount *m;
        static struct overlay *overlay;
        struct vfs_config config = {0};
        struct hif_why why = {""};
        struct vfs *vfs;
        enum hif_err err;

        if (m == NULL) {
                struct tmount_options options = {.seed = 1};
                struct overlay_config serial = {.serial = true};

                m = tmount_new(&options);
                tmount_add_text(m, "dir/file", "text");
                tmount_open(m);
                tmount_check(overlay_open(m->env, m->pool, DIR "-2", &serial, &overlay, NULL) ==
                             HIF_OK);
        }
        store(m, overlay, span_of(data, size));
        config.env = m->env;
        config.loop = m->loop;
        config.overlay = overlay;
        config.dir = DIR "-2";
        config.fetch = m->fetch;
        config.origin = m->origin;
        err = vfs_open(&config, NULL, &vfs, &why);
        tmount_check(err == HIF_OK || why.text[0] != '\0');
        if (err == HIF_OK)
                vfs_close(vfs);
        return 0;
}
