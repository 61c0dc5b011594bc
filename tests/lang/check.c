/* The passes that language scripts are run through. Parsing has been done by loading. */
#include "tests/lang/check.h"

#include "engine/engine.h"

void lang_check(struct pv_program *program)
{
    struct pv_ir *ir;
    pv_sema(&ir, program, &program->diags, program->arena);
}
