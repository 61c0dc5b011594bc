/* A rule whose clauses exclude each other: `install "git" when package.name == "vim"`. What all clauses say together is
 * read as facts about single attributes; two facts that cannot both hold are told. Facts inside an `or` are not read.
 */
#include "engine/lint/lint.h"

#include <string.h>

#define MAX_FACTS 128 /* of one rule; more are passed over */

struct fact {
    const struct pv_ir_expr *leaf;
    const struct pv_ir_clause *clause;
    bool negated;
};

struct facts {
    struct fact list[MAX_FACTS];
    uint32_t n;
};

static void collect(struct facts *facts, const struct pv_ir_expr *expr, const struct pv_ir_clause *clause, bool negated)
{
    if (expr->kind == PV_IR_NOT) {
        collect(facts, expr->kids[0], clause, !negated);
    } else if (expr->kind == (negated ? PV_IR_OR : PV_IR_AND)) {
        for (uint32_t i = 0; i < expr->n_kids && facts->n < MAX_FACTS; i++)
            collect(facts, expr->kids[i], clause, negated);
    } else if (expr->kind != PV_IR_AND && expr->kind != PV_IR_OR && facts->n < MAX_FACTS) {
        facts->list[facts->n++] = (struct fact){expr, clause, negated};
    }
}

static bool equal(struct pv_ir_str a, struct pv_ir_str b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Whether a set surely does not hold a string: no pattern, and not among the members. */
static bool lacks(const struct pv_ir_set *set, struct pv_ir_str string)
{
    if (set->n_globs || set->n_members > 1024)
        return false;
    for (uint32_t i = 0; i < set->n_members; i++)
        if (equal(set->members[i], string))
            return false;
    return true;
}

static bool holds(const struct pv_ir_set *set, struct pv_ir_str string)
{
    if (set->except || set->n_members > 1024)
        return false;
    for (uint32_t i = 0; i < set->n_members; i++)
        if (equal(set->members[i], string))
            return true;
    return false;
}

static enum pv_cmp opposite(enum pv_cmp cmp)
{
    static const enum pv_cmp opposites[] = {
        [PV_EQ] = PV_NE, [PV_NE] = PV_EQ, [PV_LT] = PV_GE, [PV_LE] = PV_GT, [PV_GT] = PV_LE, [PV_GE] = PV_LT};
    return opposites[cmp];
}

/* The whole numbers that a comparison admits; false for `!=`. */
static bool interval(const struct fact *fact, int64_t *low, int64_t *high)
{
    enum pv_cmp cmp = fact->negated ? opposite(fact->leaf->cmp) : fact->leaf->cmp;
    int64_t n = fact->leaf->number;
    *low = INT64_MIN;
    *high = INT64_MAX;
    switch (cmp) {
    case PV_EQ: *low = *high = n; return true;
    case PV_LT: *high = n == INT64_MIN ? n : n - 1; return true;
    case PV_LE: *high = n; return true;
    case PV_GT: *low = n == INT64_MAX ? n : n + 1; return true;
    case PV_GE: *low = n; return true;
    case PV_NE: break;
    }
    return false;
}

static bool exclude(const struct fact *a, const struct fact *b)
{
    const struct pv_ir_expr *x = a->leaf, *y = b->leaf;
    int64_t low[2], high[2];
    if (x->slot != y->slot)
        return false;
    if (x->kind == PV_IR_STR && y->kind == PV_IR_STR) {
        if (equal(x->string, y->string))
            return a->negated != b->negated;
        return !a->negated && !b->negated;
    }
    if (x->kind == PV_IR_STR && y->kind == PV_IR_IN && !a->negated)
        return b->negated ? holds(y->set, x->string) : lacks(y->set, x->string);
    if (x->kind == PV_IR_IN && y->kind == PV_IR_STR)
        return exclude(b, a);
    if (x->kind == PV_IR_INT && y->kind == PV_IR_INT && interval(a, &low[0], &high[0]) &&
        interval(b, &low[1], &high[1]))
        return low[0] > high[1] || low[1] > high[0];
    if (x->kind != y->kind || a->negated == b->negated)
        return false;
    return x->kind == PV_IR_BOOL || x->kind == PV_IR_HAS || (x->kind == PV_IR_IN && x->set == y->set) ||
           (x->kind == PV_IR_MEMBER && equal(x->string, y->string));
}

static void check(struct pv_lint *lint, const struct pv_lint_rule *rule, struct facts *facts)
{
    facts->n = 0;
    for (uint32_t i = 0; i < rule->ir->n_clauses; i++)
        if (rule->ir->clauses[i].expr->size <= PV_LINT_MAX_SIZE)
            collect(facts, rule->ir->clauses[i].expr, &rule->ir->clauses[i], false);
    for (uint32_t j = 1; j < facts->n; j++) {
        for (uint32_t i = 0; i < j; i++) {
            const struct fact *a = &facts->list[i], *b = &facts->list[j];
            if (!exclude(a, b))
                continue;
            struct pv_diag *diag =
                pv_report(lint->diags, PV_DIAG_NEVER_APPLIES, b->clause->span,
                          "this rule never applies: `%.*s` cannot hold where %s does", (int)b->clause->text.len,
                          b->clause->text.ptr, a->clause == b->clause ? "the rest of it" : "what stands before");
            if (a->clause != b->clause)
                pv_diag_related(lint->diags, diag, a->clause->span, "`%.*s`", (int)a->clause->text.len,
                                a->clause->text.ptr);
            return;
        }
    }
}

void pv_lint_never_applies(struct pv_lint *lint)
{
    struct facts *facts = PV_NEW(lint->arena, struct facts);
    for (uint32_t i = 0; i < lint->n_rules; i++)
        check(lint, &lint->rules[i], facts);
}
