/* Decoding of literals. A refused literal gives some harmless value: its error stops the compilation anyway. */
#include "engine/ast_literal.h"

#include <string.h>

#include "grammar/policy.h"

/* A place inside a token's text. */
static struct pv_span within(struct pv_token token, size_t start, size_t len)
{
    return (struct pv_span){token.span.file, token.span.start + (uint32_t)start,
                            token.span.start + (uint32_t)(start + len)};
}

/* ---- Strings ---- */

static struct pv_text lenient(struct pv_builder *b, const char *text, size_t len)
{
    return pv_intern(b->arena, text, len > PV_MAX_LITERAL ? PV_MAX_LITERAL : len);
}

/* `\u{...}` at text[at], which is the backslash; *len is set to its length, 0 returned where it is refused. */
static uint32_t code_point(struct pv_builder *b, struct pv_token token, const char *text, size_t end, size_t at,
                           size_t *len)
{
    uint32_t value = 0;
    size_t i = at + 3, digits = 0;
    *len = 2;
    if (at + 2 >= end || text[at + 2] != '{')
        goto bad;
    for (; i < end && text[i] != '}'; i++, digits++) {
        char c = text[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16u;
        if (digit == 16 || digits == 6)
            goto bad;
        value = value << 4 | digit;
    }
    if (i == end || !digits)
        goto bad;
    *len = i + 1 - at;
    char utf8[4];
    if (value && pv_utf8_encode(value, utf8))
        return value;
    pv_report(b->diags, PV_DIAG_BAD_ESCAPE, within(token, at, *len), "U+%04X is not a character that a string can hold",
              (unsigned)value);
    return 0;
bad:
    pv_diag_hint(b->diags,
                 pv_report(b->diags, PV_DIAG_BAD_ESCAPE, within(token, at, *len), "`\\u` takes a code point in braces"),
                 "\\u{1F600}: one to six hexadecimal digits");
    return 0;
}

static void bad_escape(struct pv_builder *b, struct pv_token token, const char *text, size_t at, size_t len)
{
    struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_ESCAPE, within(token, at, len),
                                     "strings have no escape `%.*s`", (int)len, text + at);
    if (text[at + 1] == '*' || text[at + 1] == '?')
        pv_diag_hint(b->diags, diag, "`%c` is a wildcard only behind `like`; in a plain string it stands for itself",
                     text[at + 1]);
    else
        pv_diag_hint(b->diags, diag, "a backslash is written `\\\\`; the others are \\\" \\n \\t \\u{...}%s",
                     "; and \\* \\? behind `like`");
}

static size_t put_literal(char *out, uint32_t c, bool pattern)
{
    if (pattern && (c == '*' || c == '?' || c == '\\')) {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    return pv_utf8_encode(c, out);
}

/* The escape at text[at] (a backslash) to `out`; *used is its length in the text. */
static size_t put_escape(struct pv_builder *b, struct pv_token token, const char *text, size_t end, size_t at,
                         bool pattern, char *out, size_t *used)
{
    uint32_t c = 0;
    *used = 2;
    switch (text[at + 1]) {
    case '"': return put_literal(out, '"', pattern);
    case '\\': return put_literal(out, '\\', pattern);
    case 'n': return put_literal(out, '\n', pattern);
    case 't': return put_literal(out, '\t', pattern);
    case 'u': c = code_point(b, token, text, end, at, used); return c ? put_literal(out, c, pattern) : 0;
    case '*':
    case '?':
        if (pattern)
            return put_literal(out, (unsigned char)text[at + 1], true);
        break;
    default: break;
    }
    *used = 1 + pv_utf8_decode(text + at + 1, end - at - 1, &c);
    bad_escape(b, token, text, at, *used);
    return 0;
}

/* Neither what needs decoding nor what is refused: most strings. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\\' || c < 0x20 || c == 0x7f)
            return false;
    }
    return true;
}

static struct pv_text decode(struct pv_builder *b, struct pv_token token, bool pattern)
{
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    if (token.broken || len < 2 || text[0] != '"') {
        bool quote = len && *text == '"';
        return lenient(b, text + quote, len - quote);
    }
    size_t at = 1, end = len - 1, n = 0;
    if (end - at > PV_MAX_LITERAL) {
        pv_report(b->diags, PV_DIAG_TOO_LONG, token.span, "this string is longer than %u bytes", PV_MAX_LITERAL);
        return lenient(b, text + 1, len - 2);
    }
    bool plain = is_plain(text + 1, len - 2);
    if (plain && !(pattern && memmem(text, len, "***", 3)))
        return pv_intern(b->arena, text + 1, len - 2);

    /* No escape grows but `\u{2a}` and the like in a pattern, which shrink too: the source's length is enough. */
    char *out = pv_arena_alloc(b->arena, len);
    unsigned stars = 0; /* wildcards in a row */
    while (at < end) {
        unsigned char c = (unsigned char)text[at];
        size_t used = 1;
        stars = c == '*' ? stars + 1 : 0;
        if (c == '\\') {
            n += put_escape(b, token, text, end, at, pattern, out + n, &used);
        } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
            struct pv_diag *diag = pv_report(b->diags, PV_DIAG_BAD_CHARACTER, within(token, at, 1),
                                             "a control character (0x%02x) in a string", c);
            pv_diag_hint(b->diags, diag, "written as an escape it can be seen: \\u{%x}", c);
        } else if (!(pattern && stars > 2)) {
            out[n++] = (char)c;
        }
        at += used;
    }
    return pv_intern(b->arena, out, n);
}

