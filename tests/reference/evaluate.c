/* The reference evaluator (evaluate.h). Slow and plain on purpose: one function a sentence of the language. */
#include "tests/reference/evaluate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct state {
    const struct pv_program *program;
    const json_t *request; /* the whole object */
    const json_t
        *operation; /* the object that holds command, package and source: an element of operations, or the request */
    time_t now;
    const char *zone; /* the policy's; NULL: the host's */
};

enum kind { ABSENT, TRUTH, NUMBER, STRING, VERSION, SET };

struct value {
    enum kind kind;
    int64_t number;
    const char *string;
    const json_t *set; /* array of strings */
};

/* ---- Small things of its own ---- */

static int order_of(char c)
{
    if (c == '~')
        return -1;
    if (c == '\0' || isdigit((unsigned char)c))
        return 0;
    return isalpha((unsigned char)c) ? c : c + 256;
}

static int compare_part(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t i = 0, j = 0;
    while (i < a_len || j < b_len) {
        while ((i < a_len && !isdigit((unsigned char)a[i])) || (j < b_len && !isdigit((unsigned char)b[j]))) {
            int x = order_of(i < a_len ? a[i] : '\0'), y = order_of(j < b_len ? b[j] : '\0');
            if (x != y)
                return x - y;
            i += i < a_len && !isdigit((unsigned char)a[i]);
            j += j < b_len && !isdigit((unsigned char)b[j]);
            if (x == 0 && y == 0)
                break;
        }
        while (i < a_len && a[i] == '0')
            i++;
        while (j < b_len && b[j] == '0')
            j++;
        size_t m = 0, n = 0;
        while (i + m < a_len && isdigit((unsigned char)a[i + m]))
            m++;
        while (j + n < b_len && isdigit((unsigned char)b[j + n]))
            n++;
        if (m != n)
            return m < n ? -1 : 1;
        int c = strncmp(a + i, b + j, m);
        if (c != 0)
            return c;
        i += m;
        j += n;
    }
    return 0;
}

int reference_dpkg_compare(const char *a, const char *b)
{
    const char *parts[2] = {a, b};
    unsigned long epoch[2];
    size_t upstream[2];
    for (int k = 0; k < 2; k++) {
        const char *colon = strchr(parts[k], ':');
        epoch[k] = colon ? strtoul(parts[k], NULL, 10) : 0;
        if (colon)
            parts[k] = colon + 1;
        const char *dash = strrchr(parts[k], '-');
        upstream[k] = dash ? (size_t)(dash - parts[k]) : strlen(parts[k]);
    }
    if (epoch[0] != epoch[1])
        return epoch[0] < epoch[1] ? -1 : 1;
    int c = compare_part(parts[0], upstream[0], parts[1], upstream[1]);
    if (c != 0)
        return c;
    const char *r[2];
    for (int k = 0; k < 2; k++)
        r[k] = parts[k][upstream[k]] ? parts[k] + upstream[k] + 1 : "";
    return compare_part(r[0], strlen(r[0]), r[1], strlen(r[1]));
}

static const char *next_character(const char *s)
{
    s++;
    while (((unsigned char)*s & 0xC0) == 0x80)
        s++;
    return s;
}

int reference_glob(const char *p, const char *s)
{
    if (!*p)
        return !*s;
    if (p[0] == '*') {
        int across = p[1] == '*';
        const char *rest = p + 1 + across;
        if (reference_glob(rest, s))
            return 1;
        return *s && (across || *s != '/') && reference_glob(p, next_character(s));
    }
    if (!*s)
        return 0;
    if (p[0] == '?')
        return *s != '/' && reference_glob(p + 1, next_character(s));
    if (p[0] == '\\')
        p++;
    return *p == *s && reference_glob(p + 1, s + 1);
}

/* libc reads a zone's file when it changes to it, so it is told only where it does. */
static void to_zone(const char *zone)
{
    static char current[64] = "?";
    if (!zone)
        zone = "";
    if (strcmp(current, zone) == 0)
        return;
    if (*zone)
        setenv("TZ", zone, 1);
    else
        unsetenv("TZ");
    tzset();
    snprintf(current, sizeof current, "%s", zone);
}

static void in_zone(const char *zone, time_t when, struct tm *out)
{
    to_zone(zone);
    localtime_r(&when, out);
}

static int days_from_tm(const struct tm *t)
{
    struct tm copy = {.tm_year = t->tm_year, .tm_mon = t->tm_mon, .tm_mday = t->tm_mday, .tm_hour = 12};
    return (int)(timegm(&copy) / 86400);
}

static int days_from_date(int year, int month, int day)
{
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return days_from_tm(&t);
}

static int parse_time(const char *text, time_t *out)
{
    struct tm t = {0};
    int n = 0, oh = 0, om = 0;
    char sign = 0;
    if (sscanf(text, "%d-%d-%d%*[Tt ]%d:%d:%d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec,
               &n) != 6)
        return -1;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    if (text[n] == '.') /* fractions of a second are cut */
        n += 1 + (int)strspn(text + n + 1, "0123456789");
    if (!text[n]) { /* wall-clock time of the host */
        to_zone(NULL);
        t.tm_isdst = -1;
        *out = mktime(&t);
        return 0;
    }
    *out = timegm(&t);
    if (sscanf(text + n, "%c%d:%d", &sign, &oh, &om) == 3)
        *out -= (sign == '-' ? -1 : 1) * (oh * 3600 + om * 60);
    return 0;
}

