/* One test of a policy: each expectation becomes a request like one from a file, checked as strictly, and is decided by
 * the compiled policy. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

/* What went wrong with one test, sentence by sentence. */
struct failures {
    json_t *rows; /* {"line": N, "text": "...", "explanations": [...]} */
    uint32_t line;
    struct pv_coverage *coverage; /* or NULL */
};

static void fail(struct failures *failures, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct failures *failures, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    /* A failure that memory has no room for must not be taken for none. */
    if (n < 0 || json_array_append_new(failures->rows, json_pack("{s:I, s:o}", "line", (json_int_t)failures->line,
                                                                 "text", pv_cli_json_text(text, (size_t)n))) != 0)
        abort();
    free(text);
}

static bool command_has(const struct pv_ir *ir, const struct pv_ir_expect *expect, uint16_t slot)
{
    enum pv_scope scope = slot < PV_N_BUILTIN ? pv_builtin_attrs[slot].scope : ir->attrs[slot - PV_N_BUILTIN].scope;
    if (scope == PV_SCOPE_ANY)
        return true;
    for (uint32_t i = 0; i < ir->n_commands; i++) {
        const struct pv_ir_command *command = &ir->commands[i];
        if (command->name.len != expect->command.len ||
            memcmp(command->name.ptr, expect->command.ptr, expect->command.len) != 0)
            continue;
        if (scope == PV_SCOPE_PACKAGE)
            return command->flags & PVB_COMMAND_PACKAGES;
        if (scope == PV_SCOPE_SOURCE)
            return command->flags & PVB_COMMAND_SOURCES;
        for (uint32_t p = 0; p < command->n_parameters; p++)
            if (command->parameters[p].slot == slot)
                return true;
    }
    return false;
}

static int set_value(struct pv_request *request, struct pv_arena *arena, const struct pv_ir_given *given)
{
    const struct pv_value *value = &given->value;
    if (value->state != PV_PRESENT)
        return pv_request_set_absent(request, given->slot);
    switch (value->type) {
    case PV_T_BOOL: return pv_request_set_bool(request, given->slot, value->number != 0);
    case PV_T_STRING:
    case PV_T_VERSION: return pv_request_set_string(request, given->slot, value->string.ptr, value->string.len);
    case PV_T_STRINGS: {
        struct pv_str *members = pv_arena_array(arena, value->n_members, sizeof(*members));
        if (!members)
            return PV_E_NOMEM;
        if (value->n_members)
            memcpy(members, value->members, value->n_members * sizeof(*members));
        return pv_request_set_strings(request, given->slot, members, value->n_members);
    }
    default: return pv_request_set_int(request, given->slot, value->number);
    }
}

static int set_givens(struct pv_request *request, const struct pv_cli_policy *policy, const struct pv_ir_expect *expect,
                      const struct pv_ir_given *givens, uint32_t n)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (command_has(policy->made.ir, expect, givens[i].slot))
            rc = set_value(request, policy->made.arena, &givens[i]);
    return rc;
}

/* The request of an expectation on one object, or (object NULL) on none. */
static int make_request(struct pv_request **out, const struct pv_cli_policy *policy, const struct pv_ir_test *test,
                        const struct pv_ir_expect *expect, const struct pv_ir_str *object)
{
    struct pv_str *groups = pv_arena_array(policy->made.arena, test->n_groups, sizeof(*groups));
    int rc = groups ? pv_request_new(out, policy->bundle) : PV_E_NOMEM;
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < test->n_groups; i++)
        groups[i] = (struct pv_str){test->groups[i].ptr, test->groups[i].len, 0};
    struct pv_request *request = *out;
    rc = pv_request_set_command(request, expect->command.ptr, expect->command.len);
    rc = rc < 0 ? rc : pv_request_set_string(request, PV_A_USER_NAME, test->user.ptr, test->user.len);
    rc = rc < 0 ? rc : pv_request_set_int(request, PV_A_USER_UID, test->uid);
    rc = rc < 0 ? rc : pv_request_set_strings(request, PV_A_USER_GROUPS, groups, test->n_groups);
    rc = rc < 0 ? rc : pv_request_set_time(request, test->time);
    if (object)
        rc = rc < 0 ? rc : pv_request_set_string(request, PV_A_PACKAGE_NAME, object->ptr, object->len);
    if (expect->source.len)
        rc = rc < 0 ? rc : pv_request_set_source(request, expect->source.ptr, expect->source.len);
    rc = rc < 0 ? rc : set_givens(request, policy, expect, test->given, test->n_given);
    return rc < 0 ? rc : set_givens(request, policy, expect, expect->with, expect->n_with);
}

