/*
 * What the writer and the reader of a ledger's database share, so that they cannot disagree: its schema and how the
 * side columns and side tables follow from a record.
 */
#ifndef PV_AGENTD_LEDGER_DB_H
#define PV_AGENTD_LEDGER_DB_H

#include <sqlite3.h>
#include <stdint.h>

#include "agentd/record.h"

/* ledger.sql. */
extern const char pv_ledger_sql[];

/* Statements that bring the side tables of one database up to date. */
struct pv_ledger_side {
    sqlite3_stmt *own, *disown, *begun, *ended;
};

/* Prepares them; an SQLite result. The database has the schema already. Close before the database. */
int pv_ledger_side_open(sqlite3 *db, struct pv_ledger_side *side);
void pv_ledger_side_close(struct pv_ledger_side *side);
/* Applies one record, in a transaction of the caller's. An SQLite result; SQLITE_OK where nothing follows from it. */
int pv_ledger_side_apply(struct pv_ledger_side *side, uint64_t seq, uint64_t time_ns, const struct pv_record *record);

/* The column `changes`. */
int64_t pv_ledger_changes(const struct pv_record *record);

/* Settings for a connection that may meet a hostile file: no schema that runs code, cells checked. An SQLite result. */
int pv_ledger_harden(sqlite3 *db);

#endif
