/*
 * The front end between a client and a monitor that are both played here.
 *
 * Units first: every truncation and every flipped bit of messages and frames. Then the program itself, started as an
 * unprivileged user over socket pairs, as the monitor starts it: what a good client sends arrives as the canonical
 * request and nothing else; a hostile one is told where it is wrong, reported and cut off; a slow one costs a fixed
 * amount of memory and gets every byte.
 *
 *     frontend_test PROGRAM [RECORD]    RECORD gets every message of the program's, a line each, for the schema's test
 *
 * Needs root, to start the program as somebody else; without it only the units run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/frontend.h"
#include "runtime/proviso.h"

enum { NOBODY = 65534 };

static int program = -1; /* the front end's file, open: it may stand where only root gets to */
static FILE *record;

static const char id[] = "0123456789abcdef";

/* ---- Units ---- */

static const char submit_text[] =
    "{\"schema\":\"proviso/submit/1\",\"passcode\":\""
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
    "\",\"request\":{\"verb\":\"broker\",\"counter\":7,\"user\":\"alice\",\"timeout\":600,\"cwd\":\"/home/alice\","
    "\"dry_run\":true,\"interactive\":false,\"yes\":true,\"command\":\"install\",\"arguments\":[\"vlc\",\"g\\u00edt\"],"
    "\"version\":\"3.0\",\"source\":\"internal\",\"reason\":\"why \\u0007\","
    "\"options\":[{\"name\":\"lines\",\"value\":\"5\"},{\"name\":\"no-block\"},{\"name\":\"empty\",\"value\":\"\"}]}}";

static void expected_request(struct pv_wbuf *w)
{
    const struct pv_wire_request request = {
        .protocol = PV_PROTOCOL,
        .verb = PV_VERB_BROKER,
        .user_name = "alice",
        .counter = 7,
        .timeout = 600,
        .cwd = "/home/alice",
        .flags = PV_REQUEST_DRY_RUN | PV_REQUEST_YES,
        .command = "install",
        .args = {"vlc", "g\u00edt"},
        .n_args = 2,
        .version = "3.0",
        .source = "internal",
        .reason = "why \a",
        .options = {{"lines", true, "5"}, {"no-block", false, ""}, {"empty", true, ""}},
        .n_options = 3,
    };
    uint8_t bytes[PV_REQUEST_WIRE_MAX], passcode[PV_PASSCODE_SIZE];
    struct pv_wbuf encoded;
    pv_wbuf_init(&encoded, bytes, sizeof(bytes));
    pv_wire_request_encode(&encoded, &request);
    assert_false(encoded.overflow);
    for (size_t i = 0; i < sizeof(passcode); i++)
        passcode[i] = (uint8_t)i;
    pv_put_bytes(w, bytes, encoded.len);
    pv_put_raw(w, passcode, sizeof(passcode));
}

/* Parses and converts; the result of the first step that fails. */
static int convert(const char *text, size_t len, struct pv_wbuf *w, struct pv_message_error *error)
{
    json_t *message;
    int result = pv_message_parse(&message, text, len, error);
    if (result)
        return result;
    result = pv_front_submit(message, w, error);
    json_decref(message);
    return result;
}

static void submit_is_canonical(void **state)
{
    (void)state;
    uint8_t bytes[PV_WIRE_MAX], expected[PV_WIRE_MAX];
    struct pv_wbuf w, e;
    struct pv_message_error error;
    pv_wbuf_init(&w, bytes, sizeof(bytes));
    pv_wbuf_init(&e, expected, sizeof(expected));
    assert_int_equal(convert(submit_text, sizeof(submit_text) - 1, &w, &error), 0);
    expected_request(&e);
    assert_int_equal(w.len, e.len);
    assert_memory_equal(bytes, expected, e.len);
}

static void submit_truncated_and_flipped(void **state)
{
    (void)state;
    static uint8_t bytes[PV_WIRE_MAX];
    struct pv_wbuf w;
    struct pv_message_error error;
    size_t len = sizeof(submit_text) - 1;
    for (size_t i = 0; i < len; i++) {
        /* A copy of exactly this length: a read past the end is seen by the sanitizer. */
        char *copy = malloc(i + 1);
        memcpy(copy, submit_text, i);
        pv_wbuf_init(&w, bytes, sizeof(bytes));
        assert_int_equal(convert(copy, i, &w, &error), PV_E_MESSAGE_BAD);
        assert_true(error.text[0] != '\0');
        free(copy);
    }
    for (size_t i = 0; i < len; i++)
        for (int bit = 0; bit < 8; bit++) {
            char copy[sizeof(submit_text)];
            memcpy(copy, submit_text, sizeof(copy));
            copy[i] = (char)(copy[i] ^ 1 << bit);
            pv_wbuf_init(&w, bytes, sizeof(bytes));
            int result = convert(copy, len, &w, &error);
            assert_true(result == 0 || result == PV_E_MESSAGE_BAD);
            json_t *text = json_string(error.text);
            assert_non_null(text); /* a sentence that can be sent */
            json_decref(text);
        }
}

