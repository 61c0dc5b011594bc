/*
 * Deciding: an operation's facts go into the runtime's request, its decision comes out, joined over operations.
 *
 * Every operation is decided up to twice: with the groups that the name service gives the user, and, where the
 * connection has others, with both together; the stricter decision stands (a user namespace can drop groups, and a
 * process can hold groups that the database no longer gives). Deny is stricter than direct, which gives nothing that
 * the user did not have, and direct is stricter than allow.
 *
 * Strings in requests and records are borrowed from the request's arena, its wire request or its policy, which all live
 * as long as the request.
 */
#include "agentd/monitor.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CLOCK_SLACK = 300 /* seconds that the clock may stand before the last record */ };

static const char *bundle_string(const struct request *r, uint32_t string)
{
    return pv_bundle_string(r->policy->bundle, string, NULL);
}

const struct pvb_command *pv_mon_command(const struct request *r)
{
    const struct pvb_command *commands = pv_bundle_section(r->policy->bundle, PVB_COMMANDS, NULL);
    return r->command >= 0 ? &commands[r->command] : NULL;
}

/* ---- Who ---- */

static bool has_group(const struct pv_str *groups, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (groups[i].len == strlen(name) && memcmp(groups[i].ptr, name, groups[i].len) == 0)
            return true;
    return false;
}

/* groups[1] becomes groups[0] and the names of the connection's other groups. False when there are none. */
static bool join_peer_groups(struct request *r)
{
    bool more = false;
    r->groups[1] = pv_mon_alloc(&r->arena, (r->n_groups[0] + r->n_peer_groups + 1) * sizeof *r->groups[1]);
    if (!r->groups[1])
        return false;
    if (r->n_groups[0])
        memcpy(r->groups[1], r->groups[0], r->n_groups[0] * sizeof *r->groups[0]);
    r->n_groups[1] = r->n_groups[0];
    for (size_t i = 0; i < r->n_peer_groups; i++) {
        char name[256];
        bool known = false;
        for (uint32_t k = 0; k < r->n_group_ids && !known; k++)
            known = r->group_ids[k] == r->peer_groups[i];
        /* A group without a name cannot be named by a rule. */
        if (known || pv_group_name(r->peer_groups[i], name, sizeof name) != 0 ||
            has_group(r->groups[1], r->n_groups[1], name))
            continue;
        const char *copy = pv_mon_strdup(&r->arena, name, strlen(name));
        if (!copy)
            continue;
        r->groups[1][r->n_groups[1]++] = pv_str_of(copy);
        more = true;
    }
    return more;
}

int pv_mon_decide_prepare(struct request *r)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    r->n_asks = join_peer_groups(r) ? 2 : 1;
    for (unsigned i = 0; i < r->n_asks; i++)
        if (pv_request_new(&r->asks[i], bundle) || pv_decision_new(&r->scratch[i], bundle))
            return -1;
    if (pv_decision_new(&r->one, bundle) || pv_decision_new(&r->sum, bundle))
        return -1;
    r->time = pv_now();
    return 0;
}

/* Whether an instruction tests that user.name is exactly this string. */
static bool insn_names_user(const struct pv_bundle *bundle, const struct pvb_insn *insn, uint32_t user)
{
    if (insn->slot != PV_A_USER_NAME)
        return false;
    if (insn->op == PVB_OP_STR)
        return insn->arg == user;
    if (insn->op != PVB_OP_IN)
        return false;
    const struct pvb_set *set = (const struct pvb_set *)pv_bundle_section(bundle, PVB_SETS, NULL) + insn->arg;
    const uint32_t *members = pv_bundle_section(bundle, PVB_SET_MEMBERS, NULL);
    for (uint32_t i = 0; i < set->n_members; i++)
        if (members[set->first_member + i] == user)
            return true;
    return false;
}

bool pv_mon_rule_names_user(const struct policy *policy, const char *user)
{
    const struct pv_bundle *bundle = policy->bundle;
    uint32_t id = pv_bundle_intern(bundle, user, strlen(user));
    size_t n_rules;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, &n_rules);
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    const struct pvb_insn *code = pv_bundle_section(bundle, PVB_CLAUSE_CODE, NULL);
    for (size_t i = 0; id && i < n_rules; i++) {
        if (rules[i].kind != PV_RULE_ALLOW && rules[i].kind != PV_RULE_DIRECT)
            continue;
        for (uint32_t c = 0; c < rules[i].n_clauses; c++) {
            const struct pvb_clause *clause = &clauses[rules[i].first_clause + c];
            for (uint32_t k = 0; clause->kind == PV_C_SUBJECT && k < clause->n_insns; k++)
                if (insn_names_user(bundle, &code[clause->first_insn + k], id))
                    return true;
        }
    }
    return false;
}

