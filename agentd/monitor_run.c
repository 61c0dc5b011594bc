/*
 * Runs: directories, runners, what a restarted monitor makes of them.
 *
 * A run directory (STATE/runs/ID, root alone) is made before the command starts and removed when the outcome is durable
 * in the ledger; in between it holds all that is needed to finish the request without the monitor that began it:
 *
 *   info      who, what (below), written first
 *   plan      the canonical plan, for package transactions
 *   lock, output, progress, STEP.status     see runner.h
 *
 * Invariant: the outcome of a request that was allowed to run reaches the ledger exactly once for each monitor that
 * sees it end, also when the ledger, the runner or the monitor died in between.
 */
#include "agentd/monitor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char info_magic[8] = "PVRUN001";

enum {
    ADOPTED_LOOK_MS = 250, /* between looks at the lock of a runner that is not this monitor's child */
    ARGV_MAX = PV_RUN_ARGS_MAX,
};

struct run {
    struct request *r;
    int dir; /* -1: not made */
    struct pv_child runner;
    struct pv_timer look; /* adopted: no child of ours */
    char step[PV_RUN_STEP_MAX + 1];
    void (*ended)(struct request *r, const struct pv_run_status *status);
};

int pv_mon_run_dir(const struct request *r, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/runs/%s", r->m->options.state, r->id_text);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static struct run *get_run(struct request *r)
{
    if (!r->run) {
        r->run = calloc(1, sizeof *r->run);
        if (r->run) {
            r->run->r = r;
            r->run->dir = -1;
        }
    }
    return r->run;
}

void pv_mon_run_free(struct request *r)
{
    struct run *run = r->run;
    if (!run)
        return;
    r->run = NULL;
    if (run->runner.pid > 0)
        pv_loop_unchild(&r->m->loop, &run->runner);
    pv_loop_untimer(&r->m->loop, &run->look);
    if (run->dir >= 0)
        close(run->dir);
    pv_mon_free_later(r->m, run);
}

void pv_mon_run_stop(struct request *r)
{
    if (r->run && r->run->runner.pid > 0)
        kill(r->run->runner.pid, SIGUSR1); /* the runner ends its command unless that is dpkg's */
}

void pv_mon_run_remove(struct monitor *m, uint64_t id)
{
    char name[PV_REQUEST_ID_SIZE + 1];
    snprintf(name, sizeof name, "%016llx", (unsigned long long)id);
    int dir = openat(m->runs_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return;
    DIR *entries = fdopendir(dir);
    if (!entries) {
        close(dir);
        return;
    }
    for (struct dirent *e; (e = readdir(entries));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dir, e->d_name, 0);
    closedir(entries);
    if (unlinkat(m->runs_dir, name, AT_REMOVEDIR) < 0)
        pv_mon_log("%s/runs/%s cannot be removed: %s", m->options.state, name, strerror(errno));
}

/* ---- The directory ---- */

static int write_info(struct request *r)
{
    static uint8_t bytes[PV_WIRE_MAX];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_raw(&w, info_magic, sizeof info_magic);
    pv_put_u64(&w, r->id);
    pv_put_u32(&w, r->uid);
    pv_put_cstr(&w, r->user);
    pv_put_cstr(&w, r->wire.command);
    pv_put_bool(&w, r->is_apt);
    pv_put_u32(&w, r->wire.n_args);
    for (uint32_t i = 0; i < r->wire.n_args; i++)
        pv_put_cstr(&w, r->wire.args[i]);
    return w.overflow ? -E2BIG : pv_file_write(r->run->dir, "info", 0600, bytes, w.len);
}

static int create_empty(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    close(fd);
    return openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int pv_mon_run_make(struct request *r)
{
    struct run *run = get_run(r);
    if (!run)
        return -1;
    if (run->dir >= 0)
        return 0;
    if (mkdirat(r->m->runs_dir, r->id_text, 0700) < 0 ||
        (run->dir = openat(r->m->runs_dir, r->id_text, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0) {
        pv_mon_log("run %s: its directory cannot be made: %s", r->id_text, strerror(errno));
        return -1;
    }
    return 0;
}

int pv_mon_run_prepare(struct request *r)
{
    uint8_t payload[64];
    struct pv_wbuf w;
    if (pv_mon_run_make(r))
        return -1;
    struct run *run = r->run;
    int result = write_info(r);
    int fds[2] = {create_empty(run->dir, "output"), create_empty(run->dir, "progress")};
    if (result || fds[0] < 0 || fds[1] < 0) {
        pv_mon_log("run %s: its files cannot be made: %s", r->id_text, strerror(result ? -result : errno));
        result = -1;
    } else {
        r->started_ns = pv_now_ns();
        pv_wbuf_init(&w, payload, sizeof payload);
        pv_put_cstr(&w, r->id_text);
        if (r->client)
            pv_mon_client_send(r->client, PV_MF_STARTED, &w, fds, 2);
    }
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return result;
}

/* ---- Steps ---- */

/* The status that the runner left, or false. */
static bool read_status(const struct run *run, struct pv_run_status *status)
{
    char name[PV_RUN_STEP_MAX + 16];
    void *data;
    size_t len;
    snprintf(name, sizeof name, "%s.status", run->step);
    if (run->dir < 0 || pv_file_read(run->dir, name, PV_RUN_STATUS_MAX, &data, &len))
        return false;
    bool good = pv_run_status_decode(status, data, len) == 0;
    free(data);
    return good;
}

static void step_over(struct run *run)
{
    struct pv_run_status status;
    struct request *r = run->r;
    void (*ended)(struct request *, const struct pv_run_status *) = run->ended;
    bool told = read_status(run, &status);
    if (!told)
        pv_mon_log("run %s: the runner of step %s left no status", r->id_text, run->step);
    ended(r, told ? &status : NULL);
}

static void runner_ended(void *context, int status)
{
    (void)status;
    step_over(context);
}

/* The job in a sealed memory file; a descriptor or -1. */
static int job_file(const struct pv_run_job *job)
{
    uint8_t *bytes = malloc(PV_RUN_JOB_MAX);
    int fd = bytes ? memfd_create("proviso-job", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
    if (fd < 0) {
        free(bytes);
        return -1;
    }
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, PV_RUN_JOB_MAX);
    pv_run_job_encode(&w, job);
    if (w.overflow || write(fd, bytes, w.len) != (ssize_t)w.len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        close(fd);
        fd = -1;
    }
    free(bytes);
    return fd;
}

int pv_mon_run_step(struct request *r, const struct run_spec *spec,
                    void (*ended)(struct request *r, const struct pv_run_status *status))
{
    char path[4096], program[4096];
    struct run *run = get_run(r);
    if (!run || pv_mon_run_dir(r, path, sizeof path))
        return -1;
    struct pv_run_job job = {.dir = path,
                             .step = spec->step,
                             .flags = spec->flags,
                             .uid = spec->uid,
                             .gid = spec->gid,
                             .groups = spec->groups,
                             .n_groups = spec->n_groups,
                             .cwd = spec->cwd,
                             .limit = spec->limit,
                             .hard_limit = spec->hard_limit,
                             .output_max = PV_MON_OUTPUT_MAX,
                             .argv = spec->argv,
                             .env = spec->env};
    while (spec->argv[job.n_argv])
        job.n_argv++;
    while (spec->env[job.n_env])
        job.n_env++;
    snprintf(run->step, sizeof run->step, "%s", spec->step);
    snprintf(program, sizeof program, "%s/proviso-runner", r->m->options.libexec);
    int fd = job_file(&job);
    if (fd < 0) {
        pv_mon_log("run %s: the job of step %s cannot be handed over", r->id_text, spec->step);
        return -1;
    }
    const char *argv[] = {program, NULL};
    pid_t pid;
    int result = pv_mon_spawn(program, argv, &fd, 1, &pid);
    close(fd);
    if (result) {
        pv_mon_log("run %s: the runner cannot be started: %s", r->id_text, strerror(-result));
        return -1;
    }
    run->ended = ended;
    run->runner = (struct pv_child){.pid = pid, .ended = runner_ended, .context = run};
    pv_loop_child(&r->m->loop, &run->runner);
    return 0;
}

/* ---- Commands with a template ---- */

static const char *value_text(struct request *r, int slot)
{
    const struct pv_value *value = pv_request_value(r->asks[0], slot);
    if (!value || value->state != PV_PRESENT)
        return NULL;
    switch (value->type) {
    case PV_T_STRING:
    case PV_T_VERSION: return pv_mon_strdup(&r->arena, value->string.ptr, value->string.len);
    case PV_T_BOOL: return value->number ? "true" : "false";
    default: return pv_mon_printf(&r->arena, "%lld", (long long)value->number);
    }
}

/* One element of an option, or NULL where it is not given. */
static const char *option_text(struct request *r, uint32_t slot)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_command *command = pv_mon_command(r);
    const struct pvb_parameter *all = pv_bundle_section(bundle, PVB_PARAMETERS, NULL);
    for (uint32_t i = 0; i < command->n_parameters; i++) {
        const struct pvb_parameter *p = &all[command->first_parameter + i];
        if (p->slot != slot)
            continue;
        const char *name = pv_bundle_string(bundle, p->name, NULL);
        const struct pv_value *value = pv_request_value(r->asks[0], (int)slot);
        if (!value || value->state != PV_PRESENT)
            return NULL;
        if (p->kind == PVB_FLAG)
            return value->number ? pv_mon_printf(&r->arena, "--%s", name) : NULL;
        const char *text = value_text(r, (int)slot);
        size_t len = text ? strlen(name) + strlen(text) + 4 : 0;
        char *element = text ? pv_mon_alloc(&r->arena, len) : NULL;
        if (element)
            snprintf(element, len, "--%s=%s", name, text);
        return element;
    }
    return NULL;
}

static const char *const *template_argv(struct request *r, struct pv_error *error)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_command *command = pv_mon_command(r);
    const struct pvb_template *all = pv_bundle_section(bundle, PVB_TEMPLATES, NULL);
    const char **argv = pv_mon_alloc(&r->arena, (command->n_templates + 1) * sizeof *argv);
    size_t n = 0;
    if (!argv || command->n_templates == 0 || command->n_templates > ARGV_MAX) {
        snprintf(error->text, sizeof error->text, "the command has no arguments that can be built");
        return NULL;
    }
    for (uint32_t i = 0; i < command->n_templates; i++) {
        const struct pvb_template *t = &all[command->first_template + i];
        const char *element;
        switch ((enum pvb_template_kind)t->kind) {
        case PVB_T_LITERAL: element = pv_bundle_string(bundle, t->ref, NULL); break;
        case PVB_T_OPTION:
            element = option_text(r, t->ref);
            if (!element)
                continue;
            break;
        case PVB_T_SLOT:
        default: element = value_text(r, (int)t->ref); break;
        }
        if (!element) {
            snprintf(error->text, sizeof error->text, "a value that the command's arguments need is missing");
            return NULL;
        }
        argv[n++] = element;
    }
    if (argv[0][0] != '/') {
        snprintf(error->text, sizeof error->text, "the command's program is not an absolute path");
        return NULL;
    }
    return argv;
}

/* What an administrator runs in the place of a brokered package command. */
static const char *const *direct_argv(struct request *r, struct pv_error *error)
{
    static const struct {
        const char *command, *const words[4];
    } known[] = {
        {"install", {"/usr/bin/apt-get", "install", "--"}},
        {"upgrade", {"/usr/bin/apt-get", "install", "--only-upgrade", "--"}},
        {"uninstall", {"/usr/bin/apt-get", "remove", "--"}},
        {"download", {"/usr/bin/apt-get", "download", "--"}},
        {"info", {"/usr/bin/apt-cache", "show", "--"}},
        {"pin", {"/usr/bin/apt-mark", "hold", "--"}},
        {"list", {"/usr/bin/dpkg-query", "--list"}},
        {"search", {"/usr/bin/apt-cache", "search", "."}},
        {"outdated", {"/usr/bin/apt", "list", "--upgradable"}},
        {"optimize", {"/usr/bin/apt-get", "clean"}},
    };
    const char **argv = pv_mon_alloc(&r->arena, (r->wire.n_args + 6) * sizeof *argv);
    size_t n = 0;
    if (argv && r->wire.n_args == 0 && strcmp(r->wire.command, "upgrade") == 0) {
        argv[0] = "/usr/bin/apt-get";
        argv[1] = "upgrade";
        return argv;
    }
    for (size_t i = 0; argv && i < sizeof known / sizeof known[0] && n == 0; i++)
        for (size_t k = 0; strcmp(known[i].command, r->wire.command) == 0 && k < 4 && known[i].words[k]; k++)
            argv[n++] = known[i].words[k];
    if (n == 0) {
        snprintf(error->text, sizeof error->text, "`%s` has no form that can be run directly", r->wire.command);
        return NULL;
    }
    for (uint32_t i = 0; i < r->wire.n_args; i++)
        argv[n++] =
            r->wire.version[0] ? pv_mon_printf(&r->arena, "%s=%s", r->wire.args[i], r->wire.version) : r->wire.args[i];
    return argv;
}

const char *const *pv_mon_build_argv(struct request *r, struct pv_error *error)
{
    return r->is_apt ? direct_argv(r, error) : template_argv(r, error);
}

/* As whom a command runs. */
struct identity {
    uint32_t uid, gid;
    const uint32_t *groups;
    uint32_t n_groups;
    const char *name, *home, *cwd;
};

static int find_identity(struct request *r, struct identity *who)
{
    const struct pvb_command *command = pv_mon_command(r);
    const char *account = r->verdict.account.len ? r->verdict.account.ptr
                          : command->account     ? pv_bundle_string(r->policy->bundle, command->account, NULL)
                                                 : "worker";
    *who = (struct identity){.name = account, .home = "/", .cwd = "/"};
    if (strcmp(account, "requester") == 0) {
        who->uid = r->uid;
        who->gid = r->login_gid;
        who->groups = r->group_ids;
        who->n_groups = r->n_group_ids;
        who->name = r->user;
        who->home = r->home[0] == '/' ? r->home : "/";
        who->cwd = r->wire.cwd[0] == '/' ? r->wire.cwd : "/";
        return 0;
    }
    if (strcmp(account, "root") == 0) {
        who->home = "/root";
        return 0;
    }
    if (strcmp(account, "worker") == 0) {
        const struct account *worker = &r->m->options.worker;
        who->uid = worker->uid;
        who->gid = worker->gid;
        who->name = worker->name;
        return 0;
    }
    uid_t uid;
    gid_t gid;
    if (pv_account_find(account, &uid, &gid))
        return -1;
    who->uid = uid;
    who->gid = gid;
    return 0;
}

/* Built from empty; the command's own settings cannot replace who asked. */
static const char *const *build_env(struct request *r, const struct identity *who)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_command *command = pv_mon_command(r);
    const struct pvb_env *all = pv_bundle_section(bundle, PVB_ENVIRONMENT, NULL);
    const char **env = pv_mon_alloc(&r->arena, (PV_RUN_ENV_MAX + 1) * sizeof *env);
    size_t n = 0;
    if (!env)
        return NULL;
    env[n++] = pv_mon_printf(&r->arena, "PROVISO_USER=%s", r->user);
    env[n++] = pv_mon_printf(&r->arena, "PROVISO_UID=%u", r->uid);
    env[n++] = pv_mon_printf(&r->arena, "PROVISO_REQUEST=%s", r->id_text);
    env[n++] = "PROVISO_AGENT=1"; /* a front end on the PATH runs the real program below the agent */
    env[n++] = pv_mon_printf(&r->arena, "HOME=%s", who->home);
    env[n++] = pv_mon_printf(&r->arena, "USER=%s", who->name);
    env[n++] = pv_mon_printf(&r->arena, "LOGNAME=%s", who->name);
    env[n++] = "SHELL=/bin/sh";
    bool has_path = false, has_locale = false;
    for (uint32_t i = 0; i < command->n_env && n < PV_RUN_ENV_MAX - 2; i++) {
        const char *name = pv_bundle_string(bundle, all[command->first_env + i].name, NULL);
        const char *value = pv_bundle_string(bundle, all[command->first_env + i].value, NULL);
        if (strncmp(name, "PROVISO_", 8) == 0)
            continue;
        has_path = has_path || strcmp(name, "PATH") == 0;
        has_locale = has_locale || strcmp(name, "LANG") == 0 || strcmp(name, "LC_ALL") == 0;
        env[n++] = pv_mon_printf(&r->arena, "%s=%s", name, value);
    }
    if (!has_path)
        env[n++] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    if (!has_locale)
        env[n++] = "LANG=C.UTF-8";
    for (size_t i = 0; i < n; i++)
        if (!env[i])
            return NULL;
    return env;
}

static void command_ended(struct request *r, const struct pv_run_status *s)
{
    if (!s) {
        pv_mon_request_end(r, PV_OUTCOME_INTERRUPTED, -1, 0, "The end of the command was not seen.");
        return;
    }
    switch ((enum pv_run_end)s->end) {
    case PV_RUN_EXITED: pv_mon_request_end(r, PV_OUTCOME_DONE, s->status, 0, ""); break;
    case PV_RUN_SIGNALED: pv_mon_request_end(r, PV_OUTCOME_DONE, -1, s->signal, ""); break;
    case PV_RUN_EXPIRED:
        pv_mon_request_end(r, PV_OUTCOME_TIMEOUT, -1, s->signal, "The command was ended because its time was over.");
        break;
    case PV_RUN_UNSTARTED: pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, s->error); break;
    }
}

void pv_mon_run_command(struct request *r)
{
    struct pv_error error = {0};
    struct identity who;
    const char *const *argv = pv_mon_build_argv(r, &error);
    if (!argv) {
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, error.text);
        return;
    }
    if (find_identity(r, &who)) {
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The account that the command runs as does not exist.");
        return;
    }
    const char *const *env = build_env(r, &who);
    r->state = RS_RUN;
    pv_mon_request_progress(r, PV_PHASE_RUNNING, "");
    if (pv_mon_request_over(r))
        return;
    r->started = true;
    struct run_spec spec = {.step = "run",
                            .flags = who.uid ? PV_RUN_F_END_LEFTOVERS : 0,
                            .uid = who.uid,
                            .gid = who.gid,
                            .groups = who.groups,
                            .n_groups = who.n_groups,
                            .cwd = who.cwd,
                            .limit = pv_mon_request_limit(r),
                            .argv = argv,
                            .env = env};
    if (!env || pv_mon_run_prepare(r) || pv_mon_run_step(r, &spec, command_ended))
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The command could not be started.");
}

