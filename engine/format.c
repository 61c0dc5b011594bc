/* The formatter's entry: tokens, document, lines; and a look at the result, so that a defect in between can make a file
 * ugly, or fail, and never make it say something else. */
#include "engine/format.h"

#include "engine/diag.h"
#include "engine/format_internal.h"
#include "engine/parse.h"
#include "runtime/proviso.h"

static bool holds_the_same(struct pv_arena *arena, const struct fmt_tokens *tokens, const char *text, size_t len)
{
    struct pv_sources sources;
    struct pv_diags diags;
    struct fmt_tokens again = {0};
    struct pv_file *tree;
    uint32_t file, at;
    pv_sources_init(&sources, arena);
    pv_diags_init(&diags, arena, &sources);
    if (pv_sources_add_text(&sources, "", text, len, &file, &at) < 0 ||
        pv_parse_file(arena, &sources, &diags, file, &tree) < 0 || pv_diags_errors(&diags))
        return false;
    pv_fmt_collect(&again, arena, &sources, file);
    return pv_fmt_same(tokens, &again);
}

int pv_format(struct pv_arena *arena, const struct pv_sources *sources, uint32_t file, const char **text, size_t *len)
{
    jmp_buf guard;
    jmp_buf *volatile outer = pv_arena_guard(arena, NULL);
    *text = NULL;
    *len = 0;
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        if (outer)
            longjmp(*outer, 1);
        return PV_E_NOMEM;
    }
    pv_arena_guard(arena, &guard);

    struct fmt_tokens tokens = {0};
    struct fmt_document document = {0};
    size_t n;
    pv_fmt_collect(&tokens, arena, sources, file);
    pv_fmt_build(&document, arena, &tokens);
    const char *form = pv_fmt_layout(arena, &document, &n);
    bool same = holds_the_same(arena, &tokens, form, n);

    pv_arena_guard(arena, outer);
    if (!same)
        return PV_E_INVAL;
    *text = form;
    *len = n;
    return 0;
}
