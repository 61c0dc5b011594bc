/* The smallest change of a request that would turn its denial into an allow.
 *
 * What a rule tests, its clauses' code says: each test gives the values that turn it over (the policy's own literals
 * and their neighbours). Tests are taken from the rules that deny, and from what fails in the allows nearest to
 * matching. One change is tried after the other, then pairs; a change is only told once the machine has decided the
 * changed request, complete and checked, as `allow`. The work is bounded by the length of the code, so a change may be
 * missed in a policy of very many rules, and is never made up.
 *
 * Who asks, for what command and which package stays as it is: that would be another request. What the requester can do
 * comes first, then what depends on circumstances, then what takes an administrator. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

#define MAX_RULES    64u  /* allows that tests are taken from */
#define MAX_CHANGES  128u /* single changes that are tried */
#define MAX_PER_TEST 8u   /* values from one test of a set */
#define MAX_FOUND    4u
#define MAX_CLOCKS   32u /* times of a day at which windows and rules change */
#define MAX_ZONES    4u
#define MAX_DAYS     371        /* a year, and a week for its weekdays */
#define MAX_STEPS    200000000u /* instructions of all decisions together, if each ran all of them */
#define MAX_TRIES    20000u
#define MIN_TRIES    256u

enum by { BY_REQUESTER, BY_CIRCUMSTANCES, BY_ADMINISTRATOR };

/* A new value of one slot; PV_A_TIME_DATE stands for the time, value.number is the instant. */
struct change {
    uint16_t slot;
    enum by by;
    struct pv_value value;
};

struct search {
    const struct pv_bundle *bundle;
    const struct pv_request *request;
    const struct pvb_attr *attrs;
    bool direct_too;
    struct pv_request *scratch;
    struct pv_decision *decision;
    struct change changes[MAX_CHANGES];
    size_t n;
    bool reads_time;
    int32_t clocks[MAX_CLOCKS];
    uint32_t n_clocks;
    uint32_t zones[MAX_ZONES];
    uint32_t n_zones;
    uint64_t tries; /* left */
    void **blocks;
    size_t n_blocks;
    bool failed; /* no memory */
    json_t *found;
};

static void *block(struct search *search, size_t size)
{
    void **grown = realloc(search->blocks, (search->n_blocks + 1) * sizeof(*grown));
    if (grown)
        search->blocks = grown;
    void *bytes = grown ? malloc(size ? size : 1) : NULL;
    if (bytes)
        search->blocks[search->n_blocks++] = bytes;
    search->failed = search->failed || !bytes;
    return bytes;
}

/* ---- Changes to try ---- */

static enum by by_whom(const struct search *search, uint32_t slot)
{
    switch (slot) {
    case PV_A_SOURCE_NAME:
    case PV_A_PACKAGE_VERSION:
    case PV_A_REQUEST_REASON:
    case PV_A_REQUEST_CWD:
    case PV_A_REQUEST_TIMEOUT:
    case PV_A_REQUEST_INTERACTIVE:
    case PV_A_USER_SESSION:
    case PV_A_TIME_DATE: return BY_REQUESTER;
    case PV_A_USER_GROUPS:
    case PV_A_PACKAGE_OWNER:
    case PV_A_PACKAGE_OWNER_UID:
    case PV_A_PACKAGE_PROTECTED: return BY_ADMINISTRATOR;
    default: return search->attrs[slot].scope == PV_SCOPE_PARAMETER ? BY_REQUESTER : BY_CIRCUMSTANCES;
    }
}

static bool changeable(const struct search *search, uint32_t slot)
{
    return (slot < PV_A_TIME_DATE || slot > PV_A_TIME_WEEKDAY) && slot != PV_A_USER_NAME && slot != PV_A_USER_UID &&
           slot != PV_A_COMMAND && slot != PV_A_PACKAGE_NAME && !(search->attrs[slot].flags & PV_ATTR_HIDDEN);
}

static bool same_value(const struct pv_value *a, const struct pv_value *b)
{
    if (a->state != b->state || a->number != b->number || a->string.len != b->string.len ||
        a->n_members != b->n_members || (a->string.len && memcmp(a->string.ptr, b->string.ptr, a->string.len) != 0))
        return false;
    for (uint32_t i = 0; i < a->n_members; i++)
        if (a->members[i].len != b->members[i].len ||
            memcmp(a->members[i].ptr, b->members[i].ptr, a->members[i].len) != 0)
            return false;
    return true;
}

