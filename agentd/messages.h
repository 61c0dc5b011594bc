/*
 * What the monitor and a front end say to each other, over one SOCK_SEQPACKET socket per client connection.
 *
 * The monitor starts one front end for each connection, with descriptor 3 the client's stream socket and descriptor 4
 * this wire (agentd/wire.h). The connection's kernel credentials were taken by the monitor before; nothing that a front
 * end says can change whom it speaks for. The front end sends at most one request at a time; each request is answered
 * by any number of frames and ended by exactly one of PV_MF_FINISHED, PV_MF_END or PV_MF_ERROR. Then the next may come,
 * with a higher counter. Closing the socket cancels a request that has not started to run, and nothing else.
 *
 * Every sender here can be hostile to the other in one direction only: the monitor trusts no byte of a front end's.
 * Field notation as in wire.h; `raw[n]` is n bytes without a length. libc only.
 */
#ifndef PV_AGENTD_MESSAGES_H
#define PV_AGENTD_MESSAGES_H

#include "agentd/wire.h"

enum {
    PV_PROTOCOL = 1,          /* version of the client protocol and of the canonical request */
    PV_CHALLENGE_SIZE = 32,   /* bytes, fresh for every connection */
    PV_PASSCODE_SIZE = 64,    /* bytes, HMAC-SHA-512 */
    PV_CLIENT_KEY_SIZE = 32,  /* bytes of the per-machine client key: the whole content of its file */
    PV_REQUEST_ID_SIZE = 16,  /* characters of a request id: lower-case hexadecimal, sorting by time */
    PV_SHOWN_RULES_MAX = 64,  /* rules listed in one frame; more are counted only */
    PV_SHOWN_TEXT_MAX = 4096, /* bytes of one text in a frame; longer ones are cut at a character */
    PV_SHOWN_OPS_MAX = 4096,  /* operations in one decision */
};

/*
 * Shared groups of fields:
 *
 *   RULE   = str id, u32 kind (enum pv_rule_kind), str file ("" for built-in rules), u32 line
 *   DUTIES = bool reason, bool has_timeout, i64 timeout (seconds), str account ("" for none),
 *            u32 n, n x { u32 kind (enum pv_duty_kind: approval, window, notice, alert), str text }
 *   DECISION = u32 effect (enum pv_effect), bool is_default, u32 n_all (rules that decided),
 *            u32 n (at most PV_SHOWN_RULES_MAX), n x RULE, u32 n, n x str (because texts), DUTIES
 */
enum pv_front_msg {
    /* Monitor to front end. */

    /* First frame on the socket: u32 protocol, raw[32] challenge, u32 uid of the client (kernel's word),
     * u32 flags (PV_HELLO_*), str agent version, str policy name, str policy title, u64 policy version,
     * raw[32] content hash of the policy (all "" and 0 when no policy is in force) */
    PV_MF_HELLO = 0x400,
    /* The passcode and identity were good and the request has an id: str id */
    PV_MF_ACCEPTED = 0x401,
    /* The joined decision: str id, bool planned (operations of a plan, not of the request), bool final (false: more is
     * decided after planning), str reason-why sentence (""; else the agent's own exact message), DECISION,
     * u32 n_operations; so many PV_MF_OPERATION frames follow */
    PV_MF_DECISION = 0x402,
    /* One operation: str command, str package, str architecture, str installed version ("" absent), str version,
     * str source, bool dependency, bool held_back (dropped from an upgrade of everything), u64 download size in bytes,
     * DECISION */
    PV_MF_OPERATION = 0x403,
    /* u32 phase (enum pv_phase), str text (for people, may be empty) */
    PV_MF_PROGRESS = 0x404,
    /* The command runs: str id, and two read-only descriptors: [0] the output file, [1] the progress file (lines of
     * APT::Status-Fd; empty for other commands). Both grow until PV_MF_FINISHED: read, poll by size, never a pipe. */
    PV_MF_STARTED = 0x405,
    /* The request is over: str id, u32 outcome (enum pv_outcome), i64 exit status (-1: none), u32 signal (0: none),
     * bool reboot needed, str text (for people, may be empty) */
    PV_MF_FINISHED = 0x406,
    /* effect direct: str id, u32 n, n x str: the argument vector that the client runs itself, with the user's own
     * rights (element 0 is an absolute path). PV_MF_FINISHED with PV_OUTCOME_DIRECT follows. */
    PV_MF_DIRECT = 0x407,
    /* A rule, for `rights` and for the nearest rules of `explain`: RULE, u32 truth (enum pv_truth), str title,
     * u32 n, n x { u32 kind (enum pv_clause_kind), u32 truth, str canonical text }, u32 n, n x str (because),
     * u32 n, n x { u32 kind (enum pv_duty_kind), str text, i64 seconds } (a require's duties) */
    PV_MF_RULE = 0x408,
    /* One row of `history`, newest first: str id, i64 time (seconds since 1970 UTC), str command,
     * u32 n, n x str (arguments), u32 effect (enum pv_effect), str outcome (word, "" while it runs), i64 exit status
     * (-1: none), i64 end time (0: none), str text */
    PV_MF_HISTORY = 0x409,
    /* Ends the answer to explain, rights and history: str id, u32 number of RULE and HISTORY frames */
    PV_MF_END = 0x40a,
    /* Ends a request (or, before any, the connection): u32 code (enum pv_front_error), str sentence */
    PV_MF_ERROR = 0x40b,

