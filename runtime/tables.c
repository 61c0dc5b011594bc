/* The rules that every row of a bundle obeys, section by section; the two programs are verify.c's. Each refusal is one
 * sentence, and tests/runtime/rejects/ holds a damaged bundle for each.
 *
 * Checking is linear in the size of the file: runs of rows follow one another (struct run), names are compared by their
 * string, of which each exists once. */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

struct checker {
    const struct pv_bundle *b;
    struct pv_error *error;
    uint8_t *seen;   /* by string: a name that was used in the section at hand */
    uint32_t *owner; /* by slot: the command + 1 that has it as a parameter, as walked last */
    uint8_t *kind;   /* by slot: enum pvb_parameter_kind of that parameter */
    uint8_t *depth;  /* by window: the longest chain that it starts */
};

/* Runs of rows in the order of the rows that refer to them, none overlapping. */
static bool follows(uint32_t *next, uint32_t first, uint32_t n, uint32_t total)
{
    if (first > total || n > total - first || (n && first < *next))
        return false;
    if (n)
        *next = first + n;
    return true;
}

static bool is_string(const struct pv_bundle *b, uint32_t string)
{
    return string < b->n_strings;
}

static bool is_name(const struct pv_bundle *b, uint32_t string)
{
    return string && string < b->n_strings;
}

/* Whether this name is new in its section. */
static bool mark(struct checker *c, uint32_t string)
{
    uint8_t bit = (uint8_t)(1u << (string % 8));
    if (c->seen[string / 8] & bit)
        return false;
    c->seen[string / 8] |= bit;
    return true;
}

static void unmark_all(struct checker *c)
{
    memset(c->seen, 0, c->b->n_strings / 8 + 1);
}

static bool starts_with(struct pv_str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}

/* ---- Strings and numbers ---- */

static int check_strings(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    if (!b->n_strings)
        return pv_fail(c->error, PV_E_BUNDLE, 0, "there are no strings");
    for (uint32_t i = 0; i < b->n_strings; i++) {
        const struct pvb_str *s = &b->strings[i];
        if (s->offset >= b->n_bytes || s->len >= b->n_bytes - s->offset)
            return pv_refuse(b, c->error, PVB_STRINGS, i, "ends outside BYTES");
        if (memchr(b->bytes + s->offset, '\0', (size_t)s->len + 1) != b->bytes + s->offset + s->len)
            return pv_refuse(b, c->error, PVB_STRINGS, i, "NUL inside it, or none behind it");
        if (!i) {
            if (s->len)
                return pv_refuse(b, c->error, PVB_STRINGS, i, "the first string is not the empty one");
            continue;
        }
        struct pv_str last = pv_string_at(b, i - 1), this = pv_string_at(b, i);
        int difference = memcmp(last.ptr, this.ptr, last.len < this.len ? last.len : this.len);
        if (difference > 0 || (difference == 0 && last.len >= this.len))
            return pv_refuse(b, c->error, PVB_STRINGS, i, "not in order, or twice");
    }
    return 0;
}

static int check_strhash(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    uint32_t n = b->n_strhash, used = 0;
    if (!n || (n & (n - 1)))
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_STRHASH].offset,
                       "STRHASH has %u slots, which is no power of two", n);
    for (uint32_t i = 0; i < n; i++) {
        if (!is_string(b, b->strhash[i]))
            return pv_refuse(b, c->error, PVB_STRHASH, i, "no such string");
        used += b->strhash[i] != 0;
    }
    for (uint32_t i = 1; i < b->n_strings; i++) {
        struct pv_str s = pv_string_at(b, i);
        if (pv_bundle_intern(b, s.ptr, s.len) != i)
            return pv_refuse(b, c->error, PVB_STRINGS, i, "STRHASH does not find it");
    }
    if (used != b->n_strings - 1)
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_STRHASH].offset, "STRHASH holds %u strings of %u",
                       used, b->n_strings - 1);
    return 0;
}

static int check_header_strings(struct checker *c)
{
    const struct pvb_header *h = c->b->header;
    if (!is_string(c->b, h->name) || !is_string(c->b, h->title))
        return pv_fail(c->error, PV_E_BUNDLE, offsetof(struct pvb_header, name), "the policy's name is no string");
    if (!(h->flags & PVB_FLAG_LIBRARY) && !h->name)
        return pv_fail(c->error, PV_E_BUNDLE, offsetof(struct pvb_header, name), "the policy has no name");
    return 0;
}

