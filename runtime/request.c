/* A request: one operation, as values in slots. Strings are looked up in the bundle's strings once, when they are set,
 * so that tests compare numbers; members of a set are sorted then, so that membership is a binary search. Nothing is
 * allocated after pv_request_new().
 *
 * Which attributes an operation has depends on its command. Values are kept as they were set and shown to rules only
 * where the command has them (`applies`), so the order of the calls does not matter and a request can be turned to
 * another command. What was given in vain is known (`given`) and told by pv_request_check(). */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Making and resetting ---- */

int pv_request_new(struct pv_request **out, const struct pv_bundle *bundle)
{
    *out = NULL;
    struct pv_request *r = calloc(1, sizeof(*r) + bundle->n_attrs * sizeof(*r->slots));
    if (!r)
        return PV_E_NOMEM;
    r->bundle = bundle;
    r->local = calloc(bundle->n_zones, sizeof(*r->local));
    if (!r->local) {
        free(r);
        return PV_E_NOMEM;
    }
    pv_request_reset(r);
    *out = r;
    return 0;
}

void pv_request_free(struct pv_request *request)
{
    if (!request)
        return;
    free(request->local);
    free(request);
}

void pv_request_copy(struct pv_request *request, const struct pv_request *from)
{
    const struct pv_bundle *b = from->bundle;
    struct pv_local *local = request->local;
    memcpy(local, from->local, b->n_zones * sizeof(*local));
    memcpy(request, from, sizeof(*request) + b->n_attrs * sizeof(*request->slots));
    request->local = local;
}

const struct pv_bundle *pv_request_bundle(const struct pv_request *request)
{
    return request->bundle;
}

static struct pv_str lookup(const struct pv_bundle *b, const char *ptr, size_t len)
{
    return len ? (struct pv_str){ptr, (uint32_t)len, pv_bundle_intern(b, ptr, len)} : (struct pv_str){.ptr = ""};
}

/* Shows the slot to rules, as what it was set to or as absent. */
static void show(struct pv_slot_state *s)
{
    s->value.state = s->applies ? (enum pv_state)s->set : PV_ABSENT;
}

static void put(struct pv_request *r, int slot, enum pv_state state)
{
    r->slots[slot].set = (uint8_t)state;
    r->slots[slot].given = true;
    show(&r->slots[slot]);
}

static void put_number(struct pv_request *r, int slot, int64_t number)
{
    r->slots[slot].value.number = number;
    put(r, slot, PV_PRESENT);
}

static void put_string(struct pv_request *r, int slot, struct pv_str string)
{
    r->slots[slot].value.string = string;
    put(r, slot, PV_PRESENT);
}

static bool parameter_applies(const struct pv_bundle *b, int command, uint32_t slot)
{
    const struct pvb_command *c = &b->commands[command];
    for (uint32_t i = c->first_parameter; i < c->first_parameter + c->n_parameters; i++) {
        if (b->parameters[i].slot == slot)
            return true;
    }
    return false;
}

static void apply_command(struct pv_request *r)
{
    const struct pv_bundle *b = r->bundle;
    uint32_t flags = r->command >= 0 ? b->commands[r->command].flags : 0;
    for (uint32_t i = 0; i < b->n_attrs; i++) {
        struct pv_slot_state *s = &r->slots[i];
        switch (b->attrs[i].scope) {
        case PV_SCOPE_PACKAGE: s->applies = flags & PVB_COMMAND_PACKAGES; break;
        case PV_SCOPE_SOURCE: s->applies = flags & PVB_COMMAND_SOURCES; break;
        case PV_SCOPE_PARAMETER: s->applies = r->command >= 0 && parameter_applies(b, r->command, i); break;
        default: s->applies = true;
        }
        show(s);
    }
    r->order = r->command >= 0 ? (enum pv_order)b->commands[r->command].order : PV_ORDER_COMMAND;
}

