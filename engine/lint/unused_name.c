/* A name that is declared and never used. Of a root file alone, which is the last that can use its names: a library's
 * are for others. Commands and sources are used by requests. */
#include "engine/lint/lint.h"

#include <string.h>

void pv_lint_unused_name(struct pv_lint *lint)
{
    if (!lint->program->root)
        return;
    for (const struct pv_ast_decl *decl = lint->program->root->first; decl; decl = decl->next) {
        switch (decl->kind) {
        case PV_AST_DECL_ROLE:
        case PV_AST_DECL_UNION:
        case PV_AST_DECL_SET:
        case PV_AST_DECL_WINDOW:
        case PV_AST_DECL_CONDITION:
        case PV_AST_DECL_ATTRIBUTE: break;
        default: continue;
        }
        const struct pv_named *named = decl->sema;
        bool admin = named->kind == PV_NAME_ROLE && !strcmp(named->text.ptr, "admin"); /* admin_only uses it */
        if (!named->used && !admin)
            pv_report(lint->diags, PV_DIAG_UNUSED_NAME, named->span, "%s `%s%s` is never used",
                      pv_name_kind_word(named->kind), named->kind == PV_NAME_ATTRIBUTE ? "host." : "", named->text.ptr);
    }
}
