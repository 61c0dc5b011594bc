/*
 * From the monitor's frames to messages for the client: one function a frame, each one chain of checked reads that ends
 * in pv_rbuf_done(), and nothing kept between them. The words that stand for enumerators are part of the protocol.
 */
#include "agentd/frontend.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/proviso.h"

json_t *pv_front_string(const char *text, size_t len)
{
    bool cut;
    if (pv_utf8_prefix(text, len, &cut) == len)
        return json_stringn(text, len);
    char *copy = malloc(3 * len + 1);
    if (!copy)
        return NULL;
    size_t out = 0;
    while (len > 0) {
        size_t good = pv_utf8_prefix(text, len, &cut);
        memcpy(copy + out, text, good);
        out += good;
        text += good;
        len -= good;
        if (len > 0) {
            memcpy(copy + out, "\xef\xbf\xbd", 3);
            out += 3;
            text++;
            len--;
        }
    }
    json_t *string = json_stringn(copy, out);
    free(copy);
    return string;
}

json_t *pv_front_error(const char *code, const char *text, long offset, const char *place)
{
    json_t *message = json_pack("{s:s, s:s, s:o}", "schema", "proviso/error/1", "code", code, "text",
                                pv_front_string(text, strlen(text)));
    if (message && offset >= 0)
        json_object_set_new(message, "offset", json_integer(offset));
    if (message && place && *place)
        json_object_set_new(message, "place", pv_front_string(place, strlen(place)));
    return message;
}

/* ---- Fields ---- */

/* Every read goes through `r`, whose error is sticky; every addition goes through set(), which notes a lack of memory
 * in the same way. */
struct reader {
    struct pv_rbuf r;
    bool no_memory;
};

static void set(struct reader *in, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value))
        in->no_memory = true;
}

static void append(struct reader *in, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value))
        in->no_memory = true;
}

static json_t *get_text(struct reader *in)
{
    size_t len;
    const char *text = pv_get_str(&in->r, PV_WIRE_MAX, &len);
    return text ? pv_front_string(text, len) : json_string("");
}

/* The same, null where empty. */
static json_t *get_optional(struct reader *in)
{
    size_t len;
    const char *text = pv_get_str(&in->r, PV_WIRE_MAX, &len);
    return text && len ? pv_front_string(text, len) : json_null();
}

static json_t *get_word(struct reader *in, const char *const *words, size_t n_words)
{
    return json_string(words[pv_get_u32_max(&in->r, (uint32_t)n_words - 1)]);
}
#define WORD(in, words) get_word((in), (words), sizeof(words) / sizeof((words)[0]))

static json_t *get_texts(struct reader *in)
{
    json_t *list = json_array();
    uint32_t n = pv_get_u32(&in->r);
    for (uint32_t i = 0; i < n && !in->r.error; i++)
        append(in, list, get_text(in));
    return list;
}

static json_t *get_hex(struct reader *in, size_t len)
{
    uint8_t bytes[64];
    char text[2 * sizeof(bytes) + 1];
    pv_get_raw(&in->r, bytes, len);
    pv_hex_encode(text, bytes, len);
    return json_string(text);
}

static const char *const effect_words[] = {[PV_DENY] = "deny", [PV_ALLOW] = "allow", [PV_DIRECT] = "direct"};
static const char *const truth_words[] = {[PV_FALSE] = "false", [PV_UNKNOWN] = "unknown", [PV_TRUE] = "true"};
static const char *const rule_words[] = {
    [PV_RULE_BUILTIN_DENY] = "deny", [PV_RULE_ALLOW] = "allow",   [PV_RULE_DENY] = "deny",
    [PV_RULE_REQUIRE] = "require",   [PV_RULE_DIRECT] = "direct",
};
static const char *const clause_words[] = {
    [PV_C_SUBJECT] = "subject", [PV_C_COMMANDS] = "commands", [PV_C_OBJECT] = "object", [PV_C_SOURCES] = "sources",
    [PV_C_WHEN] = "when",       [PV_C_UNLESS] = "unless",     [PV_C_DURING] = "during", [PV_C_UNTIL] = "until",
    [PV_C_BUILTIN] = "builtin", [PV_C_DUTY] = "duty",
};
static const char *const duty_words[] = {
    [PV_D_REASON] = "reason", [PV_D_APPROVAL] = "approval", [PV_D_TIMEOUT] = "timeout", [PV_D_ACCOUNT] = "account",
    [PV_D_WINDOW] = "window", [PV_D_NOTICE] = "notice",     [PV_D_ALERT] = "alert",
};
static const char *const phase_words[] = {
    [PV_PHASE_RESOLVING] = "resolving", [PV_PHASE_LOCK] = "lock",         [PV_PHASE_REFRESHING] = "refreshing",
    [PV_PHASE_PLANNING] = "planning",   [PV_PHASE_DECIDING] = "deciding", [PV_PHASE_RECORDING] = "recording",
    [PV_PHASE_FETCHING] = "fetching",   [PV_PHASE_RUNNING] = "running",   [PV_PHASE_RECONCILING] = "reconciling",
};
static const char *const outcome_words[] = {
    [PV_OUTCOME_DENIED] = "denied",       [PV_OUTCOME_DIRECT] = "direct", [PV_OUTCOME_DRY_RUN] = "dry-run",
    [PV_OUTCOME_NOTHING] = "nothing",     [PV_OUTCOME_DONE] = "done",     [PV_OUTCOME_TIMEOUT] = "timeout",
    [PV_OUTCOME_CANCELLED] = "cancelled", [PV_OUTCOME_FAILED] = "failed", [PV_OUTCOME_INTERRUPTED] = "interrupted",
};
static const char *const error_words[] = {
    "internal",
    [PV_FERR_PROTOCOL] = "protocol",
    [PV_FERR_PASSCODE] = "passcode",
    [PV_FERR_IDENTITY] = "identity",
    [PV_FERR_LIMIT] = "limit",
    [PV_FERR_OFF] = "off",
    [PV_FERR_POLICY] = "policy",
    [PV_FERR_LEDGER] = "ledger",
    [PV_FERR_REQUEST] = "request",
    [PV_FERR_INTERNAL] = "internal",
};

