/* The bundle: what a policy compiles to. One flat file, little-endian, position-independent, mappable read-only. This
 * header is the format; bundle.c reads and checks it, engine/emit_write.c writes it.
 *
 * Layout: struct pvb_header, then the sections in the order of enum pvb_section, each 8-byte aligned, gaps zero. Every
 * section is an array of the struct named beside it. References are indices into other sections, never pointers.
 * Index 0 of STRINGS is the empty string and stands for "none" where a field is optional; other optional references
 * use PVB_NONE. Where a row refers to a run of rows (first, n), the runs follow one another in the order of the rows
 * that refer to them, and no row belongs to two; so checking is linear in the size of the file.
 *
 * The content hash is SHA-256 over the file up to DEBUG_BYTES, with the header's hash, file_size and the entries of the
 * three debug sections as zero; it tells whether two bundles decide alike. The signature (a file beside the bundle)
 * covers every byte. */
#ifndef PROVISO_RUNTIME_BUNDLE_H
#define PROVISO_RUNTIME_BUNDLE_H

#include <stdint.h>

#define PVB_MAGIC    "PROVISO\x01" /* 8 bytes */
#define PVB_FORMAT   1u
#define PVB_LANGUAGE 1u
#define PVB_NONE     UINT32_MAX

/* Limits: hostile or mistaken sizes end at load. */
#define PVB_MAX_FILE        (1024u * 1024u * 1024u)
#define PVB_MAX_STACK       64u /* truth values on the stack of a clause */
#define PVB_MAX_GLOB_TOKENS 1024u
#define PVB_MAX_PROBE       64u /* longest run in STRHASH */
#define PVB_MAX_ZONES       1024u
#define PVB_MAX_WINDOWS     64u                 /* windows that refer to one another in a chain */
#define PVB_MAX_BOUND       (UINT64_C(1) << 44) /* steps of one decision, or of evaluating every clause (verify.h) */

enum pvb_section {
    PVB_BYTES,         /* char: the bytes of all strings, each followed by NUL */
    PVB_STRINGS,       /* struct pvb_str, sorted by bytes after index 0, no duplicates */
    PVB_STRHASH,       /* uint32_t: string index or 0; a power of two of slots, linear probing with pv_hash() */
    PVB_INTS,          /* int64_t, sorted, no duplicates */
    PVB_GLOBS,         /* struct pvb_glob */
    PVB_GLOB_TOKENS,   /* uint32_t: a code point, or one of PVB_GLOB_* */
    PVB_SETS,          /* struct pvb_set */
    PVB_SET_MEMBERS,   /* uint32_t: string indices, ascending within a set */
    PVB_SET_GLOBS,     /* uint32_t: glob indices, ascending within a set */
    PVB_ATTRS,         /* struct pvb_attr: the built-in slots, then the declared ones */
    PVB_ZONES,         /* uint32_t: string index of an IANA zone name; zone 0 is the policy's ("" means the host's) */
    PVB_WINDOWS,       /* struct pvb_window; a window refers only to windows before it */
    PVB_WINDOW_ALTS,   /* struct pvb_window_alt */
    PVB_WINDOW_DAYS,   /* struct pvb_nth_day */
    PVB_WINDOW_DATES,  /* struct pvb_date_range */
    PVB_WINDOW_CLOCKS, /* struct pvb_clock_range */
    PVB_SOURCES,       /* struct pvb_source */
    PVB_COMMANDS,      /* struct pvb_command */
    PVB_PARAMETERS,    /* struct pvb_parameter: arguments and options of commands */
    PVB_TEMPLATES,     /* struct pvb_template: elements of argument vectors */
    PVB_ENVIRONMENT,   /* struct pvb_env */
    PVB_REQUIRED,      /* uint16_t: slots that a request for a command must have (an error otherwise), ascending */
    PVB_RULES,         /* struct pvb_rule: built-in ones first, then in source order */
    PVB_CLAUSES,       /* struct pvb_clause */
    PVB_TEXTS,         /* uint32_t: string indices, runs that rules refer to (because) */
    PVB_ANNOTATIONS,   /* struct pvb_annotation */
    PVB_DUTIES,        /* struct pvb_duty */
    PVB_DECIDE,        /* struct pvb_insn: the verdict, entry 0, and decide_plan_entry */
    PVB_CLAUSE_CODE,   /* struct pvb_insn: one run a clause */
    PVB_DEBUG_BYTES,   /* char: file paths, each followed by NUL */
    PVB_DEBUG_RULES,   /* struct pvb_debug_rule, one a rule */
    PVB_DEBUG_CLAUSES, /* struct pvb_debug_clause, one a clause */
    PVB_N_SECTIONS
};

