/* The lexer of .policy files (re2c). Every rule is one line: pattern, then the kind of token.
 *
 * The text has an explicit length and the end is found by the end-of-input rule, so a NUL byte is a stray character and
 * never the end of a policy. Whatever is wrong with one token is reported here and the token still given (or skipped,
 * where it is none), so that the parser goes on behind it. */
#include "grammar/lexer.h"

#include <string.h>

#include "engine/diag.h"
#include "grammar/policy.h"

void pv_lexer_init(struct pv_lexer *lexer, const struct pv_sources *sources, uint32_t file, struct pv_diags *diags)
{
    const struct pv_source_file *source = pv_sources_file(sources, file);
    const unsigned char *text = (const unsigned char *)source->text;
    bool mark = source->len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    *lexer = (struct pv_lexer){.text = text,
                               .cursor = text + (mark ? 3 : 0),
                               .limit = text + source->len,
                               .line = text,
                               .file = file,
                               .line_start = true,
                               .diags = diags};
}

static struct pv_span span_of(const struct pv_lexer *lexer, const unsigned char *start, const unsigned char *end)
{
    return (struct pv_span){lexer->file, (uint32_t)(start - lexer->text), (uint32_t)(end - lexer->text)};
}

#define REPORT(lexer, code, start, end, ...)                                                                           \
    ((lexer)->diags ? pv_report((lexer)->diags, PV_DIAG_##code, span_of(lexer, start, end), __VA_ARGS__) : NULL)
#define HINT(lexer, diag, ...)                                                                                         \
    do {                                                                                                               \
        if (diag)                                                                                                      \
            pv_diag_hint((lexer)->diags, diag, __VA_ARGS__);                                                           \
    } while (0)
#define FIX(lexer, diag, start, end, ...)                                                                              \
    do {                                                                                                               \
        if (diag)                                                                                                      \
            pv_diag_fix((lexer)->diags, diag, span_of(lexer, start, end), __VA_ARGS__);                                \
    } while (0)

/* Ends a token. Any word at all may stand after `.`, `@` and `argument` (where that word starts a property). */
static struct pv_token finish(struct pv_lexer *lexer, unsigned kind, bool word, bool broken, const unsigned char *start,
                              const unsigned char *end)
{
    bool free_word = lexer->last == PV_TOK_DOT || lexer->last == PV_TOK_AT ||
                     (lexer->last == PV_TOK_ARGUMENT &&
                      (lexer->previous == PV_TOK_SEMI || lexer->previous == PV_TOK_LBRACE));
    if (word && free_word)
        kind = PV_TOK_IDENT;
    lexer->stray = lexer->stray && kind != PV_TOK_SEMI;
    struct pv_token token = {.kind = (uint16_t)kind,
                             .broken = broken || lexer->stray,
                             .starts_line = lexer->line_start,
                             .column = (uint32_t)(start - lexer->line),
                             .span = span_of(lexer, start, end)};
    lexer->cursor = end;
    lexer->line_start = false;
    if (kind != PV_TOK_COMMENT) {
        lexer->previous = lexer->last;
        lexer->last = token.kind;
    }
    return token;
}

static void next_line(struct pv_lexer *lexer, const unsigned char *start)
{
    lexer->cursor = lexer->line = start;
    lexer->line_start = true;
    lexer->stray = false;
}

/* ---- Tokens that need a closer look ---- */

/* The end of the line, or of the text. */
static const unsigned char *line_end(const struct pv_lexer *lexer, const unsigned char *p)
{
    const unsigned char *end = memchr(p, '\n', (size_t)(lexer->limit - p));
    return end ? end : lexer->limit;
}

/* The end of a string that does not end on its line: the line's end, but for a `;` there, which was meant to end the
 * statement. `inside` is behind the opening quote. */
static const unsigned char *likely_end(const struct pv_lexer *lexer, const unsigned char *inside)
{
    const unsigned char *end = line_end(lexer, inside);
    while (end > inside && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return end > inside && end[-1] == ';' ? end - 1 : end;
}

static struct pv_token unterminated(struct pv_lexer *lexer, const unsigned char *start)
{
    const unsigned char *end = likely_end(lexer, start + 1);
    struct pv_diag *diag = REPORT(lexer, UNTERMINATED_STRING, start, end, "this string does not end on its line");
    HINT(lexer, diag, "close it with `\"`; a line break inside a string is written `\\n`");
    return finish(lexer, PV_TOK_STRING, false, true, start, end);
}

/* Text in typographic or single quotes: reported, and taken as the string that was meant. */
static struct pv_token other_quotes(struct pv_lexer *lexer, const unsigned char *start, const unsigned char *inside)
{
    static const char closing[][4] = {"\"", "'", "\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x98", "\xe2\x80\x99",
                                      "\xc2\xbb", "\xc2\xab"};
    const unsigned char *limit = line_end(lexer, start), *end = NULL;
    for (const unsigned char *p = inside; p < limit && !end; p++) {
        for (size_t i = 0; i < sizeof closing / sizeof *closing; i++) {
            size_t len = strlen(closing[i]);
            if ((size_t)(limit - p) >= len && memcmp(p, closing[i], len) == 0)
                end = p + len;
        }
    }
    if (!end) {
        REPORT(lexer, BAD_QUOTE, start, inside, "strings stand in straight double quotes: \"...\"");
        return finish(lexer, PV_TOK_STRING, false, true, start, likely_end(lexer, inside));
    }
    const unsigned char *close = end - 1;
    while (close > inside && (*close & 0xc0) == 0x80)
        close--;
    struct pv_diag *diag = REPORT(lexer, BAD_QUOTE, start, end, "strings stand in straight double quotes: \"...\"");
    FIX(lexer, diag, start, end, "\"%.*s\"", (int)(close - inside), (const char *)inside);
    if (diag)
        diag->certain = true;
    return finish(lexer, PV_TOK_STRING, false, true, start, end);
}

/* A number with letters behind it: a duration, a size or an ordinal by its unit. */
static struct pv_token quantity(struct pv_lexer *lexer, const unsigned char *start, const unsigned char *end)
{
    static const struct {
        const char *unit;
        uint16_t kind;
    } units[] = {
        {"s", PV_TOK_DURATION}, {"m", PV_TOK_DURATION}, {"h", PV_TOK_DURATION}, {"d", PV_TOK_DURATION},
        {"KB", PV_TOK_SIZE},    {"MB", PV_TOK_SIZE},    {"GB", PV_TOK_SIZE},    {"KiB", PV_TOK_SIZE},
        {"MiB", PV_TOK_SIZE},   {"GiB", PV_TOK_SIZE},   {"st", PV_TOK_ORDINAL}, {"nd", PV_TOK_ORDINAL},
        {"rd", PV_TOK_ORDINAL}, {"th", PV_TOK_ORDINAL},
    };
    const unsigned char *unit = start + (*start == '-');
    while (*unit >= '0' && *unit <= '9')
        unit++;
    size_t len = (size_t)(end - unit);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].unit) == len && memcmp(units[i].unit, unit, len) == 0)
            return finish(lexer, units[i].kind, false, false, start, end);
    }
    struct pv_diag *diag = REPORT(lexer, BAD_UNIT, unit, end, "`%.*s` is not a unit", (int)(len > 40 ? 40 : len),
                                  (const char *)unit);
    unsigned char last = (unsigned char)(end[-1] | 0x20), first = (unsigned char)(*unit | 0x20);
    bool size = last == 'b' || (len == 1 && (first == 'k' || first == 'g'));
    HINT(lexer, diag, size ? "sizes are KB, MB, GB (powers of 1000) and KiB, MiB, GiB (powers of 1024)"
                           : "durations are 30s, 10m, 2h or 7d");
    return finish(lexer, size ? PV_TOK_SIZE : PV_TOK_DURATION, false, true, start, end);
}

