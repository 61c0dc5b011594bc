/*
 * Frames and checked buffers of the internal wire; see wire.h for the format.
 *
 * Invariants: no read or write leaves its buffer whatever the lengths say (comparisons are made on what is left, so
 * they cannot overflow); a descriptor that arrives is either handed to the caller or closed, also when the frame that
 * carried it is refused.
 */
#include "agentd/wire.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static uint8_t *reserve(struct pv_wbuf *w, size_t len)
{
    if (w->overflow || len > w->size - w->len) {
        w->overflow = true;
        return NULL;
    }
    uint8_t *at = w->data + w->len;
    w->len += len;
    return at;
}

static void store_le(uint8_t *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load_le(const uint8_t *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

void pv_wbuf_init(struct pv_wbuf *w, void *data, size_t size)
{
    *w = (struct pv_wbuf){.data = data, .size = size};
}

static void put_le(struct pv_wbuf *w, uint64_t value, size_t width)
{
    uint8_t *at = reserve(w, width);
    if (at)
        store_le(at, value, width);
}

void pv_put_u8(struct pv_wbuf *w, uint8_t value)
{
    put_le(w, value, 1);
}

void pv_put_bool(struct pv_wbuf *w, bool value)
{
    put_le(w, value ? 1 : 0, 1);
}

void pv_put_u32(struct pv_wbuf *w, uint32_t value)
{
    put_le(w, value, 4);
}

void pv_put_u64(struct pv_wbuf *w, uint64_t value)
{
    put_le(w, value, 8);
}

void pv_put_i64(struct pv_wbuf *w, int64_t value)
{
    put_le(w, (uint64_t)value, 8);
}

void pv_put_raw(struct pv_wbuf *w, const void *bytes, size_t len)
{
    uint8_t *at = reserve(w, len);
    if (at && len)
        memcpy(at, bytes, len);
}

void pv_put_bytes(struct pv_wbuf *w, const void *bytes, size_t len)
{
    if (len > UINT32_MAX || w->overflow || w->size - w->len < 4 || len > w->size - w->len - 4) {
        w->overflow = true; /* decided before the length is written, so that a partial field never appears */
        return;
    }
    pv_put_u32(w, (uint32_t)len);
    pv_put_raw(w, bytes, len);
}

void pv_put_str(struct pv_wbuf *w, const char *text, size_t len)
{
    if (len && memchr(text, 0, len))
        w->overflow = true;
    pv_put_bytes(w, text, len);
}

void pv_put_cstr(struct pv_wbuf *w, const char *text)
{
    pv_put_bytes(w, text, text ? strlen(text) : 0);
}

static const uint8_t *take(struct pv_rbuf *r, size_t len)
{
    if (r->error || len > r->len - r->at) {
        r->error = true;
        return NULL;
    }
    const uint8_t *at = r->data + r->at;
    r->at += len;
    return at;
}

static uint64_t get_le(struct pv_rbuf *r, size_t width)
{
    const uint8_t *at = take(r, width);
    return at ? load_le(at, width) : 0;
}

void pv_rbuf_init(struct pv_rbuf *r, const void *data, size_t len)
{
    *r = (struct pv_rbuf){.data = data, .len = len};
}

uint8_t pv_get_u8(struct pv_rbuf *r)
{
    return (uint8_t)get_le(r, 1);
}

bool pv_get_bool(struct pv_rbuf *r)
{
    uint8_t value = pv_get_u8(r);
    if (value > 1)
        r->error = true;
    return value == 1;
}

uint32_t pv_get_u32(struct pv_rbuf *r)
{
    return (uint32_t)get_le(r, 4);
}

uint32_t pv_get_u32_max(struct pv_rbuf *r, uint32_t max)
{
    uint32_t value = pv_get_u32(r);
    if (value > max) {
        r->error = true;
        return 0;
    }
    return value;
}

uint64_t pv_get_u64(struct pv_rbuf *r)
{
    return get_le(r, 8);
}

int64_t pv_get_i64(struct pv_rbuf *r)
{
    return (int64_t)get_le(r, 8);
}

const uint8_t *pv_get_bytes(struct pv_rbuf *r, size_t max, size_t *len)
{
    *len = 0;
    uint32_t n = pv_get_u32(r);
    if (n > max)
        r->error = true;
    const uint8_t *at = take(r, n);
    if (at)
        *len = n;
    return at;
}

const char *pv_get_str(struct pv_rbuf *r, size_t max, size_t *len)
{
    const uint8_t *at = pv_get_bytes(r, max, len);
    if (at && *len && memchr(at, 0, *len)) {
        r->error = true;
        *len = 0;
        at = NULL;
    }
    return (const char *)at;
}

bool pv_get_str_copy(struct pv_rbuf *r, char *dst, size_t size)
{
    size_t len;
    dst[0] = '\0';
    const char *text = pv_get_str(r, size - 1, &len);
    if (!text)
        return false;
    memcpy(dst, text, len);
    dst[len] = '\0';
    return true;
}

bool pv_get_raw(struct pv_rbuf *r, void *dst, size_t len)
{
    const uint8_t *at = take(r, len);
    if (!at) {
        memset(dst, 0, len);
        return false;
    }
    memcpy(dst, at, len);
    return true;
}

bool pv_rbuf_done(const struct pv_rbuf *r)
{
    return !r->error && r->at == r->len;
}

int pv_frame_send(int fd, uint32_t type, const struct pv_wbuf *w, const int *fds, size_t n_fds)
{
    size_t len = w ? w->len : 0;
    if ((w && w->overflow) || len > PV_WIRE_MAX || n_fds > PV_WIRE_FDS)
        return PV_E_WIRE_TOO_BIG;

    uint8_t header[PV_WIRE_HEADER];
    store_le(header, type, 4);
    store_le(header + 4, len, 4);
    struct iovec parts[2] = {{.iov_base = header, .iov_len = sizeof header},
                             {.iov_base = w ? w->data : NULL, .iov_len = len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = len ? 2 : 1};

    union {
        char space[CMSG_SPACE(sizeof(int) * PV_WIRE_FDS)];
        struct cmsghdr align;
    } control = {0};
    if (n_fds) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }

    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent == sizeof header + len ? 0 : PV_E_WIRE_SYSTEM;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return PV_E_WIRE_AGAIN;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return PV_E_WIRE_CLOSED;
    return PV_E_WIRE_SYSTEM;
}

/* Gathers every descriptor of a received message, so that none can be lost; false if anything else came along. */
static bool collect_fds(struct msghdr *message, int *got, size_t cap, size_t *n_got)
{
    bool good = true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0)) {
            good = false;
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int one;
            memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof one);
            if (*n_got < cap)
                got[(*n_got)++] = one;
            else
                close(one);
        }
    }
    return good;
}

