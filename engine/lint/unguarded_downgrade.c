/* An allow that names a package opens its older versions too, with the holes that newer ones have mended: the agent
 * takes a downgrade from such a rule alone. A `package.downgrade` in the rule, or in a deny that reaches the command,
 * is the guard. */
#include "engine/lint/lint.h"

#include <string.h>

static bool reads_downgrade(const struct pv_ir_rule *rule)
{
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        if (pv_lint_reads(rule->clauses[i].expr, PV_A_PACKAGE_DOWNGRADE, false))
            return true;
    return false;
}

/* Whether some deny about downgrades names the command. */
static bool guarded(const struct pv_lint *lint, const char *command)
{
    for (uint32_t i = 0; i < lint->n_rules; i++)
        if (lint->rules[i].ast->kind == PV_AST_DENY && reads_downgrade(lint->rules[i].ir) &&
            !pv_span_is_none(pv_lint_names_command(&lint->rules[i].ast->scope, command)))
            return true;
    return false;
}

void pv_lint_unguarded_downgrade(struct pv_lint *lint)
{
    static const char *const commands[] = {"install", "upgrade"};
    bool guard[] = {guarded(lint, commands[0]), guarded(lint, commands[1])};
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_lint_rule *rule = &lint->rules[i];
        if (rule->ast->kind != PV_AST_ALLOW || !(rule->ir->flags & PVB_RULE_NAMES_LITERALLY) ||
            pv_lint_only_admins(rule->ast->scope.subject) || reads_downgrade(rule->ir))
            continue;
        for (size_t k = 0; k < 2; k++) {
            if (guard[k] || pv_span_is_none(pv_lint_names_command(&rule->ast->scope, commands[k])))
                continue;
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_UNGUARDED_DOWNGRADE, rule->ast->scope.object_span,
                                             "this allow names packages, so it also allows older versions of them");
            pv_diag_hint(lint->diags, diag,
                         "add `unless package.downgrade`, or a deny: `deny everyone to %s when package.downgrade ...`",
                         commands[k]);
            break;
        }
    }
}
