/* The builder: one function per action of the grammar. See ast_build.h. */
#include "engine/ast_build.h"

#include <string.h>

#include "engine/ast_literal.h"
#include "grammar/policy.h"

static const struct pv_span no_span = {PV_NO_FILE, 0, 0};

/* ---- Lists ---- */

struct pv_list pv_list_empty(void)
{
    return (struct pv_list){NULL, NULL, 0};
}

struct pv_list pv_list_of(void *node)
{
    return (struct pv_list){node, node, 1};
}

struct pv_list pv_list_append(struct pv_list list, void *node, size_t next_offset)
{
    if (!list.first)
        return pv_list_of(node);
    memcpy((char *)list.last + next_offset, &node, sizeof node);
    list.last = node;
    list.n++;
    return list;
}

const char *pv_token_text(const struct pv_builder *b, struct pv_token token, size_t *len)
{
    *len = token.span.end - token.span.start;
    return b->text + token.span.start;
}

static struct pv_span spans(struct pv_token first, struct pv_token last)
{
    return pv_span_join(first.span, last.span);
}

static bool token_is(const struct pv_builder *b, struct pv_token token, const char *word)
{
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* ---- Parser states that are not in the language ---- */

void pv_build_overflow(struct pv_builder *b)
{
    struct pv_span span = {b->file->file, 0, 0};
    pv_report(b->diags, PV_DIAG_TOO_DEEP, span, "a statement of this file is nested too deeply to be read");
}

void pv_build_syntax_error(struct pv_builder *b, struct pv_token token)
{
    if (!b->gave_up)
        pv_report(b->diags, PV_DIAG_SYNTAX, token.span, "this has no place here");
}

void pv_build_becomes(struct pv_builder *b, struct pv_token eq)
{
    struct pv_diag *diag =
        pv_report(b->diags, PV_DIAG_FOREIGN_OPERATOR, eq.span, "`==` compares; a declaration takes `=`");
    pv_diag_fix(b->diags, diag, eq.span, "=");
}

/* ---- Names and strings ---- */

static struct pv_text text_of(struct pv_builder *b, struct pv_token token)
{
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    if (len > PV_MAX_NAME) {
        pv_report(b->diags, PV_DIAG_TOO_LONG, token.span, "a name has at most %u characters", PV_MAX_NAME);
        len = PV_MAX_NAME;
    }
    return pv_intern(b->arena, text, len);
}

struct pv_ast_name pv_build_name(struct pv_builder *b, struct pv_token token)
{
    return (struct pv_ast_name){text_of(b, token), token.span};
}

struct pv_ast_string pv_build_no_string(void)
{
    return (struct pv_ast_string){{NULL, 0}, no_span};
}

struct pv_ast_string pv_build_string(struct pv_builder *b, struct pv_token token)
{
    return (struct pv_ast_string){pv_literal_string(b, token), token.span};
}

static struct pv_ast_name string_as_name(struct pv_builder *b, struct pv_token token)
{
    return (struct pv_ast_name){pv_literal_string(b, token), token.span};
}

struct pv_ast_ref *pv_build_ref(struct pv_builder *b, struct pv_token token)
{
    struct pv_ast_ref *ref = PV_NEW(b->arena, struct pv_ast_ref);
    ref->quoted = token.kind == PV_TOK_STRING;
    ref->name = ref->quoted ? string_as_name(b, token) : pv_build_name(b, token);
    return ref;
}

struct pv_ast_strings *pv_build_strings(struct pv_builder *b, struct pv_token token)
{
    struct pv_ast_strings *node = PV_NEW(b->arena, struct pv_ast_strings);
    node->string = pv_build_string(b, token);
    return node;
}

/* A bare word where head and tail are one token. */
struct pv_ast_path *pv_build_path(struct pv_builder *b, struct pv_token head, struct pv_token tail)
{
    struct pv_ast_path *path = PV_NEW(b->arena, struct pv_ast_path);
    path->head = pv_build_name(b, head);
    path->span = spans(head, tail);
    path->tail.span = no_span;
    path->text = path->head.text;
    if (head.span.start == tail.span.start)
        return path;
    path->tail = pv_build_name(b, tail);
    char text[2 * PV_MAX_NAME + 1];
    size_t n = path->head.text.len;
    memcpy(text, path->head.text.ptr, n);
    text[n++] = '.';
    memcpy(text + n, path->tail.text.ptr, path->tail.text.len);
    path->text = pv_intern(b->arena, text, n + path->tail.text.len);
    return path;
}

static int64_t date_number(struct pv_ast_date date)
{
    return pv_days_from_civil(date.year, date.month, date.day);
}

struct pv_ast_literal *pv_build_literal(struct pv_builder *b, enum pv_ast_literal_kind kind, struct pv_token token)
{
    struct pv_ast_literal *literal = PV_NEW(b->arena, struct pv_ast_literal);
    literal->kind = kind;
    literal->span = token.span;
    switch (kind) {
    case PV_AST_LIT_STRING: literal->text = pv_literal_string(b, token); break;
    case PV_AST_LIT_BOOL: literal->number = token.kind == PV_TOK_TRUE; break;
    case PV_AST_LIT_INT:
    case PV_AST_LIT_SIZE:
    case PV_AST_LIT_DURATION: literal->number = pv_literal_number(b, token); break;
    case PV_AST_LIT_DATE: literal->number = date_number(pv_literal_date(b, token)); break;
    case PV_AST_LIT_CLOCK: literal->number = pv_literal_clock(b, token, false); break;
    case PV_AST_LIT_WEEKDAY: literal->number = pv_literal_weekday(token); break;
    case PV_AST_LIT_SET: break;
    }
    return literal;
}

/* ---- Sets ---- */

struct pv_ast_item *pv_build_item(struct pv_builder *b, enum pv_ast_item_kind kind, struct pv_token start,
                                  struct pv_token text)
{
    struct pv_ast_item *item = PV_NEW(b->arena, struct pv_ast_item);
    item->kind = kind;
    item->span = spans(start, text);
    item->text = kind == PV_AST_ITEM_NAME     ? text_of(b, text)
                 : kind == PV_AST_ITEM_STRING ? pv_literal_string(b, text)
                                              : pv_literal_pattern(b, text);
    return item;
}

struct pv_ast_set *pv_build_set(struct pv_builder *b, struct pv_token open, struct pv_list items, struct pv_token close)
{
    struct pv_ast_set *set = PV_NEW(b->arena, struct pv_ast_set);
    set->span = spans(open, close);
    set->first = items.first;
    set->last = items.last;
    set->n = items.n;
    return set;
}

struct pv_ast_set *pv_build_empty_set(struct pv_builder *b, struct pv_token open, struct pv_token close)
{
    pv_report(b->diags, PV_DIAG_EMPTY_SET, spans(open, close), "a set has at least one member");
    struct pv_ast_item *item = PV_NEW(b->arena, struct pv_ast_item);
    item->kind = PV_AST_ITEM_STRING;
    item->text = pv_intern_z(b->arena, "?");
    item->span = spans(open, close);
    return pv_build_set(b, open, pv_list_of(item), close);
}

/* Values of set attributes are strings, and may be none. */
struct pv_ast_literal *pv_build_value_set(struct pv_builder *b, struct pv_token open, struct pv_list items,
                                          struct pv_token close)
{
    struct pv_ast_literal *literal = PV_NEW(b->arena, struct pv_ast_literal);
    literal->kind = PV_AST_LIT_SET;
    literal->span = spans(open, close);
    literal->set = pv_build_set(b, open, items, close);
    for (const struct pv_ast_item *item = items.first; item; item = item->next) {
        if (item->kind != PV_AST_ITEM_STRING)
            pv_report(b->diags, PV_DIAG_BAD_FORM, item->span, "a value holds strings, neither patterns nor names");
    }
    return literal;
}

/* ---- Subjects, sources, expressions: three trees of one shape ---- */

#define MAX_PARENS UINT16_MAX

/* `left OP right`: right joins left's operands where left is such a chain without parentheses. */
#define JOIN(b, type, chain, left, right)                                                                              \
    do {                                                                                                               \
        if ((left)->kind == (chain) && !(left)->parens) {                                                              \
            (left)->last->next = (right);                                                                              \
        } else {                                                                                                       \
            type *joined_ = PV_NEW((b)->arena, type);                                                                  \
            joined_->kind = (chain);                                                                                   \
            joined_->span = (left)->span;                                                                              \
            joined_->first = (left);                                                                                   \
            joined_->n = 1;                                                                                            \
            (left)->next = (right);                                                                                    \
            (left) = joined_;                                                                                          \
        }                                                                                                              \
        (left)->last = (right);                                                                                        \
        (left)->n++;                                                                                                   \
        (left)->span = pv_span_join((left)->span, (right)->span);                                                      \
    } while (0)

struct pv_ast_subject *pv_build_subject(struct pv_builder *b, enum pv_ast_subject_kind kind, struct pv_token start,
                                        struct pv_token name)
{
    struct pv_ast_subject *subject = PV_NEW(b->arena, struct pv_ast_subject);
    subject->kind = kind;
    subject->span = spans(start, name);
    if (kind == PV_AST_SUBJECT_ROLE)
        subject->name = pv_build_name(b, name);
    else if (kind != PV_AST_SUBJECT_EVERYONE)
        subject->name = string_as_name(b, name);
    return subject;
}

struct pv_ast_subject *pv_build_subject_join(struct pv_builder *b, enum pv_ast_subject_kind kind,
                                             struct pv_ast_subject *left, struct pv_ast_subject *right)
{
    JOIN(b, struct pv_ast_subject, kind, left, right);
    return left;
}

struct pv_ast_subject *pv_build_subject_not(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *right)
{
    struct pv_ast_subject *subject = PV_NEW(b->arena, struct pv_ast_subject);
    subject->kind = PV_AST_SUBJECT_NOT;
    subject->span = pv_span_join(word.span, right->span);
    subject->first = subject->last = right;
    subject->n = 1;
    return subject;
}

struct pv_ast_subject *pv_build_subject_parens(struct pv_builder *b, struct pv_token open,
                                               struct pv_ast_subject *inside, struct pv_token close)
{
    (void)b;
    inside->parens = (uint16_t)(inside->parens + (inside->parens < MAX_PARENS));
    inside->span = spans(open, close);
    return inside;
}

struct pv_ast_from *pv_build_from(struct pv_builder *b, enum pv_ast_from_kind kind, struct pv_token token)
{
    struct pv_ast_from *from = PV_NEW(b->arena, struct pv_ast_from);
    from->kind = kind;
    from->span = token.span;
    if (kind == PV_AST_FROM_NAME)
        from->name = pv_build_name(b, token);
    return from;
}

struct pv_ast_from *pv_build_from_join(struct pv_builder *b, enum pv_ast_from_kind kind, struct pv_ast_from *left,
                                       struct pv_ast_from *right)
{
    JOIN(b, struct pv_ast_from, kind, left, right);
    return left;
}

struct pv_ast_from *pv_build_from_not(struct pv_builder *b, struct pv_token word, struct pv_ast_from *right)
{
    struct pv_ast_from *from = PV_NEW(b->arena, struct pv_ast_from);
    from->kind = PV_AST_FROM_NOT;
    from->span = pv_span_join(word.span, right->span);
    from->first = from->last = right;
    from->n = 1;
    return from;
}

struct pv_ast_from *pv_build_from_parens(struct pv_builder *b, struct pv_token open, struct pv_ast_from *inside,
                                         struct pv_token close)
{
    (void)b;
    inside->parens = (uint16_t)(inside->parens + (inside->parens < MAX_PARENS));
    inside->span = spans(open, close);
    return inside;
}

static struct pv_ast_expr *new_expr(struct pv_builder *b, enum pv_ast_expr_kind kind, struct pv_span span)
{
    struct pv_ast_expr *expr = PV_NEW(b->arena, struct pv_ast_expr);
    expr->kind = kind;
    expr->span = span;
    expr->op = no_span;
    return expr;
}

static void add_operand(struct pv_ast_expr *expr, struct pv_ast_expr *operand)
{
    if (expr->last)
        expr->last->next = operand;
    else
        expr->first = operand;
    expr->last = operand;
    expr->n++;
    expr->span = pv_span_join(expr->span, operand->span);
}

struct pv_ast_expr *pv_build_expr_join(struct pv_builder *b, enum pv_ast_expr_kind kind, struct pv_ast_expr *left,
                                       struct pv_token word, struct pv_ast_expr *right)
{
    bool longer = left->kind == kind && !left->parens;
    JOIN(b, struct pv_ast_expr, kind, left, right);
    if (!longer)
        left->op = word.span;
    return left;
}

struct pv_ast_expr *pv_build_expr_not(struct pv_builder *b, struct pv_token word, struct pv_ast_expr *right)
{
    struct pv_ast_expr *expr = new_expr(b, PV_AST_NOT, word.span);
    expr->op = word.span;
    add_operand(expr, right);
    return expr;
}

struct pv_ast_expr *pv_build_expr_has(struct pv_builder *b, struct pv_token word, struct pv_ast_path *path)
{
    struct pv_ast_expr *expr = new_expr(b, PV_AST_HAS, word.span);
    expr->op = word.span;
    add_operand(expr, pv_build_expr_path(b, path));
    return expr;
}

struct pv_ast_expr *pv_build_expr_binary(struct pv_builder *b, enum pv_ast_expr_kind kind, struct pv_ast_expr *left,
                                         struct pv_token word, struct pv_ast_expr *right)
{
    struct pv_ast_expr *expr = new_expr(b, kind, word.span);
    expr->op = word.span;
    add_operand(expr, left);
    add_operand(expr, right);
    return expr;
}

struct pv_ast_expr *pv_build_expr_compare(struct pv_builder *b, enum pv_cmp cmp, struct pv_ast_expr *left,
                                          struct pv_token word, struct pv_ast_expr *right)
{
    struct pv_ast_expr *expr = pv_build_expr_binary(b, PV_AST_COMPARE, left, word, right);
    expr->cmp = cmp;
    return expr;
}

struct pv_ast_expr *pv_build_expr_assign(struct pv_builder *b, struct pv_ast_expr *left, struct pv_token word,
                                         struct pv_ast_expr *right)
{
    struct pv_diag *diag = pv_report(b->diags, PV_DIAG_FOREIGN_OPERATOR, word.span, "a comparison is written `==`");
    pv_diag_fix(b->diags, diag, word.span, "==");
    return pv_build_expr_compare(b, PV_EQ, left, word, right);
}

struct pv_ast_expr *pv_build_expr_like(struct pv_builder *b, struct pv_ast_expr *left, struct pv_token word,
                                       struct pv_token pattern)
{
    struct pv_ast_expr *right = new_expr(b, PV_AST_PATTERN, pattern.span);
    right->pattern = pv_literal_pattern(b, pattern);
    return pv_build_expr_binary(b, PV_AST_LIKE, left, word, right);
}

struct pv_ast_expr *pv_build_expr_literal(struct pv_builder *b, struct pv_ast_literal *literal)
{
    struct pv_ast_expr *expr = new_expr(b, PV_AST_LITERAL, literal->span);
    expr->literal = literal;
    return expr;
}

struct pv_ast_expr *pv_build_expr_path(struct pv_builder *b, struct pv_ast_path *path)
{
    struct pv_ast_expr *expr = new_expr(b, path->tail.text.ptr ? PV_AST_PATH : PV_AST_NAME, path->span);
    expr->path = path;
    return expr;
}

struct pv_ast_expr *pv_build_expr_set(struct pv_builder *b, struct pv_ast_set *set)
{
    struct pv_ast_expr *expr = new_expr(b, PV_AST_SET, set->span);
    expr->set = set;
    return expr;
}

struct pv_ast_expr *pv_build_expr_parens(struct pv_builder *b, struct pv_token open, struct pv_ast_expr *inside,
                                         struct pv_token close)
{
    (void)b;
    inside->parens = (uint16_t)(inside->parens + (inside->parens < MAX_PARENS));
    inside->span = spans(open, close);
    return inside;
}

/* ---- Scopes ---- */

struct pv_ast_command_ref *pv_build_command_ref(struct pv_builder *b, struct pv_token name)
{
    struct pv_ast_command_ref *ref = PV_NEW(b->arena, struct pv_ast_command_ref);
    ref->name = pv_build_name(b, name);
    return ref;
}

void pv_build_any_command(struct pv_builder *b, struct pv_token any)
{
    b->scope.any_command = true;
    b->scope.commands = NULL;
    b->scope.commands_span = any.span;
}

void pv_build_commands(struct pv_builder *b, struct pv_list names)
{
    const struct pv_ast_command_ref *last = names.last;
    b->scope.any_command = false;
    b->scope.commands = names.first;
    b->scope.commands_span = pv_span_join(b->scope.commands->name.span, last->name.span);
}

void pv_build_target(struct pv_builder *b, struct pv_ast_object *object, struct pv_span except_word,
                     struct pv_ast_object *except)
{
    struct pv_span span = object ? object->span : no_span;
    if (except)
        span = pv_span_join(pv_span_join(span, except_word), except->span);
    b->scope.object = object;
    b->scope.except = except;
    b->scope.object_span = span;
    b->scope.with_dependencies = no_span;
}

void pv_build_with(struct pv_builder *b, struct pv_ast_object *object, struct pv_span except_word,
                   struct pv_ast_object *except, struct pv_token with, struct pv_token dependencies)
{
    pv_build_target(b, object, except_word, except);
    b->scope.with_dependencies = spans(with, dependencies);
    b->scope.object_span = pv_span_join(b->scope.object_span, b->scope.with_dependencies);
}

void pv_build_origin(struct pv_builder *b, struct pv_span word, struct pv_ast_from *from)
{
    b->scope.from = from;
    b->scope.from_span = from ? pv_span_join(word, from->span) : no_span;
}

void pv_build_scope(struct pv_builder *b, struct pv_ast_subject *subject, struct pv_list clauses)
{
    struct pv_ast_scope *scope = &b->scope;
    scope->subject = subject;
    scope->first_clause = clauses.first;
    scope->last_clause = clauses.last;
    scope->n_clauses = clauses.n;
    scope->span = pv_span_join(subject->span, scope->commands_span);
    scope->span = pv_span_join(scope->span, scope->object_span);
    scope->span = pv_span_join(scope->span, scope->from_span);
    if (scope->last_clause)
        scope->span = pv_span_join(scope->span, scope->last_clause->span);
}

struct pv_ast_object *pv_build_object(struct pv_builder *b, enum pv_ast_object_kind kind, struct pv_token start,
                                      struct pv_token text)
{
    struct pv_ast_object *object = PV_NEW(b->arena, struct pv_ast_object);
    object->kind = kind;
    object->span = spans(start, text);
    if (kind == PV_AST_OBJECT_STRING)
        object->text = pv_literal_string(b, text);
    else if (kind == PV_AST_OBJECT_PATTERN)
        object->text = pv_literal_pattern(b, text);
    else if (kind == PV_AST_OBJECT_NAME)
        object->text = text_of(b, text);
    return object;
}

struct pv_ast_object *pv_build_object_set(struct pv_builder *b, struct pv_ast_set *set)
{
    struct pv_ast_object *object = PV_NEW(b->arena, struct pv_ast_object);
    object->kind = PV_AST_OBJECT_SET;
    object->span = set->span;
    object->set = set;
    return object;
}

static void append_items(struct pv_ast_set *set, struct pv_ast_item *first, struct pv_ast_item *last, uint32_t n)
{
    if (set->last)
        set->last->next = first;
    else
        set->first = first;
    set->last = last;
    set->n += n;
}

/* Adds what an object names to a set; `own`, which no set holds, counts as some package. */
static void append_object(struct pv_builder *b, struct pv_ast_set *set, const struct pv_ast_object *object)
{
    if (object->kind == PV_AST_OBJECT_SET) {
        append_items(set, object->set->first, object->set->last, object->set->n);
        return;
    }
    struct pv_ast_item *item = PV_NEW(b->arena, struct pv_ast_item);
    item->kind = object->kind == PV_AST_OBJECT_NAME      ? PV_AST_ITEM_NAME
                 : object->kind == PV_AST_OBJECT_PATTERN ? PV_AST_ITEM_PATTERN
                                                         : PV_AST_ITEM_STRING;
    item->text = object->kind == PV_AST_OBJECT_OWN ? pv_intern_z(b->arena, "?") : object->text;
    item->span = object->span;
    append_items(set, item, item, 1);
}

/* `"a", "b"` without braces becomes a set whose `sema` points at itself until pv_build_objects_end() has told the
 * user. */
struct pv_ast_object *pv_build_objects_comma(struct pv_builder *b, struct pv_ast_object *list,
                                             struct pv_ast_object *one)
{
    struct pv_ast_object *loose = list;
    if (!list->sema) {
        loose = PV_NEW(b->arena, struct pv_ast_object);
        loose->kind = PV_AST_OBJECT_SET;
        loose->set = PV_NEW(b->arena, struct pv_ast_set);
        loose->span = list->span;
        loose->sema = loose;
        append_object(b, loose->set, list);
    }
    append_object(b, loose->set, one);
    loose->span = pv_span_join(loose->span, one->span);
    loose->set->span = loose->span;
    return loose;
}

struct pv_ast_object *pv_build_objects_end(struct pv_builder *b, struct pv_ast_object *list)
{
    if (!list->sema)
        return list;
    list->sema = NULL;
    if (!b->strings_told) {
        struct pv_diag *diag =
            pv_report(b->diags, PV_DIAG_NEEDS_BRACES, list->span, "several packages stand in braces");
        uint32_t len = list->span.end - list->span.start;
        if (len <= 200)
            pv_diag_hint(b->diags, diag, "{ %.*s }", (int)len, b->text + list->span.start);
        pv_diag_fix(b->diags, diag, (struct pv_span){list->span.file, list->span.start, list->span.start}, "{ ");
        pv_diag_fix(b->diags, diag, (struct pv_span){list->span.file, list->span.end, list->span.end}, " }");
    }
    b->strings_told = false;
    return list;
}

/* ---- Clauses and duties ---- */

static struct pv_ast_clause *new_clause(struct pv_builder *b, enum pv_ast_clause_kind kind, struct pv_token word,
                                        struct pv_span end)
{
    struct pv_ast_clause *clause = PV_NEW(b->arena, struct pv_ast_clause);
    clause->kind = kind;
    clause->keyword = word.span;
    clause->span = pv_span_join(word.span, end);
    clause->date_span = no_span;
    clause->string.span = no_span;
    return clause;
}

struct pv_ast_clause *pv_build_clause_expr(struct pv_builder *b, enum pv_ast_clause_kind kind, struct pv_token word,
                                           struct pv_ast_expr *expr)
{
    struct pv_ast_clause *clause = new_clause(b, kind, word, expr->span);
    clause->expr = expr;
    return clause;
}

static struct pv_span last_ref(struct pv_list refs)
{
    const struct pv_ast_ref *last = refs.last;
    return last->name.span;
}

struct pv_ast_clause *pv_build_clause_during(struct pv_builder *b, struct pv_token word, struct pv_list windows)
{
    struct pv_ast_clause *clause = new_clause(b, PV_AST_DURING, word, last_ref(windows));
    clause->windows = windows.first;
    return clause;
}

struct pv_ast_clause *pv_build_clause_until(struct pv_builder *b, struct pv_token word, struct pv_token date)
{
    struct pv_ast_clause *clause = new_clause(b, PV_AST_UNTIL, word, date.span);
    clause->date = pv_literal_date(b, date);
    clause->date_span = date.span;
    return clause;
}

struct pv_ast_clause *pv_build_clause_because(struct pv_builder *b, struct pv_token word, struct pv_token text)
{
    struct pv_ast_clause *clause = new_clause(b, PV_AST_BECAUSE, word, text.span);
    clause->string = pv_build_string(b, text);
    return clause;
}

static struct pv_ast_duty *new_duty(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word,
                                    struct pv_span end)
{
    struct pv_ast_duty *duty = PV_NEW(b->arena, struct pv_ast_duty);
    duty->kind = kind;
    duty->span = pv_span_join(word.span, end);
    duty->string.span = no_span;
    duty->value = no_span;
    return duty;
}

struct pv_ast_duty *pv_build_duty(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word)
{
    return new_duty(b, kind, word, word.span);
}

struct pv_ast_duty *pv_build_duty_subject(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word,
                                          struct pv_ast_subject *subject)
{
    struct pv_ast_duty *duty = new_duty(b, kind, word, subject->span);
    duty->subject = subject;
    return duty;
}

struct pv_ast_duty *pv_build_duty_string(struct pv_builder *b, enum pv_duty_kind kind, struct pv_token word,
                                         struct pv_token text)
{
    struct pv_ast_duty *duty = new_duty(b, kind, word, text.span);
    duty->string = pv_build_string(b, text);
    return duty;
}

/* One that was told already is a second: it is not told again as being no time at all. */
static int64_t timeout_of(struct pv_builder *b, struct pv_token duration)
{
    return duration.broken ? 1 : pv_literal_number(b, duration);
}

struct pv_ast_duty *pv_build_duty_timeout(struct pv_builder *b, struct pv_token word, struct pv_token duration)
{
    struct pv_ast_duty *duty = new_duty(b, PV_D_TIMEOUT, word, duration.span);
    duty->seconds = timeout_of(b, duration);
    duty->value = duration.span;
    return duty;
}

struct pv_ast_duty *pv_build_duty_window(struct pv_builder *b, struct pv_token word, struct pv_list windows)
{
    struct pv_ast_duty *duty = new_duty(b, PV_D_WINDOW, word, last_ref(windows));
    duty->windows = windows.first;
    return duty;
}

/* ---- Declarations ---- */

static struct pv_ast_decl *new_decl(struct pv_builder *b, enum pv_ast_decl_kind kind, struct pv_token word,
                                    struct pv_token end)
{
    struct pv_ast_decl *decl = PV_NEW(b->arena, struct pv_ast_decl);
    decl->kind = kind;
    decl->keyword = word.span;
    decl->span = spans(word, end);
    decl->name.span = no_span;
    return decl;
}

static struct pv_ast_decl *named_decl(struct pv_builder *b, enum pv_ast_decl_kind kind, struct pv_token word,
                                      struct pv_ast_name name, struct pv_token end)
{
    struct pv_ast_decl *decl = new_decl(b, kind, word, end);
    decl->name = name;
    return decl;
}

struct pv_ast_decl *pv_build_rule(struct pv_builder *b, enum pv_ast_rule_kind kind, struct pv_token word,
                                  struct pv_ast_duty *duty, struct pv_token end)
{
    struct pv_ast_decl *decl = new_decl(b, PV_AST_DECL_RULE, word, end);
    decl->rule = PV_NEW(b->arena, struct pv_ast_rule);
    decl->rule->kind = kind;
    decl->rule->keyword = word.span;
    decl->rule->duty = duty;
    decl->rule->scope = b->scope;
    return decl;
}

struct pv_ast_decl *pv_build_direct(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *subject,
                                    struct pv_token end)
{
    b->scope.any_command = true;
    b->scope.commands = NULL;
    b->scope.commands_span = no_span;
    return pv_build_direct_to(b, word, subject, end);
}

struct pv_ast_decl *pv_build_direct_to(struct pv_builder *b, struct pv_token word, struct pv_ast_subject *subject,
                                       struct pv_token end)
{
    pv_build_target(b, NULL, no_span, NULL);
    pv_build_origin(b, no_span, NULL);
    pv_build_scope(b, subject, pv_list_empty());
    return pv_build_rule(b, PV_AST_DIRECT, word, NULL, end);
}

struct pv_list pv_build_annotation(struct pv_builder *b, struct pv_list list, struct pv_token at, struct pv_token name,
                                   struct pv_token value, struct pv_token end)
{
    struct pv_ast_annotation *annotation = PV_NEW(b->arena, struct pv_ast_annotation);
    annotation->name = pv_build_name(b, name);
    annotation->value = pv_build_string(b, value);
    annotation->span = spans(at, end);
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, annotation->name.text.ptr, annotation->name.text.len);
    int kind = 0;
    for (; kind < PV_AST_N_NOTES && !token_is(b, name, pv_ast_annotation_word((enum pv_ast_annotation_kind)kind));
         kind++) {
        const char *word = pv_ast_annotation_word((enum pv_ast_annotation_kind)kind);
        pv_nearest_offer(&nearest, word, strlen(word));
    }
    if (kind == PV_AST_N_NOTES) {
        struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_ANNOTATION, annotation->name.span,
                                         "there is no annotation `@%s`", annotation->name.text.ptr);
        if (nearest.best)
            pv_diag_hint(b->diags, diag, "did you mean `@%s`?", nearest.best);
        else
            pv_diag_hint(b->diags, diag, "annotations are @id, @title, @owner, @ticket and @severity");
        return list;
    }
    annotation->kind = (enum pv_ast_annotation_kind)kind;
    for (const struct pv_ast_annotation *other = list.first; other; other = other->next) {
        if (other->kind != annotation->kind)
            continue;
        struct pv_diag *diag = pv_report(b->diags, PV_DIAG_REPEATED_PROPERTY, annotation->span, "`@%s` is given twice",
                                         annotation->name.text.ptr);
        pv_diag_related(b->diags, diag, other->span, "first given here");
        return list;
    }
    return PV_APPEND(list, annotation);
}

