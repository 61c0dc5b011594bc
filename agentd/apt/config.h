/*
 * What root's apt runs with: one generated directory per set of permitted sources, and exact argument vectors.
 *
 *     SET/apt.conf                      the whole configuration; the host's apt.conf and apt.conf.d are not read
 *     SET/etc/sources.list.d/NAME.list  one line each; NAME is the policy's name of the source
 *     SET/lists/  SET/archives/  SET/cache/  SET/state/
 *
 * Everything is root's and readable by all, so that the planner reads what root fetched and writes nothing. `file:`
 * sources become `copy:`, so that lists and archives are copies that only root can change. Which source an operation
 * comes from is known by the index file and thereby by NAME, never by what a Release file claims about itself. The
 * order of the sources is the planner's business: what root runs names every version.
 *
 * libc only. Written for apt 2.6 (Debian 12); what it relies on is pinned by tests/agent/apt_config_test.sh.
 */
#ifndef PV_AGENTD_APT_CONFIG_H
#define PV_AGENTD_APT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agentd/plan.h"

enum {
    PV_E_APT_REFUSED = -1201, /* a source, path or setting that must not be used; the error says which and why */
    PV_E_APT_SYSTEM = -1202,  /* a system call failed */
    PV_E_APT_NOMEM = -1203,
};

struct pv_apt_error {
    char text[512]; /* a sentence; "" after success */
};

struct pv_apt_source {
    const char *name;     /* the policy's, pv_apt_source_valid() */
    const char *location; /* "deb [options] URI suite [component...]" */
    const char *key;      /* absolute path of a keyring, or NULL or "": then the location's signed-by counts */
    bool is_unsigned;     /* the property `unsigned`; accepted in an alternate root only */
};

/* A setting of the host's that is carried over; pv_apt_config_write() refuses keys outside a fixed list. */
struct pv_apt_option {
    const char *key;   /* such as "Acquire::http::Proxy" */
    const char *value; /* without quotes, backslashes, control characters */
};

struct pv_apt_setup {
    const char *root; /* "/", or the absolute path of an alternate root */
    const char *hook; /* absolute path of proviso-hook */
    const struct pv_apt_source *sources;
    size_t n_sources;
    const struct pv_apt_option *options;
    size_t n_options;
    bool no_recommends;
    unsigned lock_timeout; /* seconds to wait for dpkg's locks; 0: 600 */
};

/*
 * Everything that decides what a set directory holds, to `sink`: hash it to name the directory. 0 or
 * PV_E_APT_REFUSED, PV_E_APT_NOMEM, PV_E_PLAN_SINK.
 */
int pv_apt_config_canonical(const struct pv_apt_setup *setup, pv_plan_sink *sink, void *context,
                            struct pv_apt_error *error);

/*
 * Creates or completes the set directory. Its parent must exist and be nobody else's. Files that are there with the
 * same content stay as they are (apt's caches depend on their times). Nothing is followed through symbolic links below
 * set_dir. 0 or an error above.
 */
int pv_apt_config_write(const char *set_dir, const struct pv_apt_setup *setup, struct pv_apt_error *error);

/*
 * Checks one source and gives the line for its list file, without a newline, to be freed by the caller. Refused:
 * anything but one `deb` line; options other than arch, signed-by, by-hash; trusted, allow-insecure and the like;
 * schemes other than http, https, file and copy; a local path that others than root can write; no key, unless
 * is_unsigned in an alternate root.
 */
int pv_apt_source_line(const struct pv_apt_source *source, bool alternate_root, char **line,
                       struct pv_apt_error *error);

/* Whether only root (or the caller, in tests) can change the path: each directory above it and what it leads to.
 * Root-owned sticky directories pass. 0 or PV_E_APT_REFUSED with the component named. */
int pv_apt_path_guarded(const char *path, struct pv_apt_error *error);

/* The commands that root runs. */
enum pv_apt_step {
    PV_APT_REFRESH,     /* apt-get update */
    PV_APT_FETCH,       /* the plan's archives into SET/archives, nothing else; needs an archive in the plan */
    PV_APT_APPLY,       /* exactly the plan, from SET/archives alone; the hook enforces it */
    PV_APT_MARK_AUTO,   /* the plan's installed dependencies, as apt's own bookkeeping would */
    PV_APT_MARK_MANUAL, /* the packages in `names` */
    PV_APT_REPAIR,      /* dpkg --configure -a */
    PV_APT_CLEAN,       /* empties SET/archives */
};

struct pv_apt_job {
    const char *set_dir;
    const char *root;
    const char *run_dir;        /* absolute; PV_APT_APPLY: holds the plan for the hook */
    const struct pv_plan *plan; /* FETCH, APPLY, MARK_AUTO */
    const char *const *names;   /* MARK_MANUAL: name or name:arch */
    size_t n_names;
    const char *user; /* the verified requester, for the environment; NULL: none */
    uid_t uid;
    int status_fd; /* APPLY and FETCH: where apt writes its progress in the child; -1: nowhere */
};

struct pv_apt_command {
    char **argv; /* argv[0] is the program's absolute path */
    char **envp; /* complete: nothing is inherited */
    void *store;
};

/* Builds the vector and the environment; release with pv_apt_command_free(). 0, PV_E_APT_REFUSED (nothing to do for
 * this step included), PV_E_APT_NOMEM. */
int pv_apt_command_build(struct pv_apt_command *command, enum pv_apt_step step, const struct pv_apt_job *job,
                         struct pv_apt_error *error);
void pv_apt_command_free(struct pv_apt_command *command);

/* Whether PV_APT_FETCH, PV_APT_MARK_AUTO have anything to do. */
bool pv_apt_needs_fetch(const struct pv_plan *plan);
bool pv_apt_needs_mark(const struct pv_plan *plan);

/* Where things are: the environment variable that names the run directory to the hook, and the files in it. */
#define PV_APT_RUN_VARIABLE "PROVISO_RUN"
#define PV_APT_PLAN_FILE    "plan"       /* canonical text, root's, 0600, written before PV_APT_APPLY starts */
#define PV_APT_HOOK_OK      "hook-ok"    /* written by the hook once apt's list and the archives match */
#define PV_APT_HOOK_ERROR   "hook-error" /* the hook's sentence when they do not */

#endif