static void bad_messages_name_the_place(void **state)
{
    (void)state;
#define REQUEST(inside)                                                                                                \
    "{\"schema\":\"proviso/submit/1\",\"passcode\":\"00\",\"request\":{\"verb\":\"broker\",\"counter\":1" inside "}}"
    static const struct {
        const char *text, *place, *says;
    } cases[] = {
        {"", "", "byte 0"},
        {"[]", "", "a message is a JSON object"},
        {"{}", "schema", "schema is missing"},
        {"{\"schema\":1}", "schema", "schema is not a string"},
        {"{\"schema\":\"proviso/submit/1\"}", "request", "request is missing"},
        {"{\"schema\":\"a\",\"schema\":\"b\"}", "", "duplicate"},
        {"{\"schema\":\"\\u0000\"}", "", "byte"},
        {"{\"schema\":\"\xff\"}", "", "byte"},
        {"{\"schema\":\"\xed\xa0\x80\"}", "", "byte"},
        {"{} {}", "", "byte"},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}", "schema", "missing"},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":[]}}}}}}}}", "", "more than 8"},
        {REQUEST(",\"extra\":1"), "request.extra", "not a key"},
        {REQUEST(",\"timeout\":-1"), "request.timeout", "not between"},
        {REQUEST(",\"timeout\":1.5"), "request.timeout", "not a whole number"},
        {REQUEST(",\"timeout\":99999999999999999999"), "", "byte"},
        {REQUEST(",\"counter\":2"), "", "duplicate"},
        {REQUEST(",\"arguments\":\"vlc\""), "request.arguments", "not a list"},
        {REQUEST(",\"arguments\":[\"a\",2]"), "request.arguments[1]", "not a string"},
        {REQUEST(",\"options\":[{\"name\":\"a\"},{\"value\":\"b\"}]"), "request.options[1].name", "missing"},
        {REQUEST(",\"options\":[{\"name\":\"a\",\"v\":1}]"), "request.options[0].v", "not a key"},
        {REQUEST(",\"dry_run\":1"), "request.dry_run", "not true or false"},
        {REQUEST(""), "passcode", "hexadecimal"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[PV_WIRE_MAX];
        struct pv_wbuf w;
        struct pv_message_error error;
        pv_wbuf_init(&w, bytes, sizeof(bytes));
        assert_int_equal(convert(cases[i].text, strlen(cases[i].text), &w, &error), PV_E_MESSAGE_BAD);
        assert_string_equal(error.place, cases[i].place);
        if (!strstr(error.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].text, error.text, cases[i].says);
    }
    /* NUL bytes and deep nesting: not C strings, or made here. */
    struct pv_message_error error;
    json_t *message;
    assert_int_equal(pv_message_parse(&message, "{\"a\":\"b\0c\"}", 11, &error), PV_E_MESSAGE_BAD);
    assert_int_equal(pv_message_parse(&message, "{}\0", 3, &error), PV_E_MESSAGE_BAD);
    char *deep = malloc(200000);
    memset(deep, '[', 200000);
    assert_int_equal(pv_message_parse(&message, deep, 200000, &error), PV_E_MESSAGE_BAD);
    assert_int_equal(error.offset, PV_MESSAGE_DEPTH);
    free(deep);
}

/* One sample of each frame, with every list filled. */
static void put_rule(struct pv_wbuf *w, const char *name, uint32_t kind)
{
    pv_put_cstr(w, name);
    pv_put_u32(w, kind);
    pv_put_cstr(w, kind == PV_RULE_BUILTIN_DENY ? "" : "workstations.policy");
    pv_put_u32(w, kind == PV_RULE_BUILTIN_DENY ? 0 : 41);
}

static void put_decision(struct pv_wbuf *w, uint32_t effect)
{
    pv_put_u32(w, effect);
    pv_put_bool(w, false);
    pv_put_u32(w, 70); /* of which two are listed */
    pv_put_u32(w, 2);
    put_rule(w, "builtin:protected", PV_RULE_BUILTIN_DENY);
    put_rule(w, "no-sniffers", PV_RULE_DENY);
    pv_put_u32(w, 1);
    pv_put_cstr(w, "Network tools need NetOps");
    pv_put_bool(w, true);
    pv_put_bool(w, true);
    pv_put_i64(w, 600);
    pv_put_cstr(w, "worker");
    pv_put_u32(w, 4);
    static const uint32_t kinds[] = {PV_D_APPROVAL, PV_D_WINDOW, PV_D_NOTICE, PV_D_ALERT};
    for (size_t i = 0; i < 4; i++) {
        pv_put_u32(w, kinds[i]);
        pv_put_cstr(w, "text");
    }
}

