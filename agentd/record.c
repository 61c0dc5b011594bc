/*
 * Encoding of records, and the words and escapes that every reader shares; the format is told in record.h.
 *
 * What the decoder would refuse is never written: a limit or an enumerator out of range sets the buffer's overflow,
 * upon which the monitor has no record and therefore runs nothing. Keep each put_* in step with its get_* in
 * record_read.c.
 */
#include "agentd/record.h"

#include <string.h>

struct pv_str pv_str_of(const char *text)
{
    return (struct pv_str){.ptr = text ? text : "", .len = text ? (uint32_t)strlen(text) : 0};
}

static void put_text(struct pv_wbuf *w, struct pv_str text)
{
    if (text.len > PV_RECORD_TEXT_MAX)
        w->overflow = true;
    pv_put_str(w, text.ptr, text.len);
}

static void put_count(struct pv_wbuf *w, uint32_t n)
{
    if (n > PV_RECORD_LIST_MAX)
        w->overflow = true;
    pv_put_u32(w, n);
}

/* An enumerator from `low` to below `end`. */
static void put_enum(struct pv_wbuf *w, unsigned value, unsigned low, unsigned end)
{
    if (value < low || value >= end)
        w->overflow = true;
    pv_put_u8(w, (uint8_t)value);
}

static void put_texts(struct pv_wbuf *w, const struct pv_str *texts, uint32_t n)
{
    put_count(w, n);
    for (uint32_t i = 0; i < n && !w->overflow; i++)
        put_text(w, texts[i]);
}

static void put_start(struct pv_wbuf *w, const struct pv_record_start *s)
{
    put_text(w, s->version);
    pv_put_i64(w, s->pid);
    put_text(w, s->root);
    put_text(w, s->boot_id);
    put_text(w, s->machine_id);
    put_text(w, s->text);
}

static void put_policy(struct pv_wbuf *w, const struct pv_record_policy *p)
{
    pv_put_bool(w, p->accepted);
    put_text(w, p->path);
    put_text(w, p->name);
    pv_put_u64(w, p->version);
    pv_put_raw(w, p->content_hash, sizeof p->content_hash);
    put_text(w, p->zone);
    pv_put_raw(w, p->zone_hash, sizeof p->zone_hash);
    put_text(w, p->key_id);
    put_text(w, p->comment);
    put_text(w, p->sentence);
}

static void put_attrs(struct pv_wbuf *w, const struct pv_record_attr *attrs, uint32_t n)
{
    put_count(w, n);
    for (uint32_t i = 0; i < n && !w->overflow; i++) {
        const struct pv_record_attr *a = &attrs[i];
        put_text(w, a->path);
        put_enum(w, a->type, PV_T_BOOL, PV_T_STRINGS + 1);
        put_enum(w, a->state, PV_PRESENT, PV_NOT_KNOWN + 1);
        if (a->state == PV_NOT_KNOWN)
            continue;
        if (a->type == PV_T_STRING || a->type == PV_T_VERSION)
            put_text(w, a->string);
        else if (a->type == PV_T_STRINGS)
            put_texts(w, a->members, a->n_members);
        else if (a->type == PV_T_BOOL)
            put_enum(w, a->number < 0 || a->number > 1 ? 2 : (unsigned)a->number, 0, 2);
        else
            pv_put_i64(w, a->number);
    }
}

static void put_verdict(struct pv_wbuf *w, const struct pv_record_verdict *v)
{
    put_enum(w, v->effect, PV_DENY, PV_DIRECT + 1);
    pv_put_bool(w, v->is_default);
    put_count(w, v->n_rules);
    for (uint32_t i = 0; i < v->n_rules && !w->overflow; i++) {
        put_text(w, v->rules[i].id);
        put_enum(w, v->rules[i].kind, PV_RULE_BUILTIN_DENY, PV_RULE_DIRECT + 1);
        put_text(w, v->rules[i].file);
        pv_put_u32(w, v->rules[i].line);
    }
    put_texts(w, v->because, v->n_because);
    pv_put_bool(w, v->reason);
    pv_put_bool(w, v->has_timeout);
    if (v->has_timeout)
        pv_put_i64(w, v->timeout);
    put_text(w, v->account);
    put_count(w, v->n_duties);
    for (uint32_t i = 0; i < v->n_duties && !w->overflow; i++) {
        put_enum(w, v->duties[i].kind, PV_D_REASON, PV_D_ALERT + 1);
        put_text(w, v->duties[i].text);
    }
}

