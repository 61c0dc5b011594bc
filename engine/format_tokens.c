/* Text to tokens in their canonical spelling, with the comments and blank lines round them. */
#include <stdio.h>
#include <string.h>

#include "engine/format_internal.h"
#include "grammar/lexer.h"
#include "grammar/policy.h"

static uint32_t width_of(const char *text, size_t len)
{
    uint32_t width = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t step = pv_utf8_decode(text + i, len - i, &c);
        width += step ? (uint32_t)pv_utf8_width(c) : 1;
        i += step ? step : 1;
    }
    return width;
}

/* ---- Canonical spelling ---- */

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

/* `\u{...}` at text[at]; *used is its length. */
static uint32_t escaped_code_point(const char *text, size_t len, size_t at, size_t *used)
{
    uint32_t c = 0;
    size_t i = at + 3;
    while (i < len && text[i] != '}')
        c = c << 4 | hex_digit(text[i++]);
    *used = i + 1 - at;
    return c;
}

/* A character that an escape stands for: itself where that is plain to see and means the same. */
static size_t put_character(char *out, uint32_t c, bool pattern)
{
    if (c == '"' || c == '\\' || (pattern && (c == '*' || c == '?')))
        return (size_t)sprintf(out, "\\%c", (char)c);
    if (c == '\n')
        return (size_t)sprintf(out, "\\n");
    if (c == '\t')
        return (size_t)sprintf(out, "\\t");
    if (c >= 0x20 && c < 0x7f) {
        *out = (char)c;
        return 1;
    }
    return (size_t)sprintf(out, "\\u{%X}", (unsigned)c);
}

/* Each character is written in one way, with one exception that is the author's: what is not ASCII stays an escape
 * where it was one, since then it is not plain to see. */
static void spell_string(struct pv_arena *arena, struct fmt_token *token, bool pattern)
{
    const char *text = token->text;
    size_t n = 0, used, stars = 0;
    if (!memchr(text, '\\', token->len) && !memchr(text, '\t', token->len) &&
        !(pattern && memmem(text, token->len, "***", 3)))
        return;
    /* A tab grows to two bytes; an escape to eight at most from five. */
    char *out = pv_arena_alloc(arena, (size_t)token->len * 2 + 8);
    for (size_t i = 0; i < token->len; i += used) {
        used = 1;
        stars = text[i] == '*' ? stars + 1 : 0;
        if (text[i] == '\\' && i + 1 < token->len) {
            char c = text[i + 1];
            used = 2;
            uint32_t meant = c == 'n' ? '\n' : c == 't' ? '\t' : (unsigned char)c;
            if (c == 'u' && i + 2 < token->len && text[i + 2] == '{')
                meant = escaped_code_point(text, token->len, i, &used);
            n += put_character(out + n, meant, pattern);
        } else if (text[i] == '\t') {
            n += put_character(out + n, '\t', pattern);
        } else if (!(pattern && stars > 2)) {
            out[n++] = text[i];
        }
    }
    token->text = out;
    token->len = (uint32_t)n;
}

/* Without zeros in front: 007 to 7, -0 to 0. */
static void spell_number(struct pv_arena *arena, struct fmt_token *token)
{
    const char *text = token->text;
    bool negative = *text == '-';
    uint32_t at = negative, end = token->len;
    while (at + 1 < end && text[at] == '0' && text[at + 1] >= '0' && text[at + 1] <= '9')
        at++;
    bool zero = text[at] == '0';
    if (at == negative && !(negative && zero))
        return;
    const char *digits = text + at;
    token->text = negative && !zero ? pv_arena_printf(arena, "-%.*s", (int)(end - at), digits) : digits;
    token->len = end - at + (negative && !zero);
}

static void spell(struct pv_arena *arena, struct fmt_token *token, uint16_t before)
{
    if (token->kind == PV_TOK_STRING)
        spell_string(arena, token, before == PV_TOK_LIKE);
    else if (token->kind == PV_TOK_INT || token->kind == PV_TOK_SIZE || token->kind == PV_TOK_DURATION)
        spell_number(arena, token);
    token->width = width_of(token->text, token->len);
}

/* ---- Collecting ---- */

struct place {
    uint32_t end;            /* of the token or comment before */
    uint32_t column;         /* of the comment before */
    bool comment, any, tail; /* the one before is a comment; there is one; it is a trailing comment or continues one */
};

