/*
 * selfserve-pass: the one program that can read the client key. Set-gid to the key's group and to nothing else.
 *
 * Standard input: the connection's challenge (32 bytes), uint32 length (little-endian), and so many bytes of a
 * canonical request (agentd/request_wire.h), then the end of the file. Standard output: 64 bytes, the passcode over
 * them and this process's real uid. Nothing else influences it: no argument, no environment, no path of the caller's,
 * no configuration. Whoever may run it gets passcodes for requests of their own uid only.
 *
 * The key is at PV_CLIENT_KEY when this is the installed program, else at ../etc/client.key from the directory that
 * holds it (build trees, self-contained instances). It and its directory must be root's and writable by nobody else,
 * and its group must be the one that this program was given: otherwise somebody could have it sign with a key of
 * theirs, or the key is open to more than this program.
 *
 * Exit: 0; 2 input that is not a request; 3 the key cannot be used, with the reason on standard error; 4 the set-gid
 * bit had no effect (no_new_privs, a nosuid mount), so that the key is out of reach. libc and libsodium's HMAC.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/passcode.h"
#include "agentd/request_wire.h"

enum { INPUT_BAD = 2, KEY_BAD = 3, NO_GROUP = 4 };

#define KEY_NAME "client.key"

#ifdef PV_SANITIZED
/* The leak checker traces the process that it checks, which this one does not let happen. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

static int complain(int code, const char *text)
{
    fprintf(stderr, "selfserve-pass: %s\n", text);
    return code;
}

/* Before anything is read: no core, no ptrace, no descriptor but the three. */
static int seal(void)
{
    const struct rlimit none = {0, 0};
    clearenv();
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none) || close_range(3, ~0u, 0))
        return complain(KEY_BAD, "cannot protect itself");
    return 0;
}

/* The directory of the key, open. */
static int open_directory(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("../etc"));
    if (len <= 0 || len >= (ssize_t)(sizeof(path) - sizeof("../etc")))
        return -1;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return -1;
    if (strcmp(path, PV_PASS_PATH) == 0) {
        static const char key[] = PV_CLIENT_KEY;
        memcpy(path, key, sizeof(key));
        slash = strrchr(path, '/');
        *slash = '\0';
    } else {
        memcpy(slash + 1, "../etc", sizeof("../etc"));
    }
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int read_key(uint8_t key[PV_CLIENT_KEY_SIZE])
{
    int result = KEY_BAD;
    int dir = -1, fd = -1;
    struct stat st;
    if ((dir = open_directory()) < 0 || fstat(dir, &st)) {
        complain(KEY_BAD, "there is no directory with a client key beside this program");
        goto out;
    }
    if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        complain(KEY_BAD, "the directory of the client key can be written by others than root");
        goto out;
    }
    /* Looked at before it is opened: a key of another group cannot be opened, and the reason is worth telling. */
    if (fstatat(dir, KEY_NAME, &st, AT_SYMLINK_NOFOLLOW)) {
        complain(KEY_BAD, "there is no client key");
        goto out;
    }
    if (st.st_gid != getegid()) {
        result = getegid() == getgid() ? NO_GROUP : KEY_BAD;
        complain(result, result == NO_GROUP ? "its set-gid bit has no effect here"
                                            : "the client key's group is not that of this program");
        goto out;
    }
    fd = openat(dir, KEY_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        complain(KEY_BAD, "the client key cannot be opened");
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_gid != getegid() || (st.st_mode & (S_IWGRP | S_IRWXO))) {
        complain(KEY_BAD, "the client key must be a file of root's that its group reads, and nobody else");
        goto out;
    }
    if (st.st_size != PV_CLIENT_KEY_SIZE || read(fd, key, PV_CLIENT_KEY_SIZE) != PV_CLIENT_KEY_SIZE) {
        complain(KEY_BAD, "the client key has the wrong length");
        goto out;
    }
    result = 0;
out:
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return result;
}

/* Reads exactly `len` bytes of standard input. */
static int read_exactly(uint8_t *bytes, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t n = read(STDIN_FILENO, bytes + have, len - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        have += (size_t)n;
    }
    return 0;
}

static int write_all(const uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(STDOUT_FILENO, bytes + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    static uint8_t request[PV_REQUEST_WIRE_MAX], key[PV_CLIENT_KEY_SIZE];
    uint8_t challenge[PV_CHALLENGE_SIZE], head[4], passcode[PV_PASSCODE_SIZE], more;
    int result = seal();
    if (result)
        return result;
    if (argc != 1)
        return complain(INPUT_BAD, "takes no arguments");
    result = read_key(key);
    if (result)
        goto out;
    result = INPUT_BAD;
    /* The key is in memory: nothing needs the group any more. */
    gid_t gid = getgid();
    if (setresgid(gid, gid, gid)) {
        complain(INPUT_BAD, "cannot give the key's group back");
        goto out;
    }
    if (read_exactly(challenge, sizeof(challenge)) || read_exactly(head, sizeof(head))) {
        complain(INPUT_BAD, "the input is too short");
        goto out;
    }
    uint32_t len = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    if (len == 0 || len > sizeof(request)) {
        complain(INPUT_BAD, "the request's length is out of range");
        goto out;
    }
    if (read_exactly(request, len) || read_exactly(&more, 1) == 0) {
        complain(INPUT_BAD, "the request does not have the length that it says");
        goto out;
    }
    pv_passcode_make(key, challenge, getuid(), request, len, passcode);
    result = write_all(passcode, sizeof(passcode)) ? INPUT_BAD : 0;
out:
    sodium_memzero(key, sizeof(key));
    return result;
}
