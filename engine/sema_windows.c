/* Windows, in dependency order: a window refers only to ones before it. What stands behind `except` without a name of
 * its own becomes a window without a name. Whether a zone exists is for whoever loads the bundle: zone files are the
 * host's. */
#include "engine/sema.h"

#include <string.h>

#define MAX_ZONE 255u       /* bytes of a zone's name */
#define MAX_COST (1u << 16) /* terms of a window, with the windows that it uses written out */

/* ---- Zones ---- */

static bool zone_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("_+-", c);
}

/* As IANA names zones: parts of letters, digits, `_`, `+` and `-`, joined by `/`. */
static bool zone_is_well_formed(struct pv_text zone)
{
    if (!zone.len || zone.len > MAX_ZONE)
        return false;
    bool part = false;
    for (uint32_t i = 0; i < zone.len; i++) {
        if (zone.ptr[i] == '/' && part)
            part = false;
        else if (zone.ptr[i] != '/' && zone_byte(zone.ptr[i]))
            part = true;
        else
            return false;
    }
    return part;
}

bool pv_sema_zone(struct pv_sema *sema, const struct pv_ast_string *zone)
{
    if (!zone->text.ptr)
        return true;
    size_t before = sema->zones.n;
    *pv_map_put(&sema->zones, sema->arena, zone->text.ptr) = sema;
    if (sema->zones.n > before && before == PVB_MAX_ZONES - 1) /* the host's takes one place */
        pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, zone->span, "a policy names at most %u zones", PVB_MAX_ZONES - 1);
    if (zone_is_well_formed(zone->text))
        return true;
    struct pv_diag *diag =
        pv_report(sema->diags, PV_DIAG_BAD_ZONE, zone->span, "`%s` is not the name of a time zone", zone->text.ptr);
    pv_diag_hint(sema->diags, diag, "zones are named like \"Europe/Paris\", or \"UTC\"");
    return false;
}

/* ---- Terms ---- */

static int64_t day_number(const struct pv_ast_date *date)
{
    return date->year ? pv_days_from_civil(date->year, date->month, date->day) : date->month * 100 + date->day;
}

static bool day_matches(const struct pv_ir_window_alt *alt, int64_t day)
{
    unsigned weekday = (unsigned)(((day + 3) % 7 + 7) % 7); /* day 0 was a Thursday */
    if (alt->day_mask >> weekday & 1)
        return true;
    int64_t year;
    unsigned month, of_month;
    pv_civil_from_days(day, &year, &month, &of_month);
    for (uint32_t i = 0; i < alt->n_days; i++) {
        if (alt->days[i].weekday != (int32_t)weekday)
            continue;
        if (alt->days[i].nth > 0 && (of_month - 1) / 7 + 1 == (unsigned)alt->days[i].nth)
            return true;
        unsigned next_month;
        pv_civil_from_days(day + 7, &year, &next_month, &of_month);
        if (alt->days[i].nth < 0 && next_month != month)
            return true;
        pv_civil_from_days(day, &year, &month, &of_month);
    }
    return false;
}

/* Days and dates that never fall together, as in `sat 2026-12-24`: told, since such a window never opens. Looked for in
 * ranges up to a year; longer ones hold every kind of day. */
static bool check_opens(struct pv_sema *sema, const struct pv_ast_alternative *ast, const struct pv_ir_window_alt *alt)
{
    if (!alt->has_days || !alt->n_dates)
        return true;
    for (uint32_t i = 0; i < alt->n_dates; i++) {
        if (alt->dates[i].yearly || alt->dates[i].to - alt->dates[i].from > 365)
            return true;
        for (int64_t day = alt->dates[i].from; day <= alt->dates[i].to; day++)
            if (day_matches(alt, day))
                return true;
    }
    pv_report(sema->diags, PV_DIAG_WINDOW_NEVER, ast->span,
              "this never opens: none of these dates falls on one of these days");
    return false;
}

static uint32_t day_bits(const struct pv_ast_days *days)
{
    uint32_t bits = 0;
    for (unsigned day = days->first;; day = (day + 1) % 7) {
        bits |= 1u << day;
        if (day == days->last)
            return bits;
    }
}