static void add(struct search *search, uint32_t slot, struct pv_value value)
{
    const struct pv_value *now = pv_request_value(search->request, (int)slot);
    if (search->n == MAX_CHANGES || !changeable(search, slot))
        return;
    value.type = (enum pv_type)search->attrs[slot].type;
    if (value.state == now->state && (value.state == PV_ABSENT || same_value(&value, now)))
        return;
    for (size_t i = 0; i < search->n; i++)
        if (search->changes[i].slot == slot && same_value(&search->changes[i].value, &value))
            return;
    search->changes[search->n++] = (struct change){(uint16_t)slot, by_whom(search, slot), value};
}

static void add_instant(struct search *search, int64_t instant, enum by by)
{
    if (search->n < MAX_CHANGES)
        search->changes[search->n++] = (struct change){PV_A_TIME_DATE, by, {.state = PV_PRESENT, .number = instant}};
}

static void add_number(struct search *search, uint32_t slot, int64_t number)
{
    add(search, slot, (struct pv_value){.state = PV_PRESENT, .number = number});
}

static void add_string(struct search *search, uint32_t slot, const char *text, size_t len)
{
    if (len > PV_MAX_STRING)
        return;
    add(search, slot, (struct pv_value){.state = PV_PRESENT, .string = {text, (uint32_t)len, 0}});
}

static void add_constant(struct search *search, uint32_t slot, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(search->bundle, string, &len);
    add_string(search, slot, text, len);
}

/* A text that the policy does not know. */
static void add_other(struct search *search, uint32_t slot)
{
    static const char other[] = "something else";
    add_string(search, slot, other, sizeof(other) - 1);
}

/* A text that a glob matches: nothing for each star, a letter for each question mark. */
static const char *instance(struct search *search, const struct pvb_glob *glob, size_t *len)
{
    const uint32_t *tokens = pv_bundle_section(search->bundle, PVB_GLOB_TOKENS, NULL);
    char *text = block(search, (size_t)glob->n * 4);
    *len = 0;
    for (uint32_t i = 0; text && i < glob->n; i++) {
        uint32_t token = tokens[glob->first + i];
        if (token != PVB_GLOB_STAR && token != PVB_GLOB_STAR_STAR)
            *len += pv_utf8_encode(token == PVB_GLOB_ONE ? 'x' : token, text + *len);
    }
    return text;
}

static void add_glob(struct search *search, uint32_t slot, uint32_t glob)
{
    const struct pvb_glob *globs = pv_bundle_section(search->bundle, PVB_GLOBS, NULL);
    size_t len;
    const char *text = instance(search, &globs[glob], &len);
    if (text)
        add_string(search, slot, text, len);
}

/* ---- Sets as values ---- */

/* The set with one more member, or without those that `drop` says. */
static struct pv_str *members_copy(struct search *search, const struct pv_value *now, size_t more)
{
    struct pv_str *members = block(search, (now->n_members + more) * sizeof(*members));
    if (members && now->n_members)
        memcpy(members, now->members, now->n_members * sizeof(*members));
    return members;
}

static void add_with(struct search *search, uint32_t slot, const char *text, size_t len)
{
    const struct pv_value *now = pv_request_value(search->request, (int)slot);
    struct pv_value value = {.state = PV_PRESENT};
    if (now->n_members >= PV_MAX_MEMBERS || len > PV_MAX_STRING)
        return;
    struct pv_str *members = members_copy(search, now, 1);
    if (!members)
        return;
    members[now->n_members] = (struct pv_str){text, (uint32_t)len, 0};
    value.members = members;
    value.n_members = now->n_members + 1;
    add(search, slot, value);
}

static bool is_text(const struct pv_str *a, const char *text, size_t len)
{
    return a->len == len && (len == 0 || memcmp(a->ptr, text, len) == 0);
}

static bool in_set(const struct search *search, const struct pvb_set *set, const struct pv_str *value)
{
    const uint32_t *strings = pv_bundle_section(search->bundle, PVB_SET_MEMBERS, NULL);
    for (uint32_t i = set->first_member; i < set->first_member + set->n_members; i++) {
        size_t len;
        const char *text = pv_bundle_string(search->bundle, strings[i], &len);
        if (is_text(value, text, len))
            return true;
    }
    return false;
}

