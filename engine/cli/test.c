/* `proviso test`: runs the `test` blocks of policies. Each expectation becomes a request like one from a file, checked
 * as strictly, and is decided by the compiled policy. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_FORMAT = 0x200, OPTION_JSON };
enum format { TEXT, TAP, JSON };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char **files;
    size_t n_files;
    enum format format;
};

static const struct argp_option option_rows[] = {
    {"format", OPTION_FORMAT, "FORMAT", 0, "Print `text' (the default), `tap' or `json'", 0},
    {"json", OPTION_JSON, NULL, 0, "Short for --format json", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case OPTION_FORMAT:
        if (strcmp(argument, "text") == 0)
            arguments->format = TEXT;
        else if (strcmp(argument, "tap") == 0)
            arguments->format = TAP;
        else if (strcmp(argument, "json") == 0)
            arguments->format = JSON;
        else
            argp_error(state, "`%s' is no format: text, tap, json", argument);
        return 0;
    case OPTION_JSON: arguments->format = JSON; return 0;
    case ARGP_KEY_ARGS:
        arguments->files = state->argv + state->next;
        arguments->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no file is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- One expectation ---- */

/* What went wrong with one test, sentence by sentence. */
struct failures {
    json_t *rows; /* {"line": N, "text": "..."} */
    uint32_t line;
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

static void run_expect(struct failures *failures, const struct pv_cli_policy *policy, const struct pv_ir_test *test,
                       const struct pv_ir_expect *expect)
{
    struct pv_cli_request request;
    struct pv_decision *decision;
    struct pv_error error = {0};
    bool agree = true;
    failures->line = pv_sources_place(&policy->made.program->sources, expect->span.file, expect->span.start).line;
    if (make_requests(&request, policy, test, expect, &error) < 0) {
        fail(failures, "%s", error.text);
    } else if (pv_cli_decide(&decision, &request, check_operation, &agree) < 0) {
        fail(failures, "out of memory");
    } else {
        compare(failures, policy->bundle, decision, expect);
        if (!agree || (!request.several && !agrees(request.operations[0], decision, true)))
            fail(failures, "internal error: the verdict and the attribution differ");
        pv_decision_free(decision);
    }
    pv_cli_request_free(&request);
}

/* ---- Files ---- */

struct totals {
    json_int_t passed, failed; /* tests */
    json_int_t broken;         /* files with errors */
    bool unreadable;           /* one of them cannot be read at all */
};

static void put_tap(json_int_t number, const char *path, const char *name, json_t *rows)
{
    size_t i;
    json_t *row;
    printf("%sok %lld - ", json_array_size(rows) ? "not " : "", (long long)number);
    pv_cli_put(stdout, path, strlen(path));
    printf(": ");
    for (const char *p = name; *p;) { /* `#` would begin a directive */
        size_t plain = strcspn(p, "#\\");
        pv_cli_put(stdout, p, plain);
        p += plain;
        if (*p)
            printf("\\%c", *p++);
    }
    putchar('\n');
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        printf("# line %lld: ", (long long)json_integer_value(json_object_get(row, "line")));
        pv_cli_put(stdout, text, strlen(text));
        putchar('\n');
    }
}

static void put_text(const char *path, const char *name, json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        pv_cli_put(stdout, path, strlen(path));
        printf(":%lld: test \"", (long long)json_integer_value(json_object_get(row, "line")));
        pv_cli_put(stdout, name, strlen(name));
        printf("\": ");
        pv_cli_put(stdout, text, strlen(text));
        putchar('\n');
    }
}

static int run_test(struct totals *totals, const struct pv_cli_policy *policy, const struct pv_ir_test *test,
                    const char *path, enum format format, json_t *tests)
{
    struct failures failures = {.rows = json_array()};
    char *name = strndup(test->name.ptr, test->name.len);
    int rc = -1;
    if (!failures.rows || !name)
        goto out;
    for (uint32_t i = 0; i < test->n_expects; i++)
        run_expect(&failures, policy, test, &test->expects[i]);
    bool passed = json_array_size(failures.rows) == 0;
    totals->passed += passed;
    totals->failed += !passed;
    uint32_t line = pv_sources_place(&policy->made.program->sources, test->span.file, test->span.start).line;
    if (format == TAP)
        put_tap(totals->passed + totals->failed + totals->broken, path, name, failures.rows);
    else if (format == TEXT)
        put_text(path, name, failures.rows);
    else if (json_array_append_new(tests, json_pack("{s:s, s:I, s:b, s:O}", "name", name, "line", (json_int_t)line,
                                                    "passed", passed, "failures", failures.rows)) != 0)
        goto out;
    rc = 0;
out:
    json_decref(failures.rows);
    free(name);
    return rc;
}

