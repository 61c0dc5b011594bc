/* `proviso explain`: the whole reasoning about one request, in text: what decided, and of the rules that nearly did,
 * the clauses that failed. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_REQUEST = 0x200, OPTION_JSON };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char *policy, *request;
    bool json;
};

static const struct argp_option option_rows[] = {
    {"request", OPTION_REQUEST, "FILE", 0, "Explain the decision on the request in FILE (`-' is standard input)", 0},
    {"json", OPTION_JSON, NULL, 0, "Print what `eval --explain' prints", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case OPTION_REQUEST: arguments->request = argument; return 0;
    case OPTION_JSON: arguments->json = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "`%s' is one argument too many", argument);
        arguments->policy = argument;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->policy || (!arguments->request && pv_diag_from_code(arguments->policy) < 0))
            argp_error(state, "give a policy and --request, or a diagnostic's code");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void put_string(const struct pv_bundle *bundle, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(bundle, string, &len);
    pv_cli_put(stdout, text, len);
}

static void put_duties(const struct pv_bundle *bundle, const struct pv_decision *decision)
{
    static const char *const names[] = {
        [PV_D_REASON] = "reason",   [PV_D_APPROVAL] = "approval by", [PV_D_TIMEOUT] = "timeout",
        [PV_D_ACCOUNT] = "account", [PV_D_WINDOW] = "window",        [PV_D_NOTICE] = "notice",
        [PV_D_ALERT] = "alert"};
    const struct pvb_duty *rows = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    if (!decision->reason && !decision->has_timeout && !decision->account && !decision->n_duties)
        return;
    printf("\nrequiring\n");
    if (decision->reason)
        printf("  reason\n");
    if (decision->has_timeout)
        printf("  timeout %llds\n", (long long)decision->timeout);
    if (decision->account) {
        printf("  account ");
        put_string(bundle, decision->account);
        putchar('\n');
    }
    for (uint32_t i = 0; i < decision->n_duties; i++) {
        const struct pvb_duty *duty = &rows[decision->duties[i]];
        printf("  %s ", duty->kind <= PV_D_ALERT ? names[duty->kind] : "?");
        put_string(bundle, duty->text);
        putchar('\n');
    }
}

static void put_value(const struct pv_request *request, int slot, const char *before)
{
    const struct pv_value *value = pv_request_value(request, slot);
    if (value->state != PV_PRESENT)
        return;
    printf("%s", before);
    pv_cli_put(stdout, value->string.ptr, value->string.len);
}

/* 0, or PV_E_NOMEM. */
static int put_decision(const struct pv_cli_policy *policy, const struct pv_request *request,
                        const struct pv_decision *decision, bool direct_too)
{
    json_t *explanation = pv_cli_explanation(policy, request, decision, direct_too);
    if (!explanation)
        return PV_E_NOMEM;
    printf("%s:", pv_cli_effect_name(decision->effect));
    put_value(request, PV_A_COMMAND, " ");
    put_value(request, PV_A_PACKAGE_NAME, " ");
    put_value(request, PV_A_SOURCE_NAME, " from ");
    put_value(request, PV_A_USER_NAME, ", for ");
    printf(decision->is_default ? "\n\nno rule allows it\n" : "\n\ndecided by\n");
    if (decision->account_conflict)
        printf("  deny builtin:account-conflict\n      because: rules that match require different accounts\n");
    pv_cli_explanation_matching(stdout, explanation, "");
    put_duties(policy->bundle, decision);
    pv_cli_explanation_others(stdout, explanation, "", 5);
    json_decref(explanation);
    return 0;
}

static int put_operation(void *context, const struct pv_request *operation, const struct pv_decision *decision)
{
    int rc = put_decision(context, operation, decision, decision->effect == PV_DIRECT);
    putchar('\n');
    return rc;
}

/* 0, or PV_E_NOMEM. */
static int explain(const struct pv_cli_policy *policy, const struct pv_cli_request *request)
{
    struct pv_decision *joined;
    int rc = pv_cli_decide(&joined, request, put_operation, (void *)(uintptr_t)policy);
    if (rc < 0)
        return rc;
    if (request->several)
        printf("%s: the %zu operations together\n", pv_cli_effect_name(joined->effect), request->n_operations);
    else
        rc = put_decision(policy, request->operations[0], joined, true);
    pv_decision_free(joined);
    return rc;
}

const char *pv_cli_page(const char *code)
{
    for (const struct pv_cli_page *page = pv_cli_pages; page->code; page++)
        if (strcmp(page->code, code) == 0)
            return page->text;
    return "";
}

/* A page without its head and its first sentence, which stand in the line that is printed first. */
static const char *body(const char *page)
{
    for (int i = 0; i < 2 && page; i++) {
        page = strstr(page, "\n\n");
        page = page ? page + 2 : NULL;
    }
    return page ? page : "";
}

/* What a diagnostic means: `explain PV0102`. */
static int explain_code(const char *text, bool json)
{
    const struct pv_diag_info *info = pv_diag_info((enum pv_diag_code)pv_diag_from_code(text));
    if (!json) {
        printf("%s %s (%s): %s\n", info->code, info->title, pv_severity_name(info->severity), info->summary);
        const char *page = body(pv_cli_page(info->code));
        printf("%s%s", *page ? "\n" : "", page);
        return pv_cli_finish(PV_CLI_GOOD);
    }
    json_t *output = pv_cli_object("diagnostic");
    json_object_set_new(output, "code", json_string(info->code));
    json_object_set_new(output, "name", json_string(info->title));
    json_object_set_new(output, "severity", json_string(pv_severity_name(info->severity)));
    json_object_set_new(output, "summary", json_string(info->summary));
    json_object_set_new(output, "page", json_string(pv_cli_page(info->code)));
    return pv_cli_finish(pv_cli_print_json(stdout, output) ? PV_CLI_GOOD : PV_CLI_ERROR);
}

static int run(const struct pv_cli_policy *policy, const struct arguments *arguments)
{
    struct pv_cli_request request;
    struct pv_error error;
    char *text;
    size_t len;
    int code = PV_CLI_ERROR;
    if (pv_cli_read(arguments->request, PV_CLI_MAX_REQUEST, &text, &len) < 0)
        return PV_CLI_ERROR;
    if (pv_cli_request_read(&request, policy->bundle, text, len, &error) < 0) {
        pv_cli_error("%s: %s", arguments->request, error.text);
    } else {
        enum pv_effect effect;
        if (!arguments->json)
            code = explain(policy, &request) < 0 ? pv_cli_error("out of memory") : PV_CLI_GOOD;
        else if (pv_cli_print_json(stdout, pv_cli_decision_json(&request, policy, &effect)))
            code = PV_CLI_GOOD;
        pv_cli_request_free(&request);
    }
    free(text);
    return pv_cli_finish(code);
}

int pv_cli_explain(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_policy_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "POLICY --request FILE\nCODE",
        "Tell why POLICY decides on a request as it does: the rules that match, and of the "
        "nearest others each clause, whether it holds (yes), fails (no) or cannot be told "
        "(?). With a diagnostic's code, like PV0003: tell what it means.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_policy policy;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return PV_CLI_ERROR;
    if (!arguments.request) {
        code = explain_code(arguments.policy, arguments.json);
    } else if (pv_cli_policy_open(&policy, arguments.policy, &arguments.policy_options, false) == 0) {
        code = run(&policy, &arguments);
        pv_cli_policy_close(&policy);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