/* ---- Declarations by name ---- */

static const struct pv_ast_decl *find(const struct state *s, enum pv_ast_decl_kind kind, const char *name)
{
    const struct pv_ast_decl *found = NULL;
    for (uint32_t i = 0; i < s->program->n_decls; i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind == kind && d->name.text.ptr && strcmp(d->name.text.ptr, name) == 0)
            found = d;
    }
    return found;
}

static const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static const char *package_name(const struct state *s)
{
    return json_text(json_object_get(s->operation, "package"), "name");
}

static const char *command_name(const struct state *s)
{
    return json_text(s->operation, "command");
}

static const struct pv_ast_source *source_of(const struct state *s)
{
    const char *name = json_text(s->operation, "source");
    const struct pv_ast_decl *d = name ? find(s, PV_AST_DECL_SOURCE, name) : NULL;
    return d ? d->source : NULL;
}

/* ---- Attributes ---- */

static struct value truth(bool b)
{
    return (struct value){.kind = TRUTH, .number = b};
}
static struct value number(int64_t n)
{
    return (struct value){.kind = NUMBER, .number = n};
}
static struct value string(const char *text)
{
    return (struct value){.kind = text ? STRING : ABSENT, .string = text};
}

static int weekday_number(const char *word)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int i = 0; i < 7; i++)
        if (strcmp(word, days[i]) == 0)
            return i;
    return -1;
}

static struct value from_json(const json_t *j, enum pv_type type)
{
    int a = 0, b = 0, c = 0;
    if (!j || json_is_null(j))
        return (struct value){.kind = ABSENT};
    switch (type) {
    case PV_T_BOOL: return truth(json_is_true(j));
    case PV_T_STRING: return string(json_string_value(j));
    case PV_T_VERSION: return (struct value){.kind = VERSION, .string = json_string_value(j)};
    case PV_T_STRINGS: return (struct value){.kind = SET, .set = j};
    case PV_T_DATE: sscanf(json_string_value(j), "%d-%d-%d", &a, &b, &c); return number(days_from_date(a, b, c));
    case PV_T_CLOCK: sscanf(json_string_value(j), "%d:%d:%d", &a, &b, &c); return number(a * 3600 + b * 60 + c);
    case PV_T_WEEKDAY: return number(weekday_number(json_string_value(j)));
    default: return number(json_integer_value(j));
    }
}

static int64_t own_transaction(const struct state *s, const char *what)
{
    const json_t *package = json_object_get(s->operation, "package");
    const char *command = command_name(s);
    if (!package)
        return 0;
    if (strcmp(what, "installs") == 0)
        return strcmp(command, "install") == 0;
    if (strcmp(what, "upgrades") == 0)
        return strcmp(command, "upgrade") == 0;
    if (strcmp(what, "removes") == 0)
        return strcmp(command, "uninstall") == 0;
    return json_integer_value(json_object_get(package, "download_size"));
}

static struct value attribute(const struct state *s, const char *path)
{
    char head[32];
    const char *dot = strchr(path, '.');
    size_t n = dot ? (size_t)(dot - path) : strlen(path);
    memcpy(head, path, n);
    head[n] = '\0';
    const char *tail = dot ? dot + 1 : "";

