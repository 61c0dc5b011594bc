/* Subjects: roles are expanded to tests over user.name and user.groups. A role is one shared node. */
#include "engine/sema.h"

/* The operands' nodes, as if parentheses round the same operator were not there: they mean nothing. False where one is
 * wrong. */
static bool join_kids(struct pv_sema *sema, struct pv_ast_subject *subject, enum pv_ast_subject_kind kind,
                      struct pv_ir_expr ***kids, size_t *n, size_t *capacity)
{
    bool good = true;
    for (struct pv_ast_subject *operand = subject->first; operand; operand = operand->next) {
        if (operand->kind == kind) {
            good = join_kids(sema, operand, kind, kids, n, capacity) && good;
            continue;
        }
        struct pv_ir_expr *kid = pv_sema_subject(sema, operand);
        good = good && kid;
        *kids = pv_arena_grow(sema->arena, *kids, *n, capacity, *n + 1, sizeof(**kids));
        (*kids)[(*n)++] = kid;
    }
    return good;
}

struct pv_ir_expr *pv_sema_subject(struct pv_sema *sema, struct pv_ast_subject *subject)
{
    const struct pv_named *role;
    struct pv_ir_expr *kid, **kids = NULL;
    size_t n = 0, capacity = 0;
    switch (subject->kind) {
    case PV_AST_SUBJECT_USER: return pv_ir_string_is(sema, PV_A_USER_NAME, subject->name.text, subject->span);
    case PV_AST_SUBJECT_GROUP: return pv_ir_string_has(sema, PV_A_USER_GROUPS, subject->name.text, subject->span);
    case PV_AST_SUBJECT_EVERYONE: return pv_ir_truth(sema, true, subject->span);
    case PV_AST_SUBJECT_ROLE:
        role = pv_sema_resolve_once(sema, &subject->sema, PV_NAME_ROLE, &subject->name);
        return role && !role->poisoned ? role->expr : NULL;
    case PV_AST_SUBJECT_NOT:
        kid = pv_sema_subject(sema, subject->first);
        return kid ? pv_ir_negate(sema, kid, subject->span) : NULL;
    case PV_AST_SUBJECT_OR:
    case PV_AST_SUBJECT_AND: break;
    }
    if (!join_kids(sema, subject, subject->kind, &kids, &n, &capacity))
        return NULL;
    return pv_ir_join(sema, subject->kind == PV_AST_SUBJECT_OR ? PV_IR_OR : PV_IR_AND, kids, (uint32_t)n,
                      subject->span);
}

static void collect_uses(struct pv_sema *sema, struct pv_named *user, struct pv_ast_subject *subject)
{
    if (subject->kind == PV_AST_SUBJECT_ROLE) {
        struct pv_named *target = pv_sema_resolve_once(sema, &subject->sema, PV_NAME_ROLE, &subject->name);
        if (target)
            pv_sema_add_use(sema, user, target, subject->span);
    }
    for (struct pv_ast_subject *operand = subject->first; operand; operand = operand->next)
        collect_uses(sema, user, operand);
}

static struct pv_ir_expr *default_admin(struct pv_sema *sema)
{
    struct pv_text root = pv_intern_z(sema->arena, "root"), sudo = pv_intern_z(sema->arena, "sudo");
    return pv_ir_join2(sema, PV_IR_OR, pv_ir_string_is(sema, PV_A_USER_NAME, root, PV_NO_SPAN),
                       pv_ir_string_has(sema, PV_A_USER_GROUPS, sudo, PV_NO_SPAN), PV_NO_SPAN);
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    if (!named->decl)
        named->expr = default_admin(sema);
    else
        named->expr = pv_sema_subject(sema, named->decl->role->subject);
    named->poisoned = !named->expr || !pv_ir_fits(sema, named->expr, named->span);
}

void pv_sema_roles(struct pv_sema *sema)
{
    for (size_t i = 0; i < sema->n_named[PV_NAME_ROLE]; i++) {
        struct pv_named *named = sema->named[PV_NAME_ROLE][i];
        if (named->decl)
            collect_uses(sema, named, named->decl->role->subject);
    }
    pv_sema_in_order(sema, PV_NAME_ROLE, lower);
}
