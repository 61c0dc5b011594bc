/* Growing text; see text.h. */
#include "agentd/apt/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room(struct pv_text *text, size_t len)
{
    if (text->failed || len > PV_TEXT_MAX - text->len) {
        text->failed = true;
        return false;
    }
    if (text->len + len + 1 > text->cap) {
        size_t cap = text->cap ? text->cap : 256;
        while (cap < text->len + len + 1)
            cap *= 2;
        char *grown = realloc(text->data, cap);
        if (!grown) {
            text->failed = true;
            return false;
        }
        text->data = grown;
        text->cap = cap;
    }
    return true;
}

void pv_text_add(struct pv_text *text, const char *bytes, size_t len)
{
    if (!room(text, len))
        return;
    if (len)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void pv_text_printf(struct pv_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !room(text, (size_t)len)) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
    va_end(args);
    text->len += (size_t)len;
}

/* The length of the well-formed UTF-8 sequence at s, or 0. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : n; /* U+0080 to U+009F are control characters as well */
}

void pv_text_escaped(struct pv_text *text, const char *bytes, size_t len, size_t max)
{
    const unsigned char *s = (const unsigned char *)bytes;
    bool cut = len > max;
    if (cut)
        len = max;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(s + i, len - i);
        if (s[i] == '\\')
            pv_text_add(text, "\\\\", 2);
        else if (s[i] == '\n')
            pv_text_add(text, "\\n", 2);
        else if (n == 0 || s[i] < ' ' || s[i] == 0x7f)
            pv_text_printf(text, "\\x%02x", s[i]);
        else
            pv_text_add(text, bytes + i, n);
        i += n ? n : 1;
    }
    if (cut)
        pv_text_add(text, "...", 3);
}
