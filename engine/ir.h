/* The checked policy: what semantic analysis (sema*.c) hands to code generation, to the test runner and to analysis.
 *
 * Every name is resolved, every type checked, every expression in terms of the runtime's tests (opcodes.def) over
 * slots. What the language writes in many ways is written here in one: roles, conditions and named sources are
 * expanded, a rule is a list of clauses that must all hold. Lowering to this form (sema*.c) knows nothing of
 * instructions; emission (emit_*.c) knows nothing of the language. Everything lives in the compilation's arena; strings
 * are UTF-8 with explicit length and outlive the IR. */
#ifndef PROVISO_ENGINE_IR_H
#define PROVISO_ENGINE_IR_H

#include "engine/source.h" /* struct pv_span */
#include "runtime/proviso.h"

struct pv_ast_expr; /* ast.h */

struct pv_ir_str {
    const char *ptr;
    uint32_t len;
};

/* A glob in its canonical pattern form (ast.h) and as tokens (bundle.h). */
struct pv_ir_glob {
    struct pv_ir_str text;
    const uint32_t *tokens;
    uint32_t n_tokens;
};

struct pv_ir_set {
    struct pv_ir_str name;     /* len 0 for an inline set */
    struct pv_ir_str *members; /* exact names, included sets flattened in, duplicates possible */
    uint32_t n_members;
    struct pv_ir_glob *globs;
    uint32_t n_globs;
    const struct pv_ir_set *except; /* whose elements do not belong, used before this set, without `except`; or NULL */
    uint32_t index;                 /* place in pv_ir.sets */
};

/* Attributes beyond the built-in ones; slot = PV_N_BUILTIN + index. */
struct pv_ir_attr {
    struct pv_ir_str path; /* "host.room", "argument.unit", "option.lines" */
    enum pv_type type;
    enum pv_scope scope;
    unsigned flags;
    enum pv_order order;
};

enum pv_ir_kind {
    PV_IR_CONST,     /* number */
    PV_IR_NOT,       /* kids[0] */
    PV_IR_AND,       /* kids, two or more */
    PV_IR_OR,        /* kids, two or more */
    PV_IR_HAS,       /* slot */
    PV_IR_BOOL,      /* slot */
    PV_IR_INT,       /* slot cmp number */
    PV_IR_INT2,      /* slot cmp slot2 */
    PV_IR_STR,       /* slot == string */
    PV_IR_STR2,      /* slot == slot2 */
    PV_IR_IN,        /* slot in set */
    PV_IR_IN2,       /* slot in slot2 */
    PV_IR_MEMBER,    /* string in slot */
    PV_IR_OVERLAPS,  /* slot overlaps set */
    PV_IR_OVERLAPS2, /* slot overlaps slot2 */
    PV_IR_LIKE,      /* slot like glob */
    PV_IR_VER,       /* slot cmp string, in order */
    PV_IR_VER2,      /* slot cmp slot2, in order */
    PV_IR_IN_WINDOW, /* window */
    PV_IR_OWN
};

/* An expression: a DAG (a role used twice may be one node), at most PV_IR_MAX_DEPTH deep. `size` tells what it unfolds
 * to as a tree: a clause is at most PV_IR_MAX_SIZE, all clauses of a policy together PV_IR_MAX_TOTAL, so that whoever
 * unfolds one is bounded. */
#define PV_IR_MAX_DEPTH 512
#define PV_IR_MAX_SIZE  (1u << 22)
#define PV_IR_MAX_TOTAL (1u << 24)
struct pv_ir_expr {
    enum pv_ir_kind kind;
    enum pv_cmp cmp;
    enum pv_order order;
    uint16_t slot, slot2;
    int64_t number;
    struct pv_ir_str string;
    const struct pv_ir_set *set;
    const struct pv_ir_glob *glob;
    uint32_t window;
    struct pv_ir_expr **kids;
    uint32_t n_kids;
    uint32_t depth; /* nodes from here to the farthest leaf, 1 for a leaf */
    uint32_t size;  /* nodes of the tree that this unfolds to, UINT32_MAX for more */
    struct pv_span span;
};

struct pv_ir_nth_day {
    int32_t nth, weekday;
};
struct pv_ir_date_range {
    int32_t yearly, from, to;
};
struct pv_ir_clock_range {
    int32_t from, to;
};
struct pv_ir_window_alt {
    uint32_t ref, except; /* window indices (lower than this window's), or UINT32_MAX */
    bool has_days;
    uint32_t day_mask;
    struct pv_ir_nth_day *days;
    uint32_t n_days;
    struct pv_ir_date_range *dates;
    uint32_t n_dates;
    struct pv_ir_clock_range *clocks;
    uint32_t n_clocks;
};
/* Windows in dependency order: a window refers only to lower ones. Fields as in bundle.h. */
struct pv_ir_window {
    struct pv_ir_str name;
    struct pv_ir_str zone; /* len 0: the policy's (unless zone_host); the policy's own zone len 0: the host's */
    bool zone_host;        /* `zone host` is written: the host's, whatever the policy's is */
    struct pv_ir_window_alt *alts;
    uint32_t n_alts;
};

struct pv_ir_source {
    struct pv_ir_str name, type, location, credentials, key;
    int32_t priority;
    unsigned flags; /* PVB_SOURCE_* */
    struct pv_span span;
};

