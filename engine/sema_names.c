/* Names: one table over all files, keyed by text, with a declaration per kind. A name has one meaning per kind in the
 * whole policy; which files may use it is a question apart: a file sees what it declares and what its imports bring,
 * theirs included, so that no library leans on who imports it. The role `admin` is the exception: it is predeclared,
 * the root file may declare it again, and every file means that one. */
#include "engine/sema.h"

#include <string.h>

struct name_entry {
    struct pv_named *of[PV_N_NAME_KINDS];
};

const char *pv_name_kind_word(enum pv_name_kind kind)
{
    static const char *const words[PV_N_NAME_KINDS] = {"role",      "source",    "set",    "window",
                                                       "condition", "attribute", "command"};
    return words[kind];
}

/* Attributes are shown with the part that all declared ones share. */
static const char *prefix(enum pv_name_kind kind)
{
    return kind == PV_NAME_ATTRIBUTE ? "host." : "";
}

static const char *shown_path(const struct pv_sema *sema, uint32_t file)
{
    return pv_sources_file(&sema->program->sources, file)->path;
}

static bool is_broken(struct pv_text text)
{
    return !text.ptr || !strcmp(text.ptr, "?");
}

/* ---- Who sees whom ---- */

static void find_visible(struct pv_sema *sema)
{
    const struct pv_program *program = sema->program;
    uint32_t n = program->n_files;

    sema->position = pv_arena_array(sema->arena, program->sources.n_files, sizeof *sema->position);
    for (uint32_t i = 0; i < program->sources.n_files; i++)
        sema->position[i] = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++)
        sema->position[program->files[i]->file] = i;

    sema->visible_words = (n + 63) / 64;
    sema->visible = pv_arena_array(sema->arena, n, sema->visible_words * sizeof *sema->visible);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t *row = sema->visible + i * sema->visible_words;
        row[i / 64] |= UINT64_C(1) << (i % 64);
        for (const struct pv_ast_decl *decl = program->files[i]->first; decl; decl = decl->next) {
            if (decl->kind != PV_AST_DECL_IMPORT || decl->import->file == PV_NO_FILE)
                continue;
            uint32_t imported = sema->position[decl->import->file];
            if (imported == UINT32_MAX)
                continue;
            for (size_t w = 0; w < sema->visible_words; w++)
                row[w] |= sema->visible[imported * sema->visible_words + w];
        }
    }
}

bool pv_sema_sees(const struct pv_sema *sema, uint32_t from, uint32_t to)
{
    if (from == to || from == PV_NO_FILE || to == PV_NO_FILE)
        return true;
    uint32_t row = sema->position[from], bit = sema->position[to];
    if (row == UINT32_MAX || bit == UINT32_MAX)
        return true;
    return sema->visible[row * sema->visible_words + bit / 64] >> (bit % 64) & 1;
}

/* ---- Declaring ---- */

static int kind_of(const struct pv_ast_decl *decl)
{
    switch (decl->kind) {
    case PV_AST_DECL_ROLE: return PV_NAME_ROLE;
    case PV_AST_DECL_SOURCE:
    case PV_AST_DECL_UNION: return PV_NAME_SOURCE;
    case PV_AST_DECL_SET: return PV_NAME_SET;
    case PV_AST_DECL_WINDOW: return PV_NAME_WINDOW;
    case PV_AST_DECL_CONDITION: return PV_NAME_CONDITION;
    case PV_AST_DECL_ATTRIBUTE: return PV_NAME_ATTRIBUTE;
    case PV_AST_DECL_COMMAND: return PV_NAME_COMMAND;
    default: return -1;
    }
}

static struct name_entry *entry_of(struct pv_sema *sema, struct pv_text text)
{
    void **place = pv_map_put(&sema->names, sema->arena, text.ptr);
    if (!*place)
        *place = PV_NEW(sema->arena, struct name_entry);
    return *place;
}

static struct pv_named *add(struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text)
{
    struct pv_named *named = PV_NEW(sema->arena, struct pv_named);
    named->kind = kind;
    named->text = text;
    named->span = PV_NO_SPAN;
    sema->named[kind] = pv_arena_grow(sema->arena, sema->named[kind], sema->n_named[kind], &sema->named_capacity[kind],
                                      sema->n_named[kind] + 1, sizeof(struct pv_named *));
    sema->named[kind][sema->n_named[kind]++] = named;
    return named;
}

