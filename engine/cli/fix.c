/* `check --fix`: applies the fixes that are certain. The text is mended in memory, again while new fixes come up, and
 * checked after every round; a round that brings errors is not taken. Only then is the file replaced, whole or not at
 * all. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

#define ROUNDS 16 /* each mends at least one place; what needs more is run again */

static int by_place(const void *left, const void *right)
{
    const struct pv_fix *const *a = left, *const *b = right;
    return ((*a)->span.start > (*b)->span.start) - ((*a)->span.start < (*b)->span.start);
}

/* The certain fixes of the file itself, in order; those that overlap one before are left to the next round. */
static size_t collect(const struct pv_program *program, const struct pv_fix **fixes, size_t capacity)
{
    const struct pv_diags *diags = &program->diags;
    size_t n = 0, kept = 0;
    uint32_t main = 0; /* the file that was asked for is read first */
    for (size_t i = 0; i < diags->n; i++)
        for (const struct pv_fix *fix = diags->list[i]->certain ? diags->list[i]->fixes : NULL; fix; fix = fix->next)
            if (n < capacity && fix->span.file == main)
                fixes[n++] = fix;
    qsort(fixes, n, sizeof(*fixes), by_place);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || fixes[i]->span.start > fixes[kept - 1]->span.end)
            fixes[kept++] = fixes[i];
    return kept;
}

static char *apply(const char *text, size_t len, const struct pv_fix *const *fixes, size_t n, size_t *out_len)
{
    size_t size = len, at = 0, to = 0;
    for (size_t i = 0; i < n; i++)
        size += strlen(fixes[i]->text);
    char *out = malloc(size + 1);
    for (size_t i = 0; out && i < n; i++) {
        size_t start = fixes[i]->span.start, put = strlen(fixes[i]->text);
        memcpy(out + to, text + at, start - at);
        to += start - at;
        memcpy(out + to, fixes[i]->text, put);
        to += put;
        at = fixes[i]->span.end;
    }
    if (out) {
        memcpy(out + to, text + at, len - at);
        *out_len = to + len - at;
        out[*out_len] = 0;
    }
    return out;
}

static int compile(struct pv_compilation *made, const char *path, const char *text, size_t len,
                   struct pv_cli_policy_options *options)
{
    struct pv_compile_options how = {.load = pv_cli_load_options(options),
                                     .goal = PV_COMPILE_CHECK,
                                     .lint = true,
                                     .today = options->today,
                                     .host = &pv_cli_host};
    int rc = pv_compile_text(path, text, len, &how, made);
    if (rc < 0)
        pv_compile_free(made);
    return rc < 0 ? pv_cli_error("%s: out of memory", path), -1 : 0;
}

/* One round: 1 the text is another, 0 there is nothing to mend, -1 said. */
static int mend(const char *path, char **text, size_t *len, struct pv_cli_policy_options *options, unsigned *count)
{
    struct pv_compilation before, after;
    int result = -1;
    if (compile(&before, path, *text, *len, options) < 0)
        return -1;
    size_t capacity = 0, mended_len = 0;
    for (size_t i = 0; i < before.program->diags.n; i++)
        for (const struct pv_fix *fix = before.program->diags.list[i]->fixes; fix; fix = fix->next)
            capacity++;
    const struct pv_fix **fixes = calloc(capacity + 1, sizeof(*fixes));
    size_t n = fixes ? collect(before.program, fixes, capacity) : 0;
    char *mended = n ? apply(*text, *len, fixes, n, &mended_len) : NULL;
    if (!fixes || (n && !mended)) {
        pv_cli_error("%s: out of memory", path);
    } else if (!n) {
        result = 0;
    } else if (compile(&after, path, mended, mended_len, options) == 0) {
        result = pv_diags_errors(&after.program->diags) <= pv_diags_errors(&before.program->diags);
        pv_compile_free(&after);
    }
    if (result == 1) {
        free(*text);
        *text = mended;
        *len = mended_len;
        *count += (unsigned)n;
    } else {
        free(mended);
    }
    free(fixes);
    pv_compile_free(&before);
    return result;
}

int pv_cli_fix(const char *path, struct pv_cli_policy_options *options)
{
    char *text = NULL;
    size_t len = 0;
    unsigned count = 0;
    if (strcmp(path, "-") == 0) {
        pv_cli_error("standard input cannot be mended: name a file");
        return -1;
    }
    if (pv_cli_read(path, PV_SOURCE_LIMIT, &text, &len) < 0)
        return -1;
    int rc = 1;
    for (unsigned round = 0; round < ROUNDS && rc == 1; round++)
        rc = mend(path, &text, &len, options, &count);
    if (rc >= 0 && count) {
        rc = pv_cli_rewrite(path, text, len);
        if (rc == 0)
            fprintf(stderr, "%s: %u place%s mended\n", path, count, count == 1 ? "" : "s");
    }
    free(text);
    return rc < 0 ? -1 : 0;
}
