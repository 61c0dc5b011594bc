/* The table of lints, and the comments that silence them at their place. */
#include "engine/lint/lint.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/lexer.h"

static pv_lint_function *const table[] = {
    pv_lint_literal_star,         pv_lint_unused_name,
    pv_lint_name_of_two_kinds,    pv_lint_self_service_admin_only,
    pv_lint_two_unless,           pv_lint_until_fails_open,
    pv_lint_everyone_to_any,      pv_lint_repeated_command,
    pv_lint_allow_from_any,       pv_lint_uninstall_without_own,
    pv_lint_deny_without_because, pv_lint_until_near,
    pv_lint_constant_condition,   pv_lint_never_applies,
    pv_lint_duplicate_rule,       pv_lint_absent_attribute,
    pv_lint_requester_fact,       pv_lint_unguarded_downgrade,
    pv_lint_covered_allow,        pv_lint_open_argument,
    pv_lint_hidden_sources,       pv_lint_mixed_scripts,
    pv_lint_similar_names,        pv_lint_template_at_risk,
    pv_lint_missing_id,           pv_lint_no_zone,
    pv_lint_library_allow,
};

/* ---- Silences ---- */

/* One code of one comment. */
struct silence {
    struct pv_span code;
    struct pv_span statement; /* whose diagnostics it silences */
    enum pv_diag_code silences;
    bool used;
};

/* In the order of their places, file by file; so are their statements. */
struct silences {
    struct silence *list;
    size_t n, capacity;
    struct range {
        size_t first, end;
    } * of_file; /* by source index */
};

/* The last statement of a file that begins at or before an offset; NULL for none. Statements are in order. */
struct index {
    const struct pv_ast_decl **decls;
    size_t n;
};

static struct index index_of(struct pv_lint *lint, const struct pv_file *file)
{
    struct index index = {pv_arena_array(lint->arena, file->n_decls + 1u, sizeof(struct pv_ast_decl *)), 0};
    for (const struct pv_ast_decl *decl = file->first; decl; decl = decl->next)
        index.decls[index.n++] = decl;
    return index;
}

static size_t first_after(const struct index *index, uint32_t offset)
{
    size_t low = 0, high = index->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->decls[middle]->span.start > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool blank_line_between(const char *text, uint32_t from, uint32_t to)
{
    bool empty = false;
    for (uint32_t i = from; i < to; i++) {
        if (text[i] == '\n' && empty)
            return true;
        empty = text[i] == '\n' || (empty && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r'));
    }
    return false;
}

/* The statement that a comment belongs to: the one round it, before it on its line, or right below it. */
static struct pv_span statement_of(const struct index *index, const char *text, struct pv_span comment)
{
    size_t next = first_after(index, comment.start);
    if (next > 0) {
        struct pv_span before = index->decls[next - 1]->span;
        if (comment.start < before.end || !memchr(text + before.end, '\n', comment.start - before.end))
            return before;
    }
    if (next < index->n && !blank_line_between(text, comment.end, index->decls[next]->span.start))
        return index->decls[next]->span;
    return PV_NO_SPAN;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static const char *word_end(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\t' && *at != ',')
        at++;
    return at;
}

static bool is(const char *at, const char *end, const char *word)
{
    return (size_t)(end - at) == strlen(word) && memcmp(at, word, strlen(word)) == 0;
}

static void tell_form(struct pv_lint *lint, struct pv_span span, const char *sentence)
{
    struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_SILENCE_FORM, span, "%s", sentence);
    pv_diag_hint(lint->diags, diag, "write `# lint: allow PV1012 because TEXT`, several codes with commas");
}

static void add_code(struct pv_lint *lint, struct silences *silences, struct pv_span span, struct pv_span statement,
                     const char *at, const char *end)
{
    char text[8] = {0};
    memcpy(text, at, (size_t)(end - at) < 7 ? (size_t)(end - at) : 7);
    int code = pv_diag_from_code(text);
    if (code < 0 || pv_diag_info((enum pv_diag_code)code)->number < 1000) {
        struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_SILENCE_UNKNOWN, span, "`%.*s` is not the code of a lint",
                                         (int)(end - at > 40 ? 40 : end - at), at);
        pv_diag_hint(lint->diags, diag,
                     code < 0 ? "the code stands in brackets behind the word `warning`"
                              : "an error is not silenced: it is mended");
        return;
    }
    silences->list = pv_arena_grow(lint->arena, silences->list, silences->n, &silences->capacity, silences->n + 1,
                                   sizeof *silences->list);
    silences->list[silences->n++] =
        (struct silence){.code = span, .statement = statement, .silences = (enum pv_diag_code)code};
}

/* One comment, behind `lint:`. */
static void read_silence(struct pv_lint *lint, struct silences *silences, struct pv_span comment,
                         struct pv_span statement, const char *at, const char *end, const char *text)
{
    at = skip_blanks(at, end);
    const char *stop = word_end(at, end);
    if (!is(at, stop, "allow")) {
        tell_form(lint, comment, "a comment that begins with `lint:` silences a lint, and this one has another form");
        return;
    }
    size_t first = silences->n, codes = 0;
    for (at = skip_blanks(stop, end); at < end; codes++) {
        stop = word_end(at, end);
        if (is(at, stop, "because") || stop == at)
            break;
        struct pv_span span = {comment.file, (uint32_t)(at - text), (uint32_t)(stop - text)};
        add_code(lint, silences, span, statement, at, stop);
        at = skip_blanks(stop, end);
        if (at < end && *at == ',')
            at = skip_blanks(at + 1, end);
    }
    if (!codes) {
        tell_form(lint, comment, "this comment names no lint");
    } else if (!is(at, word_end(at, end), "because") || skip_blanks(at + strlen("because"), end) == end) {
        tell_form(lint, comment, "a silence gives its reason");
        for (size_t i = first; i < silences->n; i++)
            silences->list[i].used = true; /* one mistake, one message */
    } else if (pv_span_is_none(statement)) {
        for (size_t i = first; i < silences->n; i++)
            silences->list[i].statement = comment; /* no diagnostic stands in a comment: told as useless */
    }
}

static void read_silences(struct pv_lint *lint, const struct pv_file *file, struct silences *silences)
{
    static const char mark[] = "lint:";
    const struct pv_source_file *source = pv_sources_file(&lint->program->sources, file->file);
    if (source->library || !memmem(source->text, source->len, mark, sizeof mark - 1))
        return;
    struct index index = index_of(lint, file);
    struct pv_lexer lexer;
    pv_lexer_init(&lexer, &lint->program->sources, file->file, NULL);
    lexer.comments = true;
    for (struct pv_token token = pv_lex(&lexer); token.kind != PV_TOK_END; token = pv_lex(&lexer)) {
        if (token.kind != PV_TOK_COMMENT)
            continue;
        const char *at = source->text + token.span.start, *end = source->text + token.span.end;
        while (at < end && *at == '#')
            at++;
        at = skip_blanks(at, end);
        if ((size_t)(end - at) < sizeof mark - 1 || memcmp(at, mark, sizeof mark - 1) != 0)
            continue;
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        read_silence(lint, silences, token.span, statement_of(&index, source->text, token.span), at + sizeof mark - 1,
                     end, source->text);
    }
}

/* Whether a silence holds for a diagnostic, which uses it. */
static bool silenced(struct silences *silences, const struct pv_diag *diag)
{
    if (pv_span_is_none(diag->span) || !silences->n)
        return false;
    struct range range = silences->of_file[diag->span.file];
    size_t low = range.first, high = range.end;
    while (low < high) { /* the first whose statement ends behind the diagnostic */
        size_t middle = low + (high - low) / 2;
        if (silences->list[middle].statement.end > diag->span.start)
            high = middle;
        else
            low = middle + 1;
    }
    bool found = false;
    for (; low < range.end && silences->list[low].statement.start <= diag->span.start; low++) {
        if (silences->list[low].silences == diag->code)
            found = silences->list[low].used = true;
    }
    return found;
}

/* What a day silences, no one can say of another day: these are not told as useless. */
static bool by_the_day(enum pv_diag_code code)
{
    return code == PV_DIAG_UNTIL_PAST || code == PV_DIAG_UNTIL_SOON;
}

static void tell_useless(struct pv_lint *lint, const struct silences *silences)
{
    for (size_t i = 0; i < silences->n; i++) {
        const struct silence *silence = &silences->list[i];
        if (!silence->used && !by_the_day(silence->silences)) {
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_SILENCE_USELESS, silence->code,
                          "nothing here is told as %s: this silences nothing", pv_diag_info(silence->silences)->code);
            pv_diag_hint(lint->diags, diag,
                         "a silence stands in its statement, behind it on its line, or directly above it");
        }
    }
}

