/*
 * The client protocol's messages: JSON objects behind a four-byte length, checked before anything is believed.
 *
 * A message on the client's socket is uint32 length (little-endian), then that many bytes of UTF-8 JSON: one object
 * with a "schema" that names the kind ("proviso/submit/1"). docs/protocol.md lists the kinds, docs/protocol.schema.json
 * describes them. Both ends use this file, the agent's side in `proviso-frontend` alone: the monitor parses no JSON.
 *
 * The length is checked before a byte is allocated for it, nesting before the parser recurses; duplicate keys, NUL
 * bytes, invalid UTF-8 and text after the object are errors that name their place; unknown keys are errors too, so that
 * a mistyped duty or limit is never silently ignored.
 *
 * libjansson.
 */
#ifndef PV_AGENTD_MESSAGE_H
#define PV_AGENTD_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PV_MESSAGE_MAX = 262144, /* bytes of JSON in one message */
    PV_MESSAGE_HEADER = 4,
    PV_MESSAGE_DEPTH = 8, /* objects and lists inside one another; the deepest message that exists has 6 */
};

enum {
    PV_E_MESSAGE_CLOSED = -1101, /* the peer is gone, between messages */
    PV_E_MESSAGE_CUT = -1102,    /* the peer is gone, inside one */
    PV_E_MESSAGE_BAD = -1103,    /* malformed; the error says what and where */
    PV_E_MESSAGE_SYSTEM = -1104, /* a system call failed, see errno */
    PV_E_MESSAGE_NOMEM = -1105,
};

struct pv_message_error {
    long offset;    /* bytes into the JSON text, -1 where the place is a key */
    char place[96]; /* the key: "request.packages[2]", "" for the whole text */
    char text[224]; /* one sentence; control characters escaped */
};

/* Parses `len` bytes into a new reference. 0, PV_E_MESSAGE_BAD or PV_E_MESSAGE_NOMEM. `error` is always set. */
int pv_message_parse(json_t **out, const char *text, size_t len, struct pv_message_error *error);

/* What a key of an object must be. */
enum pv_field_kind {
    PV_F_STRING,  /* at most `max` bytes */
    PV_F_BOOL,    /* */
    PV_F_INT,     /* `min` to `max` */
    PV_F_STRINGS, /* a list of at most `max` strings of at most 4096 bytes */
    PV_F_OBJECT,  /* checked by the caller */
    PV_F_LIST,    /* of at most `max` members, checked by the caller */
};
struct pv_field {
    const char *name;
    enum pv_field_kind kind;
    bool required; /* otherwise absent and null are the same */
    int64_t min, max;
};

/* Checks that `value` is an object with these keys and no others. `place` is where it stands ("" or "request"). */
int pv_message_check(const json_t *value, const char *place, const struct pv_field *fields, size_t n_fields,
                     struct pv_message_error *error);

/* The kind of a message: its "schema", or "" where it has none or the value is no object. */
const char *pv_message_schema(const json_t *message);

/* A string of a checked object, or NULL where absent. */
const char *pv_message_string(const json_t *object, const char *key);
bool pv_message_bool(const json_t *object, const char *key);

/* One message that arrives in pieces. Zero it before use; pv_inbox_free() afterwards. At most one message is read ahead
 * of the caller: what the peer sends after it stays in the kernel. */
struct pv_inbox {
    uint8_t head[PV_MESSAGE_HEADER];
    size_t have;  /* bytes of head and text together */
    uint32_t len; /* of the text */
    char *text;
    char *last; /* the text of the message that was returned last, for those who pass it on */
    size_t last_len;
};
void pv_inbox_free(struct pv_inbox *in);
/* Whether part of a message has arrived. */
bool pv_inbox_inside(const struct pv_inbox *in);
/* Reads what is there from a stream socket. 1 with a new reference in *out, 0 when more is needed and the socket would
 * block, or PV_E_MESSAGE_*. After BAD, CUT and CLOSED the stream cannot be used further. */
int pv_inbox_read(struct pv_inbox *in, int fd, json_t **out, struct pv_message_error *error);

/* Bytes on their way to a peer that may be slow: a fixed amount, filled only when there is room. */
struct pv_outbox {
    uint8_t *data;
    size_t size, start, len;
};
int pv_outbox_init(struct pv_outbox *box, size_t size);
void pv_outbox_free(struct pv_outbox *box);
size_t pv_outbox_room(const struct pv_outbox *box);
/* Adds a framed message. 0, PV_E_MESSAGE_BAD (longer than PV_MESSAGE_MAX, or more than the room), PV_E_MESSAGE_NOMEM.
 */
int pv_outbox_put(struct pv_outbox *box, const json_t *message);
/* Writes what the socket takes. 0 (look at len), PV_E_MESSAGE_CLOSED, PV_E_MESSAGE_SYSTEM. */
int pv_outbox_flush(struct pv_outbox *box, int fd);

/* Sends one message on a blocking socket. 0 or PV_E_MESSAGE_*. */
int pv_message_send(int fd, const json_t *message);

/* The length of the longest prefix of `text` that is valid UTF-8 without NUL and ends with a whole character. *cut
 * tells whether what follows could still become valid (a character that the end cuts off). */
size_t pv_utf8_prefix(const char *text, size_t len, bool *cut);

/* Base64 with padding (RFC 4648); dst holds PV_BASE64_SIZE(len). */
#define PV_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void pv_base64_encode(char *dst, const uint8_t *bytes, size_t len);
/* Into bytes[cap]. False for anything that the encoder does not write, or more than fits. */
bool pv_base64_decode(uint8_t *bytes, size_t cap, size_t *len, const char *text);

/* Lower-case hexadecimal; dst holds 2 * len + 1. */
void pv_hex_encode(char *dst, const uint8_t *bytes, size_t len);
/* Exactly `len` bytes from 2 * len digits; anything else is false. */
bool pv_hex_decode(uint8_t *bytes, size_t len, const char *text);

#endif
