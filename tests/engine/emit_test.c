/* Emission, from hand-made checked policies to bundles that the runtime loads and decides by. The property test walks
 * expressions as trees, which shares nothing with either program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "engine/engine.h"
#include "runtime/bundle.h"

/* ---- A host in UTC, with a hash that only has to differ ---- */

#define UTC_BLOCK                                                                                                      \
    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                                                                              \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0UTC\0"

static int load_zone(void *context, const char *name, const void **data, size_t *len)
{
    static const char utc[] = UTC_BLOCK UTC_BLOCK "\nUTC0\n";
    (void)context;
    (void)name;
    *data = utc;
    *len = sizeof(utc) - 1;
    return 0;
}

static int hash_parts(void *context, const void *parts[], const size_t lens[], size_t n_parts, uint8_t out[32])
{
    (void)context;
    uint64_t hash = 1;
    for (size_t i = 0; i < n_parts; i++)
        hash = hash * 31 + pv_hash(parts[i], lens[i]);
    for (int i = 0; i < 32; i += 8)
        memcpy(out + i, &hash, 8);
    return 0;
}

static const struct pv_host host = {.sha256 = hash_parts, .load_zone = load_zone};

/* ---- Making checked policies ---- */

struct policy {
    struct pv_arena *arena;
    struct pv_sources sources;
    struct pv_diags diags;
    struct pv_ir ir;
    size_t rules_capacity, sets_capacity;
    uint8_t *bytes;
    size_t len;
    struct pv_bundle *bundle;
};

static struct pv_ir_str str(const char *text)
{
    return (struct pv_ir_str){text, (uint32_t)strlen(text)};
}

static void policy_new(struct policy *p)
{
    static const uint16_t required[] = {PV_A_PACKAGE_NAME};
    *p = (struct policy){.arena = pv_arena_new(0)};
    assert_non_null(p->arena);
    pv_sources_init(&p->sources, p->arena);
    pv_diags_init(&p->diags, p->arena, &p->sources);
    uint32_t file, at;
    assert_int_equal(pv_sources_add_text(&p->sources, "made.policy", "one\ntwo\nthree\n", 14, &file, &at), 0);
    p->ir.name = str("made");
    p->ir.version = 1;
    p->ir.n_commands = 1;
    p->ir.commands = PV_NEW(p->arena, struct pv_ir_command);
    *p->ir.commands = (struct pv_ir_command){.name = str("install"),
                                             .provider = str("apt"),
                                             .flags = PVB_COMMAND_PACKAGES | PVB_COMMAND_SOURCES,
                                             .order = PV_ORDER_DPKG,
                                             .required = (uint16_t *)(uintptr_t)required,
                                             .n_required = 1};
    p->ir.n_sources = 1;
    p->ir.sources = PV_NEW(p->arena, struct pv_ir_source);
    *p->ir.sources = (struct pv_ir_source){
        .name = str("main"), .type = str("apt"), .location = str("deb x y z"), .flags = PVB_SOURCE_SELF_SERVICE};
}

static void policy_free(struct policy *p)
{
    pv_bundle_free(p->bundle);
    free(p->bytes);
    pv_arena_free(p->arena);
}

static int try_emit(struct policy *p)
{
    return pv_emit(&p->bytes, &p->len, &p->ir, &p->sources, &host, &p->diags);
}

static void emit(struct policy *p)
{
    struct pv_error error;
    int rc = try_emit(p);
    if (rc < 0)
        print_error("emission: %d %s\n", rc, p->diags.n ? p->diags.list[0]->text : "");
    assert_int_equal(rc, 0);
    rc = pv_bundle_load(&p->bundle, p->bytes, p->len, &host, &error);
    if (rc < 0)
        print_error("load: %s\n", error.text);
    assert_int_equal(rc, 0);
}

static struct pv_ir_expr *expr(struct policy *p, struct pv_ir_expr value)
{
    struct pv_ir_expr *made = PV_NEW(p->arena, struct pv_ir_expr);
    *made = value;
    return made;
}

static struct pv_ir_expr *constant(struct policy *p, bool value)
{
    return expr(p, (struct pv_ir_expr){.kind = PV_IR_CONST, .number = value});
}

static struct pv_ir_expr *str_is(struct policy *p, uint16_t slot, const char *text)
{
    return expr(p, (struct pv_ir_expr){.kind = PV_IR_STR, .slot = slot, .string = str(text)});
}

static struct pv_ir_expr *number_is(struct policy *p, uint16_t slot, enum pv_cmp cmp, int64_t number)
{
    return expr(p, (struct pv_ir_expr){.kind = PV_IR_INT, .slot = slot, .cmp = cmp, .number = number});
}

static struct pv_ir_expr *join(struct policy *p, enum pv_ir_kind kind, uint32_t n, struct pv_ir_expr **kids)
{
    struct pv_ir_expr **copy = pv_arena_array(p->arena, n, sizeof(*copy));
    memcpy(copy, kids, n * sizeof(*copy));
    return expr(p, (struct pv_ir_expr){.kind = kind, .kids = copy, .n_kids = n});
}

static struct pv_ir_expr *pair(struct policy *p, enum pv_ir_kind kind, struct pv_ir_expr *a, struct pv_ir_expr *b)
{
    return join(p, kind, 2, (struct pv_ir_expr *[]){a, b});
}

static struct pv_ir_expr *negate(struct policy *p, struct pv_ir_expr *kid)
{
    return join(p, PV_IR_NOT, 1, &kid);
}

