/*
 * Escaping and measuring of text for terminals; see text.h.
 */
#include "agentd/client/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* One character of at most `len` bytes: its length, or 0 where the bytes are not UTF-8. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *point)
{
    *point = s[0];
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
        return 0;
    *point = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (s[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*point < least[n] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return n;
}

/* Characters that act on the display instead of being shown. */
static bool acts(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x061c || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0xfeff ||
           (point >= 0xfff9 && point <= 0xfffb) || (point >= 0xe0000 && point <= 0xe007f);
}

char *pv_text_safe(const char *text, size_t len, bool lines)
{
    /* The longest escape is 10 characters for 3 or more bytes of a character ("\u{10ffff}" is never escaped,
     * "\u{e007f}" is), and 4 for one byte. */
    char *safe = malloc(len * 4 + 1);
    if (!safe)
        return NULL;
    const unsigned char *s = (const unsigned char *)text;
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        uint32_t point;
        size_t n = decode(s + i, len - i, &point);
        if (n == 0) {
            out += (size_t)sprintf(safe + out, "\\x%02x", s[i]);
            i++;
            continue;
        }
        if (lines && point == '\r' && i + 1 < len && s[i + 1] == '\n') {
            i++;
            continue;
        }
        if (!acts(point) || (lines && (point == '\n' || point == '\t'))) {
            memcpy(safe + out, s + i, n);
            out += n;
        } else if (point < 0x80) {
            out += (size_t)sprintf(safe + out, "\\x%02x", (unsigned)point);
        } else {
            /* Two bytes give at most 8 ("\u{200e}" is three bytes, "\u{9f}" two). */
            out += (size_t)sprintf(safe + out, "\\u{%x}", (unsigned)point);
        }
        i += n;
    }
    safe[out] = '\0';
    return safe;
}

void pv_text_print(FILE *stream, const char *text)
{
    char *safe = text ? pv_text_safe(text, strlen(text), false) : NULL;
    if (safe)
        fputs(safe, stream);
    free(safe);
}

/* The next character of safe text and its columns. */
static size_t step(const char *at, size_t *columns)
{
    uint32_t point;
    size_t n = decode((const unsigned char *)at, strlen(at), &point);
    if (n == 0)
        n = 1;
    int width = point < 0x80 ? 1 : wcwidth((wchar_t)point);
    *columns = width < 0 ? 1 : (size_t)width;
    return n;
}

size_t pv_text_width(const char *safe)
{
    size_t width = 0, columns;
    while (*safe) {
        safe += step(safe, &columns);
        width += columns;
    }
    return width;
}

void pv_text_cut(char *safe, size_t columns)
{
    size_t width = 0, wide;
    while (*safe) {
        size_t n = step(safe, &wide);
        if (width + wide > columns) {
            *safe = '\0';
            return;
        }
        width += wide;
        safe += n;
    }
}
