/* Inside the formatter: tokens and comments (format_tokens.c) become a document of texts, possible breaks and groups
 * (format_build.c), which becomes lines (format_layout.c).
 *
 * A group stands on one line if it fits and nothing in it forces a break; else its breaks are line breaks. All widths
 * that decide are those of the text on one line, so that the decisions are the same for text that has its form
 * already. */
#ifndef PROVISO_ENGINE_FORMAT_INTERNAL_H
#define PROVISO_ENGINE_FORMAT_INTERNAL_H

#include "engine/format.h"

/* ---- Tokens ---- */

struct fmt_token {
    const char *text; /* canonical spelling */
    uint32_t len, width;
    uint32_t n_comments; /* comments that stand before it in the file, all of them */
    uint16_t kind;
    bool breaks;  /* the first of its line */
    bool blank;   /* behind a blank line */
    bool dropped; /* a parenthesis that says nothing */
};

struct fmt_comment {
    const char *text; /* with `#`, without trailing white space */
    uint32_t len, width;
    bool trailing;  /* behind a token, on its line */
    bool continues; /* right below a trailing one, in the same column: a part of it */
    bool blank;     /* behind a blank line */
};

struct fmt_tokens {
    struct fmt_token *list; /* the last is PV_TOK_END */
    size_t n, capacity;
    struct fmt_comment *comments;
    size_t n_comments, comment_capacity;
};

/* All tokens of a file. Needs a guarded arena, as everything here does. */
void pv_fmt_collect(struct fmt_tokens *tokens, struct pv_arena *arena, const struct pv_sources *sources, uint32_t file);
/* Whether two files hold the same but for what the form may change: dropped parentheses, commas before `}`. */
bool pv_fmt_same(const struct fmt_tokens *a, const struct fmt_tokens *b);

/* ---- Expressions ---- */

/* Whose language an expression is in: they differ in their operands. */
enum fmt_mode { FMT_SUBJECT, FMT_SOURCES, FMT_EXPRESSION };

/* Whether a kind of token, outside brackets, ends an operand of `when`, `unless` and conditions. */
bool pv_fmt_ends_operand(unsigned kind);
/* Marks parentheses that say nothing as dropped, in the expression that begins at list[at]. */
void pv_fmt_drop_parens(struct fmt_token *list, size_t at, enum fmt_mode mode);

/* ---- The document ---- */

enum fmt_op_kind {
    FMT_NOTHING,
    FMT_TEXT,
    FMT_SPACE,
    FMT_LINE,     /* in a broken group a line break (blank: a blank line, too), else a space */
    FMT_SOFT,     /* the same, else nothing */
    FMT_FILL,     /* in a broken group a line break where what follows does not fit, else a space */
    FMT_NEWLINE,  /* a line break; the groups round it are broken */
    FMT_COMMA,    /* `,` in a broken group, else nothing */
    FMT_TRAILING, /* a trailing comment; text; what follows is a line break */
    FMT_COMMENT,  /* a comment on its own line; what follows is a line break */
    FMT_BEGIN,    /* of a group; match is its end */
    FMT_END,
    FMT_INDENT, /* in a broken group: one level more, up to its end or FMT_DEDENT */
    FMT_DEDENT,
    FMT_ALIGN, /* what follows may be moved to the column of the lines above and below; kind is whom it aligns with */
    FMT_ITEM,  /* a statement begins here; match is its end */
    FMT_ITEM_END,
};

struct fmt_op {
    uint8_t op;
    bool blank;     /* LINE, NEWLINE: keeps a blank line */
    bool forced;    /* BEGIN: broken, whatever fits */
    bool continues; /* TRAILING: on a line of its own, below the one before */
    bool spread;    /* ALIGN: statements on several lines, too, by their first */
    uint16_t kind;  /* ALIGN */
    uint32_t len, width;
    uint32_t tail;  /* BEGIN: the group at its end, which may break alone while the rest stands on one line; or 0 */
    uint32_t match; /* BEGIN, ITEM */
    const char *text;
};

struct fmt_document {
    struct fmt_op *ops;
    size_t n, capacity;
};

/* The document of a file, whose idle parentheses it marks as dropped. */
void pv_fmt_build(struct fmt_document *document, struct pv_arena *arena, struct fmt_tokens *tokens);
/* The document's text. */
const char *pv_fmt_layout(struct pv_arena *arena, const struct fmt_document *document, size_t *len);

#endif