static int check_ints(struct checker *c)
{
    for (uint32_t i = 1; i < c->b->n_ints; i++) {
        if (c->b->ints[i - 1] >= c->b->ints[i])
            return pv_refuse(c->b, c->error, PVB_INTS, i, "not in order, or twice");
    }
    return 0;
}

static int check_globs(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    for (uint32_t i = 0; i < b->n_glob_tokens; i++) {
        uint32_t t = b->glob_tokens[i];
        bool code_point = t && t < 0x110000 && (t < 0xd800 || t > 0xdfff);
        if (!code_point && t != PVB_GLOB_ONE && t != PVB_GLOB_STAR && t != PVB_GLOB_STAR_STAR)
            return pv_refuse(b, c->error, PVB_GLOB_TOKENS, i, "neither a code point nor a wildcard");
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < b->n_globs; i++) {
        const struct pvb_glob *g = &b->globs[i];
        if (!follows(&next, g->first, g->n, b->n_glob_tokens))
            return pv_refuse(b, c->error, PVB_GLOBS, i, "its tokens are not its own in GLOB_TOKENS");
        if (g->n > PVB_MAX_GLOB_TOKENS)
            return pv_refuse(b, c->error, PVB_GLOBS, i, "more than %u tokens", PVB_MAX_GLOB_TOKENS);
        if (!is_string(b, g->text))
            return pv_refuse(b, c->error, PVB_GLOBS, i, "its text is no string");
    }
    return 0;
}

static int check_ascending(struct checker *c, enum pvb_section section, const uint32_t *rows, uint32_t first,
                           uint32_t n, uint32_t limit)
{
    for (uint32_t i = first; i < first + n; i++) {
        if (rows[i] >= limit)
            return pv_refuse(c->b, c->error, section, i, "no such row");
        if (i > first && rows[i - 1] >= rows[i])
            return pv_refuse(c->b, c->error, section, i, "not in order within its set, or twice");
    }
    return 0;
}

static int check_sets(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    uint32_t next_member = 0, next_glob = 0;
    for (uint32_t i = 0; i < b->n_sets; i++) {
        const struct pvb_set *s = &b->sets[i];
        if (!is_string(b, s->name))
            return pv_refuse(b, c->error, PVB_SETS, i, "its name is no string");
        if (!follows(&next_member, s->first_member, s->n_members, b->n_set_members))
            return pv_refuse(b, c->error, PVB_SETS, i, "its members are not its own in SET_MEMBERS");
        if (!follows(&next_glob, s->first_glob, s->n_globs, b->n_set_globs))
            return pv_refuse(b, c->error, PVB_SETS, i, "its globs are not its own in SET_GLOBS");
        if (s->except != PVB_NONE && (s->except >= i || b->sets[s->except].except != PVB_NONE))
            return pv_refuse(b, c->error, PVB_SETS, i, "what it excepts is not a plain set before it");
        int status = check_ascending(c, PVB_SET_MEMBERS, b->set_members, s->first_member, s->n_members, b->n_strings);
        if (!status)
            status = check_ascending(c, PVB_SET_GLOBS, b->set_globs, s->first_glob, s->n_globs, b->n_globs);
        if (status)
            return status;
    }
    return 0;
}

/* ---- Attributes ---- */

static bool equals_builtin(const struct pv_bundle *b, uint32_t slot)
{
    const struct pvb_attr *a = &b->attrs[slot];
    const struct pv_attr_info *info = &pv_builtin_attrs[slot];
    struct pv_str path = pv_string_at(b, a->path);
    return path.len == strlen(info->path) && memcmp(path.ptr, info->path, path.len) == 0 && a->type == info->type &&
           a->flags == info->flags && a->scope == info->scope && a->order == PV_ORDER_COMMAND;
}

static bool declared_path(struct pv_str path, unsigned scope)
{
    if (scope == PV_SCOPE_ANY)
        return starts_with(path, "host.");
    return scope == PV_SCOPE_PARAMETER && (starts_with(path, "argument.") || starts_with(path, "option."));
}

