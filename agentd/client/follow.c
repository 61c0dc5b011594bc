/*
 * One conversation with the agent: connect, submit, and follow what it says until the request is over. See selfserve.h.
 *
 * In JSON every message is printed as it came, one a line, and after them {"schema": "proviso/outcome/1"}, which is
 * there however things end. For people, the verdict is shown when its operations are complete, progress in one place,
 * and the package manager's own output only where it helps: when something failed, or was asked for (--verbose).
 */
#include "agentd/client/selfserve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentd/client/text.h"
#include "agentd/message.h"

enum { KEPT = 65536 /* bytes of a package manager's output that are kept for the case that it fails */ };

struct follow {
    const struct pv_selfserve *self;
    struct pv_client *client;
    struct pv_paper paper;
    struct pv_progress progress;
    json_t *verdict, *operations; /* the last verdict, and what of it has come */
    size_t n_expected;
    bool shown;   /* the last verdict was shown */
    json_t *rows; /* rules or history */
    char *kept;
    size_t n_kept;
    bool kept_cut;
    bool started;
    char **argv; /* of a command that is not brokered */
    bool ended;
    int status;
    const char *outcome;
    char text[4096];
    char id[64];
};

static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupts++;
}

static void print_json(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    if (line)
        puts(line);
    fflush(stdout);
    free(line);
}

static void print_outcome(int status, const char *outcome, const char *id, const char *text)
{
    json_t *line = json_pack("{s:s, s:s, s:i}", "schema", "proviso/outcome/1", "outcome", outcome, "exit", status);
    if (line && id && *id)
        json_object_set_new(line, "id", json_string(id));
    if (line && text && *text)
        json_object_set_new(line, "text", json_string(text));
    if (line)
        print_json(line);
    json_decref(line);
}

int pv_end_with(const struct pv_selfserve *self, int status, const char *outcome, const char *text)
{
    if (self->json) {
        print_outcome(status, outcome, NULL, text);
    } else {
        fputs("selfserve: ", stderr);
        pv_text_print(stderr, text);
        fputc('\n', stderr);
    }
    return status;
}

static void end(struct follow *f, int status, const char *outcome, const char *text)
{
    f->ended = true;
    f->status = status;
    f->outcome = outcome;
    snprintf(f->text, sizeof(f->text), "%s", text ? text : "");
    /* A package manager's explanation has its newlines escaped on its way through the agent. */
    for (char *at = f->text; (at = strstr(at, "\\x0a"));) {
        *at = '\n';
        memmove(at + 1, at + 4, strlen(at + 4) + 1);
    }
    for (size_t len = strlen(f->text); len > 0 && f->text[len - 1] == '\n'; len--)
        f->text[len - 1] = '\0';
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = pv_message_string(object, key);
    return text ? text : "";
}

/* ---- Verdicts ---- */

static void show_verdict(struct follow *f)
{
    if (f->shown || !f->verdict || json_array_size(f->operations) < f->n_expected)
        return;
    f->shown = true;
    /* Before planning an allow says nothing yet: the verdict on the plan follows. */
    const char *effect = text_of(json_object_get(f->verdict, "decision"), "decision");
    if (!pv_message_bool(f->verdict, "final") && strcmp(effect, "allow") == 0 && f->self->verb == PV_VERB_BROKER)
        return;
    pv_progress_clear(&f->progress);
    pv_show_verdict(&f->paper, f->self, f->verdict, f->operations);
    fflush(f->paper.stream);
}

static void on_verdict(struct follow *f, json_t *message)
{
    json_decref(f->verdict);
    f->verdict = json_incref(message);
    json_array_clear(f->operations);
    f->n_expected = (size_t)json_integer_value(json_object_get(message, "operations"));
    f->shown = false;
    show_verdict(f);
}

static void on_operation(struct follow *f, json_t *message)
{
    json_array_append(f->operations, message);
    show_verdict(f);
}

static void on_row(struct follow *f, json_t *message)
{
    if (f->self->limit == 0 || json_array_size(f->rows) < f->self->limit)
        json_array_append(f->rows, message);
}

/* ---- Progress and output ---- */

