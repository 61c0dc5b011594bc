/* Commands: what the agent can broker, and how it runs. The one rule to hold is that no value of a request can become
 * an option of the program that runs, nor more than one element of its arguments. */
#include "engine/sema.h"

#include <stdlib.h>
#include <string.h>

/* ---- Providers ---- */

struct provided {
    const char *name;
    bool packages, sources;
};

/* What the agent's apt provider can do, and what each command is about. */
static const struct provided apt_commands[] = {
    {"install", true, true},    {"upgrade", true, true}, {"download", true, true},  {"uninstall", true, false},
    {"info", true, false},      {"pin", true, false},    {"list", false, false},    {"search", false, false},
    {"outdated", false, false}, {"sync", false, false},  {"optimize", false, false}};

struct provider {
    const char *name;
    enum pv_order order;
    const struct provided *commands;
    size_t n_commands;
};

static const struct provider providers[] = {
    {"apt", PV_ORDER_DPKG, apt_commands, sizeof apt_commands / sizeof *apt_commands}};

static const struct provider *find_provider(const char *name)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (!strcmp(providers[i].name, name))
            return &providers[i];
    return NULL;
}

static void check_provider(struct pv_sema *sema, struct pv_command *command, const struct pv_ast_command_item *item)
{
    const struct provider *provider = find_provider(item->name.text.ptr);
    const char *name = command->named->text.ptr;
    if (!provider) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_UNKNOWN_PROVIDER, item->name.span,
                                         "unknown provider `%s`", item->name.text.ptr);
        pv_diag_hint(sema->diags, diag, "known: `apt`");
        return;
    }
    command->order = provider->order;
    struct pv_nearest near;
    pv_nearest_init(&near, name, command->named->text.len);
    for (size_t i = 0; i < provider->n_commands; i++) {
        const struct provided *provided = &provider->commands[i];
        if (strcmp(provided->name, name) != 0) {
            pv_nearest_offer(&near, provided->name, strlen(provided->name));
            continue;
        }
        if (provided->packages != command->packages || provided->sources != command->sources) {
            struct pv_diag *diag =
                pv_report(sema->diags, PV_DIAG_PROVIDER_COMMAND, command->named->span, "%s's `%s` takes %s and uses %s",
                          provider->name, name, provided->packages ? "packages" : "no packages",
                          provided->sources ? "sources" : "no sources");
            pv_diag_hint(sema->diags, diag, "write `command %s { provider %s; %s%s}`", name, provider->name,
                         provided->packages ? "packages; " : "", provided->sources ? "sources; " : "");
        }
        return;
    }
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_PROVIDER_COMMAND, command->named->span,
                                     "provider %s has no command `%s`", provider->name, name);
    if (near.best)
        pv_diag_hint(sema->diags, diag, "did you mean `%s`?", near.best);
    else
        pv_diag_hint(sema->diags, diag, "a command of your own has `run`");
}

/* ---- Arguments and options ---- */

/* The paths are made of the names as expressions write them: argument.unit, option.no-block. */
static struct pv_text parameter_path(struct pv_sema *sema, const struct pv_ast_command_item *item)
{
    const char *path = pv_arena_printf(
        sema->arena, "%s.%s", item->kind == PV_AST_COMMAND_ARGUMENT ? "argument" : "option", item->name.text.ptr);
    return pv_intern_z(sema->arena, path);
}

static bool check_type(struct pv_sema *sema, const struct pv_ast_command_item *item)
{
    if (item->type.type == PV_T_STRINGS) {
        pv_report(sema->diags, PV_DIAG_PARAMETER_FORM, item->type.span,
                  "a set cannot be a parameter: a value fills one element of the arguments");
        return false;
    }
    if (!pv_span_is_none(item->members_span) && item->type.type != PV_T_STRING) {
        pv_report(sema->diags, PV_DIAG_PARAMETER_FORM, item->members_span,
                  "only the values of a string can be limited to a set");
        return false;
    }
    return true;
}

