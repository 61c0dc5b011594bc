/*
 * The set directory: rendering and writing it. See config.h for what it is.
 *
 * Rendering and writing are apart: what is hashed to name the directory is the rendered text itself (with a
 * placeholder for the directory), so a set that differs in anything gets another directory, lists and archives.
 */
#include "agentd/apt/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/internal.h"
#include "agentd/apt/name.h"
#include "agentd/apt/text.h"

/* Settings of the host's that may be carried over: how to reach servers, and hooks that the operator lists. */
static const char *const importable[] = {
    "Acquire::http::Proxy",       "Acquire::https::Proxy",    "Acquire::http::Proxy::", "Acquire::https::Proxy::",
    "Acquire::http::Timeout",     "Acquire::https::Timeout",  "Acquire::Retries",       "Acquire::https::CAInfo",
    "Acquire::https::SslCert",    "Acquire::https::SslKey",   "Acquire::ForceIPv4",     "Acquire::ForceIPv6",
    "Acquire::http::Dl-Limit",    "Acquire::https::Dl-Limit", "DPkg::Pre-Invoke::",     "DPkg::Post-Invoke::",
    "Acquire::Check-Valid-Until",
};

static bool option_allowed(const char *key)
{
    for (const char *c = key; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr(":.-", *c)))
            return false;
    for (size_t i = 0; i < sizeof importable / sizeof importable[0]; i++) {
        size_t n = strlen(importable[i]);
        bool list = importable[i][n - 1] == ':';
        if (list ? strncmp(key, importable[i], n) == 0 : strcmp(key, importable[i]) == 0)
            return true;
    }
    return false;
}

static bool option_value_plain(const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
            return false;
    return strlen(value) <= 1024;
}

static const char fixed_settings[] =
    "// Written by the agent; changes are lost.\n"
    "// Nothing of the host's configuration is read besides what is carried over below.\n"
    "Dir \"/\";\n"
    "Dir::Etc::main \"/dev/null\";\n"
    "Dir::Etc::parts \"/dev/null\";\n"
    "Dir::Etc::sourcelist \"/dev/null\";\n"
    "Dir::Etc::trusted \"/dev/null\";\n"
    "Dir::Etc::trustedparts \"/dev/null\";\n"
    "Dir::Etc::netrcparts \"/dev/null\";\n"
    "Dir::Bin::dpkg \"/usr/bin/dpkg\";\n"
    "Dir::Bin::methods \"/usr/lib/apt/methods\";\n"
    "Acquire::Languages \"none\";\n"
    "Acquire::GzipIndexes \"false\";\n" /* the planner reads the indexes itself */
    "Acquire::PDiffs \"false\";\n"
    "Acquire::AllowInsecureRepositories \"false\";\n"
    "Acquire::AllowWeakRepositories \"false\";\n"
    "Acquire::AllowDowngradeToInsecureRepositories \"false\";\n"
    "APT::Sandbox::User \"_apt\";\n"
    "APT::Install-Suggests \"false\";\n"
    "APT::Get::AllowUnauthenticated \"false\";\n"
    "APT::Get::Show-User-Simulation-Note \"false\";\n"
    "APT::Get::HideAutoRemove \"true\";\n"
    "APT::Color \"false\";\n"
    "APT::NeverAutoRemove { \"^firmware-linux.*\"; \"^linux-firmware$\"; \"^linux-image-[a-z0-9]*$\"; "
    "\"^linux-image-[a-z0-9]*-[a-z0-9]*$\"; };\n"
    "APT::VersionedKernelPackages { \"linux-.*\"; \"kfreebsd-.*\"; \"gnumach-.*\"; \".*-modules\"; \".*-kernel\"; };\n"
    "APT::Never-MarkAuto-Sections { \"metapackages\"; \"tasks\"; };\n"
    "APT::Move-Autobit-Sections { \"oldlibs\"; };\n"
    "Dpkg::Progress-Fancy \"false\";\n"
    "DPkg::Use-Pty \"false\";\n" /* no terminal for maintainer scripts: nothing waits for a prompt */
    "DPkg::Options { \"--force-confdef\"; \"--force-confold\"; };\n";

