/* Attributes are slots: the built-in ones, then declared facts about the host, then arguments and options. Commands
 * that declare a parameter of one name share its slot, so one name has one type in a policy. */
#include "engine/sema.h"

#include <string.h>

static uint16_t add(struct pv_sema *sema, struct pv_slot_info info)
{
    sema->slots = pv_arena_grow(sema->arena, sema->slots, sema->n_slots, &sema->slots_capacity, sema->n_slots + 1,
                                sizeof *sema->slots);
    sema->slots[sema->n_slots] = info;
    if (!(info.flags & PV_ATTR_HIDDEN))
        *pv_map_put(&sema->paths, sema->arena, info.path.ptr) = (void *)(uintptr_t)(sema->n_slots + 1);
    return (uint16_t)sema->n_slots++;
}

static bool has_room(struct pv_sema *sema, struct pv_span span)
{
    if (sema->n_slots < PV_SEMA_MAX_SLOTS)
        return true;
    pv_report(sema->diags, PV_DIAG_TOO_MANY_ATTRIBUTES, span,
              "a policy has at most %u attributes, arguments and options together", PV_SEMA_MAX_SLOTS);
    return false;
}

static void add_builtins(struct pv_sema *sema)
{
    for (int i = 0; i < PV_N_BUILTIN; i++) {
        const struct pv_attr_info *info = &pv_builtin_attrs[i];
        add(sema, (struct pv_slot_info){.path = pv_intern_z(sema->arena, info->path),
                                        .type = info->type,
                                        .scope = info->scope,
                                        .flags = info->flags,
                                        .order = PV_ORDER_COMMAND,
                                        .span = PV_NO_SPAN});
    }
}

static bool names_its_order(struct pv_sema *sema, enum pv_type type, enum pv_order order, struct pv_span span)
{
    if (type != PV_T_VERSION || order != PV_ORDER_COMMAND)
        return true;
    struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_VERSION_ORDER, span, "a declared version names its order");
    pv_diag_hint(sema->diags, diag, "write `version(dpkg)`, or `semver`, `rpm`, `nuget`");
    pv_diag_fix(sema->diags, diag, span, "version(dpkg)");
    return false;
}

static void declare(struct pv_sema *sema, struct pv_named *named)
{
    const struct pv_ast_attribute *ast = named->decl->attribute;
    named->poisoned = true;
    if (pv_map_get(&sema->paths, ast->path->text.ptr)) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_ATTRIBUTE_PATH, ast->path->span,
                                         "`%s` is a built-in attribute", ast->path->text.ptr);
        pv_diag_hint(sema->diags, diag, "it needs no declaration");
        return;
    }
    if (!names_its_order(sema, ast->type.type, ast->type.order, ast->type.span) || !has_room(sema, named->span))
        return;
    named->poisoned = false;
    named->slot = add(sema, (struct pv_slot_info){.path = ast->path->text,
                                                  .type = ast->type.type,
                                                  .scope = PV_SCOPE_ANY,
                                                  .flags = pv_span_is_none(ast->optional) ? 0 : PV_ATTR_OPT,
                                                  .order = ast->type.order,
                                                  .span = named->span,
                                                  .named = named});
}

void pv_sema_attributes(struct pv_sema *sema)
{
    add_builtins(sema);
    for (size_t i = 0; i < sema->n_named[PV_NAME_ATTRIBUTE]; i++)
        declare(sema, sema->named[PV_NAME_ATTRIBUTE][i]);
}

uint16_t pv_sema_parameter(struct pv_sema *sema, struct pv_text path, const struct pv_ast_type *type, unsigned flags,
                           struct pv_span span)
{
    enum pv_type value = type->type == PV_T_NONE ? PV_T_BOOL : type->type;
    size_t known = (size_t)(uintptr_t)pv_map_get(&sema->paths, path.ptr);
    if (known) {
        const struct pv_slot_info *info = &sema->slots[known - 1];
        if (info->type == value && info->flags == flags && info->order == type->order)
            return (uint16_t)(known - 1);
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_PARAMETER_TYPES, span,
                                         "`%s` is of another type in another command", path.ptr);
        pv_diag_related(sema->diags, diag, info->span, "declared here first");
        pv_diag_hint(sema->diags, diag, "one name has one type, so that a rule over both commands can read it");
        return 0;
    }
    if (!names_its_order(sema, type->type, type->order, type->span) || !has_room(sema, span))
        return 0;
    return add(sema, (struct pv_slot_info){.path = path,
                                           .type = value,
                                           .scope = PV_SCOPE_PARAMETER,
                                           .flags = flags,
                                           .order = type->order,
                                           .span = span});
}

/* ---- Paths in expressions and tests ---- */

static void tell_unknown(struct pv_sema *sema, const struct pv_ast_path *path)
{
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_UNKNOWN_ATTRIBUTE, path->span, "unknown attribute `%s`", path->text.ptr);
    if (!path->tail.text.ptr) {
        pv_diag_hint(sema->diags, diag, "attributes are written like `package.name`");
        return;
    }
    struct pv_nearest near;
    pv_nearest_init(&near, path->text.ptr, path->text.len);
    if (sema->n_guesses++ < PV_SEMA_MAX_GUESSES)
        for (size_t i = 0; i < sema->n_slots; i++)
            if (!(sema->slots[i].flags & PV_ATTR_HIDDEN))
                pv_nearest_offer(&near, sema->slots[i].path.ptr, sema->slots[i].path.len);
    if (near.best) {
        pv_diag_hint(sema->diags, diag, "did you mean `%s`?", near.best);
        pv_diag_fix(sema->diags, diag, path->span, "%s", near.best);
    } else if (!strcmp(path->head.text.ptr, "host")) {
        pv_diag_hint(sema->diags, diag, "a fact about the host is declared: `attribute %s: string;`", path->text.ptr);
    }
}

int pv_sema_slot(struct pv_sema *sema, const struct pv_ast_path *path)
{
    size_t known = (size_t)(uintptr_t)pv_map_get(&sema->paths, path->text.ptr);
    if (known) {
        const struct pv_named *named = sema->slots[known - 1].named;
        if (named && !pv_sema_resolve(sema, PV_NAME_ATTRIBUTE, named->text, path->span))
            return -1;
        return (int)known - 1;
    }
    /* Declared, but not well: told there. */
    if (path->tail.text.ptr && !strcmp(path->head.text.ptr, "host") &&
        pv_sema_find(sema, PV_NAME_ATTRIBUTE, path->tail.text))
        return -1;
    if (!sema->incomplete)
        tell_unknown(sema, path);
    return -1;
}

void pv_sema_emit_attributes(struct pv_sema *sema)
{
    struct pv_ir *ir = sema->ir;
    ir->n_attrs = (uint32_t)sema->n_slots - PV_N_BUILTIN;
    ir->attrs = pv_arena_array(sema->arena, ir->n_attrs, sizeof *ir->attrs);
    for (uint32_t i = 0; i < ir->n_attrs; i++) {
        const struct pv_slot_info *info = &sema->slots[PV_N_BUILTIN + i];
        ir->attrs[i] = (struct pv_ir_attr){.path = pv_ir_str(info->path),
                                           .type = info->type,
                                           .scope = info->scope,
                                           .flags = info->flags,
                                           .order = info->order};
    }
}
