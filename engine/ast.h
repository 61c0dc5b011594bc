/* The syntax tree of .policy files, as written: nothing is resolved, typed or rearranged here.
 *
 * Invariants that every later pass may rely on, for a file parsed without errors:
 * - All nodes live in the compilation's arena. All text is interned there (equal exactly when ptr is equal).
 * - Every node has a span that holds all of its source text, children included and nothing else (no `;`, except that a
 *   declaration's and a block property's span ends with theirs).
 * - Lists keep the order of the source: first, then `next`.
 * - `and` and `or` are flat: `a or b or c` is one OR node with three operands. An operand in parentheses is never
 *   merged; `parens` counts the pairs round a node (its span is that of the outermost pair), so `(a or b) or c` is OR
 *   of OR(parens = 1) and c. No tree is deeper than PV_AST_MAX_DEPTH, so recursion over it is bounded.
 * - Numbers are in range; dates and clocks exist.
 * - A file with errors still has a tree: statements without errors of their own. Names in it may be text "?" where one
 *   was missing. Nothing may be compiled from it.
 *
 * Fields named `sema`, `ir` and `stands` belong to the semantic analysis: NULL here. */
#ifndef PROVISO_ENGINE_AST_H
#define PROVISO_ENGINE_AST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/arena.h"
#include "engine/source.h"
#include "runtime/proviso.h"

#define PV_AST_MAX_NESTING 256 /* `(` and `not` round one expression, together */
#define PV_AST_MAX_DEPTH   800 /* nodes from a clause's root to a leaf: 3 per level of nesting, and a few */

/* A name where it is declared or used. text.ptr == NULL: not given. */
struct pv_ast_name {
    struct pv_text text;
    struct pv_span span;
};

/* A list of uses of names: windows after `during`, rule ids in tests. */
struct pv_ast_ref {
    struct pv_ast_name name;
    bool quoted; /* written as a string (rule ids only) */
    struct pv_ast_ref *next;
    void *sema;
};

/* A string literal: text is decoded, span holds the quotes. */
struct pv_ast_string {
    struct pv_text text;
    struct pv_span span;
};

/* A glob: text is its canonical form, in which `\\`, `\*` and `\?` stand for themselves, `**`, `*` and `?` are
 * wildcards and every other byte is literal (there is no other escape, and never a lone `\` at the end). Runs of more
 * than two stars are two. span holds the quotes, not the word `like`. Stored as struct pv_ast_string. */

/* ---- Sets, literals, paths ---- */

enum pv_ast_item_kind { PV_AST_ITEM_STRING, PV_AST_ITEM_PATTERN, PV_AST_ITEM_NAME };

struct pv_ast_item {
    enum pv_ast_item_kind kind;
    struct pv_text text; /* decoded string, canonical pattern, or a set's name */
    struct pv_span span; /* with `like` for a pattern */
    struct pv_ast_item *next;
    void *sema;
};

/* `{ ... }`: at least one item. */
struct pv_ast_set {
    struct pv_span span; /* with the braces */
    struct pv_ast_item *first, *last;
    uint32_t n;
};

/* An attribute's path or a bare word: `package.name`, `user`, `small`. */
struct pv_ast_path {
    struct pv_ast_name head;
    struct pv_ast_name tail; /* text.ptr == NULL for a bare word */
    struct pv_span span;
    struct pv_text text; /* "package.name" */
};

struct pv_ast_date {
    uint16_t year; /* 1 .. 9999; 0: every year (windows only; 29 February exists then) */
    uint8_t month, day;
};

enum pv_ast_literal_kind {
    PV_AST_LIT_STRING,
    PV_AST_LIT_BOOL,
    PV_AST_LIT_INT,
    PV_AST_LIT_SIZE,     /* an int too, written as 500MB: number is in bytes */
    PV_AST_LIT_DURATION, /* seconds */
    PV_AST_LIT_DATE,     /* days since 1970-01-01 */
    PV_AST_LIT_CLOCK,    /* seconds of the day, 0 .. 86399 */
    PV_AST_LIT_WEEKDAY,  /* 0 Monday .. 6 Sunday */
    PV_AST_LIT_SET,      /* in tests: given user.groups = { "a", "b" }; strings only, perhaps none */
};

