/* Expressions: every operand has a type, nothing is converted, and an attribute that may be absent is read only where
 * it is known to be there.
 *
 * For each expression two sets of slots are found: what is known to be present where it is true, and where it is false.
 * `has X` establishes X where it is true; `and` adds what holds on its way from left to right, and keeps of its false
 * side what every way there establishes; `or` the other way round; `not` swaps. Clauses of a rule are one long `and`.
 *
 * A condition is checked by itself, before the rules: what it reads without a `has` of its own must be known wherever
 * it is used. */
#include "engine/sema.h"

#include <string.h>

struct operand {
    enum { OPERAND_BROKEN, OPERAND_ATTRIBUTE, OPERAND_LITERAL } kind;
    uint16_t slot;
    enum pv_type type; /* of a size: PV_T_INT */
    const struct pv_ast_literal *literal;
    const struct pv_ast_expr *expr;
};

static struct pv_ir_expr *check(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                const struct pv_slots **yes, const struct pv_slots **no);

static struct pv_ir_expr *poison(struct pv_flow *flow)
{
    flow->quiet = true;
    return NULL;
}

/* ---- Presence ---- */

static void advise_has(struct pv_sema *sema, const struct pv_flow *flow, struct pv_diag *diag, const char *path)
{
    if (flow->closing)
        pv_diag_hint(sema->diags, diag, "write `not has %s or ...` before it, so that what has none is denied too",
                     path);
    else
        pv_diag_hint(sema->diags, diag, "write `has %s and ...` before it", path);
}

/* A slot is read at `span`; through a condition, where that is given. false: told. */
static bool read_slot(struct pv_sema *sema, struct pv_flow *flow, uint16_t slot, struct pv_span span,
                      const struct pv_named *condition)
{
    const struct pv_slot_info *info = &sema->slots[slot];
    if (pv_slots_hold(flow->known, slot))
        return true;
    if (flow->quiet)
        return true;
    const char *by = condition ? pv_arena_printf(sema->arena, "condition `%s` reads ", condition->text.ptr) : "";
    if (flow->reach && flow->reach->n) {
        uint32_t having = pv_sema_reach_having(sema, flow->reach, slot);
        if (!having) {
            pv_report(sema->diags, PV_DIAG_NO_SUCH_ATTRIBUTE, span, "%s`%s`%s", by, info->path.ptr,
                      condition ? ", which none of this rule's commands has" : ": none of this rule's commands has it");
            return false;
        }
        if (having < flow->reach->n) {
            struct pv_diag *diag =
                pv_report(sema->diags, PV_DIAG_MAYBE_ABSENT, span, "%s`%s`%s only some of this rule's commands have%s",
                          by, info->path.ptr, condition ? ", which" : ":", condition ? "" : " it");
            advise_has(sema, flow, diag, info->path.ptr);
            return false;
        }
    }
    if (info->flags & PV_ATTR_OPT) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_MAYBE_ABSENT, span, "`%s` may be absent here", info->path.ptr);
        advise_has(sema, flow, diag, info->path.ptr);
        return false;
    }
    flow->reads = pv_slots_union(sema, flow->reads, pv_slots_one(sema, slot));
    return true;
}

/* ---- Operands ---- */

static enum pv_type literal_type(const struct pv_ast_literal *literal)
{
    switch (literal->kind) {
    case PV_AST_LIT_STRING: return PV_T_STRING;
    case PV_AST_LIT_BOOL: return PV_T_BOOL;
    case PV_AST_LIT_INT:
    case PV_AST_LIT_SIZE: return PV_T_INT;
    case PV_AST_LIT_DURATION: return PV_T_DURATION;
    case PV_AST_LIT_DATE: return PV_T_DATE;
    case PV_AST_LIT_CLOCK: return PV_T_CLOCK;
    case PV_AST_LIT_WEEKDAY: return PV_T_WEEKDAY;
    case PV_AST_LIT_SET: return PV_T_STRINGS;
    }
    return PV_T_NONE;
}

static bool is_word(const struct pv_ast_expr *expr, const char *word)
{
    return expr->kind == PV_AST_NAME && !strcmp(expr->path->text.ptr, word);
}

/* Bare words that stand in expressions and never name a condition. */
static bool is_reserved(const struct pv_ast_expr *expr)
{
    return is_word(expr, "user") || is_word(expr, "command");
}