static void put_decision(struct pv_wbuf *w, const struct pv_record_decision *d)
{
    put_text(w, d->user);
    pv_put_i64(w, d->pid);
    put_text(w, d->executable);
    put_text(w, d->verb);
    put_texts(w, d->args, d->n_args);
    put_count(w, d->n_options);
    for (uint32_t i = 0; i < d->n_options && !w->overflow; i++) {
        put_text(w, d->options[i].name);
        pv_put_bool(w, d->options[i].has_value);
        if (d->options[i].has_value)
            put_text(w, d->options[i].value);
    }
    pv_put_bool(w, d->custom_source);
    pv_put_bool(w, d->dry_run);
    put_enum(w, d->phase, 0, PV_N_DECIDED);
    pv_put_i64(w, d->time);
    put_text(w, d->zone);
    put_text(w, d->policy);
    pv_put_u64(w, d->policy_version);
    pv_put_raw(w, d->bundle_hash, sizeof d->bundle_hash);
    pv_put_raw(w, d->plan_hash, sizeof d->plan_hash);
    pv_put_u32(w, d->changes);
    pv_put_bool(w, d->runs);
    put_verdict(w, &d->verdict);
    put_attrs(w, d->attrs, d->n_attrs);
    put_count(w, d->n_operations);
    for (uint32_t i = 0; i < d->n_operations && !w->overflow; i++) {
        put_attrs(w, d->operations[i].attrs, d->operations[i].n_attrs);
        put_verdict(w, &d->operations[i].verdict);
    }
}

static void put_outcome(struct pv_wbuf *w, const struct pv_record_outcome *o)
{
    put_text(w, o->word);
    pv_put_i64(w, o->exit_status);
    pv_put_u32(w, o->signal);
    pv_put_u64(w, o->started_ns);
    pv_put_u64(w, o->ended_ns);
    put_text(w, o->sentence);
    put_count(w, o->n_changes);
    for (uint32_t i = 0; i < o->n_changes && !w->overflow; i++) {
        put_text(w, o->changes[i].action);
        put_text(w, o->changes[i].package);
        put_text(w, o->changes[i].arch);
        put_text(w, o->changes[i].old_version);
        put_text(w, o->changes[i].new_version);
    }
}

static void put_own(struct pv_wbuf *w, const struct pv_record_own *o)
{
    pv_put_bool(w, o->granted);
    put_text(w, o->root);
    put_text(w, o->package);
    put_text(w, o->arch);
    put_text(w, o->user);
    put_text(w, o->reason);
}

static void put_abuse(struct pv_wbuf *w, const struct pv_record_abuse *a)
{
    put_enum(w, a->kind, 1, PV_ABUSE_N_KINDS);
    put_text(w, a->user);
    pv_put_i64(w, a->pid);
    put_text(w, a->executable);
    put_text(w, a->detail);
    if (a->count == 0)
        w->overflow = true;
    pv_put_u32(w, a->count);
    pv_put_u64(w, a->first_ns);
}

void pv_record_encode(struct pv_wbuf *w, const struct pv_record *record)
{
    size_t from = w->len;
    if (record->uid < PV_RECORD_NOBODY || record->uid > UINT32_MAX)
        w->overflow = true;
    pv_put_i64(w, record->uid);
    pv_put_u64(w, record->request);
    switch (record->kind) {
    case PV_RECORD_START: put_start(w, &record->start); break;
    case PV_RECORD_STOP: put_text(w, record->stop.reason); break;
    case PV_RECORD_POLICY: put_policy(w, &record->policy); break;
    case PV_RECORD_DECISION: put_decision(w, &record->decision); break;
    case PV_RECORD_OUTCOME: put_outcome(w, &record->outcome); break;
    case PV_RECORD_OWN:
        if (record->uid == PV_RECORD_NOBODY)
            w->overflow = true;
        put_own(w, &record->own);
        break;
    case PV_RECORD_ABUSE: put_abuse(w, &record->abuse); break;
    case PV_RECORD_EVENT:
        put_text(w, record->event.word);
        put_text(w, record->event.text);
        break;
    default: w->overflow = true;
    }
    if (w->len - from > PV_RECORD_MAX)
        w->overflow = true;
}

