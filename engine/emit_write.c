/* The last passes: places for people (the debug sections), then header, sections, bound and hash in one flat file. */
#include <stdlib.h>
#include <string.h>

#include "engine/emit.h"
#include "runtime/verify.h"

/* ---- Debug ---- */

/* Offsets of file paths in DEBUG_BYTES, by source index; the empty path of built-in rules stands first. */
static uint32_t *emit_paths(struct pv_emit *emit)
{
    uint32_t n_files = emit->sources ? emit->sources->n_files : 0;
    uint32_t *offsets = pv_arena_array(emit->arena, n_files, sizeof(uint32_t));
    *(char *)pv_emit_row(emit, PVB_DEBUG_BYTES) = 0;
    for (uint32_t f = 0; f < n_files; f++) {
        offsets[f] = pv_emit_count(emit, PVB_DEBUG_BYTES);
        for (const char *p = pv_sources_file(emit->sources, f)->path;; p++) {
            *(char *)pv_emit_row(emit, PVB_DEBUG_BYTES) = *p;
            if (!*p)
                break;
        }
    }
    return offsets;
}

static bool has_place(const struct pv_emit *emit, struct pv_span span)
{
    return emit->sources && span.file < emit->sources->n_files;
}

static void emit_debug_clause(struct pv_emit *emit, struct pv_span span)
{
    struct pvb_debug_clause row = {0};
    if (has_place(emit, span)) {
        struct pv_place from = pv_sources_place(emit->sources, span.file, span.start);
        struct pv_place to = pv_sources_place(emit->sources, span.file, span.end);
        row = (struct pvb_debug_clause){from.line, from.column, to.line, to.column};
    }
    *(struct pvb_debug_clause *)pv_emit_row(emit, PVB_DEBUG_CLAUSES) = row;
}

void pv_emit_debug(struct pv_emit *emit)
{
    const uint32_t *paths = emit_paths(emit);
    for (uint32_t r = 0; r < emit->ir->n_rules; r++) {
        const struct pv_ir_rule *rule = &emit->ir->rules[r];
        struct pvb_debug_rule row = {0};
        if (has_place(emit, rule->span)) {
            struct pv_place place = pv_sources_place(emit->sources, rule->span.file, rule->span.start);
            row =
                (struct pvb_debug_rule){paths[rule->span.file], (uint32_t)strlen(place.path), place.line, place.column};
        }
        *(struct pvb_debug_rule *)pv_emit_row(emit, PVB_DEBUG_RULES) = row;
        for (uint32_t c = 0; c < rule->n_clauses; c++)
            emit_debug_clause(emit, rule->clauses[c].span);
        for (uint32_t d = 0; d < rule->n_duties; d++)
            if (rule->duties[d].clause)
                emit_debug_clause(emit, rule->duties[d].clause->span);
    }
}

/* ---- The file ---- */

/* Over the file up to the debug sections, with what depends on them as zero (bundle.h). */
static int hash_content(const struct pv_emit *emit, uint8_t *file)
{
    if (!emit->host || !emit->host->sha256)
        return 0;
    struct pvb_header header;
    memcpy(&header, file, sizeof(header));
    size_t end = (size_t)header.section[PVB_DEBUG_BYTES].offset;
    header.file_size = 0;
    memset(header.content_hash, 0, sizeof(header.content_hash));
    memset(&header.section[PVB_DEBUG_BYTES], 0, (PVB_N_SECTIONS - PVB_DEBUG_BYTES) * sizeof(header.section[0]));
    const void *parts[] = {&header, file + sizeof(header)};
    const size_t lens[] = {sizeof(header), end - sizeof(header)};
    return emit->host->sha256(emit->host->context, parts, lens, 2, file + offsetof(struct pvb_header, content_hash));
}

static int fill_bound(struct pv_emit *emit, uint8_t *file, size_t size)
{
    uint64_t bound;
    struct pv_error error;
    int rc = pv_bundle_compute_bound(file, size, &bound, &error);
    if (rc < 0) {
        pv_emit_refuse(emit, PV_NO_SPAN, "the compiled policy is refused by the verifier: %s", error.text);
        return rc;
    }
    memcpy(file + offsetof(struct pvb_header, bound), &bound, sizeof(bound));
    return 0;
}

static uint64_t align8(uint64_t offset)
{
    return (offset + 7) & ~(uint64_t)7;
}

int pv_emit_write(struct pv_emit *emit, uint8_t **out, size_t *len)
{
    struct pvb_header header = {
        .magic = PVB_MAGIC,
        .format = PVB_FORMAT,
        .language = PVB_LANGUAGE,
        .policy_version = emit->ir->version,
        .name = emit->final[pv_emit_intern(emit, emit->ir->name)],
        .title = emit->final[pv_emit_intern(emit, emit->ir->title)],
        .flags = emit->ir->is_library ? PVB_FLAG_LIBRARY : 0,
        .n_builtin_attrs = PV_N_BUILTIN,
        .decide_plan_entry = emit->plan_entry,
    };
    uint64_t end = sizeof(header);
    for (int s = 0; s < PVB_N_SECTIONS; s++) {
        header.section[s].offset = align8(end);
        header.section[s].size = (uint64_t)emit->section[s].n * pv_emit_row_size((enum pvb_section)s);
        end = header.section[s].offset + header.section[s].size;
    }
    if (end > PVB_MAX_FILE) {
        pv_emit_refuse(emit, PV_NO_SPAN, "the compiled policy takes %llu bytes; a bundle has at most %u",
                       (unsigned long long)end, PVB_MAX_FILE);
        return PV_E_LIMIT;
    }
    header.file_size = end;
    uint8_t *file = calloc(1, end);
    if (!file)
        return PV_E_NOMEM;
    memcpy(file, &header, sizeof(header));
    for (int s = 0; s < PVB_N_SECTIONS; s++)
        if (header.section[s].size)
            memcpy(file + header.section[s].offset, emit->section[s].rows, header.section[s].size);
    int rc = fill_bound(emit, file, end);
    if (rc == 0 && hash_content(emit, file) != 0)
        rc = PV_E_IO;
    if (rc < 0) {
        free(file);
        return rc;
    }
    *out = file;
    *len = end;
    return 0;
}
