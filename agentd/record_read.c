/*
 * Decoding of records and their display. The bytes come from a database that somebody may have written to, so each
 * field is a checked read and each list is weighed against the bytes that are left before room for it is taken. All
 * that is decoded lives in one arena whose size follows from the body's: a list's entry takes at most ARENA_RATIO times
 * the least that its encoding takes.
 */
#include "agentd/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_RATIO 12

struct reader {
    struct pv_rbuf r;
    char *arena;
    size_t used, size;
};

static struct pv_str get_text(struct reader *d)
{
    size_t len;
    const char *text = pv_get_str(&d->r, PV_RECORD_TEXT_MAX, &len);
    return (struct pv_str){.ptr = text ? text : "", .len = (uint32_t)len};
}

static unsigned get_enum(struct reader *d, unsigned low, unsigned end)
{
    unsigned value = pv_get_u8(&d->r);
    if (value < low || value >= end) {
        d->r.error = true;
        return low;
    }
    return value;
}

/* Reads a count and takes room for so many entries of `size` bytes, each encoded in `least` bytes or more. */
static void *get_list(struct reader *d, uint32_t *n, size_t size, size_t least)
{
    *n = pv_get_u32_max(&d->r, PV_RECORD_LIST_MAX);
    size_t need = *n * size;
    if (d->r.error || *n > (d->r.len - d->r.at) / least || need > d->size - d->used) {
        d->r.error = true;
        *n = 0;
        return NULL;
    }
    void *at = d->arena + d->used;
    d->used += need;
    memset(at, 0, need);
    return *n ? at : NULL;
}

static struct pv_str *get_texts(struct reader *d, uint32_t *n)
{
    struct pv_str *texts = get_list(d, n, sizeof *texts, 4);
    for (uint32_t i = 0; i < *n; i++)
        texts[i] = get_text(d);
    return texts;
}

static void get_start(struct reader *d, struct pv_record_start *s)
{
    s->version = get_text(d);
    s->pid = pv_get_i64(&d->r);
    s->root = get_text(d);
    s->boot_id = get_text(d);
    s->machine_id = get_text(d);
    s->text = get_text(d);
}

static void get_policy(struct reader *d, struct pv_record_policy *p)
{
    p->accepted = pv_get_bool(&d->r);
    p->path = get_text(d);
    p->name = get_text(d);
    p->version = pv_get_u64(&d->r);
    pv_get_raw(&d->r, p->content_hash, sizeof p->content_hash);
    p->zone = get_text(d);
    pv_get_raw(&d->r, p->zone_hash, sizeof p->zone_hash);
    p->key_id = get_text(d);
    p->comment = get_text(d);
    p->sentence = get_text(d);
}

static struct pv_record_attr *get_attrs(struct reader *d, uint32_t *n)
{
    struct pv_record_attr *attrs = get_list(d, n, sizeof *attrs, 6);
    _Static_assert(sizeof *attrs <= 6 * ARENA_RATIO, "arena");
    for (uint32_t i = 0; i < *n; i++) {
        struct pv_record_attr *a = &attrs[i];
        a->path = get_text(d);
        a->type = (enum pv_type)get_enum(d, PV_T_BOOL, PV_T_STRINGS + 1);
        a->state = (enum pv_state)get_enum(d, PV_PRESENT, PV_NOT_KNOWN + 1);
        a->string = pv_str_of("");
        if (a->state == PV_NOT_KNOWN)
            continue;
        if (a->type == PV_T_STRING || a->type == PV_T_VERSION)
            a->string = get_text(d);
        else if (a->type == PV_T_STRINGS)
            a->members = get_texts(d, &a->n_members);
        else if (a->type == PV_T_BOOL)
            a->number = get_enum(d, 0, 2);
        else
            a->number = pv_get_i64(&d->r);
    }
    return attrs;
}

