/* Inside changes.c and changes_collect.c: the changes of a request that are worth a try. */
#ifndef PROVISO_ENGINE_CLI_CHANGES_H
#define PROVISO_ENGINE_CLI_CHANGES_H

#include "engine/cli/cli.h"

#define PV_CLI_MAX_CHANGES 128u /* single changes that are tried */
#define PV_CLI_MAX_CLOCKS  32u  /* times of a day at which windows and rules change */
#define PV_CLI_MAX_ZONES   4u

/* Who can bring a change about, the nearest first. */
enum pv_cli_by { PV_CLI_BY_REQUESTER, PV_CLI_BY_CIRCUMSTANCES, PV_CLI_BY_ADMINISTRATOR };

/* A new value of one slot; PV_A_TIME_DATE stands for the time, value.number is the instant. */
struct pv_cli_change {
    uint16_t slot;
    enum pv_cli_by by;
    struct pv_value value;
};

struct pv_cli_candidates {
    const struct pv_bundle *bundle;
    const struct pv_request *request;
    const struct pvb_attr *attrs;
    struct pv_cli_change changes[PV_CLI_MAX_CHANGES];
    size_t n;
    bool reads_time;                   /* later moments are worth a try too: */
    int32_t clocks[PV_CLI_MAX_CLOCKS]; /* at these seconds of a day, */
    uint32_t n_clocks;
    uint32_t zones[PV_CLI_MAX_ZONES]; /* in these zones */
    uint32_t n_zones;
    void **blocks;
    size_t n_blocks;
    bool failed; /* no memory */
};

/* Collects what might turn a denial into an allow: the values that turn over the tests of the rules that deny, and
 * those that fail in the allows nearest to matching. Of one slot, numbers nearest to what they are come first. */
void pv_cli_candidates_collect(struct pv_cli_candidates *all, const struct pv_request *request,
                               const struct pv_decision *decision);
void pv_cli_candidates_free(struct pv_cli_candidates *all);

#endif
