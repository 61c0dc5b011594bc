/* What the loader refuses. Each file of rejects/ damages the bundle of base.txt in one way and tells the sentence with
 * which it is refused; then every truncation and every flipped bit, where a bundle must be refused or decide in bounds
 * (ASan sees to it).
 *
 * A reject file: `resize SECTION BYTES` at most once, which moves what follows, `set SECTION[ROW].FIELD VALUE` any
 * number of times, then `expect CODE SENTENCE`. ROW is a number, `last`, or FIELD=VALUE for the first row with that
 * value. VALUE is a number, "a string" for its index, @path for a slot or, in `op`, a mnemonic. Sections `header`,
 * `entry[SECTION]` (offset, size) and `byte[OFFSET].at` are there as well. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/internal.h"
#include "tests/runtime/assemble.h"

static char *base_text;
static uint8_t *base;
static size_t base_len;

static int setup(void **state)
{
    (void)state;
    base_text = read_text("tests/runtime/base.txt");
    base = assemble(base_text, &base_len);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(base_text);
    free(base);
    return 0;
}

/* ---- Damaging ---- */

struct field {
    int section; /* -1 header, -2 entry, -3 byte */
    const char *name;
    size_t offset, size;
};

#define F(section, type, field)                                                                                        \
    {                                                                                                                  \
        section, #field, offsetof(type, field), sizeof(((type *)NULL)->field)                                          \
    }
