/* `proviso eval`: decides on requests, in JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cli/cli.h"

enum { OPTION_REQUEST = 0x200, OPTION_REQUESTS, OPTION_EXPLAIN };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char *policy;
    char *request;  /* one, in a file */
    char *requests; /* one a line */
    bool explain;
};

static const struct argp_option option_rows[] = {
    {"request", OPTION_REQUEST, "FILE", 0, "Decide on the request in FILE (`-' is standard input)", 0},
    {"requests", OPTION_REQUESTS, "FILE", 0, "Decide on each line of FILE (`-' is standard input)", 0},
    {"explain", OPTION_EXPLAIN, NULL, 0,
     "Add the reasoning: matching rules, the nearest others, and what would change a denial", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case OPTION_REQUEST: arguments->request = argument; return 0;
    case OPTION_REQUESTS: arguments->requests = argument; return 0;
    case OPTION_EXPLAIN: arguments->explain = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            arguments->policy = argument;
        else if (state->arg_num == 1 && strcmp(argument, "-") == 0 && !arguments->requests)
            arguments->requests = argument;
        else
            argp_error(state, "`%s' is one argument too many", argument);
        return 0;
    case ARGP_KEY_END:
        if (!arguments->policy)
            argp_error(state, "no policy is given");
        if (!arguments->request == !arguments->requests)
            argp_error(state, "give one of --request and --requests");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int exit_of(enum pv_effect effect)
{
    return effect == PV_ALLOW ? 0 : effect == PV_DENY ? 1 : PV_CLI_DIRECT;
}

static int eval_one(const struct pv_cli_policy *policy, const char *path, bool explain)
{
    struct pv_cli_request request;
    struct pv_error error;
    char *text;
    size_t len;
    if (pv_cli_read(path, PV_CLI_MAX_REQUEST, &text, &len) < 0)
        return PV_CLI_ERROR;
    int code = PV_CLI_ERROR;
    if (pv_cli_request_read(&request, policy->bundle, text, len, &error) < 0) {
        pv_cli_error("%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, error.text);
    } else {
        enum pv_effect effect;
        if (pv_cli_print_json(stdout, pv_cli_decision_json(&request, explain ? policy : NULL, &effect)))
            code = exit_of(effect);
        pv_cli_request_free(&request);
    }
    free(text);
    return pv_cli_finish(code);
}

static bool put_error(const char *text, json_int_t line)
{
    json_t *output = pv_cli_object("error");
    json_object_set_new(output, "error", pv_cli_json_text(text, strlen(text)));
    json_object_set_new(output, "line", json_integer(line));
    return pv_cli_print_json(stdout, output);
}

/* One line's decision, or its error in the same place. False where it is an error. */
static bool eval_line(const struct pv_cli_policy *policy, const char *line, size_t len, json_int_t number, bool explain,
                      bool *output_failed)
{
    struct pv_cli_request request;
    struct pv_error error = {0};
    json_t *output = NULL;
    bool good = false;
    if (strspn(line, " \t\r") == len) {
        snprintf(error.text, sizeof(error.text), "the line is blank");
    } else if (pv_cli_request_read(&request, policy->bundle, line, len, &error) == 0) {
        enum pv_effect effect;
        output = pv_cli_decision_json(&request, explain ? policy : NULL, &effect);
        good = output != NULL;
        if (!good)
            snprintf(error.text, sizeof(error.text), "out of memory");
        pv_cli_request_free(&request);
    }
    *output_failed = good ? !pv_cli_print_json(stdout, output) : !put_error(error.text, number);
    return good;
}

/* A line without its end, of at most PV_CLI_MAX_REQUEST bytes: of a longer one the rest is skipped and *too_long set.
 * False at the end of input, or where it cannot be read or there is no memory (errno). */
static bool read_line(FILE *in, char **line, size_t *capacity, size_t *len, bool *too_long)
{
    int c = EOF;
    *len = 0;
    *too_long = false;
    while ((c = getc_unlocked(in)) != EOF && c != '\n') {
        if (*len >= PV_CLI_MAX_REQUEST) {
            *too_long = true;
            continue;
        }
        if (*len + 2 > *capacity) {
            size_t wanted = *capacity ? *capacity * 2 : 4096;
            char *grown = realloc(*line, wanted);
            if (!grown)
                return false;
            *line = grown;
            *capacity = wanted;
        }
        (*line)[(*len)++] = (char)c;
        (*line)[*len] = 0;
    }
    return c != EOF || (*len > 0 && !ferror(in));
}

static int eval_lines(const struct pv_cli_policy *policy, const char *path, bool explain)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *in = standard_input ? stdin : fopen(path, "re");
    if (!in)
        return pv_cli_error("cannot open %s: %s", path, strerror(errno));
    struct stat status;
    bool live = fstat(fileno(in), &status) != 0 || !S_ISREG(status.st_mode); /* somebody may wait for each answer */
    char *line = NULL;
    size_t capacity = 0, len;
    int code = PV_CLI_GOOD;
    bool output_failed = false, too_long;
    json_int_t number = 0;
    while (!output_failed && read_line(in, &line, &capacity, &len, &too_long)) {
        number++;
        if (too_long) {
            output_failed = !put_error("the line is longer than 64 MiB", number);
            code = PV_CLI_ERROR;
        } else if (!eval_line(policy, len ? line : "", len, number, explain, &output_failed)) {
            code = PV_CLI_ERROR;
        }
        if (live)
            fflush(stdout);
    }
    if (!output_failed && !feof(in))
        code = pv_cli_error("cannot read %s: %s", standard_input ? "standard input" : path, strerror(errno));
    free(line);
    if (!standard_input)
        fclose(in);
    return pv_cli_finish(code);
}

int pv_cli_eval(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_policy_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "POLICY --request FILE\nPOLICY --requests FILE\nPOLICY -",
        "Decide on requests by POLICY, a .policy file or a bundle.\v"
        "One request: exit 0 is allow, 1 deny, 3 direct, 2 an error. With --requests, one decision a line in the "
        "order of the requests; a bad one prints {\"error\": ..., \"line\": N} in its place, and the exit is 2 at the "
        "end.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_policy policy;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_policy_open(&policy, arguments.policy, &arguments.policy_options, false) == 0) {
        code = arguments.request ? eval_one(&policy, arguments.request, arguments.explain)
                                 : eval_lines(&policy, arguments.requests, arguments.explain);
        pv_cli_policy_close(&policy);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