/* A bare word where an attribute or a literal belongs. */
static void tell_bare_word(struct pv_sema *sema, const struct pv_ast_expr *expr)
{
    const char *word = expr->path->text.ptr;
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_NOT_A_VALUE, expr->span, "`%s` is not an attribute or a literal", word);
    if (!strcmp(word, "user"))
        pv_diag_hint(sema->diags, diag, "write `user.name`, `user.groups`, or `user in ROLE`");
    else if (!strcmp(word, "time"))
        pv_diag_hint(sema->diags, diag, "write `time.clock`, `time.date`, or `time in WINDOW`");
    else if (pv_sema_find(sema, PV_NAME_CONDITION, expr->path->text))
        pv_diag_hint(sema->diags, diag, "a condition stands alone, as in `%s and ...`", word);
    else
        pv_diag_hint(sema->diags, diag, "a string stands in quotes: \"%s\"", word);
}

static struct operand operand(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    struct operand result = {.kind = OPERAND_BROKEN, .expr = expr};
    if (expr->kind == PV_AST_LITERAL) {
        result.kind = OPERAND_LITERAL;
        result.literal = expr->literal;
        result.type = literal_type(expr->literal);
        return result;
    }
    if (expr->kind == PV_AST_PATH || is_word(expr, "command")) {
        int slot = pv_sema_slot(sema, expr->path);
        if (slot < 0 || !read_slot(sema, flow, (uint16_t)slot, expr->span, NULL))
            return result;
        result.kind = OPERAND_ATTRIBUTE;
        result.slot = (uint16_t)slot;
        result.type = sema->slots[slot].type;
        return result;
    }
    if (expr->kind == PV_AST_NAME)
        tell_bare_word(sema, expr);
    else
        pv_report(sema->diags, PV_DIAG_NOT_A_VALUE, expr->span, "here stands an attribute or a literal");
    return result;
}

/* ---- Comparisons ---- */

static enum pv_cmp mirror(enum pv_cmp cmp)
{
    static const enum pv_cmp mirrored[] = {
        [PV_EQ] = PV_EQ, [PV_NE] = PV_NE, [PV_LT] = PV_GT, [PV_LE] = PV_GE, [PV_GT] = PV_LT, [PV_GE] = PV_LE};
    return mirrored[cmp];
}

static const char *a_type(enum pv_type type)
{
    switch (type) {
    case PV_T_BOOL: return "a bool";
    case PV_T_INT: return "an int";
    case PV_T_STRING: return "a string";
    case PV_T_VERSION: return "a version";
    case PV_T_DURATION: return "a duration";
    case PV_T_DATE: return "a date";
    case PV_T_CLOCK: return "a clock";
    case PV_T_WEEKDAY: return "a weekday";
    case PV_T_STRINGS: return "a set of string";
    case PV_T_NONE: break;
    }
    return "nothing";
}

static void tell_mismatch(struct pv_sema *sema, struct pv_span span, enum pv_type left, enum pv_type right,
                          const struct operand *literal)
{
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_TYPE_MISMATCH, span, "%s is compared with %s", a_type(left), a_type(right));
    enum pv_type wanted = left == literal->type ? right : left;
    if (!literal->literal)
        return;
    if (literal->type == PV_T_INT && wanted == PV_T_DURATION)
        pv_diag_hint(sema->diags, diag, "a duration has a unit: `30s`, `10m`, `2h`, `7d`");
    else if (literal->type == PV_T_STRING && wanted == PV_T_DATE)
        pv_diag_hint(sema->diags, diag, "a date stands without quotes: `2026-12-31`");
    else if (literal->type == PV_T_STRING && wanted == PV_T_CLOCK)
        pv_diag_hint(sema->diags, diag, "a clock stands without quotes: `22:00`");
    else if (literal->type == PV_T_STRING && wanted == PV_T_WEEKDAY)
        pv_diag_hint(sema->diags, diag, "a weekday stands without quotes: `mon` to `sun`");
    else if (literal->type == PV_T_STRING && (wanted == PV_T_BOOL || wanted == PV_T_INT))
        pv_diag_hint(sema->diags, diag, "only strings and versions stand in quotes");
}