/* ---- Running ---- */

static void prepare(struct pv_lint *lint)
{
    const struct pv_program *program = lint->program;
    uint32_t n = 0;
    while (n < lint->ir->n_rules && lint->ir->rules[n].kind == PV_RULE_BUILTIN_DENY)
        n++;
    lint->rules = pv_arena_array(lint->arena, lint->ir->n_rules + 1u, sizeof *lint->rules);
    for (uint32_t i = 0; i < program->n_decls && n < lint->ir->n_rules; i++) {
        const struct pv_ast_decl *decl = program->decls[i];
        if (decl->kind == PV_AST_DECL_RULE)
            lint->rules[lint->n_rules++] = (struct pv_lint_rule){decl, decl->rule, &lint->ir->rules[n++]};
    }
}

static bool in_library(const struct pv_lint *lint, struct pv_span span)
{
    const struct pv_source_file *file = pv_sources_file(&lint->program->sources, span.file);
    return file && file->library;
}

static void run(struct pv_lint *lint, struct pv_diags *out)
{
    struct silences silences = {0};
    silences.of_file = pv_arena_array(lint->arena, lint->program->sources.n_files, sizeof *silences.of_file);
    prepare(lint);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        table[i](lint);
    size_t n = lint->diags->n;
    for (uint32_t i = 0; i < lint->program->n_files; i++) {
        const struct pv_file *file = lint->program->files[i];
        silences.of_file[file->file].first = silences.n;
        read_silences(lint, file, &silences);
        silences.of_file[file->file].end = silences.n;
    }
    for (size_t i = 0; i < n; i++) {
        if (!silenced(&silences, lint->diags->list[i]) && !in_library(lint, lint->diags->list[i]->span))
            pv_diags_take(out, lint->diags->list[i]);
    }
    tell_useless(lint, &silences);
    for (size_t i = n; i < lint->diags->n; i++)
        pv_diags_take(out, lint->diags->list[i]);
}

int pv_lint(const struct pv_program *program, const struct pv_ir *ir, int64_t today, struct pv_diags *diags)
{
    struct pv_arena *arena = program->arena;
    jmp_buf guard;
    jmp_buf *volatile outer = pv_arena_guard(arena, &guard);
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        return PV_E_NOMEM;
    }
    struct pv_diags own;
    pv_diags_init(&own, arena, &program->sources);
    struct pv_lint lint = {.arena = arena, .program = program, .ir = ir, .diags = &own, .today = today};
    if (program->main)
        run(&lint, diags);
    pv_arena_guard(arena, outer);
    return 0;
}
