/* An `until` on a deny or a require: when the day has passed, what it held back is open, and nobody is told. */
#include "engine/lint/lint.h"

void pv_lint_until_fails_open(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        for (const struct pv_ast_clause *clause = rule->scope.first_clause; clause; clause = clause->next) {
            if (clause->kind != PV_AST_UNTIL || rule->kind == PV_AST_ALLOW)
                continue;
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_UNTIL_FAILS_OPEN, clause->span,
                                             "after this date the %s is gone, and what it held back is open",
                                             pv_ast_rule_word(rule->kind));
            pv_diag_hint(lint->diags, diag, "an end belongs to an `allow`");
        }
    }
}
