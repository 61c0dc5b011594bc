/*
 * Package transactions up to a decision:
 *
 *   sources -> lock -> [refresh] -> plan -> [names] -> owners -> decide -> (plan again)
 *
 * and, once that is on record, monitor_apply.c: [fetch] -> apply -> [mark] -> state -> changes, ownership, outcome.
 *
 * One transaction at a time holds the lock, and whoever was served longest ago is next. The planner works out what apt
 * would do with the sources that this user may use; every operation is decided as what it is; apply runs exactly that
 * plan, and the pre-install hook holds apt to it.
 *
 * A denied plan is not the last word where another plan would do: without recommended packages, without a source that
 * caused a denial, and, for an upgrade of everything, without what is denied. The first denial is what is told when
 * none of these is allowed.
 *
 * Invariants: the plan that is decided, recorded, written for the hook and applied is one object; (monitor_apply.c)
 * ownership follows dpkg's database after the fact, never the plan alone.
 */
#include "agentd/monitor_transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ATTEMPTS_MAX = 4,    /* plans for a request that names packages */
    ROUNDS_MAX = 24,     /* plans for an upgrade of everything */
    SERVED_MAX = 64,     /* users whose turn is remembered */
    REFRESH_LIMIT = 900, /* seconds */
    STATES_PER_QUESTION = PV_PLAN_REQUEST_MAX,
};

static const char no_sources_text[] = "There are no sources enabled for packages and none were passed as arguments.";

static void plan_request(struct request *r);
static void take_lock(struct request *r);

/* ---- The lock: one at a time, fair between users ---- */

static struct {
    uid_t uid;
    uint64_t turn;
} served[SERVED_MAX];
static uint64_t turns;

static uint64_t last_turn(uid_t uid)
{
    for (size_t i = 0; i < SERVED_MAX; i++)
        if (served[i].turn && served[i].uid == uid)
            return served[i].turn;
    return 0;
}

static void note_turn(uid_t uid)
{
    size_t oldest = 0;
    for (size_t i = 0; i < SERVED_MAX; i++) {
        if (served[i].turn && served[i].uid == uid) {
            oldest = i;
            break;
        }
        if (served[i].turn < served[oldest].turn)
            oldest = i;
    }
    served[oldest].uid = uid;
    served[oldest].turn = ++turns;
}

/* Whoever's user was served longest ago, then the oldest request. */
static void serve_next(struct monitor *m)
{
    struct request *next = NULL;
    if (m->transaction)
        return;
    for (struct request *r = m->requests; r; r = r->next) {
        if (r->state != RS_LOCK)
            continue;
        uint64_t turn = last_turn(r->uid), best = next ? last_turn(next->uid) : 0;
        if (!next || turn < best || (turn == best && r->id < next->id))
            next = r;
    }
    if (next)
        take_lock(next);
}

void pv_mon_transaction_free(struct request *r)
{
    struct monitor *m = r->m;
    struct transaction *t = r->transaction;
    if (t) {
        r->transaction = NULL;
        pv_loop_untimer(&m->loop, &t->look);
        pv_plan_clear(&t->plan);
        free(t->states);
        if (t->made_dir && !r->on_record)
            pv_mon_run_remove(m, r->id);
        pv_mon_free_later(m, t);
    }
    if (m->transaction == r) {
        m->transaction = NULL;
        serve_next(m);
    }
}

/* ---- Ends without a plan ---- */

void pv_mon_transaction_no_memory(struct request *r)
{
    if (r->on_record)
        pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, "The agent is out of memory.");
    else
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "The agent is out of memory.");
}

/* Nothing forbids it, and it cannot be done: that is on record too, within the rate. */
static void cannot(struct request *r, const char *sentence)
{
    char text[1024];
    snprintf(text, sizeof text, "%s %s: %s", r->wire.command, r->wire.n_args ? r->wire.args[0] : "", sentence);
    if (!r->on_record && !r->explain && pv_mon_denial_recorded(r->m, r->uid)) {
        struct pv_record record = {.kind = PV_RECORD_EVENT, .uid = r->uid, .request = r->id};
        record.event.word = pv_str_of("unplanned");
        record.event.text = pv_str_of(text);
        pv_mon_record(r->m, &record, true, NULL, NULL);
    }
    pv_mon_request_end(r, PV_OUTCOME_FAILED, -1, 0, sentence);
}

static void deny_all(struct request *r, const char *id, const char *sentence)
{
    if (pv_mon_deny(r, id, sentence))
        pv_mon_transaction_no_memory(r);
    else
        pv_mon_request_decided(r);
}

