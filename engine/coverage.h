/* What the tests of a policy have seen: of each rule, whether it matched and whether it did not; of each clause and
 * each atomic condition in it (written.h), whether it was true and whether it was false. It follows what is written,
 * from left to right, so no code generator can hide a branch or make one up.
 *
 * A rule is looked at by the operations whose command it is about, its clauses in their order (subject, object,
 * sources, then as written) until one is false. Where the decision is `direct`, only direct rules are asked, as the
 * language has it. What cannot have two outcomes (`everyone`, `from any`) is `constant` and not counted. */
#ifndef PROVISO_ENGINE_COVERAGE_H
#define PROVISO_ENGINE_COVERAGE_H

#include "engine/arena.h"
#include "engine/ast.h"
#include "engine/ir.h"

struct pv_outcomes {
    uint64_t n_true, n_false;
};

struct pv_cover_atom {
    const struct pv_ast_expr *expr;
    struct pv_outcomes seen;
};

struct pv_cover_clause {
    const struct pv_ir_clause *clause;
    bool constant;
    struct pv_outcomes seen;
    struct pv_cover_atom *atoms; /* none where the clause is one atomic condition: its outcomes are the clause's */
    uint32_t n_atoms;
};

struct pv_cover_rule {
    const struct pv_ir_rule *rule;
    uint64_t matched, unmatched;
    uint64_t decided; /* decisions that list it */
    bool constant;    /* no clause can be false: it cannot fail to match */
    struct pv_cover_clause *clauses;
    uint32_t n_clauses;
};

/* A named condition that some rule uses, wherever it is used. */
struct pv_cover_condition {
    const struct pv_ast_decl *decl;
    struct pv_outcomes seen;
    struct pv_cover_atom *atoms;
    uint32_t n_atoms;
    uint64_t walk; /* the last operation that it was looked at for */
};

struct pv_coverage {
    struct pv_cover_rule *rules; /* by index in the IR; built-in ones have no clauses and are not counted */
    uint32_t n_rules;
    struct pv_cover_condition *conditions;
    uint32_t n_conditions;
    struct pv_cover_condition **pending; /* conditions to look into, while one clause is evaluated */
    uint32_t n_pending;
    uint64_t walk;
    void *by_decl; /* declarations of conditions to their rows (coverage.c) */
};

/* Everything lives in the arena. 0 or PV_E_NOMEM. */
int pv_coverage_new(struct pv_coverage **out, const struct pv_ir *ir, struct pv_arena *arena);
/* Counts one operation: its direct rules, or the others, or all. */
enum { PV_COVER_DIRECT = 1, PV_COVER_OTHERS = 2 };
void pv_coverage_add(struct pv_coverage *coverage, const struct pv_request *request, unsigned which);
/* Counts a decision on a request. */
void pv_coverage_decided(struct pv_coverage *coverage, const struct pv_decision *decision);

#endif
