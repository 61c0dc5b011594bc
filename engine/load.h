/* A root file and everything that it imports, read and parsed.
 *
 * An import is looked up beside the importing file, then in each library directory. A file is read once, however often
 * it is imported and by whatever path (device and inode tell). */
#ifndef PROVISO_ENGINE_LOAD_H
#define PROVISO_ENGINE_LOAD_H

#include "engine/arena.h"
#include "engine/ast.h"
#include "engine/diag.h"
#include "engine/source.h"

#define PV_LOAD_MAX_FILES 4096u

struct pv_load_options {
    const char *const *library; /* policy library directories, in order; may be NULL */
    size_t n_library;
    uint32_t limit; /* bytes of one file; 0: PV_SOURCE_LIMIT */
    bool alone;     /* this file's text only: imports are not followed, and not missed */
};

/* All files of a policy. */
struct pv_program {
    struct pv_arena *arena;
    struct pv_sources sources;
    struct pv_diags diags;
    /* In import order: a file stands behind those that it imports. */
    struct pv_file **files;
    uint32_t n_files;
    size_t capacity;
    /* Every declaration of every file in order: an import's stand directly behind the import statement that brought its
     * file in first. decl->span.file tells the file. */
    struct pv_ast_decl **decls;
    uint32_t n_decls;
    struct pv_file *main; /* the file that was asked for; also in `files`, last. NULL where it could not be read */
    /* The file with the `policy` statement: main, or the one that a file of tests imports; NULL: a library. */
    struct pv_file *root;
};

/* Reads and parses the file at `path` ("-": standard input) and its imports. The program is made in and lives with
 * `arena` (which the caller frees). Errors, unreadable files included, are in (*out)->diags.
 * 0, or PV_E_NOMEM (then *out is NULL). */
int pv_load_program(struct pv_arena *arena, const char *path, const struct pv_load_options *options,
                    struct pv_program **out);
/* The same from text in memory, shown as `path`; imports are looked up beside `path`. */
int pv_load_text(struct pv_arena *arena, const char *path, const char *text, size_t len,
                 const struct pv_load_options *options, struct pv_program **out);

/* The parsed file of a source index, NULL where it was not parsed. */
struct pv_file *pv_program_file(const struct pv_program *program, uint32_t file);

#endif
