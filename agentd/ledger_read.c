/*
 * The reading side of the ledger; see ledger_read.h. No row is trusted: types and lengths are checked on each, hashes
 * are computed again, side tables are derived again in a database in memory by the code that the ledger process uses
 * (ledger_db.c) and compared row by row. SQLite is kept from running anything that a schema could hold.
 */
#include "agentd/ledger_read.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agentd/ledger.h"
#include "agentd/ledger_db.h"

enum {
    LOOK_AHEAD = 64, /* how far from its place a moved record is looked for */
    TRIES = 100000,  /* numbers in a row that are tried where the file cannot be read */
    CHECK_ROWS = 20, /* findings of SQLite's own check that are told */
};

struct pv_ledger_reader {
    sqlite3 *db;
    sqlite3_stmt *get, *next, *last;
    uint8_t *kept; /* a copy of one body, while its neighbours are looked at */
    size_t kept_size;
};

const char *pv_ledger_found_name(enum pv_ledger_found kind)
{
    static const char *const names[PV_N_FOUND] = {
        [PV_FOUND_ALTERED] = "altered",     [PV_FOUND_MISSING] = "missing",       [PV_FOUND_MOVED] = "moved",
        [PV_FOUND_INSERTED] = "inserted",   [PV_FOUND_UNREADABLE] = "unreadable", [PV_FOUND_TRUNCATED] = "truncated",
        [PV_FOUND_REWRITTEN] = "rewritten", [PV_FOUND_COLUMN] = "column",         [PV_FOUND_TABLE] = "table",
        [PV_FOUND_FILE] = "file",           [PV_FOUND_SCHEMA] = "schema",
    };
    return (unsigned)kind < PV_N_FOUND ? names[kind] : "unknown";
}

/* ---- Opening and rows ---- */

