/* Versions as package managers order them: dpkg (deb-version(7), lib/dpkg/version.c and parsehelp.c), Semantic
 * Versioning 2.0.0, rpm (rpmvercmp, rpm-version(7)) and NuGet (NuGetVersion). One comparison and one validity test per
 * order.
 *
 * Comparisons are total orders for any bytes, because a request may hold any: dpkg and rpm split every text into parts
 * that are compared; for semver and nuget a text that is not a version sorts before every version, by its bytes.
 * Numbers are compared as digit strings and so never overflow. Time is linear in the two lengths. */
#include "runtime/internal.h"

#include <string.h>

struct text {
    const char *ptr;
    size_t len;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int sign(long long difference)
{
    return (difference > 0) - (difference < 0);
}

static struct text from(struct text t, size_t start)
{
    return (struct text){t.ptr + start, t.len - start};
}

/* The index of the first (or last) `c`, or t.len. */
static size_t find(struct text t, char c)
{
    size_t i = 0;
    while (i < t.len && t.ptr[i] != c)
        i++;
    return i;
}

static size_t find_last(struct text t, char c)
{
    for (size_t i = t.len; i > 0; i--) {
        if (t.ptr[i - 1] == c)
            return i - 1;
    }
    return t.len;
}

static bool all_digits(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (!is_digit(t.ptr[i]))
            return false;
    }
    return true;
}

static int compare_bytes(struct text a, struct text b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int difference = memcmp(a.ptr, b.ptr, common);
    return difference ? sign(difference) : sign((long long)a.len - (long long)b.len);
}

/* Digit strings of any length by value; "" is zero. */
static int compare_numbers(struct text a, struct text b)
{
    while (a.len && *a.ptr == '0')
        a = from(a, 1);
    while (b.len && *b.ptr == '0')
        b = from(b, 1);
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return compare_bytes(a, b);
}

/* Takes a leading "DIGITS:" off `t`; an empty text where there is none. */
static struct text take_epoch(struct text *t)
{
    size_t colon = find(*t, ':');
    struct text epoch = {t->ptr, colon};
    if (colon == t->len || colon == 0 || !all_digits(epoch))
        return (struct text){t->ptr, 0};
    *t = from(*t, colon + 1);
    return epoch;
}

/* ---- dpkg ---- */

/* '~' before the end, the end before letters, letters before everything else; digits end a run as the end does. */
static int dpkg_order(struct text t)
{
    if (!t.len || is_digit(*t.ptr))
        return 0;
    if (is_alpha(*t.ptr))
        return (unsigned char)*t.ptr;
    return *t.ptr == '~' ? -1 : (unsigned char)*t.ptr + 256;
}

static size_t digits(struct text t)
{
    size_t n = 0;
    while (n < t.len && is_digit(t.ptr[n]))
        n++;
    return n;
}

/* dpkg's verrevcmp(): runs of non-digits by dpkg_order(), runs of digits by value, in turns. */
static int dpkg_compare_part(struct text a, struct text b)
{
    while (a.len || b.len) {
        while ((a.len && !is_digit(*a.ptr)) || (b.len && !is_digit(*b.ptr))) {
            int difference = dpkg_order(a) - dpkg_order(b);
            if (difference)
                return sign(difference);
            /* Equal, and one is not at its end nor at a digit: so neither is. */
            a = from(a, 1);
            b = from(b, 1);
        }
        size_t an = digits(a), bn = digits(b);
        int difference = compare_numbers((struct text){a.ptr, an}, (struct text){b.ptr, bn});
        if (difference)
            return difference;
        a = from(a, an);
        b = from(b, bn);
    }
    return 0;
}

/* Without a hyphen the revision is empty, which compares equal to "0". */
static struct text take_revision(struct text *t)
{
    size_t hyphen = find_last(*t, '-');
    if (hyphen == t->len)
        return (struct text){t->ptr + t->len, 0};
    struct text revision = from(*t, hyphen + 1);
    t->len = hyphen;
    return revision;
}

/* A sign before an epoch's digits is taken as strtol() takes it: '+', and '-' before nothing but zeros. */
static struct text dpkg_take_epoch(struct text *t)
{
    struct text rest = *t;
    bool negative = rest.len && *rest.ptr == '-';
    if (rest.len && (*rest.ptr == '+' || negative))
        rest = from(rest, 1);
    struct text epoch = take_epoch(&rest);
    if (negative && compare_numbers(epoch, (struct text){"", 0}) != 0)
        return (struct text){t->ptr, 0};
    if (epoch.len)
        *t = rest;
    return epoch;
}

static int dpkg_compare(struct text a, struct text b)
{
    struct text ae = dpkg_take_epoch(&a), be = dpkg_take_epoch(&b);
    int difference = compare_numbers(ae, be);
    if (difference)
        return difference;
    struct text ar = take_revision(&a), br = take_revision(&b);
    difference = dpkg_compare_part(a, b);
    return difference ? difference : dpkg_compare_part(ar, br);
}