struct pv_ast_literal {
    enum pv_ast_literal_kind kind;
    struct pv_span span;
    int64_t number;
    struct pv_text text;    /* STRING */
    struct pv_ast_set *set; /* SET */
};

/* ---- Expressions of `when`, `unless` and conditions ---- */

enum pv_ast_expr_kind {
    PV_AST_OR,       /* operands: first, next, ..., n >= 2 */
    PV_AST_AND,      /* the same */
    PV_AST_NOT,      /* operands: first, n == 1 */
    PV_AST_COMPARE,  /* cmp; operands: first and first->next, n == 2 */
    PV_AST_IN,       /* operands: left, right. Right is SET, NAME (a set, role or window) or PATH (a set attribute) */
    PV_AST_LIKE,     /* operands: left, right. Right is PATTERN */
    PV_AST_OVERLAPS, /* operands: left, right, each SET, NAME or PATH */
    PV_AST_HAS,      /* operand: PATH (or NAME, `has command`) */
    PV_AST_NAME,     /* path: one bare word: a condition, set, role or window; also `user`, `time` and `command` */
    PV_AST_PATH,     /* path with a tail: an attribute */
    PV_AST_LITERAL,  /* literal; never LIT_SET */
    PV_AST_SET,      /* set */
    PV_AST_PATTERN,  /* pattern: only as the right side of LIKE */
};

struct pv_ast_expr {
    enum pv_ast_expr_kind kind;
    enum pv_cmp cmp; /* COMPARE */
    uint16_t parens;
    uint32_t n; /* operands */
    struct pv_span span;
    struct pv_span op; /* the operator's word; of AND and OR the first one */
    struct pv_ast_expr *first, *last, *next;
    union {
        struct pv_ast_path *path;
        struct pv_ast_literal *literal;
        struct pv_ast_set *set;
        struct pv_text pattern;
    };
    void *sema;
    struct pv_ir_expr *ir;            /* what a checked truth value became; NULL for an operand */
    const struct pv_ast_decl *stands; /* NAME of a condition, checked: its declaration */
};

/* ---- Subjects and source expressions ---- */

enum pv_ast_subject_kind {
    PV_AST_SUBJECT_OR, /* operands: first, next, ..., n >= 2 */
    PV_AST_SUBJECT_AND,
    PV_AST_SUBJECT_NOT,   /* first */
    PV_AST_SUBJECT_USER,  /* user "name" */
    PV_AST_SUBJECT_GROUP, /* group "name" */
    PV_AST_SUBJECT_ROLE,  /* a role's name */
    PV_AST_SUBJECT_EVERYONE,
};

struct pv_ast_subject {
    enum pv_ast_subject_kind kind;
    uint16_t parens;
    uint32_t n;
    struct pv_span span;
    struct pv_ast_name name; /* USER and GROUP: the decoded string and its span; ROLE: the name */
    struct pv_ast_subject *first, *last, *next;
    void *sema;
};

enum pv_ast_from_kind {
    PV_AST_FROM_OR, /* operands: first, next, ..., n >= 2 */
    PV_AST_FROM_AND,
    PV_AST_FROM_NOT,  /* first */
    PV_AST_FROM_NAME, /* a source's, or a union's */
    PV_AST_FROM_SELF_SERVICE,
    PV_AST_FROM_ANY,
};

struct pv_ast_from {
    enum pv_ast_from_kind kind;
    uint16_t parens;
    uint32_t n;
    struct pv_span span;
    struct pv_ast_name name; /* NAME */
    struct pv_ast_from *first, *last, *next;
    void *sema;
};

/* ---- What a rule is about ---- */

