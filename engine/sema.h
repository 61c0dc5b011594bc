/* Semantic analysis, private to sema*.c and, for what names mean, to lint/: one context, one file an idea, passes in
 * the order of pv_sema() (sema.c).
 *
 *   sema_names.c       what is declared, who sees it, what a name means, what was meant
 *   sema_order.c       declarations of a kind in the order of their dependencies; cycles
 *   sema_build.c       nodes of the checked expression, simplified while they are made
 *   sema_text.c        canonical text of subjects, objects, sources, expressions
 *   sema_sets.c        sets, set files, globs
 *   sema_windows.c     windows and zones
 *   sema_subjects.c    roles and subjects
 *   sema_sources.c     sources, unions and `from`
 *   sema_commands.c    commands, argument templates
 *   sema_attributes.c  slots: built-in and declared attributes, arguments, options
 *   sema_slots.c       small sets of slots
 *   sema_expr.c        types of expressions, and what `has` establishes
 *   sema_scope.c       what a rule is about: subject, commands, object, sources, clauses
 *   sema_duties.c      what a require asks for
 *   sema_rules.c       rules, their ids, assertions
 *   sema_builtin.c     the built-in denials
 *   sema_tests.c       test blocks
 *
 * Everything runs inside the arena's guard, so no allocation fails. A mistake is told once: what depends on it is
 * `poisoned`, passes on and stays silent. Nothing recurses over declarations (a chain of names may be long); recursion
 * over one syntax tree is bounded by PV_AST_MAX_DEPTH. */
#ifndef PROVISO_ENGINE_SEMA_H
#define PROVISO_ENGINE_SEMA_H

#include "engine/ast.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "runtime/bundle.h"

#define PV_SEMA_MAX_SLOTS   4096u /* attributes, arguments and options of one policy, the built-in ones included */
#define PV_SEMA_MAX_GUESSES 200u  /* a guess walks over all names: with more mistakes, no more guesses */

enum pv_name_kind {
    PV_NAME_ROLE,
    PV_NAME_SOURCE, /* sources and unions */
    PV_NAME_SET,
    PV_NAME_WINDOW,
    PV_NAME_CONDITION,
    PV_NAME_ATTRIBUTE, /* host.NAME, by NAME */
    PV_NAME_COMMAND,
    PV_N_NAME_KINDS
};

struct pv_condition;
struct pv_command;
struct pv_literal_allow;

/* What names a rule in decisions and tests. */
struct pv_rule_id {
    struct pv_text text;
    struct pv_span span; /* none for a built-in one */
    struct pv_rule_id *next;
};

/* One use of a declaration by another of its kind. */
struct pv_use {
    struct pv_named *target;
    struct pv_span span;
};

/* A declared name. */
struct pv_named {
    enum pv_name_kind kind;
    struct pv_text text;
    struct pv_span span;
    struct pv_ast_decl *decl; /* NULL: predeclared (admin) */
    bool used;
    bool poisoned;
    enum { PV_ORDER_NEW, PV_ORDER_OPEN, PV_ORDER_DONE } state; /* sema_order.c */
    struct pv_use *uses;
    size_t n_uses, uses_capacity;
    union {
        struct pv_ir_expr *expr; /* ROLE, SOURCE */
        struct pv_ir_set *set;
        struct pv_condition *condition;
        struct pv_command *command;
        uint32_t window; /* index in the IR */
        uint16_t slot;   /* ATTRIBUTE */
    };
};

/* A few slots, ascending. Immutable. */
struct pv_slots {
    uint32_t n;
    uint16_t slot[];
};

/* A checked condition: what it reads without a `has` of its own, and what it establishes where it is true or false. */
struct pv_condition {
    struct pv_ir_expr *expr;
    const struct pv_slots *reads, *yes, *no;
};

/* One attribute of this policy; index is the slot. */
struct pv_slot_info {
    struct pv_text path;
    enum pv_type type;
    enum pv_scope scope;
    unsigned flags; /* PV_ATTR_* */
    enum pv_order order;
    struct pv_span span;    /* declaration; none for a built-in one */
    struct pv_named *named; /* declared attribute; else NULL */
    uint32_t n_commands[4]; /* PARAMETER: commands that have it, by PV_REACH_* */
};

struct pv_command {
    struct pv_named *named;
    uint32_t index; /* in the IR */
    bool packages, sources;
    enum pv_order order;
    uint16_t *slots; /* of its parameters, ascending */
    uint32_t n_slots;
    uint32_t stamp; /* of the last rule that listed it */
};