/* ---- Filling a request. Setters are collected: the first failure counts. ---- */

struct fill {
    struct pv_request *ask;
    int status;
    int slot;
};

static void note(struct fill *f, int slot, int status)
{
    if (status && !f->status) {
        f->status = status;
        f->slot = slot;
    }
}

static void set_text(struct fill *f, int slot, const char *text)
{
    note(f, slot, text ? pv_request_set_string(f->ask, slot, text, strlen(text)) : PV_E_MISSING);
}

static void set_number(struct fill *f, int slot, int64_t value)
{
    note(f, slot, pv_request_set_int(f->ask, slot, value));
}

static void set_flag(struct fill *f, int slot, bool value)
{
    note(f, slot, pv_request_set_bool(f->ask, slot, value));
}

static void set_unknown(struct fill *f, int slot)
{
    note(f, slot, pv_request_set_unknown(f->ask, slot));
}

static void fill_who(struct request *r, struct fill *f, unsigned which)
{
    const struct monitor *m = r->m;
    pv_request_reset(f->ask);
    set_text(f, PV_A_USER_NAME, r->user);
    set_number(f, PV_A_USER_UID, r->uid);
    note(f, PV_A_USER_GROUPS, pv_request_set_strings(f->ask, PV_A_USER_GROUPS, r->groups[which], r->n_groups[which]));
    set_number(f, PV_A_USER_CHANGES_TODAY, r->changes_today);
    set_text(f, PV_A_HOST_NAME, m->host_name);
    set_text(f, PV_A_HOST_OS, m->host_os);
    set_text(f, PV_A_HOST_ARCHITECTURE, m->host_arch);
    note(f, PV_A_TIME_DATE, pv_request_set_time(f->ask, r->time));
}

static void fill_request(struct request *r, struct fill *f)
{
    if (r->wire.reason[0])
        set_text(f, PV_A_REQUEST_REASON, r->wire.reason);
    set_text(f, PV_A_REQUEST_CWD, r->wire.cwd);
    set_number(f, PV_A_REQUEST_TIMEOUT, r->wire.timeout ? r->wire.timeout : r->m->options.default_timeout);
    set_flag(f, PV_A_REQUEST_INTERACTIVE, r->wire.flags & PV_REQUEST_INTERACTIVE);
}

/* Decimal digits and a sign, nothing else. */
static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *value = number;
    return errno == 0 && *end == '\0';
}

static int set_parameter(const struct request *r, struct fill *f, const struct pvb_parameter *parameter,
                         const char *text, struct pv_error *error)
{
    const struct pvb_attr *attrs = pv_bundle_section(r->policy->bundle, PVB_ATTRS, NULL);
    int slot = (int)parameter->slot, status;
    int64_t number;
    switch ((enum pv_type)attrs[slot].type) {
    case PV_T_STRING:
    case PV_T_VERSION: status = pv_request_set_string(f->ask, slot, text, strlen(text)); break;
    case PV_T_INT:
    case PV_T_DURATION: status = parse_int(text, &number) ? pv_request_set_int(f->ask, slot, number) : PV_E_TYPE; break;
    case PV_T_BOOL:
        status = strcmp(text, "true") == 0 || strcmp(text, "false") == 0
                     ? pv_request_set_bool(f->ask, slot, text[0] == 't')
                     : PV_E_TYPE;
        break;
    default: status = PV_E_TYPE; break;
    }
    if (status)
        snprintf(error->text, sizeof error->text, "%s is not a value that `%s` takes",
                 bundle_string(r, parameter->name), r->wire.command);
    return status ? -1 : 0;
}

