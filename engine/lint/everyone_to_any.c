/* `allow everyone to any`: what a library or an import declares tomorrow is allowed tomorrow. */
#include "engine/lint/lint.h"

void pv_lint_everyone_to_any(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        if (rule->kind != PV_AST_ALLOW || !rule->scope.any_command ||
            rule->scope.subject->kind != PV_AST_SUBJECT_EVERYONE)
            continue;
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_EVERYONE_TO_ANY, rule->scope.commands_span,
                                         "everyone may do anything here, also what an import declares tomorrow");
        pv_diag_hint(lint->diags, diag, "name the commands");
    }
}