static void sample_frame(uint32_t type, struct pv_wbuf *w)
{
    static const uint8_t hash[32] = {0xab};
    switch (type) {
    case PV_MF_HELLO:
        pv_put_u32(w, PV_PROTOCOL);
        pv_put_raw(w, hash, 32);
        pv_put_u32(w, 1001);
        pv_put_u32(w, PV_HELLO_BROKERING | PV_HELLO_POLICY | PV_HELLO_LEDGER);
        pv_put_cstr(w, "0.1.0");
        pv_put_cstr(w, "workstations");
        pv_put_cstr(w, "Managed workstations");
        pv_put_u64(w, 7);
        pv_put_raw(w, hash, 32);
        break;
    case PV_MF_DECISION:
        pv_put_cstr(w, id);
        pv_put_bool(w, true);
        pv_put_bool(w, true);
        pv_put_cstr(w, "");
        put_decision(w, PV_ALLOW);
        pv_put_u32(w, 1);
        break;
    case PV_MF_OPERATION:
        pv_put_cstr(w, "install");
        pv_put_cstr(w, "vlc");
        pv_put_cstr(w, "amd64");
        pv_put_cstr(w, "");
        pv_put_cstr(w, "3.0.18-2");
        pv_put_cstr(w, "internal");
        pv_put_bool(w, false);
        pv_put_bool(w, true);
        pv_put_u64(w, 1200000);
        put_decision(w, PV_DENY);
        break;
    case PV_MF_PROGRESS:
        pv_put_u32(w, PV_PHASE_PLANNING);
        pv_put_cstr(w, "working");
        break;
    case PV_MF_FINISHED:
        pv_put_cstr(w, id);
        pv_put_u32(w, PV_OUTCOME_DONE);
        pv_put_i64(w, 0);
        pv_put_u32(w, 9);
        pv_put_bool(w, true);
        pv_put_cstr(w, "it ran");
        break;
    case PV_MF_DIRECT:
        pv_put_cstr(w, id);
        pv_put_u32(w, 2);
        pv_put_cstr(w, "/usr/bin/apt-get");
        pv_put_cstr(w, "install");
        break;
    case PV_MF_RULE:
        put_rule(w, "base", PV_RULE_ALLOW);
        pv_put_u32(w, PV_UNKNOWN);
        pv_put_cstr(w, "title");
        pv_put_u32(w, 1);
        pv_put_u32(w, PV_C_WHEN);
        pv_put_u32(w, PV_FALSE);
        pv_put_cstr(w, "when transaction.removes == 0");
        pv_put_u32(w, 1);
        pv_put_cstr(w, "because");
        pv_put_u32(w, 1);
        pv_put_u32(w, PV_D_TIMEOUT);
        pv_put_cstr(w, "");
        pv_put_i64(w, 600);
        break;
    case PV_MF_HISTORY:
        pv_put_cstr(w, id);
        pv_put_i64(w, 1795000000);
        pv_put_cstr(w, "install");
        pv_put_u32(w, 1);
        pv_put_cstr(w, "vl\xff\x1b");
        pv_put_u32(w, PV_ALLOW);
        pv_put_cstr(w, "done");
        pv_put_i64(w, 0);
        pv_put_i64(w, 1795000009);
        pv_put_cstr(w, "");
        break;
    case PV_MF_END:
        pv_put_cstr(w, id);
        pv_put_u32(w, 1);
        break;
    case PV_MF_ERROR:
        pv_put_u32(w, PV_FERR_POLICY);
        pv_put_cstr(w, "no policy is in force");
        break;
    default: pv_put_cstr(w, id); /* accepted, started */
    }
}