/* The arguments in their order and the options by name, of a command with a `run` template. */
static int fill_parameters(const struct request *r, struct fill *f, struct pv_error *error)
{
    const struct pvb_command *command = pv_mon_command(r);
    const struct pvb_parameter *all = pv_bundle_section(r->policy->bundle, PVB_PARAMETERS, NULL);
    uint32_t arg = r->takes_packages ? 1 : 0;
    for (uint32_t i = 0; i < command->n_parameters; i++) {
        const struct pvb_parameter *p = &all[command->first_parameter + i];
        if (p->kind != PVB_ARGUMENT)
            continue;
        if (arg >= r->wire.n_args) {
            snprintf(error->text, sizeof error->text, "`%s` needs the argument %s", r->wire.command,
                     bundle_string(r, p->name));
            return -1;
        }
        if (set_parameter(r, f, p, r->wire.args[arg++], error))
            return -1;
    }
    if (arg < r->wire.n_args) {
        snprintf(error->text, sizeof error->text, "`%s` takes %u argument%s, not %u", r->wire.command, arg,
                 arg == 1 ? "" : "s", r->wire.n_args);
        return -1;
    }
    for (uint32_t o = 0; o < r->wire.n_options; o++) {
        const struct pv_wire_option *option = &r->wire.options[o];
        const struct pvb_parameter *p = NULL;
        for (uint32_t i = 0; i < command->n_parameters && !p; i++) {
            const struct pvb_parameter *one = &all[command->first_parameter + i];
            if (one->kind != PVB_ARGUMENT && strcmp(bundle_string(r, one->name), option->name) == 0)
                p = one;
        }
        for (uint32_t i = 0; p && i < o; i++)
            if (strcmp(r->wire.options[i].name, option->name) == 0)
                p = NULL;
        if (!p || (p->kind == PVB_FLAG) == option->has_value) {
            char name[128];
            pv_escape(name, sizeof name, option->name, strlen(option->name));
            snprintf(error->text, sizeof error->text, "`%s` has no option --%s%s, or it was given twice",
                     r->wire.command, name, option->has_value ? "=VALUE" : " without a value");
            return -1;
        }
        if (p->kind == PVB_FLAG ? pv_request_set_bool(f->ask, (int)p->slot, true)
                                : set_parameter(r, f, p, option->value, error))
            return -1;
    }
    return 0;
}

static void fill_owner(const struct operation *op, struct fill *f)
{
    if (!op->owner)
        return;
    set_text(f, PV_A_PACKAGE_OWNER, op->owner);
    set_number(f, PV_A_PACKAGE_OWNER_UID, op->owner_uid);
}

/* What is known of the package before a plan; the rest is unknown. */
static void fill_foreseen(struct request *r, const struct operation *op, struct fill *f)
{
    for (int slot = 0; slot < PV_N_BUILTIN; slot++)
        if (pv_builtin_attrs[slot].flags & PV_ATTR_PLAN)
            set_unknown(f, slot);
    if (op->package) {
        set_text(f, PV_A_PACKAGE_NAME, op->package);
        set_flag(f, PV_A_PACKAGE_PROTECTED, pv_mon_protected(r->m, op->package));
        fill_owner(op, f);
        set_flag(f, PV_A_PACKAGE_DEPENDENCY, op->dependency);
    } else {
        set_unknown(f, PV_A_PACKAGE_NAME);
        set_unknown(f, PV_A_PACKAGE_PROTECTED);
        set_unknown(f, PV_A_PACKAGE_OWNER);
        set_unknown(f, PV_A_PACKAGE_OWNER_UID);
        if (op->dependency)
            set_flag(f, PV_A_PACKAGE_DEPENDENCY, true);
    }
    if (op->source)
        note(f, PV_A_SOURCE_NAME, pv_request_set_source(f->ask, op->source, strlen(op->source)));
}

struct totals {
    int64_t installs, upgrades, removes, download_size;
};

static struct totals count(const struct request *r)
{
    struct totals t = {0};
    for (uint32_t i = 0; i < r->n_operations; i++) {
        const struct operation *op = &r->operations[i];
        if (!op->plan || op->held_back)
            continue;
        switch (op->plan->action) {
        case PV_PLAN_INSTALL: t.installs++; break;
        case PV_PLAN_UPGRADE:
        case PV_PLAN_DOWNGRADE: t.upgrades++; break;
        case PV_PLAN_REMOVE:
        case PV_PLAN_PURGE: t.removes++; break;
        default: break;
        }
        t.download_size += (int64_t)op->plan->download_size;
    }
    return t;
}

