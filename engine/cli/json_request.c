/* A request in JSON, read strictly: every key is known, every value has its attribute's type, nothing is given twice,
 * and nothing falls back to a default that the format does not name. Each error is one sentence that says which key.
 *
 * Keys of `user`, `package`, `request`, `transaction`, `host`, `argument` and `option` are attributes of those names,
 * so declared ones need no code here; `source`, `time` and `operations` have their own form. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

struct reader {
    struct pv_cli_request *request;
    const struct pv_bundle *bundle;
    struct pv_error *error;
    const struct pvb_attr *attrs;
    size_t n_attrs;
    char where[48]; /* "operation 3: " before sentences about one of several */
};

static int fail(struct reader *reader, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct reader *reader, int code, const char *format, ...)
{
    char text[sizeof(reader->error->text)];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    *reader->error = (struct pv_error){.code = code};
    snprintf(reader->error->text, sizeof(reader->error->text), "%s%.190s", reader->where, text);
    /* Cutting may have halved a character, and JSON output takes whole ones only. */
    size_t len = strlen(reader->error->text), whole = pv_utf8_check(reader->error->text, len);
    reader->error->text[whole] = 0;
    return code;
}

static void *block(struct reader *reader, size_t n, size_t size)
{
    struct pv_cli_request *request = reader->request;
    void **grown = realloc(request->blocks, (request->n_blocks + 1) * sizeof(*grown));
    if (!grown)
        return NULL;
    request->blocks = grown;
    request->blocks[request->n_blocks] = calloc(n ? n : 1, size);
    return request->blocks[request->n_blocks] ? request->blocks[request->n_blocks++] : NULL;
}

/* ---- Values ---- */

static const char *json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE: return "a bool";
    case JSON_NULL: break;
    }
    return "null";
}

static int wrong_type(struct reader *reader, const char *path, const char *wanted, const json_t *value)
{
    return fail(reader, PV_E_TYPE, "`%s` must be %s, not %s", path, wanted, json_kind(value));
}

