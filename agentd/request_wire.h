/*
 * The canonical encoding of a client's request: what the passcode is computed over, what the front end sends to the
 * monitor, and what the monitor decides on. One encoding for the three, so that they cannot disagree.
 *
 * Canonical: one request has exactly one encoding (fields in a fixed order, no optional parts), and the decoder takes
 * nothing else. Order and types: u32 protocol; u8 verb; str user_name; u64 counter; i64 timeout; str cwd; u8 flags; str
 * command; u32 n, n x str argument; str version; str source; str reason; u32 n, n x { str name; bool has_value; str
 * value } option.
 *
 * The passcode is HMAC-SHA-512 (libsodium's crypto_auth_hmacsha512, 32-byte client key) over
 *     challenge[32], u32 uid of the caller (little-endian), the canonical encoding
 * where the helper that holds the key puts in its own real uid and the monitor the kernel's word for the peer, so that
 * a passcode made for one user is worth nothing to another. libc only.
 */
#ifndef PV_AGENTD_REQUEST_WIRE_H
#define PV_AGENTD_REQUEST_WIRE_H

#include "agentd/wire.h"

enum {
    PV_REQUEST_WIRE_MAX = 60000, /* bytes of one encoded request */
    PV_REQUEST_ARGS_MAX = 64,    /* arguments (package names) of one request */
    PV_REQUEST_OPTIONS_MAX = 64, /* options of one request */
    PV_REQUEST_TEXT_MAX = 4096,  /* bytes of any one string */
    PV_REQUEST_NAME_MAX = 256,   /* bytes of a user, command, source or option name */
};

enum pv_verb { PV_VERB_BROKER, PV_VERB_EXPLAIN, PV_VERB_RIGHTS, PV_VERB_HISTORY, PV_N_VERBS };

enum {
    PV_REQUEST_DRY_RUN = 1,     /* decide and plan, run nothing */
    PV_REQUEST_INTERACTIVE = 2, /* the user wants prompts: refused with the reason */
    PV_REQUEST_YES = 4,         /* the user agreed beforehand */
    PV_REQUEST_FLAGS = 7,       /* all that exist */
};

struct pv_wire_option {
    const char *name; /* without dashes */
    bool has_value;   /* false: a flag, value is "" */
    const char *value;
};

/* All strings end in NUL and none is NULL once decoded; for encoding NULL counts as "". */
struct pv_wire_request {
    uint32_t protocol; /* PV_PROTOCOL */
    enum pv_verb verb;
    const char *user_name;                 /* what the client believes; compared, never trusted. "" : not said */
    uint64_t counter;                      /* strictly rising on one connection, from 1 */
    int64_t timeout;                       /* seconds; 0: none given */
    const char *cwd;                       /* absolute path, or "" */
    uint8_t flags;                         /* PV_REQUEST_* */
    const char *command;                   /* "" for rights and history */
    const char *args[PV_REQUEST_ARGS_MAX]; /* package names, or the arguments of a `run` command in their order */
    uint32_t n_args;
    const char *version; /* "" : not given */
    const char *source;  /* a configured source's name, or a location, which is refused; "" : not given */
    const char *reason;  /* "" : not given */
    struct pv_wire_option options[PV_REQUEST_OPTIONS_MAX];
    uint32_t n_options;
};

/*
 * Appends the canonical encoding to `w`. Sets w->overflow (so that sending it fails) when it does not fit, a string is
 * longer than its limit, or a count, verb or flag is out of range: pv_wire_request_decode() accepts whatever was
 * encoded without overflow, and gives back the same request.
 */
void pv_wire_request_encode(struct pv_wbuf *w, const struct pv_wire_request *request);

/*
 * Decodes exactly `len` bytes. Strings are copied with terminators into storage[size], which the caller owns and keeps
 * as long as *out is used; PV_REQUEST_WIRE_MAX bytes are always enough. 0, or PV_E_WIRE_BAD with *out zeroed.
 */
int pv_wire_request_decode(struct pv_wire_request *out, char *storage, size_t size, const void *bytes, size_t len);

#endif