static struct pv_ir_rule *rule(struct policy *p, enum pv_rule_kind kind, const char *id, uint32_t n_clauses,
                               struct pv_ir_expr **exprs)
{
    p->ir.rules = pv_arena_grow(p->arena, p->ir.rules, p->ir.n_rules, &p->rules_capacity, p->ir.n_rules + 1,
                                sizeof(*p->ir.rules));
    struct pv_ir_rule *made = &p->ir.rules[p->ir.n_rules++];
    *made = (struct pv_ir_rule){.kind = kind,
                                .id = str(id),
                                .clauses = pv_arena_array(p->arena, n_clauses, sizeof(*made->clauses)),
                                .n_clauses = n_clauses,
                                .span = kind == PV_RULE_BUILTIN_DENY ? PV_NO_SPAN : (struct pv_span){0, 4, 7}};
    for (uint32_t i = 0; i < n_clauses; i++)
        made->clauses[i] = (struct pv_ir_clause){
            .kind = PV_C_WHEN, .expr = exprs[i], .text = str("when something"), .span = {0, 8, 13}};
    return made;
}

static void rule1(struct policy *p, enum pv_rule_kind kind, const char *id, struct pv_ir_expr *only)
{
    rule(p, kind, id, 1, &only);
}

static struct pv_ir_set *set(struct policy *p, const char *name, uint32_t n, const char *const *members)
{
    struct pv_ir_set *made = PV_NEW(p->arena, struct pv_ir_set);
    *made = (struct pv_ir_set){.name = str(name),
                               .members = pv_arena_array(p->arena, n, sizeof(struct pv_ir_str)),
                               .n_members = n,
                               .index = p->ir.n_sets};
    for (uint32_t i = 0; i < n; i++)
        made->members[i] = str(members[i]);
    p->ir.sets =
        pv_arena_grow(p->arena, p->ir.sets, p->ir.n_sets, &p->sets_capacity, p->ir.n_sets + 1, sizeof(*p->ir.sets));
    p->ir.sets[p->ir.n_sets++] = made;
    return made;
}

/* ---- Requests ---- */

static struct pv_request *request_for(struct policy *p, const char *user, const char *package)
{
    struct pv_request *request;
    assert_int_equal(pv_request_new(&request, p->bundle), 0);
    assert_int_equal(pv_request_set_command(request, "install", 7), 0);
    assert_int_equal(pv_request_set_string(request, PV_A_USER_NAME, user, strlen(user)), 0);
    assert_int_equal(pv_request_set_string(request, PV_A_PACKAGE_NAME, package, strlen(package)), 0);
    assert_int_equal(pv_request_set_source(request, "main", 4), 0);
    assert_int_equal(pv_request_set_time(request, 1795255200), 0);
    return request;
}

static enum pv_effect verdict(struct policy *p, const char *user, const char *package, bool direct_too)
{
    struct pv_request *request = request_for(p, user, package);
    struct pv_decision *decision;
    enum pv_effect effect = pv_verdict(request, direct_too);
    assert_int_equal(pv_decision_new(&decision, p->bundle), 0);
    pv_decide(request, direct_too, decision);
    assert_int_equal(decision->effect, effect);
    pv_decision_free(decision);
    pv_request_free(request);
    return effect;
}

/* ---- Examples ---- */

static void test_no_rules_deny(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    emit(&p);
    assert_int_equal(verdict(&p, "alice", "vlc", true), PV_DENY);
    assert_string_equal(pv_bundle_name(p.bundle), "made");
    assert_int_equal(pv_bundle_version(p.bundle), 1);
    policy_free(&p);
}

static void test_effects_win_in_order(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    rule1(&p, PV_RULE_BUILTIN_DENY, "builtin:disabled", str_is(&p, PV_A_PACKAGE_NAME, "off"));
    rule1(&p, PV_RULE_ALLOW, "some", negate(&p, str_is(&p, PV_A_PACKAGE_NAME, "other")));
    rule1(&p, PV_RULE_DENY, "no-nmap", str_is(&p, PV_A_PACKAGE_NAME, "nmap"));
    rule1(&p, PV_RULE_DIRECT, "root", str_is(&p, PV_A_USER_NAME, "root"));
    emit(&p);
    assert_int_equal(verdict(&p, "alice", "vlc", true), PV_ALLOW);
    assert_int_equal(verdict(&p, "alice", "nmap", true), PV_DENY);
    assert_int_equal(verdict(&p, "alice", "off", true), PV_DENY);
    assert_int_equal(verdict(&p, "alice", "other", true), PV_DENY);
    assert_int_equal(verdict(&p, "root", "nmap", true), PV_DIRECT);
    assert_int_equal(verdict(&p, "root", "nmap", false), PV_DENY);
    assert_int_equal(verdict(&p, "root", "vlc", false), PV_ALLOW);
    policy_free(&p);
}

/* Rules that always match leave no code behind them, and do not hide what a plan starts at. */
static void test_rules_that_always_match(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    rule1(&p, PV_RULE_DIRECT, "all", constant(&p, true));
    rule1(&p, PV_RULE_DIRECT, "root", str_is(&p, PV_A_USER_NAME, "root"));
    rule1(&p, PV_RULE_ALLOW, "vlc", str_is(&p, PV_A_PACKAGE_NAME, "vlc"));
    rule1(&p, PV_RULE_ALLOW, "never", pair(&p, PV_IR_AND, constant(&p, false), str_is(&p, PV_A_PACKAGE_NAME, "gimp")));
    emit(&p);
    assert_int_equal(verdict(&p, "alice", "gimp", true), PV_DIRECT);
    assert_int_equal(verdict(&p, "alice", "gimp", false), PV_DENY);
    assert_int_equal(verdict(&p, "alice", "vlc", false), PV_ALLOW);
    size_t n;
    pv_bundle_section(p.bundle, PVB_DECIDE, &n);
    assert_int_equal(n, 4); /* return direct, test vlc, return allow, return none */
    policy_free(&p);
}