/* The order of a version: its own, or the one that all commands of this policy with packages share. */
static enum pv_order order_of(const struct pv_sema *sema, uint16_t slot)
{
    enum pv_order order = sema->slots[slot].order;
    return order == PV_ORDER_COMMAND ? sema->command_order : order;
}

static bool check_version(struct pv_sema *sema, enum pv_order order, struct pv_text text, struct pv_span span)
{
    if (text.len <= PV_MAX_STRING && pv_version_valid(order, text.ptr, text.len))
        return true;
    pv_report(sema->diags, PV_DIAG_BAD_VERSION, span, "`%s` is not a version that %s orders",
              text.len <= 64 ? text.ptr : "this", pv_order_name(order));
    return false;
}

static struct pv_ir_expr *compare_versions(struct pv_sema *sema, const struct operand *left,
                                           const struct operand *right, enum pv_cmp cmp, struct pv_span span)
{
    enum pv_order order = order_of(sema, left->slot);
    struct pv_ir_expr *expr;
    if (right->kind == OPERAND_LITERAL) {
        struct pv_text text = right->literal->text;
        if (!check_version(sema, order, text, right->expr->span))
            return NULL;
        expr = pv_ir_leaf(sema, PV_IR_VER, left->slot, span);
        expr->string = pv_ir_str(text);
    } else {
        if (order != order_of(sema, right->slot)) {
            pv_report(sema->diags, PV_DIAG_ORDER_MISMATCH, span,
                      "these versions are ordered in two ways: `%s` as %s, `%s` as %s",
                      sema->slots[left->slot].path.ptr, pv_order_name(order), sema->slots[right->slot].path.ptr,
                      pv_order_name(order_of(sema, right->slot)));
            return NULL;
        }
        expr = pv_ir_leaf(sema, PV_IR_VER2, left->slot, span);
        expr->slot2 = right->slot;
    }
    expr->cmp = cmp;
    expr->order = order;
    return expr;
}

static struct pv_ir_expr *compare_bools(struct pv_sema *sema, const struct operand *left, const struct operand *right,
                                        struct pv_span span)
{
    struct pv_ir_expr *a = pv_ir_leaf(sema, PV_IR_BOOL, left->slot, span);
    if (right->kind == OPERAND_LITERAL)
        return right->literal->number ? a : pv_ir_negate(sema, a, span);
    struct pv_ir_expr *b = pv_ir_leaf(sema, PV_IR_BOOL, right->slot, span);
    return pv_ir_join2(sema, PV_IR_OR, pv_ir_join2(sema, PV_IR_AND, a, b, span),
                       pv_ir_join2(sema, PV_IR_AND, pv_ir_negate(sema, a, span), pv_ir_negate(sema, b, span), span),
                       span);
}

static struct pv_ir_expr *compare_strings(struct pv_sema *sema, const struct operand *left, const struct operand *right,
                                          struct pv_span span)
{
    if (right->kind == OPERAND_LITERAL)
        return pv_ir_string_is(sema, left->slot, right->literal->text, span);
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_STR2, left->slot, span);
    expr->slot2 = right->slot;
    return expr;
}

static struct pv_ir_expr *compare_numbers(struct pv_sema *sema, const struct operand *left, const struct operand *right,
                                          enum pv_cmp cmp, struct pv_span span)
{
    struct pv_ir_expr *expr =
        pv_ir_leaf(sema, right->kind == OPERAND_LITERAL ? PV_IR_INT : PV_IR_INT2, left->slot, span);
    expr->cmp = cmp;
    if (right->kind == OPERAND_LITERAL)
        expr->number = right->literal->number;
    else
        expr->slot2 = right->slot;
    return expr;
}

/* A written set beside `==`: meant is `in`, or `overlaps`. */
static void tell_set(struct pv_sema *sema, const struct pv_ast_expr *expr)
{
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SET_COMPARISON, expr->op, "sets are not compared");
    const struct pv_ast_expr *other = expr->first->kind == PV_AST_SET ? expr->first->next : expr->first;
    const char *path = other->kind == PV_AST_PATH ? other->path->text.ptr : "package.name";
    const char *word = "in";
    for (size_t i = 0; i < sema->n_slots; i++)
        if (!strcmp(sema->slots[i].path.ptr, path) && sema->slots[i].type == PV_T_STRINGS)
            word = "overlaps";
    pv_diag_hint(sema->diags, diag, "write `%s%s %s { ... }`", expr->cmp == PV_NE ? "not " : "", path, word);
}

