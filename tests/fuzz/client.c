/* A client's message to the front end: refused with a sentence, or turned into a canonical request that the monitor's
 * decoder takes. */
#include "tests/fuzz/fuzz.h"

#include "agentd/frontend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_exact(data, size);
    json_t *message = NULL;
    struct pv_message_error error;
    bool cut;
    FUZZ_CHECK(pv_utf8_prefix(text, size, &cut) <= size, "a prefix that is longer than the whole");
    if (pv_message_parse(&message, text, size, &error) == 0) {
        static uint8_t payload[PV_WIRE_MAX];
        static char storage[PV_REQUEST_WIRE_MAX];
        struct pv_wbuf w;
        (void)pv_message_schema(message);
        pv_wbuf_init(&w, payload, sizeof payload);
        if (pv_front_submit(message, &w, &error) == 0) {
            struct pv_rbuf r;
            struct pv_wire_request request;
            uint8_t passcode[PV_PASSCODE_SIZE];
            size_t len;
            pv_rbuf_init(&r, payload, w.len);
            const uint8_t *bytes = pv_get_bytes(&r, PV_REQUEST_WIRE_MAX, &len);
            FUZZ_CHECK(!w.overflow && pv_get_raw(&r, passcode, sizeof passcode) && pv_rbuf_done(&r),
                       "a payload of another form");
            FUZZ_CHECK(pv_wire_request_decode(&request, storage, sizeof storage, bytes, len) == 0,
                       "the monitor refuses what the front end made");
        } else {
            FUZZ_CHECK(error.text[0], "refused without a sentence");
        }
        json_decref(message);
    } else {
        FUZZ_CHECK(error.text[0], "refused without a sentence");
    }
    uint8_t bytes[512];
    size_t len;
    char *terminated = malloc(size + 1);
    FUZZ_CHECK(terminated, "out of memory");
    memcpy(terminated, text, size);
    terminated[size] = 0;
    if (pv_base64_decode(bytes, sizeof bytes, &len, terminated)) {
        char again[PV_BASE64_SIZE(sizeof bytes)];
        pv_base64_encode(again, bytes, len);
        FUZZ_CHECK(strcmp(again, terminated) == 0, "two encodings in base64");
    }
    free(terminated);
    free(text);
    return 0;
}
