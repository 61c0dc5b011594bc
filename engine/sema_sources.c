/* Sources, unions of them, and what stands behind `from`. A location goes into the package manager's own configuration
 * as it is, so what could add a line or an option there is refused here. */
#include "engine/sema.h"

#include <string.h>
#include <strings.h>

/* ---- Properties ---- */

static const struct pv_ast_prop *prop(const struct pv_ast_source *ast, enum pv_ast_source_prop kind)
{
    return ast->prop[kind];
}

static bool has_control(struct pv_text text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

static void check_type(struct pv_sema *sema, const struct pv_named *named)
{
    const struct pv_ast_prop *type = prop(named->decl->source, PV_AST_SOURCE_TYPE);
    if (!type) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_FORM, named->span,
                                         "source `%s` does not say its type", named->text.ptr);
        pv_diag_hint(sema->diags, diag, "add `type apt;`");
    } else if (strcmp(type->text.ptr, "apt") != 0) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_TYPE, type->value_span,
                                         "`%s` is not a type of source that is known", type->text.ptr);
        pv_diag_hint(sema->diags, diag, "known: `apt`");
    }
}

/* apt's words for yes. */
static bool is_yes(const char *text, size_t len)
{
    static const char *const words[] = {"yes", "true", "with", "on", "enable", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && !strncasecmp(words[i], text, len))
            return true;
    return false;
}

/* Whether the options of an apt location, `deb [a=b c=d] ...`, hold `trusted` and do not deny it. */
static bool is_trusted(const char *options, const char *end)
{
    static const char word[] = "trusted";
    for (const char *at = options; at < end;) {
        size_t len = strcspn(at, " \t]");
        const char *equals = memchr(at, '=', len);
        size_t key = equals ? (size_t)(equals - at) : len;
        bool appended = key && (at[key - 1] == '+' || at[key - 1] == '-'); /* trusted+=yes */
        if (key - appended == sizeof word - 1 && !strncasecmp(at, word, sizeof word - 1) &&
            (!equals || is_yes(equals + 1, len - key - 1)))
            return true;
        at += len + 1;
    }
    return false;
}

/* `deb [options] URI SUITE [COMPONENT...]`, as in sources.list(5). */
static const char *location_fault(const char *text, bool *trusted)
{
    if (strncmp(text, "deb", 3) != 0 || !strchr(" \t", text[3]) || !text[3])
        return "a location of type apt is a line `deb [options] URI suite components`";
    const char *at = text + 3 + strspn(text + 3, " \t");
    if (*at == '[') {
        const char *end = strchr(at, ']');
        if (!end)
            return "the options of this location do not end in `]`";
        *trusted = is_trusted(at + 1, end);
        at = end + 1 + strspn(end + 1, " \t");
    }
    size_t uri = strcspn(at, " \t");
    if (!memchr(at, ':', uri))
        return "this location has no URI";
    at += uri + strspn(at + uri, " \t");
    if (!*at)
        return "this location names no suite";
    return NULL;
}

static void check_location(struct pv_sema *sema, const struct pv_named *named)
{
    const struct pv_ast_prop *location = prop(named->decl->source, PV_AST_SOURCE_LOCATION);
    if (!location) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_FORM, named->span,
                                         "source `%s` does not say its location", named->text.ptr);
        pv_diag_hint(sema->diags, diag, "add `location \"deb URI suite component\";`");
        return;
    }
    if (has_control(location->text)) {
        pv_report(sema->diags, PV_DIAG_SOURCE_LOCATION, location->value_span,
                  "a location is one line without control characters");
        return;
    }
    bool trusted = false;
    const char *fault = location_fault(location->text.ptr, &trusted);
    if (fault)
        pv_report(sema->diags, PV_DIAG_SOURCE_LOCATION, location->value_span, "%s", fault);
    if (trusted) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_TRUSTED, location->value_span,
                                         "`trusted` in a location takes packages from whoever can answer there");
        pv_diag_hint(sema->diags, diag, "name the repository's key: `key \"/path/to/key.gpg\";`");
    }
}

static void check_key(struct pv_sema *sema, const struct pv_named *named)
{
    const struct pv_ast_prop *key = prop(named->decl->source, PV_AST_SOURCE_KEY);
    const struct pv_ast_prop *is_unsigned = prop(named->decl->source, PV_AST_SOURCE_UNSIGNED);
    if (!key)
        return;
    if (key->text.ptr[0] != '/' || has_control(key->text)) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_KEY, key->value_span,
                                         "the path of a key is absolute: the agent reads it, from anywhere");
        pv_diag_hint(sema->diags, diag, "write for example \"/etc/proviso/keys/%s.gpg\"", named->text.ptr);
    }
    if (is_unsigned) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SOURCE_KEY, is_unsigned->span,
                                         "source `%s` has a key and is `unsigned`", named->text.ptr);
        pv_diag_related(sema->diags, diag, key->span, "the key");
    }
}

static void check_values(struct pv_sema *sema, const struct pv_named *named)
{
    const struct pv_ast_source *ast = named->decl->source;
    const struct pv_ast_prop *priority = prop(ast, PV_AST_SOURCE_PRIORITY);
    const struct pv_ast_prop *credentials = prop(ast, PV_AST_SOURCE_CREDENTIALS);
    if (priority && (priority->number < 0 || priority->number > INT32_MAX))
        pv_report(sema->diags, PV_DIAG_SOURCE_VALUE, priority->value_span, "a priority is a number from 0 to %d",
                  INT32_MAX);
    if (credentials) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        size_t len = strspn(credentials->text.ptr, allowed);
        if (!len || len != credentials->text.len || credentials->text.ptr[0] == '.') {
            struct pv_diag *diag =
                pv_report(sema->diags, PV_DIAG_SOURCE_VALUE, credentials->value_span,
                          "credentials are a name in the agent's secret store: letters, digits, `.`, `_` and `-`");
            pv_diag_hint(sema->diags, diag, "a secret itself never stands in a policy");
        }
    }
}