static bool only(struct text t, const char *punctuation)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        if (!is_digit(c) && !is_alpha(c) && (!c || !strchr(punctuation, c)))
            return false;
    }
    return true;
}

/* dpkg's parseversion(), its warnings counted as errors; spaces around a version are not part of one. */
static bool dpkg_valid(struct text t)
{
    if (find(t, ':') != t.len) {
        struct text epoch = dpkg_take_epoch(&t);
        static const char limit[] = "2147483647"; /* INT_MAX */
        if (!epoch.len || compare_numbers(epoch, (struct text){limit, 10}) > 0)
            return false;
    }
    size_t len = t.len;
    struct text revision = take_revision(&t);
    bool has_revision = t.len != len;
    if (has_revision && !revision.len)
        return false;
    return t.len && is_digit(*t.ptr) && only(t, ".-+~:") && only(revision, ".+~");
}

/* ---- semver and nuget: NUMBERS[-LABELS][+METADATA] ---- */

struct dotted {
    struct text numbers;
    struct text labels; /* after '-' */
    bool has_labels;
};

/* Metadata is cut off: it takes no part in the order. */
static struct dotted split_dotted(struct text t)
{
    t.len = find(t, '+');
    size_t hyphen = find(t, '-');
    struct dotted out = {.numbers = {t.ptr, hyphen}, .has_labels = hyphen < t.len};
    out.labels = out.has_labels ? from(t, hyphen + 1) : (struct text){t.ptr + t.len, 0};
    return out;
}

/* Takes the part up to the next '.' off `t`; false when all are taken. */
static bool take_part(struct text *t, bool *more, struct text *part)
{
    if (!*more)
        return false;
    size_t dot = find(*t, '.');
    *part = (struct text){t->ptr, dot};
    *more = dot < t->len;
    *t = from(*t, *more ? dot + 1 : dot);
    return true;
}

static bool valid_labels(struct text t, bool leading_zeros)
{
    struct text part;
    bool more = true;
    while (take_part(&t, &more, &part)) {
        if (!part.len || !only(part, "-") || (!leading_zeros && part.len > 1 && *part.ptr == '0' && all_digits(part)))
            return false;
    }
    return true;
}

/* Between `least` and `most` numbers, labels and metadata well-formed. */
static bool valid_dotted(struct text t, int least, int most, bool leading_zeros, bool int_max)
{
    size_t plus = find(t, '+');
    if (plus < t.len && !valid_labels(from(t, plus + 1), true))
        return false;
    struct dotted d = split_dotted(t);
    if (d.has_labels && !valid_labels(d.labels, leading_zeros))
        return false;
    struct text part;
    bool more = true;
    int n = 0;
    while (take_part(&d.numbers, &more, &part)) {
        bool zeros = part.len > 1 && *part.ptr == '0';
        bool large = int_max && compare_numbers(part, (struct text){"2147483647", 10}) > 0;
        if (!part.len || !all_digits(part) || (zeros && !leading_zeros) || large || ++n > most)
            return false;
    }
    return n >= least;
}

static bool semver_valid(struct text t)
{
    return valid_dotted(t, 3, 3, false, false);
}

static bool nuget_valid(struct text t)
{
    return valid_dotted(t, 1, 4, true, true);
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static int compare_caseless(struct text a, struct text b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int difference = (unsigned char)upper(a.ptr[i]) - (unsigned char)upper(b.ptr[i]);
        if (difference)
            return sign(difference);
    }
    return sign((long long)a.len - (long long)b.len);
}

/* Numbers before names, numbers by value, fewer labels before more. */
static int compare_labels(struct text a, struct text b, bool caseless)
{
    bool a_more = true, b_more = true;
    for (;;) {
        struct text ap, bp;
        bool has_a = take_part(&a, &a_more, &ap), has_b = take_part(&b, &b_more, &bp);
        if (!has_a || !has_b)
            return has_a - has_b;
        bool a_number = all_digits(ap), b_number = all_digits(bp);
        int difference;
        if (a_number != b_number)
            difference = a_number ? -1 : 1;
        else if (a_number)
            difference = compare_numbers(ap, bp);
        else
            difference = caseless ? compare_caseless(ap, bp) : compare_bytes(ap, bp);
        if (difference)
            return difference;
    }
}

static int compare_dotted(struct text a, struct text b, bool caseless)
{
    struct dotted ad = split_dotted(a), bd = split_dotted(b);
    bool a_more = true, b_more = true;
    for (;;) {
        struct text ap = {"", 0}, bp = {"", 0}; /* a missing number is zero */
        bool has_a = take_part(&ad.numbers, &a_more, &ap), has_b = take_part(&bd.numbers, &b_more, &bp);
        if (!has_a && !has_b)
            break;
        int difference = compare_numbers(ap, bp);
        if (difference)
            return difference;
    }
    if (!ad.has_labels || !bd.has_labels)
        return bd.has_labels - ad.has_labels;
    return compare_labels(ad.labels, bd.labels, caseless);
}