static struct pv_ir_expr *compare(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    if (expr->first->kind == PV_AST_SET || expr->first->next->kind == PV_AST_SET) {
        tell_set(sema, expr);
        return NULL;
    }
    struct operand left = operand(sema, flow, expr->first), right = operand(sema, flow, expr->first->next);
    enum pv_cmp cmp = expr->cmp;
    if (left.kind == OPERAND_BROKEN || right.kind == OPERAND_BROKEN)
        return NULL;
    if (left.kind == OPERAND_LITERAL && right.kind == OPERAND_LITERAL) {
        pv_report(sema->diags, PV_DIAG_CONSTANT, expr->span, "both sides are literals: this is always the same");
        return NULL;
    }
    if (left.kind == OPERAND_LITERAL) {
        struct operand swap = left;
        left = right;
        right = swap;
        cmp = mirror(cmp);
    }
    bool version_literal = left.type == PV_T_VERSION && right.kind == OPERAND_LITERAL && right.type == PV_T_STRING;
    if (left.type != right.type && !version_literal) {
        tell_mismatch(sema, expr->span, left.type, right.type, &right);
        return NULL;
    }
    if (left.type == PV_T_STRINGS) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SET_COMPARISON, expr->op, "sets are not compared");
        pv_diag_hint(sema->diags, diag, "write `overlaps`, or `\"name\" in %s`", sema->slots[left.slot].path.ptr);
        return NULL;
    }
    bool ordered = cmp != PV_EQ && cmp != PV_NE;
    if (ordered && (left.type == PV_T_STRING || left.type == PV_T_BOOL || left.type == PV_T_WEEKDAY)) {
        pv_report(sema->diags, PV_DIAG_NO_ORDER, expr->op, "%s has no order: only `==` and `!=`", a_type(left.type));
        return NULL;
    }
    if (left.type == PV_T_VERSION)
        return compare_versions(sema, &left, &right, cmp, expr->span);
    if (left.type != PV_T_STRING && left.type != PV_T_BOOL)
        return compare_numbers(sema, &left, &right, cmp, expr->span);
    struct pv_ir_expr *equal = left.type == PV_T_STRING ? compare_strings(sema, &left, &right, expr->span)
                                                        : compare_bools(sema, &left, &right, expr->span);
    return cmp == PV_EQ ? equal : pv_ir_negate(sema, equal, expr->span);
}

/* ---- in, like, overlaps, has ---- */

/* A set's name or an inline set; NULL: told. */
static struct pv_ir_set *set_operand(struct pv_sema *sema, struct pv_ast_expr *expr)
{
    if (expr->kind == PV_AST_SET)
        return pv_sema_set(sema, expr->set);
    if (expr->kind == PV_AST_NAME) {
        const struct pv_ast_name name = {expr->path->text, expr->span};
        const struct pv_named *named = pv_sema_resolve_once(sema, &expr->sema, PV_NAME_SET, &name);
        return named && !named->poisoned ? named->set : NULL;
    }
    pv_report(sema->diags, PV_DIAG_NOT_A_SET, expr->span, "here stands a set's name, `{ ... }` or a set attribute");
    return NULL;
}

static struct pv_ir_expr *user_in(struct pv_sema *sema, struct pv_ast_expr *right)
{
    if (right->kind != PV_AST_NAME) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_IN_TARGET, right->span, "`user in` takes a role's name");
        pv_diag_hint(sema->diags, diag, "for names write `user.name in ...`, for groups `user.groups overlaps ...`");
        return NULL;
    }
    const struct pv_ast_name name = {right->path->text, right->span};
    const struct pv_named *role = pv_sema_resolve_once(sema, &right->sema, PV_NAME_ROLE, &name);
    return role && !role->poisoned ? role->expr : NULL;
}

