/* A piece of somebody's bytes, not terminated. */
#ifndef PV_AGENTD_APT_SLICE_H
#define PV_AGENTD_APT_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct pv_slice {
    const char *at;
    size_t len;
};

static inline bool pv_slice_is(struct pv_slice slice, const char *text)
{
    return slice.len == strlen(text) && (slice.len == 0 || memcmp(slice.at, text, slice.len) == 0);
}

static inline bool pv_slice_same(struct pv_slice a, struct pv_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
