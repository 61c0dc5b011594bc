/*
 * The runner against real processes: statuses, ids, descriptors, environment, bounds, expiry of whole process trees,
 * the lock, and programs that cannot start. Needs root; without it the test is skipped (77).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agentd/runner.h"

static const char *program;
static char base[] = "/tmp/proviso-runner-test.XXXXXX";
static char dir[64];
static char output[65536];

static char *path_in(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static pid_t begin(struct pv_run_job *job)
{
    static uint8_t bytes[PV_WIRE_MAX];
    static int number;
    snprintf(dir, sizeof dir, "%s/%d", base, ++number);
    assert_int_equal(mkdir(dir, 0700), 0);
    job->dir = dir;
    if (!job->step)
        job->step = "run";
    if (!job->cwd)
        job->cwd = "/";
    for (job->n_argv = 0; job->argv[job->n_argv]; job->n_argv++)
        ;
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_run_job_encode(&w, job);
    assert_false(w.overflow);
    int memory = memfd_create("job", MFD_CLOEXEC);
    assert_int_equal(write(memory, bytes, w.len), (ssize_t)w.len);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(memory, 3);
        fcntl(3, F_SETFD, 0);
        execl(program, program, (char *)NULL);
        _exit(99);
    }
    close(memory);
    return pid;
}

static struct pv_run_status finish(pid_t pid)
{
    uint8_t bytes[PV_RUN_STATUS_MAX];
    struct pv_run_status status;
    int wait_status;
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    assert_int_equal(WEXITSTATUS(wait_status), 0);
    int fd = open(path_in("run.status"), O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_int_equal(pv_run_status_decode(&status, bytes, (size_t)n), 0);
    fd = open(path_in("output"), O_RDONLY);
    n = read(fd, output, sizeof output - 1);
    output[n > 0 ? n : 0] = '\0';
    close(fd);
    return status;
}

static struct pv_run_status run(struct pv_run_job *job)
{
    return finish(begin(job));
}

#define ARGV(...)                                                                                                      \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static void exit_status_and_output(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", "echo out; echo err >&2; exit 7")};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.end, PV_RUN_EXITED);
    assert_int_equal(status.status, 7);
    assert_string_equal(output, "out\nerr\n");
    assert_true(status.started > 0 && status.ended >= status.started);
}

static void died_of_a_signal(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", "kill -SEGV $$")};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.end, PV_RUN_SIGNALED);
    assert_int_equal(status.signal, SIGSEGV);
}

static void cannot_start(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/nowhere/at/all")};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.end, PV_RUN_UNSTARTED);
    assert_string_equal(status.error, "could not execute the program: No such file or directory");
    struct pv_run_job nodir = {.argv = ARGV("/bin/true"), .cwd = "/nowhere"};
    status = run(&nodir);
    assert_int_equal(status.end, PV_RUN_UNSTARTED);
    assert_non_null(strstr(status.error, "working directory"));
}

static void unprivileged(void **state)
{
    (void)state;
    const uint32_t groups[] = {100, 65533};
    const char *const env[] = {"WORD=value", NULL};
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c",
                                          "id -u; id -g; id -G; ls /proc/self/fd | tr '\\n' ' '; echo; env | sort; "
                                          "grep -E '^(Cap...|NoNewPrivs)' /proc/self/status; cat; ps -o sid= -p $$ | "
                                          "tr -d ' ' | grep -qx $$ && echo own session; tty; pwd; ulimit -c"),
                             .uid = 65532,
                             .gid = 65531,
                             .groups = groups,
                             .n_groups = 2,
                             .env = env,
                             .n_env = 1,
                             .cwd = "/usr"};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.end, PV_RUN_EXITED);
    assert_non_null(strstr(output, "65532\n65531\n65531 100 65533\n0 1 2 3 \n")); /* 3 is ls's own directory */
    assert_non_null(strstr(output, "WORD=value\n"));
    assert_null(strstr(output, "HOME="));
    assert_non_null(strstr(output, "CapEff:\t0000000000000000\n"));
    assert_non_null(strstr(output, "CapBnd:\t0000000000000000\n"));
    assert_non_null(strstr(output, "CapAmb:\t0000000000000000\n"));
    assert_non_null(strstr(output, "NoNewPrivs:\t1\n"));
    assert_non_null(strstr(output, "own session\n"));
    assert_non_null(strstr(output, "not a tty\n/usr\n0\n"));
}

static void output_is_bounded(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c",
                                          "i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done; "
                                          "sleep 0.5; echo the end"),
                             .output_max = 100};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.status, 0);
    assert_true(status.truncated);
    assert_true(strlen(output) < 300);
    assert_non_null(strstr(output, "longer than its bound"));
    assert_null(strstr(output, "the end"));
}

/* A time to sleep that no other test uses: its fraction is this process's number. */
static const char *seconds(int whole)
{
    static char text[4][32];
    static unsigned i;
    char *at = text[i++ % 4];
    snprintf(at, sizeof text[0], "%d.%d", whole, getpid());
    return at;
}

/* Whether a process runs `sleep` with this argument. */
static int sleepers(int whole)
{
    char command[128];
    snprintf(command, sizeof command, "pgrep -x -f '(/bin/)?sleep %s' >/dev/null", seconds(whole));
    return system(command) == 0;
}

