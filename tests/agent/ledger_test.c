/*
 * The ledger process over its socket, the test in the monitor's place: what is acknowledged is durable and comes back
 * after kill -9, what is not durable is never acknowledged, questions are answered from the records, and every frame
 * that is wrong is refused without harm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/agent/ledger_harness.h"

static struct harness *setup(void)
{
    static struct harness h;
    harness_init(&h);
    harness_start(&h, 0);
    return &h;
}

static int64_t query(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int rc = sqlite3_step(stmt);
    int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
    assert_true(rc == SQLITE_ROW || rc == SQLITE_DONE);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

static void a_new_ledger_is_empty_and_appends(void **state)
{
    (void)state;
    struct harness *h = setup();
    struct opened o = harness_open(h, "/");
    assert_true(o.head.seq == 0 && o.max_time == 0 && o.max_request == 0 && o.n_unfinished == 0);
    struct pv_record r = sample_event("a", "b");
    harness_append(h, 1000, &r);
    r = sample_decision(1001, "alice", 42, "vlc", true);
    harness_append(h, 2000, &r);
    /* Already there for a second connection: it was durable when it was acknowledged. */
    assert_int_equal(query(h->path, "SELECT count(*) FROM record"), 2);
    assert_int_equal(query(h->path, "PRAGMA user_version"), PV_LEDGER_SCHEMA);
    struct stat st;
    assert_int_equal(stat(h->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct pv_head end = h->head;
    assert_int_equal(harness_stop(h), 0);
    harness_start(h, 0);
    o = harness_open(h, "/");
    assert_memory_equal(&o.head, &end, sizeof end);
    assert_true(o.max_time == 2000 && o.max_request == 42 && o.n_unfinished == 1);
    harness_free(h);
}

static void what_was_acknowledged_survives_kill(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_event("a", "b");
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 5; i++)
            harness_append(h, (uint64_t)(round * 10 + i), &r);
        struct pv_head acknowledged = h->head;
        for (int i = 0; i < 20; i++)
            harness_send(h, (uint64_t)(round * 10 + i), &r); /* not waited for */
        harness_kill(h);
        harness_start(h, 0);
        struct opened o = harness_open(h, "/");
        assert_true(o.head.seq >= acknowledged.seq && o.head.seq <= acknowledged.seq + 20);
        if (o.head.seq == acknowledged.seq)
            assert_memory_equal(o.head.hash, acknowledged.hash, PV_CHAIN_HASH);
    }
    harness_free(h);
}

/* All that is queued while the process is stopped becomes durable at once: far fewer acknowledgements than records. */
static void group_commit(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_event("a", "b");
    kill(h->pid, SIGSTOP);
    for (int i = 0; i < 100; i++)
        harness_send(h, 5, &r);
    kill(h->pid, SIGCONT);
    unsigned acks = harness_await(h);
    assert_true(acks <= 3);
    assert_int_equal(query(h->path, "SELECT count(*) FROM record"), 100);
    harness_free(h);
}

static void a_large_record_comes_in_parts(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_decision(1001, "alice", 9, "vlc", true);
    struct pv_record_operation *ops = calloc(N, sizeof *ops);
    for (int i = 0; i < N; i++)
        ops[i] = r.decision.operations[0];
    r.decision.operations = ops;
    r.decision.n_operations = N;
    harness_append(h, 1, &r);
    assert_true(query(h->path, "SELECT length(body) FROM record WHERE seq = 1") > 10 * PV_LEDGER_PART);
    free(ops);
    harness_free(h);
}

static void send_raw_append(struct harness *h, uint64_t seq, uint32_t kind, const uint8_t *hash, const void *body,
                            size_t len)
{
    static uint8_t out[PV_WIRE_MAX];
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u64(&w, seq);
    pv_put_u64(&w, 1);
    pv_put_u32(&w, kind);
    pv_put_raw(&w, hash, PV_CHAIN_HASH);
    pv_put_u32(&w, (uint32_t)len);
    pv_put_bytes(&w, body, len);
    assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_APPEND, &w, NULL, 0), 0);
}

