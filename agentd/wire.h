/*
 * The agent's internal wire: frames between the monitor, the ledger, the front ends, the planner, the resolver and the
 * runner.
 *
 * A frame is one datagram on an AF_UNIX SOCK_SEQPACKET socket: {uint32 type; uint32 len} and len bytes of payload, at
 * most PV_WIRE_MAX, little-endian. The kernel keeps the boundaries, so a reader never waits for the rest of a frame and
 * a writer that dies cannot leave half of one. Nothing here allocates. Every sender is treated as hostile: a reader
 * makes one chain of checked reads and asks pv_rbuf_done() once; after the first failed read every later one fails too
 * and yields zeros.
 *
 * Payload encodings: u8; u32, u64, i64 little-endian; `str` and `bytes` are u32 length + that many bytes without a
 * terminator, a `str` holding no NUL byte; `bool` is u8 0 or 1 (anything else is malformed).
 *
 * libc only.
 */
#ifndef PV_AGENTD_WIRE_H
#define PV_AGENTD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PV_WIRE_MAX = 65536,                          /* bytes of payload in one frame */
    PV_WIRE_HEADER = 8,                           /* bytes in front of the payload */
    PV_WIRE_FRAME = PV_WIRE_HEADER + PV_WIRE_MAX, /* the largest datagram */
    PV_WIRE_FDS = 8,                              /* descriptors that one frame may carry */
};

/* Results of pv_frame_*(); they do not overlap with the runtime's PV_E_*. */
enum {
    PV_E_WIRE_AGAIN = -1001,   /* the socket is non-blocking and not ready */
    PV_E_WIRE_CLOSED = -1002,  /* the peer is gone */
    PV_E_WIRE_BAD = -1003,     /* malformed, too long, truncated, or with control data that was not asked for */
    PV_E_WIRE_SYSTEM = -1004,  /* a system call failed, see errno */
    PV_E_WIRE_TOO_BIG = -1005, /* the caller's own payload did not fit (the wbuf overflowed) */
};

/*
 * Message types. Each line gives the fields in order. `->` is a request to the service named, `<-` its answer.
 * Ranges: 0x100 planner, 0x200 resolver, 0x300 ledger, 0x400 front end, 0x500 runner.
 */
enum pv_msg {
    PV_MSG_NONE = 0,

    /* Planner (agentd/apt/planner.c). Constants and records: agentd/plan.h.
     *
     * One process answers requests on descriptor 3 until it is closed. Each request is answered by zero or more
     * PV_MSG_PLAN_OP / _STATE_ITEM frames and then exactly one of PV_MSG_PLAN_DONE or PV_MSG_PLAN_ERROR; a question
     * about the log by PV_MSG_LOG_REMOVED frames and then exactly one PV_MSG_LOG_END. */

    /* -> u32 kind (enum pv_planner_kind), u32 verb (enum pv_planner_verb), str root ("/" or an absolute path),
     *    str apt_conf (absolute path of the generated apt.conf of the source set), u32 flags (PV_PLANNER_F_*),
     *    u32 n_sources, n_sources x { str name, i64 priority, bool dependency_only },
     *    u32 n_packages, n_packages x { str name, str arch (may be empty), str version (may be empty) }
     * The sources must include every one that the set directory lists; n_sources 0 (for removals) uses none of them.
     * The planner's account must be able to reach the directory of apt_conf and everything in it, and the root. */
    PV_MSG_PLAN_REQUEST = 0x100,
    /* <- one operation of the plan, pv_plan_op_encode() */
    PV_MSG_PLAN_OP = 0x101,
    /* <- one package's facts, pv_plan_state_encode() */
    PV_MSG_PLAN_STATE_ITEM = 0x102,
    /* <- u32 number of frames that came before this one */
    PV_MSG_PLAN_DONE = 0x103,
    /* <- u32 code (enum pv_planner_error), str subject (package or source, may be empty), str sentence,
     *    str detail (the package manager's own explanation, control characters escaped, may be empty) */
    PV_MSG_PLAN_ERROR = 0x104,
    /* -> str root, the mark (agentd/apt/log.h): what was removed since dpkg's log was read up to there? */
    PV_MSG_LOG_REQUEST = 0x105,
    /* <- str name, str arch, str moment (the log's local time) */
    PV_MSG_LOG_REMOVED = 0x106,
    /* <- after all of them: bool complete (nothing can have been missed), str why not, the mark of where reading ended
     */
    PV_MSG_LOG_END = 0x107,