static void get_verdict(struct reader *d, struct pv_record_verdict *v)
{
    v->effect = (enum pv_effect)get_enum(d, PV_DENY, PV_DIRECT + 1);
    v->is_default = pv_get_bool(&d->r);
    v->rules = get_list(d, &v->n_rules, sizeof *v->rules, 13);
    for (uint32_t i = 0; i < v->n_rules; i++) {
        v->rules[i].id = get_text(d);
        v->rules[i].kind = (enum pv_rule_kind)get_enum(d, PV_RULE_BUILTIN_DENY, PV_RULE_DIRECT + 1);
        v->rules[i].file = get_text(d);
        v->rules[i].line = pv_get_u32(&d->r);
    }
    v->because = get_texts(d, &v->n_because);
    v->reason = pv_get_bool(&d->r);
    v->has_timeout = pv_get_bool(&d->r);
    if (v->has_timeout)
        v->timeout = pv_get_i64(&d->r);
    v->account = get_text(d);
    v->duties = get_list(d, &v->n_duties, sizeof *v->duties, 5);
    for (uint32_t i = 0; i < v->n_duties; i++) {
        v->duties[i].kind = (enum pv_duty_kind)get_enum(d, PV_D_REASON, PV_D_ALERT + 1);
        v->duties[i].text = get_text(d);
    }
}

static void get_decision(struct reader *d, struct pv_record_decision *out)
{
    out->user = get_text(d);
    out->pid = pv_get_i64(&d->r);
    out->executable = get_text(d);
    out->verb = get_text(d);
    out->args = get_texts(d, &out->n_args);
    out->options = get_list(d, &out->n_options, sizeof *out->options, 5);
    for (uint32_t i = 0; i < out->n_options; i++) {
        out->options[i].name = get_text(d);
        out->options[i].has_value = pv_get_bool(&d->r);
        out->options[i].value = out->options[i].has_value ? get_text(d) : pv_str_of("");
    }
    out->custom_source = pv_get_bool(&d->r);
    out->dry_run = pv_get_bool(&d->r);
    out->phase = (enum pv_record_phase)get_enum(d, 0, PV_N_DECIDED);
    out->time = pv_get_i64(&d->r);
    out->zone = get_text(d);
    out->policy = get_text(d);
    out->policy_version = pv_get_u64(&d->r);
    pv_get_raw(&d->r, out->bundle_hash, sizeof out->bundle_hash);
    pv_get_raw(&d->r, out->plan_hash, sizeof out->plan_hash);
    out->changes = pv_get_u32(&d->r);
    out->runs = pv_get_bool(&d->r);
    get_verdict(d, &out->verdict);
    out->attrs = get_attrs(d, &out->n_attrs);
    out->operations = get_list(d, &out->n_operations, sizeof *out->operations, 24);
    _Static_assert(sizeof *out->operations <= 24 * ARENA_RATIO, "arena");
    for (uint32_t i = 0; i < out->n_operations; i++) {
        out->operations[i].attrs = get_attrs(d, &out->operations[i].n_attrs);
        get_verdict(d, &out->operations[i].verdict);
    }
}

static void get_outcome(struct reader *d, struct pv_record_outcome *o)
{
    o->word = get_text(d);
    o->exit_status = pv_get_i64(&d->r);
    o->signal = pv_get_u32(&d->r);
    o->started_ns = pv_get_u64(&d->r);
    o->ended_ns = pv_get_u64(&d->r);
    o->sentence = get_text(d);
    o->changes = get_list(d, &o->n_changes, sizeof *o->changes, 20);
    for (uint32_t i = 0; i < o->n_changes; i++) {
        o->changes[i].action = get_text(d);
        o->changes[i].package = get_text(d);
        o->changes[i].arch = get_text(d);
        o->changes[i].old_version = get_text(d);
        o->changes[i].new_version = get_text(d);
    }
}

static void get_own(struct reader *d, struct pv_record_own *o)
{
    o->granted = pv_get_bool(&d->r);
    o->root = get_text(d);
    o->package = get_text(d);
    o->arch = get_text(d);
    o->user = get_text(d);
    o->reason = get_text(d);
}

static void get_abuse(struct reader *d, struct pv_record_abuse *a)
{
    a->kind = (enum pv_abuse)get_enum(d, 1, PV_ABUSE_N_KINDS);
    a->user = get_text(d);
    a->pid = pv_get_i64(&d->r);
    a->executable = get_text(d);
    a->detail = get_text(d);
    a->count = pv_get_u32(&d->r);
    a->first_ns = pv_get_u64(&d->r);
    if (a->count == 0)
        d->r.error = true;
}

static void get_head(struct pv_rbuf *r, int64_t *uid, uint64_t *request)
{
    *uid = pv_get_i64(r);
    *request = pv_get_u64(r);
    if (*uid < PV_RECORD_NOBODY || *uid > UINT32_MAX)
        r->error = true;
}

