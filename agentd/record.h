/*
 * Records of the ledger: what the monitor writes down, in a canonical binary form.
 *
 * A record is (sequence, time, kind, body). The monitor, which is root, encodes the body, assigns the sequence and the
 * chain hash (chain.h) and hands it to the ledger process; readers decode the body for export, replay and display. The
 * encoding is canonical: what decodes encodes to the same bytes again, and nothing else decodes. Every body begins with
 * {i64 uid, u64 request}, so that the two can be checked without knowing the kind.
 *
 * The structs below are what is encoded; strings are borrowed, hold no NUL byte, may hold anything else and are escaped
 * only where they are shown (pv_escape()). Encoding allocates nothing (record.c; the monitor links that alone);
 * decoding allocates one arena (record_read.c). libc only.
 */
#ifndef PV_AGENTD_RECORD_H
#define PV_AGENTD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agentd/wire.h"
#include "runtime/proviso.h"

enum {
    PV_RECORD_MAX = 8 * 1024 * 1024, /* bytes of one body: about 20,000 operations */
    PV_RECORD_TEXT_MAX = 65536,      /* bytes of one string */
    PV_RECORD_LIST_MAX = 65536,      /* entries of one list */
};

/* Kinds, as numbers that never change their meaning. */
enum pv_record_kind {
    PV_RECORD_START = 1,    /* the agent started */
    PV_RECORD_STOP = 2,     /* the agent stops in order */
    PV_RECORD_POLICY = 3,   /* a bundle was accepted, or refused */
    PV_RECORD_DECISION = 4, /* a request was decided */
    PV_RECORD_OUTCOME = 5,  /* a request that was allowed has ended */
    PV_RECORD_OWN = 6,      /* ownership of a package was granted or has ended */
    PV_RECORD_ABUSE = 7,    /* something that no configured client does */
    PV_RECORD_EVENT = 8,    /* anything else worth keeping: self-test, recovery, reconciliation */
    PV_RECORD_N_KINDS
};

#define PV_RECORD_NOBODY (-1) /* uid of records that concern no user */

struct pv_record_start {
    struct pv_str version; /* of the agent */
    int64_t pid;
    struct pv_str root;       /* "/" or the alternate root */
    struct pv_str boot_id;    /* the kernel's */
    struct pv_str machine_id; /* agent.md: unique per machine */
    struct pv_str text;       /* a sentence: how it was started, what it found */
};

struct pv_record_stop {
    struct pv_str reason;
};

struct pv_record_policy {
    bool accepted;
    struct pv_str path; /* of the bundle */
    struct pv_str name;
    uint64_t version;
    uint8_t content_hash[32];
    struct pv_str zone;     /* IANA name, "" for the host's */
    uint8_t zone_hash[32];  /* SHA-256 of the TZif file that was read */
    struct pv_str key_id;   /* of the signing key, as minisign prints it; "" for none */
    struct pv_str comment;  /* the trusted comment */
    struct pv_str sentence; /* why it was refused; "" when accepted */
};

/* A value of the request that was decided on: one present, or one not known yet (PV_NOT_KNOWN). */
struct pv_record_attr {
    struct pv_str path; /* "package.name" */
    enum pv_type type;
    enum pv_state state;    /* PV_PRESENT or PV_NOT_KNOWN; what is absent is not listed */
    int64_t number;         /* bool int duration date clock weekday */
    struct pv_str string;   /* string version */
    struct pv_str *members; /* strings */
    uint32_t n_members;
};

struct pv_record_rule {
    struct pv_str id;
    enum pv_rule_kind kind;
    struct pv_str file; /* "" for built-in ones */
    uint32_t line;
};

struct pv_record_duty {
    enum pv_duty_kind kind; /* approval, window, notice, alert */
    struct pv_str text;     /* canonical */
};

/* A decision as cli.md shows it. */
struct pv_record_verdict {
    enum pv_effect effect;
    bool is_default;
    struct pv_record_rule *rules;
    uint32_t n_rules;
    struct pv_str *because;
    uint32_t n_because;
    bool reason;
    bool has_timeout;
    int64_t timeout;       /* seconds */
    struct pv_str account; /* "" for none */
    struct pv_record_duty *duties;
    uint32_t n_duties;
};

struct pv_record_operation {
    struct pv_record_attr *attrs; /* of this operation alone: command, package.*, source.*, ... */
    uint32_t n_attrs;
    struct pv_record_verdict verdict;
};

struct pv_record_option {
    struct pv_str name;
    bool has_value;
    struct pv_str value;
};

/* When in a request's life the decision was made. */
enum pv_record_phase {
    PV_DECIDED_REQUEST, /* before planning: it stands whatever the plan would be */
    PV_DECIDED_PLAN,    /* on the whole plan, or on a command that needs none */
    PV_DECIDED_HOOK,    /* by the package manager's pre-install hook, on what is about to run */
    PV_N_DECIDED
};

struct pv_record_decision {
    /* who */
    struct pv_str user;
    int64_t pid;
    struct pv_str executable; /* of the peer when it connected, "" where it could not be read */
    /* what, as it was typed */
    struct pv_str verb;
    struct pv_str *args;
    uint32_t n_args;
    struct pv_record_option *options;
    uint32_t n_options;
    bool custom_source;
    bool dry_run; /* decided only: nothing was to run */
    /* by which policy, when */
    enum pv_record_phase phase;
    int64_t time;       /* the instant that was decided on, seconds since 1970-01-01 UTC */
    struct pv_str zone; /* the policy's: IANA name, "" for the host's */
    struct pv_str policy;
    uint64_t policy_version;
    uint8_t bundle_hash[32]; /* content hash */
    uint8_t plan_hash[32];   /* digest of the plan, zero where there is none */
    /* the result */
    uint32_t changes; /* what this adds to user.changes_today: 0 for what is not allowed, runs nothing, or only lists */
    bool runs;        /* an OUTCOME record for this request will follow: it counts as unfinished until then */
    struct pv_record_verdict verdict; /* joined */
    struct pv_record_attr *attrs;     /* common to all operations: user.*, request.*, transaction.*, host.* */
    uint32_t n_attrs;
    struct pv_record_operation *operations;
    uint32_t n_operations;
};

