/* The program `clauses`: one straight run a clause, on a stack of truth values that ends with exactly one. Kids are in
 * an order that bounds the stack (emit_nodes.c). */
#include "engine/emit.h"

struct pvb_insn pv_emit_test(const struct pv_emit_node *node)
{
    static const uint8_t ops[] = {
        [PV_IR_CONST] = PVB_OP_CONST,
        [PV_IR_NOT] = PVB_OP_NOT,
        [PV_IR_AND] = PVB_OP_AND,
        [PV_IR_OR] = PVB_OP_OR,
        [PV_IR_HAS] = PVB_OP_HAS,
        [PV_IR_BOOL] = PVB_OP_BOOL,
        [PV_IR_INT] = PVB_OP_INT,
        [PV_IR_INT2] = PVB_OP_INT2,
        [PV_IR_STR] = PVB_OP_STR,
        [PV_IR_STR2] = PVB_OP_STR2,
        [PV_IR_IN] = PVB_OP_IN,
        [PV_IR_IN2] = PVB_OP_IN2,
        [PV_IR_MEMBER] = PVB_OP_MEMBER,
        [PV_IR_OVERLAPS] = PVB_OP_OVERLAPS,
        [PV_IR_OVERLAPS2] = PVB_OP_OVERLAPS2,
        [PV_IR_LIKE] = PVB_OP_LIKE,
        [PV_IR_VER] = PVB_OP_VER,
        [PV_IR_VER2] = PVB_OP_VER2,
        [PV_IR_IN_WINDOW] = PVB_OP_IN_WINDOW,
        [PV_IR_OWN] = PVB_OP_OWN,
    };
    struct pvb_insn insn = {.op = ops[node->kind], .arg = node->operand};
    if (!node->expr)
        return insn;
    switch (node->kind) {
    case PV_IR_CONST:
    case PV_IR_NOT:
    case PV_IR_AND:
    case PV_IR_OR:
    case PV_IR_IN_WINDOW:
    case PV_IR_OWN: break;
    case PV_IR_VER:
    case PV_IR_VER2:
        insn.cmp = (uint8_t)(node->expr->cmp | node->expr->order << 4);
        insn.slot = node->expr->slot;
        break;
    case PV_IR_INT:
    case PV_IR_INT2:
        insn.cmp = (uint8_t)node->expr->cmp;
        insn.slot = node->expr->slot;
        break;
    default: insn.slot = node->expr->slot; break;
    }
    return insn;
}

static void push(struct pv_emit *emit, struct pvb_insn insn)
{
    *(struct pvb_insn *)pv_emit_row(emit, PVB_CLAUSE_CODE) = insn;
}

static void evaluate(struct pv_emit *emit, uint32_t number)
{
    const struct pv_emit_node *node = &emit->nodes[number];
    struct pvb_insn insn = pv_emit_test(node);
    if (number == PV_EMIT_TRUE)
        insn.cmp = 1;
    for (uint32_t i = 0; i < node->n_kids; i++) {
        evaluate(emit, emit->kids[node->first_kid + i]);
        if (i > 0)
            push(emit, insn);
    }
    if (node->kind != PV_IR_AND && node->kind != PV_IR_OR)
        push(emit, insn);
}

void pv_emit_clauses(struct pv_emit *emit)
{
    struct pvb_clause *clauses = emit->section[PVB_CLAUSES].rows;
    for (size_t c = 0; c < emit->n_roots; c++) {
        clauses[c].first_insn = pv_emit_count(emit, PVB_CLAUSE_CODE);
        evaluate(emit, emit->roots[c]);
        push(emit, (struct pvb_insn){.op = PVB_OP_END});
        clauses[c].n_insns = pv_emit_count(emit, PVB_CLAUSE_CODE) - clauses[c].first_insn;
    }
}
