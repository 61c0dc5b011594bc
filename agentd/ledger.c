/*
 * proviso-ledger: owns the ledger's database and nothing else. It runs under its own account with one socket to the
 * monitor on descriptor 3; ledger.h tells the protocol's rules, wire.h its frames.
 *
 * Shape: drain the socket; every append goes into one open transaction; when the socket is empty, a query comes, or the
 * transaction is large, commit once (WAL, synchronous=FULL: one flush) and acknowledge once. So that
 *   - nothing is acknowledged that is not durable, whatever fails;
 *   - a record enters only if it follows the last one, its hash is that of its content and its body is a record;
 *   - after a failure nothing is appended until the monitor has opened again and learnt where the ledger really ends.
 * All SQL is constant; values are bound.
 */
#include "agentd/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "agentd/chain.h"
#include "agentd/ledger_db.h"
#include "agentd/wire.h"

enum {
    SOCKET = 3,
    BATCH_RECORDS = 512,            /* records in one transaction */
    BATCH_BYTES = 4 * 1024 * 1024,  /* bytes of bodies in one transaction */
    BUSY_MS = 5000,                 /* how long somebody else's lock on the database is waited for */
    CUT = 4096,                     /* bytes of one text in a history row */
    ROW_ROOM = PV_WIRE_MAX - 16384, /* lists of a history row stop here, so that the rest of the frame fits */
};

enum statement {
    S_INSERT,
    S_LAST,
    S_RECORD,
    S_MAX_TIME,
    S_MAX_REQUEST,
    S_COUNT_UNFINISHED,
    S_OWNER,
    S_CHANGES,
    S_HISTORY,
    S_OUTCOME,
    S_UNFINISHED,
    S_OWNED,
    N_STATEMENTS
};

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long statements are several literals */
static const char *const statements[N_STATEMENTS] = {
    [S_INSERT] = "INSERT INTO record (seq, time, kind, uid, request, changes, hash, body) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [S_LAST] = "SELECT seq FROM record ORDER BY seq DESC LIMIT 1",
    [S_RECORD] = "SELECT time, kind, hash, body FROM record WHERE seq = ?1",
    [S_MAX_TIME] = "SELECT max(time) FROM record",
    [S_MAX_REQUEST] = "SELECT max(request) FROM record WHERE request <> 0",
    [S_COUNT_UNFINISHED] = "SELECT count(*) FROM unfinished",
    [S_OWNER] = "SELECT uid, user, seq FROM ownership WHERE root = ?1 AND name = ?2 AND arch = ?3",
    [S_CHANGES] = "SELECT body FROM record WHERE uid = ?1 AND time >= ?2 AND changes > 0",
    /* The last decision of each request; a request without an id is a row of its own. */
    [S_HISTORY] = "SELECT seq, time, request, body FROM record AS r WHERE uid = ?1 AND kind = ?2 AND seq < ?3 "
                  "AND (request = 0 OR NOT EXISTS (SELECT 1 FROM record AS later WHERE later.request = r.request "
                  "AND later.request <> 0 AND later.kind = ?2 AND later.seq > r.seq)) ORDER BY seq DESC",
    [S_OUTCOME] = "SELECT body FROM record WHERE request = ?1 AND request <> 0 AND kind = ?2 ORDER BY seq DESC LIMIT 1",
    [S_UNFINISHED] = "SELECT request, uid, seq, time FROM unfinished ORDER BY seq",
    [S_OWNED] = "SELECT name, arch, uid, user, seq FROM ownership WHERE root = ?1 ORDER BY name, arch",
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

/* An append whose body comes in parts. */
struct partial {
    bool active;
    struct pv_head head; /* of this record: its seq and hash */
    uint64_t time_ns;
    uint32_t kind;
    size_t len, have;
};

struct ledger {
    sqlite3 *db;
    sqlite3_stmt *stmt[N_STATEMENTS];
    struct pv_ledger_side side;
    bool accepting;      /* false before OPEN and after a failed append */
    struct pv_head last; /* appended last, durable or in the open transaction */
    bool in_batch;
    uint64_t batch_first; /* seq of its first record */
    size_t batch_records, batch_bytes;
    struct partial partial;
    uint8_t *body; /* of the record that is being received */
    size_t body_size;
    bool ends; /* the process ends after this frame */
};

static uint8_t in_buffer[PV_WIRE_MAX], out_buffer[PV_WIRE_MAX];

/* ---- Answers ---- */

/* Sends out_buffer; waits for a monitor that is slow. Without a monitor there is nothing left to do. */
static void send_frame(uint32_t type, const struct pv_wbuf *w)
{
    for (;;) {
        int result = pv_frame_send(SOCKET, type, w, NULL, 0);
        if (result == 0)
            return;
        if (result != PV_E_WIRE_AGAIN) {
            fprintf(stderr, "proviso-ledger: cannot answer: %s\n", pv_wire_strerror(result));
            exit(1);
        }
        struct pollfd p = {.fd = SOCKET, .events = POLLOUT};
        poll(&p, 1, -1);
    }
}

static void __attribute__((format(printf, 4, 5)))
send_error(enum pv_ledger_error code, uint64_t tag, uint64_t seq, const char *format, ...)
{
    char sentence[512];
    struct pv_wbuf w;
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    fprintf(stderr, "proviso-ledger: %s\n", sentence);
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u32(&w, code);
    pv_put_u64(&w, tag);
    pv_put_u64(&w, seq);
    pv_put_cstr(&w, sentence);
    send_frame(PV_MSG_LEDGER_ERROR, &w);
}

static void send_rows_end(uint64_t tag, uint32_t rows)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, tag);
    pv_put_u32(&w, rows);
    send_frame(PV_MSG_LEDGER_ROWS_END, &w);
}