/* A plan was denied before: that is the answer. */
static bool answer_first_denial(struct request *r)
{
    struct denial *first = &r->transaction->first;
    if (!first->kept)
        return false;
    r->operations = first->operations;
    r->n_operations = first->n_operations;
    r->verdict = first->verdict;
    r->sentence = first->sentence;
    r->attrs = first->attrs;
    r->n_attrs = first->n_attrs;
    r->planned_facts = true;
    pv_mon_request_decided(r);
    return true;
}

/* ---- Sources ---- */

static int choose_sources(struct request *r)
{
    struct transaction *t = r->transaction;
    const struct pv_bundle *bundle = r->policy->bundle;
    size_t n;
    const struct pvb_source *all = pv_bundle_section(bundle, PVB_SOURCES, &n);
    bool full = false;
    t->sources = pv_mon_alloc(&r->arena, (n + 1) * sizeof *t->sources);
    if (!t->sources)
        return -1;
    for (uint32_t i = 0; r->uses_sources && i < n; i++) {
        const char *name = pv_bundle_string(bundle, all[i].name, NULL);
        if (strcmp(pv_bundle_string(bundle, all[i].type, NULL), "apt") != 0)
            continue;
        enum source_use use = pv_mon_source_use(r, i);
        if (use == SOURCE_HIDDEN)
            continue;
        /* The user chose one: it alone brings what is named, the others what that needs. */
        bool chosen = !r->wire.source[0] || strcmp(r->wire.source, name) == 0;
        struct chosen_source *s = &t->sources[t->n_sources++];
        s->dependency_only = use == SOURCE_DEPENDENCIES || !chosen;
        s->priority = all[i].priority;
        s->apt = (struct pv_apt_source){.name = name,
                                        .location = pv_bundle_string(bundle, all[i].location, NULL),
                                        .key = pv_bundle_string(bundle, all[i].key, NULL),
                                        .is_unsigned = all[i].flags & PVB_SOURCE_UNSIGNED};
        full = full || !s->dependency_only;
    }
    return full || !r->uses_sources ? 1 : 0;
}

static int hash_sink(void *context, const void *bytes, size_t len)
{
    return crypto_hash_sha256_update(context, bytes, len);
}

/* The directory of the present set of sources, made or completed. 0, or -1 with a sentence. */
int pv_mon_transaction_set(struct request *r, char *why, size_t size)
{
    struct transaction *t = r->transaction;
    char hook[4096], hex[65];
    uint8_t hash[32];
    struct pv_apt_error error = {0};
    struct pv_apt_source *list = pv_mon_alloc(&r->arena, (t->n_sources + 1) * sizeof *list);
    size_t n = 0;
    if (!list) {
        snprintf(why, size, "The agent is out of memory.");
        return -1;
    }
    for (size_t i = 0; i < t->n_sources; i++)
        if (!t->sources[i].excluded)
            list[n++] = t->sources[i].apt;
    snprintf(hook, sizeof hook, "%s/proviso-hook", r->m->options.libexec);
    const struct options *o = &r->m->options;
    struct pv_apt_setup setup = {.root = o->root,
                                 .hook = hook,
                                 .sources = list,
                                 .n_sources = n,
                                 .options = o->apt_options,
                                 .n_options = o->n_apt_options};
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    if (pv_apt_config_canonical(&setup, hash_sink, &state, &error))
        goto fail;
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    if ((size_t)snprintf(t->set_dir, sizeof t->set_dir, "%s/apt/%.32s", r->m->options.state, hex) >=
        sizeof t->set_dir) {
        snprintf(why, size, "The agent's state directory has too long a name.");
        return -1;
    }
    if (pv_apt_config_write(t->set_dir, &setup, &error) == 0)
        return 0;
fail:
    pv_mon_log("run %s: %s", r->id_text, error.text);
    snprintf(why, size, "The package sources cannot be used: %s", error.text);
    return -1;
}

/* ---- Refreshing ---- */

static bool is_stale(const struct request *r)
{
    const struct transaction *t = r->transaction;
    char path[600];
    struct stat st;
    if (!r->uses_sources || t->refreshed)
        return false;
    snprintf(path, sizeof path, "%s/refreshed", t->set_dir);
    if (stat(path, &st) < 0)
        return true;
    int64_t age = pv_now() - st.st_mtim.tv_sec;
    return age < 0 || age >= r->m->options.refresh;
}

