/* An allow or a deny without a name of its own: decisions and records call it by its line, which the next edit moves.
 */
#include "engine/lint/lint.h"

void pv_lint_missing_id(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_ast_rule *rule = lint->rules[i].ast;
        if ((rule->kind != PV_AST_ALLOW && rule->kind != PV_AST_DENY) || rule->note[PV_AST_NOTE_ID])
            continue;
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_MISSING_ID, rule->keyword,
                                         "this rule has no `@id`: records name it by its line, which edits move");
        pv_diag_hint(lint->diags, diag, "write `@id(\"...\")` before it");
    }
}
