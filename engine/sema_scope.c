/* What a rule is about, as clauses that must all hold. The order is the language's: subject, commands, object, sources,
 * then what is written behind them; each with the text that decisions and traces show.
 *
 * Silence is the strict reading: an `allow` without `from` reaches self-service sources, everything else all sources.
 */
#include "engine/sema.h"

#include <string.h>

/* ---- Commands ---- */

static void tell_never_brokered(struct pv_sema *sema, const struct pv_ast_name *name)
{
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_NEVER_BROKERED, name->span,
                                     "`%s` changes the package manager itself and is never brokered", name->text.ptr);
    pv_diag_hint(sema->diags, diag, "it is denied as builtin:never-brokered, whatever a policy says: leave it out");
}

static bool has_object(const struct pv_ast_scope *scope)
{
    return scope->object || scope->except;
}

/* Adds a command once. */
static void add_command(struct pv_sema *sema, struct pv_reach *reach, struct pv_command *command, size_t *capacity)
{
    if (command->stamp == sema->rule_stamp)
        return;
    command->stamp = sema->rule_stamp;
    reach->list =
        pv_arena_grow(sema->arena, reach->list, reach->n, capacity, reach->n + 1u, sizeof(struct pv_command *));
    reach->list[reach->n++] = command;
    reach->n_packages += command->packages;
    reach->n_sources += command->sources;
}

static bool list_commands(struct pv_sema *sema, const struct pv_ast_scope *scope, struct pv_reach *reach,
                          size_t *capacity)
{
    bool good = true;
    const struct pv_command *without_packages = NULL, *without_sources = NULL;
    for (struct pv_ast_command_ref *ref = scope->commands; ref; ref = ref->next) {
        if (pv_sema_never_brokered(ref->name.text)) {
            tell_never_brokered(sema, &ref->name);
            good = false;
            continue;
        }
        const struct pv_named *named = pv_sema_resolve_once(sema, &ref->sema, PV_NAME_COMMAND, &ref->name);
        if (!named) {
            good = false;
            continue;
        }
        struct pv_command *command = named->command;
        add_command(sema, reach, command, capacity);
        if (!command->packages && !without_packages)
            without_packages = command;
        if (!command->sources && !without_sources)
            without_sources = command;
    }
    if (without_packages && has_object(scope)) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_OBJECT_WITHOUT_PACKAGES, scope->object_span,
                                         "command `%s` takes no packages", without_packages->named->text.ptr);
        pv_diag_related(sema->diags, diag, without_packages->named->span, "declared here, without `packages;`");
        good = false;
    }
    if (without_sources && scope->from) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_FROM_WITHOUT_SOURCES, scope->from_span,
                                         "command `%s` uses no sources", without_sources->named->text.ptr);
        pv_diag_related(sema->diags, diag, without_sources->named->span, "declared here, without `sources;`");
        good = false;
    }
    return good;
}

static bool reach_commands(struct pv_sema *sema, const struct pv_ast_scope *scope, struct pv_reach *reach)
{
    sema->rule_stamp++;
    if (scope->any_command) {
        reach->any = true;
        reach->variant = (has_object(scope) ? PV_REACH_PACKAGES : 0u) | (scope->from ? PV_REACH_SOURCES : 0u);
        reach->n = sema->n_variant[reach->variant];
        reach->n_packages = sema->n_variant[reach->variant | PV_REACH_PACKAGES];
        reach->n_sources = sema->n_variant[reach->variant | PV_REACH_SOURCES];
        return true;
    }
    size_t capacity = 0;
    return list_commands(sema, scope, reach, &capacity);
}

bool pv_sema_reaches(const struct pv_reach *reach, const struct pv_command *command)
{
    if (reach->any)
        return (command->packages || !(reach->variant & PV_REACH_PACKAGES)) &&
               (command->sources || !(reach->variant & PV_REACH_SOURCES));
    for (uint32_t i = 0; i < reach->n; i++)
        if (reach->list[i] == command)
            return true;
    return false;
}

static struct pv_ir_expr *is_command(struct pv_sema *sema, const struct pv_command *command, struct pv_span span)
{
    return pv_ir_string_is(sema, PV_A_COMMAND, command->named->text, span);
}

