/*
 * The poll loop; see monitor_loop.h.
 *
 * Invariants: a callback may remove any watch, timer or child, its own included: slots are emptied at once and
 * compacted only between rounds, so a stale event never reaches a new owner. Children that nobody registered are reaped
 * too.
 */
#include "agentd/monitor_loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t pv_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t pv_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t pv_now(void)
{
    return (int64_t)(pv_now_ns() / 1000000000u);
}

int pv_loop_init(struct pv_loop *loop)
{
    *loop = (struct pv_loop){.signals = -1};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return loop->signals < 0 ? -errno : 0;
}

void pv_loop_free(struct pv_loop *loop)
{
    if (loop->signals >= 0)
        close(loop->signals);
    free(loop->watches);
    free(loop->polls);
    *loop = (struct pv_loop){.signals = -1};
}

static int grow(struct pv_loop *loop)
{
    size_t cap = loop->cap ? loop->cap * 2 : 64;
    struct pv_watch **watches = realloc(loop->watches, cap * sizeof *watches);
    if (watches)
        loop->watches = watches;
    struct pollfd *polls = realloc(loop->polls, (cap + 1) * sizeof *polls); /* one more for the signals */
    if (polls)
        loop->polls = polls;
    if (!watches || !polls)
        return -ENOMEM;
    loop->cap = cap;
    return 0;
}

int pv_loop_watch(struct pv_loop *loop, struct pv_watch *watch)
{
    if (watch->slot)
        return 0;
    if (loop->n == loop->cap && grow(loop))
        return -ENOMEM;
    loop->watches[loop->n++] = watch;
    watch->slot = loop->n;
    return 0;
}

void pv_loop_unwatch(struct pv_loop *loop, struct pv_watch *watch)
{
    if (watch->slot)
        loop->watches[watch->slot - 1] = NULL;
    watch->slot = 0;
}

void pv_loop_untimer(struct pv_loop *loop, struct pv_timer *timer)
{
    if (!timer->armed)
        return;
    struct pv_timer **at = &loop->timers;
    while (*at && *at != timer)
        at = &(*at)->next;
    if (*at)
        *at = timer->next;
    timer->armed = false;
}

void pv_loop_timer(struct pv_loop *loop, struct pv_timer *timer, int64_t ms)
{
    pv_loop_untimer(loop, timer);
    timer->at_ms = pv_now_ms() + ms;
    timer->armed = true;
    struct pv_timer **at = &loop->timers;
    while (*at && (*at)->at_ms <= timer->at_ms)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
}

void pv_loop_child(struct pv_loop *loop, struct pv_child *child)
{
    child->next = loop->children;
    loop->children = child;
}

void pv_loop_unchild(struct pv_loop *loop, struct pv_child *child)
{
    struct pv_child **at = &loop->children;
    while (*at && *at != child)
        at = &(*at)->next;
    if (*at)
        *at = child->next;
    child->pid = 0;
}

static void reap(struct pv_loop *loop)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct pv_child *child = loop->children;
        while (child && child->pid != pid)
            child = child->next;
        if (child) {
            pv_loop_unchild(loop, child);
            child->ended(child->context, status);
        }
    }
}

static void read_signals(struct pv_loop *loop)
{
    struct signalfd_siginfo info;
    bool children = false;
    while (read(loop->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            children = true;
        else if (loop->on_signal)
            loop->on_signal(loop->context, (int)info.ssi_signo);
    }
    if (children)
        reap(loop);
}

static void compact(struct pv_loop *loop)
{
    size_t n = 0;
    for (size_t i = 0; i < loop->n; i++) {
        if (!loop->watches[i])
            continue;
        loop->watches[n] = loop->watches[i];
        loop->watches[n]->slot = n + 1;
        n++;
    }
    loop->n = n;
}

static int wait_ms(const struct pv_loop *loop)
{
    if (!loop->timers)
        return -1;
    int64_t left = loop->timers->at_ms - pv_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void fire_timers(struct pv_loop *loop)
{
    int64_t now = pv_now_ms();
    while (loop->timers && loop->timers->at_ms <= now) {
        struct pv_timer *timer = loop->timers;
        pv_loop_untimer(loop, timer);
        timer->fire(timer->context);
    }
}

int pv_loop_run(struct pv_loop *loop)
{
    if (!loop->polls && grow(loop))
        return -ENOMEM;
    while (!loop->stop) {
        compact(loop);
        size_t n = loop->n;
        struct pollfd *polls = loop->polls;
        for (size_t i = 0; i < n; i++)
            polls[i] = (struct pollfd){.fd = loop->watches[i]->fd, .events = loop->watches[i]->events};
        polls[n] = (struct pollfd){.fd = loop->signals, .events = POLLIN};
        if (poll(polls, n + 1, wait_ms(loop)) < 0 && errno != EINTR)
            return -errno;
        short signalled = polls[n].revents;
        for (size_t i = 0; i < n; i++) {
            /* The array may move while callbacks add watches; `polls` is read again through the loop. */
            short revents = loop->polls[i].revents;
            struct pv_watch *watch = loop->watches[i];
            if (revents && watch)
                watch->ready(watch->context, revents);
        }
        /* After the descriptors: what a child sent before it ended has been read by now, or is read by its owner. */
        if (signalled)
            read_signals(loop);
        fire_timers(loop);
    }
    return 0;
}
