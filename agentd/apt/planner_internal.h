/*
 * What the files of the planner share: the working state of one request. Not for anybody else.
 *
 *   request.c  reading the request, telling why there is no answer
 *   machine.c  status file, indexes, programs: loading them and looking things up
 *   choose.c   which version of what is asked for
 *   order.c    the sources' order, as pins
 *   solve.c    apt's turn, and reading what it says
 *   wanted.c   who wanted what
 *   resolve.c  a request to a plan, in order
 *   states.c   facts without a plan
 */
#ifndef PV_AGENTD_APT_PLANNER_INTERNAL_H
#define PV_AGENTD_APT_PLANNER_INTERNAL_H

#include "agentd/apt/catalog.h"
#include "agentd/apt/internal.h"
#include "agentd/apt/resolve.h"
#include "agentd/apt/spawn.h"
#include "agentd/plan.h"

static inline struct pv_slice pv_slice_of(const char *text)
{
    return (struct pv_slice){text, strlen(text)};
}

struct resolver {
    const struct pv_plan_request *request;
    struct pv_plan_failure *failure;
    struct pv_catalog catalog;
    struct pv_catalog automatic; /* apt's extended_states: stanzas by name */
    char native[PV_APT_ARCH_MAX + 1];
    /* Per package of the request: what is asked of apt. */
    struct {
        struct pv_slice name, arch, version;
        bool skip; /* nothing to do for it */
    } chosen[PV_PLAN_REQUEST_MAX];
    int pins; /* a memory file of apt preferences, or -1 */
};

struct candidate {
    struct pv_facts facts;
    int source;
};

/* What to look for. */
struct wish {
    struct pv_slice name, arch;
    struct pv_slice version; /* exactly this one; empty: any */
    struct pv_slice above;   /* versions above this one; empty: any */
    bool dependency;         /* dependency-only sources may satisfy it */
};

/* One operation and where its facts are: the plan's working form. */
struct step {
    enum pv_plan_action action;
    struct pv_facts facts; /* of the entry in the index, or of the installed package for a removal */
    struct pv_facts here;  /* of the installed package */
    int source;
    bool asked;
    bool root; /* where the closure of wanted_by starts */
};

struct steps {
    struct step *all;
    size_t n, cap;
};

/* A slice's texts, terminated, for a structure that wants them so. */
struct texts {
    char name[PV_APT_NAME_MAX + 1], arch[PV_APT_ARCH_MAX + 1], old[PV_APT_VERSION_MAX + 1], new[PV_APT_VERSION_MAX + 1],
        section[256], filename[PV_PLAN_PATH_MAX + 1];
};

/* request.c */
/* Fills in the failure, without a detail; always -1. */
__attribute__((format(printf, 4, 5))) int pv_planner_fail(struct pv_plan_failure *f, enum pv_planner_error code,
                                                          const char *subject, const char *format, ...);
/* Keeps hostile lines as the failure's detail, escaped. */
void pv_planner_detail(struct pv_plan_failure *f, const char *text, size_t len);
/* Copies, terminated and cut to size; returns dst. */
const char *pv_planner_copy(char *dst, size_t size, struct pv_slice s);

/* machine.c: 0, or -1 with the failure, where nothing else is said */
int pv_planner_run(struct resolver *v, const char *const *argv, int seconds, struct pv_spawned *result);
int pv_planner_native(struct resolver *v);
int pv_planner_load_status(struct resolver *v);
int pv_planner_load_indexes(struct resolver *v);
/* "all" belongs to every architecture, the empty one is the native one. */
bool pv_planner_arch_fits(const struct resolver *v, struct pv_slice arch, struct pv_slice wanted);
/* The installed (or, if only that is left, config-files) package. False, and zeroes, when there is none. */
bool pv_planner_installed(struct resolver *v, struct pv_slice name, struct pv_slice arch, struct pv_facts *facts);
bool pv_planner_automatic(struct resolver *v, struct pv_slice name, struct pv_slice arch);
/* The best candidate: by the sources' priorities, then the highest version. 1 found, 0 none, -1 failed. */
int pv_planner_candidate(struct resolver *v, const struct wish *wish, struct candidate *best);
/* Releases everything and v itself. */
void pv_planner_clear(struct resolver *v);

/* choose.c: fills v->chosen[i] */
int pv_planner_choose_install(struct resolver *v, size_t i);
int pv_planner_choose_removal(struct resolver *v, size_t i);

/* order.c: v->pins */
int pv_planner_pins(struct resolver *v);
void pv_planner_drop_pins(struct resolver *v);

/* solve.c: steps->all is the caller's to free, also after an error */
int pv_planner_solve(struct resolver *v, struct steps *steps);

/* wanted.c: matrix[k * steps->n + i] becomes 1 where roots[k] brought step i about; the matrix starts with zeroes */
int pv_planner_reach(struct resolver *v, const struct steps *steps, uint8_t *matrix, const size_t *roots,
                     size_t n_roots);

#endif