/* Everything about an operation of a plan, or about a requested package that the plan leaves as it is. */
static int fill_planned(struct request *r, const struct operation *op, const struct totals *t, struct fill *f)
{
    const char *before = op->installed_version ? op->installed_version : "";
    set_text(f, PV_A_PACKAGE_NAME, op->package);
    set_flag(f, PV_A_PACKAGE_PROTECTED, pv_mon_protected(r->m, op->package));
    fill_owner(op, f);
    set_text(f, PV_A_PACKAGE_VERSION, op->version);
    set_text(f, PV_A_PACKAGE_ARCHITECTURE, op->arch);
    set_flag(f, PV_A_PACKAGE_INSTALLED, before[0]);
    if (before[0])
        set_text(f, PV_A_PACKAGE_INSTALLED_VERSION, before);
    set_flag(f, PV_A_PACKAGE_DEPENDENCY, op->dependency);
    set_number(f, PV_A_PACKAGE_DOWNLOAD_SIZE, (int64_t)op->download_size);
    const char *section = op->plan ? op->plan->section : op->state ? op->state->section : "";
    if (section[0])
        set_text(f, PV_A_PACKAGE_SECTION, section);
    set_flag(f, PV_A_PACKAGE_ESSENTIAL, op->plan ? op->plan->essential : op->state && op->state->essential);
    if (op->plan) {
        set_flag(f, PV_A_PACKAGE_DOWNGRADE, op->plan->action == PV_PLAN_DOWNGRADE);
        size_t n = op->plan->n_wanted_by;
        struct pv_str *members = pv_mon_alloc(&r->arena, (n + 1) * sizeof *members);
        if (!members)
            return -1;
        for (size_t i = 0; i < n; i++)
            members[i] = pv_str_of(op->plan->wanted_by[i]);
        note(f, PV_A_PACKAGE_WANTED_BY, pv_request_set_strings(f->ask, PV_A_PACKAGE_WANTED_BY, members, n));
    }
    if (op->source && op->source[0])
        note(f, PV_A_SOURCE_NAME, pv_request_set_source(f->ask, op->source, strlen(op->source)));
    set_number(f, PV_A_TRANSACTION_INSTALLS, t->installs);
    set_number(f, PV_A_TRANSACTION_UPGRADES, t->upgrades);
    set_number(f, PV_A_TRANSACTION_REMOVES, t->removes);
    set_number(f, PV_A_TRANSACTION_DOWNLOAD_SIZE, t->download_size);
    return 0;
}

/* A command with a `run` template that takes a package: its name is what is known. */
static void fill_template_package(struct request *r, const struct operation *op, struct fill *f)
{
    set_text(f, PV_A_PACKAGE_NAME, op->package);
    set_flag(f, PV_A_PACKAGE_PROTECTED, pv_mon_protected(r->m, op->package));
    fill_owner(op, f);
    if (op->source)
        note(f, PV_A_SOURCE_NAME, pv_request_set_source(f->ask, op->source, strlen(op->source)));
}

/* What an operation is decided as. 0; 1: the policy does not know such a command; -1 with a sentence. */
static int fill(struct request *r, const struct operation *op, const struct totals *t, struct pv_error *error)
{
    for (unsigned i = 0; i < r->n_asks; i++) {
        struct fill f = {.ask = r->asks[i]};
        fill_who(r, &f, i);
        fill_request(r, &f);
        if (pv_request_set_command(f.ask, op->command, strlen(op->command)))
            return 1;
        if (r->command >= 0 && !r->is_apt && fill_parameters(r, &f, error))
            return -1;
        if (r->is_apt && r->planned_facts) {
            if (op->package && fill_planned(r, op, t, &f)) {
                snprintf(error->text, sizeof error->text, "no memory");
                return -1;
            }
        } else if (r->is_apt) {
            fill_foreseen(r, op, &f);
        } else if (r->takes_packages && op->package) {
            fill_template_package(r, op, &f);
        }
        if (f.status) {
            snprintf(error->text, sizeof error->text, "%s has a value that cannot be used",
                     f.slot < PV_N_BUILTIN ? pv_builtin_attrs[f.slot].path : "an argument");
            return -1;
        }
    }
    return 0;
}

int pv_mon_fill_operation(struct request *r, const struct operation *op, struct pv_error *error)
{
    struct totals t = count(r);
    return fill(r, op, &t, error);
}

void pv_mon_fill_user(struct request *r, unsigned which, int command)
{
    struct fill f = {.ask = r->asks[which]};
    fill_who(r, &f, which);
    const struct pvb_command *commands = pv_bundle_section(r->policy->bundle, PVB_COMMANDS, NULL);
    if (command >= 0) {
        const char *name = bundle_string(r, commands[command].name);
        pv_request_set_command(f.ask, name, strlen(name));
    }
    size_t n_attrs;
    const struct pvb_attr *attrs = pv_bundle_section(r->policy->bundle, PVB_ATTRS, &n_attrs);
    for (int slot = 0; slot < (int)n_attrs; slot++) {
        bool of_user = slot <= PV_A_USER_CHANGES_TODAY || (slot >= PV_A_HOST_NAME && slot <= PV_A_TIME_WEEKDAY);
        if (slot == PV_A_COMMAND || of_user)
            continue;
        if (slot < PV_N_BUILTIN || attrs[slot].scope == PV_SCOPE_PARAMETER)
            pv_request_set_unknown(f.ask, slot);
    }
}

/* ---- Verdicts ---- */

static struct pv_record_rule rule_row(struct request *r, uint32_t rule)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, NULL);
    char buffer[512];
    uint32_t line;
    size_t file_len;
    const char *id = pv_rule_id(bundle, rule, buffer, sizeof buffer);
    const char *file = pv_rule_file(bundle, rule, &line, &file_len);
    if (id == buffer) {
        id = pv_mon_strdup(&r->arena, buffer, strlen(buffer));
        id = id ? id : "?";
    }
    return (struct pv_record_rule){.id = pv_str_of(id),
                                   .kind = (enum pv_rule_kind)rules[rule].kind,
                                   .file = {.ptr = file, .len = (uint32_t)file_len},
                                   .line = line};
}

