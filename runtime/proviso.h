/* libproviso: load a compiled policy, describe a request, get a decision.
 *
 * For agents and for programs that embed policies. No dependency but libc: the signature check, the hash and the time
 * zone files are given by the caller. After load, a bundle is read-only and any number of threads may decide on it,
 * each with its own request and decision. Nothing is allocated while deciding.
 *
 * Ownership: objects from *_new or *_load are freed by the matching *_free. Strings handed in are borrowed until the
 * request is reset, set again or freed; strings handed out live as long as the bundle.
 * Errors: functions return 0 or a negative PV_E_*; where a struct pv_error is taken it says what and where. */
#ifndef PROVISO_RUNTIME_PROVISO_H
#define PROVISO_RUNTIME_PROVISO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PV_API __attribute__((visibility("default")))

enum pv_error_code {
    PV_OK = 0,
    PV_E_NOMEM = -1,
    PV_E_INVAL = -2, /* the caller's mistake */
    PV_E_IO = -3,
    PV_E_BUNDLE = -4,    /* not a well-formed bundle; error.offset says where */
    PV_E_SIGNATURE = -5, /* refused by the caller's check */
    PV_E_FORMAT = -6,    /* a format or language version that this reader does not know */
    PV_E_ZONE = -7,      /* a time zone that the host does not have, or a damaged zone file */
    PV_E_LIMIT = -8,     /* over a documented size */
    PV_E_UNKNOWN = -9,   /* a name that the policy does not declare */
    PV_E_TYPE = -10,     /* a value of another type than the attribute's, or outside an argument's set */
    PV_E_MISSING = -11,  /* the request lacks what the command needs or a rule reads */
    PV_E_SYNTAX = -12,   /* text that does not parse */
};

struct pv_error {
    int code;
    uint64_t offset; /* bytes into the bundle or the text, where it applies */
    char text[240];  /* one sentence, UTF-8, NUL-terminated, control characters escaped */
};

/* ---- Values ---- */

enum pv_type {
    PV_T_NONE,
    PV_T_BOOL,
    PV_T_INT,
    PV_T_STRING,
    PV_T_VERSION,
    PV_T_DURATION,
    PV_T_DATE,
    PV_T_CLOCK,
    PV_T_WEEKDAY,
    PV_T_STRINGS
};
/* As numbers: a duration is in seconds, a date in days since 1970-01-01, a clock in seconds of the day, a weekday 0
 * (Monday) to 6. */

enum pv_scope { PV_SCOPE_ANY, PV_SCOPE_PACKAGE, PV_SCOPE_SOURCE, PV_SCOPE_PARAMETER };
enum { PV_ATTR_OPT = 1, PV_ATTR_DEFAULT = 2, PV_ATTR_PLAN = 4, PV_ATTR_HIDDEN = 8 };

/* Version orders. COMMAND: the order of the command at hand. */
enum pv_order { PV_ORDER_COMMAND, PV_ORDER_DPKG, PV_ORDER_SEMVER, PV_ORDER_RPM, PV_ORDER_NUGET };
enum pv_cmp { PV_EQ, PV_NE, PV_LT, PV_LE, PV_GT, PV_GE };
enum pv_truth { PV_FALSE = 0, PV_UNKNOWN = 1, PV_TRUE = 2 };

enum pv_slot {
#define PV_ATTR(id, path, type, scope, flags) PV_A_##id,
#include "runtime/attributes.def"
#undef PV_ATTR
    PV_N_BUILTIN
};

#define PV_MAX_STRING      4096u /* bytes of a string in a request */
#define PV_MAX_MEMBERS     4096u /* members of a set in a request */
#define PV_DEFAULT_TIMEOUT 2700  /* seconds: request.timeout where none is given */

struct pv_str {
    const char *ptr; /* UTF-8, may hold any byte but NUL */
    uint32_t len;    /* bytes */
    uint32_t
        id; /* the bundle's index of this string, 0 where the policy does not mention it; set by pv_request_set_* */
};

/* One row of the built-in attribute table; index is the slot. */
struct pv_attr_info {
    const char *path;
    enum pv_type type;
    enum pv_scope scope;
    unsigned flags;
};
PV_API extern const struct pv_attr_info pv_builtin_attrs[PV_N_BUILTIN];
PV_API const char *pv_type_name(enum pv_type type); /* "string", "set of string", ... */

