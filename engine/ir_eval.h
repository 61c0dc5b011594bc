/* Evaluates checked expressions as they stand in the IR, without generated code: what coverage and explanations rest
 * on, so that they say the same whatever the code generator does, and a second opinion on the machine in tests. */
#ifndef PROVISO_ENGINE_IR_EVAL_H
#define PROVISO_ENGINE_IR_EVAL_H

#include "engine/ir.h"

/* The truth of an expression for a request of the bundle that was made of its policy. Kleene's logic: a test of what is
 * absent or not known is unknown, but `has` tells absent from present. */
enum pv_truth pv_ir_eval(const struct pv_ir_expr *expr, const struct pv_request *request);

/* The slots that an expression reads, each once, in order; at most `n` of them. Returns how many were written. Windows
 * read the time's, `own` the user's and the owner's. */
uint32_t pv_ir_reads(const struct pv_ir_expr *expr, uint16_t *slots, uint32_t n);

#endif