static void render_conf(struct pv_text *out, const char *set_dir, const struct pv_apt_setup *setup)
{
    bool alternate = strcmp(setup->root, "/") != 0;
    const char *root = alternate ? setup->root : "";
    pv_text_add(out, fixed_settings, sizeof fixed_settings - 1);
    pv_text_printf(out,
                   "Dir::State \"%s/state\";\n"
                   "Dir::State::lists \"%s/lists/\";\n"
                   "Dir::State::status \"%s/var/lib/dpkg/status\";\n"
                   "Dir::State::extended_states \"%s/var/lib/apt/extended_states\";\n"
                   "Dir::Cache \"%s/cache\";\n"
                   "Dir::Cache::archives \"%s/archives/\";\n"
                   "Dir::Etc \"%s/etc\";\n"
                   "Dir::Etc::sourceparts \"%s/etc/sources.list.d\";\n"
                   "Dir::Etc::preferences \"/dev/null\";\n"
                   "Dir::Etc::preferencesparts \"/dev/null\";\n"
                   "Dir::Etc::netrc \"%s/etc/auth.conf\";\n"
                   "Dir::Log \"%s/var/log/apt\";\n",
                   set_dir, set_dir, root, root, set_dir, set_dir, set_dir, set_dir, set_dir, root);
    pv_text_printf(out, "APT::Install-Recommends \"%s\";\n", setup->no_recommends ? "false" : "true");
    pv_text_printf(out, "DPkg::Lock::Timeout \"%u\";\n", setup->lock_timeout ? setup->lock_timeout : 600);
    if (alternate) /* dpkg itself runs outside and enters the root for maintainer scripts only */
        pv_text_printf(out, "DPkg::Options:: \"--root=%s\";\nDPkg::Options:: \"--log=%s/var/log/dpkg.log\";\n",
                       setup->root, setup->root);
    pv_text_printf(out,
                   "DPkg::Pre-Install-Pkgs { \"%s\"; };\n"
                   "DPkg::Tools::Options::%s::Version \"3\";\n",
                   setup->hook, setup->hook);
    for (size_t i = 0; i < setup->n_options; i++)
        pv_text_printf(out, "%s \"%s\";\n", setup->options[i].key, setup->options[i].value);
}

static int check_setup(const struct pv_apt_setup *setup, struct pv_apt_error *error)
{
    error->text[0] = '\0';
    if (!pv_apt_path_plain(setup->root) || !pv_apt_path_plain(setup->hook))
        return pv_apt_refuse(error, "the root or the hook is not a plain absolute path");
    for (size_t i = 0; i < setup->n_options; i++)
        if (!option_allowed(setup->options[i].key) || !option_value_plain(setup->options[i].value))
            return pv_apt_refuse(error, "the setting %.80s cannot be carried over from the host",
                                 setup->options[i].key);
    for (size_t i = 0; i < setup->n_sources; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(setup->sources[i].name, setup->sources[j].name) == 0)
                return pv_apt_refuse(error, "source %s is given twice", setup->sources[i].name);
    return 0;
}

struct rendered {
    struct pv_text conf;
    char **lines; /* one per source */
    size_t n_lines;
};

static void release(struct rendered *r)
{
    for (size_t i = 0; i < r->n_lines; i++)
        free(r->lines[i]);
    free(r->lines);
    free(r->conf.data);
}

static int render(struct rendered *r, const char *set_dir, const struct pv_apt_setup *setup, struct pv_apt_error *error)
{
    *r = (struct rendered){0};
    int result = check_setup(setup, error);
    if (result)
        return result;
    bool alternate = strcmp(setup->root, "/") != 0;
    r->lines = calloc(setup->n_sources + 1, sizeof *r->lines);
    if (!r->lines)
        return PV_E_APT_NOMEM;
    for (; r->n_lines < setup->n_sources; r->n_lines++) {
        result = pv_apt_source_line(&setup->sources[r->n_lines], alternate, &r->lines[r->n_lines], error);
        if (result)
            return result;
    }
    render_conf(&r->conf, set_dir, setup);
    return r->conf.failed ? PV_E_APT_NOMEM : 0;
}

int pv_apt_config_canonical(const struct pv_apt_setup *setup, pv_plan_sink *sink, void *context,
                            struct pv_apt_error *error)
{
    struct rendered r;
    int result = render(&r, "SET", setup, error);
    if (result)
        goto out;
    result = PV_E_PLAN_SINK;
    if (sink(context, r.conf.data, r.conf.len + 1))
        goto out;
    for (size_t i = 0; i < r.n_lines; i++)
        if (sink(context, setup->sources[i].name, strlen(setup->sources[i].name) + 1) ||
            sink(context, r.lines[i], strlen(r.lines[i]) + 1))
            goto out;
    result = 0;
out:
    release(&r);
    return result;
}

