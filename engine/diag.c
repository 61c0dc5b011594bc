/* The collector of diagnostics, their order, and their text for people. */
#include "engine/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ERROR   PV_SEV_ERROR
#define WARNING PV_SEV_WARNING
#define NOTE    PV_SEV_NOTE

static const struct pv_diag_info infos[PV_N_DIAG_CODES] = {
#define DIGIT(number, place) ((char)('0' + (number) / (place) % 10))
#define CODE(number)                                                                                                   \
    {                                                                                                                  \
        'P', 'V', DIGIT(number, 1000), DIGIT(number, 100), DIGIT(number, 10), DIGIT(number, 1), 0                      \
    }
#define PV_DIAG(NAME, number, severity, title, summary) {CODE(number), title, summary, number, severity},
#include "engine/diag_codes.def"
#undef PV_DIAG
};

const struct pv_diag_info *pv_diag_info(enum pv_diag_code code)
{
    return &infos[code];
}

int pv_diag_from_code(const char *text)
{
    if (strncasecmp(text, "PV", 2) != 0 || strlen(text) != 6)
        return -1;
    char *end;
    unsigned long number = strtoul(text + 2, &end, 10);
    if (*end)
        return -1;
    for (int i = 0; i < PV_N_DIAG_CODES; i++) {
        if (infos[i].number == number)
            return i;
    }
    return -1;
}

const char *pv_severity_name(enum pv_severity severity)
{
    static const char *const names[] = {"error", "warning", "note"};
    return names[severity];
}

void pv_diags_init(struct pv_diags *diags, struct pv_arena *arena, const struct pv_sources *sources)
{
    *diags = (struct pv_diags){.arena = arena, .sources = sources, .max_kept = PV_DIAGS_KEPT};
}

/* ---- Reporting ---- */

/* Sentences quote what users wrote: control characters are shown as \xNN, so that a terminal shows text and obeys
 * nothing. */
static const char *sentence(struct pv_arena *arena, const char *format, va_list args)
{
    char *text = pv_arena_vprintf(arena, format, args);
    if (!text)
        return "";
    size_t bad = 0, len = strlen(text);
    for (size_t i = 0; i < len; i++)
        bad += (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
    if (!bad)
        return text;
    char *clean = pv_arena_alloc(arena, len + bad * 3 + 1), *to = clean;
    if (!clean)
        return "";
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            to += snprintf(to, 5, "\\x%02x", (unsigned)(unsigned char)text[i]);
        else
            *to++ = text[i];
    }
    return clean;
}

/* Counts one more, and lists it where there is room. */
static bool add(struct pv_diags *diags, struct pv_diag *diag, enum pv_severity severity)
{
    diags->n_errors += severity == PV_SEV_ERROR;
    diags->n_warnings += severity == PV_SEV_WARNING;
    if (!diag || diags->n >= diags->max_kept)
        return false;
    struct pv_diag **list =
        pv_arena_grow(diags->arena, diags->list, diags->n, &diags->capacity, diags->n + 1, sizeof *list);
    if (!list)
        return false;
    diags->list = list;
    diags->list[diags->n++] = diag;
    return true;
}

struct pv_diag *pv_report(struct pv_diags *diags, enum pv_diag_code code, struct pv_span span, const char *format, ...)
{
    enum pv_severity severity = infos[code].severity;
    diags->dropped = (struct pv_diag){.code = code, .severity = severity};
    struct pv_diag *diag = diags->n < diags->max_kept ? PV_NEW(diags->arena, struct pv_diag) : NULL;
    if (!add(diags, diag, severity))
        return &diags->dropped;
    va_list args;
    va_start(args, format);
    const char *text = sentence(diags->arena, format, args);
    va_end(args);
    *diag =
        (struct pv_diag){.code = code, .severity = severity, .span = span, .text = text, .order = (uint32_t)diags->n};
    return diag;
}

void pv_diags_take(struct pv_diags *diags, struct pv_diag *diag)
{
    add(diags, diag, diag->severity);
    diag->order = (uint32_t)diags->n;
}

