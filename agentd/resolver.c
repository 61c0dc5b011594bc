/*
 * proviso-resolver: one question to the name services, one answer, exit.
 *
 * NSS modules speak to networks and parse what comes back, so they are loaded in a process without privileges that
 * lives for one question; the monitor keeps the deadline and kills it. An answer is complete or an error: a user with
 * half of her groups could be allowed what a denial for a missing group forbids.
 *
 * A group without a name is kept by number. Names that hold control characters, or do not fit, are an error.
 */
#include "agentd/resolver.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agentd/wire.h"

enum { SERVICE_FD = 3, NSS_BUFFER_MAX = 16 << 20 };

static uint8_t in[PV_WIRE_MAX], out[PV_WIRE_MAX];

static int send_error(enum pv_resolver_error code, const char *sentence)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u32(&w, (uint32_t)code);
    pv_put_cstr(&w, sentence);
    return pv_frame_send(SERVICE_FD, PV_MSG_RESOLVE_ERROR, &w, NULL, 0);
}

static bool name_plain(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || name[i] == ':')
            return false;
    return len > 0 && len <= PV_RESOLVER_NAME_MAX;
}

/* One of the reentrant look-ups with a buffer that grows. 0 found, 1 no such entry, -1 failed. */
#define LOOK_UP(call, entry, found, buffer, size)                                                                      \
    do {                                                                                                               \
        for (;;) {                                                                                                     \
            char *grown = realloc(buffer, size);                                                                       \
            int error = ENOMEM;                                                                                        \
            if (!grown)                                                                                                \
                return -1;                                                                                             \
            buffer = grown;                                                                                            \
            error = call(entry, buffer, size, &found);                                                                 \
            if (error == EINTR)                                                                                        \
                continue;                                                                                              \
            if (error == ERANGE && size < NSS_BUFFER_MAX) {                                                            \
                size *= 2;                                                                                             \
                continue;                                                                                              \
            }                                                                                                          \
            if (found)                                                                                                 \
                return 0;                                                                                              \
            return error == 0 || error == ENOENT || error == ESRCH ? 1 : -1;                                           \
        }                                                                                                              \
    } while (0)

static char *pw_buffer, *gr_buffer;
static size_t pw_size = 4096, gr_size = 65536;
static struct passwd pw_entry;
static struct group gr_entry;

static int user_by_uid(uid_t uid)
{
    struct passwd *found = NULL;
#define BY_UID(entry, buffer, size, result) getpwuid_r(uid, entry, buffer, size, result)
    LOOK_UP(BY_UID, &pw_entry, found, pw_buffer, pw_size);
}

static int user_by_name(const char *name)
{
    struct passwd *found = NULL;
#define BY_NAME(entry, buffer, size, result) getpwnam_r(name, entry, buffer, size, result)
    LOOK_UP(BY_NAME, &pw_entry, found, pw_buffer, pw_size);
}

static int group_by_gid(gid_t gid)
{
    struct group *found = NULL;
#define BY_GID(entry, buffer, size, result) getgrgid_r(gid, entry, buffer, size, result)
    LOOK_UP(BY_GID, &gr_entry, found, gr_buffer, gr_size);
}

/* The user's groups with their names, the primary one first. */
static int put_groups(struct pv_wbuf *w, const char *name, gid_t primary)
{
    static gid_t groups[PV_RESOLVER_GROUPS_MAX];
    int n = PV_RESOLVER_GROUPS_MAX;
    errno = 0;
    if (getgrouplist(name, primary, groups, &n) < 0 || n < 1)
        return send_error(n > PV_RESOLVER_GROUPS_MAX ? PV_RESOLVER_TOO_MUCH : PV_RESOLVER_FAILED,
                          "The user's groups cannot be listed, or are too many.");
    size_t at = w->len;
    uint32_t kept = 0;
    pv_put_u32(w, 0);
    for (int i = -1; i < n; i++) { /* the primary group, then the others, each once */
        gid_t gid = i < 0 ? primary : groups[i];
        bool again = i >= 0 && gid == primary;
        for (int j = 0; j < i && !again; j++)
            again = groups[j] == gid;
        if (again)
            continue;
        int found = group_by_gid(gid);
        if (found < 0)
            return send_error(PV_RESOLVER_FAILED, "The name of a group cannot be looked up.");
        if (found == 0 && !name_plain(gr_entry.gr_name))
            return send_error(PV_RESOLVER_TOO_MUCH, "A group has a name that cannot be used.");
        pv_put_u32(w, (uint32_t)gid);
        pv_put_cstr(w, found == 0 ? gr_entry.gr_name : "");
        kept++;
    }
    if (w->overflow)
        return send_error(PV_RESOLVER_TOO_MUCH, "The names of the user's groups are too long.");
    struct pv_wbuf count;
    pv_wbuf_init(&count, out + at, 4);
    pv_put_u32(&count, kept);
    return pv_frame_send(SERVICE_FD, PV_MSG_RESOLVE_USER, w, NULL, 0);
}

