#include "base/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/bin:/usr/bin" /* confstr(_CS_PATH) */

static bool is_program(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool program_is_there(const char *name)
{
        const char *path = getenv("PATH");
        char full[PATH_MAX];

        if (name[0] == '\0')
                return false;
        if (strchr(name, '/') != NULL)
                return is_program(name);
        path = path != NULL ? path : DEFAULT_PATH;
        for (;;) {
                size_t size = strcspn(path, ":");
                /* An empty entry is the current directory. */
                int needs = size == 0
                                ? snprintf(full, sizeof(full), "%s", name)
                                : snprintf(full, sizeof(full), "%.*s/%s", (int)size, path, name);

                if (needs < (int)sizeof(full) && is_program(full))
                        return true;
                if (path[size] == '\0')
                        return false;
                path += size + 1;
        }
}
