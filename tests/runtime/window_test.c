/* Windows, minute by minute: each window of a table at instants around its edges, then every quarter of an hour of two
 * years against a second reading of the same words, and the hours that daylight saving skips and repeats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/internal.h"
#include "tests/runtime/assemble.h"

static const char text[] = "policy p 1\n"
                           "zone \"Europe/Paris\"\n"
                           "window nightly\n alt days 31 clock 22:00 04:00\n"          /* mon..fri */
                           "window weekend\n alt days 96\n"                            /* sat..sun */
                           "window office\n alt clock 09:00 12:00 clock 13:00 17:30\n" /* every day */
                           "window patch\n alt nth 2 tue nth -1 fri clock 18:00 24:00\n"
                           "window winter\n alt yearly 1224 102\n"
                           "window leap\n alt yearly 229 229\n"
                           "window summer\n alt dates 2026-07-14 2026-07-20 dates 2026-08-15 2026-08-15\n"
                           "window work\n alt days 31 clock 08:00 18:00 except winter\n"
                           "window either\n alt ref weekend except winter\n alt ref nightly\n"
                           "window york zone \"America/New_York\"\n alt clock 09:00 10:00\n"
                           "window mixed zone \"America/New_York\"\n alt ref office\n alt clock 23:00 23:30\n"
                           "window new_year\n alt yearly 1231 1231 clock 20:00 06:00\n"
                           "window gap\n alt clock 02:00 03:00\n"
                           "window all_day\n alt clock 12:00 12:00\n";

static struct loaded policy;
static struct pv_request *request;

static int setup(void **state)
{
    (void)state;
    policy = load_text(text);
    return pv_request_new(&request, policy.bundle);
}

static int teardown(void **state)
{
    (void)state;
    pv_request_free(request);
    unload(&policy);
    return 0;
}

static uint32_t window_named(const char *name)
{
    for (uint32_t i = 0; i < policy.bundle->n_windows; i++) {
        if (strcmp(pv_string_at(policy.bundle, policy.bundle->windows[i].name).ptr, name) == 0)
            return i;
    }
    fail_msg("no window %s", name);
    return 0;
}

static bool open_at(const char *name, int64_t t)
{
    assert_int_equal(pv_request_set_time(request, t), 0);
    return pv_window_holds(policy.bundle, request->local, window_named(name));
}

/* Wall clock of the policy's zone. */
static int64_t paris(const char *when)
{
    int y, m, d, hour, minute;
    assert_int_equal(sscanf(when, "%d-%d-%d %d:%d", &y, &m, &d, &hour, &minute), 5);
    return pv_zone_instant(policy.bundle->zones_ready[0], pv_days_from_civil(y, (unsigned)m, (unsigned)d),
                           hour * 3600 + minute * 60);
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *window, *when;
        bool open;
    } rows[] = {
        {"nightly", "2026-11-20 21:59", false}, /* a Friday */
        {"nightly", "2026-11-20 22:00", true},
        {"nightly", "2026-11-21 03:59", true}, /* Saturday morning belongs to Friday */
        {"nightly", "2026-11-21 04:00", false},
        {"nightly", "2026-11-21 22:00", false},
        {"nightly", "2026-11-23 03:00", false}, /* Monday morning belongs to Sunday */
        {"nightly", "2026-11-24 03:00", true},
        {"weekend", "2026-11-20 23:59", false},
        {"weekend", "2026-11-21 00:00", true},
        {"weekend", "2026-11-22 23:59", true},
        {"weekend", "2026-11-23 00:00", false},
        {"office", "2026-11-22 09:00", true},
        {"office", "2026-11-22 12:00", false},
        {"office", "2026-11-22 13:00", true},
        {"office", "2026-11-22 17:30", false},
        {"patch", "2026-11-10 18:00", true}, /* the second Tuesday */
        {"patch", "2026-11-10 23:59", true},
        {"patch", "2026-11-10 17:59", false},
        {"patch", "2026-11-11 00:00", false},
        {"patch", "2026-11-03 18:00", false},
        {"patch", "2026-11-17 18:00", false},
        {"patch", "2026-11-27 18:00", true}, /* the last Friday */
        {"patch", "2026-11-20 18:00", false},
        {"patch", "2027-02-26 18:00", true},
        {"winter", "2026-12-23 23:59", false},
        {"winter", "2026-12-24 00:00", true},
        {"winter", "2027-01-02 23:59", true},
        {"winter", "2027-01-03 00:00", false},
        {"winter", "2026-07-01 00:00", false},
        {"leap", "2028-02-29 12:00", true},
        {"leap", "2027-02-28 12:00", false},
        {"leap", "2027-03-01 12:00", false},
        {"summer", "2026-07-13 23:59", false},
        {"summer", "2026-07-14 00:00", true},
        {"summer", "2026-07-20 23:59", true},
        {"summer", "2026-07-21 00:00", false},
        {"summer", "2026-08-15 12:00", true},
        {"summer", "2027-07-14 12:00", false},
        {"work", "2026-11-20 12:00", true},
        {"work", "2026-12-24 12:00", false},
        {"either", "2026-11-21 12:00", true},
        {"either", "2026-12-26 12:00", false}, /* a Saturday in winter: weekend is taken away */
        {"either", "2026-12-25 23:00", true},  /* nightly is not */
        {"york", "2026-11-20 15:00", true},    /* 09:00 in New York */
        {"york", "2026-11-20 09:00", false},
        {"york", "2026-03-20 14:30", true},  /* New York changed already, Paris did not */
        {"mixed", "2026-11-20 09:30", true}, /* office keeps its own zone */
        {"mixed", "2026-11-20 15:30", true},
        {"mixed", "2026-11-20 19:00", false},
        {"mixed", "2026-11-21 05:10", true}, /* 23:10 in New York */
        {"new_year", "2026-12-31 19:59", false},
        {"new_year", "2027-01-01 05:59", true},
        {"new_year", "2027-01-01 06:00", false},
        {"new_year", "2026-12-31 05:00", false},
        {"all_day", "2026-11-20 12:00", true},
        {"all_day", "2026-11-20 11:59", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (open_at(rows[i].window, paris(rows[i].when)) != rows[i].open)
            fail_msg("%s at %s is %s", rows[i].window, rows[i].when, rows[i].open ? "closed" : "open");
    }
}