struct pv_ir_parameter {
    struct pv_ir_str name;
    uint32_t kind; /* enum pvb_parameter_kind */
    uint16_t slot;
    const struct pv_ir_set *set; /* or NULL */
};
struct pv_ir_template {
    uint32_t kind; /* enum pvb_template_kind */
    struct pv_ir_str literal;
    uint16_t slot;
};
struct pv_ir_env {
    struct pv_ir_str name, value;
};
struct pv_ir_command {
    struct pv_ir_str name, provider, account;
    unsigned flags; /* PVB_COMMAND_* */
    enum pv_order order;
    int64_t timeout; /* seconds, 0 for none */
    struct pv_ir_template *templates;
    uint32_t n_templates;
    struct pv_ir_parameter *parameters;
    uint32_t n_parameters;
    struct pv_ir_env *env;
    uint32_t n_env;
    uint16_t
        *required; /* slots that a request for this command must have, ascending: what the command uses, and
                    * non-optional, non-default slots that some rule reachable by the command reads without a `has` */
    uint32_t n_required;
    struct pv_span span;
};

struct pv_ir_clause {
    enum pv_clause_kind kind;
    struct pv_ir_expr *expr;
    struct pv_ir_str text; /* canonical text: `when transaction.removes == 0` */
    struct pv_span span;
    const struct pv_ast_expr *written; /* what stands behind `when` or `unless`; NULL for other clauses (written.h) */
};
struct pv_ir_annotation {
    struct pv_ir_str name, value;
};
struct pv_ir_duty {
    enum pv_duty_kind kind;
    int64_t seconds;
    struct pv_ir_str text;
    struct pv_ir_clause *clause; /* approval and alert: the subject over user.*; window: the windows; else NULL */
};
/* Rules in the order of their place, an import's where it is imported, the built-in ones first:
 * builtin:never-brokered, builtin:admin-only, builtin:disabled, builtin:protected (kind PV_RULE_BUILTIN_DENY, no span).
 */
struct pv_ir_rule {
    enum pv_rule_kind kind;
    unsigned flags;      /* PVB_RULE_* */
    struct pv_ir_str id; /* declared @id or built-in's name; len 0 for none */
    struct pv_ir_clause *clauses;
    uint32_t n_clauses;
    struct pv_ir_str *because;
    uint32_t n_because;
    struct pv_ir_annotation *annotations;
    uint32_t n_annotations;
    struct pv_ir_duty *duties;
    uint32_t n_duties;
    struct pv_span span; /* of the keyword; file UINT32_MAX for built-in rules */
};

/* Test blocks. Each expectation is a complete request, checked like one from a file. */
struct pv_ir_given {
    uint16_t slot;
    struct pv_value value; /* members and bytes in the arena */
    struct pv_span span;
};
struct pv_ir_expect {
    enum pv_effect effect;
    struct pv_ir_str command;
    struct pv_ir_str *objects; /* several: one request with an operation for each */
    uint32_t n_objects;        /* 0 for none */
    struct pv_ir_str source;   /* len 0 for none */
    struct pv_ir_given *with;  /* overrides the test's given */
    uint32_t n_with;
    struct pv_ir_str
        *by; /* ids of rules that must be among those that decided; a rule without @id is named FILE:LINE */
    uint32_t n_by;
    struct pv_ir_duty *requiring; /* duties that the decision must carry */
    uint32_t n_requiring;
    struct pv_ir_str *because;
    uint32_t n_because;
    struct pv_span span;
};
struct pv_ir_test {
    struct pv_ir_str name;
    struct pv_ir_str user;
    int64_t uid; /* from `given user.uid`, else -1 */
    struct pv_ir_str *groups;
    uint32_t n_groups;
    int64_t time;              /* seconds since 1970-01-01 UTC */
    struct pv_ir_given *given; /* each counts for the expectations whose command has the attribute */
    uint32_t n_given;
    struct pv_ir_expect *expects;
    uint32_t n_expects;
    struct pv_span span;
};

/* An assertion, lowered like a rule: `form` over the scope's clauses. Proven by analysis; compile warns until then. */
enum pv_ir_assert_form {
    PV_IR_NEVER_ALLOW,
    PV_IR_ALWAYS_DENY,
    PV_IR_ALWAYS_ALLOW,
    PV_IR_SOMETIMES_ALLOW,
    PV_IR_ALWAYS_REQUIRE
};
struct pv_ir_assert {
    enum pv_ir_assert_form form;
    struct pv_ir_str text;
    struct pv_ir_clause *clauses;
    uint32_t n_clauses;
    struct pv_ir_duty *duty; /* of ALWAYS_REQUIRE */
    struct pv_span span;
};

struct pv_ir {
    bool is_library; /* no `policy` statement: evaluated in memory only */
    struct pv_ir_str name, title, zone;
    uint64_t version;
    struct pv_ir_attr *attrs;
    uint32_t n_attrs;
    struct pv_ir_set **sets;
    uint32_t n_sets;
    struct pv_ir_window *windows;
    uint32_t n_windows;
    struct pv_ir_source *sources;
    uint32_t n_sources;
    struct pv_ir_command *commands;
    uint32_t n_commands;
    struct pv_ir_rule *rules;
    uint32_t n_rules;
    struct pv_ir_test *tests;
    uint32_t n_tests;
    struct pv_ir_assert *asserts;
    uint32_t n_asserts;
};

#endif
