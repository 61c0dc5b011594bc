/* Tokens to a document. The functions follow the grammar's productions as far as layout needs them; every token passes
 * through emit(), and what stands between two tokens is decided by the one call of gap() between them. Comments wait
 * there: one that stands where no line can end (before `;`, `,`, `.`) moves behind it.
 *
 * The text is known to be a policy, so a function takes what must come without looking. */
#include "engine/format_internal.h"
#include "grammar/lexer.h"
#include "grammar/policy.h"

struct builder {
    struct pv_arena *arena;
    struct fmt_tokens *tokens;
    struct fmt_document *document;
    size_t at;      /* the next token, never a dropped one */
    uint32_t done;  /* comments given out */
    bool fresh;     /* behind an opening brace or at the start: no blank line here */
    bool in_tail;   /* inside the set that may break alone */
    uint32_t *open; /* groups */
    size_t n_open, capacity;
};

/* ---- Tokens and operations ---- */

static void skip_dropped(struct builder *b)
{
    while (b->tokens->list[b->at].dropped)
        b->at++;
}

static const struct fmt_token *token(const struct builder *b)
{
    return &b->tokens->list[b->at];
}

static unsigned kind(const struct builder *b)
{
    return token(b)->kind;
}

/* The kind of the token behind the next. */
static unsigned kind_behind(const struct builder *b)
{
    const struct fmt_token *t = token(b);
    return t->kind == PV_TOK_END ? PV_TOK_END : t[1].kind;
}

static struct fmt_op *push(struct builder *b, enum fmt_op_kind op)
{
    struct fmt_document *d = b->document;
    d->ops = pv_arena_grow(b->arena, d->ops, d->n, &d->capacity, d->n + 1, sizeof *d->ops);
    d->ops[d->n] = (struct fmt_op){.op = (uint8_t)op};
    return &d->ops[d->n++];
}

static uint32_t begin(struct builder *b)
{
    uint32_t index = (uint32_t)b->document->n;
    push(b, FMT_BEGIN);
    b->open = pv_arena_grow(b->arena, b->open, b->n_open, &b->capacity, b->n_open + 1, sizeof *b->open);
    b->open[b->n_open++] = index;
    return index;
}

static void end(struct builder *b)
{
    uint32_t index = b->open[--b->n_open];
    b->document->ops[index].match = (uint32_t)b->document->n;
    push(b, FMT_END);
}

/* Breaks the open groups. A group whose tail may break alone is not broken from inside that tail. */
static void force(struct builder *b)
{
    for (size_t i = 0; i < b->n_open; i++) {
        struct fmt_op *group = &b->document->ops[b->open[i]];
        if (!(b->in_tail && group->tail))
            group->forced = true;
    }
}

static uint32_t item(struct builder *b)
{
    push(b, FMT_ITEM);
    return (uint32_t)b->document->n - 1;
}

static void end_item(struct builder *b, uint32_t index)
{
    b->document->ops[index].match = (uint32_t)b->document->n;
    push(b, FMT_ITEM_END);
}

static void align(struct builder *b, unsigned with)
{
    push(b, FMT_ALIGN)->kind = (uint16_t)with;
}

static void emit(struct builder *b)
{
    const struct fmt_token *t = token(b);
    if (t->kind == PV_TOK_END)
        return;
    struct fmt_op *op = push(b, FMT_TEXT);
    op->text = t->text;
    op->len = t->len;
    op->width = t->width;
    b->fresh = false;
    b->at++;
    skip_dropped(b);
}

/* ---- What stands between two tokens ---- */

static void put_comment(struct builder *b, enum fmt_op_kind kind, uint32_t index, bool continues)
{
    const struct fmt_comment *comment = &b->tokens->comments[index];
    struct fmt_op *op = push(b, kind);
    op->text = comment->text;
    op->len = comment->len;
    op->width = comment->width;
    op->continues = continues;
}

static void newline(struct builder *b, bool blank)
{
    push(b, FMT_NEWLINE)->blank = blank && !b->fresh;
    b->fresh = false;
}

