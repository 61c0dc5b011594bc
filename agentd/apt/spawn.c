/* One child, two pipes, one deadline; see spawn.h. */
#include "agentd/apt/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct stream {
    int fd;
    char *data;
    size_t len, cap, max;
};

/* One read; false when the bound is passed or memory is out. Closes the descriptor at its end. */
static bool drain(struct stream *s)
{
    if (s->cap - s->len < 2) {
        size_t cap = s->cap ? s->cap * 2 : 8192;
        char *grown = s->len > s->max ? NULL : realloc(s->data, cap);
        if (!grown)
            return false;
        s->data = grown;
        s->cap = cap;
    }
    ssize_t n = read(s->fd, s->data + s->len, s->cap - s->len - 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n <= 0) {
        close(s->fd);
        s->fd = -1;
        return true;
    }
    s->len += (size_t)n;
    return s->len <= s->max;
}

static int start(pid_t *pid, const int out[2], const int err[2], int give, const char *const *argv,
                 const char *const *envp)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions))
        return -1;
    int bad = posix_spawnattr_init(&attributes);
    if (bad) {
        posix_spawn_file_actions_destroy(&actions);
        errno = bad;
        return -1;
    }
    bad |=
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    bad |= posix_spawnattr_setsigdefault(&attributes, &all);
    bad |= posix_spawnattr_setsigmask(&attributes, &none);
    bad |= posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    bad |= posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    bad |= posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if (give >= 0)
        bad |= posix_spawn_file_actions_adddup2(&actions, give, 3);
    bad |= posix_spawn_file_actions_addclosefrom_np(&actions, give >= 0 ? 4 : 3);
    bad |= posix_spawn_file_actions_addchdir_np(&actions, "/");
    if (!bad)
        bad = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv,
                          (char *const *)(uintptr_t)envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = bad;
    return bad ? -1 : 0;
}

int pv_spawn_capture(struct pv_spawned *result, const char *const *argv, const char *const *envp, int give, int seconds)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1}, answer = -1;
    pid_t pid = -1;
    *result = (struct pv_spawned){0};
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || start(&pid, out, err, give, argv, envp) != 0)
        goto out;
    close(out[1]), out[1] = -1;
    close(err[1]), err[1] = -1;

    struct stream streams[2] = {{.fd = out[0], .max = PV_SPAWN_OUT_MAX}, {.fd = err[0], .max = PV_SPAWN_ERR_MAX}};
    out[0] = err[0] = -1;
    long long end = now_ms() + (long long)seconds * 1000;
    while ((streams[0].fd >= 0 || streams[1].fd >= 0) && !result->expired && !result->too_long) {
        struct pollfd polls[2] = {{.fd = streams[0].fd, .events = POLLIN}, {.fd = streams[1].fd, .events = POLLIN}};
        long long left = end - now_ms();
        int ready = left <= 0 ? 0 : poll(polls, 2, (int)left);
        if (ready == 0)
            result->expired = true;
        for (int i = 0; ready > 0 && i < 2; i++)
            if (polls[i].revents && !drain(&streams[i]))
                result->too_long = true;
    }
    if (result->expired || result->too_long)
        kill(-pid, SIGKILL);
    int status = 0;
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    kill(-pid, SIGKILL); /* what it may have left behind; not reaped yet, so the number is still its own */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    for (int i = 0; i < 2; i++) {
        if (streams[i].fd >= 0)
            close(streams[i].fd);
        if (streams[i].data)
            streams[i].data[streams[i].len] = '\0';
        else
            streams[i].data = calloc(1, 1);
    }
    result->out = streams[0].data, result->out_len = streams[0].len;
    result->err = streams[1].data, result->err_len = streams[1].len;
    answer = result->out && result->err ? 0 : -1;
    if (answer)
        pv_spawned_free(result);
out:
    for (int i = 0; i < 2; i++) {
        if (out[i] >= 0)
            close(out[i]);
        if (err[i] >= 0)
            close(err[i]);
    }
    return answer;
}

void pv_spawned_free(struct pv_spawned *result)
{
    free(result->out);
    free(result->err);
    result->out = result->err = NULL;
}
