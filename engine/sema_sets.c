/* Sets: included sets are flattened in, members once each, so that a set is two flat lists, names and globs. What is
 * copied is counted, since sets that include each other can square a policy's size. */
#include "engine/sema.h"

#include <errno.h>
#include <string.h>

#define MAX_SET_WORK (UINT64_C(1) << 22) /* members copied in one compilation */

/* A set while it is collected. `seen` is used once another set is included: only that brings the same member often. */
struct collector {
    struct pv_ir_set *set;
    size_t members_capacity, globs_capacity;
    bool distinct;
    struct pv_map seen_members, seen_globs;
    bool poisoned;
};

/* ---- Globs ---- */

static uint32_t glob_tokens(struct pv_text pattern, uint32_t *tokens)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pattern.len;) {
        char c = pattern.ptr[i];
        if (c == '*' && i + 1 < pattern.len && pattern.ptr[i + 1] == '*') {
            tokens[n++] = PVB_GLOB_STAR_STAR;
            i += 2;
        } else if (c == '*') {
            tokens[n++] = PVB_GLOB_STAR;
            i++;
        } else if (c == '?') {
            tokens[n++] = PVB_GLOB_ONE;
            i++;
        } else {
            if (c == '\\' && i + 1 < pattern.len)
                i++;
            uint32_t code_point = 0;
            size_t len = pv_utf8_decode(pattern.ptr + i, pattern.len - i, &code_point);
            tokens[n++] = code_point;
            i += len ? (uint32_t)len : 1;
        }
    }
    return n;
}

const struct pv_ir_glob *pv_sema_glob(struct pv_sema *sema, struct pv_text pattern, struct pv_span span)
{
    struct pv_ir_glob *glob = pv_map_get(&sema->globs, pattern.ptr);
    if (!glob) {
        uint32_t *tokens = pv_arena_array(sema->arena, pattern.len, sizeof *tokens);
        glob = PV_NEW(sema->arena, struct pv_ir_glob);
        glob->text = pv_ir_str(pattern);
        glob->tokens = tokens;
        glob->n_tokens = glob_tokens(pattern, tokens);
        *pv_map_put(&sema->globs, sema->arena, pattern.ptr) = glob;
    }
    if (glob->n_tokens > PVB_MAX_GLOB_TOKENS) {
        pv_report(sema->diags, PV_DIAG_GLOB_TOO_LONG, span, "this pattern has %u characters and wildcards, over %u",
                  glob->n_tokens, PVB_MAX_GLOB_TOKENS);
        return NULL;
    }
    return glob;
}

/* ---- Collecting ---- */

static bool first_time(struct pv_sema *sema, struct pv_map *seen, const char *text)
{
    void **place = pv_map_put(seen, sema->arena, text);
    if (*place)
        return false;
    *place = seen;
    return true;
}

static void add_member(struct pv_sema *sema, struct collector *collector, struct pv_ir_str member)
{
    struct pv_ir_set *set = collector->set;
    if (collector->distinct && !first_time(sema, &collector->seen_members, member.ptr))
        return;
    set->members = pv_arena_grow(sema->arena, set->members, set->n_members, &collector->members_capacity,
                                 set->n_members + 1u, sizeof *set->members);
    set->members[set->n_members++] = member;
}

static void add_glob(struct pv_sema *sema, struct collector *collector, const struct pv_ir_glob *glob)
{
    struct pv_ir_set *set = collector->set;
    if (collector->distinct && !first_time(sema, &collector->seen_globs, glob->text.ptr))
        return;
    set->globs = pv_arena_grow(sema->arena, set->globs, set->n_globs, &collector->globs_capacity, set->n_globs + 1u,
                               sizeof *set->globs);
    set->globs[set->n_globs++] = *glob;
}

