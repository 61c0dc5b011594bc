/* Requests and decisions: the truth of every instruction in every state of its attributes, requests that lack
 * something, decisions with their rules and duties, joining, foreseeing, and that nothing of this allocates. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/internal.h"
#include "tests/runtime/assemble.h"

/* ---- Counting allocations: this program's malloc() is the one that libc and the library call ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
static size_t n_allocations;
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    n_allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    n_allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    n_allocations++;
    return __libc_realloc(p, size);
}
#endif

/* ---- A policy and one request ---- */

static struct loaded policy;
static struct pv_request *r;
static struct pv_decision *d;

static int load(const char *text)
{
    policy = load_text(text);
    return pv_request_new(&r, policy.bundle) || pv_decision_new(&d, policy.bundle);
}

static void unload_all(void)
{
    pv_decision_free(d);
    pv_request_free(r);
    unload(&policy);
}

static int load_base(void **state)
{
    (void)state;
    char *text = read_text("tests/runtime/base.txt");
    int status = load(text);
    free(text);
    return status;
}

static int unload_base(void **state)
{
    (void)state;
    unload_all();
    return 0;
}

static int slot(const char *path)
{
    int s = pv_bundle_slot(policy.bundle, path, strlen(path));
    if (s < 0)
        fail_msg("no attribute %s", path);
    return s;
}

static void set_string(const char *path, const char *value)
{
    assert_int_equal(pv_request_set_string(r, slot(path), value, strlen(value)), 0);
}

static struct pv_str group_storage[16];

/* "a b c" */
static void set_strings(const char *path, const char *words)
{
    static char copies[4][256];
    static int turn;
    char *copy = copies[turn = (turn + 1) % 4];
    struct pv_str *members = group_storage + turn * 4;
    size_t n = 0;
    snprintf(copy, 256, "%s", words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) {
        assert_true(n < 4);
        members[n++] = (struct pv_str){w, (uint32_t)strlen(w), 77};
    }
    assert_int_equal(pv_request_set_strings(r, slot(path), members, n), 0);
}

/* A complete request of user `user` in `groups`, for a package from a source where they are given. */
static void ask(const char *user, const char *groups, const char *command, const char *package, const char *source)
{
    pv_request_reset(r);
    set_string("user.name", user);
    set_strings("user.groups", groups);
    assert_int_equal(pv_request_set_command(r, command, strlen(command)), 0);
    if (package) {
        set_string("package.name", package);
        set_string("package.version", "3.0");
    }
    if (source)
        assert_int_equal(pv_request_set_source(r, source, strlen(source)), 0);
    assert_int_equal(pv_request_set_time(r, 1795251600), 0); /* 2026-11-21 10:00 in Paris */
}

static const char *rule_ids(const struct pv_decision *decision)
{
    static char all[1024];
    all[0] = '\0';
    for (uint32_t i = 0; i < decision->n_rules; i++) {
        char buffer[64];
        size_t used = strlen(all);
        snprintf(all + used, sizeof(all) - used, "%s%s", i ? " " : "",
                 pv_rule_id(policy.bundle, decision->rules[i], buffer, sizeof(buffer)));
    }
    return all;
}

/* Decides both ways; the two agree. */
static void expect(enum pv_effect effect, const char *rules)
{
    pv_decide(r, true, d);
    if (d->effect != effect || strcmp(rule_ids(d), rules) != 0)
        fail_msg("effect %d by \"%s\" instead of %d by \"%s\"", d->effect, rule_ids(d), effect, rules);
    assert_int_equal(pv_verdict(r, true), effect);
    assert_int_equal(d->is_default, effect == PV_DENY && !*rules && !d->account_conflict);
}

/* ---- Truth ---- */

/* The truth of one test, as a rule's only clause. */
static enum pv_truth truth_of(void)
{
    enum pv_truth t = pv_clause_truth(r, 0);
    assert_int_equal(pv_rule_truth(r, 0), t);
    assert_int_equal(pv_verdict(r, true) == PV_ALLOW, t == PV_TRUE);
    return t;
}

static const char declarations[] = "policy p 1\n"
                                   "attr host.a string optional\nattr host.b string optional\n"
                                   "attr host.n int optional\nattr host.m int optional\n"
                                   "attr host.f bool optional\n"
                                   "attr host.v version optional dpkg\nattr host.w version optional dpkg\n"
                                   "attr host.s strings optional\nattr host.t strings optional\n"
                                   "set s \"red\" \"\" \"green\" like \"b*\"\n"
                                   "set plain \"red\"\n"
                                   "command c packages provider p order dpkg\n";

static void load_test(const char *test)
{
    char text[2048];
    snprintf(text, sizeof(text), "%srule allow\n clause when \"x\" %s\n", declarations, test);
    assert_int_equal(load(text), 0);
    pv_request_set_command(r, "c", 1);
}