static bool parameter_set(struct pv_sema *sema, struct pv_ast_command_item *item, struct pv_ir_set **set)
{
    *set = NULL;
    if (pv_span_is_none(item->members_span))
        return true;
    if (item->members) {
        *set = pv_sema_set(sema, item->members);
    } else {
        const struct pv_named *named =
            pv_sema_resolve(sema, PV_NAME_SET, item->members_name.text, item->members_name.span);
        if (named && !named->poisoned)
            *set = named->set;
    }
    if (*set)
        pv_sema_use_set(sema, *set);
    return *set;
}

/* One parameter. false: told. */
static bool lower_parameter(struct pv_sema *sema, struct pv_ast_command_item *item, struct pv_map *declared,
                            struct pv_ir_parameter *out)
{
    struct pv_text path = parameter_path(sema, item);
    struct pv_ast_command_item **first = (struct pv_ast_command_item **)pv_map_put(declared, sema->arena, path.ptr);
    if (*first) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_DUPLICATE_PARAMETER, item->name.span, "`%s` is declared twice", path.ptr);
        pv_diag_related(sema->diags, diag, (*first)->name.span, "declared here first");
        return false;
    }
    *first = item;

    struct pv_ir_set *set;
    bool good = check_type(sema, item);
    good = parameter_set(sema, item, &set) && good;
    bool flag = item->kind == PV_AST_COMMAND_OPTION && item->type.type == PV_T_NONE;
    unsigned flags = item->kind == PV_AST_COMMAND_ARGUMENT ? 0 : flag ? PV_ATTR_DEFAULT : PV_ATTR_OPT;
    *out = (struct pv_ir_parameter){.name = pv_ir_str(item->name.text),
                                    .kind = item->kind == PV_AST_COMMAND_ARGUMENT ? PVB_ARGUMENT
                                            : flag                                ? PVB_FLAG
                                                                                  : PVB_OPTION,
                                    .set = set};
    if (!good)
        return false;
    out->slot = pv_sema_parameter(sema, path, &item->type, flags, item->name.span);
    return out->slot != 0;
}

static int compare_slots(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static bool lower_parameters(struct pv_sema *sema, struct pv_command *command, struct pv_ir_command *out,
                             struct pv_map *declared)
{
    bool good = true;
    size_t capacity = 0;
    for (struct pv_ast_command_item *item = command->named->decl->command->first; item; item = item->next) {
        if (item->kind != PV_AST_COMMAND_ARGUMENT && item->kind != PV_AST_COMMAND_OPTION)
            continue;
        out->parameters = pv_arena_grow(sema->arena, out->parameters, out->n_parameters, &capacity,
                                        out->n_parameters + 1u, sizeof *out->parameters);
        if (lower_parameter(sema, item, declared, &out->parameters[out->n_parameters]))
            out->n_parameters++;
        else
            good = false;
    }
    command->slots = pv_arena_array(sema->arena, out->n_parameters, sizeof *command->slots);
    command->n_slots = out->n_parameters;
    for (uint32_t i = 0; i < out->n_parameters; i++)
        command->slots[i] = out->parameters[i].slot;
    qsort(command->slots, command->n_slots, sizeof *command->slots, compare_slots);
    return good;
}

/* ---- run ---- */

/* Whether some value that a set admits begins with `-`. */
static bool admits_dash(const struct pv_ir_set *set)
{
    for (uint32_t i = 0; i < set->n_members; i++)
        if (set->members[i].len && set->members[i].ptr[0] == '-')
            return true;
    for (uint32_t i = 0; i < set->n_globs; i++)
        if (!set->globs[i].n_tokens || set->globs[i].tokens[0] == '-' || set->globs[i].tokens[0] >= PVB_GLOB_ONE)
            return true;
    return false;
}

static bool can_begin_with_dash(const struct pv_sema *sema, uint16_t slot, const struct pv_ir_set *set)
{
    switch (sema->slots[slot].type) {
    case PV_T_BOOL:
    case PV_T_DATE:
    case PV_T_CLOCK:
    case PV_T_WEEKDAY: return false;
    default: return !set || admits_dash(set);
    }
}

static void tell_not_a_value(struct pv_sema *sema, const struct pv_ast_path *path, bool packages)
{
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEMPLATE_VALUE, path->span,
                                     "`%s` cannot be an element of `run`", path->text.ptr);
    pv_diag_hint(sema->diags, diag, "values are this command's `argument.NAME` and `option.NAME`%s",
                 packages ? ", and `package.name`" : "");
}

