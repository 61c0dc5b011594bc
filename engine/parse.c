/* Drives lexer and generated parser, and tells people what is wrong.
 *
 * Before a token is fed, the parser is asked whether it takes it. Where it does not, known mistakes are told in their
 * own words and mended in the stream of tokens (a `;`, brace or comma put in, a word taken as the name that was meant),
 * so that the statement is still read and its other errors are found. Where nothing mends it, the sentence lists what
 * could stand there, the statement or block property is given up, and reading goes on behind it. A token whose own
 * error was told already (`broken`) causes no second one. */
#include "engine/parse.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "engine/ast_build.h"
#include "grammar/lexer.h"
#include "grammar/parser.h"

#define FIRST_KIND PV_TOK_POLICY

struct parser {
    struct pv_builder b;
    struct pv_lexer lexer;
    const struct pv_source_file *source;
    void *grammar;
    struct pv_token previous; /* the last one fed; kind 0 before the first */
    struct pv_token ahead;    /* put back */
    bool has_ahead;
    bool skipped_statement; /* nothing was fed since one was given up */
    bool wrong_block;       /* what is given up has braces that no rule takes */
    bool done;              /* the end of the file was reached and taken */

    /* The statement being read. */
    bool in_statement;
    unsigned keyword;                         /* the word that says what it is; 0 while only annotations were read */
    uint32_t start_column;                    /* bytes before its first token on the line */
    unsigned braces;                          /* open `{` */
    unsigned depth;                           /* of `(` and `not` round the next token */
    unsigned parens;                          /* open `(` */
    uint16_t outside[PV_AST_MAX_NESTING + 1]; /* depth outside each open `(` */
};

/* ---- Words for tokens ---- */

/* The text of kinds that have one. */
static const char *const words[] = {
    [PV_TOK_POLICY] = "policy",
    [PV_TOK_IMPORT] = "import",
    [PV_TOK_ROLE] = "role",
    [PV_TOK_SOURCE] = "source",
    [PV_TOK_SET] = "set",
    [PV_TOK_WINDOW] = "window",
    [PV_TOK_CONDITION] = "condition",
    [PV_TOK_ATTRIBUTE] = "attribute",
    [PV_TOK_COMMAND] = "command",
    [PV_TOK_ASSERT] = "assert",
    [PV_TOK_TEST] = "test",
    [PV_TOK_ALLOW] = "allow",
    [PV_TOK_DENY] = "deny",
    [PV_TOK_REQUIRE] = "require",
    [PV_TOK_DIRECT] = "direct",
    [PV_TOK_EVERYONE] = "everyone",
    [PV_TOK_USER] = "user",
    [PV_TOK_GROUP] = "group",
    [PV_TOK_TO] = "to",
    [PV_TOK_ANY] = "any",
    [PV_TOK_OWN] = "own",
    [PV_TOK_EXCEPT] = "except",
    [PV_TOK_FROM] = "from",
    [PV_TOK_WHEN] = "when",
    [PV_TOK_UNLESS] = "unless",
    [PV_TOK_DURING] = "during",
    [PV_TOK_UNTIL] = "until",
    [PV_TOK_BECAUSE] = "because",
    [PV_TOK_FOR] = "for",
    [PV_TOK_BY] = "by",
    [PV_TOK_IN] = "in",
    [PV_TOK_LIKE] = "like",
    [PV_TOK_HAS] = "has",
    [PV_TOK_OVERLAPS] = "overlaps",
    [PV_TOK_AND] = "and",
    [PV_TOK_OR] = "or",
    [PV_TOK_NOT] = "not",
    [PV_TOK_TRUE] = "true",
    [PV_TOK_FALSE] = "false",
    [PV_TOK_SELF_SERVICE] = "self_service",
    [PV_TOK_MON] = "mon",
    [PV_TOK_TUE] = "tue",
    [PV_TOK_WED] = "wed",
    [PV_TOK_THU] = "thu",
    [PV_TOK_FRI] = "fri",
    [PV_TOK_SAT] = "sat",
    [PV_TOK_SUN] = "sun",
    [PV_TOK_LBRACE] = "{",
    [PV_TOK_RBRACE] = "}",
    [PV_TOK_LPAREN] = "(",
    [PV_TOK_RPAREN] = ")",
    [PV_TOK_SEMI] = ";",
    [PV_TOK_COMMA] = ",",
    [PV_TOK_COLON] = ":",
    [PV_TOK_AT] = "@",
    [PV_TOK_DOT] = ".",
    [PV_TOK_DOTDOT] = "..",
    [PV_TOK_ASSIGN] = "=",
    [PV_TOK_EQ] = "==",
    [PV_TOK_NE] = "!=",
    [PV_TOK_LT] = "<",
    [PV_TOK_LE] = "<=",
    [PV_TOK_GT] = ">",
    [PV_TOK_GE] = ">=",
    [PV_TOK_VERSION] = "version",
    [PV_TOK_ZONE] = "zone",
    [PV_TOK_SOURCES] = "sources",
    [PV_TOK_FILE] = "file",
    [PV_TOK_TYPE] = "type",
    [PV_TOK_LOCATION] = "location",
    [PV_TOK_PRIORITY] = "priority",
    [PV_TOK_ADMIN_ONLY] = "admin_only",
    [PV_TOK_DISABLED] = "disabled",
    [PV_TOK_CREDENTIALS] = "credentials",
    [PV_TOK_KEY] = "key",
    [PV_TOK_UNSIGNED] = "unsigned",
    [PV_TOK_OF] = "of",
    [PV_TOK_OPTIONAL] = "optional",
    [PV_TOK_LAST] = "last",
    [PV_TOK_ARGUMENT] = "argument",
    [PV_TOK_OPTION] = "option",
    [PV_TOK_RUN] = "run",
    [PV_TOK_PROVIDER] = "provider",
    [PV_TOK_PACKAGES] = "packages",
    [PV_TOK_ACCOUNT] = "account",
    [PV_TOK_TIMEOUT] = "timeout",
    [PV_TOK_ENVIRONMENT] = "environment",
    [PV_TOK_REASON] = "reason",
    [PV_TOK_APPROVAL] = "approval",
    [PV_TOK_NOTICE] = "notice",
    [PV_TOK_ALERT] = "alert",
    [PV_TOK_WITH] = "with",
    [PV_TOK_DEPENDENCIES] = "dependencies",
    [PV_TOK_NEVER] = "never",
    [PV_TOK_ALWAYS] = "always",
    [PV_TOK_SOMETIMES] = "sometimes",
    [PV_TOK_TIME] = "time",
    [PV_TOK_GIVEN] = "given",
    [PV_TOK_EXPECT] = "expect",
    [PV_TOK_REQUIRING] = "requiring",
};
#define N_WORDS (sizeof words / sizeof *words)