int pv_record_head(const void *body, size_t len, int64_t *uid, uint64_t *request)
{
    struct pv_rbuf r;
    pv_rbuf_init(&r, body, len);
    get_head(&r, uid, request);
    if (!r.error)
        return 0;
    *uid = PV_RECORD_NOBODY;
    *request = 0;
    return PV_E_SYNTAX;
}

int pv_record_decode(uint32_t kind, const void *body, size_t len, struct pv_record *out, void **arena)
{
    struct reader d = {.size = len * ARENA_RATIO};
    memset(out, 0, sizeof *out);
    *arena = NULL;
    if (len > PV_RECORD_MAX)
        return PV_E_SYNTAX;
    d.arena = malloc(d.size ? d.size : 1);
    if (!d.arena)
        return PV_E_NOMEM;
    pv_rbuf_init(&d.r, body, len);
    get_head(&d.r, &out->uid, &out->request);
    out->kind = (enum pv_record_kind)kind;
    switch (kind) {
    case PV_RECORD_START: get_start(&d, &out->start); break;
    case PV_RECORD_STOP: out->stop.reason = get_text(&d); break;
    case PV_RECORD_POLICY: get_policy(&d, &out->policy); break;
    case PV_RECORD_DECISION: get_decision(&d, &out->decision); break;
    case PV_RECORD_OUTCOME: get_outcome(&d, &out->outcome); break;
    case PV_RECORD_OWN:
        get_own(&d, &out->own);
        if (out->uid == PV_RECORD_NOBODY)
            d.r.error = true;
        break;
    case PV_RECORD_ABUSE: get_abuse(&d, &out->abuse); break;
    case PV_RECORD_EVENT:
        out->event.word = get_text(&d);
        out->event.text = get_text(&d);
        break;
    default: d.r.error = true;
    }
    if (!pv_rbuf_done(&d.r)) {
        free(d.arena);
        memset(out, 0, sizeof *out);
        return PV_E_SYNTAX;
    }
    *arena = d.arena;
    return 0;
}

/* ---- Display ---- */

static void put(FILE *out, struct pv_str text)
{
    char shown[1024];
    pv_escape(shown, sizeof shown, text.ptr, text.len);
    fputs(shown, out);
}

static void put_field(FILE *out, const char *indent, const char *name, struct pv_str text)
{
    if (text.len == 0)
        return;
    fprintf(out, "%s%s: ", indent, name);
    put(out, text);
    fputc('\n', out);
}

static void put_hex(FILE *out, const char *indent, const char *name, const uint8_t *bytes, size_t n)
{
    fprintf(out, "%s%s: ", indent, name);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", bytes[i]);
    fputc('\n', out);
}

static void put_value(FILE *out, const struct pv_record_attr *a)
{
    if (a->state == PV_NOT_KNOWN)
        fputs("(not known yet)", out);
    else if (a->type == PV_T_STRING || a->type == PV_T_VERSION)
        put(out, a->string);
    else if (a->type == PV_T_BOOL)
        fputs(a->number ? "true" : "false", out);
    else if (a->type == PV_T_STRINGS)
        for (uint32_t i = 0; i < a->n_members; i++) {
            fputs(i ? ", " : "", out);
            put(out, a->members[i]);
        }
    else
        fprintf(out, "%" PRId64, a->number);
}

static void dump_attrs(FILE *out, const char *indent, const struct pv_record_attr *attrs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        fputs(indent, out);
        put(out, attrs[i].path);
        fputs(" = ", out);
        put_value(out, &attrs[i]);
        fputc('\n', out);
    }
}

static void dump_verdict(FILE *out, const char *indent, const struct pv_record_verdict *v)
{
    fprintf(out, "%sverdict: %s%s\n", indent, pv_effect_name(v->effect),
            v->is_default ? " (default: nothing allows it)" : "");
    for (uint32_t i = 0; i < v->n_rules; i++) {
        fprintf(out, "%srule: %s by ", indent, pv_rule_effect_name(v->rules[i].kind));
        put(out, v->rules[i].id);
        if (v->rules[i].line) {
            fputs(" (", out);
            put(out, v->rules[i].file);
            fprintf(out, ":%" PRIu32 ")", v->rules[i].line);
        }
        fputc('\n', out);
    }
    for (uint32_t i = 0; i < v->n_because; i++)
        put_field(out, indent, "because", v->because[i]);
    if (v->reason)
        fprintf(out, "%sduty: reason\n", indent);
    if (v->has_timeout)
        fprintf(out, "%sduty: timeout %" PRId64 " s\n", indent, v->timeout);
    put_field(out, indent, "duty: account", v->account);
    for (uint32_t i = 0; i < v->n_duties; i++) {
        fprintf(out, "%sduty: %s ", indent, pv_duty_kind_name(v->duties[i].kind));
        put(out, v->duties[i].text);
        fputc('\n', out);
    }
}