/* A transaction that is not described is that of this operation alone. */
static void derive_transaction(struct pv_request *r)
{
    static const struct {
        int slot;
        const char *command;
    } counts[] = {{PV_A_TRANSACTION_INSTALLS, "install"},
                  {PV_A_TRANSACTION_UPGRADES, "upgrade"},
                  {PV_A_TRANSACTION_REMOVES, "uninstall"}};
    const struct pv_value *command = &r->slots[PV_A_COMMAND].value;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        struct pv_slot_state *s = &r->slots[counts[i].slot];
        size_t len = strlen(counts[i].command);
        if (!s->given)
            s->value.number = command->state == PV_PRESENT && command->string.len == len &&
                              memcmp(command->string.ptr, counts[i].command, len) == 0;
    }
    struct pv_slot_state *total = &r->slots[PV_A_TRANSACTION_DOWNLOAD_SIZE];
    const struct pv_value *size = &r->slots[PV_A_PACKAGE_DOWNLOAD_SIZE].value;
    if (!total->given) {
        total->value.number = size->state == PV_PRESENT ? size->number : 0;
        total->set = size->state == PV_NOT_KNOWN ? PV_NOT_KNOWN : PV_PRESENT;
        show(total);
    }
}

void pv_request_reset(struct pv_request *request)
{
    const struct pv_bundle *b = request->bundle;
    for (uint32_t i = 0; i < b->n_attrs; i++) {
        request->slots[i] =
            (struct pv_slot_state){.value = {.type = (enum pv_type)b->attrs[i].type, .string = {.ptr = ""}},
                                   .set = b->attrs[i].flags & PV_ATTR_DEFAULT ? PV_PRESENT : PV_ABSENT};
    }
    request->command = -1;
    request->never_brokered = false;
    request->slots[PV_A_USER_UID].value.number = -1;
    request->slots[PV_A_USER_SESSION].value.string = lookup(b, "none", 4);
    request->slots[PV_A_REQUEST_TIMEOUT].value.number = PV_DEFAULT_TIMEOUT;
    apply_command(request);
    derive_transaction(request);
    int64_t now = time(NULL);
    if (pv_request_set_time(request, now) != 0)
        pv_request_set_time(request, 0);
    for (int slot = PV_A_TIME_DATE; slot <= PV_A_TIME_WEEKDAY; slot++)
        request->slots[slot].given = false;
}

/* ---- Setting ---- */

static int check_slot(const struct pv_request *r, int slot)
{
    return slot >= 0 && (uint32_t)slot < r->bundle->n_attrs ? 0 : PV_E_INVAL;
}

static int check_text(const char *ptr, size_t len)
{
    if (len > PV_MAX_STRING)
        return PV_E_LIMIT;
    return (len && !ptr) || (len && memchr(ptr, '\0', len)) ? PV_E_INVAL : 0;
}

int pv_request_set_bool(struct pv_request *request, int slot, bool value)
{
    if (check_slot(request, slot))
        return PV_E_INVAL;
    if (request->slots[slot].value.type != PV_T_BOOL)
        return PV_E_TYPE;
    put_number(request, slot, value);
    return 0;
}

int pv_request_set_int(struct pv_request *request, int slot, int64_t value)
{
    if (check_slot(request, slot))
        return PV_E_INVAL;
    int64_t least = INT64_MIN, most = INT64_MAX;
    switch (request->slots[slot].value.type) {
    case PV_T_INT:
    case PV_T_DATE: break;
    case PV_T_DURATION: least = 0; break;
    case PV_T_CLOCK: least = 0, most = 86399; break;
    case PV_T_WEEKDAY: least = 0, most = 6; break;
    default: return PV_E_TYPE;
    }
    if (value < least || value > most)
        return PV_E_TYPE;
    put_number(request, slot, value);
    if (slot == PV_A_PACKAGE_DOWNLOAD_SIZE)
        derive_transaction(request);
    return 0;
}

