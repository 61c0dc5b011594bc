/* `allow ... from any`: sources that are declared later are open at once. */
#include "engine/lint/lint.h"

static bool is_any(const struct pv_ast_from *from)
{
    if (from->kind != PV_AST_FROM_OR)
        return from->kind == PV_AST_FROM_ANY;
    for (const struct pv_ast_from *kid = from->first; kid; kid = kid->next)
        if (is_any(kid))
            return true;
    return false;
}

void pv_lint_allow_from_any(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        if (rule->kind != PV_AST_ALLOW || !rule->scope.from || !is_any(rule->scope.from) ||
            pv_lint_only_admins(rule->scope.subject))
            continue;
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_ALLOW_FROM_ANY, rule->scope.from_span,
                                         "this allow reaches every source, also those that are declared later");
        pv_diag_hint(lint->diags, diag, "name the sources that are meant, or `self_service`");
    }
}
