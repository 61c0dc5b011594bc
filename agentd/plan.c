/*
 * Plans: ownership of their texts, wire form, canonical text.
 *
 * Each operation owns one allocation that holds all its texts, so an operation is complete or not there. Everything
 * that enters a plan passes check(): names, versions and sources have the grammars of agentd/apt/name.h, which hold no
 * space, so the canonical text needs no quoting and cannot be ambiguous.
 */
#include "agentd/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/apt/name.h"

static const char *const action_names[PV_PLAN_ACTIONS] = {"install", "upgrade", "downgrade",
                                                          "remove",  "purge",   "reinstall"};

const char *pv_plan_action_name(enum pv_plan_action action)
{
    return (unsigned)action < PV_PLAN_ACTIONS ? action_names[action] : "?";
}

void pv_plan_clear(struct pv_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        free((void *)(uintptr_t)plan->ops[i].wanted_by); /* the front of the operation's one allocation */
    free(plan->ops);
    *plan = (struct pv_plan){0};
}

/* Printable ASCII or bytes of UTF-8; no space and no control character. */
static bool plain_text(const char *text, size_t max)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    return len <= max;
}

static bool version_or_empty(const char *version)
{
    return !*version || pv_apt_version_valid(version, strlen(version));
}

static bool hash_given(const uint8_t hash[32])
{
    uint8_t any = 0;
    for (size_t i = 0; i < 32; i++)
        any |= hash[i];
    return any != 0;
}

static bool check(const struct pv_plan_op *op)
{
    if ((unsigned)op->action >= PV_PLAN_ACTIONS || !pv_apt_name_valid(op->name, strlen(op->name)) ||
        !pv_apt_arch_valid(op->arch, strlen(op->arch)) || !version_or_empty(op->old_version) ||
        !version_or_empty(op->new_version) || !plain_text(op->section, 255) ||
        !plain_text(op->filename, PV_PLAN_PATH_MAX) || op->n_wanted_by > PV_PLAN_WANTED_MAX)
        return false;
    for (size_t i = 0; i < op->n_wanted_by; i++)
        if (!pv_apt_name_valid(op->wanted_by[i], strlen(op->wanted_by[i])))
            return false;
    bool removal = pv_plan_is_removal(op), fresh = op->action == PV_PLAN_INSTALL;
    if (!*op->old_version != fresh || !*op->new_version != removal)
        return false;
    if (removal)
        return !*op->source && !*op->filename && !hash_given(op->sha256) && op->download_size == 0;
    return pv_apt_source_valid(op->source, strlen(op->source)) && hash_given(op->sha256);
}

int pv_plan_add(struct pv_plan *plan, const struct pv_plan_op *op)
{
    if (!check(op))
        return PV_E_PLAN_MALFORMED;
    if (plan->n_ops >= PV_PLAN_OPS_MAX)
        return PV_E_PLAN_TOO_BIG;
    if (plan->n_ops == plan->cap) {
        size_t cap = plan->cap ? plan->cap * 2 : 16;
        struct pv_plan_op *grown = realloc(plan->ops, cap * sizeof *grown);
        if (!grown)
            return PV_E_PLAN_NOMEM;
        plan->ops = grown;
        plan->cap = cap;
    }

    struct pv_plan_op copy = *op;
    const char **texts[] = {&copy.name,   &copy.arch,    &copy.old_version, &copy.new_version,
                            &copy.source, &copy.section, &copy.filename};
    size_t n_texts = sizeof texts / sizeof texts[0];
    size_t size = op->n_wanted_by * sizeof(char *);
    for (size_t i = 0; i < n_texts; i++)
        size += strlen(*texts[i]) + 1;
    for (size_t i = 0; i < op->n_wanted_by; i++)
        size += strlen(op->wanted_by[i]) + 1;

    char *store = malloc(size);
    if (!store)
        return PV_E_PLAN_NOMEM;
    const char **wanted = (const char **)(void *)store;
    char *at = store + op->n_wanted_by * sizeof(char *);
    for (size_t i = 0; i < op->n_wanted_by; i++) {
        size_t len = strlen(op->wanted_by[i]) + 1;
        wanted[i] = memcpy(at, op->wanted_by[i], len);
        at += len;
    }
    for (size_t i = 0; i < n_texts; i++) {
        size_t len = strlen(*texts[i]) + 1;
        *texts[i] = memcpy(at, *texts[i], len);
        at += len;
    }
    copy.wanted_by = wanted;
    plan->ops[plan->n_ops++] = copy;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct pv_plan_op *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (!order)
        order = strcmp(x->arch, y->arch);
    return order ? order : (int)x->action - (int)y->action;
}

