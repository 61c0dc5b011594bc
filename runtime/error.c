/* Error sentences: formatted once, in place, with every control character made visible, because file names, zone names
 * and request strings end up in them and then on terminals and in logs. */
#include "runtime/internal.h"

#include <stdio.h>

int pv_vfail(struct pv_error *error, int code, uint64_t offset, const char *format, va_list args)
{
    if (!error)
        return code;
    char raw[sizeof(error->text)];
    vsnprintf(raw, sizeof(raw), format, args);

    size_t used = 0;
    for (const char *p = raw; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = c >= 0x20 && c != 0x7f;
        if (used + (plain ? 1 : 4) >= sizeof(error->text))
            break;
        if (plain)
            error->text[used++] = *p;
        else
            used += (size_t)snprintf(error->text + used, 5, "\\x%02x", (unsigned)c);
    }
    error->text[used] = '\0';
    error->code = code;
    error->offset = offset;
    return code;
}

int pv_fail(struct pv_error *error, int code, uint64_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vfail(error, code, offset, format, args);
    va_end(args);
    return code;
}