/* Kinds without one text. */
static const char *kind_noun(unsigned kind)
{
    switch (kind) {
    case PV_TOK_IDENT: return "a name";
    case PV_TOK_DASHED: return "an option like `--name`";
    case PV_TOK_STRING: return "a string";
    case PV_TOK_INT: return "a number";
    case PV_TOK_SIZE: return "a size like 500MB";
    case PV_TOK_DURATION: return "a duration like 10m";
    case PV_TOK_DATE: return "a date like 2026-12-31";
    case PV_TOK_YEARLY: return "a yearly date like --12-31";
    case PV_TOK_CLOCK: return "a time of day like 22:00";
    case PV_TOK_ORDINAL: return "an ordinal like 2nd";
    default: return NULL;
    }
}

static bool is_statement(unsigned kind)
{
    return (kind >= PV_TOK_POLICY && kind <= PV_TOK_DIRECT) || kind == PV_TOK_SOURCES;
}

static bool is_block(unsigned kind)
{
    return kind == PV_TOK_SOURCE || kind == PV_TOK_COMMAND || kind == PV_TOK_TEST;
}

static bool is_word(unsigned kind)
{
    return pv_token_reserved(kind) || kind == PV_TOK_IDENT || kind > PV_TOK_SYNC;
}

static bool is_comparison(unsigned kind)
{
    return (kind >= PV_TOK_EQ && kind <= PV_TOK_GE) || kind == PV_TOK_IN || kind == PV_TOK_LIKE ||
           kind == PV_TOK_OVERLAPS;
}

static bool is_window_part(unsigned kind)
{
    return (kind >= PV_TOK_MON && kind <= PV_TOK_SUN) || kind == PV_TOK_DATE || kind == PV_TOK_YEARLY ||
           kind == PV_TOK_CLOCK || kind == PV_TOK_ORDINAL;
}

/* ---- Questions ---- */

static bool accepts(const struct parser *p, unsigned kind)
{
    return pv_grammar_accepts(p->grammar, &kind, 1);
}

static bool accepts2(const struct parser *p, unsigned first, unsigned second)
{
    return pv_grammar_accepts(p->grammar, (unsigned[]){first, second}, 2);
}

static bool accepts3(const struct parser *p, unsigned first, unsigned second, unsigned third)
{
    return pv_grammar_accepts(p->grammar, (unsigned[]){first, second, third}, 3);
}

static bool starts_statement(const struct parser *p, struct pv_token token)
{
    return token.starts_line && (is_statement(token.kind) || token.kind == PV_TOK_AT) &&
           token.column <= p->start_column;
}

/* Inside the block of a source, command or test (not in its heading). */
static bool in_block(const struct parser *p)
{
    return is_block(p->keyword) && p->braces > 0;
}

/* Inside the braces of a set. */
static bool in_set(const struct parser *p)
{
    return p->braces > (is_block(p->keyword) ? 1u : 0u);
}

/* ---- The stream of tokens ---- */

static struct pv_token next(struct parser *p)
{
    if (p->has_ahead) {
        p->has_ahead = false;
        return p->ahead;
    }
    return pv_lex(&p->lexer);
}

/* The token behind the one at hand, looked at and not taken: its own errors are told when it is. */
static struct pv_token peek(const struct parser *p)
{
    struct pv_lexer lexer = p->lexer;
    lexer.diags = NULL;
    return p->has_ahead ? p->ahead : pv_lex(&lexer);
}

static void end_statement(struct parser *p)
{
    p->in_statement = false;
    p->keyword = 0;
    p->braces = p->depth = p->parens = 0;
    p->b.strings_told = false;
}

/* Keeps account of the statement that a token belongs to. */
static void follow(struct parser *p, struct pv_token token)
{
    if (!p->in_statement && token.kind != PV_TOK_END) {
        p->in_statement = true;
        p->start_column = token.column;
    }
    if (!p->keyword && is_statement(token.kind))
        p->keyword = token.kind;
    if (token.kind == PV_TOK_LBRACE)
        p->braces++;
    else if (token.kind == PV_TOK_RBRACE && p->braces)
        p->braces--;
    if (p->braces == 0 && (token.kind == PV_TOK_SEMI || (token.kind == PV_TOK_RBRACE && is_block(p->keyword))))
        end_statement(p);
}