int pv_request_set_string(struct pv_request *request, int slot, const char *ptr, size_t len)
{
    if (check_slot(request, slot))
        return PV_E_INVAL;
    enum pv_type type = request->slots[slot].value.type;
    if (type != PV_T_STRING && type != PV_T_VERSION)
        return PV_E_TYPE;
    if (slot == PV_A_COMMAND)
        return pv_request_set_command(request, ptr, len);
    if (slot == PV_A_SOURCE_NAME)
        return pv_request_set_source(request, ptr, len);
    int status = check_text(ptr, len);
    if (!status)
        put_string(request, slot, lookup(request->bundle, ptr, len));
    return status;
}

int pv_str_compare(const struct pv_str *a, const struct pv_str *b)
{
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->id)
        return 0;
    uint32_t common = a->len < b->len ? a->len : b->len;
    PV_STEPS(common);
    int difference = common ? memcmp(a->ptr, b->ptr, common) : 0;
    return difference ? difference : (a->len > b->len) - (a->len < b->len);
}

/* Heapsort, because qsort() may allocate. */
static void sift(struct pv_str *members, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && pv_str_compare(&members[child], &members[child + 1]) < 0)
            child++;
        if (pv_str_compare(&members[root], &members[child]) >= 0)
            return;
        struct pv_str swapped = members[root];
        members[root] = members[child];
        members[child] = swapped;
    }
}

static void sort(struct pv_str *members, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(members, i, n);
    for (size_t end = n; end > 1; end--) {
        struct pv_str largest = members[0];
        members[0] = members[end - 1];
        members[end - 1] = largest;
        sift(members, 0, end - 1);
    }
}

int pv_request_set_strings(struct pv_request *request, int slot, struct pv_str *members, size_t n_members)
{
    if (check_slot(request, slot) || (n_members && !members))
        return PV_E_INVAL;
    struct pv_value *value = &request->slots[slot].value;
    if (value->type != PV_T_STRINGS)
        return PV_E_TYPE;
    if (n_members > PV_MAX_MEMBERS)
        return PV_E_LIMIT;
    for (size_t i = 0; i < n_members; i++) {
        int status = check_text(members[i].ptr, members[i].len);
        if (status)
            return status;
        members[i] = lookup(request->bundle, members[i].ptr, members[i].len);
    }
    sort(members, n_members);
    value->members = members;
    value->n_members = (uint32_t)n_members;
    put(request, slot, PV_PRESENT);
    return 0;
}

/* Absence or ignorance of the source is that of everything about it. */
static int put_state(struct pv_request *r, int slot, enum pv_state state)
{
    if (check_slot(r, slot))
        return PV_E_INVAL;
    if (slot == PV_A_SOURCE_NAME) {
        for (int i = PV_A_SOURCE_NAME; i <= PV_A_SOURCE_DISABLED; i++)
            put(r, i, state);
        return 0;
    }
    put(r, slot, state);
    if (slot == PV_A_PACKAGE_DOWNLOAD_SIZE)
        derive_transaction(r);
    return 0;
}

int pv_request_set_absent(struct pv_request *request, int slot)
{
    if (slot == PV_A_COMMAND) {
        request->command = -1;
        request->never_brokered = false;
        put(request, slot, PV_ABSENT);
        apply_command(request);
        derive_transaction(request);
        return 0;
    }
    return put_state(request, slot, PV_ABSENT);
}

int pv_request_set_unknown(struct pv_request *request, int slot)
{
    return slot == PV_A_COMMAND ? PV_E_INVAL : put_state(request, slot, PV_NOT_KNOWN);
}

int pv_request_set_command(struct pv_request *request, const char *name, size_t len)
{
    int status = check_text(name, len);
    if (status)
        return status;
    int command = pv_bundle_command(request->bundle, name, len);
    bool never = command < 0 && pv_never_brokered(name, len);
    if (command < 0 && !never)
        return PV_E_UNKNOWN;
    bool same = request->command == command && request->slots[PV_A_COMMAND].set == PV_PRESENT;
    request->command = never ? -1 : command;
    request->never_brokered = never;
    put_string(request, PV_A_COMMAND, lookup(request->bundle, name, len));
    if (!same)
        apply_command(request);
    derive_transaction(request);
    return 0;
}