/* Compares two versions in an order. Total for any bytes; < 0, 0, > 0. PV_ORDER_COMMAND is not an order here. */
PV_API int pv_version_compare(enum pv_order order, const char *a, size_t a_len, const char *b, size_t b_len);
/* Whether the text is a valid version of the order. */
PV_API bool pv_version_valid(enum pv_order order, const char *text, size_t len);
PV_API const char *pv_order_name(enum pv_order order);       /* "dpkg", ... */
PV_API int pv_order_from_name(const char *name, size_t len); /* enum pv_order, or PV_E_UNKNOWN */

/* The hash of interned strings (STRHASH). */
PV_API uint64_t pv_hash(const char *bytes, size_t len);

/* Civil dates, proleptic Gregorian. */
PV_API int64_t pv_days_from_civil(int64_t year, unsigned month, unsigned day);
PV_API void pv_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);

/* ---- Bundles ---- */

/* What the caller supplies. verify and hash may be NULL: then nothing is checked, which is for authors' tools only. */
struct pv_host {
    void *context;
    int (*verify)(void *context, const void *bundle, size_t len); /* 0 good, else refused */
    int (*sha256)(void *context, const void *parts[], const size_t lens[], size_t n_parts,
                  uint8_t out[32]); /* over the parts in order */
    /* Gives the bytes of the TZif file of an IANA zone, or of the host's own zone for "". Copied by the loader before
     * it calls release. 0 or negative. */
    int (*load_zone)(void *context, const char *name, const void **data, size_t *len);
    void (*release_zone)(void *context, const void *data, size_t len);
};

struct pv_bundle;

/* Checks the signature (host->verify), then header, sections, references, programs and zones, and makes the bundle
 * ready. `data` (8-byte aligned, as from mmap) must stay unchanged until pv_bundle_free(). */
PV_API int pv_bundle_load(struct pv_bundle **out, const void *data, size_t len, const struct pv_host *host,
                          struct pv_error *error);
PV_API void pv_bundle_free(struct pv_bundle *bundle);

PV_API const char *pv_bundle_name(const struct pv_bundle *bundle);
PV_API const char *pv_bundle_title(const struct pv_bundle *bundle);
PV_API uint64_t pv_bundle_version(const struct pv_bundle *bundle);
PV_API const uint8_t *pv_bundle_content_hash(const struct pv_bundle *bundle); /* 32 bytes */
PV_API const char *pv_bundle_zone(const struct pv_bundle *bundle);            /* "" for the host's */
PV_API bool pv_bundle_is_library(const struct pv_bundle *bundle);
PV_API uint64_t pv_bundle_bound(const struct pv_bundle *bundle);        /* proven worst-case steps of one verdict */
PV_API uint64_t pv_bundle_clause_bound(const struct pv_bundle *bundle); /* the same for evaluating every clause */
PV_API size_t pv_bundle_memory(const struct pv_bundle *bundle); /* bytes that the loaded bundle holds beside the file */

/* Read access for tools and agents; counts, then one row by index (no check beyond an assertion). Layouts: bundle.h. */
struct pvb_attr;
struct pvb_command;
struct pvb_parameter;
struct pvb_template;
struct pvb_env;
struct pvb_source;
struct pvb_rule;
struct pvb_clause;
struct pvb_duty;
struct pvb_annotation;
struct pvb_insn;
struct pvb_set;
struct pvb_window;
struct pvb_debug_rule;
struct pvb_debug_clause;
/* Any section: its rows and their number. `section` is enum pvb_section. */
PV_API const void *pv_bundle_section(const struct pv_bundle *bundle, int section, size_t *n_rows);
PV_API const char *pv_bundle_string(const struct pv_bundle *bundle, uint32_t string,
                                    size_t *len); /* NUL-terminated; len may be NULL */
PV_API uint32_t pv_bundle_intern(const struct pv_bundle *bundle, const char *ptr,
                                 size_t len);                                            /* 0 where not mentioned */
PV_API int pv_bundle_slot(const struct pv_bundle *bundle, const char *path, size_t len); /* slot, or PV_E_UNKNOWN */
PV_API int pv_bundle_command(const struct pv_bundle *bundle, const char *name,
                             size_t len); /* index in COMMANDS, or PV_E_UNKNOWN */