/* A wrong append ends appending until the next open; what came before it stays. */
static void wrong_appends_are_refused(void **state)
{
    (void)state;
    struct harness *h = setup();
    struct pv_record r = sample_event("a", "b");
    uint8_t body[512], hash[PV_CHAIN_HASH];
    struct pv_wbuf w;
    pv_wbuf_init(&w, body, sizeof body);
    pv_record_encode(&w, &r);

    send_raw_append(h, 1, PV_RECORD_EVENT, hash, body, w.len); /* before open: dropped */
    struct opened o = harness_open(h, "/");
    assert_true(o.head.seq == 0);

    harness_append(h, 1, &r);
    struct pv_head good = h->head;

    /* A sequence that does not follow. */
    pv_chain_hash_at(good.hash, 3, 1, PV_RECORD_EVENT, body, w.len, hash);
    send_raw_append(h, 3, PV_RECORD_EVENT, hash, body, w.len);
    struct failure f = harness_failure(h);
    assert_true(f.code == PV_LEDGER_E_SEQUENCE && f.seq == 3);
    /* Now even a right one is dropped, without a word. */
    harness_send(h, 1, &r);
    o = harness_open(h, "/");
    assert_memory_equal(&o.head, &good, sizeof good);

    /* A wrong hash, after a good record in the same drain. */
    kill(h->pid, SIGSTOP);
    harness_send(h, 1, &r);
    good = h->head;
    send_raw_append(h, good.seq + 1, PV_RECORD_EVENT, hash, body, w.len);
    kill(h->pid, SIGCONT);
    harness_await(h);
    f = harness_failure(h);
    assert_true(f.code == PV_LEDGER_E_CHAIN && f.seq == good.seq + 1);
    o = harness_open(h, "/");
    assert_memory_equal(&o.head, &good, sizeof good);

    /* A body that is no record. */
    pv_chain_hash(&good, 1, PV_RECORD_EVENT, body, w.len - 1, hash);
    send_raw_append(h, good.seq + 1, PV_RECORD_EVENT, hash, body, w.len - 1);
    f = harness_failure(h);
    assert_int_equal(f.code, PV_LEDGER_E_RECORD);
    harness_open(h, "/");

    /* A part without a beginning, then a frame that is cut. */
    pv_wbuf_init(&w, body, sizeof body);
    pv_put_u64(&w, 9);
    pv_put_u32(&w, 0);
    pv_put_bytes(&w, "x", 1);
    assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_MORE, &w, NULL, 0), 0);
    f = harness_failure(h);
    assert_int_equal(f.code, PV_LEDGER_E_PROTOCOL);
    harness_open(h, "/");
    w.len = 10;
    assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_APPEND, &w, NULL, 0), 0);
    f = harness_failure(h);
    assert_int_equal(f.code, PV_LEDGER_E_PROTOCOL);
    o = harness_open(h, "/");
    assert_memory_equal(&o.head, &good, sizeof good);
    harness_append(h, 1, &r);
    harness_free(h);
}

static void an_unknown_frame_ends_the_process(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    assert_int_equal(pv_frame_send(h->fd, 0x3ff, NULL, NULL, 0), 0);
    assert_int_equal(harness_failure(h).code, PV_LEDGER_E_PROTOCOL);
    struct pv_rbuf r;
    assert_int_equal(harness_recv(h, &r), 0);
    assert_int_equal(harness_stop(h), 1);
    harness_free(h);
}

static void ask(struct harness *h, uint32_t type, void (*fill)(struct pv_wbuf *w, const void *arg), const void *arg)
{
    static uint8_t out[PV_WIRE_MAX];
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u64(&w, 0xabcdef);
    fill(&w, arg);
    assert_int_equal(pv_frame_send(h->fd, type, &w, NULL, 0), 0);
}

static void fill_owner(struct pv_wbuf *w, const void *arg)
{
    const char *const *packages = arg;
    pv_put_cstr(w, "/");
    pv_put_u32(w, 2);
    for (int i = 0; i < 2; i++) {
        pv_put_cstr(w, packages[i]);
        pv_put_cstr(w, "amd64");
    }
}

struct owner {
    bool owned;
    uint32_t uid;
    char user[64];
    uint64_t seq;
};

