/*
 * A request's life, as a state machine over callbacks:
 *
 *   begin -> RESOLVING -> FACTS -> [LOCK -> REFRESH -> PLAN ->] decided -> RECORD -> [FETCH ->] RUN [-> MARK ->
 *   RECONCILE] -> end
 *
 * The states in brackets are those of package transactions (monitor_transaction.c). Everything up to RECORD can be
 * cancelled by the client or by its disappearance without a trace; after the decision is on record an outcome follows,
 * whatever happens; after the start of the command nothing of the client's changes its course.
 *
 * Invariants: a request is what it was when its passcode was checked: it is never changed after; nothing runs before
 * the record of its decision is durable; each request is answered by exactly one ending frame.
 */
#include "agentd/monitor.h"

#include "agentd/passcode.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char custom_source_text[] =
    "Installs from custom source locations are not allowed in background mode. Please remove custom source and try "
    "again using default (configured) package source locations.";

enum { HISTORY_ROWS = 50 };

/* ---- Memory that lives as long as a request ---- */

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};

void *pv_mon_alloc(struct arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct arena_block *b = arena->blocks;
    if (!b || b->size - b->used < size) {
        size_t cap = size > 16384 ? size : 16384;
        b = calloc(1, sizeof *b + cap);
        if (!b)
            return NULL;
        b->size = cap;
        b->next = arena->blocks;
        arena->blocks = b;
    }
    void *at = b->data + b->used;
    b->used += size;
    return at;
}

char *pv_mon_strdup(struct arena *arena, const char *text, size_t len)
{
    char *copy = pv_mon_alloc(arena, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

char *pv_mon_printf(struct arena *arena, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return pv_mon_strdup(arena, text, strlen(text));
}

void pv_mon_arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *b = arena->blocks;
        arena->blocks = b->next;
        free(b);
    }
}

/* ---- The end ---- */

const char *pv_mon_outcome_word(enum pv_outcome outcome)
{
    static const char *const words[] = {
        [PV_OUTCOME_DENIED] = "denied",       [PV_OUTCOME_DIRECT] = "direct", [PV_OUTCOME_DRY_RUN] = "dry-run",
        [PV_OUTCOME_NOTHING] = "nothing",     [PV_OUTCOME_DONE] = "done",     [PV_OUTCOME_TIMEOUT] = "timeout",
        [PV_OUTCOME_CANCELLED] = "cancelled", [PV_OUTCOME_FAILED] = "failed", [PV_OUTCOME_INTERRUPTED] = "interrupted",
    };
    return words[outcome];
}

/* What is left to do once an outcome is durable: the run directory has told all that it can tell, and so is told the
 * client, unless it was told before because the ledger took too long. */
struct settled {
    struct monitor *m;
    uint64_t id;
    struct request *r; /* NULL once it is gone */
};

static void request_free(struct request *r)
{
    struct monitor *m = r->m;
    struct request **at = &m->requests;
    while (*at && *at != r)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = r->next;
    r->state = RS_OVER;
    if (r->client)
        r->client->request = NULL;
    r->client = NULL;
    if (r->settled)
        r->settled->r = NULL;
    r->settled = NULL;
    pv_loop_untimer(&m->loop, &r->patience);
    pv_mon_helper_stop(&r->helper);
    pv_mon_ledger_forget(m, r);
    pv_mon_run_free(r);
    pv_mon_transaction_free(r);
    for (unsigned i = 0; i < 2; i++) {
        pv_request_free(r->asks[i]);
        pv_decision_free(r->scratch[i]);
    }
    pv_decision_free(r->one);
    pv_decision_free(r->sum);
    pv_mon_policy_unref(r->policy);
    pv_mon_arena_free(&r->arena);
    pv_mon_free_later(m, r);
}

void pv_mon_request_fail(struct request *r, enum pv_front_error code, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    struct client *c = r->client;
    request_free(r);
    if (c)
        pv_mon_client_error(c, code, "%s", sentence);
}

static void tell_end(struct request *r)
{
    uint8_t payload[8192];
    char reboot[4096];
    struct pv_wbuf w;
    snprintf(reboot, sizeof reboot, "%s/run/reboot-required",
             strcmp(r->m->options.root, "/") ? r->m->options.root : "");
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_put_u32(&w, r->outcome);
    pv_put_i64(&w, r->exit_status);
    pv_put_u32(&w, r->signal);
    pv_put_bool(&w, r->outcome == PV_OUTCOME_DONE && r->is_apt && access(reboot, F_OK) == 0);
    pv_put_str(&w, r->text, strnlen(r->text, PV_SHOWN_TEXT_MAX));
    struct client *c = r->client;
    request_free(r);
    if (c)
        pv_mon_client_send(c, PV_MF_FINISHED, &w, NULL, 0);
}

static void outcome_durable(void *context, bool durable)
{
    struct settled *s = context;
    struct request *r = s->r;
    if (durable)
        pv_mon_run_remove(s->m, s->id);
    free(s);
    if (r) {
        r->settled = NULL;
        tell_end(r);
    }
}

