/* Small ordered sets of slots, never changed once made: what is known, what is read. */
#include "engine/sema.h"

#include <string.h>

const struct pv_slots pv_no_slots = {0};

static struct pv_slots *with_room(struct pv_sema *sema, uint32_t n)
{
    return pv_arena_alloc(sema->arena, sizeof(struct pv_slots) + n * sizeof(uint16_t));
}

bool pv_slots_hold(const struct pv_slots *slots, uint16_t slot)
{
    uint32_t low = 0, high = slots->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slots->slot[middle] == slot)
            return true;
        if (slots->slot[middle] < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const struct pv_slots *pv_slots_one(struct pv_sema *sema, uint16_t slot)
{
    struct pv_slots *one = with_room(sema, 1);
    one->n = 1;
    one->slot[0] = slot;
    return one;
}

static bool contains_all(const struct pv_slots *a, const struct pv_slots *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (!pv_slots_hold(a, b->slot[i]))
            return false;
    return true;
}

const struct pv_slots *pv_slots_union(struct pv_sema *sema, const struct pv_slots *a, const struct pv_slots *b)
{
    if (contains_all(a, b))
        return a;
    if (contains_all(b, a))
        return b;
    struct pv_slots *all = with_room(sema, a->n + b->n);
    uint32_t i = 0, k = 0;
    while (i < a->n || k < b->n) {
        uint32_t from_a = i < a->n ? a->slot[i] : UINT32_MAX, from_b = k < b->n ? b->slot[k] : UINT32_MAX;
        all->slot[all->n++] = (uint16_t)(from_a < from_b ? from_a : from_b);
        i += from_a <= from_b;
        k += from_b <= from_a;
    }
    return all;
}

const struct pv_slots *pv_slots_both(struct pv_sema *sema, const struct pv_slots *a, const struct pv_slots *b)
{
    if (a == b || contains_all(b, a))
        return a;
    struct pv_slots *both = with_room(sema, a->n);
    for (uint32_t i = 0; i < a->n; i++)
        if (pv_slots_hold(b, a->slot[i]))
            both->slot[both->n++] = a->slot[i];
    return both->n ? both : &pv_no_slots;
}
