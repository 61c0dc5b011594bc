/* A document to lines, and neighbouring lines to columns.
 *
 * Whether a group is broken is decided once, at its beginning, by widths on one line; looking ahead ends with the line,
 * so the whole is linear in the text. Alignment comes afterwards and only ever adds spaces inside lines that are
 * statements of their own: it breaks nothing, and where it would make a line too long, or a gap too wide, there is
 * none. */
#include <string.h>

#include "engine/format_internal.h"

#define COMMENT_GAP 2u /* spaces before a trailing comment */

struct line {
    size_t start, len; /* of its code, in the buffer */
    uint32_t indent, width;
    uint32_t item;                 /* operation of the outermost statement that begins here; 0: none */
    bool single;                   /* which ends here, too */
    bool continues;                /* holds a comment that continues the one above */
    uint16_t align;                /* whom it aligns with; 0: nobody */
    bool align_spread;             /* though it goes on below */
    size_t align_at;               /* bytes of code before the column */
    uint32_t align_width, padding; /* columns before it; spaces to add there */
    const struct fmt_op *comment;  /* trailing, or NULL */
    uint32_t comment_column;
};

struct level {
    bool flat;
    uint32_t indent;
    uint32_t tail; /* the group that is broken all the same */
};

struct layout {
    struct pv_arena *arena;
    const struct fmt_op *ops;
    size_t n_ops;
    char *text;
    size_t n_text, text_capacity;
    struct line *lines;
    size_t n_lines, line_capacity;
    struct level *levels;
    size_t n_levels, level_capacity;
    uint32_t *items; /* lines on which the open statements begin */
    size_t n_items, item_capacity;
};

static struct line *last_line(struct layout *l)
{
    return &l->lines[l->n_lines - 1];
}

static struct level *level(struct layout *l)
{
    return &l->levels[l->n_levels - 1];
}

static void start_line(struct layout *l)
{
    uint32_t indent = level(l)->indent;
    l->lines = pv_arena_grow(l->arena, l->lines, l->n_lines, &l->line_capacity, l->n_lines + 1, sizeof *l->lines);
    l->lines[l->n_lines++] = (struct line){.start = l->n_text, .indent = indent, .width = indent};
}

static void break_line(struct layout *l, bool blank)
{
    struct line *line = last_line(l);
    if (l->n_lines == 1 && !line->len && !line->comment) {
        line->indent = line->width = level(l)->indent;
        return; /* nothing is before the first line */
    }
    start_line(l);
    if (blank)
        start_line(l);
}

static void put(struct layout *l, const char *text, uint32_t len, uint32_t width)
{
    l->text = pv_arena_grow(l->arena, l->text, l->n_text, &l->text_capacity, l->n_text + len, 1);
    memcpy(l->text + l->n_text, text, len);
    l->n_text += len;
    last_line(l)->len += len;
    last_line(l)->width += width;
}

/* ---- Breaking ---- */

/* Whether the operations from `at` on fit behind `width` columns, up to the line's end or to `until`; groups that begin
 * there count as on one line. */
static bool fits(const struct layout *l, uint32_t width, size_t at, size_t until)
{
    int depth = 0;
    for (; at < until && width <= PV_FORMAT_WIDTH; at++) {
        const struct fmt_op *op = &l->ops[at];
        switch (op->op) {
        case FMT_TEXT: width += op->width; break;
        case FMT_SPACE: width++; break;
        case FMT_COMMA: width += depth <= 0; break;
        case FMT_LINE:
        case FMT_FILL:
        case FMT_SOFT:
            if (depth <= 0)
                return true;
            width += op->op != FMT_SOFT;
            break;
        case FMT_NEWLINE:
        case FMT_TRAILING: return true;
        case FMT_BEGIN: depth++; break;
        case FMT_END: depth--; break;
        default: break;
        }
    }
    return width <= PV_FORMAT_WIDTH;
}

static void begin(struct layout *l, size_t at)
{
    const struct fmt_op *op = &l->ops[at];
    struct level outer = *level(l), inner = {.indent = outer.indent};
    uint32_t width = last_line(l)->width;
    if (outer.flat) {
        inner.flat = outer.tail != at;
        inner.tail = outer.tail;
    } else if (!op->forced) {
        bool tail_forced = op->tail && l->ops[op->tail].forced;
        inner.flat = !tail_forced && fits(l, width, at, l->n_ops);
        if (!inner.flat && op->tail && fits(l, width, at, (size_t)op->tail + 2)) {
            inner.flat = true;
            inner.tail = op->tail;
        }
    }
    l->levels = pv_arena_grow(l->arena, l->levels, l->n_levels, &l->level_capacity, l->n_levels + 1, sizeof *l->levels);
    l->levels[l->n_levels++] = inner;
}

