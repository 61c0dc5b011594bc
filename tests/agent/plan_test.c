/*
 * Plans: every field survives the wire and the canonical text, and nothing malformed gets in by either way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/name.h"
#include "agentd/plan.h"

static const char *const wanted[] = {"vlc", "gimp"};

static struct pv_plan_op sample_install(void)
{
    struct pv_plan_op op = {.action = PV_PLAN_INSTALL,
                            .dependency = true,
                            .name = "libvlc5",
                            .arch = "amd64",
                            .old_version = "",
                            .new_version = "1:3.0.18-2+b1",
                            .source = "internal",
                            .section = "libs",
                            .filename = "pool/libvlc5_3.0.18-2_amd64.deb",
                            .download_size = UINT64_C(5000000000),
                            .wanted_by = wanted,
                            .n_wanted_by = 2};
    memset(op.sha256, 0xab, sizeof op.sha256);
    return op;
}

static struct pv_plan_op sample_remove(void)
{
    return (struct pv_plan_op){.action = PV_PLAN_REMOVE,
                               .essential = true,
                               .automatic = true,
                               .name = "fast-net",
                               .arch = "all",
                               .old_version = "2.0",
                               .new_version = "",
                               .source = "",
                               .section = "",
                               .filename = ""};
}

struct text {
    char data[4096];
    size_t len;
};

static int append(void *context, const void *bytes, size_t len)
{
    struct text *t = context;
    assert_true(len <= sizeof t->data - t->len);
    memcpy(t->data + t->len, bytes, len);
    t->len += len;
    return 0;
}

static int refuse(void *context, const void *bytes, size_t len)
{
    (void)context, (void)bytes, (void)len;
    return 1;
}

static void test_wire(void **state)
{
    (void)state;
    struct pv_plan_op op = sample_install();
    uint8_t data[1024];
    struct pv_wbuf w;
    pv_wbuf_init(&w, data, sizeof data);
    pv_plan_op_encode(&w, &op);
    assert_false(w.overflow);

    struct pv_plan plan = {0};
    struct pv_rbuf r;
    pv_rbuf_init(&r, data, w.len);
    assert_int_equal(pv_plan_op_decode(&r, &plan), 0);
    assert_true(pv_rbuf_done(&r));
    assert_int_equal(plan.n_ops, 1);
    const struct pv_plan_op *got = &plan.ops[0];
    assert_int_equal(got->action, PV_PLAN_INSTALL);
    assert_true(got->dependency && !got->essential && !got->held && !got->config_files && !got->automatic);
    assert_string_equal(got->name, "libvlc5");
    assert_string_equal(got->new_version, "1:3.0.18-2+b1");
    assert_string_equal(got->source, "internal");
    assert_string_equal(got->filename, "pool/libvlc5_3.0.18-2_amd64.deb");
    assert_true(got->download_size == UINT64_C(5000000000));
    assert_memory_equal(got->sha256, op.sha256, 32);
    assert_int_equal(got->n_wanted_by, 2);
    assert_string_equal(got->wanted_by[1], "gimp");

    for (size_t n = 0; n < w.len; n++) { /* truncated at each byte: refused, and the plan is as it was */
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, data, n);
        pv_rbuf_init(&r, exact, n);
        assert_int_equal(pv_plan_op_decode(&r, &plan), PV_E_PLAN_MALFORMED);
        assert_int_equal(plan.n_ops, 1);
        free(exact);
    }
    for (size_t bit = 0; bit < w.len * 8; bit++) { /* flipped bits: refused, or still a valid operation */
        uint8_t *exact = malloc(w.len);
        struct pv_plan other = {0};
        memcpy(exact, data, w.len);
        exact[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        pv_rbuf_init(&r, exact, w.len);
        if (pv_plan_op_decode(&r, &other) == 0) {
            assert_true(pv_apt_name_valid(other.ops[0].name, strlen(other.ops[0].name)));
            assert_true(pv_apt_version_valid(other.ops[0].new_version, strlen(other.ops[0].new_version)));
        }
        pv_plan_clear(&other);
        free(exact);
    }
    pv_plan_clear(&plan);
}