int pv_plan_sort(struct pv_plan *plan)
{
    if (plan->n_ops)
        qsort(plan->ops, plan->n_ops, sizeof *plan->ops, compare);
    for (size_t i = 1; i < plan->n_ops; i++)
        if (strcmp(plan->ops[i - 1].name, plan->ops[i].name) == 0 &&
            strcmp(plan->ops[i - 1].arch, plan->ops[i].arch) == 0)
            return PV_E_PLAN_MALFORMED;
    return 0;
}

void pv_plan_op_encode(struct pv_wbuf *w, const struct pv_plan_op *op)
{
    pv_put_u32(w, (uint32_t)op->action);
    pv_put_u32(w, (op->essential ? PV_PLAN_W_ESSENTIAL : 0) | (op->dependency ? PV_PLAN_W_DEPENDENCY : 0) |
                      (op->held ? PV_PLAN_W_HELD : 0) | (op->config_files ? PV_PLAN_W_CONFIG_FILES : 0) |
                      (op->automatic ? PV_PLAN_W_AUTOMATIC : 0));
    pv_put_cstr(w, op->name);
    pv_put_cstr(w, op->arch);
    pv_put_cstr(w, op->old_version);
    pv_put_cstr(w, op->new_version);
    pv_put_cstr(w, op->source);
    pv_put_cstr(w, op->section);
    pv_put_cstr(w, op->filename);
    pv_put_u64(w, op->download_size);
    pv_put_raw(w, op->sha256, sizeof op->sha256);
    pv_put_u32(w, (uint32_t)op->n_wanted_by);
    for (size_t i = 0; i < op->n_wanted_by; i++)
        pv_put_cstr(w, op->wanted_by[i]);
}

int pv_plan_op_decode(struct pv_rbuf *r, struct pv_plan *plan)
{
    char name[PV_APT_NAME_MAX + 1], arch[PV_APT_ARCH_MAX + 1], old[PV_APT_VERSION_MAX + 1], new[PV_APT_VERSION_MAX + 1],
        source[PV_APT_SOURCE_MAX + 1], section[256], filename[PV_PLAN_PATH_MAX + 1];
    struct pv_plan_op op = {.name = name,
                            .arch = arch,
                            .old_version = old,
                            .new_version = new,
                            .source = source,
                            .section = section,
                            .filename = filename};
    op.action = (enum pv_plan_action)pv_get_u32_max(r, PV_PLAN_ACTIONS - 1);
    uint32_t flags = pv_get_u32_max(r, PV_PLAN_W_ALL);
    pv_get_str_copy(r, name, sizeof name);
    pv_get_str_copy(r, arch, sizeof arch);
    pv_get_str_copy(r, old, sizeof old);
    pv_get_str_copy(r, new, sizeof new);
    pv_get_str_copy(r, source, sizeof source);
    pv_get_str_copy(r, section, sizeof section);
    pv_get_str_copy(r, filename, sizeof filename);
    op.download_size = pv_get_u64(r);
    pv_get_raw(r, op.sha256, sizeof op.sha256);
    op.n_wanted_by = pv_get_u32_max(r, PV_PLAN_WANTED_MAX);
    if (r->error)
        return PV_E_PLAN_MALFORMED;

    char *names = malloc(op.n_wanted_by * (PV_APT_NAME_MAX + 1) + 1);
    const char **wanted = malloc((op.n_wanted_by + 1) * sizeof *wanted);
    int result = PV_E_PLAN_NOMEM;
    if (!names || !wanted)
        goto out;
    for (size_t i = 0; i < op.n_wanted_by; i++) {
        char *one = names + i * (PV_APT_NAME_MAX + 1);
        pv_get_str_copy(r, one, PV_APT_NAME_MAX + 1);
        wanted[i] = one;
    }
    result = PV_E_PLAN_MALFORMED;
    if (r->error)
        goto out;
    op.wanted_by = wanted;
    op.essential = flags & PV_PLAN_W_ESSENTIAL;
    op.dependency = flags & PV_PLAN_W_DEPENDENCY;
    op.held = flags & PV_PLAN_W_HELD;
    op.config_files = flags & PV_PLAN_W_CONFIG_FILES;
    op.automatic = flags & PV_PLAN_W_AUTOMATIC;
    result = pv_plan_add(plan, &op);
out:
    free(names);
    free(wanted);
    return result;
}

