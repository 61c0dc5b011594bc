/*
 * What a signature check must refuse: every truncation, every changed byte that is not the untrusted comment,
 * everything appended, other keys, altered comments, other base64 for the same bytes, control characters.
 * minisign_test.sh sets the formats against Debian's minisign; here each refusal has its reason.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/minisign.h"

static const char message[] = "what is signed";
static struct pv_minisign_seckey *key, *other;
static struct pv_minisign_pubkey public, other_public;
static char sig[PV_MINISIGN_FILE_MAX], altered[2 * PV_MINISIGN_FILE_MAX];
static size_t sig_len;
static char dir[] = "/tmp/proviso-minisign-test.XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || pv_minisign_keygen(&key) || pv_minisign_keygen(&other))
        return -1;
    snprintf(path, sizeof path, "%s/key", dir);
    pv_minisign_seckey_public(key, &public);
    pv_minisign_seckey_public(other, &other_public);
    return pv_minisign_sign(key, message, sizeof message, "free text", "bundle workstations 7", sig, &sig_len);
}

static int teardown(void **state)
{
    (void)state;
    pv_minisign_seckey_free(key);
    pv_minisign_seckey_free(other);
    return rmdir(dir);
}

/* Exactly so many bytes in a block of their own, so that the address sanitizer sees a read past the end. */
static int verify(const char *text, size_t len)
{
    char comment[PV_MINISIGN_COMMENT_MAX + 1];
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    int result = pv_minisign_verify(&public, copy, len, message, sizeof message, comment);
    if (result != 0)
        assert_int_equal(comment[0], '\0');
    free(copy);
    return result;
}

static void the_good_one(void **state)
{
    (void)state;
    char comment[PV_MINISIGN_COMMENT_MAX + 1];
    assert_int_equal(pv_minisign_verify(&public, sig, sig_len, message, sizeof message, comment), 0);
    assert_string_equal(comment, "bundle workstations 7");
    assert_int_equal(pv_minisign_verify(&public, sig, sig_len, message, sizeof message, NULL), 0);
    assert_int_equal(verify(sig, sig_len - 1), 0); /* the last newline may lack */
}

static void truncated_or_longer(void **state)
{
    (void)state;
    for (size_t n = 0; n < sig_len - 1; n++)
        assert_int_equal(verify(sig, n), PV_E_MINISIGN_FORMAT);
    memcpy(altered, sig, sig_len);
    static const char *const tails[] = {"\n", "x", " ", "untrusted comment: x\n"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        memcpy(altered + sig_len, tails[i], strlen(tails[i]));
        assert_int_equal(verify(altered, sig_len + strlen(tails[i])), PV_E_MINISIGN_FORMAT);
    }
    memset(altered + sig_len, '\n', PV_MINISIGN_FILE_MAX);
    assert_int_equal(verify(altered, sig_len + PV_MINISIGN_FILE_MAX), PV_E_MINISIGN_FORMAT);
}

static void every_byte_counts(void **state)
{
    (void)state;
    size_t from = strlen("untrusted comment: "), to = from + strlen("free text");
    for (size_t i = 0; i < sig_len; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(altered, sig, sig_len);
            altered[i] = (char)(altered[i] ^ 1 << bit);
            int result = verify(altered, sig_len);
            if (i >= from && i < to && altered[i] != '\n')
                assert_int_equal(result, 0); /* that comment is nobody's word */
            else if (i != sig_len - 1)
                assert_true(result < 0);
        }
}