/* From now on, members are kept once each. */
static void make_distinct(struct pv_sema *sema, struct collector *collector)
{
    if (collector->distinct)
        return;
    collector->distinct = true;
    for (uint32_t i = 0; i < collector->set->n_members; i++)
        first_time(sema, &collector->seen_members, collector->set->members[i].ptr);
    for (uint32_t i = 0; i < collector->set->n_globs; i++)
        first_time(sema, &collector->seen_globs, collector->set->globs[i].text.ptr);
}

static void add_set(struct pv_sema *sema, struct collector *collector, const struct pv_named *named,
                    struct pv_span span)
{
    if (named->poisoned) {
        collector->poisoned = true;
        return;
    }
    make_distinct(sema, collector);
    sema->set_work += named->set->n_members + (uint64_t)named->set->n_globs;
    if (sema->set_work > MAX_SET_WORK) {
        if (!collector->poisoned)
            pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, span,
                      "with the sets that they include written out, sets have "
                      "more than %llu members",
                      (unsigned long long)MAX_SET_WORK);
        collector->poisoned = true;
        return;
    }
    for (uint32_t i = 0; i < named->set->n_members; i++)
        add_member(sema, collector, named->set->members[i]);
    for (uint32_t i = 0; i < named->set->n_globs; i++)
        add_glob(sema, collector, &named->set->globs[i]);
}

static void add_items(struct pv_sema *sema, struct collector *collector, const struct pv_ast_set *ast)
{
    for (struct pv_ast_item *item = ast->first; item; item = item->next) {
        const struct pv_ir_glob *glob;
        const struct pv_named *named;
        const struct pv_ast_name name = {item->text, item->span};
        switch (item->kind) {
        case PV_AST_ITEM_STRING: add_member(sema, collector, pv_ir_str(item->text)); break;
        case PV_AST_ITEM_PATTERN:
            glob = pv_sema_glob(sema, item->text, item->span);
            if (glob)
                add_glob(sema, collector, glob);
            else
                collector->poisoned = true;
            break;
        case PV_AST_ITEM_NAME:
            named = pv_sema_resolve_once(sema, &item->sema, PV_NAME_SET, &name);
            if (named)
                add_set(sema, collector, named, item->span);
            else
                collector->poisoned = true;
            break;
        }
    }
}

static struct pv_ir_set *new_set(struct pv_sema *sema)
{
    struct pv_ir_set *set = PV_NEW(sema->arena, struct pv_ir_set);
    set->name.ptr = "";
    set->index = UINT32_MAX;
    return set;
}

struct pv_ir_set *pv_sema_set(struct pv_sema *sema, const struct pv_ast_set *ast)
{
    struct collector collector = {.set = new_set(sema)};
    add_items(sema, &collector, ast);
    return collector.poisoned ? NULL : collector.set;
}

struct pv_ir_set *pv_sema_set_of(struct pv_sema *sema, const struct pv_text *members, uint32_t n)
{
    struct collector collector = {.set = new_set(sema)};
    for (uint32_t i = 0; i < n; i++)
        add_member(sema, &collector, pv_ir_str(members[i]));
    return collector.set;
}

void pv_sema_use_set(struct pv_sema *sema, struct pv_ir_set *set)
{
    if (set->index != UINT32_MAX)
        return;
    struct pv_ir *ir = sema->ir;
    ir->sets =
        pv_arena_grow(sema->arena, ir->sets, ir->n_sets, &sema->sets_capacity, ir->n_sets + 1u, sizeof *ir->sets);
    set->index = ir->n_sets;
    ir->sets[ir->n_sets++] = set;
}

/* ---- Files of names ---- */

