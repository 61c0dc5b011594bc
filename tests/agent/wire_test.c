/*
 * The internal wire under hostile senders: every truncation, every flipped bit, lengths that lie, descriptors that were
 * not asked for. The property that counts: a reader never leaves its buffer (ASan sees to it), never accepts a frame of
 * another length than it says, and no descriptor is ever leaked.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agentd/wire.h"

static int count_open(void)
{
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void pair(int sv[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
}

/* A payload with every kind of field; read_sample() is its only valid reading. */
static size_t write_sample(uint8_t *data, size_t size)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, data, size);
    pv_put_u8(&w, 7);
    pv_put_bool(&w, true);
    pv_put_u32(&w, 0x01020304);
    pv_put_u64(&w, UINT64_C(0x0102030405060708));
    pv_put_i64(&w, -2);
    pv_put_cstr(&w, "name");
    pv_put_str(&w, NULL, 0);
    pv_put_bytes(&w, "\0\1", 2);
    pv_put_raw(&w, "abcd", 4);
    return w.overflow ? 0 : w.len;
}

static bool read_sample(const uint8_t *data, size_t len)
{
    struct pv_rbuf r;
    size_t n_name, n_empty, n_bytes;
    char raw[4];
    pv_rbuf_init(&r, data, len);
    uint8_t a = pv_get_u8(&r);
    bool b = pv_get_bool(&r);
    uint32_t c = pv_get_u32(&r);
    uint64_t d = pv_get_u64(&r);
    int64_t e = pv_get_i64(&r);
    const char *name = pv_get_str(&r, 16, &n_name);
    const char *empty = pv_get_str(&r, 16, &n_empty);
    const uint8_t *bytes = pv_get_bytes(&r, 16, &n_bytes);
    pv_get_raw(&r, raw, sizeof raw);
    if (!pv_rbuf_done(&r))
        return false;
    return a == 7 && b && c == 0x01020304 && d == UINT64_C(0x0102030405060708) && e == -2 && n_name == 4 &&
           memcmp(name, "name", 4) == 0 && n_empty == 0 && empty && n_bytes == 2 && memcmp(bytes, "\0\1", 2) == 0 &&
           memcmp(raw, "abcd", 4) == 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t len = write_sample(data, sizeof data);
    assert_true(len > 0);
    assert_true(read_sample(data, len));
    static const uint8_t little_endian[] = {7, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 0xfe};
    assert_memory_equal(data, little_endian, sizeof little_endian);
}

static void test_every_truncation(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t len = write_sample(data, sizeof data);
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = malloc(n ? n : 1); /* its own allocation, so that reading one byte too far is caught */
        memcpy(exact, data, n);
        assert_false(read_sample(exact, n));
        free(exact);
    }
    assert_false(read_sample(data, len + 1)); /* one byte left over */
}

