/* Objects in memory: an array sorted by key, under one mutex. For tests and simulations. */
#include "store/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
        char *key;
        uint8_t *data;
        size_t size;
        uint64_t version; /* of the whole store: no tag ever comes back */
};

struct store_mem {
        struct store store;
        pthread_mutex_t mutex;
        struct object **objects; /* sorted by key */
        size_t count, capacity;
        uint64_t version_last;
};

static struct store_mem *mem_of(struct store *store)
{
        return (struct store_mem *)store;
}

/* Where key is, or would be. */
static size_t lower_bound(const struct store_mem *mem, const char *key)
{
        size_t low = 0, high = mem->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(mem->objects[middle]->key, key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static struct object *find(const struct store_mem *mem, const char *key, size_t *index)
{
        *index = lower_bound(mem, key);
        if (*index < mem->count && strcmp(mem->objects[*index]->key, key) == 0)
                return mem->objects[*index];
        return NULL;
}

static void object_free(struct object *object)
{
        free(object->key);
        free(object->data);
        free(object);
}

static struct object *object_new(const char *key, struct span body)
{
        struct object *object = calloc(1, sizeof(*object));

        if (!object)
                return NULL;
        object->key = strdup(key);
        object->data = malloc(body.size ? body.size : 1);
        if (!object->key || !object->data) {
                object_free(object);
                return NULL;
        }
        if (body.size)
                memcpy(object->data, body.data, body.size);
        object->size = body.size;
        return object;
}

static void remove_at(struct store_mem *mem, size_t index)
{
        object_free(mem->objects[index]);
        mem->count--;
        memmove(&mem->objects[index], &mem->objects[index + 1],
                (mem->count - index) * sizeof(struct object *));
}

static enum hif_err reserve_one(struct store_mem *mem)
{
        struct object **objects;
        size_t capacity = mem->capacity ? 2 * mem->capacity : 16;

        if (mem->count < mem->capacity)
                return HIF_OK;
        objects = reallocarray(mem->objects, capacity, sizeof(struct object *));
        if (!objects)
                return HIF_ENOMEM;
        mem->objects = objects;
        mem->capacity = capacity;
        return HIF_OK;
}

static struct store_tag tag_of(const struct object *object)
{
        struct store_tag tag;

        snprintf(tag.text, sizeof(tag.text), "v%ju", (uintmax_t)object->version);
        return tag;
}

static enum hif_err check_condition(const struct store_req *req, const struct object *object)
{
        struct store_tag tag;

        if (req->op == STORE_PUT_NEW)
                return object ? HIF_ELOST : HIF_OK;
        if (req->op != STORE_PUT_MATCH)
                return HIF_OK;
        if (!object)
                return HIF_ENOENT;
        if (object->size > STORE_MATCH_MAX)
                return HIF_ELIMIT;
        tag = tag_of(object);
        return strcmp(tag.text, req->match.text) == 0 ? HIF_OK : HIF_ELOST;
}

static enum hif_err put(struct store_mem *mem, struct store_req *req)
{
        size_t index;
        struct object *before = find(mem, req->key, &index);
        struct object *object;
        enum hif_err err = check_condition(req, before);

        if (err)
                return err;
        object = object_new(req->key, req->body);
        if (!object)
                return HIF_ENOMEM;
        object->version = ++mem->version_last;
        if (before) {
                object_free(before);
        } else {
                err = reserve_one(mem);
                if (err) {
                        object_free(object);
                        return err;
                }
                memmove(&mem->objects[index + 1], &mem->objects[index],
                        (mem->count - index) * sizeof(struct object *));
                mem->count++;
        }
        mem->objects[index] = object;
        req->tag = tag_of(object);
        return HIF_OK;
}

static enum hif_err get(struct store_mem *mem, struct store_req *req)
{
        size_t index, count;
        struct object *object = find(mem, req->key, &index);
        uint64_t offset;

        if (!object)
                return HIF_ENOENT;
        if (req->op == STORE_GET) {
                enum hif_err err = store_range(req, object->size, &offset, &count);

                if (err)
                        return err;
                buf_put(&req->data, object->data + offset, count);
                if (buf_failed(&req->data)) {
                        buf_free(&req->data);
                        return HIF_ENOMEM;
                }
        }
        req->size = object->size;
        req->tag = tag_of(object);
        return HIF_OK;
}

static enum hif_err list(struct store_mem *mem, struct store_req *req)
{
        size_t prefix_size = strlen(req->prefix);
        const char *start = req->prefix;
        size_t i;

        if (req->key && strcmp(req->key, start) > 0)
                start = req->key;
        for (i = lower_bound(mem, start); i < mem->count; i++) {
                const struct object *object = mem->objects[i];
                enum hif_err err;

                if (req->key && strcmp(object->key, req->key) == 0)
                        continue;
                if (strncmp(object->key, req->prefix, prefix_size) != 0)
                        break;
                if (req->list.count == req->list_max) {
                        req->list.more = true;
                        break;
                }
                err = store_list_add(&req->list, object->key, object->size);
                if (err) {
                        store_list_free(&req->list);
                        return err;
                }
        }
        return HIF_OK;
}

static enum hif_err execute(struct store_mem *mem, struct store_req *req)
{
        size_t index;

        switch (req->op) {
        case STORE_GET:
        case STORE_HEAD:
                return get(mem, req);
        case STORE_PUT:
        case STORE_PUT_NEW:
        case STORE_PUT_MATCH:
                return put(mem, req);
        case STORE_DELETE:
                if (find(mem, req->key, &index))
                        remove_at(mem, index);
                return HIF_OK;
        case STORE_LIST:
                return list(mem, req);
        }
        abort(); /* the shim lets no other operation through */
}

static void mem_submit(struct store *store, struct store_req *req)
{
        struct store_mem *mem = mem_of(store);
        enum hif_err err;

        pthread_mutex_lock(&mem->mutex);
        err = execute(mem, req);
        pthread_mutex_unlock(&mem->mutex);
        store_done(store, req, err);
}

static void mem_close(struct store *store)
{
        struct store_mem *mem = mem_of(store);

        for (size_t i = 0; i < mem->count; i++)
                object_free(mem->objects[i]);
        free(mem->objects);
        pthread_mutex_destroy(&mem->mutex);
        free(mem);
}

static const char *mem_url(struct store *store)
{
        (void)store;
        return "memory:";
}

enum hif_err store_mem_new(struct env *env, struct store **out)
{
        static const struct store_ops ops = {
            .submit = mem_submit, .close = mem_close, .url = mem_url};
        struct store_mem *mem = calloc(1, sizeof(*mem));

        if (!mem)
                return HIF_ENOMEM;
        store_init(&mem->store, &ops, env);
        pthread_mutex_init(&mem->mutex, NULL);
        *out = &mem->store;
        return HIF_OK;
}

size_t store_mem_count(struct store *store)
{
        struct store_mem *mem = mem_of(store);
        size_t count;

        assert(store->ops->submit == mem_submit);
        pthread_mutex_lock(&mem->mutex);
        count = mem->count;
        pthread_mutex_unlock(&mem->mutex);
        return count;
}

struct span store_mem_peek(struct store *store, const char *key)
{
        struct store_mem *mem = mem_of(store);
        struct span span = {0};
        struct object *object;
        size_t index;

        assert(store->ops->submit == mem_submit);
        pthread_mutex_lock(&mem->mutex);
        object = find(mem, key, &index);
        if (object)
                span = span_of(object->data, object->size);
        pthread_mutex_unlock(&mem->mutex);
        return span;
}

bool store_mem_flip(struct store *store, const char *key, size_t bit)
{
        struct store_mem *mem = mem_of(store);
        struct object *object;
        size_t index;
        bool there;

        assert(store->ops->submit == mem_submit);
        pthread_mutex_lock(&mem->mutex);
        object = find(mem, key, &index);
        there = object && bit / 8 < object->size;
        if (there)
                object->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        pthread_mutex_unlock(&mem->mutex);
        return there;
}

bool store_mem_drop(struct store *store, const char *key)
{
        struct store_mem *mem = mem_of(store);
        size_t index;
        bool there;

        assert(store->ops->submit == mem_submit);
        pthread_mutex_lock(&mem->mutex);
        there = find(mem, key, &index) != NULL;
        if (there)
                remove_at(mem, index);
        pthread_mutex_unlock(&mem->mutex);
        return there;
}