/* An element that is a value of the request. */
static bool lower_value(struct pv_sema *sema, const struct pv_command *command, const struct pv_ir_command *out,
                        const struct pv_ast_element *element, const struct pv_map *declared, bool after_dashes,
                        struct pv_ir_template *template)
{
    const struct pv_ast_path *path = element->path;
    const struct pv_ir_set *set = NULL;
    uint16_t slot;
    if (!strcmp(path->text.ptr, "package.name")) {
        if (!command->packages) {
            struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEMPLATE_VALUE, path->span,
                                             "command `%s` takes no packages", command->named->text.ptr);
            pv_diag_hint(sema->diags, diag, "add `packages;` to it");
            return false;
        }
        slot = PV_A_PACKAGE_NAME;
    } else {
        bool parameter = !strcmp(path->head.text.ptr, "argument") || !strcmp(path->head.text.ptr, "option");
        if (!parameter) {
            tell_not_a_value(sema, path, command->packages);
            return false;
        }
        if (!pv_map_get(declared, path->text.ptr)) {
            struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_TEMPLATE_VALUE, path->span,
                                             "this command declares no `%s`", path->text.ptr);
            pv_diag_hint(sema->diags, diag,
                         strcmp(path->head.text.ptr, "option") ? "add `argument %s: string;`" : "add `option --%s;`",
                         path->tail.text.ptr);
            return false;
        }
        slot = (uint16_t)((uintptr_t)pv_map_get(&sema->paths, path->text.ptr) - 1);
        for (uint32_t i = 0; i < out->n_parameters; i++) {
            if (out->parameters[i].slot != slot)
                continue;
            set = out->parameters[i].set;
            if (out->parameters[i].kind == PVB_ARGUMENT)
                break;
            *template = (struct pv_ir_template){.kind = PVB_T_OPTION, .literal.ptr = "", .slot = slot};
            return true;
        }
    }
    *template = (struct pv_ir_template){.kind = PVB_T_SLOT, .literal.ptr = "", .slot = slot};
    if (after_dashes || !can_begin_with_dash(sema, slot, set))
        return true;
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_OPTION_INJECTION, element->span,
                  "a value of `%s` that begins with `-` would be an option of the program", path->text.ptr);
    pv_diag_hint(sema->diags, diag, "write \"--\" before it, or limit its values with `in { ... }`");
    pv_diag_fix(sema->diags, diag, (struct pv_span){element->span.file, element->span.start, element->span.start},
                "\"--\" ");
    return false;
}

static void lower_run(struct pv_sema *sema, const struct pv_command *command, struct pv_ir_command *out,
                      const struct pv_ast_command_item *run, const struct pv_map *declared)
{
    const struct pv_ast_element *program = run->elements;
    if (program->path && sema->incomplete) /* a path without quotes: told already */
        return;
    if (program->path || program->text.ptr[0] != '/' || program->text.ptr[program->text.len - 1] == '/') {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_PROGRAM_PATH, program->span,
                                         "the program is written out, as an absolute path");
        if (!program->path && strchr(program->text.ptr, ' '))
            pv_diag_hint(sema->diags, diag, "no shell reads it: each word is a string of its own");
        else if (!program->path)
            pv_diag_hint(sema->diags, diag, "nothing is looked up: write for example \"/usr/bin/%s\"",
                         program->text.ptr);
        return;
    }
    bool after_dashes = false;
    size_t capacity = 0;
    for (const struct pv_ast_element *element = program; element; element = element->next) {
        out->templates = pv_arena_grow(sema->arena, out->templates, out->n_templates, &capacity, out->n_templates + 1u,
                                       sizeof *out->templates);
        struct pv_ir_template *template = &out->templates[out->n_templates];
        if (element->path) {
            if (lower_value(sema, command, out, element, declared, after_dashes, template))
                out->n_templates++;
            continue;
        }
        *template = (struct pv_ir_template){.kind = PVB_T_LITERAL, .literal = pv_ir_str(element->text)};
        out->n_templates++;
        after_dashes = after_dashes || !strcmp(element->text.ptr, "--");
    }
}