/* The same windows in other words, from a broken-down wall clock of libc. */
static bool expected(const char *name, const struct tm *now, const struct tm *yesterday)
{
    int clock = now->tm_hour * 60 + now->tm_min, md = (now->tm_mon + 1) * 100 + now->tm_mday;
    bool winter = md >= 1224 || md <= 102;
    bool weekday = now->tm_wday >= 1 && now->tm_wday <= 5, before = yesterday->tm_wday >= 1 && yesterday->tm_wday <= 5;
    bool nightly = (weekday && clock >= 22 * 60) || (before && clock < 4 * 60);
    if (strcmp(name, "nightly") == 0)
        return nightly;
    if (strcmp(name, "work") == 0)
        return weekday && clock >= 480 && clock < 1080 && !winter;
    if (strcmp(name, "either") == 0)
        return nightly || (!weekday && !winter);
    if (strcmp(name, "patch") == 0) {
        struct tm next_week = *now;
        next_week.tm_mday += 7;
        next_week.tm_hour = 12;
        mktime(&next_week);
        bool tuesday = now->tm_wday == 2 && now->tm_mday >= 8 && now->tm_mday <= 14;
        bool friday = now->tm_wday == 5 && next_week.tm_mon != now->tm_mon;
        return (tuesday || friday) && clock >= 18 * 60;
    }
    return clock >= 120 && clock < 180; /* gap */
}

static void test_two_years(void **state)
{
    (void)state;
    setenv("TZ", ":Europe/Paris", 1);
    tzset();
    static const char *const names[] = {"nightly", "work", "either", "patch", "gap"};
    int opened[5] = {0};
    for (int64_t t = paris("2026-01-01 00:00"); t < paris("2028-01-01 00:00"); t += 900) {
        struct tm now, yesterday;
        time_t tt = (time_t)t;
        localtime_r(&tt, &now);
        yesterday = now;
        yesterday.tm_mday--;
        yesterday.tm_hour = 12;
        mktime(&yesterday);
        for (int i = 0; i < 5; i++) {
            bool open = open_at(names[i], t);
            if (open != expected(names[i], &now, &yesterday))
                fail_msg("%s at %lld is %s", names[i], (long long)t, open ? "open" : "closed");
            opened[i] += open;
        }
    }
    for (int i = 0; i < 5; i++)
        assert_true(opened[i] > 100);
    unsetenv("TZ");
    tzset();
}

/* On the day that skips 02:00..03:00 the window never opens; on the day that repeats it, it opens twice. */
static void test_daylight_saving(void **state)
{
    (void)state;
    int quarters = 0;
    for (int64_t t = paris("2026-03-29 00:00"); t < paris("2026-03-30 00:00"); t += 900)
        quarters += open_at("gap", t);
    assert_int_equal(quarters, 0);
    quarters = 0;
    int openings = 0;
    bool was = false;
    for (int64_t t = paris("2026-10-25 00:00"); t < paris("2026-10-26 00:00"); t += 900) {
        bool is = open_at("gap", t);
        quarters += is;
        openings += is && !was;
        was = is;
    }
    assert_int_equal(quarters, 8);
    assert_int_equal(openings, 1); /* one after the other */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_two_years),
        cmocka_unit_test(test_daylight_saving),
    };
    return cmocka_run_group_tests_name("runtime/window", tests, setup, teardown);
}