static struct pv_ir_expr *is_one_of(struct pv_sema *sema, const struct pv_reach *reach, struct pv_span span)
{
    if (reach->any)
        return sema->any_command[reach->variant];
    struct pv_ir_expr **kids = pv_arena_array(sema->arena, reach->n, sizeof *kids);
    for (uint32_t i = 0; i < reach->n; i++)
        kids[i] = is_command(sema, reach->list[i], span);
    return reach->n ? pv_ir_join(sema, PV_IR_OR, kids, reach->n, span) : pv_ir_truth(sema, false, span);
}

/* ---- Objects ---- */

/* Whether the package's name is what an object says; NULL poisoned. */
static struct pv_ir_expr *name_matches(struct pv_sema *sema, struct pv_ast_object *object)
{
    struct pv_ir_expr *expr;
    const struct pv_ir_glob *glob;
    const struct pv_named *named;
    struct pv_ir_set *set;
    const struct pv_ast_name name = {object->text, object->span};
    switch (object->kind) {
    case PV_AST_OBJECT_STRING: return pv_ir_string_is(sema, PV_A_PACKAGE_NAME, object->text, object->span);
    case PV_AST_OBJECT_PATTERN:
        glob = pv_sema_glob(sema, object->text, object->span);
        if (!glob)
            return NULL;
        expr = pv_ir_leaf(sema, PV_IR_LIKE, PV_A_PACKAGE_NAME, object->span);
        expr->glob = glob;
        return expr;
    case PV_AST_OBJECT_NAME:
        named = pv_sema_resolve_once(sema, &object->sema, PV_NAME_SET, &name);
        return named && !named->poisoned ? pv_ir_in_set(sema, PV_IR_IN, PV_A_PACKAGE_NAME, named->set, object->span)
                                         : NULL;
    case PV_AST_OBJECT_SET:
        set = pv_sema_set(sema, object->set);
        return set ? pv_ir_in_set(sema, PV_IR_IN, PV_A_PACKAGE_NAME, set, object->span) : NULL;
    case PV_AST_OBJECT_OWN: return pv_ir_leaf(sema, PV_IR_OWN, 0, object->span);
    }
    return NULL;
}

/* Every name, where an object is all but something. */
static struct pv_ir_expr *any_name(struct pv_sema *sema, struct pv_span span)
{
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_LIKE, PV_A_PACKAGE_NAME, span);
    expr->glob = pv_sema_glob(sema, pv_intern_z(sema->arena, "**"), span);
    return expr;
}

/* The names that a test of package.name accepts. */
static struct pv_ir_set *names_of(struct pv_sema *sema, const struct pv_ir_expr *name_test)
{
    struct pv_text name = {name_test->string.ptr, name_test->string.len};
    struct pv_ir_set *set;
    switch (name_test->kind) {
    case PV_IR_STR: return pv_sema_set_of(sema, &name, 1);
    case PV_IR_LIKE:
        set = pv_sema_set_of(sema, NULL, 0);
        set->globs = PV_NEW(sema->arena, struct pv_ir_glob);
        set->globs[set->n_globs++] = *name_test->glob;
        return set;
    default: return sema->ir->sets[name_test->set->index];
    }
}

/* Whether some package that pulled this one in is what an object names, and is not excepted. */
static struct pv_ir_expr *wanted_by_matches(struct pv_sema *sema, const struct pv_ir_expr *named,
                                            const struct pv_ir_expr *except)
{
    if (named->kind == PV_IR_STR && !except)
        return pv_ir_string_has(sema, PV_A_PACKAGE_WANTED_BY, (struct pv_text){named->string.ptr, named->string.len},
                                named->span);
    struct pv_ir_set *set = names_of(sema, named);
    if (except) {
        struct pv_ir_set *rest = pv_sema_set_of(sema, NULL, 0), *taken = names_of(sema, except);
        pv_sema_use_set(sema, taken);
        *rest = (struct pv_ir_set){.name = rest->name,
                                   .members = set->members,
                                   .n_members = set->n_members,
                                   .globs = set->globs,
                                   .n_globs = set->n_globs,
                                   .except = taken,
                                   .index = UINT32_MAX};
        set = rest;
    }
    return pv_ir_in_set(sema, PV_IR_OVERLAPS, PV_A_PACKAGE_WANTED_BY, set, named->span);
}

