/*
 * Records as JSON lines, schema proviso/record/1. A decision carries, per operation, the request in cli.md's form: what
 * the engine reads for `eval`, so that a recorded decision can be made again under another policy. Facts that follow
 * from the policy (a source's location and so on) stand beside the request, not in it.
 *
 * Strings of records may hold any bytes; JSON may not: what is not UTF-8 becomes U+FFFD.
 */
#include "agentd/ledger_read.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Sets a member and releases `value` whatever happens. A failure is remembered in `*failed`. */
static void set(json_t *object, const char *name, json_t *value, bool *failed)
{
    if (json_object_set_new_nocheck(object, name, value) != 0)
        *failed = true;
}

static size_t utf8_length(const unsigned char *at, size_t left)
{
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((n == 3 && at[0] == 0xe0 && at[1] < 0xa0) || (n == 3 && at[0] == 0xed && at[1] > 0x9f) ||
        (n == 4 && at[0] == 0xf0 && at[1] < 0x90) || (n == 4 && at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return n;
}

static json_t *text(struct pv_str s)
{
    char *clean = malloc(3 * (size_t)s.len + 1);
    size_t used = 0;
    if (!clean)
        return NULL;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_length((const unsigned char *)s.ptr + i, s.len - i);
        memcpy(clean + used, n ? s.ptr + i : "\xef\xbf\xbd", n ? n : 3);
        used += n ? n : 3;
        i += n ? n : 1;
    }
    json_t *value = json_stringn(clean, used);
    free(clean);
    return value;
}

static json_t *text_or_null(struct pv_str s)
{
    return s.len ? text(s) : json_null();
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
    char digits[2 * 64 + 1];
    sodium_bin2hex(digits, sizeof digits, bytes, len);
    return json_string(digits);
}

static json_t *hash_or_null(const uint8_t hash[32])
{
    return sodium_is_zero(hash, 32) ? json_null() : hex(hash, 32);
}

static json_t *texts(const struct pv_str *list, uint32_t n, bool *failed)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        if (json_array_append_new(array, text(list[i])) != 0)
            *failed = true;
    return array;
}

/* RFC 3339 in UTC; seconds out of what a calendar shows give null. */
static json_t *instant(int64_t seconds, int64_t ns)
{
    char out[64];
    struct tm tm;
    time_t t = (time_t)seconds;
    if (seconds < 0 || seconds > INT64_C(253402300799) || !gmtime_r(&t, &tm))
        return json_null();
    size_t n = strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &tm);
    if (ns >= 0)
        n += (size_t)snprintf(out + n, sizeof out - n, ".%09" PRId64, ns);
    out[n] = 'Z';
    out[n + 1] = '\0';
    return json_string(out);
}

static json_t *instant_ns(uint64_t ns)
{
    return ns == 0 ? json_null() : instant((int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000));
}

static json_t *date(int64_t days)
{
    char out[48];
    int64_t year;
    unsigned month, day;
    if (days < -719162 || days > 2932896) /* years 1 to 9999 */
        return json_null();
    pv_civil_from_days(days, &year, &month, &day);
    snprintf(out, sizeof out, "%04" PRId64 "-%02u-%02u", year, month, day);
    return json_string(out);
}

static json_t *attr_value(const struct pv_record_attr *a, bool *failed)
{
    static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    char out[16];
    switch (a->type) {
    case PV_T_BOOL: return json_boolean(a->number);
    case PV_T_STRING:
    case PV_T_VERSION: return text(a->string);
    case PV_T_STRINGS: return texts(a->members, a->n_members, failed);
    case PV_T_DATE: return date(a->number);
    case PV_T_CLOCK:
        if (a->number < 0 || a->number > 86400)
            return json_null();
        snprintf(out, sizeof out, "%02d:%02d:%02d", (int)(a->number / 3600), (int)(a->number / 60 % 60),
                 (int)(a->number % 60));
        return json_string(out);
    case PV_T_WEEKDAY: return a->number >= 0 && a->number < 7 ? json_string(weekdays[a->number]) : json_null();
    default: return json_integer(a->number);
    }
}

