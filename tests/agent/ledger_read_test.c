/*
 * Verification of a ledger that somebody has tampered with. Each attack is made on the real file of a real ledger
 * process: with SQL, as somebody with the ledger's account would, or on the bytes. What must come out is the record's
 * name. And the export: each record as JSON, each operation with its request.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/ledger_read.h"
#include "tests/agent/ledger_harness.h"

enum { N_RECORDS = 44, MAX_FOUND = 64 };

static struct harness h;
static struct pv_head head;  /* after the last record */
static struct pv_head at_20; /* after record 20 */
static uint8_t *pristine;
static size_t pristine_len;
static struct pv_ledger_finding found[MAX_FOUND];
static size_t n_found;
static struct pv_ledger_summary summary;
static char why[512];

static void collect(void *context, const struct pv_ledger_finding *finding)
{
    (void)context;
    if (n_found < MAX_FOUND)
        found[n_found++] = *finding;
}

/* 44 records: decisions, outcomes, ownership, abuse, and a large one over many pages (30). */
static int make_ledger(void **state)
{
    (void)state;
    harness_init(&h);
    harness_start(&h, 0);
    harness_open(&h, "/");
    struct pv_record r = {.kind = PV_RECORD_START, .uid = PV_RECORD_NOBODY};
    r.start =
        (struct pv_record_start){pv_str_of("0.1"), 1, pv_str_of("/"), pv_str_of("b"), pv_str_of("m"), pv_str_of("")};
    harness_append(&h, 1000, &r);
    for (uint64_t i = 2; i <= N_RECORDS; i++) {
        char package[32];
        snprintf(package, sizeof package, "package-%02d", (int)i);
        uint32_t uid = i % 2 ? 1001 : 1002;
        const char *user = i % 2 ? "alice" : "bob";
        struct pv_record_operation *ops = NULL;
        switch (i % 4) {
        case 0:
            r = sample_decision(uid, user, i, package, true);
            if (i == 32) {
                ops = calloc(200, sizeof *ops);
                for (int k = 0; k < 200; k++)
                    ops[k] = r.decision.operations[0];
                r.decision.operations = ops;
                r.decision.n_operations = 200;
            }
            break;
        case 1: r = sample_outcome(uid, i - 1, "done"); break;
        case 2: r = sample_own(true, package, uid, user); break;
        default:
            r = i == 43 ? sample_own(false, "package-38", 1002, "bob") : sample_abuse(uid, "deb http://x.example ./");
        }
        harness_append(&h, 1000 * i, &r);
        free(ops);
        if (i == 20)
            at_20 = h.head;
    }
    head = h.head;
    if (harness_stop(&h) != 0)
        return -1;
    FILE *f = fopen(h.path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0)
        return -1;
    pristine_len = (size_t)st.st_size;
    pristine = malloc(pristine_len);
    if (fread(pristine, 1, pristine_len, f) != pristine_len)
        return -1;
    fclose(f);
    return 0;
}

static int remove_ledger(void **state)
{
    (void)state;
    free(pristine);
    harness_free(&h);
    return 0;
}

static void restore(void)
{
    static const char *const names[] = {"-wal", "-shm"};
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", h.path, names[i]);
        unlink(path);
    }
    FILE *f = fopen(h.path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(pristine, 1, pristine_len, f), pristine_len);
    assert_int_equal(fclose(f), 0);
}

/* Verifies the file as it stands; 0, or the error of opening. */
static int verify(const struct pv_ledger_anchor *anchors, size_t n)
{
    struct pv_ledger_reader *reader;
    n_found = 0;
    int result = pv_ledger_reader_open(h.path, &reader, why, sizeof why);
    if (result == 0) {
        assert_int_equal(pv_ledger_verify(reader, anchors, n, collect, NULL, &summary), 0);
        pv_ledger_reader_close(reader);
    }
    return result;
}

static int verify_with_head(void)
{
    struct pv_ledger_anchor anchor = {head, "the head"};
    return verify(&anchor, 1);
}

static void sql(const char *text)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open_v2(h.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", text, error);
    sqlite3_close(db);
}

static bool names_it(enum pv_ledger_found kind, uint64_t seq, const char *says)
{
    for (size_t i = 0; i < n_found; i++)
        if (found[i].kind == kind && found[i].seq == seq && strstr(found[i].text, says))
            return true;
    return false;
}

