/*
 * dpkg's log, as far as ownership needs it: which packages were removed since it was looked at last?
 *
 * What was read is marked by the place where it ended and the text in front of that place, never by times: the log is
 * in local time of whoever ran dpkg, and clocks are set back, but its order is the order of things. The mark is looked
 * for in var/log/dpkg.log and, since logs are rotated, in dpkg.log.1; where it is in neither, or a file cannot be read,
 * what has happened is not known, and that is the answer.
 *
 * The marks are libc only (mark.c, for the monitor); reading is the planner's (log.c).
 */
#ifndef PV_AGENTD_APT_LOG_H
#define PV_AGENTD_APT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agentd/wire.h"

enum {
    PV_LOG_TAIL = 512,          /* bytes in front of a mark that are compared: several lines, each with its time */
    PV_LOG_MAX = 512 << 20,     /* bytes of one file; a longer one is not read */
    PV_LOG_REMOVED_MAX = 65536, /* removals in one answer */
    PV_LOG_MOMENT = sizeof "YYYY-MM-DD HH:MM:SS",
    PV_LOG_MARK_MAX = 64 + PV_LOG_TAIL, /* bytes of an encoded mark */
};

/* Where reading ended. offset 0: there was no log, or nothing in it. */
struct pv_log_mark {
    bool known; /* false: the log was never read, or could not be */
    uint64_t offset;
    size_t n_tail;
    uint8_t tail[PV_LOG_TAIL]; /* what is in front of offset: PV_LOG_TAIL bytes, or all there is */
};

/* bool known, u64 offset, bytes tail. */
void pv_log_mark_encode(struct pv_wbuf *w, const struct pv_log_mark *mark);
/* False (and *mark unknown) when it is not a mark. */
bool pv_log_mark_decode(struct pv_rbuf *r, struct pv_log_mark *mark);
bool pv_log_mark_same(const struct pv_log_mark *a, const struct pv_log_mark *b);

/* One removal: not installed from `moment` on (the log's local time). Nonzero ends the reading. */
typedef int pv_log_sink(void *context, const char *name, const char *arch, const char *moment);

/*
 * Tells of every removal after `from` in the log below root ("/" or an absolute path), oldest first, and sets *to where
 * the reading ended. True when nothing can have been missed; else false with a sentence in why: some may have been told
 * even so, and *to is known if the next reading can go on from there.
 */
bool pv_log_read(const char *root, const struct pv_log_mark *from, struct pv_log_mark *to, pv_log_sink *sink,
                 void *context, char *why, size_t size);

#endif
