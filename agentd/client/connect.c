/*
 * Connecting, submitting and receiving; see connect.h.
 *
 * Invariants: nothing is sent before the peer is known to be root; the JSON that is sent and the bytes that the
 * passcode is computed over come from one struct pv_wire_request.
 */
#include "agentd/client/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/client/text.h"
#include "agentd/message.h"
#include "agentd/messages.h"

struct pv_client {
    int fd;
    struct pv_inbox in;
    json_t *hello;
    uint8_t challenge[PV_CHALLENGE_SIZE];
    uint64_t counter;
    char user[PV_REQUEST_NAME_MAX + 1];
};

static int fail(int code, char *why, size_t why_size, const char *format, ...) __attribute__((format(printf, 4, 5)));

static int fail(int code, char *why, size_t why_size, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char *safe = pv_text_safe(text, strlen(text), false);
    snprintf(why, why_size, "%s", safe ? safe : "no memory");
    free(safe);
    return code;
}

int pv_client_program_directory(char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);
    if (len <= 0 || (size_t)len >= size - 1)
        return -1;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return -1;
    *slash = '\0';
    return 0;
}

static int connect_to(const char *path, char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return fail(PV_E_CLIENT_UNREACHABLE, why, why_size, "the socket's path is too long: %s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(PV_E_CLIENT_UNREACHABLE, why, why_size, "no socket: %s", strerror(errno));
    int result;
    do
        result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    while (result < 0 && errno == EINTR);
    if (result < 0) {
        result = fail(PV_E_CLIENT_UNREACHABLE, why, why_size, "the agent cannot be reached at %s: %s", path,
                      strerror(errno));
        close(fd);
        return result;
    }
    struct ucred peer = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || len != sizeof(peer) || peer.uid != 0) {
        close(fd);
        return fail(PV_E_CLIENT_UNTRUSTED, why, why_size,
                    "what answers at %s does not run as root (uid %u): not the agent", path, (unsigned)peer.uid);
    }
    return fd;
}

static int read_hello(struct pv_client *client, char *why, size_t why_size)
{
    int result = pv_client_receive(client, &client->hello, why, why_size);
    if (result)
        return result;
    const char *schema = pv_message_schema(client->hello);
    if (strcmp(schema, "proviso/error/1") == 0) {
        const char *text = pv_message_string(client->hello, "text");
        return fail(PV_E_CLIENT_REFUSED, why, why_size, "the agent refuses the connection: %s",
                    text ? text : "no reason");
    }
    if (strcmp(schema, "proviso/hello/1") != 0)
        return fail(PV_E_CLIENT_PROTOCOL, why, why_size, "the agent did not greet with proviso/hello/1");
    json_int_t protocol = json_integer_value(json_object_get(client->hello, "protocol"));
    if (protocol != PV_PROTOCOL)
        return fail(PV_E_CLIENT_PROTOCOL, why, why_size,
                    "the agent speaks version %lld of the protocol, this client %d", (long long)protocol, PV_PROTOCOL);
    const char *challenge = pv_message_string(client->hello, "challenge");
    if (!challenge || !pv_hex_decode(client->challenge, sizeof(client->challenge), challenge))
        return fail(PV_E_CLIENT_PROTOCOL, why, why_size, "the agent's challenge is malformed");
    return 0;
}

int pv_client_open(struct pv_client **out, const char *socket, char *why, size_t why_size)
{
    *out = NULL;
    if (why_size)
        *why = '\0';
    if (!socket)
        socket = getenv("PROVISO_SOCKET");
    if (!socket || !*socket)
        socket = PV_CLIENT_SOCKET;
    struct pv_client *client = calloc(1, sizeof(*client));
    if (!client)
        return fail(PV_E_CLIENT_NOMEM, why, why_size, "no memory");
    const struct passwd *user = getpwuid(getuid());
    if (user && strlen(user->pw_name) < sizeof(client->user))
        memcpy(client->user, user->pw_name, strlen(user->pw_name) + 1);
    client->fd = connect_to(socket, why, why_size);
    int result = client->fd < 0 ? client->fd : read_hello(client, why, why_size);
    if (result) {
        pv_client_close(client);
        return result;
    }
    *out = client;
    return 0;
}

void pv_client_close(struct pv_client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    pv_inbox_free(&client->in);
    json_decref(client->hello);
    free(client);
}

const json_t *pv_client_hello(const struct pv_client *client)
{
    return client->hello;
}

int pv_client_fd(const struct pv_client *client)
{
    return client->fd;
}

/* ---- The passcode ---- */

/* bin/selfserve has its helper in libexec/proviso/ when installed, in libexec/ in a build tree or a self-contained
 * instance. */
