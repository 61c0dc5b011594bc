/* Inside the runtime: what its files share and nobody else includes. */
#ifndef PROVISO_RUNTIME_INTERNAL_H
#define PROVISO_RUNTIME_INTERNAL_H

#include <stdarg.h>

#include "runtime/bundle.h"
#include "runtime/proviso.h"
#include "runtime/verify.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bundles are used in place and are little-endian");

/* Work is counted, in the steps of verify.h, where a test that holds the bound compiles the runtime with
 * PV_COUNT_STEPS; otherwise this is nothing. */
#ifdef PV_COUNT_STEPS
extern _Thread_local uint64_t pv_steps;
#define PV_STEPS(n) (pv_steps += (n))
#else
#define PV_STEPS(n) ((void)0)
#endif

/* error.c: fills *error (may be NULL) and returns `code`. */
int pv_fail(struct pv_error *error, int code, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int pv_vfail(struct pv_error *error, int code, uint64_t offset, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/* names.c: the shapes of opcodes.def. */
enum pv_shape {
    PV_SHAPE_CONST,
    PV_SHAPE_SLOT,
    PV_SHAPE_SLOT_BOOL,
    PV_SHAPE_SLOT_INT,
    PV_SHAPE_SLOT_INT2,
    PV_SHAPE_SLOT_STR,
    PV_SHAPE_SLOT_STR2,
    PV_SHAPE_SLOT_SET,
    PV_SHAPE_SLOT_SETSLOT,
    PV_SHAPE_SETSLOT_STR,
    PV_SHAPE_SETSLOT_SET,
    PV_SHAPE_SETSLOT2,
    PV_SHAPE_SLOT_GLOB,
    PV_SHAPE_SLOT_VER,
    PV_SHAPE_SLOT_VER2,
    PV_SHAPE_WINDOW,
    PV_SHAPE_NONE,
    PV_SHAPE_EFFECT,
    PV_SHAPE_STACK1,
    PV_SHAPE_STACK2,
    PV_SHAPE_END
};
struct pv_op_info {
    const char *name;
    enum pv_shape shape;
};
extern const struct pv_op_info pv_ops[PVB_N_OPS];

/* glob.c: all globs of a bundle, prepared for matching. `globs` and `tokens` have been checked. */
struct pv_globs;
/* The state set of a glob of n tokens, in 64-bit words: what one code point of a matched string costs. */
static inline uint32_t pv_glob_words(uint32_t n_tokens)
{
    return n_tokens / 64 + 1;
}
/* 0, PV_E_NOMEM, PV_E_LIMIT. */
int pv_globs_prepare(struct pv_globs **out, const struct pvb_glob *globs, size_t n_globs, const uint32_t *tokens,
                     struct pv_error *error);
void pv_globs_free(struct pv_globs *globs);
size_t pv_globs_memory(const struct pv_globs *globs);
bool pv_glob_match(const struct pv_globs *globs, uint32_t glob, const char *text, size_t len);

/* time.c. Instants are seconds since 1970-01-01 UTC within PV_MIN_TIME .. PV_MAX_TIME. */
#define PV_MIN_TIME INT64_C(-62167219200) /* 0000-01-01T00:00:00Z, as RFC 3339 begins */
#define PV_MAX_TIME INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
struct pv_zone;
struct pv_local {
    int64_t days;   /* since 1970-01-01 */
    int32_t second; /* of the day */
    /* The offset and how long it holds, so that the next instant nearby is not looked up; zero at first. */
    int32_t offset;
    int64_t from, until;
};
unsigned pv_days_in_month(int64_t year, unsigned month);
unsigned pv_weekday(int64_t days); /* 0 Monday .. 6 */
/* A zone from the bytes of its TZif file; the caller frees it. 0, PV_E_ZONE, PV_E_NOMEM. */
int pv_zone_parse(struct pv_zone **out, const char *name, const void *data, size_t len, struct pv_error *error);
void pv_zone_free(struct pv_zone *zone);
size_t pv_zone_memory(const struct pv_zone *zone);
int32_t pv_zone_offset(const struct pv_zone *zone, int64_t instant); /* seconds east of UTC */
/* Always of one zone for one struct pv_local. */
void pv_zone_local(const struct pv_zone *zone, int64_t instant, struct pv_local *out);
int64_t pv_zone_instant(const struct pv_zone *zone, int64_t days, int32_t second);

/* ---- A loaded bundle ---- */

/* X(SECTION, row type, field) in the order of enum pvb_section. */
#define PV_SECTIONS(X)                                                                                                 \
    X(BYTES, char, bytes)                                                                                              \
    X(STRINGS, struct pvb_str, strings)                                                                                \
    X(STRHASH, uint32_t, strhash)                                                                                      \
    X(INTS, int64_t, ints)                                                                                             \
    X(GLOBS, struct pvb_glob, globs)                                                                                   \
    X(GLOB_TOKENS, uint32_t, glob_tokens)                                                                              \
    X(SETS, struct pvb_set, sets)                                                                                      \
    X(SET_MEMBERS, uint32_t, set_members)                                                                              \
    X(SET_GLOBS, uint32_t, set_globs)                                                                                  \
    X(ATTRS, struct pvb_attr, attrs)                                                                                   \
    X(ZONES, uint32_t, zones)                                                                                          \
    X(WINDOWS, struct pvb_window, windows)                                                                             \
    X(WINDOW_ALTS, struct pvb_window_alt, window_alts)                                                                 \
    X(WINDOW_DAYS, struct pvb_nth_day, window_days)                                                                    \
    X(WINDOW_DATES, struct pvb_date_range, window_dates)                                                               \
    X(WINDOW_CLOCKS, struct pvb_clock_range, window_clocks)                                                            \
    X(SOURCES, struct pvb_source, sources)                                                                             \
    X(COMMANDS, struct pvb_command, commands)                                                                          \
    X(PARAMETERS, struct pvb_parameter, parameters)                                                                    \
    X(TEMPLATES, struct pvb_template, templates)                                                                       \
    X(ENVIRONMENT, struct pvb_env, environment)                                                                        \
    X(REQUIRED, uint16_t, required)                                                                                    \
    X(RULES, struct pvb_rule, rules)                                                                                   \
    X(CLAUSES, struct pvb_clause, clauses)                                                                             \
    X(TEXTS, uint32_t, texts)                                                                                          \
    X(ANNOTATIONS, struct pvb_annotation, annotations)                                                                 \
    X(DUTIES, struct pvb_duty, duties)                                                                                 \
    X(DECIDE, struct pvb_insn, decide)                                                                                 \
    X(CLAUSE_CODE, struct pvb_insn, clause_code)                                                                       \
    X(DEBUG_BYTES, char, debug_bytes)                                                                                  \
    X(DEBUG_RULES, struct pvb_debug_rule, debug_rules)                                                                 \
    X(DEBUG_CLAUSES, struct pvb_debug_clause, debug_clauses)

struct pv_bundle {
    const unsigned char *data;
    const struct pvb_header *header;
    /* The sections in place, and their rows. */
#define FIELD(id, type, field)                                                                                         \
    const type *field;                                                                                                 \
    uint32_t n_##field;
    PV_SECTIONS(FIELD)
#undef FIELD
    uint64_t clause_bound;
    struct pv_globs *globs_ready;
    struct pv_zone **zones_ready; /* one a row of ZONES */
    struct pv_zone *host_zone;    /* NULL where the host's could not be read and no row needs it */
    /* Requires with an account, where not all name the same one: only then can accounts clash. */
    uint32_t *account_rules;
    uint32_t n_account_rules;
    uint32_t *duty_twin; /* by duty: the first one of the same kind and text */
};

/* Refuses a bundle because of a row: "SECTION[row]: ..."; error.offset is the row's. Returns PV_E_BUNDLE. */
int pv_refuse(const struct pv_bundle *bundle, struct pv_error *error, enum pvb_section section, size_t row,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

/* tables.c: every row of every section but the programs: ranges, references, order, values. */
int pv_check_tables(const struct pv_bundle *bundle, struct pv_error *error);
/* verify.c: both programs, after the tables. *bound and *clause_bound are their worst cases. */
int pv_verify(const struct pv_bundle *bundle, uint64_t *bound, uint64_t *clause_bound, struct pv_error *error);
/* Whether a rule requires an account. Over the rules in turn, *account is the last that was named and *differ becomes
 * true once two were: then requires may clash, and every verdict looks at these rules. */
bool pv_rule_accounts(const struct pv_bundle *b, uint32_t rule, uint32_t *account, bool *differ);

/* ---- A request ---- */

struct pv_slot_state {
    struct pv_value value; /* as rules see it: absent where the command at hand has no such attribute */
    uint8_t set;           /* enum pv_state, as it was set or is by default */
    bool given;            /* set by the caller since the last reset */
    bool applies;          /* the command at hand has it */
};

struct pv_request {
    const struct pv_bundle *bundle;
    int64_t time;
    int command; /* index in COMMANDS, or -1 */
    bool never_brokered;
    enum pv_order order;    /* of the command's versions */
    struct pv_local *local; /* the time in each of the bundle's zones */
    struct pv_slot_state slots[];
};

/* request.c: the order of members in a set: by id, then by bytes. Equal ids but 0 are equal strings. */
int pv_str_compare(const struct pv_str *a, const struct pv_str *b);

/* window.c: whether the wall clocks `local` (one a zone) are inside a window. */
bool pv_window_holds(const struct pv_bundle *bundle, const struct pv_local *local, uint32_t window);

/* vm.c */
bool pv_in_set(const struct pv_bundle *bundle, uint32_t set, const struct pv_str *s);
enum pv_join pv_run_decide(const struct pv_request *request, uint32_t entry);

static inline struct pv_str pv_string_at(const struct pv_bundle *b, uint32_t string)
{
    return (struct pv_str){b->bytes + b->strings[string].offset, b->strings[string].len, string};
}

#endif
