/* What must hold for every policy, on random ones: properties LIBRARY SEED POLICIES [MAX_RULES]
 *
 *   - what compiles is accepted by the verifier, and compiles to the same bytes again;
 *   - the verdict of the program `decide` is the decision that the clauses make (tests/runtime/any_request.h);
 *   - no verdict and no evaluation of all clauses takes more steps than the bundle's bounds say, with requests as
 * costly as requests can be: strings of PV_MAX_STRING bytes, sets of PV_MAX_MEMBERS. The runtime of this program counts
 * its steps (PV_COUNT_STEPS). That the count means something is shown by policies whose bound is reached. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "runtime/bundle.h"
#include "runtime/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/reference/generate.h"
#include "tests/runtime/any_request.h"

static const char *library;

static struct pv_bundle *compile(const char *text, size_t len, struct pv_compilation *made)
{
    struct pv_compile_options options = {
        .load = {.library = &library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .host = &fuzz_host};
    struct pv_error error = {.text = "it does not compile"};
    struct pv_bundle *bundle = NULL;
    if (pv_compile_text("/nowhere/random.policy", text, len, &options, made) != 0 || !made->bundle ||
        pv_bundle_load(&bundle, made->bundle, made->bundle_len, &fuzz_host, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        if (made->program)
            pv_diags_print(&made->program->diags, stderr, false, 5);
        fprintf(stderr, "%.*s\n", (int)len, text);
        exit(1);
    }
    return bundle;
}

/* ---- The bound ---- */

static char longest[PV_MAX_STRING], longest_member[PV_MAX_STRING];
static struct pv_str members[PV_MAX_MEMBERS];

/* Fills every slot with the most that it can hold: a letter over and over, ended by what the policy's patterns end
 * with. */
static void fill(struct pv_request *r, char letter, const char *end, unsigned n_members)
{
    const struct pv_bundle *b = pv_request_bundle(r);
    size_t n;
    const struct pvb_attr *attrs = pv_bundle_section(b, PVB_ATTRS, &n);
    memset(longest, letter, PV_MAX_STRING);
    memcpy(longest + PV_MAX_STRING - strlen(end), end, strlen(end));
    memcpy(longest_member, longest, PV_MAX_STRING - 1);
    longest_member[PV_MAX_STRING - 1] = 'z'; /* a search ends at the last of them, at its last byte */
    for (int slot = 0; slot < (int)n; slot++) {
        if (slot == PV_A_COMMAND ||
            (slot >= PV_A_SOURCE_NAME && slot <= PV_A_TIME_WEEKDAY && slot < PV_A_SOURCE_DISABLED))
            continue;
        switch (attrs[slot].type) {
        case PV_T_BOOL: pv_request_set_bool(r, slot, true); break;
        case PV_T_STRING:
        case PV_T_VERSION: pv_request_set_string(r, slot, longest, PV_MAX_STRING); break;
        case PV_T_STRINGS:
            for (unsigned i = 0; i < n_members; i++)
                members[i] = (struct pv_str){longest_member, PV_MAX_STRING, 0};
            pv_request_set_strings(r, slot, members, n_members);
            break;
        default: pv_request_set_int(r, slot, 1); break;
        }
    }
}

struct measured {
    uint64_t verdict, clauses;
};

static void measure(const struct pv_request *r, bool direct_too, struct measured *most)
{
    const struct pv_bundle *b = pv_request_bundle(r);
    size_t n_clauses;
    (void)pv_bundle_section(b, PVB_CLAUSES, &n_clauses);
    pv_steps = 0;
    (void)pv_verdict(r, direct_too);
    uint64_t verdict = pv_steps;
    pv_steps = 0;
    for (uint32_t c = 0; c < n_clauses; c++)
        (void)pv_clause_truth(r, c);
    uint64_t clauses = pv_steps;
    if (verdict > pv_bundle_bound(b) || clauses > pv_bundle_clause_bound(b)) {
        fprintf(stderr,
                "the bound is exceeded: a verdict took %" PRIu64 " of %" PRIu64 " steps, all clauses %" PRIu64
                " of %" PRIu64 "\n",
                verdict, pv_bundle_bound(b), clauses, pv_bundle_clause_bound(b));
        exit(1);
    }
    if (verdict > most->verdict)
        most->verdict = verdict;
    if (clauses > most->clauses)
        most->clauses = clauses;
}