static void open_item(struct layout *l, size_t at)
{
    l->items = pv_arena_grow(l->arena, l->items, l->n_items, &l->item_capacity, l->n_items + 1, sizeof *l->items);
    l->items[l->n_items++] = (uint32_t)l->n_lines - 1;
    if (!last_line(l)->item)
        last_line(l)->item = (uint32_t)at;
}

static bool outermost(struct layout *l, const struct fmt_op *end)
{
    const struct line *line = last_line(l);
    return l->n_items && l->items[l->n_items - 1] == l->n_lines - 1 && &l->ops[l->ops[line->item].match] == end;
}

static void align_here(struct layout *l, const struct fmt_op *op)
{
    struct line *line = last_line(l);
    /* Only the statement that the line begins with: its items are those open since before any other. */
    if (!line->item || line->align || !l->n_items || l->items[l->n_items - 1] != l->n_lines - 1)
        return;
    if (l->n_items > 1 && l->items[l->n_items - 2] == l->n_lines - 1)
        return;
    line->align = op->kind;
    line->align_spread = op->spread;
    line->align_at = line->len;
    line->align_width = line->width;
}

static void put_op(struct layout *l, size_t at)
{
    const struct fmt_op *op = &l->ops[at];
    struct level *current = level(l);
    switch ((enum fmt_op_kind)op->op) {
    case FMT_NOTHING: break;
    case FMT_TEXT:
    case FMT_COMMENT: put(l, op->text, op->len, op->width); break;
    case FMT_SPACE: put(l, " ", 1, 1); break;
    case FMT_LINE:
    case FMT_SOFT:
        if (!current->flat)
            break_line(l, op->blank);
        else if (op->op == FMT_LINE)
            put(l, " ", 1, 1);
        break;
    case FMT_FILL:
        if (current->flat || fits(l, last_line(l)->width + 1, at + 1, l->n_ops))
            put(l, " ", 1, 1);
        else
            break_line(l, false);
        break;
    case FMT_NEWLINE: break_line(l, op->blank); break;
    case FMT_COMMA:
        if (!current->flat)
            put(l, ",", 1, 1);
        break;
    case FMT_TRAILING:
        if (op->continues) {
            start_line(l);
            last_line(l)->continues = true;
        }
        last_line(l)->comment = op;
        break;
    case FMT_BEGIN: begin(l, at); break;
    case FMT_END: l->n_levels--; break;
    case FMT_INDENT: current->indent += current->flat ? 0 : PV_FORMAT_INDENT; break;
    case FMT_DEDENT: current->indent -= current->flat ? 0 : PV_FORMAT_INDENT; break;
    case FMT_ALIGN: align_here(l, op); break;
    case FMT_ITEM: open_item(l, at); break;
    case FMT_ITEM_END:
        last_line(l)->single = last_line(l)->single || outermost(l, op);
        l->n_items--;
        break;
    }
}

/* ---- Columns ---- */

static bool in_column(const struct line *line, const struct line *first)
{
    return (line->single || line->align_spread) && line->align == first->align && line->indent == first->indent;
}

/* One more than the last of the lines from `at` on that stand in one column; those between them that only go on with
 * a statement are among them. */
static size_t same_column(const struct layout *l, size_t at)
{
    const struct line *first = &l->lines[at];
    size_t to = at + 1;
    if (!first->align || !in_column(first, first))
        return to;
    for (; to < l->n_lines; to++) {
        const struct line *line = &l->lines[to];
        bool goes_on = first->align_spread && line->len && !line->item && line->indent > first->indent;
        if (!goes_on && !in_column(line, first))
            break;
    }
    return to;
}

static void align_run(struct line *lines, size_t n)
{
    const struct line *first = lines;
    uint32_t column = 0;
    for (size_t i = 0; i < n; i++)
        if (in_column(&lines[i], first) && lines[i].align_width > column)
            column = lines[i].align_width;
    for (size_t i = 0; i < n; i++) {
        uint32_t padding = column - lines[i].align_width;
        if (in_column(&lines[i], first) && (padding > PV_FORMAT_MAX_PAD || lines[i].width + padding > PV_FORMAT_WIDTH))
            return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!in_column(&lines[i], first))
            continue;
        lines[i].padding = column - lines[i].align_width;
        lines[i].width += lines[i].padding;
    }
}