void pv_plan_state_encode(struct pv_wbuf *w, const struct pv_plan_state *s)
{
    pv_put_u32(w, (s->installed ? PV_PLAN_S_INSTALLED : 0) | (s->broken ? PV_PLAN_S_BROKEN : 0) |
                      (s->config_files ? PV_PLAN_S_CONFIG_FILES : 0) | (s->held ? PV_PLAN_S_HELD : 0) |
                      (s->essential ? PV_PLAN_S_ESSENTIAL : 0) | (s->automatic ? PV_PLAN_S_AUTOMATIC : 0) |
                      (s->available ? PV_PLAN_S_AVAILABLE : 0));
    pv_put_cstr(w, s->name);
    pv_put_cstr(w, s->arch);
    pv_put_cstr(w, s->installed_version);
    pv_put_cstr(w, s->section);
    pv_put_cstr(w, s->candidate_version);
    pv_put_cstr(w, s->candidate_source);
    pv_put_u64(w, s->download_size);
    pv_put_cstr(w, s->summary);
}

/* The next string, terminated, in what is left of the store. */
static const char *stored(struct pv_rbuf *r, char **at, size_t *left)
{
    size_t len;
    const char *text = pv_get_str(r, *left ? *left - 1 : 0, &len);
    if (!text || *left == 0) {
        r->error = true;
        return "";
    }
    char *copy = *at;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *at += len + 1;
    *left -= len + 1;
    return copy;
}

int pv_plan_state_decode(struct pv_rbuf *r, struct pv_plan_state *s, char store[PV_PLAN_STATE_STORE])
{
    char *at = store;
    size_t left = PV_PLAN_STATE_STORE;
    *s = (struct pv_plan_state){0};
    uint32_t flags = pv_get_u32_max(r, PV_PLAN_S_ALL);
    s->name = stored(r, &at, &left);
    s->arch = stored(r, &at, &left);
    s->installed_version = stored(r, &at, &left);
    s->section = stored(r, &at, &left);
    s->candidate_version = stored(r, &at, &left);
    s->candidate_source = stored(r, &at, &left);
    s->download_size = pv_get_u64(r);
    s->summary = stored(r, &at, &left);
    s->installed = flags & PV_PLAN_S_INSTALLED;
    s->broken = flags & PV_PLAN_S_BROKEN;
    s->config_files = flags & PV_PLAN_S_CONFIG_FILES;
    s->held = flags & PV_PLAN_S_HELD;
    s->essential = flags & PV_PLAN_S_ESSENTIAL;
    s->automatic = flags & PV_PLAN_S_AUTOMATIC;
    s->available = flags & PV_PLAN_S_AVAILABLE;
    if (r->error || !pv_apt_name_valid(s->name, strlen(s->name)) ||
        (*s->arch && !pv_apt_arch_valid(s->arch, strlen(s->arch))) || !version_or_empty(s->installed_version) ||
        !version_or_empty(s->candidate_version) || !plain_text(s->section, 255) ||
        (*s->candidate_source && !pv_apt_source_valid(s->candidate_source, strlen(s->candidate_source))))
        return PV_E_PLAN_MALFORMED;
    return 0;
}