static void feed(struct parser *p, struct pv_token token)
{
    pv_grammar(p->grammar, token.kind, token, &p->b);
    p->previous = token;
    p->skipped_statement = false;
    follow(p, token);
}

/* A token that is not in the text, behind the last one. */
static struct pv_token invented(const struct parser *p, unsigned kind)
{
    struct pv_span span = p->previous.span;
    span.start = span.end;
    return (struct pv_token){.kind = (uint16_t)kind, .span = span};
}

/* ---- Giving up ---- */

static bool skip_one(struct parser *p, struct pv_token token, unsigned *sets);

/* Drops what was read of the statement, or of the property in a block, and skips to its end. `token` is the first that
 * is not fed. */
static void give_up(struct parser *p, struct pv_token token)
{
    bool block = in_block(p);
    unsigned sets = p->braces - (block ? 1 : 0);
    struct pv_token bad = invented(p, PV_TOK_BAD);

    if (!p->in_statement)
        follow(p, (struct pv_token){.kind = PV_TOK_IDENT, .column = token.column, .span = token.span});
    if (!p->keyword && is_statement(token.kind))
        p->keyword = token.kind;
    p->b.gave_up = true;
    pv_grammar(p->grammar, PV_TOK_BAD, bad, &p->b);
    p->b.gave_up = false;

    p->wrong_block = token.kind == PV_TOK_LBRACE && !block; /* braces round clauses are skipped whole */

    /* Nor are single tokens judged in what is skipped. */
    struct pv_diags *diags = p->lexer.diags;
    p->lexer.diags = NULL;
    for (bool first = true;; first = false, token = next(p)) {
        bool ends = token.kind == PV_TOK_END || (!first && starts_statement(p, token)) ||
                    (block && token.kind == PV_TOK_RBRACE && !sets);
        if (ends) {
            p->ahead = token;
            p->has_ahead = true;
            break;
        }
        p->previous = token;
        if (skip_one(p, token, &sets))
            break;
    }
    p->lexer.diags = diags;
    pv_grammar(p->grammar, PV_TOK_SYNC, invented(p, PV_TOK_SYNC), &p->b);
    p->skipped_statement = true;
    if (block) {
        p->braces = 1;
        p->depth = p->parens = 0;
    } else {
        end_statement(p);
    }
}

/* Passes over one token; true when it was the last of what is given up. */
static bool skip_one(struct parser *p, struct pv_token token, unsigned *sets)
{
    /* The heading of a block, or what may be one: its block is skipped with it. */
    bool heading = (is_block(p->keyword) || !p->keyword || p->wrong_block) && !in_block(p);
    switch (token.kind) {
    case PV_TOK_LBRACE: ++*sets; return false;
    case PV_TOK_RBRACE:
        if (*sets)
            --*sets;
        return !*sets && heading;
    case PV_TOK_SEMI: return !*sets || !heading;
    default: return false;
    }
}

/* ---- Sentences ---- */

static int text_len(struct pv_token token)
{
    uint32_t len = token.span.end - token.span.start;
    return (int)(len > 40 ? 40 : len);
}

static const char *token_bytes(const struct parser *p, struct pv_token token)
{
    return p->source->text + token.span.start;
}

/* "found ..." */
static const char *found(const struct parser *p, struct pv_token token)
{
    if (token.kind == PV_TOK_END)
        return "the end of the file";
    if (token.kind == PV_TOK_STRING && token.span.end - token.span.start > 40)
        return "a string";
    if (token.kind == PV_TOK_STRING)
        return pv_arena_printf(p->b.arena, "the string %.*s", text_len(token), token_bytes(p, token));
    return pv_arena_printf(p->b.arena, "`%.*s`", text_len(token), token_bytes(p, token));
}

/* Where an error about a token is shown: the end of the file is behind its last token. */
static struct pv_span place(const struct parser *p, struct pv_token token)
{
    return token.kind == PV_TOK_END && p->previous.kind ? invented(p, 0).span : token.span;
}

/* Sets of tokens that go by one name. A group counts where its first two kinds could both stand; then all its kinds are
 * said with it. Kind 0 ends a group. */
