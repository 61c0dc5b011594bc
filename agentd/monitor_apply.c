/*
 * Applying a plan whose decision is on record, and what is made of it afterwards: fetch, apply, marks, dpkg's state,
 * changes, ownership, outcome; and the same for what an earlier monitor began.
 *
 * Until apply starts, a cancellation ends it; from then on nothing does but the hard limit. The outcome is what dpkg's
 * database says when nobody works on it any more, whoever died in between.
 */
#include "agentd/monitor_transaction.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MARK_LIMIT = 120,      /* seconds */
    DPKG_LOOK_MS = 500,    /* between looks at dpkg's lock */
    DPKG_LOOKS_MAX = 7200, /* an hour */
};

/* ---- Running ---- */

static int64_t time_left(const struct request *r)
{
    int64_t spent = (int64_t)((pv_now_ns() - r->started_ns) / 1000000000u);
    int64_t limit = pv_mon_request_limit(r);
    return spent < limit ? limit - spent : 1;
}

static int write_plan_sink(void *context, const void *bytes, size_t len)
{
    return fwrite(bytes, 1, len, context) == len ? 0 : -1;
}

static int write_plan(struct request *r)
{
    char *text = NULL, run_dir[4096];
    size_t len;
    if (pv_mon_run_dir(r, run_dir, sizeof run_dir))
        return -1;
    FILE *stream = open_memstream(&text, &len);
    if (!stream)
        return -1;
    int result = pv_plan_canonical(&r->transaction->plan, write_plan_sink, stream);
    if (fclose(stream) != 0)
        result = -1;
    int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (result == 0)
        result = dir < 0 ? -1 : pv_file_write(dir, PV_APT_PLAN_FILE, 0600, text, len);
    if (dir >= 0)
        close(dir);
    free(text);
    return result;
}

/* Whether somebody holds dpkg's frontend lock in our root. */
static bool dpkg_locked(const struct request *r)
{
    char path[4096];
    const char *root = r->m->options.root;
    snprintf(path, sizeof path, "%s/var/lib/dpkg/lock-frontend", strcmp(root, "/") ? root : "");
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool locked = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return locked;
}

static void reconcile(struct request *r)
{
    r->transaction->asked_states = 0;
    r->state = RS_RECONCILE;
    pv_mon_request_progress(r, PV_PHASE_RECONCILING, "");
    pv_mon_transaction_ask(r, ASK_STATE);
}

/* The runner died and apt may still be at work: nothing is read before it is done. */
static void look_at_dpkg(void *context)
{
    struct request *r = context;
    struct transaction *t = r->transaction;
    if (dpkg_locked(r) && ++t->looks < DPKG_LOOKS_MAX)
        pv_loop_timer(&r->m->loop, &t->look, DPKG_LOOK_MS);
    else
        reconcile(r);
}

static void not_marked(const struct request *r)
{
    pv_mon_log("run %s: apt's marks of what is a dependency could not be set", r->id_text);
}

static void marked_manual(struct request *r, const struct pv_run_status *s)
{
    struct transaction *t = r->transaction;
    bool good = s && s->end == PV_RUN_EXITED && s->status == 0;
    if (!good)
        not_marked(r);
    if (t->plan.n_ops)
        reconcile(r);
    else if (good)
        pv_mon_request_end(r, PV_OUTCOME_DONE, 0, 0, "It was there already, and stays for its own sake from now on.");
    else
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "It was there already; its mark could not be set.");
}

static void mark_manual(struct request *r)
{
    struct transaction *t = r->transaction;
    r->state = RS_MARK;
    if (pv_mon_transaction_step(r, PV_APT_MARK_MANUAL, "manual", 0, MARK_LIMIT, t->manual, t->n_manual, marked_manual))
        marked_manual(r, NULL);
}

static void marked(struct request *r, const struct pv_run_status *s)
{
    if (!s || s->end != PV_RUN_EXITED || s->status != 0)
        not_marked(r);
    if (r->transaction->n_manual)
        mark_manual(r);
    else
        reconcile(r);
}

static void applied(struct request *r, const struct pv_run_status *s)
{
    struct transaction *t = r->transaction;
    t->has_status = s != NULL;
    t->unseen = s == NULL;
    if (s)
        t->status = *s;
    if (!s) {
        t->look = (struct pv_timer){.fire = look_at_dpkg, .context = r};
        pv_loop_timer(&r->m->loop, &t->look, DPKG_LOOK_MS);
        return;
    }
    if (s->overran)
        pv_mon_log("run %s took longer than its limit; dpkg was not interrupted", r->id_text);
    bool good = s->end == PV_RUN_EXITED && s->status == 0;
    if (good && pv_apt_needs_mark(&t->plan)) {
        r->state = RS_MARK;
        if (pv_mon_transaction_step(r, PV_APT_MARK_AUTO, "mark", 0, MARK_LIMIT, NULL, 0, marked) == 0)
            return;
        not_marked(r);
    }
    if (good && t->n_manual)
        mark_manual(r);
    else
        reconcile(r);
}