static void on_progress(struct follow *f, json_t *message)
{
    static const struct {
        const char *phase, *text;
        bool always; /* told without a terminal too */
    } phases[] = {
        {"resolving", "finding out who you are", false},
        {"lock", "waiting for another transaction to end", true},
        {"refreshing", "reading package lists", false},
        {"planning", "working out what would change", false},
        {"deciding", "deciding", false},
        {"recording", "recording the decision", false},
        {"fetching", "fetching packages", false},
        {"running", "running", false},
        {"reconciling", "checking what changed", false},
    };
    const json_t *percent = json_object_get(message, "percent");
    const char *text = text_of(message, "text");
    bool always = *text;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
        if (strcmp(text_of(message, "phase"), phases[i].phase) == 0) {
            always = always || phases[i].always;
            if (!*text)
                text = phases[i].text;
        }
    /* Between a command's own lines of output a bar would only be in the way. */
    if (f->started && !f->self->packages)
        return;
    if (f->progress.terminal || always)
        pv_progress_show(&f->progress, json_is_integer(percent) ? (int)json_integer_value(percent) : -1, text);
}

/* What goes to a terminal is made safe first; files and pipes get the bytes as they are. */
static void write_output(const char *bytes, size_t len)
{
    if (isatty(STDOUT_FILENO)) {
        char *safe = pv_text_safe(bytes, len, true);
        if (safe)
            fputs(safe, stdout);
        free(safe);
    } else {
        fwrite(bytes, 1, len, stdout);
    }
    fflush(stdout);
}

static void keep(struct follow *f, const char *bytes, size_t len)
{
    if (!f->kept && !(f->kept = malloc(KEPT)))
        return;
    if (len > KEPT) {
        bytes += len - KEPT;
        len = KEPT;
        f->kept_cut = true;
    }
    if (f->n_kept + len > KEPT) {
        size_t gone = f->n_kept + len - KEPT;
        memmove(f->kept, f->kept + gone, f->n_kept - gone);
        f->n_kept -= gone;
        f->kept_cut = true;
    }
    memcpy(f->kept + f->n_kept, bytes, len);
    f->n_kept += len;
}

static void on_output(struct follow *f, json_t *message)
{
    uint8_t decoded[65536];
    const json_t *text = json_object_get(message, "text");
    const char *bytes = json_string_value(text), *base64 = pv_message_string(message, "base64");
    size_t len = json_string_length(text);
    if (base64 && pv_base64_decode(decoded, sizeof(decoded), &len, base64))
        bytes = (const char *)decoded;
    if (!bytes)
        return;
    if (f->self->packages && !f->self->verbose) {
        keep(f, bytes, len);
        return;
    }
    pv_progress_clear(&f->progress);
    write_output(bytes, len);
}

/* ---- Ends ---- */

static void on_accepted(struct follow *f, json_t *message)
{
    snprintf(f->id, sizeof(f->id), "%s", text_of(message, "id"));
}

static void on_started(struct follow *f, json_t *message)
{
    (void)message;
    f->started = true;
}

static void free_argv(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

/* The whole vector or none: a command without its last words would be another command. */
static void on_direct(struct follow *f, json_t *message)
{
    const json_t *list = json_object_get(message, "argv");
    size_t n = json_array_size(list);
    const char *program = json_string_value(json_array_get(list, 0));
    char **argv = calloc(n + 1, sizeof(*argv));
    bool good = argv && program && program[0] == '/';
    for (size_t i = 0; good && i < n; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        argv[i] = word ? strdup(word) : NULL;
        good = argv[i] != NULL;
    }
    free_argv(f->argv);
    f->argv = good ? argv : NULL;
    if (!good)
        free_argv(argv);
}

static int done_status(const json_t *message)
{
    const json_t *status = json_object_get(message, "status"), *signal = json_object_get(message, "signal");
    if (json_is_integer(signal))
        return 128 + (int)json_integer_value(signal);
    return json_is_integer(status) ? (int)json_integer_value(status) : PV_EXIT_FAILED;
}

static void on_result(struct follow *f, json_t *message)
{
    static const struct {
        const char *outcome;
        int status; /* -1: the command's own */
    } ends[] = {
        {"done", -1},
        {"nothing", 0},
        {"dry-run", 0},
        {"direct", 0},
        {"denied", PV_EXIT_DENIED},
        {"parked", PV_EXIT_PARKED},
        {"timeout", PV_EXIT_TIMEOUT},
        {"cancelled", PV_EXIT_CANCELLED},
        {"failed", PV_EXIT_FAILED},
        {"interrupted", PV_EXIT_FAILED},
    };
    const char *outcome = text_of(message, "outcome");
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strcmp(ends[i].outcome, outcome) == 0) {
            end(f, ends[i].status < 0 ? done_status(message) : ends[i].status, ends[i].outcome,
                text_of(message, "text"));
            return;
        }
    end(f, PV_EXIT_FAILED, "failed", "the agent named an outcome that this client does not know");
}