/* What an SQLite failure means to the monitor. */
static enum pv_ledger_error error_of(sqlite3 *db, int rc)
{
    int system = db ? sqlite3_system_errno(db) : 0;
    switch (rc & 0xff) {
    case SQLITE_FULL: return PV_LEDGER_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return PV_LEDGER_E_CORRUPT;
    case SQLITE_CANTOPEN: return PV_LEDGER_E_OPEN;
    case SQLITE_IOERR:
        return system == ENOSPC || system == EDQUOT || system == EFBIG ? PV_LEDGER_E_FULL : PV_LEDGER_E_IO;
    default: return PV_LEDGER_E_IO;
    }
}

static const char *cause(sqlite3 *db, int rc)
{
    static char text[256];
    int system = db ? sqlite3_system_errno(db) : 0;
    bool io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_FULL;
    snprintf(text, sizeof text, "%s%s%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), io && system ? ": " : "",
             io && system ? strerror(system) : "");
    return text;
}

/* ---- Opening ---- */

static void close_database(struct ledger *l)
{
    for (int i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(l->stmt[i]);
        l->stmt[i] = NULL;
    }
    pv_ledger_side_close(&l->side);
    sqlite3_close(l->db);
    l->db = NULL;
    l->accepting = l->in_batch = false;
    l->partial.active = false;
    l->last = (struct pv_head){0};
}

