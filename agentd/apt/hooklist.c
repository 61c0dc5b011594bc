/* Comparing apt's list with the plan; see hooklist.h. */
#include "agentd/apt/hooklist.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/name.h"
#include "agentd/apt/text.h"

enum { N_FIELDS = 9 };

struct line {
    struct pv_slice name, old, old_arch, direction, new, new_arch, action;
};

__attribute__((format(printf, 2, 3))) static int differ(struct pv_hook_verdict *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->sentence, sizeof v->sentence, format, args);
    va_end(args);
    return -1;
}

static int bad_line(struct pv_hook_verdict *v, struct pv_slice raw)
{
    struct pv_text text = {0};
    pv_text_escaped(&text, raw.at, raw.len, 300);
    differ(v, "apt's list holds a line of an unexpected form: %s", text.data && !text.failed ? text.data : "");
    free(text.data);
    return -1;
}

static bool version_or_dash(struct pv_slice s)
{
    return pv_slice_is(s, "-") || pv_apt_version_valid(s.at, s.len);
}

static bool arch_or_dash(struct pv_slice s)
{
    return pv_slice_is(s, "-") || pv_apt_arch_valid(s.at, s.len);
}

/* Eight fields without spaces; the rest of the line is the action. */
static bool split(struct pv_slice raw, struct line *out)
{
    struct pv_slice f[N_FIELDS], rest = raw;
    for (size_t i = 0; i + 1 < N_FIELDS; i++) {
        const char *space = rest.len ? memchr(rest.at, ' ', rest.len) : NULL;
        if (!space || space == rest.at)
            return false;
        size_t n = (size_t)(space - rest.at);
        f[i] = (struct pv_slice){rest.at, n};
        rest = (struct pv_slice){space + 1, rest.len - n - 1};
    }
    if (rest.len == 0 || memchr(rest.at, 0, rest.len))
        return false;
    *out = (struct line){f[0], f[1], f[2], f[4], f[5], f[6], rest};
    static const char *const multi[] = {"none", "same", "allowed", "foreign"};
    for (size_t i = 3; i < 8; i += 4) {
        bool known = false;
        for (size_t j = 0; j < sizeof multi / sizeof multi[0]; j++)
            known |= pv_slice_is(f[i], multi[j]);
        if (!known)
            return false;
    }
    return pv_apt_name_valid(out->name.at, out->name.len) && version_or_dash(out->old) && version_or_dash(out->new) &&
           arch_or_dash(out->old_arch) && arch_or_dash(out->new_arch) &&
           (pv_slice_is(out->direction, "<") || pv_slice_is(out->direction, "=") || pv_slice_is(out->direction, ">"));
}

static bool same_or_dash(struct pv_slice s, const char *text)
{
    return *text ? pv_slice_is(s, text) : pv_slice_is(s, "-");
}

static int find_op(const struct pv_plan *plan, const struct line *l, bool removal, size_t *index)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct pv_plan_op *op = &plan->ops[i];
        if (pv_slice_is(l->name, op->name) && pv_slice_is(removal ? l->old_arch : l->new_arch, op->arch)) {
            *index = i;
            return 0;
        }
    }
    return -1;
}

enum { SEEN_ARCHIVE = 1, SEEN_CONFIGURE = 2, SEEN_REMOVE = 4 };

static int check_archive(const struct pv_plan_op *op, const struct line *l, pv_hook_hash *hash, void *context,
                         struct pv_hook_verdict *v)
{
    char path[4096];
    uint8_t got[32];
    if (l->action.len >= sizeof path || l->action.at[0] != '/')
        return bad_line(v, l->action);
    memcpy(path, l->action.at, l->action.len);
    path[l->action.len] = '\0';
    if (hash(context, path, got))
        return differ(v, "the archive of %s %s cannot be read as root's file", op->name, op->new_version);
    if (memcmp(got, op->sha256, sizeof got) != 0)
        return differ(v, "the archive of %s %s is not the one that was planned: its SHA-256 differs", op->name,
                      op->new_version);
    return 0;
}