enum pv_ast_object_kind {
    PV_AST_OBJECT_STRING,
    PV_AST_OBJECT_PATTERN,
    PV_AST_OBJECT_NAME, /* a set's name */
    PV_AST_OBJECT_SET,  /* { ... } */
    PV_AST_OBJECT_OWN,
};

struct pv_ast_object {
    enum pv_ast_object_kind kind;
    struct pv_span span; /* with `like` */
    struct pv_text text; /* STRING decoded, PATTERN canonical, NAME */
    struct pv_ast_set *set;
    void *sema;
};

struct pv_ast_command_ref {
    struct pv_ast_name name;
    struct pv_ast_command_ref *next;
    void *sema;
};

enum pv_ast_clause_kind {
    PV_AST_WHEN,    /* expr */
    PV_AST_UNLESS,  /* expr */
    PV_AST_DURING,  /* windows */
    PV_AST_UNTIL,   /* date */
    PV_AST_BECAUSE, /* string */
};

struct pv_ast_clause {
    enum pv_ast_clause_kind kind;
    struct pv_span span;
    struct pv_span keyword;
    struct pv_ast_expr *expr;
    struct pv_ast_ref *windows; /* names, any of which */
    struct pv_ast_date date;
    struct pv_span date_span;
    struct pv_ast_string string;
    struct pv_ast_clause *next;
    void *sema;
};

/* SUBJECT to COMMANDS [OBJECT] [except OBJECT] [with dependencies] [from SOURCES] {CLAUSE} */
struct pv_ast_scope {
    struct pv_span span;
    struct pv_ast_subject *subject;
    struct pv_span commands_span;        /* none where `direct` has no `to` */
    bool any_command;                    /* `any`; also `direct` without `to` */
    struct pv_ast_command_ref *commands; /* NULL with any_command */
    struct pv_span object_span;          /* object, except and with dependencies together; none where there is none */
    struct pv_ast_object *object;        /* NULL: every package */
    struct pv_ast_object *except;        /* NULL: none */
    struct pv_span with_dependencies;    /* none: not given */
    struct pv_span from_span;            /* with `from`; none where there is none */
    struct pv_ast_from *from;            /* NULL: silent */
    struct pv_ast_clause *first_clause, *last_clause;
    uint32_t n_clauses;
};

struct pv_ast_duty {
    enum pv_duty_kind kind;
    struct pv_span span;            /* with its word */
    struct pv_ast_subject *subject; /* APPROVAL, ALERT */
    int64_t seconds;                /* TIMEOUT */
    struct pv_ast_string string;    /* ACCOUNT, NOTICE */
    struct pv_ast_ref *windows;     /* WINDOW: names, any of which */
    struct pv_span value;           /* TIMEOUT: of the duration */
    struct pv_ast_duty *next;       /* in tests: requiring A, B */
    void *sema;
};

enum pv_ast_annotation_kind {
    PV_AST_NOTE_ID,
    PV_AST_NOTE_TITLE,
    PV_AST_NOTE_OWNER,
    PV_AST_NOTE_TICKET,
    PV_AST_NOTE_SEVERITY,
    PV_AST_N_NOTES
};

/* @id("..."): before rules only, each kind at most once. */
struct pv_ast_annotation {
    enum pv_ast_annotation_kind kind;
    struct pv_span span;
    struct pv_ast_name name;
    struct pv_ast_string value;
    struct pv_ast_annotation *next;
};

/* ---- Declarations ---- */

enum pv_ast_rule_kind { PV_AST_ALLOW, PV_AST_DENY, PV_AST_REQUIRE, PV_AST_DIRECT };

struct pv_ast_rule {
    enum pv_ast_rule_kind kind;
    struct pv_span keyword; /* whose line names the rule */
    struct pv_ast_annotation *annotations;
    struct pv_ast_annotation *note[PV_AST_N_NOTES]; /* the same by kind, NULL where not given */
    struct pv_ast_duty *duty;                       /* REQUIRE */
    struct pv_ast_scope scope;                      /* DIRECT has no object, from or clauses */
};

