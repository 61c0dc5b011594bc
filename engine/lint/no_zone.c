/* A policy that uses time and names no zone: it means the machine's, which differs from machine to machine. */
#include "engine/lint/lint.h"

#include <string.h>

static void note(struct pv_lint *lint, struct pv_span span)
{
    if (pv_span_is_none(lint->first_time))
        lint->first_time = span;
}

static void check_expr(struct pv_lint *lint, const struct pv_ast_expr *expr)
{
    if (expr->kind == PV_AST_PATH && !strcmp(expr->path->head.text.ptr, "time"))
        note(lint, expr->span);
}

static void check_scope(struct pv_lint *lint, const struct pv_ast_scope *scope)
{
    for (const struct pv_ast_clause *clause = scope->first_clause; clause; clause = clause->next)
        if (clause->kind == PV_AST_UNTIL)
            note(lint, clause->span);
}

/* A window that is made of days and clocks itself, not of other windows alone. */
static bool has_times(const struct pv_ast_window *window)
{
    for (const struct pv_ast_alternative *a = window->alternatives; a; a = a->next)
        if (!a->name.text.ptr)
            return true;
    for (const struct pv_ast_alternative *a = window->except; a; a = a->next)
        if (!a->name.text.ptr)
            return true;
    return false;
}

void pv_lint_no_zone(struct pv_lint *lint)
{
    const struct pv_file *root = lint->program->root;
    if (!root || !root->policy || !pv_span_is_none(root->policy->policy->zone_span))
        return;
    lint->first_time = PV_NO_SPAN;
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        if (decl->kind == PV_AST_DECL_WINDOW && pv_span_is_none(decl->window->zone_span) && has_times(decl->window))
            note(lint, decl->name.span);
    }
    pv_lint_scopes(lint, check_scope);
    pv_lint_exprs(lint, check_expr);
    if (pv_span_is_none(lint->first_time))
        return;
    struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_NO_ZONE, root->policy->name.span,
                                     "this policy uses time and names no zone: it means each machine's own");
    pv_diag_related(lint->diags, diag, lint->first_time, "time is used here");
    pv_diag_hint(lint->diags, diag,
                 "write `zone \"Europe/Paris\"` behind the version, or `zone host` where each machine's own is meant");
}