static int make_requests(struct pv_cli_request *request, const struct pv_cli_policy *policy,
                         const struct pv_ir_test *test, const struct pv_ir_expect *expect, struct pv_error *error)
{
    uint32_t n = expect->n_objects ? expect->n_objects : 1;
    int rc = 0;
    *request = (struct pv_cli_request){.several = n > 1};
    snprintf(error->text, sizeof(error->text), "the request cannot be made");
    request->operations = calloc(n, sizeof(*request->operations));
    if (!request->operations)
        return PV_E_NOMEM;
    if (request->several) {
        rc = make_request(&request->asked, policy, test, expect, NULL);
        rc = rc < 0 ? rc : pv_cli_request_asked(request->asked);
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc =
            make_request(&request->operations[i], policy, test, expect, expect->n_objects ? &expect->objects[i] : NULL);
        request->n_operations += request->operations[i] != NULL;
        rc = rc < 0 ? rc : pv_request_check(request->operations[i], error);
    }
    return rc;
}

static bool same(struct pv_ir_str a, const char *b, size_t len)
{
    return a.len == len && memcmp(a.ptr, b, len) == 0;
}

static bool decided_by(const struct pv_bundle *bundle, const struct pv_decision *decision, struct pv_ir_str id)
{
    if (decision->account_conflict && same(id, "builtin:account-conflict", strlen("builtin:account-conflict")))
        return true;
    for (uint32_t i = 0; i < decision->n_rules; i++) {
        char buffer[4200];
        const char *known = pv_rule_id(bundle, decision->rules[i], buffer, sizeof(buffer));
        if (same(id, known, strlen(known)))
            return true;
    }
    return false;
}

static bool says(const struct pv_bundle *bundle, const struct pv_decision *decision, struct pv_ir_str text)
{
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, NULL);
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    for (uint32_t i = 0; i < decision->n_rules; i++) {
        const struct pvb_rule *rule = &rules[decision->rules[i]];
        for (uint32_t t = 0; t < rule->n_because; t++) {
            size_t len;
            const char *known = pv_bundle_string(bundle, texts[rule->first_because + t], &len);
            if (same(text, known, len))
                return true;
        }
    }
    return false;
}

static bool requires(const struct pv_bundle *bundle, const struct pv_decision *decision, const struct pv_ir_duty *duty)
{
    const struct pvb_duty *rows = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    size_t len;
    const char *text;
    switch (duty->kind) {
    case PV_D_REASON: return decision->reason;
    case PV_D_TIMEOUT: return decision->has_timeout && decision->timeout == duty->seconds;
    case PV_D_ACCOUNT:
        text = pv_bundle_string(bundle, decision->account, &len);
        return decision->account && same(duty->text, text, len);
    case PV_D_APPROVAL:
    case PV_D_WINDOW:
    case PV_D_NOTICE:
    case PV_D_ALERT: break;
    }
    for (uint32_t i = 0; i < decision->n_duties; i++) {
        const struct pvb_duty *row = &rows[decision->duties[i]];
        text = pv_bundle_string(bundle, row->text, &len);
        if (row->kind == (uint32_t)duty->kind && same(duty->text, text, len))
            return true;
    }
    return false;
}

static const char *duty_name(enum pv_duty_kind kind)
{
    static const char *const names[] = {
        [PV_D_REASON] = "reason",   [PV_D_APPROVAL] = "approval by", [PV_D_TIMEOUT] = "timeout",
        [PV_D_ACCOUNT] = "account", [PV_D_WINDOW] = "window",        [PV_D_NOTICE] = "notice",
        [PV_D_ALERT] = "alert"};
    return names[kind];
}

/* The ids of the rules that decided, for people. */
static char *deciders(const struct pv_bundle *bundle, const struct pv_decision *decision)
{
    char *list = NULL;
    size_t size;
    FILE *out = open_memstream(&list, &size);
    if (!out)
        return NULL;
    if (decision->is_default)
        fprintf(out, " since nothing allows it");
    if (decision->account_conflict)
        fprintf(out, " by builtin:account-conflict");
    for (uint32_t i = 0; i < decision->n_rules; i++) {
        char buffer[4200];
        fprintf(out, "%s%s", i || decision->account_conflict ? ", " : " by ",
                pv_rule_id(bundle, decision->rules[i], buffer, sizeof(buffer)));
    }
    fclose(out);
    return list;
}

static void compare(struct failures *failures, const struct pv_bundle *bundle, const struct pv_decision *decision,
                    const struct pv_ir_expect *expect)
{
    if (decision->effect != expect->effect) {
        char *by = deciders(bundle, decision);
        fail(failures, "expected %s, decided %s%s", pv_cli_effect_name(expect->effect),
             pv_cli_effect_name(decision->effect), by ? by : "");
        free(by);
        return;
    }
    for (uint32_t i = 0; i < expect->n_by; i++) {
        if (decided_by(bundle, decision, expect->by[i]))
            continue;
        char *by = deciders(bundle, decision);
        fail(failures, "expected %s by %.*s, decided%s", pv_cli_effect_name(expect->effect), (int)expect->by[i].len,
             expect->by[i].ptr, by ? by : "");
        free(by);
    }
    for (uint32_t i = 0; i < expect->n_requiring; i++) {
        const struct pv_ir_duty *duty = &expect->requiring[i];
        if (requires(bundle, decision, duty))
            continue;
        if (duty->kind == PV_D_TIMEOUT)
            fail(failures, "the decision does not require timeout %llds", (long long)duty->seconds);
        else
            fail(failures, "the decision does not require %s%s%.*s", duty_name(duty->kind), duty->text.len ? " " : "",
                 (int)duty->text.len, duty->text.len ? duty->text.ptr : "");
    }
    for (uint32_t i = 0; i < expect->n_because; i++)
        if (!says(bundle, decision, expect->because[i]))
            fail(failures, "the decision does not say \"%.*s\"", (int)expect->because[i].len, expect->because[i].ptr);
}

