/* Two names of one kind that people take for one: `dev-tools` and `dev_tools`, `lab1` and `labl`. Compared are
 * skeletons, as in Unicode Technical Standard #39 for ASCII (`0` is `O`, `1` and `I` are `l`, `m` is `rn`), and case
 * and the two joining signs are dropped besides. */
#include "engine/lint/lint.h"

/* One letter may become two. */
static const char *skeleton(struct pv_lint *lint, const struct pv_named *named)
{
    char *text = pv_arena_alloc(lint->arena, 2u * named->text.len + 2), *to = text;
    *to++ = (char)('0' + named->kind);
    for (uint32_t i = 0; i < named->text.len; i++) {
        char c = named->text.ptr[i];
        c = c == 'I' || c == '1' ? 'l' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c == 'm') {
            *to++ = 'r';
            *to++ = 'n';
        } else {
            *to++ = c == '0' ? 'o' : c == '_' ? '-' : c;
        }
    }
    return pv_intern(lint->arena, text, (size_t)(to - text)).ptr;
}

void pv_lint_similar_names(struct pv_lint *lint)
{
    struct pv_map first = {0};
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        struct pv_named *named = decl->name.text.ptr && decl->kind != PV_AST_DECL_POLICY ? decl->sema : NULL;
        if (!named)
            continue;
        struct pv_named **place = (struct pv_named **)pv_map_put(&first, lint->arena, skeleton(lint, named));
        if (!*place) {
            *place = named;
            continue;
        }
        struct pv_diag *diag =
            pv_report(lint->diags, PV_DIAG_SIMILAR_NAMES, named->span, "%s `%s` is easily taken for `%s`",
                      pv_name_kind_word(named->kind), named->text.ptr, (*place)->text.ptr);
        pv_diag_related(lint->diags, diag, (*place)->span, "the other");
    }
}
