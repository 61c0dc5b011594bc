/*
 * The chain over the ledger's records, and the head that the monitor keeps where only root writes.
 *
 *   hash(n) = SHA-256("proviso-ledger-1" || hash(n-1) || u64 n || u64 time || u32 kind || body)
 *
 * numbers little-endian, time in nanoseconds since 1970-01-01 UTC, hash(0) all zero, n from 1. So a record cannot be
 * altered, moved, put in or taken out without all later hashes changing, and the last one is in the head file, in
 * exports and in anchors. libsodium only; linked by the monitor, the ledger and readers.
 */
#ifndef PV_AGENTD_CHAIN_H
#define PV_AGENTD_CHAIN_H

#include <stddef.h>
#include <stdint.h>

enum {
    PV_CHAIN_HASH = 32,  /* bytes */
    PV_HEAD_TEXT = 108,  /* bytes of a head file: always the same, so that it is replaced by one write in place */
    PV_ANCHOR_TEXT = 86, /* SEQ:HASH at its longest, with the terminator */
};

/* A point of the chain: record seq has this hash. {0, zeros} is the empty ledger. */
struct pv_head {
    uint64_t seq;
    uint8_t hash[PV_CHAIN_HASH];
};

/* The hash of record prev->seq + 1. `out` may be prev->hash itself. */
void pv_chain_hash(const struct pv_head *prev, uint64_t time_ns, uint32_t kind, const void *body, size_t len,
                   uint8_t out[PV_CHAIN_HASH]);
/* The same for a record of any number after any hash: for readers that look for records out of place. */
void pv_chain_hash_at(const uint8_t prev[PV_CHAIN_HASH], uint64_t seq, uint64_t time_ns, uint32_t kind,
                      const void *body, size_t len, uint8_t out[PV_CHAIN_HASH]);

/*
 * The head file: one line, "proviso-ledger-head 1 SEQ HASH\n", SEQ as 20 digits, HASH as 64 lower-case hexadecimal
 * ones. It is written after the ledger has acknowledged, by one pwrite() at 0 of all PV_HEAD_TEXT bytes, and need not
 * be flushed: behind the database is harmless, ahead of it is what it is there to find. text is not terminated.
 */
void pv_head_format(const struct pv_head *head, char text[PV_HEAD_TEXT]);
/* Exactly PV_HEAD_TEXT bytes of that form. 0 or PV_E_SYNTAX. */
int pv_head_parse(const char *text, size_t len, struct pv_head *out);

/* "SEQ:HASH", for people: what `audit verify --anchor` takes. Terminated. */
void pv_anchor_format(const struct pv_head *head, char text[PV_ANCHOR_TEXT]);
int pv_anchor_parse(const char *text, struct pv_head *out);

#endif
