/* Version orders against the libraries of those who made them: libdpkg's comparison and librpm's, on several hundred
 * thousand pairs each; and every order, those without a library too, against the laws of a total order on random
 * triples.
 *
 * Versions are random in two ways: made of characters, which finds what nobody thought of, and made of the pieces that
 * versions are made of, which finds what happens. The second of a pair is often the first with one edit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dpkg/dpkg.h>
#include <dpkg/dpkg-db.h>
#include <dpkg/error.h>
#include <dpkg/version.h>
#include <rpm/rpmver.h>

#include "runtime/proviso.h"

enum { PAIRS = 250000, TRIPLES = 100000, MOST = 48 };

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state += 0x9E3779B97F4A7C15u;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static const char characters[] = "0012901239aabAZzZ~~..++--::^_ \xc3\xa9/";
static const char *const pieces[] = {"0",   "00",   "1",     "01",         "2",          "9",
                                     "10",  "010",  "99",    "2147483647", "2147483648", "18446744073709551616",
                                     ".",   ".",    ".",     ".",          "-",          "-",
                                     "~",   "~~",   "+",     "^",          ":",          "_",
                                     "rc",  "rc1",  "alpha", "beta",       "a",          "b",
                                     "A",   "z",    "git",   "bpo12",      "dfsg",       "deb12u1",
                                     "el9", "fc39", "1:",    "0:",         "~rc1",       "-1",
                                     "-0",  "+b1",  "^2020", ".0",         "-alpha.1",   "really"};

static void random_text(char out[MOST])
{
    size_t len = 0;
    out[0] = 0;
    if (below(2)) {
        for (unsigned n = below(8); n > 0; n--) {
            const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];
            if (len + strlen(piece) < MOST)
                len += (size_t)snprintf(out + len, MOST - len, "%s", piece);
        }
    } else {
        for (len = 0; len < below(14); len++)
            out[len] = characters[below(sizeof characters - 1)];
        out[len] = 0;
    }
    if (len && below(4))
        out[0] = (char)('0' + below(4));
}

static void near_text(char out[MOST], const char *text)
{
    size_t len = strlen(text);
    switch (below(5)) {
    case 0: /* one character changed */
        snprintf(out, MOST, "%s", text);
        if (len)
            out[below((unsigned)len)] = characters[below(sizeof characters - 1)];
        break;
    case 1: /* taken out */
        snprintf(out, MOST, "%s", text);
        if (len) {
            size_t at = below((unsigned)len);
            memmove(out + at, out + at + 1, len - at);
        }
        break;
    case 2: { /* a piece put in */
        const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];
        size_t at = below((unsigned)len + 1);
        char whole[2 * MOST];
        int n = snprintf(whole, sizeof whole, "%.*s%s%s", (int)at, text, piece, text + at);
        snprintf(out, MOST, "%.*s", MOST - 1, n < MOST ? whole : text);
        break;
    }
    default: random_text(out); break;
    }
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static int compare(enum pv_order order, const char *a, const char *b)
{
    return sign(pv_version_compare(order, a, strlen(a), b, strlen(b)));
}

static void test_dpkg(void **state)
{
    (void)state;
    random_state = 1;
    unsigned seen[3] = {0}, invalid = 0, valid = 0;
    for (unsigned n = 0; n < PAIRS;) {
        char text[2][MOST];
        struct dpkg_version version[2];
        random_text(text[0]);
        near_text(text[1], text[0]);
        bool both = true;
        for (int i = 0; i < 2; i++) {
            struct dpkg_error error = DPKG_ERROR_INIT;
            bool theirs = parseversion(&version[i], text[i], &error) == 0;
            /* Blanks around a version are not part of one. */
            bool blank = strlen(text[i]) && (text[i][0] == ' ' || text[i][strlen(text[i]) - 1] == ' ');
            bool ours = pv_version_valid(PV_ORDER_DPKG, text[i], strlen(text[i]));
            if (ours != (theirs && !blank))
                fail_msg("\"%s\": dpkg says %s (%s)", text[i], theirs ? "valid" : "not valid",
                         error.str ? error.str : "");
            dpkg_error_destroy(&error);
            valid += ours;
            invalid += !ours;
            both = both && ours;
        }
        if (!both)
            continue;
        n++;
        int ours = compare(PV_ORDER_DPKG, text[0], text[1]),
            theirs = sign(dpkg_version_compare(&version[0], &version[1]));
        if (ours != theirs)
            fail_msg("\"%s\" against \"%s\": %d, dpkg says %d", text[0], text[1], ours, theirs);
        seen[ours + 1]++;
    }
    assert_true(seen[0] > PAIRS / 10 && seen[1] > PAIRS / 50 && seen[2] > PAIRS / 10);
    assert_true(valid > PAIRS / 10 && invalid > PAIRS / 10);
}