static bool check_dependencies(struct pv_sema *sema, const struct pv_ast_scope *scope, enum pv_scope_use use)
{
    if (pv_span_is_none(scope->with_dependencies))
        return true;
    const char *fault = NULL;
    if (use != PV_SCOPE_OF_ALLOW)
        fault = "`with dependencies` extends an `allow`, and nothing else";
    else if (!has_object(scope))
        fault = "`with dependencies` stands behind what names packages";
    else if ((scope->object && scope->object->kind == PV_AST_OBJECT_OWN) ||
             (scope->except && scope->except->kind == PV_AST_OBJECT_OWN))
        fault = "`with dependencies` goes by the names of packages, and `own` names none";
    else if (!sema->install && !sema->upgrade && sema->unknown.n == 0 && !sema->incomplete)
        fault = "`with dependencies` extends a rule to `install` and `upgrade`, and neither is declared";
    if (fault)
        pv_report(sema->diags, PV_DIAG_WITH_DEPENDENCIES, scope->with_dependencies, "%s", fault);
    return !fault;
}

/* The object's test, and the commands' test with what `with dependencies` adds to both. */
static bool lower_object(struct pv_sema *sema, const struct pv_ast_scope *scope, struct pv_reach *reach,
                         struct pv_ir_expr **commands, struct pv_ir_expr **object)
{
    struct pv_ir_expr *named = scope->object ? name_matches(sema, scope->object) : NULL;
    struct pv_ir_expr *except = scope->except ? name_matches(sema, scope->except) : NULL;
    if ((scope->object && !named) || (scope->except && !except))
        return false;
    struct pv_ir_expr *kids[2];
    uint32_t n = 0;
    if (named)
        kids[n++] = named;
    if (except)
        kids[n++] = pv_ir_negate(sema, except, scope->except->span);
    *object = pv_ir_join(sema, PV_IR_AND, kids, n, scope->object_span);
    if (pv_span_is_none(scope->with_dependencies))
        return true;

    /* A plan's installs and upgrades, wanted by a package of the object; one of several is enough. */
    struct pv_span span = scope->with_dependencies;
    if (!named)
        named = any_name(sema, span);
    struct pv_ir_expr *plan[2], *wanted = wanted_by_matches(sema, named, except);
    n = 0;
    if (sema->install)
        plan[n++] = is_command(sema, sema->install, span);
    if (sema->upgrade)
        plan[n++] = is_command(sema, sema->upgrade, span);
    struct pv_ir_expr *plans = pv_ir_join(sema, PV_IR_OR, plan, n, span);
    struct pv_ir_expr *asked = pv_ir_join2(sema, PV_IR_AND, *commands, *object, scope->object_span);
    *object = pv_ir_join2(sema, PV_IR_OR, asked, pv_ir_join2(sema, PV_IR_AND, plans, wanted, span), scope->object_span);
    if (reach->any)
        return true;
    size_t capacity = reach->n;
    if (sema->install)
        add_command(sema, reach, sema->install, &capacity);
    if (sema->upgrade)
        add_command(sema, reach, sema->upgrade, &capacity);
    *commands = is_one_of(sema, reach, scope->commands_span);
    return true;
}

/* ---- Clauses ---- */

static void add_clause(struct pv_sema *sema, struct pv_scope_ir *out, enum pv_clause_kind kind, struct pv_ir_expr *expr,
                       struct pv_text text, struct pv_span span)
{
    pv_ir_fits(sema, expr, span);
    sema->total_size += expr->size;
    out->clauses[out->n_clauses++] =
        (struct pv_ir_clause){.kind = kind, .expr = expr, .text = pv_ir_str(text), .span = span};
}

/* A silent `from` of an allow constrains what has a source. */
static void add_self_service(struct pv_sema *sema, const struct pv_ast_scope *scope, struct pv_scope_ir *out)
{
    const struct pv_reach *reach = &out->reach;
    if (!reach->n_sources)
        return;
    struct pv_span span = pv_span_is_none(scope->commands_span) ? scope->span : scope->commands_span;
    struct pv_ir_expr *expr = pv_ir_leaf(sema, PV_IR_BOOL, PV_A_SOURCE_SELF_SERVICE, span);
    if (reach->n_sources < reach->n)
        expr = pv_ir_join2(sema, PV_IR_OR,
                           pv_ir_negate(sema, pv_ir_leaf(sema, PV_IR_HAS, PV_A_SOURCE_NAME, span), span), expr, span);
    add_clause(sema, out, PV_C_SOURCES, expr, pv_intern_z(sema->arena, "from self_service"), span);
}

