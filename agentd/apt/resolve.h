/*
 * From a request to a plan: what the planner does between reading a frame and answering it. See resolve.c for how, and
 * agentd/wire.h and agentd/plan.h for the frames and their terms.
 */
#ifndef PV_AGENTD_APT_RESOLVE_H
#define PV_AGENTD_APT_RESOLVE_H

#include "agentd/apt/catalog.h"
#include "agentd/apt/name.h"
#include "agentd/plan.h"

struct pv_wanted {
    char name[PV_APT_NAME_MAX + 1];
    char arch[PV_APT_ARCH_MAX + 1];
    char version[PV_APT_VERSION_MAX + 1];
};

struct pv_plan_source {
    char name[PV_APT_SOURCE_MAX + 1];
    int64_t priority;
    bool dependency_only;
};

struct pv_plan_request {
    enum pv_planner_kind kind;
    enum pv_planner_verb verb;
    uint32_t flags;
    char root[PV_PLAN_PATH_MAX + 1];
    char apt_conf[PV_PLAN_PATH_MAX + 1];
    struct pv_plan_source sources[PV_PLAN_SOURCES_MAX];
    size_t n_sources;
    struct pv_wanted packages[PV_PLAN_REQUEST_MAX];
    size_t n_packages;
};

/* Why there is no answer. */
struct pv_plan_failure {
    enum pv_planner_error code;
    char subject[PV_APT_NAME_MAX + PV_APT_ARCH_MAX + 2];
    char sentence[512];
    char detail[PV_PLAN_DETAIL_MAX + 1];
};

/* Reads the payload of PV_MSG_PLAN_REQUEST. 0, or -1 with the failure filled in (a malformed name is told by name). */
int pv_plan_request_decode(struct pv_plan_request *request, const void *payload, size_t len,
                           struct pv_plan_failure *failure);

/* Makes the plan of a PV_PLANNER_PLAN request. 0 (an empty plan: nothing to do), or -1 with the failure. */
int pv_plan_resolve(const struct pv_plan_request *request, struct pv_plan *plan, struct pv_plan_failure *failure);

/* Answers the other kinds: one call of `give` for each package, which returns 0 to go on. 0, or -1 with the failure. */
typedef int pv_state_sink(void *context, const struct pv_plan_state *state);
int pv_plan_states(const struct pv_plan_request *request, pv_state_sink *give, void *context,
                   struct pv_plan_failure *failure);

#endif