static void outcome_late(void *context)
{
    struct request *r = context;
    pv_mon_log("request %s: the ledger has not taken its outcome yet", r->id_text);
    tell_end(r);
}

/* False when there is no record to wait for. */
static bool record_outcome(struct request *r)
{
    struct pv_record record = {.kind = PV_RECORD_OUTCOME, .uid = r->uid, .request = r->id};
    record.outcome.word = pv_str_of(pv_mon_outcome_word(r->outcome));
    record.outcome.exit_status = r->exit_status;
    record.outcome.signal = r->signal;
    record.outcome.started_ns = r->started_ns;
    record.outcome.ended_ns = r->started_ns ? pv_now_ns() : 0;
    record.outcome.sentence = pv_str_of(r->text);
    record.outcome.changes = r->changes;
    record.outcome.n_changes = r->n_changes;
    struct settled *s = malloc(sizeof *s);
    if (s)
        *s = (struct settled){.m = r->m, .id = r->id, .r = r};
    r->settled = s;
    if (pv_mon_record(r->m, &record, true, s ? outcome_durable : NULL, s)) {
        r->settled = NULL;
        free(s);
    }
    return r->settled != NULL;
}

void pv_mon_request_end(struct request *r, enum pv_outcome outcome, int64_t exit_status, uint32_t signal,
                        const char *text)
{
    r->outcome = outcome;
    r->exit_status = exit_status;
    r->signal = signal;
    r->text = pv_mon_strdup(&r->arena, text, strlen(text));
    if (!r->text)
        r->text = "";
    if (!r->on_record || !record_outcome(r)) {
        tell_end(r);
        return;
    }
    r->state = RS_OUTCOME;
    pv_mon_helper_stop(&r->helper);
    pv_mon_run_free(r);
    pv_mon_transaction_free(r); /* the next transaction need not wait for the ledger */
    r->patience = (struct pv_timer){.fire = outcome_late, .context = r};
    pv_loop_timer(&r->m->loop, &r->patience, PV_MON_OUTCOME_MS);
}

void pv_mon_request_progress(struct request *r, enum pv_phase phase, const char *text)
{
    uint8_t payload[1024];
    struct pv_wbuf w;
    if (!r->client)
        return;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u32(&w, phase);
    pv_put_str(&w, text, strnlen(text, 512));
    pv_mon_client_send(r->client, PV_MF_PROGRESS, &w, NULL, 0);
}

void pv_mon_request_cancel(struct request *r)
{
    if (r->started || pv_mon_request_over(r))
        return;
    r->cancelled = true;
    /* While the ledger may be writing that it is allowed, only the acknowledgement tells what has to follow. */
    if (r->state == RS_RECORD)
        return;
    if (r->state == RS_FETCH || r->state == RS_REFRESH)
        pv_mon_run_stop(r); /* apt lets go of its locks first: its end is this request's */
    else
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
}

int64_t pv_mon_request_limit(const struct request *r)
{
    const struct pvb_command *command = pv_mon_command(r);
    int64_t limit = r->m->options.default_timeout;
    if (command && command->timeout > 0 && command->timeout < limit)
        limit = command->timeout;
    if (r->wire.timeout > 0 && r->wire.timeout < limit)
        limit = r->wire.timeout;
    if (r->verdict.has_timeout && r->verdict.timeout > 0 && r->verdict.timeout < limit)
        limit = r->verdict.timeout;
    return limit;
}

/* ---- On record ---- */

static bool changes_something(const struct request *r)
{
    return r->verdict.effect == PV_ALLOW && !(r->wire.flags & PV_REQUEST_DRY_RUN);
}

/* Whether anything is to run: an allowed transaction can have nothing to do. */
static bool runs_something(const struct request *r)
{
    if (!changes_something(r))
        return false;
    bool any = !r->is_apt || pv_mon_transaction_marks(r);
    for (uint32_t i = 0; i < r->n_operations; i++)
        any = any || (r->operations[i].plan && !r->operations[i].held_back);
    return any;
}

static void send_direct(struct request *r)
{
    static uint8_t payload[PV_WIRE_MAX];
    struct pv_error error = {0};
    struct pv_wbuf w;
    const char *const *argv = pv_mon_build_argv(r, &error);
    if (!argv) {
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", error.text);
        return;
    }
    uint32_t n = 0;
    while (argv[n])
        n++;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_put_u32(&w, n);
    for (uint32_t i = 0; i < n; i++)
        pv_put_cstr(&w, argv[i]);
    if (pv_mon_client_send(r->client, PV_MF_DIRECT, &w, NULL, 0))
        pv_mon_request_end(r, PV_OUTCOME_DIRECT, -1, 0, "");
}