static void show_found(void)
{
    for (size_t i = 0; i < n_found; i++)
        print_error("  found %s %d: %s\n", pv_ledger_found_name(found[i].kind), (int)found[i].seq, found[i].text);
}

static void untouched_is_clean(void **state)
{
    (void)state;
    struct pv_ledger_anchor anchors[] = {{head, "the head"}, {at_20, "the anchor"}, {{0}, "nothing"}};
    restore();
    assert_int_equal(verify(anchors, 3), 0);
    show_found();
    assert_int_equal(n_found, 0);
    assert_int_equal(summary.n_records, N_RECORDS);
    assert_memory_equal(&summary.last, &head, sizeof head);
    assert_true(summary.first_time_ns == 1000 && summary.last_time_ns == 1000 * N_RECORDS);
}

/* One attack a row: the SQL, what must be found, and how many findings there may be at most. */
static void attacks_by_sql(void **state)
{
    (void)state;
    static const struct {
        const char *attack;
        enum pv_ledger_found kind;
        uint64_t seq;
        const char *says;
        size_t at_most;
    } rows[] = {
        {"UPDATE record SET body = CAST(x'00' || substr(body, 2) AS BLOB) WHERE seq = 17", PV_FOUND_ALTERED, 17,
         "record 17 was altered", 9},
        {"UPDATE record SET time = time + 1 WHERE seq = 23", PV_FOUND_ALTERED, 23, "record 23 was altered", 9},
        {"UPDATE record SET kind = 7 WHERE seq = 8", PV_FOUND_ALTERED, 8, "record 8 was altered", 9},
        {"UPDATE record SET hash = zeroblob(32) WHERE seq = 9", PV_FOUND_ALTERED, 9,
         "record 9 was altered: its content is whole, its hash is not", 1},
        {"UPDATE record SET body = x'' WHERE seq = 44", PV_FOUND_ALTERED, 44, "record 44 was altered", 9},
        {"UPDATE record SET time = 5 WHERE seq = 1", PV_FOUND_ALTERED, 1, "record 1 was altered", 9},
        {"DELETE FROM record WHERE seq = 17", PV_FOUND_MISSING, 17,
         "record 17 is missing (without it record 18 cannot be proven)", 9},
        {"DELETE FROM record WHERE seq = 1", PV_FOUND_MISSING, 1, "record 1 is missing", 9},
        {"DELETE FROM record WHERE seq BETWEEN 11 AND 13", PV_FOUND_MISSING, 11, "records 11 to 13 are missing", 9},
        {"DELETE FROM record WHERE seq = 19; UPDATE record SET seq = -seq WHERE seq > 19; "
         "UPDATE record SET seq = -seq - 1 WHERE seq < 0",
         PV_FOUND_MISSING, 19, "record 19 is missing: it was taken out", 99},
        {"UPDATE record SET seq = -1 WHERE seq = 21; UPDATE record SET seq = 21 WHERE seq = 22; "
         "UPDATE record SET seq = 22 WHERE seq = -1",
         PV_FOUND_MOVED, 21, "record 21 stands at 22", 9},
        {"UPDATE record SET seq = -1 WHERE seq = 21; UPDATE record SET seq = 21 WHERE seq = 22; "
         "UPDATE record SET seq = 22 WHERE seq = -1",
         PV_FOUND_MOVED, 22, "record 22 stands at 21", 9},
        {"UPDATE record SET seq = -seq WHERE seq > 25; UPDATE record SET seq = -seq + 1 WHERE seq < 0; "
         "INSERT INTO record SELECT 26, time, kind, uid, request, changes, hash, body FROM record WHERE seq = 3",
         PV_FOUND_INSERTED, 26, "record 26 was put in", 99},
        {"DELETE FROM record WHERE seq > 41", PV_FOUND_TRUNCATED, 42, "the ledger ends at 41 but the head says 44", 9},
        {"DELETE FROM record", PV_FOUND_TRUNCATED, 1, "the ledger ends at 0 but the head says 44", 99},
        {"UPDATE record SET seq = 9000000000000000000 WHERE seq = 44", PV_FOUND_MISSING, 44,
         "records 44 to 8999999999999999999 are missing", 9},
        {"UPDATE record SET seq = -5 WHERE seq = 44", PV_FOUND_INSERTED, 0, "1 record stands before the first", 9},
        {"UPDATE record SET uid = 0 WHERE seq = 12", PV_FOUND_COLUMN, 12, "record 12: its column uid", 1},
        {"UPDATE record SET request = 5 WHERE seq = 12", PV_FOUND_COLUMN, 12, "record 12: its column request", 1},
        {"UPDATE record SET changes = 0 WHERE seq = 12", PV_FOUND_COLUMN, 12, "record 12: its column changes", 1},
        {"INSERT INTO ownership VALUES ('/', 'sudo', 'amd64', 1002, 'bob', 18)", PV_FOUND_TABLE, 0,
         "no record gives the row root=/ name=sudo arch=amd64 uid=1002 user=bob", 1},
        {"UPDATE ownership SET uid = 1001, user = 'alice' WHERE name = 'package-18'", PV_FOUND_TABLE, 18,
         "not what record 18 says", 1},
        {"UPDATE ownership SET seq = 14 WHERE name = 'package-18'", PV_FOUND_TABLE, 18, "not what record 18 says", 1},
        {"DELETE FROM ownership WHERE name = 'package-18'", PV_FOUND_TABLE, 18,
         "record 18 gives a row that is not there", 1},
        {"INSERT INTO ownership VALUES ('/', 'package-38', 'amd64', 1002, 'bob', 38)", PV_FOUND_TABLE, 0,
         "no record gives the row", 1},
        {"DELETE FROM unfinished", PV_FOUND_TABLE, 44, "record 44 gives a row that is not there", 1},
        {"INSERT INTO unfinished VALUES (999, 1, 1, 1)", PV_FOUND_TABLE, 0, "no record gives the row request=999", 1},
        {"CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END", PV_FOUND_SCHEMA, 0,
         "not those that a ledger has", 1},
        {"CREATE TABLE x (y)", PV_FOUND_SCHEMA, 0, "not those that a ledger has", 1},
        {"DROP INDEX record_by_time", PV_FOUND_SCHEMA, 0, "not those that a ledger has", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        restore();
        sql(rows[i].attack);
        assert_int_equal(verify_with_head(), 0);
        if (!names_it(rows[i].kind, rows[i].seq, rows[i].says) || n_found > rows[i].at_most) {
            show_found();
            fail_msg("after: %s", rows[i].attack);
        }
    }
}

/* Rewriting records together with all later hashes: only the head or an anchor can tell, and they do. */
static void a_rewritten_chain(void **state)
{
    (void)state;
    sqlite3 *db;
    sqlite3_stmt *get, *set;
    restore();
    assert_int_equal(sqlite3_open_v2(h.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT time, kind, body, hash FROM record WHERE seq = ?", -1, &get, NULL),
                     0);
    assert_int_equal(sqlite3_prepare_v2(db, "UPDATE record SET hash = ?, time = ? WHERE seq = ?", -1, &set, NULL), 0);
    struct pv_head prev = at_20;
    for (int seq = 21; seq <= N_RECORDS; seq++) {
        uint8_t hash[PV_CHAIN_HASH];
        sqlite3_bind_int(get, 1, seq);
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        int64_t time = sqlite3_column_int64(get, 0) + (seq == 21);
        pv_chain_hash(&prev, (uint64_t)time, (uint32_t)sqlite3_column_int(get, 1), sqlite3_column_blob(get, 2),
                      (size_t)sqlite3_column_bytes(get, 2), hash);
        sqlite3_reset(get);
        sqlite3_bind_blob(set, 1, hash, sizeof hash, SQLITE_STATIC);
        sqlite3_bind_int64(set, 2, time);
        sqlite3_bind_int(set, 3, seq);
        assert_int_equal(sqlite3_step(set), SQLITE_DONE);
        sqlite3_reset(set);
        prev.seq = (uint64_t)seq;
        memcpy(prev.hash, hash, sizeof hash);
    }
    sqlite3_finalize(get);
    sqlite3_finalize(set);
    sqlite3_close(db);
    assert_int_equal(verify(NULL, 0), 0);
    assert_int_equal(n_found, 0); /* the chain is whole: without a head nobody could tell */
    assert_int_equal(verify_with_head(), 0);
    assert_true(names_it(PV_FOUND_REWRITTEN, N_RECORDS, "has another hash than the head says"));
    struct pv_ledger_anchor anchor = {at_20, "the anchor"};
    assert_int_equal(verify(&anchor, 1), 0);
    assert_int_equal(n_found, 0); /* it was true up to there */
    anchor.head = head;
    anchor.head.seq = 30;
    assert_int_equal(verify(&anchor, 1), 0);
    assert_true(names_it(PV_FOUND_REWRITTEN, 30, "than the anchor says"));
}

/* Each byte of some records' bodies, one at a time, in place in the file: the record is named each time. */
static void every_byte_of_a_body(void **state)
{
    (void)state;
    static const uint64_t seqs[] = {1, 8, 18, 44};
    unsigned tried = 0;
    restore();
    for (size_t s = 0; s < sizeof seqs / sizeof *seqs; s++) {
        struct pv_ledger_reader *reader;
        struct pv_ledger_row row;
        assert_int_equal(pv_ledger_reader_open(h.path, &reader, why, sizeof why), 0);
        assert_int_equal(pv_ledger_get(reader, seqs[s], &row), 1);
        const uint8_t *at = memmem(pristine, pristine_len, row.body, row.len);
        size_t len = row.len;
        pv_ledger_reader_close(reader);
        assert_non_null(at);
        int fd = open(h.path, O_RDWR);
        for (size_t i = 0; i<len; i += len> 200 ? 5 : 1) {
            uint8_t changed = at[i] ^ 0x01;
            off_t offset = (off_t)(at - pristine) + (off_t)i;
            assert_int_equal(pwrite(fd, &changed, 1, offset), 1);
            assert_int_equal(verify_with_head(), 0);
            if (!names_it(PV_FOUND_ALTERED, seqs[s], "was altered")) {
                show_found();
                fail_msg("byte %zu of record %d", i, (int)seqs[s]);
            }
            assert_int_equal(pwrite(fd, &at[i], 1, offset), 1);
            tried++;
        }
        close(fd);
    }
    assert_true(tried > 200);
    assert_int_equal(verify_with_head(), 0);
    assert_int_equal(n_found, 0);
}

struct kept {
    struct pv_ledger_row row;
    uint8_t *body;
};
static struct kept kept[N_RECORDS + 1];

/* Whether every record is there and as it was. */
static bool content_is_whole(struct pv_ledger_reader *reader)
{
    for (uint64_t seq = 1; seq <= N_RECORDS; seq++) {
        struct pv_ledger_row row;
        const struct pv_ledger_row *k = &kept[seq].row;
        if (pv_ledger_get(reader, seq, &row) != 1 || row.time_ns != k->time_ns || row.kind != k->kind ||
            row.uid != k->uid || row.request != k->request || row.changes != k->changes || row.len != k->len ||
            memcmp(row.hash, k->hash, sizeof row.hash) != 0 || memcmp(row.body, kept[seq].body, row.len) != 0)
            return false;
    }
    return true;
}

/* Bytes anywhere in the file: whatever they hit, "clean" is only said of a ledger whose records are all as they were.
 */
static void bytes_anywhere(void **state)
{
    (void)state;
    struct pv_ledger_reader *reader;
    unsigned clean = 0, named = 0, unopened = 0, tried = 0;
    size_t step = getenv("PV_TEST_ALL_BYTES") ? 1 : 61;
    restore();
    assert_int_equal(pv_ledger_reader_open(h.path, &reader, why, sizeof why), 0);
    for (uint64_t seq = 1; seq <= N_RECORDS; seq++) {
        struct kept *k = &kept[seq];
        assert_int_equal(pv_ledger_get(reader, seq, &k->row), 1);
        k->body = malloc(k->row.len);
        memcpy(k->body, k->row.body, k->row.len);
    }
    pv_ledger_reader_close(reader);
    int fd = open(h.path, O_RDWR);
    for (size_t at = 0; at < pristine_len; at += at < 200 ? 1 : step) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        uint8_t changed = pristine[at] ^ flips[at % 3];
        assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
        int result = verify_with_head();
        tried++;
        if (result != 0) {
            assert_true(why[0] != '\0');
            assert_true(at < 4096); /* the header and the schema alone are needed to read anything */
            unopened++;
        } else if (n_found == 0) {
            assert_int_equal(pv_ledger_reader_open(h.path, &reader, why, sizeof why), 0);
            if (!content_is_whole(reader))
                fail_msg("byte %zu changed a record, and the ledger was called clean", at);
            pv_ledger_reader_close(reader);
            clean++;
        } else {
            for (size_t i = 0; i < n_found; i++)
                if (found[i].seq) {
                    named++;
                    break;
                }
        }
        assert_int_equal(pwrite(fd, &pristine[at], 1, (off_t)at), 1);
    }
    close(fd);
    for (uint64_t seq = 1; seq <= N_RECORDS; seq++)
        free(kept[seq].body);
    print_message("%u bytes changed: %u named a record, %u unused space or equivalent, %u not opened\n", tried, named,
                  clean, unopened);
    assert_true(named > tried / 4);
}

/* Whole pages overwritten and the file cut: findings, and the records elsewhere are still read. */
static void damaged_pages(void **state)
{
    (void)state;
    static uint8_t junk[4096];
    memset(junk, 0xa5, sizeof junk);
    for (size_t page = 1; page < pristine_len / 4096; page++) {
        restore();
        int fd = open(h.path, O_RDWR);
        assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)(page * 4096)), (ssize_t)sizeof junk);
        close(fd);
        assert_int_equal(verify_with_head(), 0);
        assert_true(n_found > 0);
    }
    for (size_t len = 4096; len < pristine_len; len += 4096) {
        restore();
        assert_int_equal(truncate(h.path, (off_t)len), 0);
        if (verify_with_head() == 0)
            assert_true(n_found > 0);
    }
    restore();
    assert_int_equal(truncate(h.path, 0), 0);
    assert_int_equal(verify_with_head(), PV_E_SYNTAX);
    restore();
    unlink(h.path);
    assert_int_equal(verify_with_head(), PV_E_IO);
    restore();
    sql("PRAGMA user_version = 9");
    assert_int_equal(verify_with_head(), PV_E_FORMAT);
    assert_non_null(strstr(why, "newer version"));
}

