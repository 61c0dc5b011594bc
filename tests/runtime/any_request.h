/* Requests of any content for a bundle of any content: every slot left alone, absent, unknown, or a value near those
 * that the bundle's own tables hold, chosen by a stream of bytes or, when it has ended, by numbers that follow from it.
 * The same bytes give the same request. */
#ifndef PROVISO_TESTS_RUNTIME_ANY_REQUEST_H
#define PROVISO_TESTS_RUNTIME_ANY_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/proviso.h"

struct any_choices {
    const uint8_t *data;
    size_t len, at;
    uint64_t state;
};

void any_choices_init(struct any_choices *choices, const uint8_t *data, size_t len);
unsigned any_below(struct any_choices *choices, unsigned n); /* 0 .. n - 1 */

#define ANY_MEMBERS 4u
struct any_storage {
    struct pv_str members[256][ANY_MEMBERS];
};

enum {
    ANY_UNKNOWN = 1,  /* some slots are set unknown */
    ANY_COMPLETE = 2, /* no slot that must be given is absent: most requests pass pv_request_check() */
};

/* Resets the request and fills it. `storage` is kept by the caller as long as the request is used. */
void any_request(struct pv_request *request, struct any_storage *storage, struct any_choices *choices, unsigned flags);

/* Everything that a loaded bundle and a request can be asked, for its effects on memory. Aborts where answers
 * contradict each other: the verdict and the decision of a request that is complete (only if `compiled`: a bundle made
 * by hand may hold two programs that say different things). */
void any_exercise(const struct pv_bundle *bundle, struct any_choices *choices, unsigned n_requests, int compiled);

#endif
