/* `proviso inspect`: what a bundle holds. One description, as JSON; the texts are made from the same rows. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_CODE = 0x200, OPTION_RULES, OPTION_JSON };
enum view { SUMMARY, CODE, RULES, JSON };

struct arguments {
    struct pv_cli_policy_options policy_options;
    char *bundle;
    enum view view;
};

static const struct argp_option option_rows[] = {
    {"code", OPTION_CODE, NULL, 0, "Disassemble both programs", 0},
    {"rules", OPTION_RULES, NULL, 0, "List the rules", 0},
    {"json", OPTION_JSON, NULL, 0, "Print everything but code in JSON", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->policy_options; return 0;
    case OPTION_CODE:
    case OPTION_RULES:
    case OPTION_JSON:
        if (arguments->view != SUMMARY)
            argp_error(state, "give one of --code, --rules and --json");
        arguments->view = key == OPTION_CODE ? CODE : key == OPTION_RULES ? RULES : JSON;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "`%s' is one argument too many", argument);
        arguments->bundle = argument;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no bundle is given"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void put_string(const struct pv_bundle *bundle, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(bundle, string, &len);
    pv_cli_put(stdout, text, len);
}

static json_t *string_json(const struct pv_bundle *bundle, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(bundle, string, &len);
    return pv_cli_json_text(text, len);
}

static json_t *optional_json(const struct pv_bundle *bundle, uint32_t string)
{
    return string ? string_json(bundle, string) : json_null();
}

static const char *duty_name(uint32_t kind)
{
    static const char *const names[] = {
        [PV_D_REASON] = "reason", [PV_D_APPROVAL] = "approval", [PV_D_TIMEOUT] = "timeout", [PV_D_ACCOUNT] = "account",
        [PV_D_WINDOW] = "window", [PV_D_NOTICE] = "notice",     [PV_D_ALERT] = "alert"};
    return kind <= PV_D_ALERT ? names[kind] : "?";
}

static void hash_text(const struct pv_bundle *bundle, char hex[65])
{
    const uint8_t *hash = pv_bundle_content_hash(bundle);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

/* ---- Summary ---- */

static void put_sources(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_source *rows = pv_bundle_section(bundle, PVB_SOURCES, &n);
    printf("sources: %zu\n", n);
    for (size_t i = 0; i < n; i++) {
        printf("  ");
        put_string(bundle, rows[i].name);
        printf(" (");
        put_string(bundle, rows[i].type);
        printf(", priority %d%s%s%s%s): ", rows[i].priority,
               rows[i].flags & PVB_SOURCE_SELF_SERVICE ? ", self_service" : "",
               rows[i].flags & PVB_SOURCE_ADMIN_ONLY ? ", admin_only" : "",
               rows[i].flags & PVB_SOURCE_DISABLED ? ", disabled" : "",
               rows[i].flags & PVB_SOURCE_UNSIGNED ? ", unsigned" : "");
        put_string(bundle, rows[i].location);
        putchar('\n');
    }
}

static void put_commands(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_command *rows = pv_bundle_section(bundle, PVB_COMMANDS, &n);
    printf("commands: %zu\n", n);
    for (size_t i = 0; i < n; i++) {
        printf("  ");
        put_string(bundle, rows[i].name);
        if (rows[i].provider) {
            printf(" (provider ");
            put_string(bundle, rows[i].provider);
            putchar(')');
        }
        if (rows[i].flags & PVB_COMMAND_PACKAGES)
            printf(" packages");
        if (rows[i].flags & PVB_COMMAND_SOURCES)
            printf(" sources");
        putchar('\n');
    }
}