static void tell_duplicate(struct pv_sema *sema, const struct pv_ast_decl *decl, const struct pv_named *first)
{
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_DUPLICATE_NAME, decl->name.span, "%s `%s%s` is declared twice",
                  pv_name_kind_word(first->kind), prefix(first->kind), decl->name.text.ptr);
    pv_diag_related(sema->diags, diag, first->span, "declared here first");
}

/* admin is declared already, in no file; the root file's declaration takes its place, once. */
static void declare_admin(struct pv_sema *sema, struct pv_ast_decl *decl)
{
    struct pv_named *admin = sema->admin;
    if (!sema->program->root || decl->span.file != sema->program->root->file) {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_ADMIN_ROLE, decl->name.span,
                                         "a library cannot declare role `admin`: only the root file can, for everyone");
        pv_diag_hint(sema->diags, diag, "use `admin` as it is, or give this role another name");
        return;
    }
    if (admin->decl) {
        tell_duplicate(sema, decl, admin);
        return;
    }
    admin->decl = decl;
    admin->span = decl->name.span;
    decl->sema = admin;
}

static void declare(struct pv_sema *sema, struct pv_ast_decl *decl)
{
    int kind = kind_of(decl);
    if (kind < 0 || is_broken(decl->name.text))
        return;
    if (kind == PV_NAME_ROLE && decl->name.text.ptr == sema->admin->text.ptr) {
        declare_admin(sema, decl);
        return;
    }
    struct name_entry *entry = entry_of(sema, decl->name.text);
    if (entry->of[kind]) {
        tell_duplicate(sema, decl, entry->of[kind]);
        return;
    }
    struct pv_named *named = add(sema, (enum pv_name_kind)kind, decl->name.text);
    named->decl = decl;
    named->span = decl->name.span;
    decl->sema = named;
    entry->of[kind] = named;
}

void pv_sema_declare(struct pv_sema *sema)
{
    find_visible(sema);
    sema->admin = add(sema, PV_NAME_ROLE, pv_intern_z(sema->arena, "admin"));
    entry_of(sema, sema->admin->text)->of[PV_NAME_ROLE] = sema->admin;
    for (uint32_t i = 0; i < sema->program->n_decls; i++)
        declare(sema, sema->program->decls[i]);
}

/* ---- Using ---- */

struct pv_named *pv_sema_find(const struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text)
{
    const struct name_entry *entry = text.ptr ? pv_map_get(&sema->names, text.ptr) : NULL;
    return entry ? entry->of[kind] : NULL;
}

/* Where nothing is near and there are few, all of them: one who has forgotten the name knows it when it is seen. What
 * could be meant as it stands, without a declaration, is told how it is written. */
static void tell_forms(struct pv_sema *sema, struct pv_diag *diag, enum pv_name_kind kind, struct pv_text text,
                       struct pv_span span)
{
    enum { FEW = 4 };
    if (kind == PV_NAME_ROLE) {
        if (!strcmp(text.ptr, "ALL") || !strcmp(text.ptr, "all") || !strcmp(text.ptr, "anyone"))
            pv_diag_hint(sema->diags, diag, "all people are `everyone`");
        else
            pv_diag_hint(sema->diags, diag, "a role is declared; others are written `group \"%s\"` or `user \"%s\"`",
                         text.ptr, text.ptr);
        return;
    }
    if (kind == PV_NAME_SET) {
        pv_diag_hint(sema->diags, diag, "a set is declared; a name itself stands in quotes: \"%s\"", text.ptr);
        return;
    }
    const char *list = NULL;
    size_t n = 0;
    for (size_t i = 0; i < sema->n_named[kind]; i++) {
        const struct pv_named *named = sema->named[kind][i];
        if (named == sema->admin || !pv_sema_sees(sema, span.file, named->span.file))
            continue;
        if (++n > FEW)
            return;
        list = list ? pv_arena_printf(sema->arena, "%s, `%s`", list, named->text.ptr)
                    : pv_arena_printf(sema->arena, "`%s`", named->text.ptr);
    }
    if (list)
        pv_diag_hint(sema->diags, diag, "declared: %s", list);
}