/* How each test comes out for values of its one or two attributes. "-" is absent. */
static void test_instructions(void **state)
{
    (void)state;
    static const struct {
        const char *test, *first, *second; /* values of host.a/n/f/v/s and host.b/m/w/t */
        char kind;                         /* s string, n number, f bool, v version, S set */
        enum pv_truth wanted;
    } rows[] = {
        {"str host.a \"red\"", "red", "-", 's', PV_TRUE},
        {"str host.a \"red\"", "rer", "-", 's', PV_FALSE},
        {"str host.a \"red\"", "", "-", 's', PV_FALSE},
        {"str host.a \"\"", "", "-", 's', PV_TRUE},
        {"str host.a \"\"", "unheard of", "-", 's', PV_FALSE},
        {"str host.a \"red\"", "unheard of", "-", 's', PV_FALSE},
        {"str2 host.a host.b", "unheard of", "unheard of", 's', PV_TRUE},
        {"str2 host.a host.b", "unheard of", "unheard", 's', PV_FALSE},
        {"str2 host.a host.b", "red", "red", 's', PV_TRUE},
        {"str2 host.a host.b", "red", "green", 's', PV_FALSE},
        {"str2 host.a host.b", "", "", 's', PV_TRUE},
        {"str2 host.a host.b", "", "x", 's', PV_FALSE},
        {"in host.a s", "green", "-", 's', PV_TRUE},
        {"in host.a s", "", "-", 's', PV_TRUE},
        {"in host.a s", "blue", "-", 's', PV_TRUE},
        {"in host.a s", "b/e", "-", 's', PV_FALSE},
        {"in host.a s", "gree", "-", 's', PV_FALSE},
        {"in host.a plain", "", "-", 's', PV_FALSE},
        {"in host.a plain", "red", "-", 's', PV_TRUE},
        {"like host.a \"r?d\"", "rad", "-", 's', PV_TRUE},
        {"like host.a \"r?d\"", "r/d", "-", 's', PV_FALSE},
        {"int host.n == 5", "5", "-", 'n', PV_TRUE},
        {"int host.n != 5", "5", "-", 'n', PV_FALSE},
        {"int host.n < -1", "-2", "-", 'n', PV_TRUE},
        {"int host.n <= 5", "5", "-", 'n', PV_TRUE},
        {"int host.n > 5", "5", "-", 'n', PV_FALSE},
        {"int host.n >= 5", "4", "-", 'n', PV_FALSE},
        {"int2 host.n < host.m", "4", "5", 'n', PV_TRUE},
        {"int2 host.n < host.m", "5", "5", 'n', PV_FALSE},
        {"bool host.f", "1", "-", 'f', PV_TRUE},
        {"bool host.f", "0", "-", 'f', PV_FALSE},
        {"ver host.v == \"1.0\"", "1.0-0", "-", 'v', PV_TRUE},
        {"ver host.v < \"1.0\" dpkg", "1.0~rc1", "-", 'v', PV_TRUE},
        {"ver host.v > \"1.9\"", "1.10", "-", 'v', PV_TRUE},
        {"ver2 host.v >= host.w dpkg", "1:0", "9", 'v', PV_TRUE},
        {"ver2 host.v != host.w dpkg", "1.0", "1.0-0", 'v', PV_FALSE},
        {"member host.s \"red\"", "blue red", "-", 'S', PV_TRUE},
        {"member host.s \"red\"", "blue", "-", 'S', PV_FALSE},
        {"member host.s \"red\"", "", "-", 'S', PV_FALSE},
        {"overlaps host.s s", "x bee", "-", 'S', PV_TRUE},
        {"overlaps host.s s", "x y", "-", 'S', PV_FALSE},
        {"overlaps2 host.s host.t", "x red y", "z y", 'S', PV_TRUE},
        {"overlaps2 host.s host.t", "x red y", "z green", 'S', PV_FALSE},
        {"overlaps2 host.s host.t", "red x", "green red", 'S', PV_TRUE},
        {"overlaps2 host.s host.t", "", "x", 'S', PV_FALSE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        static const struct {
            char kind;
            const char *first, *second;
        } paths[] = {{'s', "host.a", "host.b"},
                     {'n', "host.n", "host.m"},
                     {'f', "host.f", "host.f"},
                     {'v', "host.v", "host.w"},
                     {'S', "host.s", "host.t"}};
        load_test(rows[i].test);
        const char *path[2] = {NULL, NULL}, *value[2] = {rows[i].first, rows[i].second};
        for (size_t k = 0; k < 5; k++) {
            if (paths[k].kind == rows[i].kind)
                path[0] = paths[k].first, path[1] = paths[k].second;
        }
        int n = strcmp(value[1], "-") == 0 ? 1 : 2;
        assert_int_equal(truth_of(), PV_UNKNOWN); /* all absent */
        for (int k = 0; k < n; k++) {
            assert_int_equal(truth_of(), PV_UNKNOWN);
            if (rows[i].kind == 's' || rows[i].kind == 'v')
                set_string(path[k], value[k]);
            else if (rows[i].kind == 'n')
                assert_int_equal(pv_request_set_int(r, slot(path[k]), atoi(value[k])), 0);
            else if (rows[i].kind == 'f')
                assert_int_equal(pv_request_set_bool(r, slot(path[k]), value[k][0] == '1'), 0);
            else
                set_strings(path[k], value[k]);
        }
        if (truth_of() != rows[i].wanted)
            fail_msg("%s with \"%s\" and \"%s\"", rows[i].test, value[0], value[1]);
        for (int k = 0; k < n; k++) {
            assert_int_equal(pv_request_set_unknown(r, slot(path[k])), 0);
            assert_int_equal(truth_of(), PV_UNKNOWN);
        }
        unload_all();
    }
}

/* `in2` has a string and a set. */
static void test_in2(void **state)
{
    (void)state;
    load_test("in2 host.a host.s");
    assert_int_equal(truth_of(), PV_UNKNOWN);
    set_string("host.a", "unheard of");
    set_strings("host.s", "red unheard");
    assert_int_equal(truth_of(), PV_FALSE);
    set_strings("host.s", "unheard red x");
    set_string("host.a", "x");
    assert_int_equal(truth_of(), PV_TRUE);
    set_string("host.a", "red");
    assert_int_equal(truth_of(), PV_TRUE);
    unload_all();
}

static void test_has(void **state)
{
    (void)state;
    load_test("has host.a");
    assert_int_equal(truth_of(), PV_FALSE);
    set_string("host.a", "");
    assert_int_equal(truth_of(), PV_TRUE);
    pv_request_set_unknown(r, slot("host.a"));
    assert_int_equal(truth_of(), PV_UNKNOWN);
    pv_request_set_absent(r, slot("host.a"));
    assert_int_equal(truth_of(), PV_FALSE);
    unload_all();
}

/* Kleene's tables, from a bool that is true, false or unknown. */
static void test_logic(void **state)
{
    (void)state;
    static const char *const operands[] = {"const 0", "bool host.f", "const 1"}; /* by enum pv_truth */
    for (int a = PV_FALSE; a <= PV_TRUE; a++) {
        for (int b = PV_FALSE; b <= PV_TRUE; b++) {
            char test[128];
            snprintf(test, sizeof(test), "%s ; %s ; and", operands[a], operands[b]);
            load_test(test);
            assert_int_equal(pv_clause_truth(r, 0), a < b ? a : b);
            unload_all();
            snprintf(test, sizeof(test), "%s ; %s ; or", operands[a], operands[b]);
            load_test(test);
            assert_int_equal(pv_clause_truth(r, 0), a > b ? a : b);
            unload_all();
            snprintf(test, sizeof(test), "%s ; not", operands[a]);
            load_test(test);
            assert_int_equal(pv_clause_truth(r, 0), 2 - a);
            unload_all();
        }
    }
    /* A guard makes an absent attribute harmless: false, not unknown. */
    load_test("has host.a ; str host.a \"red\" ; and");
    assert_int_equal(truth_of(), PV_FALSE);
    unload_all();
}

static void test_own(void **state)
{
    (void)state;
    static const struct {
        int64_t uid, owner_uid;   /* -2 absent, -3 unknown */
        const char *name, *owner; /* NULL absent, "?" unknown */
        enum pv_truth wanted;
    } rows[] = {
        {1001, 1001, "alice", "alice", PV_TRUE},  {1001, 1001, "alice", "bob", PV_TRUE},
        {1001, 1002, "alice", "alice", PV_FALSE}, {-1, 1002, "alice", "alice", PV_TRUE},
        {-1, 1002, "alice", "bob", PV_FALSE},     {1001, -1, "alice", "alice", PV_TRUE},
        {1001, -2, "alice", "alice", PV_TRUE},    {1001, -2, "alice", "bob", PV_FALSE},
        {1001, -2, "alice", NULL, PV_FALSE},      {-1, -1, "alice", NULL, PV_FALSE},
        {1001, 1001, "alice", NULL, PV_TRUE},     {1001, -3, "alice", "alice", PV_UNKNOWN},
        {1001, -2, "alice", "?", PV_UNKNOWN},     {-3, 1001, "alice", "alice", PV_UNKNOWN},
    };
    load_test("own");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const int64_t uids[] = {rows[i].uid, rows[i].owner_uid};
        const int slots[] = {PV_A_USER_UID, PV_A_PACKAGE_OWNER_UID};
        for (int k = 0; k < 2; k++) {
            if (uids[k] == -2)
                pv_request_set_absent(r, slots[k]);
            else if (uids[k] == -3)
                pv_request_set_unknown(r, slots[k]);
            else
                pv_request_set_int(r, slots[k], uids[k]);
        }
        set_string("user.name", rows[i].name);
        if (!rows[i].owner)
            pv_request_set_absent(r, PV_A_PACKAGE_OWNER);
        else if (rows[i].owner[0] == '?')
            pv_request_set_unknown(r, PV_A_PACKAGE_OWNER);
        else
            set_string("package.owner", rows[i].owner);
        if (truth_of() != rows[i].wanted)
            fail_msg("row %zu", i);
    }
    unload_all();
}