static void put_summary(const struct pv_cli_policy *policy)
{
    const struct pv_bundle *bundle = policy->bundle;
    const char *title = pv_bundle_title(bundle), *zone = pv_bundle_zone(bundle);
    size_t n, by_kind[5] = {0};
    char hex[65];
    hash_text(bundle, hex);
    pv_cli_put(stdout, pv_bundle_name(bundle), strlen(pv_bundle_name(bundle)));
    if (*title) {
        printf(" \"");
        pv_cli_put(stdout, title, strlen(title));
        putchar('"');
    }
    printf(" version %" PRIu64 "%s\n", pv_bundle_version(bundle), pv_bundle_is_library(bundle) ? " (a library)" : "");
    printf("size: %zu bytes, format %u, language %u\n", policy->len, PVB_FORMAT, PVB_LANGUAGE);
    printf("content: sha256 %s\n", hex);
    if (policy->made.program)
        printf("signature: none, compiled from text just now\n");
    else if (!policy->has_signature)
        printf("signature: NONE, agents refuse it\n");
    else if (!policy->verified)
        printf("signature: NOT CHECKED (give --pubkey FILE)\n");
    else {
        printf("signature: good, \"");
        pv_cli_put(stdout, policy->comment, strlen(policy->comment));
        printf("\"\n");
    }
    printf("zone: %s\n", *zone ? zone : "the host's");
    printf("bound: %" PRIu64 " steps a decision, %" PRIu64 " to evaluate every clause\n", pv_bundle_bound(bundle),
           pv_bundle_clause_bound(bundle));
    printf("memory: %zu bytes beside the file\n", pv_bundle_memory(bundle));
    put_sources(bundle);
    put_commands(bundle);
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, &n);
    for (size_t r = 0; r < n; r++)
        by_kind[rules[r].kind]++;
    printf("rules: %zu (%zu built-in, %zu direct, %zu deny, %zu allow, %zu require)\n", n,
           by_kind[PV_RULE_BUILTIN_DENY], by_kind[PV_RULE_DIRECT], by_kind[PV_RULE_DENY], by_kind[PV_RULE_ALLOW],
           by_kind[PV_RULE_REQUIRE]);
}

/* ---- Rules ---- */

static void put_duty(const struct pv_bundle *bundle, const struct pvb_duty *duty)
{
    printf("    requires %s", duty_name(duty->kind));
    if (duty->kind == PV_D_TIMEOUT)
        printf(" %" PRId64 "s", duty->seconds);
    if (duty->text) {
        putchar(' ');
        put_string(bundle, duty->text);
    }
    putchar('\n');
}

static void put_rules(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, &n);
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    const struct pvb_duty *duties = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    const struct pvb_annotation *annotations = pv_bundle_section(bundle, PVB_ANNOTATIONS, NULL);
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    for (uint32_t r = 0; r < n; r++) {
        const struct pvb_rule *rule = &rules[r];
        char buffer[4200];
        uint32_t line;
        size_t len;
        const char *id = pv_rule_id(bundle, r, buffer, sizeof(buffer)), *file = pv_rule_file(bundle, r, &line, &len);
        printf("%s ", pv_cli_rule_effect(rule));
        pv_cli_put(stdout, id, strlen(id));
        if (rule->id && line) {
            printf(" (");
            pv_cli_put(stdout, file, len);
            printf(":%u)", line);
        }
        putchar('\n');
        for (uint32_t i = 0; i < rule->n_annotations; i++) {
            printf("    @");
            put_string(bundle, annotations[rule->first_annotation + i].name);
            putchar(' ');
            put_string(bundle, annotations[rule->first_annotation + i].value);
            putchar('\n');
        }
        for (uint32_t i = 0; i < rule->n_clauses; i++) {
            printf("    ");
            put_string(bundle, clauses[rule->first_clause + i].text);
            putchar('\n');
        }
        for (uint32_t i = 0; i < rule->n_duties; i++)
            put_duty(bundle, &duties[rule->first_duty + i]);
        for (uint32_t i = 0; i < rule->n_because; i++) {
            printf("    because ");
            put_string(bundle, texts[rule->first_because + i]);
            putchar('\n');
        }
    }
}

/* ---- Code ---- */