static int get_pragma(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(stmt, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Makes the schema in an empty file, in one transaction. */
static int create_schema(sqlite3 *db, const char *root)
{
    char pragmas[96];
    sqlite3_stmt *stmt = NULL;
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %d;", PV_LEDGER_APP_ID,
             PV_LEDGER_SCHEMA);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, pv_ledger_sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "INSERT INTO meta (name, value) VALUES ('root', ?1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, root, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    }
    sqlite3_finalize(stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    return rc;
}

/* Whether the ledger in the file belongs to this root: SQLITE_OK and *same. */
static int check_root(sqlite3 *db, const char *root, bool *same)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name = 'root'", -1, &stmt, NULL);
    *same = false;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(stmt, 0);
        *same = value && strcmp(value, root) == 0;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Reads where the ledger ends and checks that its last record is what its hash says, as far as one record can tell. */
static int read_last(struct ledger *l, bool *good)
{
    sqlite3_stmt *last = l->stmt[S_LAST], *record = l->stmt[S_RECORD];
    struct pv_head prev = {0};
    *good = true;
    l->last = (struct pv_head){0};
    int rc = sqlite3_step(last);
    uint64_t seq = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(last, 0) : 0;
    sqlite3_reset(last);
    if (rc == SQLITE_DONE)
        return SQLITE_OK;
    for (uint64_t at = seq > 1 ? seq - 1 : seq; rc == SQLITE_ROW && at <= seq; at++) {
        sqlite3_bind_int64(record, 1, (sqlite3_int64)at);
        rc = sqlite3_step(record);
        uint8_t hash[PV_CHAIN_HASH];
        bool whole = rc == SQLITE_ROW && sqlite3_column_bytes(record, 2) == PV_CHAIN_HASH;
        if (whole && at == seq) {
            const void *body = sqlite3_column_blob(record, 3);
            pv_chain_hash(&prev, (uint64_t)sqlite3_column_int64(record, 0), (uint32_t)sqlite3_column_int64(record, 1),
                          body, (size_t)sqlite3_column_bytes(record, 3), hash);
            whole = sodium_memcmp(hash, sqlite3_column_blob(record, 2), sizeof hash) == 0;
        }
        if (whole) {
            prev.seq = at;
            memcpy(prev.hash, sqlite3_column_blob(record, 2), PV_CHAIN_HASH);
        }
        sqlite3_reset(record);
        if (!whole && (rc == SQLITE_ROW || rc == SQLITE_DONE)) {
            *good = false;
            return SQLITE_OK;
        }
    }
    l->last = prev;
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int get_number(sqlite3_stmt *stmt, uint64_t *out)
{
    int rc = sqlite3_step(stmt);
    *out = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Opens the file, or makes it. Sends the error itself; true when the database is ready for statements. */
static bool open_database(struct ledger *l, const char *root)
{
    int64_t version = 0, id = 0, tables = 0;
    bool same = true;
    int rc =
        sqlite3_open_v2(PV_LEDGER_FILE, &l->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = pv_ledger_harden(l->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(l->db, BUSY_MS);
    if (rc == SQLITE_OK)
        rc = get_pragma(l->db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = get_pragma(l->db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = get_pragma(l->db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK) {
        send_error(error_of(l->db, rc), 0, 0, "the ledger cannot be opened: %s", cause(l->db, rc));
        return false;
    }
    bool empty = version == 0 && id == 0 && tables == 0;
    if (!empty && id != PV_LEDGER_APP_ID) {
        send_error(PV_LEDGER_E_FOREIGN, 0, 0, "the file %s is not a ledger", PV_LEDGER_FILE);
        return false;
    }
    if (!empty && version > PV_LEDGER_SCHEMA) {
        send_error(PV_LEDGER_E_NEWER, 0, 0,
                   "the ledger was written by a newer version (its schema is %" PRId64 ", this program knows up to %d)",
                   version, PV_LEDGER_SCHEMA);
        return false;
    }
    if (!empty && version < PV_LEDGER_SCHEMA) {
        send_error(PV_LEDGER_E_CORRUPT, 0, 0, "the ledger is damaged: its schema number is %" PRId64, version);
        return false;
    }
    rc = sqlite3_exec(l->db,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216;",
                      NULL, NULL, NULL);
    if (rc == SQLITE_OK && empty)
        rc = create_schema(l->db, root);
    if (rc == SQLITE_OK)
        rc = check_root(l->db, root, &same);
    if (rc != SQLITE_OK) {
        send_error(error_of(l->db, rc), 0, 0, "the ledger cannot be opened: %s", cause(l->db, rc));
        return false;
    }
    if (!same)
        send_error(PV_LEDGER_E_FOREIGN, 0, 0, "the ledger belongs to another root than %s", root);
    return same;
}

static void handle_open(struct ledger *l, struct pv_rbuf *r)
{
    char root[PV_LEDGER_ROOT_MAX + 1];
    uint64_t max_time = 0, max_request = 0, n_unfinished = 0;
    bool good = true;
    if (!pv_get_str_copy(r, root, sizeof root) || !pv_rbuf_done(r) || root[0] != '/') {
        send_error(PV_LEDGER_E_PROTOCOL, 0, 0, "a malformed frame: open");
        l->ends = true;
        return;
    }
    close_database(l);
    if (!open_database(l, root)) {
        l->ends = true;
        return;
    }
    int rc = SQLITE_OK;
    for (int i = 0; i < N_STATEMENTS && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v3(l->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &l->stmt[i], NULL);
    if (rc == SQLITE_OK)
        rc = pv_ledger_side_open(l->db, &l->side);
    if (rc == SQLITE_OK)
        rc = read_last(l, &good);
    if (rc == SQLITE_OK)
        rc = get_number(l->stmt[S_MAX_TIME], &max_time);
    if (rc == SQLITE_OK)
        rc = get_number(l->stmt[S_MAX_REQUEST], &max_request);
    if (rc == SQLITE_OK)
        rc = get_number(l->stmt[S_COUNT_UNFINISHED], &n_unfinished);
    if (rc != SQLITE_OK || !good) {
        /* A schema that lacks what we made is damage, not a mistake of ours. */
        send_error(rc == SQLITE_ERROR || !good ? PV_LEDGER_E_CORRUPT : error_of(l->db, rc), 0, 0,
                   "the ledger is damaged: %s; `proviso audit verify` tells more",
                   good ? cause(l->db, rc) : "its last record was altered");
        l->ends = true;
        return;
    }
    l->accepting = true;
    struct pv_wbuf w;
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, l->last.seq);
    pv_put_raw(&w, l->last.hash, sizeof l->last.hash);
    pv_put_u64(&w, max_time);
    pv_put_u64(&w, max_request);
    pv_put_u32(&w, n_unfinished > UINT32_MAX ? UINT32_MAX : (uint32_t)n_unfinished);
    send_frame(PV_MSG_LEDGER_OPENED, &w);
}

/* ---- Appending ---- */

/* Ends the open transaction and tells the monitor what is durable now. */
static void commit(struct ledger *l)
{
    if (!l->in_batch)
        return;
    l->in_batch = false;
    int rc = sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        char why[256];
        enum pv_ledger_error code = error_of(l->db, rc);
        snprintf(why, sizeof why, "%s", cause(l->db, rc));
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
        l->accepting = false;
        l->partial.active = false;
        send_error(code, 0, l->batch_first, "records from %" PRIu64 " on were not written: %s", l->batch_first, why);
        return;
    }
    struct pv_wbuf w;
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, l->last.seq);
    send_frame(PV_MSG_LEDGER_ACK, &w);
}

/* Refuses an append: what came before it in the transaction is kept, this one and all later ones are not. */
static void refuse(struct ledger *l, enum pv_ledger_error code, uint64_t seq, const char *sentence)
{
    commit(l);
    if (!l->accepting)
        return; /* the commit failed, and said so for these too */
    l->accepting = false;
    l->partial.active = false;
    send_error(code, 0, seq, "record %" PRIu64 " was refused: %s", seq, sentence);
}

/* The database failed in the middle of a transaction: nothing of it is kept. */
static void abandon(struct ledger *l, int rc, uint64_t seq)
{
    char why[256];
    enum pv_ledger_error code = error_of(l->db, rc);
    uint64_t first = l->in_batch ? l->batch_first : seq;
    snprintf(why, sizeof why, "%s", cause(l->db, rc));
    if (!sqlite3_get_autocommit(l->db))
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    l->in_batch = l->accepting = l->partial.active = false;
    send_error(code, 0, first, "records from %" PRIu64 " on were not written: %s", first, why);
}

static int insert(struct ledger *l, const struct partial *p, const struct pv_record *record)
{
    sqlite3_stmt *stmt = l->stmt[S_INSERT];
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)p->head.seq);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)p->time_ns);
    sqlite3_bind_int64(stmt, 3, p->kind);
    sqlite3_bind_int64(stmt, 4, record->uid);
    sqlite3_bind_int64(stmt, 5, (sqlite3_int64)record->request);
    sqlite3_bind_int64(stmt, 6, pv_ledger_changes(record));
    sqlite3_bind_blob(stmt, 7, p->head.hash, sizeof p->head.hash, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 8, l->body, (int)p->len, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (rc != SQLITE_DONE)
        return rc;
    return pv_ledger_side_apply(&l->side, p->head.seq, p->time_ns, record);
}

/* The whole record is in l->body: checks it and puts it into the transaction. */
static void append(struct ledger *l, const struct partial *p)
{
    uint8_t hash[PV_CHAIN_HASH];
    struct pv_record record;
    void *arena;
    pv_chain_hash(&l->last, p->time_ns, p->kind, l->body, p->len, hash);
    if (sodium_memcmp(hash, p->head.hash, sizeof hash) != 0) {
        refuse(l, PV_LEDGER_E_CHAIN, p->head.seq, "its hash is not that of its content after the last record");
        return;
    }
    if (pv_record_decode(p->kind, l->body, p->len, &record, &arena) != 0) {
        refuse(l, PV_LEDGER_E_RECORD, p->head.seq, "its body is not a record of its kind");
        return;
    }
    int rc = SQLITE_OK;
    if (!l->in_batch) {
        rc = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if (rc == SQLITE_OK) {
            l->in_batch = true;
            l->batch_first = p->head.seq;
            l->batch_records = l->batch_bytes = 0;
        }
    }
    if (rc == SQLITE_OK)
        rc = insert(l, p, &record);
    free(arena);
    if (rc != SQLITE_OK) {
        abandon(l, rc, p->head.seq);
        return;
    }
    l->last = p->head;
    l->batch_records++;
    l->batch_bytes += p->len;
    if (l->batch_records >= BATCH_RECORDS || l->batch_bytes >= BATCH_BYTES)
        commit(l);
}

static bool reserve_body(struct ledger *l, size_t len)
{
    if (len <= l->body_size)
        return true;
    uint8_t *body = realloc(l->body, len);
    if (!body)
        return false;
    l->body = body;
    l->body_size = len;
    return true;
}

static void handle_append(struct ledger *l, struct pv_rbuf *r)
{
    struct partial p = {.active = true};
    p.head.seq = pv_get_u64(r);
    p.time_ns = pv_get_u64(r);
    p.kind = pv_get_u32(r);
    pv_get_raw(r, p.head.hash, sizeof p.head.hash);
    p.len = pv_get_u32_max(r, PV_RECORD_MAX);
    const uint8_t *part = pv_get_bytes(r, PV_LEDGER_PART, &p.have);
    bool good = pv_rbuf_done(r) && p.have <= p.len && p.time_ns <= INT64_MAX;
    if (!l->accepting)
        return;
    if (!good || l->partial.active) {
        refuse(l, PV_LEDGER_E_PROTOCOL, p.head.seq, "the frame is malformed");
        return;
    }
    if (p.head.seq != l->last.seq + 1 || p.head.seq > INT64_MAX) {
        refuse(l, PV_LEDGER_E_SEQUENCE, p.head.seq, "it does not follow the last record");
        return;
    }
    if (!reserve_body(l, p.len)) {
        refuse(l, PV_LEDGER_E_IO, p.head.seq, "there is not enough memory");
        return;
    }
    if (p.have)
        memcpy(l->body, part, p.have);
    if (p.have == p.len)
        append(l, &p);
    else
        l->partial = p;
}

static void handle_more(struct ledger *l, struct pv_rbuf *r)
{
    struct partial *p = &l->partial;
    size_t n;
    uint64_t seq = pv_get_u64(r);
    uint32_t offset = pv_get_u32(r);
    const uint8_t *part = pv_get_bytes(r, PV_LEDGER_PART, &n);
    if (!l->accepting)
        return;
    if (!pv_rbuf_done(r) || !p->active || seq != p->head.seq || offset != p->have || n == 0 || n > p->len - p->have) {
        refuse(l, PV_LEDGER_E_PROTOCOL, p->active ? p->head.seq : seq, "a part of it is malformed or out of order");
        return;
    }
    memcpy(l->body + p->have, part, n);
    p->have += n;
    if (p->have == p->len) {
        p->active = false;
        append(l, p);
    }
}

/* ---- Questions ---- */

static void bad_question(uint64_t tag)
{
    send_error(PV_LEDGER_E_PROTOCOL, tag, 0, "a malformed question");
}

static void failed_question(struct ledger *l, uint64_t tag, int rc)
{
    send_error(error_of(l->db, rc), tag, 0, "the ledger cannot be read: %s", cause(l->db, rc));
}

static void put_column(struct pv_wbuf *w, sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    pv_put_str(w, text, text ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

static void handle_owners(struct ledger *l, struct pv_rbuf *r)
{
    struct pv_wbuf w;
    sqlite3_stmt *stmt = l->stmt[S_OWNER];
    size_t root_len;
    uint64_t tag = pv_get_u64(r);
    const char *root = pv_get_str(r, PV_LEDGER_ROOT_MAX, &root_len);
    uint32_t n = pv_get_u32_max(r, PV_LEDGER_OWNERS_MAX);
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, tag);
    pv_put_u32(&w, n);
    for (uint32_t i = 0; i < n; i++) {
        size_t name_len, arch_len;
        const char *name = pv_get_str(r, PV_LEDGER_NAME_MAX, &name_len);
        const char *arch = pv_get_str(r, PV_LEDGER_NAME_MAX, &arch_len);
        if (!root || !name || !arch)
            break;
        sqlite3_bind_text(stmt, 1, root, (int)root_len, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 2, name, (int)name_len, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 3, arch, (int)arch_len, SQLITE_STATIC);
        int rc = sqlite3_step(stmt);
        bool owned = rc == SQLITE_ROW;
        pv_put_bool(&w, owned);
        pv_put_u32(&w, owned ? (uint32_t)sqlite3_column_int64(stmt, 0) : 0);
        if (owned)
            put_column(&w, stmt, 1);
        else
            pv_put_cstr(&w, "");
        pv_put_u64(&w, owned ? (uint64_t)sqlite3_column_int64(stmt, 2) : 0);
        sqlite3_reset(stmt);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            failed_question(l, tag, rc);
            return;
        }
    }
    if (!pv_rbuf_done(r))
        bad_question(tag);
    else if (w.overflow)
        send_error(PV_LEDGER_E_CORRUPT, tag, 0, "the ledger holds owners whose names are too long");
    else
        send_frame(PV_MSG_LEDGER_OWNERS_ARE, &w);
}

/* The column uid finds a decision; whose it is, its body tells: a uid may have been another account's before. 1 when it
 * is this user's, with *record and *arena (to be freed); else 0 with nothing to free, or an SQLite error. */
static int decided_for(sqlite3_stmt *stmt, int column, const char *user, size_t user_len, struct pv_record *record,
                       void **arena, int *rc)
{
    if (pv_record_decode(PV_RECORD_DECISION, sqlite3_column_blob(stmt, column),
                         (size_t)sqlite3_column_bytes(stmt, column), record, arena) != 0) {
        *rc = SQLITE_CORRUPT;
        return 0;
    }
    if (record->decision.user.len == user_len && memcmp(record->decision.user.ptr, user, user_len) == 0)
        return 1;
    free(*arena);
    return 0;
}

static void handle_changes(struct ledger *l, struct pv_rbuf *r)
{
    struct pv_wbuf w;
    sqlite3_stmt *stmt = l->stmt[S_CHANGES];
    struct pv_record record;
    void *arena;
    size_t user_len;
    uint64_t tag = pv_get_u64(r), total = 0;
    uint32_t uid = pv_get_u32(r);
    const char *user = pv_get_str(r, PV_LEDGER_NAME_MAX, &user_len);
    uint64_t since = pv_get_u64(r);
    if (!pv_rbuf_done(r)) {
        bad_question(tag);
        return;
    }
    sqlite3_bind_int64(stmt, 1, uid);
    sqlite3_bind_int64(stmt, 2, since > INT64_MAX ? INT64_MAX : (sqlite3_int64)since);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (decided_for(stmt, 0, user, user_len, &record, &arena, &rc)) {
            total += record.decision.changes; /* 32 bits each: no ledger holds enough to wrap */
            free(arena);
        }
        if (rc != SQLITE_ROW)
            break;
    }
    sqlite3_reset(stmt);
    if (rc != SQLITE_DONE) {
        failed_question(l, tag, rc);
        return;
    }
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, tag);
    pv_put_u64(&w, total);
    send_frame(PV_MSG_LEDGER_CHANGES_ARE, &w);
}

/* Puts a text of at most CUT bytes, cut between characters. */
static void put_cut(struct pv_wbuf *w, struct pv_str text, bool *truncated)
{
    size_t len = text.len;
    if (len > CUT) {
        len = CUT;
        while (len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
            len--;
        *truncated = true;
    }
    pv_put_str(w, text.ptr, len);
}

/* Puts count and entries of as much of a list as leaves room for the rest of the row. Entries are found `stride` bytes
 * apart, each beginning with its text. */
static void put_list(struct pv_wbuf *w, const void *list, uint32_t n, size_t stride, bool *truncated)
{
    size_t count_at = w->len;
    uint32_t written = 0;
    pv_put_u32(w, 0);
    while (written < n && w->len < ROW_ROOM) {
        put_cut(w, *(const struct pv_str *)((const char *)list + written * stride), truncated);
        written++;
    }
    if (written < n)
        *truncated = true;
    struct pv_wbuf patch;
    pv_wbuf_init(&patch, w->data + count_at, 4);
    pv_put_u32(&patch, written);
}

static int put_outcome(struct ledger *l, struct pv_wbuf *w, uint64_t request)
{
    sqlite3_stmt *stmt = l->stmt[S_OUTCOME];
    struct pv_record record = {0};
    void *arena = NULL;
    bool ignored = false;
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)request);
    sqlite3_bind_int64(stmt, 2, PV_RECORD_OUTCOME);
    int rc = sqlite3_step(stmt);
    bool ended = rc == SQLITE_ROW;
    if (ended && pv_record_decode(PV_RECORD_OUTCOME, sqlite3_column_blob(stmt, 0),
                                  (size_t)sqlite3_column_bytes(stmt, 0), &record, &arena) != 0) {
        sqlite3_reset(stmt);
        return SQLITE_CORRUPT;
    }
    const struct pv_record_outcome *o = &record.outcome;
    pv_put_bool(w, ended);
    put_cut(w, o->word, &ignored);
    pv_put_i64(w, o->exit_status);
    pv_put_u32(w, o->signal);
    pv_put_u64(w, o->started_ns);
    pv_put_u64(w, o->ended_ns);
    put_cut(w, o->sentence, &ignored);
    free(arena);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int send_history_row(struct ledger *l, uint64_t tag, sqlite3_stmt *stmt, const struct pv_record_decision *d)
{
    struct pv_wbuf w;
    bool truncated = false;
    uint64_t request = (uint64_t)sqlite3_column_int64(stmt, 2);
    pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
    pv_put_u64(&w, tag);
    pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 0));
    pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 1));
    pv_put_u64(&w, request);
    put_cut(&w, d->verb, &truncated);
    pv_put_bool(&w, d->dry_run);
    put_list(&w, d->args, d->n_args, sizeof *d->args, &truncated);
    pv_put_u32(&w, d->verdict.effect);
    pv_put_bool(&w, d->verdict.is_default);
    _Static_assert(offsetof(struct pv_record_rule, id) == 0, "put_list() reads the id");
    put_list(&w, d->verdict.rules, d->verdict.n_rules, sizeof *d->verdict.rules, &truncated);
    put_list(&w, d->verdict.because, d->verdict.n_because, sizeof *d->verdict.because, &truncated);
    pv_put_bool(&w, truncated);
    int rc = put_outcome(l, &w, request);
    if (rc == SQLITE_OK)
        send_frame(PV_MSG_LEDGER_HISTORY_ROW, &w);
    return rc;
}

