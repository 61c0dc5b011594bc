/*
 * The monitor's parts that stand alone: trusted paths, durable files, the floor of policy versions, the poll loop.
 * Needs root (files must be root's); without it the test is skipped (77).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agentd/monitor.h"

static char base[] = "/tmp/proviso-monitor-test.XXXXXX";

/* The monitor's own log and main() are not linked. */
void pv_mon_log(const char *format, ...)
{
    (void)format;
}
void pv_mon_free_later(struct monitor *m, void *memory)
{
    (void)m;
    free(memory);
}
bool pv_mon_protected(const struct monitor *m, const char *package)
{
    (void)m;
    (void)package;
    return false;
}
void pv_mon_ledger_opened(struct monitor *m)
{
    (void)m;
}

static const char *in(const char *name)
{
    static char path[4][256];
    static unsigned i;
    char *at = path[i++ % 4];
    snprintf(at, sizeof path[0], "%s/%s", base, name);
    return at;
}

static void make_dir(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(in(name), 0700), 0);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void make_file(const char *name, mode_t mode)
{
    int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void passes(const char *name)
{
    char why[512];
    int result = pv_path_check(in(name), false, why, sizeof why);
    if (result)
        print_error("%s\n", why);
    assert_int_equal(result, 0);
}

/* Refused, and the sentence names the path at fault. */
static void refused(const char *name, const char *fault, const char *what)
{
    char why[512];
    assert_int_equal(pv_path_check(in(name), false, why, sizeof why), -1);
    if (!strstr(why, in(fault)) || !strstr(why, what))
        print_error("%s: %s\n", name, why);
    assert_non_null(strstr(why, in(fault)));
    assert_non_null(strstr(why, what));
}

static void trusted_paths(void **state)
{
    (void)state;
    char why[512];
    make_dir("good", 0755);
    make_file("good/file", 0644);
    passes("good/file");
    passes("good");
    passes("good/./file");
    passes("good/../good/file");
    refused("good/none", "good/none", "No such file");
    assert_int_equal(pv_path_check(in("good/none"), true, why, sizeof why), 0);
    assert_int_equal(pv_path_check("relative", true, why, sizeof why), -1);

    make_file("good/world", 0646);
    refused("good/world", "good/world", "everybody");
    make_file("good/group", 0664);
    passes("good/group"); /* root's own group */
    assert_int_equal(chown(in("good/group"), 0, 12345), 0);
    assert_int_equal(chmod(in("good/group"), 0664), 0);
    refused("good/group", "good/group", "group");
    make_file("good/theirs", 0644);
    assert_int_equal(chown(in("good/theirs"), 12345, 0), 0);
    refused("good/theirs", "good/theirs", "belong to root");

    make_dir("open", 0777);
    make_file("open/file", 0644);
    refused("open/file", "open", "everybody");
    make_dir("sticky", 01777);
    make_file("sticky/file", 0644);
    passes("sticky/file");
    make_file("sticky/theirs", 0644);
    assert_int_equal(chown(in("sticky/theirs"), 12345, 0), 0);
    refused("sticky/theirs", "sticky/theirs", "belong to root");
    make_dir("owned", 0755);
    assert_int_equal(chown(in("owned"), 12345, 0), 0);
    make_file("owned/file", 0644);
    refused("owned/file", "owned", "belong to root");
}

static void links_are_followed(void **state)
{
    (void)state;
    char why[512];
    assert_int_equal(symlink("good/file", in("link")), 0);
    passes("link");
    assert_int_equal(symlink(in("open"), in("to-open")), 0);
    refused("to-open/file", "open", "everybody");
    assert_int_equal(symlink("../open/file", in("good/up")), 0);
    refused("good/up", "good/../open", "everybody");
    assert_int_equal(symlink("loop", in("loop")), 0);
    assert_int_equal(pv_path_check(in("loop"), false, why, sizeof why), -1);
    assert_int_equal(symlink("good/file", in("theirs")), 0);
    assert_int_equal(lchown(in("theirs"), 12345, 12345), 0);
    refused("theirs", "theirs", "belong to root");
    assert_int_equal(symlink("good", in("release")), 0);
    passes("release/file");
    refused("good/file/below", "good/file", "directory");
}

static void durable_files(void **state)
{
    (void)state;
    int dir = open(base, O_RDONLY | O_DIRECTORY);
    void *data;
    size_t len;
    assert_int_equal(pv_file_write(dir, "text", 0640, "first", 5), 0);
    assert_int_equal(pv_file_write(dir, "text", 0640, "second", 6), 0);
    assert_int_equal(pv_file_read(dir, "text", 6, &data, &len), 0);
    assert_int_equal(len, 6);
    assert_string_equal(data, "second");
    free(data);
    struct stat st;
    assert_int_equal(fstatat(dir, "text", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fstatat(dir, ".text.new", &st, 0), -1);
    assert_int_equal(pv_file_read(dir, "text", 5, &data, &len), -EFBIG);
    assert_null(data);
    assert_int_equal(pv_file_read(dir, "none", 5, &data, &len), -ENOENT);
    assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
    assert_int_equal(pv_file_read(dir, "fifo", 5, &data, &len), -EINVAL);
    assert_int_equal(pv_file_read(dir, "good", 5, &data, &len), -EINVAL);
    /* A file that somebody put in the way is replaced, never followed. */
    assert_int_equal(symlinkat("text", dir, ".other.new"), 0);
    assert_int_equal(pv_file_write(dir, "other", 0600, "x", 1), 0);
    assert_int_equal(pv_file_read(dir, "text", 6, &data, &len), 0);
    assert_string_equal(data, "second");
    free(data);
    assert_int_equal(pv_dir_make(dir, "made", 0711, 0, 0), 0);
    assert_int_equal(pv_dir_make(dir, "made", 0711, 0, 0), 0);
    assert_int_equal(pv_dir_make(dir, "given", 0700, 12345, 12345), 0);
    assert_int_equal(fstatat(dir, "given", &st, 0), 0);
    assert_true(st.st_uid == 12345 && st.st_gid == 12345 && (st.st_mode & 07777) == 0700);
    assert_int_equal(pv_dir_make(dir, "given", 0700, 0, 0), -EPERM);
    assert_int_equal(symlinkat("good", dir, "dirlink"), 0);
    assert_true(pv_dir_make(dir, "dirlink", 0700, 0, 0) < 0);
    close(dir);
}

static void floor_of_versions(void **state)
{
    (void)state;
    int dir = open(base, O_RDONLY | O_DIRECTORY);
    struct floor floor, got;
    const uint8_t one[32] = {1}, two[32] = {2};
    assert_int_equal(pv_mon_floor_read(dir, &floor), 0);
    assert_false(floor.known);
    assert_null(pv_mon_floor_refuses(&floor, 1, one));
    assert_null(pv_mon_floor_refuses(&floor, 0, one));

    floor = (struct floor){.known = true, .version = 7};
    memcpy(floor.hash, one, 32);
    assert_int_equal(pv_mon_floor_write(dir, &floor), 0);
    assert_int_equal(pv_mon_floor_read(dir, &got), 0);
    assert_true(got.known && got.version == 7 && memcmp(got.hash, one, 32) == 0);
    assert_non_null(pv_mon_floor_refuses(&got, 6, one));
    assert_null(pv_mon_floor_refuses(&got, 7, one));
    assert_non_null(pv_mon_floor_refuses(&got, 7, two));
    assert_null(pv_mon_floor_refuses(&got, 8, two));
    assert_null(pv_mon_floor_refuses(&got, UINT64_MAX, two));

    /* Damaged in any way, it is not taken for a missing one. */
    void *data;
    size_t len;
    assert_int_equal(pv_file_read(dir, "floor", 64, &data, &len), 0);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(pv_file_write(dir, "floor", 0600, data, cut), 0);
        assert_int_equal(pv_mon_floor_read(dir, &got), -1);
        assert_false(got.known);
    }
    ((uint8_t *)data)[0] ^= 1;
    assert_int_equal(pv_file_write(dir, "floor", 0600, data, len), 0);
    assert_int_equal(pv_mon_floor_read(dir, &got), -1);
    free(data);
    close(dir);
}

/* ---- The loop ---- */

struct count {
    struct pv_loop *loop;
    struct pv_watch *victim;
    struct pv_timer *timer;
    int calls;
    int status;
};

static void hit(void *context, short revents)
{
    struct count *c = context;
    (void)revents;
    c->calls++;
    if (c->victim)
        pv_loop_unwatch(c->loop, c->victim);
}

static void stop(void *context)
{
    ((struct count *)context)->loop->stop = true;
}

static void tick(void *context)
{
    struct count *c = context;
    if (++c->calls < 3)
        pv_loop_timer(c->loop, c->timer, 1);
    else
        c->loop->stop = true;
}

static void ended(void *context, int status)
{
    struct count *c = context;
    c->calls++;
    c->status = status;
    c->loop->stop = true;
}

static void the_loop(void **state)
{
    (void)state;
    struct pv_loop loop;
    assert_int_equal(pv_loop_init(&loop), 0);

    /* A callback that removes another watch: the removed one is not called in the same round. */
    int one[2], two[2];
    assert_int_equal(pipe(one), 0);
    assert_int_equal(pipe(two), 0);
    assert_int_equal(write(one[1], "x", 1), 1);
    assert_int_equal(write(two[1], "x", 1), 1);
    struct count a = {.loop = &loop}, b = {.loop = &loop}, c = {.loop = &loop};
    struct pv_watch wa = {.fd = one[0], .events = POLLIN, .ready = hit, .context = &a};
    struct pv_watch wb = {.fd = two[0], .events = POLLIN, .ready = hit, .context = &b};
    a.victim = &wb;
    assert_int_equal(pv_loop_watch(&loop, &wa), 0);
    assert_int_equal(pv_loop_watch(&loop, &wb), 0);
    struct pv_timer end = {.fire = stop, .context = &c};
    pv_loop_timer(&loop, &end, 0);
    assert_int_equal(pv_loop_run(&loop), 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    pv_loop_unwatch(&loop, &wa);
    pv_loop_unwatch(&loop, &wa);

    /* Timers fire in their order, can arm themselves again, and can be taken back. */
    struct pv_timer again = {.fire = tick, .context = &c}, never = {.fire = stop, .context = &c};
    c.timer = &again;
    pv_loop_timer(&loop, &never, 0);
    pv_loop_untimer(&loop, &never);
    pv_loop_timer(&loop, &again, 1);
    loop.stop = false;
    assert_int_equal(pv_loop_run(&loop), 0);
    assert_int_equal(c.calls, 3);

    /* A child's end is told once, with its status; one that nobody waits for is reaped. */
    pid_t nobody = fork();
    if (nobody == 0)
        _exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(50000);
        _exit(9);
    }
    struct count d = {.loop = &loop};
    struct pv_child child = {.pid = pid, .ended = ended, .context = &d};
    pv_loop_child(&loop, &child);
    loop.stop = false;
    assert_int_equal(pv_loop_run(&loop), 0);
    assert_int_equal(d.calls, 1);
    assert_int_equal(WEXITSTATUS(d.status), 9);
    assert_int_equal(waitpid(nobody, NULL, WNOHANG), -1);
    for (int i = 0; i < 2; i++) {
        close(one[i]);
        close(two[i]);
    }
    pv_loop_free(&loop);
}

/* ---- Channels ---- */

struct peer {
    int frames, closes;
    uint32_t last;
};

static void got_frame(void *context, uint32_t type, const uint8_t *payload, size_t len)
{
    struct peer *p = context;
    (void)payload;
    (void)len;
    p->frames++;
    p->last = type;
}

static void got_close(void *context, const char *why)
{
    (void)why;
    ((struct peer *)context)->closes++;
}

static void channels_bound_their_queue(void **state)
{
    (void)state;
    static struct monitor m;
    static uint8_t bytes[60000];
    struct peer p = {0};
    struct channel c = {.frame = got_frame, .closed = got_close, .context = &p, .closed_context = &p};
    int pair[2];
    assert_int_equal(pv_loop_init(&m.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pv_mon_channel_open(&c, &m, pair[0], 1 << 20), 0);
    struct pv_wbuf w = {.data = bytes, .size = sizeof bytes, .len = sizeof bytes};
    int sent = 0;
    while (pv_mon_channel_send(&c, (uint32_t)sent + 1, &w, NULL, 0) == 0 && sent < 1000)
        sent++;
    assert_true(sent > 10 && sent < 100); /* the kernel's buffer, and a mebibyte of queue */
    assert_false(pv_mon_channel_is_open(&c));
    assert_int_equal(p.closes, 0); /* the sender was told by the result */
    close(pair[1]);

    /* A frame that is waiting goes out when there is room, in order, with its descriptors. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pv_mon_channel_open(&c, &m, pair[0], 1 << 20), 0);
    int null = open("/dev/null", O_RDONLY);
    for (int i = 1; i <= 12; i++)
        assert_int_equal(pv_mon_channel_send(&c, (uint32_t)i, &w, i == 12 ? &null : NULL, i == 12 ? 1 : 0), 0);
    close(null);
    static uint8_t got[PV_WIRE_MAX];
    uint32_t type, expected = 1;
    size_t len, n_fds;
    int fd = -1;
    while (expected <= 12) {
        int result = pv_frame_recv(pair[1], got, sizeof got, &type, &len, &fd, 1, &n_fds);
        if (result == PV_E_WIRE_AGAIN) {
            c.watch.ready(c.watch.context, POLLOUT);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(type, expected++);
        assert_int_equal(n_fds, type == 12);
    }
    assert_true(fcntl(fd, F_GETFD) >= 0);
    close(fd);
    assert_int_equal(c.watch.events, POLLIN);
    assert_int_equal(pv_frame_send(pair[1], 77, NULL, NULL, 0), 0);
    close(pair[1]);
    c.watch.ready(c.watch.context, POLLIN);
    assert_int_equal(p.frames, 1);
    assert_int_equal(p.last, 77);
    assert_int_equal(p.closes, 1);
    assert_false(pv_mon_channel_is_open(&c));
    pv_loop_free(&m.loop);
}

int main(void)
{
    if (geteuid() != 0)
        return 77;
    umask(022);
    if (!mkdtemp(base))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trusted_paths), cmocka_unit_test(links_are_followed),
        cmocka_unit_test(durable_files), cmocka_unit_test(floor_of_versions),
        cmocka_unit_test(the_loop),      cmocka_unit_test(channels_bound_their_queue),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command) == 0 ? failed : 1;
}
