/*
 * Every parser of text that the agent's apt side has, with text that means it ill: stanzas, fields, relations, entries
 * of indexes and of dpkg's status, apt's simulation, apt's list for the hook. Texts are copied into allocations of
 * exactly their size, so that ASan sees a read past the end; a generator of damaged variants runs over each sample.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/catalog.h"
#include "agentd/apt/deb822.h"
#include "agentd/apt/hooklist.h"
#include "agentd/apt/simulate.h"
#include "agentd/apt/text.h"

static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, text, len);
    return copy;
}

static struct pv_slice slice(const char *text)
{
    return (struct pv_slice){text, strlen(text)};
}

/* Calls `try` with the sample cut at each byte, and with each byte replaced by ones that mean something somewhere. */
static void damage(const char *sample, size_t len, void (*try)(const char *text, size_t len))
{
    static const char bytes[] = {0,   '\n', ' ', '\t', ':',    '(',    ')',    '[', ']',
                                 '|', ',',  '-', '*',  '\x1b', '\x7f', '\xff', 'a', '/'};
    for (size_t n = 0; n <= len; n++) {
        char *text = exact(sample, n);
        try(text, n);
        free(text);
    }
    for (size_t i = 0; i < len; i++)
        for (size_t b = 0; b < sizeof bytes; b++) {
            char *text = exact(sample, len);
            text[i] = bytes[b];
            try(text, len);
            free(text);
        }
    for (size_t i = 0; i < len; i++) { /* one byte taken out */
        char *text = exact(sample, len - 1);
        memcpy(text, sample, i);
        memcpy(text + i, sample + i + 1, len - i - 1);
        try(text, len - 1);
        free(text);
    }
}

/* ---- stanzas and fields ---- */

