/*
 * Reading a ledger: iterate, verify, export. For operators' tools and tests; read-only, and made for files that
 * somebody has tampered with: every record is looked up by itself, so that a damaged page costs the records on it and
 * no others.
 *
 * What `verify` proves is that the records are those that the monitor chained, without a gap from the first to the last
 * one; that nothing was cut off the end it can tell only against a head (the monitor's file) or an anchor kept
 * elsewhere.
 *
 * Needs sqlite3, libsodium and, for JSON, jansson.
 */
#ifndef PV_AGENTD_LEDGER_READ_H
#define PV_AGENTD_LEDGER_READ_H

#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "agentd/chain.h"
#include "agentd/record.h"

struct pv_ledger_reader;

/* One row as it stands in the database; body and hash are valid until the next call with the same reader. */
struct pv_ledger_row {
    uint64_t seq, time_ns;
    uint32_t kind;
    int64_t uid;
    uint64_t request;
    int64_t changes;
    uint8_t hash[PV_CHAIN_HASH];
    const void *body;
    size_t len;
};

enum pv_ledger_found {
    PV_FOUND_ALTERED,    /* a record's content or hash is not what was chained */
    PV_FOUND_MISSING,    /* records that should be there are not */
    PV_FOUND_MOVED,      /* a record stands in another one's place */
    PV_FOUND_INSERTED,   /* a record was put in */
    PV_FOUND_UNREADABLE, /* the file is damaged where these records are */
    PV_FOUND_TRUNCATED,  /* the ledger ends before the head or an anchor */
    PV_FOUND_REWRITTEN,  /* the chain is another one than the head or an anchor says */
    PV_FOUND_COLUMN,     /* a side column disagrees with the record */
    PV_FOUND_TABLE,      /* ownership, or the table of unfinished requests, disagrees with the records */
    PV_FOUND_FILE,       /* SQLite's own check of the file */
    PV_FOUND_SCHEMA,     /* tables that are not ours, or ours changed */
    PV_N_FOUND
};

struct pv_ledger_finding {
    enum pv_ledger_found kind;
    uint64_t seq, last; /* the records it is about: from seq to last; 0, 0 where it names none */
    char text[640];     /* one sentence, escaped */
};
const char *pv_ledger_found_name(enum pv_ledger_found kind);

/* A point of the chain that is known from elsewhere. */
struct pv_ledger_anchor {
    struct pv_head head;
    const char *name; /* in sentences: "the head", "the anchor" */
};

struct pv_ledger_summary {
    uint64_t n_records; /* that could be read */
    uint64_t n_findings;
    struct pv_head last; /* where the ledger ends, {0} when it is empty */
    uint64_t first_time_ns, last_time_ns;
};

/*
 * Opens a ledger's database read-only and holds one snapshot of it until pv_ledger_reader_close(): what the agent
 * appends meanwhile is not seen, so a head must be read before. 0; PV_E_IO (not there, not allowed); PV_E_FORMAT (not a
 * ledger, or a newer one); PV_E_SYNTAX (damaged so much that nothing can be read). why[size] then holds the sentence.
 */
int pv_ledger_reader_open(const char *path, struct pv_ledger_reader **out, char *why, size_t size);
void pv_ledger_reader_close(struct pv_ledger_reader *reader);

/* The record `seq`. 1 found, 0 not there, PV_E_SYNTAX damaged (a page that cannot be read, a column of another type).
 */
int pv_ledger_get(struct pv_ledger_reader *reader, uint64_t seq, struct pv_ledger_row *row);
/* The first readable record from `seq` on, in order; for display, which may skip what cannot be read. 1, 0 at the end.
 */
int pv_ledger_next(struct pv_ledger_reader *reader, uint64_t seq, struct pv_ledger_row *row);
/* The highest sequence; 0 when empty. As far as the file can be read. */
uint64_t pv_ledger_last(struct pv_ledger_reader *reader);

/*
 * Checks everything: each record against the chain, side columns and tables against the records, the end against the
 * anchors, the schema, the file. Calls `found` for each finding, in the order of records as far as they have one.
 * 0 when it could be carried out, whatever was found; PV_E_NOMEM.
 */
int pv_ledger_verify(struct pv_ledger_reader *reader, const struct pv_ledger_anchor *anchors, size_t n_anchors,
                     void (*found)(void *context, const struct pv_ledger_finding *finding), void *context,
                     struct pv_ledger_summary *summary);

/* ---- ledger_json.c ---- */

/*
 * One record as an object of schema proviso/record/1 (docs/ledger.md), with each operation's request in the form that
 * `proviso eval` reads. A body that is not a record gives "malformed": true and the body in base64. A new reference, or
 * NULL without memory.
 */
json_t *pv_ledger_json(const struct pv_ledger_row *row);

#endif
