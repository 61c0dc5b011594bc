/* One instruction as text, with names in place of numbers: `inspect --code` and tests read it. Instructions are those
 * of a loaded bundle, so every reference resolves. */
#include "runtime/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Writes as snprintf(), piece by piece. */
struct writer {
    char *at;
    size_t left;
    int len;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->at, w->left, format, args);
    va_end(args);
    if (n <= 0)
        return;
    size_t moved = (size_t)n < w->left ? (size_t)n : w->left;
    w->at += moved;
    w->left -= moved;
    w->len += n;
}

static void put_quoted(struct writer *w, const char *text)
{
    put(w, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            put(w, "\\u{%x}", c);
        else
            put(w, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    put(w, "\"");
}

static void put_number(struct writer *w, enum pv_type type, int64_t n)
{
    static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    int64_t year;
    unsigned month, day;
    if (type == PV_T_DATE && n >= PV_MIN_TIME / 86400 && n <= PV_MAX_TIME / 86400) {
        pv_civil_from_days(n, &year, &month, &day);
        put(w, "%04" PRId64 "-%02u-%02u", year, month, day);
    } else if (type == PV_T_CLOCK && n >= 0 && n <= 86400) {
        put(w, "%02d:%02d:%02d", (int)(n / 3600), (int)(n / 60 % 60), (int)(n % 60));
    } else if (type == PV_T_WEEKDAY && n >= 0 && n <= 6) {
        put(w, "%s", weekdays[n]);
    } else {
        put(w, "%" PRId64 "%s", n, type == PV_T_DURATION ? "s" : "");
    }
}

static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};
static const char *const joins[] = {"none", "allow", "deny", "direct"};

static const char *path_of(const struct pv_bundle *b, uint32_t slot)
{
    return pv_string_at(b, b->attrs[slot].path).ptr;
}

static void put_set(struct writer *w, const struct pv_bundle *b, uint32_t set)
{
    const struct pvb_set *s = &b->sets[set];
    if (s->name)
        put(w, " %s", pv_string_at(b, s->name).ptr);
    else
        put(w, " set %" PRIu32, set);
    put(w, " (%" PRIu32 " names, %" PRIu32 " globs)", s->n_members, s->n_globs);
    if (s->except != PVB_NONE) {
        put(w, " except");
        put_set(w, b, s->except);
    }
}

static void put_order(struct writer *w, uint8_t cmp)
{
    put(w, " (%s)", pv_order_name((enum pv_order)(cmp >> 4)));
}

static void put_operands(struct writer *w, const struct pv_bundle *b, const struct pvb_insn *i)
{
    switch (pv_ops[i->op].shape) {
    case PV_SHAPE_CONST: put(w, " %s", i->cmp ? "true" : "false"); return;
    case PV_SHAPE_EFFECT: put(w, " %s", joins[i->arg]); return;
    case PV_SHAPE_WINDOW:
        if (b->windows[i->arg].name)
            put(w, " %s", pv_string_at(b, b->windows[i->arg].name).ptr);
        else
            put(w, " %" PRIu32, i->arg);
        return;
    case PV_SHAPE_NONE:
    case PV_SHAPE_STACK1:
    case PV_SHAPE_STACK2:
    case PV_SHAPE_END: return;
    default: break;
    }
    put(w, " %s", path_of(b, i->slot));
    switch (pv_ops[i->op].shape) {
    case PV_SHAPE_SLOT_INT:
        put(w, " %s ", comparisons[i->cmp]);
        put_number(w, (enum pv_type)b->attrs[i->slot].type, b->ints[i->arg]);
        return;
    case PV_SHAPE_SLOT_INT2: put(w, " %s %s", comparisons[i->cmp], path_of(b, i->arg)); return;
    case PV_SHAPE_SLOT_STR:
    case PV_SHAPE_SETSLOT_STR:
        put(w, " ");
        put_quoted(w, pv_string_at(b, i->arg).ptr);
        return;
    case PV_SHAPE_SLOT_STR2:
    case PV_SHAPE_SLOT_SETSLOT:
    case PV_SHAPE_SETSLOT2: put(w, " %s", path_of(b, i->arg)); return;
    case PV_SHAPE_SLOT_SET:
    case PV_SHAPE_SETSLOT_SET: put_set(w, b, i->arg); return;
    case PV_SHAPE_SLOT_GLOB:
        put(w, " ");
        put_quoted(w, pv_string_at(b, b->globs[i->arg].text).ptr);
        return;
    case PV_SHAPE_SLOT_VER:
        put(w, " %s ", comparisons[i->cmp & 15]);
        put_quoted(w, pv_string_at(b, i->arg).ptr);
        put_order(w, i->cmp);
        return;
    case PV_SHAPE_SLOT_VER2:
        put(w, " %s %s", comparisons[i->cmp & 15], path_of(b, i->arg));
        put_order(w, i->cmp);
        return;
    default: return;
    }
}

int pv_insn_text(const struct pv_bundle *bundle, int program, uint32_t index, char *buffer, size_t size)
{
    assert(program == PVB_DECIDE || program == PVB_CLAUSE_CODE);
    assert(index < (program == PVB_DECIDE ? bundle->n_decide : bundle->n_clause_code));
    const struct pvb_insn *i = &(program == PVB_DECIDE ? bundle->decide : bundle->clause_code)[index];
    struct writer w = {buffer, size, 0};
    if (size)
        *buffer = '\0';
    put(&w, "%s", pv_ops[i->op].name);
    put_operands(&w, bundle, i);
    if (i->jt)
        put(&w, " ? %" PRIu32 " : %" PRIu32, i->jt, i->jf);
    return w.len;
}
