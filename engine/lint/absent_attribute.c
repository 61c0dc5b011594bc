/* What a rule does where an optional attribute is absent. A deny that asks for `has X` first says nothing about what
 * has none: it is disarmed (PV_DIAG_DENY_DISARMED). An allow whose clause is satisfied where X is absent is wider there
 * (PV_DIAG_WIDENS_WHEN_ABSENT). A clause about nothing but presence is meant so, and so is one about an option: a
 * command without it does what it does without it. */
#include "engine/lint/lint.h"

#define MAX_SLOTS 32 /* optional attributes of one rule that are looked at */

struct optional {
    const struct pv_lint *lint;
    uint16_t slots[MAX_SLOTS];
    uint32_t n;
};

static void collect(void *context, const struct pv_ir_expr *leaf)
{
    struct optional *optional = context;
    if (leaf->kind != PV_IR_HAS || !(pv_lint_slot_flags(optional->lint, leaf->slot) & PV_ATTR_OPT) ||
        pv_lint_is_parameter(optional->lint, leaf->slot))
        return;
    for (uint32_t i = 0; i < optional->n; i++)
        if (optional->slots[i] == leaf->slot)
            return;
    if (optional->n < MAX_SLOTS)
        optional->slots[optional->n++] = leaf->slot;
}

static bool written(const struct pv_ir_clause *clause)
{
    return (clause->kind == PV_C_WHEN || clause->kind == PV_C_UNLESS) && clause->expr->size <= PV_LINT_MAX_SIZE;
}

/* A clause of a deny that fails without the attribute, where the rule reads its value somewhere. */
static void check_deny(struct pv_lint *lint, const struct pv_ir_rule *rule, uint16_t slot)
{
    const struct pv_ir_clause *fails = NULL;
    bool read = false;
    for (uint32_t i = 0; i < rule->n_clauses; i++) {
        const struct pv_ir_clause *clause = &rule->clauses[i];
        if (!written(clause))
            continue;
        read = read || pv_lint_reads(clause->expr, slot, false);
        if (!fails && pv_lint_without(clause->expr, slot) == PV_FALSE)
            fails = clause;
    }
    if (!fails || !read)
        return;
    struct pv_ir_str path = pv_lint_path(lint, slot);
    struct pv_diag *diag =
        pv_report(lint->diags, PV_DIAG_DENY_DISARMED, fails->span,
                  "without `%.*s` this deny says nothing, and the request passes", (int)path.len, path.ptr);
    pv_diag_hint(lint->diags, diag, "to deny then too, write `when not has %.*s or ...`", (int)path.len, path.ptr);
}

static void check_allow(struct pv_lint *lint, const struct pv_ir_rule *rule, uint16_t slot)
{
    for (uint32_t i = 0; i < rule->n_clauses; i++) {
        const struct pv_ir_clause *clause = &rule->clauses[i];
        if (!written(clause) || pv_lint_without(clause->expr, slot) != PV_TRUE ||
            !pv_lint_reads(clause->expr, slot, false))
            continue;
        struct pv_ir_str path = pv_lint_path(lint, slot);
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_WIDENS_WHEN_ABSENT, clause->span,
                                         "without `%.*s` this clause holds back nothing: the allow is wider then",
                                         (int)path.len, path.ptr);
        pv_diag_hint(lint->diags, diag, "to allow only what has it, write `when has %.*s and ...`", (int)path.len,
                     path.ptr);
    }
}

void pv_lint_absent_attribute(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ir_rule *rule = lint->rules[i].ir;
        struct optional optional = {.lint = lint};
        for (uint32_t k = 0; k < rule->n_clauses; k++)
            if (written(&rule->clauses[k]))
                pv_lint_leaves(rule->clauses[k].expr, collect, &optional);
        for (uint32_t k = 0; k < optional.n; k++) {
            if (rule->kind == PV_RULE_DENY)
                check_deny(lint, rule, optional.slots[k]);
            else if (rule->kind == PV_RULE_ALLOW)
                check_allow(lint, rule, optional.slots[k]);
        }
    }
}
