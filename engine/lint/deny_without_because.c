/* A deny that does not tell people why, nor whom to ask. */
#include "engine/lint/lint.h"

void pv_lint_deny_without_because(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        if (rule->kind != PV_AST_DENY || lint->rules[i].ir->n_because)
            continue;
        struct pv_diag *diag =
            pv_report(lint->diags, PV_DIAG_DENY_WITHOUT_BECAUSE, rule->keyword, "who is denied here is not told why");
        pv_diag_hint(lint->diags, diag, "end the rule with `because \"...\"`: the reason, and whom to ask");
    }
}