/* Exactly `n` digits. */
static bool digits(const char **p, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool read_date(const char **p, int64_t *days)
{
    int year, month, day;
    if (!digits(p, 4, &year) || *(*p)++ != '-' || !digits(p, 2, &month) || *(*p)++ != '-' || !digits(p, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *days = pv_days_from_civil(year, (unsigned)month, (unsigned)day);
    int64_t back_year;
    unsigned back_month, back_day;
    pv_civil_from_days(*days, &back_year, &back_month, &back_day);
    return back_month == (unsigned)month && back_day == (unsigned)day; /* 31 June is none */
}

/* HH:MM, or HH:MM:SS which `seconds` demands. */
static bool read_clock(const char **p, bool seconds, int64_t *second_of_day)
{
    int hour, minute, second = 0;
    if (!digits(p, 2, &hour) || *(*p)++ != ':' || !digits(p, 2, &minute))
        return false;
    if (**p == ':') {
        (*p)++;
        if (!digits(p, 2, &second))
            return false;
    } else if (seconds) {
        return false;
    }
    *second_of_day = hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second < 60;
}

static bool read_weekday(const char *text, int64_t *weekday)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int i = 0; i < 7; i++) {
        if (strcmp(text, names[i]) == 0) {
            *weekday = i;
            return true;
        }
    }
    return false;
}

static int set_number(struct reader *reader, struct pv_request *request, int slot, const char *path, enum pv_type type,
                      const json_t *value)
{
    const char *wanted = type == PV_T_DURATION ? "a number of seconds" : "an integer";
    if (!json_is_integer(value))
        return wrong_type(reader, path, wanted, value);
    int64_t number = json_integer_value(value);
    if (type == PV_T_DURATION && number < 0)
        return fail(reader, PV_E_TYPE, "`%s` must not be negative", path);
    return pv_request_set_int(request, slot, number);
}

static int set_moment(struct reader *reader, struct pv_request *request, int slot, const char *path, enum pv_type type,
                      const json_t *value)
{
    const char *form = type == PV_T_DATE    ? "a date like \"2026-01-31\""
                       : type == PV_T_CLOCK ? "a clock like \"22:00\" or \"22:00:30\""
                                            : "a weekday, \"mon\" to \"sun\"";
    if (!json_is_string(value))
        return wrong_type(reader, path, form, value);
    const char *text = json_string_value(value), *p = text;
    int64_t number;
    bool good = type == PV_T_DATE    ? read_date(&p, &number) && *p == 0
                : type == PV_T_CLOCK ? read_clock(&p, false, &number) && *p == 0
                                     : read_weekday(text, &number);
    if (!good)
        return fail(reader, PV_E_TYPE, "`%s` must be %s, not \"%s\"", path, form, text);
    return pv_request_set_int(request, slot, number);
}

/* The order of a version attribute: its own, or that of the request's command. */
static enum pv_order version_order(struct reader *reader, const struct pv_request *request, int slot)
{
    if (reader->attrs[slot].order != PV_ORDER_COMMAND)
        return (enum pv_order)reader->attrs[slot].order;
    const struct pv_value *command = pv_request_value(request, PV_A_COMMAND);
    int index = command->state == PV_PRESENT
                    ? pv_bundle_command(reader->bundle, command->string.ptr, command->string.len)
                    : PV_E_UNKNOWN;
    if (index < 0)
        return PV_ORDER_DPKG;
    const struct pvb_command *row = pv_bundle_section(reader->bundle, PVB_COMMANDS, NULL);
    return row[index].order == PV_ORDER_COMMAND ? PV_ORDER_DPKG : (enum pv_order)row[index].order;
}

static int set_text(struct reader *reader, struct pv_request *request, int slot, const char *path, enum pv_type type,
                    const json_t *value)
{
    if (!json_is_string(value))
        return wrong_type(reader, path, type == PV_T_VERSION ? "a version in a string" : "a string", value);
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    enum pv_order order = type == PV_T_VERSION ? version_order(reader, request, slot) : PV_ORDER_DPKG;
    if (len > PV_MAX_STRING)
        return fail(reader, PV_E_LIMIT, "`%s` is longer than %u bytes", path, PV_MAX_STRING);
    if (type == PV_T_VERSION && !pv_version_valid(order, text, len))
        return fail(reader, PV_E_TYPE, "`%s` is not a valid %s version: \"%s\"", path, pv_order_name(order), text);
    return pv_request_set_string(request, slot, text, len);
}

static int set_members(struct reader *reader, struct pv_request *request, int slot, const char *path,
                       const json_t *value)
{
    if (!json_is_array(value))
        return wrong_type(reader, path, "an array of strings", value);
    size_t n = json_array_size(value);
    if (n > PV_MAX_MEMBERS)
        return fail(reader, PV_E_LIMIT, "`%s` has more than %u members", path, PV_MAX_MEMBERS);
    struct pv_str *members = block(reader, n, sizeof(*members));
    if (!members)
        return fail(reader, PV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *member = json_array_get(value, i);
        if (!json_is_string(member))
            return fail(reader, PV_E_TYPE, "`%s` must be an array of strings, and holds %s", path, json_kind(member));
        if (json_string_length(member) > PV_MAX_STRING)
            return fail(reader, PV_E_LIMIT, "a member of `%s` is longer than %u bytes", path, PV_MAX_STRING);
        members[i] = (struct pv_str){json_string_value(member), (uint32_t)json_string_length(member), 0};
    }
    return pv_request_set_strings(request, slot, members, n);
}

static int set_attribute(struct reader *reader, struct pv_request *request, int slot, const char *path,
                         const json_t *value)
{
    enum pv_type type = (enum pv_type)reader->attrs[slot].type;
    int rc = PV_E_TYPE;
    switch (type) {
    case PV_T_BOOL:
        if (!json_is_boolean(value))
            return wrong_type(reader, path, "a bool", value);
        rc = pv_request_set_bool(request, slot, json_is_true(value));
        break;
    case PV_T_INT:
    case PV_T_DURATION: rc = set_number(reader, request, slot, path, type, value); break;
    case PV_T_STRING:
    case PV_T_VERSION: rc = set_text(reader, request, slot, path, type, value); break;
    case PV_T_DATE:
    case PV_T_CLOCK:
    case PV_T_WEEKDAY: rc = set_moment(reader, request, slot, path, type, value); break;
    case PV_T_STRINGS: rc = set_members(reader, request, slot, path, value); break;
    case PV_T_NONE: break;
    }
    if (rc < 0 && reader->error->code == 0)
        return fail(reader, rc, "`%s` cannot be set to this value", path);
    return rc;
}

/* ---- Names ---- */

static int unknown_name(struct reader *reader, const char *what, const char *name, const struct pv_nearest *nearest)
{
    if (nearest->best)
        return fail(reader, PV_E_UNKNOWN, "%s `%s` (did you mean `%.*s`?)", what, name, (int)nearest->best_len,
                    nearest->best);
    return fail(reader, PV_E_UNKNOWN, "%s `%s`", what, name);
}

static int unknown_key(struct reader *reader, const char *section, const char *key)
{
    char path[256];
    struct pv_nearest nearest;
    snprintf(path, sizeof(path), "%s.%.200s", section, key);
    pv_nearest_init(&nearest, path, strlen(path));
    for (size_t slot = 0; slot < reader->n_attrs; slot++) {
        size_t len;
        const char *known = pv_bundle_string(reader->bundle, reader->attrs[slot].path, &len);
        if (!(reader->attrs[slot].flags & PV_ATTR_HIDDEN) && strncmp(known, section, strlen(section)) == 0)
            pv_nearest_offer(&nearest, known, len);
    }
    if (!nearest.best && strcmp(section, "host") == 0)
        return fail(reader, PV_E_UNKNOWN, "unknown key `%s`: the policy has no `attribute %s: ...`", path, path);
    return unknown_name(reader, "unknown key", path, &nearest);
}

static int set_section(struct reader *reader, struct pv_request *request, const char *section, json_t *object)
{
    if (!object || json_is_null(object))
        return 0;
    if (!json_is_object(object))
        return wrong_type(reader, section, "an object", object);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char path[256];
        int n = snprintf(path, sizeof(path), "%s.%s", section, key);
        int slot = n < (int)sizeof(path) ? pv_bundle_slot(reader->bundle, path, (size_t)n) : PV_E_UNKNOWN;
        if (slot < 0 || (reader->attrs[slot].flags & PV_ATTR_HIDDEN))
            return unknown_key(reader, section, key);
        if (json_is_null(value))
            continue;
        int rc = set_attribute(reader, request, slot, path, value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int set_command(struct reader *reader, struct pv_request *request, const json_t *value)
{
    if (!value || json_is_null(value))
        return fail(reader, PV_E_MISSING, "`command` is missing");
    if (!json_is_string(value))
        return wrong_type(reader, "command", "a string", value);
    const char *name = json_string_value(value);
    int rc = pv_request_set_command(request, name, json_string_length(value));
    if (rc != PV_E_UNKNOWN)
        return rc < 0 ? fail(reader, rc, "`command` cannot be set to this value") : 0;
    size_t n;
    const struct pvb_command *commands = pv_bundle_section(reader->bundle, PVB_COMMANDS, &n);
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, name, json_string_length(value));
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *known = pv_bundle_string(reader->bundle, commands[i].name, &len);
        pv_nearest_offer(&nearest, known, len);
    }
    return unknown_name(reader, "the policy declares no command", name, &nearest);
}

static int set_source(struct reader *reader, struct pv_request *request, const json_t *value)
{
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return wrong_type(reader, "source", "a string", value);
    const char *name = json_string_value(value);
    int rc = pv_request_set_source(request, name, json_string_length(value));
    if (rc != PV_E_UNKNOWN)
        return rc < 0 ? fail(reader, rc, "`source` cannot be set to this value") : 0;
    size_t n;
    const struct pvb_source *sources = pv_bundle_section(reader->bundle, PVB_SOURCES, &n);
    struct pv_nearest nearest;
    pv_nearest_init(&nearest, name, json_string_length(value));
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *known = pv_bundle_string(reader->bundle, sources[i].name, &len);
        pv_nearest_offer(&nearest, known, len);
    }
    return unknown_name(reader, "the policy declares no source", name, &nearest);
}