static const struct field fields[] = {
    F(-1, struct pvb_header, magic),
    F(-1, struct pvb_header, format),
    F(-1, struct pvb_header, language),
    F(-1, struct pvb_header, file_size),
    F(-1, struct pvb_header, name),
    F(-1, struct pvb_header, title),
    F(-1, struct pvb_header, flags),
    F(-1, struct pvb_header, n_builtin_attrs),
    F(-1, struct pvb_header, decide_plan_entry),
    F(-1, struct pvb_header, pad),
    F(-1, struct pvb_header, bound),
    F(-2, struct pvb_section_entry, offset),
    F(-2, struct pvb_section_entry, size),
    {-3, "at", 0, 1},
    {PVB_BYTES, "at", 0, 1},
    F(PVB_STRINGS, struct pvb_str, offset),
    F(PVB_STRINGS, struct pvb_str, len),
    {PVB_STRHASH, "at", 0, 4},
    {PVB_INTS, "at", 0, 8},
    F(PVB_GLOBS, struct pvb_glob, first),
    F(PVB_GLOBS, struct pvb_glob, n),
    F(PVB_GLOBS, struct pvb_glob, text),
    {PVB_GLOB_TOKENS, "at", 0, 4},
    F(PVB_SETS, struct pvb_set, name),
    F(PVB_SETS, struct pvb_set, first_member),
    F(PVB_SETS, struct pvb_set, n_members),
    F(PVB_SETS, struct pvb_set, first_glob),
    F(PVB_SETS, struct pvb_set, n_globs),
    F(PVB_SETS, struct pvb_set, except),
    {PVB_SET_MEMBERS, "at", 0, 4},
    {PVB_SET_GLOBS, "at", 0, 4},
    F(PVB_ATTRS, struct pvb_attr, path),
    F(PVB_ATTRS, struct pvb_attr, type),
    F(PVB_ATTRS, struct pvb_attr, flags),
    F(PVB_ATTRS, struct pvb_attr, scope),
    F(PVB_ATTRS, struct pvb_attr, order),
    {PVB_ZONES, "at", 0, 4},
    F(PVB_WINDOWS, struct pvb_window, name),
    F(PVB_WINDOWS, struct pvb_window, zone),
    F(PVB_WINDOWS, struct pvb_window, first_alt),
    F(PVB_WINDOWS, struct pvb_window, n_alts),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, ref),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, except),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, has_days),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, day_mask),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, first_day),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, n_days),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, first_clock),
    F(PVB_WINDOW_ALTS, struct pvb_window_alt, n_clocks),
    F(PVB_WINDOW_DAYS, struct pvb_nth_day, nth),
    F(PVB_WINDOW_DAYS, struct pvb_nth_day, weekday),
    F(PVB_WINDOW_DATES, struct pvb_date_range, yearly),
    F(PVB_WINDOW_DATES, struct pvb_date_range, from),
    F(PVB_WINDOW_DATES, struct pvb_date_range, to),
    F(PVB_WINDOW_CLOCKS, struct pvb_clock_range, from),
    F(PVB_WINDOW_CLOCKS, struct pvb_clock_range, to),
    F(PVB_SOURCES, struct pvb_source, name),
    F(PVB_SOURCES, struct pvb_source, type),
    F(PVB_SOURCES, struct pvb_source, location),
    F(PVB_SOURCES, struct pvb_source, key),
    F(PVB_SOURCES, struct pvb_source, flags),
    F(PVB_COMMANDS, struct pvb_command, name),
    F(PVB_COMMANDS, struct pvb_command, provider),
    F(PVB_COMMANDS, struct pvb_command, flags),
    F(PVB_COMMANDS, struct pvb_command, order),
    F(PVB_COMMANDS, struct pvb_command, account),
    F(PVB_COMMANDS, struct pvb_command, timeout),
    F(PVB_COMMANDS, struct pvb_command, first_required),
    F(PVB_COMMANDS, struct pvb_command, n_required),
    F(PVB_PARAMETERS, struct pvb_parameter, name),
    F(PVB_PARAMETERS, struct pvb_parameter, kind),
    F(PVB_PARAMETERS, struct pvb_parameter, slot),
    F(PVB_PARAMETERS, struct pvb_parameter, set),
    F(PVB_TEMPLATES, struct pvb_template, kind),
    F(PVB_TEMPLATES, struct pvb_template, ref),
    F(PVB_ENVIRONMENT, struct pvb_env, name),
    F(PVB_ENVIRONMENT, struct pvb_env, value),
    {PVB_REQUIRED, "at", 0, 2},
    F(PVB_RULES, struct pvb_rule, kind),
    F(PVB_RULES, struct pvb_rule, flags),
    F(PVB_RULES, struct pvb_rule, id),
    F(PVB_RULES, struct pvb_rule, first_clause),
    F(PVB_RULES, struct pvb_rule, n_clauses),
    F(PVB_RULES, struct pvb_rule, n_duties),
    F(PVB_CLAUSES, struct pvb_clause, kind),
    F(PVB_CLAUSES, struct pvb_clause, text),
    F(PVB_CLAUSES, struct pvb_clause, first_insn),
    F(PVB_CLAUSES, struct pvb_clause, n_insns),
    {PVB_TEXTS, "at", 0, 4},
    F(PVB_ANNOTATIONS, struct pvb_annotation, name),
    F(PVB_DUTIES, struct pvb_duty, kind),
    F(PVB_DUTIES, struct pvb_duty, text),
    F(PVB_DUTIES, struct pvb_duty, seconds),
    F(PVB_DUTIES, struct pvb_duty, clause),
    F(PVB_DUTIES, struct pvb_duty, pad),
    F(PVB_DECIDE, struct pvb_insn, op),
    F(PVB_DECIDE, struct pvb_insn, cmp),
    F(PVB_DECIDE, struct pvb_insn, slot),
    F(PVB_DECIDE, struct pvb_insn, arg),
    F(PVB_DECIDE, struct pvb_insn, jt),
    F(PVB_DECIDE, struct pvb_insn, jf),
    F(PVB_CLAUSE_CODE, struct pvb_insn, op),
    F(PVB_CLAUSE_CODE, struct pvb_insn, cmp),
    F(PVB_CLAUSE_CODE, struct pvb_insn, slot),
    F(PVB_CLAUSE_CODE, struct pvb_insn, arg),
    F(PVB_CLAUSE_CODE, struct pvb_insn, jt),
    F(PVB_DEBUG_RULES, struct pvb_debug_rule, file),
    F(PVB_DEBUG_RULES, struct pvb_debug_rule, file_len),
    F(PVB_DEBUG_RULES, struct pvb_debug_rule, line),
};

static const struct {
    const char *name;
    size_t row;
} sections[] = {
#define ROW(id, type, field) [PVB_##id] = {#id, sizeof(type)},
    PV_SECTIONS(ROW)
#undef ROW
};

static int section_named(const char *name, size_t len)
{
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        if (strlen(sections[i].name) == len && strncmp(sections[i].name, name, len) == 0)
            return i;
    }
    fail_msg("no section %.*s", (int)len, name);
    return -1;
}

static const struct field *field_named(int section, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        if (fields[i].section == section && strlen(fields[i].name) == len && strncmp(fields[i].name, name, len) == 0)
            return &fields[i];
    }
    fail_msg("no field %.*s there", (int)len, name);
    return NULL;
}

