/*
 * Frames that show things: hello, decisions, rules, history. What does not fit a frame is cut with its number told, so
 * that an answer always arrives.
 */
#include "agentd/monitor.h"

#include <stdlib.h>
#include <string.h>

enum {
    NEAREST_MAX = 5,      /* rules shown beside the deciding ones */
    ROOM_FOR_REST = 4096, /* bytes of a frame that lists leave free for what follows them */
};

/* Where frames are built: one thread, one at a time, never across a call that builds another. */
static uint8_t payload[PV_WIRE_MAX];

/* A text, cut at a character when it is long. */
static void put_text(struct pv_wbuf *w, const char *text, size_t len)
{
    if (len > PV_SHOWN_TEXT_MAX) {
        len = PV_SHOWN_TEXT_MAX;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    pv_put_str(w, text, len);
}

static void put_ctext(struct pv_wbuf *w, const char *text)
{
    put_text(w, text ? text : "", text ? strlen(text) : 0);
}

static void put_pv_str(struct pv_wbuf *w, struct pv_str text)
{
    put_text(w, text.ptr, text.len);
}

static bool room(const struct pv_wbuf *w, size_t need)
{
    return w->size - w->len > need + ROOM_FOR_REST;
}

/* A count that is written once it is known. */
static size_t hold_count(struct pv_wbuf *w)
{
    pv_put_u32(w, 0);
    return w->len - 4;
}

static void set_count(struct pv_wbuf *w, size_t at, uint32_t n)
{
    struct pv_wbuf count;
    pv_wbuf_init(&count, w->data + at, 4);
    pv_put_u32(&count, n);
}

void pv_mon_send_hello(struct client *c)
{
    const struct monitor *m = c->m;
    const struct pv_bundle *bundle = m->policy ? m->policy->bundle : NULL;
    static const uint8_t no_hash[32];
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u32(&w, PV_PROTOCOL);
    pv_put_raw(&w, c->challenge, sizeof c->challenge);
    pv_put_u32(&w, c->uid);
    pv_put_u32(&w, (m->options.brokering ? PV_HELLO_BROKERING : 0u) | (bundle ? PV_HELLO_POLICY : 0u) |
                       (pv_mon_ledger_ready(m) ? PV_HELLO_LEDGER : 0u));
    pv_put_cstr(&w, PV_VERSION);
    put_ctext(&w, bundle ? pv_bundle_name(bundle) : "");
    put_ctext(&w, bundle ? pv_bundle_title(bundle) : "");
    pv_put_u64(&w, bundle ? pv_bundle_version(bundle) : 0);
    pv_put_raw(&w, bundle ? pv_bundle_content_hash(bundle) : no_hash, 32);
    pv_mon_client_send(c, PV_MF_HELLO, &w, NULL, 0);
}

/* ---- Decisions ---- */

static void put_rule(struct pv_wbuf *w, const struct pv_record_rule *rule)
{
    put_pv_str(w, rule->id);
    pv_put_u32(w, rule->kind);
    put_pv_str(w, rule->file);
    pv_put_u32(w, rule->line);
}

static void put_verdict(struct pv_wbuf *w, const struct pv_record_verdict *v)
{
    pv_put_u32(w, v->effect);
    pv_put_bool(w, v->is_default);
    pv_put_u32(w, v->n_rules);
    size_t at = hold_count(w);
    uint32_t n = 0;
    for (; n < v->n_rules && n < PV_SHOWN_RULES_MAX && room(w, 512); n++)
        put_rule(w, &v->rules[n]);
    set_count(w, at, n);
    at = hold_count(w);
    for (n = 0; n < v->n_because && room(w, PV_SHOWN_TEXT_MAX); n++)
        put_pv_str(w, v->because[n]);
    set_count(w, at, n);
    pv_put_bool(w, v->reason);
    pv_put_bool(w, v->has_timeout);
    pv_put_i64(w, v->timeout);
    put_pv_str(w, v->account);
    at = hold_count(w);
    for (n = 0; n < v->n_duties && room(w, PV_SHOWN_TEXT_MAX); n++) {
        pv_put_u32(w, v->duties[n].kind);
        put_pv_str(w, v->duties[n].text);
    }
    set_count(w, at, n);
}

void pv_mon_send_decision(struct request *r, bool final)
{
    struct pv_wbuf w;
    uint32_t n = r->n_operations < PV_SHOWN_OPS_MAX ? r->n_operations : PV_SHOWN_OPS_MAX;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_put_bool(&w, r->is_apt && r->planned_facts);
    pv_put_bool(&w, final);
    put_ctext(&w, r->sentence);
    put_verdict(&w, &r->verdict);
    pv_put_u32(&w, n);
    if (!pv_mon_client_send(r->client, PV_MF_DECISION, &w, NULL, 0))
        return;
    for (uint32_t i = 0; i < n; i++) {
        const struct operation *op = &r->operations[i];
        pv_wbuf_init(&w, payload, sizeof payload);
        put_ctext(&w, op->command);
        put_ctext(&w, op->package);
        put_ctext(&w, op->arch);
        put_ctext(&w, op->installed_version);
        put_ctext(&w, op->version);
        put_ctext(&w, op->source);
        pv_put_bool(&w, op->dependency);
        pv_put_bool(&w, op->held_back);
        pv_put_u64(&w, op->download_size);
        put_verdict(&w, &op->verdict);
        if (!pv_mon_client_send(r->client, PV_MF_OPERATION, &w, NULL, 0))
            return;
    }
}

/* ---- Rules ---- */

static void put_clauses(struct pv_wbuf *w, const struct pv_request *ask, const struct pvb_rule *rule)
{
    const struct pv_bundle *bundle = pv_request_bundle(ask);
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    size_t at = hold_count(w);
    uint32_t n = 0;
    for (; n < rule->n_clauses && room(w, PV_SHOWN_TEXT_MAX); n++) {
        const struct pvb_clause *clause = &clauses[rule->first_clause + n];
        pv_put_u32(w, clause->kind);
        pv_put_u32(w, pv_clause_truth(ask, rule->first_clause + n));
        put_ctext(w, pv_bundle_string(bundle, clause->text, NULL));
    }
    set_count(w, at, n);
}

static const char *annotation(const struct pv_bundle *bundle, const struct pvb_rule *rule, const char *name)
{
    const struct pvb_annotation *all = pv_bundle_section(bundle, PVB_ANNOTATIONS, NULL);
    for (uint32_t i = 0; i < rule->n_annotations; i++) {
        const struct pvb_annotation *one = &all[rule->first_annotation + i];
        if (strcmp(pv_bundle_string(bundle, one->name, NULL), name) == 0)
            return pv_bundle_string(bundle, one->value, NULL);
    }
    return "";
}

/* One rule as `ask` sees it. False when the client has gone. */
static bool send_rule(struct request *r, const struct pv_request *ask, uint32_t index)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_rule *rule = (const struct pvb_rule *)pv_bundle_section(bundle, PVB_RULES, NULL) + index;
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    const struct pvb_duty *duties = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    char buffer[512];
    uint32_t line, n = 0;
    size_t file_len;
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    put_ctext(&w, pv_rule_id(bundle, index, buffer, sizeof buffer));
    pv_put_u32(&w, rule->kind);
    const char *file = pv_rule_file(bundle, index, &line, &file_len);
    put_text(&w, file, file_len);
    pv_put_u32(&w, line);
    pv_put_u32(&w, pv_rule_truth(ask, index));
    put_ctext(&w, annotation(bundle, rule, "title"));
    put_clauses(&w, ask, rule);
    size_t at = hold_count(&w);
    for (; n < rule->n_because && room(&w, PV_SHOWN_TEXT_MAX); n++)
        put_ctext(&w, pv_bundle_string(bundle, texts[rule->first_because + n], NULL));
    set_count(&w, at, n);
    at = hold_count(&w);
    for (n = 0; n < rule->n_duties && room(&w, PV_SHOWN_TEXT_MAX); n++) {
        const struct pvb_duty *duty = &duties[rule->first_duty + n];
        pv_put_u32(&w, duty->kind);
        put_ctext(&w, pv_bundle_string(bundle, duty->text, NULL));
        pv_put_i64(&w, duty->seconds);
    }
    set_count(&w, at, n);
    return pv_mon_client_send(r->client, PV_MF_RULE, &w, NULL, 0);
}

