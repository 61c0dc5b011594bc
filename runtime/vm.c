/* The machine. One function evaluates a test, two loops use it: `decide` follows jumps to an effect, `clauses` works on
 * a stack of truth values. Nothing is checked here that the verifier has made sure of: operands are in their tables,
 * jumps go forward and end in `return`, the stack fits.
 *
 * A test of an attribute that is absent or not known is unknown, but that `has` tells absent from present. `decide`
 * takes a jump on true alone. */
#include "runtime/internal.h"

#include <assert.h>

#ifdef PV_COUNT_STEPS
_Thread_local uint64_t pv_steps;
#endif

static bool compares(enum pv_cmp cmp, int64_t a, int64_t b)
{
    switch (cmp) {
    case PV_EQ: return a == b;
    case PV_NE: return a != b;
    case PV_LT: return a < b;
    case PV_LE: return a <= b;
    case PV_GT: return a > b;
    case PV_GE: return a >= b;
    }
    return false;
}

static enum pv_truth truth(bool value)
{
    return value ? PV_TRUE : PV_FALSE;
}

/* The empty string has no id: it is the string of no length. */
static bool is_constant(const struct pv_str *s, uint32_t string)
{
    return s->id == string && (string || !s->len);
}

static bool is_element(const struct pv_bundle *bundle, const struct pvb_set *row, const struct pv_str *s)
{
    if (s->id || !s->len) {
        const uint32_t *members = bundle->set_members + row->first_member;
        uint32_t low = 0, high = row->n_members;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            PV_STEPS(1);
            if (members[middle] < s->id)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < row->n_members && members[low] == s->id)
            return true;
    }
    for (uint32_t i = row->first_glob; i < row->first_glob + row->n_globs; i++) {
        if (pv_glob_match(bundle->globs_ready, bundle->set_globs[i], s->ptr, s->len))
            return true;
    }
    return false;
}

bool pv_in_set(const struct pv_bundle *bundle, uint32_t set, const struct pv_str *s)
{
    const struct pvb_set *row = &bundle->sets[set];
    return is_element(bundle, row, s) &&
           (row->except == PVB_NONE || !is_element(bundle, &bundle->sets[row->except], s));
}

