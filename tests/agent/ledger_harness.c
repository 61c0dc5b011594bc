/* See ledger_harness.h. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/agent/ledger_harness.h"

const char *harness_program;
static uint8_t in[PV_WIRE_MAX], out[PV_WIRE_MAX], body_room[PV_RECORD_MAX];

void harness_init(struct harness *h)
{
    *h = (struct harness){.fd = -1};
    snprintf(h->dir, sizeof h->dir, "%s", "/tmp/proviso-ledger-test.XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    snprintf(h->path, sizeof h->path, "%s/%s", h->dir, PV_LEDGER_FILE);
}

void harness_free(struct harness *h)
{
    char path[128];
    static const char *const names[] = {"", "-wal", "-shm", "-journal"};
    if (h->pid)
        harness_kill(h);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s%s", h->path, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(h->dir), 0);
}

void harness_start(struct harness *h, size_t fsize_limit)
{
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    int size = 4 << 20;
    setsockopt(sv[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    h->pid = fork();
    assert_true(h->pid >= 0);
    if (h->pid == 0) {
        struct rlimit limit = {.rlim_cur = fsize_limit, .rlim_max = fsize_limit};
        int log = open("/dev/null", O_WRONLY);
        if (sv[1] == 3)
            fcntl(3, F_SETFD, 0);
        else if (dup2(sv[1], 3) != 3)
            _exit(99);
        if (!getenv("PV_TEST_VERBOSE"))
            dup2(log, 2);
        if (fsize_limit && setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(99);
        /* It is not dumpable, so the leak checker of a sanitized build cannot attach to it. */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execl(harness_program, "proviso-ledger", h->dir, (char *)NULL);
        _exit(98);
    }
    close(sv[1]);
    h->fd = sv[0];
}

static int await_exit(struct harness *h)
{
    int status;
    pid_t pid;
    do
        pid = waitpid(h->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    assert_int_equal(pid, h->pid);
    h->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int harness_stop(struct harness *h)
{
    close(h->fd);
    h->fd = -1;
    return await_exit(h);
}

void harness_kill(struct harness *h)
{
    kill(h->pid, SIGKILL);
    await_exit(h);
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

uint32_t harness_recv(struct harness *h, struct pv_rbuf *r)
{
    uint32_t type;
    size_t len;
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    int result = pv_frame_recv(h->fd, in, sizeof in, &type, &len, NULL, 0, NULL);
    if (result == PV_E_WIRE_CLOSED)
        return 0;
    assert_int_equal(result, 0);
    pv_rbuf_init(r, in, len);
    return type;
}

struct failure harness_failure(struct harness *h)
{
    struct pv_rbuf r;
    struct failure f = {0};
    assert_int_equal(harness_recv(h, &r), PV_MSG_LEDGER_ERROR);
    f.code = pv_get_u32(&r);
    f.tag = pv_get_u64(&r);
    f.seq = pv_get_u64(&r);
    assert_true(pv_get_str_copy(&r, f.sentence, sizeof f.sentence));
    assert_true(pv_rbuf_done(&r));
    assert_true(f.sentence[0] != '\0');
    return f;
}

void harness_send_open(struct harness *h, const char *root)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_cstr(&w, root);
    assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_OPEN, &w, NULL, 0), 0);
}

struct opened harness_open(struct harness *h, const char *root)
{
    struct pv_rbuf r;
    struct opened o = {0};
    harness_send_open(h, root);
    uint32_t type = harness_recv(h, &r);
    if (type == PV_MSG_LEDGER_ERROR) {
        char sentence[512];
        pv_get_u32(&r), pv_get_u64(&r), pv_get_u64(&r), pv_get_str_copy(&r, sentence, sizeof sentence);
        fail_msg("open: %s", sentence);
    }
    assert_int_equal(type, PV_MSG_LEDGER_OPENED);
    o.head.seq = pv_get_u64(&r);
    pv_get_raw(&r, o.head.hash, sizeof o.head.hash);
    o.max_time = pv_get_u64(&r);
    o.max_request = pv_get_u64(&r);
    o.n_unfinished = pv_get_u32(&r);
    assert_true(pv_rbuf_done(&r));
    h->head = o.head;
    return o;
}

