/*
 * provisod: the monitor. Options, start, signals, end; what the pieces are is in monitor.h.
 *
 * Start is a list of checks, each of which ends it with a sentence that names what is wrong: an agent that started is
 * one whose files only root can change, whose accounts exist, whose policy is signed. Afterwards nothing ends it but a
 * signal.
 */
#include "agentd/monitor.h"

#include "agentd/passcode.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_CONFIG = 78,
    READY_ANYWAY_MS = 5000, /* how long readiness waits for the ledger */
    STOP_MS = 3000,         /* how long the end waits for its record */
};

#ifndef PV_LIBEXEC
#define PV_LIBEXEC "/usr/libexec/proviso"
#endif

/* The agent's own package: its removal needs an allow that names it. */
static const char own_package[] = "proviso";

static struct pv_timer ready_timer, stop_timer;
static bool is_ready, listening, socket_is_ours;
static int parent_pipe = -1;

/* ---- Shared small things ---- */

void pv_mon_log(const char *format, ...)
{
    char text[2048], shown[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pv_escape(shown, sizeof shown, text, strlen(text));
    fprintf(stderr, "provisod: %s\n", shown);
}

static void sweep(void *context)
{
    struct monitor *m = context;
    for (size_t i = 0; i < m->n_graveyard; i++)
        free(m->graveyard[i]);
    m->n_graveyard = 0;
}

void pv_mon_free_later(struct monitor *m, void *memory)
{
    if (m->n_graveyard == m->cap_graveyard) {
        size_t cap = m->cap_graveyard ? m->cap_graveyard * 2 : 64;
        void **bigger = realloc(m->graveyard, cap * sizeof *bigger);
        if (!bigger)
            return; /* leaked: better than freed too early */
        m->graveyard = bigger;
        m->cap_graveyard = cap;
    }
    m->graveyard[m->n_graveyard++] = memory;
    if (!m->sweep.armed) {
        m->sweep.fire = sweep;
        m->sweep.context = m;
        pv_loop_timer(&m->loop, &m->sweep, 0);
    }
}

bool pv_mon_protected(const struct monitor *m, const char *package)
{
    size_t len = strlen(package);
    if (strcmp(package, own_package) == 0)
        return true;
    for (size_t i = 0; i < m->options.n_protected; i++)
        if (strcmp(m->options.protected_packages[i], package) == 0)
            return true;
    for (const char *line = m->protected_list; line && *line;) {
        size_t n = strcspn(line, "\n");
        if (n == len && memcmp(line, package, len) == 0)
            return true;
        line += n + (line[n] == '\n');
    }
    return false;
}

/* ---- Options ---- */

enum {
    OPT_SOCKET = 256,
    OPT_STATE,
    OPT_POLICY,
    OPT_PUBKEY,
    OPT_ROOT,
    OPT_LIBEXEC,
    OPT_CLIENT_KEY,
    OPT_FRONTEND,
    OPT_LEDGER,
    OPT_PLANNER,
    OPT_RESOLVER,
    OPT_WORKER,
    OPT_TIMEOUT,
    OPT_HARD_LIMIT,
    OPT_REFRESH,
    OPT_PROTECTED,
    OPT_APT_OPTION,
    OPT_NO_BROKER,
    OPT_READY_FD,
};

static const struct argp_option option_table[] = {
    {"socket", OPT_SOCKET, "PATH", 0, "Where clients connect (/run/proviso/agent.sock)", 0},
    {"state", OPT_STATE, "DIR", 0, "State of the agent (/var/lib/proviso)", 0},
    {"policy", OPT_POLICY, "BUNDLE", 0,
     "The policy's bundle; its signature is BUNDLE.minisig "
     "(/etc/proviso/policy.bundle)",
     0},
    {"pubkey", OPT_PUBKEY, "FILE", 0, "Public key that policies are signed with (/etc/proviso/policy.pub)", 0},
    {"client-key", OPT_CLIENT_KEY, "FILE", 0, "Key of configured clients (/etc/proviso/client.key)", 0},
    {"root", OPT_ROOT, "DIR", 0, "Manage the packages of an alternate root", 0},
    {"libexec", OPT_LIBEXEC, "DIR", 0, "The agent's other programs (" PV_LIBEXEC ")", 0},
    {"frontend-account", OPT_FRONTEND, "NAME", 0, "Account of the front ends (_proviso-fe)", 1},
    {"ledger-account", OPT_LEDGER, "NAME", 0, "Account of the ledger (_proviso-ledger)", 1},
    {"planner-account", OPT_PLANNER, "NAME", 0, "Account of the planner (_proviso-plan)", 1},
    {"resolver-account", OPT_RESOLVER, "NAME", 0, "Account that asks the name services (the planner's)", 1},
    {"worker-account", OPT_WORKER, "NAME", 0, "Account of commands that need no root (_proviso-worker)", 1},
    {"default-timeout", OPT_TIMEOUT, "SECONDS", 0, "Longest time of a command for which none is given (2700)", 2},
    {"hard-limit", OPT_HARD_LIMIT, "SECONDS", 0, "Time after which even dpkg is ended (never)", 2},
    {"refresh", OPT_REFRESH, "SECONDS", 0, "Age at which package lists are fetched again (3600)", 2},
    {"protected", OPT_PROTECTED, "PACKAGE", 0, "A package whose removal needs an allow that names it; repeatable", 2},
    {"apt-option", OPT_APT_OPTION, "KEY=VALUE", 0,
     "A setting of this host for apt, such as Acquire::http::Proxy=http://proxy:3128; repeatable", 2},
    {"no-broker", OPT_NO_BROKER, NULL, 0, "Answer questions, broker nothing", 2},
    {"foreground", 'f', NULL, 0, "Do not go into the background", 3},
    {"ready-fd", OPT_READY_FD, "FD", 0, "Write a line there once clients can connect", 3},
    {0},
};

static int64_t seconds_of(const char *text, struct argp_state *state)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || end == text || value < 0 || value > INT32_MAX)
        argp_error(state, "%s is not a number of seconds", text);
    return value;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case OPT_SOCKET: o->socket = arg; break;
    case OPT_STATE: o->state = arg; break;
    case OPT_POLICY: o->policy = arg; break;
    case OPT_PUBKEY: o->pubkey = arg; break;
    case OPT_ROOT: o->root = arg; break;
    case OPT_LIBEXEC: o->libexec = arg; break;
    case OPT_CLIENT_KEY: o->client_key = arg; break;
    case OPT_FRONTEND: o->frontend.name = arg; break;
    case OPT_LEDGER: o->ledger.name = arg; break;
    case OPT_PLANNER: o->planner.name = arg; break;
    case OPT_RESOLVER: o->resolver.name = arg; break;
    case OPT_WORKER: o->worker.name = arg; break;
    case OPT_TIMEOUT:
        o->default_timeout = seconds_of(arg, state);
        if (o->default_timeout == 0)
            argp_error(state, "a default timeout of 0 would be none");
        break;
    case OPT_HARD_LIMIT: o->hard_limit = seconds_of(arg, state); break;
    case OPT_REFRESH: o->refresh = seconds_of(arg, state); break;
    case OPT_NO_BROKER: o->brokering = false; break;
    case OPT_READY_FD: o->ready_fd = (int)seconds_of(arg, state); break;
    case OPT_PROTECTED: {
        const char **bigger = realloc(o->protected_packages, (o->n_protected + 1) * sizeof *bigger);
        if (!bigger)
            return ENOMEM;
        o->protected_packages = bigger;
        o->protected_packages[o->n_protected++] = arg;
        break;
    }
    case OPT_APT_OPTION: {
        char *value = strchr(arg, '=');
        struct pv_apt_option *bigger = realloc(o->apt_options, (o->n_apt_options + 1) * sizeof *bigger);
        if (!bigger)
            return ENOMEM;
        o->apt_options = bigger;
        if (!value)
            argp_error(state, "%s: a setting is written KEY=VALUE", arg);
        else
            *value = '\0';
        o->apt_options[o->n_apt_options++] = (struct pv_apt_option){.key = arg, .value = value ? value + 1 : ""};
        break;
    }
    case 'f': o->foreground = true; break;
    case ARGP_KEY_ARG: argp_error(state, "%s: no argument is expected", arg); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {option_table,
                                 parse_option,
                                 NULL,
                                 "The Proviso agent: decides which package commands of unprivileged users run, runs "
                                 "those, and records every decision.",
                                 NULL,
                                 NULL,
                                 NULL};
