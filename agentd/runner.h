/*
 * The runner: one process per command that the agent starts (libexec/proviso-runner). What the monitor tells it, and
 * what it leaves behind.
 *
 * The monitor gives it the job in a sealed memory file on descriptor 3 and nothing else ever: what was decided is what
 * runs.
 * The runner owns the directory of the run until the command is over:
 *
 *   lock      flock()ed exclusively for the runner's life: a restarted monitor sees here whether the command still runs
 *   output    the command's standard output and error (appended, bounded)
 *   progress  lines of APT::Status-Fd, where asked for
 *   NAME.status   how it ended (struct pv_run_status), written durably and whole, or not there
 *
 * The command writes straight into the files, so neither a slow reader nor the death of the runner or of the monitor
 * can block or break it. The bound on `output` is kept by cutting the file back five times a second.
 *
 * libc only.
 */
#ifndef PV_AGENTD_RUNNER_H
#define PV_AGENTD_RUNNER_H

#include "agentd/wire.h"

/*
 * A job: str run directory (absolute), str name of the step ("refresh", "fetch", "run"), u32 flags (PV_RUN_F_*),
 * u32 uid, u32 gid, u32 n, n x u32 supplementary gid, str working directory (absolute), i64 limit (seconds, 0 for
 * none), i64 hard limit (seconds, 0 for none), u64 bound of the output in bytes, u32 n, n x str argument (element 0 is
 * the absolute path of the program), u32 n, n x str environment NAME=VALUE.
 */

enum {
    PV_RUN_F_DPKG = 1,          /* expiry of the limit does not end it, only that of the hard limit does */
    PV_RUN_F_PROGRESS = 2,      /* descriptor 3 of the command is the progress file */
    PV_RUN_F_END_LEFTOVERS = 4, /* processes that outlive the command's first are ended */
    PV_RUN_F_ALL = 7,
};

enum {
    PV_RUN_JOB_MAX = 4 << 20, /* bytes of an encoded job */
    PV_RUN_ARGS_MAX = 16384,
    PV_RUN_ENV_MAX = 64,
    PV_RUN_GROUPS_MAX = 4096,
    PV_RUN_GRACE = 5,         /* seconds between SIGTERM and SIGKILL */
    PV_RUN_PROGRESS_FD = 3,   /* in the command */
    PV_RUN_STATUS_MAX = 1024, /* bytes of an encoded status */
    PV_RUN_STEP_MAX = 16,     /* characters of a step's name: a to z */
};

struct pv_run_job {
    const char *dir;
    const char *step;
    uint32_t flags;
    uint32_t uid, gid;
    const uint32_t *groups;
    uint32_t n_groups;
    const char *cwd;
    int64_t limit, hard_limit;
    uint64_t output_max;
    const char *const *argv; /* n_argv strings and a NULL */
    uint32_t n_argv;
    const char *const *env; /* n_env strings and a NULL */
    uint32_t n_env;
};

/* Appends the job to `w`; a job over the limits above sets w->overflow. */
void pv_run_job_encode(struct pv_wbuf *w, const struct pv_run_job *job);
/* Decodes a whole job. *memory gets one allocation that everything in *job points into; the caller frees it. 0 or
 * PV_E_WIRE_BAD (or PV_E_WIRE_SYSTEM: out of memory), then *memory is NULL. */
int pv_run_job_decode(struct pv_run_job *job, void **memory, const void *bytes, size_t len);

enum pv_run_end {
    PV_RUN_EXITED = 1, /* by itself; status is its exit status */
    PV_RUN_SIGNALED,   /* by a signal that the runner did not send */
    PV_RUN_EXPIRED,    /* ended by the runner because its time was over */
    PV_RUN_UNSTARTED,  /* could not be started; error says why */
};

struct pv_run_status {
    uint32_t end;    /* enum pv_run_end */
    uint32_t status; /* exit status, 0 unless PV_RUN_EXITED */
    uint32_t signal; /* 0: none */
    bool overran;    /* it ran longer than its limit (PV_RUN_F_DPKG: without being ended) */
    bool truncated;  /* the output was longer than its bound */
    int64_t started; /* seconds since 1970 UTC */
    int64_t ended;
    char error[256];
};

void pv_run_status_encode(struct pv_wbuf *w, const struct pv_run_status *status);
int pv_run_status_decode(struct pv_run_status *status, const void *bytes, size_t len);

#endif