int pv_mon_transaction_step(struct request *r, enum pv_apt_step step, const char *name, uint32_t flags, int64_t limit,
                            const char *const *names, size_t n_names,
                            void (*ended)(struct request *r, const struct pv_run_status *status))
{
    struct transaction *t = r->transaction;
    char run_dir[4096];
    struct pv_apt_command command;
    struct pv_apt_error error = {0};
    if (pv_mon_run_dir(r, run_dir, sizeof run_dir))
        return -1;
    struct pv_apt_job job = {.set_dir = t->set_dir,
                             .root = r->m->options.root,
                             .run_dir = run_dir,
                             .plan = &t->plan,
                             .names = names,
                             .n_names = n_names,
                             .user = r->user,
                             .uid = r->uid,
                             .status_fd = flags & PV_RUN_F_PROGRESS ? PV_RUN_PROGRESS_FD : -1};
    if (pv_apt_command_build(&command, step, &job, &error)) {
        pv_mon_log("run %s: %s", r->id_text, error.text);
        return -1;
    }
    struct run_spec spec = {.step = name,
                            .flags = flags,
                            .cwd = "/",
                            .limit = limit,
                            .hard_limit = flags & PV_RUN_F_DPKG ? r->m->options.hard_limit : 0,
                            .argv = (const char *const *)command.argv,
                            .env = (const char *const *)command.envp};
    int result = pv_mon_run_step(r, &spec, ended);
    pv_apt_command_free(&command);
    return result;
}

