/*
 * What may stand in an apt or dpkg command line: package names, architectures and versions, as exact text.
 *
 * apt reads much more than a name in the place of a package: a path, `pkg-` and `pkg+` (remove, install),
 * `pkg=glob*`, `pkg/release`, `pkg:arch`, `^regex`, `?pattern`, `~pattern`, `task^`. The grammars here admit none of
 * those; the planner checks besides that a name exists literally in an index, which settles names that end in `+`
 * (`g++`): apt prefers the literal name to the modifier.
 *
 * libc only.
 */
#ifndef PV_AGENTD_APT_NAME_H
#define PV_AGENTD_APT_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PV_APT_NAME_MAX = 127, /* Debian's longest names have under 80 bytes */
    PV_APT_VERSION_MAX = 127,
    PV_APT_ARCH_MAX = 31,
    PV_APT_SOURCE_MAX = 127,
};

/* `^[a-z0-9][a-z0-9+.-]+$`, at most PV_APT_NAME_MAX bytes, and not ending in `-`, which apt reads as "remove". */
bool pv_apt_name_valid(const char *name, size_t len);

/* [epoch:]upstream[-revision] of Debian policy 5.6.12 as an exact version, without any glob, not ending in `-`. */
bool pv_apt_version_valid(const char *version, size_t len);

/* `[a-z0-9][a-z0-9-]*`: amd64, all, musl-linux-amd64; `any` and `native`, which are patterns, are refused. */
bool pv_apt_arch_valid(const char *arch, size_t len);

/* A policy's identifier, `[A-Za-z_][A-Za-z0-9_-]*`: it becomes a file name, and apt ignores files of other names. */
bool pv_apt_source_valid(const char *name, size_t len);

#endif