static void another_message_or_key(void **state)
{
    (void)state;
    char changed[sizeof message];
    for (size_t i = 0; i < sizeof message; i++) {
        memcpy(changed, message, sizeof message);
        changed[i] ^= 1;
        assert_int_equal(pv_minisign_verify(&public, sig, sig_len, changed, sizeof changed, NULL),
                         PV_E_MINISIGN_MISMATCH);
    }
    assert_int_equal(pv_minisign_verify(&public, sig, sig_len, message, sizeof message - 1, NULL),
                     PV_E_MINISIGN_MISMATCH);
    assert_int_equal(pv_minisign_verify(&other_public, sig, sig_len, message, sizeof message, NULL), PV_E_MINISIGN_KEY);
    /* The right id on the wrong key. */
    struct pv_minisign_pubkey forged = other_public;
    memcpy(forged.id, public.id, sizeof forged.id);
    assert_int_equal(pv_minisign_verify(&forged, sig, sig_len, message, sizeof message, NULL), PV_E_MINISIGN_MISMATCH);
    forged = public;
    memset(forged.key, 0, sizeof forged.key);
    assert_int_equal(pv_minisign_verify(&forged, sig, sig_len, message, sizeof message, NULL), PV_E_MINISIGN_MISMATCH);
}

static void comments(void **state)
{
    (void)state;
    char second[PV_MINISIGN_FILE_MAX], *at;
    size_t len;
    /* The trusted comment of another signature over the same message with the same key. */
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, NULL, "bundle workstations 8", second, &len), 0);
    memcpy(altered, sig, sig_len + 1);
    at = strstr(altered, "workstations 7");
    at[strlen("workstations ")] = '8';
    assert_int_equal(verify(altered, sig_len), PV_E_MINISIGN_COMMENT);
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, NULL, "two\nlines", second, &len),
                     PV_E_MINISIGN_INVALID);
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, "a\rb", "x", second, &len), PV_E_MINISIGN_INVALID);
    char *huge = calloc(1, PV_MINISIGN_COMMENT_MAX + 2);
    memset(huge, 'c', PV_MINISIGN_COMMENT_MAX);
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, NULL, huge, second, &len), 0);
    assert_int_equal(verify(second, len), 0);
    huge[PV_MINISIGN_COMMENT_MAX] = 'c';
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, NULL, huge, second, &len), PV_E_MINISIGN_INVALID);
    free(huge);
    /* A NUL or a carriage return in a line. */
    assert_int_equal(pv_minisign_sign(key, message, sizeof message, NULL, "", second, &len), 0);
    assert_int_equal(verify(second, len), 0);
    for (size_t i = 0; i < len; i++)
        if (second[i] == '\n') {
            memcpy(altered, second, i);
            altered[i] = '\r';
            memcpy(altered + i + 1, second + i, len - i);
            int result = verify(altered, len + 1);
            if (i > strlen("untrusted comment: signature from minisign secret key"))
                assert_int_equal(result, PV_E_MINISIGN_FORMAT);
        }
}

/* The same bytes in other base64: refused, so that a signature file has one form. */
static void base64_is_canonical(void **state)
{
    (void)state;
    struct pv_minisign_pubkey out;
    char text[PV_MINISIGN_PUBKEY_TEXT + 8];
    pv_minisign_pubkey_text(&public, text);
    size_t len = strlen(text);
    assert_int_equal(len, 56);
    assert_int_equal(pv_minisign_pubkey_parse(text, len, &out), 0);
    assert_memory_equal(&out, &public, sizeof out);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(pv_minisign_pubkey_parse(text, n, &out), PV_E_MINISIGN_FORMAT);
    memcpy(text + len, "=", 1);
    assert_int_equal(pv_minisign_pubkey_parse(text, len + 1, &out), PV_E_MINISIGN_FORMAT);
    memcpy(text + len, "\n\n", 2);
    assert_int_equal(pv_minisign_pubkey_parse(text, len + 1, &out), 0);
    assert_int_equal(pv_minisign_pubkey_parse(text, len + 2, &out), PV_E_MINISIGN_FORMAT);
    for (int i = 0; i < 3; i++) {
        char kept = text[20];
        text[20] = "-_ "[i];
        assert_int_equal(pv_minisign_pubkey_parse(text, len, &out), PV_E_MINISIGN_FORMAT);
        text[20] = kept;
    }
    text[0] = 'A'; /* another algorithm */
    assert_int_equal(pv_minisign_pubkey_parse(text, len, &out), PV_E_MINISIGN_FORMAT);
    assert_int_equal(out.id[0] | out.key[0], 0);

    /* The global signature's 64 bytes end in two padding characters: the four bits before them must be zero. */
    memcpy(altered, sig, sig_len);
    char *last = altered + sig_len - 4;
    assert_memory_equal(last + 1, "==\n", 3);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ptrdiff_t value = strchr(digits, last[0]) - digits;
    assert_int_equal(value % 16, 0);
    last[0] = digits[value + 1];
    assert_int_equal(verify(altered, sig_len), PV_E_MINISIGN_FORMAT);
}