/* While the agent runs, a reader sees what is durable, and the head that was read before is never ahead of it. */
static void beside_a_running_agent(void **state)
{
    (void)state;
    restore();
    harness_start(&h, 0);
    harness_open(&h, "/");
    struct pv_record r = sample_event("a", "b");
    for (int i = 0; i < 20; i++) {
        harness_append(&h, 100000, &r);
        struct pv_ledger_anchor anchor = {h.head, "the head"};
        assert_int_equal(verify(&anchor, 1), 0);
        show_found();
        assert_int_equal(n_found, 0);
        assert_true(summary.n_records == h.head.seq);
    }
    harness_stop(&h);
}

static void display_skips_what_is_gone(void **state)
{
    (void)state;
    struct pv_ledger_reader *reader;
    struct pv_ledger_row row;
    restore();
    sql("DELETE FROM record WHERE seq BETWEEN 5 AND 9");
    assert_int_equal(pv_ledger_reader_open(h.path, &reader, why, sizeof why), 0);
    assert_int_equal(pv_ledger_last(reader), N_RECORDS);
    assert_int_equal(pv_ledger_next(reader, 5, &row), 1);
    assert_int_equal(row.seq, 10);
    assert_int_equal(pv_ledger_next(reader, N_RECORDS + 1, &row), 0);
    unsigned n = 0;
    for (uint64_t seq = 1; pv_ledger_next(reader, seq, &row) == 1; seq = row.seq + 1)
        n++;
    assert_int_equal(n, N_RECORDS - 5);
    pv_ledger_reader_close(reader);
}

