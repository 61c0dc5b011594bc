/* Diagnostics as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), which code hosts show in place. Columns
 * count code points, and say so. */
#include <string.h>

#include "engine/cli/cli.h"

static json_t *rules(void)
{
    json_t *list = json_array();
    for (int code = 0; code < PV_N_DIAG_CODES; code++) {
        const struct pv_diag_info *info = pv_diag_info((enum pv_diag_code)code);
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "id", info->code, "name", info->title,
                                              "shortDescription", "text", info->summary, "defaultConfiguration",
                                              "level", pv_severity_name(info->severity)));
    }
    return list;
}

/* The place of an object of `check --json`; the file is shown as it was named where it is the one that was checked. */
static json_t *location(json_t *place)
{
    json_t *line = json_object_get(place, "line");
    json_t *physical = json_pack("{s:{s:O}}", "artifactLocation", "uri", json_object_get(place, "file"));
    if (line)
        json_object_set_new(physical, "region",
                            json_pack("{s:O, s:O, s:O, s:O}", "startLine", line, "startColumn",
                                      json_object_get(place, "column"), "endLine", json_object_get(place, "end_line"),
                                      "endColumn", json_object_get(place, "end_column")));
    return json_pack("{s:o}", "physicalLocation", physical);
}

static json_t *related(json_t *diagnostic)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(diagnostic, "related"), i, row)
    {
        json_t *place = location(row);
        json_object_set_new(place, "message", json_pack("{s:O}", "text", json_object_get(row, "text")));
        json_array_append_new(list, place);
    }
    return list;
}

static json_t *result(json_t *diagnostic)
{
    return json_pack("{s:O, s:O, s:{s:O}, s:[o], s:o}", "ruleId", json_object_get(diagnostic, "code"), "level",
                     json_object_get(diagnostic, "severity"), "message", "text", json_object_get(diagnostic, "text"),
                     "locations", location(diagnostic), "relatedLocations", related(diagnostic));
}

json_t *pv_cli_sarif(json_t *files)
{
    json_t *results = json_array(), *file, *diagnostic;
    size_t i, k;
    int failed = 0;
    json_array_foreach(files, i, file)
    {
        json_array_foreach(json_object_get(file, "diagnostics"), k, diagnostic)
        {
            failed = json_array_append_new(results, result(diagnostic)) || failed;
        }
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