/* policy NAME ["title"] version N [zone ...]; */
struct pv_ast_policy {
    struct pv_ast_string title; /* text.ptr NULL: none */
    int64_t version;            /* >= 0 */
    struct pv_span version_span;
    struct pv_span zone_span;  /* with the word; none: not given */
    bool zone_host;            /* `zone host` */
    struct pv_ast_string zone; /* text.ptr NULL: none, or host */
};

struct pv_ast_import {
    struct pv_ast_string path;
    uint32_t file; /* index in struct pv_sources once loaded, else PV_NO_FILE */
};

enum pv_ast_source_prop {
    PV_AST_SOURCE_TYPE,     /* word */
    PV_AST_SOURCE_LOCATION, /* string */
    PV_AST_SOURCE_PRIORITY, /* number */
    PV_AST_SOURCE_SELF_SERVICE,
    PV_AST_SOURCE_ADMIN_ONLY,
    PV_AST_SOURCE_DISABLED,
    PV_AST_SOURCE_CREDENTIALS, /* string */
    PV_AST_SOURCE_KEY,         /* string */
    PV_AST_SOURCE_UNSIGNED,
    PV_AST_N_SOURCE_PROPS
};

struct pv_ast_prop {
    enum pv_ast_source_prop kind;
    struct pv_span span;       /* with `;` */
    struct pv_span value_span; /* none for a flag */
    struct pv_text text;       /* word or decoded string */
    int64_t number;
    struct pv_ast_prop *next;
};

struct pv_ast_source {
    struct pv_ast_prop *first, *last;
    struct pv_ast_prop *prop[PV_AST_N_SOURCE_PROPS]; /* by kind, NULL where not given */
};

/* sources NAME = a or b; */
struct pv_ast_union {
    struct pv_ast_from *from;
};

/* set NAME = { ... };  or  set NAME = file "names.txt"; */
struct pv_ast_set_decl {
    struct pv_ast_set *set;    /* NULL for a file */
    struct pv_ast_string file; /* text.ptr NULL for a set */
};

struct pv_ast_role {
    struct pv_ast_subject *subject;
};

struct pv_ast_condition {
    struct pv_ast_expr *expr;
};

struct pv_ast_type {
    enum pv_type type;
    enum pv_order order; /* VERSION: PV_ORDER_COMMAND where none is named */
    struct pv_span span;
};

/* attribute host.NAME: TYPE [optional]; the declaration's name is the part after the dot. */
struct pv_ast_attribute {
    struct pv_ast_path *path;
    struct pv_ast_type type;
    struct pv_span optional; /* none: not optional */
};

/* ---- Windows ---- */

struct pv_ast_days {
    struct pv_span span;
    uint8_t first, last; /* 0 Monday .. 6; equal for one day; last < first wraps */
    int8_t nth;          /* 0: each; 1 .. 5 of the month, -1 the last (first == last then) */
    struct pv_ast_days *next;
};

struct pv_ast_dates {
    struct pv_span span;
    struct pv_ast_date first, last; /* both yearly or both not; equal for one date */
    struct pv_ast_dates *next;
};

struct pv_ast_clocks {
    struct pv_span span;
    int32_t start, end; /* seconds of the day; end may be 86400 */
    struct pv_ast_clocks *next;
};

/* A window's name, or days, dates, clocks (at least one of these). */
struct pv_ast_alternative {
    struct pv_span span;
    struct pv_ast_name name; /* text.ptr NULL: not a name */
    struct pv_ast_days *days;
    struct pv_ast_dates *dates;
    struct pv_ast_clocks *clocks;
    struct pv_ast_alternative *next;
    void *sema;
};