static void expiry_ends_the_tree(void **state)
{
    (void)state;
    char script[256];
    snprintf(script, sizeof script, "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep %s\" &) ; sleep %s",
             seconds(611), seconds(611));
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", script), .limit = 1};
    pid_t pid = begin(&job);
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    assert_true(sleepers(611));
    struct pv_run_status status = finish(pid);
    assert_int_equal(status.end, PV_RUN_EXPIRED);
    assert_true(status.overran);
    assert_false(sleepers(611));
}

static void expiry_spares_dpkg_until_the_hard_limit(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", "sleep 1.6; echo done"), .limit = 1, .flags = PV_RUN_F_DPKG};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.end, PV_RUN_EXITED);
    assert_true(status.overran);
    assert_string_equal(output, "done\n");
    struct pv_run_job hard = {
        .argv = ARGV("/bin/sleep", seconds(612)), .limit = 1, .hard_limit = 2, .flags = PV_RUN_F_DPKG};
    status = run(&hard);
    assert_int_equal(status.end, PV_RUN_EXPIRED);
    assert_false(sleepers(612));
}

static void leftovers(void **state)
{
    (void)state;
    char script[128];
    snprintf(script, sizeof script, "setsid sleep %s & exit 3", seconds(613));
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", script), .flags = PV_RUN_F_END_LEFTOVERS};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.status, 3);
    assert_false(sleepers(613));
}

/* SIGUSR1 is the agent's word that the request was cancelled; it ends everything but dpkg. */
static void a_stop_ends_what_may_be_ended(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sleep", seconds(614))};
    pid_t pid = begin(&job);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_true(sleepers(614));
    kill(pid, SIGUSR1);
    struct pv_run_status status = finish(pid);
    assert_int_equal(status.end, PV_RUN_EXPIRED);
    assert_false(status.overran);
    assert_false(sleepers(614));
    struct pv_run_job dpkg = {.argv = ARGV("/bin/sh", "-c", "sleep 0.9; echo whole"), .flags = PV_RUN_F_DPKG};
    pid = begin(&dpkg);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    kill(pid, SIGUSR1);
    status = finish(pid);
    assert_int_equal(status.end, PV_RUN_EXITED);
    assert_string_equal(output, "whole\n");
}

static void lock_is_held(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sleep", "0.7")};
    pid_t pid = begin(&job);
    int fd = -1;
    for (int i = 0; i < 100 && fd < 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
        fd = open(path_in("output"), O_RDONLY); /* made after the lock was taken */
    }
    assert_true(fd >= 0);
    close(fd);
    fd = open(path_in("lock"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(access(path_in("run.status"), F_OK), -1);
    finish(pid);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}

static void terminal_signals_do_not_reach_the_command(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", "sleep 0.6; echo whole")};
    pid_t pid = begin(&job);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    kill(pid, SIGTERM);
    kill(pid, SIGHUP);
    struct pv_run_status status = finish(pid);
    assert_int_equal(status.end, PV_RUN_EXITED);
    assert_string_equal(output, "whole\n");
}

static void progress_descriptor(void **state)
{
    (void)state;
    struct pv_run_job job = {.argv = ARGV("/bin/sh", "-c", "echo pmstatus:x:50:half >&3"), .flags = PV_RUN_F_PROGRESS};
    struct pv_run_status status = run(&job);
    assert_int_equal(status.status, 0);
    char text[64] = "";
    int fd = open(path_in("progress"), O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_string_equal(text, "pmstatus:x:50:half\n");
}

static void bad_jobs_do_not_decode(void **state)
{
    (void)state;
    static uint8_t bytes[PV_WIRE_MAX];
    struct pv_run_job job = {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "run", .cwd = "/"}, got;
    void *memory;
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_run_job_encode(&w, &job);
    assert_int_equal(pv_run_job_decode(&got, &memory, bytes, w.len), 0);
    assert_string_equal(got.argv[0], "/bin/true");
    assert_null(got.argv[1]);
    free(memory);
    for (size_t cut = 0; cut < w.len; cut++)
        assert_int_equal(pv_run_job_decode(&got, &memory, bytes, cut), PV_E_WIRE_BAD);
    const struct pv_run_job bad[] = {
        {.argv = ARGV("true"), .n_argv = 1, .dir = "/d", .step = "run", .cwd = "/"},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "d", .step = "run", .cwd = "/"},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "../x", .cwd = "/"},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "", .cwd = "/"},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "run", .cwd = ""},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "run", .cwd = "/", .uid = UINT32_MAX},
        {.argv = ARGV("/bin/true"), .n_argv = 1, .dir = "/d", .step = "run", .cwd = "/", .limit = -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pv_wbuf_init(&w, bytes, sizeof bytes);
        pv_run_job_encode(&w, &bad[i]);
        assert_int_equal(pv_run_job_decode(&got, &memory, bytes, w.len), PV_E_WIRE_BAD);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    program = argv[1];
    if (geteuid() != 0)
        return 77;
    if (!mkdtemp(base))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_and_output),
        cmocka_unit_test(died_of_a_signal),
        cmocka_unit_test(cannot_start),
        cmocka_unit_test(unprivileged),
        cmocka_unit_test(output_is_bounded),
        cmocka_unit_test(expiry_ends_the_tree),
        cmocka_unit_test(expiry_spares_dpkg_until_the_hard_limit),
        cmocka_unit_test(leftovers),
        cmocka_unit_test(a_stop_ends_what_may_be_ended),
        cmocka_unit_test(lock_is_held),
        cmocka_unit_test(terminal_signals_do_not_reach_the_command),
        cmocka_unit_test(progress_descriptor),
        cmocka_unit_test(bad_jobs_do_not_decode),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command) == 0 ? failed : 1;
}