/* The decision is on record, or does not need to be: what it means happens now. */
static void carry_out(struct request *r)
{
    const struct pv_record_verdict *v = &r->verdict;
    if (r->cancelled) {
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
        return;
    }
    if (!r->client) { /* gone, and not cancelled: cannot be before the start */
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
        return;
    }
    pv_mon_send_decision(r, true);
    if (pv_mon_request_over(r)) /* the client could not take it: that cancelled the request */
        return;
    if (r->cancelled)
        pv_mon_request_end(r, PV_OUTCOME_CANCELLED, -1, 0, "");
    else if (v->effect == PV_DENY)
        pv_mon_request_end(r, PV_OUTCOME_DENIED, -1, 0,
                           r->sentence    ? r->sentence
                           : v->n_because ? v->because[0].ptr
                                          : "");
    else if (v->effect == PV_DIRECT)
        send_direct(r);
    else if (r->wire.flags & PV_REQUEST_DRY_RUN)
        pv_mon_request_end(r, PV_OUTCOME_DRY_RUN, -1, 0, "");
    else if (!runs_something(r))
        pv_mon_request_end(r, PV_OUTCOME_NOTHING, -1, 0, "There is nothing to do.");
    else if (r->is_apt)
        pv_mon_transaction_run(r);
    else
        pv_mon_run_command(r);
}

static void recorded(void *context, bool durable)
{
    struct request *r = context;
    if (!durable) {
        r->on_record = false;
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The decision could not be put on record, so nothing was done.");
        return;
    }
    carry_out(r);
}

static void put_on_record(struct request *r)
{
    struct pv_record record = {.kind = PV_RECORD_DECISION, .uid = r->uid, .request = r->id};
    struct pv_record_decision *d = &record.decision;
    const struct pv_bundle *bundle = r->policy->bundle;
    struct pv_str args[PV_REQUEST_ARGS_MAX];
    struct pv_record_option options[PV_REQUEST_OPTIONS_MAX + 2];
    uint32_t n_options = 0;
    d->user = pv_str_of(r->user);
    d->pid = r->pid;
    d->executable = pv_str_of(r->executable);
    d->verb = pv_str_of(r->wire.command);
    for (uint32_t i = 0; i < r->wire.n_args; i++)
        args[i] = pv_str_of(r->wire.args[i]);
    d->args = args;
    d->n_args = r->wire.n_args;
    for (uint32_t i = 0; i < r->wire.n_options; i++)
        options[n_options++] = (struct pv_record_option){.name = pv_str_of(r->wire.options[i].name),
                                                         .has_value = r->wire.options[i].has_value,
                                                         .value = pv_str_of(r->wire.options[i].value)};
    if (r->wire.version[0])
        options[n_options++] = (struct pv_record_option){
            .name = pv_str_of("version"), .has_value = true, .value = pv_str_of(r->wire.version)};
    if (r->wire.source[0])
        options[n_options++] = (struct pv_record_option){
            .name = pv_str_of("source"), .has_value = true, .value = pv_str_of(r->wire.source)};
    d->options = options;
    d->n_options = n_options;
    d->custom_source = r->custom_source;
    d->dry_run = r->wire.flags & PV_REQUEST_DRY_RUN;
    d->phase = r->planned_facts || !r->is_apt ? PV_DECIDED_PLAN : PV_DECIDED_REQUEST;
    d->time = r->time;
    d->zone = pv_str_of(pv_bundle_zone(bundle));
    d->policy = pv_str_of(pv_bundle_name(bundle));
    d->policy_version = pv_bundle_version(bundle);
    memcpy(d->bundle_hash, pv_bundle_content_hash(bundle), sizeof d->bundle_hash);
    memcpy(d->plan_hash, r->plan_hash, sizeof d->plan_hash);
    d->runs = changes_something(r); /* an outcome follows, also that there was nothing to do */
    if (d->runs) {
        d->changes = r->is_apt ? 0 : 1;
        for (uint32_t i = 0; r->is_apt && i < r->n_operations; i++)
            d->changes += r->operations[i].plan && !r->operations[i].dependency && !r->operations[i].held_back;
    }
    d->verdict = r->verdict;
    d->attrs = r->attrs;
    d->n_attrs = r->n_attrs;
    d->n_operations = r->n_operations;
    d->operations = pv_mon_alloc(&r->arena, (r->n_operations + 1) * sizeof *d->operations);
    if (!d->operations) {
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "no memory");
        return;
    }
    for (uint32_t i = 0; i < r->n_operations; i++)
        d->operations[i] = (struct pv_record_operation){
            .attrs = r->operations[i].attrs, .n_attrs = r->operations[i].n_attrs, .verdict = r->operations[i].verdict};
    r->state = RS_RECORD;
    r->on_record = d->runs;
    pv_mon_request_progress(r, PV_PHASE_RECORDING, "");
    if (r->state != RS_RECORD)
        return;
    if (pv_mon_record(r->m, &record, false, recorded, r)) {
        r->on_record = false;
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The decision could not be put on record, so nothing was done.");
    }
}

