/* content.h - what a file should hold, without holding it: which write each of its ranges came from.
 *
 * A write is known by its tag, and its bytes are a function of tag and offset (content_pattern). So what is read can be
 * checked byte by byte, and wrong bytes tell which write they came from. Tag 0 is zeros. */
#ifndef HIF_TESTS_MOUNT_CONTENT_H
#define HIF_TESTS_MOUNT_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes [start, end) are those of write `tag`, made for offset `from` and on at start. */
struct piece {
        uint64_t start, end, from;
        uint32_t tag;
};

struct content {
        uint64_t size;
        struct piece *pieces; /* sorted, disjoint, without tag 0; what none covers is zero */
        size_t count, room;
};

void content_free(struct content *content);

/* A write at `offset`: grows the file as far as needed. */
void content_write(struct content *content, uint64_t offset, uint64_t size, uint32_t tag);

/* Zeros in a range, as far as the file goes. */
void content_zero(struct content *content, uint64_t offset, uint64_t size);

void content_resize(struct content *content, uint64_t size);

/* A copy between two files, or of one range of a file to another that does not overlap it; grows `to`. */
void content_copy(struct content *to, uint64_t to_offset, const struct content *from,
                  uint64_t from_offset, uint64_t size);

/* The bytes that write `tag` has for [offset, offset + size). */
void content_pattern(uint32_t tag, uint64_t offset, size_t size, uint8_t *out);

/* The bytes that the file should hold in a range within it. */
void content_expect(const struct content *content, uint64_t offset, size_t size, uint8_t *out);

/* The write that this byte should come from. */
uint32_t content_tag_at(const struct content *content, uint64_t offset);

#endif
