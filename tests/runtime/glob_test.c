/* Globs: a table, then random patterns and texts against a matcher that is as simple as can be. Random ones are drawn
 * from few characters, so that most pairs come close to matching. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/internal.h"

#define MAX 1024

struct pattern {
    uint32_t tokens[MAX];
    uint32_t n;
};

static struct pattern parse(const char *text)
{
    struct pattern p = {.n = 0};
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        uint32_t token = *c++;
        if (token == '?') {
            token = PVB_GLOB_ONE;
        } else if (token == '*') {
            token = *c == '*' ? PVB_GLOB_STAR_STAR : PVB_GLOB_STAR;
            c += *c == '*';
        } else if (token >= 0xc0) {
            int trail = token >= 0xf0 ? 3 : token >= 0xe0 ? 2 : 1;
            token &= 0x3fu >> trail;
            while (trail-- > 0)
                token = token << 6 | (*c++ & 0x3fu);
        }
        p.tokens[p.n++] = token;
    }
    return p;
}

static bool matches(const struct pattern *p, const char *text, size_t len)
{
    struct pvb_glob glob = {0, p->n, 0};
    struct pv_globs *globs;
    assert_int_equal(pv_globs_prepare(&globs, &glob, 1, p->tokens, NULL), 0);
    bool result = pv_glob_match(globs, 0, text, len);
    pv_globs_free(globs);
    return result;
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool wanted;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "a", true},
        {"a", "", false},
        {"a", "A", false},
        {"*", "", true},
        {"*", "abc", true},
        {"*", "a/b", false},
        {"**", "a/b", true},
        {"?", "/", false},
        {"?", "\xc3\xa9", true},
        {"?", "\xf0\x9f\x98\x80", true},
        {"??", "\xc3\xa9", false},
        {"\xc3\xa9*", "\xc3\xa9t\xc3\xa9", true},
        {"\xc3\xa9", "\xc3", false},
        {"?", "\xc3", true},           /* a byte that is not UTF-8 is one code point */
        {"??", "\xc3\x28", true},      /* a lead byte, then ( */
        {"??", "\xc0\xaf", true},      /* an overlong slash is no slash, but two bad bytes */
        {"???", "\xed\xa0\x80", true}, /* a surrogate */
        {"????", "\xf4\x90\x80\x80", true},
        {"*", "\xc0\xaf", true},
        {"*/*", "\xc0\xaf", false},
        {"lib*-dev", "libfoo-dev", true},
        {"lib*-dev", "lib-dev", true},
        {"lib*-dev", "libfoo-dev2", false},
        {"lib*-dev", "lib/foo-dev", false},
        {"lib**-dev", "lib/foo-dev", true},
        {"/srv/*/data", "/srv/a/data", true},
        {"/srv/*/data", "/srv/a/b/data", false},
        {"/srv/**/data", "/srv/a/b/data", true},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"a***b", "a/c/b", true},
        {"a**?b", "ab", false},
        {"a**?b", "axb", true},
        {"*?*?*", "a", false},
        {"*?*?*", "ab", true},
        {"docker*", "docker.io", true},
        {"docker*", "xdocker.io", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pattern p = parse(rows[i].pattern);
        if (matches(&p, rows[i].text, strlen(rows[i].text)) != rows[i].wanted)
            fail_msg("\"%s\" like \"%s\": %s is wrong", rows[i].text, rows[i].pattern,
                     rows[i].wanted ? "false" : "true");
    }
}

/* ---- The naive matcher: code points in an array, recursion ---- */

static size_t decode(const char *text, size_t len, uint32_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        /* Try the longest well-formed sequence that starts here, by encoding candidates again. */
        uint32_t found = 0x200000u + c;
        size_t used = 1;
        for (size_t size = 1; size <= 4 && i + size <= len && used == 1; size++) {
            uint32_t v = size == 1 ? c : c & (0x7fu >> size);
            for (size_t k = 1; k < size; k++)
                v = v << 6 | ((unsigned char)text[i + k] & 0x3fu);
            unsigned char again[4];
            size_t len_again;
            if (v < 0x80)
                len_again = 1, again[0] = (unsigned char)v;
            else if (v < 0x800)
                len_again = 2, again[0] = (unsigned char)(0xc0 | v >> 6), again[1] = (unsigned char)(0x80 | (v & 63));
            else if (v < 0x10000)
                len_again = 3, again[0] = (unsigned char)(0xe0 | v >> 12),
                again[1] = (unsigned char)(0x80 | (v >> 6 & 63)), again[2] = (unsigned char)(0x80 | (v & 63));
            else
                len_again = 4, again[0] = (unsigned char)(0xf0 | v >> 18),
                again[1] = (unsigned char)(0x80 | (v >> 12 & 63)), again[2] = (unsigned char)(0x80 | (v >> 6 & 63)),
                again[3] = (unsigned char)(0x80 | (v & 63));
            bool surrogate = v >= 0xd800 && v < 0xe000;
            if (len_again == size && v < 0x110000 && !surrogate && memcmp(again, text + i, size) == 0) {
                found = v;
                used = size;
                if (size == 1)
                    break;
            }
        }
        out[n++] = found;
        i += used;
    }
    return n;
}