static void handle_history(struct ledger *l, struct pv_rbuf *r)
{
    sqlite3_stmt *stmt = l->stmt[S_HISTORY];
    struct pv_record record;
    void *arena;
    size_t user_len;
    uint64_t tag = pv_get_u64(r);
    uint32_t uid = pv_get_u32(r);
    const char *user = pv_get_str(r, PV_LEDGER_NAME_MAX, &user_len);
    uint32_t limit = pv_get_u32_max(r, PV_LEDGER_HISTORY_MAX);
    uint64_t before = pv_get_u64(r);
    uint32_t rows = 0;
    if (!pv_rbuf_done(r)) {
        bad_question(tag);
        return;
    }
    sqlite3_bind_int64(stmt, 1, uid);
    sqlite3_bind_int64(stmt, 2, PV_RECORD_DECISION);
    sqlite3_bind_int64(stmt, 3, before == 0 || before > INT64_MAX ? INT64_MAX : (sqlite3_int64)before);
    int rc = SQLITE_DONE;
    while (rows < limit && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (decided_for(stmt, 3, user, user_len, &record, &arena, &rc)) {
            int sent = send_history_row(l, tag, stmt, &record.decision);
            free(arena);
            rc = sent == SQLITE_OK ? rc : sent;
            rows++;
        }
        if (rc != SQLITE_ROW)
            break;
    }
    if (rc == SQLITE_ROW)
        rc = SQLITE_DONE; /* as many as were asked for */
    sqlite3_reset(stmt);
    if (rc == SQLITE_DONE)
        send_rows_end(tag, rows);
    else
        failed_question(l, tag, rc);
}