/* The comments before the next token, if any, each on its line; the line behind the last is still to be ended. */
static bool put_comments(struct builder *b, bool blanks, bool indent)
{
    const struct fmt_comment *comments = b->tokens->comments;
    uint32_t i = b->done, last = token(b)->n_comments;
    if (i >= last)
        return false;
    force(b);
    if (b->document->n && comments[i].trailing) {
        put_comment(b, FMT_TRAILING, i, false);
        for (i++; i < last && comments[i].continues; i++)
            put_comment(b, FMT_TRAILING, i, true);
    }
    if (indent)
        push(b, FMT_INDENT);
    for (; i < last; i++) {
        newline(b, blanks && comments[i].blank);
        put_comment(b, FMT_COMMENT, i, false);
    }
    b->done = last;
    return true;
}

/* Space, or a possible line break, before the next token; `blanks`: blank lines are kept. No line ends at a space
 * before an opening bracket: comments wait for the break behind it. */
static void gap(struct builder *b, enum fmt_op_kind how, bool blanks)
{
    if (how == FMT_SPACE && (kind(b) == PV_TOK_LBRACE || kind(b) == PV_TOK_LPAREN)) {
        push(b, FMT_SPACE);
        return;
    }
    bool blank = blanks && token(b)->blank;
    if (put_comments(b, blanks, how == FMT_SPACE)) {
        newline(b, blank);
        if (how == FMT_SPACE)
            push(b, FMT_DEDENT);
    } else if (how == FMT_NEWLINE) {
        force(b);
        newline(b, blank);
    } else {
        push(b, how)->blank = blank && !b->fresh;
    }
    b->fresh = false;
}

/* The same before a closing `}` or `)`: comments stand inside, the bracket outside. */
static void gap_close(struct builder *b, enum fmt_op_kind how, bool blanks)
{
    bool comments = put_comments(b, blanks, false);
    b->fresh = false;
    push(b, FMT_DEDENT);
    if (comments)
        newline(b, false);
    else
        push(b, how);
}

static void space(struct builder *b)
{
    gap(b, FMT_SPACE, false);
}

/* A space at which no line ends, whatever comments wait. */
static void stiff_space(struct builder *b)
{
    push(b, FMT_SPACE);
}

/* The next token, and a space before the one behind it. */
static void word(struct builder *b)
{
    emit(b);
    space(b);
}

/* ---- Sets ---- */

static void set_item(struct builder *b)
{
    if (kind(b) == PV_TOK_LIKE)
        word(b);
    emit(b);
}

/* Whether the members from the next on, up to a blank line or a comment, have the author's line breaks no more: a line
 * of several members would be too long, so they are filled into lines anew. */
static bool refills(const struct builder *b)
{
    const struct fmt_token *t = token(b);
    uint32_t comments = t->n_comments, width = PV_FORMAT_INDENT, members = 0;
    for (bool first = true; t->kind != PV_TOK_RBRACE && t->kind != PV_TOK_END; t++, first = false) {
        bool begins = !first && t[-1].kind == PV_TOK_COMMA;
        if (begins && (t->blank || t->n_comments > comments))
            break;
        if (begins && t->breaks) {
            width = PV_FORMAT_INDENT;
            members = 0;
        }
        members += first || begins;
        width += t->width + (t->kind != PV_TOK_COMMA && width > PV_FORMAT_INDENT);
        if (width + (t->kind == PV_TOK_STRING || t->kind == PV_TOK_IDENT) > PV_FORMAT_WIDTH && members > 1)
            return true;
    }
    return false;
}

/* Breaks between members are the author's where the set stands on several lines, which it does where it is too long or
 * a line ends behind its brace. */
static void set(struct builder *b)
{
    begin(b);
    emit(b);
    b->fresh = true;
    if (kind(b) == PV_TOK_RBRACE && b->done >= token(b)->n_comments) {
        emit(b);
        end(b);
        return;
    }
    if (token(b)->breaks)
        force(b);
    push(b, FMT_INDENT);
    bool any = kind(b) != PV_TOK_RBRACE, refill = refills(b);
    if (any)
        gap(b, FMT_LINE, true);
    while (kind(b) != PV_TOK_RBRACE && kind(b) != PV_TOK_END) {
        set_item(b);
        if (kind(b) != PV_TOK_COMMA)
            break;
        if (kind_behind(b) == PV_TOK_RBRACE) {
            b->at++;
            break;
        }
        emit(b);
        bool paragraph = token(b)->blank || token(b)->n_comments > b->done;
        if (paragraph)
            refill = refills(b);
        gap(b, paragraph || (token(b)->breaks && !refill) ? FMT_LINE : FMT_FILL, true);
    }
    if (any)
        push(b, FMT_COMMA);
    gap_close(b, FMT_LINE, true);
    emit(b);
    end(b);
}