    if (strcmp(path, "command") == 0)
        return string(command_name(s));
    if (strcmp(head, "time") == 0) {
        struct tm t;
        in_zone(s->zone, s->now, &t);
        if (strcmp(tail, "date") == 0)
            return number(days_from_tm(&t));
        if (strcmp(tail, "clock") == 0)
            return number(t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec);
        return number((t.tm_wday + 6) % 7);
    }
    if (strcmp(head, "source") == 0) {
        const struct pv_ast_source *source = source_of(s);
        if (!source)
            return (struct value){.kind = ABSENT};
        if (strcmp(tail, "name") == 0)
            return string(json_text(s->operation, "source"));
        if (strcmp(tail, "location") == 0)
            return string(source->prop[PV_AST_SOURCE_LOCATION]->text.ptr);
        if (strcmp(tail, "priority") == 0)
            return number(source->prop[PV_AST_SOURCE_PRIORITY] ? source->prop[PV_AST_SOURCE_PRIORITY]->number : 0);
        return truth(source->prop[PV_AST_SOURCE_SELF_SERVICE] != NULL);
    }
    if (strcmp(head, "transaction") == 0) {
        const json_t *j = json_object_get(json_object_get(s->request, "transaction"), tail);
        return json_is_integer(j) ? number(json_integer_value(j)) : number(own_transaction(s, tail));
    }
    if (strcmp(head, "argument") == 0 || strcmp(head, "option") == 0) {
        const struct pv_ast_decl *d = find(s, PV_AST_DECL_COMMAND, command_name(s));
        enum pv_ast_command_prop kind = head[0] == 'a' ? PV_AST_COMMAND_ARGUMENT : PV_AST_COMMAND_OPTION;
        for (const struct pv_ast_command_item *i = d ? d->command->first : NULL; i; i = i->next) {
            if (i->kind != kind || strcmp(i->name.text.ptr, tail) != 0)
                continue;
            const json_t *j = json_object_get(json_object_get(s->request, head), tail);
            if (i->type.type == PV_T_NONE)
                return truth(json_is_true(j));
            return from_json(j, i->type.type);
        }
        return (struct value){.kind = ABSENT};
    }
    const json_t *group = json_object_get(strcmp(head, "package") == 0 ? s->operation : s->request, head);
    if (strcmp(head, "package") == 0 && !group)
        return (struct value){.kind = ABSENT};
    const json_t *j = json_object_get(group, tail);
    if (strcmp(head, "host") == 0) {
        for (uint32_t i = 0; i < s->program->n_decls; i++) {
            const struct pv_ast_decl *d = s->program->decls[i];
            if (d->kind == PV_AST_DECL_ATTRIBUTE && strcmp(d->attribute->path->text.ptr, path) == 0)
                return from_json(j, d->attribute->type.type);
        }
        return string(json_string_value(j));
    }
    for (int i = 0; i < PV_N_BUILTIN; i++) {
        if (strcmp(pv_builtin_attrs[i].path, path) != 0)
            continue;
        struct value v = from_json(j, pv_builtin_attrs[i].type);
        if (v.kind != ABSENT || pv_builtin_attrs[i].flags & PV_ATTR_OPT)
            return v;
        switch (pv_builtin_attrs[i].type) {
        case PV_T_BOOL: return truth(false);
        case PV_T_STRINGS: return (struct value){.kind = SET, .set = NULL};
        case PV_T_STRING: return strcmp(path, "user.session") == 0 ? string("none") : v;
        case PV_T_VERSION: return v;
        default:
            if (strcmp(path, "user.uid") == 0)
                return number(-1);
            return number(strcmp(path, "request.timeout") == 0 ? 2700 : 0);
        }
    }
    return (struct value){.kind = ABSENT};
}

static bool member(const json_t *set, const char *text)
{
    for (size_t i = 0; i < json_array_size(set); i++)
        if (strcmp(json_string_value(json_array_get(set, i)), text) == 0)
            return true;
    return false;
}

/* ---- Sets ---- */

static bool in_set(const struct state *s, const struct pv_ast_set *set, const char *text);

static bool in_set_file(const struct state *s, const struct pv_ast_decl *d, const char *text)
{
    const struct pv_source_file *file = pv_sources_file(&s->program->sources, d->span.file);
    const char *slash = strrchr(file->location ? file->location : "", '/');
    char path[4096], line[4096];
    snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - file->location + 1) : 0,
             file->location ? file->location : "", d->set->file.text.ptr);
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        char *start = line, *end = line + strlen(line);
        while (isspace((unsigned char)*start))
            start++;
        while (end > start && isspace((unsigned char)end[-1]))
            *--end = '\0';
        found = *start && *start != '#' && strcmp(start, text) == 0;
    }
    if (f)
        fclose(f);
    return found;
}

static bool in_named_set(const struct state *s, const char *name, const char *text)
{
    const struct pv_ast_decl *d = find(s, PV_AST_DECL_SET, name);
    if (!d)
        return false;
    return d->set->set ? in_set(s, d->set->set, text) : in_set_file(s, d, text);
}

static bool in_set(const struct state *s, const struct pv_ast_set *set, const char *text)
{
    for (const struct pv_ast_item *i = set->first; i; i = i->next) {
        if (i->kind == PV_AST_ITEM_STRING && strcmp(i->text.ptr, text) == 0)
            return true;
        if (i->kind == PV_AST_ITEM_PATTERN && reference_glob(i->text.ptr, text))
            return true;
        if (i->kind == PV_AST_ITEM_NAME && in_named_set(s, i->text.ptr, text))
            return true;
    }
    return false;
}

/* ---- Subjects ---- */

static bool is_admin(const struct state *s);

static bool subject(const struct state *s, const struct pv_ast_subject *n)
{
    switch (n->kind) {
    case PV_AST_SUBJECT_OR:
        for (const struct pv_ast_subject *k = n->first; k; k = k->next)
            if (subject(s, k))
                return true;
        return false;
    case PV_AST_SUBJECT_AND:
        for (const struct pv_ast_subject *k = n->first; k; k = k->next)
            if (!subject(s, k))
                return false;
        return true;
    case PV_AST_SUBJECT_NOT: return !subject(s, n->first);
    case PV_AST_SUBJECT_USER: return strcmp(attribute(s, "user.name").string, n->name.text.ptr) == 0;
    case PV_AST_SUBJECT_GROUP: return member(attribute(s, "user.groups").set, n->name.text.ptr);
    case PV_AST_SUBJECT_EVERYONE: return true;
    case PV_AST_SUBJECT_ROLE: break;
    }
    if (strcmp(n->name.text.ptr, "admin") == 0)
        return is_admin(s);
    const struct pv_ast_decl *d = find(s, PV_AST_DECL_ROLE, n->name.text.ptr);
    return d && subject(s, d->role->subject);
}

