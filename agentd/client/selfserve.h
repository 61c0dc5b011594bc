/*
 * selfserve: what everybody uses. One request for each start: describe it, submit it, follow it to its end.
 *
 *   selfserve.c  verbs, options, the request
 *   follow.c     the conversation, from submit to the exit status
 *   show.c       messages as people read them
 *   progress.c   the bar on a terminal, lines elsewhere
 *   text.c       other people's text, made safe for a terminal
 *   connect.c    the connection and the passcode (pv_client, also for other programs)
 *
 * What a person is told goes to standard error when a command's output belongs to standard output (install, run, ...),
 * and to standard output where it is itself what was asked for (rights, explain, history, --dry-run).
 */
#ifndef PV_AGENTD_CLIENT_SELFSERVE_H
#define PV_AGENTD_CLIENT_SELFSERVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agentd/client/connect.h"

/* Exit statuses beside the command's own; sysexits(3) where one fits. */
enum pv_exit {
    PV_EXIT_USAGE = 64,
    PV_EXIT_UNREACHABLE = 69, /* no agent, or one that cannot broker now */
    PV_EXIT_FAILED = 70,      /* allowed, but it could not be planned, fetched or started */
    PV_EXIT_PARKED = 75,      /* waits for an approval or a window */
    PV_EXIT_DENIED = 77,
    PV_EXIT_CONFIG = 78, /* policy or configuration */
    PV_EXIT_TIMEOUT = 124,
    PV_EXIT_CANCELLED = 130,
};

struct pv_selfserve {
    const char *socket;
    bool json, dry_run, yes, run_actual, verbose;
    const char *reason, *version, *source;
    int64_t timeout; /* seconds, 0: not given */
    uint32_t limit;  /* rows of history, 0: all that the agent sends */
    enum pv_verb verb;
    const char *command; /* "" for rights and history */
    bool packages;       /* the arguments are package names: its output is the package manager's */
    bool run;            /* a command of the policy's: its output is what the user is after */
    char **words;        /* the arguments, then options of a `run` command taken out of them */
    uint32_t n_words;
    struct pv_wire_option options[PV_REQUEST_OPTIONS_MAX];
    uint32_t n_options;
};

/* ---- follow.c ---- */

/* Submits the request and follows it. Returns the exit status, or does not return: a command that is not brokered
 * replaces this program. */
int pv_follow(const struct pv_selfserve *self);
/* Runs a command in place of this program, with the user's own rights; returns the exit status of failing at that. */
int pv_run_directly(const struct pv_selfserve *self, char **argv);
/* Ends with a sentence on standard error, or with the outcome as JSON; returns `status`. */
int pv_end_with(const struct pv_selfserve *self, int status, const char *outcome, const char *text);

/* ---- show.c ---- */

/* Colours and widths of one stream. */
struct pv_paper {
    FILE *stream;
    bool colour;
    size_t columns; /* of the terminal, or what a line may have elsewhere */
};
enum pv_ink { PV_INK_GOOD, PV_INK_BAD, PV_INK_STRONG, PV_INK_FAINT };

void pv_paper_open(struct pv_paper *paper, FILE *stream);
/* Writes text of the server's, escaped, in a colour where there are colours. */
void pv_ink(const struct pv_paper *paper, enum pv_ink ink, const char *text);

/* A text of the server's on lines of its own, indented. */
void pv_show_text(const struct pv_paper *paper, const char *text);

/* A decision and the operations that came with it. */
void pv_show_verdict(const struct pv_paper *paper, const struct pv_selfserve *self, const json_t *verdict,
                     const json_t *operations);
/* What `explain` adds: the rules beside the decision, clause by clause. */
void pv_show_nearest(const struct pv_paper *paper, const json_t *verdict, const json_t *rules);
void pv_show_rights(const struct pv_paper *paper, const json_t *hello, const json_t *rules);
void pv_show_history(const struct pv_paper *paper, const json_t *rows);

/* ---- progress.c ---- */

struct pv_progress {
    FILE *stream;
    bool terminal; /* one line that is written over, else lines */
    bool shown;    /* the bar stands on the terminal now */
    char text[256];
    int percent;
    int told; /* the percentage of the last line */
};
void pv_progress_open(struct pv_progress *progress, FILE *stream);
/* `percent` -1: not known. `text` is the server's. */
void pv_progress_show(struct pv_progress *progress, int percent, const char *text);
/* Takes the bar away, before something else is written and at the end. */
void pv_progress_clear(struct pv_progress *progress);

#endif