static void put_insn(const struct pv_bundle *bundle, int program, uint32_t index, const char *mark)
{
    char small[512], *text = small;
    int n = pv_insn_text(bundle, program, index, small, sizeof(small));
    if (n >= (int)sizeof(small)) {
        text = malloc((size_t)n + 1);
        if (text)
            pv_insn_text(bundle, program, index, text, (size_t)n + 1);
        else
            text = small;
    }
    printf("%s%6u  ", mark, index);
    pv_cli_put(stdout, text, strlen(text));
    putchar('\n');
    if (text != small)
        free(text);
}

/* `>` marks instructions that a jump other than the fall from the one before leads to. */
static int put_decide(const struct pv_cli_policy *policy)
{
    size_t n;
    const struct pv_bundle *bundle = policy->bundle;
    const struct pvb_insn *code = pv_bundle_section(bundle, PVB_DECIDE, &n);
    const struct pvb_header *header = policy->bytes ? policy->bytes : (const void *)policy->made.bundle;
    bool *target = calloc(n + 1, sizeof(*target));
    if (!target)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (code[i].op == PVB_OP_RETURN)
            continue;
        target[code[i].jt] = target[code[i].jt] || code[i].jt != i + 1;
        target[code[i].jf] = target[code[i].jf] || code[i].jf != i + 1;
    }
    printf("decide:\n");
    for (uint32_t i = 0; i < n; i++) {
        if (i == header->decide_plan_entry)
            printf("plan:\n");
        put_insn(bundle, PVB_DECIDE, i, target[i] ? ">" : " ");
    }
    free(target);
    return 0;
}

static void put_clause_code(const struct pv_bundle *bundle, uint32_t clause)
{
    const struct pvb_clause *row = (const struct pvb_clause *)pv_bundle_section(bundle, PVB_CLAUSES, NULL) + clause;
    printf("clause %u: ", clause);
    put_string(bundle, row->text);
    putchar('\n');
    for (uint32_t i = 0; i < row->n_insns; i++)
        put_insn(bundle, PVB_CLAUSE_CODE, row->first_insn + i, " ");
}

static int put_code(const struct pv_cli_policy *policy)
{
    size_t n;
    const struct pv_bundle *bundle = policy->bundle;
    if (put_decide(policy) < 0)
        return -1;
    const struct pvb_rule *rules = pv_bundle_section(bundle, PVB_RULES, &n);
    const struct pvb_duty *duties = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    for (uint32_t r = 0; r < n; r++) {
        char buffer[4200];
        const char *id = pv_rule_id(bundle, r, buffer, sizeof(buffer));
        printf("\n%s ", pv_cli_rule_effect(&rules[r]));
        pv_cli_put(stdout, id, strlen(id));
        printf(":\n");
        for (uint32_t i = 0; i < rules[r].n_clauses; i++)
            put_clause_code(bundle, rules[r].first_clause + i);
        for (uint32_t i = 0; i < rules[r].n_duties; i++)
            if (duties[rules[r].first_duty + i].clause != PVB_NONE)
                put_clause_code(bundle, duties[rules[r].first_duty + i].clause);
    }
    return 0;
}

/* ---- JSON ---- */