/* rpm's segments, on any text without the separators of epoch and release: pv_version_compare() takes those apart. */
static void test_rpm_segments(void **state)
{
    (void)state;
    random_state = 2;
    unsigned seen[3] = {0};
    for (unsigned n = 0; n < PAIRS; n++) {
        char text[2][MOST];
        random_text(text[0]);
        near_text(text[1], text[0]);
        for (int i = 0; i < 2; i++) {
            for (char *p = text[i]; *p; p++) {
                if (*p == ':' || *p == '-')
                    *p = '_';
            }
        }
        int ours = compare(PV_ORDER_RPM, text[0], text[1]), theirs = sign(rpmvercmp(text[0], text[1]));
        if (ours != theirs)
            fail_msg("\"%s\" against \"%s\": %d, rpm says %d", text[0], text[1], ours, theirs);
        seen[ours + 1]++;
    }
    assert_true(seen[0] > PAIRS / 10 && seen[1] > PAIRS / 50 && seen[2] > PAIRS / 10);
}

/* Whole versions, [epoch:]version[-release], and any other text that is not empty. */
static void test_rpm_versions(void **state)
{
    (void)state;
    random_state = 3;
    unsigned seen[3] = {0};
    for (unsigned n = 0; n < PAIRS;) {
        char text[2][MOST];
        rpmver version[2];
        random_text(text[0]);
        near_text(text[1], text[0]);
        if (!*text[0] || !*text[1])
            continue;
        n++;
        for (int i = 0; i < 2; i++) {
            version[i] = rpmverParse(text[i]);
            assert_non_null(version[i]);
        }
        int ours = compare(PV_ORDER_RPM, text[0], text[1]), theirs = sign(rpmverCmp(version[0], version[1]));
        for (int i = 0; i < 2; i++)
            rpmverFree(version[i]);
        if (ours != theirs)
            fail_msg("\"%s\" against \"%s\": %d, rpm says %d", text[0], text[1], ours, theirs);
        seen[ours + 1]++;
    }
    assert_true(seen[0] > PAIRS / 10 && seen[1] > PAIRS / 50 && seen[2] > PAIRS / 10);
}

/* Semantic Versioning and NuGet come as specifications (their tables are in version_test.c): here by a comparison of
 * their own words, on versions made from those words. */
struct dotted {
    unsigned long number[4];
    unsigned n_labels;
    char label[4][12];
};

static void random_dotted(struct dotted *d, char out[MOST], bool nuget)
{
    static const char *const words[] = {"0",  "1", "2", "10", "11", "alpha", "beta",
                                        "rc", "a", "A", "Rc", "-",  "1a",    "a-b"};
    static const char *const metadata[] = {"", "", "", "+1", "+build.5", "+00-x"};
    unsigned n = nuget ? 1 + below(4) : 3;
    size_t len = 0;
    memset(d, 0, sizeof *d);
    for (unsigned i = 0; i < n; i++) {
        d->number[i] = below(3) ? below(3) : below(200);
        len += (size_t)snprintf(out + len, MOST - len, "%s%s%lu", i ? "." : "", nuget && below(8) == 0 ? "0" : "",
                                d->number[i]);
    }
    d->n_labels = below(2) ? 1 + below(3) : 0;
    for (unsigned i = 0; i < d->n_labels; i++) {
        snprintf(d->label[i], sizeof d->label[i], "%s", words[below(sizeof words / sizeof *words)]);
        len += (size_t)snprintf(out + len, MOST - len, "%s%s", i ? "." : "-", d->label[i]);
    }
    snprintf(out + len, MOST - len, "%s", metadata[below(sizeof metadata / sizeof *metadata)]);
}

