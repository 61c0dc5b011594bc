/*
 * selfserve: verbs, options and the request that they describe. See selfserve.h.
 */
#include "agentd/client/selfserve.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What stands behind a verb decides how its arguments are read. */
enum kind {
    KIND_PACKAGES, /* names of packages */
    KIND_RUN,      /* a command of the policy's, its options and arguments */
    KIND_EXPLAIN,  /* a verb and what would follow it */
    KIND_RIGHTS,
    KIND_HISTORY,
    KIND_NEVER, /* never brokered, whatever the policy: sent as it is, so that it is on record */
};

struct verb {
    const char *name;
    enum kind kind;
    enum pv_verb verb;
    int least;                       /* words that have to follow */
    const char *words, *brief, *doc; /* brief NULL: not listed */
};

static const struct verb verbs[] = {
    {"install", KIND_PACKAGES, PV_VERB_BROKER, 1, "NAME...", "install packages", "Install packages."},
    {"upgrade", KIND_PACKAGES, PV_VERB_BROKER, 0, "[NAME...]", "upgrade packages, or everything that may be",
     "Upgrade these packages, or everything that may be upgraded."},
    {"uninstall", KIND_PACKAGES, PV_VERB_BROKER, 1, "NAME...", "remove packages", "Remove packages."},
    {"run", KIND_RUN, PV_VERB_BROKER, 1, "COMMAND [--OPTION[=VALUE]...] [ARGUMENT...]",
     "run a command that the policy declares",
     "Run a command that the policy declares. The options listed here stand before COMMAND, the command's own after "
     "it."},
    {"rights", KIND_RIGHTS, PV_VERB_RIGHTS, 0, "", "list what you may do, and by which rule",
     "List what you may do, and by which rule."},
    {"explain", KIND_EXPLAIN, PV_VERB_EXPLAIN, 1, "VERB [NAME...]", "tell how a request would be decided, and why",
     "Tell how a request would be decided, and why, without doing it: explain install vlc, explain run COMMAND. "
     "Exit status 0 if it would be allowed, 77 if not."},
    {"history", KIND_HISTORY, PV_VERB_HISTORY, 0, "", "list your requests and how they ended",
     "List your own requests and how they ended, newest first."},
    {"config", KIND_NEVER, PV_VERB_BROKER, 0, NULL, NULL, NULL},
    {"feature", KIND_NEVER, PV_VERB_BROKER, 0, NULL, NULL, NULL},
    {"source", KIND_NEVER, PV_VERB_BROKER, 0, NULL, NULL, NULL},
    {"apikey", KIND_NEVER, PV_VERB_BROKER, 0, NULL, NULL, NULL},
};

/* Verbs of later versions: named, so that people learn that it is not their typing. */
static const char *const later[] = {"info",     "list",     "search", "outdated", "pin",    "sync", "optimize",
                                    "download", "requests", "cancel", "approve",  "reject", "shim"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    OPT_SOCKET = 256,
    OPT_JSON,
    OPT_REASON,
    OPT_VERSION,
    OPT_SOURCE,
    OPT_TIMEOUT,
    OPT_DRY_RUN,
    OPT_YES,
    OPT_RUN_ACTUAL,
    OPT_LIMIT,
};

#define SOCKET_OPTION                                                                                                  \
    {                                                                                                                  \
        "socket", OPT_SOCKET, "PATH", 0, "The agent's socket (default " PV_CLIENT_SOCKET ")", 9                        \
    }
#define JSON_OPTION                                                                                                    \
    {                                                                                                                  \
        "json", OPT_JSON, 0, 0, "Print JSON lines; the last one holds the outcome", 8                                  \
    }

static const struct argp_option request_options[] = {
    {"reason", OPT_REASON, "TEXT", 0, "Why, for those who read the record, and where the policy asks for it", 1},
    {"version", OPT_VERSION, "V", 0, "Exactly this version", 1},
    {"source", OPT_SOURCE, "NAME", 0, "From this configured source", 1},
    {"timeout", OPT_TIMEOUT, "D", 0, "At most so long: 30s, 10m, 2h", 1},
    {"dry-run", OPT_DRY_RUN, 0, 0, "Decide and plan, change nothing", 2},
    {"yes", OPT_YES, 0, 0, "Agree beforehand to what a command may ask", 2},
    {"run-actual", OPT_RUN_ACTUAL, 0, 0, "Do not ask the agent: run the real command with your own rights", 2},
    {"verbose", 'v', 0, 0, "Show the package manager's own output", 8},
    JSON_OPTION,
    SOCKET_OPTION,
    {0},
};
static const struct argp_option question_options[] = {
    {"version", OPT_VERSION, "V", 0, "Ask about exactly this version", 1},
    {"source", OPT_SOURCE, "NAME", 0, "Ask about this source", 1},
    {"reason", OPT_REASON, "TEXT", 0, "Ask as if this reason were given", 1},
    {"timeout", OPT_TIMEOUT, "D", 0, "Ask as if this timeout were given", 1},
    JSON_OPTION,
    SOCKET_OPTION,
    {0},
};
static const struct argp_option history_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "At most N of them", 1},
    JSON_OPTION,
    SOCKET_OPTION,
    {0},
};
static const struct argp_option common_options[] = {JSON_OPTION, SOCKET_OPTION, {0}};
static const struct argp_option top_options[] = {
    {"version", OPT_VERSION, 0, 0, "Print this program's version", -1}, JSON_OPTION, SOCKET_OPTION, {0}};

