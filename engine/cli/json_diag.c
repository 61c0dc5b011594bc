/* Diagnostics in JSON. */
#include <string.h>

#include "engine/cli/cli.h"

/* "file", "line", "column", "end_line", "end_column" of a place; NULL line and column where there is none. */
static int put_place(json_t *object, const struct pv_diags *diags, struct pv_span span)
{
    if (pv_span_is_none(span))
        return json_object_set_new(object, "file", json_string(""));
    struct pv_place from = pv_sources_place(diags->sources, span.file, span.start);
    struct pv_place to = pv_sources_place(diags->sources, span.file, span.end);
    return json_object_set_new(object, "file", pv_cli_json_text(from.path, strlen(from.path))) ||
           json_object_set_new(object, "line", json_integer(from.line)) ||
           json_object_set_new(object, "column", json_integer(from.column)) ||
           json_object_set_new(object, "end_line", json_integer(to.line)) ||
           json_object_set_new(object, "end_column", json_integer(to.column));
}

static int put_places(json_t *object, const struct pv_diags *diags, const struct pv_diag *diag)
{
    json_t *related = json_array(), *fixes = json_array();
    int failed = 0;
    for (const struct pv_related *r = diag->related; r; r = r->next) {
        json_t *row = json_object();
        failed = failed || put_place(row, diags, r->span) || json_object_set_new(row, "text", json_string(r->text)) ||
                 json_array_append_new(related, row);
    }
    for (const struct pv_fix *f = diag->fixes; f; f = f->next) {
        json_t *row = json_object();
        failed = failed || put_place(row, diags, f->span) || json_object_set_new(row, "text", json_string(f->text)) ||
                 json_array_append_new(fixes, row);
    }
    return failed || json_object_set_new(object, "related", related) || json_object_set_new(object, "fixes", fixes);
}

int pv_cli_diags_json(json_t *array, struct pv_diags *diags)
{
    int failed = 0;
    pv_diags_finish(diags);
    for (size_t i = 0; i < diags->n; i++) {
        const struct pv_diag *diag = diags->list[i];
        json_t *row = json_object();
        failed = failed || json_object_set_new(row, "code", json_string(pv_diag_info(diag->code)->code)) ||
                 json_object_set_new(row, "name", json_string(pv_diag_info(diag->code)->title)) ||
                 json_object_set_new(row, "severity", json_string(pv_severity_name(diag->severity))) ||
                 put_place(row, diags, diag->span) || json_object_set_new(row, "text", json_string(diag->text)) ||
                 json_object_set_new(row, "hint", diag->hint ? json_string(diag->hint) : json_null()) ||
                 put_places(row, diags, diag) || json_array_append_new(array, row);
    }
    return failed ? -1 : 0;
}
