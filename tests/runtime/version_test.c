/* Versions, order by order: tables from the specifications, laws of a total order on random texts, and for dpkg the
 * answers of the program itself (version_oracle_test.c asks the libraries, many more times). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/proviso.h"

extern char **environ;

static int compare(enum pv_order order, const char *a, const char *b)
{
    return pv_version_compare(order, a, strlen(a), b, strlen(b));
}

static bool valid(enum pv_order order, const char *text)
{
    return pv_version_valid(order, text, strlen(text));
}

/* Each row is in ascending order; `=` before a version says that it equals the one before. */
static void check_ascending(enum pv_order order, const char *const *row, size_t n, bool all_valid)
{
    for (size_t i = 0; i < n; i++) {
        const char *a = row[i] + (row[i][0] == '=');
        if (all_valid && !valid(order, a))
            fail_msg("%s: \"%s\" is valid", pv_order_name(order), a);
        bool equal = true;
        for (size_t k = i; k < n; k++) {
            const char *b = row[k] + (row[k][0] == '=');
            equal = equal && (k == i || row[k][0] == '=');
            int wanted = equal ? 0 : -1, got = compare(order, a, b), back = compare(order, b, a);
            if ((got > 0) - (got < 0) != wanted || (back > 0) - (back < 0) != -wanted)
                fail_msg("%s: \"%s\" against \"%s\": %d and %d", pv_order_name(order), a, b, got, back);
        }
    }
}
#define ASCENDING(order, ...)                                                                                          \
    check_ascending(order, (const char *const[]){__VA_ARGS__},                                                         \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), true)

static void check_valid(enum pv_order order, const char *const *texts, size_t n, bool wanted)
{
    for (size_t i = 0; i < n; i++) {
        if (valid(order, texts[i]) != wanted)
            fail_msg("%s: \"%s\" %s", pv_order_name(order), texts[i], wanted ? "is valid" : "is not valid");
    }
}
#define VALID(order, wanted, ...)                                                                                      \
    check_valid(order, (const char *const[]){__VA_ARGS__},                                                             \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), wanted)

static void test_dpkg(void **state)
{
    (void)state;
    ASCENDING(PV_ORDER_DPKG, "0~~", "0~~a", "0~", "0", "=0-0", "=0:0", "0a", "0a1", "0+", "1.0~rc1-1", "1.0~rc1-1+b1",
              "1.0", "=1.0-0", "=1.00", "=0:1.0", "1.0-0a", "1.0-1~bpo12+1+really", "1.0-1", "1.0-2", "1.0a-1", "1.0+1",
              "1.0.0", "1.0.1", "1.2", "1.10", "2-1-1", "9999999999999999999998", "9999999999999999999999", "1:0",
              "1:1.0", "10:0");
    VALID(PV_ORDER_DPKG, true, "1", "1.0-1", "0:1", "2147483647:1", "1:2:3", "1-2-3", "1~a+b.c", "+1:1", "-0:1");
    VALID(PV_ORDER_DPKG, false, "", "a", "1 ", " 1", "1 2", ":1", "a:1", "-1:1", "2147483648:1", "1:", "1-", "-1",
          "1_0", "1-1_0", "1-1-", "1/2", "1:-1", "~1", "1\xc3\xa9", "1\n");
}

static void test_semver(void **state)
{
    (void)state;
    ASCENDING(PV_ORDER_SEMVER, "0.0.0-0", "0.0.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-A", "1.0.0-alpha",
              "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
              "=1.0.0+build.1", "=1.0.0+1-2", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "18446744073709551617.0.0",
              "18446744073709551618.0.0");
    VALID(PV_ORDER_SEMVER, true, "1.2.3-a-b", "1.0.0-0A", "1.0.0+001", "1.0.0--");
    VALID(PV_ORDER_SEMVER, false, "", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "1.2.3-a..b",
          "v1.2.3", "1.2.3-a_b", "1.2.3 ", "-1.2.3", "1..3");
}

static void test_rpm(void **state)
{
    (void)state;
    ASCENDING(PV_ORDER_RPM, "1.0~rc1", "1.0~rc1^20200101", "1.0~rc1.1", "1.0", "=1_0", "=1.0", "=0:1.0", "1.0-~",
              "1.0-0", "1.0-1", "1.0-1.el9", "1.0-2", "1.0^20160101", "1.0.a", "=1.0a", "1.0.1", "1.2", "1.10",
              "=1.010", "2.0", "1:0.1");
    VALID(PV_ORDER_RPM, true, "1", "abc", "1.0-1.fc39", "2:1.0^git1-3~x", "1_2");
    VALID(PV_ORDER_RPM, false, "", "1-", "a:1", ":1", "1 2", "1-2-3", "-1", "1:", "1/2");
}

