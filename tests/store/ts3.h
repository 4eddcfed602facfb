/* ts3.h - an S3 store before a scripted server. */
#ifndef HIF_TESTS_STORE_TS3_H
#define HIF_TESTS_STORE_TS3_H

#include "store/s3/store_s3.h"
#include "tserver.h"
#include "tstore.h"

struct ts3 {
        struct env env;
        struct tserver *server;
        struct store *store;
        struct s3_config config; /* of the next ts3_open */
        /* the key's source */
        enum hif_err key_result;
        uint64_t key_generation;
        unsigned keys_asked, keys_expired;
        uint64_t expired_generation;
};

#define TS3_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/* s3://bucket/pre, patience 400 ms, answers within 300 ms; not opened yet. */
int ts3_setup(void **state);
int ts3_teardown(void **state);
void ts3_open(struct ts3 *s3);

/* One request, waited for. */
enum hif_err ts3_run(struct ts3 *s3, enum store_op op, const char *key, struct store_req *out);

/* A reply: an error as S3 writes it; an object. */
#define TS3_ERROR(number, code)                                                                    \
        {                                                                                          \
                .status = number,                                                                  \
                .body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" code           \
                        "</Code><Message>as scripted</Message><RequestId>1</RequestId></Error>"    \
        }
#define TS3_OBJECT(text)                                                                           \
        {                                                                                          \
                .status = 200, .headers = "ETag: \"tag-1\"\r\n", .body = text                      \
        }
#define TS3_PUT_DONE                                                                               \
        {                                                                                          \
                .status = 200, .headers = "ETag: \"tag-2\"\r\n"                                    \
        }
#define TS3_SCRIPT(s3, ...)                                                                        \
        do {                                                                                       \
                const struct tserver_reply replies_[] = {__VA_ARGS__};                             \
                tserver_script((s3)->server, replies_, sizeof(replies_) / sizeof(replies_[0]));    \
        } while (0)

#endif
