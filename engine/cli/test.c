/* `proviso test`: runs the `test` blocks of policies. All results are one JSON value, which is printed as it is or by
 * one of the other formats (test_output.c). */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_FORMAT = 0x200, OPTION_JSON, OPTION_COVERAGE };
struct arguments {
    struct pv_cli_policy_options policy_options;
    char **files;
    size_t n_files;
    enum pv_cli_test_format format;
    bool coverage;
    char *coverage_file; /* NULL: beside the results */
};

static const struct argp_option option_rows[] = {
    {"format", OPTION_FORMAT, "FORMAT", 0, "Print `text' (the default), `tap', `junit' or `json'", 0},
    {"coverage", OPTION_COVERAGE, "FILE", OPTION_ARG_OPTIONAL,
     "Tell which rules and conditions the tests have seen match and fail; into FILE, as JSON, or for lcov where it "
     "ends in .info",
     0},
    {"json", OPTION_JSON, NULL, 0, "Short for --format json", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case OPTION_FORMAT:
        if (pv_cli_test_format(argument, &arguments->format) < 0)
            argp_error(state, "`%s' is no format: text, tap, junit, json", argument);
        return 0;
    case OPTION_JSON: arguments->format = PV_CLI_TEST_JSON; return 0;
    case OPTION_COVERAGE:
        arguments->coverage = true;
        arguments->coverage_file = argument;
        return 0;
    case ARGP_KEY_ARGS:
        arguments->files = state->argv + state->next;
        arguments->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no file is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The tests that stand in the file itself; those of what it imports run when their own file is named. */
static int run_tests(const struct pv_cli_policy *policy, struct pv_coverage *coverage, json_t *tests)
{
    const struct pv_program *program = policy->made.program;
    for (uint32_t i = 0; i < policy->made.ir->n_tests; i++) {
        const struct pv_ir_test *test = &policy->made.ir->tests[i];
        if (test->span.file != program->main->file)
            continue;
        json_t *failures = pv_cli_run_test(policy, test, coverage);
        uint32_t line = pv_sources_place(&program->sources, test->span.file, test->span.start).line;
        json_t *row =
            json_pack("{s:o, s:I, s:b, s:o}", "name", pv_cli_json_text(test->name.ptr, test->name.len), "line",
                      (json_int_t)line, "passed", json_array_size(failures) == 0, "failures", failures);
        if (json_array_append_new(tests, row) != 0)
            return PV_E_NOMEM;
    }
    return 0;
}

struct totals {
    bool broken;     /* a file has errors */
    bool unreadable; /* or cannot be read at all */
    struct pv_cli_coverage coverage;
};

static int cover_tests(struct totals *totals, const struct pv_cli_policy *policy, bool wanted, json_t *tests)
{
    struct pv_coverage *coverage = NULL;
    int rc = wanted ? pv_coverage_new(&coverage, policy->made.ir, policy->made.arena) : 0;
    rc = rc < 0 ? rc : run_tests(policy, coverage, tests);
    /* A policy without tests of its own is covered by the files that test it. */
    if (rc == 0 && coverage && json_array_size(tests) > 0)
        pv_cli_coverage_fold(&totals->coverage, policy, coverage);
    return rc;
}

static int run_file(struct totals *totals, const char *path, struct arguments *arguments, json_t *files)
{
    struct pv_cli_policy policy;
    if (pv_cli_policy_compile(&policy, path, &arguments->policy_options, PV_COMPILE_EVALUATE) < 0)
        return -1;
    json_t *tests = json_array(), *diagnostics = json_array();
    int rc = 0;
    if (policy.bundle) {
        rc = cover_tests(totals, &policy, arguments->coverage, tests);
    } else {
        totals->broken = true;
        totals->unreadable = totals->unreadable || pv_cli_policy_unreadable(&policy);
        pv_cli_policy_complain(&policy, stderr, false);
        rc = pv_cli_diags_json(diagnostics, &policy.made.program->diags);
    }
    json_t *row = json_pack("{s:o, s:o, s:o}", "file", pv_cli_json_text(path, strlen(path)), "tests", tests,
                            "diagnostics", diagnostics);
    if (json_array_append_new(files, row) != 0 || rc < 0) {
        pv_cli_error("out of memory");
        rc = -1;
    }
    pv_cli_policy_close(&policy);
    return rc;
}

static json_int_t count(json_t *files, bool passed)
{
    json_int_t n = 0;
    size_t i, k;
    json_t *file, *test;
    json_array_foreach(files, i, file)
    {
        json_array_foreach(json_object_get(file, "tests"), k, test)
        {
            n += json_is_true(json_object_get(test, "passed")) == passed;
        }
    }
    return n;
}

/* The report in a file of its own. 0, or -1 and said. */
static int write_coverage(const char *path, json_t *report)
{
    char *text = NULL;
    size_t len = strlen(path), n = 0;
    FILE *out = open_memstream(&text, &n);
    int rc = -1;
    if (out && len > 5 && strcmp(path + len - 5, ".info") == 0)
        pv_cli_coverage_lcov(out, report);
    else if (out && (json_dumpf(report, out, 0) != 0 || fputc('\n', out) == EOF))
        n = 0;
    if (!out || fclose(out) != 0 || n == 0)
        pv_cli_error("out of memory");
    else
        rc = pv_cli_write(path, text, n);
    free(text);
    return rc;
}

/* Adds the report to the output, or writes it. */
static int report_coverage(struct totals *totals, const struct arguments *arguments, json_t *output)
{
    json_t *report = pv_cli_coverage_json(&totals->coverage);
    int rc = 0;
    if (!report) {
        pv_cli_error("out of memory");
        return -1;
    }
    if (arguments->coverage_file)
        rc = write_coverage(arguments->coverage_file, report);
    else if (json_object_set(output, "coverage", report) != 0)
        rc = -1;
    json_decref(report);
    return rc;
}

static int run_files(const struct pv_cli_files *paths, struct arguments *arguments)
{
    struct totals totals = {0};
    json_t *output = pv_cli_object("test"), *files = json_array();
    json_object_set_new(output, "files", files);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < paths->n; i++)
        rc = run_file(&totals, paths->paths[i], arguments, files);
    json_int_t passed = count(files, true), failed = count(files, false);
    json_object_set_new(output, "passed", json_integer(passed));
    json_object_set_new(output, "failed", json_integer(failed));
    if (rc == 0 && arguments->coverage)
        rc = report_coverage(&totals, arguments, output);
    if (rc == 0)
        pv_cli_test_print(output, arguments->format);
    json_decref(totals.coverage.files);
    json_decref(output);
    if (rc < 0 || totals.unreadable)
        return pv_cli_finish(PV_CLI_ERROR);
    if (totals.broken || failed)
        return pv_cli_finish(PV_CLI_FINDING);
    if (passed == 0)
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
