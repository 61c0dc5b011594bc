/* An explanation (explanation.c) as text for people. `before` stands in front of each line, for TAP and for indents. */
#include <string.h>

#include "engine/cli/cli.h"

struct writer {
    FILE *out;
    const char *before;
};

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void put(const struct writer *writer, const char *text)
{
    pv_cli_put(writer->out, text, strlen(text));
}

static void begin(const struct writer *writer, const char *indent)
{
    fputs(writer->before, writer->out);
    fputs(indent, writer->out);
}

/* A line with nothing on it, without blanks at its end. */
static void put_blank(const struct writer *writer)
{
    size_t len = strlen(writer->before);
    while (len && writer->before[len - 1] == ' ')
        len--;
    fprintf(writer->out, "%.*s\n", (int)len, writer->before);
}

static void put_values(const struct writer *writer, json_t *values)
{
    size_t i;
    json_t *value;
    json_array_foreach(values, i, value)
    {
        fputs(i ? ", " : ": ", writer->out);
        put(writer, text_of(value, "text"));
    }
}

/* A clause that fails tells what it saw; one with conditions does so for each that counts. Where the rule decides, so
 * do conditions that hold. */
static void put_clause(const struct writer *writer, json_t *clause, bool decides)
{
    size_t i;
    json_t *reason, *reasons = json_object_get(clause, "reasons");
    const char *holds = text_of(clause, "holds");
    bool is_true = strcmp(holds, "true") == 0;
    begin(writer, is_true ? "      yes  " : strcmp(holds, "false") == 0 ? "      no   " : "      ?    ");
    put(writer, text_of(clause, "text"));
    if (!is_true && json_array_size(reasons) == 0)
        put_values(writer, json_object_get(clause, "values"));
    fputc('\n', writer->out);
    if (is_true && !decides)
        return;
    json_array_foreach(reasons, i, reason)
    {
        begin(writer, "             ");
        fprintf(writer->out, "%-7s ", text_of(reason, "holds"));
        if (json_is_string(json_object_get(reason, "condition")))
            fprintf(writer->out, "in %s: ", text_of(reason, "condition"));
        put(writer, text_of(reason, "text"));
        put_values(writer, json_object_get(reason, "values"));
        fputc('\n', writer->out);
    }
}

/* `allow dev-tools (workstations.policy:33)`; the place alone names a rule without an id. */
static void put_rule(const struct writer *writer, json_t *rule, bool decides)
{
    char place[32];
    size_t i;
    json_t *row;
    const char *id = text_of(rule, "id");
    begin(writer, "  ");
    fprintf(writer->out, "%s ", text_of(rule, "effect"));
    put(writer, id);
    long long line = json_integer_value(json_object_get(rule, "line"));
    snprintf(place, sizeof(place), ":%lld", line);
    size_t id_len = strlen(id), place_len = strlen(place);
    bool is_place = id_len > place_len && strcmp(id + id_len - place_len, place) == 0 &&
                    strncmp(id, text_of(rule, "file"), id_len - place_len) == 0;
    if (line && !is_place) {
        fputs(" (", writer->out);
        put(writer, text_of(rule, "file"));
        fprintf(writer->out, "%s)", place);
    }
    fputc('\n', writer->out);
    json_array_foreach(json_object_get(rule, "clauses"), i, row)
    {
        put_clause(writer, row, decides);
    }
    if (!decides)
        return;
    json_array_foreach(json_object_get(rule, "because"), i, row)
    {
        begin(writer, "      because: ");
        put(writer, json_string_value(row));
        fputc('\n', writer->out);
    }
}

static void put_changes(const struct writer *writer, json_t *changes)
{
    size_t i;
    json_t *change, *found = json_object_get(changes, "found");
    put_blank(writer);
    if (json_array_size(found) == 0) {
        begin(writer, "no change of one or two things about this request was found that would allow it\n");
        return;
    }
    begin(writer, json_array_size(json_object_get(json_array_get(found, 0), "set")) == 1
                      ? "what would allow it\n"
                      : "what would allow it: no single change does, but these two together\n");
    json_array_foreach(found, i, change)
    {
        begin(writer, "  ");
        put(writer, text_of(change, "text"));
        fputc('\n', writer->out);
    }
}

void pv_cli_explanation_matching(FILE *out, json_t *explanation, const char *before)
{
    const struct writer writer = {out, before};
    size_t i;
    json_t *rule;
    json_array_foreach(json_object_get(explanation, "matching"), i, rule)
    {
        put_rule(&writer, rule, true);
    }
}

void pv_cli_explanation_others(FILE *out, json_t *explanation, const char *before, size_t most)
{
    const struct writer writer = {out, before};
    size_t i;
    json_t *rule, *nearest = json_object_get(explanation, "nearest"),
                  *changes = json_object_get(explanation, "changes");
    if (json_array_size(nearest) > 0 && most > 0) {
        put_blank(&writer);
        fprintf(out, "%snearest rules that do not match\n", before);
    }
    json_array_foreach(nearest, i, rule)
    {
        if (i < most)
            put_rule(&writer, rule, false);
    }
    if (changes)
        put_changes(&writer, changes);
}