struct pv_text pv_literal_string(struct pv_builder *b, struct pv_token token)
{
    return decode(b, token, false);
}

struct pv_text pv_literal_pattern(struct pv_builder *b, struct pv_token token)
{
    return decode(b, token, true);
}

/* ---- Numbers ---- */

static void refuse_number(struct pv_builder *b, struct pv_token token, const char *what)
{
    pv_report(b->diags, PV_DIAG_NUMBER_RANGE, token.span, "%s", what);
}

/* Digits at text[*at], to *at behind them; false on overflow. Negative numbers are built downwards, so that the
 * smallest one is in range. */
static bool digits(const char *text, size_t len, size_t *at, bool negative, int64_t *value)
{
    bool fits = true;
    *value = 0;
    for (; *at < len && text[*at] >= '0' && text[*at] <= '9'; ++*at) {
        int digit = text[*at] - '0';
        fits = fits && !__builtin_mul_overflow(*value, 10, value) &&
               !__builtin_add_overflow(*value, negative ? -digit : digit, value);
    }
    return fits;
}

static int64_t unit_factor(const char *unit, size_t len)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {
        {"", 1},
        {"s", 1},
        {"m", 60},
        {"h", 3600},
        {"d", 86400},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"KiB", INT64_C(1024)},
        {"MiB", INT64_C(1) << 20},
        {"GiB", INT64_C(1) << 30},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].unit) == len && memcmp(units[i].unit, unit, len) == 0)
            return units[i].factor;
    }
    return 0;
}

int64_t pv_literal_number(struct pv_builder *b, struct pv_token token)
{
    if (token.broken)
        return 0;
    size_t len, at = 0;
    const char *text = pv_token_text(b, token, &len);
    bool negative = *text == '-';
    at += negative;
    int64_t value;
    bool fits = digits(text, len, &at, negative, &value);
    if (fits && __builtin_mul_overflow(value, unit_factor(text + at, len - at), &value))
        fits = false;
    if (token.kind != PV_TOK_INT && negative)
        refuse_number(b, token, token.kind == PV_TOK_SIZE ? "a size is not negative" : "a duration is not negative");
    else if (!fits)
        refuse_number(b, token,
                      token.kind == PV_TOK_INT        ? "this number does not fit into 64 bits"
                      : token.kind == PV_TOK_DURATION ? "this duration does not fit into 64 bits of seconds"
                                                      : "this size does not fit into 64 bits of bytes");
    else
        return value;
    return 0;
}

int64_t pv_literal_count(struct pv_builder *b, struct pv_token token, const char *what)
{
    int64_t value = pv_literal_number(b, token);
    if (value >= 0)
        return value;
    pv_report(b->diags, PV_DIAG_NUMBER_RANGE, token.span, "%s is not negative", what);
    return 0;
}