PV_API int pv_bundle_source(const struct pv_bundle *bundle, const char *name,
                            size_t len); /* index in SOURCES, or PV_E_UNKNOWN */
/* "config", "feature", "source", "apikey": never brokered, whatever a policy says. */
PV_API bool pv_never_brokered(const char *command, size_t len);

/* ---- Requests: one operation ---- */

struct pv_request;

/* A request for this bundle, with every slot at its default (see attributes.def; request.timeout is
 * PV_DEFAULT_TIMEOUT, user.uid -1 for none, user.session "none", time now, transaction.* those of this operation
 * alone). The order in which slots are set does not matter. */
PV_API int pv_request_new(struct pv_request **out, const struct pv_bundle *bundle);
PV_API void pv_request_free(struct pv_request *request);
PV_API void pv_request_reset(struct pv_request *request);
PV_API const struct pv_bundle *pv_request_bundle(const struct pv_request *request);

/* Makes a request what another one of the same bundle is; strings are borrowed from where that one has them. */
PV_API void pv_request_copy(struct pv_request *request, const struct pv_request *from);

/* Each sets one slot; PV_E_TYPE where the slot is of another type, PV_E_LIMIT over PV_MAX_*, PV_E_INVAL for a bad slot.
 */
PV_API int pv_request_set_bool(struct pv_request *request, int slot, bool value);
PV_API int pv_request_set_int(struct pv_request *request, int slot,
                              int64_t value); /* int duration date clock weekday */
PV_API int pv_request_set_string(struct pv_request *request, int slot, const char *ptr,
                                 size_t len); /* string, version */
/* Interns the members (fills each id) and sorts them, in place; the array is borrowed. */
PV_API int pv_request_set_strings(struct pv_request *request, int slot, struct pv_str *members, size_t n_members);
PV_API int pv_request_set_absent(struct pv_request *request, int slot);
/* Not known yet: every test of it is unknown. For decisions before a plan (pv_foresee). */
PV_API int pv_request_set_unknown(struct pv_request *request, int slot);
/* Sets command and, from it, which slots apply; PV_E_UNKNOWN for an undeclared one (never-brokered names are accepted).
 */
PV_API int pv_request_set_command(struct pv_request *request, const char *name, size_t len);
/* Sets all source.* slots from the declaration; PV_E_UNKNOWN. */
PV_API int pv_request_set_source(struct pv_request *request, const char *name, size_t len);
/* Sets the instant, seconds since 1970-01-01 UTC; time.* follow in the policy's zone. */
PV_API int pv_request_set_time(struct pv_request *request, int64_t seconds);
/* The instant of a wall-clock time without offset in the host's zone (in a gap or a repeated hour, the offset before
 * the change). Year, month 1.., day 1.., second of the day. */
PV_API int pv_bundle_local_time(const struct pv_bundle *bundle, int64_t days, int32_t second_of_day, int64_t *seconds);

/* The same in the zone of a row of ZONES. */
PV_API int pv_bundle_zone_time(const struct pv_bundle *bundle, uint32_t zone, int64_t days, int32_t second_of_day,
                               int64_t *seconds);

enum pv_state { PV_ABSENT, PV_PRESENT, PV_NOT_KNOWN };
struct pv_value {
    enum pv_state state;
    enum pv_type type;
    int64_t number; /* bool int duration date clock weekday */
    struct pv_str string;
    const struct pv_str *members;
    uint32_t n_members;
};
PV_API const struct pv_value *pv_request_value(const struct pv_request *request, int slot);
PV_API int64_t pv_request_time(const struct pv_request *request);
/* Whether the request's time is inside a window (index in WINDOWS). */
PV_API bool pv_request_in_window(const struct pv_request *request, uint32_t window);

/* Whether the request has all that its command needs and that rules for it read, arguments are inside their sets, and
 * nothing is given that the command does not use. 0, or PV_E_MISSING, PV_E_TYPE, PV_E_UNKNOWN with the sentence.
 * Unknown slots count as given. */
PV_API int pv_request_check(const struct pv_request *request, struct pv_error *error);

/* ---- Decisions ---- */

