/* JSON by jansson, XML by expat. */
#include "aws/answer.h"

#include "aws/wipe.h"

#include <ctype.h>
#include <expat.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S     UINT64_C(1000000000)
#define XML_NAME_MAX 64u

bool aws_time_parse(const char *text, uint64_t *wall_ns)
{
        struct tm tm = {0};
        int hours = 0, minutes = 0, end = 0, sign;
        time_t seconds;

        if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) != 6)
                return false;
        text += end;
        if (*text == '.')
                for (text++; isdigit((unsigned char)*text); text++)
                        ;
        if (strcmp(text, "Z") != 0) {
                sign = *text == '+' ? 1 : *text == '-' ? -1 : 0;
                if (sign == 0 || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 ||
                    text[1 + end] != '\0')
                        return false;
                hours *= sign;
                minutes *= sign;
        }
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        seconds = timegm(&tm) - hours * 3600 - minutes * 60;
        if (tm.tm_year < 70 || tm.tm_year > 500 || seconds < 0)
                return false;
        *wall_ns = (uint64_t)seconds * NS_PER_S;
        return true;
}

static enum hif_err take_expiration(const char *text, struct aws_fetched *out, struct hif_why *why)
{
        out->expires_ns = 0;
        if (!text || aws_time_parse(text, &out->expires_ns))
                return HIF_OK;
        return why_set(why, HIF_EDENIED, "%s gave credentials whose Expiration is no time",
                       out->source);
}

/* --- JSON --- */

/* Strings of secrets are ours to overwrite until the value is released. */
static void json_wipe(json_t *object)
{
        const char *key;
        json_t *value;

        json_object_foreach(object, key, value)
        {
                (void)key;
                if (json_is_string(value))
                        OPENSSL_cleanse((void *)(uintptr_t)json_string_value(value),
                                        json_string_length(value));
        }
        json_decref(object);
}

static enum hif_err take_json(const json_t *object, const char *token_name, bool version,
                              struct aws_fetched *out, struct hif_why *why)
{
        const char *id = json_string_value(json_object_get(object, "AccessKeyId"));
        const char *secret = json_string_value(json_object_get(object, "SecretAccessKey"));
        const char *token = json_string_value(json_object_get(object, token_name));
        const char *code = json_string_value(json_object_get(object, "Code"));
        enum hif_err err;

        if (version && json_integer_value(json_object_get(object, "Version")) != 1)
                return why_set(why, HIF_EDENIED, "%s gave no JSON object with \"Version\": 1",
                               out->source);
        if (code && strcmp(code, "Success") != 0)
                return why_set(why, HIF_EDENIED, "%s answered with a Code other than Success",
                               out->source);
        if (!id || !secret)
                return why_set(why, HIF_EDENIED,
                               "%s gave JSON without AccessKeyId and SecretAccessKey", out->source);
        err = aws_key_set(&out->key, id, secret, token, out->source, why);
        if (err != HIF_OK)
                return err;
        return take_expiration(json_string_value(json_object_get(object, "Expiration")), out, why);
}

enum hif_err aws_json_key(struct span json, const char *token_name, bool version,
                          struct aws_fetched *out, struct hif_why *why)
{
        json_t *object = json_loadb((const char *)json.data, json.size, 0, NULL);
        enum hif_err err;

        if (!json_is_object(object)) {
                json_decref(object);
                return why_set(why, HIF_EDENIED, "%s gave no JSON object", out->source);
        }
        err = take_json(object, token_name, version, out, why);
        json_wipe(object);
        return err;
}

/* --- XML --- */

/* The texts of the elements that are looked for, wherever they are; the first of each counts. */
struct sts {
        XML_Parser parser;
        char name[XML_NAME_MAX]; /* of the element we are in */
        struct buf text;
        char *id, *secret, *token, *expiration, *code;
};

static void sts_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
        struct sts *sts = arg;

        (void)attributes;
        snprintf(sts->name, sizeof(sts->name), "%s", name);
        sts->text.size = 0;
}

static void sts_text(void *arg, const XML_Char *text, int size)
{
        struct sts *sts = arg;

        if (sts->text.size + (size_t)size < AWS_TOKEN_SIZE)
                buf_put(&sts->text, text, (size_t)size);
        else
                XML_StopParser(sts->parser, XML_FALSE);
}

static void sts_end(void *arg, const XML_Char *name)
{
        struct sts *sts = arg;
        char **to = strcmp(name, "AccessKeyId") == 0       ? &sts->id
                    : strcmp(name, "SecretAccessKey") == 0 ? &sts->secret
                    : strcmp(name, "SessionToken") == 0    ? &sts->token
                    : strcmp(name, "Expiration") == 0      ? &sts->expiration
                    : strcmp(name, "Code") == 0            ? &sts->code
                                                           : NULL;

        if (to && !*to && strcmp(name, sts->name) == 0 && sts->text.data)
                *to = strndup((const char *)sts->text.data, sts->text.size);
        sts->name[0] = '\0';
}

static void sts_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                        const XML_Char *public_id, int subset)
{
        struct sts *sts = arg;

        (void)name, (void)system_id, (void)public_id, (void)subset;
        XML_StopParser(sts->parser, XML_FALSE);
}

static bool sts_parse(struct sts *sts, struct span xml)
{
        bool good = false;

        sts->parser = XML_ParserCreate(NULL);
        if (sts->parser && xml.size <= INT32_MAX && buf_reserve(&sts->text, AWS_TOKEN_SIZE)) {
                XML_SetUserData(sts->parser, sts);
                XML_SetElementHandler(sts->parser, sts_start, sts_end);
                XML_SetCharacterDataHandler(sts->parser, sts_text);
                XML_SetStartDoctypeDeclHandler(sts->parser, sts_doctype);
                good = XML_Parse(sts->parser, (const char *)xml.data, (int)xml.size, 1) ==
                       XML_STATUS_OK;
        }
        if (sts->parser)
                XML_ParserFree(sts->parser);
        return good && !buf_failed(&sts->text);
}

static void sts_free(struct sts *sts)
{
        wipe_text(sts->id);
        wipe_text(sts->secret);
        wipe_text(sts->token);
        wipe_text(sts->expiration);
        wipe_text(sts->code);
        wipe_buf(&sts->text);
}

enum hif_err aws_sts_key(struct span xml, struct aws_fetched *out, struct hif_why *why)
{
        struct sts sts = {0};
        enum hif_err err;

        if (!sts_parse(&sts, xml) || !sts.id || !sts.secret || !sts.token)
                err = why_set(why, HIF_EDENIED, "%s gave no XML with credentials", out->source);
        else
                err = aws_key_set(&out->key, sts.id, sts.secret, sts.token, out->source, why);
        if (err == HIF_OK)
                err = take_expiration(sts.expiration, out, why);
        sts_free(&sts);
        return err;
}

void aws_sts_error(struct span xml, char code[AWS_STS_CODE_SIZE])
{
        struct sts sts = {0};

        code[0] = '\0';
        if (sts_parse(&sts, xml) && sts.code && strlen(sts.code) < AWS_STS_CODE_SIZE) {
                strcpy(code, sts.code);
                for (const char *c = sts.code; *c; c++)
                        if (!isalnum((unsigned char)*c))
                                code[0] = '\0';
        }
        sts_free(&sts);
}