    /* Front end to monitor. */

    /* bytes request (the canonical encoding of agentd/request_wire.h), raw[64] passcode */
    PV_FM_REQUEST = 0x480,
    /* Ends the request in flight if it has not started; no answer of its own: no payload */
    PV_FM_CANCEL = 0x481,
    /* The client broke the protocol (malformed JSON, too long, a second request in flight): u32 kind
     * (enum pv_front_abuse), str what, control characters escaped, at most 512 bytes. Recorded as abuse. */
    PV_FM_ABUSE = 0x482,
};

enum {
    PV_HELLO_BROKERING = 1, /* brokering is switched on */
    PV_HELLO_POLICY = 2,    /* a policy is in force */
    PV_HELLO_LEDGER = 4,    /* the ledger answers */
};

enum pv_phase {
    PV_PHASE_RESOLVING,   /* finding out who the user is */
    PV_PHASE_LOCK,        /* waiting for the package manager or another transaction */
    PV_PHASE_REFRESHING,  /* fetching package lists */
    PV_PHASE_PLANNING,    /* working out the transaction */
    PV_PHASE_DECIDING,    /* deciding each operation */
    PV_PHASE_RECORDING,   /* making the decision durable */
    PV_PHASE_FETCHING,    /* downloading packages */
    PV_PHASE_RUNNING,     /* the command runs */
    PV_PHASE_RECONCILING, /* reading the package manager's state back */
};

enum pv_outcome {
    PV_OUTCOME_DENIED,      /* not run; the decision or the text says why */
    PV_OUTCOME_DIRECT,      /* not brokered: the client runs it */
    PV_OUTCOME_DRY_RUN,     /* allowed, not run, as asked */
    PV_OUTCOME_NOTHING,     /* allowed, and there was nothing to do */
    PV_OUTCOME_DONE,        /* it ran; exit status and signal are its own */
    PV_OUTCOME_TIMEOUT,     /* ended because its time was over */
    PV_OUTCOME_CANCELLED,   /* cancelled before it started */
    PV_OUTCOME_FAILED,      /* could not be planned, fetched or started; the text says why */
    PV_OUTCOME_INTERRUPTED, /* its end was not seen */
};

enum pv_front_error {
    PV_FERR_PROTOCOL = 1, /* malformed, or a protocol version that this agent does not speak */
    PV_FERR_PASSCODE,     /* the passcode does not prove a configured client */
    PV_FERR_IDENTITY,     /* the name in the message is not the caller's, or the caller resolves to nobody */
    PV_FERR_LIMIT,        /* too many connections or requests */
    PV_FERR_OFF,          /* brokering is switched off */
    PV_FERR_POLICY,       /* no policy is in force */
    PV_FERR_LEDGER,       /* the ledger is not available: no brokering */
    PV_FERR_REQUEST,      /* the request makes no sense under this policy: unknown command, wrong arguments */
    PV_FERR_INTERNAL,     /* the agent could not do its work; details are in its log */
};

enum pv_front_abuse {
    PV_FABUSE_MALFORMED = 1, /* not a message of the protocol */
    PV_FABUSE_TOO_LONG,
    PV_FABUSE_SECOND_REQUEST, /* while one was in flight */
};

#endif
