/*
 * A plan: what one transaction of the package manager does, operation by operation.
 *
 * The planner makes it, the policy decides each of its operations, the ledger records it, the runner hands its
 * canonical text to the pre-install hook, and the hook lets exactly it happen. The same bytes mean the same plan: the
 * canonical text is sorted and holds what identifies an operation (action, name, architecture, old and new version,
 * source, SHA-256), so its hash is what an approver approves.
 *
 * libc only; the hash function is the caller's.
 */
#ifndef PV_AGENTD_PLAN_H
#define PV_AGENTD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agentd/wire.h"

enum {
    PV_PLAN_OPS_MAX = 4096,     /* operations of one plan */
    PV_PLAN_REQUEST_MAX = 256,  /* packages named in one request */
    PV_PLAN_WANTED_MAX = 256,   /* names in wanted_by */
    PV_PLAN_SOURCES_MAX = 256,  /* sources of one request */
    PV_PLAN_PATH_MAX = 1024,    /* root, apt.conf, an archive's name in its repository */
    PV_PLAN_TEXT_MAX = 8 << 20, /* the canonical text of the largest plan */
    PV_PLAN_STATES_MAX = 65536, /* packages in one state answer */
    PV_PLAN_DETAIL_MAX = 16384, /* bytes of the package manager's explanation */
};

enum {
    PV_E_PLAN_MALFORMED = -1101, /* not a plan, or one whose operations contradict each other */
    PV_E_PLAN_TOO_BIG = -1102,
    PV_E_PLAN_NOMEM = -1103,
    PV_E_PLAN_SINK = -1104, /* the caller's sink failed */
};

/* PV_MSG_PLAN_REQUEST, kind */
enum pv_planner_kind {
    PV_PLANNER_PLAN = 0,  /* what would the verb do? */
    PV_PLANNER_STATE = 1, /* what does dpkg's database say of these packages (none named: of all of them)? */
    PV_PLANNER_NAMES = 2, /* that, and what do the indexes offer of these packages? */
};

/* PV_MSG_PLAN_REQUEST, verb; PV_VERB_NONE for the other kinds */
enum pv_planner_verb {
    PV_VERB_NONE = 0,
    PV_VERB_INSTALL = 1,   /* absent or outdated packages; a version makes it exact, a downgrade included */
    PV_VERB_UPGRADE = 2,   /* installed packages only; none named: all, without removing anything */
    PV_VERB_UNINSTALL = 3, /* removes, keeps configuration files */
    PV_VERB_REINSTALL = 4, /* installed packages again, same version */
};

/* PV_MSG_PLAN_REQUEST, flags */
enum {
    PV_PLANNER_F_NO_RECOMMENDS = 1u << 0,
    PV_PLANNER_F_AUTOREMOVE = 1u << 1, /* plan the removal of what nothing needs any longer as well */
    PV_PLANNER_F_PURGE = 1u << 2,      /* removals take configuration files along */
    PV_PLANNER_F_ALL = 7,
};

/* PV_MSG_PLAN_ERROR, code */
enum pv_planner_error {
    PV_PLANNER_INTERNAL = 1,   /* the planner itself failed: memory, processes, a malformed request */
    PV_PLANNER_BAD_NAME = 2,   /* the subject is not a package name, architecture or version at all */
    PV_PLANNER_NO_PACKAGE = 3, /* no permitted source has a package of exactly this name */
    PV_PLANNER_NO_VERSION = 4, /* none has this version of it */
    PV_PLANNER_NOT_INSTALLED = 5,
    PV_PLANNER_UNMET = 6,       /* dependencies cannot be satisfied; the detail is apt's explanation */
    PV_PLANNER_NO_SOURCES = 7,  /* the request permits no source */
    PV_PLANNER_NO_INDEX = 8,    /* no index of the permitted sources is there: refresh first */
    PV_PLANNER_HELD = 9,        /* the subject is on hold */
    PV_PLANNER_DIRTY = 10,      /* dpkg was interrupted: `dpkg --configure -a` */
    PV_PLANNER_DISAGREE = 11,   /* permitted sources offer this version with different contents */
    PV_PLANNER_UNEXPECTED = 12, /* output, index or database that does not have the expected form; detail: the line */
    PV_PLANNER_TIMEOUT = 13,
    PV_PLANNER_AMBIGUOUS = 14, /* installed for several architectures: name one */
};

enum pv_plan_action {
    PV_PLAN_INSTALL = 0,
    PV_PLAN_UPGRADE = 1,
    PV_PLAN_DOWNGRADE = 2,
    PV_PLAN_REMOVE = 3,
    PV_PLAN_PURGE = 4, /* a removal that takes configuration files along */
    PV_PLAN_REINSTALL = 5,
    PV_PLAN_ACTIONS,
};

/*
 * One operation. Absent texts are "" and never NULL. In a plan every pointer belongs to the plan.
 * An operation that brings an archive (is not a removal) has new_version, source, filename, download_size and sha256;
 * one on a package that is there has old_version.
 */