int pv_request_set_source(struct pv_request *request, const char *name, size_t len)
{
    int status = check_text(name, len);
    if (status)
        return status;
    const struct pv_bundle *b = request->bundle;
    int index = pv_bundle_source(b, name, len);
    if (index < 0)
        return index;
    const struct pvb_source *source = &b->sources[index];
    put_string(request, PV_A_SOURCE_NAME, pv_string_at(b, source->name));
    put_string(request, PV_A_SOURCE_LOCATION, pv_string_at(b, source->location));
    put_number(request, PV_A_SOURCE_PRIORITY, source->priority);
    put_number(request, PV_A_SOURCE_SELF_SERVICE, (source->flags & PVB_SOURCE_SELF_SERVICE) != 0);
    put_number(request, PV_A_SOURCE_ADMIN_ONLY, (source->flags & PVB_SOURCE_ADMIN_ONLY) != 0);
    put_number(request, PV_A_SOURCE_DISABLED, (source->flags & PVB_SOURCE_DISABLED) != 0);
    return 0;
}

int pv_request_set_time(struct pv_request *request, int64_t seconds)
{
    if (seconds < PV_MIN_TIME || seconds > PV_MAX_TIME)
        return PV_E_LIMIT;
    const struct pv_bundle *b = request->bundle;
    request->time = seconds;
    for (uint32_t i = 0; i < b->n_zones; i++)
        pv_zone_local(b->zones_ready[i], seconds, &request->local[i]);
    put_number(request, PV_A_TIME_DATE, request->local[0].days);
    put_number(request, PV_A_TIME_CLOCK, request->local[0].second);
    put_number(request, PV_A_TIME_WEEKDAY, pv_weekday(request->local[0].days));
    return 0;
}

const struct pv_value *pv_request_value(const struct pv_request *request, int slot)
{
    return check_slot(request, slot) ? NULL : &request->slots[slot].value;
}

int64_t pv_request_time(const struct pv_request *request)
{
    return request->time;
}

bool pv_request_in_window(const struct pv_request *request, uint32_t window)
{
    return window < request->bundle->n_windows && pv_window_holds(request->bundle, request->local, window);
}

/* ---- Completeness ---- */

static bool reads(const struct pvb_insn *i, uint32_t slot)
{
    switch (pv_ops[i->op].shape) {
    case PV_SHAPE_SLOT_BOOL:
    case PV_SHAPE_SLOT_INT:
    case PV_SHAPE_SLOT_STR:
    case PV_SHAPE_SLOT_SET:
    case PV_SHAPE_SETSLOT_STR:
    case PV_SHAPE_SETSLOT_SET:
    case PV_SHAPE_SLOT_GLOB:
    case PV_SHAPE_SLOT_VER: return i->slot == slot;
    case PV_SHAPE_SLOT_INT2:
    case PV_SHAPE_SLOT_STR2:
    case PV_SHAPE_SLOT_SETSLOT:
    case PV_SHAPE_SETSLOT2:
    case PV_SHAPE_SLOT_VER2: return i->slot == slot || i->arg == slot;
    default: return false;
    }
}

static bool rule_reads(const struct pv_request *r, uint32_t rule, uint32_t slot)
{
    const struct pv_bundle *b = r->bundle;
    const struct pvb_rule *row = &b->rules[rule];
    bool found = false;
    for (uint32_t c = row->first_clause; c < row->first_clause + row->n_clauses; c++) {
        const struct pvb_clause *clause = &b->clauses[c];
        if (clause->kind == PV_C_COMMANDS && pv_clause_truth(r, c) == PV_FALSE)
            return false;
        for (uint32_t i = clause->first_insn; !found && i < clause->first_insn + clause->n_insns; i++)
            found = reads(&b->clause_code[i], slot);
    }
    return found;
}

static const char *path_of(const struct pv_bundle *b, uint32_t slot)
{
    return pv_string_at(b, b->attrs[slot].path).ptr;
}

