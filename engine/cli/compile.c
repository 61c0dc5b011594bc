/* `proviso compile`: from a policy's text to a bundle, signed where a key is given. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/cli.h"

enum { OPTION_KEY = 0x200, OPTION_PASSPHRASE_FD, OPTION_JSON };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char *policy, *output, *key;
    int passphrase_fd;
    bool json;
};

static const struct argp_option option_rows[] = {
    {"output", 'o', "FILE", 0, "Write the bundle to FILE", 0},
    {"key", OPTION_KEY, "FILE", 0, "Sign with the secret key in FILE; the signature is written beside the bundle", 0},
    {"passphrase-fd", OPTION_PASSPHRASE_FD, "N", 0, "Read the key's passphrase from descriptor N", 0},
    {"json", OPTION_JSON, NULL, 0, "Tell what was written in JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case 'o': arguments->output = argument; return 0;
    case OPTION_KEY: arguments->key = argument; return 0;
    case OPTION_PASSPHRASE_FD:
        if (pv_cli_descriptor(argument, &arguments->passphrase_fd) < 0)
            argp_error(state, "`%s' is no descriptor", argument);
        return 0;
    case OPTION_JSON: arguments->json = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "`%s' is one argument too many", argument);
        arguments->policy = argument;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->policy || !arguments->output)
            argp_error(state, "give a policy and -o");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The trusted comment says what is signed and nothing of where or when, so that signatures are reproducible too. */
static int sign(const struct pv_cli_policy *policy, struct pv_minisign_seckey *key, const char *path, char *text,
                size_t *len)
{
    char *comment = NULL;
    if (asprintf(&comment, "proviso policy %s version %" PRIu64, pv_bundle_name(policy->bundle),
                 pv_bundle_version(policy->bundle)) < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    int rc = pv_minisign_sign(key, policy->made.bundle, policy->len, NULL, comment, text, len);
    free(comment);
    if (rc < 0)
        pv_cli_error("cannot sign %s: %s", path, pv_minisign_strerror(rc));
    return rc < 0 ? -1 : 0;
}

static int write_files(const struct pv_cli_policy *policy, const struct arguments *arguments,
                       struct pv_minisign_seckey *key)
{
    char signature[PV_MINISIGN_FILE_MAX], *beside = NULL;
    size_t len;
    int rc = -1;
    if (asprintf(&beside, "%s.minisig", arguments->output) < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    if (key && sign(policy, key, arguments->output, signature, &len) < 0)
        goto out;
    if (pv_cli_write(arguments->output, policy->made.bundle, policy->len) < 0)
        goto out;
    if (key)
        rc = pv_cli_write(beside, signature, len);
    else
        rc = 0;
    if (!key)
        fprintf(stderr, "proviso: %s is not signed: agents refuse it (give --key FILE)\n", arguments->output);
    if (!key && access(beside, F_OK) == 0)
        fprintf(stderr, "proviso: %s is of an earlier bundle\n", beside);
out:
    free(beside);
    return rc;
}

static bool tell(const struct pv_cli_policy *policy, const struct arguments *arguments, bool is_signed)
{
    const uint8_t *hash = pv_bundle_content_hash(policy->bundle);
    char hex[65];
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    if (!arguments->json) {
        printf("%s: %s version %" PRIu64 ", %zu bytes, at most %" PRIu64 " steps a decision, %s\n", arguments->output,
               pv_bundle_name(policy->bundle), pv_bundle_version(policy->bundle), policy->len,
               pv_bundle_bound(policy->bundle), is_signed ? "signed" : "not signed");
        return true;
    }
    json_t *output = pv_cli_object("compiled");
    json_object_set_new(output, "file", pv_cli_json_text(arguments->output, strlen(arguments->output)));
    json_object_set_new(output, "name", json_string(pv_bundle_name(policy->bundle)));
    json_object_set_new(output, "version", json_integer((json_int_t)pv_bundle_version(policy->bundle)));
    json_object_set_new(output, "size", json_integer((json_int_t)policy->len));
    json_object_set_new(output, "bound", json_integer((json_int_t)pv_bundle_bound(policy->bundle)));
    json_object_set_new(output, "content_sha256", json_string(hex));
    json_object_set_new(output, "signed", json_boolean(is_signed));
    return pv_cli_print_json(stdout, output);
}

static int compile(struct pv_cli_policy *policy, const struct arguments *arguments)
{
    struct pv_minisign_seckey *key = NULL;
    if (arguments->key && pv_cli_secret_key(arguments->key, arguments->passphrase_fd, &key) < 0)
        return PV_CLI_ERROR;
    int rc = write_files(policy, arguments, key);
    pv_minisign_seckey_free(key);
    return rc == 0 && tell(policy, arguments, arguments->key != NULL) ? PV_CLI_GOOD : PV_CLI_ERROR;
}

int pv_cli_compile(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_library_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "POLICY -o BUNDLE",
        "Compile a policy to a bundle. The same text gives the same bytes. Exit 0: written; "
        "1: the policy has errors and nothing was written; 2: usage, input or output.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {.policy_options = {.lint = true, .today = pv_cli_today()},
                                  .passphrase_fd = PV_CLI_NO_FD};
    struct pv_cli_policy policy;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_policy_compile(&policy, arguments.policy, &arguments.policy_options, PV_COMPILE_BUNDLE) == 0) {
        pv_cli_policy_complain(&policy, stderr, true);
        if (policy.bundle)
            code = compile(&policy, &arguments);
        else if (!pv_cli_policy_unreadable(&policy))
            code = PV_CLI_FINDING;
        pv_cli_policy_close(&policy);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return pv_cli_finish(code);
}