static uint64_t value_of(const struct pv_bundle *good, const char *text)
{
    size_t len = strlen(text);
    if (text[0] == '"') {
        uint32_t s = pv_bundle_intern(good, text + 1, len - 2);
        assert_true(s != 0 || len == 2);
        return s;
    }
    if (text[0] == '@') {
        int slot = pv_bundle_slot(good, text + 1, len - 1);
        assert_true(slot >= 0);
        return (uint64_t)slot;
    }
    for (int op = 0; op < PVB_N_OPS; op++) {
        if (strcmp(pv_ops[op].name, text) == 0)
            return (uint64_t)op;
    }
    char *end;
    uint64_t value = text[0] == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
    if (*end)
        fail_msg("%s is no value", text);
    return value;
}

static void *row_at(uint8_t *data, int section, size_t row)
{
    struct pvb_header *h = (struct pvb_header *)(void *)data;
    if (section == -1)
        return data;
    if (section == -2)
        return &h->section[row];
    if (section == -3)
        return data + row;
    assert_true((row + 1) * sections[section].row <= h->section[section].size);
    return data + h->section[section].offset + row * sections[section].row;
}

static size_t find_row(const struct pv_bundle *good, uint8_t *data, int section, const char *selector)
{
    struct pvb_header *h = (struct pvb_header *)(void *)data;
    if (section == -2)
        return (size_t)section_named(selector, strlen(selector));
    if (strcmp(selector, "last") == 0)
        return h->section[section].size / sections[section].row - 1;
    const char *equals = strchr(selector, '=');
    if (!equals)
        return (size_t)value_of(good, selector);
    const struct field *f = field_named(section, selector, (size_t)(equals - selector));
    uint64_t wanted = value_of(good, equals + 1);
    for (size_t row = 0; row < h->section[section].size / sections[section].row; row++) {
        if (memcmp((char *)row_at(data, section, row) + f->offset, &wanted, f->size) == 0)
            return row;
    }
    fail_msg("no row with %s", selector);
    return 0;
}

/* "SECTION[ROW].FIELD VALUE" */
static void damage(const struct pv_bundle *good, uint8_t *data, const char *what)
{
    char where[256], value[256];
    if (sscanf(what, "%255s %255[^\n]", where, value) != 2)
        fail_msg("not understood: %s", what);
    char *dot = strrchr(where, '.'), *open = strchr(where, '[');
    assert_non_null(dot);
    int section;
    size_t row = 0;
    if (!open || open > dot) {
        section = strncmp(where, "header", 6) == 0 ? -1 : section_named(where, (size_t)(dot - where));
    } else {
        dot[-1] = '\0'; /* the closing bracket */
        *open = '\0';
        section = strcmp(where, "entry") == 0  ? -2
                  : strcmp(where, "byte") == 0 ? -3
                                               : section_named(where, strlen(where));
        row = section == -3 ? strtoul(open + 1, NULL, 0) : find_row(good, data, section, open + 1);
    }
    const struct field *f = field_named(section, dot + 1, strlen(dot + 1));
    uint64_t bits = value_of(good, value);
    memcpy((char *)row_at(data, section, row) + f->offset, &bits, f->size);
}

/* "SECTION BYTES": a copy with that section cut off or continued with zeros, well laid out. Frees `data`. */
static uint8_t *resize(uint8_t *data, size_t *len, const char *what)
{
    char name[64];
    size_t size;
    if (sscanf(what, "%63s %zu", name, &size) != 2)
        fail_msg("not understood: %s", what);
    const struct pvb_header *old = (const struct pvb_header *)(void *)data;
    struct pvb_header h = *old;
    h.section[section_named(name, strlen(name))].size = size;
    uint64_t at = sizeof(h);
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        h.section[i].offset = (at + 7) & ~UINT64_C(7);
        at = h.section[i].offset + h.section[i].size;
    }
    h.file_size = at;
    uint8_t *out = calloc(1, at);
    assert_non_null(out);
    memcpy(out, &h, sizeof(h));
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        uint64_t n = h.section[i].size < old->section[i].size ? h.section[i].size : old->section[i].size;
        memcpy(out + h.section[i].offset, data + old->section[i].offset, n);
    }
    free(data);
    *len = at;
    return out;
}

/* `*` in the pattern stands for any digits. */
static bool same_sentence(const char *pattern, const char *text)
{
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            while (*text >= '0' && *text <= '9')
                text++;
        } else if (*pattern != *text++) {
            return false;
        }
    }
    return !*text;
}

