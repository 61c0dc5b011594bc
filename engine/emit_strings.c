/* The bundle's operands: strings, integers, globs and sets, each once, in an order that the policy's text alone fixes.
 *
 * Strings are interned in order of first use, then sorted by bytes; rows made before the sort are renumbered by the
 * table `string_fields`. Sets are compared by content, after the sort. */
#include <stdlib.h>
#include <string.h>

#include "engine/emit.h"

/* Slots a string at most: STRHASH over this size means strings made to collide. */
#define MAX_SLOTS_PER_STRING 64u

/* ---- Interning ---- */

static void rehash(struct pv_emit *emit, size_t n_slots)
{
    emit->string_slots = pv_arena_array(emit->arena, n_slots, sizeof(uint32_t));
    emit->n_string_slots = n_slots;
    for (size_t i = 1; i < emit->n_strings; i++) {
        size_t slot = emit->strings[i].hash & (n_slots - 1);
        while (emit->string_slots[slot])
            slot = (slot + 1) & (n_slots - 1);
        emit->string_slots[slot] = (uint32_t)i;
    }
}

void pv_emit_strings_init(struct pv_emit *emit)
{
    emit->strings = pv_arena_grow(emit->arena, NULL, 0, &emit->strings_capacity, 256, sizeof(emit->strings[0]));
    emit->strings[0] = (struct pv_emit_string){"", 0, 0};
    emit->n_strings = 1;
    rehash(emit, 512);
    emit->set_index = pv_arena_array(emit->arena, emit->ir->n_sets, sizeof(uint32_t));
    for (uint32_t i = 0; i < emit->ir->n_sets; i++)
        emit->set_index[i] = UINT32_MAX;
}

uint32_t pv_emit_intern(struct pv_emit *emit, struct pv_ir_str string)
{
    if (string.len == 0)
        return 0;
    uint64_t hash = pv_hash(string.ptr, string.len);
    size_t mask = emit->n_string_slots - 1;
    size_t slot = hash & mask;
    for (; emit->string_slots[slot]; slot = (slot + 1) & mask) {
        const struct pv_emit_string *known = &emit->strings[emit->string_slots[slot]];
        if (known->hash == hash && known->len == string.len && memcmp(known->ptr, string.ptr, string.len) == 0)
            return emit->string_slots[slot];
    }
    uint32_t number = (uint32_t)emit->n_strings;
    emit->strings = pv_arena_grow(emit->arena, emit->strings, emit->n_strings, &emit->strings_capacity,
                                  emit->n_strings + 1, sizeof(emit->strings[0]));
    emit->strings[emit->n_strings++] = (struct pv_emit_string){string.ptr, string.len, hash};
    emit->string_slots[slot] = number;
    if (emit->n_strings * 2 > emit->n_string_slots)
        rehash(emit, emit->n_string_slots * 2);
    return number;
}

void pv_emit_use_set(struct pv_emit *emit, const struct pv_ir_set *set)
{
    if (emit->set_index[set->index] != UINT32_MAX)
        return;
    emit->set_index[set->index] = 0;
    pv_emit_intern(emit, set->name);
    for (uint32_t i = 0; i < set->n_members; i++)
        pv_emit_intern(emit, set->members[i]);
    for (uint32_t i = 0; i < set->n_globs; i++)
        pv_emit_intern(emit, set->globs[i].text);
    if (set->except)
        pv_emit_use_set(emit, set->except);
}

/* ---- The freeze ---- */

/* Every row field that holds a string. */
static const struct {
    enum pvb_section section;
    size_t offset;
} string_fields[] = {
    {PVB_ATTRS, offsetof(struct pvb_attr, path)},
    {PVB_ZONES, 0},
    {PVB_WINDOWS, offsetof(struct pvb_window, name)},
    {PVB_SOURCES, offsetof(struct pvb_source, name)},
    {PVB_SOURCES, offsetof(struct pvb_source, type)},
    {PVB_SOURCES, offsetof(struct pvb_source, location)},
    {PVB_SOURCES, offsetof(struct pvb_source, credentials)},
    {PVB_SOURCES, offsetof(struct pvb_source, key)},
    {PVB_COMMANDS, offsetof(struct pvb_command, name)},
    {PVB_COMMANDS, offsetof(struct pvb_command, provider)},
    {PVB_COMMANDS, offsetof(struct pvb_command, account)},
    {PVB_PARAMETERS, offsetof(struct pvb_parameter, name)},
    {PVB_ENVIRONMENT, offsetof(struct pvb_env, name)},
    {PVB_ENVIRONMENT, offsetof(struct pvb_env, value)},
    {PVB_RULES, offsetof(struct pvb_rule, id)},
    {PVB_CLAUSES, offsetof(struct pvb_clause, text)},
    {PVB_TEXTS, 0},
    {PVB_ANNOTATIONS, offsetof(struct pvb_annotation, name)},
    {PVB_ANNOTATIONS, offsetof(struct pvb_annotation, value)},
    {PVB_DUTIES, offsetof(struct pvb_duty, text)},
};