static void apply(struct request *r)
{
    r->state = RS_RUN;
    pv_mon_request_progress(r, PV_PHASE_RUNNING, "");
    if (pv_mon_request_over(r))
        return;
    if (r->cancelled) {
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
        return;
    }
    r->started = true;
    if (pv_mon_transaction_step(r, PV_APT_APPLY, "run", PV_RUN_F_DPKG | PV_RUN_F_PROGRESS, time_left(r), NULL, 0,
                                applied))
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The package manager could not be started.");
}

static void fetched(struct request *r, const struct pv_run_status *s)
{
    if (r->cancelled)
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
    else if (s && s->end == PV_RUN_EXITED && s->status == 0)
        apply(r);
    else if (s && s->end == PV_RUN_EXPIRED)
        pv_mon_request_end(r, PV_OUTCOME_TIMEOUT, -1, 0, "Fetching the packages took too long.");
    else
        pv_mon_request_end(r, PV_OUTCOME_FAILED, s && s->end == PV_RUN_EXITED ? (int64_t)s->status : -1, 0,
                           "The packages could not be fetched.");
}

void pv_mon_transaction_run(struct request *r)
{
    if (pv_mon_run_prepare(r) || write_plan(r)) {
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The run could not be prepared.");
        return;
    }
    if (r->cancelled) {
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
        return;
    }
    if (r->transaction->plan.n_ops == 0) { /* only marks are to be set */
        r->started = true;
        mark_manual(r);
        return;
    }
    if (!pv_apt_needs_fetch(&r->transaction->plan)) {
        apply(r);
        return;
    }
    r->state = RS_FETCH;
    if (pv_mon_transaction_step(r, PV_APT_FETCH, "fetch", PV_RUN_F_PROGRESS, time_left(r), NULL, 0, fetched)) {
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The packages cannot be fetched.");
        return;
    }
    pv_mon_request_progress(r, PV_PHASE_FETCHING, ""); /* a client that is gone stops it */
}

/* ---- Afterwards ---- */

static const struct pv_plan_state *state_of(const struct transaction *t, const struct pv_plan_op *op)
{
    for (size_t i = 0; i < t->n_states; i++)
        if (strcmp(t->states[i].name, op->name) == 0 &&
            (strcmp(t->states[i].arch, op->arch) == 0 || !t->states[i].arch[0] || strcmp(op->arch, "all") == 0))
            return &t->states[i];
    return NULL;
}

static void record_own(struct request *r, const struct pv_plan_op *op, bool granted, uid_t uid, const char *user,
                       const char *reason)
{
    struct pv_record record = {.kind = PV_RECORD_OWN, .uid = uid, .request = r->id};
    record.own.granted = granted;
    record.own.root = pv_str_of(r->m->options.root);
    record.own.package = pv_str_of(op->name);
    record.own.arch = pv_str_of(op->arch);
    record.own.user = pv_str_of(user);
    record.own.reason = pv_str_of(reason);
    pv_mon_record(r->m, &record, true, NULL, NULL);
}

static void end_ownership(struct request *r, const struct pv_plan_op *op)
{
    for (size_t i = 0; i < r->n_owners; i++) {
        const struct owner_fact *fact = &r->owners[i];
        if (fact->owned && strcmp(fact->package, op->name) == 0 && strcmp(fact->arch, op->arch) == 0)
            record_own(r, op, false, fact->uid, fact->user, "removed");
    }
}

static void add_change(struct request *r, const struct pv_plan_op *op, const char *now)
{
    const char *action = pv_plan_is_removal(op) ? "remove" : pv_plan_action_name(op->action);
    r->changes[r->n_changes++] = (struct pv_record_change){.action = pv_str_of(action),
                                                           .package = pv_str_of(op->name),
                                                           .arch = pv_str_of(op->arch),
                                                           .old_version = pv_str_of(op->old_version),
                                                           .new_version = pv_str_of(now)};
}

/* Compares the plan with dpkg's database. True when all of it has happened. */
static bool compare_with_state(struct request *r)
{
    struct transaction *t = r->transaction;
    bool all = true;
    r->changes = pv_mon_alloc(&r->arena, (t->plan.n_ops + 1) * sizeof *r->changes);
    if (!r->changes)
        return false;
    for (size_t i = 0; i < t->plan.n_ops; i++) {
        const struct pv_plan_op *op = &t->plan.ops[i];
        const struct pv_plan_state *now = state_of(t, op);
        bool there = now && now->installed;
        bool happened = pv_plan_is_removal(op) ? !there && !(now && now->broken)
                                               : there && strcmp(now->installed_version, op->new_version) == 0;
        all = all && happened;
        if (!happened)
            continue;
        add_change(r, op, pv_plan_is_removal(op) ? "" : op->new_version);
        if (pv_plan_is_removal(op))
            end_ownership(r, op);
        else if (op->action == PV_PLAN_INSTALL && !op->dependency)
            record_own(r, op, true, r->uid, r->user, "installed");
    }
    return all;
}

