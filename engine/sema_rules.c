/* Rules, in the order of their place, and assertions. A rule is named by its `@id`, or by its file and the line of its
 * keyword; either way by one name alone. */
#include "engine/sema.h"

#include <string.h>

/* ---- Names of rules ---- */

/* FILE:LINE, the form that names a rule without an id. */
static bool is_place(struct pv_text id)
{
    const char *colon = strrchr(id.ptr, ':');
    return colon && colon != id.ptr && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

static void check_id(struct pv_sema *sema, const struct pv_ast_annotation *note)
{
    struct pv_text id = note->value.text;
    const char *fault = NULL;
    if (!id.len)
        fault = "an id is not empty";
    else if (!strncmp(id.ptr, "builtin:", 8))
        fault = "ids that begin with `builtin:` are those of built-in rules";
    else if (is_place(id))
        fault = "an id of the form FILE:LINE names a rule without one";
    if (fault) {
        pv_report(sema->diags, PV_DIAG_BAD_ID, note->value.span, "%s", fault);
        return;
    }
    const struct pv_rule_id *first = pv_map_get(&sema->rule_ids, id.ptr);
    if (first) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_DUPLICATE_ID, note->value.span, "two rules have the id `%s`", id.ptr);
        pv_diag_related(sema->diags, diag, first->span, "the first one");
        return;
    }
    pv_sema_add_rule_id(sema, id, note->value.span);
}

void pv_sema_add_rule_id(struct pv_sema *sema, struct pv_text id, struct pv_span span)
{
    struct pv_rule_id *row = PV_NEW(sema->arena, struct pv_rule_id);
    *row = (struct pv_rule_id){.text = id, .span = span, .next = sema->ids};
    sema->ids = row;
    *pv_map_put(&sema->rule_ids, sema->arena, id.ptr) = row;
}

/* Rules of a file come in the order of their lines, so two unnamed ones on one line follow each other. */
static void check_place(struct pv_sema *sema, const struct pv_ast_rule *rule)
{
    uint32_t line = pv_sources_place(&sema->program->sources, rule->keyword.file, rule->keyword.start).line;
    if (!pv_span_is_none(sema->unnamed) && sema->unnamed.file == rule->keyword.file && sema->unnamed_line == line) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SAME_LINE, rule->keyword,
                                         "two rules without an id on one line could not be told apart");
        pv_diag_related(sema->diags, diag, sema->unnamed, "the other one");
        pv_diag_hint(sema->diags, diag, "put it on a line of its own, or give it an `@id(\"...\")`");
    }
    sema->unnamed = rule->keyword;
    sema->unnamed_line = line;
}

/* ---- Rules ---- */

static void lower_notes(struct pv_sema *sema, const struct pv_ast_rule *rule, struct pv_ir_rule *out)
{
    const struct pv_ast_annotation *id = rule->note[PV_AST_NOTE_ID];
    out->id.ptr = "";
    if (id) {
        check_id(sema, id);
        out->id = pv_ir_str(id->value.text);
    } else {
        check_place(sema, rule);
    }
    uint32_t n = 0;
    for (const struct pv_ast_annotation *note = rule->annotations; note; note = note->next)
        n += note != id;
    out->annotations = n ? pv_arena_array(sema->arena, n, sizeof *out->annotations) : NULL;
    for (const struct pv_ast_annotation *note = rule->annotations; note; note = note->next)
        if (note != id)
            out->annotations[out->n_annotations++] = (struct pv_ir_annotation){
                pv_ir_str(pv_intern_z(sema->arena, pv_ast_annotation_word(note->kind))), pv_ir_str(note->value.text)};
}

