/*
 * Framing and checking of client messages; see message.h.
 *
 * Invariants: nothing is allocated for a length that was not compared with PV_MESSAGE_MAX; the JSON parser is only
 * given text whose nesting was counted first; an inbox holds at most one message, an outbox at most its size.
 */
#include "agentd/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bad(struct pv_message_error *error, long offset, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int bad(struct pv_message_error *error, long offset, const char *place, const char *format, ...)
{
    char text[sizeof(error->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    error->offset = offset;
    snprintf(error->place, sizeof(error->place), "%s", place);
    /* A key or a piece of text of the peer's may be in the sentence: it must neither break a log line nor, cut in the
     * middle of a character, make invalid JSON. */
    bool cut;
    size_t len = pv_utf8_prefix(text, strlen(text), &cut);
    for (size_t i = 0; i < len; i++)
        error->text[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    error->text[len] = '\0';
    len = pv_utf8_prefix(error->place, strlen(error->place), &cut);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)error->place[i] < 0x20 || error->place[i] == 0x7f)
            error->place[i] = '?';
    error->place[len] = '\0';
    return PV_E_MESSAGE_BAD;
}

/* Counts brackets outside strings. The parser below would recurse once for each. */
static int check_depth(const char *text, size_t len, struct pv_message_error *error)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > PV_MESSAGE_DEPTH)
                return bad(error, (long)i, "", "more than %d objects and lists inside one another", PV_MESSAGE_DEPTH);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

int pv_message_parse(json_t **out, const char *text, size_t len, struct pv_message_error *error)
{
    *out = NULL;
    memset(error, 0, sizeof(*error));
    if (len > PV_MESSAGE_MAX)
        return bad(error, 0, "", "%zu bytes are more than a message may have", len);
    int result = check_depth(text, len, error);
    if (result)
        return result;
    json_error_t json_error;
    *out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &json_error);
    if (!*out) {
        if (json_error_code(&json_error) == json_error_out_of_memory)
            return PV_E_MESSAGE_NOMEM;
        return bad(error, json_error.position, "", "byte %d: %s", json_error.position, json_error.text);
    }
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return bad(error, 0, "", "a message is a JSON object");
    }
    return 0;
}

static const char *kind_name(enum pv_field_kind kind)
{
    switch (kind) {
    case PV_F_STRING: return "a string";
    case PV_F_BOOL: return "true or false";
    case PV_F_INT: return "a whole number";
    case PV_F_STRINGS: return "a list of strings";
    case PV_F_OBJECT: return "an object";
    case PV_F_LIST: return "a list";
    }
    return "something else";
}

static int check_strings(const json_t *list, const char *place, struct pv_message_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char at[256];
        snprintf(at, sizeof(at), "%.160s[%zu]", place, i);
        if (!json_is_string(item))
            return bad(error, -1, at, "%s is not a string", at);
        if (json_string_length(item) > 4096)
            return bad(error, -1, at, "%s is longer than 4096 bytes", at);
    }
    return 0;
}

static int check_field(const json_t *value, const char *at, const struct pv_field *field,
                       struct pv_message_error *error)
{
    bool right = true;
    switch (field->kind) {
    case PV_F_STRING: right = json_is_string(value); break;
    case PV_F_BOOL: right = json_is_boolean(value); break;
    case PV_F_INT: right = json_is_integer(value); break;
    case PV_F_STRINGS:
    case PV_F_LIST: right = json_is_array(value); break;
    case PV_F_OBJECT: right = json_is_object(value); break;
    }
    if (!right)
        return bad(error, -1, at, "%s is not %s", at, kind_name(field->kind));
    switch (field->kind) {
    case PV_F_STRING:
        if (json_string_length(value) > (size_t)field->max)
            return bad(error, -1, at, "%s is longer than %lld bytes", at, (long long)field->max);
        return 0;
    case PV_F_INT:
        if (json_integer_value(value) < field->min || json_integer_value(value) > field->max)
            return bad(error, -1, at, "%s is not between %lld and %lld", at, (long long)field->min,
                       (long long)field->max);
        return 0;
    case PV_F_STRINGS:
    case PV_F_LIST:
        if (json_array_size(value) > (size_t)field->max)
            return bad(error, -1, at, "%s has more than %lld members", at, (long long)field->max);
        return field->kind == PV_F_STRINGS ? check_strings(value, at, error) : 0;
    case PV_F_BOOL:
    case PV_F_OBJECT: return 0;
    }
    return 0;
}

