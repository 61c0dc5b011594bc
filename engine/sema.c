/* Semantic analysis from top to bottom: what must be known first comes first. */
#include "engine/sema.h"

static void lower_policy(struct pv_sema *sema)
{
    struct pv_ir *ir = sema->ir;
    const struct pv_file *root = sema->program->root;
    ir->is_library = !root;
    ir->name.ptr = ir->title.ptr = ir->zone.ptr = "";
    if (!root || !root->policy)
        return;
    const struct pv_ast_policy *policy = root->policy->policy;
    ir->name = pv_ir_str(root->policy->name.text);
    ir->title = pv_ir_str(policy->title.text);
    ir->zone = pv_ir_str(policy->zone.text);
    ir->version = (uint64_t)policy->version;
    pv_sema_zone(sema, &policy->zone);
}

static void analyse(struct pv_sema *sema)
{
    pv_sema_declare(sema);
    lower_policy(sema);
    pv_sema_sets(sema);
    pv_sema_windows(sema);
    pv_sema_roles(sema);
    pv_sema_sources(sema);
    pv_sema_attributes(sema);
    pv_sema_commands(sema);
    pv_sema_conditions(sema);
    pv_sema_rules(sema);
    pv_sema_tests(sema);
    pv_sema_emit_attributes(sema);
    pv_sema_emit_required(sema);
}

int pv_sema(struct pv_ir **out, struct pv_program *program, struct pv_diags *diags, struct pv_arena *arena)
{
    struct pv_sema *volatile sema = NULL;
    jmp_buf guard;
    *out = NULL;
    jmp_buf *volatile outer = pv_arena_guard(arena, &guard);
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        return PV_E_NOMEM;
    }
    sema = PV_NEW(arena, struct pv_sema);
    sema->arena = arena;
    sema->program = program;
    sema->diags = diags;
    sema->incomplete = pv_diags_errors(diags) != 0;
    sema->ir = PV_NEW(arena, struct pv_ir);
    if (program->main)
        analyse(sema);
    pv_arena_guard(arena, outer);
    if (!pv_diags_errors(diags))
        *out = sema->ir;
    return 0;
}