static int find_helper(char *path, size_t size)
{
    static const char *const places[] = {"../libexec/proviso/selfserve-pass", "../libexec/selfserve-pass"};
    char directory[PATH_MAX];
    if (pv_client_program_directory(directory, sizeof(directory)))
        return -1;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int n = snprintf(path, size, "%s/%s", directory, places[i]);
        if (n > 0 && (size_t)n < size && access(path, X_OK) == 0)
            return 0;
    }
    return -1;
}

/* Why a set-gid bit is without effect for this process. */
static const char *why_no_group(const char *helper)
{
    struct statvfs fs;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return "this session may gain no privileges (no_new_privs, as in a sandbox or a container)";
    if (statvfs(helper, &fs) == 0 && (fs.f_flag & ST_NOSUID))
        return "its file system is mounted nosuid";
    return "it is not installed set-gid to the key's group, or this process is traced";
}

static bool write_input(int fd, const uint8_t *challenge, const struct pv_wbuf *encoded)
{
    uint8_t input[PV_CHALLENGE_SIZE + 4 + PV_REQUEST_WIRE_MAX];
    memcpy(input, challenge, PV_CHALLENGE_SIZE);
    for (size_t i = 0; i < 4; i++)
        input[PV_CHALLENGE_SIZE + i] = (uint8_t)(encoded->len >> (8 * i));
    memcpy(input + PV_CHALLENGE_SIZE + 4, encoded->data, encoded->len);
    size_t len = PV_CHALLENGE_SIZE + 4 + encoded->len;
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, input + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return shutdown(fd, SHUT_WR) == 0;
}

