/*
 * A clock that is off by FAKE_CLOCK_OFFSET seconds, for a program that a test starts with LD_PRELOAD.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ts)
{
    const char *offset = getenv("FAKE_CLOCK_OFFSET");
    if (syscall(SYS_clock_gettime, clock, ts) < 0)
        return -1;
    if (clock == CLOCK_REALTIME && offset)
        ts->tv_sec += strtol(offset, NULL, 10);
    return 0;
}
