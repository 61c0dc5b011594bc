/* What the verbs print and read: errors, escaped text, JSON lines, whole files. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cli/cli.h"

void pv_cli_put(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t code_point;
        size_t n = pv_utf8_decode(text + i, len - i, &code_point);
        if (n == 0)
            fprintf(out, "\\x%02x", (unsigned char)text[i]);
        else if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0))
            fprintf(out, "\\u{%x}", (unsigned)code_point);
        else
            fwrite(text + i, 1, n, out);
        i += n ? n : 1;
    }
}

int pv_cli_error(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    fflush(stdout);
    fputs("proviso: ", stderr);
    if (n >= 0)
        pv_cli_put(stderr, text, (size_t)n);
    else
        fputs("out of memory", stderr);
    fputc('\n', stderr);
    free(n >= 0 ? text : NULL);
    return PV_CLI_ERROR;
}

bool pv_cli_colour(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    return isatty(fileno(out)) && (!no_colour || !*no_colour);
}

json_t *pv_cli_object(const char *name)
{
    return json_pack("{s: s++}", "schema", "proviso/", name, "/1");
}

json_t *pv_cli_json_text(const char *text, size_t len)
{
    if (pv_utf8_check(text, len) == len)
        return json_stringn(text, len);
    char *mended = malloc(3 * len + 1);
    size_t n = 0;
    for (size_t i = 0; mended && i < len;) {
        uint32_t code_point;
        size_t step = pv_utf8_decode(text + i, len - i, &code_point);
        memcpy(mended + n, step ? text + i : "\xef\xbf\xbd", step ? step : 3);
        n += step ? step : 3;
        i += step ? step : 1;
    }
    json_t *value = mended ? json_stringn(mended, n) : NULL;
    free(mended);
    return value;
}

bool pv_cli_print_json(FILE *out, json_t *value)
{
    bool good = value && json_dumpf(value, out, 0) == 0 && fputc('\n', out) != EOF;
    json_decref(value);
    if (!good && !ferror(out))
        pv_cli_error("out of memory");
    return good;
}

int pv_cli_finish(int exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return pv_cli_error("cannot write to standard output: %s", strerror(errno));
    return exit_code;
}

int pv_cli_read(const char *path, size_t limit, char **data, size_t *len)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *shown = standard_input ? "standard input" : path;
    *data = NULL;
    *len = 0;
    int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        pv_cli_error("cannot open %s: %s", shown, strerror(errno));
        return -1;
    }
    size_t capacity = 1u << 16, n = 0;
    char *buffer = NULL;
    int rc = -1;
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < limit)
        capacity = (size_t)status.st_size + 2; /* one read, and one that finds the end */
    for (;;) {
        char *grown = realloc(buffer, capacity);
        if (!grown) {
            pv_cli_error("out of memory");
            goto out;
        }
        buffer = grown;
        ssize_t got;
        while (n < capacity - 1 && (got = read(fd, buffer + n, capacity - 1 - n)) != 0) {
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0) {
                pv_cli_error("cannot read %s: %s", shown, strerror(errno));
                goto out;
            }
            n += (size_t)got;
        }
        if (n > limit) {
            pv_cli_error("%s is longer than %zu bytes", shown, limit);
            goto out;
        }
        if (n < capacity - 1)
            break;
        capacity *= 2;
    }
    buffer[n] = 0;
    *data = buffer;
    *len = n;
    buffer = NULL;
    rc = 0;
out:
    free(buffer);
    if (!standard_input)
        close(fd);
    return rc;
}

/* With the mode and, where that is allowed, the owner of `as`; NULL: those of a new file. */
static int write_whole(const char *path, const void *data, size_t len, const struct stat *as)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    int rc = -1, fd = mkostemp(temporary, O_CLOEXEC);
    bool made = fd >= 0;
    if (fd < 0 || (as && fchown(fd, as->st_uid, as->st_gid) != 0 && errno != EPERM) ||
        fchmod(fd, as ? as->st_mode & 07777 : 0666 & ~mask) != 0)
        goto out;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto out;
        done += (size_t)n;
    }
    if (fsync(fd) != 0 || close(fd) != 0) {
        fd = -1;
        goto out;
    }
    fd = -1;
    if (rename(temporary, path) == 0)
        rc = 0;
out:
    if (rc < 0) {
        pv_cli_error("cannot write %s: %s", path, strerror(errno));
        if (made)
            unlink(temporary);
    }
    if (fd >= 0)
        close(fd);
    free(temporary);
    return rc;
}

int pv_cli_write(const char *path, const void *data, size_t len)
{
    return write_whole(path, data, len, NULL);
}

int pv_cli_rewrite(const char *path, const void *data, size_t len)
{
    struct stat status;
    char *real = realpath(path, NULL); /* a link stays one */
    int rc = -1;
    if (real && stat(real, &status) == 0)
        rc = write_whole(real, data, len, &status);
    else
        pv_cli_error("cannot write %s: %s", path, strerror(errno));
    free(real);
    return rc;
}
