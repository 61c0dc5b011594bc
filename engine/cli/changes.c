/* The smallest change of a request that would turn its denial into an allow.
 *
 * One change is tried after the other (changes_collect.c says which), then pairs; a change is only told once the
 * machine has decided the changed request, complete and checked, as `allow`. The work is bounded by the length of the
 * code, so a change may be missed in a policy of very many rules, and is never made up. What the requester can do comes
 * first, then what depends on circumstances, then what takes an administrator. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/changes.h"

#define MAX_FOUND 4u
#define MAX_DAYS  371        /* a year, and a week for its weekdays */
#define MAX_STEPS 200000000u /* instructions of all decisions together, if each ran all of them */
#define MAX_TRIES 20000u
#define MIN_TRIES 256u

struct search {
    struct pv_cli_candidates all;
    bool direct_too;
    struct pv_request *scratch;
    struct pv_decision *decision;
    uint64_t tries; /* left */
    bool failed;    /* no memory */
    json_t *found;
};

/* ---- Trying ---- */

static int apply(struct pv_request *request, const struct pv_cli_change *change)
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
static bool allows(struct search *search, const struct pv_cli_change *const *changes, size_t n)
{
    if (search->tries == 0)
        return false;
    search->tries--;
    pv_request_copy(search->scratch, search->all.request);
    for (size_t i = 0; i < n; i++)
        if (apply(search->scratch, changes[i]) < 0)
            return false;
    if (pv_verdict(search->scratch, search->direct_too) != PV_ALLOW || pv_request_check(search->scratch, NULL) < 0)
        return false;
    pv_decide(search->scratch, search->direct_too, search->decision);
    return search->decision->effect == PV_ALLOW;
}

/* ---- Telling ---- */

static bool is_text(const struct pv_str *a, const char *text, size_t len)
{
    return a->len == len && (len == 0 || memcmp(a->ptr, text, len) == 0);
}
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
    pv_request_copy(search->scratch, search->all.request);
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

