/* Diagnostics as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), which code hosts show in place. Columns
 * count code points, and say so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cli/cli.h"

static json_t *text(const char *words)
{
    return json_pack("{s:s}", "text", words);
}

/* Rules, in the order of their codes; results refer to them by place. The help is the page of `explain`. */
static json_t *rules(void)
{
    json_t *list = json_array();
    for (int code = 0; code < PV_N_DIAG_CODES; code++) {
        const struct pv_diag_info *info = pv_diag_info((enum pv_diag_code)code);
        const char *page = pv_cli_page(info->code);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:{s:s, s:s}, s:{s:s}}", "id", info->code, "name", info->title,
                                        "shortDescription", text(info->summary), "help", "text", page, "markdown", page,
                                        "defaultConfiguration", "level", pv_severity_name(info->severity)));
    }
    return list;
}

/* A path as a URI reference: what is not plain is in percent. */
static json_t *uri(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    char *out = malloc(3 * strlen(path) + 1), *to = out;
    for (const char *p = path; out && *p; p++) {
        if (strchr(plain, *p))
            *to++ = *p;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*p);
    }
    json_t *value = out ? json_stringn(out, (size_t)(to - out)) : NULL;
    free(out);
    return value;
}

/* Diagnostics show paths from the folder of the file that was named; hosts want them from where the program runs. */
static json_t *artifact(const char *folder, json_t *place)
{
    const char *shown = json_string_value(json_object_get(place, "file"));
    char *path = NULL;
    if (*folder && asprintf(&path, "%s%s", folder, shown) < 0)
        path = NULL;
    json_t *value = json_pack("{s:o}", "uri", uri(path && access(path, F_OK) == 0 ? path : shown));
    free(path);
    return value;
}

/* Lines and columns from 1; the end column is the one behind the last. */
static json_t *region(json_t *place)
{
    return json_pack("{s:O, s:O, s:O, s:O}", "startLine", json_object_get(place, "line"), "startColumn",
                     json_object_get(place, "column"), "endLine", json_object_get(place, "end_line"), "endColumn",
                     json_object_get(place, "end_column"));
}

/* The place of an object of `check --json`. */
static json_t *location(const char *folder, json_t *place)
{
    json_t *physical = json_pack("{s:o}", "artifactLocation", artifact(folder, place));
    if (json_object_get(place, "line"))
        json_object_set_new(physical, "region", region(place));
    return json_pack("{s:o}", "physicalLocation", physical);
}

/* All replacements of a diagnostic are one fix, of one file. */
static json_t *fixes(const char *folder, json_t *diagnostic)
{
    json_t *rows = json_object_get(diagnostic, "fixes"), *replacements = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        json_array_append_new(replacements, json_pack("{s:o, s:{s:O}}", "deletedRegion", region(row), "insertedContent",
                                                      "text", json_object_get(row, "text")));
    }
    if (!json_array_size(replacements)) {
        json_decref(replacements);
        return json_array();
    }
    return json_pack("[{s:[{s:o, s:o}]}]", "artifactChanges", "artifactLocation",
                     artifact(folder, json_array_get(rows, 0)), "replacements", replacements);
}

static json_t *related(const char *folder, json_t *diagnostic)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(diagnostic, "related"), i, row)
    {
        json_t *place = location(folder, row);
        json_object_set_new(place, "message", json_pack("{s:O}", "text", json_object_get(row, "text")));
        json_array_append_new(list, place);
    }
    return list;
}

/* The hint belongs to the message: hosts show no other place for it. */
static json_t *message(json_t *diagnostic)
{
    const char *sentence = json_string_value(json_object_get(diagnostic, "text"));
    const char *hint = json_string_value(json_object_get(diagnostic, "hint"));
    return hint ? json_pack("{s:s++}", "text", sentence, "; ", hint) : text(sentence);
}

static json_t *result(const char *folder, json_t *diagnostic)
{
    const char *code = json_string_value(json_object_get(diagnostic, "code"));
    json_t *file = json_object_get(diagnostic, "file"), *locations = json_array();
    if (*json_string_value(file))
        json_array_append_new(locations, location(folder, diagnostic));
    return json_pack("{s:s, s:i, s:O, s:o, s:o, s:o, s:o}", "ruleId", code, "ruleIndex", pv_diag_from_code(code),
                     "level", json_object_get(diagnostic, "severity"), "message", message(diagnostic), "locations",
                     locations, "relatedLocations", related(folder, diagnostic), "fixes", fixes(folder, diagnostic));
}

json_t *pv_cli_sarif(json_t *files)
{
    json_t *results = json_array(), *file, *diagnostic;
    size_t i, k;
    int failed = 0;
    json_array_foreach(files, i, file)
    {
        const char *name = json_string_value(json_object_get(file, "file")), *slash = strrchr(name, '/');
        char *folder = strndup(name, slash ? (size_t)(slash - name) + 1 : 0);
        json_array_foreach(json_object_get(file, "diagnostics"), k, diagnostic)
        {
            failed = !folder || json_array_append_new(results, result(folder, diagnostic)) || failed;
        }
        free(folder);
    }
    json_t *log = json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:s, s:o}]}", "$schema",
                            "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs", "tool",
                            "driver", "name", "proviso", "version", PV_VERSION, "rules", rules(), "columnKind",
                            "unicodeCodePoints", "results", results);
    if (!failed)
        return log;
    json_decref(log);
    return NULL;
}
