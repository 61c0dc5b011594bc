/* Marks in dpkg's log; see log.h. */
#include "agentd/apt/log.h"

#include <string.h>

void pv_log_mark_encode(struct pv_wbuf *w, const struct pv_log_mark *mark)
{
    pv_put_bool(w, mark->known);
    pv_put_u64(w, mark->offset);
    pv_put_bytes(w, mark->tail, mark->n_tail);
}

bool pv_log_mark_decode(struct pv_rbuf *r, struct pv_log_mark *mark)
{
    *mark = (struct pv_log_mark){.known = pv_get_bool(r)};
    mark->offset = pv_get_u64(r);
    const uint8_t *tail = pv_get_bytes(r, PV_LOG_TAIL, &mark->n_tail);
    uint64_t expected = mark->offset < PV_LOG_TAIL ? mark->offset : PV_LOG_TAIL;
    if (r->error || mark->offset > PV_LOG_MAX || mark->n_tail != expected) {
        r->error = true;
        *mark = (struct pv_log_mark){0};
        return false;
    }
    if (mark->n_tail)
        memcpy(mark->tail, tail, mark->n_tail);
    return true;
}

bool pv_log_mark_same(const struct pv_log_mark *a, const struct pv_log_mark *b)
{
    return a->known == b->known && a->offset == b->offset && a->n_tail == b->n_tail &&
           memcmp(a->tail, b->tail, a->n_tail) == 0;
}
