/* Passphrases, from a terminal or a descriptor and never from arguments, and the secret keys that they open. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "engine/cli/cli.h"

/* The first line that a descriptor gives, byte by byte so that nothing behind it is taken. */
static int read_line(int fd, char *buffer, size_t size, size_t *len)
{
    size_t n = 0;
    for (;;) {
        char c;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0 || c == '\n')
            break;
        if (n + 1 >= size) {
            errno = EMSGSIZE;
            return -1;
        }
        buffer[n++] = c;
    }
    buffer[n] = 0;
    *len = n;
    return 0;
}

static int ask(int terminal, const char *prompt, char *buffer, size_t size, size_t *len)
{
    struct termios before, silent;
    if (tcgetattr(terminal, &before) != 0)
        return -1;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(terminal, TCSAFLUSH, &silent) != 0)
        return -1;
    dprintf(terminal, "%s: ", prompt);
    int rc = read_line(terminal, buffer, size, len), error = errno;
    tcsetattr(terminal, TCSAFLUSH, &before);
    dprintf(terminal, "\n");
    errno = error;
    return rc;
}

static int ask_terminal(bool confirm, const char *prompt, char *buffer, size_t size, size_t *len)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc = -1;
    char *again = NULL;
    size_t again_len;
    if (terminal < 0) {
        pv_cli_error("no terminal to ask for a passphrase on: give --passphrase-fd%s",
                     confirm ? ", or --no-password for a key in clear" : "");
        return -1;
    }
    if (ask(terminal, prompt, buffer, size, len) < 0) {
        pv_cli_error("cannot read the passphrase: %s", strerror(errno));
        goto out;
    }
    if (confirm) {
        again = sodium_malloc(size);
        if (!again || ask(terminal, "Again", again, size, &again_len) < 0) {
            pv_cli_error("cannot read the passphrase: %s", strerror(errno));
            goto out;
        }
        if (again_len != *len || sodium_memcmp(again, buffer, *len) != 0) {
            pv_cli_error("the two passphrases differ");
            goto out;
        }
    }
    rc = 0;
out:
    sodium_free(again);
    close(terminal);
    return rc;
}

int pv_cli_passphrase(int fd, bool confirm, const char *prompt, char **passphrase, size_t *len)
{
    size_t size = PV_MINISIGN_PASSPHRASE_MAX + 1;
    char *buffer = sodium_malloc(size);
    int rc = -1;
    *passphrase = NULL;
    if (!buffer) {
        pv_cli_error("out of memory");
        return -1;
    }
    if (fd == PV_CLI_NO_FD)
        rc = ask_terminal(confirm, prompt, buffer, size, len);
    else if ((rc = read_line(fd, buffer, size, len)) < 0)
        pv_cli_error("cannot read a passphrase from descriptor %d: %s", fd, strerror(errno));
    if (rc < 0)
        sodium_free(buffer);
    else
        *passphrase = buffer;
    return rc;
}

int pv_cli_secret_key(const char *path, int passphrase_fd, struct pv_minisign_seckey **key)
{
    int rc = pv_minisign_seckey_read(path, NULL, 0, key);
    if (rc == PV_E_MINISIGN_LOCKED) {
        char *passphrase;
        size_t len;
        if (pv_cli_passphrase(passphrase_fd, false, "Passphrase of the secret key", &passphrase, &len) < 0)
            return -1;
        rc = pv_minisign_seckey_read(path, passphrase, len, key);
        int error = errno;
        sodium_free(passphrase);
        errno = error;
    }
    if (rc < 0)
        pv_cli_error("cannot use the secret key %s: %s", path,
                     rc == PV_E_MINISIGN_SYSTEM ? strerror(errno) : pv_minisign_strerror(rc));
    return rc < 0 ? -1 : 0;
}

int pv_cli_descriptor(const char *text, int *fd)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 0 || number > INT_MAX)
        return -1;
    *fd = (int)number;
    return 0;
}
