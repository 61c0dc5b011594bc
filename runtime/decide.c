/* Decisions: the verdict by the program `decide`, and the same with its attribution by the clauses of every rule. A
 * decision is made of rules and their duties; joining the decisions of several operations keeps what would have been
 * written for one.
 *
 * What is not known counts against the request: an unknown deny or require matches, an unknown allow or direct does
 * not. Arrays are as long as the bundle has rules and duties, so nothing is allocated while deciding. */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

/* What decisions carry beside the public part. */
struct decision {
    struct pv_decision pub;     /* first: decisions are handed out as this */
    uint32_t n_rules, n_duties; /* of the bundle */
    uint32_t account;           /* that matching requires name, whatever the effect; 0 for none */
    uint8_t *truth;             /* by rule: enum pv_truth */
    uint8_t *has_duty;          /* by a duty's twin: one that says the same stands in pub.duties */
};

static struct decision *whole(struct pv_decision *decision)
{
    return (struct decision *)(void *)decision;
}

int pv_decision_new(struct pv_decision **out, const struct pv_bundle *bundle)
{
    *out = NULL;
    struct decision *d = calloc(1, sizeof(*d));
    if (!d)
        return PV_E_NOMEM;
    d->n_rules = bundle->n_rules;
    d->n_duties = bundle->n_duties;
    d->pub.rules = calloc((size_t)bundle->n_rules + 1, sizeof(*d->pub.rules));
    d->pub.duties = calloc((size_t)bundle->n_duties + 1, sizeof(*d->pub.duties));
    d->truth = calloc((size_t)bundle->n_rules + 1, 1);
    d->has_duty = calloc((size_t)bundle->n_duties + 1, 1);
    if (!d->pub.rules || !d->pub.duties || !d->truth || !d->has_duty) {
        pv_decision_free(&d->pub);
        return PV_E_NOMEM;
    }
    *out = &d->pub;
    return 0;
}

void pv_decision_free(struct pv_decision *decision)
{
    if (!decision)
        return;
    free(whole(decision)->truth);
    free(whole(decision)->has_duty);
    free(decision->rules);
    free(decision->duties);
    free(decision);
}

static void clear_duties(struct decision *d)
{
    if (d->pub.n_duties)
        memset(d->has_duty, 0, d->n_duties);
    d->pub.n_duties = 0;
    d->pub.reason = d->pub.has_timeout = false;
    d->pub.timeout = 0;
    d->pub.account = 0;
}

void pv_decision_clear(struct pv_decision *decision)
{
    clear_duties(whole(decision));
    whole(decision)->account = 0;
    decision->effect = PV_DENY;
    decision->is_default = decision->account_conflict = false;
    decision->n_rules = 0;
}

/* ---- Duties ---- */

static void shorten_timeout(struct pv_decision *d, int64_t seconds)
{
    if (!d->has_timeout || seconds < d->timeout)
        d->timeout = seconds;
    d->has_timeout = true;
}

/* Two accounts cannot both be used. */
static void name_account(struct decision *d, uint32_t account)
{
    if (d->account && account && d->account != account)
        d->pub.account_conflict = true;
    if (!d->account)
        d->account = account;
}

/* Keeps `duties` in source order and without duplicates of kind and text: of several that say the same, the one that
 * stands first among the rules that matched. */
static void insert_duty(struct decision *d, const struct pv_bundle *b, uint32_t duty)
{
    uint32_t at = 0, twin = b->duty_twin[duty];
    if (d->has_duty[twin]) {
        while (b->duty_twin[d->pub.duties[at]] != twin)
            at++;
        if (d->pub.duties[at] <= duty)
            return;
    } else {
        d->has_duty[twin] = 1;
        at = d->pub.n_duties++;
    }
    for (; at && d->pub.duties[at - 1] > duty; at--)
        d->pub.duties[at] = d->pub.duties[at - 1];
    d->pub.duties[at] = duty;
}

static void add_duties(struct decision *d, const struct pv_bundle *b, uint32_t rule)
{
    const struct pvb_rule *row = &b->rules[rule];
    for (uint32_t i = row->first_duty; i < row->first_duty + row->n_duties; i++) {
        switch ((enum pv_duty_kind)b->duties[i].kind) {
        case PV_D_REASON: d->pub.reason = true; break;
        case PV_D_TIMEOUT: shorten_timeout(&d->pub, b->duties[i].seconds); break;
        case PV_D_ACCOUNT: d->pub.account = b->duties[i].text; break;
        case PV_D_APPROVAL:
        case PV_D_WINDOW:
        case PV_D_NOTICE:
        case PV_D_ALERT: insert_duty(d, b, i); break;
        }
    }
}