struct pvb_section_entry {
    uint64_t offset; /* bytes from the start of the file */
    uint64_t size;   /* bytes; a multiple of the element's size */
};

enum {
    PVB_FLAG_LIBRARY = 1
}; /* a file without `policy`: evaluated in memory, never written to disk or loaded by an agent */

struct pvb_header {
    char magic[8];
    uint32_t format;
    uint32_t language;
    uint64_t file_size;
    uint64_t policy_version;
    uint32_t name;  /* string */
    uint32_t title; /* string */
    uint32_t flags;
    uint32_t n_builtin_attrs;   /* PV_N_BUILTIN of the writer: must equal the reader's */
    uint32_t decide_plan_entry; /* in DECIDE: where operations of a plan start, which skips the direct rules; 0 where
                                   there are none */
    uint32_t pad;
    uint64_t bound; /* claimed worst-case work of one verdict, in steps; the verifier computes its own and compares */
    uint8_t content_hash[32];
    struct pvb_section_entry section[PVB_N_SECTIONS];
};

struct pvb_str {
    uint32_t offset; /* into BYTES */
    uint32_t len;    /* without the NUL */
};

/* Glob tokens: a code point below 0x110000, or: */
#define PVB_GLOB_ONE       0x80000000u /* ?  one code point but '/' */
#define PVB_GLOB_STAR      0x80000001u /* *  any run of code points but '/' */
#define PVB_GLOB_STAR_STAR 0x80000002u /* ** any run */

struct pvb_glob {
    uint32_t first; /* into GLOB_TOKENS */
    uint32_t n;
    uint32_t text; /* string: canonical pattern */
};

struct pvb_set {
    uint32_t name; /* string, or 0 for an inline set */
    uint32_t first_member, n_members;
    uint32_t first_glob, n_globs;
    uint32_t except; /* a set before this one, without `except` of its own, whose elements do not belong; or PVB_NONE */
};

struct pvb_attr {
    uint32_t path; /* string */
    uint8_t type;  /* enum pv_type */
    uint8_t flags; /* PV_ATTR_* */
    uint8_t scope; /* enum pv_scope */
    uint8_t order; /* enum pv_order of a version */
};

struct pvb_window {
    uint32_t name;
    uint32_t zone; /* index in ZONES */
    uint32_t first_alt, n_alts;
};

/* One alternative. Either a reference to another window, evaluated in that window's own zone, or terms that must all
 * hold for the day that the moment belongs to. Terms that are not given hold. `except` takes moments away. */
struct pvb_window_alt {
    uint32_t ref;      /* window, or PVB_NONE */
    uint32_t except;   /* window, or PVB_NONE */
    uint32_t has_days; /* 0 or 1: days are given: bit in day_mask (bit 0 Monday) or one of the nth days */
    uint32_t day_mask;
    uint32_t first_day, n_days;     /* into WINDOW_DAYS */
    uint32_t first_date, n_dates;   /* into WINDOW_DATES */
    uint32_t first_clock, n_clocks; /* into WINDOW_CLOCKS */
};

struct pvb_nth_day {
    int32_t nth;     /* 1..5, or -1 for the last of the month */
    int32_t weekday; /* 0 Monday .. 6 Sunday */
};

struct pvb_date_range {
    int32_t yearly;   /* 0: days since 1970-01-01; 1: month * 100 + day, may wrap over the year's end */
    int32_t from, to; /* both included */
};

