/*
 * Connections: who is there, by the kernel's word; one front end each; what they may send; abuse.
 *
 * The monitor never reads the client's socket. It accepts, notes the peer's credentials, hands the socket to a front
 * end and closes its copy. A front end that breaks the internal protocol is not what was started: it is cut off, and
 * that is on record for the uid whose connection it served.
 */
#include "agentd/monitor.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_ROUND = 16,
    ABUSE_WINDOW_MS = 60000,
    CONNECTIONS_PER_SECOND = 50, /* of one uid, in the long run */
    CONNECTIONS_AT_ONCE = 100,
};

/* ---- Abuse and denials, counted per uid ---- */

/* One uid in the present window. What is over the rate is counted by kind and written when the window ends;
 * kind 0 counts denials. */
struct abuse_count {
    struct abuse_count *next;
    uid_t uid;
    unsigned recorded;
    struct {
        uint32_t count;
        uint64_t first_ns;
    } over[PV_ABUSE_N_KINDS];
};

static void flush_counts(void *context)
{
    struct monitor *m = context;
    while (m->abuse_counts) {
        struct abuse_count *a = m->abuse_counts;
        m->abuse_counts = a->next;
        for (unsigned kind = 1; kind < PV_ABUSE_N_KINDS; kind++) {
            if (!a->over[kind].count)
                continue;
            struct pv_record r = {.kind = PV_RECORD_ABUSE, .uid = a->uid};
            r.abuse.kind = (enum pv_abuse)kind;
            r.abuse.user = r.abuse.executable = pv_str_of("");
            r.abuse.detail = pv_str_of("more of the same in one minute, counted");
            r.abuse.count = a->over[kind].count;
            r.abuse.first_ns = a->over[kind].first_ns;
            pv_mon_record(m, &r, true, NULL, NULL);
        }
        if (a->over[0].count) {
            char text[96];
            snprintf(text, sizeof text, "%u more denials in one minute, counted", a->over[0].count);
            struct pv_record r = {.kind = PV_RECORD_EVENT, .uid = a->uid};
            r.event.word = pv_str_of("denials");
            r.event.text = pv_str_of(text);
            pv_mon_record(m, &r, true, NULL, NULL);
        }
        free(a);
    }
}

/* True when this one is still within the rate; else it has been counted. */
static bool within_rate(struct monitor *m, uid_t uid, unsigned kind)
{
    struct abuse_count *a = m->abuse_counts;
    while (a && a->uid != uid)
        a = a->next;
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a)
            return false;
        a->uid = uid;
        a->next = m->abuse_counts;
        m->abuse_counts = a;
        if (!m->abuse_timer.armed) {
            m->abuse_timer.fire = flush_counts;
            m->abuse_timer.context = m;
            pv_loop_timer(&m->loop, &m->abuse_timer, ABUSE_WINDOW_MS);
        }
    }
    if (a->recorded < PV_MON_RECORDS_PER_MINUTE) {
        a->recorded++;
        return true;
    }
    if (a->over[kind].count++ == 0)
        a->over[kind].first_ns = pv_now_ns();
    return false;
}

bool pv_mon_denial_recorded(struct monitor *m, uid_t uid)
{
    return within_rate(m, uid, 0);
}

void pv_mon_abuse(struct monitor *m, enum pv_abuse kind, uid_t uid, const char *user, pid_t pid, const char *executable,
                  uint64_t request, const char *detail)
{
    if (!within_rate(m, uid, kind))
        return;
    struct pv_record r = {.kind = PV_RECORD_ABUSE, .uid = uid, .request = request};
    r.abuse.kind = kind;
    r.abuse.user = pv_str_of(user);
    r.abuse.pid = pid;
    r.abuse.executable = pv_str_of(executable);
    r.abuse.detail = pv_str_of(detail);
    r.abuse.count = 1;
    r.abuse.first_ns = pv_now_ns();
    pv_mon_record(m, &r, true, NULL, NULL);
}

/* ---- Clients ---- */