/* The accounts of the requires whose truth is at least `least`. */
static void name_accounts(struct decision *d, const struct pv_bundle *b, enum pv_truth least)
{
    for (uint32_t r = 0; r < b->n_rules; r++) {
        const struct pvb_rule *row = &b->rules[r];
        for (uint32_t i = row->first_duty; d->truth[r] >= least && i < row->first_duty + row->n_duties; i++) {
            if (b->duties[i].kind == PV_D_ACCOUNT)
                name_account(d, b->duties[i].text);
        }
    }
}

/* ---- One operation ---- */

static bool is_deny(const struct pvb_rule *rule)
{
    return rule->kind == PV_RULE_BUILTIN_DENY || rule->kind == PV_RULE_DENY;
}

static void list(struct pv_decision *d, uint32_t rule)
{
    d->rules[d->n_rules++] = rule;
}

/* The truth of every rule; which kinds have one that is at least `least`, as bits by enum pv_rule_kind. */
struct matches {
    unsigned is_true, may_be; /* true; true or unknown */
};

static struct matches evaluate(const struct pv_request *r, bool direct_too, struct decision *d)
{
    struct matches found = {0};
    for (uint32_t i = 0; i < r->bundle->n_rules; i++) {
        unsigned kind = r->bundle->rules[i].kind;
        d->truth[i] = PV_FALSE;
        if (kind != PV_RULE_DIRECT || direct_too)
            d->truth[i] = (uint8_t)pv_rule_truth(r, i);
        if (d->truth[i] == PV_TRUE)
            found.is_true |= 1u << kind;
        if (d->truth[i] != PV_FALSE)
            found.may_be |= 1u << kind;
    }
    return found;
}

enum { DENIES = 1u << PV_RULE_BUILTIN_DENY | 1u << PV_RULE_DENY };

static void list_direct(struct decision *d, const struct pv_bundle *b)
{
    d->pub.effect = PV_DIRECT;
    for (uint32_t i = 0; i < b->n_rules; i++) {
        if (b->rules[i].kind == PV_RULE_DIRECT && d->truth[i] == PV_TRUE)
            list(&d->pub, i);
    }
}

static void list_denies(struct decision *d, const struct pv_bundle *b, enum pv_truth least)
{
    for (uint32_t i = 0; i < b->n_rules; i++) {
        if (is_deny(&b->rules[i]) && d->truth[i] >= least)
            list(&d->pub, i);
    }
}

static void list_allows(struct decision *d, const struct pv_bundle *b)
{
    d->pub.effect = PV_ALLOW;
    d->pub.is_default = false;
    for (uint32_t i = 0; i < b->n_rules; i++) {
        unsigned kind = b->rules[i].kind;
        if (kind == PV_RULE_REQUIRE && d->truth[i] != PV_FALSE)
            add_duties(d, b, i);
        else if (kind != PV_RULE_ALLOW || d->truth[i] != PV_TRUE)
            continue;
        list(&d->pub, i);
    }
}

void pv_decide(const struct pv_request *request, bool direct_too, struct pv_decision *out)
{
    const struct pv_bundle *b = request->bundle;
    struct decision *d = whole(out);
    pv_decision_clear(out);
    struct matches found = evaluate(request, direct_too && !request->never_brokered, d);
    if (found.is_true & 1u << PV_RULE_DIRECT) {
        list_direct(d, b);
        return;
    }
    name_accounts(d, b, PV_UNKNOWN);
    if (found.may_be & DENIES)
        list_denies(d, b, PV_UNKNOWN);
    else if (!out->account_conflict && !request->never_brokered && found.is_true & 1u << PV_RULE_ALLOW)
        list_allows(d, b);
    else
        out->is_default = !out->account_conflict;
}