static void lower_rule(struct pv_sema *sema, struct pv_ast_rule *rule)
{
    static const enum pv_rule_kind kinds[] = {[PV_AST_ALLOW] = PV_RULE_ALLOW,
                                              [PV_AST_DENY] = PV_RULE_DENY,
                                              [PV_AST_REQUIRE] = PV_RULE_REQUIRE,
                                              [PV_AST_DIRECT] = PV_RULE_DIRECT};
    static const enum pv_scope_use uses[] = {[PV_AST_ALLOW] = PV_SCOPE_OF_ALLOW,
                                             [PV_AST_DENY] = PV_SCOPE_OF_DENY,
                                             [PV_AST_REQUIRE] = PV_SCOPE_OF_REQUIRE,
                                             [PV_AST_DIRECT] = PV_SCOPE_OF_DIRECT};
    struct pv_ir *ir = sema->ir;
    ir->rules =
        pv_arena_grow(sema->arena, ir->rules, ir->n_rules, &sema->rules_capacity, ir->n_rules + 1u, sizeof *ir->rules);
    struct pv_ir_rule *out = &ir->rules[ir->n_rules++];
    struct pv_scope_ir scope;
    memset(out, 0, sizeof *out);
    out->kind = kinds[rule->kind];
    out->span = rule->keyword;
    lower_notes(sema, rule, out);
    bool good = pv_sema_scope(sema, &rule->scope, uses[rule->kind], &scope);
    out->clauses = scope.clauses;
    out->n_clauses = scope.n_clauses;
    out->because = scope.because;
    out->n_because = scope.n_because;
    if (rule->duty) {
        out->duties = PV_NEW(sema->arena, struct pv_ir_duty);
        out->n_duties = pv_sema_duty(sema, rule->duty, out->duties);
    }
    if (!sema->program->root || rule->keyword.file != sema->program->root->file)
        out->flags |= PVB_RULE_LIBRARY;
    if (!pv_span_is_none(rule->scope.with_dependencies))
        out->flags |= PVB_RULE_WITH_DEPENDENCIES;
    if (rule->kind == PV_AST_ALLOW && pv_sema_names_literally(&rule->scope))
        out->flags |= PVB_RULE_NAMES_LITERALLY;
    if (!good)
        return;
    pv_sema_require_slots(sema, &scope.reach, scope.reads);
    if (rule->kind == PV_AST_ALLOW)
        pv_sema_note_literal(sema, &rule->scope, &scope);
}

/* ---- Assertions ---- */

static enum pv_ir_assert_form form_of(const struct pv_ast_assertion *assertion)
{
    switch (assertion->quantifier) {
    case PV_AST_NEVER: return PV_IR_NEVER_ALLOW;
    case PV_AST_SOMETIMES: return PV_IR_SOMETIMES_ALLOW;
    case PV_AST_ALWAYS: break;
    }
    return assertion->effect == PV_AST_DENY    ? PV_IR_ALWAYS_DENY
           : assertion->effect == PV_AST_ALLOW ? PV_IR_ALWAYS_ALLOW
                                               : PV_IR_ALWAYS_REQUIRE;
}

static void lower_assertion(struct pv_sema *sema, struct pv_ast_decl *decl)
{
    struct pv_ast_assertion *assertion = decl->assertion;
    struct pv_ir *ir = sema->ir;
    struct pv_scope_ir scope;
    ir->asserts = pv_arena_grow(sema->arena, ir->asserts, ir->n_asserts, &sema->asserts_capacity, ir->n_asserts + 1u,
                                sizeof *ir->asserts);
    struct pv_ir_assert *out = &ir->asserts[ir->n_asserts++];
    *out = (struct pv_ir_assert){
        .form = form_of(assertion), .text = pv_ir_str(assertion->text.text), .span = decl->keyword};
    pv_sema_scope(sema, &assertion->scope, PV_SCOPE_OF_ASSERT, &scope);
    out->clauses = scope.clauses;
    out->n_clauses = scope.n_clauses;
    if (assertion->duty) {
        out->duty = PV_NEW(sema->arena, struct pv_ir_duty);
        pv_sema_duty(sema, assertion->duty, out->duty);
    }
}

void pv_sema_rules(struct pv_sema *sema)
{
    const struct pv_program *program = sema->program;
    sema->unnamed = PV_NO_SPAN;
    pv_sema_reserve_builtins(sema);
    for (uint32_t i = 0; i < program->n_decls; i++) {
        struct pv_ast_decl *decl = program->decls[i];
        if (decl->kind == PV_AST_DECL_RULE)
            lower_rule(sema, decl->rule);
        else if (decl->kind == PV_AST_DECL_ASSERTION)
            lower_assertion(sema, decl);
    }
    pv_sema_builtins(sema);
    if (sema->total_size > PV_IR_MAX_TOTAL && !pv_diags_errors(sema->diags))
        pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, PV_NO_SPAN,
                  "with the names that they use written out, all rules together have more than %u tests",
                  PV_IR_MAX_TOTAL);
}