void pv_mon_request_decided(struct request *r)
{
    if (r->explain) {
        struct client *c = r->client;
        if (c)
            pv_mon_send_explanation(r);
        request_free(r);
        return;
    }
    /* One uid's loop of denials does not fill the ledger: past a rate they are counted. */
    if (r->verdict.effect == PV_DENY && !pv_mon_denial_recorded(r->m, r->uid))
        carry_out(r);
    else
        put_on_record(r);
}

/* ---- Facts from the ledger ---- */

static void facts_answered(struct request *r)
{
    if (--r->waiting)
        return;
    void (*next)(struct request *) = r->facts_ready;
    if (r->facts_failed)
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The ledger does not answer, so nothing can be decided.");
    else
        next(r);
}

static void owners_are(void *context, uint32_t type, struct pv_rbuf *answer)
{
    struct request *r = context;
    char user[PV_LEDGER_NAME_MAX + 1];
    (void)type;
    uint32_t n = answer ? pv_get_u32_max(answer, PV_LEDGER_OWNERS_MAX) : 0;
    if (!answer || n > r->owners_asked - r->owners_answered)
        r->facts_failed = true;
    for (uint32_t i = 0; i < n && !r->facts_failed; i++) {
        struct owner_fact *fact = &r->owners[r->owners_answered++];
        fact->owned = pv_get_bool(answer);
        fact->uid = pv_get_u32(answer);
        pv_get_str_copy(answer, user, sizeof user);
        pv_get_u64(answer);
        fact->user = pv_mon_strdup(&r->arena, user, strlen(user));
        if (!fact->user)
            r->facts_failed = true;
    }
    if (answer && !pv_rbuf_done(answer))
        r->facts_failed = true;
    facts_answered(r);
}

void pv_mon_request_ask_owners(struct request *r, const char *const *packages, const char *const *archs, size_t n,
                               void (*next)(struct request *r))
{
    static uint8_t payload[PV_WIRE_MAX];
    struct owner_fact *owners = pv_mon_alloc(&r->arena, (r->n_owners + n + 1) * sizeof *owners);
    r->facts_ready = next;
    r->waiting++; /* until all questions are out */
    if (!owners) {
        r->facts_failed = true;
        n = 0;
    } else if (r->n_owners) {
        memcpy(owners, r->owners, r->n_owners * sizeof *owners);
    }
    r->owners = owners;
    r->owners_answered = r->n_owners;
    r->owners_asked = r->n_owners + n;
    for (size_t at = 0; at < n && !r->facts_failed;) {
        size_t batch = n - at < PV_LEDGER_OWNERS_MAX ? n - at : PV_LEDGER_OWNERS_MAX;
        struct pv_wbuf w;
        pv_wbuf_init(&w, payload, sizeof payload);
        pv_put_cstr(&w, r->m->options.root);
        pv_put_u32(&w, (uint32_t)batch);
        for (size_t i = 0; i < batch; i++, at++) {
            pv_put_cstr(&w, packages[at]);
            pv_put_cstr(&w, archs[at]);
            owners[r->n_owners++] = (struct owner_fact){.package = packages[at], .arch = archs[at]};
        }
        if (pv_mon_ask(r->m, PV_MSG_LEDGER_OWNERS, &w, owners_are, r))
            r->facts_failed = true;
        else
            r->waiting++;
    }
    facts_answered(r);
}

bool pv_mon_owner_is_gone(const struct request *r, const struct owner_fact *fact)
{
    return fact->owned && (fact->uid == r->uid) != (strcmp(fact->user, r->user) == 0);
}

void pv_mon_request_owner(const struct request *r, struct operation *op, const char *arch)
{
    op->owner = NULL;
    op->owner_uid = -1;
    for (size_t i = 0; i < r->n_owners; i++) {
        const struct owner_fact *fact = &r->owners[i];
        if (!fact->owned || !op->package || strcmp(fact->package, op->package) != 0 ||
            (arch && strcmp(fact->arch, arch) != 0))
            continue;
        if (r->owners_unknown || pv_mon_owner_is_gone(r, fact))
            continue;
        op->owner = fact->user;
        op->owner_uid = (int64_t)fact->uid;
    }
}

void pv_mon_request_end_owner(struct request *r, struct owner_fact *fact, const char *reason)
{
    struct pv_record record = {.kind = PV_RECORD_OWN, .uid = fact->uid, .request = r->id};
    record.own.root = pv_str_of(r->m->options.root);
    record.own.package = pv_str_of(fact->package);
    record.own.arch = pv_str_of(fact->arch);
    record.own.user = pv_str_of(fact->user);
    record.own.reason = pv_str_of(reason);
    pv_mon_record(r->m, &record, true, NULL, NULL);
    fact->owned = false;
}

/* ---- Deciding what was asked ---- */

static void abuse(struct request *r, enum pv_abuse kind, const char *detail)
{
    if (!r->explain)
        pv_mon_abuse(r->m, kind, r->uid, r->user, r->pid, r->executable, r->id, detail);
}

