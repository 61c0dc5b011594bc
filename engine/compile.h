/* The whole pipeline: text in, checked policy out, and a bundle where one is wanted. */
#ifndef PROVISO_ENGINE_COMPILE_H
#define PROVISO_ENGINE_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/diag.h"
#include "engine/ir.h"
#include "engine/load.h"
#include "runtime/proviso.h"

enum pv_compile_goal {
    PV_COMPILE_CHECK,    /* analysis alone */
    PV_COMPILE_EVALUATE, /* a bundle in memory, for decisions and tests; of a library too */
    PV_COMPILE_BUNDLE,   /* a bundle for agents: a library is refused, and what is not proven is told */
};

struct pv_compile_options {
    struct pv_load_options load;
    enum pv_compile_goal goal;
    const struct pv_host *host; /* for the content hash (sha256); may be NULL */
    bool lint;                  /* tell what is likely a mistake, where there are no errors */
    int64_t today;              /* of lints about dates: days since 1970-01-01 */
    size_t memory;              /* most bytes of the compilation; 0: no limit */
};

/* One compilation. Everything in it lives until pv_compile_free(). */
struct pv_compilation {
    struct pv_arena *arena;
    struct pv_program *program; /* files and diagnostics; NULL where memory ended before there was any */
    struct pv_ir *ir;           /* NULL where there are errors */
    uint8_t *bundle;            /* NULL where there are errors, or none was wanted */
    size_t bundle_len;
};

/* Compiles the file at `path` ("-": standard input). What is wrong with it is in out->program->diags, sorted; the
 * verdict is pv_diags_errors() of these. `options` may be NULL. Free `out` whatever is returned.
 * 0 (also with errors in the text), or PV_E_NOMEM. */
int pv_compile_file(const char *path, const struct pv_compile_options *options, struct pv_compilation *out);
/* The same from text in memory, shown as `path`; imports are looked up beside it. The text is borrowed. */
int pv_compile_text(const char *path, const char *text, size_t len, const struct pv_compile_options *options,
                    struct pv_compilation *out);
void pv_compile_free(struct pv_compilation *compilation);

#endif
