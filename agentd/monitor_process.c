/*
 * Channels and helper processes of the monitor; see monitor.h.
 *
 * A channel never blocks: what a peer does not take is queued up to a bound, and a peer over the bound is cut off. A
 * helper is killed when its owner no longer needs it: it holds nothing that could be lost.
 */
#include "agentd/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES_PER_ROUND = 64 }; /* of one channel, before others get their turn */

struct outgoing {
    struct outgoing *next;
    uint32_t type;
    int fds[PV_WIRE_FDS];
    size_t n_fds;
    size_t len;
    uint8_t payload[];
};

static void drop_first(struct channel *c)
{
    struct outgoing *one = c->first;
    for (size_t i = 0; i < one->n_fds; i++)
        close(one->fds[i]);
    c->queued -= one->len + sizeof *one;
    c->first = one->next;
    if (!c->first)
        c->last = &c->first;
    free(one);
}

bool pv_mon_channel_is_open(const struct channel *c)
{
    return c->watch.fd >= 0 && c->m;
}

void pv_mon_channel_close(struct channel *c)
{
    if (!pv_mon_channel_is_open(c))
        return;
    pv_loop_unwatch(&c->m->loop, &c->watch);
    close(c->watch.fd);
    c->watch.fd = -1;
    while (c->first)
        drop_first(c);
}

static void lost(struct channel *c, const char *why)
{
    pv_mon_channel_close(c);
    c->closed(c->closed_context, why);
}

/* False when the channel is gone. */
static bool flush_queue(struct channel *c)
{
    while (c->first) {
        struct outgoing *one = c->first;
        struct pv_wbuf w = {.data = one->payload, .size = one->len, .len = one->len};
        int result = pv_frame_send(c->watch.fd, one->type, &w, one->fds, one->n_fds);
        if (result == PV_E_WIRE_AGAIN)
            return true;
        if (result) {
            lost(c, pv_wire_strerror(result));
            return false;
        }
        drop_first(c);
    }
    c->watch.events = POLLIN;
    return true;
}

static void ready(void *context, short revents)
{
    struct channel *c = context;
    if ((revents & POLLOUT) && !flush_queue(c))
        return;
    if (!(revents & (POLLIN | POLLHUP | POLLERR)))
        return;
    for (int i = 0; i < FRAMES_PER_ROUND && pv_mon_channel_is_open(c); i++) {
        uint32_t type;
        size_t len;
        int result = pv_frame_recv(c->watch.fd, c->m->frame, sizeof c->m->frame, &type, &len, NULL, 0, NULL);
        if (result == PV_E_WIRE_AGAIN)
            return;
        if (result) {
            lost(c, pv_wire_strerror(result));
            return;
        }
        c->frame(c->context, type, c->m->frame, len);
    }
}

int pv_mon_channel_open(struct channel *c, struct monitor *m, int fd, size_t queue_max)
{
    c->m = m;
    c->first = NULL;
    c->last = &c->first;
    c->queued = 0;
    c->queue_max = queue_max;
    c->watch = (struct pv_watch){.fd = fd, .events = POLLIN, .ready = ready, .context = c};
    int result = pv_loop_watch(&m->loop, &c->watch);
    if (result) {
        close(fd);
        c->watch.fd = -1;
    }
    return result;
}

static int enqueue(struct channel *c, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds)
{
    size_t len = w ? w->len : 0;
    if (len + sizeof(struct outgoing) > c->queue_max - c->queued)
        return PV_E_WIRE_TOO_BIG;
    struct outgoing *one = calloc(1, sizeof *one + len);
    if (!one)
        return PV_E_WIRE_SYSTEM;
    one->type = type;
    one->len = len;
    if (len)
        memcpy(one->payload, w->data, len);
    for (size_t i = 0; i < n_fds; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (copy < 0) {
            while (one->n_fds)
                close(one->fds[--one->n_fds]);
            free(one);
            return PV_E_WIRE_SYSTEM;
        }
        one->fds[one->n_fds++] = copy;
    }
    *c->last = one;
    c->last = &one->next;
    c->queued += len + sizeof *one;
    c->watch.events = POLLIN | POLLOUT;
    return 0;
}

int pv_mon_channel_send(struct channel *c, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds)
{
    if (!pv_mon_channel_is_open(c))
        return PV_E_WIRE_CLOSED;
    int result = PV_E_WIRE_AGAIN;
    if (w && (w->overflow || w->len > PV_WIRE_MAX))
        result = PV_E_WIRE_TOO_BIG;
    else if (!c->first)
        result = pv_frame_send(c->watch.fd, type, w, fds, n_fds);
    if (result == PV_E_WIRE_AGAIN)
        result = enqueue(c, type, w, fds, n_fds);
    if (result)
        pv_mon_channel_close(c);
    return result;
}