static bool text_listed(const struct pv_record_verdict *v, const char *text)
{
    for (uint32_t i = 0; i < v->n_because; i++)
        if (strcmp(v->because[i].ptr, text) == 0)
            return true;
    return false;
}

/* Rules and their texts. Room for `extra` more rules and texts in front is left by the caller's own. 0 or -1. */
static int attribute(struct request *r, const struct pv_decision *d, struct pv_record_verdict *v)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, NULL);
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    uint32_t n_texts = 0, conflict = d->account_conflict ? 1 : 0;
    for (uint32_t i = 0; i < d->n_rules; i++)
        n_texts += rules[d->rules[i]].n_because;
    v->rules = pv_mon_alloc(&r->arena, (d->n_rules + conflict + 1) * sizeof *v->rules);
    v->because = pv_mon_alloc(&r->arena, (n_texts + 1) * sizeof *v->because);
    if (!v->rules || !v->because)
        return -1;
    if (conflict)
        v->rules[v->n_rules++] = (struct pv_record_rule){
            .id = pv_str_of("builtin:account-conflict"), .kind = PV_RULE_BUILTIN_DENY, .file = pv_str_of("")};
    for (uint32_t i = 0; i < d->n_rules; i++) {
        const struct pvb_rule *rule = &rules[d->rules[i]];
        v->rules[v->n_rules++] = rule_row(r, d->rules[i]);
        for (uint32_t k = 0; k < rule->n_because; k++) {
            const char *text = bundle_string(r, texts[rule->first_because + k]);
            if (!text_listed(v, text))
                v->because[v->n_because++] = pv_str_of(text);
        }
    }
    return 0;
}

static int make_verdict(struct request *r, const struct pv_decision *d, struct pv_record_verdict *v)
{
    const struct pvb_duty *duties = pv_bundle_section(r->policy->bundle, PVB_DUTIES, NULL);
    *v = (struct pv_record_verdict){.effect = d->effect,
                                    .is_default = d->is_default,
                                    .reason = d->reason,
                                    .has_timeout = d->has_timeout,
                                    .timeout = d->timeout,
                                    .account = pv_str_of(d->account ? bundle_string(r, d->account) : "")};
    if (attribute(r, d, v))
        return -1;
    v->duties = pv_mon_alloc(&r->arena, (d->n_duties + 1) * sizeof *v->duties);
    if (!v->duties)
        return -1;
    for (uint32_t i = 0; i < d->n_duties; i++)
        v->duties[v->n_duties++] =
            (struct pv_record_duty){.kind = (enum pv_duty_kind)duties[d->duties[i]].kind,
                                    .text = pv_str_of(bundle_string(r, duties[d->duties[i]].text))};
    return 0;
}

/* Makes an allowed verdict a denial of the agent's own. 0 or -1. */
static int overrule(struct request *r, struct pv_record_verdict *v, const char *id, const char *sentence)
{
    struct pv_record_rule *rules = pv_mon_alloc(&r->arena, sizeof *rules);
    struct pv_str *because = pv_mon_alloc(&r->arena, sizeof *because);
    if (!rules || !because)
        return -1;
    *rules = (struct pv_record_rule){.id = pv_str_of(id), .kind = PV_RULE_BUILTIN_DENY, .file = pv_str_of("")};
    *because = pv_str_of(sentence);
    *v = (struct pv_record_verdict){
        .effect = PV_DENY, .rules = rules, .n_rules = 1, .because = because, .n_because = 1, .account = pv_str_of("")};
    return 0;
}

int pv_mon_deny(struct request *r, const char *id, const char *sentence)
{
    r->sentence = sentence;
    return overrule(r, &r->verdict, id, sentence);
}

/* ---- Attributes for the record ---- */

static bool is_common(const struct pvb_attr *attrs, int slot)
{
    if (slot >= PV_N_BUILTIN)
        return attrs[slot].scope != PV_SCOPE_PARAMETER;
    return slot <= PV_A_USER_CHANGES_TODAY || (slot >= PV_A_REQUEST_REASON && slot <= PV_A_HOST_ARCHITECTURE);
}