/* "90", "30s", "10m", "2h", "7d": seconds, or -1. */
static int64_t duration(const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || number <= 0 || text[0] < '0' || text[0] > '9')
        return -1;
    if (*end == '\0')
        return number;
    for (size_t i = 0; i < COUNT(units); i++)
        if (end[0] == units[i].unit && end[1] == '\0' && number <= INT64_MAX / units[i].seconds)
            return number * units[i].seconds;
    return -1;
}

struct parse {
    struct pv_selfserve *self;
    const struct verb *verb; /* NULL before the verb */
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct pv_selfserve *self = parse->self;
    switch (key) {
    case OPT_SOCKET: self->socket = arg; break;
    case OPT_JSON: self->json = true; break;
    case OPT_REASON: self->reason = arg; break;
    case OPT_SOURCE: self->source = arg; break;
    case OPT_DRY_RUN: self->dry_run = true; break;
    case OPT_YES: self->yes = true; break;
    case OPT_RUN_ACTUAL: self->run_actual = true; break;
    case 'v': self->verbose = true; break;
    case OPT_VERSION:
        if (!parse->verb) {
            printf("selfserve %s\n", PV_VERSION);
            exit(0);
        }
        self->version = arg;
        break;
    case OPT_TIMEOUT:
        self->timeout = duration(arg);
        if (self->timeout < 0)
            argp_error(state, "--timeout takes a duration such as 30s, 10m or 2h, not '%s'", arg);
        break;
    case OPT_LIMIT: {
        char *end;
        unsigned long n = strtoul(arg, &end, 10);
        if (*arg < '1' || *arg > '9' || *end || n > 100000)
            argp_error(state, "--limit takes a number from 1 to 100000, not '%s'", arg);
        self->limit = (uint32_t)n;
        break;
    }
    case ARGP_KEY_ARG:
        /* A verb, and a command that is to run, end this program's own options: what follows comes as KEY_ARGS. */
        if (!parse->verb || parse->verb->kind == KIND_RUN ||
            (parse->verb->kind == KIND_EXPLAIN && self->n_words == 0 && strcmp(arg, "run") == 0))
            return ARGP_ERR_UNKNOWN;
        self->words[self->n_words++] = arg;
        break;
    case ARGP_KEY_ARGS:
        self->words = state->argv + state->next;
        self->n_words = (uint32_t)(state->argc - state->next);
        state->next = state->argc;
        break;
    case ARGP_KEY_END:
        if (!parse->verb && self->n_words == 0)
            argp_error(state, "what is to be done?");
        if (parse->verb && self->n_words < (uint32_t)parse->verb->least)
            argp_error(state, "%s is missing",
                       parse->verb->kind == KIND_PACKAGES ? "the name of a package"
                       : parse->verb->kind == KIND_RUN    ? "the command"
                                                          : "what to explain");
        if (parse->verb && parse->verb->least == 0 && !*parse->verb->words && self->n_words > 0)
            argp_error(state, "takes no argument '%s'", self->words[0]);
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static char *top_help(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    char *out = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&out, &len);
    if (!stream)
        return NULL;
    fputs("Verbs:\n", stream);
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (verbs[i].brief)
            fprintf(stream, "  %-10s %s\n", verbs[i].name, verbs[i].brief);
    fputs("\n'selfserve VERB --help' tells more. Exit status: the command's own when it ran; 64 usage, 69 the agent "
          "cannot be reached, 70 failed before it ran, 75 waits, 77 denied, 78 policy or configuration.",
          stream);
    fclose(stream);
    return out;
}

/* Takes the options of a `run` command out of the words; "--" ends them. */
static int take_options(struct pv_selfserve *self)
{
    uint32_t kept = 0;
    bool options = true;
    for (uint32_t i = 0; i < self->n_words; i++) {
        char *word = self->words[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (!options || strncmp(word, "--", 2) != 0) {
            self->words[kept++] = word;
            continue;
        }
        if (self->n_options == COUNT(self->options))
            return pv_end_with(self, PV_EXIT_USAGE, "usage", "too many options");
        char *equals = strchr(word, '=');
        if (equals)
            *equals = '\0';
        self->options[self->n_options++] =
            (struct pv_wire_option){.name = word + 2, .has_value = equals != NULL, .value = equals ? equals + 1 : ""};
    }
    self->n_words = kept;
    return 0;
}

/* The first word names the command; what follows are its arguments. */
static void take_command(struct pv_selfserve *self)
{
    self->command = self->words[0];
    self->words++;
    self->n_words--;
}

/* `explain` asks about a verb as one would type it. */
static int take_explained(struct pv_selfserve *self)
{
    bool run = strcmp(self->words[0], "run") == 0;
    if (run) {
        self->words++;
        self->n_words--;
        if (self->n_words == 0)
            return pv_end_with(self, PV_EXIT_USAGE, "usage", "explain run: the command is missing");
    }
    take_command(self);
    self->run = run;
    return run ? take_options(self) : 0;
}

/* --run-actual: what the agent would run, without the agent. */
static int run_actual(const struct pv_selfserve *self, const struct verb *verb)
{
    if (verb->kind != KIND_PACKAGES)
        return pv_end_with(self, PV_EXIT_USAGE, "usage",
                           "--run-actual is for packages: how another command is run stands in the agent's policy");
    if (self->source || (self->version && self->n_words != 1))
        return pv_end_with(self, PV_EXIT_USAGE, "usage",
                           "with --run-actual, --source cannot be given, and --version only with one package");
    char **argv = calloc(self->n_words + 8, sizeof(*argv));
    char *exact = NULL;
    if (!argv)
        return pv_end_with(self, PV_EXIT_FAILED, "failed", "no memory");
    size_t n = 0;
#define ADD(text) argv[n++] = (char *)(uintptr_t)(text)
    ADD("/usr/bin/apt-get");
    if (self->yes)
        ADD("--yes");
    if (self->dry_run)
        ADD("--simulate");
    if (strcmp(verb->name, "uninstall") == 0) {
        ADD("remove");
    } else if (strcmp(verb->name, "upgrade") == 0 && self->n_words > 0) {
        ADD("install");
        ADD("--only-upgrade");
    } else {
        ADD(verb->name);
    }
    ADD("--");
    for (uint32_t i = 0; i < self->n_words; i++)
        ADD(self->words[i]);
#undef ADD
    if (self->version && asprintf(&exact, "%s=%s", self->words[0], self->version) > 0)
        argv[n - 1] = exact;
    int status = pv_run_directly(self, argv);
    free(exact);
    free(argv);
    return status;
}

static int usage(const struct pv_selfserve *self, const char *word)
{
    char text[512];
    for (size_t i = 0; i < COUNT(later); i++)
        if (strcmp(word, later[i]) == 0) {
            snprintf(text, sizeof(text), "'%s' is not part of version %s", word, PV_VERSION);
            return pv_end_with(self, PV_EXIT_USAGE, "usage", text);
        }
    snprintf(text, sizeof(text), "there is no verb '%.200s'; 'selfserve --help' lists them", word);
    return pv_end_with(self, PV_EXIT_USAGE, "usage", text);
}

int main(int argc, char **argv)
{
    if (argc < 1)
        return PV_EXIT_USAGE;
    setlocale(LC_ALL, "");
    struct pv_selfserve self = {.command = ""};
    struct parse parse = {.self = &self};
    static const char doc[] = "Install and run what your administrators let you, without being one.\v";
    const struct argp top = {.options = top_options,
                             .parser = parse_option,
                             .args_doc = "VERB [ARGUMENT...]",
                             .doc = doc,
                             .help_filter = top_help};
    char name[64] = "selfserve";
    argv[0] = name;
    argp_parse(&top, argc, argv, ARGP_IN_ORDER, NULL, &parse);

    char **words = self.words;
    int n_words = (int)self.n_words;
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (strcmp(verbs[i].name, words[0]) == 0)
            parse.verb = &verbs[i];
    const struct verb *verb = parse.verb;
    if (!verb)
        return usage(&self, words[0]);
    self.verb = verb->verb;

    if (verb->kind == KIND_NEVER) {
        self.command = verb->name;
        self.words = words + 1;
        self.n_words = (uint32_t)n_words - 1;
        return pv_follow(&self);
    }
    snprintf(name, sizeof(name), "selfserve %s", verb->name);
    words[0] = name;
    /* Arguments are collected in place: there are never more of them than words already read. */
    self.words = calloc((size_t)n_words + 1, sizeof(*self.words));
    if (!self.words)
        return pv_end_with(&self, PV_EXIT_FAILED, "failed", "no memory");
    char **collected = self.words;
    self.n_words = 0;
    const struct argp own = {
        .options = verb->kind == KIND_EXPLAIN   ? question_options
                   : verb->kind == KIND_RIGHTS  ? common_options
                   : verb->kind == KIND_HISTORY ? history_options
                                                : request_options,
        .parser = parse_option,
        .args_doc = verb->words,
        .doc = verb->doc,
    };
    argp_parse(&own, n_words, words, verb->kind == KIND_RUN || verb->kind == KIND_EXPLAIN ? ARGP_IN_ORDER : 0, NULL,
               &parse);

    int status = 0;
    switch (verb->kind) {
    case KIND_PACKAGES:
        self.command = verb->name;
        self.packages = true;
        break;
    case KIND_RUN:
        self.run = true;
        take_command(&self);
        status = take_options(&self);
        break;
    case KIND_EXPLAIN: status = take_explained(&self); break;
    case KIND_RIGHTS:
    case KIND_HISTORY:
    case KIND_NEVER: break;
    }
    if (status == 0 && self.run_actual)
        status = run_actual(&self, verb);
    else if (status == 0)
        status = pv_follow(&self);
    free(collected);
    return status;
}
