/* What the agent's processes say to each other. The first byte chooses the decoder, the rest is what it gets. What a
 * decoder of a canonical form accepts, its encoder writes again byte by byte. */
#include "tests/fuzz/fuzz.h"

#include <limits.h>

#include "agentd/apt/resolve.h"
#include "agentd/frontend.h"
#include "agentd/ledger_read.h"
#include "agentd/minisign.h"
#include "agentd/plan.h"
#include "agentd/record.h"
#include "agentd/request_wire.h"
#include "agentd/runner.h"
#include "tests/fuzz/wire.h"

static uint8_t encoded[PV_RECORD_MAX];

static void check_same(const struct pv_wbuf *w, const uint8_t *data, size_t size, const char *sentence)
{
    FUZZ_CHECK(!w->overflow && w->len == size && memcmp(w->data, data, size) == 0, sentence);
}

static void try_request(const uint8_t *data, size_t size)
{
    static char storage[PV_REQUEST_WIRE_MAX];
    struct pv_wire_request request;
    if (pv_wire_request_decode(&request, storage, sizeof storage, data, size))
        return;
    struct pv_wbuf w;
    pv_wbuf_init(&w, encoded, sizeof encoded);
    pv_wire_request_encode(&w, &request);
    check_same(&w, data, size, "a request has two encodings");
}

static void try_record(const uint8_t *data, size_t size)
{
    if (size < 1)
        return;
    uint32_t kind = data[0];
    data++;
    size--;
    struct pv_ledger_row row = {.seq = 1, .kind = kind, .body = data, .len = size};
    json_t *object = pv_ledger_json(&row);
    FUZZ_CHECK(object, "a record without an export");
    char *printed = json_dumps(object, JSON_COMPACT);
    FUZZ_CHECK(printed, "an export that cannot be printed");
    free(printed);
    json_decref(object);
    int64_t uid;
    uint64_t id;
    struct pv_record record;
    void *arena;
    int head = pv_record_head(data, size, &uid, &id);
    if (pv_record_decode(kind, data, size, &record, &arena))
        return;
    FUZZ_CHECK(head == 0 && record.uid == uid && record.request == id, "two heads");
    pv_record_dump(fuzz_nowhere(), &record, "  ");
    pv_record_summary(fuzz_nowhere(), &record);
    struct pv_wbuf w;
    pv_wbuf_init(&w, encoded, sizeof encoded);
    pv_record_encode(&w, &record);
    check_same(&w, data, size, "a record has two encodings");
    free(arena);
}

static void try_plan_op(const uint8_t *data, size_t size)
{
    struct pv_plan plan = {0};
    struct pv_rbuf r;
    pv_rbuf_init(&r, data, size);
    if (pv_plan_op_decode(&r, &plan) == 0) {
        struct pv_wbuf w;
        pv_wbuf_init(&w, encoded, sizeof encoded);
        pv_plan_op_encode(&w, &plan.ops[0]);
        check_same(&w, data, r.at, "an operation has two encodings");
    }
    pv_plan_clear(&plan);
}

static void try_plan_state(const uint8_t *data, size_t size)
{
    char store[PV_PLAN_STATE_STORE];
    struct pv_plan_state state;
    struct pv_rbuf r;
    pv_rbuf_init(&r, data, size);
    if (pv_plan_state_decode(&r, &state, store))
        return;
    struct pv_wbuf w;
    pv_wbuf_init(&w, encoded, sizeof encoded);
    pv_plan_state_encode(&w, &state);
    check_same(&w, data, r.at, "a package's facts have two encodings");
}

struct compared {
    const uint8_t *data;
    size_t len, at;
};

static int compare_sink(void *context, const void *bytes, size_t len)
{
    struct compared *c = context;
    FUZZ_CHECK(len <= c->len - c->at && memcmp(c->data + c->at, bytes, len) == 0, "a plan has two texts");
    c->at += len;
    return 0;
}

static void try_plan_text(const uint8_t *data, size_t size)
{
    struct pv_plan plan = {0};
    if (pv_plan_parse(&plan, (const char *)data, size) == 0) {
        struct compared compared = {data, size, 0};
        FUZZ_CHECK(pv_plan_canonical(&plan, compare_sink, &compared) == 0 && compared.at == size,
                   "a plan's text is lost");
    }
    pv_plan_clear(&plan);
}

static void try_plan_request(const uint8_t *data, size_t size)
{
    static struct pv_plan_request request;
    static struct pv_plan_failure failure;
    memset(&failure, 0, sizeof failure);
    if (pv_plan_request_decode(&request, data, size, &failure))
        FUZZ_CHECK(failure.code && failure.sentence[0], "refused without a sentence");
}

static void try_job(const uint8_t *data, size_t size)
{
    struct pv_run_job job;
    void *memory;
    if (pv_run_job_decode(&job, &memory, data, size))
        return;
    struct pv_wbuf w;
    pv_wbuf_init(&w, encoded, sizeof encoded);
    pv_run_job_encode(&w, &job);
    check_same(&w, data, size, "a job has two encodings");
    free(memory);
}

static void try_status(const uint8_t *data, size_t size)
{
    struct pv_run_status status;
    if (pv_run_status_decode(&status, data, size))
        return;
    struct pv_wbuf w;
    pv_wbuf_init(&w, encoded, sizeof encoded);
    pv_run_status_encode(&w, &status);
    check_same(&w, data, size, "a status has two encodings");
}

/* The frame's type is the number of PV_MF_HELLO and one byte. */
static void try_answer(const uint8_t *data, size_t size)
{
    if (size < 1)
        return;
    struct pv_front_answer answer;
    if (pv_front_answer(PV_MF_HELLO + data[0], data + 1, size - 1, &answer) == 0 && answer.message) {
        char *printed = json_dumps(answer.message, JSON_COMPACT);
        FUZZ_CHECK(printed, "a message that cannot be printed");
        free(printed);
        json_decref(answer.message);
    }
}

static void try_minisign(const uint8_t *data, size_t size)
{
    static const struct pv_minisign_pubkey none;
    struct pv_minisign_pubkey key;
    char comment[PV_MINISIGN_COMMENT_MAX + 1];
    (void)pv_minisign_pubkey_parse((const char *)data, size, &key);
    FUZZ_CHECK(pv_minisign_verify(&none, (const char *)data, size, "message", 7, comment) != 0, "a forged signature");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const decoders[FUZZ_N_WIRE])(const uint8_t *, size_t) = {[FUZZ_REQUEST] = try_request,
                                                                           [FUZZ_RECORD] = try_record,
                                                                           [FUZZ_PLAN_OP] = try_plan_op,
                                                                           [FUZZ_PLAN_STATE] = try_plan_state,
                                                                           [FUZZ_PLAN_TEXT] = try_plan_text,
                                                                           [FUZZ_PLAN_REQUEST] = try_plan_request,
                                                                           [FUZZ_JOB] = try_job,
                                                                           [FUZZ_STATUS] = try_status,
                                                                           [FUZZ_ANSWER] = try_answer,
                                                                           [FUZZ_MINISIGN] = try_minisign};
    if (size < 1 || size > sizeof encoded)
        return 0;
    uint8_t *exact = fuzz_exact(data + 1, size - 1);
    decoders[data[0] % FUZZ_N_WIRE](exact, size - 1);
    free(exact);
    return 0;
}