const char *argp_program_version = "provisod " PV_VERSION;

/* ---- Checks at the start ---- */

static int check_path(const char *path, bool missing_ok)
{
    char why[PATH_MAX + 128];
    if (pv_path_check(path, missing_ok, why, sizeof why) == 0)
        return 0;
    pv_mon_log("refusing to start: %s", why);
    return -1;
}

static int check_paths(const struct options *o)
{
    char directory[PATH_MAX];
    static const char *const programs[] = {"proviso-launch",  "proviso-runner",   "proviso-frontend", "proviso-ledger",
                                           "proviso-planner", "proviso-resolver", "proviso-hook"};
    snprintf(directory, sizeof directory, "%s", o->socket);
    char *slash = strrchr(directory, '/');
    if (slash && slash != directory)
        *slash = '\0';
    if (check_path(directory, false) || check_path(o->state, true) || check_path(o->policy, true) ||
        check_path(o->pubkey, false) || check_path(o->client_key, false) || check_path(o->root, false))
        return -1;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", o->libexec, programs[i]);
        if (check_path(path, false))
            return -1;
    }
    return 0;
}

static int drop(void *context, const void *bytes, size_t len)
{
    (void)context, (void)bytes, (void)len;
    return 0;
}

/* What is carried over from the host into apt's configuration, before a request depends on it. */
static int check_apt(const struct options *o)
{
    char hook[PATH_MAX];
    struct pv_apt_error error = {0};
    snprintf(hook, sizeof hook, "%s/proviso-hook", o->libexec);
    const struct pv_apt_setup setup = {
        .root = o->root, .hook = hook, .options = o->apt_options, .n_options = o->n_apt_options};
    if (pv_apt_config_canonical(&setup, drop, NULL, &error) == 0)
        return 0;
    pv_mon_log("refusing to start: %s", error.text);
    return -1;
}

