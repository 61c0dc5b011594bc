/*
 * Minisign keys and signatures made here: key pairs, secret key files (encrypted as minisign does, or in clear as
 * `minisign -W` does), public key files, signature files.
 *
 * Invariants: secret bytes are in sodium_malloc()ed memory and wiped with it; stack copies do not exist; a secret key
 * file is created with O_EXCL and mode 0600, so that no earlier file or link receives it.
 */
#include "agentd/minisign.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNTRUSTED "untrusted comment: "

/* The part of a secret key file that scrypt covers. */
struct pv_minisign_seckey {
    uint8_t id[8];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    uint8_t check[32];
};

/* A whole secret key file, decoded. All members are bytes, so the layout is the file's. */
struct stored_key {
    uint8_t sig_alg[2], kdf_alg[2], check_alg[2];
    uint8_t salt[crypto_pwhash_scryptsalsa208sha256_SALTBYTES];
    uint8_t ops_limit[8], mem_limit[8];
    struct pv_minisign_seckey key;
};
_Static_assert(sizeof(struct stored_key) == 158, "the layout of minisign's secret key");

static const uint8_t kdf_scrypt[2] = {'S', 'c'}, kdf_none[2] = {0, 0};

#define STORED_TEXT sodium_base64_ENCODED_LEN(sizeof(struct stored_key), sodium_base64_VARIANT_ORIGINAL)

static void compute_check(const struct pv_minisign_seckey *key, uint8_t check[32])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const uint8_t *)"Ed", 2);
    crypto_generichash_update(&state, key->id, sizeof key->id);
    crypto_generichash_update(&state, key->secret, sizeof key->secret);
    crypto_generichash_final(&state, check, 32);
    sodium_memzero(&state, sizeof state);
}