struct pv_plan_op {
    enum pv_plan_action action;
    bool essential;    /* of the installed version for a removal, else of either */
    bool dependency;   /* not asked for by name */
    bool held;         /* on hold now */
    bool config_files; /* absent, with configuration files left (dpkg's config-files): counts as absent */
    bool automatic;    /* installed now as somebody's dependency (apt's mark) */
    const char *name;
    const char *arch; /* of the new version, or of the old one for a removal; may be "all" */
    const char *old_version;
    const char *new_version;
    const char *source; /* the policy's name of it */
    const char *section;
    const char *filename; /* of the archive in its repository */
    uint64_t download_size;
    uint8_t sha256[32];
    const char *const *wanted_by; /* the requested names that pulled this in; empty when it was asked for */
    size_t n_wanted_by;
};

/* Start with zeroes; pv_plan_clear() releases all of it and zeroes it again. */
struct pv_plan {
    struct pv_plan_op *ops;
    size_t n_ops;
    size_t cap;
};

void pv_plan_clear(struct pv_plan *plan);

/* Appends a copy of *op with all its texts. 0, PV_E_PLAN_TOO_BIG, PV_E_PLAN_NOMEM, PV_E_PLAN_MALFORMED (a field that
 * breaks the rules above, an invalid name, version, architecture or source). */
int pv_plan_add(struct pv_plan *plan, const struct pv_plan_op *op);

/* Sorts by name, architecture, action; PV_E_PLAN_MALFORMED when two operations are on one package. */
int pv_plan_sort(struct pv_plan *plan);

static inline bool pv_plan_is_removal(const struct pv_plan_op *op)
{
    return op->action == PV_PLAN_REMOVE || op->action == PV_PLAN_PURGE;
}

/* "install", "upgrade", ...; "?" for anything else. */
const char *pv_plan_action_name(enum pv_plan_action action);

/*
 * Wire: u32 action, u32 flags (PV_PLAN_W_*), str name, str arch, str old_version, str new_version, str source,
 * str section, str filename, u64 download_size, raw 32 bytes sha256, u32 n_wanted_by, n_wanted_by x str.
 */
enum {
    PV_PLAN_W_ESSENTIAL = 1u << 0,
    PV_PLAN_W_DEPENDENCY = 1u << 1,
    PV_PLAN_W_HELD = 1u << 2,
    PV_PLAN_W_CONFIG_FILES = 1u << 3,
    PV_PLAN_W_AUTOMATIC = 1u << 4,
    PV_PLAN_W_ALL = 31,
};
void pv_plan_op_encode(struct pv_wbuf *w, const struct pv_plan_op *op);
/* Reads one operation and appends it; the reader need not be at its end afterwards. Errors as pv_plan_add(). */
int pv_plan_op_decode(struct pv_rbuf *r, struct pv_plan *plan);

/* A package's facts, PV_MSG_PLAN_STATE_ITEM; texts point into storage of the giver's and are "" when absent. */
struct pv_plan_state {
    const char *name;
    const char *arch;
    bool installed;    /* unpacked and configured, nothing less */
    bool broken;       /* in a state between: unpacked, half-configured, triggers pending, needs reinstallation */
    bool config_files; /* only configuration files are left */
    bool held;
    bool essential;
    bool automatic;
    bool available; /* in an index of a permitted source (names request) */
    const char *installed_version;
    const char *section;
    const char *candidate_version; /* names request: what `install` would bring, by the sources' priorities */
    const char *candidate_source;
    uint64_t download_size; /* of the candidate */
    const char *summary;    /* the first line of the description, control characters escaped */
};

/* Wire: u32 flags (PV_PLAN_S_*), str name, str arch, str installed_version, str section, str candidate_version,
 * str candidate_source, u64 download_size, str summary. */
enum {
    PV_PLAN_S_INSTALLED = 1u << 0,
    PV_PLAN_S_BROKEN = 1u << 1,
    PV_PLAN_S_CONFIG_FILES = 1u << 2,
    PV_PLAN_S_HELD = 1u << 3,
    PV_PLAN_S_ESSENTIAL = 1u << 4,
    PV_PLAN_S_AUTOMATIC = 1u << 5,
    PV_PLAN_S_AVAILABLE = 1u << 6,
    PV_PLAN_S_ALL = 127,
};
void pv_plan_state_encode(struct pv_wbuf *w, const struct pv_plan_state *state);
/* Texts go, terminated, into `store`; PV_E_PLAN_MALFORMED when a field is invalid or the store too small. */
enum { PV_PLAN_STATE_STORE = 2048 };
int pv_plan_state_decode(struct pv_rbuf *r, struct pv_plan_state *state, char store[PV_PLAN_STATE_STORE]);

/*
 * The canonical text, in pieces, to `sink` (which returns 0, or anything else to stop): feed it to a hash for the
 * digest, or to a file for the hook. It sorts the plan first.
 *
 *     proviso-plan 1\n
 *     ACTION NAME ARCH OLD NEW SOURCE SHA256\n     one line an operation, "-" for what it does not have
 */
typedef int pv_plan_sink(void *context, const void *bytes, size_t len);
int pv_plan_canonical(struct pv_plan *plan, pv_plan_sink *sink, void *context);

/* Reads the canonical text back; anything that pv_plan_canonical() would not have written exactly so is refused. */
int pv_plan_parse(struct pv_plan *plan, const char *text, size_t len);

#endif