static void refreshed(struct request *r, const struct pv_run_status *s)
{
    struct transaction *t = r->transaction;
    if (r->cancelled) {
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
        return;
    }
    t->refreshed = true;
    if (s && s->end == PV_RUN_EXITED && s->status == 0) {
        int dir = open(t->set_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int result = dir < 0 ? -errno : pv_file_write(dir, "refreshed", 0644, "", 0);
        if (dir >= 0)
            close(dir);
        if (result)
            pv_mon_log("%s/refreshed: %s", t->set_dir, strerror(-result));
    } else {
        /* What was fetched before is still there and still signed; without it the planner says so. */
        pv_mon_log("run %s: the package lists could not be refreshed", r->id_text);
    }
    plan_request(r);
}

static void refresh(struct request *r)
{
    r->state = RS_REFRESH;
    bool made = pv_mon_run_make(r) == 0;
    r->transaction->made_dir = made;
    if (made && pv_mon_transaction_step(r, PV_APT_REFRESH, "refresh", 0, REFRESH_LIMIT, NULL, 0, refreshed) == 0)
        pv_mon_request_progress(r, PV_PHASE_REFRESHING, ""); /* a client that is gone stops it */
    else
        cannot(r, "The package lists cannot be refreshed.");
}

/* ---- Asking the planner ---- */

static enum pv_planner_verb planner_verb(const struct request *r)
{
    if (strcmp(r->wire.command, "uninstall") == 0)
        return PV_VERB_UNINSTALL;
    return strcmp(r->wire.command, "upgrade") == 0 ? PV_VERB_UPGRADE : PV_VERB_INSTALL;
}

static void put_package(struct pv_wbuf *w, const char *name, const char *arch, const char *version)
{
    pv_put_cstr(w, name);
    pv_put_cstr(w, arch);
    pv_put_cstr(w, version);
}

static uint32_t put_state_packages(struct request *r, struct pv_wbuf *w)
{
    struct transaction *t = r->transaction;
    size_t n = t->plan.n_ops - t->asked_states;
    if (n > STATES_PER_QUESTION)
        n = STATES_PER_QUESTION;
    pv_put_u32(w, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        const struct pv_plan_op *op = &t->plan.ops[t->asked_states++];
        put_package(w, op->name, strcmp(op->arch, "all") == 0 ? "" : op->arch, "");
    }
    return (uint32_t)n;
}

static void send_question(struct request *r)
{
    static uint8_t payload[PV_WIRE_MAX];
    struct transaction *t = r->transaction;
    static const enum pv_planner_kind kinds[] = {PV_PLANNER_PLAN, PV_PLANNER_NAMES, PV_PLANNER_STATE};
    struct pv_wbuf w;
    size_t n = 0;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u32(&w, kinds[t->question]);
    pv_put_u32(&w, t->question == ASK_PLAN ? (uint32_t)planner_verb(r) : (uint32_t)PV_VERB_NONE);
    pv_put_cstr(&w, r->m->options.root);
    char conf[600];
    snprintf(conf, sizeof conf, "%s/apt.conf", t->set_dir);
    pv_put_cstr(&w, conf);
    pv_put_u32(&w, t->question == ASK_PLAN ? t->flags : 0);
    for (size_t i = 0; i < t->n_sources; i++)
        n += !t->sources[i].excluded;
    pv_put_u32(&w, (uint32_t)n);
    for (size_t i = 0; i < t->n_sources; i++) {
        const struct chosen_source *s = &t->sources[i];
        if (s->excluded)
            continue;
        pv_put_cstr(&w, s->apt.name);
        pv_put_i64(&w, s->priority);
        pv_put_bool(&w, s->dependency_only);
    }
    if (t->question == ASK_STATE) {
        put_state_packages(r, &w);
    } else {
        pv_put_u32(&w, t->n_names);
        for (uint32_t i = 0; i < t->n_names; i++)
            put_package(&w, t->names[i], "", t->question == ASK_PLAN ? r->wire.version : "");
    }
    if (pv_mon_channel_send(&r->helper.channel, PV_MSG_PLAN_REQUEST, &w, NULL, 0)) {
        pv_mon_helper_stop(&r->helper);
        r->helper.gone(r, "it cannot be asked");
    }
}

static void planned(struct request *r);
static void names_known(struct request *r);

static void planner_lost(void *context, const char *why)
{
    struct request *r = context;
    pv_mon_log("run %s: the planner is gone: %s", r->id_text, why);
    if (r->state == RS_RECONCILE)
        pv_mon_transaction_reconciled(r, false);
    else if (!answer_first_denial(r))
        cannot(r, "The planner ended without an answer.");
}

static void on_done(struct request *r)
{
    struct transaction *t = r->transaction;
    switch (t->question) {
    case ASK_PLAN: planned(r); break;
    case ASK_NAMES: names_known(r); break;
    case ASK_STATE:
        if (t->asked_states < t->plan.n_ops)
            send_question(r);
        else
            pv_mon_transaction_reconciled(r, true);
        break;
    }
}

static void on_error(struct request *r, struct pv_rbuf *in)
{
    struct transaction *t = r->transaction;
    char subject[256], sentence[600];
    size_t len;
    uint32_t code = pv_get_u32(in);
    pv_get_str_copy(in, subject, sizeof subject);
    pv_get_str_copy(in, sentence, sizeof sentence);
    const char *detail = pv_get_str(in, PV_PLAN_DETAIL_MAX, &len);
    pv_mon_helper_stop(&r->helper);
    if (!pv_rbuf_done(in)) {
        planner_lost(r, "a malformed answer");
        return;
    }
    if (t->question == ASK_STATE) {
        pv_mon_log("run %s: %s", r->id_text, sentence);
        pv_mon_transaction_reconciled(r, false);
        return;
    }
    if (code == PV_PLANNER_NO_INDEX && r->uses_sources && !t->refreshed) {
        refresh(r);
        return;
    }
    if (answer_first_denial(r))
        return;
    switch ((enum pv_planner_error)code) {
    case PV_PLANNER_NO_SOURCES: deny_all(r, "builtin:no-source", no_sources_text); break;
    case PV_PLANNER_DISAGREE: {
        const char *kept = pv_mon_strdup(&r->arena, sentence, strlen(sentence));
        deny_all(r, "builtin:sources-disagree", kept ? kept : "Sources disagree.");
        break;
    }
    default: {
        const char *text =
            len ? pv_mon_printf(&r->arena, "%s\n%.*s", sentence, len < 3000 ? (int)len : 3000, detail) : sentence;
        cannot(r, text ? text : sentence);
        break;
    }
    }
}

static bool keep_state(struct request *r, struct pv_rbuf *in)
{
    struct transaction *t = r->transaction;
    if (t->n_states == t->cap_states) {
        size_t cap = t->cap_states ? t->cap_states * 2 : 64;
        struct pv_plan_state *bigger = realloc(t->states, cap * sizeof *bigger);
        if (!bigger)
            return false;
        t->states = bigger;
        t->cap_states = cap;
    }
    char *store = pv_mon_alloc(&r->arena, PV_PLAN_STATE_STORE);
    return store && t->n_states < PV_PLAN_STATES_MAX &&
           pv_plan_state_decode(in, &t->states[t->n_states++], store) == 0 && pv_rbuf_done(in);
}

static void planner_frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct request *r = context;
    struct transaction *t = r->transaction;
    struct pv_rbuf in;
    if (pv_mon_request_over(r) || !t)
        return;
    pv_rbuf_init(&in, payload, len);
    bool good = true;
    switch (type) {
    case PV_MSG_PLAN_OP:
        good = t->question == ASK_PLAN && pv_plan_op_decode(&in, &t->plan) == 0 && pv_rbuf_done(&in);
        break;
    case PV_MSG_PLAN_STATE_ITEM: good = t->question != ASK_PLAN && keep_state(r, &in); break;
    case PV_MSG_PLAN_DONE: on_done(r); return;
    case PV_MSG_PLAN_ERROR: on_error(r, &in); return;
    default: good = false; break;
    }
    if (!good) {
        pv_mon_helper_stop(&r->helper);
        planner_lost(r, "a malformed answer");
    }
}