static void send_end(struct request *r, uint32_t n)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, r->id_text);
    pv_put_u32(&w, n);
    pv_mon_client_send(r->client, PV_MF_END, &w, NULL, 0);
}

/*
 * Each rule is looked at with every declared command, the package and all else unknown; what is not false for some
 * command may matter to the user and is shown as it is for the command with which it is truest.
 */
void pv_mon_send_rights(struct request *r)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    size_t n_rules, n_commands;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, &n_rules);
    uint32_t sent = 0;
    pv_bundle_section(bundle, PVB_COMMANDS, &n_commands);
    uint8_t *best = pv_mon_alloc(&r->arena, n_rules + 1);
    uint32_t *with = pv_mon_alloc(&r->arena, (n_rules + 1) * sizeof *with);
    if (!best || !with) {
        pv_mon_client_error(r->client, PV_FERR_INTERNAL, "no memory");
        return;
    }
    for (uint32_t command = 0; command < n_commands; command++) {
        pv_mon_fill_user(r, 0, (int)command);
        for (uint32_t i = 0; i < n_rules; i++) {
            enum pv_truth truth = rules[i].kind == PV_RULE_BUILTIN_DENY ? PV_FALSE : pv_rule_truth(r->asks[0], i);
            if (truth > best[i]) {
                best[i] = (uint8_t)truth;
                with[i] = command;
            }
        }
    }
    uint32_t filled = UINT32_MAX;
    for (uint32_t i = 0; i < n_rules && r->client; i++) {
        if (best[i] == PV_FALSE)
            continue;
        if (filled != with[i])
            pv_mon_fill_user(r, 0, (int)with[i]);
        filled = with[i];
        sent += send_rule(r, r->asks[0], i);
    }
    if (r->client)
        send_end(r, sent);
}