static void stray_character(struct pv_lexer *lexer, const unsigned char *start)
{
    uint32_t code_point;
    size_t len = pv_utf8_decode((const char *)start, (size_t)(lexer->limit - start), &code_point);
    struct pv_diags *diags = lexer->diags;
    if (lexer->stray)
        lexer->diags = NULL;
    if (!len) {
        REPORT(lexer, BAD_ENCODING, start, start + 1, "byte %zu of the file (0x%02x) is not UTF-8",
               (size_t)(start - lexer->text), (unsigned)*start);
        len = 1;
    } else if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa1) || pv_utf8_width(code_point) == 0) {
        REPORT(lexer, BAD_CHARACTER, start, start + len, "the character U+%04X has no place here",
               (unsigned)code_point);
    } else {
        struct pv_diag *diag = REPORT(lexer, BAD_CHARACTER, start, start + len, "`%.*s` (U+%04X) has no place here",
                                      (int)len, (const char *)start, (unsigned)code_point);
        if (*start == '/')
            HINT(lexer, diag, "paths and patterns stand in quotes");
        else if (*start == '-' && start[1] == '-')
            HINT(lexer, diag, "comments start with `#`");
        else if (*start == '%')
            HINT(lexer, diag, "a group is written `group \"name\"`");
    }
    lexer->diags = diags;
    lexer->stray = true;
    lexer->cursor = start + len;
}