/* The values that asks[0] holds now, common ones or those of the operation. 0 or -1. */
static int list_attrs(struct request *r, bool common, struct pv_record_attr **out, uint32_t *n_out)
{
    size_t n_attrs;
    const struct pvb_attr *attrs = pv_bundle_section(r->policy->bundle, PVB_ATTRS, &n_attrs);
    *n_out = 0;
    *out = pv_mon_alloc(&r->arena, n_attrs * sizeof **out);
    if (!*out)
        return -1;
    for (int slot = 0; slot < (int)n_attrs; slot++) {
        const struct pv_value *value = pv_request_value(r->asks[0], slot);
        bool is_time = slot >= PV_A_TIME_DATE && slot <= PV_A_TIME_WEEKDAY;
        if (is_time || (attrs[slot].flags & PV_ATTR_HIDDEN) || is_common(attrs, slot) != common || !value ||
            value->state == PV_ABSENT)
            continue;
        struct pv_record_attr *attr = &(*out)[(*n_out)++];
        *attr = (struct pv_record_attr){.path = pv_str_of(bundle_string(r, attrs[slot].path)),
                                        .type = value->type,
                                        .state = value->state,
                                        .number = value->number,
                                        .string = value->string};
        if (!attr->string.ptr)
            attr->string = pv_str_of("");
        if (value->state == PV_PRESENT && value->type == PV_T_STRINGS && value->n_members) {
            attr->members = pv_mon_alloc(&r->arena, value->n_members * sizeof *attr->members);
            if (!attr->members)
                return -1;
            memcpy(attr->members, value->members, value->n_members * sizeof *attr->members);
            attr->n_members = value->n_members;
        }
    }
    return 0;
}

/* ---- Deciding ---- */

static int strictness(enum pv_effect effect)
{
    return effect == PV_DENY ? 2 : effect == PV_DIRECT ? 1 : 0;
}

/* The stricter of the decisions with both group sets, in r->one. */
static void take_stricter(struct request *r)
{
    const struct pv_bundle *bundle = r->policy->bundle;
    const struct pv_decision *a = r->scratch[0], *b = r->n_asks > 1 ? r->scratch[1] : NULL;
    pv_decision_clear(r->one);
    if (b && b->effect != a->effect && strictness(b->effect) > strictness(a->effect))
        a = b, b = NULL;
    pv_decision_join(r->one, bundle, a, true);
    if (b && b->effect == a->effect)
        pv_decision_join(r->one, bundle, b, false);
}

int pv_mon_foresee(struct request *r, enum pv_foresight *foresight, struct pv_error *error)
{
    bool denied = false, direct = false, first = true;
    struct totals t = {0};
    *foresight = PV_MAY_BE_ALLOWED;
    pv_decision_clear(r->sum);
    for (uint32_t i = 0; i < r->n_operations; i++) {
        struct operation *op = &r->operations[i];
        int status = fill(r, op, &t, error);
        if (status) {
            if (status > 0)
                snprintf(error->text, sizeof error->text, "this machine's policy has no command of that name");
            return -1;
        }
        bool op_denied = false, op_direct = false;
        for (unsigned k = 0; k < r->n_asks; k++) {
            enum pv_foresight one = pv_foresee(r->asks[k], true, r->scratch[k]);
            if (one == PV_MAY_BE_ALLOWED)
                r->scratch[k]->effect = PV_ALLOW;
            op_denied = op_denied || one == PV_STANDS_DENIED;
            op_direct = op_direct || one == PV_STANDS_DIRECT;
        }
        take_stricter(r);
        if (list_attrs(r, false, &op->attrs, &op->n_attrs) || make_verdict(r, r->one, &op->verdict))
            return -1;
        denied = denied || op_denied;
        direct = direct || op_direct;
        if (op_denied || op_direct) {
            pv_decision_join(r->sum, r->policy->bundle, r->one, first);
            first = false;
        }
    }
    if (list_attrs(r, true, &r->attrs, &r->n_attrs) || make_verdict(r, r->sum, &r->verdict))
        return -1;
    if (denied)
        *foresight = PV_STANDS_DENIED;
    else if (direct)
        *foresight = PV_STANDS_DIRECT;
    return 0;
}

/* Whether the window of a duty is open now. */
static bool window_open(struct request *r, const struct pvb_duty *duty)
{
    return duty->clause != PVB_NONE && pv_clause_truth(r->asks[0], duty->clause) == PV_TRUE;
}

