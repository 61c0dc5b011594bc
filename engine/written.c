/* Walking conditions as written (written.h). Recursion is over one syntax tree, which PV_AST_MAX_DEPTH bounds; a named
 * condition is a leaf, evaluated through its IR. */
#include "engine/written.h"

#include "engine/ir_eval.h"

static bool is_join(const struct pv_ast_expr *expr)
{
    return expr->kind == PV_AST_AND || expr->kind == PV_AST_OR;
}

enum pv_truth pv_written_eval(const struct pv_ast_expr *expr, const struct pv_request *request, pv_written_visit *visit,
                              void *context)
{
    if (expr->kind == PV_AST_NOT)
        return (enum pv_truth)(PV_TRUE - pv_written_eval(expr->first, request, visit, context));
    if (!is_join(expr)) {
        enum pv_truth truth = pv_ir_eval(expr->ir, request);
        if (visit && expr->kind != PV_AST_LITERAL)
            visit(context, expr, truth);
        return truth;
    }
    bool is_and = expr->kind == PV_AST_AND;
    enum pv_truth result = is_and ? PV_TRUE : PV_FALSE, decided = is_and ? PV_FALSE : PV_TRUE;
    for (const struct pv_ast_expr *kid = expr->first; kid && result != decided; kid = kid->next) {
        enum pv_truth truth = pv_written_eval(kid, request, visit, context);
        if (is_and ? truth < result : truth > result)
            result = truth;
    }
    return result;
}

void pv_written_atoms(const struct pv_ast_expr *expr, pv_written_visit *visit, void *context)
{
    if (expr->kind == PV_AST_NOT || is_join(expr)) {
        for (const struct pv_ast_expr *kid = expr->first; kid; kid = kid->next)
            pv_written_atoms(kid, visit, context);
    } else if (expr->kind != PV_AST_LITERAL) {
        visit(context, expr, PV_UNKNOWN);
    }
}

void pv_written_reasons(const struct pv_ast_expr *expr, const struct pv_request *request, pv_written_visit *visit,
                        void *context)
{
    if (expr->kind == PV_AST_NOT) {
        pv_written_reasons(expr->first, request, visit, context);
    } else if (is_join(expr)) {
        enum pv_truth result = pv_written_eval(expr, request, NULL, NULL);
        for (const struct pv_ast_expr *kid = expr->first; kid; kid = kid->next)
            if (pv_written_eval(kid, request, NULL, NULL) == result)
                pv_written_reasons(kid, request, visit, context);
    } else if (expr->kind != PV_AST_LITERAL) {
        visit(context, expr, pv_ir_eval(expr->ir, request));
    }
}
