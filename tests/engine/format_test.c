/* The formatter: pairs of text and form, and what holds of every policy. Its form is its own form; the form compiles to
 * the same bundle but for the debug section; it has the same comments; white space alone changes nothing. The policies
 * are those of the repository, random ones, and all of these with their spaces, line breaks, comments and parentheses
 * thrown about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <dirent.h>
#include <fts.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/format.h"
#include "grammar/lexer.h"
#include "grammar/policy.h"
#include "runtime/bundle.h"
#include "tests/reference/generate.h"

/* ---- Texts ---- */

struct text {
    char *bytes;
    size_t len;
};

static struct text read_text(const char *path)
{
    struct text text = {NULL, 0};
    size_t capacity = 0;
    FILE *in = fopen(path, "r");
    if (!in)
        fail_msg("cannot read %s", path);
    ssize_t n = getdelim(&text.bytes, &capacity, -1, in);
    if (n < 0) {
        free(text.bytes);
        text.bytes = strdup("");
        n = 0;
    }
    text.len = (size_t)n;
    fclose(in);
    return text;
}

static struct text random_policy(uint64_t seed)
{
    struct text text;
    FILE *out = open_memstream(&text.bytes, &text.len);
    generate_policy(out, seed, 40);
    fclose(out);
    return text;
}

/* The form, or no bytes where the text has errors of syntax. */
static struct text form_of(const char *name, struct text text)
{
    static const struct pv_load_options alone = {.alone = true};
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_program *program;
    struct text form = {NULL, 0};
    const char *bytes;
    assert_int_equal(pv_load_text(arena, name, text.bytes, text.len, &alone, &program), 0);
    if (pv_diags_errors(&program->diags) == 0) {
        int rc = pv_format(arena, &program->sources, 0, &bytes, &form.len);
        if (rc < 0)
            fail_msg("%s: the form does not say the same:\n%.*s", name, (int)text.len, text.bytes);
        form.bytes = strndup(bytes, form.len);
        assert_int_equal(strlen(bytes), form.len);
    }
    pv_arena_free(arena);
    return form;
}

/* Some lines round an offset. */
static struct text excerpt(struct text text, size_t at)
{
    size_t start = at < text.len ? at : text.len, end = start;
    for (int lines = 0; start > 0 && lines < 5; lines += text.bytes[start] == '\n')
        start--;
    for (int lines = 0; end < text.len && lines < 5; end++)
        lines += text.bytes[end] == '\n';
    return (struct text){text.bytes + start, end - start > 450 ? 450 : end - start};
}

static void assert_same(const char *what, const char *name, struct text a, struct text b)
{
    size_t at = 0;
    while (at < a.len && at < b.len && a.bytes[at] == b.bytes[at])
        at++;
    if (at == a.len && at == b.len)
        return;
    struct text x = excerpt(a, at), y = excerpt(b, at);
    fail_msg("%s: %s:\n----\n%.*s\n----\n%.*s\n----", name, what, (int)x.len, x.bytes, (int)y.len, y.bytes);
}

/* ---- Bundles ---- */

static const char *const library[] = {"policies"};

/* The part of a bundle that decides, malloc'd; NULL where the text does not compile. */
static struct text decisive_part(const char *name, struct text text)
{
    struct pv_compile_options options = {.load = {.library = library, .n_library = 1}, .goal = PV_COMPILE_EVALUATE};
    struct pv_compilation made;
    struct text part = {NULL, 0};
    assert_int_equal(pv_compile_text(name, text.bytes, text.len, &options, &made), 0);
    if (made.bundle) {
        struct pvb_header *header = (struct pvb_header *)made.bundle;
        part.len = header->section[PVB_DEBUG_BYTES].offset;
        header->file_size = 0;
        memset(header->section + PVB_DEBUG_BYTES, 0, 3 * sizeof(*header->section));
        part.bytes = malloc(part.len);
        memcpy(part.bytes, made.bundle, part.len);
    }
    pv_compile_free(&made);
    return part;
}

/* Tests that name a rule by its line follow that line, which the form moves: they are left out. */
static void forget_lines(struct text *text)
{
    for (char *p = text->bytes; (p = strstr(p, ".policy:"));) {
        char *start = p, *end = p;
        while (start > text->bytes && start[-1] != '\n')
            start--;
        while (*end && *end != '\n')
            end++;
        memset(start, ' ', (size_t)(end - start));
        p = end;
    }
}

/* ---- What holds of every policy. Whether it was one that compiles. ---- */