/* ---- Expressions ---- */

static size_t joined(struct builder *b, enum fmt_mode mode, unsigned joint, bool flush);

static void parens(struct builder *b, enum fmt_mode mode)
{
    begin(b);
    emit(b);
    push(b, FMT_INDENT);
    gap(b, FMT_SOFT, false);
    joined(b, mode, PV_TOK_OR, true);
    gap_close(b, FMT_SOFT, false);
    emit(b);
    end(b);
}

/* `name` or `name.name`. */
static void path(struct builder *b)
{
    emit(b);
    while (kind(b) == PV_TOK_DOT) {
        emit(b);
        emit(b);
    }
}

static void operand(struct builder *b, enum fmt_mode mode)
{
    while (kind(b) == PV_TOK_NOT)
        word(b);
    if (mode != FMT_EXPRESSION) {
        if (kind(b) == PV_TOK_LPAREN) {
            parens(b, mode);
        } else if (kind(b) == PV_TOK_USER || kind(b) == PV_TOK_GROUP) {
            word(b);
            emit(b);
        } else {
            emit(b);
        }
        return;
    }
    for (bool first = true; !pv_fmt_ends_operand(kind(b)); first = false) {
        if (!first)
            space(b);
        if (kind(b) == PV_TOK_LPAREN)
            parens(b, mode);
        else if (kind(b) == PV_TOK_LBRACE)
            set(b);
        else
            path(b);
    }
}

/* Where they do not fit on one line, each operand has its own, led by its word and, but for `flush`, indented. Returns
 * the operation that indents. */
static size_t joined(struct builder *b, enum fmt_mode mode, unsigned joint, bool flush)
{
    begin(b);
    size_t indent = b->document->n, inner = 0, n = 1;
    push(b, FMT_NOTHING);
    for (;; n++) {
        if (joint == PV_TOK_OR)
            inner = joined(b, mode, PV_TOK_AND, false);
        else
            operand(b, mode);
        if (kind(b) != joint)
            break;
        if (!flush)
            b->document->ops[indent].op = FMT_INDENT;
        gap(b, FMT_LINE, false);
        word(b);
    }
    if (flush && n == 1)
        b->document->ops[inner].op = FMT_NOTHING;
    end(b);
    return indent;
}

static void expression(struct builder *b, enum fmt_mode mode)
{
    pv_fmt_drop_parens(b->tokens->list, b->at, mode);
    skip_dropped(b);
    joined(b, mode, PV_TOK_OR, false);
}

/* Names joined by `or`. */
static void names(struct builder *b)
{
    begin(b);
    emit(b);
    push(b, FMT_INDENT);
    while (kind(b) == PV_TOK_OR) {
        gap(b, FMT_LINE, false);
        word(b);
        emit(b);
    }
    end(b);
}

/* ---- Lists ---- */

/* Elements with commas, as many on a line as fit. */
static void list(struct builder *b, void (*element)(struct builder *))
{
    size_t indent = b->document->n;
    push(b, FMT_NOTHING);
    element(b);
    if (kind(b) != PV_TOK_COMMA)
        return;
    b->document->ops[indent].op = FMT_INDENT;
    while (kind(b) == PV_TOK_COMMA) {
        emit(b);
        gap(b, FMT_FILL, false);
        element(b);
    }
    push(b, FMT_DEDENT);
}

/* PATH = VALUE */
static void given(struct builder *b)
{
    path(b);
    space(b);
    word(b);
    if (kind(b) == PV_TOK_LBRACE)
        set(b);
    else
        emit(b);
}

