/* Policy text: whatever stands in a file, it is refused with a diagnostic or it compiles. What compiles, compiles to
 * the same bytes again, its bundle is accepted by the loader, and its two programs agree. Files are looked up in the
 * shipped library and nowhere else that a policy could name by accident: the text is shown as a file of an empty
 * directory. */
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include "engine/engine.h"
#include "tests/runtime/any_request.h"

#if __has_include("engine/format.h")
#include "engine/format.h"
#endif

enum { MOST = 64 << 10 /* bytes of text: larger ones are slow and find nothing new */ };

static const char *place(void)
{
    static char path[128];
    if (!*path) {
        char dir[] = "/tmp/fuzz-source-XXXXXX";
        FUZZ_CHECK(mkdtemp(dir) && rmdir(dir) == 0, "no directory");
        snprintf(path, sizeof path, "%s/fuzz.policy", dir);
    }
    return path;
}

static void compile(const uint8_t *text, size_t len, struct pv_compilation *out)
{
    static const char *library[] = {FUZZ_LIBRARY};
    struct pv_compile_options options = {.load = {.library = library, .n_library = 1},
                                         .goal = PV_COMPILE_EVALUATE,
                                         .host = &fuzz_host,
                                         .memory = 256u << 20};
    int rc = pv_compile_text(place(), (const char *)text, len, &options, out);
    FUZZ_CHECK(rc == 0 || rc == PV_E_NOMEM, "the compiler failed without a reason");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MOST)
        return 0;
    struct pv_compilation made, again = {0};
    compile(data, size, &made);
    if (!made.program)
        goto out;
    pv_diags_print(&made.program->diags, fuzz_nowhere(), true, 0);
    if (pv_diags_errors(&made.program->diags)) {
        FUZZ_CHECK(!made.bundle && !made.ir, "a bundle in spite of errors");
        goto out;
    }
    FUZZ_CHECK(made.bundle && made.ir, "no errors and no bundle");
    compile(data, size, &again);
    FUZZ_CHECK(again.bundle_len == made.bundle_len && memcmp(again.bundle, made.bundle, made.bundle_len) == 0,
               "compiling twice gives different bundles");
    struct pv_error error;
    struct pv_bundle *bundle;
    int rc = pv_bundle_load(&bundle, made.bundle, made.bundle_len, &fuzz_host, &error);
    if (rc)
        fprintf(stderr, "%s\n", error.text);
    /* A zone that the host lacks, and a policy too large to bound, are the loader's to refuse. */
    FUZZ_CHECK(rc == 0 || rc == PV_E_ZONE || rc == PV_E_LIMIT, "the loader refuses what the compiler made");
    if (rc == 0) {
        struct any_choices choices;
        any_choices_init(&choices, NULL, 0);
        any_exercise(bundle, &choices, 24, 1);
        pv_bundle_free(bundle);
    }
out:
    pv_compile_free(&again);
    pv_compile_free(&made);
    return 0;
}
