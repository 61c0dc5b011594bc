/* The front half where scripts do not reach: places and widths, the collector, single tokens, memory, and hostile text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/ast.h"
#include "engine/diag.h"
#include "engine/load.h"
#include "engine/parse.h"
#include "grammar/lexer.h"
#include "grammar/policy.h"

/* ---- Helpers ---- */

struct parsed {
    struct pv_arena *arena;
    struct pv_program *program;
};

static struct parsed parse(const char *text, size_t len)
{
    struct parsed p = {.arena = pv_arena_new(0)};
    assert_non_null(p.arena);
    assert_int_equal(pv_load_text(p.arena, "t.policy", text, len, NULL, &p.program), 0);
    pv_diags_finish(&p.program->diags);
    return p;
}

static void done(struct parsed *p)
{
    pv_arena_free(p->arena);
    p->arena = NULL;
}

/* Parses and expects exactly one diagnostic, with this code, at these bytes. */
static void one_error(const char *text, size_t len, enum pv_diag_code code, uint32_t start, uint32_t end)
{
    struct parsed p = parse(text, len);
    assert_int_equal(p.program->diags.n, 1);
    assert_int_equal(p.program->diags.list[0]->code, code);
    assert_int_equal(p.program->diags.list[0]->span.start, start);
    assert_int_equal(p.program->diags.list[0]->span.end, end);
    done(&p);
}

static char *repeat(const char *before, const char *text, size_t n, const char *after, size_t *len)
{
    size_t a = strlen(before), b = strlen(text), c = strlen(after);
    char *out = malloc(a + b * n + c + 1);
    assert_non_null(out);
    memcpy(out, before, a);
    for (size_t i = 0; i < n; i++)
        memcpy(out + a + b * i, text, b);
    memcpy(out + a + b * n, after, c + 1);
    *len = a + b * n + c;
    return out;
}

static char *read_file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *len = fread(text, 1, 1 << 20, in);
    fclose(in);
    return text;
}

/* ---- Arena ---- */

static void test_arena_interns(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_text first = pv_intern(arena, "git", 3);
    char name[32];
    for (int i = 0; i < 20000; i++) {
        int len = snprintf(name, sizeof name, "package-%d", i);
        struct pv_text a = pv_intern(arena, name, (size_t)len), b = pv_intern_z(arena, name);
        assert_ptr_equal(a.ptr, b.ptr);
        assert_string_equal(a.ptr, name);
        assert_int_equal(a.len, len);
    }
    assert_ptr_equal(pv_intern(arena, "gitx", 3).ptr, first.ptr);
    assert_ptr_not_equal(pv_intern(arena, "gi", 2).ptr, first.ptr);
    assert_non_null(pv_intern(arena, "", 0).ptr);
    pv_arena_free(arena);
}

