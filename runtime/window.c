/* Windows: whether a wall clock is inside. By wall clock, so an hour that daylight saving skips never opens a window
 * and one that it repeats opens it twice. A clock range past midnight belongs to the day that it starts on: Friday
 * 22:00..04:00 holds Saturday 03:00 whatever is said of Saturdays. */
#include "runtime/internal.h"

struct day {
    int64_t days; /* since 1970-01-01 */
    int64_t year;
    unsigned month, day;
    unsigned weekday;
};

static struct day day_of(int64_t days)
{
    struct day d = {.days = days, .weekday = pv_weekday(days)};
    pv_civil_from_days(days, &d.year, &d.month, &d.day);
    return d;
}

static bool in_days(const struct pv_bundle *b, const struct pvb_window_alt *a, const struct day *d)
{
    if (!a->has_days || a->day_mask >> d->weekday & 1)
        return true;
    for (uint32_t i = a->first_day; i < a->first_day + a->n_days; i++) {
        const struct pvb_nth_day *nth = &b->window_days[i];
        PV_STEPS(1);
        if ((unsigned)nth->weekday != d->weekday)
            continue;
        if (nth->nth == -1 ? d->day + 7 > pv_days_in_month(d->year, d->month) : (unsigned)nth->nth == (d->day + 6) / 7)
            return true;
    }
    return false;
}

static bool in_dates(const struct pv_bundle *b, const struct pvb_window_alt *a, const struct day *d)
{
    if (!a->n_dates)
        return true;
    int64_t of_year = (int64_t)d->month * 100 + d->day;
    for (uint32_t i = a->first_date; i < a->first_date + a->n_dates; i++) {
        const struct pvb_date_range *range = &b->window_dates[i];
        PV_STEPS(1);
        int64_t date = range->yearly ? of_year : d->days;
        bool wraps = range->from > range->to; /* over the end of the year */
        if (wraps ? date >= range->from || date <= range->to : date >= range->from && date <= range->to)
            return true;
    }
    return false;
}

static bool is_open_on(const struct pv_bundle *b, const struct pvb_window_alt *a, int64_t days)
{
    struct day d = day_of(days);
    return in_days(b, a, &d) && in_dates(b, a, &d);
}

static bool in_terms(const struct pv_bundle *b, const struct pvb_window_alt *a, const struct pv_local *now)
{
    bool today = is_open_on(b, a, now->days);
    if (!a->n_clocks)
        return today;
    bool yesterday = is_open_on(b, a, now->days - 1);
    for (uint32_t i = a->first_clock; i < a->first_clock + a->n_clocks; i++) {
        const struct pvb_clock_range *range = &b->window_clocks[i];
        PV_STEPS(1);
        bool past_midnight = range->from >= range->to;
        if (today && now->second >= range->from && (past_midnight || now->second < range->to))
            return true;
        if (yesterday && past_midnight && now->second < range->to)
            return true;
    }
    return false;
}

/* Recursion ends: windows refer to those before them, in chains of at most PVB_MAX_WINDOWS. */
bool pv_window_holds(const struct pv_bundle *bundle, const struct pv_local *local, uint32_t window)
{
    const struct pvb_window *w = &bundle->windows[window];
    PV_STEPS(1);
    for (uint32_t i = w->first_alt; i < w->first_alt + w->n_alts; i++) {
        const struct pvb_window_alt *a = &bundle->window_alts[i];
        PV_STEPS(1);
        bool inside =
            a->ref != PVB_NONE ? pv_window_holds(bundle, local, a->ref) : in_terms(bundle, a, &local[w->zone]);
        if (inside && (a->except == PVB_NONE || !pv_window_holds(bundle, local, a->except)))
            return true;
    }
    return false;
}
