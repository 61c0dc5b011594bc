/*
 * The record's encoding: what is encoded decodes to the same and encodes to the same bytes again; every truncation and
 * every changed byte is refused or decodes to something that encodes to exactly those bytes (so there is one encoding
 * only); nothing unbounded is written; text is shown without control characters. And the chain's two text forms.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/chain.h"
#include "tests/agent/ledger_harness.h"

static uint8_t room[1 << 20], again[1 << 20];

static size_t encode(const struct pv_record *record, uint8_t *data, size_t size)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, data, size);
    pv_record_encode(&w, record);
    return w.overflow ? 0 : w.len;
}

static struct pv_record sample(int i)
{
    struct pv_record r = {.uid = PV_RECORD_NOBODY};
    switch (i) {
    case 0:
        r.kind = PV_RECORD_START;
        r.start = (struct pv_record_start){pv_str_of("0.1"),     1234,
                                           pv_str_of("/"),       pv_str_of("boot"),
                                           pv_str_of("machine"), pv_str_of("started by hand")};
        return r;
    case 1:
        r.kind = PV_RECORD_STOP;
        r.stop.reason = pv_str_of("asked to");
        return r;
    case 2:
        r.kind = PV_RECORD_POLICY;
        r.policy = (struct pv_record_policy){.accepted = true,
                                             .path = pv_str_of("/etc/proviso/policy.bundle"),
                                             .name = pv_str_of("workstations"),
                                             .version = 7,
                                             .zone = pv_str_of("Europe/Paris"),
                                             .key_id = pv_str_of("0123456789ABCDEF"),
                                             .comment = pv_str_of("by jane"),
                                             .sentence = pv_str_of("")};
        return r;
    case 3: return sample_decision(1001, "alice", 77, "vlc", true);
    case 4: return sample_decision(1002, "bob", 78, "nmap", false);
    case 5: return sample_outcome(1001, 77, "done");
    case 6: return sample_own(true, "vlc", 1001, "alice");
    case 7: return sample_abuse(1002, "deb http://evil.example/\n./");
    default: return sample_event("self-test", "passed");
    }
}
enum { N_SAMPLES = 9 };

static bool same_text(struct pv_str a, struct pv_str b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static void every_kind_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < N_SAMPLES; i++) {
        struct pv_record record = sample(i), got;
        void *arena;
        int64_t uid;
        uint64_t request;
        size_t len = encode(&record, room, sizeof room);
        assert_true(len > 0);
        assert_int_equal(pv_record_decode(record.kind, room, len, &got, &arena), 0);
        assert_int_equal(got.uid, record.uid);
        assert_int_equal(got.request, record.request);
        assert_int_equal(encode(&got, again, sizeof again), len);
        assert_memory_equal(room, again, len);
        assert_int_equal(pv_record_head(room, len, &uid, &request), 0);
        assert_int_equal(uid, record.uid);
        assert_int_equal(request, record.request);
        free(arena);
    }
}

static void a_decision_is_whole(void **state)
{
    (void)state;
    struct pv_record record = sample_decision(1001, "alice", 77, "vlc", true), got;
    void *arena;
    size_t len = encode(&record, room, sizeof room);
    assert_int_equal(pv_record_decode(PV_RECORD_DECISION, room, len, &got, &arena), 0);
    const struct pv_record_decision *d = &got.decision;
    assert_true(same_text(d->user, pv_str_of("alice")) && d->pid == 4711);
    assert_true(d->n_args == 1 && same_text(d->args[0], pv_str_of("vlc")));
    assert_true(d->n_options == 2 && d->options[0].has_value && !d->options[1].has_value);
    assert_true(d->n_attrs == 6 && d->attrs[2].n_members == 2 && same_text(d->attrs[2].members[1], pv_str_of("dev")) &&
                d->attrs[5].number == 79200);
    assert_true(d->n_operations == 1 && d->operations[0].n_attrs == 8);
    assert_int_equal(d->operations[0].attrs[7].state, PV_NOT_KNOWN);
    assert_true(d->operations[0].verdict.n_rules == 2 && d->operations[0].verdict.rules[1].line == 48);
    assert_true(d->verdict.has_timeout && d->verdict.timeout == 600 && d->verdict.n_duties == 1);
    assert_int_equal(d->bundle_hash[31], 0xab);
    free(arena);
}

/* Whatever a decoder takes, it must give back byte for byte; it must take nothing that is cut. */
static void hostile_bytes(void **state)
{
    (void)state;
    size_t refused = 0, taken = 0;
    for (int i = 0; i < N_SAMPLES; i++) {
        struct pv_record record = sample(i), got;
        void *arena;
        size_t len = encode(&record, room, sizeof room);
        for (size_t n = 0; n < len; n++) {
            uint8_t *cut = malloc(n ? n : 1); /* exactly so long, for the address sanitizer */
            memcpy(cut, room, n);
            assert_int_equal(pv_record_decode(record.kind, cut, n, &got, &arena), PV_E_SYNTAX);
            assert_null(arena);
            free(cut);
        }
        room[len] = 0;
        assert_int_equal(pv_record_decode(record.kind, room, len + 1, &got, &arena), PV_E_SYNTAX);
        for (size_t at = 0; at < len; at++) {
            static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x10};
            for (size_t f = 0; f < sizeof flips; f++) {
                room[at] ^= flips[f];
                int result = pv_record_decode(record.kind, room, len, &got, &arena);
                if (result == 0) {
                    assert_int_equal(encode(&got, again, sizeof again), len);
                    assert_memory_equal(room, again, len);
                    FILE *null = fopen("/dev/null", "w");
                    pv_record_dump(null, &got, "  ");
                    pv_record_summary(null, &got);
                    fclose(null);
                    free(arena);
                    taken++;
                } else {
                    assert_int_equal(result, PV_E_SYNTAX);
                    refused++;
                }
                room[at] ^= flips[f];
            }
        }
        for (uint32_t kind = 0; kind < 12; kind++)
            if (kind != record.kind && pv_record_decode(kind, room, len, &got, &arena) == 0)
                free(arena); /* short kinds can look alike; the chain covers the kind */
    }
    assert_true(refused > 100 && taken > 100);
}

