/* A name with `*` or `?` that is no pattern: no package, source or user is called so, and `like` was forgotten. */
#include "engine/lint/lint.h"

#include <string.h>

static struct pv_diag *tell(struct pv_lint *lint, struct pv_text text, struct pv_span span)
{
    const char *glob = strpbrk(text.ptr, "*?");
    if (!glob)
        return NULL;
    return pv_report(lint->diags, PV_DIAG_LITERAL_STAR, span,
                     "the `%c` in this string stands for itself, not for other characters", *glob);
}

static void tell_name(struct pv_lint *lint, struct pv_text text, struct pv_span span)
{
    struct pv_diag *diag = tell(lint, text, span);
    if (!diag)
        return;
    pv_diag_hint(lint->diags, diag, "write `like` before it to make it a pattern");
    pv_diag_fix(lint->diags, diag, (struct pv_span){span.file, span.start, span.start}, "like ");
    diag->certain = true;
}

static void check_object(struct pv_lint *lint, const struct pv_ast_object *object)
{
    if (object && object->kind == PV_AST_OBJECT_STRING)
        tell_name(lint, object->text, object->span);
}

static void check_scope(struct pv_lint *lint, const struct pv_ast_scope *scope)
{
    check_object(lint, scope->object);
    check_object(lint, scope->except);
}

static void check_set(struct pv_lint *lint, const struct pv_ast_set *set)
{
    for (const struct pv_ast_item *item = set->first; item; item = item->next)
        if (item->kind == PV_AST_ITEM_STRING)
            tell_name(lint, item->text, item->span);
}

static bool is_name(const struct pv_ast_expr *expr)
{
    return expr->kind == PV_AST_PATH &&
           (!strcmp(expr->path->text.ptr, "package.name") || !strcmp(expr->path->text.ptr, "source.name") ||
            !strcmp(expr->path->text.ptr, "user.name") || !strcmp(expr->path->text.ptr, "host.name"));
}

static void check_comparison(struct pv_lint *lint, const struct pv_ast_expr *expr)
{
    if (expr->kind != PV_AST_COMPARE || (expr->cmp != PV_EQ && expr->cmp != PV_NE))
        return;
    const struct pv_ast_expr *literal = expr->first->next;
    if (!is_name(expr->first) || literal->kind != PV_AST_LITERAL || literal->literal->kind != PV_AST_LIT_STRING)
        return;
    struct pv_diag *diag = tell(lint, literal->literal->text, literal->span);
    if (!diag)
        return;
    if (expr->cmp == PV_EQ) {
        pv_diag_hint(lint->diags, diag, "a pattern is compared by `like`, not by `==`");
        pv_diag_fix(lint->diags, diag, expr->op, "like");
        diag->certain = true;
    } else {
        pv_diag_hint(lint->diags, diag, "a pattern is compared by `like`: `not %s like ...`",
                     expr->first->path->text.ptr);
    }
}

/* Files of sets hold exact names, one a line; they are the sources that are no policies. */
static void check_files(struct pv_lint *lint)
{
    const struct pv_sources *sources = &lint->program->sources;
    bool *parsed = pv_arena_array(lint->arena, sources->n_files, sizeof *parsed);
    for (uint32_t i = 0; i < lint->program->n_files; i++)
        parsed[lint->program->files[i]->file] = true;
    for (uint32_t file = 0; file < sources->n_files; file++) {
        const struct pv_source_file *source = pv_sources_file(sources, file);
        for (uint32_t i = 0; !parsed[file] && i < source->n_lines; i++) {
            uint32_t len;
            const char *line = pv_sources_line(sources, file, i + 1, &len);
            const char *star = memchr(line, '*', len);
            if (!star || *line == '#')
                continue;
            uint32_t at = (uint32_t)(star - source->text);
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_LITERAL_STAR, (struct pv_span){file, at, at + 1},
                                             "the `*` in this name stands for itself, not for other characters");
            pv_diag_hint(lint->diags, diag, "a file of a set holds exact names: a pattern stands in the policy");
        }
    }
}

void pv_lint_literal_star(struct pv_lint *lint)
{
    pv_lint_scopes(lint, check_scope);
    pv_lint_sets(lint, check_set);
    pv_lint_exprs(lint, check_comparison);
    check_files(lint);
}