/* Whether requires that match name two accounts; few bundles have any that could. */
static bool accounts_clash(const struct pv_request *r)
{
    const struct pv_bundle *b = r->bundle;
    uint32_t account = 0;
    for (uint32_t k = 0; k < b->n_account_rules; k++) {
        const struct pvb_rule *row = &b->rules[b->account_rules[k]];
        if (pv_rule_truth(r, b->account_rules[k]) == PV_FALSE)
            continue;
        for (uint32_t i = row->first_duty; i < row->first_duty + row->n_duties; i++) {
            if (b->duties[i].kind != PV_D_ACCOUNT)
                continue;
            if (account && account != b->duties[i].text)
                return true;
            account = b->duties[i].text;
        }
    }
    return false;
}

enum pv_effect pv_verdict(const struct pv_request *request, bool direct_too)
{
    if (request->never_brokered)
        return PV_DENY;
    switch (pv_run_decide(request, direct_too ? 0 : request->bundle->header->decide_plan_entry)) {
    case PV_JOIN_DIRECT: return PV_DIRECT;
    case PV_JOIN_ALLOW: return accounts_clash(request) ? PV_DENY : PV_ALLOW;
    case PV_JOIN_NONE:
    case PV_JOIN_DENY: break;
    }
    return PV_DENY;
}

enum pv_foresight pv_foresee(const struct pv_request *request, bool direct_too, struct pv_decision *out)
{
    const struct pv_bundle *b = request->bundle;
    struct decision *d = whole(out);
    pv_decision_clear(out);
    struct matches found = evaluate(request, direct_too && !request->never_brokered, d);
    if (found.is_true & 1u << PV_RULE_DIRECT) {
        list_direct(d, b);
        return PV_STANDS_DIRECT;
    }
    if (found.may_be & 1u << PV_RULE_DIRECT)
        return PV_MAY_BE_ALLOWED;
    name_accounts(d, b, PV_TRUE);
    if (found.is_true & DENIES)
        list_denies(d, b, PV_TRUE);
    else if (!out->account_conflict && !request->never_brokered && found.may_be & 1u << PV_RULE_ALLOW)
        return PV_MAY_BE_ALLOWED;
    out->is_default = !out->n_rules && !out->account_conflict;
    return PV_STANDS_DENIED;
}

/* ---- Several operations ---- */

/* Adds the rules of `one`: the union of both, in source order. */
static void merge_rules(struct decision *sum, const struct pv_decision *one)
{
    uint8_t *present = sum->truth;
    memset(present, 0, sum->n_rules);
    for (uint32_t i = 0; i < sum->pub.n_rules; i++)
        present[sum->pub.rules[i]] = 1;
    for (uint32_t i = 0; i < one->n_rules; i++)
        present[one->rules[i]] = 1;
    sum->pub.n_rules = 0;
    for (uint32_t i = 0; i < sum->n_rules; i++) {
        if (present[i])
            list(&sum->pub, i);
    }
}

static void merge_duties(struct decision *sum, const struct pv_bundle *b, const struct pv_decision *one)
{
    sum->pub.reason = sum->pub.reason || one->reason;
    if (one->has_timeout)
        shorten_timeout(&sum->pub, one->timeout);
    if (one->account)
        sum->pub.account = one->account;
    for (uint32_t i = 0; i < one->n_duties; i++)
        insert_duty(sum, b, one->duties[i]);
}

void pv_decision_join(struct pv_decision *sum, const struct pv_bundle *bundle, const struct pv_decision *one,
                      bool first)
{
    struct decision *d = whole(sum);
    enum pv_effect before = sum->effect;
    sum->account_conflict = sum->account_conflict || one->account_conflict;
    name_account(d, ((const struct decision *)(const void *)one)->account);
    if (first || before == one->effect) {
        sum->effect = one->effect;
        merge_rules(d, one);
        merge_duties(d, bundle, one);
    } else if (before != PV_DENY) {
        /* What was allowed no longer is: only denials tell why. Where one is direct and another is brokered, nothing
         * says in whose rights the request would run, and it is denied. */
        sum->effect = PV_DENY;
        sum->n_rules = 0;
        clear_duties(d);
        if (one->effect == PV_DENY)
            merge_rules(d, one);
    }
    if (sum->account_conflict && sum->effect == PV_ALLOW) {
        sum->effect = PV_DENY;
        sum->n_rules = 0;
        clear_duties(d);
    }
    sum->is_default = sum->effect == PV_DENY && !sum->n_rules && !sum->account_conflict;
}
