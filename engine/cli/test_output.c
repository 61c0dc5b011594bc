/* The results of tests in the formats that people and CI systems read. The value printed is the schema
 * `proviso/test/1`: files with tests with failures, and with diagnostics where a file has errors. */
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

int pv_cli_test_format(const char *name, enum pv_cli_test_format *format)
{
    static const char *const names[] = {[PV_CLI_TEST_TEXT] = "text",
                                        [PV_CLI_TEST_TAP] = "tap",
                                        [PV_CLI_TEST_JUNIT] = "junit",
                                        [PV_CLI_TEST_JSON] = "json"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            *format = (enum pv_cli_test_format)i;
            return 0;
        }
    }
    return -1;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void put(const char *text)
{
    pv_cli_put(stdout, text, strlen(text));
}

/* What was decided in place of what a failing expectation expects, and why. */
static void put_explanations(FILE *out, json_t *failure, const char *before)
{
    static const struct {
        const char *key, *before;
    } parts[] = {{"decision", ""}, {"command", ": "}, {"package", " "}, {"source", " from "}};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(failure, "explanations"), i, row)
    {
        fprintf(out, "%s", before);
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
            if (!json_is_string(json_object_get(row, parts[k].key)))
                continue;
            fputs(parts[k].before, out);
            pv_cli_put(out, text_of(row, parts[k].key), strlen(text_of(row, parts[k].key)));
        }
        fputc('\n', out);
        pv_cli_explanation_matching(out, json_object_get(row, "explanation"), before);
        pv_cli_explanation_others(out, json_object_get(row, "explanation"), before, 2);
    }
}

static bool is_broken(json_t *file)
{
    return json_array_size(json_object_get(file, "diagnostics")) > 0;
}

/* ---- Text ---- */

static void put_text(json_t *output)
{
    size_t i, k, j, broken = 0;
    json_t *file, *test, *failure;
    json_array_foreach(json_object_get(output, "files"), i, file)
    {
        broken += is_broken(file);
        json_array_foreach(json_object_get(file, "tests"), k, test)
        {
            json_array_foreach(json_object_get(test, "failures"), j, failure)
            {
                put(text_of(file, "file"));
                printf(":%lld: test \"", number_of(failure, "line"));
                put(text_of(test, "name"));
                printf("\": ");
                put(text_of(failure, "text"));
                putchar('\n');
                put_explanations(stdout, failure, "    ");
            }
        }
    }
    if (number_of(output, "passed") + number_of(output, "failed") == 0 && !broken)
        return;
    printf("%lld passed, %lld failed", number_of(output, "passed"), number_of(output, "failed"));
    if (broken)
        printf(", %zu file%s with errors", broken, broken == 1 ? "" : "s");
    putchar('\n');
}

/* ---- TAP 13 ---- */

/* `#` would begin a directive. */
static void put_tap_name(const char *name)
{
    while (*name) {
        size_t plain = strcspn(name, "#\\");
        pv_cli_put(stdout, name, plain);
        name += plain;
        if (*name)
            printf("\\%c", *name++);
    }
}

static void put_tap(json_t *output)
{
    size_t i, k, j, n = 0;
    json_t *file, *test, *failure;
    puts("TAP version 13");
    json_array_foreach(json_object_get(output, "files"), i, file)
    {
        if (is_broken(file)) {
            printf("not ok %zu - ", ++n);
            put_tap_name(text_of(file, "file"));
            printf(": it has errors\n");
        }
        json_array_foreach(json_object_get(file, "tests"), k, test)
        {
            printf("%sok %zu - ", json_is_true(json_object_get(test, "passed")) ? "" : "not ", ++n);
            put_tap_name(text_of(file, "file"));
            printf(": ");
            put_tap_name(text_of(test, "name"));
            putchar('\n');
            json_array_foreach(json_object_get(test, "failures"), j, failure)
            {
                printf("# line %lld: ", number_of(failure, "line"));
                put(text_of(failure, "text"));
                putchar('\n');
                put_explanations(stdout, failure, "#   ");
            }
        }
    }
    printf("1..%zu\n", n);
}

/* ---- JUnit ---- */