/* A comment that continues stands below its first line, whatever the others do. `below` is the indentation of a comment
 * with a line of its own right below them, which must not seem to continue them. */
static void place_comments(struct line *lines, size_t n, uint32_t below)
{
    uint32_t column = 0;
    bool together = true;
    for (size_t i = 0; i < n; i++)
        if (!lines[i].continues && lines[i].width + COMMENT_GAP > column)
            column = lines[i].width + COMMENT_GAP;
    for (size_t i = 0, own = 0; i < n; i++) {
        own = lines[i].continues ? own : lines[i].width + COMMENT_GAP;
        bool fits_now = own + lines[i].comment->width <= PV_FORMAT_WIDTH;
        bool would_fit = column + lines[i].comment->width <= PV_FORMAT_WIDTH;
        together = together && column - own <= PV_FORMAT_MAX_PAD && (would_fit || !fits_now);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t own = lines[i].continues ? lines[i - 1].comment_column : lines[i].width + COMMENT_GAP;
        lines[i].comment_column = together ? column : own;
    }
    if (lines[n - 1].comment_column != below)
        return;
    size_t first = n - 1;
    while (first > 0 && (together || lines[first].continues))
        first--;
    for (; first < n; first++)
        lines[first].comment_column++;
}

static void align_all(struct layout *l)
{
    for (size_t i = 0, to; i < l->n_lines; i = to) {
        to = same_column(l, i);
        if (to > i + 1)
            align_run(l->lines + i, to - i);
    }
    for (size_t i = 0, to; i < l->n_lines; i = to) {
        for (to = i; to < l->n_lines && l->lines[to].comment; to++) {
        }
        if (to == i) {
            to++;
            continue;
        }
        const struct line *next = to < l->n_lines ? &l->lines[to] : NULL;
        bool comment = next && next->len && l->text[next->start] == '#';
        place_comments(l->lines + i, to - i, comment ? next->indent : UINT32_MAX);
    }
}

/* ---- Text ---- */

struct text {
    char *bytes;
    size_t n;
};

static void add(struct text *out, const char *bytes, size_t len)
{
    memcpy(out->bytes + out->n, bytes, len);
    out->n += len;
}

static void add_spaces(struct text *out, size_t n)
{
    memset(out->bytes + out->n, ' ', n);
    out->n += n;
}

static void add_line(struct text *out, const struct line *line, const char *code)
{
    if (line->len) {
        add_spaces(out, line->indent);
        add(out, code, line->align_at);
        add_spaces(out, line->padding);
        add(out, code + line->align_at, line->len - line->align_at);
    }
    if (line->comment) {
        add_spaces(out, line->continues ? line->comment_column : line->comment_column - line->width);
        add(out, line->comment->text, line->comment->len);
    }
    add(out, "\n", 1);
}

static const char *join_lines(struct layout *l, size_t *len)
{
    size_t n = l->n_lines, size = 1;
    while (n && !l->lines[n - 1].len && !l->lines[n - 1].comment)
        n--;
    for (size_t i = 0; i < n; i++) {
        const struct line *line = &l->lines[i];
        size += line->indent + line->padding + line->len + 1;
        size += line->comment ? line->comment_column + line->comment->len : 0;
    }
    struct text out = {pv_arena_alloc(l->arena, size), 0};
    for (size_t i = 0; i < n; i++)
        add_line(&out, &l->lines[i], l->text + l->lines[i].start);
    out.bytes[out.n] = '\0';
    *len = out.n;
    return out.bytes;
}

const char *pv_fmt_layout(struct pv_arena *arena, const struct fmt_document *document, size_t *len)
{
    struct layout l = {.arena = arena, .ops = document->ops, .n_ops = document->n};
    l.levels = pv_arena_grow(arena, NULL, 0, &l.level_capacity, 1, sizeof *l.levels);
    l.levels[l.n_levels++] = (struct level){0};
    start_line(&l);
    for (size_t i = 0; i < document->n; i++)
        put_op(&l, i);
    align_all(&l);
    return join_lines(&l, len);
}