/* One process for the questions about one plan; a new one for the state afterwards. */
void pv_mon_transaction_ask(struct request *r, enum question question)
{
    struct transaction *t = r->transaction;
    bool running = pv_mon_channel_is_open(&r->helper.channel);
    t->question = question;
    t->n_states = 0;
    if (!running) {
        r->helper = (struct helper){.gone = planner_lost, .context = r};
        r->helper.channel.frame = planner_frame;
        int result = pv_mon_helper_start(&r->helper, r->m, &r->m->options.planner, "proviso-planner", NULL, -1, 1 << 20,
                                         PV_MON_PLANNER_DEADLINE_MS);
        if (result) {
            planner_lost(r, strerror(-result));
            return;
        }
    }
    send_question(r);
}

/* ---- From a plan to a decision ---- */

static const char *command_of(const struct request *r, enum pv_plan_action action)
{
    switch (action) {
    case PV_PLAN_INSTALL: return "install";
    case PV_PLAN_UPGRADE:
    case PV_PLAN_DOWNGRADE: return "upgrade";
    case PV_PLAN_REMOVE:
    case PV_PLAN_PURGE: return "uninstall";
    default: return r->wire.command;
    }
}

static const struct pv_plan_op *op_of_name(const struct pv_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (!plan->ops[i].dependency && strcmp(plan->ops[i].name, name) == 0)
            return &plan->ops[i];
    return NULL;
}

/* A package that was named and that the plan leaves as it is. */
static const struct pv_plan_state *state_of_name(const struct transaction *t, const char *name)
{
    for (size_t i = 0; i < t->n_states; i++)
        if (strcmp(t->states[i].name, name) == 0)
            return &t->states[i];
    return NULL;
}

/* Somebody asked by name for what is there as a dependency: from now on it is there for its own sake. */
static int note_manual(struct request *r, const struct pv_plan_state *s)
{
    struct transaction *t = r->transaction;
    if (!s->installed || !s->automatic || planner_verb(r) != PV_VERB_INSTALL)
        return 0;
    if (!t->manual)
        t->manual = pv_mon_alloc(&r->arena, (t->n_names + 1) * sizeof *t->manual);
    char *name = t->manual ? pv_mon_printf(&r->arena, "%s:%s", s->name, s->arch) : NULL;
    if (!name)
        return -1;
    if (strcmp(s->arch, "all") == 0)
        name[strlen(s->name)] = '\0';
    t->manual[t->n_manual++] = name;
    return 0;
}

static int make_operations(struct request *r)
{
    struct transaction *t = r->transaction;
    size_t n = t->plan.n_ops, untouched = 0;
    t->n_manual = 0;
    struct operation *ops = pv_mon_alloc(&r->arena, (n + t->n_names + t->n_held + 1) * sizeof *ops);
    if (!ops)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct pv_plan_op *p = &t->plan.ops[i];
        ops[i] = (struct operation){.command = command_of(r, p->action),
                                    .package = p->name,
                                    .arch = p->arch,
                                    .installed_version = p->old_version,
                                    .version = pv_plan_is_removal(p) ? p->old_version : p->new_version,
                                    .source = p->source,
                                    .owner_uid = -1,
                                    .plan = p,
                                    .dependency = p->dependency,
                                    .download_size = p->download_size};
    }
    for (uint32_t i = 0; !t->everything && i < t->n_names; i++) {
        const struct pv_plan_state *s = state_of_name(t, t->names[i]);
        if (op_of_name(&t->plan, t->names[i]) || !s)
            continue;
        if (note_manual(r, s))
            return -1;
        ops[n + untouched++] = (struct operation){.command = r->wire.command,
                                                  .package = s->name,
                                                  .arch = s->arch,
                                                  .installed_version = s->installed ? s->installed_version : "",
                                                  .version = s->installed ? s->installed_version : s->candidate_version,
                                                  .source = s->candidate_source[0] ? s->candidate_source : NULL,
                                                  .owner_uid = -1,
                                                  .state = s};
    }
    if (t->n_held)
        memcpy(ops + n + untouched, t->held, t->n_held * sizeof *ops);
    r->operations = ops;
    r->n_operations = (uint32_t)(n + untouched + t->n_held);
    r->planned_facts = true;
    return 0;
}

