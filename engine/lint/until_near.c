/* An `until` that has passed, or will soon: an exception that ended is dead text, and one that ends surprises. */
#include "engine/lint/lint.h"

void pv_lint_until_near(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        for (const struct pv_ast_clause *clause = rule->scope.first_clause; clause; clause = clause->next) {
            if (clause->kind != PV_AST_UNTIL || rule->kind != PV_AST_ALLOW)
                continue;
            int64_t left = pv_days_from_civil(clause->date.year, clause->date.month, clause->date.day) - lint->today;
            if (left < 0) {
                struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_UNTIL_PAST, clause->span,
                                                 "this date has passed: the rule allows nothing any more");
                pv_diag_hint(lint->diags, diag, "remove the rule, or give it a new date");
            } else if (left <= PV_LINT_SOON) {
                struct pv_diag *diag =
                    left ? pv_report(lint->diags, PV_DIAG_UNTIL_SOON, clause->span, "this allow ends in %d day%s",
                                     (int)left, left == 1 ? "" : "s")
                         : pv_report(lint->diags, PV_DIAG_UNTIL_SOON, clause->span, "this allow ends today");
                pv_diag_hint(lint->diags, diag, "tell those who rely on it, or give it a new date");
            }
        }
    }
}
