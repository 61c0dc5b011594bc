/* One file's text to its syntax tree. */
#ifndef PROVISO_ENGINE_PARSE_H
#define PROVISO_ENGINE_PARSE_H

#include "engine/arena.h"
#include "engine/ast.h"
#include "engine/diag.h"
#include "engine/source.h"

/* Parses a file that is in `sources` already. Every independent error is reported to `diags`; the tree holds the
 * statements that have none. The caller judges by pv_diags_errors(), not by the return value.
 * 0, or PV_E_NOMEM (where the arena has no guard of its own). */
int pv_parse_file(struct pv_arena *arena, const struct pv_sources *sources, struct pv_diags *diags, uint32_t file,
                  struct pv_file **out);

#endif
