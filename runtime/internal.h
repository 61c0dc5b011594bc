/* Inside the runtime: what its files share and nobody else includes. */
#ifndef PROVISO_RUNTIME_INTERNAL_H
#define PROVISO_RUNTIME_INTERNAL_H

#include "runtime/bundle.h"
#include "runtime/proviso.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bundles are used in place and are little-endian");

/* error.c: fills *error (may be NULL) and returns `code`. */
int pv_fail(struct pv_error *error, int code, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* names.c: the shapes of opcodes.def. */
enum pv_shape {
    PV_SHAPE_CONST,
    PV_SHAPE_SLOT,
    PV_SHAPE_SLOT_BOOL,
    PV_SHAPE_SLOT_INT,
    PV_SHAPE_SLOT_INT2,
    PV_SHAPE_SLOT_STR,
    PV_SHAPE_SLOT_STR2,
    PV_SHAPE_SLOT_SET,
    PV_SHAPE_SLOT_SETSLOT,
    PV_SHAPE_SETSLOT_STR,
    PV_SHAPE_SETSLOT_SET,
    PV_SHAPE_SETSLOT2,
    PV_SHAPE_SLOT_GLOB,
    PV_SHAPE_SLOT_VER,
    PV_SHAPE_SLOT_VER2,
    PV_SHAPE_WINDOW,
    PV_SHAPE_NONE,
    PV_SHAPE_EFFECT,
    PV_SHAPE_STACK1,
    PV_SHAPE_STACK2,
    PV_SHAPE_END
};
struct pv_op_info {
    const char *name;
    enum pv_shape shape;
};
extern const struct pv_op_info pv_ops[PVB_N_OPS];

#endif