/* A duty that this agent cannot carry out, or that the request does not meet: the sentence, else NULL. */
static const char *unmet_duty(struct request *r, const struct pv_decision *d, const char **id)
{
    const struct pvb_duty *duties = pv_bundle_section(r->policy->bundle, PVB_DUTIES, NULL);
    *id = "builtin:unsupported";
    for (uint32_t i = 0; i < d->n_duties; i++) {
        const struct pvb_duty *duty = &duties[d->duties[i]];
        const char *text = bundle_string(r, duty->text);
        switch ((enum pv_duty_kind)duty->kind) {
        case PV_D_APPROVAL:
            return pv_mon_printf(&r->arena, "This needs approval by %s, and this agent cannot ask for approvals.",
                                 text);
        case PV_D_ALERT:
            return pv_mon_printf(&r->arena, "This is to alert %s, and this agent cannot send alerts.", text);
        case PV_D_WINDOW:
            if (!window_open(r, duty))
                return pv_mon_printf(
                    &r->arena, "This runs only in the window %s, which is closed now, and this agent cannot queue it.",
                    text);
            break;
        default: break;
        }
    }
    if (d->account && r->is_apt && strcmp(bundle_string(r, d->account), "root") != 0)
        return pv_mon_printf(&r->arena, "This is to run as %s, and packages are changed by root alone.",
                             bundle_string(r, d->account));
    *id = "builtin:reason";
    return d->reason && !r->wire.reason[0] ? "A reason is required: give one with --reason." : NULL;
}

static bool is_time(uint32_t slot)
{
    return slot >= PV_A_TIME_DATE && slot <= PV_A_TIME_WEEKDAY;
}

static bool reads_time(const struct pvb_insn *insn)
{
    return insn->op == PVB_OP_IN_WINDOW || is_time(insn->slot) || (insn->op == PVB_OP_INT2 && is_time(insn->arg));
}

static bool rule_depends_on_time(const struct pv_bundle *bundle, uint32_t index)
{
    const struct pvb_rule *rule = (const struct pvb_rule *)pv_bundle_section(bundle, PVB_RULES, NULL) + index;
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    const struct pvb_insn *code = pv_bundle_section(bundle, PVB_CLAUSE_CODE, NULL);
    for (uint32_t c = 0; c < rule->n_clauses; c++) {
        const struct pvb_clause *clause = &clauses[rule->first_clause + c];
        for (uint32_t k = 0; k < clause->n_insns; k++)
            if (reads_time(&code[clause->first_insn + k]))
                return true;
    }
    return false;
}

/* Whether the clock stands before what is on record and every allow that matched rests on it: somebody may have set it
 * back to reopen a window. */
static bool clock_went_back(const struct request *r, const struct pv_decision *d)
{
    const struct pvb_rule *rules = pv_bundle_section(r->policy->bundle, PVB_RULES, NULL);
    if (r->time >= pv_mon_ledger_time(r->m) - CLOCK_SLACK)
        return false;
    for (uint32_t i = 0; i < d->n_rules; i++)
        if (rules[d->rules[i]].kind == PV_RULE_ALLOW && !rule_depends_on_time(r->policy->bundle, d->rules[i]))
            return false;
    return true;
}

/* A downgrade, or the removal of something essential. */
static bool is_risky(const struct operation *op)
{
    return op->plan && (op->plan->action == PV_PLAN_DOWNGRADE || (op->plan->essential && pv_plan_is_removal(op->plan)));
}

/* Whether an allow that matched names the package as a literal. */
static bool allow_names_package(const struct request *r, const struct pv_decision *d)
{
    const struct pvb_rule *rules = pv_bundle_section(r->policy->bundle, PVB_RULES, NULL);
    for (uint32_t i = 0; i < d->n_rules; i++) {
        const struct pvb_rule *rule = &rules[d->rules[i]];
        if (rule->kind == PV_RULE_ALLOW && (rule->flags & PVB_RULE_NAMES_LITERALLY))
            return true;
    }
    return false;
}

/* Why the agent itself does not do what the policy allows: an id and a sentence, or NULL. */
static const char *own_denial(struct request *r, const struct operation *op, const char **id)
{
    if (r->one->effect != PV_ALLOW)
        return NULL;
    const char *unmet = unmet_duty(r, r->one, id);
    if (unmet)
        return unmet;
    *id = "builtin:clock";
    if (clock_went_back(r, r->one))
        return "The clock stands before the last record, and what allows this depends on the time.";
    if (!is_risky(op))
        return NULL;
    bool downgrade = op->plan->action == PV_PLAN_DOWNGRADE;
    *id = "builtin:unasked";
    if (op->dependency)
        return downgrade ? "A downgrade must be asked for by name."
                         : "The removal of an essential package must be asked for by name.";
    *id = "builtin:unnamed";
    if (allow_names_package(r, r->one))
        return NULL;
    return downgrade ? "A downgrade needs an allow that names the package."
                     : "The removal of an essential package needs an allow that names it.";
}

