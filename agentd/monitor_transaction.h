/*
 * A package transaction's state, between the two files that carry it out: monitor_transaction.c (from the lock to a
 * decision on a plan) and monitor_apply.c (from there to what dpkg's database says afterwards). Needs monitor.h.
 */
#ifndef PV_AGENTD_MONITOR_TRANSACTION_H
#define PV_AGENTD_MONITOR_TRANSACTION_H

#include "agentd/monitor.h"

struct chosen_source {
    struct pv_apt_source apt;
    int64_t priority; /* lower goes first, 0 last */
    bool dependency_only, excluded;
};

/* What the planner is asked now. */
enum question { ASK_PLAN, ASK_NAMES, ASK_STATE };

struct denial {
    struct operation *operations;
    uint32_t n_operations;
    struct pv_record_verdict verdict;
    const char *sentence;
    struct pv_record_attr *attrs;
    uint32_t n_attrs;
    bool kept;
};

struct transaction {
    struct chosen_source *sources;
    size_t n_sources;
    char set_dir[512];
    bool refreshed; /* in this transaction: not twice for one set */
    bool made_dir;
    uint32_t flags; /* PV_PLANNER_F_* */
    unsigned attempts;
    bool everything;    /* an upgrade of everything */
    const char **names; /* what is asked of the planner */
    uint32_t n_names;
    struct operation *held; /* dropped from an upgrade of everything */
    uint32_t n_held;
    const char **manual; /* installed dependencies that were asked for by name: NAME:ARCH */
    size_t n_manual;
    enum question question;
    struct pv_plan plan;
    struct pv_plan_state *states;
    size_t n_states, cap_states, asked_states;
    struct denial first;
    struct pv_timer look; /* at dpkg's lock */
    unsigned looks;
    /* how apply ended, until the state is known */
    struct pv_run_status status;
    bool has_status, unseen;
    bool recovered;
};

/* ---- monitor_transaction.c ---- */

/* Makes or completes the directory of the present set of sources. 0, or -1 with a sentence. */
int pv_mon_transaction_set(struct request *r, char *why, size_t size);
/* Starts one of root's apt commands as a step of the run. limit in seconds. 0 or -1. */
int pv_mon_transaction_step(struct request *r, enum pv_apt_step step, const char *name, uint32_t flags, int64_t limit,
                            const char *const *names, size_t n_names,
                            void (*ended)(struct request *r, const struct pv_run_status *status));
/* Asks the planner; the answer to ASK_STATE is pv_mon_transaction_reconciled(). */
void pv_mon_transaction_ask(struct request *r, enum question question);

/* Ends the request for want of memory, on record or not. */
void pv_mon_transaction_no_memory(struct request *r);
bool pv_mon_transaction_listed(const char *const *names, uint32_t n, const char *name);

/* ---- monitor_apply.c ---- */

/* dpkg's state is in r->transaction->states, or is not to be had. */
void pv_mon_transaction_reconciled(struct request *r, bool known);

#endif
