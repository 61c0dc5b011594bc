/*
 * The output of `apt-get -s -qq`, read as hostile text: one grammar, and a line that does not have it fails the plan.
 *
 *     Inst NAME[:ARCH] [[OLD] ](NEW RELEASES [ARCH])TAIL
 *     Conf NAME[:ARCH] (NEW RELEASES [ARCH])TAIL
 *     Remv NAME[:ARCH] [OLD]TAIL          Purg NAME[:ARCH] [OLD]TAIL
 *     TAIL: any number of ` [names]`, what is broken at that moment
 *
 * RELEASES is what the repositories' Release files say of themselves, and it is ignored. What is used stands in front
 * of it, but for ARCH, which is looked up in an index afterwards like everything else.
 */
#ifndef PV_AGENTD_APT_SIMULATE_H
#define PV_AGENTD_APT_SIMULATE_H

#include "agentd/apt/slice.h"

enum pv_sim_kind { PV_SIM_INST = 1, PV_SIM_CONF, PV_SIM_REMV, PV_SIM_PURG };

struct pv_sim_line {
    enum pv_sim_kind kind;
    struct pv_slice name;
    struct pv_slice name_arch; /* after the name's colon, empty for the native architecture */
    struct pv_slice old;       /* empty: absent */
    struct pv_slice new;
    struct pv_slice arch; /* of the new version; empty for removals */
};

/* The next line. 1 read, 0 the end, -1 a line without the form above: it is in *raw. */
int pv_sim_next(const char *data, size_t len, size_t *at, struct pv_sim_line *line, struct pv_slice *raw);

#endif