void pv_mon_client_drop(struct client *c)
{
    struct monitor *m = c->m;
    struct client **at = &m->clients;
    while (*at && *at != c)
        at = &(*at)->next;
    if (!*at)
        return; /* dropped already */
    *at = c->next;
    if (c->request) {
        struct request *r = c->request;
        c->request = NULL;
        r->client = NULL;
        pv_mon_request_cancel(r);
    }
    pv_mon_helper_release(&c->front);
    free(c->groups);
    c->groups = NULL;
    pv_mon_free_later(m, c);
}

bool pv_mon_client_send(struct client *c, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds)
{
    if (!c)
        return false;
    int result = pv_mon_channel_send(&c->front.channel, type, w, fds, n_fds);
    if (result == PV_E_WIRE_TOO_BIG)
        pv_mon_log("uid %u: its front end does not take what it is sent", c->uid);
    if (result)
        pv_mon_client_drop(c);
    return result == 0;
}

void pv_mon_client_error(struct client *c, enum pv_front_error code, const char *format, ...)
{
    char sentence[1024];
    uint8_t payload[2048];
    struct pv_wbuf w;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    pv_wbuf_init(&w, payload, sizeof payload);
    pv_put_u32(&w, code);
    pv_put_cstr(&w, sentence);
    pv_mon_client_send(c, PV_MF_ERROR, &w, NULL, 0);
}

static void broke_protocol(struct client *c, const char *how)
{
    pv_mon_log("uid %u: its front end broke the protocol: %s", c->uid, how);
    pv_mon_abuse(c->m, PV_ABUSE_FRONT_END, c->uid, "", c->pid, c->executable, 0, how);
    pv_mon_client_drop(c);
}

static void on_request(struct client *c, const uint8_t *payload, size_t len)
{
    struct pv_rbuf r;
    uint8_t passcode[PV_PASSCODE_SIZE];
    size_t canonical_len;
    pv_rbuf_init(&r, payload, len);
    const uint8_t *canonical = pv_get_bytes(&r, PV_REQUEST_WIRE_MAX, &canonical_len);
    pv_get_raw(&r, passcode, sizeof passcode);
    if (!pv_rbuf_done(&r))
        broke_protocol(c, "a malformed request frame");
    else if (c->request)
        broke_protocol(c, "a second request while one is in flight");
    else
        pv_mon_request_begin(c, canonical, canonical_len, passcode);
}

static void on_abuse(struct client *c, const uint8_t *payload, size_t len)
{
    struct pv_rbuf r;
    char what[513];
    pv_rbuf_init(&r, payload, len);
    uint32_t kind = pv_get_u32(&r);
    pv_get_str_copy(&r, what, sizeof what);
    if (!pv_rbuf_done(&r) || kind < PV_FABUSE_MALFORMED || kind > PV_FABUSE_SECOND_REQUEST) {
        broke_protocol(c, "a malformed report of abuse");
        return;
    }
    pv_mon_abuse(c->m, PV_ABUSE_MALFORMED, c->uid, "", c->pid, c->executable, 0, what);
}

static void on_frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct client *c = context;
    switch (type) {
    case PV_FM_REQUEST: on_request(c, payload, len); break;
    case PV_FM_CANCEL:
        if (len)
            broke_protocol(c, "a malformed cancellation");
        else if (c->request)
            pv_mon_request_cancel(c->request);
        break;
    case PV_FM_ABUSE: on_abuse(c, payload, len); break;
    default: broke_protocol(c, "a frame of an unknown type"); break;
    }
}

static void on_gone(void *context, const char *why)
{
    struct client *c = context;
    if (strcmp(why, pv_wire_strerror(PV_E_WIRE_BAD)) == 0)
        broke_protocol(c, why);
    else
        pv_mon_client_drop(c);
}

/* ---- Accepting ---- */

static bool over_limits(const struct monitor *m, uid_t uid)
{
    unsigned all = 0, same = 0;
    for (const struct client *c = m->clients; c; c = c->next) {
        all++;
        same += c->uid == uid;
    }
    /* root is not locked out by others' connections */
    return (all >= PV_MON_CLIENTS_MAX && uid != 0) || same >= PV_MON_CLIENTS_PER_UID;
}

