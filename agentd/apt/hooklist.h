/*
 * What apt tells a pre-install hook (DPkg::Pre-Install-Pkgs, protocol version 3), and comparing it with a plan.
 *
 *     VERSION 3\n
 *     apt's configuration, KEY=VALUE lines, then an empty line
 *     NAME OLD OLD-ARCH OLD-MULTIARCH DIRECTION NEW NEW-ARCH NEW-MULTIARCH ACTION
 *
 * "-" stands for a version or architecture that is not there; DIRECTION is <, = or >; ACTION is the path of an archive,
 * **CONFIGURE** or **REMOVE**. See apt.conf(5).
 */
#ifndef PV_AGENTD_APT_HOOKLIST_H
#define PV_AGENTD_APT_HOOKLIST_H

#include "agentd/apt/slice.h"
#include "agentd/plan.h"

/* Gives the SHA-256 of an archive; 0, or -1 when the file cannot be read or is not one to trust. */
typedef int pv_hook_hash(void *context, const char *path, uint8_t hash[32]);

struct pv_hook_verdict {
    char sentence[1024]; /* why not; "" after success */
};

/*
 * 0 when apt's list holds exactly the operations of the plan: each archive with the plan's hash, each removal, nothing
 * missing, nothing else (an archive's **CONFIGURE** line belongs to it). -1 with the sentence on any difference and on
 * any line that does not have the form. The plan must be sorted (pv_plan_parse() leaves it so).
 */
int pv_hook_check(const struct pv_plan *plan, const char *list, size_t len, pv_hook_hash *hash, void *context,
                  struct pv_hook_verdict *verdict);

#endif