    /* Resolver (agentd/resolver.c): one process, one question on descriptor 3, one answer, exit. */

    /* -> u32 uid */
    PV_MSG_RESOLVE_UID = 0x200,
    /* -> str name, u32 uid: has this name this uid now, in both directions? */
    PV_MSG_RESOLVE_NAME = 0x201,
    /* <- u32 uid, u32 gid, str name, str gecos, str home, str shell,
     *    u32 n_groups, n_groups x { u32 gid, str name (empty: no name) }: the primary group first, no gid twice */
    PV_MSG_RESOLVE_USER = 0x202,
    /* <- bool same, u32 uid that the name has now (UINT32_MAX: no such name) */
    PV_MSG_RESOLVE_SAME = 0x203,
    /* <- u32 code (enum pv_resolver_error in agentd/resolver.h), str sentence */
    PV_MSG_RESOLVE_ERROR = 0x204,

    /* Ledger (agentd/ledger.c), see ledger.h. Tags are the asker's, given back as they are. */

    /* -> str root: "/" or the alternate root that this ledger belongs to */
    PV_MSG_LEDGER_OPEN = 0x300,
    /* <- u64 seq, raw hash[32] of the last record (0 and zeros: none), u64 highest time on record, u64 highest request
     *    id on record, u32 number of requests that are unfinished */
    PV_MSG_LEDGER_OPENED = 0x301,
    /* -> u64 seq, u64 time_ns, u32 kind, raw hash[32], u32 length of the whole body, bytes first part of it: at most
     *    PV_LEDGER_PART, the rest follows at once in _MORE frames. Ownership, unfinished requests and the count of
     *    changes follow from the body (record.h); nothing else is sent. */
    PV_MSG_LEDGER_APPEND = 0x302,
    /* -> u64 seq, u32 offset, bytes next part */
    PV_MSG_LEDGER_MORE = 0x303,
    /* <- u64 seq: this record and all before it are durable */
    PV_MSG_LEDGER_ACK = 0x304,
    /* <- u32 code (enum pv_ledger_error), u64 tag of the question or 0, u64 seq of the first append that is not durable
     *    or 0, str sentence. With code OPEN to IO in answer to _OPEN the process exits. */
    PV_MSG_LEDGER_ERROR = 0x305,

    /* -> u64 tag, str root, u32 n (at most PV_LEDGER_OWNERS_MAX), n x { str package, str arch } */
    PV_MSG_LEDGER_OWNERS = 0x310,
    /* <- u64 tag, u32 n, n x { bool owned, u32 uid, str user, u64 seq of the record that granted it }, in that order */
    PV_MSG_LEDGER_OWNERS_ARE = 0x311,
    /* -> u64 tag, u32 uid, str user, u64 since_ns */
    PV_MSG_LEDGER_CHANGES = 0x312,
    /* <- u64 tag, u64 number of allowed changes of that user from then on */
    PV_MSG_LEDGER_CHANGES_ARE = 0x313,
    /* -> u64 tag, u32 uid, str user, u32 limit (at most PV_LEDGER_HISTORY_MAX), u64 before: rows with a smaller
     * sequence (0: the latest) */
    PV_MSG_LEDGER_HISTORY = 0x314,
    /* <- one decision, the latest first: u64 tag, u64 seq, u64 time_ns, u64 request, str verb, bool dry_run,
     *    u32 n, n x str argument, u32 effect (enum pv_effect), bool default, u32 n, n x str rule id,
     *    u32 n, n x str because, bool truncated (a list was cut to fit the frame), bool ended,
     *    { str word, i64 exit_status, u32 signal, u64 started_ns, u64 ended_ns, str sentence } (zeros and "" before it
     *    ended) */
    PV_MSG_LEDGER_HISTORY_ROW = 0x315,
    /* -> u64 tag: requests that were allowed to run and have no outcome on record, oldest first */
    PV_MSG_LEDGER_UNFINISHED = 0x316,
    /* <- u64 tag, u64 request, i64 uid, u64 seq of the decision, u64 time_ns of it */
    PV_MSG_LEDGER_UNFINISHED_ROW = 0x317,
    /* -> u64 tag, str root: every ownership there, by name */
    PV_MSG_LEDGER_OWNED = 0x318,
    /* <- u64 tag, str package, str arch, u32 uid, str user, u64 seq */
    PV_MSG_LEDGER_OWNED_ROW = 0x319,
    /* <- u64 tag, u32 number of rows that came before: the end of history, unfinished and owned */
    PV_MSG_LEDGER_ROWS_END = 0x31a,