/* Without one text, or (`set`) without the names of a set. */
static void add_without(struct search *search, uint32_t slot, const struct pvb_set *set, const char *text, size_t len)
{
    const struct pv_value *now = pv_request_value(search->request, (int)slot);
    struct pv_value value = {.state = PV_PRESENT};
    struct pv_str *members = members_copy(search, now, 0);
    for (uint32_t i = 0; members && i < now->n_members; i++)
        if (set ? !in_set(search, set, &now->members[i]) : !is_text(&now->members[i], text, len))
            members[value.n_members++] = now->members[i];
    value.members = members;
    if (members && value.n_members < now->n_members)
        add(search, slot, value);
}

/* ---- Tests ---- */

static void turn_int(struct search *search, const struct pvb_insn *insn, int64_t constant)
{
    const struct pv_value *now = pv_request_value(search->request, insn->slot);
    int64_t low = constant == INT64_MIN ? constant : constant - 1;
    int64_t high = constant == INT64_MAX ? constant : constant + 1;
    bool above = now->state == PV_PRESENT && now->number > constant;
    add_number(search, insn->slot, constant);
    add_number(search, insn->slot, above ? high : low);
    add_number(search, insn->slot, above ? low : high);
}

static void turn_string(struct search *search, const struct pvb_insn *insn)
{
    add_constant(search, insn->slot, insn->arg);
    add_other(search, insn->slot);
}

static void turn_in(struct search *search, const struct pvb_insn *insn)
{
    const struct pvb_set *set = (const struct pvb_set *)pv_bundle_section(search->bundle, PVB_SETS, NULL) + insn->arg;
    const uint32_t *members = pv_bundle_section(search->bundle, PVB_SET_MEMBERS, NULL);
    const uint32_t *globs = pv_bundle_section(search->bundle, PVB_SET_GLOBS, NULL);
    for (uint32_t i = 0; i < set->n_members && i < MAX_PER_TEST; i++)
        add_constant(search, insn->slot, members[set->first_member + i]);
    for (uint32_t i = 0; i < set->n_globs && i < MAX_PER_TEST; i++)
        add_glob(search, insn->slot, globs[set->first_glob + i]);
    add_other(search, insn->slot);
}

static void turn_member(struct search *search, const struct pvb_insn *insn)
{
    size_t len;
    const char *text = pv_bundle_string(search->bundle, insn->arg, &len);
    const struct pv_value *now = pv_request_value(search->request, insn->slot);
    for (uint32_t i = 0; i < now->n_members; i++) {
        if (is_text(&now->members[i], text, len)) {
            add_without(search, insn->slot, NULL, text, len);
            return;
        }
    }
    add_with(search, insn->slot, text, len);
}

static void turn_overlaps(struct search *search, const struct pvb_insn *insn)
{
    const struct pvb_set *set = (const struct pvb_set *)pv_bundle_section(search->bundle, PVB_SETS, NULL) + insn->arg;
    const uint32_t *members = pv_bundle_section(search->bundle, PVB_SET_MEMBERS, NULL);
    add_without(search, insn->slot, set, NULL, 0);
    for (uint32_t i = 0; i < set->n_members && i < MAX_PER_TEST; i++) {
        size_t len;
        const char *text = pv_bundle_string(search->bundle, members[set->first_member + i], &len);
        add_with(search, insn->slot, text, len);
    }
}

/* The version itself, one right below and one above it, in the forms that the orders know; what is not a version of the
 * attribute's order is refused when the request is checked. */
static void turn_version(struct search *search, const struct pvb_insn *insn)
{
    static const char *const after[] = {"~", "+1", "-0", ".1"};
    size_t len;
    const char *text = pv_bundle_string(search->bundle, insn->arg, &len);
    add_string(search, insn->slot, text, len);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        char *neighbour = block(search, len + 3);
        if (!neighbour)
            return;
        memcpy(neighbour, text, len);
        size_t more = strlen(after[i]);
        memcpy(neighbour + len, after[i], more);
        add_string(search, insn->slot, neighbour, len + more);
    }
}

static void turn_presence(struct search *search, uint32_t slot)
{
    if (pv_request_value(search->request, (int)slot)->state == PV_PRESENT) {
        add(search, slot, (struct pv_value){.state = PV_ABSENT});
        return;
    }
    switch ((enum pv_type)search->attrs[slot].type) {
    case PV_T_STRING:
        add_string(search, slot, slot == PV_A_REQUEST_REASON ? "a reason" : "x", slot == PV_A_REQUEST_REASON ? 8 : 1);
        break;
    case PV_T_VERSION: add_string(search, slot, "1.0.0", 5); break;
    case PV_T_STRINGS: add(search, slot, (struct pv_value){.state = PV_PRESENT}); break;
    default: add_number(search, slot, 0); break;
    }
}

