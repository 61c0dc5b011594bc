/* Request JSON for `proviso eval`, against one fixed policy that has every kind of attribute: refused with a sentence,
 * or decided with and without its explanation, and the same way both times. */
#include "tests/fuzz/fuzz.h"

#include "engine/cli/cli.h"

static struct pv_bundle *policy(void)
{
    static struct pv_compilation made;
    static struct pv_bundle *bundle;
    static const char *library[] = {FUZZ_LIBRARY};
    if (bundle)
        return bundle;
    struct pv_compile_options options = {
        .load = {.library = library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .host = &fuzz_host};
    struct pv_error error = {.text = "there are errors in it"};
    if (pv_compile_file(FUZZ_POLICY, &options, &made) || !made.bundle ||
        pv_bundle_load(&bundle, made.bundle, made.bundle_len, &fuzz_host, &error)) {
        fprintf(stderr, "%s: %s\n", FUZZ_POLICY, error.text);
        abort();
    }
    return bundle;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pv_bundle *bundle = policy();
    struct pv_cli_request request;
    struct pv_error error = {0};
    char *text = malloc(size + 1); /* as a file is read: a NUL behind it */
    FUZZ_CHECK(text, "out of memory");
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    int rc = pv_cli_request_read(&request, bundle, text, size, &error);
    if (rc == 0) {
        enum pv_effect plain, explained;
        json_t *decision = pv_cli_decision_json(&request, false, &plain);
        json_t *reasons = pv_cli_decision_json(&request, true, &explained);
        FUZZ_CHECK(decision && reasons && plain == explained, "explaining changes the decision");
        char *printed = json_dumps(reasons, JSON_COMPACT);
        FUZZ_CHECK(printed, "a decision that cannot be printed");
        free(printed);
        json_decref(decision);
        json_decref(reasons);
        pv_cli_request_free(&request);
    } else {
        FUZZ_CHECK(error.text[0] && memchr(error.text, 0, sizeof error.text), "refused without a sentence");
    }
    free(text);
    return 0;
}
