/* What a policy tests, and the values that turn a test over: its own literals and their neighbours, read from the code
 * of the clauses, so that a bundle has them as well as a text. Whether they help is for the machine to say (changes.c).
 *
 * Who asks, for what command and which package stays as it is: that would be another request. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/changes.h"

#define MAX_RULES    64u /* allows that tests are taken from */
#define MAX_PER_TEST 8u  /* values from one test of a set */

static void *block(struct pv_cli_candidates *all, size_t size)
{
    void **grown = realloc(all->blocks, (all->n_blocks + 1) * sizeof(*grown));
    if (grown)
        all->blocks = grown;
    void *bytes = grown ? malloc(size ? size : 1) : NULL;
    if (bytes)
        all->blocks[all->n_blocks++] = bytes;
    all->failed = all->failed || !bytes;
    return bytes;
}

/* ---- Changes to try ---- */

static enum pv_cli_by by_whom(const struct pv_cli_candidates *all, uint32_t slot)
{
    switch (slot) {
    case PV_A_SOURCE_NAME:
    case PV_A_PACKAGE_VERSION:
    case PV_A_REQUEST_REASON:
    case PV_A_REQUEST_CWD:
    case PV_A_REQUEST_TIMEOUT:
    case PV_A_REQUEST_INTERACTIVE:
    case PV_A_USER_SESSION:
    case PV_A_TIME_DATE: return PV_CLI_BY_REQUESTER;
    case PV_A_USER_GROUPS:
    case PV_A_PACKAGE_OWNER:
    case PV_A_PACKAGE_OWNER_UID:
    case PV_A_PACKAGE_PROTECTED: return PV_CLI_BY_ADMINISTRATOR;
    default: return all->attrs[slot].scope == PV_SCOPE_PARAMETER ? PV_CLI_BY_REQUESTER : PV_CLI_BY_CIRCUMSTANCES;
    }
}