/* ---- Requests ---- */

static void test_defaults(void **state)
{
    (void)state;
    pv_request_reset(r);
    assert_int_equal(pv_request_value(r, PV_A_USER_UID)->number, -1);
    assert_string_equal(pv_request_value(r, PV_A_USER_SESSION)->string.ptr, "none");
    assert_int_equal(pv_request_value(r, PV_A_REQUEST_TIMEOUT)->number, 2700);
    assert_int_equal(pv_request_value(r, PV_A_USER_NAME)->state, PV_ABSENT);
    assert_int_equal(pv_request_value(r, PV_A_PACKAGE_OWNER_UID)->state, PV_ABSENT);
    assert_int_equal(pv_request_value(r, PV_A_USER_GROUPS)->n_members, 0);
    assert_true(pv_request_time(r) > 1700000000);
    assert_null(pv_request_value(r, -1));
    assert_null(pv_request_value(r, 60000));

    /* transaction.* are those of this operation, until they are given. */
    pv_request_set_command(r, "install", 7);
    pv_request_set_int(r, PV_A_PACKAGE_DOWNLOAD_SIZE, 1234);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_INSTALLS)->number, 1);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_REMOVES)->number, 0);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_DOWNLOAD_SIZE)->number, 1234);
    pv_request_set_unknown(r, PV_A_PACKAGE_DOWNLOAD_SIZE);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_DOWNLOAD_SIZE)->state, PV_NOT_KNOWN);
    pv_request_set_int(r, PV_A_TRANSACTION_DOWNLOAD_SIZE, 7);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_DOWNLOAD_SIZE)->number, 7);
    pv_request_set_command(r, "uninstall", 9);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_INSTALLS)->number, 0);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_REMOVES)->number, 1);
    pv_request_set_int(r, PV_A_TRANSACTION_REMOVES, 9);
    pv_request_set_command(r, "install", 7);
    assert_int_equal(pv_request_value(r, PV_A_TRANSACTION_REMOVES)->number, 9);

    /* What the command does not have is absent, and there again for one that has it. */
    pv_request_set_string(r, PV_A_PACKAGE_NAME, "vlc", 3);
    pv_request_set_command(r, "restart", 7);
    assert_int_equal(pv_request_value(r, PV_A_PACKAGE_NAME)->state, PV_ABSENT);
    assert_int_equal(pv_request_value(r, slot("option.no-block"))->state, PV_PRESENT);
    assert_int_equal(pv_request_value(r, slot("option.no-block"))->number, 0);
    pv_request_set_command(r, "install", 7);
    assert_string_equal(pv_request_value(r, PV_A_PACKAGE_NAME)->string.ptr, "vlc");
    assert_int_equal(pv_request_value(r, slot("option.no-block"))->state, PV_ABSENT);
}

