/*
 * What the monitor and readers need to know of the ledger process: where it keeps things, its limits and its errors.
 * The frames are PV_MSG_LEDGER_* in wire.h. libc only.
 *
 * `proviso-ledger DIR` serves descriptor 3, a SOCK_SEQPACKET socket to the monitor, until it is closed. DIR belongs to
 * the ledger's account and holds the database; nothing else is written. The monitor opens with PV_MSG_LEDGER_OPEN and
 * compares what it is told with its head file; then it appends, each record with the sequence after the last one.
 * Acknowledgements are cumulative. After any error on an append the ledger drops every further append without a word
 * until the next OPEN: the monitor treats what was not acknowledged as not written, denies what waited for it, opens
 * again and goes on from the sequence that it is told.
 *
 * Frames are handled in order. Appends that are queued together become durable by one transaction and one flush; a
 * query sees every append that was sent before it.
 */
#ifndef PV_AGENTD_LEDGER_H
#define PV_AGENTD_LEDGER_H

#define PV_LEDGER_FILE      "ledger.db"   /* in the ledger's directory */
#define PV_LEDGER_HEAD_FILE "ledger.head" /* in the monitor's state directory, written by root alone (chain.h) */
#define PV_LEDGER_STATE_DIR "ledger"      /* name of the ledger's directory inside the monitor's state directory */

enum {
    PV_LEDGER_SCHEMA = 1,          /* PRAGMA user_version */
    PV_LEDGER_APP_ID = 0x50764c31, /* PRAGMA application_id: "PvL1" */
    PV_LEDGER_PART = 60000,        /* bytes of a body in one frame */
    PV_LEDGER_OWNERS_MAX = 100,    /* packages in one question for owners */
    PV_LEDGER_HISTORY_MAX = 200,   /* rows of one answer */
    PV_LEDGER_NAME_MAX = 255,      /* bytes of a package's, architecture's or user's name */
    PV_LEDGER_ROOT_MAX = 4096,     /* bytes of a root */
};

/* Codes of PV_MSG_LEDGER_ERROR. */
enum pv_ledger_error {
    PV_LEDGER_E_PROTOCOL = 1, /* a frame that is malformed or out of order */
    PV_LEDGER_E_OPEN = 2,     /* the database cannot be opened or made */
    PV_LEDGER_E_NEWER = 3,    /* it was written by a newer version */
    PV_LEDGER_E_FOREIGN = 4,  /* it is not a ledger, or that of another root */
    PV_LEDGER_E_CORRUPT = 5,  /* it is damaged */
    PV_LEDGER_E_FULL = 6,     /* no space */
    PV_LEDGER_E_IO = 7,       /* reading or writing failed, or the file system is read-only */
    PV_LEDGER_E_SEQUENCE = 8, /* an append that does not follow the last record */
    PV_LEDGER_E_CHAIN = 9,    /* an append whose hash is not that of its content */
    PV_LEDGER_E_RECORD = 10,  /* an append whose body is not a record of its kind */
};

#endif
