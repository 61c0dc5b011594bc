/*
 * Files of the monitor's: who could have written them, and writing them so that a crash leaves the old or the new.
 * libc only.
 */
#ifndef PV_AGENTD_MONITOR_FILES_H
#define PV_AGENTD_MONITOR_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether nobody but root can change what `path` (absolute) names: the file, each directory above it, and the same of
 * what every symbolic link on the way points to, belong to root and are not writable by group or others; root-owned
 * sticky directories pass when what lies in them is root's. With `missing_ok`, a path that does not exist yet passes
 * when the directories that do exist pass. 0, or -1 with one sentence in `why` that names the path at fault.
 */
int pv_path_check(const char *path, bool missing_ok, char *why, size_t size);

/* Reads a whole regular file of at most `max` bytes; *data is malloc()ed with a terminator behind the content. 0 or a
 * negative errno (-EFBIG, -EINVAL: not a regular file). dir as in openat(). */
int pv_file_read(int dir, const char *path, size_t max, void **data, size_t *len);

/* Writes NAME in the directory: temporary file, fsync, rename, fsync of the directory. 0 or a negative errno. */
int pv_file_write(int dir, const char *name, mode_t mode, const void *data, size_t len);

/* Makes a directory unless it is there, root's, with exactly these bits. 0 or a negative errno (-EPERM: another
 * owner). */
int pv_dir_make(int dir, const char *name, mode_t mode, uid_t uid, gid_t gid);

/* Finds an account in /etc/passwd (or the group of a gid in /etc/group) without the name service. 0, -ENOENT or a
 * negative errno. */
int pv_account_find(const char *name, uid_t *uid, gid_t *gid);
int pv_group_name(gid_t gid, char *name, size_t size);
int pv_group_find(const char *name, gid_t *gid);

#endif
