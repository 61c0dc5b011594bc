/* `proviso key`: Ed25519 key pairs in minisign's formats. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/cli.h"

enum { OPTION_NO_PASSWORD = 0x200, OPTION_PASSPHRASE_FD, OPTION_JSON };

struct arguments {
    char *verb, *name;
    bool no_password;
    int passphrase_fd;
    bool json;
};

static const struct argp_option option_rows[] = {
    {"no-password", OPTION_NO_PASSWORD, NULL, 0, "new: do not encrypt the secret key", 0},
    {"passphrase-fd", OPTION_PASSPHRASE_FD, "N", 0, "Read the passphrase from descriptor N", 0},
    {"json", OPTION_JSON, NULL, 0, "Print JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_NO_PASSWORD: arguments->no_password = true; return 0;
    case OPTION_PASSPHRASE_FD:
        if (pv_cli_descriptor(argument, &arguments->passphrase_fd) < 0)
            argp_error(state, "`%s' is no descriptor", argument);
        return 0;
    case OPTION_JSON: arguments->json = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            arguments->verb = argument;
        else if (state->arg_num == 1)
            arguments->name = argument;
        else
            argp_error(state, "`%s' is one argument too many", argument);
        return 0;
    case ARGP_KEY_END:
        if (!arguments->verb || (strcmp(arguments->verb, "new") != 0 && strcmp(arguments->verb, "show") != 0))
            argp_error(state, "say `new' or `show'");
        if (!arguments->name)
            argp_error(state, "no file is given");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int tell(const struct pv_minisign_pubkey *key, const char *secret, const char *public_file, bool json)
{
    char id[17], text[PV_MINISIGN_PUBKEY_TEXT];
    pv_minisign_id_text(key->id, id);
    pv_minisign_pubkey_text(key, text);
    if (!json) {
        if (secret)
            printf("secret key: %s\npublic key: %s\n", secret, public_file);
        printf("key id: %s\nkey: %s\n", id, text);
        return PV_CLI_GOOD;
    }
    json_t *output = pv_cli_object("key");
    json_object_set_new(output, "id", json_string(id));
    json_object_set_new(output, "key", json_string(text));
    if (secret) {
        json_object_set_new(output, "secret_file", pv_cli_json_text(secret, strlen(secret)));
        json_object_set_new(output, "public_file", pv_cli_json_text(public_file, strlen(public_file)));
    }
    return pv_cli_print_json(stdout, output) ? PV_CLI_GOOD : PV_CLI_ERROR;
}

static int complain(const char *what, const char *path, int rc)
{
    return pv_cli_error("cannot %s %s: %s", what, path,
                        rc == PV_E_MINISIGN_SYSTEM ? strerror(errno) : pv_minisign_strerror(rc));
}

static int write_pair(const struct pv_minisign_seckey *key, const char *secret, const char *public_file,
                      const char *passphrase, size_t len)
{
    struct pv_minisign_pubkey public_key;
    pv_minisign_seckey_public(key, &public_key);
    int rc = pv_minisign_seckey_write(key, secret, passphrase, len);
    if (rc < 0)
        return complain("write", secret, rc);
    rc = pv_minisign_pubkey_write(&public_key, public_file);
    if (rc < 0) {
        complain("write", public_file, rc);
        unlink(secret); /* made just now: half a pair is none */
        return PV_CLI_ERROR;
    }
    return PV_CLI_GOOD;
}

static int new_key(const struct arguments *arguments)
{
    char *secret = NULL, *public_file = NULL, *passphrase = NULL;
    struct pv_minisign_seckey *key = NULL;
    struct pv_minisign_pubkey public_key;
    size_t len = 0;
    int code = PV_CLI_ERROR;
    if (asprintf(&secret, "%s.sec", arguments->name) < 0 || asprintf(&public_file, "%s.pub", arguments->name) < 0) {
        pv_cli_error("out of memory");
        return PV_CLI_ERROR;
    }
    if (access(secret, F_OK) == 0 || access(public_file, F_OK) == 0) {
        pv_cli_error("%s exists; keys are never overwritten", access(secret, F_OK) == 0 ? secret : public_file);
        goto out;
    }
    if (!arguments->no_password) {
        if (pv_cli_passphrase(arguments->passphrase_fd, true, "Passphrase for the new secret key", &passphrase, &len) <
            0)
            goto out;
        if (len == 0) {
            pv_cli_error("the passphrase is empty (--no-password leaves the key in clear)");
            goto out;
        }
    }
    int rc = pv_minisign_keygen(&key);
    if (rc < 0) {
        complain("make", secret, rc);
        goto out;
    }
    code = write_pair(key, secret, public_file, passphrase, len);
    if (code == PV_CLI_GOOD) {
        pv_minisign_seckey_public(key, &public_key);
        code = tell(&public_key, secret, public_file, arguments->json);
    }
out:
    pv_minisign_seckey_free(key);
    sodium_free(passphrase);
    free(secret);
    free(public_file);
    return code;
}

/* The public half of either file: a secret key's is asked for its passphrase. */
static int show_key(const struct arguments *arguments)
{
    struct pv_minisign_pubkey public_key;
    struct pv_minisign_seckey *key;
    int rc = pv_minisign_pubkey_read(arguments->name, &public_key);
    if (rc == PV_E_MINISIGN_SYSTEM)
        return complain("read", arguments->name, rc);
    if (rc < 0) {
        if (pv_cli_secret_key(arguments->name, arguments->passphrase_fd, &key) < 0)
            return PV_CLI_ERROR;
        pv_minisign_seckey_public(key, &public_key);
        pv_minisign_seckey_free(key);
    }
    return tell(&public_key, NULL, NULL, arguments->json);
}

int pv_cli_key(int argc, char **argv)
{
    static const struct argp argp = {option_rows,
                                     parse_option,
                                     "new NAME\nshow FILE",
                                     "Make a key pair for signing bundles, NAME.sec and NAME.pub, or show the public "
                                     "half of a key file. Files are minisign's.\v"
                                     "A passphrase comes from the terminal or from --passphrase-fd.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {.passphrase_fd = PV_CLI_NO_FD};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return PV_CLI_ERROR;
    int code = strcmp(arguments.verb, "new") == 0 ? new_key(&arguments) : show_key(&arguments);
    return pv_cli_finish(code);
}
