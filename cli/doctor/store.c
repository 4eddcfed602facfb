/* store.c - the configured store: is it there, is it known to be safe, and does its clock agree? */
#include "cli/store.h"
#include "base/cleanup.h"
#include "cli/bounded.h"
#include "cli/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE_TIMEOUT_MS 6000
#define CLOCK_MAX_S      300 /* a lander that is further off is refused */

/* What a child found, as JSON: "url", "key" (from the environment), "probed", "local",
 * "offset_s", "error". */
static enum hif_err look(void *arg, int out)
{
        struct cli *cli = arg;
        struct hif_why why = {0};
        struct store *store = NULL;
        struct store_req req = {.op = STORE_LIST, .prefix = "projects/", .list_max = 1};
        json_t *found = json_object();
        uint64_t there = 0;
        char key[CLI_KEY_SIZE];
        enum hif_err err = cli_store_unprobed(cli, true, &store, &why);

        if (err == HIF_OK) {
                store_run(store, &req, 1);
                err = req.result == HIF_ENOENT ? HIF_OK : req.result;
                if (err != HIF_OK && !store_why(store, err, &why))
                        why_set(&why, err, "%s", hif_strerror(err));
                json_object_set_new(found, "url", json_string(store_url(store)));
                json_object_set_new(found, "local",
                                    json_boolean(strncmp(store_url(store), "file:", 5) == 0));
                json_object_set_new(found, "probed", json_boolean(cli_store_is_known(cli, store)));
                json_object_set_new(found, "key", json_boolean(cli_own_key(store_url(store), key)));
                if (store_date(store, &there))
                        json_object_set_new(
                            found, "offset_s",
                            json_integer(((json_int_t)there - (json_int_t)env_wall_ns(&cli->env)) /
                                         1000000000));
        }
        if (err != HIF_OK)
                json_object_set_new(found, "error", json_string(why.text));
        (void)json_dumpfd(found, out, JSON_COMPACT);
        return err;
}

static void tell(struct doctor *doctor, const char *url, const json_t *found)
{
        const json_t *offset = json_object_get(found, "offset_s");
        long long seconds = (long long)json_integer_value(offset);

        doctor_say(doctor, "store", DOCTOR_OK, NULL, "the store %s answers", url);
        if (!json_is_true(json_object_get(found, "local")))
                doctor_say(doctor, "probe",
                           json_is_true(json_object_get(found, "probed")) ? DOCTOR_OK : DOCTOR_NOTE,
                           json_is_true(json_object_get(found, "probed")) ? NULL
                                                                          : "`hif store probe`",
                           json_is_true(json_object_get(found, "probed"))
                               ? "the store has passed the probe%s"
                               : "the store has not been probed from here yet; the first landing "
                                 "does it%s",
                           "");
        if (json_is_true(json_object_get(found, "key")))
                doctor_say(doctor, "credentials", DOCTOR_NOTE,
                           "the daemon has those of the environment in which it was started",
                           "the key is this environment's (AWS_ACCESS_KEY_ID)");
        if (offset == NULL)
                return;
        if (llabs(seconds) >= CLOCK_MAX_S)
                doctor_say(doctor, "clock", DOCTOR_ERROR, "set this machine's clock",
                           "this machine's clock is %lld s %s the store's; landings are refused "
                           "from %d s on",
                           llabs(seconds), seconds > 0 ? "behind" : "ahead of", CLOCK_MAX_S);
        else
                doctor_say(doctor, "clock", DOCTOR_OK, NULL,
                           "this machine's clock is within %lld s of the store's",
                           llabs(seconds) + 1);
}

void doctor_store_begin(struct doctor *doctor)
{
        bounded_begin(&doctor->store, STORE_TIMEOUT_MS, look, doctor->cli);
}

void doctor_store(struct doctor *doctor)
{
        AUTO_BUF struct buf said = {0};
        AUTO_FREE char *url = NULL;
        struct hif_why why = {0};
        json_t *found;
        enum hif_err err = cli_store_url(doctor->cli, &url, &why);

        if (err != HIF_OK) {
                (void)!bounded_end(&doctor->store, NULL); /* the child has found the same */
                doctor_say(doctor, "store", DOCTOR_ERROR, NULL, "%s", why.text);
                return;
        }
        err = bounded_end(&doctor->store, &said);
        found = json_loadb((const char *)said.data, said.size, 0, NULL);
        if (err == HIF_OK)
                tell(doctor, url, found);
        else if (err == HIF_ETIMEDOUT && found == NULL)
                doctor_say(doctor, "store", DOCTOR_ERROR,
                           "is the network up, and the endpoint right?",
                           "the store %s did not answer within %d s", url, STORE_TIMEOUT_MS / 1000);
        else if (err == HIF_ENOENT && doctor->sessions == 0)
                doctor_say(doctor, "store", DOCTOR_NOTE, "`hif project create` makes it",
                           "there is no store yet at %s", url);
        else
                doctor_say(doctor, err == HIF_EDENIED ? "credentials" : "store", DOCTOR_ERROR, NULL,
                           "%s",
                           found != NULL ? json_string_value(json_object_get(found, "error"))
                                         : hif_strerror(err));
        json_decref(found);
}