static bool read_output(int fd, uint8_t *passcode)
{
    size_t have = 0;
    while (have < PV_PASSCODE_SIZE) {
        ssize_t n = read(fd, passcode + have, PV_PASSCODE_SIZE - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

static int start_helper(const char *helper, pid_t *pid, int *fd)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
        return errno;
    char *argv[] = {(char *)(uintptr_t) "selfserve-pass", NULL};
    char *no_environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int result = posix_spawn_file_actions_init(&actions);
    if (result == 0) {
        posix_spawn_file_actions_adddup2(&actions, sv[1], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, sv[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        result = posix_spawn(pid, helper, &actions, NULL, argv, no_environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(sv[1]);
    if (result)
        close(sv[0]);
    else
        *fd = sv[0];
    return result;
}

static int make_passcode(const struct pv_client *client, const struct pv_wbuf *encoded, uint8_t *passcode, char *why,
                         size_t why_size)
{
    char helper[PATH_MAX + 64];
    pid_t pid = -1;
    int fd = -1, status = 0;
    if (find_helper(helper, sizeof(helper)))
        return fail(PV_E_CLIENT_PASSCODE, why, why_size,
                    "selfserve-pass, which proves this client to the agent, is missing");
    int error = start_helper(helper, &pid, &fd);
    if (error)
        return fail(PV_E_CLIENT_PASSCODE, why, why_size, "%s cannot be started: %s", helper, strerror(error));
    bool good = write_input(fd, client->challenge, encoded);
    good = read_output(fd, passcode) && good;
    close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (good && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
        return fail(PV_E_CLIENT_PASSCODE, why, why_size,
                    "the agent's client key is out of reach: %s cannot run set-gid because %s", helper,
                    why_no_group(helper));
    return fail(PV_E_CLIENT_PASSCODE, why, why_size,
                "%s cannot use the agent's client key (it ended with %s %d); an administrator can check its owner and "
                "mode",
                helper, WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* ---- Requests ---- */

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(object, key, json_string(value));
}

json_t *pv_client_request_json(const struct pv_wire_request *request)
{
    static const char *const verbs[PV_N_VERBS] = {
        [PV_VERB_BROKER] = "broker",
        [PV_VERB_EXPLAIN] = "explain",
        [PV_VERB_RIGHTS] = "rights",
        [PV_VERB_HISTORY] = "history",
    };
    json_t *object = json_object();
    json_object_set_new(object, "verb", json_string(verbs[request->verb]));
    json_object_set_new(object, "counter", json_integer((json_int_t)request->counter));
    set_text(object, "user", request->user_name);
    if (request->timeout)
        json_object_set_new(object, "timeout", json_integer(request->timeout));
    set_text(object, "cwd", request->cwd);
    if (request->flags & PV_REQUEST_DRY_RUN)
        json_object_set_new(object, "dry_run", json_true());
    if (request->flags & PV_REQUEST_INTERACTIVE)
        json_object_set_new(object, "interactive", json_true());
    if (request->flags & PV_REQUEST_YES)
        json_object_set_new(object, "yes", json_true());
    set_text(object, "command", request->command);
    set_text(object, "version", request->version);
    set_text(object, "source", request->source);
    set_text(object, "reason", request->reason);
    json_t *arguments = json_array(), *options = json_array();
    for (uint32_t i = 0; i < request->n_args; i++)
        json_array_append_new(arguments, json_string(request->args[i]));
    for (uint32_t i = 0; i < request->n_options; i++) {
        json_t *option = json_pack("{s:s}", "name", request->options[i].name);
        if (request->options[i].has_value)
            json_object_set_new(option, "value", json_string(request->options[i].value));
        json_array_append_new(options, option);
    }
    /* json_string() refuses what is not UTF-8: then a member is missing, and this is not the request any more. */
    bool complete = json_array_size(arguments) == request->n_args && json_array_size(options) == request->n_options;
    for (size_t i = 0; i < json_array_size(options); i++)
        complete = complete && (!request->options[i].has_value || json_object_get(json_array_get(options, i), "value"));
    if (request->n_args)
        json_object_set(object, "arguments", arguments);
    if (request->n_options)
        json_object_set(object, "options", options);
    json_decref(arguments);
    json_decref(options);
    const char *const texts[][2] = {{"user", request->user_name},  {"cwd", request->cwd},
                                    {"command", request->command}, {"version", request->version},
                                    {"source", request->source},   {"reason", request->reason}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        complete = complete && (!texts[i][1] || !*texts[i][1] || json_object_get(object, texts[i][0]));
    if (!complete) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* The agent took no request: what it said before it went away, if anything, is the reason. */
static int lost(struct pv_client *client, char *why, size_t why_size)
{
    json_t *message;
    int result = pv_client_receive(client, &message, why, why_size);
    if (result)
        return result;
    const char *text = pv_message_string(message, "text");
    result =
        fail(PV_E_CLIENT_REFUSED, why, why_size, "the agent refuses the connection: %s", text ? text : "no reason");
    json_decref(message);
    return result;
}

int pv_client_submit(struct pv_client *client, struct pv_wire_request *request, char *why, size_t why_size)
{
    uint8_t bytes[PV_REQUEST_WIRE_MAX], passcode[PV_PASSCODE_SIZE];
    char hex[2 * PV_PASSCODE_SIZE + 1];
    request->protocol = PV_PROTOCOL;
    request->counter = ++client->counter;
    request->user_name = client->user;
    struct pv_wbuf encoded;
    pv_wbuf_init(&encoded, bytes, sizeof(bytes));
    pv_wire_request_encode(&encoded, request);
    if (encoded.overflow)
        return fail(PV_E_CLIENT_TOO_LONG, why, why_size,
                    "the request is too long: at most %d arguments of %d bytes, and 60000 bytes in all",
                    PV_REQUEST_ARGS_MAX, PV_REQUEST_TEXT_MAX);
    json_t *object = pv_client_request_json(request);
    if (!object)
        return fail(PV_E_CLIENT_TOO_LONG, why, why_size, "the request holds text that is not UTF-8");
    int result = make_passcode(client, &encoded, passcode, why, why_size);
    if (result) {
        json_decref(object);
        return result;
    }
    pv_hex_encode(hex, passcode, sizeof(passcode));
    json_t *message = json_pack("{s:s, s:o, s:s}", "schema", "proviso/submit/1", "request", object, "passcode", hex);
    result = message ? pv_message_send(client->fd, message) : PV_E_MESSAGE_NOMEM;
    json_decref(message);
    if (result == PV_E_MESSAGE_NOMEM)
        return fail(PV_E_CLIENT_NOMEM, why, why_size, "no memory");
    if (result)
        return lost(client, why, why_size);
    return 0;
}

int pv_client_cancel(struct pv_client *client)
{
    json_t *message = json_pack("{s:s}", "schema", "proviso/cancel/1");
    int result = message ? pv_message_send(client->fd, message) : PV_E_MESSAGE_NOMEM;
    json_decref(message);
    return result ? PV_E_CLIENT_UNREACHABLE : 0;
}

int pv_client_receive(struct pv_client *client, json_t **out, char *why, size_t why_size)
{
    struct pv_message_error error;
    int result = pv_inbox_read(&client->in, client->fd, out, &error);
    if (result == 1)
        return 0;
    if (result == PV_E_MESSAGE_NOMEM)
        return fail(PV_E_CLIENT_NOMEM, why, why_size, "no memory");
    if (result == PV_E_MESSAGE_BAD)
        return fail(PV_E_CLIENT_PROTOCOL, why, why_size, "the agent's answer is malformed: %s", error.text);
    if (result == PV_E_MESSAGE_SYSTEM)
        return fail(PV_E_CLIENT_UNREACHABLE, why, why_size, "the connection to the agent broke: %s", strerror(errno));
    return fail(PV_E_CLIENT_UNREACHABLE, why, why_size, "the agent ended the connection");
}
