/* What the generated parser offers to engine/parse.c.
 *
 * pv_grammar() does not judge: ask before feeding, tell the user in words, and feed PV_TOK_BAD, then PV_TOK_SYNC, to
 * give up a statement. */
#ifndef PROVISO_GRAMMAR_PARSER_H
#define PROVISO_GRAMMAR_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "grammar/policy.h"
#include "grammar/token.h"

struct pv_builder;

/* Bytes of a parser, which holds no memory of its own; start it once before the first token. */
size_t pv_grammar_size(void);
void pv_grammar_start(void *parser);
/* Feeds one token; kind 0 ends the file. */
void pv_grammar(void *parser, int kind, struct pv_token token, struct pv_builder *builder);

/* Whether the parser, as it stands, would take these tokens in a row. Changes nothing. */
bool pv_grammar_accepts(const void *parser, const unsigned tokens[], int n_tokens);
/* Whether this token could stand next as itself (a contextual word not as a name). */
bool pv_grammar_expects(const void *parser, unsigned token);

#endif