static void test_arena_alignment_and_zero(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    for (size_t size = 0; size < 300000; size = size * 2 + 1) {
        unsigned char *p = pv_arena_alloc(arena, size);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
    }
    size_t capacity = 0;
    int *list = NULL;
    for (int i = 0; i < 1000; i++) {
        list = pv_arena_grow(arena, list, (size_t)i, &capacity, (size_t)i + 1, sizeof *list);
        list[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    char *text = pv_arena_printf(arena, "%0500d", 7);
    assert_int_equal(strlen(text), 500);
    pv_arena_free(arena);
    pv_arena_free(NULL);
}

static void test_arena_limit(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(200000);
    assert_null(pv_arena_alloc(arena, SIZE_MAX));
    assert_null(pv_arena_array(arena, SIZE_MAX / 2, 3));
    assert_null(pv_arena_alloc(arena, 200001));
    assert_non_null(pv_arena_alloc(arena, 1000));
    pv_arena_free(arena);
}

/* Loading under every small limit either works or says PV_E_NOMEM, and an outer guard is reached. */
static void test_out_of_memory(void **state)
{
    (void)state;
    size_t len;
    char *text = read_file("tests/grammar/valid/workstations.policy", &len);
    int refused = 0, worked = 0;
    for (size_t limit = 1000; limit < 400000; limit += 1777) {
        struct pv_arena *arena = pv_arena_new(limit);
        struct pv_program *program;
        int rc = pv_load_text(arena, "t.policy", text, len, NULL, &program);
        assert_true(rc == 0 || (rc == PV_E_NOMEM && !program));
        assert_true(rc != 0 || pv_diags_errors(&program->diags) == 0);
        refused += rc != 0;
        worked += rc == 0;

        jmp_buf guard;
        volatile int jumped = 0;
        if (setjmp(guard)) {
            jumped = 1;
        } else {
            pv_arena_guard(arena, &guard);
            pv_arena_alloc(arena, limit + 1);
        }
        assert_int_equal(jumped, 1);
        pv_arena_free(arena);
    }
    assert_true(refused > 10 && worked > 10);
    free(text);
}

/* ---- Text ---- */

static void test_utf8(void **state)
{
    (void)state;
    static const uint32_t points[] = {1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    char bytes[4];
    uint32_t c;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        size_t len = pv_utf8_encode(points[i], bytes);
        assert_int_equal(pv_utf8_decode(bytes, len, &c), len);
        assert_int_equal(c, points[i]);
        assert_int_equal(pv_utf8_check(bytes, len), len);
        for (size_t cut = 1; cut < len; cut++)
            assert_int_equal(pv_utf8_decode(bytes, cut, &c), 0);
    }
    assert_int_equal(pv_utf8_encode(0xd800, bytes), 0);
    assert_int_equal(pv_utf8_encode(0x110000, bytes), 0);
    static const char *const bad[] = {"a\x80",
                                      "a\xc0\x80",
                                      "a\xc1\xbf",
                                      "a\xe0\x9f\xbf",
                                      "a\xed\xa0\x80",
                                      "a\xf0\x8f\xbf\xbf",
                                      "a\xf4\x90\x80\x80",
                                      "a\xf5\x80\x80\x80",
                                      "a\xff",
                                      "a\xc3("};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pv_utf8_check(bad[i], strlen(bad[i])), 1);
    assert_int_equal(pv_utf8_check("ab\0c", 4), 2);
    assert_int_equal(pv_utf8_width('a'), 1);
    assert_int_equal(pv_utf8_width(0xe9), 1);
    assert_int_equal(pv_utf8_width(0x301), 0);
    assert_int_equal(pv_utf8_width(0x200b), 0);
    assert_int_equal(pv_utf8_width(0x4e00), 2);
    assert_int_equal(pv_utf8_width(0x9fff), 2);
    assert_int_equal(pv_utf8_width(0xac00), 2);
    assert_int_equal(pv_utf8_width(0x1f600), 2);
    assert_int_equal(pv_utf8_width(0xff21), 2);
}

static void test_places(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    uint32_t file, at, len;
    pv_sources_init(&sources, arena);
    assert_int_equal(pv_sources_add_text(&sources, "t", "a\r\n\xc3\xa9z\n\nlast", 12, &file, &at), 0);
    struct pv_place place = pv_sources_place(&sources, file, 5);
    assert_int_equal(place.line, 2);
    assert_int_equal(place.column, 2);
    place = pv_sources_place(&sources, file, 99);
    assert_int_equal(place.line, 4);
    assert_int_equal(place.column, 5);
    assert_memory_equal(pv_sources_line(&sources, file, 1, &len), "a", 1);
    assert_int_equal(len, 1);
    pv_sources_line(&sources, file, 3, &len);
    assert_int_equal(len, 0);
    assert_memory_equal(pv_sources_line(&sources, file, 4, &len), "last", 4);
    assert_int_equal(len, 4);
    pv_sources_line(&sources, file, 5, &len);
    assert_int_equal(len, 0);
    assert_int_equal(pv_sources_place(&sources, PV_NO_FILE, 0).line, 0);

    assert_int_equal(pv_sources_add_text(&sources, "bad", "ab\0c", 4, &file, &at), PV_E_SYNTAX);
    assert_int_equal(at, 2);
    assert_non_null(pv_sources_file(&sources, file));
    sources.limit = 10;
    assert_int_equal(pv_sources_add_text(&sources, "long", "12345678901", 11, &file, &at), PV_E_LIMIT);
    assert_int_equal(file, PV_NO_FILE);
    pv_arena_free(arena);
}

/* ---- Diagnostics ---- */

static char *printed(struct pv_diags *diags, uint32_t max)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    pv_diags_print(diags, out, false, max);
    fclose(out);
    return text;
}