static void owners(struct harness *h, const char *first, const char *second, struct owner out[2])
{
    struct pv_rbuf r;
    const char *packages[] = {first, second};
    ask(h, PV_MSG_LEDGER_OWNERS, fill_owner, packages);
    assert_int_equal(harness_recv(h, &r), PV_MSG_LEDGER_OWNERS_ARE);
    assert_true(pv_get_u64(&r) == 0xabcdef);
    assert_int_equal(pv_get_u32(&r), 2);
    for (int i = 0; i < 2; i++) {
        out[i].owned = pv_get_bool(&r);
        out[i].uid = pv_get_u32(&r);
        assert_true(pv_get_str_copy(&r, out[i].user, sizeof out[i].user));
        out[i].seq = pv_get_u64(&r);
    }
    assert_true(pv_rbuf_done(&r));
}

static void fill_root(struct pv_wbuf *w, const void *arg)
{
    pv_put_cstr(w, arg);
}

static void ownership(void **state)
{
    (void)state;
    struct harness *h = setup();
    struct owner o[2];
    struct pv_rbuf rb;
    harness_open(h, "/");
    struct pv_record r = sample_own(true, "vlc", 1001, "alice");
    harness_append(h, 1, &r);
    owners(h, "vlc", "git", o);
    assert_true(o[0].owned && o[0].uid == 1001 && o[0].seq == 1 && !o[1].owned);
    assert_string_equal(o[0].user, "alice");

    /* The end of somebody else's ownership ends nothing: uid and name must both match. */
    r = sample_own(false, "vlc", 1002, "alice");
    harness_append(h, 2, &r);
    r = sample_own(false, "vlc", 1001, "bob");
    harness_append(h, 3, &r);
    owners(h, "vlc", "git", o);
    assert_true(o[0].owned);
    r = sample_own(true, "git", 1002, "bob");
    harness_append(h, 4, &r);

    ask(h, PV_MSG_LEDGER_OWNED, fill_root, "/");
    char name[32], arch[32], user[32];
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_OWNED_ROW);
    pv_get_u64(&rb);
    pv_get_str_copy(&rb, name, sizeof name), pv_get_str_copy(&rb, arch, sizeof arch);
    assert_int_equal(pv_get_u32(&rb), 1002);
    pv_get_str_copy(&rb, user, sizeof user);
    assert_true(pv_get_u64(&rb) == 4 && pv_rbuf_done(&rb));
    assert_string_equal(name, "git");
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_OWNED_ROW);
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_ROWS_END);
    ask(h, PV_MSG_LEDGER_OWNED, fill_root, "/srv/other");
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_ROWS_END);

    /* A question is answered after the appends before it, also those that nobody waited for. */
    r = sample_own(false, "vlc", 1001, "alice");
    harness_send(h, 5, &r);
    const char *packages[] = {"vlc", "git"};
    ask(h, PV_MSG_LEDGER_OWNERS, fill_owner, packages);
    harness_await(h);
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_OWNERS_ARE);
    pv_get_u64(&rb), pv_get_u32(&rb);
    assert_false(pv_get_bool(&rb));
    harness_free(h);
}

struct since {
    uint32_t uid;
    const char *user;
    uint64_t from;
};

static void fill_since(struct pv_wbuf *w, const void *arg)
{
    const struct since *s = arg;
    pv_put_u32(w, s->uid);
    pv_put_cstr(w, s->user);
    pv_put_u64(w, s->from);
}

static uint64_t changes(struct harness *h, uint32_t uid, const char *user, uint64_t from)
{
    struct pv_rbuf r;
    ask(h, PV_MSG_LEDGER_CHANGES, fill_since, &(struct since){uid, user, from});
    assert_int_equal(harness_recv(h, &r), PV_MSG_LEDGER_CHANGES_ARE);
    assert_true(pv_get_u64(&r) == 0xabcdef);
    uint64_t n = pv_get_u64(&r);
    assert_true(pv_rbuf_done(&r));
    return n;
}