static void test_setters_refuse(void **state)
{
    (void)state;
    static char large[PV_MAX_STRING + 1];
    static struct pv_str many[PV_MAX_MEMBERS + 1];
    memset(large, 'a', sizeof(large));
    pv_request_reset(r);
    assert_int_equal(pv_request_set_bool(r, PV_A_USER_NAME, true), PV_E_TYPE);
    assert_int_equal(pv_request_set_int(r, PV_A_USER_NAME, 1), PV_E_TYPE);
    assert_int_equal(pv_request_set_string(r, PV_A_USER_UID, "1", 1), PV_E_TYPE);
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_NAME, many, 1), PV_E_TYPE);
    assert_int_equal(pv_request_set_int(r, PV_A_TIME_WEEKDAY, 7), PV_E_TYPE);
    assert_int_equal(pv_request_set_int(r, PV_A_TIME_CLOCK, 86400), PV_E_TYPE);
    assert_int_equal(pv_request_set_int(r, PV_A_REQUEST_TIMEOUT, -1), PV_E_TYPE);
    assert_int_equal(pv_request_set_bool(r, -1, true), PV_E_INVAL);
    assert_int_equal(pv_request_set_bool(r, 60000, true), PV_E_INVAL);
    assert_int_equal(pv_request_set_string(r, PV_A_USER_NAME, large, PV_MAX_STRING), 0);
    assert_int_equal(pv_request_set_string(r, PV_A_USER_NAME, large, sizeof(large)), PV_E_LIMIT);
    assert_int_equal(pv_request_set_string(r, PV_A_USER_NAME, "a\0b", 3), PV_E_INVAL);
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_GROUPS, many, PV_MAX_MEMBERS), 0);
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_GROUPS, many, PV_MAX_MEMBERS + 1), PV_E_LIMIT);
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_GROUPS, NULL, 1), PV_E_INVAL);
    many[1] = (struct pv_str){large, sizeof(large), 0};
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_GROUPS, many, 2), PV_E_LIMIT);
    assert_int_equal(pv_request_set_command(r, "erase", 5), PV_E_UNKNOWN);
    assert_int_equal(pv_request_set_command(r, "config", 6), 0);
    assert_int_equal(pv_request_set_source(r, "elsewhere", 9), PV_E_UNKNOWN);
    assert_int_equal(pv_request_set_time(r, INT64_MAX), PV_E_LIMIT);
    assert_int_equal(pv_request_set_time(r, INT64_MIN), PV_E_LIMIT);
    assert_int_equal(pv_request_set_unknown(r, PV_A_COMMAND), PV_E_INVAL);
}

