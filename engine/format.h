/* The one form of .policy text: what `proviso fmt` and editors write.
 *
 * Spaces, line breaks, redundant parentheses, trailing commas and the spelling of strings and numbers are the form's;
 * words, their order and comments are the author's. Where a line break, a blank line or an open brace is the author's
 * to choose, docs/formatting.md says so. The form of the form is itself, and a policy and its form compile to bundles
 * that differ in the debug section alone. */
#ifndef PROVISO_ENGINE_FORMAT_H
#define PROVISO_ENGINE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/arena.h"
#include "engine/source.h"

#define PV_FORMAT_WIDTH   100u /* columns that a line has, by display width */
#define PV_FORMAT_INDENT  4u
#define PV_FORMAT_MAX_PAD 20u /* most spaces that alignment puts into a line */

/* The form of a file of `sources` that was parsed without errors (the caller has looked: what is not a policy has no
 * form). *text is the arena's, *len bytes, then a NUL; it has LF line ends and, unless it is empty, ends with one.
 * 0; PV_E_NOMEM; PV_E_INVAL where the result would not hold the tokens and comments of the file: a file with errors,
 * or a defect here. Nothing may be written then. */
int pv_format(struct pv_arena *arena, const struct pv_sources *sources, uint32_t file, const char **text, size_t *len);

#endif
