/* Inside emission: the state that its passes share. emit.c lists the passes in order; one file a pass.
 *
 * Rows are made while strings still carry provisional numbers (in order of first use); pv_emit_freeze() sorts the
 * strings and renumbers every row, so that nothing in a bundle depends on addresses, hash order or the order of work.
 * All memory is one arena's, with a guard set: allocations succeed. */
#ifndef PROVISO_ENGINE_EMIT_H
#define PROVISO_ENGINE_EMIT_H

#include <stdint.h>

#include "engine/arena.h"
#include "engine/diag.h"
#include "engine/ir.h"
#include "runtime/bundle.h"

/* Instructions of a whole bundle, both programs together: half of PVB_MAX_FILE. */
#define PV_EMIT_CODE_LIMIT (PVB_MAX_FILE / 2 / (uint32_t)sizeof(struct pvb_insn))

struct pv_emit_array {
    void *rows;
    size_t n, capacity;
};

struct pv_emit_string {
    const char *ptr;
    uint32_t len;
    uint64_t hash; /* pv_hash() */
};

/* A node of the simplified expression DAG: no constants inside, `and` and `or` flattened, their kids distinct. */
#define PV_EMIT_FALSE 0u /* node numbers of the constants */
#define PV_EMIT_TRUE  1u
struct pv_emit_node {
    const struct pv_ir_expr *expr; /* NULL for the constants */
    enum pv_ir_kind kind;
    uint32_t first_kid, n_kids; /* into `kids` */
    uint32_t operand;           /* what struct pvb_insn.arg becomes */
    uint32_t need;              /* most values that its stack program holds at once */
    uint64_t size;              /* instructions of its stack program; saturates at UINT32_MAX */
};

struct pv_emit {
    const struct pv_ir *ir;
    const struct pv_sources *sources;
    const struct pv_host *host;
    struct pv_diags *diags;
    struct pv_arena *arena;
    bool refused; /* a limit was passed and reported */

    struct pv_emit_array section[PVB_N_SECTIONS];
    uint32_t plan_entry;

    struct pv_emit_string *strings; /* by provisional number; 0 is "" */
    size_t n_strings, strings_capacity;
    uint32_t *string_slots; /* open addressing: provisional number or 0 */
    size_t n_string_slots;
    uint32_t *final;     /* provisional number to index in STRINGS; NULL before the freeze */
    uint32_t *number_of; /* and back */

    uint32_t *set_index; /* pv_ir_set.index to index in SETS; before, UINT32_MAX not used, 0 used */
    uint32_t *glob_of;   /* index in STRINGS to index in GLOBS, or UINT32_MAX */

    struct pv_emit_node *nodes;
    size_t n_nodes, nodes_capacity;
    uint32_t *kids;
    size_t n_kids, kids_capacity;
    uint32_t *stamps; /* by node: the gathering that met it last */
    size_t stamps_capacity;
    uint32_t stamp;
    uint32_t *node_slots; /* expression's address to node + 1; never walked */
    const struct pv_ir_expr **node_keys;
    size_t n_node_slots, n_node_keys;

    uint32_t *roots; /* node of each clause, in the order of CLAUSES */
    size_t n_roots, roots_capacity;
};

/* Bytes of a section's row. */
size_t pv_emit_row_size(enum pvb_section section);
/* A new zeroed row at the end of a section, valid until the next one. */
void *pv_emit_row(struct pv_emit *emit, enum pvb_section section);
/* Room for n rows in a section that has none yet. */
void pv_emit_reserve(struct pv_emit *emit, enum pvb_section section, size_t n);
/* The number of rows so far, as the index that the next row gets. */
uint32_t pv_emit_count(const struct pv_emit *emit, enum pvb_section section);
/* Reports that something is too large and ends emission at the end of the pass. */
void pv_emit_refuse(struct pv_emit *emit, struct pv_span span, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* emit_strings.c */
void pv_emit_strings_init(struct pv_emit *emit);
uint32_t pv_emit_intern(struct pv_emit *emit, struct pv_ir_str string);  /* provisional number, before the freeze */
void pv_emit_use_set(struct pv_emit *emit, const struct pv_ir_set *set); /* a set that the bundle needs */
void pv_emit_freeze(struct pv_emit *emit);                               /* sorts strings and ints, renumbers rows */
void pv_emit_operands(struct pv_emit *emit);                             /* globs, sets, operands of nodes */

/* emit_nodes.c */
void pv_emit_nodes_init(struct pv_emit *emit);
uint32_t pv_emit_node(struct pv_emit *emit, const struct pv_ir_expr *expr, struct pv_span span);

/* emit_tables.c: everything but code and debug. */
void pv_emit_tables(struct pv_emit *emit);
/* Clauses are made in this order by every pass: a rule's own, then those of its duties. */
void pv_emit_check_size(struct pv_emit *emit);

/* The programs. */
void pv_emit_decide(struct pv_emit *emit);
void pv_emit_clauses(struct pv_emit *emit);
/* The instruction of a test, without targets. */
struct pvb_insn pv_emit_test(const struct pv_emit_node *node);

/* emit_write.c */
void pv_emit_debug(struct pv_emit *emit);
int pv_emit_write(struct pv_emit *emit, uint8_t **out, size_t *len);

#endif