static void frames_truncated_and_flipped(void **state)
{
    (void)state;
    for (uint32_t type = PV_MF_HELLO; type <= PV_MF_ERROR; type++) {
        uint8_t bytes[4096];
        struct pv_wbuf w;
        struct pv_front_answer answer;
        pv_wbuf_init(&w, bytes, sizeof(bytes));
        sample_frame(type, &w);
        assert_false(w.overflow);
        assert_int_equal(pv_front_answer(type, bytes, w.len, &answer), 0);
        json_decref(answer.message);
        for (size_t i = 0; i < w.len; i++) {
            uint8_t *copy = malloc(i + 1);
            memcpy(copy, bytes, i);
            assert_int_equal(pv_front_answer(type, copy, i, &answer), PV_E_WIRE_BAD);
            assert_null(answer.message);
            free(copy);
        }
        for (size_t i = 0; i < w.len * 8; i++) {
            bytes[i / 8] ^= (uint8_t)(1u << i % 8);
            int result = pv_front_answer(type, bytes, w.len, &answer);
            assert_true(result == 0 || result == PV_E_WIRE_BAD);
            json_decref(answer.message);
            bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        bytes[w.len] = 0;
        assert_int_equal(pv_front_answer(type, bytes, w.len + 1, &answer), PV_E_WIRE_BAD);
    }
    struct pv_front_answer answer;
    assert_int_equal(pv_front_answer(PV_FM_REQUEST, "", 0, &answer), PV_E_WIRE_BAD);
}

static void status_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double percent; /* negative: not a line of progress */
        const char *text;
    } cases[] = {
        {"pmstatus:vlc:40.0000:Unpacking vlc (amd64)", 40, "Unpacking vlc (amd64)"},
        {"dlstatus:1:20.5:Retrieving file 1 of 2", 20.5, "Retrieving file 1 of 2"},
        {"pmstatus:libc6:amd64:100.0000:Installed", 100, "Installed"},
        {"pmstatus:dpkg-exec:0:Running dpkg", 0, "Running dpkg"},
        {"pmstatus:vlc:40:a:b:50:c", 40, "a:b:50:c"},
        {"pmstatus:vlc:nan:x", -1, ""},
        {"pmstatus:vlc:inf:x", -1, ""},
        {"pmstatus:vlc:1e99:x", -1, ""},
        {"pmstatus:vlc:101:x", -1, ""},
        {"pmstatus:vlc:-1:x", -1, ""},
        {"pmstatus:vlc", -1, ""},
        {"pmerror:vlc:40:x", -1, ""},
        {"media-change:a:b", -1, ""},
        {"", -1, ""},
        {":::::", -1, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *kind, *text;
        size_t kind_len;
        double percent;
        bool is = pv_front_status_line(cases[i].line, &kind, &kind_len, &percent, &text);
        assert_int_equal(is, cases[i].percent >= 0);
        if (is) {
            assert_true(percent == cases[i].percent);
            assert_string_equal(text, cases[i].text);
        }
    }
}

static void base64_and_hex(void **state)
{
    (void)state;
    uint8_t bytes[256], back[256];
    char text[PV_BASE64_SIZE(sizeof(bytes))], hex[2 * sizeof(bytes) + 1];
    size_t len;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        pv_base64_encode(text, bytes, n);
        assert_int_equal(strlen(text) + 1, PV_BASE64_SIZE(n));
        assert_true(pv_base64_decode(back, sizeof(back), &len, text));
        assert_int_equal(len, n);
        assert_memory_equal(back, bytes, n);
        if (n > 0)
            assert_false(pv_base64_decode(back, n - 1, &len, text));
        pv_hex_encode(hex, bytes, n);
        assert_true(pv_hex_decode(back, n, hex));
        assert_memory_equal(back, bytes, n);
    }
    assert_string_equal((pv_base64_encode(text, (const uint8_t *)"foob", 4), text), "Zm9vYg==");
    static const char *const bad[] = {"Z", "Zm9", "Zm9=Zm9v", "Zm9vYh==", "=m9v", "Zm 9", "Z===", "Zm9vYg=", "Zm9v\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(pv_base64_decode(back, sizeof(back), &len, bad[i]));
    assert_false(pv_hex_decode(back, 1, "0"));
    assert_false(pv_hex_decode(back, 1, "0G"));
    assert_false(pv_hex_decode(back, 1, "AB"));
    assert_false(pv_hex_decode(back, 1, "abc"));
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len, valid;
        bool cut;
    } cases[] = {
        {"abc", 3, 3, false},
        {"\xc3\xa9", 2, 2, false},
        {"a\xc3", 2, 1, true},
        {"\xe2\x82", 2, 0, true},
        {"\xf0\x9f\x98", 3, 0, true},
        {"\xf0\x9f\x98\x80", 4, 4, false},
        {"\xc0\x80", 2, 0, false},
        {"\xe0\x80\x80", 3, 0, false},
        {"\xed\xa0\x80", 3, 0, false},
        {"\xf4\x90\x80\x80", 4, 0, false},
        {"\xff", 1, 0, false},
        {"a\0b", 3, 1, false},
        {"\x80", 1, 0, false},
        {"\xc3(", 2, 0, false},
        {"\xf4\x8f\xbf\xbf", 4, 4, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool cut;
        assert_int_equal(pv_utf8_prefix(cases[i].text, cases[i].len, &cut), cases[i].valid);
        assert_int_equal(cut, cases[i].cut);
    }
}

/* ---- The program ---- */

struct play {
    pid_t pid;
    int client, monitor; /* the ends that are played here */
    struct pv_inbox in;
};

static void start(struct play *play)
{
    int c[2], m[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, m), 0);
    *play = (struct play){.client = c[0], .monitor = m[0]};
    play->pid = fork();
    assert_true(play->pid >= 0);
    if (play->pid == 0) {
        char *argv[] = {(char *)(uintptr_t) "proviso-frontend", NULL}, *environment[] = {NULL};
        int client = fcntl(c[1], F_DUPFD, 40), monitor = fcntl(m[1], F_DUPFD, 40),
            file = fcntl(program, F_DUPFD_CLOEXEC, 40);
        dup2(client, 3);
        dup2(monitor, 4);
        close(client);
        close(monitor);
        if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
            _exit(99);
        fexecve(file, argv, environment);
        _exit(98);
    }
    close(c[1]);
    close(m[1]);
}

