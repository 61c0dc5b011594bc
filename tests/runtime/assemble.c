/* The test assembler; assemble.h has the language. The text is read twice: the first reading gathers strings and
 * numbers, which are then sorted, the second makes the rows with their final indices. */
#include "tests/runtime/assemble.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/internal.h"
#include "runtime/verify.h"

struct rows {
    char *data;
    size_t n, size;
};

struct assembler {
    const char *at;
    int line;
    bool gathering;
    char **strings; /* sorted after the first reading */
    size_t n_strings;
    int64_t *ints;
    size_t n_ints;
    uint32_t name, title, flags, plan_entry;
    uint64_t version;
    struct rows s[PVB_N_SECTIONS];
    /* Labels of the program under construction: an instruction's jt and jf are labels until they are resolved. */
    uint32_t *labels;
    uint32_t n_labels;
};

static const size_t row_sizes[] = {
#define ROW(id, type, field) [PVB_##id] = sizeof(type),
    PV_SECTIONS(ROW)
#undef ROW
};

static void die(const struct assembler *a, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

static void die(const struct assembler *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "assemble: line %d: ", a->line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(99);
}

static void *more(void *p, size_t size)
{
    void *grown = realloc(p, size);
    if (!grown)
        exit(99);
    return grown;
}

static void *add(struct assembler *a, enum pvb_section section)
{
    struct rows *r = &a->s[section];
    r->data = more(r->data, (r->n + 1) * row_sizes[section]);
    void *row = r->data + r->n++ * row_sizes[section];
    memset(row, 0, row_sizes[section]);
    return row;
}

static uint32_t count(const struct assembler *a, enum pvb_section section)
{
    return (uint32_t)a->s[section].n;
}

#define LAST(a, section, type) ((type *)(void *)((a)->s[section].data) + (a)->s[section].n - 1)
#define ROWS(a, section, type) ((type *)(void *)((a)->s[section].data))

/* ---- Words ---- */

static void skip_blanks(struct assembler *a)
{
    while (*a->at == ' ' || *a->at == '\t')
        a->at++;
    if (*a->at == '#')
        a->at += strcspn(a->at, "\n");
}

static bool at_end(struct assembler *a)
{
    skip_blanks(a);
    return !*a->at || *a->at == '\n';
}

/* The next word of the line, unquoted, in a static buffer; `quoted` tells which it was. "" at the end of the line. */
static bool quoted;
static const char *word(struct assembler *a)
{
    static char buffer[8][8192];
    static int turn;
    char *out = buffer[turn = (turn + 1) % 8];
    size_t n = 0;
    quoted = false;
    if (at_end(a))
        return "";
    if (*a->at != '"') {
        while (*a->at && !isspace((unsigned char)*a->at))
            out[n++] = *a->at++;
        out[n] = '\0';
        return out;
    }
    quoted = true;
    for (a->at++; *a->at != '"'; a->at++) {
        if (!*a->at || *a->at == '\n' || n + 2 > sizeof(*buffer))
            die(a, "a string that does not end");
        if (*a->at == '\\' && *++a->at == 'n')
            out[n++] = '\n';
        else
            out[n++] = *a->at;
    }
    a->at++;
    out[n] = '\0';
    return out;
}

static bool next_is(struct assembler *a, const char *what)
{
    skip_blanks(a);
    size_t len = strlen(what);
    if (strncmp(a->at, what, len) != 0 || (a->at[len] && !isspace((unsigned char)a->at[len])))
        return false;
    a->at += len;
    return true;
}

static int64_t number(struct assembler *a)
{
    const char *w = word(a);
    char *end;
    long long value = strtoll(w, &end, 10);
    if (!*w || *end)
        die(a, "`%s` is not a number", w);
    return value;
}

static int compare_strings(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static int compare_ints(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

static uint32_t string(struct assembler *a, const char *text)
{
    if (a->gathering) {
        a->strings = more(a->strings, (a->n_strings + 1) * sizeof(*a->strings));
        a->strings[a->n_strings++] = strdup(text);
        return 0;
    }
    char **found = bsearch(&text, a->strings, a->n_strings, sizeof(*a->strings), compare_strings);
    if (!found)
        die(a, "a string that was not gathered");
    return (uint32_t)(found - a->strings);
}

static uint32_t integer(struct assembler *a, int64_t value)
{
    if (a->gathering) {
        a->ints = more(a->ints, (a->n_ints + 1) * sizeof(*a->ints));
        a->ints[a->n_ints++] = value;
        return 0;
    }
    int64_t *found = bsearch(&value, a->ints, a->n_ints, sizeof(*a->ints), compare_ints);
    if (!found)
        die(a, "a number that was not gathered");
    return (uint32_t)(found - a->ints);
}

/* ---- Names: known in the second reading only ---- */

static uint32_t find(struct assembler *a, enum pvb_section section, size_t name_at, const char *name)
{
    if (a->gathering)
        return 0;
    uint32_t wanted = string(a, name);
    for (size_t i = 0; i < a->s[section].n; i++) {
        uint32_t got;
        memcpy(&got, a->s[section].data + i * row_sizes[section] + name_at, 4);
        if (got == wanted)
            return (uint32_t)i;
    }
    die(a, "no `%s` before this", name);
}

static uint32_t slot(struct assembler *a, const char *path)
{
    string(a, path);
    return find(a, PVB_ATTRS, offsetof(struct pvb_attr, path), path);
}

static uint32_t set_named(struct assembler *a, const char *name)
{
    string(a, name);
    return find(a, PVB_SETS, offsetof(struct pvb_set, name), name);
}

static uint32_t window_named(struct assembler *a, const char *name)
{
    string(a, name);
    return find(a, PVB_WINDOWS, offsetof(struct pvb_window, name), name);
}

static int one_of(struct assembler *a, const char *what, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], what) == 0)
            return i;
    }
    die(a, "`%s` is not known here", what);
}
#define ONE_OF(a, what, ...)                                                                                           \
    one_of(a, what, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static uint8_t type_named(struct assembler *a, const char *name)
{
    return (uint8_t)ONE_OF(a, name, "none", "bool", "int", "string", "version", "duration", "date", "clock", "weekday",
                           "strings");
}

static uint8_t order_named(struct assembler *a, const char *name)
{
    return (uint8_t)ONE_OF(a, name, "command", "dpkg", "semver", "rpm", "nuget");
}

/* ---- Globs ---- */

static uint32_t glob(struct assembler *a, const char *pattern)
{
    struct pvb_glob *g = add(a, PVB_GLOBS);
    g->text = string(a, pattern);
    g->first = count(a, PVB_GLOB_TOKENS);
    for (const unsigned char *p = (const unsigned char *)pattern; *p;) {
        uint32_t token = *p++;
        if (token == '?') {
            token = PVB_GLOB_ONE;
        } else if (token == '*') {
            token = *p == '*' ? PVB_GLOB_STAR_STAR : PVB_GLOB_STAR;
            p += *p == '*';
        } else if (token >= 0x80) {
            int trail = token >= 0xf0 ? 3 : token >= 0xe0 ? 2 : 1;
            token &= 0x3fu >> trail;
            while (trail-- > 0)
                token = token << 6 | (*p++ & 0x3fu);
        }
        *(uint32_t *)add(a, PVB_GLOB_TOKENS) = token;
    }
    LAST(a, PVB_GLOBS, struct pvb_glob)->n = count(a, PVB_GLOB_TOKENS) - LAST(a, PVB_GLOBS, struct pvb_glob)->first;
    return count(a, PVB_GLOBS) - 1;
}

/* ---- Instructions ---- */

static uint8_t comparison(struct assembler *a)
{
    return (uint8_t)ONE_OF(a, word(a), "==", "!=", "<", "<=", ">", ">=");
}

static uint8_t optional_order(struct assembler *a)
{
    skip_blanks(a);
    return isalpha((unsigned char)*a->at) ? (uint8_t)(order_named(a, word(a)) << 4) : 0;
}

static struct pvb_insn instruction(struct assembler *a)
{
    const char *name = word(a);
    struct pvb_insn i = {0};
    while (i.op < PVB_N_OPS && strcmp(pv_ops[i.op].name, name) != 0)
        i.op++;
    if (i.op == PVB_N_OPS)
        die(a, "no instruction `%s`", name);
    enum pv_shape shape = pv_ops[i.op].shape;
    if (shape == PV_SHAPE_CONST) {
        i.cmp = (uint8_t)number(a);
    } else if (shape == PV_SHAPE_WINDOW) {
        i.arg = window_named(a, word(a));
    } else if (shape < PV_SHAPE_WINDOW) {
        i.slot = (uint16_t)slot(a, word(a));
        switch (shape) {
        case PV_SHAPE_SLOT_INT:
            i.cmp = comparison(a);
            i.arg = integer(a, number(a));
            break;
        case PV_SHAPE_SLOT_INT2:
            i.cmp = comparison(a);
            i.arg = slot(a, word(a));
            break;
        case PV_SHAPE_SLOT_STR:
        case PV_SHAPE_SETSLOT_STR: i.arg = string(a, word(a)); break;
        case PV_SHAPE_SLOT_SET:
        case PV_SHAPE_SETSLOT_SET: i.arg = set_named(a, word(a)); break;
        case PV_SHAPE_SLOT_STR2:
        case PV_SHAPE_SLOT_SETSLOT:
        case PV_SHAPE_SETSLOT2: i.arg = slot(a, word(a)); break;
        case PV_SHAPE_SLOT_GLOB: i.arg = glob(a, word(a)); break;
        case PV_SHAPE_SLOT_VER:
            i.cmp = comparison(a);
            i.arg = string(a, word(a));
            i.cmp |= optional_order(a);
            break;
        case PV_SHAPE_SLOT_VER2:
            i.cmp = comparison(a);
            i.arg = slot(a, word(a));
            i.cmp |= optional_order(a);
            break;
        default: break;
        }
    }
    return i;
}

static void clause(struct assembler *a, uint32_t kind, const char *text)
{
    struct pvb_clause *c = add(a, PVB_CLAUSES);
    c->kind = kind;
    c->text = string(a, text);
    c->first_insn = count(a, PVB_CLAUSE_CODE);
    do {
        struct pvb_insn i = instruction(a);
        *(struct pvb_insn *)add(a, PVB_CLAUSE_CODE) = i;
    } while (next_is(a, ";"));
    *(struct pvb_insn *)add(a, PVB_CLAUSE_CODE) = (struct pvb_insn){.op = PVB_OP_END};
    c = LAST(a, PVB_CLAUSES, struct pvb_clause);
    c->n_insns = count(a, PVB_CLAUSE_CODE) - c->first_insn;
    *(struct pvb_debug_clause *)add(a, PVB_DEBUG_CLAUSES) =
        (struct pvb_debug_clause){(uint32_t)a->line, 1, (uint32_t)a->line, 2};
}

/* ---- `decide`, from the clauses ---- */

static uint32_t label(struct assembler *a)
{
    a->labels = more(a->labels, (a->n_labels + 1) * sizeof(*a->labels));
    a->labels[a->n_labels] = UINT32_MAX;
    return a->n_labels++;
}

static void place(struct assembler *a, uint32_t l)
{
    a->labels[l] = count(a, PVB_DECIDE);
}

/* The first instruction of the operand that ends before `end` (postfix). */
static uint32_t operand_start(const struct pvb_insn *code, uint32_t end)
{
    uint32_t wanted = 1;
    while (wanted) {
        end--;
        wanted--;
        if (code[end].op == PVB_OP_AND || code[end].op == PVB_OP_OR)
            wanted += 2;
        else if (code[end].op == PVB_OP_NOT)
            wanted += 1;
    }
    return end;
}

/* Code for the operand whose last instruction is `last`: jumps to label t when true, to f when not. */
static void jumping(struct assembler *a, uint32_t last, uint32_t t, uint32_t f)
{
    const struct pvb_insn *code = ROWS(a, PVB_CLAUSE_CODE, struct pvb_insn);
    struct pvb_insn i = code[last];
    if (i.op == PVB_OP_NOT) {
        jumping(a, last - 1, f, t);
    } else if (i.op == PVB_OP_AND || i.op == PVB_OP_OR) {
        uint32_t right = operand_start(code, last), next = label(a);
        jumping(a, right - 1, i.op == PVB_OP_AND ? next : t, i.op == PVB_OP_AND ? f : next);
        place(a, next);
        jumping(a, last - 1, t, f);
    } else {
        i.jt = t;
        i.jf = f;
        *(struct pvb_insn *)add(a, PVB_DECIDE) = i;
    }
}

static void return_effect(struct assembler *a, enum pv_join effect)
{
    *(struct pvb_insn *)add(a, PVB_DECIDE) = (struct pvb_insn){.op = PVB_OP_RETURN, .arg = effect};
}

static void rule_code(struct assembler *a, const struct pvb_rule *r, enum pv_join effect)
{
    const struct pvb_clause *clauses = ROWS(a, PVB_CLAUSES, struct pvb_clause);
    uint32_t miss = label(a);
    for (uint32_t c = r->first_clause; c < r->first_clause + r->n_clauses; c++) {
        uint32_t hit = label(a);
        jumping(a, clauses[c].first_insn + clauses[c].n_insns - 2, hit, miss);
        place(a, hit);
    }
    return_effect(a, effect);
    place(a, miss);
}

static void decide(struct assembler *a)
{
    for (enum pv_join effect = PV_JOIN_DIRECT; effect > PV_JOIN_NONE; effect--) {
        if (effect == PV_JOIN_DENY)
            a->plan_entry = count(a, PVB_DECIDE);
        for (uint32_t i = 0; i < count(a, PVB_RULES); i++) {
            const struct pvb_rule *r = &ROWS(a, PVB_RULES, struct pvb_rule)[i];
            enum pv_join of = r->kind == PV_RULE_DIRECT                                    ? PV_JOIN_DIRECT
                              : r->kind == PV_RULE_ALLOW                                   ? PV_JOIN_ALLOW
                              : r->kind == PV_RULE_DENY || r->kind == PV_RULE_BUILTIN_DENY ? PV_JOIN_DENY
                                                                                           : PV_JOIN_NONE;
            if (of == effect)
                rule_code(a, r, effect);
        }
    }
    return_effect(a, PV_JOIN_NONE);
    for (uint32_t i = 0; i < count(a, PVB_DECIDE); i++) {
        struct pvb_insn *insn = &ROWS(a, PVB_DECIDE, struct pvb_insn)[i];
        if (insn->op != PVB_OP_RETURN) {
            insn->jt = a->labels[insn->jt];
            insn->jf = a->labels[insn->jf];
        }
    }
}

/* ---- Statements ---- */

static void attribute(struct assembler *a, const char *path, uint8_t type, uint8_t flags, uint8_t scope, uint8_t order)
{
    uint32_t name = string(a, path);
    for (uint32_t i = 0; !a->gathering && i < count(a, PVB_ATTRS); i++) {
        if (ROWS(a, PVB_ATTRS, struct pvb_attr)[i].path == name)
            return; /* the same argument of another command */
    }
    *(struct pvb_attr *)add(a, PVB_ATTRS) = (struct pvb_attr){name, type, flags, scope, order};
}

static void attr_statement(struct assembler *a)
{
    const char *path = word(a);
    uint8_t type = type_named(a, word(a)), flags = 0, order = 0;
    while (!at_end(a)) {
        if (next_is(a, "optional"))
            flags |= PV_ATTR_OPT;
        else if (next_is(a, "default"))
            flags |= PV_ATTR_DEFAULT;
        else
            order = order_named(a, word(a));
    }
    attribute(a, path, type, flags, PV_SCOPE_ANY, order);
}

static int compare_u32(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static void set_statement(struct assembler *a)
{
    const char *name = word(a);
    struct pvb_set s = {.name = strcmp(name, "-") == 0 ? 0 : string(a, name),
                        .first_member = count(a, PVB_SET_MEMBERS),
                        .first_glob = count(a, PVB_SET_GLOBS),
                        .except = PVB_NONE};
    while (!at_end(a)) {
        if (next_is(a, "except")) {
            s.except = find(a, PVB_SETS, offsetof(struct pvb_set, name), word(a));
        } else if (next_is(a, "like")) {
            uint32_t g = glob(a, word(a));
            *(uint32_t *)add(a, PVB_SET_GLOBS) = g;
            s.n_globs++;
        } else {
            uint32_t member = string(a, word(a));
            *(uint32_t *)add(a, PVB_SET_MEMBERS) = member;
            s.n_members++;
        }
    }
    if (s.n_members)
        qsort(ROWS(a, PVB_SET_MEMBERS, uint32_t) + s.first_member, s.n_members, 4, compare_u32);
    *(struct pvb_set *)add(a, PVB_SETS) = s;
}

static void zone_statement(struct assembler *a)
{
    uint32_t name = string(a, word(a));
    ROWS(a, PVB_ZONES, uint32_t)[0] = name;
}

static void window_statement(struct assembler *a)
{
    struct pvb_window w = {.name = string(a, word(a)), .first_alt = count(a, PVB_WINDOW_ALTS)};
    if (next_is(a, "zone")) {
        uint32_t name = string(a, word(a));
        w.zone = count(a, PVB_ZONES);
        *(uint32_t *)add(a, PVB_ZONES) = name;
    }
    *(struct pvb_window *)add(a, PVB_WINDOWS) = w;
}

static int32_t date(struct assembler *a)
{
    const char *w = word(a);
    int y;
    unsigned m, d;
    if (sscanf(w, "%d-%u-%u", &y, &m, &d) != 3)
        die(a, "`%s` is not a date", w);
    return (int32_t)pv_days_from_civil(y, m, d);
}

static int32_t clock_of(struct assembler *a)
{
    const char *w = word(a);
    int h, m;
    if (sscanf(w, "%d:%d", &h, &m) != 2)
        die(a, "`%s` is not a clock", w);
    return h * 3600 + m * 60;
}

static void alt_statement(struct assembler *a)
{
    struct pvb_window_alt alt = {.ref = PVB_NONE,
                                 .except = PVB_NONE,
                                 .first_day = count(a, PVB_WINDOW_DAYS),
                                 .first_date = count(a, PVB_WINDOW_DATES),
                                 .first_clock = count(a, PVB_WINDOW_CLOCKS)};
    while (!at_end(a)) {
        if (next_is(a, "days")) {
            alt.has_days = 1;
            alt.day_mask = (uint32_t)number(a);
        } else if (next_is(a, "nth")) {
            alt.has_days = 1;
            int32_t nth = (int32_t)number(a);
            int32_t weekday = ONE_OF(a, word(a), "mon", "tue", "wed", "thu", "fri", "sat", "sun");
            *(struct pvb_nth_day *)add(a, PVB_WINDOW_DAYS) = (struct pvb_nth_day){nth, weekday};
            alt.n_days++;
        } else if (next_is(a, "dates")) {
            int32_t from = date(a), to = date(a);
            *(struct pvb_date_range *)add(a, PVB_WINDOW_DATES) = (struct pvb_date_range){0, from, to};
            alt.n_dates++;
        } else if (next_is(a, "yearly")) {
            int32_t from = (int32_t)number(a), to = (int32_t)number(a);
            *(struct pvb_date_range *)add(a, PVB_WINDOW_DATES) = (struct pvb_date_range){1, from, to};
            alt.n_dates++;
        } else if (next_is(a, "clock")) {
            int32_t from = clock_of(a), to = clock_of(a);
            *(struct pvb_clock_range *)add(a, PVB_WINDOW_CLOCKS) = (struct pvb_clock_range){from, to};
            alt.n_clocks++;
        } else if (next_is(a, "ref")) {
            alt.ref = window_named(a, word(a));
        } else if (next_is(a, "except")) {
            alt.except = window_named(a, word(a));
        } else {
            die(a, "`%s` is no term of a window", word(a));
        }
    }
    *(struct pvb_window_alt *)add(a, PVB_WINDOW_ALTS) = alt;
    LAST(a, PVB_WINDOWS, struct pvb_window)->n_alts++;
}

static void source_statement(struct assembler *a)
{
    struct pvb_source s = {0};
    s.name = string(a, word(a));
    s.type = string(a, word(a));
    s.location = string(a, word(a));
    while (!at_end(a)) {
        if (next_is(a, "self_service"))
            s.flags |= PVB_SOURCE_SELF_SERVICE;
        else if (next_is(a, "admin_only"))
            s.flags |= PVB_SOURCE_ADMIN_ONLY;
        else if (next_is(a, "disabled"))
            s.flags |= PVB_SOURCE_DISABLED;
        else if (next_is(a, "unsigned"))
            s.flags |= PVB_SOURCE_UNSIGNED;
        else if (next_is(a, "priority"))
            s.priority = (int32_t)number(a);
        else if (next_is(a, "key"))
            s.key = string(a, word(a));
        else if (next_is(a, "credentials"))
            s.credentials = string(a, word(a));
        else
            die(a, "`%s` is no property of a source", word(a));
    }
    *(struct pvb_source *)add(a, PVB_SOURCES) = s;
}

static void command_statement(struct assembler *a)
{
    struct pvb_command c = {.name = string(a, word(a)),
                            .first_template = count(a, PVB_TEMPLATES),
                            .first_parameter = count(a, PVB_PARAMETERS),
                            .first_env = count(a, PVB_ENVIRONMENT),
                            .first_required = count(a, PVB_REQUIRED)};
    while (!at_end(a)) {
        if (next_is(a, "packages"))
            c.flags |= PVB_COMMAND_PACKAGES;
        else if (next_is(a, "sources"))
            c.flags |= PVB_COMMAND_SOURCES;
        else if (next_is(a, "provider"))
            c.provider = string(a, word(a));
        else if (next_is(a, "order"))
            c.order = order_named(a, word(a));
        else if (next_is(a, "account"))
            c.account = string(a, word(a));
        else if (next_is(a, "timeout"))
            c.timeout = number(a);
        else
            die(a, "`%s` is no property of a command", word(a));
    }
    *(struct pvb_command *)add(a, PVB_COMMANDS) = c;
}

static void parameter_statement(struct assembler *a, uint32_t kind)
{
    const char *name = word(a);
    uint8_t type = type_named(a, word(a));
    char path[256];
    snprintf(path, sizeof(path), "%s.%s", kind == PVB_ARGUMENT ? "argument" : "option", name);
    uint8_t flags = kind == PVB_ARGUMENT ? 0 : kind == PVB_OPTION ? PV_ATTR_OPT : PV_ATTR_DEFAULT;
    attribute(a, path, type, flags, PV_SCOPE_PARAMETER, type == PV_T_VERSION ? PV_ORDER_DPKG : 0);
    struct pvb_parameter p = {string(a, name), kind, slot(a, path), PVB_NONE};
    if (!at_end(a))
        p.set = set_named(a, word(a));
    *(struct pvb_parameter *)add(a, PVB_PARAMETERS) = p;
    LAST(a, PVB_COMMANDS, struct pvb_command)->n_parameters++;
}

static void run_statement(struct assembler *a)
{
    while (!at_end(a)) {
        const char *w = word(a);
        struct pvb_template t = {PVB_T_LITERAL, 0};
        if (quoted) {
            t.ref = string(a, w);
        } else {
            t.kind = w[1] == '-' ? PVB_T_OPTION : PVB_T_SLOT;
            t.ref = slot(a, w + 1 + (w[1] == '-'));
        }
        *(struct pvb_template *)add(a, PVB_TEMPLATES) = t;
        LAST(a, PVB_COMMANDS, struct pvb_command)->n_templates++;
    }
}

static void required_statement(struct assembler *a)
{
    struct pvb_command *c = LAST(a, PVB_COMMANDS, struct pvb_command);
    while (!at_end(a)) {
        uint16_t s = (uint16_t)slot(a, word(a));
        *(uint16_t *)add(a, PVB_REQUIRED) = s;
        c->n_required++;
    }
}

static void rule_statement(struct assembler *a)
{
    struct pvb_rule r = {.first_clause = count(a, PVB_CLAUSES),
                         .first_because = count(a, PVB_TEXTS),
                         .first_annotation = count(a, PVB_ANNOTATIONS),
                         .first_duty = count(a, PVB_DUTIES)};
    r.kind = (uint32_t)ONE_OF(a, word(a), "builtin", "allow", "deny", "require", "direct");
    while (!at_end(a)) {
        if (next_is(a, "id"))
            r.id = string(a, word(a));
        else if (next_is(a, "literal"))
            r.flags |= PVB_RULE_NAMES_LITERALLY;
        else if (next_is(a, "library"))
            r.flags |= PVB_RULE_LIBRARY;
        else if (next_is(a, "dependencies"))
            r.flags |= PVB_RULE_WITH_DEPENDENCIES;
        else
            die(a, "`%s` is no property of a rule", word(a));
    }
    *(struct pvb_rule *)add(a, PVB_RULES) = r;
    struct pvb_debug_rule d = {0};
    if (r.kind != PV_RULE_BUILTIN_DENY)
        d = (struct pvb_debug_rule){0, 11, (uint32_t)a->line, 1};
    *(struct pvb_debug_rule *)add(a, PVB_DEBUG_RULES) = d;
}

static void clause_statement(struct assembler *a)
{
    uint32_t kind = (uint32_t)ONE_OF(a, word(a), "subject", "commands", "object", "sources", "when", "unless", "during",
                                     "until", "builtin");
    clause(a, kind, word(a));
    LAST(a, PVB_RULES, struct pvb_rule)->n_clauses++;
}

static void duty_statement(struct assembler *a)
{
    struct pvb_duty d = {.clause = PVB_NONE};
    d.kind = (uint32_t)ONE_OF(a, word(a), "reason", "approval", "timeout", "account", "window", "notice", "alert");
    if (d.kind == PV_D_TIMEOUT)
        d.seconds = number(a);
    else if (d.kind != PV_D_REASON)
        d.text = string(a, word(a));
    if (next_is(a, ":")) {
        d.clause = count(a, PVB_CLAUSES);
        clause(a, PV_C_DUTY, "duty");
    }
    *(struct pvb_duty *)add(a, PVB_DUTIES) = d;
    LAST(a, PVB_RULES, struct pvb_rule)->n_duties++;
}

static void because_statement(struct assembler *a)
{
    uint32_t text = string(a, word(a));
    *(uint32_t *)add(a, PVB_TEXTS) = text;
    LAST(a, PVB_RULES, struct pvb_rule)->n_because++;
}

static void annotation_statement(struct assembler *a)
{
    uint32_t name = string(a, word(a)), value = string(a, word(a));
    *(struct pvb_annotation *)add(a, PVB_ANNOTATIONS) = (struct pvb_annotation){name, value};
    LAST(a, PVB_RULES, struct pvb_rule)->n_annotations++;
}

static void env_statement(struct assembler *a)
{
    uint32_t name = string(a, word(a)), value = string(a, word(a));
    *(struct pvb_env *)add(a, PVB_ENVIRONMENT) = (struct pvb_env){name, value};
    LAST(a, PVB_COMMANDS, struct pvb_command)->n_env++;
}

static void statement(struct assembler *a)
{
    if (next_is(a, "policy")) {
        a->name = string(a, word(a));
        a->version = (uint64_t)number(a);
        a->title = string(a, word(a));
    } else if (next_is(a, "library")) {
        a->flags |= PVB_FLAG_LIBRARY;
    } else if (next_is(a, "argument")) {
        parameter_statement(a, PVB_ARGUMENT);
    } else if (next_is(a, "option")) {
        parameter_statement(a, PVB_OPTION);
    } else if (next_is(a, "flag")) {
        parameter_statement(a, PVB_FLAG);
    } else {
        static const struct {
            const char *name;
            void (*run)(struct assembler *);
        } statements[] = {{"attr", attr_statement},       {"set", set_statement},
                          {"zone", zone_statement},       {"window", window_statement},
                          {"alt", alt_statement},         {"source", source_statement},
                          {"command", command_statement}, {"run", run_statement},
                          {"env", env_statement},         {"required", required_statement},
                          {"rule", rule_statement},       {"clause", clause_statement},
                          {"because", because_statement}, {"annotation", annotation_statement},
                          {"duty", duty_statement}};
        size_t i = 0;
        while (i < sizeof(statements) / sizeof(*statements) && !next_is(a, statements[i].name))
            i++;
        if (i == sizeof(statements) / sizeof(*statements))
            die(a, "no statement `%s`", word(a));
        statements[i].run(a);
    }
}

static void read_all(struct assembler *a, const char *text)
{
    a->at = text;
    a->line = 1;
    string(a, "");
    for (int i = 0; i < PV_N_BUILTIN; i++) {
        struct pvb_attr *row = add(a, PVB_ATTRS);
        const struct pv_attr_info *info = &pv_builtin_attrs[i];
        *row = (struct pvb_attr){string(a, info->path), (uint8_t)info->type, (uint8_t)info->flags, (uint8_t)info->scope,
                                 0};
    }
    uint32_t host = string(a, "");
    *(uint32_t *)add(a, PVB_ZONES) = host;
    static const char file[] = "test.policy"; /* 11 bytes */
    for (size_t i = 0; i < sizeof(file); i++)
        *(char *)add(a, PVB_DEBUG_BYTES) = file[i];
    while (*a->at) {
        if (!at_end(a))
            statement(a);
        if (!at_end(a))
            die(a, "`%s` is too much", word(a));
        if (*a->at == '\n') {
            a->at++;
            a->line++;
        }
    }
}

static void finish_gathering(struct assembler *a)
{
    qsort(a->strings, a->n_strings, sizeof(*a->strings), compare_strings);
    size_t n = 0;
    for (size_t i = 0; i < a->n_strings; i++) {
        if (n && strcmp(a->strings[n - 1], a->strings[i]) == 0)
            free(a->strings[i]);
        else
            a->strings[n++] = a->strings[i];
    }
    a->n_strings = n;
    if (a->n_ints)
        qsort(a->ints, a->n_ints, sizeof(*a->ints), compare_ints);
    n = 0;
    for (size_t i = 0; i < a->n_ints; i++) {
        if (!n || a->ints[n - 1] != a->ints[i])
            a->ints[n++] = a->ints[i];
    }
    a->n_ints = n;
    for (int i = 0; i < PVB_N_SECTIONS; i++)
        a->s[i].n = 0;
    a->gathering = false;
}

static void string_sections(struct assembler *a)
{
    uint32_t slots = 2;
    while (slots < 2 * a->n_strings)
        slots *= 2;
    for (uint32_t i = 0; i < slots; i++)
        add(a, PVB_STRHASH);
    for (size_t i = 0; i < a->n_strings; i++) {
        struct pvb_str *row = add(a, PVB_STRINGS);
        row->offset = count(a, PVB_BYTES);
        row->len = (uint32_t)strlen(a->strings[i]);
        for (const char *p = a->strings[i];; p++) {
            *(char *)add(a, PVB_BYTES) = *p;
            if (!*p)
                break;
        }
        uint32_t at = (uint32_t)pv_hash(a->strings[i], strlen(a->strings[i])) & (slots - 1);
        while (i && ROWS(a, PVB_STRHASH, uint32_t)[at])
            at = (at + 1) & (slots - 1);
        if (i)
            ROWS(a, PVB_STRHASH, uint32_t)[at] = (uint32_t)i;
    }
    for (size_t i = 0; i < a->n_ints; i++)
        *(int64_t *)add(a, PVB_INTS) = a->ints[i];
}

static uint8_t *write_out(struct assembler *a, size_t *len)
{
    struct pvb_header h = {.format = PVB_FORMAT,
                           .language = PVB_LANGUAGE,
                           .policy_version = a->version,
                           .name = a->name,
                           .title = a->title,
                           .flags = a->flags,
                           .n_builtin_attrs = PV_N_BUILTIN,
                           .decide_plan_entry = a->plan_entry};
    memcpy(h.magic, PVB_MAGIC, 8);
    uint64_t at = sizeof(h);
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        at = (at + 7) & ~UINT64_C(7);
        h.section[i] = (struct pvb_section_entry){at, a->s[i].n * row_sizes[i]};
        at += h.section[i].size;
    }
    h.file_size = at;
    uint8_t *data = calloc(1, at);
    if (!data)
        exit(99);
    memcpy(data, &h, sizeof(h));
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        if (h.section[i].size)
            memcpy(data + h.section[i].offset, a->s[i].data, h.section[i].size);
    }
    *len = at;
    /* What is refused keeps a bound of 0, and is refused by the loader for the same reason. */
    struct pv_error error;
    pv_bundle_compute_bound(data, at, &((struct pvb_header *)(void *)data)->bound, &error);
    return data;
}