static void check_lines(const char *name, struct text form)
{
    assert_true(form.len == 0 || form.bytes[form.len - 1] == '\n');
    assert_null(memchr(form.bytes, '\r', form.len));
    for (const char *p = form.bytes; (p = strchr(p, '\n')); p++) {
        if (p > form.bytes && (p[-1] == ' ' || p[-1] == '\t'))
            fail_msg("%s: white space at a line's end:\n%s", name, form.bytes);
        if (p == form.bytes || (p[1] == '\n' && p[2] == '\n'))
            fail_msg("%s: empty lines at the start or in a row:\n%s", name, form.bytes);
    }
    if (form.len > 1)
        assert_int_not_equal(form.bytes[form.len - 2], '\n');
}

static bool check_form(const char *name, struct text text)
{
    struct text form = form_of(name, text);
    if (!form.bytes)
        return false;
    check_lines(name, form);
    struct text again = form_of(name, form);
    if (!again.bytes)
        fail_msg("%s: the form has errors:\n%s", name, form.bytes);
    assert_same("the form of the form is another", name, form, again);
    struct text before = decisive_part(name, text), after = decisive_part(name, form);
    bool compiles = before.bytes != NULL;
    if (compiles && !after.bytes)
        fail_msg("%s: the form does not compile:\n%s", name, form.bytes);
    if (compiles)
        assert_same("the form compiles to another bundle", name, before, after);
    free(before.bytes);
    free(after.bytes);
    free(form.bytes);
    free(again.bytes);
    return compiles;
}

/* ---- Throwing things about ---- */

static uint64_t state;

static unsigned below(unsigned n)
{
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ (z >> 31)) % n);
}

static void put_comment(FILE *out)
{
    static const char *const comments[] = {"#",   "# why", "#!", "# \xc3\xa9t\xc3\xa9 \"x", "# a; b } { ( \t # c",
                                           "#   "};
    fputs(comments[below(sizeof comments / sizeof *comments)], out);
    if (below(30) == 0)
        for (int i = 0; i < 110; i++)
            fputc('a' + i % 26, out);
}

/* What may stand between two tokens: with `lines`, anything; else what white space there was, or more of it. */
static void put_gap(FILE *out, bool lines, unsigned comments)
{
    static const char *const spaces[] = {" ", "  ", "\t", "       "};
    static const char *const breaks[] = {"\n", "\r\n", "\n\n", "\n  \n\n", "\n    ", "\n        "};
    fputs(spaces[below(4)], out);
    if (!lines)
        return;
    for (unsigned n = below(8) == 0; n < 4 && below(100) < comments; n++) {
        if (below(2))
            fputs(breaks[below(6)], out);
        put_comment(out);
        fputs(below(3) ? "\n" : "\n\n", out);
        fputs(spaces[below(4)], out);
    }
    if (below(4) == 0)
        fputs(breaks[below(6)], out);
}

/* Whether a comment stands on the line: comments below one another belong together where their columns are the same. */
static bool has_comment(struct text text, size_t at)
{
    const char *end = memchr(text.bytes + at, '\n', text.len - at);
    return memchr(text.bytes + at, '#', (size_t)((end ? end : text.bytes + text.len) - (text.bytes + at))) != NULL;
}

/* The same tokens with other white space. `lines`: and other lines, and comments in so many gaps of a hundred. */
static struct text throw_about(struct text text, bool lines, unsigned comments)
{
    struct text thrown;
    FILE *out = open_memstream(&thrown.bytes, &thrown.len);
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    struct pv_lexer lexer;
    uint32_t file, at, end = 0;
    pv_sources_init(&sources, arena);
    assert_int_equal(pv_sources_add_text(&sources, "x", text.bytes, text.len, &file, &at), 0);
    pv_lexer_init(&lexer, &sources, file, NULL);
    lexer.comments = true;
    for (struct pv_token token; (token = pv_lex(&lexer)).kind != PV_TOK_END; end = token.span.end) {
        const char *gap = text.bytes + end;
        size_t gap_len = token.span.start - end;
        if (!lines && has_comment(text, token.span.start - token.column)) {
            fwrite(gap, 1, gap_len, out);
        } else {
            for (size_t i = 0; i < gap_len; i++)
                if (gap[i] == '\n')
                    fputs(lines ? "\n" : "  \r\n", out);
            put_gap(out, lines && token.kind != PV_TOK_COMMENT, comments);
        }
        fwrite(text.bytes + token.span.start, 1, token.span.end - token.span.start, out);
    }
    fputs(below(2) ? "\n\n \n" : "", out);
    fclose(out);
    pv_arena_free(arena);
    return thrown;
}

