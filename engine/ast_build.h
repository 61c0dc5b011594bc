/* Builds the syntax tree: what the actions of grammar/policy.y call, one function per kind of node.
 *
 * Every function allocates in the arena (whose guard is set: nothing here is NULL for want of memory), decodes and
 * checks literals, and reports what is wrong with a single node. A token that is `broken` has been reported and is
 * taken as it is. */
#ifndef PROVISO_ENGINE_AST_BUILD_H
#define PROVISO_ENGINE_AST_BUILD_H

#include <stddef.h>

#include "engine/ast.h"
#include "engine/diag.h"
#include "grammar/token.h"

/* A list of nodes under construction. The nodes' `next` must be NULL. */
struct pv_list {
    void *first, *last;
    uint32_t n;
};

struct pv_zone {
    struct pv_span span; /* with the word; none: not given */
    bool host;
    struct pv_ast_string name;
};

/* The state of one parse. */
struct pv_builder {
    struct pv_arena *arena;
    struct pv_diags *diags;
    const char *text; /* of the file */
    struct pv_file *file;
    struct pv_ast_scope scope;     /* under construction: scopes do not nest */
    struct pv_span exception_span; /* of the window under construction */
    bool gave_up;                  /* BAD was fed on purpose */
    bool strings_told;             /* strings side by side were reported: braces need not be */
};

struct pv_list pv_list_empty(void);
struct pv_list pv_list_of(void *node);
struct pv_list pv_list_append(struct pv_list list, void *node, size_t next_offset);
#define PV_APPEND(list, node) pv_list_append((list), (node), offsetof(__typeof__(*(node)), next))

/* The bytes of a token's text. */
const char *pv_token_text(const struct pv_builder *b, struct pv_token token, size_t *len);

/* ---- Parser states that are not in the language ---- */
void pv_build_overflow(struct pv_builder *b);
void pv_build_syntax_error(struct pv_builder *b, struct pv_token token);
void pv_build_becomes(struct pv_builder *b, struct pv_token eq);

/* ---- Names, strings, literals ---- */
struct pv_ast_name pv_build_name(struct pv_builder *b, struct pv_token token);
struct pv_ast_string pv_build_no_string(void);
struct pv_ast_string pv_build_string(struct pv_builder *b, struct pv_token token);
struct pv_ast_ref *pv_build_ref(struct pv_builder *b, struct pv_token token);
struct pv_ast_strings *pv_build_strings(struct pv_builder *b, struct pv_token token);
struct pv_ast_path *pv_build_path(struct pv_builder *b, struct pv_token head, struct pv_token tail);
struct pv_ast_literal *pv_build_literal(struct pv_builder *b, enum pv_ast_literal_kind kind, struct pv_token token);
struct pv_ast_literal *pv_build_value_set(struct pv_builder *b, struct pv_token open, struct pv_list items,
                                          struct pv_token close);

/* ---- Sets ---- */
struct pv_ast_item *pv_build_item(struct pv_builder *b, enum pv_ast_item_kind kind, struct pv_token start,
                                  struct pv_token text);
struct pv_ast_set *pv_build_set(struct pv_builder *b, struct pv_token open, struct pv_list items,
                                struct pv_token close);
struct pv_ast_set *pv_build_empty_set(struct pv_builder *b, struct pv_token open, struct pv_token close);

/* ---- Subjects, sources ---- */
struct pv_ast_subject *pv_build_subject(struct pv_builder *b, enum pv_ast_subject_kind kind, struct pv_token start,
                                        struct pv_token name);
struct pv_ast_subject *pv_build_subject_join(struct pv_builder *b, enum pv_ast_subject_kind kind,
                                             struct pv_ast_subject *left, struct pv_ast_subject *right);
struct pv_ast_subject *pv_build_subject_not(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *right);
struct pv_ast_subject *pv_build_subject_parens(struct pv_builder *b, struct pv_token open,
                                               struct pv_ast_subject *inside, struct pv_token close);
struct pv_ast_from *pv_build_from(struct pv_builder *b, enum pv_ast_from_kind kind, struct pv_token token);
struct pv_ast_from *pv_build_from_join(struct pv_builder *b, enum pv_ast_from_kind kind, struct pv_ast_from *left,
                                       struct pv_ast_from *right);