/* The commands that a rule is about. */
enum { PV_REACH_PACKAGES = 1, PV_REACH_SOURCES = 2 };
struct pv_reach {
    bool any; /* every declared command that has what `variant` says; list is not used */
    unsigned variant;
    struct pv_command **list; /* distinct */
    uint32_t n, n_packages, n_sources;
};

/* A window with the windows that it uses written out. */
struct pv_window_size {
    uint32_t depth; /* of the longest chain, itself included */
    uint32_t cost;  /* terms */
};

/* A growing text; its bytes are reused, pv_sema_text_end() interns them. */
struct pv_writer {
    char *bytes;
    size_t n, capacity;
};

struct pv_sema {
    struct pv_arena *arena;
    struct pv_program *program;
    struct pv_diags *diags;
    struct pv_ir *ir;
    uint32_t n_guesses;
    struct pv_map unknown; /* text -> bits of kinds: told already, once for each name */
    bool incomplete;       /* files with errors: what is unknown may have stood there, so it is not told */

    /* names */
    struct pv_map names;                      /* text -> struct name_entry (sema_names.c) */
    struct pv_named **named[PV_N_NAME_KINDS]; /* in source order */
    size_t n_named[PV_N_NAME_KINDS], named_capacity[PV_N_NAME_KINDS];
    struct pv_named *admin;
    uint32_t *position;   /* source index -> row of `visible`, UINT32_MAX: not parsed */
    uint64_t *visible;    /* rows of bits: files that a file sees, itself included */
    size_t visible_words; /* of a row */

    /* attributes */
    struct pv_slot_info *slots;
    size_t n_slots, slots_capacity;
    struct pv_map paths; /* path text -> slot + 1 */

    /* commands */
    struct pv_command **commands;
    uint32_t n_commands;
    uint32_t n_variant[4];             /* commands by PV_REACH_* */
    struct pv_ir_expr *any_command[4]; /* `command` is one of these */
    uint64_t *required;                /* rows of bits, a command each: slots that rules read without a `has` */
    uint64_t *required_any[4];         /* the same for rules with `any`, by PV_REACH_* */
    size_t required_words;
    struct pv_command *install, *upgrade, *uninstall; /* NULL where not declared */
    enum pv_order command_order;                      /* of package.version, whatever the command */

    /* texts, sets, globs */
    struct pv_writer writer;
    struct pv_map globs; /* canonical text -> struct pv_ir_glob */
    size_t sets_capacity, windows_capacity, rules_capacity, tests_capacity, asserts_capacity;
    uint64_t set_work;                   /* members copied so far */
    struct pv_window_size *window_sizes; /* by index in the IR */
    struct pv_map zones;                 /* names of zones that are written */

    /* rules */
    struct pv_map rule_ids; /* id text -> struct pv_rule_id */
    bool has_place_ids;     /* ids of unnamed rules, FILE:LINE, are in rule_ids too */
    struct pv_rule_id *ids; /* all, newest first */
    uint64_t total_size;    /* of all clauses */
    uint32_t rule_stamp;
    struct pv_span unnamed; /* keyword of the last unnamed rule */
    uint32_t unnamed_line;
    struct pv_literal_allow *literal_allows; /* newest first */
    uint32_t n_literal_allows;
};

/* ---- sema_names.c ---- */

const char *pv_name_kind_word(enum pv_name_kind kind); /* "role" */
/* Declares every name of the program and finds who sees whom. */
void pv_sema_declare(struct pv_sema *sema);
/* The declaration that a use means, which is then used; NULL where there is none (told). */
struct pv_named *pv_sema_resolve(struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text,
                                 struct pv_span span);
/* The same, once for a node: what was found is kept in *node_sema. */
struct pv_named *pv_sema_resolve_once(struct pv_sema *sema, void **node_sema, enum pv_name_kind kind,
                                      const struct pv_ast_name *name);
/* A declared name of any file, seen or not; NULL for none. Does not count as a use. */
struct pv_named *pv_sema_find(const struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text);
/* Whether file `from` sees declarations of file `to` (source indices). */
bool pv_sema_sees(const struct pv_sema *sema, uint32_t from, uint32_t to);

/* ---- sema_order.c ---- */

void pv_sema_add_use(struct pv_sema *sema, struct pv_named *user, struct pv_named *target, struct pv_span span);
/* Calls `lower` for each declaration of a kind, after those that it uses. Members of a cycle are told and poisoned; who
 * uses something poisoned is poisoned; `lower` is not called for these. */
void pv_sema_in_order(struct pv_sema *sema, enum pv_name_kind kind,
                      void (*lower)(struct pv_sema *sema, struct pv_named *named));

/* ---- sema_build.c ---- */

