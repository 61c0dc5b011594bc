/* The verifier of both programs, beside the table of shapes and apart from the machine that runs them. It accepts only
 * what provably ends and stays in bounds: every jump is forward, every operand is of its instruction's type and lies in
 * its table, every clause leaves exactly one value on a stack of bounded depth. One pass backwards over `decide` gives
 * the exact worst case, because the longest path from an instruction is its own cost plus the longer of its two
 * continuations, and those are known already. verify.h says what a step is. */
#include "runtime/internal.h"

#include <stdlib.h>

#define MEMBER_BITS 13u /* bits of PV_MAX_MEMBERS */
_Static_assert(PV_MAX_MEMBERS >> MEMBER_BITS == 0 && PV_MAX_MEMBERS >> (MEMBER_BITS - 1) == 1, "MEMBER_BITS");

struct verifier {
    const struct pv_bundle *b;
    struct pv_error *error;
    uint64_t *set_cost, *window_cost;
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t bits(uint32_t n)
{
    return n ? 32 - (uint64_t)__builtin_clz(n) : 0;
}

static uint64_t glob_cost(const struct pv_bundle *b, uint32_t glob)
{
    return (uint64_t)PV_MAX_STRING * pv_glob_words(b->globs[glob].n);
}

static void cost_sets(struct verifier *v)
{
    for (uint32_t i = 0; i < v->b->n_sets; i++) {
        const struct pvb_set *s = &v->b->sets[i];
        v->set_cost[i] = bits(s->n_members);
        for (uint32_t g = s->first_glob; g < s->first_glob + s->n_globs; g++)
            v->set_cost[i] = plus(v->set_cost[i], glob_cost(v->b, v->b->set_globs[g]));
        if (s->except != PVB_NONE)
            v->set_cost[i] = plus(v->set_cost[i], v->set_cost[s->except]);
    }
}

static void cost_windows(struct verifier *v)
{
    for (uint32_t i = 0; i < v->b->n_windows; i++) {
        const struct pvb_window *w = &v->b->windows[i];
        uint64_t cost = 1;
        for (uint32_t k = w->first_alt; k < w->first_alt + w->n_alts; k++) {
            const struct pvb_window_alt *a = &v->b->window_alts[k];
            cost = plus(cost, 1 + 2 * ((uint64_t)a->n_days + a->n_dates) + a->n_clocks);
            if (a->ref != PVB_NONE)
                cost = plus(cost, v->window_cost[a->ref]);
            if (a->except != PVB_NONE)
                cost = plus(cost, v->window_cost[a->except]);
        }
        v->window_cost[i] = cost;
    }
}

/* ---- Operands ---- */

static bool is_slot(const struct pv_bundle *b, uint32_t slot, enum pv_type type)
{
    return slot < b->n_attrs && b->attrs[slot].type == type;
}

static bool is_number(const struct pv_bundle *b, uint32_t slot)
{
    if (slot >= b->n_attrs)
        return false;
    switch (b->attrs[slot].type) {
    case PV_T_INT:
    case PV_T_DURATION:
    case PV_T_DATE:
    case PV_T_CLOCK:
    case PV_T_WEEKDAY: return true;
    default: return false;
    }
}

static bool is_comparison(uint8_t cmp)
{
    return (cmp & 15) <= PV_GE && cmp >> 4 <= PV_ORDER_NUGET;
}

/* A constant version is one in its order; where the command decides, in some order. */
static bool is_version(const struct pv_bundle *b, uint32_t string, uint8_t cmp)
{
    if (string >= b->n_strings || b->strings[string].len > PV_MAX_STRING)
        return false;
    struct pv_str s = pv_string_at(b, string);
    int order = cmp >> 4;
    int first = order == PV_ORDER_COMMAND ? PV_ORDER_DPKG : order;
    int last = order == PV_ORDER_COMMAND ? PV_ORDER_NUGET : order;
    for (; first <= last; first++) {
        if (pv_version_valid((enum pv_order)first, s.ptr, s.len))
            return true;
    }
    return false;
}

/* One case a shape. NULL, or what is wrong with the operands. */
static const char *check_operands(const struct pv_bundle *b, const struct pvb_insn *i)
{
    static const char wrong_slot[] = "its slot is missing or of another type", wrong_arg[] = "its operand is missing",
                      not_zero[] = "a field that it does not use is not zero", wrong_cmp[] = "no such comparison";
    switch (pv_ops[i->op].shape) {
    case PV_SHAPE_CONST: return i->slot || i->arg || i->cmp > 1 ? not_zero : NULL;
    case PV_SHAPE_SLOT:
        if (i->slot >= b->n_attrs)
            return wrong_slot;
        return i->cmp || i->arg ? not_zero : NULL;
    case PV_SHAPE_SLOT_BOOL:
        if (!is_slot(b, i->slot, PV_T_BOOL))
            return wrong_slot;
        return i->cmp || i->arg ? not_zero : NULL;
    case PV_SHAPE_SLOT_INT:
        if (!is_number(b, i->slot))
            return wrong_slot;
        if (i->cmp > PV_GE)
            return wrong_cmp;
        return i->arg >= b->n_ints ? wrong_arg : NULL;
    case PV_SHAPE_SLOT_INT2:
        if (!is_number(b, i->slot) || !is_slot(b, i->arg, b->attrs[i->slot].type))
            return wrong_slot;
        return i->cmp > PV_GE ? wrong_cmp : NULL;
    case PV_SHAPE_SLOT_STR:
    case PV_SHAPE_SETSLOT_STR:
        if (!is_slot(b, i->slot, pv_ops[i->op].shape == PV_SHAPE_SLOT_STR ? PV_T_STRING : PV_T_STRINGS))
            return wrong_slot;
        if (i->arg >= b->n_strings)
            return wrong_arg;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SLOT_SET:
    case PV_SHAPE_SETSLOT_SET:
        if (!is_slot(b, i->slot, pv_ops[i->op].shape == PV_SHAPE_SLOT_SET ? PV_T_STRING : PV_T_STRINGS))
            return wrong_slot;
        if (i->arg >= b->n_sets)
            return wrong_arg;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SLOT_STR2:
        if (!is_slot(b, i->slot, PV_T_STRING) || !is_slot(b, i->arg, PV_T_STRING))
            return wrong_slot;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SLOT_SETSLOT:
        if (!is_slot(b, i->slot, PV_T_STRING) || !is_slot(b, i->arg, PV_T_STRINGS))
            return wrong_slot;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SETSLOT2:
        if (!is_slot(b, i->slot, PV_T_STRINGS) || !is_slot(b, i->arg, PV_T_STRINGS))
            return wrong_slot;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SLOT_GLOB:
        if (!is_slot(b, i->slot, PV_T_STRING))
            return wrong_slot;
        if (i->arg >= b->n_globs)
            return wrong_arg;
        return i->cmp ? not_zero : NULL;
    case PV_SHAPE_SLOT_VER:
        if (!is_slot(b, i->slot, PV_T_VERSION))
            return wrong_slot;
        if (!is_comparison(i->cmp))
            return wrong_cmp;
        return is_version(b, i->arg, i->cmp) ? NULL : "its operand is not a version";
    case PV_SHAPE_SLOT_VER2:
        if (!is_slot(b, i->slot, PV_T_VERSION) || !is_slot(b, i->arg, PV_T_VERSION))
            return wrong_slot;
        return is_comparison(i->cmp) ? NULL : wrong_cmp;
    case PV_SHAPE_WINDOW:
        if (i->arg >= b->n_windows)
            return wrong_arg;
        return i->slot || i->cmp ? not_zero : NULL;
    case PV_SHAPE_EFFECT:
        if (i->arg > PV_JOIN_DIRECT)
            return wrong_arg;
        return i->slot || i->cmp ? not_zero : NULL;
    case PV_SHAPE_NONE:
    case PV_SHAPE_STACK1:
    case PV_SHAPE_STACK2:
    case PV_SHAPE_END: return i->slot || i->cmp || i->arg ? not_zero : NULL;
    }
    return "an unknown instruction";
}

/* Steps of one instruction whose operands are checked. */
static uint64_t cost(const struct verifier *v, const struct pvb_insn *i)
{
    switch (i->op) {
    case PVB_OP_STR2:
    case PVB_OP_OWN: return 1 + PV_MAX_STRING;
    case PVB_OP_IN: return plus(1, v->set_cost[i->arg]);
    case PVB_OP_IN2: return 1 + (uint64_t)MEMBER_BITS * PV_MAX_STRING;
    case PVB_OP_MEMBER: return 1 + MEMBER_BITS;
    case PVB_OP_OVERLAPS: return plus(1, times(PV_MAX_MEMBERS, v->set_cost[i->arg]));
    case PVB_OP_OVERLAPS2: return 1 + UINT64_C(2) * PV_MAX_MEMBERS * PV_MAX_STRING;
    case PVB_OP_LIKE: return 1 + glob_cost(v->b, i->arg);
    case PVB_OP_VER:
    case PVB_OP_VER2: return 1 + 2 * (uint64_t)PV_MAX_STRING;
    case PVB_OP_IN_WINDOW: return plus(1, v->window_cost[i->arg]);
    default: return 1;
    }
}

/* ---- The programs ---- */

static int verify_decide(struct verifier *v, uint64_t *bound)
{
    const struct pv_bundle *b = v->b;
    uint32_t n = b->n_decide, plan = b->header->decide_plan_entry;
    if (!n || plan >= n)
        return pv_fail(v->error, PV_E_BUNDLE, b->header->section[PVB_DECIDE].offset,
                       "DECIDE has no instruction to start at");
    uint64_t *worst = calloc(n, sizeof(*worst)); /* by instruction: the longest path from it */
    uint8_t *direct = calloc(n, 1);              /* by instruction: a path from it ends in `direct` */
    int status = 0;
    if (!worst || !direct) {
        free(worst);
        free(direct);
        return pv_fail(v->error, PV_E_NOMEM, 0, "out of memory");
    }
    for (uint32_t k = n; !status && k-- > 0;) {
        const struct pvb_insn *i = &b->decide[k];
        const char *why = i->op >= PVB_N_OPS ? "an unknown instruction" : check_operands(b, i);
        if (why) {
            status = pv_refuse(b, v->error, PVB_DECIDE, k, "%s", why);
        } else if (i->op == PVB_OP_RETURN) {
            if (i->jt || i->jf)
                status = pv_refuse(b, v->error, PVB_DECIDE, k, "a return has no targets");
            worst[k] = 1;
            direct[k] = i->arg == PV_JOIN_DIRECT;
        } else if (i->op > PVB_OP_RETURN) {
            status = pv_refuse(b, v->error, PVB_DECIDE, k, "an instruction of clauses");
        } else if (i->jt <= k || i->jt >= n || i->jf <= k || i->jf >= n) {
            status = pv_refuse(b, v->error, PVB_DECIDE, k, "a jump that is not forward, or leaves the program");
        } else {
            worst[k] = plus(cost(v, i), worst[i->jt] > worst[i->jf] ? worst[i->jt] : worst[i->jf]);
            direct[k] = direct[i->jt] | direct[i->jf];
        }
    }
    if (!status && direct[plan])
        status = pv_refuse(b, v->error, PVB_DECIDE, plan, "an operation of a plan could be direct");
    if (!status)
        *bound = worst[0] > worst[plan] ? worst[0] : worst[plan];
    free(worst);
    free(direct);
    return status;
}

static int verify_clause(struct verifier *v, const struct pvb_clause *clause, uint64_t *total)
{
    const struct pv_bundle *b = v->b;
    uint32_t depth = 0, last = clause->first_insn + clause->n_insns - 1;
    for (uint32_t k = clause->first_insn; k <= last; k++) {
        const struct pvb_insn *i = &b->clause_code[k];
        const char *why = i->op >= PVB_N_OPS ? "an unknown instruction" : check_operands(b, i);
        if (why)
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "%s", why);
        if (i->jt || i->jf)
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "clauses do not jump");
        enum pv_shape shape = pv_ops[i->op].shape;
        uint32_t takes = shape == PV_SHAPE_STACK2 ? 2 : shape == PV_SHAPE_STACK1 || shape == PV_SHAPE_END ? 1 : 0;
        if (shape == PV_SHAPE_EFFECT)
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "an instruction of decide");
        if (depth < takes)
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "too few values on the stack");
        if ((shape == PV_SHAPE_END) != (k == last) || (k == last && depth != 1))
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "a clause ends with `end` and one value");
        depth = depth - takes + 1;
        if (depth > PVB_MAX_STACK)
            return pv_refuse(b, v->error, PVB_CLAUSE_CODE, k, "more than %u values on the stack", PVB_MAX_STACK);
        *total = plus(*total, cost(v, i));
    }
    return 0;
}