/* The empty string is index 0, which also stands for strings that the policy does not mention. */
static void test_empty_string(void **state)
{
    static const char *const members[] = {"", "x"};
    struct policy p;
    (void)state;
    policy_new(&p);
    rule1(&p, PV_RULE_ALLOW, "cwd", str_is(&p, PV_A_REQUEST_CWD, ""));
    rule1(&p, PV_RULE_ALLOW, "name",
          expr(&p, (struct pv_ir_expr){.kind = PV_IR_IN, .slot = PV_A_HOST_NAME, .set = set(&p, "", 2, members)}));
    emit(&p);
    struct pv_request *request = request_for(&p, "alice", "vlc");
    pv_request_set_string(request, PV_A_REQUEST_CWD, "/nowhere", 8);
    pv_request_set_string(request, PV_A_HOST_NAME, "nobody", 6);
    assert_int_equal(pv_verdict(request, true), PV_DENY);
    pv_request_set_string(request, PV_A_HOST_NAME, "", 0);
    assert_int_equal(pv_verdict(request, true), PV_ALLOW);
    pv_request_set_string(request, PV_A_HOST_NAME, "nobody", 6);
    pv_request_set_string(request, PV_A_REQUEST_CWD, "", 0);
    assert_int_equal(pv_verdict(request, true), PV_ALLOW);
    pv_request_free(request);
    policy_free(&p);
}

static void test_operands_stand_once(void **state)
{
    static const char *const ab[] = {"a", "b"}, *const ba[] = {"b", "a", "b"};
    struct policy p;
    (void)state;
    policy_new(&p);
    for (int i = 0; i < 3; i++) {
        rule1(&p, PV_RULE_ALLOW, "",
              expr(&p, (struct pv_ir_expr){.kind = PV_IR_IN,
                                           .slot = PV_A_PACKAGE_NAME,
                                           .set = i ? set(&p, "", 3, ba) : set(&p, "", 2, ab)}));
        rule1(&p, PV_RULE_ALLOW, "", number_is(&p, PV_A_USER_UID, PV_EQ, 7 - 9 * i));
        rule1(&p, PV_RULE_ALLOW, "", number_is(&p, PV_A_USER_UID, PV_LT, 7));
    }
    rule1(&p, PV_RULE_ALLOW, "",
          expr(&p, (struct pv_ir_expr){.kind = PV_IR_IN, .slot = PV_A_PACKAGE_NAME, .set = set(&p, "ab", 2, ab)}));
    set(&p, "unused", 2, ab);
    emit(&p);
    size_t n;
    const int64_t *ints = pv_bundle_section(p.bundle, PVB_INTS, &n);
    assert_int_equal(n, 3);
    assert_true(ints[0] == -11 && ints[1] == -2 && ints[2] == 7);
    pv_bundle_section(p.bundle, PVB_SETS, &n);
    assert_int_equal(n, 2); /* the inline ones are one, the named one keeps its name */
    pv_bundle_section(p.bundle, PVB_SET_MEMBERS, &n);
    assert_int_equal(n, 4);
    size_t len;
    const struct pvb_str *strings = pv_bundle_section(p.bundle, PVB_STRINGS, &n);
    (void)strings;
    for (uint32_t i = 1; i < n; i++) {
        const char *before = pv_bundle_string(p.bundle, i - 1, NULL), *here = pv_bundle_string(p.bundle, i, &len);
        assert_true(strcmp(before, here) < 0);
        assert_int_equal(pv_bundle_intern(p.bundle, here, len), i);
    }
    policy_free(&p);
}

static void test_places(void **state)
{
    struct policy p;
    char buffer[64];
    uint32_t line;
    size_t len;
    (void)state;
    policy_new(&p);
    rule1(&p, PV_RULE_BUILTIN_DENY, "builtin:disabled", constant(&p, false));
    rule1(&p, PV_RULE_ALLOW, "", constant(&p, true));
    rule1(&p, PV_RULE_DENY, "named", constant(&p, true));
    emit(&p);
    assert_string_equal(pv_rule_id(p.bundle, 0, buffer, sizeof(buffer)), "builtin:disabled");
    assert_string_equal(pv_rule_id(p.bundle, 1, buffer, sizeof(buffer)), "made.policy:2");
    assert_string_equal(pv_rule_id(p.bundle, 2, buffer, sizeof(buffer)), "named");
    assert_string_equal(pv_rule_file(p.bundle, 2, &line, &len), "made.policy");
    assert_int_equal(line, 2);
    assert_string_equal(pv_rule_file(p.bundle, 0, &line, &len), "");
    assert_int_equal(line, 0);
    policy_free(&p);
}

static void test_duties(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr *always = constant(&p, true);
    rule1(&p, PV_RULE_ALLOW, "all", always);
    struct pv_ir_rule *require = rule(&p, PV_RULE_REQUIRE, "duties", 1, &always);
    struct pv_ir_clause *subject = PV_NEW(p.arena, struct pv_ir_clause);
    *subject = (struct pv_ir_clause){
        .kind = PV_C_DUTY, .expr = str_is(&p, PV_A_USER_NAME, "carol"), .text = str("user \"carol\"")};
    require->duties = pv_arena_array(p.arena, 2, sizeof(*require->duties));
    require->n_duties = 2;
    require->duties[0] = (struct pv_ir_duty){.kind = PV_D_APPROVAL, .text = subject->text, .clause = subject};
    require->duties[1] = (struct pv_ir_duty){.kind = PV_D_TIMEOUT, .seconds = 600};
    rule1(&p, PV_RULE_DENY, "behind", str_is(&p, PV_A_PACKAGE_NAME, "nmap")); /* its clause stands behind the duty's */
    emit(&p);
    struct pv_request *request = request_for(&p, "carol", "vlc");
    struct pv_decision *decision;
    assert_int_equal(pv_decision_new(&decision, p.bundle), 0);
    pv_decide(request, true, decision);
    assert_int_equal(decision->effect, PV_ALLOW);
    assert_true(decision->has_timeout && decision->timeout == 600);
    assert_int_equal(decision->n_duties, 1);
    const struct pvb_duty *duty =
        (const struct pvb_duty *)pv_bundle_section(p.bundle, PVB_DUTIES, NULL) + decision->duties[0];
    assert_string_equal(pv_bundle_string(p.bundle, duty->text, NULL), "user \"carol\"");
    assert_int_equal(pv_clause_truth(request, duty->clause), PV_TRUE);
    assert_int_equal(verdict(&p, "carol", "nmap", true), PV_DENY);
    pv_decision_free(decision);
    pv_request_free(request);
    policy_free(&p);
}