static bool path_is(const struct pv_record_attr *a, const char *path)
{
    return a->path.len == strlen(path) && memcmp(a->path.ptr, path, a->path.len) == 0;
}

static bool path_begins(const struct pv_record_attr *a, const char *prefix)
{
    return a->path.len >= strlen(prefix) && memcmp(a->path.ptr, prefix, strlen(prefix)) == 0;
}

/* The object for the part of a path before its dot, made where it is not there; NULL where something else is. */
static json_t *scope_of(json_t *object, const char *name, bool *failed)
{
    json_t *scope = json_object_get(object, name);
    if (!scope) {
        scope = json_object();
        set(object, name, scope, failed);
    }
    return json_is_object(scope) ? scope : NULL;
}

/* Puts attributes where the request's form has them; `source` gets source.* beside the name. */
static void put_attrs(json_t *request, json_t *source, json_t *unknown, const struct pv_record_attr *attrs, uint32_t n,
                      bool *failed)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct pv_record_attr *a = &attrs[i];
        char scope_name[256], key[256];
        const char *dot = memchr(a->path.ptr, '.', a->path.len);
        size_t before = dot ? (size_t)(dot - a->path.ptr) : a->path.len, after = dot ? a->path.len - before - 1 : 0;
        if (a->state == PV_NOT_KNOWN) {
            if (json_array_append_new(unknown, text(a->path)) != 0)
                *failed = true;
            continue;
        }
        if (path_begins(a, "time.") || before == 0 || before >= sizeof scope_name || after >= sizeof key)
            continue; /* time.* follows from the instant */
        memcpy(scope_name, a->path.ptr, before);
        scope_name[before] = '\0';
        if (!dot) {
            set(request, scope_name, attr_value(a, failed), failed);
            continue;
        }
        memcpy(key, dot + 1, after);
        key[after] = '\0';
        if (path_is(a, "source.name"))
            set(request, "source", text(a->string), failed);
        if (path_begins(a, "source.")) {
            set(source, key, attr_value(a, failed), failed);
            continue;
        }
        json_t *scope = scope_of(request, scope_name, failed);
        if (scope)
            set(scope, key, attr_value(a, failed), failed);
    }
}

static json_t *verdict(const struct pv_record_verdict *v, bool *failed)
{
    json_t *object = json_object(), *rules = json_array(), *obligations = json_object();
    json_t *by_kind[PV_D_ALERT + 1] = {[PV_D_APPROVAL] = json_array(),
                                       [PV_D_WINDOW] = json_array(),
                                       [PV_D_NOTICE] = json_array(),
                                       [PV_D_ALERT] = json_array()};
    for (uint32_t i = 0; i < v->n_rules; i++) {
        json_t *rule = json_object();
        set(rule, "id", text(v->rules[i].id), failed);
        set(rule, "effect", json_string(pv_rule_effect_name(v->rules[i].kind)), failed);
        set(rule, "file", text(v->rules[i].file), failed);
        set(rule, "line", json_integer(v->rules[i].line), failed);
        if (json_array_append_new(rules, rule) != 0)
            *failed = true;
    }
    for (uint32_t i = 0; i < v->n_duties; i++) {
        json_t *list = by_kind[v->duties[i].kind];
        if (list && json_array_append_new(list, text(v->duties[i].text)) != 0)
            *failed = true;
    }
    set(object, "decision", json_string(pv_effect_name(v->effect)), failed);
    set(object, "default", json_boolean(v->is_default), failed);
    set(object, "rules", rules, failed);
    set(object, "because", texts(v->because, v->n_because, failed), failed);
    set(obligations, "reason", json_boolean(v->reason), failed);
    set(obligations, "approval", by_kind[PV_D_APPROVAL], failed);
    set(obligations, "timeout", v->has_timeout ? json_integer(v->timeout) : json_null(), failed);
    set(obligations, "account", text_or_null(v->account), failed);
    set(obligations, "windows", by_kind[PV_D_WINDOW], failed);
    set(obligations, "notices", by_kind[PV_D_NOTICE], failed);
    set(obligations, "alerts", by_kind[PV_D_ALERT], failed);
    set(object, "obligations", obligations, failed);
    return object;
}

