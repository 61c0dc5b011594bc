/* A condition or a clause whose answer is always the same. */
#include "engine/lint/lint.h"

static bool constant(const struct pv_ir_expr *expr)
{
    return expr->kind == PV_IR_CONST;
}

/* A clause that is a condition's name alone: told at the condition. */
static bool is_condition(const struct pv_ast_expr *expr)
{
    while (expr->kind == PV_AST_NOT)
        expr = expr->first;
    return expr->kind == PV_AST_NAME;
}

static void check_rule(struct pv_lint *lint, const struct pv_lint_rule *rule)
{
    for (const struct pv_ast_clause *clause = rule->ast->scope.first_clause; clause; clause = clause->next) {
        if (!clause->expr || is_condition(clause->expr))
            continue;
        for (uint32_t i = 0; i < rule->ir->n_clauses; i++) {
            const struct pv_ir_clause *checked = &rule->ir->clauses[i];
            bool same = checked->span.start == clause->span.start &&
                        (checked->kind == PV_C_WHEN || checked->kind == PV_C_UNLESS);
            if (!same || !constant(checked->expr))
                continue;
            /* An `unless` is kept as what must hold: the other way round. */
            bool holds = checked->expr->number != 0;
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_CONSTANT_CONDITION, clause->expr->span, "this is always %s",
                          holds == (checked->kind == PV_C_WHEN) ? "true" : "false");
            pv_diag_hint(lint->diags, diag,
                         holds ? "the clause changes nothing: leave it out" : "the rule never applies: leave it out");
            if (holds) {
                pv_diag_fix(lint->diags, diag, clause->span, "%s", "");
                diag->certain = true;
            }
        }
    }
}

void pv_lint_constant_condition(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        const struct pv_named *named = decl->kind == PV_AST_DECL_CONDITION ? decl->sema : NULL;
        if (named && constant(named->condition->expr))
            pv_report(lint->diags, PV_DIAG_CONSTANT_CONDITION, decl->condition->expr->span,
                      "condition `%s` is always %s", named->text.ptr,
                      named->condition->expr->number ? "true" : "false");
    }
    for (uint32_t i = 0; i < lint->n_rules; i++)
        check_rule(lint, &lint->rules[i]);
}
