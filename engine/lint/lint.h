/* Lints: what is allowed, and rarely meant. They run over a policy without errors, on the syntax tree (what was
 * written) and on the checked form (what it means), and change nothing.
 *
 * One file a rule, each one function; the table in lint.c is the list. A rule reports to lint->diags, a collector of
 * its own: lint.c drops what stands in library files, which are checked by themselves, and what a comment silences, and
 * hands on the rest. A rule may be blind to a case; it does not cry where nothing is wrong.
 *
 * A comment silences diagnostics of the statement that it stands in, behind or directly above:
 *     # lint: allow PV1010, PV1011 because TEXT
 */
#ifndef PROVISO_ENGINE_LINT_LINT_H
#define PROVISO_ENGINE_LINT_LINT_H

#include "engine/ast.h"
#include "engine/compile.h"
#include "engine/diag.h"
#include "engine/ir.h"
#include "engine/sema.h"

#define PV_LINT_SOON     30         /* days before an `until` that are told as soon */
#define PV_LINT_MAX_SIZE (1u << 16) /* nodes of an expression that is walked; larger ones are passed over */
/* Pairs of rules that one lint compares closely. Enough for some 350 allows beside 350 denies; what a larger policy has
 * beyond that is for the exact analysis. */
#define PV_LINT_MAX_WORK (1u << 17)

/* A rule as written and as checked. */
struct pv_lint_rule {
    const struct pv_ast_decl *decl;
    const struct pv_ast_rule *ast;
    const struct pv_ir_rule *ir;
};

struct pv_lint {
    struct pv_arena *arena;
    const struct pv_program *program;
    const struct pv_ir *ir;
    struct pv_diags *diags; /* what rules report to */
    int64_t today;          /* days since 1970-01-01 */
    struct pv_lint_rule *rules;
    uint32_t n_rules;
    struct pv_span first_time;                                          /* of pv_lint_no_zone() */
    uint32_t stamp;                                                     /* of pv_lint_repeated_command() */
    void (*on_set)(struct pv_lint *lint, const struct pv_ast_set *set); /* of pv_lint_sets() */
};

/* ---- What rules share (walk.c) ---- */

/* Calls for every expression of clauses and conditions, operands after what holds them. */
void pv_lint_exprs(struct pv_lint *lint, void (*visit)(struct pv_lint *lint, const struct pv_ast_expr *expr));
/* Calls for every inline set: of objects, expressions, declarations and parameters. */
void pv_lint_sets(struct pv_lint *lint, void (*visit)(struct pv_lint *lint, const struct pv_ast_set *set));
/* Calls for every scope: of rules and assertions. */
void pv_lint_scopes(struct pv_lint *lint, void (*visit)(struct pv_lint *lint, const struct pv_ast_scope *scope));
/* The members of a named set as written; NULL for one from a file. */
const struct pv_ast_set *pv_lint_set_named(const struct pv_lint *lint, struct pv_text name);
/* Whether only role `admin` and root are meant. */
bool pv_lint_only_admins(const struct pv_ast_subject *subject);
/* Where a scope names a command (or says `any`), or PV_NO_SPAN. */
struct pv_span pv_lint_names_command(const struct pv_ast_scope *scope, const char *command);
/* The path of a slot: "package.name". */
struct pv_ir_str pv_lint_path(const struct pv_lint *lint, uint16_t slot);
unsigned pv_lint_slot_flags(const struct pv_lint *lint, uint16_t slot);
bool pv_lint_is_parameter(const struct pv_lint *lint, uint16_t slot); /* an argument or an option */
/* Whether an expression reads a slot: its value, or also whether it is there. */
bool pv_lint_reads(const struct pv_ir_expr *expr, uint16_t slot, bool presence_too);
/* Of an expression where a slot is absent: true, false, or it depends (PV_UNKNOWN). */
enum pv_truth pv_lint_without(const struct pv_ir_expr *expr, uint16_t slot);
/* Calls for each leaf. */
void pv_lint_leaves(const struct pv_ir_expr *expr, void (*visit)(void *context, const struct pv_ir_expr *leaf),
                    void *context);

/* ---- The rules, in the order of the table ---- */

typedef void pv_lint_function(struct pv_lint *lint);
pv_lint_function pv_lint_literal_star, pv_lint_unused_name, pv_lint_name_of_two_kinds, pv_lint_self_service_admin_only,
    pv_lint_two_unless, pv_lint_until_fails_open, pv_lint_everyone_to_any, pv_lint_repeated_command,
    pv_lint_allow_from_any, pv_lint_uninstall_without_own, pv_lint_deny_without_because, pv_lint_until_near,
    pv_lint_constant_condition, pv_lint_never_applies, pv_lint_duplicate_rule, pv_lint_absent_attribute,
    pv_lint_requester_fact, pv_lint_unguarded_downgrade, pv_lint_covered_allow, pv_lint_open_argument,
    pv_lint_hidden_sources, pv_lint_mixed_scripts, pv_lint_similar_names, pv_lint_template_at_risk, pv_lint_missing_id,
    pv_lint_no_zone, pv_lint_library_allow;

#endif