static struct pv_ir_expr *time_in(struct pv_sema *sema, struct pv_ast_expr *right, struct pv_span span)
{
    if (right->kind != PV_AST_NAME) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_IN_TARGET, right->span, "`time in` takes a window's name");
        pv_diag_hint(sema->diags, diag, "declare it: `window office = mon..fri 09:00..17:00;`");
        return NULL;
    }
    const struct pv_ast_name name = {right->path->text, right->span};
    const struct pv_named *window = pv_sema_resolve_once(sema, &right->sema, PV_NAME_WINDOW, &name);
    if (!window || window->poisoned)
        return NULL;
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_IN_WINDOW, 0, span);
    expr->window = window->window;
    return expr;
}

static struct pv_ir_expr *string_in_attribute(struct pv_sema *sema, struct pv_flow *flow, const struct operand *left,
                                              const struct pv_ast_expr *expr)
{
    const struct pv_ast_expr *right = expr->first->next;
    struct operand set = operand(sema, flow, right);
    if (set.kind == OPERAND_BROKEN)
        return NULL;
    if (set.type != PV_T_STRINGS) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_NOT_A_SET, right->span, "`%s` is %s, not a set",
                                         sema->slots[set.slot].path.ptr, a_type(set.type));
        if (set.type == PV_T_STRING)
            pv_diag_hint(sema->diags, diag, "two strings are compared with `==`");
        return NULL;
    }
    if (left->kind == OPERAND_LITERAL)
        return pv_ir_string_has(sema, set.slot, left->literal->text, expr->span);
    struct pv_ir_expr *result = pv_ir_leaf(sema, PV_IR_IN2, left->slot, expr->span);
    result->slot2 = set.slot;
    return result;
}

static struct pv_ir_expr *membership(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    struct pv_ast_expr *right = expr->first->next;
    if (is_word(expr->first, "user"))
        return user_in(sema, right);
    if (is_word(expr->first, "time"))
        return time_in(sema, right, expr->span);
    struct operand left = operand(sema, flow, expr->first);
    if (left.kind == OPERAND_BROKEN)
        return NULL;
    if (left.type != PV_T_STRING) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_NEEDS_STRING, expr->first->span,
                                         "%s cannot be `in` a set of strings", a_type(left.type));
        if (left.type == PV_T_STRINGS)
            pv_diag_hint(sema->diags, diag, "two sets are tested with `overlaps`");
        return NULL;
    }
    if (right->kind == PV_AST_PATH)
        return string_in_attribute(sema, flow, &left, expr);
    struct pv_ir_set *set = set_operand(sema, right);
    if (!set)
        return NULL;
    if (left.kind == OPERAND_LITERAL) {
        pv_report(sema->diags, PV_DIAG_CONSTANT, expr->span,
                  "a literal in a set that is written out: this is always the same");
        return NULL;
    }
    return pv_ir_in_set(sema, PV_IR_IN, left.slot, set, expr->span);
}

static struct pv_ir_expr *like(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    struct operand left = operand(sema, flow, expr->first);
    const struct pv_ir_glob *glob = pv_sema_glob(sema, expr->first->next->pattern, expr->first->next->span);
    if (left.kind == OPERAND_BROKEN || !glob)
        return NULL;
    if (left.kind == OPERAND_LITERAL) {
        pv_report(sema->diags, PV_DIAG_CONSTANT, expr->span, "both sides are literals: this is always the same");
        return NULL;
    }
    if (left.type != PV_T_STRING) {
        pv_report(sema->diags, PV_DIAG_NEEDS_STRING, expr->first->span, "%s cannot be `like` a pattern",
                  a_type(left.type));
        return NULL;
    }
    struct pv_ir_expr *result = pv_ir_leaf(sema, PV_IR_LIKE, left.slot, expr->span);
    result->glob = glob;
    return result;
}

/* One side of `overlaps` as a set attribute: 1 it is, 0 it is not a path, -1 told. */
static int set_attribute(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr, uint16_t *slot)
{
    if (expr->kind != PV_AST_PATH)
        return 0;
    struct operand result = operand(sema, flow, expr);
    if (result.kind == OPERAND_BROKEN)
        return -1;
    if (result.type != PV_T_STRINGS) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_NOT_A_SET, expr->span, "`%s` is %s, not a set",
                                         sema->slots[result.slot].path.ptr, a_type(result.type));
        if (result.type == PV_T_STRING)
            pv_diag_hint(sema->diags, diag, "a string is tested with `in`");
        return -1;
    }
    *slot = result.slot;
    return 1;
}