static json_int_t results(const struct totals *totals)
{
    return totals->passed + totals->failed + totals->broken;
}

/* The tests that stand in the file itself; those of what it imports run when their own file is named. */
static int run_tests(struct totals *totals, const struct pv_cli_policy *policy, const char *path, enum format format,
                     json_t *tests)
{
    int rc = 0;
    uint32_t main_file = policy->made.program->main->file;
    for (uint32_t i = 0; rc == 0 && i < policy->made.ir->n_tests; i++)
        if (policy->made.ir->tests[i].span.file == main_file)
            rc = run_test(totals, policy, &policy->made.ir->tests[i], path, format, tests);
    return rc;
}

static void put_broken(struct totals *totals, struct pv_cli_policy *policy, const char *path, enum format format)
{
    totals->broken++;
    totals->unreadable = totals->unreadable || pv_cli_policy_unreadable(policy);
    pv_cli_policy_complain(policy, stderr, false);
    if (format != TAP)
        return;
    printf("not ok %lld - ", (long long)results(totals));
    pv_cli_put(stdout, path, strlen(path));
    printf(": it has errors\n");
}

static int run_file(struct totals *totals, const char *path, struct arguments *arguments, json_t *files)
{
    struct pv_cli_policy policy;
    json_t *tests = json_array(), *diagnostics = json_array();
    int rc = 0;
    if (pv_cli_policy_compile(&policy, path, &arguments->policy_options, PV_COMPILE_EVALUATE) < 0) {
        json_decref(tests);
        json_decref(diagnostics);
        return -1;
    }
    if (policy.bundle)
        rc = run_tests(totals, &policy, path, arguments->format, tests);
    else
        put_broken(totals, &policy, path, arguments->format);
    if (rc == 0 && !policy.bundle)
        rc = pv_cli_diags_json(diagnostics, &policy.made.program->diags);
    json_t *row = json_pack("{s:o, s:o, s:o}", "file", pv_cli_json_text(path, strlen(path)), "tests", tests,
                            "diagnostics", diagnostics);
    if (json_array_append_new(files, row) != 0 || rc < 0) {
        pv_cli_error("out of memory");
        rc = -1;
    }
    pv_cli_policy_close(&policy);
    return rc;
}

static void put_totals(const struct totals *totals, enum format format, json_t *files)
{
    if (format == JSON) {
        json_t *output = pv_cli_object("test");
        json_object_set(output, "files", files);
        json_object_set_new(output, "passed", json_integer(totals->passed));
        json_object_set_new(output, "failed", json_integer(totals->failed));
        pv_cli_print_json(stdout, output);
    } else if (format == TAP) {
        printf("1..%lld\n", (long long)results(totals));
    } else if (results(totals)) {
        printf("%lld passed, %lld failed", (long long)totals->passed, (long long)totals->failed);
        if (totals->broken)
            printf(", %lld file%s with errors", (long long)totals->broken, totals->broken == 1 ? "" : "s");
        putchar('\n');
    }
}

static int run_files(const struct pv_cli_files *paths, struct arguments *arguments)
{
    struct totals totals = {0};
    json_t *files = json_array();
    int rc = 0;
    if (arguments->format == TAP)
        puts("TAP version 13");
    for (size_t i = 0; rc == 0 && i < paths->n; i++)
        rc = run_file(&totals, paths->paths[i], arguments, files);
    if (rc == 0)
        put_totals(&totals, arguments->format, files);
    json_decref(files);
    if (rc != 0)
        return PV_CLI_ERROR; /* said */
    if (totals.unreadable)
        return pv_cli_finish(PV_CLI_ERROR);
    if (totals.broken || totals.failed)
        return pv_cli_finish(PV_CLI_FINDING);
    if (totals.passed == 0)
        return pv_cli_error("no test found");
    return pv_cli_finish(PV_CLI_GOOD);
}

int pv_cli_test(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_library_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "FILE...",
        "Run the `test' blocks of policies.\v"
        "A directory stands for every .policy file below it. Exit 0: all passed; 1: a test "
        "failed or a policy has errors; 2: usage, a file that cannot be read, or no test.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_files files;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_files(&files, arguments.files, arguments.n_files) == 0) {
        code = run_files(&files, &arguments);
        pv_cli_files_free(&files);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