struct pv_ast_window {
    struct pv_ast_alternative *alternatives;
    struct pv_span except_span;        /* with the word; none: not given */
    struct pv_ast_alternative *except; /* what is taken from every alternative; NULL: nothing */
    struct pv_span zone_span;          /* with the word; none: not given */
    bool zone_host;
    struct pv_ast_string zone; /* text.ptr NULL: the policy's, or host */
};

/* ---- Commands ---- */

enum pv_ast_command_prop {
    PV_AST_COMMAND_ARGUMENT, /* name, type, members */
    PV_AST_COMMAND_OPTION,   /* name, type (PV_T_NONE: a flag), members */
    PV_AST_COMMAND_RUN,      /* elements */
    PV_AST_COMMAND_PROVIDER, /* name */
    PV_AST_COMMAND_PACKAGES,
    PV_AST_COMMAND_SOURCES,
    PV_AST_COMMAND_ACCOUNT,     /* string, or requester */
    PV_AST_COMMAND_TIMEOUT,     /* seconds */
    PV_AST_COMMAND_ENVIRONMENT, /* string, value */
    PV_AST_N_COMMAND_PROPS
};

/* One element of `run`: a literal, or a path (argument.X, option.X, package.name, ...). */
struct pv_ast_element {
    struct pv_span span;
    struct pv_text text;      /* decoded literal; ptr NULL for a path */
    struct pv_ast_path *path; /* NULL for a literal */
    struct pv_ast_element *next;
    void *sema;
};

struct pv_ast_command_item {
    enum pv_ast_command_prop kind;
    struct pv_span span; /* with `;` */
    struct pv_span keyword;
    struct pv_ast_name name;         /* ARGUMENT, OPTION (without `--`; span with it), PROVIDER */
    struct pv_ast_type type;         /* ARGUMENT, OPTION */
    struct pv_span members_span;     /* ARGUMENT, OPTION: after `in`; none: any value */
    struct pv_ast_set *members;      /* inline */
    struct pv_ast_name members_name; /* or a set's name */
    struct pv_ast_element *elements; /* RUN */
    struct pv_ast_string string;     /* ACCOUNT, ENVIRONMENT's variable */
    struct pv_ast_string value;      /* ENVIRONMENT */
    bool requester;                  /* ACCOUNT */
    int64_t seconds;                 /* TIMEOUT */
    struct pv_span value_span;       /* TIMEOUT, requester */
    struct pv_ast_command_item *next;
    void *sema;
};

/* ARGUMENT, OPTION and ENVIRONMENT may come often, the others at most once (checked by the parser). */
struct pv_ast_command {
    struct pv_ast_command_item *first, *last;
    struct pv_ast_command_item *prop[PV_AST_N_COMMAND_PROPS]; /* the first of each kind, NULL where not given */
};

/* ---- Assertions and tests ---- */

enum pv_ast_quantifier { PV_AST_NEVER, PV_AST_ALWAYS, PV_AST_SOMETIMES };

/* never allow, always deny, always allow, sometimes allow, always require: no other combination. */
struct pv_ast_assertion {
    struct pv_ast_string text;
    enum pv_ast_quantifier quantifier;
    enum pv_ast_rule_kind effect; /* ALLOW, DENY or REQUIRE */
    struct pv_span keywords;      /* `never allow` */
    struct pv_ast_duty *duty;     /* REQUIRE */
    struct pv_ast_scope scope;
};

enum pv_ast_step_kind {
    PV_AST_STEP_USER,   /* string, groups */
    PV_AST_STEP_TIME,   /* string */
    PV_AST_STEP_GIVEN,  /* givens */
    PV_AST_STEP_EXPECT, /* expect */
};

/* PATH = LITERAL */
struct pv_ast_given {
    struct pv_span span;
    struct pv_ast_path *path;
    struct pv_ast_literal *literal;
    struct pv_ast_given *next;
    void *sema;
};

struct pv_ast_strings {
    struct pv_ast_string string;
    struct pv_ast_strings *next;
};