/* ---- Account, environment, timeout ---- */

bool pv_sema_account_name(struct pv_text name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-$";
    return name.len && name.len <= 255 && name.ptr[0] != '-' && strspn(name.ptr, allowed) == name.len;
}

static void lower_account(struct pv_sema *sema, struct pv_ir_command *out, const struct pv_ast_command_item *item)
{
    static const struct pv_ir_str requester = {"requester", 9};
    if (item->requester) {
        out->account = requester;
        return;
    }
    out->account = pv_ir_str(item->string.text);
    if (!strcmp(item->string.text.ptr, requester.ptr)) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_BAD_ACCOUNT, item->string.span, "an account cannot be called \"requester\"");
        pv_diag_hint(sema->diags, diag, "without quotes, `account requester` is the user who asks");
        pv_diag_fix(sema->diags, diag, item->string.span, "requester");
    } else if (!pv_sema_account_name(item->string.text)) {
        pv_report(sema->diags, PV_DIAG_BAD_ACCOUNT, item->string.span, "`%s` cannot be the name of an account",
                  item->string.text.ptr);
    }
}

static bool is_variable(struct pv_text name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    return name.len && (name.ptr[0] < '0' || name.ptr[0] > '9') && strspn(name.ptr, allowed) == name.len;
}

/* The agent tells the program who asked in these, and no policy may say otherwise. */
static bool is_the_agents(const char *name)
{
    return !strncmp(name, "PROVISO_", 8) || !strcmp(name, "PACKAGEKIT_CALLER_UID");
}

static void lower_environment(struct pv_sema *sema, struct pv_command *command, struct pv_ir_command *out)
{
    struct pv_map seen = {0};
    size_t capacity = 0;
    for (struct pv_ast_command_item *item = command->named->decl->command->first; item; item = item->next) {
        if (item->kind != PV_AST_COMMAND_ENVIRONMENT)
            continue;
        struct pv_text name = item->string.text;
        if (!is_variable(name)) {
            pv_report(sema->diags, PV_DIAG_BAD_ENVIRONMENT, item->string.span,
                      "`%s` cannot be the name of an environment variable", name.ptr);
            continue;
        }
        if (is_the_agents(name.ptr)) {
            pv_report(sema->diags, PV_DIAG_BAD_ENVIRONMENT, item->string.span,
                      "`%s` is set by the agent, to say who asked", name.ptr);
            continue;
        }
        struct pv_ast_command_item **first = (struct pv_ast_command_item **)pv_map_put(&seen, sema->arena, name.ptr);
        if (*first) {
            struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_BAD_ENVIRONMENT, item->string.span,
                                             "environment variable `%s` is set twice", name.ptr);
            pv_diag_related(sema->diags, diag, (*first)->string.span, "set here first");
            continue;
        }
        *first = item;
        out->env = pv_arena_grow(sema->arena, out->env, out->n_env, &capacity, out->n_env + 1u, sizeof *out->env);
        out->env[out->n_env++] = (struct pv_ir_env){pv_ir_str(name), pv_ir_str(item->value.text)};
    }
}

/* ---- Commands ---- */

bool pv_sema_never_brokered(struct pv_text name)
{
    return pv_never_brokered(name.ptr, name.len);
}

