/*
 * Argument vectors and environments of root's apt.
 *
 * The vector is the agent's own from end to end: fixed program, fixed options, `--`, then one word for every operation
 * of the plan, with architecture and exact version, so that apt has nothing left to choose. What it would choose
 * differently all the same (because the machine changed in between) the hook refuses. The environment starts empty.
 */
#include "agentd/apt/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/internal.h"
#include "agentd/apt/name.h"
#include "agentd/apt/text.h"

/* Strings one after the other, each terminated; pointers are made at the end, when nothing moves any more. */
struct vector {
    struct pv_text text;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct vector *v, const char *format, ...)
{
    char word[8192];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(word, sizeof word, format, args);
    va_end(args);
    if (len < 0 || len >= (int)sizeof word) {
        v->text.failed = true;
        return;
    }
    pv_text_add(&v->text, word, (size_t)len + 1);
    v->n++;
}

bool pv_apt_needs_fetch(const struct pv_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (!pv_plan_is_removal(&plan->ops[i]))
            return true;
    return false;
}

static bool becomes_automatic(const struct pv_plan_op *op)
{
    if (pv_plan_is_removal(op))
        return false;
    return op->action == PV_PLAN_INSTALL ? op->dependency : op->automatic && op->dependency;
}

bool pv_apt_needs_mark(const struct pv_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (becomes_automatic(&plan->ops[i]))
            return true;
    return false;
}

/* name, or name:arch where the architecture is one. */
static void add_package(struct vector *v, const struct pv_plan_op *op, const char *tail, const char *more)
{
    if (strcmp(op->arch, "all") == 0)
        add(v, "%s%s%s", op->name, tail, more);
    else
        add(v, "%s:%s%s%s", op->name, op->arch, tail, more);
}

static int add_plan(struct vector *v, enum pv_apt_step step, const struct pv_apt_job *job, struct pv_apt_error *error)
{
    bool removes = false, purges = false, downgrades = false, essential = false, reinstalls = false;
    for (size_t i = 0; i < job->plan->n_ops; i++) {
        const struct pv_plan_op *op = &job->plan->ops[i];
        removes |= op->action == PV_PLAN_REMOVE;
        purges |= op->action == PV_PLAN_PURGE;
        downgrades |= op->action == PV_PLAN_DOWNGRADE;
        reinstalls |= op->action == PV_PLAN_REINSTALL;
        essential |= op->essential && pv_plan_is_removal(op);
    }
    if (job->plan->n_ops == 0)
        return pv_apt_refuse(error, "the plan is empty");
    if (removes && purges)
        return pv_apt_refuse(error, "one plan cannot both keep and remove configuration files");
    add(v, "/usr/bin/apt-get");
    add(v, "--yes");
    add(v, "--quiet");
    add(v, step == PV_APT_FETCH ? "--download-only" : "--no-download");
    add(v, "--no-install-recommends"); /* the plan lists them */
    if (job->status_fd >= 0) {
        add(v, "--option");
        add(v, "APT::Status-Fd=%d", job->status_fd);
    }
    if (downgrades)
        add(v, "--allow-downgrades");
    if (essential)
        add(v, "--allow-remove-essential");
    if (purges)
        add(v, "--purge");
    if (!removes && !purges)
        add(v, "--no-remove");
    if (reinstalls)
        add(v, "--reinstall");
    add(v, "install");
    add(v, "--");
    for (size_t i = 0; i < job->plan->n_ops; i++) {
        const struct pv_plan_op *op = &job->plan->ops[i];
        if (pv_plan_is_removal(op)) {
            add_package(v, op, "-", "");
        } else { /* the last + says "install", so that one in the version itself does not */
            char version[PV_APT_VERSION_MAX + 2];
            snprintf(version, sizeof version, "%s+", op->new_version);
            add_package(v, op, "=", version);
        }
    }
    return 0;
}

static bool markable(const char *name)
{
    const char *colon = strchr(name, ':');
    size_t n = colon ? (size_t)(colon - name) : strlen(name);
    return pv_apt_name_valid(name, n) && (!colon || pv_apt_arch_valid(colon + 1, strlen(colon + 1)));
}