/* Each connection costs two programs started: one uid's loop of connections is slowed down. Users share a slot when
 * their uids collide, which only slows them down together. */
static bool too_fast(uid_t uid)
{
    static struct {
        int64_t at_ms, tokens; /* thousandths of a connection */
    } slots[1024];
    int64_t now = pv_now_ms();
    size_t i = uid % 1024;
    int64_t earned = (now - slots[i].at_ms) * CONNECTIONS_PER_SECOND;
    slots[i].tokens += earned;
    if (slots[i].at_ms == 0 || slots[i].tokens > CONNECTIONS_AT_ONCE * 1000)
        slots[i].tokens = CONNECTIONS_AT_ONCE * 1000;
    slots[i].at_ms = now;
    if (slots[i].tokens < 1000)
        return uid != 0;
    slots[i].tokens -= 1000;
    return false;
}

/* The connection's groups at the time it was made. 0 or a negative errno. */
static int peer_groups(int fd, struct client *c)
{
    socklen_t size = 64 * sizeof(gid_t);
    for (int attempt = 0; attempt < 3; attempt++) {
        gid_t *groups = malloc(size + sizeof(gid_t));
        if (!groups)
            return -ENOMEM;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) == 0) {
            groups[0] = c->gid;
            c->groups = groups;
            c->n_groups = 1 + size / sizeof(gid_t);
            return 0;
        }
        free(groups);
        if (errno != ERANGE || size > PV_MON_GROUPS_MAX * sizeof(gid_t))
            return -errno;
    }
    return -ERANGE;
}

static void peer_executable(struct client *c)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/exe", c->pid);
    ssize_t n = c->pid > 0 ? readlink(link, c->executable, sizeof c->executable - 1) : -1;
    c->executable[n > 0 ? n : 0] = '\0';
}

static void accept_one(struct monitor *m, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || size != sizeof peer || over_limits(m, peer.uid) ||
        too_fast(peer.uid))
        return;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->m = m;
    c->uid = peer.uid;
    c->gid = peer.gid;
    c->pid = peer.pid;
    int result = peer_groups(fd, c);
    if (result == 0) {
        peer_executable(c);
        randombytes_buf(c->challenge, sizeof c->challenge);
        c->front.gone = on_gone;
        c->front.context = c;
        c->front.channel.frame = on_frame;
        result = pv_mon_helper_start(&c->front, m, &m->options.frontend, "proviso-frontend", NULL, fd,
                                     PV_MON_CLIENT_QUEUE, 0);
    }
    if (result) {
        pv_mon_log("uid %u: no front end for its connection: %s", c->uid, strerror(-result));
        free(c->groups);
        free(c);
        return;
    }
    c->next = m->clients;
    m->clients = c;
    pv_mon_send_hello(c);
}

static void on_connection(void *context, short revents)
{
    struct monitor *m = context;
    (void)revents;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        int fd = accept4(m->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return;
        accept_one(m, fd);
        close(fd);
    }
}

/* Removes a socket of an earlier agent's; anything else in its place stays and is an error. */
static int remove_stale(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode) || st.st_uid != 0)
        return -EEXIST;
    return unlink(path) < 0 ? -errno : 0;
}

int pv_mon_listen(struct monitor *m, int inherited_fd)
{
    int fd = inherited_fd, result = 0;
    if (fd < 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (strlen(m->options.socket) >= sizeof address.sun_path)
            return -ENAMETOOLONG;
        memcpy(address.sun_path, m->options.socket, strlen(m->options.socket) + 1); /* checked above to fit */
        result = remove_stale(m->options.socket);
        if (result)
            return result;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return -errno;
        mode_t before = umask(0111); /* everybody may connect: who it is and what it may do is decided later */
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 128) < 0)
            result = -errno;
        umask(before);
    }
    if (result == 0) {
        m->listener = (struct pv_watch){.fd = fd, .events = POLLIN, .ready = on_connection, .context = m};
        result = pv_loop_watch(&m->loop, &m->listener);
    }
    if (result)
        close(fd);
    return result;
}