static bool has_member(const struct pv_value *set, const struct pv_str *s)
{
    uint32_t low = 0, high = set->n_members;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        PV_STEPS(s->id ? 1 : 0); /* else the bytes compared */
        int difference = pv_str_compare(&set->members[middle], s);
        if (difference == 0)
            return true;
        if (difference < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool overlaps_set(const struct pv_bundle *b, const struct pv_value *value, uint32_t set)
{
    for (uint32_t i = 0; i < value->n_members; i++) {
        if (pv_in_set(b, set, &value->members[i]))
            return true;
    }
    return false;
}

static bool share_member(const struct pv_value *a, const struct pv_value *b)
{
    uint32_t i = 0, k = 0;
    while (i < a->n_members && k < b->n_members) {
        int difference = pv_str_compare(&a->members[i], &b->members[k]);
        if (difference == 0)
            return true;
        if (difference < 0)
            i++;
        else
            k++;
    }
    return false;
}

static bool compares_versions(const struct pv_request *r, uint8_t cmp, const struct pv_str *a, const struct pv_str *b)
{
    enum pv_order order = (enum pv_order)(cmp >> 4);
    if (order == PV_ORDER_COMMAND)
        order = r->order;
    PV_STEPS((uint64_t)a->len + b->len);
    return compares((enum pv_cmp)(cmp & 15), pv_version_compare(order, a->ptr, a->len, b->ptr, b->len), 0);
}

/* By uid where both are known, else by name. */
static enum pv_truth owns(const struct pv_request *r)
{
    const struct pv_value *uid = &r->slots[PV_A_USER_UID].value, *name = &r->slots[PV_A_USER_NAME].value;
    const struct pv_value *owner_uid = &r->slots[PV_A_PACKAGE_OWNER_UID].value;
    const struct pv_value *owner = &r->slots[PV_A_PACKAGE_OWNER].value;
    if (uid->state == PV_NOT_KNOWN || owner_uid->state == PV_NOT_KNOWN)
        return PV_UNKNOWN;
    if (uid->state == PV_PRESENT && uid->number >= 0 && owner_uid->state == PV_PRESENT && owner_uid->number >= 0)
        return truth(uid->number == owner_uid->number);
    if (owner->state == PV_NOT_KNOWN)
        return PV_UNKNOWN;
    if (owner->state == PV_ABSENT)
        return PV_FALSE;
    return name->state == PV_PRESENT ? truth(pv_str_compare(&owner->string, &name->string) == 0) : PV_UNKNOWN;
}

static enum pv_truth in_window(const struct pv_request *r, uint32_t window)
{
    for (int slot = PV_A_TIME_DATE; slot <= PV_A_TIME_WEEKDAY; slot++) {
        if (r->slots[slot].value.state == PV_NOT_KNOWN)
            return PV_UNKNOWN;
    }
    return truth(pv_window_holds(r->bundle, r->local, window));
}

static inline enum pv_truth test(const struct pv_request *r, const struct pvb_insn *i)
{
    const struct pv_bundle *b = r->bundle;
    const struct pv_value *v = &r->slots[i->slot].value, *other;
    PV_STEPS(1);
    switch (i->op) {
    case PVB_OP_CONST: return truth(i->cmp);
    case PVB_OP_HAS: return v->state == PV_NOT_KNOWN ? PV_UNKNOWN : truth(v->state == PV_PRESENT);
    case PVB_OP_IN_WINDOW: return in_window(r, i->arg);
    case PVB_OP_OWN: return owns(r);
    default: break;
    }
    if (v->state != PV_PRESENT)
        return PV_UNKNOWN;
    switch (i->op) {
    case PVB_OP_BOOL: return truth(v->number);
    case PVB_OP_INT: return truth(compares((enum pv_cmp)i->cmp, v->number, b->ints[i->arg]));
    case PVB_OP_STR: return truth(is_constant(&v->string, i->arg));
    case PVB_OP_IN: return truth(pv_in_set(b, i->arg, &v->string));
    case PVB_OP_MEMBER: {
        struct pv_str constant = pv_string_at(b, i->arg);
        return truth(has_member(v, &constant));
    }
    case PVB_OP_OVERLAPS: return truth(overlaps_set(b, v, i->arg));
    case PVB_OP_LIKE: return truth(pv_glob_match(b->globs_ready, i->arg, v->string.ptr, v->string.len));
    case PVB_OP_VER: {
        struct pv_str constant = pv_string_at(b, i->arg);
        return truth(compares_versions(r, i->cmp, &v->string, &constant));
    }
    default: break;
    }
    other = &r->slots[i->arg].value;
    if (other->state != PV_PRESENT)
        return PV_UNKNOWN;
    switch (i->op) {
    case PVB_OP_INT2: return truth(compares((enum pv_cmp)i->cmp, v->number, other->number));
    case PVB_OP_STR2: return truth(pv_str_compare(&v->string, &other->string) == 0);
    case PVB_OP_IN2: return truth(has_member(other, &v->string));
    case PVB_OP_OVERLAPS2: return truth(share_member(v, other));
    case PVB_OP_VER2: return truth(compares_versions(r, i->cmp, &v->string, &other->string));
    default: break;
    }
    assert(false && "an instruction that the verifier let through");
    return PV_UNKNOWN;
}

enum pv_join pv_run_decide(const struct pv_request *request, uint32_t entry)
{
    const struct pvb_insn *code = request->bundle->decide, *i = code + entry;
    while (i->op != PVB_OP_RETURN)
        i = code + (test(request, i) == PV_TRUE ? i->jt : i->jf);
    PV_STEPS(1);
    return (enum pv_join)i->arg;
}

enum pv_truth pv_clause_truth(const struct pv_request *request, uint32_t clause)
{
    assert(clause < request->bundle->n_clauses);
    const struct pvb_insn *i = request->bundle->clause_code + request->bundle->clauses[clause].first_insn;
    enum pv_truth top = PV_UNKNOWN;            /* the value on top of the stack; before the first, nobody's */
    uint8_t below[PVB_MAX_STACK] = {0}, n = 0; /* and those below it */
    for (;; i++) {
        switch (i->op) {
        case PVB_OP_END: PV_STEPS(1); return top;
        case PVB_OP_NOT:
            PV_STEPS(1);
            top = (enum pv_truth)(PV_TRUE - top);
            break;
        case PVB_OP_AND:
            PV_STEPS(1);
            n--;
            top = below[n] < top ? (enum pv_truth)below[n] : top;
            break;
        case PVB_OP_OR:
            PV_STEPS(1);
            n--;
            top = below[n] > top ? (enum pv_truth)below[n] : top;
            break;
        default: below[n++] = (uint8_t)top; top = test(request, i);
        }
    }
}

enum pv_truth pv_rule_truth(const struct pv_request *request, uint32_t rule)
{
    assert(rule < request->bundle->n_rules);
    const struct pvb_rule *row = &request->bundle->rules[rule];
    enum pv_truth least = PV_TRUE;
    for (uint32_t c = row->first_clause; least != PV_FALSE && c < row->first_clause + row->n_clauses; c++) {
        enum pv_truth t = pv_clause_truth(request, c);
        if (t < least)
            least = t;
    }
    return least;
}
