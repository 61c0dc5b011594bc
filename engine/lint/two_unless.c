/* Two `unless` on one rule: the rule applies only where both fail, and most people read them as alternatives. */
#include "engine/lint/lint.h"

void pv_lint_two_unless(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_clause *first = NULL;
        for (const struct pv_ast_clause *clause = lint->rules[i].ast->scope.first_clause; clause;
             clause = clause->next) {
            if (clause->kind != PV_AST_UNLESS)
                continue;
            if (first) {
                struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_TWO_UNLESS, clause->keyword,
                                                 "a second `unless`: the rule applies only where both fail");
                pv_diag_related(lint->diags, diag, first->keyword, "the first one");
                pv_diag_hint(lint->diags, diag,
                             "say it in one: `unless A or B` is what stands here, `unless A and B` "
                             "excepts only what is both");
            }
            first = clause;
        }
    }
}