static bool is_number(const char *text)
{
    return strspn(text, "0123456789") == strlen(text);
}

static int specified(const struct dotted *a, const struct dotted *b, bool nuget)
{
    for (unsigned i = 0; i < 4; i++) {
        if (a->number[i] != b->number[i])
            return a->number[i] < b->number[i] ? -1 : 1;
    }
    if (!a->n_labels || !b->n_labels)
        return (a->n_labels == 0) - (b->n_labels == 0);
    for (unsigned i = 0; i < a->n_labels && i < b->n_labels; i++) {
        const char *x = a->label[i], *y = b->label[i];
        int difference;
        if (is_number(x) && is_number(y))
            difference = (atoi(x) > atoi(y)) - (atoi(x) < atoi(y));
        else if (is_number(x) != is_number(y))
            difference = is_number(x) ? -1 : 1;
        else
            difference = sign(nuget ? strcasecmp(x, y) : strcmp(x, y));
        if (difference)
            return difference;
    }
    return (a->n_labels > b->n_labels) - (a->n_labels < b->n_labels);
}

static void check_specified(enum pv_order order)
{
    unsigned seen[3] = {0};
    random_state = (uint64_t)order;
    for (unsigned n = 0; n < PAIRS; n++) {
        struct dotted a, b;
        char x[MOST], y[MOST];
        random_dotted(&a, x, order == PV_ORDER_NUGET);
        random_dotted(&b, y, order == PV_ORDER_NUGET);
        if (below(2)) { /* same numbers: labels decide */
            memcpy(b.number, a.number, sizeof b.number);
            size_t rest = strcspn(y, "-+");
            char whole[2 * MOST];
            int len = snprintf(whole, sizeof whole, "%.*s%s", (int)strcspn(x, "-+"), x, y + rest);
            assert_true(len < MOST);
            memcpy(y, whole, (size_t)len + 1);
        }
        assert_true(pv_version_valid(order, x, strlen(x)) && pv_version_valid(order, y, strlen(y)));
        int ours = compare(order, x, y), theirs = specified(&a, &b, order == PV_ORDER_NUGET);
        if (ours != theirs)
            fail_msg("%s: \"%s\" against \"%s\": %d, specified is %d", pv_order_name(order), x, y, ours, theirs);
        seen[ours + 1]++;
    }
    assert_true(seen[0] > PAIRS / 10 && seen[1] > PAIRS / 100 && seen[2] > PAIRS / 10);
}

static void test_semver(void **state)
{
    (void)state;
    check_specified(PV_ORDER_SEMVER);
}

static void test_nuget(void **state)
{
    (void)state;
    check_specified(PV_ORDER_NUGET);
}

/* For any bytes: a request may hold any. */
static void test_laws(void **state)
{
    (void)state;
    random_state = 4;
    for (enum pv_order order = PV_ORDER_DPKG; order <= PV_ORDER_NUGET; order++) {
        for (unsigned n = 0; n < TRIPLES; n++) {
            char a[MOST], b[MOST], c[MOST];
            random_text(a);
            near_text(b, a);
            near_text(c, below(2) ? a : b);
            int ab = compare(order, a, b), bc = compare(order, b, c), ac = compare(order, a, c);
            if (compare(order, a, a) != 0 || compare(order, b, a) != -ab)
                fail_msg("%s: not antisymmetric: \"%s\" \"%s\"", pv_order_name(order), a, b);
            /* a <= b <= c implies a <= c, and strictly where one is strict; the same from above. */
            bool broken = (ab <= 0 && bc <= 0 && ac != (ab < 0 || bc < 0 ? -1 : 0)) ||
                          (ab >= 0 && bc >= 0 && ac != (ab > 0 || bc > 0 ? 1 : 0));
            if (broken)
                fail_msg("%s: not transitive: \"%s\" \"%s\" \"%s\"", pv_order_name(order), a, b, c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dpkg),   cmocka_unit_test(test_rpm_segments), cmocka_unit_test(test_rpm_versions),
        cmocka_unit_test(test_semver), cmocka_unit_test(test_nuget),        cmocka_unit_test(test_laws),
    };
    return cmocka_run_group_tests_name("runtime/version_oracle", tests, NULL, NULL);
}