static int find_account(struct account *account)
{
    int result = pv_account_find(account->name, &account->uid, &account->gid);
    if (result == 0 && account->uid != 0 && account->gid != 0)
        return 0;
    pv_mon_log("refusing to start: the account %s %s", account->name,
               result == -ENOENT ? "does not exist"
               : result          ? strerror(-result)
                                 : "is root's or in root's group");
    return -1;
}

static int find_accounts(struct options *o)
{
    /* The resolver runs what name services load, for a moment; an account of its own keeps it from the planner. */
    bool shared = !o->resolver.name;
    if (shared)
        o->resolver.name = o->planner.name;
    struct account *all[] = {&o->frontend, &o->ledger, &o->planner, &o->worker, &o->resolver};
    for (size_t i = 0; i < 5; i++) {
        if (find_account(all[i]))
            return -1;
        for (size_t k = 0; k < i; k++)
            if (all[i]->uid == all[k]->uid && !(shared && all[i] == &o->resolver && all[k] == &o->planner)) {
                pv_mon_log("refusing to start: %s and %s are one account, and each must have its own", all[k]->name,
                           all[i]->name);
                return -1;
            }
    }
    return 0;
}

static int read_keys(struct monitor *m)
{
    struct stat st;
    void *text;
    size_t len;
    int result = pv_file_read(AT_FDCWD, m->options.pubkey, PV_MINISIGN_FILE_MAX, &text, &len);
    if (result == 0) {
        result = pv_minisign_pubkey_parse(text, len, &m->pubkey);
        free(text);
    }
    if (result) {
        pv_mon_log("refusing to start: %s: %s", m->options.pubkey,
                   result == PV_E_MINISIGN_FORMAT ? pv_minisign_strerror(result) : strerror(-result));
        return -1;
    }
    m->client_key = sodium_malloc(PV_CLIENT_KEY_SIZE);
    if (!m->client_key)
        return -1;
    result = pv_client_key_read(m->options.client_key, m->client_key);
    if (result) {
        pv_mon_log("refusing to start: %s: %s", m->options.client_key,
                   result == -EINVAL ? "not a client key" : strerror(-result));
        return -1;
    }
    if (stat(m->options.client_key, &st) < 0 || (st.st_mode & S_IRWXO)) {
        pv_mon_log("refusing to start: %s can be read by everybody", m->options.client_key);
        return -1;
    }
    sodium_mprotect_readonly(m->client_key);
    return 0;
}