/* ---- Sizes ---- */

/* a = b and b, again and again: one test. */
static void test_idempotent_doubling(void **state)
{
    struct policy p;
    size_t n;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr *e = str_is(&p, PV_A_PACKAGE_NAME, "vlc");
    for (int i = 0; i < 500; i++)
        e = pair(&p, i % 2 ? PV_IR_AND : PV_IR_OR, e, e);
    rule1(&p, PV_RULE_ALLOW, "doubling", e);
    emit(&p);
    pv_bundle_section(p.bundle, PVB_CLAUSE_CODE, &n);
    assert_int_equal(n, 2);
    assert_int_equal(verdict(&p, "alice", "vlc", true), PV_ALLOW);
    assert_int_equal(verdict(&p, "alice", "gimp", true), PV_DENY);
    policy_free(&p);
}

/* Parity of 40 tests doubles with each: refused before code is made, with the rule's name. */
static void test_exponential_is_refused(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr *e = number_is(&p, PV_A_USER_UID, PV_LT, 0);
    for (int i = 1; i < 40; i++) {
        struct pv_ir_expr *bit = number_is(&p, PV_A_USER_UID, PV_LT, i);
        e = pair(&p, PV_IR_OR, pair(&p, PV_IR_AND, e, negate(&p, bit)), pair(&p, PV_IR_AND, negate(&p, e), bit));
    }
    rule1(&p, PV_RULE_ALLOW, "parity", e);
    assert_int_equal(try_emit(&p), PV_E_LIMIT);
    assert_null(p.bytes);
    assert_int_equal(pv_diags_errors(&p.diags), 1);
    pv_diags_finish(&p.diags);
    assert_int_equal(p.diags.list[0]->code, PV_DIAG_CODE_LIMIT);
    assert_non_null(strstr(p.diags.list[0]->text, "`parity`"));
    policy_free(&p);
}

/* Many rules that each are small, and too much together. */
static void test_total_is_refused(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr *e = number_is(&p, PV_A_USER_UID, PV_LT, 0);
    for (int i = 1; i < 15; i++) {
        struct pv_ir_expr *bit = number_is(&p, PV_A_USER_UID, PV_LT, i);
        e = pair(&p, PV_IR_OR, pair(&p, PV_IR_AND, e, negate(&p, bit)), pair(&p, PV_IR_AND, negate(&p, e), bit));
    }
    for (int i = 0; i < 1000; i++)
        rule1(&p, PV_RULE_ALLOW, "", e);
    assert_int_equal(try_emit(&p), PV_E_LIMIT);
    assert_int_equal(pv_diags_errors(&p.diags), 1);
    policy_free(&p);
}

/* As deep as expressions may be, leaning to either side: the stack stays within its bound, or it would not load. */
static void test_deep_expressions(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    for (int right = 0; right < 2; right++) {
        struct pv_ir_expr *e = str_is(&p, PV_A_PACKAGE_NAME, "vlc");
        for (int i = 0; i < PV_IR_MAX_DEPTH - 2; i++) {
            struct pv_ir_expr *other = number_is(&p, PV_A_USER_UID, PV_EQ, i);
            enum pv_ir_kind kind = i % 2 ? PV_IR_AND : PV_IR_OR;
            if (i % 2)
                other = number_is(&p, PV_A_USER_UID, PV_NE, i);
            e = right ? pair(&p, kind, other, e) : pair(&p, kind, e, other);
        }
        rule1(&p, PV_RULE_ALLOW, "", e);
    }
    emit(&p);
    assert_int_equal(verdict(&p, "alice", "vlc", true), PV_ALLOW);
    assert_int_equal(verdict(&p, "alice", "gimp", true), PV_DENY);
    policy_free(&p);
}

static void test_too_deep_is_refused(void **state)
{
    struct policy p;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr *e = str_is(&p, PV_A_PACKAGE_NAME, "vlc");
    for (int i = 0; i < 100000; i++)
        e = negate(&p, e);
    rule1(&p, PV_RULE_ALLOW, "deep", e);
    assert_int_equal(try_emit(&p), PV_E_LIMIT);
    policy_free(&p);
}

/* A balanced tree needs most stack: the logarithm of its size. */
static struct pv_ir_expr *balanced(struct policy *p, int levels, int64_t *next)
{
    if (levels == 0)
        return number_is(p, PV_A_USER_UID, PV_NE, ++*next);
    struct pv_ir_expr *a = balanced(p, levels - 1, next), *b = balanced(p, levels - 1, next);
    return pair(p, levels % 2 ? PV_IR_OR : PV_IR_AND, a, b);
}

static void test_wide_expressions(void **state)
{
    struct policy p;
    int64_t next = 0;
    (void)state;
    policy_new(&p);
    struct pv_ir_expr **users = pv_arena_array(p.arena, 100000, sizeof(*users));
    for (int i = 0; i < 100000; i++)
        users[i] = str_is(&p, PV_A_USER_NAME, pv_arena_printf(p.arena, "user%d", i));
    rule1(&p, PV_RULE_ALLOW, "users", join(&p, PV_IR_OR, 100000, users));
    rule1(&p, PV_RULE_DENY, "balanced", negate(&p, balanced(&p, 16, &next)));
    emit(&p);
    assert_int_equal(verdict(&p, "user99999", "vlc", true), PV_ALLOW);
    assert_int_equal(verdict(&p, "user100000", "vlc", true), PV_DENY);
    policy_free(&p);
}