static int check_attrs(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    if (b->n_attrs < PV_N_BUILTIN || b->n_attrs > UINT16_MAX + 1u)
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_ATTRS].offset, "ATTRS has %u rows", b->n_attrs);
    unmark_all(c);
    for (uint32_t i = 0; i < b->n_attrs; i++) {
        const struct pvb_attr *a = &b->attrs[i];
        if (!is_name(b, a->path) || !mark(c, a->path))
            return pv_refuse(b, c->error, PVB_ATTRS, i, "it has no path, or another attribute's");
        if (i < PV_N_BUILTIN) {
            if (!equals_builtin(b, i))
                return pv_refuse(b, c->error, PVB_ATTRS, i, "not the built-in attribute %s", pv_builtin_attrs[i].path);
            continue;
        }
        if (!declared_path(pv_string_at(b, a->path), a->scope))
            return pv_refuse(b, c->error, PVB_ATTRS, i, "its path does not fit its scope");
        if (a->type == PV_T_NONE || a->type > PV_T_STRINGS || a->flags & ~(PV_ATTR_OPT | PV_ATTR_DEFAULT))
            return pv_refuse(b, c->error, PVB_ATTRS, i, "an unknown type or flag");
        if (a->order > PV_ORDER_NUGET || (a->type == PV_T_VERSION) != (a->order != PV_ORDER_COMMAND))
            return pv_refuse(b, c->error, PVB_ATTRS, i, "a version has an order and nothing else has one");
    }
    return 0;
}

/* ---- Windows ---- */

/* Zone names reach the host's file system: letters, digits and `_+-`, in parts between slashes. */
static bool zone_name(struct pv_str s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        bool inner = (ch >= '0' && ch <= '9') || ch == '_' || ch == '+' || ch == '-';
        bool slash = ch == '/' && i && i + 1 < s.len && s.ptr[i - 1] != '/';
        if (!letter && !inner && !slash)
            return false;
    }
    return s.len < 256;
}

static int check_zones(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    if (!b->n_zones || b->n_zones > PVB_MAX_ZONES)
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_ZONES].offset, "ZONES has %u rows", b->n_zones);
    for (uint32_t i = 0; i < b->n_zones; i++) {
        if (!is_string(b, b->zones[i]) || !zone_name(pv_string_at(b, b->zones[i])))
            return pv_refuse(b, c->error, PVB_ZONES, i, "not the name of a zone");
    }
    return 0;
}

static bool valid_date(int32_t yearly, int32_t date)
{
    if (!yearly)
        return date >= PV_MIN_TIME / 86400 && date <= PV_MAX_TIME / 86400;
    int32_t month = date / 100, day = date % 100;
    return date > 0 && month >= 1 && month <= 12 && day >= 1 &&
           day <= (int32_t)pv_days_in_month(2000, (unsigned)month); /* a leap year */
}

static int check_window_terms(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    for (uint32_t i = 0; i < b->n_window_days; i++) {
        const struct pvb_nth_day *d = &b->window_days[i];
        if ((d->nth != -1 && (d->nth < 1 || d->nth > 5)) || d->weekday < 0 || d->weekday > 6)
            return pv_refuse(b, c->error, PVB_WINDOW_DAYS, i, "no such day of a month");
    }
    for (uint32_t i = 0; i < b->n_window_dates; i++) {
        const struct pvb_date_range *d = &b->window_dates[i];
        if ((d->yearly != 0 && d->yearly != 1) || !valid_date(d->yearly, d->from) || !valid_date(d->yearly, d->to))
            return pv_refuse(b, c->error, PVB_WINDOW_DATES, i, "no such date");
        if (!d->yearly && d->from > d->to)
            return pv_refuse(b, c->error, PVB_WINDOW_DATES, i, "it ends before it starts");
    }
    for (uint32_t i = 0; i < b->n_window_clocks; i++) {
        const struct pvb_clock_range *k = &b->window_clocks[i];
        if (k->from < 0 || k->from >= 86400 || k->to < 1 || k->to > 86400)
            return pv_refuse(b, c->error, PVB_WINDOW_CLOCKS, i, "no such clock");
    }
    return 0;
}

struct alt_runs {
    uint32_t day, date, clock;
};

