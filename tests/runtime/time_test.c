/* Dates and zones: civil dates both ways, offsets and wall clocks of real zones against libc's, wall clocks to instants
 * at every change of offset, and zone files that were tampered with. */
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

static unsigned char *read_zone_file(const char *name, size_t *len)
{
    char path[256];
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read", path);
    unsigned char *data = malloc(1 << 20);
    assert_non_null(data);
    *len = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

static struct pv_zone *zone_named(const char *name)
{
    size_t len;
    unsigned char *data = read_zone_file(name, &len);
    struct pv_zone *zone;
    struct pv_error error;
    if (pv_zone_parse(&zone, name, data, len, &error) != 0)
        fail_msg("%s", error.text);
    free(data);
    return zone;
}

static void test_civil(void **state)
{
    (void)state;
    assert_int_equal(pv_days_from_civil(1970, 1, 1), 0);
    assert_int_equal(pv_days_from_civil(2000, 3, 1), 11017);
    assert_int_equal(pv_days_from_civil(2026, 12, 31), 20818);
    assert_int_equal(pv_weekday(0), 3);                                /* a Thursday */
    assert_int_equal(pv_weekday(pv_days_from_civil(2026, 11, 21)), 5); /* a Saturday */
    int64_t day = pv_days_from_civil(-400, 1, 1);
    unsigned weekday = pv_weekday(day);
    for (int64_t year = -400; year <= 2800; year++) {
        for (unsigned month = 1; month <= 12; month++) {
            for (unsigned d = 1; d <= pv_days_in_month(year, month); d++, day++, weekday = (weekday + 1) % 7) {
                int64_t y;
                unsigned m, dd;
                pv_civil_from_days(day, &y, &m, &dd);
                if (y != year || m != month || dd != d || pv_days_from_civil(year, month, d) != day ||
                    pv_weekday(day) != weekday)
                    fail_msg("%lld-%u-%u", (long long)year, month, d);
            }
        }
    }
    assert_int_equal(pv_days_in_month(1900, 2), 28);
    assert_int_equal(pv_days_in_month(2000, 2), 29);
}

static const char *const zones[] = {
    "Europe/Paris", "America/New_York",  "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk", "Asia/Kathmandu",
    "Pacific/Apia", "America/Sao_Paulo", "Antarctica/Troll",    "Europe/Dublin",     "UTC",          "Asia/Tehran"};

static void compare_with_libc(const struct pv_zone *zone, struct pv_local *kept, const char *name, int64_t t)
{
    struct tm tm;
    time_t tt = (time_t)t;
    assert_non_null(localtime_r(&tt, &tm));
    struct pv_local local = {0};
    pv_zone_local(zone, t, &local);
    /* What it remembers from the instant before must not be wrong. */
    pv_zone_local(zone, t, kept);
    assert_true(kept->days == local.days && kept->second == local.second);
    int64_t year;
    unsigned month, day;
    pv_civil_from_days(local.days, &year, &month, &day);
    if (pv_zone_offset(zone, t) != tm.tm_gmtoff || year != tm.tm_year + 1900 || month != (unsigned)tm.tm_mon + 1 ||
        day != (unsigned)tm.tm_mday || local.second != tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec ||
        (int)(pv_weekday(local.days) + 1) % 7 != tm.tm_wday)
        fail_msg("%s at %lld: offset %d, libc's %ld", name, (long long)t, pv_zone_offset(zone, t), tm.tm_gmtoff);
}

/* Random instants of 600 years, and the seconds around every change of offset of 150. */
static void test_offsets(void **state)
{
    (void)state;
    unsigned random_state = 99;
    for (size_t z = 0; z < sizeof(zones) / sizeof(*zones); z++) {
        struct pv_zone *zone = zone_named(zones[z]);
        struct pv_local kept = {0};
        char tz[64];
        snprintf(tz, sizeof(tz), ":%s", zones[z]);
        setenv("TZ", tz, 1);
        tzset();
        for (int i = 0; i < 4000; i++) {
            random_state = random_state * 1103515245u + 12345u;
            int64_t t = -2208988800 + (int64_t)random_state % 4294967291u * 4 + i;
            compare_with_libc(zone, &kept, zones[z], t);
        }
        int changes = 0;
        int32_t last = pv_zone_offset(zone, -2208988800);
        for (int64_t t = -2208988800; t < INT64_C(2840140800); t += 43200) {
            int32_t now = pv_zone_offset(zone, t);
            if (now == last)
                continue;
            int64_t low = t - 43200, high = t; /* the first second of the new offset */
            while (high - low > 1) {
                int64_t middle = low + (high - low) / 2;
                if (pv_zone_offset(zone, middle) == last)
                    low = middle;
                else
                    high = middle;
            }
            compare_with_libc(zone, &kept, zones[z], low);
            compare_with_libc(zone, &kept, zones[z], high);
            last = now;
            changes++;
        }
        if (strcmp(zones[z], "UTC") != 0)
            assert_true(changes > 0);
        pv_zone_free(zone);
    }
    unsetenv("TZ");
    tzset();
}

static int64_t instant(const struct pv_zone *zone, int64_t y, unsigned m, unsigned d, int hour, int minute)
{
    return pv_zone_instant(zone, pv_days_from_civil(y, m, d), hour * 3600 + minute * 60);
}

static void test_instants(void **state)
{
    (void)state;
    struct pv_zone *paris = zone_named("Europe/Paris"), *york = zone_named("America/New_York");
    struct pv_zone *howe = zone_named("Australia/Lord_Howe");
    /* Paris 2026: +1 to +2 on March 29 at 01:00 UTC, back on October 25 at 01:00 UTC. */
    assert_int_equal(instant(paris, 2026, 11, 21, 10, 0), 1795251600);
    assert_int_equal(instant(paris, 2026, 3, 29, 1, 59), 1774746000 - 60);
    assert_int_equal(instant(paris, 2026, 3, 29, 2, 30), 1774746000 + 1800); /* skipped: with the offset before */
    assert_int_equal(instant(paris, 2026, 3, 29, 3, 0), 1774746000);
    assert_int_equal(instant(paris, 2026, 10, 25, 2, 30), 1792890000 - 1800); /* twice: the first */
    assert_int_equal(instant(paris, 2026, 10, 25, 3, 0), 1792890000 + 3600);
    /* By the footer's rule, far away. */
    assert_int_equal(instant(paris, 2400, 7, 1, 12, 0) - instant(paris, 2400, 7, 1, 0, 0), 43200);
    assert_int_equal(pv_zone_offset(paris, instant(paris, 2400, 7, 1, 12, 0)), 7200);
    assert_int_equal(pv_zone_offset(paris, instant(paris, 2400, 1, 1, 12, 0)), 3600);
    /* New York 2026-03-08 02:30 does not exist, 2026-11-01 01:30 is twice. */
    assert_int_equal(instant(york, 2026, 3, 8, 2, 30), 1772953200 + 1800);
    assert_int_equal(instant(york, 2026, 11, 1, 1, 30), 1793511000);
    /* Lord Howe changes by half an hour: 2026-10-04 02:00 to 02:30, 2026-04-05 02:00 to 01:30. */
    assert_int_equal(instant(howe, 2026, 10, 4, 2, 15) - instant(howe, 2026, 10, 4, 1, 59), 16 * 60);
    assert_int_equal(instant(howe, 2026, 10, 4, 2, 30), instant(howe, 2026, 10, 4, 2, 0));
    assert_int_equal(instant(howe, 2026, 4, 5, 1, 45) + 60 * 60, instant(howe, 2026, 4, 5, 2, 15));
    pv_zone_free(paris);
    pv_zone_free(york);
    pv_zone_free(howe);
}

/* Every wall clock of some years: where it exists, the instant has it and no earlier instant has. */
static void test_instants_are_inverse(void **state)
{
    (void)state;
    for (size_t z = 0; z < sizeof(zones) / sizeof(*zones); z++) {
        struct pv_zone *zone = zone_named(zones[z]);
        int64_t from = pv_days_from_civil(2010, 12, 1), to = pv_days_from_civil(2013, 1, 1);
        for (int64_t day = from; day < to; day++) {
            for (int32_t second = 0; second < 86400; second += 900) {
                int64_t t = pv_zone_instant(zone, day, second);
                struct pv_local local = {0}, earlier = {0};
                pv_zone_local(zone, t, &local);
                pv_zone_local(zone, t - 3600, &earlier);
                bool exists = local.days == day && local.second == second;
                if (!exists) {
                    /* Skipped: the wall clock at that instant is later by the size of the gap. */
                    int64_t late = (local.days - day) * 86400 + local.second - second;
                    if (late <= 0 || late > 86400)
                        fail_msg("%s day %lld second %d", zones[z], (long long)day, second);
                } else if (earlier.days == day && earlier.second == second) {
                    fail_msg("%s day %lld second %d: not the first", zones[z], (long long)day, second);
                }
            }
        }
        pv_zone_free(zone);
    }
}

/* ---- Hostile files ---- */

static void use(struct pv_zone *zone)
{
    for (int64_t t = PV_MIN_TIME; t < PV_MAX_TIME; t += (PV_MAX_TIME - PV_MIN_TIME) / 61) {
        int32_t offset = pv_zone_offset(zone, t);
        assert_true(offset >= -89999 && offset <= 93599);
        struct pv_local local = {0};
        pv_zone_local(zone, t, &local);
        assert_true(local.second >= 0 && local.second < 86400);
        pv_zone_instant(zone, local.days, local.second);
    }
    pv_zone_free(zone);
}

static void test_truncated_and_flipped(void **state)
{
    (void)state;
    size_t len;
    unsigned char *whole = read_zone_file("Australia/Lord_Howe", &len);
    for (size_t n = 0; n < len; n++) {
        unsigned char *data = malloc(n ? n : 1);
        assert_non_null(data);
        memcpy(data, whole, n);
        struct pv_zone *zone = NULL;
        struct pv_error error;
        assert_int_equal(pv_zone_parse(&zone, "x", data, n, &error), PV_E_ZONE);
        assert_null(zone);
        free(data);
    }
    size_t read = 0, refused = 0;
    for (size_t bit = 0; bit < len * 8; bit++) {
        whole[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        struct pv_zone *zone = NULL;
        if (pv_zone_parse(&zone, "x", whole, len, NULL) == 0) {
            use(zone);
            read++;
        } else {
            assert_null(zone);
            refused++;
        }
        whole[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    assert_true(read > 1000 && refused > 1000);
    free(whole);
}

/* A version 2 file of one type (UTC+1) and the given footer. */
static int parse_footer(struct pv_zone **zone, const char *footer)
{
    unsigned char data[512] = {0};
    static const unsigned char block[] = {0, 0, 0x0e, 0x10, 0, 0, 'C', 'E', 'T', 0};
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(data + n, "TZif2", 5);
        data[n + 39] = 1; /* types */
        data[n + 43] = 4; /* characters */
        memcpy(data + n + 44, block, sizeof(block));
        n += 44 + sizeof(block);
    }
    memcpy(data + n, footer, strlen(footer));
    return pv_zone_parse(zone, "x", data, n + strlen(footer), NULL);
}

static void test_footers(void **state)
{
    (void)state;
    static const struct {
        const char *footer;
        int32_t january, july; /* offsets on 2026-01-15 and 2026-07-15, or INT32_MIN where refused */
    } rows[] = {
        {"\n\n", 3600, 3600},
        {"\nUTC0\n", 0, 0},
        {"\n<+0530>-5:30\n", 19800, 19800},
        {"\nEST5EDT,M3.2.0,M11.1.0\n", -18000, -14400},
        {"\nAEST-10AEDT,M10.1.0,M4.1.0/3\n", 39600, 36000},
        {"\nIST-1GMT0,M10.5.0,M3.5.0/1\n", 0, 3600},
        {"\n<-02>2<-01>,M3.5.0/-1,M10.5.0/0\n", -7200, -3600},
        {"\nXXX3EDT4,0/0,J365/23\n", -14400, -14400}, /* daylight time all year, as in RFC 8536 */
        {"\nAAA0BBB-1:30:15,J60/0,J300/0\n", 0, 5415},
        {"\nAAA0BBB,59/167:59:59,300/-167\n", 0, 3600},
        {"", INT32_MIN, 0},
        {"\n", INT32_MIN, 0},
        {"\nUTC0", INT32_MIN, 0},
        {"\nUT0\n", INT32_MIN, 0},
        {"\nUTC\n", INT32_MIN, 0},
        {"\nUTC168\n", INT32_MIN, 0},
        {"\nUTC30\n", INT32_MIN, 0},
        {"\nEST5EDT\n", INT32_MIN, 0},
        {"\nEST5EDT,M3.2.0\n", INT32_MIN, 0},
        {"\nEST5EDT,M13.2.0,M11.1.0\n", INT32_MIN, 0},
        {"\nEST5EDT,M3.6.0,M11.1.0\n", INT32_MIN, 0},
        {"\nEST5EDT,M3.2.7,M11.1.0\n", INT32_MIN, 0},
        {"\nEST5EDT,J0,J365\n", INT32_MIN, 0},
        {"\nEST5EDT,M3.2.0/168,M11.1.0\n", INT32_MIN, 0},
        {"\nEST5EDT,M3.2.0,M11.1.0x\n", INT32_MIN, 0},
        {"\n<A\n", INT32_MIN, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pv_zone *zone = NULL;
        int status = parse_footer(&zone, rows[i].footer);
        if ((status != 0) != (rows[i].january == INT32_MIN))
            fail_msg("footer %s: %d", rows[i].footer, status);
        if (status)
            continue;
        int32_t january = pv_zone_offset(zone, 1768435200), july = pv_zone_offset(zone, 1784073600);
        if (january != rows[i].january || july != rows[i].july)
            fail_msg("footer %s: %d and %d", rows[i].footer, january, july);
        use(zone);
    }
}

/* "right/" zones count leap seconds, which requests do not. */
static void test_leap_seconds(void **state)
{
    (void)state;
    unsigned char data[256] = {0};
    memcpy(data, "TZif", 4);
    data[31] = 1; /* leap seconds */
    data[39] = 1;
    data[43] = 4;
    struct pv_zone *zone = NULL;
    struct pv_error error;
    assert_int_equal(pv_zone_parse(&zone, "right/UTC", data, 44 + 6 + 4 + 8, &error), PV_E_ZONE);
    assert_string_equal(error.text, "the zone file of \"right/UTC\" is damaged: it counts leap seconds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_civil),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_instants_are_inverse),
        cmocka_unit_test(test_truncated_and_flipped),
        cmocka_unit_test(test_footers),
        cmocka_unit_test(test_leap_seconds),
    };
    return cmocka_run_group_tests_name("runtime/time", tests, NULL, NULL);
}