/* RFC 3339, or the same without an offset: then wall-clock time of the host. Fractions of a second are cut. */
static int set_time(struct reader *reader, struct pv_request *request, const json_t *value)
{
    static const char form[] = "a time like \"2026-11-21T10:00:00+01:00\"";
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return wrong_type(reader, "time", form, value);
    const char *text = json_string_value(value), *p = text;
    int64_t days, second, seconds, offset = 0;
    bool good = read_date(&p, &days) && (*p == 'T' || *p == 't' || *p == ' ');
    good = good && (p++, read_clock(&p, true, &second));
    if (good && *p == '.') {
        good = p[1] >= '0' && p[1] <= '9';
        p += 1 + strspn(p + 1, "0123456789");
    }
    if (good && *p == 0) {
        if (pv_bundle_local_time(reader->bundle, days, (int32_t)second, &seconds) < 0)
            return fail(reader, PV_E_ZONE, "`time` has no offset, and the host's time zone cannot be read");
    } else if (good) {
        int sign = *p == '-' ? -1 : 1;
        if (*p == 'Z' || *p == 'z') {
            p++;
        } else {
            good = *p == '+' || *p == '-';
            good = good && (p++, read_clock(&p, false, &offset)) && offset % 60 == 0;
        }
        good = good && *p == 0;
        seconds = days * 86400 + second - sign * offset;
    }
    if (!good)
        return fail(reader, PV_E_TYPE, "`time` must be %s, not \"%s\"", form, text);
    int rc = pv_request_set_time(request, seconds);
    return rc < 0 ? fail(reader, rc, "`time` cannot be set to this value") : 0;
}