/* when and unless: what one establishes, the next may read. */
static bool add_expr(struct pv_sema *sema, struct pv_ast_clause *clause, struct pv_flow *flow, enum pv_scope_use use,
                     struct pv_scope_ir *out)
{
    const struct pv_slots *yes, *no;
    bool unless = clause->kind == PV_AST_UNLESS;
    flow->closing = (use == PV_SCOPE_OF_DENY || use == PV_SCOPE_OF_REQUIRE) != unless;
    struct pv_ir_expr *expr = pv_sema_expr(sema, flow, clause->expr, &yes, &no);
    flow->known = pv_slots_union(sema, flow->known, unless ? no : yes);
    if (!expr)
        return false;
    if (unless)
        expr = pv_ir_negate(sema, expr, clause->span);
    add_clause(sema, out, unless ? PV_C_UNLESS : PV_C_WHEN, expr, pv_text_clause(sema, clause), clause->span);
    out->clauses[out->n_clauses - 1].written = clause->expr;
    return true;
}

static bool add_written_clause(struct pv_sema *sema, struct pv_ast_clause *clause, struct pv_flow *flow,
                               enum pv_scope_use use, struct pv_scope_ir *out)
{
    struct pv_ir_expr *expr;
    switch (clause->kind) {
    case PV_AST_WHEN:
    case PV_AST_UNLESS: return add_expr(sema, clause, flow, use, out);
    case PV_AST_DURING:
        expr = pv_sema_in_windows(sema, clause->windows, clause->span);
        if (!expr)
            return false;
        add_clause(sema, out, PV_C_DURING, expr, pv_text_clause(sema, clause), clause->span);
        return true;
    case PV_AST_UNTIL:
        expr = pv_ir_leaf(sema, PV_IR_INT, PV_A_TIME_DATE, clause->span);
        expr->cmp = PV_LE;
        expr->number = pv_days_from_civil(clause->date.year, clause->date.month, clause->date.day);
        add_clause(sema, out, PV_C_UNTIL, expr, pv_text_clause(sema, clause), clause->span);
        return true;
    case PV_AST_BECAUSE: out->because[out->n_because++] = pv_ir_str(clause->string.text); return true;
    }
    return false;
}

bool pv_sema_scope(struct pv_sema *sema, struct pv_ast_scope *scope, enum pv_scope_use use, struct pv_scope_ir *out)
{
    *out = (struct pv_scope_ir){.reads = &pv_no_slots};
    out->clauses = pv_arena_array(sema->arena, 4u + scope->n_clauses, sizeof *out->clauses);
    out->because = pv_arena_array(sema->arena, scope->n_clauses, sizeof *out->because);

    struct pv_ir_expr *subject = pv_sema_subject(sema, scope->subject);
    bool reached = reach_commands(sema, scope, &out->reach), good = subject && reached;
    if (subject)
        add_clause(sema, out, PV_C_SUBJECT, subject, pv_text_subject(sema, scope->subject), scope->subject->span);

    struct pv_ir_expr *commands = is_one_of(sema, &out->reach, scope->commands_span), *object = NULL;
    bool with_object = has_object(scope);
    if (!check_dependencies(sema, scope, use))
        good = with_object = false;
    if (with_object && !lower_object(sema, scope, &out->reach, &commands, &object))
        good = false;
    add_clause(sema, out, PV_C_COMMANDS, commands, pv_text_commands(sema, scope), scope->commands_span);
    if (object)
        add_clause(sema, out, PV_C_OBJECT, object, pv_text_object(sema, scope), scope->object_span);

    if (scope->from) {
        struct pv_ir_expr *from = pv_sema_from(sema, scope->from);
        if (from)
            add_clause(sema, out, PV_C_SOURCES, from, pv_text_from(sema, scope->from), scope->from_span);
        else
            good = false;
    } else if (use == PV_SCOPE_OF_ALLOW) {
        add_self_service(sema, scope, out);
    }

    struct pv_flow flow = {.known = &pv_no_slots, .reads = &pv_no_slots};
    flow.reach = reached ? &out->reach : NULL;
    for (struct pv_ast_clause *clause = scope->first_clause; clause; clause = clause->next)
        good = add_written_clause(sema, clause, &flow, use, out) && good;
    out->reads = flow.reads;
    return good;
}