/* RULE, as in the decisions of `proviso eval`. */
static json_t *get_rule(struct reader *in)
{
    json_t *rule = json_object();
    set(in, rule, "id", get_text(in));
    set(in, rule, "effect", WORD(in, rule_words));
    set(in, rule, "file", get_text(in));
    set(in, rule, "line", json_integer(pv_get_u32(&in->r)));
    return rule;
}

static json_t *get_duties(struct reader *in)
{
    static const char *const lists[] = {
        [PV_D_APPROVAL] = "approval", [PV_D_WINDOW] = "windows", [PV_D_NOTICE] = "notices", [PV_D_ALERT] = "alerts"};
    json_t *duties = json_object();
    set(in, duties, "reason", json_boolean(pv_get_bool(&in->r)));
    set(in, duties, "approval", json_array());
    bool has_timeout = pv_get_bool(&in->r);
    int64_t timeout = pv_get_i64(&in->r);
    set(in, duties, "timeout", has_timeout ? json_integer(timeout) : json_null());
    set(in, duties, "account", get_optional(in));
    set(in, duties, "windows", json_array());
    set(in, duties, "notices", json_array());
    set(in, duties, "alerts", json_array());
    uint32_t n = pv_get_u32(&in->r);
    for (uint32_t i = 0; i < n && !in->r.error; i++) {
        uint32_t kind = pv_get_u32_max(&in->r, PV_D_ALERT);
        if (!lists[kind])
            in->r.error = true;
        else
            append(in, json_object_get(duties, lists[kind]), get_text(in));
    }
    return duties;
}

static json_t *get_decision(struct reader *in)
{
    json_t *decision = json_object(), *rules = json_array();
    set(in, decision, "decision", WORD(in, effect_words));
    set(in, decision, "default", json_boolean(pv_get_bool(&in->r)));
    uint32_t n_all = pv_get_u32(&in->r);
    uint32_t n = pv_get_u32_max(&in->r, PV_SHOWN_RULES_MAX);
    for (uint32_t i = 0; i < n && !in->r.error; i++)
        append(in, rules, get_rule(in));
    set(in, decision, "rules", rules);
    if (n_all > n)
        set(in, decision, "more_rules", json_integer(n_all - n));
    set(in, decision, "because", get_texts(in));
    set(in, decision, "obligations", get_duties(in));
    return decision;
}

/* ---- Frames ---- */

static void hello(struct reader *in, json_t *m)
{
    set(in, m, "protocol", json_integer(pv_get_u32(&in->r)));
    set(in, m, "challenge", get_hex(in, PV_CHALLENGE_SIZE));
    set(in, m, "uid", json_integer(pv_get_u32(&in->r)));
    uint32_t flags = pv_get_u32_max(&in->r, PV_HELLO_BROKERING | PV_HELLO_POLICY | PV_HELLO_LEDGER);
    set(in, m, "brokering", json_boolean(flags & PV_HELLO_BROKERING));
    set(in, m, "ledger", json_boolean(flags & PV_HELLO_LEDGER));
    set(in, m, "agent", get_text(in));
    json_t *policy = json_object();
    set(in, policy, "name", get_text(in));
    set(in, policy, "title", get_text(in));
    set(in, policy, "version", json_integer((json_int_t)(pv_get_u64(&in->r) & INT64_MAX)));
    set(in, policy, "hash", get_hex(in, 32));
    set(in, m, "policy", flags & PV_HELLO_POLICY ? json_incref(policy) : json_null());
    json_decref(policy);
}

static void accepted(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
}

static void decision(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
    set(in, m, "planned", json_boolean(pv_get_bool(&in->r)));
    set(in, m, "final", json_boolean(pv_get_bool(&in->r)));
    set(in, m, "text", get_optional(in));
    set(in, m, "decision", get_decision(in));
    set(in, m, "operations", json_integer(pv_get_u32_max(&in->r, PV_SHOWN_OPS_MAX)));
}