static const struct {
    const char *name;
    int code;
} codes[] = {
    {"PV_E_BUNDLE", PV_E_BUNDLE}, {"PV_E_FORMAT", PV_E_FORMAT}, {"PV_E_LIMIT", PV_E_LIMIT}, {"PV_E_ZONE", PV_E_ZONE}};

static bool try_reject(const struct pv_bundle *good, const char *path)
{
    char *text = read_text(path);
    uint8_t *data = malloc(base_len);
    assert_non_null(data);
    memcpy(data, base, base_len);
    size_t len = base_len;
    int wanted = 0;
    const char *sentence = NULL;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "set ", 4) == 0) {
            damage(good, data, line + 4);
        } else if (strncmp(line, "resize ", 7) == 0) {
            data = resize(data, &len, line + 7);
        } else if (strncmp(line, "expect ", 7) == 0) {
            char *space = strchr(line + 7, ' ');
            assert_non_null(space);
            *space = '\0';
            for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
                wanted = strcmp(codes[i].name, line + 7) == 0 ? codes[i].code : wanted;
            sentence = space + 1;
        } else if (line[0] != '#') {
            fail_msg("%s: not understood: %s", path, line);
        }
    }
    if (!sentence || !wanted)
        fail_msg("%s expects nothing", path);

    struct pv_bundle *b = NULL;
    struct pv_error error;
    int status = pv_bundle_load(&b, data, len, &test_host, &error);
    bool good_refusal =
        status == wanted && error.code == wanted && same_sentence(sentence, error.text) && !b && error.offset <= len;
    if (!good_refusal)
        print_error("%s: %d \"%s\" instead of %d \"%s\"\n", path, status, error.text, wanted, sentence);
    pv_bundle_free(b);
    free(data);
    free(text);
    return good_refusal;
}

static void test_rejects(void **state)
{
    (void)state;
    struct loaded good = load_text(base_text);
    DIR *d = opendir("tests/runtime/rejects");
    assert_non_null(d);
    int n = 0, wrong = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[512];
        if (!strstr(e->d_name, ".txt"))
            continue;
        snprintf(path, sizeof(path), "tests/runtime/rejects/%s", e->d_name);
        wrong += !try_reject(good.bundle, path);
        n++;
    }
    closedir(d);
    assert_int_equal(wrong, 0);
    assert_true(n > 150);
    unload(&good);
}

/* ---- Deciding with whatever was accepted ---- */

static void decide_something(const struct pv_bundle *b)
{
    struct pv_request *r;
    struct pv_decision *d;
    assert_int_equal(pv_request_new(&r, b), 0);
    assert_int_equal(pv_decision_new(&d, b), 0);
    static const char *const strings[] = {"nmap", "wireshark-qt", "\xc3(\xff/"};
    struct pv_str groups[] = {{"netops", 6, 0}, {"developers", 10, 0}, {"x", 1, 0}};
    for (uint32_t i = 0; i < b->n_commands; i++) {
        struct pv_str name = pv_string_at(b, b->commands[i].name);
        pv_request_reset(r);
        pv_request_set_command(r, name.ptr, name.len);
        pv_request_set_time(r, 1793000000 + i * 40000);
        for (uint32_t s = 0; s < b->n_attrs; s++) {
            pv_request_set_bool(r, (int)s, s & 1);
            pv_request_set_int(r, (int)s, s);
            if (s != PV_A_COMMAND && s != PV_A_SOURCE_NAME)
                pv_request_set_string(r, (int)s, strings[s % 3], strlen(strings[s % 3]));
        }
        pv_request_set_strings(r, PV_A_USER_GROUPS, groups, 3);
        pv_request_set_source(r, "internal", 8);
        struct pv_error error;
        pv_request_check(r, &error);
        pv_decide(r, true, d);
        pv_verdict(r, i & 1);
        pv_foresee(r, false, d);
        pv_request_set_unknown(r, PV_A_SOURCE_NAME);
        pv_foresee(r, true, d);
    }
    char text[64];
    for (uint32_t i = 0; i < b->n_decide; i++)
        pv_insn_text(b, PVB_DECIDE, i, text, sizeof(text));
    for (uint32_t i = 0; i < b->n_rules; i++)
        pv_rule_id(b, i, text, sizeof(text));
    pv_decision_free(d);
    pv_request_free(r);
}

