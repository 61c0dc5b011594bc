/*
 * proviso-runner: runs one decided command to its end, outside the monitor, so that neither's death takes the other
 * along. See runner.h for the job and the files.
 *
 * Shape: read the job, take the lock, start the command in a session of its own with the ids that the job names, then
 * one loop over {child ended, clock}. The runner is a child subreaper, so that every process that the command starts,
 * however it hides in sessions and groups, stays below it and can be found by walking parents in /proc.
 *
 * Invariants: the status is written after the command is over and before the lock goes; a command that could not take
 * all of the ids that it should have never runs; a command that is not root's cannot gain privileges (no_new_privs, no
 * capabilities), which is tried, not assumed. libc only.
 */
#include "agentd/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 200 }; /* how often the clock and the output's size are looked at */

static const char cut_marker[] = "\n[proviso: the output is longer than its bound; the rest is not kept]\n";

struct run {
    const struct pv_run_job *job;
    int dir;
    int lock;
    int output;
    int progress; /* -1: not asked for */
    pid_t pid;
    bool stop; /* the agent asked for the end: the request was cancelled */
    bool term_sent, kill_sent;
    int64_t started_ms, term_ms;
    struct pv_run_status status;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int fail(struct run *run, const char *what)
{
    snprintf(run->status.error, sizeof run->status.error, "%s: %s", what, strerror(errno));
    return -1;
}

/* Opens the directory, takes the lock, opens the files. The directory is the monitor's own (root, 0700). */
static int open_files(struct run *run)
{
    run->dir = open(run->job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (run->dir < 0)
        return fail(run, "open the run directory");
    run->lock = openat(run->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (run->lock < 0)
        return fail(run, "open lock");
    if (flock(run->lock, LOCK_EX | LOCK_NB) < 0)
        return fail(run, "take lock");
    run->output = openat(run->dir, "output", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (run->output < 0)
        return fail(run, "open output");
    if (run->job->flags & PV_RUN_F_PROGRESS) {
        run->progress = openat(run->dir, "progress", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (run->progress < 0)
            return fail(run, "open progress");
    }
    return 0;
}

/* ---- In the child, between fork and exec: only async-signal-safe calls, each checked. ---- */

static int drop_privileges(const struct pv_run_job *job)
{
    gid_t groups[PV_RUN_GROUPS_MAX];
    for (uint32_t i = 0; i < job->n_groups; i++)
        groups[i] = job->groups[i];
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -1;
    if (setgroups(job->n_groups, groups) < 0 || setresgid(job->gid, job->gid, job->gid) < 0)
        return -1;
    if (job->uid == 0)
        return 0;
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return -1;
    if (setresuid(job->uid, job->uid, job->uid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capset, &header, none) < 0)
        return -1;
    uid_t r, e, s;
    if (getresuid(&r, &e, &s) < 0 || r != job->uid || e != job->uid || s != job->uid)
        return -1;
    bool regained = setresuid(0, 0, 0) == 0 || (job->gid != 0 && setresgid(0, 0, 0) == 0);
    errno = EPERM;
    return regained ? -1 : 0;
}

/* Says which step failed by its number in the pipe; 0 is never written. */
enum child_step { STEP_SESSION = 1, STEP_DESCRIPTORS, STEP_IDS, STEP_CWD, STEP_EXEC };

static const char *const child_steps[] = {"",
                                          "start a session",
                                          "set up descriptors",
                                          "take the command's ids",
                                          "enter the working directory",
                                          "execute the program"};

struct child_failure {
    int step, error;
};

static void __attribute__((noreturn)) child(const struct run *run, int report)
{
    struct child_failure failure = {.step = STEP_SESSION};
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    if (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        goto out;
    failure.step = STEP_DESCRIPTORS;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int high = fcntl(report, F_DUPFD_CLOEXEC, 16);
    int progress = run->progress >= 0 ? fcntl(run->progress, F_DUPFD_CLOEXEC, 17) : -1;
    int output = fcntl(run->output, F_DUPFD_CLOEXEC, 18);
    if (null < 0 || high < 0 || output < 0 || (run->progress >= 0 && progress < 0))
        goto out;
    report = high;
    if (dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        goto out;
    if (progress >= 0 && dup2(progress, PV_RUN_PROGRESS_FD) < 0)
        goto out;
    /* Nothing else goes along; the report pipe ends with a successful exec. */
    if (syscall(SYS_close_range, progress >= 0 ? PV_RUN_PROGRESS_FD + 1u : 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        goto out;
    struct rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    umask(022);
    failure.step = STEP_IDS;
    if (drop_privileges(run->job) < 0)
        goto out;
    failure.step = STEP_CWD;
    if (chdir(run->job->cwd) < 0)
        goto out;
    failure.step = STEP_EXEC;
    execve(run->job->argv[0], (char *const *)run->job->argv, (char *const *)run->job->env);
out:
    failure.error = errno;
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

/* ---- Process tree ---- */

/* The parent of a process from /proc/PID/stat, or 0. The command name may hold spaces and parentheses. */
static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    /* ") S 1234 ...": the state is one letter. */
    if (!end || strlen(end) < 5 || end[2] == 'Z')
        return 0;
    long parent = strtol(end + 4, NULL, 10);
    return parent > 0 && parent <= INT_MAX ? (pid_t)parent : 0;
}

enum { PROCESSES_MAX = 32768 };

/* Sends `sig` to every living descendant of this process; how many there were. */
static size_t signal_tree(int sig)
{
    static struct {
        pid_t pid, parent;
        bool below;
    } seen[PROCESSES_MAX];
    size_t n = 0, hit = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (struct dirent *e; (e = readdir(proc)) && n < PROCESSES_MAX;) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        pid_t parent = parent_of(e->d_name);
        if (parent > 0) {
            seen[n].pid = (pid_t)strtol(e->d_name, NULL, 10);
            seen[n].parent = parent;
            seen[n++].below = parent == getpid();
        }
    }
    closedir(proc);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; !seen[i].below && j < n; j++)
                if (seen[j].below && seen[j].pid == seen[i].parent)
                    more = seen[i].below = true;
    }
    for (size_t i = 0; i < n; i++)
        if (seen[i].below && kill(seen[i].pid, sig) == 0)
            hit++;
    return hit;
}

/* Ends whatever is left below us: stopped first, so that a fork storm cannot outrun the killing. */
static void kill_tree(void)
{
    for (int round = 0; round < 200; round++) {
        /* The command's first process is gone, so whoever is left has become our own child, or hangs on one. */
        pid_t reaped;
        while ((reaped = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (reaped < 0 && errno == ECHILD)
            return;
        size_t stopped = signal_tree(SIGSTOP);
        size_t killed = signal_tree(SIGKILL);
        if (stopped == 0 && killed == 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

/* ---- The loop ---- */

static void bound_output(struct run *run)
{
    struct stat st;
    off_t bound = (off_t)run->job->output_max;
    if (run->job->output_max == 0 || fstat(run->output, &st) < 0)
        return;
    if (!run->status.truncated && st.st_size > bound) {
        run->status.truncated = true;
        if (ftruncate(run->output, bound) < 0 || write(run->output, cut_marker, sizeof cut_marker - 1) < 0)
            return;
    } else if (run->status.truncated && st.st_size > bound + (off_t)sizeof cut_marker - 1) {
        if (ftruncate(run->output, bound + (off_t)sizeof cut_marker - 1) < 0)
            return;
    }
}

static void keep_time(struct run *run)
{
    int64_t ran = now_ms() - run->started_ms;
    const struct pv_run_job *job = run->job;
    bool over = job->limit && ran >= job->limit * 1000;
    bool hard = job->hard_limit && ran >= job->hard_limit * 1000;
    if (over)
        run->status.overran = true;
    if (!hard && !((over || run->stop) && !(job->flags & PV_RUN_F_DPKG)))
        return;
    if (!run->term_sent) {
        run->term_sent = true;
        run->term_ms = now_ms();
        signal_tree(SIGTERM);
        signal_tree(SIGCONT);
    } else if (now_ms() - run->term_ms >= PV_RUN_GRACE * 1000) {
        run->kill_sent = true;
        kill(run->pid, SIGKILL); /* reaped by the loop, so that its status is seen */
        signal_tree(SIGKILL);
    }
}

/* Waits for the command; its wait status. */
static int wait_for_command(struct run *run, int signals)
{
    for (;;) {
        struct pollfd p = {.fd = signals, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) > 0) {
            struct signalfd_siginfo info;
            if (read(signals, &info, sizeof info) == (ssize_t)sizeof info && info.ssi_signo == SIGUSR1)
                run->stop = true;
        }
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            if (pid == run->pid)
                return status;
        bound_output(run);
        keep_time(run);
    }
}

static int start(struct run *run)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return fail(run, "make a pipe");
    run->status.started = time(NULL);
    run->started_ms = now_ms();
    run->pid = fork();
    if (run->pid < 0) {
        fail(run, "fork");
        close(report[0]);
        close(report[1]);
        return -1;
    }
    if (run->pid == 0)
        child(run, report[1]);
    close(report[1]);
    struct child_failure failure;
    ssize_t n;
    do
        n = read(report[0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == 0)
        return 0;
    waitpid(run->pid, NULL, 0);
    if (n == sizeof failure && failure.step > 0 && failure.step <= STEP_EXEC)
        snprintf(run->status.error, sizeof run->status.error, "could not %s: %s", child_steps[failure.step],
                 strerror(failure.error));
    else
        snprintf(run->status.error, sizeof run->status.error, "the command's process ended before it started");
    return -1;
}

static int write_status(struct run *run)
{
    uint8_t bytes[PV_RUN_STATUS_MAX];
    char name[PV_RUN_STEP_MAX + 16], temporary[PV_RUN_STEP_MAX + 16];
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, sizeof bytes);
    pv_run_status_encode(&w, &run->status);
    snprintf(name, sizeof name, "%s.status", run->job->step);
    snprintf(temporary, sizeof temporary, "%s.status.new", run->job->step);
    int fd = openat(run->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    bool good = !w.overflow && write(fd, bytes, w.len) == (ssize_t)w.len && fsync(fd) == 0;
    close(fd);
    return good && renameat(run->dir, temporary, run->dir, name) == 0 && fsync(run->dir) == 0 ? 0 : -1;
}

static void run_job(struct run *run, int signals)
{
    if (start(run) < 0) {
        run->status.end = PV_RUN_UNSTARTED;
        run->status.ended = time(NULL);
        return;
    }
    int status = wait_for_command(run, signals);
    if (run->term_sent)
        run->status.end = PV_RUN_EXPIRED;
    else
        run->status.end = WIFSIGNALED(status) ? PV_RUN_SIGNALED : PV_RUN_EXITED;
    if (WIFSIGNALED(status))
        run->status.signal = (uint32_t)WTERMSIG(status);
    else
        run->status.status = (uint32_t)WEXITSTATUS(status);
    if (run->term_sent || (run->job->flags & PV_RUN_F_END_LEFTOVERS))
        kill_tree();
    bound_output(run);
    run->status.ended = time(NULL);
    fsync(run->output);
}

/* The whole of descriptor 3, to be freed; NULL if there is nothing, or too much. */
static void *read_job(size_t *len)
{
    struct stat st;
    if (fstat(3, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PV_RUN_JOB_MAX)
        return NULL;
    *len = (size_t)st.st_size;
    void *bytes = malloc(*len);
    if (bytes && pread(3, bytes, *len, 0) != st.st_size) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

int main(void)
{
    struct pv_run_job job;
    struct run run = {.job = &job, .dir = -1, .lock = -1, .output = -1, .progress = -1};
    void *memory;
    size_t len = 0;

    umask(077);
    if (syscall(SYS_close_range, 4u, ~0u, 0) < 0 || chdir("/") < 0)
        return 70;
    void *bytes = read_job(&len);
    int decoded = bytes ? pv_run_job_decode(&job, &memory, bytes, len) : PV_E_WIRE_BAD;
    free(bytes);
    if (decoded) {
        fprintf(stderr, "proviso-runner: no valid job on descriptor 3\n");
        return 64;
    }
    close(3);
    setsid(); /* fails only when it leads a group already */

    /* SIGTERM and friends meant for the service do not end a command: the job's limits do. */
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGUSR1); /* the agent's word that the request was cancelled */
    int signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    int result = 71;
    if (signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        goto out;
    if (open_files(&run) < 0) {
        fprintf(stderr, "proviso-runner: %s\n", run.status.error);
        if (run.dir < 0 || run.lock < 0)
            goto out;
        run.status.end = PV_RUN_UNSTARTED;
        run.status.started = run.status.ended = time(NULL);
    } else {
        run_job(&run, signals);
    }
    if (write_status(&run) < 0)
        fprintf(stderr, "proviso-runner: cannot write the status: %s\n", strerror(errno));
    else
        result = 0;
out:
    free(memory);
    return result;
}