static bool is_admin(const struct state *s)
{
    const struct pv_ast_decl *d = find(s, PV_AST_DECL_ROLE, "admin");
    if (d)
        return subject(s, d->role->subject);
    return strcmp(attribute(s, "user.name").string, "root") == 0 || member(attribute(s, "user.groups").set, "sudo");
}

/* ---- Windows ---- */

static bool in_window(const struct state *s, const char *name);

static bool day_matches(const struct pv_ast_alternative *a, const struct tm *t)
{
    int weekday = (t->tm_wday + 6) % 7;
    bool any = a->days == NULL;
    for (const struct pv_ast_days *d = a->days; d && !any; d = d->next) {
        if (d->nth == 0) {
            any = d->first <= d->last ? weekday >= d->first && weekday <= d->last
                                      : weekday >= d->first || weekday <= d->last;
        } else if (d->nth > 0) {
            any = weekday == d->first && (t->tm_mday - 1) / 7 + 1 == d->nth;
        } else {
            struct tm next = {.tm_year = t->tm_year, .tm_mon = t->tm_mon, .tm_mday = t->tm_mday + 7, .tm_hour = 12};
            timegm(&next);
            any = weekday == d->first && next.tm_mon != t->tm_mon;
        }
    }
    if (!any)
        return false;
    any = a->dates == NULL;
    for (const struct pv_ast_dates *d = a->dates; d && !any; d = d->next) {
        if (d->first.year) {
            int day = days_from_tm(t);
            any = day >= days_from_date(d->first.year, d->first.month, d->first.day) &&
                  day <= days_from_date(d->last.year, d->last.month, d->last.day);
        } else {
            int day = (t->tm_mon + 1) * 100 + t->tm_mday;
            int from = d->first.month * 100 + d->first.day, to = d->last.month * 100 + d->last.day;
            any = from <= to ? day >= from && day <= to : day >= from || day <= to;
        }
    }
    return any;
}

static bool alternative(const struct state *s, const struct pv_ast_alternative *a, const char *zone)
{
    if (a->name.text.ptr)
        return in_window(s, a->name.text.ptr);
    struct tm now;
    in_zone(zone, s->now, &now);
    int second = now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec;
    struct tm yesterday = {.tm_year = now.tm_year, .tm_mon = now.tm_mon, .tm_mday = now.tm_mday - 1, .tm_hour = 12};
    timegm(&yesterday);
    if (!a->clocks)
        return day_matches(a, &now);
    for (const struct pv_ast_clocks *c = a->clocks; c; c = c->next) {
        if (c->start < c->end) {
            if (second >= c->start && second < c->end && day_matches(a, &now))
                return true;
        } else {
            if (second >= c->start && day_matches(a, &now))
                return true;
            if (second < c->end && day_matches(a, &yesterday))
                return true;
        }
    }
    return false;
}

static bool in_window(const struct state *s, const char *name)
{
    const struct pv_ast_decl *d = find(s, PV_AST_DECL_WINDOW, name);
    if (!d)
        return false;
    const struct pv_ast_window *w = d->window;
    const char *zone = w->zone_host ? NULL : w->zone.text.ptr ? w->zone.text.ptr : s->zone;
    bool any = false;
    for (const struct pv_ast_alternative *a = w->alternatives; a && !any; a = a->next)
        any = alternative(s, a, zone);
    for (const struct pv_ast_alternative *a = w->except; a && any; a = a->next)
        if (alternative(s, a, zone))
            any = false;
    return any;
}

/* ---- Expressions ---- */

static bool holds(const struct state *s, const struct pv_ast_expr *e);

static struct value operand(const struct state *s, const struct pv_ast_expr *e)
{
    if (e->kind == PV_AST_LITERAL) {
        switch (e->literal->kind) {
        case PV_AST_LIT_STRING: return string(e->literal->text.ptr);
        case PV_AST_LIT_BOOL: return truth(e->literal->number != 0);
        default: return number(e->literal->number);
        }
    }
    if (e->kind == PV_AST_PATH)
        return attribute(s, e->path->text.ptr);
    if (e->kind == PV_AST_NAME && strcmp(e->path->text.ptr, "command") == 0)
        return attribute(s, "command");
    return truth(holds(s, e));
}

static bool compare(enum pv_cmp cmp, int64_t c)
{
    switch (cmp) {
    case PV_EQ: return c == 0;
    case PV_NE: return c != 0;
    case PV_LT: return c < 0;
    case PV_LE: return c <= 0;
    case PV_GT: return c > 0;
    case PV_GE: return c >= 0;
    }
    return false;
}

static bool in_right(const struct state *s, const struct pv_ast_expr *right, const char *text)
{
    if (right->kind == PV_AST_SET)
        return in_set(s, right->set, text);
    if (right->kind == PV_AST_PATH)
        return member(attribute(s, right->path->text.ptr).set, text);
    return in_named_set(s, right->path->text.ptr, text);
}