int pv_mon_spawn(const char *program, const char *const *argv, const int *fds, size_t n_fds, pid_t *pid)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int high[PV_WIRE_FDS];
    size_t n_high = 0;
    int result;
    *pid = 0;
    if (n_fds > PV_WIRE_FDS)
        return -EINVAL;
    if ((result = posix_spawn_file_actions_init(&actions)))
        return -result;
    if ((result = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        return -result;
    }
    /* Copies above the range first, so that no dup2 overwrites a source that is still needed. */
    for (; n_high < n_fds; n_high++) {
        high[n_high] = fcntl(fds[n_high], F_DUPFD_CLOEXEC, 3 + PV_WIRE_FDS);
        if (high[n_high] < 0) {
            result = errno;
            goto out;
        }
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if ((result = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) ||
        (result = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)))
        goto out;
    for (size_t i = 0; i < n_fds; i++)
        if ((result = posix_spawn_file_actions_adddup2(&actions, high[i], (int)(3 + i))))
            goto out;
    if ((result = posix_spawnattr_setsigmask(&attributes, &none)) ||
        (result = posix_spawnattr_setsigdefault(&attributes, &all)) ||
        (result = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)))
        goto out;
    result = posix_spawn(pid, program, &actions, &attributes, (char *const *)argv, environment);
out:
    while (n_high)
        close(high[--n_high]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

static void helper_gone(struct helper *h, const char *why)
{
    pv_mon_helper_stop(h);
    h->gone(h->context, why);
}

static void helper_channel_closed(void *context, const char *why)
{
    helper_gone(context, why);
}

static void helper_too_slow(void *context)
{
    helper_gone(context, "it did not answer in time");
}

/* The end of the process alone means nothing: what it said last may still be in the socket. */
static void helper_ended(void *context, int status)
{
    (void)context;
    (void)status;
}

int pv_mon_helper_start(struct helper *h, struct monitor *m, const struct account *account, const char *program,
                        const char *const *arguments, int extra, size_t queue_max, int64_t deadline_ms)
{
    char launcher[512], path[512], uid[16], gid[16];
    const char *argv[16] = {launcher};
    size_t n = 1;
    if (extra >= 0) /* a front end: what it writes could be a stranger's words */
        argv[n++] = "-q";
    argv[n++] = uid;
    argv[n++] = gid;
    argv[n++] = extra >= 0 ? "4" : "3";
    argv[n++] = path;
    if ((size_t)snprintf(launcher, sizeof launcher, "%s/proviso-launch", m->options.libexec) >= sizeof launcher ||
        (size_t)snprintf(path, sizeof path, "%s/%s", m->options.libexec, program) >= sizeof path)
        return -ENAMETOOLONG;
    snprintf(uid, sizeof uid, "%u", account->uid);
    snprintf(gid, sizeof gid, "%u", account->gid);
    for (; arguments && *arguments && n < sizeof argv / sizeof argv[0] - 1; arguments++)
        argv[n++] = *arguments;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    /* The other side may block; O_NONBLOCK is of the open description, and each end is its own. */
    fcntl(pair[1], F_SETFL, 0);
    int fds[2] = {extra >= 0 ? extra : pair[1], pair[1]};
    pid_t pid;
    int result = pv_mon_spawn(launcher, argv, fds, extra >= 0 ? 2 : 1, &pid);
    close(pair[1]);
    if (result) {
        close(pair[0]);
        return result;
    }
    h->child = (struct pv_child){.pid = pid, .ended = helper_ended, .context = h};
    pv_loop_child(&m->loop, &h->child);
    h->channel.closed = helper_channel_closed;
    h->channel.closed_context = h;
    h->channel.context = h->context;
    result = pv_mon_channel_open(&h->channel, m, pair[0], queue_max);
    if (result) {
        pv_mon_helper_stop(h);
        return result;
    }
    h->deadline = (struct pv_timer){.fire = helper_too_slow, .context = h};
    if (deadline_ms)
        pv_loop_timer(&m->loop, &h->deadline, deadline_ms);
    return 0;
}

void pv_mon_helper_stop(struct helper *h)
{
    struct monitor *m = h->channel.m;
    if (!m)
        return;
    pv_loop_untimer(&m->loop, &h->deadline);
    pv_mon_channel_close(&h->channel);
    if (h->child.pid > 0) {
        kill(h->child.pid, SIGKILL);
        pv_loop_unchild(&m->loop, &h->child);
    }
}

enum { LINGER_MS = 10000 }; /* how long a released process may take to say its last words to its client */

struct lingering {
    struct monitor *m;
    struct pv_child child;
    struct pv_timer timer;
};

static void lingering_ended(void *context, int status)
{
    (void)status;
    struct lingering *l = context;
    pv_loop_untimer(&l->m->loop, &l->timer);
    pv_mon_free_later(l->m, l);
}

static void lingered(void *context)
{
    struct lingering *l = context;
    kill(l->child.pid, SIGKILL);
}

void pv_mon_helper_release(struct helper *h)
{
    struct monitor *m = h->channel.m;
    if (!m)
        return;
    pv_loop_untimer(&m->loop, &h->deadline);
    pv_mon_channel_close(&h->channel);
    struct lingering *l = h->child.pid > 0 ? calloc(1, sizeof *l) : NULL;
    if (!l) {
        pv_mon_helper_stop(h);
        return;
    }
    l->m = m;
    l->child = (struct pv_child){.pid = h->child.pid, .ended = lingering_ended, .context = l};
    l->timer = (struct pv_timer){.fire = lingered, .context = l};
    pv_loop_unchild(&m->loop, &h->child);
    pv_loop_child(&m->loop, &l->child);
    pv_loop_timer(&m->loop, &l->timer, LINGER_MS);
}