static void test_rules(void **state)
{
    (void)state;
    struct pv_plan plan = {0};
    struct pv_plan_op op = sample_install();
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        op = sample_install();                                                                                         \
        change;                                                                                                        \
        assert_int_equal(pv_plan_add(&plan, &op), PV_E_PLAN_MALFORMED);                                                \
    } while (0)
    REFUSED(op.name = "-rf");
    REFUSED(op.name = "a b");
    REFUSED(op.arch = "any");
    REFUSED(op.new_version = "");
    REFUSED(op.new_version = "1*");
    REFUSED(op.old_version = "1.0"); /* an install of what is there */
    REFUSED(op.source = "");
    REFUSED(op.source = "../x");
    REFUSED(memset(op.sha256, 0, 32));
    REFUSED(op.filename = "a b");
    REFUSED(op.section = "a\nb");
    REFUSED(op.action = PV_PLAN_ACTIONS);
    REFUSED(op.action = PV_PLAN_UPGRADE);
    REFUSED(op.action = PV_PLAN_REMOVE);
    REFUSED(op.n_wanted_by = PV_PLAN_WANTED_MAX + 1);
#undef REFUSED
    op = sample_remove();
    op.source = "internal";
    assert_int_equal(pv_plan_add(&plan, &op), PV_E_PLAN_MALFORMED);
    assert_int_equal(plan.n_ops, 0);

    op = sample_remove();
    assert_int_equal(pv_plan_add(&plan, &op), 0);
    op.action = PV_PLAN_PURGE;
    assert_int_equal(pv_plan_add(&plan, &op), 0);
    assert_int_equal(pv_plan_sort(&plan), PV_E_PLAN_MALFORMED); /* one package twice */
    pv_plan_clear(&plan);

    op = sample_remove();
    char name[16];
    op.name = name;
    for (int i = 0; i < PV_PLAN_OPS_MAX; i++) {
        snprintf(name, sizeof name, "p%d", i);
        assert_int_equal(pv_plan_add(&plan, &op), 0);
    }
    assert_int_equal(pv_plan_add(&plan, &op), PV_E_PLAN_TOO_BIG);
    pv_plan_clear(&plan);
}

