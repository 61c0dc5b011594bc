/*
 * The monitor's inside: what its files share. provisod is one root process and one thread around a poll loop; it parses
 * nothing but checked frames, starts every other process, decides, and has each decision on record before anything
 * runs.
 *
 *   monitor.c              options, start, signals, end
 *   monitor_loop.c         the poll loop                    (monitor_loop.h)
 *   monitor_files.c        trusted paths, durable files     (monitor_files.h)
 *   monitor_process.c      channels and helper processes
 *   monitor_policy.c       the bundle: signature, floor, last good one, reload
 *   monitor_ledger.c       the ledger's process: appends, questions, head
 *   monitor_client.c       connections, front ends, abuse
 *   monitor_request.c      a request's life, as a state machine
 *   monitor_decide.c       facts and decisions of operations
 *   monitor_answer.c       frames that show decisions and rules
 *   monitor_run.c          run directories, runners, adoption
 *   monitor_transaction.c  package transactions: lock, sources, refresh, plan, decision  (monitor_transaction.h)
 *   monitor_owner.c        what happened outside the agent, held against ownership
 *   monitor_apply.c        fetch, apply, marks, reconciliation with dpkg's database
 *
 * Objects are freed by pv_mon_free_later(), never while a callback of theirs may be on the stack. Nothing here waits:
 * every exchange with another process is a frame sent and a callback.
 *
 * Links pv_runtime, libsodium and the agent's libc-only libraries.
 */
#ifndef PV_AGENTD_MONITOR_H
#define PV_AGENTD_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "agentd/apt/config.h"
#include "agentd/apt/name.h"
#include "agentd/chain.h"
#include "agentd/ledger.h"
#include "agentd/messages.h"
#include "agentd/minisign.h"
#include "agentd/monitor_files.h"
#include "agentd/monitor_loop.h"
#include "agentd/plan.h"
#include "agentd/record.h"
#include "agentd/request_wire.h"
#include "agentd/runner.h"
#include "agentd/wire.h"
#include "runtime/bundle.h"
#include "runtime/proviso.h"

enum {
    PV_MON_CLIENTS_MAX = 256, /* connections */
    PV_MON_CLIENTS_PER_UID = 16,
    PV_MON_REQUESTS_MAX = 128, /* in flight, running ones included */
    PV_MON_REQUESTS_PER_UID = 8,
    PV_MON_GROUPS_MAX = 65536,        /* of one user: the kernel's own limit */
    PV_MON_HELPER_DEADLINE_MS = 5000, /* resolver */
    PV_MON_PLANNER_DEADLINE_MS = 120000,
    PV_MON_CLIENT_QUEUE = 8 << 20, /* bytes waiting for a front end that does not read */
    PV_MON_LEDGER_QUEUE = 64 << 20,
    PV_MON_RECORDS_PER_MINUTE = 60, /* denials and abuse of one uid; more are counted in one record */
    PV_MON_OUTPUT_MAX = 16 << 20,   /* bytes of output kept of a command */
    PV_MON_OUTCOME_MS = 10000,      /* how long a client waits for its outcome to be durable */
    PV_MON_DISK_RESERVE = 16 << 20, /* bytes free where the state is; below, nothing new is brokered */
};

/* ---- monitor.c ---- */

struct account {
    const char *name;
    uid_t uid;
    gid_t gid;
};

struct options {
    const char *socket, *state, *policy, *pubkey, *root, *libexec, *client_key;
    struct account frontend, ledger, planner, resolver, worker;
    int64_t default_timeout; /* seconds */
    int64_t hard_limit;      /* seconds after which even dpkg is ended; 0: never */
    int64_t refresh;         /* seconds after which package lists are fetched again */
    bool brokering;
    bool foreground;
    int ready_fd; /* -1: none */
    const char **protected_packages;
    size_t n_protected;
    struct pv_apt_option *apt_options; /* of the host's, carried over into apt's configuration */
    size_t n_apt_options;
};

struct client;
struct request;
struct policy;
struct ledger;
struct owners;

struct monitor {
    struct pv_loop loop;
    struct options options;
    int state_dir, runs_dir;
    uint8_t *client_key; /* guarded memory */
    struct pv_minisign_pubkey pubkey;
    struct policy *policy; /* in force; never NULL once the monitor listens */
    struct ledger *ledger;
    struct owners *owners;
    struct pv_watch listener;
    struct client *clients;
    struct request *requests;
    struct request *transaction; /* holder of the transaction lock */
    struct pv_timer sweep;
    void **graveyard;
    size_t n_graveyard, cap_graveyard;
    struct abuse_count *abuse_counts;
    struct pv_timer abuse_timer;
    uint64_t last_request; /* id given last */
    int64_t uid_min, uid_max;
    char *protected_list; /* file content, one name a line */
    char machine_id[33], boot_id[37];
    char host_name[256], host_os[128], host_arch[32];
    uint8_t frame[PV_WIRE_MAX]; /* the frame that is being handled */
};

