/* Counting outcomes (coverage.h). Rows are made once, in the order in which an evaluation visits them, so counting
 * finds an atomic condition by going on from the last one. A named condition is looked into once an operation, whoever
 * uses it, from a list of those that are pending: chains of names may be long. */
#include "engine/coverage.h"

#include "engine/ir_eval.h"
#include "engine/map.h"
#include "engine/written.h"

/* ---- Making the rows ---- */

struct making {
    struct pv_coverage *coverage;
    struct pv_arena *arena;
    struct pv_cover_atom *atoms;
    uint32_t n_atoms;
    size_t conditions_capacity, atoms_capacity;
};

static void note_condition(struct making *making, const struct pv_ast_decl *decl)
{
    struct pv_coverage *coverage = making->coverage;
    void **place = pv_map_put(coverage->by_decl, making->arena, decl);
    if (*place)
        return;
    coverage->conditions =
        pv_arena_grow(making->arena, coverage->conditions, coverage->n_conditions, &making->conditions_capacity,
                      coverage->n_conditions + 1u, sizeof *coverage->conditions);
    coverage->conditions[coverage->n_conditions++] = (struct pv_cover_condition){.decl = decl};
    *place = (void *)(uintptr_t)coverage->n_conditions;
}

static void make_atom(void *context, const struct pv_ast_expr *atom, enum pv_truth truth)
{
    struct making *making = context;
    (void)truth;
    if (atom->stands)
        note_condition(making, atom->stands);
    making->atoms = pv_arena_grow(making->arena, making->atoms, making->n_atoms, &making->atoms_capacity,
                                  making->n_atoms + 1u, sizeof *making->atoms);
    making->atoms[making->n_atoms++] = (struct pv_cover_atom){.expr = atom};
}

/* The atoms of an expression; none where it is one itself. */
static struct pv_cover_atom *make_atoms(struct making *making, const struct pv_ast_expr *expr, uint32_t *n)
{
    making->atoms = NULL;
    making->n_atoms = 0;
    making->atoms_capacity = 0;
    pv_written_atoms(expr, make_atom, making);
    bool joined = expr->kind == PV_AST_AND || expr->kind == PV_AST_OR || expr->kind == PV_AST_NOT;
    *n = joined && making->n_atoms > 1 ? making->n_atoms : 0;
    return making->atoms;
}

static void make_rule(struct making *making, struct pv_cover_rule *row, const struct pv_ir_rule *rule)
{
    *row = (struct pv_cover_rule){.rule = rule, .constant = true};
    if (rule->kind == PV_RULE_BUILTIN_DENY)
        return;
    row->clauses = pv_arena_array(making->arena, rule->n_clauses, sizeof *row->clauses);
    for (uint32_t i = 0; i < rule->n_clauses; i++) {
        const struct pv_ir_clause *clause = &rule->clauses[i];
        if (clause->kind == PV_C_COMMANDS)
            continue;
        struct pv_cover_clause *out = &row->clauses[row->n_clauses++];
        *out = (struct pv_cover_clause){.clause = clause, .constant = clause->expr->kind == PV_IR_CONST};
        if (clause->written)
            out->atoms = make_atoms(making, clause->written, &out->n_atoms);
        row->constant = row->constant && out->constant;
    }
}

static void make(struct pv_coverage *coverage, const struct pv_ir *ir, struct pv_arena *arena)
{
    struct making making = {.coverage = coverage, .arena = arena};
    coverage->by_decl = PV_NEW(arena, struct pv_map);
    coverage->rules = pv_arena_array(arena, ir->n_rules, sizeof *coverage->rules);
    coverage->n_rules = ir->n_rules;
    for (uint32_t i = 0; i < ir->n_rules; i++)
        make_rule(&making, &coverage->rules[i], &ir->rules[i]);
    /* What a condition is made of may bring in others, which go to the end. */
    for (uint32_t i = 0; i < coverage->n_conditions; i++) {
        uint32_t n;
        struct pv_cover_atom *atoms = make_atoms(&making, coverage->conditions[i].decl->condition->expr, &n);
        coverage->conditions[i].atoms = atoms;
        coverage->conditions[i].n_atoms = n;
    }
    coverage->pending = pv_arena_array(arena, coverage->n_conditions, sizeof *coverage->pending);
}