void pv_diag_hint(struct pv_diags *diags, struct pv_diag *diag, const char *format, ...)
{
    if (diag == &diags->dropped)
        return;
    va_list args;
    va_start(args, format);
    diag->hint = sentence(diags->arena, format, args);
    va_end(args);
}

void pv_diag_related(struct pv_diags *diags, struct pv_diag *diag, struct pv_span span, const char *format, ...)
{
    struct pv_related *related = diag == &diags->dropped ? NULL : PV_NEW(diags->arena, struct pv_related);
    if (!related)
        return;
    va_list args;
    va_start(args, format);
    *related = (struct pv_related){.span = span, .text = sentence(diags->arena, format, args)};
    va_end(args);
    *(diag->last_related ? &diag->last_related->next : &diag->related) = related;
    diag->last_related = related;
}

void pv_diag_fix(struct pv_diags *diags, struct pv_diag *diag, struct pv_span span, const char *format, ...)
{
    struct pv_fix *fix = diag == &diags->dropped ? NULL : PV_NEW(diags->arena, struct pv_fix);
    if (!fix)
        return;
    va_list args;
    va_start(args, format);
    const char *text = pv_arena_vprintf(diags->arena, format, args);
    va_end(args);
    *fix = (struct pv_fix){.span = span, .text = text ? text : ""};
    *(diag->last_fix ? &diag->last_fix->next : &diag->fixes) = fix;
    diag->last_fix = fix;
}

uint32_t pv_diags_errors(const struct pv_diags *diags)
{
    return diags->n_errors;
}

/* ---- Order ---- */

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* By place, then severity and code; equal ones by text, so that duplicates are neighbours. What has no place comes
 * last. */
static int by_place(const void *left, const void *right)
{
    const struct pv_diag *a = *(const struct pv_diag *const *)left, *b = *(const struct pv_diag *const *)right;
    int c = COMPARE(a->span.file, b->span.file);
    c = c ? c : COMPARE(a->span.start, b->span.start);
    c = c ? c : COMPARE(a->severity, b->severity);
    c = c ? c : COMPARE(a->code, b->code);
    c = c ? c : COMPARE(a->span.end, b->span.end);
    c = c ? c : strcmp(a->text, b->text);
    return c ? c : COMPARE(a->order, b->order);
}

static bool same(const struct pv_diag *a, const struct pv_diag *b)
{
    return a->code == b->code && a->span.file == b->span.file && a->span.start == b->span.start &&
           a->span.end == b->span.end && strcmp(a->text, b->text) == 0;
}

void pv_diags_finish(struct pv_diags *diags)
{
    if (!diags->n)
        return;
    qsort(diags->list, diags->n, sizeof *diags->list, by_place);
    size_t kept = 1;
    for (size_t i = 1; i < diags->n; i++) {
        if (!same(diags->list[kept - 1], diags->list[i])) {
            diags->list[kept++] = diags->list[i];
            continue;
        }
        diags->n_errors -= diags->list[i]->severity == PV_SEV_ERROR;
        diags->n_warnings -= diags->list[i]->severity == PV_SEV_WARNING;
    }
    diags->n = kept;
}

/* ---- Text ---- */

#define TAB_WIDTH  8u
#define LINE_WIDTH 160u /* columns of a source line that are shown */

struct paint {
    const char *error, *warning, *note, *bold, *caret, *off;
};
static const struct paint colours = {"\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1m", "\033[1;32m", "\033[0m"};
static const struct paint plain = {"", "", "", "", "", ""};

/* One code point of a source line as it is shown: its bytes in the line and its columns. Tabs are expanded, control
 * characters shown as `?`. */
struct glyph {
    size_t bytes;
    unsigned columns;
    uint32_t code_point;
};