static struct pv_ir_expr *overlaps(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    struct pv_ast_expr *left = expr->first, *right = expr->first->next;
    uint16_t a = 0, b = 0;
    int has_a = set_attribute(sema, flow, left, &a), has_b = set_attribute(sema, flow, right, &b);
    if (has_a < 0 || has_b < 0)
        return NULL;
    if (has_a && has_b) {
        struct pv_ir_expr *result = pv_ir_leaf(sema, PV_IR_OVERLAPS2, a, expr->span);
        result->slot2 = b;
        return result;
    }
    if (!has_a && !has_b) {
        pv_report(sema->diags, PV_DIAG_CONSTANT, expr->span,
                  "one side of `overlaps` is an attribute: two written sets are always the same");
        return NULL;
    }
    struct pv_ir_set *set = set_operand(sema, has_a ? right : left);
    return set ? pv_ir_in_set(sema, PV_IR_OVERLAPS, has_a ? a : b, set, expr->span) : NULL;
}

static struct pv_ir_expr *has(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr,
                              const struct pv_slots **yes)
{
    const struct pv_ast_path *path = expr->first->path;
    int slot = pv_sema_slot(sema, path);
    if (slot < 0)
        return NULL;
    if (flow->reach && flow->reach->n && !pv_sema_reach_having(sema, flow->reach, (uint16_t)slot)) {
        pv_report(sema->diags, PV_DIAG_NO_SUCH_ATTRIBUTE, path->span, "`%s`: none of this rule's commands has it",
                  path->text.ptr);
        return NULL;
    }
    *yes = pv_slots_one(sema, (uint16_t)slot);
    return pv_ir_leaf(sema, PV_IR_HAS, (uint16_t)slot, expr->span);
}

/* ---- Names, joins ---- */

/* The condition that a bare word names. `before` is the operand to its left: behind `time in a or`, another window is
 * likely meant. */
static struct pv_named *condition_named(struct pv_sema *sema, struct pv_ast_expr *expr,
                                        const struct pv_ast_expr *before)
{
    static struct pv_named nothing;
    if (expr->sema)
        return expr->sema == &nothing ? NULL : expr->sema;
    const struct pv_ast_name name = {expr->path->text, expr->span};
    const char *word = before && before->kind == PV_AST_IN && is_word(before->first, "time")   ? "time"
                       : before && before->kind == PV_AST_IN && is_word(before->first, "user") ? "user"
                                                                                               : NULL;
    enum pv_name_kind meant = word && *word == 't' ? PV_NAME_WINDOW : PV_NAME_ROLE;
    if (word && !pv_sema_find(sema, PV_NAME_CONDITION, name.text) && pv_sema_find(sema, meant, name.text)) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_IN_TARGET, expr->span, "`%s in` takes one %s", word,
                                         pv_name_kind_word(meant));
        pv_diag_hint(sema->diags, diag, "write `%s in %s` here too%s", word, name.text.ptr,
                     meant == PV_NAME_WINDOW ? ", or the clause `during`, which takes several" : "");
        pv_diag_fix(sema->diags, diag, (struct pv_span){expr->span.file, expr->span.start, expr->span.start}, "%s in ",
                    word);
        expr->sema = &nothing;
        return NULL;
    }
    struct pv_named *named = pv_sema_resolve(sema, PV_NAME_CONDITION, name.text, name.span);
    expr->sema = named ? named : &nothing;
    return named;
}

static struct pv_ir_expr *use_condition(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                        const struct pv_ast_expr *before, const struct pv_slots **yes,
                                        const struct pv_slots **no)
{
    const struct pv_named *named = condition_named(sema, expr, before);
    if (!named || named->poisoned)
        return NULL;
    const struct pv_condition *condition = named->condition;
    for (uint32_t i = 0; i < condition->reads->n; i++)
        if (!read_slot(sema, flow, condition->reads->slot[i], expr->span, named))
            return NULL;
    *yes = condition->yes;
    *no = condition->no;
    expr->stands = named->decl;
    expr->ir = condition->expr;
    return condition->expr;
}

