/* The reference evaluator: what a policy decides, by the simplest code that can be right.
 *
 * It walks the syntax tree for every request, looks names up by walking the declarations, and shares nothing with the
 * compiler, the bundle or the VM but that tree. Time is libc's, versions and globs are compared by code of its own. It
 * expects a policy that compiles and a request that `proviso eval` accepts. */
#ifndef PROVISO_TESTS_REFERENCE_EVALUATE_H
#define PROVISO_TESTS_REFERENCE_EVALUATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/load.h"

/* The decision of one request, as the object that `proviso eval` prints (a new reference, the caller frees), NULL where
 * the request cannot be read. */
json_t *reference_decide(const struct pv_program *program, const json_t *request);

/* Whether an instant, seconds since 1970-01-01 UTC, is in a declared window. */
bool reference_in_window(const struct pv_program *program, const char *name, int64_t when);
/* Seconds east of UTC, as libc has them. */
int64_t reference_offset(const char *zone, int64_t when);

/* < 0, 0, > 0 in dpkg's order. */
int reference_dpkg_compare(const char *a, const char *b);
/* A canonical pattern (ast.h) over a whole string. */
int reference_glob(const char *pattern, const char *string);

#endif