/* Zones once, not for each damaged bundle. */
static int small_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    static const unsigned char utc[] = {'T', 'Z', 'i', 'f', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0,
                                        0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0,
                                        0,   0,   0,   1,   0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0};
    if (*name && strcmp(name, "Europe/Paris") != 0 && strcmp(name, "America/New_York") != 0)
        return -1;
    *data = utc;
    *len = sizeof(utc);
    return 0;
}

static void test_truncations(void **state)
{
    (void)state;
    struct pv_host host = {.load_zone = small_zone};
    for (size_t len = 0; len < base_len; len++) {
        /* A block of exactly this size, so that one byte too far is seen. */
        uint8_t *data = malloc(len ? len : 1);
        assert_non_null(data);
        memcpy(data, base, len);
        struct pv_bundle *b = NULL;
        struct pv_error error;
        assert_int_not_equal(pv_bundle_load(&b, data, len, &host, &error), 0);
        assert_null(b);
        assert_true(error.text[0] != '\0');
        if (len >= 8 && len < sizeof(struct pvb_header))
            assert_string_equal(error.text, "the file ends inside its header");
        /* The same with a header that claims this length. */
        if (len >= sizeof(struct pvb_header)) {
            ((struct pvb_header *)(void *)data)->file_size = len;
            assert_int_not_equal(pv_bundle_load(&b, data, len, &host, &error), 0);
        }
        free(data);
    }
}

static void test_bit_flips(void **state)
{
    (void)state;
    struct pv_host host = {.load_zone = small_zone};
    uint8_t *data = malloc(base_len);
    assert_non_null(data);
    memcpy(data, base, base_len);
    size_t loaded = 0, refused = 0;
    for (size_t bit = 0; bit < base_len * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct pv_bundle *b = NULL;
        struct pv_error error;
        if (pv_bundle_load(&b, data, base_len, &host, &error) == 0) {
            /* The bound is of the program as it is now: whoever claims another one is refused. */
            decide_something(b);
            loaded++;
        } else {
            assert_null(b);
            assert_true(error.text[0] != '\0');
            refused++;
        }
        pv_bundle_free(b);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_memory_equal(data, base, base_len);
    free(data);
    print_message("%zu bits: %zu refused, %zu loaded\n", base_len * 8, refused, loaded);
    assert_true(refused > loaded);
    assert_true(loaded > 100);
}

/* ---- Signature, hash, zones ---- */

static int fake_hash(void *context, const void *parts[], const size_t lens[], size_t n, uint8_t out[32])
{
    (void)context;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + pv_hash(parts[i], lens[i]);
    for (size_t i = 0; i < 32; i++)
        out[i] = (uint8_t)(sum >> (i % 8 * 8));
    return 0;
}

static int refuse_signature(void *context, const void *bundle, size_t len)
{
    (void)bundle;
    (void)len;
    ++*(int *)context;
    return -1;
}

static void test_signature_comes_first(void **state)
{
    (void)state;
    int calls = 0;
    struct pv_host host = test_host;
    host.context = &calls;
    host.verify = refuse_signature;
    struct pv_bundle *b = NULL;
    struct pv_error error;
    assert_int_equal(pv_bundle_load(&b, base, base_len, &host, &error), PV_E_SIGNATURE);
    assert_int_equal(pv_bundle_load(&b, "junk....", 8, &host, &error), PV_E_SIGNATURE);
    assert_string_equal(error.text, "the signature is missing or not that of this bundle");
    assert_int_equal(calls, 2);
}

static void test_content_hash(void **state)
{
    (void)state;
    struct pv_host host = test_host;
    host.sha256 = fake_hash;
    struct pv_bundle *b = NULL;
    struct pv_error error;
    uint8_t *data = malloc(base_len);
    assert_non_null(data);
    memcpy(data, base, base_len);
    struct pvb_header *h = (struct pvb_header *)(void *)data;
    assert_int_equal(pv_bundle_load(&b, data, base_len, &host, &error), PV_E_BUNDLE);
    assert_string_equal(error.text, "the content hash is not that of the content");

    struct pvb_header zeroed = *h;
    zeroed.file_size = 0;
    memset(&zeroed.section[PVB_DEBUG_BYTES], 0, 3 * sizeof(*zeroed.section));
    const void *parts[] = {&zeroed, data + sizeof(zeroed)};
    size_t lens[] = {sizeof(zeroed), h->section[PVB_DEBUG_BYTES].offset - sizeof(zeroed)};
    fake_hash(NULL, parts, lens, 2, h->content_hash);
    assert_int_equal(pv_bundle_load(&b, data, base_len, &host, &error), 0);
    assert_memory_equal(pv_bundle_content_hash(b), h->content_hash, 32);
    pv_bundle_free(b);

    /* Debug sections are outside of it, everything else is inside. */
    ((struct pvb_debug_rule *)(void *)(data + h->section[PVB_DEBUG_RULES].offset))[5].line++;
    assert_int_equal(pv_bundle_load(&b, data, base_len, &host, &error), 0);
    pv_bundle_free(b);
    h->policy_version++;
    assert_int_equal(pv_bundle_load(&b, data, base_len, &host, &error), PV_E_BUNDLE);
    free(data);
}

static int no_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    if (strcmp(name, "America/New_York") == 0)
        return PV_E_ZONE;
    return small_zone(NULL, name, data, len);
}