static void handle_unfinished(struct ledger *l, struct pv_rbuf *r)
{
    sqlite3_stmt *stmt = l->stmt[S_UNFINISHED];
    struct pv_wbuf w;
    uint64_t tag = pv_get_u64(r);
    uint32_t rows = 0;
    int rc;
    if (!pv_rbuf_done(r)) {
        bad_question(tag);
        return;
    }
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
        pv_put_u64(&w, tag);
        pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 0));
        pv_put_i64(&w, sqlite3_column_int64(stmt, 1));
        pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 2));
        pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 3));
        send_frame(PV_MSG_LEDGER_UNFINISHED_ROW, &w);
        rows++;
    }
    sqlite3_reset(stmt);
    if (rc == SQLITE_DONE)
        send_rows_end(tag, rows);
    else
        failed_question(l, tag, rc);
}

static void handle_owned(struct ledger *l, struct pv_rbuf *r)
{
    sqlite3_stmt *stmt = l->stmt[S_OWNED];
    struct pv_wbuf w;
    size_t root_len;
    uint64_t tag = pv_get_u64(r);
    const char *root = pv_get_str(r, PV_LEDGER_ROOT_MAX, &root_len);
    uint32_t rows = 0;
    int rc;
    if (!pv_rbuf_done(r)) {
        bad_question(tag);
        return;
    }
    sqlite3_bind_text(stmt, 1, root, (int)root_len, SQLITE_STATIC);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        pv_wbuf_init(&w, out_buffer, sizeof out_buffer);
        pv_put_u64(&w, tag);
        put_column(&w, stmt, 0);
        put_column(&w, stmt, 1);
        pv_put_u32(&w, (uint32_t)sqlite3_column_int64(stmt, 2));
        put_column(&w, stmt, 3);
        pv_put_u64(&w, (uint64_t)sqlite3_column_int64(stmt, 4));
        if (w.overflow) {
            rc = SQLITE_CORRUPT;
            break;
        }
        send_frame(PV_MSG_LEDGER_OWNED_ROW, &w);
        rows++;
    }
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (rc == SQLITE_DONE)
        send_rows_end(tag, rows);
    else
        failed_question(l, tag, rc);
}

