/* Stanzas, fields and relations; see deb822.h. */
#include "agentd/apt/deb822.h"

#include <string.h>
#include <strings.h>

#include "runtime/proviso.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The line at `from`, without its newline; *next is where the one after it begins. */
static struct pv_slice line_at(const char *data, size_t len, size_t from, size_t *next)
{
    const char *end = memchr(data + from, '\n', len - from);
    size_t stop = end ? (size_t)(end - data) : len;
    *next = end ? stop + 1 : len;
    return (struct pv_slice){data + from, stop - from};
}

static bool line_empty(struct pv_slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!blank(line.at[i]) && line.at[i] != '\r')
            return false;
    return true;
}

bool pv_deb822_next(const char *data, size_t len, size_t *at, struct pv_slice *stanza)
{
    size_t next, start;
    while (*at < len && line_empty(line_at(data, len, *at, &next)))
        *at = next;
    start = *at;
    while (*at < len && !line_empty(line_at(data, len, *at, &next)))
        *at = next;
    *stanza = (struct pv_slice){data + start, *at - start};
    return *at > start;
}

/* The length of the field's name in front of the colon, 0 when the line does not begin with one. */
static size_t name_length(struct pv_slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.at[i];
        if (c == ':')
            return i;
        if (c <= ' ' || c >= 0x7f)
            return 0;
    }
    return 0;
}

bool pv_deb822_valid(struct pv_slice stanza)
{
    if (stanza.len == 0 || stanza.len > PV_DEB822_STANZA_MAX || memchr(stanza.at, 0, stanza.len))
        return false;
    for (size_t at = 0, next; at < stanza.len; at = next) {
        struct pv_slice line = line_at(stanza.at, stanza.len, at, &next);
        if (line.len && blank(line.at[0]) && at > 0)
            continue;
        if (name_length(line) == 0 || line.at[0] == '-' || line.at[0] == '#')
            return false;
    }
    return true;
}

static struct pv_slice trim(struct pv_slice s)
{
    while (s.len && (blank(s.at[0]) || s.at[0] == '\n' || s.at[0] == '\r'))
        s.at++, s.len--;
    while (s.len && (blank(s.at[s.len - 1]) || s.at[s.len - 1] == '\n' || s.at[s.len - 1] == '\r'))
        s.len--;
    return s;
}

int pv_deb822_field(struct pv_slice stanza, const char *name, struct pv_slice *value)
{
    size_t n = strlen(name);
    int found = 0;
    *value = (struct pv_slice){stanza.at, 0};
    for (size_t at = 0, next; at < stanza.len; at = next) {
        struct pv_slice line = line_at(stanza.at, stanza.len, at, &next);
        if (line.len <= n || line.at[n] != ':' || strncasecmp(line.at, name, n) != 0)
            continue;
        if (found)
            return -1;
        found = 1;
        size_t end = next, after;
        while (end < stanza.len && blank(stanza.at[end])) {
            line_at(stanza.at, stanza.len, end, &after);
            end = after;
        }
        *value = trim((struct pv_slice){line.at + n + 1, (size_t)(stanza.at + end - (line.at + n + 1))});
    }
    return found;
}

int pv_deb822_line(struct pv_slice stanza, const char *name, struct pv_slice *value)
{
    int found = pv_deb822_field(stanza, name, value);
    return found == 1 && memchr(value->at, '\n', value->len) ? -1 : found;
}

bool pv_deb822_number(struct pv_slice value, uint64_t *number)
{
    *number = 0;
    if (value.len == 0 || value.len > 19)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(value.at[i] - '0');
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool pv_deb822_sha256(struct pv_slice value, uint8_t out[32])
{
    if (value.len != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = hex_value(value.at[2 * i]), low = hex_value(value.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void skip_blanks(struct pv_slice value, size_t *at)
{
    while (*at < value.len && (blank(value.at[*at]) || value.at[*at] == '\n' || value.at[*at] == '\r'))
        (*at)++;
}

/* Characters up to one of `stops`; a control character or an opening bracket ends the reading as malformed. */
static struct pv_slice word(struct pv_slice value, size_t *at, const char *stops)
{
    size_t start = *at;
    while (*at < value.len && !strchr(stops, value.at[*at]) && (unsigned char)value.at[*at] > ' ' &&
           value.at[*at] != '[' && value.at[*at] != '<')
        (*at)++;
    return (struct pv_slice){value.at + start, *at - start};
}

static bool read_bound(struct pv_slice value, size_t *at, struct pv_relation *relation)
{
    static const char *const ops[] = {"<<", "<=", ">=", ">>", "=", "<", ">"};
    static const char *const meanings[] = {"<<", "<=", ">=", ">>", "=", "<=", ">="};
    (*at)++; /* the parenthesis */
    skip_blanks(value, at);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        size_t n = strlen(ops[i]);
        if (value.len - *at < n || memcmp(value.at + *at, ops[i], n) != 0)
            continue;
        memcpy(relation->op, meanings[i], strlen(meanings[i]) + 1);
        *at += n;
        skip_blanks(value, at);
        relation->version = word(value, at, "),|(");
        skip_blanks(value, at);
        if (relation->version.len == 0 || *at >= value.len || value.at[*at] != ')')
            return false;
        (*at)++;
        return true;
    }
    return false;
}

int pv_relation_next(struct pv_slice value, size_t *at, struct pv_relation *relation)
{
    *relation = (struct pv_relation){.name = {"", 0}, .arch = {"", 0}, .version = {"", 0}};
    if (value.len && memchr(value.at, 0, value.len))
        return -1;
    skip_blanks(value, at);
    while (*at < value.len && value.at[*at] == ',') { /* a trailing or doubled comma is harmless */
        (*at)++;
        skip_blanks(value, at);
    }
    if (*at >= value.len)
        return 0;
    relation->name = word(value, at, ":(,|)");
    if (relation->name.len == 0)
        return -1;
    if (*at < value.len && value.at[*at] == ':') {
        (*at)++;
        relation->arch = word(value, at, "(,|)");
        if (relation->arch.len == 0)
            return -1;
    }
    skip_blanks(value, at);
    if (*at < value.len && value.at[*at] == '(' && !read_bound(value, at, relation))
        return -1;
    skip_blanks(value, at);
    if (*at >= value.len)
        return 1;
    if (value.at[*at] != '|' && value.at[*at] != ',')
        return -1;
    relation->or_next = value.at[*at] == '|';
    (*at)++;
    if (relation->or_next) {
        skip_blanks(value, at);
        if (*at >= value.len || value.at[*at] == ',')
            return -1;
    }
    return 1;
}

bool pv_relation_holds(const struct pv_relation *relation, struct pv_slice version)
{
    if (!relation->op[0])
        return true;
    int order = pv_version_compare(PV_ORDER_DPKG, version.at, version.len, relation->version.at, relation->version.len);
    switch (relation->op[0]) {
    case '<': return relation->op[1] == '<' ? order < 0 : order <= 0;
    case '>': return relation->op[1] == '>' ? order > 0 : order >= 0;
    default: return order == 0;
    }
}
