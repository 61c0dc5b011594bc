/* Reading a policy for a verb: from its text, through the whole pipeline in memory, or from a bundle, behind its
 * signature. Which of the two is told by the content: a bundle begins with its magic bytes, which no text does. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/cli/cli.h"

/* ---- Options ---- */

enum { OPTION_LIBRARY = 0x100, OPTION_PUBKEY };

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct pv_cli_policy_options *options = state->input;
    switch (key) {
    case OPTION_LIBRARY: {
        const char **grown = realloc(options->library, (options->n_library + 1) * sizeof(*grown));
        if (!grown)
            return ENOMEM;
        options->library = grown;
        options->library[options->n_library++] = argument;
        return 0;
    }
    case OPTION_PUBKEY: options->pubkey = argument; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

#define LIBRARY_ROW                                                                                                    \
    {                                                                                                                  \
        "library", OPTION_LIBRARY, "DIR", 0, "Look up imports in DIR (may be given more than once)", 0                 \
    }

static const struct argp_option library_rows[] = {LIBRARY_ROW, {0}};
static const struct argp_option policy_rows[] = {
    LIBRARY_ROW,
    {"pubkey", OPTION_PUBKEY, "FILE", 0, "Verify a bundle's signature with the public key in FILE", 0},
    {0},
};
const struct argp pv_cli_library_argp = {library_rows, parse_option, NULL, NULL, NULL, NULL, NULL};
const struct argp pv_cli_policy_argp = {policy_rows, parse_option, NULL, NULL, NULL, NULL, NULL};

void pv_cli_policy_options_free(struct pv_cli_policy_options *options)
{
    free(options->library);
    *options = (struct pv_cli_policy_options){0};
}

/* The directories of PROVISO_LIBRARY, separated by colons. Made once and kept, like the environment itself. */
static const char *const *environment_library(const char *value, size_t *n)
{
    static char *copy;
    static const char **directories;
    static size_t count;
    if (!copy) {
        copy = strdup(value);
        directories = calloc(strlen(value) + 1, sizeof(*directories));
        if (!copy || !directories) {
            *n = 0;
            return NULL;
        }
        char *rest = copy;
        for (char *name; (name = strsep(&rest, ":"));)
            if (*name)
                directories[count++] = name;
    }
    *n = count;
    return directories;
}

struct pv_load_options pv_cli_load_options(struct pv_cli_policy_options *options)
{
    static const char *installed[] = {PV_POLICY_DIR};
    static const char *in_tree[] = {PV_SOURCE_POLICY_DIR};
    struct pv_load_options load = {0};
    const char *environment = getenv("PROVISO_LIBRARY");
    if (options->n_library) {
        load.library = options->library;
        load.n_library = options->n_library;
    } else if (environment && *environment) {
        load.library = environment_library(environment, &load.n_library);
    } else {
        load.library = access(installed[0], F_OK) == 0 ? installed : in_tree;
        load.n_library = 1;
    }
    return load;
}

int64_t pv_cli_today(void)
{
    return (int64_t)time(NULL) / 86400;
}

/* ---- Text ---- */

int pv_cli_policy_compile(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options,
                          enum pv_compile_goal goal)
{
    struct pv_compile_options how = {.load = pv_cli_load_options(options),
                                     .goal = goal,
                                     .lint = options->lint,
                                     .today = options->today,
                                     .host = &pv_cli_host};
    struct pv_error error;
    *policy = (struct pv_cli_policy){0};
    int rc = pv_compile_file(path, &how, &policy->made);
    if (rc == 0 && policy->made.bundle) {
        policy->len = policy->made.bundle_len;
        rc = pv_bundle_load(&policy->bundle, policy->made.bundle, policy->len, &pv_cli_host, &error);
        if (rc < 0)
            pv_cli_error("%s: %s", path, error.text);
    } else if (rc < 0) {
        pv_cli_error("%s: %s", path, rc == PV_E_NOMEM ? "out of memory" : "internal error: it cannot be compiled");
        if (policy->made.program)
            pv_cli_policy_complain(policy, stderr, false);
    }
    if (rc < 0)
        pv_cli_policy_close(policy);
    return rc < 0 ? -1 : 0;
}

bool pv_cli_policy_unreadable(const struct pv_cli_policy *policy)
{
    return policy->made.program->sources.n_files == 0; /* text that is refused is registered all the same */
}

void pv_cli_policy_complain(struct pv_cli_policy *policy, FILE *out, bool warnings)
{
    struct pv_diags *diags = &policy->made.program->diags;
    pv_diags_finish(diags);
    if (warnings || pv_diags_errors(diags))
        pv_diags_print(diags, out, pv_cli_colour(out), 0);
}

static int open_text(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options)
{
    if (pv_cli_policy_compile(policy, path, options, PV_COMPILE_EVALUATE) < 0)
        return -1;
    if (!policy->bundle)
        pv_cli_policy_complain(policy, stderr, false);
    return policy->bundle ? 0 : -1;
}

/* ---- Bundles ---- */

struct signature {
    struct pv_minisign_pubkey key;
    char *text;
    size_t len;
    char *comment;
    int result;
};

static int verify_signature(void *context, const void *bundle, size_t len)
{
    struct signature *signature = context;
    signature->result =
        pv_minisign_verify(&signature->key, signature->text, signature->len, bundle, len, signature->comment);
    return signature->result;
}

static int read_signature(struct signature *signature, const char *path, const char *pubkey)
{
    int rc = pv_minisign_pubkey_read(pubkey, &signature->key);
    if (rc < 0) {
        pv_cli_error("cannot read the public key %s: %s", pubkey,
                     rc == PV_E_MINISIGN_SYSTEM ? strerror(errno) : pv_minisign_strerror(rc));
        return -1;
    }
    return pv_cli_read(path, PV_MINISIGN_FILE_MAX, &signature->text, &signature->len);
}

static int open_bundle(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options,
                       bool unverified)
{
    struct signature signature = {.comment = policy->comment};
    struct pv_host host = pv_cli_host;
    struct pv_error error;
    char *bytes = NULL, *beside = NULL;
    int rc = -1;
    if (asprintf(&beside, "%s.minisig", path) < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    policy->has_signature = access(beside, F_OK) == 0;
    if (!options->pubkey && !unverified) {
        pv_cli_error("%s is a bundle: give --pubkey FILE to verify its signature", path);
        goto out;
    }
    if (options->pubkey) {
        if (!policy->has_signature) {
            pv_cli_error("%s is not signed: there is no %s", path, beside);
            goto out;
        }
        if (read_signature(&signature, beside, options->pubkey) < 0)
            goto out;
        host.context = &signature;
        host.verify = verify_signature;
    }
    if (pv_cli_read(path, PVB_MAX_FILE, &bytes, &policy->len) < 0)
        goto out;
    policy->bytes = bytes;
    rc = pv_bundle_load(&policy->bundle, policy->bytes, policy->len, &host, &error);
    if (rc == PV_E_SIGNATURE)
        pv_cli_error("the signature of %s is refused: %s", path, pv_minisign_strerror(signature.result));
    else if (rc < 0)
        pv_cli_error("%s: %s", path, error.text);
    else
        policy->verified = options->pubkey != NULL;
out:
    free(beside);
    free(signature.text);
    return rc < 0 ? -1 : 0;
}

static bool is_bundle(const char *path)
{
    char magic[8];
    struct stat status;
    int fd = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool found = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && /* a pipe would lose what is read here */
                 read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) && memcmp(magic, PVB_MAGIC, 8) == 0;
    close(fd);
    return found;
}

int pv_cli_policy_open(struct pv_cli_policy *policy, const char *path, struct pv_cli_policy_options *options,
                       bool unverified)
{
    *policy = (struct pv_cli_policy){0};
    int rc = is_bundle(path) ? open_bundle(policy, path, options, unverified) : open_text(policy, path, options);
    if (rc < 0)
        pv_cli_policy_close(policy);
    return rc;
}

void pv_cli_policy_close(struct pv_cli_policy *policy)
{
    pv_bundle_free(policy->bundle);
    free(policy->bytes);
    pv_compile_free(&policy->made);
    *policy = (struct pv_cli_policy){0};
}
