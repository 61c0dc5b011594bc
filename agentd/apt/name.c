/* The grammars of name.h, as plain loops over ASCII ranges: nothing here depends on the locale. */
#include "agentd/apt/name.h"

#include <string.h>

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

bool pv_apt_name_valid(const char *name, size_t len)
{
    if (len < 2 || len > PV_APT_NAME_MAX || !(lower(name[0]) || digit(name[0])) || name[len - 1] == '-')
        return false;
    for (size_t i = 1; i < len; i++) {
        char c = name[i];
        if (!lower(c) && !digit(c) && c != '+' && c != '.' && c != '-')
            return false;
    }
    return true;
}

bool pv_apt_version_valid(const char *version, size_t len)
{
    if (len == 0 || len > PV_APT_VERSION_MAX)
        return false;
    const char *colon = memchr(version, ':', len);
    size_t start = 0;
    if (colon) { /* an epoch: digits alone, few enough for an int */
        start = (size_t)(colon - version) + 1;
        if (start == 1 || start > 10)
            return false;
        for (size_t i = 0; i + 1 < start; i++)
            if (!digit(version[i]))
                return false;
    }
    if (start == len || !(digit(version[start]) || lower(version[start]) || upper(version[start])) ||
        version[len - 1] == '-')
        return false;
    for (size_t i = start; i < len; i++) {
        char c = version[i];
        if (!lower(c) && !upper(c) && !digit(c) && c != '.' && c != '+' && c != '~' && c != '-' && c != ':')
            return false;
    }
    return true;
}

bool pv_apt_arch_valid(const char *arch, size_t len)
{
    if (len == 0 || len > PV_APT_ARCH_MAX || arch[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!lower(arch[i]) && !digit(arch[i]) && arch[i] != '-')
            return false;
    return !(len == 3 && memcmp(arch, "any", 3) == 0) && !(len == 6 && memcmp(arch, "native", 6) == 0);
}

bool pv_apt_source_valid(const char *name, size_t len)
{
    if (len == 0 || len > PV_APT_SOURCE_MAX || !(lower(name[0]) || upper(name[0]) || name[0] == '_'))
        return false;
    for (size_t i = 1; i < len; i++) {
        char c = name[i];
        if (!lower(c) && !upper(c) && !digit(c) && c != '_' && c != '-')
            return false;
    }
    return true;
}