/* ---- Dates, clocks, days ---- */

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year == 0 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    return month == 2 && !leap ? 28 : days[month - 1];
}

struct pv_ast_date pv_literal_date(struct pv_builder *b, struct pv_token token)
{
    const struct pv_ast_date some = {2000, 1, 1}, some_yearly = {0, 1, 1};
    bool yearly = token.kind == PV_TOK_YEARLY;
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    if (token.broken)
        return yearly ? some_yearly : some;
    const char *numbers = yearly ? text + 2 : text + 5;
    if (len != (yearly ? 7u : 10u) || (!yearly && text[4] != '-') || numbers[2] != '-') {
        pv_diag_hint(b->diags, pv_report(b->diags, PV_DIAG_BAD_DATE, token.span, "this is not how a date is written"),
                     yearly ? "two digits each for month and day: --12-31"
                            : "four digits for the year, two each for month and day: 2026-12-31");
        return yearly ? some_yearly : some;
    }
    unsigned year = 0;
    for (int i = 0; i < 4 && !yearly; i++)
        year = year * 10 + (unsigned)(text[i] - '0');
    unsigned month = (unsigned)(numbers[0] - '0') * 10 + (unsigned)(numbers[1] - '0');
    unsigned day = (unsigned)(numbers[3] - '0') * 10 + (unsigned)(numbers[4] - '0');
    if (!yearly && year == 0)
        pv_report(b->diags, PV_DIAG_BAD_DATE, token.span, "there is no year 0000");
    else if (month < 1 || month > 12)
        pv_report(b->diags, PV_DIAG_BAD_DATE, token.span, "there is no month %02u", month);
    else if (day < 1 || day > days_in_month(year, month))
        pv_report(b->diags, PV_DIAG_BAD_DATE, token.span, "%.*s has no day %02u", (int)(numbers + 2 - text), text, day);
    else
        return (struct pv_ast_date){(uint16_t)year, (uint8_t)month, (uint8_t)day};
    return yearly ? some_yearly : some;
}

int32_t pv_literal_clock(struct pv_builder *b, struct pv_token token, bool ends)
{
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    int parts[3] = {0};
    if ((len != 5 && len != 8) || text[2] != ':' || (len == 8 && text[5] != ':')) {
        pv_diag_hint(b->diags,
                     pv_report(b->diags, PV_DIAG_BAD_CLOCK, token.span, "this is not how a time of day is written"),
                     "two digits each: 09:00 or 09:00:30");
        return 0;
    }
    for (size_t i = 0; i * 3 < len; i++)
        parts[i] = (text[i * 3] - '0') * 10 + (text[i * 3 + 1] - '0');
    int32_t seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    if (seconds == 86400 && ends && parts[0] == 24)
        return seconds;
    if (parts[0] <= 23 && parts[1] <= 59 && parts[2] <= 59)
        return seconds;
    struct pv_diag *diag =
        pv_report(b->diags, PV_DIAG_BAD_CLOCK, token.span, "there is no time of day %.*s", (int)len, text);
    if (seconds == 86400)
        pv_diag_hint(b->diags, diag, "24:00 can only end a range of a window; the start of a day is 00:00");
    return 0;
}

uint8_t pv_literal_weekday(struct pv_token token)
{
    return (uint8_t)(token.kind - PV_TOK_MON);
}

int8_t pv_literal_ordinal(struct pv_builder *b, struct pv_token token)
{
    if (token.kind == PV_TOK_LAST)
        return -1;
    static const char words[][4] = {"1st", "2nd", "3rd", "4th", "5th"};
    size_t len;
    const char *text = pv_token_text(b, token, &len);
    for (size_t i = 0; i < 5; i++) {
        if (len == 3 && memcmp(text, words[i], 3) == 0)
            return (int8_t)(i + 1);
    }
    pv_diag_hint(b->diags, pv_report(b->diags, PV_DIAG_BAD_ORDINAL, token.span, "no month has such a day"),
                 "1st, 2nd, 3rd, 4th, 5th or last");
    return 1;
}
