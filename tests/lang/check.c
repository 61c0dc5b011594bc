/* The passes that language scripts are run through. Parsing has been done by loading. */
#include "tests/lang/check.h"

#include "engine/engine.h"

void lang_check(struct pv_program *program, int64_t lint_day)
{
    struct pv_ir *ir;
    pv_sema(&ir, program, &program->diags, program->arena);
    if (ir && lint_day >= 0)
        pv_lint(program, ir, lint_day, &program->diags);
}
