/* Requests of any content (any_request.h). */
#include "tests/runtime/any_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/bundle.h"

void any_choices_init(struct any_choices *choices, const uint8_t *data, size_t len)
{
    *choices = (struct any_choices){.data = data, .len = len, .state = 0x9E3779B97F4A7C15u};
    for (size_t i = 0; i < len; i++)
        choices->state = (choices->state ^ data[i]) * UINT64_C(0x100000001B3);
}

unsigned any_below(struct any_choices *choices, unsigned n)
{
    if (choices->at < choices->len)
        return choices->data[choices->at++] % n;
    choices->state += 0x9E3779B97F4A7C15u;
    uint64_t z = choices->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static const char *const others[] = {"",        "root",  "alice", "sudo", "git",    "a",        "zo\xc3\xa9",
                                     "lib-dev", "1.0-1", "1:2~3", "0",    "v",      "app-x",    "a/b",
                                     "--yes",   "$(x)",  "none",  "ssh",  "worker", "\xff\xfe", "1.0.0-rc.1+x"};

static struct pv_str any_string(const struct pv_bundle *b, struct any_choices *c)
{
    size_t n;
    (void)pv_bundle_section(b, PVB_STRINGS, &n);
    if (n && any_below(c, 4)) {
        uint32_t index = (any_below(c, 256) << 8 | any_below(c, 256)) % (uint32_t)n;
        size_t len;
        const char *ptr = pv_bundle_string(b, index, &len);
        return (struct pv_str){ptr, (uint32_t)len, 0};
    }
    const char *text = others[any_below(c, sizeof others / sizeof *others)];
    return (struct pv_str){text, (uint32_t)strlen(text), 0};
}

static int64_t any_number(const struct pv_bundle *b, struct any_choices *c)
{
    size_t n;
    const int64_t *ints = pv_bundle_section(b, PVB_INTS, &n);
    int64_t near = n && any_below(c, 4) ? ints[any_below(c, 256) % n] : (int64_t)any_below(c, 7);
    int64_t sum;
    return __builtin_add_overflow(near, (int64_t)any_below(c, 3) - 1, &sum) ? near : sum;
}

static int64_t any_time(struct any_choices *c)
{
    /* A quarter of an hour within 40 years from 2000 on, and sometimes anything. */
    uint64_t quarter = (uint64_t)any_below(c, 256) << 16 | (uint64_t)any_below(c, 256) << 8 | any_below(c, 256);
    if (any_below(c, 16) == 0)
        return (int64_t)(quarter << 16) - (INT64_C(1) << 39);
    return 946684800 + (int64_t)(quarter % (40 * 35064)) * 900 - any_below(c, 2);
}

static void fill_slot(struct pv_request *r, int slot, struct any_storage *storage, struct any_choices *c,
                      unsigned flags)
{
    const struct pv_bundle *b = pv_request_bundle(r);
    size_t n;
    const struct pvb_attr *attr = (const struct pvb_attr *)pv_bundle_section(b, PVB_ATTRS, &n) + slot;
    unsigned how = any_below(c, 8);
    if (how == 0 && flags & ANY_UNKNOWN) {
        pv_request_set_unknown(r, slot);
        return;
    }
    bool optional = attr->flags & (PV_ATTR_OPT | PV_ATTR_DEFAULT);
    if (how < 3 && (optional || !(flags & ANY_COMPLETE))) {
        if (how == 1)
            pv_request_set_absent(r, slot);
        return;
    }
    switch (attr->type) {
    case PV_T_BOOL: pv_request_set_bool(r, slot, any_below(c, 2)); break;
    case PV_T_STRING:
    case PV_T_VERSION: {
        struct pv_str s = any_string(b, c);
        pv_request_set_string(r, slot, s.ptr, s.len);
        break;
    }
    case PV_T_STRINGS:
        if (slot < 256) {
            unsigned members = any_below(c, ANY_MEMBERS + 1);
            for (unsigned i = 0; i < members; i++)
                storage->members[slot][i] = any_string(b, c);
            pv_request_set_strings(r, slot, storage->members[slot], members);
        }
        break;
    default: pv_request_set_int(r, slot, any_number(b, c)); break;
    }
}

void any_request(struct pv_request *r, struct any_storage *storage, struct any_choices *c, unsigned flags)
{
    const struct pv_bundle *b = pv_request_bundle(r);
    size_t n_attrs, n_commands, n_sources;
    (void)pv_bundle_section(b, PVB_ATTRS, &n_attrs);
    const struct pvb_command *commands = pv_bundle_section(b, PVB_COMMANDS, &n_commands);
    const struct pvb_source *sources = pv_bundle_section(b, PVB_SOURCES, &n_sources);
    pv_request_reset(r);
    const struct pvb_command *command = NULL;
    if (n_commands && (flags & ANY_COMPLETE || any_below(c, 16))) {
        command = &commands[any_below(c, 256) % n_commands];
        const char *name = pv_bundle_string(b, command->name, NULL);
        pv_request_set_command(r, name, strlen(name));
    } else if (any_below(c, 2)) {
        pv_request_set_command(r, "config", 6);
    }
    pv_request_set_time(r, any_time(c));
    for (int slot = 0; slot < (int)n_attrs; slot++) {
        bool is_source = slot >= PV_A_SOURCE_NAME && slot <= PV_A_SOURCE_DISABLED;
        bool is_time = slot >= PV_A_TIME_DATE && slot <= PV_A_TIME_WEEKDAY;
        if (slot != PV_A_COMMAND && (!is_source || !(flags & ANY_COMPLETE)) && (!is_time || any_below(c, 8) == 0))
            fill_slot(r, slot, storage, c, is_time ? flags & ~(unsigned)ANY_COMPLETE : flags);
    }
    if (n_sources && (!command || command->flags & PVB_COMMAND_SOURCES) && (flags & ANY_COMPLETE || any_below(c, 4))) {
        const char *name = pv_bundle_string(b, sources[any_below(c, 256) % n_sources].name, NULL);
        pv_request_set_source(r, name, strlen(name));
    }
}

static _Noreturn void contradiction(const char *what)
{
    fprintf(stderr, "contradiction: %s\n", what);
    abort();
}

static bool is_known(const struct pv_request *r, size_t n_attrs)
{
    for (int slot = 0; slot < (int)n_attrs; slot++) {
        if (pv_request_value(r, slot)->state == PV_NOT_KNOWN)
            return false;
    }
    return true;
}

static void read_tables(const struct pv_bundle *b)
{
    static char buffer[4096];
    size_t n;
    for (int program = PVB_DECIDE; program <= PVB_CLAUSE_CODE; program++) {
        (void)pv_bundle_section(b, program, &n);
        for (uint32_t i = 0; i < n; i++)
            pv_insn_text(b, program, i, buffer, sizeof buffer);
    }
    (void)pv_bundle_section(b, PVB_RULES, &n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t line;
        size_t len;
        pv_rule_id(b, i, buffer, sizeof buffer);
        pv_rule_file(b, i, &line, &len);
    }
}

void any_exercise(const struct pv_bundle *b, struct any_choices *c, unsigned n_requests, int compiled)
{
    struct any_storage *storage = calloc(1, sizeof *storage);
    struct pv_request *r = NULL;
    struct pv_decision *one = NULL, *sum = NULL;
    size_t n_attrs, n_clauses;
    if (!storage || pv_request_new(&r, b) || pv_decision_new(&one, b) || pv_decision_new(&sum, b))
        goto out;
    (void)pv_bundle_section(b, PVB_ATTRS, &n_attrs);
    (void)pv_bundle_section(b, PVB_CLAUSES, &n_clauses);
    read_tables(b);
    pv_decision_clear(sum);
    for (unsigned i = 0; i < n_requests; i++) {
        any_request(r, storage, c, i % 4 == 3 ? ANY_UNKNOWN : i % 2 ? 0 : ANY_COMPLETE);
        bool direct_too = i % 3 != 2;
        bool complete = pv_request_check(r, NULL) == 0 && is_known(r, n_attrs);
        for (uint32_t k = 0; k < n_clauses; k++)
            (void)pv_clause_truth(r, k);
        enum pv_effect verdict = pv_verdict(r, direct_too);
        enum pv_foresight foresight = pv_foresee(r, direct_too, one);
        pv_decide(r, direct_too, one);
        if (compiled && complete && verdict != one->effect)
            contradiction("the verdict and the decision differ");
        if (complete && foresight == PV_STANDS_DENIED && one->effect != PV_DENY)
            contradiction("a denial that stands was lifted");
        if (complete && foresight == PV_STANDS_DIRECT && one->effect != PV_DIRECT)
            contradiction("what stands direct is not direct");
        pv_decision_join(sum, b, one, i == 0);
        if (sum->effect == PV_ALLOW && one->effect != PV_ALLOW)
            contradiction("allowed as a whole, and one operation is not");
    }
out:
    pv_decision_free(sum);
    pv_decision_free(one);
    pv_request_free(r);
    free(storage);
}