static bool changeable(const struct pv_cli_candidates *all, uint32_t slot)
{
    return (slot < PV_A_TIME_DATE || slot > PV_A_TIME_WEEKDAY) && slot != PV_A_USER_NAME && slot != PV_A_USER_UID &&
           slot != PV_A_COMMAND && slot != PV_A_PACKAGE_NAME && !(all->attrs[slot].flags & PV_ATTR_HIDDEN);
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

static void add(struct pv_cli_candidates *all, uint32_t slot, struct pv_value value)
{
    const struct pv_value *now = pv_request_value(all->request, (int)slot);
    if (all->n == PV_CLI_MAX_CHANGES || !changeable(all, slot))
        return;
    value.type = (enum pv_type)all->attrs[slot].type;
    if (value.state == now->state && (value.state == PV_ABSENT || same_value(&value, now)))
        return;
    for (size_t i = 0; i < all->n; i++)
        if (all->changes[i].slot == slot && same_value(&all->changes[i].value, &value))
            return;
    all->changes[all->n++] = (struct pv_cli_change){(uint16_t)slot, by_whom(all, slot), value};
}

static void add_instant(struct pv_cli_candidates *all, int64_t instant, enum pv_cli_by by)
{
    if (all->n < PV_CLI_MAX_CHANGES)
        all->changes[all->n++] = (struct pv_cli_change){PV_A_TIME_DATE, by, {.state = PV_PRESENT, .number = instant}};
}

static void add_number(struct pv_cli_candidates *all, uint32_t slot, int64_t number)
{
    add(all, slot, (struct pv_value){.state = PV_PRESENT, .number = number});
}

static void add_string(struct pv_cli_candidates *all, uint32_t slot, const char *text, size_t len)
{
    if (len > PV_MAX_STRING)
        return;
    add(all, slot, (struct pv_value){.state = PV_PRESENT, .string = {text, (uint32_t)len, 0}});
}

static void add_constant(struct pv_cli_candidates *all, uint32_t slot, uint32_t string)
{
    size_t len;
    const char *text = pv_bundle_string(all->bundle, string, &len);
    add_string(all, slot, text, len);
}

/* A text that the policy does not know. */
static void add_other(struct pv_cli_candidates *all, uint32_t slot)
{
    static const char other[] = "something else";
    add_string(all, slot, other, sizeof(other) - 1);
}

/* A text that a glob matches: nothing for each star, a letter for each question mark. */
static const char *instance(struct pv_cli_candidates *all, const struct pvb_glob *glob, size_t *len)
{
    const uint32_t *tokens = pv_bundle_section(all->bundle, PVB_GLOB_TOKENS, NULL);
    char *text = block(all, (size_t)glob->n * 4);
    *len = 0;
    for (uint32_t i = 0; text && i < glob->n; i++) {
        uint32_t token = tokens[glob->first + i];
        if (token != PVB_GLOB_STAR && token != PVB_GLOB_STAR_STAR)
            *len += pv_utf8_encode(token == PVB_GLOB_ONE ? 'x' : token, text + *len);
    }
    return text;
}

static void add_glob(struct pv_cli_candidates *all, uint32_t slot, uint32_t glob)
{
    const struct pvb_glob *globs = pv_bundle_section(all->bundle, PVB_GLOBS, NULL);
    size_t len;
    const char *text = instance(all, &globs[glob], &len);
    if (text)
        add_string(all, slot, text, len);
}

/* ---- Sets as values ---- */

/* The set with one more member, or without those that `drop` says. */
static struct pv_str *members_copy(struct pv_cli_candidates *all, const struct pv_value *now, size_t more)
{
    struct pv_str *members = block(all, (now->n_members + more) * sizeof(*members));
    if (members && now->n_members)
        memcpy(members, now->members, now->n_members * sizeof(*members));
    return members;
}

static void add_with(struct pv_cli_candidates *all, uint32_t slot, const char *text, size_t len)
{
    const struct pv_value *now = pv_request_value(all->request, (int)slot);
    struct pv_value value = {.state = PV_PRESENT};
    if (now->n_members >= PV_MAX_MEMBERS || len > PV_MAX_STRING)
        return;
    struct pv_str *members = members_copy(all, now, 1);
    if (!members)
        return;
    members[now->n_members] = (struct pv_str){text, (uint32_t)len, 0};
    value.members = members;
    value.n_members = now->n_members + 1;
    add(all, slot, value);
}

static bool is_text(const struct pv_str *a, const char *text, size_t len)
{
    return a->len == len && (len == 0 || memcmp(a->ptr, text, len) == 0);
}

static bool in_set(const struct pv_cli_candidates *all, const struct pvb_set *set, const struct pv_str *value)
{
    const uint32_t *strings = pv_bundle_section(all->bundle, PVB_SET_MEMBERS, NULL);
    for (uint32_t i = set->first_member; i < set->first_member + set->n_members; i++) {
        size_t len;
        const char *text = pv_bundle_string(all->bundle, strings[i], &len);
        if (is_text(value, text, len))
            return true;
    }
    return false;
}

/* Without one text, or (`set`) without the names of a set. */
static void add_without(struct pv_cli_candidates *all, uint32_t slot, const struct pvb_set *set, const char *text,
                        size_t len)
{
    const struct pv_value *now = pv_request_value(all->request, (int)slot);
    struct pv_value value = {.state = PV_PRESENT};
    struct pv_str *members = members_copy(all, now, 0);
    for (uint32_t i = 0; members && i < now->n_members; i++)
        if (set ? !in_set(all, set, &now->members[i]) : !is_text(&now->members[i], text, len))
            members[value.n_members++] = now->members[i];
    value.members = members;
    if (members && value.n_members < now->n_members)
        add(all, slot, value);
}

/* ---- Tests ---- */

static void turn_int(struct pv_cli_candidates *all, const struct pvb_insn *insn, int64_t constant)
{
    const struct pv_value *now = pv_request_value(all->request, insn->slot);
    int64_t low = constant == INT64_MIN ? constant : constant - 1;
    int64_t high = constant == INT64_MAX ? constant : constant + 1;
    bool above = now->state == PV_PRESENT && now->number > constant;
    add_number(all, insn->slot, constant);
    add_number(all, insn->slot, above ? high : low);
    add_number(all, insn->slot, above ? low : high);
}

static void turn_string(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    add_constant(all, insn->slot, insn->arg);
    add_other(all, insn->slot);
}

static void turn_in(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    const struct pvb_set *set = (const struct pvb_set *)pv_bundle_section(all->bundle, PVB_SETS, NULL) + insn->arg;
    const uint32_t *members = pv_bundle_section(all->bundle, PVB_SET_MEMBERS, NULL);
    const uint32_t *globs = pv_bundle_section(all->bundle, PVB_SET_GLOBS, NULL);
    for (uint32_t i = 0; i < set->n_members && i < MAX_PER_TEST; i++)
        add_constant(all, insn->slot, members[set->first_member + i]);
    for (uint32_t i = 0; i < set->n_globs && i < MAX_PER_TEST; i++)
        add_glob(all, insn->slot, globs[set->first_glob + i]);
    add_other(all, insn->slot);
}

static void turn_member(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    size_t len;
    const char *text = pv_bundle_string(all->bundle, insn->arg, &len);
    const struct pv_value *now = pv_request_value(all->request, insn->slot);
    for (uint32_t i = 0; i < now->n_members; i++) {
        if (is_text(&now->members[i], text, len)) {
            add_without(all, insn->slot, NULL, text, len);
            return;
        }
    }
    add_with(all, insn->slot, text, len);
}

static void turn_overlaps(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    const struct pvb_set *set = (const struct pvb_set *)pv_bundle_section(all->bundle, PVB_SETS, NULL) + insn->arg;
    const uint32_t *members = pv_bundle_section(all->bundle, PVB_SET_MEMBERS, NULL);
    add_without(all, insn->slot, set, NULL, 0);
    for (uint32_t i = 0; i < set->n_members && i < MAX_PER_TEST; i++) {
        size_t len;
        const char *text = pv_bundle_string(all->bundle, members[set->first_member + i], &len);
        add_with(all, insn->slot, text, len);
    }
}

/* The version itself, one right below and one above it, in the forms that the orders know; what is not a version of the
 * attribute's order is refused when the request is checked. */
static void turn_version(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    static const char *const after[] = {"~", "+1", "-0", ".1"};
    size_t len;
    const char *text = pv_bundle_string(all->bundle, insn->arg, &len);
    add_string(all, insn->slot, text, len);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        char *neighbour = block(all, len + 3);
        if (!neighbour)
            return;
        memcpy(neighbour, text, len);
        size_t more = strlen(after[i]);
        memcpy(neighbour + len, after[i], more);
        add_string(all, insn->slot, neighbour, len + more);
    }
}

