/* loop_files.c - what the daemon has beside stores and sessions, while something fails once: its log of
 * bounded size, keys of S3 that a program of the user's prints, and JSON as text.
 *
 * The log goes on after a failure, in a file that is at most one line too long, and nothing that was
 * written whole is torn by the next. A key is there, or an error says why there is none; asked anew, it is
 * there, and is what the program printed. JSON is whole, or there is none. */
#include "loop.h"

#include "aws/creds.h"
#include "base/env.h"
#include "base/log.h"
#include "cli/json_encode.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX    8
#define PATH_SIZE    128
#define LOG_SIZE     2000u
#define LINES        60
#define LINE_MAX     200u
#define PEEK_MS      10
#define PEEK_WAIT_MS 20000

static size_t count_open(void)
{
        DIR *dir = opendir("/proc/self/fd");
        size_t count = 0;

        loop_check(dir != NULL);
        while (readdir(dir) != NULL)
                count++;
        closedir(dir);
        return count;
}

static void place(char dir[PATH_SIZE])
{
        strcpy(dir, "/tmp/hif-faults-files-XXXXXX");
        loop_check(mkdtemp(dir) != NULL);
}

/* --- the log --- */

static size_t read_text(const char *path, char *out, size_t size)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, out, size - 1) : 0;

        loop_check(got >= 0);
        out[got] = '\0';
        if (fd >= 0)
                close(fd);
        return (size_t)got;
}

static void say(struct log *log, int number)
{
        fault_resume();
        log_line(log, LOG_WARN, "test", "line %d is said by the test", number);
        fault_pause();
}

static void check_log(const struct loop_run *run, const char *path, const char *older)
{
        char text[2 * LOG_SIZE + 2 * LINE_MAX], wanted[64];
        size_t size = read_text(path, text, sizeof(text));

        loop_check(size <= LOG_SIZE + 2 * LINE_MAX);
        /* One is said after all that fails. */
        snprintf(wanted, sizeof(wanted), "test: line %d is said by the test", LINES);
        loop_check(strstr(text, wanted) != NULL && text[size - 1] == '\n');
        /* No line begins within another. */
        for (const char *at = text; (at = strstr(at, " warn  test: ")) != NULL; at++)
                loop_check(at - text >= 24 && (at - text == 24 || at[-25] == '\n'));
        size = read_text(older, text, sizeof(text));
        loop_check(size <= LOG_SIZE + 2 * LINE_MAX);
        loop_check(size > 0 || run->hit);
}

static void logging(struct loop_run *run)
{
        char dir[PATH_SIZE], path[PATH_SIZE + 8], older[PATH_SIZE + 16];
        struct log *log = NULL;
        size_t open_before;

        fault_pause();
        place(dir);
        snprintf(path, sizeof(path), "%s/log", dir);
        snprintf(older, sizeof(older), "%s.1", path);
        open_before = count_open();
        loop_arm(run, NULL);
        for (int tries = 0; log == NULL && tries < TRIES_MAX; tries++) {
                struct hif_why why = {0};
                enum hif_err err;

                fault_resume();
                err = log_open(path, LOG_SIZE, LOG_INFO, false, &log, &why);
                fault_pause();
                loop_check((err == HIF_OK) == (log != NULL));
                loop_check(err == HIF_OK || err == HIF_ENOMEM || why.text[0] != '\0');
                run->errors += err != HIF_OK;
        }
        loop_check(log != NULL);
        for (int i = 0; i < LINES; i++) {
                say(log, i);
                fault_resume();
                log_tend(log);
                fault_pause();
        }
        loop_disarm(run);
        fault_pause();
        say(log, LINES);
        check_log(run, path, older);
        log_free(log);
        loop_check(count_open() == open_before);
        (void)unlink(path);
        (void)unlink(older);
        loop_check(rmdir(dir) == 0);
}

/* --- keys --- */

static const char *get(void *arg, const char *name)
{
        if (strcmp(name, "HOME") == 0)
                return arg;
        return strcmp(name, "AWS_EC2_METADATA_DISABLED") == 0 ? "true" : NULL;
}

