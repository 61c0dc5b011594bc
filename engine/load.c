/* Loads a file and what it imports, depth first: an import is read where it stands, so that the declarations of the
 * program come out in the order that language.md gives them. */
#include "engine/load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/parse.h"
#include "runtime/proviso.h"

#define MAX_PATH_LEN 4095u

/* A file that has been read, by source index. */
struct loaded {
    struct pv_file *tree;   /* NULL: it could not be parsed */
    const char *folder;     /* its location's folder with a `/`, "" for the current one */
    const char *shown;      /* the folder part of its shown path, "" for the root file's or a library's own */
    bool open;              /* being loaded: importing it is a circle */
    struct pv_span through; /* of the import that is being followed, while open */
};

struct loader {
    struct pv_program *program;
    const struct pv_load_options *options;
    struct loaded *files; /* as many as program->sources.n_files */
    size_t capacity, decl_capacity;
    uint32_t *chain; /* source indices being loaded, outermost first */
    size_t depth, chain_capacity;
};

struct pv_file *pv_program_file(const struct pv_program *program, uint32_t file)
{
    for (uint32_t i = 0; i < program->n_files; i++) {
        if (program->files[i]->file == file)
            return program->files[i];
    }
    return NULL;
}

/* The folder of a path with its `/`, "" where it has none. */
static const char *folder_of(struct pv_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? pv_arena_dup(arena, path, (size_t)(slash + 1 - path)) : "";
}

/* ---- Files that cannot be used ---- */

static const char *reason(int rc, uint32_t limit)
{
    static _Thread_local char text[96];
    if (rc == PV_E_LIMIT) {
        snprintf(text, sizeof text, "it is longer than %u bytes", limit ? limit : PV_SOURCE_LIMIT);
        return text;
    }
    return errno == EINVAL ? "it is not a regular file" : strerror(errno);
}

/* Reports why a file could not be read; `at` is the import, or none for the file that was asked for. */
static void report_unreadable(struct loader *l, int rc, const char *path, struct pv_span at)
{
    enum pv_diag_code code = rc == PV_E_LIMIT ? PV_DIAG_TOO_LONG : PV_DIAG_CANNOT_READ;
    pv_report(&l->program->diags, code, at, "cannot read %s: %s", path, reason(rc, l->options->limit));
}

static void report_encoding(struct loader *l, uint32_t file, uint32_t offset)
{
    const struct pv_source_file *source = pv_sources_file(&l->program->sources, file);
    struct pv_span span = {file, offset, offset + 1};
    unsigned byte = (unsigned char)source->text[offset];
    if (byte == 0)
        pv_report(&l->program->diags, PV_DIAG_BAD_ENCODING, span,
                  "byte %u of the file is a NUL byte, which text does not hold", offset);
    else
        pv_report(&l->program->diags, PV_DIAG_BAD_ENCODING, span, "byte %u of the file (0x%02x) is not UTF-8", offset,
                  byte);
}

/* ---- Finding imports ---- */

static bool usable_path(struct loader *l, const struct pv_ast_string *path)
{
    struct pv_diags *diags = &l->program->diags;
    if (path->text.len == 0)
        pv_report(diags, PV_DIAG_IMPORT_PATH, path->span, "an import names a file");
    else if (path->text.len > MAX_PATH_LEN)
        pv_report(diags, PV_DIAG_IMPORT_PATH, path->span, "a path has at most %u bytes", MAX_PATH_LEN);
    else if (path->text.ptr[0] == '/')
        pv_diag_hint(diags,
                     pv_report(diags, PV_DIAG_IMPORT_PATH, path->span,
                               "an import is looked up beside this file and in the policy library, never by an "
                               "absolute path"),
                     "a path like \"std/apt.policy\"");
    else
        return true;
    return false;
}

static int find_same(const struct pv_sources *sources, const struct pv_source_file *file, uint32_t before)
{
    for (uint32_t i = 0; i < before; i++) {
        const struct pv_source_file *other = sources->files[i];
        if (other->inode && other->device == file->device && other->inode == file->inode)
            return (int)i;
    }
    return -1;
}

