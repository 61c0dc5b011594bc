/* An allow, or the way round a deny, that rests on what the requester says: anyone can say it. */
#include "engine/lint/lint.h"

#include <string.h>

struct search {
    const struct pv_lint *lint;
    struct pv_ir_str found; /* len 0: nothing */
};

static void look(void *context, const struct pv_ir_expr *leaf)
{
    struct search *search = context;
    if (leaf->kind == PV_IR_CONST || leaf->kind == PV_IR_IN_WINDOW || leaf->kind == PV_IR_OWN || search->found.len)
        return;
    struct pv_ir_str path = pv_lint_path(search->lint, leaf->slot);
    if (path.len > 8 && !memcmp(path.ptr, "request.", 8))
        search->found = path;
}

void pv_lint_requester_fact(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ir_rule *rule = lint->rules[i].ir;
        for (uint32_t k = 0; k < rule->n_clauses; k++) {
            const struct pv_ir_clause *clause = &rule->clauses[k];
            bool opens = rule->kind == PV_RULE_ALLOW ? clause->kind == PV_C_WHEN || clause->kind == PV_C_UNLESS
                                                     : rule->kind == PV_RULE_DENY && clause->kind == PV_C_UNLESS;
            struct search search = {.lint = lint};
            if (opens)
                pv_lint_leaves(clause->expr, look, &search);
            if (!search.found.len)
                continue;
            bool reason = !strncmp(search.found.ptr, "request.reason", 14);
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_REQUESTER_FACT, clause->span,
                                             "`%.*s` is what the requester says: whoever asks can make this true",
                                             (int)search.found.len, search.found.ptr);
            pv_diag_hint(lint->diags, diag,
                         reason ? "to have a reason given and recorded, write `require reason for ...`"
                                : "rest the rule on who asks, on the package, or on the host");
        }
    }
}
