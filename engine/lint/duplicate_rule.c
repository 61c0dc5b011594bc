/* A rule that says what another says already: the same words, clauses in any order. */
#include "engine/lint/lint.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *left, const void *right)
{
    const struct pv_ir_str *a = left, *b = right;
    uint32_t len = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->ptr, b->ptr, len);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* What a rule says, as one interned text. */
static const char *meaning(struct pv_lint *lint, const struct pv_ir_rule *rule)
{
    size_t n = 0, len = 0, max = (size_t)rule->n_clauses + rule->n_because + 2u * rule->n_duties + 1;
    struct pv_ir_str *parts = pv_arena_array(lint->arena, max, sizeof *parts);
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        parts[n++] = rule->clauses[i].text;
    for (uint32_t i = 0; i < rule->n_because; i++)
        parts[n++] = rule->because[i];
    for (uint32_t i = 0; i < rule->n_duties; i++) {
        const char *duty =
            pv_arena_printf(lint->arena, "duty %d %lld", (int)rule->duties[i].kind, (long long)rule->duties[i].seconds);
        parts[n++] = (struct pv_ir_str){duty, (uint32_t)strlen(duty)};
        parts[n++] = rule->duties[i].text;
    }
    if (rule->n_clauses > 1)
        qsort(parts, rule->n_clauses, sizeof *parts, by_text);
    for (size_t i = 0; i < n; i++)
        len += parts[i].len + 1;
    char *text = pv_arena_alloc(lint->arena, len + 2), *to = text;
    *to++ = (char)('0' + rule->kind);
    for (size_t i = 0; i < n; i++) {
        memcpy(to, parts[i].ptr, parts[i].len);
        to += parts[i].len;
        *to++ = '\n';
    }
    return pv_intern(lint->arena, text, (size_t)(to - text)).ptr;
}

void pv_lint_duplicate_rule(struct pv_lint *lint)
{
    struct pv_map first = {0};
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_lint_rule *rule = &lint->rules[i];
        void **place = pv_map_put(&first, lint->arena, meaning(lint, rule->ir));
        if (!*place) {
            *place = (void *)(uintptr_t)(i + 1);
            continue;
        }
        const struct pv_lint_rule *before = &lint->rules[(uintptr_t)*place - 1];
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_DUPLICATE_RULE, rule->ast->keyword,
                                         "this rule says what another says already");
        pv_diag_related(lint->diags, diag, before->ast->keyword, "the other");
        if (!rule->ast->annotations) { /* with them, records and tests may know it by its id */
            pv_diag_fix(lint->diags, diag, rule->decl->span, "%s", "");
            diag->certain = true;
        }
    }
}
