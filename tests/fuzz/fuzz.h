/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput(), one a trust boundary; it ends by
 * abort() where something that must hold does not, and leaves the rest to the sanitizers. Linked with libFuzzer it
 * searches; linked with replay.c it runs the inputs that it is given once, with any compiler. */
#ifndef PROVISO_TESTS_FUZZ_FUZZ_H
#define PROVISO_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/proviso.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sentence and abort(). */
#define FUZZ_CHECK(condition, sentence)                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, sentence);                                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Zone files of this machine and no hash; no signature check. */
extern const struct pv_host fuzz_host;

/* An open stream to nowhere. */
FILE *fuzz_nowhere(void);

/* Bytes in an allocation of exactly their size, so that a read past the end is seen; the caller frees. */
void *fuzz_exact(const void *data, size_t size);

#endif