static void test_every_bit_flip(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t len = write_sample(data, sizeof data);
    for (size_t bit = 0; bit < len * 8; bit++) {
        uint8_t *exact = malloc(len);
        memcpy(exact, data, len);
        exact[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(read_sample(exact, len));
        free(exact);
    }
}

static void test_reader_is_sticky(void **state)
{
    (void)state;
    struct pv_rbuf r;
    size_t n = 99;
    char copy[4] = "xxx";
    pv_rbuf_init(&r, "\5\0\0\0hello\1", 10);
    assert_null(pv_get_str(&r, 4, &n)); /* longer than the caller's limit */
    assert_int_equal(n, 0);
    assert_int_equal(pv_get_u8(&r), 0);
    assert_false(pv_get_str_copy(&r, copy, sizeof copy));
    assert_string_equal(copy, "");
    assert_false(pv_rbuf_done(&r));

    pv_rbuf_init(&r, "\3\0\0\0a\0b", 7);
    assert_null(pv_get_str(&r, 16, &n)); /* a NUL inside */
    assert_false(pv_rbuf_done(&r));
    pv_rbuf_init(&r, "\3\0\0\0abc", 7);
    assert_true(pv_get_str_copy(&r, copy, sizeof copy)); /* exactly fits */
    assert_string_equal(copy, "abc");
    assert_true(pv_rbuf_done(&r));
    pv_rbuf_init(&r, "\4\0\0\0abcd", 8);
    assert_false(pv_get_str_copy(&r, copy, sizeof copy));
    pv_rbuf_init(&r, "\xff\xff\xff\xff", 4);
    assert_null(pv_get_bytes(&r, SIZE_MAX, &n));
    pv_rbuf_init(&r, "\2", 1);
    assert_false(pv_get_bool(&r));
    assert_true(r.error);
    pv_rbuf_init(&r, "\5\0\0\0", 4);
    assert_int_equal(pv_get_u32_max(&r, 4), 0);
    assert_true(r.error);
    pv_rbuf_init(&r, NULL, 0);
    assert_true(pv_rbuf_done(&r));
    assert_int_equal(pv_get_u64(&r), 0);
    assert_true(r.error);
}

static void test_writer_overflow(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t len = write_sample(data, sizeof data);
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        assert_int_equal(write_sample(exact, n), 0);
        free(exact);
    }
    struct pv_wbuf w;
    pv_wbuf_init(&w, data, 8);
    pv_put_cstr(&w, "toolong");
    assert_true(w.overflow);
    assert_int_equal(w.len, 0);
    pv_put_u8(&w, 1); /* sticky, although it would fit */
    assert_int_equal(w.len, 0);
    pv_wbuf_init(&w, data, 64);
    pv_put_str(&w, "a\0b", 3);
    assert_true(w.overflow);
}

static void test_frames(void **state)
{
    (void)state;
    int sv[2];
    pair(sv);
    static uint8_t out[PV_WIRE_MAX + 1], in[PV_WIRE_MAX];
    memset(out, 0x5a, sizeof out);
    struct pv_wbuf w = {.data = out, .size = sizeof out, .len = PV_WIRE_MAX};
    uint32_t type;
    size_t len;
    assert_int_equal(pv_frame_send(sv[0], 0x123, &w, NULL, 0), 0);
    assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), 0);
    assert_int_equal(type, 0x123);
    assert_int_equal(len, PV_WIRE_MAX);
    assert_memory_equal(in, out, PV_WIRE_MAX);

    w.len = PV_WIRE_MAX + 1;
    assert_int_equal(pv_frame_send(sv[0], 1, &w, NULL, 0), PV_E_WIRE_TOO_BIG);
    w.len = 1;
    w.overflow = true;
    assert_int_equal(pv_frame_send(sv[0], 1, &w, NULL, 0), PV_E_WIRE_TOO_BIG);

    assert_int_equal(pv_frame_send(sv[0], 9, NULL, NULL, 0), 0);
    assert_int_equal(pv_frame_recv(sv[1], NULL, 0, &type, &len, NULL, 0, NULL), 0);
    assert_int_equal(type, 9);
    assert_int_equal(len, 0);

    w = (struct pv_wbuf){.data = out, .size = sizeof out, .len = 100};
    assert_int_equal(pv_frame_send(sv[0], 9, &w, NULL, 0), 0);
    assert_int_equal(pv_frame_recv(sv[1], in, 99, &type, &len, NULL, 0, NULL), PV_E_WIRE_BAD);
    assert_int_equal(len, 0);

    assert_int_equal(fcntl(sv[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_AGAIN);
    close(sv[0]);
    assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_CLOSED);
    assert_int_equal(pv_frame_send(sv[1], 1, NULL, NULL, 0), PV_E_WIRE_CLOSED);
    close(sv[1]);
    assert_int_equal(pv_frame_recv(-1, in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_SYSTEM);
}

static void test_hostile_datagrams(void **state)
{
    (void)state;
    int sv[2];
    pair(sv);
    uint8_t frame[8 + 16] = {1, 2, 0, 0, 16, 0, 0, 0}, in[64];
    uint32_t type;
    size_t len;
    for (size_t n = 1; n < sizeof frame; n++) { /* truncated at each byte */
        assert_int_equal(send(sv[0], frame, n, 0), n);
        assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_BAD);
        assert_int_equal(len, 0);
    }
    for (size_t bit = 32; bit < 64; bit++) { /* every bit of the length */
        uint8_t bad[sizeof frame];
        memcpy(bad, frame, sizeof frame);
        bad[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(send(sv[0], bad, sizeof bad, 0), sizeof bad);
        assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_BAD);
    }
    assert_int_equal(send(sv[0], frame, sizeof frame, 0), sizeof frame);
    assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), 0);
    assert_int_equal(type, 0x201);

    size_t huge = PV_WIRE_FRAME + 1; /* says the truth, but is larger than a frame may be */
    uint8_t *big = calloc(1, huge), *room = malloc(huge);
    big[4] = 1, big[6] = 1;
    assert_int_equal(send(sv[0], big, huge, 0), huge);
    assert_int_equal(pv_frame_recv(sv[1], room, huge, &type, &len, NULL, 0, NULL), PV_E_WIRE_BAD);
    free(big);
    free(room);
    close(sv[0]);
    close(sv[1]);
}

