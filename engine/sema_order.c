/* Declarations in the order of their dependencies: depth first with a stack of its own, since a chain of names may be
 * as long as the policy. */
#include "engine/sema.h"

struct frame {
    struct pv_named *named;
    size_t next; /* use to look at */
};

void pv_sema_add_use(struct pv_sema *sema, struct pv_named *user, struct pv_named *target, struct pv_span span)
{
    user->uses = pv_arena_grow(sema->arena, user->uses, user->n_uses, &user->uses_capacity, user->n_uses + 1,
                               sizeof *user->uses);
    user->uses[user->n_uses++] = (struct pv_use){target, span};
}

/* stack[from .. top] use each other in a circle, closed by the use at `span`. */
static void tell_cycle(struct pv_sema *sema, const struct frame *stack, size_t from, size_t top, struct pv_span span)
{
    const struct pv_named *first = stack[from].named;
    if (from == top) {
        pv_report(sema->diags, PV_DIAG_NAME_CYCLE, span, "%s `%s` is declared by itself",
                  pv_name_kind_word(first->kind), first->text.ptr);
    } else {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_NAME_CYCLE, span, "%s `%s` is declared by itself, through `%s`",
                      pv_name_kind_word(first->kind), first->text.ptr, stack[from + 1].named->text.ptr);
        for (size_t i = from; i < top && i < from + 8; i++) {
            const struct pv_named *user = stack[i].named;
            pv_diag_related(sema->diags, diag, user->uses[stack[i].next - 1].span, "`%s` uses `%s`", user->text.ptr,
                            stack[i + 1].named->text.ptr);
        }
    }
    for (size_t i = from; i <= top; i++)
        stack[i].named->poisoned = true;
}

static void leave(struct pv_sema *sema, struct pv_named *named,
                  void (*lower)(struct pv_sema *sema, struct pv_named *named))
{
    named->state = PV_ORDER_DONE;
    for (size_t i = 0; i < named->n_uses && !named->poisoned; i++)
        named->poisoned = named->uses[i].target->poisoned;
    if (!named->poisoned)
        lower(sema, named);
}

static void visit(struct pv_sema *sema, struct pv_named *root, struct frame *stack,
                  void (*lower)(struct pv_sema *sema, struct pv_named *named))
{
    size_t top = 0;
    stack[0] = (struct frame){root, 0};
    root->state = PV_ORDER_OPEN;
    for (;;) {
        struct frame *frame = &stack[top];
        if (frame->next == frame->named->n_uses) {
            leave(sema, frame->named, lower);
            if (!top)
                return;
            top--;
            continue;
        }
        const struct pv_use *use = &frame->named->uses[frame->next++];
        if (use->target->state == PV_ORDER_NEW) {
            use->target->state = PV_ORDER_OPEN;
            stack[++top] = (struct frame){use->target, 0};
        } else if (use->target->state == PV_ORDER_OPEN && !use->target->poisoned) {
            size_t from = top;
            while (stack[from].named != use->target)
                from--;
            tell_cycle(sema, stack, from, top, use->span);
        }
    }
}

void pv_sema_in_order(struct pv_sema *sema, enum pv_name_kind kind,
                      void (*lower)(struct pv_sema *sema, struct pv_named *named))
{
    struct frame *stack = pv_arena_array(sema->arena, sema->n_named[kind], sizeof *stack);
    for (size_t i = 0; i < sema->n_named[kind]; i++)
        if (sema->named[kind][i]->state == PV_ORDER_NEW)
            visit(sema, sema->named[kind][i], stack, lower);
}