static void write_config(struct env *env, const char *dir, char path[PATH_SIZE + 16])
{
        static const char text[] =
            "[default]\ncredential_process = /bin/echo "
            "'{\"Version\": 1, \"AccessKeyId\": \"AN-ID\", \"SecretAccessKey\": \"a-secret\"}'\n";

        snprintf(path, PATH_SIZE + 16, "%s/.aws", dir);
        loop_check(mkdir(path, 0700) == 0);
        snprintf(path, PATH_SIZE + 16, "%s/.aws/config", dir);
        loop_check(env_write_file(env, path, text, strlen(text), 0600) == HIF_OK);
}

static enum hif_err wait_for_key(struct aws_creds *creds, struct aws_key *key, struct hif_why *why)
{
        enum hif_err err = HIF_EAGAIN;

        for (int waited = 0; err == HIF_EAGAIN && waited < PEEK_WAIT_MS; waited += PEEK_MS) {
                err = aws_creds_peek(creds, key, why);
                if (err == HIF_EAGAIN)
                        usleep(PEEK_MS * 1000);
        }
        return err;
}

static enum hif_err try_key(struct env *env, const struct aws_vars *vars, struct aws_key *key,
                            struct hif_why *why)
{
        struct aws_settings settings = {0};
        struct aws_creds *creds = NULL;
        enum hif_err err = aws_settings_load(env, vars, NULL, &settings, why);

        if (err != HIF_OK)
                return err;
        err = aws_creds_new(env, &settings, vars, NULL, NULL, &creds, why);
        if (err == HIF_OK)
                err = wait_for_key(creds, key, why);
        aws_creds_free(creds);
        aws_settings_free(&settings);
        return err;
}

static void keys(struct loop_run *run)
{
        char dir[PATH_SIZE], config[PATH_SIZE + 16];
        struct env env = env_system(NULL);
        const struct aws_vars vars = {.get = get, .arg = dir};
        enum hif_err err = HIF_EAGAIN;
        struct aws_key key = {0};
        size_t open_before;

        fault_pause();
        place(dir);
        write_config(&env, dir, config);
        open_before = count_open();
        loop_arm(run, NULL);
        for (int tries = 0; err != HIF_OK && tries < TRIES_MAX; tries++) {
                struct hif_why why = {0};

                fault_resume();
                err = try_key(&env, &vars, &key, &why);
                fault_pause();
                loop_check(err == HIF_OK || err == HIF_ENOMEM || why.text[0] != '\0');
                loop_check(strstr(why.text, "a-secret") == NULL);
                loop_check(err == HIF_OK || run->kind != FAULT_SHORT);
                run->errors += err != HIF_OK;
        }
        loop_check(err == HIF_OK && strcmp(key.access_key_id, "AN-ID") == 0);
        loop_check(strcmp(key.secret_access_key, "a-secret") == 0);
        loop_disarm(run);
        fault_pause();
        aws_key_wipe(&key);
        loop_check(count_open() == open_before);
        loop_check(unlink(config) == 0);
        *strrchr(config, '/') = '\0';
        loop_check(rmdir(config) == 0 && rmdir(dir) == 0);
}

/* --- JSON --- */

static void json(struct loop_run *run)
{
        json_t *value, *read = NULL;
        char *text = NULL;

        fault_pause();
        /* Names and values that need more room, in any place. */
        value = json_pack("{s:s, s:[i, i], s:{s:s}}", "a name", "a value", "numbers", 1, 2,
                          "a much longer name than the others", "name",
                          "a value that is longer than all that came before it, in one piece");
        loop_check(value != NULL);
        loop_arm(run, NULL);
        for (int tries = 0; text == NULL && tries < TRIES_MAX; tries++) {
                fault_resume();
                text = json_encode(value, JSON_INDENT(2));
                fault_pause();
                run->errors += text == NULL;
        }
        loop_disarm(run);
        fault_pause();
        loop_check(text != NULL);
        read = json_loads(text, 0, NULL);
        loop_check(read != NULL && json_equal(read, value));
        json_decref(read);
        json_decref(value);
        free(text);
}

#define KINDS (1u << FAULT_MALLOC | 1u << FAULT_CALL | 1u << FAULT_SHORT)

int main(int argc, char **argv)
{
        static const struct loop_scenario scenarios[] = {
            {"log", KINDS, logging, NULL},
            {"keys", KINDS, keys, NULL},
            {"json", 1u << FAULT_MALLOC, json, NULL},
            {NULL, 0, NULL, NULL},
        };

        return loop_main(argc, argv, scenarios);
}