static int named_zones(void *context, const char *name, const void **data, size_t *len)
{
    return *name ? small_zone(context, name, data, len) : -1;
}

static int bad_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    (void)name;
    *data = "TZif";
    *len = 4;
    return 0;
}

static void test_zones_must_be_there(void **state)
{
    (void)state;
    struct pv_bundle *b = NULL;
    struct pv_error error;
    struct pv_host host = {.load_zone = no_zone};
    assert_int_equal(pv_bundle_load(&b, base, base_len, &host, &error), PV_E_ZONE);
    assert_string_equal(error.text, "this host has no zone \"America/New_York\"");
    host.load_zone = bad_zone;
    assert_int_equal(pv_bundle_load(&b, base, base_len, &host, &error), PV_E_ZONE);
    assert_string_equal(error.text, "the zone file of \"Europe/Paris\" is damaged: no TZif header");
    assert_int_equal(pv_bundle_load(&b, base, base_len, NULL, &error), PV_E_ZONE);
    /* The host's own zone is not needed by this policy: only its wall clock is then unknown. */
    host.load_zone = named_zones;
    assert_int_equal(pv_bundle_load(&b, base, base_len, &host, &error), 0);
    int64_t t;
    assert_int_equal(pv_bundle_local_time(b, 20000, 3600, &t), PV_E_ZONE);
    pv_bundle_free(b);
}

static void test_misplaced(void **state)
{
    (void)state;
    struct pv_bundle *b = NULL;
    struct pv_error error;
    uint8_t *data = malloc(base_len + 8);
    assert_non_null(data);
    memcpy(data + 4, base, base_len);
    assert_int_equal(pv_bundle_load(&b, data + 4, base_len, &test_host, &error), PV_E_INVAL);
    assert_string_equal(error.text, "a bundle must lie at an address that 8 divides");
    assert_int_equal(pv_bundle_load(&b, NULL, 0, &test_host, &error), PV_E_INVAL);
    assert_int_equal(pv_bundle_load(&b, base, (size_t)PVB_MAX_FILE + 1, &test_host, &error), PV_E_LIMIT);
    assert_true(same_sentence("larger than * bytes", error.text));
    free(data);
}

/* ---- Limits ---- */

static void expect_limit(const char *text, int code, const char *sentence)
{
    size_t len;
    uint8_t *data = assemble(text, &len);
    struct pv_bundle *b = NULL;
    struct pv_error error;
    int status = pv_bundle_load(&b, data, len, &test_host, &error);
    pv_bundle_free(b);
    free(data);
    if (!sentence) {
        assert_int_equal(status, 0);
        return;
    }
    assert_int_equal(status, code);
    if (!same_sentence(sentence, error.text))
        fail_msg("\"%s\" instead of \"%s\"", error.text, sentence);
}

static void append(char *text, size_t size, const char *more)
{
    assert_true(strlen(text) + strlen(more) < size);
    strcat(text, more);
}