static const char *beside(struct pv_sema *sema, const char *path, struct pv_text name)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!slash)
        return name.ptr;
    return pv_arena_printf(sema->arena, "%.*s/%s", (int)(slash - path), path, name.ptr);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void add_lines(struct pv_sema *sema, struct collector *collector, uint32_t file)
{
    const struct pv_sources *sources = &sema->program->sources;
    for (uint32_t line = 1; line <= pv_sources_file(sources, file)->n_lines; line++) {
        uint32_t len;
        const char *text = pv_sources_line(sources, file, line, &len);
        if (line == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* some editors' mark of UTF-8 */
            text += 3;
            len -= 3;
        }
        while (len && is_blank(text[len - 1]))
            len--;
        while (len && is_blank(*text)) {
            text++;
            len--;
        }
        if (!len || *text == '#')
            continue;
        uint32_t start = (uint32_t)(text - pv_sources_file(sources, file)->text);
        struct pv_span span = {file, start, start + len};
        if (len > PV_MAX_STRING) {
            pv_report(sema->diags, PV_DIAG_SET_FILE, span, "this name is longer than %u bytes", PV_MAX_STRING);
            collector->poisoned = true;
            return;
        }
        add_member(sema, collector, pv_ir_str(pv_intern(sema->arena, text, len)));
    }
}

static void add_file(struct pv_sema *sema, struct collector *collector, const struct pv_named *named)
{
    const struct pv_ast_string *string = &named->decl->set->file;
    collector->poisoned = true;
    if (!string->text.len || string->text.ptr[0] == '/') {
        struct pv_diag *diag = pv_report(sema->diags, PV_DIAG_SET_FILE, string->span,
                                         "the file of a set is named from the folder of the file that declares it");
        pv_diag_hint(sema->diags, diag, "write a path that does not begin with `/`");
        return;
    }
    const struct pv_source_file *declaring = pv_sources_file(&sema->program->sources, string->span.file);
    const char *shown = beside(sema, declaring->path, string->text);
    const char *location = beside(sema, declaring->location ? declaring->location : declaring->path, string->text);
    uint32_t file, at = 0;
    errno = 0;
    int error = pv_sources_add_file(&sema->program->sources, shown, location, &file, &at);
    if (error == PV_E_LIMIT) {
        pv_report(sema->diags, PV_DIAG_SET_FILE, string->span, "`%s` is too long a file", shown);
        return;
    }
    if (error == PV_E_SYNTAX) {
        pv_report(sema->diags, PV_DIAG_SET_FILE, (struct pv_span){file, at, at + 1},
                  "byte %u is not UTF-8 text, or is a NUL byte", at);
        return;
    }
    if (error) {
        pv_report(sema->diags, PV_DIAG_SET_FILE, string->span, "cannot read `%s`: %s", shown,
                  errno ? strerror(errno) : "not a regular file");
        return;
    }
    collector->poisoned = false;
    collector->distinct = true;
    add_lines(sema, collector, file);
    if (!collector->set->n_members && !collector->poisoned) {
        pv_report(sema->diags, PV_DIAG_SET_FILE, string->span, "`%s` holds no name, and no set is empty", shown);
        collector->poisoned = true;
    }
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    struct collector collector = {.set = new_set(sema)};
    collector.set->name = pv_ir_str(named->text);
    if (named->decl->set->set)
        add_items(sema, &collector, named->decl->set->set);
    else
        add_file(sema, &collector, named);
    named->set = collector.set;
    named->poisoned = collector.poisoned;
}

void pv_sema_sets(struct pv_sema *sema)
{
    for (size_t i = 0; i < sema->n_named[PV_NAME_SET]; i++) {
        struct pv_named *user = sema->named[PV_NAME_SET][i];
        if (!user->decl->set->set)
            continue;
        for (struct pv_ast_item *item = user->decl->set->set->first; item; item = item->next) {
            const struct pv_ast_name name = {item->text, item->span};
            struct pv_named *target =
                item->kind == PV_AST_ITEM_NAME ? pv_sema_resolve_once(sema, &item->sema, PV_NAME_SET, &name) : NULL;
            if (target)
                pv_sema_add_use(sema, user, target, item->span);
        }
    }
    pv_sema_in_order(sema, PV_NAME_SET, lower);
}
