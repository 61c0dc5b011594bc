/*
 * What a front end gives up before it reads the first byte of a client. The account and the empty root are the
 * launcher's work; this is the rest: limits, no new privileges, and a filter over system calls in which everything that
 * is not listed kills the process. The list is what the loop and the C library's allocator need; there is nothing in it
 * that opens, creates, connects, signals another process or runs a program.
 */
#include "agentd/frontend.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define ARCH AUDIT_ARCH_RISCV64
#endif

static int limit(int resource, rlim_t value)
{
    const struct rlimit both = {value, value};
    return setrlimit((__rlimit_resource_t)resource, &both) ? -errno : 0;
}

#if defined(ARCH) && !defined(SANITIZED)

#define LOAD(field)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* Memory may be mapped and its protection changed, but never made executable: argument 2 is the protection. */
#define ALLOW_DATA(number)                                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4),                                                               \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),                                    \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), KILL, BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int filter(void)
{
    struct sock_filter program[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        KILL,
        LOAD(nr),
        /* the two sockets and the two files */
        ALLOW(__NR_recvfrom),
        ALLOW(__NR_recvmsg),
        ALLOW(__NR_sendto),
        ALLOW(__NR_sendmsg),
        ALLOW(__NR_pread64),
        ALLOW(__NR_ppoll),
#ifdef __NR_poll
        ALLOW(__NR_poll),
#endif
        ALLOW(__NR_close),
        /* a sentence on standard error */
        ALLOW(__NR_write),
        ALLOW(__NR_writev),
        /* time */
        ALLOW(__NR_clock_gettime),
        ALLOW(__NR_restart_syscall),
        /* memory */
        ALLOW(__NR_brk),
        ALLOW(__NR_munmap),
        ALLOW(__NR_mremap),
        ALLOW(__NR_madvise),
        ALLOW(__NR_futex),
        ALLOW(__NR_getrandom),
        ALLOW_DATA(__NR_mmap),
        ALLOW_DATA(__NR_mprotect),
        /* the end */
        ALLOW(__NR_exit_group),
        ALLOW(__NR_exit),
        ALLOW(__NR_rt_sigreturn),
        ALLOW(__NR_rt_sigprocmask),
        ALLOW(__NR_rt_sigaction),
        KILL,
    };
    const struct sock_fprog all = {.len = (unsigned short)(sizeof(program) / sizeof(program[0])), .filter = program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) ? -errno : 0;
}
#else
/* A sanitizer opens files and maps what it likes; other machines have no list yet. Both keep everything else. */
static int filter(void)
{
    return 0;
}
#endif

int pv_front_sandbox(void)
{
    int result = limit(RLIMIT_CORE, 0);
    if (result || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return result ? result : -errno;
#ifndef SANITIZED /* a sanitizer maps terabytes, and looks for leaks with a thread that traces this one */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -errno;
    /* The outbox, one message in each direction and what the parser makes of it: a few megabytes. */
    if ((result = limit(RLIMIT_NPROC, 0)) || (result = limit(RLIMIT_DATA, 64u << 20)))
        return result;
#endif
    return filter();
}
