/* Literals: what strings, patterns and numbers in the text mean, with their errors told at their place. For the
 * builder. */
#ifndef PROVISO_ENGINE_AST_LITERAL_H
#define PROVISO_ENGINE_AST_LITERAL_H

#include "engine/ast_build.h"

#define PV_MAX_LITERAL 65535u /* bytes of a string in a policy */
#define PV_MAX_NAME    255u   /* bytes of a name */

/* The text of a string token. */
struct pv_text pv_literal_string(struct pv_builder *b, struct pv_token token);
/* The canonical glob of a string token behind `like` (see ast.h). */
struct pv_text pv_literal_pattern(struct pv_builder *b, struct pv_token token);
/* The number of a token of kind INT, SIZE (bytes) or DURATION (seconds); 0 where it was refused. */
int64_t pv_literal_number(struct pv_builder *b, struct pv_token token);
/* An INT that may not be negative. */
int64_t pv_literal_count(struct pv_builder *b, struct pv_token token, const char *what);
/* A token of kind DATE or YEARLY. */
struct pv_ast_date pv_literal_date(struct pv_builder *b, struct pv_token token);
/* A CLOCK in seconds of the day. 24:00 (86400) only where `ends` says that it ends a range. */
int32_t pv_literal_clock(struct pv_builder *b, struct pv_token token, bool ends);
/* 0 (Monday) .. 6 of a weekday token. */
uint8_t pv_literal_weekday(struct pv_token token);
/* 1 .. 5 of an ORDINAL, -1 of LAST. */
int8_t pv_literal_ordinal(struct pv_builder *b, struct pv_token token);

#endif