static void turn_pair(struct search *search, const struct pvb_insn *insn)
{
    uint32_t slots[2] = {insn->slot, insn->arg};
    for (int i = 0; i < 2; i++) {
        const struct pv_value *other = pv_request_value(search->request, (int)slots[1 - i]);
        if (other->state != PV_PRESENT)
            continue;
        if (other->type != (enum pv_type)search->attrs[slots[i]].type) { /* a string in a set attribute */
            if (other->type == PV_T_STRING)
                add_with(search, slots[i], other->string.ptr, other->string.len);
            for (uint32_t m = 0; other->type == PV_T_STRINGS && m < other->n_members && m < MAX_PER_TEST; m++)
                add_string(search, slots[i], other->members[m].ptr, other->members[m].len);
            continue;
        }
        add(search, slots[i], *other);
        if (insn->op == PVB_OP_INT2 && other->number > INT64_MIN && other->number < INT64_MAX) {
            add_number(search, slots[i], other->number - 1);
            add_number(search, slots[i], other->number + 1);
        } else if (insn->op == PVB_OP_STR2) {
            add_other(search, slots[i]);
        }
    }
}

static void turn_owner(struct search *search)
{
    const struct pv_value *name = pv_request_value(search->request, PV_A_USER_NAME);
    const struct pv_value *uid = pv_request_value(search->request, PV_A_USER_UID);
    const struct pv_value *owner_uid = pv_request_value(search->request, PV_A_PACKAGE_OWNER_UID);
    if (owner_uid->state == PV_PRESENT && owner_uid->number >= 0 && uid->number >= 0)
        add_number(search, PV_A_PACKAGE_OWNER_UID, uid->number);
    else
        add(search, PV_A_PACKAGE_OWNER, *name);
}

static void turn_source(struct search *search)
{
    size_t n;
    const struct pvb_source *sources = pv_bundle_section(search->bundle, PVB_SOURCES, &n);
    for (size_t i = 0; i < n && i < 32; i++)
        add_constant(search, PV_A_SOURCE_NAME, sources[i].name);
}

static void note_clock(struct search *search, int64_t second)
{
    for (uint32_t i = 0; i < search->n_clocks; i++)
        if (search->clocks[i] == second)
            return;
    if (second >= 0 && second < 86400 && search->n_clocks < MAX_CLOCKS)
        search->clocks[search->n_clocks++] = (int32_t)second;
}

static void note_zone(struct search *search, uint32_t zone)
{
    for (uint32_t i = 0; i < search->n_zones; i++)
        if (search->zones[i] == zone)
            return;
    if (search->n_zones < MAX_ZONES)
        search->zones[search->n_zones++] = zone;
}

/* When a test of the time may turn over: at midnight, at the clocks that it names, at those of windows. */
static void note_time(struct search *search, const struct pvb_insn *insn)
{
    size_t n;
    search->reads_time = true;
    note_zone(search, 0);
    if (insn->op == PVB_OP_INT && insn->slot == PV_A_TIME_CLOCK) {
        const int64_t *ints = pv_bundle_section(search->bundle, PVB_INTS, NULL);
        note_clock(search, ints[insn->arg]);
        note_clock(search, ints[insn->arg] + 1);
    }
    if (insn->op == PVB_OP_INT && insn->slot == PV_A_TIME_DATE) {
        /* A date that has passed: nobody can wait for it, but it is why. */
        const int64_t *ints = pv_bundle_section(search->bundle, PVB_INTS, NULL);
        const struct pv_value *date = pv_request_value(search->request, PV_A_TIME_DATE);
        const struct pv_value *clock = pv_request_value(search->request, PV_A_TIME_CLOCK);
        int64_t instant;
        if (ints[insn->arg] < date->number &&
            pv_bundle_zone_time(search->bundle, 0, ints[insn->arg], (int32_t)clock->number, &instant) == 0)
            add_instant(search, instant, BY_ADMINISTRATOR);
    }
    if (insn->op != PVB_OP_IN_WINDOW)
        return;
    const struct pvb_window *windows = pv_bundle_section(search->bundle, PVB_WINDOWS, &n);
    const struct pvb_clock_range *ranges;
    for (uint32_t w = 0; w <= insn->arg && w < n; w++)
        note_zone(search, windows[w].zone);
    ranges = pv_bundle_section(search->bundle, PVB_WINDOW_CLOCKS, &n);
    for (size_t i = 0; i < n; i++) {
        note_clock(search, ranges[i].from);
        note_clock(search, ranges[i].to);
    }
}