static void foreign_comment(struct pv_lexer *lexer, const unsigned char *start)
{
    const unsigned char *end = line_end(lexer, start);
    if (start[1] == '*') {
        for (const unsigned char *p = start + 2; p + 1 < lexer->limit; p++) {
            if (p[0] == '*' && p[1] == '/') {
                end = p + 2;
                break;
            }
        }
    }
    REPORT(lexer, FOREIGN_COMMENT, start, start + 2, "comments start with `#` and end with the line");
    lexer->cursor = end;
    for (const unsigned char *p = start; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lexer->line = p + 1;
}

/* An operator of another language: reported, and given as the one that was meant. */
static struct pv_token foreign(struct pv_lexer *lexer, unsigned kind, const char *meant, const unsigned char *start,
                               const unsigned char *end)
{
    struct pv_diag *diag = REPORT(lexer, FOREIGN_OPERATOR, start, end, "`%.*s` is written `%s`", (int)(end - start),
                                  (const char *)start, meant);
    bool word = meant[0] >= 'a';
    FIX(lexer, diag, start, end, "%s%s%s", word && start > lexer->text && start[-1] > ' ' ? " " : "", meant,
        word && *end > ' ' ? " " : "");
    if (kind == PV_TOK_LIKE)
        HINT(lexer, diag, "there are no regular expressions: write `like` and a pattern, with `*` and `?`");
    else if (diag)
        diag->certain = true;
    return finish(lexer, kind, false, true, start, end);
}

static struct pv_token bad_number(struct pv_lexer *lexer, const unsigned char *start, const unsigned char *end)
{
    struct pv_diag *diag = REPORT(lexer, NUMBER_RANGE, start, end, "numbers are whole");
    if (lexer->last == PV_TOK_VERSION)
        HINT(lexer, diag, "a policy's version is one number that grows: 1, 2, 3");
    else
        HINT(lexer, diag, "a version is a string: \"%.*s\"", (int)(end - start), (const char *)start);
    return finish(lexer, PV_TOK_STRING, false, true, start, end);
}

static struct pv_token half_date(struct pv_lexer *lexer, const unsigned char *start, const unsigned char *end)
{
    struct pv_diag *diag = REPORT(lexer, BAD_DATE, start, end, "a date has a year, a month and a day");
    HINT(lexer, diag, "2026-12-31, or --12-31 for every year");
    return finish(lexer, PV_TOK_DATE, false, true, start, end);
}

/* ---- The rules ---- */

#define TOKEN(kind)         return finish(lexer, PV_TOK_##kind, false, false, start, cursor)
#define WORD(kind)          return finish(lexer, PV_TOK_##kind, true, false, start, cursor)
#define FOREIGN(kind, word) return foreign(lexer, PV_TOK_##kind, word, start, cursor)

struct pv_token pv_lex(struct pv_lexer *lexer)
{
    const unsigned char *cursor, *marker, *start;

    for (;;) {
        start = cursor = lexer->cursor;
        /*!re2c
        re2c:define:YYCTYPE  = "unsigned char";
        re2c:define:YYCURSOR = cursor;
        re2c:define:YYMARKER = marker;
        re2c:define:YYLIMIT  = lexer->limit;
        re2c:yyfill:enable   = 0;
        re2c:eof             = 0;

        digit  = [0-9];
        int    = digit+;
        word   = [A-Za-z_][A-Za-z0-9_-]*;
        escape = "\\" [^\n\r];
        smart  = "\xe2\x80" [\x98-\x9f] | "\xc2\xab" | "\xc2\xbb" | "\xe2\x80" [\xb9\xba];

        $                               { return finish(lexer, PV_TOK_END, false, false, start, start); }
        "\n"                            { next_line(lexer, cursor); continue; }
        [ \t\r]+                        { lexer->cursor = cursor; continue; }
        "#" [^\n]*                      {
                                            if (lexer->comments)
                                                return finish(lexer, PV_TOK_COMMENT, false, false, start,
                                                              cursor[-1] == '\r' ? cursor - 1 : cursor);
                                            lexer->cursor = cursor;
                                            continue;
                                        }

        // Reserved words
        "policy"                        { WORD(POLICY); }
        "import"                        { WORD(IMPORT); }
        "role"                          { WORD(ROLE); }
        "source"                        { WORD(SOURCE); }
        "set"                           { WORD(SET); }
        "window"                        { WORD(WINDOW); }
        "condition"                     { WORD(CONDITION); }
        "attribute"                     { WORD(ATTRIBUTE); }
        "command"                       { WORD(COMMAND); }
        "assert"                        { WORD(ASSERT); }
        "test"                          { WORD(TEST); }
        "allow"                         { WORD(ALLOW); }
        "deny"                          { WORD(DENY); }
        "require"                       { WORD(REQUIRE); }
        "direct"                        { WORD(DIRECT); }
        "everyone"                      { WORD(EVERYONE); }
        "user"                          { WORD(USER); }
        "group"                         { WORD(GROUP); }
        "to"                            { WORD(TO); }
        "any"                           { WORD(ANY); }
        "own"                           { WORD(OWN); }
        "except"                        { WORD(EXCEPT); }
        "from"                          { WORD(FROM); }
        "when"                          { WORD(WHEN); }
        "unless"                        { WORD(UNLESS); }
        "during"                        { WORD(DURING); }
        "until"                         { WORD(UNTIL); }
        "because"                       { WORD(BECAUSE); }
        "for"                           { WORD(FOR); }
        "by"                            { WORD(BY); }
        "in"                            { WORD(IN); }
        "like"                          { WORD(LIKE); }
        "has"                           { WORD(HAS); }
        "overlaps"                      { WORD(OVERLAPS); }
        "and"                           { WORD(AND); }
        "or"                            { WORD(OR); }
        "not"                           { WORD(NOT); }
        "true"                          { WORD(TRUE); }
        "false"                         { WORD(FALSE); }
        "self_service"                  { WORD(SELF_SERVICE); }
        "mon"                           { WORD(MON); }
        "tue"                           { WORD(TUE); }
        "wed"                           { WORD(WED); }
        "thu"                           { WORD(THU); }
        "fri"                           { WORD(FRI); }
        "sat"                           { WORD(SAT); }
        "sun"                           { WORD(SUN); }

        // Words with a meaning in one block or clause, names elsewhere
        "version"                       { WORD(VERSION); }
        "zone"                          { WORD(ZONE); }
        "sources"                       { WORD(SOURCES); }
        "file"                          { WORD(FILE); }
        "type"                          { WORD(TYPE); }
        "location"                      { WORD(LOCATION); }
        "priority"                      { WORD(PRIORITY); }
        "admin_only"                    { WORD(ADMIN_ONLY); }
        "disabled"                      { WORD(DISABLED); }
        "credentials"                   { WORD(CREDENTIALS); }
        "key"                           { WORD(KEY); }
        "unsigned"                      { WORD(UNSIGNED); }
        "of"                            { WORD(OF); }
        "optional"                      { WORD(OPTIONAL); }
        "last"                          { WORD(LAST); }
        "argument"                      { WORD(ARGUMENT); }
        "option"                        { WORD(OPTION); }
        "run"                           { WORD(RUN); }
        "provider"                      { WORD(PROVIDER); }
        "packages"                      { WORD(PACKAGES); }
        "account"                       { WORD(ACCOUNT); }
        "timeout"                       { WORD(TIMEOUT); }
        "environment"                   { WORD(ENVIRONMENT); }
        "reason"                        { WORD(REASON); }
        "approval"                      { WORD(APPROVAL); }
        "notice"                        { WORD(NOTICE); }
        "alert"                         { WORD(ALERT); }
        "with"                          { WORD(WITH); }
        "dependencies"                  { WORD(DEPENDENCIES); }
        "never"                         { WORD(NEVER); }
        "always"                        { WORD(ALWAYS); }
        "sometimes"                     { WORD(SOMETIMES); }
        "time"                          { WORD(TIME); }
        "given"                         { WORD(GIVEN); }
        "expect"                        { WORD(EXPECT); }
        "requiring"                     { WORD(REQUIRING); }

        word                            { WORD(IDENT); }
        "--" word                       { TOKEN(DASHED); }

        // Literals
        ["] ([^"\\\n\r] | escape)* ["]  { TOKEN(STRING); }
        ["]                             { return unterminated(lexer, start); }
        smart | "'"                     { return other_quotes(lexer, start, cursor); }
        "-"? int                        { TOKEN(INT); }
        "-"? int [A-Za-z_] [A-Za-z0-9_]* { return quantity(lexer, start, cursor); }
        int "." digit [0-9A-Za-z.+~_-]* { return bad_number(lexer, start, cursor); }
        int "-" int "-" int             { TOKEN(DATE); }
        int "-" int                     { return half_date(lexer, start, cursor); }
        "--" int "-" int                { TOKEN(YEARLY); }
        int ":" int (":" int)?          { TOKEN(CLOCK); }

        // Signs
        "{"                             { TOKEN(LBRACE); }
        "}"                             { TOKEN(RBRACE); }
        "("                             { TOKEN(LPAREN); }
        ")"                             { TOKEN(RPAREN); }
        ";"                             { TOKEN(SEMI); }
        ","                             { TOKEN(COMMA); }
        ":"                             { TOKEN(COLON); }
        "@"                             { TOKEN(AT); }
        "."                             { TOKEN(DOT); }
        ".."                            { TOKEN(DOTDOT); }
        "="                             { TOKEN(ASSIGN); }
        "=="                            { TOKEN(EQ); }
        "!="                            { TOKEN(NE); }
        "<"                             { TOKEN(LT); }
        "<="                            { TOKEN(LE); }
        ">"                             { TOKEN(GT); }
        ">="                            { TOKEN(GE); }

        // What other languages write
        "&&" | "&"                      { FOREIGN(AND, "and"); }
        "||" | "|"                      { FOREIGN(OR, "or"); }
        "!"                             { FOREIGN(NOT, "not"); }
        "<>"                            { FOREIGN(NE, "!="); }
        "=<"                            { FOREIGN(LE, "<="); }
        "=>"                            { FOREIGN(GE, ">="); }
        "==="                           { FOREIGN(EQ, "=="); }
        "!=="                           { FOREIGN(NE, "!="); }
        "=~" | "~="                     { FOREIGN(LIKE, "like"); }
        "..."                           { FOREIGN(DOTDOT, ".."); }
        ":="                            { FOREIGN(ASSIGN, "="); }
        "//" | "/*"                     { foreign_comment(lexer, start); continue; }

        *                               { stray_character(lexer, start); continue; }
        */
    }
}

bool pv_token_reserved(unsigned kind)
{
    return kind >= PV_TOK_POLICY && kind <= PV_TOK_SUN;
}
