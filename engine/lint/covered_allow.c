/* An allow that a deny wholly covers. Who knows sudoers expects the exception that stands last to win; here a deny wins
 * wherever it stands. Told are the cases that can be read off the text: a deny whose clauses are few and each wider
 * than the allow's, or the same. What needs reasoning is left to analysis. */
#include "engine/lint/lint.h"

#include <string.h>

static bool same(struct pv_ir_str a, struct pv_ir_str b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static const struct pv_ir_clause *clause_of(const struct pv_ir_rule *rule, enum pv_clause_kind kind)
{
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        if (rule->clauses[i].kind == kind)
            return &rule->clauses[i];
    return NULL;
}

/* Whether the set of one test holds all of another's, or the one name that it is about. */
static bool set_covers(const struct pv_ir_expr *test, const struct pv_ir_expr *narrow)
{
    const struct pv_ir_set *wide = test->set;
    enum pv_ir_kind single = test->kind == PV_IR_IN ? PV_IR_STR : PV_IR_MEMBER;
    if (wide->except || (narrow->kind != single && narrow->kind != test->kind))
        return false;
    if (narrow->kind == test->kind && narrow->set == wide)
        return true;
    if (narrow->kind == test->kind && (narrow->set->n_globs || narrow->set->n_members > 64))
        return false;
    uint32_t n = narrow->kind == single ? 1 : narrow->set->n_members;
    for (uint32_t i = 0; i < n; i++) {
        struct pv_ir_str name = narrow->kind == single ? narrow->string : narrow->set->members[i];
        bool found = false;
        for (uint32_t k = 0; k < wide->n_members && !found; k++)
            found = same(wide->members[k], name);
        if (!found)
            return false;
    }
    return true;
}

/* Whether `wide` holds wherever `narrow` does, as far as is plain to see. */
static bool covers(const struct pv_ir_expr *wide, const struct pv_ir_expr *narrow)
{
    if (wide == narrow || (wide->kind == PV_IR_CONST && wide->number))
        return true;
    if (narrow->kind == PV_IR_AND && wide->kind != PV_IR_AND) {
        for (uint32_t i = 0; i < narrow->n_kids; i++)
            if (covers(wide, narrow->kids[i]))
                return true;
        return false;
    }
    if (narrow->kind == PV_IR_OR) {
        for (uint32_t i = 0; i < narrow->n_kids; i++)
            if (!covers(wide, narrow->kids[i]))
                return false;
        return true;
    }
    if (wide->kind == PV_IR_OR) {
        for (uint32_t i = 0; i < wide->n_kids; i++)
            if (covers(wide->kids[i], narrow))
                return true;
        return false;
    }
    if ((wide->kind == PV_IR_IN || wide->kind == PV_IR_OVERLAPS) && wide->slot == narrow->slot)
        return set_covers(wide, narrow);
    if (wide->kind != narrow->kind || wide->slot != narrow->slot)
        return false;
    switch (wide->kind) {
    case PV_IR_STR:
    case PV_IR_MEMBER: return same(wide->string, narrow->string);
    case PV_IR_LIKE: return same(wide->glob->text, narrow->glob->text);
    case PV_IR_BOOL:
    case PV_IR_HAS:
    case PV_IR_OWN: return true;
    case PV_IR_IN_WINDOW: return wide->window == narrow->window;
    default: return false;
    }
}

static bool clause_covers(const struct pv_ir_rule *wide, const struct pv_ir_rule *narrow, enum pv_clause_kind kind)
{
    const struct pv_ir_clause *a = clause_of(wide, kind), *b = clause_of(narrow, kind);
    if (!a)
        return true;
    return b && a->expr->size <= 4096 && b->expr->size <= 4096 && (same(a->text, b->text) || covers(a->expr, b->expr));
}

static bool is_written(const struct pv_ir_clause *clause)
{
    return clause->kind == PV_C_WHEN || clause->kind == PV_C_UNLESS || clause->kind == PV_C_DURING ||
           clause->kind == PV_C_UNTIL;
}

/* A deny's clauses must each stand in the allow too. */
static bool clauses_cover(const struct pv_ir_rule *wide, const struct pv_ir_rule *narrow)
{
    for (uint32_t i = 0; i < wide->n_clauses; i++) {
        if (!is_written(&wide->clauses[i]))
            continue;
        bool found = false;
        for (uint32_t k = 0; k < narrow->n_clauses && !found; k++)
            found = same(wide->clauses[i].text, narrow->clauses[k].text);
        if (!found)
            return false;
    }
    return true;
}

static bool rule_covers(const struct pv_ir_rule *wide, const struct pv_ir_rule *narrow)
{
    return clause_covers(wide, narrow, PV_C_COMMANDS) && clause_covers(wide, narrow, PV_C_OBJECT) &&
           clause_covers(wide, narrow, PV_C_SUBJECT) && clause_covers(wide, narrow, PV_C_SOURCES) &&
           clauses_cover(wide, narrow);
}

struct deny {
    const struct pv_lint_rule *rule;
    const struct pv_ir_expr *object; /* NULL: every package */
};

static const struct pv_ir_expr *object_of(const struct pv_ir_rule *rule)
{
    const struct pv_ir_clause *clause = clause_of(rule, PV_C_OBJECT);
    return clause ? clause->expr : NULL;
}

/* Most pairs of rules are about two names that differ: told apart before anything else is looked at. */
static bool other_package(const struct pv_ir_expr *deny, const struct pv_ir_expr *allow)
{
    return deny &&
           (!allow || (deny->kind == PV_IR_STR && allow->kind == PV_IR_STR && !same(deny->string, allow->string)));
}

void pv_lint_covered_allow(struct pv_lint *lint)
{
    uint32_t work = 0, n_denies = 0;
    struct deny *denies = pv_arena_array(lint->arena, lint->n_rules + 1u, sizeof *denies);
    for (uint32_t i = 0; i < lint->n_rules; i++)
        if (lint->rules[i].ast->kind == PV_AST_DENY)
            denies[n_denies++] = (struct deny){&lint->rules[i], object_of(lint->rules[i].ir)};
    for (uint32_t i = 0; i < lint->n_rules; i++) {
        const struct pv_lint_rule *allow = &lint->rules[i];
        if (allow->ast->kind != PV_AST_ALLOW)
            continue;
        const struct pv_ir_expr *object = object_of(allow->ir);
        for (uint32_t k = 0; k < n_denies && work < PV_LINT_MAX_WORK; k++) {
            if (other_package(denies[k].object, object))
                continue;
            work++;
            if (!rule_covers(denies[k].rule->ir, allow->ir))
                continue;
            struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_COVERED_ALLOW, allow->ast->keyword,
                                             "a deny covers all of this allow: it allows nothing");
            pv_diag_related(lint->diags, diag, denies[k].rule->ast->keyword, "the deny, which wins wherever it stands");
            pv_diag_hint(lint->diags, diag, "write the exception into the deny: `unless ...`, or `except ...`");
            break;
        }
    }
}