static void turn(struct search *search, const struct pvb_insn *insn)
{
    const int64_t *ints = pv_bundle_section(search->bundle, PVB_INTS, NULL);
    switch ((enum pvb_op)insn->op) {
    case PVB_OP_CONST:
    case PVB_OP_RETURN:
    case PVB_OP_NOT:
    case PVB_OP_AND:
    case PVB_OP_OR:
    case PVB_OP_END:
    case PVB_N_OPS: return;
    case PVB_OP_IN_WINDOW: note_time(search, insn); return;
    case PVB_OP_OWN: turn_owner(search); return;
    default: break;
    }
    if (search->attrs[insn->slot].scope == PV_SCOPE_SOURCE) {
        turn_source(search);
        return;
    }
    if (insn->slot >= PV_A_TIME_DATE && insn->slot <= PV_A_TIME_WEEKDAY) {
        note_time(search, insn);
        return;
    }
    switch ((enum pvb_op)insn->op) {
    case PVB_OP_HAS: turn_presence(search, insn->slot); break;
    case PVB_OP_BOOL: add_number(search, insn->slot, !pv_request_value(search->request, insn->slot)->number); break;
    case PVB_OP_INT: turn_int(search, insn, ints[insn->arg]); break;
    case PVB_OP_STR: turn_string(search, insn); break;
    case PVB_OP_IN: turn_in(search, insn); break;
    case PVB_OP_MEMBER: turn_member(search, insn); break;
    case PVB_OP_OVERLAPS: turn_overlaps(search, insn); break;
    case PVB_OP_LIKE:
        add_glob(search, insn->slot, insn->arg);
        add_other(search, insn->slot);
        break;
    case PVB_OP_VER: turn_version(search, insn); break;
    case PVB_OP_INT2:
    case PVB_OP_STR2:
    case PVB_OP_IN2:
    case PVB_OP_OVERLAPS2:
    case PVB_OP_VER2: turn_pair(search, insn); break;
    default: break;
    }
}

static void turn_clauses(struct search *search, uint32_t rule, bool all)
{
    const struct pvb_rule *row = (const struct pvb_rule *)pv_bundle_section(search->bundle, PVB_RULES, NULL) + rule;
    const struct pvb_clause *clauses = pv_bundle_section(search->bundle, PVB_CLAUSES, NULL);
    const struct pvb_insn *code = pv_bundle_section(search->bundle, PVB_CLAUSE_CODE, NULL);
    for (uint32_t c = row->first_clause; c < row->first_clause + row->n_clauses; c++)
        for (uint32_t i = clauses[c].first_insn;
             (all || pv_clause_truth(search->request, c) != PV_TRUE) && i < clauses[c].first_insn + clauses[c].n_insns;
             i++)
            turn(search, &code[i]);
}

/* ---- Trying ---- */

static int apply(struct pv_request *request, const struct change *change)
{
    const struct pv_value *value = &change->value;
    if (change->slot == PV_A_TIME_DATE)
        return pv_request_set_time(request, value->number);
    if (value->state != PV_PRESENT)
        return pv_request_set_absent(request, change->slot);
    switch (value->type) {
    case PV_T_BOOL: return pv_request_set_bool(request, change->slot, value->number != 0);
    case PV_T_STRING:
    case PV_T_VERSION: return pv_request_set_string(request, change->slot, value->string.ptr, value->string.len);
    case PV_T_STRINGS: /* of our own, or one that is sorted already */
        return pv_request_set_strings(request, change->slot, (struct pv_str *)(uintptr_t)value->members,
                                      value->n_members);
    default: return pv_request_set_int(request, change->slot, value->number);
    }
}