static int add_words(struct vector *v, enum pv_apt_step step, const struct pv_apt_job *job, struct pv_apt_error *error)
{
    switch (step) {
    case PV_APT_REFRESH:
        add(v, "/usr/bin/apt-get");
        add(v, "--quiet");
        if (job->status_fd >= 0) {
            add(v, "--option");
            add(v, "APT::Status-Fd=%d", job->status_fd);
        }
        add(v, "update");
        return 0;
    case PV_APT_FETCH:
        if (!pv_apt_needs_fetch(job->plan))
            return pv_apt_refuse(error, "the plan brings no archive");
        return add_plan(v, step, job, error);
    case PV_APT_APPLY: return add_plan(v, step, job, error);
    case PV_APT_MARK_AUTO:
        if (!pv_apt_needs_mark(job->plan))
            return pv_apt_refuse(error, "the plan brings no dependency");
        add(v, "/usr/bin/apt-mark");
        add(v, "--quiet");
        add(v, "auto");
        add(v, "--");
        for (size_t i = 0; i < job->plan->n_ops; i++)
            if (becomes_automatic(&job->plan->ops[i]))
                add_package(v, &job->plan->ops[i], "", "");
        return 0;
    case PV_APT_MARK_MANUAL:
        if (job->n_names == 0)
            return pv_apt_refuse(error, "there is no package to mark");
        add(v, "/usr/bin/apt-mark");
        add(v, "--quiet");
        add(v, "manual");
        add(v, "--");
        for (size_t i = 0; i < job->n_names; i++) {
            if (!markable(job->names[i]))
                return pv_apt_refuse(error, "a package to mark has an invalid name");
            add(v, "%s", job->names[i]);
        }
        return 0;
    case PV_APT_REPAIR:
        add(v, "/usr/bin/dpkg");
        if (strcmp(job->root, "/") != 0) {
            add(v, "--root=%s", job->root);
            add(v, "--log=%s/var/log/dpkg.log", job->root);
        }
        add(v, "--force-confdef");
        add(v, "--force-confold");
        add(v, "--configure");
        add(v, "-a");
        return 0;
    case PV_APT_CLEAN:
        add(v, "/usr/bin/apt-get");
        add(v, "--quiet");
        add(v, "clean");
        return 0;
    }
    return pv_apt_refuse(error, "an unknown step");
}

/* Letters, digits, `._-@+` and bytes above ASCII: whatever else a name service may say in a name is not passed on to
 * maintainer scripts, which are shell scripts; the uid says who it is. */
static bool user_plain(const char *user)
{
    size_t len = strlen(user);
    if (len == 0 || len > 255 || user[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)user[i];
        if (!(c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("._-@+", c)))
            return false;
    }
    return true;
}

static void add_environment(struct vector *v, enum pv_apt_step step, const struct pv_apt_job *job)
{
    add(v, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    add(v, "HOME=/root");
    add(v, "LC_ALL=C.UTF-8");
    add(v, "TERM=dumb");
    add(v, "DEBIAN_FRONTEND=noninteractive");
    add(v, "DEBCONF_NONINTERACTIVE_SEEN=true");
    add(v, "DEBIAN_PRIORITY=critical");
    add(v, "UCF_FORCE_CONFFOLD=1");
    add(v, "APT_LISTCHANGES_FRONTEND=none");
    add(v, "NEEDRESTART_MODE=l");
    add(v, "PROVISO_AGENT=1"); /* a shim that finds itself below the agent runs the real program */
    add(v, "APT_CONFIG=%s/apt.conf", job->set_dir);
    if (step == PV_APT_APPLY)
        add(v, PV_APT_RUN_VARIABLE "=%s", job->run_dir);
    if (job->user) {
        if (user_plain(job->user))
            add(v, "PROVISO_USER=%s", job->user);
        add(v, "PROVISO_UID=%ju", (uintmax_t)job->uid);
        add(v, "PACKAGEKIT_CALLER_UID=%ju", (uintmax_t)job->uid); /* apt writes it into its history */
    }
}

static void point(char **pointers, const struct vector *v, char *text)
{
    for (size_t i = 0; i < v->n; i++) {
        pointers[i] = text;
        text += strlen(text) + 1;
    }
    pointers[v->n] = NULL;
}

int pv_apt_command_build(struct pv_apt_command *command, enum pv_apt_step step, const struct pv_apt_job *job,
                         struct pv_apt_error *error)
{
    struct vector argv = {0}, envp = {0};
    *command = (struct pv_apt_command){0};
    error->text[0] = '\0';
    if (!pv_apt_path_plain(job->set_dir) || !pv_apt_path_plain(job->root) ||
        (step == PV_APT_APPLY && (!job->run_dir || !pv_apt_path_plain(job->run_dir))))
        return pv_apt_refuse(error, "a directory of the run is not a plain absolute path");
    int result = add_words(&argv, step, job, error);
    if (result)
        goto out;
    add_environment(&envp, step, job);
    result = PV_E_APT_NOMEM;
    if (argv.text.failed || envp.text.failed || !argv.text.data || !envp.text.data)
        goto out;
    size_t pointers = (argv.n + envp.n + 2) * sizeof(char *);
    char **store = malloc(pointers + argv.text.len + envp.text.len);
    if (!store)
        goto out;
    char *text = (char *)store + pointers;
    memcpy(text, argv.text.data, argv.text.len);
    memcpy(text + argv.text.len, envp.text.data, envp.text.len);
    command->store = store;
    command->argv = store;
    command->envp = store + argv.n + 1;
    point(command->argv, &argv, text);
    point(command->envp, &envp, text + argv.text.len);
    result = 0;
out:
    if (result == PV_E_APT_NOMEM)
        snprintf(error->text, sizeof error->text, "out of memory, or a word too long for a command line");
    free(argv.text.data);
    free(envp.text.data);
    return result;
}

void pv_apt_command_free(struct pv_apt_command *command)
{
    free(command->store);
    *command = (struct pv_apt_command){0};
}
