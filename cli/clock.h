/* clock.h - how long something takes. */
#ifndef HIF_CLI_CLOCK_H
#define HIF_CLI_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void); /* CLOCK_MONOTONIC */

#endif
