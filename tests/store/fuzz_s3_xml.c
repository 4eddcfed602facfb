/* The XML of S3's answers: whatever it is, it is refused or gives bounded values. */
#include "store/s3/xml.h"

#include "tests/core/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span xml = span_of(data, size);
        struct s3_error error;
        struct s3_page page;
        struct store_tag tag;
        char id[S3_UPLOAD_ID_SIZE];

        s3_error_parse(xml, &error);
        FUZZ_CHECK(memchr(error.code, 0, sizeof(error.code)));
        FUZZ_CHECK(memchr(error.message, 0, sizeof(error.message)));
        if (s3_page_parse(xml, &page) == HIF_OK) {
                for (size_t i = 0; i < page.keys.count; i++)
                        FUZZ_CHECK(strlen(page.keys.items[i].key) <= S3_XML_TEXT_MAX);
                s3_page_free(&page);
        }
        if (s3_upload_id_parse(xml, id) == HIF_OK)
                FUZZ_CHECK(id[0] && memchr(id, 0, sizeof(id)));
        if (s3_completed_parse(xml, &tag, &error) == HIF_OK)
                FUZZ_CHECK(memchr(tag.text, 0, sizeof(tag.text)));
        return 0;
}