static bool decided_by(const struct request *r, const struct pv_record_verdict *v, uint32_t rule)
{
    char buffer[512];
    const char *id = pv_rule_id(r->policy->bundle, rule, buffer, sizeof buffer);
    for (uint32_t i = 0; i < v->n_rules; i++)
        if (v->rules[i].id.len == strlen(id) && memcmp(v->rules[i].id.ptr, id, v->rules[i].id.len) == 0)
            return true;
    return false;
}

/* How far a rule is from holding: its false clauses; -1 when it is for other commands. */
static int distance(const struct pv_request *ask, uint32_t index)
{
    const struct pv_bundle *bundle = pv_request_bundle(ask);
    const struct pvb_rule *rule = (const struct pvb_rule *)pv_bundle_section(bundle, PVB_RULES, NULL) + index;
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    int wrong = 0;
    for (uint32_t c = 0; c < rule->n_clauses; c++) {
        bool is_false = pv_clause_truth(ask, rule->first_clause + c) == PV_FALSE;
        if (is_false && clauses[rule->first_clause + c].kind == PV_C_COMMANDS)
            return -1;
        wrong += is_false;
    }
    return wrong;
}

/* For a denial, the allows that came nearest: fewest false clauses, then source order. */
static uint32_t send_nearest(struct request *r, const struct pv_request *ask)
{
    size_t n_rules;
    const struct pvb_rule *rules = pv_bundle_section(r->policy->bundle, PVB_RULES, &n_rules);
    uint32_t sent = 0;
    for (int wrong = 1; wrong < 16 && sent < NEAREST_MAX; wrong++)
        for (uint32_t i = 0; i < n_rules && sent < NEAREST_MAX && r->client; i++)
            if (rules[i].kind == PV_RULE_ALLOW && distance(ask, i) == wrong)
                sent += send_rule(r, ask, i);
    return sent;
}

