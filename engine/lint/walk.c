/* Walks over a policy that several lints take. Recursion is bounded by the depth of trees; expressions that unfold to
 * more than PV_LINT_MAX_SIZE nodes are passed over. */
#include "engine/lint/lint.h"

#include <string.h>

/* ---- The tree ---- */

static void visit_exprs(struct pv_lint *lint, const struct pv_ast_expr *expr,
                        void (*visit)(struct pv_lint *, const struct pv_ast_expr *))
{
    visit(lint, expr);
    if (expr->n)
        for (const struct pv_ast_expr *kid = expr->first; kid; kid = kid->next)
            visit_exprs(lint, kid, visit);
}

static const struct pv_ast_scope *scope_of(const struct pv_ast_decl *decl)
{
    return decl->kind == PV_AST_DECL_RULE        ? &decl->rule->scope
           : decl->kind == PV_AST_DECL_ASSERTION ? &decl->assertion->scope
                                                 : NULL;
}

void pv_lint_scopes(struct pv_lint *lint, void (*visit)(struct pv_lint *, const struct pv_ast_scope *))
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_scope *scope = scope_of(lint->program->decls[i]);
        if (scope)
            visit(lint, scope);
    }
}

void pv_lint_exprs(struct pv_lint *lint, void (*visit)(struct pv_lint *, const struct pv_ast_expr *))
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        const struct pv_ast_scope *scope = scope_of(decl);
        if (decl->kind == PV_AST_DECL_CONDITION)
            visit_exprs(lint, decl->condition->expr, visit);
        for (const struct pv_ast_clause *clause = scope ? scope->first_clause : NULL; clause; clause = clause->next)
            if (clause->expr)
                visit_exprs(lint, clause->expr, visit);
    }
}

static void visit_expr_set(struct pv_lint *lint, const struct pv_ast_expr *expr)
{
    if (expr->kind == PV_AST_SET)
        lint->on_set(lint, expr->set);
}

void pv_lint_sets(struct pv_lint *lint, void (*visit)(struct pv_lint *, const struct pv_ast_set *))
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        const struct pv_ast_scope *scope = scope_of(decl);
        if (scope && scope->object && scope->object->set)
            visit(lint, scope->object->set);
        if (scope && scope->except && scope->except->set)
            visit(lint, scope->except->set);
        if (decl->kind == PV_AST_DECL_SET && decl->set->set)
            visit(lint, decl->set->set);
        if (decl->kind != PV_AST_DECL_COMMAND)
            continue;
        for (const struct pv_ast_command_item *item = decl->command->first; item; item = item->next)
            if (item->members)
                visit(lint, item->members);
    }
    lint->on_set = visit;
    pv_lint_exprs(lint, visit_expr_set);
}

bool pv_lint_only_admins(const struct pv_ast_subject *subject)
{
    switch (subject->kind) {
    case PV_AST_SUBJECT_ROLE: return !strcmp(subject->name.text.ptr, "admin");
    case PV_AST_SUBJECT_USER: return !strcmp(subject->name.text.ptr, "root");
    case PV_AST_SUBJECT_OR:
        for (const struct pv_ast_subject *kid = subject->first; kid; kid = kid->next)
            if (!pv_lint_only_admins(kid))
                return false;
        return true;
    case PV_AST_SUBJECT_AND:
        for (const struct pv_ast_subject *kid = subject->first; kid; kid = kid->next)
            if (pv_lint_only_admins(kid))
                return true;
        return false;
    default: return false;
    }
}

struct pv_span pv_lint_names_command(const struct pv_ast_scope *scope, const char *command)
{
    if (scope->any_command)
        return scope->commands_span;
    for (const struct pv_ast_command_ref *ref = scope->commands; ref; ref = ref->next)
        if (!strcmp(ref->name.text.ptr, command))
            return ref->name.span;
    return PV_NO_SPAN;
}

/* ---- The checked form ---- */

struct pv_ir_str pv_lint_path(const struct pv_lint *lint, uint16_t slot)
{
    if (slot >= PV_N_BUILTIN)
        return lint->ir->attrs[slot - PV_N_BUILTIN].path;
    const struct pv_attr_info *info = &pv_builtin_attrs[slot];
    return (struct pv_ir_str){info->path, (uint32_t)strlen(info->path)};
}