static void on_error(struct follow *f, json_t *message)
{
    static const struct {
        const char *code;
        int status;
        const char *outcome;
    } errors[] = {
        {"passcode", PV_EXIT_CONFIG, "configuration"}, {"identity", PV_EXIT_DENIED, "denied"},
        {"limit", PV_EXIT_UNREACHABLE, "unreachable"}, {"off", PV_EXIT_CONFIG, "configuration"},
        {"policy", PV_EXIT_CONFIG, "configuration"},   {"ledger", PV_EXIT_UNREACHABLE, "unreachable"},
        {"request", PV_EXIT_USAGE, "usage"},           {"idle", PV_EXIT_UNREACHABLE, "unreachable"},
    };
    const char *code = text_of(message, "code");
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].code, code) == 0) {
            end(f, errors[i].status, errors[i].outcome, text_of(message, "text"));
            return;
        }
    end(f, PV_EXIT_FAILED, "failed", text_of(message, "text"));
}

static void on_end(struct follow *f, json_t *message)
{
    (void)message;
    const json_t *decision = json_object_get(f->verdict, "decision");
    bool denied = f->self->verb == PV_VERB_EXPLAIN && strcmp(text_of(decision, "decision"), "deny") == 0;
    end(f, denied ? PV_EXIT_DENIED : 0, "answered", "");
}

static void ignore(struct follow *f, json_t *message)
{
    (void)f;
    (void)message;
}

static const struct {
    const char *schema;
    void (*handle)(struct follow *, json_t *);
    bool silent; /* nothing to see for people: handled in JSON too */
} handlers[] = {
    {"proviso/accepted/1", on_accepted, true},
    {"proviso/verdict/1", on_verdict, false},
    {"proviso/operation/1", on_operation, false},
    {"proviso/progress/1", on_progress, false},
    {"proviso/started/1", on_started, true},
    {"proviso/output/1", on_output, false},
    {"proviso/direct/1", on_direct, true},
    {"proviso/rule/1", on_row, false},
    {"proviso/history/1", on_row, false},
    {"proviso/result/1", on_result, true},
    {"proviso/end/1", on_end, true},
    {"proviso/error/1", on_error, true},
    {"proviso/hello/1", ignore, true},
};

static void handle(struct follow *f, json_t *message)
{
    const char *schema = pv_message_schema(message);
    if (f->self->json) {
        /* `explain` ends by its verdict, in JSON too. */
        if (strcmp(schema, "proviso/verdict/1") == 0) {
            json_decref(f->verdict);
            f->verdict = json_incref(message);
        }
        /* History is cut to what was asked for. */
        if (strcmp(schema, "proviso/history/1") == 0) {
            size_t before = json_array_size(f->rows);
            on_row(f, message);
            if (json_array_size(f->rows) == before)
                return;
        }
        print_json(message);
    }
    /* Messages of later versions of the protocol, which may only add, are passed over. */
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (strcmp(handlers[i].schema, schema) == 0 && (handlers[i].silent || !f->self->json))
            handlers[i].handle(f, message);
}

/* ---- The conversation ---- */

/* The first interrupt cancels what has not started; the second leaves. What runs already goes on without this client.
 */
static void on_interrupts(struct follow *f, sig_atomic_t *seen)
{
    sig_atomic_t now = interrupts;
    if (now == *seen)
        return;
    if (*seen == 0 && !f->started) {
        pv_client_cancel(f->client);
    } else {
        end(f, PV_EXIT_CANCELLED, "cancelled",
            f->started ? "the command goes on without you; see 'selfserve history'" : "");
    }
    *seen = now;
}

