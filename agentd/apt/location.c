/*
 * A source's location: one `deb` line of the policy, checked and rewritten for the generated list.
 *
 * The policy is signed, so this is no fence against its author; it keeps what the author wrote from meaning more than
 * it seems to (an option that switches verification off, a local directory that a user can fill), and it makes `file:`
 * into `copy:`.
 */
#include "agentd/apt/config.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/internal.h"
#include "agentd/apt/name.h"
#include "agentd/apt/text.h"

int pv_apt_refuse(struct pv_apt_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return PV_E_APT_REFUSED;
}

bool pv_apt_path_plain(const char *path)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len >= PATH_MAX || strstr(path, "//"))
        return false;
    for (const char *c = path; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("/._-+@,~", *c)))
            return false;
    for (const char *dots = strstr(path, "/."); dots; dots = strstr(dots + 1, "/."))
        if (dots[2] == '/' || dots[2] == '\0' || (dots[2] == '.' && (dots[3] == '/' || dots[3] == '\0')))
            return false;
    return len == 1 || path[len - 1] != '/';
}

/* Each prefix of an absolute path: owned by root or by us, and not for others to write. */
static int guard_components(const char *path, struct pv_apt_error *error)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        struct stat st;
        memcpy(part, path, i);
        part[i] = '\0';
        if (lstat(part, &st) != 0)
            return pv_apt_refuse(error, "%s: %s", part, strerror(errno));
        if (st.st_uid != 0 && st.st_uid != geteuid())
            return pv_apt_refuse(error, "%s belongs to uid %ju and not to root", part, (uintmax_t)st.st_uid);
        bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX);
        if (!S_ISLNK(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) && !sticky)
            return pv_apt_refuse(error, "%s can be written by others than root", part);
    }
    return 0;
}

int pv_apt_path_guarded(const char *path, struct pv_apt_error *error)
{
    char real[PATH_MAX];
    error->text[0] = '\0';
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return pv_apt_refuse(error, "a path is not absolute or too long");
    if (!realpath(path, real))
        return pv_apt_refuse(error, "%s: %s", path, strerror(errno));
    int result = guard_components(path, error);
    return result ? result : guard_components(real, error);
}

/* Characters of URIs, suites, components and option values: none that starts a comment, an option or a quote. */
static bool plain_word(const char *word)
{
    if (!*word || *word == '-')
        return false;
    for (const char *c = word; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("/._-+@,~:=%$()", *c)))
            return false;
    return true;
}

static int check_option(const struct pv_apt_source *source, const char *option, const char **signed_by,
                        struct pv_text *kept, struct pv_apt_error *error)
{
    const char *value = strchr(option, '=');
    size_t n = value ? (size_t)(value - option) : strlen(option);
    if (!value || !plain_word(value + 1) || value[1] == '=')
        return pv_apt_refuse(error, "source %s: its location has a malformed option", source->name);
    value++;
    if (n == 9 && memcmp(option, "signed-by", 9) == 0) {
        *signed_by = value;
        return 0;
    }
    if ((n == 4 && memcmp(option, "arch", 4) == 0) || (n == 7 && memcmp(option, "by-hash", 7) == 0)) {
        pv_text_printf(kept, " %s", option);
        return 0;
    }
    return pv_apt_refuse(error, "source %s: the option %.*s is not accepted in a location", source->name,
                         (int)(n > 40 ? 40 : n), option);
}

/* The URI for the list: file: becomes copy: of a path that only root can change. */
static int add_uri(const struct pv_apt_source *source, const char *uri, struct pv_text *line,
                   struct pv_apt_error *error)
{
    if (strncmp(uri, "http://", 7) == 0 || strncmp(uri, "https://", 8) == 0) {
        const char *host = strstr(uri, "://") + 3;
        if (!*host || *host == '/' || strchr(host, '@') || strstr(host, "/../"))
            return pv_apt_refuse(error, "source %s: %s", source->name,
                                 strchr(host, '@') ? "credentials do not belong into a location"
                                                   : "its location has no proper host or path");
        pv_text_printf(line, " %s", uri);
        return 0;
    }
    if (strncmp(uri, "file:", 5) != 0 && strncmp(uri, "copy:", 5) != 0)
        return pv_apt_refuse(error, "source %s: its location is neither http:, https: nor file:", source->name);
    const char *path = uri + 5;
    if (strncmp(path, "///", 3) == 0)
        path += 2;
    char plain[PATH_MAX];
    snprintf(plain, sizeof plain, "%s", path);
    size_t len = strlen(plain);
    while (len > 1 && plain[len - 1] == '/')
        plain[--len] = '\0';
    if (strlen(path) >= sizeof plain || !pv_apt_path_plain(plain))
        return pv_apt_refuse(error, "source %s: its location is not a plain absolute path", source->name);
    struct pv_apt_error why;
    if (pv_apt_path_guarded(plain, &why))
        return pv_apt_refuse(error, "source %s: %.400s", source->name, why.text);
    pv_text_printf(line, " copy:%s", plain);
    return 0;
}

