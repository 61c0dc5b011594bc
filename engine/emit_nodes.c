/* The expression DAG, simplified: what both programs are generated from.
 *
 * Each expression is looked at once, however many rules share it. Constants disappear, `and` and `or` are flattened
 * into one level whose kids are distinct, double negation goes away; all of it holds for three truth values as for two.
 * Sizes and stack needs are computed bottom up, so limits are checked before code is made. */
#include <string.h>

#include "engine/emit.h"

/* ---- From an expression's address to its node ---- */

static size_t slot_of(const struct pv_emit *emit, const struct pv_ir_expr *expr)
{
    uint64_t hash = (uint64_t)(uintptr_t)expr * 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(hash >> 32) & (emit->n_node_slots - 1);
    while (emit->node_slots[slot] && emit->node_keys[slot] != expr)
        slot = (slot + 1) & (emit->n_node_slots - 1);
    return slot;
}

static void set_slots(struct pv_emit *emit, size_t n_slots)
{
    uint32_t *old_slots = emit->node_slots;
    const struct pv_ir_expr **old_keys = emit->node_keys;
    size_t n_old = emit->n_node_slots;
    emit->node_slots = pv_arena_array(emit->arena, n_slots, sizeof(uint32_t));
    emit->node_keys = pv_arena_array(emit->arena, n_slots, sizeof(*emit->node_keys));
    emit->n_node_slots = n_slots;
    for (size_t i = 0; i < n_old; i++) {
        if (!old_slots[i])
            continue;
        size_t slot = slot_of(emit, old_keys[i]);
        emit->node_slots[slot] = old_slots[i];
        emit->node_keys[slot] = old_keys[i];
    }
}

static void remember(struct pv_emit *emit, const struct pv_ir_expr *expr, uint32_t node)
{
    if ((emit->n_node_keys + 1) * 2 > emit->n_node_slots)
        set_slots(emit, emit->n_node_slots * 2);
    size_t slot = slot_of(emit, expr);
    emit->node_slots[slot] = node + 1;
    emit->node_keys[slot] = expr;
    emit->n_node_keys++;
}

/* ---- Nodes ---- */

static uint32_t add_node(struct pv_emit *emit, struct pv_emit_node node)
{
    emit->nodes =
        pv_arena_grow(emit->arena, emit->nodes, emit->n_nodes, &emit->nodes_capacity, emit->n_nodes + 1, sizeof(node));
    emit->nodes[emit->n_nodes] = node;
    emit->stamps = pv_arena_grow(emit->arena, emit->stamps, emit->n_nodes, &emit->stamps_capacity, emit->n_nodes + 1,
                                 sizeof(uint32_t));
    emit->stamps[emit->n_nodes] = 0;
    return (uint32_t)emit->n_nodes++;
}

void pv_emit_nodes_init(struct pv_emit *emit)
{
    set_slots(emit, 1024);
    emit->kids = pv_arena_grow(emit->arena, NULL, 0, &emit->kids_capacity, 256, sizeof(uint32_t));
    emit->roots = pv_arena_grow(emit->arena, NULL, 0, &emit->roots_capacity, 256, sizeof(uint32_t));
    add_node(emit, (struct pv_emit_node){.kind = PV_IR_CONST, .size = 1, .need = 1}); /* PV_EMIT_FALSE */
    add_node(emit, (struct pv_emit_node){.kind = PV_IR_CONST, .size = 1, .need = 1}); /* PV_EMIT_TRUE */
}

static void intern_operand(struct pv_emit *emit, const struct pv_ir_expr *expr, struct pv_emit_node *node)
{
    switch (expr->kind) {
    case PV_IR_STR:
    case PV_IR_MEMBER:
    case PV_IR_VER: node->operand = pv_emit_intern(emit, expr->string); break;
    case PV_IR_INT: *(int64_t *)pv_emit_row(emit, PVB_INTS) = expr->number; break;
    case PV_IR_IN:
    case PV_IR_OVERLAPS: pv_emit_use_set(emit, expr->set); break;
    case PV_IR_LIKE: pv_emit_intern(emit, expr->glob->text); break;
    default: break;
    }
}

static uint32_t leaf(struct pv_emit *emit, const struct pv_ir_expr *expr)
{
    struct pv_emit_node node = {.expr = expr, .kind = expr->kind, .size = 1, .need = 1};
    intern_operand(emit, expr, &node);
    return add_node(emit, node);
}