/* A line on standard error: what an operator should know. Control characters are escaped. */
void pv_mon_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* free(), when no callback is on the stack any more. */
void pv_mon_free_later(struct monitor *m, void *memory);
/* Whether a package is the agent's own or on the operator's list. */
bool pv_mon_protected(const struct monitor *m, const char *package);

/* ---- monitor_process.c ---- */

/* One end of a SOCK_SEQPACKET socket with a queue behind it. */
struct channel {
    struct monitor *m;
    struct pv_watch watch;
    struct outgoing *first, **last;
    size_t queued, queue_max;
    /* The payload is m->frame's and gone after the call. */
    void (*frame)(void *context, uint32_t type, const uint8_t *payload, size_t len);
    void *context;
    /* The peer is gone or broke the wire; the channel is closed already. */
    void (*closed)(void *context, const char *why);
    void *closed_context;
};

/* Takes over the descriptor. 0 or a negative errno (the descriptor is closed then). */
int pv_mon_channel_open(struct channel *c, struct monitor *m, int fd, size_t queue_max);
/* Sends or queues; descriptors are duplicated where they have to wait. 0, or PV_E_WIRE_*: the channel is of no more use
 * and closed() is not called. */
int pv_mon_channel_send(struct channel *c, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds);
/* Idempotent. */
void pv_mon_channel_close(struct channel *c);
bool pv_mon_channel_is_open(const struct channel *c);

/* A process of the agent's under an account of its own, with a channel on its descriptor 3 (4 for a front end). */
struct helper {
    struct channel channel;
    struct pv_child child;
    struct pv_timer deadline;
    /* The process is gone, broke the wire or was too slow: told once, never after pv_mon_helper_stop(). */
    void (*gone)(void *context, const char *why);
    void *context;
};

/* Starts LIBEXEC/PROGRAM ARGUMENT... through the launcher. Descriptor 3 is `extra` when that is not -1 (which stays the
 * caller's), and the channel's other end the next. channel.frame, gone and context are set by the caller before.
 * deadline_ms 0: none. 0 or a negative errno. */
int pv_mon_helper_start(struct helper *h, struct monitor *m, const struct account *account, const char *program,
                        const char *const *arguments, int extra, size_t queue_max, int64_t deadline_ms);
/* Ends the process and the channel. Idempotent. */
void pv_mon_helper_stop(struct helper *h);
/* Closes the channel and lets the process end by itself, for a while. Idempotent. */
void pv_mon_helper_release(struct helper *h);

/* posix_spawn of an absolute program as root: fds[i] becomes descriptor 3 + i, standard input and output /dev/null,
 * nothing else is inherited but standard error. 0 or a negative errno. */
int pv_mon_spawn(const char *program, const char *const *argv, const int *fds, size_t n_fds, pid_t *pid);

/* ---- monitor_policy.c ---- */

struct policy {
    unsigned refs;
    struct pv_bundle *bundle;
    void *data;
    size_t len;
    char key_id[17];
    char *comment;
    uint8_t zone_hash[32];
};

/* Reads the public key and the floor, loads the configured bundle, else the last good one. 0, or -1 when there is none
 * that may be used (said on the log). */
int pv_mon_policy_start(struct monitor *m);
/* SIGHUP: loads the bundle anew; on failure what is in force stays. Records either way. */
void pv_mon_policy_reload(struct monitor *m);
struct policy *pv_mon_policy_ref(struct policy *policy);
void pv_mon_policy_unref(struct policy *policy);
/* Records the policy in force, once the ledger is open for the first time. */
void pv_mon_policy_record(struct monitor *m);

/* The rules for a new bundle against what has run before; exposed for tests. */
struct floor {
    bool known;
    uint64_t version;
    uint8_t hash[32];
};
int pv_mon_floor_read(int state_dir, struct floor *floor); /* 0 (known or not), or -1: damaged */
int pv_mon_floor_write(int state_dir, const struct floor *floor);
/* NULL when a bundle of this version and content may follow, else why not. */
const char *pv_mon_floor_refuses(const struct floor *floor, uint64_t version, const uint8_t hash[32]);

/* ---- monitor_ledger.c ---- */