static int check_alt(struct checker *c, uint32_t window, uint32_t i, struct alt_runs *next)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_window_alt *a = &b->window_alts[i];
    if (!follows(&next->day, a->first_day, a->n_days, b->n_window_days) ||
        !follows(&next->date, a->first_date, a->n_dates, b->n_window_dates) ||
        !follows(&next->clock, a->first_clock, a->n_clocks, b->n_window_clocks))
        return pv_refuse(b, c->error, PVB_WINDOW_ALTS, i, "its terms are not its own");
    if (a->has_days > 1 || a->day_mask > 127 || a->has_days != (a->day_mask || a->n_days))
        return pv_refuse(b, c->error, PVB_WINDOW_ALTS, i, "its days contradict one another");
    bool refers = a->ref != PVB_NONE;
    if (refers && (a->has_days || a->n_dates || a->n_clocks))
        return pv_refuse(b, c->error, PVB_WINDOW_ALTS, i, "both a reference and terms");
    if ((refers && a->ref >= window) || (a->except != PVB_NONE && a->except >= window))
        return pv_refuse(b, c->error, PVB_WINDOW_ALTS, i, "refers to a window that is not before its own");
    uint8_t ref = refers ? c->depth[a->ref] : 0, except = a->except != PVB_NONE ? c->depth[a->except] : 0;
    uint8_t below = ref > except ? ref : except;
    if (below >= PVB_MAX_WINDOWS)
        return pv_refuse(b, c->error, PVB_WINDOW_ALTS, i, "a chain of more than %u windows", PVB_MAX_WINDOWS);
    if (c->depth[window] < below + 1)
        c->depth[window] = (uint8_t)(below + 1);
    return 0;
}

static int check_windows(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    int status = check_window_terms(c);
    uint32_t next_alt = 0;
    struct alt_runs next = {0};
    for (uint32_t i = 0; !status && i < b->n_windows; i++) {
        const struct pvb_window *w = &b->windows[i];
        if (!is_string(b, w->name) || w->zone >= b->n_zones)
            return pv_refuse(b, c->error, PVB_WINDOWS, i, "its name is no string, or its zone no zone");
        if (!w->n_alts || !follows(&next_alt, w->first_alt, w->n_alts, b->n_window_alts))
            return pv_refuse(b, c->error, PVB_WINDOWS, i, "its alternatives are not its own in WINDOW_ALTS");
        for (uint32_t a = w->first_alt; !status && a < w->first_alt + w->n_alts; a++)
            status = check_alt(c, i, a, &next);
    }
    return status;
}

/* ---- Sources and commands ---- */

static int check_sources(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    const uint32_t known = PVB_SOURCE_SELF_SERVICE | PVB_SOURCE_ADMIN_ONLY | PVB_SOURCE_DISABLED | PVB_SOURCE_UNSIGNED;
    unmark_all(c);
    for (uint32_t i = 0; i < b->n_sources; i++) {
        const struct pvb_source *s = &b->sources[i];
        if (!is_name(b, s->name) || !mark(c, s->name))
            return pv_refuse(b, c->error, PVB_SOURCES, i, "it has no name, or another source's");
        if (!is_name(b, s->type) || !is_name(b, s->location) || !is_string(b, s->credentials) || !is_string(b, s->key))
            return pv_refuse(b, c->error, PVB_SOURCES, i, "type and location are strings, credentials and key too");
        if (s->key && !starts_with(pv_string_at(b, s->key), "/"))
            return pv_refuse(b, c->error, PVB_SOURCES, i, "the path of its key is not absolute");
        if (s->flags & ~known)
            return pv_refuse(b, c->error, PVB_SOURCES, i, "unknown flags");
    }
    return 0;
}

/* Whether operations of this command have the slot; its parameters have been walked. */
static bool command_has(const struct checker *c, uint32_t command, uint32_t slot)
{
    uint32_t flags = c->b->commands[command].flags;
    switch (c->b->attrs[slot].scope) {
    case PV_SCOPE_PACKAGE: return flags & PVB_COMMAND_PACKAGES;
    case PV_SCOPE_SOURCE: return flags & PVB_COMMAND_SOURCES;
    case PV_SCOPE_PARAMETER: return c->owner[slot] == command + 1;
    default: return true;
    }
}

static bool parameter_path(const struct pv_bundle *b, const struct pvb_parameter *p)
{
    const char *prefix = p->kind == PVB_ARGUMENT ? "argument." : "option.";
    struct pv_str path = pv_string_at(b, b->attrs[p->slot].path), name = pv_string_at(b, p->name);
    size_t before = strlen(prefix);
    return starts_with(path, prefix) && path.len == before + name.len &&
           memcmp(path.ptr + before, name.ptr, name.len) == 0;
}

