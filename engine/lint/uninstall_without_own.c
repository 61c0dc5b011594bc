/* An allow to uninstall whatever is installed: what the system came with, and what other people installed. */
#include "engine/lint/lint.h"

static bool reads_owner(const struct pv_ir_rule *rule)
{
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        if (pv_lint_reads(rule->clauses[i].expr, PV_A_PACKAGE_OWNER, false) ||
            pv_lint_reads(rule->clauses[i].expr, PV_A_PACKAGE_OWNER_UID, false))
            return true;
    return false;
}

void pv_lint_uninstall_without_own(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_scope *scope = &lint->rules[i].ast->scope;
        struct pv_span span = pv_lint_names_command(scope, "uninstall");
        if (lint->rules[i].ast->kind != PV_AST_ALLOW || pv_span_is_none(span) || scope->object || scope->from ||
            (scope->any_command && scope->subject->kind == PV_AST_SUBJECT_EVERYONE) || /* told as that */
            pv_lint_only_admins(scope->subject) || reads_owner(lint->rules[i].ir))
            continue;
        struct pv_diag *diag =
            pv_report(lint->diags, PV_DIAG_UNINSTALL_WITHOUT_OWN, span,
                      "this allows to uninstall every package, whoever installed it, and the system's own");
        pv_diag_hint(lint->diags, diag,
                     scope->commands && !scope->commands->next ? "write `uninstall own`, or name the packages"
                                                               : "give `uninstall` a rule of its own: `uninstall own`");
    }
}