/* A condition that every rule shares is emitted for each; the bundle grows with the number of rules. */
static void test_many_rules(void **state)
{
    size_t lens[2];
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct policy p;
        int n = big ? 100000 : 10000;
        policy_new(&p);
        struct pv_ir_expr *shared =
            pair(&p, PV_IR_OR, number_is(&p, PV_A_TRANSACTION_REMOVES, PV_EQ, 0), str_is(&p, PV_A_USER_NAME, "root"));
        for (int i = 0; i < n; i++)
            rule(&p, PV_RULE_ALLOW, "", 2,
                 (struct pv_ir_expr *[]){shared,
                                         str_is(&p, PV_A_PACKAGE_NAME, pv_arena_printf(p.arena, "package-%06d", i))});
        emit(&p);
        char last[32];
        snprintf(last, sizeof(last), "package-%06d", n - 1);
        assert_int_equal(verdict(&p, "alice", last, true), PV_ALLOW);
        assert_int_equal(verdict(&p, "alice", "package-x", true), PV_DENY);
        lens[big] = p.len;
        policy_free(&p);
    }
    assert_true(lens[1] < 11 * lens[0]);
}

/* ---- Random policies against a walk over trees ---- */

static uint64_t seed;

static uint32_t draw(uint32_t n) /* splitmix64 */
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

static const char *const words[] = {"", "a", "b", "ab", "lib", "libx-dev", "lib/x", "vlc"};
#define N_WORDS ((uint32_t)(sizeof(words) / sizeof(words[0])))
static const char *const versions[] = {"1.0", "1.0-0", "1:0.5", "2.0~rc1", "2.0"};
static const uint16_t string_slots[] = {PV_A_USER_NAME, PV_A_PACKAGE_NAME, PV_A_HOST_NAME, PV_A_PACKAGE_OWNER,
                                        PV_A_REQUEST_REASON};
static const uint16_t int_slots[] = {PV_A_USER_UID, PV_A_TRANSACTION_REMOVES, PV_A_PACKAGE_DOWNLOAD_SIZE};
static const uint16_t version_slots[] = {PV_A_PACKAGE_VERSION, PV_A_PACKAGE_INSTALLED_VERSION};
static const uint16_t list_slots[] = {PV_A_USER_GROUPS, PV_A_PACKAGE_WANTED_BY};
static const uint16_t bool_slots[] = {PV_A_PACKAGE_INSTALLED, PV_A_PACKAGE_PROTECTED, PV_A_REQUEST_INTERACTIVE};
#define PICK(list) ((list)[draw((uint32_t)(sizeof(list) / sizeof((list)[0])))])

struct values {
    bool present[PV_N_BUILTIN];
    int64_t numbers[PV_N_BUILTIN];
    const char *strings[PV_N_BUILTIN];
    struct pv_str members[PV_N_BUILTIN][4];
    uint32_t n_members[PV_N_BUILTIN];
    int64_t time;
};

static bool is_optional(uint32_t slot)
{
    return pv_builtin_attrs[slot].flags & PV_ATTR_OPT;
}

/* A glob by its definition, over tokens of ASCII. */
static bool glob_holds(const uint32_t *tokens, uint32_t n, const char *text)
{
    if (n == 0)
        return *text == 0;
    if (*tokens == PVB_GLOB_STAR || *tokens == PVB_GLOB_STAR_STAR) {
        if (glob_holds(tokens + 1, n - 1, text))
            return true;
        return *text && (*tokens == PVB_GLOB_STAR_STAR || *text != '/') && glob_holds(tokens, n, text + 1);
    }
    if (!*text || (*tokens == PVB_GLOB_ONE ? *text == '/' : *tokens != (uint32_t)*text))
        return false;
    return glob_holds(tokens + 1, n - 1, text + 1);
}

static bool set_holds(const struct pv_ir_set *s, const char *text)
{
    for (uint32_t i = 0; i < s->n_members; i++)
        if (strlen(text) == s->members[i].len && memcmp(text, s->members[i].ptr, s->members[i].len) == 0)
            return true;
    for (uint32_t i = 0; i < s->n_globs; i++)
        if (glob_holds(s->globs[i].tokens, s->globs[i].n_tokens, text))
            return true;
    return false;
}

static bool compared(enum pv_cmp cmp, int64_t a, int64_t b)
{
    const bool results[] = {
        [PV_EQ] = a == b, [PV_NE] = a != b, [PV_LT] = a<b, [PV_LE] = a <= b, [PV_GT] = a> b, [PV_GE] = a >= b};
    return results[cmp];
}

