/* One name for things of two kinds: `dev` a role and a set. The language tells them apart; readers may not. Attributes
 * are written behind a dot and do not count. */
#include "engine/lint/lint.h"

void pv_lint_name_of_two_kinds(struct pv_lint *lint)
{
    struct pv_map first = {0};
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        struct pv_named *named = decl->name.text.ptr && decl->kind != PV_AST_DECL_POLICY ? decl->sema : NULL;
        if (!named || named->kind == PV_NAME_ATTRIBUTE)
            continue;
        struct pv_named **place = (struct pv_named **)pv_map_put(&first, lint->arena, named->text.ptr);
        if (!*place) {
            *place = named;
        } else if ((*place)->kind != named->kind) {
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_NAME_OF_TWO_KINDS, named->span, "`%s` names a %s and a %s",
                          named->text.ptr, pv_name_kind_word((*place)->kind), pv_name_kind_word(named->kind));
            pv_diag_related(lint->diags, diag, (*place)->span, "the %s", pv_name_kind_word((*place)->kind));
        }
    }
}