/* Told once: the record is durable, or it never will be. */
typedef void record_done(void *context, bool durable);
/* r is NULL when there will be no answer (any more). Rows come one by one, then PV_MSG_LEDGER_ROWS_END. */
typedef void ledger_answer(void *context, uint32_t type, struct pv_rbuf *r);

int pv_mon_ledger_start(struct monitor *m); /* 0 or -1 with the reason on the log */
void pv_mon_ledger_stop(struct monitor *m);
bool pv_mon_ledger_ready(const struct monitor *m);
/* Called once when the ledger has opened for the first time. */
void pv_mon_ledger_opened(struct monitor *m);
/*
 * Appends a record. `must`: it tells what has happened and is written again when the ledger comes back; else it is
 * given up with the ledger's process. `done` may be NULL. 0, or -1 when it cannot even be tried.
 */
int pv_mon_record(struct monitor *m, const struct pv_record *record, bool must, record_done *done, void *context);
/* Sends a question whose first field, the tag, this writes: `put` adds the rest. 0 or -1. */
int pv_mon_ask(struct monitor *m, uint32_t type, const struct pv_wbuf *rest, ledger_answer *answer, void *context);
/* No callback is made to this context any more. */
void pv_mon_ledger_forget(struct monitor *m, const void *context);
/* The highest time on record, seconds. */
int64_t pv_mon_ledger_time(const struct monitor *m);

/* ---- monitor_client.c ---- */

struct client {
    struct monitor *m;
    struct client *next;
    struct helper front;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    gid_t *groups; /* the connection's, from the kernel: gid first */
    size_t n_groups;
    char executable[256];
    uint8_t challenge[PV_CHALLENGE_SIZE];
    uint64_t counter;
    struct request *request; /* in flight, or NULL */
};