static int decide_operation(struct request *r, struct operation *op, const struct totals *t, bool direct_too,
                            bool first, struct pv_error *error)
{
    int status = fill(r, op, t, error);
    if (status < 0)
        return -1;
    if (status > 0) { /* the plan does something that the policy has no command for: nothing can allow it */
        pv_decision_clear(r->one);
        r->one->is_default = true;
    } else {
        for (unsigned k = 0; k < r->n_asks; k++) {
            if (!r->is_apt && r->command >= 0 && pv_request_check(r->asks[k], error))
                return -1;
            pv_decide(r->asks[k], direct_too, r->scratch[k]);
        }
        take_stricter(r);
    }
    if (list_attrs(r, false, &op->attrs, &op->n_attrs) || make_verdict(r, r->one, &op->verdict))
        return -1;
    const char *id, *sentence = own_denial(r, op, &id);
    if (sentence && overrule(r, &op->verdict, id, sentence))
        return -1;
    if (!op->held_back)
        pv_decision_join(r->sum, r->policy->bundle, r->one, first);
    return 0;
}

/* The first operation that the agent itself denies makes the whole request's denial where no rule denied. */
static int join_own_denials(struct request *r)
{
    for (uint32_t i = 0; i < r->n_operations; i++) {
        const struct operation *op = &r->operations[i];
        bool own = op->verdict.effect == PV_DENY && op->verdict.n_rules == 1 && op->verdict.rules[0].line == 0 &&
                   op->verdict.rules[0].file.len == 0;
        if (op->held_back || !own || r->verdict.effect != PV_ALLOW)
            continue;
        const char *sentence = op->package ? pv_mon_printf(&r->arena, "%s: %s", op->package, op->verdict.because[0].ptr)
                                           : op->verdict.because[0].ptr;
        if (!sentence || pv_mon_deny(r, op->verdict.rules[0].id.ptr, sentence))
            return -1;
    }
    return 0;
}

int pv_mon_decide(struct request *r, bool direct_too, struct pv_error *error)
{
    struct totals t = count(r);
    bool first = true;
    error->text[0] = '\0';
    pv_decision_clear(r->sum);
    r->sentence = NULL;
    for (uint32_t i = 0; i < r->n_operations; i++) {
        if (decide_operation(r, &r->operations[i], &t, direct_too, first, error))
            return -1;
        first = first && r->operations[i].held_back;
    }
    if (list_attrs(r, true, &r->attrs, &r->n_attrs) || make_verdict(r, r->sum, &r->verdict) || join_own_denials(r)) {
        snprintf(error->text, sizeof error->text, "no memory");
        return -1;
    }
    const char *id, *unmet = r->verdict.effect == PV_ALLOW ? unmet_duty(r, r->sum, &id) : NULL;
    if (unmet && pv_mon_deny(r, id, unmet)) {
        snprintf(error->text, sizeof error->text, "no memory");
        return -1;
    }
    return 0;
}

/* ---- Sources ---- */

/* An operation of which only this much is known. */
static struct operation imagined(const char *command, const char *package, const char *source)
{
    return (struct operation){
        .command = command, .package = package, .source = source, .version = "", .installed_version = "", .arch = ""};
}

static bool may_match(struct request *r, const struct operation *op)
{
    struct totals t = {0};
    struct pv_error error;
    if (fill(r, op, &t, &error))
        return false;
    for (unsigned k = 0; k < r->n_asks; k++)
        if (pv_foresee(r->asks[k], false, r->scratch[k]) != PV_MAY_BE_ALLOWED)
            return false;
    return true;
}

enum source_use pv_mon_source_use(struct request *r, uint32_t source)
{
    const struct pvb_source *sources = pv_bundle_section(r->policy->bundle, PVB_SOURCES, NULL);
    const char *name = bundle_string(r, sources[source].name);
    if (sources[source].flags & PVB_SOURCE_DISABLED)
        return SOURCE_HIDDEN;
    bool before = r->planned_facts;
    enum source_use use = SOURCE_HIDDEN;
    r->planned_facts = false;
    for (uint32_t i = 0; i < r->wire.n_args && use == SOURCE_HIDDEN; i++) {
        struct operation op = imagined(r->wire.command, r->wire.args[i], name);
        if (may_match(r, &op))
            use = SOURCE_FULL;
    }
    if (r->wire.n_args == 0) {
        struct operation op = imagined(r->wire.command, NULL, name);
        if (may_match(r, &op))
            use = SOURCE_FULL;
    }
    /* What the named packages pull in is an install or an upgrade of its own. */
    static const char *const pulled[] = {"install", "upgrade"};
    for (size_t i = 0; i < 2 && use == SOURCE_HIDDEN; i++) {
        struct operation op = imagined(pulled[i], NULL, name);
        op.dependency = true;
        if (may_match(r, &op))
            use = SOURCE_DEPENDENCIES;
    }
    r->planned_facts = before;
    return use;
}