static const struct {
    const char *name;
    uint8_t kinds[26];
} groups[] = {
    {"a statement",
     {PV_TOK_ALLOW, PV_TOK_ROLE, PV_TOK_POLICY, PV_TOK_IMPORT, PV_TOK_SOURCE, PV_TOK_SET, PV_TOK_WINDOW,
      PV_TOK_CONDITION, PV_TOK_ATTRIBUTE, PV_TOK_COMMAND, PV_TOK_ASSERT, PV_TOK_TEST, PV_TOK_DENY, PV_TOK_REQUIRE,
      PV_TOK_DIRECT, PV_TOK_SOURCES, PV_TOK_AT}},
    {"who (`user \"...\"`, `group \"...\"`, `everyone` or a role)",
     {PV_TOK_EVERYONE, PV_TOK_GROUP, PV_TOK_USER, PV_TOK_IDENT, PV_TOK_NOT, PV_TOK_LPAREN}},
    {"an expression", {PV_TOK_HAS,      PV_TOK_TRUE,   PV_TOK_FALSE,  PV_TOK_STRING, PV_TOK_INT,  PV_TOK_SIZE,
                       PV_TOK_DURATION, PV_TOK_DATE,   PV_TOK_CLOCK,  PV_TOK_IDENT,  PV_TOK_USER, PV_TOK_SOURCE,
                       PV_TOK_COMMAND,  PV_TOK_LBRACE, PV_TOK_LPAREN, PV_TOK_NOT,    PV_TOK_MON,  PV_TOK_TUE,
                       PV_TOK_WED,      PV_TOK_THU,    PV_TOK_FRI,    PV_TOK_SAT,    PV_TOK_SUN}},
    {"an attribute or a value",
     {PV_TOK_TRUE, PV_TOK_IDENT, PV_TOK_FALSE, PV_TOK_STRING, PV_TOK_INT,     PV_TOK_SIZE,   PV_TOK_DURATION,
      PV_TOK_DATE, PV_TOK_CLOCK, PV_TOK_USER,  PV_TOK_SOURCE, PV_TOK_COMMAND, PV_TOK_LBRACE, PV_TOK_LPAREN,
      PV_TOK_MON,  PV_TOK_TUE,   PV_TOK_WED,   PV_TOK_THU,    PV_TOK_FRI,     PV_TOK_SAT,    PV_TOK_SUN}},
    {"a value",
     {PV_TOK_TRUE, PV_TOK_FALSE, PV_TOK_STRING, PV_TOK_INT, PV_TOK_SIZE, PV_TOK_DURATION, PV_TOK_DATE, PV_TOK_CLOCK,
      PV_TOK_LBRACE, PV_TOK_MON, PV_TOK_TUE, PV_TOK_WED, PV_TOK_THU, PV_TOK_FRI, PV_TOK_SAT, PV_TOK_SUN}},
    {"a type (`bool`, `int`, `string`, ...)", {PV_TOK_SET, PV_TOK_IDENT}},
    {"a property of a source (`type`, `location`, ...)",
     {PV_TOK_TYPE, PV_TOK_LOCATION, PV_TOK_PRIORITY, PV_TOK_SELF_SERVICE, PV_TOK_ADMIN_ONLY, PV_TOK_DISABLED,
      PV_TOK_CREDENTIALS, PV_TOK_KEY, PV_TOK_UNSIGNED}},
    {"a property of a command (`run`, `argument`, ...)",
     {PV_TOK_RUN, PV_TOK_ARGUMENT, PV_TOK_OPTION, PV_TOK_PROVIDER, PV_TOK_PACKAGES, PV_TOK_SOURCES, PV_TOK_ACCOUNT,
      PV_TOK_TIMEOUT, PV_TOK_ENVIRONMENT}},
    {"a step of a test (`user`, `time`, `given` or `expect`)", {PV_TOK_GIVEN, PV_TOK_EXPECT, PV_TOK_USER, PV_TOK_TIME}},
    {"a set, a role, a window or an attribute",
     {PV_TOK_LBRACE, PV_TOK_COMMAND, PV_TOK_IDENT, PV_TOK_USER, PV_TOK_SOURCE}},
    {"an attribute", {PV_TOK_USER, PV_TOK_COMMAND, PV_TOK_IDENT, PV_TOK_SOURCE}},
    {"a source, `self_service` or `any`", {PV_TOK_SELF_SERVICE, PV_TOK_ANY, PV_TOK_IDENT, PV_TOK_NOT, PV_TOK_LPAREN}},
    {"a command or `any`", {PV_TOK_ANY, PV_TOK_SOURCE, PV_TOK_IDENT}},
    {"packages (a string, `like \"...\"`, a set, `{ ... }` or `own`)",
     {PV_TOK_OWN, PV_TOK_LIKE, PV_TOK_STRING, PV_TOK_IDENT, PV_TOK_LBRACE, PV_TOK_WITH}},
    {"a member (a string, `like \"...\"` or a set)", {PV_TOK_LIKE, PV_TOK_IDENT, PV_TOK_STRING}},
    {"a day, date or time range",
     {PV_TOK_MON, PV_TOK_CLOCK, PV_TOK_TUE, PV_TOK_WED, PV_TOK_THU, PV_TOK_FRI, PV_TOK_SAT, PV_TOK_SUN, PV_TOK_ORDINAL,
      PV_TOK_LAST, PV_TOK_DATE, PV_TOK_YEARLY}},
    {"a weekday",
     {PV_TOK_MON, PV_TOK_TUE, PV_TOK_WED, PV_TOK_THU, PV_TOK_FRI, PV_TOK_SAT, PV_TOK_SUN, PV_TOK_ORDINAL, PV_TOK_LAST}},
    {"a comparison (`==`, `<`, `in`, `like`, ...)",
     {PV_TOK_EQ, PV_TOK_LT, PV_TOK_NE, PV_TOK_LE, PV_TOK_GT, PV_TOK_GE, PV_TOK_ASSIGN, PV_TOK_IN, PV_TOK_LIKE,
      PV_TOK_OVERLAPS}},
    {"a clause (`when`, `unless`, `during`, `until` or `because`)",
     {PV_TOK_WHEN, PV_TOK_UNTIL, PV_TOK_UNLESS, PV_TOK_DURING, PV_TOK_BECAUSE, PV_TOK_COMMA}},
    {"a duty (`reason`, `approval by`, `timeout`, `account`, `window`, `notice` or `alert`)",
     {PV_TOK_REASON, PV_TOK_APPROVAL, PV_TOK_TIMEOUT, PV_TOK_ACCOUNT, PV_TOK_WINDOW, PV_TOK_NOTICE, PV_TOK_ALERT}},
};