static int check_parameters(struct checker *c, uint32_t command)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_command *cmd = &b->commands[command];
    for (uint32_t i = cmd->first_parameter; i < cmd->first_parameter + cmd->n_parameters; i++) {
        const struct pvb_parameter *p = &b->parameters[i];
        if (p->kind > PVB_FLAG || !is_name(b, p->name) || p->slot >= b->n_attrs || !parameter_path(b, p))
            return pv_refuse(b, c->error, PVB_PARAMETERS, i, "its slot is not that of an argument or option so named");
        if (c->owner[p->slot] == command + 1)
            return pv_refuse(b, c->error, PVB_PARAMETERS, i, "declared twice by one command");
        enum pv_type type = b->attrs[p->slot].type;
        if (type == PV_T_STRINGS || (p->kind == PVB_FLAG && type != PV_T_BOOL))
            return pv_refuse(b, c->error, PVB_PARAMETERS, i, "a parameter cannot be a %s", pv_type_name(type));
        if (p->set != PVB_NONE && (p->set >= b->n_sets || type != PV_T_STRING))
            return pv_refuse(b, c->error, PVB_PARAMETERS, i, "limited to no set, or no string");
        c->owner[p->slot] = command + 1;
        c->kind[p->slot] = (uint8_t)p->kind;
    }
    return 0;
}

static int check_templates(struct checker *c, uint32_t command)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_command *cmd = &b->commands[command];
    for (uint32_t i = cmd->first_template; i < cmd->first_template + cmd->n_templates; i++) {
        const struct pvb_template *t = &b->templates[i];
        bool good = false;
        if (t->kind == PVB_T_LITERAL)
            good = is_string(b, t->ref);
        else if (t->kind <= PVB_T_OPTION && t->ref < b->n_attrs && command_has(c, command, t->ref))
            good = t->kind == PVB_T_SLOT ? b->attrs[t->ref].type != PV_T_STRINGS
                                         : c->owner[t->ref] == command + 1 && c->kind[t->ref] != PVB_ARGUMENT;
        if (!good)
            return pv_refuse(b, c->error, PVB_TEMPLATES, i, "neither a string nor a value of its command");
        if (i == cmd->first_template && (t->kind != PVB_T_LITERAL || !starts_with(pv_string_at(b, t->ref), "/")))
            return pv_refuse(b, c->error, PVB_TEMPLATES, i, "the program has no absolute path");
    }
    return 0;
}

static int check_environment(struct checker *c, uint32_t command)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_command *cmd = &b->commands[command];
    for (uint32_t i = cmd->first_env; i < cmd->first_env + cmd->n_env; i++) {
        const struct pvb_env *e = &b->environment[i];
        if (!is_name(b, e->name) || !is_string(b, e->value) || strchr(pv_string_at(b, e->name).ptr, '='))
            return pv_refuse(b, c->error, PVB_ENVIRONMENT, i, "not a name and a value");
    }
    return 0;
}

static int check_required(struct checker *c, uint32_t command)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_command *cmd = &b->commands[command];
    for (uint32_t i = cmd->first_required; i < cmd->first_required + cmd->n_required; i++) {
        uint16_t slot = b->required[i];
        if (slot >= b->n_attrs || !command_has(c, command, slot))
            return pv_refuse(b, c->error, PVB_REQUIRED, i, "no slot of its command");
        if (i > cmd->first_required && b->required[i - 1] >= slot)
            return pv_refuse(b, c->error, PVB_REQUIRED, i, "not in order, or twice");
    }
    return 0;
}

static int check_command_row(struct checker *c, uint32_t i)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_command *cmd = &b->commands[i];
    if (!is_name(b, cmd->name) || !mark(c, cmd->name))
        return pv_refuse(b, c->error, PVB_COMMANDS, i, "it has no name, or another command's");
    struct pv_str name = pv_string_at(b, cmd->name);
    if (pv_never_brokered(name.ptr, name.len))
        return pv_refuse(b, c->error, PVB_COMMANDS, i, "%s is never brokered", name.ptr);
    if (!is_string(b, cmd->provider) || !is_string(b, cmd->account))
        return pv_refuse(b, c->error, PVB_COMMANDS, i, "provider and account are strings");
    if (!cmd->provider == !cmd->n_templates)
        return pv_refuse(b, c->error, PVB_COMMANDS, i, "a command has either a provider or an argument vector");
    if (cmd->flags & ~(uint32_t)(PVB_COMMAND_PACKAGES | PVB_COMMAND_SOURCES) || cmd->pad || cmd->timeout < 0)
        return pv_refuse(b, c->error, PVB_COMMANDS, i,
                         "unknown flags, padding that is not zero, or a negative timeout");
    if (cmd->order > PV_ORDER_NUGET || (cmd->flags & PVB_COMMAND_PACKAGES && cmd->order == PV_ORDER_COMMAND))
        return pv_refuse(b, c->error, PVB_COMMANDS, i, "packages without an order of versions");
    return 0;
}