/* ---- The whole ---- */

static const char *const request_keys[] = {"schema", "user",       "command",     "package", "source",
                                           "time",   "request",    "transaction", "host",    "argument",
                                           "option", "operations", NULL};
static const char *const operation_keys[] = {"command", "package", "source", NULL};

static int check_keys(struct reader *reader, json_t *object, const char *const *keys)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i])
            continue;
        struct pv_nearest nearest;
        pv_nearest_init(&nearest, key, strlen(key));
        for (i = 0; keys[i]; i++)
            pv_nearest_offer(&nearest, keys[i], strlen(keys[i]));
        return unknown_name(reader, "unknown key", key, &nearest);
    }
    return 0;
}

static int new_request(struct reader *reader, struct pv_request **out)
{
    int rc = pv_request_new(out, reader->bundle);
    return rc < 0 ? fail(reader, rc, "out of memory") : 0;
}

/* What every operation of a request shares. `parameters`: the arguments and options belong to its command. */
static int set_shared(struct reader *reader, struct pv_request *request, json_t *root, bool parameters)
{
    static const char *const sections[] = {"user", "request", "transaction", "host", "argument", "option"};
    int rc = set_time(reader, request, json_object_get(root, "time"));
    for (size_t i = 0; rc == 0 && i < (parameters ? 6u : 4u); i++)
        rc = set_section(reader, request, sections[i], json_object_get(root, sections[i]));
    return rc;
}

static int check_request(struct reader *reader, struct pv_request *request)
{
    struct pv_error error = {0};
    int rc = pv_request_check(request, &error);
    return rc < 0 ? fail(reader, rc, "%s", error.text) : 0;
}

static int read_operation(struct reader *reader, struct pv_request *request, json_t *root, json_t *operation)
{
    json_t *command = json_object_get(operation, "command"), *asked = json_object_get(root, "command");
    int rc = set_command(reader, request, command);
    if (rc == 0)
        rc = set_shared(reader, request, root, command == asked || json_equal(command, asked));
    if (rc == 0)
        rc = set_section(reader, request, "package", json_object_get(operation, "package"));
    if (rc == 0)
        rc = set_source(reader, request, json_object_get(operation, "source"));
    return rc < 0 ? rc : check_request(reader, request);
}

/* The request as asked for: what its operations tell one by one is not known of the whole. */
static int read_asked(struct reader *reader, struct pv_request *request, json_t *root)
{
    int rc = set_command(reader, request, json_object_get(root, "command"));
    if (rc == 0)
        rc = set_shared(reader, request, root, true);
    if (rc < 0)
        return rc;
    rc = pv_cli_request_asked(request);
    return rc < 0 ? fail(reader, rc, "internal error: a slot cannot be unknown") : check_request(reader, request);
}

