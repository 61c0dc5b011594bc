/* A decision in JSON: fields and their order are the documented schema `proviso/decision/1`. */
#include <string.h>

#include "engine/cli/cli.h"

static json_t *text_json(const struct pv_bundle *bundle, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(bundle, string, &len);
    return pv_cli_json_text(text, len);
}

/* Arrays are built whole or not at all: a decision with a rule missing would be a lie. */
static json_t *append(json_t *array, json_t *value)
{
    if (array && json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *pv_cli_rule_json(const struct pv_bundle *bundle, uint32_t rule)
{
    char buffer[4200];
    uint32_t line;
    size_t len;
    const struct pvb_rule *rows = pv_bundle_section(bundle, PVB_RULES, NULL);
    const char *id = pv_rule_id(bundle, rule, buffer, sizeof(buffer));
    const char *file = pv_rule_file(bundle, rule, &line, &len);
    return json_pack("{s:o, s:s, s:o, s:I}", "id", pv_cli_json_text(id, strlen(id)), "effect",
                     pv_cli_rule_effect(&rows[rule]), "file", pv_cli_json_text(file, len), "line", (json_int_t)line);
}

static json_t *rules_json(const struct pv_decision *decision, const struct pv_bundle *bundle)
{
    json_t *rules = json_array();
    if (decision->account_conflict)
        rules = append(rules, json_pack("{s:s, s:s, s:s, s:i}", "id", "builtin:account-conflict", "effect", "deny",
                                        "file", "", "line", 0));
    for (uint32_t i = 0; rules && i < decision->n_rules; i++)
        rules = append(rules, pv_cli_rule_json(bundle, decision->rules[i]));
    return rules;
}

static json_t *because_json(const struct pv_decision *decision, const struct pv_bundle *bundle)
{
    json_t *because = json_array();
    const struct pvb_rule *rows = pv_bundle_section(bundle, PVB_RULES, NULL);
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    for (uint32_t i = 0; i < decision->n_rules; i++) {
        const struct pvb_rule *rule = &rows[decision->rules[i]];
        for (uint32_t t = 0; because && t < rule->n_because; t++)
            because = append(because, text_json(bundle, texts[rule->first_because + t]));
    }
    return because;
}

static json_t *duties_json(const struct pv_decision *decision, const struct pv_bundle *bundle, enum pv_duty_kind kind)
{
    json_t *list = json_array();
    const struct pvb_duty *rows = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    for (uint32_t i = 0; list && i < decision->n_duties; i++)
        if (rows[decision->duties[i]].kind == (uint32_t)kind)
            list = append(list, text_json(bundle, rows[decision->duties[i]].text));
    return list;
}

static json_t *obligations_json(const struct pv_decision *decision, const struct pv_bundle *bundle)
{
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "reason", decision->reason, "approval",
                     duties_json(decision, bundle, PV_D_APPROVAL), "timeout",
                     decision->has_timeout ? json_integer(decision->timeout) : json_null(), "account",
                     decision->account ? text_json(bundle, decision->account) : json_null(), "windows",
                     duties_json(decision, bundle, PV_D_WINDOW), "notices", duties_json(decision, bundle, PV_D_NOTICE),
                     "alerts", duties_json(decision, bundle, PV_D_ALERT));
}

static int fill(json_t *object, const struct pv_decision *decision, const struct pv_bundle *bundle)
{
    return json_object_set_new(object, "decision", json_string(pv_cli_effect_name(decision->effect))) ||
           json_object_set_new(object, "default", json_boolean(decision->is_default)) ||
           json_object_set_new(object, "rules", rules_json(decision, bundle)) ||
           json_object_set_new(object, "because", because_json(decision, bundle)) ||
           json_object_set_new(object, "obligations", obligations_json(decision, bundle));
}

/* ---- With the reasoning ---- */

struct output {
    json_t *operations;
    const struct pv_cli_policy *explain;
};

static int add_operation(void *context, const struct pv_request *operation, const struct pv_decision *decision)
{
    struct output *output = context;
    json_t *one = json_object();
    int failed = fill(one, decision, pv_request_bundle(operation));
    if (output->explain)
        failed = failed || json_object_set_new(one, "explanation",
                                               pv_cli_explanation(output->explain, operation, decision, false));
    return json_array_append_new(output->operations, one) || failed ? PV_E_NOMEM : 0;
}

json_t *pv_cli_decision_json(const struct pv_cli_request *request, const struct pv_cli_policy *explain,
                             enum pv_effect *effect)
{
    struct output output = {.operations = request->several ? json_array() : NULL, .explain = explain};
    struct pv_decision *joined;
    *effect = PV_DENY;
    if (pv_cli_decide(&joined, request, add_operation, &output) < 0) {
        json_decref(output.operations);
        return NULL;
    }
    json_t *object = pv_cli_object("decision");
    int failed = fill(object, joined, pv_request_bundle(request->operations[0]));
    if (request->several)
        failed = json_object_set_new(object, "operations", output.operations) || failed;
    else if (explain)
        failed = json_object_set_new(object, "explanation",
                                     pv_cli_explanation(explain, request->operations[0], joined, true)) ||
                 failed;
    *effect = joined->effect;
    pv_decision_free(joined);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
