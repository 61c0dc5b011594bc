/* A command that a rule lists twice. */
#include "engine/lint/lint.h"

static void check(struct pv_lint *lint, const struct pv_ast_scope *scope)
{
    const struct pv_ast_command_ref *before = NULL;
    uint32_t stamp = ++lint->stamp;
    for (const struct pv_ast_command_ref *ref = scope->commands; ref; before = ref, ref = ref->next) {
        struct pv_named *named = ref->sema;
        if (!named->command)
            continue;
        if (before && named->command->stamp == stamp) {
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_REPEATED_COMMAND, ref->name.span,
                                             "`%s` is listed twice", ref->name.text.ptr);
            pv_diag_fix(lint->diags, diag,
                        (struct pv_span){ref->name.span.file, before->name.span.end, ref->name.span.end}, "%s", "");
            diag->certain = true;
        }
        named->command->stamp = stamp;
    }
}

void pv_lint_repeated_command(struct pv_lint *lint)
{
    lint->stamp = UINT32_MAX / 2; /* analysis is over, and its own stamps count up from 0 */
    pv_lint_scopes(lint, check);
}
