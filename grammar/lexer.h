/* The lexer's interface: text to tokens, in place. Nothing is copied; a token is its kind and its span.
 *
 * Contextual words get their own kinds; the grammar falls back to IDENT for them. Errors of single tokens (strings,
 * units, stray characters) are reported here, and such a token is `broken`: the parser takes it and says no more. */
#ifndef PROVISO_GRAMMAR_LEXER_H
#define PROVISO_GRAMMAR_LEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/diag.h"
#include "engine/source.h"
#include "grammar/token.h"

/* Beside the kinds of the grammar (PV_TOK_..., made from policy.y; 0 is the end of the file). */
#define PV_TOK_END     0
#define PV_TOK_COMMENT 1000 /* only where `comments` is set: `#` to before the end of the line */

struct pv_lexer {
    const unsigned char *text, *cursor, *limit; /* *limit is a readable NUL byte */
    const unsigned char *line;                  /* the start of the cursor's line */
    uint32_t file;
    bool comments;           /* give comments as tokens too (for the formatter) */
    bool line_start;         /* nothing but white space stands before the cursor on its line */
    bool stray;              /* a stray character was reported on this line: what follows it is broken, too */
    uint16_t last, previous; /* kinds of the two tokens before */
    struct pv_diags *diags;  /* NULL: report nothing */
};

/* Starts at the first byte of a file of `sources`, behind a byte order mark. `diags` may be NULL. */
void pv_lexer_init(struct pv_lexer *lexer, const struct pv_sources *sources, uint32_t file, struct pv_diags *diags);
/* The next token; at the end PV_TOK_END, again and again. */
struct pv_token pv_lex(struct pv_lexer *lexer);

/* Whether a kind is a reserved word of the language. */
bool pv_token_reserved(unsigned kind);

#endif