static void annotate(struct pv_builder *b, struct pv_ast_decl *decl, struct pv_list annotations)
{
    struct pv_ast_annotation *first = annotations.first;
    if (!first)
        return;
    if (decl->kind != PV_AST_DECL_RULE) {
        pv_report(b->diags, PV_DIAG_BAD_ANNOTATION, first->span,
                  "annotations stand before rules (`allow`, `deny`, `require`, `direct`), not before `%s`",
                  pv_ast_decl_word(decl->kind));
        return;
    }
    decl->span = pv_span_join(first->span, decl->span);
    decl->rule->annotations = first;
    for (struct pv_ast_annotation *a = first; a; a = a->next)
        decl->rule->note[a->kind] = a;
}

static void check_policy(struct pv_builder *b, const struct pv_ast_decl *decl)
{
    struct pv_file *file = b->file;
    if (file->policy) {
        struct pv_diag *diag =
            pv_report(b->diags, PV_DIAG_POLICY_PLACE, decl->keyword, "a file has one `policy` statement");
        pv_diag_related(b->diags, diag, file->policy->keyword, "the first one is here");
    } else if (file->n_decls) {
        struct pv_diag *diag =
            pv_report(b->diags, PV_DIAG_POLICY_PLACE, decl->keyword, "`policy` is the first statement of a root file");
        pv_diag_related(b->diags, diag, file->first->keyword, "this stands before it");
    }
}