static const char *name_of(const char *const *names, size_t n, uint32_t value)
{
    return value < n ? names[value] : NULL;
}

#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof *(names), value)

const char *pv_record_kind_name(uint32_t kind)
{
    static const char *const names[] = {NULL,      "start", "stop",  "policy", "decision",
                                        "outcome", "own",   "abuse", "event"};
    _Static_assert(sizeof names / sizeof *names == PV_RECORD_N_KINDS, "one name a kind");
    return NAME_OF(names, kind);
}

const char *pv_abuse_name(uint32_t abuse)
{
    static const char *const names[] = {
        NULL,        "custom-source", "never-brokered", "identity-mismatch",
        "malformed", "bad-passcode",  "replay",         "front-end",
    };
    _Static_assert(sizeof names / sizeof *names == PV_ABUSE_N_KINDS, "one name a kind");
    return NAME_OF(names, abuse);
}

const char *pv_record_phase_name(uint32_t phase)
{
    static const char *const names[] = {"request", "plan", "hook"};
    _Static_assert(sizeof names / sizeof *names == PV_N_DECIDED, "one name a phase");
    return NAME_OF(names, phase);
}

const char *pv_effect_name(uint32_t effect)
{
    static const char *const names[] = {[PV_DENY] = "deny", [PV_ALLOW] = "allow", [PV_DIRECT] = "direct"};
    return NAME_OF(names, effect);
}

const char *pv_rule_effect_name(uint32_t kind)
{
    static const char *const names[] = {[PV_RULE_BUILTIN_DENY] = "deny",
                                        [PV_RULE_ALLOW] = "allow",
                                        [PV_RULE_DENY] = "deny",
                                        [PV_RULE_REQUIRE] = "require",
                                        [PV_RULE_DIRECT] = "direct"};
    return NAME_OF(names, kind);
}

const char *pv_duty_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [PV_D_REASON] = "reason", [PV_D_APPROVAL] = "approval", [PV_D_TIMEOUT] = "timeout", [PV_D_ACCOUNT] = "account",
        [PV_D_WINDOW] = "window", [PV_D_NOTICE] = "notice",     [PV_D_ALERT] = "alert"};
    return NAME_OF(names, kind);
}

/* The length of the well-formed UTF-8 sequence at `at`, with its code point; 0 where there is none. */
static size_t decode_utf8(const unsigned char *at, size_t left, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    uint32_t value = n == 1 ? at[0] : at[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return n;
}

/* Characters that could make one line of text look like another. */
static bool deceptive(uint32_t c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || c >= 0xe0000;
}

size_t pv_escape(char *dst, size_t size, const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0, fits = 0; /* `fits`: where "..." can still be put */
    while (len) {
        char piece[16];
        uint32_t point = 0;
        size_t n = decode_utf8(at, len, &point), n_piece;
        if (n == 0) {
            n = 1;
            n_piece = (size_t)snprintf(piece, sizeof piece, "\\x%02x", at[0]);
        } else if (point == '\\' || point == '\n' || point == '\t' || point == '\r') {
            piece[0] = '\\';
            piece[1] = point == '\\' ? '\\' : point == '\n' ? 'n' : point == '\t' ? 't' : 'r';
            n_piece = 2;
        } else if (point < 0x20 || point == 0x7f) {
            n_piece = (size_t)snprintf(piece, sizeof piece, "\\x%02x", (unsigned)point);
        } else if (deceptive(point)) {
            n_piece = (size_t)snprintf(piece, sizeof piece, "\\u{%X}", (unsigned)point);
        } else {
            memcpy(piece, at, n);
            n_piece = n;
        }
        if (used + n_piece >= size) {
            memcpy(dst + fits, "...", 3);
            used = fits + 3;
            break;
        }
        if (used + 3 < size)
            fits = used;
        memcpy(dst + used, piece, n_piece);
        used += n_piece;
        at += n;
        len -= n;
    }
    dst[used] = '\0';
    return used;
}