static int read_pragma(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    *out = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* "file:PATH?immutable=1" with everything that means something in a URI escaped. NULL without memory. */
static char *immutable_uri(const char *path)
{
    static const char tail[] = "?immutable=1";
    size_t len = strlen(path), at = 0;
    char *uri = malloc(5 + 3 * len + sizeof tail);
    if (!uri)
        return NULL;
    memcpy(uri, "file:", 5);
    at = 5;
    for (size_t i = 0; i < len; i++) {
        if (strchr("%?#", path[i]))
            at += (size_t)sprintf(uri + at, "%%%02x", (unsigned char)path[i]);
        else
            uri[at++] = path[i];
    }
    memcpy(uri + at, tail, sizeof tail);
    return uri;
}

/* A ledger on a read-only file system, or in a directory of somebody else's, has nowhere for SQLite's shared memory. It
 * can be read as it is if there is no log that belongs to it. */
static bool may_read_immutable(const char *path)
{
    struct stat st;
    size_t size = strlen(path) + 5;
    char *wal = malloc(size);
    if (!wal)
        return false;
    snprintf(wal, size, "%s-wal", path);
    bool none = stat(wal, &st) != 0 ? errno == ENOENT : st.st_size == 0;
    free(wal);
    return none;
}

static int open_snapshot(sqlite3 **db, const char *name, int flags)
{
    int64_t ignored;
    int rc = sqlite3_open_v2(name, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX | flags, NULL);
    if (rc == SQLITE_OK)
        rc = pv_ledger_harden(*db);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*db, 5000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*db, "BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = read_pragma(*db, "SELECT count(*) FROM sqlite_schema", &ignored);
    return rc;
}

int pv_ledger_reader_open(const char *path, struct pv_ledger_reader **out, char *why, size_t size)
{
    struct pv_ledger_reader *reader;
    struct stat st;
    int64_t id = 0, version = 0;
    int result = PV_E_NOMEM, rc;
    *out = NULL;
    snprintf(why, size, "not enough memory");
    if (sodium_init() < 0 || !(reader = calloc(1, sizeof *reader)))
        return PV_E_NOMEM;
    if (stat(path, &st) != 0) {
        snprintf(why, size, "%s: %s", path, strerror(errno));
        result = PV_E_IO;
        goto out;
    }
    rc = open_snapshot(&reader->db, path, 0);
    if ((rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY) && may_read_immutable(path)) {
        char *uri = immutable_uri(path);
        if (!uri)
            goto out;
        sqlite3_close(reader->db);
        reader->db = NULL;
        rc = open_snapshot(&reader->db, uri, SQLITE_OPEN_URI);
        free(uri);
    }
    if (rc == SQLITE_OK)
        rc = read_pragma(reader->db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = read_pragma(reader->db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK && version > PV_LEDGER_SCHEMA && id == PV_LEDGER_APP_ID) {
        snprintf(why, size,
                 "%s was written by a newer version (its schema is %" PRId64 ", this program knows up to %d)", path,
                 version, PV_LEDGER_SCHEMA);
        result = PV_E_FORMAT;
        goto out;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(reader->db,
                                "SELECT seq, time, kind, uid, request, changes, hash, body FROM record WHERE seq = ?1",
                                -1, &reader->get, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(reader->db, "SELECT seq FROM record WHERE seq >= ?1 ORDER BY seq LIMIT 1", -1,
                                &reader->next, NULL);
    if (rc == SQLITE_OK)
        rc =
            sqlite3_prepare_v2(reader->db, "SELECT seq FROM record ORDER BY seq DESC LIMIT 1", -1, &reader->last, NULL);
    if (rc == SQLITE_OK && (id != PV_LEDGER_APP_ID || version != PV_LEDGER_SCHEMA)) {
        snprintf(why, size, "%s is damaged: it has our tables and a header that is not ours", path);
        result = PV_E_SYNTAX;
        goto out;
    }
    if (rc != SQLITE_OK) {
        int kind = rc & 0xff;
        bool damaged = kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || kind == SQLITE_ERROR;
        snprintf(why, size, "%s cannot be read%s: %s", path, damaged ? " as a ledger" : "", sqlite3_errmsg(reader->db));
        result = kind == SQLITE_NOMEM ? PV_E_NOMEM : damaged ? PV_E_SYNTAX : PV_E_IO;
        goto out;
    }
    *out = reader;
    why[0] = '\0';
    return 0;
out:
    pv_ledger_reader_close(reader);
    return result;
}

void pv_ledger_reader_close(struct pv_ledger_reader *reader)
{
    if (!reader)
        return;
    sqlite3_finalize(reader->get);
    sqlite3_finalize(reader->next);
    sqlite3_finalize(reader->last);
    sqlite3_close(reader->db);
    free(reader->kept);
    free(reader);
}

int pv_ledger_get(struct pv_ledger_reader *reader, uint64_t seq, struct pv_ledger_row *row)
{
    sqlite3_stmt *stmt = reader->get;
    *row = (struct pv_ledger_row){0};
    sqlite3_reset(stmt);
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)seq);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return PV_E_SYNTAX;
    for (int i = 0; i < 6; i++)
        if (sqlite3_column_type(stmt, i) != SQLITE_INTEGER)
            return PV_E_SYNTAX;
    int64_t time = sqlite3_column_int64(stmt, 1), kind = sqlite3_column_int64(stmt, 2);
    if (sqlite3_column_type(stmt, 6) != SQLITE_BLOB || sqlite3_column_bytes(stmt, 6) != PV_CHAIN_HASH ||
        sqlite3_column_type(stmt, 7) != SQLITE_BLOB || kind < 0 || kind > UINT32_MAX)
        return PV_E_SYNTAX;
    row->seq = seq;
    row->time_ns = (uint64_t)time;
    row->kind = (uint32_t)kind;
    row->uid = sqlite3_column_int64(stmt, 3);
    row->request = (uint64_t)sqlite3_column_int64(stmt, 4);
    row->changes = sqlite3_column_int64(stmt, 5);
    memcpy(row->hash, sqlite3_column_blob(stmt, 6), sizeof row->hash);
    row->body = sqlite3_column_blob(stmt, 7);
    row->len = (size_t)sqlite3_column_bytes(stmt, 7);
    return row->body || row->len == 0 ? 1 : PV_E_SYNTAX;
}

uint64_t pv_ledger_last(struct pv_ledger_reader *reader)
{
    sqlite3_reset(reader->last);
    int64_t seq = sqlite3_step(reader->last) == SQLITE_ROW ? sqlite3_column_int64(reader->last, 0) : 0;
    sqlite3_reset(reader->last);
    return seq > 0 ? (uint64_t)seq : 0;
}

int pv_ledger_next(struct pv_ledger_reader *reader, uint64_t seq, struct pv_ledger_row *row)
{
    for (unsigned failures = 0; seq <= INT64_MAX;) {
        sqlite3_reset(reader->next);
        sqlite3_bind_int64(reader->next, 1, (sqlite3_int64)seq);
        int rc = sqlite3_step(reader->next);
        if (rc == SQLITE_ROW)
            seq = (uint64_t)sqlite3_column_int64(reader->next, 0);
        sqlite3_reset(reader->next);
        if (rc == SQLITE_DONE)
            break;
        if (pv_ledger_get(reader, seq, row) == 1)
            return 1;
        seq++;
        if (rc == SQLITE_ROW)
            failures = 0;
        else if (++failures > 100000)
            break;
    }
    *row = (struct pv_ledger_row){0};
    return 0;
}

/* ---- Verifying ---- */

struct verifier {
    struct pv_ledger_reader *reader;
    const struct pv_ledger_anchor *anchors;
    size_t n_anchors;
    void (*found)(void *context, const struct pv_ledger_finding *finding);
    void *context;
    struct pv_ledger_summary *summary;
    sqlite3 *derived; /* in memory: what side tables the records give */
    struct pv_ledger_side side;
    uint8_t prev[PV_CHAIN_HASH]; /* true hash of the record before */
    bool prev_known;
    int64_t shift; /* row seq + shift is the number that the record was chained with */
    bool *reached; /* per anchor: its record was met */
    /* A run of records that are missing, or unreadable, told as one. */
    enum pv_ledger_found run;
    uint64_t run_from, run_to; /* run_from 0: none */
};

static void __attribute__((format(printf, 5, 6)))
report(struct verifier *v, enum pv_ledger_found kind, uint64_t seq, uint64_t last, const char *format, ...)
{
    struct pv_ledger_finding finding = {.kind = kind, .seq = seq, .last = last};
    va_list args;
    va_start(args, format);
    vsnprintf(finding.text, sizeof finding.text, format, args);
    va_end(args);
    v->summary->n_findings++;
    v->found(v->context, &finding);
}

static void end_run(struct verifier *v, uint64_t next)
{
    uint64_t from = v->run_from, to = v->run_to;
    char unproven[96] = "";
    if (from == 0)
        return;
    v->run_from = 0;
    if (next)
        snprintf(unproven, sizeof unproven, " (without %s record %" PRIu64 " cannot be proven)",
                 from == to ? "it" : "them", next);
    const char *what = v->run == PV_FOUND_MISSING ? "missing" : "unreadable: the file is damaged there";
    if (from == to)
        report(v, v->run, from, to, "record %" PRIu64 " is %s%s", from, what, unproven);
    else
        report(v, v->run, from, to, "records %" PRIu64 " to %" PRIu64 " are %s%s", from, to, what, unproven);
}

static void add_to_run(struct verifier *v, enum pv_ledger_found kind, uint64_t from, uint64_t to)
{
    if (v->run_from && v->run != kind)
        end_run(v, 0);
    if (!v->run_from)
        v->run_from = from;
    v->run = kind;
    v->run_to = to;
    v->prev_known = false;
}

static void hash_row(const uint8_t prev[PV_CHAIN_HASH], uint64_t seq, const struct pv_ledger_row *row,
                     uint8_t out[PV_CHAIN_HASH])
{
    pv_chain_hash_at(prev, seq, row->time_ns, row->kind, row->body, row->len, out);
}

static bool fits(const uint8_t prev[PV_CHAIN_HASH], uint64_t seq, const struct pv_ledger_row *row)
{
    uint8_t hash[PV_CHAIN_HASH];
    hash_row(prev, seq, row, hash);
    return memcmp(hash, row->hash, sizeof hash) == 0;
}

/*
 * The row does not fit where it stands, after a record whose hash is known. Finds out what was done, tells it, and
 * leaves v->prev and v->shift so that the rest of the ledger is judged by itself. The row's body is the reader's copy,
 * which looking at other rows leaves alone.
 */
static void explain_misfit(struct verifier *v, const struct pv_ledger_row *row)
{
    uint64_t seq = row->seq, number = seq + (uint64_t)v->shift;
    uint8_t computed[PV_CHAIN_HASH], stored[PV_CHAIN_HASH];
    struct pv_ledger_row other, after;
    hash_row(v->prev, number, row, computed);
    memcpy(stored, row->hash, sizeof stored);

    bool has_next = pv_ledger_get(v->reader, seq + 1, &other) == 1;
    if (has_next && fits(computed, number + 1, &other)) {
        report(v, PV_FOUND_ALTERED, seq, seq, "record %" PRIu64 " was altered: its content is whole, its hash is not",
               seq);
        memcpy(v->prev, computed, sizeof v->prev);
        return;
    }
    for (uint64_t k = 1; has_next && k <= LOOK_AHEAD; k++)
        if (fits(stored, number + k + 1, &other)) {
            report(v, PV_FOUND_MISSING, seq, seq + k - 1,
                   k == 1 ? "record %" PRIu64 " is missing: it was taken out and the later ones were renumbered"
                          : "records from %" PRIu64
                            " on are missing: they were taken out and the later ones renumbered",
                   seq);
            v->shift += (int64_t)k;
            memcpy(v->prev, stored, sizeof v->prev);
            return;
        }
    for (int64_t k = -LOOK_AHEAD; k <= LOOK_AHEAD; k++) {
        uint64_t at = seq + (uint64_t)k;
        if (k == 0 || (k < 0 && seq <= (uint64_t)-k) || pv_ledger_get(v->reader, at, &other) != 1 ||
            !fits(v->prev, number, &other))
            continue;
        uint8_t true_hash[PV_CHAIN_HASH];
        memcpy(true_hash, other.hash, sizeof true_hash);
        if (k == 1 && pv_ledger_get(v->reader, seq + 2, &after) == 1 && fits(true_hash, number + 1, &after)) {
            report(v, PV_FOUND_INSERTED, seq, seq, "record %" PRIu64 " was put in: the ones after it follow without it",
                   seq);
            v->shift -= 1; /* and prev stays: the next row follows it */
            return;
        }
        report(v, PV_FOUND_MOVED, seq, seq,
               "record %" PRIu64 " stands at %" PRIu64 ", and another in its place: the records were reordered", seq,
               at);
        memcpy(v->prev, true_hash, sizeof v->prev);
        return;
    }
    if (seq > 1)
        report(v, PV_FOUND_ALTERED, seq, seq,
               "record %" PRIu64 " was altered: its content does not fit its hash (or record %" PRIu64
               " was replaced together with its own hash)",
               seq, seq - 1);
    else
        report(v, PV_FOUND_ALTERED, seq, seq, "record %" PRIu64 " was altered: its content does not fit its hash", seq);
    memcpy(v->prev, stored, sizeof v->prev);
}

static void check_anchors_at(struct verifier *v, uint64_t number)
{
    for (size_t i = 0; i < v->n_anchors; i++) {
        const struct pv_ledger_anchor *a = &v->anchors[i];
        if (a->head.seq != number)
            continue;
        v->reached[i] = true;
        if (memcmp(a->head.hash, v->prev, sizeof v->prev) != 0)
            report(v, PV_FOUND_REWRITTEN, number, number,
                   "record %" PRIu64 " has another hash than %s says: it or records before it were rewritten", number,
                   a->name);
    }
}

static void check_columns(struct verifier *v, const struct pv_ledger_row *row, const struct pv_record *record)
{
    const struct {
        const char *name;
        int64_t column, body;
    } all[] = {
        {"uid", row->uid, record->uid},
        {"request", (int64_t)row->request, (int64_t)record->request},
        {"changes", row->changes, pv_ledger_changes(record)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].column != all[i].body)
            report(v, PV_FOUND_COLUMN, row->seq, row->seq,
                   "record %" PRIu64 ": its column %s was altered: it says %" PRId64 ", the record %" PRId64, row->seq,
                   all[i].name, all[i].column, all[i].body);
}

static int keep_body(struct pv_ledger_reader *reader, struct pv_ledger_row *row)
{
    if (row->len > reader->kept_size) {
        uint8_t *kept = realloc(reader->kept, row->len);
        if (!kept)
            return PV_E_NOMEM;
        reader->kept = kept;
        reader->kept_size = row->len;
    }
    if (row->len)
        memcpy(reader->kept, row->body, row->len);
    row->body = row->len ? reader->kept : NULL;
    return 0;
}

static int check_row(struct verifier *v, struct pv_ledger_row *row)
{
    struct pv_record record;
    void *arena;
    int result = keep_body(v->reader, row);
    if (result != 0)
        return result;
    v->summary->n_records++;
    if (v->summary->n_records == 1)
        v->summary->first_time_ns = row->time_ns;
    v->summary->last_time_ns = row->time_ns;

    uint64_t number = row->seq + (uint64_t)v->shift;
    bool fine = !v->prev_known || fits(v->prev, number, row);
    if (fine)
        memcpy(v->prev, row->hash, sizeof v->prev);
    else
        explain_misfit(v, row);
    v->prev_known = true;
    number = row->seq + (uint64_t)v->shift;
    check_anchors_at(v, number);
    v->summary->last.seq = number;
    memcpy(v->summary->last.hash, v->prev, sizeof v->prev);

    result = pv_record_decode(row->kind, row->body, row->len, &record, &arena);
    if (result == PV_E_NOMEM)
        return result;
    if (result != 0) {
        if (fine)
            report(v, PV_FOUND_ALTERED, row->seq, row->seq, "record %" PRIu64 " holds nothing that is a record",
                   row->seq);
        return 0;
    }
    if (fine)
        check_columns(v, row, &record);
    int rc = pv_ledger_side_apply(&v->side, row->seq, row->time_ns, &record);
    free(arena);
    return rc == SQLITE_OK ? 0 : PV_E_NOMEM;
}

/* Where the next record is, `seq` or later: 1 and *next, 0 none, negative: the file cannot tell. */
static int find_next(struct pv_ledger_reader *reader, uint64_t seq, uint64_t *next)
{
    sqlite3_reset(reader->next);
    sqlite3_bind_int64(reader->next, 1, (sqlite3_int64)seq);
    int rc = sqlite3_step(reader->next);
    *next = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(reader->next, 0) : 0;
    sqlite3_reset(reader->next);
    return rc == SQLITE_ROW && *next >= seq ? 1 : rc == SQLITE_DONE ? 0 : PV_E_SYNTAX;
}

/* Tells the anchors that the ledger did not come to. `end` is the last number at which anything stands. */
static void check_anchors_beyond(struct verifier *v, uint64_t end)
{
    for (size_t i = 0; i < v->n_anchors; i++) {
        const struct pv_ledger_anchor *a = &v->anchors[i];
        if (!v->reached[i] && a->head.seq > end)
            report(v, PV_FOUND_TRUNCATED, end + 1, a->head.seq, "the ledger ends at %" PRIu64 " but %s says %" PRIu64,
                   end, a->name, a->head.seq);
    }
}

/*
 * Every number from 1 on. Gaps are jumped over, so that a forged number costs nothing; where the file is damaged, each
 * number is tried, up to what is known to have been there, TRIES in a row.
 */
static int check_records(struct verifier *v)
{
    uint64_t known = pv_ledger_last(v->reader), end = 0, tries = 0;
    for (size_t i = 0; i < v->n_anchors; i++)
        if (v->anchors[i].head.seq > known)
            known = v->anchors[i].head.seq;
    v->prev_known = true;
    for (uint64_t seq = 1; seq <= INT64_MAX;) {
        struct pv_ledger_row row;
        uint64_t next = 0;
        int result = pv_ledger_get(v->reader, seq, &row);
        if (result == 1) {
            end_run(v, seq);
            result = check_row(v, &row);
            if (result != 0)
                return result;
            end = v->summary->last.seq;
            tries = 0;
            seq++;
            continue;
        }
        int jump = result == 0 ? find_next(v->reader, seq, &next) : PV_E_SYNTAX;
        if (jump == 0)
            break; /* the end: what was cut off, the anchors tell */
        if (jump == 1 && next > seq) {
            add_to_run(v, PV_FOUND_MISSING, seq, next - 1);
            seq = next;
            tries = 0;
            continue;
        }
        if (seq > known || ++tries > TRIES)
            break;
        add_to_run(v, PV_FOUND_UNREADABLE, seq, seq);
        end = seq++;
    }
    end_run(v, 0);
    check_anchors_beyond(v, end);
    return 0;
}

/* Rows that no number leads to: before the first record, or counted twice. */
static void check_strays(struct verifier *v)
{
    int64_t before = 0;
    if (read_pragma(v->reader->db, "SELECT count(*) FROM record WHERE seq < 1", &before) == SQLITE_OK && before > 0)
        report(v, PV_FOUND_INSERTED, 0, 0, "%" PRId64 " record%s before the first one", before,
               before == 1 ? " stands" : "s stand");
}

/* ---- Side tables ---- */

/* How the tables are compared: rows of `list` in one database are looked up in the other by their key. */
struct table {
    const char *name;
    const char *list, *lookup;
    int n_key, n_columns; /* the last columns but key are values; the last one is the granting record */
};

static const struct table side_tables[] = {
    {"ownership", "SELECT root, name, arch, uid, user, seq FROM ownership",
     "SELECT root, name, arch, uid, user, seq FROM ownership WHERE root = ?1 AND name = ?2 AND arch = ?3", 3, 6},
    {"unfinished", "SELECT request, uid, time, seq FROM unfinished",
     "SELECT request, uid, time, seq FROM unfinished WHERE request = ?1", 1, 4},
};

static bool same_value(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
    if (sqlite3_column_type(a, column) != sqlite3_column_type(b, column))
        return false;
    int len = sqlite3_column_bytes(a, column);
    const void *x = sqlite3_column_blob(a, column), *y = sqlite3_column_blob(b, column);
    return len == sqlite3_column_bytes(b, column) && (len == 0 || (x && y && memcmp(x, y, (size_t)len) == 0));
}

/* A row's key and values for a sentence, escaped. */
static void describe(sqlite3_stmt *stmt, const struct table *t, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < t->n_columns - 1 && at + 16 < size; i++) {
        const char *text = (const char *)sqlite3_column_text(stmt, i);
        char shown[80];
        pv_escape(shown, sizeof shown, text ? text : "", (size_t)sqlite3_column_bytes(stmt, i));
        int n = snprintf(out + at, size - at, "%s%s=%s", i ? " " : "", sqlite3_column_name(stmt, i), shown);
        at += n > 0 ? (size_t)n : 0;
    }
}

/* Looks every row of `from` up in `to`. `forged` tells which way: rows of the file without a record, or the reverse. */
static void compare_table(struct verifier *v, const struct table *t, sqlite3 *from, sqlite3 *to, bool forged)
{
    sqlite3_stmt *list = NULL, *lookup = NULL;
    char what[400];
    int rc = sqlite3_prepare_v2(from, t->list, -1, &list, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(to, t->lookup, -1, &lookup, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        for (int i = 0; i < t->n_key; i++)
            sqlite3_bind_value(lookup, i + 1, sqlite3_column_value(list, i));
        int got = sqlite3_step(lookup);
        int64_t seq = sqlite3_column_int64(list, t->n_columns - 1);
        rc = SQLITE_OK;
        if (got == SQLITE_DONE) {
            describe(list, t, what, sizeof what);
            if (forged)
                report(v, PV_FOUND_TABLE, 0, 0, "the table %s was altered: no record gives the row %s", t->name, what);
            else
                report(v, PV_FOUND_TABLE, (uint64_t)seq, (uint64_t)seq,
                       "the table %s was altered: record %" PRId64 " gives a row that is not there: %s", t->name, seq,
                       what);
        } else if (got == SQLITE_ROW && forged) {
            bool same = true;
            for (int i = t->n_key; i < t->n_columns; i++)
                same = same && same_value(list, lookup, i);
            int64_t true_seq = sqlite3_column_int64(lookup, t->n_columns - 1);
            describe(list, t, what, sizeof what);
            if (!same)
                report(v, PV_FOUND_TABLE, (uint64_t)true_seq, (uint64_t)true_seq,
                       "the table %s was altered: the row %s is not what record %" PRId64 " says", t->name, what,
                       true_seq);
        } else if (got != SQLITE_ROW) {
            rc = got;
        }
        sqlite3_reset(lookup);
    }
    if (rc != SQLITE_DONE)
        report(v, PV_FOUND_FILE, 0, 0, "the table %s cannot be read: %s", t->name, sqlite3_errstr(rc));
    sqlite3_finalize(list);
    sqlite3_finalize(lookup);
}

/* ---- Schema and file ---- */

static bool next_object(sqlite3_stmt *stmt, bool *failed)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        *failed = true;
    return rc == SQLITE_ROW;
}

/* The file's schema must be exactly ours: a trigger, a view or another column could show something else. */
static void check_schema(struct verifier *v)
{
    static const char sql[] = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' "
                              "ORDER BY type, name, tbl_name, sql";
    sqlite3_stmt *theirs = NULL, *ours = NULL;
    bool failed = sqlite3_prepare_v2(v->reader->db, sql, -1, &theirs, NULL) != SQLITE_OK ||
                  sqlite3_prepare_v2(v->derived, sql, -1, &ours, NULL) != SQLITE_OK;
    bool same = true, more = !failed;
    while (more && same) {
        bool a = next_object(theirs, &failed), b = next_object(ours, &failed);
        more = a && b;
        same = a == b;
        for (int i = 0; more && i < 4; i++)
            same = same && same_value(theirs, ours, i);
    }
    sqlite3_finalize(theirs);
    sqlite3_finalize(ours);
    if (failed)
        report(v, PV_FOUND_SCHEMA, 0, 0, "the database's list of tables cannot be read");
    else if (!same)
        report(v, PV_FOUND_SCHEMA, 0, 0, "the database's tables are not those that a ledger has");
}

static void check_file(struct verifier *v)
{
    sqlite3_stmt *stmt = NULL;
    char pragma[48], shown[480];
    snprintf(pragma, sizeof pragma, "PRAGMA integrity_check(%d)", CHECK_ROWS);
    int rc = sqlite3_prepare_v2(v->reader->db, pragma, -1, &stmt, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        rc = SQLITE_OK;
        if (text && strcmp(text, "ok") == 0)
            continue;
        pv_escape(shown, sizeof shown, text ? text : "", text ? strlen(text) : 0);
        report(v, PV_FOUND_FILE, 0, 0, "the database file is damaged: %s", shown);
    }
    if (rc != SQLITE_DONE)
        report(v, PV_FOUND_FILE, 0, 0, "the database file is damaged: %s", sqlite3_errstr(rc));
    sqlite3_finalize(stmt);
}

int pv_ledger_verify(struct pv_ledger_reader *reader, const struct pv_ledger_anchor *anchors, size_t n_anchors,
                     void (*found)(void *context, const struct pv_ledger_finding *finding), void *context,
                     struct pv_ledger_summary *summary)
{
    struct verifier v = {.reader = reader,
                         .anchors = anchors,
                         .n_anchors = n_anchors,
                         .found = found,
                         .context = context,
                         .summary = summary};
    int result = PV_E_NOMEM;
    *summary = (struct pv_ledger_summary){0};
    v.reached = calloc(n_anchors ? n_anchors : 1, sizeof *v.reached);
    if (!v.reached || sqlite3_open_v2(":memory:", &v.derived, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
        sqlite3_exec(v.derived, pv_ledger_sql, NULL, NULL, NULL) || pv_ledger_side_open(v.derived, &v.side))
        goto out;
    /* The records first: they are what a person asks about. One transaction in memory, for speed alone. */
    sqlite3_exec(v.derived, "BEGIN", NULL, NULL, NULL);
    result = check_records(&v);
    sqlite3_exec(v.derived, "COMMIT", NULL, NULL, NULL);
    if (result != 0)
        goto out;
    check_strays(&v);
    for (size_t i = 0; i < sizeof side_tables / sizeof *side_tables; i++) {
        compare_table(&v, &side_tables[i], reader->db, v.derived, true);
        compare_table(&v, &side_tables[i], v.derived, reader->db, false);
    }
    check_schema(&v);
    check_file(&v);
out:
    pv_ledger_side_close(&v.side);
    sqlite3_close(v.derived);
    free(v.reached);
    return result;
}