void pv_build_add(struct pv_builder *b, struct pv_ast_decl *decl, struct pv_list annotations)
{
    struct pv_file *file = b->file;
    annotate(b, decl, annotations);
    if (decl->kind == PV_AST_DECL_POLICY) {
        check_policy(b, decl);
        if (!file->policy)
            file->policy = decl;
    }
    if (file->last)
        file->last->next = decl;
    else
        file->first = decl;
    file->last = decl;
    file->n_decls++;
    file->n_of[decl->kind]++;
}

struct pv_zone pv_build_no_zone(void)
{
    return (struct pv_zone){no_span, false, pv_build_no_string()};
}

struct pv_zone pv_build_zone(struct pv_builder *b, struct pv_token word, struct pv_token name)
{
    return (struct pv_zone){spans(word, name), false, pv_build_string(b, name)};
}

struct pv_zone pv_build_zone_word(struct pv_builder *b, struct pv_token word, struct pv_token host)
{
    if (!token_is(b, host, "host"))
        pv_report(b->diags, PV_DIAG_BAD_FORM, host.span, "a zone is a name like \"Europe/Paris\", or `host`");
    return (struct pv_zone){spans(word, host), true, pv_build_no_string()};
}

struct pv_ast_decl *pv_build_policy(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_ast_string title, struct pv_token version, struct pv_zone zone,
                                    struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_POLICY, word, name, end);
    decl->policy = PV_NEW(b->arena, struct pv_ast_policy);
    *decl->policy = (struct pv_ast_policy){.title = title,
                                           .version = pv_literal_count(b, version, "a policy's version"),
                                           .version_span = version.span,
                                           .zone_span = zone.span,
                                           .zone_host = zone.host,
                                           .zone = zone.name};
    return decl;
}

