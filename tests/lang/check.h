/* What the script runner does with a policy before it compares diagnostics. */
#ifndef PROVISO_TESTS_LANG_CHECK_H
#define PROVISO_TESTS_LANG_CHECK_H

#include "engine/load.h"

/* Runs the passes behind parsing on a loaded program; whatever they find goes to program->diags. */
void lang_check(struct pv_program *program, int64_t lint_day);

#endif