/* ---- The loop ---- */

static const struct {
    uint32_t type;
    bool ends_batch; /* it must see, or undo, what was appended before it */
    bool needs_open;
    void (*handle)(struct ledger *l, struct pv_rbuf *r);
} handlers[] = {
    {PV_MSG_LEDGER_OPEN, true, false, handle_open},
    {PV_MSG_LEDGER_APPEND, false, false, handle_append},
    {PV_MSG_LEDGER_MORE, false, false, handle_more},
    {PV_MSG_LEDGER_OWNERS, true, true, handle_owners},
    {PV_MSG_LEDGER_CHANGES, true, true, handle_changes},
    {PV_MSG_LEDGER_HISTORY, true, true, handle_history},
    {PV_MSG_LEDGER_UNFINISHED, true, true, handle_unfinished},
    {PV_MSG_LEDGER_OWNED, true, true, handle_owned},
};

static void dispatch(struct ledger *l, uint32_t type, size_t len)
{
    struct pv_rbuf r;
    pv_rbuf_init(&r, in_buffer, len);
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        if (handlers[i].type != type)
            continue;
        if (handlers[i].ends_batch)
            commit(l);
        if (handlers[i].needs_open && !l->db)
            send_error(PV_LEDGER_E_PROTOCOL, pv_get_u64(&r), 0, "a question before the ledger was opened");
        else
            handlers[i].handle(l, &r);
        return;
    }
    commit(l);
    send_error(PV_LEDGER_E_PROTOCOL, 0, 0, "an unknown frame: 0x%" PRIx32, type);
    l->ends = true;
}