struct pv_ir_expr *pv_ir_leaf(struct pv_sema *sema, enum pv_ir_kind kind, uint16_t slot, struct pv_span span);
struct pv_ir_expr *pv_ir_truth(struct pv_sema *sema, bool value, struct pv_span span);
struct pv_ir_expr *pv_ir_string_is(struct pv_sema *sema, uint16_t slot, struct pv_text text, struct pv_span span);
struct pv_ir_expr *pv_ir_string_has(struct pv_sema *sema, uint16_t slot, struct pv_text text, struct pv_span span);
struct pv_ir_expr *pv_ir_in_set(struct pv_sema *sema, enum pv_ir_kind kind, uint16_t slot, struct pv_ir_set *set,
                                struct pv_span span);
struct pv_ir_expr *pv_ir_negate(struct pv_sema *sema, struct pv_ir_expr *kid, struct pv_span span);
/* AND or OR of n kids (n >= 1). `kids` is copied. */
struct pv_ir_expr *pv_ir_join(struct pv_sema *sema, enum pv_ir_kind kind, struct pv_ir_expr *const *kids, uint32_t n,
                              struct pv_span span);
struct pv_ir_expr *pv_ir_join2(struct pv_sema *sema, enum pv_ir_kind kind, struct pv_ir_expr *a, struct pv_ir_expr *b,
                               struct pv_span span);
/* Tells, once at `span`, where an expression is over PV_IR_MAX_DEPTH or PV_IR_MAX_SIZE. false: it is. */
bool pv_ir_fits(struct pv_sema *sema, const struct pv_ir_expr *expr, struct pv_span span);

static inline struct pv_ir_str pv_ir_str(struct pv_text text)
{
    return (struct pv_ir_str){text.ptr ? text.ptr : "", text.len};
}

/* ---- sema_text.c: canonical texts, interned ---- */

struct pv_text pv_text_subject(struct pv_sema *sema, const struct pv_ast_subject *subject);
struct pv_text pv_text_commands(struct pv_sema *sema, const struct pv_ast_scope *scope); /* `to install, upgrade` */
struct pv_text pv_text_object(struct pv_sema *sema, const struct pv_ast_scope *scope);
struct pv_text pv_text_from(struct pv_sema *sema, const struct pv_ast_from *from); /* `from any and not vendor` */
struct pv_text pv_text_clause(struct pv_sema *sema, const struct pv_ast_clause *clause);
struct pv_text pv_text_windows(struct pv_sema *sema, const struct pv_ast_ref *windows); /* `nightly or weekend` */

/* ---- sema_sets.c ---- */

void pv_sema_sets(struct pv_sema *sema);
/* An inline set, NULL where it is poisoned. */
struct pv_ir_set *pv_sema_set(struct pv_sema *sema, const struct pv_ast_set *ast);
/* A set of these strings, without a name. */
struct pv_ir_set *pv_sema_set_of(struct pv_sema *sema, const struct pv_text *members, uint32_t n);
/* A glob of its canonical text; NULL where it is too long (told). */
const struct pv_ir_glob *pv_sema_glob(struct pv_sema *sema, struct pv_text pattern, struct pv_span span);
/* Gives a set its place in the IR, when something refers to it first. */
void pv_sema_use_set(struct pv_sema *sema, struct pv_ir_set *set);

/* ---- sema_windows.c ---- */

void pv_sema_windows(struct pv_sema *sema);
bool pv_sema_zone(struct pv_sema *sema, const struct pv_ast_string *zone); /* well-formed, else told */
/* Whether the moment is in one of these windows; NULL poisoned. */
struct pv_ir_expr *pv_sema_in_windows(struct pv_sema *sema, struct pv_ast_ref *windows, struct pv_span span);

/* ---- sema_subjects.c ---- */

void pv_sema_roles(struct pv_sema *sema);
struct pv_ir_expr *pv_sema_subject(struct pv_sema *sema, struct pv_ast_subject *subject); /* NULL poisoned */

/* ---- sema_sources.c ---- */

void pv_sema_sources(struct pv_sema *sema);
struct pv_ir_expr *pv_sema_from(struct pv_sema *sema, struct pv_ast_from *from); /* NULL poisoned */

/* ---- sema_attributes.c ---- */

void pv_sema_attributes(struct pv_sema *sema);
/* A slot for a parameter of a command (path `argument.x`), shared with other commands' of the same name and type;
 * 0 where the types differ (told). */
uint16_t pv_sema_parameter(struct pv_sema *sema, struct pv_text path, const struct pv_ast_type *type, unsigned flags,
                           struct pv_span span);
