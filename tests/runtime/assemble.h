/* Bundles from text, without the compiler: so that the runtime's tests depend on the runtime alone, and can hold what
 * no compiler would write.
 *
 * One statement a line; words, "strings" and # comments; lines that begin with a blank belong to the statement above.
 *
 *   policy NAME VERSION [TITLE]          library
 *   zone "Area/City"                     of the policy, before any window; without it the host's
 *   attr PATH TYPE [optional] [default] [ORDER]
 *   set NAME|- {"name" | like "glob"}
 *   window NAME [zone "Area/City"]
 *     alt {days MASK | nth N WEEKDAY | dates FROM TO | yearly FROM TO | clock FROM TO | ref WINDOW | except WINDOW}
 *                                        dates as YYYY-MM-DD, yearly as MMDD, clocks as HH:MM, MASK from Monday's 1
 *   source NAME TYPE LOCATION {self_service | admin_only | disabled | unsigned | priority N | key PATH | credentials X}
 *   command NAME {packages | sources | provider P | order O | account A | timeout S}
 *     argument|option|flag NAME TYPE [SET]
 *     run {"literal" | $PATH | $-PATH}   a value; an option
 *     env NAME VALUE
 *     required {PATH}
 *   rule builtin|allow|deny|require|direct [id ID] [literal] [library] [dependencies]
 *     clause KIND "text" TEST {; TEST}   postfix, `end` is added
 *     because "text"
 *     annotation NAME VALUE
 *     duty KIND ["text" | SECONDS] [: TEST {; TEST}]
 *
 * A TEST is a mnemonic of opcodes.def and its operands: slots as paths, constants, CMP as == != < <= > >=, sets and
 * windows by name, an order last. The program `decide` is made from the clauses: direct, then deny, then allow. */
#ifndef PROVISO_TESTS_RUNTIME_ASSEMBLE_H
#define PROVISO_TESTS_RUNTIME_ASSEMBLE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/proviso.h"

/* The bytes of the bundle (free() them). Ends the program with a message at the first mistake in the text. */
uint8_t *assemble(const char *text, size_t *len);

/* A host whose zones are those of /usr/share/zoneinfo, and whose own zone is America/New_York. No signature, no hash.
 */
extern const struct pv_host test_host;

/* A bundle from text, loaded; ends the program if it is refused. */
struct loaded {
    uint8_t *data;
    size_t len;
    struct pv_bundle *bundle;
};
struct loaded load_text(const char *text);
void unload(struct loaded *loaded);
/* A whole file as a NUL-terminated string (free() it); ends the program if it cannot be read. */
char *read_text(const char *path);

#endif
