/* The authors' half of Proviso in one header: text in, checked policy, bundle out. Every program that compiles goes
 * through pv_compile_file(); the pipeline reads top to bottom in engine/compile.c. */
#ifndef PROVISO_ENGINE_ENGINE_H
#define PROVISO_ENGINE_ENGINE_H

#include "engine/arena.h"
#include "engine/compile.h"
#include "engine/diag.h"
#include "engine/ir.h"
#include "engine/load.h"
#include "engine/source.h"
#include "runtime/proviso.h"

/* Semantic analysis: resolves names, checks types and rules, lowers to the IR. Reports every error to `diags`; *out is
 * NULL when there is any. Everything is allocated in `arena`, which is the program's: names are compared by address.
 * Files of names (`set NAME = file "...";`) are read beside the program's and added to its sources. The program
 * outlives the IR. 0 or PV_E_NOMEM. */
int pv_sema(struct pv_ir **out, struct pv_program *program, struct pv_diags *diags, struct pv_arena *arena);

/* Lints a program that analysis found without errors; `ir` is what it made of it. Reports warnings and notes to
 * `diags`. `today` is days since 1970-01-01, for dates that have passed. 0 or PV_E_NOMEM. */
int pv_lint(const struct pv_program *program, const struct pv_ir *ir, int64_t today, struct pv_diags *diags);

/* Emits the bundle's bytes (malloc'd, the caller frees). `sha256` as in struct pv_host. The same IR gives the same
 * bytes. 0, PV_E_NOMEM, PV_E_LIMIT (told in `diags`). */
int pv_emit(uint8_t **out, size_t *len, const struct pv_ir *ir, const struct pv_sources *sources,
            const struct pv_host *host, struct pv_diags *diags);

#endif
