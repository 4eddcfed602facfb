/* json_get PATH: a value of the JSON on stdin, by keys and indexes joined by '.'. Strings are
 * printed as they are, arrays and objects as their length. Exits 1 when there is no such value, or
 * anything but one JSON value on stdin. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const json_t *step(const json_t *value, const char *key)
{
        if (json_is_array(value))
                return json_array_get(value, strtoul(key, NULL, 10));
        return json_object_get(value, key);
}

static void print(const json_t *value)
{
        if (json_is_string(value))
                printf("%s\n", json_string_value(value));
        else if (json_is_integer(value))
                printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
        else if (json_is_array(value))
                printf("%zu\n", json_array_size(value));
        else if (json_is_object(value))
                printf("%zu\n", json_object_size(value));
        else
                printf("%s\n", json_is_true(value)   ? "true"
                               : json_is_null(value) ? "null"
                                                     : "false");
}

int main(int argc, char **argv)
{
        json_error_t error;
        json_t *root = json_loadf(stdin, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        const json_t *value = root;
        int code = 1;

        if (argc != 2 || !root) {
                fprintf(stderr, "json_get: %s\n", root ? "usage: json_get PATH" : error.text);
                json_decref(root);
                return 1;
        }
        for (char *key = strtok(argv[1], "."); key && value; key = strtok(NULL, "."))
                value = step(value, key);
        if (value) {
                print(value);
                code = 0;
        }
        json_decref(root);
        return code;
}