static void counts_that_lie(void **state)
{
    (void)state;
    /* An outcome that claims 65,536 changes and has none: refused before room for them is taken. */
    struct pv_record record = sample_outcome(1, 1, "done"), got;
    void *arena;
    record.outcome.n_changes = 0;
    size_t len = encode(&record, room, sizeof room);
    memcpy(room + len - 4, "\0\0\1\0", 4);
    assert_int_equal(pv_record_decode(PV_RECORD_OUTCOME, room, len, &got, &arena), PV_E_SYNTAX);
    memcpy(room + len - 4, "\xff\xff\xff\xff", 4);
    assert_int_equal(pv_record_decode(PV_RECORD_OUTCOME, room, len, &got, &arena), PV_E_SYNTAX);
}

static void what_is_refused_is_not_written(void **state)
{
    (void)state;
    struct pv_record r = sample_event("word", "text");
    char *huge = malloc(PV_RECORD_TEXT_MAX + 2);
    memset(huge, 'x', PV_RECORD_TEXT_MAX + 1);
    huge[PV_RECORD_TEXT_MAX + 1] = '\0';
    r.event.text = pv_str_of(huge);
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r.event.text.len--;
    assert_true(encode(&r, room, sizeof room) > PV_RECORD_TEXT_MAX);
    assert_int_equal(encode(&r, room, 1000), 0);
    r.event.text = (struct pv_str){.ptr = "a\0b", .len = 3};
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r = sample_event("word", "text");
    r.uid = -2;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r.uid = (int64_t)UINT32_MAX + 1;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r.uid = UINT32_MAX;
    assert_true(encode(&r, room, sizeof room) > 0);
    r.kind = PV_RECORD_N_KINDS;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r = sample_own(true, "vlc", 1, "alice");
    r.uid = PV_RECORD_NOBODY;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r = sample_abuse(1, "x");
    r.abuse.kind = PV_ABUSE_N_KINDS;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r = sample_abuse(1, "x");
    r.abuse.count = 0;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    r = sample_decision(1, "alice", 1, "vlc", true);
    r.decision.attrs[1].type = PV_T_NONE;
    assert_int_equal(encode(&r, room, sizeof room), 0);
    free(huge);
}

static void many_operations(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct pv_record record = sample_decision(1001, "alice", 77, "vlc", true), got;
    void *arena;
    struct pv_record_operation *ops = calloc(N, sizeof *ops);
    for (int i = 0; i < N; i++)
        ops[i] = record.decision.operations[0];
    record.decision.operations = ops;
    record.decision.n_operations = N;
    uint8_t *big = malloc(PV_RECORD_MAX);
    size_t len = encode(&record, big, PV_RECORD_MAX);
    assert_true(len > N * 100);
    assert_int_equal(pv_record_decode(PV_RECORD_DECISION, big, len, &got, &arena), 0);
    assert_int_equal(got.decision.n_operations, N);
    assert_true(same_text(got.decision.operations[N - 1].attrs[1].string, pv_str_of("vlc")));
    free(arena);
    free(big);
    free(ops);
}