static int check_has(const struct pv_request *r, uint32_t slot, bool by_rule, struct pv_error *error)
{
    const struct pv_bundle *b = r->bundle;
    const char *command = pv_string_at(b, b->commands[r->command].name).ptr;
    if (r->slots[slot].value.state != PV_ABSENT)
        return 0;
    for (uint32_t rule = 0; by_rule && rule < b->n_rules; rule++) {
        char buffer[128];
        if (rule_reads(r, rule, slot))
            return pv_fail(error, PV_E_MISSING, 0, "request for `%s` lacks %s, which rule %s reads", command,
                           path_of(b, slot), pv_rule_id(b, rule, buffer, sizeof(buffer)));
    }
    return pv_fail(error, PV_E_MISSING, 0, "request for `%s` lacks %s, which the command needs", command,
                   path_of(b, slot));
}

/* What the command has: its packages, sources, arguments, and what rules for it read. */
static int check_given(const struct pv_request *r, struct pv_error *error)
{
    const struct pv_bundle *b = r->bundle;
    const struct pvb_command *c = &b->commands[r->command];
    int status = 0;
    if (c->flags & PVB_COMMAND_PACKAGES)
        status = check_has(r, PV_A_PACKAGE_NAME, false, error);
    if (!status && c->flags & PVB_COMMAND_SOURCES)
        status = check_has(r, PV_A_SOURCE_NAME, false, error);
    for (uint32_t i = c->first_parameter; !status && i < c->first_parameter + c->n_parameters; i++) {
        const struct pvb_parameter *p = &b->parameters[i];
        const struct pv_value *value = &r->slots[p->slot].value;
        if (p->kind == PVB_ARGUMENT)
            status = check_has(r, p->slot, false, error);
        if (!status && p->set != PVB_NONE && value->state == PV_PRESENT && !pv_in_set(b, p->set, &value->string))
            status = pv_fail(error, PV_E_TYPE, 0, "%s of command `%s` cannot be \"%.*s\"", path_of(b, p->slot),
                             pv_string_at(b, c->name).ptr, (int)value->string.len, value->string.ptr);
    }
    for (uint32_t i = c->first_required; !status && i < c->first_required + c->n_required; i++)
        status = check_has(r, b->required[i], true, error);
    return status;
}

static int check_slots(const struct pv_request *r, struct pv_error *error)
{
    const struct pv_bundle *b = r->bundle;
    for (uint32_t i = 0; i < b->n_attrs; i++) {
        const struct pv_slot_state *s = &r->slots[i];
        if (s->given && !s->applies && s->set != PV_ABSENT)
            return pv_fail(error, PV_E_UNKNOWN, 0, "command `%s` has no %s",
                           pv_string_at(b, b->commands[r->command].name).ptr, path_of(b, i));
        if (s->value.state != PV_PRESENT || s->value.type != PV_T_VERSION)
            continue;
        enum pv_order order = b->attrs[i].order == PV_ORDER_COMMAND ? r->order : (enum pv_order)b->attrs[i].order;
        if (!pv_version_valid(order, s->value.string.ptr, s->value.string.len))
            return pv_fail(error, PV_E_TYPE, 0, "%s: \"%.*s\" is not a valid %s version", path_of(b, i),
                           (int)s->value.string.len, s->value.string.ptr, pv_order_name(order));
    }
    return 0;
}

int pv_request_check(const struct pv_request *request, struct pv_error *error)
{
    if (error)
        *error = (struct pv_error){0};
    if (request->slots[PV_A_COMMAND].value.state != PV_PRESENT)
        return pv_fail(error, PV_E_MISSING, 0, "request lacks command");
    if (request->slots[PV_A_USER_NAME].value.state == PV_ABSENT)
        return pv_fail(error, PV_E_MISSING, 0, "request lacks user.name");
    if (request->never_brokered)
        return 0;
    int status = check_slots(request, error);
    return status ? status : check_given(request, error);
}