/* `./a/../b` to `b`, as far as the text goes: shown paths have one form. */
static const char *tidy(struct pv_arena *arena, const char *path)
{
    size_t len = strlen(path), n = 0;
    char *out = pv_arena_alloc(arena, len + 2);
    for (const char *p = path; *p;) {
        const char *end = strchrnul(p, '/');
        size_t part = (size_t)(end - p);
        bool dot = part == 1 && *p == '.', up = part == 2 && p[0] == '.' && p[1] == '.';
        if (up && n > 0 && !(n >= 3 && memcmp(out + n - 3, "../", 3) == 0)) {
            n--; /* the `/` */
            while (n > 0 && out[n - 1] != '/')
                n--;
        } else if (part && !dot) {
            memcpy(out + n, p, part);
            n += part;
            out[n++] = '/';
        }
        p = *end ? end + 1 : end;
    }
    out[n ? n - 1 : 0] = '\0';
    return out;
}

/* What following an import came to. */
enum found { NOT_HERE, READ, REFUSED };

static enum found try_read(struct loader *l, const char *shown, const char *location, bool library,
                           const struct pv_ast_string *path, uint32_t *file)
{
    struct pv_sources *sources = &l->program->sources;
    uint32_t at;
    int rc = pv_sources_add_file(sources, shown, location, file, &at);
    if (rc == PV_E_IO && (errno == ENOENT || errno == ENOTDIR))
        return NOT_HERE;
    if (rc == PV_E_IO || rc == PV_E_LIMIT) {
        report_unreadable(l, rc, location, path->span);
        return REFUSED;
    }
    sources->files[*file]->library = library;
    int same = find_same(sources, sources->files[*file], *file);
    if (same >= 0) {
        sources->n_files = *file; /* read a second time for nothing: forgotten */
        *file = (uint32_t)same;
        return READ;
    }
    if (rc == PV_E_SYNTAX)
        report_encoding(l, *file, at);
    return READ;
}

static enum found find_import(struct loader *l, uint32_t importer, const struct pv_ast_string *path, uint32_t *file)
{
    struct pv_arena *arena = l->program->arena;
    const struct loaded *from = &l->files[importer];
    bool library = l->program->sources.files[importer]->library;
    const char *name = path->text.ptr;

    const char *beside = pv_arena_printf(arena, "%s%s", from->folder, name);
    const char *shown = tidy(arena, pv_arena_printf(arena, "%s%s", from->shown, name));
    enum found found = try_read(l, shown, beside, library, path, file);
    for (size_t i = 0; found == NOT_HERE && i < l->options->n_library; i++) {
        const char *location = pv_arena_printf(arena, "%s/%s", l->options->library[i], name);
        found = try_read(l, tidy(arena, name), location, true, path, file);
    }
    if (found != NOT_HERE)
        return found;

    struct pv_diag *diag =
        pv_report(&l->program->diags, PV_DIAG_IMPORT_NOT_FOUND, path->span, "there is no file \"%s\" to import", name);
    const char *tried = beside;
    for (size_t i = 0; i < l->options->n_library; i++)
        tried = pv_arena_printf(arena, "%s, %s/%s", tried, l->options->library[i], name);
    pv_diag_hint(&l->program->diags, diag, "tried %s", tried);
    return REFUSED;
}

/* ---- Order and rules of imports ---- */

static void report_cycle(struct loader *l, uint32_t file, const struct pv_ast_string *path)
{
    struct pv_arena *arena = l->program->arena;
    const char *chain = NULL;
    for (size_t i = 0; i < l->depth; i++) {
        if (!chain && l->chain[i] != file)
            continue;
        const char *name = l->program->sources.files[l->chain[i]]->path;
        chain = chain ? pv_arena_printf(arena, "%s imports %s", chain, name) : name;
    }
    const char *name = l->program->sources.files[file]->path;
    struct pv_diag *diag = pv_report(&l->program->diags, PV_DIAG_IMPORT_CYCLE, path->span,
                                     "files import each other in a circle: %s imports %s", chain, name);
    for (size_t i = 0; i + 1 < l->depth; i++) {
        if (l->files[l->chain[i]].open && l->chain[i] >= file)
            pv_diag_related(&l->program->diags, diag, l->files[l->chain[i]].through, "imported here");
    }
}

