/*
 * Minisign-compatible keys and signatures: Ed25519 key pairs, their files, detached signature files.
 *
 * Two libraries share this header. `pv_minisign_verify` (minisign_verify.c) holds what a privileged program needs:
 * parse a public key, verify a signature file. It works on memory only and allocates nothing. `pv_minisign`
 * (minisign.c) adds what makes keys and signatures, for authors' tools.
 *
 * Formats (https://jedisct1.github.io/minisign/), every line ended by one '\n', the last one optionally:
 *   public key   "untrusted comment: ..." / base64("Ed" id[8] key[32])
 *   secret key   "untrusted comment: ..." / base64("Ed" kdf[2] "B2" salt[32] ops[8] mem[8] {id[8] secret[64]
 * check[32]}) kdf "Sc": the braces are XORed with a scrypt stream; two NUL bytes: they are in clear signature
 * "untrusted comment: ..." / base64(alg[2] id[8] sig[64]) / "trusted comment: ..." / base64(global[64]) alg "ED": sig
 * is over the BLAKE2b-512 of the message; "Ed" (legacy): over the message itself; global is over sig and the trusted
 * comment
 */
#ifndef PV_AGENTD_MINISIGN_H
#define PV_AGENTD_MINISIGN_H

#include <stddef.h>
#include <stdint.h>

enum {
    PV_MINISIGN_COMMENT_MAX = 8192,    /* bytes of a trusted comment; minisign's own limit */
    PV_MINISIGN_UNTRUSTED_MAX = 1024,  /* bytes of an untrusted comment */
    PV_MINISIGN_FILE_MAX = 16384,      /* bytes of any of the files: longer ones are refused unread */
    PV_MINISIGN_PUBKEY_TEXT = 57,      /* characters of a public key in base64 with the terminator */
    PV_MINISIGN_PASSPHRASE_MAX = 1024, /* bytes */
};

/* Results beside 0; they do not overlap with PV_E_* of the runtime or of the wire. */
enum {
    PV_E_MINISIGN_FORMAT = -1101,     /* not a well-formed file of this kind */
    PV_E_MINISIGN_KEY = -1102,        /* made by another key than the one given (the key id differs) */
    PV_E_MINISIGN_MISMATCH = -1103,   /* the signature does not fit the message: one of them was altered */
    PV_E_MINISIGN_COMMENT = -1104,    /* the trusted comment was altered */
    PV_E_MINISIGN_LOCKED = -1105,     /* the secret key is encrypted and no passphrase was given */
    PV_E_MINISIGN_PASSPHRASE = -1106, /* wrong passphrase, or a damaged secret key */
    PV_E_MINISIGN_SYSTEM = -1107,     /* a system call failed, see errno */
    PV_E_MINISIGN_MEMORY = -1108,     /* no memory, which the scrypt of a key file may need a lot of */
    PV_E_MINISIGN_INVALID = -1109,    /* the caller's mistake: a comment that is too long or holds control characters */
};

/* A sentence for one of the results above, without a full stop. */
const char *pv_minisign_strerror(int result);

struct pv_minisign_pubkey {
    uint8_t id[8];
    uint8_t key[32];
};

/* Reads a public key file, or the bare base64 line of one. 0 or PV_E_MINISIGN_FORMAT; *out is zeroed on error. */
int pv_minisign_pubkey_parse(const char *text, size_t len, struct pv_minisign_pubkey *out);

/*
 * Verifies the signature file `sig` over `message`, its key id and its trusted comment, which on success (and only
 * then) is copied, terminated, into comment[PV_MINISIGN_COMMENT_MAX + 1] unless that is NULL. 0, or
 * PV_E_MINISIGN_FORMAT, _KEY, _MISMATCH, _COMMENT. Allocates nothing.
 */
int pv_minisign_verify(const struct pv_minisign_pubkey *key, const char *sig, size_t sig_len, const void *message,
                       size_t message_len, char *comment);

/* ---- pv_minisign: keys and signatures made here ---- */

/* Lives in guarded memory; freed, and wiped, by pv_minisign_seckey_free(). */
struct pv_minisign_seckey;

/* A new key pair. 0, or PV_E_MINISIGN_MEMORY. */
int pv_minisign_keygen(struct pv_minisign_seckey **out);
void pv_minisign_seckey_free(struct pv_minisign_seckey *key);
void pv_minisign_seckey_public(const struct pv_minisign_seckey *key, struct pv_minisign_pubkey *out);

/* The base64 line of a public key, terminated. */
void pv_minisign_pubkey_text(const struct pv_minisign_pubkey *key, char text[PV_MINISIGN_PUBKEY_TEXT]);
/* The key id as minisign prints it: upper-case hexadecimal digits without leading zeros, terminated. */
void pv_minisign_id_text(const uint8_t id[8], char text[17]);

/* Creates a public key file, mode 0644; an existing file is an error (EEXIST). 0 or PV_E_MINISIGN_SYSTEM. */
int pv_minisign_pubkey_write(const struct pv_minisign_pubkey *key, const char *path);
/* 0, PV_E_MINISIGN_SYSTEM, PV_E_MINISIGN_FORMAT. */
int pv_minisign_pubkey_read(const char *path, struct pv_minisign_pubkey *out);

/*
 * Creates a secret key file, mode 0600, durable when this returns; an existing file is an error (EEXIST). It is
 * encrypted with `passphrase` (PV_MINISIGN_PASSPHRASE_MAX bytes at most; takes about a second and up to 1 GiB, less
 * where there is less), or in clear where that is NULL. 0, PV_E_MINISIGN_SYSTEM, _MEMORY, _INVALID.
 */
int pv_minisign_seckey_write(const struct pv_minisign_seckey *key, const char *path, const char *passphrase,
                             size_t passphrase_len);
/*
 * Reads a secret key file. `passphrase` may be NULL: then an encrypted one gives PV_E_MINISIGN_LOCKED, upon which the
 * caller asks for it and calls again. It is not used where the key is in clear. The file's scrypt parameters are
 * bounded by the largest that minisign writes. 0, PV_E_MINISIGN_SYSTEM, _FORMAT, _LOCKED, _PASSPHRASE, _MEMORY.
 */
int pv_minisign_seckey_read(const char *path, const char *passphrase, size_t passphrase_len,
                            struct pv_minisign_seckey **out);

/*
 * Signs `message` (prehashed, `ED`). Comments are one line without control characters; NULL gives minisign's own
 * untrusted comment and an empty trusted one: callers that want reproducible files pass what they mean. Writes the text
 * of the signature file with a terminator to out[PV_MINISIGN_FILE_MAX] and its length to *out_len. 0, or
 * PV_E_MINISIGN_INVALID.
 */
int pv_minisign_sign(const struct pv_minisign_seckey *key, const void *message, size_t message_len,
                     const char *untrusted_comment, const char *trusted_comment, char *out, size_t *out_len);

#endif