static void duty(struct builder *b)
{
    unsigned which = kind(b);
    emit(b);
    if (which == PV_TOK_REASON)
        return;
    space(b);
    switch (which) {
    case PV_TOK_APPROVAL:
        word(b);
        expression(b, FMT_SUBJECT);
        break;
    case PV_TOK_ALERT: expression(b, FMT_SUBJECT); break;
    case PV_TOK_WINDOW: names(b); break;
    default: emit(b); break;
    }
}

/* ---- Rules ---- */

static bool is_clause(unsigned k)
{
    return k == PV_TOK_WHEN || k == PV_TOK_UNLESS || k == PV_TOK_DURING || k == PV_TOK_UNTIL || k == PV_TOK_BECAUSE;
}

static void clause(struct builder *b)
{
    unsigned which = kind(b);
    word(b);
    if (which == PV_TOK_WHEN || which == PV_TOK_UNLESS)
        expression(b, FMT_EXPRESSION);
    else if (which == PV_TOK_DURING)
        names(b);
    else
        emit(b);
}

/* Whether the next token opens the set that ends a statement. */
static bool opens_tail(const struct builder *b)
{
    const struct fmt_token *t = token(b);
    if (t->kind != PV_TOK_LBRACE)
        return false;
    while (t->kind != PV_TOK_RBRACE && t->kind != PV_TOK_END)
        t++;
    return t->kind == PV_TOK_RBRACE && t[1].kind == PV_TOK_SEMI;
}

static void object(struct builder *b, uint32_t head)
{
    if (kind(b) == PV_TOK_LIKE)
        word(b);
    if (opens_tail(b)) {
        b->document->ops[head].tail = (uint32_t)b->document->n;
        b->in_tail = true;
        set(b);
        b->in_tail = false;
    } else if (kind(b) == PV_TOK_LBRACE) {
        set(b);
    } else {
        emit(b);
    }
}

static bool with_dependencies(const struct builder *b)
{
    return kind(b) == PV_TOK_WITH && kind_behind(b) == PV_TOK_DEPENDENCIES;
}

/* COMMANDS [OBJECT] [except OBJECT] [with dependencies] [from SOURCES] */
static void target(struct builder *b, uint32_t head)
{
    list(b, emit);
    if (kind(b) != PV_TOK_EXCEPT && kind(b) != PV_TOK_FROM && kind(b) != PV_TOK_SEMI && !is_clause(kind(b)) &&
        !with_dependencies(b)) {
        space(b);
        object(b, head);
    }
    if (kind(b) == PV_TOK_EXCEPT) {
        gap(b, FMT_LINE, false);
        word(b);
        object(b, head);
    }
    if (with_dependencies(b)) {
        gap(b, FMT_LINE, false);
        word(b);
        emit(b);
    }
    if (kind(b) == PV_TOK_FROM) {
        gap(b, FMT_LINE, false);
        word(b);
        expression(b, FMT_SOURCES);
    }
}

/* From `allow`, `require`, `direct` or an assertion's `never` to the last clause. The clauses stand on lines of their
 * own where they do not fit beside the head, or where the author's first one did; so do the parts of a head that does
 * not fit on one line. */
static void rule(struct builder *b)
{
    begin(b);
    uint32_t head = begin(b);
    bool quantified = kind(b) == PV_TOK_NEVER || kind(b) == PV_TOK_ALWAYS || kind(b) == PV_TOK_SOMETIMES;
    if (quantified)
        word(b);
    bool require = kind(b) == PV_TOK_REQUIRE;
    word(b);
    push(b, FMT_INDENT);
    if (require) {
        duty(b);
        gap(b, FMT_LINE, false);
        if (!quantified)
            align(b, PV_TOK_FOR);
        word(b);
    }
    expression(b, FMT_SUBJECT);
    if (kind(b) == PV_TOK_TO) {
        gap(b, FMT_LINE, false);
        word(b);
        target(b, head);
    }
    end(b);
    push(b, FMT_INDENT);
    if (is_clause(kind(b)) && token(b)->breaks)
        force(b);
    while (is_clause(kind(b))) {
        gap(b, FMT_LINE, false);
        clause(b);
    }
    emit(b);
    end(b);
}

static void annotations(struct builder *b)
{
    while (kind(b) == PV_TOK_AT) {
        for (int i = 0; i < 5; i++) /* @ name ( string ) */
            emit(b);
        gap(b, kind(b) != PV_TOK_AT || token(b)->breaks ? FMT_NEWLINE : FMT_FILL, false);
    }
}