static struct glyph glyph_at(const char *line, size_t len, unsigned column)
{
    struct glyph glyph;
    glyph.bytes = pv_utf8_decode(line, len, &glyph.code_point);
    if (!glyph.bytes) {
        glyph.bytes = 1;
        glyph.code_point = 0;
    }
    if (glyph.code_point == '\t')
        glyph.columns = TAB_WIDTH - column % TAB_WIDTH;
    else
        glyph.columns = (unsigned)pv_utf8_width(glyph.code_point);
    return glyph;
}

static bool wider_than(const char *line, size_t len, unsigned limit)
{
    unsigned column = 0;
    for (size_t at = 0; at < len && column <= limit;) {
        struct glyph glyph = glyph_at(line + at, len - at, column);
        column += glyph.columns;
        at += glyph.bytes;
    }
    return column > limit;
}

/* The start of the shown part of a line that is too wide: such that the caret stands in its first third. */
static size_t shown_from(const char *line, size_t caret)
{
    unsigned back = 0;
    while (caret > 0 && back < LINE_WIDTH / 3) {
        caret--;
        back += ((unsigned char)line[caret] & 0xc0) != 0x80;
    }
    while (caret > 0 && ((unsigned char)line[caret] & 0xc0) == 0x80)
        caret--;
    return caret;
}

static void put_glyph(FILE *out, const char *bytes, struct glyph glyph)
{
    if (glyph.code_point == '\t')
        fprintf(out, "%*s", (int)glyph.columns, "");
    else if (glyph.code_point < 0x20 || (glyph.code_point >= 0x7f && glyph.code_point < 0xa0))
        fputc('?', out);
    else
        fwrite(bytes, 1, glyph.bytes, out);
}

/* The line of a place with a caret line under it. A span that goes on behind the line is marked to the line's end. */
static void print_excerpt(const struct pv_diags *diags, struct pv_span span, const struct paint *paint, FILE *out)
{
    struct pv_place place = pv_sources_place(diags->sources, span.file, span.start);
    uint32_t len;
    const char *line = pv_sources_line(diags->sources, span.file, place.line, &len);
    const struct pv_source_file *file = pv_sources_file(diags->sources, span.file);
    size_t start = span.start - file->lines[place.line - 1], end = start + (span.end - span.start);
    if (start > len)
        start = len;
    if (end > len)
        end = len;
    size_t from = wider_than(line, len, LINE_WIDTH) ? shown_from(line, start) : 0;

    fputs(from ? " | ..." : " | ", out);
    unsigned column = 0, caret = 0, width = 0;
    size_t at = from;
    while (at < len && column < LINE_WIDTH) {
        struct glyph glyph = glyph_at(line + at, len - at, column);
        put_glyph(out, line + at, glyph);
        caret += at < start ? glyph.columns : 0;
        width += at >= start && at < end ? glyph.columns : 0;
        column += glyph.columns;
        at += glyph.bytes;
    }
    fprintf(out, "%s\n | %s%*s%s^", at < len ? "..." : "", from ? "   " : "", (int)caret, "", paint->caret);
    for (unsigned i = 1; i < width; i++)
        fputc('~', out);
    fprintf(out, "%s\n", paint->off);
}

static void print_place(const struct pv_diags *diags, struct pv_span span, const struct paint *paint, FILE *out)
{
    struct pv_place place = pv_sources_place(diags->sources, span.file, span.start);
    if (place.line)
        fprintf(out, "%s%s:%u:%u:%s ", paint->bold, place.path, place.line, place.column, paint->off);
}

/* A fix in words, where there is no hint. */
static void print_fix(const struct pv_fix *fix, const struct paint *paint, FILE *out)
{
    fprintf(out, "  %shint:%s ", paint->note, paint->off);
    const char *text = fix->text + strspn(fix->text, " ");
    int len = (int)strlen(text);
    while (len && text[len - 1] == ' ')
        len--;
    if (!len)
        fputs("leave it out\n", out);
    else
        fprintf(out, "%s `%.*s`\n", fix->span.start == fix->span.end ? "add" : "write", len, text);
}