static uint32_t count_newlines(const char *text, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (const char *p = text + from; (p = memchr(p, '\n', (size_t)(text + to - p))); p++)
        n++;
    return n;
}

/* The column where a line's byte is shown, tabs to each eighth. */
static uint32_t column_of(const char *line, uint32_t len)
{
    uint32_t column = 0, start = 0;
    for (uint32_t i = 0; i < len; i++) {
        if (line[i] != '\t')
            continue;
        column = (column + width_of(line + start, i - start)) / 8 * 8 + 8;
        start = i + 1;
    }
    return column + width_of(line + start, len - start);
}

static void add_comment(struct fmt_tokens *tokens, struct pv_arena *arena, const char *text, struct pv_token token,
                        struct place *before)
{
    tokens->comments = pv_arena_grow(arena, tokens->comments, tokens->n_comments, &tokens->comment_capacity,
                                     tokens->n_comments + 1, sizeof *tokens->comments);
    struct fmt_comment *comment = &tokens->comments[tokens->n_comments++];
    uint32_t start = token.span.start, end = token.span.end;
    uint32_t lines = count_newlines(text, before->end, start);
    uint32_t column = column_of(text + start - token.column, token.column);
    while (end > start && (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\r'))
        end--;
    *comment = (struct fmt_comment){.text = text + start, .len = end - start};
    comment->width = width_of(comment->text, comment->len);
    comment->blank = lines > 1;
    comment->trailing = before->any && !before->comment && lines == 0;
    comment->continues = before->comment && before->tail && lines == 1 && column == before->column;
    *before = (struct place){.end = token.span.end,
                             .column = column,
                             .comment = true,
                             .any = true,
                             .tail = comment->trailing || comment->continues};
}

void pv_fmt_collect(struct fmt_tokens *tokens, struct pv_arena *arena, const struct pv_sources *sources, uint32_t file)
{
    const char *text = pv_sources_file(sources, file)->text;
    struct pv_lexer lexer;
    struct place before = {0};
    uint16_t last = PV_TOK_END;
    pv_lexer_init(&lexer, sources, file, NULL);
    lexer.comments = true;
    for (;;) {
        struct pv_token token = pv_lex(&lexer);
        if (token.kind == PV_TOK_COMMENT) {
            add_comment(tokens, arena, text, token, &before);
            continue;
        }
        tokens->list =
            pv_arena_grow(arena, tokens->list, tokens->n, &tokens->capacity, tokens->n + 1, sizeof *tokens->list);
        struct fmt_token *added = &tokens->list[tokens->n++];
        *added = (struct fmt_token){.text = text + token.span.start,
                                    .len = token.span.end - token.span.start,
                                    .n_comments = (uint32_t)tokens->n_comments,
                                    .kind = token.kind,
                                    .breaks = token.starts_line,
                                    .blank = count_newlines(text, before.end, token.span.start) > 1};
        spell(arena, added, last);
        if (token.kind == PV_TOK_END)
            return;
        last = token.kind;
        before = (struct place){.end = token.span.end, .any = true};
    }
}

/* ---- Comparing ---- */

/* The next token that counts, from *at on. */
static const struct fmt_token *next_counting(const struct fmt_tokens *tokens, size_t *at)
{
    for (;; ++*at) {
        const struct fmt_token *token = &tokens->list[*at];
        bool trailing_comma = token->kind == PV_TOK_COMMA && token[1].kind == PV_TOK_RBRACE;
        if (!token->dropped && !trailing_comma)
            return token;
    }
}

bool pv_fmt_same(const struct fmt_tokens *a, const struct fmt_tokens *b)
{
    if (a->n_comments != b->n_comments)
        return false;
    for (size_t i = 0; i < a->n_comments; i++) {
        const struct fmt_comment *x = &a->comments[i], *y = &b->comments[i];
        if (x->len != y->len || memcmp(x->text, y->text, x->len) != 0)
            return false;
    }
    for (size_t i = 0, j = 0;; i++, j++) {
        const struct fmt_token *x = next_counting(a, &i), *y = next_counting(b, &j);
        if (x->kind != y->kind || x->len != y->len || memcmp(x->text, y->text, x->len) != 0)
            return false;
        if (x->kind == PV_TOK_END)
            return true;
    }
}
