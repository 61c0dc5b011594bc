/* Request JSON for `proviso eval`, against one fixed policy that has every kind of attribute: refused with a sentence,
 * or decided with and without its explanation, and the same way both times. */
#include "tests/fuzz/fuzz.h"

#include "engine/cli/cli.h"

static const struct pv_cli_policy *policy(void)
{
    static struct pv_cli_policy policy;
    static const char *library[] = {FUZZ_LIBRARY};
    if (policy.bundle)
        return &policy;
    struct pv_compile_options options = {
        .load = {.library = library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE, .host = &fuzz_host};
    struct pv_error error = {.text = "there are errors in it"};
    if (pv_compile_file(FUZZ_POLICY, &options, &policy.made) || !policy.made.bundle ||
        pv_bundle_load(&policy.bundle, policy.made.bundle, policy.made.bundle_len, &fuzz_host, &error)) {
        fprintf(stderr, "%s: %s\n", FUZZ_POLICY, error.text);
        abort();
    }
    return &policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pv_cli_request request;
    struct pv_error error = {0};
    char *text = malloc(size + 1); /* as a file is read: a NUL behind it */
    FUZZ_CHECK(text, "out of memory");
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    int rc = pv_cli_request_read(&request, policy()->bundle, text, size, &error);
    if (rc == 0) {
        enum pv_effect plain, explained;
        json_t *decision = pv_cli_decision_json(&request, NULL, &plain);
        json_t *reasons = pv_cli_decision_json(&request, policy(), &explained);
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