static void turn_presence(struct pv_cli_candidates *all, uint32_t slot)
{
    if (pv_request_value(all->request, (int)slot)->state == PV_PRESENT) {
        add(all, slot, (struct pv_value){.state = PV_ABSENT});
        return;
    }
    switch ((enum pv_type)all->attrs[slot].type) {
    case PV_T_STRING:
        add_string(all, slot, slot == PV_A_REQUEST_REASON ? "a reason" : "x", slot == PV_A_REQUEST_REASON ? 8 : 1);
        break;
    case PV_T_VERSION: add_string(all, slot, "1.0.0", 5); break;
    case PV_T_STRINGS: add(all, slot, (struct pv_value){.state = PV_PRESENT}); break;
    default: add_number(all, slot, 0); break;
    }
}

static void turn_pair(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    uint32_t slots[2] = {insn->slot, insn->arg};
    for (int i = 0; i < 2; i++) {
        const struct pv_value *other = pv_request_value(all->request, (int)slots[1 - i]);
        if (other->state != PV_PRESENT)
            continue;
        if (other->type != (enum pv_type)all->attrs[slots[i]].type) { /* a string in a set attribute */
            if (other->type == PV_T_STRING)
                add_with(all, slots[i], other->string.ptr, other->string.len);
            for (uint32_t m = 0; other->type == PV_T_STRINGS && m < other->n_members && m < MAX_PER_TEST; m++)
                add_string(all, slots[i], other->members[m].ptr, other->members[m].len);
            continue;
        }
        add(all, slots[i], *other);
        if (insn->op == PVB_OP_INT2 && other->number > INT64_MIN && other->number < INT64_MAX) {
            add_number(all, slots[i], other->number - 1);
            add_number(all, slots[i], other->number + 1);
        } else if (insn->op == PVB_OP_STR2) {
            add_other(all, slots[i]);
        }
    }
}

static void turn_owner(struct pv_cli_candidates *all)
{
    const struct pv_value *name = pv_request_value(all->request, PV_A_USER_NAME);
    const struct pv_value *uid = pv_request_value(all->request, PV_A_USER_UID);
    const struct pv_value *owner_uid = pv_request_value(all->request, PV_A_PACKAGE_OWNER_UID);
    if (owner_uid->state == PV_PRESENT && owner_uid->number >= 0 && uid->number >= 0)
        add_number(all, PV_A_PACKAGE_OWNER_UID, uid->number);
    else
        add(all, PV_A_PACKAGE_OWNER, *name);
}