struct pv_ast_from *pv_build_from_not(struct pv_builder *b, struct pv_token word, struct pv_ast_from *right);
struct pv_ast_from *pv_build_from_parens(struct pv_builder *b, struct pv_token open, struct pv_ast_from *inside,
                                         struct pv_token close);

/* ---- Expressions ---- */
struct pv_ast_expr *pv_build_expr_join(struct pv_builder *b, enum pv_ast_expr_kind kind, struct pv_ast_expr *left,
                                       struct pv_token word, struct pv_ast_expr *right);
struct pv_ast_expr *pv_build_expr_not(struct pv_builder *b, struct pv_token word, struct pv_ast_expr *right);
struct pv_ast_expr *pv_build_expr_has(struct pv_builder *b, struct pv_token word, struct pv_ast_path *path);
struct pv_ast_expr *pv_build_expr_compare(struct pv_builder *b, enum pv_cmp cmp, struct pv_ast_expr *left,
                                          struct pv_token word, struct pv_ast_expr *right);
struct pv_ast_expr *pv_build_expr_assign(struct pv_builder *b, struct pv_ast_expr *left, struct pv_token word,
                                         struct pv_ast_expr *right);
struct pv_ast_expr *pv_build_expr_binary(struct pv_builder *b, enum pv_ast_expr_kind kind, struct pv_ast_expr *left,
                                         struct pv_token word, struct pv_ast_expr *right);
struct pv_ast_expr *pv_build_expr_like(struct pv_builder *b, struct pv_ast_expr *left, struct pv_token word,
                                       struct pv_token pattern);
struct pv_ast_expr *pv_build_expr_literal(struct pv_builder *b, struct pv_ast_literal *literal);
struct pv_ast_expr *pv_build_expr_path(struct pv_builder *b, struct pv_ast_path *path);
struct pv_ast_expr *pv_build_expr_set(struct pv_builder *b, struct pv_ast_set *set);
struct pv_ast_expr *pv_build_expr_parens(struct pv_builder *b, struct pv_token open, struct pv_ast_expr *inside,
                                         struct pv_token close);

/* ---- Rules: the parts of the scope under construction, then the rule ---- */
struct pv_ast_command_ref *pv_build_command_ref(struct pv_builder *b, struct pv_token name);
void pv_build_any_command(struct pv_builder *b, struct pv_token any);
void pv_build_commands(struct pv_builder *b, struct pv_list names);
void pv_build_target(struct pv_builder *b, struct pv_ast_object *object, struct pv_span except_word,
                     struct pv_ast_object *except);
void pv_build_with(struct pv_builder *b, struct pv_ast_object *object, struct pv_span except_word,
                   struct pv_ast_object *except, struct pv_token with, struct pv_token dependencies);
void pv_build_origin(struct pv_builder *b, struct pv_span word, struct pv_ast_from *from);
void pv_build_scope(struct pv_builder *b, struct pv_ast_subject *subject, struct pv_list clauses);
struct pv_ast_object *pv_build_object(struct pv_builder *b, enum pv_ast_object_kind kind, struct pv_token start,
                                      struct pv_token text);
struct pv_ast_object *pv_build_object_set(struct pv_builder *b, struct pv_ast_set *set);
struct pv_ast_object *pv_build_objects_comma(struct pv_builder *b, struct pv_ast_object *list,
                                             struct pv_ast_object *one);
struct pv_ast_object *pv_build_objects_end(struct pv_builder *b, struct pv_ast_object *list);
struct pv_ast_clause *pv_build_clause_expr(struct pv_builder *b, enum pv_ast_clause_kind kind, struct pv_token word,
                                           struct pv_ast_expr *expr);
struct pv_ast_clause *pv_build_clause_during(struct pv_builder *b, struct pv_token word, struct pv_list windows);
struct pv_ast_clause *pv_build_clause_until(struct pv_builder *b, struct pv_token word, struct pv_token date);
struct pv_ast_clause *pv_build_clause_because(struct pv_builder *b, struct pv_token word, struct pv_token text);
struct pv_ast_duty *pv_build_duty(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word);
struct pv_ast_duty *pv_build_duty_subject(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word,
                                          struct pv_ast_subject *subject);
