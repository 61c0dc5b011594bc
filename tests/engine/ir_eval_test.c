/* Two evaluators of one policy agree: the IR's own (engine/ir_eval.c) and the machine's on generated code, for every
 * clause of a policy with every kind of test, over requests made of its literals and their neighbours, with what may be
 * absent present and absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/ir_eval.h"
#include "engine/written.h"
#include "runtime/bundle.h"

#define N_REQUESTS 20000

static const char policy[] =
    "policy p version 1 zone \"UTC\";\n"
    "command install { provider apt; packages; sources; }\n"
    "command uninstall { provider apt; packages; }\n"
    "command sync { provider apt; }\n"
    "command restart { argument unit: string in { \"a.service\", like \"app-*.service\" }; argument n: int;\n"
    "  option --no-block; option --lines: int; option --min: version(semver);\n"
    "  run \"/bin/x\" option.no-block option.lines option.min \"--\" argument.unit argument.n; }\n"
    "attribute host.room: string optional;\n"
    "attribute host.labels: set of string;\n"
    "attribute host.since: date;\n"
    "attribute host.least: version(dpkg);\n"
    "role netops = group \"netops\" or user \"root\" or group \"b\" or group \"c\" or group \"d\";\n"
    "source internal { type apt; location \"deb https://a x main\"; key \"/a.gpg\"; self_service; }\n"
    "source vendor { type apt; location \"deb https://b x main\"; key \"/b.gpg\"; admin_only; }\n"
    "source other { type apt; location \"deb https://c x main\"; key \"/c.gpg\"; }\n"
    "set tools = { \"git\", \"vim\", \"gdb\", \"make\", \"gcc\", like \"lib*-dev\", like \"a?c/**/z\" };\n"
    "window nightly = mon..fri 22:00..04:00 except 2026-11-20;\n"
    "window days = 2nd tue, last fri or --12-24..--01-02 zone \"Asia/Tokyo\";\n"
    "condition small = transaction.download_size < 500MB and transaction.removes == 0;\n"
    "allow netops and not user \"bob\" to install tools except like \"vim*\" from internal or vendor when small;\n"
    "allow everyone to install \"git\" with dependencies from any during nightly until 2026-11-25;\n"
    "allow everyone to uninstall own unless package.essential;\n"
    "allow everyone to uninstall \"vim\";\n"
    "deny everyone to install when package.version >= \"1:2.0-1\" or not (time in nightly or time in days);\n"
    "deny everyone to install when not has package.owner or package.owner == user.name;\n"
    "deny everyone to install when has host.room and host.room in host.labels;\n"
    "deny everyone to install when has host.room and host.room in { \"lab\", like \"st*\" };\n"
    "deny everyone to install when user.groups overlaps { \"b\", like \"s*\" } and user.groups overlaps host.labels;\n"
    "deny everyone to install when \"x\" in user.groups or package.name like \"*\\\\*[*\" or user.name == \"\";\n"
    "deny everyone to install when package.version < host.least or time.date > host.since;\n"
    "deny everyone to install when package.downgrade == package.installed;\n"
    "deny everyone to sync when time.clock >= 22:00 and time.weekday != sat or user.uid > -1;\n"
    "deny everyone to restart when argument.unit != \"a.service\" and has option.lines and option.lines <= "
    "argument.n;\n"
    "deny everyone to restart when option.no-block when has option.min and option.min < \"1.2.3\";\n"
    "deny everyone to any when has package.name and package.name == \"git\" or command == \"sync\";\n";

static uint64_t state = 88172645463325252;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static const char *const texts[] = {"git",       "vim",    "vim-x", "libx-dev", "lib-dev", "abc/y/z", "abc//z", "abc/z",
                                    "aéc/q/r/z", "bob",    "root",  "lab",      "studio",  "st",      "*[",     "a*[b",
                                    "",          "netops", "b",     "x",        "\xff",    "s\xffz"};
static const char *const versions[] = {"1:2.0-1", "2.0", "1:2.0~a-1", "1:2.0-1.1", "0"};
static const int64_t numbers[] = {-1, 0, 1, 3, 4, 499999999, 500000000, 1000};

static const char *any_text(void)
{
    return texts[below(sizeof texts / sizeof *texts)];
}

static void set_text(struct pv_request *request, int slot, const char *text)
{
    assert_int_equal(pv_request_set_string(request, slot, text, strlen(text)), 0);
}

static void fill_slot(struct pv_request *request, int slot, enum pv_type type, struct pv_str *members)
{
    size_t n = below(4);
    switch (type) {
    case PV_T_BOOL: pv_request_set_bool(request, slot, below(2)); break;
    case PV_T_STRING: set_text(request, slot, any_text()); break;
    case PV_T_VERSION: set_text(request, slot, versions[below(5)]); break;
    case PV_T_STRINGS:
        for (size_t i = 0; i < n; i++) {
            const char *text = any_text();
            members[i] = (struct pv_str){text, (uint32_t)strlen(text), 0};
        }
        assert_int_equal(pv_request_set_strings(request, slot, members, n), 0);
        break;
    case PV_T_DATE: pv_request_set_int(request, slot, 20760 + (int64_t)below(60)); break;
    default: pv_request_set_int(request, slot, numbers[below(sizeof numbers / sizeof *numbers)]); break;
    }
}