struct pvb_clock_range {
    int32_t from, to; /* seconds of the day, from included, to (1..86400) not; from >= to runs past midnight and belongs
                         to the day it starts on */
};

enum { PVB_SOURCE_SELF_SERVICE = 1, PVB_SOURCE_ADMIN_ONLY = 2, PVB_SOURCE_DISABLED = 4, PVB_SOURCE_UNSIGNED = 8 };

struct pvb_source {
    uint32_t name, type, location, credentials, key; /* strings; key is an absolute path */
    int32_t priority;
    uint32_t flags;
};

enum { PVB_COMMAND_PACKAGES = 1, PVB_COMMAND_SOURCES = 2 };

struct pvb_command {
    uint32_t name;
    uint32_t provider; /* string; 0 where it has a `run` template */
    uint32_t flags;    /* PVB_COMMAND_* */
    uint32_t order;    /* enum pv_order of package.version for this command */
    uint32_t account;  /* string; 0 the worker; "root", "requester" or an account's name */
    uint32_t pad;
    int64_t timeout; /* seconds, 0 where none is written */
    uint32_t first_template, n_templates;
    uint32_t first_parameter, n_parameters;
    uint32_t first_env, n_env;
    uint32_t first_required, n_required;
};

enum pvb_parameter_kind { PVB_ARGUMENT, PVB_OPTION, PVB_FLAG };

struct pvb_parameter {
    uint32_t name; /* string, without dashes */
    uint32_t kind;
    uint32_t slot;
    uint32_t set; /* values are limited to this set, or PVB_NONE */
};

enum pvb_template_kind {
    PVB_T_LITERAL,
    PVB_T_SLOT,
    PVB_T_OPTION
}; /* string; slot's value; option as --name or --name=value, nothing when absent */

struct pvb_template {
    uint32_t kind;
    uint32_t ref; /* string or slot */
};

struct pvb_env {
    uint32_t name, value;
};

enum { PVB_RULE_NAMES_LITERALLY = 1, PVB_RULE_LIBRARY = 2, PVB_RULE_WITH_DEPENDENCIES = 4 };

struct pvb_rule {
    uint32_t kind; /* enum pv_rule_kind */
    uint32_t flags;
    uint32_t id; /* string: declared id or built-in's; 0: derived from the debug section as FILE:LINE */
    uint32_t first_clause, n_clauses;  /* all must hold */
    uint32_t first_because, n_because; /* into TEXTS */
    uint32_t first_annotation, n_annotations;
    uint32_t first_duty, n_duties; /* of a require */
};

struct pvb_clause {
    uint32_t kind;                /* enum pv_clause_kind */
    uint32_t text;                /* string: canonical text */
    uint32_t first_insn, n_insns; /* into CLAUSE_CODE */
};

struct pvb_annotation {
    uint32_t name, value;
};

struct pvb_duty {
    uint32_t kind;   /* enum pv_duty_kind */
    uint32_t text;   /* string: canonical subject or windows, account name, notice text */
    int64_t seconds; /* timeout */
    uint32_t clause; /* approval, alert: who satisfies it; window: when it is open; else PVB_NONE */
    uint32_t pad;
};

enum pvb_op {
#define PV_OPCODE(name, mnemonic, shape) PVB_OP_##name,
#include "runtime/opcodes.def"
#undef PV_OPCODE
    PVB_N_OPS
};

struct pvb_insn {
    uint8_t op;  /* enum pvb_op */
    uint8_t cmp; /* enum pv_cmp, and enum pv_order << 4 for versions */
    uint16_t slot;
    uint32_t arg;
    uint32_t jt, jf; /* decide: instruction indices, both greater than this one's */
};

struct pvb_debug_rule {
    uint32_t file, file_len; /* into DEBUG_BYTES */
    uint32_t line, column;   /* from 1; 0 for built-in rules */
};

struct pvb_debug_clause {
    uint32_t line, column, end_line, end_column;
};

#endif