static bool check_all_ways(const char *name, struct text text, unsigned rounds)
{
    bool compiles = check_form(name, text);
    struct text form = form_of(name, text);
    if (!form.bytes)
        return false;
    struct text spaced = throw_about(form, false, 0), spaced_form = form_of(name, spaced);
    assert_same("white space matters", name, form, spaced_form);
    free(spaced.bytes);
    free(spaced_form.bytes);
    for (unsigned i = 0; i < rounds; i++) {
        struct text thrown = throw_about(text, true, i % 3 * 10);
        /* Where two rules without names meet on one line, the policy is wrong: both ways then. */
        check_form(name, thrown);
        free(thrown.bytes);
    }
    free(form.bytes);
    return compiles;
}

/* ---- Tests ---- */

static int is_input(const struct dirent *entry)
{
    return strstr(entry->d_name, ".in.policy") != NULL;
}

static void each_pair(void **unused)
{
    static const char folder[] = "tests/engine/format";
    struct dirent **entries;
    int n = scandir(folder, &entries, is_input, alphasort);
    (void)unused;
    assert_true(n >= 10);
    for (int i = 0; i < n; i++) {
        char in[512], out[512];
        snprintf(in, sizeof in, "%s/%s", folder, entries[i]->d_name);
        size_t stem = strlen(in) - strlen(".in.policy");
        snprintf(out, sizeof out, "%.*s.out.policy", (int)stem, in);
        struct text text = read_text(in), want = read_text(out), form = form_of(in, text);
        if (!form.bytes)
            fail_msg("%s has errors", in);
        assert_same("the form is not as written down", in, want, form);
        check_all_ways(in, text, 20);
        free(text.bytes);
        free(want.bytes);
        free(form.bytes);
        free(entries[i]);
    }
    free(entries);
}

static void each_policy_of_the_repository(void **unused)
{
    char *const roots[] = {"policies", "examples", "tests", NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    unsigned n = 0, compile = 0;
    (void)unused;
    assert_non_null(walk);
    for (FTSENT *entry; (entry = fts_read(walk));) {
        const char *dot = strrchr(entry->fts_name, '.');
        if (entry->fts_info != FTS_F || !dot || strcmp(dot, ".policy") != 0)
            continue;
        struct text text = read_text(entry->fts_path);
        forget_lines(&text);
        compile += check_all_ways(entry->fts_path, text, 5);
        n++;
        free(text.bytes);
    }
    fts_close(walk);
    assert_true(n >= 60);
    assert_true(compile >= 10);
}

static void random_policies(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        char name[64];
        snprintf(name, sizeof name, "random policy %llu", (unsigned long long)seed);
        struct text text = random_policy(seed);
        state = seed;
        assert_true(check_all_ways(name, text, 3));
        free(text.bytes);
    }
}

/* Expressions with parentheses wherever they may stand. */
static void put_expression(FILE *out, unsigned depth)
{
    static const char *const atoms[] = {
        "package.downgrade", "package.essential", "request.interactive", "package.installed", "calm", "true"};
    static const char *const comparisons[] = {"user.uid > 7",
                                              "package.name like \"a*\"",
                                              "user in staff",
                                              "has package.section",
                                              "user.name in { \"a\", \"b\" }",
                                              "request.timeout <= 30s",
                                              "user.groups overlaps { \"x\" }"};
    unsigned choice = below(depth ? 9 : 3);
    switch (choice) {
    case 0:
    case 1: fputs(atoms[below(6)], out); break;
    case 2: fputs(comparisons[below(7)], out); break;
    case 3:
        fputs("not ", out);
        if (below(2)) {
            fputs("(", out);
            put_expression(out, depth - 1);
            fputs(")", out);
        } else {
            fputs(atoms[below(6)], out);
        }
        break;
    case 4:
        fputs("((", out);
        put_expression(out, depth - 1);
        fputs("))", out);
        break;
    case 5: /* bools compared */
        fprintf(out, "((%s) %s (%s))", atoms[below(4)], below(2) ? "==" : "!=", atoms[below(4)]);
        break;
    default: {
        const char *join = choice < 7 ? " and " : " or ";
        for (unsigned i = 0, n = 2 + below(2); i < n; i++) {
            bool wrap = below(2);
            fputs(i ? join : "", out);
            fputs(wrap ? "(" : "", out);
            put_expression(out, depth - 1);
            fputs(wrap ? ")" : "", out);
        }
    }
    }
}

static void put_subject(FILE *out, unsigned depth, const char *const leaves[4])
{
    unsigned choice = depth ? below(6) : 0;
    switch (choice) {
    case 0:
    case 1: fputs(leaves[below(4)], out); break;
    case 2:
        fputs("not (", out);
        put_subject(out, depth - 1, leaves);
        fputs(")", out);
        break;
    default:
        for (unsigned i = 0; i < 2; i++) {
            bool wrap = below(2);
            fputs(i == 0 ? "" : choice < 5 ? " or " : " and ", out);
            fputs(wrap ? "((" : "", out);
            put_subject(out, depth - 1, leaves);
            fputs(wrap ? "))" : "", out);
        }
    }
}