static void add_decl(struct loader *l, struct pv_ast_decl *decl)
{
    struct pv_program *program = l->program;
    program->decls = pv_arena_grow(program->arena, program->decls, program->n_decls, &l->decl_capacity,
                                   (size_t)program->n_decls + 1, sizeof *program->decls);
    program->decls[program->n_decls++] = decl;
}

/* Whether a file holds nothing but imports and tests, and so may import a root file. */
static const struct pv_ast_decl *other_than_tests(const struct pv_file *file)
{
    for (const struct pv_ast_decl *decl = file->first; decl; decl = decl->next) {
        if (decl->kind != PV_AST_DECL_IMPORT && decl->kind != PV_AST_DECL_TEST)
            return decl;
    }
    return NULL;
}

static void check_root_import(struct loader *l, const struct pv_file *importer, const struct pv_ast_decl *import,
                              struct pv_file *imported)
{
    struct pv_program *program = l->program;
    const struct pv_ast_decl *other = other_than_tests(importer);
    const char *path = program->sources.files[imported->file]->path;
    if (other) {
        struct pv_diag *diag = pv_report(&program->diags, PV_DIAG_IMPORT_ROOT, import->import->path.span,
                                         "%s is a root policy and cannot be imported here", path);
        pv_diag_related(&program->diags, diag, imported->policy->keyword, "its `policy` statement");
        pv_diag_related(&program->diags, diag, other->keyword,
                        "only a file that holds nothing but imports and tests may import it; this one has more");
    } else if (program->root && program->root != imported) {
        struct pv_diag *diag = pv_report(&program->diags, PV_DIAG_IMPORT_ROOT, import->import->path.span,
                                         "%s is a second root policy: one is the most", path);
        pv_diag_related(&program->diags, diag, program->root->policy->keyword, "the first one");
    } else {
        program->root = imported;
    }
}

/* Tells `direct` in libraries: files without `policy`, the one that was asked for included. */
static void check_directs(struct pv_program *program)
{
    for (uint32_t i = 0; i < program->n_files; i++) {
        if (program->files[i]->policy)
            continue;
        for (const struct pv_ast_decl *decl = program->files[i]->first; decl; decl = decl->next) {
            if (decl->kind != PV_AST_DECL_RULE || decl->rule->kind != PV_AST_DIRECT)
                continue;
            struct pv_diag *diag = pv_report(&program->diags, PV_DIAG_LIBRARY_DIRECT, decl->rule->keyword,
                                             "a library cannot hold `direct`");
            pv_diag_hint(&program->diags, diag, "only a root file, which starts with `policy`, decides who is direct");
        }
    }
}

static void load_file(struct loader *l, uint32_t file);

static void follow(struct loader *l, const struct pv_file *importer, struct pv_ast_decl *decl)
{
    struct pv_program *program = l->program;
    struct pv_ast_import *import = decl->import;
    uint32_t file;
    if (!usable_path(l, &import->path))
        return;
    if (program->sources.n_files >= PV_LOAD_MAX_FILES || l->depth >= 256) {
        pv_report(&program->diags, PV_DIAG_IMPORT_LIMIT, import->path.span,
                  "a policy has at most %u files, imported at most 256 deep", PV_LOAD_MAX_FILES);
        return;
    }
    uint32_t known = program->sources.n_files;
    if (find_import(l, importer->file, &import->path, &file) != READ)
        return;
    import->file = file;
    if (file >= known) {
        l->files[importer->file].through = import->path.span;
        load_file(l, file);
    } else if (l->files[file].open) {
        report_cycle(l, file, &import->path);
        return;
    }
    struct pv_file *tree = l->files[file].tree;
    if (tree && tree->policy)
        check_root_import(l, importer, decl, tree);
}

