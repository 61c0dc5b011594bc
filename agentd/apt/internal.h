/* What the files of agentd/apt share among themselves. */
#ifndef PV_AGENTD_APT_INTERNAL_H
#define PV_AGENTD_APT_INTERNAL_H

#include <stdbool.h>

#include "agentd/apt/config.h"

/* Writes the sentence and returns PV_E_APT_REFUSED. */
__attribute__((format(printf, 2, 3))) int pv_apt_refuse(struct pv_apt_error *error, const char *format, ...);

/* An absolute path without `.` and `..` components, of characters that need no quoting in apt.conf, in a shell, in a
 * sources list or in a line of output; no slash at the end. */
bool pv_apt_path_plain(const char *path);

/* Whether a source of priority a goes before one of priority b: lower first, 0 last. */
static inline bool pv_apt_goes_before(int64_t a, int64_t b)
{
    return a != b && a != 0 && (b == 0 || a < b);
}

#endif
