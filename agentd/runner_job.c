/*
 * Encodings of the runner's job and status; see runner.h. Used by the monitor and by the runner, so that they agree.
 */
#include "agentd/runner.h"

#include <stdlib.h>
#include <string.h>

static const char status_magic[8] = "PVRUNST1";

void pv_run_job_encode(struct pv_wbuf *w, const struct pv_run_job *job)
{
    if (job->n_argv == 0 || job->n_argv > PV_RUN_ARGS_MAX || job->n_env > PV_RUN_ENV_MAX ||
        job->n_groups > PV_RUN_GROUPS_MAX || (job->flags & ~(uint32_t)PV_RUN_F_ALL)) {
        w->overflow = true;
        return;
    }
    pv_put_cstr(w, job->dir);
    pv_put_cstr(w, job->step);
    pv_put_u32(w, job->flags);
    pv_put_u32(w, job->uid);
    pv_put_u32(w, job->gid);
    pv_put_u32(w, job->n_groups);
    for (uint32_t i = 0; i < job->n_groups; i++)
        pv_put_u32(w, job->groups[i]);
    pv_put_cstr(w, job->cwd);
    pv_put_i64(w, job->limit);
    pv_put_i64(w, job->hard_limit);
    pv_put_u64(w, job->output_max);
    pv_put_u32(w, job->n_argv);
    for (uint32_t i = 0; i < job->n_argv; i++)
        pv_put_cstr(w, job->argv[i]);
    pv_put_u32(w, job->n_env);
    for (uint32_t i = 0; i < job->n_env; i++)
        pv_put_cstr(w, job->env[i]);
}

/* Everything of a decoded job in one allocation: the arrays first, then the strings. A string takes 4 bytes in front of
 * it in the encoding and 1 behind it here, so `len` bytes are enough for all of them. */
struct storage {
    const char *argv[PV_RUN_ARGS_MAX + 1];
    const char *env[PV_RUN_ENV_MAX + 1];
    uint32_t groups[PV_RUN_GROUPS_MAX];
    size_t used, size;
    char text[];
};

static const char *copy_str(struct pv_rbuf *r, struct storage *s)
{
    size_t len;
    const char *text = pv_get_str(r, PV_RUN_JOB_MAX, &len);
    if (!text || len >= s->size - s->used) {
        r->error = true;
        return "";
    }
    char *copy = s->text + s->used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    s->used += len + 1;
    return copy;
}

static bool step_valid(const char *step)
{
    size_t len = strlen(step);
    return len > 0 && len <= PV_RUN_STEP_MAX && strspn(step, "abcdefghijklmnopqrstuvwxyz") == len;
}

int pv_run_job_decode(struct pv_run_job *job, void **memory, const void *bytes, size_t len)
{
    memset(job, 0, sizeof *job);
    *memory = NULL;
    if (len > PV_RUN_JOB_MAX)
        return PV_E_WIRE_BAD;
    struct storage *s = calloc(1, sizeof *s + len);
    if (!s)
        return PV_E_WIRE_SYSTEM;
    s->size = len;
    struct pv_rbuf r;
    pv_rbuf_init(&r, bytes, len);
    job->dir = copy_str(&r, s);
    job->step = copy_str(&r, s);
    job->flags = pv_get_u32(&r);
    job->uid = pv_get_u32(&r);
    job->gid = pv_get_u32(&r);
    job->n_groups = pv_get_u32_max(&r, PV_RUN_GROUPS_MAX);
    for (uint32_t i = 0; i < job->n_groups; i++)
        s->groups[i] = pv_get_u32(&r);
    job->groups = s->groups;
    job->cwd = copy_str(&r, s);
    job->limit = pv_get_i64(&r);
    job->hard_limit = pv_get_i64(&r);
    job->output_max = pv_get_u64(&r);
    job->n_argv = pv_get_u32_max(&r, PV_RUN_ARGS_MAX);
    for (uint32_t i = 0; i < job->n_argv; i++)
        s->argv[i] = copy_str(&r, s);
    job->argv = s->argv;
    job->n_env = pv_get_u32_max(&r, PV_RUN_ENV_MAX);
    for (uint32_t i = 0; i < job->n_env; i++)
        s->env[i] = copy_str(&r, s);
    job->env = s->env;
    if (!pv_rbuf_done(&r) || job->n_argv == 0 || s->argv[0][0] != '/' || job->dir[0] != '/' || job->cwd[0] != '/' ||
        !step_valid(job->step) || (job->flags & ~(uint32_t)PV_RUN_F_ALL) || job->limit < 0 || job->hard_limit < 0 ||
        job->uid == UINT32_MAX || job->gid == UINT32_MAX) {
        free(s);
        memset(job, 0, sizeof *job);
        return PV_E_WIRE_BAD;
    }
    *memory = s;
    return 0;
}

void pv_run_status_encode(struct pv_wbuf *w, const struct pv_run_status *status)
{
    pv_put_raw(w, status_magic, sizeof status_magic);
    pv_put_u32(w, status->end);
    pv_put_u32(w, status->status);
    pv_put_u32(w, status->signal);
    pv_put_bool(w, status->overran);
    pv_put_bool(w, status->truncated);
    pv_put_i64(w, status->started);
    pv_put_i64(w, status->ended);
    pv_put_cstr(w, status->error);
}

int pv_run_status_decode(struct pv_run_status *status, const void *bytes, size_t len)
{
    char magic[sizeof status_magic];
    struct pv_rbuf r;
    memset(status, 0, sizeof *status);
    pv_rbuf_init(&r, bytes, len);
    pv_get_raw(&r, magic, sizeof magic);
    status->end = pv_get_u32_max(&r, PV_RUN_UNSTARTED);
    status->status = pv_get_u32_max(&r, 255);
    status->signal = pv_get_u32_max(&r, 64);
    status->overran = pv_get_bool(&r);
    status->truncated = pv_get_bool(&r);
    status->started = pv_get_i64(&r);
    status->ended = pv_get_i64(&r);
    pv_get_str_copy(&r, status->error, sizeof status->error);
    if (!pv_rbuf_done(&r) || status->end == 0 || memcmp(magic, status_magic, sizeof magic) != 0) {
        memset(status, 0, sizeof *status);
        return PV_E_WIRE_BAD;
    }
    return 0;
}
