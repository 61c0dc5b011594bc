/* Inside the runtime, and for the one who writes bundles: the verifier's computations.
 *
 * Work is counted in steps. An instruction is one step, and beyond that
 *   comparing two request strings           PV_MAX_STRING
 *   a glob                                  PV_MAX_STRING * words of its state set
 *   a set of the policy                     bits of its number of members, and each of its globs,
 *                                           and those of the set that it excepts
 *   a constant in a set attribute           bits of PV_MAX_MEMBERS
 *   a string in a set attribute             bits of PV_MAX_MEMBERS * PV_MAX_STRING
 *   a set attribute against a set           PV_MAX_MEMBERS * the set
 *   two set attributes                      2 * PV_MAX_MEMBERS * PV_MAX_STRING
 *   comparing versions                      2 * PV_MAX_STRING
 *   a window                                1, and for each alternative 1, twice its days and dates, its
 *                                           clock ranges, and the windows that it refers to
 *
 * The worst case is that of the longest path; no request of any content takes more. */
#ifndef PROVISO_RUNTIME_VERIFY_H
#define PROVISO_RUNTIME_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/proviso.h"

/* The worst-case work of one verdict: the program `decide` of a bundle, from whichever entry is worse, and the clauses
 * of requires with an account where these name more than one. It is what header.bound must say. For the writer: checks
 * all that pv_bundle_load() checks but signature, content hash, zones and header.bound itself, so that the writer never
 * patches a bound into a bundle that the loader would refuse. `data` is 8-byte aligned. *bound is 0 on error. 0 or as
 * pv_bundle_load(). */
PV_API int pv_bundle_compute_bound(const void *data, size_t len, uint64_t *bound, struct pv_error *error);

#endif
