/* Text that grows, for generated files and vectors: one sticky failure to test at the end. Internal to agentd/apt. */
#ifndef PV_AGENTD_APT_TEXT_H
#define PV_AGENTD_APT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct pv_text {
    char *data; /* terminated when not NULL; free() it */
    size_t len;
    size_t cap;
    bool failed; /* out of memory, or past PV_TEXT_MAX */
};

enum { PV_TEXT_MAX = 64 << 20 };

void pv_text_add(struct pv_text *text, const char *bytes, size_t len);
__attribute__((format(printf, 2, 3))) void pv_text_printf(struct pv_text *text, const char *format, ...);

/* Appends hostile bytes as one printable line: control characters, DEL, and bytes that are not UTF-8 as \xNN,
 * a backslash as \\, a newline as \n. At most `max` bytes of input, then "...". */
void pv_text_escaped(struct pv_text *text, const char *bytes, size_t len, size_t max);

#endif