/* With every command, what requests can hold at most; then with values near those of the policy. */
static struct measured worst(const struct pv_bundle *b, struct any_choices *choices, unsigned n_members)
{
    static const char *const ends[] = {"a", "-dev", "b"};
    struct measured most = {0, 0};
    struct pv_request *r = NULL;
    struct any_storage *storage = calloc(1, sizeof *storage);
    size_t n_commands;
    const struct pvb_command *commands = pv_bundle_section(b, PVB_COMMANDS, &n_commands);
    if (!storage || pv_request_new(&r, b))
        exit(2);
    for (size_t c = 0; c < n_commands; c++) {
        const char *name = pv_bundle_string(b, commands[c].name, NULL);
        for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
            pv_request_reset(r);
            pv_request_set_command(r, name, strlen(name));
            pv_request_set_time(r, 1795255200);
            fill(r, 'a', ends[e], n_members);
            measure(r, e != 1, &most);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        any_request(r, storage, choices, i % 2 ? ANY_COMPLETE : ANY_UNKNOWN);
        measure(r, i % 3 != 0, &most);
    }
    pv_request_free(r);
    free(storage);
    return most;
}

/* One condition each, whose worst case a request can bring about: the counted steps reach `percent` of the bound. */
static void check_reached(void)
{
    static const struct {
        const char *condition;
        unsigned percent;
    } rows[] = {
        {"user.session like \"a*b\"", 99},
        {"host.name like \"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\"", 99},
        {"host.name == user.session", 99},
        {"user.groups overlaps { like \"x*\", like \"**b\" }", 50},
        {"host.name in { \"p\", \"q\", like \"**x\", like \"**y\" }", 99},
        {"host.build > \"1.0\" and host.build == host.other", 70},
        {"host.name in user.groups", 50},
        {"time in w", 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1024];
        struct pv_compilation made;
        struct any_choices choices;
        int len = snprintf(text, sizeof text,
                           "attribute host.build: version(dpkg);\nattribute host.other: version(dpkg);\n"
                           "window w = 00:00..00:01, 00:02..00:03;\ncommand c { run \"/bin/true\"; }\n"
                           "allow everyone to c when %s%s;\n",
                           rows[i].condition, strstr(rows[i].condition, "in w") ? "" : " or time in w");
        struct pv_bundle *b = compile(text, (size_t)len, &made);
        any_choices_init(&choices, NULL, 0);
        struct measured most = worst(b, &choices, PV_MAX_MEMBERS);
        if (most.verdict * 100 < pv_bundle_bound(b) * rows[i].percent ||
            most.clauses * 100 < pv_bundle_clause_bound(b) * rows[i].percent) {
            fprintf(stderr,
                    "%s: a verdict took %" PRIu64 " of %" PRIu64 " steps, all clauses %" PRIu64 " of %" PRIu64
                    ": are steps not counted?\n",
                    rows[i].condition, most.verdict, pv_bundle_bound(b), most.clauses, pv_bundle_clause_bound(b));
            exit(1);
        }
        pv_bundle_free(b);
        pv_compile_free(&made);
    }
}

/* ---- Random policies ---- */

static void check_policy(uint64_t seed, unsigned max_rules)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        exit(2);
    generate_policy(out, seed, max_rules);
    fclose(out);
    struct pv_compilation made, again;
    struct pv_bundle *b = compile(text, len, &made), *same = compile(text, len, &again);
    if (made.bundle_len != again.bundle_len || memcmp(made.bundle, again.bundle, made.bundle_len) != 0) {
        fprintf(stderr, "seed %" PRIu64 ": compiling twice gives different bundles\n", seed);
        exit(1);
    }
    struct any_choices choices;
    any_choices_init(&choices, (const uint8_t *)&seed, 0);
    choices.state += seed;
    any_exercise(b, &choices, 60, 1);
    (void)worst(b, &choices, 40);
    pv_bundle_free(same);
    pv_bundle_free(b);
    pv_compile_free(&again);
    pv_compile_free(&made);
    free(text);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: properties LIBRARY SEED POLICIES [MAX_RULES]\n");
        return 2;
    }
    library = argv[1];
    uint64_t seed = strtoull(argv[2], NULL, 10);
    unsigned n = (unsigned)strtoul(argv[3], NULL, 10), max_rules = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 24;
    check_reached();
    for (unsigned i = 0; i < n; i++)
        check_policy(seed + i, max_rules);
    printf("%u policies\n", n);
    return n ? 0 : 2;
}
