/* The arena: chunks in a list, and a hash table of interned texts that lives in them. */
#include "engine/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST_CHUNK  (64u << 10)
#define LARGEST_STEP (4u << 20) /* chunks double up to this size */
#define HUGE_PAGE    (2u << 20)

struct chunk {
    struct chunk *next;
    size_t size; /* of data */
    bool mapped; /* else of calloc() */
    alignas(max_align_t) unsigned char data[];
};

struct entry {
    uint64_t hash;
    struct pv_text text;
};

struct pv_arena {
    struct chunk *chunks; /* the first is the one being filled */
    size_t at;            /* bytes used of it */
    size_t next_size;
    size_t used, limit;
    jmp_buf *guard;
    struct entry *table; /* open addressing, a power of two */
    size_t n_entries, table_size;
};

struct pv_arena *pv_arena_new(size_t limit)
{
    struct pv_arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    arena->limit = limit;
    arena->next_size = FIRST_CHUNK;
    return arena;
}

void pv_arena_free(struct pv_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *chunk = arena->chunks; chunk;) {
        struct chunk *next = chunk->next;
        if (chunk->mapped)
            munmap(chunk, sizeof *chunk + chunk->size);
        else
            free(chunk);
        chunk = next;
    }
    free(arena->table);
    free(arena);
}

jmp_buf *pv_arena_guard(struct pv_arena *arena, jmp_buf *guard)
{
    jmp_buf *outer = arena->guard;
    arena->guard = guard;
    return outer;
}

size_t pv_arena_used(const struct pv_arena *arena)
{
    return arena->used;
}

static void *out_of_memory(struct pv_arena *arena)
{
    if (arena->guard)
        longjmp(*arena->guard, 1);
    return NULL;
}

/* Zeroed memory for a chunk. Large ones come in huge pages where the kernel has them: a compilation touches all of its
 * memory once, and would spend a fifth of its time on page faults. */
static struct chunk *get_chunk(size_t room)
{
    struct chunk *chunk;
    bool mapped = sizeof *chunk + room >= 2 * HUGE_PAGE; /* a small policy needs no whole one */
    if (mapped) {
        chunk = mmap(NULL, sizeof *chunk + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            return NULL;
        (void)madvise(chunk, sizeof *chunk + room, MADV_HUGEPAGE);
    } else {
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk)
            return NULL;
    }
    chunk->size = room;
    chunk->mapped = mapped;
    return chunk;
}

/* A chunk with room for `size`. One of its own for what is large, put behind the chunk being filled, whose rest stays
 * in use. */
static void *new_chunk(struct pv_arena *arena, size_t size)
{
    bool own = size > arena->next_size / 4;
    size_t room = own ? size : arena->next_size - sizeof(struct chunk); /* whole pages with it */
    if (size > SIZE_MAX / 2 || (arena->limit && (arena->used > arena->limit || room > arena->limit - arena->used)))
        return NULL;
    struct chunk *chunk = get_chunk(room);
    if (!chunk)
        return NULL;
    arena->used += room;
    if (own && arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return chunk->data;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = size;
    if (!own && arena->next_size < LARGEST_STEP)
        arena->next_size *= 2;
    return chunk->data;
}

static void *take(struct pv_arena *arena, size_t size)
{
    struct chunk *chunk = arena->chunks;
    size = size > SIZE_MAX / 2 ? size : (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (chunk && size <= chunk->size - arena->at) {
        void *p = chunk->data + arena->at;
        arena->at += size;
        return p;
    }
    return new_chunk(arena, size);
}

void *pv_arena_alloc(struct pv_arena *arena, size_t size)
{
    void *p = take(arena, size ? size : 1); /* chunks are zeroed, and nothing is given twice */
    return p ? p : out_of_memory(arena);
}

void *pv_arena_array(struct pv_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return out_of_memory(arena);
    return pv_arena_alloc(arena, bytes);
}

void *pv_arena_grow(struct pv_arena *arena, void *old, size_t n, size_t *capacity, size_t want, size_t size)
{
    if (want <= *capacity)
        return old;
    size_t wider = *capacity < 8 ? 8 : *capacity * 2;
    if (wider < want)
        wider = want;
    void *p = pv_arena_array(arena, wider, size);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, old, n * size);
    *capacity = wider;
    return p;
}

char *pv_arena_dup(struct pv_arena *arena, const char *bytes, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : take(arena, len + 1);
    if (!copy)
        return out_of_memory(arena);
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *pv_arena_vprintf(struct pv_arena *arena, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    char *text = NULL;
    if (len >= 0 && (size_t)len < sizeof small) {
        text = take(arena, (size_t)len + 1);
        if (text)
            memcpy(text, small, (size_t)len + 1);
    } else if (len >= 0) {
        text = take(arena, (size_t)len + 1);
        if (text)
            vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text ? text : out_of_memory(arena);
}

char *pv_arena_printf(struct pv_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = pv_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

/* Like FNV-1a, eight bytes at a time, with a final mix: short names dominate, and nobody hostile gains from collisions
 * but in their own compilation, which probing bounds to the size of the file. */
static uint64_t hash_bytes(const char *bytes, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u ^ len;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    uint64_t rest = 0;
    switch (len) {
    case 7: rest |= (uint64_t)(unsigned char)bytes[6] << 48; /* fall through */
    case 6: rest |= (uint64_t)(unsigned char)bytes[5] << 40; /* fall through */
    case 5: rest |= (uint64_t)(unsigned char)bytes[4] << 32; /* fall through */
    case 4: rest |= (uint64_t)(unsigned char)bytes[3] << 24; /* fall through */
    case 3: rest |= (uint64_t)(unsigned char)bytes[2] << 16; /* fall through */
    case 2: rest |= (uint64_t)(unsigned char)bytes[1] << 8;  /* fall through */
    case 1: rest |= (unsigned char)bytes[0]; break;
    default: break;
    }
    hash = (hash ^ rest) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ (hash >> 32);
}

static bool widen_table(struct pv_arena *arena)
{
    size_t size = arena->table_size ? arena->table_size * 2 : 1024;
    struct entry *table = calloc(size, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < arena->table_size; i++) {
        if (!arena->table[i].text.ptr)
            continue;
        size_t at = arena->table[i].hash & (size - 1);
        while (table[at].text.ptr)
            at = (at + 1) & (size - 1);
        table[at] = arena->table[i];
    }
    free(arena->table);
    arena->table = table;
    arena->table_size = size;
    return true;
}

struct pv_text pv_intern(struct pv_arena *arena, const char *bytes, size_t len)
{
    const struct pv_text none = {NULL, 0};
    if (len >= UINT32_MAX || (arena->n_entries * 2 >= arena->table_size && !widen_table(arena))) {
        out_of_memory(arena);
        return none;
    }
    uint64_t hash = hash_bytes(bytes, len);
    size_t at = hash & (arena->table_size - 1);
    for (; arena->table[at].text.ptr; at = (at + 1) & (arena->table_size - 1)) {
        const struct entry *entry = &arena->table[at];
        if (entry->hash == hash && entry->text.len == len && memcmp(entry->text.ptr, bytes, len) == 0)
            return entry->text;
    }
    const char *copy = pv_arena_dup(arena, bytes, len);
    if (!copy)
        return none;
    arena->table[at] = (struct entry){hash, {copy, (uint32_t)len}};
    arena->n_entries++;
    return arena->table[at].text;
}

struct pv_text pv_intern_z(struct pv_arena *arena, const char *text)
{
    return pv_intern(arena, text, strlen(text));
}