uint8_t *assemble(const char *text, size_t *len)
{
    struct assembler a = {.gathering = true};
    read_all(&a, text);
    finish_gathering(&a);
    read_all(&a, text);
    string_sections(&a);
    decide(&a);
    uint8_t *data = write_out(&a, len);
    for (size_t i = 0; i < a.n_strings; i++)
        free(a.strings[i]);
    for (int i = 0; i < PVB_N_SECTIONS; i++)
        free(a.s[i].data);
    free(a.strings);
    free(a.ints);
    free(a.labels);
    return data;
}

/* ---- Host and files ---- */

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *data = NULL;
    size_t n = 0;
    for (;;) {
        data = more(data, n + 4097);
        size_t got = fread(data + n, 1, 4096, f);
        n += got;
        if (!got)
            break;
    }
    fclose(f);
    data[n] = '\0';
    *len = n;
    return data;
}

char *read_text(const char *path)
{
    size_t len;
    char *text = read_file(path, &len);
    if (!text) {
        perror(path);
        exit(99);
    }
    return text;
}

static int load_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    char path[512];
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", *name ? name : "America/New_York");
    *data = read_file(path, len);
    return *data ? 0 : PV_E_ZONE;
}

static void release_zone(void *context, const void *data, size_t len)
{
    (void)context;
    (void)len;
    free((void *)(uintptr_t)data);
}

const struct pv_host test_host = {.load_zone = load_zone, .release_zone = release_zone};

struct loaded load_text(const char *text)
{
    struct loaded l = {0};
    l.data = assemble(text, &l.len);
    struct pv_error error;
    if (pv_bundle_load(&l.bundle, l.data, l.len, &test_host, &error) != 0) {
        fprintf(stderr, "load_text: %s\n", error.text);
        exit(99);
    }
    return l;
}

void unload(struct loaded *loaded)
{
    pv_bundle_free(loaded->bundle);
    free(loaded->data);
    *loaded = (struct loaded){0};
}