/* ---- After a restart ---- */

/* Whether some runner still holds the directory's lock. */
static bool is_running(int dir)
{
    int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static bool read_info(struct request *r)
{
    char text[PV_REQUEST_TEXT_MAX + 1], magic[sizeof info_magic];
    void *data;
    size_t len;
    if (pv_file_read(r->run->dir, "info", PV_WIRE_MAX, &data, &len))
        return false;
    struct pv_rbuf in;
    pv_rbuf_init(&in, data, len);
    pv_get_raw(&in, magic, sizeof magic);
    r->id = pv_get_u64(&in);
    r->uid = pv_get_u32(&in);
    pv_get_str_copy(&in, text, sizeof text);
    r->user = pv_mon_strdup(&r->arena, text, strlen(text));
    pv_get_str_copy(&in, text, sizeof text);
    r->wire.command = pv_mon_strdup(&r->arena, text, strlen(text));
    r->is_apt = pv_get_bool(&in);
    r->wire.n_args = pv_get_u32_max(&in, PV_REQUEST_ARGS_MAX);
    for (uint32_t i = 0; i < r->wire.n_args; i++) {
        pv_get_str_copy(&in, text, sizeof text);
        r->wire.args[i] = pv_mon_strdup(&r->arena, text, strlen(text));
        if (!r->wire.args[i])
            in.error = true;
    }
    bool good = pv_rbuf_done(&in) && memcmp(magic, info_magic, sizeof magic) == 0 && r->user && r->wire.command;
    free(data);
    return good;
}

static void look(void *context)
{
    struct run *run = context;
    if (is_running(run->dir))
        pv_loop_timer(&run->r->m->loop, &run->look, ADOPTED_LOOK_MS);
    else
        step_over(run);
}

/* The last step that was begun or ended: what the request still waits for. */
static void find_step(struct run *run)
{
    struct stat st;
    const char *step = "run";
    if (run->r->is_apt && fstatat(run->dir, "mark.status", &st, AT_SYMLINK_NOFOLLOW) == 0)
        step = "mark";
    snprintf(run->step, sizeof run->step, "%s", step);
}

static void recover_one(struct monitor *m, const char *name)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return;
    r->m = m;
    r->state = RS_RUN;
    r->started = r->on_record = true;
    r->command = -1;
    r->wire.version = r->wire.source = r->wire.reason = r->wire.cwd = "";
    snprintf(r->id_text, sizeof r->id_text, "%s", name);
    r->next = m->requests;
    m->requests = r;
    r->policy = pv_mon_policy_ref(m->policy);
    struct run *run = get_run(r);
    if (run)
        run->dir = openat(m->runs_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    char expected[PV_REQUEST_ID_SIZE + 1] = "";
    bool good = run && run->dir >= 0 && read_info(r);
    if (good)
        snprintf(expected, sizeof expected, "%016llx", (unsigned long long)r->id);
    if (!good || strcmp(expected, name) != 0) { /* died before it was whole: then nothing was started either */
        r->on_record = false;
        r->id = strtoull(name, NULL, 16);
        pv_mon_run_remove(m, r->id);
        pv_mon_request_end(r, PV_OUTCOME_INTERRUPTED, -1, 0, "");
        return;
    }
    struct stat st;
    r->started_ns = fstat(run->dir, &st) == 0 ? (uint64_t)st.st_mtim.tv_sec * 1000000000u : 0;
    find_step(run);
    run->ended = r->is_apt ? pv_mon_transaction_recovered : command_ended;
    run->look = (struct pv_timer){.fire = look, .context = run};
    bool running = is_running(run->dir);
    pv_mon_log("run %s %s", name, running ? "still goes on: adopted" : "was left behind: closing it");
    if (r->is_apt && !m->transaction)
        m->transaction = r;
    pv_loop_timer(&m->loop, &run->look, 0);
}

/* Requests on record as running of which nothing else is left. */
static void unfinished_row(void *context, uint32_t type, struct pv_rbuf *row)
{
    struct monitor *m = context;
    if (!row || type != PV_MSG_LEDGER_UNFINISHED_ROW)
        return;
    uint64_t id = pv_get_u64(row);
    int64_t uid = pv_get_i64(row);
    if (row->error)
        return;
    for (const struct request *r = m->requests; r; r = r->next)
        if (r->id == id)
            return;
    struct pv_record record = {.kind = PV_RECORD_OUTCOME, .uid = uid, .request = id};
    record.outcome.word = pv_str_of(pv_mon_outcome_word(PV_OUTCOME_INTERRUPTED));
    record.outcome.exit_status = -1;
    record.outcome.sentence = pv_str_of("The agent ended before the command had started.");
    pv_mon_record(m, &record, true, NULL, NULL);
}

void pv_mon_run_recover(struct monitor *m)
{
    int fd = openat(m->runs_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (entries) {
        for (struct dirent *e; (e = readdir(entries));)
            if (strlen(e->d_name) == PV_REQUEST_ID_SIZE && strspn(e->d_name, "0123456789abcdef") == PV_REQUEST_ID_SIZE)
                recover_one(m, e->d_name);
        closedir(entries);
    } else if (fd >= 0) {
        close(fd);
    }
    if (pv_mon_ask(m, PV_MSG_LEDGER_UNFINISHED, NULL, unfinished_row, m))
        pv_mon_log("the ledger cannot be asked for unfinished requests");
}
