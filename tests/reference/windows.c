/* Windows minute by minute: windows LIBRARY SEED POLICIES
 *
 * Random windows of every form, in zones with every kind of clock change, against the reference evaluator, whose time
 * is libc's: each minute from 26 hours before a change of 2026 to 26 hours after it, at a second that moves along, and
 * as many instants of eight years. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "runtime/bundle.h"
#include "tests/fuzz/fuzz.h"
#include "tests/reference/evaluate.h"
#include "tests/reference/generate.h"

enum { WINDOWS = 10, YEAR_2026 = 1767225600, DAY = 86400 };

struct run {
    const struct pv_program *program;
    const struct pv_bundle *bundle;
    struct pv_request *request;
    uint32_t rule[WINDOWS];
    const char *text;
    uint64_t seed, compared, open;
};

static void compare_at(struct run *run, int64_t when)
{
    if (pv_request_set_time(run->request, when) != 0)
        exit(2);
    for (int i = 0; i < WINDOWS; i++) {
        char name[] = {'w', (char)('0' + i), 0};
        bool ours = pv_rule_truth(run->request, run->rule[i]) == PV_TRUE;
        bool theirs = reference_in_window(run->program, name, when);
        if (ours != theirs) {
            fprintf(stderr, "seed %" PRIu64 ", %s at %" PRId64 ": %s, the reference says %s\n%s\n", run->seed, name,
                    when, ours ? "open" : "closed", theirs ? "open" : "closed", run->text);
            exit(1);
        }
        run->compared++;
        run->open += ours;
    }
}

static void find_rules(struct run *run)
{
    size_t n;
    (void)pv_bundle_section(run->bundle, PVB_RULES, &n);
    unsigned found = 0;
    for (uint32_t r = 0; r < n; r++) {
        char buffer[128];
        const char *id = pv_rule_id(run->bundle, r, buffer, sizeof buffer);
        if (id[0] == 'w' && id[1] >= '0' && id[1] <= '9' && !id[2]) {
            run->rule[id[1] - '0'] = r;
            found++;
        }
    }
    if (found != WINDOWS)
        exit(2);
}

/* The first instant in (from, to] with another offset than `from` has; libc's word. */
static int64_t change_between(const char *zone, int64_t from, int64_t to)
{
    int64_t before = reference_offset(zone, from);
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;
        if (reference_offset(zone, middle) == before)
            from = middle;
        else
            to = middle;
    }
    return to;
}

static void check_policy(struct run *run, const char *library, const char *zone)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        exit(2);
    generate_windows(out, run->seed, zone, WINDOWS);
    fclose(out);
    struct pv_compile_options options = {
        .load = {.library = &library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .host = &fuzz_host};
    struct pv_compilation made;
    struct pv_bundle *bundle;
    struct pv_error error;
    if (pv_compile_text("/nowhere/windows.policy", text, len, &options, &made) != 0 || !made.bundle ||
        pv_bundle_load(&bundle, made.bundle, made.bundle_len, &fuzz_host, &error) != 0) {
        pv_diags_print(&made.program->diags, stderr, false, 5);
        fprintf(stderr, "seed %" PRIu64 "\n%s\n", run->seed, text);
        exit(1);
    }
    run->program = made.program;
    run->bundle = bundle;
    run->text = text;
    if (pv_request_new(&run->request, bundle) != 0 || pv_request_set_command(run->request, "c", 1) != 0 ||
        pv_request_set_string(run->request, PV_A_USER_NAME, "alice", 5) != 0)
        exit(2);
    find_rules(run);
    uint64_t at = run->seed;
    for (int64_t day = 0; day < 365; day++) {
        int64_t midnight = YEAR_2026 + day * DAY;
        if (reference_offset(zone, midnight) == reference_offset(zone, midnight + DAY))
            continue;
        int64_t change = change_between(zone, midnight, midnight + DAY);
        for (int64_t minute = -26 * 60; minute <= 26 * 60; minute++)
            compare_at(run, change + minute * 60 + (int64_t)(at++ % 7 < 2 ? 0 : at % 60));
        compare_at(run, change - 1);
        compare_at(run, change);
    }
    for (int i = 0; i < 3000; i++) {
        at = at * 6364136223846793005u + 1442695040888963407u;
        compare_at(run, YEAR_2026 - 3 * 365 * (int64_t)DAY + (int64_t)((at >> 20) % (8u * 365 * DAY)));
    }
    pv_request_free(run->request);
    pv_bundle_free(bundle);
    pv_compile_free(&made);
    free(text);
}

int main(int argc, char **argv)
{
    /* An hour, half an hour, three quarters past; south and north; the other way round in winter and none at all. */
    static const char *const zones[] = {
        "Europe/Paris",    "America/New_York",  "Australia/Lord_Howe", "America/St_Johns",
        "Pacific/Chatham", "Africa/Casablanca", "Europe/Dublin",       "UTC"};
    if (argc != 4) {
        fprintf(stderr, "usage: windows LIBRARY SEED POLICIES\n");
        return 2;
    }
    struct run run = {.seed = strtoull(argv[2], NULL, 10)};
    unsigned n = (unsigned)strtoul(argv[3], NULL, 10);
    for (unsigned i = 0; i < n; i++, run.seed++)
        check_policy(&run, argv[1], zones[i % (sizeof zones / sizeof *zones)]);
    printf("%" PRIu64 " compared, %" PRIu64 " open\n", run.compared, run.open);
    /* Windows that are always open, or never, would compare nothing. */
    return run.open * 20 > run.compared && run.open * 20 < run.compared * 19 ? 0 : 2;
}