static int answer_uid(uint32_t uid)
{
    char name[PV_RESOLVER_NAME_MAX + 1];
    struct pv_wbuf w;
    int found = user_by_uid(uid);
    if (found < 0)
        return send_error(PV_RESOLVER_FAILED, "The user cannot be looked up.");
    if (found)
        return send_error(PV_RESOLVER_NO_USER, "The uid belongs to no user.");
    if (pw_entry.pw_uid != uid || !name_plain(pw_entry.pw_name))
        return send_error(PV_RESOLVER_AMBIGUOUS, "The user has a name or uid that cannot be used.");
    memcpy(name, pw_entry.pw_name, strlen(pw_entry.pw_name) + 1);
    gid_t primary = pw_entry.pw_gid;
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_u32(&w, uid);
    pv_put_u32(&w, (uint32_t)primary);
    pv_put_cstr(&w, name);
    pv_put_cstr(&w, pw_entry.pw_gecos ? pw_entry.pw_gecos : "");
    pv_put_cstr(&w, pw_entry.pw_dir ? pw_entry.pw_dir : "");
    pv_put_cstr(&w, pw_entry.pw_shell ? pw_entry.pw_shell : "");
    found = user_by_name(name); /* two names of one uid: only the one that leads back counts */
    if (found < 0)
        return send_error(PV_RESOLVER_FAILED, "The user cannot be looked up.");
    if (found || pw_entry.pw_uid != uid)
        return send_error(PV_RESOLVER_AMBIGUOUS, "The user's name does not lead back to the same uid.");
    return put_groups(&w, name, primary);
}

/* Whether the name has this uid, and the uid this name. */
static int answer_name(const char *name, uint32_t uid)
{
    struct pv_wbuf w;
    uint32_t now = UINT32_MAX;
    bool same = false;
    int found = user_by_name(name);
    if (found < 0)
        return send_error(PV_RESOLVER_FAILED, "The user cannot be looked up.");
    if (found == 0) {
        now = (uint32_t)pw_entry.pw_uid;
        int back = now == uid ? user_by_uid(uid) : 1;
        if (back < 0)
            return send_error(PV_RESOLVER_FAILED, "The user cannot be looked up.");
        same = back == 0 && strcmp(pw_entry.pw_name, name) == 0;
    }
    pv_wbuf_init(&w, out, sizeof out);
    pv_put_bool(&w, same);
    pv_put_u32(&w, now);
    return pv_frame_send(SERVICE_FD, PV_MSG_RESOLVE_SAME, &w, NULL, 0);
}

int main(void)
{
    uint32_t type, uid;
    size_t len;
    struct pv_rbuf r;
    char name[PV_RESOLVER_NAME_MAX + 1];
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (pv_frame_recv(SERVICE_FD, in, sizeof in, &type, &len, NULL, 0, NULL))
        return 1;
    pv_rbuf_init(&r, in, len);
    switch (type) {
    case PV_MSG_RESOLVE_UID:
        uid = pv_get_u32(&r);
        if (pv_rbuf_done(&r) && uid != UINT32_MAX)
            return answer_uid(uid) ? 1 : 0;
        break;
    case PV_MSG_RESOLVE_NAME:
        pv_get_str_copy(&r, name, sizeof name);
        uid = pv_get_u32(&r);
        if (pv_rbuf_done(&r) && name_plain(name))
            return answer_name(name, uid) ? 1 : 0;
        break;
    }
    return send_error(PV_RESOLVER_BAD_REQUEST, "The resolver got a malformed request.") ? 1 : 0;
}
