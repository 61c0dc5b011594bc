/*
 * pv_minisign from the command line, for minisign_test.sh to set against Debian's minisign:
 *   keygen SECRET PUBLIC [PASSPHRASE] | public SECRET PASSPHRASE | sign SECRET PASSPHRASE FILE COMMENT |
 *   verify PUBLIC FILE SIGNATURE
 * An empty PASSPHRASE is none. Exit 0, or 1 with the reason on standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentd/minisign.h"

static char file[1 << 20];

static size_t slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(2);
    }
    size_t len = fread(file, 1, sizeof file, f);
    fclose(f);
    return len;
}

static int fail(int result)
{
    fprintf(stderr, "%s\n", pv_minisign_strerror(result));
    return 1;
}

static int load(const char *path, const char *passphrase, struct pv_minisign_seckey **key)
{
    return pv_minisign_seckey_read(path, passphrase[0] ? passphrase : NULL, strlen(passphrase), key);
}

int main(int argc, char **argv)
{
    struct pv_minisign_seckey *key = NULL;
    struct pv_minisign_pubkey public;
    char text[PV_MINISIGN_FILE_MAX];
    size_t len;
    int result = -1;
    if (argc >= 4 && strcmp(argv[1], "keygen") == 0) {
        result = pv_minisign_keygen(&key);
        if (result == 0) {
            pv_minisign_seckey_public(key, &public);
            result = pv_minisign_pubkey_write(&public, argv[3]);
        }
        if (result == 0)
            result = pv_minisign_seckey_write(key, argv[2], argc > 4 ? argv[4] : NULL, argc > 4 ? strlen(argv[4]) : 0);
    } else if (argc == 4 && strcmp(argv[1], "public") == 0) {
        result = load(argv[2], argv[3], &key);
        if (result == 0) {
            pv_minisign_seckey_public(key, &public);
            pv_minisign_pubkey_text(&public, text);
            puts(text);
        }
    } else if (argc == 6 && strcmp(argv[1], "sign") == 0) {
        size_t n = slurp(argv[4]);
        result = load(argv[2], argv[3], &key);
        if (result == 0)
            result = pv_minisign_sign(key, file, n, NULL, argv[5], text, &len);
        if (result == 0)
            fwrite(text, 1, len, stdout);
    } else if (argc == 5 && strcmp(argv[1], "verify") == 0) {
        static char signature[1 << 20];
        size_t n = slurp(argv[4]);
        memcpy(signature, file, n);
        len = slurp(argv[3]);
        result = pv_minisign_pubkey_read(argv[2], &public);
        char comment[PV_MINISIGN_COMMENT_MAX + 1];
        if (result == 0)
            result = pv_minisign_verify(&public, signature, n, file, len, comment);
        if (result == 0)
            puts(comment);
    } else {
        fprintf(stderr, "usage: see the head of minisign_driver.c\n");
        return 2;
    }
    pv_minisign_seckey_free(key);
    return result ? fail(result) : 0;
}
