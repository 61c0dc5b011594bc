/* Canonical text: how decisions, traces and records show what a rule says, whatever its author's spacing. Names stay
 * names; parentheses stand only where precedence needs them (`or` < `and` < `not` < comparison). */
#include "engine/sema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_bytes(struct pv_sema *sema, const char *bytes, size_t len)
{
    struct pv_writer *writer = &sema->writer;
    if (len > writer->capacity - writer->n)
        writer->bytes = pv_arena_grow(sema->arena, writer->bytes, writer->n, &writer->capacity, writer->n + len, 1);
    memcpy(writer->bytes + writer->n, bytes, len);
    writer->n += len;
}

static void put(struct pv_sema *sema, const char *text)
{
    put_bytes(sema, text, strlen(text));
}

static void put_text(struct pv_sema *sema, struct pv_text text)
{
    put_bytes(sema, text.ptr, text.len);
}

static struct pv_text finish(struct pv_sema *sema)
{
    struct pv_text text = pv_intern(sema->arena, sema->writer.bytes ? sema->writer.bytes : "", sema->writer.n);
    sema->writer.n = 0;
    return text;
}

static bool is_plain(unsigned char c, bool pattern)
{
    return c >= 0x20 && c != 0x7f && c != '"' && (c != '\\' || pattern);
}

/* A string in quotes; a pattern's backslashes are escapes already. */
static void put_quoted(struct pv_sema *sema, struct pv_text text, bool pattern)
{
    put(sema, "\"");
    for (uint32_t i = 0; i < text.len; i++) {
        uint32_t plain = i; /* what needs no escape goes in one piece */
        while (i < text.len && is_plain((unsigned char)text.ptr[i], pattern))
            i++;
        put_bytes(sema, text.ptr + plain, i - plain);
        if (i == text.len)
            break;
        unsigned char c = (unsigned char)text.ptr[i];
        char escape[16];
        if (c == '"' || (c == '\\' && !pattern)) {
            escape[0] = '\\';
            escape[1] = (char)c;
            put_bytes(sema, escape, 2);
        } else if (c == '\n') {
            put(sema, "\\n");
        } else if (c == '\t') {
            put(sema, "\\t");
        } else {
            snprintf(escape, sizeof escape, "\\u{%X}", c);
            put(sema, escape);
        }
    }
    put(sema, "\"");
}

static void put_pattern(struct pv_sema *sema, struct pv_text pattern)
{
    put(sema, "like ");
    put_quoted(sema, pattern, true);
}

/* ---- Literals ---- */

struct unit {
    const char *word;
    int64_t of;
};

/* The unit that writes a number shortest: the one that leaves the least, the first of equals. */
static void put_with_unit(struct pv_sema *sema, int64_t number, const struct unit *units, size_t n_units)
{
    const struct unit *best = &units[0];
    for (size_t i = 1; i < n_units; i++)
        if (number % units[i].of == 0 && number != 0 && number / units[i].of < number / best->of)
            best = &units[i];
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 "%s", number / best->of, best->word);
    put(sema, text);
}