static void deny(struct request *r, const char *id, const char *sentence)
{
    if (pv_mon_deny(r, id, sentence))
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "no memory");
    else
        pv_mon_request_decided(r);
}

/* The agent's own denial, with the request's facts on record. */
static void deny_with_facts(struct request *r, const char *id, const char *sentence)
{
    enum pv_foresight foresight;
    struct pv_error error = {0};
    if (pv_mon_foresee(r, &foresight, &error))
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", error.text);
    else
        deny(r, id, sentence);
}

static void decide_run(struct request *r)
{
    struct pv_error error = {0};
    if (pv_mon_decide(r, true, &error)) {
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", error.text);
        return;
    }
    pv_mon_request_decided(r);
}

static void decide_packages(struct request *r)
{
    enum pv_foresight foresight;
    struct pv_error error = {0};
    if (pv_mon_foresee(r, &foresight, &error)) {
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", error.text);
        return;
    }
    if (foresight == PV_MAY_BE_ALLOWED)
        pv_mon_transaction_begin(r);
    else
        pv_mon_request_decided(r);
}

static void facts_known(struct request *r)
{
    for (uint32_t i = 0; i < r->n_operations; i++)
        pv_mon_request_owner(r, &r->operations[i], NULL);
    for (size_t i = 0; i < r->n_owners && !r->explain; i++)
        if (pv_mon_owner_is_gone(r, &r->owners[i]))
            pv_mon_request_end_owner(r, &r->owners[i], "account deleted");
    if (r->command < 0) { /* one of those that are never brokered */
        abuse(r, PV_ABUSE_NEVER_BROKERED, r->wire.command);
        decide_run(r);
        return;
    }
    if (r->custom_source) {
        abuse(r, PV_ABUSE_CUSTOM_SOURCE, r->wire.source);
        deny_with_facts(r, "builtin:custom-source", custom_source_text);
        return;
    }
    bool principal = (r->m->uid_min <= (int64_t)r->uid && (int64_t)r->uid <= r->m->uid_max) ||
                     pv_mon_rule_names_user(r->policy, r->user);
    if (!principal)
        deny_with_facts(r, "builtin:principal",
                        "Requests are brokered for people's accounts only, unless a rule names the account.");
    else if (r->wire.flags & PV_REQUEST_INTERACTIVE)
        deny_with_facts(r, "builtin:interactive",
                        "Nothing that is brokered can ask questions: it runs without a terminal. Try again without "
                        "asking for an interactive run.");
    else if (r->is_apt)
        decide_packages(r);
    else
        decide_run(r);
}

static void changes_are(void *context, uint32_t type, struct pv_rbuf *answer)
{
    struct request *r = context;
    (void)type;
    uint64_t n = answer ? pv_get_u64(answer) : 0;
    if (!answer || !pv_rbuf_done(answer))
        r->facts_failed = true;
    r->changes_today = n < INT64_MAX ? (int64_t)n : INT64_MAX;
    facts_answered(r);
}

static void rights_ready(struct request *r)
{
    if (r->client)
        pv_mon_send_rights(r);
    request_free(r);
}

/* Changes since midnight in the policy's zone, and who owns what was named. */
static void ask_ledger(struct request *r)
{
    uint8_t bytes[PV_REQUEST_NAME_MAX + 64];
    struct pv_wbuf w;
    pv_mon_fill_user(r, 0, -1);
    int64_t clock = pv_request_value(r->asks[0], PV_A_TIME_CLOCK)->number;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_u32(&w, r->uid);
    pv_put_cstr(&w, r->user);
    pv_put_u64(&w, (uint64_t)(r->time - clock) * 1000000000u);
    r->waiting = 1;
    r->facts_ready = r->wire.verb == PV_VERB_RIGHTS ? rights_ready : facts_known;
    if (pv_mon_ask(r->m, PV_MSG_LEDGER_CHANGES, &w, changes_are, r)) {
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The ledger does not answer, so nothing can be decided.");
        return;
    }
    if (!r->takes_packages)
        return;
    const char *packages[2 * PV_REQUEST_ARGS_MAX], *archs[2 * PV_REQUEST_ARGS_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < r->n_operations; i++) {
        if (!r->operations[i].package)
            continue;
        packages[n] = packages[n + 1] = r->operations[i].package;
        archs[n++] = r->m->host_arch;
        archs[n++] = "all";
    }
    if (n)
        pv_mon_request_ask_owners(r, packages, archs, n, facts_known);
}

/* A package transaction reconciles when it has its plan: what is asked for here only tells early denials. */
static void ask_facts(struct request *r)
{
    r->state = RS_FACTS;
    if (r->takes_packages && !r->is_apt)
        pv_mon_owners_reconcile(r, ask_ledger);
    else
        ask_ledger(r);
}

/* ---- Understanding what was asked ---- */