static void test_canonical(void **state)
{
    (void)state;
    static const char expected[] = "proviso-plan 1\n"
                                   "remove fast-net all 2.0 - - -\n"
                                   "install libvlc5 amd64 - 1:3.0.18-2+b1 internal "
                                   "abababababababababababababababababababababababababababababababab\n";
    struct pv_plan plan = {0}, back = {0};
    struct pv_plan_op a = sample_install(), b = sample_remove();
    struct text t = {.len = 0}, u = {.len = 0};
    assert_int_equal(pv_plan_add(&plan, &a), 0);
    assert_int_equal(pv_plan_add(&plan, &b), 0);
    assert_int_equal(pv_plan_canonical(&plan, append, &t), 0);
    assert_int_equal(t.len, sizeof expected - 1);
    assert_memory_equal(t.data, expected, t.len);
    assert_int_equal(pv_plan_canonical(&plan, refuse, NULL), PV_E_PLAN_SINK);

    assert_int_equal(pv_plan_parse(&back, t.data, t.len), 0);
    assert_int_equal(pv_plan_canonical(&back, append, &u), 0);
    assert_int_equal(u.len, t.len);
    assert_memory_equal(u.data, t.data, t.len);

    size_t still_good = 0;
    for (size_t n = 0; n < t.len; n++) { /* cut anywhere: only whole lines are left over as a plan */
        char *exact = malloc(n ? n : 1);
        memcpy(exact, t.data, n);
        if (pv_plan_parse(&back, exact, n) == 0) {
            still_good++;
            assert_int_equal(exact[n - 1], '\n');
        }
        free(exact);
    }
    assert_int_equal(still_good, 2); /* after the header, after the first operation */
    for (size_t i = 0; i < t.len; i++)
        for (int c = 0; c < 256; c++) { /* any byte replaced: refused, or what it says is what would be written */
            char copy[sizeof t.data];
            memcpy(copy, t.data, t.len);
            copy[i] = (char)c;
            if (pv_plan_parse(&back, copy, t.len) == 0) {
                u.len = 0;
                assert_int_equal(pv_plan_canonical(&back, append, &u), 0);
                assert_int_equal(u.len, t.len);
                assert_memory_equal(u.data, copy, t.len);
            }
        }
    static const char *const bad[] = {
        "",
        "proviso-plan 2\n",
        "proviso-plan 1",
        "proviso-plan 1\n\n",
        "proviso-plan 1\nremove a\n",
        "proviso-plan 1\nremove fast-net all 2.0 - - - \n",
        "proviso-plan 1\nremove  fast-net all 2.0 - - -\n",
        "proviso-plan 1\nremove fast-net all 2.0 - - - -\n",
        "proviso-plan 1\nremove fast-net all - - - -\n",
        "proviso-plan 1\nremove fast-net all 2.0 - - -",
        "proviso-plan 1\nerase fast-net all 2.0 - - -\n",
        ("proviso-plan 1\ninstall libvlc5 amd64 - 1 internal "
         "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB\n"),
        "proviso-plan 1\nremove fast-net all 2.0 - - -\nremove fast-net all 2.0 - - -\n",
        "proviso-plan 1\nremove fast-net all 2.0 - - -\nremove a-net all 2.0 - - -\n",
        "proviso-plan 1\nremove fast-net all 2.0 - - -\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pv_plan_parse(&back, bad[i], strlen(bad[i])), PV_E_PLAN_MALFORMED);
    pv_plan_clear(&plan);
    pv_plan_clear(&back);
}

static void test_state_item(void **state)
{
    (void)state;
    struct pv_plan_state s = {.name = "vlc",
                              .arch = "amd64",
                              .installed = true,
                              .held = true,
                              .available = true,
                              .installed_version = "3.0.18-2",
                              .section = "video",
                              .candidate_version = "3.0.20-1",
                              .candidate_source = "internal",
                              .download_size = 7,
                              .summary = "a player"},
                         got;
    uint8_t data[512];
    char store[PV_PLAN_STATE_STORE];
    struct pv_wbuf w;
    struct pv_rbuf r;
    pv_wbuf_init(&w, data, sizeof data);
    pv_plan_state_encode(&w, &s);
    pv_rbuf_init(&r, data, w.len);
    assert_int_equal(pv_plan_state_decode(&r, &got, store), 0);
    assert_true(pv_rbuf_done(&r));
    assert_true(got.installed && got.held && got.available && !got.broken && !got.essential);
    assert_string_equal(got.candidate_version, "3.0.20-1");
    assert_string_equal(got.summary, "a player");
    for (size_t n = 0; n < w.len; n++) {
        pv_rbuf_init(&r, data, n);
        assert_int_equal(pv_plan_state_decode(&r, &got, store), PV_E_PLAN_MALFORMED);
    }
    static char big[PV_PLAN_STATE_STORE + 64];
    uint8_t large[2 * PV_PLAN_STATE_STORE];
    memset(big, 'x', sizeof big - 1);
    s.summary = big;
    pv_wbuf_init(&w, large, sizeof large);
    pv_plan_state_encode(&w, &s);
    pv_rbuf_init(&r, large, w.len);
    assert_int_equal(pv_plan_state_decode(&r, &got, store), PV_E_PLAN_MALFORMED); /* larger than the store */
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"vlc", "g++", "libstdc++6", "0ad", "a.b", "python3.11", "docker.io"};
    static const char *const bad[] = {
        "",        "a",     "-y",   "--purge",    "Vlc",    "vlc-",       "vlc/stable", "vlc:amd64",
        "vlc=1*",  "vlc*",  "^vlc", "?name(vlc)", "~nvlc",  "task^",      "./vlc.deb",  "/tmp/vlc.deb",
        "vlc deb", "vlc\n", ".vlc", "+vlc",       "../vlc", "vl\xc3\xa9", "vlc_1",      "vlc\\",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(pv_apt_name_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pv_apt_name_valid(bad[i], strlen(bad[i])));
    assert_false(pv_apt_name_valid("vlc\0x", 5));
    char longest[PV_APT_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(pv_apt_name_valid(longest, PV_APT_NAME_MAX));
    assert_false(pv_apt_name_valid(longest, PV_APT_NAME_MAX + 1));

    static const char *const versions[] = {"1",       "1:2.39.2-1.1", "3.0.18-2+b1", "2.0~rc1",
                                           "1:0:1-2", "7.93+dfsg1-1", "a1"};
    static const char *const not_versions[] = {"",    "1*",  "1 2", ":1",  "a:1",           "1:", "-1", "1-",
                                               "1/2", "1_2", "=1",  "1\n", "12345678901:1", "~1", "1?"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        assert_true(pv_apt_version_valid(versions[i], strlen(versions[i])));
    for (size_t i = 0; i < sizeof not_versions / sizeof not_versions[0]; i++)
        assert_false(pv_apt_version_valid(not_versions[i], strlen(not_versions[i])));

    assert_true(pv_apt_arch_valid("amd64", 5) && pv_apt_arch_valid("all", 3) &&
                pv_apt_arch_valid("musl-linux-arm", 14));
    assert_false(pv_apt_arch_valid("any", 3) || pv_apt_arch_valid("native", 6) || pv_apt_arch_valid("", 0) ||
                 pv_apt_arch_valid("-a", 2) || pv_apt_arch_valid("AMD64", 5));
    assert_true(pv_apt_source_valid("internal", 8) && pv_apt_source_valid("_a-B", 4));
    assert_false(pv_apt_source_valid("", 0) || pv_apt_source_valid("1a", 2) || pv_apt_source_valid("a/b", 3) ||
                 pv_apt_source_valid("a.b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire),       cmocka_unit_test(test_rules), cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_state_item), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