/* Each limit at its edge: the largest that is accepted, and one more. */
static void test_limits(void **state)
{
    (void)state;
    static char text[65536];
    for (unsigned over = 0; over < 2; over++) {
        strcpy(text, "policy p 1\nrule allow\n clause when \"deep\" const 1");
        for (unsigned i = 1; i < PVB_MAX_STACK + over; i++)
            append(text, sizeof(text), " ; const 1");
        for (unsigned i = 1; i < PVB_MAX_STACK + over; i++)
            append(text, sizeof(text), " ; and");
        expect_limit(text, PV_E_BUNDLE, over ? "CLAUSE_CODE[*]: more than 64 values on the stack" : NULL);

        strcpy(text, "policy p 1\nset s like \"");
        for (unsigned i = 0; i < PVB_MAX_GLOB_TOKENS + over; i++)
            append(text, sizeof(text), "a");
        append(text, sizeof(text), "\"\n");
        expect_limit(text, PV_E_BUNDLE, over ? "GLOBS[0]: more than 1024 tokens" : NULL);

        strcpy(text, "policy p 1\nwindow w0\n alt days 1\n");
        for (unsigned i = 1; i < PVB_MAX_WINDOWS + over; i++) {
            char line[64];
            snprintf(line, sizeof(line), "window w%u\n alt ref w%u\n", i, i - 1);
            append(text, sizeof(text), line);
        }
        expect_limit(text, PV_E_BUNDLE, over ? "WINDOW_ALTS[*]: a chain of more than 64 windows" : NULL);

        /* Each window refers twice to the one before: the work doubles. */
        strcpy(text, "policy p 1\nwindow w0\n alt days 1\n");
        for (unsigned i = 1; i < (over ? 50u : 40u); i++) {
            char line[64];
            snprintf(line, sizeof(line), "window w%u\n alt ref w%u\n alt ref w%u\n", i, i - 1, i - 1);
            append(text, sizeof(text), line);
        }
        append(text, sizeof(text),
               over ? "rule allow\n clause during \"w\" window w49\n"
                    : "rule allow\n clause during \"w\" window w39\n");
        expect_limit(text, PV_E_LIMIT, over ? "a decision could take more than 2^44 steps" : NULL);
    }
}

/* The bound is exact: that of the longest path, by hand. */
static void test_bound(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bound, clause_bound;
    } rows[] = {
        {"policy p 1\n", 1, 0},
        {"policy p 1\nrule allow\n clause when \"a\" const 1\n", 2, 2},
        {"policy p 1\nrule allow\n clause when \"a\" bool request.interactive ; has package.owner ; and\n", 3, 4},
        {"policy p 1\nset s \"a\" \"b\" \"c\" like \"x*\"\nrule allow\n clause when \"a\" in user.name s\n",
         1 + (1 + 2 + 4096), 1 + (1 + 2 + 4096)},
        {"policy p 1\nrule allow\n clause when \"a\" own ; like user.name \"a\" ; or\n", 1 + (1 + 4096) + (1 + 4096),
         2 + 2 * (1 + 4096)},
        {"policy p 1\nrule allow\n clause when \"a\" member user.groups \"g\"\n", 1 + 14, 1 + 14},
        {"policy p 1\nwindow w\n alt days 1 clock 10:00 11:00\n alt nth 1 mon\n"
         "rule allow\n clause when \"a\" window w\n",
         1 + 1 + (1 + (1 + 1) + (1 + 2)), 1 + 1 + (1 + (1 + 1) + (1 + 2))},
        /* A direct rule is on the path of a request, not on that of a plan; the longer one counts. */
        {"policy p 1\nrule direct\n clause subject \"a\" str user.name \"root\"\nrule deny\n"
         " clause subject \"a\" str user.name \"bob\"\n",
         3, 4},
        /* A verdict also looks for two accounts, where two are named. */
        {"policy p 1\nrule require\n clause when \"a\" const 1\n duty account \"a\"\nrule require\n"
         " clause when \"a\" const 1\n duty account \"a\"\n",
         1, 4},
        {"policy p 1\nrule require\n clause when \"a\" const 1\n duty account \"a\"\nrule require\n"
         " clause when \"a\" const 1\n duty account \"b\"\n",
         1 + 4, 4},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct loaded l = load_text(rows[i].text);
        if (pv_bundle_bound(l.bundle) != rows[i].bound || pv_bundle_clause_bound(l.bundle) != rows[i].clause_bound)
            fail_msg("%s: %llu and %llu", rows[i].text, (unsigned long long)pv_bundle_bound(l.bundle),
                     (unsigned long long)pv_bundle_clause_bound(l.bundle));
        unload(&l);
    }
}

/* ---- Reading ---- */

