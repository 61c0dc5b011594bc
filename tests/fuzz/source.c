/* Policy text: whatever stands in a file, it is refused with a diagnostic or it compiles. What compiles, compiles to
 * the same bytes again, its bundle is accepted by the loader, and its two programs agree. What parses has a form, whose
 * form is itself and whose bundle differs in the debug section alone. Files are looked up in the shipped library and
 * nowhere else that a policy could name by accident: the text is shown as a file of an empty directory. */
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include "engine/engine.h"
#include "engine/format.h"
#include "runtime/bundle.h"
#include "tests/runtime/any_request.h"

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
                                         .lint = true,
                                         .memory = 256u << 20};
    int rc = pv_compile_text(place(), (const char *)text, len, &options, out);
    FUZZ_CHECK(rc == 0 || rc == PV_E_NOMEM, "the compiler failed without a reason");
}

/* The form of a text, in `arena`; NULL where it has errors of its own. */
static const char *form(struct pv_arena *arena, const void *text, size_t len, size_t *form_len)
{
    static const char *library[] = {FUZZ_LIBRARY};
    struct pv_load_options options = {.library = library, .n_library = 1};
    struct pv_program *program;
    const char *formed;
    FUZZ_CHECK(pv_load_text(arena, place(), text, len, &options, &program) == 0, "the loader failed without a reason");
    if (pv_diags_errors(&program->diags))
        return NULL;
    FUZZ_CHECK(pv_format(arena, &program->sources, program->main->file, &formed, form_len) == 0,
               "a policy without errors has no form");
    return formed;
}

/* All but the header, which has the hash and the places, and the debug section. */
static void compare_content(const struct pv_compilation *a, const struct pv_compilation *b)
{
    const struct pvb_header *x = (const void *)a->bundle, *y = (const void *)b->bundle;
    size_t end = x->section[PVB_DEBUG_BYTES].offset;
    FUZZ_CHECK(end == y->section[PVB_DEBUG_BYTES].offset && memcmp(x + 1, y + 1, end - sizeof *x) == 0,
               "formatting changes the meaning");
}

static void try_form(const uint8_t *data, size_t size, const struct pv_compilation *made)
{
    struct pv_arena *arena = pv_arena_new(0);
    size_t len, again_len;
    FUZZ_CHECK(arena, "out of memory");
    const char *formed = form(arena, data, size, &len);
    const char *again = formed ? form(arena, formed, len, &again_len) : NULL;
    FUZZ_CHECK(!formed || (again && again_len == len && memcmp(formed, again, len) == 0), "the form has another form");
    FUZZ_CHECK(formed || !made->bundle, "a policy without errors has no form");
    if (made->bundle) {
        struct pv_compilation same;
        compile((const uint8_t *)formed, len, &same);
        FUZZ_CHECK(same.bundle, "the form of a policy does not compile");
        compare_content(made, &same);
        pv_compile_free(&same);
    }
    pv_arena_free(arena);
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
    try_form(data, size, &made);
    pv_compile_free(&again);
    pv_compile_free(&made);
    return 0;
}