static void converse(struct follow *f)
{
    char why[1024];
    sig_atomic_t seen = 0;
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    while (!f->ended) {
        struct pollfd fd = {.fd = pv_client_fd(f->client), .events = POLLIN};
        int ready = ppoll(&fd, 1, NULL, &before);
        on_interrupts(f, &seen);
        if (ready < 0 && errno != EINTR) {
            end(f, PV_EXIT_FAILED, "failed", strerror(errno));
        } else if (ready > 0 && !f->ended) {
            json_t *message;
            int result = pv_client_receive(f->client, &message, why, sizeof(why));
            if (result) {
                end(f, result == PV_E_CLIENT_UNREACHABLE ? PV_EXIT_UNREACHABLE : PV_EXIT_FAILED,
                    result == PV_E_CLIENT_UNREACHABLE ? "unreachable" : "failed", why);
            } else {
                handle(f, message);
                json_decref(message);
            }
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void describe(const struct pv_selfserve *self, struct pv_wire_request *request, const char *cwd)
{
    *request = (struct pv_wire_request){
        .verb = self->verb,
        .timeout = self->timeout,
        .cwd = cwd,
        .flags = (uint8_t)((self->dry_run ? PV_REQUEST_DRY_RUN : 0) | (self->yes ? PV_REQUEST_YES : 0)),
        .command = self->command,
        .version = self->version,
        .source = self->source,
        .reason = self->reason,
    };
    for (uint32_t i = 0; i < self->n_words && i < PV_REQUEST_ARGS_MAX; i++)
        request->args[i] = self->words[i];
    /* More than fit make the encoding refuse it: none is left out silently. */
    request->n_args = self->n_words;
    memcpy(request->options, self->options, sizeof(request->options));
    request->n_options = self->n_options;
}

static int failed_to_send(const struct pv_selfserve *self, int result, const char *why)
{
    switch (result) {
    case PV_E_CLIENT_TOO_LONG: return pv_end_with(self, PV_EXIT_USAGE, "usage", why);
    case PV_E_CLIENT_PASSCODE:
    case PV_E_CLIENT_UNTRUSTED: return pv_end_with(self, PV_EXIT_CONFIG, "configuration", why);
    case PV_E_CLIENT_NOMEM: return pv_end_with(self, PV_EXIT_FAILED, "failed", why);
    default: return pv_end_with(self, PV_EXIT_UNREACHABLE, "unreachable", why);
    }
}

/* Whether the verdict, which was shown, has said already what the result says. */
static bool was_said(const struct follow *f)
{
    if (!*f->text || strcmp(f->text, text_of(f->verdict, "text")) == 0)
        return true;
    const json_t *reasons = json_object_get(json_object_get(f->verdict, "decision"), "because");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const json_t *text = json_array_get(reasons, i);
        if (strcmp(f->text, json_string_value(text)) == 0)
            return true;
    }
    return false;
}

/* The last lines for people. */
static void show_end(struct follow *f)
{
    const struct pv_selfserve *self = f->self;
    pv_progress_clear(&f->progress);
    if (f->n_kept && f->status != 0 && strcmp(f->outcome, "denied") != 0) {
        if (f->kept_cut)
            fputs("(the beginning of the output is left out)\n", stdout);
        write_output(f->kept, f->n_kept);
    }
    if (strcmp(f->outcome, "answered") == 0) {
        if (self->verb == PV_VERB_RIGHTS)
            pv_show_rights(&f->paper, pv_client_hello(f->client), f->rows);
        else if (self->verb == PV_VERB_HISTORY)
            pv_show_history(&f->paper, f->rows);
        else
            pv_show_nearest(&f->paper, f->verdict, f->rows);
        return;
    }
    if (strcmp(f->outcome, "done") == 0 && !self->packages)
        return; /* its output has spoken */
    if (strcmp(f->outcome, "denied") == 0 && f->shown && was_said(f))
        return;
    if (strcmp(f->outcome, "direct") == 0)
        return;
    static const struct {
        const char *outcome, *word;
    } words[] = {{"nothing", "nothing to do"},
                 {"dry-run", "dry run: nothing was changed"},
                 {"usage", "selfserve"},
                 {"unreachable", "selfserve"},
                 {"configuration", "selfserve"},
                 {"denied", "denied"},
                 {"timeout", "ended by its timeout"},
                 {"cancelled", "cancelled"},
                 {"interrupted", "interrupted"}};
    const char *word = f->status == 0 ? "done" : "failed";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].outcome, f->outcome) == 0)
            word = words[i].word;
    pv_ink(&f->paper, f->status == 0 ? PV_INK_GOOD : PV_INK_BAD, word);
    if (strcmp(f->outcome, "done") == 0 && f->status)
        fprintf(f->paper.stream, " (status %d)", f->status);
    if (strchr(f->text, '\n')) {
        fputc('\n', f->paper.stream);
        pv_show_text(&f->paper, f->text);
    } else {
        if (*f->text && strcmp(f->outcome, "nothing") != 0) {
            fputs(": ", f->paper.stream);
            pv_text_print(f->paper.stream, f->text);
        }
        fputc('\n', f->paper.stream);
    }
    fflush(f->paper.stream);
}