static void fill(struct pv_request *request, struct pv_str members[][4])
{
    static const char *const commands[] = {"install", "uninstall", "sync", "restart", "config"};
    static const char *const sources[] = {"internal", "vendor", "other", ""};
    size_t n;
    const struct pvb_attr *attrs = pv_bundle_section(pv_request_bundle(request), PVB_ATTRS, &n);
    const char *command = commands[below(5)];
    pv_request_reset(request);
    assert_int_equal(pv_request_set_command(request, command, strlen(command)), 0);
    for (size_t slot = 0; slot < n; slot++) {
        if (slot == PV_A_COMMAND || attrs[slot].scope == PV_SCOPE_SOURCE ||
            (slot >= PV_A_TIME_DATE && slot <= PV_A_TIME_WEEKDAY))
            continue;
        if (below(8) == 0)
            pv_request_set_unknown(request, (int)slot);
        else if (below(4) == 0)
            pv_request_set_absent(request, (int)slot);
        else
            fill_slot(request, (int)slot, (enum pv_type)attrs[slot].type, members[slot]);
    }
    const char *source = sources[below(4)];
    if (*source)
        assert_int_equal(pv_request_set_source(request, source, strlen(source)), 0);
    pv_request_set_time(request, INT64_C(1794528000) + (int64_t)below(60 * 24 * 60) * 60);
}

static int load_utc(void *context, const char *name, const void **data, size_t *len)
{
    char path[300];
    (void)context;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", *name ? name : "UTC");
    FILE *in = fopen(path, "rb");
    if (!in)
        return -1;
    char *bytes = malloc(1 << 16);
    *len = bytes ? fread(bytes, 1, 1 << 16, in) : 0;
    *data = bytes;
    fclose(in);
    return bytes ? 0 : -1;
}

static void release(void *context, const void *data, size_t len)
{
    (void)context;
    (void)len;
    free((void *)(uintptr_t)data);
}

static void agrees_with_the_machine(void **unused)
{
    (void)unused;
    const struct pv_host host = {.load_zone = load_utc, .release_zone = release};
    const struct pv_compile_options options = {.goal = PV_COMPILE_EVALUATE};
    struct pv_compilation made;
    struct pv_bundle *bundle;
    struct pv_request *request;
    struct pv_error error;
    static struct pv_str members[256][4];
    unsigned seen[3] = {0}, compared = 0, clauses_seen[256][3] = {{0}};

    assert_int_equal(pv_compile_text("p.policy", policy, sizeof policy - 1, &options, &made), 0);
    if (pv_diags_errors(&made.program->diags))
        pv_diags_print(&made.program->diags, stderr, false, 0);
    assert_non_null(made.ir);
    assert_int_equal(pv_bundle_load(&bundle, made.bundle, made.bundle_len, &host, &error), 0);
    assert_int_equal(pv_request_new(&request, bundle), 0);
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, NULL);
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        fill(request, members);
        for (uint32_t r = 0; r < made.ir->n_rules; r++) {
            const struct pv_ir_rule *rule = &made.ir->rules[r];
            assert_int_equal(rules[r].n_clauses, rule->n_clauses);
            for (uint32_t c = 0; c < rule->n_clauses; c++) {
                const struct pv_ir_clause *clause = &rule->clauses[c];
                enum pv_truth machine = pv_clause_truth(request, rules[r].first_clause + c);
                enum pv_truth own = pv_ir_eval(clause->expr, request);
                if (machine != own)
                    print_error("request %u, rule %u: %.*s: the machine says %d, the IR %d\n", i, r,
                                (int)clause->text.len, clause->text.ptr, machine, own);
                assert_int_equal(machine, own);
                if (clause->written) {
                    enum pv_truth written = pv_written_eval(clause->written, request, NULL, NULL);
                    assert_int_equal(clause->kind == PV_C_UNLESS ? PV_TRUE - written : written, machine);
                }
                seen[own]++;
                clauses_seen[rules[r].first_clause + c][own]++;
                compared++;
            }
        }
    }
    /* Requests that reach only one side would prove little. */
    assert_true(seen[PV_FALSE] > compared / 10 && seen[PV_TRUE] > compared / 10 && seen[PV_UNKNOWN] > compared / 50);
    for (uint32_t r = 4; r < made.ir->n_rules; r++)
        for (uint32_t c = 0; c < made.ir->rules[r].n_clauses; c++) {
            const unsigned *of = clauses_seen[rules[r].first_clause + c];
            if (made.ir->rules[r].clauses[c].expr->kind == PV_IR_CONST || (of[PV_TRUE] > 0 && of[PV_FALSE] > 0))
                continue;
            print_error("only one side of: %s\n", made.ir->rules[r].clauses[c].text.ptr);
            fail();
        }
    pv_request_free(request);
    pv_bundle_free(bundle);
    pv_compile_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_machine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