int pv_frame_recv(int fd, void *buf, size_t cap, uint32_t *type, size_t *len, int *fds, size_t max_fds, size_t *n_fds)
{
    *type = PV_MSG_NONE;
    *len = 0;
    if (n_fds)
        *n_fds = 0;
    if (max_fds > PV_WIRE_FDS || (max_fds && (!fds || !n_fds)))
        return PV_E_WIRE_TOO_BIG;

    uint8_t header[PV_WIRE_HEADER];
    struct iovec parts[2] = {{.iov_base = header, .iov_len = sizeof header}, {.iov_base = buf, .iov_len = cap}};
    /* Room for one descriptor more than allowed: one too many is then seen here, and closed here. */
    union {
        char space[CMSG_SPACE(sizeof(int) * (PV_WIRE_FDS + 1))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = cap ? 2 : 1, .msg_control = &control, .msg_controllen = sizeof control.space};

    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return PV_E_WIRE_AGAIN;
        return errno == ECONNRESET || errno == ENOTCONN ? PV_E_WIRE_CLOSED : PV_E_WIRE_SYSTEM;
    }

    int came[sizeof control.space / sizeof(int)];
    size_t n_came = 0;
    bool good = collect_fds(&message, came, sizeof came / sizeof came[0], &n_came);
    int result = PV_E_WIRE_BAD;
    if (got == 0 && n_came == 0 && good && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        result = PV_E_WIRE_CLOSED; /* an empty datagram looks the same, and no peer of ours sends one */
        goto out;
    }
    if (!good || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_came > max_fds)
        goto out;
    if ((size_t)got < sizeof header || load_le(header + 4, 4) != (size_t)got - sizeof header ||
        (size_t)got - sizeof header > PV_WIRE_MAX)
        goto out;
    *type = (uint32_t)load_le(header, 4);
    *len = (size_t)got - sizeof header;
    for (size_t i = 0; i < n_came; i++)
        fds[i] = came[i];
    if (n_fds)
        *n_fds = n_came;
    result = 0;
out:
    if (result)
        for (size_t i = 0; i < n_came; i++)
            close(came[i]);
    return result;
}

const char *pv_wire_strerror(int result)
{
    switch (result) {
    case 0: return "success";
    case PV_E_WIRE_AGAIN: return "the socket is not ready";
    case PV_E_WIRE_CLOSED: return "the peer closed the connection";
    case PV_E_WIRE_BAD: return "a malformed frame";
    case PV_E_WIRE_SYSTEM: return "a system call failed";
    case PV_E_WIRE_TOO_BIG: return "a frame larger than the wire allows";
    default: return "an unknown wire error";
    }
}