/* ---- Why it was decided so ---- */

struct explaining {
    const struct pv_cli_policy *policy;
    json_t *rows;
    bool single; /* one operation: direct rules were asked for it */
};

static json_t *text_json(const struct pv_request *request, int slot)
{
    return pv_cli_value_json(pv_request_value(request, slot));
}

/* {"decision": "deny", "command": "install", "package": "vlc", "source": "internal", "explanation": {...}} */
static int explain_operation(void *context, const struct pv_request *operation, const struct pv_decision *decision)
{
    struct explaining *explaining = context;
    json_t *row = json_pack("{s:s, s:o, s:o, s:o, s:o}", "decision", pv_cli_effect_name(decision->effect), "command",
                            text_json(operation, PV_A_COMMAND), "package", text_json(operation, PV_A_PACKAGE_NAME),
                            "source", text_json(operation, PV_A_SOURCE_NAME), "explanation",
                            pv_cli_explanation(explaining->policy, operation, decision, explaining->single));
    return json_array_append_new(explaining->rows, row) == 0 ? 0 : PV_E_NOMEM;
}

/* Puts the explanation beside the first sentence about an expectation. */
static int explain_failure(struct failures *failures, size_t first, const struct pv_cli_policy *policy,
                           const struct pv_cli_request *request, const struct pv_decision *decision)
{
    struct explaining explaining = {policy, json_array(), !request->several};
    struct pv_decision *again = NULL;
    int rc = explaining.rows ? 0 : PV_E_NOMEM;
    if (rc == 0 && request->several)
        rc = pv_cli_decide(&again, request, explain_operation, &explaining);
    else if (rc == 0)
        rc = explain_operation(&explaining, request->operations[0], decision);
    pv_decision_free(again);
    if (json_object_set_new(json_array_get(failures->rows, first), "explanations", explaining.rows) != 0)
        rc = PV_E_NOMEM;
    return rc;
}

/* ---- One expectation ---- */

/* The two programs of a bundle agree, or the compiler is wrong. */
static bool agrees(const struct pv_request *request, const struct pv_decision *decision, bool direct_too)
{
    return pv_verdict(request, direct_too) == decision->effect;
}

static int check_operation(void *context, const struct pv_request *operation, const struct pv_decision *decision)
{
    bool *agree = context;
    *agree = *agree && agrees(operation, decision, decision->effect == PV_DIRECT);
    return 0;
}

/* Direct rules are asked once, for what was asked for; where none decides, the others are for each operation. */
static void cover(struct pv_coverage *coverage, const struct pv_cli_request *request,
                  const struct pv_decision *decision)
{
    bool direct = decision->effect == PV_DIRECT;
    pv_coverage_decided(coverage, decision);
    if (request->several)
        pv_coverage_add(coverage, request->asked, PV_COVER_DIRECT);
    for (size_t i = 0; i < request->n_operations && !(direct && request->several); i++)
        pv_coverage_add(coverage, request->operations[i],
                        (request->several ? 0 : PV_COVER_DIRECT) | (direct ? 0 : PV_COVER_OTHERS));
}

static void run_expect(struct failures *failures, const struct pv_cli_policy *policy, const struct pv_ir_test *test,
                       const struct pv_ir_expect *expect)
{
    struct pv_cli_request request;
    struct pv_decision *decision;
    struct pv_error error = {0};
    bool agree = true;
    size_t before = json_array_size(failures->rows);
    failures->line = pv_sources_place(&policy->made.program->sources, expect->span.file, expect->span.start).line;
    if (make_requests(&request, policy, test, expect, &error) < 0) {
        fail(failures, "%s", error.text);
    } else if (pv_cli_decide(&decision, &request, check_operation, &agree) < 0) {
        fail(failures, "out of memory");
    } else {
        compare(failures, policy->bundle, decision, expect);
        if (json_array_size(failures->rows) > before &&
            explain_failure(failures, before, policy, &request, decision) < 0)
            fail(failures, "out of memory");
        if (!agree || (!request.several && !agrees(request.operations[0], decision, true)))
            fail(failures, "internal error: the verdict and the attribution differ");
        if (failures->coverage)
            cover(failures->coverage, &request, decision);
        pv_decision_free(decision);
    }
    pv_cli_request_free(&request);
}

json_t *pv_cli_run_test(const struct pv_cli_policy *policy, const struct pv_ir_test *test, struct pv_coverage *coverage)
{
    struct failures failures = {.rows = json_array(), .coverage = coverage};
    for (uint32_t i = 0; failures.rows && i < test->n_expects; i++)
        run_expect(&failures, policy, test, &test->expects[i]);
    return failures.rows;
}