static int add_operations(struct request *r)
{
    bool each = r->takes_packages && r->wire.n_args;
    uint32_t n = r->is_apt && each ? r->wire.n_args : 1;
    r->operations = pv_mon_alloc(&r->arena, n * sizeof *r->operations);
    if (!r->operations)
        return -1;
    r->n_operations = n;
    for (uint32_t i = 0; i < n; i++)
        r->operations[i] = (struct operation){.command = r->wire.command,
                                              .package = each ? r->wire.args[i] : NULL,
                                              .arch = "",
                                              .installed_version = "",
                                              .version = r->wire.version,
                                              .owner_uid = -1,
                                              .source = r->wire.source[0] && !r->custom_source ? r->wire.source : NULL};
    return 0;
}

/* What makes no sense for a package command: a sentence, or NULL. */
static const char *package_nonsense(struct request *r)
{
    const struct pv_wire_request *w = &r->wire;
    char shown[256];
    if (!r->takes_packages && w->n_args)
        return pv_mon_printf(&r->arena, "`%s` takes no package.", w->command);
    if (w->n_options) {
        pv_escape(shown, sizeof shown, w->options[0].name, strlen(w->options[0].name));
        return pv_mon_printf(&r->arena, "`%s` has no option --%s.", w->command, shown);
    }
    for (uint32_t i = 0; i < w->n_args; i++) {
        pv_escape(shown, sizeof shown, w->args[i], strlen(w->args[i]));
        if (!pv_apt_name_valid(w->args[i], strlen(w->args[i])))
            return pv_mon_printf(&r->arena, "%s is not a package name.", shown);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(w->args[i], w->args[k]) == 0)
                return pv_mon_printf(&r->arena, "%s is named twice.", shown);
    }
    if (r->takes_packages && !w->n_args && strcmp(w->command, "upgrade") != 0)
        return pv_mon_printf(&r->arena, "`%s` needs the name of a package.", w->command);
    if (w->version[0] && w->n_args != 1)
        return "A version can be given for one package only.";
    if (w->version[0] && !pv_apt_version_valid(w->version, strlen(w->version)))
        return "That is not an exact version.";
    return NULL;
}

/* What the request is about, in the terms of the policy. A sentence when it makes no sense, else NULL. */
static const char *understand(struct request *r)
{
    const struct pv_wire_request *w = &r->wire;
    const struct pv_bundle *bundle = r->policy->bundle;
    r->command = pv_bundle_command(bundle, w->command, strlen(w->command));
    if (r->command < 0) {
        r->command = -1;
        if (!pv_never_brokered(w->command, strlen(w->command))) {
            char shown[256];
            pv_escape(shown, sizeof shown, w->command, strlen(w->command));
            return w->command[0] ? pv_mon_printf(&r->arena, "This machine's policy has no command `%s`.", shown)
                                 : "The request names no command.";
        }
    } else {
        const struct pvb_command *command = pv_mon_command(r);
        const char *provider = command->provider ? pv_bundle_string(bundle, command->provider, NULL) : "";
        r->is_apt = strcmp(provider, "apt") == 0;
        r->takes_packages = command->flags & PVB_COMMAND_PACKAGES;
        r->uses_sources = command->flags & PVB_COMMAND_SOURCES;
        if (provider[0] && !r->is_apt)
            return pv_mon_printf(&r->arena, "This agent has no provider %s.", provider);
        if (w->source[0]) {
            r->custom_source = pv_bundle_source(bundle, w->source, strlen(w->source)) < 0;
            if (!r->custom_source && !r->uses_sources)
                return pv_mon_printf(&r->arena, "`%s` uses no source.", w->command);
        }
        const char *nonsense = r->is_apt ? package_nonsense(r) : NULL;
        if (nonsense)
            return nonsense;
        if (!r->is_apt && r->takes_packages && !w->n_args)
            return pv_mon_printf(&r->arena, "`%s` needs the name of a package.", w->command);
        /* No argument vector carries it: what is decided about one version would run with another. */
        if (!r->is_apt && w->version[0])
            return pv_mon_printf(&r->arena, "`%s` takes no version.", w->command);
    }
    return add_operations(r) ? "no memory" : NULL;
}

static void send_accepted(struct request *r)
{
    uint8_t payload[64];
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_mon_client_send(r->client, PV_MF_ACCEPTED, &w, NULL, 0);
}

static void history_row(void *context, uint32_t type, struct pv_rbuf *row)
{
    struct request *r = context;
    uint8_t payload[64];
    struct pv_wbuf w;
    if (!row) {
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The ledger does not answer.");
        return;
    }
    if (type == PV_MSG_LEDGER_HISTORY_ROW) {
        if (r->client)
            pv_mon_send_history_row(r, row);
        return;
    }
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_put_u32(&w, pv_get_u32(row));
    struct client *c = r->client;
    request_free(r);
    if (c)
        pv_mon_client_send(c, PV_MF_END, &w, NULL, 0);
}