int pv_coverage_new(struct pv_coverage **out, const struct pv_ir *ir, struct pv_arena *arena)
{
    struct pv_coverage *volatile coverage = NULL;
    jmp_buf guard;
    *out = NULL;
    jmp_buf *volatile outer = pv_arena_guard(arena, &guard);
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        return PV_E_NOMEM;
    }
    coverage = PV_NEW(arena, struct pv_coverage);
    make(coverage, ir, arena);
    pv_arena_guard(arena, outer);
    *out = coverage;
    return 0;
}

/* ---- Counting ---- */

static void count(struct pv_outcomes *seen, enum pv_truth truth)
{
    seen->n_true += truth == PV_TRUE;
    seen->n_false += truth == PV_FALSE;
}

struct counting {
    struct pv_coverage *coverage;
    struct pv_cover_atom *atoms;
    uint32_t n_atoms, next;
};

static void count_atom(void *context, const struct pv_ast_expr *atom, enum pv_truth truth)
{
    struct counting *counting = context;
    struct pv_coverage *coverage = counting->coverage;
    while (counting->next < counting->n_atoms && counting->atoms[counting->next].expr != atom)
        counting->next++;
    if (counting->next < counting->n_atoms)
        count(&counting->atoms[counting->next].seen, truth);
    if (!atom->stands)
        return;
    size_t row = (size_t)(uintptr_t)pv_map_get(coverage->by_decl, atom->stands);
    struct pv_cover_condition *condition = &coverage->conditions[row - 1];
    if (condition->walk == coverage->walk)
        return;
    condition->walk = coverage->walk;
    count(&condition->seen, truth);
    coverage->pending[coverage->n_pending++] = condition;
}

static enum pv_truth walk(struct pv_coverage *coverage, const struct pv_ast_expr *expr,
                          const struct pv_request *request, struct pv_cover_atom *atoms, uint32_t n_atoms)
{
    struct counting counting = {.coverage = coverage, .atoms = atoms, .n_atoms = n_atoms};
    return pv_written_eval(expr, request, count_atom, &counting);
}

static enum pv_truth count_clause(struct pv_coverage *coverage, struct pv_cover_clause *row,
                                  const struct pv_request *request)
{
    const struct pv_ir_clause *clause = row->clause;
    enum pv_truth truth;
    if (clause->written) {
        truth = walk(coverage, clause->written, request, row->atoms, row->n_atoms);
        if (clause->kind == PV_C_UNLESS)
            truth = (enum pv_truth)(PV_TRUE - truth);
    } else {
        truth = pv_ir_eval(clause->expr, request);
    }
    while (coverage->n_pending) {
        struct pv_cover_condition *condition = coverage->pending[--coverage->n_pending];
        walk(coverage, condition->decl->condition->expr, request, condition->atoms, condition->n_atoms);
    }
    count(&row->seen, truth);
    return truth;
}

static bool is_about(const struct pv_ir_rule *rule, const struct pv_request *request)
{
    for (uint32_t i = 0; i < rule->n_clauses; i++)
        if (rule->clauses[i].kind == PV_C_COMMANDS)
            return pv_ir_eval(rule->clauses[i].expr, request) == PV_TRUE;
    return true;
}

static void count_rule(struct pv_coverage *coverage, struct pv_cover_rule *row, const struct pv_request *request)
{
    enum pv_truth truth = PV_TRUE;
    if (!is_about(row->rule, request))
        return;
    for (uint32_t i = 0; i < row->n_clauses && truth == PV_TRUE; i++)
        truth = count_clause(coverage, &row->clauses[i], request);
    row->matched += truth == PV_TRUE;
    row->unmatched += truth == PV_FALSE;
}

void pv_coverage_add(struct pv_coverage *coverage, const struct pv_request *request, unsigned which)
{
    coverage->walk++;
    for (uint32_t i = 0; i < coverage->n_rules; i++) {
        enum pv_rule_kind kind = coverage->rules[i].rule->kind;
        unsigned of = kind == PV_RULE_DIRECT ? PV_COVER_DIRECT : PV_COVER_OTHERS;
        if (kind != PV_RULE_BUILTIN_DENY && of & which)
            count_rule(coverage, &coverage->rules[i], request);
    }
}

void pv_coverage_decided(struct pv_coverage *coverage, const struct pv_decision *decision)
{
    for (uint32_t i = 0; i < decision->n_rules; i++)
        coverage->rules[decision->rules[i]].decided++;
}