static struct pv_ir_str value(const struct pv_ast_source *ast, enum pv_ast_source_prop kind)
{
    const struct pv_ast_prop *given = prop(ast, kind);
    return pv_ir_str(given ? given->text : (struct pv_text){NULL, 0});
}

static void emit_source(struct pv_sema *sema, const struct pv_named *named)
{
    static const struct {
        enum pv_ast_source_prop prop;
        unsigned flag;
    } flags[] = {{PV_AST_SOURCE_SELF_SERVICE, PVB_SOURCE_SELF_SERVICE},
                 {PV_AST_SOURCE_ADMIN_ONLY, PVB_SOURCE_ADMIN_ONLY},
                 {PV_AST_SOURCE_DISABLED, PVB_SOURCE_DISABLED},
                 {PV_AST_SOURCE_UNSIGNED, PVB_SOURCE_UNSIGNED}};
    const struct pv_ast_source *ast = named->decl->source;
    struct pv_ir_source *source = &sema->ir->sources[sema->ir->n_sources++];
    *source = (struct pv_ir_source){.name = pv_ir_str(named->text),
                                    .type = value(ast, PV_AST_SOURCE_TYPE),
                                    .location = value(ast, PV_AST_SOURCE_LOCATION),
                                    .credentials = value(ast, PV_AST_SOURCE_CREDENTIALS),
                                    .key = value(ast, PV_AST_SOURCE_KEY),
                                    .span = named->span};
    if (prop(ast, PV_AST_SOURCE_PRIORITY))
        source->priority = (int32_t)prop(ast, PV_AST_SOURCE_PRIORITY)->number;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (prop(ast, flags[i].prop))
            source->flags |= flags[i].flag;
}

/* ---- from ---- */

/* The operands' nodes, as if parentheses round the same operator were not there: they mean nothing. False where one is
 * wrong. */
static bool join_kids(struct pv_sema *sema, struct pv_ast_from *from, enum pv_ast_from_kind kind,
                      struct pv_ir_expr ***kids, size_t *n, size_t *capacity)
{
    bool good = true;
    for (struct pv_ast_from *operand = from->first; operand; operand = operand->next) {
        if (operand->kind == kind) {
            good = join_kids(sema, operand, kind, kids, n, capacity) && good;
            continue;
        }
        struct pv_ir_expr *kid = pv_sema_from(sema, operand);
        good = good && kid;
        *kids = pv_arena_grow(sema->arena, *kids, *n, capacity, *n + 1, sizeof(**kids));
        (*kids)[(*n)++] = kid;
    }
    return good;
}

struct pv_ir_expr *pv_sema_from(struct pv_sema *sema, struct pv_ast_from *from)
{
    const struct pv_named *source;
    struct pv_ir_expr *kid, **kids = NULL;
    size_t n = 0, capacity = 0;
    bool good;
    switch (from->kind) {
    case PV_AST_FROM_ANY: return pv_ir_truth(sema, true, from->span);
    case PV_AST_FROM_SELF_SERVICE: return pv_ir_leaf(sema, PV_IR_BOOL, PV_A_SOURCE_SELF_SERVICE, from->span);
    case PV_AST_FROM_NAME:
        source = pv_sema_resolve_once(sema, &from->sema, PV_NAME_SOURCE, &from->name);
        return source && !source->poisoned ? source->expr : NULL;
    case PV_AST_FROM_NOT:
        kid = pv_sema_from(sema, from->first);
        return kid ? pv_ir_negate(sema, kid, from->span) : NULL;
    case PV_AST_FROM_OR:
    case PV_AST_FROM_AND: break;
    }
    good = join_kids(sema, from, from->kind, &kids, &n, &capacity);
    return good ? pv_ir_join(sema, from->kind == PV_AST_FROM_OR ? PV_IR_OR : PV_IR_AND, kids, (uint32_t)n, from->span)
                : NULL;
}

static void collect_uses(struct pv_sema *sema, struct pv_named *user, struct pv_ast_from *from)
{
    if (from->kind == PV_AST_FROM_NAME) {
        struct pv_named *target = pv_sema_resolve_once(sema, &from->sema, PV_NAME_SOURCE, &from->name);
        if (target)
            pv_sema_add_use(sema, user, target, from->span);
    }
    for (struct pv_ast_from *operand = from->first; operand; operand = operand->next)
        collect_uses(sema, user, operand);
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    if (named->decl->kind == PV_AST_DECL_SOURCE)
        named->expr = pv_ir_string_is(sema, PV_A_SOURCE_NAME, named->text, named->span);
    else
        named->expr = pv_sema_from(sema, named->decl->sources->from);
    named->poisoned = !named->expr || !pv_ir_fits(sema, named->expr, named->span);
}

void pv_sema_sources(struct pv_sema *sema)
{
    size_t n = sema->n_named[PV_NAME_SOURCE];
    sema->ir->sources = pv_arena_array(sema->arena, n, sizeof *sema->ir->sources);
    for (size_t i = 0; i < n; i++) {
        struct pv_named *named = sema->named[PV_NAME_SOURCE][i];
        if (named->decl->kind == PV_AST_DECL_UNION) {
            collect_uses(sema, named, named->decl->sources->from);
            continue;
        }
        if (!sema->incomplete) { /* what is missing may have stood where an error is */
            check_type(sema, named);
            check_location(sema, named);
        }
        check_key(sema, named);
        check_values(sema, named);
        emit_source(sema, named);
    }
    pv_sema_in_order(sema, PV_NAME_SOURCE, lower);
}