struct pv_ast_decl *pv_build_import(struct pv_builder *b, struct pv_token word, struct pv_token path,
                                    struct pv_token end)
{
    struct pv_ast_decl *decl = new_decl(b, PV_AST_DECL_IMPORT, word, end);
    decl->import = PV_NEW(b->arena, struct pv_ast_import);
    decl->import->path = pv_build_string(b, path);
    decl->import->file = PV_NO_FILE;
    return decl;
}

struct pv_ast_decl *pv_build_role(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                  struct pv_ast_subject *subject, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_ROLE, word, name, end);
    decl->role = PV_NEW(b->arena, struct pv_ast_role);
    decl->role->subject = subject;
    return decl;
}

static void repeated(struct pv_builder *b, struct pv_span span, struct pv_span first, struct pv_span word)
{
    struct pv_diag *diag = pv_report(b->diags, PV_DIAG_REPEATED_PROPERTY, span, "`%.*s` is given twice",
                                     (int)(word.end - word.start), b->text + word.start);
    pv_diag_related(b->diags, diag, first, "first given here");
}

struct pv_list pv_build_source_prop(struct pv_builder *b, struct pv_list list, struct pv_ast_prop *prop)
{
    (void)b;
    return PV_APPEND(list, prop);
}

struct pv_ast_prop *pv_build_flag(struct pv_builder *b, enum pv_ast_source_prop kind, struct pv_token word,
                                  struct pv_token end)
{
    struct pv_ast_prop *prop = PV_NEW(b->arena, struct pv_ast_prop);
    prop->kind = kind;
    prop->span = spans(word, end);
    prop->value_span = no_span;
    return prop;
}

