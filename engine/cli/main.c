/* The program `proviso`: what authors, CI and operators use. The verb table is the program. */
#include <errno.h>
#include <locale.h>
#include <sodium.h>
#include <string.h>

#include "engine/cli/cli.h"

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is "proviso VERB" */
    const char *summary;
} verbs[] = {
    {"check", pv_cli_check, "read and check policies"},
    {"fmt", pv_cli_fmt, "bring policies into their one form"},
    {"test", pv_cli_test, "run the tests in policies"},
    {"compile", pv_cli_compile, "compile a policy to a signed bundle"},
    {"inspect", pv_cli_inspect, "show what a bundle holds"},
    {"eval", pv_cli_eval, "decide on requests"},
    {"explain", pv_cli_explain, "tell why a request is decided as it is"},
    {"key", pv_cli_key, "make and show signing keys"},
    {"audit", pv_cli_audit, "show, verify and export the agent's ledger"},
};

static void help(FILE *out)
{
    fputs("Usage: proviso VERB [OPTION...] ...\n\n", out);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\n`proviso VERB --help' tells more. Exit: 0 good, 1 a finding, 2 usage, input or output.\n", out);
}

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, name, strlen(name));
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        pv_nearest_offer(&nearest, verbs[i].name, strlen(verbs[i].name));
    if (nearest.best)
        return pv_cli_error("there is no verb `%s'; did you mean `%s'?", name, nearest.best);
    return pv_cli_error("there is no verb `%s'; see `proviso --help'", name);
}

int main(int argc, char **argv)
{
    argp_err_exit_status = PV_CLI_ERROR;
    argp_program_version = "proviso " PV_VERSION;
    setlocale(LC_CTYPE, "C.UTF-8"); /* text is UTF-8 wherever this runs */
    if (sodium_init() < 0)
        return pv_cli_error("libsodium cannot start");
    if (argc < 2) {
        help(stderr);
        return PV_CLI_ERROR;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        help(stdout);
        return pv_cli_finish(PV_CLI_GOOD);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts(argp_program_version);
        return pv_cli_finish(PV_CLI_GOOD);
    }
    const struct verb *verb = find(name);
    if (!verb)
        return unknown_verb(name);
    char title[32];
    snprintf(title, sizeof(title), "proviso %s", verb->name);
    argv[1] = title;
    program_invocation_name = title;
    return verb->run(argc - 1, argv + 1);
}