static void test_accessors(void **state)
{
    (void)state;
    struct loaded l = load_text(base_text);
    const struct pv_bundle *b = l.bundle;
    assert_string_equal(pv_bundle_name(b), "workstations");
    assert_string_equal(pv_bundle_title(b), "Managed workstations");
    assert_string_equal(pv_bundle_zone(b), "Europe/Paris");
    assert_int_equal(pv_bundle_version(b), 7);
    assert_false(pv_bundle_is_library(b));
    assert_true(pv_bundle_memory(b) <= 3 * l.len);
    size_t n;
    const struct pvb_source *sources = pv_bundle_section(b, PVB_SOURCES, &n);
    assert_int_equal(n, 3);
    assert_string_equal(pv_bundle_string(b, sources[1].name, NULL), "vendor");
    assert_int_equal(pv_bundle_source(b, "old", 3), 2);
    assert_int_equal(pv_bundle_source(b, "apt", 3), PV_E_UNKNOWN);
    assert_int_equal(pv_bundle_command(b, "restart", 7), 3);
    assert_int_equal(pv_bundle_command(b, "", 0), PV_E_UNKNOWN);
    assert_int_equal(pv_bundle_slot(b, "host.room", 9), PV_N_BUILTIN);
    assert_int_equal(pv_bundle_slot(b, "package.name", 12), PV_A_PACKAGE_NAME);
    assert_int_equal(pv_bundle_slot(b, "source.admin_only", 17), PV_E_UNKNOWN); /* hidden */
    assert_int_equal(pv_bundle_slot(b, "package.nam", 11), PV_E_UNKNOWN);
    /* Every string is found by its bytes, and nothing else is. */
    for (uint32_t i = 1; i < b->n_strings; i++) {
        struct pv_str s = pv_string_at(b, i);
        assert_int_equal(pv_bundle_intern(b, s.ptr, s.len), i);
        char longer[600];
        snprintf(longer, sizeof(longer), "%s~", s.ptr);
        assert_int_equal(pv_bundle_intern(b, longer, strlen(longer)), 0);
    }
    char buffer[64];
    uint32_t line;
    assert_string_equal(pv_rule_id(b, 0, buffer, sizeof(buffer)), "builtin:never-brokered");
    assert_string_equal(pv_rule_file(b, 0, &line, &n), "");
    assert_int_equal(line, 0);
    assert_string_equal(pv_rule_id(b, 5, buffer, sizeof(buffer)), "base");
    assert_string_equal(pv_rule_file(b, 5, &line, &n), "test.policy");
    assert_int_equal(n, 11);
    char expected[64];
    pv_rule_file(b, 11, &line, &n);
    snprintf(expected, sizeof(expected), "test.policy:%u", line);
    assert_string_equal(pv_rule_id(b, 11, buffer, sizeof(buffer)), expected);
    assert_true(line > 80);
    unload(&l);
}

static void test_disassembly(void **state)
{
    (void)state;
    struct loaded l = load_text(base_text);
    static const char *const wanted[] = {"str command \"install\" ? ",
                                         "in package.name sniffers (2 names, 1 globs) ? ",
                                         "int time.date <= 2026-12-31 ? ",
                                         "ver package.version >= \"2\" (command) ? ",
                                         "ver2 host.image == host.image (semver) ? ",
                                         "window patch ? ",
                                         "like argument.unit \"**\" ? ",
                                         "member user.groups \"netops\" ? ",
                                         "return deny",
                                         "own ? "};
    for (size_t w = 0; w < sizeof(wanted) / sizeof(*wanted); w++) {
        bool found = false;
        for (uint32_t i = 0; i < l.bundle->n_decide; i++) {
            char text[128], shorter[10];
            int len = pv_insn_text(l.bundle, PVB_DECIDE, i, text, sizeof(text));
            assert_int_equal(len, strlen(text));
            assert_int_equal(pv_insn_text(l.bundle, PVB_DECIDE, i, shorter, sizeof(shorter)), len);
            assert_int_equal(strncmp(text, shorter, 9), 0);
            found = found || strncmp(text, wanted[w], strlen(wanted[w])) == 0;
        }
        if (!found)
            fail_msg("no instruction reads: %s", wanted[w]);
    }
    char text[128];
    pv_insn_text(l.bundle, PVB_CLAUSE_CODE, l.bundle->n_clause_code - 1, text, sizeof(text));
    assert_string_equal(text, "end");
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rejects),      cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_bit_flips),    cmocka_unit_test(test_signature_comes_first),
        cmocka_unit_test(test_content_hash), cmocka_unit_test(test_zones_must_be_there),
        cmocka_unit_test(test_misplaced),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bound),        cmocka_unit_test(test_accessors),
        cmocka_unit_test(test_disassembly),
    };
    return cmocka_run_group_tests_name("runtime/bundle", tests, setup, teardown);
}