static void guess(struct pv_sema *sema, struct pv_diag *diag, enum pv_name_kind kind, struct pv_text text,
                  struct pv_span span)
{
    if (sema->n_guesses++ >= PV_SEMA_MAX_GUESSES)
        return;
    struct pv_nearest near;
    pv_nearest_init(&near, text.ptr, text.len);
    for (size_t i = 0; i < sema->n_named[kind]; i++) {
        const struct pv_named *named = sema->named[kind][i];
        if (pv_sema_sees(sema, span.file, named->span.file))
            pv_nearest_offer(&near, named->text.ptr, named->text.len);
    }
    if (!near.best) {
        tell_forms(sema, diag, kind, text, span);
        return;
    }
    pv_diag_hint(sema->diags, diag, "did you mean `%s`?", near.best);
    pv_diag_fix(sema->diags, diag, span, "%s", near.best);
}

/* A name that is declared nowhere is told where it is met first. */
static bool first_told(struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text)
{
    void **place = pv_map_put(&sema->unknown, sema->arena, text.ptr);
    uintptr_t bits = (uintptr_t)*place, bit = (uintptr_t)1 << kind;
    *place = (void *)(bits | bit);
    return !(bits & bit);
}

/* The commands that people reach for are a library's. */
static const char *standard_library(enum pv_name_kind kind, struct pv_text text)
{
    static const char *const apt[] = {"install", "upgrade", "uninstall", "download", "info", "pin",
                                      "list",    "search",  "outdated",  "optimize", "sync"};
    for (size_t i = 0; kind == PV_NAME_COMMAND && i < sizeof apt / sizeof *apt; i++)
        if (!strcmp(apt[i], text.ptr))
            return "std/apt.policy";
    return NULL;
}

static void tell_unknown(struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text, struct pv_span span)
{
    if (!first_told(sema, kind, text))
        return;
    const struct name_entry *entry = pv_map_get(&sema->names, text.ptr);
    for (int other = 0; entry && other < PV_N_NAME_KINDS; other++) {
        const struct pv_named *named = entry->of[other];
        if (!named || other == PV_NAME_ATTRIBUTE || !pv_sema_sees(sema, span.file, named->span.file))
            continue;
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_WRONG_KIND, span, "`%s` is a %s, not a %s", text.ptr,
                                         pv_name_kind_word(named->kind), pv_name_kind_word(kind));
        pv_diag_related(sema->diags, diag, named->span, "declared here");
        if (kind == PV_NAME_CONDITION && (other == PV_NAME_ROLE || other == PV_NAME_WINDOW))
            pv_diag_hint(sema->diags, diag, "write `%s in %s`", other == PV_NAME_ROLE ? "user" : "time", text.ptr);
        else if (kind == PV_NAME_CONDITION && other == PV_NAME_SET)
            pv_diag_hint(sema->diags, diag, "write for example `package.name in %s`", text.ptr);
        return;
    }
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_UNKNOWN_NAME, span, "unknown %s `%s`", pv_name_kind_word(kind), text.ptr);
    const char *library = standard_library(kind, text);
    if (kind == PV_NAME_COMMAND && (!strcmp(text.ptr, "ALL") || !strcmp(text.ptr, "all")))
        pv_diag_hint(sema->diags, diag, "every declared command is `any`");
    else if (library)
        pv_diag_hint(sema->diags, diag, "it is in a library: `import \"%s\";`", library);
    else
        guess(sema, diag, kind, text, span);
}

struct pv_named *pv_sema_resolve(struct pv_sema *sema, enum pv_name_kind kind, struct pv_text text, struct pv_span span)
{
    if (is_broken(text))
        return NULL;
    struct pv_named *named = pv_sema_find(sema, kind, text);
    if (!named) {
        if (!sema->incomplete)
            tell_unknown(sema, kind, text, span);
        return NULL;
    }
    named->used = true;
    if (named != sema->admin && !sema->incomplete && !pv_sema_sees(sema, span.file, named->span.file)) {
        const char *path = shown_path(sema, named->span.file);
        struct pv_diag *diag =
            pv_report(sema->diags, PV_DIAG_NOT_IMPORTED, span,
                      "%s `%s` is declared in a file that this one does not import", pv_name_kind_word(kind), text.ptr);
        pv_diag_related(sema->diags, diag, named->span, "declared here");
        pv_diag_hint(sema->diags, diag, "write `import \"%s\";`", path);
        return NULL;
    }
    return named;
}

struct pv_named *pv_sema_resolve_once(struct pv_sema *sema, void **node_sema, enum pv_name_kind kind,
                                      const struct pv_ast_name *name)
{
    static struct pv_named nothing;
    if (!*node_sema) {
        struct pv_named *named = pv_sema_resolve(sema, kind, name->text, name->span);
        *node_sema = named ? named : &nothing;
    }
    return *node_sema == &nothing ? NULL : *node_sema;
}