static void lower_how(struct pv_sema *sema, struct pv_command *command, struct pv_ir_command *out,
                      const struct pv_map *declared, bool parameters_good)
{
    const struct pv_ast_command *ast = command->named->decl->command;
    const struct pv_ast_command_item *run = ast->prop[PV_AST_COMMAND_RUN];
    const struct pv_ast_command_item *provider = ast->prop[PV_AST_COMMAND_PROVIDER];
    if (run && provider) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_COMMAND_FORM, provider->span,
                                         "command `%s` has both `run` and `provider`", command->named->text.ptr);
        pv_diag_related(sema->diags, diag, run->span, "`run` is here");
    } else if (!run && !provider) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_COMMAND_FORM, command->named->span,
                                         "command `%s` does not say what it runs", command->named->text.ptr);
        pv_diag_hint(sema->diags, diag, "add `run \"/path/to/program\";` or `provider apt;`");
    } else if (provider) {
        out->provider = pv_ir_str(provider->name.text);
        check_provider(sema, command, provider);
    } else if (parameters_good) {
        lower_run(sema, command, out, run, declared);
    }
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    const struct pv_ast_command *ast = named->decl->command;
    struct pv_command *command = PV_NEW(sema->arena, struct pv_command);
    struct pv_ir_command *out = &sema->ir->commands[sema->ir->n_commands];
    struct pv_map declared = {0};
    command->named = named;
    command->index = sema->ir->n_commands++;
    command->packages = ast->prop[PV_AST_COMMAND_PACKAGES];
    command->sources = ast->prop[PV_AST_COMMAND_SOURCES];
    command->order = PV_ORDER_DPKG; /* of a command without a provider, too: packages are the host's */
    named->command = command;
    sema->commands[sema->n_commands++] = command;
    *out = (struct pv_ir_command){.name = pv_ir_str(named->text),
                                  .provider.ptr = "",
                                  .account.ptr = "",
                                  .flags = (command->packages ? PVB_COMMAND_PACKAGES : 0u) |
                                           (command->sources ? PVB_COMMAND_SOURCES : 0u),
                                  .span = named->span};

    if (pv_sema_never_brokered(named->text)) {
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_NEVER_BROKERED, named->span,
                      "`%s` changes the package manager itself and is never brokered", named->text.ptr);
        pv_diag_hint(sema->diags, diag, "no policy can declare `config`, `feature`, `source` or `apikey`");
    }
    bool good = lower_parameters(sema, command, out, &declared);
    lower_how(sema, command, out, &declared, good);
    out->order = command->order;
    if (ast->prop[PV_AST_COMMAND_ACCOUNT])
        lower_account(sema, out, ast->prop[PV_AST_COMMAND_ACCOUNT]);
    lower_environment(sema, command, out);
    const struct pv_ast_command_item *timeout = ast->prop[PV_AST_COMMAND_TIMEOUT];
    if (timeout && timeout->seconds <= 0)
        pv_report(sema->diags, PV_DIAG_ZERO_TIMEOUT, timeout->value_span, "a timeout is longer than nothing");
    out->timeout = timeout ? timeout->seconds : 0;
}

static struct pv_command *command_named(const struct pv_sema *sema, const char *name)
{
    const struct pv_named *named = pv_sema_find(sema, PV_NAME_COMMAND, pv_intern_z(sema->arena, name));
    return named ? named->command : NULL;
}

/* Commands by what they have: how many, which, and how many have each parameter. */
static void count_variants(struct pv_sema *sema)
{
    struct pv_text *names = pv_arena_array(sema->arena, sema->n_commands, sizeof *names);
    for (unsigned variant = 0; variant < 4; variant++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < sema->n_commands; i++) {
            const struct pv_command *command = sema->commands[i];
            unsigned has = (command->packages ? PV_REACH_PACKAGES : 0u) | (command->sources ? PV_REACH_SOURCES : 0u);
            if ((has & variant) != variant)
                continue;
            names[n++] = command->named->text;
            for (uint32_t k = 0; k < command->n_slots; k++)
                sema->slots[command->slots[k]].n_commands[variant]++;
        }
        sema->n_variant[variant] = n;
        sema->any_command[variant] =
            n ? pv_ir_in_set(sema, PV_IR_IN, PV_A_COMMAND, pv_sema_set_of(sema, names, n), PV_NO_SPAN)
              : pv_ir_truth(sema, false, PV_NO_SPAN);
    }
}

void pv_sema_commands(struct pv_sema *sema)
{
    size_t n = sema->n_named[PV_NAME_COMMAND];
    sema->ir->commands = pv_arena_array(sema->arena, n, sizeof *sema->ir->commands);
    sema->commands = pv_arena_array(sema->arena, n, sizeof(struct pv_command *));
    for (size_t i = 0; i < n; i++)
        lower(sema, sema->named[PV_NAME_COMMAND][i]);
    count_variants(sema);
    sema->command_order = PV_ORDER_DPKG; /* that of every provider there is */
    sema->install = command_named(sema, "install");
    sema->upgrade = command_named(sema, "upgrade");
    sema->uninstall = command_named(sema, "uninstall");

    sema->required_words = (sema->n_slots + 63) / 64;
    sema->required = pv_arena_array(sema->arena, n, sema->required_words * sizeof *sema->required);
    for (unsigned variant = 0; variant < 4; variant++)
        sema->required_any[variant] = pv_arena_array(sema->arena, sema->required_words, sizeof *sema->required);
}