static void test_members_are_sorted(void **state)
{
    (void)state;
    pv_request_reset(r);
    static struct pv_str members[200];
    static char names[200][8];
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof(names[i]), "g%d", i * 7919 % 200);
        members[i] = (struct pv_str){names[i], (uint32_t)strlen(names[i]), 5};
    }
    members[77] = (struct pv_str){"netops", 6, 0};
    members[78] = (struct pv_str){"sudo", 4, 0};
    assert_int_equal(pv_request_set_strings(r, PV_A_USER_GROUPS, members, 200), 0);
    const struct pv_value *v = pv_request_value(r, PV_A_USER_GROUPS);
    for (uint32_t i = 1; i < v->n_members; i++)
        assert_true(pv_str_compare(&v->members[i - 1], &v->members[i]) <= 0);
    assert_string_equal(v->members[199].ptr, "sudo");
    assert_string_equal(v->members[198].ptr, "netops");
    assert_int_equal(v->members[0].id, 0);
}

static void check_says(int code, const char *sentence)
{
    struct pv_error error;
    int status = pv_request_check(r, &error);
    if (status != code || strcmp(error.text, sentence) != 0)
        fail_msg("%d \"%s\" instead of %d \"%s\"", status, error.text, code, sentence);
}

static void test_check(void **state)
{
    (void)state;
    ask("alice", "staff", "install", "vlc", "internal");
    check_says(0, "");
    pv_request_reset(r);
    check_says(PV_E_MISSING, "request lacks command");
    pv_request_set_command(r, "install", 7);
    check_says(PV_E_MISSING, "request lacks user.name");
    set_string("user.name", "alice");
    check_says(PV_E_MISSING, "request for `install` lacks package.name, which the command needs");
    set_string("package.name", "vlc");
    check_says(PV_E_MISSING, "request for `install` lacks source.name, which the command needs");
    pv_request_set_unknown(r, PV_A_SOURCE_NAME);
    check_says(PV_E_MISSING, "request for `install` lacks package.version, which rule versions reads");
    set_string("package.version", "not a version");
    check_says(PV_E_TYPE, "package.version: \"not a version\" is not a valid dpkg version");
    pv_request_set_unknown(r, PV_A_PACKAGE_VERSION);
    check_says(0, "");
    set_string("argument.unit", "nginx.service");
    check_says(PV_E_UNKNOWN, "command `install` has no argument.unit");
    pv_request_set_absent(r, slot("argument.unit"));
    check_says(0, "");

    pv_request_reset(r);
    set_string("user.name", "alice");
    pv_request_set_command(r, "restart", 7);
    check_says(PV_E_MISSING, "request for `restart` lacks argument.unit, which the command needs");
    set_string("argument.unit", "sshd.service");
    check_says(PV_E_TYPE, "argument.unit of command `restart` cannot be \"sshd.service\"");
    set_string("argument.unit", "app-web.service");
    check_says(PV_E_MISSING, "request for `restart` lacks host.room, which rule units reads");
    set_string("host.room", "lab-1");
    check_says(0, "");
    set_string("host.image", "1.0");
    check_says(PV_E_TYPE, "host.image: \"1.0\" is not a valid semver version");
    set_string("host.image", "1.0.0");
    set_string("package.name", "vlc");
    check_says(PV_E_UNKNOWN, "command `restart` has no package.name");

    /* A request for what is never brokered is decided, not an error. */
    pv_request_set_command(r, "config", 6);
    check_says(0, "");
}

/* ---- Decisions ---- */

