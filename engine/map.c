/* Pointers are spread by a multiplication, so that the low bits, which alignment keeps zero, do not decide the place.
 */
#include "engine/map.h"

#include <stdint.h>

static size_t place(const struct pv_map *map, const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 32) & (map->capacity - 1);
    while (map->entries[at].key && map->entries[at].key != key)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

void *pv_map_get(const struct pv_map *map, const void *key)
{
    if (!map->capacity)
        return NULL;
    return map->entries[place(map, key)].value;
}

static void grow(struct pv_map *map, struct pv_arena *arena)
{
    struct pv_map larger = {.n = map->n, .capacity = map->capacity ? map->capacity * 2 : 16};
    larger.entries = pv_arena_array(arena, larger.capacity, sizeof *larger.entries);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key)
            larger.entries[place(&larger, map->entries[i].key)] = map->entries[i];
    *map = larger;
}

void **pv_map_put(struct pv_map *map, struct pv_arena *arena, const void *key)
{
    if (2 * (map->n + 1) > map->capacity)
        grow(map, arena);
    struct pv_map_entry *entry = &map->entries[place(map, key)];
    if (!entry->key) {
        entry->key = key;
        map->n++;
    }
    return &entry->value;
}