int pv_message_check(const json_t *value, const char *place, const struct pv_field *fields, size_t n_fields,
                     struct pv_message_error *error)
{
    memset(error, 0, sizeof(*error));
    if (!json_is_object(value))
        return bad(error, -1, place, "%s is not an object", *place ? place : "the message");
    const char *dot = *place ? "." : "";
    char at[160];
    size_t n_known = 0;
    for (size_t i = 0; i < n_fields; i++) {
        const json_t *item = json_object_get(value, fields[i].name);
        snprintf(at, sizeof(at), "%s%s%s", place, dot, fields[i].name);
        if (item)
            n_known++;
        if (!item || json_is_null(item)) {
            if (fields[i].required)
                return bad(error, -1, at, "%s is missing", at);
            continue;
        }
        int result = check_field(item, at, &fields[i], error);
        if (result)
            return result;
    }
    if (n_known == json_object_size(value))
        return 0;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        bool known = false;
        for (size_t i = 0; i < n_fields; i++)
            known |= strcmp(fields[i].name, key) == 0;
        if (!known) {
            snprintf(at, sizeof(at), "%s%s%.80s", place, dot, key);
            return bad(error, -1, at, "%s is not a key of this message", at);
        }
    }
    return 0;
}

const char *pv_message_schema(const json_t *message)
{
    const char *schema = pv_message_string(message, "schema");
    return schema ? schema : "";
}

const char *pv_message_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool pv_message_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void pv_inbox_free(struct pv_inbox *in)
{
    free(in->text);
    free(in->last);
    memset(in, 0, sizeof(*in));
}

bool pv_inbox_inside(const struct pv_inbox *in)
{
    return in->have > 0;
}

int pv_inbox_read(struct pv_inbox *in, int fd, json_t **out, struct pv_message_error *error)
{
    *out = NULL;
    memset(error, 0, sizeof(*error));
    for (;;) {
        bool head = in->have < PV_MESSAGE_HEADER;
        size_t have = head ? in->have : in->have - PV_MESSAGE_HEADER;
        uint8_t *at = (head ? in->head : (uint8_t *)in->text) + have;
        size_t want = (head ? PV_MESSAGE_HEADER : in->len) - have;
        ssize_t n = recv(fd, at, want, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n < 0 && errno != ECONNRESET)
            return PV_E_MESSAGE_SYSTEM;
        if (n <= 0)
            return in->have == 0 ? PV_E_MESSAGE_CLOSED : PV_E_MESSAGE_CUT;
        in->have += (size_t)n;
        if (in->have == PV_MESSAGE_HEADER) {
            in->len = (uint32_t)in->head[0] | (uint32_t)in->head[1] << 8 | (uint32_t)in->head[2] << 16 |
                      (uint32_t)in->head[3] << 24;
            if (in->len < 2 || in->len > PV_MESSAGE_MAX)
                return bad(error, 0, "", "a message of %u bytes: it may have 2 to %d", in->len, PV_MESSAGE_MAX);
            in->text = malloc(in->len);
            if (!in->text)
                return PV_E_MESSAGE_NOMEM;
        }
        if (in->have > PV_MESSAGE_HEADER && in->have - PV_MESSAGE_HEADER == in->len)
            break;
    }
    free(in->last);
    in->last = in->text;
    in->last_len = in->len;
    in->text = NULL;
    in->have = 0;
    in->len = 0;
    int result = pv_message_parse(out, in->last, in->last_len, error);
    return result ? result : 1;
}

int pv_outbox_init(struct pv_outbox *box, size_t size)
{
    *box = (struct pv_outbox){.data = malloc(size), .size = size};
    return box->data ? 0 : PV_E_MESSAGE_NOMEM;
}

void pv_outbox_free(struct pv_outbox *box)
{
    free(box->data);
    memset(box, 0, sizeof(*box));
}

size_t pv_outbox_room(const struct pv_outbox *box)
{
    return box->size - box->len;
}

static void put_head(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < PV_MESSAGE_HEADER; i++)
        at[i] = (uint8_t)(len >> (8 * i));
}