static int system_error(struct pv_apt_error *error, const char *what, const char *name)
{
    snprintf(error->text, sizeof error->text, "%s %.300s: %s", what, name, strerror(errno));
    return PV_E_APT_SYSTEM;
}

/* Opens, after making it if need be, a directory that is ours and nobody else's to write. */
static int open_dir(int parent, const char *name, int *fd, struct pv_apt_error *error)
{
    struct stat st;
    *fd = -1;
    if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
        return system_error(error, "cannot make", name);
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return system_error(error, "cannot open", name);
    if (fstat(dir, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        close(dir);
        return pv_apt_refuse(error, "%s belongs to somebody else or can be written by others", name);
    }
    if ((st.st_mode & 0777) != 0755 && fchmod(dir, 0755) != 0) { /* whatever the umask was */
        close(dir);
        return system_error(error, "cannot set the mode of", name);
    }
    *fd = dir;
    return 0;
}

static bool same_content(int dir, const char *name, const char *data, size_t len)
{
    bool same = false;
    struct stat st;
    char *have = NULL;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 07777) == 0644 &&
        (size_t)st.st_size == len && (have = malloc(len + 1)))
        same = read(fd, have, len + 1) == (ssize_t)len && memcmp(have, data, len) == 0;
    free(have);
    close(fd);
    return same;
}

static int write_file(int dir, const char *name, const char *data, size_t len, struct pv_apt_error *error)
{
    if (same_content(dir, name, data, len))
        return 0;
    char temporary[NAME_MAX + 1];
    if (snprintf(temporary, sizeof temporary, ".%s.new", name) >= (int)sizeof temporary)
        return pv_apt_refuse(error, "%s: the name is too long", name);
    if (unlinkat(dir, temporary, 0) != 0 && errno != ENOENT)
        return system_error(error, "cannot replace", temporary);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return system_error(error, "cannot make", temporary);
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            goto failed;
        at += (size_t)n;
    }
    if (fchmod(fd, 0644) != 0 || renameat(dir, temporary, dir, name) != 0)
        goto failed;
    close(fd);
    return 0;
failed:
    system_error(error, "cannot write", name);
    close(fd);
    unlinkat(dir, temporary, 0);
    return PV_E_APT_SYSTEM;
}

static int write_sources(int etc, const struct pv_apt_setup *setup, const struct rendered *r,
                         struct pv_apt_error *error)
{
    int dir;
    int result = open_dir(etc, "sources.list.d", &dir, error);
    for (size_t i = 0; !result && i < r->n_lines; i++) {
        char name[PV_APT_SOURCE_MAX + 8];
        struct pv_text line = {0};
        snprintf(name, sizeof name, "%s.list", setup->sources[i].name);
        pv_text_printf(&line, "%s\n", r->lines[i]);
        result = line.failed ? PV_E_APT_NOMEM : write_file(dir, name, line.data, line.len, error);
        free(line.data);
    }
    if (dir >= 0)
        close(dir);
    return result;
}

int pv_apt_config_write(const char *set_dir, const struct pv_apt_setup *setup, struct pv_apt_error *error)
{
    static const char *const places[] = {"lists", "archives", "cache", "state"};
    struct rendered r = {0};
    int set = -1, etc = -1;
    error->text[0] = '\0';
    int result = pv_apt_path_plain(set_dir) ? 0 : pv_apt_refuse(error, "the state directory is not a plain path");
    if (!result)
        result = render(&r, set_dir, setup, error);
    if (!result)
        result = open_dir(AT_FDCWD, set_dir, &set, error);
    for (size_t i = 0; !result && i < sizeof places / sizeof places[0]; i++) {
        int fd;
        result = open_dir(set, places[i], &fd, error);
        if (!result)
            close(fd);
    }
    if (!result)
        result = open_dir(set, "etc", &etc, error);
    if (!result)
        result = write_sources(etc, setup, &r, error);
    if (!result) /* last: a set with an apt.conf is complete */
        result = write_file(set, "apt.conf", r.conf.data, r.conf.len, error);
    if (result == PV_E_APT_NOMEM)
        snprintf(error->text, sizeof error->text, "out of memory");
    if (etc >= 0)
        close(etc);
    if (set >= 0)
        close(set);
    release(&r);
    return result;
}
