/* A map from interned pointers to pointers, in an arena: the name tables of semantic analysis. Open addressing, never
 * more than half full; nothing is ever removed. */
#ifndef PROVISO_ENGINE_MAP_H
#define PROVISO_ENGINE_MAP_H

#include <stddef.h>

#include "engine/arena.h"

struct pv_map {
    struct pv_map_entry {
        const void *key; /* NULL: free */
        void *value;
    } * entries;
    size_t n, capacity; /* capacity is a power of two, or 0 */
};

/* The value, or NULL. key is not NULL. */
void *pv_map_get(const struct pv_map *map, const void *key);
/* Where the value of key is kept: NULL there for a new key. Valid until the next call; needs a guarded arena. */
void **pv_map_put(struct pv_map *map, struct pv_arena *arena, const void *key);

#endif
