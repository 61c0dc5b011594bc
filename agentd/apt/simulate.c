/* The grammar of apt-get's simulation; see simulate.h. */
#include "agentd/apt/simulate.h"

#include <string.h>

#include "agentd/apt/name.h"

/* Moves past `text`, or not at all. */
static bool skip(struct pv_slice *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len < n || memcmp(s->at, text, n) != 0)
        return false;
    s->at += n;
    s->len -= n;
    return true;
}

/* Everything up to one of `stops`, which is left where it is. */
static struct pv_slice until(struct pv_slice *s, const char *stops)
{
    struct pv_slice out = {s->at, 0};
    while (s->len && s->at[0] && !strchr(stops, s->at[0]))
        out.len++, s->at++, s->len--;
    return out;
}

static bool read_name(struct pv_slice *s, struct pv_sim_line *line)
{
    line->name = until(s, " :");
    if (!pv_apt_name_valid(line->name.at, line->name.len))
        return false;
    if (!skip(s, ":"))
        return true;
    line->name_arch = until(s, " ");
    return pv_apt_arch_valid(line->name_arch.at, line->name_arch.len);
}

static bool read_old(struct pv_slice *s, struct pv_sim_line *line)
{
    line->old = until(s, "]");
    return pv_apt_version_valid(line->old.at, line->old.len) && skip(s, "]");
}

/* "NEW RELEASES [ARCH])": ARCH is in the last brackets before a parenthesis that only a tail follows. */
static bool read_new(struct pv_slice *s, struct pv_sim_line *line)
{
    line->new = until(s, " )");
    if (!pv_apt_version_valid(line->new.at, line->new.len) || !skip(s, " "))
        return false;
    size_t close = s->len;
    while (close >= 2 && !(s->at[close - 1] == ')' && s->at[close - 2] == ']'))
        close--;
    if (close < 2)
        return false;
    size_t open = close - 2;
    while (open > 0 && s->at[open] != '[')
        open--;
    if (s->at[open] != '[')
        return false;
    line->arch = (struct pv_slice){s->at + open + 1, close - 2 - open - 1};
    s->at += close;
    s->len -= close;
    return pv_apt_arch_valid(line->arch.at, line->arch.len);
}

static bool read_tail(struct pv_slice *s)
{
    while (skip(s, " [")) {
        struct pv_slice names = until(s, "[]()");
        (void)names;
        if (!skip(s, "]"))
            return false;
    }
    while (skip(s, " "))
        continue;
    return s->len == 0;
}

static bool read_line(struct pv_slice s, struct pv_sim_line *line)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f)
            return false;
    if (skip(&s, "Inst "))
        line->kind = PV_SIM_INST;
    else if (skip(&s, "Conf "))
        line->kind = PV_SIM_CONF;
    else if (skip(&s, "Remv "))
        line->kind = PV_SIM_REMV;
    else if (skip(&s, "Purg "))
        line->kind = PV_SIM_PURG;
    else
        return false;
    if (!read_name(&s, line) || !skip(&s, " "))
        return false;
    bool removal = line->kind == PV_SIM_REMV || line->kind == PV_SIM_PURG;
    if (removal)
        return skip(&s, "[") && read_old(&s, line) && read_tail(&s);
    if (line->kind == PV_SIM_INST && skip(&s, "[") && !(read_old(&s, line) && skip(&s, " ")))
        return false;
    return skip(&s, "(") && read_new(&s, line) && read_tail(&s);
}

int pv_sim_next(const char *data, size_t len, size_t *at, struct pv_sim_line *line, struct pv_slice *raw)
{
    static const struct pv_slice empty = {"", 0};
    *line = (struct pv_sim_line){.name = empty, .name_arch = empty, .old = empty, .new = empty, .arch = empty};
    *raw = (struct pv_slice){data + *at, 0};
    if (*at >= len)
        return 0;
    const char *end = memchr(data + *at, '\n', len - *at);
    raw->len = (end ? (size_t)(end - data) : len) - *at;
    *at += raw->len + (end ? 1 : 0);
    return end && read_line(*raw, line) ? 1 : -1; /* apt ends every line; one that is cut off says nothing */
}
