/* A string argument or option of a command that takes any value: paths, options' look-alikes, another's files. */
#include "engine/lint/lint.h"

void pv_lint_open_argument(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        if (decl->kind != PV_AST_DECL_COMMAND)
            continue;
        for (const struct pv_ast_command_item *item = decl->command->first; item; item = item->next) {
            bool parameter = item->kind == PV_AST_COMMAND_ARGUMENT || item->kind == PV_AST_COMMAND_OPTION;
            if (!parameter || item->type.type != PV_T_STRING || !pv_span_is_none(item->members_span))
                continue;
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_OPEN_ARGUMENT, item->name.span, "%s `%s` takes any text",
                          item->kind == PV_AST_COMMAND_ARGUMENT ? "argument" : "option", item->name.text.ptr);
            pv_diag_hint(lint->diags, diag, "say what it takes: `string in { \"...\", like \"...\" }`");
        }
    }
}