static int check_line(const struct pv_plan *plan, const struct line *l, uint8_t *seen, pv_hook_hash *hash,
                      void *context, struct pv_hook_verdict *v)
{
    bool removal = pv_slice_is(l->action, "**REMOVE**"), configure = pv_slice_is(l->action, "**CONFIGURE**");
    size_t i;
    if (find_op(plan, l, removal, &i))
        return differ(v, "apt wants to %s %.*s %.*s, which is not in the plan",
                      removal     ? "remove"
                      : configure ? "configure"
                                  : "install",
                      (int)l->name.len, l->name.at, (int)(removal ? l->old.len : l->new.len),
                      removal ? l->old.at : l->new.at);
    const struct pv_plan_op *op = &plan->ops[i];
    if (removal != pv_plan_is_removal(op))
        return differ(v, "apt wants to %s %s, and the plan says %s", removal ? "remove" : "install", op->name,
                      pv_plan_action_name(op->action));
    if (!same_or_dash(l->new, op->new_version))
        return differ(v, "apt wants version %.*s of %s, and the plan says %s", (int)l->new.len, l->new.at, op->name,
                      *op->new_version ? op->new_version : "none");
    if (!same_or_dash(l->old, op->old_version))
        return differ(v, "version %.*s of %s is there now, and the plan was made for %s", (int)l->old.len, l->old.at,
                      op->name, *op->old_version ? op->old_version : "none");
    uint8_t bit = removal ? SEEN_REMOVE : configure ? SEEN_CONFIGURE : SEEN_ARCHIVE;
    if (seen[i] & bit)
        return differ(v, "apt's list names %s twice", op->name);
    seen[i] |= bit;
    return removal || configure ? 0 : check_archive(op, l, hash, context, v);
}

/* Behind the version line and the configuration, which ends with an empty line. */
static int skip_head(const char *list, size_t len, size_t *at, struct pv_hook_verdict *v)
{
    static const char version[] = "VERSION 3\n";
    if (len < sizeof version - 1 || memcmp(list, version, sizeof version - 1) != 0)
        return differ(v, "apt's list is not of protocol version 3");
    for (*at = sizeof version - 1; *at < len;) {
        const char *end = memchr(list + *at, '\n', len - *at);
        if (!end)
            break;
        size_t n = (size_t)(end - list) - *at;
        *at += n + 1;
        if (n == 0)
            return 0;
    }
    return differ(v, "apt's list ends within its configuration");
}

int pv_hook_check(const struct pv_plan *plan, const char *list, size_t len, pv_hook_hash *hash, void *context,
                  struct pv_hook_verdict *v)
{
    size_t at = 0;
    v->sentence[0] = '\0';
    if (skip_head(list, len, &at, v))
        return -1;
    uint8_t *seen = calloc(plan->n_ops + 1, 1);
    if (!seen)
        return differ(v, "out of memory");
    int result = 0;
    while (!result && at < len) {
        const char *end = memchr(list + at, '\n', len - at);
        struct pv_slice raw = {list + at, (end ? (size_t)(end - list) : len) - at};
        struct line line;
        if (!end || !split(raw, &line))
            result = bad_line(v, raw);
        else
            result = check_line(plan, &line, seen, hash, context, v);
        at += raw.len + 1;
    }
    for (size_t i = 0; !result && i < plan->n_ops; i++) {
        uint8_t need = pv_plan_is_removal(&plan->ops[i]) ? SEEN_REMOVE : SEEN_ARCHIVE;
        if (!(seen[i] & need))
            result = differ(v, "the plan says %s %s, and apt does not do it", pv_plan_action_name(plan->ops[i].action),
                            plan->ops[i].name);
    }
    free(seen);
    return result;
}