void harness_send_body(struct harness *h, uint64_t time_ns, uint32_t kind, const void *body, size_t len)
{
    struct pv_wbuf w;
    uint8_t hash[PV_CHAIN_HASH];
    pv_chain_hash(&h->head, time_ns, kind, body, len, hash);
    memcpy(h->head.hash, hash, sizeof hash);
    h->head.seq++;
    size_t sent = len < PV_LEDGER_PART ? len : PV_LEDGER_PART;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u64(&w, h->head.seq);
    pv_put_u64(&w, time_ns);
    pv_put_u32(&w, kind);
    pv_put_raw(&w, hash, sizeof hash);
    pv_put_u32(&w, (uint32_t)len);
    pv_put_bytes(&w, body, sent);
    assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_APPEND, &w, NULL, 0), 0);
    while (sent < len) {
        size_t part = len - sent < PV_LEDGER_PART ? len - sent : PV_LEDGER_PART;
        pv_wbuf_init(&w, out, sizeof out);
        pv_put_u64(&w, h->head.seq);
        pv_put_u32(&w, (uint32_t)sent);
        pv_put_bytes(&w, (const uint8_t *)body + sent, part);
        assert_int_equal(pv_frame_send(h->fd, PV_MSG_LEDGER_MORE, &w, NULL, 0), 0);
        sent += part;
    }
}

void harness_send(struct harness *h, uint64_t time_ns, const struct pv_record *record)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, body_room, sizeof body_room);
    pv_record_encode(&w, record);
    assert_false(w.overflow);
    harness_send_body(h, time_ns, record->kind, body_room, w.len);
}

unsigned harness_await(struct harness *h)
{
    unsigned acks = 0;
    for (uint64_t seq = 0; seq < h->head.seq; acks++) {
        struct pv_rbuf r;
        uint32_t type = harness_recv(h, &r);
        if (type == PV_MSG_LEDGER_ERROR) {
            char sentence[512];
            pv_get_u32(&r), pv_get_u64(&r), pv_get_u64(&r), pv_get_str_copy(&r, sentence, sizeof sentence);
            fail_msg("append: %s", sentence);
        }
        assert_int_equal(type, PV_MSG_LEDGER_ACK);
        uint64_t got = pv_get_u64(&r);
        assert_true(pv_rbuf_done(&r) && got > seq && got <= h->head.seq);
        seq = got;
    }
    return acks;
}

void harness_append(struct harness *h, uint64_t time_ns, const struct pv_record *record)
{
    harness_send(h, time_ns, record);
    assert_int_equal(harness_await(h), 1);
}

struct pv_record sample_event(const char *word, const char *text)
{
    return (struct pv_record){
        .kind = PV_RECORD_EVENT, .uid = PV_RECORD_NOBODY, .event = {.word = pv_str_of(word), .text = pv_str_of(text)}};
}

struct pv_record sample_own(bool granted, const char *package, uint32_t uid, const char *user)
{
    return (struct pv_record){.kind = PV_RECORD_OWN,
                              .uid = uid,
                              .request = 7,
                              .own = {.granted = granted,
                                      .root = pv_str_of("/"),
                                      .package = pv_str_of(package),
                                      .arch = pv_str_of("amd64"),
                                      .user = pv_str_of(user),
                                      .reason = pv_str_of(granted ? "installed" : "removed")}};
}

struct pv_record sample_outcome(uint32_t uid, uint64_t request, const char *word)
{
    static struct pv_record_change change;
    change = (struct pv_record_change){.action = pv_str_of("install"),
                                       .package = pv_str_of("vlc"),
                                       .arch = pv_str_of("amd64"),
                                       .old_version = pv_str_of(""),
                                       .new_version = pv_str_of("3.0.18-2")};
    return (struct pv_record){.kind = PV_RECORD_OUTCOME,
                              .uid = uid,
                              .request = request,
                              .outcome = {.word = pv_str_of(word),
                                          .exit_status = 0,
                                          .started_ns = 1000,
                                          .ended_ns = 2000,
                                          .changes = &change,
                                          .n_changes = 1,
                                          .sentence = pv_str_of("all went well")}};
}

static struct pv_record_attr text_attr(const char *path, enum pv_type type, const char *value)
{
    return (struct pv_record_attr){
        .path = pv_str_of(path), .type = type, .state = PV_PRESENT, .string = pv_str_of(value)};
}

static struct pv_record_attr number_attr(const char *path, enum pv_type type, int64_t value)
{
    return (struct pv_record_attr){.path = pv_str_of(path), .type = type, .state = PV_PRESENT, .number = value};
}

