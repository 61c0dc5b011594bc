/* What imports allow: a root file is read by whoever answers for it, and its imports may not be. Told as a note, once
 * an import. */
#include "engine/lint/lint.h"

#include <string.h>

#define SHOWN 8 /* rules that one note lists */

/* Marks a file and what it imports as brought in by `import` (its place + 1), where nothing brought them in before. */
static void bring_in(const struct pv_lint *lint, uint32_t *by, uint32_t file, uint32_t import)
{
    const struct pv_file *tree = pv_program_file(lint->program, file);
    if (!tree || by[file])
        return;
    by[file] = import;
    for (const struct pv_ast_decl *decl = tree->first; decl; decl = decl->next)
        if (decl->kind == PV_AST_DECL_IMPORT && decl->import->file != PV_NO_FILE && !by[decl->import->file])
            bring_in(lint, by, decl->import->file, import);
}

static void tell(struct pv_lint *lint, const struct pv_ast_decl *import, const uint32_t *by, uint32_t number,
                 uint32_t n)
{
    struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_LIBRARY_ALLOW, import->import->path.span,
                                     "this import allows: %u rule%s", n, n == 1 ? "" : "s");
    for (uint32_t i = 0, shown = 0; i < lint->n_rules && shown < SHOWN; i++) {
        const struct pv_lint_rule *rule = &lint->rules[i];
        if (rule->ast->kind != PV_AST_ALLOW || by[rule->decl->span.file] != number)
            continue;
        pv_diag_related(lint->diags, diag, rule->ast->keyword, "%s", rule->ir->id.len ? rule->ir->id.ptr : "an allow");
        shown++;
    }
}

void pv_lint_library_allow(struct pv_lint *lint)
{
    const struct pv_file *root = lint->program->root;
    if (!root)
        return;
    uint32_t *by = pv_arena_array(lint->arena, lint->program->sources.n_files, sizeof *by);
    uint32_t *allows = pv_arena_array(lint->arena, root->n_of[PV_AST_DECL_IMPORT] + 1u, sizeof *allows), number = 0;
    by[root->file] = UINT32_MAX;
    for (const struct pv_ast_decl *decl = root->first; decl; decl = decl->next)
        if (decl->kind == PV_AST_DECL_IMPORT && decl->import->file != PV_NO_FILE)
            bring_in(lint, by, decl->import->file, ++number);
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        uint32_t import = by[lint->rules[i].decl->span.file];
        if (lint->rules[i].ast->kind == PV_AST_ALLOW && import && import <= number)
            allows[import]++;
    }
    number = 0;
    for (const struct pv_ast_decl *decl = root->first; decl; decl = decl->next)
        if (decl->kind == PV_AST_DECL_IMPORT && decl->import->file != PV_NO_FILE && allows[++number])
            tell(lint, decl, by, number, allows[number]);
}