static void test_stanzas(void **state)
{
    (void)state;
    static const char text[] = "\n \n\nPackage: a\nVersion: 1\n\n \t\n\nPackage: b\n x\n";
    size_t at = 0;
    struct pv_slice s, value;
    assert_true(pv_deb822_next(text, sizeof text - 1, &at, &s));
    assert_int_equal(pv_deb822_line(s, "package", &value), 1);
    assert_true(pv_slice_is(value, "a"));
    assert_int_equal(pv_deb822_line(s, "Source", &value), 0);
    assert_true(pv_deb822_next(text, sizeof text - 1, &at, &s));
    assert_int_equal(pv_deb822_line(s, "Package", &value), -1); /* continued where one line is due */
    assert_int_equal(pv_deb822_field(s, "Package", &value), 1);
    assert_true(pv_slice_is(value, "b\n x"));
    assert_false(pv_deb822_next(text, sizeof text - 1, &at, &s));

    assert_int_equal(pv_deb822_field(slice("A: 1\nA: 2"), "A", &value), -1);
    assert_int_equal(pv_deb822_field(slice("AB: 1"), "A", &value), 0);
    assert_int_equal(pv_deb822_field(slice("A:"), "A", &value), 1);
    assert_int_equal(value.len, 0);
    assert_int_equal(pv_deb822_field(slice("X: 1\n A: 2"), "A", &value), 0); /* a continuation is no field */

    assert_true(pv_deb822_valid(slice("A: 1\n more\n\tmore\nB:")));
    static const char *const bad[] = {"",      " A: 1", "A 1",      ": 1",   "A: 1\nB",
                                      "-A: 1", "#A: 1", "A\x01: 1", "A : 1", "A: 1\n: 2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pv_deb822_valid(slice(bad[i])));
    assert_false(pv_deb822_valid((struct pv_slice){"A: \0", 4}));

    uint64_t number;
    assert_true(pv_deb822_number(slice("9223372036854775807"), &number));
    assert_true(number == INT64_MAX);
    static const char *const not_numbers[] = {"", "-1", "+1", "1 ", " 1", "0x1", "1.0", "99999999999999999999", "1\n2"};
    for (size_t i = 0; i < sizeof not_numbers / sizeof not_numbers[0]; i++)
        assert_false(pv_deb822_number(slice(not_numbers[i]), &number));
    uint8_t hash[32];
    assert_true(pv_deb822_sha256(slice("00ff000000000000000000000000000000000000000000000000000000000Aa1"), hash));
    assert_int_equal(hash[1], 0xff);
    assert_int_equal(hash[31], 0xa1);
    assert_false(pv_deb822_sha256(slice("00ff"), hash));
    assert_false(pv_deb822_sha256(slice("g0ff000000000000000000000000000000000000000000000000000000000Aa1"), hash));
}

static void walk_stanzas(const char *text, size_t len)
{
    struct pv_slice s, value;
    size_t at = 0, total = 0;
    while (pv_deb822_next(text, len, &at, &s)) {
        assert_true(s.len > 0 && s.at >= text && s.at + s.len <= text + len);
        total += s.len;
        pv_deb822_valid(s);
        if (pv_deb822_field(s, "Depends", &value) == 1)
            assert_true(value.at >= s.at && value.at + value.len <= s.at + s.len);
    }
    assert_true(total <= len);
}

/* ---- relations ---- */

static void test_relations(void **state)
{
    (void)state;
    struct pv_relation r;
    struct pv_slice s = slice("libc6 (>= 2.36), a:any | b:i386 (<< 1:2-3)|c,\n d (= 1),, e");
    size_t at = 0;
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_true(pv_slice_is(r.name, "libc6") && pv_slice_is(r.version, "2.36") && !r.or_next);
    assert_string_equal(r.op, ">=");
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_true(pv_slice_is(r.name, "a") && pv_slice_is(r.arch, "any") && r.or_next);
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_true(pv_slice_is(r.name, "b") && pv_slice_is(r.version, "1:2-3") && r.or_next);
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_true(pv_slice_is(r.name, "c") && !r.or_next);
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_string_equal(r.op, "=");
    assert_int_equal(pv_relation_next(s, &at, &r), 1);
    assert_true(pv_slice_is(r.name, "e"));
    assert_int_equal(pv_relation_next(s, &at, &r), 0);
    assert_int_equal(pv_relation_next(s, &at, &r), 0);

    static const char *const bad[] = {"a (",        "a (>=)",  "a (>= 1",   "a (~ 1)",   "a >= 1",    "(>= 1)",
                                      "a |",        "a | , b", "a:",        "a b",       "a [amd64]", "a <!nocheck>",
                                      "a (>= 1) x", "|a",      "a (= 1 2)", "a ((= 1))", ")"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int more;
        at = 0;
        while ((more = pv_relation_next(slice(bad[i]), &at, &r)) > 0)
            continue;
        assert_int_equal(more, -1);
    }
    at = 0;
    assert_int_equal(pv_relation_next((struct pv_slice){"a\0b", 3}, &at, &r), -1);

    static const struct {
        const char *relation, *version;
        bool holds;
    } rows[] = {{"a", "1", true},
                {"a (>= 2)", "2", true},
                {"a (>= 2)", "2~rc1", false},
                {"a (<< 2)", "2~rc1", true},
                {"a (= 1.0)", "1.0-0", true},
                {"a (>> 1:0)", "99", false},
                {"a (<= 1.10)", "1.9", true},
                {"a (< 2)", "2", true},
                {"a (> 2)", "2", true},
                {"a (>> 2)", "2", false},
                {"a (= 1)", "1.1", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        at = 0;
        assert_int_equal(pv_relation_next(slice(rows[i].relation), &at, &r), 1);
        assert_int_equal(pv_relation_holds(&r, slice(rows[i].version)), rows[i].holds);
    }
}

static void walk_relations(const char *text, size_t len)
{
    struct pv_relation r;
    size_t at = 0, steps = 0;
    while (pv_relation_next((struct pv_slice){text, len}, &at, &r) > 0) {
        assert_true(++steps <= len && at <= len);
        pv_relation_holds(&r, slice("1.0"));
    }
}

/* ---- entries ---- */

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const char index_text[] = "Package: vlc\nArchitecture: amd64\nVersion: 3.0.18-2\nSection: video\nEssential: no\n"
                                 "Depends: libvlc5 (>= 3), a | b\nFilename: pool/vlc.deb\nSize: 20672\nSHA256: " HASH
                                 "\nDescription: a player\n of media\n";
static const char status_text[] = "Package: vlc\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.18-2\n"
                                  "Essential: yes\n";

static bool reads(const char *text, int source, struct pv_facts *facts)
{
    struct pv_catalog catalog = {0};
    size_t n;
    bool good = pv_catalog_add_bytes(&catalog, text, strlen(text), source) == 0;
    const struct pv_entry *entry = good ? pv_catalog_find(&catalog, slice("vlc"), &n) : NULL;
    good = entry && n == 1 && pv_facts_read(entry, facts);
    pv_catalog_clear(&catalog);
    return good;
}

/* The sample with one line exchanged (or left out, where `line` is NULL). */
static char *with(const char *sample, const char *field, const char *line)
{
    static char out[2048];
    const char *from = strstr(sample, field), *after = strchr(from, '\n') + 1;
    snprintf(out, sizeof out, "%.*s%s%s%s", (int)(from - sample), sample, line ? line : "", line ? "\n" : "", after);
    return out;
}

static void test_entries(void **state)
{
    (void)state;
    struct pv_facts f;
    assert_true(reads(index_text, 0, &f));
    assert_true(pv_slice_is(f.version, "3.0.18-2") && f.size == 20672 && !f.essential &&
                pv_slice_is(f.summary, "a player"));
    assert_true(pv_slice_is(f.depends, "libvlc5 (>= 3), a | b"));
    assert_true(reads(status_text, PV_CATALOG_STATUS, &f));
    assert_true(f.installed && f.essential && !f.held && !f.broken);

    static const char *const required[] = {"Architecture", "Version", "Filename", "Size", "SHA256"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        assert_false(reads(with(index_text, required[i], NULL), 0, &f));
    static const struct {
        const char *field, *line;
    } bad[] = {{"Version", "Version: 1 2"},
               {"Version", "Version: *"},
               {"Version", "Version: 1\nVersion: 2"},
               {"Filename", "Filename: /etc/passwd"},
               {"Filename", "Filename: ../x.deb"},
               {"Filename", "Filename: a/../../x"},
               {"Filename", "Filename: a b"},
               {"Filename", "Filename: .."},
               {"Size", "Size: -5"},
               {"Size", "Size: 1e9"},
               {"SHA256", "SHA256: 00"},
               {"Architecture", "Architecture: any"},
               {"Section", "Section: a b"},
               {"Depends", "Depends: a\nDepends: b"},
               {"Package", "Package: VLC"},
               {"Package", "Package: vlc*"},
               {"Section", "no colon"},
               {"Filename", "Filename: a\x1b[2J"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(reads(with(index_text, bad[i].field, bad[i].line), 0, &f));
    static const struct {
        const char *status;
        bool reads, installed, broken, config, held;
    } rows[] = {{"install ok installed", true, true, false, false, false},
                {"hold ok installed", true, true, false, false, true},
                {"deinstall ok config-files", true, false, false, true, false},
                {"install ok half-configured", true, false, true, false, false},
                {"install ok unpacked", true, false, true, false, false},
                {"install ok triggers-pending", true, false, true, false, false},
                {"install reinstreq installed", true, false, true, false, false},
                {"unknown ok not-installed", true, false, false, false, false},
                {"install ok", false, false, false, false, false},
                {"install ok installed now", false, false, false, false, false},
                {"install  ok installed", false, false, false, false, false},
                {"installok installed", false, false, false, false, false},
                {"", false, false, false, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "Status: %s", rows[i].status);
        assert_int_equal(reads(with(status_text, "Status", line), PV_CATALOG_STATUS, &f), rows[i].reads);
        if (rows[i].reads)
            assert_true(f.installed == rows[i].installed && f.broken == rows[i].broken &&
                        f.config_files == rows[i].config && f.held == rows[i].held);
    }
}

static void walk_index(const char *text, size_t len)
{
    struct pv_catalog catalog = {0};
    struct pv_facts facts;
    pv_catalog_add_bytes(&catalog, text, len, 0);
    for (size_t i = 0; i < catalog.n_entries; i++)
        pv_facts_read(&catalog.entries[i], &facts);
    pv_catalog_clear(&catalog);
}

static void test_catalog(void **state)
{
    (void)state;
    struct pv_catalog c = {0};
    size_t n;
    assert_int_equal(pv_catalog_add_bytes(&c, "Package: b\n\nPackage: a\nV: 1\n\nX: y\nPackage: a\n", 45, 0), 0);
    assert_int_equal(pv_catalog_add_bytes(&c, "Package: a\n", 11, 1), 0);
    const struct pv_entry *e = pv_catalog_find(&c, slice("a"), &n);
    assert_int_equal(n, 3);
    assert_int_equal(e[2].source, 1);
    assert_null(pv_catalog_find(&c, slice("ab"), &n));
    assert_null(pv_catalog_find(&c, slice(""), &n));
    assert_non_null(pv_catalog_find(&c, slice("b"), &n));
    pv_catalog_clear(&c);
    assert_int_equal(pv_catalog_add_bytes(&c, "Version: 1\n", 11, 0), -2);
    pv_catalog_clear(&c);
    assert_int_equal(pv_catalog_add_bytes(&c, "Package:\n", 9, 0), -2);
    pv_catalog_clear(&c);
    assert_int_equal(pv_catalog_add(&c, "/nonexistent", 0), -1);
    assert_int_equal(pv_catalog_add(&c, "/dev/zero", 0), -2);
    assert_int_equal(pv_catalog_add(&c, "/", 0), -2);
    assert_int_equal(pv_catalog_add(&c, "/dev/null", 0), -2);
    assert_null(pv_catalog_find(&c, slice("a"), &n));
    pv_catalog_clear(&c);
}

/* ---- the simulation ---- */

static int one_line(const char *text, struct pv_sim_line *line)
{
    size_t at = 0;
    struct pv_slice raw;
    return pv_sim_next(text, strlen(text), &at, line, &raw);
}

static void test_simulation(void **state)
{
    (void)state;
    struct pv_sim_line l;
    assert_int_equal(
        one_line("Inst vlc [3.0.18-2] (1:3.0.20-1+b1 internal:stable, Debian:12.1/stable [amd64]) []\n", &l), 1);
    assert_true(l.kind == PV_SIM_INST && pv_slice_is(l.name, "vlc") && pv_slice_is(l.old, "3.0.18-2") &&
                pv_slice_is(l.new, "1:3.0.20-1+b1") && pv_slice_is(l.arch, "amd64"));
    assert_int_equal(one_line("Inst libc6:i386 (2.36 Debian:12/stable [i386]) [libx:i386 on libc6:i386] [a b ]\n", &l),
                     1);
    assert_true(pv_slice_is(l.name_arch, "i386") && l.old.len == 0);
    assert_int_equal(one_line("Conf g++ (12 x [all])\n", &l), 1);
    assert_true(l.kind == PV_SIM_CONF);
    assert_int_equal(one_line("Remv site-guard [4.1]\n", &l), 1);
    assert_true(l.kind == PV_SIM_REMV && pv_slice_is(l.old, "4.1") && l.new.len == 0);
    assert_int_equal(one_line("Purg site-guard [4.1] [x ]\n", &l), 1);
    assert_int_equal(one_line("", &l), 0);

    /* What a Release file says of itself stands between version and architecture, and cannot forge either. */
    assert_int_equal(one_line("Inst vlc (1.0 evil [i386]) (2.0 x:y [amd64])\n", &l), 1);
    assert_true(pv_slice_is(l.new, "1.0") && pv_slice_is(l.arch, "amd64"));
    assert_int_equal(one_line("Inst vlc (1.0 evil [3.0] Remv nmap [amd64])\n", &l), 1);
    assert_true(pv_slice_is(l.name, "vlc") && l.old.len == 0);

    static const char *const bad[] = {
        "\n",
        "Inst vlc (1.0 x [amd64])",
        "Inst vlc\n",
        "Inst vlc (1.0)\n",
        "Inst vlc (1.0 x)\n",
        "Inst vlc [1.0]\n",
        "Inst  vlc (1.0 x [amd64])\n",
        "inst vlc (1.0 x [amd64])\n",
        "Inst vlc (1.0 x [amd64]) more\n",
        "Inst vlc (1* x [amd64])\n",
        "Inst vlc ( x [amd64])\n",
        "Inst -y (1.0 x [amd64])\n",
        "Inst vlc: (1.0 x [amd64])\n",
        "Inst vlc:any (1.0 x [amd64])\n",
        "Inst vlc (1.0 x [AMD])\n",
        "Inst vlc (1.0 x [])\n",
        "Inst vlc [] (1.0 x [amd64])\n",
        "Inst vlc [1.0](1.0 x [amd64])\n",
        "Inst vlc (1.0 x\x1b [amd64])\n",
        "Inst vlc (1.0 x [amd64]\n",
        "Remv vlc\n",
        "Remv vlc [1.0\n",
        "Remv vlc 1.0\n",
        "Remv vlc [1.0] x\n",
        "Remv vlc [1.0] [x\n",
        "Reading package lists...\n",
        "W: warning\n",
        "Inst vlc (1.0 x [amd64]) [x\n",
        "Conf vlc broken\n",
        " Inst vlc (1.0 x [amd64])\n",
        "Inst vlc (1.0 x [amd64])\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (one_line(bad[i], &l) != -1)
            fail_msg("accepted: %s", bad[i]);
    size_t at = 0;
    struct pv_slice raw;
    assert_int_equal(pv_sim_next("Remv a\0b [1]\n", 13, &at, &l, &raw), -1);
    assert_int_equal(raw.len, 12);
}

static void walk_simulation(const char *text, size_t len)
{
    struct pv_sim_line line;
    struct pv_slice raw;
    size_t at = 0, steps = 0;
    while (pv_sim_next(text, len, &at, &line, &raw) > 0)
        assert_true(++steps <= len && at <= len);
}

/* ---- the hook's list ---- */

static const char plan_text[] = "proviso-plan 1\n"
                                "remove fast-net amd64 2.0 - - -\n"
                                "install libvlc5 amd64 - 3.0.18-2 internal " HASH "\n"
                                "upgrade vlc amd64 3.0.17-1 3.0.18-2 internal " HASH "\n";
static const char list_text[] = "VERSION 3\nAPT::Architecture=amd64\nx=\n\n"
                                "fast-net 2.0 amd64 none > - - none **REMOVE**\n"
                                "libvlc5 - - none < 3.0.18-2 amd64 same /c/libvlc5_3.0.18-2_amd64.deb\n"
                                "vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none /c/vlc_3.0.18-2_amd64.deb\n"
                                "libvlc5 - - none < 3.0.18-2 amd64 same **CONFIGURE**\n"
                                "vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\n";
static struct pv_plan hook_plan;

/* Every archive has the planned hash, but those below /bad. */
static int fake_hash(void *context, const char *path, uint8_t hash[32])
{
    (void)context;
    assert_int_equal(path[0], '/');
    if (strncmp(path, "/missing/", 9) == 0)
        return -1;
    assert_true(pv_deb822_sha256(slice(HASH), hash));
    if (strncmp(path, "/bad/", 5) == 0)
        hash[31] ^= 1;
    return 0;
}

static int hook_says(const char *list, size_t len, char *sentence)
{
    struct pv_hook_verdict verdict;
    int result = pv_hook_check(&hook_plan, list, len, fake_hash, NULL, &verdict);
    assert_int_equal(result == 0, verdict.sentence[0] == '\0');
    if (sentence)
        strcpy(sentence, verdict.sentence);
    return result;
}

/* The list with one piece of text exchanged. */
static char *changed(const char *from, const char *to)
{
    static char out[4096];
    const char *at = strstr(list_text, from);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - list_text), list_text, to, at + strlen(from));
    return out;
}

static size_t accepted;

static void walk_hook(const char *text, size_t len)
{
    accepted += hook_says(text, len, NULL) == 0;
}

static void test_hook(void **state)
{
    (void)state;
    char sentence[1024];
    assert_int_equal(pv_plan_parse(&hook_plan, plan_text, sizeof plan_text - 1), 0);
    assert_int_equal(hook_says(list_text, sizeof list_text - 1, sentence), 0);
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        {"/c/vlc_", "/bad/vlc_", "its SHA-256 differs"},
        {"/c/vlc_", "/missing/vlc_", "cannot be read as root's file"},
        {"/c/vlc_", "c/vlc_", "unexpected form"},
        {"VERSION 3", "VERSION 2", "protocol version 3"},
        {"\n\n", "\n", "ends within its configuration"},
        {"fast-net 2.0 amd64 none > - - none **REMOVE**\n", "",
         "the plan says remove fast-net, and apt does not do it"},
        {"vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none /c/vlc_3.0.18-2_amd64.deb\n", "", "the plan says upgrade vlc"},
        {"fast-net 2.0", "fast-net 2.1", "version 2.1 of fast-net is there now, and the plan was made for 2.0"},
        {"fast-net 2.0", "slow-net 2.0", "remove slow-net 2.0, which is not in the plan"},
        {"fast-net 2.0 amd64", "fast-net 2.0 i386", "which is not in the plan"},
        {"- - none **REMOVE**", "2.0 amd64 none **REMOVE**",
         "apt wants version 2.0 of fast-net, and the plan says none"},
        {"- - none **REMOVE**", "- amd64 none /c/x.deb", "apt wants to install fast-net, and the plan says remove"},
        {"< 3.0.18-2 amd64 same /c", "< 3.0.19 amd64 same /c",
         "apt wants version 3.0.19 of libvlc5, and the plan says 3.0.18-2"},
        {"libvlc5 - - none < 3.0.18-2 amd64 same /c", "libvlc5 1.0 amd64 none < 3.0.18-2 amd64 same /c",
         "the plan was made for none"},
        {"vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\n",
         "vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\nnmap - - none < 1 amd64 none **CONFIGURE**\n",
         "configure nmap 1, which is not in the plan"},
        {"vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\n",
         "vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none /c/again.deb\n", "names vlc twice"},
        {"vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\n", "vlc - - none > - amd64 none **REMOVE**\n",
         "which is not in the plan"},
        {"vlc 3.0.17-1 amd64 none < 3.0.18-2 amd64 none **CONFIGURE**\n",
         "vlc 3.0.17-1 amd64 none > - - none **REMOVE**\n", "apt wants to remove vlc, and the plan says upgrade"},
        {"amd64 same **CONFIGURE**", "amd64 both **CONFIGURE**", "unexpected form"},
        {"none < 3.0.18-2 amd64 same **", "none ! 3.0.18-2 amd64 same **", "unexpected form"},
        {"vlc 3.0.17-1 amd64", "vlc  3.0.17-1 amd64", "unexpected form"},
        {"vlc 3.0.17-1 amd64", "vlc 3.0.17\x1b[2J-1 amd64", "unexpected form"},
        {"**CONFIGURE**\nvlc", "**CONFIGURE**\n\nvlc", "unexpected form"},
        {"**REMOVE**", "**DELETE**", "which is not in the plan"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *list = changed(rows[i].from, rows[i].to);
        assert_int_equal(hook_says(list, strlen(list), sentence), -1);
        if (!strstr(sentence, rows[i].says))
            fail_msg("row %zu says: %s", i, sentence);
        for (const char *c = sentence; *c; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    assert_int_equal(hook_says(list_text, sizeof list_text - 2, sentence), -1); /* the last newline is missing */
    /* Damage passes only where it changes nothing that counts: the configuration, the way to an archive, and the
     * configuration lines, which follow from the archives. */
    damage(list_text, sizeof list_text - 1, walk_hook);
    assert_true(accepted > 0 && accepted < 2000);
    pv_plan_clear(&hook_plan);
}

/* ---- escaping, and damage everywhere ---- */

static void test_escaping(void **state)
{
    (void)state;
    struct pv_text t = {0};
    pv_text_escaped(&t, "a\x1b[2J\n\\\x7f\xff\xc3\xa9\xc2\x9b\xed\xa0\x80", 17, 100);
    assert_false(t.failed);
    assert_string_equal(t.data, "a\\x1b[2J\\n\\\\\\x7f\\xff\xc3\xa9\\xc2\\x9b\\xed\\xa0\\x80\\x00");
    t.len = 0;
    pv_text_escaped(&t, "abcdef", 6, 3);
    assert_string_equal(t.data, "abc...");
    t.len = 0;
    pv_text_escaped(&t, "\xe2\x82", 2, 9); /* a sequence that is cut off */
    assert_string_equal(t.data, "\\xe2\\x82");
    free(t.data);
}

static void test_damage(void **state)
{
    (void)state;
    static const char relations[] = "libc6 (>= 2.36), a:any | b:i386 (<< 1:2-3)|c, d (= 1)";
    static const char simulation[] = "Inst vlc [3.0.18-2] (3.0.20-1 internal:stable [amd64]) []\n"
                                     "Conf vlc (3.0.20-1 internal:stable [amd64])\nRemv x [1]\n";
    damage(index_text, sizeof index_text - 1, walk_stanzas);
    damage(index_text, sizeof index_text - 1, walk_index);
    damage(status_text, sizeof status_text - 1, walk_index);
    damage(relations, sizeof relations - 1, walk_relations);
    damage(simulation, sizeof simulation - 1, walk_simulation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stanzas),  cmocka_unit_test(test_relations),  cmocka_unit_test(test_entries),
        cmocka_unit_test(test_catalog),  cmocka_unit_test(test_simulation), cmocka_unit_test(test_hook),
        cmocka_unit_test(test_escaping), cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