static void test_descriptors(void **state)
{
    (void)state;
    int sv[2], before = count_open(), fds[PV_WIRE_FDS + 1], got[PV_WIRE_FDS];
    uint8_t in[64];
    uint32_t type;
    size_t len, n_got;
    pair(sv);
    for (size_t i = 0; i <= PV_WIRE_FDS; i++)
        fds[i] = sv[0];

    for (size_t sent = 0; sent <= PV_WIRE_FDS; sent++)
        for (size_t max = 0; max <= PV_WIRE_FDS; max++) {
            assert_int_equal(pv_frame_send(sv[0], 5, NULL, fds, sent), 0);
            int result = pv_frame_recv(sv[1], in, sizeof in, &type, &len, got, max, &n_got);
            assert_int_equal(result, sent > max ? PV_E_WIRE_BAD : 0);
            assert_int_equal(n_got, sent > max ? 0 : sent);
            for (size_t i = 0; i < n_got; i++) {
                assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
                close(got[i]);
            }
            assert_int_equal(count_open(), before + 2);
        }
    assert_int_equal(pv_frame_send(sv[0], 5, NULL, fds, PV_WIRE_FDS + 1), PV_E_WIRE_TOO_BIG);

    /* More than the receiver's control buffer holds, and a malformed frame that carries descriptors. */
    char space[CMSG_SPACE(sizeof(int) * 64)];
    struct iovec part = {.iov_base = (char[]){5, 0, 0, 0, 0, 0, 0, 0}, .iov_len = 8};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space};
    for (int round = 0; round < 2; round++) {
        size_t n = round ? 2 : 64;
        memset(space, 0, sizeof space);
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        for (size_t i = 0; i < n; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &sv[0], sizeof(int));
        part.iov_len = round ? 3 : 8;
        assert_true(sendmsg(sv[0], &message, 0) > 0);
        assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, got, PV_WIRE_FDS, &n_got), PV_E_WIRE_BAD);
        assert_int_equal(count_open(), before + 2);
    }

    /* Credentials that nobody asked for are refused as well. */
    int one = 1;
    assert_int_equal(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    assert_int_equal(pv_frame_send(sv[0], 5, NULL, NULL, 0), 0);
    assert_int_equal(pv_frame_recv(sv[1], in, sizeof in, &type, &len, NULL, 0, NULL), PV_E_WIRE_BAD);
    close(sv[0]);
    close(sv[1]);
    assert_int_equal(count_open(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_bit_flip),    cmocka_unit_test(test_reader_is_sticky),
        cmocka_unit_test(test_writer_overflow),   cmocka_unit_test(test_frames),
        cmocka_unit_test(test_hostile_datagrams), cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