struct pv_record_change {
    struct pv_str action; /* "install", "upgrade", "downgrade", "remove" */
    struct pv_str package, arch;
    struct pv_str old_version, new_version; /* "" where there is none */
};

struct pv_record_outcome {
    struct pv_str word;            /* the same word that the client is shown: "done", "failed", "interrupted", ... */
    int64_t exit_status;           /* of the command; -1 where it did not run or was ended by a signal */
    uint32_t signal;               /* that ended it, or 0 */
    uint64_t started_ns, ended_ns; /* since 1970-01-01 UTC; 0 where it never started */
    struct pv_str sentence;        /* "" or what a person should know */
    struct pv_record_change *changes;
    uint32_t n_changes;
};

/* The key is (root, package, arch); uid and user must both match whoever claims it. */
struct pv_record_own {
    bool granted; /* else ended */
    struct pv_str root, package, arch;
    struct pv_str user;   /* the owner's name; head.uid is the owner */
    struct pv_str reason; /* "installed", "removed", "removed outside the agent", "account deleted", ... */
};

enum pv_abuse {
    PV_ABUSE_CUSTOM_SOURCE = 1,
    PV_ABUSE_NEVER_BROKERED = 2,
    PV_ABUSE_IDENTITY_MISMATCH = 3,
    PV_ABUSE_MALFORMED = 4,
    PV_ABUSE_BAD_PASSCODE = 5,
    PV_ABUSE_REPLAY = 6,
    PV_ABUSE_FRONT_END = 7, /* a front end broke the internal protocol: it is not what was started */
    PV_ABUSE_N_KINDS
};

struct pv_record_abuse {
    enum pv_abuse kind;
    struct pv_str user; /* "" where the uid has no name */
    int64_t pid;
    struct pv_str executable;
    struct pv_str detail;
    uint32_t count;    /* occurrences that this record stands for, at least 1 */
    uint64_t first_ns; /* time of the first of them */
};

struct pv_record_event {
    struct pv_str word; /* "self-test", "recovered", ... */
    struct pv_str text;
};

struct pv_record {
    enum pv_record_kind kind;
    int64_t uid;      /* PV_RECORD_NOBODY, or whom it concerns */
    uint64_t request; /* id of the request as a number (shown as PV_REQUEST_ID_SIZE hexadecimal digits), 0 for none */
    union {
        struct pv_record_start start;
        struct pv_record_stop stop;
        struct pv_record_policy policy;
        struct pv_record_decision decision;
        struct pv_record_outcome outcome;
        struct pv_record_own own;
        struct pv_record_abuse abuse;
        struct pv_record_event event;
    };
};

/* A pv_str of a C string; NULL is the empty string. */
struct pv_str pv_str_of(const char *text);

/*
 * Appends the body to `w`; sets w->overflow when it does not fit or the decoder would refuse it (a NUL byte, a limit,
 * an enumerator out of range). The caller gives `w` room for what the record may hold, PV_RECORD_MAX at most.
 */
void pv_record_encode(struct pv_wbuf *w, const struct pv_record *record);

/* "decision", "custom-source", ...: the words of exports. NULL for a number out of range. */
const char *pv_record_kind_name(uint32_t kind);
const char *pv_abuse_name(uint32_t abuse);
const char *pv_record_phase_name(uint32_t phase);
const char *pv_effect_name(uint32_t effect);    /* "deny", "allow", "direct" */
const char *pv_rule_effect_name(uint32_t kind); /* of a rule in a decision: "deny", "allow", "require", "direct" */
const char *pv_duty_kind_name(uint32_t kind);   /* "reason", "approval", ... */

/*
 * Copies text so that it can be shown on one line: control characters, DEL, C1 controls, bidirectional overrides, the
 * backslash and bytes that are not UTF-8 become \n, \t, \xNN, \u{NNNN} or \\. What does not fit dst[size] is cut at a
 * character and ended by "...". Returns the length, terminated; size is at least 8.
 */
size_t pv_escape(char *dst, size_t size, const char *text, size_t len);

/* ---- record_read.c ---- */

/*
 * Decodes one body. On success *out and all it points to live in *arena, which the caller free()s; strings point into
 * `body`, which must outlive them. Hostile input ends here: 0, PV_E_SYNTAX (not a record of this kind) or PV_E_NOMEM,
 * with *out zeroed and *arena NULL. The arena takes at most 12 times the body's size.
 */
int pv_record_decode(uint32_t kind, const void *body, size_t len, struct pv_record *out, void **arena);

/* The first two fields, for any kind. 0 or PV_E_SYNTAX. */
int pv_record_head(const void *body, size_t len, int64_t *uid, uint64_t *request);

/* The record in lines of text, each ended by '\n' and begun with `indent`: what `audit show` prints below the record's
 * own line. All text in it is escaped. */
void pv_record_dump(FILE *out, const struct pv_record *record, const char *indent);
/* One line that says what the record says in short, without a newline, escaped. */
void pv_record_summary(FILE *out, const struct pv_record *record);

#endif