/* The first eight bytes, so that most comparisons touch no text. A shorter string is padded with zeros, which no
 * string holds. */
struct sort_key {
    uint64_t prefix;
    uint32_t number;
};

static uint64_t prefix_of(const struct pv_emit_string *string)
{
    uint64_t prefix = 0;
    for (uint32_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < string->len ? (unsigned char)string->ptr[i] : 0);
    return prefix;
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct sort_key *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    const struct pv_emit_string *strings = context, *s = &strings[x->number], *t = &strings[y->number];
    size_t common = s->len < t->len ? s->len : t->len;
    int order = memcmp(s->ptr, t->ptr, common);
    return order ? order : (s->len > t->len) - (s->len < t->len);
}

static void sort_strings(struct pv_emit *emit)
{
    struct sort_key *keys = pv_arena_array(emit->arena, emit->n_strings, sizeof(*keys));
    for (uint32_t i = 0; i < emit->n_strings; i++)
        keys[i] = (struct sort_key){prefix_of(&emit->strings[i]), i};
    qsort_r(keys, emit->n_strings, sizeof(*keys), compare_keys, emit->strings); /* "" stays first */

    size_t bytes = 0;
    for (size_t i = 0; i < emit->n_strings; i++)
        bytes += (size_t)emit->strings[i].len + 1;
    if (bytes > PVB_MAX_FILE / 2) {
        pv_emit_refuse(emit, PV_NO_SPAN, "the policy's strings take %zu bytes; a bundle holds at most %u", bytes,
                       PVB_MAX_FILE / 2);
        return;
    }
    struct pv_emit_array *text = &emit->section[PVB_BYTES];
    text->rows = pv_arena_alloc(emit->arena, bytes);
    emit->final = pv_arena_array(emit->arena, emit->n_strings, sizeof(uint32_t));
    emit->number_of = pv_arena_array(emit->arena, emit->n_strings, sizeof(uint32_t));
    for (uint32_t i = 0; i < emit->n_strings; i++) {
        const struct pv_emit_string *string = &emit->strings[keys[i].number];
        emit->final[keys[i].number] = i;
        emit->number_of[i] = keys[i].number;
        struct pvb_str *row = pv_emit_row(emit, PVB_STRINGS);
        *row = (struct pvb_str){(uint32_t)text->n, string->len};
        memcpy((char *)text->rows + text->n, string->ptr, string->len);
        text->n += (size_t)string->len + 1;
    }
}

/* Fills the table; false where a run of taken slots is longer than readers accept. A run, and not the distance of a
 * present string alone, since a lookup of an absent one walks to the run's end. */
static bool fill_hash(const struct pv_emit *emit, uint32_t *slots, size_t n_slots)
{
    memset(slots, 0, n_slots * sizeof(uint32_t));
    for (uint32_t i = 1; i < emit->n_strings; i++) {
        size_t slot = emit->strings[emit->number_of[i]].hash & (n_slots - 1);
        size_t steps = 0;
        while (slots[slot] && ++steps < PVB_MAX_PROBE)
            slot = (slot + 1) & (n_slots - 1);
        if (steps >= PVB_MAX_PROBE)
            return false;
        slots[slot] = i;
    }
    size_t run = 0;
    for (size_t i = 0; i < 2 * n_slots && run < PVB_MAX_PROBE; i++) /* twice: a run may go over the end */
        run = slots[i & (n_slots - 1)] ? run + 1 : 0;
    return run < PVB_MAX_PROBE;
}

static void build_hash(struct pv_emit *emit)
{
    size_t n_slots = 4;
    while (n_slots < emit->n_strings * 2)
        n_slots *= 2;
    for (; n_slots <= (emit->n_strings + 1) * MAX_SLOTS_PER_STRING; n_slots *= 2) {
        uint32_t *slots = pv_arena_array(emit->arena, n_slots, sizeof(uint32_t));
        if (fill_hash(emit, slots, n_slots)) {
            emit->section[PVB_STRHASH] = (struct pv_emit_array){slots, n_slots, n_slots};
            return;
        }
    }
    pv_emit_refuse(emit, PV_NO_SPAN, "the policy's strings collide in the bundle's hash table");
}

