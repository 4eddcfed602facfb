/* faulty.h - for the files that stand before the system's calls: faulty_calls.c, faulty_transfers.c. */
#ifndef HIF_TESTS_FAULTS_FAULTY_H
#define HIF_TESTS_FAULTS_FAULTY_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define ERRORS_MAX  4
#define ERRORS(...) ((const int[ERRORS_MAX]){__VA_ARGS__})

/* Does it fail (FAULT_CALL)? errno is one of the errors then, which end with 0. */
bool call_fails(const char *name, const int errors[ERRORS_MAX]);

/* type name(parameters): `failed` is what it returns then. */
#define STAND_BEFORE(type, name, parameters, arguments, failed, errors)                            \
        type name parameters                                                                       \
        {                                                                                          \
                static type(*real) parameters;                                                     \
                                                                                                   \
                if (real == NULL)                                                                  \
                        *(void **)&real = dlsym(RTLD_NEXT, #name);                                 \
                return call_fails(#name, errors) ? (failed) : real arguments;                      \
        }

#endif
