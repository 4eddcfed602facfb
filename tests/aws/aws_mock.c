/* aws_mock: a server that gives credentials as a container's endpoint (/container), the instance
 * metadata service and STS do; for tests of the whole program.
 *
 *      aws_mock FILE           FILE is read at each request: lines "name value"
 *
 *      id, secret, token       what it gives
 *      life SECONDS            until that expires; none: without end
 *      authorization TEXT      what a container has to send
 *      identity TEXT           what the web identity token has to be
 *      fail STATUS             answer with that, and with all secrets in the body
 *
 * The port is the first line of its output; then one line a request: method and target. It ends
 * with its standard input. */
#include "thttp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VALUE_SIZE 4096

/* The value, or "". */
static void read_value(const char *file, const char *name, char out[VALUE_SIZE])
{
        char line[VALUE_SIZE + 64];
        size_t size = strlen(name);
        FILE *in = fopen(file, "re");

        out[0] = '\0';
        while (in && fgets(line, sizeof(line), in)) {
                line[strcspn(line, "\n")] = '\0';
                if (strncmp(line, name, size) == 0 && line[size] == ' ')
                        snprintf(out, VALUE_SIZE, "%s", line + size + 1);
        }
        if (in)
                fclose(in);
}

struct secrets {
        char id[VALUE_SIZE], secret[VALUE_SIZE], token[VALUE_SIZE], life[VALUE_SIZE];
        char authorization[VALUE_SIZE], identity[VALUE_SIZE], fail[VALUE_SIZE];
        char expires[40];
};

static void read_secrets(const char *file, struct secrets *s)
{
        time_t then = time(NULL);
        struct tm tm;

        read_value(file, "id", s->id);
        read_value(file, "secret", s->secret);
        read_value(file, "token", s->token);
        read_value(file, "life", s->life);
        read_value(file, "authorization", s->authorization);
        read_value(file, "identity", s->identity);
        read_value(file, "fail", s->fail);
        then += s->life[0] ? atoi(s->life) : 315360000;
        strftime(s->expires, sizeof(s->expires), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
}

static void put_json(const struct secrets *s, struct thttp_answer *out)
{
        snprintf(out->body, sizeof(out->body),
                 "{\"Code\": \"Success\", \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"%s\", "
                 "\"Token\": \"%s\", \"Expiration\": \"%s\"}",
                 s->id, s->secret, s->token, s->expires);
}

static void put_xml(const struct secrets *s, struct thttp_answer *out)
{
        snprintf(out->body, sizeof(out->body),
                 "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials>"
                 "<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>"
                 "<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></R>",
                 s->id, s->secret, s->token, s->expires);
}

static void put_failure(const struct secrets *s, struct thttp_answer *out)
{
        out->status = atoi(s->fail);
        snprintf(out->body, sizeof(out->body),
                 "<ErrorResponse><Error><Code>%s</Code><Message>%s %s %s</Message></Error>"
                 "</ErrorResponse>",
                 s->secret, s->token, s->authorization, s->identity);
}

static void answer(void *arg, const struct thttp_request *request, struct thttp_answer *out)
{
        struct secrets *s = calloc(1, sizeof(*s));
        char line[VALUE_SIZE + 64];

        read_secrets(arg, s);
        printf("%s %s\n", request->method, request->target);
        fflush(stdout);
        if (s->fail[0]) {
                put_failure(s, out);
        } else if (strcmp(request->target, "/container") == 0) {
                snprintf(line, sizeof(line), "authorization: %s", s->authorization);
                if (s->authorization[0] && !thttp_has(request, line))
                        out->status = 403;
                else
                        put_json(s, out);
        } else if (strcmp(request->target, "/latest/api/token") == 0) {
                snprintf(out->body, sizeof(out->body), "%s",
                         s->authorization[0] ? s->authorization : "metadata-token");
        } else if (strcmp(request->target, "/latest/meta-data/iam/security-credentials/") == 0) {
                strcpy(out->body, "role");
        } else if (strncmp(request->target, "/latest/", 8) == 0) {
                put_json(s, out);
        } else if (s->identity[0] && !strstr(request->body, s->identity)) {
                out->status = 403;
        } else {
                put_xml(s, out);
        }
        free(s);
}

int main(int argc, char **argv)
{
        struct thttp *server = argc == 2 ? thttp_new(answer, argv[1]) : NULL;
        char byte;

        if (!server) {
                fprintf(stderr, "usage: aws_mock FILE\n");
                return 2;
        }
        printf("%d\n", thttp_port(server));
        fflush(stdout);
        while (read(0, &byte, 1) > 0)
                ;
        thttp_free(server);
        return 0;
}