/* ---- What a rule's commands have, and must have ---- */

static bool has_parameter(const struct pv_command *command, uint16_t slot)
{
    return command->n_slots && bsearch(&slot, command->slots, command->n_slots, sizeof *command->slots, compare_slots);
}

uint32_t pv_sema_reach_having(const struct pv_sema *sema, const struct pv_reach *reach, uint16_t slot)
{
    const struct pv_slot_info *info = &sema->slots[slot];
    switch (info->scope) {
    case PV_SCOPE_ANY: return reach->n;
    case PV_SCOPE_PACKAGE: return reach->n_packages;
    case PV_SCOPE_SOURCE: return reach->n_sources;
    case PV_SCOPE_PARAMETER: break;
    }
    if (reach->any)
        return info->n_commands[reach->variant];
    uint32_t n = 0;
    for (uint32_t i = 0; i < reach->n; i++)
        n += has_parameter(reach->list[i], slot);
    return n;
}

static void set_bits(uint64_t *row, const struct pv_slots *slots)
{
    for (uint32_t i = 0; i < slots->n; i++)
        row[slots->slot[i] / 64] |= UINT64_C(1) << (slots->slot[i] % 64);
}

void pv_sema_require_slots(struct pv_sema *sema, const struct pv_reach *reach, const struct pv_slots *slots)
{
    if (!slots->n)
        return;
    if (reach->any) {
        set_bits(sema->required_any[reach->variant], slots);
        return;
    }
    for (uint32_t i = 0; i < reach->n; i++)
        set_bits(sema->required + reach->list[i]->index * sema->required_words, slots);
}

static bool applies(const struct pv_sema *sema, const struct pv_command *command, uint16_t slot)
{
    switch (sema->slots[slot].scope) {
    case PV_SCOPE_ANY: return true;
    case PV_SCOPE_PACKAGE: return command->packages;
    case PV_SCOPE_SOURCE: return command->sources;
    case PV_SCOPE_PARAMETER: return has_parameter(command, slot);
    }
    return false;
}

void pv_sema_emit_required(struct pv_sema *sema)
{
    for (uint32_t i = 0; i < sema->n_commands; i++) {
        const struct pv_command *command = sema->commands[i];
        struct pv_ir_command *out = &sema->ir->commands[command->index];
        uint64_t *row = sema->required + command->index * sema->required_words;
        unsigned has = (command->packages ? PV_REACH_PACKAGES : 0u) | (command->sources ? PV_REACH_SOURCES : 0u);
        for (unsigned variant = 0; variant < 4; variant++)
            for (size_t w = 0; w < sema->required_words && (has & variant) == variant; w++)
                row[w] |= sema->required_any[variant][w];

        const uint16_t always[] = {PV_A_USER_NAME, PV_A_COMMAND, PV_A_PACKAGE_NAME, PV_A_SOURCE_NAME};
        for (size_t k = 0; k < sizeof always / sizeof *always; k++)
            row[always[k] / 64] |= UINT64_C(1) << (always[k] % 64);
        for (uint32_t k = 0; k < command->n_slots; k++)
            row[command->slots[k] / 64] |= UINT64_C(1) << (command->slots[k] % 64);

        size_t capacity = 0;
        for (size_t slot = 0; slot < sema->n_slots; slot++) {
            if (!row[slot / 64]) {
                slot |= 63;
                continue;
            }
            if (!(row[slot / 64] >> (slot % 64) & 1) || sema->slots[slot].flags & (PV_ATTR_OPT | PV_ATTR_DEFAULT) ||
                !applies(sema, command, (uint16_t)slot))
                continue;
            out->required = pv_arena_grow(sema->arena, out->required, out->n_required, &capacity, out->n_required + 1u,
                                          sizeof *out->required);
            out->required[out->n_required++] = (uint16_t)slot;
        }
    }
}