static void dump_decision(FILE *out, const char *indent, const struct pv_record_decision *d)
{
    char deeper[64];
    snprintf(deeper, sizeof deeper, "%s  ", indent);
    put_field(out, indent, "user", d->user);
    fprintf(out, "%spid: %" PRId64 "\n", indent, d->pid);
    put_field(out, indent, "executable", d->executable);
    put_field(out, indent, "command", d->verb);
    for (uint32_t i = 0; i < d->n_args; i++)
        put_field(out, indent, "argument", d->args[i]);
    for (uint32_t i = 0; i < d->n_options; i++) {
        fprintf(out, "%soption: --", indent);
        put(out, d->options[i].name);
        if (d->options[i].has_value) {
            fputc('=', out);
            put(out, d->options[i].value);
        }
        fputc('\n', out);
    }
    if (d->custom_source)
        fprintf(out, "%scustom source: yes\n", indent);
    if (d->dry_run)
        fprintf(out, "%sdry run: yes\n", indent);
    fprintf(out, "%sdecided on: the %s\n", indent, pv_record_phase_name(d->phase));
    put_field(out, indent, "zone", d->zone);
    put_field(out, indent, "policy", d->policy);
    fprintf(out, "%spolicy version: %" PRIu64 "\n", indent, d->policy_version);
    put_hex(out, indent, "bundle", d->bundle_hash, sizeof d->bundle_hash);
    put_hex(out, indent, "plan", d->plan_hash, sizeof d->plan_hash);
    fprintf(out, "%schanges counted: %" PRIu32 "\n", indent, d->changes);
    dump_verdict(out, indent, &d->verdict);
    dump_attrs(out, indent, d->attrs, d->n_attrs);
    for (uint32_t i = 0; i < d->n_operations; i++) {
        fprintf(out, "%soperation %" PRIu32 ":\n", indent, i + 1);
        dump_verdict(out, deeper, &d->operations[i].verdict);
        dump_attrs(out, deeper, d->operations[i].attrs, d->operations[i].n_attrs);
    }
}

static void dump_outcome(FILE *out, const char *indent, const struct pv_record_outcome *o)
{
    put_field(out, indent, "outcome", o->word);
    if (o->started_ns)
        fprintf(out, "%sexit status: %" PRId64 "\n", indent, o->exit_status);
    if (o->signal)
        fprintf(out, "%ssignal: %" PRIu32 "\n", indent, o->signal);
    if (o->started_ns && o->ended_ns >= o->started_ns)
        fprintf(out, "%stook: %.3f s\n", indent, (double)(o->ended_ns - o->started_ns) / 1e9);
    put_field(out, indent, "text", o->sentence);
    for (uint32_t i = 0; i < o->n_changes; i++) {
        const struct pv_record_change *c = &o->changes[i];
        fprintf(out, "%schange: ", indent);
        put(out, c->action);
        fputc(' ', out);
        put(out, c->package);
        fputc(':', out);
        put(out, c->arch);
        fputc(' ', out);
        put(out, c->old_version);
        fputs(c->old_version.len && c->new_version.len ? " -> " : "", out);
        put(out, c->new_version);
        fputc('\n', out);
    }
}