/* The slot of a path as written, or -1 (told). A declared attribute is then used. */
int pv_sema_slot(struct pv_sema *sema, const struct pv_ast_path *path);
/* Writes pv_ir.attrs. */
void pv_sema_emit_attributes(struct pv_sema *sema);

/* ---- sema_commands.c ---- */

void pv_sema_commands(struct pv_sema *sema);
/* "config", "feature", "source", "apikey". */
bool pv_sema_never_brokered(struct pv_text name);
/* How many of a reach's commands have a slot; reach->n in all. */
uint32_t pv_sema_reach_having(const struct pv_sema *sema, const struct pv_reach *reach, uint16_t slot);
/* Records that a rule over these commands reads slots without a `has`. */
void pv_sema_require_slots(struct pv_sema *sema, const struct pv_reach *reach, const struct pv_slots *slots);
/* Writes pv_ir_command.required. */
void pv_sema_emit_required(struct pv_sema *sema);
bool pv_sema_account_name(struct pv_text name);

/* ---- sema_expr.c ---- */

void pv_sema_conditions(struct pv_sema *sema);

/* What is established while the clauses of a rule, or a condition, are checked from left to right. */
struct pv_flow {
    const struct pv_reach *reach; /* NULL in a condition */
    bool closing;                 /* absence should count as true here (a deny's `when`): another advice */
    bool quiet;                   /* something is poisoned: absence is not told any more */
    const struct pv_slots *known;
    const struct pv_slots *reads; /* read while not known; collects */
};
/* A clause's or a condition's expression; NULL poisoned. *yes and *no: what its truth, its falsehood establishes. */
struct pv_ir_expr *pv_sema_expr(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                const struct pv_slots **yes, const struct pv_slots **no);
/* A literal as the value of a slot (in tests): true and *value, or told. */
bool pv_sema_value(struct pv_sema *sema, uint16_t slot, const struct pv_ast_literal *literal, struct pv_value *value);

/* ---- sema_slots.c ---- */

extern const struct pv_slots pv_no_slots;
bool pv_slots_hold(const struct pv_slots *slots, uint16_t slot);
const struct pv_slots *pv_slots_one(struct pv_sema *sema, uint16_t slot);
const struct pv_slots *pv_slots_union(struct pv_sema *sema, const struct pv_slots *a, const struct pv_slots *b);
const struct pv_slots *pv_slots_both(struct pv_sema *sema, const struct pv_slots *a, const struct pv_slots *b);

/* ---- sema_rules.c ---- */

void pv_sema_rules(struct pv_sema *sema);
void pv_sema_add_rule_id(struct pv_sema *sema, struct pv_text id, struct pv_span span);

/* ---- sema_scope.c ---- */

/* What a rule or an assertion is about, lowered. */
struct pv_scope_ir {
    struct pv_reach reach;
    struct pv_ir_clause *clauses; /* subject, commands, object, sources, then the clauses in source order */
    uint32_t n_clauses;
    struct pv_ir_str *because;
    uint32_t n_because;
    const struct pv_slots *reads; /* without a `has` */
};
enum pv_scope_use { PV_SCOPE_OF_ALLOW, PV_SCOPE_OF_DENY, PV_SCOPE_OF_REQUIRE, PV_SCOPE_OF_DIRECT, PV_SCOPE_OF_ASSERT };
/* false: something in it is poisoned (told). */
bool pv_sema_scope(struct pv_sema *sema, struct pv_ast_scope *scope, enum pv_scope_use use, struct pv_scope_ir *out);
/* Whether the scope reaches a command. */
bool pv_sema_reaches(const struct pv_reach *reach, const struct pv_command *command);

/* ---- sema_duties.c ---- */

bool pv_sema_duty(struct pv_sema *sema, struct pv_ast_duty *duty, struct pv_ir_duty *out); /* false: told */

/* ---- sema_builtin.c ---- */

/* An allow that names packages as literal strings: it lifts builtin:protected for these. */
struct pv_literal_allow {
    struct pv_ir_expr *matches;
    struct pv_literal_allow *next;
};
/* Puts the built-in rules in front of the others, and their ids among the others'. */
void pv_sema_reserve_builtins(struct pv_sema *sema);
/* Notes an allow, just lowered, that names packages literally. */
void pv_sema_note_literal(struct pv_sema *sema, const struct pv_ast_scope *scope, const struct pv_scope_ir *lowered);
/* Whether it does: a string, or a string in braces. */
bool pv_sema_names_literally(const struct pv_ast_scope *scope);
/* Fills the reserved rules, once all others are lowered. */
void pv_sema_builtins(struct pv_sema *sema);

/* ---- sema_tests.c ---- */

void pv_sema_tests(struct pv_sema *sema);

#endif