static void changes_are_counted(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_decision(1001, "alice", 1, "vlc", true);
    harness_append(h, 100, &r);
    r.decision.changes = 3;
    r.request = 2;
    harness_append(h, 200, &r);
    r = sample_decision(1001, "alice", 3, "nmap", false);
    harness_append(h, 300, &r);
    r = sample_decision(1002, "bob", 4, "vlc", true);
    harness_append(h, 300, &r);
    assert_int_equal(changes(h, 1001, "alice", 0), 4);
    assert_int_equal(changes(h, 1001, "alice", 101), 3);
    assert_int_equal(changes(h, 1001, "alice", 200), 3);
    assert_int_equal(changes(h, 1001, "alice", 201), 0);
    assert_int_equal(changes(h, 1002, "bob", 0), 1);
    assert_int_equal(changes(h, 1003, "eve", 0), 0);
    assert_int_equal(changes(h, 1001, "alice", UINT64_MAX), 0);
    /* The uid of somebody who was here before is not that person. */
    assert_int_equal(changes(h, 1001, "mallory", 0), 0);
    assert_int_equal(changes(h, 1001, "alic", 0), 0);
    assert_int_equal(changes(h, 1002, "alice", 0), 0);
    r = sample_decision(1001, "mallory", 5, "vlc", true);
    harness_append(h, 400, &r);
    assert_int_equal(changes(h, 1001, "mallory", 0), 1);
    assert_int_equal(changes(h, 1001, "alice", 0), 4);
    harness_free(h);
}

struct history {
    uint32_t uid;
    const char *user;
    uint32_t limit;
    uint64_t before;
};

static void fill_history(struct pv_wbuf *w, const void *arg)
{
    const struct history *q = arg;
    pv_put_u32(w, q->uid);
    pv_put_cstr(w, q->user);
    pv_put_u32(w, q->limit);
    pv_put_u64(w, q->before);
}

struct row {
    uint64_t seq, request;
    uint32_t effect;
    bool ended, truncated;
    char verb[32], arg[32], rule[64], because[128], word[32];
};

static uint32_t history(struct harness *h, struct history q, struct row *rows, uint32_t cap)
{
    struct pv_rbuf r;
    uint32_t n = 0, type;
    ask(h, PV_MSG_LEDGER_HISTORY, fill_history, &q);
    while ((type = harness_recv(h, &r)) == PV_MSG_LEDGER_HISTORY_ROW) {
        assert_true(n < cap);
        struct row *o = &rows[n++];
        memset(o, 0, sizeof *o);
        pv_get_u64(&r);
        o->seq = pv_get_u64(&r);
        pv_get_u64(&r);
        o->request = pv_get_u64(&r);
        pv_get_str_copy(&r, o->verb, sizeof o->verb);
        pv_get_bool(&r);
        char *const into[] = {o->arg, o->rule, o->because};
        const size_t size[] = {sizeof o->arg, sizeof o->rule, sizeof o->because};
        for (int list = 0; list < 3; list++) {
            uint32_t entries = pv_get_u32(&r);
            for (uint32_t i = 0; i < entries; i++) {
                size_t len;
                const char *text = pv_get_str(&r, PV_WIRE_MAX, &len);
                if (i == 0)
                    snprintf(into[list], size[list], "%.*s", (int)len, text);
            }
            if (list == 0) {
                o->effect = pv_get_u32(&r);
                pv_get_bool(&r);
            }
        }
        o->truncated = pv_get_bool(&r);
        o->ended = pv_get_bool(&r);
        pv_get_str_copy(&r, o->word, sizeof o->word);
        pv_get_i64(&r), pv_get_u32(&r), pv_get_u64(&r), pv_get_u64(&r);
        size_t len;
        pv_get_str(&r, PV_WIRE_MAX, &len);
        assert_true(pv_rbuf_done(&r));
    }
    assert_int_equal(type, PV_MSG_LEDGER_ROWS_END);
    assert_true(pv_get_u64(&r) == 0xabcdef && pv_get_u32(&r) == n && pv_rbuf_done(&r));
    return n;
}