static void assertion(struct builder *b)
{
    begin(b);
    word(b);
    emit(b);
    emit(b);
    push(b, FMT_INDENT);
    gap(b, FMT_LINE, false);
    align(b, PV_TOK_ASSERT);
    rule(b);
    end(b);
}

/* ---- Windows ---- */

static bool in_alternative(unsigned k)
{
    return k == PV_TOK_ORDINAL || k == PV_TOK_LAST || k == PV_TOK_DATE || k == PV_TOK_YEARLY || k == PV_TOK_CLOCK ||
           (k >= PV_TOK_MON && k <= PV_TOK_SUN);
}

static void alternative(struct builder *b)
{
    bool named = !in_alternative(kind(b)) ||
                 (kind(b) == PV_TOK_LAST && !(kind_behind(b) >= PV_TOK_MON && kind_behind(b) <= PV_TOK_SUN));
    emit(b);
    while (!named) {
        if (kind(b) == PV_TOK_DOTDOT) {
            emit(b);
        } else if (kind(b) == PV_TOK_COMMA) {
            emit(b);
            gap(b, FMT_FILL, false);
        } else if (in_alternative(kind(b))) {
            space(b);
        } else {
            break;
        }
        emit(b);
    }
}

static void alternatives(struct builder *b)
{
    begin(b);
    push(b, FMT_INDENT);
    alternative(b);
    while (kind(b) == PV_TOK_OR) {
        gap(b, FMT_LINE, false);
        word(b);
        alternative(b);
    }
    end(b);
}

static void window(struct builder *b)
{
    begin(b);
    alternatives(b);
    push(b, FMT_INDENT);
    while (kind(b) == PV_TOK_EXCEPT || kind(b) == PV_TOK_ZONE) {
        gap(b, FMT_LINE, false);
        bool except = kind(b) == PV_TOK_EXCEPT;
        word(b);
        if (except)
            alternatives(b);
        else
            emit(b);
    }
    emit(b);
    end(b);
}

/* ---- Blocks ---- */

/* A block stays on one line where it fits there and was begun there. */
static void block(struct builder *b, unsigned with, void (*statement)(struct builder *))
{
    stiff_space(b);
    align(b, with);
    begin(b);
    emit(b);
    b->fresh = true;
    if (kind(b) == PV_TOK_RBRACE && b->done >= token(b)->n_comments) {
        emit(b);
        end(b);
        return;
    }
    if (token(b)->breaks)
        force(b);
    push(b, FMT_INDENT);
    bool any = kind(b) != PV_TOK_RBRACE;
    if (any)
        gap(b, FMT_LINE, true);
    while (kind(b) != PV_TOK_RBRACE && kind(b) != PV_TOK_END) {
        uint32_t index = item(b);
        statement(b);
        end_item(b, index);
        if (kind(b) != PV_TOK_RBRACE)
            gap(b, FMT_LINE, true);
    }
    gap_close(b, FMT_LINE, true);
    emit(b);
    end(b);
}

/* Up to and with `;`, a space between words. */
static void plain(struct builder *b)
{
    emit(b);
    while (kind(b) != PV_TOK_SEMI && kind(b) != PV_TOK_END) {
        unsigned k = kind(b);
        if (k != PV_TOK_COLON && k != PV_TOK_LPAREN && k != PV_TOK_RPAREN)
            space(b);
        if (k == PV_TOK_LBRACE) {
            set(b);
            continue;
        }
        path(b);
        if (k == PV_TOK_LPAREN)
            emit(b);
    }
    emit(b);
}

static void run(struct builder *b)
{
    push(b, FMT_INDENT);
    word(b);
    path(b);
    while (kind(b) != PV_TOK_SEMI && kind(b) != PV_TOK_END) {
        gap(b, FMT_FILL, false);
        path(b);
    }
    emit(b);
    push(b, FMT_DEDENT);
}

static void property(struct builder *b)
{
    if (kind(b) == PV_TOK_RUN)
        run(b);
    else
        plain(b);
}