struct pv_ast_prop *pv_build_prop(struct pv_builder *b, enum pv_ast_source_prop kind, struct pv_token word,
                                  struct pv_token value, struct pv_token end)
{
    struct pv_ast_prop *prop = pv_build_flag(b, kind, word, end);
    prop->value_span = value.span;
    if (kind == PV_AST_SOURCE_PRIORITY)
        prop->number = pv_literal_number(b, value);
    else
        prop->text = kind == PV_AST_SOURCE_TYPE ? text_of(b, value) : pv_literal_string(b, value);
    return prop;
}

struct pv_ast_decl *pv_build_source(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_list props, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_SOURCE, word, name, end);
    struct pv_ast_source *source = PV_NEW(b->arena, struct pv_ast_source);
    decl->source = source;
    source->first = props.first;
    source->last = props.last;
    for (struct pv_ast_prop *prop = source->first; prop; prop = prop->next) {
        struct pv_ast_prop *first = source->prop[prop->kind];
        if (first) {
            struct pv_span property = prop->span;
            uint32_t len = 0;
            while (b->text[property.start + len] > ' ' && b->text[property.start + len] != ';')
                len++;
            repeated(b, property, first->span, (struct pv_span){property.file, property.start, property.start + len});
        } else {
            source->prop[prop->kind] = prop;
        }
    }
    return decl;
}