static void turn_source(struct pv_cli_candidates *all)
{
    size_t n;
    const struct pvb_source *sources = pv_bundle_section(all->bundle, PVB_SOURCES, &n);
    for (size_t i = 0; i < n && i < 32; i++)
        add_constant(all, PV_A_SOURCE_NAME, sources[i].name);
}

static void note_clock(struct pv_cli_candidates *all, int64_t second)
{
    for (uint32_t i = 0; i < all->n_clocks; i++)
        if (all->clocks[i] == second)
            return;
    if (second >= 0 && second < 86400 && all->n_clocks < PV_CLI_MAX_CLOCKS)
        all->clocks[all->n_clocks++] = (int32_t)second;
}

static void note_zone(struct pv_cli_candidates *all, uint32_t zone)
{
    for (uint32_t i = 0; i < all->n_zones; i++)
        if (all->zones[i] == zone)
            return;
    if (all->n_zones < PV_CLI_MAX_ZONES)
        all->zones[all->n_zones++] = zone;
}

/* When a test of the time may turn over: at midnight, at the clocks that it names, at those of windows. */
static void note_time(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    size_t n;
    all->reads_time = true;
    note_zone(all, 0);
    if (insn->op == PVB_OP_INT && insn->slot == PV_A_TIME_CLOCK) {
        const int64_t *ints = pv_bundle_section(all->bundle, PVB_INTS, NULL);
        note_clock(all, ints[insn->arg]);
        note_clock(all, ints[insn->arg] + 1);
    }
    if (insn->op == PVB_OP_INT && insn->slot == PV_A_TIME_DATE) {
        /* A date that has passed: nobody can wait for it, but it is why. */
        const int64_t *ints = pv_bundle_section(all->bundle, PVB_INTS, NULL);
        const struct pv_value *date = pv_request_value(all->request, PV_A_TIME_DATE);
        const struct pv_value *clock = pv_request_value(all->request, PV_A_TIME_CLOCK);
        int64_t instant;
        if (ints[insn->arg] < date->number &&
            pv_bundle_zone_time(all->bundle, 0, ints[insn->arg], (int32_t)clock->number, &instant) == 0)
            add_instant(all, instant, PV_CLI_BY_ADMINISTRATOR);
    }
    if (insn->op != PVB_OP_IN_WINDOW)
        return;
    const struct pvb_window *windows = pv_bundle_section(all->bundle, PVB_WINDOWS, &n);
    const struct pvb_clock_range *ranges;
    for (uint32_t w = 0; w <= insn->arg && w < n; w++)
        note_zone(all, windows[w].zone);
    ranges = pv_bundle_section(all->bundle, PVB_WINDOW_CLOCKS, &n);
    for (size_t i = 0; i < n; i++) {
        note_clock(all, ranges[i].from);
        note_clock(all, ranges[i].to);
    }
}

static void turn(struct pv_cli_candidates *all, const struct pvb_insn *insn)
{
    const int64_t *ints = pv_bundle_section(all->bundle, PVB_INTS, NULL);
    switch ((enum pvb_op)insn->op) {
    case PVB_OP_CONST:
    case PVB_OP_RETURN:
    case PVB_OP_NOT:
    case PVB_OP_AND:
    case PVB_OP_OR:
    case PVB_OP_END:
    case PVB_N_OPS: return;
    case PVB_OP_IN_WINDOW: note_time(all, insn); return;
    case PVB_OP_OWN: turn_owner(all); return;
    default: break;
    }
    if (all->attrs[insn->slot].scope == PV_SCOPE_SOURCE) {
        turn_source(all);
        return;
    }
    if (insn->slot >= PV_A_TIME_DATE && insn->slot <= PV_A_TIME_WEEKDAY) {
        note_time(all, insn);
        return;
    }
    switch ((enum pvb_op)insn->op) {
    case PVB_OP_HAS: turn_presence(all, insn->slot); break;
    case PVB_OP_BOOL: add_number(all, insn->slot, !pv_request_value(all->request, insn->slot)->number); break;
    case PVB_OP_INT: turn_int(all, insn, ints[insn->arg]); break;
    case PVB_OP_STR: turn_string(all, insn); break;
    case PVB_OP_IN: turn_in(all, insn); break;
    case PVB_OP_MEMBER: turn_member(all, insn); break;
    case PVB_OP_OVERLAPS: turn_overlaps(all, insn); break;
    case PVB_OP_LIKE:
        add_glob(all, insn->slot, insn->arg);
        add_other(all, insn->slot);
        break;
    case PVB_OP_VER: turn_version(all, insn); break;
    case PVB_OP_INT2:
    case PVB_OP_STR2:
    case PVB_OP_IN2:
    case PVB_OP_OVERLAPS2:
    case PVB_OP_VER2: turn_pair(all, insn); break;
    default: break;
    }
}

