/* One arena per compilation: everything that reading, checking and compiling a policy allocates, freed at once.
 *
 * Out of memory (also: over the arena's limit) ends the whole compilation, so it is handled in one place: the entry
 * point of a pass sets a guard,
 *
 *     jmp_buf guard;
 *     if (setjmp(guard))
 *         return PV_E_NOMEM;          // arena intact, still to be freed by its owner
 *     jmp_buf *outer = pv_arena_guard(arena, &guard);
 *     ... work; allocations never return NULL ...
 *     pv_arena_guard(arena, outer);
 *
 * and inside the guard every allocation succeeds. Code in a guard MUST hold nothing that needs freeing but the arena,
 * and locals that the setjmp branch reads are volatile. Without a guard, functions return NULL (or empty text). */
#ifndef PROVISO_ENGINE_ARENA_H
#define PROVISO_ENGINE_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pv_arena;

/* Interned text: two texts of one arena are equal exactly when their `ptr` are equal. UTF-8, never holds a NUL byte,
 * NUL-terminated. ptr == NULL: no text at all ("" is a text). */
struct pv_text {
    const char *ptr;
    uint32_t len; /* bytes, without the terminator */
};

/* A new arena, or NULL. `limit` is the most bytes that it may hold, 0 for no limit. */
struct pv_arena *pv_arena_new(size_t limit);
/* Frees the arena and all that came from it; NULL is fine. */
void pv_arena_free(struct pv_arena *arena);
/* Sets where to jump when memory ends (NULL: nowhere, return NULL); gives the previous guard back. */
jmp_buf *pv_arena_guard(struct pv_arena *arena, jmp_buf *guard);
/* Bytes held, for statistics and limits. */
size_t pv_arena_used(const struct pv_arena *arena);

/* Zeroed memory aligned for any object; size 0 gives a valid pointer. */
void *pv_arena_alloc(struct pv_arena *arena, size_t size);
/* Room for n objects; overflow of n * size is out of memory. */
void *pv_arena_array(struct pv_arena *arena, size_t n, size_t size);
/* Grows an array of the arena to hold at least `want` objects: returns `old` where *capacity suffices, else a copy of
 * at least double the capacity (the old one stays allocated). */
void *pv_arena_grow(struct pv_arena *arena, void *old, size_t n, size_t *capacity, size_t want, size_t size);
/* A NUL-terminated copy, not interned. */
char *pv_arena_dup(struct pv_arena *arena, const char *bytes, size_t len);
char *pv_arena_printf(struct pv_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *pv_arena_vprintf(struct pv_arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* The interned text of these bytes. */
struct pv_text pv_intern(struct pv_arena *arena, const char *bytes, size_t len);
struct pv_text pv_intern_z(struct pv_arena *arena, const char *text);

/* One object of a type: PV_NEW(arena, struct pv_ast_rule). */
#define PV_NEW(arena, type) ((type *)pv_arena_alloc((arena), sizeof(type)))

#endif