static bool overlap(const struct state *s, const struct pv_ast_expr *attribute_side, const struct pv_ast_expr *other)
{
    struct value v = attribute(s, attribute_side->path->text.ptr);
    for (size_t i = 0; i < json_array_size(v.set); i++)
        if (in_right(s, other, json_string_value(json_array_get(v.set, i))))
            return true;
    return false;
}

static bool name_holds(const struct state *s, const char *name)
{
    const struct pv_ast_decl *d = find(s, PV_AST_DECL_CONDITION, name);
    return d && holds(s, d->condition->expr);
}

static bool holds(const struct state *s, const struct pv_ast_expr *e)
{
    struct value a, b;
    const struct pv_ast_expr *left = e->first, *right = left ? left->next : NULL;
    switch (e->kind) {
    case PV_AST_OR:
        for (; left; left = left->next)
            if (holds(s, left))
                return true;
        return false;
    case PV_AST_AND:
        for (; left; left = left->next)
            if (!holds(s, left))
                return false;
        return true;
    case PV_AST_NOT: return !holds(s, left);
    case PV_AST_HAS: return operand(s, left).kind != ABSENT;
    case PV_AST_NAME: return name_holds(s, e->path->text.ptr);
    case PV_AST_PATH: return attribute(s, e->path->text.ptr).number != 0;
    case PV_AST_LITERAL: return e->literal->number != 0;
    case PV_AST_LIKE: a = operand(s, left); return a.kind != ABSENT && reference_glob(right->pattern.ptr, a.string);
    case PV_AST_IN:
        if (left->kind == PV_AST_NAME && strcmp(left->path->text.ptr, "user") == 0) {
            struct pv_ast_subject role = {.kind = PV_AST_SUBJECT_ROLE, .name = right->path->head};
            return subject(s, &role);
        }
        if (left->kind == PV_AST_NAME && strcmp(left->path->text.ptr, "time") == 0)
            return in_window(s, right->path->text.ptr);
        a = operand(s, left);
        return a.kind != ABSENT && in_right(s, right, a.string);
    case PV_AST_OVERLAPS:
        if (left->kind == PV_AST_PATH)
            return overlap(s, left, right);
        return overlap(s, right, left);
    case PV_AST_COMPARE:
        a = operand(s, left);
        b = operand(s, right);
        if (a.kind == ABSENT || b.kind == ABSENT)
            return false;
        if (a.kind == VERSION || b.kind == VERSION)
            return compare(e->cmp, reference_dpkg_compare(a.string, b.string));
        if (a.kind == STRING)
            return compare(e->cmp, strcmp(a.string, b.string));
        return compare(e->cmp, (a.number > b.number) - (a.number < b.number));
    default: return false;
    }
}

/* ---- Scopes ---- */

static bool names_package(const struct state *s, const struct pv_ast_object *o, const char *name)
{
    switch (o->kind) {
    case PV_AST_OBJECT_STRING: return strcmp(o->text.ptr, name) == 0;
    case PV_AST_OBJECT_PATTERN: return reference_glob(o->text.ptr, name);
    case PV_AST_OBJECT_NAME: return in_named_set(s, o->text.ptr, name);
    case PV_AST_OBJECT_SET: return in_set(s, o->set, name);
    case PV_AST_OBJECT_OWN: break;
    }
    struct value uid = attribute(s, "user.uid"), owner_uid = attribute(s, "package.owner_uid"),
                 owner = attribute(s, "package.owner");
    if (uid.number >= 0 && owner_uid.kind != ABSENT && owner_uid.number >= 0)
        return uid.number == owner_uid.number;
    return owner.kind != ABSENT && strcmp(owner.string, attribute(s, "user.name").string) == 0;
}

static bool object_holds(const struct state *s, const struct pv_ast_scope *scope, const char *name)
{
    return (!scope->object || names_package(s, scope->object, name)) &&
           !(scope->except && names_package(s, scope->except, name));
}

static bool from_holds(const struct state *s, const struct pv_ast_from *n, const char *name)
{
    const struct pv_ast_decl *d;
    switch (n->kind) {
    case PV_AST_FROM_OR:
        for (const struct pv_ast_from *k = n->first; k; k = k->next)
            if (from_holds(s, k, name))
                return true;
        return false;
    case PV_AST_FROM_AND:
        for (const struct pv_ast_from *k = n->first; k; k = k->next)
            if (!from_holds(s, k, name))
                return false;
        return true;
    case PV_AST_FROM_NOT: return !from_holds(s, n->first, name);
    case PV_AST_FROM_ANY: return true;
    case PV_AST_FROM_SELF_SERVICE: return source_of(s) && source_of(s)->prop[PV_AST_SOURCE_SELF_SERVICE];
    case PV_AST_FROM_NAME: break;
    }
    d = find(s, PV_AST_DECL_UNION, n->name.text.ptr);
    return d ? from_holds(s, d->sources->from, name) : strcmp(n->name.text.ptr, name) == 0;
}