int pv_outbox_put(struct pv_outbox *box, const json_t *message)
{
    size_t room = pv_outbox_room(box);
    if (room < PV_MESSAGE_HEADER)
        return PV_E_MESSAGE_BAD;
    if (box->start) {
        memmove(box->data, box->data + box->start, box->len);
        box->start = 0;
    }
    room -= PV_MESSAGE_HEADER;
    if (room > PV_MESSAGE_MAX)
        room = PV_MESSAGE_MAX;
    uint8_t *at = box->data + box->len;
    size_t len = json_dumpb(message, (char *)at + PV_MESSAGE_HEADER, room, JSON_COMPACT);
    if (len == 0)
        return PV_E_MESSAGE_NOMEM;
    if (len > room)
        return PV_E_MESSAGE_BAD;
    put_head(at, len);
    box->len += PV_MESSAGE_HEADER + len;
    return 0;
}

int pv_outbox_flush(struct pv_outbox *box, int fd)
{
    while (box->len > 0) {
        ssize_t n = send(fd, box->data + box->start, box->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n < 0)
            return errno == EPIPE || errno == ECONNRESET ? PV_E_MESSAGE_CLOSED : PV_E_MESSAGE_SYSTEM;
        box->start += (size_t)n;
        box->len -= (size_t)n;
    }
    box->start = 0;
    return 0;
}

int pv_message_send(int fd, const json_t *message)
{
    size_t len = json_dumpb(message, NULL, 0, JSON_COMPACT);
    if (len == 0)
        return PV_E_MESSAGE_NOMEM;
    if (len > PV_MESSAGE_MAX)
        return PV_E_MESSAGE_BAD;
    uint8_t *data = malloc(PV_MESSAGE_HEADER + len);
    if (!data)
        return PV_E_MESSAGE_NOMEM;
    put_head(data, len);
    json_dumpb(message, (char *)data + PV_MESSAGE_HEADER, len, JSON_COMPACT);
    int result = 0;
    for (size_t sent = 0; sent < PV_MESSAGE_HEADER + len;) {
        ssize_t n = send(fd, data + sent, PV_MESSAGE_HEADER + len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            result = errno == EPIPE || errno == ECONNRESET ? PV_E_MESSAGE_CLOSED : PV_E_MESSAGE_SYSTEM;
            break;
        }
        sent += (size_t)n;
    }
    free(data);
    return result;
}

/* The length that a first byte announces, and the lowest and highest second byte (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_shape(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0;
        if (first == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

size_t pv_utf8_prefix(const char *text, size_t len, bool *cut)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0;
    *cut = false;
    while (at < len) {
        unsigned char low, high;
        size_t n = utf8_shape(s[at], &low, &high);
        if (n == 0 || s[at] == 0)
            return at;
        for (size_t i = 1; i < n; i++) {
            if (at + i == len) {
                *cut = true;
                return at;
            }
            if (s[at + i] < (i == 1 ? low : 0x80) || s[at + i] > (i == 1 ? high : 0xbf))
                return at;
        }
        at += n;
    }
    return at;
}

void pv_hex_encode(char *dst, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        dst[2 * i] = digits[bytes[i] >> 4];
        dst[2 * i + 1] = digits[bytes[i] & 15];
    }
    dst[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool pv_hex_decode(uint8_t *bytes, size_t len, const char *text)
{
    memset(bytes, 0, len);
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            memset(bytes, 0, len);
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pv_base64_encode(char *dst, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t word =
            (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            *dst++ = k <= n ? base64_digits[word >> (18 - 6 * k) & 63] : '=';
    }
    *dst = '\0';
}

bool pv_base64_decode(uint8_t *bytes, size_t cap, size_t *len, const char *text)
{
    size_t n_text = strlen(text);
    *len = 0;
    if (n_text % 4 != 0)
        return false;
    for (size_t i = 0; i < n_text; i += 4) {
        uint32_t word = 0;
        size_t n = 3;
        if (i + 4 == n_text && text[i + 3] == '=')
            n = text[i + 2] == '=' ? 1 : 2;
        for (size_t k = 0; k < 4; k++) {
            const char *digit = k <= n ? memchr(base64_digits, text[i + k], 64) : base64_digits;
            if (!digit)
                return false;
            word = word << 6 | (uint32_t)(digit - base64_digits);
        }
        /* Bits that no byte takes must be zero: one text for one sequence of bytes. */
        if (*len + n > cap || (word & ((1u << (8 * (3 - n))) - 1)) != 0)
            return false;
        for (size_t k = 0; k < n; k++)
            bytes[(*len)++] = (uint8_t)(word >> (16 - 8 * k));
    }
    return true;
}