bool pv_rule_accounts(const struct pv_bundle *b, uint32_t rule, uint32_t *account, bool *differ)
{
    const struct pvb_rule *row = &b->rules[rule];
    bool has = false;
    for (uint32_t d = row->first_duty; d < row->first_duty + row->n_duties; d++) {
        if (b->duties[d].kind != PV_D_ACCOUNT)
            continue;
        has = true;
        *differ = *differ || (*account && *account != b->duties[d].text);
        *account = b->duties[d].text;
    }
    return has;
}

/* What a verdict does beside `decide`: where requires name more than one account, it looks for two that match. */
static uint64_t account_cost(const struct verifier *v)
{
    const struct pv_bundle *b = v->b;
    uint32_t account = 0;
    uint64_t total = 0;
    bool differ = false;
    for (uint32_t r = 0; r < b->n_rules; r++) {
        const struct pvb_rule *rule = &b->rules[r];
        bool has = pv_rule_accounts(b, r, &account, &differ);
        for (uint32_t c = rule->first_clause; has && c < rule->first_clause + rule->n_clauses; c++) {
            const struct pvb_clause *clause = &b->clauses[c];
            for (uint32_t k = clause->first_insn; k < clause->first_insn + clause->n_insns; k++)
                total = plus(total, cost(v, &b->clause_code[k]));
        }
    }
    return differ ? total : 0;
}

int pv_verify(const struct pv_bundle *bundle, uint64_t *bound, uint64_t *clause_bound, struct pv_error *error)
{
    *bound = *clause_bound = 0;
    struct verifier v = {.b = bundle,
                         .error = error,
                         .set_cost = calloc((size_t)bundle->n_sets + 1, sizeof(uint64_t)),
                         .window_cost = calloc((size_t)bundle->n_windows + 1, sizeof(uint64_t))};
    int status = 0;
    if (!v.set_cost || !v.window_cost) {
        status = pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    } else {
        cost_sets(&v);
        cost_windows(&v);
        status = verify_decide(&v, bound);
        for (uint32_t i = 0; !status && i < bundle->n_clauses; i++)
            status = verify_clause(&v, &bundle->clauses[i], clause_bound);
        if (!status)
            *bound = plus(*bound, account_cost(&v));
    }
    if (!status && (*bound > PVB_MAX_BOUND || *clause_bound > PVB_MAX_BOUND))
        status = pv_fail(error, PV_E_LIMIT, 0, "a decision could take more than 2^44 steps");
    free(v.set_cost);
    free(v.window_cost);
    return status;
}
