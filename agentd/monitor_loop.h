/*
 * The monitor's poll loop: descriptors, timers and ended children, one thread, callbacks.
 *
 * Watches and timers live inside their owners' structures; the loop only points at them, so an owner removes what it
 * added before it goes away, at any time, from inside callbacks too. libc only.
 */
#ifndef PV_AGENTD_MONITOR_LOOP_H
#define PV_AGENTD_MONITOR_LOOP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pv_watch {
    int fd;
    short events; /* POLLIN, POLLOUT; may be changed while the watch is in the loop */
    void (*ready)(void *context, short revents);
    void *context;
    size_t slot; /* the loop's: place + 1, 0 when it is not in the loop */
};

struct pv_timer {
    int64_t at_ms; /* of pv_now_ms() */
    void (*fire)(void *context);
    void *context;
    struct pv_timer *next;
    bool armed;
};

struct pv_child {
    pid_t pid;
    void (*ended)(void *context, int status); /* a wait status; called once, the child is out of the loop by then */
    void *context;
    struct pv_child *next;
};

struct pv_loop {
    struct pv_watch **watches;
    struct pollfd *polls;
    size_t n, cap;
    struct pv_timer *timers; /* soonest first */
    struct pv_child *children;
    int signals;                                 /* signalfd */
    void (*on_signal)(void *context, int signo); /* SIGTERM, SIGINT, SIGHUP */
    void *context;
    bool stop;
};

/* Milliseconds of a clock that only goes forward and counts suspension; nanoseconds and seconds since 1970 UTC. */
int64_t pv_now_ms(void);
uint64_t pv_now_ns(void);
int64_t pv_now(void);

/* Blocks SIGCHLD, SIGTERM, SIGINT, SIGHUP and reads them from a descriptor; ignores SIGPIPE. 0 or a negative errno. */
int pv_loop_init(struct pv_loop *loop);
void pv_loop_free(struct pv_loop *loop);

/* 0, or -ENOMEM. */
int pv_loop_watch(struct pv_loop *loop, struct pv_watch *watch);
/* Idempotent; does not close the descriptor. */
void pv_loop_unwatch(struct pv_loop *loop, struct pv_watch *watch);
/* (Re)arms: `fire` is called once, `ms` milliseconds from now. */
void pv_loop_timer(struct pv_loop *loop, struct pv_timer *timer, int64_t ms);
void pv_loop_untimer(struct pv_loop *loop, struct pv_timer *timer);
/* From now on the end of child->pid is told. */
void pv_loop_child(struct pv_loop *loop, struct pv_child *child);
/* The owner no longer cares: the child is still reaped, nobody is told. */
void pv_loop_unchild(struct pv_loop *loop, struct pv_child *child);

/* Until loop->stop. 0 or a negative errno. */
int pv_loop_run(struct pv_loop *loop);

#endif