struct pv_ast_decl *pv_build_union(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                   struct pv_ast_from *from, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_UNION, word, name, end);
    decl->sources = PV_NEW(b->arena, struct pv_ast_union);
    decl->sources->from = from;
    return decl;
}

struct pv_ast_decl *pv_build_set_decl(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                      struct pv_ast_set *set, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_SET, word, name, end);
    decl->set = PV_NEW(b->arena, struct pv_ast_set_decl);
    decl->set->set = set;
    decl->set->file = pv_build_no_string();
    return decl;
}

struct pv_ast_decl *pv_build_set_file(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                      struct pv_token file, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_SET, word, name, end);
    decl->set = PV_NEW(b->arena, struct pv_ast_set_decl);
    decl->set->file = pv_build_string(b, file);
    return decl;
}

struct pv_ast_decl *pv_build_condition(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                       struct pv_ast_expr *expr, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_CONDITION, word, name, end);
    decl->condition = PV_NEW(b->arena, struct pv_ast_condition);
    decl->condition->expr = expr;
    return decl;
}

struct pv_ast_decl *pv_build_attribute(struct pv_builder *b, struct pv_token word, struct pv_ast_path *path,
                                       struct pv_ast_type type, struct pv_span optional, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_ATTRIBUTE, word, path->tail, end);
    if (strcmp(path->head.text.ptr, "host") != 0) {
        struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_FORM, path->head.span,
                                         "only attributes of `host` can be declared, not of `%s`", path->head.text.ptr);
        pv_diag_hint(b->diags, diag, "attribute host.%s: ...;", path->tail.text.ptr);
    }
    decl->attribute = PV_NEW(b->arena, struct pv_ast_attribute);
    *decl->attribute = (struct pv_ast_attribute){path, type, optional};
    return decl;
}

struct pv_ast_type pv_build_type(struct pv_builder *b, struct pv_token word, struct pv_token order, struct pv_token end)
{
    static const enum pv_type types[] = {PV_T_BOOL,     PV_T_INT,  PV_T_STRING, PV_T_VERSION,
                                         PV_T_DURATION, PV_T_DATE, PV_T_CLOCK,  PV_T_WEEKDAY};
    struct pv_ast_type type = {PV_T_STRING, PV_ORDER_COMMAND, spans(word, end)};
    size_t len, i = 0, n = sizeof types / sizeof *types;
    const char *text = pv_token_text(b, word, &len);
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, text, len);
    for (; i < n && !token_is(b, word, pv_type_name(types[i])); i++)
        pv_nearest_offer(&nearest, pv_type_name(types[i]), strlen(pv_type_name(types[i])));
    if (i == n) {
        struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_TYPE_NAME, word.span, "there is no type `%.*s`",
                                         (int)(len > 80 ? 80 : len), text);
        if (nearest.best)
            pv_diag_hint(b->diags, diag, "did you mean `%s`?", nearest.best);
        else
            pv_diag_hint(b->diags, diag,
                         "types are bool, int, string, version, duration, date, clock, weekday and set of string");
        return type;
    }
    type.type = types[i];
    if (order.span.start == word.span.start)
        return type;
    text = pv_token_text(b, order, &len);
    int known = pv_order_from_name(text, len);
    if (type.type != PV_T_VERSION)
        pv_report(b->diags, PV_DIAG_BAD_TYPE_NAME, order.span, "only `version` names an order");
    else if (known < 0 || known == PV_ORDER_COMMAND)
        pv_report(b->diags, PV_DIAG_BAD_TYPE_NAME, order.span, "there is no version order `%.*s`",
                  (int)(len > 80 ? 80 : len), text);
    else
        type.order = (enum pv_order)known;
    return type;
}

struct pv_ast_type pv_build_set_type(struct pv_builder *b, struct pv_token word, struct pv_token of)
{
    if (!token_is(b, of, "string"))
        pv_report(b->diags, PV_DIAG_BAD_TYPE_NAME, of.span, "sets are of strings: `set of string`");
    return (struct pv_ast_type){PV_T_STRINGS, PV_ORDER_COMMAND, spans(word, of)};
}

/* ---- Windows ---- */

struct pv_ast_decl *pv_build_window(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                    struct pv_list alternatives, struct pv_list exception, struct pv_zone zone,
                                    struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_WINDOW, word, name, end);
    decl->window = PV_NEW(b->arena, struct pv_ast_window);
    *decl->window = (struct pv_ast_window){.alternatives = alternatives.first,
                                           .except_span = b->exception_span,
                                           .except = exception.first,
                                           .zone_span = zone.span,
                                           .zone_host = zone.host,
                                           .zone = zone.name};
    if (!exception.first)
        decl->window->except_span = no_span;
    return decl;
}

struct pv_list pv_build_exception(struct pv_builder *b, struct pv_token word, struct pv_list alternatives)
{
    const struct pv_ast_alternative *last = alternatives.last;
    b->exception_span = pv_span_join(word.span, last->span);
    return alternatives;
}

struct pv_ast_alternative *pv_build_alternative_name(struct pv_builder *b, struct pv_token name)
{
    struct pv_ast_alternative *alternative = PV_NEW(b->arena, struct pv_ast_alternative);
    alternative->name = pv_build_name(b, name);
    alternative->span = name.span;
    return alternative;
}

struct pv_ast_alternative *pv_build_alternative(struct pv_builder *b, struct pv_list days, struct pv_list dates,
                                                struct pv_list clocks)
{
    struct pv_ast_alternative *alternative = PV_NEW(b->arena, struct pv_ast_alternative);
    alternative->name.span = no_span;
    alternative->span = no_span;
    alternative->days = days.first;
    alternative->dates = dates.first;
    alternative->clocks = clocks.first;
    const struct pv_ast_days *first_day = days.first, *last_day = days.last;
    const struct pv_ast_dates *first_date = dates.first, *last_date = dates.last;
    const struct pv_ast_clocks *first_clock = clocks.first, *last_clock = clocks.last;
    if (first_day)
        alternative->span = pv_span_join(first_day->span, last_day->span);
    if (first_date)
        alternative->span = pv_span_join(alternative->span, pv_span_join(first_date->span, last_date->span));
    if (first_clock)
        alternative->span = pv_span_join(alternative->span, pv_span_join(first_clock->span, last_clock->span));
    return alternative;
}

struct pv_ast_days *pv_build_day(struct pv_builder *b, struct pv_token first, struct pv_token last)
{
    struct pv_ast_days *days = PV_NEW(b->arena, struct pv_ast_days);
    days->first = pv_literal_weekday(first);
    days->last = pv_literal_weekday(last);
    days->span = spans(first, last);
    return days;
}

struct pv_ast_days *pv_build_nth_day(struct pv_builder *b, struct pv_token ordinal, struct pv_token day)
{
    struct pv_ast_days *days = pv_build_day(b, day, day);
    days->nth = pv_literal_ordinal(b, ordinal);
    days->span = spans(ordinal, day);
    return days;
}