static bool naive(const uint32_t *p, size_t n, const uint32_t *t, size_t len)
{
    if (!n)
        return !len;
    if (*p == PVB_GLOB_STAR || *p == PVB_GLOB_STAR_STAR)
        return naive(p + 1, n - 1, t, len) ||
               (len && (*p == PVB_GLOB_STAR_STAR || *t != '/') && naive(p, n, t + 1, len - 1));
    return len && (*p == PVB_GLOB_ONE ? *t != '/' : *t == *p) && naive(p + 1, n - 1, t + 1, len - 1);
}

static unsigned random_state = 4711;

static unsigned next_random(unsigned below)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % below;
}

static void test_random(void **state)
{
    (void)state;
    static const uint32_t tokens[] = {'a',     'a',          'b',           '/',           0xe9,
                                      0x1f600, PVB_GLOB_ONE, PVB_GLOB_STAR, PVB_GLOB_STAR, PVB_GLOB_STAR_STAR};
    static const char *const pieces[] = {"a", "a", "b", "/", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xc3", "\x80", "\xff"};
    int matched = 0, total = 60000;
    for (int i = 0; i < total; i++) {
        struct pattern p = {.n = next_random(9)};
        for (uint32_t k = 0; k < p.n; k++)
            p.tokens[k] = tokens[next_random(sizeof(tokens) / sizeof(*tokens))];
        char text[64] = "";
        for (unsigned k = next_random(11); k > 0; k--)
            strcat(text, pieces[next_random(sizeof(pieces) / sizeof(*pieces))]);
        uint32_t points[64];
        size_t n = decode(text, strlen(text), points);
        bool wanted = naive(p.tokens, p.n, points, n);
        if (matches(&p, text, strlen(text)) != wanted)
            fail_msg("pair %d is wrong: text \"%s\"", i, text);
        matched += wanted;
    }
    assert_true(matched > total / 20 && matched < total / 2);
}

/* Patterns of more than one word of states: the same short patterns, between two long literal runs. */
static void test_long_patterns(void **state)
{
    (void)state;
    static const uint32_t tokens[] = {'a', 'b', '/', PVB_GLOB_ONE, PVB_GLOB_STAR, PVB_GLOB_STAR_STAR};
    int matched = 0, total = 20000;
    for (int i = 0; i < total; i++) {
        struct pattern p = {.n = 0};
        char text[512];
        size_t len = 0;
        uint32_t before = 50 + next_random(100), after = next_random(100), inner = next_random(7);
        for (uint32_t k = 0; k < before; k++)
            p.tokens[p.n++] = (uint32_t)(text[len++] = "xyz"[k % 3]);
        for (uint32_t k = 0; k < inner; k++)
            p.tokens[p.n++] = tokens[next_random(sizeof(tokens) / sizeof(*tokens))];
        for (unsigned k = next_random(8); k > 0; k--)
            text[len++] = "ab/"[next_random(3)];
        for (uint32_t k = 0; k < after; k++)
            p.tokens[p.n++] = (uint32_t)(text[len++] = "xyz"[k % 3]);
        uint32_t points[512];
        size_t n = decode(text, len, points);
        bool wanted = naive(p.tokens, p.n, points, n);
        if (matches(&p, text, len) != wanted)
            fail_msg("pair %d is wrong", i);
        matched += wanted;
    }
    assert_true(matched > total / 50 && matched < total);
}

/* A pattern that makes a backtracking matcher run for ages. */
static void test_no_blowup(void **state)
{
    (void)state;
    struct pattern p = {.n = 0};
    while (p.n + 2 < MAX) {
        p.tokens[p.n++] = PVB_GLOB_STAR;
        p.tokens[p.n++] = 'a';
    }
    p.tokens[p.n++] = 'b';
    static char text[PV_MAX_STRING];
    memset(text, 'a', sizeof(text));
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_false(matches(&p, text, sizeof(text)));
    text[sizeof(text) - 1] = 'b';
    assert_true(matches(&p, text, sizeof(text)));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_true(to.tv_sec - from.tv_sec < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_long_patterns),
        cmocka_unit_test(test_no_blowup),
    };
    return cmocka_run_group_tests_name("runtime/glob", tests, NULL, NULL);
}