/* Text in content or an attribute. XML has no room for U+FFFE and U+FFFF; control characters are escaped already. */
static void put_xml(const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, "&<>\"\xef");
        pv_cli_put(stdout, text, plain);
        text += plain;
        if (*text == '\xef') {
            bool none = text[1] == '\xbf' && (text[2] == '\xbe' || text[2] == '\xbf');
            fwrite(none ? "\xef\xbf\xbd" : text, 1, 3, stdout);
            text += 3;
            continue;
        }
        switch (*text) {
        case '&': fputs("&amp;", stdout); break;
        case '<': fputs("&lt;", stdout); break;
        case '>': fputs("&gt;", stdout); break;
        case '"': fputs("&quot;", stdout); break;
        default: return;
        }
        text++;
    }
}

/* A file with errors is one test that could not run. */
static void put_junit_error(json_t *file)
{
    size_t i;
    json_t *diagnostic;
    printf("    <testcase name=\"check\" classname=\"");
    put_xml(text_of(file, "file"));
    printf("\">\n");
    json_array_foreach(json_object_get(file, "diagnostics"), i, diagnostic)
    {
        if (strcmp(text_of(diagnostic, "severity"), "error") != 0)
            continue;
        printf("      <error type=\"%s\" message=\"", text_of(diagnostic, "code"));
        put_xml(text_of(diagnostic, "file"));
        printf(":%lld: ", number_of(diagnostic, "line"));
        put_xml(text_of(diagnostic, "text"));
        printf("\"/>\n");
        break; /* the schema has room for one */
    }
    printf("    </testcase>\n");
}

/* The explanation as the failure's text, line by line. */
static void put_junit_explanations(json_t *failure)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out) {
        put_explanations(out, failure, "");
        fclose(out);
    }
    for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
        put_xml(line);
        if (rest)
            putchar('\n');
    }
    free(text);
}

static void put_junit_test(json_t *file, json_t *test)
{
    size_t i;
    json_t *failure;
    printf("    <testcase name=\"");
    put_xml(text_of(test, "name"));
    printf("\" classname=\"");
    put_xml(text_of(file, "file"));
    printf("\" line=\"%lld\"", number_of(test, "line"));
    if (json_array_size(json_object_get(test, "failures")) == 0) {
        printf("/>\n");
        return;
    }
    printf(">\n      <failure message=\"");
    json_array_foreach(json_object_get(test, "failures"), i, failure)
    {
        printf("%sline %lld: ", i ? "; " : "", number_of(failure, "line"));
        put_xml(text_of(failure, "text"));
    }
    printf("\">");
    json_array_foreach(json_object_get(test, "failures"), i, failure)
    {
        put_junit_explanations(failure);
    }
    printf("</failure>\n    </testcase>\n");
}

static void put_junit(json_t *output)
{
    size_t i, k;
    json_t *file, *test;
    printf(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"proviso\" tests=\"%lld\" failures=\"%lld\">\n",
        number_of(output, "passed") + number_of(output, "failed"), number_of(output, "failed"));
    json_array_foreach(json_object_get(output, "files"), i, file)
    {
        size_t failures = 0;
        json_array_foreach(json_object_get(file, "tests"), k, test)
        {
            failures += !json_is_true(json_object_get(test, "passed"));
        }
        printf("  <testsuite name=\"");
        put_xml(text_of(file, "file"));
        printf("\" tests=\"%zu\" failures=\"%zu\" errors=\"%d\">\n",
               json_array_size(json_object_get(file, "tests")) + is_broken(file), failures, is_broken(file));
        if (is_broken(file))
            put_junit_error(file);
        json_array_foreach(json_object_get(file, "tests"), k, test)
        {
            put_junit_test(file, test);
        }
        printf("  </testsuite>\n");
    }
    printf("</testsuites>\n");
}

void pv_cli_test_print(json_t *output, enum pv_cli_test_format format)
{
    json_t *coverage = json_object_get(output, "coverage");
    switch (format) {
    case PV_CLI_TEST_TEXT:
        put_text(output);
        if (coverage)
            pv_cli_coverage_text(stdout, coverage, "");
        break;
    case PV_CLI_TEST_TAP:
        put_tap(output);
        if (coverage)
            pv_cli_coverage_text(stdout, coverage, "# ");
        break;
    case PV_CLI_TEST_JUNIT:
        put_junit(output);
        if (coverage) /* the schema has no room for it */
            pv_cli_coverage_text(stderr, coverage, "");
        break;
    case PV_CLI_TEST_JSON: pv_cli_print_json(stdout, json_incref(output)); break;
    }
}