static bool expect_clause(const struct builder *b)
{
    unsigned k = kind(b);
    return k == PV_TOK_FROM || k == PV_TOK_WITH || k == PV_TOK_BY || k == PV_TOK_REQUIRING || k == PV_TOK_BECAUSE;
}

static void expect(struct builder *b)
{
    begin(b);
    word(b);
    word(b);
    align(b, PV_TOK_EXPECT);
    b->document->ops[b->document->n - 1].spread = true;
    emit(b);
    push(b, FMT_INDENT);
    if (kind(b) == PV_TOK_STRING) {
        space(b);
        list(b, emit);
    }
    bool first = true;
    if (kind(b) == PV_TOK_FROM) {
        gap(b, FMT_FILL, false);
        word(b);
        emit(b);
    }
    while (expect_clause(b)) {
        if (first && token(b)->breaks)
            force(b);
        first = false;
        gap(b, FMT_LINE, false);
        unsigned which = kind(b);
        word(b);
        switch (which) {
        case PV_TOK_WITH: list(b, given); break;
        case PV_TOK_REQUIRING: list(b, duty); break;
        case PV_TOK_FROM: emit(b); break;
        default: list(b, emit); break;
        }
    }
    emit(b);
    end(b);
}

static void step(struct builder *b)
{
    unsigned which = kind(b);
    if (which == PV_TOK_EXPECT) {
        expect(b);
        return;
    }
    word(b);
    if (which == PV_TOK_GIVEN) {
        list(b, given);
    } else {
        emit(b);
        if (kind(b) == PV_TOK_IN) {
            space(b);
            word(b);
            list(b, emit);
        }
    }
    emit(b);
}

/* ---- Statements ---- */

/* KEYWORD NAME =, with the space behind. */
static void becomes(struct builder *b, unsigned with)
{
    word(b);
    emit(b);
    stiff_space(b);
    align(b, with);
    word(b);
}

static void policy(struct builder *b)
{
    begin(b);
    word(b);
    emit(b);
    push(b, FMT_INDENT);
    while (kind(b) != PV_TOK_SEMI && kind(b) != PV_TOK_END) {
        bool pair = kind(b) != PV_TOK_STRING;
        gap(b, FMT_LINE, false);
        if (pair)
            word(b);
        emit(b);
    }
    emit(b);
    end(b);
}

static void statement(struct builder *b)
{
    annotations(b);
    unsigned which = kind(b);
    switch (which) {
    case PV_TOK_POLICY: policy(b); break;
    case PV_TOK_ROLE:
    case PV_TOK_SOURCES:
    case PV_TOK_CONDITION:
        begin(b);
        becomes(b, which);
        expression(b, which == PV_TOK_ROLE ? FMT_SUBJECT : which == PV_TOK_SOURCES ? FMT_SOURCES : FMT_EXPRESSION);
        emit(b);
        end(b);
        break;
    case PV_TOK_SET:
        becomes(b, which);
        if (kind(b) != PV_TOK_LBRACE) {
            plain(b);
            break;
        }
        set(b);
        emit(b);
        break;
    case PV_TOK_WINDOW:
        becomes(b, which);
        window(b);
        break;
    case PV_TOK_ALLOW:
    case PV_TOK_DENY:
    case PV_TOK_REQUIRE:
    case PV_TOK_DIRECT: rule(b); break;
    case PV_TOK_ASSERT: assertion(b); break;
    case PV_TOK_SOURCE:
    case PV_TOK_COMMAND:
    case PV_TOK_TEST:
        word(b);
        emit(b);
        block(b, which, which == PV_TOK_TEST ? step : property);
        break;
    default: plain(b); break; /* import, attribute */
    }
}

void pv_fmt_build(struct fmt_document *document, struct pv_arena *arena, struct fmt_tokens *tokens)
{
    struct builder *b = PV_NEW(arena, struct builder);
    *b = (struct builder){.arena = arena, .tokens = tokens, .document = document, .fresh = true};
    gap(b, FMT_NEWLINE, true);
    while (kind(b) != PV_TOK_END) {
        size_t before = b->at;
        uint32_t index = item(b);
        statement(b);
        end_item(b, index);
        if (b->at == before)
            return;
        gap(b, FMT_NEWLINE, kind(b) != PV_TOK_END);
    }
}
