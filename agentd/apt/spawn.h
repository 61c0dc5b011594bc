/* Runs a program with a fixed vector and environment, standard input from /dev/null, and keeps its bounded output. */
#ifndef PV_AGENTD_APT_SPAWN_H
#define PV_AGENTD_APT_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PV_SPAWN_OUT_MAX = 8 << 20, /* bytes of standard output; a plan of 4096 operations has under 2 MB */
    PV_SPAWN_ERR_MAX = 256 << 10,
};

struct pv_spawned {
    char *out, *err; /* terminated, with their lengths; free with pv_spawned_free() */
    size_t out_len, err_len;
    int status;    /* exit status, or 128 + signal */
    bool expired;  /* ended because the deadline passed */
    bool too_long; /* ended because it wrote more than the bounds */
};

/* 0, or -1 when the program could not be run at all (errno). The whole process group ends with the deadline. `give` is
 * a descriptor that becomes number 3 in the program, or -1: then it has none besides the first three. */
int pv_spawn_capture(struct pv_spawned *result, const char *const *argv, const char *const *envp, int give,
                     int seconds);
void pv_spawned_free(struct pv_spawned *result);

#endif