/* What could stand next, as a list for people: "`;`, `from` or a clause (...)". */
static const char *expected(const struct parser *p)
{
    bool can[N_WORDS] = {false};
    const char *items[N_WORDS];
    size_t n = 0;

    for (unsigned kind = FIRST_KIND; kind < N_WORDS; kind++)
        can[kind] = (words[kind] || kind_noun(kind)) && pv_grammar_expects(p->grammar, kind);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        const uint8_t *kinds = groups[g].kinds;
        if (!can[kinds[0]] || !can[kinds[1]])
            continue;
        items[n++] = groups[g].name;
        for (; *kinds; kinds++)
            can[*kinds] = false;
    }
    can[PV_TOK_EQ] = can[PV_TOK_EQ] && !can[PV_TOK_ASSIGN];
    for (unsigned kind = FIRST_KIND; kind < N_WORDS; kind++) {
        if (can[kind])
            items[n++] = kind_noun(kind) ? kind_noun(kind) : pv_arena_printf(p->b.arena, "`%s`", words[kind]);
    }
    const char *list = n ? items[0] : "nothing more";
    for (size_t i = 1; i < n; i++)
        list = pv_arena_printf(p->b.arena, "%s%s%s", list, i + 1 == n ? " or " : ", ", items[i]);
    return list;
}

/* The expected word that is nearest to a mistyped one. */
static bool is_object(unsigned kind)
{
    return kind == PV_TOK_STRING || kind == PV_TOK_LIKE || kind == PV_TOK_LBRACE || kind == PV_TOK_OWN ||
           kind == PV_TOK_IDENT;
}

static const char *nearest_word(const struct parser *p, struct pv_token token)
{
    struct pv_nearest nearest;
    if (!is_word(token.kind))
        return NULL;
    pv_nearest_init(&nearest, token_bytes(p, token), token.span.end - token.span.start);
    for (unsigned kind = FIRST_KIND; kind < N_WORDS; kind++) {
        if (words[kind] && is_word(kind) && kind != token.kind && pv_grammar_expects(p->grammar, kind))
            pv_nearest_offer(&nearest, words[kind], strlen(words[kind]));
    }
    return nearest.best;
}

/* Words that begin statements elsewhere, and what is written here instead. */
static const char *elsewhere(struct parser *p, struct pv_token token)
{
    static const struct {
        const char *word, *hint;
    } rows[] = {
        {"permit", "a rule is written `allow WHO to COMMANDS ...;`"},
        {"grant", "a rule is written `allow WHO to COMMANDS ...;`"},
        {"forbid", "a rule is written `deny WHO to COMMANDS ...;`"},
        {"reject", "a rule is written `deny WHO to COMMANDS ...;`"},
        {"block", "a rule is written `deny WHO to COMMANDS ...;`"},
        {"default", "what no rule allows is denied: there is no default to set"},
        {"if", "a rule says first who may do what, then `when` and the condition"},
        {"include", "another file is brought in by `import \"PATH\";`"},
        {"group", "a name for people is a role: `role NAME = group \"name\";`"},
        {"user", "a name for people is a role: `role NAME = user \"name\";`"},
        {"alias", "names are declared by `role`, `set`, `sources`, `window` and `condition`"},
    };
    size_t len = token.span.end - token.span.start;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].word) == len && memcmp(rows[i].word, token_bytes(p, token), len) == 0)
            return rows[i].hint;
    return is_word(token.kind) ? "a rule begins with `allow`, `deny`, `require` or `direct`" : NULL;
}

static void hint_at_context(struct parser *p, struct pv_diag *diag, struct pv_token token)
{
    const char *word = nearest_word(p, token);
    unsigned before = p->previous.kind;
    bool rule = p->keyword == PV_TOK_ALLOW || p->keyword == PV_TOK_DENY || p->keyword == PV_TOK_REQUIRE;
    if (!p->in_statement && elsewhere(p, token) && !word) {
        pv_diag_hint(p->b.diags, diag, "%s", elsewhere(p, token));
    } else if (word) {
        pv_diag_hint(p->b.diags, diag, "did you mean `%s`?", word);
        pv_diag_fix(p->b.diags, diag, token.span, "%s", word);
    } else if (before == PV_TOK_DURING && is_window_part(token.kind)) {
        pv_diag_hint(p->b.diags, diag, "`during` takes the names of windows: window NAME = ...;");
    } else if (p->keyword == PV_TOK_DIRECT && is_word(token.kind)) {
        pv_diag_hint(p->b.diags, diag, "`direct` takes commands alone: no packages, sources or clauses");
    } else if (before == PV_TOK_IN && (token.kind == PV_TOK_GROUP || token.kind == PV_TOK_USER)) {
        pv_diag_hint(p->b.diags, diag, "`in` takes a role's name: role NAME = %s ...;", words[token.kind]);
    } else if (before == PV_TOK_IMPORT) {
        pv_diag_hint(p->b.diags, diag, "a path stands in quotes: import \"std/apt.policy\";");
    } else if (token.kind == PV_TOK_COMMA && accepts(p, PV_TOK_OR)) {
        pv_diag_hint(p->b.diags, diag, "alternatives are joined by `or`: user \"a\" or user \"b\"");
    } else if (rule && accepts(p, PV_TOK_TO)) {
        pv_diag_hint(p->b.diags, diag, "first who and what, then the rest: `%s WHO to COMMANDS ...;`",
                     words[p->keyword]);
    } else if (rule && token.kind == PV_TOK_LBRACE && accepts(p, PV_TOK_WHEN)) {
        pv_diag_hint(p->b.diags, diag, "a rule has no block: its clauses stand behind it, and it ends with `;`");
    } else if (rule && accepts(p, PV_TOK_WHEN) && is_object(token.kind) && !accepts(p, PV_TOK_EXCEPT)) {
        pv_diag_hint(p->b.diags, diag, "packages stand right behind the commands, before `from` and the clauses");
    } else if (before == PV_TOK_UNTIL && token.kind == PV_TOK_STRING) {
        pv_diag_hint(p->b.diags, diag, "a date stands without quotes");
    } else if (before == PV_TOK_IN && is_window_part(token.kind)) {
        pv_diag_hint(p->b.diags, diag, "declare a window, and write its name: `window NAME = 22:00..04:00;`");
    } else if (before == PV_TOK_BECAUSE) {
        pv_diag_hint(p->b.diags, diag, "the reason stands in quotes: because \"Ask the help desk.\"");
    } else if (token.kind == PV_TOK_RBRACE && !in_block(p) && !in_set(p)) {
        pv_diag_hint(p->b.diags, diag, "no `{` is open here");
    } else if (token.kind == PV_TOK_RPAREN && !p->parens) {
        pv_diag_hint(p->b.diags, diag, "no `(` is open here");
    }
}