static json_t *operation(const struct pv_record_decision *d, const struct pv_record_operation *op, bool *failed)
{
    json_t *object = json_object(), *request = json_object(), *source = json_object(), *unknown = json_array();
    set(request, "schema", json_string("proviso/request/1"), failed);
    put_attrs(request, source, unknown, d->attrs, d->n_attrs, failed);
    put_attrs(request, source, unknown, op->attrs, op->n_attrs, failed);
    set(request, "time", instant(d->time, -1), failed);
    set(object, "request", request, failed);
    if (json_object_size(source))
        set(object, "source", source, failed);
    else
        json_decref(source);
    if (json_array_size(unknown))
        set(object, "unknown", unknown, failed);
    else
        json_decref(unknown);
    set(object, "decision", verdict(&op->verdict, failed), failed);
    return object;
}

static void put_decision(json_t *o, const struct pv_record_decision *d, bool *failed)
{
    json_t *options = json_array(), *operations = json_array(), *policy = json_object();
    for (uint32_t i = 0; i < d->n_options; i++) {
        json_t *option = json_object();
        set(option, "name", text(d->options[i].name), failed);
        set(option, "value", d->options[i].has_value ? text(d->options[i].value) : json_null(), failed);
        if (json_array_append_new(options, option) != 0)
            *failed = true;
    }
    for (uint32_t i = 0; i < d->n_operations; i++)
        if (json_array_append_new(operations, operation(d, &d->operations[i], failed)) != 0)
            *failed = true;
    set(policy, "name", text(d->policy), failed);
    set(policy, "version", json_integer((json_int_t)d->policy_version), failed);
    set(policy, "bundle", hex(d->bundle_hash, sizeof d->bundle_hash), failed);
    set(o, "user", text(d->user), failed);
    set(o, "pid", json_integer(d->pid), failed);
    set(o, "executable", text_or_null(d->executable), failed);
    set(o, "command", text(d->verb), failed);
    set(o, "arguments", texts(d->args, d->n_args, failed), failed);
    set(o, "options", options, failed);
    set(o, "custom_source", json_boolean(d->custom_source), failed);
    set(o, "dry_run", json_boolean(d->dry_run), failed);
    set(o, "phase", json_string(pv_record_phase_name(d->phase)), failed);
    set(o, "zone", text_or_null(d->zone), failed);
    set(o, "policy", policy, failed);
    set(o, "plan", hash_or_null(d->plan_hash), failed);
    set(o, "changes", json_integer(d->changes), failed);
    set(o, "runs", json_boolean(d->runs), failed);
    set(o, "decision", verdict(&d->verdict, failed), failed);
    set(o, "operations", operations, failed);
}

static void put_outcome(json_t *o, const struct pv_record_outcome *r, bool *failed)
{
    json_t *changes = json_array();
    for (uint32_t i = 0; i < r->n_changes; i++) {
        json_t *change = json_object();
        set(change, "action", text(r->changes[i].action), failed);
        set(change, "package", text(r->changes[i].package), failed);
        set(change, "architecture", text(r->changes[i].arch), failed);
        set(change, "old_version", text_or_null(r->changes[i].old_version), failed);
        set(change, "new_version", text_or_null(r->changes[i].new_version), failed);
        if (json_array_append_new(changes, change) != 0)
            *failed = true;
    }
    set(o, "outcome", text(r->word), failed);
    set(o, "exit_status", r->exit_status < 0 ? json_null() : json_integer(r->exit_status), failed);
    set(o, "signal", r->signal ? json_integer(r->signal) : json_null(), failed);
    set(o, "started", instant_ns(r->started_ns), failed);
    set(o, "ended", instant_ns(r->ended_ns), failed);
    set(o, "text", text(r->sentence), failed);
    set(o, "changes", changes, failed);
}

static void put_policy(json_t *o, const struct pv_record_policy *p, bool *failed)
{
    set(o, "accepted", json_boolean(p->accepted), failed);
    set(o, "path", text(p->path), failed);
    set(o, "name", text(p->name), failed);
    set(o, "version", json_integer((json_int_t)p->version), failed);
    set(o, "bundle", hash_or_null(p->content_hash), failed);
    set(o, "zone", text_or_null(p->zone), failed);
    set(o, "zone_hash", hash_or_null(p->zone_hash), failed);
    set(o, "key", text_or_null(p->key_id), failed);
    set(o, "comment", text_or_null(p->comment), failed);
    set(o, "text", text(p->sentence), failed);
}

