/* `proviso check`: reads, checks and lints policies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cli/cli.h"

enum { OPTION_FORMAT = 0x200, OPTION_JSON, OPTION_STRICT, OPTION_FIX, OPTION_NOW };
enum format { TEXT, JSON, SARIF };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char **files;
    size_t n_files;
    enum format format;
    bool strict, fix;
};

static const struct argp_option option_rows[] = {
    {"format", OPTION_FORMAT, "FORMAT", 0, "Print `text' (the default), `json' or `sarif'", 0},
    {"json", OPTION_JSON, NULL, 0, "Short for --format json", 0},
    {"warnings-as-errors", OPTION_STRICT, NULL, 0, "Exit 1 for warnings too", 0},
    {"fix", OPTION_FIX, NULL, 0, "Apply the fixes that are certain, then check", 0},
    {"now", OPTION_NOW, "DATE", 0, "Warn of dates that have passed as if today were DATE (2026-12-31)", 0},
    {0},
};

/* A date that exists, YEAR-MONTH-DAY, as days since 1970-01-01. */
static bool read_date(const char *text, int64_t *day)
{
    unsigned field[3] = {0};
    static const char form[] = "dddd-dd-dd";
    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (unsigned i = 0, part = 0; form[i]; i++) {
        if (form[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
        if (form[i] == '-')
            part++;
        else
            field[part] = field[part] * 10 + (unsigned)(text[i] - '0');
    }
    if (field[0] < 1 || field[1] < 1 || field[1] > 12 || field[2] < 1 || field[2] > 31)
        return false;
    *day = pv_days_from_civil(field[0], field[1], field[2]);
    int64_t next =
        field[1] == 12 ? pv_days_from_civil(field[0] + 1, 1, 1) : pv_days_from_civil(field[0], field[1] + 1, 1);
    return *day < next;
}

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
    case OPTION_FIX: arguments->fix = true; return 0;
    case OPTION_NOW:
        if (!read_date(argument, &arguments->policy_options.today))
            argp_error(state, "`%s' is no date: write it as 2026-12-31", argument);
        return 0;
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

/* A file that is imported and checked by itself too is linted once, by itself. */
struct checked {
    struct inode {
        dev_t device;
        ino_t inode;
    } * list;
    size_t n;
};

static bool told_elsewhere(const struct checked *checked, const struct pv_program *program, const struct pv_diag *diag)
{
    const struct pv_source_file *file = pv_sources_file(&program->sources, diag->span.file);
    if (!file || !file->inode || !program->main || diag->span.file == program->main->file ||
        diag->severity == PV_SEV_ERROR)
        return false;
    for (size_t i = 0; i < checked->n; i++)
        if (checked->list[i].device == file->device && checked->list[i].inode == file->inode)
            return true;
    return false;
}

static void drop_told(const struct checked *checked, struct pv_program *program)
{
    struct pv_diags *diags = &program->diags;
    size_t kept = 0;
    for (size_t i = 0; i < diags->n; i++) {
        if (told_elsewhere(checked, program, diags->list[i]))
            diags->n_warnings -= diags->list[i]->severity == PV_SEV_WARNING;
        else
            diags->list[kept++] = diags->list[i];
    }
    diags->n = kept;
}

static int identify(struct checked *checked, const struct pv_cli_files *files)
{
    checked->list = calloc(files->n + 1, sizeof(*checked->list));
    if (!checked->list)
        return pv_cli_error("out of memory");
    for (size_t i = 0; i < files->n; i++) {
        struct stat status;
        if (stat(files->paths[i], &status) == 0)
            checked->list[checked->n++] = (struct inode){status.st_dev, status.st_ino};
    }
    return 0;
}

static int exit_of(const struct totals *totals, bool strict)
{
    if (totals->unreadable)
        return PV_CLI_ERROR;
    return totals->errors || (strict && totals->warnings) ? PV_CLI_FINDING : PV_CLI_GOOD;
}

static int check_all(const struct pv_cli_files *files, const struct checked *checked, struct arguments *arguments)
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
        if (arguments->fix && pv_cli_fix(files->paths[i], &arguments->policy_options) < 0) {
            json_decref(output);
            return PV_CLI_ERROR;
        }
        /* As far as code, whose size has limits too. */
        if (pv_cli_policy_compile(&policy, files->paths[i], &arguments->policy_options, PV_COMPILE_EVALUATE) < 0) {
            json_decref(output);
            return PV_CLI_ERROR;
        }
        drop_told(checked, policy.made.program);
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
    struct arguments arguments = {.policy_options = {.lint = true, .today = pv_cli_today()}};
    struct pv_cli_files files;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_files(&files, arguments.files, arguments.n_files) == 0) {
        struct checked checked = {0};
        if (identify(&checked, &files) == 0)
            code = check_all(&files, &checked, &arguments);
        free(checked.list);
        pv_cli_files_free(&files);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