static void turn_clauses(struct pv_cli_candidates *all, uint32_t rule, bool whole)
{
    const struct pvb_rule *row = (const struct pvb_rule *)pv_bundle_section(all->bundle, PVB_RULES, NULL) + rule;
    const struct pvb_clause *clauses = pv_bundle_section(all->bundle, PVB_CLAUSES, NULL);
    const struct pvb_insn *code = pv_bundle_section(all->bundle, PVB_CLAUSE_CODE, NULL);
    for (uint32_t c = row->first_clause; c < row->first_clause + row->n_clauses; c++) {
        bool wanted = whole || pv_clause_truth(all->request, c) != PV_TRUE;
        for (uint32_t i = 0; wanted && i < clauses[c].n_insns && all->n < PV_CLI_MAX_CHANGES; i++)
            turn(all, &code[clauses[c].first_insn + i]);
    }
}

/* ---- What has to be turned over ---- */

static uint32_t n_false(const struct pv_cli_candidates *all, const struct pvb_rule *rule)
{
    const struct pvb_clause *clauses = pv_bundle_section(all->bundle, PVB_CLAUSES, NULL);
    uint32_t n = 0;
    for (uint32_t c = rule->first_clause; c < rule->first_clause + rule->n_clauses; c++) {
        if (pv_clause_truth(all->request, c) == PV_TRUE)
            continue;
        if (clauses[c].kind == PV_C_COMMANDS)
            return UINT32_MAX;
        n++;
    }
    return n;
}

/* The allows nearest to matching, then those that deny: what has to be turned over. */
static void collect(struct pv_cli_candidates *all, const struct pv_decision *decision)
{
    size_t n;
    const struct pvb_rule *rules = pv_bundle_section(all->bundle, PVB_RULES, &n);
    uint32_t *distance = block(all, n * sizeof(*distance)), taken = 0;
    for (uint32_t r = 0; distance && r < n; r++)
        distance[r] = rules[r].kind == PV_RULE_ALLOW ? n_false(all, &rules[r]) : UINT32_MAX;
    for (uint32_t i = 0; i < decision->n_rules && i < MAX_RULES; i++)
        turn_clauses(all, decision->rules[i], true);
    for (uint32_t r = 0; decision->account_conflict && r < n; r++)
        if (rules[r].kind == PV_RULE_REQUIRE && pv_rule_truth(all->request, r) != PV_FALSE)
            turn_clauses(all, r, true);
    for (uint32_t near = 1; distance && near <= 4; near++)
        for (uint32_t r = 0; r < n && taken < MAX_RULES; r++)
            if (distance[r] == near) {
                turn_clauses(all, r, false);
                taken++;
            }
}

/* By slot, numbers by how far they are from what they are now. */
static uint64_t distance(const struct pv_cli_candidates *all, const struct pv_cli_change *change)
{
    const struct pv_value *now = pv_request_value(all->request, change->slot);
    int64_t a = change->value.number, b = now->number;
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static void sort(struct pv_cli_candidates *all)
{
    for (size_t i = 1; i < all->n; i++) {
        struct pv_cli_change moved = all->changes[i];
        size_t k = i;
        for (; k > 0 && all->changes[k - 1].slot == moved.slot &&
               distance(all, &all->changes[k - 1]) > distance(all, &moved);
             k--)
            all->changes[k] = all->changes[k - 1];
        all->changes[k] = moved;
    }
}

void pv_cli_candidates_collect(struct pv_cli_candidates *all, const struct pv_request *request,
                               const struct pv_decision *decision)
{
    const struct pv_value *command = pv_request_value(request, PV_A_COMMAND);
    *all = (struct pv_cli_candidates){.request = request, .bundle = pv_request_bundle(request)};
    all->attrs = pv_bundle_section(all->bundle, PVB_ATTRS, NULL);
    note_clock(all, 0);
    if (!pv_never_brokered(command->string.ptr, command->string.len))
        collect(all, decision);
    sort(all);
}

void pv_cli_candidates_free(struct pv_cli_candidates *all)
{
    for (size_t i = 0; i < all->n_blocks; i++)
        free(all->blocks[i]);
    free(all->blocks);
    *all = (struct pv_cli_candidates){0};
}