unsigned pv_lint_slot_flags(const struct pv_lint *lint, uint16_t slot)
{
    return slot >= PV_N_BUILTIN ? lint->ir->attrs[slot - PV_N_BUILTIN].flags : pv_builtin_attrs[slot].flags;
}

bool pv_lint_is_parameter(const struct pv_lint *lint, uint16_t slot)
{
    return slot >= PV_N_BUILTIN && lint->ir->attrs[slot - PV_N_BUILTIN].scope == PV_SCOPE_PARAMETER;
}

static bool has_kids(const struct pv_ir_expr *expr)
{
    return expr->kind == PV_IR_NOT || expr->kind == PV_IR_AND || expr->kind == PV_IR_OR;
}

static void leaves(const struct pv_ir_expr *expr, void (*visit)(void *, const struct pv_ir_expr *), void *context)
{
    if (!has_kids(expr)) {
        visit(context, expr);
        return;
    }
    for (uint32_t i = 0; i < expr->n_kids; i++)
        leaves(expr->kids[i], visit, context);
}

void pv_lint_leaves(const struct pv_ir_expr *expr, void (*visit)(void *, const struct pv_ir_expr *), void *context)
{
    if (expr->size <= PV_LINT_MAX_SIZE)
        leaves(expr, visit, context);
}

static bool has_slot(const struct pv_ir_expr *leaf)
{
    return leaf->kind != PV_IR_CONST && leaf->kind != PV_IR_IN_WINDOW && leaf->kind != PV_IR_OWN;
}

static bool has_second(const struct pv_ir_expr *leaf)
{
    return leaf->kind == PV_IR_INT2 || leaf->kind == PV_IR_STR2 || leaf->kind == PV_IR_IN2 ||
           leaf->kind == PV_IR_OVERLAPS2 || leaf->kind == PV_IR_VER2;
}

struct reading {
    uint16_t slot;
    bool presence_too, found;
};

static void note_reading(void *context, const struct pv_ir_expr *leaf)
{
    struct reading *reading = context;
    if (!has_slot(leaf) || (leaf->kind == PV_IR_HAS && !reading->presence_too))
        return;
    reading->found =
        reading->found || leaf->slot == reading->slot || (has_second(leaf) && leaf->slot2 == reading->slot);
}

bool pv_lint_reads(const struct pv_ir_expr *expr, uint16_t slot, bool presence_too)
{
    struct reading reading = {slot, presence_too, false};
    pv_lint_leaves(expr, note_reading, &reading);
    return reading.found;
}

enum pv_truth pv_lint_without(const struct pv_ir_expr *expr, uint16_t slot)
{
    enum pv_truth decisive, result;
    switch (expr->kind) {
    case PV_IR_CONST: return expr->number ? PV_TRUE : PV_FALSE;
    case PV_IR_HAS: return expr->slot == slot ? PV_FALSE : PV_UNKNOWN;
    case PV_IR_NOT:
        result = pv_lint_without(expr->kids[0], slot);
        return result == PV_TRUE ? PV_FALSE : result == PV_FALSE ? PV_TRUE : result;
    case PV_IR_AND:
    case PV_IR_OR:
        decisive = expr->kind == PV_IR_AND ? PV_FALSE : PV_TRUE;
        result = expr->kind == PV_IR_AND ? PV_TRUE : PV_FALSE;
        for (uint32_t i = 0; i < expr->n_kids; i++) {
            enum pv_truth kid = pv_lint_without(expr->kids[i], slot);
            if (kid == decisive)
                return decisive;
            if (kid == PV_UNKNOWN)
                result = PV_UNKNOWN;
        }
        return result;
    default: return PV_UNKNOWN;
    }
}

const struct pv_ast_set *pv_lint_set_named(const struct pv_lint *lint, struct pv_text name)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        if (decl->kind == PV_AST_DECL_SET && decl->name.text.ptr == name.ptr)
            return decl->set->set;
    }
    return NULL;
}