static json_t *set_json(struct search *search, const struct pv_cli_change *change, FILE *out)
{
    const struct pv_value *now = pv_request_value(search->all.request, change->slot);
    if (change->slot == PV_A_TIME_DATE) {
        char buffer[64];
        bool later = change->value.number > pv_request_time(search->all.request);
        fprintf(out, later ? "waits until %s" : "asks on %s, which has passed",
                moment(search, change->value.number, buffer, sizeof(buffer)));
        return json_pack("{s:s, s:o, s:o}", "path", "time", "was", instant_json(pv_request_time(search->all.request)),
                         "value", instant_json(change->value.number));
    }
    const char *path = pv_cli_slot_path(search->all.bundle, change->slot);
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
static bool told(const struct search *search, const struct pv_cli_change *const *changes, size_t n)
{
    for (size_t f = 0; f < json_array_size(search->found); f++) {
        json_t *set = json_object_get(json_array_get(search->found, f), "set");
        size_t same = 0;
        for (size_t i = 0; i < n; i++) {
            const char *path =
                changes[i]->slot == PV_A_TIME_DATE ? "time" : pv_cli_slot_path(search->all.bundle, changes[i]->slot);
            bool alternative = changes[i]->slot == PV_A_USER_GROUPS || changes[i]->slot == PV_A_SOURCE_NAME;
            for (size_t k = 0; k < json_array_size(set) && !alternative; k++)
                same += strcmp(json_string_value(json_object_get(json_array_get(set, k), "path")), path) == 0;
        }
        if (same == n)
            return true;
    }
    return false;
}

static void tell(struct search *search, const struct pv_cli_change *const *changes, size_t n)
{
    if (told(search, changes, n))
        return;
    static const char *const names[] = {[PV_CLI_BY_REQUESTER] = "requester",
                                        [PV_CLI_BY_CIRCUMSTANCES] = "circumstances",
                                        [PV_CLI_BY_ADMINISTRATOR] = "administrator"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *set = json_array(), *row;
    enum pv_cli_by by = PV_CLI_BY_REQUESTER;
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

static int compare_instants(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The first moment from now on at which the request, with another change where one is given, is allowed. */
static bool wait_for(struct search *search, const struct pv_cli_change *with, struct pv_cli_change *out, int days)
{
    int64_t today = pv_request_value(search->all.request, PV_A_TIME_DATE)->number;
    uint64_t reserve = search->tries / 2; /* for what comes after */
    *out = (struct pv_cli_change){.slot = PV_A_TIME_DATE, .by = PV_CLI_BY_REQUESTER, .value = {.state = PV_PRESENT}};
    for (int day = -1; day <= days; day++) {
        int64_t instants[PV_CLI_MAX_CLOCKS * PV_CLI_MAX_ZONES] = {0};
        size_t n = 0;
        for (uint32_t z = 0; z < search->all.n_zones; z++)
            for (uint32_t c = 0; c < search->all.n_clocks; c++)
                n += pv_bundle_zone_time(search->all.bundle, search->all.zones[z], today + day, search->all.clocks[c],
                                         &instants[n]) == 0;
        qsort(instants, n, sizeof(*instants), compare_instants);
        for (size_t i = 0; i < n; i++) {
            const struct pv_cli_change *both[2] = {out, with};
            out->value.number = instants[i];
            if (search->tries <= reserve)
                return false;
            if (instants[i] > pv_request_time(search->all.request) && allows(search, both, with ? 2 : 1))
                return true;
        }
    }
    return false;
}

static void search_singles(struct search *search)
{
    for (int by = PV_CLI_BY_REQUESTER; by <= PV_CLI_BY_ADMINISTRATOR; by++) {
        for (size_t i = 0; i < search->all.n && json_array_size(search->found) < MAX_FOUND; i++) {
            const struct pv_cli_change *one = &search->all.changes[i];
            if (one->by == (enum pv_cli_by)by && allows(search, &one, 1))
                tell(search, &one, 1);
        }
        struct pv_cli_change later;
        const struct pv_cli_change *one = &later;
        if (by == PV_CLI_BY_REQUESTER && search->all.reads_time && wait_for(search, NULL, &later, MAX_DAYS))
            tell(search, &one, 1);
    }
}

static void search_pairs(struct search *search)
{
    for (int by = PV_CLI_BY_REQUESTER; by <= PV_CLI_BY_ADMINISTRATOR; by++) {
        for (size_t i = 0; i < search->all.n; i++) {
            for (size_t k = i + 1; k < search->all.n && json_array_size(search->found) < MAX_FOUND; k++) {
                const struct pv_cli_change *pair[2] = {&search->all.changes[i], &search->all.changes[k]};
                enum pv_cli_by whom = pair[0]->by > pair[1]->by ? pair[0]->by : pair[1]->by;
                if (whom == (enum pv_cli_by)by && pair[0]->slot != pair[1]->slot && allows(search, pair, 2))
                    tell(search, pair, 2);
            }
        }
        for (size_t i = 0; i < search->all.n && search->all.reads_time && json_array_size(search->found) < MAX_FOUND;
             i++) {
            struct pv_cli_change later;
            const struct pv_cli_change *pair[2] = {&search->all.changes[i], &later};
            if (pair[0]->by == (enum pv_cli_by)by && pair[0]->slot != PV_A_TIME_DATE &&
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
    search->direct_too = direct_too;
    search->found = json_array();
    search->tries = tries(bundle);
    pv_cli_candidates_collect(&search->all, request, decision);
    if (!search->all.failed && pv_request_new(&search->scratch, bundle) == 0 &&
        pv_decision_new(&search->decision, bundle) == 0) {
        search_singles(search);
        if (json_array_size(search->found) == 0)
            search_pairs(search);
        if (!search->failed)
            result = json_pack("{s:O, s:b}", "found", search->found, "exhausted", search->tries == 0);
    }
    pv_cli_candidates_free(&search->all);
    pv_request_free(search->scratch);
    pv_decision_free(search->decision);
    json_decref(search->found);
    free(search);
    return result;
}