    /* Front end: 0x400 */

    /* Runner: 0x500 */
};

/* A writer into storage of the caller's. `overflow` is sticky: once something did not fit, nothing more is written. */
struct pv_wbuf {
    uint8_t *data;
    size_t size;
    size_t len;
    bool overflow;
};

/* Starts writing at the front of `data`, which the caller owns and keeps while `w` is used. */
void pv_wbuf_init(struct pv_wbuf *w, void *data, size_t size);
void pv_put_u8(struct pv_wbuf *w, uint8_t value);
void pv_put_bool(struct pv_wbuf *w, bool value);
void pv_put_u32(struct pv_wbuf *w, uint32_t value);
void pv_put_u64(struct pv_wbuf *w, uint64_t value);
void pv_put_i64(struct pv_wbuf *w, int64_t value);
/* `text` may be NULL when `len` is 0. A NUL byte inside sets `overflow`: no reader would accept it. */
void pv_put_str(struct pv_wbuf *w, const char *text, size_t len);
/* A C string; NULL counts as the empty string. */
void pv_put_cstr(struct pv_wbuf *w, const char *text);
void pv_put_bytes(struct pv_wbuf *w, const void *bytes, size_t len);
/* `len` bytes as they are, without a length in front: for fields of fixed size, such as hashes. */
void pv_put_raw(struct pv_wbuf *w, const void *bytes, size_t len);

/* A reader of bytes of the caller's. `error` is sticky; reads after it give zeros and NULL. */
struct pv_rbuf {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool error;
};

void pv_rbuf_init(struct pv_rbuf *r, const void *data, size_t len);
uint8_t pv_get_u8(struct pv_rbuf *r);
bool pv_get_bool(struct pv_rbuf *r);
uint32_t pv_get_u32(struct pv_rbuf *r);
/* A count or enumerator of at most `max`; more is an error. */
uint32_t pv_get_u32_max(struct pv_rbuf *r, uint32_t max);
uint64_t pv_get_u64(struct pv_rbuf *r);
int64_t pv_get_i64(struct pv_rbuf *r);
/* A borrowed string of at most `max` bytes, NOT terminated, valid as long as the buffer; it holds no NUL byte.
 * Returns it and sets *len; NULL and 0 on error (an empty string is not NULL). */
const char *pv_get_str(struct pv_rbuf *r, size_t max, size_t *len);
/* The same, copied into dst[size] with a terminator; longer than size - 1 is an error. dst is "" on error. */
bool pv_get_str_copy(struct pv_rbuf *r, char *dst, size_t size);
const uint8_t *pv_get_bytes(struct pv_rbuf *r, size_t max, size_t *len);
/* Exactly `len` bytes without a length in front, copied; dst is zeroed on error. */
bool pv_get_raw(struct pv_rbuf *r, void *dst, size_t len);
/* True only when every read succeeded and nothing is left over. */
bool pv_rbuf_done(const struct pv_rbuf *r);

/*
 * Sends one frame with the payload of `w` (NULL: none) and up to PV_WIRE_FDS descriptors, which stay the caller's.
 * 0, PV_E_WIRE_TOO_BIG (w overflowed, longer than PV_WIRE_MAX, too many descriptors), PV_E_WIRE_AGAIN (nothing was
 * sent), PV_E_WIRE_CLOSED, PV_E_WIRE_SYSTEM. Never raises SIGPIPE.
 */
int pv_frame_send(int fd, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds);

/*
 * Receives one frame: its type, its payload (len bytes of buf, which holds cap) and at most max_fds (0 to PV_WIRE_FDS)
 * descriptors, close-on-exec, now the caller's. More payload than cap, more descriptors than max_fds, truncated control
 * data, any other control message, a length that disagrees with the datagram: PV_E_WIRE_BAD, with every descriptor that
 * came along closed. An end of file is PV_E_WIRE_CLOSED. On any error *len and *n_fds are 0. fds and n_fds may be NULL
 * when max_fds is 0.
 */
int pv_frame_recv(int fd, void *buf, size_t cap, uint32_t *type, size_t *len, int *fds, size_t max_fds, size_t *n_fds);

/* A sentence for one of the results above. */
const char *pv_wire_strerror(int result);

#endif
