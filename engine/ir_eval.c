/* Evaluating the IR (ir_eval.h): one case a kind, values compared as bytes, sets searched from front to back. Nothing
 * here is fast on purpose, but all of it is bounded: an expression by PV_IR_MAX_DEPTH and PV_IR_MAX_SIZE, a glob by its
 * tokens times the text. Recursion is over expressions alone, at most PV_IR_MAX_DEPTH deep. */
#include "engine/ir_eval.h"

#include <string.h>

#include "engine/source.h"
#include "runtime/bundle.h"

static enum pv_truth truth(bool value)
{
    return value ? PV_TRUE : PV_FALSE;
}

static bool compares(enum pv_cmp cmp, int64_t a, int64_t b)
{
    switch (cmp) {
    case PV_EQ: return a == b;
    case PV_NE: return a != b;
    case PV_LT: return a < b;
    case PV_LE: return a <= b;
    case PV_GT: return a > b;
    case PV_GE: return a >= b;
    }
    return false;
}

static bool is(const struct pv_str *value, struct pv_ir_str text)
{
    return value->len == text.len && (!text.len || memcmp(value->ptr, text.ptr, text.len) == 0);
}

static bool same(const struct pv_str *a, const struct pv_str *b)
{
    return a->len == b->len && (!a->len || memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* ---- Globs ---- */

/* The stars in front of a token may stand for nothing. */
static void skip_stars(const struct pv_ir_glob *glob, bool *at)
{
    for (uint32_t i = 0; i < glob->n_tokens; i++)
        if (at[i] && (glob->tokens[i] == PVB_GLOB_STAR || glob->tokens[i] == PVB_GLOB_STAR_STAR))
            at[i + 1] = true;
}

/* All places in the pattern at once, one character of the text after the other. */
static bool matches(const struct pv_ir_glob *glob, const struct pv_str *text)
{
    bool at[PVB_MAX_GLOB_TOKENS + 1] = {true}, next[PVB_MAX_GLOB_TOKENS + 1];
    skip_stars(glob, at);
    for (uint32_t offset = 0; offset < text->len;) {
        uint32_t c = 0;
        size_t len = pv_utf8_decode(text->ptr + offset, text->len - offset, &c);
        if (!len) /* not UTF-8: a byte that equals no character of a pattern */
            c = 0x110000u + (unsigned char)text->ptr[offset];
        offset += len ? (uint32_t)len : 1;
        memset(next, 0, sizeof next);
        for (uint32_t i = 0; i < glob->n_tokens; i++) {
            uint32_t token = glob->tokens[i];
            if (!at[i])
                continue;
            if (token == PVB_GLOB_STAR_STAR || (token == PVB_GLOB_STAR && c != '/'))
                next[i] = true;
            else if (token == c || (token == PVB_GLOB_ONE && c != '/'))
                next[i + 1] = true;
        }
        memcpy(at, next, sizeof at);
        skip_stars(glob, at);
    }
    return at[glob->n_tokens];
}

/* ---- Sets ---- */

static bool is_listed(const struct pv_ir_set *set, const struct pv_str *value)
{
    for (uint32_t i = 0; i < set->n_members; i++)
        if (is(value, set->members[i]))
            return true;
    for (uint32_t i = 0; i < set->n_globs; i++)
        if (matches(&set->globs[i], value))
            return true;
    return false;
}

static bool is_in(const struct pv_ir_set *set, const struct pv_str *value)
{
    return is_listed(set, value) && !(set->except && is_listed(set->except, value));
}

static bool overlaps(const struct pv_value *value, const struct pv_ir_set *set)
{
    for (uint32_t i = 0; i < value->n_members; i++)
        if (is_in(set, &value->members[i]))
            return true;
    return false;
}

static bool holds(const struct pv_value *set, const struct pv_str *value)
{
    for (uint32_t i = 0; i < set->n_members; i++)
        if (same(&set->members[i], value))
            return true;
    return false;
}

static bool share(const struct pv_value *a, const struct pv_value *b)
{
    for (uint32_t i = 0; i < a->n_members; i++)
        if (holds(b, &a->members[i]))
            return true;
    return false;
}

/* ---- Tests ---- */

/* By uid where both are known, else by name. */
static enum pv_truth owns(const struct pv_request *request)
{
    const struct pv_value *uid = pv_request_value(request, PV_A_USER_UID);
    const struct pv_value *name = pv_request_value(request, PV_A_USER_NAME);
    const struct pv_value *owner_uid = pv_request_value(request, PV_A_PACKAGE_OWNER_UID);
    const struct pv_value *owner = pv_request_value(request, PV_A_PACKAGE_OWNER);
    if (uid->state == PV_NOT_KNOWN || owner_uid->state == PV_NOT_KNOWN)
        return PV_UNKNOWN;
    if (uid->state == PV_PRESENT && uid->number >= 0 && owner_uid->state == PV_PRESENT && owner_uid->number >= 0)
        return truth(uid->number == owner_uid->number);
    if (owner->state != PV_PRESENT)
        return owner->state == PV_ABSENT ? PV_FALSE : PV_UNKNOWN;
    return name->state == PV_PRESENT ? truth(same(&owner->string, &name->string)) : PV_UNKNOWN;
}

static enum pv_truth in_window(const struct pv_request *request, uint32_t window)
{
    for (int slot = PV_A_TIME_DATE; slot <= PV_A_TIME_WEEKDAY; slot++)
        if (pv_request_value(request, slot)->state == PV_NOT_KNOWN)
            return PV_UNKNOWN;
    return truth(pv_request_in_window(request, window));
}

/* The order of the command at hand, where the expression names none. */
static enum pv_order order_of(const struct pv_ir_expr *expr, const struct pv_request *request)
{
    if (expr->order != PV_ORDER_COMMAND)
        return expr->order;
    const struct pv_bundle *bundle = pv_request_bundle(request);
    const struct pv_value *name = pv_request_value(request, PV_A_COMMAND);
    int command = pv_bundle_command(bundle, name->string.ptr, name->string.len);
    const struct pvb_command *rows = pv_bundle_section(bundle, PVB_COMMANDS, NULL);
    return command < 0 ? PV_ORDER_DPKG : (enum pv_order)rows[command].order;
}

static enum pv_truth test_pair(const struct pv_ir_expr *expr, const struct pv_request *request,
                               const struct pv_value *value)
{
    const struct pv_value *other = pv_request_value(request, expr->slot2);
    if (other->state != PV_PRESENT)
        return PV_UNKNOWN;
    switch (expr->kind) {
    case PV_IR_INT2: return truth(compares(expr->cmp, value->number, other->number));
    case PV_IR_STR2: return truth(same(&value->string, &other->string));
    case PV_IR_IN2: return truth(holds(other, &value->string));
    case PV_IR_OVERLAPS2: return truth(share(value, other));
    case PV_IR_VER2:
        return truth(compares(expr->cmp,
                              pv_version_compare(order_of(expr, request), value->string.ptr, value->string.len,
                                                 other->string.ptr, other->string.len),
                              0));
    default: return PV_UNKNOWN;
    }
}

static enum pv_truth test(const struct pv_ir_expr *expr, const struct pv_request *request)
{
    const struct pv_value *value = pv_request_value(request, expr->slot);
    if (expr->kind == PV_IR_HAS)
        return value->state == PV_NOT_KNOWN ? PV_UNKNOWN : truth(value->state == PV_PRESENT);
    if (value->state != PV_PRESENT)
        return PV_UNKNOWN;
    switch (expr->kind) {
    case PV_IR_BOOL: return truth(value->number != 0);
    case PV_IR_INT: return truth(compares(expr->cmp, value->number, expr->number));
    case PV_IR_STR: return truth(is(&value->string, expr->string));
    case PV_IR_IN: return truth(is_in(expr->set, &value->string));
    case PV_IR_MEMBER: {
        const struct pv_str member = {expr->string.ptr, expr->string.len, 0};
        return truth(holds(value, &member));
    }
    case PV_IR_OVERLAPS: return truth(overlaps(value, expr->set));
    case PV_IR_LIKE: return truth(matches(expr->glob, &value->string));
    case PV_IR_VER:
        return truth(compares(expr->cmp,
                              pv_version_compare(order_of(expr, request), value->string.ptr, value->string.len,
                                                 expr->string.ptr, expr->string.len),
                              0));
    default: return test_pair(expr, request, value);
    }
}

enum pv_truth pv_ir_eval(const struct pv_ir_expr *expr, const struct pv_request *request)
{
    enum pv_truth result, kid;
    switch (expr->kind) {
    case PV_IR_CONST: return truth(expr->number != 0);
    case PV_IR_NOT: return (enum pv_truth)(PV_TRUE - pv_ir_eval(expr->kids[0], request));
    case PV_IR_AND:
    case PV_IR_OR:
        result = expr->kind == PV_IR_AND ? PV_TRUE : PV_FALSE;
        for (uint32_t i = 0; i < expr->n_kids; i++) {
            kid = pv_ir_eval(expr->kids[i], request);
            if (expr->kind == PV_IR_AND ? kid < result : kid > result)
                result = kid;
            if (result == (expr->kind == PV_IR_AND ? PV_FALSE : PV_TRUE))
                break;
        }
        return result;
    case PV_IR_IN_WINDOW: return in_window(request, expr->window);
    case PV_IR_OWN: return owns(request);
    default: return test(expr, request);
    }
}

/* ---- What is read ---- */

struct reads {
    uint16_t *slots;
    uint32_t n, capacity;
};

static void add(struct reads *reads, int slot)
{
    for (uint32_t i = 0; i < reads->n; i++)
        if (reads->slots[i] == slot)
            return;
    if (reads->n < reads->capacity)
        reads->slots[reads->n++] = (uint16_t)slot;
}

static void collect(struct reads *reads, const struct pv_ir_expr *expr)
{
    switch (expr->kind) {
    case PV_IR_CONST: return;
    case PV_IR_NOT:
    case PV_IR_AND:
    case PV_IR_OR:
        for (uint32_t i = 0; i < expr->n_kids && reads->n < reads->capacity; i++)
            collect(reads, expr->kids[i]);
        return;
    case PV_IR_IN_WINDOW:
        add(reads, PV_A_TIME_DATE);
        add(reads, PV_A_TIME_CLOCK);
        add(reads, PV_A_TIME_WEEKDAY);
        return;
    case PV_IR_OWN:
        add(reads, PV_A_USER_NAME);
        add(reads, PV_A_USER_UID);
        add(reads, PV_A_PACKAGE_OWNER);
        add(reads, PV_A_PACKAGE_OWNER_UID);
        return;
    default: break;
    }
    add(reads, expr->slot);
    if (expr->kind == PV_IR_INT2 || expr->kind == PV_IR_STR2 || expr->kind == PV_IR_IN2 ||
        expr->kind == PV_IR_OVERLAPS2 || expr->kind == PV_IR_VER2)
        add(reads, expr->slot2);
}

uint32_t pv_ir_reads(const struct pv_ir_expr *expr, uint16_t *slots, uint32_t n)
{
    struct reads reads = {slots, 0, n};
    collect(&reads, expr);
    return reads.n;
}
