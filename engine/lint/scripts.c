/* Look-alikes, from Unicode Technical Standard #39 (Unicode Security Mechanisms), confusables.txt: of its table, the
 * single Greek, Cyrillic, Latin-extended and full-width letters whose prototype is one ASCII letter, or that the common
 * fonts draw as one. Scripts by the blocks that UAX #24 gives to Latin, Greek and Cyrillic. */
#include "engine/lint/scripts.h"

static const struct {
    uint16_t code_point;
    char like;
} look_alikes[] = {
    {0x0131, 'i'}, {0x0251, 'a'}, {0x0261, 'g'}, {0x0269, 'i'}, {0x026a, 'i'}, {0x037f, 'J'}, {0x0391, 'A'},
    {0x0392, 'B'}, {0x0395, 'E'}, {0x0396, 'Z'}, {0x0397, 'H'}, {0x0399, 'I'}, {0x039a, 'K'}, {0x039c, 'M'},
    {0x039d, 'N'}, {0x039f, 'O'}, {0x03a1, 'P'}, {0x03a4, 'T'}, {0x03a5, 'Y'}, {0x03a7, 'X'}, {0x03b1, 'a'},
    {0x03b3, 'y'}, {0x03b9, 'i'}, {0x03ba, 'k'}, {0x03bd, 'v'}, {0x03bf, 'o'}, {0x03c1, 'p'}, {0x03c3, 'o'},
    {0x03c4, 't'}, {0x03c5, 'u'}, {0x03c7, 'x'}, {0x03f2, 'c'}, {0x03f3, 'j'}, {0x03f9, 'C'}, {0x0405, 'S'},
    {0x0406, 'I'}, {0x0408, 'J'}, {0x0410, 'A'}, {0x0412, 'B'}, {0x0415, 'E'}, {0x041a, 'K'}, {0x041c, 'M'},
    {0x041d, 'H'}, {0x041e, 'O'}, {0x0420, 'P'}, {0x0421, 'C'}, {0x0422, 'T'}, {0x0423, 'Y'}, {0x0425, 'X'},
    {0x0430, 'a'}, {0x0433, 'r'}, {0x0435, 'e'}, {0x043a, 'k'}, {0x043e, 'o'}, {0x043f, 'n'}, {0x0440, 'p'},
    {0x0441, 'c'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'}, {0x0458, 'j'}, {0x0461, 'w'},
    {0x0474, 'V'}, {0x0475, 'v'}, {0x04ae, 'Y'}, {0x04af, 'y'}, {0x04bb, 'h'}, {0x04c0, 'I'}, {0x04cf, 'l'},
    {0x0501, 'd'}, {0x050c, 'G'}, {0x051a, 'Q'}, {0x051b, 'q'}, {0x051c, 'W'}, {0x051d, 'w'},
};

char pv_script_looks_like(uint32_t code_point)
{
    if (code_point >= 0xff21 && code_point <= 0xff5a) /* full-width */
        return code_point <= 0xff3a || code_point >= 0xff41 ? (char)(code_point - 0xff21 + 'A') : 0;
    size_t low = 0, high = sizeof look_alikes / sizeof *look_alikes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (look_alikes[middle].code_point == code_point)
            return look_alikes[middle].like;
        if (look_alikes[middle].code_point < code_point)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

enum pv_script pv_script_of(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == 0xaa || c == 0xba ||
        (c >= 0xc0 && c <= 0x2af && c != 0xd7 && c != 0xf7) || (c >= 0x1e00 && c <= 0x1eff) ||
        (c >= 0xff21 && c <= 0xff3a) || (c >= 0xff41 && c <= 0xff5a))
        return PV_SCRIPT_LATIN;
    if ((c >= 0x370 && c <= 0x3ff && c != 0x37e && c != 0x387) || (c >= 0x1f00 && c <= 0x1fff))
        return PV_SCRIPT_GREEK;
    if ((c >= 0x400 && c <= 0x52f) || (c >= 0x1c80 && c <= 0x1c8f) || (c >= 0x2de0 && c <= 0x2dff) ||
        (c >= 0xa640 && c <= 0xa69f))
        return PV_SCRIPT_CYRILLIC;
    return c >= 0x530 && (c < 0x2000 || c >= 0x2e80) ? PV_SCRIPT_OTHER : PV_SCRIPT_COMMON;
}

const char *pv_script_name(enum pv_script script)
{
    static const char *const names[] = {"common", "Latin", "Greek", "Cyrillic", "another script's"};
    return names[script];
}
