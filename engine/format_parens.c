/* Parentheses that say nothing, marked as dropped before an expression is laid out.
 *
 * `or` < `and` < `not` < comparison. A pair goes where the tree without it means the same, and stays where it is a help
 * to readers though it changes nothing: round an `and` in an `or`, and round a comparison that is denied. There it is
 * the author's: it is never put in. */
#include "engine/format_internal.h"
#include "grammar/lexer.h"
#include "grammar/policy.h"

/* Where an operand ends, for `k` outside brackets. */
bool pv_fmt_ends_operand(unsigned k)
{
    switch (k) {
    case PV_TOK_END:
    case PV_TOK_SEMI:
    case PV_TOK_RPAREN:
    case PV_TOK_AND:
    case PV_TOK_OR:
    case PV_TOK_WHEN:
    case PV_TOK_UNLESS:
    case PV_TOK_DURING:
    case PV_TOK_UNTIL:
    case PV_TOK_BECAUSE: return true;
    default: return false;
    }
}

/* What an expression is at its top. */
enum shape { ATOM, COMPARISON, NOT, AND, OR, PARENS, WHOLE };

struct shaped {
    enum shape shape;
    enum shape inner;   /* of PARENS: what they hold */
    size_t open, close; /* of PARENS */
};

static bool is_comparison(unsigned k)
{
    return k == PV_TOK_EQ || k == PV_TOK_NE || k == PV_TOK_LT || k == PV_TOK_LE || k == PV_TOK_GT || k == PV_TOK_GE ||
           k == PV_TOK_IN || k == PV_TOK_LIKE || k == PV_TOK_OVERLAPS;
}

/* What stands as an operand of `around`: parentheses go where they change nothing and are no help either. They help
 * round an `and` in an `or` or a comparison that is denied, so there they are the author's. */
static enum shape settle(struct fmt_token *list, const struct shaped *s, enum shape around)
{
    if (s->shape != PARENS)
        return s->shape;
    bool idle = false;
    switch (around) {
    case OR: idle = s->inner != AND; break;
    case AND: idle = s->inner != OR; break;
    case NOT: idle = s->inner == ATOM || s->inner == NOT; break;
    case COMPARISON: idle = s->inner == ATOM; break;
    default: idle = true; break; /* the whole expression, or within other parentheses */
    }
    if (!idle)
        return PARENS;
    list[s->open].dropped = list[s->close].dropped = true;
    return s->inner;
}

static struct shaped shape_or(struct fmt_token *list, size_t *at, enum fmt_mode mode);

static struct shaped shape_parens(struct fmt_token *list, size_t *at, enum fmt_mode mode)
{
    struct shaped s = {.shape = PARENS, .open = (*at)++};
    struct shaped inner = shape_or(list, at, mode);
    s.inner = settle(list, &inner, PARENS);
    s.close = *at;
    if (list[*at].kind == PV_TOK_RPAREN)
        ++*at;
    return s;
}

static struct shaped shape_operand(struct fmt_token *list, size_t *at, enum fmt_mode mode)
{
    struct shaped s = {.shape = ATOM};
    if (list[*at].kind == PV_TOK_NOT) {
        ++*at;
        s = shape_operand(list, at, mode);
        settle(list, &s, NOT);
        return (struct shaped){.shape = NOT};
    }
    if (list[*at].kind == PV_TOK_LPAREN) {
        s = shape_parens(list, at, mode);
        if (mode != FMT_EXPRESSION || !is_comparison(list[*at].kind))
            return s;
        settle(list, &s, COMPARISON);
        s = (struct shaped){.shape = COMPARISON};
    } else if (mode != FMT_EXPRESSION) {
        bool quoted = list[*at].kind == PV_TOK_USER || list[*at].kind == PV_TOK_GROUP;
        *at += (size_t)(list[*at].kind != PV_TOK_END) + (quoted && list[*at + 1].kind == PV_TOK_STRING);
        return s;
    }
    while (!pv_fmt_ends_operand(list[*at].kind)) {
        if (list[*at].kind == PV_TOK_LPAREN) {
            struct shaped right = shape_parens(list, at, mode);
            settle(list, &right, COMPARISON);
            continue;
        }
        if (is_comparison(list[*at].kind) || list[*at].kind == PV_TOK_HAS)
            s.shape = COMPARISON;
        ++*at;
    }
    return s;
}

/* Operands joined by one word; a single operand is left to whoever asked. */
static struct shaped shape_joined(struct fmt_token *list, size_t *at, enum fmt_mode mode, enum shape join)
{
    unsigned joint = join == OR ? PV_TOK_OR : PV_TOK_AND;
    struct shaped s = join == OR ? shape_joined(list, at, mode, AND) : shape_operand(list, at, mode);
    if (list[*at].kind != joint)
        return s;
    settle(list, &s, join);
    while (list[*at].kind == joint) {
        ++*at;
        s = join == OR ? shape_joined(list, at, mode, AND) : shape_operand(list, at, mode);
        settle(list, &s, join);
    }
    return (struct shaped){.shape = join};
}

static struct shaped shape_or(struct fmt_token *list, size_t *at, enum fmt_mode mode)
{
    return shape_joined(list, at, mode, OR);
}

void pv_fmt_drop_parens(struct fmt_token *list, size_t at, enum fmt_mode mode)
{
    struct shaped s = shape_or(list, &at, mode);
    settle(list, &s, WHOLE);
}
