/*
 * proviso-launch: takes on an unprivileged account and executes a program of the agent's.
 *
 *     proviso-launch [-q] UID GID LAST_FD PROGRAM [ARGUMENT...]
 *
 * The monitor is big and root, so it neither forks nor drops privileges in a copy of itself: it spawns this, which does
 * nothing else. The program starts with exactly these ids and no supplementary group, no capability, no way to gain
 * one, no descriptor above LAST_FD, an empty environment, default signals, its own session, and a file mode mask of
 * 077; with -q also without standard error, for a program whose words may be a stranger's. Whatever cannot be set ends
 * it with status 71 before the program runs. libc only.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "proviso-launch: %s: %s\n", what, strerror(errno));
    return 71;
}

/* A decimal number from 1 to `max`, nothing around it; 0 if it is not. */
static unsigned long number(const char *text, unsigned long max)
{
    if (text[0] < '1' || text[0] > '9' || strspn(text, "0123456789") != strlen(text))
        return 0;
    errno = 0;
    unsigned long value = strtoul(text, NULL, 10);
    return errno == 0 && value <= max ? value : 0;
}

static int drop(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail("clear ambient capabilities");
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return fail("drop the capability bounding set");
    if (setgroups(0, NULL) < 0)
        return fail("drop supplementary groups");
    if (setresgid(gid, gid, gid) < 0)
        return fail("set the group");
    if (setresuid(uid, uid, uid) < 0)
        return fail("set the user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail("set no_new_privs");
    if (syscall(SYS_capset, &header, none) < 0)
        return fail("drop capabilities");
    uid_t ru, eu, su;
    gid_t rg, eg, sg;
    if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0 || ru != uid || eu != uid || su != uid ||
        rg != gid || eg != gid || sg != gid || getgroups(0, NULL) != 0 || setresuid(0, 0, 0) == 0 ||
        setresgid(0, 0, 0) == 0) {
        errno = EPERM;
        return fail("the privileges did not go away");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
    bool quiet = argc > 1 && strcmp(argv[1], "-q") == 0;
    argc -= quiet;
    argv += quiet;
    if (argc < 5) {
        fprintf(stderr, "usage: proviso-launch [-q] UID GID LAST_FD PROGRAM [ARGUMENT...]\n");
        return 64;
    }
    unsigned long uid = number(argv[1], INT_MAX), gid = number(argv[2], INT_MAX), last = number(argv[3], 64);
    if (!uid || !gid || !last || argv[4][0] != '/') {
        fprintf(stderr, "proviso-launch: a user and a group other than 0, a last descriptor and an absolute path\n");
        return 64;
    }
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0u, 0) < 0)
        return fail("close descriptors");
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return fail("reset signals");
    struct rlimit core = {0, 0};
    if (setrlimit(RLIMIT_CORE, &core) < 0)
        return fail("switch core dumps off");
    umask(077);
    if (chdir("/") < 0)
        return fail("chdir /");
    setsid(); /* fails only when it leads a group already */
    int result = drop((uid_t)uid, (gid_t)gid);
    if (result)
        return result;
    int said = quiet ? fcntl(2, F_DUPFD_CLOEXEC, 3) : -1, null = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    if (quiet && (said < 0 || null < 0 || dup2(null, 2) < 0))
        return fail("leave standard error");
    execve(argv[4], argv + 4, environment);
    int error = errno;
    if (said >= 0)
        dup2(said, 2);
    errno = error;
    return fail(argv[4]);
}