static int compare_ints(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_ints(struct pv_emit *emit)
{
    struct pv_emit_array *ints = &emit->section[PVB_INTS];
    int64_t *values = ints->rows;
    if (ints->n == 0)
        return;
    qsort(values, ints->n, sizeof(int64_t), compare_ints);
    size_t kept = 1;
    for (size_t i = 1; i < ints->n; i++)
        if (values[i] != values[kept - 1])
            values[kept++] = values[i];
    ints->n = kept;
}

void pv_emit_freeze(struct pv_emit *emit)
{
    sort_strings(emit);
    if (emit->refused)
        return;
    build_hash(emit);
    sort_ints(emit);
    for (size_t f = 0; f < sizeof(string_fields) / sizeof(string_fields[0]); f++) {
        struct pv_emit_array *array = &emit->section[string_fields[f].section];
        if (array->n == 0)
            continue;
        unsigned char *field = (unsigned char *)array->rows + string_fields[f].offset;
        size_t size = pv_emit_row_size(string_fields[f].section);
        for (size_t i = 0; i < array->n; i++, field += size) {
            uint32_t *string = (uint32_t *)(void *)field;
            *string = emit->final[*string];
        }
    }
    struct pv_emit_array *templates = &emit->section[PVB_TEMPLATES];
    for (size_t i = 0; i < templates->n; i++) {
        struct pvb_template *row = (struct pvb_template *)templates->rows + i;
        if (row->kind == PVB_T_LITERAL)
            row->ref = emit->final[row->ref];
    }
}

/* ---- Operands, after the freeze ---- */

static uint32_t final_of(struct pv_emit *emit, struct pv_ir_str string)
{
    return emit->final[pv_emit_intern(emit, string)]; /* known: interned before the freeze */
}

static uint32_t glob_index(struct pv_emit *emit, const struct pv_ir_glob *glob)
{
    uint32_t text = final_of(emit, glob->text);
    if (emit->glob_of[text] != UINT32_MAX)
        return emit->glob_of[text];
    if (glob->n_tokens > PVB_MAX_GLOB_TOKENS) {
        pv_emit_refuse(emit, PV_NO_SPAN, "the pattern \"%.*s\" has more than %u characters", (int)glob->text.len,
                       glob->text.ptr, PVB_MAX_GLOB_TOKENS);
        return 0;
    }
    uint32_t index = pv_emit_count(emit, PVB_GLOBS);
    struct pvb_glob *row = pv_emit_row(emit, PVB_GLOBS);
    *row = (struct pvb_glob){pv_emit_count(emit, PVB_GLOB_TOKENS), glob->n_tokens, text};
    for (uint32_t i = 0; i < glob->n_tokens; i++)
        *(uint32_t *)pv_emit_row(emit, PVB_GLOB_TOKENS) = glob->tokens[i];
    emit->glob_of[text] = index;
    return index;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorts the rows from `first` on and drops repeated ones. */
static uint32_t sort_unique(struct pv_emit *emit, enum pvb_section section, uint32_t first)
{
    struct pv_emit_array *array = &emit->section[section];
    if (array->n == first)
        return 0;
    uint32_t *rows = (uint32_t *)array->rows + first;
    size_t n = array->n - first, kept = 1;
    qsort(rows, n, sizeof(uint32_t), compare_u32);
    for (size_t i = 1; i < n; i++)
        if (rows[i] != rows[kept - 1])
            rows[kept++] = rows[i];
    array->n = first + kept;
    return (uint32_t)kept;
}

static const uint32_t *u32_rows(const struct pv_emit *emit, enum pvb_section section, uint32_t first)
{
    return (const uint32_t *)emit->section[section].rows + first;
}

static bool same_rows(const struct pv_emit *emit, enum pvb_section section, uint32_t a, uint32_t b, uint32_t n)
{
    return n == 0 || memcmp(u32_rows(emit, section, a), u32_rows(emit, section, b), (size_t)n * sizeof(uint32_t)) == 0;
}

static bool same_set(const struct pv_emit *emit, const struct pvb_set *a, const struct pvb_set *b)
{
    return a->name == b->name && a->except == b->except && a->n_members == b->n_members && a->n_globs == b->n_globs &&
           same_rows(emit, PVB_SET_MEMBERS, a->first_member, b->first_member, a->n_members) &&
           same_rows(emit, PVB_SET_GLOBS, a->first_glob, b->first_glob, a->n_globs);
}

static uint64_t hash_set(const struct pv_emit *emit, const struct pvb_set *set)
{
    uint64_t hash = set->name ^ (uint64_t)set->except << 32;
    for (uint32_t i = 0; i < set->n_members; i++)
        hash = (hash ^ *u32_rows(emit, PVB_SET_MEMBERS, set->first_member + i)) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < set->n_globs; i++)
        hash = (hash ^ *u32_rows(emit, PVB_SET_GLOBS, set->first_glob + i)) * 0xc2b2ae3d27d4eb4fu;
    return hash ^ hash >> 32;
}

/* Rows for one set; taken back where an equal set stands already. `slots`: open addressing, index + 1. */
static uint32_t add_set(struct pv_emit *emit, const struct pv_ir_set *set, uint32_t *slots, size_t mask)
{
    struct pvb_set row = {.name = final_of(emit, set->name),
                          .first_member = pv_emit_count(emit, PVB_SET_MEMBERS),
                          .first_glob = pv_emit_count(emit, PVB_SET_GLOBS),
                          .except = set->except ? emit->set_index[set->except->index] : PVB_NONE};
    for (uint32_t i = 0; i < set->n_members; i++) {
        uint32_t member = final_of(emit, set->members[i]);
        *(uint32_t *)pv_emit_row(emit, PVB_SET_MEMBERS) = member;
    }
    for (uint32_t i = 0; i < set->n_globs; i++) {
        uint32_t glob = glob_index(emit, &set->globs[i]);
        *(uint32_t *)pv_emit_row(emit, PVB_SET_GLOBS) = glob;
    }
    row.n_members = sort_unique(emit, PVB_SET_MEMBERS, row.first_member);
    row.n_globs = sort_unique(emit, PVB_SET_GLOBS, row.first_glob);

    size_t slot = hash_set(emit, &row) & mask;
    for (; slots[slot]; slot = (slot + 1) & mask) {
        uint32_t known = slots[slot] - 1;
        if (same_set(emit, (const struct pvb_set *)emit->section[PVB_SETS].rows + known, &row)) {
            emit->section[PVB_SET_MEMBERS].n = row.first_member;
            emit->section[PVB_SET_GLOBS].n = row.first_glob;
            return known;
        }
    }
    uint32_t index = pv_emit_count(emit, PVB_SETS);
    *(struct pvb_set *)pv_emit_row(emit, PVB_SETS) = row;
    slots[slot] = index + 1;
    return index;
}

static void build_sets(struct pv_emit *emit)
{
    size_t n_slots = 4;
    while (n_slots < (size_t)emit->ir->n_sets * 2)
        n_slots *= 2;
    uint32_t *slots = pv_arena_array(emit->arena, n_slots, sizeof(uint32_t));
    for (uint32_t i = 0; i < emit->ir->n_sets; i++)
        if (emit->set_index[i] != UINT32_MAX)
            emit->set_index[i] = add_set(emit, emit->ir->sets[i], slots, n_slots - 1);
    struct pv_emit_array *parameters = &emit->section[PVB_PARAMETERS];
    for (size_t i = 0; i < parameters->n; i++) {
        struct pvb_parameter *row = (struct pvb_parameter *)parameters->rows + i;
        if (row->set != PVB_NONE)
            row->set = emit->set_index[row->set];
    }
}

static uint32_t int_index(const struct pv_emit *emit, int64_t value)
{
    const struct pv_emit_array *ints = &emit->section[PVB_INTS];
    const int64_t *found = bsearch(&value, ints->rows, ints->n, sizeof(int64_t), compare_ints);
    return (uint32_t)(found - (const int64_t *)ints->rows);
}

void pv_emit_operands(struct pv_emit *emit)
{
    if (emit->refused)
        return;
    emit->glob_of = pv_arena_array(emit->arena, emit->n_strings, sizeof(uint32_t));
    memset(emit->glob_of, 0xff, emit->n_strings * sizeof(uint32_t));
    build_sets(emit);
    for (size_t i = 0; i < emit->n_nodes; i++) {
        struct pv_emit_node *node = &emit->nodes[i];
        switch (node->kind) {
        case PV_IR_INT: node->operand = int_index(emit, node->expr->number); break;
        case PV_IR_STR:
        case PV_IR_MEMBER:
        case PV_IR_VER: node->operand = emit->final[node->operand]; break;
        case PV_IR_IN:
        case PV_IR_OVERLAPS: node->operand = emit->set_index[node->expr->set->index]; break;
        case PV_IR_LIKE: node->operand = glob_index(emit, node->expr->glob); break;
        case PV_IR_INT2:
        case PV_IR_STR2:
        case PV_IR_IN2:
        case PV_IR_OVERLAPS2:
        case PV_IR_VER2: node->operand = node->expr->slot2; break;
        case PV_IR_IN_WINDOW: node->operand = node->expr->window; break;
        case PV_IR_CONST:
        case PV_IR_NOT:
        case PV_IR_AND:
        case PV_IR_OR:
        case PV_IR_HAS:
        case PV_IR_BOOL:
        case PV_IR_OWN: break;
        }
    }
}
