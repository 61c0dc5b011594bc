/* Commands that inform show the names of sources, also of those that are for administrators alone. */
#include "engine/lint/lint.h"

static const struct pv_ast_decl *hidden_source(const struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        if (decl->kind == PV_AST_DECL_SOURCE && decl->source->prop[PV_AST_SOURCE_ADMIN_ONLY])
            return decl;
    }
    return NULL;
}

void pv_lint_hidden_sources(struct pv_lint *lint)
{
    static const char *const informing[] = {"info", "list", "search", "outdated"};
    const struct pv_ast_decl *source = hidden_source(lint);
    for (uint32_t i = 0; source && i < lint->n_rules; i++) {
        const struct pv_ast_scope *scope = &lint->rules[i].ast->scope;
        if (lint->rules[i].ast->kind != PV_AST_ALLOW || pv_lint_only_admins(scope->subject) ||
            (scope->any_command && scope->subject->kind == PV_AST_SUBJECT_EVERYONE) || /* told as that */
            scope->from)
            continue;
        for (size_t k = 0; k < sizeof informing / sizeof *informing; k++) {
            struct pv_span span = pv_lint_names_command(scope, informing[k]);
            if (pv_span_is_none(span))
                continue;
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_HIDDEN_SOURCES, span,
                          "`%s` shows what every source has, also source `%s`, which is `admin_only`", informing[k],
                          source->name.text.ptr);
            pv_diag_related(lint->diags, diag, source->name.span, "for administrators alone");
            break;
        }
    }
}
