/*
 * Stanzas of Packages indexes and of dpkg's status file, and the relations in them.
 *
 * These files are hostile text of any size. Splitting them into stanzas is one pass that trusts nothing; a stanza is
 * checked strictly when somebody asks for it, so one damaged entry of a large index harms that entry alone. Nothing
 * here allocates: everything is a piece of the caller's bytes.
 *
 * Format: deb-control(5), Debian policy 5.1 and 7.1.
 */
#ifndef PV_AGENTD_APT_DEB822_H
#define PV_AGENTD_APT_DEB822_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agentd/apt/slice.h"

/* The next stanza: lines up to an empty one (spaces and tabs count as empty). *at starts at 0 and moves on. False at
 * the end. */
bool pv_deb822_next(const char *data, size_t len, size_t *at, struct pv_slice *stanza);

/* Every line is `Name: value` or a continuation, names are printable and without a space, no NUL, at most
 * PV_DEB822_STANZA_MAX bytes. */
enum { PV_DEB822_STANZA_MAX = 4 << 20 };
bool pv_deb822_valid(struct pv_slice stanza);

/* The value of a field (case-insensitive), continuation lines included, spaces around it removed. 1 found, 0 not
 * there, -1 there more than once. The stanza need not be valid. */
int pv_deb822_field(struct pv_slice stanza, const char *name, struct pv_slice *value);

/* The same where the field holds one line; -1 as well when it is longer. */
int pv_deb822_line(struct pv_slice stanza, const char *name, struct pv_slice *value);

/* A decimal number without sign; false when it is anything else or does not fit. */
bool pv_deb822_number(struct pv_slice value, uint64_t *number);
/* 64 hexadecimal digits. */
bool pv_deb822_sha256(struct pv_slice value, uint8_t out[32]);

/* One alternative of a relation field: `name[:arch] [(op version)]`. */
struct pv_relation {
    struct pv_slice name;
    struct pv_slice arch;    /* after the colon: "any" or an architecture; empty otherwise */
    struct pv_slice version; /* empty: any */
    char op[3];              /* "<<", "<=", "=", ">=", ">>", or "" */
    bool or_next;            /* another alternative of the same group follows */
};

/* The next alternative of a relation field's value; *at starts at 0. 1 one more, 0 the end, -1 malformed. */
int pv_relation_next(struct pv_slice value, size_t *at, struct pv_relation *relation);

/* Whether `version` satisfies op and bound, in dpkg's order. An empty op is satisfied by everything. */
bool pv_relation_holds(const struct pv_relation *relation, struct pv_slice version);

#endif