void pv_record_dump(FILE *out, const struct pv_record *record, const char *indent)
{
    switch (record->kind) {
    case PV_RECORD_START:
        put_field(out, indent, "version", record->start.version);
        fprintf(out, "%spid: %" PRId64 "\n", indent, record->start.pid);
        put_field(out, indent, "root", record->start.root);
        put_field(out, indent, "boot", record->start.boot_id);
        put_field(out, indent, "machine", record->start.machine_id);
        put_field(out, indent, "text", record->start.text);
        break;
    case PV_RECORD_STOP: put_field(out, indent, "reason", record->stop.reason); break;
    case PV_RECORD_POLICY:
        put_field(out, indent, "path", record->policy.path);
        put_field(out, indent, "policy", record->policy.name);
        fprintf(out, "%sversion: %" PRIu64 "\n", indent, record->policy.version);
        put_hex(out, indent, "bundle", record->policy.content_hash, sizeof record->policy.content_hash);
        put_field(out, indent, "zone", record->policy.zone);
        put_hex(out, indent, "zone file", record->policy.zone_hash, sizeof record->policy.zone_hash);
        put_field(out, indent, "key", record->policy.key_id);
        put_field(out, indent, "comment", record->policy.comment);
        put_field(out, indent, "refused", record->policy.sentence);
        break;
    case PV_RECORD_DECISION: dump_decision(out, indent, &record->decision); break;
    case PV_RECORD_OUTCOME: dump_outcome(out, indent, &record->outcome); break;
    case PV_RECORD_OWN:
        put_field(out, indent, "root", record->own.root);
        put_field(out, indent, "package", record->own.package);
        put_field(out, indent, "architecture", record->own.arch);
        put_field(out, indent, "user", record->own.user);
        put_field(out, indent, "reason", record->own.reason);
        break;
    case PV_RECORD_ABUSE:
        put_field(out, indent, "user", record->abuse.user);
        fprintf(out, "%spid: %" PRId64 "\n", indent, record->abuse.pid);
        put_field(out, indent, "executable", record->abuse.executable);
        put_field(out, indent, "detail", record->abuse.detail);
        fprintf(out, "%scount: %" PRIu32 "\n", indent, record->abuse.count);
        break;
    case PV_RECORD_EVENT: put_field(out, indent, "text", record->event.text); break;
    case PV_RECORD_N_KINDS: break;
    }
}

static void summarise_decision(FILE *out, const struct pv_record_decision *d)
{
    put(out, d->user);
    fprintf(out, " %s ", pv_effect_name(d->verdict.effect));
    put(out, d->verb);
    for (uint32_t i = 0; i < d->n_args && i < 8; i++) {
        fputc(' ', out);
        put(out, d->args[i]);
    }
    if (d->n_args > 8)
        fprintf(out, " and %" PRIu32 " more", d->n_args - 8);
    if (d->dry_run)
        fputs(" (dry run)", out);
    for (uint32_t i = 0; i < d->verdict.n_rules && i < 4; i++) {
        fputs(i ? ", " : " by ", out);
        put(out, d->verdict.rules[i].id);
    }
    if (d->verdict.n_rules > 4)
        fprintf(out, " and %" PRIu32 " more", d->verdict.n_rules - 4);
    if (d->verdict.is_default)
        fputs(" by default", out);
}

void pv_record_summary(FILE *out, const struct pv_record *record)
{
    switch (record->kind) {
    case PV_RECORD_START:
        fputs("version ", out);
        put(out, record->start.version);
        fputs(" on root ", out);
        put(out, record->start.root);
        break;
    case PV_RECORD_STOP: put(out, record->stop.reason); break;
    case PV_RECORD_POLICY:
        put(out, record->policy.name);
        fprintf(out, " version %" PRIu64 " %s", record->policy.version,
                record->policy.accepted ? "accepted" : "refused: ");
        put(out, record->policy.sentence);
        break;
    case PV_RECORD_DECISION: summarise_decision(out, &record->decision); break;
    case PV_RECORD_OUTCOME:
        put(out, record->outcome.word);
        if (record->outcome.signal)
            fprintf(out, ", signal %" PRIu32, record->outcome.signal);
        else if (record->outcome.started_ns)
            fprintf(out, ", status %" PRId64, record->outcome.exit_status);
        if (record->outcome.n_changes)
            fprintf(out, ", %" PRIu32 " package%s changed", record->outcome.n_changes,
                    record->outcome.n_changes == 1 ? "" : "s");
        break;
    case PV_RECORD_OWN:
        put(out, record->own.user);
        fprintf(out, record->own.granted ? " owns " : " no longer owns ");
        put(out, record->own.package);
        fputc(':', out);
        put(out, record->own.arch);
        fputs(" (", out);
        put(out, record->own.reason);
        fputc(')', out);
        break;
    case PV_RECORD_ABUSE:
        fprintf(out, "%s by ", pv_abuse_name(record->abuse.kind));
        put(out, record->abuse.user);
        if (record->abuse.count > 1)
            fprintf(out, ", %" PRIu32 " times", record->abuse.count);
        fputs(": ", out);
        put(out, record->abuse.detail);
        break;
    case PV_RECORD_EVENT:
        put(out, record->event.word);
        fputs(": ", out);
        put(out, record->event.text);
        break;
    case PV_RECORD_N_KINDS: break;
    }
}