static void text_is_shown_harmlessly(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *shown;
    } rows[] = {
        {"plain", "plain"},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
        {"\x1b[2J", "\\x1b[2J"},
        {"back\\slash", "back\\\\slash"},
        {"\x7f", "\\x7f"},
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc2\x9b", "\\u{9B}"},
        {"\xe2\x80\xae", "\\u{202E}"},
        {"\xc0\x80", "\\xc0\\x80"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"", ""},
    };
    char shown[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = pv_escape(shown, sizeof shown, rows[i].raw, strlen(rows[i].raw));
        assert_string_equal(shown, rows[i].shown);
        assert_int_equal(n, strlen(rows[i].shown));
    }
    assert_int_equal(pv_escape(shown, 8, "12345678", 8), 7);
    assert_string_equal(shown, "1234...");
    pv_escape(shown, 8, "1234567", 7);
    assert_string_equal(shown, "1234567");
    pv_escape(shown, 8, "123\xc3\xa9\xc3\xa9\xc3\xa9", 9);
    assert_string_equal(shown, "123...");
    for (size_t size = 8; size < 20; size++)
        assert_true(pv_escape(shown, size, "\n\n\n\n\n\n\n\n\n\n\n", 11) < size);

    /* A whole record: no control character but the newlines that end its lines. */
    struct pv_record record = sample_abuse(1002, "a\x1b]0;b\x07\nfake: line");
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    pv_record_dump(f, &record, "  ");
    fclose(f);
    for (size_t i = 0; i < len; i++)
        assert_true(text[i] == '\n' || (unsigned char)text[i] >= 0x20);
    assert_null(strstr(text, "\nfake"));
    assert_non_null(strstr(text, "  detail: a\\x1b]0;b\\x07\\nfake: line\n"));
    free(text);
}

static void head_and_anchor(void **state)
{
    (void)state;
    struct pv_head head = {.seq = 12345}, got;
    char text[PV_HEAD_TEXT], anchor[PV_ANCHOR_TEXT];
    for (int i = 0; i < PV_CHAIN_HASH; i++)
        head.hash[i] = (uint8_t)(i * 9);
    pv_head_format(&head, text);
    assert_int_equal(text[PV_HEAD_TEXT - 1], '\n');
    assert_int_equal(pv_head_parse(text, sizeof text, &got), 0);
    assert_memory_equal(&got, &head, sizeof head);
    for (size_t n = 0; n < sizeof text; n++)
        assert_int_not_equal(pv_head_parse(text, n, &got), 0);
    for (size_t i = 0; i < sizeof text; i++) {
        char kept = text[i];
        text[i] ^= 0x20;
        if (pv_head_parse(text, sizeof text, &got) == 0)
            assert_true(memcmp(&got, &head, sizeof head) != 0);
        text[i] = kept;
    }
    pv_anchor_format(&head, anchor);
    assert_int_equal(pv_anchor_parse(anchor, &got), 0);
    assert_memory_equal(&got, &head, sizeof head);
    static const char *const bad[] = {
        "",
        ":",
        "1:",
        "1:00",
        "x:0000000000000000000000000000000000000000000000000000000000000000",
        "99999999999999999999:0000000000000000000000000000000000000000000000000000000000000000",
        "1:000000000000000000000000000000000000000000000000000000000000000G",
        "1:00000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(pv_anchor_parse(bad[i], &got), 0);
    head.seq = UINT64_MAX;
    pv_anchor_format(&head, anchor);
    assert_int_equal(pv_anchor_parse(anchor, &got), 0);
    assert_true(got.seq == UINT64_MAX);
}

/* The hash is a format: this value was computed with sha256sum over the bytes that chain.h describes. */
static void the_hash_is_as_documented(void **state)
{
    (void)state;
    struct pv_head prev = {0};
    uint8_t hash[PV_CHAIN_HASH], other[PV_CHAIN_HASH];
    pv_chain_hash(&prev, 2, 3, "body", 4, hash);
    static const uint8_t want[] = {0x37, 0x06, 0xb2, 0x69, 0xc0, 0xde, 0x84, 0x46, 0x17, 0x87, 0x12,
                                   0x6a, 0xd3, 0x6b, 0x39, 0x52, 0xf0, 0x58, 0xe3, 0x44, 0xd3, 0x2a,
                                   0xa2, 0xd9, 0xac, 0x09, 0x00, 0x43, 0xd2, 0x7c, 0x1e, 0x86};
    assert_memory_equal(hash, want, sizeof hash);
    pv_chain_hash(&prev, 2, 4, "body", 4, other);
    assert_memory_not_equal(hash, other, sizeof hash);
    pv_chain_hash_at(prev.hash, 2, 2, 3, "body", 4, other);
    assert_memory_not_equal(hash, other, sizeof hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(a_decision_is_whole),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(counts_that_lie),
        cmocka_unit_test(what_is_refused_is_not_written),
        cmocka_unit_test(many_operations),
        cmocka_unit_test(text_is_shown_harmlessly),
        cmocka_unit_test(head_and_anchor),
        cmocka_unit_test(the_hash_is_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
