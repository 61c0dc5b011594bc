/* The tables that everything else reads: built-in attributes, opcodes, and the names of types and orders. */
#include "runtime/internal.h"

#include <string.h>

enum { OPT = PV_ATTR_OPT, DEFAULT = PV_ATTR_DEFAULT, PLAN = PV_ATTR_PLAN, HIDDEN = PV_ATTR_HIDDEN };

const struct pv_attr_info pv_builtin_attrs[PV_N_BUILTIN] = {
#define PV_ATTR(id, path, type, scope, flags) {path, PV_T_##type, PV_SCOPE_##scope, flags},
#include "runtime/attributes.def"
#undef PV_ATTR
};

const struct pv_op_info pv_ops[PVB_N_OPS] = {
#define PV_OPCODE(name, mnemonic, shape) {mnemonic, PV_SHAPE_##shape},
#include "runtime/opcodes.def"
#undef PV_OPCODE
};

static const char *const type_names[] = {[PV_T_NONE] = "nothing",    [PV_T_BOOL] = "bool",
                                         [PV_T_INT] = "int",         [PV_T_STRING] = "string",
                                         [PV_T_VERSION] = "version", [PV_T_DURATION] = "duration",
                                         [PV_T_DATE] = "date",       [PV_T_CLOCK] = "clock",
                                         [PV_T_WEEKDAY] = "weekday", [PV_T_STRINGS] = "set of string"};

const char *pv_type_name(enum pv_type type)
{
    return (size_t)type < sizeof(type_names) / sizeof(*type_names) ? type_names[type] : "?";
}

static const char *const order_names[] = {[PV_ORDER_COMMAND] = "command",
                                          [PV_ORDER_DPKG] = "dpkg",
                                          [PV_ORDER_SEMVER] = "semver",
                                          [PV_ORDER_RPM] = "rpm",
                                          [PV_ORDER_NUGET] = "nuget"};

const char *pv_order_name(enum pv_order order)
{
    return (size_t)order < sizeof(order_names) / sizeof(*order_names) ? order_names[order] : "?";
}

int pv_order_from_name(const char *name, size_t len)
{
    for (int i = PV_ORDER_DPKG; i <= PV_ORDER_NUGET; i++) {
        if (strlen(order_names[i]) == len && memcmp(order_names[i], name, len) == 0)
            return i;
    }
    return PV_E_UNKNOWN;
}

bool pv_never_brokered(const char *command, size_t len)
{
    static const char *const names[] = {"config", "feature", "source", "apikey"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], command, len) == 0)
            return true;
    }
    return false;
}

/* 64 bits by multiplying and folding 8 bytes at a time. Not keyed: what an attacker can choose is only looked up, and a
 * lookup is bounded by PVB_MAX_PROBE. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t pv_hash(const char *bytes, size_t len)
{
    uint64_t hash = fold((uint64_t)len ^ UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xa0761d6478bd642f));
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = fold(hash ^ word, UINT64_C(0xe7037ed1a0b428db));
    }
    uint64_t tail = 0;
    memcpy(&tail, bytes, len);
    return fold(hash ^ tail, UINT64_C(0x8ebc6af09c88c6e3));
}