/* Serves until the monitor closes the socket; 0, or 1 when it could not go on. */
static int serve(struct ledger *l)
{
    while (!l->ends) {
        uint32_t type;
        size_t len;
        int result = pv_frame_recv(SOCKET, in_buffer, sizeof in_buffer, &type, &len, NULL, 0, NULL);
        if (result == 0) {
            dispatch(l, type, len);
        } else if (result == PV_E_WIRE_AGAIN) {
            commit(l);
            struct pollfd p = {.fd = SOCKET, .events = POLLIN};
            poll(&p, 1, -1);
        } else if (result == PV_E_WIRE_CLOSED) {
            /* Nobody is there to be told, but what was sent is kept. */
            if (l->in_batch)
                sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
            return 0;
        } else {
            commit(l);
            send_error(PV_LEDGER_E_PROTOCOL, 0, 0, "a frame that cannot be read: %s", pv_wire_strerror(result));
            return 1;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct ledger l = {0};
    if (argc != 2 || argv[1][0] != '/') {
        fprintf(stderr, "usage: proviso-ledger DIR (started by provisod)\n");
        return 2;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* A write past RLIMIT_FSIZE has to fail, not to kill. */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    int flags = fcntl(SOCKET, F_GETFL);
    if (flags < 0 || fcntl(SOCKET, F_SETFL, flags | O_NONBLOCK) != 0) {
        fprintf(stderr, "proviso-ledger: descriptor 3 is not the monitor's socket: %s\n", strerror(errno));
        return 2;
    }
    if (chdir(argv[1]) != 0) {
        send_error(PV_LEDGER_E_OPEN, 0, 0, "the ledger's directory %s cannot be entered: %s", argv[1], strerror(errno));
        return 1;
    }
    if (sodium_init() < 0 || sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK) {
        send_error(PV_LEDGER_E_OPEN, 0, 0, "the libraries cannot be started");
        return 1;
    }
    int status = serve(&l);
    close_database(&l);
    free(l.body);
    return status;
}