static void history_is_told(void **state)
{
    (void)state;
    struct harness *h = setup();
    struct row rows[8];
    harness_open(h, "/");
    struct pv_record r = sample_decision(1001, "alice", 11, "vlc", true);
    harness_append(h, 1, &r);
    r = sample_decision(1002, "bob", 12, "git", true);
    harness_append(h, 2, &r);
    r = sample_decision(1001, "alice", 13, "nmap", false);
    harness_append(h, 3, &r);
    r = sample_outcome(1001, 11, "done");
    harness_append(h, 4, &r);
    r = sample_decision(1001, "alice", 14, "vim", true);
    r.decision.phase = PV_DECIDED_REQUEST;
    harness_append(h, 5, &r);
    r.decision.phase = PV_DECIDED_PLAN; /* a later decision of the same request stands for it */
    harness_append(h, 6, &r);

    assert_int_equal(history(h, (struct history){1001, "alice", 100, 0}, rows, 8), 3);
    assert_true(rows[0].seq == 6 && rows[0].request == 14 && !rows[0].ended);
    assert_true(rows[1].seq == 3 && rows[1].effect == PV_DENY);
    assert_string_equal(rows[1].rule, "base");
    assert_string_equal(rows[1].because, "Network tools need NetOps: https://it.example/netops");
    assert_true(rows[2].seq == 1 && rows[2].effect == PV_ALLOW && rows[2].ended);
    assert_string_equal(rows[2].verb, "install");
    assert_string_equal(rows[2].arg, "vlc");
    assert_string_equal(rows[2].word, "done");
    assert_int_equal(history(h, (struct history){1001, "alice", 1, 0}, rows, 8), 1);
    assert_int_equal(history(h, (struct history){1001, "alice", 100, 3}, rows, 8), 1);
    assert_true(rows[0].seq == 1);
    assert_int_equal(history(h, (struct history){4711, "nobody", 100, 0}, rows, 8), 0);
    assert_int_equal(history(h, (struct history){1001, "alice", 0, 0}, rows, 8), 0);
    assert_int_equal(history(h, (struct history){1001, "mallory", 100, 0}, rows, 8), 0);
    assert_int_equal(history(h, (struct history){1002, "alice", 100, 0}, rows, 8), 0);

    /* More arguments than fit one frame: cut, and said so. */
    struct pv_str *args = calloc(3000, sizeof *args);
    for (int i = 0; i < 3000; i++)
        args[i] = pv_str_of("a-package-with-a-rather-long-name");
    r = sample_decision(1003, "eve", 15, "x", true);
    r.decision.args = args;
    r.decision.n_args = 3000;
    harness_append(h, 7, &r);
    free(args);
    assert_int_equal(history(h, (struct history){1003, "eve", 10, 0}, rows, 8), 1);
    assert_true(rows[0].truncated);

    /* Somebody else's rows of the same uid neither show nor count against the limit. */
    r = sample_decision(1001, "mallory", 16, "emacs", true);
    harness_append(h, 8, &r);
    assert_int_equal(history(h, (struct history){1001, "mallory", 100, 0}, rows, 8), 1);
    assert_true(rows[0].seq == 8);
    assert_int_equal(history(h, (struct history){1001, "alice", 1, 0}, rows, 8), 1);
    assert_true(rows[0].seq == 6);

    ask(h, PV_MSG_LEDGER_HISTORY, fill_history, &(struct history){1001, "alice", PV_LEDGER_HISTORY_MAX + 1, 0});
    struct failure f = harness_failure(h);
    assert_true(f.code == PV_LEDGER_E_PROTOCOL && f.tag == 0xabcdef);
    assert_int_equal(history(h, (struct history){1001, "alice", 100, 0}, rows, 8),
                     3); /* a bad question harms nothing */
    harness_free(h);
}

static void fill_nothing(struct pv_wbuf *w, const void *arg)
{
    (void)w, (void)arg;
}

static void unfinished_requests_are_found_again(void **state)
{
    (void)state;
    struct harness *h = setup();
    struct pv_rbuf rb;
    harness_open(h, "/");
    struct pv_record r = sample_decision(1001, "alice", 21, "vlc", true);
    harness_append(h, 1, &r);
    r = sample_decision(1002, "bob", 22, "git", true);
    harness_append(h, 2, &r);
    r = sample_decision(1002, "bob", 23, "nmap", false);
    harness_append(h, 3, &r);
    r = sample_outcome(1001, 21, "done");
    harness_append(h, 4, &r);
    harness_kill(h);
    harness_start(h, 0);
    assert_int_equal(harness_open(h, "/").n_unfinished, 1);
    ask(h, PV_MSG_LEDGER_UNFINISHED, fill_nothing, NULL);
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_UNFINISHED_ROW);
    pv_get_u64(&rb);
    assert_true(pv_get_u64(&rb) == 22 && pv_get_i64(&rb) == 1002 && pv_get_u64(&rb) == 2 && pv_get_u64(&rb) == 2 &&
                pv_rbuf_done(&rb));
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_ROWS_END);
    r = sample_outcome(1002, 22, "interrupted");
    harness_append(h, 5, &r);
    ask(h, PV_MSG_LEDGER_UNFINISHED, fill_nothing, NULL);
    assert_int_equal(harness_recv(h, &rb), PV_MSG_LEDGER_ROWS_END);
    harness_free(h);
}