struct pv_ast_duty *pv_build_duty_string(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word,
                                         struct pv_token text);
struct pv_ast_duty *pv_build_duty_timeout(struct pv_builder *b, struct pv_token word, struct pv_token duration);
struct pv_ast_duty *pv_build_duty_window(struct pv_builder *b, struct pv_token word, struct pv_list windows);
struct pv_ast_decl *pv_build_rule(struct pv_builder *b, enum pv_ast_rule_kind kind, struct pv_token word,
                                  struct pv_ast_duty *duty, struct pv_token end);
struct pv_ast_decl *pv_build_direct(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *subject,
                                    struct pv_token end);
struct pv_ast_decl *pv_build_direct_to(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *subject,
                                       struct pv_token end);

/* ---- Other declarations ---- */
struct pv_list pv_build_annotation(struct pv_builder *b, struct pv_list list, struct pv_token at, struct pv_token name,
                                   struct pv_token value, struct pv_token end);
/* Ends a statement: the file takes it, with its annotations. */
void pv_build_add(struct pv_builder *b, struct pv_ast_decl *decl, struct pv_list annotations);

struct pv_zone pv_build_no_zone(void);
struct pv_zone pv_build_zone(struct pv_builder *b, struct pv_token word, struct pv_token name);
struct pv_zone pv_build_zone_word(struct pv_builder *b, struct pv_token word, struct pv_token host);
struct pv_ast_decl *pv_build_policy(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_ast_string title, struct pv_token version, struct pv_zone zone,
                                    struct pv_token end);
struct pv_ast_decl *pv_build_import(struct pv_builder *b, struct pv_token word, struct pv_token path,
                                    struct pv_token end);
struct pv_ast_decl *pv_build_role(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                  struct pv_ast_subject *subject, struct pv_token end);
struct pv_ast_decl *pv_build_source(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_list props, struct pv_token end);
struct pv_list pv_build_source_prop(struct pv_builder *b, struct pv_list list, struct pv_ast_prop *prop);
struct pv_ast_prop *pv_build_prop(struct pv_builder *b, enum pv_ast_source_prop kind, struct pv_token word,
                                  struct pv_token value, struct pv_token end);
struct pv_ast_prop *pv_build_flag(struct pv_builder *b, enum pv_ast_source_prop kind, struct pv_token word,
                                  struct pv_token end);
struct pv_ast_decl *pv_build_union(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                   struct pv_ast_from *from, struct pv_token end);
struct pv_ast_decl *pv_build_set_decl(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                      struct pv_ast_set *set, struct pv_token end);
struct pv_ast_decl *pv_build_set_file(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                      struct pv_token file, struct pv_token end);
struct pv_ast_decl *pv_build_condition(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                       struct pv_ast_expr *expr, struct pv_token end);
struct pv_ast_decl *pv_build_attribute(struct pv_builder *b, struct pv_token word, struct pv_ast_path *path,
                                       struct pv_ast_type type, struct pv_span optional, struct pv_token end);
/* A type's name, with an order in parentheses where `order` is another token than `word`. */
struct pv_ast_type pv_build_type(struct pv_builder *b, struct pv_token word, struct pv_token order,
                                 struct pv_token end);
struct pv_ast_type pv_build_set_type(struct pv_builder *b, struct pv_token word, struct pv_token of);

/* ---- Windows ---- */
struct pv_ast_decl *pv_build_window(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_list alternatives, struct pv_list exception, struct pv_zone zone,
                                    struct pv_token end);
struct pv_list pv_build_exception(struct pv_builder *b, struct pv_token word, struct pv_list alternatives);
struct pv_ast_alternative *pv_build_alternative_name(struct pv_builder *b, struct pv_token name);
struct pv_ast_alternative *pv_build_alternative(struct pv_builder *b, struct pv_list days, struct pv_list dates,
                                                struct pv_list clocks);
struct pv_ast_days *pv_build_day(struct pv_builder *b, struct pv_token first, struct pv_token last);
struct pv_ast_days *pv_build_nth_day(struct pv_builder *b, struct pv_token ordinal, struct pv_token day);
struct pv_ast_dates *pv_build_dates(struct pv_builder *b, struct pv_token first, struct pv_token last);
struct pv_ast_clocks *pv_build_clocks(struct pv_builder *b, struct pv_token start, struct pv_token end);

