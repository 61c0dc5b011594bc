/* A source that says two things: everyone may install from it, and nobody but administrators may. */
#include "engine/lint/lint.h"

void pv_lint_self_service_admin_only(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        if (decl->kind != PV_AST_DECL_SOURCE)
            continue;
        const struct pv_ast_prop *open = decl->source->prop[PV_AST_SOURCE_SELF_SERVICE];
        const struct pv_ast_prop *closed = decl->source->prop[PV_AST_SOURCE_ADMIN_ONLY];
        if (!open || !closed)
            continue;
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_SELF_SERVICE_ADMIN_ONLY, closed->span,
                                         "source `%s` is both `self_service` and `admin_only`", decl->name.text.ptr);
        pv_diag_related(lint->diags, diag, open->span, "open to everyone here, closed to all but admins there");
        pv_diag_hint(lint->diags, diag, "`admin_only` wins: leave out the one that is not meant");
    }
}