static void ask_history(struct request *r)
{
    uint8_t bytes[PV_REQUEST_NAME_MAX + 64];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_u32(&w, r->uid);
    pv_put_cstr(&w, r->user);
    pv_put_u32(&w, HISTORY_ROWS);
    pv_put_u64(&w, 0);
    r->state = RS_HISTORY;
    if (pv_mon_ask(r->m, PV_MSG_LEDGER_HISTORY, &w, history_row, r))
        pv_mon_request_fail(r, PV_FERR_LEDGER, "The ledger does not answer.");
}

/* The user is known: what was asked can be looked at. */
static void resolved(struct request *r)
{
    if (r->wire.user_name[0] && strcmp(r->wire.user_name, r->user) != 0) {
        char detail[600], shown[512];
        pv_escape(shown, sizeof shown, r->wire.user_name, strlen(r->wire.user_name));
        snprintf(detail, sizeof detail, "the message says %s", shown);
        abuse(r, PV_ABUSE_IDENTITY_MISMATCH, detail);
        pv_mon_request_fail(r, PV_FERR_IDENTITY, "The name in the message is not that of the caller.");
        return;
    }
    if (pv_mon_decide_prepare(r)) {
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "no memory");
        return;
    }
    send_accepted(r);
    if (pv_mon_request_over(r))
        return;
    if (r->wire.verb == PV_VERB_HISTORY) {
        ask_history(r);
        return;
    }
    const char *nonsense = r->wire.verb == PV_VERB_RIGHTS ? NULL : understand(r);
    if (nonsense)
        pv_mon_request_fail(r, PV_FERR_REQUEST, "%s", nonsense);
    else
        ask_facts(r);
}

/* ---- Who it is ---- */

static bool take_user(struct request *r, struct pv_rbuf *answer)
{
    char name[PV_REQUEST_NAME_MAX + 1], text[PV_REQUEST_TEXT_MAX + 1], group[PV_REQUEST_NAME_MAX + 1];
    uint32_t uid = pv_get_u32(answer);
    r->login_gid = pv_get_u32(answer);
    pv_get_str_copy(answer, name, sizeof name);
    pv_get_str_copy(answer, text, sizeof text); /* gecos */
    pv_get_str_copy(answer, text, sizeof text);
    r->user = pv_mon_strdup(&r->arena, name, strlen(name));
    r->home = pv_mon_strdup(&r->arena, text, strlen(text));
    pv_get_str_copy(answer, text, sizeof text); /* shell */
    uint32_t n = pv_get_u32_max(answer, PV_MAX_MEMBERS);
    r->groups[0] = pv_mon_alloc(&r->arena, (n + 1) * sizeof *r->groups[0]);
    r->group_ids = pv_mon_alloc(&r->arena, (n + 1) * sizeof *r->group_ids);
    if (!r->user || !r->home || !r->groups[0] || !r->group_ids)
        return false;
    for (uint32_t i = 0; i < n && !answer->error; i++) {
        r->group_ids[r->n_group_ids++] = pv_get_u32(answer);
        pv_get_str_copy(answer, group, sizeof group);
        const char *copy = group[0] ? pv_mon_strdup(&r->arena, group, strlen(group)) : NULL;
        if (copy)
            r->groups[0][r->n_groups[0]++] = pv_str_of(copy);
    }
    return pv_rbuf_done(answer) && uid == r->uid && name[0];
}

static void resolver_frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct request *r = context;
    struct pv_rbuf answer;
    if (r->state != RS_RESOLVING)
        return;
    pv_rbuf_init(&answer, payload, len);
    bool good = type == PV_MSG_RESOLVE_USER && take_user(r, &answer);
    pv_mon_helper_stop(&r->helper);
    if (good) {
        resolved(r);
        return;
    }
    char sentence[256] = "";
    if (type == PV_MSG_RESOLVE_ERROR) {
        pv_get_u32(&answer);
        pv_get_str_copy(&answer, sentence, sizeof sentence);
    }
    pv_mon_request_fail(r, PV_FERR_IDENTITY, "Nobody can be found for uid %u%s%s, so nothing is brokered.", r->uid,
                        sentence[0] ? ": " : "", sentence);
}

static void resolver_gone(void *context, const char *why)
{
    struct request *r = context;
    pv_mon_log("uid %u cannot be resolved: %s", r->uid, why);
    pv_mon_request_fail(r, PV_FERR_IDENTITY, "Who uid %u is could not be found out, so nothing is brokered.", r->uid);
}

static void resolve(struct request *r)
{
    uint8_t bytes[8];
    struct pv_wbuf w;
    r->state = RS_RESOLVING;
    r->helper.gone = resolver_gone;
    r->helper.context = r;
    r->helper.channel.frame = resolver_frame;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_put_u32(&w, r->uid);
    if (pv_mon_helper_start(&r->helper, r->m, &r->m->options.resolver, "proviso-resolver", NULL, -1, 65536,
                            PV_MON_HELPER_DEADLINE_MS) ||
        pv_mon_channel_send(&r->helper.channel, PV_MSG_RESOLVE_UID, &w, NULL, 0))
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "The process that finds out who you are cannot be started.");
}