/* expect VERDICT COMMAND ["object", ...] [from SOURCE] [with ...] [by ...] [requiring ...] [because "text"]; */
struct pv_ast_expect {
    enum pv_ast_rule_kind verdict; /* ALLOW, DENY or DIRECT */
    struct pv_span verdict_span;
    struct pv_ast_name command;
    struct pv_ast_strings *objects; /* NULL: none; several are one request on several packages */
    struct pv_ast_name from;        /* text.ptr NULL: not given */
    struct pv_ast_given *with;      /* NULL: none */
    struct pv_ast_ref *by;          /* NULL: any; several: each must be among the rules that decided */
    struct pv_ast_duty *requiring;  /* NULL: any; several: each */
    struct pv_ast_strings *because; /* NULL: any; several: each */
};

struct pv_ast_step {
    enum pv_ast_step_kind kind;
    struct pv_span span; /* with `;` */
    struct pv_span keyword;
    struct pv_ast_string string;
    struct pv_ast_strings *groups;
    struct pv_ast_given *given;
    struct pv_ast_expect *expect;
    struct pv_ast_step *next;
    void *sema;
};

/* USER and TIME come at most once each (checked by the parser). */
struct pv_ast_test {
    struct pv_ast_string title;
    struct pv_ast_step *first, *last;
};

/* ---- Files ---- */

enum pv_ast_decl_kind {
    PV_AST_DECL_POLICY,
    PV_AST_DECL_IMPORT,
    PV_AST_DECL_ROLE,
    PV_AST_DECL_SOURCE,
    PV_AST_DECL_UNION, /* sources NAME = ...; */
    PV_AST_DECL_SET,
    PV_AST_DECL_WINDOW,
    PV_AST_DECL_CONDITION,
    PV_AST_DECL_ATTRIBUTE,
    PV_AST_DECL_COMMAND,
    PV_AST_DECL_RULE,
    PV_AST_DECL_ASSERTION,
    PV_AST_DECL_TEST,
    PV_AST_N_DECLS
};

struct pv_ast_decl {
    enum pv_ast_decl_kind kind;
    struct pv_span span;     /* from its first annotation or keyword to its `;` or `}` */
    struct pv_span keyword;  /* of assertions and tests too */
    struct pv_ast_name name; /* text.ptr NULL for imports, rules, assertions and tests */
    struct pv_ast_decl *next;
    union {
        struct pv_ast_policy *policy;
        struct pv_ast_import *import;
        struct pv_ast_role *role;
        struct pv_ast_source *source;
        struct pv_ast_union *sources;
        struct pv_ast_set_decl *set;
        struct pv_ast_window *window;
        struct pv_ast_condition *condition;
        struct pv_ast_attribute *attribute;
        struct pv_ast_command *command;
        struct pv_ast_rule *rule;
        struct pv_ast_assertion *assertion;
        struct pv_ast_test *test;
    };
    void *sema;
};

struct pv_file {
    uint32_t file; /* index in struct pv_sources */
    struct pv_ast_decl *first, *last;
    uint32_t n_decls;
    struct pv_ast_decl *policy;    /* its `policy` statement; NULL: a library (or a file of tests) */
    uint32_t n_of[PV_AST_N_DECLS]; /* declarations by kind */
};

/* The tree as s-expressions, one declaration a line, for tests and debugging. Spans are left out. */
void pv_ast_print(const struct pv_file *file, FILE *out);

/* Words for people: "role", "set", "allow", "when", "timeout", ... */
const char *pv_ast_decl_word(enum pv_ast_decl_kind kind);
const char *pv_ast_rule_word(enum pv_ast_rule_kind kind);
const char *pv_ast_clause_word(enum pv_ast_clause_kind kind);
const char *pv_ast_duty_word(enum pv_duty_kind kind);
const char *pv_ast_annotation_word(enum pv_ast_annotation_kind kind);
const char *pv_ast_weekday_word(unsigned day); /* "mon" .. "sun" */
const char *pv_ast_cmp_word(enum pv_cmp cmp);  /* "==" ... */

#endif