static void parentheses(void **unused)
{
    static const char *const people[4] = {"user \"a\"", "group \"g\"", "staff", "everyone"};
    static const char *const places[4] = {"self_service", "any", "site", "other"};
    (void)unused;
    state = 42;
    for (int round = 0; round < 400; round++) {
        struct text text;
        FILE *out = open_memstream(&text.bytes, &text.len);
        fputs("policy p version 1 zone \"UTC\"; import \"std/apt.policy\"; role staff = group \"staff\";\n"
              "source site { type apt; location \"deb http://x y z\"; key \"/k\"; }\n"
              "source other { type apt; location \"deb http://o y z\"; key \"/k\"; }\n"
              "condition calm = (((request.interactive)));\n",
              out);
        for (int i = 0; i < 6; i++) {
            fputs(below(2) ? "@id(\"r" : "@id(\"s", out);
            fprintf(out, "%d\")\n%s ", i, below(2) ? "allow" : "deny");
            put_subject(out, 3, people);
            fputs(" to install from ", out);
            put_subject(out, 3, places);
            fputs(below(2) ? " when " : " unless ", out);
            put_expression(out, 4);
            fputs(";\nrequire approval by ", out);
            put_subject(out, 2, people);
            fputs(" for ", out);
            put_subject(out, 2, people);
            fputs(" to install;\n", out);
        }
        fclose(out);
        assert_true(check_all_ways("parentheses", text, 1));
        free(text.bytes);
    }
}

/* What the form drops and keeps; the whole of the rule is in docs/formatting.md. */
static void which_parentheses(void **unused)
{
    static const char *const rows[][2] = {
        {"(a)", "a"},
        {"((a or b))", "a or b"},
        {"(a) or ((b))", "a or b"},
        {"(a or b) or c", "a or b or c"},
        {"a and (b and (c and d))", "a and b and c and d"},
        {"(a and b) or c", "(a and b) or c"},
        {"a and b or c", "a and b or c"},
        {"(a or b) and c", "(a or b) and c"},
        {"not (a)", "not a"},
        {"not (not a)", "not not a"},
        {"(not a) and b", "not a and b"},
        {"not (a and b)", "not (a and b)"},
        {"not (x == 1)", "not (x == 1)"},
        {"not x == 1", "not x == 1"},
        {"(x == 1) and (y == 2)", "x == 1 and y == 2"},
        {"(x) == (1)", "x == 1"},
        {"(a or b) == (c)", "(a or b) == c"},
        {"(not a) == b", "(not a) == b"},
        {"((x == 1)) == b", "(x == 1) == b"},
        {"(has a.b) or (c)", "has a.b or c"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char in[256], out[256];
        snprintf(in, sizeof in, "condition c = %s;\n", rows[i][0]);
        snprintf(out, sizeof out, "condition c = %s;\n", rows[i][1]);
        struct text form = form_of("row", (struct text){in, strlen(in)});
        assert_non_null(form.bytes);
        assert_string_equal(form.bytes, out);
        free(form.bytes);
    }
}

/* Text with errors has no form, and what is no policy's text is refused in time that is linear. */
static void errors_and_deep_text(void **unused)
{
    static const char *const wrong[] = {"allow",
                                        "set x = { };",
                                        "role a = (b;",
                                        "condition c = a <> b;",
                                        "\xff",
                                        "allow everyone to any when \"x;",
                                        "set x = { \"a\" \"b\" };"};
    (void)unused;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct text form = form_of("wrong", (struct text){(char *)(uintptr_t)wrong[i], strlen(wrong[i])});
        assert_null(form.bytes);
    }
    struct text deep;
    FILE *out = open_memstream(&deep.bytes, &deep.len);
    for (int i = 0; i < 300; i++) {
        fprintf(out, "condition c%d = ", i);
        for (int k = 0; k < 120; k++)
            fputs("not (a or ", out);
        fputs("b", out);
        for (int k = 0; k < 120; k++)
            fputs(")", out);
        fputs(";\n", out);
    }
    fclose(out);
    check_form("deep", deep);
    free(deep.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair),         cmocka_unit_test(each_policy_of_the_repository),
        cmocka_unit_test(random_policies),   cmocka_unit_test(parentheses),
        cmocka_unit_test(which_parentheses), cmocka_unit_test(errors_and_deep_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
