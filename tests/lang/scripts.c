/* Runs language scripts: `.policy` files that say themselves what is wrong with them.
 *
 *     scripts [--library DIR]... [--parse-only | --lint DAY] [--print | --tree] PATH...
 *
 * A PATH is a file, or a folder whose `.policy` files (not those of its folders) are run. A comment
 *
 *     # expect error: text            # expect warning PV1001: text            # expect error at 12: text
 *
 * anywhere in a line expects one diagnostic of this severity at that line (or at the line it names), whose sentence
 * holds the text and which has the code, where one is given; several may stand in one line. Exactly the expected
 * diagnostics must come up, in the script and in all files that it imports. Where a file NAME.tree stands beside
 * NAME.policy, the printed tree must be that text. --lint runs the lints too, as if today were DAY
 * (days since 1970-01-01); `note` is then a severity like the others. --print shows diagnostics and --tree the tree
 * instead. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ast.h"
#include "engine/diag.h"
#include "engine/load.h"
#include "tests/lang/check.h"

#define MAX_LIBRARY  8
#define MAX_EXPECTED 4096

struct expectation {
    const char *path;
    unsigned line;
    enum pv_severity severity;
    int code; /* enum pv_diag_code, or -1 for any */
    const char *text;
    int text_len;
    bool met;
};

static struct expectation expected[MAX_EXPECTED];
static size_t n_expected;
static const char *library[MAX_LIBRARY];
static struct pv_load_options options = {.library = library};
static bool print, tree, parse_only;
static int64_t lint_day = -1;
static unsigned failures, scripts;

static void fail(const char *path, unsigned line, const char *what, const char *text, int len)
{
    failures++;
    fprintf(stderr, "%s:%u: %s: %.*s\n", path, line, what, len, text);
}

/* ---- Expectations ---- */

static bool skip(const char **at, const char *end, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

/* One expectation, behind `# expect `; *at is moved to its end. */
static void read_expectation(const char *path, unsigned line, const char **at, const char *end)
{
    struct expectation e = {.path = path, .line = line, .code = -1};
    if (skip(at, end, "error"))
        e.severity = PV_SEV_ERROR;
    else if (skip(at, end, "warning"))
        e.severity = PV_SEV_WARNING;
    else if (skip(at, end, "note"))
        e.severity = PV_SEV_NOTE;
    else
        return;
    if (skip(at, end, " at "))
        e.line = (unsigned)strtoul(*at, (char **)(void *)at, 10);
    if (skip(at, end, " PV")) {
        char code[8] = "PV";
        memcpy(code + 2, *at, 4);
        e.code = pv_diag_from_code(code);
        *at += 4;
        if (e.code < 0)
            fail(path, line, "no such code", code, 6);
    }
    if (!skip(at, end, ": ") || n_expected == MAX_EXPECTED) {
        fail(path, line, "not an expectation", *at, (int)(end - *at));
        return;
    }
    const char *next = memmem(*at, (size_t)(end - *at), " # expect ", 10);
    e.text = *at;
    e.text_len = (int)((next ? next : end) - *at);
    while (e.text_len && e.text[e.text_len - 1] == ' ')
        e.text_len--;
    *at = next ? next : end;
    expected[n_expected++] = e;
}

static void read_expectations(const struct pv_sources *sources, uint32_t file)
{
    const struct pv_source_file *source = pv_sources_file(sources, file);
    for (uint32_t line = 1; line <= source->n_lines; line++) {
        uint32_t len;
        const char *at = pv_sources_line(sources, file, line, &len), *end = at + len;
        while ((at = memmem(at, (size_t)(end - at), "# expect ", 9))) {
            at += 9;
            read_expectation(source->path, line, &at, end);
        }
    }
}

static bool meets(const struct expectation *e, const struct pv_diag *diag, struct pv_place place)
{
    size_t len = strlen(diag->text);
    return !e->met && e->line == place.line && strcmp(e->path, place.path) == 0 && e->severity == diag->severity &&
           (e->code < 0 || e->code == (int)diag->code) && memmem(diag->text, len, e->text, (size_t)e->text_len);
}

static void compare_diags(struct pv_program *program)
{
    pv_diags_finish(&program->diags);
    for (size_t i = 0; i < program->diags.n; i++) {
        const struct pv_diag *diag = program->diags.list[i];
        struct pv_place place = pv_sources_place(&program->sources, diag->span.file, diag->span.start);
        size_t e = 0;
        while (e < n_expected && !meets(&expected[e], diag, place))
            e++;
        if (e < n_expected)
            expected[e].met = true;
        else
            fail(place.path, place.line, pv_diag_info(diag->code)->code, diag->text, (int)strlen(diag->text));
    }
    for (size_t e = 0; e < n_expected; e++) {
        if (!expected[e].met)
            fail(expected[e].path, expected[e].line, "expected, and not told", expected[e].text, expected[e].text_len);
    }
}

/* ---- Trees ---- */

static char *read_text(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;
    if (!in)
        return NULL;
    if (getdelim(&text, &size, '\0', in) < 0 && text)
        *text = '\0';
    fclose(in);
    return text;
}

static void compare_tree(const struct pv_program *program, const char *path)
{
    char beside[4096], *is = NULL;
    size_t size = 0;
    snprintf(beside, sizeof beside, "%.*s.tree", (int)(strlen(path) - strlen(".policy")), path);
    char *should = read_text(beside);
    if (!should)
        return;
    FILE *out = open_memstream(&is, &size);
    if (!out)
        abort();
    if (program->main)
        pv_ast_print(program->main, out);
    fclose(out);
    unsigned line = 1;
    for (size_t i = 0;; i++) {
        if (is[i] != should[i]) {
            size_t start = i;
            while (start > 0 && is[start - 1] != '\n')
                start--;
            fail(beside, line, "the tree is", is + start, (int)strcspn(is + start, "\n"));
            break;
        }
        if (!is[i])
            break;
        line += is[i] == '\n';
    }
    free(is);
    free(should);
}

/* ---- Scripts ---- */

static void run(const char *path)
{
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_program *program;
    if (!arena || pv_load_program(arena, path, &options, &program))
        abort();
    scripts++;
    if (!parse_only)
        lang_check(program, lint_day);
    if (print) {
        pv_diags_print(&program->diags, stdout, false, 0);
    } else if (tree) {
        if (program->main)
            pv_ast_print(program->main, stdout);
    } else {
        n_expected = 0;
        for (uint32_t i = 0; i < program->sources.n_files; i++)
            read_expectations(&program->sources, i);
        compare_diags(program);
        compare_tree(program, path);
    }
    pv_arena_free(arena);
}

static int is_policy(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 7 && strcmp(entry->d_name + len - 7, ".policy") == 0;
}

static void run_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_policy, alphasort);
    if (n < 0 && errno == ENOTDIR) {
        run(path);
        return;
    }
    if (n <= 0) {
        fail(path, 0, "no scripts here", "", 0);
        return;
    }
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        run(file);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--library") == 0 && i + 1 < argc && options.n_library < MAX_LIBRARY)
            library[options.n_library++] = argv[++i];
        else if (strcmp(argv[i], "--lint") == 0 && i + 1 < argc)
            lint_day = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--print") == 0)
            print = true;
        else if (strcmp(argv[i], "--tree") == 0)
            tree = true;
        else if (strcmp(argv[i], "--parse-only") == 0)
            parse_only = true;
        else
            run_folder(argv[i]);
    }
    if (!print && !tree)
        printf("%u scripts, %u failures\n", scripts, failures);
    return failures || !scripts;
}
