/* Emission: from the checked policy to the bytes of a bundle. The pass list below is the architecture.
 *
 * Linear in the size of the policy: each expression is simplified once however often it is used, and generated once per
 * use. A use of a shared part repeats its code, which a policy can make exponential on purpose (`a = b or not b ...`,
 * level after level), so sizes are computed from the DAG and held against limits before any code is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "engine/emit.h"
#include "engine/engine.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bundles are little-endian and rows are written as they are");

static const size_t row_sizes[PVB_N_SECTIONS] = {
    [PVB_BYTES] = 1,
    [PVB_STRINGS] = sizeof(struct pvb_str),
    [PVB_STRHASH] = sizeof(uint32_t),
    [PVB_INTS] = sizeof(int64_t),
    [PVB_GLOBS] = sizeof(struct pvb_glob),
    [PVB_GLOB_TOKENS] = sizeof(uint32_t),
    [PVB_SETS] = sizeof(struct pvb_set),
    [PVB_SET_MEMBERS] = sizeof(uint32_t),
    [PVB_SET_GLOBS] = sizeof(uint32_t),
    [PVB_ATTRS] = sizeof(struct pvb_attr),
    [PVB_ZONES] = sizeof(uint32_t),
    [PVB_WINDOWS] = sizeof(struct pvb_window),
    [PVB_WINDOW_ALTS] = sizeof(struct pvb_window_alt),
    [PVB_WINDOW_DAYS] = sizeof(struct pvb_nth_day),
    [PVB_WINDOW_DATES] = sizeof(struct pvb_date_range),
    [PVB_WINDOW_CLOCKS] = sizeof(struct pvb_clock_range),
    [PVB_SOURCES] = sizeof(struct pvb_source),
    [PVB_COMMANDS] = sizeof(struct pvb_command),
    [PVB_PARAMETERS] = sizeof(struct pvb_parameter),
    [PVB_TEMPLATES] = sizeof(struct pvb_template),
    [PVB_ENVIRONMENT] = sizeof(struct pvb_env),
    [PVB_REQUIRED] = sizeof(uint16_t),
    [PVB_RULES] = sizeof(struct pvb_rule),
    [PVB_CLAUSES] = sizeof(struct pvb_clause),
    [PVB_TEXTS] = sizeof(uint32_t),
    [PVB_ANNOTATIONS] = sizeof(struct pvb_annotation),
    [PVB_DUTIES] = sizeof(struct pvb_duty),
    [PVB_DECIDE] = sizeof(struct pvb_insn),
    [PVB_CLAUSE_CODE] = sizeof(struct pvb_insn),
    [PVB_DEBUG_BYTES] = 1,
    [PVB_DEBUG_RULES] = sizeof(struct pvb_debug_rule),
    [PVB_DEBUG_CLAUSES] = sizeof(struct pvb_debug_clause),
};

size_t pv_emit_row_size(enum pvb_section section)
{
    return row_sizes[section];
}

void *pv_emit_row(struct pv_emit *emit, enum pvb_section section)
{
    struct pv_emit_array *array = &emit->section[section];
    size_t size = row_sizes[section];
    array->rows = pv_arena_grow(emit->arena, array->rows, array->n, &array->capacity, array->n + 1, size);
    void *row = (unsigned char *)array->rows + array->n++ * size;
    return memset(row, 0, size);
}

void pv_emit_reserve(struct pv_emit *emit, enum pvb_section section, size_t n)
{
    struct pv_emit_array *array = &emit->section[section];
    array->rows = pv_arena_grow(emit->arena, array->rows, 0, &array->capacity, n, row_sizes[section]);
}

uint32_t pv_emit_count(const struct pv_emit *emit, enum pvb_section section)
{
    return (uint32_t)emit->section[section].n;
}

void pv_emit_refuse(struct pv_emit *emit, struct pv_span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = pv_arena_vprintf(emit->arena, format, args);
    va_end(args);
    pv_report(emit->diags, PV_DIAG_CODE_LIMIT, span, "%s", text);
    emit->refused = true;
}

static int run_passes(struct pv_emit *emit, uint8_t **out, size_t *len)
{
    pv_emit_strings_init(emit);
    pv_emit_nodes_init(emit);
    pv_emit_tables(emit); /* metadata rows; expressions simplified on the way */
    pv_emit_check_size(emit);
    if (emit->refused)
        return PV_E_LIMIT;
    pv_emit_freeze(emit);   /* strings and integers get their final places */
    pv_emit_operands(emit); /* globs and sets */
    if (emit->refused)
        return PV_E_LIMIT;
    pv_emit_decide(emit);
    pv_emit_clauses(emit);
    pv_emit_debug(emit);
    return pv_emit_write(emit, out, len);
}

int pv_emit(uint8_t **out, size_t *len, const struct pv_ir *ir, const struct pv_sources *sources,
            const struct pv_host *host, struct pv_diags *diags)
{
    *out = NULL;
    *len = 0;
    struct pv_arena *arena = pv_arena_new(0);
    if (!arena)
        return PV_E_NOMEM;
    jmp_buf guard;
    if (setjmp(guard)) {
        pv_arena_free(arena);
        return PV_E_NOMEM;
    }
    pv_arena_guard(arena, &guard);
    struct pv_emit *emit = PV_NEW(arena, struct pv_emit);
    emit->ir = ir;
    emit->sources = sources;
    emit->host = host;
    emit->diags = diags;
    emit->arena = arena;
    int rc = run_passes(emit, out, len);
    pv_arena_free(arena);
    return rc;
}
