/* Bundle bytes, as an agent would meet them after a signature that should not have been made: refused with a sentence,
 * or safe to read, to decide with and to disassemble. The last 64 bytes are the requests' choices. */
#include "tests/fuzz/fuzz.h"

#include "tests/runtime/any_request.h"

enum { CHOICES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size > CHOICES ? CHOICES : 0;
    struct any_choices choices;
    any_choices_init(&choices, data + size - n, n);
    for (int with_tail = 0; with_tail < 2; with_tail++) {
        size_t len = with_tail ? size : size - n;
        void *bytes = fuzz_exact(data, len);
        struct pv_bundle *bundle = NULL;
        struct pv_error error = {.code = 1};
        int rc = pv_bundle_load(&bundle, bytes, len, &fuzz_host, &error);
        FUZZ_CHECK((rc == 0) == (bundle != NULL), "a bundle and an error, or neither");
        FUZZ_CHECK(rc == 0 || (error.text[0] && memchr(error.text, 0, sizeof error.text)),
                   "refused without a sentence");
        /* The bound is what makes a foreign bundle safe to run; a fuzzer has less patience than 2^44 steps. */
        if (rc == 0 && pv_bundle_bound(bundle) < 1u << 30 && pv_bundle_clause_bound(bundle) < 1u << 30)
            any_exercise(bundle, &choices, 8, 0);
        pv_bundle_free(bundle);
        free(bytes);
    }
    return 0;
}