void pv_mon_send_explanation(struct request *r)
{
    size_t n_rules;
    struct pv_error error;
    uint32_t sent = 0;
    pv_bundle_section(r->policy->bundle, PVB_RULES, &n_rules);
    /* The operation that decides: the first denied one, else the first. */
    const struct operation *op = r->n_operations ? &r->operations[0] : NULL;
    for (uint32_t i = 0; i < r->n_operations; i++)
        if (r->operations[i].verdict.effect == PV_DENY && !r->operations[i].held_back) {
            op = &r->operations[i];
            break;
        }
    pv_mon_send_decision(r, true);
    if (op && r->client && pv_mon_fill_operation(r, op, &error) == 0) {
        for (uint32_t i = 0; i < n_rules && r->client; i++)
            if (decided_by(r, &op->verdict, i))
                sent += send_rule(r, r->asks[0], i);
        if (r->verdict.effect == PV_DENY && op->verdict.is_default && r->client)
            sent += send_nearest(r, r->asks[0]);
    }
    if (r->client)
        send_end(r, sent);
}

/* ---- History ---- */

static enum pv_effect effect_of(uint32_t effect)
{
    return effect <= PV_DIRECT ? (enum pv_effect)effect : PV_DENY;
}

/* From a PV_MSG_LEDGER_HISTORY_ROW behind its tag. */
void pv_mon_send_history_row(struct request *r, struct pv_rbuf *row)
{
    char id[PV_REQUEST_ID_SIZE + 1];
    size_t len, n_args_at;
    struct pv_wbuf w;
    pv_get_u64(row); /* seq */
    uint64_t time_ns = pv_get_u64(row);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)pv_get_u64(row));
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_cstr(&w, id);
    pv_put_i64(&w, (int64_t)(time_ns / 1000000000u));
    const char *verb = pv_get_str(row, PV_WIRE_MAX, &len);
    put_text(&w, verb ? verb : "", len);
    bool dry_run = pv_get_bool(row);
    uint32_t n = pv_get_u32_max(row, PV_WIRE_MAX);
    n_args_at = hold_count(&w);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n && !row->error; i++) {
        const char *text = pv_get_str(row, PV_WIRE_MAX, &len);
        if (text && room(&w, PV_SHOWN_TEXT_MAX)) {
            put_text(&w, text, len);
            kept++;
        }
    }
    set_count(&w, n_args_at, kept);
    enum pv_effect effect = effect_of(pv_get_u32(row));
    pv_put_u32(&w, effect);
    pv_get_bool(row);                      /* default */
    for (int list = 0; list < 2; list++) { /* rule ids, because */
        n = pv_get_u32_max(row, PV_WIRE_MAX);
        for (uint32_t i = 0; i < n && !row->error; i++)
            pv_get_str(row, PV_WIRE_MAX, &len);
    }
    pv_get_bool(row); /* truncated */
    bool ended = pv_get_bool(row);
    const char *word = pv_get_str(row, PV_WIRE_MAX, &len);
    if (ended)
        put_text(&w, word ? word : "", len);
    else
        pv_put_cstr(&w, effect == PV_DENY     ? pv_mon_outcome_word(PV_OUTCOME_DENIED)
                        : effect == PV_DIRECT ? pv_mon_outcome_word(PV_OUTCOME_DIRECT)
                        : dry_run             ? pv_mon_outcome_word(PV_OUTCOME_DRY_RUN)
                                              : "");
    int64_t exit_status = pv_get_i64(row);
    pv_get_u32(row); /* signal */
    pv_get_u64(row); /* started */
    uint64_t ended_ns = pv_get_u64(row);
    pv_put_i64(&w, ended ? exit_status : -1);
    pv_put_i64(&w, (int64_t)(ended_ns / 1000000000u));
    const char *sentence = pv_get_str(row, PV_WIRE_MAX, &len);
    put_text(&w, sentence ? sentence : "", len);
    if (pv_rbuf_done(row))
        pv_mon_client_send(r->client, PV_MF_HISTORY, &w, NULL, 0);
}
