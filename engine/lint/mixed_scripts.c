/* A name that is not what it looks like: `nmаp` with a Cyrillic `а` is another package than nmap. Told are names of
 * users, groups and packages, locations and programs, where scripts are mixed within one word, or where a word of
 * another script has nothing but letters that look Latin. */
#include "engine/lint/lint.h"
#include "engine/lint/scripts.h"

#include <string.h>

struct word {
    bool of[PV_SCRIPT_OTHER + 1];
    bool plain; /* a letter of another script that looks like no Latin one */
    uint32_t odd, odd_at, odd_len;
    enum pv_script odd_script;
    char odd_like;
};

static void look(struct word *word, uint32_t c, uint32_t at, uint32_t len)
{
    enum pv_script script = pv_script_of(c);
    char like = c > 0x7f ? pv_script_looks_like(c) : 0;
    word->of[script] = true;
    if (script == PV_SCRIPT_GREEK || script == PV_SCRIPT_CYRILLIC || (script == PV_SCRIPT_LATIN && like)) {
        word->plain = word->plain || !like;
        if (!word->odd || (like && !word->odd_like)) {
            word->odd = c;
            word->odd_at = at;
            word->odd_len = len;
            word->odd_script = script;
            word->odd_like = like;
        }
    }
}

static bool deceives(const struct word *word)
{
    if (!word->odd)
        return false;
    int scripts = word->of[PV_SCRIPT_LATIN] + word->of[PV_SCRIPT_GREEK] + word->of[PV_SCRIPT_CYRILLIC];
    return scripts > 1 || !word->plain;
}

/* Words end at whatever is no letter or digit. */
static void check(struct pv_lint *lint, struct pv_text text, struct pv_span span)
{
    struct word word = {0};
    for (uint32_t i = 0; text.ptr && i <= text.len;) {
        uint32_t c = 0;
        uint32_t len = i < text.len ? (uint32_t)pv_utf8_decode(text.ptr + i, text.len - i, &c) : 1;
        bool letter = (c >= '0' && c <= '9') || (i < text.len && pv_script_of(c) != PV_SCRIPT_COMMON);
        if (letter) {
            look(&word, c, i, len);
        } else if (deceives(&word)) {
            break;
        } else {
            word = (struct word){0};
        }
        i += len ? len : 1;
    }
    if (!deceives(&word))
        return;
    struct pv_diag *diag =
        pv_report(lint->diags, PV_DIAG_MIXED_SCRIPTS, span, "`%.*s` in this name is a %s letter (U+%04X)%s",
                  (int)word.odd_len, text.ptr + word.odd_at, pv_script_name(word.odd_script), (unsigned)word.odd,
                  word.odd_like ? "" : ", among letters of another script");
    if (word.odd_like)
        pv_diag_hint(lint->diags, diag, "it looks like the ASCII letter `%c`, and is another", word.odd_like);
}

static void check_object(struct pv_lint *lint, const struct pv_ast_object *object)
{
    if (object && (object->kind == PV_AST_OBJECT_STRING || object->kind == PV_AST_OBJECT_PATTERN))
        check(lint, object->text, object->span);
}

static void check_subject(struct pv_lint *lint, const struct pv_ast_subject *subject)
{
    if (subject->kind == PV_AST_SUBJECT_USER || subject->kind == PV_AST_SUBJECT_GROUP)
        check(lint, subject->name.text, subject->name.span);
    for (const struct pv_ast_subject *kid = subject->n ? subject->first : NULL; kid; kid = kid->next)
        check_subject(lint, kid);
}

static void check_scope(struct pv_lint *lint, const struct pv_ast_scope *scope)
{
    check_subject(lint, scope->subject);
    check_object(lint, scope->object);
    check_object(lint, scope->except);
}

static void check_set(struct pv_lint *lint, const struct pv_ast_set *set)
{
    for (const struct pv_ast_item *item = set->first; item; item = item->next)
        if (item->kind != PV_AST_ITEM_NAME)
            check(lint, item->text, item->span);
}

static void check_expr(struct pv_lint *lint, const struct pv_ast_expr *expr)
{
    if (expr->kind == PV_AST_LITERAL && expr->literal->kind == PV_AST_LIT_STRING)
        check(lint, expr->literal->text, expr->span);
    else if (expr->kind == PV_AST_PATTERN)
        check(lint, expr->pattern, expr->span);
}

static void check_decl(struct pv_lint *lint, const struct pv_ast_decl *decl)
{
    if (decl->kind == PV_AST_DECL_ROLE)
        check_subject(lint, decl->role->subject);
    if (decl->kind == PV_AST_DECL_RULE && decl->rule->duty) {
        const struct pv_ast_duty *duty = decl->rule->duty;
        if (duty->subject)
            check_subject(lint, duty->subject);
        else if (duty->kind == PV_D_ACCOUNT)
            check(lint, duty->string.text, duty->string.span);
    }
    if (decl->kind == PV_AST_DECL_SOURCE)
        for (const struct pv_ast_prop *prop = decl->source->first; prop; prop = prop->next)
            if (prop->kind == PV_AST_SOURCE_LOCATION || prop->kind == PV_AST_SOURCE_KEY)
                check(lint, prop->text, prop->value_span);
    if (decl->kind == PV_AST_DECL_COMMAND)
        for (const struct pv_ast_command_item *item = decl->command->first; item; item = item->next)
            for (const struct pv_ast_element *element = item->elements; element; element = element->next)
                if (!element->path)
                    check(lint, element->text, element->span);
}

void pv_lint_mixed_scripts(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++)
        check_decl(lint, lint->program->decls[i]);
    pv_lint_scopes(lint, check_scope);
    pv_lint_sets(lint, check_set);
    pv_lint_exprs(lint, check_expr);
}