static int check_commands(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    uint32_t next_template = 0, next_parameter = 0, next_env = 0, next_required = 0;
    unmark_all(c);
    for (uint32_t i = 0; i < b->n_commands; i++) {
        const struct pvb_command *cmd = &b->commands[i];
        int status = check_command_row(c, i);
        if (status)
            return status;
        if (!follows(&next_template, cmd->first_template, cmd->n_templates, b->n_templates) ||
            !follows(&next_parameter, cmd->first_parameter, cmd->n_parameters, b->n_parameters) ||
            !follows(&next_env, cmd->first_env, cmd->n_env, b->n_environment) ||
            !follows(&next_required, cmd->first_required, cmd->n_required, b->n_required))
            return pv_refuse(b, c->error, PVB_COMMANDS, i, "its rows in other sections are not its own");
        status = check_parameters(c, i);
        if (!status)
            status = check_templates(c, i);
        if (!status)
            status = check_environment(c, i);
        if (!status)
            status = check_required(c, i);
        if (status)
            return status;
    }
    return 0;
}

/* ---- Rules ---- */

static int check_clauses(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    uint32_t next = 0;
    for (uint32_t i = 0; i < b->n_clauses; i++) {
        const struct pvb_clause *cl = &b->clauses[i];
        if (cl->kind > PV_C_DUTY || !is_string(b, cl->text))
            return pv_refuse(b, c->error, PVB_CLAUSES, i, "an unknown kind, or a text that is no string");
        if (!cl->n_insns || cl->first_insn != next || cl->n_insns > b->n_clause_code - next)
            return pv_refuse(b, c->error, PVB_CLAUSES, i, "its code does not follow that of the clause before it");
        next += cl->n_insns;
    }
    if (next != b->n_clause_code)
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_CLAUSE_CODE].offset,
                       "CLAUSE_CODE holds instructions of no clause");
    for (uint32_t i = 0; i < b->n_texts; i++) {
        if (!is_string(b, b->texts[i]))
            return pv_refuse(b, c->error, PVB_TEXTS, i, "no such string");
    }
    for (uint32_t i = 0; i < b->n_annotations; i++) {
        if (!is_name(b, b->annotations[i].name) || !is_string(b, b->annotations[i].value))
            return pv_refuse(b, c->error, PVB_ANNOTATIONS, i, "not a name and a value");
    }
    return 0;
}

static int check_duties(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    for (uint32_t i = 0; i < b->n_duties; i++) {
        const struct pvb_duty *d = &b->duties[i];
        if (d->kind > PV_D_ALERT || d->pad || !is_string(b, d->text))
            return pv_refuse(b, c->error, PVB_DUTIES, i, "an unknown kind, or a text that is no string");
        if (d->kind == PV_D_TIMEOUT ? d->seconds <= 0 : d->seconds != 0)
            return pv_refuse(b, c->error, PVB_DUTIES, i, "a timeout has seconds and nothing else has them");
        if (d->kind == PV_D_ACCOUNT && !d->text)
            return pv_refuse(b, c->error, PVB_DUTIES, i, "an account without a name");
        bool asks = d->kind == PV_D_APPROVAL || d->kind == PV_D_ALERT || d->kind == PV_D_WINDOW;
        if (asks ? d->clause >= b->n_clauses || b->clauses[d->clause].kind != PV_C_DUTY : d->clause != PVB_NONE)
            return pv_refuse(b, c->error, PVB_DUTIES, i,
                             "an approval, an alert and a window have a duty's clause, nothing else has");
    }
    return 0;
}

