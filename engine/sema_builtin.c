/* The built-in denials, as rules like any other, in front of the declared ones.
 *
 * builtin:protected is about the operation `uninstall`: that is what every removal in a plan is, whatever was typed. It
 * is lifted by a matching allow that names the package as a literal string, in braces too; what a set's name or a
 * pattern brings in beside it is not named. So the rule holds where none of these allows matches. */
#include "engine/sema.h"

enum { NEVER_BROKERED, ADMIN_ONLY, DISABLED, PROTECTED, N_BUILTINS };

static const char *const ids[N_BUILTINS] = {"builtin:never-brokered", "builtin:admin-only", "builtin:disabled",
                                            "builtin:protected"};
/* Denials without a rule in the bundle: the engine of decisions and the agent add them. */
static const char *const other_ids[] = {"builtin:account-conflict", "builtin:unsupported"};

void pv_sema_reserve_builtins(struct pv_sema *sema)
{
    struct pv_ir *ir = sema->ir;
    ir->rules = pv_arena_grow(sema->arena, NULL, 0, &sema->rules_capacity, N_BUILTINS, sizeof *ir->rules);
    ir->n_rules = N_BUILTINS;
    for (int i = 0; i < N_BUILTINS; i++) {
        struct pv_text id = pv_intern_z(sema->arena, ids[i]);
        ir->rules[i] = (struct pv_ir_rule){.kind = PV_RULE_BUILTIN_DENY, .id = pv_ir_str(id), .span = PV_NO_SPAN};
        pv_sema_add_rule_id(sema, id, PV_NO_SPAN);
    }
    for (size_t i = 0; i < sizeof other_ids / sizeof *other_ids; i++)
        pv_sema_add_rule_id(sema, pv_intern_z(sema->arena, other_ids[i]), PV_NO_SPAN);
}

/* ---- Allows that name packages literally ---- */

bool pv_sema_names_literally(const struct pv_ast_scope *scope)
{
    if (!scope->object)
        return false;
    if (scope->object->kind == PV_AST_OBJECT_STRING)
        return true;
    if (scope->object->kind != PV_AST_OBJECT_SET)
        return false;
    for (const struct pv_ast_item *item = scope->object->set->first; item; item = item->next)
        if (item->kind != PV_AST_ITEM_STRING)
            return false;
    return true;
}

/* The package is one of the strings in these braces; NULL where there is none. */
static struct pv_ir_expr *is_literal(struct pv_sema *sema, const struct pv_ast_set *set)
{
    struct pv_ir_expr **kids = pv_arena_array(sema->arena, set->n, sizeof *kids);
    uint32_t n = 0;
    for (const struct pv_ast_item *item = set->first; item; item = item->next)
        if (item->kind == PV_AST_ITEM_STRING)
            kids[n++] = pv_ir_string_is(sema, PV_A_PACKAGE_NAME, item->text, item->span);
    return n ? pv_ir_join(sema, PV_IR_OR, kids, n, set->span) : NULL;
}

void pv_sema_note_literal(struct pv_sema *sema, const struct pv_ast_scope *scope, const struct pv_scope_ir *lowered)
{
    if (!sema->uninstall || !scope->object || !pv_sema_reaches(&lowered->reach, sema->uninstall))
        return;
    struct pv_ir_expr *literal = NULL;
    if (scope->object->kind == PV_AST_OBJECT_SET)
        literal = is_literal(sema, scope->object->set);
    if (!literal && scope->object->kind != PV_AST_OBJECT_STRING)
        return;
    struct pv_ir_expr **kids = pv_arena_array(sema->arena, lowered->n_clauses + 1u, sizeof *kids);
    uint32_t n = 0;
    for (uint32_t i = 0; i < lowered->n_clauses; i++)
        kids[n++] = lowered->clauses[i].expr;
    if (literal && !pv_sema_names_literally(scope))
        kids[n++] = literal;
    struct pv_literal_allow *allow = PV_NEW(sema->arena, struct pv_literal_allow);
    allow->matches = pv_ir_join(sema, PV_IR_AND, kids, n, scope->span);
    allow->next = sema->literal_allows;
    sema->literal_allows = allow;
    sema->n_literal_allows++;
}

static struct pv_ir_expr *named_by_an_allow(struct pv_sema *sema)
{
    if (!sema->n_literal_allows)
        return pv_ir_truth(sema, false, PV_NO_SPAN);
    struct pv_ir_expr **kids = pv_arena_array(sema->arena, sema->n_literal_allows, sizeof *kids);
    uint32_t n = sema->n_literal_allows;
    for (const struct pv_literal_allow *allow = sema->literal_allows; allow; allow = allow->next)
        kids[--n] = allow->matches;
    return pv_ir_join(sema, PV_IR_OR, kids, sema->n_literal_allows, PV_NO_SPAN);
}

/* ---- The rules ---- */

static void add_clause(struct pv_sema *sema, int rule, enum pv_clause_kind kind, struct pv_ir_expr *expr,
                       const char *text)
{
    struct pv_ir_rule *out = &sema->ir->rules[rule];
    if (!out->clauses)
        out->clauses = pv_arena_array(sema->arena, 3, sizeof *out->clauses);
    pv_ir_fits(sema, expr, PV_NO_SPAN);
    sema->total_size += expr->size;
    out->clauses[out->n_clauses++] = (struct pv_ir_clause){
        .kind = kind, .expr = expr, .text = pv_ir_str(pv_intern_z(sema->arena, text)), .span = PV_NO_SPAN};
}

/* A bool that operations may not have: not there is not so. */
static struct pv_ir_expr *there_and_true(struct pv_sema *sema, uint16_t slot)
{
    return pv_ir_join2(sema, PV_IR_AND, pv_ir_leaf(sema, PV_IR_HAS, slot, PV_NO_SPAN),
                       pv_ir_leaf(sema, PV_IR_BOOL, slot, PV_NO_SPAN), PV_NO_SPAN);
}

void pv_sema_builtins(struct pv_sema *sema)
{
    static const char *const never[] = {"config", "feature", "source", "apikey"};
    struct pv_ir_expr *kids[sizeof never / sizeof *never];
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        kids[i] = pv_ir_string_is(sema, PV_A_COMMAND, pv_intern_z(sema->arena, never[i]), PV_NO_SPAN);
    add_clause(sema, NEVER_BROKERED, PV_C_COMMANDS, pv_ir_join(sema, PV_IR_OR, kids, 4, PV_NO_SPAN),
               "to config, feature, source, apikey");

    if (!sema->admin->poisoned)
        add_clause(sema, ADMIN_ONLY, PV_C_SUBJECT, pv_ir_negate(sema, sema->admin->expr, PV_NO_SPAN), "not admin");
    add_clause(sema, ADMIN_ONLY, PV_C_BUILTIN, there_and_true(sema, PV_A_SOURCE_ADMIN_ONLY),
               "from an admin_only source");

    add_clause(sema, DISABLED, PV_C_BUILTIN, there_and_true(sema, PV_A_SOURCE_DISABLED), "from a disabled source");

    add_clause(sema, PROTECTED, PV_C_COMMANDS,
               pv_ir_string_is(sema, PV_A_COMMAND, pv_intern_z(sema->arena, "uninstall"), PV_NO_SPAN), "to uninstall");
    add_clause(sema, PROTECTED, PV_C_BUILTIN, there_and_true(sema, PV_A_PACKAGE_PROTECTED), "package.protected");
    add_clause(sema, PROTECTED, PV_C_BUILTIN, pv_ir_negate(sema, named_by_an_allow(sema), PV_NO_SPAN),
               "no matching allow names the package literally");
}