static void print_one(const struct pv_diags *diags, const struct pv_diag *diag, const struct paint *paint, FILE *out)
{
    const char *colour = diag->severity == PV_SEV_ERROR     ? paint->error
                         : diag->severity == PV_SEV_WARNING ? paint->warning
                                                            : paint->note;
    print_place(diags, diag->span, paint, out);
    fprintf(out, "%s%s[%s]:%s %s\n", colour, pv_severity_name(diag->severity), infos[diag->code].code, paint->off,
            diag->text);
    if (pv_sources_file(diags->sources, diag->span.file))
        print_excerpt(diags, diag->span, paint, out);
    for (const struct pv_related *related = diag->related; related; related = related->next) {
        fputs("  ", out);
        print_place(diags, related->span, paint, out);
        fprintf(out, "%snote:%s %s\n", paint->note, paint->off, related->text);
    }
    if (diag->hint)
        fprintf(out, "  %shint:%s %s\n", paint->note, paint->off, diag->hint);
    else if (diag->fixes && !diag->fixes->next)
        print_fix(diag->fixes, paint, out);
}

void pv_diags_print(struct pv_diags *diags, FILE *out, bool colour, uint32_t max)
{
    pv_diags_finish(diags);
    size_t room = max ? max : PV_DIAGS_SHOWN, shown = 0, errors = 0;
    for (size_t i = 0; i < diags->n; i++)
        errors += diags->list[i]->severity == PV_SEV_ERROR;
    /* Warnings leave room for the errors behind them. */
    for (size_t i = 0; i < diags->n && shown < room; i++) {
        bool error = diags->list[i]->severity == PV_SEV_ERROR;
        if (!error && room - shown <= errors)
            continue;
        print_one(diags, diags->list[i], colour ? &colours : &plain, out);
        shown++;
        errors -= error;
    }
    size_t rest = diags->n - shown;
    if (diags->n == diags->max_kept) {
        size_t all = (size_t)diags->n_errors + diags->n_warnings;
        rest = all > shown ? all - shown : rest;
    }
    if (rest)
        fprintf(out, "... and %zu more\n", rest);
}

/* ---- Suggestions ---- */

#define MAX_LIMIT 8u
#define MAX_WORD  128u /* longer names are compared by this much */

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned pv_edit_distance(const char *a, size_t a_len, const char *b, size_t b_len, unsigned limit)
{
    unsigned rows[3][MAX_WORD + 1];
    unsigned *above = rows[0], *before = rows[1], *row = rows[2];

    limit = least(limit, MAX_LIMIT);
    if ((a_len > b_len ? a_len - b_len : b_len - a_len) > limit)
        return limit + 1;
    a_len = a_len > MAX_WORD ? MAX_WORD : a_len;
    b_len = b_len > MAX_WORD ? MAX_WORD : b_len;
    for (unsigned j = 0; j <= b_len; j++)
        before[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        row[0] = i;
        unsigned best = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned cost = fold(a[i - 1]) != fold(b[j - 1]);
            row[j] = least(least(before[j] + 1, row[j - 1] + 1), before[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                row[j] = least(row[j], above[j - 2] + 1);
            best = least(best, row[j]);
        }
        if (best > limit)
            return limit + 1;
        unsigned *spare = above;
        above = before;
        before = row;
        row = spare;
    }
    return least(before[b_len], limit + 1);
}

void pv_nearest_init(struct pv_nearest *nearest, const char *name, size_t len)
{
    unsigned third = (unsigned)(len < 2 ? 0 : len > 9 ? 3 : (len + 2) / 3);
    *nearest = (struct pv_nearest){.name = name, .len = len, .distance = third + 1};
}

void pv_nearest_offer(struct pv_nearest *nearest, const char *candidate, size_t len)
{
    if (nearest->distance == 0)
        return;
    unsigned distance = pv_edit_distance(nearest->name, nearest->len, candidate, len, nearest->distance - 1);
    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    nearest->best = candidate;
    nearest->best_len = len;
}
