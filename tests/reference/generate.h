/* Random policies and requests for differential tests: well-typed by construction, and aimed at each other, since
 * requests are made of the names, limits and times that the policies mention, and of their neighbours. The same seed
 * gives the same text. */
#ifndef PROVISO_TESTS_REFERENCE_GENERATE_H
#define PROVISO_TESTS_REFERENCE_GENERATE_H

#include <stdint.h>
#include <stdio.h>

/* A whole policy with up to max_rules rules; it imports std/apt.policy. */
void generate_policy(FILE *out, uint64_t seed, unsigned max_rules);
/* A policy of n windows, w0 to wN, of any form, and a rule of the same name that denies during each. */
void generate_windows(FILE *out, uint64_t seed, const char *zone, unsigned n);
/* One request a line, as `proviso eval --requests` reads them. */
void generate_requests(FILE *out, uint64_t seed, unsigned n);

#endif
