/*
 * Verification of minisign signatures: the part that runs as root, therefore apart from everything else and as small as
 * it can be. No allocation, no file, no copy of the message. A file is exactly its lines: every length is compared
 * before anything is decoded, base64 is canonical, nothing may follow.
 */
#include "agentd/minisign.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define UNTRUSTED "untrusted comment: "
#define TRUSTED   "trusted comment: "

struct line {
    const char *at;
    size_t len;
};

/* Takes the next line from text; a last line may lack its newline. False at the end of the text. */
static bool next_line(const char **text, size_t *left, struct line *out)
{
    *out = (struct line){0};
    if (!*left)
        return false;
    const char *end = memchr(*text, '\n', *left);
    out->at = *text;
    out->len = end ? (size_t)(end - *text) : *left;
    size_t used = end ? out->len + 1 : out->len;
    *text += used;
    *left -= used;
    return true;
}

static bool has_prefix(const struct line *line, const char *prefix)
{
    size_t len = strlen(prefix);
    return line->len >= len && memcmp(line->at, prefix, len) == 0;
}

/* Exactly the canonical base64 of `size` bytes. libsodium is strict but for one thing: it takes a byte with the high
 * bit set for '+' or '/', so bytes that are not ASCII are refused first. */
static bool decode(const struct line *line, uint8_t *out, size_t size)
{
    size_t got = 0;
    if (line->len != sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL) - 1)
        return false;
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->at[i] > 0x7f)
            return false;
    return sodium_base642bin(out, size, line->at, line->len, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == size;
}

/* One line of text that can be shown: no control character, hence no carriage return either. */
static bool printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

int pv_minisign_pubkey_parse(const char *text, size_t len, struct pv_minisign_pubkey *out)
{
    struct line line;
    uint8_t raw[2 + sizeof out->id + sizeof out->key];
    *out = (struct pv_minisign_pubkey){0};
    if (len > PV_MINISIGN_FILE_MAX || !next_line(&text, &len, &line))
        return PV_E_MINISIGN_FORMAT;
    if (has_prefix(&line, UNTRUSTED) && !next_line(&text, &len, &line))
        return PV_E_MINISIGN_FORMAT;
    if (len || !decode(&line, raw, sizeof raw) || memcmp(raw, "Ed", 2) != 0)
        return PV_E_MINISIGN_FORMAT;
    memcpy(out->id, raw + 2, sizeof out->id);
    memcpy(out->key, raw + 2 + sizeof out->id, sizeof out->key);
    return 0;
}

int pv_minisign_verify(const struct pv_minisign_pubkey *key, const char *sig, size_t sig_len, const void *message,
                       size_t message_len, char *comment)
{
    struct line untrusted, first, trusted, second;
    uint8_t raw[2 + 8 + crypto_sign_BYTES], global[crypto_sign_BYTES];
    if (comment)
        comment[0] = '\0';
    if (sodium_init() < 0)
        return PV_E_MINISIGN_MEMORY;
    if (sig_len > PV_MINISIGN_FILE_MAX || !next_line(&sig, &sig_len, &untrusted) ||
        !next_line(&sig, &sig_len, &first) || !next_line(&sig, &sig_len, &trusted) ||
        !next_line(&sig, &sig_len, &second) || sig_len || !has_prefix(&untrusted, UNTRUSTED) ||
        !has_prefix(&trusted, TRUSTED) || !decode(&first, raw, sizeof raw) || !decode(&second, global, sizeof global))
        return PV_E_MINISIGN_FORMAT;
    trusted.at += strlen(TRUSTED);
    trusted.len -= strlen(TRUSTED);
    if (trusted.len > PV_MINISIGN_COMMENT_MAX || !printable(trusted.at, trusted.len))
        return PV_E_MINISIGN_FORMAT;

    bool prehashed = memcmp(raw, "ED", 2) == 0;
    if (!prehashed && memcmp(raw, "Ed", 2) != 0)
        return PV_E_MINISIGN_FORMAT;
    if (sodium_memcmp(raw + 2, key->id, sizeof key->id) != 0)
        return PV_E_MINISIGN_KEY;

    const uint8_t *signature = raw + 2 + sizeof key->id;
    uint8_t digest[64];
    if (prehashed) {
        crypto_generichash(digest, sizeof digest, message, message_len, NULL, 0);
        message = digest;
        message_len = sizeof digest;
    }
    if (crypto_sign_verify_detached(signature, message, message_len, key->key) != 0)
        return PV_E_MINISIGN_MISMATCH;

    uint8_t signed_part[crypto_sign_BYTES + PV_MINISIGN_COMMENT_MAX];
    memcpy(signed_part, signature, crypto_sign_BYTES);
    memcpy(signed_part + crypto_sign_BYTES, trusted.at, trusted.len);
    if (crypto_sign_verify_detached(global, signed_part, crypto_sign_BYTES + trusted.len, key->key) != 0)
        return PV_E_MINISIGN_COMMENT;
    if (comment) {
        memcpy(comment, trusted.at, trusted.len);
        comment[trusted.len] = '\0';
    }
    return 0;
}

const char *pv_minisign_strerror(int result)
{
    switch (result) {
    case 0: return "good";
    case PV_E_MINISIGN_FORMAT: return "not a well-formed minisign file";
    case PV_E_MINISIGN_KEY: return "signed by another key";
    case PV_E_MINISIGN_MISMATCH: return "the signature does not fit: the file or the signature was altered";
    case PV_E_MINISIGN_COMMENT: return "the trusted comment was altered";
    case PV_E_MINISIGN_LOCKED: return "the secret key is encrypted: a passphrase is needed";
    case PV_E_MINISIGN_PASSPHRASE: return "wrong passphrase, or a damaged secret key";
    case PV_E_MINISIGN_SYSTEM: return "a system call failed";
    case PV_E_MINISIGN_MEMORY: return "not enough memory";
    case PV_E_MINISIGN_INVALID: return "a comment or passphrase that is too long, or a comment with control characters";
    default: return "unknown minisign result";
    }
}