/* Whether the request with these changes is complete and allowed. */
static bool allows(struct search *search, const struct change *const *changes, size_t n)
{
    if (search->tries == 0)
        return false;
    search->tries--;
    pv_request_copy(search->scratch, search->request);
    for (size_t i = 0; i < n; i++)
        if (apply(search->scratch, changes[i]) < 0)
            return false;
    if (pv_verdict(search->scratch, search->direct_too) != PV_ALLOW || pv_request_check(search->scratch, NULL) < 0)
        return false;
    pv_decide(search->scratch, search->direct_too, search->decision);
    return search->decision->effect == PV_ALLOW;
}

/* ---- Telling ---- */

static bool holds_member(const struct pv_value *set, const struct pv_str *member)
{
    for (uint32_t i = 0; i < set->n_members; i++)
        if (is_text(&set->members[i], member->ptr, member->len))
            return true;
    return false;
}

/* Members of one set that the other has not. */
static json_t *difference(const struct pv_value *of, const struct pv_value *from)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < of->n_members; i++) {
        if (!holds_member(from, &of->members[i]) &&
            json_array_append_new(list, pv_cli_json_text(of->members[i].ptr, of->members[i].len)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void put_list(FILE *out, json_t *list)
{
    size_t i;
    json_t *member;
    json_array_foreach(list, i, member)
    {
        fputs(i ? ", \"" : "\"", out);
        pv_cli_put(out, json_string_value(member), json_string_length(member));
        fputc('"', out);
    }
}

static const char *moment(struct search *search, int64_t instant, char *buffer, size_t size)
{
    static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    pv_request_copy(search->scratch, search->request);
    if (pv_request_set_time(search->scratch, instant) < 0)
        return "?";
    int64_t year, clock = pv_request_value(search->scratch, PV_A_TIME_CLOCK)->number;
    int64_t weekday = pv_request_value(search->scratch, PV_A_TIME_WEEKDAY)->number;
    unsigned month, day;
    pv_civil_from_days(pv_request_value(search->scratch, PV_A_TIME_DATE)->number, &year, &month, &day);
    snprintf(buffer, size, "%s %04d-%02u-%02u %02d:%02d:%02d", weekdays[weekday % 7], (int)year, month, day,
             (int)(clock / 3600), (int)(clock / 60 % 60), (int)(clock % 60));
    return buffer;
}

static json_t *instant_json(int64_t instant)
{
    int64_t days = instant / 86400 - (instant % 86400 < 0), second = instant - days * 86400, year;
    unsigned month, day;
    pv_civil_from_days(days, &year, &month, &day);
    return json_sprintf("%04d-%02u-%02uT%02d:%02d:%02dZ", (int)year, month, day, (int)(second / 3600),
                        (int)(second / 60 % 60), (int)(second % 60));
}

static json_t *set_json(struct search *search, const struct change *change, FILE *out)
{
    const struct pv_value *now = pv_request_value(search->request, change->slot);
    if (change->slot == PV_A_TIME_DATE) {
        char buffer[64];
        bool later = change->value.number > pv_request_time(search->request);
        fprintf(out, later ? "waits until %s" : "asks on %s, which has passed",
                moment(search, change->value.number, buffer, sizeof(buffer)));
        return json_pack("{s:s, s:o, s:o}", "path", "time", "was", instant_json(pv_request_time(search->request)),
                         "value", instant_json(change->value.number));
    }
    const char *path = pv_cli_slot_path(search->bundle, change->slot);
    json_t *row = json_pack("{s:s, s:o, s:o}", "path", path, "was", pv_cli_value_json(now), "value",
                            pv_cli_value_json(&change->value));
    if (change->value.type == PV_T_STRINGS && now->state == PV_PRESENT && change->value.state == PV_PRESENT) {
        json_t *added = difference(&change->value, now), *removed = difference(now, &change->value);
        bool adds = json_array_size(added) > 0;
        fprintf(out, "%s %s ", path, adds ? "also holds" : "does not hold");
        put_list(out, adds ? added : removed);
        if (json_object_set_new(row, "added", added) != 0 || json_object_set_new(row, "removed", removed) != 0)
            search->failed = true;
        return row;
    }
    fprintf(out, "%s is ", path);
    pv_cli_put_value(out, &change->value);
    fputs(", not ", out);
    pv_cli_put_value(out, now);
    return row;
}

/* Numbers at the other side of one boundary after another would all be told: the nearest one is enough. */
static bool told(const struct search *search, const struct change *const *changes, size_t n)
{
    for (size_t f = 0; f < json_array_size(search->found); f++) {
        json_t *set = json_object_get(json_array_get(search->found, f), "set");
        size_t same = 0;
        for (size_t i = 0; i < n; i++) {
            const char *path =
                changes[i]->slot == PV_A_TIME_DATE ? "time" : pv_cli_slot_path(search->bundle, changes[i]->slot);
            bool alternative = changes[i]->slot == PV_A_USER_GROUPS || changes[i]->slot == PV_A_SOURCE_NAME;
            for (size_t k = 0; k < json_array_size(set) && !alternative; k++)
                same += strcmp(json_string_value(json_object_get(json_array_get(set, k), "path")), path) == 0;
        }
        if (same == n)
            return true;
    }
    return false;
}

static void tell(struct search *search, const struct change *const *changes, size_t n)
{
    if (told(search, changes, n))
        return;
    static const char *const names[] = {
        [BY_REQUESTER] = "requester", [BY_CIRCUMSTANCES] = "circumstances", [BY_ADMINISTRATOR] = "administrator"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *set = json_array(), *row;
    enum by by = BY_REQUESTER;
    if (!out) {
        search->failed = true;
        json_decref(set);
        return;
    }
    for (size_t i = 0; i < n; i++)
        by = changes[i]->by > by ? changes[i]->by : by;
    fprintf(out, "%s: ", names[by]);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", and " : "", out);
        if (json_array_append_new(set, set_json(search, changes[i], out)) != 0)
            search->failed = true;
    }
    row = json_pack("{s:s, s:o, s:o}", "by", names[by], "set", set, "text", pv_cli_memory_text(&out, &text, &len));
    if (json_array_append_new(search->found, row) != 0)
        search->failed = true;
}

/* ---- The search ---- */

static uint32_t n_false(const struct search *search, const struct pvb_rule *rule)
{
    const struct pvb_clause *clauses = pv_bundle_section(search->bundle, PVB_CLAUSES, NULL);
    uint32_t n = 0;
    for (uint32_t c = rule->first_clause; c < rule->first_clause + rule->n_clauses; c++) {
        if (pv_clause_truth(search->request, c) == PV_TRUE)
            continue;
        if (clauses[c].kind == PV_C_COMMANDS)
            return UINT32_MAX;
        n++;
    }
    return n;
}

/* The allows nearest to matching, then those that deny: what has to be turned over. */
static void collect(struct search *search, const struct pv_decision *decision)
{
    size_t n;
    const struct pvb_rule *rules = pv_bundle_section(search->bundle, PVB_RULES, &n);
    uint32_t *distance = block(search, n * sizeof(*distance)), taken = 0;
    for (uint32_t r = 0; distance && r < n; r++)
        distance[r] = rules[r].kind == PV_RULE_ALLOW ? n_false(search, &rules[r]) : UINT32_MAX;
    for (uint32_t i = 0; i < decision->n_rules && i < MAX_RULES; i++)
        turn_clauses(search, decision->rules[i], true);
    for (uint32_t r = 0; decision->account_conflict && r < n; r++)
        if (rules[r].kind == PV_RULE_REQUIRE && pv_rule_truth(search->request, r) != PV_FALSE)
            turn_clauses(search, r, true);
    for (uint32_t near = 1; distance && near <= 4; near++)
        for (uint32_t r = 0; r < n && taken < MAX_RULES; r++)
            if (distance[r] == near) {
                turn_clauses(search, r, false);
                taken++;
            }
}

static int compare_instants(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The first moment from now on at which the request, with another change where one is given, is allowed. */
static bool wait_for(struct search *search, const struct change *with, struct change *out, int days)
{
    int64_t today = pv_request_value(search->request, PV_A_TIME_DATE)->number;
    uint64_t reserve = search->tries / 2; /* for what comes after */
    *out = (struct change){.slot = PV_A_TIME_DATE, .by = BY_REQUESTER, .value = {.state = PV_PRESENT}};
    for (int day = -1; day <= days; day++) {
        int64_t instants[MAX_CLOCKS * MAX_ZONES];
        size_t n = 0;
        for (uint32_t z = 0; z < search->n_zones; z++)
            for (uint32_t c = 0; c < search->n_clocks; c++)
                n += pv_bundle_zone_time(search->bundle, search->zones[z], today + day, search->clocks[c],
                                         &instants[n]) == 0;
        qsort(instants, n, sizeof(*instants), compare_instants);
        for (size_t i = 0; i < n; i++) {
            const struct change *both[2] = {out, with};
            out->value.number = instants[i];
            if (search->tries <= reserve)
                return false;
            if (instants[i] > pv_request_time(search->request) && allows(search, both, with ? 2 : 1))
                return true;
        }
    }
    return false;
}

/* By slot, numbers by how far they are from what they are now. */
static uint64_t distance(const struct search *search, const struct change *change)
{
    const struct pv_value *now = pv_request_value(search->request, change->slot);
    int64_t a = change->value.number, b = now->number;
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static void sort(struct search *search)
{
    for (size_t i = 1; i < search->n; i++) {
        struct change moved = search->changes[i];
        size_t k = i;
        for (; k > 0 && search->changes[k - 1].slot == moved.slot &&
               distance(search, &search->changes[k - 1]) > distance(search, &moved);
             k--)
            search->changes[k] = search->changes[k - 1];
        search->changes[k] = moved;
    }
}

static void search_singles(struct search *search)
{
    for (int by = BY_REQUESTER; by <= BY_ADMINISTRATOR; by++) {
        for (size_t i = 0; i < search->n && json_array_size(search->found) < MAX_FOUND; i++) {
            const struct change *one = &search->changes[i];
            if (one->by == (enum by)by && allows(search, &one, 1))
                tell(search, &one, 1);
        }
        struct change later;
        const struct change *one = &later;
        if (by == BY_REQUESTER && search->reads_time && wait_for(search, NULL, &later, MAX_DAYS))
            tell(search, &one, 1);
    }
}

static void search_pairs(struct search *search)
{
    for (int by = BY_REQUESTER; by <= BY_ADMINISTRATOR; by++) {
        for (size_t i = 0; i < search->n; i++) {
            for (size_t k = i + 1; k < search->n && json_array_size(search->found) < MAX_FOUND; k++) {
                const struct change *pair[2] = {&search->changes[i], &search->changes[k]};
                enum by whom = pair[0]->by > pair[1]->by ? pair[0]->by : pair[1]->by;
                if (whom == (enum by)by && pair[0]->slot != pair[1]->slot && allows(search, pair, 2))
                    tell(search, pair, 2);
            }
        }
        for (size_t i = 0; i < search->n && search->reads_time && json_array_size(search->found) < MAX_FOUND; i++) {
            struct change later;
            const struct change *pair[2] = {&search->changes[i], &later};
            if (pair[0]->by == (enum by)by && pair[0]->slot != PV_A_TIME_DATE &&
                wait_for(search, pair[0], &later, 7)) /* a week: the work is per change */
                tell(search, pair, 2);
        }
        if (json_array_size(search->found) > 0)
            return;
    }
}

static uint64_t tries(const struct pv_bundle *bundle)
{
    size_t decide, clauses;
    pv_bundle_section(bundle, PVB_DECIDE, &decide);
    pv_bundle_section(bundle, PVB_CLAUSE_CODE, &clauses);
    uint64_t n = MAX_STEPS / (decide + clauses + 1);
    return n < MIN_TRIES ? MIN_TRIES : n > MAX_TRIES ? MAX_TRIES : n;
}

json_t *pv_cli_changes(const struct pv_request *request, const struct pv_decision *decision, bool direct_too)
{
    const struct pv_bundle *bundle = pv_request_bundle(request);
    struct search *search = calloc(1, sizeof(*search));
    json_t *result = NULL;
    if (!search)
        return NULL;
    search->bundle = bundle;
    search->request = request;
    search->direct_too = direct_too;
    search->attrs = pv_bundle_section(bundle, PVB_ATTRS, NULL);
    search->found = json_array();
    search->tries = tries(bundle);
    const struct pv_value *command = pv_request_value(request, PV_A_COMMAND);
    bool never = pv_never_brokered(command->string.ptr, command->string.len);
    if (pv_request_new(&search->scratch, bundle) == 0 && pv_decision_new(&search->decision, bundle) == 0) {
        note_clock(search, 0);
        if (!never)
            collect(search, decision);
        sort(search);
        search_singles(search);
        if (json_array_size(search->found) == 0)
            search_pairs(search);
        if (!search->failed)
            result = json_pack("{s:O, s:b}", "found", search->found, "exhausted", search->tries == 0);
    }
    for (size_t i = 0; i < search->n_blocks; i++)
        free(search->blocks[i]);
    free(search->blocks);
    pv_request_free(search->scratch);
    pv_decision_free(search->decision);
    json_decref(search->found);
    free(search);
    return result;
}