/* Fills the disk through `limit` and checks that every record is acknowledged and there, or neither. */
static void fill_up(struct harness *h, uint32_t code)
{
    struct pv_record r = sample_event("filler", "");
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    r.event.text = pv_str_of(text);
    harness_open(h, "/");
    struct pv_head acknowledged = h->head;
    for (int i = 0; i < 1000; i++) {
        struct pv_rbuf rb;
        harness_send(h, 1, &r);
        uint32_t type = harness_recv(h, &rb);
        if (type == PV_MSG_LEDGER_ACK) {
            acknowledged = h->head;
            continue;
        }
        assert_int_equal(type, PV_MSG_LEDGER_ERROR);
        assert_int_equal(pv_get_u32(&rb), code);
        pv_get_u64(&rb);
        assert_true(pv_get_u64(&rb) == acknowledged.seq + 1);
        break;
    }
    assert_true(acknowledged.seq > 5 && acknowledged.seq < 900);
    struct opened o = harness_open(h, "/");
    assert_memory_equal(&o.head, &acknowledged, sizeof acknowledged);
}

static void a_full_disk_by_file_size(void **state)
{
    (void)state;
    static struct harness h;
    harness_init(&h);
    harness_start(&h, 400 * 1024);
    fill_up(&h, PV_LEDGER_E_IO); /* SQLite tells EFBIG as any other failed write */
    /* With room again, it goes on where it was. */
    harness_kill(&h);
    harness_start(&h, 0);
    harness_open(&h, "/");
    struct pv_record r = sample_event("a", "b");
    harness_append(&h, 1, &r);
    harness_free(&h);
}