static bool source_matters(struct request *r, const struct operation *op)
{
    struct pv_error error;
    if (!op->source || !op->source[0] || pv_mon_fill_operation(r, op, &error))
        return false;
    for (unsigned k = 0; k < r->n_asks; k++) {
        pv_request_set_unknown(r->asks[k], PV_A_SOURCE_NAME);
        if (pv_foresee(r->asks[k], false, r->scratch[k]) != PV_MAY_BE_ALLOWED)
            return false;
    }
    return true;
}

/* Leaves out the sources that denials are about. False when there is nothing to leave out, or nothing would be left. */
static bool exclude_sources(struct request *r)
{
    struct transaction *t = r->transaction;
    bool any = false, left = false;
    for (uint32_t i = 0; i < r->n_operations; i++) {
        const struct operation *op = &r->operations[i];
        if (op->held_back || op->verdict.effect != PV_DENY || !source_matters(r, op))
            continue;
        for (size_t k = 0; k < t->n_sources; k++)
            if (!t->sources[k].excluded && strcmp(t->sources[k].apt.name, op->source) == 0)
                any = t->sources[k].excluded = true;
    }
    for (size_t k = 0; k < t->n_sources; k++)
        left = left || (!t->sources[k].excluded && !t->sources[k].dependency_only);
    return any && left;
}

static bool dependency_denied(const struct request *r)
{
    for (uint32_t i = 0; i < r->n_operations; i++)
        if (r->operations[i].dependency && r->operations[i].verdict.effect == PV_DENY)
            return true;
    return false;
}

static void keep_first_denial(struct request *r)
{
    struct denial *first = &r->transaction->first;
    if (first->kept)
        return;
    /* Its operations point into the plan, which is made anew: what is still looked at later are texts. */
    for (uint32_t i = 0; i < r->n_operations; i++) {
        struct operation *op = &r->operations[i];
        const char **texts[] = {&op->package, &op->arch, &op->installed_version, &op->version, &op->source};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            const char *copy = *texts[k] ? pv_mon_strdup(&r->arena, *texts[k], strlen(*texts[k])) : NULL;
            *texts[k] = copy ? copy : "";
        }
        op->plan = NULL;
        op->state = NULL;
        for (uint32_t k = 0; k < op->n_attrs; k++) {
            struct pv_record_attr *a = &op->attrs[k];
            const char *copy = pv_mon_strdup(&r->arena, a->string.ptr, a->string.len);
            a->string.ptr = copy ? copy : "";
            a->string.len = copy ? a->string.len : 0;
            for (uint32_t j = 0; j < a->n_members; j++) {
                const char *member = pv_mon_strdup(&r->arena, a->members[j].ptr, a->members[j].len);
                a->members[j].ptr = member ? member : "";
                a->members[j].len = member ? a->members[j].len : 0;
            }
        }
    }
    *first = (struct denial){.operations = r->operations,
                             .n_operations = r->n_operations,
                             .verdict = r->verdict,
                             .sentence = r->sentence,
                             .attrs = r->attrs,
                             .n_attrs = r->n_attrs,
                             .kept = true};
}

/* Another plan that may be allowed, for a request that names packages. False when there is none to try. */
static bool try_otherwise(struct request *r)
{
    struct transaction *t = r->transaction;
    if (t->attempts >= ATTEMPTS_MAX)
        return false;
    bool source = exclude_sources(r);
    bool fewer = !source && dependency_denied(r) && !(t->flags & PV_PLANNER_F_NO_RECOMMENDS);
    if (!source && !fewer)
        return false;
    keep_first_denial(r);
    if (fewer)
        t->flags |= PV_PLANNER_F_NO_RECOMMENDS;
    if (source)
        t->refreshed = false; /* another set, with lists of its own */
    plan_request(r);
    return true;
}

