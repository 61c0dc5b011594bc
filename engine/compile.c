/* The pipeline reads top to bottom in compile(): load and parse, check, lint, emit. Each stage runs only where the ones
 * before it found no error, except that checking runs over what could be parsed, to tell as much as possible at once.
 */
#include "engine/compile.h"

#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

/* A bundle for agents needs a policy, and says what nobody has proven. */
static void check_goal(const struct pv_compilation *compilation)
{
    struct pv_diags *diags = &compilation->program->diags;
    const struct pv_ir *ir = compilation->ir;
    if (ir->is_library) {
        struct pv_diag *diag = pv_report(diags, PV_DIAG_LIBRARY_BUNDLE, PV_NO_SPAN,
                                         "a library is not compiled to a bundle: it has no `policy` statement");
        pv_diag_hint(diags, diag, "write `policy NAME version 1;` as its first statement, or compile who imports it");
    }
    for (uint32_t i = 0; i < ir->n_asserts; i++)
        pv_report(diags, PV_DIAG_UNPROVEN_ASSERTION, ir->asserts[i].span, "assertion \"%.*s\" is not proven yet",
                  (int)ir->asserts[i].text.len, ir->asserts[i].text.ptr);
}

static int compile(const struct pv_compile_options *options, struct pv_compilation *out)
{
    struct pv_program *program = out->program;
    int error = pv_sema(&out->ir, program, &program->diags, out->arena);
    if (error || !out->ir)
        return error;
    if (options->lint)
        error = pv_lint(program, out->ir, options->today, &program->diags);
    if (error)
        return error;
    if (options->goal == PV_COMPILE_CHECK)
        return 0;
    if (options->goal == PV_COMPILE_BUNDLE)
        check_goal(out);
    if (pv_diags_errors(&program->diags))
        return 0;
    static const struct pv_host no_host;
    error = pv_emit(&out->bundle, &out->bundle_len, out->ir, &program->sources,
                    options->host ? options->host : &no_host, &program->diags);
    return error == PV_E_LIMIT ? 0 : error;
}

static int run(const char *path, const char *text, size_t len, const struct pv_compile_options *options,
               struct pv_compilation *out)
{
    static const struct pv_compile_options defaults;
    memset(out, 0, sizeof *out);
    if (!options)
        options = &defaults;
    out->arena = pv_arena_new(options->memory);
    if (!out->arena)
        return PV_E_NOMEM;
    int error = text ? pv_load_text(out->arena, path, text, len, &options->load, &out->program)
                     : pv_load_program(out->arena, path, &options->load, &out->program);
    if (error)
        return error;
    error = compile(options, out);
    if (error)
        return error;
    if (pv_diags_errors(&out->program->diags))
        out->ir = NULL;
    pv_diags_finish(&out->program->diags);
    return 0;
}

int pv_compile_file(const char *path, const struct pv_compile_options *options, struct pv_compilation *out)
{
    return run(path, NULL, 0, options, out);
}

int pv_compile_text(const char *path, const char *text, size_t len, const struct pv_compile_options *options,
                    struct pv_compilation *out)
{
    return run(path, text, len, options, out);
}

void pv_compile_free(struct pv_compilation *compilation)
{
    free(compilation->bundle);
    pv_arena_free(compilation->arena);
    memset(compilation, 0, sizeof *compilation);
}
