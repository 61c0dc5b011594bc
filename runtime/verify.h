/* Inside the runtime, and for the one who writes bundles: the verifier's computations. */
#ifndef PROVISO_RUNTIME_VERIFY_H
#define PROVISO_RUNTIME_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/proviso.h"

/* The worst-case work of one decision by the program `decide` of a bundle, from whichever entry is worse: what
 * header.bound must say. For the writer: checks all that pv_bundle_load() checks but signature, content hash, zones and
 * header.bound itself, so that the writer never patches a bound into a bundle that the loader would refuse.
 * `data` is 8-byte aligned. *bound is 0 on error. 0 or as pv_bundle_load(). */
PV_API int pv_bundle_compute_bound(const void *data, size_t len, uint64_t *bound, struct pv_error *error);

#endif