/* ---- Taking it in ---- */

static uint64_t new_id(struct monitor *m)
{
    uint64_t id = pv_now_ns() / 1000u;
    m->last_request = id > m->last_request ? id : m->last_request + 1;
    return m->last_request;
}

static bool over_limits(const struct monitor *m, uid_t uid)
{
    unsigned all = 0, same = 0;
    for (const struct request *r = m->requests; r; r = r->next) {
        all++;
        same += r->uid == uid;
    }
    return all >= PV_MON_REQUESTS_MAX || same >= PV_MON_REQUESTS_PER_UID;
}

static bool disk_left(const struct monitor *m)
{
    struct statvfs fs;
    return fstatvfs(m->state_dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= PV_MON_DISK_RESERVE;
}

/* Whether the request may be looked at at all: code and sentence, or 0. */
static enum pv_front_error unavailable(const struct monitor *m, const struct pv_wire_request *w, uid_t uid,
                                       const char **sentence)
{
    bool brokering = w->verb == PV_VERB_BROKER;
    if (brokering && !m->options.brokering) {
        *sentence = "Brokering is switched off on this machine.";
        return PV_FERR_OFF;
    }
    if (!m->policy) {
        *sentence = "No policy is in force on this machine.";
        return PV_FERR_POLICY;
    }
    if (!pv_mon_ledger_ready(m)) {
        *sentence = "The ledger is not available, so nothing is brokered.";
        return PV_FERR_LEDGER;
    }
    if (brokering && !disk_left(m)) {
        *sentence = "The disk that holds the ledger is nearly full, so nothing new is brokered.";
        return PV_FERR_LEDGER;
    }
    if (over_limits(m, uid)) {
        *sentence = "Too many requests are in progress. Try again later.";
        return PV_FERR_LIMIT;
    }
    return 0;
}

void pv_mon_request_begin(struct client *client, const uint8_t *canonical, size_t len, const uint8_t *passcode)
{
    struct monitor *m = client->m;
    const char *sentence = "";
    struct request *r = calloc(1, sizeof *r);
    if (!r) {
        pv_mon_client_error(client, PV_FERR_INTERNAL, "no memory");
        return;
    }
    char *storage = pv_mon_alloc(&r->arena, PV_REQUEST_WIRE_MAX);
    enum pv_front_error code = PV_FERR_INTERNAL;
    if (!storage) {
        sentence = "no memory";
        goto refuse;
    }
    if (pv_passcode_verify(m->client_key, client->challenge, client->uid, canonical, len, passcode)) {
        pv_mon_abuse(m, PV_ABUSE_BAD_PASSCODE, client->uid, "", client->pid, client->executable, 0, "");
        code = PV_FERR_PASSCODE;
        sentence = "The message does not come from a client that is configured for this machine.";
        goto refuse;
    }
    if (pv_wire_request_decode(&r->wire, storage, PV_REQUEST_WIRE_MAX, canonical, len)) {
        pv_mon_abuse(m, PV_ABUSE_MALFORMED, client->uid, "", client->pid, client->executable, 0,
                     "a request that does not decode");
        code = PV_FERR_PROTOCOL;
        sentence = "The message is malformed.";
        goto refuse;
    }
    if (r->wire.counter <= client->counter) {
        pv_mon_abuse(m, PV_ABUSE_REPLAY, client->uid, "", client->pid, client->executable, 0, "");
        code = PV_FERR_PROTOCOL;
        sentence = "The message was sent before.";
        goto refuse;
    }
    client->counter = r->wire.counter;
    code = unavailable(m, &r->wire, client->uid, &sentence);
    if (code)
        goto refuse;

    r->m = m;
    r->client = client;
    client->request = r;
    r->next = m->requests;
    m->requests = r;
    r->policy = pv_mon_policy_ref(m->policy);
    r->id = new_id(m);
    snprintf(r->id_text, sizeof r->id_text, "%016llx", (unsigned long long)r->id);
    r->explain = r->wire.verb == PV_VERB_EXPLAIN;
    r->command = -1;
    r->uid = client->uid;
    r->gid = client->gid;
    r->pid = client->pid;
    r->executable = pv_mon_strdup(&r->arena, client->executable, strlen(client->executable));
    r->peer_groups = pv_mon_alloc(&r->arena, (client->n_groups + 1) * sizeof *r->peer_groups);
    if (!r->executable || !r->peer_groups) {
        pv_mon_request_fail(r, PV_FERR_INTERNAL, "no memory");
        return;
    }
    memcpy(r->peer_groups, client->groups, client->n_groups * sizeof *r->peer_groups);
    r->n_peer_groups = client->n_groups;
    pv_mon_request_progress(r, PV_PHASE_RESOLVING, "");
    if (!pv_mon_request_over(r))
        resolve(r);
    return;
refuse:
    pv_mon_arena_free(&r->arena);
    free(r);
    pv_mon_client_error(client, code, "%s", sentence);
}