struct pv_record sample_decision(uint32_t uid, const char *user, uint64_t request, const char *package, bool allowed)
{
    static struct pv_str args[1], because[1], groups[2];
    static struct pv_record_option options[2];
    static struct pv_record_rule rules[2];
    static struct pv_record_duty duties[1];
    static struct pv_record_attr common[6], own[8];
    static struct pv_record_operation operation;
    args[0] = pv_str_of(package);
    groups[0] = pv_str_of("staff");
    groups[1] = pv_str_of("dev");
    because[0] = pv_str_of("Network tools need NetOps: https://it.example/netops");
    options[0] = (struct pv_record_option){pv_str_of("reason"), true, pv_str_of("training video")};
    options[1] = (struct pv_record_option){pv_str_of("dry-run"), false, pv_str_of("")};
    rules[0] = (struct pv_record_rule){pv_str_of("base"), allowed ? PV_RULE_ALLOW : PV_RULE_DENY,
                                       pv_str_of("workstations.policy"), 30};
    rules[1] = (struct pv_record_rule){pv_str_of("workstations.policy:48"), PV_RULE_REQUIRE,
                                       pv_str_of("workstations.policy"), 48};
    duties[0] = (struct pv_record_duty){PV_D_NOTICE, pv_str_of("hello")};
    common[0] = text_attr("user.name", PV_T_STRING, user);
    common[1] = number_attr("user.uid", PV_T_INT, uid);
    common[2] = (struct pv_record_attr){
        .path = pv_str_of("user.groups"), .type = PV_T_STRINGS, .state = PV_PRESENT, .members = groups, .n_members = 2};
    common[3] = number_attr("request.timeout", PV_T_DURATION, 600);
    common[4] = number_attr("host.checked", PV_T_DATE, 20000);
    common[5] = number_attr("host.opens", PV_T_CLOCK, 79200);
    own[0] = text_attr("command", PV_T_STRING, "install");
    own[1] = text_attr("package.name", PV_T_STRING, package);
    own[2] = text_attr("package.version", PV_T_VERSION, "3.0.18-2");
    own[3] = number_attr("package.installed", PV_T_BOOL, 0);
    own[4] = text_attr("source.name", PV_T_STRING, "internal");
    own[5] = text_attr("source.location", PV_T_STRING, "deb https://apt.example/ stable main");
    own[6] = number_attr("host.day", PV_T_WEEKDAY, 2);
    own[7] = (struct pv_record_attr){
        .path = pv_str_of("package.section"), .type = PV_T_STRING, .state = PV_NOT_KNOWN, .string = pv_str_of("")};
    operation = (struct pv_record_operation){.attrs = own, .n_attrs = 8};
    operation.verdict = (struct pv_record_verdict){.effect = allowed ? PV_ALLOW : PV_DENY,
                                                   .rules = rules,
                                                   .n_rules = allowed ? 2 : 1,
                                                   .because = because,
                                                   .n_because = allowed ? 0 : 1,
                                                   .has_timeout = allowed,
                                                   .timeout = allowed ? 600 : 0,
                                                   .account = pv_str_of(""),
                                                   .duties = duties,
                                                   .n_duties = allowed ? 1 : 0};
    struct pv_record record = {.kind = PV_RECORD_DECISION, .uid = uid, .request = request};
    record.decision = (struct pv_record_decision){.user = pv_str_of(user),
                                                  .pid = 4711,
                                                  .executable = pv_str_of("/usr/bin/selfserve"),
                                                  .verb = pv_str_of("install"),
                                                  .args = args,
                                                  .n_args = 1,
                                                  .options = options,
                                                  .n_options = 2,
                                                  .phase = PV_DECIDED_PLAN,
                                                  .time = 1795255200,
                                                  .zone = pv_str_of("Europe/Paris"),
                                                  .policy = pv_str_of("workstations"),
                                                  .policy_version = 7,
                                                  .changes = allowed ? 1 : 0,
                                                  .runs = allowed,
                                                  .verdict = operation.verdict,
                                                  .attrs = common,
                                                  .n_attrs = 6,
                                                  .operations = &operation,
                                                  .n_operations = 1};
    memset(record.decision.bundle_hash, 0xab, sizeof record.decision.bundle_hash);
    return record;
}

struct pv_record sample_abuse(uint32_t uid, const char *detail)
{
    return (struct pv_record){.kind = PV_RECORD_ABUSE,
                              .uid = uid,
                              .abuse = {.kind = PV_ABUSE_CUSTOM_SOURCE,
                                        .user = pv_str_of("bob"),
                                        .pid = 12,
                                        .executable = pv_str_of("/tmp/x"),
                                        .detail = pv_str_of(detail),
                                        .count = 3,
                                        .first_ns = 99}};
}
