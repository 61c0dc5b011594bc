/*
 * The derivation of side columns and side tables from records; see ledger_db.h. The ledger process applies it as it
 * appends, the verifier applies it to a database in memory and compares the two.
 */
#include "agentd/ledger_db.h"

#include <stddef.h>

int pv_ledger_side_open(sqlite3 *db, struct pv_ledger_side *side)
{
    const struct {
        sqlite3_stmt **stmt;
        const char *sql;
    } all[] = {
        {&side->own, "INSERT INTO ownership (root, name, arch, uid, user, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                     "ON CONFLICT DO UPDATE SET uid = excluded.uid, user = excluded.user, seq = excluded.seq"},
        {&side->disown, "DELETE FROM ownership WHERE root = ?1 AND name = ?2 AND arch = ?3 AND uid = ?4 AND user = ?5"},
        {&side->begun, "INSERT INTO unfinished (request, uid, seq, time) VALUES (?1, ?2, ?3, ?4) "
                       "ON CONFLICT DO UPDATE SET uid = excluded.uid, seq = excluded.seq, time = excluded.time"},
        {&side->ended, "DELETE FROM unfinished WHERE request = ?1"},
    };
    *side = (struct pv_ledger_side){0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int rc = sqlite3_prepare_v3(db, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT, all[i].stmt, NULL);
        if (rc != SQLITE_OK) {
            pv_ledger_side_close(side);
            return rc;
        }
    }
    return SQLITE_OK;
}

void pv_ledger_side_close(struct pv_ledger_side *side)
{
    sqlite3_finalize(side->own);
    sqlite3_finalize(side->disown);
    sqlite3_finalize(side->begun);
    sqlite3_finalize(side->ended);
    *side = (struct pv_ledger_side){0};
}

static void bind_text(sqlite3_stmt *stmt, int index, struct pv_str text)
{
    sqlite3_bind_text(stmt, index, text.ptr, (int)text.len, SQLITE_STATIC);
}

/* Every parameter of these statements is bound on each use; a binding that failed makes the step fail on NOT NULL. */
static int finish(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int pv_ledger_side_apply(struct pv_ledger_side *side, uint64_t seq, uint64_t time_ns, const struct pv_record *record)
{
    if (record->kind == PV_RECORD_OWN) {
        const struct pv_record_own *own = &record->own;
        sqlite3_stmt *stmt = own->granted ? side->own : side->disown;
        bind_text(stmt, 1, own->root);
        bind_text(stmt, 2, own->package);
        bind_text(stmt, 3, own->arch);
        sqlite3_bind_int64(stmt, 4, record->uid);
        bind_text(stmt, 5, own->user);
        if (own->granted)
            sqlite3_bind_int64(stmt, 6, (sqlite3_int64)seq);
        return finish(stmt);
    }
    if (record->kind == PV_RECORD_DECISION && record->decision.runs && record->request) {
        sqlite3_bind_int64(side->begun, 1, (sqlite3_int64)record->request);
        sqlite3_bind_int64(side->begun, 2, record->uid);
        sqlite3_bind_int64(side->begun, 3, (sqlite3_int64)seq);
        sqlite3_bind_int64(side->begun, 4, (sqlite3_int64)time_ns);
        return finish(side->begun);
    }
    if (record->kind == PV_RECORD_OUTCOME && record->request) {
        sqlite3_bind_int64(side->ended, 1, (sqlite3_int64)record->request);
        return finish(side->ended);
    }
    return SQLITE_OK;
}

int64_t pv_ledger_changes(const struct pv_record *record)
{
    return record->kind == PV_RECORD_DECISION ? record->decision.changes : 0;
}

int pv_ledger_harden(sqlite3 *db)
{
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;", NULL,
                          NULL, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 2 * PV_RECORD_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    return rc;
}