static void test_diag_text(void **state)
{
    (void)state;
    static const char source[] = "\t\"\xe4\xb8\xad\" e\xcc\x81 bad here\nnext";
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    struct pv_diags diags;
    uint32_t file, at;
    pv_sources_init(&sources, arena);
    assert_int_equal(pv_sources_add_text(&sources, "dir/t.policy", source, sizeof source - 1, &file, &at), 0);
    pv_diags_init(&diags, arena, &sources);
    uint32_t bad = (uint32_t)(strstr(source, "bad") - source);

    /* Reported backwards and twice; shown once, in order. */
    struct pv_diag *diag =
        pv_report(&diags, PV_DIAG_RESERVED_WORD, (struct pv_span){file, bad, bad + 3}, "a\x1b[31m%s", "b");
    pv_diag_related(&diags, diag, (struct pv_span){file, 1, 6}, "declared here");
    pv_diag_hint(&diags, diag, "another");
    pv_report(&diags, PV_DIAG_SYNTAX, (struct pv_span){file, 0, 1}, "first");
    pv_report(&diags, PV_DIAG_SYNTAX, (struct pv_span){file, 0, 1}, "first");
    pv_report(&diags, PV_DIAG_CANNOT_READ, PV_NO_SPAN, "nowhere");
    assert_int_equal(pv_diags_errors(&diags), 4);
    char *text = printed(&diags, 0);
    assert_string_equal(text, "dir/t.policy:1:1: error[PV0001]: first\n"
                              " |         \"\xe4\xb8\xad\" e\xcc\x81 bad here\n"
                              " | ^~~~~~~~\n"
                              "dir/t.policy:1:9: error[PV0003]: a\\x1b[31mb\n"
                              " |         \"\xe4\xb8\xad\" e\xcc\x81 bad here\n"
                              " |                ^~~\n"
                              "  dir/t.policy:1:2: note: declared here\n"
                              "  hint: another\n"
                              "error[PV0600]: nowhere\n");
    free(text);
    assert_int_equal(pv_diags_errors(&diags), 3);
    text = printed(&diags, 1);
    assert_non_null(strstr(text, "... and 2 more\n"));
    free(text);
    pv_arena_free(arena);
}

static void test_diag_long_lines(void **state)
{
    (void)state;
    size_t len;
    char *text = repeat("", "\xc3\xa9 ", 1000, "bad", &len);
    struct parsed p = parse(text, len);
    free(text);
    struct pv_diags *diags = &p.program->diags;
    diags->n = 0;
    pv_report(diags, PV_DIAG_SYNTAX, (struct pv_span){0, 3000, 3003}, "far");
    pv_report(diags, PV_DIAG_SYNTAX, (struct pv_span){0, 1500, 3003}, "wide");
    char *out = printed(diags, 0);
    for (const char *line = out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") < 400);
    assert_non_null(strstr(out, "bad\n"));
    free(out);
    done(&p);
}

static void test_diag_cap(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_diags diags;
    struct pv_sources sources;
    pv_sources_init(&sources, arena);
    pv_diags_init(&diags, arena, &sources);
    diags.max_kept = 5;
    for (uint32_t i = 0; i < 50; i++) {
        struct pv_diag *diag = pv_report(&diags, PV_DIAG_SYNTAX, (struct pv_span){0, i, i}, "%u", i);
        pv_diag_hint(&diags, diag, "h");
        pv_diag_related(&diags, diag, PV_NO_SPAN, "r");
        pv_diag_fix(&diags, diag, PV_NO_SPAN, "f");
    }
    assert_int_equal(diags.n, 5);
    assert_int_equal(pv_diags_errors(&diags), 50);
    char *text = printed(&diags, 3);
    assert_non_null(strstr(text, "... and 47 more\n"));
    free(text);
    pv_arena_free(arena);
}

static void test_diag_codes(void **state)
{
    (void)state;
    unsigned last = 0;
    for (int i = 0; i < PV_N_DIAG_CODES; i++) {
        const struct pv_diag_info *info = pv_diag_info((enum pv_diag_code)i);
        char code[8];
        snprintf(code, sizeof code, "PV%04u", info->number);
        assert_string_equal(info->code, code);
        assert_int_equal(pv_diag_from_code(code), i);
        assert_true(info->number > 0 && info->number < 10000);
        assert_true(strlen(info->title) > 0 && strlen(info->summary) > 0);
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(pv_diag_info((enum pv_diag_code)j)->number, info->number);
            assert_string_not_equal(pv_diag_info((enum pv_diag_code)j)->title, info->title);
        }
        last = info->number;
    }
    assert_true(last > 0);
    assert_int_equal(pv_diag_from_code("pv0001"), PV_DIAG_SYNTAX);
    assert_int_equal(pv_diag_from_code("PV9999"), -1);
    assert_int_equal(pv_diag_from_code("PV001"), -1);
    assert_int_equal(pv_diag_from_code("XX0001"), -1);
}