static int compare_where_valid(struct text a, struct text b, bool (*valid)(struct text), bool caseless)
{
    bool a_valid = valid(a), b_valid = valid(b);
    if (a_valid != b_valid)
        return a_valid ? 1 : -1;
    return a_valid ? compare_dotted(a, b, caseless) : compare_bytes(a, b);
}

/* ---- rpm ---- */

/* rpmvercmp(): segments of digits or letters, everything else separates; '~' sorts before the end, '^' after it but
 * before anything else. */
static int rpm_compare_part(struct text a, struct text b)
{
    while (a.len || b.len) {
        while (a.len && !is_digit(*a.ptr) && !is_alpha(*a.ptr) && *a.ptr != '~' && *a.ptr != '^')
            a = from(a, 1);
        while (b.len && !is_digit(*b.ptr) && !is_alpha(*b.ptr) && *b.ptr != '~' && *b.ptr != '^')
            b = from(b, 1);
        bool a_tilde = a.len && *a.ptr == '~', b_tilde = b.len && *b.ptr == '~';
        if (a_tilde || b_tilde) {
            if (a_tilde != b_tilde)
                return a_tilde ? -1 : 1;
            a = from(a, 1);
            b = from(b, 1);
            continue;
        }
        bool a_caret = a.len && *a.ptr == '^', b_caret = b.len && *b.ptr == '^';
        if (a_caret || b_caret) {
            if (!a.len || !b.len)
                return a.len ? 1 : -1;
            if (a_caret != b_caret)
                return a_caret ? -1 : 1;
            a = from(a, 1);
            b = from(b, 1);
            continue;
        }
        if (!a.len || !b.len)
            break;
        bool number = is_digit(*a.ptr);
        if (number != is_digit(*b.ptr))
            return number ? 1 : -1;
        size_t an = 0, bn = 0;
        while (an < a.len && (number ? is_digit(a.ptr[an]) : is_alpha(a.ptr[an])))
            an++;
        while (bn < b.len && (number ? is_digit(b.ptr[bn]) : is_alpha(b.ptr[bn])))
            bn++;
        struct text ap = {a.ptr, an}, bp = {b.ptr, bn};
        int difference = number ? compare_numbers(ap, bp) : compare_bytes(ap, bp);
        if (difference)
            return difference;
        a = from(a, an);
        b = from(b, bn);
    }
    return (a.len > 0) - (b.len > 0);
}

/* A colon without digits before it is an epoch of 0, as a missing one is. */
static struct text rpm_take_epoch(struct text *t)
{
    if (t->len && *t->ptr == ':') {
        *t = from(*t, 1);
        return (struct text){t->ptr, 0};
    }
    return take_epoch(t);
}

/* A missing release sorts before every other, whatever that is: rpmverCmp(). */
static int rpm_compare(struct text a, struct text b)
{
    struct text ae = rpm_take_epoch(&a), be = rpm_take_epoch(&b);
    int difference = compare_numbers(ae, be);
    if (difference)
        return difference;
    size_t a_len = a.len, b_len = b.len;
    struct text ar = take_revision(&a), br = take_revision(&b);
    bool a_release = a.len != a_len, b_release = b.len != b_len;
    difference = rpm_compare_part(a, b);
    if (difference || a_release != b_release)
        return difference ? difference : a_release - b_release;
    return rpm_compare_part(ar, br);
}

static bool rpm_valid(struct text t)
{
    size_t colon = find(t, ':');
    if (colon < t.len && !take_epoch(&t).len)
        return false;
    size_t hyphen = find_last(t, '-');
    if (hyphen < t.len) {
        struct text release = from(t, hyphen + 1);
        if (!release.len || !only(release, "._+~^"))
            return false;
        t.len = hyphen;
    }
    return t.len && only(t, "._+~^");
}

/* ---- */

int pv_version_compare(enum pv_order order, const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct text at = {a, a_len}, bt = {b, b_len};
    switch (order) {
    case PV_ORDER_SEMVER: return compare_where_valid(at, bt, semver_valid, false);
    case PV_ORDER_RPM: return rpm_compare(at, bt);
    case PV_ORDER_NUGET: return compare_where_valid(at, bt, nuget_valid, true);
    case PV_ORDER_DPKG:
    case PV_ORDER_COMMAND: break;
    }
    return dpkg_compare(at, bt);
}

bool pv_version_valid(enum pv_order order, const char *text, size_t len)
{
    struct text t = {text, len};
    switch (order) {
    case PV_ORDER_DPKG: return dpkg_valid(t);
    case PV_ORDER_SEMVER: return semver_valid(t);
    case PV_ORDER_RPM: return rpm_valid(t);
    case PV_ORDER_NUGET: return nuget_valid(t);
    case PV_ORDER_COMMAND: break;
    }
    return false;
}