static void report_unexpected(struct parser *p, struct pv_token token)
{
    struct pv_diags *diags = p->b.diags;
    if (diags->n >= diags->max_kept) {
        pv_report(diags, PV_DIAG_SYNTAX, place(p, token), "more of the same");
        return;
    }
    struct pv_diag *diag =
        pv_report(diags, PV_DIAG_SYNTAX, place(p, token), "expected %s, found %s", expected(p), found(p, token));
    hint_at_context(p, diag, token);
}

/* ---- Known mistakes. Each returns whether it was one and has dealt with the token. ---- */

static void take(struct parser *p, struct pv_token token);

static bool quiet(const struct parser *p, struct pv_token token)
{
    return token.broken || p->previous.broken;
}

/* Puts a token in before `token`, telling it unless told already. */
static void insert(struct parser *p, unsigned kind, enum pv_diag_code code, struct pv_token token, const char *sentence)
{
    struct pv_token put = invented(p, kind);
    if (!quiet(p, token)) {
        struct pv_diag *diag = pv_report(p->b.diags, code, put.span, "%s", sentence);
        pv_diag_fix(p->b.diags, diag, put.span, "%s%s", is_word(kind) ? " " : "", words[kind]);
        diag->certain = kind == PV_TOK_SEMI || kind == PV_TOK_COMMA;
    }
    take(p, put);
    take(p, token);
}

static bool missing_semicolon(struct parser *p, struct pv_token token)
{
    bool leaves = token.kind == PV_TOK_END || starts_statement(p, token);
    if (!p->in_statement ||
        (!accepts2(p, PV_TOK_SEMI, token.kind) && !(leaves && accepts3(p, PV_TOK_SEMI, PV_TOK_RBRACE, token.kind))))
        return false;
    insert(p, PV_TOK_SEMI, PV_DIAG_MISSING_SEMICOLON, token, "`;` is missing here");
    return true;
}

static bool missing_close(struct parser *p, struct pv_token token)
{
    if (p->parens && accepts2(p, PV_TOK_RPAREN, token.kind)) {
        insert(p, PV_TOK_RPAREN, PV_DIAG_MISSING_BRACE, token, "`)` is missing here");
        return true;
    }
    bool leaves = token.kind == PV_TOK_END || starts_statement(p, token);
    if (!p->braces || !(in_set(p) || leaves) || !accepts2(p, PV_TOK_RBRACE, token.kind))
        return false;
    insert(p, PV_TOK_RBRACE, PV_DIAG_MISSING_BRACE, token,
           in_set(p) ? "`}` is missing here: the set has no end" : "`}` is missing here: the block has no end");
    return true;
}

static bool missing_comma(struct parser *p, struct pv_token token)
{
    bool member = token.kind == PV_TOK_STRING || token.kind == PV_TOK_LIKE || is_word(token.kind);
    if (!member || !accepts2(p, PV_TOK_COMMA, token.kind))
        return false;
    bool strings = p->previous.kind == PV_TOK_STRING && (token.kind == PV_TOK_STRING || token.kind == PV_TOK_LIKE);
    if (in_set(p) || (strings && p->keyword == PV_TOK_TEST)) {
        insert(p, PV_TOK_COMMA, strings ? PV_DIAG_ADJACENT_STRINGS : PV_DIAG_SYNTAX, token,
               strings ? "`,` is missing between two strings" : "`,` is missing between two members");
        return true;
    }
    if (!strings)
        return false;
    if (!quiet(p, token) && !p->b.strings_told) {
        struct pv_diag *diag = pv_report(p->b.diags, PV_DIAG_ADJACENT_STRINGS,
                                         pv_span_join(p->previous.span, token.span), "two strings stand side by side");
        pv_diag_hint(p->b.diags, diag, "several packages stand in braces, with commas: { %.*s, %.*s }",
                     text_len(p->previous), token_bytes(p, p->previous), text_len(token), token_bytes(p, token));
    }
    p->b.strings_told = true;
    feed(p, invented(p, PV_TOK_COMMA));
    take(p, token);
    return true;
}

static bool reserved_name(struct parser *p, struct pv_token token)
{
    if (!pv_token_reserved(token.kind) || !accepts2(p, PV_TOK_IDENT, peek(p).kind))
        return false;
    if (!quiet(p, token)) {
        struct pv_diag *diag =
            pv_report(p->b.diags, PV_DIAG_RESERVED_WORD, token.span, "`%.*s` is a reserved word and cannot be a name",
                      text_len(token), token_bytes(p, token));
        if (accepts2(p, PV_TOK_STRING, peek(p).kind))
            pv_diag_hint(p->b.diags, diag, "in quotes it can: \"%.*s\"", text_len(token), token_bytes(p, token));
        else
            pv_diag_hint(p->b.diags, diag, "another name, such as `my-%.*s`", text_len(token), token_bytes(p, token));
    }
    token.kind = PV_TOK_IDENT;
    token.broken = true;
    feed(p, token);
    return true;
}