/* Operands in order, as if parentheses round the same operator were not there: they mean nothing. `out` NULL counts. */
static uint32_t flatten(struct pv_ast_expr *expr, enum pv_ast_expr_kind kind, struct pv_ast_expr **out, uint32_t n)
{
    for (struct pv_ast_expr *kid = expr->first; kid; kid = kid->next) {
        if (kid->kind == kind)
            n = flatten(kid, kind, out, n);
        else if (out)
            out[n++] = kid;
        else
            n++;
    }
    return n;
}

/* AND, and OR with truth and falsehood exchanged: `along` is what the operands so far establish on the way to the next
 * one, `aside` what every way out so far establishes. */
static struct pv_ir_expr *join(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                               const struct pv_slots **yes, const struct pv_slots **no)
{
    bool is_and = expr->kind == PV_AST_AND, good = true;
    const struct pv_slots *known = flow->known, *along = &pv_no_slots, *aside = NULL;
    uint32_t n = 0, n_operands = flatten(expr, expr->kind, NULL, 0);
    struct pv_ast_expr **operands = pv_arena_array(sema->arena, n_operands, sizeof(*operands));
    struct pv_ir_expr **kids = pv_arena_array(sema->arena, n_operands, sizeof(*kids));
    const struct pv_ast_expr *before = NULL;
    flatten(expr, expr->kind, operands, 0);
    for (uint32_t i = 0; i < n_operands; before = operands[i], i++) {
        struct pv_ast_expr *kid = operands[i];
        const struct pv_slots *true_side = &pv_no_slots, *false_side = &pv_no_slots;
        flow->known = pv_slots_union(sema, known, along);
        if (kid->kind == PV_AST_NAME && !is_and && !is_reserved(kid))
            kids[n] = use_condition(sema, flow, kid, before, &true_side, &false_side);
        else
            kids[n] = check(sema, flow, kid, &true_side, &false_side);
        if (kids[n])
            n++;
        else
            good = poison(flow);
        const struct pv_slots *out = pv_slots_union(sema, along, is_and ? false_side : true_side);
        aside = aside ? pv_slots_both(sema, aside, out) : out;
        along = pv_slots_union(sema, along, is_and ? true_side : false_side);
    }
    flow->known = known;
    *yes = is_and ? along : aside;
    *no = is_and ? aside : along;
    return good ? pv_ir_join(sema, is_and ? PV_IR_AND : PV_IR_OR, kids, n, expr->span) : NULL;
}

/* ---- Truth values ---- */

static struct pv_ir_expr *tell_not_bool(struct pv_sema *sema, const struct pv_ast_expr *expr, const char *what)
{
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_NOT_A_CONDITION, expr->span, "here stands a condition, and this is %s", what);
    if (expr->kind == PV_AST_PATH)
        pv_diag_hint(sema->diags, diag, "compare it with something, as in `%s == ...`", expr->path->text.ptr);
    return NULL;
}

static struct pv_ir_expr *truth(struct pv_sema *sema, struct pv_flow *flow, const struct pv_ast_expr *expr)
{
    struct operand value = operand(sema, flow, expr);
    if (value.kind == OPERAND_BROKEN)
        return NULL;
    if (value.type != PV_T_BOOL)
        return tell_not_bool(sema, expr, a_type(value.type));
    if (value.kind == OPERAND_LITERAL)
        return pv_ir_truth(sema, value.literal->number, expr->span);
    return pv_ir_leaf(sema, PV_IR_BOOL, value.slot, expr->span);
}

static struct pv_ir_expr *check_kind(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                     const struct pv_slots **yes, const struct pv_slots **no)
{
    struct pv_ir_expr *kid;
    switch (expr->kind) {
    case PV_AST_OR:
    case PV_AST_AND: return join(sema, flow, expr, yes, no);
    case PV_AST_NOT:
        flow->closing = !flow->closing;
        kid = check(sema, flow, expr->first, no, yes);
        flow->closing = !flow->closing;
        return kid ? pv_ir_negate(sema, kid, expr->span) : NULL;
    case PV_AST_COMPARE: return compare(sema, flow, expr);
    case PV_AST_IN: return membership(sema, flow, expr);
    case PV_AST_LIKE: return like(sema, flow, expr);
    case PV_AST_OVERLAPS: return overlaps(sema, flow, expr);
    case PV_AST_HAS: return has(sema, flow, expr, yes);
    case PV_AST_NAME:
        if (is_reserved(expr))
            return tell_not_bool(sema, expr, "not one");
        return use_condition(sema, flow, expr, NULL, yes, no);
    case PV_AST_PATH:
    case PV_AST_LITERAL: return truth(sema, flow, expr);
    case PV_AST_SET: return tell_not_bool(sema, expr, "a set");
    case PV_AST_PATTERN: return tell_not_bool(sema, expr, "a pattern");
    }
    return NULL;
}