static void put_record(json_t *o, const struct pv_record *r, bool *failed)
{
    switch (r->kind) {
    case PV_RECORD_START:
        set(o, "version", text(r->start.version), failed);
        set(o, "pid", json_integer(r->start.pid), failed);
        set(o, "root", text(r->start.root), failed);
        set(o, "boot", text_or_null(r->start.boot_id), failed);
        set(o, "machine", text_or_null(r->start.machine_id), failed);
        set(o, "text", text(r->start.text), failed);
        break;
    case PV_RECORD_STOP: set(o, "text", text(r->stop.reason), failed); break;
    case PV_RECORD_POLICY: put_policy(o, &r->policy, failed); break;
    case PV_RECORD_DECISION: put_decision(o, &r->decision, failed); break;
    case PV_RECORD_OUTCOME: put_outcome(o, &r->outcome, failed); break;
    case PV_RECORD_OWN:
        set(o, "granted", json_boolean(r->own.granted), failed);
        set(o, "root", text(r->own.root), failed);
        set(o, "package", text(r->own.package), failed);
        set(o, "architecture", text(r->own.arch), failed);
        set(o, "user", text(r->own.user), failed);
        set(o, "text", text(r->own.reason), failed);
        break;
    case PV_RECORD_ABUSE:
        set(o, "abuse", json_string(pv_abuse_name(r->abuse.kind)), failed);
        set(o, "user", text_or_null(r->abuse.user), failed);
        set(o, "pid", json_integer(r->abuse.pid), failed);
        set(o, "executable", text_or_null(r->abuse.executable), failed);
        set(o, "text", text(r->abuse.detail), failed);
        set(o, "count", json_integer(r->abuse.count), failed);
        set(o, "first", instant_ns(r->abuse.first_ns), failed);
        break;
    case PV_RECORD_EVENT:
        set(o, "event", text(r->event.word), failed);
        set(o, "text", text(r->event.text), failed);
        break;
    case PV_RECORD_N_KINDS: break;
    }
}

static json_t *base64(const void *bytes, size_t len)
{
    size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *out = malloc(size);
    if (!out)
        return NULL;
    sodium_bin2base64(out, size, bytes, len, sodium_base64_VARIANT_ORIGINAL);
    json_t *value = json_string(out);
    free(out);
    return value;
}

json_t *pv_ledger_json(const struct pv_ledger_row *row)
{
    struct pv_record record;
    void *arena;
    bool failed = false;
    char request[17];
    const char *kind = pv_record_kind_name(row->kind);
    json_t *o = json_object();
    int result = pv_record_decode(row->kind, row->body, row->len, &record, &arena);
    if (!o || result == PV_E_NOMEM) {
        json_decref(o);
        return NULL;
    }
    uint64_t id = result == 0 ? record.request : row->request;
    int64_t uid = result == 0 ? record.uid : row->uid;
    snprintf(request, sizeof request, "%016" PRIx64, id);
    set(o, "schema", json_string("proviso/record/1"), &failed);
    set(o, "seq", json_integer((json_int_t)row->seq), &failed);
    set(o, "time", instant((int64_t)(row->time_ns / 1000000000), (int64_t)(row->time_ns % 1000000000)), &failed);
    set(o, "kind", kind ? json_string(kind) : json_integer(row->kind), &failed);
    set(o, "hash", hex(row->hash, sizeof row->hash), &failed);
    set(o, "uid", uid < 0 ? json_null() : json_integer(uid), &failed);
    set(o, "request", id ? json_string(request) : json_null(), &failed);
    if (result == 0) {
        put_record(o, &record, &failed);
        free(arena);
    } else {
        set(o, "malformed", json_true(), &failed);
        set(o, "body", base64(row->body, row->len), &failed);
    }
    if (failed) {
        json_decref(o);
        return NULL;
    }
    return o;
}
