/* Diagnostics: one collector per compilation; what it holds is the verdict.
 *
 * Every message has a code (diag_codes.def: its number and severity), a place, a sentence; where they help, other
 * places
 * ("declared here"), a hint and a fix. Passes report in any order; pv_diags_finish() sorts by place and drops
 * duplicates. A compilation is good exactly when pv_diags_errors() is 0: nothing is written otherwise. */
#ifndef PROVISO_ENGINE_DIAG_H
#define PROVISO_ENGINE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/arena.h"
#include "engine/source.h"

enum pv_severity { PV_SEV_ERROR, PV_SEV_WARNING, PV_SEV_NOTE };

enum pv_diag_code {
#define PV_DIAG(NAME, number, severity, title, summary) PV_DIAG_##NAME,
#include "engine/diag_codes.def"
#undef PV_DIAG
    PV_N_DIAG_CODES
};

struct pv_diag_info {
    char code[8];      /* "PV0102" */
    const char *title; /* short-name, for tables and SARIF */
    const char *summary;
    unsigned number;
    enum pv_severity severity;
};
/* The row of a code. */
const struct pv_diag_info *pv_diag_info(enum pv_diag_code code);
/* The code of "PV0102" (case does not count), or -1. */
int pv_diag_from_code(const char *text);
const char *pv_severity_name(enum pv_severity severity); /* "error", "warning", "note" */

struct pv_related {
    struct pv_span span;
    const char *text;
    struct pv_related *next;
};

/* Replacing the bytes of `span` by `text` mends it; an insertion has an empty span. */
struct pv_fix {
    struct pv_span span;
    const char *text;
    struct pv_fix *next;
};

struct pv_diag {
    enum pv_diag_code code;
    enum pv_severity severity;
    struct pv_span span;
    const char *text; /* one sentence, no full stop, starts small; UTF-8, control characters escaped */
    const char *hint; /* or NULL */
    struct pv_related *related, *last_related;
    struct pv_fix *fixes, *last_fix;
    bool certain;   /* the fixes are what was meant, beyond doubt: `check --fix` applies them */
    uint32_t order; /* of being reported */
};

struct pv_diags {
    struct pv_arena *arena;
    const struct pv_sources *sources;
    struct pv_diag **list; /* sorted once pv_diags_finish() has run */
    size_t n, capacity;
    uint32_t n_errors, n_warnings; /* all that were reported, those over max_kept included */
    uint32_t max_kept;             /* most diagnostics kept; default PV_DIAGS_KEPT */
    struct pv_diag dropped;        /* what a report over max_kept is written to */
};
#define PV_DIAGS_KEPT  10000u
#define PV_DIAGS_SHOWN 100u /* most that text output shows, where the caller sets no other cap */

void pv_diags_init(struct pv_diags *diags, struct pv_arena *arena, const struct pv_sources *sources);

/* Reports; the severity is the code's. Never NULL; the result takes hints, fixes and related places. */
struct pv_diag *pv_report(struct pv_diags *diags, enum pv_diag_code code, struct pv_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void pv_diag_hint(struct pv_diags *diags, struct pv_diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pv_diag_related(struct pv_diags *diags, struct pv_diag *diag, struct pv_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void pv_diag_fix(struct pv_diags *diags, struct pv_diag *diag, struct pv_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Hands on a diagnostic of another collector over the same sources and arena. */
void pv_diags_take(struct pv_diags *diags, struct pv_diag *diag);

/* Errors so far: the verdict. */
uint32_t pv_diags_errors(const struct pv_diags *diags);
/* Sorts by file, place, severity, code, and drops duplicates (same code, place and text). Call before iterating
 * diags->list[0 .. n) or printing; may be called again after further reports. */
void pv_diags_finish(struct pv_diags *diags);

/* Text for people: `file:line:col: error[PV0001]: sentence`, the source line, a caret by display width, hints.
 * `max` is the most shown (0: PV_DIAGS_SHOWN); a last line tells how many were not. `colour`: ANSI colours. */
void pv_diags_print(struct pv_diags *diags, FILE *out, bool colour, uint32_t max);

/* ---- Suggestions ---- */

/* Bounded Damerau-Levenshtein distance (optimal string alignment) over bytes, case folded for ASCII; limit + 1 where it
 * is more than limit (limit at most 8). */
unsigned pv_edit_distance(const char *a, size_t a_len, const char *b, size_t b_len, unsigned limit);

/* Finds the nearest of the names offered to it:
 *     struct pv_nearest near;
 *     pv_nearest_init(&near, name, len);
 *     for each candidate: pv_nearest_offer(&near, candidate, candidate_len);
 *     if (near.best) hint "did you mean `%s`?"
 * Far names (over a third of the length in edits, and always over 3) are never taken; the first of equals wins. */
struct pv_nearest {
    const char *name;
    size_t len;
    const char *best; /* borrowed from the offer, NULL for none */
    size_t best_len;
    unsigned distance;
};
void pv_nearest_init(struct pv_nearest *nearest, const char *name, size_t len);
void pv_nearest_offer(struct pv_nearest *nearest, const char *candidate, size_t len);

#endif