static bool holds(const struct policy *p, const struct values *v, const struct pv_ir_expr *e)
{
    const char *text = v->strings[e->slot], *text2 = v->strings[e->slot2];
    switch (e->kind) {
    case PV_IR_CONST: return e->number != 0;
    case PV_IR_NOT: return !holds(p, v, e->kids[0]);
    case PV_IR_AND:
        for (uint32_t i = 0; i < e->n_kids; i++)
            if (!holds(p, v, e->kids[i]))
                return false;
        return true;
    case PV_IR_OR:
        for (uint32_t i = 0; i < e->n_kids; i++)
            if (holds(p, v, e->kids[i]))
                return true;
        return false;
    case PV_IR_HAS: return v->present[e->slot];
    case PV_IR_BOOL: return v->numbers[e->slot] != 0;
    case PV_IR_INT: return compared(e->cmp, v->numbers[e->slot], e->number);
    case PV_IR_INT2: return compared(e->cmp, v->numbers[e->slot], v->numbers[e->slot2]);
    case PV_IR_STR: return strlen(text) == e->string.len && memcmp(text, e->string.ptr, e->string.len) == 0;
    case PV_IR_STR2: return strcmp(text, text2) == 0;
    case PV_IR_IN: return set_holds(e->set, text);
    case PV_IR_IN2:
    case PV_IR_MEMBER: {
        uint16_t slot = e->kind == PV_IR_MEMBER ? e->slot : e->slot2;
        struct pv_ir_str wanted = e->kind == PV_IR_MEMBER ? e->string : str(text);
        for (uint32_t i = 0; i < v->n_members[slot]; i++)
            if (v->members[slot][i].len == wanted.len && memcmp(v->members[slot][i].ptr, wanted.ptr, wanted.len) == 0)
                return true;
        return false;
    }
    case PV_IR_OVERLAPS:
        for (uint32_t i = 0; i < v->n_members[e->slot]; i++)
            if (set_holds(e->set, v->members[e->slot][i].ptr))
                return true;
        return false;
    case PV_IR_OVERLAPS2:
        for (uint32_t i = 0; i < v->n_members[e->slot]; i++)
            for (uint32_t k = 0; k < v->n_members[e->slot2]; k++)
                if (strcmp(v->members[e->slot][i].ptr, v->members[e->slot2][k].ptr) == 0)
                    return true;
        return false;
    case PV_IR_LIKE: return glob_holds(e->glob->tokens, e->glob->n_tokens, text);
    case PV_IR_VER:
        return compared(e->cmp, pv_version_compare(PV_ORDER_DPKG, text, strlen(text), e->string.ptr, e->string.len), 0);
    case PV_IR_VER2:
        return compared(e->cmp, pv_version_compare(PV_ORDER_DPKG, text, strlen(text), text2, strlen(text2)), 0);
    case PV_IR_IN_WINDOW: { /* windows of the test: clock ranges that do not pass midnight, in UTC */
        const struct pv_ir_clock_range *range = &p->ir.windows[e->window].alts[0].clocks[0];
        return v->time % 86400 >= range->from && v->time % 86400 < range->to;
    }
    case PV_IR_OWN:
        if (v->numbers[PV_A_USER_UID] >= 0 && v->present[PV_A_PACKAGE_OWNER_UID] &&
            v->numbers[PV_A_PACKAGE_OWNER_UID] >= 0)
            return v->numbers[PV_A_USER_UID] == v->numbers[PV_A_PACKAGE_OWNER_UID];
        return v->present[PV_A_PACKAGE_OWNER] &&
               strcmp(v->strings[PV_A_PACKAGE_OWNER], v->strings[PV_A_USER_NAME]) == 0;
    }
    return false;
}

static struct pv_ir_glob *random_glob(struct policy *p)
{
    static const uint32_t choices[] = {'a', 'b', 'l', 'i', '/', '-', PVB_GLOB_ONE, PVB_GLOB_STAR, PVB_GLOB_STAR_STAR};
    struct pv_ir_glob *glob = PV_NEW(p->arena, struct pv_ir_glob);
    uint32_t n = draw(5);
    uint32_t *tokens = pv_arena_array(p->arena, n, sizeof(*tokens));
    char text[16] = "";
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = PICK(choices);
        if (i && (tokens[i - 1] == PVB_GLOB_STAR || tokens[i - 1] == PVB_GLOB_STAR_STAR) && tokens[i] >= PVB_GLOB_STAR)
            tokens[i] = 'x'; /* `**` after `*` would read as another pattern */
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
                 tokens[i] == PVB_GLOB_STAR_STAR ? "**"
                 : tokens[i] == PVB_GLOB_STAR    ? "*"
                 : tokens[i] == PVB_GLOB_ONE     ? "?"
                                                 : (char[]){(char)tokens[i], 0});
    }
    *glob = (struct pv_ir_glob){.text = str(pv_arena_printf(p->arena, "%s", text)), .tokens = tokens, .n_tokens = n};
    return glob;
}

static struct pv_ir_set *random_set(struct policy *p)
{
    const char *members[3];
    uint32_t n = draw(4);
    for (uint32_t i = 0; i < n; i++)
        members[i] = PICK(words);
    struct pv_ir_set *made = set(p, "", n, members);
    made->n_globs = draw(3);
    made->globs = pv_arena_array(p->arena, made->n_globs, sizeof(*made->globs));
    for (uint32_t i = 0; i < made->n_globs; i++)
        made->globs[i] = *random_glob(p);
    return made;
}

static struct pv_ir_expr *random_test(struct policy *p)
{
    struct pv_ir_expr e = {.cmp = (enum pv_cmp)draw(6), .order = PV_ORDER_COMMAND};
    e.kind = (enum pv_ir_kind)(PV_IR_HAS + draw(PV_IR_OWN - PV_IR_HAS + 1));
    switch (e.kind) {
    case PV_IR_BOOL: e.slot = PICK(bool_slots); break;
    case PV_IR_INT:
    case PV_IR_INT2:
        e.slot = PICK(int_slots);
        e.slot2 = PICK(int_slots);
        e.number = (int64_t)draw(4) - 1;
        break;
    case PV_IR_MEMBER:
    case PV_IR_OVERLAPS:
    case PV_IR_OVERLAPS2:
        e.slot = PICK(list_slots);
        e.slot2 = PICK(list_slots);
        e.string = str(PICK(words));
        e.set = e.kind == PV_IR_OVERLAPS ? random_set(p) : NULL;
        break;
    case PV_IR_VER:
    case PV_IR_VER2:
        e.slot = PICK(version_slots);
        e.slot2 = PICK(version_slots);
        e.string = str(PICK(versions));
        e.order = draw(2) ? PV_ORDER_DPKG : PV_ORDER_COMMAND;
        break;
    case PV_IR_IN_WINDOW: e.window = draw(p->ir.n_windows); break;
    default:
        e.slot = PICK(string_slots);
        e.slot2 = e.kind == PV_IR_IN2 ? PICK(list_slots) : PICK(string_slots);
        e.string = str(PICK(words));
        e.set = e.kind == PV_IR_IN ? random_set(p) : NULL;
        e.glob = e.kind == PV_IR_LIKE ? random_glob(p) : NULL;
        break;
    }
    if (e.kind == PV_IR_HAS || e.kind == PV_IR_IN_WINDOW || e.kind == PV_IR_OWN)
        return expr(p, e);
    /* What may be absent is read behind `has`, as the language has it. */
    struct pv_ir_expr *kids[3];
    uint32_t n = 0;
    if (is_optional(e.slot))
        kids[n++] = expr(p, (struct pv_ir_expr){.kind = PV_IR_HAS, .slot = e.slot});
    bool two = e.kind == PV_IR_INT2 || e.kind == PV_IR_STR2 || e.kind == PV_IR_IN2 || e.kind == PV_IR_OVERLAPS2 ||
               e.kind == PV_IR_VER2;
    if (two && is_optional(e.slot2))
        kids[n++] = expr(p, (struct pv_ir_expr){.kind = PV_IR_HAS, .slot = e.slot2});
    kids[n++] = expr(p, e);
    if (n == 1)
        return kids[0];
    if (draw(2))
        return join(p, PV_IR_AND, n, kids);
    for (uint32_t i = 0; i + 1 < n; i++)
        kids[i] = negate(p, kids[i]);
    return join(p, PV_IR_OR, n, kids);
}