static void test_effects(void **state)
{
    (void)state;
    ask("alice", "staff", "install", "vlc", "internal");
    expect(PV_ALLOW, "base slow");
    ask("alice", "staff", "install", "vlc", "vendor");
    expect(PV_DENY, "builtin:admin-only");
    ask("alice", "staff", "install", "nmap", "old");
    expect(PV_DENY, "builtin:disabled no-sniffers");
    ask("alice", "netops", "install", "wireshark-qt", "internal");
    expect(PV_ALLOW, "base slow");
    ask("alice", "developers", "install", "clang-14", "internal");
    expect(PV_ALLOW, "base versions slow");
    ask("bob", "staff", "install", "docker.io", "internal");
    expect(PV_ALLOW, "base exception slow docker");
    ask("bob", "staff", "install", "docker.io", "internal");
    pv_request_set_time(r, 1798758000); /* 2027-01-01 00:00 in Paris: the exception is over */
    expect(PV_ALLOW, "base slow docker");
    ask("alice", "staff", "uninstall", "vlc", NULL);
    expect(PV_DENY, "");
    ask("root", "x", "install", "nmap", "internal");
    expect(PV_DIRECT, "admins");
    pv_decide(r, false, d); /* an operation of a plan */
    assert_int_equal(d->effect, PV_DENY);
    assert_string_equal(rule_ids(d), "no-sniffers");
    assert_int_equal(pv_verdict(r, false), PV_DENY);
    ask("alice", "staff", "uninstall", "vlc", NULL);
    set_string("package.owner", "alice");
    pv_decide(r, true, d);
    assert_int_equal(d->effect, PV_ALLOW);
    assert_true(d->reason);
    pv_request_set_bool(r, PV_A_PACKAGE_PROTECTED, true);
    expect(PV_DENY, "builtin:protected");
}

static void test_never_brokered(void **state)
{
    (void)state;
    static const char *const names[] = {"config", "feature", "source", "apikey"};
    for (int i = 0; i < 4; i++) {
        pv_request_reset(r);
        set_string("user.name", "root"); /* a direct rule would match any declared command */
        assert_int_equal(pv_request_set_command(r, names[i], strlen(names[i])), 0);
        expect(PV_DENY, "builtin:never-brokered");
    }
    /* Whatever a policy says: here everything is allowed and direct. */
    struct loaded whole = policy;
    struct pv_request *request = r;
    struct pv_decision *decision = d;
    load("policy p 1\nrule direct\n clause subject \"everyone\" const 1\nrule allow\n clause subject \"everyone\" "
         "const 1\n");
    pv_request_set_command(r, "config", 6);
    set_string("user.name", "root");
    expect(PV_DENY, "");
    assert_int_equal(pv_foresee(r, true, d), PV_STANDS_DENIED);
    unload_all();
    policy = whole;
    r = request;
    d = decision;
}

static void test_duties(void **state)
{
    (void)state;
    ask("alice", "staff", "install", "docker.io", "internal");
    expect(PV_ALLOW, "base slow docker");
    assert_true(d->has_timeout);
    assert_int_equal(d->timeout, 300);
    assert_false(d->reason);
    assert_int_equal(d->account, 0);
    assert_int_equal(d->n_duties, 3);
    const struct pvb_duty *duties = pv_bundle_section(policy.bundle, PVB_DUTIES, NULL);
    assert_int_equal(duties[d->duties[0]].kind, PV_D_NOTICE);
    assert_int_equal(duties[d->duties[1]].kind, PV_D_ALERT);
    assert_int_equal(duties[d->duties[2]].kind, PV_D_APPROVAL);
    assert_string_equal(pv_bundle_string(policy.bundle, duties[d->duties[2]].text, NULL), "netops");
    /* Who satisfies it: a clause over another person's request. */
    ask("bob", "netops", "install", "docker.io", "internal");
    assert_int_equal(pv_clause_truth(r, duties[d->duties[2]].clause), PV_TRUE);
    ask("bob", "staff", "install", "docker.io", "internal");
    assert_int_equal(pv_clause_truth(r, duties[d->duties[2]].clause), PV_FALSE);

    /* What is denied carries no duties. */
    ask("alice", "staff", "install", "nmap", "internal");
    expect(PV_DENY, "no-sniffers");
    assert_int_equal(d->n_duties, 0);
    assert_false(d->has_timeout);

    ask("alice", "ops", "restart", NULL, NULL);
    set_string("argument.unit", "app-a.service");
    set_string("host.room", "lab-1");
    set_string("host.image", "1.0.0");
    pv_decide(r, true, d);
    assert_int_equal(d->effect, PV_ALLOW);
    assert_string_equal(pv_bundle_string(policy.bundle, d->account, NULL), "worker");
    assert_int_equal(d->n_duties, 1);
    assert_int_equal(duties[d->duties[0]].kind, PV_D_WINDOW);
}

static const char accounts[] =
    "policy p 1\n"
    "command c provider p\n"
    "rule allow id all\n clause subject \"everyone\" str user.name \"alice\"\n"
    "rule deny id no\n clause subject \"x\" member user.groups \"no\"\n"
    "rule direct id root\n clause subject \"x\" str user.name \"root\"\n"
    "rule require id one\n clause subject \"x\" member user.groups \"one\"\n duty account \"a\"\n"
    "rule require id two\n clause subject \"x\" member user.groups \"two\"\n duty account \"b\"\n"
    "rule require id again\n clause subject \"x\" member user.groups \"again\"\n duty account \"a\"\n"
    " duty notice \"n\"\n duty notice \"n\"\n duty notice \"m\"\n";

