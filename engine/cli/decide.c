/* Deciding on a request as read, of one operation or several, and finding the rules that nearly decided. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

/* The command's row, NULL for those that are never brokered. */
static const struct pvb_command *command_of(const struct pv_request *request)
{
    const struct pv_bundle *bundle = pv_request_bundle(request);
    const struct pv_str *name = &pv_request_value(request, PV_A_COMMAND)->string;
    int index = pv_bundle_command(bundle, name->ptr, name->len);
    return index < 0 ? NULL : (const struct pvb_command *)pv_bundle_section(bundle, PVB_COMMANDS, NULL) + index;
}

int pv_cli_request_asked(struct pv_request *request)
{
    size_t n;
    const struct pvb_attr *attrs = pv_bundle_section(pv_request_bundle(request), PVB_ATTRS, &n);
    const struct pvb_command *command = command_of(request);
    uint32_t flags = command ? command->flags : 0;
    int rc = 0;
    for (size_t slot = 0; rc == 0 && slot < n; slot++)
        if ((attrs[slot].scope == PV_SCOPE_PACKAGE && (flags & PVB_COMMAND_PACKAGES)) ||
            (attrs[slot].scope == PV_SCOPE_SOURCE && (flags & PVB_COMMAND_SOURCES)))
            rc = pv_request_set_unknown(request, (int)slot);
    return rc;
}

static int decide_operations(struct pv_decision *joined, struct pv_decision *one, const struct pv_cli_request *request,
                             pv_cli_each *each, void *context)
{
    const struct pv_bundle *bundle = pv_request_bundle(request->asked);
    /* `direct` is asked once, for the command that was asked for; then it is the answer for each operation. */
    pv_decide(request->asked, true, joined);
    bool direct = joined->effect == PV_DIRECT;
    if (!direct)
        pv_decision_clear(joined);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < request->n_operations; i++) {
        const struct pv_request *operation = direct ? request->asked : request->operations[i];
        pv_decide(operation, direct, one);
        if (!direct)
            pv_decision_join(joined, bundle, one, i == 0);
        rc = each ? each(context, operation, one) : 0;
    }
    return rc;
}

int pv_cli_decide(struct pv_decision **joined, const struct pv_cli_request *request, pv_cli_each *each, void *context)
{
    const struct pv_bundle *bundle = pv_request_bundle(request->operations[0]);
    struct pv_decision *one = NULL;
    int rc = pv_decision_new(joined, bundle);
    if (rc == 0 && !request->several) {
        pv_decide(request->operations[0], true, *joined);
    } else if (rc == 0) {
        rc = pv_decision_new(&one, bundle);
        rc = rc < 0 ? rc : decide_operations(*joined, one, request, each, context);
        pv_decision_free(one);
    }
    if (rc < 0) {
        pv_decision_free(*joined);
        *joined = NULL;
    }
    return rc;
}

/* ---- The nearest rules ---- */

/* How many clauses of a rule are not true; UINT32_MAX where the rule is about another command, or matches. */
static uint32_t distance(const struct pv_request *request, const struct pvb_rule *rule,
                         const struct pvb_clause *clauses)
{
    uint32_t n_false = 0;
    for (uint32_t c = rule->first_clause; c < rule->first_clause + rule->n_clauses; c++) {
        if (pv_clause_truth(request, c) == PV_TRUE)
            continue;
        if (clauses[c].kind == PV_C_COMMANDS)
            return UINT32_MAX;
        n_false++;
    }
    return n_false ? n_false : UINT32_MAX;
}

size_t pv_cli_nearest_rules(const struct pv_request *request, uint32_t *rules, size_t n)
{
    const struct pv_bundle *bundle = pv_request_bundle(request);
    size_t n_rows, found = 0;
    const struct pvb_rule *rows = pv_bundle_section(bundle, PVB_RULES, &n_rows);
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    uint32_t *distances = calloc(n ? n : 1, sizeof(*distances));
    for (uint32_t r = 0; distances && r < n_rows; r++) {
        if (rows[r].kind == PV_RULE_BUILTIN_DENY)
            continue;
        uint32_t d = distance(request, &rows[r], clauses);
        if (d == UINT32_MAX || (found == n && (n == 0 || d >= distances[n - 1])))
            continue;
        size_t place = found < n ? found++ : n - 1;
        for (; place > 0 && distances[place - 1] > d; place--) {
            distances[place] = distances[place - 1];
            rules[place] = rules[place - 1];
        }
        distances[place] = d;
        rules[place] = r;
    }
    free(distances);
    return found;
}

/* ---- Names ---- */

const char *pv_cli_truth_name(enum pv_truth truth)
{
    return truth == PV_TRUE ? "true" : truth == PV_FALSE ? "false" : "unknown";
}

const char *pv_cli_effect_name(enum pv_effect effect)
{
    return effect == PV_ALLOW ? "allow" : effect == PV_DIRECT ? "direct" : "deny";
}

const char *pv_cli_rule_effect(const struct pvb_rule *rule)
{
    switch ((enum pv_rule_kind)rule->kind) {
    case PV_RULE_ALLOW: return "allow";
    case PV_RULE_REQUIRE: return "require";
    case PV_RULE_DIRECT: return "direct";
    case PV_RULE_BUILTIN_DENY:
    case PV_RULE_DENY: break;
    }
    return "deny";
}