/* `pool`: expressions made before, so that policies share them. */
struct pool {
    struct pv_ir_expr *made[256];
    uint32_t n;
};

static struct pv_ir_expr *random_expr(struct policy *p, struct pool *pool, int depth)
{
    struct pv_ir_expr *e;
    if (pool->n && draw(4) == 0)
        return pool->made[draw(pool->n)];
    uint32_t choice = depth == 0 ? 0 : draw(8);
    if (choice < 2) {
        e = random_test(p);
    } else if (choice == 2) {
        e = draw(4) ? negate(p, random_expr(p, pool, depth - 1)) : constant(p, draw(2));
    } else {
        struct pv_ir_expr *kids[4];
        uint32_t n = 2 + draw(3);
        for (uint32_t i = 0; i < n; i++)
            kids[i] = random_expr(p, pool, depth - 1);
        e = join(p, choice % 2 ? PV_IR_AND : PV_IR_OR, n, kids);
    }
    if (pool->n < 256 && depth < 3) /* shallow ones, so that depth and size stay bounded */
        pool->made[pool->n++] = e;
    return e;
}

/* Leaves garbage between objects, so that addresses differ and their order too. */
static void scatter(struct policy *p, bool wanted)
{
    static size_t size; /* not drawn: that would make another policy */
    if (wanted)
        pv_arena_alloc(p->arena, 1 + (size += 1237) % 5000);
}

static void random_policy(struct policy *p, bool scattered)
{
    struct pool pool = {.n = 0};
    policy_new(p);
    p->ir.n_windows = 2;
    p->ir.windows = pv_arena_array(p->arena, 2, sizeof(*p->ir.windows));
    for (int i = 0; i < 2; i++) {
        struct pv_ir_window_alt *alt = PV_NEW(p->arena, struct pv_ir_window_alt);
        struct pv_ir_clock_range *range = PV_NEW(p->arena, struct pv_ir_clock_range);
        *range = (struct pv_ir_clock_range){i * 3600, 40000 + (int32_t)draw(40000)};
        *alt = (struct pv_ir_window_alt){.ref = UINT32_MAX, .except = UINT32_MAX, .clocks = range, .n_clocks = 1};
        p->ir.windows[i] = (struct pv_ir_window){.name = str(i ? "late" : "early"), .alts = alt, .n_alts = 1};
    }
    uint32_t n = draw(12);
    for (uint32_t i = 0; i < n; i++) {
        static const enum pv_rule_kind kinds[] = {PV_RULE_ALLOW, PV_RULE_ALLOW,   PV_RULE_ALLOW, PV_RULE_DENY,
                                                  PV_RULE_DENY,  PV_RULE_REQUIRE, PV_RULE_DIRECT};
        struct pv_ir_expr *clauses[3];
        uint32_t n_clauses = draw(4);
        for (uint32_t c = 0; c < n_clauses; c++) {
            scatter(p, scattered);
            clauses[c] = random_expr(p, &pool, 3);
        }
        struct pv_ir_rule *made = rule(p, PICK(kinds), "", n_clauses, clauses);
        if (made->kind != PV_RULE_REQUIRE)
            continue;
        made->duties = PV_NEW(p->arena, struct pv_ir_duty);
        made->n_duties = 1;
        if (draw(2))
            *made->duties = (struct pv_ir_duty){.kind = PV_D_REASON};
        else
            *made->duties = (struct pv_ir_duty){.kind = PV_D_ACCOUNT, .text = str(draw(2) ? "one" : "two")};
    }
}