static void lower_terms(struct pv_sema *sema, const struct pv_ast_alternative *ast, struct pv_ir_window_alt *alt)
{
    size_t days_capacity = 0, dates_capacity = 0, clocks_capacity = 0;
    for (const struct pv_ast_days *days = ast->days; days; days = days->next) {
        alt->has_days = true;
        if (!days->nth) {
            alt->day_mask |= day_bits(days);
            continue;
        }
        alt->days =
            pv_arena_grow(sema->arena, alt->days, alt->n_days, &days_capacity, alt->n_days + 1u, sizeof *alt->days);
        alt->days[alt->n_days++] = (struct pv_ir_nth_day){days->nth, days->first};
    }
    for (const struct pv_ast_dates *dates = ast->dates; dates; dates = dates->next) {
        alt->dates = pv_arena_grow(sema->arena, alt->dates, alt->n_dates, &dates_capacity, alt->n_dates + 1u,
                                   sizeof *alt->dates);
        alt->dates[alt->n_dates++] = (struct pv_ir_date_range){!dates->first.year, (int32_t)day_number(&dates->first),
                                                               (int32_t)day_number(&dates->last)};
    }
    for (const struct pv_ast_clocks *clocks = ast->clocks; clocks; clocks = clocks->next) {
        alt->clocks = pv_arena_grow(sema->arena, alt->clocks, alt->n_clocks, &clocks_capacity, alt->n_clocks + 1u,
                                    sizeof *alt->clocks);
        /* The midnight that ends a range is the end of its day. */
        alt->clocks[alt->n_clocks++] =
            (struct pv_ir_clock_range){clocks->start, clocks->end ? clocks->end : 24 * 60 * 60};
    }
}

static bool lower_alternative(struct pv_sema *sema, struct pv_ast_alternative *ast, struct pv_ir_window_alt *alt)
{
    *alt = (struct pv_ir_window_alt){.ref = UINT32_MAX, .except = UINT32_MAX};
    if (ast->name.text.ptr) {
        const struct pv_named *named = pv_sema_resolve_once(sema, &ast->sema, PV_NAME_WINDOW, &ast->name);
        if (!named || named->poisoned)
            return false;
        alt->ref = named->window;
        return true;
    }
    lower_terms(sema, ast, alt);
    return check_opens(sema, ast, alt);
}

/* ---- Windows ---- */

/* How long a chain of windows an alternative starts, and how many terms it has as a tree. */
static void measure(const struct pv_sema *sema, const struct pv_ir_window_alt *alt, struct pv_window_size *size)
{
    const uint32_t used[] = {alt->ref, alt->except};
    uint64_t cost = (uint64_t)size->cost + 1 + alt->n_days + alt->n_dates + alt->n_clocks;
    for (int i = 0; i < 2; i++) {
        if (used[i] == UINT32_MAX)
            continue;
        const struct pv_window_size *below = &sema->window_sizes[used[i]];
        cost += below->cost;
        if (size->depth <= below->depth)
            size->depth = below->depth + 1;
    }
    size->cost = cost > UINT32_MAX ? UINT32_MAX : (uint32_t)cost;
}

static bool fits(struct pv_sema *sema, const struct pv_window_size *size, struct pv_span span)
{
    if (size->depth > PVB_MAX_WINDOWS)
        pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, span, "this starts a chain of more than %u windows",
                  PVB_MAX_WINDOWS);
    else if (size->cost > MAX_COST)
        pv_report(sema->diags, PV_DIAG_TOO_COMPLEX, span,
                  "with the windows that it uses written out, this has more than %u terms", MAX_COST);
    else
        return true;
    return false;
}