static uint32_t negate(struct pv_emit *emit, const struct pv_ir_expr *expr, uint32_t kid)
{
    if (kid <= PV_EMIT_TRUE)
        return kid == PV_EMIT_TRUE ? PV_EMIT_FALSE : PV_EMIT_TRUE;
    if (emit->nodes[kid].kind == PV_IR_NOT)
        return emit->kids[emit->nodes[kid].first_kid];
    struct pv_emit_node node = {.expr = expr,
                                .kind = PV_IR_NOT,
                                .first_kid = (uint32_t)emit->n_kids,
                                .n_kids = 1,
                                .size = emit->nodes[kid].size + 1,
                                .need = emit->nodes[kid].need};
    emit->kids =
        pv_arena_grow(emit->arena, emit->kids, emit->n_kids, &emit->kids_capacity, emit->n_kids + 1, sizeof(uint32_t));
    emit->kids[emit->n_kids++] = kid;
    return add_node(emit, node);
}

static void gather(struct pv_emit *emit, uint32_t kid)
{
    if (emit->stamps[kid] == emit->stamp)
        return;
    emit->stamps[kid] = emit->stamp;
    emit->kids =
        pv_arena_grow(emit->arena, emit->kids, emit->n_kids, &emit->kids_capacity, emit->n_kids + 1, sizeof(uint32_t));
    emit->kids[emit->n_kids++] = kid;
}

/* Moves the kid that needs most stack to the front: the others are then computed on top of one value, so the need grows
 * only where two kids are equally deep, and stays below the logarithm of the size. */
static void finish_needs(struct pv_emit *emit, struct pv_emit_node *node)
{
    uint32_t *kids = emit->kids + node->first_kid, deepest = 0;
    uint64_t size = 0;
    for (uint32_t i = 0; i < node->n_kids; i++) {
        size += emit->nodes[kids[i]].size + (i > 0);
        if (emit->nodes[kids[i]].need > emit->nodes[kids[deepest]].need)
            deepest = i;
    }
    uint32_t first = kids[deepest];
    memmove(kids + 1, kids, deepest * sizeof(*kids));
    kids[0] = first;
    node->need = emit->nodes[first].need;
    for (uint32_t i = 1; i < node->n_kids; i++)
        if (emit->nodes[kids[i]].need + 1 > node->need)
            node->need = emit->nodes[kids[i]].need + 1;
    node->size = size < UINT32_MAX ? size : UINT32_MAX;
}

/* `kids` are the kids' nodes. A kid of the same kind gives its own kids. */
static uint32_t join(struct pv_emit *emit, const struct pv_ir_expr *expr, const uint32_t *kids)
{
    uint32_t neutral = expr->kind == PV_IR_AND ? PV_EMIT_TRUE : PV_EMIT_FALSE;
    struct pv_emit_node node = {.expr = expr, .kind = expr->kind, .first_kid = (uint32_t)emit->n_kids};
    emit->stamp++;
    for (uint32_t i = 0; i < expr->n_kids; i++) {
        if (kids[i] == neutral)
            continue;
        if (kids[i] <= PV_EMIT_TRUE) {
            emit->n_kids = node.first_kid;
            return kids[i];
        }
        if (emit->nodes[kids[i]].kind != expr->kind) {
            gather(emit, kids[i]);
            continue;
        }
        for (uint32_t j = 0; j < emit->nodes[kids[i]].n_kids; j++)
            gather(emit, emit->kids[emit->nodes[kids[i]].first_kid + j]);
    }
    node.n_kids = (uint32_t)emit->n_kids - node.first_kid;
    if (node.n_kids <= 1) {
        uint32_t only = node.n_kids ? emit->kids[node.first_kid] : neutral;
        emit->n_kids = node.first_kid;
        return only;
    }
    finish_needs(emit, &node);
    return add_node(emit, node);
}

static uint32_t simplify(struct pv_emit *emit, const struct pv_ir_expr *expr, unsigned depth, struct pv_span span)
{
    size_t slot = slot_of(emit, expr);
    if (emit->node_slots[slot])
        return emit->node_slots[slot] - 1;
    if (depth > PV_IR_MAX_DEPTH) {
        if (!emit->refused)
            pv_emit_refuse(emit, span, "an expression is nested more than %d deep", PV_IR_MAX_DEPTH);
        return PV_EMIT_FALSE;
    }
    uint32_t node;
    switch (expr->kind) {
    case PV_IR_CONST: node = expr->number ? PV_EMIT_TRUE : PV_EMIT_FALSE; break;
    case PV_IR_NOT: node = negate(emit, expr, simplify(emit, expr->kids[0], depth + 1, span)); break;
    case PV_IR_AND:
    case PV_IR_OR: {
        uint32_t *kids = pv_arena_array(emit->arena, expr->n_kids, sizeof(uint32_t));
        for (uint32_t i = 0; i < expr->n_kids; i++)
            kids[i] = simplify(emit, expr->kids[i], depth + 1, span);
        node = join(emit, expr, kids);
        break;
    }
    default: node = leaf(emit, expr); break;
    }
    remember(emit, expr, node);
    return node;
}

uint32_t pv_emit_node(struct pv_emit *emit, const struct pv_ir_expr *expr, struct pv_span span)
{
    return simplify(emit, expr, 1, span);
}