bool pv_mon_transaction_listed(const char *const *names, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void hold(struct request *r, const struct operation *op)
{
    struct transaction *t = r->transaction;
    struct operation *held = pv_mon_alloc(&r->arena, (t->n_held + 1) * sizeof *held);
    if (!held)
        return;
    for (uint32_t i = 0; i < t->n_held; i++) {
        held[i] = t->held[i];
        if (strcmp(held[i].package, op->package) == 0 && strcmp(held[i].arch, op->arch) == 0)
            return;
    }
    held[t->n_held] = *op;
    held[t->n_held].held_back = true;
    t->held = held;
    t->n_held++;
}

/*
 * An upgrade of everything goes on without what is denied: the next plan names what is left. A denied operation that
 * was not itself to be upgraded takes along those that want it. True when there is another plan to make.
 */
static bool drop_denied(struct request *r)
{
    struct transaction *t = r->transaction;
    if (++t->attempts > ROUNDS_MAX)
        return false;
    const char **dropped = pv_mon_alloc(&r->arena, (t->plan.n_ops * 8 + 1) * sizeof *dropped);
    const char **names = pv_mon_alloc(&r->arena, (t->plan.n_ops + 1) * sizeof *names);
    uint32_t n_dropped = 0, n = 0;
    size_t cap = t->plan.n_ops * 8;
    if (!dropped || !names)
        return false;
    for (uint32_t i = 0; i < r->n_operations; i++) {
        struct operation *op = &r->operations[i];
        if (op->held_back || op->verdict.effect != PV_DENY || !op->plan)
            continue;
        if (!op->dependency && n_dropped < cap)
            dropped[n_dropped++] = op->package;
        for (size_t k = 0; op->dependency && k < op->plan->n_wanted_by && n_dropped < cap; k++)
            dropped[n_dropped++] = op->plan->wanted_by[k];
    }
    if (!n_dropped)
        return false;
    for (size_t i = 0; i < t->plan.n_ops; i++) {
        const struct pv_plan_op *p = &t->plan.ops[i];
        if (!p->dependency && p->action == PV_PLAN_UPGRADE && !pv_mon_transaction_listed(dropped, n_dropped, p->name)) {
            names[n] = pv_mon_strdup(&r->arena, p->name, strlen(p->name));
            if (!names[n])
                return false;
            n++;
        }
    }
    /* Copies of what is held back, before the plan that they point into goes. */
    struct denial saved = t->first;
    t->first = (struct denial){0};
    keep_first_denial(r);
    t->first = saved;
    for (uint32_t i = 0; i < r->n_operations; i++)
        if (!r->operations[i].held_back && r->operations[i].verdict.effect == PV_DENY)
            hold(r, &r->operations[i]);
    t->names = names;
    t->n_names = n;
    if (n == 0 || n > PV_PLAN_REQUEST_MAX) { /* nothing is left, or more than can be named */
        pv_plan_clear(&t->plan);
        return false;
    }
    plan_request(r);
    return true;
}

/* What is held back alone leaves nothing to do: allowed, with each reason. */
static void nothing_left(struct request *r)
{
    struct transaction *t = r->transaction;
    r->operations = t->held;
    r->n_operations = t->n_held;
    r->verdict = (struct pv_record_verdict){.effect = PV_ALLOW, .account = pv_str_of("")};
    r->sentence = NULL;
    r->planned_facts = true;
    pv_mon_request_decided(r);
}

static void plan_digest(struct request *r)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    if (pv_plan_canonical(&r->transaction->plan, hash_sink, &state) == 0)
        crypto_hash_sha256_final(&state, r->plan_hash);
}

/*
 * What shows by itself that an ownership is stale: the package is not there, so somebody removed it and the log did not
 * tell, or the owner was an account whose uid or name is another's now.
 */
static void end_stale_ownership(struct request *r, struct operation *op)
{
    if (!op->plan)
        return;
    bool absent = op->plan->action == PV_PLAN_INSTALL;
    if (absent) {
        op->owner = NULL;
        op->owner_uid = -1;
    }
    for (size_t i = 0; i < r->n_owners && !r->explain; i++) {
        struct owner_fact *fact = &r->owners[i];
        if (!fact->owned || strcmp(fact->package, op->package) != 0 || strcmp(fact->arch, op->arch) != 0)
            continue;
        if (pv_mon_owner_is_gone(r, fact))
            pv_mon_request_end_owner(r, fact, "account deleted");
        else if (absent)
            pv_mon_request_end_owner(r, fact, "removed outside the agent");
    }
}

static void decide_plan(struct request *r)
{
    struct transaction *t = r->transaction;
    struct pv_error error = {0};
    for (uint32_t i = 0; i < r->n_operations; i++) {
        struct operation *op = &r->operations[i];
        if (op->held_back)
            continue;
        pv_mon_request_owner(r, op, op->arch);
        end_stale_ownership(r, op);
    }
    pv_mon_request_progress(r, PV_PHASE_DECIDING, "");
    if (pv_mon_request_over(r))
        return;
    r->time = pv_now();
    /* What is held back keeps its own verdict and is not decided again. */
    uint32_t all = r->n_operations;
    r->n_operations = all - t->n_held;
    if (r->n_operations == 0) { /* there is nothing to upgrade at all, or nothing left of it */
        nothing_left(r);
        return;
    }
    int result = pv_mon_decide(r, false, &error);
    if (result) {
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", error.text);
        return;
    }
    if (r->verdict.effect == PV_DENY) {
        if (t->everything ? drop_denied(r) : try_otherwise(r))
            return;
        if (t->everything && t->n_held && t->n_names == 0) {
            nothing_left(r);
            return;
        }
        if (answer_first_denial(r))
            return;
    }
    r->n_operations = all;
    plan_digest(r);
    pv_mon_request_decided(r);
}

