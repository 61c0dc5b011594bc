/* What the runtime asks of the host: SHA-256 (libsodium) and time zone files.
 *
 * Zone names come from policies and bundles, so they are held to the characters that zone names have, and never lead
 * out of the zone directory. A host without /etc/localtime runs in UTC, as libc has it. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cli/cli.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo/"
#define HOST_ZONE      "/etc/localtime"
#define MAX_ZONE_FILE  (1u << 20)
#define MAX_ZONE_NAME  128u

/* A TZif file, version 2 (RFC 8536), of UTC: two headers that count one type and one name of four bytes, each with its
 * data, and the footer. */
#define UTC_BLOCK                                                                                                      \
    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                                                                              \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\0\0UTC\0"
static const char utc_zone[] = UTC_BLOCK UTC_BLOCK "\nUTC0\n";

static bool zone_name_is_good(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > MAX_ZONE_NAME || name[0] == '/' || name[len - 1] == '/')
        return false;
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!letter && !strchr("_+-/", *p))
            return false; /* a dot is in no zone name, so `..` is out too */
    }
    return strstr(name, "//") == NULL;
}

static int read_zone(const char *path, const void **data, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc = -1;
    if (fd < 0)
        return -1;
    char *bytes = NULL;
    size_t n = 0;
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > (off_t)MAX_ZONE_FILE)
        goto out;
    bytes = malloc((size_t)status.st_size + 1);
    if (!bytes)
        goto out;
    while (n < (size_t)status.st_size) {
        ssize_t got = read(fd, bytes + n, (size_t)status.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            goto out;
        n += (size_t)got;
    }
    *data = bytes;
    *len = n;
    bytes = NULL;
    rc = 0;
out:
    free(bytes);
    close(fd);
    return rc;
}

static int load_zone(void *context, const char *name, const void **data, size_t *len)
{
    (void)context;
    *data = NULL;
    *len = 0;
    bool utc = strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0;
    if (*name == 0) {
        utc = access(HOST_ZONE, F_OK) != 0;
        if (!utc)
            return read_zone(HOST_ZONE, data, len);
    } else {
        char path[sizeof(ZONE_DIRECTORY) + MAX_ZONE_NAME];
        if (!zone_name_is_good(name))
            return -1;
        snprintf(path, sizeof(path), "%s%s", ZONE_DIRECTORY, name);
        if (read_zone(path, data, len) == 0)
            return 0;
    }
    if (!utc)
        return -1;
    *data = utc_zone;
    *len = sizeof(utc_zone) - 1;
    return 0;
}

static void release_zone(void *context, const void *data, size_t len)
{
    (void)context;
    (void)len;
    if (data != utc_zone)
        free((void *)(uintptr_t)data);
}

static int sha256(void *context, const void *parts[], const size_t lens[], size_t n_parts, uint8_t out[32])
{
    (void)context;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < n_parts; i++)
        crypto_hash_sha256_update(&state, parts[i], lens[i]);
    return crypto_hash_sha256_final(&state, out);
}

const struct pv_host pv_cli_host = {.sha256 = sha256, .load_zone = load_zone, .release_zone = release_zone};