/* A command that is not brokered for this user runs in place of this program. */
static int go_directly(struct follow *f)
{
    if (!f->argv || !f->argv[0])
        return pv_end_with(f->self, PV_EXIT_FAILED, "failed", "the agent sent no command to run directly");
    pv_client_close(f->client);
    f->client = NULL;
    return pv_run_directly(f->self, f->argv);
}

int pv_run_directly(const struct pv_selfserve *self, char **argv)
{
    if (self->json) {
        print_outcome(0, "direct", NULL, NULL);
    } else {
        fputs(self->dry_run && !self->run_actual ? "would run with your own rights:" : "running with your own rights:",
              stderr);
        for (size_t i = 0; argv[i]; i++) {
            fputc(' ', stderr);
            pv_text_print(stderr, argv[i]);
        }
        fputc('\n', stderr);
    }
    if (self->dry_run && !self->run_actual)
        return 0;
    fflush(NULL);
    execv(argv[0], argv);
    char text[512];
    int error = errno;
    snprintf(text, sizeof(text), "%.300s cannot be started: %s", argv[0], strerror(error));
    return pv_end_with(self, error == ENOENT ? 127 : 126, "failed", text);
}

int pv_follow(const struct pv_selfserve *self)
{
    struct follow f = {
        .self = self, .outcome = "failed", .status = PV_EXIT_FAILED, .operations = json_array(), .rows = json_array()};
    char why[1024], cwd[PV_REQUEST_TEXT_MAX + 1];
    struct pv_wire_request request;
    struct sigaction action = {.sa_handler = on_interrupt};
    int status;

    bool to_stdout = self->dry_run || self->verb != PV_VERB_BROKER;
    pv_paper_open(&f.paper, to_stdout ? stdout : stderr);
    pv_progress_open(&f.progress, stderr);
    if (self->n_words > PV_REQUEST_ARGS_MAX) {
        status = pv_end_with(self, PV_EXIT_USAGE, "usage", "more than 64 arguments");
        goto out;
    }
    int result = pv_client_open(&f.client, self->socket, why, sizeof(why));
    if (result == 0) {
        describe(self, &request, getcwd(cwd, sizeof(cwd)) && cwd[0] == '/' ? cwd : "");
        sigaction(SIGINT, &action, NULL);
        result = pv_client_submit(f.client, &request, why, sizeof(why));
    }
    if (result) {
        status = failed_to_send(self, result, why);
        goto out;
    }
    converse(&f);
    signal(SIGINT, SIG_DFL);
    if (strcmp(f.outcome, "direct") == 0) {
        status = go_directly(&f);
    } else {
        if (self->json)
            print_outcome(f.status, f.outcome, f.id, f.text);
        else
            show_end(&f);
        status = f.status;
    }
out:
    free_argv(f.argv);
    free(f.kept);
    json_decref(f.verdict);
    json_decref(f.operations);
    json_decref(f.rows);
    pv_client_close(f.client);
    return status;
}