struct pv_ast_dates *pv_build_dates(struct pv_builder *b, struct pv_token first, struct pv_token last)
{
    struct pv_ast_dates *dates = PV_NEW(b->arena, struct pv_ast_dates);
    bool range = first.span.start != last.span.start;
    dates->span = spans(first, last);
    dates->first = pv_literal_date(b, first);
    dates->last = range ? pv_literal_date(b, last) : dates->first;
    if (first.broken || last.broken)
        return dates;
    if (first.kind != last.kind)
        pv_report(b->diags, PV_DIAG_BAD_DATE, dates->span, "a range is of dates with a year, or of yearly dates");
    else if (first.kind == PV_TOK_DATE && date_number(dates->last) < date_number(dates->first))
        pv_report(b->diags, PV_DIAG_BAD_DATE, dates->span, "this range ends before it starts");
    return dates;
}

struct pv_ast_clocks *pv_build_clocks(struct pv_builder *b, struct pv_token start, struct pv_token end)
{
    struct pv_ast_clocks *clocks = PV_NEW(b->arena, struct pv_ast_clocks);
    uint32_t errors = pv_diags_errors(b->diags);
    clocks->span = spans(start, end);
    clocks->start = pv_literal_clock(b, start, false);
    clocks->end = pv_literal_clock(b, end, true);
    if (clocks->start == clocks->end && errors == pv_diags_errors(b->diags)) {
        struct pv_diag *diag =
            pv_report(b->diags, PV_DIAG_BAD_CLOCK, clocks->span, "this range has no end: its ends are the same time");
        pv_diag_hint(b->diags, diag, "a whole day is 00:00..24:00");
    }
    return clocks;
}

/* ---- Commands ---- */

static struct pv_ast_command_item *new_item(struct pv_builder *b)
{
    struct pv_ast_command_item *item = PV_NEW(b->arena, struct pv_ast_command_item);
    item->span = item->keyword = item->name.span = item->members_span = item->members_name.span = no_span;
    item->string = item->value = pv_build_no_string();
    item->value_span = no_span;
    item->type.span = no_span;
    return item;
}

static struct pv_ast_command_item *end_item(struct pv_ast_command_item *item, enum pv_ast_command_prop kind,
                                            struct pv_token word, struct pv_token end)
{
    item->kind = kind;
    item->keyword = word.span;
    item->span = spans(word, end);
    return item;
}

struct pv_ast_command_item *pv_build_command_flag(struct pv_builder *b, enum pv_ast_command_prop kind,
                                                  struct pv_token word, struct pv_token end)
{
    return end_item(new_item(b), kind, word, end);
}

/* A parameter's name; an option's without its `--`. */
static struct pv_ast_name parameter_name(struct pv_builder *b, struct pv_token token)
{
    struct pv_token bare = token;
    bare.span.start += token.kind == PV_TOK_DASHED ? 2 : 0;
    return (struct pv_ast_name){text_of(b, bare), token.span};
}

struct pv_ast_command_item *pv_build_option_flag(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                                 struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->name = parameter_name(b, name);
    item->type.type = PV_T_NONE;
    return end_item(item, PV_AST_COMMAND_OPTION, word, end);
}

struct pv_ast_command_item *pv_build_parameter(struct pv_builder *b, enum pv_ast_command_prop kind,
                                               struct pv_token word, struct pv_token name,
                                               struct pv_ast_command_item *item, struct pv_token end)
{
    item->name = parameter_name(b, name);
    return end_item(item, kind, word, end);
}

struct pv_ast_command_item *pv_build_parameter_type(struct pv_builder *b, struct pv_ast_type type)
{
    struct pv_ast_command_item *item = new_item(b);
    item->type = type;
    return item;
}

struct pv_ast_command_item *pv_build_parameter_set(struct pv_builder *b, struct pv_ast_type type,
                                                   struct pv_ast_set *set)
{
    struct pv_ast_command_item *item = pv_build_parameter_type(b, type);
    item->members = set;
    item->members_span = set->span;
    return item;
}

struct pv_ast_command_item *pv_build_parameter_name(struct pv_builder *b, struct pv_ast_type type, struct pv_token name)
{
    struct pv_ast_command_item *item = pv_build_parameter_type(b, type);
    item->members_name = pv_build_name(b, name);
    item->members_span = name.span;
    return item;
}

struct pv_ast_command_item *pv_build_run(struct pv_builder *b, struct pv_token word, struct pv_list elements,
                                         struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->elements = elements.first;
    return end_item(item, PV_AST_COMMAND_RUN, word, end);
}

struct pv_ast_command_item *pv_build_provider(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                              struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->name = pv_build_name(b, name);
    return end_item(item, PV_AST_COMMAND_PROVIDER, word, end);
}

struct pv_ast_command_item *pv_build_account(struct pv_builder *b, struct pv_token word, struct pv_token value,
                                             struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->value_span = value.span;
    if (value.kind == PV_TOK_STRING) {
        item->string = pv_build_string(b, value);
    } else {
        item->requester = true;
        if (!token_is(b, value, "requester"))
            pv_report(b->diags, PV_DIAG_BAD_FORM, value.span, "an account is a name in quotes, or `requester`");
    }
    return end_item(item, PV_AST_COMMAND_ACCOUNT, word, end);
}

struct pv_ast_command_item *pv_build_timeout(struct pv_builder *b, struct pv_token word, struct pv_token duration,
                                             struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->seconds = timeout_of(b, duration);
    item->value_span = duration.span;
    return end_item(item, PV_AST_COMMAND_TIMEOUT, word, end);
}

struct pv_ast_command_item *pv_build_environment(struct pv_builder *b, struct pv_token word, struct pv_token name,
                                                 struct pv_token value, struct pv_token end)
{
    struct pv_ast_command_item *item = new_item(b);
    item->string = pv_build_string(b, name);
    item->value = pv_build_string(b, value);
    return end_item(item, PV_AST_COMMAND_ENVIRONMENT, word, end);
}

struct pv_ast_element *pv_build_element_string(struct pv_builder *b, struct pv_token token)
{
    struct pv_ast_element *element = PV_NEW(b->arena, struct pv_ast_element);
    element->text = pv_literal_string(b, token);
    element->span = token.span;
    return element;
}

struct pv_ast_element *pv_build_element_path(struct pv_builder *b, struct pv_ast_path *path)
{
    struct pv_ast_element *element = PV_NEW(b->arena, struct pv_ast_element);
    element->path = path;
    element->span = path->span;
    return element;
}

struct pv_list pv_build_command_item(struct pv_builder *b, struct pv_list list, struct pv_ast_command_item *item)
{
    (void)b;
    return PV_APPEND(list, item);
}

struct pv_ast_decl *pv_build_command(struct pv_builder *b, struct pv_token word, struct pv_ast_name name,
                                     struct pv_list items, struct pv_token end)
{
    struct pv_ast_decl *decl = named_decl(b, PV_AST_DECL_COMMAND, word, name, end);
    struct pv_ast_command *command = PV_NEW(b->arena, struct pv_ast_command);
    decl->command = command;
    command->first = items.first;
    command->last = items.last;
    for (struct pv_ast_command_item *item = command->first; item; item = item->next) {
        bool many = item->kind == PV_AST_COMMAND_ARGUMENT || item->kind == PV_AST_COMMAND_OPTION ||
                    item->kind == PV_AST_COMMAND_ENVIRONMENT;
        if (!command->prop[item->kind])
            command->prop[item->kind] = item;
        else if (!many)
            repeated(b, item->span, command->prop[item->kind]->span, item->keyword);
    }
    return decl;
}