static bool command_listed(const struct state *s, const struct pv_ast_scope *scope)
{
    const char *command = command_name(s);
    if (scope->any_command)
        return find(s, PV_AST_DECL_COMMAND, command) != NULL;
    for (const struct pv_ast_command_ref *c = scope->commands; c; c = c->next)
        if (strcmp(c->name.text.ptr, command) == 0)
            return true;
    return false;
}

static bool matches(const struct state *s, const struct pv_ast_scope *scope, bool silent_from_is_self_service)
{
    const char *command = command_name(s), *name = package_name(s), *source = json_text(s->operation, "source");
    if (!subject(s, scope->subject))
        return false;
    bool about = command_listed(s, scope);
    if (scope->object || scope->except)
        about = about && name && object_holds(s, scope, name);
    if (!about && !pv_span_is_none(scope->with_dependencies) &&
        (strcmp(command, "install") == 0 || strcmp(command, "upgrade") == 0)) {
        const json_t *wanted = attribute(s, "package.wanted_by").set;
        for (size_t i = 0; i < json_array_size(wanted) && !about; i++)
            about = object_holds(s, scope, json_string_value(json_array_get(wanted, i)));
    }
    if (!about)
        return false;
    if (scope->from) {
        if (!source || !from_holds(s, scope->from, source))
            return false;
    } else if (silent_from_is_self_service && source && !source_of(s)->prop[PV_AST_SOURCE_SELF_SERVICE]) {
        return false;
    }
    for (const struct pv_ast_clause *c = scope->first_clause; c; c = c->next) {
        bool ok = true;
        switch (c->kind) {
        case PV_AST_WHEN: ok = holds(s, c->expr); break;
        case PV_AST_UNLESS: ok = !holds(s, c->expr); break;
        case PV_AST_UNTIL:
            ok = attribute(s, "time.date").number <= days_from_date(c->date.year, c->date.month, c->date.day);
            break;
        case PV_AST_DURING:
            ok = false;
            for (const struct pv_ast_ref *w = c->windows; w && !ok; w = w->next)
                ok = in_window(s, w->name.text.ptr);
            break;
        case PV_AST_BECAUSE: break;
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool names_literally(const struct pv_ast_scope *scope, const char *name)
{
    const struct pv_ast_object *o = scope->object;
    if (!o || !name)
        return false;
    if (o->kind == PV_AST_OBJECT_STRING)
        return strcmp(o->text.ptr, name) == 0;
    if (o->kind == PV_AST_OBJECT_SET)
        for (const struct pv_ast_item *i = o->set->first; i; i = i->next)
            if (i->kind == PV_AST_ITEM_STRING && strcmp(i->text.ptr, name) == 0)
                return true;
    return false;
}

/* ---- Decisions ---- */

static bool never_brokered(const char *command)
{
    return strcmp(command, "config") == 0 || strcmp(command, "feature") == 0 || strcmp(command, "source") == 0 ||
           strcmp(command, "apikey") == 0;
}

static void list_builtin(json_t *rules, const char *id)
{
    json_array_append_new(rules, json_pack("{s:s, s:s, s:s, s:i}", "id", id, "effect", "deny", "file", "", "line", 0));
}

static void list_rule(const struct state *s, json_t *rules, json_t *because, const struct pv_ast_rule *rule)
{
    struct pv_place place = pv_sources_place(&s->program->sources, rule->keyword.file, rule->keyword.start);
    char id[4200];
    snprintf(id, sizeof id, "%s:%u", place.path, place.line);
    const struct pv_ast_annotation *note = rule->note[PV_AST_NOTE_ID];
    json_array_append_new(rules, json_pack("{s:s, s:s, s:s, s:i}", "id", note ? note->value.text.ptr : id, "effect",
                                           pv_ast_rule_word(rule->kind), "file", place.path, "line", (int)place.line));
    for (const struct pv_ast_clause *c = rule->scope.first_clause; c; c = c->next)
        if (c->kind == PV_AST_BECAUSE)
            json_array_append_new(because, json_string(c->string.text.ptr));
}

static void print_subject(char *out, size_t size, const struct pv_ast_subject *n, int outer)
{
    size_t at = strlen(out);
    int level = n->kind == PV_AST_SUBJECT_OR ? 1 : n->kind == PV_AST_SUBJECT_AND ? 2 : 3;
    bool parens = level < outer;
    if (parens)
        at += (size_t)snprintf(out + at, size - at, "(");
    switch (n->kind) {
    case PV_AST_SUBJECT_OR:
    case PV_AST_SUBJECT_AND:
        for (const struct pv_ast_subject *k = n->first; k; k = k->next) {
            print_subject(out, size, k, level);
            at = strlen(out);
            if (k->next)
                snprintf(out + at, size - at, level == 1 ? " or " : " and ");
        }
        break;
    case PV_AST_SUBJECT_NOT:
        snprintf(out + at, size - at, "not ");
        print_subject(out, size, n->first, 3);
        break;
    case PV_AST_SUBJECT_USER: snprintf(out + at, size - at, "user \"%s\"", n->name.text.ptr); break;
    case PV_AST_SUBJECT_GROUP: snprintf(out + at, size - at, "group \"%s\"", n->name.text.ptr); break;
    case PV_AST_SUBJECT_ROLE: snprintf(out + at, size - at, "%s", n->name.text.ptr); break;
    case PV_AST_SUBJECT_EVERYONE: snprintf(out + at, size - at, "everyone"); break;
    }
    at = strlen(out);
    if (parens)
        snprintf(out + at, size - at, ")");
}

static void add_text(json_t *list, const char *text)
{
    if (!member(list, text))
        json_array_append_new(list, json_string(text));
}

/* Joins a duty; false where two accounts differ. */
static bool add_duty(json_t *o, const struct pv_ast_duty *duty)
{
    char text[4096] = "";
    switch (duty->kind) {
    case PV_D_REASON: json_object_set_new(o, "reason", json_true()); break;
    case PV_D_TIMEOUT: {
        json_t *had = json_object_get(o, "timeout");
        if (!json_is_integer(had) || json_integer_value(had) > duty->seconds)
            json_object_set_new(o, "timeout", json_integer(duty->seconds));
        break;
    }
    case PV_D_ACCOUNT: {
        const char *had = json_text(o, "account");
        if (had && strcmp(had, duty->string.text.ptr) != 0)
            return false;
        json_object_set_new(o, "account", json_string(duty->string.text.ptr));
        break;
    }
    case PV_D_APPROVAL:
    case PV_D_ALERT:
        print_subject(text, sizeof text, duty->subject, 0);
        add_text(json_object_get(o, duty->kind == PV_D_APPROVAL ? "approval" : "alerts"), text);
        break;
    case PV_D_WINDOW:
        for (const struct pv_ast_ref *w = duty->windows; w; w = w->next) {
            strcat(text, w->name.text.ptr);
            if (w->next)
                strcat(text, " or ");
        }
        add_text(json_object_get(o, "windows"), text);
        break;
    case PV_D_NOTICE: add_text(json_object_get(o, "notices"), duty->string.text.ptr); break;
    }
    return true;
}

static json_t *no_obligations(void)
{
    return json_pack("{s:b, s:[], s:n, s:n, s:[], s:[], s:[]}", "reason", 0, "approval", "timeout", "account",
                     "windows", "notices", "alerts");
}

static json_t *decide_operation(const struct state *s, bool direct_too)
{
    json_t *rules = json_array(), *because = json_array(), *obligations = no_obligations();
    const char *command = command_name(s), *decision = "deny";
    const struct pv_ast_source *source = source_of(s);
    bool allowed = false, lifted = false, is_default = false, conflict = false;

    for (uint32_t i = 0; i < s->program->n_decls && direct_too; i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind == PV_AST_DECL_RULE && d->rule->kind == PV_AST_DIRECT && matches(s, &d->rule->scope, false)) {
            decision = "direct";
            list_rule(s, rules, because, d->rule);
        }
    }
    if (json_array_size(rules) > 0)
        goto out;

    for (uint32_t i = 0; i < s->program->n_decls; i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind == PV_AST_DECL_RULE && d->rule->kind == PV_AST_ALLOW && matches(s, &d->rule->scope, true)) {
            allowed = true;
            lifted = lifted || names_literally(&d->rule->scope, package_name(s));
        }
        /* Accounts clash whether or not the operation is allowed. */
        if (d->kind == PV_AST_DECL_RULE && d->rule->kind == PV_AST_REQUIRE && d->rule->duty->kind == PV_D_ACCOUNT &&
            matches(s, &d->rule->scope, false) && !add_duty(obligations, d->rule->duty))
            conflict = true;
    }
    json_decref(obligations);
    obligations = no_obligations();

    if (conflict)
        list_builtin(rules, "builtin:account-conflict");
    if (never_brokered(command))
        list_builtin(rules, "builtin:never-brokered");
    if (source && source->prop[PV_AST_SOURCE_ADMIN_ONLY] && !is_admin(s))
        list_builtin(rules, "builtin:admin-only");
    if (source && source->prop[PV_AST_SOURCE_DISABLED])
        list_builtin(rules, "builtin:disabled");
    if (strcmp(command, "uninstall") == 0 && attribute(s, "package.protected").number && !lifted)
        list_builtin(rules, "builtin:protected");
    for (uint32_t i = 0; i < s->program->n_decls; i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind == PV_AST_DECL_RULE && d->rule->kind == PV_AST_DENY && matches(s, &d->rule->scope, false))
            list_rule(s, rules, because, d->rule);
    }
    if (json_array_size(rules) > 0)
        goto out;
    if (!allowed) {
        is_default = true;
        goto out;
    }
    decision = "allow";
    for (uint32_t i = 0; i < s->program->n_decls; i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind != PV_AST_DECL_RULE)
            continue;
        if (d->rule->kind == PV_AST_ALLOW && matches(s, &d->rule->scope, true))
            list_rule(s, rules, because, d->rule);
        if (d->rule->kind == PV_AST_REQUIRE && matches(s, &d->rule->scope, false)) {
            list_rule(s, rules, because, d->rule);
            add_duty(obligations, d->rule->duty);
        }
    }