static int read_operations(struct reader *reader, json_t *root, json_t *operations)
{
    struct pv_cli_request *request = reader->request;
    if (!json_is_array(operations))
        return wrong_type(reader, "operations", "an array", operations);
    size_t n = json_array_size(operations);
    if (n == 0)
        return fail(reader, PV_E_MISSING, "`operations` is empty");
    static const char *const instead[] = {"package", "source"};
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(root, instead[i]) && !json_is_null(json_object_get(root, instead[i])))
            return fail(reader, PV_E_INVAL, "`%s` and `operations` exclude each other", instead[i]);
    request->several = true;
    request->operations = calloc(n, sizeof(*request->operations));
    if (!request->operations)
        return fail(reader, PV_E_NOMEM, "out of memory");
    int rc = new_request(reader, &request->asked);
    if (rc == 0)
        rc = read_asked(reader, request->asked, root);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        json_t *operation = json_array_get(operations, i);
        snprintf(reader->where, sizeof(reader->where), "operation %zu: ", i + 1);
        if (!json_is_object(operation))
            return fail(reader, PV_E_TYPE, "it must be an object, not %s", json_kind(operation));
        rc = check_keys(reader, operation, operation_keys);
        if (rc == 0)
            rc = new_request(reader, &request->operations[i]);
        if (rc == 0) {
            request->n_operations = i + 1;
            rc = read_operation(reader, request->operations[i], root, operation);
        }
    }
    return rc;
}

static int read_root(struct reader *reader, json_t *root)
{
    if (!json_is_object(root))
        return fail(reader, PV_E_TYPE, "a request must be an object, not %s", json_kind(root));
    int rc = check_keys(reader, root, request_keys);
    if (rc < 0)
        return rc;
    json_t *schema = json_object_get(root, "schema");
    if (schema && !json_is_string(schema))
        return wrong_type(reader, "schema", "a string", schema);
    if (schema && strcmp(json_string_value(schema), "proviso/request/1") != 0)
        return fail(reader, PV_E_FORMAT, "`schema` is \"%s\": only \"proviso/request/1\" is known",
                    json_string_value(schema));
    json_t *operations = json_object_get(root, "operations");
    if (operations && !json_is_null(operations))
        return read_operations(reader, root, operations);
    struct pv_cli_request *request = reader->request;
    request->operations = calloc(1, sizeof(*request->operations));
    if (!request->operations)
        return fail(reader, PV_E_NOMEM, "out of memory");
    rc = new_request(reader, &request->operations[0]);
    if (rc < 0)
        return rc;
    request->n_operations = 1;
    return read_operation(reader, request->operations[0], root, root);
}

int pv_cli_request_read(struct pv_cli_request *request, const struct pv_bundle *bundle, const char *text, size_t len,
                        struct pv_error *error)
{
    struct reader reader = {.request = request, .bundle = bundle, .error = error};
    json_error_t problem;
    *request = (struct pv_cli_request){0};
    *error = (struct pv_error){0};
    reader.attrs = pv_bundle_section(bundle, PVB_ATTRS, &reader.n_attrs);
    if (len > PV_CLI_MAX_REQUEST)
        return fail(&reader, PV_E_LIMIT, "the request is longer than %u bytes", PV_CLI_MAX_REQUEST);
    request->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &problem);
    int rc = request->root ? read_root(&reader, request->root)
                           : fail(&reader, PV_E_SYNTAX, "not valid JSON: %s, at line %d, column %d", problem.text,
                                  problem.line, problem.column);
    if (rc < 0)
        pv_cli_request_free(request);
    return rc;
}

void pv_cli_request_free(struct pv_cli_request *request)
{
    for (size_t i = 0; i < request->n_operations; i++)
        pv_request_free(request->operations[i]);
    free(request->operations);
    pv_request_free(request->asked);
    for (size_t i = 0; i < request->n_blocks; i++)
        free(request->blocks[i]);
    free(request->blocks);
    json_decref(request->root);
    *request = (struct pv_cli_request){0};
}
