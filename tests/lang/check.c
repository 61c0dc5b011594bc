/* The passes that language scripts are run through. Parsing has been done by loading. */
#include "tests/lang/check.h"

void lang_check(struct pv_program *program)
{
    (void)program;
}