static void put_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void secret_key_files(void **state)
{
    (void)state;
    struct pv_minisign_seckey *got;
    struct pv_minisign_pubkey p;
    char text[1024];
    struct stat st;
    assert_int_equal(pv_minisign_seckey_write(key, path, NULL, 0), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(pv_minisign_seckey_write(other, path, NULL, 0), PV_E_MINISIGN_SYSTEM);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(pv_minisign_seckey_read(path, "unused", 6, &got), 0);
    pv_minisign_seckey_public(got, &p);
    assert_memory_equal(&p, &public, sizeof p);
    pv_minisign_seckey_free(got);

    FILE *f = fopen(path, "rb");
    size_t len = fread(text, 1, sizeof text, f), line = (size_t)((char *)memchr(text, '\n', len) - text) + 1;
    fclose(f);
    for (size_t n = 0; n < len - 1; n++) {
        put_file(text, n);
        assert_true(pv_minisign_seckey_read(path, NULL, 0, &got) < 0);
        assert_null(got);
    }
    /* Each character of the key, changed to another one: never another key in silence. */
    for (size_t i = line; i < len - 1; i++) {
        char kept = text[i];
        text[i] = kept == 'A' ? 'B' : 'A';
        put_file(text, len);
        int result = pv_minisign_seckey_read(path, NULL, 0, &got);
        if (result == 0) { /* the salt and the limits of a key in clear mean nothing */
            pv_minisign_seckey_public(got, &p);
            assert_memory_equal(&p, &public, sizeof p);
            pv_minisign_seckey_free(got);
            assert_true(i - line < (6 + 32 + 16) * 4 / 3 + 4);
        }
        text[i] = kept;
    }
    /* Larger than any key file, a directory, a pipe, nothing. */
    memset(altered, 'x', sizeof altered);
    put_file(altered, PV_MINISIGN_FILE_MAX + 1);
    assert_int_equal(pv_minisign_seckey_read(path, NULL, 0, &got), PV_E_MINISIGN_FORMAT);
    assert_int_equal(pv_minisign_pubkey_read(path, &p), PV_E_MINISIGN_FORMAT);
    unlink(path);
    assert_int_equal(pv_minisign_seckey_read(path, NULL, 0, &got), PV_E_MINISIGN_SYSTEM);
    assert_int_equal(pv_minisign_seckey_read(dir, NULL, 0, &got), PV_E_MINISIGN_FORMAT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pv_minisign_seckey_read(path, NULL, 0, &got), PV_E_MINISIGN_FORMAT); /* and does not wait */
    unlink(path);
    assert_int_equal(symlink("/tmp/proviso-minisign-elsewhere", path), 0);
    assert_int_equal(pv_minisign_seckey_write(key, path, NULL, 0), PV_E_MINISIGN_SYSTEM);
    assert_int_equal(access("/tmp/proviso-minisign-elsewhere", F_OK), -1);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_one),      cmocka_unit_test(truncated_or_longer),
        cmocka_unit_test(every_byte_counts), cmocka_unit_test(another_message_or_key),
        cmocka_unit_test(comments),          cmocka_unit_test(base64_is_canonical),
        cmocka_unit_test(secret_key_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