static const char *nearest_of(const char *name)
{
    static const char *const names[] = {"admin", "netops", "developers", "dev", "a"};
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, name, strlen(name));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        pv_nearest_offer(&nearest, names[i], strlen(names[i]));
    return nearest.best;
}

static void test_nearest(void **state)
{
    (void)state;
    assert_int_equal(pv_edit_distance("kitten", 6, "sitting", 7, 8), 3);
    assert_int_equal(pv_edit_distance("ab", 2, "ba", 2, 8), 1);
    assert_int_equal(pv_edit_distance("Allow", 5, "allow", 5, 8), 0);
    assert_int_equal(pv_edit_distance("abc", 3, "xyz", 3, 2), 3);
    assert_int_equal(pv_edit_distance("", 0, "abc", 3, 8), 3);
    assert_string_equal(nearest_of("amdin"), "admin");
    assert_string_equal(nearest_of("netopps"), "netops");
    assert_string_equal(nearest_of("devs"), "dev");
    assert_null(nearest_of("b"));
    assert_null(nearest_of("sniffers"));
    char longer[300];
    memset(longer, 'x', sizeof longer);
    assert_int_equal(pv_edit_distance(longer, 300, longer, 299, 8),
                     0); /* long names are compared by their first bytes */
}

/* ---- Lexer ---- */

