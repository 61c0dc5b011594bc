/* Civil dates and time zones. Zones are read from TZif files (RFC 8536, versions 1 to 4) into one array of transitions
 * and, for the time after the last of them, the rule of the footer (a POSIX TZ string with the RFC's extensions). An
 * offset is found by binary search.
 *
 * Zone files are hostile input: every count is bounded and checked against the file's length before anything is read,
 * transitions ascend, types and offsets are in range. Files that count leap seconds are refused, because the time of a
 * request does not count them. A zone is immutable once made. */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

#define SECONDS_PER_DAY 86400
#define MAX_FILE        (1u << 20)
#define MAX_TRANSITIONS 16384u
#define MIN_OFFSET      (-89999) /* RFC 8536, 3.2 */
#define MAX_OFFSET      93599
#define MAX_RULE_TIME   (167 * 3600 + 59 * 60 + 59) /* RFC 8536, 3.3.1 */

/* ---- Civil dates, after Howard Hinnant's days_from_civil ---- */

int64_t pv_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? (int64_t)month - 3 : (int64_t)month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void pv_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* months from March */
    *day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned pv_days_in_month(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

unsigned pv_weekday(int64_t days)
{
    int64_t from_monday = (days + 3) % 7; /* 1970-01-01 was a Thursday */
    return (unsigned)(from_monday < 0 ? from_monday + 7 : from_monday);
}

/* ---- Zones ---- */

/* When a change happens within a year: Mm.w.d, Jn or n, and the time of that day. */
struct rule {
    enum { MONTH_WEEK_DAY, JULIAN, ZERO_BASED } kind;
    int month, week, day;
    int32_t time;
};

struct pv_zone {
    size_t n;        /* transitions */
    int64_t *at;     /* ascending; seconds since 1970-01-01 UTC */
    int32_t *offset; /* from at[i] on, east of UTC */
    int32_t first_offset;
    bool has_footer, has_dst;
    int32_t std, dst; /* of the footer */
    struct rule start, end;
};

/* Reads bytes forward, never beyond the end; `bad` once anything was wrong. */
struct reader {
    const unsigned char *at, *end;
    bool bad;
};

static const unsigned char *take(struct reader *r, size_t n)
{
    if (r->bad || n > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    const unsigned char *start = r->at;
    r->at += n;
    return start;
}

static uint64_t big_endian(const unsigned char *p, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | p[i];
    return value;
}

static int64_t signed_time(const unsigned char *p, size_t width)
{
    return width == 4 ? (int32_t)(uint32_t)big_endian(p, 4) : (int64_t)big_endian(p, 8);
}

struct tzif_header {
    unsigned char version;
    uint32_t n_isut, n_isstd, n_leap, n_times, n_types, n_chars;
};

static const char *read_header(struct reader *r, struct tzif_header *h)
{
    const unsigned char *p = take(r, 44);
    if (!p || memcmp(p, "TZif", 4) != 0)
        return "no TZif header";
    h->version = p[4];
    if (h->version && (h->version < '2' || h->version > '4'))
        return "an unknown version of TZif";
    h->n_isut = (uint32_t)big_endian(p + 20, 4);
    h->n_isstd = (uint32_t)big_endian(p + 24, 4);
    h->n_leap = (uint32_t)big_endian(p + 28, 4);
    h->n_times = (uint32_t)big_endian(p + 32, 4);
    h->n_types = (uint32_t)big_endian(p + 36, 4);
    h->n_chars = (uint32_t)big_endian(p + 40, 4);
    if (h->n_times > MAX_TRANSITIONS || h->n_leap > 4096 || h->n_types < 1 || h->n_types > 256 || h->n_chars < 1 ||
        h->n_chars > 65536 || (h->n_isut && h->n_isut != h->n_types) || (h->n_isstd && h->n_isstd != h->n_types))
        return "a count out of range";
    return NULL;
}

static const char out_of_memory[] = "out of memory";

static const char *read_data(struct reader *r, const struct tzif_header *h, size_t width, struct pv_zone *zone)
{
    const unsigned char *times = take(r, h->n_times * width);
    const unsigned char *indices = take(r, h->n_times);
    const unsigned char *types = take(r, h->n_types * (size_t)6);
    const unsigned char *chars = take(r, h->n_chars);
    take(r, h->n_leap * (width + 4));
    take(r, h->n_isstd);
    take(r, h->n_isut);
    if (r->bad)
        return "it ends early";
    if (h->n_leap)
        return "it counts leap seconds";
    for (uint32_t i = 0; i < h->n_types; i++) {
        const unsigned char *type = types + i * (size_t)6;
        int64_t offset = signed_time(type, 4);
        if (offset < MIN_OFFSET || offset > MAX_OFFSET || type[4] > 1 || type[5] >= h->n_chars)
            return "a local time type out of range";
    }
    if (chars[h->n_chars - 1] != '\0')
        return "designations do not end";
    zone->first_offset = (int32_t)signed_time(types, 4);
    if (!h->n_times)
        return NULL;
    zone->at = malloc(h->n_times * sizeof(*zone->at));
    zone->offset = malloc(h->n_times * sizeof(*zone->offset));
    if (!zone->at || !zone->offset)
        return out_of_memory;
    for (uint32_t i = 0; i < h->n_times; i++) {
        int64_t at = signed_time(times + i * width, width);
        if (i && at <= zone->at[i - 1])
            return "transitions that do not ascend";
        if (indices[i] >= h->n_types)
            return "a transition to no type";
        zone->at[i] = at;
        zone->offset[i] = (int32_t)signed_time(types + indices[i] * (size_t)6, 4);
    }
    zone->n = h->n_times;
    return NULL;
}

/* ---- The footer: std offset [dst [offset] [, start [/time], end [/time]]] ---- */

static bool accept(struct reader *r, char c)
{
    if (r->bad || r->at == r->end || *r->at != (unsigned char)c)
        return false;
    r->at++;
    return true;
}

static void expect(struct reader *r, char c)
{
    if (!accept(r, c))
        r->bad = true;
}

static bool at_digit(const struct reader *r)
{
    return !r->bad && r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static int read_number(struct reader *r, int least, int most)
{
    int value = 0, n = 0;
    for (; at_digit(r) && n < 4; n++)
        value = value * 10 + (*r->at++ - '0');
    if (!n || value < least || value > most)
        r->bad = true;
    return value;
}

/* [+-]hh[:mm[:ss]] */
static int32_t read_hms(struct reader *r)
{
    int sign = 1;
    if (accept(r, '-'))
        sign = -1;
    else
        accept(r, '+');
    int32_t seconds = read_number(r, 0, 167) * 3600;
    if (accept(r, ':')) {
        seconds += read_number(r, 0, 59) * 60;
        if (accept(r, ':'))
            seconds += read_number(r, 0, 59);
    }
    return sign * seconds;
}

static void skip_designation(struct reader *r)
{
    bool quoted = accept(r, '<');
    size_t n = 0;
    for (; !r->bad && r->at < r->end; r->at++, n++) {
        unsigned char c = *r->at;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-')))
            break;
    }
    if (n < 3)
        r->bad = true;
    if (quoted)
        expect(r, '>');
}

static struct rule read_rule(struct reader *r)
{
    struct rule rule = {.time = 2 * 3600};
    expect(r, ',');
    if (accept(r, 'M')) {
        rule.kind = MONTH_WEEK_DAY;
        rule.month = read_number(r, 1, 12);
        expect(r, '.');
        rule.week = read_number(r, 1, 5);
        expect(r, '.');
        rule.day = read_number(r, 0, 6);
    } else if (accept(r, 'J')) {
        rule.kind = JULIAN;
        rule.day = read_number(r, 1, 365);
    } else {
        rule.kind = ZERO_BASED;
        rule.day = read_number(r, 0, 365);
    }
    if (accept(r, '/'))
        rule.time = read_hms(r);
    if (rule.time < -MAX_RULE_TIME || rule.time > MAX_RULE_TIME)
        r->bad = true;
    return rule;
}

static const char *read_footer(struct reader *r, struct pv_zone *zone)
{
    expect(r, '\n');
    if (accept(r, '\n'))
        return r->bad ? "it ends early" : NULL; /* no rule: the last offset stays */
    skip_designation(r);
    zone->std = -read_hms(r);
    zone->has_dst = !r->bad && r->at < r->end && *r->at != '\n';
    if (zone->has_dst) {
        skip_designation(r);
        zone->dst = zone->std + 3600;
        if (!r->bad && r->at < r->end && *r->at != ',')
            zone->dst = -read_hms(r);
        zone->start = read_rule(r);
        zone->end = read_rule(r);
    }
    expect(r, '\n');
    if (r->bad || zone->std < MIN_OFFSET || zone->std > MAX_OFFSET || zone->dst < MIN_OFFSET || zone->dst > MAX_OFFSET)
        return "a footer that is no POSIX TZ string";
    zone->has_footer = true;
    return NULL;
}

static const char *read_zone(struct pv_zone *zone, const void *data, size_t len)
{
    if (len > MAX_FILE)
        return "it is too large";
    struct reader r = {.at = data, .end = (const unsigned char *)data + len};
    struct tzif_header h;
    const char *why = read_header(&r, &h);
    if (why)
        return why;
    if (!h.version)
        return read_data(&r, &h, 4, zone);
    /* The block with 32-bit times is for older readers. */
    take(&r, h.n_times * (size_t)5 + h.n_types * (size_t)6 + h.n_chars + h.n_leap * (size_t)8 + h.n_isstd + h.n_isut);
    unsigned char version = h.version;
    why = r.bad ? "it ends early" : read_header(&r, &h);
    if (!why && h.version != version)
        why = "two headers that disagree";
    if (!why)
        why = read_data(&r, &h, 8, zone);
    return why ? why : read_footer(&r, zone);
}

int pv_zone_parse(struct pv_zone **out, const char *name, const void *data, size_t len, struct pv_error *error)
{
    *out = NULL;
    struct pv_zone *zone = calloc(1, sizeof(*zone));
    if (!zone)
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    const char *why = read_zone(zone, data, len);
    if (why) {
        pv_zone_free(zone);
        if (why == out_of_memory)
            return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
        return pv_fail(error, PV_E_ZONE, 0, "the zone file of %s%s%s is damaged: %s", *name ? "\"" : "",
                       *name ? name : "the host", *name ? "\"" : "", why);
    }
    *out = zone;
    return 0;
}

void pv_zone_free(struct pv_zone *zone)
{
    if (!zone)
        return;
    free(zone->at);
    free(zone->offset);
    free(zone);
}

size_t pv_zone_memory(const struct pv_zone *zone)
{
    return sizeof(*zone) + zone->n * (sizeof(*zone->at) + sizeof(*zone->offset));
}

/* ---- Looking up ---- */

/* The time from `begin` up to `end` during which the offset is the same. */
struct segment {
    int64_t begin, end;
    int32_t offset;
};

static int64_t rule_day(const struct rule *rule, int64_t year)
{
    int64_t january_1st = pv_days_from_civil(year, 1, 1);
    if (rule->kind == ZERO_BASED)
        return january_1st + rule->day;
    if (rule->kind == JULIAN) /* February 29 is not counted */
        return january_1st + rule->day - 1 + (rule->day >= 60 && is_leap(year));
    int64_t first = pv_days_from_civil(year, (unsigned)rule->month, 1);
    int weekday = (rule->day + 6) % 7; /* from Sunday-based to Monday-based */
    int64_t day = first + (weekday - (int)pv_weekday(first) + 7) % 7 + (rule->week - 1) * 7;
    if (day >= first + pv_days_in_month(year, (unsigned)rule->month))
        day -= 7; /* week 5 is the last */
    return day;
}

/* By the footer: the changes of three years are looked at, so that one that a rule's time moves over the end of a year
 * is seen. Where daylight time ends and starts at one moment, it lasts all year. */
static struct segment footer_segment(const struct pv_zone *zone, int64_t t)
{
    struct segment found = {INT64_MIN, INT64_MAX, zone->std};
    if (!zone->has_dst)
        return found;
    int64_t year;
    unsigned month, day;
    pv_civil_from_days((t + zone->std) / SECONDS_PER_DAY, &year, &month, &day);
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t start = rule_day(&zone->start, y) * SECONDS_PER_DAY + zone->start.time - zone->std;
        int64_t end = rule_day(&zone->end, y) * SECONDS_PER_DAY + zone->end.time - zone->dst;
        if (end <= t && end > found.begin) {
            found.begin = end;
            found.offset = zone->std;
        }
        if (start <= t && start >= found.begin) {
            found.begin = start;
            found.offset = zone->dst;
        }
        if (end > t && end < found.end)
            found.end = end;
        if (start > t && start < found.end)
            found.end = start;
    }
    return found;
}

static struct segment segment_at(const struct pv_zone *zone, int64_t t)
{
    size_t low = 0, high = zone->n; /* the first transition after t */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    int64_t last = zone->n ? zone->at[zone->n - 1] : INT64_MIN;
    if (low == zone->n && zone->has_footer) {
        struct segment s = footer_segment(zone, t);
        if (s.begin < last)
            s.begin = last;
        return s;
    }
    return (struct segment){low ? zone->at[low - 1] : INT64_MIN, low < zone->n ? zone->at[low] : INT64_MAX,
                            low ? zone->offset[low - 1] : zone->first_offset};
}

int32_t pv_zone_offset(const struct pv_zone *zone, int64_t t)
{
    return segment_at(zone, t).offset;
}

void pv_zone_local(const struct pv_zone *zone, int64_t t, struct pv_local *out)
{
    if (t < out->from || t >= out->until) {
        struct segment s = segment_at(zone, t);
        out->offset = s.offset;
        out->from = s.begin;
        out->until = s.end;
    }
    int64_t local = t + out->offset;
    int64_t second = local % SECONDS_PER_DAY;
    if (second < 0)
        second += SECONDS_PER_DAY;
    out->second = (int32_t)second;
    out->days = (local - second) / SECONDS_PER_DAY;
}

/* Walks the segments that can hold this wall clock, from the earliest: the first that does is the one before the change
 * where the hour repeats; where none does, the hour was skipped and the offset before the gap counts. */
int64_t pv_zone_instant(const struct pv_zone *zone, int64_t days, int32_t second)
{
    int64_t local = days * SECONDS_PER_DAY + second;
    struct segment s = segment_at(zone, local - MAX_OFFSET);
    for (;;) {
        int64_t instant = local - s.offset;
        if (instant < s.end)
            return instant;
        struct segment next = segment_at(zone, s.end);
        if (local - next.offset < next.begin)
            return instant;
        s = next;
    }
}