static json_t *append(json_t *array, json_t *value)
{
    if (array && json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *sources_json(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_source *rows = pv_bundle_section(bundle, PVB_SOURCES, &n);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        list = append(list,
                      json_pack("{s:o, s:o, s:o, s:i, s:b, s:b, s:b, s:b, s:o, s:o}", "name",
                                string_json(bundle, rows[i].name), "type", string_json(bundle, rows[i].type),
                                "location", string_json(bundle, rows[i].location), "priority", rows[i].priority,
                                "self_service", rows[i].flags & PVB_SOURCE_SELF_SERVICE, "admin_only",
                                rows[i].flags & PVB_SOURCE_ADMIN_ONLY, "disabled", rows[i].flags & PVB_SOURCE_DISABLED,
                                "unsigned", rows[i].flags & PVB_SOURCE_UNSIGNED, "credentials",
                                optional_json(bundle, rows[i].credentials), "key", optional_json(bundle, rows[i].key)));
    return list;
}

static json_t *parameters_json(const struct pv_bundle *bundle, const struct pvb_command *command)
{
    static const char *const kinds[] = {[PVB_ARGUMENT] = "argument", [PVB_OPTION] = "option", [PVB_FLAG] = "flag"};
    const struct pvb_parameter *rows = pv_bundle_section(bundle, PVB_PARAMETERS, NULL);
    const struct pvb_attr *attrs = pv_bundle_section(bundle, PVB_ATTRS, NULL);
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < command->n_parameters; i++) {
        const struct pvb_parameter *row = &rows[command->first_parameter + i];
        list =
            append(list, json_pack("{s:s, s:o, s:s}", "kind", kinds[row->kind], "name", string_json(bundle, row->name),
                                   "type", pv_type_name((enum pv_type)attrs[row->slot].type)));
    }
    return list;
}

static json_t *required_json(const struct pv_bundle *bundle, const struct pvb_command *command)
{
    const uint16_t *rows = pv_bundle_section(bundle, PVB_REQUIRED, NULL);
    const struct pvb_attr *attrs = pv_bundle_section(bundle, PVB_ATTRS, NULL);
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < command->n_required; i++)
        list = append(list, string_json(bundle, attrs[rows[command->first_required + i]].path));
    return list;
}

static json_t *commands_json(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_command *rows = pv_bundle_section(bundle, PVB_COMMANDS, &n);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        list = append(list,
                      json_pack("{s:o, s:o, s:b, s:b, s:o, s:I, s:o, s:o}", "name", string_json(bundle, rows[i].name),
                                "provider", optional_json(bundle, rows[i].provider), "packages",
                                rows[i].flags & PVB_COMMAND_PACKAGES, "sources", rows[i].flags & PVB_COMMAND_SOURCES,
                                "account", optional_json(bundle, rows[i].account), "timeout",
                                (json_int_t)rows[i].timeout, "parameters", parameters_json(bundle, &rows[i]),
                                "required", required_json(bundle, &rows[i])));
    return list;
}

static json_t *sets_json(const struct pv_bundle *bundle)
{
    size_t n;
    const struct pvb_set *rows = pv_bundle_section(bundle, PVB_SETS, &n);
    const uint32_t *members = pv_bundle_section(bundle, PVB_SET_MEMBERS, NULL);
    const uint32_t *set_globs = pv_bundle_section(bundle, PVB_SET_GLOBS, NULL);
    const struct pvb_glob *globs = pv_bundle_section(bundle, PVB_GLOBS, NULL);
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        json_t *names = json_array(), *patterns = json_array();
        for (uint32_t m = 0; names && m < rows[i].n_members; m++)
            names = append(names, string_json(bundle, members[rows[i].first_member + m]));
        for (uint32_t g = 0; patterns && g < rows[i].n_globs; g++)
            patterns = append(patterns, string_json(bundle, globs[set_globs[rows[i].first_glob + g]].text));
        list = append(list, json_pack("{s:o, s:o, s:o, s:o}", "name", optional_json(bundle, rows[i].name), "members",
                                      names, "patterns", patterns, "except",
                                      rows[i].except == PVB_NONE ? json_null() : json_integer(rows[i].except)));
    }
    return list;
}

static json_t *duties_json(const struct pv_bundle *bundle, const struct pvb_rule *rule)
{
    const struct pvb_duty *rows = pv_bundle_section(bundle, PVB_DUTIES, NULL);
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < rule->n_duties; i++) {
        const struct pvb_duty *row = &rows[rule->first_duty + i];
        list = append(list, json_pack("{s:s, s:o, s:o}", "kind", duty_name(row->kind), "text",
                                      optional_json(bundle, row->text), "seconds",
                                      row->kind == PV_D_TIMEOUT ? json_integer(row->seconds) : json_null()));
    }
    return list;
}