/* ---- State and facts ---- */

static int make_machine_id(struct monitor *m)
{
    uint8_t random[16];
    void *text;
    size_t len;
    if (pv_file_read(m->state_dir, "machine-id", 64, &text, &len) == 0) {
        bool good = len == 33 && strspn(text, "0123456789abcdef") == 32;
        if (good)
            memcpy(m->machine_id, text, 32);
        free(text);
        if (good)
            return 0;
    }
    char line[34];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(m->machine_id, sizeof m->machine_id, random, sizeof random);
    snprintf(line, sizeof line, "%s\n", m->machine_id);
    return pv_file_write(m->state_dir, "machine-id", 0644, line, 33);
}

static int open_state(struct monitor *m)
{
    const char *state = m->options.state;
    size_t len;
    void *list = NULL;
    /* The ledger's account walks through to its own directory, and sees nothing else. */
    int result = pv_dir_make(AT_FDCWD, state, 0711, 0, 0);
    if (result == 0)
        m->state_dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (result || m->state_dir < 0) {
        pv_mon_log("refusing to start: %s: %s", state, strerror(result ? -result : errno));
        return -1;
    }
    int lock = openat(m->state_dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) { /* held until the end */
        pv_mon_log("refusing to start: another agent uses %s", state);
        return -1;
    }
    result = pv_dir_make(m->state_dir, "runs", 0700, 0, 0);
    if (result == 0)
        result = pv_dir_make(m->state_dir, "apt", 0711, 0, 0);
    if (result == 0)
        result = make_machine_id(m);
    if (result == 0) {
        m->runs_dir = openat(m->state_dir, "runs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        result = m->runs_dir < 0 ? -errno : 0;
    }
    if (result) {
        pv_mon_log("refusing to start: %s: %s", state, strerror(-result));
        return -1;
    }
    result = pv_file_read(m->state_dir, "protected", 1 << 20, &list, &len);
    if (result && result != -ENOENT) {
        pv_mon_log("refusing to start: %s/protected: %s", state, strerror(-result));
        return -1;
    }
    m->protected_list = list;
    return 0;
}

/* A value of a line NAME VALUE or NAME=VALUE in a small root-owned file; false if there is none. */
static bool setting(const char *path, const char *name, char *value, size_t size)
{
    char line[512];
    size_t len = strlen(name);
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *at = line + strspn(line, " \t");
        if (strncmp(at, name, len) != 0 || !strchr("= \t", at[len]) || !at[len])
            continue;
        at += len + strspn(at + len, "= \t\"");
        size_t n = strcspn(at, "\" \t\r\n");
        if (n == 0 || n >= size)
            continue;
        memcpy(value, at, n);
        value[n] = '\0';
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

static void learn_host(struct monitor *m)
{
    static const struct {
        const char *machine, *architecture;
    } names[] = {{"x86_64", "amd64"},    {"aarch64", "arm64"},   {"i686", "i386"},   {"armv7l", "armhf"},
                 {"ppc64le", "ppc64el"}, {"riscv64", "riscv64"}, {"s390x", "s390x"}, {"mips64", "mips64el"}};
    struct utsname system;
    char text[64];
    void *id;
    size_t len;
    uname(&system);
    snprintf(m->host_name, sizeof m->host_name, "%s", system.nodename);
    snprintf(m->host_arch, sizeof m->host_arch, "%.31s", system.machine);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].machine, system.machine) == 0)
            snprintf(m->host_arch, sizeof m->host_arch, "%s", names[i].architecture);
    if (!setting("/etc/os-release", "ID", m->host_os, sizeof m->host_os))
        snprintf(m->host_os, sizeof m->host_os, "linux");
    m->uid_min = setting("/etc/login.defs", "UID_MIN", text, sizeof text) ? strtoll(text, NULL, 0) : 1000;
    m->uid_max = setting("/etc/login.defs", "UID_MAX", text, sizeof text) ? strtoll(text, NULL, 0) : 60000;
    if (pv_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &id, &len) == 0)
        free(id); /* a file of /proc has no size: read below */
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && !fgets(m->boot_id, sizeof m->boot_id, file))
        m->boot_id[0] = '\0';
    if (file)
        fclose(file);
}