static void put_size(struct pv_sema *sema, int64_t bytes)
{
    static const struct unit units[] = {{"", 1},          {"KB", 1000},     {"MB", 1000000}, {"GB", 1000000000},
                                        {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    put_with_unit(sema, bytes, units, sizeof units / sizeof *units);
}

static void put_duration(struct pv_sema *sema, int64_t seconds)
{
    static const struct unit units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    put_with_unit(sema, seconds, units, sizeof units / sizeof *units);
}

static void put_clock(struct pv_sema *sema, int64_t seconds)
{
    char text[32];
    snprintf(text, sizeof text, seconds % 60 ? "%02d:%02d:%02d" : "%02d:%02d", (int)(seconds / 3600),
             (int)(seconds / 60 % 60), (int)(seconds % 60));
    put(sema, text);
}

static void put_date(struct pv_sema *sema, int64_t year, unsigned month, unsigned day)
{
    char text[64];
    snprintf(text, sizeof text, "%04" PRId64 "-%02u-%02u", year, month, day);
    put(sema, text);
}

static void put_set(struct pv_sema *sema, const struct pv_ast_set *set)
{
    put(sema, "{ ");
    for (const struct pv_ast_item *item = set->first; item; item = item->next) {
        if (item->kind == PV_AST_ITEM_STRING)
            put_quoted(sema, item->text, false);
        else if (item->kind == PV_AST_ITEM_PATTERN)
            put_pattern(sema, item->text);
        else
            put_text(sema, item->text);
        put(sema, item->next ? ", " : " ");
    }
    put(sema, "}");
}

static void put_literal(struct pv_sema *sema, const struct pv_ast_literal *literal)
{
    int64_t year;
    unsigned month, day;
    char text[32];
    switch (literal->kind) {
    case PV_AST_LIT_STRING: put_quoted(sema, literal->text, false); break;
    case PV_AST_LIT_BOOL: put(sema, literal->number ? "true" : "false"); break;
    case PV_AST_LIT_INT:
        snprintf(text, sizeof text, "%" PRId64, literal->number);
        put(sema, text);
        break;
    case PV_AST_LIT_SIZE: put_size(sema, literal->number); break;
    case PV_AST_LIT_DURATION: put_duration(sema, literal->number); break;
    case PV_AST_LIT_DATE:
        pv_civil_from_days(literal->number, &year, &month, &day);
        put_date(sema, year, month, day);
        break;
    case PV_AST_LIT_CLOCK: put_clock(sema, literal->number); break;
    case PV_AST_LIT_WEEKDAY: put(sema, pv_ast_weekday_word((unsigned)literal->number)); break;
    case PV_AST_LIT_SET: put_set(sema, literal->set); break;
    }
}

/* ---- Subjects and sources ---- */

enum level { LEVEL_OR, LEVEL_AND, LEVEL_NOT, LEVEL_LEAF };

static void put_subject(struct pv_sema *sema, const struct pv_ast_subject *subject, enum level around)
{
    static const enum level levels[] = {
        [PV_AST_SUBJECT_OR] = LEVEL_OR,        [PV_AST_SUBJECT_AND] = LEVEL_AND,    [PV_AST_SUBJECT_NOT] = LEVEL_NOT,
        [PV_AST_SUBJECT_USER] = LEVEL_LEAF,    [PV_AST_SUBJECT_GROUP] = LEVEL_LEAF, [PV_AST_SUBJECT_ROLE] = LEVEL_LEAF,
        [PV_AST_SUBJECT_EVERYONE] = LEVEL_LEAF};
    enum level level = levels[subject->kind];
    if (level < around)
        put(sema, "(");
    switch (subject->kind) {
    case PV_AST_SUBJECT_OR:
    case PV_AST_SUBJECT_AND:
        for (const struct pv_ast_subject *kid = subject->first; kid; kid = kid->next) {
            put_subject(sema, kid, level);
            if (kid->next)
                put(sema, level == LEVEL_OR ? " or " : " and ");
        }
        break;
    case PV_AST_SUBJECT_NOT:
        put(sema, "not ");
        put_subject(sema, subject->first, LEVEL_NOT);
        break;
    case PV_AST_SUBJECT_USER:
    case PV_AST_SUBJECT_GROUP:
        put(sema, subject->kind == PV_AST_SUBJECT_USER ? "user " : "group ");
        put_quoted(sema, subject->name.text, false);
        break;
    case PV_AST_SUBJECT_ROLE: put_text(sema, subject->name.text); break;
    case PV_AST_SUBJECT_EVERYONE: put(sema, "everyone"); break;
    }
    if (level < around)
        put(sema, ")");
}

struct pv_text pv_text_subject(struct pv_sema *sema, const struct pv_ast_subject *subject)
{
    put_subject(sema, subject, LEVEL_OR);
    return finish(sema);
}

static void put_from(struct pv_sema *sema, const struct pv_ast_from *from, enum level around)
{
    static const enum level levels[] = {
        [PV_AST_FROM_OR] = LEVEL_OR,     [PV_AST_FROM_AND] = LEVEL_AND,           [PV_AST_FROM_NOT] = LEVEL_NOT,
        [PV_AST_FROM_NAME] = LEVEL_LEAF, [PV_AST_FROM_SELF_SERVICE] = LEVEL_LEAF, [PV_AST_FROM_ANY] = LEVEL_LEAF};
    enum level level = levels[from->kind];
    if (level < around)
        put(sema, "(");
    switch (from->kind) {
    case PV_AST_FROM_OR:
    case PV_AST_FROM_AND:
        for (const struct pv_ast_from *kid = from->first; kid; kid = kid->next) {
            put_from(sema, kid, level);
            if (kid->next)
                put(sema, level == LEVEL_OR ? " or " : " and ");
        }
        break;
    case PV_AST_FROM_NOT:
        put(sema, "not ");
        put_from(sema, from->first, LEVEL_NOT);
        break;
    case PV_AST_FROM_NAME: put_text(sema, from->name.text); break;
    case PV_AST_FROM_SELF_SERVICE: put(sema, "self_service"); break;
    case PV_AST_FROM_ANY: put(sema, "any"); break;
    }
    if (level < around)
        put(sema, ")");
}

struct pv_text pv_text_from(struct pv_sema *sema, const struct pv_ast_from *from)
{
    put(sema, "from ");
    put_from(sema, from, LEVEL_OR);
    return finish(sema);
}

/* ---- Scopes ---- */

struct pv_text pv_text_commands(struct pv_sema *sema, const struct pv_ast_scope *scope)
{
    put(sema, "to ");
    if (scope->any_command)
        put(sema, "any");
    for (const struct pv_ast_command_ref *ref = scope->commands; ref; ref = ref->next) {
        put_text(sema, ref->name.text);
        if (ref->next)
            put(sema, ", ");
    }
    return finish(sema);
}

static void put_object(struct pv_sema *sema, const struct pv_ast_object *object)
{
    switch (object->kind) {
    case PV_AST_OBJECT_STRING: put_quoted(sema, object->text, false); break;
    case PV_AST_OBJECT_PATTERN: put_pattern(sema, object->text); break;
    case PV_AST_OBJECT_NAME: put_text(sema, object->text); break;
    case PV_AST_OBJECT_SET: put_set(sema, object->set); break;
    case PV_AST_OBJECT_OWN: put(sema, "own"); break;
    }
}

struct pv_text pv_text_object(struct pv_sema *sema, const struct pv_ast_scope *scope)
{
    if (scope->object)
        put_object(sema, scope->object);
    if (scope->except) {
        put(sema, scope->object ? " except " : "except ");
        put_object(sema, scope->except);
    }
    if (!pv_span_is_none(scope->with_dependencies))
        put(sema, " with dependencies");
    return finish(sema);
}

static void put_windows(struct pv_sema *sema, const struct pv_ast_ref *windows)
{
    for (const struct pv_ast_ref *ref = windows; ref; ref = ref->next) {
        put_text(sema, ref->name.text);
        if (ref->next)
            put(sema, " or ");
    }
}

struct pv_text pv_text_windows(struct pv_sema *sema, const struct pv_ast_ref *windows)
{
    put_windows(sema, windows);
    return finish(sema);
}

/* ---- Expressions ---- */

static enum level level_of(const struct pv_ast_expr *expr)
{
    switch (expr->kind) {
    case PV_AST_OR: return LEVEL_OR;
    case PV_AST_AND: return LEVEL_AND;
    case PV_AST_NOT: return LEVEL_NOT;
    default: return LEVEL_LEAF;
    }
}

static void put_expr(struct pv_sema *sema, const struct pv_ast_expr *expr, enum level around)
{
    enum level level = level_of(expr);
    if (level < around)
        put(sema, "(");
    const char *word = NULL; /* of a test with two operands */
    switch (expr->kind) {
    case PV_AST_OR:
    case PV_AST_AND:
        for (const struct pv_ast_expr *kid = expr->first; kid; kid = kid->next) {
            put_expr(sema, kid, level);
            if (kid->next)
                put(sema, level == LEVEL_OR ? " or " : " and ");
        }
        break;
    case PV_AST_NOT:
        put(sema, "not ");
        put_expr(sema, expr->first, LEVEL_NOT);
        break;
    case PV_AST_COMPARE: word = pv_ast_cmp_word(expr->cmp); break;
    case PV_AST_IN: word = "in"; break;
    case PV_AST_LIKE: word = "like"; break;
    case PV_AST_OVERLAPS: word = "overlaps"; break;
    case PV_AST_HAS:
        put(sema, "has ");
        put_expr(sema, expr->first, LEVEL_LEAF);
        break;
    case PV_AST_NAME:
    case PV_AST_PATH: put_text(sema, expr->path->text); break;
    case PV_AST_LITERAL: put_literal(sema, expr->literal); break;
    case PV_AST_SET: put_set(sema, expr->set); break;
    case PV_AST_PATTERN: put_quoted(sema, expr->pattern, true); break;
    }
    if (word) {
        put_expr(sema, expr->first, LEVEL_LEAF);
        put(sema, " ");
        put(sema, word);
        put(sema, " ");
        put_expr(sema, expr->first->next, LEVEL_LEAF);
    }
    if (level < around)
        put(sema, ")");
}

struct pv_text pv_text_clause(struct pv_sema *sema, const struct pv_ast_clause *clause)
{
    put(sema, pv_ast_clause_word(clause->kind));
    put(sema, " ");
    switch (clause->kind) {
    case PV_AST_WHEN:
    case PV_AST_UNLESS: put_expr(sema, clause->expr, LEVEL_OR); break;
    case PV_AST_DURING: put_windows(sema, clause->windows); break;
    case PV_AST_UNTIL: put_date(sema, clause->date.year, clause->date.month, clause->date.day); break;
    case PV_AST_BECAUSE: put_quoted(sema, clause->string.text, false); break;
    }
    return finish(sema);
}