static void store_le64(uint8_t at[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load_le64(const uint8_t at[8])
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* XORs `key` with the scrypt stream of the passphrase: encrypts and decrypts. -1 when there is no memory for it. */
static int apply_stream(struct stored_key *stored, const char *passphrase, size_t len, uint64_t ops, size_t mem)
{
    uint8_t *stream = sodium_malloc(sizeof stored->key);
    if (!stream)
        return -1;
    int result =
        crypto_pwhash_scryptsalsa208sha256(stream, sizeof stored->key, passphrase, len, stored->salt, ops, mem);
    if (result == 0) {
        uint8_t *bytes = (uint8_t *)&stored->key;
        for (size_t i = 0; i < sizeof stored->key; i++)
            bytes[i] ^= stream[i];
    }
    sodium_free(stream);
    return result;
}

int pv_minisign_keygen(struct pv_minisign_seckey **out)
{
    *out = NULL;
    if (sodium_init() < 0)
        return PV_E_MINISIGN_MEMORY;
    struct pv_minisign_seckey *key = sodium_malloc(sizeof *key);
    if (!key)
        return PV_E_MINISIGN_MEMORY;
    uint8_t public[crypto_sign_PUBLICKEYBYTES];
    randombytes_buf(key->id, sizeof key->id);
    crypto_sign_keypair(public, key->secret);
    compute_check(key, key->check);
    *out = key;
    return 0;
}

void pv_minisign_seckey_free(struct pv_minisign_seckey *key)
{
    sodium_free(key);
}

void pv_minisign_seckey_public(const struct pv_minisign_seckey *key, struct pv_minisign_pubkey *out)
{
    memcpy(out->id, key->id, sizeof out->id);
    crypto_sign_ed25519_sk_to_pk(out->key, key->secret);
}

void pv_minisign_pubkey_text(const struct pv_minisign_pubkey *key, char text[PV_MINISIGN_PUBKEY_TEXT])
{
    uint8_t raw[2 + sizeof key->id + sizeof key->key];
    memcpy(raw, "Ed", 2);
    memcpy(raw + 2, key->id, sizeof key->id);
    memcpy(raw + 2 + sizeof key->id, key->key, sizeof key->key);
    sodium_bin2base64(text, PV_MINISIGN_PUBKEY_TEXT, raw, sizeof raw, sodium_base64_VARIANT_ORIGINAL);
}

void pv_minisign_id_text(const uint8_t id[8], char text[17])
{
    snprintf(text, 17, "%llX", (unsigned long long)load_le64(id)); /* as minisign writes it: no leading zeros */
}

/* Creates `path` with the text; the file is whole and durable, or not there. */
static int create_file(const char *path, const char *text, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return PV_E_MINISIGN_SYSTEM;
    bool good = true;
    for (size_t at = 0; good && at < len;) {
        ssize_t n = write(fd, text + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        good = n > 0;
        at += good ? (size_t)n : 0;
    }
    good = good && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && good) {
        error = errno;
        good = false;
    }
    if (!good) {
        unlink(path);
        errno = error;
        return PV_E_MINISIGN_SYSTEM;
    }
    return 0;
}

/* Reads at most PV_MINISIGN_FILE_MAX bytes into buf[PV_MINISIGN_FILE_MAX + 1]. */
static int read_file(const char *path, char *buf, size_t *len)
{
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return PV_E_MINISIGN_SYSTEM;
    int result = 0;
    struct stat st;
    if (fstat(fd, &st) != 0)
        result = PV_E_MINISIGN_SYSTEM;
    else if (!S_ISREG(st.st_mode))
        result = PV_E_MINISIGN_FORMAT;
    while (result == 0 && *len <= PV_MINISIGN_FILE_MAX) {
        ssize_t n = read(fd, buf + *len, PV_MINISIGN_FILE_MAX + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            result = PV_E_MINISIGN_SYSTEM;
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    if (result == 0 && *len > PV_MINISIGN_FILE_MAX)
        result = PV_E_MINISIGN_FORMAT;
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

int pv_minisign_pubkey_write(const struct pv_minisign_pubkey *key, const char *path)
{
    char id[17], line[PV_MINISIGN_PUBKEY_TEXT], text[160];
    pv_minisign_id_text(key->id, id);
    pv_minisign_pubkey_text(key, line);
    int len = snprintf(text, sizeof text, UNTRUSTED "minisign public key %s\n%s\n", id, line);
    return create_file(path, text, (size_t)len, 0644);
}

int pv_minisign_pubkey_read(const char *path, struct pv_minisign_pubkey *out)
{
    char text[PV_MINISIGN_FILE_MAX + 1];
    size_t len;
    *out = (struct pv_minisign_pubkey){0};
    int result = read_file(path, text, &len);
    return result ? result : pv_minisign_pubkey_parse(text, len, out);
}

int pv_minisign_seckey_write(const struct pv_minisign_seckey *key, const char *path, const char *passphrase,
                             size_t passphrase_len)
{
    const char *comment = passphrase ? UNTRUSTED "minisign encrypted secret key\n" : UNTRUSTED "minisign secret key\n";
    size_t comment_len = strlen(comment), size = comment_len + STORED_TEXT + 1;
    if (passphrase && passphrase_len > PV_MINISIGN_PASSPHRASE_MAX)
        return PV_E_MINISIGN_INVALID;
    struct stored_key *stored = sodium_malloc(sizeof *stored);
    char *text = sodium_malloc(size);
    int result = PV_E_MINISIGN_MEMORY;
    if (!stored || !text)
        goto out;
    memset(stored, 0, sizeof *stored);
    memcpy(stored->sig_alg, "Ed", 2);
    memcpy(stored->check_alg, "B2", 2);
    stored->key = *key;
    if (passphrase) {
        uint64_t ops = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE;
        size_t mem = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
        memcpy(stored->kdf_alg, kdf_scrypt, 2);
        randombytes_buf(stored->salt, sizeof stored->salt);
        /* As minisign does: on a machine without that much memory, halve the cost until it fits. */
        while (apply_stream(stored, passphrase, passphrase_len, ops, mem) != 0) {
            ops /= 2;
            mem /= 2;
            if (ops < crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_INTERACTIVE ||
                mem < crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_INTERACTIVE)
                goto out;
        }
        store_le64(stored->ops_limit, ops);
        store_le64(stored->mem_limit, mem);
    }
    memcpy(text, comment, comment_len);
    sodium_bin2base64(text + comment_len, STORED_TEXT, (const uint8_t *)stored, sizeof *stored,
                      sodium_base64_VARIANT_ORIGINAL);
    text[size - 2] = '\n';
    result = create_file(path, text, size - 1, 0600);
out:
    sodium_free(stored);
    sodium_free(text);
    return result;
}

/* The decoded file; `key` may still be encrypted. */
static int decode_stored(const char *text, size_t len, struct stored_key *stored)
{
    size_t got = 0, prefix = strlen(UNTRUSTED);
    const char *end = memchr(text, '\n', len);
    if (!end || len < prefix || memcmp(text, UNTRUSTED, prefix) != 0)
        return PV_E_MINISIGN_FORMAT;
    len -= (size_t)(end + 1 - text);
    text = end + 1;
    if (len == STORED_TEXT && text[len - 1] == '\n')
        len--;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] > 0x7f) /* as in minisign_verify.c: libsodium takes some for '+' and '/' */
            return PV_E_MINISIGN_FORMAT;
    if (len != STORED_TEXT - 1 ||
        sodium_base642bin((uint8_t *)stored, sizeof *stored, text, len, NULL, &got, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        got != sizeof *stored || memcmp(stored->sig_alg, "Ed", 2) != 0 || memcmp(stored->check_alg, "B2", 2) != 0)
        return PV_E_MINISIGN_FORMAT;
    return 0;
}

static int decrypt(struct stored_key *stored, const char *passphrase, size_t passphrase_len)
{
    if (memcmp(stored->kdf_alg, kdf_none, 2) == 0)
        return 0;
    if (memcmp(stored->kdf_alg, kdf_scrypt, 2) != 0)
        return PV_E_MINISIGN_FORMAT;
    uint64_t ops = load_le64(stored->ops_limit), mem = load_le64(stored->mem_limit);
    if (ops > crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE ||
        mem > crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE)
        return PV_E_MINISIGN_FORMAT;
    if (!passphrase)
        return PV_E_MINISIGN_LOCKED;
    if (passphrase_len > PV_MINISIGN_PASSPHRASE_MAX)
        return PV_E_MINISIGN_PASSPHRASE;
    return apply_stream(stored, passphrase, passphrase_len, ops, (size_t)mem) == 0 ? 0 : PV_E_MINISIGN_MEMORY;
}

int pv_minisign_seckey_read(const char *path, const char *passphrase, size_t passphrase_len,
                            struct pv_minisign_seckey **out)
{
    uint8_t check[32], public[crypto_sign_PUBLICKEYBYTES];
    size_t len;
    *out = NULL;
    if (sodium_init() < 0)
        return PV_E_MINISIGN_MEMORY;
    char *text = sodium_malloc(PV_MINISIGN_FILE_MAX + 1);
    struct stored_key *stored = sodium_malloc(sizeof *stored);
    struct pv_minisign_seckey *key = sodium_malloc(sizeof *key);
    int result = PV_E_MINISIGN_MEMORY;
    if (!text || !stored || !key)
        goto out;
    result = read_file(path, text, &len);
    if (result == 0)
        result = decode_stored(text, len, stored);
    if (result == 0)
        result = decrypt(stored, passphrase, passphrase_len);
    if (result != 0)
        goto out;
    compute_check(&stored->key, check);
    /* minisign leaves the check out of keys in clear. */
    if (memcmp(stored->kdf_alg, kdf_none, 2) == 0 && sodium_is_zero(stored->key.check, sizeof check))
        memcpy(stored->key.check, check, sizeof check);
    /* The public half inside the secret one must be its own, or a signature could give the secret away. */
    uint8_t *pair = (uint8_t *)text;
    crypto_sign_seed_keypair(public, pair, stored->key.secret);
    if (sodium_memcmp(check, stored->key.check, sizeof check) != 0 ||
        sodium_memcmp(pair, stored->key.secret, sizeof stored->key.secret) != 0) {
        result = PV_E_MINISIGN_PASSPHRASE;
        goto out;
    }
    *key = stored->key;
    *out = key;
    key = NULL;
out:
    sodium_free(text);
    sodium_free(stored);
    sodium_free(key);
    return result;
}

static bool one_line(const char *text, size_t max)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len <= max;
}

int pv_minisign_sign(const struct pv_minisign_seckey *key, const void *message, size_t message_len,
                     const char *untrusted_comment, const char *trusted_comment, char *out, size_t *out_len)
{
    if (!untrusted_comment)
        untrusted_comment = "signature from minisign secret key";
    if (!trusted_comment)
        trusted_comment = "";
    out[0] = '\0';
    *out_len = 0;
    if (!one_line(untrusted_comment, PV_MINISIGN_UNTRUSTED_MAX) || !one_line(trusted_comment, PV_MINISIGN_COMMENT_MAX))
        return PV_E_MINISIGN_INVALID;

    uint8_t digest[64], raw[2 + 8 + crypto_sign_BYTES], global[crypto_sign_BYTES];
    uint8_t signed_part[crypto_sign_BYTES + PV_MINISIGN_COMMENT_MAX];
    uint8_t *signature = raw + 2 + sizeof key->id;
    size_t comment_len = strlen(trusted_comment);
    memcpy(raw, "ED", 2);
    memcpy(raw + 2, key->id, sizeof key->id);
    crypto_generichash(digest, sizeof digest, message, message_len, NULL, 0);
    crypto_sign_detached(signature, NULL, digest, sizeof digest, key->secret);
    memcpy(signed_part, signature, crypto_sign_BYTES);
    memcpy(signed_part + crypto_sign_BYTES, trusted_comment, comment_len);
    crypto_sign_detached(global, NULL, signed_part, crypto_sign_BYTES + comment_len, key->secret);

    char line[sodium_base64_ENCODED_LEN(sizeof raw, sodium_base64_VARIANT_ORIGINAL)];
    char global_line[sodium_base64_ENCODED_LEN(sizeof global, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(line, sizeof line, raw, sizeof raw, sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(global_line, sizeof global_line, global, sizeof global, sodium_base64_VARIANT_ORIGINAL);
    *out_len = (size_t)snprintf(out, PV_MINISIGN_FILE_MAX, UNTRUSTED "%s\n%s\ntrusted comment: %s\n%s\n",
                                untrusted_comment, line, trusted_comment, global_line);
    return 0;
}
