/* TZif files: refused with a sentence, or good for any instant and any wall clock. */
#include "tests/fuzz/fuzz.h"

#include "runtime/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *bytes = fuzz_exact(data, size);
    struct pv_zone *zone = NULL;
    struct pv_error error = {0};
    int rc = pv_zone_parse(&zone, "Fuzz/Zone", bytes, size, &error);
    FUZZ_CHECK((rc == 0) == (zone != NULL) && (rc == 0 || error.text[0]), "refused without a sentence");
    free(bytes); /* nothing of it is kept */
    struct pv_local kept = {0};
    for (int64_t t = PV_MIN_TIME; zone && t <= PV_MAX_TIME; t += INT64_C(86400) * 17029 + 12347) {
        struct pv_local local = {0};
        pv_zone_local(zone, t, &local);
        pv_zone_local(zone, t, &kept);
        FUZZ_CHECK(local.days == kept.days && local.second == kept.second,
                   "what is remembered differs from what is looked up");
        FUZZ_CHECK(local.second >= 0 && local.second < 86400, "no second of the day");
        int64_t back = pv_zone_instant(zone, local.days, local.second);
        struct pv_local again = {0};
        if (back >= PV_MIN_TIME && back <= PV_MAX_TIME)
            pv_zone_local(zone, back, &again);
    }
    pv_zone_free(zone);
    return 0;
}