/* The hook's reason for stopping apt, or "". */
static void hook_sentence(struct request *r, char *text, size_t size)
{
    char path[4200], run_dir[4096];
    void *data;
    size_t len;
    text[0] = '\0';
    if (pv_mon_run_dir(r, run_dir, sizeof run_dir))
        return;
    snprintf(path, sizeof path, "%s/%s", run_dir, PV_APT_HOOK_ERROR);
    if (pv_file_read(AT_FDCWD, path, 4096, &data, &len))
        return;
    len = strcspn(data, "\n");
    pv_escape(text, size, data, len);
    free(data);
}

void pv_mon_transaction_reconciled(struct request *r, bool known)
{
    struct transaction *t = r->transaction;
    char hook[1024];
    pv_mon_helper_stop(&r->helper);
    bool all = known && compare_with_state(r);
    hook_sentence(r, hook, sizeof hook);
    if (!known)
        pv_mon_log("run %s: dpkg's state is not known; ownership stays as it was", r->id_text);
    if (t->unseen)
        pv_mon_request_end(r, all ? PV_OUTCOME_DONE : PV_OUTCOME_INTERRUPTED, all ? 0 : -1, 0,
                           all ? "The end of the command was not seen; dpkg's database has all of it."
                               : "The end of the command was not seen.");
    else if (t->status.end == PV_RUN_UNSTARTED)
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, t->status.error);
    else if (hook[0])
        pv_mon_request_end(r, PV_OUTCOME_FAILED, t->status.end == PV_RUN_EXITED ? (int64_t)t->status.status : -1, 0,
                           hook);
    else if (t->status.end == PV_RUN_EXPIRED)
        pv_mon_request_end(r, PV_OUTCOME_TIMEOUT, -1, t->status.signal, "The hard limit ended the package manager.");
    else if (t->status.end == PV_RUN_SIGNALED)
        pv_mon_request_end(r, PV_OUTCOME_DONE, -1, t->status.signal, "");
    else
        pv_mon_request_end(r, PV_OUTCOME_DONE, t->status.status, 0,
                           known && !all && t->status.status == 0 ? "dpkg's database does not have all of it."
                           : t->status.overran ? "It took longer than its limit; dpkg was not interrupted."
                                               : "");
}

/* ---- After a restart ---- */

static bool read_plan(struct request *r)
{
    char path[4200], run_dir[4096];
    void *text;
    size_t len;
    if (pv_mon_run_dir(r, run_dir, sizeof run_dir))
        return false;
    snprintf(path, sizeof path, "%s/%s", run_dir, PV_APT_PLAN_FILE);
    if (pv_file_read(AT_FDCWD, path, PV_PLAN_TEXT_MAX, &text, &len))
        return false;
    bool good = pv_plan_parse(&r->transaction->plan, text, len) == 0;
    free(text);
    /* The canonical text does not tell what was asked for by name: the request does. */
    for (size_t i = 0; good && i < r->transaction->plan.n_ops; i++) {
        struct pv_plan_op *op = &r->transaction->plan.ops[i];
        op->dependency = !pv_mon_transaction_listed(r->wire.args, r->wire.n_args, op->name);
    }
    return good;
}

static void recovered_owners(struct request *r)
{
    struct transaction *t = r->transaction;
    if (t->unseen)
        applied(r, NULL);
    else
        applied(r, &t->status);
}

void pv_mon_transaction_recovered(struct request *r, const struct pv_run_status *status)
{
    char why[600];
    if (r->transaction) { /* the mark step of a recovered transaction */
        marked(r, status);
        return;
    }
    struct transaction *t = calloc(1, sizeof *t);
    if (!t) {
        pv_mon_transaction_no_memory(r);
        return;
    }
    r->transaction = t;
    t->recovered = true;
    t->has_status = status != NULL;
    t->unseen = status == NULL;
    if (status)
        t->status = *status;
    if (!read_plan(r) || pv_mon_transaction_set(r, why, sizeof why)) {
        pv_mon_request_end(r, PV_OUTCOME_INTERRUPTED, -1, 0, "The agent ended before the command had started.");
        return;
    }
    const char **packages = pv_mon_alloc(&r->arena, (t->plan.n_ops + 1) * sizeof *packages);
    const char **archs = pv_mon_alloc(&r->arena, (t->plan.n_ops + 1) * sizeof *archs);
    if (!packages || !archs) {
        pv_mon_transaction_no_memory(r);
        return;
    }
    for (size_t i = 0; i < t->plan.n_ops; i++) {
        packages[i] = t->plan.ops[i].name;
        archs[i] = t->plan.ops[i].arch;
    }
    pv_mon_request_ask_owners(r, packages, archs, t->plan.n_ops, recovered_owners);
}