static json_t *rule_json(const struct pv_bundle *bundle, uint32_t index)
{
    const struct pvb_rule *rule = (const struct pvb_rule *)pv_bundle_section(bundle, PVB_RULES, NULL) + index;
    const struct pvb_clause *clauses = pv_bundle_section(bundle, PVB_CLAUSES, NULL);
    const struct pvb_annotation *annotations = pv_bundle_section(bundle, PVB_ANNOTATIONS, NULL);
    const uint32_t *texts = pv_bundle_section(bundle, PVB_TEXTS, NULL);
    json_t *object = pv_cli_rule_json(bundle, index), *list = json_array(), *because = json_array(),
           *notes = json_object();
    for (uint32_t i = 0; list && i < rule->n_clauses; i++)
        list = append(list, string_json(bundle, clauses[rule->first_clause + i].text));
    for (uint32_t i = 0; because && i < rule->n_because; i++)
        because = append(because, string_json(bundle, texts[rule->first_because + i]));
    int failed = 0;
    for (uint32_t i = 0; i < rule->n_annotations; i++)
        failed = failed || json_object_set_new(
                               notes, pv_bundle_string(bundle, annotations[rule->first_annotation + i].name, NULL),
                               string_json(bundle, annotations[rule->first_annotation + i].value));
    failed = json_object_set_new(object, "clauses", list) || failed;
    failed = json_object_set_new(object, "because", because) || failed;
    failed = json_object_set_new(object, "annotations", notes) || failed;
    failed = json_object_set_new(object, "duties", duties_json(bundle, rule)) || failed;
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *everything_json(const struct pv_cli_policy *policy)
{
    const struct pv_bundle *bundle = policy->bundle;
    size_t n;
    char hex[65];
    hash_text(bundle, hex);
    pv_bundle_section(bundle, PVB_RULES, &n);
    json_t *rules = json_array(), *object = pv_cli_object("bundle");
    for (uint32_t r = 0; rules && r < n; r++)
        rules = append(rules, rule_json(bundle, r));
    json_t *rest = json_pack(
        "{s:s, s:s, s:I, s:s, s:b, s:I, s:s, s:b, s:b, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "name",
        pv_bundle_name(bundle), "title", pv_bundle_title(bundle), "version", (json_int_t)pv_bundle_version(bundle),
        "zone", pv_bundle_zone(bundle), "library", pv_bundle_is_library(bundle), "size", (json_int_t)policy->len,
        "content_sha256", hex, "signed", policy->has_signature, "verified", policy->verified, "comment",
        policy->verified ? pv_cli_json_text(policy->comment, strlen(policy->comment)) : json_null(), "bound",
        (json_int_t)pv_bundle_bound(bundle), "clause_bound", (json_int_t)pv_bundle_clause_bound(bundle), "sources",
        sources_json(bundle), "commands", commands_json(bundle), "sets", sets_json(bundle), "rules", rules);
    bool failed = !object || !rest || json_object_update(object, rest) != 0;
    json_decref(rest);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static int inspect(const struct pv_cli_policy *policy, enum view view)
{
    if (view != JSON && !policy->made.program && !policy->verified)
        fprintf(stderr, "proviso: the bundle %s\n",
                policy->has_signature ? "has a signature that is not checked" : "is not signed");
    switch (view) {
    case SUMMARY: put_summary(policy); return PV_CLI_GOOD;
    case RULES: put_rules(policy->bundle); return PV_CLI_GOOD;
    case CODE: return put_code(policy) < 0 ? pv_cli_error("out of memory") : PV_CLI_GOOD;
    case JSON: return pv_cli_print_json(stdout, everything_json(policy)) ? PV_CLI_GOOD : PV_CLI_ERROR;
    }
    return PV_CLI_ERROR;
}

int pv_cli_inspect(int argc, char **argv)
{
    static const struct argp_child children[] = {{&pv_cli_policy_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_rows,
        parse_option,
        "BUNDLE",
        "Show what a bundle holds, and what its verifier proved: a summary, the rules, or the "
        "code. Without --pubkey the signature is not checked, and the output says so.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_policy policy;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_policy_open(&policy, arguments.bundle, &arguments.policy_options, true) == 0) {
        code = pv_cli_finish(inspect(&policy, arguments.view));
        pv_cli_policy_close(&policy);
    }
    pv_cli_policy_options_free(&arguments.policy_options);
    return code;
}