static void operation(struct reader *in, json_t *m)
{
    set(in, m, "command", get_text(in));
    set(in, m, "package", get_text(in));
    set(in, m, "architecture", get_optional(in));
    set(in, m, "installed_version", get_optional(in));
    set(in, m, "version", get_optional(in));
    set(in, m, "source", get_optional(in));
    set(in, m, "dependency", json_boolean(pv_get_bool(&in->r)));
    set(in, m, "held_back", json_boolean(pv_get_bool(&in->r)));
    set(in, m, "download_size", json_integer((json_int_t)(pv_get_u64(&in->r) & INT64_MAX)));
    set(in, m, "decision", get_decision(in));
}

static void progress(struct reader *in, json_t *m)
{
    set(in, m, "phase", WORD(in, phase_words));
    set(in, m, "percent", json_null());
    set(in, m, "text", get_text(in));
}

static void started(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
}

static void finished(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
    set(in, m, "outcome", WORD(in, outcome_words));
    int64_t status = pv_get_i64(&in->r);
    set(in, m, "status", status >= 0 ? json_integer(status) : json_null());
    uint32_t signal = pv_get_u32(&in->r);
    set(in, m, "signal", signal ? json_integer(signal) : json_null());
    set(in, m, "reboot", json_boolean(pv_get_bool(&in->r)));
    set(in, m, "text", get_optional(in));
}

static void direct(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
    set(in, m, "argv", get_texts(in));
}

static void rule(struct reader *in, json_t *m)
{
    set(in, m, "rule", get_rule(in));
    set(in, m, "truth", WORD(in, truth_words));
    set(in, m, "title", get_optional(in));
    json_t *clauses = json_array(), *duties = json_array();
    uint32_t n = pv_get_u32(&in->r);
    for (uint32_t i = 0; i < n && !in->r.error; i++) {
        json_t *clause = json_object();
        set(in, clause, "kind", WORD(in, clause_words));
        set(in, clause, "truth", WORD(in, truth_words));
        set(in, clause, "text", get_text(in));
        append(in, clauses, clause);
    }
    set(in, m, "clauses", clauses);
    set(in, m, "because", get_texts(in));
    n = pv_get_u32(&in->r);
    for (uint32_t i = 0; i < n && !in->r.error; i++) {
        json_t *duty = json_object();
        set(in, duty, "kind", WORD(in, duty_words));
        set(in, duty, "text", get_optional(in));
        set(in, duty, "seconds", json_integer(pv_get_i64(&in->r)));
        append(in, duties, duty);
    }
    set(in, m, "duties", duties);
}

static void history(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
    set(in, m, "time", json_integer(pv_get_i64(&in->r)));
    set(in, m, "command", get_text(in));
    set(in, m, "arguments", get_texts(in));
    set(in, m, "decision", WORD(in, effect_words));
    set(in, m, "outcome", get_optional(in));
    int64_t status = pv_get_i64(&in->r);
    set(in, m, "status", status >= 0 ? json_integer(status) : json_null());
    int64_t end = pv_get_i64(&in->r);
    set(in, m, "end", end ? json_integer(end) : json_null());
    set(in, m, "text", get_optional(in));
}

static void end(struct reader *in, json_t *m)
{
    set(in, m, "id", get_text(in));
    set(in, m, "count", json_integer(pv_get_u32(&in->r)));
}

static void error(struct reader *in, json_t *m)
{
    set(in, m, "code", WORD(in, error_words));
    set(in, m, "text", get_text(in));
}

static const struct {
    uint32_t type;
    const char *schema;
    void (*read)(struct reader *, json_t *);
    bool ends;
} frames[] = {
    {PV_MF_HELLO, "proviso/hello/1", hello, false},
    {PV_MF_ACCEPTED, "proviso/accepted/1", accepted, false},
    {PV_MF_DECISION, "proviso/verdict/1", decision, false},
    {PV_MF_OPERATION, "proviso/operation/1", operation, false},
    {PV_MF_PROGRESS, "proviso/progress/1", progress, false},
    {PV_MF_STARTED, "proviso/started/1", started, false},
    {PV_MF_FINISHED, "proviso/result/1", finished, true},
    {PV_MF_DIRECT, "proviso/direct/1", direct, false},
    {PV_MF_RULE, "proviso/rule/1", rule, false},
    {PV_MF_HISTORY, "proviso/history/1", history, false},
    {PV_MF_END, "proviso/end/1", end, true},
    {PV_MF_ERROR, "proviso/error/1", error, true},
};

int pv_front_answer(uint32_t type, const void *payload, size_t len, struct pv_front_answer *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        if (frames[i].type != type)
            continue;
        struct reader in = {.no_memory = false};
        pv_rbuf_init(&in.r, payload, len);
        json_t *message = json_object();
        set(&in, message, "schema", json_string(frames[i].schema));
        frames[i].read(&in, message);
        if (in.no_memory || !pv_rbuf_done(&in.r)) {
            json_decref(message);
            return in.no_memory ? PV_E_MESSAGE_NOMEM : PV_E_WIRE_BAD;
        }
        out->message = message;
        out->ends = frames[i].ends;
        return 0;
    }
    return PV_E_WIRE_BAD;
}