/* Adds a window to the IR. false: it is too large (told). */
static bool add(struct pv_sema *sema, const struct pv_ast_window *ast, struct pv_text name,
                struct pv_ir_window_alt *alts, uint32_t n_alts, struct pv_span span, uint32_t *index)
{
    struct pv_ir *ir = sema->ir;
    struct pv_window_size size = {.depth = 1};
    for (uint32_t i = 0; i < n_alts; i++)
        measure(sema, &alts[i], &size);
    if (!fits(sema, &size, span))
        return false;
    size_t capacity = sema->windows_capacity;
    ir->windows = pv_arena_grow(sema->arena, ir->windows, ir->n_windows, &sema->windows_capacity, ir->n_windows + 1u,
                                sizeof *ir->windows);
    sema->window_sizes = pv_arena_grow(sema->arena, sema->window_sizes, ir->n_windows, &capacity, ir->n_windows + 1u,
                                       sizeof *sema->window_sizes);
    *index = ir->n_windows;
    sema->window_sizes[ir->n_windows] = size;
    ir->windows[ir->n_windows++] = (struct pv_ir_window){.name = pv_ir_str(name),
                                                         .zone = pv_ir_str(ast->zone.text),
                                                         .zone_host = ast->zone_host,
                                                         .alts = alts,
                                                         .n_alts = n_alts};
    return true;
}

/* The window that `except` takes away: a named one, or one made for it, in the same zone. */
static bool lower_except(struct pv_sema *sema, const struct pv_ast_window *ast, uint32_t *index)
{
    *index = UINT32_MAX;
    if (!ast->except)
        return true;
    struct pv_ir_window_alt *alt = PV_NEW(sema->arena, struct pv_ir_window_alt);
    if (!lower_alternative(sema, ast->except, alt))
        return false;
    if (alt->ref == UINT32_MAX)
        return add(sema, ast, (struct pv_text){NULL, 0}, alt, 1, ast->except->span, index);
    *index = alt->ref;
    return true;
}

static void lower(struct pv_sema *sema, struct pv_named *named)
{
    const struct pv_ast_window *ast = named->decl->window;
    uint32_t except;
    bool good = pv_sema_zone(sema, &ast->zone);
    good = lower_except(sema, ast, &except) && good;

    struct pv_ir_window_alt *alts = NULL;
    uint32_t n_alts = 0;
    size_t capacity = 0;
    for (struct pv_ast_alternative *alternative = ast->alternatives; alternative; alternative = alternative->next) {
        alts = pv_arena_grow(sema->arena, alts, n_alts, &capacity, n_alts + 1u, sizeof *alts);
        good = lower_alternative(sema, alternative, &alts[n_alts]) && good;
        alts[n_alts++].except = except;
    }
    named->poisoned = !good || !add(sema, ast, named->text, alts, n_alts, named->span, &named->window);
}

static void collect_use(struct pv_sema *sema, struct pv_named *user, struct pv_ast_alternative *alternative)
{
    if (!alternative->name.text.ptr)
        return;
    struct pv_named *target = pv_sema_resolve_once(sema, &alternative->sema, PV_NAME_WINDOW, &alternative->name);
    if (target)
        pv_sema_add_use(sema, user, target, alternative->name.span);
}

void pv_sema_windows(struct pv_sema *sema)
{
    for (size_t i = 0; i < sema->n_named[PV_NAME_WINDOW]; i++) {
        struct pv_named *user = sema->named[PV_NAME_WINDOW][i];
        struct pv_ast_window *ast = user->decl->window;
        for (struct pv_ast_alternative *alternative = ast->alternatives; alternative; alternative = alternative->next)
            collect_use(sema, user, alternative);
        if (ast->except)
            collect_use(sema, user, ast->except);
    }
    pv_sema_in_order(sema, PV_NAME_WINDOW, lower);
}

struct pv_ir_expr *pv_sema_in_windows(struct pv_sema *sema, struct pv_ast_ref *windows, struct pv_span span)
{
    struct pv_ir_expr **kids = NULL;
    uint32_t n = 0;
    size_t capacity = 0;
    bool good = true;
    for (struct pv_ast_ref *ref = windows; ref; ref = ref->next) {
        const struct pv_named *named = pv_sema_resolve_once(sema, &ref->sema, PV_NAME_WINDOW, &ref->name);
        if (!named || named->poisoned) {
            good = false;
            continue;
        }
        kids = pv_arena_grow(sema->arena, kids, n, &capacity, n + 1u, sizeof *kids);
        kids[n] = pv_ir_leaf(sema, PV_IR_IN_WINDOW, 0, ref->name.span);
        kids[n++]->window = named->window;
    }
    return good && n ? pv_ir_join(sema, PV_IR_OR, kids, n, span) : NULL;
}