/* ---- Commands ---- */
struct pv_ast_decl *pv_build_command(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                     struct pv_list items, struct pv_token end);
struct pv_list pv_build_command_item(struct pv_builder *b, struct pv_list list, struct pv_ast_command_item *item);
struct pv_ast_command_item *pv_build_command_flag(struct pv_builder *b, enum pv_ast_command_prop kind,
                                                  struct pv_token word, struct pv_token end);
struct pv_ast_command_item *pv_build_option_flag(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                                 struct pv_token end);
struct pv_ast_command_item *pv_build_parameter(struct pv_builder *b, enum pv_ast_command_prop kind,
                                               struct pv_token word, struct pv_token name,
                                               struct pv_ast_command_item *item, struct pv_token end);
struct pv_ast_command_item *pv_build_parameter_type(struct pv_builder *b, struct pv_ast_type type);
struct pv_ast_command_item *pv_build_parameter_set(struct pv_builder *b, struct pv_ast_type type,
                                                   struct pv_ast_set *set);
struct pv_ast_command_item *pv_build_parameter_name(struct pv_builder *b, struct pv_ast_type type,
                                                    struct pv_token name);
struct pv_ast_command_item *pv_build_run(struct pv_builder *b, struct pv_token word, struct pv_list elements,
                                         struct pv_token end);
struct pv_ast_command_item *pv_build_provider(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                              struct pv_token end);
struct pv_ast_command_item *pv_build_account(struct pv_builder *b, struct pv_token word, struct pv_token value,
                                             struct pv_token end);
struct pv_ast_command_item *pv_build_timeout(struct pv_builder *b, struct pv_token word, struct pv_token duration,
                                             struct pv_token end);
struct pv_ast_command_item *pv_build_environment(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                                 struct pv_token value, struct pv_token end);
struct pv_ast_element *pv_build_element_string(struct pv_builder *b, struct pv_token token);
struct pv_ast_element *pv_build_element_path(struct pv_builder *b, struct pv_ast_path *path);

/* ---- Assertions and tests ---- */
struct pv_ast_assertion *pv_build_assertion(struct pv_builder *b, struct pv_token quantifier,
                                            enum pv_ast_rule_kind effect, struct pv_token word,
                                            struct pv_ast_duty *duty);
struct pv_ast_decl *pv_build_assert(struct pv_builder *b, struct pv_token word, struct pv_token text,
                                    struct pv_ast_assertion *assertion, struct pv_token end);
struct pv_ast_decl *pv_build_test(struct pv_builder *b, struct pv_token word, struct pv_token title,
                                  struct pv_list steps, struct pv_token end);
struct pv_list pv_build_step(struct pv_builder *b, struct pv_list list, struct pv_ast_step *step);
struct pv_ast_step *pv_build_step_user(struct pv_builder *b, struct pv_token word, struct pv_token user,
                                       struct pv_list groups, struct pv_token end);
struct pv_ast_step *pv_build_step_time(struct pv_builder *b, struct pv_token word, struct pv_token time,
                                       struct pv_token end);
struct pv_ast_step *pv_build_step_given(struct pv_builder *b, struct pv_token word, struct pv_list givens,
                                        struct pv_token end);
struct pv_ast_step *pv_build_step_expect(struct pv_builder *b, struct pv_token word, struct pv_ast_expect *expect,
                                         struct pv_token end);
struct pv_ast_given *pv_build_given(struct pv_builder *b, struct pv_ast_path *path, struct pv_ast_literal *value);
struct pv_ast_expect *pv_build_expect(struct pv_builder *b, struct pv_token verdict, struct pv_token command,
                                      struct pv_list objects);
struct pv_ast_expect *pv_build_expect_from(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                           struct pv_token source);
struct pv_ast_expect *pv_build_expect_with(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                           struct pv_list givens);
struct pv_ast_expect *pv_build_expect_by(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                         struct pv_list ids);
struct pv_ast_expect *pv_build_expect_requiring(struct pv_builder *b, struct pv_ast_expect *expect,
                                                struct pv_token word, struct pv_list duties);
struct pv_ast_expect *pv_build_expect_because(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                              struct pv_list texts);

#endif