int pv_mon_listen(struct monitor *m, int inherited_fd);
/* Sends to the front end; a client that cannot take it is dropped. False when it is gone. */
bool pv_mon_client_send(struct client *c, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds);
void pv_mon_client_error(struct client *c, enum pv_front_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pv_mon_client_drop(struct client *c);
/* Records abuse, coalesced past a rate. user may be "". */
void pv_mon_abuse(struct monitor *m, enum pv_abuse kind, uid_t uid, const char *user, pid_t pid, const char *executable,
                  uint64_t request, const char *detail);
/* Whether one more denial of this uid gets a record of its own; else it is counted. */
bool pv_mon_denial_recorded(struct monitor *m, uid_t uid);

/* ---- monitor_request.c ---- */

struct arena {
    struct arena_block *blocks;
};
void *pv_mon_alloc(struct arena *arena, size_t size); /* zeroed; NULL without memory */
char *pv_mon_strdup(struct arena *arena, const char *text, size_t len);
char *pv_mon_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pv_mon_arena_free(struct arena *arena);

enum request_state {
    RS_RESOLVING, /* who is it? */
    RS_FACTS,     /* asking the ledger */
    RS_LOCK,      /* waiting for the transaction lock */
    RS_REFRESH,   /* a runner fetches package lists */
    RS_PLAN,      /* asking the planner */
    RS_RECORD,    /* waiting for the decision to be durable */
    RS_FETCH,     /* a runner fetches archives */
    RS_RUN,       /* a runner runs the command */
    RS_MARK,      /* a runner sets apt's automatic and manual marks */
    RS_RECONCILE, /* asking the planner for dpkg's state */
    RS_OUTCOME,   /* it is over; the client is told once that is durable */
    RS_HISTORY,   /* the ledger's rows go to the client */
    RS_OVER,
};

/* One operation that is decided. */
struct operation {
    const char *command, *package, *arch, *installed_version, *version, *source;
    const char *owner; /* NULL: none */
    int64_t owner_uid;
    const struct pv_plan_op *plan;     /* NULL before planning, and for commands without packages */
    const struct pv_plan_state *state; /* of a requested package that the plan leaves as it is, or NULL */
    bool dependency, held_back;
    uint64_t download_size;
    struct pv_record_verdict verdict;
    struct pv_record_attr *attrs;
    uint32_t n_attrs;
};

struct owner_fact {
    const char *package, *arch, *user;
    uid_t uid;
    bool owned;
};

/* Of a request: whether it waits for dpkg's log to be read (monitor_owner.c). */
enum log_wait { LOG_READ, LOG_WAITS_NEXT, LOG_WAITS };

struct own_denial {
    const char *id; /* "builtin:...", NULL for none */
    const char *sentence;
};

struct request {
    struct monitor *m;
    struct request *next;
    struct client *client; /* NULL once it has gone */
    struct policy *policy;
    struct arena arena;
    enum request_state state;
    uint64_t id;
    char id_text[PV_REQUEST_ID_SIZE + 1];
    struct pv_wire_request wire;
    bool explain;
    int command; /* index in COMMANDS, -1: undeclared */
    bool is_apt, takes_packages, uses_sources;
    /* who */
    uid_t uid;
    gid_t gid, login_gid;
    pid_t pid;
    const char *user, *home, *executable;
    gid_t *group_ids; /* of the name service, for `account requester` */
    uint32_t n_group_ids;
    gid_t *peer_groups; /* of the connection */
    size_t n_peer_groups;
    /* facts */
    int64_t changes_today;
    struct owner_fact *owners;
    size_t n_owners;
    unsigned waiting; /* answers of the ledger that are outstanding */
    bool facts_failed;
    size_t owners_asked, owners_answered; /* of r->owners */
    void (*facts_ready)(struct request *r);
    enum log_wait log_wait;
    void (*log_known)(struct request *r);
    bool owners_unknown; /* what happened outside the agent could not be found out: nobody owns anything */
    /* deciding: asks[1] is with the groups of both, where they differ */
    struct pv_str *groups[2];
    uint32_t n_groups[2];
    struct pv_request *asks[2];
    struct pv_decision *scratch[2], *one, *sum;
    unsigned n_asks;
    int64_t time;       /* that was decided on */
    bool planned_facts; /* operations have what a plan supplies */
    struct operation *operations;
    uint32_t n_operations;
    struct pv_record_verdict verdict;
    const char *sentence; /* the agent's own denial in words, or NULL */
    struct pv_record_attr *attrs;
    uint32_t n_attrs;
    uint8_t plan_hash[32];
    bool custom_source;
    bool on_record; /* the decision's record says that an outcome will follow */
    bool started;   /* past the point where a disconnect cancels */
    bool cancelled;
    struct pv_record_change *changes; /* what the package manager's state shows to have happened */
    uint32_t n_changes;
    uint64_t started_ns;
    struct settled *settled; /* the outcome's record that is waited for */
    struct pv_timer patience;
    enum pv_outcome outcome;
    int64_t exit_status;
    uint32_t signal;
    const char *text;
    struct helper helper; /* resolver or planner */
    struct transaction *transaction;
    struct run *run;
};

/* A request's life begins: canonical bytes and passcode as they came. */
void pv_mon_request_begin(struct client *client, const uint8_t *canonical, size_t len, const uint8_t *passcode);
/* Whether it has ended: telling the client something may have shown that it is gone, which cancels the request. */
static inline bool pv_mon_request_over(const struct request *r)
{
    return r->state == RS_OVER || r->state == RS_OUTCOME;
}
/* The client has gone (r->client is NULL) or asked to cancel: ends what has not started, nothing else. */
void pv_mon_request_cancel(struct request *r);
/* Answers with an error frame and ends it. Nothing of it was allowed on record. */
void pv_mon_request_fail(struct request *r, enum pv_front_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* It is over: an outcome record if the decision's record promised one, the result to the client. text may be "". */
void pv_mon_request_end(struct request *r, enum pv_outcome outcome, int64_t exit_status, uint32_t signal,
                        const char *text);
void pv_mon_request_progress(struct request *r, enum pv_phase phase, const char *text);
/* The operations are decided (r->verdict): puts that on record, shows it, and goes on to run what is allowed. */
void pv_mon_request_decided(struct request *r);
/* Asks the ledger who owns these packages; the answers are added to r->owners. Then `next`, or the request fails. */
void pv_mon_request_ask_owners(struct request *r, const char *const *packages, const char *const *archs, size_t n,
                               void (*next)(struct request *r));
/* Gives an operation its owner from r->owners; arch NULL: whatever the architecture. An owner who shares one of uid and
 * name with the caller and not the other is an account that is gone: no owner. */
void pv_mon_request_owner(const struct request *r, struct operation *op, const char *arch);
/* Whether that is so of this owner. */
bool pv_mon_owner_is_gone(const struct request *r, const struct owner_fact *fact);
/* Puts the end of an ownership on record. */
void pv_mon_request_end_owner(struct request *r, struct owner_fact *fact, const char *reason);
const char *pv_mon_outcome_word(enum pv_outcome outcome);
/* The seconds that the command may take: the shortest of policy, command, request and default. */
int64_t pv_mon_request_limit(const struct request *r);

/* ---- monitor_owner.c ---- */

/* After the ledger has opened; reads how far dpkg's log was read. 0 or -1 (no memory). */
int pv_mon_owners_start(struct monitor *m);
void pv_mon_owners_stop(struct monitor *m);
/* Ends on record what changes outside the agent have ended, then `next`, at once or later; ask for owners after it.
 * Where that cannot be found out, r->owners_unknown is set. */
void pv_mon_owners_reconcile(struct request *r, void (*next)(struct request *r));

/* ---- monitor_decide.c ---- */

/* Prepares asks and group sets once the user is resolved: groups[0] holds the name service's. 0 or -1 (no memory). */
int pv_mon_decide_prepare(struct request *r);
/* Before planning, on r->operations, with what only a plan supplies unknown: what stands whatever the plan will be.
 * Sets r->verdict where that is a denial or `direct`. 0, or -1 with a sentence (the request makes no sense). */
int pv_mon_foresee(struct request *r, enum pv_foresight *foresight, struct pv_error *error);
/* Decides r->operations and joins them, duties included, into r->verdict; each has its own verdict and attributes
 * afterwards. 0, or -1 with the sentence. */
int pv_mon_decide(struct request *r, bool direct_too, struct pv_error *error);
/* A denial of the agent's own for the whole request: r->verdict, and r->operations stay as they are. The id begins with
 * "builtin:". 0 or -1 (no memory). */
int pv_mon_deny(struct request *r, const char *id, const char *sentence);
/* Whether some allow or direct rule names the user as a literal. */
bool pv_mon_rule_names_user(const struct policy *policy, const char *user);
/* Which packages of a source of the policy's some allow could match for this user and request. */
enum source_use { SOURCE_HIDDEN, SOURCE_DEPENDENCIES, SOURCE_FULL };
enum source_use pv_mon_source_use(struct request *r, uint32_t source);
/* The row of the requested command; NULL for an undeclared one. */
const struct pvb_command *pv_mon_command(const struct request *r);
/* asks[which] describes only the user, this command (-1: none) and this moment: for `rights`. */
void pv_mon_fill_user(struct request *r, unsigned which, int command);
/* The nearest rules need each operation's facts again: fills asks[0] for one. */
int pv_mon_fill_operation(struct request *r, const struct operation *op, struct pv_error *error);

/* ---- monitor_answer.c ---- */

void pv_mon_send_hello(struct client *c);
void pv_mon_send_decision(struct request *r, bool final);
void pv_mon_send_rights(struct request *r);
/* The deciding rules with their clauses, and the nearest others; then the end. */
void pv_mon_send_explanation(struct request *r);
void pv_mon_send_history_row(struct request *r, struct pv_rbuf *row);

/* ---- monitor_run.c ---- */

struct run_spec {
    const char *step;
    uint32_t flags; /* PV_RUN_F_* */
    uint32_t uid, gid;
    const uint32_t *groups;
    uint32_t n_groups;
    const char *cwd;
    int64_t limit, hard_limit;
    const char *const *argv;
    const char *const *env;
};
/* Makes the run directory, without more. Idempotent. 0 or -1. */
int pv_mon_run_make(struct request *r);
/* The same with what a restarted monitor needs, and tells the client. 0 or -1. */
int pv_mon_run_prepare(struct request *r);
/* Starts a step; `ended` gets its status, or NULL when the runner left none. 0 or -1. */
int pv_mon_run_step(struct request *r, const struct run_spec *spec,
                    void (*ended)(struct request *r, const struct pv_run_status *status));
/* Ends a step that may be ended (cancelled before the start). */
void pv_mon_run_stop(struct request *r);
void pv_mon_run_free(struct request *r);
/* Runs the command of a request whose decision is on record. */
void pv_mon_run_command(struct request *r);
int pv_mon_run_dir(const struct request *r, char *path, size_t size);
/* Adopts or closes what an earlier monitor left behind. After the ledger has opened. */
void pv_mon_run_recover(struct monitor *m);
/* Removes the run directory once its outcome is durable. */
void pv_mon_run_remove(struct monitor *m, uint64_t id);
/* The argument vector of a `run` command, for asks[0]; in r's arena, NULL-terminated. NULL with a sentence. */
const char *const *pv_mon_build_argv(struct request *r, struct pv_error *error);

/* ---- monitor_transaction.c ---- */

/* A package request that a plan must be made for. */
void pv_mon_transaction_begin(struct request *r);
/* Whether apt's marks are to be set even where the plan is empty. */
bool pv_mon_transaction_marks(const struct request *r);
/* Its decision is durable: fetch and apply. */
void pv_mon_transaction_run(struct request *r);
/* A step of a transaction that an earlier monitor began is over: its outcome is what dpkg's state says. */
void pv_mon_transaction_recovered(struct request *r, const struct pv_run_status *status);
/* Lets go of the lock and the planner; the next one gets it. */
void pv_mon_transaction_free(struct request *r);

#endif
