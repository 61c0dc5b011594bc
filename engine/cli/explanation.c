/* Why a request is decided as it is, as one JSON value (`proviso/explanation/1`) that `eval --explain` hands out and
 * `explain` and failing tests show as text (explanation_text.c): the rules that decided, of the nearest others the
 * clauses with the values that they saw, and for a denial the smallest changes that would allow it (changes.c).
 *
 * A policy read from its text has its conditions as they are written, so a clause that fails is told down to the atomic
 * conditions that made it fail; a bundle has clauses and what they read. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"
#include "engine/ir_eval.h"
#include "engine/written.h"

#define NEAREST     8  /* rules shown beside those that decided */
#define MAX_READS   8  /* values of one clause */
#define MAX_REASONS 16 /* atomic conditions of one clause */

/* Arrays are built whole or not at all: an explanation with a rule missing would be a lie. */
static json_t *append(json_t *array, json_t *value)
{
    if (array && json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *text_json(const struct pv_bundle *bundle, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(bundle, string, &len);
    return pv_cli_json_text(text, len);
}

json_t *pv_cli_source_text(const struct pv_cli_policy *policy, struct pv_span span)
{
    uint32_t len;
    const char *text = pv_sources_slice(&policy->made.program->sources, span, &len);
    char *flat = malloc((size_t)len + 1);
    size_t n = 0;
    bool quoted = false;
    for (uint32_t i = 0; flat && i < len; i++) {
        bool blank = text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r';
        if (!quoted && text[i] == '#') {
            while (i + 1 < len && text[i + 1] != '\n')
                i++;
        } else if (!quoted && blank) {
            if (n && flat[n - 1] != ' ')
                flat[n++] = ' ';
        } else {
            if (quoted && text[i] == '\\' && i + 1 < len)
                flat[n++] = text[i++];
            else if (text[i] == '"')
                quoted = !quoted;
            flat[n++] = text[i];
        }
    }
    json_t *value = flat ? pv_cli_json_text(flat, n) : NULL;
    free(flat);
    return value;
}

/* ---- Clauses ---- */

/* The atomic conditions that make a clause what it is, and what named conditions among them are made of. */
struct reasons {
    const struct pv_cli_policy *policy;
    const struct pv_request *request;
    const struct pv_ast_decl *conditions[MAX_REASONS]; /* to look into, each once */
    uint32_t n_conditions, next;
    const struct pv_ast_decl *within;
    json_t *rows;
};

static void add_reason(void *context, const struct pv_ast_expr *atom, enum pv_truth truth)
{
    struct reasons *reasons = context;
    uint16_t slots[MAX_READS];
    if (json_array_size(reasons->rows) >= MAX_REASONS)
        return;
    bool seen = !atom->stands;
    for (uint32_t i = 0; i < reasons->n_conditions && !seen; i++)
        seen = reasons->conditions[i] == atom->stands;
    if (!seen && reasons->n_conditions < MAX_REASONS)
        reasons->conditions[reasons->n_conditions++] = atom->stands;
    struct pv_place place =
        pv_sources_place(&reasons->policy->made.program->sources, atom->span.file, atom->span.start);
    uint32_t n = atom->stands ? 0 : pv_ir_reads(atom->ir, slots, MAX_READS);
    const struct pv_ast_decl *within = reasons->within;
    json_t *row = json_pack("{s:o, s:s, s:o, s:o, s:I, s:o}", "text", pv_cli_source_text(reasons->policy, atom->span),
                            "holds", pv_cli_truth_name(truth), "condition",
                            within ? pv_cli_json_text(within->name.text.ptr, within->name.text.len) : json_null(),
                            "file", pv_cli_json_text(place.path, strlen(place.path)), "line", (json_int_t)place.line,
                            "values", pv_cli_values_json(reasons->request, slots, n));
    reasons->rows = append(reasons->rows, row);
}

static json_t *reasons_json(const struct pv_cli_policy *policy, const struct pv_request *request,
                            const struct pv_ast_expr *written)
{
    struct reasons reasons = {.policy = policy, .request = request, .rows = json_array()};
    pv_written_reasons(written, request, add_reason, &reasons);
    while (reasons.rows && reasons.next < reasons.n_conditions) {
        reasons.within = reasons.conditions[reasons.next++];
        pv_written_reasons(reasons.within->condition->expr, request, add_reason, &reasons);
    }
    return reasons.rows;
}

/* The condition behind a bundle's clause, where the policy was read from its text. */
static const struct pv_ast_expr *written_of(const struct pv_cli_policy *policy, uint32_t rule, uint32_t clause)
{
    if (!policy->made.ir || rule >= policy->made.ir->n_rules || clause >= policy->made.ir->rules[rule].n_clauses)
        return NULL;
    return policy->made.ir->rules[rule].clauses[clause].written;
}

static json_t *clause_json(const struct pv_cli_policy *policy, const struct pv_request *request, uint32_t clause,
                           const struct pv_ast_expr *written)
{
    static const char *const kinds[] = {
        [PV_C_SUBJECT] = "subject", [PV_C_COMMANDS] = "commands", [PV_C_OBJECT] = "object", [PV_C_SOURCES] = "sources",
        [PV_C_WHEN] = "when",       [PV_C_UNLESS] = "unless",     [PV_C_DURING] = "during", [PV_C_UNTIL] = "until",
        [PV_C_BUILTIN] = "builtin", [PV_C_DUTY] = "duty"};
    const struct pvb_clause *row =
        (const struct pvb_clause *)pv_bundle_section(policy->bundle, PVB_CLAUSES, NULL) + clause;
    uint16_t slots[MAX_READS];
    uint32_t n = pv_cli_clause_reads(policy->bundle, clause, slots, MAX_READS);
    json_t *object =
        json_pack("{s:s, s:o, s:s, s:o}", "kind", row->kind <= PV_C_DUTY ? kinds[row->kind] : "?", "text",
                  text_json(policy->bundle, row->text), "holds", pv_cli_truth_name(pv_clause_truth(request, clause)),
                  "values", pv_cli_values_json(request, slots, n));
    if (!object || !written || json_object_set_new(object, "reasons", reasons_json(policy, request, written)) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* ---- Rules ---- */

static json_t *rule_json(const struct pv_cli_policy *policy, const struct pv_request *request, uint32_t rule)
{
    const struct pv_bundle *bundle = policy->bundle;
    const struct pvb_rule *row = (const struct pvb_rule *)pv_bundle_section(bundle, PVB_RULES, NULL) + rule;
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    json_t *object = pv_cli_rule_json(bundle, rule), *clauses = json_array(), *because = json_array();
    for (uint32_t c = 0; clauses && c < row->n_clauses; c++)
        clauses = append(clauses, clause_json(policy, request, row->first_clause + c, written_of(policy, rule, c)));
    for (uint32_t t = 0; because && t < row->n_because; t++)
        because = append(because, text_json(bundle, texts[row->first_because + t]));
    int failed = json_object_set_new(object, "matches", json_string(pv_cli_truth_name(pv_rule_truth(request, rule))));
    failed = json_object_set_new(object, "clauses", clauses) || failed;
    failed = json_object_set_new(object, "because", because) || failed;
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *nearest_json(const struct pv_cli_policy *policy, const struct pv_request *request)
{
    uint32_t nearest[NEAREST];
    size_t n = pv_cli_nearest_rules(request, nearest, NEAREST);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        list = append(list, rule_json(policy, request, nearest[i]));
    return list;
}

static json_t *matching_json(const struct pv_cli_policy *policy, const struct pv_request *request,
                             const struct pv_decision *decision)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < decision->n_rules; i++)
        list = append(list, rule_json(policy, request, decision->rules[i]));
    return list;
}

json_t *pv_cli_explanation(const struct pv_cli_policy *policy, const struct pv_request *request,
                           const struct pv_decision *decision, bool direct_too)
{
    json_t *object = pv_cli_object("explanation");
    int failed = json_object_set_new(object, "matching", matching_json(policy, request, decision));
    failed = json_object_set_new(object, "nearest", nearest_json(policy, request)) || failed;
    if (decision->effect == PV_DENY)
        failed = json_object_set_new(object, "changes", pv_cli_changes(request, decision, direct_too)) || failed;
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