/* ---- Running ---- */

static void tell_systemd(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
        pv_mon_log("systemd cannot be told: %s", strerror(errno));
    close(fd);
}

static void ready(void *context)
{
    struct monitor *m = context;
    if (is_ready || !listening)
        return;
    is_ready = true;
    pv_loop_untimer(&m->loop, &ready_timer);
    if (m->options.ready_fd >= 0) {
        if (write(m->options.ready_fd, "ready\n", 6) < 0)
            pv_mon_log("--ready-fd: %s", strerror(errno));
        close(m->options.ready_fd);
    }
    if (parent_pipe >= 0 && write(parent_pipe, "r", 1) == 1)
        close(parent_pipe);
    tell_systemd();
}

static void stop_now(void *context)
{
    ((struct monitor *)context)->loop.stop = true;
}

void pv_mon_ledger_opened(struct monitor *m)
{
    struct pv_record r = {.kind = PV_RECORD_START, .uid = PV_RECORD_NOBODY};
    r.start.version = pv_str_of(PV_VERSION);
    r.start.pid = getpid();
    r.start.root = pv_str_of(m->options.root);
    r.start.boot_id = pv_str_of(m->boot_id);
    r.start.machine_id = pv_str_of(m->machine_id);
    r.start.text = pv_str_of(m->options.brokering ? "" : "brokering is switched off");
    pv_mon_record(m, &r, true, NULL, NULL);
    pv_mon_policy_record(m);
    pv_mon_run_recover(m);
    if (pv_mon_owners_start(m))
        stop_now(m);
    ready(m);
}

static void stop_recorded(void *context, bool durable)
{
    (void)durable;
    stop_now(context);
}

static void on_signal(void *context, int signo)
{
    struct monitor *m = context;
    if (signo == SIGHUP) {
        pv_mon_policy_reload(m);
        return;
    }
    if (stop_timer.armed)
        return;
    pv_mon_log("stopping");
    pv_loop_unwatch(&m->loop, &m->listener);
    stop_timer = (struct pv_timer){.fire = stop_now, .context = m};
    pv_loop_timer(&m->loop, &stop_timer, STOP_MS);
    struct pv_record r = {.kind = PV_RECORD_STOP, .uid = PV_RECORD_NOBODY};
    r.stop.reason = pv_str_of(signo == SIGTERM ? "SIGTERM" : "SIGINT");
    if (!pv_mon_ledger_ready(m) || pv_mon_record(m, &r, false, stop_recorded, m))
        m->loop.stop = true;
}