/* Waits for the end, which has to come by itself and be a proper one. */
static void stop(struct play *play)
{
    int status;
    if (play->client >= 0)
        close(play->client);
    if (play->monitor >= 0)
        close(play->monitor);
    pv_inbox_free(&play->in);
    assert_int_equal(waitpid(play->pid, &status, 0), play->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void tell_frame(struct play *play, uint32_t type, const int *fds, size_t n_fds)
{
    uint8_t bytes[4096];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof(bytes));
    sample_frame(type, &w);
    assert_int_equal(pv_frame_send(play->monitor, type, &w, fds, n_fds), 0);
}

static json_t *hear(struct play *play)
{
    json_t *message;
    struct pv_message_error error;
    struct pollfd fd = {.fd = play->client, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    int result = pv_inbox_read(&play->in, play->client, &message, &error);
    if (result != 1)
        fail_msg("no message: %d %s", result, error.text);
    if (record) {
        char *line = json_dumps(message, JSON_COMPACT);
        fprintf(record, "%s\n", line);
        free(line);
    }
    return message;
}

/* The next message is of this kind; with `key`, that has this value. */
static void expect(struct play *play, const char *schema, const char *key, const char *value)
{
    json_t *message = hear(play);
    assert_string_equal(pv_message_schema(message), schema);
    if (key) {
        const char *text = pv_message_string(message, key);
        assert_non_null(text);
        assert_string_equal(text, value);
    }
    json_decref(message);
}

static void expect_end(struct play *play)
{
    json_t *message;
    struct pv_message_error error;
    struct pollfd fd = {.fd = play->client, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(pv_inbox_read(&play->in, play->client, &message, &error), PV_E_MESSAGE_CLOSED);
}

/* The next frame of the program's, into buf. */
static uint32_t heard_by_monitor(struct play *play, uint8_t *buf, size_t cap, size_t *len)
{
    uint32_t type;
    struct pollfd fd = {.fd = play->monitor, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(pv_frame_recv(play->monitor, buf, cap, &type, len, NULL, 0, NULL), 0);
    return type;
}

static void expect_abuse(struct play *play, uint32_t kind)
{
    uint8_t buf[2048];
    size_t len, n;
    assert_int_equal(heard_by_monitor(play, buf, sizeof(buf), &len), PV_FM_ABUSE);
    struct pv_rbuf r;
    pv_rbuf_init(&r, buf, len);
    assert_int_equal(pv_get_u32(&r), kind);
    pv_get_str(&r, 512, &n);
    assert_true(pv_rbuf_done(&r));
    assert_true(n > 0);
}

static void expect_monitor_end(struct play *play)
{
    uint8_t buf[64];
    uint32_t type;
    size_t len;
    struct pollfd fd = {.fd = play->monitor, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(pv_frame_recv(play->monitor, buf, sizeof(buf), &type, &len, NULL, 0, NULL), PV_E_WIRE_CLOSED);
}

static void send_bytes(struct play *play, const void *bytes, size_t len)
{
    assert_int_equal(send(play->client, bytes, len, MSG_NOSIGNAL), len);
}

static void send_text(struct play *play, const char *text, size_t len)
{
    uint8_t head[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};
    send_bytes(play, head, 4);
    send_bytes(play, text, len);
}

static void greet(struct play *play)
{
    start(play);
    tell_frame(play, PV_MF_HELLO, NULL, 0);
    expect(play, "proviso/hello/1", "agent", "0.1.0");
}

/* Up to a request in flight. */
static void ask(struct play *play)
{
    static uint8_t buf[PV_WIRE_MAX], expected[PV_WIRE_MAX];
    size_t len;
    struct pv_wbuf e;
    send_text(play, submit_text, sizeof(submit_text) - 1);
    assert_int_equal(heard_by_monitor(play, buf, sizeof(buf), &len), PV_FM_REQUEST);
    pv_wbuf_init(&e, expected, sizeof(expected));
    expected_request(&e);
    assert_int_equal(len, e.len);
    assert_memory_equal(buf, expected, len);
}

static int temporary(void)
{
    char path[] = "/tmp/frontend_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

/* Two growing files, told as started. The descriptors that are written to. */
static void start_command(struct play *play, int *output, int *progress)
{
    int fds[2];
    *output = temporary();
    *progress = temporary();
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", *output);
    fds[0] = open(path, O_RDONLY);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", *progress);
    fds[1] = open(path, O_RDONLY);
    tell_frame(play, PV_MF_STARTED, fds, 2);
    close(fds[0]);
    close(fds[1]);
    expect(play, "proviso/started/1", "id", id);
}

static void put(int fd, const char *bytes, size_t len)
{
    assert_int_equal(write(fd, bytes, len), len);
}

static void needs_root(void)
{
    if (geteuid() != 0 || program < 0)
        skip();
}

static void every_frame_becomes_a_message(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    greet(&play);
    ask(&play);
    tell_frame(&play, PV_MF_ACCEPTED, NULL, 0);
    expect(&play, "proviso/accepted/1", "id", id);
    tell_frame(&play, PV_MF_PROGRESS, NULL, 0);
    expect(&play, "proviso/progress/1", "phase", "planning");
    tell_frame(&play, PV_MF_DECISION, NULL, 0);
    expect(&play, "proviso/verdict/1", "id", id);
    tell_frame(&play, PV_MF_OPERATION, NULL, 0);
    expect(&play, "proviso/operation/1", "version", "3.0.18-2");
    tell_frame(&play, PV_MF_RULE, NULL, 0);
    expect(&play, "proviso/rule/1", "truth", "unknown");
    tell_frame(&play, PV_MF_HISTORY, NULL, 0);
    expect(&play, "proviso/history/1", "command", "install");
    tell_frame(&play, PV_MF_DIRECT, NULL, 0);
    expect(&play, "proviso/direct/1", "id", id);
    tell_frame(&play, PV_MF_END, NULL, 0);
    expect(&play, "proviso/end/1", "id", id);
    ask(&play); /* the next request on the same connection */
    tell_frame(&play, PV_MF_ERROR, NULL, 0);
    expect(&play, "proviso/error/1", "code", "policy");
    ask(&play);
    tell_frame(&play, PV_MF_FINISHED, NULL, 0);
    expect(&play, "proviso/result/1", "outcome", "done");
    close(play.client);
    play.client = -1;
    expect_monitor_end(&play);
    stop(&play);
}

static void streams_until_finished(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    int output, progress;
    greet(&play);
    ask(&play);
    start_command(&play, &output, &progress);
    put(progress, "pmstatus:vlc:10.4:Preparing\npmsta", 33);
    expect(&play, "proviso/progress/1", "text", "Preparing");
    put(output, "caf\xc3", 4);
    expect(&play, "proviso/output/1", "text", "caf");
    put(output, "\xa9\n", 2);
    expect(&play, "proviso/output/1", "text", "\u00e9\n");
    put(output, "\0\xff", 2);
    expect(&play, "proviso/output/1", "base64", "AP8=");
    put(progress, "tus:vlc:10.9:Preparing\npmstatus:vlc:55:Un\xffpacking\n", 51);
    expect(&play, "proviso/progress/1", "text", "Un\ufffdpacking");
    /* The end of the output may come together with the news that it has ended, and in the middle of a character. */
    put(output, "last\xe2\x82", 6);
    tell_frame(&play, PV_MF_FINISHED, NULL, 0);
    expect(&play, "proviso/output/1", "text", "last");
    expect(&play, "proviso/output/1", "base64", "4oI=");
    expect(&play, "proviso/result/1", "text", "it ran");
    close(output);
    close(progress);
    stop(&play);
}

static long resident_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static void slow_reader_costs_a_fixed_amount(void **state)
{
    (void)state;
    needs_root();
    enum { CHUNK = 1 << 20, CHUNKS = 40 };
    struct play play;
    int output, progress;
    greet(&play);
    ask(&play);
    start_command(&play, &output, &progress);
    char *chunk = malloc(CHUNK);
    for (size_t i = 0; i < CHUNK; i++)
        chunk[i] = (char)('a' + i % 26);
    long before = resident_kib(play.pid);
    for (int i = 0; i < CHUNKS; i++)
        put(output, chunk, CHUNK);
    tell_frame(&play, PV_MF_FINISHED, NULL, 0);
    usleep(500000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(PV_SANITIZED)
    assert_true(resident_kib(play.pid) - before < 4096);
#else
    (void)before;
#endif
    size_t total = 0;
    FILE *keep = record;
    record = NULL; /* this much of the same teaches the schema nothing */
    for (;;) {
        json_t *message = hear(&play);
        if (strcmp(pv_message_schema(message), "proviso/result/1") == 0) {
            json_decref(message);
            break;
        }
        const char *text = pv_message_string(message, "text");
        assert_non_null(text);
        for (size_t i = 0; text[i]; i++, total++)
            if (text[i] != (char)('a' + total % CHUNK % 26))
                fail_msg("byte %zu is wrong", total);
        json_decref(message);
    }
    record = keep;
    assert_int_equal(total, (size_t)CHUNK * CHUNKS);
    free(chunk);
    close(output);
    close(progress);
    stop(&play);
}

static void hostile_client(void **state)
{
    (void)state;
    needs_root();
    static char big[PV_MESSAGE_MAX];
    memset(big, ' ', sizeof(big));
    big[0] = '{';
    static char deep[4096];
    memset(deep, '[', sizeof(deep));
    static const struct {
        const char *bytes; /* after the length, which is that of the text unless `len` says otherwise */
        size_t text_len;
        uint32_t len;
        uint32_t kind;
        const char *place;
    } cases[] = {
        {"", 0, 0, PV_FABUSE_MALFORMED, NULL},
        {"", 0, PV_MESSAGE_MAX + 1, PV_FABUSE_TOO_LONG, NULL},
        {"", 0, UINT32_MAX, PV_FABUSE_TOO_LONG, NULL},
        {"{}", 2, 2, PV_FABUSE_MALFORMED, "schema"},
        {"{\"schema\":\"proviso/root/1\"}", 27, 27, PV_FABUSE_MALFORMED, "schema"},
        {"{\"schema\":\"proviso/cancel/1\",\"id\":1}", 36, 36, PV_FABUSE_MALFORMED, "id"},
        {"{\"a\":1,\"a\":1}", 13, 13, PV_FABUSE_MALFORMED, NULL},
        {"{\"a\":\"\0\"}", 9, 9, PV_FABUSE_MALFORMED, NULL},
        {"{\"a\":\"\xc0\x80\"}", 10, 10, PV_FABUSE_MALFORMED, NULL},
        {deep, sizeof(deep), sizeof(deep), PV_FABUSE_MALFORMED, NULL},
        {big, sizeof(big), sizeof(big), PV_FABUSE_MALFORMED, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct play play;
        greet(&play);
        uint32_t len = cases[i].len;
        const uint8_t head[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};
        send_bytes(&play, head, 4);
        for (size_t sent = 0; sent < cases[i].text_len;) {
            ssize_t n = send(play.client, cases[i].bytes + sent, cases[i].text_len - sent, MSG_NOSIGNAL);
            assert_true(n > 0);
            sent += (size_t)n;
        }
        json_t *message = hear(&play);
        assert_string_equal(pv_message_schema(message), "proviso/error/1");
        assert_string_equal(pv_message_string(message, "code"), "malformed");
        const char *place = pv_message_string(message, "place");
        if (cases[i].place)
            assert_string_equal(place, cases[i].place);
        json_decref(message);
        expect_end(&play);
        expect_abuse(&play, cases[i].kind);
        expect_monitor_end(&play);
        stop(&play);
    }
}

static void second_request_in_flight(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    greet(&play);
    ask(&play);
    send_text(&play, submit_text, sizeof(submit_text) - 1);
    expect(&play, "proviso/error/1", "code", "busy");
    expect_end(&play);
    expect_abuse(&play, PV_FABUSE_SECOND_REQUEST);
    stop(&play);
}

static void cancel_only_what_is_in_flight(void **state)
{
    (void)state;
    needs_root();
    static const char cancel[] = "{\"schema\":\"proviso/cancel/1\"}";
    struct play play;
    uint8_t buf[64];
    size_t len;
    greet(&play);
    send_text(&play, cancel, sizeof(cancel) - 1); /* crossed a result: no frame, no error */
    ask(&play);
    send_text(&play, cancel, sizeof(cancel) - 1);
    assert_int_equal(heard_by_monitor(&play, buf, sizeof(buf), &len), PV_FM_CANCEL);
    assert_int_equal(len, 0);
    stop(&play);
}

static void client_goes_away(void **state)
{
    (void)state;
    needs_root();
    /* Inside a message, at every kind of place. */
    static const size_t parts[] = {1, 3, 4, 5, 100};
    char framed[sizeof(submit_text) + 3];
    uint32_t n = sizeof(submit_text) - 1;
    const uint8_t head[4] = {(uint8_t)n, (uint8_t)(n >> 8), 0, 0};
    memcpy(framed, head, 4);
    memcpy(framed + 4, submit_text, n);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct play play;
        greet(&play);
        send_bytes(&play, framed, parts[i]);
        close(play.client);
        play.client = -1;
        expect_abuse(&play, PV_FABUSE_MALFORMED);
        expect_monitor_end(&play);
        stop(&play);
    }
    /* With a command running and its output not taken. */
    struct play play;
    int output, progress;
    greet(&play);
    ask(&play);
    start_command(&play, &output, &progress);
    char *text = calloc(1, 4 << 20);
    put(output, text, 4 << 20);
    usleep(100000);
    close(play.client);
    play.client = -1;
    expect_monitor_end(&play);
    stop(&play);
    free(text);
    close(output);
    close(progress);
}

static void monitor_goes_away(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    greet(&play);
    ask(&play);
    close(play.monitor);
    play.monitor = -1;
    expect(&play, "proviso/error/1", "code", "internal");
    expect_end(&play);
    stop(&play);
}

static void frames_out_of_place(void **state)
{
    (void)state;
    needs_root();
    /* Before the greeting, a second greeting, without a request, and descriptors that are not asked for or missing. */
    static const uint32_t first[] = {PV_MF_ACCEPTED, PV_MF_FINISHED};
    for (size_t i = 0; i < 2; i++) {
        struct play play;
        start(&play);
        tell_frame(&play, first[i], NULL, 0);
        expect(&play, "proviso/error/1", "code", "internal");
        expect_end(&play);
        stop(&play);
    }
    static const uint32_t idle[] = {PV_MF_HELLO, PV_MF_ACCEPTED, PV_MF_FINISHED, PV_MF_RULE, 0x7fff};
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
        struct play play;
        greet(&play);
        tell_frame(&play, idle[i], NULL, 0);
        expect(&play, "proviso/error/1", "code", "internal");
        expect_end(&play);
        stop(&play);
    }
    for (size_t n_fds = 0; n_fds < 2; n_fds++) {
        struct play play;
        int fd = temporary();
        greet(&play);
        ask(&play);
        tell_frame(&play, n_fds ? PV_MF_ACCEPTED : PV_MF_STARTED, &fd, n_fds);
        expect(&play, "proviso/error/1", "code", "internal");
        expect_end(&play);
        stop(&play);
        close(fd);
    }
}

static void refused_before_the_greeting(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    start(&play);
    tell_frame(&play, PV_MF_ERROR, NULL, 0);
    expect(&play, "proviso/error/1", "code", "policy");
    expect_end(&play);
    stop(&play);
}

static void is_confined(void **state)
{
    (void)state;
    needs_root();
    struct play play;
    greet(&play);
    char path[64], line[256];
    int found = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", play.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        static const char *const wanted[] = {"NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n",
                                             "CapPrm:\t0000000000000000\n", "Uid:\t65534\t65534\t65534\t65534\n",
#ifndef PV_SANITIZED
                                             "Seccomp:\t2\n"
#endif
        };
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            found += strcmp(line, wanted[i]) == 0;
    }
    fclose(file);
#ifdef PV_SANITIZED
    assert_int_equal(found, 4);
#else
    assert_int_equal(found, 5);
#endif
    stop(&play);
}

static void refuses_root_and_other_starts(void **state)
{
    (void)state;
    needs_root();
    for (int as_root = 0; as_root < 2; as_root++) {
        pid_t pid = fork();
        if (pid == 0) {
            char *argv[] = {(char *)(uintptr_t) "proviso-frontend", NULL}, *environment[] = {NULL};
            int file = fcntl(program, F_DUPFD_CLOEXEC, 40);
            close(STDERR_FILENO);
            close(3);
            close(4);
            if (!as_root && setresuid(NOBODY, NOBODY, NOBODY))
                _exit(99);
            fexecve(file, argv, environment);
            _exit(98);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 2);
    }
}

#ifndef PV_SANITIZED
/* What the filter has to stop, tried in children that have put it on. */
static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY);
}
static int try_exec(void)
{
    return execl("/bin/true", "true", NULL);
}
static int try_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int try_fork(void)
{
    return fork();
}
static int try_kill(void)
{
    return kill(getppid(), 0);
}

static void filter_kills(void **state)
{
    (void)state;
    int (*const tries[])(void) = {try_open, try_exec, try_socket, try_fork, try_kill};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (pv_front_sandbox())
                _exit(99);
            tries[i]();
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit_is_canonical),
        cmocka_unit_test(submit_truncated_and_flipped),
        cmocka_unit_test(bad_messages_name_the_place),
        cmocka_unit_test(frames_truncated_and_flipped),
        cmocka_unit_test(status_lines),
        cmocka_unit_test(base64_and_hex),
        cmocka_unit_test(utf8),
#ifndef PV_SANITIZED
        cmocka_unit_test(filter_kills),
#endif
        cmocka_unit_test(every_frame_becomes_a_message),
        cmocka_unit_test(streams_until_finished),
        cmocka_unit_test(slow_reader_costs_a_fixed_amount),
        cmocka_unit_test(hostile_client),
        cmocka_unit_test(second_request_in_flight),
        cmocka_unit_test(cancel_only_what_is_in_flight),
        cmocka_unit_test(client_goes_away),
        cmocka_unit_test(monitor_goes_away),
        cmocka_unit_test(frames_out_of_place),
        cmocka_unit_test(refused_before_the_greeting),
        cmocka_unit_test(is_confined),
        cmocka_unit_test(refuses_root_and_other_starts),
    };
    if (argc > 1)
        program = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (argc > 2)
        record = fopen(argv[2], "we");
    if (argc > 1 && (program < 0 || (argc > 2 && !record))) {
        fprintf(stderr, "frontend_test: %s\n", strerror(errno));
        return 2;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (record)
        fclose(record);
    return failed;
}
