/*
 * The passcode of a request; see passcode.h. Secrets are wiped before every return and compared in constant time.
 */
#include "agentd/passcode.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

int pv_client_key_read(const char *path, uint8_t key[PV_CLIENT_KEY_SIZE])
{
    int result = 0;
    sodium_memzero(key, PV_CLIENT_KEY_SIZE);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        result = -errno;
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != PV_CLIENT_KEY_SIZE ||
        read(fd, key, PV_CLIENT_KEY_SIZE) != PV_CLIENT_KEY_SIZE)
        result = -EINVAL;
out:
    if (result)
        sodium_memzero(key, PV_CLIENT_KEY_SIZE);
    close(fd);
    return result;
}

void pv_passcode_make(const uint8_t key[PV_CLIENT_KEY_SIZE], const uint8_t challenge[PV_CHALLENGE_SIZE], uint32_t uid,
                      const void *request, size_t len, uint8_t passcode[PV_PASSCODE_SIZE])
{
    _Static_assert(PV_CLIENT_KEY_SIZE == crypto_auth_hmacsha512_KEYBYTES, "the client key is an HMAC-SHA-512 key");
    _Static_assert(PV_PASSCODE_SIZE == crypto_auth_hmacsha512_BYTES, "the passcode is an HMAC-SHA-512");
    const uint8_t who[4] = {(uint8_t)uid, (uint8_t)(uid >> 8), (uint8_t)(uid >> 16), (uint8_t)(uid >> 24)};
    crypto_auth_hmacsha512_state state;
    crypto_auth_hmacsha512_init(&state, key, PV_CLIENT_KEY_SIZE);
    crypto_auth_hmacsha512_update(&state, challenge, PV_CHALLENGE_SIZE);
    crypto_auth_hmacsha512_update(&state, who, sizeof who);
    crypto_auth_hmacsha512_update(&state, request, len);
    crypto_auth_hmacsha512_final(&state, passcode);
    sodium_memzero(&state, sizeof state);
}

int pv_passcode_verify(const uint8_t key[PV_CLIENT_KEY_SIZE], const uint8_t challenge[PV_CHALLENGE_SIZE], uint32_t uid,
                       const void *request, size_t len, const uint8_t passcode[PV_PASSCODE_SIZE])
{
    uint8_t good[PV_PASSCODE_SIZE];
    pv_passcode_make(key, challenge, uid, request, len, good);
    int result = sodium_memcmp(good, passcode, sizeof good);
    sodium_memzero(good, sizeof good);
    return result;
}