static const char *string_at(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    assert_non_null(text);
    return text;
}

static void exported_as_json(void **state)
{
    (void)state;
    struct pv_ledger_reader *reader;
    struct pv_ledger_row row;
    restore();
    assert_int_equal(pv_ledger_reader_open(h.path, &reader, why, sizeof why), 0);
    for (uint64_t seq = 1; seq <= N_RECORDS; seq++) {
        assert_int_equal(pv_ledger_get(reader, seq, &row), 1);
        json_t *o = pv_ledger_json(&row);
        assert_non_null(o);
        assert_string_equal(string_at(o, "schema"), "proviso/record/1");
        assert_int_equal(json_integer_value(json_object_get(o, "seq")), seq);
        assert_null(json_object_get(o, "malformed"));
        json_decref(o);
    }
    assert_int_equal(pv_ledger_get(reader, 8, &row), 1);
    json_t *o = pv_ledger_json(&row), *ops = json_object_get(o, "operations");
    assert_string_equal(string_at(o, "kind"), "decision");
    assert_string_equal(string_at(o, "request"), "0000000000000008");
    assert_string_equal(string_at(o, "time"), "1970-01-01T00:00:00.000008000Z");
    assert_string_equal(string_at(o, "zone"), "Europe/Paris");
    assert_int_equal(json_array_size(ops), 1);
    /* Exactly the form that eval reads, with what the policy supplies beside it. */
    json_t *want = json_pack(
        "{s:{s:s, s:{s:s, s:i, s:[s,s]}, s:s, s:s, s:s, s:{s:i}, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:b}}, s:{s:s, s:s}, "
        "s:[s],"
        " s:{s:s, s:b, s:[{s:s, s:s, s:s, s:i}, {s:s, s:s, s:s, s:i}], s:[],"
        " s:{s:b, s:[], s:i, s:n, s:[], s:[s], s:[]}}}",
        "request", "schema", "proviso/request/1", "user", "name", "bob", "uid", 1002, "groups", "staff", "dev",
        "command", "install", "source", "internal", "time", "2026-11-21T10:00:00Z", "request", "timeout", 600, "host",
        "checked", "2024-10-04", "opens", "22:00:00", "day", "wed", "package", "name", "package-08", "version",
        "3.0.18-2", "installed", 0, "source", "name", "internal", "location", "deb https://apt.example/ stable main",
        "unknown", "package.section", "decision", "decision", "allow", "default", 0, "rules", "id", "base", "effect",
        "allow", "file", "workstations.policy", "line", 30, "id", "workstations.policy:48", "effect", "require", "file",
        "workstations.policy", "line", 48, "because", "obligations", "reason", 0, "approval", "timeout", 600, "account",
        "windows", "notices", "hello", "alerts");
    assert_non_null(want);
    if (!json_equal(json_array_get(ops, 0), want)) {
        char *got = json_dumps(json_array_get(ops, 0), JSON_INDENT(1) | JSON_SORT_KEYS);
        char *wanted = json_dumps(want, JSON_INDENT(1) | JSON_SORT_KEYS);
        fail_msg("got %s\nwanted %s", got, wanted);
    }
    json_decref(want);
    json_decref(o);
    pv_ledger_reader_close(reader);

    /* Bytes that are not UTF-8, and a body that is not a record. */
    uint8_t body[256];
    struct pv_wbuf w;
    struct pv_record r = sample_event("a\xff"
                                      "b\x1b",
                                      "\xed\xa0\x80");
    pv_wbuf_init(&w, body, sizeof body);
    pv_record_encode(&w, &r);
    struct pv_ledger_row made = {.seq = 1, .kind = PV_RECORD_EVENT, .body = body, .len = w.len};
    o = pv_ledger_json(&made);
    assert_string_equal(string_at(o, "event"), "a\xef\xbf\xbd"
                                               "b\x1b");
    assert_string_equal(string_at(o, "text"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(o);
    made.len--;
    o = pv_ledger_json(&made);
    assert_true(json_is_true(json_object_get(o, "malformed")));
    assert_true(strlen(string_at(o, "body")) > 8);
    json_decref(o);
    made = (struct pv_ledger_row){.seq = 1, .kind = 77, .body = NULL, .len = 0};
    o = pv_ledger_json(&made);
    assert_true(json_is_true(json_object_get(o, "malformed")));
    json_decref(o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_is_clean),
        cmocka_unit_test(attacks_by_sql),
        cmocka_unit_test(a_rewritten_chain),
        cmocka_unit_test(every_byte_of_a_body),
        cmocka_unit_test(bytes_anywhere),
        cmocka_unit_test(damaged_pages),
        cmocka_unit_test(display_skips_what_is_gone),
        cmocka_unit_test(exported_as_json),
        cmocka_unit_test(beside_a_running_agent),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s PROVISO-LEDGER\n", argv[0]);
        return 2;
    }
    harness_program = argv[1];
    return cmocka_run_group_tests(tests, make_ledger, remove_ledger);
}