/* `};` and `;;` */
static bool stray_semicolon(struct parser *p, struct pv_token token)
{
    bool start = !p->in_statement || (in_block(p) && !in_set(p));
    bool behind_end = p->previous.kind == PV_TOK_SEMI || p->previous.kind == PV_TOK_RBRACE ||
                      p->previous.kind == PV_TOK_LBRACE || !p->previous.kind;
    if (token.kind != PV_TOK_SEMI || !start || !behind_end)
        return false;
    if (!p->skipped_statement) {
        struct pv_diag *diag = pv_report(p->b.diags, PV_DIAG_SYNTAX, token.span, "%s",
                                         p->previous.kind == PV_TOK_RBRACE ? "a block ends with `}` and takes no `;`"
                                                                           : "this `;` ends nothing");
        pv_diag_fix(p->b.diags, diag, token.span, "%s", "");
        diag->certain = true;
    }
    return true;
}

static bool chained_comparison(struct parser *p, struct pv_token token)
{
    if (!is_comparison(token.kind) || !accepts2(p, PV_TOK_AND, PV_TOK_HAS))
        return false;
    if (!quiet(p, token)) {
        struct pv_diag *diag =
            pv_report(p->b.diags, PV_DIAG_CHAINED_COMPARISON, token.span, "comparisons have no chains");
        pv_diag_hint(p->b.diags, diag, "join two of them: a < b and b < c");
    }
    give_up(p, token);
    return true;
}

/* `allow everyone install` */
static bool missing_to(struct parser *p, struct pv_token token)
{
    if (!is_word(token.kind) || pv_token_reserved(token.kind) || !accepts2(p, PV_TOK_TO, token.kind))
        return false;
    insert(p, PV_TOK_TO, PV_DIAG_SYNTAX, token, "`to` is missing here");
    return true;
}

/* `x not in y` */
static bool late_not(struct parser *p, struct pv_token token)
{
    if (token.kind != PV_TOK_NOT || !is_comparison(peek(p).kind) || !accepts(p, peek(p).kind))
        return false;
    if (!quiet(p, token)) {
        struct pv_diag *diag =
            pv_report(p->b.diags, PV_DIAG_FOREIGN_OPERATOR, token.span, "`not` stands before the whole comparison");
        pv_diag_hint(p->b.diags, diag, "not x %s y", words[peek(p).kind]);
    }
    return true;
}

/* A sign of another language where this one has another sign, or none. */
static bool wrong_sign(struct parser *p, struct pv_token token)
{
    unsigned instead = 0;
    const char *hint = NULL;
    if (token.kind == PV_TOK_COLON && accepts(p, PV_TOK_ASSIGN)) {
        instead = PV_TOK_ASSIGN;
        hint = "a declaration takes `=`";
    } else if (token.kind == PV_TOK_ASSIGN && accepts(p, PV_TOK_COLON)) {
        instead = PV_TOK_COLON;
        hint = "`:` stands before what belongs to a name here";
    } else if (token.kind == PV_TOK_COMMA && accepts2(p, PV_TOK_OR, peek(p).kind)) {
        instead = PV_TOK_OR;
        hint = "alternatives are joined by `or`, not by commas";
    } else if (token.kind == PV_TOK_COMMA && in_block(p) && !in_set(p) && p->keyword != PV_TOK_TEST &&
               accepts(p, PV_TOK_SEMI)) {
        instead = PV_TOK_SEMI;
        hint = "a property ends with `;`";
    } else if ((token.kind == PV_TOK_COLON || token.kind == PV_TOK_ASSIGN) && accepts(p, peek(p).kind) &&
               is_word(p->previous.kind)) {
        hint = "a property is followed by its value at once";
    } else {
        return false;
    }
    if (!quiet(p, token)) {
        struct pv_diag *diag = pv_report(p->b.diags, PV_DIAG_SYNTAX, token.span, "%s", hint);
        pv_diag_fix(p->b.diags, diag, token.span, "%s", instead == PV_TOK_OR ? " or" : instead ? words[instead] : "");
        diag->certain = true;
    }
    if (instead) {
        token.kind = (uint16_t)instead;
        token.broken = true;
        feed(p, token);
    }
    return true;
}

