/* `proviso check`: reads, checks and lints policies. */
#include <errno.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_FORMAT = 0x200, OPTION_JSON, OPTION_STRICT };
enum format { TEXT, JSON, SARIF };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char **files;
    size_t n_files;
    enum format format;
    bool strict;
};

static const struct argp_option option_rows[] = {
    {"format", OPTION_FORMAT, "FORMAT", 0, "Print `text' (the default), `json' or `sarif'", 0},
    {"json", OPTION_JSON, NULL, 0, "Short for --format json", 0},
    {"warnings-as-errors", OPTION_STRICT, NULL, 0, "Exit 1 for warnings too", 0},
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
        else if (strcmp(argument, "json") == 0)
            arguments->format = JSON;
        else if (strcmp(argument, "sarif") == 0)
            arguments->format = SARIF;
        else
            argp_error(state, "`%s' is no format: text, json, sarif", argument);
        return 0;
    case OPTION_JSON: arguments->format = JSON; return 0;
    case OPTION_STRICT: arguments->strict = true; return 0;
    case ARGP_KEY_ARGS:
        arguments->files = state->argv + state->next;
        arguments->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no file is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

struct totals {
    json_int_t errors, warnings;
    bool unreadable; /* a file that was named could not be read: an error of another kind than what is in files */
};

static void count(struct totals *totals, const struct pv_cli_policy *policy)
{
    totals->errors += policy->made.program->diags.n_errors;
    totals->warnings += policy->made.program->diags.n_warnings;
    totals->unreadable = totals->unreadable || pv_cli_policy_unreadable(policy);
}

static int exit_of(const struct totals *totals, bool strict)
{
    if (totals->unreadable)
        return PV_CLI_ERROR;
    return totals->errors || (strict && totals->warnings) ? PV_CLI_FINDING : PV_CLI_GOOD;
}

static int check_all(const struct pv_cli_files *files, struct arguments *arguments)
{
    struct totals totals = {0};
    json_t *output = NULL, *rows = NULL;
    int failed = 0;
    if (arguments->format != TEXT) {
        output = pv_cli_object("check");
        json_object_set_new(output, "files", json_array());
    }
    for (size_t i = 0; i < files->n; i++) {
        struct pv_cli_policy policy;
        /* As far as code, whose size has limits too. */
        if (pv_cli_policy_compile(&policy, files->paths[i], &arguments->policy_options, PV_COMPILE_EVALUATE) < 0) {
            json_decref(output);
            return PV_CLI_ERROR;
        }
        if (output) {
            rows = json_array();
            failed = failed || pv_cli_diags_json(rows, &policy.made.program->diags) ||
                     json_array_append_new(json_object_get(output, "files"),
                                           json_pack("{s:o, s:o}", "file",
                                                     pv_cli_json_text(files->paths[i], strlen(files->paths[i])),
                                                     "diagnostics", rows));
        } else {
            pv_cli_policy_complain(&policy, stdout, true);
        }
        count(&totals, &policy);
        pv_cli_policy_close(&policy);
    }
    if (output) {
        failed = failed || json_object_set_new(output, "errors", json_integer(totals.errors)) ||
                 json_object_set_new(output, "warnings", json_integer(totals.warnings));
        if (failed) {
            json_decref(output);
            return pv_cli_error("out of memory");
        }
        if (arguments->format == SARIF) {
            json_t *log = pv_cli_sarif(json_object_get(output, "files"));
            json_decref(output);
            output = log;
        }
        if (!pv_cli_print_json(stdout, output))
            return PV_CLI_ERROR;
    }
    return pv_cli_finish(exit_of(&totals, arguments->strict));
}

int pv_cli_check(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_library_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "FILE...",
        "Read policies, check them, and warn of what is likely a mistake.\v"
        "A directory stands for every .policy file below it. Exit 0: clean; 1: errors, or warnings as errors; 2: usage "
        "or a file that cannot be read.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_files files;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_files(&files, arguments.files, arguments.n_files) == 0) {
        code = check_all(&files, &arguments);
        pv_cli_files_free(&files);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
