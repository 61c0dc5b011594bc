/*
 * proviso-hook: the last word before dpkg starts.
 *
 * apt runs it as root under the frontend lock, with everything that it is about to do on a descriptor. It reads the
 * plan that was decided from the run directory, compares, hashes every archive, and ends with 0 only when nothing
 * differs; anything else makes apt stop before dpkg. Without a run directory (somebody used the agent's configuration
 * by hand) it refuses.
 *
 * The run directory and everything in it must be root's and for root alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/config.h"
#include "agentd/apt/hooklist.h"
#include "agentd/plan.h"

enum { LIST_MAX = 16 << 20 }; /* apt's whole configuration and a line of some hundred bytes an operation */

/* Reads everything from fd, at most max bytes. */
static char *slurp(int fd, size_t max, size_t *len)
{
    size_t cap = 65536;
    char *data = malloc(cap);
    *len = 0;
    while (data) {
        ssize_t n = read(fd, data + *len, cap - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return data;
        *len += n > 0 ? (size_t)n : 0;
        if (n < 0 || *len > max)
            break;
        if (*len == cap) {
            char *grown = realloc(data, cap * 2);
            if (!grown)
                break;
            data = grown;
            cap *= 2;
        }
    }
    free(data);
    return NULL;
}

static int open_run(const char *path, int *dir)
{
    struct stat st;
    *dir = -1;
    if (!path || path[0] != '/')
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077)) {
        close(fd);
        return -1;
    }
    *dir = fd;
    return 0;
}

static int read_plan(int dir, struct pv_plan *plan)
{
    struct stat st;
    size_t len;
    int result = -1, fd = openat(dir, PV_APT_PLAN_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022)) {
        char *text = slurp(fd, PV_PLAN_TEXT_MAX, &len);
        result = text ? pv_plan_parse(plan, text, len) : -1;
        free(text);
    }
    close(fd);
    return result;
}

/* Hashes an archive that is root's regular file; not a symbolic link, which could lead elsewhere by the time that dpkg
 * opens it. */
static int hash_archive(void *context, const char *path, uint8_t hash[32])
{
    static unsigned char block[1 << 16];
    crypto_hash_sha256_state state;
    struct stat st;
    (void)context;
    int result = -1, fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        goto out;
    crypto_hash_sha256_init(&state);
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto out;
        if (n == 0)
            break;
        crypto_hash_sha256_update(&state, block, (unsigned long long)n);
    }
    crypto_hash_sha256_final(&state, hash);
    result = 0;
out:
    close(fd);
    return result;
}

/* A small file of the run directory, written durably: the monitor relies on it after a crash. */
static int leave(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    size_t len = strlen(text);
    int result = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0 ? 0 : -1;
    if (close(fd) != 0)
        result = -1;
    return fsync(dir) == 0 ? result : -1;
}

static int refuse(int dir, const char *sentence)
{
    fprintf(stderr, "proviso-hook: refused: %s\n", sentence);
    if (dir >= 0) {
        leave(dir, PV_APT_HOOK_ERROR, sentence);
        close(dir);
    }
    return 1;
}

static int info_fd(void)
{
    const char *text = getenv("APT_HOOK_INFO_FD");
    char *end = NULL;
    errno = 0;
    long fd = text ? strtol(text, &end, 10) : 0;
    return !text || errno || *end || end == text || fd < 0 || fd > INT_MAX ? STDIN_FILENO : (int)fd;
}

int main(void)
{
    struct pv_plan plan = {0};
    struct pv_hook_verdict verdict;
    int dir;
    size_t len;
    umask(077);
    if (sodium_init() < 0)
        return refuse(-1, "the cryptographic library does not start");
    if (open_run(getenv(PV_APT_RUN_VARIABLE), &dir))
        return refuse(-1, "there is no run directory of the agent's, so nothing has been decided");
    if (unlinkat(dir, PV_APT_HOOK_OK, 0) != 0 && errno != ENOENT)
        return refuse(dir, "the run directory cannot be written");
    if (read_plan(dir, &plan))
        return refuse(dir, "the plan of this run is missing or damaged");
    char *list = slurp(info_fd(), LIST_MAX, &len);
    if (!list)
        return refuse(dir, "apt's list cannot be read or is too long");
    int result = pv_hook_check(&plan, list, len, hash_archive, NULL, &verdict);
    free(list);
    pv_plan_clear(&plan);
    if (result)
        return refuse(dir, verdict.sentence);
    if (leave(dir, PV_APT_HOOK_OK, "ok\n"))
        return refuse(dir, "the run directory cannot be written");
    close(dir);
    return 0;
}