static bool looks_like_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && ((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return len > 0;
}

/* A name for a string, a string for a name, a bare number for a duration. */
static bool wrong_literal(struct parser *p, struct pv_token token)
{
    struct pv_token meant = token;
    const char *text = token_bytes(p, token);
    size_t len = token.span.end - token.span.start;
    struct pv_diag *diag;

    meant.broken = true;
    if (is_word(token.kind) && accepts2(p, PV_TOK_STRING, peek(p).kind)) {
        meant.kind = PV_TOK_STRING;
        diag = quiet(p, token) ? &p->b.diags->dropped
                               : pv_report(p->b.diags, PV_DIAG_SYNTAX, token.span, "`%.*s` stands in quotes here",
                                           text_len(token), text);
        pv_diag_fix(p->b.diags, diag, token.span, "\"%.*s\"", (int)len, text);
    } else if (token.kind == PV_TOK_STRING && len > 2 && looks_like_name(text + 1, len - 2) &&
               accepts2(p, PV_TOK_IDENT, peek(p).kind)) {
        meant.kind = PV_TOK_IDENT;
        meant.span.start++;
        meant.span.end--;
        diag = quiet(p, token) ? &p->b.diags->dropped
                               : pv_report(p->b.diags, PV_DIAG_SYNTAX, token.span,
                                           "%.*s is a name here, without quotes", text_len(token), text);
        if (accepts(p, PV_TOK_GROUP))
            pv_diag_hint(p->b.diags, diag, "a role is a name; others are written `user %.*s` or `group %.*s`",
                         text_len(token), text, text_len(token), text);
        pv_diag_fix(p->b.diags, diag, token.span, "%.*s", (int)len - 2, text + 1);
    } else if (token.kind == PV_TOK_INT && accepts2(p, PV_TOK_DURATION, peek(p).kind)) {
        meant.kind = PV_TOK_DURATION;
        diag = quiet(p, token) ? &p->b.diags->dropped
                               : pv_report(p->b.diags, PV_DIAG_BAD_UNIT, token.span, "a duration has a unit");
        pv_diag_hint(p->b.diags, diag, "%.*ss (seconds), %.*sm, %.*sh or %.*sd", text_len(token), text, text_len(token),
                     text, text_len(token), text, text_len(token), text);
    } else {
        return false;
    }
    feed(p, meant);
    return true;
}

static void trouble(struct parser *p, struct pv_token token)
{
    if (stray_semicolon(p, token) || (!token.starts_line && reserved_name(p, token)) || missing_comma(p, token) ||
        wrong_sign(p, token) || (!token.starts_line && wrong_literal(p, token)) || late_not(p, token) ||
        missing_to(p, token) || missing_semicolon(p, token) || missing_close(p, token) ||
        chained_comparison(p, token) || reserved_name(p, token) || wrong_literal(p, token))
        return;
    if (!quiet(p, token))
        report_unexpected(p, token);
    give_up(p, token);
}

/* ---- One token after the other ---- */

/* Counts nesting round the next token; false where it is too deep. A `not` reaches to the end of its operand, so it
 * counts until something else than `not` or `(` comes. */
static bool nest(struct parser *p, struct pv_token token)
{
    switch (token.kind) {
    case PV_TOK_LPAREN:
        if (p->depth >= PV_AST_MAX_NESTING)
            return false;
        p->outside[p->parens++] = (uint16_t)p->depth++;
        return true;
    case PV_TOK_NOT: return p->depth++ < PV_AST_MAX_NESTING;
    case PV_TOK_RPAREN: p->parens -= p->parens > 0; break;
    default: break;
    }
    p->depth = p->parens ? p->outside[p->parens - 1] + 1u : 0;
    return true;
}

static void take(struct parser *p, struct pv_token token)
{
    if (!accepts(p, token.kind)) {
        trouble(p, token);
    } else if (token.kind == PV_TOK_END) {
        p->done = true;
    } else if (!nest(p, token)) {
        pv_report(p->b.diags, PV_DIAG_TOO_DEEP, token.span, "parentheses and `not` are nested more than %d deep",
                  PV_AST_MAX_NESTING);
        give_up(p, token);
    } else {
        feed(p, token);
    }
}

/* Characters that reverse the order in which text is shown make a policy look other than it is, in comments too. */
static void refuse_reordering(struct parser *p)
{
    const char *text = p->source->text, *end = text + p->source->len;
    for (const char *at = text; (at = memchr(at, 0xe2, (size_t)(end - at))); at++) {
        if (end - at < 3)
            return;
        unsigned char second = (unsigned char)at[1], third = (unsigned char)at[2];
        bool embedding = second == 0x80 && third >= 0xaa && third <= 0xae;
        bool isolate = second == 0x81 && third >= 0xa6 && third <= 0xa9;
        if (!embedding && !isolate)
            continue;
        uint32_t start = (uint32_t)(at - text), c = (embedding ? 0x2000u : 0x2040u) + (third & 0x3fu);
        struct pv_diag *diag =
            pv_report(p->b.diags, PV_DIAG_BAD_CHARACTER, (struct pv_span){p->b.file->file, start, start + 3},
                      "U+%04X changes the order in which the text behind it is shown", (unsigned)c);
        pv_diag_hint(p->b.diags, diag, "in a string it is written \\u{%04X}", (unsigned)c);
    }
}

static void parse(struct parser *p, const struct pv_sources *sources, uint32_t file)
{
    refuse_reordering(p);
    p->grammar = pv_arena_alloc(p->b.arena, pv_grammar_size());
    pv_grammar_start(p->grammar);
    pv_lexer_init(&p->lexer, sources, file, p->b.diags);
    while (!p->done)
        take(p, next(p));
    pv_grammar(p->grammar, PV_TOK_END, invented(p, PV_TOK_END), &p->b);
}

int pv_parse_file(struct pv_arena *arena, const struct pv_sources *sources, struct pv_diags *diags, uint32_t file,
                  struct pv_file **out)
{
    jmp_buf guard;
    jmp_buf *volatile outer = pv_arena_guard(arena, NULL);
    *out = NULL;
    if (setjmp(guard)) {
        pv_arena_guard(arena, outer);
        if (outer)
            longjmp(*outer, 1);
        return PV_E_NOMEM;
    }
    pv_arena_guard(arena, &guard);

    struct parser *p = PV_NEW(arena, struct parser);
    struct pv_file *tree = PV_NEW(arena, struct pv_file);
    p->source = pv_sources_file(sources, file);
    tree->file = file;
    p->b = (struct pv_builder){.arena = arena, .diags = diags, .text = p->source->text, .file = tree};
    p->previous.span = (struct pv_span){file, 0, 0};
    parse(p, sources, file);

    pv_arena_guard(arena, outer);
    *out = tree;
    return 0;
}
