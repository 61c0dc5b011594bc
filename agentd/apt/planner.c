/*
 * proviso-planner: answers the monitor's questions about apt and dpkg.
 *
 * Runs as its own account without any privilege, reads root-owned indexes and dpkg's database, writes nothing. It
 * serves requests on descriptor 3 until that is closed; a malformed frame is answered with an error where it can be,
 * and ends it otherwise. See agentd/wire.h for the frames.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "agentd/apt/log.h"
#include "agentd/apt/resolve.h"
#include "agentd/wire.h"

enum { SERVICE_FD = 3 };

static uint8_t in[PV_WIRE_MAX], out[PV_WIRE_MAX];

static int send_failure(const struct pv_plan_failure *f)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u32(&w, (uint32_t)f->code);
    pv_put_cstr(&w, f->subject);
    pv_put_cstr(&w, f->sentence);
    pv_put_cstr(&w, f->detail);
    return pv_frame_send(SERVICE_FD, PV_MSG_PLAN_ERROR, &w, NULL, 0);
}

static int send_done(uint32_t n)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u32(&w, n);
    return pv_frame_send(SERVICE_FD, PV_MSG_PLAN_DONE, &w, NULL, 0);
}

static int send_plan(const struct pv_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        struct pv_wbuf w;
        pv_wbuf_init(&w, out, sizeof out);
        pv_plan_op_encode(&w, &plan->ops[i]);
        int result = pv_frame_send(SERVICE_FD, PV_MSG_PLAN_OP, &w, NULL, 0);
        if (result)
            return result;
    }
    return send_done((uint32_t)plan->n_ops);
}

static int send_state(void *context, const struct pv_plan_state *state)
{
    uint32_t *n = context;
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_plan_state_encode(&w, state);
    (*n)++;
    return pv_frame_send(SERVICE_FD, PV_MSG_PLAN_STATE_ITEM, &w, NULL, 0);
}

static int answer(const uint8_t *payload, size_t len)
{
    static struct pv_plan_request request;
    static struct pv_plan_failure failure;
    struct pv_plan plan = {0};
    uint32_t n = 0;
    int result;
    if (pv_plan_request_decode(&request, payload, len, &failure))
        return send_failure(&failure);
    if (request.kind != PV_PLANNER_PLAN)
        return pv_plan_states(&request, send_state, &n, &failure) ? send_failure(&failure) : send_done(n);
    result = pv_plan_resolve(&request, &plan, &failure) ? send_failure(&failure) : send_plan(&plan);
    pv_plan_clear(&plan);
    return result;
}

struct removals {
    uint32_t n;
    int result; /* of the last frame */
};

static int send_removed(void *context, const char *name, const char *arch, const char *moment)
{
    struct removals *removals = context;
    struct pv_wbuf w;
    if (removals->n++ == PV_LOG_REMOVED_MAX)
        return -1;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_cstr(&w, name);
    pv_put_cstr(&w, arch);
    pv_put_cstr(&w, moment);
    removals->result = pv_frame_send(SERVICE_FD, PV_MSG_LOG_REMOVED, &w, NULL, 0);
    return removals->result;
}

static int answer_log(const uint8_t *payload, size_t len)
{
    char root[PV_PLAN_PATH_MAX + 1], why[512];
    struct pv_log_mark from, to;
    struct removals removals = {0};
    struct pv_rbuf r;
    struct pv_wbuf w;
    pv_rbuf_init(&r, payload, len);
    if (!pv_get_str_copy(&r, root, sizeof root) || !pv_log_mark_decode(&r, &from) || !pv_rbuf_done(&r) ||
        root[0] != '/')
        return PV_E_WIRE_BAD;
    bool complete = pv_log_read(root, &from, &to, send_removed, &removals, why, sizeof why);
    if (removals.result)
        return removals.result;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_bool(&w, complete);
    pv_put_cstr(&w, why);
    pv_log_mark_encode(&w, &to);
    return pv_frame_send(SERVICE_FD, PV_MSG_LOG_END, &w, NULL, 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    for (;;) {
        uint32_t type;
        size_t len;
        int result = pv_frame_recv(SERVICE_FD, in, sizeof in, &type, &len, NULL, 0, NULL);
        if (result == PV_E_WIRE_CLOSED)
            return 0;
        if (result || (type != PV_MSG_PLAN_REQUEST && type != PV_MSG_LOG_REQUEST)) {
            fprintf(stderr, "proviso-planner: %s\n", result ? pv_wire_strerror(result) : "a frame that is no request");
            return 1;
        }
        result = type == PV_MSG_LOG_REQUEST ? answer_log(in, len) : answer(in, len);
        if (result) {
            fprintf(stderr, "proviso-planner: %s\n", pv_wire_strerror(result));
            return result == PV_E_WIRE_CLOSED ? 0 : 1;
        }
    }
}
