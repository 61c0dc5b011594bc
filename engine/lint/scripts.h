/* Letters of other scripts that look like Latin ones. */
#ifndef PROVISO_ENGINE_LINT_SCRIPTS_H
#define PROVISO_ENGINE_LINT_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pv_script { PV_SCRIPT_COMMON, PV_SCRIPT_LATIN, PV_SCRIPT_GREEK, PV_SCRIPT_CYRILLIC, PV_SCRIPT_OTHER };

/* The script of a letter; digits, signs and what is shared are COMMON. */
enum pv_script pv_script_of(uint32_t code_point);
const char *pv_script_name(enum pv_script script); /* "Latin" */
/* The ASCII letter that a letter of another script looks like, or 0. */
char pv_script_looks_like(uint32_t code_point);

#endif