enum pv_effect { PV_DENY = 0, PV_ALLOW = 1, PV_DIRECT = 2 };
enum pv_join {
    PV_JOIN_NONE,
    PV_JOIN_ALLOW,
    PV_JOIN_DENY,
    PV_JOIN_DIRECT
}; /* the order in which effects join: the greatest wins */
enum pv_rule_kind { PV_RULE_BUILTIN_DENY, PV_RULE_ALLOW, PV_RULE_DENY, PV_RULE_REQUIRE, PV_RULE_DIRECT };
enum pv_clause_kind {
    PV_C_SUBJECT,
    PV_C_COMMANDS,
    PV_C_OBJECT,
    PV_C_SOURCES,
    PV_C_WHEN,
    PV_C_UNLESS,
    PV_C_DURING,
    PV_C_UNTIL,
    PV_C_BUILTIN,
    PV_C_DUTY
};
enum pv_duty_kind { PV_D_REASON, PV_D_APPROVAL, PV_D_TIMEOUT, PV_D_ACCOUNT, PV_D_WINDOW, PV_D_NOTICE, PV_D_ALERT };

/* The program `decide`: the verdict alone, fast. Every slot that a rule for the command reads must be known or absent.
 * `direct_too` false skips direct rules (operations of a plan). */
PV_API enum pv_effect pv_verdict(const struct pv_request *request, bool direct_too);

/* One clause, or a whole rule (the minimum over its clauses), by the program `clauses`. */
PV_API enum pv_truth pv_clause_truth(const struct pv_request *request, uint32_t clause);
PV_API enum pv_truth pv_rule_truth(const struct pv_request *request, uint32_t rule);

/* A decision with its attribution. Arrays hold indices and are as long as the bundle could need; made once, used again.
 */
struct pv_decision {
    enum pv_effect effect;
    bool is_default;       /* denied because nothing allowed it */
    bool account_conflict; /* two different accounts were required: a denial of builtin:account-conflict, which stands
                              before `rules` */
    uint32_t n_rules;
    uint32_t *rules; /* in source order, built-in ones first */
    /* Duties of what is allowed, joined to the strictest. */
    bool reason;
    bool has_timeout;
    int64_t timeout;  /* seconds */
    uint32_t account; /* string, 0 for none */
    uint32_t n_duties;
    uint32_t *duties; /* approval, window, notice and alert duties in source order, texts without duplicates: indices in
                         DUTIES */
};

PV_API int pv_decision_new(struct pv_decision **out, const struct pv_bundle *bundle);
PV_API void pv_decision_free(struct pv_decision *decision);
/* Decides with attribution. The effect equals pv_verdict()'s. Unknown truth counts against the request: an unknown deny
 * or require matches, an unknown allow or direct does not. */
PV_API void pv_decide(const struct pv_request *request, bool direct_too, struct pv_decision *out);
/* Joins the decision of one more operation into `sum` (zeroed by pv_decision_clear before the first): allowed only if
 * each is; rules without duplicates; all duties. */
PV_API void pv_decision_clear(struct pv_decision *decision);
PV_API void pv_decision_join(struct pv_decision *sum, const struct pv_bundle *bundle, const struct pv_decision *one,
                             bool first);

/* Before planning: what stands whatever the unknown slots may be. */
enum pv_foresight { PV_MAY_BE_ALLOWED, PV_STANDS_DENIED, PV_STANDS_DIRECT };
/* DENIED where a deny is certainly true, or no allow can be true; then `out` has those rules (is_default for the
 * latter). DIRECT where a direct rule is certainly true. */
PV_API enum pv_foresight pv_foresee(const struct pv_request *request, bool direct_too, struct pv_decision *out);

/* The id of a rule as decisions show it: the declared one, the built-in's, or FILE:LINE, written to `buffer` where
 * needed. */
PV_API const char *pv_rule_id(const struct pv_bundle *bundle, uint32_t rule, char *buffer, size_t size);
/* File ("" for built-ins) and line (0) of a rule's keyword. */
PV_API const char *pv_rule_file(const struct pv_bundle *bundle, uint32_t rule, uint32_t *line, size_t *len);

/* The disassembly of one instruction, for `inspect --code`; program is PVB_DECIDE or PVB_CLAUSE_CODE. Returns as
 * snprintf. */
PV_API int pv_insn_text(const struct pv_bundle *bundle, int program, uint32_t index, char *buffer, size_t size);

#endif