/* Parses a file that has just been read, follows its imports and appends it to the program. */
static void load_file(struct loader *l, uint32_t file)
{
    struct pv_program *program = l->program;
    struct pv_arena *arena = program->arena;
    const struct pv_source_file *source = program->sources.files[file];

    l->files = pv_arena_grow(arena, l->files, file, &l->capacity, (size_t)file + 1, sizeof *l->files);
    bool root = file == 0;
    l->files[file] = (struct loaded){
        .folder = source->location ? folder_of(arena, source->location) : "",
        .shown = root ? "" : folder_of(arena, source->path),
        .open = true,
    };
    if (source->refused) {
        l->files[file].open = false;
        return;
    }
    l->chain = pv_arena_grow(arena, l->chain, l->depth, &l->chain_capacity, l->depth + 1, sizeof *l->chain);
    l->chain[l->depth++] = file;

    struct pv_file *tree = NULL;
    pv_parse_file(arena, &program->sources, &program->diags, file, &tree);
    l->files[file].tree = tree;
    for (struct pv_ast_decl *decl = tree->first; decl; decl = decl->next) {
        add_decl(l, decl);
        if (decl->kind == PV_AST_DECL_IMPORT && !l->options->alone)
            follow(l, tree, decl);
    }
    program->files = pv_arena_grow(arena, program->files, program->n_files, &program->capacity,
                                   (size_t)program->n_files + 1, sizeof *program->files);
    program->files[program->n_files++] = tree;
    l->depth--;
    l->files[file].open = false;
}

/* ---- Entry points ---- */

/* The main file, by path or from memory (text != NULL), with the arena's guard set. */
static void load_main(struct loader *l, const char *path, const char *text, size_t len)
{
    struct pv_program *program = l->program;
    const char *slash = strrchr(path, '/');
    const char *shown = slash && slash[1] ? slash + 1 : path;
    uint32_t file, at;
    int rc = text ? pv_sources_add_text(&program->sources, shown, text, len, &file, &at)
                  : pv_sources_add_file(&program->sources, shown, path, &file, &at);
    if (rc == PV_E_IO || rc == PV_E_LIMIT) {
        report_unreadable(l, rc, path, PV_NO_SPAN);
        return;
    }
    if (text)
        program->sources.files[file]->location = pv_arena_dup(program->arena, path, strlen(path));
    if (rc == PV_E_SYNTAX)
        report_encoding(l, file, at);
    load_file(l, file);
    program->main = l->files[file].tree;
    if (program->main && program->main->policy)
        program->root = program->main;
    if (!l->options->alone)
        check_directs(program);
}

static int load(struct pv_arena *arena, const char *path, const char *text, size_t len,
                const struct pv_load_options *options, struct pv_program **out)
{
    static const struct pv_load_options none;
    jmp_buf guard;
    jmp_buf *volatile outer = pv_arena_guard(arena, NULL);
    *out = NULL;
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        if (outer)
            longjmp(*outer, 1);
        return PV_E_NOMEM;
    }
    pv_arena_guard(arena, &guard);

    struct pv_program *program = PV_NEW(arena, struct pv_program);
    struct loader loader = {.program = program, .options = options ? options : &none};
    program->arena = arena;
    pv_sources_init(&program->sources, arena);
    program->sources.limit = loader.options->limit;
    pv_diags_init(&program->diags, arena, &program->sources);
    load_main(&loader, path, text, len);

    pv_arena_guard(arena, outer);
    *out = program;
    return 0;
}

int pv_load_program(struct pv_arena *arena, const char *path, const struct pv_load_options *options,
                    struct pv_program **out)
{
    return load(arena, path, NULL, 0, options, out);
}

int pv_load_text(struct pv_arena *arena, const char *path, const char *text, size_t len,
                 const struct pv_load_options *options, struct pv_program **out)
{
    return load(arena, path, text, len, options, out);
}
