/*
 * Reading dpkg's log for removals; see log.h. The text is not trusted: lines have a bound, and what is not exactly
 * `YYYY-MM-DD HH:MM:SS status not-installed|config-files NAME:ARCH VERSION` says nothing. `remove` and `purge` lines
 * tell of an intention that may have failed; the states that follow tell what became of it.
 */
#include "agentd/apt/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/name.h"
#include "agentd/plan.h"

enum {
    LINE = 4096,       /* bytes of a line that can say something */
    ROTATED_TRIES = 5, /* times that the log may be rotated while it is being opened */
};

struct log {
    int fd; /* -1: there is no such file */
    struct stat st;
};

struct reading {
    pv_log_sink *sink;
    void *context;
    char *why;
    size_t why_size;
};

static bool __attribute__((format(printf, 2, 3))) unknown(const struct reading *g, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(g->why, g->why_size, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- Files ---- */

static void close_log(struct log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

/* True with the file open, or with -1 when it is not there. */
static bool open_log(const struct reading *g, const char *path, struct log *log)
{
    log->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (log->fd < 0)
        return errno == ENOENT || unknown(g, "%s cannot be read: %s", path, strerror(errno));
    if (fstat(log->fd, &log->st) == 0 && S_ISREG(log->st.st_mode) && log->st.st_size <= PV_LOG_MAX)
        return true;
    close_log(log);
    return unknown(g, "%s is not a file, or too large", path);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Opens the log and the one before it, as they were at one moment: nothing is rotated in between. */
static bool open_both(const struct reading *g, const char *now_path, const char *before_path, struct log *now,
                      struct log *before)
{
    for (int i = 0; i < ROTATED_TRIES; i++) {
        struct stat st;
        if (!open_log(g, now_path, now))
            return false;
        if (!open_log(g, before_path, before)) {
            close_log(now);
            return false;
        }
        int result = lstat(now_path, &st);
        if (now->fd < 0 ? result < 0 && errno == ENOENT : result == 0 && same_file(&st, &now->st))
            return true;
        close_log(now);
        close_log(before);
    }
    return unknown(g, "%s is another file each time", now_path);
}

static bool read_at(int fd, void *data, size_t len, uint64_t offset)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = pread(fd, (char *)data + at, len - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Whether the mark was made in this file. */
static bool holds(const struct log *log, const struct pv_log_mark *mark)
{
    uint8_t tail[PV_LOG_TAIL];
    return log->fd >= 0 && mark->offset <= (uint64_t)log->st.st_size &&
           read_at(log->fd, tail, mark->n_tail, mark->offset - mark->n_tail) &&
           memcmp(tail, mark->tail, mark->n_tail) == 0;
}

/* ---- Lines ---- */

static bool is_moment(const char *text)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

/* A line without its newline, terminated. Nonzero when the sink has had enough. */
static int tell_line(const struct reading *g, char *line, size_t len)
{
    static const char *const gone[] = {" status not-installed ", " status config-files "};
    const size_t moment = PV_LOG_MOMENT - 1;
    if (strlen(line) != len || len < moment || !is_moment(line))
        return 0;
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        size_t n = strlen(gone[i]);
        if (strncmp(line + moment, gone[i], n) != 0)
            continue;
        char *name = line + moment + n, *space = strchr(name, ' '), *colon = strchr(name, ':');
        if (!space || !colon || colon > space)
            return 0;
        *space = *colon = line[moment] = '\0';
        const char *arch = colon + 1;
        if (!pv_apt_name_valid(name, strlen(name)) || !pv_apt_arch_valid(arch, strlen(arch)))
            return 0;
        return g->sink(g->context, name, arch, line);
    }
    return 0;
}

/* All whole lines from `from` on; *end is where they end. */
static bool tell_lines(const struct reading *g, const struct log *log, uint64_t from, uint64_t *end)
{
    char buffer[LINE + 1];
    size_t have = 0;
    bool skipping = false; /* a line that is too long to say anything */
    uint64_t at = from;
    *end = from;
    for (;;) {
        ssize_t n = at >= PV_LOG_MAX ? 0 : pread(log->fd, buffer + have, LINE - have, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return unknown(g, "dpkg's log cannot be read: %s", strerror(errno));
        if (n == 0)
            return true;
        at += (uint64_t)n;
        have += (size_t)n;
        char *start = buffer, *newline;
        while ((newline = memchr(start, '\n', have))) {
            size_t len = (size_t)(newline - start);
            *newline = '\0';
            if (!skipping && tell_line(g, start, len))
                return unknown(g, "dpkg's log tells of too many removals");
            skipping = false;
            have -= len + 1;
            start = newline + 1;
            *end = at - have;
        }
        if (have == LINE) {
            skipping = true;
            have = 0;
        } else if (have) {
            memmove(buffer, start, have);
        }
    }
}

/* ---- All of it ---- */

static bool make_mark(const struct reading *g, const struct log *log, uint64_t offset, struct pv_log_mark *mark)
{
    *mark = (struct pv_log_mark){.known = true, .offset = offset};
    mark->n_tail = offset < PV_LOG_TAIL ? (size_t)offset : PV_LOG_TAIL;
    if (!mark->n_tail || read_at(log->fd, mark->tail, mark->n_tail, offset - mark->n_tail))
        return true;
    *mark = (struct pv_log_mark){0};
    return unknown(g, "dpkg's log became shorter while it was read");
}

/* Older ones are there: then the two that are read need not be all. */
static bool has_older(const char *path)
{
    static const char *const endings[] = {".2", ".2.gz", ".2.xz", ".2.bz2", ".2.zst"};
    char older[PV_PLAN_PATH_MAX + 64];
    struct stat st;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(older, sizeof older, "%s%s", path, endings[i]);
        if (lstat(older, &st) == 0 || errno != ENOENT)
            return true;
    }
    return false;
}

bool pv_log_read(const char *root, const struct pv_log_mark *from, struct pv_log_mark *to, pv_log_sink *sink,
                 void *context, char *why, size_t size)
{
    struct reading g = {.sink = sink, .context = context, .why = why, .why_size = size};
    struct log now = {.fd = -1}, before = {.fd = -1};
    char path[PV_PLAN_PATH_MAX + 32], rotated[PV_PLAN_PATH_MAX + 40];
    uint64_t end = 0, before_end = 0;
    bool all = true;
    *to = (struct pv_log_mark){0};
    why[0] = '\0';
    snprintf(path, sizeof path, "%s/var/log/dpkg.log", strcmp(root, "/") == 0 ? "" : root);
    snprintf(rotated, sizeof rotated, "%s.1", path);
    if (!open_both(&g, path, rotated, &now, &before))
        return false;

    /* Where to begin: behind the mark, or at the front of everything where there is none. */
    uint64_t begin = 0, before_begin = 0;
    bool read_before = true;
    if (!from->known) {
        all = unknown(&g, "dpkg's log was not read before");
    } else if (from->offset == 0) {
        if (has_older(path))
            all = unknown(&g, "dpkg's log was rotated more than once since it was read last");
    } else if (holds(&now, from)) {
        begin = from->offset;
        read_before = false;
    } else if (holds(&before, from)) {
        before_begin = from->offset;
    } else {
        all = unknown(&g, "what was read last is in neither dpkg.log nor dpkg.log.1");
    }

    if (before.fd >= 0 && read_before && !tell_lines(&g, &before, before_begin, &before_end))
        all = false;
    if (now.fd >= 0 && !tell_lines(&g, &now, begin, &end))
        all = false;
    /* A log that was just rotated has no text to know it by: then the mark stays at the end of the one before. */
    if (end || before.fd < 0)
        all = make_mark(&g, &now, end, to) && all;
    else if (read_before)
        all = make_mark(&g, &before, before_end, to) && all;
    close_log(&now);
    close_log(&before);
    return all;
}