static void ask_plan_owners(struct request *r)
{
    const char **packages = pv_mon_alloc(&r->arena, (r->n_operations + 1) * sizeof *packages);
    const char **archs = pv_mon_alloc(&r->arena, (r->n_operations + 1) * sizeof *archs);
    size_t n = 0;
    if (!packages || !archs) {
        pv_mon_transaction_no_memory(r);
        return;
    }
    for (uint32_t i = 0; i < r->n_operations; i++) {
        if (r->operations[i].held_back || !r->operations[i].arch[0])
            continue;
        packages[n] = pv_mon_strdup(&r->arena, r->operations[i].package, strlen(r->operations[i].package));
        archs[n] = pv_mon_strdup(&r->arena, r->operations[i].arch, strlen(r->operations[i].arch));
        if (!packages[n] || !archs[n]) {
            pv_mon_transaction_no_memory(r);
            return;
        }
        n++;
    }
    r->n_owners = 0; /* what is asked now is the newer answer */
    pv_mon_request_ask_owners(r, packages, archs, n, decide_plan);
}

static void operations_known(struct request *r)
{
    pv_mon_helper_stop(&r->helper);
    if (make_operations(r))
        pv_mon_transaction_no_memory(r);
    else
        pv_mon_owners_reconcile(r, ask_plan_owners);
}

static void names_known(struct request *r)
{
    operations_known(r);
}

static void planned(struct request *r)
{
    struct transaction *t = r->transaction;
    if (pv_plan_sort(&t->plan)) {
        pv_mon_helper_stop(&r->helper);
        planner_lost(r, "a plan that contradicts itself");
        return;
    }
    bool untouched = false;
    for (uint32_t i = 0; !t->everything && i < t->n_names; i++)
        untouched = untouched || !op_of_name(&t->plan, t->names[i]);
    if (untouched)
        pv_mon_transaction_ask(r, ASK_NAMES);
    else
        operations_known(r);
}

static void plan_request(struct request *r)
{
    struct transaction *t = r->transaction;
    char why[600];
    if (pv_mon_transaction_set(r, why, sizeof why)) {
        if (!answer_first_denial(r))
            cannot(r, why);
        return;
    }
    if (is_stale(r)) {
        refresh(r);
        return;
    }
    r->state = RS_PLAN;
    if (!t->everything)
        t->attempts++;
    pv_mon_request_progress(r, PV_PHASE_PLANNING, "");
    if (pv_mon_request_over(r))
        return;
    pv_plan_clear(&t->plan);
    pv_mon_helper_stop(&r->helper);
    pv_mon_transaction_ask(r, ASK_PLAN);
}

/* ---- Beginning ---- */

static void take_lock(struct request *r)
{
    r->m->transaction = r;
    note_turn(r->uid);
    plan_request(r);
}

static bool can_plan(const struct request *r)
{
    static const char *const known[] = {"install", "upgrade", "uninstall"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(r->wire.command, known[i]) == 0)
            return true;
    return false;
}

bool pv_mon_transaction_marks(const struct request *r)
{
    return r->transaction && r->transaction->n_manual;
}

void pv_mon_transaction_begin(struct request *r)
{
    if (!can_plan(r)) {
        const char *text = pv_mon_printf(&r->arena, "This agent does not carry out `%s` yet.", r->wire.command);
        deny_all(r, "builtin:unsupported", text ? text : "This agent does not carry that out.");
        return;
    }
    struct transaction *t = calloc(1, sizeof *t);
    if (!t) {
        pv_mon_transaction_no_memory(r);
        return;
    }
    r->transaction = t;
    t->everything = r->wire.n_args == 0;
    t->names = r->wire.args;
    t->n_names = r->wire.n_args;
    int chosen = choose_sources(r);
    if (chosen < 0) {
        pv_mon_transaction_no_memory(r);
        return;
    }
    if (chosen == 0) {
        deny_all(r, "builtin:no-source", no_sources_text);
        return;
    }
    r->state = RS_LOCK;
    if (!r->m->transaction) {
        take_lock(r);
        return;
    }
    pv_mon_request_progress(r, PV_PHASE_LOCK, "Another transaction is in progress.");
}