static void test_nuget(void **state)
{
    (void)state;
    ASCENDING(PV_ORDER_NUGET, "1.0-1", "1.0-2", "1.0-10", "1.0-alpha", "=1.0.0-ALPHA", "1.0-alpha.1", "1.0-beta", "1",
              "=1.0", "=1.0.0.0", "=1.00", "=1.0.0+meta", "1.0.0.1", "1.0.1", "1.2", "1.10", "2");
    VALID(PV_ORDER_NUGET, true, "1", "1.2.3.4", "01.2", "1.0-a.01", "2147483647.0");
    VALID(PV_ORDER_NUGET, false, "", "1.2.3.4.5", "1.", ".1", "a", "2147483648", "1.0-", "1.0+", "1.0-a b");
}

static unsigned random_state = 20261121;

static unsigned next_random(unsigned below)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % below;
}

/* Texts that are close to one another: short, from few characters, often one edit apart. */
static void random_version(char *out, size_t size, const char *near)
{
    static const char alphabet[] = "0012901239aabAZ~~..++--:^_";
    if (near && next_random(2)) {
        snprintf(out, size, "%s", near);
        size_t len = strlen(out);
        if (len)
            out[next_random((unsigned)len)] = alphabet[next_random(sizeof(alphabet) - 1)];
        return;
    }
    size_t len = next_random((unsigned)size - 1);
    for (size_t i = 0; i < len; i++)
        out[i] = alphabet[next_random(sizeof(alphabet) - 1)];
    if (len && next_random(4))
        out[0] = (char)('0' + next_random(4));
    out[len] = '\0';
}

/* Antisymmetric and transitive for any bytes, valid or not: a request may hold any. */
static void test_total_orders(void **state)
{
    (void)state;
    for (enum pv_order order = PV_ORDER_DPKG; order <= PV_ORDER_NUGET; order++) {
        for (int i = 0; i < 40000; i++) {
            char a[12], b[12], c[12];
            random_version(a, sizeof(a), NULL);
            random_version(b, sizeof(b), a);
            random_version(c, sizeof(c), b);
            int ab = compare(order, a, b), bc = compare(order, b, c), ac = compare(order, a, c);
            assert_int_equal(compare(order, a, a), 0);
            assert_int_equal(ab > 0, compare(order, b, a) < 0);
            assert_int_equal(ab == 0, compare(order, b, a) == 0);
            bool broken = (ab <= 0 && bc <= 0 && ac > 0) || (ab == 0 && (bc > 0) - (bc < 0) != (ac > 0) - (ac < 0)) ||
                          (ab < 0 && bc <= 0 && ac >= 0);
            if (broken)
                fail_msg("%s: not transitive: \"%s\" \"%s\" \"%s\"", pv_order_name(order), a, b, c);
        }
    }
}

/* dpkg's exit status; its messages are dropped. */
static int run_dpkg(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawn(&pid, "/usr/bin/dpkg", &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_against_dpkg(void **state)
{
    (void)state;
    if (access("/usr/bin/dpkg", X_OK) != 0)
        skip();
    random_state = 7;
    int seen[3] = {0};
    for (int i = 0; i < 300;) {
        char a[16], b[16];
        random_version(a, sizeof(a), NULL);
        random_version(b, sizeof(b), a);
        if (!valid(PV_ORDER_DPKG, a) || !valid(PV_ORDER_DPKG, b))
            continue;
        i++;
        int got = compare(PV_ORDER_DPKG, a, b);
        const char *relation = got < 0 ? "lt" : got > 0 ? "gt" : "eq";
        seen[(got > 0) - (got < 0) + 1]++;
        if (run_dpkg((const char *const[]){"dpkg", "--compare-versions", a, relation, b, NULL}) != 0)
            fail_msg("dpkg does not say that \"%s\" %s \"%s\"", a, relation, b);
    }
    assert_true(seen[0] > 10 && seen[1] > 2 && seen[2] > 10);

    int n_valid = 0, n_invalid = 0;
    for (int i = 0; i < 100; i++) {
        char a[12];
        random_version(a, sizeof(a), NULL);
        bool ours = valid(PV_ORDER_DPKG, a);
        bool theirs = run_dpkg((const char *const[]){"dpkg", "--validate-version", a, NULL}) == 0;
        if (ours != theirs)
            fail_msg("\"%s\": dpkg says %s", a, theirs ? "valid" : "not valid");
        n_valid += ours;
        n_invalid += !ours;
    }
    assert_true(n_valid > 10 && n_invalid > 10);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(pv_order_from_name("dpkg", 4), PV_ORDER_DPKG);
    assert_int_equal(pv_order_from_name("nuget", 5), PV_ORDER_NUGET);
    assert_int_equal(pv_order_from_name("command", 7), PV_E_UNKNOWN);
    assert_int_equal(pv_order_from_name("dpk", 3), PV_E_UNKNOWN);
    assert_string_equal(pv_order_name(PV_ORDER_RPM), "rpm");
    assert_false(valid(PV_ORDER_COMMAND, "1.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dpkg),  cmocka_unit_test(test_semver),       cmocka_unit_test(test_rpm),
        cmocka_unit_test(test_nuget), cmocka_unit_test(test_total_orders), cmocka_unit_test(test_against_dpkg),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("runtime/version", tests, NULL, NULL);
}