static int check_rule_row(struct checker *c, uint32_t i)
{
    const struct pv_bundle *b = c->b;
    const struct pvb_rule *r = &b->rules[i];
    const uint32_t known = PVB_RULE_NAMES_LITERALLY | PVB_RULE_LIBRARY | PVB_RULE_WITH_DEPENDENCIES;
    if (r->kind > PV_RULE_DIRECT || r->flags & ~known)
        return pv_refuse(b, c->error, PVB_RULES, i, "an unknown kind or flag");
    bool builtin = r->kind == PV_RULE_BUILTIN_DENY;
    if (builtin && i && b->rules[i - 1].kind != PV_RULE_BUILTIN_DENY)
        return pv_refuse(b, c->error, PVB_RULES, i, "a built-in rule behind a declared one");
    if (!is_string(b, r->id) || (r->id && !mark(c, r->id)))
        return pv_refuse(b, c->error, PVB_RULES, i, "its id is no string, or another rule's");
    if (builtin != starts_with(pv_string_at(b, r->id), "builtin:"))
        return pv_refuse(b, c->error, PVB_RULES, i, "built-in rules and no others have ids that begin with `builtin:`");
    if ((r->kind == PV_RULE_REQUIRE) != (r->n_duties > 0))
        return pv_refuse(b, c->error, PVB_RULES, i, "a require has duties and nothing else has them");
    return 0;
}

static int check_rules(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    uint32_t next_clause = 0, next_because = 0, next_annotation = 0, next_duty = 0;
    unmark_all(c);
    for (uint32_t i = 0; i < b->n_rules; i++) {
        const struct pvb_rule *r = &b->rules[i];
        int status = check_rule_row(c, i);
        if (status)
            return status;
        if (!follows(&next_clause, r->first_clause, r->n_clauses, b->n_clauses) ||
            !follows(&next_because, r->first_because, r->n_because, b->n_texts) ||
            !follows(&next_annotation, r->first_annotation, r->n_annotations, b->n_annotations) ||
            !follows(&next_duty, r->first_duty, r->n_duties, b->n_duties))
            return pv_refuse(b, c->error, PVB_RULES, i, "its rows in other sections are not its own");
        for (uint32_t k = r->first_clause; k < r->first_clause + r->n_clauses; k++) {
            if (b->clauses[k].kind == PV_C_DUTY)
                return pv_refuse(b, c->error, PVB_RULES, i, "a duty's clause among its own");
        }
    }
    return 0;
}

/* ---- Debug ---- */

static int check_debug(struct checker *c)
{
    const struct pv_bundle *b = c->b;
    if (b->n_debug_rules != b->n_rules || b->n_debug_clauses != b->n_clauses)
        return pv_fail(c->error, PV_E_BUNDLE, b->header->section[PVB_DEBUG_RULES].offset,
                       "the debug sections do not have a row for each rule and clause");
    for (uint32_t i = 0; i < b->n_debug_rules; i++) {
        const struct pvb_debug_rule *d = &b->debug_rules[i];
        if (d->file_len && (d->file >= b->n_debug_bytes || d->file_len >= b->n_debug_bytes - d->file ||
                            b->debug_bytes[d->file + d->file_len] != '\0'))
            return pv_refuse(b, c->error, PVB_DEBUG_RULES, i, "its file ends outside DEBUG_BYTES");
        bool builtin = b->rules[i].kind == PV_RULE_BUILTIN_DENY;
        if (builtin ? d->file_len || d->line : !d->file_len || !d->line)
            return pv_refuse(b, c->error, PVB_DEBUG_RULES, i, "declared rules and no others have a file and a line");
    }
    return 0;
}

int pv_check_tables(const struct pv_bundle *bundle, struct pv_error *error)
{
    static int (*const checks[])(struct checker *) = {check_strings, check_strhash, check_header_strings, check_ints,
                                                      check_globs,   check_sets,    check_attrs,          check_zones,
                                                      check_windows, check_sources, check_commands,       check_clauses,
                                                      check_duties,  check_rules,   check_debug};
    struct checker c = {.b = bundle,
                        .error = error,
                        .seen = calloc(bundle->n_strings / 8 + 1, 1),
                        .owner = calloc((size_t)bundle->n_attrs + 1, sizeof(*c.owner)),
                        .kind = calloc((size_t)bundle->n_attrs + 1, 1),
                        .depth = calloc((size_t)bundle->n_windows + 1, 1)};
    int status = 0;
    if (!c.seen || !c.owner || !c.kind || !c.depth)
        status = pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    for (size_t i = 0; !status && i < sizeof(checks) / sizeof(*checks); i++)
        status = checks[i](&c);
    free(c.seen);
    free(c.owner);
    free(c.kind);
    free(c.depth);
    return status;
}
