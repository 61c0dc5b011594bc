/*
 * The canonical encoding of a request; see request_wire.h.
 *
 * One table-free pass in field order each way. Invariant: encode and decode apply the same limits, so what a client can
 * encode the monitor can decode, and the bytes that were authenticated are the bytes that were understood.
 */
#include "agentd/request_wire.h"

#include "agentd/messages.h"

#include <string.h>

static void put_limited(struct pv_wbuf *w, const char *text, size_t max)
{
    size_t len = text ? strlen(text) : 0;
    if (len > max)
        w->overflow = true;
    else
        pv_put_str(w, text, len);
}

void pv_wire_request_encode(struct pv_wbuf *w, const struct pv_wire_request *request)
{
    size_t start = w->len;
    if ((unsigned)request->verb >= PV_N_VERBS || (request->flags & ~PV_REQUEST_FLAGS) ||
        request->n_args > PV_REQUEST_ARGS_MAX || request->n_options > PV_REQUEST_OPTIONS_MAX || request->timeout < 0 ||
        request->protocol != PV_PROTOCOL) {
        w->overflow = true;
        return;
    }
    pv_put_u32(w, request->protocol);
    pv_put_u8(w, (uint8_t)request->verb);
    put_limited(w, request->user_name, PV_REQUEST_NAME_MAX);
    pv_put_u64(w, request->counter);
    pv_put_i64(w, request->timeout);
    put_limited(w, request->cwd, PV_REQUEST_TEXT_MAX);
    pv_put_u8(w, request->flags);
    put_limited(w, request->command, PV_REQUEST_NAME_MAX);
    pv_put_u32(w, request->n_args);
    for (uint32_t i = 0; i < request->n_args; i++)
        put_limited(w, request->args[i], PV_REQUEST_TEXT_MAX);
    put_limited(w, request->version, PV_REQUEST_NAME_MAX);
    put_limited(w, request->source, PV_REQUEST_TEXT_MAX);
    put_limited(w, request->reason, PV_REQUEST_TEXT_MAX);
    pv_put_u32(w, request->n_options);
    for (uint32_t i = 0; i < request->n_options; i++) {
        const struct pv_wire_option *option = &request->options[i];
        if (!option->has_value && option->value && option->value[0])
            w->overflow = true;
        put_limited(w, option->name, PV_REQUEST_NAME_MAX);
        pv_put_bool(w, option->has_value);
        put_limited(w, option->value, PV_REQUEST_TEXT_MAX);
    }
    if (w->len - start > PV_REQUEST_WIRE_MAX)
        w->overflow = true;
}

/* Copies of strings, one after the other in the caller's storage. */
struct arena {
    char *at;
    size_t left;
};

static const char *get_limited(struct pv_rbuf *r, struct arena *arena, size_t max)
{
    size_t len;
    const char *text = pv_get_str(r, max, &len);
    if (!text || len >= arena->left) {
        r->error = true;
        return "";
    }
    char *copy = arena->at;
    memcpy(copy, text, len);
    copy[len] = '\0';
    arena->at += len + 1;
    arena->left -= len + 1;
    return copy;
}

static uint8_t get_u8_max(struct pv_rbuf *r, uint8_t max)
{
    uint8_t value = pv_get_u8(r);
    if (value > max) {
        r->error = true;
        return 0;
    }
    return value;
}

int pv_wire_request_decode(struct pv_wire_request *out, char *storage, size_t size, const void *bytes, size_t len)
{
    struct arena arena = {.at = storage, .left = size};
    struct pv_rbuf r;
    pv_rbuf_init(&r, bytes, len);
    memset(out, 0, sizeof *out);
    if (len > PV_REQUEST_WIRE_MAX)
        r.error = true;
    out->protocol = pv_get_u32(&r);
    if (out->protocol != PV_PROTOCOL)
        r.error = true;
    out->verb = (enum pv_verb)get_u8_max(&r, PV_N_VERBS - 1);
    out->user_name = get_limited(&r, &arena, PV_REQUEST_NAME_MAX);
    out->counter = pv_get_u64(&r);
    out->timeout = pv_get_i64(&r);
    if (out->timeout < 0)
        r.error = true;
    out->cwd = get_limited(&r, &arena, PV_REQUEST_TEXT_MAX);
    out->flags = get_u8_max(&r, PV_REQUEST_FLAGS);
    out->command = get_limited(&r, &arena, PV_REQUEST_NAME_MAX);
    out->n_args = pv_get_u32_max(&r, PV_REQUEST_ARGS_MAX);
    for (uint32_t i = 0; i < out->n_args; i++)
        out->args[i] = get_limited(&r, &arena, PV_REQUEST_TEXT_MAX);
    out->version = get_limited(&r, &arena, PV_REQUEST_NAME_MAX);
    out->source = get_limited(&r, &arena, PV_REQUEST_TEXT_MAX);
    out->reason = get_limited(&r, &arena, PV_REQUEST_TEXT_MAX);
    out->n_options = pv_get_u32_max(&r, PV_REQUEST_OPTIONS_MAX);
    for (uint32_t i = 0; i < out->n_options; i++) {
        out->options[i].name = get_limited(&r, &arena, PV_REQUEST_NAME_MAX);
        out->options[i].has_value = pv_get_bool(&r);
        out->options[i].value = get_limited(&r, &arena, PV_REQUEST_TEXT_MAX);
        if (!out->options[i].has_value && out->options[i].value[0])
            r.error = true;
    }
    if (!pv_rbuf_done(&r)) {
        memset(out, 0, sizeof *out);
        return PV_E_WIRE_BAD;
    }
    return 0;
}
