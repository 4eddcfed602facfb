/* machine.c - what this machine offers: ways to mount, and room. */
#include "base/program.h"
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_ERROR   (64ull << 20) /* what a session keeps back for landing */
#define ROOM_WARNING (1ull << 30)
#define FILES_MIN    1000

static bool kernel_knows(struct doctor *doctor, const char *type)
{
        AUTO_BUF struct buf text = {0};
        char line[64];

        if (env_read_file(&doctor->cli->env, "/proc/filesystems", 1u << 16, &text) != HIF_OK)
                return false;
        buf_put_u8(&text, '\0');
        snprintf(line, sizeof(line), "\t%s\n", type);
        return !buf_failed(&text) && strstr((const char *)text.data, line) != NULL;
}

static void nfs(struct doctor *doctor)
{
        bool known = kernel_knows(doctor, "nfs");

        if (geteuid() != 0)
                doctor_say(doctor, "nfs", DOCTOR_OK, NULL,
                           "NFS mounts are root's to make; this user mounts through FUSE");
        else if (!known)
                doctor_say(doctor, "nfs", DOCTOR_OK, NULL,
                           "this kernel has no NFS client, or has not loaded it; mounts go through "
                           "FUSE where it has none");
        else
                doctor_say(doctor, "nfs", DOCTOR_OK, NULL, "the kernel has an NFS client");
}

static void fuse(struct doctor *doctor)
{
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        int error = errno;
        /* Root with a kernel that has NFS does without. */
        enum doctor_severity bad =
            geteuid() == 0 && kernel_knows(doctor, "nfs") ? DOCTOR_NOTE : DOCTOR_ERROR;

        if (fd >= 0)
                close(fd);
        if (fd >= 0)
                doctor_say(doctor, "fuse-device", DOCTOR_OK, NULL, "/dev/fuse can be opened");
        else if (error == EACCES || error == EPERM)
                doctor_say(doctor, "fuse-device", bad,
                           "give this user read and write access to it, or start the container "
                           "with `--device /dev/fuse`",
                           "/dev/fuse may not be opened: %s", strerror(error));
        else
                doctor_say(doctor, "fuse-device", bad,
                           "load the kernel's module (`modprobe fuse`), or start the container "
                           "with `--device /dev/fuse`",
                           "this machine has no working /dev/fuse: %s", strerror(error));
        if (geteuid() == 0)
                return;
        if (program_is_there("fusermount3"))
                doctor_say(doctor, "fusermount3", DOCTOR_OK, NULL, "fusermount3 is installed");
        else
                doctor_say(doctor, "fusermount3", DOCTOR_ERROR, "`apt-get install fuse3`",
                           "fusermount3 is not installed, and only root can mount without it");
}

static void room(struct doctor *doctor, const char *name, const char *what, const char *dir)
{
        struct statvfs st;
        unsigned long long bytes;
        enum doctor_severity severity = DOCTOR_OK;

        if (statvfs(dir, &st) != 0) {
                if (errno != ENOENT) /* made when it is needed */
                        doctor_say(doctor, name, DOCTOR_ERROR, NULL, "'%s' cannot be looked at: %s",
                                   dir, strerror(errno));
                return;
        }
        bytes = (unsigned long long)st.f_bavail * st.f_frsize;
        if (bytes < ROOM_ERROR || (st.f_files > 0 && st.f_favail < FILES_MIN / 10))
                severity = DOCTOR_ERROR;
        else if (bytes < ROOM_WARNING || (st.f_files > 0 && st.f_favail < FILES_MIN))
                severity = DOCTOR_WARNING;
        doctor_say(doctor, name, severity,
                   severity == DOCTOR_OK
                       ? NULL
                       : "make room there; below 64 MiB edits are refused, and landing goes on",
                   "%llu MiB are free for %s in '%s'", bytes >> 20, what, dir);
}

void doctor_machine(struct doctor *doctor)
{
        nfs(doctor);
        fuse(doctor);
        room(doctor, "room", "edits", doctor->cli->paths.state_dir);
        room(doctor, "cache-room", "what was fetched", doctor->cli->paths.cache_dir);
}