static void random_values(struct values *v, struct pv_request *request)
{
    memset(v, 0, sizeof(*v));
    for (uint32_t slot = 0; slot < PV_N_BUILTIN; slot++) {
        const struct pv_attr_info *info = &pv_builtin_attrs[slot];
        if (slot == PV_A_COMMAND || info->scope == PV_SCOPE_SOURCE || strncmp(info->path, "time.", 5) == 0)
            continue;
        v->present[slot] = !is_optional(slot) || draw(2);
        if (!v->present[slot]) {
            assert_int_equal(pv_request_set_absent(request, (int)slot), 0);
            continue;
        }
        int rc = 0;
        switch (info->type) {
        case PV_T_BOOL:
            v->numbers[slot] = draw(2);
            rc = pv_request_set_bool(request, (int)slot, v->numbers[slot]);
            break;
        case PV_T_STRING:
            v->strings[slot] = draw(6) ? PICK(words) : "unheard of";
            rc = pv_request_set_string(request, (int)slot, v->strings[slot], strlen(v->strings[slot]));
            break;
        case PV_T_VERSION:
            v->strings[slot] = PICK(versions);
            rc = pv_request_set_string(request, (int)slot, v->strings[slot], strlen(v->strings[slot]));
            break;
        case PV_T_STRINGS:
            v->n_members[slot] = draw(4);
            for (uint32_t i = 0; i < v->n_members[slot]; i++) {
                const char *word = PICK(words);
                v->members[slot][i] = (struct pv_str){word, (uint32_t)strlen(word), 0};
            }
            rc = pv_request_set_strings(request, (int)slot, v->members[slot], v->n_members[slot]);
            break;
        default:
            v->numbers[slot] = (int64_t)draw(4) - (info->type == PV_T_INT);
            rc = pv_request_set_int(request, (int)slot, v->numbers[slot]);
            break;
        }
        assert_int_equal(rc, 0);
    }
    v->time = 1795255200 + draw(86400);
    assert_int_equal(pv_request_set_time(request, v->time), 0);
}

static enum pv_effect walked(const struct policy *p, const struct values *v, bool direct_too)
{
    bool matches[PV_RULE_DIRECT + 1] = {false};
    const char *account = NULL;
    bool clash = false;
    for (uint32_t r = 0; r < p->ir.n_rules; r++) {
        const struct pv_ir_rule *one = &p->ir.rules[r];
        bool match = true;
        for (uint32_t c = 0; c < one->n_clauses; c++)
            match = match && holds(p, v, one->clauses[c].expr);
        matches[one->kind] = matches[one->kind] || match;
        if (match && one->kind == PV_RULE_REQUIRE && one->duties->kind == PV_D_ACCOUNT) {
            clash = clash || (account && strcmp(account, one->duties->text.ptr) != 0);
            account = one->duties->text.ptr;
        }
    }
    if (matches[PV_RULE_DIRECT] && direct_too)
        return PV_DIRECT;
    return matches[PV_RULE_DENY] || clash || !matches[PV_RULE_ALLOW] ? PV_DENY : PV_ALLOW;
}

static void test_random_policies(void **state)
{
    int seen[3] = {0};
    (void)state;
    for (uint64_t round = 1; round <= 1500; round++) {
        struct policy p;
        struct values v;
        struct pv_decision *decision;
        seed = round;
        random_policy(&p, false);
        emit(&p);
        struct pv_request *request = request_for(&p, "alice", "vlc");
        assert_int_equal(pv_decision_new(&decision, p.bundle), 0);
        const struct pvb_rule *rows = pv_bundle_section(p.bundle, PVB_RULES, NULL);
        for (int i = 0; i < 20; i++) {
            random_values(&v, request);
            for (int direct_too = 0; direct_too < 2; direct_too++) {
                enum pv_effect wanted = walked(&p, &v, direct_too);
                pv_decide(request, direct_too, decision);
                if (pv_verdict(request, direct_too) != wanted || decision->effect != wanted)
                    fail_msg("round %d, request %d: walked %d, verdict %d, decided %d", (int)round, i, wanted,
                             pv_verdict(request, direct_too), decision->effect);
                seen[wanted]++;
            }
            for (uint32_t r = 0; r < p.ir.n_rules; r++)
                for (uint32_t c = 0; c < p.ir.rules[r].n_clauses; c++)
                    assert_int_equal(pv_clause_truth(request, rows[r].first_clause + c),
                                     holds(&p, &v, p.ir.rules[r].clauses[c].expr) ? PV_TRUE : PV_FALSE);
        }
        pv_decision_free(decision);
        pv_request_free(request);
        policy_free(&p);
    }
    assert_true(seen[PV_DENY] > 1000 && seen[PV_ALLOW] > 1000 && seen[PV_DIRECT] > 1000);
}

static void test_reproducible(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 200; round++) {
        struct policy a, b;
        seed = round;
        random_policy(&a, false);
        seed = round;
        random_policy(&b, true);
        emit(&a);
        emit(&b);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.bytes, b.bytes, a.len);
        policy_free(&a);
        policy_free(&b);
    }
}

/* Where a rule stands changes the bytes and not the content's hash; what it says changes both. */
static void test_content_hash(void **state)
{
    struct policy p[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        policy_new(&p[i]);
        rule1(&p[i], PV_RULE_ALLOW, "", str_is(&p[i], PV_A_PACKAGE_NAME, i == 2 ? "gimp" : "vlc"));
        if (i == 1) {
            uint32_t file, at;
            p[i].ir.rules[0].span.start = 0;
            assert_int_equal(pv_sources_add_text(&p[i].sources, "another.policy", "x", 1, &file, &at), 0);
        }
        emit(&p[i]);
    }
    assert_memory_equal(pv_bundle_content_hash(p[0].bundle), pv_bundle_content_hash(p[1].bundle), 32);
    assert_memory_not_equal(pv_bundle_content_hash(p[0].bundle), pv_bundle_content_hash(p[2].bundle), 32);
    assert_int_not_equal(p[0].len, p[1].len);
    for (int i = 0; i < 3; i++)
        policy_free(&p[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rules_deny),
        cmocka_unit_test(test_effects_win_in_order),
        cmocka_unit_test(test_rules_that_always_match),
        cmocka_unit_test(test_empty_string),
        cmocka_unit_test(test_operands_stand_once),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_duties),
        cmocka_unit_test(test_idempotent_doubling),
        cmocka_unit_test(test_exponential_is_refused),
        cmocka_unit_test(test_total_is_refused),
        cmocka_unit_test(test_deep_expressions),
        cmocka_unit_test(test_too_deep_is_refused),
        cmocka_unit_test(test_wide_expressions),
        cmocka_unit_test(test_many_rules),
        cmocka_unit_test(test_random_policies),
        cmocka_unit_test(test_reproducible),
        cmocka_unit_test(test_content_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
