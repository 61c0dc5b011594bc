/*
 * Trusted paths and durable files; see monitor_files.h.
 *
 * The path check walks the text of the path component by component with lstat() and follows links itself, so that the
 * directory that holds a link is checked as well as the one that it points into. It is a check of configuration, made
 * before anything is opened, by a process for which nobody but root can win a race on such a path once it has passed.
 */
#include "agentd/monitor_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 16 };

static int refuse(char *why, size_t size, const char *path, const char *what)
{
    snprintf(why, size, "%s %s", path, what);
    return -1;
}

/* One component that exists. */
static int check_one(const char *path, const struct stat *st, char *why, size_t size)
{
    if (st->st_uid != 0)
        return refuse(why, size, path, "does not belong to root");
    if (S_ISLNK(st->st_mode))
        return 0;
    bool sticky_dir = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);
    if ((st->st_mode & S_IWOTH) && !sticky_dir)
        return refuse(why, size, path, "can be written by everybody");
    if ((st->st_mode & S_IWGRP) && st->st_gid != 0 && !sticky_dir)
        return refuse(why, size, path, "can be written by its group");
    return 0;
}

static int check(const char *path, bool missing_ok, int links, char *why, size_t size)
{
    char at[PATH_MAX], target[PATH_MAX], next[2 * PATH_MAX];
    struct stat st;
    size_t len = strlen(path);
    if (path[0] != '/')
        return refuse(why, size, path, "is not an absolute path");
    if (len >= sizeof at)
        return refuse(why, size, "a path", "is too long");
    for (size_t i = 0; i <= len;) {
        /* [0, end) is the prefix to look at: "/", "/a", "/a/b", ... */
        size_t end = i == 0 ? 1 : i + strcspn(path + i, "/");
        memcpy(at, path, end);
        at[end] = '\0';
        const char *rest = path + end + strspn(path + end, "/");
        if (lstat(at, &st) < 0) {
            if (errno == ENOENT && missing_ok)
                return 0;
            return refuse(why, size, at, strerror(errno));
        }
        if (check_one(at, &st, why, size) < 0)
            return -1;
        if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(at, target, sizeof target - 1);
            if (n <= 0 || links >= LINKS_MAX)
                return refuse(why, size, at, "is not a readable link, or one of too many");
            target[n] = '\0';
            char *slash = strrchr(at, '/');
            if (slash == at)
                slash++;
            *slash = '\0';
            int written = target[0] == '/'
                              ? snprintf(next, sizeof next, "%s%s%s", target, *rest ? "/" : "", rest)
                              : snprintf(next, sizeof next, "%s/%s%s%s", at, target, *rest ? "/" : "", rest);
            if (written < 0 || (size_t)written >= sizeof at)
                return refuse(why, size, path, "is too long");
            return check(next, missing_ok, links + 1, why, size);
        }
        if (!*rest)
            return 0;
        if (!S_ISDIR(st.st_mode))
            return refuse(why, size, at, "is not a directory");
        i = (size_t)(rest - path);
    }
    return 0;
}

int pv_path_check(const char *path, bool missing_ok, char *why, size_t size)
{
    why[0] = '\0';
    return check(path, missing_ok, 0, why, size);
}

int pv_file_read(int dir, const char *path, size_t max, void **data, size_t *len)
{
    *data = NULL;
    *len = 0;
    int result = 0;
    char *buffer = NULL;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        result = -errno;
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        result = -EINVAL;
        goto out;
    }
    if ((uint64_t)st.st_size > max) {
        result = -EFBIG;
        goto out;
    }
    size_t cap = (size_t)st.st_size, at = 0;
    buffer = malloc(cap + 1);
    if (!buffer) {
        result = -ENOMEM;
        goto out;
    }
    while (at < cap) {
        ssize_t n = read(fd, buffer + at, cap - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            result = -errno;
            goto out;
        }
        if (n == 0)
            break;
        at += (size_t)n;
    }
    buffer[at] = '\0';
    *data = buffer;
    *len = at;
    buffer = NULL;
out:
    free(buffer);
    close(fd);
    return result;
}

int pv_file_write(int dir, const char *name, mode_t mode, const void *data, size_t len)
{
    char temporary[NAME_MAX + 1];
    if ((size_t)snprintf(temporary, sizeof temporary, ".%s.new", name) >= sizeof temporary)
        return -ENAMETOOLONG;
    unlinkat(dir, temporary, 0);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    int result = 0;
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, (const char *)data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            result = n < 0 ? -errno : -EIO;
            goto out;
        }
        at += (size_t)n;
    }
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0) {
        result = -errno;
        goto out;
    }
    if (renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0)
        result = -errno;
out:
    close(fd);
    if (result)
        unlinkat(dir, temporary, 0);
    return result;
}

int pv_dir_make(int dir, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    struct stat st;
    bool good = fstat(fd, &st) == 0;
    if (good && st.st_uid != uid && st.st_uid != 0) {
        good = false;
        errno = EPERM;
    }
    if (good && (st.st_uid != uid || st.st_gid != gid))
        good = fchown(fd, uid, gid) == 0;
    if (good && (st.st_mode & 07777) != mode)
        good = fchmod(fd, mode) == 0;
    int result = good ? 0 : -errno;
    close(fd);
    return result;
}

int pv_account_find(const char *name, uid_t *uid, gid_t *gid)
{
    char buffer[4096];
    struct passwd entry, *found;
    FILE *file = fopen("/etc/passwd", "re");
    if (!file)
        return -errno;
    int result = -ENOENT;
    while (fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0)
        if (strcmp(found->pw_name, name) == 0) {
            *uid = found->pw_uid;
            *gid = found->pw_gid;
            result = 0;
            break;
        }
    fclose(file);
    return result;
}

/* The group for which `name` (not NULL) or `gid` fits. */
static int group_scan(const char *name, gid_t gid, char *found_name, size_t size, gid_t *found_gid)
{
    size_t cap = 65536; /* members of large groups make long lines */
    char *buffer = malloc(cap);
    FILE *file = fopen("/etc/group", "re");
    int result = -ENOENT;
    struct group entry, *found;
    if (!buffer || !file) {
        result = file ? -ENOMEM : -errno;
        goto out;
    }
    while (fgetgrent_r(file, &entry, buffer, cap, &found) == 0) {
        if (name ? strcmp(found->gr_name, name) != 0 : found->gr_gid != gid)
            continue;
        if (found_gid)
            *found_gid = found->gr_gid;
        if (found_name && (size_t)snprintf(found_name, size, "%s", found->gr_name) >= size)
            result = -ENAMETOOLONG;
        else
            result = 0;
        break;
    }
out:
    if (file)
        fclose(file);
    free(buffer);
    return result;
}

int pv_group_name(gid_t gid, char *name, size_t size)
{
    return group_scan(NULL, gid, name, size, NULL);
}

int pv_group_find(const char *name, gid_t *gid)
{
    return group_scan(name, 0, NULL, 0, gid);
}