static struct pv_ir_expr *check(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                const struct pv_slots **yes, const struct pv_slots **no)
{
    *yes = *no = &pv_no_slots;
    struct pv_ir_expr *result = check_kind(sema, flow, expr, yes, no);
    expr->ir = result;
    return result ? result : poison(flow);
}

struct pv_ir_expr *pv_sema_expr(struct pv_sema *sema, struct pv_flow *flow, struct pv_ast_expr *expr,
                                const struct pv_slots **yes, const struct pv_slots **no)
{
    return check(sema, flow, expr, yes, no);
}

/* ---- Conditions ---- */

static void collect_uses(struct pv_sema *sema, struct pv_named *user, struct pv_ast_expr *expr,
                         const struct pv_ast_expr *before)
{
    if (expr->kind == PV_AST_NAME && !is_reserved(expr)) {
        struct pv_named *target = condition_named(sema, expr, before);
        if (target)
            pv_sema_add_use(sema, user, target, expr->span);
    }
    if (expr->kind != PV_AST_OR && expr->kind != PV_AST_AND && expr->kind != PV_AST_NOT)
        return;
    for (struct pv_ast_expr *kid = expr->first, *previous = NULL; kid; previous = kid, kid = kid->next)
        collect_uses(sema, user, kid, expr->kind == PV_AST_OR ? previous : NULL);
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    struct pv_flow flow = {.known = &pv_no_slots, .reads = &pv_no_slots};
    struct pv_condition *condition = PV_NEW(sema->arena, struct pv_condition);
    condition->expr = check(sema, &flow, named->decl->condition->expr, &condition->yes, &condition->no);
    condition->reads = flow.reads;
    named->condition = condition;
    named->poisoned = !condition->expr || !pv_ir_fits(sema, condition->expr, named->span);
}

void pv_sema_conditions(struct pv_sema *sema)
{
    for (size_t i = 0; i < sema->n_named[PV_NAME_CONDITION]; i++) {
        struct pv_named *named = sema->named[PV_NAME_CONDITION][i];
        collect_uses(sema, named, named->decl->condition->expr, NULL);
    }
    pv_sema_in_order(sema, PV_NAME_CONDITION, lower);
}

/* ---- Literals as values ---- */

/* Strings alone: the parser lets nothing else into a value. */
static void member_strings(struct pv_sema *sema, const struct pv_ast_set *set, struct pv_value *value)
{
    struct pv_str *members = pv_arena_array(sema->arena, set->n, sizeof *members);
    for (const struct pv_ast_item *item = set->first; item; item = item->next)
        members[value->n_members++] = (struct pv_str){item->text.ptr, item->text.len, 0};
    value->members = members;
}

bool pv_sema_value(struct pv_sema *sema, uint16_t slot, const struct pv_ast_literal *literal, struct pv_value *value)
{
    const struct pv_slot_info *info = &sema->slots[slot];
    enum pv_type type = literal_type(literal);
    *value = (struct pv_value){.state = PV_PRESENT, .type = info->type, .number = literal->number};
    if (literal->kind == PV_AST_LIT_STRING)
        value->string = (struct pv_str){literal->text.ptr, literal->text.len, 0};
    if (type != info->type && !(type == PV_T_STRING && info->type == PV_T_VERSION)) {
        pv_report(sema->diags, PV_DIAG_TEST_GIVEN, literal->span, "`%s` is %s, and this is %s", info->path.ptr,
                  a_type(info->type), a_type(type));
        return false;
    }
    if (info->type == PV_T_STRINGS)
        member_strings(sema, literal->set, value);
    if (literal->text.len > PV_MAX_STRING) {
        pv_report(sema->diags, PV_DIAG_TEST_GIVEN, literal->span, "a value has at most %u bytes", PV_MAX_STRING);
        return false;
    }
    return info->type != PV_T_VERSION || check_version(sema, order_of(sema, slot), literal->text, literal->span);
}
