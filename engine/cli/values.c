/* Values of a request for explanations: which ones a clause reads, and how they are shown. */
#include <inttypes.h>
#include <string.h>

#include "engine/cli/cli.h"

#define MAX_SHOWN 16 /* members of a set in text; JSON has them all */

/* The second slot of an instruction that compares two. */
static bool reads_two(const struct pvb_insn *insn)
{
    switch ((enum pvb_op)insn->op) {
    case PVB_OP_INT2:
    case PVB_OP_STR2:
    case PVB_OP_IN2:
    case PVB_OP_OVERLAPS2:
    case PVB_OP_VER2: return true;
    default: return false;
    }
}

static void add(uint16_t *slots, uint32_t capacity, uint32_t *n, uint32_t slot)
{
    for (uint32_t i = 0; i < *n; i++)
        if (slots[i] == slot)
            return;
    if (*n < capacity)
        slots[(*n)++] = (uint16_t)slot;
}

uint32_t pv_cli_clause_reads(const struct pv_bundle *bundle, uint32_t clause, uint16_t *slots, uint32_t capacity)
{
    const struct pvb_clause *row = (const struct pvb_clause *)pv_bundle_section(bundle, PVB_CLAUSES, NULL) + clause;
    const struct pvb_insn *code = pv_bundle_section(bundle, PVB_CLAUSE_CODE, NULL);
    const struct pvb_attr *attrs = pv_bundle_section(bundle, PVB_ATTRS, NULL);
    uint32_t n = 0;
    for (uint32_t i = row->first_insn; i < row->first_insn + row->n_insns && n < capacity; i++) {
        switch ((enum pvb_op)code[i].op) {
        case PVB_OP_CONST:
        case PVB_OP_NOT:
        case PVB_OP_AND:
        case PVB_OP_OR:
        case PVB_OP_END: break;
        case PVB_OP_IN_WINDOW:
            add(slots, capacity, &n, PV_A_TIME_WEEKDAY);
            add(slots, capacity, &n, PV_A_TIME_DATE);
            add(slots, capacity, &n, PV_A_TIME_CLOCK);
            break;
        case PVB_OP_OWN:
            add(slots, capacity, &n, PV_A_USER_NAME);
            add(slots, capacity, &n, PV_A_PACKAGE_OWNER);
            break;
        default:
            /* What policies cannot name belongs to the source. */
            add(slots, capacity, &n, attrs[code[i].slot].flags & PV_ATTR_HIDDEN ? PV_A_SOURCE_NAME : code[i].slot);
            if (reads_two(&code[i]))
                add(slots, capacity, &n, code[i].arg);
        }
    }
    return n;
}

/* ---- As text ---- */

static void put_quoted(FILE *out, const char *text, size_t len)
{
    fputc('"', out);
    pv_cli_put(out, text, len);
    fputc('"', out);
}

static void put_members(FILE *out, const struct pv_value *value)
{
    if (value->n_members == 0) {
        fputs("empty", out);
        return;
    }
    fputs("{ ", out);
    for (uint32_t i = 0; i < value->n_members && i < MAX_SHOWN; i++) {
        fputs(i ? ", " : "", out);
        put_quoted(out, value->members[i].ptr, value->members[i].len);
    }
    fputs(value->n_members > MAX_SHOWN ? ", ... }" : " }", out);
}

static void put_moment(FILE *out, enum pv_type type, int64_t number)
{
    static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    int64_t year;
    unsigned month, day;
    if (type == PV_T_DATE) {
        pv_civil_from_days(number, &year, &month, &day);
        fprintf(out, "%04" PRId64 "-%02u-%02u", year, month, day);
    } else if (type == PV_T_CLOCK) {
        fprintf(out, number % 60 ? "%02d:%02d:%02d" : "%02d:%02d", (int)(number / 3600), (int)(number / 60 % 60),
                (int)(number % 60));
    } else {
        fputs(number >= 0 && number < 7 ? weekdays[number] : "?", out);
    }
}

void pv_cli_put_value(FILE *out, const struct pv_value *value)
{
    if (value->state != PV_PRESENT) {
        fputs(value->state == PV_ABSENT ? "absent" : "not known", out);
        return;
    }
    switch (value->type) {
    case PV_T_BOOL: fputs(value->number ? "true" : "false", out); return;
    case PV_T_INT: fprintf(out, "%" PRId64, value->number); return;
    case PV_T_DURATION: fprintf(out, "%" PRId64 "s", value->number); return;
    case PV_T_STRING:
    case PV_T_VERSION: put_quoted(out, value->string.ptr, value->string.len); return;
    case PV_T_DATE:
    case PV_T_CLOCK:
    case PV_T_WEEKDAY: put_moment(out, value->type, value->number); return;
    case PV_T_STRINGS: put_members(out, value); return;
    case PV_T_NONE: return;
    }
}

json_t *pv_cli_memory_text(FILE **out, char **text, size_t *len)
{
    json_t *value = NULL;
    if (*out && fclose(*out) == 0)
        value = pv_cli_json_text(*text, *len);
    free(*text);
    *out = NULL;
    *text = NULL;
    return value;
}

/* ---- As JSON ---- */

static json_t *members_json(const struct pv_value *value)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < value->n_members; i++) {
        if (json_array_append_new(list, pv_cli_json_text(value->members[i].ptr, value->members[i].len)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *pv_cli_value_json(const struct pv_value *value)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    if (value->state != PV_PRESENT)
        return json_null();
    switch (value->type) {
    case PV_T_BOOL: return json_boolean(value->number != 0);
    case PV_T_INT:
    case PV_T_DURATION: return json_integer(value->number);
    case PV_T_STRING:
    case PV_T_VERSION: return pv_cli_json_text(value->string.ptr, value->string.len);
    case PV_T_STRINGS: return members_json(value);
    case PV_T_DATE:
    case PV_T_CLOCK:
    case PV_T_WEEKDAY: break;
    case PV_T_NONE: return json_null();
    }
    out = open_memstream(&text, &len);
    if (out)
        pv_cli_put_value(out, value);
    return pv_cli_memory_text(&out, &text, &len);
}

const char *pv_cli_slot_path(const struct pv_bundle *bundle, uint32_t slot)
{
    const struct pvb_attr *attrs = pv_bundle_section(bundle, PVB_ATTRS, NULL);
    return pv_bundle_string(bundle, attrs[slot].path, NULL);
}

json_t *pv_cli_values_json(const struct pv_request *request, const uint16_t *slots, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < n; i++) {
        const struct pv_value *value = pv_request_value(request, slots[i]);
        const char *path = pv_cli_slot_path(pv_request_bundle(request), slots[i]);
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        if (out) {
            fprintf(out, "%s is ", path);
            pv_cli_put_value(out, value);
        }
        json_t *row = json_pack("{s:s, s:o, s:o}", "path", path, "value", pv_cli_value_json(value), "text",
                                pv_cli_memory_text(&out, &text, &len));
        if (json_array_append_new(list, row) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