out:
    return json_pack("{s:s, s:b, s:o, s:o, s:o}", "decision", decision, "default", is_default, "rules", rules,
                     "because", because, "obligations", obligations);
}

/* ---- Several operations ---- */

static bool among(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

/* Whether a rule decided one of the operations; with `denied`, one of those that are not allowed. */
static bool decided(const json_t *operations, const json_t *rule, bool denied)
{
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const json_t *one = json_array_get(operations, i);
        if ((!denied || strcmp(json_text(one, "decision"), "deny") == 0) && among(json_object_get(one, "rules"), rule))
            return true;
    }
    return false;
}

/* Whether requires that match, of whichever operation, name two accounts. */
static bool accounts_differ(const struct state *whole)
{
    json_t *obligations = no_obligations();
    bool differ = false;
    const json_t *operations = json_object_get(whole->request, "operations");
    for (size_t k = 0; k < json_array_size(operations); k++) {
        struct state s = *whole;
        s.operation = json_array_get(operations, k);
        for (uint32_t i = 0; i < s.program->n_decls; i++) {
            const struct pv_ast_decl *d = s.program->decls[i];
            if (d->kind == PV_AST_DECL_RULE && d->rule->kind == PV_AST_REQUIRE && d->rule->duty->kind == PV_D_ACCOUNT &&
                matches(&s, &d->rule->scope, false) && !add_duty(obligations, d->rule->duty))
                differ = true;
        }
    }
    json_decref(obligations);
    return differ;
}

