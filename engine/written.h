/* Conditions as their author wrote them: which atomic conditions an evaluation from left to right comes to, and which
 * ones make the result what it is. Semantic analysis simplifies and shares; people read what they wrote.
 *
 * An atomic condition is a comparison, an `in`, `like`, `overlaps` or `has`, a bool attribute, or the name of a
 * condition (expr->stands; what that one is made of is for the caller to visit, once). Literals are none. */
#ifndef PROVISO_ENGINE_WRITTEN_H
#define PROVISO_ENGINE_WRITTEN_H

#include "engine/ast.h"
#include "engine/ir.h"

typedef void pv_written_visit(void *context, const struct pv_ast_expr *atom, enum pv_truth truth);

/* The truth of a checked expression; visits each atomic condition that the result is sought in, in source order: behind
 * a false operand of `and`, a true one of `or`, nothing is looked at. `visit` may be NULL. */
enum pv_truth pv_written_eval(const struct pv_ast_expr *expr, const struct pv_request *request, pv_written_visit *visit,
                              void *context);
/* Visits every atomic condition, without a request (truth is unknown). */
void pv_written_atoms(const struct pv_ast_expr *expr, pv_written_visit *visit, void *context);
/* Visits the atomic conditions that make the expression true, false or unknown: where an `and` is false its false
 * operands, where it is true all of them, and so on. */
void pv_written_reasons(const struct pv_ast_expr *expr, const struct pv_request *request, pv_written_visit *visit,
                        void *context);

#endif