/* ---- Assertions and tests ---- */

struct pv_ast_assertion *pv_build_assertion(struct pv_builder *b, struct pv_token quantifier,
                                            enum pv_ast_rule_kind effect, struct pv_token word,
                                            struct pv_ast_duty *duty)
{
    struct pv_ast_assertion *assertion = PV_NEW(b->arena, struct pv_ast_assertion);
    assertion->quantifier = quantifier.kind == PV_TOK_NEVER    ? PV_AST_NEVER
                            : quantifier.kind == PV_TOK_ALWAYS ? PV_AST_ALWAYS
                                                               : PV_AST_SOMETIMES;
    assertion->effect = effect;
    assertion->keywords = spans(quantifier, word);
    assertion->duty = duty;
    assertion->scope = b->scope;
    if (assertion->quantifier == PV_AST_ALWAYS || effect == PV_AST_ALLOW)
        return assertion;
    struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_FORM, assertion->keywords, "there is no such assertion");
    pv_diag_hint(b->diags, diag,
                 "an assertion is `never allow`, `sometimes allow`, `always allow`, `always deny` or `always require`");
    return assertion;
}

struct pv_ast_decl *pv_build_assert(struct pv_builder *b, struct pv_token word, struct pv_token text,
                                    struct pv_ast_assertion *assertion, struct pv_token end)
{
    struct pv_ast_decl *decl = new_decl(b, PV_AST_DECL_ASSERTION, word, end);
    decl->assertion = assertion;
    assertion->text = pv_build_string(b, text);
    return decl;
}

static struct pv_ast_step *new_step(struct pv_builder *b, enum pv_ast_step_kind kind, struct pv_token word,
                                    struct pv_token end)
{
    struct pv_ast_step *step = PV_NEW(b->arena, struct pv_ast_step);
    step->kind = kind;
    step->keyword = word.span;
    step->span = spans(word, end);
    step->string.span = no_span;
    return step;
}

struct pv_ast_step *pv_build_step_user(struct pv_builder *b, struct pv_token word, struct pv_token user,
                                       struct pv_list groups, struct pv_token end)
{
    struct pv_ast_step *step = new_step(b, PV_AST_STEP_USER, word, end);
    step->string = pv_build_string(b, user);
    step->groups = groups.first;
    return step;
}

struct pv_ast_step *pv_build_step_time(struct pv_builder *b, struct pv_token word, struct pv_token time,
                                       struct pv_token end)
{
    struct pv_ast_step *step = new_step(b, PV_AST_STEP_TIME, word, end);
    step->string = pv_build_string(b, time);
    return step;
}

struct pv_ast_step *pv_build_step_given(struct pv_builder *b, struct pv_token word, struct pv_list givens,
                                        struct pv_token end)
{
    struct pv_ast_step *step = new_step(b, PV_AST_STEP_GIVEN, word, end);
    step->given = givens.first;
    return step;
}

struct pv_ast_step *pv_build_step_expect(struct pv_builder *b, struct pv_token word, struct pv_ast_expect *expect,
                                         struct pv_token end)
{
    struct pv_ast_step *step = new_step(b, PV_AST_STEP_EXPECT, word, end);
    step->expect = expect;
    return step;
}

struct pv_list pv_build_step(struct pv_builder *b, struct pv_list list, struct pv_ast_step *step)
{
    (void)b;
    return PV_APPEND(list, step);
}

struct pv_ast_decl *pv_build_test(struct pv_builder *b, struct pv_token word, struct pv_token title,
                                  struct pv_list steps, struct pv_token end)
{
    struct pv_ast_decl *decl = new_decl(b, PV_AST_DECL_TEST, word, end);
    decl->test = PV_NEW(b->arena, struct pv_ast_test);
    decl->test->title = pv_build_string(b, title);
    decl->test->first = steps.first;
    decl->test->last = steps.last;
    const struct pv_ast_step *once[2] = {NULL, NULL}; /* user, time */
    for (const struct pv_ast_step *step = steps.first; step; step = step->next) {
        if (step->kind != PV_AST_STEP_USER && step->kind != PV_AST_STEP_TIME)
            continue;
        const struct pv_ast_step **seen = &once[step->kind == PV_AST_STEP_TIME];
        if (*seen)
            repeated(b, step->span, (*seen)->span, step->keyword);
        else
            *seen = step;
    }
    return decl;
}

struct pv_ast_given *pv_build_given(struct pv_builder *b, struct pv_ast_path *path, struct pv_ast_literal *value)
{
    struct pv_ast_given *given = PV_NEW(b->arena, struct pv_ast_given);
    given->path = path;
    given->literal = value;
    given->span = pv_span_join(path->span, value->span);
    return given;
}

struct pv_ast_expect *pv_build_expect(struct pv_builder *b, struct pv_token verdict, struct pv_token command,
                                      struct pv_list objects)
{
    struct pv_ast_expect *expect = PV_NEW(b->arena, struct pv_ast_expect);
    expect->verdict = verdict.kind == PV_TOK_ALLOW  ? PV_AST_ALLOW
                      : verdict.kind == PV_TOK_DENY ? PV_AST_DENY
                                                    : PV_AST_DIRECT;
    expect->verdict_span = verdict.span;
    expect->command = pv_build_name(b, command);
    expect->objects = objects.first;
    expect->from.span = no_span;
    return expect;
}

/* Each part stands once; a second one is told and dropped. */
static bool given_already(struct pv_builder *b, struct pv_span word, bool already)
{
    if (already)
        pv_report(b->diags, PV_DIAG_REPEATED_PROPERTY, word, "`%.*s` is given twice in one expectation",
                  (int)(word.end - word.start), b->text + word.start);
    return already;
}

struct pv_ast_expect *pv_build_expect_from(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                           struct pv_token source)
{
    if (!given_already(b, word.span, expect->from.text.ptr))
        expect->from = pv_build_name(b, source);
    return expect;
}

struct pv_ast_expect *pv_build_expect_with(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                           struct pv_list givens)
{
    if (!given_already(b, word.span, expect->with))
        expect->with = givens.first;
    return expect;
}

struct pv_ast_expect *pv_build_expect_by(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                         struct pv_list ids)
{
    if (!given_already(b, word.span, expect->by))
        expect->by = ids.first;
    return expect;
}

struct pv_ast_expect *pv_build_expect_requiring(struct pv_builder *b, struct pv_ast_expect *expect,
                                                struct pv_token word, struct pv_list duties)
{
    if (!given_already(b, word.span, expect->requiring))
        expect->requiring = duties.first;
    return expect;
}

struct pv_ast_expect *pv_build_expect_because(struct pv_builder *b, struct pv_ast_expect *expect, struct pv_token word,
                                              struct pv_list texts)
{
    if (!given_already(b, word.span, expect->because))
        expect->because = texts.first;
    return expect;
}