static const char header[] = "proviso-plan 1\n";

/* The longest line: the seven fields at their limits, spaces and the newline. */
enum { LINE_MAX_LEN = 16 + PV_APT_NAME_MAX + PV_APT_ARCH_MAX + 2 * PV_APT_VERSION_MAX + PV_APT_SOURCE_MAX + 64 + 8 };

static const char *or_dash(const char *text)
{
    return *text ? text : "-";
}

static int format_line(char line[LINE_MAX_LEN], const struct pv_plan_op *op)
{
    char hash[65] = "-";
    if (!pv_plan_is_removal(op))
        for (size_t i = 0; i < sizeof op->sha256; i++)
            snprintf(hash + 2 * i, 3, "%02x", op->sha256[i]);
    return snprintf(line, LINE_MAX_LEN, "%s %s %s %s %s %s %s\n", pv_plan_action_name(op->action), op->name, op->arch,
                    or_dash(op->old_version), or_dash(op->new_version), or_dash(op->source), hash);
}

int pv_plan_canonical(struct pv_plan *plan, pv_plan_sink *sink, void *context)
{
    int result = pv_plan_sort(plan);
    if (result)
        return result;
    if (sink(context, header, sizeof header - 1))
        return PV_E_PLAN_SINK;
    for (size_t i = 0; i < plan->n_ops; i++) {
        char line[LINE_MAX_LEN];
        int len = format_line(line, &plan->ops[i]);
        if (len < 0 || len >= LINE_MAX_LEN)
            return PV_E_PLAN_TOO_BIG;
        if (sink(context, line, (size_t)len))
            return PV_E_PLAN_SINK;
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hash(uint8_t out[32], const char *text)
{
    if (strlen(text) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Splits one line (terminated, newline removed) at single spaces; "-" becomes "". */
static bool parse_line(struct pv_plan_op *op, char *line)
{
    char *fields[7];
    size_t n = 0;
    for (char *at = line;; at++) {
        if (n == 7)
            return false;
        fields[n++] = at;
        at = strchr(at, ' ');
        if (!at)
            break;
        *at = '\0';
    }
    if (n != 7)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i], "-") == 0)
            fields[i] = strchr(fields[i], '\0');
    size_t action = 0;
    while (action < PV_PLAN_ACTIONS && strcmp(fields[0], action_names[action]) != 0)
        action++;
    *op = (struct pv_plan_op){.action = (enum pv_plan_action)action,
                              .name = fields[1],
                              .arch = fields[2],
                              .old_version = fields[3],
                              .new_version = fields[4],
                              .source = fields[5],
                              .section = "",
                              .filename = ""};
    return !*fields[6] || parse_hash(op->sha256, fields[6]);
}

int pv_plan_parse(struct pv_plan *plan, const char *text, size_t len)
{
    int result = PV_E_PLAN_MALFORMED;
    pv_plan_clear(plan);
    if (len > PV_PLAN_TEXT_MAX || len < sizeof header - 1 || memcmp(text, header, sizeof header - 1) != 0)
        return result;
    for (size_t at = sizeof header - 1; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len;
        char line[LINE_MAX_LEN], again[LINE_MAX_LEN];
        struct pv_plan_op op;
        result = PV_E_PLAN_MALFORMED;
        if (!end || n >= sizeof line - 1 || memchr(text + at, 0, n))
            goto out;
        memcpy(line, text + at, n);
        line[n] = '\0';
        if (!parse_line(&op, line))
            goto out;
        result = pv_plan_add(plan, &op);
        if (result)
            goto out;
        result = PV_E_PLAN_MALFORMED; /* there is one spelling for each operation, and one order */
        if (format_line(again, &op) != (int)n + 1 || memcmp(again, text + at, n + 1) != 0)
            goto out;
        if (plan->n_ops > 1 && compare(&plan->ops[plan->n_ops - 2], &plan->ops[plan->n_ops - 1]) >= 0)
            goto out;
        at += n + 1;
    }
    result = pv_plan_sort(plan);
out:
    if (result)
        pv_plan_clear(plan);
    return result;
}