/* The listening socket that systemd passes, or -1. */
static int inherited_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
    int is_listening = 0, domain = 0;
    socklen_t size = sizeof is_listening;
    if (!pid || !n || strtol(pid, NULL, 10) != getpid() || strcmp(n, "1") != 0)
        return -1;
    if (getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) < 0 || !is_listening ||
        getsockopt(3, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
        return -1;
    int fd = fcntl(3, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* The parent waits until its child is ready, and ends with what became of it. */
static void go_background(void)
{
    int pair[2];
    char byte;
    if (pipe2(pair, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid > 0) {
        close(pair[1]);
        _exit(read(pair[0], &byte, 1) == 1 ? 0 : EXIT_CONFIG);
    }
    close(pair[0]);
    parent_pipe = pair[1];
    setsid();
}

static int start(struct monitor *m)
{
    int inherited = inherited_socket();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    if (geteuid() != 0) {
        pv_mon_log("refusing to start: the agent must be root");
        return -1;
    }
    if (sodium_init() < 0)
        return -1;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    umask(077);
    if (check_paths(&m->options) || check_apt(&m->options) || find_accounts(&m->options) || read_keys(m) ||
        open_state(m))
        return -1;
    learn_host(m);
    if (pv_mon_policy_start(m)) {
        pv_mon_log("refusing to start: there is no policy that may be used");
        return -1;
    }
    if (!m->options.foreground)
        go_background();
    int result = pv_loop_init(&m->loop);
    if (result) {
        pv_mon_log("refusing to start: %s", strerror(-result));
        return -1;
    }
    m->loop.on_signal = on_signal;
    m->loop.context = m;
    if (pv_mon_ledger_start(m))
        return -1;
    result = pv_mon_listen(m, inherited);
    if (result) {
        pv_mon_log("refusing to start: %s: %s", m->options.socket, strerror(-result));
        return -1;
    }
    listening = true;
    socket_is_ours = inherited < 0;
    ready_timer = (struct pv_timer){.fire = ready, .context = m};
    pv_loop_timer(&m->loop, &ready_timer, READY_ANYWAY_MS);
    return 0;
}

/* What belongs to this process goes; what runs goes on, for the next one to adopt. */
static void finish(struct monitor *m)
{
    if (listening && m->listener.fd >= 0) {
        close(m->listener.fd);
        if (socket_is_ours)
            unlink(m->options.socket);
    }
    while (m->clients)
        pv_mon_client_drop(m->clients);
    pv_mon_owners_stop(m);
    pv_mon_ledger_stop(m);
    pv_mon_policy_unref(m->policy);
    sweep(m);
    free(m->graveyard);
    free(m->protected_list);
    free(m->options.protected_packages);
    if (m->client_key)
        sodium_free(m->client_key);
    pv_loop_free(&m->loop);
}

int main(int argc, char **argv)
{
    static struct monitor m = {
        .options = {.socket = "/run/proviso/agent.sock",
                    .state = "/var/lib/proviso",
                    .policy = "/etc/proviso/policy.bundle",
                    .pubkey = "/etc/proviso/policy.pub",
                    .client_key = "/etc/proviso/client.key",
                    .root = "/",
                    .libexec = PV_LIBEXEC,
                    .frontend = {.name = "_proviso-fe"},
                    .ledger = {.name = "_proviso-ledger"},
                    .planner = {.name = "_proviso-plan"},
                    .worker = {.name = "_proviso-worker"},
                    .default_timeout = PV_DEFAULT_TIMEOUT,
                    .refresh = 3600,
                    .brokering = true,
                    .ready_fd = -1},
        .state_dir = -1,
        .runs_dir = -1,
        .listener = {.fd = -1},
    };
    argp_parse(&argp, argc, argv, 0, NULL, &m.options);
    int result = EXIT_CONFIG;
    if (start(&m) == 0) {
        result = pv_loop_run(&m.loop) ? 1 : 0;
        finish(&m);
    }
    return result;
}