/* `direct` is asked once, for the command that was asked for. Else all operations are allowed, or the denials of those
 * that are not are told. */
static json_t *decide_operations(struct state *s)
{
    static const char *const builtin[] = {"builtin:never-brokered", "builtin:admin-only", "builtin:disabled",
                                          "builtin:protected"};
    const json_t *asked = json_object_get(s->request, "operations");
    json_t *whole = decide_operation(s, true), *operations = json_array();
    bool direct = strcmp(json_text(whole, "decision"), "direct") == 0, allowed = true;
    for (size_t k = 0; k < json_array_size(asked); k++) {
        struct state one = *s;
        one.operation = json_array_get(asked, k);
        json_array_append_new(operations, direct ? json_deep_copy(whole) : decide_operation(&one, false));
        allowed = allowed && strcmp(json_text(json_array_get(operations, k), "decision"), "allow") == 0;
    }
    if (direct) {
        json_object_set_new(whole, "operations", operations);
        return whole;
    }
    json_decref(whole);

    json_t *rules = json_array(), *because = json_array(), *obligations = no_obligations();
    bool conflict = accounts_differ(s);
    if (conflict)
        list_builtin(rules, "builtin:account-conflict");
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++) {
        json_t *rule = json_pack("{s:s, s:s, s:s, s:i}", "id", builtin[i], "effect", "deny", "file", "", "line", 0);
        if (decided(operations, rule, true))
            json_array_append(rules, rule);
        json_decref(rule);
    }
    for (uint32_t i = 0; i < s->program->n_decls && !(allowed && conflict); i++) {
        const struct pv_ast_decl *d = s->program->decls[i];
        if (d->kind != PV_AST_DECL_RULE)
            continue;
        json_t *rule = json_array(), *texts = json_array();
        list_rule(s, rule, texts, d->rule);
        if (decided(operations, json_array_get(rule, 0), !allowed)) {
            json_array_extend(rules, rule);
            json_array_extend(because, texts);
            if (d->rule->kind == PV_AST_REQUIRE)
                add_duty(obligations, d->rule->duty);
        }
        json_decref(rule);
        json_decref(texts);
    }
    allowed = allowed && !conflict;
    return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o}", "decision", allowed ? "allow" : "deny", "default",
                     !allowed && json_array_size(rules) == 0, "rules", rules, "because", because, "obligations",
                     obligations, "operations", operations);
}

static const char *policy_zone(const struct pv_program *program)
{
    if (!program->root || !program->root->policy)
        return NULL;
    const struct pv_ast_policy *p = program->root->policy->policy;
    return p->zone_host ? NULL : p->zone.text.ptr;
}

bool reference_in_window(const struct pv_program *program, const char *name, int64_t when)
{
    struct state s = {.program = program, .now = (time_t)when, .zone = policy_zone(program)};
    return in_window(&s, name);
}

int64_t reference_offset(const char *zone, int64_t when)
{
    struct tm t;
    in_zone(zone, (time_t)when, &t);
    return t.tm_gmtoff;
}

json_t *reference_decide(const struct pv_program *program, const json_t *request)
{
    struct state s = {.program = program, .request = request, .operation = request};
    const char *when = json_text(request, "time");
    if (!when || parse_time(when, &s.now) < 0)
        return NULL;
    s.zone = policy_zone(program);
    if (json_object_get(request, "operations"))
        return decide_operations(&s);
    return decide_operation(&s, true);
}
