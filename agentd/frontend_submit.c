/*
 * From a client's "submit" message to the canonical request that the monitor decides on. The front end changes nothing
 * and fills nothing in but the documented defaults, which are the canonical encoding's own empty values: the passcode
 * is computed over the encoding by the client's helper, so a difference would be refused by the monitor.
 */
#include "agentd/frontend.h"

#include <stdio.h>
#include <string.h>

static const struct pv_field submit_fields[] = {
    {.name = "schema", .kind = PV_F_STRING, .required = true, .max = 64},
    {.name = "request", .kind = PV_F_OBJECT, .required = true},
    {.name = "passcode", .kind = PV_F_STRING, .required = true, .max = 2 * PV_PASSCODE_SIZE},
};

/* The largest integer that every JSON reader keeps exact. */
#define JSON_INT_MAX INT64_C(9007199254740991)

static const struct pv_field request_fields[] = {
    {.name = "verb", .kind = PV_F_STRING, .required = true, .max = 16},
    {.name = "counter", .kind = PV_F_INT, .required = true, .min = 1, .max = JSON_INT_MAX},
    {.name = "user", .kind = PV_F_STRING, .max = PV_REQUEST_NAME_MAX},
    {.name = "timeout", .kind = PV_F_INT, .max = JSON_INT_MAX},
    {.name = "cwd", .kind = PV_F_STRING, .max = PV_REQUEST_TEXT_MAX},
    {.name = "dry_run", .kind = PV_F_BOOL},
    {.name = "interactive", .kind = PV_F_BOOL},
    {.name = "yes", .kind = PV_F_BOOL},
    {.name = "command", .kind = PV_F_STRING, .max = PV_REQUEST_NAME_MAX},
    {.name = "arguments", .kind = PV_F_STRINGS, .max = PV_REQUEST_ARGS_MAX},
    {.name = "version", .kind = PV_F_STRING, .max = PV_REQUEST_NAME_MAX},
    {.name = "source", .kind = PV_F_STRING, .max = PV_REQUEST_TEXT_MAX},
    {.name = "reason", .kind = PV_F_STRING, .max = PV_REQUEST_TEXT_MAX},
    {.name = "options", .kind = PV_F_LIST, .max = PV_REQUEST_OPTIONS_MAX},
};

static const struct pv_field option_fields[] = {
    {.name = "name", .kind = PV_F_STRING, .required = true, .max = PV_REQUEST_NAME_MAX},
    {.name = "value", .kind = PV_F_STRING, .max = PV_REQUEST_TEXT_MAX},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int wrong(struct pv_message_error *error, const char *place, const char *text)
{
    memset(error, 0, sizeof(*error));
    error->offset = -1;
    snprintf(error->place, sizeof(error->place), "%s", place);
    snprintf(error->text, sizeof(error->text), "%s %s", place, text);
    return PV_E_MESSAGE_BAD;
}

static int read_verb(const char *word, enum pv_verb *verb)
{
    static const char *const words[PV_N_VERBS] = {
        [PV_VERB_BROKER] = "broker",
        [PV_VERB_EXPLAIN] = "explain",
        [PV_VERB_RIGHTS] = "rights",
        [PV_VERB_HISTORY] = "history",
    };
    for (int i = 0; i < PV_N_VERBS; i++)
        if (strcmp(words[i], word) == 0) {
            *verb = (enum pv_verb)i;
            return 0;
        }
    return -1;
}

static int read_options(const json_t *list, struct pv_wire_request *request, struct pv_message_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char place[48];
        snprintf(place, sizeof(place), "request.options[%zu]", i);
        int result = pv_message_check(item, place, option_fields, COUNT(option_fields), error);
        if (result)
            return result;
        const char *value = pv_message_string(item, "value");
        request->options[request->n_options++] = (struct pv_wire_option){
            .name = pv_message_string(item, "name"), .has_value = value != NULL, .value = value};
    }
    return 0;
}

int pv_front_submit(const json_t *message, struct pv_wbuf *w, struct pv_message_error *error)
{
    int result = pv_message_check(message, "", submit_fields, COUNT(submit_fields), error);
    if (result)
        return result;
    const json_t *object = json_object_get(message, "request");
    result = pv_message_check(object, "request", request_fields, COUNT(request_fields), error);
    if (result)
        return result;

    struct pv_wire_request request = {
        .protocol = PV_PROTOCOL,
        .user_name = pv_message_string(object, "user"),
        .counter = (uint64_t)json_integer_value(json_object_get(object, "counter")),
        .timeout = json_integer_value(json_object_get(object, "timeout")),
        .cwd = pv_message_string(object, "cwd"),
        .command = pv_message_string(object, "command"),
        .version = pv_message_string(object, "version"),
        .source = pv_message_string(object, "source"),
        .reason = pv_message_string(object, "reason"),
    };
    if (read_verb(pv_message_string(object, "verb"), &request.verb))
        return wrong(error, "request.verb", "is none of broker, explain, rights and history");
    if (pv_message_bool(object, "dry_run"))
        request.flags |= PV_REQUEST_DRY_RUN;
    if (pv_message_bool(object, "interactive"))
        request.flags |= PV_REQUEST_INTERACTIVE;
    if (pv_message_bool(object, "yes"))
        request.flags |= PV_REQUEST_YES;
    const json_t *arguments = json_object_get(object, "arguments");
    for (size_t i = 0; i < json_array_size(arguments); i++)
        request.args[request.n_args++] = json_string_value(json_array_get(arguments, i));
    result = read_options(json_object_get(object, "options"), &request, error);
    if (result)
        return result;

    uint8_t passcode[PV_PASSCODE_SIZE];
    if (!pv_hex_decode(passcode, sizeof(passcode), pv_message_string(message, "passcode")))
        return wrong(error, "passcode", "is not 128 lower-case hexadecimal digits");

    uint8_t bytes[PV_REQUEST_WIRE_MAX];
    struct pv_wbuf encoded;
    pv_wbuf_init(&encoded, bytes, sizeof(bytes));
    pv_wire_request_encode(&encoded, &request);
    if (encoded.overflow)
        return wrong(error, "request", "is longer than 60000 bytes in its canonical encoding");
    pv_put_bytes(w, bytes, encoded.len);
    pv_put_raw(w, passcode, sizeof(passcode));
    return 0;
}