static void a_full_disk_by_tmpfs(void **state)
{
    (void)state;
    static struct harness h;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        skip();
    harness_init(&h);
    assert_int_equal(mount("tmpfs", h.dir, "tmpfs", 0, "size=512k,mode=700"), 0);
    harness_start(&h, 0);
    fill_up(&h, PV_LEDGER_E_FULL);
    assert_int_equal(mount("tmpfs", h.dir, "tmpfs", MS_REMOUNT, "size=8m,mode=700"), 0);
    harness_open(&h, "/");
    struct pv_record r = sample_event("a", "b");
    harness_append(&h, 1, &r);
    /* Now read-only under its hands: an error, no acknowledgement. */
    harness_stop(&h);
    assert_int_equal(mount("tmpfs", h.dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m,mode=700"), 0);
    harness_start(&h, 0);
    harness_send_open(&h, "/");
    struct failure f = harness_failure(&h);
    assert_true(f.code == PV_LEDGER_E_IO || f.code == PV_LEDGER_E_OPEN);
    harness_stop(&h);
    assert_int_equal(umount2(h.dir, MNT_DETACH), 0);
    harness_free(&h);
}

static void files_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_event("a", "b");
    harness_append(h, 1, &r);
    harness_append(h, 2, &r);
    harness_stop(h);

    static const struct {
        const char *damage, *repair, *root;
        uint32_t code;
        const char *says;
    } rows[] = {
        {"SELECT 1", "SELECT 1", "/srv/image", PV_LEDGER_E_FOREIGN, "another root"},
        {"PRAGMA user_version = 2", "PRAGMA user_version = 1", "/", PV_LEDGER_E_NEWER, "newer version"},
        {"PRAGMA user_version = 0", "PRAGMA user_version = 1", "/", PV_LEDGER_E_CORRUPT, "schema number"},
        {"PRAGMA application_id = 5", "PRAGMA application_id = 1349930033", "/", PV_LEDGER_E_FOREIGN, "not a ledger"},
        {"UPDATE record SET time = time + 1 WHERE seq = 2", "UPDATE record SET time = time - 1 WHERE seq = 2", "/",
         PV_LEDGER_E_CORRUPT, "last record was altered"},
        {"ALTER TABLE ownership RENAME TO gone", "ALTER TABLE gone RENAME TO ownership", "/", PV_LEDGER_E_CORRUPT,
         "damaged"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        query(h->path, rows[i].damage);
        harness_start(h, 0);
        harness_send_open(h, rows[i].root);
        struct failure f = harness_failure(h);
        assert_int_equal(f.code, rows[i].code);
        if (!strstr(f.sentence, rows[i].says))
            fail_msg("%s: %s", rows[i].damage, f.sentence);
        assert_int_equal(harness_stop(h), 1);
        query(h->path, rows[i].repair);
    }
    harness_start(h, 0);
    assert_int_equal(harness_open(h, "/").head.seq, 2);
    harness_stop(h);

    /* No database at all: noise, a link to another file, a directory. */
    FILE *f = fopen(h->path, "wb");
    for (int i = 0; i < 9000; i++)
        fputc(i * 7, f);
    fclose(f);
    harness_start(h, 0);
    harness_send_open(h, "/");
    assert_int_equal(harness_failure(h).code, PV_LEDGER_E_CORRUPT);
    harness_stop(h);
    unlink(h->path);
    assert_int_equal(symlink("/tmp/proviso-ledger-elsewhere.db", h->path), 0);
    harness_start(h, 0);
    harness_send_open(h, "/");
    assert_int_equal(harness_failure(h).code, PV_LEDGER_E_OPEN);
    harness_stop(h);
    assert_int_equal(access("/tmp/proviso-ledger-elsewhere.db", F_OK), -1);
    unlink(h->path);
    assert_int_equal(mkdir(h->path, 0700), 0);
    harness_start(h, 0);
    harness_send_open(h, "/");
    assert_int_equal(harness_failure(h).code, PV_LEDGER_E_OPEN);
    harness_stop(h);
    rmdir(h->path);
    harness_free(h);
}

static void a_directory_that_is_not_there(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h);
    char real[64];
    memcpy(real, h.dir, sizeof real);
    snprintf(h.dir, sizeof h.dir, "/nonexistent/ledger");
    harness_start(&h, 0);
    assert_int_equal(harness_failure(&h).code, PV_LEDGER_E_OPEN);
    assert_int_equal(harness_stop(&h), 1);
    memcpy(h.dir, real, sizeof real);
    harness_free(&h);
}

/* Noise on the socket: the process answers or ends, and the ledger is as before. */
static void noise(void **state)
{
    (void)state;
    struct harness *h = setup();
    harness_open(h, "/");
    struct pv_record r = sample_own(true, "vlc", 1001, "alice");
    harness_append(h, 1, &r);
    struct pv_head good = h->head;
    unsigned seed = 1;
    for (int round = 0; round < 400; round++) {
        static uint8_t out[600];
        struct pv_wbuf w;
        pv_wbuf_init(&w, out, sizeof out);
        seed = seed * 1103515245 + 12345;
        size_t len = seed >> 16 & 127;
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245 + 12345;
            pv_put_u8(&w, (uint8_t)(seed >> 16 & (round & 1 ? 255 : 3)));
        }
        static const uint32_t types[] = {0x302, 0x303, 0x310, 0x312, 0x314, 0x316, 0x318};
        int result = pv_frame_send(h->fd, types[(unsigned)round % 7], &w, NULL, 0);
        assert_int_equal(result, 0);
        struct pv_rbuf rb;
        harness_send_open(h, "/");
        uint32_t type;
        while ((type = harness_recv(h, &rb)) != PV_MSG_LEDGER_OPENED)
            assert_true(type == PV_MSG_LEDGER_ERROR || type > PV_MSG_LEDGER_ERROR);
        assert_true(pv_get_u64(&rb) == good.seq);
    }
    harness_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_ledger_is_empty_and_appends),
        cmocka_unit_test(what_was_acknowledged_survives_kill),
        cmocka_unit_test(group_commit),
        cmocka_unit_test(a_large_record_comes_in_parts),
        cmocka_unit_test(wrong_appends_are_refused),
        cmocka_unit_test(an_unknown_frame_ends_the_process),
        cmocka_unit_test(ownership),
        cmocka_unit_test(changes_are_counted),
        cmocka_unit_test(history_is_told),
        cmocka_unit_test(unfinished_requests_are_found_again),
        cmocka_unit_test(a_full_disk_by_file_size),
        cmocka_unit_test(files_that_are_not_ours_are_refused),
        cmocka_unit_test(a_directory_that_is_not_there),
        cmocka_unit_test(noise),
        cmocka_unit_test(a_full_disk_by_tmpfs), /* last: it leaves the mount namespace */
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s PROVISO-LEDGER\n", argv[0]);
        return 2;
    }
    harness_program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