static void ask_account(const char *user, const char *groups)
{
    pv_request_reset(r);
    set_string("user.name", user);
    set_strings("user.groups", groups);
    pv_request_set_command(r, "c", 1);
}

static void test_account_conflicts(void **state)
{
    (void)state;
    load(accounts);
    ask_account("alice", "one again");
    expect(PV_ALLOW, "all one again");
    assert_false(d->account_conflict);
    assert_string_equal(pv_bundle_string(policy.bundle, d->account, NULL), "a");
    assert_int_equal(d->n_duties, 2); /* the same notice once */
    ask_account("alice", "one two");
    expect(PV_DENY, "");
    assert_true(d->account_conflict);
    ask_account("bob", "one two"); /* with or without an allow */
    expect(PV_DENY, "");
    assert_true(d->account_conflict);
    ask_account("alice", "one two no");
    expect(PV_DENY, "no");
    assert_true(d->account_conflict);
    ask_account("root", "one two");
    expect(PV_DIRECT, "root");
    assert_false(d->account_conflict);
    ask_account("bob", "one");
    expect(PV_DENY, "");
    assert_false(d->account_conflict);
    assert_true(d->is_default);
    unload_all();
}

/* ---- Several operations ---- */

static void test_join(void **state)
{
    (void)state;
    load(accounts);
    struct pv_decision *sum;
    assert_int_equal(pv_decision_new(&sum, policy.bundle), 0);
    static const struct {
        const char *users[3], *groups[3];
        enum pv_effect effect;
        bool is_default, conflict;
        const char *rules;
        uint32_t n_duties;
    } rows[] = {
        {{"alice", "alice"}, {"again", "one"}, PV_ALLOW, false, false, "all one again", 2},
        {{"alice", "bob"}, {"again", "x"}, PV_DENY, true, false, "", 0},
        {{"bob", "alice"}, {"x", "again"}, PV_DENY, true, false, "", 0},
        {{"bob", "alice", "alice"}, {"x", "no", "again"}, PV_DENY, false, false, "no", 0},
        {{"alice", "alice", "bob"}, {"x", "no", "x"}, PV_DENY, false, false, "no", 0},
        {{"alice", "alice"}, {"one", "two"}, PV_DENY, false, true, "", 0},
        {{"alice", "bob"}, {"one", "two"}, PV_DENY, false, true, "", 0},
        {{"alice", "alice", "alice"}, {"one", "two", "no"}, PV_DENY, false, true, "no", 0},
        {{"root", "root"}, {"x", "one"}, PV_DIRECT, false, false, "root", 0},
        {{"root", "alice"}, {"x", "one"}, PV_DENY, true, false, "", 0},
        {{"alice"}, {"again"}, PV_ALLOW, false, false, "all again", 2},
        {{"alice"}, {"no"}, PV_DENY, false, false, "no", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pv_decision_clear(sum);
        for (int k = 0; k < 3 && rows[i].users[k]; k++) {
            ask_account(rows[i].users[k], rows[i].groups[k]);
            pv_decide(r, true, d);
            pv_decision_join(sum, policy.bundle, d, k == 0);
        }
        if (sum->effect != rows[i].effect || sum->is_default != rows[i].is_default ||
            sum->account_conflict != rows[i].conflict || strcmp(rule_ids(sum), rows[i].rules) != 0 ||
            sum->n_duties != rows[i].n_duties)
            fail_msg("row %zu: %d \"%s\" %u", i, sum->effect, rule_ids(sum), sum->n_duties);
    }
    pv_decision_free(sum);
    unload_all();
}

/* ---- Before planning ---- */

static void test_foresee(void **state)
{
    (void)state;
    static const int by_plan[] = {PV_A_PACKAGE_VERSION, PV_A_SOURCE_NAME, PV_A_TRANSACTION_REMOVES,
                                  PV_A_TRANSACTION_DOWNLOAD_SIZE};
    ask("alice", "staff", "install", "vlc", NULL);
    for (size_t i = 0; i < sizeof(by_plan) / sizeof(*by_plan); i++)
        pv_request_set_unknown(r, by_plan[i]);
    assert_int_equal(pv_foresee(r, true, d), PV_MAY_BE_ALLOWED);
    /* Unknown counts against: deciding now would deny. */
    pv_decide(r, true, d);
    assert_int_equal(d->effect, PV_DENY);
    assert_string_equal(rule_ids(d), "builtin:admin-only builtin:disabled");

    set_string("package.name", "nmap"); /* denied wherever it comes from */
    assert_int_equal(pv_foresee(r, true, d), PV_STANDS_DENIED);
    assert_int_equal(d->effect, PV_DENY);
    assert_string_equal(rule_ids(d), "no-sniffers");
    assert_false(d->is_default);

    ask("alice", "staff", "uninstall", "vlc", NULL); /* nothing can allow it */
    assert_int_equal(pv_foresee(r, true, d), PV_STANDS_DENIED);
    assert_true(d->is_default);
    pv_request_set_unknown(r, PV_A_PACKAGE_OWNER);
    assert_int_equal(pv_foresee(r, true, d), PV_MAY_BE_ALLOWED);

    ask("carol", "sudo", "install", "nmap", "internal");
    assert_int_equal(pv_foresee(r, true, d), PV_STANDS_DIRECT);
    assert_string_equal(rule_ids(d), "admins");
    assert_int_equal(pv_foresee(r, false, d), PV_STANDS_DENIED);
    pv_request_set_unknown(r, PV_A_USER_GROUPS); /* could be direct: nothing stands */
    assert_int_equal(pv_foresee(r, true, d), PV_MAY_BE_ALLOWED);
}

/* Time that is not known opens no window and meets no `until`. */
static void test_unknown_time(void **state)
{
    (void)state;
    load("policy p 1\nwindow w\n alt days 127\ncommand c provider p\nrule allow\n clause during \"w\" window w\n");
    pv_request_set_command(r, "c", 1);
    set_string("user.name", "alice");
    assert_int_equal(pv_verdict(r, true), PV_ALLOW);
    for (int s = PV_A_TIME_DATE; s <= PV_A_TIME_WEEKDAY; s++) {
        pv_request_set_time(r, 0);
        assert_int_equal(pv_verdict(r, true), PV_ALLOW);
        pv_request_set_unknown(r, s);
        assert_int_equal(pv_verdict(r, true), PV_DENY);
        assert_int_equal(pv_rule_truth(r, 0), PV_UNKNOWN);
    }
    unload_all();
}

/* ---- No allocation ---- */

static void everything(struct pv_decision *sum)
{
    static struct pv_str groups[] = {{"b", 1, 0}, {"netops", 6, 0}, {"a", 1, 0}};
    pv_request_reset(r);
    pv_request_set_string(r, PV_A_USER_NAME, "alice", 5);
    pv_request_set_int(r, PV_A_USER_UID, 1001);
    pv_request_set_strings(r, PV_A_USER_GROUPS, groups, 3);
    pv_request_set_command(r, "install", 7);
    pv_request_set_string(r, PV_A_PACKAGE_NAME, "docker.io", 9);
    pv_request_set_string(r, PV_A_PACKAGE_VERSION, "20.10.24+dfsg1-1+b3", 19);
    pv_request_set_bool(r, PV_A_PACKAGE_INSTALLED, false);
    pv_request_set_source(r, "internal", 8);
    pv_request_set_time(r, 1795251600);
    pv_request_set_unknown(r, PV_A_PACKAGE_SECTION);
    pv_request_set_absent(r, PV_A_PACKAGE_OWNER);
    pv_request_check(r, NULL);
    pv_verdict(r, true);
    pv_decide(r, true, d);
    pv_decision_clear(sum);
    pv_decision_join(sum, policy.bundle, d, true);
    pv_decision_join(sum, policy.bundle, d, false);
    pv_foresee(r, true, d);
    pv_clause_truth(r, 0);
    int64_t t;
    pv_bundle_local_time(policy.bundle, 20000, 3600, &t);
}

static void test_no_allocation(void **state)
{
    (void)state;
    struct pv_decision *sum;
    assert_int_equal(pv_decision_new(&sum, policy.bundle), 0);
#ifdef SANITIZED
    everything(sum); /* the sanitizer's own malloc() counts, so this build only watches */
#else
    assert_true(n_allocations > 0); /* the counter counts */
    size_t before = n_allocations;
    everything(sum);
    assert_int_equal(n_allocations, before);
#endif
    assert_int_equal(sum->effect, PV_ALLOW);
    pv_decision_free(sum);
}

#define WITH_BASE(test) cmocka_unit_test_setup_teardown(test, load_base, unload_base)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instructions),
        cmocka_unit_test(test_in2),
        cmocka_unit_test(test_has),
        cmocka_unit_test(test_logic),
        cmocka_unit_test(test_own),
        WITH_BASE(test_defaults),
        WITH_BASE(test_setters_refuse),
        WITH_BASE(test_members_are_sorted),
        WITH_BASE(test_check),
        WITH_BASE(test_effects),
        WITH_BASE(test_never_brokered),
        WITH_BASE(test_duties),
        cmocka_unit_test(test_account_conflicts),
        cmocka_unit_test(test_join),
        WITH_BASE(test_foresee),
        cmocka_unit_test(test_unknown_time),
        WITH_BASE(test_no_allocation),
    };
    return cmocka_run_group_tests_name("runtime/decide", tests, NULL, NULL);
}
