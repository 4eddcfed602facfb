/* program.h - other programs of this machine. */
#ifndef HIF_BASE_PROGRAM_H
#define HIF_BASE_PROGRAM_H

#include <stdbool.h>

/* Would execvp(3) and posix_spawnp(3) find a program of this name? Along PATH, or where the C library
 * looks without one. A name with '/' is a path itself. Directories are no programs. */
bool program_is_there(const char *name);

#endif