static int choose_key(const struct pv_apt_source *source, const char *signed_by, bool alternate_root,
                      struct pv_text *line, struct pv_apt_error *error)
{
    const char *key = source->key && *source->key ? source->key : signed_by;
    if (key && signed_by && strcmp(key, signed_by) != 0)
        return pv_apt_refuse(error, "source %s: its key and the signed-by of its location differ", source->name);
    if (!key && !source->is_unsigned)
        return pv_apt_refuse(error, "source %s has no key, and global keyrings are not used", source->name);
    if (!key && !alternate_root)
        return pv_apt_refuse(error, "source %s is unsigned, which only an agent started with --root accepts",
                             source->name);
    if (!key) {
        pv_text_printf(line, " trusted=yes"); /* for this source alone, where a global switch would reach all */
        return 0;
    }
    if (!pv_apt_path_plain(key))
        return pv_apt_refuse(error, "source %s: its key is not a plain absolute path", source->name);
    struct pv_apt_error why;
    if (pv_apt_path_guarded(key, &why))
        return pv_apt_refuse(error, "source %s: its key: %.400s", source->name, why.text);
    pv_text_printf(line, " signed-by=%s", key);
    return 0;
}

/* The words between the brackets of a location; *at ends behind them. */
static int read_options(const struct pv_apt_source *source, char **at, const char **signed_by, struct pv_text *kept,
                        struct pv_apt_error *error)
{
    if (**at != '[')
        return 0;
    char *end = strchr(*at, ']');
    if (!end || (end[1] != ' ' && end[1] != '\0'))
        return pv_apt_refuse(error, "source %s: a bracket is not closed in its location", source->name);
    *end = '\0';
    char *state = NULL;
    for (char *word = strtok_r(*at + 1, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
        int result = check_option(source, word, signed_by, kept, error);
        if (result)
            return result;
    }
    *at = end + 1;
    return 0;
}

int pv_apt_source_line(const struct pv_apt_source *source, bool alternate_root, char **line, struct pv_apt_error *error)
{
    *line = NULL;
    error->text[0] = '\0';
    if (!pv_apt_source_valid(source->name, strlen(source->name)))
        return pv_apt_refuse(error, "a source has an invalid name");
    if (strlen(source->location) > 4096)
        return pv_apt_refuse(error, "source %s: its location is too long", source->name);
    for (const char *c = source->location; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~' || *c == '#')
            return pv_apt_refuse(error, "source %s: its location holds a character that no list may hold",
                                 source->name);

    struct pv_text options = {0}, out = {0};
    const char *signed_by = NULL;
    char *copy = strdup(source->location), *at = copy, *state = NULL;
    int result = PV_E_APT_NOMEM;
    if (!copy)
        goto out;
    at += strspn(at, " ");
    if (strncmp(at, "deb ", 4) != 0) {
        result = pv_apt_refuse(error, "source %s: its location does not begin with deb", source->name);
        goto out;
    }
    at += 4;
    at += strspn(at, " ");
    result = read_options(source, &at, &signed_by, &options, error);
    if (result)
        goto out;
    pv_text_printf(&out, "deb [");
    pv_text_add(&options, "", 0);
    result = choose_key(source, signed_by, alternate_root, &options, error);
    if (result)
        goto out;
    pv_text_printf(&out, "%s ]", options.data ? options.data : "");

    size_t n_words = 0;
    bool flat = false;
    for (char *word = strtok_r(at, " ", &state); word; word = strtok_r(NULL, " ", &state), n_words++) {
        if (!plain_word(word)) {
            result = pv_apt_refuse(error, "source %s: its location holds a malformed word", source->name);
            goto out;
        }
        if (n_words == 0) {
            result = add_uri(source, word, &out, error);
            if (result)
                goto out;
            continue;
        }
        if (strstr(word, "..")) {
            result = pv_apt_refuse(error, "source %s: its location leaves its own directory", source->name);
            goto out;
        }
        if (n_words == 1)
            flat = word[strlen(word) - 1] == '/';
        pv_text_printf(&out, " %s", word);
    }
    if (flat ? n_words != 2 : n_words < 3) {
        result = pv_apt_refuse(error, "source %s: its location lacks a suite or a component", source->name);
        goto out;
    }
    if (out.failed || options.failed) {
        result = PV_E_APT_NOMEM;
        goto out;
    }
    *line = out.data;
    out.data = NULL;
    result = 0;
out:
    if (result == PV_E_APT_NOMEM)
        snprintf(error->text, sizeof error->text, "out of memory");
    free(copy);
    free(options.data);
    free(out.data);
    return result;
}