static void kinds(const char *text, const unsigned *expected, size_t n)
{
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    struct pv_lexer lexer;
    uint32_t file, at;
    pv_sources_init(&sources, arena);
    assert_int_equal(pv_sources_add_text(&sources, "t", text, strlen(text), &file, &at), 0);
    pv_lexer_init(&lexer, &sources, file, NULL);
    lexer.comments = true;
    uint32_t end = 0;
    for (size_t i = 0; i < n; i++) {
        struct pv_token token = pv_lex(&lexer);
        assert_int_equal(token.kind, expected[i]);
        assert_true(token.span.start >= end && token.span.end > token.span.start);
        end = token.span.end;
    }
    assert_int_equal(pv_lex(&lexer).kind, PV_TOK_END);
    assert_int_equal(pv_lex(&lexer).kind, PV_TOK_END);
    pv_arena_free(arena);
}
#define KINDS(text, ...)                                                                                               \
    kinds(text, (const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void test_tokens(void **state)
{
    (void)state;
    KINDS("run-report a--b _x9", PV_TOK_IDENT, PV_TOK_IDENT, PV_TOK_IDENT);
    KINDS("mon..fri 22:00..04:00", PV_TOK_MON, PV_TOK_DOTDOT, PV_TOK_FRI, PV_TOK_CLOCK, PV_TOK_DOTDOT, PV_TOK_CLOCK);
    KINDS("2026-12-24..--01-02", PV_TOK_DATE, PV_TOK_DOTDOT, PV_TOK_YEARLY);
    KINDS("1..5 -5 a-1", PV_TOK_INT, PV_TOK_DOTDOT, PV_TOK_INT, PV_TOK_INT, PV_TOK_IDENT);
    KINDS("--no-block --12-24", PV_TOK_DASHED, PV_TOK_YEARLY);
    KINDS("10m 500MB 2GiB 2nd 5x", PV_TOK_DURATION, PV_TOK_SIZE, PV_TOK_SIZE, PV_TOK_ORDINAL, PV_TOK_DURATION);
    KINDS("a.b a..b a . b", PV_TOK_IDENT, PV_TOK_DOT, PV_TOK_IDENT, PV_TOK_IDENT, PV_TOK_DOTDOT, PV_TOK_IDENT,
          PV_TOK_IDENT, PV_TOK_DOT, PV_TOK_IDENT);
    KINDS("== != <= >= < > =", PV_TOK_EQ, PV_TOK_NE, PV_TOK_LE, PV_TOK_GE, PV_TOK_LT, PV_TOK_GT, PV_TOK_ASSIGN);
    KINDS("\"a # b\" # \"c\n# d", PV_TOK_STRING, PV_TOK_COMMENT, PV_TOK_COMMENT);
    KINDS("allowed allow_ Allow allow", PV_TOK_IDENT, PV_TOK_IDENT, PV_TOK_IDENT, PV_TOK_ALLOW);
    /* Any word at all after `.`, `@`, `argument` that starts a property, and `--`. */
    KINDS("option.in @deny", PV_TOK_OPTION, PV_TOK_DOT, PV_TOK_IDENT, PV_TOK_AT, PV_TOK_IDENT);
    KINDS("{ argument from : argument to", PV_TOK_LBRACE, PV_TOK_ARGUMENT, PV_TOK_IDENT, PV_TOK_COLON, PV_TOK_ARGUMENT,
          PV_TOK_TO);
    KINDS("--allow", PV_TOK_DASHED);
}

static void test_token_spans(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_sources sources;
    struct pv_lexer lexer;
    uint32_t file, at;
    pv_sources_init(&sources, arena);
    pv_sources_add_text(&sources, "t", "# c\r\n  a b", 10, &file, &at);
    pv_lexer_init(&lexer, &sources, file, NULL);
    lexer.comments = true;
    struct pv_token comment = pv_lex(&lexer), a = pv_lex(&lexer), b = pv_lex(&lexer);
    assert_int_equal(comment.span.end, 3);
    assert_true(comment.starts_line && a.starts_line && !b.starts_line);
    assert_int_equal(a.span.start, 7);
    pv_arena_free(arena);
}

/* Errors whose place matters and that a comment in a script cannot mark. */
static void test_error_places(void **state)
{
    (void)state;
    one_error("role a = everyone", 17, PV_DIAG_MISSING_SEMICOLON, 17, 17);
    one_error("role a = everyone\n\n", 19, PV_DIAG_MISSING_SEMICOLON, 17, 17);
    one_error("role a = everyone;\0role b = c;", 29, PV_DIAG_BAD_ENCODING, 18, 19);
    one_error("role a = \xc3(;", 12, PV_DIAG_BAD_ENCODING, 9, 10);
    one_error("role a = everyone; # \xe2\x80\xae hidden\n", 31, PV_DIAG_BAD_CHARACTER, 21, 24);
    one_error("set a = { \"\xe2\x81\xa6\" };", 18, PV_DIAG_BAD_CHARACTER, 11, 14);
    one_error("set a = { \"\x01\" };", 16, PV_DIAG_BAD_CHARACTER, 11, 12);
    one_error("\"", 1, PV_DIAG_UNTERMINATED_STRING, 0, 1);
    one_error("policy", 6, PV_DIAG_SYNTAX, 6, 6);
    one_error("source a {", 10, PV_DIAG_MISSING_BRACE, 10, 10);
    one_error("/*", 2, PV_DIAG_FOREIGN_COMMENT, 0, 2);
    one_error("\\", 1, PV_DIAG_BAD_CHARACTER, 0, 1);
    one_error("role a = everyone; \x0b", 20, PV_DIAG_BAD_CHARACTER, 19, 20);
}

/* ---- Spans of the tree ---- */

static void span_is(const struct pv_program *program, struct pv_span span, const char *text)
{
    uint32_t len;
    const char *slice = pv_sources_slice(&program->sources, span, &len);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(slice, text, len);
}

static void test_spans(void **state)
{
    (void)state;
    static const char text[] =
        "@id(\"r\") allow (a or b) to x, y like \"z*\" except { \"q\" } with dependencies from s\n"
        "  when not (m.n == 5) and k unless has p.q during w or v until 2026-01-02 because \"t\";\n"
        "require approval by a or b for everyone to any;\n"
        "window w = mon 10:00..11:00, 12:00..13:00 or v except u zone \"Z\";\n";
    struct parsed p = parse(text, sizeof text - 1);
    const struct pv_program *program = p.program;
    assert_int_equal(program->diags.n, 0);
    const struct pv_ast_decl *decl = program->main->first;
    const struct pv_ast_rule *rule = decl->rule;
    const struct pv_ast_scope *scope = &rule->scope;
    span_is(program, rule->keyword, "allow");
    span_is(program, rule->annotations->span, "@id(\"r\")");
    span_is(program, scope->subject->span, "(a or b)");
    span_is(program, scope->subject->last->span, "b");
    span_is(program, scope->commands_span, "x, y");
    span_is(program, scope->object_span, "like \"z*\" except { \"q\" } with dependencies");
    span_is(program, scope->object->span, "like \"z*\"");
    span_is(program, scope->except->span, "{ \"q\" }");
    span_is(program, scope->with_dependencies, "with dependencies");
    span_is(program, scope->from_span, "from s");
    const struct pv_ast_clause *clause = scope->first_clause;
    span_is(program, clause->span, "when not (m.n == 5) and k");
    span_is(program, clause->expr->span, "not (m.n == 5) and k");
    span_is(program, clause->expr->op, "and");
    span_is(program, clause->expr->first->first->span, "(m.n == 5)");
    clause = clause->next;
    span_is(program, clause->keyword, "unless");
    span_is(program, clause->expr->span, "has p.q");
    clause = clause->next;
    span_is(program, clause->span, "during w or v");
    span_is(program, clause->next->date_span, "2026-01-02");
    span_is(program, clause->next->next->span, "because \"t\"");
    assert_int_equal(decl->span.start, 0);
    assert_int_equal(text[decl->span.end - 1], ';');
    assert_int_equal(scope->n_clauses, 5);
    decl = decl->next;
    span_is(program, decl->rule->duty->span, "approval by a or b");
    span_is(program, decl->span, "require approval by a or b for everyone to any;");
    decl = decl->next;
    span_is(program, decl->window->alternatives->span, "mon 10:00..11:00, 12:00..13:00");
    span_is(program, decl->window->except_span, "except u");
    span_is(program, decl->window->zone_span, "zone \"Z\"");
    done(&p);
}

/* ---- Hostile text ---- */

static void test_empty(void **state)
{
    (void)state;
    struct parsed p = parse("", 0);
    assert_int_equal(p.program->diags.n, 0);
    assert_int_equal(p.program->main->n_decls, 0);
    assert_null(p.program->root);
    done(&p);
}

static unsigned expr_depth(const struct pv_ast_expr *expr)
{
    unsigned deepest = 0;
    for (const struct pv_ast_expr *operand = expr->first; operand; operand = operand->next) {
        unsigned depth = expr_depth(operand);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* `before` and `after` nested n deep round x. */
static void nested(const char *open, const char *close, size_t n, bool fits)
{
    size_t a, b;
    char *left = repeat("condition c = ", open, n, "x", &a), *right = repeat("", close, n, ";\nrole r = 5;\n", &b);
    char *text = malloc(a + b);
    assert_non_null(text);
    memcpy(text, left, a);
    memcpy(text + a, right, b);
    struct parsed p = parse(text, a + b);
    /* The role's error behind it is told as well: what is too deep ends with its statement. */
    assert_int_equal(p.program->diags.n, fits ? 1 : 2);
    assert_int_equal(p.program->diags.list[p.program->diags.n - 1]->code, PV_DIAG_SYNTAX);
    if (fits)
        assert_true(expr_depth(p.program->main->first->condition->expr) <= PV_AST_MAX_DEPTH);
    else
        assert_int_equal(p.program->diags.list[0]->code, PV_DIAG_TOO_DEEP);
    done(&p);
    free(text);
    free(left);
    free(right);
}

static void test_nesting(void **state)
{
    (void)state;
    nested("(", ")", 256, true);
    nested("(", ")", 257, false);
    nested("(", ")", 100000, false);
    nested("not ", "", 256, true);
    nested("not ", "", 257, false);
    nested("not ", "", 100000, false);
    nested("a or b and (", ")", 256, true);
    nested("a or b and not (", ")", 128, true);
    nested("a or b and not (", ")", 129, false);
    nested("a or b and not (", ")", 100000, false);
    nested("not x or ", "", 1000, true); /* side by side is not nested */
    nested("(not x) or ", "", 1000, true);

    static const char *const subjects[] = {"role r = ", "sources s = ", "direct ", "allow everyone to any from "};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        size_t len;
        char *text = repeat(subjects[i], "((not a or b and ", 100000, ";", &len);
        struct parsed p = parse(text, len);
        assert_int_equal(p.program->diags.n, 1);
        assert_int_equal(p.program->diags.list[0]->code, PV_DIAG_TOO_DEEP);
        done(&p);
        free(text);
    }
}

static void test_wide(void **state)
{
    (void)state;
    size_t len;
    char *text = repeat("condition c = x", " or x", 200000, ";", &len);
    struct parsed p = parse(text, len);
    assert_int_equal(p.program->diags.n, 0);
    assert_int_equal(p.program->main->first->condition->expr->n, 200001);
    assert_int_equal(expr_depth(p.program->main->first->condition->expr), 2);
    done(&p);
    free(text);
}

/* About 10 MB of this, over and over: read to its end, with errors or without. */
static void big(const char *unit, bool good)
{
    size_t len;
    char *text = repeat("", unit, (10u << 20) / strlen(unit), "", &len);
    struct parsed p = parse(text, len);
    assert_int_equal(pv_diags_errors(&p.program->diags) == 0, good);
    char *out = printed(&p.program->diags, 0);
    assert_true(strlen(out) < 200000);
    free(out);
    done(&p);
    free(text);
}

static void test_big(void **state)
{
    (void)state;
    big("@id(\"x\") allow user \"alice\" to install { \"git\", like \"vim*\" } from internal when a.b < 5MB;\n", true);
    big("# a comment\n", true);
    big("\n", true);
    big("allow ", false);
    big("\"", false);
    big("a", false);
    big("(", false);
    big("{", false);
    big("}", false);
    big("; ", false);
    big("\\", false);
    big("\xc2\xa3", false);
    big("set s = { \"a\" ", false);
    big("source s {\n", false);
}

static void test_limits(void **state)
{
    (void)state;
    size_t len;
    char *text = repeat("role ", "a", 256, " = everyone;", &len);
    one_error(text, len, PV_DIAG_TOO_LONG, 5, 261);
    text[5] = ' ';
    struct parsed p = parse(text, len);
    assert_int_equal(p.program->diags.n, 0);
    done(&p);
    free(text);
    text = repeat("set s = { \"", "a", 65536, "\" };", &len);
    one_error(text, len, PV_DIAG_TOO_LONG, 10, 10 + 65538);
    free(text);

    struct pv_arena *arena = pv_arena_new(0);
    struct pv_load_options options = {.limit = 16};
    struct pv_program *program;
    assert_int_equal(pv_load_text(arena, "t", "role a = everyone;", 18, &options, &program), 0);
    assert_int_equal(program->diags.n, 1);
    assert_int_equal(program->diags.list[0]->code, PV_DIAG_TOO_LONG);
    assert_null(program->main);
    assert_int_equal(pv_load_program(arena, "tests/grammar/valid/workstations.policy", &options, &program), 0);
    assert_int_equal(program->diags.list[0]->code, PV_DIAG_TOO_LONG);
    assert_int_equal(pv_load_program(arena, "tests/grammar", NULL, &program), 0);
    assert_int_equal(program->diags.list[0]->code, PV_DIAG_CANNOT_READ);
    assert_int_equal(pv_load_program(arena, "/dev/null", NULL, &program), 0);
    assert_int_equal(program->diags.list[0]->code, PV_DIAG_CANNOT_READ);
    pv_arena_free(arena);
}

static const char *const scripts[] = {
    "tests/grammar/valid/workstations.policy", "tests/grammar/valid/rules.policy",
    "tests/grammar/valid/commands.policy",     "tests/grammar/valid/tests.policy",
    "tests/grammar/valid/windows.policy",      "tests/grammar/valid/expressions.policy",
    "tests/grammar/errors/statements.policy",  "tests/grammar/errors/strings.policy",
    "tests/grammar/errors/blocks.policy",
};

/* Every beginning of a policy: no crash, no reading past the end (the copy is exact, for the sanitizer), and no error
 * only where a statement has just ended. */
static void test_truncations(void **state)
{
    (void)state;
    size_t len;
    char *text = read_file(scripts[0], &len);
    for (size_t cut = 0; cut <= len; cut++) {
        char *copy = malloc(cut ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, text, cut);
        struct parsed p = parse(copy, cut);
        size_t last = cut;
        while (last > 0 && (text[last - 1] == ' ' || text[last - 1] == '\n'))
            last--;
        if (pv_diags_errors(&p.program->diags) == 0 && p.program->main->last) {
            uint32_t end = p.program->main->last->span.end;
            assert_true(text[end - 1] == ';' || text[end - 1] == '}');
            bool comment = false;
            for (size_t i = end; i < last; i++) {
                comment = text[i] == '#' || (comment && text[i] != '\n');
                assert_true(comment || text[i] == ' ' || text[i] == '\n');
            }
        }
        done(&p);
        free(copy);
    }
    free(text);
}

/* Bytes changed, dropped and doubled at random, from a fixed seed: no crash, and what is refused says so. */
static void test_mutations(void **state)
{
    (void)state;
    static const char bytes[] = "\"\\{}();,@.#=<>&|!-* \n\t0aA9\x80\xff\xe2";
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (size_t script = 0; script < sizeof scripts / sizeof *scripts; script++) {
        size_t len;
        char *text = read_file(scripts[script], &len);
        for (int round = 0; round < 400; round++) {
            char *copy = malloc(2 * len);
            assert_non_null(copy);
            memcpy(copy, text, len);
            size_t n = len;
            for (int change = 0; change < 1 + round % 4; change++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                size_t at = (size_t)(seed >> 33) % n;
                size_t other = (size_t)(seed >> 13) % n;
                switch (seed >> 61) {
                case 0: memmove(copy + at, copy + at + 1, n - at - 1), n--; break;
                case 1:
                    memcpy(copy + at, text + other % len,
                           n - at < len - other % len ? (n - at) % 20 : (len - other % len) % 20);
                    break;
                default: copy[at] = bytes[(seed >> 20) % (sizeof bytes - 1)]; break;
                }
            }
            struct parsed p = parse(copy, n);
            if (p.program->main && pv_diags_errors(&p.program->diags) == 0) {
                char *out = NULL;
                size_t size = 0;
                FILE *tree = open_memstream(&out, &size);
                assert_non_null(tree);
                pv_ast_print(p.program->main, tree);
                fclose(tree);
                free(out);
            }
            char *out = printed(&p.program->diags, 0);
            assert_true((strlen(out) == 0) == (p.program->diags.n == 0));
            free(out);
            done(&p);
            free(copy);
        }
        free(text);
    }
}

/* ---- Loading ---- */

static void test_load_order(void **state)
{
    (void)state;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_program *program;
    assert_int_equal(pv_load_program(arena, "tests/grammar/imports/diamond.policy", NULL, &program), 0);
    assert_int_equal(pv_diags_errors(&program->diags), 0);
    static const char *const files[] = {"parts/base.policy", "parts/left.policy", "parts/right.policy",
                                        "diamond_self.policy", "diamond.policy"};
    assert_int_equal(program->n_files, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(pv_sources_file(&program->sources, program->files[i]->file)->path, files[i]);
    static const char *const roles[] = {"before", "base", "left", "right", "self"};
    size_t n = 0;
    for (uint32_t i = 0; i < program->n_decls; i++) {
        if (program->decls[i]->kind == PV_AST_DECL_ROLE)
            assert_string_equal(program->decls[i]->name.text.ptr, roles[n++]);
    }
    assert_int_equal(n, 5);
    assert_ptr_equal(program->main, program->files[4]);
    assert_ptr_equal(pv_program_file(program, program->main->file), program->main);
    assert_null(program->root);

    assert_int_equal(pv_load_program(arena, "tests/grammar/imports/root_test.policy", NULL, &program), 0);
    assert_int_equal(pv_diags_errors(&program->diags), 0);
    assert_string_equal(program->root->policy->name.text.ptr, "root");
    assert_ptr_not_equal(program->root, program->main);

    static const char *const library[] = {"tests/grammar/imports/none", "tests/grammar/imports/library"};
    struct pv_load_options options = {.library = library, .n_library = 2};
    assert_int_equal(pv_load_program(arena, "tests/grammar/imports/library.policy", &options, &program), 0);
    const struct pv_source_file *near = pv_sources_file(&program->sources, program->files[0]->file);
    assert_string_equal(near->path, "std/near.policy");
    assert_true(near->library);
    assert_false(pv_sources_file(&program->sources, program->main->file)->library);
    pv_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_interns), cmocka_unit_test(test_arena_alignment_and_zero),
        cmocka_unit_test(test_arena_limit),   cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_utf8),          cmocka_unit_test(test_places),
        cmocka_unit_test(test_diag_text),     cmocka_unit_test(test_diag_long_lines),
        cmocka_unit_test(test_diag_cap),      cmocka_unit_test(test_diag_codes),
        cmocka_unit_test(test_nearest),       cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_spans),   cmocka_unit_test(test_error_places),
        cmocka_unit_test(test_spans),         cmocka_unit_test(test_empty),
        cmocka_unit_test(test_nesting),       cmocka_unit_test(test_wide),
        cmocka_unit_test(test_big),           cmocka_unit_test(test_limits),
        cmocka_unit_test(test_truncations),   cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_load_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
