/*
 * The canonical request: what is encoded decodes to the same, nothing else decodes, limits hold on both sides, and the
 * passcode binds every byte, the challenge and the uid.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "agentd/messages.h"
#include "agentd/passcode.h"
#include "agentd/request_wire.h"

static const struct pv_wire_request sample = {
    .protocol = PV_PROTOCOL,
    .verb = PV_VERB_BROKER,
    .user_name = "alice",
    .counter = 7,
    .timeout = 600,
    .cwd = "/home/alice",
    .flags = PV_REQUEST_DRY_RUN | PV_REQUEST_YES,
    .command = "install",
    .args = {"vlc", "git"},
    .n_args = 2,
    .version = "3.0.18-2",
    .source = "internal",
    .reason = "training video",
    .options = {{.name = "lines", .has_value = true, .value = "5"}, {.name = "no-block", .value = ""}},
    .n_options = 2,
};

static size_t encode(const struct pv_wire_request *request, uint8_t *bytes, size_t size, bool *overflow)
{
    struct pv_wbuf w;
    pv_wbuf_init(&w, bytes, size);
    pv_wire_request_encode(&w, request);
    *overflow = w.overflow;
    return w.len;
}

static void round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[PV_WIRE_MAX];
    static char storage[PV_REQUEST_WIRE_MAX];
    bool overflow;
    size_t len = encode(&sample, bytes, sizeof bytes, &overflow);
    assert_false(overflow);
    struct pv_wire_request got;
    assert_int_equal(pv_wire_request_decode(&got, storage, sizeof storage, bytes, len), 0);
    assert_string_equal(got.user_name, "alice");
    assert_true(got.counter == 7 && got.timeout == 600 && got.flags == sample.flags);
    assert_string_equal(got.cwd, "/home/alice");
    assert_string_equal(got.command, "install");
    assert_int_equal(got.n_args, 2);
    assert_string_equal(got.args[1], "git");
    assert_string_equal(got.version, "3.0.18-2");
    assert_string_equal(got.source, "internal");
    assert_string_equal(got.reason, "training video");
    assert_int_equal(got.n_options, 2);
    assert_true(got.options[0].has_value && !got.options[1].has_value);
    assert_string_equal(got.options[0].value, "5");
    uint8_t again[4096];
    size_t again_len = encode(&got, again, sizeof again, &overflow);
    assert_false(overflow);
    assert_int_equal(again_len, len);
    assert_memory_equal(again, bytes, len);
}

static void every_truncation_fails(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    char storage[4096];
    bool overflow;
    size_t len = encode(&sample, bytes, sizeof bytes, &overflow);
    struct pv_wire_request got;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(pv_wire_request_decode(&got, storage, sizeof storage, bytes, cut), PV_E_WIRE_BAD);
    bytes[len] = 0;
    assert_int_equal(pv_wire_request_decode(&got, storage, sizeof storage, bytes, len + 1), PV_E_WIRE_BAD);
    assert_int_equal(pv_wire_request_decode(&got, storage, 16, bytes, len), PV_E_WIRE_BAD);
}

/* A changed byte either fails to decode or decodes to something that encodes to those changed bytes: canonical. */
static void every_flip_is_canonical(void **state)
{
    (void)state;
    uint8_t bytes[4096], again[4096];
    char storage[4096];
    bool overflow;
    size_t len = encode(&sample, bytes, sizeof bytes, &overflow), decoded = 0;
    struct pv_wire_request got;
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            if (pv_wire_request_decode(&got, storage, sizeof storage, bytes, len) == 0) {
                decoded++;
                assert_int_equal(encode(&got, again, sizeof again, &overflow), len);
                assert_false(overflow);
                assert_memory_equal(again, bytes, len);
            }
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(decoded > 0);
}

static void limits(void **state)
{
    (void)state;
    static uint8_t bytes[PV_WIRE_MAX * 8];
    static char storage[PV_REQUEST_WIRE_MAX];
    static char text[PV_REQUEST_TEXT_MAX + 2];
    memset(text, 'x', PV_REQUEST_TEXT_MAX);
    bool overflow;
    struct pv_wire_request request = sample, got;
    request.reason = text;
    size_t len = encode(&request, bytes, sizeof bytes, &overflow);
    assert_false(overflow);
    assert_int_equal(pv_wire_request_decode(&got, storage, sizeof storage, bytes, len), 0);
    text[PV_REQUEST_TEXT_MAX] = 'x';
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);

    text[PV_REQUEST_TEXT_MAX] = '\0';
    request = sample; /* each argument is fine, together they are more than one frame takes */
    request.n_args = PV_REQUEST_ARGS_MAX;
    for (uint32_t i = 0; i < request.n_args; i++)
        request.args[i] = text;
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);

    request = sample;
    request.n_args = PV_REQUEST_ARGS_MAX + 1;
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);
    request = sample;
    request.flags = 8;
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);
    request = sample;
    request.timeout = -1;
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);
    request = sample;
    request.options[1].value = "value of a flag";
    encode(&request, bytes, sizeof bytes, &overflow);
    assert_true(overflow);
}

static void passcode_binds_everything(void **state)
{
    (void)state;
    uint8_t key[PV_CLIENT_KEY_SIZE] = {1}, challenge[PV_CHALLENGE_SIZE] = {2}, code[PV_PASSCODE_SIZE];
    uint8_t bytes[4096];
    bool overflow;
    size_t len = encode(&sample, bytes, sizeof bytes, &overflow);
    pv_passcode_make(key, challenge, 1001, bytes, len, code);
    assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len, code), 0);
    assert_int_equal(pv_passcode_verify(key, challenge, 1002, bytes, len, code), -1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len, code), -1);
        bytes[i] ^= 1;
    }
    assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len - 1, code), -1);
    for (size_t i = 0; i < sizeof code; i++) {
        code[i] ^= 0x80;
        assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len, code), -1);
        code[i] ^= 0x80;
    }
    challenge[31] ^= 1;
    assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len, code), -1);
    challenge[31] ^= 1;
    key[31] ^= 1;
    assert_int_equal(pv_passcode_verify(key, challenge, 1001, bytes, len, code), -1);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_truncation_fails),
        cmocka_unit_test(every_flip_is_canonical),
        cmocka_unit_test(limits),
        cmocka_unit_test(passcode_binds_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
