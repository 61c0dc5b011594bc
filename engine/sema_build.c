/* Nodes of the checked expression, simplified while they are made: constants fold, double negation ends, and a long
 * `or` of equalities over one attribute becomes one membership test, so that a role of a thousand users is one test.
 *
 * Shared nodes make a DAG: `depth` and `size` tell what it is as a tree. */
#include "engine/sema.h"

#include <string.h>

#define MERGE_FROM 4u /* equalities that become a set */

struct pv_ir_expr *pv_ir_leaf(struct pv_sema *sema, enum pv_ir_kind kind, uint16_t slot, struct pv_span span)
{
    struct pv_ir_expr *expr = PV_NEW(sema->arena, struct pv_ir_expr);
    expr->kind = kind;
    expr->slot = slot;
    expr->span = span;
    expr->depth = expr->size = 1;
    return expr;
}

struct pv_ir_expr *pv_ir_truth(struct pv_sema *sema, bool value, struct pv_span span)
{
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_CONST, 0, span);
    expr->number = value;
    return expr;
}

struct pv_ir_expr *pv_ir_string_is(struct pv_sema *sema, uint16_t slot, struct pv_text text, struct pv_span span)
{
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_STR, slot, span);
    expr->string = pv_ir_str(text);
    return expr;
}

struct pv_ir_expr *pv_ir_string_has(struct pv_sema *sema, uint16_t slot, struct pv_text text, struct pv_span span)
{
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_MEMBER, slot, span);
    expr->string = pv_ir_str(text);
    return expr;
}

struct pv_ir_expr *pv_ir_in_set(struct pv_sema *sema, enum pv_ir_kind kind, uint16_t slot, struct pv_ir_set *set,
                                struct pv_span span)
{
    struct pv_ir_expr *expr = pv_ir_leaf(sema, kind, slot, span);
    pv_sema_use_set(sema, set);
    expr->set = set;
    return expr;
}

static void measure(struct pv_ir_expr *expr)
{
    uint64_t size = 1;
    uint32_t depth = 0;
    for (uint32_t i = 0; i < expr->n_kids; i++) {
        size += expr->kids[i]->size;
        if (expr->kids[i]->depth > depth)
            depth = expr->kids[i]->depth;
    }
    expr->size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
    expr->depth = depth == UINT32_MAX ? depth : depth + 1;
}

struct pv_ir_expr *pv_ir_negate(struct pv_sema *sema, struct pv_ir_expr *kid, struct pv_span span)
{
    if (kid->kind == PV_IR_CONST)
        return pv_ir_truth(sema, !kid->number, span);
    if (kid->kind == PV_IR_NOT)
        return kid->kids[0];
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_NOT, 0, span);
    expr->kids = pv_arena_array(sema->arena, 1, sizeof *expr->kids);
    expr->kids[0] = kid;
    expr->n_kids = 1;
    measure(expr);
    return expr;
}

/* Replaces the equalities (`is`) over one slot among kids by one membership test (`in`), where they are many. Returns
 * the number of kids left. */
static uint32_t merge(struct pv_sema *sema, struct pv_ir_expr **kids, uint32_t n, enum pv_ir_kind is,
                      enum pv_ir_kind in)
{
    const struct pv_ir_expr *first = NULL;
    uint32_t same = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (kids[i]->kind != is)
            continue;
        if (!first)
            first = kids[i];
        same += kids[i]->slot == first->slot;
    }
    if (same < MERGE_FROM)
        return n;
    struct pv_text *members = pv_arena_array(sema->arena, same, sizeof *members);
    uint16_t slot = first->slot;
    struct pv_span span = first->span;
    uint32_t left = 0, place = UINT32_MAX;
    same = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (kids[i]->kind == is && kids[i]->slot == slot) {
            members[same++] = (struct pv_text){kids[i]->string.ptr, kids[i]->string.len};
            if (place == UINT32_MAX)
                place = left++;
        } else {
            kids[left++] = kids[i];
        }
    }
    kids[place] = pv_ir_in_set(sema, in, slot, pv_sema_set_of(sema, members, same), span);
    return left;
}

struct pv_ir_expr *pv_ir_join(struct pv_sema *sema, enum pv_ir_kind kind, struct pv_ir_expr *const *kids, uint32_t n,
                              struct pv_span span)
{
    bool neutral = kind == PV_IR_AND; /* the constant that a join leaves out; the other one decides it */
    struct pv_ir_expr **kept = pv_arena_array(sema->arena, n, sizeof *kept);
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (kids[i]->kind == PV_IR_CONST) {
            if ((kids[i]->number != 0) != neutral)
                return pv_ir_truth(sema, !neutral, span);
            continue;
        }
        if (n_kept && kept[n_kept - 1] == kids[i])
            continue;
        kept[n_kept++] = kids[i];
    }
    if (kind == PV_IR_OR) {
        n_kept = merge(sema, kept, n_kept, PV_IR_STR, PV_IR_IN);
        n_kept = merge(sema, kept, n_kept, PV_IR_MEMBER, PV_IR_OVERLAPS);
    }
    if (!n_kept)
        return pv_ir_truth(sema, neutral, span);
    if (n_kept == 1)
        return kept[0];
    struct pv_ir_expr *expr = pv_ir_leaf(sema, kind, 0, span);
    expr->kids = kept;
    expr->n_kids = n_kept;
    measure(expr);
    return expr;
}

struct pv_ir_expr *pv_ir_join2(struct pv_sema *sema, enum pv_ir_kind kind, struct pv_ir_expr *a, struct pv_ir_expr *b,
                               struct pv_span span)
{
    struct pv_ir_expr *kids[2] = {a, b};
    return pv_ir_join(sema, kind, kids, 2, span);
}

bool pv_ir_fits(struct pv_sema *sema, const struct pv_ir_expr *expr, struct pv_span span)
{
    if (expr->depth <= PV_IR_MAX_DEPTH && expr->size <= PV_IR_MAX_SIZE)
        return true;
    struct pv_diag *diag;
    if (expr->depth > PV_IR_MAX_DEPTH)
        diag = pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, span,
                         "with the names that it uses written out, this is nested more than %d deep", PV_IR_MAX_DEPTH);
    else
        diag = pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, span,
                         "with the names that it uses written out, this has more than %u tests", PV_IR_MAX_SIZE);
    pv_diag_hint(sema->diags, diag, "names that are made of each other again and again multiply: simplify them");
    return false;
}
